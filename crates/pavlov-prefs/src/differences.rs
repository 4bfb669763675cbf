//! How far the terms of the two segments of each pair are apart.

use crate::dataset::Dataset;
use crate::error::PrefsError;
use pavlov_common::stats::mean;

/// Differences of sums of terms, left less right.
#[derive(Debug, Clone, PartialEq)]
pub struct Differences {
    /// `[pair][term]`.
    pub rows: Vec<Vec<f64>>,
    /// Root of the mean square of each term's differences; 0 where they are rounding or nothing.
    pub scale: Vec<f64>,
}

impl Differences {
    /// Of the pairs of `data`, whose segments have the sums `phi` (`[segment][term]`).
    ///
    /// # Errors
    /// When a sum is not finite.
    pub fn of(terms: &[String], data: &Dataset, phi: &[Vec<f64>]) -> Result<Self, PrefsError> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(data.pairs.len());
        for p in &data.pairs {
            let row: Vec<f64> = phi[p.left].iter().zip(&phi[p.right]).map(|(a, b)| a - b).collect();
            if let Some(k) = row.iter().position(|x| !x.is_finite()) {
                return Err(PrefsError::Failed(format!(
                    "term `{}` is not finite in segment {} or {}",
                    terms[k], data.segments[p.left], data.segments[p.right]
                )));
            }
            rows.push(row);
        }
        let deviation = |k: usize| {
            let size = rows.iter().map(|r| r[k].abs()).fold(0.0, f64::max);
            let root_mean_square = mean(rows.iter().map(|r| r[k] * r[k])).unwrap_or_default().sqrt();
            let rounding = 1e-5 * phi.iter().map(|p| p[k].abs()).fold(0.0, f64::max);
            if size > rounding { root_mean_square } else { 0.0 }
        };
        let scale = (0..terms.len()).map(deviation).collect();
        Ok(Self { rows, scale })
    }
}
