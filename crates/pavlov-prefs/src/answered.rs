//! What a rater has answered before, so that asking again does not store an answer twice.
//!
//! Two labels say the same when the rater, the task, the segments shown and the answer are the same; a pair that was
//! shown in the other order, with the other answer, is the same too. Another answer to the same question is a second
//! opinion: it is kept, beside the first. Repeats within one sitting, by which a rater's agreement with themselves is
//! measured, are not looked at.

use crate::label::{Answer, Entry, Label, Segment};
use std::collections::HashMap;
use std::sync::Arc;

/// Rater, task and segments.
type Question = (Arc<str>, Arc<str>, Vec<Arc<Segment>>);

/// What was answered before to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    New,
    /// The same.
    Same,
    /// Something else, and not the same.
    Otherwise,
}

/// Answers by question.
#[derive(Debug, Default)]
pub struct Answered(HashMap<Question, Vec<Answer>>);

/// A question and an answer as of the pair in the other order.
fn swapped(entry: &Entry) -> Option<(Vec<Arc<Segment>>, Answer)> {
    match (&entry.answer, entry.segments.as_slice()) {
        (Answer::Comparison { choice, strength }, [left, right]) => {
            let answer = Answer::Comparison { choice: choice.swapped(), strength: *strength };
            Some((vec![right.clone(), left.clone()], answer))
        }
        (Answer::Skip, [left, right]) => Some((vec![right.clone(), left.clone()], Answer::Skip)),
        _ => None,
    }
}

impl Answered {
    /// Of labels that stand.
    pub fn of(labels: &[Label]) -> Self {
        let mut all = Self::default();
        for Label { entry, .. } in labels {
            let question = (entry.rater.clone(), entry.task.clone(), entry.segments.clone());
            all.0.entry(question).or_default().push(entry.answer.clone());
        }
        all
    }

    /// What was answered before to the question of an entry, compared with its answer.
    pub fn before(&self, entry: &Entry) -> Before {
        let asked = |segments: Vec<Arc<Segment>>| self.0.get(&(entry.rater.clone(), entry.task.clone(), segments));
        let as_shown = asked(entry.segments.clone()).map(|all| all.contains(&entry.answer));
        let other_way = swapped(entry).and_then(|(segments, answer)| Some(asked(segments)?.contains(&answer)));
        match (as_shown, other_way) {
            (None, None) => Before::New,
            (Some(true), _) | (_, Some(true)) => Before::Same,
            _ => Before::Otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Choice, Versions};

    fn entry(rater: &str, segments: [u32; 2], choice: Choice) -> Entry {
        let segment = |first: u32| {
            let run = "a".to_string();
            Arc::new(Segment { run, rollout: "0".into(), episode: 0, first, length: 5, reset_seed: 1 })
        };
        Entry {
            task: "t".into(),
            rater: rater.into(),
            segments: segments.map(segment).to_vec(),
            answer: Answer::Comparison { choice, strength: None },
            took_ms: 0,
            versions: Arc::new(Versions::default()),
        }
    }

    #[test]
    fn the_same_answer_is_known_in_either_order() {
        let known = Answered::of(&[Label { id: 1, at_ms: 5, entry: entry("me", [1, 2], Choice::Left) }]);
        let before = |rater, segments, choice| known.before(&entry(rater, segments, choice));
        assert_eq!(before("me", [1, 2], Choice::Left), Before::Same);
        assert_eq!(before("me", [2, 1], Choice::Right), Before::Same);
        assert_eq!(before("me", [1, 2], Choice::Right), Before::Otherwise);
        assert_eq!(before("me", [2, 1], Choice::Equal), Before::Otherwise);
        assert_eq!(before("you", [1, 2], Choice::Left), Before::New);
        assert_eq!(before("me", [1, 3], Choice::Left), Before::New);
    }
}
