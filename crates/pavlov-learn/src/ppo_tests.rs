//! Tests of whole updates: determinism, resume, learning, ends of episodes, errors.

use super::*;
use crate::config::AdvantageNorm;
use crate::env_block::StepOut;
use crate::toy::Mass;

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn small() -> PpoConfig {
    PpoConfig {
        worlds: 64,
        horizon: 48,
        actor_hidden: vec![32, 32],
        critic_hidden: vec![32],
        normalize_value: true,
        learning_rate: 1e-3,
        total_steps: 3072 * 10,
        ..PpoConfig::default()
    }
}

fn without_times(stats: UpdateStats) -> UpdateStats {
    UpdateStats { rollout_s: 0.0, train_s: 0.0, ..stats }
}

#[test]
fn same_bits_for_any_number_of_threads_and_after_a_resume() {
    let configs = [
        small(),
        PpoConfig {
            schedule: Schedule::Adaptive,
            advantage_norm: AdvantageNorm::Minibatch,
            value_clip: 0.2,
            entropy_coef: 0.01,
            minibatches: 3,
            ..small()
        },
    ];
    for config in configs {
        let mut results = Vec::new();
        for (threads, resume) in [(1, false), (2, false), (3, true)] {
            let pool = pool(threads);
            let mut blocks = Mass::blocks(4, 16, 40);
            let mut ppo = Ppo::new(config.clone(), 2, 1, 1, 9).unwrap();
            let mut stats = Vec::new();
            for update in 0..4 {
                if resume && update == 2 {
                    ppo = Ppo::from_bytes(&ppo.to_bytes().unwrap()).unwrap();
                }
                stats.push(without_times(ppo.update(&mut blocks, &pool).unwrap()));
            }
            results.push((stats, ppo.to_bytes().unwrap()));
        }
        assert!(results[0].0[3].ended.episodes > 0 && results[0].0[3].learner.grad_norm > 0.0);
        assert!(results[0] == results[1], "threads change the result");
        assert!(results[0] == results[2], "a resume changes the result");
    }
}

#[test]
fn worlds_keep_their_numbers_however_they_are_cut_in_blocks() {
    let pool = pool(2);
    let run = |blocks: usize| {
        let mut ppo = Ppo::new(small(), 2, 1, 1, 9).unwrap();
        ppo.update(&mut Mass::blocks(blocks, 64 / blocks, 40), &pool).unwrap();
        std::mem::take(&mut ppo.buffers.rollout.action)
    };
    let four = run(4);
    assert_eq!(four, run(2));
    assert_ne!(four[..48], four[16 * 48..17 * 48], "two worlds have the same noise");
}

#[test]
fn the_seed_changes_everything_and_restart_resets() {
    let pool = pool(2);
    let run = |seed, restart: bool| {
        let mut blocks = Mass::blocks(4, 16, 1000);
        let mut ppo = Ppo::new(small(), 2, 1, 1, seed).unwrap();
        ppo.update(&mut blocks, &pool).unwrap();
        if restart {
            ppo.restart();
        }
        let stats = ppo.update(&mut blocks, &pool).unwrap();
        (stats.reward_mean, ppo.carried.episode_length.iter().copied().max().unwrap())
    };
    assert_ne!(run(1, false).0, run(2, false).0);
    assert_eq!(run(1, false), run(1, false));
    assert_eq!((run(1, true).1 <= 48, run(1, false).1 > 48), (true, true));
}

#[test]
fn learns_to_hold_the_mass() {
    let pool = pool(2);
    for normalize_value in [false, true] {
        let config = PpoConfig { normalize_value, epochs: 8, learning_rate: 2e-3, ..small() };
        let mut blocks = Mass::blocks(4, 16, 60);
        let mut ppo = Ppo::new(config, 2, 1, 1, 1).unwrap();
        let first = ppo.update(&mut blocks, &pool).unwrap();
        let mut last = first.clone();
        for _ in 0..40 {
            last = ppo.update(&mut blocks, &pool).unwrap();
        }
        // The best is a little under 60 less what the first steps cost; a random policy ends early.
        let (before, after) = (first.ended.episode_return.unwrap(), last.ended.episode_return.unwrap());
        assert!(before < 20.0 && after > 50.0, "normalize_value {normalize_value}: {before} {after}");
        assert!(last.learner.explained_variance > 0.5 && last.ended.episode_length == Some(60.0), "{last:?}");
        // The mean action pushes back.
        let (mut policy, mut actions) = (ppo.policy(), [0.0; 2]);
        policy.act(&[1.0, 0.0, 9.0, -1.0, 0.0, 9.0], 3, &mut actions).unwrap();
        assert!(actions[0] < -0.2 && actions[1] > 0.2, "{actions:?}");
    }
}

