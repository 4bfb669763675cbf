//! Saying which of two behaviours is better: pairs (or the best and worst of several) of recorded segments, shown side
//! by side in step.
//!
//! ```text
//! rollouts of the task's runs ─ Pool, PairSampler ─> Query ─ keys ─> LabelStore (on the disk before the next is shown)
//! ```

mod labelling;
mod query;
mod source;
mod waiting;

pub use labelling::Labelling;
pub use query::{Mode, Query};
