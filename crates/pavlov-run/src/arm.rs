//! One learner with its worlds and its reward: what an update does, whether there is one of them (a run) or many
//! (variants).

use crate::config::RunConfig;
use crate::device::Worlds;
use crate::error::RunError;
use pavlov_env::{BadValue, EpisodeLog, StepStats, Task};
use pavlov_learn::{LearnError, Ppo, UpdateStats};
use pavlov_reward::{Adaptive, ConstraintState, Reward};
use rayon::ThreadPool;
use std::sync::Arc;

/// Updates in a row that may meet a number that is not finite.
const MAX_FAILURES: u32 = 3;

/// What to do when worlds become non-finite.
pub(crate) const NONFINITE_FIX: &str = "the simulation breaks down: actions, gains or pushes are too strong for the time step; lower `timestep` (with a \
     larger `frame_skip`), the actions' range or the randomisation, or train with --profile accurate";

/// Worlds that had to be reset, with their share of the steps.
pub(crate) fn nonfinite_worlds(count: u64, share: f64) -> String {
    let times = if count == 1 { "a world was".to_string() } else { format!("worlds were {count} times") };
    format!("{times} reset because the state was not finite ({:.3}% of steps)", 100.0 * share)
}

/// A learner, its worlds and its reward.
#[derive(Debug)]
pub(crate) struct Arm {
    pub ppo: Ppo,
    pub worlds: Worlds,
    /// With the present values of what changes between updates.
    pub reward: Arc<Reward>,
    /// What changes between updates, for rewards with a graph.
    pub adaptive: Option<Adaptive>,
    warned_bad: bool,
    warned_constraints: bool,
    /// Share of world-steps in an update after which a world had to be reset, from which on it is told.
    tell_lost: f64,
}

/// What an update gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub stats: UpdateStats,
    pub log: EpisodeLog,
    pub sums: StepStats,
    pub constraints: Vec<ConstraintState>,
    /// What the user should know, each thing once.
    pub warnings: Vec<String>,
}

/// A new learner for a task and a reward.
///
/// # Errors
/// When a setting or a size is out of range.
pub(crate) fn learner(config: &RunConfig, task: &Task, reward: &Reward) -> Result<Ppo, RunError> {
    let (obs, act) = (task.policy_obs_dim(), task.act_dim());
    let critic_obs = task.obs_dim() - obs;
    Ok(Ppo::with_critics(config.learner.clone(), obs, critic_obs, act, reward.critics(), config.seed)?)
}

impl Arm {
    /// Worlds must be of this reward. `adaptive` is of a checkpoint; start values without.
    ///
    /// # Errors
    /// When the learner has not as many critics as the reward has parts.
    pub fn new(ppo: Ppo, worlds: Worlds, reward: Arc<Reward>, adaptive: Option<Adaptive>) -> Result<Self, RunError> {
        let adaptive = match (reward.graph(), adaptive) {
            (Some(graph), Some(a)) if a.fits(graph) => Some(a),
            (Some(graph), _) => Some(Adaptive::new(graph, ppo.config().gamma)),
            (None, _) => None,
        };
        let mut arm =
            Self { ppo, worlds, reward, adaptive, warned_bad: false, warned_constraints: false, tell_lost: 0.0 };
        arm.put()?;
        Ok(arm)
    }

    /// Puts the present numbers into the reward, the worlds and the learner.
    pub fn put(&mut self) -> Result<(), RunError> {
        let Some(adaptive) = &self.adaptive else { return Ok(()) };
        let reward = Arc::make_mut(&mut self.reward);
        reward.set_host(&adaptive.values);
        self.worlds.set_reward_values(reward.values());
        match reward.graph() {
            Some(graph) if !graph.critics.is_empty() => Ok(self.ppo.set_mix(&adaptive.mix(graph))?),
            _ => Ok(()),
        }
    }

    /// A rollout, the training on it, and what the reward learns from it.
    ///
    /// # Errors
    /// When a script fails, or training meets numbers that are not finite again and again.
    pub fn update(&mut self, pool: &ThreadPool) -> Result<Outcome, RunError> {
        let mut out = Outcome::default();
        let mut failures = 0;
        out.stats = loop {
            match self.worlds.update(&mut self.ppo, pool) {
                Ok(stats) => break stats,
                Err(e @ LearnError::NotFinite { .. }) if failures + 1 < MAX_FAILURES => {
                    failures += 1;
                    out.warnings.push(e.to_string());
                    self.worlds.clear();
                }
                Err(e) => return Err(e.into()),
            }
        };
        self.worlds.script_failure()?;
        self.worlds.gather(&mut out.log, &mut out.sums);
        out.warnings.extend(self.bad_value());
        out.warnings.extend(self.lost_worlds(&out.sums));
        self.worlds.clear();
        if let (Some(graph), Some(adaptive)) = (self.reward.graph().cloned(), &mut self.adaptive) {
            let sums = &out.sums;
            out.constraints = adaptive.update(&graph, sums.world_steps, &sums.terms, &sums.terms_squared);
            self.put()?;
            out.warnings.extend(self.infeasible(&out.constraints));
        }
        Ok(out)
    }

    /// A warning when constraints seem impossible to meet for the first time.
    fn infeasible(&mut self, constraints: &[ConstraintState]) -> Option<String> {
        if self.warned_constraints || !constraints.iter().any(|c| c.infeasible) {
            return None;
        }
        self.warned_constraints = true;
        let open: Vec<String> = constraints
            .iter()
            .filter(|c| !c.met)
            .map(|c| {
                format!(
                    "`{}` is {:.4} a step, its threshold {} (multiplier {:.2})",
                    c.name, c.mean, c.threshold, c.multiplier
                )
            })
            .collect();
        Some(format!(
            "the constraints cannot all be met, it seems: {}; its multiplier has been at its limit; loosen a \
             threshold, or raise `limit`",
            open.join("; ")
        ))
    }

    /// A warning when worlds became non-finite for the first time, and when ten times as many do.
    fn lost_worlds(&mut self, sums: &StepStats) -> Option<String> {
        let share = sums.nonfinite as f64 / sums.world_steps.max(1) as f64;
        if share <= self.tell_lost {
            return None;
        }
        self.tell_lost = 10.0 * share;
        Some(format!(
            "{} in the {} steps of this update (their episodes end there): {NONFINITE_FIX}",
            nonfinite_worlds(sums.nonfinite, share),
            sums.world_steps
        ))
    }

    /// A warning when a reward term was not finite for the first time.
    fn bad_value(&mut self) -> Option<String> {
        let bad = self.worlds.bad_value().filter(|_| !self.warned_bad)?;
        self.warned_bad = true;
        let BadValue { term, world, step, value } = bad;
        Some(format!(
            "reward term `{term}` was {value} in world {world} at step {step} of its episode and counted as 0"
        ))
    }
}

#[cfg(test)]
#[path = "critics_tests.rs"]
mod tests;
