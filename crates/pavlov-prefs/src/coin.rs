//! Is a model better than a coin? The one-sided binomial test, and Wilson's interval of a share (1927).

use crate::dataset::{Dataset, Quality};
use serde::Serialize;
use std::collections::BTreeMap;

/// A model is taken for better than a coin below this chance that a coin does as well.
const LEVEL: f64 = 0.05;

/// What a coin would do on the same pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct AgainstCoin {
    /// Held-out pairs that have a better one, each pair of segments once.
    pub pairs: usize,
    /// Those that the model tells right.
    pub right: usize,
    /// 95% interval of its accuracy.
    pub interval: [f64; 2],
    /// Chance that a coin tells as many right.
    pub chance: f64,
}

impl AgainstCoin {
    /// Of the pairs with those numbers, in the order of `quality`'s verdicts.
    pub fn of(data: &Dataset, pairs: &[usize], quality: &Quality) -> Self {
        // A pair that was asked several times is one: its answers depend on each other.
        let mut shares: BTreeMap<[usize; 2], (f64, f64)> = BTreeMap::new();
        for (&i, right) in pairs.iter().zip(&quality.right) {
            let pair = &data.pairs[i];
            if let Some(right) = right {
                let share = shares.entry([pair.left.min(pair.right), pair.left.max(pair.right)]).or_default();
                *share = (share.0 + right, share.1 + 1.0);
            }
        }
        let right = shares.values().filter(|(right, answers)| 2.0 * right > *answers).count();
        Self::counts(right, shares.len())
    }

    /// Of so many right of so many.
    pub fn counts(right: usize, pairs: usize) -> Self {
        Self { pairs, right, interval: wilson(right, pairs), chance: at_least(right, pairs) }
    }

    /// Can this many pairs tell at all?
    pub fn can_tell(&self) -> bool {
        at_least(self.pairs, self.pairs) < LEVEL
    }

    /// Does the model do what a coin does not?
    pub fn is_better(&self) -> bool {
        self.chance < LEVEL
    }
}

/// Chance that a coin shows heads `right` times or more of `of`.
fn at_least(right: usize, of: usize) -> f64 {
    let ln_choose = |k: usize| (0..k).map(|i| ((of - i) as f64 / (i + 1) as f64).ln()).sum::<f64>();
    let sum: f64 = (right..=of).map(|k| (ln_choose(k) - of as f64 * 2.0f64.ln()).exp()).sum();
    sum.min(1.0)
}

/// 95% interval of a share.
fn wilson(right: usize, of: usize) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_963_985;
    let (n, share) = (of as f64, right as f64 / of as f64);
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_and_intervals_are_those_of_the_tables() {
        assert!((at_least(9, 10) - 11.0 / 1024.0).abs() < 1e-12 && (at_least(0, 10) - 1.0).abs() < 1e-9);
        assert!((at_least(60, 100) - 0.028_444).abs() < 1e-6);
        let [low, high] = wilson(8, 10);
        assert!((low - 0.4902).abs() < 1e-3 && (high - 0.9433).abs() < 1e-3, "{low} {high}");
        let few = AgainstCoin::counts(4, 4);
        assert!(!few.can_tell() && !few.is_better() && AgainstCoin::counts(5, 5).is_better());
        let many = AgainstCoin::counts(520, 1000);
        assert!(many.can_tell() && !many.is_better(), "{many:?}");
        let none = AgainstCoin::counts(0, 0);
        assert!(!none.can_tell() && none.interval == [0.0, 1.0]);
    }

    #[test]
    fn one_pair_asked_ten_times_is_one_pair() {
        use crate::dataset::Pair;
        let pair = |left, right| Pair { left, right, target: 1.0, strength: 0 };
        let pairs: Vec<Pair> = (0..10).map(|i| if i % 2 == 0 { pair(0, 1) } else { pair(2, 3) }).collect();
        let data = Dataset { segments: Vec::new(), pairs };
        let quality = Quality::of(&[(1.0, 1.0); 10]);
        let coin = AgainstCoin::of(&data, &(0..10).collect::<Vec<_>>(), &quality);
        assert_eq!((coin.pairs, coin.right, coin.is_better()), (2, 2, false));
    }
}
