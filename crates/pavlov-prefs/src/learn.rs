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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Pair;
    use crate::label::tests::segment;
    use crate::rng::Rng;

    /// Pairs that are answered rightly by `factors` on the sums of two terms.
    fn answers(factors: [f64; 2], n: usize) -> (Dataset, Vec<Vec<f64>>) {
        let mut rng = Rng::new(6);
        let phi: Vec<Vec<f64>> = (0..2 * n).map(|_| vec![rng.normal(), rng.normal()]).collect();
        let value = |p: &[f64]| p[0] * factors[0] + p[1] * factors[1];
        let pair = |i: usize| {
            let target = f64::from(u8::from(value(&phi[2 * i]) > value(&phi[2 * i + 1])));
            Pair { left: 2 * i, right: 2 * i + 1, target, strength: 0 }
        };
        let pairs = (0..n).map(pair).collect();
        (Dataset { segments: (0..2 * n as u32).map(segment).collect(), pairs }, phi)
    }

    fn learnt(factors: [f64; 2], n: usize) -> LinearFit {
        let (data, phi) = answers(factors, n);
        weigh(&["a".into(), "b".into()], &data, phi, Loss::Plain, 1).unwrap()
    }

    #[test]
    fn weights_change_when_held_out_pairs_gain_by_it() {
        let fit = learnt([1.0, -1.0], 120);
        let (gain, error) = fit.gain().unwrap();
        assert!(gain > error && gain > 0.2, "{gain} {error}");
        assert!(fit.verdicts.iter().any(Verdict::changes));
        assert!(fit.quality.accuracy > 0.9 && fit.before.accuracy < 0.6, "{:?}", fit.quality);
        // Every pair is predicted once, each by the same number in both.
        let mut order = fit.order.clone();
        order.sort_unstable();
        assert!(order.into_iter().eq(0..120));
        assert_eq!((fit.quality.pairs, fit.before.pairs, fit.phi.len()), (120, 120, 240));
        // Right as they are: nothing to gain, nothing changed.
        let fit = learnt([1.0, 1.0], 120);
        assert!(!fit.verdicts.iter().any(Verdict::changes), "{:?}", fit.verdicts);
    }

    #[test]
    fn the_gain_is_of_losses_and_without_it_weights_are_left() {
        let mut fit = learnt([1.0, -1.0], 120);
        fit.before = Quality::of(&[(0.0, 1.0), (0.0, 1.0)]);
        fit.quality = Quality::of(&[(2.0, 1.0), (1.0, 1.0)]);
        let gains = [2.0f64, 1.0].map(|d| 2f64.ln() - (1.0 + (-d).exp()).ln());
        let (gain, error) = fit.gain().unwrap();
        assert!((gain - (gains[0] + gains[1]) / 2.0).abs() < 1e-12);
        assert!((error - (gains[0] - gains[1]).abs() / 2.0).abs() < 1e-12, "{error}");
        fit.verdicts.retain(Verdict::changes);
        assert!(!fit.verdicts.is_empty());
        fit.leave();
        assert!(fit.verdicts.iter().all(|v| v.factor == 1.0 && !v.changes() && !v.determined), "{:?}", fit.verdicts);
    }
}
