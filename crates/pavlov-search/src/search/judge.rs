//! From a script and a manifest to a candidate: checker and admission gate. What is refused never costs a training run.

use crate::audit::Audit;
use crate::error::SearchError;
use crate::gate::{JudgedFor, gate_for};
use crate::lineage::{Candidate, Exchange, Rejection, Status, Verdict};
use pavlov_env::Task;
use pavlov_reward::{Reward, RewardError};
use rayon::ThreadPool;
use std::path::Path;

/// What candidates are judged with.
#[derive(Debug)]
pub struct Judge<'a> {
    /// Task.
    pub task: &'a Task,
    /// Its audit set, played.
    pub audit: &'a Audit,
    /// Threads.
    pub pool: &'a ThreadPool,
    /// What for.
    pub judged_for: JudgedFor,
}

/// A reward of these texts for a task.
///
/// # Errors
/// When it is refused.
pub fn load(task: &Task, name: &str, script: &str, manifest: &str) -> Result<Reward, RewardError> {
    Reward::from_texts(Path::new(name), name, script, Some(manifest), task.scene())
}

/// A refusal of the checker, finding by finding.
fn refused(e: &RewardError) -> Vec<Rejection> {
    let rejection =
        |rule: &str, message: String, hint: &str| vec![Rejection { rule: rule.into(), message, hint: hint.into() }];
    match e {
        RewardError::Script(diagnostics) => {
            let errors = diagnostics.findings.iter().filter(|f| f.severity == pavlov_script::Severity::Error);
            let line = |f: &pavlov_script::Finding| Rejection {
                rule: f.rule.clone(),
                message: format!("line {}, column {}: {}", f.line, f.column, f.message),
                hint: f.hint.clone(),
            };
            errors.map(line).collect()
        }
        RewardError::Manifest { message, .. } => rejection("manifest", message.clone(), "correct the ```toml block"),
        RewardError::Graph { line, column, message, .. } => {
            rejection("manifest", format!("line {line}, column {column}: {message}"), "correct the ```toml block")
        }
        other => rejection("reward", other.to_string(), ""),
    }
}

/// May an untrusted manifest be used? Sources read files and models, so they are the user's to add.
///
/// # Errors
/// With the finding, when it may not.
pub fn trusted(manifest: &str) -> Result<(), Rejection> {
    let table: toml::Table = toml::from_str(manifest).map_err(|e| Rejection {
        rule: "manifest".into(),
        message: e.to_string().lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" "),
        hint: "correct the ```toml block".into(),
    })?;
    if table.contains_key("sources") {
        return Err(Rejection {
            rule: "manifest-source".into(),
            message: "[sources] in a reply: sources can read files, so only a person may add them".into(),
            hint: "write every term in the script".into(),
        });
    }
    Ok(())
}

