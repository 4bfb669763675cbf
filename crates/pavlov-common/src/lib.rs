//! What several crates need alike: charts and pages of reports, statistics, files that are written whole or not at all,
//! text files as people save them, text of others made fit to be shown, names that were meant and names of files, whose
//! folders are and which files may be named, where robots, tasks and rewards are found, which of them came with Pavlov, and
//! what a step of an environment gives.
//!
//! This crate stands lowest: it uses no other crate of the workspace and knows nothing of what robots or rewards say.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

pub mod assets;
pub mod atomic;
pub mod chart;
pub mod errors;
pub mod fence;
pub mod file;
pub mod folders;
pub mod names;
pub mod own;
pub mod page;
mod plain;
pub mod shipped;
pub mod stats;
mod step;
pub mod testing;
pub mod text;

pub use plain::{LONGEST, plain, plain_lines, visible, visible_json};
pub use step::StepOut;
