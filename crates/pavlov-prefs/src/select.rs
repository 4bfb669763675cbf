//! Which of many candidate pairs are worth a label.
//!
//! Strategies as in B-Pref (Lee et al. 2021): uniform, disagreement of an ensemble (the standard deviation of its
//! probabilities), entropy of its mean probability, k-centre (greedy: the pair furthest from all chosen ones, Sener and
//! Savarese 2018). Optimistic takes pairs with the segment that could be best of all, mean plus deviation of its learnt
//! reward (upper confidence bound, as SELM does). Information takes pairs whose answer tells most about what is not
//! known yet (BALD, Houlsby et al. 2011): the entropy of the mean probability less the mean entropy of the members'
//! probabilities, less for a pair whose answer one that is chosen already would tell.

use crate::error::PrefsError;
use crate::math::{entropy, sigmoid};
use pavlov_common::stats::{mean, moments, pearson};

/// A way to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// As they come.
    Uniform,
    /// Where members of the ensemble differ.
    Disagreement,
    /// Where the ensemble is not sure.
    Entropy,
    /// Far from each other.
    KCentre,
    /// Those that could be best.
    Optimistic,
    /// Those whose answers tell most.
    Information,
}

/// Names of strategies.
pub const STRATEGIES: [(&str, Strategy); 6] = [
    ("uniform", Strategy::Uniform),
    ("disagreement", Strategy::Disagreement),
    ("entropy", Strategy::Entropy),
    ("k-centre", Strategy::KCentre),
    ("optimistic", Strategy::Optimistic),
    ("information", Strategy::Information),
];

impl Strategy {
    /// The strategy of a name in [`STRATEGIES`].
    ///
    /// # Errors
    /// Says which there are.
    pub fn named(name: &str) -> Result<Self, PrefsError> {
        let found = STRATEGIES.iter().find(|s| s.0 == name).map(|s| s.1);
        found.ok_or_else(|| {
            let names = STRATEGIES.map(|s| s.0);
            let hint = pavlov_model::did_you_mean(name, names);
            PrefsError::Usage(format!("no strategy `{name}`: {hint}; there are {}", names.join(", ")))
        })
    }
}

/// A candidate pair as a model sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Learnt reward of both segments by each member (or each draw from a posterior).
    pub rewards: Vec<[f64; 2]>,
    /// Difference of what describes the segments, scaled.
    pub place: Vec<f64>,
}

/// `n` of the candidates, the most wanted first.
pub fn select(strategy: Strategy, candidates: &[Seen], n: usize) -> Vec<usize> {
    let n = n.min(candidates.len());
    let chances = |c: &Seen| moments(c.rewards.iter().map(|r| sigmoid(r[0] - r[1]))).unwrap_or_default();
    let worth = |c: &Seen| match strategy {
        Strategy::Disagreement => chances(c).1.sqrt(),
        Strategy::Entropy => entropy(chances(c).0),
        Strategy::Optimistic => [0, 1]
            .map(|side| {
                let (mean, variance) = moments(c.rewards.iter().map(|r| r[side])).unwrap_or_default();
                mean + variance.sqrt()
            })
            .into_iter()
            .fold(f64::NEG_INFINITY, f64::max),
        Strategy::Uniform | Strategy::KCentre | Strategy::Information => 0.0,
    };
    match strategy {
        Strategy::KCentre => return k_centre(candidates, n),
        Strategy::Information => return most_told(candidates, n),
        _ => {}
    }
    let worths: Vec<f64> = candidates.iter().map(worth).collect();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| worths[b].total_cmp(&worths[a]));
    order.truncate(n);
    order
}

/// Greedy by information: what a pair tells is less by the share of the variance of its probability over the members
/// that each chosen pair's probability explains.
fn most_told(candidates: &[Seen], n: usize) -> Vec<usize> {
    let chances_of = |c: &Seen| c.rewards.iter().map(|r| sigmoid(r[0] - r[1])).collect::<Vec<f64>>();
    let chances: Vec<Vec<f64>> = candidates.iter().map(chances_of).collect();
    let told = |p: &Vec<f64>| {
        let mean_of = |f: &dyn Fn(f64) -> f64| mean(p.iter().map(|&p| f(p))).unwrap_or_default();
        entropy(mean_of(&|p| p)) - mean_of(&entropy)
    };
    let mut left: Vec<f64> = chances.iter().map(told).collect();
    let mut out = Vec::with_capacity(n);
    while out.len() < n {
        let Some(next) = (0..left.len()).max_by(|&a, &b| left[a].total_cmp(&left[b])) else { break };
        out.push(next);
        if out.len() < n {
            for (told, p) in left.iter_mut().zip(&chances) {
                *told *= 1.0 - pearson(p, &chances[next]).map_or(0.0, |rho| rho * rho);
            }
        }
        left[next] = f64::NEG_INFINITY;
    }
    out
}

