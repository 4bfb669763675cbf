//! `bench`: how fast physics, environment, reward script and learner are on this machine.

use crate::Usage;
use crate::bench_args::{Bench, BenchKind};
use crate::out::{Out, Table, number};
use anyhow::{Context, Result};
use pavlov_env::{Assets, EnvOptions, Task};
use pavlov_reward::Reward;
use pavlov_run::{BenchOptions, BenchResult, Device, DeviceBenchKind, Overrides, RunConfig, bench_device, load_reward};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Worlds per thread unless asked for: two blocks, so that threads seldom wait.
const WORLDS_PER_THREAD: usize = 128;
/// States of one measurement of a script: the size of a few blocks.
const SCRIPT_STATES: usize = 512;

/// The task to measure: as asked for, the one of Gymnasium with the robot, or any with it.
fn task_name(assets: &Assets, args: &Bench) -> Result<String> {
    let Some(robot) = &args.robot else { return Ok(args.task.clone().unwrap_or_else(|| "gym/ant".into())) };
    let stem = Path::new(robot).file_stem().map_or_else(|| robot.clone(), |s| s.to_string_lossy().into_owned());
    let names: Vec<String> = assets.tasks().into_iter().map(|t| t.name).collect();
    let gym_name = format!("gym/{stem}");
    if names.contains(&gym_name) {
        return Ok(gym_name);
    }
    let has = |name: &&String| {
        let text = assets.task(name).ok().and_then(|t| pavlov_common::text::read(&t.path).ok()).unwrap_or_default();
        let file: Option<toml::Table> = text.parse().ok();
        let found =
            file.as_ref().and_then(|t| t.get("robot")?.as_str()).map(|r| r.trim_end_matches(".xml").to_string());
        found.as_deref() == Some(stem.as_str())
    };
    let found = names.iter().find(has).cloned();
    found.ok_or_else(|| Usage(format!("no task has the robot `{robot}` (see `pavlov tasks`, `pavlov robots`)")).into())
}

/// `pavlov bench`.
pub fn bench(out: Out, assets: &Assets, args: &Bench) -> Result<()> {
    let task = Task::load(assets, &task_name(assets, args)?)?;
    if args.kind == BenchKind::Render {
        return crate::render::bench(out, args, &task);
    }
    let reward = load_reward(assets, &task, args.reward.as_deref())?;
    if args.engine.device != Device::Cpu {
        return on_device(out, args, task, reward);
    }
    match args.kind {
        BenchKind::Physics => steps(out, args, task, reward, pavlov_run::BenchKind::Physics),
        BenchKind::Env => steps(out, args, task, reward, pavlov_run::BenchKind::Env),
        BenchKind::Script => script(out, args, task, reward),
        BenchKind::Learn => learn(out, args, task, reward),
        BenchKind::Render => crate::render::bench(out, args, &task),
    }
}

