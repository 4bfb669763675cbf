//! Judging rewards before they are trained on, and searching for them ([`search`]).
//!
//! ```text
//! assets/audit/<task>.toml + small policies ─ AuditSet::load ─ play ─> Audit: episodes with every channel, fitness of each
//!                     reward ─────────────────────────────────────────┴─ gate() ─> findings: rule, term, world, step, value, fix
//!                     rewards ────────────────────────────────────────── versus() ─> STARC, EPIC, rank correlations, disagreements
//! ```
//! An audit set is one good behaviour and at least nine bad ones of a task, good and bad by the task's fitness. It is
//! played afresh from small policies and fixed patterns of actions, which takes a fraction of a second and needs no
//! recordings.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod audit;
mod behaviour;
pub mod client;
mod error;
mod gate;
pub mod grammar;
pub mod lineage;
mod others;
mod product;
pub mod prompt;
pub mod reply;
mod report;
mod sample;
pub mod search;
mod snapshot;
pub mod stats;
mod versus;

pub use audit::{Audit, AuditSet};
pub use behaviour::{Behaviour, Play};
pub use error::SearchError;
pub use gate::{AuditRow, GateFinding, GateReport, JudgedFor, RULES, Rule, gate, gate_for, rule, script_finding};
pub use others::other_rewards;
pub use report::{promote, write_report};
pub use sample::Sample;
pub use snapshot::{Node, Snapshot, Stamp, search_folders};
pub use versus::{Disagreement, Matrix, Neighbour, Versus, versus, written};
