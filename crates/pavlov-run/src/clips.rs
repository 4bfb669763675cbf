//! Clips: one episode as states, replayable in 3-D. JSON lines: a header, a line per control step, an end.

use crate::error::RunError;
use crate::evaluate::{Buffers, fits};
use pavlov_env::{BackendKind, Env, EnvOptions, Profile, Task};
use pavlov_learn::Policy;
use pavlov_reward::Reward;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// First line of a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipHeader {
    /// Version of this layout.
    pub format: u32,
    /// Task.
    pub task: String,
    /// Name of the robot's model.
    pub robot: String,
    /// Reward.
    pub reward: String,
    /// Seed of the world.
    pub seed: u64,
    /// Seconds between frames.
    pub dt: f64,
    /// Coordinates in a frame.
    pub nq: usize,
    /// Velocities in a frame.
    pub nv: usize,
    /// Names of the reward terms.
    pub terms: Vec<String>,
}

/// A frame: the state after a control step, and what the step gave. The first has no step before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipFrame {
    /// Control steps since the reset.
    pub step: u32,
    /// Coordinates; empty in the last frame, whose world has begun its next episode.
    pub qpos: Vec<f32>,
    /// Velocities.
    pub qvel: Vec<f32>,
    /// Action.
    pub action: Vec<f32>,
    /// Reward.
    pub reward: f32,
    /// Reward terms, in the header's order.
    pub terms: Vec<f64>,
}

/// A recorded episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// What it is of.
    pub header: ClipHeader,
    /// Its frames.
    pub frames: Vec<ClipFrame>,
}

/// Records the first episode of the first world under `seed`: the same one that an evaluation with this seed plays
/// first.
///
/// # Errors
/// As [`crate::evaluate()`].
pub fn record(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    policy: &Policy,
    seed: u64,
    profile: Profile,
    backend: BackendKind,
) -> Result<Clip, RunError> {
    fits(task, policy)?;
    let mut policy = policy.clone();
    let options = EnvOptions { worlds: 1, seed, profile, backend, stagger: false, disturb: true, siblings: 1 };
    let mut env = Env::new(task.clone(), reward.clone(), &options)?;
    let Some(block) = env.blocks.first_mut() else {
        return Err(RunError::Failed("an environment without worlds".into()));
    };
    let mut buffers = Buffers::new(1, task);
    block.reset(&mut buffers.obs);
    let (nq, nv) = (task.model().nq(), task.model().nv());
    let mut first = ClipFrame { qpos: vec![0.0; nq], qvel: vec![0.0; nv], ..ClipFrame::default() };
    block.world_state(0, &mut first.qpos, &mut first.qvel);
    let mut frames = vec![first];
    for step in 1..=task.episode_steps() {
        block.clear_stats();
        buffers.step(block, task, &mut policy)?;
        let mut frame = ClipFrame {
            step: step as u32,
            action: buffers.actions.clone(),
            reward: buffers.reward[0],
            terms: block.stats().terms[..reward.term_names().len()].to_vec(),
            ..ClipFrame::default()
        };
        let ended = buffers.terminated[0] || buffers.truncated[0];
        if !ended {
            (frame.qpos, frame.qvel) = (vec![0.0; nq], vec![0.0; nv]);
            block.world_state(0, &mut frame.qpos, &mut frame.qvel);
        }
        frames.push(frame);
        if ended {
            break;
        }
    }
    let header = ClipHeader {
        format: 1,
        task: task.name.clone(),
        robot: task.model().name.clone(),
        reward: reward.name().to_string(),
        seed,
        dt: task.control_dt(),
        nq,
        nv,
        terms: reward.term_names().to_vec(),
    };
    Ok(Clip { header, frames })
}

/// Frames of a film strip, and the seconds between them.
const POSES: usize = 8;
const BETWEEN_S: f64 = 0.12;
/// A larger file is no clip of one episode.
const MAX_BYTES: u64 = 1 << 30;

