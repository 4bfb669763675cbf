//! What can go wrong before a judgement is reached.

use pavlov_common::errors::is_of_the_path;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// An audit set that cannot be used.
    #[error("{path}: {message}", path = .path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
    /// Task or robot.
    #[error(transparent)]
    Env(#[from] pavlov_env::EnvError),
    /// Reward.
    #[error(transparent)]
    Reward(#[from] pavlov_reward::RewardError),
    /// Recorded states or playing.
    #[error(transparent)]
    Run(#[from] pavlov_run::RunError),
    /// Scoring.
    #[error(transparent)]
    Score(#[from] pavlov_reward::ScoreError),
    /// Comparing.
    #[error(transparent)]
    Compare(#[from] pavlov_reward::compare::CompareError),
    /// The lineage of a search.
    #[error("{path}: {message}", path = .path.display())]
    Lineage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file or folder that could not be read or written.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    File {
        /// `read`, `write`, `create`, `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The language model could not be asked, or did not answer.
    #[error("{0}")]
    Model(String),
    /// A budget is spent.
    #[error("{0}")]
    Budget(String),
    /// The search was asked to stop; it can be resumed.
    #[error("stopped: `pavlov search resume` goes on")]
    Stopped,
    /// Something was asked for that makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl From<pavlov_common::own::OwnError> for SearchError {
    fn from(e: pavlov_common::own::OwnError) -> Self {
        Self::Run(e.into())
    }
}

impl SearchError {
    pub(crate) fn file(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_path_buf(), source }
    }

    /// Is it wrong use or bad input (exit code 2), rather than a failure while running (1)?
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Run(e) => e.is_bad_input(),
            Self::File { action, source, .. } => *action == "read" || is_of_the_path(source.kind()),
            Self::Model(_) | Self::Budget(_) | Self::Stopped => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn what_a_person_did_wrong_is_told_from_what_failed() {
        let file = |action, kind: ErrorKind| SearchError::file(action, std::path::Path::new("x"), kind.into());
        assert!(file("read", ErrorKind::NotFound).is_bad_input());
        assert!(file("create", ErrorKind::NotADirectory).is_bad_input());
        assert!(file("write", ErrorKind::PermissionDenied).is_bad_input());
        assert!(!file("write", ErrorKind::StorageFull).is_bad_input());
        assert!(!file("lock", ErrorKind::Other).is_bad_input());
        assert!(!SearchError::Model("no answer".into()).is_bad_input());
        assert!(SearchError::Usage("--tries 0".into()).is_bad_input());
    }
}
