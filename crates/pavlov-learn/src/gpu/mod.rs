//! Rollouts on a device: nets, noise and environment step on the GPU, one read-back per rollout; training stays on the
//! processor.
//!
//! ```text
//! Ppo ── parameters, statistics ──> nets.encode(0), env.encode_step(0), nets.encode(1), ...
//!                                   ──> read back ── fill.rs ──> Rollout
//! ```
//! Numbers on the device are `[step][column][world]`: neighbouring threads are neighbouring worlds and read
//! neighbouring numbers.

mod fill;
mod nets;
#[cfg(test)]
mod tests;
mod text;
mod update;

pub use nets::DeviceNets;

use crate::error::LearnError;
use pavlov_physics::gpu::{Gpu, Timing};
use std::sync::Arc;

/// What a rollout on the device left. `row = obs_dim + critic_obs_dim` columns.
#[derive(Debug, Clone, Default)]
pub struct DeviceRollout {
    /// Observations as the task gives them `[horizon + 1][row][worlds]`; the last slice is what the next rollout starts
    /// from.
    pub obs: Vec<f32>,
    /// Rewards `[horizon][worlds]`.
    pub reward: Vec<f32>,
    /// Did the episode end with this step `[horizon][worlds]`? 0 no, 1 by termination, 2 by a time limit alone.
    pub ended: Vec<f32>,
    /// Last observations of episodes that a time limit ended `[slots][row][worlds]`: those of a world's k-th such end
    /// of this rollout are in slot k.
    pub final_obs: Vec<f32>,
    /// Slots of `final_obs`.
    pub slots: usize,
}

/// All worlds of an environment on one device.
pub trait DeviceEnv {
    /// The device.
    fn gpu(&self) -> &Arc<Gpu>;
    /// Worlds.
    fn num_worlds(&self) -> usize;
    /// Columns of the observation that the policy sees (and the critic too).
    fn obs_dim(&self) -> usize;
    /// Columns after those that only the critic sees.
    fn critic_obs_dim(&self) -> usize;
    /// Columns of an action.
    fn act_dim(&self) -> usize;
    /// Control steps of a rollout.
    fn horizon(&self) -> usize;
    /// Observations `[horizon + 1][row][worlds]`; slice 0 is what the first step of a rollout acts on.
    fn observations(&self) -> &wgpu::Buffer;
    /// Actions `[horizon][act][worlds]`, unbounded samples of a Gaussian: written here by the policy, clipped by the
    /// environment.
    fn actions(&self) -> &wgpu::Buffer;
    /// Starts new episodes in all worlds and writes slice 0 of the observations.
    ///
    /// # Errors
    /// When the device fails.
    fn reset(&mut self) -> Result<(), LearnError>;
    /// Adds control step `t`: reads slice `t` of the actions, writes slice `t + 1` of the observations. With `timing`
    /// each kernel has a mark with its name before it.
    fn encode_step(&self, encoder: &mut wgpu::CommandEncoder, t: usize, timing: Option<&mut Timing>);
    /// After everything is submitted: reads the rollout and the first numbers of the buffers in `also` back, in one
    /// wait, and makes the last slice of the observations slice 0.
    ///
    /// # Errors
    /// When the device fails, or the environment has nothing to go on with.
    fn finish_rollout(&mut self, also: &[(&wgpu::Buffer, usize)])
    -> Result<(DeviceRollout, Vec<Vec<f32>>), LearnError>;
}
