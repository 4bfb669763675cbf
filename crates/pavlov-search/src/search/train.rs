//! Training candidates side by side in one batch, with successive halving and ten points of each learning curve.
//!
//! Halving: all train to a quarter of the budget, the fitter half goes on to half of it, the fitter half of these to
//! the end. Fitness is that of the deterministic policy in worlds that training does not use; under several seeds, the
//! mean.

use crate::error::SearchError;
use crate::lineage::{At, Outcome, Point, Status};
use pavlov_env::Task;
use pavlov_learn::Policy;
use pavlov_reward::Reward;
use pavlov_run::{Evaluation, Named, Overrides, RunConfig, VariantUpdate, Variants};
use rayon::ThreadPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Points of a learning curve.
const POINTS: u64 = 10;
/// Shares of the budget at which halving judges.
const RUNGS: [f64; 2] = [0.25, 0.5];
/// Fewer than this are not halved.
const FEW: usize = 4;

/// A candidate to be trained; none at `at` for the human reward.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which candidate.
    pub at: Option<At>,
    /// Its reward.
    pub reward: Arc<Reward>,
}

/// How to train.
#[derive(Debug, Clone)]
pub struct Training {
    /// Settings, the budget in steps included.
    pub overrides: Overrides,
    /// Seeds; each candidate is trained under each.
    pub seeds: Vec<u64>,
    /// Give up the less fit half twice on the way?
    pub halving: bool,
    /// What it is for: `search`, `again`, `final`.
    pub stage: &'static str,
    /// Clock time for all of it, in place of a number of steps. It does not repeat.
    pub limit: Option<Duration>,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// As in [`Training`].
    pub stage: &'static str,
    /// Candidates that are still trained.
    pub candidates: usize,
    /// Seeds of each.
    pub seeds: usize,
    /// Share of the environment steps (of the time, where that is the limit) that is done: 0 to 1.
    pub share: f64,
}

/// What training gave for one candidate.
#[derive(Debug, Clone, Default)]
pub struct Trained {
    /// An outcome for each seed.
    pub outcomes: Vec<Outcome>,
    /// Trained, halved or failed.
    pub status: Status,
    /// The policy of each seed.
    pub policies: Vec<Policy>,
}

/// One candidate under one seed on its way.
#[derive(Debug, Default, Clone)]
struct Course {
    points: Vec<Point>,
    window: Vec<VariantUpdate>,
    error: Option<String>,
}

impl Course {
    fn push(&mut self, update: Result<VariantUpdate, pavlov_run::RunError>, total: u64) {
        match update {
            Ok(update) => {
                let steps = update.stats.env_steps;
                let due = (self.points.len() as u64 + 1) * total / POINTS;
                self.window.push(update);
                if steps >= due && (self.points.len() as u64) < POINTS {
                    self.close(steps);
                }
            }
            Err(e) => {
                let _ = self.error.get_or_insert(e.to_string());
            }
        }
    }

