//! What can go wrong with a reward's files.

use pavlov_env::EnvError;
use std::path::PathBuf;

/// Why the editor cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EditorError {
    /// There is no such reward.
    #[error(transparent)]
    Find(#[from] EnvError),
    /// A file that cannot be read.
    #[error("{path}: cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("{path}: cannot be written: {source}; \
             to work on a copy of your own: pavlov rewards new --help", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the history, the drafts or the log that cannot be written.
    #[error("{path}: cannot be written: {source}; \
             --state names another folder for what the studio keeps", path = .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the history or of the log of changes that cannot be read.
    #[error("{path}:{line}: not a row of this file: {message}; \
             move the file away to begin a new one", path = .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A reward without a manifest cannot take another's parameters.
    #[error("{title} has parameters, and this reward is a lone script without a manifest: \
             open a reward that is a folder. {path}", path = .path.display())]
    NoManifest {
        /// What was to be put in.
        title: String,
        /// The script.
        path: PathBuf,
    },
    /// The system cannot start a thread.
    #[error("cannot start the checker: {0}")]
    Thread(std::io::Error),
    /// What is not the person's own is not written over.
    #[error("{why}: it is saved as a copy of your own, under another name")]
    Foreign {
        /// Whose it is.
        why: String,
    },
    /// What stands beside a script cannot be copied.
    #[error(transparent)]
    Copy(#[from] pavlov_common::folders::CopyError),
    /// A name for a copy that cannot be taken.
    #[error("{0}")]
    Name(String),
}
