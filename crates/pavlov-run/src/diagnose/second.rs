//! A reward under a second learner setting: does it work only with the one it was made with?
//!
//! Booth, Knox, Shah, Niekum, Stone, Allievi, "The perils of trial-and-error reward design" (2023): rewards tuned by
//! hand fit the algorithm they were tuned with. A second run of the same task, reward and number of steps has another
//! discount, learning rate and net; both are compared by fitness.

use super::Symptom;
use crate::config::{Overrides, RunConfig};
use crate::error::RunError;
use crate::evaluate::Stat;
use crate::folder::RunFolder;
use crate::list::read_summary;
use crate::logs::{MetricsLine, read_lines};
use crate::train::Trainer;
use pavlov_common::own;
use pavlov_env::Assets;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// A learner that reaches less than this share of the other's fitness was not made for this reward, or the reward not
/// for it.
const SHARE: f64 = 0.5;

/// `second.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Settings that differ from the run's.
    pub settings: Vec<String>,
    /// Environment steps of the second run.
    pub env_steps: u64,
    /// Mean fitness of the run's training episodes at that number of steps.
    pub first_fitness: Option<f64>,
    /// The same of the second run.
    pub second_fitness: Option<f64>,
    /// Fitness in the second run's final evaluation.
    pub evaluation: Stat,
    /// Mean return of training episodes, of both.
    pub returns: [Option<f64>; 2],
}

impl Second {
    /// What differs, when it differs much.
    pub(crate) fn symptom(&self) -> Option<Symptom> {
        let (a, b) = (self.first_fitness?, self.second_fitness?);
        let settings = self.settings.join(" ");
        let (low, high) = (a.min(b), a.max(b));
        let seen =
            format!("fitness {a:.3} with the run's learner and {b:.3} with {settings}, after {} steps", self.env_steps);
        Some(if high > 0.0 && low < SHARE * high {
            Symptom::warning(
                "learner",
                seen,
                "the reward works with one learner only: tune it with both, or say which it needs",
            )
        } else {
            Symptom::note("learner", seen, "the reward works with either")
        })
    }
}

/// Settings of the second learner, made from the run's.
fn other(config: &RunConfig) -> Vec<String> {
    let learner = &config.learner;
    let gamma = if learner.gamma > 0.98 { 0.97 } else { 0.99 };
    let hidden = if learner.actor_hidden == [128, 128] { 64 } else { 128 };
    vec![
        format!("gamma={gamma}"),
        format!("learning_rate={}", 0.5 * learner.learning_rate),
        format!("actor_hidden=[{hidden}, {hidden}]"),
        format!("critic_hidden=[{hidden}, {hidden}]"),
    ]
}

/// Trains the run's task and reward with a second learner setting (`asked`, or one made from the run's) into its folder
/// `second/`, and writes `second.json`. `steps` defaults to the run's.
///
/// # Errors
/// When the run cannot be read or the training fails.
pub fn second(
    folder: &RunFolder,
    asked: &[String],
    steps: Option<u64>,
    threads: Option<usize>,
    stop: &AtomicBool,
    mut each: impl FnMut(&Trainer, &crate::train::Update),
) -> Result<Second, RunError> {
    let config = RunConfig::read(&folder.config())?;
    let steps_done = read_summary(folder).map_or(0, |s| s.env_steps);
    let steps = steps
        .or(Some(steps_done).filter(|s| *s > 0))
        .ok_or_else(|| RunError::Usage("the run has no steps yet".into()))?;
    let settings = if asked.is_empty() { other(&config) } else { asked.to_vec() };
    let mut set = config.overrides();
    set.extend(settings.iter().cloned());
    let overrides = Overrides {
        seed: Some(config.seed.wrapping_add(1)),
        steps: Some(steps),
        threads,
        profile: Some(config.profile()?),
        set,
        ..Overrides::default()
    };
    let out = folder.root().join("second");
    own::remove(&out, crate::folder::RUN_FOLDER)?;
    let assets = Assets::from_roots([folder.inputs()]);
    let reward = folder.inputs().join("reward").display().to_string();
    let task = crate::inputs::safe(&config.task);
    let mut trainer = Trainer::create(&assets, &task, Some(&reward), &overrides, folder.root(), Some(&out))?;
    let reason = trainer.run(stop, |t, u| each(t, u))?;
    let summary = trainer.finish(reason)?;
    let latest = |metrics: &[MetricsLine], f: fn(&MetricsLine) -> Option<f64>| {
        metrics.iter().rev().filter(|m| m.env_steps <= summary.env_steps).find_map(f)
    };
    let first: Vec<MetricsLine> = read_lines(&folder.metrics())?;
    let then: Vec<MetricsLine> = read_lines(&trainer.folder().metrics())?;
    let result = Second {
        settings,
        env_steps: summary.env_steps,
        first_fitness: latest(&first, |m| m.recent_fitness),
        second_fitness: latest(&then, |m| m.recent_fitness),
        evaluation: summary.evaluation.map(|e| e.fitness).unwrap_or_default(),
        returns: [latest(&first, |m| m.ended.episode_return), latest(&then, |m| m.ended.episode_return)],
    };
    let text = serde_json::to_string_pretty(&result).map_err(|e| RunError::Failed(format!("second.json: {e}")))?;
    folder.write(&folder.second(), text.as_bytes())?;
    Ok(result)
}
