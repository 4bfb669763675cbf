//! What can go wrong in a run, and which of it is the user's to mend.

use pavlov_common::errors::is_of_the_path;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Task, robot, reward or saved environment.
    #[error(transparent)]
    Env(#[from] pavlov_env::EnvError),
    /// Reward.
    #[error(transparent)]
    Reward(#[from] pavlov_reward::RewardError),
    /// Learner.
    #[error(transparent)]
    Learn(#[from] pavlov_learn::LearnError),
    /// The GPU cannot be used, or failed.
    #[error(transparent)]
    Gpu(#[from] pavlov_physics::gpu::GpuError),
    /// A setting that is unknown or has an impossible value.
    #[error("setting `{key}`{place}: {message}")]
    Setting {
        /// Name as given.
        key: String,
        /// ` in FILE`, or empty for the command line.
        place: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A file or folder that could not be read or written.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// `read`, `write`, `create`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a run folder whose contents cannot be used.
    #[error("{path}: {message}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Something was asked for that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The run cannot go on.
    #[error("{0}")]
    Failed(String),
}

impl From<pavlov_common::atomic::WriteError> for RunError {
    fn from(e: pavlov_common::atomic::WriteError) -> Self {
        Self::Io { action: "write", path: e.path, source: e.source }
    }
}

impl From<pavlov_common::own::OwnError> for RunError {
    fn from(e: pavlov_common::own::OwnError) -> Self {
        use pavlov_common::own::OwnError;
        match e {
            OwnError::Io { action, path, source } => Self::Io { action, path, source },
            foreign @ OwnError::Foreign { .. } => Self::Usage(foreign.to_string()),
        }
    }
}

impl RunError {
    /// Is it wrong use or bad input (exit code 2), rather than a failure while running (1)?
    pub fn is_bad_input(&self) -> bool {
        use pavlov_learn::LearnError;
        match self {
            Self::Env(_) | Self::Reward(_) | Self::Setting { .. } | Self::Damaged { .. } | Self::Usage(_) => true,
            Self::Learn(LearnError::NotFinite { .. } | LearnError::Environment(_)) | Self::Failed(_) => false,
            Self::Gpu(e) | Self::Learn(LearnError::Gpu(e)) => {
                use pavlov_physics::gpu::GpuError;
                matches!(e, GpuError::NoAdapter | GpuError::NoSuchAdapter { .. } | GpuError::Limit { .. })
            }
            Self::Learn(LearnError::Io { action, source, .. }) | Self::Io { action, source, .. } => {
                *action == "read" || is_of_the_path(source.kind())
            }
            Self::Learn(_) => true,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }

    pub(crate) fn damaged(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_path_buf(), message: message.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_cause() {
        let missing = RunError::io("read", Path::new("x"), std::io::ErrorKind::NotFound.into());
        let full = RunError::io("write", Path::new("x"), std::io::ErrorKind::StorageFull.into());
        assert!(missing.is_bad_input() && !full.is_bad_input());
        assert!(!RunError::Failed("diverged".into()).is_bad_input());
        assert!(RunError::damaged(Path::new("x"), "cut").is_bad_input());
    }
}
