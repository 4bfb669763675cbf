//! Finishing: what is known of an episode that ended, and its entry in the log.

use super::Stepped;
use crate::columns::ledger::{Episode, EpisodeLog};
use crate::plan::whole::Plan;
use crate::task::schema::Reduce;
use pavlov_physics::Real;

/// Numbers of an episode before its nodes and metrics: reward, fitness, steps of success, length, head start, non-finite.
const SINGLE: usize = 6;

/// Numbers of an episode in all.
pub(crate) fn numbers(plan: &Plan) -> usize {
    SINGLE + plan.nodes() + plan.metrics()
}

/// Hands over the numbers of the episode.
pub(crate) fn finish<W: Stepped>(plan: &Plan, w: &W, mut put: impl FnMut(usize, W::N)) {
    let l = &plan.layout;
    let single = [l.reward, l.fitness, l.success, l.step, l.head_start].map(|span| w.get(span.one()));
    let nonfinite = W::N::ONE.masked(!w.alive());
    let sums = l.nodes.columns().chain(l.metrics.columns()).map(|c| w.get(c));
    single.into_iter().chain([nonfinite]).chain(sums).enumerate().for_each(|(i, x)| put(i, x));
}

/// Puts a finished episode into the log, from its numbers. A first episode that a staggered start cut short is left out: it says
/// nothing about the task's own time limit.
pub(crate) fn log(
    plan: &Plan,
    log: &mut EpisodeLog,
    (world, index, terminated): (usize, u32, bool),
    number: impl Fn(usize) -> f64,
) {
    let file = &plan.task().file;
    let [reward, fitness, success, length, head_start, nonfinite] = std::array::from_fn(&number);
    if !terminated && head_start > 0.0 {
        return;
    }
    let limit = f64::from(plan.task().episode_steps);
    let lived = length.max(1.0);
    log.episodes.push(Episode {
        world,
        index,
        length: length as u32,
        reward,
        fitness: match file.fitness.reduce {
            Reduce::MeanOverLimit => fitness / limit,
            Reduce::Mean => fitness / lived,
            Reduce::Sum | Reduce::Last | Reduce::Max => fitness,
        },
        success: success >= *file.success.hold.get_ref() * limit,
        terminated,
        nonfinite: nonfinite > 0.5,
    });
    let metrics = SINGLE + plan.nodes();
    log.term_sums.extend((SINGLE..metrics).map(&number));
    log.metrics.extend((metrics..numbers(plan)).map(|i| number(i) / lived));
}
