//! The second engine: rapier's multibodies, built from the same [`pavlov_model::Model`] and driven by the same controls.

mod build;
mod contacts;
mod forces;
mod layout;
mod scene;
mod worlds;

pub use worlds::RapierBackend;