/// Reward 1 in every step, every step the end of an episode.
struct Coin {
    truncate: bool,
    reward: f32,
    obs: f32,
}

impl EnvBlock for Coin {
    fn num_worlds(&self) -> usize {
        16
    }
    fn obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn reset(&mut self, obs: &mut [f32]) {
        obs.fill(0.5);
    }
    fn step(&mut self, _actions: &[f32], out: StepOut<'_>) {
        out.obs.fill(self.obs);
        out.final_obs.fill(self.obs);
        out.reward.fill(self.reward);
        out.truncated.fill(self.truncate);
        out.terminated.fill(!self.truncate);
    }
}

#[test]
fn values_see_beyond_a_time_limit_but_not_beyond_a_termination() {
    let pool = pool(2);
    for normalize_value in [false, true] {
        for (truncate, expected) in [(true, 2.0), (false, 1.0)] {
            let config = PpoConfig {
                worlds: 16,
                horizon: 16,
                gamma: 0.5,
                normalize_reward: false,
                normalize_obs: false,
                normalize_value,
                learning_rate: 3e-3,
                ..PpoConfig::default()
            };
            let mut ppo = Ppo::new(config, 1, 0, 1, 1).unwrap();
            let mut blocks = [Coin { truncate, reward: 1.0, obs: 0.5 }];
            for _ in 0..60 {
                ppo.update(&mut blocks, &pool).unwrap();
            }
            let value = f64::from(ppo.buffers.rollout.value[7]);
            assert!((value - expected).abs() < 0.1, "truncate {truncate}, normalised {normalize_value}: {value}");
        }
    }
}

#[test]
fn rewards_are_scaled_and_clipped() {
    let pool = pool(1);
    let config = PpoConfig { worlds: 16, horizon: 4, reward_clip: 3.0, ..PpoConfig::default() };
    let mut ppo = Ppo::new(config, 1, 0, 1, 1).unwrap();
    ppo.discounted_moments = Moments { count: 1e9, mean: vec![0.0], m2: vec![16e9] };
    ppo.update(&mut [Coin { truncate: false, reward: 8.0, obs: 0.5 }], &pool).unwrap();
    assert!((ppo.buffers.rollout.reward[3] - 2.0).abs() < 1e-4);
    ppo.update(&mut [Coin { truncate: false, reward: -80.0, obs: 0.5 }], &pool).unwrap();
    assert_eq!(ppo.buffers.rollout.reward[3], -3.0);
}

