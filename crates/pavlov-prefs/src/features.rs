//! What nets see of a step: columns of the state after it and the action, normalised.
//!
//! Where the robot is on the ground does not count: `x` and `y` of a free joint and the position of a slide joint that
//! has no limits and a name that ends in `x` are left out, so that a model judges what the robot does, not where.

use crate::dataset::Dataset;
use crate::error::PrefsError;
use crate::label::Segment;
use crate::segments::Pool;
use pavlov_common::stats::moments;
use pavlov_reward::Columns;
use pavlov_script::{Channel, Input, Scene};
use serde::{Deserialize, Serialize};

/// Columns and their normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Joints and actuators of the robot whose columns they are: numbers of columns mean nothing on another one.
    pub robot: Vec<String>,
    /// Columns, of the state after the step.
    pub channels: Vec<Channel>,
    /// Mean of each.
    pub mean: Vec<f32>,
    /// One over the standard deviation of each; 0 where it never changes.
    pub inv_std: Vec<f32>,
}

/// Normalised values further out than this are cut, as the learner does with observations.
const LIMIT: f32 = 10.0;

/// What there is to see in a scene: `qpos` without the place, `qvel`, the action.
pub fn channels(scene: &Scene) -> Vec<Channel> {
    let mut out = Vec::new();
    let mut first = 0u16;
    for (i, joint) in scene.joints.iter().enumerate() {
        // Free and ball joints differ by their numbers; there is one free joint at most, and it comes first.
        let free = !joint.scalar && i == 0 && scene.nq == scene.nv + 1;
        let width = if joint.scalar {
            1
        } else if free {
            7
        } else {
            4
        };
        let place = |k: u16| (free && k < 2) || (joint.scalar && joint.range.is_none() && joint.name.ends_with('x'));
        out.extend((0..width).filter(|&k| !place(k)).map(|k| Channel::Qpos(first + k)));
        first += width;
    }
    out.extend((0..scene.nv as u16).map(Channel::Qvel));
    out.extend((0..scene.action_dim as u16).map(Channel::Action));
    out
}

fn robot(scene: &Scene) -> Vec<String> {
    scene.joints.iter().map(|j| &j.name).chain(&scene.actuators).cloned().collect()
}

impl Features {
    /// Are they of this scene's robot?
    pub fn fits(&self, scene: &Scene) -> bool {
        let known = scene.recorded();
        self.robot == robot(scene) && self.channels.iter().all(|c| known.contains(c))
    }

    /// Those of a scene, normalised over the segments of a data set; and each segment's rows `[steps, columns]`.
    ///
    /// # Errors
    /// When a segment is not there or a column was not recorded.
    pub fn of(scene: &Scene, pool: &Pool, data: &Dataset) -> Result<(Self, Vec<Vec<f32>>), PrefsError> {
        let channels = channels(scene);
        let (mean, inv_std) = (vec![0.0; channels.len()], vec![1.0; channels.len()]);
        let raw = Self { robot: robot(scene), channels, mean, inv_std };
        let mut rows = raw.raw_rows(scene, pool, &data.segments.iter().collect::<Vec<_>>())?;
        let n = raw.channels.len();
        let mut features = raw;
        for k in 0..n {
            let values = rows.iter().flat_map(|r| r.iter().skip(k).step_by(n)).map(|&x| f64::from(x));
            let (mean, variance) = moments(values).unwrap_or_default();
            let deviation = variance.sqrt();
            features.mean[k] = mean as f32;
            features.inv_std[k] = if deviation > 1e-6 { (1.0 / deviation) as f32 } else { 0.0 };
        }
        rows.iter_mut().for_each(|r| features.normalise(r));
        Ok((features, rows))
    }

    /// Normalised rows of segments.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn rows(&self, scene: &Scene, pool: &Pool, segments: &[&Segment]) -> Result<Vec<Vec<f32>>, PrefsError> {
        let mut rows = self.raw_rows(scene, pool, segments)?;
        rows.iter_mut().for_each(|r| self.normalise(r));
        Ok(rows)
    }

    fn raw_rows(&self, scene: &Scene, pool: &Pool, segments: &[&Segment]) -> Result<Vec<Vec<f32>>, PrefsError> {
        let mut out = vec![Vec::new(); segments.len()];
        for (file, group) in pool.by_file(segments)? {
            let rollouts = file.read(scene, self.channels.iter().copied())?;
            let column = |&c: &Channel| {
                let missing = || {
                    PrefsError::Failed(format!(
                        "`{}` was not recorded: record the run again",
                        Input::now(c).describe(scene)
                    ))
                };
                rollouts.column(c).ok_or_else(missing)
            };
            let columns: Vec<&[f32]> = self.channels.iter().map(column).collect::<Result<_, _>>()?;
            for (i, span) in group {
                let steps = span.first + 1..=span.first + span.steps;
                out[i] = steps.flat_map(|row| columns.iter().map(move |c| c[row])).collect();
            }
        }
        Ok(out)
    }

    /// Normalises rows in place.
    pub fn normalise(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.channels.len()) {
            for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.inv_std) {
                *x = ((*x - mean) * scale).clamp(-LIMIT, LIMIT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_script::JointInfo;

    #[test]
    fn the_place_is_not_seen() {
        let joint = |name: &str, scalar, range| JointInfo { name: name.into(), scalar, range, default: 0.0 };
        let mut scene = Scene { nq: 9, nv: 8, action_dim: 2, ..Scene::default() };
        scene.joints =
            vec![joint("root", false, None), joint("hip", true, None), joint("knee", true, Some([0.0, 1.0]))];
        let all = channels(&scene);
        assert_eq!(all.len(), 7 + 8 + 2);
        assert_eq!(all[0], Channel::Qpos(2));
        scene.joints =
            vec![joint("rootx", true, None), joint("rootz", true, None), joint("slider_x", true, Some([0.0, 1.0]))];
        (scene.nq, scene.nv) = (3, 3);
        assert_eq!(channels(&scene)[..2], [Channel::Qpos(1), Channel::Qpos(2)]);
    }
}
