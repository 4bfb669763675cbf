//! `drop-in`: scripts that a person brings, judged, trained and compared in one iteration.

use super::Mode;
use crate::error::SearchError;
use crate::search::Settings;

/// Mode `drop-in`.
#[derive(Debug, Clone, Copy)]
pub struct DropIn;

impl Mode for DropIn {
    fn name(&self) -> &'static str {
        "drop-in"
    }

    fn about(&self) -> &'static str {
        "Scripts that you bring"
    }

    fn check(&self, settings: &Settings) -> Result<(), SearchError> {
        if settings.given.is_empty() {
            return Err(SearchError::Usage("mode drop-in needs scripts: give files, or - for standard input".into()));
        }
        Ok(())
    }

    fn generates(&self) -> bool {
        false
    }

    fn operator_of_given(&self) -> &'static str {
        "paste"
    }

    fn rounds(&self, _settings: &Settings) -> u32 {
        1
    }

    fn places(&self, settings: &Settings, _iteration: u32) -> u32 {
        settings.given.len() as u32
    }
}
