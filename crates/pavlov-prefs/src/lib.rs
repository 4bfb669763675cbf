//! Learning from people: one append-only store of labels, statistics of raters, and what to show next.
//!
//! ```text
//! runs/*/rollouts ─ Pool ─ PairSampler ─> a person or a scripted rater ─> LabelStore (runs/labels.sqlite)
//! ```
//! The README documents the tables and the JSON lines.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod answered;
mod ask;
mod coin;
mod dataset;
mod differences;
mod error;
mod features;
mod fit;
mod folder;
pub mod jsonl;
mod label;
mod learn;
mod linear;
mod logistic;
mod math;
mod member;
mod model_file;
mod nets;
mod posterior;
mod query;
mod rater;
mod rng;
mod rounds;
mod segments;
mod select;
mod source;
mod spo;
mod stats;
mod store;
mod store_read;
mod sums;
mod uncertainty;
mod write_back;

pub use answered::{Answered, Before};
pub use ask::{Asking, Known, ask, ask_knowing, sums_of_terms};
pub use coin::AgainstCoin;
pub use dataset::{Dataset, Loss, Pair, Quality, Split};
pub use error::PrefsError;
pub use features::Features;
pub use fit::{Fit, FitOptions, Learnt, MODELS, Model};
pub use folder::{Combine, write_linear, write_nets};
pub use label::{Answer, Choice, Entry, Label, Segment, Versions, reset_seed};
pub use learn::{LinearFit, NetFit, advantage, fit_linear, fit_nets, weigh};
pub use linear::Linear;
pub use member::{Kind, Member};
pub use nets::{NetOptions, Nets};
pub use posterior::{Posterior, Verdict, verdicts};
pub use query::{PairOptions, PairQuery, PairSampler};
pub use rater::{Rater, Scripted, TEACHERS, Teacher, Thresholds, best_and_worst, cyclic_chance, verdict};
pub use rng::Rng;
pub use rounds::{Admit, Ask, Round, Rounds, RoundsOptions};
pub use segments::{OfFile, Pool, PoolFile, SegmentScore, States};
pub use select::{STRATEGIES, Seen, Strategy, select};
pub use source::register_sources;
pub use stats::{Consistency, RaterStats, Stats, stats};
pub use store::{Imported, LabelStore, retracted};
pub use write_back::{Change, changes, own_params, rewrite};
