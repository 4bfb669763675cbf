//! Labels as models learn from them: pairs of segments with the probability that the left one is better.
//!
//! A comparison is one pair; best and worst of K are those pairs that follow from it (the best against every other,
//! every other against the worst). Skips, ratings, marks, attributes and words are not learnt from.

use crate::error::PrefsError;
use crate::label::{Answer, Label, Segment};
use crate::math::cross_entropy;
use crate::rng::Rng;
use pavlov_common::stats::mean;
use std::collections::HashMap;

/// Two segments of a [`Dataset`] by their numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// One.
    pub left: usize,
    /// The other.
    pub right: usize,
    /// 1 when left was called better, 0 when right, 1/2 for a tie.
    pub target: f64,
    /// 1 slightly, 2 clearly, 3 by far; 0 when not given.
    pub strength: u8,
}

/// How answers become a loss of the difference `d = R(left) - R(right)`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Loss {
    /// Cross entropy of `sigmoid(d)` (Bradley and Terry 1952).
    #[default]
    Plain,
    /// The better one must lead by this much a point of strength: `-ln sigmoid(d - margin * strength)` (Llama 2,
    /// Touvron et al. 2023).
    Margin(f64),
    /// Weighed by strength over its mean.
    Scaled,
}

/// Pairs, and the segments they are of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// Segments, each once.
    pub segments: Vec<Segment>,
    /// Pairs.
    pub pairs: Vec<Pair>,
}

impl Dataset {
    /// Of the labels of a task, by one rater or by all.
    pub fn of<'a>(labels: impl IntoIterator<Item = &'a Label>, task: &str, rater: Option<&str>) -> Self {
        let mut out = Self::default();
        let mut known: HashMap<&Segment, usize> = HashMap::new();
        for Label { entry, .. } in labels {
            if *entry.task != *task || rater.is_some_and(|r| *entry.rater != *r) {
                continue;
            }
            let mut number = |i: usize| {
                let segment = &*entry.segments[i];
                *known.entry(segment).or_insert_with(|| {
                    out.segments.push(segment.clone());
                    out.segments.len() - 1
                })
            };
            match &entry.answer {
                Answer::Comparison { choice, strength } => {
                    let (left, right) = (number(0), number(1));
                    let strength = strength.unwrap_or(0);
                    out.pairs.push(Pair { left, right, target: choice.target(), strength });
                }
                Answer::BestWorst { best, worst } => {
                    let (best, worst) = (usize::from(*best), usize::from(*worst));
                    let all: Vec<usize> = (0..entry.segments.len()).map(&mut number).collect();
                    let pair = |a: usize, b: usize| Pair { left: all[a], right: all[b], target: 1.0, strength: 0 };
                    let middle = || (0..all.len()).filter(|&i| i != best && i != worst);
                    out.pairs.push(pair(best, worst));
                    out.pairs.extend(middle().map(|i| pair(best, i)));
                    out.pairs.extend(middle().map(|i| pair(i, worst)));
                }
                _ => {}
            }
        }
        out
    }

    /// A model needs something to learn from.
    ///
    /// # Errors
    /// When there are no pairs.
    pub fn check(&self) -> Result<(), PrefsError> {
        if self.pairs.is_empty() {
            return Err(PrefsError::Usage(
                "no comparison to learn from: label some pairs first (`pavlov prefs label`, or the studio)".into(),
            ));
        }
        Ok(())
    }

    /// Mean strength of those given; 1 when none is.
    fn mean_strength(&self) -> f64 {
        mean(self.pairs.iter().filter(|p| p.strength > 0).map(|p| f64::from(p.strength))).unwrap_or(1.0)
    }

    /// Weight and shift of each pair's difference: the loss is `weight * cross_entropy(d - shift, target)`.
    pub fn terms_of(&self, loss: Loss) -> Vec<(f64, f64)> {
        let mean_strength = self.mean_strength();
        let weight_and_shift = |p: &Pair| match loss {
            Loss::Plain => (1.0, 0.0),
            Loss::Margin(m) => (1.0, m * f64::from(p.strength) * (2.0 * p.target - 1.0)),
            Loss::Scaled if p.strength == 0 => (1.0, 0.0),
            Loss::Scaled => (f64::from(p.strength) / mean_strength, 0.0),
        };
        self.pairs.iter().map(weight_and_shift).collect()
    }

    /// Pairs in `folds` parts: which part each is in. The same pair of segments is in one part, so that no part knows
    /// another's answers.
    pub fn folds(&self, folds: usize, seed: u64) -> Vec<usize> {
        let mut groups: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
        let mut order = Vec::new();
        for (i, p) in self.pairs.iter().enumerate() {
            let key = (p.left.min(p.right), p.left.max(p.right));
            let group = groups.entry(key).or_default();
            if group.is_empty() {
                order.push(key);
            }
            group.push(i);
        }
        Rng::new(seed).shuffle(&mut order);
        let mut fold_of = vec![0; self.pairs.len()];
        for (n, key) in order.iter().enumerate() {
            groups[key].iter().for_each(|&i| fold_of[i] = n % folds);
        }
        fold_of
    }

    /// The same segments with those pairs only for which `keep` holds.
    #[must_use]
    pub fn with(&self, keep: impl Fn(usize) -> bool) -> Self {
        let pairs = self.pairs.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, p)| *p).collect();
        Self { segments: self.segments.clone(), pairs }
    }
}

