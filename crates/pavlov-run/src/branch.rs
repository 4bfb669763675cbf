//! Branches: what a policy might do next from one and the same state. Siblings differ by nothing but what they do from
//! there, so that comparing them says most (tree-structured preferences: Qiu et al. 2024, *Reward generalization in
//! RLHF: a topological perspective*).
//!
//! Worlds that share their random numbers and are moved by the policy's mean action are in the same state to the last
//! bit, pushes, commands and randomisation included. Each group gets a step of its own, within its lifetime, from
//! which on its worlds add noise of their own, with the policy's deviation. What is kept begins with the state at
//! that step. A group with a sibling that does not live that long is left out.

use crate::checkpoint::{self, Which};
use crate::config::RunConfig;
use crate::error::RunError;
use crate::evaluate::SEED_OFFSET;
use crate::folder::RunFolder;
use crate::play::{Player, PolicyPlayer, Tape};
use crate::rollouts::{RolloutEpisode, RolloutInfo, Rollouts};
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_env::{BLOCK_WORLDS, Env, EnvBlock, EnvOptions, Task};
use pavlov_learn::Policy;
use pavlov_reward::Reward;
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// What to branch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BranchOptions {
    /// States to branch from, at most.
    pub states: usize,
    /// Siblings from each: a divisor of 64 from 2.
    pub siblings: usize,
    /// Control steps of a piece.
    pub length: usize,
    /// Noise of actions, in deviations of the policy.
    pub noise: f64,
    /// Seed of worlds, moments and noise.
    pub seed: u64,
}

impl Default for BranchOptions {
    fn default() -> Self {
        Self { states: 32, siblings: 4, length: 50, noise: 1.0, seed: 0 }
    }
}

/// The policy's mean action up to a step, then with noise.
struct Brancher {
    mean: PolicyPlayer,
    deviation: Vec<f32>,
    /// Step from which on a world is on its own.
    from: Vec<usize>,
    rng: Vec<WorldRng>,
}

impl Player for Brancher {
    fn act(&mut self, obs: &[f32], step: usize, actions: &mut [f32]) -> Result<(), RunError> {
        self.mean.act(obs, step, actions)?;
        let columns = self.deviation.len();
        for (world, actions) in actions.chunks_exact_mut(columns).enumerate().filter(|(w, _)| step >= self.from[*w]) {
            let mut stream = self.rng[world].stream(Purpose::Action, 0, step as u32);
            actions.iter_mut().zip(&self.deviation).for_each(|(a, d)| *a += d * stream.normal());
        }
        Ok(())
    }
}

