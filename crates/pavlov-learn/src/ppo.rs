//! The learner: one update is a rollout, the advantages and the training on them.
//!
//! Order within an update: rollout with frozen statistics; statistics of observations and discounted sums merged in the
//! order of blocks; rewards scaled by the new deviation; advantages; statistics of returns; training. Values leave the
//! rollout in the units of scaled rewards, and with `normalize_value` the critic learns them by the new mean and
//! deviation, which the next rollout uses.
//!
//! A reward may have parts with a critic each (one net with several outputs): rewards, values and advantages are then
//! of each part, and the policy learns from `A = sum w_i A_i / sum |w_i|` (the mixed advantages of Moskovitz et al.
//! 2023, *Confronting reward model overoptimization with constrained RLHF*), each `A_i` normalised over the rollout
//! unless `advantage_norm` is `none`.

use std::time::Instant;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::adam::Adam;
use crate::config::{AdvantageNorm, PpoConfig, Schedule};
use crate::env_block::EnvBlock;
use crate::error::LearnError;
use crate::gae::{Track, gae};
use crate::loss::{ValueScale, advantage_norm};
use crate::model::Model;
use crate::normal::{Frozen, Moments, moments_by_column};
use crate::policy::Policy;
use crate::rng::{Purpose, Rng};
use crate::rollout::{self, Carried, Gathered, Rollout, Shared};
use crate::stats::{EpisodeStats, LearnerStats, UpdateStats};
use crate::train::{Learned, Scratch, train};

/// Most columns of an observation or an action.
const MAX_COLUMNS: usize = 1 << 16;
/// Most critics.
const MAX_CRITICS: usize = 256;

/// Proximal policy optimisation over blocks of worlds.
#[derive(Debug)]
pub struct Ppo {
    pub(crate) config: PpoConfig,
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
    pub(crate) model: Model,
    pub(crate) adam: Adam,
    pub(crate) obs_moments: Moments,
    pub(crate) discounted_moments: Moments,
    pub(crate) value_moments: Moments,
    pub(crate) carried: Carried,
    pub(crate) counters: Counters,
    /// Weights of the critics' advantages.
    pub(crate) mix: Vec<f64>,
    pub(crate) buffers: Buffers,
}

/// Columns of what comes from and goes to the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub obs: usize,
    pub critic_obs: usize,
    pub act: usize,
    /// Parts of the reward with a value each.
    pub critics: usize,
}

impl Sizes {
    /// Columns of a row of observations.
    pub fn row(&self) -> usize {
        self.obs + self.critic_obs
    }

    pub fn validate(&self) -> Result<(), LearnError> {
        for (key, value, low, high) in [
            ("obs_dim", self.obs, 1, MAX_COLUMNS),
            ("critic_obs_dim", self.critic_obs, 0, MAX_COLUMNS),
            ("act_dim", self.act, 1, MAX_COLUMNS),
            ("critics", self.critics, 1, MAX_CRITICS),
        ] {
            if !(low..=high).contains(&value) {
                let expected = format!("{low} to {high}");
                return Err(LearnError::Config { key, value: value.to_string(), expected });
            }
        }
        Ok(())
    }

    /// Are these the sizes of an environment?
    pub fn check(&self, obs: usize, critic_obs: usize, act: usize, critics: usize) -> Result<(), LearnError> {
        same("the number of critics", critics, self.critics)?;
        same("the number of observation columns", obs, self.obs)?;
        same("the number of critic-only observation columns", critic_obs, self.critic_obs)?;
        same("the number of action columns", act, self.act)
    }
}

/// An error unless a size is what is expected.
pub(crate) fn same(size: &'static str, found: usize, expected: usize) -> Result<(), LearnError> {
    if found == expected { Ok(()) } else { Err(LearnError::Shape { size, found, expected }) }
}

/// Numbers that go from update to update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counters {
    pub updates: u64,
    pub env_steps: u64,
    /// Learning rate now.
    pub learning_rate: f64,
    /// Learning rate that schedules start from.
    pub base_learning_rate: f64,
    /// Does the next update start with a reset of all worlds?
    pub restart: bool,
}

/// Buffers kept between updates; their contents carry nothing over.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) rollout: Rollout,
    scratch: Scratch,
}

