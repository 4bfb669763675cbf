//! `prefs loop`: training and asking in turn.

use crate::check::admission;
use crate::out::{Out, Table, grouped, number, say};
use crate::prefs_args::Loop;
use crate::prefs_desk::{Desk, fit_options};
use crate::train::catch_interrupts;
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_prefs::{LabelStore, Pool, PrefsError, Round, Rounds, RoundsOptions, Strategy};
use pavlov_reward::Reward;
use pavlov_run::{BranchOptions, Overrides, RunFolder};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the store is looked at while a person answers.
const LOOK: Duration = Duration::from_millis(500);

/// `pavlov prefs loop`.
pub fn rounds(out: Out, assets: &Assets, runs: &Path, args: &Loop) -> Result<()> {
    let task = Task::load(assets, &args.task)?;
    // A task's own steps are shared by the trainings.
    let task_steps = pavlov_run::own_steps(&task)?;
    let steps = args.steps.or(task_steps.map(|steps| steps.div_ceil(u64::from(args.rounds) + 1)));
    let options = RoundsOptions {
        task: args.task.clone(),
        reward: args.reward.clone(),
        name: args.name.clone().unwrap_or_else(|| format!("loop-{}-{}", task.name.replace('/', "-"), args.seed)),
        budget: args.budget,
        rounds: args.rounds as usize,
        overrides: Overrides {
            seed: Some(args.seed),
            steps,
            profile: args.profile,
            set: args.set.clone(),
            ..Overrides::default()
        },
        fit: fit_options(&args.learning, args.seed)?,
        combine: args.learning.combine.clone(),
        lambda: args.learning.lambda,
        branch: BranchOptions {
            states: args.branching.states as usize,
            siblings: args.branching.branches as usize,
            length: args.answering.length as usize,
            noise: args.branching.noise,
            seed: 0,
        },
        person: args.studio,
    };
    let desk = Desk::new(assets, &task, &args.answering, args.reward.as_deref(), args.seed)?;
    let stop = Arc::new(AtomicBool::new(false));
    catch_interrupts(&stop)?;
    let mut rounds = Rounds::open(assets, runs, options)?;
    if !rounds.done().is_empty() && !out.json {
        out.line(&format!("going on after round {}", rounds.done().len() - 1))?;
    }
    // The error of asking, with its cause: the loop knows only its text.
    let mut failed = None;
    let mut ask = |pool: &Pool, run: &RunFolder, store: &mut LabelStore, missing: usize| {
        if args.studio {
            return wait(run, &task.name, store, missing, &stop);
        }
        desk.ask(pool, store, missing, Strategy::Information).map(drop).map_err(|e| {
            let error = PrefsError::Failed(e.to_string());
            failed = Some(e);
            error
        })
    };
    // The gate's errors keep a reward from being trained on, as `prefs train` keeps it from being written.
    let mut admit = |reward: &Reward| {
        let report = admission(assets, &task, reward, reward.path());
        let findings =
            report.map_err(|e| PrefsError::Failed(format!("the checks of what was learnt: {e:#}")))?.findings;
        let errors: Vec<String> = findings.iter().filter(|f| f.severity == "error").map(ToString::to_string).collect();
        Ok((!errors.is_empty()).then(|| format!("the gate refuses what was learnt: {}", errors.join("; "))))
    };
    loop {
        match rounds.next(assets, &mut ask, &mut admit, &stop) {
            Ok(None) => break,
            Ok(Some(round)) if out.json => out.object(&round)?,
            Ok(Some(round)) => out.line(&line(&round))?,
            Err(e) => return Err(failed.unwrap_or_else(|| e.into())),
        }
    }
    if out.json {
        return Ok(());
    }
    let mut table = Table::new(&["round", "reward", "fitness", "success", "labels", "model", "told right", "then"]);
    for r in rounds.done() {
        let right = if r.held_out > 0 { format!("{:.0}% of {}", 100.0 * r.accuracy, r.held_out) } else { "-".into() };
        table.row([
            r.round.to_string(),
            r.reward.clone(),
            number(r.fitness),
            format!("{:.0}%", 100.0 * r.success),
            r.labels.to_string(),
            r.model.clone(),
            right,
            match (r.model.is_empty(), r.kept.is_empty()) {
                (true, _) => "-",
                (false, true) => "what was learnt",
                (false, false) => "the same reward",
            }
            .into(),
        ]);
    }
    let more = if stop.load(Ordering::Relaxed) { "stopped; the same command goes on\n" } else { "" };
    out.text(&format!("{table}{more}rewards and rounds.jsonl: {}\n", rounds.folder().display()))
}

fn line(r: &Round) -> String {
    let learnt = if r.model.is_empty() {
        String::new()
    } else {
        format!(
            "; {} labels, {} model right on {:.0}% of {} held out",
            r.labels,
            r.model,
            100.0 * r.accuracy,
            r.held_out
        )
    };
    let kept = if r.kept.is_empty() { String::new() } else { format!("; {}; trains on with the same reward", r.kept) };
    let (steps, fitness) = (grouped(r.env_steps), number(r.fitness));
    format!("round {}: {steps} steps on {}, fitness {fitness}{learnt}{kept}", r.round, r.reward)
}

/// Waits until a person has given so many more labels of a task.
fn wait(run: &RunFolder, task: &str, store: &LabelStore, missing: usize, stop: &AtomicBool) -> Result<(), PrefsError> {
    let last = store.records()?.last().map_or(0, |l| l.id);
    let count = || -> Result<usize, PrefsError> {
        Ok(store.labels()?.iter().filter(|l| l.id > last && *l.entry.task == *task).count())
    };
    say(&format!(
        "{missing} labels are missing, {} is the newest run: answer in the studio (`pavlov-studio`, Preferences; \
         it can be chosen under All runs); Ctrl-C stops, and the same command goes on",
        run.name()
    ));
    let mut last_shown = missing;
    while !stop.load(Ordering::Relaxed) {
        let left = missing.saturating_sub(count()?);
        if left == 0 {
            return Ok(());
        }
        if left != last_shown && left.is_multiple_of(5) {
            say(&format!("{left} to go"));
            last_shown = left;
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
