//! What can go wrong between a task file and a running environment.

use pavlov_common::assets::NotFound;
pub(crate) use pavlov_common::names::hint;
use std::path::{Path, PathBuf};

/// An error of this crate. Display gives file, place, what was found, what was expected and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The GPU cannot do it.
    #[error("{message}")]
    Gpu {
        /// Why, and what to do.
        message: String,
    },
    /// A task, reward or robot that is in none of the places searched.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// A file that could not be read.
    #[error("{path}: cannot be read: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A task file that says something that cannot be honoured.
    #[error("{path}:{line}:{column}: {message}", path = .path.display())]
    Task {
        /// The task file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The robot file was refused.
    #[error("{path}: robot of the task: {message}", path = .path.display())]
    Robot {
        /// The robot file.
        path: PathBuf,
        /// The reader's error.
        message: String,
    },
    /// The physics engine refused the model.
    #[error("robot {robot}: physics: {message}")]
    Physics {
        /// Robot.
        robot: String,
        /// The engine's error.
        message: String,
    },
    /// A task script was refused. The text is the script checker's own report.
    #[error("{message}")]
    Script {
        /// The checker's report, rustc style.
        message: String,
    },
    /// The reward cannot be used here. The text is its own report.
    #[error("{message}")]
    Reward {
        /// What is wrong.
        message: String,
    },
    /// Wrong use of the environment (for example zero worlds).
    #[error("{0}")]
    Usage(String),
    /// A saved state that does not fit this environment.
    #[error("saved environment state: {0}")]
    State(String),
}

impl EnvError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}
