//! How fast a GPU is: physics alone, whole environments, whole updates; where the time goes, and how many bytes move.
//!
//! Bytes are counted at least: every column of every world once for each kernel that reads or writes it (observation,
//! state, parameters, results, activations). What caches save or spills add is not known through wgpu, and neither are
//! registers.

use crate::bench::BenchKind;
use crate::config::RunConfig;
use crate::device::{Device, DeviceWorlds, env_options};
use crate::error::RunError;
use crate::train::thread_pool;
use pavlov_env::gpu::GpuEnv;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_env::{EnvOptions, RandomActions, Task};
use pavlov_learn::{DeviceEnv, Ppo};
use pavlov_physics::Backend;
use pavlov_physics::gpu::{Gpu, GpuBackend};
use pavlov_reward::Reward;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Control steps whose kernels are timed.
const TIMED: usize = 16;
/// Steps of a rollout of the environment alone.
const HORIZON: usize = 16;

/// What is measured on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceBenchKind {
    /// As [`BenchKind`].
    Steps(BenchKind),
    /// Whole updates: rollouts on the GPU, training on the processor.
    Learn,
}

/// A kernel's part of a control step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// Name.
    pub kernel: String,
    /// Seconds in a control step of all worlds.
    pub seconds: f64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceBench {
    /// Name of the adapter, and how it is spoken to.
    pub adapter: String,
    /// Worlds.
    pub worlds: usize,
    /// Physics steps of a control step.
    pub frame_skip: usize,
    /// Control steps of all worlds per second; with learning where that is measured.
    pub env_steps_per_s: f64,
    /// The same without the training.
    pub rollout_steps_per_s: f64,
    /// Physics steps of all worlds per second, in rollouts.
    pub physics_steps_per_s: f64,
    /// Seconds of training in an update; none where nothing is trained.
    pub train_s: Option<f64>,
    /// Kernels of a control step; empty where the adapter has no timestamps.
    pub kernels: Vec<KernelTime>,
    /// Bytes that a control step of all worlds reads and writes at least.
    pub bytes_per_step: u64,
    /// These bytes by the time of a control step, in bytes/s.
    pub bandwidth: f64,
    /// Seconds until the kernels were there.
    pub compile_s: f64,
    /// Seconds measured.
    pub seconds: f64,
    /// Worlds reset because of a number that is not finite.
    pub nonfinite: u64,
}

/// Measures for about `seconds` after a warm-up.
///
/// # Errors
/// When the adapter cannot be used, or the task cannot run on it.
pub fn bench_device(
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    config: &RunConfig,
    kind: DeviceBenchKind,
    seconds: f64,
) -> Result<DeviceBench, RunError> {
    let Device::Gpu(index) = config.device()? else {
        return Err(RunError::Usage("a measurement of the GPU: expected `--device gpu`".into()));
    };
    match kind {
        DeviceBenchKind::Steps(BenchKind::Physics) => physics(Gpu::open(index)?, task, config, seconds),
        DeviceBenchKind::Steps(BenchKind::Env) => env(Gpu::open(index)?, task, reward, config, seconds),
        DeviceBenchKind::Learn => learn(index, task, reward, config, seconds),
    }
}

fn name(gpu: &Gpu) -> String {
    let info = gpu.info();
    format!("{} ({}, {})", info.name, info.api, info.driver)
}