impl Clip {
    /// Some poses in a row from the middle of the episode, `(seconds, qpos)`: a gait is over in about a second.
    pub(crate) fn poses(&self) -> Vec<(f64, Vec<f64>)> {
        let stride = (BETWEEN_S / self.header.dt).round().max(1.0) as usize;
        let full: Vec<&ClipFrame> = self.frames.iter().filter(|f| !f.qpos.is_empty()).collect();
        let start = (full.len() / 3).min(full.len().saturating_sub(stride.saturating_mul(POSES)));
        let pose =
            |f: &&ClipFrame| (f64::from(f.step) * self.header.dt, f.qpos.iter().map(|&x| f64::from(x)).collect());
        full[start..].iter().step_by(stride).take(POSES).map(pose).collect()
    }

    /// Writes JSON lines.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RunError> {
        let failed = |e: serde_json::Error| RunError::io("write", path, e.into());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| RunError::io("create", parent, e))?;
        }
        let mut text = serde_json::to_string(&self.header).map_err(failed)?;
        for frame in &self.frames {
            text.push('\n');
            text.push_str(&serde_json::to_string(frame).map_err(failed)?);
        }
        text.push('\n');
        Ok(pavlov_common::atomic::write(path, text.as_bytes())?)
    }

    /// Reads what [`Clip::write`] wrote.
    ///
    /// # Errors
    /// When it cannot be read or a line is not what it should be.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let text = pavlov_common::text::read_up_to(path, MAX_BYTES).map_err(|e| RunError::io("read", path, e))?;
        let wrong = |line: usize, e: String| RunError::damaged(path, format!("line {}: {e}", line + 1));
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().ok_or_else(|| wrong(0, "the file is empty".into()))?;
        let header: ClipHeader = serde_json::from_str(first).map_err(|e| wrong(0, e.to_string()))?;
        if !(header.dt.is_finite() && header.dt > 0.0) {
            return Err(wrong(0, format!("dt = {}: expected seconds between frames, above 0", header.dt)));
        }
        let (nq, nv, terms) = (header.nq, header.nv, header.terms.len());
        let frames = lines
            .map(|(i, line)| {
                let frame: ClipFrame = serde_json::from_str(line).map_err(|e| wrong(i, e.to_string()))?;
                let sizes = [(frame.qpos.len(), nq), (frame.qvel.len(), nv), (frame.terms.len(), terms)];
                match sizes.into_iter().find(|(found, expected)| *found != 0 && found != expected) {
                    Some((found, expected)) => Err(wrong(i, format!("{found} numbers, expected {expected}"))),
                    None => Ok(frame),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { header, frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{EvalOptions, evaluate};
    use crate::testing;

    #[test]
    fn a_clip_is_the_first_episode_of_the_evaluation() {
        let (dir, assets) = testing::assets("");
        let (task, reward) = testing::load(&assets);
        let (task, reward) = (Arc::new(task), Arc::new(reward));
        let config = pavlov_learn::PpoConfig::default();
        let policy = pavlov_learn::Ppo::new(config, task.policy_obs_dim(), 0, task.act_dim(), 1).unwrap().policy();
        let clip = record(&task, &reward, &policy, 7, Profile::Fast, BackendKind::Batch).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let options = EvalOptions { episodes: 9, seed: 7, profile: Profile::Fast, backend: BackendKind::Batch };
        let first = &evaluate(&task, &reward, &policy, options, &pool).unwrap().list[0];
        assert_eq!(clip.frames.len(), first.length as usize + 1);
        let sum: f64 = clip.frames.iter().map(|f| f64::from(f.reward)).sum();
        assert!((sum - first.episode_return).abs() < 1e-9, "{sum} {first:?}");
        let of_terms: f64 = clip.frames[1].terms.iter().sum();
        assert!((of_terms - f64::from(clip.frames[1].reward)).abs() < 1e-5);
        let path = dir.path().join("clips/a.jsonl");
        clip.write(&path).unwrap();
        assert_eq!(Clip::read(&path).unwrap(), clip);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        assert!(Clip::read(&path).unwrap_err().is_bad_input());
    }
}