impl Ppo {
    /// A learner with new nets. `config.worlds` is the sum of the worlds of the blocks given to [`Ppo::update`].
    ///
    /// # Errors
    /// [`LearnError::Config`] if a setting or a size is out of range.
    pub fn new(
        config: PpoConfig,
        obs_dim: usize,
        critic_obs_dim: usize,
        act_dim: usize,
        seed: u64,
    ) -> Result<Self, LearnError> {
        Self::with_critics(config, obs_dim, critic_obs_dim, act_dim, 1, seed)
    }

    /// As [`Ppo::new`], for rewards of `critics` parts with a critic each; see [`Ppo::set_mix`].
    ///
    /// # Errors
    /// [`LearnError::Config`] if a setting or a size is out of range.
    pub fn with_critics(
        config: PpoConfig,
        obs_dim: usize,
        critic_obs_dim: usize,
        act_dim: usize,
        critics: usize,
        seed: u64,
    ) -> Result<Self, LearnError> {
        config.validate()?;
        let sizes = Sizes { obs: obs_dim, critic_obs: critic_obs_dim, act: act_dim, critics };
        sizes.validate()?;
        let mut model = Model::zeros(&config, sizes.obs, sizes.row(), sizes.act, critics);
        model.init(&config, seed);
        let counters = Counters {
            updates: 0,
            env_steps: 0,
            learning_rate: config.learning_rate,
            base_learning_rate: config.learning_rate,
            restart: true,
        };
        let adam = Adam::new(model.params.len());
        let (row, worlds) = (sizes.row(), config.worlds);
        let moments = [Moments::new(row), Moments::new(critics), Moments::new(critics)];
        Ok(Self::from_parts(config, sizes, seed, model, adam, moments, Carried::new(worlds, row, critics), counters))
    }

    /// A learner from parts that fit each other; `moments` are of observations, discounted sums and values.
    pub(crate) fn from_parts(
        config: PpoConfig,
        sizes: Sizes,
        seed: u64,
        model: Model,
        adam: Adam,
        moments: [Moments; 3],
        carried: Carried,
        counters: Counters,
    ) -> Self {
        let [obs_moments, discounted_moments, value_moments] = moments;
        Self {
            config,
            sizes,
            seed,
            model,
            adam,
            obs_moments,
            discounted_moments,
            value_moments,
            carried,
            counters,
            mix: vec![1.0; sizes.critics],
            buffers: Buffers::default(),
        }
    }

    /// A rollout and the training on it. Resets the blocks on the first call and after [`Ppo::restart`].
    ///
    /// # Errors
    /// [`LearnError::Shape`] if the blocks do not fit. [`LearnError::NotFinite`] if the environment gave such a number
    /// (the next update then starts with a reset) or training met one (parameters are as before the bad step; the
    /// rollout counts).
    pub fn update<B: EnvBlock>(&mut self, blocks: &mut [B], pool: &ThreadPool) -> Result<UpdateStats, LearnError> {
        // Behind a pointer, so that the loop over worlds is compiled once, here, and optimised as this crate is.
        let mut blocks: Vec<&mut dyn EnvBlock> = blocks.iter_mut().map(|block| block as &mut dyn EnvBlock).collect();
        self.update_blocks(&mut blocks, pool)
    }

    fn update_blocks(
        &mut self,
        blocks: &mut [&mut dyn EnvBlock],
        pool: &ThreadPool,
    ) -> Result<UpdateStats, LearnError> {
        self.check(blocks)?;
        let start = Instant::now();
        self.counters.restart |= self.config.elite_of > 0;
        let frozen = self.frozen();
        let gathered = pool.install(|| self.roll(blocks, &frozen));
        self.learn(&gathered, start, pool)
    }

