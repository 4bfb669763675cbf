//! Linear Bradley-Terry on sums of terms, with a Laplace posterior.
//!
//! `P(left better) = sigmoid(w . (phi(left) - phi(right)))`, phi the sum of each term of a reward over the segment's
//! steps. A few hundred labels are enough for ten terms, the loss is convex, and what is learnt can be read: weights of
//! terms. Nothing is assumed of the weights that a reward has now: `posterior.rs` begins with those. Features are scaled
//! to unit deviation of the differences; the prior on scaled weights is normal with a deviation that is chosen by the
//! evidence (MacKay 1992); the posterior is normal around its mode with the inverse Hessian. No label says anything of a
//! term whose sums never differ (a constant, with segments of equal length): its weight is unknown and stays what it was.

use crate::dataset::{Dataset, Loss};
use crate::differences::Differences;
use crate::error::PrefsError;
use crate::logistic::{Answers, Mode, Prior};
use crate::math::sigmoid;
use crate::rng::Rng;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

/// Deviations of the prior that are tried.
const PRIORS: [f64; 8] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];

/// What was learnt about the weights of terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Names of the terms.
    pub terms: Vec<String>,
    /// Deviation of the differences of each term's sums; 0 where they never differ.
    pub scale: Vec<f64>,
    /// Mode of the scaled weights.
    pub mean: Vec<f64>,
    /// Covariance of the scaled weights, row by row.
    pub covariance: Vec<f64>,
    /// Deviation of the prior.
    pub prior: f64,
    /// Logarithm of the evidence.
    pub evidence: f64,
    /// Pairs learnt from.
    pub pairs: usize,
}

impl Linear {
    /// Fits `phi` (`[segment][term]`) to the pairs.
    ///
    /// # Errors
    /// When there is nothing to learn from, or a sum is not finite.
    pub fn fit(terms: &[String], data: &Dataset, phi: &[Vec<f64>], loss: Loss) -> Result<Self, PrefsError> {
        data.check()?;
        let d = terms.len();
        let Differences { rows, scale } = Differences::of(terms, data, phi)?;
        let x = DMatrix::from_fn(rows.len(), d, |i, k| if scale[k] > 0.0 { rows[i][k] / scale[k] } else { 0.0 });
        let targets: Vec<f64> = data.pairs.iter().map(|p| p.target).collect();
        let parts = data.terms_of(loss);
        let answers = Answers { x: &x, targets: &targets, parts: &parts };
        let fits = PRIORS.map(|deviation| answers.mode(Prior { mean: 0.0, deviation }));
        let best = (0..PRIORS.len()).max_by(|&a, &b| fits[a].evidence.total_cmp(&fits[b].evidence)).unwrap_or(0);
        let Mode { weights, covariance, evidence } = &fits[best];
        Ok(Self {
            terms: terms.to_vec(),
            mean: weights.iter().copied().collect(),
            covariance: covariance.iter().copied().collect(),
            prior: PRIORS[best],
            evidence: *evidence,
            pairs: rows.len(),
            scale,
        })
    }

    /// Weight of a term's sum; none where labels say nothing about it.
    pub fn weight(&self, term: usize) -> Option<f64> {
        (self.scale[term] > 0.0).then(|| self.mean[term] / self.scale[term])
    }

    /// Standard deviation of [`Self::weight`].
    pub fn deviation(&self, term: usize) -> Option<f64> {
        let variance = self.covariance[term * self.terms.len() + term];
        (self.scale[term] > 0.0).then(|| variance.max(0.0).sqrt() / self.scale[term])
    }

    /// Learnt reward of sums of terms.
    pub fn reward(&self, phi: &[f64]) -> f64 {
        self.with_weights(&self.mean, phi)
    }

    fn with_weights(&self, scaled: &[f64], phi: &[f64]) -> f64 {
        let share = |((w, s), x): ((&f64, &f64), &f64)| if *s > 0.0 { w * x / s } else { 0.0 };
        scaled.iter().zip(&self.scale).zip(phi).map(share).sum()
    }

    /// Mean and variance of the difference of two segments under the posterior.
    pub fn difference(&self, left: &[f64], right: &[f64]) -> (f64, f64) {
        let d = self.terms.len();
        let scaled = |k: usize| if self.scale[k] > 0.0 { (left[k] - right[k]) / self.scale[k] } else { 0.0 };
        let x: Vec<f64> = (0..d).map(scaled).collect();
        let mean = x.iter().zip(&self.mean).map(|(a, b)| a * b).sum();
        let variance = (0..d).map(|i| (0..d).map(|j| x[i] * x[j] * self.covariance[i * d + j]).sum::<f64>()).sum();
        (mean, variance)
    }

    /// Probability that left is better, the posterior averaged over (MacKay's approximation: the mean shrunk by
    /// `sqrt(1 + pi variance / 8)`).
    pub fn probability(&self, left: &[f64], right: &[f64]) -> f64 {
        let (mean, variance) = self.difference(left, right);
        sigmoid(mean / (1.0 + std::f64::consts::PI * variance / 8.0).sqrt())
    }

    /// `n` draws of the scaled weights from the posterior.
    pub fn draws(&self, n: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
        let d = self.terms.len();
        let covariance = DMatrix::from_column_slice(d, d, &self.covariance);
        let root = (covariance + DMatrix::identity(d, d) * 1e-12).cholesky().map(|c| c.l());
        let draw = |_| {
            let z = DVector::from_fn(d, |_, _| rng.normal());
            let shift = root.as_ref().map_or_else(|| DVector::zeros(d), |l| l * z);
            self.mean.iter().zip(shift.iter()).map(|(m, s)| m + s).collect()
        };
        (0..n).map(draw).collect()
    }

