//! What is being asked: segments with their states, and where a reward says that they differ. No drawing here.

use crate::runs::{peaks, standardised};
use pavlov_common::plain;
use pavlov_env::Task;
use pavlov_prefs::{PairSampler, Pool, PrefsError, Segment};
use pavlov_reward::Reward;

/// How many are shown, and what is asked about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Two: which is better.
    Pair,
    /// This many: the best and the worst of them.
    BestWorst(usize),
}

/// One question.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The segments in the order shown.
    pub segments: Vec<Segment>,
    /// A pair that this rater has seen before?
    pub repeat: bool,
    /// Seconds between frames.
    pub dt: f64,
    /// Frames of each.
    pub frames: usize,
    /// Coordinates of each `[frames, nq]`.
    pub qpos: Vec<Vec<f32>>,
    /// Largest standardised difference of any term at each step, and that term's name, where a reward could be scored.
    pub difference: Vec<(f32, String)>,
    /// Steps where it peaks.
    pub peaks: Vec<usize>,
}

/// Peaks are at least this many steps apart.
const APART: usize = 6;

impl Query {
    /// Reads the segments; `reward` says where they differ.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn new(
        pool: &Pool,
        task: &Task,
        segments: Vec<Segment>,
        repeat: bool,
        reward: Option<&Reward>,
    ) -> Result<Self, PrefsError> {
        let mut query = Self { repeat, ..Self::default() };
        for segment in &segments {
            let states = pool.states(segment, task.scene())?;
            query.dt = states.dt;
            query.frames = states.qpos.len();
            query.qpos.push(states.qpos.concat());
        }
        if let (Some(reward), [a, b]) = (reward, &segments[..]) {
            // A reward that reads channels that these runs lack says nothing about them: no marks then.
            if let Ok(scores) = pool.score(reward, task.scene(), &[a, b], true) {
                let steps = scores[0].step_totals.len();
                let mut most = vec![(0.0, String::new()); steps];
                for (k, name) in reward.term_names().iter().enumerate() {
                    let difference = standardised(&scores[0].step_terms[k], &scores[1].step_terms[k]);
                    for (step, d) in difference.into_iter().enumerate() {
                        if d > most[step].0 {
                            most[step] = (d, plain(name));
                        }
                    }
                }
                let values: Vec<f32> = most.iter().map(|m| m.0).collect();
                query.peaks = peaks(&values, APART);
                query.difference = most;
            }
        }
        query.segments = segments;
        Ok(query)
    }
}

/// Segments for a question: a pair, or one segment more after another that begins with the same reset.
pub(super) fn draw(
    sampler: &mut PairSampler,
    pool: &Pool,
    mode: Mode,
    labels: &[pavlov_prefs::Label],
    rater: &str,
) -> (Vec<Segment>, bool) {
    let Mode::BestWorst(wanted) = mode else {
        let pair = sampler.next(pool, labels, rater);
        return (vec![pair.left, pair.right], pair.repeat);
    };
    let first = sampler.uniform(pool);
    let mut segments = vec![first.left, first.right];
    // Few pairs share a reset; after so many draws there are no more of them.
    for _ in 0..2000 {
        if segments.len() >= wanted {
            break;
        }
        let more = sampler.uniform(pool);
        for segment in [more.left, more.right] {
            if segment.reset_seed == segments[0].reset_seed && !segments.contains(&segment) && segments.len() < wanted {
                segments.push(segment);
            }
        }
    }
    (segments, false)
}
