//! `show`, `export`, `eval`: what can be done with an existing run.

use crate::args::{Eval, Export, OneRun};
use crate::find::find;
use crate::out::{Out, Table, duration, grouped, maybe, number, spark, warn};
use anyhow::{Context, Result};
use pavlov_run::{
    EvalOptions, Evaluation, MetricsLine, RunConfig, RunFolder, SEED_OFFSET, evaluate, find_checkpoint, list_runs,
    load_inputs, read_lines, thread_pool,
};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// `pavlov show`.
pub fn show(out: Out, runs: &Path, args: &OneRun) -> Result<()> {
    let path = find(runs, &args.run)?;
    let folder = RunFolder::open(&path)?;
    let config = RunConfig::read(&folder.config())?;
    let metrics: Vec<MetricsLine> = read_lines(&folder.metrics())?;
    let parent = path.canonicalize().ok().and_then(|p| p.parent().map(Path::to_path_buf));
    let entry = list_runs(&parent.unwrap_or_default()).into_iter().find(|e| e.run == folder.name());
    if out.json {
        let diagnosis = pavlov_run::diagnose(&folder)?;
        return out.object(&json!({"run": entry, "config": config, "last": metrics.last(), "diagnosis": diagnosis}));
    }
    let mut text = format!("{}\n", path.display());
    let mut table = Table::new(&["", ""]);
    let mut row = |name: &str, value: String| table.row([name.to_string(), value]);
    row("task", config.task.clone());
    row("reward", config.reward.clone());
    row(
        "seed",
        format!(
            "seed {}, {} backend, {} profile, {} worlds",
            config.seed, config.backend, config.profile, config.learner.worlds
        ),
    );
    if let Some(e) = &entry {
        let problem = e.problem.as_ref().map_or_else(String::new, |p| format!(": {p}"));
        row("state", format!("{}{problem}", e.state.name()));
        let out_of = e.steps.map_or_else(String::new, |s| format!(" of {}", grouped(s)));
        row(
            "progress",
            format!("{}{out_of} steps, {} updates, {}", grouped(e.env_steps), e.updates, duration(e.elapsed_s)),
        );
        row(
            "scores",
            format!("return {}, fitness {}, success {}", maybe(e.episode_return), maybe(e.fitness), maybe(e.success)),
        );
    }
    let curve = |f: fn(&MetricsLine) -> Option<f64>| spark(&metrics.iter().filter_map(f).collect::<Vec<_>>());
    row("returns", curve(|m| m.ended.episode_return));
    row("fitness", curve(|m| m.recent_fitness));
    let shown = table.to_string();
    text += shown.split_once('\n').map_or("", |(_, rest)| rest);
    if let Some(last) = metrics.last() {
        let mut table = Table::new(&["term", "mean per step"]);
        for (name, value) in &last.terms.0 {
            table.row([name.clone(), maybe(*value)]);
        }
        text += &format!("\n{table}");
    }
    text += &crate::diagnose::symptoms(&pavlov_run::diagnose(&folder)?);
    out.text(&text)
}

/// `pavlov export`.
pub fn export(out: Out, runs: &Path, args: &Export) -> Result<()> {
    let folder = RunFolder::open(&find(runs, &args.run)?)?;
    if let Some(path) = &args.compact {
        let (loaded, warnings) = find_checkpoint(&folder, args.checkpoint)?;
        warnings.iter().for_each(|w| warn(w));
        let bytes = loaded.ppo.policy().to_compact().map_err(pavlov_run::RunError::from)?;
        // A header's length, and the header: the form of safetensors.
        pavlov_common::own::may_write(path, "a compact policy", |head| head.get(8) == Some(&b'{'))?;
        pavlov_common::atomic::write(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        let size = bytes.len();
        return if out.json {
            out.object(&json!({"compact": path, "bytes": size}))
        } else {
            out.line(&format!("{}: {size} bytes", path.display()))
        };
    }
    let (exported, warnings) = pavlov_run::export(&folder, args.checkpoint)?;
    warnings.iter().for_each(|w| warn(w));
    if out.json {
        return out.object(&exported);
    }
    out.line(&format!(
        "{}\n{}\n{} observations to {} actions; runs like the trained policy to {:.1e}",
        exported.onnx.display(),
        exported.json.display(),
        exported.obs_dim,
        exported.act_dim,
        exported.max_error
    ))
}

/// `pavlov eval`.
pub fn eval(out: Out, runs: &Path, args: &Eval) -> Result<()> {
    let folder = RunFolder::open(&find(runs, &args.run)?)?;
    let config = RunConfig::read(&folder.config())?;
    let (task, reward) = load_inputs(&folder, &config)?;
    let (loaded, warnings) = find_checkpoint(&folder, args.checkpoint)?;
    warnings.iter().for_each(|w| warn(w));
    let options = EvalOptions {
        episodes: usize::try_from(args.episodes)?,
        seed: args.seed.unwrap_or(config.seed.wrapping_add(SEED_OFFSET)),
        profile: args.profile.map_or_else(|| config.profile(), Ok)?,
        backend: args.backend.map_or_else(|| config.backend(), Ok)?,
    };
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let pool = thread_pool(threads)?;
    let mut result = evaluate(&Arc::new(task), &Arc::new(reward), &loaded.ppo.policy(), options, &pool)?;
    if !args.list {
        result = Evaluation { list: Vec::new(), ..result };
    }
    if out.json {
        return out.object(&result);
    }
    let mut text = crate::train::evaluation(&result);
    for (i, e) in result.list.iter().enumerate() {
        let success = if e.success { "success" } else { "" };
        let line = format!(
            "{i:>6}  return {}  fitness {}  length {}  {success}",
            number(e.episode_return),
            number(e.fitness),
            e.length
        );
        text += &format!("{}\n", line.trim_end());
    }
    out.text(&text)
}
