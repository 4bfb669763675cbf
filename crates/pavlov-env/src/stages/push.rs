//! Pushing: a kick to the velocity of the free joint when its time has come.

use super::{Moment, Worlds};
use crate::plan::push::PushPlan;
use crate::plan::whole::Plan;
use pavlov_physics::Real;

/// The task's pushes, unless worlds are left undisturbed.
pub(crate) fn planned(plan: &Plan) -> Option<&PushPlan> {
    plan.task().push.as_ref().filter(|_| plan.shared.options.disturb)
}

/// Where a push is due in this step.
pub(crate) fn due<W: Worlds>(plan: &Plan, w: &W) -> <W::N as Real>::Mask {
    w.get(plan.layout.step.one()).ge(w.get(plan.layout.next_push.one()))
}

/// Draws the kick, keeps it, and draws when the next one is due. The change of the free joint's velocity, from dof [`PushPlan::dof`].
pub(crate) fn push<W: Worlds>(plan: &Plan, push: &PushPlan, w: &mut W) -> [W::N; 6] {
    let l = &plan.layout;
    let kick = push.kick(|purpose| w.stream(purpose, Moment::Now));
    w.set(l.push.at(0), kick[0]);
    w.set(l.push.at(1), kick[1]);
    let next = push.next(|purpose| w.stream(purpose, Moment::Now), w.get(l.step.one()));
    w.set(l.next_push.one(), next);
    kick
}
