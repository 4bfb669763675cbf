//! Accounting: a step's terms go into the sums of its episode and of the run, and it is decided whether the episode ends.

use super::{Stepped, Worlds, truth};
use crate::columns::layout::Entry;
use crate::columns::ledger::Sum;
use crate::plan::whole::Plan;
use crate::task::schema::Reduce;
use pavlov_physics::Real;

/// How a step came out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome<N> {
    /// Reward; 0 where the state or the reward is not finite.
    pub reward: N,
    /// What it adds to the reward of the step before.
    pub late: N,
    /// 0 the episode goes on, 1 terminated, 2 cut by the time limit.
    pub ended: N,
}

/// One more step of the episode.
pub(crate) fn count<W: Worlds>(plan: &Plan, w: &mut W) {
    let step = plan.layout.step.one();
    w.set(step, w.get(step) + W::N::ONE);
}

/// Adds the step to the sums.
pub(crate) fn account<W: Stepped>(plan: &Plan, w: &mut W) -> Outcome<W::N> {
    let (task, l) = (plan.task(), &plan.layout);
    let (zero, one) = (W::N::ZERO, W::N::ONE);
    let alive = w.alive();
    let total = w.total();
    let (outputs, terms) = (plan.reward.program().outputs().len(), plan.reward.term_names().len());
    let mut bad = zero;
    for n in 0..plan.nodes() {
        // without a graph the total is no output of the program
        let node = if n < outputs { w.output(Entry::Reward, n) } else { total };
        let (good, wrong) = (node.is_finite() & alive, !node.is_finite() & alive);
        let value = node.masked(good);
        w.set(l.nodes.at(n), w.get(l.nodes.at(n)) + value);
        w.tally(Sum::Node(n), value);
        w.tally(Sum::Square(n), value * value);
        // what is made of a bad term is bad too: it counts once
        let counts = if n < terms { wrong } else { wrong & bad.lt(one) };
        bad += one.masked(counts);
        w.note_bad(n, node, wrong);
    }
    w.tally(Sum::BadTerms, bad);
    w.tally(Sum::Nonfinite, one.masked(!alive));
    let reward = total.masked(alive & total.is_finite());
    let step = w.get(l.step.one());
    let late = plan.reward.late().map_or(zero, |k| w.output(Entry::Reward, k));
    let late = late.masked(alive & late.is_finite());
    let arrived = reward + late.masked(step.gt(one));
    w.tally(Sum::Reward, arrived);
    w.set(l.reward.one(), w.get(l.reward.one()) + arrived);
    let (before, fitness) = (w.get(l.fitness.one()), w.output(Entry::Fitness, 0));
    let now = match task.file.fitness.reduce {
        Reduce::Last => fitness,
        Reduce::Max => W::N::select(step.gt(one), before.max(fitness), fitness),
        Reduce::MeanOverLimit | Reduce::Mean | Reduce::Sum => before + fitness,
    };
    w.set(l.fitness.one(), W::N::select(alive, now, before));
    let success = one.masked(truth(w.output(Entry::Success, 0)) & alive);
    w.set(l.success.one(), w.get(l.success.one()) + success);
    for m in 0..plan.metrics() {
        let value = w.output(Entry::Metrics, m).masked(alive);
        w.set(l.metrics.at(m), w.get(l.metrics.at(m)) + value);
        w.tally(Sum::Metric(m), value);
    }
    let most = W::N::splat(f64::from(task.episode_steps - 1));
    let limit = W::N::splat(f64::from(task.episode_steps)) - w.get(l.head_start.one()).min(most);
    let over = !alive | truth(w.output(Entry::Terminated, 0));
    let cut = W::N::splat(2.0).masked(step.ge(limit));
    Outcome { reward, late, ended: W::N::select(over, one, cut) }
}