#[test]
fn numbers_that_are_not_finite_are_named_and_the_next_update_recovers() {
    let pool = pool(2);
    let config = PpoConfig { worlds: 16, horizon: 4, ..PpoConfig::default() };
    let mut ppo = Ppo::new(config, 1, 0, 1, 1).unwrap();
    let mut coin = [Coin { truncate: true, reward: 1.0, obs: 0.5 }];
    ppo.update(&mut coin, &pool).unwrap();
    let params = ppo.model.params.clone();
    for (reward, obs, word) in [(f32::NAN, 0.5, "reward"), (1.0, f32::INFINITY, "observation")] {
        (coin[0].reward, coin[0].obs) = (reward, obs);
        let error = ppo.update(&mut coin, &pool).unwrap_err();
        assert!(matches!(error, LearnError::NotFinite { update: 1, .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(ppo.model.params, params);
    }
    (coin[0].reward, coin[0].obs) = (1.0, 0.5);
    assert_eq!(ppo.update(&mut coin, &pool).unwrap().update, 2);
}

#[test]
fn sizes_are_checked() {
    let pool = pool(1);
    let mut ppo = Ppo::new(small(), 2, 1, 1, 1).unwrap();
    let error = ppo.update(&mut Mass::blocks(3, 16, 9), &pool).unwrap_err();
    assert!(matches!(error, LearnError::Shape { found: 48, expected: 64, .. }), "{error}");
    let mut ppo = Ppo::new(small(), 3, 0, 1, 1).unwrap();
    let error = ppo.update(&mut Mass::blocks(4, 16, 9), &pool).unwrap_err().to_string();
    assert!(error.contains("observation columns is 2"), "{error}");
    for (obs, critic, act) in [(0, 0, 1), (1, 0, 0), (1, usize::MAX, 1)] {
        assert!(matches!(Ppo::new(small(), obs, critic, act, 1), Err(LearnError::Config { .. })));
    }
}

#[test]
fn learning_rates_follow_their_schedule() {
    let pool = pool(2);
    let config = PpoConfig { schedule: Schedule::Linear, learning_rate_min: 1e-4, ..small() };
    let mut ppo = Ppo::new(config, 2, 1, 1, 1).unwrap();
    let mut blocks = Mass::blocks(4, 16, 40);
    let rates: Vec<f64> = (0..12).map(|_| ppo.update(&mut blocks, &pool).unwrap().learner.learning_rate).collect();
    assert_eq!(rates[0], 1e-3);
    assert!((rates[5] - 5.5e-4).abs() < 1e-12 && (rates[11] - 1e-4).abs() < 1e-12, "{rates:?}");
    let mut ppo = Ppo::new(small(), 2, 1, 1, 1).unwrap();
    ppo.set_learning_rate(f64::NAN);
    ppo.set_learning_rate(0.0);
    let before = ppo.model.params.clone();
    assert_eq!(ppo.update(&mut blocks, &pool).unwrap().learner.learning_rate, 0.0);
    assert_eq!(ppo.model.params, before);
}

#[test]
fn the_deviation_stays_above_its_limit() {
    let pool = pool(2);
    let config = PpoConfig { min_std: 0.95, learning_rate: 0.05, ..small() };
    let mut ppo = Ppo::new(config, 2, 1, 1, 1).unwrap();
    let mut blocks = Mass::blocks(4, 16, 40);
    let lowest = (0..8)
        .map(|_| {
            ppo.update(&mut blocks, &pool).unwrap();
            ppo.policy().std()[0]
        })
        .fold(f32::INFINITY, f32::min);
    assert!((lowest - 0.95).abs() < 1e-6, "{lowest}");
}

/// Two worlds that begin alike: the first is paid 100 once, the second 12 at each of three steps.
struct Paid(usize);

impl EnvBlock for Paid {
    fn num_worlds(&self) -> usize {
        2
    }
    fn obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn reset(&mut self, obs: &mut [f32]) {
        self.0 = 0;
        obs.fill(0.0);
    }
    fn step(&mut self, _: &[f32], out: StepOut<'_>) {
        out.reward.copy_from_slice(&[if self.0 == 0 { 100.0 } else { 0.0 }, 12.0]);
        self.0 += 1;
        out.terminated.fill(false);
        out.truncated.fill(false);
        out.obs.fill(0.0);
    }
}

/// Scaled by their deviation and clipped, three times 12 are more than one time 100.
#[test]
fn what_is_cloned_is_ranked_by_what_was_paid() {
    let config = PpoConfig {
        worlds: 2,
        horizon: 3,
        elite_of: 2,
        minibatches: 1,
        normalize_reward: true,
        reward_clip: 0.1,
        ..PpoConfig::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut ppo = Ppo::new(config, 1, 0, 1, 5).unwrap();
    ppo.update(&mut [Paid(0)], &pool).unwrap();
    let weights = &ppo.buffers.rollout.advantage;
    assert!(weights[..3].iter().all(|w| *w > 0.0) && weights[3..].iter().all(|w| *w == 0.0), "{weights:?}");
}
