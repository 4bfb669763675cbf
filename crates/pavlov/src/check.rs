//! `check` and `inspect`: what to know about a reward and a robot before training.

use crate::args::Inspect;
use crate::out::{Out, Table, number, warn};
use crate::reward_args::Check;
use crate::{Told, Usage};
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_reward::{Reward, RewardError};
use pavlov_search::{AuditSet, GateFinding, GateReport, RULES, Rule, gate, other_rewards, rule, script_finding};
use serde_json::json;
use std::path::Path;

/// Largest difference between the two ways of running a reward, relative where values are above 1: `f32` against `f64`
/// arithmetic over a script's length.
pub const PARITY_TOLERANCE: f64 = 1e-3;
/// Random states where none are asked for.
const PARITY_STATES: usize = 1000;
/// Seed of the random states.
pub const PARITY_SEED: u64 = 1;

/// The task a reward belongs to: as asked for, or by the folder it is in.
pub fn task_of(assets: &Assets, reward: &str, task: Option<&str>) -> Result<String> {
    if let Some(task) = task {
        return Ok(task.to_string());
    }
    let path = Path::new(reward);
    let same = |known: &Path| match (known.canonicalize(), path.canonicalize()) {
        (Ok(known), Ok(path)) => path.starts_with(&known),
        _ => false,
    };
    let rewards = assets.rewards();
    if let Some(entry) = rewards.iter().find(|r| r.name == reward || same(&r.path)) {
        return Ok(entry.task.clone());
    }
    if path.exists() {
        return Err(Usage(format!("{reward}: give the task it is for: --task TASK")).into());
    }
    let hint = pavlov_model::did_you_mean(reward, rewards.iter().map(|r| r.name.as_str()));
    Err(Usage(format!("no reward `{reward}`: {hint}")).into())
}

/// `pavlov check --explain`.
fn explain(out: Out, name: &str) -> Result<()> {
    let rules: Vec<&Rule> = match rule(name) {
        Some(rule) => vec![rule],
        None if name == "all" => RULES.iter().collect(),
        None => {
            let hint = pavlov_model::did_you_mean(name, RULES.iter().map(|r| r.name));
            return Err(Usage(format!("no rule `{name}`: {hint}")).into());
        }
    };
    for r in rules {
        if out.json {
            out.object(&json!({"rule": r.name, "about": r.about, "why": r.why, "fix": r.fix}))?;
        } else {
            out.line(&format!("{}\n  checks  {}\n  why     {}\n  fix     {}\n", r.name, r.about, r.why, r.fix))?;
        }
    }
    Ok(())
}

/// A reward that could not be loaded, as findings where it is the reward's own fault.
fn refused(e: RewardError) -> Result<Vec<GateFinding>> {
    match e {
        RewardError::Script(diagnostics) => Ok(diagnostics.findings.iter().map(script_finding).collect()),
        RewardError::Manifest { path, message } => Ok(vec![GateFinding {
            rule: "manifest".into(),
            severity: "error",
            message,
            file: path.display().to_string(),
            ..GateFinding::default()
        }]),
        RewardError::Graph { path, line, column, message } => Ok(vec![GateFinding {
            rule: "manifest".into(),
            severity: "error",
            message,
            line,
            column,
            file: path.display().to_string(),
            ..GateFinding::default()
        }]),
        other => Err(other.into()),
    }
}

/// What the gate says of a reward that is, or will be, at `path`, by the task's audit set.
pub fn admission(assets: &Assets, task: &Task, reward: &Reward, path: &Path) -> Result<GateReport> {
    let pool = pavlov_run::thread_pool(std::thread::available_parallelism().map_or(1, usize::from))?;
    let audit = AuditSet::load(assets, task)?.play(task, &pool)?;
    let others = other_rewards(assets, task, path);
    Ok(gate(reward, task, &audit, &others.iter().collect::<Vec<_>>(), &pool)?)
}

