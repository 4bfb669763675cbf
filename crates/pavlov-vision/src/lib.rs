//! Vision-language rewards: what a picture of a robot says about a prompt.
//!
//! ```text
//! vision.toml, *.onnx, tokenizer.json ─> VisionModel ─┬─ vectors of texts (kept) ─> Goal ─┐
//! qpos ─> pictures (pavlov-render) ───────────────────┴─ vectors of pictures ─────────────┴─> score
//! ```

pub mod dataset;
mod error;
mod model;
mod score;

pub use error::VisionError;
pub use model::{
    Choice, Embedding, Fit, ImageTower, Manifest, Runtime, TextTower, VisionModel, choose_runtime, runtime,
};
pub use score::{Goal, probability};
