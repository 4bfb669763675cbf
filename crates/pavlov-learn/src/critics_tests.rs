//! Tests of rewards with a critic for each of their parts.

use super::*;
use crate::env_block::StepOut;
use crate::net::Workspace;
use crate::toy::Mass;

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Masses whose reward has two parts: their own, and minus the size of the force.
struct Split {
    mass: Mass,
    rewards: Vec<f32>,
}

impl Split {
    fn blocks(blocks: usize, worlds: usize, limit: u32) -> Vec<Self> {
        Mass::blocks(blocks, worlds, limit).into_iter().map(|mass| Self { mass, rewards: Vec::new() }).collect()
    }
}

impl EnvBlock for Split {
    fn num_worlds(&self) -> usize {
        self.mass.num_worlds()
    }
    fn obs_dim(&self) -> usize {
        2
    }
    fn critic_obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn reset(&mut self, obs: &mut [f32]) {
        self.mass.reset(obs);
    }
    fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        let StepOut { obs, reward, terminated, truncated, final_obs } = out;
        self.mass.step(actions, StepOut { obs, reward, terminated, truncated, final_obs });
        self.rewards = reward.iter().zip(actions).flat_map(|(r, a)| [*r, -a.abs()]).collect();
    }
    fn critics(&self) -> usize {
        2
    }
    fn critic_rewards(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.rewards);
    }
}

fn config() -> PpoConfig {
    PpoConfig {
        worlds: 64,
        horizon: 48,
        actor_hidden: vec![16],
        critic_hidden: vec![16],
        normalize_value: true,
        learning_rate: 1e-3,
        ..PpoConfig::default()
    }
}

fn with(config: PpoConfig, weights: &[f64]) -> Ppo {
    let mut ppo = Ppo::with_critics(config, 2, 1, 1, 2, 9).unwrap();
    ppo.set_mix(weights).unwrap();
    ppo
}

#[test]
fn same_bits_for_any_number_of_threads_and_after_a_resume() {
    let mut results = Vec::new();
    for (threads, resume) in [(1, false), (2, false), (3, true)] {
        let pool = pool(threads);
        let mut blocks = Split::blocks(4, 16, 40);
        let mut ppo = with(config(), &[1.0, 0.3]);
        for update in 0..4 {
            if resume && update == 2 {
                ppo = Ppo::from_bytes(&ppo.to_bytes().unwrap()).unwrap();
                ppo.set_mix(&[1.0, 0.3]).unwrap();
            }
            ppo.update(&mut blocks, &pool).unwrap();
        }
        assert_eq!(ppo.critics(), 2);
        results.push(ppo.to_bytes().unwrap());
    }
    assert!(results[0] == results[1], "threads change the result");
    assert!(results[0] == results[2], "a resume changes the result");
}

