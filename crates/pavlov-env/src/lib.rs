//! Tasks and the vectorised environment: observations, commands, randomisation, reset, accounting.
//!
//! ```text
//! Assets::find ─> assets.task(name) ─> Task::load (TOML + robot + rhai, checked) ─┐
//!                          Reward (pavlov-reward, checked against task.scene()) ──┴─> Env::new ─> Vec<EnvBlock>
//! ```
//! A block is 64 worlds that step together on one thread: action mapping, physics, sensing, reward, termination, observation,
//! automatic reset. Worlds are independent, and every random number is a function of (seed, world, episode, step), so results
//! do not depend on threads or on how many worlds there are besides.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod columns;
mod env;
mod error;
pub mod gpu;
mod lanes;
mod options;
mod plan;
mod random_actions;
#[cfg(test)]
mod reference;
mod stages;
mod task;

pub use columns::ledger::{BadValue, Episode, EpisodeLog, Ledger, StepStats};
pub use env::Env;
pub use error::EnvError;
pub use lanes::block::EnvBlock;
pub use lanes::recording::Recording;
pub use options::{BLOCK_WORLDS, BackendKind, EnvOptions, ObsTerm, Profile, StepOut};
pub use pavlov_common::assets::{Assets, RewardEntry, TaskEntry};
pub use pavlov_physics::random as rng;
pub use random_actions::RandomActions;
pub use task::load::Task;
pub use task::schema;
