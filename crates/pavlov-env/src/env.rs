//! The vectorised environment: blocks of 64 worlds over one task, one reward, one seed.

use crate::error::EnvError;
use crate::lanes::block::EnvBlock;
use crate::options::{BLOCK_WORLDS, EnvOptions};
use crate::plan::whole::Shared;
use crate::task::load::Task;
use pavlov_reward::Reward;
use std::sync::Arc;

/// An environment of many worlds. Its blocks are independent: move them to threads as you like.
#[derive(Debug)]
pub struct Env {
    /// The blocks, in world order; all but the last have [`BLOCK_WORLDS`] worlds.
    pub blocks: Vec<EnvBlock>,
    task: Arc<Task>,
    reward: Arc<Reward>,
}

/// More worlds than this are a slip of the keyboard, not a wish.
const MAX_WORLDS: usize = 1 << 20;

impl Env {
    /// Worlds of `task` rewarded by `reward`, not yet reset.
    ///
    /// # Errors
    /// When the physics refuses the robot, or the number of worlds is 0 or above 2^20.
    pub fn new(task: Arc<Task>, reward: Arc<Reward>, options: &EnvOptions) -> Result<Self, EnvError> {
        let shared = Self::shared(&task, options)?;
        let starts = (0..options.worlds).step_by(BLOCK_WORLDS);
        let blocks = starts
            .map(|first| EnvBlock::new(&shared, &reward, first, BLOCK_WORLDS.min(options.worlds - first)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { blocks, task, reward })
    }

    /// What all worlds of an environment share.
    pub(crate) fn shared(task: &Arc<Task>, options: &EnvOptions) -> Result<Arc<Shared>, EnvError> {
        if !(1..=MAX_WORLDS).contains(&options.worlds) {
            return Err(EnvError::Usage(format!("{} worlds: expected 1 to {MAX_WORLDS}", options.worlds)));
        }
        if options.siblings == 0 || !BLOCK_WORLDS.is_multiple_of(options.siblings) {
            return Err(EnvError::Usage(format!(
                "{} siblings: expected a divisor of {BLOCK_WORLDS}",
                options.siblings
            )));
        }
        let (physics, frame_skip) = task.physics(options.profile)?;
        let nominal = physics.params::<f64>();
        Ok(Arc::new(Shared { task: task.clone(), physics, frame_skip, nominal, options: options.clone() }))
    }

    /// One block alone: worlds `first..first + options.worlds` of an environment, at most [`BLOCK_WORLDS`].
    ///
    /// # Errors
    /// As [`Env::new`].
    pub fn block(
        task: &Arc<Task>,
        reward: &Arc<Reward>,
        options: &EnvOptions,
        first: usize,
    ) -> Result<EnvBlock, EnvError> {
        if !(1..=BLOCK_WORLDS).contains(&options.worlds) {
            return Err(EnvError::Usage(format!("{} worlds: expected 1 to {BLOCK_WORLDS}", options.worlds)));
        }
        let shared = Self::shared(task, options)?;
        EnvBlock::new(&shared, reward, first, options.worlds)
    }

    /// The task.
    pub fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// The reward.
    pub fn reward(&self) -> &Arc<Reward> {
        &self.reward
    }

    /// Number of worlds.
    pub fn num_worlds(&self) -> usize {
        self.blocks.iter().map(EnvBlock::num_worlds).sum()
    }

    /// Columns of an observation row.
    pub fn obs_dim(&self) -> usize {
        self.task.obs_dim()
    }

    /// Columns of it that the policy sees.
    pub fn policy_obs_dim(&self) -> usize {
        self.task.policy_obs_dim()
    }

    /// Number of actions.
    pub fn act_dim(&self) -> usize {
        self.task.act_dim()
    }
}
