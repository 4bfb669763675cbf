//! What several crates need alike: charts and pages of reports, statistics, files that are written whole or not at all,
//! and what a step of an environment gives.
//!
//! This crate stands lowest: it uses no other crate of the workspace and knows nothing of robots or rewards.

pub mod assets;
pub mod atomic;
pub mod chart;
pub mod names;
pub mod page;
pub mod stats;
mod step;

pub use step::StepOut;
