//! Random actions of benchmarks: uniform within the range of each action, the same for a seed, world and step.

use crate::rng::{Purpose, WorldRng};
use crate::task::load::Task;

/// Random actions of worlds side by side.
#[derive(Debug)]
pub struct RandomActions {
    rng: Vec<WorldRng>,
    low: Vec<f32>,
    high: Vec<f32>,
    step: u32,
}

impl RandomActions {
    /// For worlds `first..first + worlds` of an environment under `seed`. Actions without bounds of their own are drawn from ±1.
    pub fn new(task: &Task, seed: u64, first: usize, worlds: usize) -> Self {
        let (mut low, mut high) = task.action_range();
        for (low, high) in low.iter_mut().zip(&mut high).filter(|(low, high)| **high - **low > 10.0) {
            (*low, *high) = (-1.0, 1.0);
        }
        Self { rng: (first..first + worlds).map(|w| WorldRng::new(seed, w as u64)).collect(), low, high, step: 0 }
    }

    /// Draws those of the next step, `[worlds, act_dim]`.
    pub fn draw(&mut self, actions: &mut [f32]) {
        for (world, row) in self.rng.iter().zip(actions.chunks_exact_mut(self.low.len())) {
            let mut stream = world.stream(Purpose::Action, 0, self.step);
            row.iter_mut().zip(self.low.iter().zip(&self.high)).for_each(|(a, (l, h))| *a = stream.uniform(*l, *h));
        }
        self.step += 1;
    }
}
