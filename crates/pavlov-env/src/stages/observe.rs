//! Observing: a row of the observation. Column value = scale * clip(source + noise).

use super::{Moment, Worlds};
use crate::plan::observation::Source;
use crate::plan::whole::Plan;
use crate::rng::{Draw, Purpose};
use pavlov_physics::Real;

/// `seen` gives the columns that physics or the task's script know; `put` takes the row, column by column.
pub(crate) fn observe<W: Worlds>(
    plan: &Plan,
    w: &W,
    seen: impl Fn(usize, Source) -> W::N,
    mut put: impl FnMut(usize, W::N),
) {
    let l = &plan.layout;
    let mut stream = None;
    for (i, c) in plan.task().obs.columns.iter().enumerate() {
        let noisy = plan.shared.options.disturb && c.noise > 0.0;
        let noise = if noisy {
            stream.get_or_insert_with(|| w.stream(Purpose::Noise, Moment::Now)).uniform(-c.noise, c.noise)
        } else {
            W::N::ZERO
        };
        let mut value = noise
            + match c.source {
                Source::Action(k) => w.get(l.action.at(k)),
                Source::PrevAction(k) => w.get(l.prev_action.at(k)),
                Source::Command(k) => w.get(l.command.at(k)),
                Source::Push(k) => w.get(l.push.at(k)),
                source => seen(i, source),
            };
        if c.clip.is_finite() {
            let clip = W::N::splat(f64::from(c.clip));
            value = value.clamp(-clip, clip);
        }
        put(i, value * W::N::splat(f64::from(c.scale)));
    }
}
