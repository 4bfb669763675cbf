//! What a lineage is made of: candidates, what training gave, exchanges with a model, answers of people.
//!
//! All of it is decided by settings, seed and replies alone. Clock times are kept apart, so that two lineages can be
//! compared byte by byte. Fitness is in the task's unit, steps are control steps of one world.

use crate::client::Ending;
use crate::gate::GateReport;
use crate::versus::Neighbour;
use pavlov_run::Named;
use serde::{Deserialize, Serialize};

/// Where a candidate stands in a search: iteration, place among its candidates, attempt at the place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At {
    /// Iteration, from 0.
    pub iteration: u32,
    /// Place, from 0.
    pub place: u32,
    /// Attempt: 0 the first; later ones answer what the gate said.
    pub attempt: u32,
}

impl At {
    /// The first attempt at a place.
    pub fn new(iteration: u32, place: u32) -> Self {
        Self { iteration, place, attempt: 0 }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.iteration, self.place)?;
        if self.attempt > 0 { write!(f, "/{}", self.attempt) } else { Ok(()) }
    }
}

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: expected ITERATION.PLACE or ITERATION.PLACE/ATTEMPT, for example 2.7");
        let (place, attempt) = text.split_once('/').unwrap_or((text, "0"));
        let (iteration, place) = place.split_once('.').ok_or_else(wrong)?;
        let number = |t: &str| t.parse::<u32>().map_err(|_| wrong());
        Ok(Self { iteration: number(iteration)?, place: number(place)?, attempt: number(attempt)? })
    }
}

/// A finding of the gate, or of the parser of replies, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// Name of the rule.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

/// What the gate said of a candidate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Is it admitted to training?
    pub ok: bool,
    /// Errors: why not.
    pub errors: Vec<Rejection>,
    /// Warnings.
    pub warnings: Vec<Rejection>,
    /// Rank of the good behaviour of the audit set, from 1.
    pub good_rank: Option<usize>,
    /// Rank correlation of return and fitness over the audit set.
    pub fitness_kendall: Option<f64>,
    /// STARC distance to other rewards of the task.
    pub distances: Vec<Neighbour>,
}

impl From<&GateReport> for Verdict {
    fn from(report: &GateReport) -> Self {
        let rejections = |severity: &str| {
            let kept = report.findings.iter().filter(|f| f.severity == severity);
            let line = |f: &crate::GateFinding| {
                let place = if f.line > 0 { format!("line {}: ", f.line) } else { String::new() };
                Rejection { rule: f.rule.clone(), message: format!("{place}{}", f.message), hint: f.hint.clone() }
            };
            kept.map(line).collect()
        };
        Self {
            ok: report.ok,
            errors: rejections("error"),
            warnings: rejections("warning"),
            good_rank: report.good_rank,
            fitness_kendall: report.fitness_kendall,
            distances: report.distances.clone(),
        }
    }
}

impl Verdict {
    /// A reply that never became a reward.
    pub fn refused(rule: &str, message: impl Into<String>, hint: &str) -> Self {
        let error = Rejection { rule: rule.into(), message: message.into(), hint: hint.into() };
        Self { errors: vec![error], ..Self::default() }
    }
}

/// How a candidate stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Stopped at the gate: it cost no training.
    #[default]
    Refused,
    /// To be trained.
    Admitted,
    /// Trained as long as was planned.
    Trained,
    /// Trained for a part, then given up for better ones.
    Halved,
    /// Training failed.
    Failed,
}

impl Status {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Admitted => "admitted",
            Self::Trained => "trained",
            Self::Halved => "halved",
            Self::Failed => "failed",
        }
    }
}

