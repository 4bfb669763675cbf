//! Playing whole episodes and keeping everything scripts could read: what rollouts are made of.
//!
//! As in an evaluation every world plays its first episode to the end.

use crate::error::RunError;
use crate::evaluate::{Buffers, fits, script_failure};
use crate::rollouts::{RolloutEpisode, RolloutInfo, Rollouts};
use pavlov_common::stats::{column, fronts};
use pavlov_env::{BackendKind, Env, EnvBlock, EnvOptions, Profile, Task};
use pavlov_learn::Policy;
use pavlov_reward::Reward;
use pavlov_script::Channel;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// What chooses the actions of the worlds of one block.
pub trait Player {
    /// Actions `[worlds, act_dim]` for observations `[worlds, obs_dim]` in control step `step` (from 0).
    ///
    /// # Errors
    /// When it cannot play these worlds.
    fn act(&mut self, obs: &[f32], step: usize, actions: &mut [f32]) -> Result<(), RunError>;
}

/// The mean action of a policy.
#[derive(Debug, Clone)]
pub struct PolicyPlayer {
    policy: Policy,
    row: usize,
}

impl PolicyPlayer {
    /// A player for a task.
    ///
    /// # Errors
    /// When the policy does not fit the task.
    pub fn new(task: &Task, policy: &Policy) -> Result<Self, RunError> {
        fits(task, policy)?;
        Ok(Self { policy: policy.clone(), row: task.obs_dim() })
    }
}

impl Player for PolicyPlayer {
    fn act(&mut self, obs: &[f32], _step: usize, actions: &mut [f32]) -> Result<(), RunError> {
        Ok(self.policy.act(obs, self.row, actions)?)
    }
}

/// How to play.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayOptions {
    /// Episodes, each in a world of its own.
    pub episodes: usize,
    /// Seed of the worlds.
    pub seed: u64,
    /// Solver profile.
    pub profile: Profile,
    /// Noise, pushes and randomisation as the task says.
    pub disturb: bool,
    /// What steps the worlds.
    pub backend: BackendKind,
}

/// Plays episodes and keeps `channels`. `players(first, n)` makes the player of worlds `first..first + n`.
///
/// # Errors
/// When the environment cannot be made, a player fails, or a script does.
pub fn play_rollouts<P: Player + Send>(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    options: &PlayOptions,
    channels: &[Channel],
    players: impl Fn(usize, usize) -> Result<P, RunError> + Sync,
    pool: &rayon::ThreadPool,
) -> Result<Rollouts, RunError> {
    let PlayOptions { episodes, seed, profile, disturb, backend } = *options;
    let env = EnvOptions { worlds: episodes, seed, profile, stagger: false, disturb, backend, siblings: 1 };
    let mut env = Env::new(task.clone(), reward.clone(), &env)?;
    let play_block = |block: &mut EnvBlock| {
        let mut player = players(block.first_world(), block.num_worlds())?;
        play(block, task, channels, &mut player)
    };
    let parts: Result<Vec<Rollouts>, RunError> = pool.install(|| env.blocks.par_iter_mut().map(play_block).collect());
    let info = RolloutInfo {
        task: task.name.clone(),
        reward: reward.name().to_string(),
        seed,
        profile: profile.name().to_string(),
        dt: task.control_dt(),
        ..RolloutInfo::default()
    };
    let mut all = Rollouts::new(info, channels.iter().map(|&c| (c, Vec::new())).collect());
    parts?.into_iter().for_each(|part| all.append(part));
    Ok(all)
}

/// What the worlds of a block did.
pub(crate) struct Tape {
    /// `[step][channel][world]`, first the states after the reset.
    states: Vec<Vec<f32>>,
    worlds: usize,
    /// Steps of each world's first episode, up to where the tape ends.
    pub steps: Vec<usize>,
}

impl Tape {
    /// Plays at most `until` steps, or until every first episode is over.
    pub fn of(
        block: &mut EnvBlock,
        task: &Task,
        channels: &[Channel],
        until: usize,
        player: &mut impl Player,
    ) -> Result<Self, RunError> {
        let n = block.num_worlds();
        let mut buffers = Buffers::new(n, task);
        block.record(channels);
        block.reset(&mut buffers.obs);
        block.clear_log();
        let kept = |columns: &[f32]| fronts(columns, pavlov_env::BLOCK_WORLDS, n);
        let recording = |block: &EnvBlock, after: bool| match block.recording() {
            Some(r) => kept(if after { r.after() } else { r.now() }),
            None => Vec::new(),
        };
        let mut states = vec![recording(block, false)];
        let mut steps = vec![0usize; n];
        let mut playing = vec![true; n];
        for step in 0..until {
            player.act(&buffers.obs, step, &mut buffers.actions)?;
            buffers.play(block);
            script_failure(block)?;
            states.push(recording(block, true));
            for world in (0..n).filter(|&w| playing[w]).collect::<Vec<_>>() {
                steps[world] += 1;
                playing[world] = !(buffers.terminated[world] || buffers.truncated[world]);
            }
            if !playing.contains(&true) {
                break;
            }
        }
        Ok(Self { states, worlds: n, steps })
    }

    /// Columns of pieces one after another: world, step whose state comes first, steps.
    pub fn columns(&self, channels: &[Channel], pieces: &[(usize, usize, usize)]) -> HashMap<Channel, Vec<f32>> {
        let rows: usize = pieces.iter().map(|(_, _, steps)| steps + 1).sum();
        let of_pieces = |c: usize| -> Vec<f32> {
            let mut all = Vec::with_capacity(rows);
            for &(world, first, steps) in pieces {
                column(&self.states[first..=first + steps], c * self.worlds + world, &mut all);
            }
            all
        };
        channels.iter().enumerate().map(|(c, &channel)| (channel, of_pieces(c))).collect()
    }
}

fn play(
    block: &mut EnvBlock,
    task: &Task,
    channels: &[Channel],
    player: &mut impl Player,
) -> Result<Rollouts, RunError> {
    let tape = Tape::of(block, task, channels, task.episode_steps(), player)?;
    let mut info = RolloutInfo::default();
    let log = block.log();
    for (world, &steps) in tape.steps.iter().enumerate() {
        let known = log.episodes.iter().find(|e| e.index == 0 && e.world == block.first_world() + world);
        let Some(e) = known else {
            return Err(RunError::Failed(format!("world {world} did not end its episode")));
        };
        let (first, episode_return) = (info.rows, e.reward);
        let (fitness, success, terminated) = (e.fitness, e.success, e.terminated);
        let name = String::new();
        info.episodes.push(RolloutEpisode { name, first, steps, episode_return, fitness, success, terminated });
        info.rows += steps + 1;
    }
    let pieces: Vec<_> = tape.steps.iter().enumerate().map(|(world, &steps)| (world, 0, steps)).collect();
    Ok(Rollouts::new(info, tape.columns(channels, &pieces)))
}