    /// What follows a rollout that began at `start`, wherever it ran: statistics, advantages, training.
    pub(crate) fn learn(
        &mut self,
        gathered: &[Gathered],
        start: Instant,
        pool: &ThreadPool,
    ) -> Result<UpdateStats, LearnError> {
        let reward_mean = self.take_in(gathered)?;
        let rollout_s = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let update = self.counters.updates;
        let before = self.counters.env_steps;
        // A checkpoint may hold any counts.
        self.counters.updates = update.saturating_add(1);
        self.counters.env_steps = before.saturating_add((self.config.worlds * self.config.horizon) as u64);
        if self.config.schedule == Schedule::Linear {
            let base = self.counters.base_learning_rate;
            let share = (before as f64 / self.config.total_steps as f64).min(1.0);
            self.counters.learning_rate = base + (self.config.learning_rate_min - base) * share;
        }
        let explained_variance = pool.install(|| self.advantages(update))?;
        let unit = |critic| ValueScale { mean: self.value_mean(critic), inv_std: 1.0 / self.value_std(critic) };
        let scale: Vec<ValueScale> = (0..self.sizes.critics).map(unit).collect();
        let learned = Learned { model: &mut self.model, adam: &mut self.adam, lr: &mut self.counters.learning_rate };
        let Buffers { rollout, scratch } = &mut self.buffers;
        let row = self.sizes.row();
        let trained =
            pool.install(|| train(&self.config, learned, rollout, row, &scale, self.seed, update, scratch))?;

        let gaussian = self.model.gaussian();
        let episodes: u64 = gathered.iter().map(|g| g.episodes).sum();
        let if_any = |value: f64| (episodes > 0).then_some(value);
        let n = episodes as f64;
        let ended = EpisodeStats {
            episodes,
            episode_return: if_any(gathered.iter().map(|g| g.return_sum).sum::<f64>() / n),
            episode_return_min: if_any(gathered.iter().map(|g| g.return_min).fold(f64::INFINITY, f64::min)),
            episode_return_max: if_any(gathered.iter().map(|g| g.return_max).fold(f64::NEG_INFINITY, f64::max)),
            episode_length: if_any(gathered.iter().map(|g| g.length_sum as f64).sum::<f64>() / n),
        };
        let learner = LearnerStats {
            policy_loss: trained.policy_loss,
            value_loss: trained.value_loss,
            entropy: gaussian.entropy(),
            kl: trained.kl,
            clip_fraction: trained.clip_fraction,
            explained_variance,
            learning_rate: self.counters.learning_rate,
            grad_norm: trained.grad_norm,
            log_std: gaussian.log_std.iter().map(|&s| f64::from(s)).sum::<f64>() / self.sizes.act as f64,
            epochs: trained.epochs,
        };
        Ok(UpdateStats {
            update: self.counters.updates,
            env_steps: self.counters.env_steps,
            ended,
            reward_mean,
            learner,
            rollout_s,
            train_s: start.elapsed().as_secs_f64(),
        })
    }

    fn check(&self, blocks: &[&mut dyn EnvBlock]) -> Result<(), LearnError> {
        let worlds = blocks.iter().map(|b| b.num_worlds()).sum();
        same("the number of worlds in all blocks", worlds, self.config.worlds)?;
        blocks.iter().try_for_each(|b| self.sizes.check(b.obs_dim(), b.critic_obs_dim(), b.act_dim(), b.critics()))
    }

    fn roll(&mut self, blocks: &mut [&mut dyn EnvBlock], frozen: &Frozen) -> Vec<Gathered> {
        if self.counters.restart {
            rollout::reset(blocks, self.sizes.row(), &mut self.carried);
            self.counters.restart = false;
        }
        let (shared, carried, rollout) = self.stage(frozen);
        rollout::run(blocks, &shared, carried, rollout)
    }

