//! Hyperparameters of PPO.

use serde::{Deserialize, Serialize};

use crate::error::LearnError;

/// Activation of hidden layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// `x` above zero, `exp(x) - 1` below.
    Elu,
    /// `max(x, 0)`.
    Relu,
}

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// As given, always.
    #[default]
    Constant,
    /// Falls linearly to `learning_rate_min` at `total_steps`.
    Linear,
    /// Follows the KL divergence: divided by 1.5 above twice `desired_kl`, multiplied by 1.5 below half of it.
    Adaptive,
}

/// The samples over which advantages are normalised to mean 0 and deviation 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvantageNorm {
    /// Not at all.
    None,
    /// Over the whole rollout.
    #[default]
    Rollout,
    /// Over each minibatch.
    Minibatch,
}

/// All hyperparameters of PPO. Every field has a default; unknown names are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Worlds stepped at the same time.
    pub worlds: usize,
    /// Control steps of each world in a rollout; an update learns from `worlds * horizon` samples.
    pub horizon: usize,
    /// Environment steps of the whole training: where linear schedules end.
    pub total_steps: u64,
    /// Passes over the samples of a rollout.
    pub epochs: usize,
    /// Minibatches a pass is cut into.
    pub minibatches: usize,
    /// Discount per control step.
    pub gamma: f64,
    /// Decay of the generalised advantage estimate (lambda).
    pub gae_lambda: f64,
    /// The probability ratio is clipped to `1 ± clip`.
    pub clip: f64,
    /// The value may move by this much from the rollout's before its loss is clipped; 0 = no clipping.
    pub value_clip: f64,
    /// Weight of the value loss.
    pub value_coef: f64,
    /// Weight of the entropy bonus.
    pub entropy_coef: f64,
    /// Largest norm of the gradient over all parameters; larger ones are scaled down. 0 = no limit.
    pub max_grad_norm: f64,
    /// Learning rate of Adam (the first one, where a schedule changes it).
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Lowest learning rate of any schedule.
    pub learning_rate_min: f64,
    /// Highest learning rate of the adaptive schedule.
    pub learning_rate_max: f64,
    /// KL divergence per update that the adaptive schedule aims at.
    pub desired_kl: f64,
    /// An update stops after an epoch whose mean KL divergence is above this; 0 = never.
    pub target_kl: f64,
    /// Decay of Adam's first moment.
    pub adam_beta1: f64,
    /// Decay of Adam's second moment.
    pub adam_beta2: f64,
    /// Adam's epsilon.
    pub adam_eps: f64,
    /// The samples over which advantages are normalised.
    pub advantage_norm: AdvantageNorm,
    /// Normalise observations by their running mean and deviation.
    pub normalize_obs: bool,
    /// Normalised observations are clipped to `± obs_clip`.
    pub obs_clip: f64,
    /// Divide rewards by the running deviation of the discounted return.
    pub normalize_reward: bool,
    /// Scaled rewards are clipped to `± reward_clip`; 0 = no clipping. Works only with `normalize_reward`.
    pub reward_clip: f64,
    /// The value net learns targets normalised by their running mean and deviation.
    pub normalize_value: bool,
    /// Hidden layers of the actor.
    pub actor_hidden: Vec<usize>,
    /// Hidden layers of the critic.
    pub critic_hidden: Vec<usize>,
    /// Activation of all hidden layers.
    pub activation: Activation,
    /// Elite cloning in place of PPO (RAFT, Dong et al. 2023): every update begins new episodes, so many worlds at a
    /// time alike, and the policy learns by maximum likelihood what the best of them did, up to the end of its episode.
    /// `horizon` is then the length that is judged. A divisor of 64; 0: PPO.
    pub elite_of: usize,
    /// Standard deviation of the policy at the start, in the units of actions.
    pub init_std: f64,
    /// The standard deviation is kept above this.
    pub min_std: f64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            worlds: 64,
            horizon: 64,
            total_steps: 10_000_000,
            epochs: 4,
            minibatches: 4,
            gamma: 0.99,
            gae_lambda: 0.95,
            clip: 0.2,
            value_clip: 0.0,
            value_coef: 0.5,
            entropy_coef: 0.0,
            max_grad_norm: 0.5,
            learning_rate: 3e-4,
            schedule: Schedule::Constant,
            learning_rate_min: 1e-5,
            learning_rate_max: 1e-2,
            desired_kl: 0.01,
            target_kl: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_eps: 1e-5,
            advantage_norm: AdvantageNorm::Rollout,
            normalize_obs: true,
            obs_clip: 10.0,
            normalize_reward: true,
            reward_clip: 10.0,
            normalize_value: false,
            actor_hidden: vec![64, 64],
            critic_hidden: vec![64, 64],
            activation: Activation::Tanh,
            elite_of: 0,
            init_std: 1.0,
            min_std: 0.01,
        }
    }
}

/// Largest width of a hidden layer and largest number of them: keeps a hostile file from asking for all memory.
const MAX_WIDTH: usize = 4096;
const MAX_LAYERS: usize = 8;
/// Weights between hidden layers: a tenth of a gigabyte, of which learning keeps several.
const MAX_WEIGHTS: usize = 1 << 25;
/// Largest number of samples in a rollout.
const MAX_SAMPLES: usize = 1 << 26;

