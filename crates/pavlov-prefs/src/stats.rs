//! How labelling goes: counts, time per label, and how far a rater agrees with themselves when the same pair comes
//! again.

use crate::label::{Answer, Choice, Label, Segment};
use pavlov_common::stats::{mean, median};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Agreement on pairs that were shown more than once to the same rater, in whichever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Consistency {
    /// Times a pair came again.
    pub repeats: usize,
    /// Times the verdict was that of the showing before.
    pub agreed: usize,
    /// Times the order was exchanged.
    pub swapped: usize,
    /// Times the order was exchanged and the verdict was the same.
    pub swapped_agreed: usize,
}

impl Consistency {
    /// Share of repeats that agree; none without repeats.
    pub fn rate(&self) -> Option<f64> {
        (self.repeats > 0).then(|| self.agreed as f64 / self.repeats as f64)
    }
}

/// What one rater did, or all together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RaterStats {
    /// Labels that stand.
    pub labels: usize,
    /// Of each kind.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Verdicts of comparisons: left, right, equal. A rater who looks has about as many left as right.
    pub choices: [usize; 3],
    /// Seconds a label took: median, and mean.
    pub seconds: [f64; 2],
    /// Labels of which it is not known under which script they were given.
    pub unknown_script: usize,
    /// Agreement with themselves.
    pub consistency: Consistency,
}

/// Statistics of a store.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// All raters together; consistency is the sum of that of each with themselves.
    pub all: RaterStats,
    /// Each rater.
    pub raters: BTreeMap<String, RaterStats>,
    /// Labels of each task.
    pub tasks: BTreeMap<String, usize>,
    /// Pairs that two raters or more have compared, and the share of rater pairs that agree on them.
    pub shared_pairs: usize,
    /// See `shared_pairs`; none without one.
    pub agreement: Option<f64>,
}

type Pair<'a> = [&'a Segment; 2];

