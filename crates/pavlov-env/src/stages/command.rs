//! Commanding: new command values when their time has come.

use super::{Moment, Worlds};
use crate::plan::command::{MAX_VALUES, NEVER};
use crate::plan::whole::Plan;
use pavlov_physics::Real;

/// Where new values are due in this step.
pub(crate) fn due<W: Worlds>(plan: &Plan, w: &W) -> <W::N as Real>::Mask {
    w.get(plan.layout.step.one()).ge(w.get(plan.layout.next_command.one()))
}

/// Draws new values, and when the next are due.
pub(crate) fn command<W: Worlds>(plan: &Plan, w: &mut W) {
    let (commands, l) = (&plan.task().command, &plan.layout);
    if commands.len() == 0 {
        w.set(l.next_command.one(), W::N::splat(NEVER));
        return;
    }
    // commands are few: a fixed buffer keeps the draw apart from the columns
    let mut values = [W::N::ZERO; MAX_VALUES];
    let values = &mut values[..commands.len()];
    let next = commands.draw(|purpose| w.stream(purpose, Moment::Now), w.get(l.step.one()), values);
    w.set(l.next_command.one(), next);
    l.command.columns().zip(values).for_each(|(column, value)| w.set(column, *value));
}
