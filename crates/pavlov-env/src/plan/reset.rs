//! Where an episode starts: keyframe or `qpos0`, noise on all coordinates, ranges on some, and a turn about the vertical.

use crate::error::{EnvError, hint};
use crate::rng::{Draw, Purpose};
use crate::task::text::{TaskText, checked_range, keyframe};
use pavlov_model::{JointKind, Model};
use pavlov_physics::Real;
use serde::Deserialize;
use toml::Spanned;

/// `[reset]`: where an episode starts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Keyframe to start from; `qpos0` at rest when omitted.
    pub from: Option<Spanned<String>>,
    /// Noise added to every coordinate (as Gymnasium does: also to quaternions, which the engine normalises).
    pub qpos_noise: Option<Noise>,
    /// Noise added to every velocity.
    pub qvel_noise: Option<Noise>,
    /// Uniform additions to single coordinates.
    #[serde(default)]
    pub ranges: Vec<ResetRange>,
    /// Free joints are turned about the vertical by an angle from this range, rad.
    pub yaw: Option<Spanned<[f64; 2]>>,
    /// Free joints are tilted by an angle from this range about a horizontal axis of random direction, rad: starts for learning to
    /// get up.
    pub tilt: Option<Spanned<[f64; 2]>>,
}

/// Noise on all coordinates.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Distribution.
    pub kind: NoiseKind,
    /// Half width of the uniform, standard deviation of the normal.
    pub scale: f64,
}

/// Distribution of reset noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseKind {
    /// Uniform in ±scale.
    Uniform,
    /// Normal with standard deviation scale.
    Normal,
}

/// A uniform addition to one coordinate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetRange {
    /// Joint, or `*` for every hinge and slide joint.
    pub joint: Spanned<String>,
    /// Which coordinate of the joint (a free joint's 0, 1, 2 are x, y, z; of `qvel` 3, 4, 5 are its rotation).
    #[serde(default)]
    pub component: usize,
    /// Added to qpos.
    pub qpos: Option<Spanned<[f64; 2]>>,
    /// Added to qvel.
    pub qvel: Option<Spanned<[f64; 2]>>,
}

/// A uniform addition to one coordinate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    index: usize,
    low: f32,
    high: f32,
}

/// A checked `[reset]`.
#[derive(Debug, Clone)]
pub(crate) struct ResetPlan {
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    qpos_noise: Option<Noise>,
    qvel_noise: Option<Noise>,
    qpos_ranges: Vec<Range>,
    qvel_ranges: Vec<Range>,
    /// First quaternion coordinate of each free joint, and its angle range.
    yaw: Vec<(usize, f32, f32)>,
    tilt: Vec<(usize, f32, f32)>,
}

