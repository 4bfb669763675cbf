//! An environment's block as the learner wants it.

/// A block of worlds for [`pavlov_learn::Ppo`]. Rows are `[policy columns | critic-only columns]` on both sides.
#[derive(Debug)]
pub struct Block {
    inner: pavlov_env::EnvBlock,
    obs: usize,
    critic: usize,
    act: usize,
}

impl Block {
    /// The blocks of an environment, in order.
    pub fn all(env: pavlov_env::Env) -> Vec<Self> {
        let (obs, act) = (env.policy_obs_dim(), env.act_dim());
        let critic = env.obs_dim() - obs;
        env.blocks.into_iter().map(|inner| Self { inner, obs, critic, act }).collect()
    }

    /// The environment's block.
    pub fn inner(&self) -> &pavlov_env::EnvBlock {
        &self.inner
    }

    /// The environment's block.
    pub fn inner_mut(&mut self) -> &mut pavlov_env::EnvBlock {
        &mut self.inner
    }
}

impl pavlov_learn::EnvBlock for Block {
    fn num_worlds(&self) -> usize {
        self.inner.num_worlds()
    }

    fn obs_dim(&self) -> usize {
        self.obs
    }

    fn critic_obs_dim(&self) -> usize {
        self.critic
    }

    fn act_dim(&self) -> usize {
        self.act
    }

    fn reset(&mut self, obs: &mut [f32]) {
        self.inner.reset(obs);
    }

    fn step(&mut self, actions: &[f32], out: pavlov_learn::StepOut<'_>) {
        self.inner.step(actions, out);
    }

    fn critics(&self) -> usize {
        self.inner.critics()
    }

    fn critic_rewards(&self, out: &mut [f32]) {
        out.copy_from_slice(self.inner.critic_rewards());
    }

    fn late(&self) -> Option<&[f32]> {
        self.inner.late()
    }
}
