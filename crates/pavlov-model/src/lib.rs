//! Robot and scene description: MJCF read and compiled to an immutable [`Model`].
//!
//! ```text
//! file ─ xml (tree with places) ─ attrs (defaults, typed) ─ reader ─ body, actuator, contact, sensor ─> Model
//! ```
//! What the reader cannot honour is a [`ModelError`] that names file, line, element and attribute.

mod actuator;
mod attrs;
mod body;
mod contact;
mod describe;
mod error;
mod inertia;
mod model;
mod options;
mod reader;
mod rotation;
mod sensor;
mod xml;

pub use describe::describe;
pub use error::{ErrorParts, ModelError, did_you_mean, nearest};
pub use model::*;
pub use reader::{load_mjcf, parse_mjcf};
