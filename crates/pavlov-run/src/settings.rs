//! Settings by name: the task's `[learner]` table and `--set key=value` on the command line, checked against one list
//! of names.

use crate::error::RunError;
use pavlov_env::Task;
use pavlov_learn::PpoConfig;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// What belongs to the run rather than to the learner. Every field has a default; all can be given by name like the
/// learner's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Updates between checkpoints that are kept in folders of their own; 0 = after every 131,072 environment steps or
    /// so. Independently of it every update goes to a slot, so that `kill -9` loses at most the current one.
    pub checkpoint_every: u64,
    /// Folders of checkpoints kept besides the best one.
    pub keep_checkpoints: usize,
    /// Updates between evaluations while training; 0 = none but the final one.
    pub eval_every: u64,
    /// Episodes of an evaluation, the final one included.
    pub eval_episodes: usize,
    /// Megabytes of rollouts a run keeps for re-scoring, before, during and after training; 0 = none.
    pub rollout_mb: u64,
    /// Training ends when the mean fitness of recent episodes is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_fitness: Option<f64>,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            checkpoint_every: 0,
            keep_checkpoints: 3,
            eval_every: 0,
            eval_episodes: 20,
            rollout_mb: 64,
            target_fitness: None,
        }
    }
}

/// Environment steps between checkpoints in folders, unless said otherwise: their files then take well below 2% of the
/// time.
const CHECKPOINT_STEPS: u64 = 1 << 17;

/// Environment steps that a task itself asks for; none when it leaves them to the learner.
///
/// # Errors
/// When `total_steps` in its `[learner]` is no whole number above 0.
pub fn own_steps(task: &Task) -> Result<Option<u64>, RunError> {
    match task.learner.get("total_steps").map(|v| whole(v.clone(), true)) {
        None => Ok(None),
        Some(Value::Integer(steps)) if steps > 0 => Ok(Some(steps as u64)),
        Some(other) => {
            let message = format!("{other}: expected a whole number above 0");
            Err(setting("total_steps", &task.path.display().to_string(), message))
        }
    }
}

/// Names of run settings (`target_fitness` has no default, so it would not show in a serialised one).
const RUN_KEYS: [&str; 6] =
    ["checkpoint_every", "keep_checkpoints", "eval_every", "eval_episodes", "rollout_mb", "target_fitness"];

impl RunSettings {
    fn validate(&self) -> Result<(), RunError> {
        let bad = |key: &str, message: &str| {
            Err(RunError::Setting { key: key.into(), place: String::new(), message: message.into() })
        };
        if self.keep_checkpoints == 0 {
            return bad("keep_checkpoints", "is 0: expected at least 1");
        }
        if !(1..=100_000).contains(&self.eval_episodes) {
            return bad("eval_episodes", "expected 1 to 100000");
        }
        if self.target_fitness.is_some_and(|f| !f.is_finite()) {
            return bad("target_fitness", "expected a finite number");
        }
        Ok(())
    }
}

/// Settings being put together, layer by layer; a later layer wins.
#[derive(Debug)]
pub(crate) struct Layers {
    learner: Table,
    run: Table,
    /// Reward parameters, in the order given.
    pub reward: Vec<(String, f64)>,
}

impl Layers {
    /// The defaults.
    pub fn new() -> Result<Self, RunError> {
        let impossible = |e: toml::ser::Error| RunError::Failed(format!("defaults: {e}"));
        let learner = Table::try_from(PpoConfig::default()).map_err(impossible)?;
        let run = Table::try_from(RunSettings::default()).map_err(impossible)?;
        Ok(Self { learner, run, reward: Vec::new() })
    }

    /// A table of a file, for example the task's `[learner]`.
    pub fn table(&mut self, table: &Table, place: &str) -> Result<(), RunError> {
        table.iter().try_for_each(|(key, value)| self.set(key, value.clone(), place))
    }

    /// `key=value` of the command line.
    pub fn argument(&mut self, text: &str) -> Result<(), RunError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(RunError::Usage(format!("`--set {text}`: expected key=value, for example learning_rate=1e-3")));
        };
        let (key, value) = (key.trim(), value.trim());
        if let Some(param) = key.strip_prefix("reward.") {
            let number: f64 = value.parse().map_err(|_| setting(key, "", format!("`{value}` is not a number")))?;
            self.reward.push((param.to_string(), number));
            return Ok(());
        }
        // A word without quotes (`schedule=linear`) is no TOML, but what is meant is plain.
        let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("value"));
        self.set(key, parsed.unwrap_or_else(|| Value::String(value.to_string())), "")
    }

    /// One setting by name.
    pub fn set(&mut self, key: &str, value: Value, place: &str) -> Result<(), RunError> {
        if RUN_KEYS.contains(&key) {
            self.run.insert(key.to_string(), whole(value, key != "target_fitness"));
            return check::<RunSettings>(&self.run).map_err(|message| setting(key, place, message));
        }
        match self.learner.get(key) {
            Some(default) => {
                let value = whole(value, default.is_integer());
                self.learner.insert(key.to_string(), value);
                check::<PpoConfig>(&self.learner).map_err(|message| setting(key, place, message))
            }
            None => {
                let names: Vec<&str> = self.learner.keys().map(String::as_str).chain(RUN_KEYS).collect();
                let hint = pavlov_model::did_you_mean(key, names.iter().copied());
                let more = if place.is_empty() { " (parameters of the reward are written reward.NAME=x)" } else { "" };
                Err(setting(key, place, format!("there is no such setting: {hint}{more}")))
            }
        }
    }

    /// The settings, checked.
    pub fn finish(&self) -> Result<(PpoConfig, RunSettings), RunError> {
        let bad = |message| setting("learner", "", message);
        let learner: PpoConfig = read(&self.learner).map_err(bad)?;
        learner.validate()?;
        let mut run: RunSettings = read(&self.run).map_err(bad)?;
        run.validate()?;
        if run.checkpoint_every == 0 {
            run.checkpoint_every = CHECKPOINT_STEPS.div_ceil((learner.worlds * learner.horizon) as u64).max(1);
        }
        Ok((learner, run))
    }
}

