//! From labels to a model: what is fitted, how good it is on pairs held out, and whether a bigger model is worth it.

use crate::ask::sums_of_terms;
use crate::dataset::{Dataset, Loss, Quality};
use crate::error::PrefsError;
use crate::features::Features;
use crate::label::Segment;
use crate::linear::Linear;
use crate::nets::{NetOptions, Nets};
use crate::segments::Pool;
use pavlov_common::stats::mean_and_error;
use pavlov_reward::Reward;

/// Parts of the pairs for held-out figures of the linear model.
const FOLDS: usize = 5;

/// A linear model and what it was fitted to.
#[derive(Debug, Clone)]
pub struct LinearFit {
    /// The model, of all pairs.
    pub model: Linear,
    /// Sums of terms of each segment.
    pub phi: Vec<Vec<f64>>,
    /// Each pair predicted by a model of the other four fifths.
    pub quality: Quality,
    /// Number of the pair of each loss in [`Quality::losses`].
    pub order: Vec<usize>,
}

/// Fits a linear model; every pair is predicted once by a model that has not seen it.
///
/// # Errors
/// When there is nothing to learn from or segments cannot be scored.
pub fn fit_linear(
    pool: &Pool,
    reward: &Reward,
    data: &Dataset,
    loss: Loss,
    seed: u64,
) -> Result<LinearFit, PrefsError> {
    data.check()?;
    let phi = sums_of_terms(pool, reward, &data.segments.iter().collect::<Vec<&Segment>>())?;
    let model = Linear::fit(reward.term_names(), data, &phi, loss)?;
    let folds = data.folds(FOLDS, seed);
    let (mut predicted, mut order) = (Vec::new(), Vec::new());
    for part in 0..FOLDS {
        let rest = data.with(|i| folds[i] != part);
        if rest.pairs.is_empty() {
            continue;
        }
        let part_model = Linear::fit(reward.term_names(), &rest, &phi, loss)?;
        for (i, p) in data.pairs.iter().enumerate().filter(|(i, _)| folds[*i] == part) {
            let chance = part_model.probability(&phi[p.left], &phi[p.right]).clamp(1e-12, 1.0 - 1e-12);
            predicted.push(((chance / (1.0 - chance)).ln(), p.target));
            order.push(i);
        }
    }
    Ok(LinearFit { model, phi, quality: Quality::of(&predicted), order })
}

/// Fits nets, and says how good the ensemble (the mean of its leads) is on pairs held out from all members.
///
/// # Errors
/// As [`fit_linear`].
pub fn fit_nets(
    pool: &Pool,
    reward: &Reward,
    data: &Dataset,
    options: &NetOptions,
) -> Result<(Nets, Quality, Vec<usize>), PrefsError> {
    data.check()?;
    let (features, rows) = Features::of(reward.scene(), pool, data)?;
    let (mut nets, _) = Nets::fit(&features, data, &rows, options)?;
    let held = options.held_out_pairs(data);
    let predicted: Vec<(f64, f64)> = held
        .iter()
        .map(|&i| {
            let p = data.pairs[i];
            let leads: f64 = (0..nets.members.len()).map(|m| nets.lead(m, &rows[p.left], &rows[p.right])).sum();
            (leads / nets.members.len() as f64, p.target)
        })
        .collect();
    Ok((nets, Quality::of(&predicted), held))
}

/// Is the second model better than the first on the pairs that both were judged on? By how much its loss is lower, and
/// the standard error of that.
pub fn advantage(linear: &LinearFit, nets: &Quality, held: &[usize]) -> Option<(f64, f64)> {
    let linear_losses: std::collections::HashMap<usize, f64> =
        linear.order.iter().copied().zip(linear.quality.losses.iter().copied()).collect();
    let gain = |(pair, loss): (&usize, &f64)| linear_losses.get(pair).map(|linear| linear - loss);
    let gains: Vec<f64> = held.iter().zip(&nets.losses).filter_map(gain).collect();
    mean_and_error(&gains)
}
