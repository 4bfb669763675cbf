//! From labels to a model: what is fitted, how good it is on pairs held out, and whether a bigger model is worth it.

use crate::ask::sums_of_terms;
use crate::coin::AgainstCoin;
use crate::dataset::{Dataset, Loss, Quality, Split};
use crate::error::PrefsError;
use crate::features::Features;
use crate::label::Segment;
use crate::nets::{NetOptions, Nets};
use crate::posterior::{Posterior, Verdict, verdicts};
use crate::segments::Pool;
use pavlov_common::stats::mean_and_error;
use pavlov_reward::Reward;

/// Parts of the pairs for held-out figures of the linear model.
const FOLDS: usize = 5;

/// What labels say of a reward's weights, and what they were.
#[derive(Debug, Clone)]
pub struct LinearFit {
    /// Of each term's weight, by all pairs.
    pub verdicts: Vec<Verdict>,
    /// Sums of terms of each segment.
    pub phi: Vec<Vec<f64>>,
    /// Each pair predicted by the weights that the other four fifths give.
    pub quality: Quality,
    /// Each pair predicted by the weights as they are; only the temperature is of the other four fifths.
    pub before: Quality,
    /// Number of the pair of each loss in [`Quality::losses`].
    pub order: Vec<usize>,
}

impl LinearFit {
    /// By how much the loss of held-out pairs is less than with the weights as they are, and the standard error of it.
    pub fn gain(&self) -> Option<(f64, f64)> {
        let both = self.before.losses.iter().zip(&self.quality.losses);
        mean_and_error(&both.map(|(before, after)| before - after).collect::<Vec<f64>>())
    }

    /// Leaves all weights as they are.
    fn leave(&mut self) {
        for verdict in self.verdicts.iter_mut().filter(|v| v.changes()) {
            *verdict = Verdict { factor: 1.0, determined: false, ..*verdict };
        }
    }
}

/// Asks the labels about each term's weight; every pair is predicted once by weights that have not seen it. Weights
/// that predict held-out pairs no better than those that are there, by a standard error, are left as they are.
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
    weigh(reward.term_names(), data, phi, loss, seed)
}

/// As [`fit_linear`], with the sums `phi` of the terms (`[segment][term]`) at hand.
///
/// # Errors
/// When there is nothing to learn from or a sum is not finite.
pub fn weigh(
    terms: &[String],
    data: &Dataset,
    phi: Vec<Vec<f64>>,
    loss: Loss,
    seed: u64,
) -> Result<LinearFit, PrefsError> {
    let (of_all, _) = verdicts(terms, data, &phi, loss)?;
    let folds = data.folds(FOLDS, seed);
    let (mut before, mut after, mut order) = (Vec::new(), Vec::new(), Vec::new());
    for part in 0..FOLDS {
        let rest = data.with(|i| folds[i] != part);
        if rest.pairs.is_empty() {
            continue;
        }
        let as_they_are = Posterior::of_temperature(terms, &rest, &phi, loss)?;
        let (_, changed) = verdicts(terms, &rest, &phi, loss)?;
        for (i, p) in data.pairs.iter().enumerate().filter(|(i, _)| folds[*i] == part) {
            let logit = |model: &Posterior| {
                let chance = model.probability(&phi[p.left], &phi[p.right]).clamp(1e-12, 1.0 - 1e-12);
                (chance / (1.0 - chance)).ln()
            };
            before.push((logit(&as_they_are), p.target));
            after.push((logit(&changed), p.target));
            order.push(i);
        }
    }
    let (quality, before) = (Quality::of(&after), Quality::of(&before));
    let mut fit = LinearFit { verdicts: of_all, phi, quality, before, order };
    if !fit.gain().is_some_and(|(gain, error)| gain > error) {
        fit.leave();
    }
    Ok(fit)
}

/// Fits nets, and says how good the ensemble (the mean of its leads) is on pairs held out from all members, for
/// choosing between models and for judging: loss and numbers of the pairs of each.
///
/// # Errors
/// As [`fit_linear`].
pub fn fit_nets(pool: &Pool, reward: &Reward, data: &Dataset, options: &NetOptions) -> Result<NetFit, PrefsError> {
    data.check()?;
    let (features, rows) = Features::of(reward.scene(), pool, data)?;
    let (mut nets, _) = Nets::fit(&features, data, &rows, options)?;
    let split = options.split(data);
    let mut judged = |pairs: &[usize]| {
        let predicted: Vec<(f64, f64)> = pairs
            .iter()
            .map(|&i| {
                let p = data.pairs[i];
                let leads: f64 = (0..nets.members.len()).map(|m| nets.lead(m, &rows[p.left], &rows[p.right])).sum();
                (leads / nets.members.len() as f64, p.target)
            })
            .collect();
        Quality::of(&predicted)
    };
    let (quality, choosing) = (judged(&split.judge), judged(&split.choose));
    let coin = AgainstCoin::of(data, &split.judge, &quality);
    Ok(NetFit { nets, quality, coin, choosing, split })
}

/// Nets, and what is known of them.
#[derive(Debug, Clone)]
pub struct NetFit {
    /// The nets.
    pub nets: Nets,
    /// On the pairs for judging, which nothing was chosen by.
    pub quality: Quality,
    /// Whether a coin would do as well on them.
    pub coin: AgainstCoin,
    /// On the pairs for choosing between models.
    pub choosing: Quality,
    /// Which pairs those are.
    pub split: Split,
}

/// Is the second model better than the first on the pairs for choosing? By how much its loss is lower, and the standard
/// error of that.
pub fn advantage(linear: &LinearFit, nets: &NetFit) -> Option<(f64, f64)> {
    let linear_losses: std::collections::HashMap<usize, f64> =
        linear.order.iter().copied().zip(linear.quality.losses.iter().copied()).collect();
    let gain = |(pair, loss): (&usize, &f64)| linear_losses.get(pair).map(|linear| linear - loss);
    let gains: Vec<f64> = nets.split.choose.iter().zip(&nets.choosing.losses).filter_map(gain).collect();
    mean_and_error(&gains)
}