    /// Adds a point from the updates since the last one.
    fn close(&mut self, env_steps: u64) {
        let window = std::mem::take(&mut self.window);
        let mean = |f: fn(&VariantUpdate) -> Option<f64>| {
            let values: Vec<f64> = window.iter().filter_map(f).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let n = window.len().max(1) as f64;
        let mut terms: Vec<(String, [f64; 3])> = Vec::new();
        for update in &window {
            for (i, (name, t)) in update.terms.terms.0.iter().enumerate() {
                if terms.len() <= i {
                    terms.push((name.clone(), [0.0; 3]));
                }
                let statistics = [t.mean, t.std, t.share];
                terms[i].1.iter_mut().zip(statistics).for_each(|(sum, x)| *sum += x / n);
            }
        }
        self.points.push(Point {
            env_steps,
            fitness: mean(|u| u.fitness),
            success: mean(|u| u.success),
            length: mean(|u| u.length),
            episode_return: mean(|u| u.episode_return),
            terms: Named(terms),
        });
    }
}

/// Trains candidates; `on_update` hears of every update. With `stop` set it ends with [`SearchError::Stopped`], and
/// nothing is kept.
///
/// # Errors
/// When a learner cannot be made, or it was asked to stop.
pub fn train(
    task: &Arc<Task>,
    jobs: &[Job],
    training: &Training,
    pool: &Arc<ThreadPool>,
    stop: &AtomicBool,
    on_update: &mut dyn FnMut(&Progress),
) -> Result<Vec<Trained>, SearchError> {
    let Some(first) = jobs.first() else { return Ok(Vec::new()) };
    let began = Instant::now();
    let config = |seed: u64| {
        let overrides = Overrides { seed: Some(seed), minutes: None, ..training.overrides.clone() };
        RunConfig::resolve(task, &mut (*first.reward).clone(), &overrides)
    };
    let configs = training.seeds.iter().map(|&s| config(s)).collect::<Result<Vec<_>, _>>()?;
    let total = configs.first().map_or(0, |c| c.learner.total_steps);
    let rewards: Vec<Arc<Reward>> = jobs.iter().map(|j| j.reward.clone()).collect();
    let make = |c: &RunConfig| Variants::new(task, &rewards, c, pool.clone());
    let mut batches = configs.iter().map(make).collect::<Result<Vec<_>, _>>()?;
    let mut alive: Vec<usize> = (0..jobs.len()).collect();
    let mut courses = vec![vec![Course::default(); training.seeds.len()]; jobs.len()];
    let mut done: Vec<Option<Trained>> = vec![None; jobs.len()];
    let late = || training.limit.is_some_and(|l| began.elapsed() >= l);
    let rungs: &[f64] = if training.halving && jobs.len() >= FEW { &RUNGS } else { &[] };
    let (mut spent, all) = (0, expected_steps(jobs.len(), rungs) * (total * training.seeds.len() as u64) as f64);
    for (rung, share) in rungs.iter().copied().chain([1.0]).enumerate() {
        let until = (share * total as f64) as u64;
        for (s, batch) in batches.iter_mut().enumerate() {
            while batch.env_steps() < until && !late() {
                if stop.load(Ordering::Relaxed) {
                    return Err(SearchError::Stopped);
                }
                let before = batch.env_steps();
                for (slot, update) in batch.update().into_iter().enumerate() {
                    courses[alive[slot]][s].push(update, total);
                }
                spent += (batch.env_steps() - before) * alive.len() as u64;
                let clock = training.limit.map_or(0.0, |l| began.elapsed().as_secs_f64() / l.as_secs_f64());
                let share = (spent as f64 / all).max(clock).min(1.0);
                let (candidates, seeds) = (alive.len(), training.seeds.len());
                on_update(&Progress { stage: training.stage, candidates, seeds, share });
                if alive.iter().all(|&k| courses[k][s].error.is_some()) {
                    break;
                }
            }
        }
        let found = batches.iter().map(Variants::evaluate).collect::<Result<Vec<_>, _>>()?;
        let mean = |slot: usize| {
            let failed = courses[alive[slot]].iter().any(|c| c.error.is_some());
            let f = found.iter().map(|e| e[slot].fitness.mean).sum::<f64>() / found.len() as f64;
            if failed || !f.is_finite() { f64::NEG_INFINITY } else { f }
        };
        let mut order: Vec<usize> = (0..alive.len()).collect();
        order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)).then(a.cmp(&b)));
        let last = rung == rungs.len();
        let kept = if last { 0 } else { alive.len().div_ceil(2) };
        for &slot in &order[kept..] {
            let k = alive[slot];
            let mut outcomes = Vec::new();
            for (s, &seed) in training.seeds.iter().enumerate() {
                let steps = batches[s].env_steps();
                let course = &mut courses[k][s];
                if !course.window.is_empty() && (course.points.len() as u64) < POINTS {
                    course.close(steps);
                }
                outcomes.push(outcome(&jobs[k], training.stage, seed, steps, &found[s][slot], course));
            }
            let failed = outcomes.iter().any(|o| o.error.is_some());
            let status = match (failed, last) {
                (true, _) => Status::Failed,
                (_, true) => Status::Trained,
                _ => Status::Halved,
            };
            let policies = batches.iter().map(|b| b.policy(slot)).collect();
            done[k] = Some(Trained { outcomes, status, policies });
        }
        let mut keep = order[..kept].to_vec();
        keep.sort_unstable();
        batches.iter_mut().for_each(|b| b.keep(&keep));
        alive = keep.iter().map(|&slot| alive[slot]).collect();
    }
    Ok(done.into_iter().flatten().collect())
}

