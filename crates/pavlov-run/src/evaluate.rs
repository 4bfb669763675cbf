//! Evaluation: the deterministic policy on the task as it is, with seeds that training does not use.
//!
//! Every world plays its first episode to the end, so that short episodes are not counted more often than long ones.

use crate::error::RunError;
use crate::logs::Named;
use pavlov_common::stats::{mean, moments, range};
use pavlov_env::{BackendKind, Env, EnvBlock, EnvOptions, Episode, EpisodeLog, Profile, StepOut, Task};
use pavlov_learn::Policy;
use pavlov_reward::Reward;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Added to the run's seed: training worlds and evaluation worlds are different ones.
pub const SEED_OFFSET: u64 = 1_000_000;

/// How to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalOptions {
    /// Episodes, each in a world of its own.
    pub episodes: usize,
    /// Seed of the worlds.
    pub seed: u64,
    /// Solver profile.
    pub profile: Profile,
    /// What steps the worlds.
    pub backend: BackendKind,
}

/// A mean and how far values are from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// Mean over episodes.
    pub mean: f64,
    /// Standard deviation over episodes.
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

impl Stat {
    /// Of these values; zeros when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return Self::default();
        }
        let (mean, variance) = moments(values.iter().copied()).unwrap_or_default();
        let (min, max) = range(values.iter().copied()).unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        Self { mean, std: variance.sqrt(), min, max }
    }
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Task.
    pub task: String,
    /// Reward the return is of.
    pub reward: String,
    /// Episodes played.
    pub episodes: usize,
    /// Seed of the worlds.
    pub seed: u64,
    /// Solver profile.
    pub profile: String,
    /// What stepped the worlds.
    #[serde(default)]
    pub backend: String,
    /// Sum of rewards.
    #[serde(rename = "return")]
    pub episode_return: Stat,
    /// Fitness, as the task defines it.
    pub fitness: Stat,
    /// Success, 0 or 1.
    pub success: Stat,
    /// Control steps.
    pub length: Stat,
    /// Share of episodes that the task's termination ended.
    pub terminated: f64,
    /// Episodes that ended because the state became non-finite.
    pub nonfinite: u64,
    /// Mean over episodes of each term's sum.
    pub terms: Named<f64>,
    /// The same of what the reward graph makes of them, and of the total.
    #[serde(default)]
    pub nodes: Named<f64>,
    /// Mean over episodes of each metric's mean.
    pub metrics: Named<f64>,
    /// Each episode's return, fitness, success and length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<EpisodeResult>,
}

/// One episode of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpisodeResult {
    /// Sum of rewards.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// Fitness.
    pub fitness: f64,
    /// Success.
    pub success: bool,
    /// Control steps.
    pub length: u32,
}

/// Plays the episodes on the threads of `pool`.
///
/// # Errors
/// When the environment cannot be made, the policy does not fit it, or a script fails.
pub fn evaluate(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    policy: &Policy,
    options: EvalOptions,
    pool: &rayon::ThreadPool,
) -> Result<Evaluation, RunError> {
    fits(task, policy)?;
    let EvalOptions { episodes, seed, profile, backend } = options;
    let env = EnvOptions { worlds: episodes, seed, profile, backend, stagger: false, disturb: true, siblings: 1 };
    let mut env = Env::new(task.clone(), reward.clone(), &env)?;
    let play = |block: &mut EnvBlock| play(block, task, &mut policy.clone());
    let logs: Result<Vec<EpisodeLog>, RunError> = pool.install(|| env.blocks.par_iter_mut().map(play).collect());
    let (terms, nodes, metrics) = (reward.term_names(), reward.node_names(), task.metric_names());
    let mut all: Vec<(Episode, Vec<f64>, Vec<f64>)> = Vec::new();
    for log in logs? {
        for (i, episode) in log.episodes.iter().enumerate().filter(|(_, e)| e.index == 0) {
            let row = |values: &[f64], n: usize| values[i * n..(i + 1) * n].to_vec();
            all.push((episode.clone(), row(&log.term_sums, nodes.len()), row(&log.metrics, metrics.len())));
        }
    }
    all.sort_by_key(|(e, _, _)| e.world);
    let n = all.len().max(1) as f64;
    let stat = |f: fn(&Episode) -> f64| Stat::of(all.iter().map(|(e, _, _)| f(e)));
    let node_mean = |node: usize| mean(all.iter().map(|(_, sums, _)| sums[node])).unwrap_or_default();
    let metric_mean = |metric: usize| mean(all.iter().map(|(_, _, means)| means[metric])).unwrap_or_default();
    let result = |e: &Episode| EpisodeResult {
        episode_return: e.reward,
        fitness: e.fitness,
        success: e.success,
        length: e.length,
    };
    Ok(Evaluation {
        task: task.name.clone(),
        reward: reward.name().to_string(),
        episodes: all.len(),
        seed,
        profile: profile.name().to_string(),
        backend: backend.name().to_string(),
        episode_return: stat(|e| e.reward),
        fitness: stat(|e| e.fitness),
        success: stat(|e| f64::from(u8::from(e.success))),
        length: stat(|e| f64::from(e.length)),
        terminated: all.iter().filter(|(e, _, _)| e.terminated).count() as f64 / n,
        nonfinite: all.iter().filter(|(e, _, _)| e.nonfinite).count() as u64,
        terms: Named::new(terms, (0..terms.len()).map(node_mean)),
        nodes: Named::new(&nodes[terms.len()..], (terms.len()..nodes.len()).map(node_mean)),
        metrics: Named::new(metrics, (0..metrics.len()).map(metric_mean)),
        list: all.iter().map(|(e, _, _)| result(e)).collect(),
    })
}

