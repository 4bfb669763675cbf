//! Which segments to show next: candidates of pairs, and pairs that come again to see whether a rater agrees with
//! themselves.
//!
//! The two of a pair are of one task and one length. They have the same reset seed, so that what differs between them
//! is behaviour and not luck, unless that is lifted: the episodes of one world in different files of a run, of an
//! untrained and a trained policy, begin alike.

use crate::error::PrefsError;
use crate::label::{Label, Segment};
use crate::rng::Rng;
use crate::segments::Pool;
use std::collections::HashMap;

/// Two segments to be compared, `left` to be shown left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairQuery {
    /// Shown left.
    pub left: Segment,
    /// Shown right.
    pub right: Segment,
    /// It was shown before, in one order or the other: the answer tells about the rater.
    pub repeat: bool,
}

/// How pairs are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairOptions {
    /// Control steps of a segment. B-Pref shows 50.
    pub length: u32,
    /// Also compare segments of episodes that began differently.
    pub any_reset: bool,
    /// Only siblings: pieces that branch from one state (`pavlov prefs branch`).
    pub siblings: bool,
    /// Share of queries that show an earlier pair of the same rater again, in the other order.
    pub repeats: f64,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self { length: 50, any_reset: false, siblings: false, repeats: 0.0 }
    }
}

/// Draws pairs from a pool. The same seed gives the same pairs.
#[derive(Debug)]
pub struct PairSampler {
    options: PairOptions,
    /// File, episode and number of possible first steps.
    episodes: Vec<(usize, u32, u32)>,
    /// Episodes that begin alike, two or more, and the number of pairs of segments up to each group.
    groups: Vec<Vec<usize>>,
    ends: Vec<f64>,
    rng: Rng,
}

impl PairSampler {
    /// For a pool.
    ///
    /// # Errors
    /// When there are no two segments of that length to compare; says why.
    pub fn new(pool: &Pool, options: PairOptions, seed: u64) -> Result<Self, PrefsError> {
        let PairOptions { length, any_reset, siblings, repeats } = options;
        if length == 0 || !(0.0..=1.0).contains(&repeats) {
            return Err(PrefsError::Usage(format!(
                "segments of {length} steps and {repeats} of queries repeated: expected at least 1 step and a share \
                 of 0 to 1"
            )));
        }
        let fits = |(file, episode, e): (usize, u32, &pavlov_run::RolloutEpisode)| {
            if siblings && pool.files()[file].file.info.siblings < 2 {
                return None;
            }
            let starts = (e.steps as u32 + 1).checked_sub(length).filter(|&n| n > 0)?;
            Some((file, episode, starts))
        };
        let episodes: Vec<(usize, u32, u32)> = pool.episodes().filter_map(fits).collect();
        let mut by_reset: HashMap<u64, Vec<usize>> = HashMap::new();
        for (i, &(file, episode, _)) in episodes.iter().enumerate() {
            let reset = if any_reset { 0 } else { pool.segment(file, episode, 0, length).reset_seed };
            by_reset.entry(reset).or_default().push(i);
        }
        let mut groups: Vec<Vec<usize>> = by_reset.into_values().filter(|g| g.len() > 1).collect();
        groups.sort();
        if groups.is_empty() {
            let longest = pool.episodes().map(|e| e.2.steps).max().unwrap_or(0);
            let hint = match (episodes.len(), any_reset) {
                (0, _) if siblings => {
                    "no branches that long; make some first (`pavlov prefs branch RUN --length STEPS`)".into()
                }
                (0, _) => format!("the longest episode has {longest} steps; give a shorter length"),
                (_, false) => {
                    "no two episodes have the same reset seed; add another run of the same seed, or allow any reset"
                        .into()
                }
                (_, true) => "there is one such episode only".into(),
            };
            return Err(PrefsError::Usage(format!("no pair of segments of {length} steps: {hint}")));
        }
        let mut sum = 0.0;
        let ends = groups
            .iter()
            .map(|g| {
                let starts: Vec<f64> = g.iter().map(|&i| f64::from(episodes[i].2)).collect();
                let all: f64 = starts.iter().sum();
                sum += all * all - starts.iter().map(|s| s * s).sum::<f64>();
                sum
            })
            .collect();
        Ok(Self { options, episodes, groups, ends, rng: Rng::new(seed) })
    }

    /// A pair, each possible one equally often. The two are of different episodes.
    pub fn uniform(&mut self, pool: &Pool) -> PairQuery {
        let drawn = self.rng.unit() * self.ends[self.ends.len() - 1];
        let group = &self.groups[self.ends.partition_point(|&e| e <= drawn).min(self.groups.len() - 1)];
        let total: u32 = group.iter().map(|&i| self.episodes[i].2).sum();
        loop {
            let [left, right] = [0; 2].map(|_| {
                let mut start = self.rng.below(total as usize) as u32;
                let mut episodes = group.iter().map(|&i| self.episodes[i]);
                loop {
                    match episodes.next() {
                        Some((file, episode, starts)) if start < starts => break (file, episode, start),
                        Some((_, _, starts)) => start -= starts,
                        None => unreachable!("a start beyond the last one"),
                    }
                }
            });
            if (left.0, left.1) != (right.0, right.1) {
                let [left, right] = [left, right].map(|(f, e, first)| pool.segment(f, e, first, self.options.length));
                return PairQuery { left, right, repeat: false };
            }
        }
    }

    /// Candidates for a selection, none twice as far as there are so many.
    pub fn candidates(&mut self, pool: &Pool, n: usize) -> Vec<PairQuery> {
        let mut seen = std::collections::HashSet::new();
        let mut all = Vec::with_capacity(n);
        for _ in 0..10 * n {
            let pair = self.uniform(pool);
            let key = if pair.left < pair.right { (&pair.left, &pair.right) } else { (&pair.right, &pair.left) };
            if seen.insert((key.0.clone(), key.1.clone())) {
                all.push(pair);
            }
            if all.len() == n {
                break;
            }
        }
        all
    }

    /// The next pair for a rater: uniform, or with the options' share one that they have compared, but not just now, in
    /// the other order.
    pub fn next(&mut self, pool: &Pool, labels: &[Label], rater: &str) -> PairQuery {
        if self.rng.unit() < self.options.repeats {
            let mine = |l: &&Label| *l.entry.rater == *rater && l.entry.pair().is_some();
            let known = |l: &&Label| l.entry.segments.iter().all(|s| pool.find(s).is_ok());
            let mut all: Vec<&Label> = labels.iter().filter(mine).filter(known).collect();
            // What was answered just now would be answered from memory.
            all.pop();
            if !all.is_empty() {
                let shown = &all[self.rng.below(all.len())].entry.segments;
                return PairQuery { left: (*shown[1]).clone(), right: (*shown[0]).clone(), repeat: true };
            }
        }
        self.uniform(pool)
    }
}