impl ResetPlan {
    /// Checks `[reset]` against the robot.
    pub fn new(table: &Reset, model: &Model, text: &TaskText) -> Result<Self, EnvError> {
        let (qpos, qvel) = match &table.from {
            Some(name) => {
                let key = keyframe(model, name, text)?;
                (key.qpos.clone(), key.qvel.clone())
            }
            None => (model.qpos0.clone(), vec![0.0; model.nv()]),
        };
        for noise in [table.qpos_noise, table.qvel_noise].into_iter().flatten() {
            if !(noise.scale.is_finite() && noise.scale >= 0.0) {
                let message =
                    format!("{}: reset noise of scale {}: expected 0 or more", text.path.display(), noise.scale);
                return Err(EnvError::Usage(message));
            }
        }
        let (mut qpos_ranges, mut qvel_ranges) = (Vec::new(), Vec::new());
        for range in &table.ranges {
            let name = range.joint.get_ref();
            let moving = |k: JointKind| matches!(k, JointKind::Hinge | JointKind::Slide);
            let joints: Vec<_> =
                model.joints.iter().filter(|j| if name == "*" { moving(j.kind) } else { j.name == *name }).collect();
            if joints.is_empty() {
                let close = hint(name, model.joints.iter().map(|j| j.name.as_str()));
                return Err(text.error(range.joint.span(), format!("no joint `{name}`{close}")));
            }
            for joint in joints {
                let (nq, nv) = match joint.kind {
                    JointKind::Free => (3, 6), // the quaternion is turned by `yaw` only
                    JointKind::Ball => (0, 3),
                    JointKind::Hinge | JointKind::Slide => (1, 1),
                };
                for (bounds, ranges, n, base) in [
                    (&range.qpos, &mut qpos_ranges, nq, joint.qposadr),
                    (&range.qvel, &mut qvel_ranges, nv, joint.dofadr),
                ] {
                    let Some(bounds) = bounds else { continue };
                    let [low, high] = checked_range(bounds, text, "a reset range")?;
                    if range.component >= n {
                        let component = range.component;
                        let message =
                            format!("component {component} of joint `{}`: expected one below {n}", joint.name);
                        return Err(text.error(bounds.span(), message));
                    }
                    ranges.push(Range { index: base + range.component, low: low as f32, high: high as f32 });
                }
            }
        }
        let turns = |bounds: &Option<Spanned<[f64; 2]>>, key: &str| {
            let Some(bounds) = bounds else { return Ok(Vec::new()) };
            let [low, high] = checked_range(bounds, text, &format!("a {key} range"))?;
            let free = model.joints.iter().filter(|j| j.kind == JointKind::Free);
            let turned: Vec<_> = free.map(|j| (j.qposadr + 3, low as f32, high as f32)).collect();
            match turned.is_empty() {
                true => Err(text.error(bounds.span(), format!("`{key}` turns free joints, and this robot has none"))),
                false => Ok(turned),
            }
        };
        let (yaw, tilt) = (turns(&table.yaw, "yaw")?, turns(&table.tilt, "tilt")?);
        Ok(Self {
            qpos,
            qvel,
            qpos_noise: table.qpos_noise,
            qvel_noise: table.qvel_noise,
            qpos_ranges,
            qvel_ranges,
            yaw,
            tilt,
        })
    }

    /// The initial state of an episode; `open` gives the stream of a purpose.
    pub fn draw<D: Draw>(&self, open: impl Fn(Purpose) -> D, qpos: &mut [D::N], qvel: &mut [D::N]) {
        let splat = |v: f64| D::N::splat(v);
        qpos.iter_mut().zip(&self.qpos).for_each(|(to, &v)| *to = splat(v));
        qvel.iter_mut().zip(&self.qvel).for_each(|(to, &v)| *to = splat(v));
        for (noise, values, purpose) in
            [(self.qpos_noise, &mut *qpos, Purpose::ResetQpos), (self.qvel_noise, &mut *qvel, Purpose::ResetQvel)]
        {
            let Some(noise) = noise else { continue };
            let mut stream = open(purpose);
            for value in values {
                let drawn = match noise.kind {
                    NoiseKind::Uniform => stream.uniform(-1.0, 1.0),
                    NoiseKind::Normal => stream.normal(),
                };
                *value += splat(noise.scale) * drawn;
            }
        }
        let mut stream = open(Purpose::ResetRange);
        for r in &self.qpos_ranges {
            qpos[r.index] += stream.uniform(r.low, r.high);
        }
        for r in &self.qvel_ranges {
            qvel[r.index] += stream.uniform(r.low, r.high);
        }
        for &(at, low, high) in &self.yaw {
            let (s, c) = (splat(0.5) * stream.uniform(low, high)).sin_cos();
            turn(&mut qpos[at..at + 4], [c, D::N::ZERO, D::N::ZERO, s]);
        }
        for &(at, low, high) in &self.tilt {
            let (sin, cos) = stream.uniform(0.0, std::f32::consts::TAU).sin_cos();
            let (s, c) = (splat(0.5) * stream.uniform(low, high)).sin_cos();
            turn(&mut qpos[at..at + 4], [c, s * cos, s * sin, D::N::ZERO]);
        }
    }
}

/// `by * quaternion`: a turn in world axes.
fn turn<R: Real>(quaternion: &mut [R], by: [R; 4]) {
    let ([a, b, c, d], [w, x, y, z]) = (by, [quaternion[0], quaternion[1], quaternion[2], quaternion[3]]);
    quaternion.copy_from_slice(&[
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]);
}
