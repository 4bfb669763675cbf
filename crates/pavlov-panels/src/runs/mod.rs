//! Finished and running trainings: a list to search, curves laid over each other, and [`Replay`] of what a run has
//! recorded, also under another reward.
//!
//! ```text
//! run folders ──(own thread)──> Runs: list, curves
//! a run ──(own thread)──> Replay: frames for the scene, terms; edited reward ──> what changes, where
//! ```
//! Nothing here writes to a run folder.

mod browser;
mod curves;
mod difference;
pub(crate) mod job;
mod recording;
mod replay;
mod table;
pub(crate) mod text;
mod watch;

pub use browser::{Runs, RunsRequest, RunsView};
pub(crate) use curves::short_axis;
pub use curves::{Along, CurvesView, RunCurves, smooth};
pub(crate) use difference::{peaks, standardised};
pub use recording::{Playable, Recording};
pub use replay::Replay;
pub use table::Column;
