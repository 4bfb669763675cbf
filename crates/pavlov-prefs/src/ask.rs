//! Asking a rater: candidates, choice by what is learnt so far, answers.

use crate::dataset::{Dataset, Loss, Pair};
use crate::error::PrefsError;
use crate::label::{Answer, Entry, Label, Segment, Versions};
use crate::linear::Linear;
use crate::posterior::Posterior;
use crate::query::{PairOptions, PairQuery, PairSampler};
use crate::rater::Rater;
use crate::rng::Rng;
use crate::segments::Pool;
use crate::select::{Seen, Strategy, select};
use pavlov_reward::Reward;
use pavlov_run::RunFolder;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Candidates for each pair that is asked, and at least so many in all.
const CANDIDATES: usize = 20;
const AT_LEAST: usize = 4000;
/// Draws from the posterior that stand for members of an ensemble.
const DRAWS: usize = 64;

/// What is known before the first question.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Pairs that are answered.
    pub data: Dataset,
    /// Sums of the reward's terms over the segments of `data`.
    pub sums: Vec<Vec<f64>>,
}

impl Known {
    /// Of those labels whose segments are still there: `runs` is the folder of the runs, `reward` has the terms.
    ///
    /// # Errors
    /// When segments that are there cannot be scored.
    pub fn of(runs: &Path, reward: &Reward, labels: &[Label], task: &str) -> Result<Self, PrefsError> {
        let mut is_there: HashMap<&str, Option<Pool>> = HashMap::new();
        let mut there = Vec::new();
        for label in labels {
            let found = label.entry.segments.iter().all(|s| {
                let pool = is_there.entry(&s.run).or_insert_with(|| {
                    // A name from a file is a folder of these runs, or of none.
                    pavlov_common::names::file_name(&s.run).ok()?;
                    let folder = RunFolder::open(&runs.join(&s.run)).ok()?;
                    Pool::open([&folder]).ok()
                });
                pool.as_ref().is_some_and(|pool| pool.find(s).is_ok())
            });
            there.extend(found.then_some(label));
        }
        let data = Dataset::of(there, task, None);
        if data.pairs.is_empty() {
            return Ok(Self::default());
        }
        let pool = Pool::of_segments(runs, &data.segments)?;
        let sums = sums_of_terms(&pool, reward, &data.segments.iter().collect::<Vec<_>>())?;
        Ok(Self { data, sums })
    }
}

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
    keep: impl FnMut(&Entry) -> Result<(), PrefsError>,
) -> Result<Vec<Label>, PrefsError> {
    ask_knowing(Known::default(), pool, terms, rater, asking, versions, keep)
}

/// As [`ask`], where answers are there already: a strategy begins with what they taught, and asks none again.
///
/// # Errors
/// As [`ask`].
pub fn ask_knowing(
    known: Known,
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
        _ => Some(Choosing::new(known, pool, terms, &mut sampler, asking)?),
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
    /// Root of the mean square by which each term differs between the segments of a candidate.
    scale: Vec<f64>,
    data: Dataset,
    rng: Rng,
}

impl<'a> Choosing<'a> {
    fn new(
        known: Known,
        pool: &Pool,
        terms: &'a Reward,
        sampler: &mut PairSampler,
        asking: &Asking,
    ) -> Result<Self, PrefsError> {
        let candidates = sampler.candidates(pool, AT_LEAST.max(CANDIDATES * asking.count));
        let both: Vec<&Segment> = candidates.iter().flat_map(|c| [&c.left, &c.right]).collect();
        let mut segments: Vec<Segment> = both.iter().map(|&s| s.clone()).collect();
        let mut sums = sums_of_terms(pool, terms, &both)?;
        let apart = |t: usize| sums.chunks_exact(2).map(|ab| (ab[0][t] - ab[1][t]).powi(2)).sum::<f64>();
        let count = candidates.len() as f64;
        let scale = (0..terms.term_names().len()).map(|t| (apart(t) / count).sqrt()).collect();
        let segment = |i: usize| &known.data.segments[i];
        let answered: HashSet<[&Segment; 2]> =
            known.data.pairs.iter().map(|p| in_order(segment(p.left), segment(p.right))).collect();
        let asked = candidates.iter().map(|c| answered.contains(&in_order(&c.left, &c.right))).collect();
        // What is known comes after the candidates.
        let first = segments.len();
        let later = |p: &Pair| Pair { left: first + p.left, right: first + p.right, ..*p };
        let pairs = known.data.pairs.iter().map(later).collect();
        segments.extend_from_slice(&known.data.segments);
        sums.extend(known.sums);
        let data = Dataset { segments, pairs };
        let rng = Rng::new(asking.seed ^ 0xA5);
        Ok(Self { strategy: asking.strategy, terms, sums, scale, asked, data, rng, candidates })
    }

    /// Sums of terms of the two segments of a candidate.
    fn sums_of(&self, candidate: usize) -> [&[f64]; 2] {
        [&self.sums[2 * candidate], &self.sums[2 * candidate + 1]]
    }

