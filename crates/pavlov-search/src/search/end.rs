//! The end of a search: finalists, the last training beside the human reward, statistics.

use super::{Floor, Job, Search, Training};
use crate::client::Spent;
use crate::error::SearchError;
use crate::lineage::{At, Candidate, Outcome, Status};
use crate::stats::{Interval, human_normalised, interval};
use pavlov_env::Task;
use pavlov_reward::{Manifest, Reward};
use pavlov_run::Overrides;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Seeds of finalists and of the last training are this far from those of the search.
const AGAIN: u64 = 10_000;
const FINAL: u64 = 20_000;

/// Stage of the training on the task's fitness itself.
const SPARSE: &str = "sparse";

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// The best candidate; none when none could be trained.
    pub winner: Option<At>,
    /// Fitness of its policies, a seed each, under seeds and in worlds that the search did not use.
    pub found: Interval,
    /// The same of the human reward.
    pub human: Interval,
    /// Mean success of both.
    pub success: [f64; 2],
    /// Fitness that counts as 0 in the score.
    pub floor: f64,
    /// Whose fitness that is.
    pub floor_of: String,
    /// (found - floor) / |human - floor|, of the interquartile means.
    pub human_normalised: f64,
    /// Was its denominator held away from 0?
    pub guarded: bool,
    /// Is the interquartile mean found at least the human one?
    pub at_least_human: bool,
    /// Candidates proposed, admitted.
    pub candidates: [usize; 2],
    /// Environment steps of the search, of finalists and of the last training, that of the floor included.
    pub env_steps: [u64; 3],
    /// Spent on a model.
    pub spent: Spent,
    /// Comparisons that a rater made.
    pub comparisons: u32,
}

impl End {
    /// The floor of the score in words. Earlier searches did not say whose it is: it was the idle behaviour's.
    pub fn floor_text(&self) -> String {
        let of = if self.floor_of.is_empty() { "the audit set's idle behaviour" } else { &self.floor_of };
        format!("fitness {}, {of}", pavlov_common::page::short(self.floor))
    }
}