impl PpoConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`LearnError::Config`] names the first field out of range.
    pub fn validate(&self) -> Result<(), LearnError> {
        let positive = |key: &'static str, value: usize| {
            if value >= 1 { Ok(()) } else { Err(bad(key, value, "at least 1")) }
        };
        positive("worlds", self.worlds)?;
        positive("horizon", self.horizon)?;
        positive("epochs", self.epochs)?;
        positive("minibatches", self.minibatches)?;
        if self.total_steps < 1 {
            return Err(bad("total_steps", self.total_steps, "at least 1"));
        }
        match self.worlds.checked_mul(self.horizon) {
            Some(samples) if samples <= MAX_SAMPLES => {
                if self.minibatches > samples {
                    return Err(bad("minibatches", self.minibatches, format!("at most worlds * horizon = {samples}")));
                }
            }
            _ => return Err(bad("horizon", self.horizon, format!("worlds * horizon at most {MAX_SAMPLES}"))),
        }
        let unit = [("gamma", self.gamma), ("gae_lambda", self.gae_lambda)];
        for (key, value) in unit {
            if !(0.0..=1.0).contains(&value) {
                return Err(bad(key, value, "a number from 0 to 1"));
            }
        }
        for (key, value) in [("adam_beta1", self.adam_beta1), ("adam_beta2", self.adam_beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(bad(key, value, "a number from 0 to below 1"));
            }
        }
        let positive = [
            ("clip", self.clip),
            ("learning_rate", self.learning_rate),
            ("learning_rate_max", self.learning_rate_max),
            ("desired_kl", self.desired_kl),
            ("adam_eps", self.adam_eps),
            ("obs_clip", self.obs_clip),
            ("init_std", self.init_std),
            ("min_std", self.min_std),
        ];
        for (key, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(bad(key, value, "a positive number"));
            }
        }
        let not_negative = [
            ("value_clip", self.value_clip),
            ("value_coef", self.value_coef),
            ("entropy_coef", self.entropy_coef),
            ("max_grad_norm", self.max_grad_norm),
            ("learning_rate_min", self.learning_rate_min),
            ("target_kl", self.target_kl),
            ("reward_clip", self.reward_clip),
        ];
        for (key, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(bad(key, value, "a number not below 0"));
            }
        }
        if self.elite_of != 0 {
            if self.elite_of < 2 || !64usize.is_multiple_of(self.elite_of) {
                return Err(bad("elite_of", self.elite_of, "0, or 2, 4, 8, 16, 32 or 64"));
            }
            if !self.worlds.is_multiple_of(self.elite_of) {
                return Err(bad("worlds", self.worlds, format!("a multiple of elite_of = {}", self.elite_of)));
            }
        }
        if self.learning_rate_min > self.learning_rate {
            return Err(bad("learning_rate_min", self.learning_rate_min, "at most learning_rate"));
        }
        if self.schedule == Schedule::Adaptive && self.learning_rate_max < self.learning_rate {
            return Err(bad("learning_rate_max", self.learning_rate_max, "at least learning_rate"));
        }
        if self.min_std > self.init_std {
            return Err(bad("min_std", self.min_std, "at most init_std"));
        }
        for (key, sizes) in [("actor_hidden", &self.actor_hidden), ("critic_hidden", &self.critic_hidden)] {
            if sizes.len() > MAX_LAYERS || sizes.iter().any(|&n| n == 0 || n > MAX_WIDTH) {
                let expected = format!("at most {MAX_LAYERS} layers of 1 to {MAX_WIDTH} units");
                return Err(bad(key, format!("{sizes:?}"), expected));
            }
            if sizes.windows(2).map(|pair| pair[0] * pair[1]).sum::<usize>() > MAX_WEIGHTS {
                return Err(bad(
                    key,
                    format!("{sizes:?}"),
                    format!("at most {MAX_WEIGHTS} weights between its layers"),
                ));
            }
        }
        Ok(())
    }
}

fn bad(key: &'static str, value: impl ToString, expected: impl Into<String>) -> LearnError {
    LearnError::Config { key, value: value.to_string(), expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_toml() {
        let config = PpoConfig::default();
        config.validate().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<PpoConfig>(&text).unwrap(), config);
    }

    #[test]
    fn unknown_names_and_bad_values_are_named() {
        let error = toml::from_str::<PpoConfig>("horizn = 3").unwrap_err().to_string();
        assert!(error.contains("horizn") && error.contains("horizon"), "{error}");
        let bad = [
            "worlds = 0",
            "gamma = 1.5",
            "gamma = nan",
            "clip = 0.0",
            "actor_hidden = [64, 0]",
            "minibatches = 1000000",
            "horizon = 1000000000000",
            "learning_rate_min = 1.0",
            "init_std = inf",
            "elite_of = 3",
            "elite_of = 1",
        ];
        for text in bad {
            let config: PpoConfig = toml::from_str(text).unwrap();
            let error = config.validate().unwrap_err().to_string();
            let key = text.split(' ').next().unwrap();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