    /// Learnt reward of sums of terms with drawn weights.
    pub fn reward_drawn(&self, draw: &[f64], phi: &[f64]) -> f64 {
        self.with_weights(draw, phi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Pair;
    use crate::label::tests::segment;
    use pavlov_common::stats::{mean_and_error, moments};

    /// Pairs answered by `truth`; with noise by its probabilities.
    fn answers(truth: &[f64], n: usize, noisy: bool, seed: u64) -> (Dataset, Vec<Vec<f64>>) {
        let mut rng = Rng::new(seed);
        let scales = [3.0, 0.2, 50.0, 1.0];
        let phi: Vec<Vec<f64>> =
            (0..2 * n).map(|_| (0..truth.len()).map(|k| 7.0 + scales[k] * rng.normal()).collect()).collect();
        let value = |p: &Vec<f64>| p.iter().zip(truth).map(|(a, b)| a * b).sum::<f64>();
        let pairs = (0..n)
            .map(|i| {
                let d = value(&phi[2 * i]) - value(&phi[2 * i + 1]);
                let left = if noisy { rng.unit() < sigmoid(d) } else { d > 0.0 };
                Pair { left: 2 * i, right: 2 * i + 1, target: f64::from(u8::from(left)), strength: 0 }
            })
            .collect();
        let segments = (0..2 * n as u32).map(segment).collect();
        (Dataset { segments, pairs }, phi)
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("t{i}")).collect()
    }

    #[test]
    fn weights_come_back_and_lie_within_their_posterior() {
        let truth = [0.5, -4.0, 0.01, 0.0];
        let (data, phi) = answers(&truth, 4000, true, 5);
        let fit = Linear::fit(&names(4), &data, &phi, Loss::Plain).unwrap();
        for (k, t) in truth.iter().enumerate() {
            let (w, s) = (fit.weight(k).unwrap(), fit.deviation(k).unwrap());
            assert!((w - t).abs() < 3.5 * s, "{k}: {w} ± {s}, truth {t}");
        }
        assert!(fit.deviation(0).unwrap() < 0.03);
        // The posterior is no narrower than what repeated data give.
        let spread: Vec<f64> = (0..40)
            .map(|seed| {
                let (data, phi) = answers(&truth, 400, true, 100 + seed);
                Linear::fit(&names(4), &data, &phi, Loss::Plain).unwrap().weight(0).unwrap()
            })
            .collect();
        let (_, error) = mean_and_error(&spread).unwrap();
        let dev = error * 40f64.sqrt();
        let (data, phi) = answers(&truth, 400, true, 5);
        let claimed = Linear::fit(&names(4), &data, &phi, Loss::Plain).unwrap().deviation(0).unwrap();
        assert!((0.6..1.6).contains(&(claimed / dev)), "{claimed} {dev}");
    }

    #[test]
    fn a_term_that_never_differs_is_not_learnt() {
        let (data, mut phi) = answers(&[1.0, 1.0], 50, false, 2);
        phi.iter_mut().for_each(|p| p[1] = 25.0);
        let fit = Linear::fit(&names(2), &data, &phi, Loss::Plain).unwrap();
        assert_eq!((fit.weight(1), fit.deviation(1)), (None, None));
        assert!(fit.weight(0).unwrap() > 0.0);
        assert_eq!(fit.reward(&[0.0, 25.0]), 0.0);
        assert_eq!(fit.reward(&[2.0, 25.0]), 2.0 * fit.weight(0).unwrap());
        let far = vec![vec![f64::NAN, 0.0]; 100];
        assert!(Linear::fit(&names(2), &data, &far, Loss::Plain).unwrap_err().to_string().contains("`t0`"));
    }

    #[test]
    fn far_pairs_are_sure_and_unseen_directions_are_not() {
        let (data, mut phi) = answers(&[1.0, 0.0], 200, false, 3);
        phi.iter_mut().for_each(|p| p[1] = 0.02 * p[0] + 1e-3 * p[1]);
        let fit = Linear::fit(&names(2), &data, &phi, Loss::Plain).unwrap();
        let sure = fit.probability(&[20.0, 0.4], &[0.0, 0.0]);
        assert!(sure > 0.75, "{sure}");
        let (_, along) = fit.difference(&[3.0, 0.06], &[0.0, 0.0]);
        let (_, across) = fit.difference(&[0.0, 3.0], &[0.0, 0.0]);
        assert!(across > 100.0 * along, "{across} {along}");
        let draws = fit.draws(4000, &mut Rng::new(1));
        let values = draws.iter().map(|w| fit.reward_drawn(w, &[3.0, 0.06]));
        let (_, variance) = moments(values).unwrap();
        assert!((0.9..1.1).contains(&(variance / along)), "{variance} {along}");
    }

    #[test]
    fn strengths_count() {
        let mut data = answers(&[1.0], 2, false, 1).0;
        let phi = vec![vec![1.0], vec![0.0], vec![0.0], vec![1.0]];
        // One says more is better, by far; one that less is, slightly.
        let far = Pair { left: 0, right: 1, target: 1.0, strength: 3 };
        let slight = Pair { left: 2, right: 3, target: 1.0, strength: 1 };
        data.pairs = (0..60).map(|i| if i % 2 == 0 { far } else { slight }).collect();
        let w = |loss| Linear::fit(&names(1), &data, &phi, loss).unwrap().weight(0).unwrap();
        assert!(w(Loss::Plain).abs() < 1e-9);
        // Weights 3 to 1: sigmoid(w) = 3/4. Margins 3 and 1: half way between.
        let (scaled, margin) = (w(Loss::Scaled), w(Loss::Margin(1.0)));
        assert!((scaled - 3.0f64.ln()).abs() < 0.2 && (margin - 1.0).abs() < 0.2, "{scaled} {margin}");
    }
}