impl Judge<'_> {
    /// Judges a candidate and fills in verdict and status; gives its reward when it is admitted. `others` are rewards
    /// whose distance is told.
    ///
    /// # Errors
    /// When the audit set cannot be scored.
    pub fn judge(&self, c: &mut Candidate, others: &[&Reward]) -> Result<Option<Reward>, SearchError> {
        let name = c.at.to_string();
        let refuse = |c: &mut Candidate, errors: Vec<Rejection>| {
            c.verdict = Verdict { errors, ..Verdict::default() };
            c.status = Status::Refused;
        };
        if let Err(e) = trusted(&c.manifest) {
            refuse(c, vec![e]);
            return Ok(None);
        }
        let reward = match load(self.task, &name, &c.script, &c.manifest) {
            Ok(reward) => reward,
            Err(e) => {
                refuse(c, refused(&e));
                return Ok(None);
            }
        };
        let report = gate_for(self.judged_for, &reward, self.task, self.audit, others, self.pool)?;
        c.verdict = Verdict::from(&report);
        c.status = if report.ok { Status::Admitted } else { Status::Refused };
        Ok(report.ok.then_some(reward))
    }

    /// Judges a reply: parsed, checked, gated. The candidate has the script as far as one was found.
    ///
    /// # Errors
    /// When the audit set cannot be scored.
    pub fn reply(
        &self,
        mut c: Candidate,
        reply: &str,
        others: &[&Reward],
    ) -> Result<(Candidate, Option<Reward>), SearchError> {
        match crate::reply::parse(reply) {
            Ok(found) => {
                (c.script, c.manifest) = (found.script, found.manifest);
                let reward = self.judge(&mut c, others)?;
                Ok((c, reward))
            }
            Err(e) => {
                c.verdict = Verdict { errors: vec![e], ..Verdict::default() };
                c.status = Status::Refused;
                Ok((c, None))
            }
        }
    }
    /// Judges what a model answered: as [`Self::reply`], and where the answer did not end by itself and is refused,
    /// that is said first.
    ///
    /// # Errors
    /// When the audit set cannot be scored.
    pub fn answer(
        &self,
        c: Candidate,
        exchange: &Exchange,
        others: &[&Reward],
    ) -> Result<(Candidate, Option<Reward>), SearchError> {
        let Some(ending) = exchange.ending else { return self.reply(c, &exchange.reply, others) };
        let limit = exchange.request.get("max_tokens").and_then(serde_json::Value::as_u64);
        let (text, why) = crate::reply::broken_off(&exchange.reply, ending, limit);
        let (mut c, reward) = self.reply(c, text, others)?;
        if reward.is_none() {
            // Without text there is nothing else to say.
            c.verdict.errors.retain(|e| e.rule != "reply-empty");
            c.verdict.errors.insert(0, why);
        }
        Ok((c, reward))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditSet;
    use pavlov_env::Assets;

    /// Turning on the spot is an exploit of running: who wishes it can have it where a rater judges, and what cannot be
    /// run is refused there too.
    #[test]
    fn a_wish_against_the_fitness_is_admitted_where_a_rater_judges() {
        let assets = Assets::find(None);
        let pool = pavlov_run::thread_pool(2).unwrap();
        let task = Task::load(&assets, "ant_run").unwrap();
        let audit = AuditSet::load(&assets, &task).unwrap().play(&task, &pool).unwrap();
        let judged = |script: &str, judged_for| {
            let judge = Judge { task: &task, audit: &audit, pool: &pool, judged_for };
            let mut c = Candidate { script: script.into(), ..Candidate::default() };
            let reward = judge.judge(&mut c, &[]).unwrap();
            (reward.is_some(), c.verdict)
        };
        let spin = "fn reward(s, p) { #{ spin: s.body(\"torso\").angvel.z } }";
        let (admitted, verdict) = judged(spin, JudgedFor::Task);
        assert!(!admitted && verdict.errors.iter().any(|e| e.rule == "exploit"), "{verdict:?}");
        let (admitted, verdict) = judged(spin, JudgedFor::Running);
        assert!(admitted && verdict.good_rank.is_none() && verdict.fitness_kendall.is_none(), "{verdict:?}");
        assert!(verdict.warnings.iter().all(|w| !w.to_string().contains("fitness")), "{verdict:?}");
        // Falling, standing still, always the same: nobody else's business.
        for wish in ["-1.0 * s.body(\"torso\").up.z - 5.0", "-1.0 * s.qvel.norm2()", "1.0"] {
            let script = format!("fn reward(s, p) {{ #{{ wish: {wish} }} }}");
            let (admitted, verdict) = judged(&script, JudgedFor::Running);
            assert!(admitted, "{wish}: {verdict:?}");
        }
        let (admitted, verdict) = judged("fn reward(s, p) { #{ bad: ln(s.qpos[0] - 1000.0) } }", JudgedFor::Running);
        assert!(!admitted && verdict.errors.iter().any(|e| e.rule == "finite"), "{verdict:?}");
    }
}
