//! Rewards: a folder `{reward.toml, reward.rhai}`, or a lone `.rhai` file.
//!
//! ```text
//! reward.toml (about, parameters, combination) ─┐
//! reward.rhai (fn reward(s, p) -> named terms) ─┴─ Reward::load(path, scene) ─> terms per world ─ combine ─> total
//! ```

pub mod compare;
mod manifest;
mod reward;
mod score;

pub use manifest::{Combine, Manifest, Param};
pub use reward::{Reward, RewardError};
pub use score::{Columns, ScoreError, Scored, Span, score};
