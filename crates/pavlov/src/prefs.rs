//! `prefs`: labels from scripted teachers, models learnt from labels, statistics, export and import.

use crate::Usage;
use crate::find::find;
use crate::out::{Out, Table, grouped, number};
use crate::prefs_args::{Branch, Label, Prefs, PrefsCommand, Train};
use crate::prefs_desk::{Desk, fit_options};
use anyhow::{Context, Result};
use pavlov_env::{Assets, Task};
use pavlov_prefs::{Combine, Dataset, Fit, LabelStore, Learnt, Pool, Quality};
use pavlov_run::{BranchOptions, RunFolder, load_reward};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// `pavlov prefs`.
pub fn prefs(out: Out, assets: &Assets, runs: &Path, args: &Prefs) -> Result<()> {
    match &args.command {
        PrefsCommand::Label(args) => label(out, assets, runs, args),
        PrefsCommand::Branch(args) => branch(out, runs, args),
        PrefsCommand::Loop(args) => crate::prefs_loop::rounds(out, assets, runs, args),
        PrefsCommand::Train(args) => train(out, assets, runs, args),
        PrefsCommand::Stats { task } => stats(out, runs, task.as_deref()),
        PrefsCommand::Export { file } => export(out, runs, file),
        PrefsCommand::Import { file } => import(out, runs, file),
    }
}

fn folders(runs: &Path, task: &Task, paths: &[PathBuf]) -> Result<Vec<RunFolder>> {
    if !paths.is_empty() {
        return paths.iter().map(|run| Ok(RunFolder::open(&find(runs, run)?)?)).collect();
    }
    let of_task = pavlov_run::list_runs(runs).into_iter().filter(|r| r.task == task.name);
    let folders: Vec<RunFolder> = of_task.filter_map(|r| RunFolder::open(&r.path).ok()).collect();
    if folders.is_empty() {
        let (name, runs) = (&task.name, runs.display());
        return Err(Usage(format!("no run of `{name}` in {runs}: train one first (`pavlov train {name}`)")).into());
    }
    Ok(folders)
}

#[derive(Serialize)]
struct Labelled {
    labels: usize,
    rater: String,
    kinds: std::collections::BTreeMap<&'static str, usize>,
    store: PathBuf,
}

fn branch(out: Out, runs: &Path, args: &Branch) -> Result<()> {
    let folder = RunFolder::open(&find(runs, &args.run)?)?;
    let options = BranchOptions {
        states: args.branching.states as usize,
        siblings: args.branching.branches as usize,
        length: args.length as usize,
        noise: args.branching.noise,
        seed: args.seed,
    };
    let pool = pavlov_run::thread_pool(std::thread::available_parallelism().map_or(1, usize::from))?;
    let (file, states) = pavlov_run::branch(&folder, &options, &pool)?;
    if out.json {
        return out.object(&serde_json::json!({ "file": file, "states": states, "siblings": options.siblings }));
    }
    out.text(&format!(
        "{states} of {} states, {} siblings each, {} steps long: {}\n",
        options.states,
        options.siblings,
        options.length,
        file.display()
    ))
}

fn label(out: Out, assets: &Assets, runs: &Path, args: &Label) -> Result<()> {
    let task = Task::load(assets, &args.task)?;
    let desk = Desk::new(assets, &task, &args.answering, args.reward.as_deref(), args.seed)?;
    let pool = Pool::open(&folders(runs, &task, &args.run)?)?;
    let mut store = LabelStore::open(&LabelStore::path_in(runs))?;
    let labels = desk.ask(&pool, &mut store, args.count)?;
    let mut kinds = std::collections::BTreeMap::new();
    labels.iter().for_each(|l| *kinds.entry(l.entry.answer.kind()).or_default() += 1);
    let done =
        Labelled { labels: labels.len(), rater: args.answering.rater.clone(), kinds, store: store.path().into() };
    if out.json {
        return out.object(&done);
    }
    let kinds: Vec<String> = done.kinds.iter().map(|(k, n)| format!("{n} {k}")).collect();
    out.text(&format!("{} labels by {}: {}; in {}\n", done.labels, done.rater, kinds.join(", "), done.store.display()))
}

#[derive(Serialize)]
struct Trained {
    model: &'static str,
    labels: usize,
    quality: Quality,
    linear: Option<pavlov_prefs::Linear>,
    changes: Vec<pavlov_prefs::Change>,
    /// How much lower the net's loss is than the linear model's, with its standard error.
    advantage: Option<(f64, f64)>,
    out: Option<PathBuf>,
}

