//! How fast the learner is on this machine, on made-up samples.

use std::time::Instant;

use rayon::prelude::*;

use crate::adam::Adam;
use crate::config::PpoConfig;
use crate::error::LearnError;
use crate::loss::ValueScale;
use crate::model::Model;
use crate::net::Workspace;
use crate::rng::{Purpose, Rng};
use crate::rollout::Rollout;
use crate::train::{Learned, Scratch, train};

/// Rows of a block in the forward measurement.
const BLOCK: usize = 64;

/// Results of [`bench()`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnBench {
    /// Samples trained on per second; a sample is one row in one epoch: forward, backward and Adam, actor and critic.
    pub samples_per_s_train: f64,
    /// Rows per second through actor and critic as in a rollout: blocks of 64 rows, every thread with its own.
    pub forward_rows_per_s: f64,
}

/// Trains and runs nets of this shape for about `seconds` in all on `threads` threads.
///
/// # Errors
/// [`LearnError`] if the settings are out of range, the threads cannot be started or training diverges.
pub fn bench(
    config: &PpoConfig,
    obs_dim: usize,
    act_dim: usize,
    threads: usize,
    seconds: f64,
) -> Result<LearnBench, LearnError> {
    config.validate()?;
    crate::ppo::Sizes { obs: obs_dim, critic_obs: 0, act: act_dim, critics: 1 }.validate()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| LearnError::Config {
        key: "threads",
        value: threads.to_string(),
        expected: format!("a number of threads that can be started ({e})"),
    })?;
    let mut model = Model::zeros(config, obs_dim, obs_dim, act_dim, 1);
    model.init(config, 1);
    let data = made_up(config, &model, obs_dim);
    let mut adam = Adam::new(model.params.len());
    let mut scratch = Scratch::default();
    // Small and constant, so that the parameters hardly move in a long run.
    let mut lr = 1e-6;
    let config = PpoConfig { schedule: crate::config::Schedule::Constant, target_kl: 0.0, ..config.clone() };
    let scale = [ValueScale { mean: 0.0, inv_std: 1.0 }];
    let (mut samples, mut update) = (0, 0);
    let mut start = Instant::now();
    while samples == 0 || start.elapsed().as_secs_f64() < 0.5 * seconds {
        let learned = Learned { model: &mut model, adam: &mut adam, lr: &mut lr };
        pool.install(|| train(&config, learned, &data, obs_dim, &scale, 1, update, &mut scratch))?;
        samples += config.epochs * data.log_prob.len();
        if update == 0 {
            // The first pass fills caches and buffers.
            (start, samples) = (Instant::now(), 0);
        }
        update += 1;
    }
    let samples_per_s_train = samples as f64 / start.elapsed().as_secs_f64();

    let x = &data.obs[..data.obs.len().min(BLOCK * obs_dim)];
    let rows = x.len() / obs_dim;
    let start = Instant::now();
    let counts: Vec<u64> = pool.install(|| {
        (0..pool.current_num_threads())
            .into_par_iter()
            .with_max_len(1)
            .map(|_| {
                let (mut work, mut count) = (Workspace::default(), 0);
                while start.elapsed().as_secs_f64() < 0.5 * seconds {
                    for _ in 0..16 {
                        model.actor.forward(model.actor_params(), x, obs_dim, rows, &mut work);
                        model.critic.forward(model.critic_params(), x, obs_dim, rows, &mut work);
                        count += rows as u64;
                    }
                }
                count
            })
            .collect()
    });
    let forward_rows_per_s = counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64();
    Ok(LearnBench { samples_per_s_train, forward_rows_per_s })
}

/// A rollout of normal numbers, as if the policy had drawn the actions.
fn made_up(config: &PpoConfig, model: &Model, obs_dim: usize) -> Rollout {
    let mut data = Rollout::default();
    data.fit(config.worlds, config.horizon, obs_dim, model.act, 1);
    let rng = Rng::new(1, Purpose::Bench, 0);
    rng.normals(0, 0, &mut data.obs);
    rng.normals(0, 1, &mut data.action);
    rng.normals(0, 2, &mut data.advantage);
    rng.normals(0, 3, &mut data.returns);
    let gaussian = model.gaussian();
    let mut z = vec![0.0; model.act];
    for (i, log_prob) in data.log_prob.iter_mut().enumerate() {
        let at = i * model.act..(i + 1) * model.act;
        data.action[at.clone()].iter_mut().zip(&gaussian.std).for_each(|(a, s)| *a *= s);
        *log_prob = gaussian.log_prob(&data.mean[at.clone()], &data.action[at], &mut z);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_block::{EnvBlock, StepOut};

    /// 64 worlds that do nothing: what is left of a rollout is the learner's own work.
    struct Still;

    impl EnvBlock for Still {
        fn num_worlds(&self) -> usize {
            64
        }
        fn obs_dim(&self) -> usize {
            27
        }
        fn act_dim(&self) -> usize {
            8
        }
        fn reset(&mut self, obs: &mut [f32]) {
            obs.fill(0.1);
        }
        fn step(&mut self, _actions: &[f32], out: StepOut<'_>) {
            out.obs.fill(0.2);
            out.reward.fill(1.0);
            out.terminated.fill(false);
            out.truncated.fill(false);
        }
    }

    #[test]
    #[ignore = "a measurement, not a check: cargo test --release -p pavlov-learn -- --ignored --nocapture \
                rollout_speed"]
    fn rollout_speed() {
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let config = PpoConfig { worlds: 512, horizon: 128, ..PpoConfig::default() };
            let mut ppo = crate::Ppo::new(config, 27, 0, 8, 1).unwrap();
            let mut blocks = [Still, Still, Still, Still, Still, Still, Still, Still];
            let stats: Vec<_> = (0..6).map(|_| ppo.update(&mut blocks, &pool).unwrap()).collect();
            let best = stats.iter().map(|s| s.rollout_s).fold(f64::INFINITY, f64::min);
            println!("threads {threads}: {:.3e} steps per second without an environment", 512.0 * 128.0 / best);
        }
    }

    #[test]
    #[ignore = "a measurement, not a check: cargo test --release -p pavlov-learn -- --ignored --nocapture \
                learner_speed"]
    fn learner_speed() {
        for (hidden, obs, act) in [(vec![64, 64], 27, 8), (vec![256, 256], 27, 8), (vec![512, 256, 128], 105, 12)] {
            for threads in [1, 2] {
                let config = PpoConfig {
                    actor_hidden: hidden.clone(),
                    critic_hidden: hidden.clone(),
                    horizon: 256,
                    ..PpoConfig::default()
                };
                let LearnBench { samples_per_s_train: train, forward_rows_per_s: forward } =
                    bench(&config, obs, act, threads, 3.0).unwrap();
                println!("{hidden:?} obs {obs} act {act} threads {threads}: {train:.3e} train, {forward:.3e} forward");
            }
        }
    }
}
