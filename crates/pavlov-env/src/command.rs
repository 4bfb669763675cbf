//! Commands and pushes: what is drawn at the beginning of an episode and again after a while.

use crate::error::EnvError;
use crate::parse::Source;
use crate::rng::{Draw, Purpose};
use crate::schema::{CommandTable, Push};
use crate::task::{at, at_range};
use pavlov_model::{JointKind, Model};
use pavlov_physics::Real;

/// Values a command may have, at most.
pub(crate) const MAX_VALUES: usize = 64;

/// A checked `[command]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommandPlan {
    pub names: Vec<String>,
    ranges: Vec<[f32; 2]>,
    deadband: Vec<f32>,
    zero_share: f32,
    /// Control steps between draws.
    interval: Option<[f32; 2]>,
}

impl CommandPlan {
    /// Checks `[command]`.
    pub fn new(table: &CommandTable, control_dt: f64, source: &Source) -> Result<Self, EnvError> {
        let mut plan = Self { zero_share: table.zero_share as f32, ..Self::default() };
        if !(0.0..=1.0).contains(&table.zero_share) {
            let message =
                format!("{}: command zero_share {}: expected 0 to 1", source.path.display(), table.zero_share);
            return Err(EnvError::Usage(message));
        }
        if table.values.len() > MAX_VALUES {
            let (path, n) = (source.path.display(), table.values.len());
            return Err(EnvError::Usage(format!("{path}: {n} command values: expected at most {MAX_VALUES}")));
        }
        for value in &table.values {
            let name = value.name.get_ref();
            if plan.names.contains(name) {
                return Err(source.error(value.name.span(), format!("a second command value `{name}`")));
            }
            plan.names.push(name.clone());
            plan.ranges.push(at_range(&value.range, source, "a command range")?.map(|v| v as f32));
            plan.deadband.push(value.deadband as f32);
        }
        if let Some(seconds) = &table.resample_s {
            plan.interval = Some(steps_range(seconds, control_dt, source, "resample_s")?);
        }
        Ok(plan)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Draws new values and the step of the next draw, [`NEVER`] if there is none; `open` gives the stream of a purpose at `step`.
    pub fn draw<D: Draw>(&self, open: impl Fn(Purpose) -> D, step: D::N, values: &mut [D::N]) -> D::N {
        let mut stream = open(Purpose::Command);
        let zero = stream.unit().lt(D::N::splat(f64::from(self.zero_share)));
        for (i, value) in values.iter_mut().enumerate() {
            let [low, high] = self.ranges[i];
            let drawn = stream.uniform(low, high);
            let small = zero | drawn.abs().lt(D::N::splat(f64::from(self.deadband[i])));
            *value = D::N::select(small, D::N::ZERO, drawn);
        }
        match self.interval {
            Some([low, high]) => after::<D>(step, open(Purpose::CommandTime).uniform(low, high)),
            None => D::N::splat(NEVER),
        }
    }
}

/// A step that no episode reaches.
pub(crate) const NEVER: f64 = u32::MAX as f64;

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
    pub fn new(table: &Push, model: &Model, control_dt: f64, source: &Source) -> Result<Self, EnvError> {
        let Some(free) = model.joints.iter().find(|j| j.kind == JointKind::Free) else {
            return Err(source.error(table.speed.span(), "pushes kick a free joint, and this robot has none"));
        };
        let speed = at(&table.speed, source, "speed", |v| v.is_finite() && v >= 0.0, "0 or more, m/s")? as f32;
        let interval = steps_range(&table.interval_s, control_dt, source, "interval_s")?;
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

/// The step `interval` steps on, at least the next one.
fn after<D: Draw>(step: D::N, interval: D::N) -> D::N {
    step + D::whole(interval).max(D::N::ONE)
}

/// A range in seconds, as control steps.
fn steps_range(seconds: &toml::Spanned<[f64; 2]>, dt: f64, source: &Source, key: &str) -> Result<[f32; 2], EnvError> {
    let [low, high] = at_range(seconds, source, key)?;
    if low <= 0.0 {
        return Err(source.error(seconds.span(), format!("`{key}` from {low} s: expected a positive time")));
    }
    Ok([(low / dt) as f32, (high / dt) as f32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stay_in_range_and_come_again_in_time() {
        let plan = CommandPlan {
            names: vec!["vx".into(), "vy".into()],
            ranges: vec![[-1.0, 2.0], [0.5, 0.5]],
            deadband: vec![0.25, 0.0],
            zero_share: 0.2,
            interval: Some([10.0, 20.0]),
        };
        let rng = crate::rng::WorldRng::new(3, 4);
        let (mut zeros, mut values) = (0, [0.0; 2]);
        for episode in 0..2000 {
            let next = plan.draw(|p| rng.stream(p, episode, 7), 7.0, &mut values);
            assert!((17.0..=27.0).contains(&next));
            assert!((-1.0..2.0).contains(&values[0]) && (values[0] == 0.0 || values[0].abs() >= 0.25));
            zeros += usize::from(values[1] == 0.0);
        }
        // 400 expected, standard deviation 18.
        assert!((310..490).contains(&zeros), "{zeros}");
    }
}
