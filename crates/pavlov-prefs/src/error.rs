//! What can go wrong with labels, and which of it is the user's to mend.

use pavlov_common::errors::is_of_the_path;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum PrefsError {
    /// Runs and their rollouts.
    #[error(transparent)]
    Run(#[from] pavlov_run::RunError),
    /// The store could not be opened, read or written.
    #[error("label store {path}: cannot {action}: {source}", path = .path.display())]
    Store {
        /// `open`, `append`, `read`, ...
        action: &'static str,
        /// The store.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file that is not what it should be.
    #[error("{path}: {message}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file that could not be read or written.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A label that makes no sense.
    #[error("label refused: {0}")]
    Label(String),
    /// Something was asked for that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It cannot go on.
    #[error("{0}")]
    Failed(String),
}

impl From<pavlov_common::own::OwnError> for PrefsError {
    fn from(e: pavlov_common::own::OwnError) -> Self {
        Self::Run(e.into())
    }
}

impl PrefsError {
    /// Is it wrong use or bad input (exit code 2), rather than a failure while running (1)?
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Run(e) => e.is_bad_input(),
            Self::Damaged { .. } | Self::Label(_) | Self::Usage(_) => true,
            Self::Store { action, .. } => *action == "open",
            Self::Io { action, source, .. } => *action == "read" || is_of_the_path(source.kind()),
            Self::Failed(_) => false,
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
    use std::io::ErrorKind;

    #[test]
    fn input_that_is_wrong_is_told_from_a_disk_that_is_full() {
        let io =
            |action, kind: ErrorKind| PrefsError::io(action, Path::new("labels.jsonl"), kind.into()).is_bad_input();
        assert!(io("read", ErrorKind::StorageFull) && io("write", ErrorKind::NotFound));
        assert!(!io("write", ErrorKind::StorageFull));
        assert!(PrefsError::Usage("x".into()).is_bad_input() && !PrefsError::Failed("x".into()).is_bad_input());
        assert!(
            PrefsError::damaged(Path::new("a"), "b").is_bad_input() && PrefsError::Label("x".into()).is_bad_input()
        );
    }
}
