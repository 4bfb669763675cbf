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
    /// Something was asked for that makes no sense.
    #[error("{0}")]
    Usage(String),
}
