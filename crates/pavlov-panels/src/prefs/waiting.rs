//! Questions that wait to be asked again: those that were passed over come after some others, and the one that was on
//! screen when an answer was taken back comes next.

use pavlov_prefs::Segment;
use std::collections::VecDeque;

/// A question that was passed over comes again after so many others.
const LATER: usize = 5;

/// A question that waits: its segments in the order shown, and whether the rater had seen the pair before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    pub segments: Vec<Segment>,
    pub repeat: bool,
    /// Number of the question before which it is not asked.
    due: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Questions asked so far.
    asked: usize,
}

impl Queue {
    /// Number of those that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The question was passed over: it comes again later.
    pub fn later(&mut self, segments: Vec<Segment>, repeat: bool) {
        self.waiting.push_back(Waiting { segments, repeat, due: self.asked + LATER });
    }

    /// The question comes next.
    pub fn next(&mut self, segments: Vec<Segment>, repeat: bool) {
        self.waiting.push_front(Waiting { segments, repeat, due: 0 });
    }

    /// Takes what is due, if anything is; counts a question.
    pub fn take(&mut self) -> Option<Waiting> {
        self.asked += 1;
        let due = |w: &Waiting| w.due < self.asked;
        let place = self.waiting.iter().position(due)?;
        self.waiting.remove(place)
    }

    /// Does it wait already, in one order or the other?
    pub fn holds(&self, segments: &[Segment]) -> bool {
        self.waiting.iter().any(|w| same(&w.segments, segments))
    }

    /// Those that no longer fit are dropped.
    pub fn retain(&mut self, fits: impl Fn(&[Segment]) -> bool) {
        self.waiting.retain(|w| fits(&w.segments));
    }
}

/// The same segments, in whichever order?
fn same(a: &[Segment], b: &[Segment]) -> bool {
    a.len() == b.len() && a.iter().all(|s| b.contains(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(k: u32) -> Vec<Segment> {
        let segment =
            |first| Segment { run: "r".into(), rollout: "0".into(), episode: 0, first, length: 2, reset_seed: 0 };
        vec![segment(2 * k), segment(2 * k + 1)]
    }

    #[test]
    fn what_was_passed_over_comes_again_after_some_others() {
        let mut queue = Queue::default();
        assert_eq!(queue.take(), None);
        queue.later(pair(1), false);
        let reversed: Vec<Segment> = pair(1).into_iter().rev().collect();
        assert!(queue.holds(&reversed) && !queue.holds(&pair(2)));
        let others = (0..20).take_while(|_| queue.take().is_none()).count();
        assert_eq!((others, queue.len()), (LATER, 0));
    }

    #[test]
    fn what_was_on_screen_comes_next() {
        let mut queue = Queue::default();
        queue.later(pair(1), false);
        queue.next(pair(2), true);
        let next = queue.take().unwrap();
        assert_eq!((next.segments, next.repeat, queue.len()), (pair(2), true, 1));
        queue.retain(|_| false);
        assert_eq!(queue.len(), 0);
    }
}
