//! `text2reward`: one reward, repaired by the checker's errors and changed again and again by what a person says.
//! Source: Xie et al., "Text2Reward: Reward Shaping with Language Models for Reinforcement Learning", 2023.

use super::Mode;
use crate::error::SearchError;
use crate::lineage::At;
use crate::search::{Generator, Search, Settings};

/// Mode `text2reward`.
#[derive(Debug, Clone, Copy)]
pub struct Text2reward;

impl Mode for Text2reward {
    fn name(&self) -> &'static str {
        "text2reward"
    }

    fn about(&self) -> &'static str {
        "One reward, the checker's errors and your words"
    }

    fn usual(&self, settings: Settings) -> Settings {
        Settings { candidates: 1, repairs: 3, ..settings }
    }

    fn check(&self, settings: &Settings) -> Result<(), SearchError> {
        if settings.generator == Generator::Embedded {
            return Err(SearchError::Usage(
                "mode text2reward needs a language model: --generator llm, with --base-url or --replay".into(),
            ));
        }
        Ok(())
    }

    /// The last one that was trained.
    fn base(&self, search: &Search<'_>, iteration: u32, _place: u32) -> Option<At> {
        let before = search.candidates.iter().filter(|c| c.at.iteration < iteration);
        before.rev().find(|c| search.fitness(c.at).is_some()).map(|c| c.at)
    }
}
