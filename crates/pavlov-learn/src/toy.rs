//! A small environment for tests: a mass on a line is to be held at a target.
//!
//! Columns: position, velocity, (critic only) remaining share of the episode. Action: force, clipped to ± 1. Reward:
//! `1 - x^2 - 0.01 a^2`. Terminated when `|x| > 3`, truncated after `limit` steps.

use crate::env_block::{EnvBlock, StepOut};
use pavlov_physics::philox4x32_10;

/// A block of masses. A start depends only on the world and the number of its episode.
#[derive(Debug, Clone)]
pub struct Mass {
    limit: u32,
    x: Vec<f32>,
    v: Vec<f32>,
    age: Vec<u32>,
    first: u32,
    episode: Vec<u32>,
}

impl Mass {
    /// `worlds` worlds, numbered from `first`, episodes of at most `limit` steps.
    pub fn new(first: usize, worlds: usize, limit: u32) -> Self {
        Self {
            limit,
            x: vec![0.0; worlds],
            v: vec![0.0; worlds],
            age: vec![0; worlds],
            first: first as u32,
            episode: vec![0; worlds],
        }
    }

    /// `blocks` blocks of `worlds` worlds.
    pub fn blocks(blocks: usize, worlds: usize, limit: u32) -> Vec<Self> {
        (0..blocks).map(|b| Self::new(b * worlds, worlds, limit)).collect()
    }

    fn start(&mut self, w: usize) {
        self.episode[w] += 1;
        let words = philox4x32_10([self.first + w as u32, self.episode[w], 0, 0], [5, 6]);
        let unit = |word: u32| (word >> 8) as f32 / (1 << 24) as f32;
        (self.x[w], self.v[w], self.age[w]) = (1.5 * (2.0 * unit(words[0]) - 1.0), 2.0 * unit(words[1]) - 1.0, 0);
    }

    fn observe(&self, w: usize, row: &mut [f32]) {
        row.copy_from_slice(&[self.x[w], self.v[w], 1.0 - self.age[w] as f32 / self.limit as f32]);
    }
}

impl EnvBlock for Mass {
    fn num_worlds(&self) -> usize {
        self.x.len()
    }
    fn obs_dim(&self) -> usize {
        2
    }
    fn critic_obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn reset(&mut self, obs: &mut [f32]) {
        for w in 0..self.x.len() {
            self.start(w);
            self.observe(w, &mut obs[w * 3..][..3]);
        }
    }
    fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        for w in 0..self.x.len() {
            let force = actions[w].clamp(-1.0, 1.0);
            self.v[w] += 0.2 * force;
            self.x[w] += 0.2 * self.v[w];
            self.age[w] += 1;
            out.reward[w] = 1.0 - self.x[w] * self.x[w] - 0.01 * force * force;
            out.terminated[w] = self.x[w].abs() > 3.0;
            out.truncated[w] = self.age[w] >= self.limit;
            if out.terminated[w] || out.truncated[w] {
                self.observe(w, &mut out.final_obs[w * 3..][..3]);
                self.start(w);
            }
            self.observe(w, &mut out.obs[w * 3..][..3]);
        }
    }
}
