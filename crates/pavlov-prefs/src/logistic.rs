//! Logistic regression with a normal prior: its mode by Newton's method, the inverse Hessian there, and the evidence of
//! Laplace's approximation (MacKay 1992). The loss is convex, so the mode is the only one.

use crate::math::{cross_entropy, sigmoid};
use nalgebra::{DMatrix, DVector};

/// Answers to learn from: `P(target) = sigmoid(x_i . w - shift_i)`, each weighed.
#[derive(Debug, Clone)]
pub struct Answers<'a> {
    /// A row an answer.
    pub x: &'a DMatrix<f64>,
    /// 1, 0, or 1/2 for a tie.
    pub targets: &'a [f64],
    /// Weight and shift of each answer.
    pub parts: &'a [(f64, f64)],
}

/// A normal prior, the same for every weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// The weights.
    pub weights: DVector<f64>,
    /// Their covariance.
    pub covariance: DMatrix<f64>,
    /// Logarithm of the evidence, but for a constant of the answers.
    pub evidence: f64,
}

impl Answers<'_> {
    /// Cross entropy of the answers and the prior's share, but for a constant: less the logarithm of the posterior.
    pub fn loss(&self, w: &DVector<f64>, prior: Prior) -> f64 {
        let f = self.x * w;
        let of_answer = |i: usize| self.parts[i].0 * cross_entropy(f[i] - self.parts[i].1, self.targets[i]);
        let away: f64 = w.iter().map(|w| ((w - prior.mean) / prior.deviation).powi(2)).sum();
        (0..self.targets.len()).map(of_answer).sum::<f64>() + 0.5 * away
    }

    fn slopes(&self, w: &DVector<f64>, prior: Prior) -> (DVector<f64>, DMatrix<f64>) {
        let precision = prior.deviation.powi(-2);
        let d = w.len();
        let f = self.x * w;
        let mut gradient = w.map(|w| (w - prior.mean) * precision);
        let mut hessian = DMatrix::identity(d, d) * precision;
        for i in 0..self.targets.len() {
            let (weight, shift) = self.parts[i];
            let p = sigmoid(f[i] - shift);
            let (slope, bend) = (weight * (p - self.targets[i]), weight * p * (1.0 - p));
            for j in 0..d {
                let x = self.x[(i, j)];
                gradient[j] += slope * x;
                for k in 0..=j {
                    hessian[(j, k)] += bend * x * self.x[(i, k)];
                }
            }
        }
        for j in 0..d {
            for k in 0..j {
                hessian[(k, j)] = hessian[(j, k)];
            }
        }
        (gradient, hessian)
    }

    /// The mode under a prior.
    pub fn mode(&self, prior: Prior) -> Mode {
        let d = self.x.ncols();
        let mut w = DVector::from_element(d, prior.mean);
        let mut now = self.loss(&w, prior);
        for _ in 0..200 {
            let (gradient, hessian) = self.slopes(&w, prior);
            let Some(cholesky) = hessian.cholesky() else { break };
            let step = cholesky.solve(&gradient);
            let mut length = 1.0;
            let mut moved = false;
            while length > 1e-10 {
                let next = &w - &step * length;
                let then = self.loss(&next, prior);
                if then <= now {
                    moved = now - then > 1e-12 * (1.0 + now.abs());
                    (w, now) = (next, then);
                    break;
                }
                length *= 0.5;
            }
            if !moved {
                break;
            }
        }
        let (_, hessian) = self.slopes(&w, prior);
        let wide = DMatrix::identity(d, d) * prior.deviation.powi(2);
        // The prior makes the Hessian positive definite, but for numbers beyond all reason.
        let Some(cholesky) = hessian.cholesky() else {
            return Mode { weights: w, covariance: wide, evidence: f64::NEG_INFINITY };
        };
        let log_det = 2.0 * cholesky.l().diagonal().map(f64::ln).sum();
        let evidence = -now - d as f64 * prior.deviation.ln() - 0.5 * log_det;
        Mode { weights: w, covariance: cholesky.inverse(), evidence }
    }
}