#[test]
fn every_critic_has_its_own_values_and_advantages() {
    let pool = pool(2);
    for norm in [AdvantageNorm::Rollout, AdvantageNorm::None] {
        let config = PpoConfig { advantage_norm: norm, gamma: 0.9, ..config() };
        let mut ppo = with(config, &[1.0, -3.0]);
        let mut blocks = Split::blocks(4, 16, 40);
        // The second update has time limits, and values in units of their own.
        ppo.update(&mut blocks, &pool).unwrap();
        let (model, units) = (ppo.model.clone(), [0, 1].map(|c| (ppo.value_mean(c), ppo.value_std(c))));
        assert_ne!(units[0], units[1]);
        ppo.update(&mut blocks, &pool).unwrap();
        let r = &ppo.buffers.rollout;
        let values =
            model.critic.forward(model.critic_params(), &r.obs, 3, 64 * 48, &mut Workspace::default()).to_vec();
        let width = model.critic.out_width();
        let mut of_critics = vec![0.0; 2 * 64 * 48];
        for k in 0..128 {
            let (world, critic) = (k / 2, k % 2);
            let steps = k * 48..(k + 1) * 48;
            let (mean, std) = units[critic];
            for t in 0..48 {
                let output = values[(world * 48 + t) * width + critic];
                assert_eq!(r.value[k * 48 + t], std * output + mean, "world {world}, critic {critic}, step {t}");
            }
            let done = &r.done[world * 48..(world + 1) * 48];
            let after = &r.after[steps.clone()];
            assert!(done.iter().zip(after).all(|(done, after)| *done || *after == 0.0));
            let (reward, value) = (&r.reward[steps.clone()], &r.value[steps.clone()]);
            let track = Track { reward, value, done, after, last_value: r.last_value[k] };
            gae(track, 0.9, ppo.config.gae_lambda, &mut of_critics[steps], &mut [0.0; 48]);
        }
        assert_eq!(of_critics, r.of_critics);
        let cut =
            (0..2).map(|c| (0..64).filter(|w| r.after[(w * 2 + c) * 48..][..48].iter().any(|&a| a != 0.0)).count());
        assert!(cut.clone().all(|n| n > 10), "{:?}", cut.collect::<Vec<_>>());

        // (A_0 - 3 A_1) / 4, in deviations or as they are.
        let column = |c: usize| -> Vec<f64> {
            of_critics.chunks_exact(48).skip(c).step_by(2).flatten().map(|&a| f64::from(a)).collect()
        };
        let normalised = |c: usize| -> Vec<f64> {
            let a = column(c);
            let n = a.len() as f64;
            let mean = a.iter().sum::<f64>() / n;
            let std = (a.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            a.iter().map(|x| if norm == AdvantageNorm::None { *x } else { (x - mean) / std }).collect()
        };
        for ((mixed, a), b) in r.advantage.iter().zip(normalised(0)).zip(normalised(1)) {
            assert!((f64::from(*mixed) - (a - 3.0 * b) / 4.0).abs() < 1e-4, "{mixed} {a} {b}");
        }
    }
}

/// Episodes of one step; parts `-(a - 1)^2` and `a`.
struct Pull {
    rewards: Vec<f32>,
}

impl EnvBlock for Pull {
    fn num_worlds(&self) -> usize {
        64
    }
    fn obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn reset(&mut self, obs: &mut [f32]) {
        obs.fill(1.0);
    }
    fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        out.terminated.fill(true);
        out.truncated.fill(false);
        out.obs.fill(1.0);
        self.rewards = actions.iter().flat_map(|a| [-(a - 1.0) * (a - 1.0), *a]).collect();
    }
    fn critics(&self) -> usize {
        2
    }
    fn critic_rewards(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.rewards);
    }
}

#[test]
fn the_policy_goes_where_the_mix_has_no_slope() {
    let pool = pool(2);
    // With the deviation s the slopes by the mean m are 2 (1 - m) and 1, the deviations of the parts sqrt(4 (1 - m)^2
    // s^2 + 2 s^4) and s. Weights 1 and -w balance at 1 - m = w / 2, of normalised parts at 1 - m = s w / sqrt(2 (1 -
    // w^2)).
    for (norm, w, s, expected) in [
        (AdvantageNorm::None, 1.0, 0.3, 0.5),
        (AdvantageNorm::Rollout, 0.8, 0.3, 1.0 - 0.3 * 0.8 / (2.0f64 * 0.36).sqrt()),
    ] {
        let config = PpoConfig {
            worlds: 64,
            horizon: 32,
            advantage_norm: norm,
            normalize_reward: false,
            normalize_obs: false,
            init_std: s,
            min_std: s,
            actor_hidden: vec![8],
            critic_hidden: vec![8],
            learning_rate: 3e-3,
            ..PpoConfig::default()
        };
        let mut ppo = Ppo::with_critics(config, 1, 0, 1, 2, 3).unwrap();
        ppo.set_mix(&[1.0, -w]).unwrap();
        let (mut blocks, mut sum) = ([Pull { rewards: Vec::new() }], 0.0);
        for update in 0..300 {
            ppo.update(&mut blocks, &pool).unwrap();
            if update >= 200 {
                sum += f64::from(ppo.buffers.rollout.mean[0]);
            }
        }
        let found = sum / 100.0;
        assert!((found - expected).abs() < 0.03, "{norm:?}: {found}, expected {expected}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let mut single = Ppo::new(config(), 2, 1, 1, 1).unwrap();
    let error = single.update(&mut Split::blocks(4, 16, 40), &pool(1)).unwrap_err().to_string();
    assert!(error.contains("the number of critics is 2"), "{error}");
    let mut double = Ppo::with_critics(config(), 2, 1, 1, 2, 1).unwrap();
    assert!(double.update(&mut Mass::blocks(4, 16, 40), &pool(1)).is_err());
    for weights in [&[1.0][..], &[1.0, f64::NAN], &[0.0, 0.0], &[1.0; 3]] {
        assert!(double.set_mix(weights).is_err(), "{weights:?}");
    }
    for critics in [0, 257] {
        let error = Ppo::with_critics(config(), 2, 1, 1, critics, 1).unwrap_err().to_string();
        assert!(error.contains("critics"), "{error}");
    }
}