/// Does the policy see and do what the task gives and takes?
pub(crate) fn fits(task: &Task, policy: &Policy) -> Result<(), RunError> {
    let (found, expected) = ((policy.obs_dim(), policy.act_dim()), (task.policy_obs_dim(), task.act_dim()));
    if found == expected {
        return Ok(());
    }
    let (name, [o, a, eo, ea]) = (&task.name, [found.0, found.1, expected.0, expected.1]);
    Err(RunError::Usage(format!("the policy maps {o} numbers to {a} actions, task {name} needs {eo} to {ea}")))
}

/// Slices a block writes into.
pub(crate) struct Buffers {
    pub obs: Vec<f32>,
    pub actions: Vec<f32>,
    pub reward: Vec<f32>,
    pub terminated: Vec<bool>,
    pub truncated: Vec<bool>,
    pub final_obs: Vec<f32>,
}

impl Buffers {
    pub fn new(worlds: usize, task: &Task) -> Self {
        let (row, act) = (task.obs_dim(), task.act_dim());
        Self {
            obs: vec![0.0; worlds * row],
            actions: vec![0.0; worlds * act],
            reward: vec![0.0; worlds],
            terminated: vec![false; worlds],
            truncated: vec![false; worlds],
            final_obs: vec![0.0; worlds * row],
        }
    }

    /// One step under the policy.
    pub fn step(&mut self, block: &mut EnvBlock, task: &Task, policy: &mut Policy) -> Result<(), RunError> {
        policy.act(&self.obs, task.obs_dim(), &mut self.actions)?;
        self.play(block);
        script_failure(block)
    }

    /// One step under the actions that are there.
    pub fn play(&mut self, block: &mut EnvBlock) {
        let Self { obs, actions, reward, terminated, truncated, final_obs } = self;
        block.step(actions, StepOut { obs, reward, terminated, truncated, final_obs });
    }
}

/// A script that failed makes every number after it worthless.
pub(crate) fn script_failure(block: &EnvBlock) -> Result<(), RunError> {
    block.script_error().map_or(Ok(()), |e| Err(RunError::Failed(e.to_string())))
}

fn play(block: &mut EnvBlock, task: &Task, policy: &mut Policy) -> Result<EpisodeLog, RunError> {
    let worlds = block.num_worlds();
    let mut buffers = Buffers::new(worlds, task);
    block.reset(&mut buffers.obs);
    block.clear_log();
    let mut playing = vec![true; worlds];
    for _ in 0..task.episode_steps() {
        buffers.step(block, task, policy)?;
        for (world, playing) in playing.iter_mut().enumerate() {
            *playing &= !(buffers.terminated[world] || buffers.truncated[world]);
        }
        if !playing.contains(&true) {
            break;
        }
    }
    Ok(block.log().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn statistics_of_a_few_values() {
        assert_eq!(Stat::of([1.0, 3.0]), Stat { mean: 2.0, std: 1.0, min: 1.0, max: 3.0 });
        assert_eq!(Stat::of([]), Stat::default());
    }

    #[test]
    fn every_world_plays_one_episode_whatever_the_threads() {
        let (_dir, assets) = testing::assets("");
        let (task, reward) = testing::load(&assets);
        let (task, reward) = (Arc::new(task), Arc::new(reward));
        let config = pavlov_learn::PpoConfig::default();
        let policy = pavlov_learn::Ppo::new(config, task.policy_obs_dim(), 0, task.act_dim(), 1).unwrap().policy();
        let options = EvalOptions { episodes: 70, seed: 5, profile: Profile::Fast, backend: BackendKind::Batch };
        let run = |threads, options| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            evaluate(&task, &reward, &policy, options, &pool).unwrap()
        };
        let found = run(1, options);
        assert_eq!((found.episodes, found.list.len()), (70, 70));
        assert!(found.length.min > 1.0 && found.episode_return.std > 0.0);
        assert_eq!(found, run(3, options));
        let few = run(1, EvalOptions { episodes: 5, ..options });
        assert_eq!(few.list[..], found.list[..5], "a world's episode does not depend on the others");
    }
}
