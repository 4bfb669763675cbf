//! Sources that are outside of the program: native plugins, baselines, learned models.
//!
//! A source of a reward graph computes one column, a number a world, from columns of the state. The environment has one
//! of its own for every block of worlds and calls it once a step, after physics and after the task's termination is
//! known, before the reward's program. It may remember what it likes: [`RewardSource::reset`] says when a world begins
//! a new episode, and [`RewardSource::save`] puts it into checkpoints.
//!
//! ```
//! use pavlov_reward::{RewardSource, SourceStep, register_source};
//! use pavlov_script::{Channel, Input};
//!
//! /// Height of the first free body above a mark.
//! #[derive(Debug)]
//! struct Above { mark: f32 }
//!
//! impl RewardSource for Above {
//!     fn inputs(&self) -> Vec<Input> { vec![Input::now(Channel::Qpos(2))] }
//!     fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
//!         for (y, z) in out.iter_mut().zip(step.column(0)) { *y = z - self.mark; }
//!         Ok(())
//!     }
//! }
//!
//! register_source("above", |setup| {
//!     let mark = setup.options.get("mark").and_then(|m| m.as_float()).ok_or("`mark` is missing")?;
//!     Ok(Box::new(Above { mark: mark as f32 }))
//! });
//! ```
//! and in `reward.toml`: `[sources.above]`, `kind = "native"`, `plugin = "above"`, `options = { mark = 0.3 }`. A
//! vision-language or preference model is such a source too: it reads columns (or keeps a renderer of its own), and its
//! column is a term like any other.

use pavlov_script::{Input, Scene};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// What a source is made for.
#[derive(Debug, Clone, Copy)]
pub struct SourceSetup<'a> {
    /// What scripts may name.
    pub scene: &'a Arc<Scene>,
    /// The robot.
    pub model: &'a Arc<pavlov_model::Model>,
    /// Options from the manifest.
    pub options: &'a toml::Table,
    /// The reward it is for, with the present values of its parameters.
    pub reward: &'a crate::Reward,
    /// Solver profile of the environment.
    pub profile: &'a str,
    /// Seed of the environment.
    pub seed: u64,
    /// First world of the block.
    pub first_world: usize,
    /// Worlds of the block.
    pub worlds: usize,
    /// Longest episode, control steps.
    pub episode_steps: usize,
    /// Is the task randomised and noisy, as in training?
    pub disturb: bool,
    /// Worlds, one after another, that share their random numbers.
    pub siblings: usize,
}

/// One step of a block.
#[derive(Debug, Clone, Copy)]
pub struct SourceStep<'a> {
    /// Worlds; columns may be longer.
    pub worlds: usize,
    /// Numbers from one column to the next.
    pub stride: usize,
    /// Columns `[input][stride]` in the order of [`RewardSource::inputs`].
    pub columns: &'a [f32],
    /// Does the task end the episode here (not by its time limit)?
    pub terminated: &'a [bool],
    /// Steps of the episode so far, this one included.
    pub step: &'a [u32],
}

impl<'a> SourceStep<'a> {
    /// Column `i` of the inputs, a number a world.
    pub fn column(&self, i: usize) -> &'a [f32] {
        &self.columns[i * self.stride..][..self.worlds]
    }
}

/// A column of the reward graph that is computed outside of the program. See the module's documentation.
pub trait RewardSource: Send + Debug {
    /// Columns of the state it reads.
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    /// World `world` of the block begins its episode number `episode`.
    fn reset(&mut self, world: usize, episode: u32) {
        let _ = (world, episode);
    }

    /// Writes the number of every world for this step. A value that is not finite is counted and makes the step's
    /// reward 0.
    ///
    /// # Errors
    /// What went wrong and what to do about it; training ends with it.
    fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String>;

    /// Numbers for the run's log, by name.
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// The state it keeps between steps, for a checkpoint.
    fn save(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what [`RewardSource::save`] gave.
    ///
    /// # Errors
    /// When the bytes are not the state of such a source.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(format!("{} bytes for a source that remembers nothing", bytes.len()))
        }
    }
}

/// Makes a source for a block.
pub type SourceFactory = Arc<dyn Fn(&SourceSetup<'_>) -> Result<Box<dyn RewardSource>, String> + Send + Sync>;

static REGISTERED: LazyLock<Mutex<BTreeMap<String, SourceFactory>>> = LazyLock::new(Mutex::default);

/// Makes a source known under a name, for `kind = "native"` with `plugin = "name"`. A later one of the same name takes
/// its place.
pub fn register_source(
    name: &str,
    factory: impl Fn(&SourceSetup<'_>) -> Result<Box<dyn RewardSource>, String> + Send + Sync + 'static,
) {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), Arc::new(factory));
}

/// The factory of that name; if there is none, a message that lists those there are.
pub(crate) fn registered(name: &str) -> Result<SourceFactory, String> {
    let plugins = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    plugins.get(name).cloned().ok_or_else(|| {
        let hint = pavlov_model::did_you_mean(name, plugins.keys().map(String::as_str).collect::<Vec<_>>());
        format!("no plugin `{name}` is registered in this program: {hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Plain;

    impl RewardSource for Plain {
        fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
            out.copy_from_slice(step.column(1));
            Ok(())
        }
    }

    #[test]
    fn a_source_reads_its_columns_and_remembers_nothing_unless_it_says_so() {
        let columns = [1.0, 2.0, 0.0, 3.0, 4.0, 0.0];
        let step = SourceStep { worlds: 2, stride: 3, columns: &columns, terminated: &[false; 2], step: &[1, 1] };
        let mut out = [0.0; 2];
        Plain.evaluate(&step, &mut out).unwrap();
        assert_eq!((out, step.column(0)), ([3.0, 4.0], &[1.0, 2.0][..]));
        assert!(Plain.inputs().is_empty() && Plain.numbers().is_empty() && Plain.save().is_empty());
        assert!(Plain.restore(&[]).is_ok() && Plain.restore(&[1]).is_err());
    }

    #[test]
    fn an_unknown_plugin_is_told_with_those_there_are() {
        register_source("above", |_| Ok(Box::new(Plain)));
        assert!(registered("above").is_ok());
        let error = registered("abov").err().unwrap();
        assert!(error.contains("no plugin `abov`") && error.contains("`above`"), "{error}");
    }
}
