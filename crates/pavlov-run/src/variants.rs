//! Several variants of a reward trained side by side: each has worlds and a learner of its own, all run on one pool of
//! threads.
//!
//! Physics does not depend on the reward, so a batch of worlds can be divided among rewards: blocks of all variants are
//! stepped together, and while one variant trains the threads have the others to do. Variants have the same seed, so
//! they meet the same resets, commands and noise: differences come from the reward. A variant is bit for bit what a run
//! of its own would be.

use crate::arm::{Arm, Outcome, learner};
use crate::config::RunConfig;
use crate::device::{Device, Worlds, make_blocks};
use crate::error::RunError;
use crate::evaluate::{EvalOptions, Evaluation, SEED_OFFSET, evaluate};
use crate::logs::TermsLine;
use pavlov_env::{Episode, Task};
use pavlov_learn::{Policy, UpdateStats};
use pavlov_reward::Reward;
use rayon::ThreadPool;
use rayon::prelude::*;
use std::sync::Arc;

/// Variants of one reward (or several rewards) in training.
#[derive(Debug)]
pub struct Variants {
    task: Arc<Task>,
    config: RunConfig,
    arms: Vec<Arm>,
    pool: Arc<ThreadPool>,
}

/// What one variant's update gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VariantUpdate {
    /// The learner's numbers.
    pub stats: UpdateStats,
    /// Mean fitness of the episodes that ended; none when none did.
    pub fitness: Option<f64>,
    /// Share of them with success.
    pub success: Option<f64>,
    /// Their mean length, control steps.
    pub length: Option<f64>,
    /// Their mean return under the variant's own reward.
    pub episode_return: Option<f64>,
    /// Statistics of the terms over the steps of the update.
    pub terms: TermsLine,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Variants {
    /// A variant for each reward, with `config.learner.worlds` worlds each; all of `task`'s scene.
    ///
    /// # Errors
    /// When a learner or an environment cannot be made.
    pub fn new(
        task: &Arc<Task>,
        rewards: &[Arc<Reward>],
        config: &RunConfig,
        pool: Arc<ThreadPool>,
    ) -> Result<Self, RunError> {
        if config.device()? != Device::Cpu {
            let device = &config.device;
            return Err(RunError::Usage(format!(
                "variants are trained on the processor, not on {device}: use `--device cpu`"
            )));
        }
        let make = |reward: &Arc<Reward>| -> Result<Arm, RunError> {
            let worlds = Worlds::Blocks(make_blocks(config, task, reward)?);
            let ppo = learner(config, task, reward)?;
            let adaptive = crate::calibrate::start(task, reward, &mut config.clone())?;
            Arm::new(ppo, worlds, reward.clone(), adaptive)
        };
        let arms = rewards.iter().map(make).collect::<Result<_, _>>()?;
        Ok(Self { task: task.clone(), config: config.clone(), arms, pool })
    }

    /// Number of variants.
    pub fn len(&self) -> usize {
        self.arms.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.arms.is_empty()
    }

    /// The reward of a variant.
    ///
    /// # Panics
    /// When there is no such variant.
    pub fn reward(&self, variant: usize) -> &Arc<Reward> {
        &self.arms[variant].reward
    }

    /// The policy of a variant as it is now.
    ///
    /// # Panics
    /// When there is no such variant.
    pub fn policy(&self, variant: usize) -> Policy {
        self.arms[variant].ppo.policy()
    }

    /// Environment steps of each variant so far.
    pub fn env_steps(&self) -> u64 {
        self.arms.first().map_or(0, |a| a.ppo.env_steps())
    }

    /// One update of every variant. A variant that fails is told and does not stop the others.
    pub fn update(&mut self) -> Vec<Result<VariantUpdate, RunError>> {
        let pool = &*self.pool;
        let update_arm = |arm: &mut Arm| {
            let Outcome { stats, log, sums, warnings, .. } = arm.update(pool)?;
            let count = log.episodes.len();
            let mean =
                |f: fn(&Episode) -> f64| (count > 0).then(|| log.episodes.iter().map(f).sum::<f64>() / count as f64);
            let (names, terms) = (arm.reward.node_names(), arm.reward.term_names().len());
            let at = (stats.update, stats.env_steps);
            Ok(VariantUpdate {
                fitness: mean(|e| e.fitness),
                success: mean(|e| f64::from(u8::from(e.success))),
                length: mean(|e| f64::from(e.length)),
                episode_return: mean(|e| e.reward),
                terms: TermsLine::new(at, names, terms, &sums.terms, &sums.terms_squared, sums.world_steps),
                stats,
                warnings,
            })
        };
        pool.install(|| self.arms.par_iter_mut().with_max_len(1).map(update_arm).collect())
    }

    /// Plays every variant's deterministic policy in worlds that training does not use.
    ///
    /// # Errors
    /// As [`crate::evaluate()`].
    pub fn evaluate(&self) -> Result<Vec<Evaluation>, RunError> {
        let options = EvalOptions {
            episodes: self.config.run.eval_episodes,
            seed: self.config.seed.wrapping_add(SEED_OFFSET),
            profile: self.config.profile()?,
            backend: self.config.backend()?,
        };
        let evaluate_arm = |a: &Arm| evaluate(&self.task, &a.reward, &a.ppo.policy(), options, &self.pool);
        self.arms.iter().map(evaluate_arm).collect()
    }

    /// Goes on with these variants only, in this order.
    pub fn keep(&mut self, variants: &[usize]) {
        let mut old: Vec<Option<Arm>> = std::mem::take(&mut self.arms).into_iter().map(Some).collect();
        self.arms = variants.iter().filter_map(|&i| old.get_mut(i).and_then(Option::take)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::testing;
    use crate::train::thread_pool;

    fn rewards(reward: &Reward, weights: &[f64]) -> Vec<Arc<Reward>> {
        let reward_with = |w: &f64| {
            let mut reward = reward.clone();
            reward.set_param("upright", *w).unwrap();
            Arc::new(reward)
        };
        weights.iter().map(reward_with).collect()
    }

    #[test]
    fn a_variant_is_what_a_run_of_its_own_would_be() {
        let (_dir, assets) =
            testing::assets("worlds = 70\nhorizon = 16\nepochs = 2\nminibatches = 2\ntotal_steps = 9000\n");
        let (task, mut reward) = testing::load(&assets);
        let config = RunConfig::resolve(&task, &mut reward, &Overrides::default()).unwrap();
        let task = Arc::new(task);
        let rewards = rewards(&reward, &[0.5, 1.0, 2.0]);
        let train = |rewards: &[Arc<Reward>], threads: usize| {
            let mut v = Variants::new(&task, rewards, &config, Arc::new(thread_pool(threads).unwrap())).unwrap();
            let untimed = |u: VariantUpdate| {
                let stats = UpdateStats { rollout_s: 0.0, train_s: 0.0, ..u.stats };
                VariantUpdate { stats, ..u }
            };
            let updates: Vec<Vec<VariantUpdate>> =
                (0..4).map(|_| v.update().into_iter().map(|u| untimed(u.unwrap())).collect()).collect();
            (updates, v.evaluate().unwrap())
        };
        let (together, evaluations) = train(&rewards, 3);
        for (k, reward) in rewards.iter().enumerate() {
            let (alone, evaluation) = train(std::slice::from_ref(reward), 1);
            assert!((0..4).all(|u| together[u][k] == alone[u][0]), "variant {k}");
            assert_eq!(evaluations[k], evaluation[0]);
        }
        assert_ne!(together[3][0].stats, together[3][2].stats);
    }

    #[test]
    fn the_others_go_on_where_some_are_dropped() {
        let (_dir, assets) = testing::assets("worlds = 8\nhorizon = 8\ntotal_steps = 900\n");
        let (task, mut reward) = testing::load(&assets);
        let config = RunConfig::resolve(&task, &mut reward, &Overrides::default()).unwrap();
        let pool = Arc::new(thread_pool(1).unwrap());
        let mut v = Variants::new(&Arc::new(task), &rewards(&reward, &[0.5, 1.0, 2.0]), &config, pool).unwrap();
        v.update();
        let value = |v: &Variants, k: usize| v.reward(k).params().find(|p| p.0 == "upright").unwrap().1;
        v.keep(&[2, 0]);
        assert_eq!((v.len(), value(&v, 0), value(&v, 1)), (2, 2.0, 0.5));
        assert_eq!(v.update()[0].as_ref().unwrap().stats.update, 2);
    }
}
