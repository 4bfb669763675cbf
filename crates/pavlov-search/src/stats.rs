//! Statistics of searches: interquartile means with bootstrap intervals, human-normalised score.
//!
//! The interval is a percentile bootstrap of 2,000 draws with a fixed seed. Human-normalised score as Eureka's,
//! (found - floor) / |human - floor|, with the denominator held away from 0.

use crate::grammar::Draw;
use crate::lineage::At;
use pavlov_common::stats::{bootstrap_interval, interquartile_mean, mean, range};
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

/// Interquartile mean with its bootstrap interval.
pub fn interval(values: &[f64]) -> Interval {
    let iqm = |values: &[f64]| interquartile_mean(values).unwrap_or_default();
    let mut draw = Draw::new(0, At::default());
    let Some([low, high]) = bootstrap_interval(values, DRAWS, |n| draw.below(n), iqm) else {
        return Interval::default();
    };
    let (min, max) = range(values.iter().copied()).unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
    let mean = mean(values.iter().copied()).unwrap_or_default();
    Interval { iqm: iqm(values), low, high, mean, min, max, n: values.len() }
}

/// Human-normalised score: 0 as the floor, 1 as the human reward, and whether the denominator had to be guarded. Eureka's
/// floor is a policy trained on the sparse fitness; whose the floor of a search is, its end says.
pub fn human_normalised(found: f64, human: f64, floor: f64) -> (f64, bool) {
    let gap = (human - floor).abs();
    let least = (GUARD * human.abs().max(floor.abs())).max(1e-6);
    ((found - floor) / gap.max(least), gap < least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_about_its_middle_and_repeatable() {
        let i = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(i.low >= 1.0 && i.low < i.iqm && i.iqm < i.high && i.high <= 5.0, "{i:?}");
        assert_eq!(i, interval(&[1.0, 2.0, 3.0, 4.0, 5.0]));
    }

    #[test]
    fn a_score_over_nothing_is_guarded() {
        assert_eq!(human_normalised(3.0, 2.0, 1.0), (2.0, false));
        assert_eq!(human_normalised(3.0, 2.0, 2.0), (10.0, true));
        let (score, guarded) = human_normalised(1.0, 0.0, 0.0);
        assert!((score - 1e6).abs() < 1e-3 && guarded, "{score}");
    }
}
