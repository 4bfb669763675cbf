//! Asking a rater: candidates, choice by what is learnt so far, answers.

use crate::dataset::{Dataset, Loss};
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

/// Candidates for each pair that is asked.
const CANDIDATES: usize = 20;
/// Draws from the posterior that stand for members of an ensemble.
const DRAWS: usize = 32;

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

/// Asks `rater` about segments of `pool`; `terms` is the reward whose terms the learner sees. Every answer goes to `keep` at once.
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
    let mut rng = Rng::new(asking.seed ^ 0xA5);
    let mut labels: Vec<Label> = Vec::new();
    while labels.len() < asking.count {
        let n = asking.batch.clamp(1, asking.count - labels.len());
        let queries = match asking.strategy {
            Strategy::Uniform => (0..n).map(|_| sampler.next(pool, &labels, rater.name())).collect(),
            _ => chosen(pool, terms, &labels, &mut sampler, asking.strategy, n, &mut rng)?,
        };
        for PairQuery { left, right, .. } in queries {
            let answer = rater.compare(pool, &left, &right)?;
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

fn chosen(
    pool: &Pool,
    terms: &Reward,
    labels: &[Label],
    sampler: &mut PairSampler,
    strategy: Strategy,
    n: usize,
    rng: &mut Rng,
) -> Result<Vec<PairQuery>, PrefsError> {
    let candidates = sampler.candidates(pool, CANDIDATES * n);
    let both: Vec<&Segment> = candidates.iter().flat_map(|c| [&c.left, &c.right]).collect();
    let sums = sums_of_terms(pool, terms, &both)?;
    let data = Dataset::of(labels, pool.task(), None);
    let answered = labels.iter().any(|l| matches!(l.entry.answer, Answer::Comparison { .. }));
    let model = if answered {
        let phi = sums_of_terms(pool, terms, &data.segments.iter().collect::<Vec<_>>())?;
        Some(Linear::fit(terms.term_names(), &data, &phi, Loss::Plain)?)
    } else {
        None
    };
    let draws = model.as_ref().map_or_else(Vec::new, |m| m.draws(DRAWS, rng));
    let k = terms.term_names().len();
    let scale: Vec<f64> = (0..k)
        .map(|t| {
            let d: f64 = sums.chunks_exact(2).map(|p| (p[0][t] - p[1][t]).powi(2)).sum();
            (d / candidates.len().max(1) as f64).sqrt()
        })
        .collect();
    let seen: Vec<Seen> = sums
        .chunks_exact(2)
        .map(|p| Seen {
            rewards: match &model {
                Some(m) => draws.iter().map(|w| [m.reward_drawn(w, &p[0]), m.reward_drawn(w, &p[1])]).collect(),
                None => vec![[0.0; 2]],
            },
            place: (0..k).map(|t| if scale[t] > 0.0 { (p[0][t] - p[1][t]) / scale[t] } else { 0.0 }).collect(),
        })
        .collect();
    // Without an answer nothing is known to differ or to be good: spread the first batch out.
    let strategy = if model.is_some() { strategy } else { Strategy::KCentre };
    let wanted = select(strategy, &seen, n);
    let mut all: Vec<Option<PairQuery>> = candidates.into_iter().map(Some).collect();
    Ok(wanted.into_iter().filter_map(|i| all[i].take()).collect())
}

/// Sums of a reward's terms over segments, `[segment][term]`.
///
/// # Errors
/// When segments are not there or cannot be scored.
pub fn sums_of_terms(pool: &Pool, reward: &Reward, segments: &[&Segment]) -> Result<Vec<Vec<f64>>, PrefsError> {
    Ok(pool.score(reward, reward.scene(), segments, false)?.into_iter().map(|s| s.terms).collect())
}