fn train(out: Out, assets: &Assets, runs: &Path, args: &Train) -> Result<()> {
    let task = Task::load(assets, &args.task)?;
    let reward = load_reward(assets, &task, args.reward.as_deref())?;
    let store = LabelStore::open_existing(&LabelStore::path_in(runs))?;
    let data = Dataset::of(&store.labels()?, &task.name, args.rater.as_deref());
    data.check()?;
    let pool = Pool::of_segments(runs, &data.segments)?;
    let fit = Fit::of(&pool, &reward, &data, &fit_options(&args.learning, args.seed)?)?;
    if let Some(folder) = &args.out {
        let combine = Combine { kind: &args.learning.combine, lambda: args.learning.lambda };
        fit.write(folder, &reward, &task.name, combine)?;
    }
    let (model, quality, advantage) = (fit.name(), fit.quality, fit.advantage);
    let (linear, changes) = match fit.learnt {
        Learnt::Linear(fit, changes) => (Some(fit.model), changes),
        Learnt::Nets(_) => (None, Vec::new()),
    };
    let (labels, out_folder) = (data.pairs.len(), args.out.clone());
    let done = Trained { model, labels, quality, linear, changes, advantage, out: out_folder };
    if out.json { out.object(&done) } else { out.text(&summary(&done, args)) }
}

fn summary(done: &Trained, args: &Train) -> String {
    let q = &done.quality;
    let mut text = format!(
        "{} from {} pairs\nheld out: {} pairs, accuracy {:.1}%, log loss {:.3} (a coin: 0.693), \
         calibration error {:.3}\n",
        done.model,
        grouped(done.labels as u64),
        q.pairs,
        100.0 * q.accuracy,
        q.log_loss,
        q.calibration_error
    );
    if let Some((gain, error)) = done.advantage {
        text += &format!(
            "net against linear on the same pairs: loss less by {gain:.3} ± {error:.3}; \
             a net is taken above two errors\n"
        );
    }
    if !q.bins.is_empty() {
        let mut table = Table::new(&["predicted", "found", "pairs"]);
        q.bins.iter().for_each(|b| table.row([format!("{:.2}", b.0), format!("{:.2}", b.1), b.2.to_string()]));
        text += &table.to_string();
    }
    if !done.changes.is_empty() {
        let mut table = Table::new(&["term", "times", "±", "parameter", "was", "becomes"]);
        for c in &done.changes {
            let [was, becomes] = c.values.map_or(["-".to_string(), "-".into()], |v| v.map(number));
            table.row([
                c.term.clone(),
                if c.deviation.is_some() { number(c.factor) } else { "unknown: stays".into() },
                c.deviation.map_or("-".into(), number),
                c.param.clone().unwrap_or_else(|| "- (a weight transform)".into()),
                was,
                becomes,
            ]);
        }
        text += &table.to_string();
        for c in done.changes.iter().filter(|c| c.refused.is_some()) {
            text += &format!("{}: outside the range of its parameter, which is widened\n", c.term);
        }
    }
    text += &match &done.out {
        Some(folder) => {
            let folder = folder.display();
            format!("written to {folder}: `pavlov check {folder} --task {}`\n", args.task)
        }
        None => "nothing written: give --out DIR\n".into(),
    };
    text
}

fn stats(out: Out, runs: &Path, task: Option<&str>) -> Result<()> {
    let store = LabelStore::open_existing(&LabelStore::path_in(runs))?;
    let labels = store.labels()?;
    let labels: Vec<_> = labels.into_iter().filter(|l| task.is_none_or(|t| *l.entry.task == *t)).collect();
    let stats = pavlov_prefs::stats(&labels);
    if out.json {
        return out.object(&stats);
    }
    let mut table = Table::new(&["rater", "labels", "left", "right", "equal", "s a label", "agrees with itself"]);
    for (name, r) in stats.raters.iter().map(|(n, r)| (n.as_str(), r)).chain([("all", &stats.all)]) {
        let [left, right, equal] = r.choices.map(|c| c.to_string());
        let rate =
            r.consistency.rate().map_or("-".into(), |c| format!("{:.0}% of {}", 100.0 * c, r.consistency.repeats));
        table.row([name.into(), r.labels.to_string(), left, right, equal, format!("{:.1}", r.seconds[0]), rate]);
    }
    let tasks: Vec<String> = stats.tasks.iter().map(|(t, n)| format!("{t} {n}")).collect();
    let shared = stats.agreement.map_or(String::new(), |a| {
        format!("raters agree on {:.0}% of {} pairs that several have compared\n", 100.0 * a, stats.shared_pairs)
    });
    let unknown = match stats.all.unknown_script {
        0 => String::new(),
        n => format!("of {n} labels it is not known under which script they were given\n"),
    };
    out.text(&format!("{table}tasks: {}\n{shared}{unknown}", tasks.join(", ")))
}

fn export(out: Out, runs: &Path, file: &Path) -> Result<()> {
    let store = LabelStore::open_existing(&LabelStore::path_in(runs))?;
    let mut text = Vec::new();
    pavlov_prefs::jsonl::export(&store.records()?, &mut text, file)?;
    if file == Path::new("-") {
        return out.json(&String::from_utf8_lossy(&text));
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn import(out: Out, runs: &Path, file: &Path) -> Result<()> {
    let opened = std::fs::File::open(file).map_err(|e| Usage(format!("{}: {e}", file.display())))?;
    let records = pavlov_prefs::jsonl::import(std::io::BufReader::new(opened), file)?;
    let mut store = LabelStore::open(&LabelStore::path_in(runs))?;
    let done = store.import(&records)?;
    if out.json {
        return out.object(&serde_json::json!({ "added": done.added, "known": done.known }));
    }
    out.text(&format!("{} records added, {} were there\n", done.added, done.known))
}
