//! The admission gate: what is wrong with a reward, found in a second instead of a training run.
//!
//! Order: operations, finite (recorded, random, extreme states), constant, units, living, share, order on the audit set
//! with exploits, distance to other rewards. Every finding names term, world, step and value where it has them, and
//! what to do.

mod order;
mod rules;
mod states;

pub use rules::{RULES, Rule, rule};

use crate::audit::Audit;
use crate::error::SearchError;
use crate::versus::Neighbour;
use pavlov_env::Task;
use pavlov_reward::{Reward, Scored};
use pavlov_run::score_all;
use pavlov_script::{Channel, Finding, Input, Severity};
use serde::Serialize;

/// Something the gate has found. Line and column are 0 where it is not about the text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GateFinding {
    /// Rule, one of [`RULES`].
    pub rule: String,
    /// `error` stops the reward, `warning` does not.
    pub severity: &'static str,
    /// Term.
    pub term: String,
    /// Line of the script.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// What is wrong, with names and values.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Script.
    pub file: String,
    /// Behaviour of the audit set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<String>,
    /// World of the audit set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub world: Option<usize>,
    /// Control step, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// A finding of the script checker as one of the gate.
pub fn script_finding(f: &Finding) -> GateFinding {
    GateFinding {
        rule: f.rule.clone(),
        severity: if f.severity == Severity::Error { "error" } else { "warning" },
        term: f.term.clone(),
        line: f.line,
        column: f.column,
        message: f.message.clone(),
        hint: f.hint.clone(),
        file: f.file.clone(),
        ..GateFinding::default()
    }
}

impl GateFinding {
    pub(crate) fn error(rule: &'static str, message: String, hint: impl Into<String>) -> Self {
        Self { rule: rule.into(), severity: "error", message, hint: hint.into(), ..Self::default() }
    }

    pub(crate) fn warning(rule: &'static str, message: String, hint: impl Into<String>) -> Self {
        Self { severity: "warning", ..Self::error(rule, message, hint) }
    }

    pub(crate) fn term(self, term: &str) -> Self {
        Self { term: term.into(), ..self }
    }

    pub(crate) fn at(self, behaviour: &str, world: usize, step: usize) -> Self {
        Self { behaviour: Some(behaviour.into()), world: Some(world), step: Some(step), ..self }
    }

    pub(crate) fn value(self, value: f64) -> Self {
        Self { value: Some(value), ..self }
    }
}

impl std::fmt::Display for GateFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.rule, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n  = {}", self.hint) }
    }
}

/// A behaviour of the audit set under the reward.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    /// Behaviour.
    pub behaviour: String,
    /// Is it the good one?
    pub good: bool,
    /// A known exploit?
    pub exploit: bool,
    /// Mean fitness.
    pub fitness: f64,
    /// Mean return.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Mean number of steps.
    pub steps: f64,
}

/// What the gate says.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GateReport {
    /// No finding is an error.
    pub ok: bool,
    /// Findings, errors first.
    pub findings: Vec<GateFinding>,
    /// The audit set, best return first.
    pub audit: Vec<AuditRow>,
    /// Rank of the good behaviour by return, from 1; none without a good one.
    pub good_rank: Option<usize>,
    /// Rank correlation (Kendall's tau-b) of fitness and return over the behaviours.
    pub fitness_kendall: Option<f64>,
    /// Share of each term: its mean |value| over the sum of those of all.
    pub shares: Vec<(String, f64)>,
    /// STARC distance (VAL) to other rewards of the task, nearest first.
    pub distances: Vec<Neighbour>,
}

/// An input of a reward that is computed outside of its program, and so is not in recorded states.
fn outside(reward: &Reward) -> Option<&Input> {
    reward.program().inputs().iter().find(|i| matches!(i.channel, Channel::Source(_)))
}

/// What a reward is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgedFor {
    /// The task: the behaviours of the audit set should be paid in the order of its fitness.
    Task,
    /// Nothing but running: for who wishes something else than the task's fitness, and is not to be told of it. What
    /// stops no training is a warning, and rules that look at fitness are left out.
    Running,
}

/// Rules whose errors mean that a reward cannot be run.
const CANNOT_RUN: [&str; 3] = ["operations", "finite", "run"];

/// Judges a reward by an audit that was played. `others` are rewards of the same task.
///
/// # Errors
/// When the audit cannot be scored: a script that fails while running is a finding, not an error.
pub fn gate(
    reward: &Reward,
    task: &Task,
    audit: &Audit,
    others: &[&Reward],
    pool: &rayon::ThreadPool,
) -> Result<GateReport, SearchError> {
    gate_for(JudgedFor::Task, reward, task, audit, others, pool)
}