    /// Learnt reward of candidates' segments by each draw from what the answers have taught; none without answers.
    fn rewards(&mut self, candidates: &[usize]) -> Result<Option<Vec<Vec<[f64; 2]>>>, PrefsError> {
        if self.data.pairs.is_empty() {
            return Ok(None);
        }
        let names = self.terms.term_names();
        if self.strategy == Strategy::Information {
            let posterior = Posterior::fit(names, &self.data, &self.sums, Loss::Plain, DRAWS)?;
            let leads = |&i: &usize| {
                let [a, b] = self.sums_of(i);
                posterior.draws().iter().map(|draw| [posterior.lead(draw, a, b), 0.0]).collect()
            };
            return Ok(Some(candidates.iter().map(leads).collect()));
        }
        let model = Linear::fit(names, &self.data, &self.sums, Loss::Plain)?;
        let draws = model.draws(DRAWS, &mut self.rng);
        let of_both = |&i: &usize| {
            let both = self.sums_of(i);
            draws.iter().map(|w| both.map(|sums| model.reward_drawn(w, sums))).collect()
        };
        Ok(Some(candidates.iter().map(of_both).collect()))
    }

    /// The next `n` pairs with their candidates' numbers.
    fn next(&mut self, n: usize) -> Result<Vec<(PairQuery, Option<usize>)>, PrefsError> {
        let open: Vec<usize> = (0..self.candidates.len()).filter(|&i| !self.asked[i]).collect();
        let rewards = self.rewards(&open)?;
        let place = |i: usize| {
            let [a, b] = self.sums_of(i);
            self.scale.iter().zip(a.iter().zip(b)).map(|(s, (a, b))| if *s > 0.0 { (a - b) / s } else { 0.0 }).collect()
        };
        // Without an answer nothing is known to differ or to be good: spread the first pairs out.
        let strategy = if rewards.is_some() { self.strategy } else { Strategy::KCentre };
        let rewards = rewards.unwrap_or_else(|| vec![vec![[0.0; 2]]; open.len()]);
        let seen = |(&i, rewards): (&usize, Vec<[f64; 2]>)| Seen { rewards, place: place(i) };
        let seen: Vec<Seen> = open.iter().zip(rewards).map(seen).collect();
        let wanted = select(strategy, &seen, n);
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

/// Two segments, whichever was shown left.
fn in_order<'a>(left: &'a Segment, right: &'a Segment) -> [&'a Segment; 2] {
    if left < right { [left, right] } else { [right, left] }
}

/// Sums of a reward's terms over segments, `[segment][term]`.
///
/// # Errors
/// When segments are not there or cannot be scored.
pub fn sums_of_terms(pool: &Pool, reward: &Reward, segments: &[&Segment]) -> Result<Vec<Vec<f64>>, PrefsError> {
    Ok(pool.score(reward, reward.scene(), segments, false)?.into_iter().map(|s| s.terms).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Choice;
    use crate::label::tests::segment;
    use pavlov_script::Scene;

    #[test]
    fn answers_are_of_the_candidate_that_was_asked() {
        let scene = Arc::new(Scene { nq: 1, nv: 1, dt: 0.1, ..Scene::default() });
        let script = "fn reward(s) { #{ a: s.qpos[0], b: s.qvel[0] } }";
        let terms = Reward::from_text("t", "t.rhai", script, pavlov_reward::Manifest::default(), &scene).unwrap();
        let pair = |i: u32| PairQuery { left: segment(2 * i), right: segment(2 * i + 1), repeat: false };
        // The left of each differs by 2 in `a` and by less and less in `b`; the third is not like the others.
        let sums: Vec<Vec<f64>> =
            [[2.0, 0.3], [0.0, 0.0], [2.0, 0.2], [0.0, 0.0], [-9.0, 0.1], [0.0, 5.0]].map(|s| s.to_vec()).into();
        let mut choosing = Choosing {
            strategy: Strategy::Disagreement,
            terms: &terms,
            candidates: (0..3).map(pair).collect(),
            asked: vec![false, true, false],
            sums,
            scale: vec![2.0, 0.0],
            data: Dataset { segments: (0..6).map(segment).collect(), pairs: Vec::new() },
            rng: Rng::new(1),
        };
        assert_eq!(choosing.sums_of(1), [&[2.0, 0.2][..], &[0.0, 0.0]]);
        assert_eq!(choosing.sums_of(2), [&[-9.0, 0.1][..], &[0.0, 5.0]]);
        choosing.answered(1, &Answer::Comparison { choice: Choice::Right, strength: Some(2) });
        choosing.answered(0, &Answer::Skip);
        assert_eq!(choosing.data.pairs, [Pair { left: 2, right: 3, target: 0.0, strength: 2 }]);
        // Only what is not asked is, and once.
        let both: Vec<Option<usize>> = choosing.next(5).unwrap().into_iter().map(|(_, number)| number).collect();
        assert!(both == [Some(0), Some(2)] || both == [Some(2), Some(0)], "{both:?}");
        assert!(choosing.next(1).unwrap().is_empty());
        assert_eq!(in_order(&segment(3), &segment(1)), in_order(&segment(1), &segment(3)));
    }
}
