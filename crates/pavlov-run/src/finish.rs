//! How a run ends: the final evaluation, `summary.json`, and the files made from it.

use crate::checkpoint::Best;
use crate::error::RunError;
use crate::evaluate::{EvalOptions, Evaluation, SEED_OFFSET, evaluate};
use crate::train::{Trainer, recent};
use pavlov_env::Profile;
use serde::{Deserialize, Serialize};

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The number of steps is reached.
    Steps,
    /// The time is over.
    Minutes,
    /// `target_fitness` is reached.
    Fitness,
    /// It was asked to stop.
    Interrupted,
}

/// `summary.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Task.
    pub task: String,
    /// Reward.
    pub reward: String,
    /// Seed.
    pub seed: u64,
    /// Why training ended; none when it failed.
    pub stop: Option<Stop>,
    /// What it failed by.
    pub error: Option<String>,
    /// Updates done.
    pub updates: u64,
    /// Environment steps done.
    pub env_steps: u64,
    /// Seconds trained.
    pub elapsed_s: f64,
    /// Environment steps per second of training, all in.
    pub env_steps_per_s: f64,
    /// Mean fitness of recent training episodes.
    pub recent_fitness: Option<f64>,
    /// Best checkpoint.
    pub best: Option<Best>,
    /// Evaluation of the policy at the end.
    pub evaluation: Option<Evaluation>,
    /// The same with the other solver profile: does the policy live on how this one behaves?
    pub probe: Option<Evaluation>,
    /// When it ended, UTC.
    pub finished: String,
}

impl Trainer {
    /// Evaluates the policy as it is now, in worlds that training does not use.
    ///
    /// # Errors
    /// As [`crate::evaluate()`].
    pub fn evaluate(&self) -> Result<Evaluation, RunError> {
        let options = EvalOptions {
            episodes: self.config.run.eval_episodes,
            seed: self.config.seed.wrapping_add(SEED_OFFSET),
            profile: self.config.profile()?,
            backend: self.config.backend()?,
        };
        evaluate(&self.task, &self.arm.reward, &self.policy(), options, &self.pool)
    }

    /// The evaluation in worlds solved with the other profile.
    fn probe(&self) -> Result<Evaluation, RunError> {
        let profile = match self.config.profile()? {
            Profile::Accurate => Profile::Fast,
            Profile::Fast => Profile::Accurate,
        };
        let seed = self.config.seed.wrapping_add(SEED_OFFSET);
        let options =
            EvalOptions { episodes: self.config.run.eval_episodes, seed, profile, backend: self.config.backend()? };
        let probe = evaluate(&self.task, &self.arm.reward, &self.policy(), options, &self.pool)?;
        Ok(Evaluation { list: Vec::new(), ..probe })
    }

    /// Ends the run or this part of it: checkpoint, evaluation, `summary.json`, policy, clip, report.
    ///
    /// # Errors
    /// When a file cannot be written or the evaluation fails.
    pub fn finish(&mut self, stop: Stop) -> Result<Summary, RunError> {
        if self.state.update > 0 {
            self.checkpoint(true, true)?;
        }
        let evaluation = self.evaluate()?;
        let probe = self.probe()?;
        let seed = evaluation.seed;
        let policy = self.policy();
        self.keep_rollouts(true)?;
        let summary = self.summarise(Some(stop), None, Some(evaluation), Some(probe))?;
        crate::export::write(&self.folder, &self.config, &self.task, &policy)?;
        let (profile, backend) = (self.config.profile()?, self.config.backend()?);
        let clip = crate::clips::record(&self.task, &self.arm.reward, &policy, seed, profile, backend)?;
        clip.write(&self.folder.writable(self.folder.clips().join("final.jsonl"))?)?;
        if let Some(picture) = crate::strip::strip(self.task.model(), &clip.poses()) {
            self.folder.write(&self.folder.clips().join("final.svg"), picture.as_bytes())?;
        }
        crate::report::write_report(&self.folder)?;
        Ok(summary)
    }

    /// Notes in the folder that the run failed. The error given is the one to show, so a second one is not.
    pub fn fail(&mut self, error: &RunError) {
        let _ = self.summarise(None, Some(error.to_string()), None, None);
        let _ = crate::report::write_report(&self.folder);
    }

    fn summarise(
        &self,
        stop: Option<Stop>,
        error: Option<String>,
        evaluation: Option<Evaluation>,
        probe: Option<Evaluation>,
    ) -> Result<Summary, RunError> {
        let elapsed_s = self.state.elapsed_s;
        let summary = Summary {
            task: self.config.task.clone(),
            reward: self.config.reward.clone(),
            seed: self.config.seed,
            stop,
            error,
            updates: self.state.update,
            env_steps: self.state.env_steps,
            elapsed_s,
            env_steps_per_s: if elapsed_s > 0.0 { self.state.env_steps as f64 / elapsed_s } else { 0.0 },
            recent_fitness: recent(&self.state),
            best: self.state.best,
            evaluation,
            probe,
            finished: crate::clock::now_utc(),
        };
        let text =
            serde_json::to_string_pretty(&summary).map_err(|e| RunError::Failed(format!("summary.json: {e}")))?;
        self.folder.write(&self.folder.summary(), text.as_bytes())?;
        Ok(summary)
    }
}
