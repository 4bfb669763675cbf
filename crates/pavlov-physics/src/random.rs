//! Counter-based random numbers of worlds, by Philox: single, in lanes, and drawn by kernels.
//!
//! A number is a pure function of (seed, world, episode, step, purpose, index): there is no state to keep, so worlds may be
//! computed in any order, by any thread, in blocks of any size, and a saved run goes on with the same numbers.

use crate::philox::philox4x32_10;
use crate::real::{LANES, Lane, Real};
use crate::record::Rec;

/// What a number of an environment is for. Each purpose has its own stream, so that adding, say, observation noise to a task
/// leaves its resets as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial coordinates.
    ResetQpos = 1,
    /// Initial velocities.
    ResetQvel = 2,
    /// Named reset ranges.
    ResetRange = 3,
    /// Physical parameters.
    Randomize = 4,
    /// Command values.
    Command = 5,
    /// Moments of command changes.
    CommandTime = 6,
    /// Size and direction of pushes.
    Push = 7,
    /// Moments of pushes.
    PushTime = 8,
    /// Observation noise.
    Noise = 9,
    /// Random actions of benchmarks and probes.
    Action = 10,
    /// Where in its first episode a world starts counting, see `EnvOptions::stagger`.
    Stagger = 11,
}

/// The random numbers of one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldRng {
    key: [u32; 2],
}

impl WorldRng {
    /// Numbers of world `world` (counted over the whole environment, not within a block) under `seed`.
    pub fn new(seed: u64, world: u64) -> Self {
        // 128 bits of (seed, world) are mixed to a 64-bit key by one application of the generator itself.
        let mixed = philox4x32_10(
            [seed as u32, (seed >> 32) as u32, world as u32, (world >> 32) as u32],
            [0x5041_564C, 0x4F56_2121],
        );
        Self { key: [mixed[0], mixed[1]] }
    }

    /// The stream of one purpose at one control step of one episode.
    pub fn stream(&self, purpose: Purpose, episode: u32, step: u32) -> Stream {
        Stream { key: self.key, counter: [0, step, episode, purpose as u32], words: [0; 4], left: 0 }
    }
}

/// A short sequence of numbers drawn in order.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    words: [u32; 4],
    left: usize,
}

impl Stream {
    /// 32 random bits.
    #[inline]
    pub fn bits(&mut self) -> u32 {
        if self.left == 0 {
            self.words = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        self.words[3 - self.left]
    }

    /// Uniform in [0, 1): 24 bits, each value exact in f32.
    #[inline]
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [low, high).
    #[inline]
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Standard normal (Box-Muller, cosine branch).
    #[inline]
    pub fn normal(&mut self) -> f32 {
        // 1 - u is in (0, 1], so the logarithm is finite; f64 keeps the tails.
        let radius = (-2.0 * (1.0 - f64::from(self.unit())).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(self.unit());
        (radius * angle.cos()) as f32
    }
}

/// Where the numbers of a plan come from: a world's stream, or a kernel that is being recorded.
pub trait Draw {
    /// What is drawn.
    type N: Real;
    /// Uniform in [0, 1).
    fn unit(&mut self) -> Self::N;
    /// Uniform in [low, high).
    fn uniform(&mut self, low: f32, high: f32) -> Self::N;
    /// Standard normal.
    fn normal(&mut self) -> Self::N;
}

impl Draw for Stream {
    type N = f64;
    fn unit(&mut self) -> f64 {
        f64::from(Stream::unit(self))
    }
    fn uniform(&mut self, low: f32, high: f32) -> f64 {
        f64::from(Stream::uniform(self, low, high))
    }
    fn normal(&mut self) -> f64 {
        f64::from(Stream::normal(self))
    }
}

/// The streams of eight worlds side by side.
#[derive(Debug, Clone)]
pub struct Streams(pub [Stream; LANES]);

impl Draw for Streams {
    type N = Lane;
    fn unit(&mut self) -> Lane {
        Lane::from(self.0.each_mut().map(Stream::unit))
    }
    fn uniform(&mut self, low: f32, high: f32) -> Lane {
        Lane::from(self.0.each_mut().map(|s| s.uniform(low, high)))
    }
    fn normal(&mut self) -> Lane {
        Lane::from(self.0.each_mut().map(Stream::normal))
    }
}

/// Draws that become calls of the generator.
#[derive(Debug)]
pub struct Recorded {
    /// What they are for.
    pub purpose: Purpose,
    /// Episode of the world, a whole number.
    pub episode: Rec,
    /// Control step of the episode, a whole number.
    pub step: Rec,
    /// Numbers drawn so far.
    pub index: u32,
}

impl Draw for Recorded {
    type N = Rec;
    fn unit(&mut self) -> Rec {
        self.index += 1;
        Rec::unit(self.purpose as u32, self.episode, self.step, self.index - 1)
    }
    fn uniform(&mut self, low: f32, high: f32) -> Rec {
        let (low, span) = (f64::from(low), f64::from(high - low));
        Rec::splat(low) + Rec::splat(span) * self.unit()
    }
    fn normal(&mut self) -> Rec {
        let radius = (Rec::splat(-2.0) * (Rec::ONE - self.unit()).call("logarithm")).sqrt();
        let angle = Rec::splat(std::f64::consts::TAU) * self.unit();
        radius * angle.sin_cos().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_coordinate() {
        let first =
            |seed, world, purpose, episode, step| WorldRng::new(seed, world).stream(purpose, episode, step).bits();
        let base = first(1, 2, Purpose::Noise, 3, 4);
        assert_eq!(base, first(1, 2, Purpose::Noise, 3, 4));
        for other in [
            first(2, 2, Purpose::Noise, 3, 4),
            first(1, 3, Purpose::Noise, 3, 4),
            first(1, 2, Purpose::Push, 3, 4),
            first(1, 2, Purpose::Noise, 4, 4),
            first(1, 2, Purpose::Noise, 3, 5),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn moments_are_right() {
        let mut s = WorldRng::new(7, 0).stream(Purpose::Noise, 0, 0);
        let n = 200_000;
        let (mut m1, mut m2, mut u) = (0.0f64, 0.0f64, 0.0f64);
        for _ in 0..n {
            let x = f64::from(s.normal());
            m1 += x;
            m2 += x * x;
            let v = s.uniform(-2.0, 4.0);
            assert!((-2.0..4.0).contains(&v));
            u += f64::from(v);
        }
        // Standard errors are 0.0022, 0.0032, 0.0039: bounds at five of them.
        assert!((m1 / f64::from(n)).abs() < 0.012);
        assert!((m2 / f64::from(n) - 1.0).abs() < 0.017);
        assert!((u / f64::from(n) - 1.0).abs() < 0.02);
    }
}
