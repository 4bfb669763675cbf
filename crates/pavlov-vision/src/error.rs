//! What can go wrong, and which of it is the user's to mend.

use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// A file that could not be read.
    #[error("{path}: cannot be read: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a model that is not what its manifest says.
    #[error("{path}: {message}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// The runtime for ONNX models cannot be used.
    #[error("{0}")]
    Runtime(String),
    /// Something was asked for that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Pictures could not be drawn.
    #[error(transparent)]
    Render(#[from] pavlov_render::RenderError),
    /// A run could not be read.
    #[error(transparent)]
    Run(#[from] pavlov_run::RunError),
}

impl VisionError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn file(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_path_buf(), message: message.to_string() }
    }

    /// Is it wrong use or bad input (exit code 2), rather than a failure while running (1)?
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Render(e) => e.is_bad_input(),
            Self::Run(e) => e.is_bad_input(),
            _ => true,
        }
    }
}