/// Numbers of the pairs that a net is trained on, and of those that it is stopped, chosen and judged by. No pair has
/// two uses, and a pair of segments that came twice is in one part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Trained on.
    pub train: Vec<usize>,
    /// How long is trained is found on these, which then are trained on too.
    pub stop: Vec<usize>,
    /// Models are chosen by these.
    pub choose: Vec<usize>,
    /// What is said of the model is of these.
    pub judge: Vec<usize>,
}

impl Split {
    /// Parts that pairs are dealt into; with fewer pairs all are trained on.
    const PARTS: usize = 20;

    /// Of the pairs of `data`, with a share of them for judging; for stopping (and for choosing, where it is asked for)
    /// three quarters of that share.
    pub fn of(data: &Dataset, judging: f64, choosing: bool, seed: u64) -> Self {
        let all = 0..data.pairs.len();
        let judge_parts = (judging * Self::PARTS as f64).round() as usize;
        if judge_parts == 0 || data.pairs.len() < Self::PARTS {
            return Self { train: all.collect(), ..Self::default() };
        }
        let folds = data.folds(Self::PARTS, seed);
        let stop_end = judge_parts + (3 * judge_parts).div_ceil(4);
        let choose_end = if choosing { stop_end + (3 * judge_parts).div_ceil(4) } else { stop_end };
        let within = |parts: std::ops::Range<usize>| all.clone().filter(|&i| parts.contains(&folds[i])).collect();
        Self {
            judge: within(0..judge_parts),
            stop: within(judge_parts..stop_end),
            choose: within(stop_end..choose_end),
            train: within(choose_end..Self::PARTS),
        }
    }
}

/// How well differences `d` predict answers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Quality {
    /// Pairs.
    pub pairs: usize,
    /// Share whose better one is called better; ties are left out.
    pub accuracy: f64,
    /// Mean cross entropy, nats; a coin has 0.693.
    pub log_loss: f64,
    /// Expected calibration error: how far predicted probabilities are from shares, in ten bins (Guo et al. 2017).
    pub calibration_error: f64,
    /// Bins of the predicted probability that the called one is better: mean prediction, share that is so, pairs.
    pub bins: Vec<(f64, f64, usize)>,
    /// Predicted difference and target of each pair.
    #[serde(skip)]
    pub predicted: Vec<(f64, f64)>,
    /// Cross entropy of each pair.
    #[serde(skip)]
    pub losses: Vec<f64>,
    /// Is the better one of each pair called better? 1 or 0, 1/2 where the model does not prefer one; none for a tie.
    #[serde(skip)]
    pub right: Vec<Option<f64>>,
}

