//! Rewards: a folder `{reward.toml, reward.rhai}`, or a lone `.rhai` file.
//!
//! ```text
//! reward.toml (parameters, sources, transforms, combiner) ─┐
//! reward.rhai (fn reward(s, p) -> named terms) ────────────┴─ Reward::load(path, scene)
//!                                                          ─> one program: every node, total
//! ```
//! [`SOURCES`], [`TRANSFORMS`] and [`COMBINERS`] are the tables of names. What changes between updates is in
//! [`Adaptive`], what is no arithmetic on columns is a [`RewardSource`].

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod adapt;
mod blocks;
mod combine;
pub mod compare;
mod graph;
mod manifest;
mod nodes;
mod read;
mod reward;
mod score;
mod source;
mod transform;

pub use adapt::{Adaptive, ConstraintState, Moments};
pub use blocks::{
    Block, COMBINERS, EMBEDDED, Opt, Otherwise, SOURCES, TRANSFORMS, Takes, documentation, file_options, vision_model,
};
pub use manifest::{Combine, Manifest, Param, TermTable};
pub use nodes::{Constraint, CriticPart, HostKind, HostNumber, RewardGraph, Side, SourceSpec, TOTAL};
pub use read::with_values;
pub use reward::{Reward, RewardError};
pub use score::{Columns, ScoreError, Scored, Span, score};
pub use source::{RewardSource, SourceFactory, SourceSetup, SourceStep, register_source};
