//! Modes of a search: how rewards are asked for and who judges them. A mode is a file here and a row in [`MODES`].
//!
//! | mode | candidates an iteration | who judges | what the next ones are made from |
//! | --- | --- | --- | --- |
//! | `eureka` | many | fitness | the fittest so far (of an island) and its statistics |
//! | `text2reward` | one | fitness, and the words of a person | the last one |
//! | `icpl` | the champion and new ones | a rater: best and worst | the champion, beside the worst |
//! | `drop-in` | the scripts a person brings | fitness | nothing: there is one iteration |
//!
//! The methods of [`Mode`] that are given here are those of a search that goes by fitness; a mode says what it does
//! otherwise.

mod drop_in;
mod eureka;
mod icpl;
mod text2reward;

pub use drop_in::DropIn;
pub use eureka::Eureka;
pub use icpl::Icpl;
pub use text2reward::Text2reward;

use super::{Search, Settings};
use crate::client::Message;
use crate::error::SearchError;
use crate::lineage::{Answer, At, Candidate, Outcome};
use serde::{Deserialize, Deserializer, Serializer, de};

/// Every mode, in the order in which they are listed.
pub static MODES: [&dyn Mode; 4] = [&Eureka, &Text2reward, &Icpl, &DropIn];

/// Who says which candidates are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgedBy {
    /// The task's fitness: the less fit are given up on the way, and a search may end when it no longer rises.
    Fitness,
    /// A rater who is shown what was trained alike; fitness is not used.
    Rater,
}

/// What the next candidate is made from, and what became of it.
#[derive(Debug)]
pub struct Basis<'a> {
    /// The iteration that is asked for.
    pub iteration: u32,
    /// The place in it.
    pub place: u32,
    /// The candidate it is made from.
    pub parent: &'a Candidate,
    /// What training gave for it.
    pub outcome: &'a Outcome,
    /// What was answered after the iteration before.
    pub answer: Option<&'a Answer>,
}

impl Basis<'_> {
    /// The words of the answer, as a model is told of them; empty without any.
    pub fn said(&self) -> String {
        match self.answer.map(|answer| answer.text.as_str()) {
            Some(words) if !words.is_empty() => format!("A person who watched the robot says: {words}"),
            _ => String::new(),
        }
    }
}

/// How a search asks for rewards and judges them.
pub trait Mode: std::fmt::Debug + Sync {
    /// As it is written: on the command line and in the lineage.
    fn name(&self) -> &'static str;

    /// What it does, in a line of help.
    fn about(&self) -> &'static str;

    /// Settings of a task, with what is usual in this mode.
    fn usual(&self, settings: Settings) -> Settings {
        settings
    }

    /// What is impossible about settings in this mode.
    ///
    /// # Errors
    /// With the setting and what was expected.
    fn check(&self, _settings: &Settings) -> Result<(), SearchError> {
        Ok(())
    }

    /// Who says which candidates are good.
    fn judged_by(&self) -> JudgedBy {
        JudgedBy::Fitness
    }

    /// Does a generator fill places? Else the rewards given are all there is, scripts of the user's among them.
    fn generates(&self) -> bool {
        true
    }

    /// How the lineage names the making of rewards that were given.
    fn operator_of_given(&self) -> &'static str {
        "human"
    }

    /// Iterations there can be.
    fn rounds(&self, settings: &Settings) -> u32 {
        settings.iterations
    }

    /// Places of an iteration.
    fn places(&self, settings: &Settings, _iteration: u32) -> u32 {
        settings.candidates
    }

    /// What a candidate is worth as a parent in this iteration; none when nothing is made from it.
    fn merit(&self, search: &Search<'_>, at: At, _iteration: u32) -> Option<f64> {
        search.fitness(at)
    }

    /// The candidate that the next one at this place is made from.
    fn base(&self, search: &Search<'_>, iteration: u32, place: u32) -> Option<At> {
        search.fittest(iteration, place)
    }

    /// What a model is told after the opening to write the next candidate, and the candidates that it is made from.
    fn follow_up(&self, search: &Search<'_>, basis: &Basis<'_>) -> (Vec<Message>, Vec<At>) {
        search.reflect(basis)
    }

    /// Asks whoever watches, after an iteration. None: nothing was said.
    ///
    /// # Errors
    /// When an answer is needed and cannot be had.
    fn ask(&self, search: &mut Search<'_>, iteration: u32) -> Result<Option<Answer>, SearchError> {
        search.ask_for_words(iteration)
    }

    /// The best candidate, when the iterations are done.
    ///
    /// # Errors
    /// When finalists cannot be trained.
    fn winner(&self, search: &mut Search<'_>) -> Result<Option<At>, SearchError> {
        search.fittest_finalist()
    }
}

impl PartialEq for dyn Mode {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// The mode of this name.
pub fn mode_named(name: &str) -> Option<&'static dyn Mode> {
    MODES.into_iter().find(|mode| mode.name() == name)
}

/// Writes a mode as its name.
pub(super) fn serialize<S: Serializer>(mode: &&'static dyn Mode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(mode.name())
}

/// Reads a mode by its name.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static dyn Mode, D::Error> {
    let name = String::deserialize(deserializer)?;
    mode_named(&name).ok_or_else(|| {
        let known = MODES.map(Mode::name).join(", ");
        de::Error::custom(format!("unknown mode {name}: expected one of {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_kept_by_name() {
        assert_eq!(MODES.map(Mode::name), ["eureka", "text2reward", "icpl", "drop-in"]);
        let abouts: std::collections::BTreeSet<&str> = MODES.into_iter().map(Mode::about).collect();
        assert!(abouts.len() == MODES.len() && !abouts.contains(""), "{abouts:?}");
        for mode in MODES {
            let settings = Settings { mode, ..Settings::default() };
            let text = serde_json::to_string(&settings).unwrap();
            assert!(text.contains(&format!("\"mode\":\"{}\"", mode.name())), "{text}");
            assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        }
        let error = serde_json::from_str::<Settings>("{\"mode\": \"other\"}").unwrap_err().to_string();
        assert!(error.contains("unknown mode other: expected one of eureka, "), "{error}");
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap().mode.name(), "eureka");
    }

    #[test]
    fn each_mode_has_its_usual_numbers() {
        let usual = |mode: &dyn Mode| {
            let settings = mode.usual(Settings { seeds: 3, ..Settings::default() });
            (settings.candidates, settings.seeds, settings.repairs)
        };
        assert_eq!(MODES.map(usual), [(16, 3, 1), (1, 3, 3), (6, 1, 1), (16, 3, 1)]);
    }
}
