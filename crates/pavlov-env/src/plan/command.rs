//! Commands: what the policy is asked to do, drawn at the beginning of an episode and again after a while.

use crate::error::EnvError;
use crate::rng::{Draw, Purpose};
use crate::task::text::{TaskText, checked_range};
use pavlov_physics::Real;
use serde::Deserialize;
use toml::Spanned;

/// `[command]`: values that the policy is to follow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTable {
    /// The values, in order.
    pub values: Vec<CommandValue>,
    /// Seconds between changes, drawn uniformly from this range. Omitted: once per episode.
    pub resample_s: Option<Spanned<[f64; 2]>>,
    /// Share of draws in which all values are 0 (stand still).
    #[serde(default)]
    pub zero_share: f64,
}

/// One value of a command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandValue {
    /// Name, as `s.command.<name>`.
    pub name: Spanned<String>,
    /// Drawn uniformly from here.
    pub range: Spanned<[f64; 2]>,
    /// Draws smaller than this in size become 0.
    #[serde(default)]
    pub deadband: f64,
}

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
    pub fn new(table: &CommandTable, control_dt: f64, text: &TaskText) -> Result<Self, EnvError> {
        let mut plan = Self { zero_share: table.zero_share as f32, ..Self::default() };
        if !(0.0..=1.0).contains(&table.zero_share) {
            let message = format!("{}: command zero_share {}: expected 0 to 1", text.path.display(), table.zero_share);
            return Err(EnvError::Usage(message));
        }
        if table.values.len() > MAX_VALUES {
            let (path, n) = (text.path.display(), table.values.len());
            return Err(EnvError::Usage(format!("{path}: {n} command values: expected at most {MAX_VALUES}")));
        }
        for value in &table.values {
            let name = value.name.get_ref();
            if plan.names.contains(name) {
                return Err(text.error(value.name.span(), format!("a second command value `{name}`")));
            }
            plan.names.push(name.clone());
            plan.ranges.push(checked_range(&value.range, text, "a command range")?.map(|v| v as f32));
            plan.deadband.push(value.deadband as f32);
        }
        if let Some(seconds) = &table.resample_s {
            plan.interval = Some(steps_range(seconds, control_dt, text, "resample_s")?);
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

/// The step `interval` steps on, at least the next one.
pub(crate) fn after<D: Draw>(step: D::N, interval: D::N) -> D::N {
    step + (interval + D::N::splat(0.5)).floor().max(D::N::ONE)
}

/// A range in seconds, as control steps.
pub(crate) fn steps_range(
    seconds: &Spanned<[f64; 2]>,
    dt: f64,
    text: &TaskText,
    key: &str,
) -> Result<[f32; 2], EnvError> {
    let [low, high] = checked_range(seconds, text, key)?;
    if low <= 0.0 {
        return Err(text.error(seconds.span(), format!("`{key}` from {low} s: expected a positive time")));
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
