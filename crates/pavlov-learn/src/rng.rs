//! Counter-based random numbers, by Philox.
//!
//! A number is a pure function of (seed, purpose, update, step, index, sub-index); there is no state. Worlds may
//! therefore be computed in any order by any thread, and a resumed run goes on with the same numbers. Normals: Box and
//! Muller (1958), four from four words.

use pavlov_physics::philox4x32_10;

/// What a number is for; each purpose has its own stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Weights at the start: update = net, step = layer, index = row.
    Init = 1,
    /// Noise of actions: step = step of the rollout, index = world.
    Action = 2,
    /// Order of samples: step = epoch.
    Shuffle = 3,
    /// Made-up data of the benchmark.
    Bench = 4,
}

/// The random numbers of one purpose in one update, keyed by the run's seed.
#[derive(Debug, Clone, Copy)]
pub struct Rng {
    key: [u32; 2],
    purpose: u32,
    update: u32,
}

impl Rng {
    /// Stream of `purpose` in `update` (modulo 2^32).
    pub fn new(seed: u64, purpose: Purpose, update: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], purpose: purpose as u32, update: update as u32 }
    }

    /// Four words; `sub` below 2^24.
    pub fn words(&self, step: u32, index: u32, sub: u32) -> [u32; 4] {
        philox4x32_10([index, step, self.update, (self.purpose << 24) | (sub & 0x00FF_FFFF)], self.key)
    }

    /// Fills `out` with standard normals, each tail cut at 5.77 deviations by the 24 bits of the uniform.
    pub fn normals(&self, step: u32, index: u32, out: &mut [f32]) {
        const SCALE: f32 = 1.0 / (1 << 24) as f32;
        for (sub, four) in out.chunks_mut(4).enumerate() {
            let words = self.words(step, index, sub as u32);
            let mut normals = [0.0; 4];
            for (pair, word) in normals.chunks_exact_mut(2).zip(words.chunks_exact(2)) {
                let radius = (-2.0 * (((word[0] >> 8) + 1) as f32 * SCALE).ln()).sqrt();
                let (sin, cos) = ((word[1] >> 8) as f32 * SCALE * std::f32::consts::TAU).sin_cos();
                pair[0] = radius * cos;
                pair[1] = radius * sin;
            }
            four.copy_from_slice(&normals[..four.len()]);
        }
    }

    /// A uniformly random order of `0..order.len()` (Fisher and Yates; bounded numbers by Lemire's multiplication,
    /// whose bias at 32 bits is below `len / 2^32`).
    pub fn permutation(&self, step: u32, order: &mut [u32]) {
        for (i, slot) in order.iter_mut().enumerate() {
            *slot = i as u32;
        }
        let mut words = [0; 4];
        for (draw, i) in (1..order.len()).rev().enumerate() {
            if draw % 4 == 0 {
                words = self.words(step, (draw / 4) as u32, 0);
            }
            let j = (u64::from(words[draw % 4]) * (i as u64 + 1)) >> 32;
            order.swap(i, j as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut sample = vec![0.0f32; 100_003];
        Rng::new(7, Purpose::Action, 3).normals(1, 2, &mut sample);
        let n = sample.len() as f64;
        let moment = |p: i32| sample.iter().map(|&x| f64::from(x).powi(p)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.015, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.02, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.05, "skew {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.15, "kurtosis {}", moment(4));
        let mut other = vec![0.0f32; 100_003];
        Rng::new(7, Purpose::Action, 3).normals(1, 3, &mut other);
        let correlation = sample.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum::<f64>() / n;
        assert!(correlation.abs() < 0.015, "worlds are correlated: {correlation}");
    }

    #[test]
    fn permutation_is_one_and_differs_by_epoch() {
        let rng = Rng::new(1, Purpose::Shuffle, 0);
        let (mut a, mut b) = (vec![0; 1000], vec![0; 1000]);
        rng.permutation(0, &mut a);
        rng.permutation(1, &mut b);
        assert_ne!(a, b);
        let still = a.iter().enumerate().filter(|&(i, &x)| i == x as usize).count();
        assert!(still < 10, "{still} of 1000 kept their place");
        a.sort_unstable();
        assert!(a.iter().enumerate().all(|(i, &x)| i == x as usize));
    }
}
