//! The second engine: rapier's multibodies, built from the same [`pavlov_model::Model`] and driven by the same
//! controls.
//!
//! ```text
//! Model, Params ─ layout ─> links ─ build ─> Scene (bodies, joints, colliders; one per set of parameters)
//! qpos, qvel, ctrl ─ forces ─> wrenches on the links ─ Stage::step (rapier) ─> qpos, qvel, contacts
//! ```
//! `RapierBackend` is it behind the trait, `RapierWorlds` fills a [`crate::Data`] for the environment.

mod build;
mod contacts;
mod coriolis;
mod forces;
mod layout;
mod scene;
mod single;
mod worlds;

pub use single::RapierBackend;
pub use worlds::RapierWorlds;
