//! Robot and scene description: MJCF read and compiled to an immutable [`Model`].
//!
//! ```text
//! file ─ xml (tree with places) ─ schema, defaults, attrs (typed) ─ reader ─ body, actuator, contact, sensor ─> Model
//! ```
//! What the reader cannot honour is a [`ModelError`] that names file, line, element and attribute.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod actuator;
mod attrs;
mod body;
mod contact;
mod defaults;
mod describe;
mod error;
mod gains;
mod inertia;
mod model;
mod options;
mod reader;
mod rotation;
mod schema;
mod sensor;
mod xml;

pub use describe::describe;
pub use error::{ErrorParts, ModelError, did_you_mean, nearest};
pub use model::*;
pub use reader::{load_mjcf, parse_mjcf};
pub use xml::{RobotFile, robot_files};
