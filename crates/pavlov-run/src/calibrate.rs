//! Reference values of log-sigmoid that are given as a quantile: what a base policy gets in a step.
//!
//! The base policy is uniform random actions, or the deterministic policy of a run. It plays in worlds of their own
//! seed, so a calibration is repeatable and does not disturb training.

use crate::checkpoint::{Which, find};
use crate::config::RunConfig;
use crate::error::RunError;
use crate::evaluate::{Buffers, fits, script_failure};
use crate::folder::RunFolder;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_env::{Env, EnvOptions, Profile, StepOut, Task};
use pavlov_learn::Policy;
use pavlov_reward::{Adaptive, HostKind, Reward};
use std::path::Path;
use std::sync::Arc;

/// Added to the run's seed.
const SEED_OFFSET: u64 = 2_000_000;
const WORLDS: usize = 64;
/// Steps of each world at most.
const STEPS: usize = 250;
/// Actions without bounds of their own are drawn from ±1.
const WIDE: f32 = 10.0;

/// The numbers of a reward that change between updates, as a run starts with them: quantiles found, by the policy of
/// `config.calibrate` where there is one. They are noted in `config.references`.
///
/// # Errors
/// As [`calibrate`]; when that run cannot be read, or the reward has no quantile to find.
pub(crate) fn start(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    config: &mut RunConfig,
) -> Result<Option<Adaptive>, RunError> {
    let is_reference = |k: HostKind| matches!(k, HostKind::Reference { .. });
    let any = reward.graph().is_some_and(|g| g.host.iter().any(|h| is_reference(h.kind)));
    let base = match &config.calibrate {
        None => None,
        Some(run) if !any => {
            let name = reward.name();
            return Err(RunError::Usage(format!("--calibrate {run}: the reward {name} has no `quantile` to be found")));
        }
        Some(run) => Some(find(&RunFolder::open(Path::new(run))?, Which::Best)?.0.ppo.policy()),
    };
    let Some(graph) = reward.graph() else { return Ok(None) };
    let mut adaptive = Adaptive::new(graph, config.learner.gamma);
    calibrate(task, reward, base.as_ref(), config.seed, config.profile()?, &mut adaptive.values)?;
    let found = graph.host.iter().zip(&adaptive.values).filter(|(h, _)| is_reference(h.kind));
    config.references = found.map(|(h, x)| (h.name.clone(), *x)).collect();
    Ok(Some(adaptive))
}

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
    let options = EnvOptions { worlds: WORLDS, seed, profile, ..EnvOptions::default() };
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
        let Some(x) = pavlov_common::stats::quantile(samples, quantile) else {
            return Err(RunError::Failed(format!("{}: no finite value to take a quantile of", graph.host[i].name)));
        };
        values[i] = f64::from(x);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Overrides;
    use crate::testing;
    use crate::train::{ResumeOptions, Trainer};
    use std::path::PathBuf;

    const LEARNER: &str = "worlds = 20\nhorizon = 32\ntotal_steps = 25600\nlearning_rate = 3e-3\n";

    #[test]
    fn a_run_calibrates_another_and_what_was_found_stays() {
        let (dir, assets) = testing::assets(LEARNER);
        let out = |name: &str| dir.path().join(name);
        let make = |name: &str, calibrate: Option<PathBuf>| {
            let asked = Overrides { threads: Some(2), calibrate, ..Overrides::default() };
            Trainer::create(&assets, "cartpole_balance", None, &asked, dir.path(), Some(&out(name)))
        };
        let mut base = make("base", None).unwrap();
        while base.limit().is_none() {
            base.update().unwrap();
        }
        base.checkpoint(true, true).unwrap();
        let error = make("none", Some(out("base"))).unwrap_err();
        assert!(
            error.is_bad_input() && error.to_string().contains("no `quantile`") && !out("none").exists(),
            "{error}"
        );

        let manifest = dir.path().join("rewards/cartpole_balance/default/reward.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let terms = "[terms.upright]\ntransform = [{ log_sigmoid = { quantile = 0.5 } }]\n";
        std::fs::write(&manifest, format!("{text}\n{terms}")).unwrap();
        let error = make("none", Some(out("gone"))).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("does not exist"), "{error}");
        let random = make("random", None).unwrap();
        let mut run = make("run", Some(out("base"))).unwrap();
        let name = "upright.log_sigmoid.reference";
        let (low, high) = (random.config().references[name], run.config().references[name]);
        // The pole is more upright in a step of a trained policy than of random actions.
        assert!(low < high && high <= 1.0, "{low} {high}");
        assert!(random.config().calibrate.is_none() && run.config().calibrate.as_deref().unwrap().ends_with("base"));
        run.update().unwrap();
        drop((run, base));

        // Without the other run: the same number for training and for what reads the run's folder.
        std::fs::remove_dir_all(out("base")).unwrap();
        let mut run = Trainer::resume(&out("run"), &ResumeOptions::default()).unwrap();
        run.update().unwrap();
        assert_eq!(run.arm.adaptive.as_ref().unwrap().values, [high]);
        let (_, reward) = crate::inputs::load(run.folder(), run.config()).unwrap();
        assert_eq!(reward.values(), run.reward().values());
    }
}
