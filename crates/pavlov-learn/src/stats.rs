//! What an update reports.

use serde::{Deserialize, Serialize};

/// Episodes that ended in a rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EpisodeStats {
    /// How many; those below are `None` if none did.
    pub episodes: u64,
    /// Mean undiscounted return.
    pub episode_return: Option<f64>,
    /// Lowest return.
    pub episode_return_min: Option<f64>,
    /// Highest return.
    pub episode_return_max: Option<f64>,
    /// Mean length, control steps.
    pub episode_length: Option<f64>,
}

/// What training on a rollout did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnerStats {
    /// Clipped policy loss, mean over all minibatches.
    pub policy_loss: f64,
    /// Value loss (half the mean squared error, in the value net's own units), mean over all minibatches.
    pub value_loss: f64,
    /// Entropy of the policy at the end of the update, nats.
    pub entropy: f64,
    /// KL divergence from the rollout's policy, mean over the last epoch's minibatches.
    pub kl: f64,
    /// Share of samples whose probability ratio was outside the clip range, mean over all minibatches.
    pub clip_fraction: f64,
    /// Share of the returns' variance that the rollout's values explain: 1 is perfect, below 0 is worse than a
    /// constant.
    pub explained_variance: f64,
    /// Learning rate at the end of the update.
    pub learning_rate: f64,
    /// Mean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Mean over action columns of the log standard deviation at the end of the update.
    pub log_std: f64,
    /// Epochs done (fewer than asked for if `target_kl` stopped early).
    pub epochs: u64,
}

/// Numbers of one update (rollout + training). Everything but the `*_s` fields is the same for any number of threads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateStats {
    /// Updates done, this one included.
    pub update: u64,
    /// Environment steps done, this update's included.
    pub env_steps: u64,
    /// Episodes that ended in this rollout.
    pub ended: EpisodeStats,
    /// Mean reward per step over the rollout.
    pub reward_mean: f64,
    /// What training did.
    pub learner: LearnerStats,
    /// Wall-clock seconds of the rollout.
    pub rollout_s: f64,
    /// Wall-clock seconds of training.
    pub train_s: f64,
}
