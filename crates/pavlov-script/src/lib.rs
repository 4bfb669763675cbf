//! Reward and task scripts: rhai files, checked once, lowered to columnar programs.
//!
//! ```text
//! text ─ Script::parse ─ Script::compile(entry, scene) ─> Program ─ run over [column][world]
//!                          lower (graph) ─ program (registers)      └ run_interpreted: rhai itself, the reference
//! ```
//! [`BUILTINS`] is the one table of names. Scripts are untrusted: no files, no network, bounded operations, memory and
//! depth.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod above;
mod builtins;
mod compile;
mod diag;
mod engine;
mod foreign;
mod graph;
mod interp;
mod library;
mod lint;
mod lower;
mod lower_expr;
mod lower_ops;
mod notes;
mod parity;
mod path;
mod program;
mod run;
mod scene;
mod script;
mod table;
mod tail;
mod tokens;
mod value;
mod words;

pub use diag::{Diagnostics, Finding, Severity};
pub use library::{
    ModuleFunction, available as available_modules, documentation as module_documentation, outline as module_outline,
};
pub use parity::Parity;
pub use program::Machine;
pub use run::{Program, Scratch, ScriptError};
pub use scene::{Channel, Input, JointInfo, Scene, SensorInfo};
pub use script::{EntryKind, Script};
pub use table::{BUILTINS, Builtin, CLOSURES, Form, Ty, documentation};
pub use tail::{Num, Slot, Tail, TailError};
pub use value::{Bin, Un};

/// What differs from other languages, as Markdown: for documentation pages.
pub const LANGUAGE: &str = include_str!("language.md");
