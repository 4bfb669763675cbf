//! `prefs`: labels from scripted teachers, branches, statistics, export and import.

use crate::Usage;
use crate::find::find;
use crate::out::{Out, Table};
use crate::prefs_args::{Branch, Label, Prefs, PrefsCommand};
use crate::prefs_desk::{Asked, Desk};
use anyhow::{Context, Result};
use pavlov_common::file;
use pavlov_common::own::may_write;
use pavlov_env::{Assets, Task};
use pavlov_prefs::{LabelStore, Pool, Strategy};
use pavlov_run::{BranchOptions, RunFolder};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// `pavlov prefs`.
pub fn prefs(out: Out, assets: &Assets, runs: &Path, args: &Prefs) -> Result<()> {
    match &args.command {
        PrefsCommand::Label(args) => label(out, assets, runs, args),
        PrefsCommand::Branch(args) => branch(out, runs, args),
        PrefsCommand::Loop(args) => crate::prefs_loop::rounds(out, assets, runs, args),
        PrefsCommand::Train(args) => crate::prefs_train::train(out, assets, runs, args),
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
    known: usize,
    otherwise: usize,
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
    let Asked { labels, known, otherwise } = desk.ask(&pool, &mut store, args.count, Strategy::Uniform)?;
    let mut kinds = std::collections::BTreeMap::new();
    labels.iter().for_each(|l| *kinds.entry(l.answer.kind()).or_default() += 1);
    let (labels, rater) = (labels.len(), args.answering.rater.clone());
    let done = Labelled { labels, known, otherwise, rater, kinds, store: store.path().into() };
    if out.json {
        return out.object(&done);
    }
    let kinds: Vec<String> = done.kinds.iter().map(|(k, n)| format!("{n} {k}")).collect();
    let kinds = if kinds.is_empty() { "none".into() } else { kinds.join(", ") };
    let mut text = format!("{labels} labels by {}: {kinds}; in {}\n", done.rater, done.store.display());
    if known > 0 {
        text += &format!(
            "{known} answers were there already and are not stored again: another --seed asks about other pairs\n"
        );
    }
    if otherwise > 0 {
        text +=
            &format!("{otherwise} of the labels say something else than before about the same pair: both are kept\n");
    }
    out.text(&text)
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
    if file != Path::new("-") {
        may_write(file, "an export of labels", |head| head.starts_with(b"{"))?;
    }
    let mut text = Vec::new();
    let (sound, damaged) = store.sound()?;
    pavlov_prefs::jsonl::export(&sound, &mut text, file)?;
    if file == Path::new("-") {
        out.json(&String::from_utf8_lossy(&text))?;
    } else {
        pavlov_common::atomic::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if damaged.is_empty() {
        return Ok(());
    }
    let numbers: Vec<String> = damaged.iter().take(20).map(u64::to_string).collect();
    let more = if damaged.len() > 20 { ", ..." } else { "" };
    anyhow::bail!(
        "{}: {} labels were changed on the disk or are missing, and are left out: {}{more}; {} were written",
        store.path().display(),
        damaged.len(),
        numbers.join(", "),
        sound.len()
    )
}

fn import(out: Out, runs: &Path, path: &Path) -> Result<()> {
    let (opened, _) = file::open_up_to(path, file::LINES).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    let records = pavlov_prefs::jsonl::import(std::io::BufReader::new(opened), path)?;
    let mut store = LabelStore::open(&LabelStore::path_in(runs))?;
    let done = store.import(&records)?;
    if out.json {
        return out.object(&serde_json::json!({ "added": done.added, "known": done.known }));
    }
    out.text(&format!("{} records added, {} were there\n", done.added, done.known))
}
