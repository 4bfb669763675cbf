//! The end of a search: finalists, the last training beside the human reward, statistics.

use super::{Job, Search, Training};
use crate::client::Spent;
use crate::error::SearchError;
use crate::lineage::{At, Candidate, Outcome, Status};
use crate::stats::{Interval, human_normalised, interval};
use serde::{Deserialize, Serialize};

/// Seeds of finalists and of the last training are this far from those of the search.
const AGAIN: u64 = 10_000;
const FINAL: u64 = 20_000;

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The best candidate; none when none could be trained.
    pub winner: Option<At>,
    /// Fitness of its policies, a seed each, under seeds and in worlds that the search did not use.
    pub found: Interval,
    /// The same of the human reward.
    pub human: Interval,
    /// Mean success of both.
    pub success: [f64; 2],
    /// Fitness of doing nothing: the floor of the score.
    pub floor: f64,
    /// (found - floor) / |human - floor|, of the interquartile means.
    pub human_normalised: f64,
    /// Was its denominator held away from 0?
    pub guarded: bool,
    /// Is the interquartile mean found at least the human one?
    pub at_least_human: bool,
    /// Candidates proposed, admitted.
    pub candidates: [usize; 2],
    /// Environment steps of the search, of finalists and of the last training.
    pub env_steps: [u64; 3],
    /// Spent on a model.
    pub spent: Spent,
    /// Comparisons that a rater made.
    pub comparisons: u32,
}

impl Search<'_> {
    /// Finalists, last training, statistics.
    pub(super) fn finish(&mut self) -> Result<End, SearchError> {
        let mode = self.settings.mode;
        let winner = mode.winner(self)?;
        if let Some(winner) = winner {
            self.last(winner)?;
        }
        let finals = |at: Option<At>| -> Vec<&Outcome> {
            self.outcomes.iter().filter(|o| o.stage == "final" && o.at == at && o.error.is_none()).collect()
        };
        let (found, human) = (winner.map(|w| finals(Some(w))).unwrap_or_default(), finals(None));
        let fitness = |all: &[&Outcome]| interval(&all.iter().map(|o| o.fitness).collect::<Vec<_>>());
        let success = |all: &[&Outcome]| all.iter().fold(0.0, |sum, o| sum + o.success) / all.len().max(1) as f64;
        let steps = |stage: &str| self.outcomes.iter().filter(|o| o.stage == stage).map(|o| o.env_steps).sum();
        let audit = &self.audit;
        let idle = (0..audit.behaviours.len()).find(|&k| audit.behaviours[k].idle);
        let floor = match idle {
            Some(k) => audit.fitness[k],
            None => audit.fitness.iter().copied().fold(f64::INFINITY, f64::min),
        };
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
            human_normalised,
            guarded,
            at_least_human: winner.is_some() && f.iqm >= h.iqm,
            candidates: [self.candidates.len(), admitted],
            env_steps: [steps("search"), steps("again"), steps("final")],
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

    /// Trains the winner and the human reward side by side, a seed after the other.
    fn last(&mut self, winner: At) -> Result<(), SearchError> {
        let Some(c) = self.candidate(winner).cloned() else { return Ok(()) };
        for seed in self.seeds(FINAL, self.settings.final_seeds) {
            let have = |o: &Outcome, at: Option<At>| o.stage == "final" && o.seed == seed && o.at == at;
            if self.outcomes.iter().any(|o| have(o, Some(winner))) && self.outcomes.iter().any(|o| have(o, None)) {
                continue;
            }
            self.halt()?;
            let jobs = [self.job(&c)?, Job { at: None, reward: self.human.clone() }];
            let training = Training {
                overrides: self.overrides(self.settings.final_steps)?,
                seeds: vec![seed],
                halving: false,
                stage: "final",
                limit: None,
            };
            let trained = self.train_jobs(&jobs, &training, &format!("final-{seed}"))?;
            let outcomes: Vec<Outcome> = trained.into_iter().flat_map(|t| t.outcomes).collect();
            self.lineage.put_outcomes(&outcomes, &[] as &[Candidate])?;
            outcomes.iter().for_each(|o| (self.means.on_event)(&super::Event::Final(o)));
            self.outcomes.extend(outcomes);
        }
        Ok(())
    }
}
