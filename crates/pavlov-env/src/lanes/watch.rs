//! For whoever looks at single worlds while they run: what the last step gave in a world, a hand that pushes, and a recording.

use super::block::EnvBlock;
use super::recording::Recording;
use crate::columns::layout::Entry;
use crate::columns::store::column_of;
use crate::error::EnvError;
use pavlov_script::Channel;

impl EnvBlock {
    /// A force on a body of a world, N and N m, from the next step until another or none is given. Episodes that end do not take it away.
    ///
    /// # Errors
    /// When there is no such world or body, or rapier steps the worlds.
    pub fn set_force(&mut self, world: usize, body: usize, wrench: Option<[f32; 6]>) -> Result<(), EnvError> {
        let bodies = self.plan.task().model().bodies.len();
        if world >= self.worlds || !(1..bodies).contains(&body) {
            let last = self.worlds - 1;
            return Err(EnvError::Usage(format!(
                "no force on body {body} of world {world}: expected a world up to {last} and a body from 1 to {}",
                bodies - 1
            )));
        }
        if self.rapier.is_some() {
            return Err(EnvError::Usage("forces of a hand need the batch backend: rapier has none".into()));
        }
        self.hand.held.retain(|&(w, b, _)| (w, b) != (world, body));
        self.hand.held.extend(wrench.map(|f| (world, body, f)));
        Ok(())
    }

    /// Takes all forces away.
    pub fn release(&mut self) {
        self.hand.held.clear();
    }

    /// The task's fitness in the last step, of this step alone.
    pub fn step_fitness(&self, world: usize) -> f32 {
        self.programs.output(Entry::Fitness, 0, world)
    }

    /// The task's success in the last step.
    pub fn step_success(&self, world: usize) -> bool {
        self.programs.output(Entry::Success, 0, world) != 0.0
    }

    /// Control steps since the world's reset.
    pub fn episode_step(&self, world: usize) -> u32 {
        self.kept.count(self.plan.layout.step, world)
    }

    /// The world's command.
    pub fn command(&self, world: usize) -> impl Iterator<Item = f32> + '_ {
        self.plan.layout.command.columns().map(move |column| self.kept.get(column, world) as f32)
    }

    /// The control signals of the last step.
    pub fn ctrl(&self, world: usize) -> impl Iterator<Item = f32> + '_ {
        (0..self.plan.task().act_dim()).map(move |i| column_of(&self.ctrl, i)[world])
    }

    /// Records these channels from the next reset or step on. Physics and observations are not changed by it.
    pub fn record(&mut self, channels: &[Channel]) {
        let recording = Recording::new(channels);
        self.needs = self.needs.or(recording.needs());
        self.recording = Some(recording);
    }

    /// What is recorded, after [`EnvBlock::record`].
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Assets, BackendKind, Env, EnvOptions, StepOut, Task};
    use pavlov_reward::{Manifest, Reward};
    use std::sync::Arc;

    fn block(backend: BackendKind) -> crate::EnvBlock {
        let task = Arc::new(Task::load(&Assets::find(None), "ant_run").unwrap());
        let text = "fn reward(s) { #{ a: s.time } }";
        let reward = Arc::new(Reward::from_text("t", "t.rhai", text, Manifest::default(), task.scene()).unwrap());
        let options = EnvOptions { worlds: 10, disturb: false, backend, ..EnvOptions::default() };
        Env::block(&task, &reward, &options, 0).unwrap()
    }

    fn heights(forced: Option<usize>, steps: usize) -> Vec<f32> {
        let mut block = block(BackendKind::Batch);
        let dim = block.plan.task().obs_dim();
        let (mut obs, mut last) = (vec![0.0; 10 * dim], vec![0.0; 10 * dim]);
        block.reset(&mut obs);
        if let Some(world) = forced {
            block.set_force(world, 1, Some([0.0, 0.0, 40.0, 0.0, 0.0, 0.0])).unwrap();
        }
        let (mut reward, mut t, mut u) = ([0.0; 10], [false; 10], [false; 10]);
        for step in 0..steps {
            if step == steps / 2 {
                block.release();
            }
            let out = StepOut {
                obs: &mut obs,
                reward: &mut reward,
                terminated: &mut t,
                truncated: &mut u,
                final_obs: &mut last,
            };
            block.step(&[0.0; 80], out);
        }
        let (mut qpos, mut qvel) = (vec![0.0; 15], vec![0.0; 14]);
        (0..10)
            .map(|w| {
                block.world_state(w, &mut qpos, &mut qvel);
                qpos[2]
            })
            .collect()
    }

    #[test]
    fn a_hand_lifts_one_world_and_no_other() {
        let (free, held) = (heights(None, 8), heights(Some(9), 8));
        for world in 0..9 {
            assert_eq!(free[world], held[world], "world {world}");
        }
        assert!(held[9] > free[9] + 0.01, "{} {}", held[9], free[9]);
    }

    #[test]
    fn a_force_that_cannot_be_is_an_error() {
        let mut batch = block(BackendKind::Batch);
        assert!(batch.set_force(10, 1, Some([1.0; 6])).unwrap_err().to_string().contains("world up to 9"));
        assert!(batch.set_force(0, 0, Some([1.0; 6])).is_err());
        assert!(block(BackendKind::Rapier).set_force(0, 1, None).unwrap_err().to_string().contains("rapier"));
    }
}