fn threads(args: &Bench) -> usize {
    args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn measure(
    args: &Bench,
    threads: usize,
    worlds: usize,
    seconds: f64,
    task: &Arc<Task>,
    reward: &Arc<Reward>,
    kind: pavlov_run::BenchKind,
) -> Result<BenchResult> {
    let env = EnvOptions { worlds, profile: args.profile, backend: args.engine.backend, ..EnvOptions::default() };
    Ok(pavlov_run::bench(task, reward, &BenchOptions { kind, env, threads, seconds })?)
}

fn steps(out: Out, args: &Bench, task: Task, reward: Reward, kind: pavlov_run::BenchKind) -> Result<()> {
    let threads = threads(args);
    let worlds = args.worlds.unwrap_or(WORLDS_PER_THREAD * threads);
    let (task, reward) = (Arc::new(task), Arc::new(reward));
    let r = measure(args, threads, worlds, args.seconds, &task, &reward, kind)?;
    let name = if kind == pavlov_run::BenchKind::Env { "env" } else { "physics" };
    if out.json {
        return out.object(&json!({
            "bench": name, "task": task.name, "robot": task.model().name, "reward": reward.name(),
            "device": args.engine.device.to_string(), "backend": args.engine.backend.name(),
            "profile": args.profile.name(),
            "env_steps_per_s": r.env_steps_per_s, "physics_steps_per_s": r.physics_steps_per_s, "worlds": r.worlds,
            "threads": r.threads, "frame_skip": r.frame_skip, "timestep": r.timestep, "episodes": r.episodes,
            "nonfinite": r.nonfinite, "seconds": r.seconds, "version": env!("CARGO_PKG_VERSION"),
        }));
    }
    let parts = if name == "env" { "physics, sensing, reward, observation, resets" } else { "physics alone" };
    out.text(&format!(
        "{} ({parts}): {} environment steps/s, {} physics steps/s\n\
         {} backend, {} profile, {} worlds, {} threads, frame skip {}, step {} s, {:.1} s measured; \
         {} episodes, {} non-finite\n",
        task.name,
        number(r.env_steps_per_s),
        number(r.physics_steps_per_s),
        args.engine.backend.name(),
        args.profile.name(),
        r.worlds,
        r.threads,
        r.frame_skip,
        r.timestep,
        r.seconds,
        r.episodes,
        r.nonfinite
    ))
}

/// Physics, environment or whole updates on a GPU.
fn on_device(out: Out, args: &Bench, task: Task, mut reward: Reward) -> Result<()> {
    let (kind, name, parts) = match args.kind {
        BenchKind::Physics => (DeviceBenchKind::Steps(pavlov_run::BenchKind::Physics), "physics", "physics alone"),
        BenchKind::Env => {
            let parts = "physics, sensing, reward, observation, resets";
            (DeviceBenchKind::Steps(pavlov_run::BenchKind::Env), "env", parts)
        }
        BenchKind::Learn => (DeviceBenchKind::Learn, "learn", "whole updates, training on the processor"),
        BenchKind::Script => {
            let message = "both ways of running a script that are compared are on the processor: use `--device cpu`";
            return Err(Usage(message.into()).into());
        }
        BenchKind::Render => return crate::render::bench(out, args, &task),
    };
    let overrides = Overrides {
        worlds: args.worlds,
        threads: args.threads,
        profile: Some(args.profile),
        backend: Some(args.engine.backend),
        device: Some(args.engine.device),
        ..Overrides::default()
    };
    let config = RunConfig::resolve(&task, &mut reward, &overrides)?;
    let (task, reward) = (Arc::new(task), Arc::new(reward));
    let r = bench_device(&task, &reward, &config, kind, args.seconds)?;
    if out.json {
        let mut line = json!({
            "bench": name, "task": task.name, "robot": task.model().name, "reward": reward.name(),
            "device": args.engine.device.to_string(), "backend": args.engine.backend.name(),
            "profile": args.profile.name(), "threads": config.machine.threads, "horizon": config.learner.horizon,
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(line), serde_json::Value::Object(more)) = (line.as_object_mut(), serde_json::to_value(&r)?) {
            line.extend(more);
        }
        return out.object(&line);
    }
    let mut text = format!("{} ({parts}): {} environment steps/s", task.name, number(r.env_steps_per_s));
    if let Some(train_s) = r.train_s {
        text += &format!(
            " with learning, {} without; {train_s:.3} s of training an update on {} threads",
            number(r.rollout_steps_per_s),
            config.machine.threads
        );
    }
    text += &format!(
        "\n{} physics steps/s; {}\n\
         {} profile, {} worlds, frame skip {}, {:.1} s measured, {:.1} s until kernels were there; {} non-finite\n",
        number(r.physics_steps_per_s),
        r.adapter,
        args.profile.name(),
        r.worlds,
        r.frame_skip,
        r.seconds,
        r.compile_s,
        r.nonfinite
    );
    let mut table = Table::new(&["kernel", "ms a step", "share"]);
    let total: f64 = r.kernels.iter().map(|k| k.seconds).sum();
    for k in &r.kernels {
        let share = format!("{:.1}%", 100.0 * k.seconds / total.max(1e-12));
        table.row([k.kernel.clone(), format!("{:.4}", 1e3 * k.seconds), share]);
    }
    match r.kernels.is_empty() {
        true => text += "times of kernels: the adapter has no timestamps\n",
        false => text += &table.to_string(),
    }
    text += &format!(
        "{} bytes a step at least, {} bytes/s; registers and spills: not known through wgpu\n",
        number(r.bytes_per_step as f64),
        number(r.bandwidth)
    );
    out.text(&text)
}

fn script(out: Out, args: &Bench, task: Task, reward: Reward) -> Result<()> {
    let program = reward.program();
    let start = std::time::Instant::now();
    let (mut lowered, mut interpreted) = (f64::INFINITY, f64::INFINITY);
    // The fastest of many: the script's own time when nothing else runs.
    while lowered.is_infinite() || start.elapsed().as_secs_f64() < args.seconds {
        let parity = program.parity(SCRIPT_STATES, 1).context("the reward failed")?;
        (lowered, interpreted) = (lowered.min(parity.lowered_s), interpreted.min(parity.interpreted_s));
    }
    let (is_lowered, operations) = (program.is_lowered(), program.operations());
    let (task, reward) = (Arc::new(task), Arc::new(reward));
    let physics = measure(args, 1, 64, 1.0, &task, &reward, pavlov_run::BenchKind::Physics)?;
    let step_s = 1.0 / physics.env_steps_per_s;
    let (ratio, share) = (interpreted / lowered, lowered / step_s);
    if out.json {
        return out.object(&json!({
            "bench": "script", "task": task.name, "reward": reward.name(), "lowered": is_lowered,
            "operations": operations,
            "lowered_ns": 1e9 * lowered, "interpreted_ns": 1e9 * interpreted, "ratio": ratio,
            "physics_ns": 1e9 * step_s, "share_of_physics": share, "profile": args.profile.name(),
            "frame_skip": physics.frame_skip, "version": env!("CARGO_PKG_VERSION"),
        }));
    }
    let way = if is_lowered { format!("lowered, {operations} operations") } else { "not lowered".into() };
    out.text(&format!(
        "{} ({way}): {:.1} ns a world; interpreter {:.0} ns, {ratio:.0} times as long\n\
         {:.2}% of a control step's physics on one core ({:.0} ns, {} profile)\n",
        reward.name(),
        1e9 * lowered,
        1e9 * interpreted,
        100.0 * share,
        1e9 * step_s,
        args.profile.name()
    ))
}

fn learn(out: Out, args: &Bench, task: Task, mut reward: Reward) -> Result<()> {
    let overrides = Overrides { worlds: args.worlds, threads: args.threads, ..Overrides::default() };
    let config = RunConfig::resolve(&task, &mut reward, &overrides)?;
    let (learner, threads) = (config.learner, config.machine.threads);
    let (obs, act) = (task.policy_obs_dim(), task.act_dim());
    let r = pavlov_learn::bench(&learner, obs, act, threads, args.seconds).map_err(pavlov_run::RunError::from)?;
    if out.json {
        return out.object(&json!({
            "bench": "learn", "task": task.name, "samples_per_s_train": r.samples_per_s_train,
            "forward_rows_per_s": r.forward_rows_per_s, "threads": threads, "obs_dim": obs, "act_dim": act,
            "actor_hidden": learner.actor_hidden, "critic_hidden": learner.critic_hidden, "worlds": learner.worlds,
            "horizon": learner.horizon, "epochs": learner.epochs, "minibatches": learner.minibatches,
            "version": env!("CARGO_PKG_VERSION"),
        }));
    }
    out.text(&format!(
        "learner of {}: {} samples/s trained (forward, backward, Adam), {} rows/s forward; {:?} and {:?} units, \
         {threads} threads\n",
        task.name,
        number(r.samples_per_s_train),
        number(r.forward_rows_per_s),
        learner.actor_hidden,
        learner.critic_hidden
    ))
}
