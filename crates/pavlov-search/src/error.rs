//! What can go wrong before a judgement is reached.

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
        /// `read`, `write`, `create`.
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

impl SearchError {
    pub(crate) fn file(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_path_buf(), source }
    }

    /// Is it wrong use or bad input (exit code 2), rather than a failure while running (1)?
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Run(e) => e.is_bad_input(),
            Self::File { action, .. } => *action == "read",
            Self::Model(_) | Self::Budget(_) | Self::Stopped => false,
            _ => true,
        }
    }
}
