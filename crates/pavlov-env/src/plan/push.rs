//! Pushes: kicks to the velocity of the free joint; what is drawn for each, and when the next one is due.

use super::command::{after, steps_range};
use crate::error::EnvError;
use crate::rng::{Draw, Purpose};
use crate::task::text::{TaskText, checked};
use pavlov_model::{JointKind, Model};
use pavlov_physics::Real;
use serde::Deserialize;
use toml::Spanned;

/// `[push]`: kicks to the velocity of the free joint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Seconds between kicks, drawn uniformly from this range.
    pub interval_s: Spanned<[f64; 2]>,
    /// Horizontal speed added in a random direction, drawn from [0, this], m/s.
    pub speed: Spanned<f64>,
    /// Angular speed added about each axis, drawn from ±this, rad/s.
    #[serde(default)]
    pub spin: f64,
}

/// A checked `[push]`.
#[derive(Debug, Clone)]
pub(crate) struct PushPlan {
    /// First dof of the free joint.
    pub dof: usize,
    interval: [f32; 2],
    speed: f32,
    spin: f32,
}

impl PushPlan {
    /// Checks `[push]` against the robot.
    pub fn new(table: &Push, model: &Model, control_dt: f64, text: &TaskText) -> Result<Self, EnvError> {
        let Some(free) = model.joints.iter().find(|j| j.kind == JointKind::Free) else {
            return Err(text.error(table.speed.span(), "pushes kick a free joint, and this robot has none"));
        };
        let speed = checked(&table.speed, text, "speed", |v| v.is_finite() && v >= 0.0, "0 or more, m/s")? as f32;
        let interval = steps_range(&table.interval_s, control_dt, text, "interval_s")?;
        Ok(Self { dof: free.dofadr, interval, speed, spin: table.spin as f32 })
    }

    /// The step of the next push.
    pub fn next<D: Draw>(&self, open: impl Fn(Purpose) -> D, step: D::N) -> D::N {
        after::<D>(step, open(Purpose::PushTime).uniform(self.interval[0], self.interval[1]))
    }

    /// Change of the free joint's velocity: linear in world axes, angular in body axes.
    pub fn kick<D: Draw>(&self, open: impl Fn(Purpose) -> D) -> [D::N; 6] {
        let mut stream = open(Purpose::Push);
        let (sin, cos) = stream.uniform(0.0, std::f32::consts::TAU).sin_cos();
        let speed = stream.uniform(0.0, self.speed);
        let mut spin = || stream.uniform(-self.spin, self.spin);
        [speed * cos, speed * sin, D::N::ZERO, spin(), spin(), spin()]
    }
}