/// Branches a run's newest policy and writes a file of pieces into the run's folder. Gives the file and the number of
/// states it has.
///
/// # Errors
/// When the run cannot be read, an option is out of range, no group lives long enough, or the file cannot be written.
pub fn branch(
    folder: &RunFolder,
    options: &BranchOptions,
    pool: &rayon::ThreadPool,
) -> Result<(PathBuf, usize), RunError> {
    let config = RunConfig::read(&folder.config())?;
    let (task, reward) = crate::inputs::load(folder, &config)?;
    let (loaded, _) = checkpoint::find(folder, Which::Last)?;
    let policy = loaded.ppo.policy();
    let BranchOptions { states, siblings, length, noise, seed } = *options;
    let room = task.episode_steps();
    if states == 0 || siblings < 2 || !BLOCK_WORLDS.is_multiple_of(siblings) || !(noise.is_finite() && noise > 0.0) {
        return Err(RunError::Usage(format!(
            "{states} states, {siblings} siblings, noise {noise}: expected 1 or more, 2 to {BLOCK_WORLDS} (a divisor \
             of it), above 0"
        )));
    }
    if length == 0 || length > room {
        return Err(RunError::Usage(format!("pieces of {length} steps: expected 1 to the episode's {room}")));
    }
    // Not the seed of the run's other worlds: segments with the same reset seed are compared.
    let seed = config.seed.wrapping_add(SEED_OFFSET).wrapping_add((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (task, reward) = (Arc::new(task), Arc::new(reward));
    let alone = EnvOptions {
        worlds: states,
        seed,
        profile: config.profile()?,
        backend: config.backend()?,
        ..EnvOptions::default()
    };
    let lives = lives(&task, &reward, &alone, &policy, pool)?;
    let together = EnvOptions { worlds: states.saturating_mul(siblings), siblings, ..alone };
    let mut env = Env::new(task.clone(), reward.clone(), &together)?;
    let channels = task.scene().recorded();
    let branch_block = |block: &mut EnvBlock| -> Result<Rollouts, RunError> {
        let (first, n) = (block.first_world(), block.num_worlds());
        let from: Vec<usize> = (0..n)
            .map(|w| {
                let group = (first + w) / siblings;
                let unit = WorldRng::new(seed, group as u64).stream(Purpose::Stagger, 1, 0).unit();
                (unit * (lives[group].saturating_sub(length) + 1) as f32) as usize
            })
            .collect();
        let mut player = brancher(&task, &policy, noise, from.clone(), |w| WorldRng::new(!seed, (first + w) as u64))?;
        let until = from.iter().max().map_or(0, |f| f + length);
        let tape = Tape::of(block, &task, &channels, until, &mut player)?;
        let mut pieces = Vec::new();
        for group in (0..n).collect::<Vec<_>>().chunks(siblings) {
            // Those that do not live long enough are taken out with the whole group: a group must have its full number.
            if group.iter().all(|&w| tape.steps[w] >= from[w] + length) {
                pieces.extend(group.iter().map(|&w| (w, from[w], length)));
            }
        }
        let episode = |k: usize| RolloutEpisode { first: k * (length + 1), steps: length, ..RolloutEpisode::default() };
        let episodes: Vec<RolloutEpisode> = (0..pieces.len()).map(episode).collect();
        let info = RolloutInfo { rows: pieces.len() * (length + 1), episodes, ..RolloutInfo::default() };
        Ok(Rollouts::new(info, tape.columns(&channels, &pieces)))
    };
    let parts: Result<Vec<Rollouts>, RunError> = pool.install(|| env.blocks.par_iter_mut().map(branch_block).collect());
    let info = RolloutInfo {
        task: task.name.clone(),
        reward: reward.name().to_string(),
        seed,
        profile: config.profile()?.name().to_string(),
        update: loaded.state.update,
        env_steps: loaded.state.env_steps,
        dt: task.control_dt(),
        siblings: siblings as u32,
        ..RolloutInfo::default()
    };
    let mut all = Rollouts::new(info, channels.iter().map(|&c| (c, Vec::new())).collect());
    parts?.into_iter().for_each(|part| all.append(part));
    let found = all.info.episodes.len() / siblings;
    if found == 0 {
        return Err(RunError::Usage(format!(
            "none of {states} groups lives {length} steps: give a shorter length, or train first"
        )));
    }
    let path = folder.branches().join(format!("branch-{:09}-{}.safetensors", loaded.state.update, options.seed));
    let bytes = all.to_bytes(&path, task.scene())?;
    // Labels may be about the pieces of an earlier file: it is left as it is.
    match pavlov_common::file::read(&path, pavlov_common::file::NUMBERS) {
        Ok(there) if there == bytes => return Ok((path, found)),
        Ok(_) => {
            return Err(RunError::Usage(format!(
                "{}: there are other pieces with this seed, which labels may be about: give another --seed",
                path.display()
            )));
        }
        Err(_) => {}
    }
    all.write(&folder.writable(path.clone())?, task.scene())?;
    Ok((path, found))
}

/// How long each group would live if nobody left it.
fn lives(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    options: &EnvOptions,
    policy: &Policy,
    pool: &rayon::ThreadPool,
) -> Result<Vec<usize>, RunError> {
    let mut env = Env::new(task.clone(), reward.clone(), options)?;
    let lives_of_block = |block: &mut EnvBlock| {
        let mut player = PolicyPlayer::new(task, policy)?;
        Ok(Tape::of(block, task, &[], task.episode_steps(), &mut player)?.steps)
    };
    let all: Result<Vec<Vec<usize>>, RunError> =
        pool.install(|| env.blocks.par_iter_mut().map(lives_of_block).collect());
    Ok(all?.concat())
}

fn brancher(
    task: &Task,
    policy: &Policy,
    noise: f64,
    from: Vec<usize>,
    rng: impl Fn(usize) -> WorldRng,
) -> Result<Brancher, RunError> {
    let deviation = policy.std().iter().map(|d| d * noise as f32).collect();
    let rng = (0..from.len()).map(rng).collect();
    Ok(Brancher { mean: PolicyPlayer::new(task, policy)?, deviation, from, rng })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::rollouts::RolloutFile;
    use crate::testing;
    use crate::train::Trainer;
    use pavlov_reward::Columns;

    #[test]
    fn siblings_begin_in_one_state_and_part_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let learner = "worlds = 64\nhorizon = 16\nactor_hidden = [16]\ncritic_hidden = [16]\ntotal_steps = 10240\n\
            eval_episodes = 4";
        let (_kept, assets) = testing::assets(learner);
        let out = dir.path().join("run");
        let asked = Overrides { seed: Some(3), threads: Some(2), ..Overrides::default() };
        let mut trainer = Trainer::create(&assets, "cartpole_balance", None, &asked, dir.path(), Some(&out)).unwrap();
        trainer.update().unwrap();
        trainer.checkpoint(true, false).unwrap();
        let folder = trainer.folder().clone();
        let pool = crate::thread_pool(2).unwrap();
        let options = BranchOptions { states: 20, siblings: 4, length: 10, noise: 1.0, seed: 3 };
        let (path, found) = branch(&folder, &options, &pool).unwrap();
        assert!(found > 10, "{found}");
        let file = RolloutFile::open(&path).unwrap();
        assert_eq!((file.info.siblings, file.info.episodes.len()), (4, 4 * found));
        let config = RunConfig::read(&folder.config()).unwrap();
        let (task, _) = crate::inputs::load(&folder, &config).unwrap();
        let channels = task.scene().recorded();
        let columns = file.read(task.scene(), channels.iter().copied()).unwrap();
        let row = |r: usize| -> Vec<u32> {
            let state = |c: &&pavlov_script::Channel| {
                matches!(c, pavlov_script::Channel::Qpos(_) | pavlov_script::Channel::Qvel(_))
            };
            channels.iter().filter(state).map(|&c| columns.column(c).unwrap()[r].to_bits()).collect()
        };
        let mut starts = std::collections::HashSet::new();
        for group in file.info.episodes.chunks(4) {
            for e in &group[1..] {
                assert_eq!(row(e.first), row(group[0].first), "the same state to the bit");
                assert_ne!(row(e.first + 10), row(group[0].first + 10));
            }
            starts.insert(row(group[0].first));
        }
        assert_eq!(starts.len(), found, "each group from a state of its own");
        for bad in [
            BranchOptions { siblings: 3, ..options },
            BranchOptions { length: 100_000, ..options },
            BranchOptions { noise: 0.0, ..options },
        ] {
            assert!(matches!(branch(&folder, &bad, &pool), Err(RunError::Usage(_))), "{bad:?}");
        }
    }
}
