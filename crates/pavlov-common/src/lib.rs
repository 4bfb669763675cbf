//! What several crates need alike: charts and pages of reports, statistics, files that are written whole or not at all,
//! and text of others made fit to be shown.
//!
//! This crate stands lowest: it uses no other crate of the workspace and knows nothing of robots or rewards.

pub mod atomic;
pub mod chart;
pub mod page;
mod plain;
pub mod stats;

pub use plain::{LONGEST, plain, plain_lines, visible, visible_json};
