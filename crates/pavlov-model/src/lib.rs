//! Robot and scene description: MJCF read and compiled to an immutable [`Model`].
mod error;
mod mjcf;
mod model;
pub use error::{ModelError, Problem, ProblemKind};
pub use mjcf::{load_mjcf, parse_mjcf};
pub use model::*;
