//! Vision-language rewards: what a picture of a robot says about a prompt.
//!
//! ```text
//! vision.toml, *.onnx, tokenizer.json ─> VisionModel ─┬─ vectors of texts (kept) ─> Goal ─┐
//! qpos ─> pictures (pavlov-render) ───────────────────┴─ vectors of pictures ─────────────┴─> score
//! ```
//! [`register_sources`] makes it a reward source, `kind = "vision"`.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod audit;
pub mod dataset;
mod distil;
mod error;
mod eyes;
mod features;
mod judge;
mod measure;
mod model;
mod options;
mod rater;
mod report;
mod score;
mod source;
mod stages;

pub use audit::{Audit, AuditOptions, Judged, Swept, audit};
pub use distil::Agreement;
pub use error::VisionError;
pub use eyes::{Eyes, Sight, difference};
pub use features::Features;
pub use judge::{Judge, read_pictures};
pub use measure::{auroc, epic};
pub use model::{
    Choice, Embedding, Fit, ImageTower, Manifest, Runtime, TextTower, VisionModel, choose_runtime, runtime,
    tell_libraries,
};
pub use rater::Onlooker;
pub use report::write_audit;
pub use score::{Goal, probability};
pub use source::{model_folder, register_sources};
pub use stages::Stages;