impl Search<'_> {
    /// Finalists, last training, statistics.
    pub(super) fn finish(&mut self) -> Result<End, SearchError> {
        let mode = self.settings.mode;
        let winner = mode.winner(self)?;
        if let Some(winner) = winner {
            self.last(winner)?;
        }
        let (floor, floor_of) = self.floor(winner.is_some())?;
        let finals = |at: Option<At>| -> Vec<&Outcome> {
            self.outcomes.iter().filter(|o| o.stage == "final" && o.at == at && o.error.is_none()).collect()
        };
        let (found, human) = (winner.map(|w| finals(Some(w))).unwrap_or_default(), finals(None));
        let fitness = |all: &[&Outcome]| interval(&all.iter().map(|o| o.fitness).collect::<Vec<_>>());
        let success = |all: &[&Outcome]| all.iter().fold(0.0, |sum, o| sum + o.success) / all.len().max(1) as f64;
        let steps = |stage: &str| self.outcomes.iter().filter(|o| o.stage == stage).map(|o| o.env_steps).sum();
        let (f, h) = (fitness(&found), fitness(&human));
        let (human_normalised, guarded) = human_normalised(f.iqm, h.iqm, floor);
        let mut spent = Spent::default();
        for e in self.lineage.exchanges()? {
            spent =
                spent.plus(&Spent { requests: 1, tokens_in: e.tokens_in, tokens_out: e.tokens_out, money: e.money });
        }
        let admitted = self.candidates.iter().filter(|c| c.status != Status::Refused).count();
        let end = End {
            winner,
            success: [success(&found), success(&human)],
            found: f,
            human: h,
            floor,
            floor_of,
            human_normalised,
            guarded,
            at_least_human: winner.is_some() && f.iqm >= h.iqm,
            candidates: [self.candidates.len(), admitted],
            env_steps: [steps("search"), steps("again"), steps("final") + steps(SPARSE)],
            spent,
            comparisons: self.answers.iter().map(|a| a.comparisons).sum(),
        };
        self.lineage.set("end", &end)?;
        Ok(end)
    }

    /// The fittest of the finalists, trained longer under other seeds.
    pub(super) fn fittest_finalist(&mut self) -> Result<Option<At>, SearchError> {
        let trained = self.candidates.iter().filter(|c| c.status == Status::Trained);
        let mut order: Vec<(f64, At)> = trained.filter_map(|c| Some((self.fitness(c.at)?, c.at))).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.truncate(self.settings.finalists as usize);
        if order.len() <= 1 {
            return Ok(order.first().map(|(_, at)| *at));
        }
        for seed in self.seeds(AGAIN, self.settings.finalist_seeds) {
            let have = |at: At| self.outcomes.iter().any(|o| o.stage == "again" && o.at == Some(at) && o.seed == seed);
            let due = order.iter().filter(|(_, at)| !have(*at)).filter_map(|(_, at)| self.candidate(*at));
            let jobs = due.map(|c| self.job(c)).collect::<Result<Vec<_>, _>>()?;
            if jobs.is_empty() {
                continue;
            }
            self.halt()?;
            let training = Training {
                overrides: self.overrides(self.settings.final_steps)?,
                seeds: vec![seed],
                halving: false,
                stage: "again",
                limit: None,
            };
            let trained = self.train_jobs(&jobs, &training, &format!("again-{seed}"))?;
            let outcomes: Vec<Outcome> = trained.into_iter().flat_map(|t| t.outcomes).collect();
            self.lineage.put_outcomes(&outcomes, &[])?;
            self.outcomes.extend(outcomes);
        }
        // One lucky seed names no winner.
        let mean = |at: At| {
            let again = self.outcomes.iter().filter(|o| o.stage == "again" && o.at == Some(at));
            let all: Vec<f64> = again.map(|o| if o.error.is_some() { f64::NEG_INFINITY } else { o.fitness }).collect();
            all.iter().sum::<f64>() / all.len().max(1) as f64
        };
        let scored = order.iter().map(|(_, at)| (mean(*at), *at));
        Ok(scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, at)| at))
    }

    /// Trains the winner and the human reward, a seed after the other: side by side where they have the same settings.
    fn last(&mut self, winner: At) -> Result<(), SearchError> {
        let Some(c) = self.candidate(winner).cloned() else { return Ok(()) };
        let (found, human) = (self.job(&c)?, Job { at: None, reward: self.human.clone() });
        let overrides = self.overrides(self.settings.final_steps)?;
        let of_human = self.overrides_of_human()?;
        if self.settings.human_steps == 0 {
            return self.finals("final", &[found, human], &overrides);
        }
        self.finals("final", &[found], &overrides)?;
        self.finals("final", &[human], &of_human)
    }

    /// Trains what has no outcome yet of a stage under the seeds of the end.
    fn finals(&mut self, stage: &'static str, jobs: &[Job], overrides: &Overrides) -> Result<(), SearchError> {
        for seed in self.seeds(FINAL, self.settings.final_seeds) {
            let have = |o: &Outcome, at: Option<At>| o.stage == stage && o.seed == seed && o.at == at;
            if jobs.iter().all(|job| self.outcomes.iter().any(|o| have(o, job.at))) {
                continue;
            }
            self.halt()?;
            let training =
                Training { overrides: overrides.clone(), seeds: vec![seed], halving: false, stage, limit: None };
            // Jobs of a cluster have a folder each.
            let name = match jobs {
                [Job { at: None, .. }] if stage == "final" => format!("human-{seed}"),
                _ => format!("{stage}-{seed}"),
            };
            let trained = self.train_jobs(jobs, &training, &name)?;
            let outcomes: Vec<Outcome> = trained.into_iter().flat_map(|t| t.outcomes).collect();
            self.lineage.put_outcomes(&outcomes, &[] as &[Candidate])?;
            outcomes.iter().for_each(|o| (self.means.on_event)(&super::Event::Final(o)));
            self.outcomes.extend(outcomes);
        }
        Ok(())
    }

    /// Fitness that counts as 0 in the human-normalised score, and whose it is.
    fn floor(&mut self, is_worth_training: bool) -> Result<(f64, String), SearchError> {
        if self.settings.floor == Floor::Sparse && is_worth_training {
            let job = Job { at: None, reward: Arc::new(sparse(&self.task)?) };
            let overrides = self.overrides_of_human()?;
            self.finals(SPARSE, &[job], &overrides)?;
            let fitness: Vec<f64> =
                self.outcomes.iter().filter(|o| o.stage == SPARSE && o.error.is_none()).map(|o| o.fitness).collect();
            let of = format!("a policy trained on the task's fitness itself, {} seeds", fitness.len());
            return Ok((interval(&fitness).iqm, of));
        }
        let audit = &self.audit;
        let idle = (0..audit.behaviours.len()).find(|&k| audit.behaviours[k].idle);
        let least = || (0..audit.fitness.len()).min_by(|&a, &b| audit.fitness[a].total_cmp(&audit.fitness[b]));
        match (idle, idle.or_else(least)) {
            (Some(k), _) => Ok((
                audit.fitness[k],
                format!("the audit set's `{}`: {}", audit.behaviours[k].name, audit.behaviours[k].about),
            )),
            (None, Some(k)) => {
                Ok((audit.fitness[k], format!("the audit set's least fit behaviour, `{}`", audit.behaviours[k].name)))
            }
            (None, None) => Ok((0.0, "zero: nothing is audited".into())),
        }
    }
}

/// The task's fitness as a reward.
fn sparse(task: &Task) -> Result<Reward, SearchError> {
    let path = task.path.with_extension("rhai");
    let script = pavlov_common::text::read(&path).map_err(|e| SearchError::file("read", &path, e))?;
    let script = format!("{script}\nfn reward(s, p) {{ #{{ fitness: fitness(s) }} }}\n");
    Ok(Reward::from_text("fitness", &path.display().to_string(), &script, Manifest::default(), task.scene())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::Assets;

    #[test]
    fn the_fitness_of_every_task_that_has_one_is_a_reward() {
        let assets = Assets::find(None);
        let names = ["ant_run", "cartpole_swingup", "half_cheetah_run", "hopper_hop", "go1_velocity", "walker_walk"];
        for name in names {
            let task = Task::load(&assets, name).unwrap();
            assert_eq!(sparse(&task).unwrap().term_names(), ["fitness"], "{name}");
        }
    }
}
