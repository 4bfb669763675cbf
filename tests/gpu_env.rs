//! Whole environments on the GPU give what the processor's give: observations, rewards, ends of episodes, sums, resets,
//! parameters drawn per world. Any Vulkan, Metal or DX12 adapter serves, a software one too; without one these tests
//! say so and pass.

use pavlov_env::gpu::{GpuEnv, GpuRollout};
use pavlov_env::{Assets, Env, EnvOptions, Profile, StepOut, Task};
use pavlov_reward::Reward;
use pavlov_tests::gpu;
use std::sync::Arc;

const WORLDS: usize = 24;

fn load(name: &str) -> (Arc<Task>, Arc<Reward>) {
    let assets = Assets::find(Some(&pavlov_tests::root()));
    let task = Task::load(&assets, name).unwrap_or_else(|e| panic!("{e}"));
    // a task made here has the Go1's reward
    let of_task = if name.ends_with(".toml") { "go1_velocity" } else { &task.name };
    let path = assets.reward(of_task, task.default_reward()).unwrap_or_else(|e| panic!("{e}"));
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
    let mut on_gpu = GpuEnv::new(gpu.clone(), task.clone(), reward.clone(), options, steps)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    on_gpu.reset().expect("reset");
    let (n, nu, row) = (options.worlds, task.act_dim(), task.obs_dim());
    let mut columns = vec![0.0f32; steps * nu * n];
    for (at, x) in columns.iter_mut().enumerate() {
        let (t, i, world) = (at / (nu * n), at / n % nu, at % n);
        *x = action(world, i, t);
    }
    gpu.write(on_gpu.actions(), 0, &columns);
    let mut encoder = gpu.encoder();
    (0..steps).for_each(|t| on_gpu.encode_step(&mut encoder, t, None));
    gpu.submit(encoder).expect("submit");
    let rollout = on_gpu.finish_rollout(&[]).unwrap_or_else(|e| panic!("{name}: {e}")).0;

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
        assert!(
            above <= share,
            "{name} step {t}: {above} of the observations are further apart than {bar}, worst {worst}"
        );
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
    agree("gym/ant", &options(Profile::Accurate), 8, 2e-3, 0.01);
}

#[test]
fn half_cheetah_without_ends() {
    agree("half_cheetah_run", &options(Profile::Accurate), 8, 2e-3, 0.0);
}

#[test]
fn go1_with_commands_noise_and_parameters_of_its_own() {
    agree("go1_velocity", &options(Profile::Accurate), 6, 2e-3, 0.01);
}

/// Forces on the feet, tilted starts, inertias of their own: each is written in one place, for every device.
#[test]
fn what_no_shipped_task_uses() {
    let assets = Assets::find(Some(&pavlov_tests::root()));
    let shipped = assets.task("go1_velocity").unwrap_or_else(|e| panic!("{e}")).path;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    let text = std::fs::read_to_string(&shipped).unwrap().replace("yaw = [", "tilt = [0.2, 0.4]\nyaw = [");
    let more = "\n[[observation]]\nterm = \"foot_force\"\nscale = 1e-2\ncritic = true\n\
                [[randomize]]\nwhat = \"inertia\"\nscale = [0.5, 1.5]\n";
    std::fs::write(&path, text + more).unwrap();
    std::fs::copy(shipped.with_extension("rhai"), path.with_extension("rhai")).unwrap();
    agree(path.to_str().unwrap(), &options(Profile::Accurate), 4, 2e-3, 0.01);
}

#[test]
fn cartpole_through_many_episodes() {
    agree("cartpole_balance", &EnvOptions { stagger: true, ..options(Profile::Fast) }, 60, 1e-3, 0.0);
}