/// Steps of so many candidates, in budgets of one.
fn expected_steps(candidates: usize, rungs: &[f64]) -> f64 {
    let (mut alive, mut from, mut all) = (candidates, 0.0, 0.0);
    for until in rungs.iter().copied().chain([1.0]) {
        all += alive as f64 * (until - from);
        (alive, from) = (alive.div_ceil(2), until);
    }
    all
}

fn outcome(job: &Job, stage: &str, seed: u64, env_steps: u64, e: &Evaluation, course: &Course) -> Outcome {
    let number = |x: f64| if x.is_finite() { x } else { 0.0 };
    let error = course.error.clone().or_else(|| {
        let fine = e.fitness.mean.is_finite();
        (!fine).then(|| "the fitness of its policy is not finite".to_string())
    });
    Outcome {
        at: job.at,
        stage: stage.into(),
        seed,
        env_steps,
        fitness: number(e.fitness.mean),
        shown: number(e.list.first().map_or(e.fitness.mean, |l| l.fitness)),
        success: number(e.success.mean),
        episode_return: number(e.episode_return.mean),
        length: number(e.length.mean),
        curve: course.points.clone(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_run::{TermStats, TermsLine};

    #[test]
    fn halving_costs_half_of_training_all() {
        assert_eq!(expected_steps(8, &RUNGS), 8.0 * 0.25 + 4.0 * 0.25 + 2.0 * 0.5);
        assert_eq!(expected_steps(3, &[]), 3.0);
    }

    #[test]
    fn a_curve_has_ten_points_each_the_mean_of_its_updates() {
        let mut course = Course::default();
        for k in 1..=40u64 {
            let x = k as f64;
            let stats = pavlov_learn::UpdateStats { env_steps: 25 * k, ..Default::default() };
            let term = |share| TermStats { mean: x, std: 2.0 * x, share };
            let terms = Named(vec![("a".to_string(), term(0.25)), ("b".to_string(), term(0.75))]);
            let update = VariantUpdate {
                stats,
                // No episode ends in the odd ones.
                fitness: (k % 2 == 0).then_some(x),
                length: (k > 4).then_some(7.0),
                terms: TermsLine { terms, ..Default::default() },
                ..Default::default()
            };
            course.push(Ok(update), 1000);
        }
        let steps: Vec<u64> = course.points.iter().map(|p| p.env_steps).collect();
        assert_eq!(steps, (1..=10).map(|n| 100 * n).collect::<Vec<_>>());
        // Updates 1 to 4, and 5 to 8.
        let [first, second] = [&course.points[0], &course.points[1]];
        assert_eq!((first.fitness, first.length, first.success), (Some(3.0), None, None));
        assert_eq!((second.fitness, second.length, second.episode_return), (Some(7.0), Some(7.0), None));
        assert_eq!(first.terms.0, [("a".into(), [2.5, 5.0, 0.25]), ("b".into(), [2.5, 5.0, 0.75])]);
        assert_eq!(second.terms.0[1], ("b".into(), [6.5, 13.0, 0.75]));
        // An error is kept, the first one.
        for text in ["one", "two"] {
            course.push(Err(pavlov_run::RunError::Usage(text.into())), 1000);
        }
        assert!(course.error.is_some_and(|e| e.contains("one")) && course.points.len() == 10);
    }
}
