//! What several crates need alike: charts and pages of reports, statistics, files that are written whole or not at all,
//! and text files as people save them.
//!
//! This crate stands lowest: it uses no other crate of the workspace and knows nothing of robots or rewards.

pub mod atomic;
pub mod chart;
pub mod page;
pub mod stats;
pub mod text;
