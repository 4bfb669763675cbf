//! What can go wrong with a picture, and which of it is the user's to mend.

use pavlov_physics::gpu::GpuError;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// There is nothing to draw with.
    #[error(
        "no Vulkan, Metal or DX12 adapter was found, and pictures need one: install a driver. One in software is \
         enough (on Debian and Ubuntu `apt-get install mesa-vulkan-drivers`); `pavlov devices` lists what was found"
    )]
    NoAdapter,
    /// The adapter cannot be used, or failed.
    #[error(transparent)]
    Gpu(GpuError),
    /// The robot cannot be posed.
    #[error(transparent)]
    Physics(#[from] pavlov_physics::PhysicsError),
    /// Something was asked for that there is not, or makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A picture file that cannot be written.
    #[error("cannot write {path}: {message}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl From<GpuError> for RenderError {
    fn from(error: GpuError) -> Self {
        match error {
            GpuError::NoAdapter => Self::NoAdapter,
            other => Self::Gpu(other),
        }
    }
}

impl RenderError {
    /// Is it wrong use or bad input (exit code 2), rather than a failure while running (1)?
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Gpu(e) => matches!(e, GpuError::NoSuchAdapter { .. } | GpuError::Limit { .. }),
            Self::NoAdapter | Self::Physics(_) | Self::Usage(_) => true,
            Self::Write { .. } => false,
        }
    }

    pub(crate) fn write(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Write { path: path.to_path_buf(), message: error.to_string() }
    }
}
