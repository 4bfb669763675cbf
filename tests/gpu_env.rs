//! Whole environments on the GPU give what the processor's give: observations, rewards, ends of episodes, sums, resets, parameters drawn per
//! world. Any Vulkan, Metal or DX12 adapter serves, a software one too; without one these tests say so and pass.

use pavlov_env::gpu::{GpuEnv, GpuRollout};
use pavlov_env::{Assets, Env, EnvOptions, Profile, StepOut, Task};
use pavlov_reward::Reward;
use pavlov_tests::gpu;
use std::sync::Arc;

const WORLDS: usize = 24;

fn load(name: &str) -> (Arc<Task>, Arc<Reward>) {
    let assets = Assets::find(Some(&pavlov_tests::root()));
    let task = Task::load(&assets, name).unwrap_or_else(|e| panic!("{e}"));
    let path = assets.reward(&task.name, task.default_reward()).unwrap_or_else(|e| panic!("{e}"));
    let reward = Reward::load(&path, "own", task.scene()).unwrap_or_else(|e| panic!("{e}"));
    (Arc::new(task), Arc::new(reward))
}

/// Actions of step `t`, `[world][act]`: the same for both.
fn action(world: usize, i: usize, t: usize) -> f32 {
    0.6 * ((world * 7 + i * 3) as f32 * 0.37 + t as f32 * 0.21).sin()
}

/// Runs both for `steps` control steps after a reset.
fn both(name: &str, options: &EnvOptions, steps: usize) -> Option<(GpuEnv, GpuRollout, Vec<Step>, Env)> {
    let gpu = gpu()?;
    let (task, reward) = load(name);
    let mut on_gpu =
        GpuEnv::new(gpu.clone(), task.clone(), reward.clone(), options, steps).unwrap_or_else(|e| panic!("{name}: {e}"));
    on_gpu.reset().expect("reset");
    let (n, nu, row) = (options.worlds, task.act_dim(), task.obs_dim());
    let mut columns = vec![0.0f32; steps * nu * n];
    for (at, x) in columns.iter_mut().enumerate() {
        let (t, i, world) = (at / (nu * n), at / n % nu, at % n);
        *x = action(world, i, t);
    }
    gpu.write(on_gpu.actions(), 0, &columns);
    let mut encoder = gpu.encoder();
    (0..steps).for_each(|t| on_gpu.encode_step(&mut encoder, t));
    gpu.submit(encoder).expect("submit");
    let rollout = on_gpu.finish_rollout().unwrap_or_else(|e| panic!("{name}: {e}"));

    let mut env = Env::new(task.clone(), reward, options).expect("env");
    let mut list = vec![Step { obs: vec![0.0; n * row], ..Step::default() }];
    let mut first = 0;
    for block in &mut env.blocks {
        let k = block.num_worlds();
        block.reset(&mut list[0].obs[first * row..(first + k) * row]);
        first += k;
    }
    for t in 0..steps {
        let mut step = Step {
            obs: vec![0.0; n * row],
            reward: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            final_obs: vec![0.0; n * row],
        };
        let mut first = 0;
        for block in &mut env.blocks {
            let k = block.num_worlds();
            let actions: Vec<f32> = (first..first + k).flat_map(|w| (0..nu).map(move |i| action(w, i, t))).collect();
            let rows = first * row..(first + k) * row;
            block.step(
                &actions,
                StepOut {
                    obs: &mut step.obs[rows.clone()],
                    reward: &mut step.reward[first..first + k],
                    terminated: &mut step.terminated[first..first + k],
                    truncated: &mut step.truncated[first..first + k],
                    final_obs: &mut step.final_obs[rows],
                },
            );
            first += k;
        }
        list.push(step);
    }
    Some((on_gpu, rollout, list, env))
}

#[derive(Default)]
struct Step {
    obs: Vec<f32>,
    reward: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
    final_obs: Vec<f32>,
}

/// Share of numbers further apart than `bar`, relative or to 1, and the worst.
fn apart(found: impl Iterator<Item = (f32, f32)>, bar: f64) -> (f64, f64) {
    let (mut n, mut above, mut worst) = (0usize, 0usize, 0.0f64);
    for (a, b) in found {
        let error = f64::from((a - b).abs()) / f64::from(b.abs()).max(1.0);
        n += 1;
        above += usize::from(error.is_nan() || error > bar);
        worst = worst.max(if error.is_nan() { f64::INFINITY } else { error });
    }
    (above as f64 / n.max(1) as f64, worst)
}

/// The first steps agree closely; contact makes what follows diverge, as it does between any two machines.
fn agree(name: &str, options: &EnvOptions, steps: usize, bar: f64, share: f64) {
    let Some((_, rollout, list, _)) = both(name, options, steps) else { return };
    let (n, row) = (options.worlds, list[0].obs.len() / options.worlds);
    for (t, step) in list.iter().enumerate() {
        let obs = (0..n).flat_map(|w| (0..row).map(move |i| (w, i)));
        let pairs = obs.map(|(w, i)| (rollout.obs[(t * row + i) * n + w], step.obs[w * row + i]));
        let (above, worst) = apart(pairs, bar);
        println!("{name} step {t}: observations {worst:.1e} ({:.2}% above {bar:.0e})", 100.0 * above);
        assert!(above <= share, "{name} step {t}: {above} of the observations are further apart than {bar}, worst {worst}");
        if t > 0 {
            let found = &rollout.reward[(t - 1) * n..t * n];
            let (above, worst) = apart(found.iter().copied().zip(step.reward.iter().copied()), bar);
            assert!(above <= share, "{name} step {t}: rewards {above}, worst {worst}");
            for w in 0..n {
                let expected = if step.terminated[w] { 1.0 } else { f32::from(u8::from(step.truncated[w])) * 2.0 };
                assert_eq!(rollout.ended[(t - 1) * n + w], expected, "{name} step {t} world {w}");
            }
        }
    }
}

fn options(profile: Profile) -> EnvOptions {
    EnvOptions { worlds: WORLDS, seed: 5, profile, ..EnvOptions::default() }
}

#[test]
fn ant_with_contact_forces_and_stale_sensing() {
    agree("gym/ant", &options(Profile::Accurate), 6, 2e-3, 0.0);
}

#[test]
fn half_cheetah_without_ends() {
    agree("half_cheetah_run", &options(Profile::Accurate), 8, 2e-3, 0.0);
}

#[test]
fn go1_with_commands_noise_and_parameters_of_its_own() {
    agree("go1_velocity", &options(Profile::Accurate), 6, 2e-3, 0.01);
}

#[test]
fn cartpole_through_many_episodes() {
    agree("cartpole_balance", &EnvOptions { stagger: true, ..options(Profile::Fast) }, 60, 1e-3, 0.0);
}