    /// What a rollout reads, and the buffers it fills, sized for it.
    pub(crate) fn stage<'a>(&'a mut self, frozen: &'a Frozen) -> (Shared<'a>, &'a mut Carried, &'a mut Rollout) {
        let row = self.sizes.row();
        let Sizes { act, critics, .. } = self.sizes;
        self.buffers.rollout.fit(self.config.worlds, self.config.horizon, row, act, critics);
        let shared = Shared {
            value_mean: (0..critics).map(|c| self.value_mean(c)).collect(),
            value_std: (0..critics).map(|c| self.value_std(c)).collect(),
            model: &self.model,
            frozen,
            rng: Rng::new(self.seed, Purpose::Action, self.counters.updates),
            horizon: self.config.horizon,
            row,
            gamma: self.config.gamma,
        };
        (shared, &mut self.carried, &mut self.buffers.rollout)
    }

    /// Merges the statistics of a rollout and returns the mean reward.
    fn take_in(&mut self, gathered: &[Gathered]) -> Result<f64, LearnError> {
        let update = self.counters.updates;
        let observations = gathered.iter().all(|g| g.obs.is_sound());
        if !(observations && gathered.iter().all(|g| g.discounted.is_sound())) {
            self.counters.restart = true;
            let quantity = if observations { "a reward" } else { "an observation" };
            let hint = "look at the task's formulas and at the size of actions; the next update resets all worlds";
            return Err(LearnError::NotFinite { update, quantity, hint });
        }
        for part in gathered {
            self.obs_moments.merge(&part.obs);
            self.discounted_moments.merge(&part.discounted);
        }
        let samples = (self.config.worlds * self.config.horizon) as f64;
        Ok(gathered.iter().map(|g| g.reward_sum).sum::<f64>() / samples)
    }

    /// Scales rewards, writes advantages and returns, merges the statistics of returns. Returns the explained variance,
    /// the mean over the critics.
    fn advantages(&mut self, update: u64) -> Result<f64, LearnError> {
        let config = &self.config;
        let (horizon, critics) = (config.horizon, self.sizes.critics);
        let scale = |c| if config.normalize_reward { (1.0 / self.discounted_moments.std(c)) as f32 } else { 1.0 };
        let scale: Vec<f32> = (0..critics).map(scale).collect();
        let limit =
            if config.normalize_reward && config.reward_clip > 0.0 { config.reward_clip as f32 } else { f32::INFINITY };
        let Rollout { reward, value, done, after, last_value, advantage, of_critics, returns, .. } =
            &mut self.buffers.rollout;
        // Ranked by what was paid: scaled and clipped rewards of two episodes may come in another order.
        let elite =
            (config.elite_of > 0).then(|| crate::elite::choose(reward, done, (&self.mix, horizon), config.elite_of));
        let of_each = if critics > 1 { &mut *of_critics } else { &mut *advantage };
        let (value, done, after, last_value) = (&*value, &*done, &*after, &*last_value);
        reward
            .par_chunks_mut(horizon)
            .zip(of_each.par_chunks_mut(horizon))
            .zip(returns.par_chunks_mut(horizon))
            .enumerate()
            .for_each(|(k, ((reward, advantage), returns))| {
                let (world, scale) = (k / critics, scale[k % critics]);
                reward.iter_mut().for_each(|r| *r = (*r * scale).clamp(-limit, limit));
                let steps = k * horizon..(k + 1) * horizon;
                let track = Track {
                    reward,
                    value: &value[steps.clone()],
                    done: &done[world * horizon..(world + 1) * horizon],
                    after: &after[steps],
                    last_value: last_value[k],
                };
                gae(track, config.gamma, config.gae_lambda, advantage, returns);
            });
        let moments = |values| moments_by_column(values, critics, horizon);
        let (of_errors, of_returns) = (moments(&*of_each), moments(&*returns));
        if !of_errors.is_sound() || !of_returns.is_sound() {
            self.counters.restart = true;
            let hint = "look at final observations and at the size of rewards; the next update resets all worlds";
            return Err(LearnError::NotFinite { update, quantity: "an advantage", hint });
        }
        self.value_moments.merge(&of_returns);
        if critics > 1 {
            mix(of_critics, advantage, &self.mix, horizon, config.advantage_norm);
        }
        if let Some(elite) = elite {
            crate::elite::weigh(&elite, horizon, advantage);
        }
        // Advantages are the errors of the values: return - value.
        let explained = (0..critics).map(|c| {
            let spread = of_returns.variance(c);
            if spread > 0.0 { 1.0 - of_errors.variance(c) / spread } else { 0.0 }
        });
        Ok(explained.sum::<f64>() / critics as f64)
    }

    pub(crate) fn frozen(&self) -> Frozen {
        Frozen::new(&self.obs_moments, self.config.normalize_obs, self.config.obs_clip)
    }

    fn normalizes_value(&self) -> bool {
        self.config.normalize_value && self.value_moments.count > 0.0
    }

    pub(crate) fn value_mean(&self, critic: usize) -> f32 {
        if self.normalizes_value() { self.value_moments.mean[critic] as f32 } else { 0.0 }
    }

    pub(crate) fn value_std(&self, critic: usize) -> f32 {
        if self.normalizes_value() { self.value_moments.std(critic) as f32 } else { 1.0 }
    }

    /// Makes the next update start new episodes in all worlds: for a resume without saved environments.
    pub fn restart(&mut self) {
        self.counters.restart = true;
    }

    /// Number of parts of the reward that have a critic each.
    pub fn critics(&self) -> usize {
        self.sizes.critics
    }

    /// Weights of the critics' advantages from the next update on, any signs; equal ones at first. They are not part of
    /// a checkpoint: the caller sets them after a resume, too.
    ///
    /// # Errors
    /// [`LearnError::Shape`] if they are not as many as the critics, [`LearnError::Config`] if one is not finite or all
    /// are zero.
    pub fn set_mix(&mut self, weights: &[f64]) -> Result<(), LearnError> {
        same("the number of weights of critics", weights.len(), self.sizes.critics)?;
        let size: f64 = weights.iter().map(|w| w.abs()).sum();
        if !(size.is_finite() && size > 0.0) {
            let expected = "finite numbers, not all of them 0".into();
            return Err(LearnError::Config { key: "mix", value: format!("{weights:?}"), expected });
        }
        self.mix = weights.to_vec();
        Ok(())
    }

    /// Takes over what another learner of the same robot and nets has learnt: policy, statistics of observations, and
    /// the critic where it has as many parts. Values and the scale of rewards are found anew, for another reward.
    ///
    /// # Errors
    /// [`LearnError::Config`] or [`LearnError::Shape`] when the nets differ.
    pub fn begin_with(&mut self, other: &Self) -> Result<(), LearnError> {
        let (ours, theirs) = (&self.config, &other.config);
        for (key, ours, theirs) in [
            ("actor_hidden", format!("{:?}", ours.actor_hidden), format!("{:?}", theirs.actor_hidden)),
            ("critic_hidden", format!("{:?}", ours.critic_hidden), format!("{:?}", theirs.critic_hidden)),
            ("activation", format!("{:?}", ours.activation), format!("{:?}", theirs.activation)),
        ] {
            if ours != theirs {
                return Err(LearnError::Config {
                    key,
                    value: ours,
                    expected: format!("{theirs}, as in the run to begin with"),
                });
            }
        }
        let Sizes { obs, critic_obs, act, .. } = other.sizes;
        self.sizes.check(obs, critic_obs, act, self.sizes.critics)?;
        let shared = if other.sizes.critics == self.sizes.critics {
            self.model.params.len()
        } else {
            self.model.ranges().critic.start
        };
        self.model.params[..shared].copy_from_slice(&other.model.params[..shared]);
        self.model.keep_std_above(self.config.min_std);
        self.obs_moments = other.obs_moments.clone();
        Ok(())
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Policy {
        Policy::new(&self.model, &self.frozen())
    }

    /// Hyperparameters.
    pub fn config(&self) -> &PpoConfig {
        &self.config
    }

    /// Updates done.
    pub fn updates(&self) -> u64 {
        self.counters.updates
    }

    /// Environment steps done, over all worlds.
    pub fn env_steps(&self) -> u64 {
        self.counters.env_steps
    }

    /// Seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Sets the learning rate from here on: the constant one, the start of the linear schedule, the adaptive one's
    /// present value. Values that are negative or not finite are ignored.
    pub fn set_learning_rate(&mut self, lr: f64) {
        if lr.is_finite() && lr >= 0.0 {
            self.counters.learning_rate = lr;
            self.counters.base_learning_rate = lr;
        }
    }
}

/// `sum w_i A_i / sum |w_i|` of the advantages `[worlds, critics, horizon]`, each normalised over the rollout first
/// unless `norm` is none.
fn mix(of_critics: &[f32], out: &mut [f32], weights: &[f64], horizon: usize, norm: AdvantageNorm) {
    let critics = weights.len();
    let moments = moments_by_column(of_critics, critics, horizon);
    let size: f64 = weights.iter().map(|w| w.abs()).sum();
    let factors: Vec<(f32, f32)> = (0..critics)
        .map(|c| {
            let (mean, scale) = if norm == AdvantageNorm::None { (0.0, 1.0) } else { advantage_norm(&moments, c) };
            (mean, scale * (weights[c] / size) as f32)
        })
        .collect();
    out.par_chunks_mut(horizon).zip(of_critics.par_chunks(critics * horizon)).for_each(|(out, each)| {
        out.fill(0.0);
        for (a, (mean, factor)) in each.chunks_exact(horizon).zip(&factors) {
            out.iter_mut().zip(a).for_each(|(out, a)| *out += (a - mean) * factor);
        }
    });
}

#[cfg(test)]
#[path = "ppo_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "critics_tests.rs"]
mod critics_tests;
