//! Learning from people: one append-only store of labels, statistics of raters, and what to show next.
//!
//! ```text
//! runs/*/rollouts ─ Pool ─ PairSampler ─> a person or a scripted rater ─> LabelStore (runs/labels.sqlite)
//! ```
//! The README documents the tables and the JSON lines.

mod dataset;
mod error;
mod features;
pub mod jsonl;
mod label;
mod linear;
mod math;
mod model_file;
mod nets;
mod query;
mod rater;
mod rng;
mod segments;
mod stats;
mod store;

pub use dataset::{Dataset, Loss, Pair, Quality};
pub use error::PrefsError;
pub use features::Features;
pub use label::{Answer, Choice, Entry, Label, Segment, Versions, reset_seed};
pub use linear::Linear;
pub use nets::{Kind, Member, NetOptions, Nets};
pub use query::{PairOptions, PairQuery, PairSampler};
pub use rater::{Rater, Scripted, TEACHERS, Teacher, Thresholds, verdict};
pub use rng::Rng;
pub use segments::{Pool, PoolFile, SegmentScore, States};
pub use stats::{Consistency, RaterStats, Stats, stats};
pub use store::{Imported, LabelStore, retracted};