/// A run's checkpoint is enough to go on with the same numbers.
#[test]
fn a_saved_environment_goes_on_where_it_was() {
    let Some((mut first, _, _, _)) = both("go1_velocity", &options(Profile::Fast), 4) else { return };
    let saved = first.save().expect("save");
    let go_on = |env: &mut GpuEnv| {
        let mut encoder = env.gpu().encoder();
        (0..4).for_each(|t| env.encode_step(&mut encoder, t, None));
        env.gpu().submit(encoder).expect("submit");
        env.finish_rollout(&[]).expect("rollout").0
    };
    let expected = go_on(&mut first);
    first.restore(&saved).expect("restore");
    let found = go_on(&mut first);
    assert_eq!(
        expected.obs.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        found.obs.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    );
    assert_eq!(expected.reward, found.reward);
    assert!(first.restore(&saved[1..]).is_err());
}

/// Sums over steps and the numbers of finished episodes.
#[test]
fn the_log_and_the_sums_are_those_of_the_processor() {
    let Some((on_gpu, _, _, env)) = both("cartpole_swingup", &options(Profile::Fast), 40) else { return };
    let mut stats = pavlov_env::StepStats::default();
    env.blocks.iter().for_each(|b| stats.add(b.stats()));
    let found = &on_gpu.ledger.stats;
    assert_eq!(found.world_steps, stats.world_steps);
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{a} {b}");
    close(found.reward, stats.reward);
    found.terms.iter().zip(&stats.terms).for_each(|(a, b)| close(*a, *b));
    found.terms_squared.iter().zip(&stats.terms_squared).for_each(|(a, b)| close(*a, *b));
    found.metrics.iter().zip(&stats.metrics).for_each(|(a, b)| close(*a, *b));
}

/// What cannot run on a GPU is refused, with what to do.
#[test]
fn what_the_gpu_cannot_do_is_refused() {
    let Some(gpu) = gpu() else { return };
    let (task, reward) = load("cartpole_balance");
    let rapier = EnvOptions { backend: pavlov_env::BackendKind::Rapier, ..options(Profile::Fast) };
    let e = GpuEnv::new(gpu.clone(), task.clone(), reward, &rapier, 4).unwrap_err().to_string();
    assert!(e.contains("--backend rapier"), "{e}");
    let text = "fn reward(s, p) { let n = 0; while n < s.time { n += 1; } #{ run: n } }";
    let looping = Reward::from_text("loop", "loop.rhai", text, Default::default(), task.scene());
    let looping = Arc::new(looping.unwrap_or_else(|e| panic!("{e}")));
    let e = GpuEnv::new(gpu, task, looping, &options(Profile::Fast), 4).unwrap_err().to_string();
    assert!(e.contains("loop.rhai:1") && e.contains("--device cpu"), "{e}");
}

/// All kernels of the largest task. Set `PAVLOV_CACHE` and `MESA_SHADER_CACHE_DIR` to an empty folder for the cold
/// figure.
#[test]
#[ignore = "compiles the largest kernels, twice"]
fn compile_time_of_the_humanoid_environment_slow() {
    let Some(gpu) = gpu() else { return };
    let (task, reward) = load("gym/humanoid");
    let mut seconds = [0.0; 2];
    for s in &mut seconds {
        let begin = std::time::Instant::now();
        let options = EnvOptions { worlds: 8, ..options(Profile::Accurate) };
        let mut env =
            GpuEnv::new(gpu.clone(), task.clone(), reward.clone(), &options, 1).unwrap_or_else(|e| panic!("{e}"));
        // software drivers compile at the first launch
        env.reset().expect("reset");
        let mut encoder = gpu.encoder();
        env.encode_step(&mut encoder, 0, None);
        gpu.submit(encoder).expect("submit");
        env.finish_rollout(&[]).expect("rollout");
        *s = begin.elapsed().as_secs_f64();
    }
    println!("humanoid: {:.1} s, then {:.2} s", seconds[0], seconds[1]);
    assert!(seconds[0] < 60.0 && seconds[1] < 3.0, "{seconds:?}");
}
