//! Acting: the action is clipped, kept, and mapped to `ctrl`, late if the task says so.

use super::Worlds;
use crate::plan::whole::Plan;
use pavlov_physics::Real;

/// `asked` gives the policy's action, `drive` takes the control signal, both by actuator. A NaN counts as the middle of the range, so
/// that it cannot enter the state.
pub(crate) fn act<W: Worlds>(
    plan: &Plan,
    w: &mut W,
    asked: impl Fn(usize) -> W::N,
    mut drive: impl FnMut(usize, W::N),
) {
    let (map, l) = (&plan.task().action, &plan.layout);
    let splat = |v: f32| W::N::splat(f64::from(v));
    let head = w.get(l.queue_head.one());
    for (i, c) in map.channels.iter().enumerate() {
        let action = asked(i);
        // not a number: neither finite nor on any side of zero
        let none = !(action.is_finite() | action.lt(W::N::ZERO) | action.gt(W::N::ZERO));
        let clipped = action.clamp(splat(c.low), splat(c.high));
        let clipped = W::N::select(none, splat(0.5 * (c.low + c.high)), clipped);
        w.set(l.prev_action.at(i), w.get(l.action.at(i)));
        w.set(l.action.at(i), clipped);
        let mut applied = clipped;
        for late in 0..map.delay {
            let here = head.same(W::N::splat(late as f64));
            let slot = l.queue.at(late * map.channels.len() + i);
            let waiting = w.get(slot);
            applied = W::N::select(here, waiting, applied);
            w.set(slot, W::N::select(here, clipped, waiting));
        }
        drive(i, splat(c.gain).mul_add(applied, splat(c.offset)));
    }
    if map.delay > 0 {
        let next = head + W::N::ONE;
        let inside = next.lt(W::N::splat(map.delay as f64));
        w.set(l.queue_head.one(), next.masked(inside));
    }
}
