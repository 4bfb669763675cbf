//! What the learner asks of an environment: blocks of worlds that step together on one thread.

pub use pavlov_common::StepOut;

/// A block of worlds. The rollout runs a block for the whole horizon on one thread, so blocks never wait for each
/// other.
///
/// A block's results must depend on its own state and the actions only: then training does not depend on the number of
/// threads.
pub trait EnvBlock: Send {
    /// Worlds in this block.
    fn num_worlds(&self) -> usize;
    /// Columns of the observation that the policy sees (and the critic too).
    fn obs_dim(&self) -> usize;
    /// Columns after those that only the critic sees; 0 = none.
    fn critic_obs_dim(&self) -> usize {
        0
    }
    /// Columns of an action.
    fn act_dim(&self) -> usize;
    /// Starts a new episode in every world and writes its first observation `[worlds, row]`.
    fn reset(&mut self, obs: &mut [f32]);
    /// One control step. `actions` `[worlds, act_dim]` are unbounded samples of a Gaussian: clipping is the
    /// environment's work.
    fn step(&mut self, actions: &[f32], out: StepOut<'_>);
    /// What the last step adds to the reward of the step before it `[worlds]`; none when rewards are complete at once.
    /// Where no next step is known (a time limit, the end of a rollout) the number stands for what that one would add
    /// to this step.
    fn late(&self) -> Option<&[f32]> {
        None
    }
    /// Parts of the reward that have a critic each; 1 = the reward itself. See [`crate::Ppo::set_mix`].
    fn critics(&self) -> usize {
        1
    }
    /// With several critics: their rewards in the last step `[worlds, critics]`. The reward of the step is then for
    /// logs only, and [`EnvBlock::late`] must be none.
    fn critic_rewards(&self, _out: &mut [f32]) {}
}

impl<T: EnvBlock + ?Sized> EnvBlock for Box<T> {
    fn num_worlds(&self) -> usize {
        (**self).num_worlds()
    }
    fn obs_dim(&self) -> usize {
        (**self).obs_dim()
    }
    fn critic_obs_dim(&self) -> usize {
        (**self).critic_obs_dim()
    }
    fn act_dim(&self) -> usize {
        (**self).act_dim()
    }
    fn reset(&mut self, obs: &mut [f32]) {
        (**self).reset(obs);
    }
    fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        (**self).step(actions, out);
    }
    fn late(&self) -> Option<&[f32]> {
        (**self).late()
    }
    fn critics(&self) -> usize {
        (**self).critics()
    }
    fn critic_rewards(&self, out: &mut [f32]) {
        (**self).critic_rewards(out);
    }
}
