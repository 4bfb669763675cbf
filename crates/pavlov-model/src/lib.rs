//! Robot and scene description: MJCF read and compiled to an immutable [`Model`].
mod model;
pub use model::*;