impl Quality {
    /// Of predicted differences and targets.
    pub fn of(predicted: &[(f64, f64)]) -> Self {
        let losses: Vec<f64> = predicted.iter().map(|&(d, t)| cross_entropy(d, t)).collect();
        let right_of = |&(d, t): &(f64, f64)| {
            let d = if t > 0.5 { d } else { -d };
            let right = if d > 0.0 {
                1.0
            } else if d == 0.0 {
                0.5
            } else {
                0.0
            };
            ((t - 0.5).abs() > 1e-9).then_some(right)
        };
        let right: Vec<Option<f64>> = predicted.iter().map(right_of).collect();
        let mut sums = [(0.0, 0.0, 0usize); 10];
        // Each pair is looked at from the side that the model prefers, so predictions are 0.5 to 1.
        for &(d, t) in predicted {
            let (p, t) = (crate::math::sigmoid(d.abs()), if d >= 0.0 { t } else { 1.0 - t });
            let bin = &mut sums[(((p - 0.5) * 20.0) as usize).min(9)];
            *bin = (bin.0 + p, bin.1 + t, bin.2 + 1);
        }
        let bins: Vec<_> = sums.iter().filter(|b| b.2 > 0).map(|b| (b.0 / b.2 as f64, b.1 / b.2 as f64, b.2)).collect();
        let n = predicted.len().max(1) as f64;
        Self {
            pairs: predicted.len(),
            accuracy: mean(right.iter().copied().flatten()).unwrap_or_default(),
            log_loss: mean(losses.iter().copied()).unwrap_or_default(),
            calibration_error: bins.iter().map(|b| (b.0 - b.1).abs() * b.2 as f64).sum::<f64>() / n,
            bins,
            predicted: predicted.to_vec(),
            losses,
            right,
        }
    }

    /// Of those pairs only for whose place `keep` holds.
    #[must_use]
    pub fn of_those(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.predicted.iter().enumerate().filter(|(place, _)| keep(*place));
        Self::of(&kept.map(|(_, p)| *p).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::tests::{every_kind, segment};
    use crate::label::{Choice, Entry};

    fn label(entry: Entry) -> Label {
        Label { id: 1, at_ms: 0, entry }
    }

    #[test]
    fn labels_become_pairs() {
        let labels: Vec<Label> = every_kind().into_iter().map(label).collect();
        let data = Dataset::of(&labels, "ant_run", None);
        let as_tuple = |p: &Pair| (p.left, p.right, p.target, p.strength);
        let all: Vec<_> = data.pairs.iter().map(as_tuple).collect();
        assert_eq!(all[..3], [(0, 1, 1.0, 3), (0, 1, 0.0, 0), (0, 1, 0.5, 0)]);
        assert_eq!(all[3..], [(2, 0, 1.0, 0), (2, 1, 1.0, 0), (1, 0, 1.0, 0)], "best 2, worst 0");
        assert_eq!(data.segments.len(), 3);
        assert!(Dataset::of(&labels, "ant_run", Some("bob")).check().is_err());
        assert!(Dataset::of(&labels, "hopper_hop", None).pairs.is_empty());
    }

    #[test]
    fn strengths_weigh_or_shift() {
        let pair = |target, strength| Pair { left: 0, right: 1, target, strength };
        let data = |strengths: [u8; 3]| {
            let pairs = [1.0, 0.0, 0.5].into_iter().zip(strengths).map(|(t, s)| pair(t, s)).collect();
            Dataset { segments: vec![], pairs }
        };
        let some = data([1, 3, 0]);
        assert_eq!(some.terms_of(Loss::Plain), [(1.0, 0.0); 3]);
        assert_eq!(some.terms_of(Loss::Margin(0.5)), [(1.0, 0.5), (1.0, -1.5), (1.0, 0.0)]);
        // In units of their mean, 2; what has none counts once.
        assert_eq!(some.terms_of(Loss::Scaled), [(0.5, 0.0), (1.5, 0.0), (1.0, 0.0)]);
        assert_eq!(data([0; 3]).terms_of(Loss::Scaled), [(1.0, 0.0); 3]);
    }

    #[test]
    fn a_pair_that_comes_again_stays_in_one_fold() {
        let entry = |a, b| label(Entry::comparison("t", "r", segment(a), segment(b), Choice::Left));
        let mut labels: Vec<Label> = (0..40).map(|i| entry(i, i + 100)).collect();
        labels.extend((0..40).map(|i| entry(i + 100, i)));
        let data = Dataset::of(&labels, "t", None);
        let folds = data.folds(5, 1);
        assert_eq!(folds[..40], folds[40..]);
        assert!((0..5).all(|f| folds.iter().filter(|&&x| x == f).count() == 16));
        assert_eq!(data.with(|i| folds[i] != 0).pairs.len(), 64);
    }

    #[test]
    fn no_pair_has_two_uses() {
        let entry = |i: u32| label(Entry::comparison("t", "r", segment(i), segment(i + 100), Choice::Left));
        let data = Dataset::of(&(0..60).map(entry).collect::<Vec<_>>(), "t", None);
        let split = Split::of(&data, 0.2, true, 3);
        let mut all = [&split.train[..], &split.stop, &split.choose, &split.judge].concat();
        assert_eq!([&split.train, &split.stop, &split.choose, &split.judge].map(Vec::len), [30, 9, 9, 12]);
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..60));
        let plain = Split::of(&data, 0.2, false, 3);
        assert_eq!((plain.judge, plain.train.len(), plain.choose.len()), (split.judge, 39, 0));
        let few = data.with(|i| i < 19);
        assert_eq!(Split::of(&few, 0.2, true, 3).train.len(), 19, "too few to hold any out");
    }

