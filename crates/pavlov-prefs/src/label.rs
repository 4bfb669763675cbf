//! What a person, a script or a model said about segments of behaviour.

use crate::error::PrefsError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Some control steps of a recorded episode.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Segment {
    /// Name of the run's folder, beside the store.
    pub run: String,
    /// File of rollouts in it, without `.safetensors`: `000000120`.
    pub rollout: String,
    /// Episode of the file, from 0.
    pub episode: u32,
    /// Control step it begins with, from 0.
    pub first: u32,
    /// Control steps; it has a state more than that.
    pub length: u32,
    /// Which initial state, commands and disturbances the episode had: [`reset_seed`].
    pub reset_seed: u64,
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { run, rollout, episode, first, length, .. } = self;
        write!(f, "{run}/{rollout}#{episode}[{first}..{}]", u64::from(*first) + u64::from(*length))
    }
}

/// One number for the seed of the worlds and the world: episodes with the same number began alike and met the same
/// commands and pushes. (The finaliser of SplitMix64, Steele, Lea and Flood 2014.)
pub fn reset_seed(worlds_seed: u64, world: u32) -> u64 {
    let mut z = worlds_seed.wrapping_add((u64::from(world) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Which of two is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The one shown left: `segments[0]`.
    Left,
    /// The one shown right: `segments[1]`.
    Right,
    /// Neither: a tie.
    Equal,
}

impl Choice {
    /// The same verdict with the two exchanged.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Equal => Self::Equal,
        }
    }

    /// Target of a model that predicts the probability that left is better: 1, 0 or 1/2.
    pub fn target(self) -> f64 {
        match self {
            Self::Left => 1.0,
            Self::Right => 0.0,
            Self::Equal => 0.5,
        }
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of two segments, the better one, or a tie.
    Comparison {
        /// Which.
        choice: Choice,
        /// By how much: 1 slightly, 2 clearly, 3 by far. Not with a tie.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strength: Option<u8>,
    },
    /// Of two or more segments, the best and the worst, by their place in the order shown.
    BestWorst {
        /// Best.
        best: u16,
        /// Worst.
        worst: u16,
    },
    /// How good one segment is: `value` of `0..=of`.
    Rating {
        /// Points.
        value: u8,
        /// Most points there are.
        of: u8,
    },
    /// Seen, but cannot be told.
    Skip,
    /// Some steps within one segment.
    Mark {
        /// First step, from the beginning of the segment.
        first: u32,
        /// Steps.
        length: u32,
        /// What they are: `good`, `bad`, or any word.
        mark: String,
    },
    /// How much one segment has of a property: `value` of `0..=of`.
    Attribute {
        /// Its name: `safe`, `smooth`, ...
        name: String,
        /// Points.
        value: u8,
        /// Most points there are.
        of: u8,
    },
    /// Words.
    Text {
        /// They.
        text: String,
    },
    /// Takes an earlier label back.
    Retract {
        /// Number of the label.
        label: u64,
    },
}

impl Answer {
    /// Every kind's name, as it is stored and exported.
    pub const KINDS: [&'static str; 8] =
        ["comparison", "best_worst", "rating", "skip", "mark", "attribute", "text", "retract"];

    /// Its place in [`Self::KINDS`].
    pub fn kind_index(&self) -> usize {
        match self {
            Self::Comparison { .. } => 0,
            Self::BestWorst { .. } => 1,
            Self::Rating { .. } => 2,
            Self::Skip => 3,
            Self::Mark { .. } => 4,
            Self::Attribute { .. } => 5,
            Self::Text { .. } => 6,
            Self::Retract { .. } => 7,
        }
    }

    /// Its kind's name.
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.kind_index()]
    }
}

/// Under which versions a label was given. Empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// Reward the policy was trained with: `ant_run/default`.
    pub reward: String,
    /// SHA-256 of its script, hexadecimal.
    pub script: String,
    /// Version of Pavlov.
    pub app: String,
}