/// The same by what the judgement is for.
///
/// # Errors
/// As [`gate`].
pub fn gate_for(
    judged_for: JudgedFor,
    reward: &Reward,
    task: &Task,
    audit: &Audit,
    others: &[&Reward],
    pool: &rayon::ThreadPool,
) -> Result<GateReport, SearchError> {
    let mut findings: Vec<GateFinding> = reward.findings().iter().map(script_finding).collect();
    let mut report = GateReport::default();
    findings.extend(states::operations(reward, task, audit)?);
    findings.extend(states::units(reward));
    // A reward too slow to be run is not run on everything there is.
    let slow = findings.iter().any(|f| f.rule == "operations");
    let outside = outside(reward);
    if let Some(input) = outside {
        let name = input.describe(reward.program().scene());
        let message = format!("`{name}` is computed outside of the program: what the reward pays was not audited");
        findings.push(GateFinding::warning("outside", message, "look at its terms in a short run instead"));
    }
    if !slow && outside.is_none() {
        match score_all(reward, task.scene(), &audit.rollouts, true, pool) {
            Ok(scored) => {
                judge(judged_for, reward, task, audit, &scored, &mut findings, &mut report);
                if judged_for == JudgedFor::Running {
                    let stops = |f: &GateFinding| CANNOT_RUN.contains(&f.rule.as_str());
                    findings.iter_mut().filter(|f| !stops(f)).for_each(|f| f.severity = "warning");
                }
                if !findings.iter().any(|f| f.severity == "error") {
                    let (near, distances) = order::distances(reward, task, audit, others, pool)?;
                    findings.extend(near);
                    report.distances = distances;
                }
            }
            Err(e) => {
                let hint = "the script fails in a state that was played: guard what it does there";
                findings.push(GateFinding::error("run", e.to_string(), hint));
            }
        }
    }
    findings.iter_mut().filter(|f| f.file.is_empty()).for_each(|f| f.file = reward.path().display().to_string());
    findings.sort_by_key(|f| f.severity != "error");
    report.ok = findings.iter().all(|f| f.severity != "error");
    report.findings = findings;
    Ok(report)
}

fn judge(
    judged_for: JudgedFor,
    reward: &Reward,
    task: &Task,
    audit: &Audit,
    scored: &[Scored],
    findings: &mut Vec<GateFinding>,
    report: &mut GateReport,
) {
    let played = states::Played::new(reward, audit);
    let not_finite = states::finite(reward, audit, scored, &played);
    let stop = !not_finite.is_empty();
    findings.extend(not_finite);
    let constant = states::constant(reward, audit, scored, &played);
    let stop = stop || constant.iter().any(|f| f.severity == "error");
    findings.extend(constant);
    let (share, shares) = order::shares(reward, scored);
    report.shares = shares;
    // What is not finite or constant has no order worth telling.
    if !stop {
        findings.extend(share);
        if judged_for == JudgedFor::Task {
            findings.extend(order::living(reward, task, audit, scored));
            findings.extend(order::order(reward, audit, scored, report));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::six;
    use pavlov_reward::Manifest;

    #[test]
    fn order_is_told_unless_nothing_has_one() {
        let (task, audit) = six([1.0, 0.0, 0.2, 0.3, 0.4, 0.95]);
        let pool = pavlov_run::thread_pool(1).unwrap();
        let judged = |script: &str| {
            let reward = Reward::from_text("r", "r.rhai", script, Manifest::default(), task.scene()).unwrap();
            gate(&reward, &task, &audit, &[], &pool).unwrap()
        };
        let all = judged("fn reward(s) { 1.0 }");
        let rules = |r: &GateReport| {
            r.findings.iter().map(|f| (f.rule.clone(), f.severity, f.term.clone())).collect::<Vec<_>>()
        };
        assert!(!all.ok && all.audit.is_empty() && rules(&all).iter().any(|f| f.0 == "constant"), "{:?}", rules(&all));
        let one = judged("fn reward(s) { #{ a: s.qvel[0], one: 1.0 } }");
        assert_eq!(one.audit.len(), 6, "a term may be constant: {:?}", rules(&one));
        // Nothing is further than 50 m away but in states far beyond what was recorded.
        let far = judged("fn reward(s) { #{ a: s.qvel[0], far: if s.qpos[0] > 50.0 { 1.0 } else { 0.0 } } }");
        let unit = rules(&far).into_iter().find(|f| f.0 == "unit").unwrap();
        assert_eq!((unit.1, unit.2.as_str(), far.audit.len()), ("error", "far", 0));
        // What is not finite is told once for each term, where it comes first.
        let bad =
            judged("fn reward(s) { #{ a: s.qvel[0], low: (-1.0 - s.qvel[0].abs()).sqrt(), high: s.qpos[0] / 0.0 } }");
        let finite: Vec<&GateFinding> = bad.findings.iter().filter(|f| f.rule == "finite").collect();
        assert_eq!(finite.iter().map(|f| &*f.term).collect::<Vec<_>>(), ["low", "high"], "{:?}", bad.findings);
        assert_eq!((finite[0].behaviour.as_deref(), finite[0].world, finite[0].step), (Some("b0"), Some(0), Some(1)));
        // What is too slow is not run.
        let slow =
            judged("fn reward(s) { let x = s.qvel[0]; let i = 0; while i < 30000 { x += s.qvel[1]; i += 1; } x }");
        assert!(rules(&slow).iter().any(|f| f.0 == "operations") && slow.shares.is_empty(), "{:?}", rules(&slow));
        // What the checker warns of is a warning here too.
        let warned = judged("fn reward(s) { #{ a: if s.qvel[0] == 0.5 { 1.0 } else { s.qvel[0] } } }");
        let of_checker: Vec<&GateFinding> = warned.findings.iter().filter(|f| f.line > 0).collect();
        assert!(!of_checker.is_empty() && of_checker.iter().all(|f| f.severity == "warning"), "{of_checker:?}");
        assert!(bad.findings.is_sorted_by_key(|f| f.severity != "error"));
    }
}
