//! Diagnosis after training: did the reward bring what the task asks for, or something else?
//!
//! ```text
//! metrics.jsonl, terms.jsonl ─ curve.rs ──> over-optimisation curve, when to stop, terms that dominate, early ends
//! rollouts/ ────────────────── motion.rs ─> idle pay, jerk and energy, states the reward was not seen in
//! summary.json (probe), second.json ──────> shifted worlds, another learner
//! ```
//! The proxy is the return, the reward's own measure; fitness is the task's. Every symptom says what was seen, with
//! numbers, and what to do about it. `diagnosis.json` holds the result; the report draws it.

mod curve;
mod motion;
mod second;

pub use curve::{Curve, StopAdvice};
pub use motion::Motion;
pub use second::{Second, second};

use crate::arm::{NONFINITE_FIX, nonfinite_worlds};
use crate::config::RunConfig;
use crate::error::RunError;
use crate::evaluate::Evaluation;
use crate::folder::{RunFolder, read_text};
use crate::list::read_summary;
use crate::logs::{MetricsLine, TermsLine, read_log};
use serde::{Deserialize, Serialize};

/// Something that looks wrong, or worth knowing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Symptom {
    /// `over-optimised`, `idle-pay`, `early-end`, `term-dominates`, `jerk`, `energy`, `probe-shift`, `new-states`,
    /// `learner`, `late-stop`, `non-finite`, `damaged-log`.
    pub name: String,
    /// `warning`, or `note` for what is merely worth knowing.
    pub severity: String,
    /// Term, where one is to blame.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub term: String,
    /// What was seen, with numbers.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl Symptom {
    pub(crate) fn warning(name: &str, message: String, fix: &str) -> Self {
        Self { name: name.into(), severity: "warning".into(), message, fix: fix.into(), term: String::new() }
    }

    pub(crate) fn note(name: &str, message: String, fix: &str) -> Self {
        Self { severity: "note".into(), ..Self::warning(name, message, fix) }
    }

    pub(crate) fn term(self, term: &str) -> Self {
        Self { term: term.into(), ..self }
    }
}

/// `diagnosis.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Diagnosis {
    /// Symptoms, warnings first.
    pub symptoms: Vec<Symptom>,
    /// Proxy and fitness over time.
    pub curve: Curve,
    /// When training should have ended, and whether that matters.
    pub stop: Option<StopAdvice>,
    /// How the robot moved in each file of rollouts, oldest policy first.
    pub motion: Vec<Motion>,
    /// The same reward under another learner setting, when that was tried.
    pub second: Option<Second>,
}

impl Diagnosis {
    /// Of a run that could not be looked at.
    pub(crate) fn none(problem: &RunError) -> Self {
        let fix = "mend or remove what it names, then `pavlov diagnose` looks at the run again";
        let symptoms = vec![Symptom::warning("not-diagnosed", problem.to_string(), fix)];
        Self { symptoms, ..Self::default() }
    }
}

/// A smaller share of steps that end in a state which is not finite is merely worth knowing.
const RARE: f64 = 1e-4;
/// Fitness may fall by this share in shifted worlds.
const SHIFT: f64 = 0.2;

/// Looks at a run. What is missing (no rollouts, no summary) is left out.
///
/// # Errors
/// When something that is there cannot be read.
pub fn diagnose(folder: &RunFolder) -> Result<Diagnosis, RunError> {
    let config = RunConfig::read(&folder.config())?;
    let (metrics, damaged) = read_log::<MetricsLine>(&folder.metrics())?;
    let (terms, damaged_terms) = read_log::<TermsLine>(&folder.terms())?;
    let summary = read_summary(folder);
    let (curve, stop, mut symptoms) = curve::look(&metrics, &terms);
    symptoms.extend(lost_worlds(&metrics));
    symptoms.extend(damaged_lines("metrics.jsonl", &damaged));
    symptoms.extend(damaged_lines("terms.jsonl", &damaged_terms));
    let mut motion = Vec::new();
    if folder.rollouts().is_dir() {
        let (task, reward) = crate::inputs::load(folder, &config)?;
        let (moved, found) = motion::look(folder, &task, &reward)?;
        motion = moved;
        symptoms.extend(found);
    }
    if let Some(summary) = &summary
        && let (Some(evaluation), Some(probe)) = (&summary.evaluation, &summary.probe)
    {
        symptoms.extend(shifted(evaluation, probe));
    }
    let second: Option<Second> = read_text(&folder.second()).ok().and_then(|text| serde_json::from_str(&text).ok());
    symptoms.extend(second.as_ref().and_then(Second::symptom));
    symptoms.sort_by_key(|s| s.severity != "warning");
    Ok(Diagnosis { symptoms, curve, stop, motion, second })
}

/// Worlds whose state was not finite.
fn lost_worlds(metrics: &[MetricsLine]) -> Option<Symptom> {
    let count: u64 = metrics.iter().map(|m| m.nonfinite).sum();
    let steps = metrics.last().map_or(0, |m| m.env_steps).max(1);
    let updates = metrics.iter().filter(|m| m.nonfinite > 0).count();
    let last = metrics.iter().rev().find(|m| m.nonfinite > 0)?.update;
    let share = count as f64 / steps as f64;
    let message = format!(
        "{} in {steps} steps: in {updates} of {} updates, update {last} the last of them",
        nonfinite_worlds(count, share),
        metrics.len()
    );
    let symptom = if share < RARE { Symptom::note } else { Symptom::warning };
    Some(symptom("non-finite", message, NONFINITE_FIX))
}

/// Lines of a log that cannot be read.
fn damaged_lines(file: &str, lines: &[usize]) -> Option<Symptom> {
    let first = lines.first()?;
    let more = if lines.len() > 1 { format!(", and {} more", lines.len() - 1) } else { String::new() };
    let message = format!("{file}: line {first} cannot be read{more}: what is shown is without it");
    let fix = "the file was changed or the disk lost a part of it: put it back from a copy, or go on without; `pavlov \
               resume` moves such lines to a file beside it";
    Some(Symptom::warning("damaged-log", message, fix))
}

/// The policy in worlds solved another way.
fn shifted(evaluation: &Evaluation, probe: &Evaluation) -> Option<Symptom> {
    let (a, b) = (evaluation.fitness.mean, probe.fitness.mean);
    let noise = 2.0 * (evaluation.fitness.std.powi(2) + probe.fitness.std.powi(2)).sqrt()
        / (evaluation.episodes.max(1) as f64).sqrt();
    (a - b > SHIFT * a.abs() && a - b > noise).then(|| {
        let (here, there) = (&evaluation.profile, &probe.profile);
        let message = format!(
            "fitness falls from {a:.3} ({here} profile) to {b:.3} ({there} profile); return {:.1} to {:.1}",
            evaluation.episode_return.mean, probe.episode_return.mean
        );
        let fix = "the policy lives on how this solver behaves: randomise friction, masses and pushes, or train with \
            the accurate profile";
        Symptom::warning("probe-shift", message, fix)
    })
}

/// Looks and writes `diagnosis.json`.
///
/// # Errors
/// As [`diagnose`], or when it cannot be written.
pub fn write_diagnosis(folder: &RunFolder) -> Result<Diagnosis, RunError> {
    let diagnosis = diagnose(folder)?;
    let text =
        serde_json::to_string_pretty(&diagnosis).map_err(|e| RunError::Failed(format!("diagnosis.json: {e}")))?;
    folder.write(&folder.diagnosis(), text.as_bytes())?;
    Ok(diagnosis)
}