/// Statistics of labels that stand ([`crate::LabelStore::labels`]).
pub fn stats(labels: &[Label]) -> Stats {
    let mut out = Stats::default();
    let mut times: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    // Last verdict of a rater on a pair, as if its smaller segment stood left, and whether it did.
    let mut last: HashMap<(&str, Pair<'_>), (Choice, bool)> = HashMap::new();
    for label in labels {
        let entry = &label.entry;
        *out.tasks.entry(entry.task.to_string()).or_default() += 1;
        times.entry(&entry.rater).or_default().push(entry.took_ms);
        let rater = out.raters.entry(entry.rater.to_string()).or_default();
        rater.labels += 1;
        rater.unknown_script += usize::from(entry.versions.known_script().is_none());
        *rater.kinds.entry(entry.answer.kind()).or_default() += 1;
        if let (Answer::Comparison { choice, .. }, Some((pair, in_order))) = (&entry.answer, entry.pair()) {
            rater.choices[*choice as usize] += 1;
            let choice = if in_order { *choice } else { choice.swapped() };
            if let Some((before, was)) = last.insert((&entry.rater, pair), (choice, in_order)) {
                let (agreed, swapped) = (before == choice, was != in_order);
                let c = &mut rater.consistency;
                c.repeats += 1;
                c.agreed += usize::from(agreed);
                c.swapped += usize::from(swapped);
                c.swapped_agreed += usize::from(agreed && swapped);
            }
        }
    }
    let mut every: Vec<u32> = Vec::new();
    for (name, times) in &mut times {
        every.extend_from_slice(times);
        if let Some(rater) = out.raters.get_mut(*name) {
            rater.seconds = seconds(times);
        }
    }
    for rater in out.raters.values() {
        let all = &mut out.all;
        all.labels += rater.labels;
        all.unknown_script += rater.unknown_script;
        rater.kinds.iter().for_each(|(kind, n)| *all.kinds.entry(kind).or_default() += n);
        all.choices.iter_mut().zip(rater.choices).for_each(|(a, c)| *a += c);
        let (c, add) = (&mut all.consistency, &rater.consistency);
        c.repeats += add.repeats;
        c.agreed += add.agreed;
        c.swapped += add.swapped;
        c.swapped_agreed += add.swapped_agreed;
    }
    out.all.seconds = seconds(&mut every);
    (out.shared_pairs, out.agreement) = agreement(&last);
    out
}

fn seconds(times: &mut [u32]) -> [f64; 2] {
    times.sort_unstable();
    let sorted: Vec<f64> = times.iter().map(|&t| f64::from(t)).collect();
    [median(&sorted), mean(sorted.iter().copied())].map(|milliseconds| milliseconds.unwrap_or_default() / 1000.0)
}

fn agreement(last: &HashMap<(&str, Pair<'_>), (Choice, bool)>) -> (usize, Option<f64>) {
    let mut pairs: HashMap<Pair<'_>, [usize; 3]> = HashMap::new();
    last.iter().for_each(|((_, pair), (choice, _))| pairs.entry(*pair).or_default()[*choice as usize] += 1);
    let (mut shared, mut rater_pairs, mut agreed) = (0, 0, 0);
    for counts in pairs.values() {
        let raters: usize = counts.iter().sum();
        shared += usize::from(raters > 1);
        rater_pairs += raters * (raters - 1) / 2;
        agreed += counts.iter().map(|&n| n * n.saturating_sub(1) / 2).sum::<usize>();
    }
    (shared, (rater_pairs > 0).then(|| agreed as f64 / rater_pairs as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Entry, tests::segment};

    fn label(rater: &str, pair: [u32; 2], choice: Choice, took_ms: u32) -> Label {
        let [left, right] = pair.map(segment);
        Label { id: 1, at_ms: 0, entry: Entry { took_ms, ..Entry::comparison("t", rater, left, right, choice) } }
    }

    #[test]
    fn labels_under_the_hash_of_nothing_are_told_apart() {
        use crate::label::Versions;
        let of = |script: &str| {
            let mut label = label("a", [0, 1], Choice::Left, 1);
            label.entry.versions = std::sync::Arc::new(Versions::of("ant_run/default", script));
            label
        };
        let nothing = pavlov_run::sha256(b"");
        let known = pavlov_run::sha256(b"fn reward(s) { 1.0 }");
        assert_eq!(Versions::of("r", &*nothing).known_script(), None);
        assert_eq!(Versions::of("r", &*known).known_script(), Some(&*known));
        let s = stats(&[of(&nothing), of(""), of(&known)]);
        assert_eq!((s.raters["a"].unknown_script, s.all.unknown_script, s.all.labels), (2, 2, 3));
    }

    #[test]
    fn repeats_count_however_they_are_shown() {
        use Choice::{Equal, Left, Right};
        let labels = [
            label("a", [0, 1], Left, 1000),
            label("a", [1, 0], Right, 2000), // the same verdict
            label("a", [1, 0], Left, 6000),  // now the other
            label("a", [2, 3], Equal, 3000),
            label("b", [0, 1], Right, 500), // as `a` at last
            label("b", [3, 2], Left, 500),  // not a repeat of `b`, and not what `a` says
        ];
        let s = stats(&labels);
        let a = &s.raters["a"];
        let wanted = Consistency { repeats: 2, agreed: 1, swapped: 1, swapped_agreed: 1 };
        assert_eq!((a.labels, a.choices, a.consistency), (4, [2, 1, 1], wanted));
        assert_eq!((a.seconds, s.all.labels, s.tasks["t"]), ([2.5, 3.0], 6, 6));
        assert_eq!((s.shared_pairs, s.agreement, a.consistency.rate()), (2, Some(0.5), Some(0.5)));
        assert_eq!((s.raters["b"].consistency.rate(), stats(&[]).all.labels), (None, 0));
        assert_eq!((s.all.consistency, s.all.choices), (wanted, [3, 2, 1]));
        let alone = stats(&labels[..4]);
        assert_eq!((alone.shared_pairs, alone.agreement), (0, None));
        // Of three raters two agree: one of three pairs of raters.
        let three = stats(&[label("a", [0, 1], Left, 1), label("b", [1, 0], Right, 1), label("c", [0, 1], Right, 1)]);
        assert_eq!((three.shared_pairs, three.agreement), (1, Some(1.0 / 3.0)));
        let twice = stats(&[label("a", [0, 1], Left, 1), label("a", [0, 1], Left, 1), label("a", [1, 0], Right, 1)]);
        assert_eq!(twice.all.consistency, Consistency { repeats: 2, agreed: 2, swapped: 1, swapped_agreed: 1 });
    }
}
