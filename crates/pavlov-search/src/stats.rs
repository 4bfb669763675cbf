//! Statistics of searches: interquartile mean, bootstrap intervals, human-normalised score.
//!
//! IQM: mean of the middle half (Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021), with
//! the values at its ends counted in part, so that it is defined for few seeds. Intervals: percentile bootstrap, 2,000 draws, fixed seed.
//! Human-normalised score as Eureka's, (found - low) / |human - low|, with the denominator held away from 0.

use crate::grammar::Draw;
use crate::lineage::At;
use serde::{Deserialize, Serialize};

/// Draws of a bootstrap.
const DRAWS: usize = 2000;
/// Share of the larger of both fitnesses (and at least 1e-6) below which the denominator is not let.
const GUARD: f64 = 0.05;

/// A number with its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Interquartile mean.
    pub iqm: f64,
    /// Low end of the 95% interval.
    pub low: f64,
    /// High end.
    pub high: f64,
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// How many values.
    pub n: usize,
}

/// Mean of the middle half of the values; 0 without any.
pub fn iqm(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if values.is_empty() {
        return 0.0;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (0.25 * n, 0.75 * n);
    let weight = |i: usize| ((i as f64 + 1.0).min(high) - (i as f64).max(low)).max(0.0);
    sorted.iter().enumerate().map(|(i, x)| weight(i) * x).sum::<f64>() / (high - low)
}

/// Interquartile mean with its bootstrap interval.
pub fn interval(values: &[f64]) -> Interval {
    let n = values.len();
    if n == 0 {
        return Interval::default();
    }
    let mut draw = Draw::new(0, At::default());
    let mut all: Vec<f64> =
        (0..DRAWS).map(|_| iqm(&(0..n).map(|_| values[draw.below(n)]).collect::<Vec<_>>())).collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((share * DRAWS as f64) as usize).min(DRAWS - 1)];
    Interval {
        iqm: iqm(values),
        low: at(0.025),
        high: at(0.975),
        mean: values.iter().sum::<f64>() / n as f64,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        n,
    }
}

/// Human-normalised score: 0 as the floor (an untrained or idle policy), 1 as the human reward, and whether the denominator had to
/// be guarded.
pub fn human_normalised(found: f64, human: f64, floor: f64) -> (f64, bool) {
    let gap = (human - floor).abs();
    let least = (GUARD * human.abs().max(floor.abs())).max(1e-6);
    ((found - floor) / gap.max(least), gap < least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_counts() {
        assert_eq!(iqm(&[0.0, 1.0, 2.0, 100.0]), 1.5);
        // Of five values the middle 2.5: 3 whole, 2 and 4 by three quarters.
        assert!((iqm(&[1.0, 2.0, 3.0, 4.0, 50.0]) - 3.0).abs() < 1e-12);
        assert_eq!((iqm(&[7.0]), iqm(&[])), (7.0, 0.0));
        let i = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(i.low >= 1.0 && i.low < i.iqm && i.iqm < i.high && i.high <= 5.0, "{i:?}");
        assert_eq!(i, interval(&[1.0, 2.0, 3.0, 4.0, 5.0]));
    }

    #[test]
    fn a_score_over_nothing_is_guarded() {
        assert_eq!(human_normalised(3.0, 2.0, 1.0), (2.0, false));
        assert_eq!(human_normalised(3.0, 2.0, 2.0), (10.0, true));
        assert!(human_normalised(1.0, 0.0, 0.0).0.is_finite());
    }
}
