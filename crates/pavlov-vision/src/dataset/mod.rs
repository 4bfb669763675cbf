//! Pictures with words: what the embedded model is trained and judged on.
//!
//! ```text
//! sample (a state of a shipped robot) ─> truth (its posture, from where its parts are) ─> caption (varied wording)
//!                                        └─> picture (camera, ground, light drawn at random)
//! ```
//! Postures are judged by geometry, never by how the state was made, so that states out of a simulation get the same
//! words. Angles are in rad, lengths in m. Random numbers are a function of seed and index.

mod captions;
mod posture;
mod sample;

pub use captions::{caption, prompt, prompts};
pub use posture::{Posture, Robot, judge, name_of};
pub use sample::{Sampler, State};

/// Random numbers of one picture.
#[derive(Debug, Clone)]
pub struct Dice {
    key: [u32; 2],
    index: u32,
    count: u32,
}

impl Dice {
    /// Of a seed and the number of a picture.
    pub fn new(seed: u64, index: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], index, count: 0 }
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f32 {
        self.count += 1;
        let word = pavlov_physics::philox4x32_10([self.index, self.count, 0x5EE5, 0], self.key)[0];
        (word >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform between two numbers.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// One of `n`.
    pub fn pick(&mut self, n: usize) -> usize {
        ((self.unit() * n as f32) as usize).min(n.saturating_sub(1))
    }

    /// One of a list.
    pub fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.pick(list.len())]
    }

    /// True with this probability.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// About normal: mean 0, deviation 1, cut at 3.
    pub fn normal(&mut self) -> f32 {
        // The sum of six uniforms has the variance 1/2.
        let sum: f32 = (0..6).map(|_| self.unit()).sum();
        (sum - 3.0) * std::f32::consts::SQRT_2
    }
}
