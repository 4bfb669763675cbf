//! For whoever looks at single worlds while they run: what the last step gave in a world, and a hand that pushes.
//!
//! N, m, world axes. A force is MuJoCo's `xfrc_applied`: it acts at the body's centre of mass in every physics step until it is taken away.

use crate::block::EnvBlock;
use crate::error::EnvError;
use pavlov_physics::{Data, LANES, Lane, Real};

/// Forces of a hand on bodies of single worlds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hand {
    /// World, body, force and torque.
    held: Vec<(usize, usize, [f32; 6])>,
}

impl Hand {
    /// Writes the forces of a lane group's worlds; costs nothing where there are none.
    pub fn press(&self, group: usize, data: &mut Data<Lane>) {
        data.has_xfrc = false;
        let lanes = group * LANES..(group + 1) * LANES;
        for &(world, body, wrench) in self.held.iter().filter(|(w, ..)| lanes.contains(w)) {
            if !data.has_xfrc {
                data.xfrc_applied.fill([Lane::ZERO; 6]);
                data.has_xfrc = true;
            }
            for (column, value) in data.xfrc_applied[body].iter_mut().zip(wrench) {
                column.set(world - lanes.start, f64::from(value));
            }
        }
    }
}

impl EnvBlock {
    /// A force on a body of a world, N and N m, from the next step until another or none is given. Episodes that end do not take it away.
    ///
    /// # Errors
    /// When there is no such world or body, or rapier steps the worlds.
    pub fn set_force(&mut self, world: usize, body: usize, wrench: Option<[f32; 6]>) -> Result<(), EnvError> {
        let bodies = self.shared.task.model().bodies.len();
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
        self.scripts.fitness(world)
    }

    /// The task's success in the last step.
    pub fn step_success(&self, world: usize) -> bool {
        self.scripts.success(world)
    }

    /// Control steps since the world's reset.
    pub fn episode_step(&self, world: usize) -> u32 {
        self.w.step[world]
    }

    /// The world's command.
    pub fn command(&self, world: usize) -> impl Iterator<Item = f32> + '_ {
        (0..self.shared.task.command.len()).map(move |i| self.w.command.get(i, world))
    }

    /// The control signals of the last step.
    pub fn ctrl(&self, world: usize) -> impl Iterator<Item = f32> + '_ {
        (0..self.shared.task.act_dim()).map(move |i| self.ctrl.get(i, world))
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
        let dim = block.shared.task.obs_dim();
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
