//! EPIC distances on recorded states: a reward is evaluated at states, actions and next states put together freely.
//!
//! The coverage is of transitions as they were recorded. For the expectations A and S' are drawn independently of each
//! other and of S from all steps of the sample, with a seed that is fixed, and every S is put together with every
//! drawn (A, S').

use crate::sample::Picked;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_reward::compare::{EpicSamples, epic_canonical};
use pavlov_reward::{Columns, Reward};
use pavlov_run::Rollouts;
use pavlov_script::{Channel, ScriptError};

/// Transitions of the coverage, and pairs of A and S'.
const EPIC: usize = 256;
/// Draws have a stream of their own beside worlds.
const STREAM: u64 = 0x4550_4943;

/// Rewards as EPIC compares them; none where one is not finite in some state and action that were put together.
pub(crate) fn epic_forms(
    rewards: &[&Reward],
    rollouts: &Rollouts,
    picked: &[Picked],
    gamma: f64,
) -> Vec<Option<Vec<f64>>> {
    let stride = picked.len().div_ceil(EPIC).max(1);
    let rows: Vec<usize> = picked.iter().step_by(stride).map(|p| p.row).collect();
    let drawn = |what: u32| {
        let mut stream = WorldRng::new(0, STREAM).stream(Purpose::Action, what, 0);
        let mut index = || ((f64::from(stream.unit()) * picked.len() as f64) as usize).min(picked.len() - 1);
        (0..EPIC).map(|_| picked[index()].row).collect::<Vec<_>>()
    };
    let before: Vec<usize> = rows.iter().map(|r| r - 1).collect();
    let samples = EpicSamples {
        mean_state: before.clone(),
        mean_action: drawn(0),
        mean_next: drawn(1),
        state: before,
        action: rows.clone(),
        next: rows,
        weight: Vec::new(),
    };
    let form = |reward: &&Reward| {
        let evaluate =
            |s: &[usize], a: &[usize], n: &[usize], out: &mut [f64]| anywhere(reward, rollouts, s, a, n, out);
        epic_canonical(gamma, &samples, evaluate).ok()
    };
    rewards.iter().map(form).collect()
}

/// Where an input of a transition (s, a, s') comes from.
fn source(channel: Channel, prev: bool, [state, action, next]: [usize; 3]) -> usize {
    match channel {
        // What was done before s: it stands in the row of the step that s is the state before.
        Channel::PrevAction(_) if !prev => state + 1,
        _ if prev => state,
        Channel::Action(_) | Channel::ActuatorCtrl(_) => action,
        _ => next,
    }
}

/// The reward of transitions put together from three rows: the state before from one, the action from another, the
/// state after from a third.
fn anywhere(
    reward: &Reward,
    rollouts: &Rollouts,
    state: &[usize],
    action: &[usize],
    next: &[usize],
    out: &mut [f64],
) -> Result<(), ScriptError> {
    let program = reward.program();
    let width = out.len().next_multiple_of(8).max(8);
    let mut inputs = vec![0.0; program.inputs().len() * width];
    for (into, input) in inputs.chunks_exact_mut(width).zip(program.inputs()) {
        let Some(column) = rollouts.column(input.channel) else { continue };
        for (i, x) in into.iter_mut().enumerate().take(out.len()) {
            *x = column[source(input.channel, input.prev, [state[i], action[i], next[i]])];
        }
    }
    let mut memory = vec![0.0; program.memory_init().len() * width];
    (0..width).for_each(|w| program.reset_memory(w, width, &mut memory));
    let terms = program.outputs().len();
    let mut values = vec![0.0; terms * width];
    program.run(out.len(), width, &inputs, reward.values(), &mut memory, &mut program.scratch(), &mut values)?;
    for (i, out) in out.iter_mut().enumerate() {
        *out = f64::from(reward.total((0..terms).map(|t| values[t * width + i])));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditSet;
    use crate::sample::pick;
    use pavlov_env::{Assets, Task};
    use pavlov_run::score_all;

    #[test]
    fn a_transition_as_it_was_is_paid_what_it_was_paid() {
        let assets = Assets::find(None);
        let pool = pavlov_run::thread_pool(2).unwrap();
        // The human reward of the ant has the action before in it, that of the cart-pole has not.
        for name in ["ant_run", "cartpole_swingup"] {
            let task = Task::load(&assets, name).unwrap().with_episode_steps(40);
            let audit = AuditSet::load(&assets, &task).unwrap().play(&task, &pool).unwrap();
            let reward = pavlov_run::load_reward(&assets, &task, None).unwrap();
            let scored = score_all(&reward, task.scene(), &audit.rollouts, false, &pool).unwrap();
            let paid: Vec<f32> = scored.iter().flat_map(|s| s.step_totals.iter().copied()).collect();
            let picked = pick(&audit.rollouts, usize::MAX);
            let rows: Vec<usize> = picked.iter().map(|p| p.row).collect();
            let before: Vec<usize> = rows.iter().map(|r| r - 1).collect();
            let mut out = vec![0.0; rows.len()];
            anywhere(&reward, &audit.rollouts, &before, &rows, &rows, &mut out).unwrap();
            for (i, (found, paid)) in out.iter().zip(&paid).enumerate() {
                assert!((found - f64::from(*paid)).abs() < 1e-5, "{name}, step {i}: {found} {paid}");
            }
        }
    }
}