fn k_centre(candidates: &[Seen], n: usize) -> Vec<usize> {
    // A pair and the same one exchanged are one place.
    let apart = |a: &[f64], b: &[f64]| {
        let distance = |sign: f64| a.iter().zip(b).map(|(x, y)| (x - sign * y).powi(2)).sum::<f64>();
        distance(1.0).min(distance(-1.0))
    };
    let mut nearest = vec![f64::INFINITY; candidates.len()];
    let mut out = Vec::with_capacity(n);
    let mut next = 0;
    while out.len() < n {
        out.push(next);
        for (d, c) in nearest.iter_mut().zip(candidates) {
            *d = d.min(apart(&c.place, &candidates[next].place));
        }
        nearest[next] = f64::NEG_INFINITY;
        next = (0..nearest.len()).max_by(|&a, &b| nearest[a].total_cmp(&nearest[b])).unwrap_or(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rewards: &[[f64; 2]], place: &[f64]) -> Seen {
        Seen { rewards: rewards.to_vec(), place: place.to_vec() }
    }

    #[test]
    fn each_strategy_takes_what_it_is_named_for() {
        let all = [
            seen(&[[5.0, 0.0], [5.0, 0.0]], &[0.0]),  // sure
            seen(&[[0.1, 0.0], [-0.1, 0.0]], &[1.0]), // agreed not to know
            seen(&[[4.0, 0.0], [-4.0, 0.0]], &[9.0]), // divided
            seen(&[[9.0, 8.0], [9.0, 8.0]], &[-9.1]), // very good ones
        ];
        assert_eq!(select(Strategy::Uniform, &all, 2), [0, 1]);
        assert_eq!(select(Strategy::Disagreement, &all, 1), [2]);
        assert_eq!(select(Strategy::Entropy, &all, 2).iter().filter(|&&i| i == 1 || i == 2).count(), 2);
        assert_eq!(select(Strategy::Optimistic, &all, 1), [3]);
        assert_eq!(select(Strategy::KCentre, &all, 2), [0, 3]);
        assert_eq!(select(Strategy::KCentre, &all, 3), [0, 3, 1], "9 and -9.1 are one place");
        assert_eq!(select(Strategy::KCentre, &all, 9).len(), 4);
        assert_eq!(select(Strategy::Information, &all, 1), [2]);
        assert!(Strategy::named("entropi").unwrap_err().to_string().contains("entropy"));
    }

    #[test]
    fn a_batch_does_not_ask_the_same_twice() {
        let lead = |of: [f64; 4]| seen(&of.map(|r| [r, 0.0]), &[0.0]);
        // Two questions that divide the members alike, and one that divides them otherwise, a little less.
        let all = [lead([3.0, 3.0, -3.0, -3.0]), lead([3.1, 3.1, -3.1, -3.1]), lead([2.5, -2.5, 2.5, -2.5])];
        assert_eq!(select(Strategy::Information, &all, 3), [1, 2, 0]);
        assert_eq!(select(Strategy::Information, &all, 9).len(), 3);
        // What is left of a pair is a share of what it told: two thirds of 0.40 is more than all of 0.20.
        let shares = [lead([4.0, 4.0, -4.0, -4.0]), lead([3.0, 3.0, 3.0, -3.0]), lead([1.4, -1.4, 1.4, -1.4])];
        assert_eq!(select(Strategy::Information, &shares, 2), [0, 1]);
        // A pair that is a coin's throw to every member tells nothing of them.
        let coin = [lead([0.0; 4]), lead([0.2, -0.2, 0.2, -0.2])];
        assert_eq!(select(Strategy::Information, &coin, 1), [1]);
    }
}