fn setting(key: &str, place: &str, message: String) -> RunError {
    let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
    RunError::Setting { key: key.into(), place, message }
}

/// `1e6` where a whole number is wanted is 1000000.
fn whole(value: Value, wanted: bool) -> Value {
    match value {
        Value::Float(x) if wanted && x.fract() == 0.0 && x.abs() < 9e15 => Value::Integer(x as i64),
        other => other,
    }
}

fn read<T: serde::de::DeserializeOwned>(table: &Table) -> Result<T, String> {
    table.clone().try_into().map_err(|e: toml::de::Error| e.message().to_string())
}

fn check<T: serde::de::DeserializeOwned>(table: &Table) -> Result<(), String> {
    read::<T>(table).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(argument: &str) -> String {
        Layers::new().unwrap().argument(argument).unwrap_err().to_string()
    }

    #[test]
    fn later_layers_win() {
        let mut layers = Layers::new().unwrap();
        let task: Table = toml::from_str("learning_rate = 1e-3\nhorizon = 16\ngamma = 1").unwrap();
        layers.table(&task, "tasks/t.toml").unwrap();
        for argument in ["horizon=32", "total_steps=2e6", "schedule=linear", "actor_hidden=[8, 8]", "reward.w=-2"] {
            layers.argument(argument).unwrap();
        }
        layers.argument(" eval_every = 5").unwrap();
        let (learner, run) = layers.finish().unwrap();
        assert_eq!((learner.learning_rate, learner.horizon, learner.total_steps), (1e-3, 32, 2_000_000));
        assert_eq!((learner.gamma, learner.schedule), (1.0, pavlov_learn::Schedule::Linear));
        assert_eq!((learner.actor_hidden, run.eval_every), (vec![8, 8], 5));
        assert_eq!(run.checkpoint_every, 131_072 / (64 * 32));
        assert_eq!(layers.reward, [("w".to_string(), -2.0)]);
    }

    #[test]
    fn slips_are_told_with_what_was_meant() {
        assert!(error("learning_rat=1").contains("did you mean `learning_rate`?"));
        assert!(error("eval_evry=1").contains("`eval_every`"));
        assert!(error("horizon").contains("key=value"));
        assert!(error("reward.w=x").contains("not a number"));
        assert!(error("horizon=1.5").contains("horizon"));
        assert!(error("schedule=lineal").contains("linear"));
        let task: Table = toml::from_str("horizn = 3").unwrap();
        let text = Layers::new().unwrap().table(&task, "tasks/t.toml").unwrap_err().to_string();
        assert!(text.contains("in tasks/t.toml") && text.contains("`horizon`"), "{text}");
    }

    #[test]
    fn values_out_of_range_are_errors() {
        for argument in ["keep_checkpoints=0", "eval_episodes=0", "gamma=2", "target_fitness=nan", "worlds=0"] {
            let mut layers = Layers::new().unwrap();
            layers.argument(argument).unwrap();
            let text = layers.finish().unwrap_err().to_string();
            assert!(text.contains(argument.split('=').next().unwrap()), "{text}");
        }
    }

    #[test]
    fn steps_of_a_task_may_be_written_either_way() {
        let mut task = Task::load(&pavlov_env::Assets::find(None), "cartpole_balance").unwrap();
        assert_eq!(own_steps(&task).unwrap(), Some(400_000));
        task.learner.insert("total_steps".into(), Value::Float(2e6));
        assert_eq!(own_steps(&task).unwrap(), Some(2_000_000));
        for wrong in [Value::Float(0.5), Value::Integer(0), Value::String("many".into())] {
            task.learner.insert("total_steps".into(), wrong);
            let text = own_steps(&task).unwrap_err().to_string();
            assert!(text.contains("total_steps") && text.contains("cartpole_balance.toml"), "{text}");
        }
        task.learner.remove("total_steps");
        assert_eq!(own_steps(&task).unwrap(), None);
    }
}
