//! Training on a rollout: epochs of minibatches, the learning rate, Adam.
//!
//! Samples are put in a new random order in each epoch and cut in `minibatches` parts whose sizes differ by at most
//! one. The loss and how its gradient is computed by threads: see `loss`.

use std::sync::Mutex;

use crate::adam::{Adam, norm};
use crate::config::{AdvantageNorm, PpoConfig, Schedule};
use crate::error::LearnError;
use crate::loss::{Batch, Desk, SLOTS, ValueScale, advantage_norm};
use crate::model::Model;
use crate::normal::moments_of;
use crate::rng::{Purpose, Rng};
use crate::rollout::Rollout;

/// Buffers kept between updates; their contents carry nothing over.
#[derive(Debug, Default)]
pub struct Scratch {
    desks: Vec<Mutex<Desk>>,
    grads: Vec<Vec<f32>>,
    total: Vec<f32>,
    actor_t: Vec<f32>,
    critic_t: Vec<f32>,
    order: Vec<u32>,
}

/// Averages over the minibatches of an update.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trained {
    /// Clipped policy loss.
    pub policy_loss: f64,
    /// Value loss.
    pub value_loss: f64,
    /// KL divergence, over the last epoch.
    pub kl: f64,
    /// Share of ratios outside the clip range.
    pub clip_fraction: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Epochs done.
    pub epochs: u64,
}

/// What training changes.
#[derive(Debug)]
pub struct Learned<'a> {
    /// Parameters.
    pub model: &'a mut Model,
    /// Moments of the gradient.
    pub adam: &'a mut Adam,
    /// Learning rate; changed by the adaptive schedule only.
    pub lr: &'a mut f64,
}

/// All epochs and minibatches on a rollout whose advantages and returns are set. To be called within the pool of
/// threads.
///
/// # Errors
/// [`LearnError::NotFinite`]; parameters and moments are then as before the bad step.
pub fn train(
    config: &PpoConfig,
    learned: Learned<'_>,
    data: &Rollout,
    row: usize,
    scale: &[ValueScale],
    seed: u64,
    update: u64,
    scratch: &mut Scratch,
) -> Result<Trained, LearnError> {
    let Learned { model, adam, lr } = learned;
    let samples = data.log_prob.len();
    let rng = Rng::new(seed, Purpose::Shuffle, update);
    let old = model.gaussian();
    let Scratch { desks, grads, total, actor_t, critic_t, order } = scratch;
    desks.resize_with(rayon::current_num_threads().max(1), Mutex::default);
    grads.resize_with(SLOTS, Vec::new);
    total.resize(model.params.len(), 0.0);
    order.resize(samples, 0);
    let clones = config.elite_of > 0;
    let over_rollout = match config.advantage_norm {
        _ if clones => (0.0, 1.0),
        AdvantageNorm::Rollout => advantage_norm(&moments_of(&data.advantage), 0),
        _ => (0.0, 1.0),
    };
    let mut done = Trained::default();
    let mut steps = 0.0;
    for epoch in 0..config.epochs {
        rng.permutation(epoch as u32, order);
        done.kl = 0.0;
        for minibatch in 0..config.minibatches {
            let start = |k: usize| k * samples / config.minibatches;
            let indices = &order[start(minibatch)..start(minibatch + 1)];
            let (advantage_mean, advantage_scale) = if config.advantage_norm == AdvantageNorm::Minibatch && !clones {
                let chosen: Vec<f32> = indices.iter().map(|&i| data.advantage[i as usize]).collect();
                advantage_norm(&moments_of(&chosen), 0)
            } else {
                over_rollout
            };
            model.actor.transpose(model.actor_params(), actor_t);
            model.critic.transpose(model.critic_params(), critic_t);
            let gaussian = model.gaussian();
            let kl_of_std = gaussian.kl_of_std(&old);
            let batch = Batch {
                config,
                model,
                data,
                row,
                scale,
                gaussian,
                kl_of_std,
                advantage_mean,
                advantage_scale,
                indices,
                actor_t,
                critic_t,
            };
            let sums = batch.gradient(desks, grads, total);
            let norm = norm(total);
            let bad = |quantity, hint| Err(LearnError::NotFinite { update, quantity, hint });
            if !sums.policy.is_finite() {
                return bad("the policy loss", "lower learning_rate or raise min_std");
            }
            if !sums.value.is_finite() {
                return bad("the value loss", "look at the size of rewards, or set normalize_reward");
            }
            if norm.is_nan() || norm * norm > f64::from(f32::MAX) {
                return bad("the gradient", "lower learning_rate, or set max_grad_norm");
            }
            if config.schedule == Schedule::Adaptive {
                *lr = adapt(config, *lr, sums.kl);
            }
            let limit = config.max_grad_norm;
            let clip = if limit > 0.0 && norm > limit { limit / norm } else { 1.0 };
            adam.step(config, *lr, clip, total, &mut model.params);
            model.keep_std_above(config.min_std);

            done.policy_loss += sums.policy;
            done.value_loss += sums.value;
            done.clip_fraction += sums.clipped;
            done.grad_norm += norm;
            done.kl += sums.kl / config.minibatches as f64;
            steps += 1.0;
        }
        done.epochs += 1;
        if config.target_kl > 0.0 && done.kl > config.target_kl {
            break;
        }
    }
    done.policy_loss /= steps;
    done.value_loss /= steps;
    done.clip_fraction /= steps;
    done.grad_norm /= steps;
    Ok(done)
}

