//! `check` and `inspect`: what is to be known about a reward and a robot before training.

use crate::args::{Check, Inspect};
use crate::out::{Out, warn};
use crate::{Told, Usage};
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_reward::{Reward, RewardError};
use pavlov_script::{Finding, Severity};
use serde_json::{Value, json};
use std::path::Path;

/// Largest difference between the two ways of running a reward, relative where values are above 1: `f32` against `f64`
/// arithmetic over a script's length.
pub const PARITY_TOLERANCE: f64 = 1e-3;
/// Seed of the random states.
pub const PARITY_SEED: u64 = 1;

/// A finding as the contract has it.
fn finding(f: &Finding) -> Value {
    json!({
        "rule": f.rule, "term": f.term, "line": f.line, "column": f.column, "message": f.message, "hint": f.hint,
        "severity": f.severity, "file": f.file,
    })
}

/// The task a reward belongs to: as asked for, or by the folder it is in.
fn task_of(assets: &Assets, args: &Check) -> Result<String> {
    if let Some(task) = &args.task {
        return Ok(task.clone());
    }
    let path = Path::new(&args.reward);
    let same = |known: &Path| matches!((known.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b || b.starts_with(&a));
    let rewards = assets.rewards();
    if let Some(entry) = rewards.iter().find(|r| r.name == args.reward || same(&r.path)) {
        return Ok(entry.task.clone());
    }
    if path.exists() {
        return Err(Usage(format!("{}: give the task to check it against: --task TASK", args.reward)).into());
    }
    let hint = pavlov_model::did_you_mean(&args.reward, rewards.iter().map(|r| r.name.as_str()));
    Err(Usage(format!("no reward `{}`: {hint}", args.reward)).into())
}

/// `pavlov check`.
pub fn check(out: Out, assets: &Assets, args: &Check) -> Result<()> {
    let task = Task::load(assets, &task_of(assets, args)?)?;
    let path = assets.reward(&task.name, &args.reward)?;
    let reward = match Reward::load(&path, &args.reward, task.scene()) {
        Ok(reward) => reward,
        Err(RewardError::Script(diagnostics)) => {
            if out.json {
                let findings: Vec<Value> = diagnostics.findings.iter().map(finding).collect();
                let result = json!({"ok": false, "lowered": false, "findings": findings, "parity_max_abs": null, "task": task.name});
                out.object(&result)?;
            } else {
                out.line(&diagnostics.to_string())?;
                let errors = diagnostics.errors();
                out.line(&format!("{errors} error{}", if errors == 1 { "" } else { "s" }))?;
            }
            return Err(Told(2).into());
        }
        Err(e) => return Err(e.into()),
    };
    let program = reward.program();
    let states = usize::try_from(args.parity)?;
    let parity = if states > 0 { Some(program.parity(states, PARITY_SEED)) } else { None };
    let (parity, failure) = match parity.transpose() {
        Ok(parity) => (parity, None),
        Err(e) => (None, Some(e.to_string())),
    };
    let apart = parity.as_ref().is_some_and(|p| p.max_error > PARITY_TOLERANCE);
    let ok = !apart && failure.is_none() && !reward.findings().iter().any(|f| f.severity == Severity::Error);
    if out.json {
        let findings: Vec<Value> = reward.findings().iter().map(finding).collect();
        out.object(&json!({
            "ok": ok, "lowered": program.is_lowered(), "findings": findings,
            "parity_max_abs": parity.as_ref().map(|p| p.max_error), "parity_states": parity.as_ref().map(|p| p.states),
            "parity_output": parity.as_ref().map(|p| &p.output).filter(|o| !o.is_empty()), "task": task.name,
            "terms": reward.term_names(), "nodes": reward.node_names(), "operations": program.operations(), "error": failure,
        }))?;
    } else {
        for finding in reward.findings() {
            out.line(&format!("{finding}\n"))?;
        }
        let way = if program.is_lowered() {
            format!("lowered to {} operations", program.operations())
        } else {
            "run by the interpreter, which is slow".into()
        };
        out.line(&format!("{}: {way}; terms: {}", args.reward, reward.term_names().join(", ")))?;
        if let Some(p) = &parity {
            let place = if p.output.is_empty() { String::new() } else { format!(" in `{}`", p.output) };
            let verdict = if apart { "THEY DIFFER: please report this" } else { "they agree" };
            let (states, error) = (p.states, p.max_error);
            out.line(&format!("lowered against interpreted in {states} random states: largest difference {error:.1e}{place}; {verdict}"))?;
        }
        if let Some(e) = &failure {
            out.line(&format!("error: {e}"))?;
        }
    }
    match (ok, failure) {
        (true, _) => Ok(()),
        // A script that fails in some states is the author's to mend, a difference ours.
        (false, Some(_)) => Err(Told(2).into()),
        (false, None) => Err(Told(1).into()),
    }
}

/// `pavlov inspect`.
pub fn inspect(out: Out, assets: &Assets, args: &Inspect) -> Result<()> {
    let path = assets.robot(&args.robot, None)?;
    let model = pavlov_model::load_mjcf(&path)?;
    let description = pavlov_model::describe(&model);
    if let Err(e) = pavlov_physics::Physics::new(std::sync::Arc::new(model)) {
        warn(&format!("it can be read but not simulated: {e}"));
    }
    if out.json { out.object(&description) } else { out.text(&description.to_string()) }
}
