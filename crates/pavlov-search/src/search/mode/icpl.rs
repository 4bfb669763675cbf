//! `icpl`: a rater picks best and worst of those shown; the champion is shown again with new ones; fitness is not used.
//! Source: Yu et al., "ICPL: Few-shot In-context Preference Learning via LLMs", 2024.

use super::{Basis, JudgedBy, Mode};
use crate::client::Message;
use crate::error::SearchError;
use crate::lineage::{Answer, At, Status};
use crate::prompt;
use crate::search::{Search, Settings};

/// Mode `icpl`.
#[derive(Debug, Clone, Copy)]
pub struct Icpl;

/// What is shown after an iteration: the champion so far, then the trained ones of this iteration.
fn shown(search: &Search<'_>, iteration: u32) -> Vec<At> {
    let fresh = search.candidates.iter().filter(|c| c.at.iteration == iteration && c.status == Status::Trained);
    let champion = iteration.checked_sub(1).and_then(|before| champion(search, before));
    champion.into_iter().chain(fresh.map(|c| c.at)).collect()
}

/// The best by the answers up to an iteration.
fn champion(search: &Search<'_>, iteration: u32) -> Option<At> {
    let answer = search.answers.iter().find(|a| a.iteration == iteration && a.best.is_some());
    match answer.and_then(|a| a.best) {
        Some(place) => shown(search, iteration).get(place as usize).copied(),
        None => iteration.checked_sub(1).and_then(|before| champion(search, before)),
    }
}

/// Merit by what was said of a candidate wherever it was shown, the earliest first: iterations ago, was it best, was it
/// worst.
fn merit_of(said: impl IntoIterator<Item = (u32, bool, bool)>) -> Option<f64> {
    said.into_iter().fold(None, |merit, (ago, best, worst)| match (best, worst) {
        (true, _) => Some(1.0 / f64::from(1 + ago)),
        (_, true) => Some(-1.0),
        _ if ago == 0 => merit.or(Some(0.0)),
        _ => merit,
    })
}

impl Mode for Icpl {
    fn name(&self) -> &'static str {
        "icpl"
    }

    fn about(&self) -> &'static str {
        "You, or a scripted rater, pick best and worst"
    }

    /// A person who chooses waits for every seed.
    fn usual(&self, settings: Settings) -> Settings {
        Settings { candidates: 6, seeds: 1, ..settings }
    }

    fn check(&self, settings: &Settings) -> Result<(), SearchError> {
        if settings.candidates < 3 {
            let count = settings.candidates;
            return Err(SearchError::Usage(format!("{count} candidates: best and worst are picked of 3 or more")));
        }
        Ok(())
    }

    fn judged_by(&self) -> JudgedBy {
        JudgedBy::Rater
    }

    /// The champion is shown with the new ones, so there is one less after the first iteration.
    fn places(&self, settings: &Settings, iteration: u32) -> u32 {
        settings.candidates - u32::from(iteration > 0)
    }

    /// The champion counts most, former ones less; what was never best is not built on, what was worst takes credit
    /// away.
    fn merit(&self, search: &Search<'_>, at: At, iteration: u32) -> Option<f64> {
        let last = iteration.checked_sub(1)?;
        let said = (0..=last).filter_map(|i| {
            let place = shown(search, i).iter().position(|a| *a == at)? as u32;
            let answer = search.answers.iter().find(|a| a.iteration == i)?;
            Some((last - i, answer.best == Some(place), answer.worst == Some(place)))
        });
        merit_of(said)
    }

    fn base(&self, search: &Search<'_>, iteration: u32, _place: u32) -> Option<At> {
        iteration.checked_sub(1).and_then(|before| champion(search, before))
    }

    fn follow_up(&self, search: &Search<'_>, basis: &Basis<'_>) -> (Vec<Message>, Vec<At>) {
        let list = shown(search, basis.iteration.saturating_sub(1));
        let worst = basis.answer.and_then(|a| a.worst).and_then(|place| list.get(place as usize));
        let worst = worst.and_then(|at| search.candidate(*at));
        let worst = worst.map_or_else(String::new, |c| prompt::reward(&c.script, &c.manifest));
        let best = prompt::reward(&basis.parent.script, &basis.parent.manifest);
        let (count, statistics, said) = (list.len().to_string(), search.statistics(basis.outcome, false), basis.said());
        let values = [
            ("count", count.as_str()),
            ("best", best.as_str()),
            ("worst", worst.as_str()),
            ("statistics", statistics.as_str()),
            ("diff", basis.parent.diff.as_str()),
            ("words", said.as_str()),
        ];
        (vec![Message::user(search.means.prompts.fill("choose", &values))], vec![basis.parent.at])
    }

    fn ask(&self, search: &mut Search<'_>, iteration: u32) -> Result<Option<Answer>, SearchError> {
        let all = search.views(&shown(search, iteration));
        if all.len() < 2 {
            search.note("fewer than two candidates could be trained: nobody is asked");
            return Ok(None);
        }
        let answer = search.means.person.choose(iteration, &all)?;
        let nobody =
            || SearchError::Usage("mode icpl needs someone to choose: --rater scripted, or --rater ask".into());
        let answer = answer.ok_or_else(nobody)?;
        let is_shown = |place: Option<u32>| place.is_none_or(|p| (p as usize) < all.len());
        if !is_shown(answer.best) || !is_shown(answer.worst) {
            return Err(SearchError::Usage(format!(
                "the answer names a place that was not shown: 0 to {}",
                all.len() - 1
            )));
        }
        Ok(Some(answer))
    }

    fn winner(&self, search: &mut Search<'_>) -> Result<Option<At>, SearchError> {
        let last = search.answers.iter().map(|a| a.iteration).max();
        Ok(last.and_then(|iteration| champion(search, iteration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merit_is_what_was_said_last_of_a_candidate() {
        for (said, merit) in [
            (vec![(0, true, false)], Some(1.0)),
            (vec![(3, true, false)], Some(0.25)),
            (vec![(2, true, false), (1, true, false), (0, false, false)], Some(0.5)),
            (vec![(1, true, false), (0, false, true)], Some(-1.0)),
            (vec![(2, false, true), (0, false, false)], Some(-1.0)),
            (vec![(0, false, false)], Some(0.0)),
            (vec![(1, false, false)], None),
            (vec![], None),
        ] {
            assert_eq!(merit_of(said.clone()), merit, "{said:?}");
        }
    }
}