/// The adaptive schedule of RSL-RL (Rudin et al. 2022): from the KL divergence of the minibatch at hand, before its
/// step.
fn adapt(config: &PpoConfig, lr: f64, kl: f64) -> f64 {
    if kl > 2.0 * config.desired_kl {
        (lr / 1.5).max(config.learning_rate_min)
    } else if kl > 0.0 && kl < 0.5 * config.desired_kl {
        (lr * 1.5).min(config.learning_rate_max)
    } else {
        lr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::{ACT, ROW, SCALE, setup};
    use crate::net::Workspace;

    fn run(config: &PpoConfig, model: &mut Model, data: &Rollout, lr: &mut f64) -> Result<Trained, LearnError> {
        let mut adam = Adam::new(model.params.len());
        let learned = Learned { model, adam: &mut adam, lr };
        train(config, learned, data, ROW, &SCALE[..1], 1, 7, &mut Scratch::default())
    }

    fn consistent(config: &PpoConfig) -> (Model, Rollout) {
        let (model, mut data) = setup(config, 1);
        let mut work = Workspace::default();
        let means = model.actor.forward(model.actor_params(), &data.obs, ROW, data.log_prob.len(), &mut work);
        for (i, mean) in means.chunks_exact(8).enumerate() {
            let at = i * ACT..(i + 1) * ACT;
            data.mean[at.clone()].copy_from_slice(&mean[..ACT]);
            data.log_prob[i] = model.gaussian().log_prob(&mean[..ACT], &data.action[at], &mut [0.0; ACT]);
        }
        (model, data)
    }

    #[test]
    fn adaptive_schedule_steers_towards_the_desired_kl() {
        let base = PpoConfig { desired_kl: 0.01, ..PpoConfig::default() };
        assert_eq!(adapt(&base, 1e-3, 0.021), 1e-3 / 1.5);
        assert_eq!(adapt(&base, 1e-3, 0.0049), 1.5e-3);
        assert_eq!(adapt(&base, 1e-3, 0.01), 1e-3);
        assert_eq!(adapt(&base, 1e-3, 0.0), 1e-3);
        assert_eq!(adapt(&base, 1.2e-5, 1.0), 1e-5);
        assert_eq!(adapt(&base, 9e-3, 1e-9), 1e-2);
        let config = PpoConfig { worlds: 32, horizon: 32, schedule: Schedule::Adaptive, epochs: 8, ..base };
        let (model, data) = consistent(&config);
        for (start, falls) in [(1e-2, true), (2e-5, false)] {
            let mut lr = start;
            run(&config, &mut model.clone(), &data, &mut lr).unwrap();
            assert_eq!(lr < start, falls, "from {start} to {lr}");
        }
    }

    #[test]
    fn target_kl_stops_early_and_the_first_ratio_is_one() {
        let mut config = PpoConfig {
            worlds: 32,
            horizon: 32,
            epochs: 1,
            minibatches: 1,
            learning_rate: 0.01,
            ..PpoConfig::default()
        };
        let (model, data) = consistent(&config);
        let first = run(&config, &mut model.clone(), &data, &mut 0.01).unwrap();
        assert!(first.kl.abs() < 1e-12 && first.clip_fraction == 0.0, "{first:?}");
        (config.epochs, config.minibatches) = (20, 4);
        let every = run(&config, &mut model.clone(), &data, &mut 0.01).unwrap();
        config.target_kl = 0.02;
        let stopped = run(&config, &mut model.clone(), &data, &mut 0.01).unwrap();
        assert!(every.epochs == 20 && stopped.epochs < 20 && stopped.kl > 0.02, "{every:?} {stopped:?}");
    }

    #[test]
    fn numbers_that_are_not_finite_leave_the_parameters_alone() {
        let config = PpoConfig { worlds: 8, horizon: 8, ..PpoConfig::default() };
        let (model, data) = consistent(&config);
        type Spoil = fn(&mut Rollout);
        let cases: [(&str, Spoil); 3] = [
            ("policy", |data| data.advantage[9] = f32::NAN),
            ("value", |data| data.returns[9] = f32::INFINITY),
            ("policy", |data| data.obs[9] = f32::NAN),
        ];
        for (quantity, spoil) in cases {
            let (_, mut data) = consistent(&PpoConfig { minibatches: 1, ..config.clone() });
            spoil(&mut data);
            let mut after = model.clone();
            let error = run(&PpoConfig { minibatches: 1, ..config.clone() }, &mut after, &data, &mut 1e-3).unwrap_err();
            assert!(error.to_string().contains(quantity), "{error}");
            assert_eq!(after.params, model.params);
        }
        let mut after = model.clone();
        // Infinite, then infinities of both signs that sum to NaN; the losses themselves stay finite.
        let steep = PpoConfig { value_coef: 1e38, ..config.clone() };
        for factor in [1.0, 100.0] {
            let (_, mut data) = consistent(&config);
            data.returns.iter_mut().for_each(|r| *r *= factor);
            let error = run(&steep, &mut after, &data, &mut 1e-3).unwrap_err();
            assert!(error.to_string().contains("gradient"), "{error}");
            assert_eq!(after.params, model.params);
        }
        run(&config, &mut after, &data, &mut 1e-3).unwrap();
        assert_ne!(after.params, model.params);
    }

    #[test]
    fn long_gradients_are_cut_to_the_limit() {
        // With an epsilon this large a first step of Adam is `lr / eps` times the gradient.
        let base =
            PpoConfig { worlds: 8, horizon: 8, epochs: 1, minibatches: 1, adam_eps: 1e6, ..PpoConfig::default() };
        let (model, data) = consistent(&base);
        for (limit, cut) in [(0.05, true), (0.0, false), (1e3, false)] {
            let config = PpoConfig { max_grad_norm: limit, ..base.clone() };
            let mut after = model.clone();
            let trained = run(&config, &mut after, &data, &mut 1e6).unwrap();
            let moves: Vec<f32> = after.params.iter().zip(&model.params).map(|(a, b)| a - b).collect();
            let expected = if cut { limit } else { trained.grad_norm };
            let found = norm(&moves);
            assert!(
                trained.grad_norm > 0.1 && (found - expected).abs() < 1e-3 * expected,
                "{limit}: {found} {expected}"
            );
        }
    }
}
