//! Random numbers of a search: a function of seed, iteration, place and attempt, so that a resumed search draws the
//! same without having kept anything.

use crate::lineage::At;
use pavlov_env::rng::{Purpose, Stream, WorldRng};

/// Numbers drawn for one candidate.
#[derive(Debug, Clone)]
pub struct Draw(Stream);

/// Searches have a stream of their own beside worlds.
const STREAM: u64 = 0x5345_4152_4348;

impl Draw {
    /// The numbers of a candidate.
    pub fn new(seed: u64, at: At) -> Self {
        let stream = STREAM + (u64::from(at.attempt) << 48);
        Self(WorldRng::new(seed, stream).stream(Purpose::Action, at.iteration, at.place))
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.unit())
    }

    /// Uniform between two numbers.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        f64::from(self.0.normal())
    }

    /// True with this chance.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A number below `n`, 0 when `n` is.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// An index, with chances in proportion to the weights.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let sum: f64 = weights.iter().sum();
        let mut left = self.unit() * sum;
        for (i, w) in weights.iter().enumerate() {
            left -= w;
            if left < 0.0 {
                return i;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_candidate_draws_the_same_and_others_differ() {
        let first = |at: At| Draw::new(7, at).unit();
        assert_eq!(first(At::new(1, 2)), first(At::new(1, 2)));
        let again = At { attempt: 1, ..At::new(1, 2) };
        assert!(first(At::new(1, 2)) != first(again) && first(At::new(1, 2)) != first(At::new(2, 1)));
        let mut draw = Draw::new(0, At::default());
        let mut counts = [0; 3];
        (0..3000).for_each(|_| counts[draw.weighted(&[1.0, 0.0, 3.0])] += 1);
        assert!(counts[1] == 0 && (650..850).contains(&counts[0]), "{counts:?}");
        assert_eq!((draw.weighted(&[0.0, 0.0]), draw.weighted(&[])), (1, 0));
    }

    #[test]
    fn draws_are_spread_as_they_say() {
        let mut draw = Draw::new(3, At::default());
        let n = 4000;
        let all: Vec<f64> = (0..n).map(|_| draw.between(2.0, 6.0)).collect();
        let mean = all.iter().sum::<f64>() / n as f64;
        assert!(all.iter().all(|x| (2.0..6.0).contains(x)) && (mean - 4.0).abs() < 0.1, "{mean}");
        let mut counts = [0; 5];
        (0..n).for_each(|_| counts[draw.below(5)] += 1);
        assert!(counts.iter().all(|c| (700..900).contains(c)), "{counts:?}");
        assert_eq!((draw.below(0), draw.below(1)), (0, 0));
        let yes = (0..n).filter(|_| draw.chance(0.25)).count();
        assert!((900..1100).contains(&yes), "{yes}");
        let square = (0..n).map(|_| draw.normal().powi(2)).sum::<f64>() / n as f64;
        assert!((square - 1.0).abs() < 0.1, "{square}");
    }
}
