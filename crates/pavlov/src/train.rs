//! `train` and `resume`: the loop with its progress, Ctrl-C, and the summary at the end.

use crate::args::{Resume, Train};
use crate::out::{Out, duration, grouped, number, say, warn};
use crate::progress::Progress;
use anyhow::{Context, Result};
use pavlov_env::Assets;
use pavlov_run::{Evaluation, Overrides, ResumeOptions, Stop, Summary, Trainer};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `pavlov train`.
pub fn train(out: Out, assets: &Assets, runs: &Path, args: &Train) -> Result<()> {
    let overrides = Overrides {
        seed: args.seed,
        worlds: args.worlds,
        steps: args.steps,
        minutes: args.minutes,
        threads: args.threads,
        profile: args.profile,
        backend: Some(args.engine.backend),
        device: Some(args.engine.device),
        calibrate: args.calibrate.as_ref().map(|run| crate::find::find(runs, run)).transpose()?,
        from: args.from.as_ref().map(|run| crate::find::find(runs, run)).transpose()?,
        set: args.set.clone(),
    };
    let mut trainer =
        Trainer::create(assets, &args.task, args.reward.as_deref(), &overrides, runs, args.out.as_deref())?;
    trainer.take_warnings().iter().for_each(|w| warn(w));
    for finding in trainer.task().findings().iter().chain(trainer.reward().findings()) {
        say(&finding.to_string());
    }
    let config = trainer.config();
    let limit = match (config.steps, config.minutes) {
        (Some(steps), Some(minutes)) => format!("{} steps or {minutes} min", grouped(steps)),
        (Some(steps), None) => format!("{} steps", grouped(steps)),
        (None, Some(minutes)) => format!("{minutes} min"),
        (None, None) => "no limit".into(),
    };
    if !out.json {
        out.line(&format!(
            "{}: {}, reward {}, seed {}",
            trainer.folder().root().display(),
            config.task,
            config.reward,
            config.seed
        ))?;
        let (learner, threads) = (&config.learner, config.machine.threads);
        let (worlds, horizon) = (learner.worlds, learner.horizon);
        out.line(&format!(
            "{worlds} worlds, {horizon} steps an update, {} backend on {}, {} profile, {threads} threads, {limit}",
            config.backend, config.device, config.profile
        ))?;
        if config.minutes.is_some() {
            out.line("a limit in minutes: the same command will not give the same result again")?;
        }
    }
    go(out, trainer)
}

/// `pavlov resume`.
pub fn resume(out: Out, runs: &Path, args: &Resume) -> Result<()> {
    let run = crate::find::find(runs, &args.run)?;
    let options =
        ResumeOptions { steps: args.steps, minutes: args.minutes, threads: args.threads, device: args.device };
    let mut trainer = Trainer::resume(&run, &options)?;
    trainer.take_warnings().iter().for_each(|w| warn(w));
    if !out.json {
        let (state, path) = (trainer.state(), trainer.folder().root().display());
        out.line(&format!("{path}: going on after update {}, {} steps", state.update, grouped(state.env_steps)))?;
        if trainer.limit().is_some() {
            out.line("the run is done already; --steps or --minutes (in all) make it longer")?;
        }
    }
    go(out, trainer)
}

/// Trains to the end, shows it and says what came out.
fn go(out: Out, mut trainer: Trainer) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    catch_interrupts(&stop)?;
    let run = trainer.folder().root().display().to_string();
    if out.json {
        let c = trainer.config();
        out.object(&serde_json::json!({
            "event": "start", "run": run, "task": c.task, "reward": c.reward, "seed": c.seed, "profile": c.profile,
            "backend": c.backend, "device": c.device,
            "worlds": c.learner.worlds, "threads": c.machine.threads, "steps": c.steps, "minutes": c.minutes,
        }))?;
    }
    let mut progress = Progress::new(out);
    // Nobody reads the output any more: the run ends as if by Ctrl-C, and keeps what it has.
    let mut closed = None;
    let (mut lost, mut steps) = (0, 0);
    let result = trainer.run(&stop, |trainer, update| {
        lost += update.metrics.nonfinite;
        steps += (trainer.config().learner.worlds * trainer.config().learner.horizon) as u64;
        if let Err(e) = progress.update(trainer, update) {
            stop.store(true, Ordering::Relaxed);
            closed.get_or_insert(e);
        }
    });
    let shown = progress.finish();
    let ended = result.and_then(|reason| trainer.finish(reason));
    let summary = match ended {
        Ok(summary) => summary,
        Err(e) => {
            trainer.fail(&e);
            let hint =
                if trainer.state().update > 0 { format!("\n  what there is so far: {run}") } else { String::new() };
            return Err(anyhow::Error::from(e).context(format!("training failed{hint}")));
        }
    };
    if let Some(e) = closed {
        return Err(e);
    }
    shown?;
    if out.json {
        let mut line = serde_json::to_value(&summary)?;
        if let Some(object) = line.as_object_mut() {
            object.shift_insert(0, "event".into(), "end".into());
            object.shift_insert(1, "run".into(), run.into());
        }
        return out.object(&line);
    }
    let mut text = closing(&run, &summary);
    if lost > 0 {
        let share = 100.0 * lost as f64 / steps.max(1) as f64;
        text += &format!(
            "worlds were reset {} times in {} steps ({share:.3}%) because their state was not finite: see `pavlov diagnose {run}`\n",
            grouped(lost),
            grouped(steps)
        );
    }
    out.text(&text)
}

fn closing(run: &str, summary: &Summary) -> String {
    let why = match summary.stop {
        Some(Stop::Steps) => "done",
        Some(Stop::Minutes) => "time over",
        Some(Stop::Fitness) => "target fitness reached",
        Some(Stop::Interrupted) => "interrupted",
        None => "failed",
    };
    let mut text = format!(
        "{why}: {} steps in {}, {} steps/s\n",
        grouped(summary.env_steps),
        duration(summary.elapsed_s),
        number(summary.env_steps_per_s)
    );
    if let Some(e) = &summary.evaluation {
        text += &evaluation(e);
    }
    text += &format!("report: {run}/report.html\n");
    if summary.stop == Some(Stop::Interrupted) {
        text += &format!("to go on: pavlov resume {run}\n");
    }
    text
}

/// An evaluation in a line or two.
pub fn evaluation(e: &Evaluation) -> String {
    let pm = |s: &pavlov_run::Stat| format!("{} ± {}", number(s.mean), number(s.std));
    let mut text = format!(
        "evaluation of {} episodes: return {}, fitness {}, success {:.0}%, length {}\n",
        e.episodes,
        pm(&e.episode_return),
        pm(&e.fitness),
        100.0 * e.success.mean,
        number(e.length.mean)
    );
    if e.nonfinite > 0 {
        text += &format!("{} of them ended because the state became non-finite\n", e.nonfinite);
    }
    text
}

/// The first Ctrl-C ends the run after the current update, the second one ends the program.
pub fn catch_interrupts(stop: &Arc<AtomicBool>) -> Result<()> {
    let stop = stop.clone();
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say("\nfinishing this update; once more to end at once (the last checkpoint stays)");
    };
    ctrlc::set_handler(handler).context("cannot catch Ctrl-C")
}
