//! Errors of the learner.

use std::path::PathBuf;

/// What can go wrong. Messages say what was expected and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// A hyperparameter is out of its range.
    #[error("learner setting `{key}` is {value}: expected {expected}")]
    Config {
        /// Name of the setting as it stands in the file.
        key: &'static str,
        /// Value found.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The environment's blocks do not fit the learner, or a slice has the wrong size.
    #[error("{size} is {found}, the learner was made for {expected}")]
    Shape {
        /// Which size.
        size: &'static str,
        /// Size found.
        found: usize,
        /// Size expected.
        expected: usize,
    },
    /// Training gave a number that is not finite. The parameters are left as they were before the bad step.
    #[error("update {update}: {quantity} is not finite; {hint}")]
    NotFinite {
        /// Update (counted from 0) in which it happened.
        update: u64,
        /// Which quantity.
        quantity: &'static str,
        /// What to look at.
        hint: &'static str,
    },
    /// A checkpoint cannot be used.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// An ONNX export was asked for with arguments that do not fit.
    #[error("ONNX export: {0}")]
    Onnx(String),
    /// The device failed, or what is asked of it does not fit.
    #[error(transparent)]
    Gpu(#[from] pavlov_physics::gpu::GpuError),
    /// An environment on a device failed.
    #[error("{0}")]
    Environment(String),
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// File.
        path: PathBuf,
        /// Reason given by the system.
        source: std::io::Error,
    },
}
