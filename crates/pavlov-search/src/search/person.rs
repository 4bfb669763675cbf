//! Who watches: a person, or a scripted rater.

use crate::error::SearchError;
use crate::lineage::{Answer, At};
use std::path::PathBuf;

/// A candidate that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Which one.
    pub at: At,
    /// Place in what is shown.
    pub place: u32,
    /// Clip of what its policy does, where one was recorded.
    pub clip: Option<PathBuf>,
    /// Fitness of what the clip shows. For scripted raters; people are not told.
    pub fitness: f64,
}

/// Someone who can be asked.
pub trait Person {
    /// Best and worst of those shown, and words if there are any. None: nobody is there.
    ///
    /// # Errors
    /// When the answer cannot be had.
    fn choose(&mut self, iteration: u32, shown: &[Shown]) -> Result<Option<Answer>, SearchError>;

    /// Words about the best of an iteration.
    ///
    /// # Errors
    /// When the answer cannot be had.
    fn words(&mut self, iteration: u32, best: &Shown) -> Result<Option<String>, SearchError>;
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Person for Nobody {
    fn choose(&mut self, _: u32, _: &[Shown]) -> Result<Option<Answer>, SearchError> {
        Ok(None)
    }

    fn words(&mut self, _: u32, _: &Shown) -> Result<Option<String>, SearchError> {
        Ok(None)
    }
}

/// A rater that goes by the fitness of what a clip shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scripted;

/// Comparisons of two by which best and worst of so many can be found: pairs first, then the winners and the losers
/// among themselves.
pub fn comparisons(shown: usize) -> u32 {
    (3 * shown).div_ceil(2).saturating_sub(2) as u32
}

impl Person for Scripted {
    fn choose(&mut self, iteration: u32, shown: &[Shown]) -> Result<Option<Answer>, SearchError> {
        let by_fitness = |a: &&Shown, b: &&Shown| a.fitness.total_cmp(&b.fitness).then(b.place.cmp(&a.place));
        let (best, worst) = (shown.iter().max_by(by_fitness), shown.iter().min_by(by_fitness));
        Ok(Some(Answer {
            iteration,
            rater: "scripted".into(),
            best: best.map(|s| s.place),
            worst: worst.map(|s| s.place),
            comparisons: comparisons(shown.len()),
            text: String::new(),
        }))
    }

    fn words(&mut self, _: u32, _: &Shown) -> Result<Option<String>, SearchError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rater_picks_by_fitness() {
        let shown = |place: u32, fitness: f64| Shown { at: At::new(0, place), place, clip: None, fitness };
        let answer = Scripted.choose(2, &[shown(0, 1.0), shown(1, 3.0), shown(2, -1.0)]).unwrap().unwrap();
        assert_eq!((answer.best, answer.worst, answer.comparisons), (Some(1), Some(2), 3));
        assert_eq!([2, 6, 7].map(comparisons), [1, 7, 9]);
    }
}