/// SHA-256 of nothing, which an earlier studio stored in place of a script's.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Versions {
    /// SHA-256 of the script; none where it is not known, or is that of nothing, as an earlier studio stored it.
    pub fn known_script(&self) -> Option<&str> {
        Some(self.script.as_str()).filter(|s| !s.is_empty() && *s != OF_NOTHING)
    }

    /// This version of Pavlov with a reward's name and its script's SHA-256.
    pub fn of(reward: impl Into<String>, script: impl Into<String>) -> Self {
        Self { reward: reward.into(), script: script.into(), app: env!("CARGO_PKG_VERSION").into() }
    }
}

/// A label to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Task.
    pub task: Arc<str>,
    /// Who said it: a person's name, `oracle`, a model's name.
    pub rater: Arc<str>,
    /// About what, in the order shown: `[0]` was left, `[1]` right.
    pub segments: Vec<Arc<Segment>>,
    /// What was said.
    pub answer: Answer,
    /// Milliseconds from showing to answering.
    pub took_ms: u32,
    /// Versions.
    pub versions: Arc<Versions>,
}

impl Entry {
    /// A comparison of two segments, `left` shown left.
    pub fn comparison(task: &str, rater: &str, left: Segment, right: Segment, choice: Choice) -> Self {
        Self {
            task: task.into(),
            rater: rater.into(),
            segments: vec![Arc::new(left), Arc::new(right)],
            answer: Answer::Comparison { choice, strength: None },
            took_ms: 0,
            versions: Arc::default(),
        }
    }

    /// Does it make sense?
    ///
    /// # Errors
    /// Says what does not.
    pub fn check(&self) -> Result<(), PrefsError> {
        let n = self.segments.len();
        let wrong = |message: String| Err(PrefsError::Label(format!("{}: {message}", self.answer.kind())));
        if self.rater.is_empty() {
            return wrong("no rater: every label says who gave it".into());
        }
        let wanted = match self.answer {
            Answer::Comparison { .. } => 2..=2,
            Answer::BestWorst { .. } => 2..=usize::from(u16::MAX),
            Answer::Rating { .. } | Answer::Mark { .. } | Answer::Attribute { .. } => 1..=1,
            Answer::Skip => 1..=usize::from(u16::MAX),
            Answer::Text { .. } => 0..=usize::from(u16::MAX),
            Answer::Retract { .. } => 0..=0,
        };
        if !wanted.contains(&n) {
            let (low, high) = (wanted.start(), wanted.end());
            let wanted = if low == high { format!("{low}") } else { format!("at least {low}") };
            return wrong(format!("{n} segments, expected {wanted}"));
        }
        if let Some(empty) = self.segments.iter().find(|s| s.length == 0 || s.first.checked_add(s.length).is_none()) {
            return wrong(format!("segment {empty} of {} steps", empty.length));
        }
        let several = matches!(self.answer, Answer::Comparison { .. } | Answer::BestWorst { .. });
        if several && let Some(i) = (1..n).find(|&i| self.segments[..i].contains(&self.segments[i])) {
            return wrong(format!("segment {} is there twice", self.segments[i]));
        }
        if several && let Some(odd) = self.segments.iter().find(|s| s.length != self.segments[0].length) {
            let (a, b) = (self.segments[0].length, odd.length);
            return wrong(format!("segments of {a} and {b} steps; only equal lengths can be compared"));
        }
        match &self.answer {
            Answer::Comparison { strength: Some(s), .. } if !(1..=3).contains(s) => {
                wrong(format!("strength {s}, expected 1 to 3"))
            }
            Answer::Comparison { choice: Choice::Equal, strength: Some(_) } => wrong("a tie has no strength".into()),
            Answer::BestWorst { best, worst } => {
                let place = |i: &u16| usize::from(*i) < n;
                match place(best) && place(worst) && best != worst {
                    true => Ok(()),
                    false => wrong(format!("best {best} and worst {worst} of {n} segments")),
                }
            }
            Answer::Rating { value, of } | Answer::Attribute { value, of, .. } if value > of || *of == 0 => {
                wrong(format!("{value} of {of} points"))
            }
            Answer::Attribute { name, .. } if name.is_empty() => wrong("no name".into()),
            Answer::Mark { first, length, mark } => {
                let segment = self.segments[0].length;
                let end = first.checked_add(*length);
                match *length > 0 && end.is_some_and(|e| e <= segment) && !mark.is_empty() {
                    true => Ok(()),
                    false => wrong(format!("`{mark}` on {length} steps from {first} of a segment of {segment}")),
                }
            }
            Answer::Text { text } if text.is_empty() => wrong("no text".into()),
            _ => Ok(()),
        }
    }