    #[test]
    fn quality_of_known_predictions() {
        let q = Quality::of(&[(2.0, 1.0), (-1.0, 1.0), (0.0, 0.5), (3.0, 1.0)]);
        assert!((q.accuracy - 2.0 / 3.0).abs() < 1e-12);
        let wanted = [2.0f64, -1.0, 0.0, 3.0].map(|d| (1.0 + (-d).exp()).ln()).iter().sum::<f64>() / 4.0;
        assert!((q.log_loss - wanted).abs() < 1e-12, "{} {wanted}", q.log_loss);
        assert_eq!(q.right, [Some(1.0), Some(0.0), None, Some(1.0)]);
        assert_eq!(Quality::of(&[(0.0, 1.0), (0.0, 0.0), (-1.0, 0.0)]).right, [Some(0.5), Some(0.5), Some(1.0)]);
        // From the preferred side: 0.5, then 0.73 where the target says 0, 0.88 and 0.95 where it says 1.
        let p = |d: f64| 1.0 / (1.0 + (-d).exp());
        let bins = [(0.5, 0.5, 1), (p(1.0), 0.0, 1), (p(2.0), 1.0, 1), (p(3.0), 1.0, 1)];
        for (bin, known) in q.bins.iter().zip(bins) {
            assert!((bin.0 - known.0).abs() < 1e-12 && (bin.1, bin.2) == (known.1, known.2), "{bin:?} {known:?}");
        }
        assert_eq!(q.bins.len(), 4);
        let apart = bins.iter().map(|b| (b.0 - b.1).abs()).sum::<f64>() / 4.0;
        assert!((q.calibration_error - apart).abs() < 1e-12);
        assert_eq!(Quality::of(&[(1e3, 1.0)]).bins, [(1.0, 1.0, 1)]);
        assert_eq!(q.of_those(|place| place != 1).accuracy, 1.0);
        // A model that says 0.731 and is right 73.1% of the time is calibrated.
        let many: Vec<(f64, f64)> = (0..1000).map(|i| (1.0, f64::from(u8::from(i < 731)))).collect();
        assert!(Quality::of(&many).calibration_error < 1e-3);
    }
}
