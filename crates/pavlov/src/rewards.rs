//! `rewards`: list, make, check and document what is in the reward folders.

use crate::check::{PARITY_SEED, PARITY_TOLERANCE};
use crate::lists::{finish, first_line};
use crate::out::{Out, Table};
use crate::reward_args::{Rewards, RewardsAction};
use crate::{Told, Usage};
use anyhow::{Context, Result};
use pavlov_env::{Assets, RewardEntry, Task};
use pavlov_reward::{Manifest, Reward};
use pavlov_script::Scene;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Random states in which both ways of running a reward are compared by `rewards check`.
const STATES: usize = 200;

/// `pavlov rewards`.
pub fn rewards(out: Out, assets: &Assets, args: &Rewards) -> Result<()> {
    match &args.action {
        Some(RewardsAction::Doc) => doc(out, assets),
        Some(RewardsAction::New { name, from, user }) => new(out, assets, name, from.as_deref(), *user),
        Some(RewardsAction::Check { names }) => check(out, assets, names, args.task.as_deref()),
        Some(RewardsAction::List) | None => list(out, assets, args.task.as_deref()),
    }
}

fn doc(out: Out, assets: &Assets) -> Result<()> {
    let page = format!(
        "# The language\n\n{}\n# What scripts may use\n\n{}\n# What `reward.toml` may use\n\n{}# Modules\n\n\
         `import \"lib/name\" as name;` at the top of a script, then `name::function(...)`.\n\n{}",
        pavlov_script::LANGUAGE,
        pavlov_script::documentation(),
        pavlov_reward::documentation(),
        pavlov_script::module_documentation(&assets.lib())
    );
    if out.json { out.object(&json!({"markdown": page})) } else { out.text(&page) }
}

fn list(out: Out, assets: &Assets, task: Option<&str>) -> Result<()> {
    let mut table = Table::new(&["reward", "parameters", "about"]);
    for entry in assets.rewards() {
        let found = manifest(&entry.path);
        let others = found.as_ref().map_or(&[][..], |m| &m.tasks);
        if task.is_some_and(|t| t != entry.task && !others.iter().any(|o| o == t)) {
            continue;
        }
        match found {
            Ok(m) if out.json => out.object(&json!({
                "reward": entry.name, "task": entry.task, "tasks": m.tasks, "path": entry.path, "about": m.about,
                "author": m.author, "parent": m.parent, "notes": m.notes, "params": m.params, "combine": m.combine,
            }))?,
            Ok(m) => {
                let params: Vec<&str> = m.params.keys().map(String::as_str).collect();
                table.row([entry.name, params.join(" "), m.about]);
            }
            Err(e) if out.json => {
                out.object(&json!({"reward": entry.name, "task": entry.task, "path": entry.path, "error": e}))?
            }
            Err(e) => table.row([entry.name, "-".into(), format!("cannot be used: {}", first_line(e))]),
        }
    }
    finish(out, &table, "no rewards found")
}

fn manifest(folder: &Path) -> Result<Manifest, String> {
    let text = pavlov_common::text::read(&folder.join("reward.toml")).map_err(|e| e.to_string())?;
    toml::from_str(&text).map_err(|e| e.message().to_string())
}

/// A reward that works for any robot; its comments list what it may use.
fn plain(scene: &Scene) -> String {
    let list = |names: &[String]| names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let mut text = String::from("// s: the state after the step (m, s, rad, N). p: the parameters in reward.toml.\n");
    for (call, names) in [
        ("s.body", list(&scene.bodies)),
        ("s.joint", list(&scene.joints.iter().filter(|j| j.scalar).map(|j| j.name.clone()).collect::<Vec<_>>())),
        ("s.foot", list(&scene.feet)),
        ("s.site", list(&scene.sites)),
    ] {
        if !names.is_empty() {
            text += &format!("// {call}(...): {names}\n");
        }
    }
    if !scene.commands.is_empty() {
        text += &format!("// s.command: {}\n", scene.commands.join(", "));
    }
    text + "fn reward(s, p) {\n    #{ alive: p.alive,\n       effort: -p.effort * s.action.norm2() }\n}\n"
}

const PLAIN_TOML: &str = "about = \"What it is for, in a line\"\nauthor = \"\"\nnotes = \"\"\n\n[params.alive]\n\
                          value = 1.0\nmin = 0.0\nmax = 5.0\nabout = \"reward of every step that is lived\"\n\n\
                          [params.effort]\nvalue = 0.01\nmin = 0.0\nmax = 1.0\n\
                          about = \"weight of the squared action\"\n";

