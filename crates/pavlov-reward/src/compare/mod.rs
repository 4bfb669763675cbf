//! How far apart rewards are, without training: STARC and EPIC distances, rank correlations of returns.
//!
//! ```text
//! transitions (features of s and s', ends, groups, weights) ─ Canon::new ─> canonical(r) ─> distance(a, b)   starc.rs
//! the same of recorded trajectories ─ ValueFit::new ─> reward(r) ─> distance with its error              value.rs
//! R(s, a, s') evaluated anywhere ───────────────────────────────────────── epic() ────────> Pearson distance epic.rs
//! returns of episodes under two rewards ──────────────────────────────────────────────── kendall, spearman   pavlov-common
//! ```
//! Everything is `f64` and knows nothing of robots or scripts: a reward is its values on given transitions, or a
//! function of indices. Distances are in [0, 1]: 0 for rewards that order policies alike (positive factors, potential
//! shaping), 1 for a reward and its negation.

mod epic;
mod starc;
mod value;

pub use epic::{EpicError, EpicSamples, epic, epic_canonical};
pub use pavlov_common::stats::{kendall, pearson, ranks, spearman};
pub use starc::{Canon, CanonKind, CompareError, Transitions, distance, normalised};
pub use value::{Distance, TOO_UNSURE, Trajectories, ValueFit, Valued};
