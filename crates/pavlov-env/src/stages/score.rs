//! Scoring: the scripts of a step, in the order in which one reads what another found; and their inputs.

use super::machine::{Elementary, Scripted};
use super::{Worlds, truth};
use crate::columns::layout::Entry;
use crate::plan::whole::{Origin, Plan};
use pavlov_physics::Real;
use pavlov_reward::Reward;
use pavlov_script::Channel;

/// Scripts of a step. Those before the reward are the task's; the reward may read what they found.
pub(crate) const ORDER: [Entry; 5] = [Entry::Fitness, Entry::Success, Entry::Terminated, Entry::Metrics, Entry::Reward];

/// A channel that the environment keeps; none for those that physics or scripts know.
pub(crate) fn kept<W: Worlds>(plan: &Plan, w: &W, channel: Channel) -> Option<W::N> {
    match plan.origin(channel) {
        Origin::Kept(column) => Some(w.get(column)),
        Origin::Time => Some(plan.seconds(w.get(plan.layout.step.one()))),
        _ => None,
    }
}

/// Runs one script on the numbers of a device or of the reference. `sensed` gives what physics knows, by place in the plan's inputs;
/// `found` what earlier scripts of the step put out.
pub(crate) fn run<W: Worlds<N: Elementary>>(
    plan: &Plan,
    w: &mut W,
    entry: Entry,
    params: &[W::N],
    sensed: impl Fn(usize) -> W::N,
    found: impl Fn(Entry) -> Option<W::N>,
) -> Vec<W::N> {
    let Some(program) = plan.program(entry) else { return Vec::new() };
    let yes = |entry| found(entry).map_or(W::N::ZERO, |x| W::N::ONE.masked(truth(x)));
    let present = |channel| match plan.origin(channel) {
        Origin::Terminated => yes(Entry::Terminated),
        Origin::Success => yes(Entry::Success),
        _ => kept(plan, w, channel).unwrap_or_else(|| sensed(plan.place(channel))),
    };
    let input = |input: &pavlov_script::Input| match input.prev {
        true => w.get(plan.layout.previous.at(plan.previous_place(input.channel))),
        false => present(input.channel),
    };
    let inputs: Vec<W::N> = program.inputs().iter().map(input).collect();
    let memory = plan.layout.memory_of(entry);
    let mut kept: Vec<W::N> = memory.columns().map(|c| w.get(c)).collect();
    // programs that are not lowered have been refused before
    let outputs = program.replay(&mut Scripted::new(), &inputs, params, &mut kept).unwrap_or_default();
    memory.columns().zip(kept).for_each(|(column, x)| w.set(column, x));
    outputs
}

/// The reward, from the outputs of its program: the last node of its graph; without one the sum of its terms, within bounds, times
/// a factor, as [`pavlov_reward::Reward::total`] has it in `f32`.
pub(crate) fn total<N: Real>(reward: &Reward, output: impl Fn(usize) -> N) -> N {
    if reward.graph().is_some() {
        return output(reward.node_names().len() - 1);
    }
    let combine = &reward.manifest().combine;
    let mut sum = (0..reward.program().outputs().len()).fold(N::ZERO, |sum, k| sum + output(k));
    // not `max` and `min`, which would turn a NaN into a number
    if let Some(low) = combine.min {
        sum = N::select(sum.lt(N::splat(low)), N::splat(low), sum);
    }
    if let Some(high) = combine.max {
        sum = N::select(sum.gt(N::splat(high)), N::splat(high), sum);
    }
    sum * N::splat(combine.scale)
}
