//! Beginning: an episode's state, command, first push and parameters are drawn; its sums and what scripts remember start anew.

use super::{Moment, Worlds, command, push};
use crate::columns::layout::Entry;
use crate::plan::command::NEVER;
use crate::plan::randomization::At;
use crate::plan::whole::Plan;
use crate::rng::{Draw, Purpose};
use pavlov_physics::{Params, Real};

/// Begins the episode whose number is kept. `qpos` and `qvel` take its initial state.
pub(crate) fn begin<W: Worlds>(plan: &Plan, w: &mut W, qpos: &mut [W::N], qvel: &mut [W::N]) {
    let (task, l) = (plan.task(), &plan.layout);
    let sums = [l.step, l.queue_head, l.reward, l.fitness, l.success, l.nodes, l.metrics, l.push];
    sums.into_iter().flat_map(|span| span.columns()).for_each(|column| w.set(column, W::N::ZERO));
    let actions = task.act_dim();
    for i in 0..actions {
        let rest = W::N::splat(f64::from(task.action.rest(i)));
        w.set(l.action.at(i), rest);
        w.set(l.prev_action.at(i), rest);
        (0..task.action.delay).for_each(|late| w.set(l.queue.at(late * actions + i), rest));
    }
    for entry in Entry::ALL {
        let init = plan.program(entry).map_or(&[][..], |p| p.memory_init());
        let columns = l.memory_of(entry).columns();
        columns.zip(init).for_each(|(column, &x)| w.set(column, W::N::splat(f64::from(x))));
    }
    command::command(plan, w);
    let next = match push::planned(plan) {
        Some(push) => push.next(|purpose| w.stream(purpose, Moment::Start), W::N::ZERO),
        None => W::N::splat(NEVER),
    };
    w.set(l.next_push.one(), next);
    task.reset.draw(|purpose| w.stream(purpose, Moment::Start), qpos, qvel);
}

/// Lets the first episode of a world count as if it were some steps old, where the options ask for it.
pub(crate) fn stagger<W: Worlds>(plan: &Plan, w: &mut W) {
    let mut head_start = W::N::ZERO;
    if plan.shared.options.stagger {
        let unit = w.stream(Purpose::Stagger, Moment::Once).unit();
        head_start = (unit * W::N::splat(f64::from(plan.task().episode_steps))).floor();
    }
    w.set(plan.layout.head_start.one(), head_start);
}

/// Draws the physical parameters of the world's episode. What follows from them is recomputed by
/// [`crate::plan::randomization::RandomPlan::finish`].
pub(crate) fn randomize<W: Worlds, A: At<W::N>>(plan: &Plan, w: &W, at: A, params: &mut Params<A::Column>) {
    let open = |every, entry| w.stream(Purpose::Randomize, Moment::Parameter { every, entry });
    plan.task().random.apply(open, at, &plan.shared.nominal, params);
}

/// After a reset the state before the step is the state after the reset.
pub(crate) fn remember<W: Worlds>(plan: &Plan, w: &mut W, present: impl Fn(usize) -> W::N) {
    for (column, &place) in plan.layout.previous.columns().zip(&plan.previous) {
        w.set(column, present(place));
    }
}