    /// The pair of a comparison without its order, to find repeats: the smaller segment first, and whether it was shown
    /// left.
    pub fn pair(&self) -> Option<([&Segment; 2], bool)> {
        match (&self.answer, &self.segments[..]) {
            (Answer::Comparison { .. }, [a, b]) if a <= b => Some(([a, b], true)),
            (Answer::Comparison { .. }, [a, b]) => Some(([b, a], false)),
            _ => None,
        }
    }
}

/// A stored label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Number in the store, from 1, in the order of arrival.
    pub id: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn segment(episode: u32) -> Segment {
        let run = "ant_run-20260101-000000-0".to_string();
        Segment { run, rollout: "000000012".into(), episode, first: 5, length: 50, reset_seed: reset_seed(7, episode) }
    }

    /// One label of every kind.
    pub(crate) fn every_kind() -> Vec<Entry> {
        let answers = [
            Answer::Comparison { choice: Choice::Left, strength: Some(3) },
            Answer::Comparison { choice: Choice::Right, strength: None },
            Answer::Comparison { choice: Choice::Equal, strength: None },
            Answer::BestWorst { best: 2, worst: 0 },
            Answer::Rating { value: 3, of: 4 },
            Answer::Skip,
            Answer::Mark { first: 10, length: 20, mark: "bad".into() },
            Answer::Attribute { name: "smooth".into(), value: 0, of: 4 },
            Answer::Text { text: "drags \"one\" leg,\nßt".into() },
            Answer::Retract { label: 2 },
        ];
        let count = [2, 2, 2, 3, 1, 2, 1, 1, 1, 0];
        let versions = Arc::new(Versions::of("ant_run/default", "ab12"));
        let entry = |(answer, n): (Answer, u32)| Entry {
            task: "ant_run".into(),
            rater: "ada".into(),
            segments: (0..n).map(|i| Arc::new(segment(i))).collect(),
            answer,
            took_ms: 1200,
            versions: versions.clone(),
        };
        answers.into_iter().zip(count).map(entry).collect()
    }

    #[test]
    fn labels_that_make_no_sense_are_refused_with_what_is_wrong() {
        assert!(every_kind().iter().all(|e| e.check().is_ok()));
        let wrong = |entry: usize, change: &dyn Fn(&mut Entry), word: &str| {
            let mut entry = every_kind().swap_remove(entry);
            change(&mut entry);
            let error = entry.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        wrong(0, &|e| e.rater = "".into(), "rater");
        wrong(0, &|e| e.segments.truncate(1), "1 segments, expected 2");
        wrong(0, &|e| e.segments[1] = e.segments[0].clone(), "twice");
        wrong(0, &|e| Arc::make_mut(&mut e.segments[1]).length = 7, "50 and 7 steps");
        wrong(0, &|e| Arc::make_mut(&mut e.segments[1]).length = 0, "0 steps");
        wrong(0, &|e| e.answer = Answer::Comparison { choice: Choice::Left, strength: Some(4) }, "1 to 3");
        wrong(2, &|e| e.answer = Answer::Comparison { choice: Choice::Equal, strength: Some(1) }, "tie");
        wrong(3, &|e| e.answer = Answer::BestWorst { best: 1, worst: 1 }, "best 1 and worst 1");
        wrong(4, &|e| e.answer = Answer::Rating { value: 5, of: 4 }, "5 of 4");
        wrong(6, &|e| e.answer = Answer::Mark { first: 40, length: 11, mark: "bad".into() }, "from 40");
        wrong(8, &|e| e.answer = Answer::Text { text: String::new() }, "no text");
    }

    #[test]
    fn worlds_and_seeds_have_their_own_reset() {
        let all: std::collections::HashSet<u64> =
            (0..50).flat_map(|s| (0..50).map(move |w| reset_seed(s, w))).collect();
        assert_eq!(all.len(), 2500);
    }
}