/// `pavlov check`.
pub fn check(out: Out, assets: &Assets, args: &Check) -> Result<()> {
    if let Some(name) = &args.explain {
        return explain(out, name);
    }
    let clock = std::time::Instant::now();
    // The grammar asks for it where nothing is to be explained.
    let name = args.reward.as_deref().unwrap_or_default();
    let task = Task::load(assets, &task_of(assets, name, args.task.as_deref())?)?;
    let path = assets.reward(&task.name, name)?;
    let reward = match Reward::load(&path, name, task.scene()) {
        Ok(reward) => reward,
        Err(e) => {
            let text = match &e {
                RewardError::Script(diagnostics) => diagnostics.to_string(),
                other => format!("error[manifest]: {other}"),
            };
            let findings = refused(e)?;
            if out.json {
                out.object(&json!({
                    "ok": false, "lowered": false, "findings": findings, "parity_max_abs": null, "task": task.name,
                }))?;
            } else {
                out.line(&text)?;
                let errors = findings.iter().filter(|f| f.severity == "error").count();
                out.line(&format!("{errors} error{}", if errors == 1 { "" } else { "s" }))?;
            }
            return Err(Told(2).into());
        }
    };
    let program = reward.program();
    let states = match args.parity {
        Some(states) => usize::try_from(states)?,
        None => program.parity_states(PARITY_STATES),
    };
    let parity = if states > 0 { Some(program.parity(states, PARITY_SEED)) } else { None };
    let (parity, failure) = match parity.transpose() {
        Ok(parity) => (parity, None),
        Err(e) => (None, Some(e.to_string())),
    };
    let apart = parity.as_ref().is_some_and(|p| p.max_error > PARITY_TOLERANCE);
    let report = if args.no_audit {
        let findings: Vec<GateFinding> = reward.findings().iter().map(script_finding).collect();
        GateReport { ok: findings.iter().all(|f| f.severity != "error"), findings, ..GateReport::default() }
    } else {
        admission(assets, &task, &reward, &path)?
    };
    let ok = !apart && failure.is_none() && report.ok;
    let seconds = clock.elapsed().as_secs_f64();
    if out.json {
        let GateReport { findings, audit, good_rank, fitness_kendall, shares, distances, .. } = &report;
        let pairs =
            |p: &[(String, f64)]| p.iter().map(|(n, x)| (n.clone(), json!(x))).collect::<serde_json::Map<_, _>>();
        let nearest: Vec<(String, f64)> = distances.iter().map(|n| (n.reward.clone(), n.distance.value)).collect();
        out.object(&json!({
            "ok": ok, "lowered": program.is_lowered(), "findings": findings,
            "parity_max_abs": parity.as_ref().map(|p| p.max_error), "parity_states": parity.as_ref().map(|p| p.states),
            "parity_output": parity.as_ref().map(|p| &p.output).filter(|o| !o.is_empty()), "task": task.name,
            "terms": reward.term_names(), "nodes": reward.node_names(), "operations": program.operations(),
            "error": failure,
            "audit": audit, "good_rank": good_rank, "fitness_kendall": fitness_kendall, "shares": pairs(shares),
            "distances": pairs(&nearest), "starc": distances, "seconds": seconds,
        }))?;
    } else {
        // The checker's findings bring the line of the script.
        for finding in reward.findings() {
            out.line(&format!("{finding}\n"))?;
        }
        let known =
            |f: &&GateFinding| f.line > 0 && reward.findings().iter().any(|s| s.line == f.line && s.rule == f.rule);
        for finding in report.findings.iter().filter(|f| !known(f)) {
            out.line(&format!("{finding}\n"))?;
        }
        let way = if program.is_lowered() {
            format!("lowered to {} operations", program.operations())
        } else {
            "run by the interpreter, which is slow".into()
        };
        out.line(&format!("{name}: {way}; terms: {}", reward.term_names().join(", ")))?;
        if let Some(p) = &parity {
            let place = if p.output.is_empty() { String::new() } else { format!(" in `{}`", p.output) };
            let verdict = if apart { "THEY DIFFER: please report this" } else { "they agree" };
            let (states, error) = (p.states, p.max_error);
            out.line(&format!(
                "lowered against interpreted in {states} random states: \
                 largest difference {error:.1e}{place}; {verdict}"
            ))?;
        }
        if let Some(e) = &failure {
            out.line(&format!("error: {e}"))?;
        }
        audited(out, &report)?;
        let errors = report.findings.iter().filter(|f| f.severity == "error").count();
        let verdict = if ok {
            "passed".to_string()
        } else {
            format!("refused: {errors} error{}", if errors == 1 { "" } else { "s" })
        };
        out.line(&format!("{verdict}, in {seconds:.2} s"))?;
    }
    match (ok, apart && report.ok && failure.is_none()) {
        (true, _) => Ok(()),
        // A difference between the two ways of running a script is ours to mend, all else the author's.
        (false, true) => Err(Told(1).into()),
        (false, false) => Err(Told(2).into()),
    }
}

/// The audit set, shares of terms and distances, for people.
fn audited(out: Out, report: &GateReport) -> Result<()> {
    if !report.audit.is_empty() {
        let mut table = Table::new(&["audit", "return", "fitness", "steps"]);
        for row in &report.audit {
            let mark = if row.good {
                " (good)"
            } else if row.exploit {
                " (exploit)"
            } else {
                ""
            };
            table.row([
                format!("{}{mark}", row.behaviour),
                number(row.mean_return),
                number(row.fitness),
                number(row.steps),
            ]);
        }
        out.text(&table.to_string())?;
    }
    if let Some(rank) = report.good_rank {
        let kendall = report.fitness_kendall.map_or("-".into(), |k| format!("{k:.2}"));
        out.line(&format!("the good behaviour is number {rank}; rank correlation of return with fitness {kendall}"))?;
    }
    let list =
        |pairs: &[(String, f64)]| pairs.iter().map(|(n, x)| format!("{n} {x:.2}")).collect::<Vec<_>>().join(", ");
    if !report.shares.is_empty() {
        out.line(&format!("shares of the terms: {}", list(&report.shares)))?;
    }
    if !report.distances.is_empty() {
        let distances: Vec<String> = report.distances.iter().map(ToString::to_string).collect();
        out.line(&format!("STARC distance to {}", distances.join(", ")))?;
    }
    Ok(())
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
