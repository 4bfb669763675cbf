//! Random numbers of raters, queries and models: a counter through SplitMix64's finaliser, the same on every machine.

use crate::label::reset_seed;

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    seed: u64,
    count: u32,
    epoch: u64,
}

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: 0, epoch: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let seed = self.seed ^ self.epoch.rotate_left(32);
        let bits = reset_seed(reset_seed(seed, 0), self.count);
        self.count = self.count.wrapping_add(1);
        self.epoch += u64::from(self.count == 0);
        bits
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform below `n`, at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Puts items into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(1);
        let n = 100_000;
        let normal: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[rng.below(7)] += 1);
        assert!(counts.iter().all(|c| (9_600..10_400).contains(c)), "{counts:?}");
    }

    #[test]
    fn every_order_comes_as_often_and_a_stream_does_not_come_round() {
        let mut rng = Rng::new(5);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            rng.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert!(counts.len() == 24 && counts.values().all(|c| (850..1150).contains(c)), "{counts:?}");
        // After 2^32 numbers the counter begins again, with another seed.
        let mut late = Rng { count: u32::MAX, ..Rng::new(5) };
        late.bits();
        assert_eq!((late.count, late.epoch), (0, 1));
        assert_ne!(late.bits(), Rng::new(5).bits());
    }
}
