//! Reference values of log-sigmoid that are given as a quantile: what a base policy gets in a step.
//!
//! The base policy is uniform random actions, or the deterministic policy of a run. It plays in worlds of their own seed, so a
//! calibration is repeatable and does not disturb training.

use crate::error::RunError;
use crate::evaluate::{Buffers, fits, script_failure};
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_env::{BackendKind, Env, EnvOptions, Profile, StepOut, Task};
use pavlov_learn::Policy;
use pavlov_reward::{HostKind, Reward};
use std::sync::Arc;

/// Added to the run's seed.
const SEED_OFFSET: u64 = 2_000_000;
const WORLDS: usize = 64;
/// Steps of each world at most.
const STEPS: usize = 250;
/// Actions without bounds of their own are drawn from ±1.
const WIDE: f32 = 10.0;

/// Values of the host's numbers of `reward` with every quantile found; `values` are the others.
///
/// # Errors
/// When the environment cannot be made, the policy does not fit it, or a script fails.
pub fn calibrate(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    base: Option<&Policy>,
    seed: u64,
    profile: Profile,
    values: &mut [f64],
) -> Result<(), RunError> {
    let Some(graph) = reward.graph() else { return Ok(()) };
    let wanted: Vec<(usize, usize, f64)> = graph
        .host
        .iter()
        .enumerate()
        .filter_map(|(i, h)| match h.kind {
            HostKind::Reference { node, quantile } => Some((i, node, quantile)),
            _ => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    if let Some(policy) = base {
        fits(task, policy)?;
    }
    let mut base = base.cloned();
    let seed = seed.wrapping_add(SEED_OFFSET);
    let options =
        EnvOptions { worlds: WORLDS, seed, profile, stagger: false, disturb: true, backend: BackendKind::Batch };
    let mut env = Env::new(task.clone(), reward.clone(), &options)?;
    let mut samples: Vec<Vec<f32>> = vec![Vec::new(); wanted.len()];
    let (low, high) = task.action_range();
    for block in &mut env.blocks {
        let worlds = block.num_worlds();
        let first = block.first_world();
        let mut buffers = Buffers::new(worlds, task);
        block.reset(&mut buffers.obs);
        for step in 0..task.episode_steps().min(STEPS) {
            if let Some(policy) = &mut base {
                buffers.step(block, task, policy)?;
            } else {
                for (world, row) in buffers.actions.chunks_exact_mut(low.len()).enumerate() {
                    let mut stream =
                        WorldRng::new(seed, (first + world) as u64).stream(Purpose::Action, 0, step as u32);
                    for (a, (&l, &h)) in row.iter_mut().zip(low.iter().zip(&high)) {
                        *a = if h - l > WIDE { stream.uniform(-1.0, 1.0) } else { stream.uniform(l, h) };
                    }
                }
                let Buffers { obs, actions, reward, terminated, truncated, final_obs } = &mut buffers;
                block.step(actions, StepOut { obs, reward, terminated, truncated, final_obs });
                script_failure(block)?;
            }
            for (samples, (_, node, _)) in samples.iter_mut().zip(&wanted) {
                samples.extend((0..worlds).map(|w| block.reward_node(*node, w)).filter(|x| x.is_finite()));
            }
        }
    }
    for (samples, (i, _, quantile)) in samples.iter_mut().zip(wanted) {
        samples.sort_by(f32::total_cmp);
        let at = (quantile * (samples.len().saturating_sub(1)) as f64).round() as usize;
        let Some(&x) = samples.get(at) else {
            return Err(RunError::Failed(format!("{}: no finite value to take a quantile of", graph.host[i].name)));
        };
        values[i] = f64::from(x);
    }
    Ok(())
}