/// A reward that was proposed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it stands.
    pub at: At,
    /// Candidates it was made from.
    pub parents: Vec<At>,
    /// How it was made: `random`, `mutate`, `crossover`, `tune`, `reflect`, `model`, `repair`, `human`, `paste`.
    pub operator: String,
    /// What exactly was done.
    #[serde(default)]
    pub detail: String,
    /// SHA-256 of the request that it answers, when a model wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The script.
    pub script: String,
    /// The manifest.
    pub manifest: String,
    /// Genes of the embedded generator, as JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub genes: String,
    /// Difference to the first parent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// What the gate said.
    pub verdict: Verdict,
    /// How it stands.
    pub status: Status,
}

/// A point of a learning curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Environment steps done.
    pub env_steps: u64,
    /// Mean fitness of the episodes that ended since the last point; none when none did.
    pub fitness: Option<f64>,
    /// Share of them with success.
    pub success: Option<f64>,
    /// Their mean length.
    pub length: Option<f64>,
    /// Their mean return.
    #[serde(rename = "return")]
    pub episode_return: Option<f64>,
    /// Mean, deviation and share of each term.
    pub terms: Named<[f64; 3]>,
}

/// What training a candidate under one seed gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Candidate; none for the human reward.
    pub at: Option<At>,
    /// `search`, `again` (finalists) or `final`.
    pub stage: String,
    /// Seed.
    pub seed: u64,
    /// Environment steps it was trained for.
    pub env_steps: u64,
    /// Mean fitness of the deterministic policy in worlds that training does not use.
    pub fitness: f64,
    /// Fitness of the first of these episodes: the one that a clip shows.
    #[serde(default)]
    pub shown: f64,
    /// Share of these episodes with success.
    pub success: f64,
    /// Mean return under its own reward.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// Mean length.
    pub length: f64,
    /// The learning curve, ten points.
    pub curve: Vec<Point>,
    /// Why training failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was said to a model, and what it said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The candidate it was for.
    pub at: At,
    /// SHA-256 of the request.
    pub hash: String,
    /// The request.
    pub request: serde_json::Value,
    /// The reply.
    pub reply: String,
    /// Tokens of the request.
    pub tokens_in: u64,
    /// Tokens of the reply.
    pub tokens_out: u64,
    /// Money, in the unit of the prices given.
    pub money: f64,
    /// How the reply ended, where not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

impl Exchange {
    /// The messages of the request in order: who said it, and what.
    pub fn messages(&self) -> Vec<(&str, &str)> {
        let all = self.request.get("messages").and_then(|m| m.as_array()).map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(|m| Some((m.get("role")?.as_str()?, m.get("content")?.as_str()?))).collect()
    }
}

/// What a person, or a scripted rater, said after an iteration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Iteration.
    pub iteration: u32,
    /// Who.
    pub rater: String,
    /// The best of those shown, by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<u32>,
    /// The worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<u32>,
    /// Comparisons of two it took, at most.
    #[serde(default)]
    pub comparisons: u32,
    /// Words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_and_read() {
        for text in ["0.0", "3.12", "4.1/2"] {
            assert_eq!(text.parse::<At>().unwrap().to_string(), text);
        }
        assert!("3".parse::<At>().unwrap_err().contains("2.7"));
    }

    #[test]
    fn a_gates_findings_are_kept_with_the_lines_they_have() {
        let of = |line: usize, rule: &'static str| crate::GateFinding {
            line,
            ..crate::GateFinding::error(rule, format!("{rule} here"), "how")
        };
        let warning = crate::GateFinding { severity: "warning", ..of(7, "share") };
        let findings = vec![of(0, "order"), of(3, "finite"), warning];
        let verdict = Verdict::from(&GateReport { findings, good_rank: Some(2), ..GateReport::default() });
        let messages = |list: &[Rejection]| list.iter().map(|r| r.message.clone()).collect::<Vec<_>>();
        assert_eq!(messages(&verdict.errors), ["order here", "line 3: finite here"]);
        assert_eq!((messages(&verdict.warnings), verdict.good_rank), (vec!["line 7: share here".to_string()], Some(2)));
    }
}