fn new(out: Out, assets: &Assets, name: &str, from: Option<&str>, user: bool) -> Result<()> {
    pavlov_common::shipped::check_reward_name(name).map_err(Usage)?;
    let task = Task::load(assets, name.rsplit_once('/').map_or("", |(task, _)| task))?;
    let folders = assets.reward_folders();
    let base = if user { folders.last() } else { folders.iter().find(|f| f.is_dir()).or(folders.first()) };
    let Some(base) = base else { return Err(Usage("no folder for rewards is known; see --root".into()).into()) };
    let folder = base.join(name);
    if folder.exists() {
        return Err(Usage(format!("{} exists already", folder.display())).into());
    }
    let mut files: Vec<(String, String)> = Vec::new();
    match from {
        None => {
            files.push(("reward.toml".into(), PLAIN_TOML.into()));
            files.push(("reward.rhai".into(), plain(task.scene())));
        }
        Some(from) => {
            let source = assets.reward(&task.name, from)?;
            // Nothing is written before the reward is known to work for this task.
            Reward::load(&source, from, task.scene())?;
            let read = |path: PathBuf| pavlov_common::text::read(&path).with_context(|| path.display().to_string());
            if source.is_dir() {
                for file in ["reward.toml", "reward.rhai", "tests.toml"] {
                    if source.join(file).is_file() {
                        files.push((file.into(), read(source.join(file))?));
                    }
                }
            } else {
                files.push(("reward.rhai".into(), read(source)?));
            }
            let parent = format!("parent = {from:?}\n");
            match files.iter_mut().find(|(f, _)| f == "reward.toml") {
                Some((_, text)) => {
                    let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("parent")).collect();
                    *text = format!("{parent}{}\n", lines.join("\n"));
                }
                None => files.push(("reward.toml".into(), parent)),
            }
        }
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (file, text) in &files {
        let path = folder.join(file);
        pavlov_common::atomic::write(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Reward::load(&folder, name, task.scene())?;
    if out.json {
        out.object(&json!({"reward": name, "path": folder, "parent": from}))
    } else {
        out.line(&format!(
            "{}\ncheck it: pavlov check {name}\ntrain on it: pavlov train {} --reward {name}",
            folder.display(),
            task.name
        ))
    }
}

/// What is wrong with a reward; empty when nothing is.
fn faults(assets: &Assets, entry: &RewardEntry, task: &str) -> Result<Vec<String>> {
    let task = Arc::new(Task::load(assets, task)?);
    let reward = match Reward::load(&entry.path, &entry.name, task.scene()) {
        Ok(reward) => Arc::new(reward),
        Err(e) => return Ok(vec![e.to_string()]),
    };
    let mut found: Vec<String> = Vec::new();
    match reward.program().parity(STATES, PARITY_SEED) {
        Ok(p) if p.max_error > PARITY_TOLERANCE => {
            found.push(format!("lowered and interpreted differ by {:.1e} in `{}`", p.max_error, p.output));
        }
        Ok(_) => {}
        Err(e) => found.push(e.to_string()),
    }
    for case in pavlov_run::cases(&task, &reward)? {
        found.extend(case.faults.into_iter().map(|f| format!("case `{}`: {f}", case.name)));
    }
    Ok(found)
}

fn check(out: Out, assets: &Assets, names: &[String], task: Option<&str>) -> Result<()> {
    let rewards = assets.rewards();
    if let Some(name) = names.iter().find(|n| !rewards.iter().any(|e| e.name == **n)) {
        let hint = pavlov_model::did_you_mean(name, rewards.iter().map(|e| e.name.as_str()).collect::<Vec<_>>());
        return Err(Usage(format!("no reward `{name}`: {hint}")).into());
    }
    let mut failed = 0;
    for entry in rewards.iter().filter(|e| names.is_empty() || names.contains(&e.name)) {
        let more = manifest(&entry.path).map(|m| m.tasks).unwrap_or_default();
        for for_task in std::iter::once(&entry.task).chain(&more).filter(|t| task.is_none_or(|wanted| wanted == *t)) {
            let found =
                faults(assets, entry, for_task).unwrap_or_else(|e| vec![pavlov_common::errors::told(e.as_ref())]);
            failed += usize::from(!found.is_empty());
            if out.json {
                let ok = found.is_empty();
                out.object(&json!({"reward": entry.name, "task": for_task, "ok": ok, "faults": found}))?;
            } else if found.is_empty() {
                out.line(&format!("{} ({for_task}): good", entry.name))?;
            } else {
                out.line(&format!("{} ({for_task}):\n  {}", entry.name, found.join("\n  ").replace('\n', "\n  ")))?;
            }
        }
    }
    if failed > 0 { Err(Told(2).into()) } else { Ok(()) }
}
