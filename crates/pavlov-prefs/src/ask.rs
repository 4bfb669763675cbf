//! Asking a rater: candidates, choice by what is learnt so far, answers.

use crate::dataset::{Dataset, Loss, Pair};
use crate::error::PrefsError;
use crate::label::{Answer, Entry, Label, Segment, Versions};
use crate::linear::Linear;
use crate::query::{PairOptions, PairQuery, PairSampler};
use crate::rater::Rater;
use crate::rng::Rng;
use crate::segments::Pool;
use crate::select::{Seen, Strategy, select};
use pavlov_reward::Reward;
use std::sync::Arc;

/// Candidates for each pair that is asked, and at least so many in all.
const CANDIDATES: usize = 20;
const AT_LEAST: usize = 4000;
/// Draws from the posterior that stand for members of an ensemble.
const DRAWS: usize = 64;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Labels.
    pub count: usize,
    /// Labels between two looks at what was learnt.
    pub batch: usize,
    /// Choice.
    pub strategy: Strategy,
    /// Pairs.
    pub pairs: PairOptions,
    /// Seed.
    pub seed: u64,
}

/// Asks `rater` about segments of `pool`; `terms` is the reward whose terms the learner sees. Every answer goes to
/// `keep` at once.
///
/// # Errors
/// When segments cannot be drawn or scored, or the rater or `keep` fails.
pub fn ask(
    pool: &Pool,
    terms: &Reward,
    rater: &mut dyn Rater,
    asking: &Asking,
    versions: &Arc<Versions>,
    mut keep: impl FnMut(&Entry) -> Result<(), PrefsError>,
) -> Result<Vec<Label>, PrefsError> {
    let mut sampler = PairSampler::new(pool, asking.pairs, asking.seed)?;
    let mut labels: Vec<Label> = Vec::new();
    let mut choice = match asking.strategy {
        Strategy::Uniform => None,
        _ => Some(Choosing::new(pool, terms, &mut sampler, asking)?),
    };
    while labels.len() < asking.count {
        let n = asking.batch.clamp(1, asking.count - labels.len());
        let queries = match &mut choice {
            Some(choice) => choice.next(n)?,
            None => (0..n).map(|_| (sampler.next(pool, &labels, rater.name()), None)).collect(),
        };
        if queries.is_empty() {
            return Err(PrefsError::Usage(format!(
                "all {} different pairs of these runs are asked: add runs, shorten segments, or allow any reset",
                labels.len()
            )));
        }
        for (PairQuery { left, right, .. }, candidate) in queries {
            let answer = rater.compare(pool, &left, &right)?;
            if let (Some(choice), Some(i)) = (&mut choice, candidate) {
                choice.answered(i, &answer);
            }
            let entry = Entry {
                task: pool.task().into(),
                rater: rater.name().into(),
                segments: vec![Arc::new(left), Arc::new(right)],
                answer,
                took_ms: 0,
                versions: versions.clone(),
            };
            keep(&entry)?;
            labels.push(Label { id: labels.len() as u64 + 1, at_ms: 0, entry });
        }
    }
    Ok(labels)
}

/// Candidates, scored once, and what their answers have taught so far.
struct Choosing<'a> {
    strategy: Strategy,
    terms: &'a Reward,
    candidates: Vec<PairQuery>,
    asked: Vec<bool>,
    /// Sums of terms: the left segment of candidate `i` is number `2 i`, its right one the next.
    sums: Vec<Vec<f64>>,
    data: Dataset,
    rng: Rng,
}

impl<'a> Choosing<'a> {
    fn new(pool: &Pool, terms: &'a Reward, sampler: &mut PairSampler, asking: &Asking) -> Result<Self, PrefsError> {
        let candidates = sampler.candidates(pool, AT_LEAST.max(CANDIDATES * asking.count));
        let both: Vec<&Segment> = candidates.iter().flat_map(|c| [&c.left, &c.right]).collect();
        let segments = both.iter().map(|&s| s.clone()).collect();
        Ok(Self {
            strategy: asking.strategy,
            terms,
            sums: sums_of_terms(pool, terms, &both)?,
            asked: vec![false; candidates.len()],
            data: Dataset { segments, pairs: Vec::new() },
            rng: Rng::new(asking.seed ^ 0xA5),
            candidates,
        })
    }

    /// The next `n` pairs with their candidates' numbers.
    fn next(&mut self, n: usize) -> Result<Vec<(PairQuery, Option<usize>)>, PrefsError> {
        let open: Vec<usize> = (0..self.candidates.len()).filter(|&i| !self.asked[i]).collect();
        let model = match self.data.pairs.is_empty() {
            true => None,
            false => Some(Linear::fit(self.terms.term_names(), &self.data, &self.sums, Loss::Plain)?),
        };
        let draws = model.as_ref().map_or_else(Vec::new, |m| m.draws(DRAWS, &mut self.rng));
        let k = self.terms.term_names().len();
        let pairs = || self.sums.chunks_exact(2);
        let apart = |t: usize| pairs().map(|p| (p[0][t] - p[1][t]).powi(2)).sum::<f64>();
        let scale: Vec<f64> = (0..k).map(|t| (apart(t) / self.candidates.len() as f64).sqrt()).collect();
        let seen = |&i: &usize| {
            let (a, b) = (&self.sums[2 * i], &self.sums[2 * i + 1]);
            Seen {
                rewards: match &model {
                    Some(m) => draws.iter().map(|w| [m.reward_drawn(w, a), m.reward_drawn(w, b)]).collect(),
                    None => vec![[0.0; 2]],
                },
                place: (0..k).map(|t| if scale[t] > 0.0 { (a[t] - b[t]) / scale[t] } else { 0.0 }).collect(),
            }
        };
        // Without an answer nothing is known to differ or to be good: spread the first pairs out.
        let strategy = if model.is_some() { self.strategy } else { Strategy::KCentre };
        let wanted = select(strategy, &open.iter().map(seen).collect::<Vec<_>>(), n);
        let chosen: Vec<usize> = wanted.into_iter().map(|i| open[i]).collect();
        chosen.iter().for_each(|&i| self.asked[i] = true);
        Ok(chosen.into_iter().map(|i| (self.candidates[i].clone(), Some(i))).collect())
    }

    fn answered(&mut self, candidate: usize, answer: &Answer) {
        if let Answer::Comparison { choice, strength } = answer {
            let (left, right) = (2 * candidate, 2 * candidate + 1);
            self.data.pairs.push(Pair { left, right, target: choice.target(), strength: strength.unwrap_or(0) });
        }
    }
}

/// Sums of a reward's terms over segments, `[segment][term]`.
///
/// # Errors
/// When segments are not there or cannot be scored.
pub fn sums_of_terms(pool: &Pool, reward: &Reward, segments: &[&Segment]) -> Result<Vec<Vec<f64>>, PrefsError> {
    Ok(pool.score(reward, reward.scene(), segments, false)?.into_iter().map(|s| s.terms).collect())
}