fn physics(gpu: Arc<Gpu>, task: &Arc<Task>, config: &RunConfig, seconds: f64) -> Result<DeviceBench, RunError> {
    let (physics, frame_skip) = task.physics(config.profile()?)?;
    let worlds = config.learner.worlds;
    let ranges: Vec<[f64; 2]> = physics.model().actuators.iter().map(|a| a.ctrlrange.unwrap_or([-1.0, 1.0])).collect();
    let begin = Instant::now();
    let mut backend = GpuBackend::new(gpu, physics, worlds)?;
    for world in 0..worlds {
        let mut stream = WorldRng::new(config.seed, world as u64).stream(Purpose::Action, 0, 0);
        let ctrl: Vec<f64> = ranges.iter().map(|r| f64::from(stream.uniform(r[0] as f32, r[1] as f32))).collect();
        backend.set_ctrl(world, &ctrl);
    }
    // Some time to fall and to touch the ground: contacts are what physics is slow at.
    let failed = |e: pavlov_physics::BackendError| RunError::Failed(e.to_string());
    for _ in 0..TIMED {
        backend.step(frame_skip).map_err(failed)?;
    }
    backend.gpu().wait()?;
    let compile_s = begin.elapsed().as_secs_f64();
    let start = Instant::now();
    let (mut launches, mut kernel_s) = (0u64, Some(0.0));
    while launches == 0 || start.elapsed().as_secs_f64() < seconds {
        let took = backend.timed_step(frame_skip)?;
        kernel_s = kernel_s.zip(took).map(|(sum, s)| sum + s);
        launches += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let step_s = seconds / launches as f64;
    let (bytes, rate) = (backend.bytes_per_launch(), worlds as f64 / step_s);
    let kernel_s = kernel_s.map(|s| s / launches as f64);
    Ok(DeviceBench {
        adapter: name(backend.gpu()),
        worlds,
        frame_skip,
        env_steps_per_s: rate,
        rollout_steps_per_s: rate,
        physics_steps_per_s: rate * frame_skip as f64,
        train_s: None,
        kernels: kernel_s.map(|seconds| KernelTime { kernel: "physics".into(), seconds }).into_iter().collect(),
        bytes_per_step: bytes,
        bandwidth: bytes as f64 / kernel_s.unwrap_or(step_s),
        compile_s,
        seconds,
        nonfinite: backend.bad_worlds()?.len() as u64,
    })
}

/// Random actions of a whole rollout, `[horizon][act][worlds]`.
fn actions(task: &Task, seed: u64, worlds: usize, horizon: usize) -> Vec<f32> {
    let nu = task.act_dim();
    let mut random = RandomActions::new(task, seed, 0, worlds);
    let mut rows = vec![0.0; nu * worlds];
    let mut out = Vec::with_capacity(horizon * nu * worlds);
    for _ in 0..horizon {
        random.draw(&mut rows);
        (0..nu).for_each(|i| out.extend(rows.iter().skip(i).step_by(nu)));
    }
    out
}

/// Seconds of each kernel of the environment in a control step.
fn env_kernels(env: &GpuEnv) -> Result<Vec<KernelTime>, RunError> {
    let steps = TIMED.min(env.horizon());
    let Some(mut timing) = env.gpu().timing(16 * steps + 1) else { return Ok(Vec::new()) };
    let mut encoder = env.gpu().encoder();
    (0..steps).for_each(|t| env.encode_step(&mut encoder, t, Some(&mut timing)));
    timing.mark(&mut encoder, "");
    Ok(per_step(timing.finish(env.gpu(), encoder)?, steps))
}

fn per_step(times: Vec<(String, f64)>, steps: usize) -> Vec<KernelTime> {
    times.into_iter().map(|(kernel, s)| KernelTime { kernel, seconds: s / steps as f64 }).collect()
}

fn env(
    gpu: Arc<Gpu>,
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    config: &RunConfig,
    seconds: f64,
) -> Result<DeviceBench, RunError> {
    let options = EnvOptions { stagger: false, ..env_options(config)? };
    let worlds = options.worlds;
    let begin = Instant::now();
    let mut env = GpuEnv::new(gpu.clone(), task.clone(), reward.clone(), &options, HORIZON)?;
    gpu.write(env.actions(), 0, &actions(task, options.seed, worlds, HORIZON));
    env.reset()?;
    let rollout = |env: &mut GpuEnv| -> Result<(), RunError> {
        // One submission a step: measured times do not need fewer, and no driver takes them for hung.
        for t in 0..HORIZON {
            let mut encoder = gpu.encoder();
            env.encode_step(&mut encoder, t, None);
            gpu.submit(encoder)?;
        }
        env.finish_rollout(&[])?;
        Ok(())
    };
    rollout(&mut env)?;
    let compile_s = begin.elapsed().as_secs_f64();
    env.ledger.stats.clear();
    let start = Instant::now();
    let mut rollouts = 0u64;
    while rollouts == 0 || start.elapsed().as_secs_f64() < seconds {
        rollout(&mut env)?;
        rollouts += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let step_s = seconds / (rollouts as f64 * HORIZON as f64);
    let nonfinite = env.ledger.stats.nonfinite;
    let kernels = env_kernels(&env)?;
    let bytes = 4 * (env.columns_per_step() * worlds) as u64;
    let rate = worlds as f64 / step_s;
    Ok(DeviceBench {
        adapter: name(&gpu),
        worlds,
        frame_skip: env.frame_skip(),
        env_steps_per_s: rate,
        rollout_steps_per_s: rate,
        physics_steps_per_s: rate * env.frame_skip() as f64,
        train_s: None,
        bandwidth: bytes as f64 / busy(&kernels).unwrap_or(step_s),
        kernels,
        bytes_per_step: bytes,
        compile_s,
        seconds,
        nonfinite,
    })
}

/// Seconds that all kernels together take in a control step.
fn busy(kernels: &[KernelTime]) -> Option<f64> {
    Some(kernels.iter().map(|k| k.seconds).sum::<f64>()).filter(|&s| s > 0.0)
}

fn learn(
    index: usize,
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    config: &RunConfig,
    seconds: f64,
) -> Result<DeviceBench, RunError> {
    let (obs, act) = (task.policy_obs_dim(), task.act_dim());
    let mut ppo = Ppo::new(config.learner.clone(), obs, task.obs_dim() - obs, act, config.seed)?;
    let pool = thread_pool(config.machine.threads)?;
    let begin = Instant::now();
    let DeviceWorlds { mut env, mut nets } = DeviceWorlds::new(index, config, task, reward, &ppo)?;
    // Two: the first also finds out how many steps fit a submission.
    for _ in 0..2 {
        ppo.update_on_device(&mut env, &mut nets, &pool)?;
    }
    let compile_s = begin.elapsed().as_secs_f64();
    env.0.ledger.stats.clear();
    let start = Instant::now();
    let (mut updates, mut rollout_s, mut train_s) = (0u64, 0.0, 0.0);
    while updates == 0 || start.elapsed().as_secs_f64() < seconds {
        let stats = ppo.update_on_device(&mut env, &mut nets, &pool)?;
        (rollout_s, train_s) = (rollout_s + stats.rollout_s, train_s + stats.train_s);
        updates += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let nonfinite = env.0.ledger.stats.nonfinite;
    let worlds = env.num_worlds();
    let samples = (updates as usize * worlds * config.learner.horizon) as f64;
    let times = ppo.time_on_device(&mut env, &nets, TIMED)?.unwrap_or_default();
    let kernels = per_step(times, 1);
    let bytes = nets.bytes_per_step() + 4 * (env.0.columns_per_step() * worlds) as u64;
    let rollout_steps_per_s = samples / rollout_s;
    Ok(DeviceBench {
        adapter: name(env.gpu()),
        worlds,
        frame_skip: env.0.frame_skip(),
        env_steps_per_s: samples / seconds,
        rollout_steps_per_s,
        physics_steps_per_s: rollout_steps_per_s * env.0.frame_skip() as f64,
        train_s: Some(train_s / updates as f64),
        bandwidth: bytes as f64 / busy(&kernels).unwrap_or(worlds as f64 / rollout_steps_per_s),
        kernels,
        bytes_per_step: bytes,
        compile_s,
        seconds,
        nonfinite,
    })
}
