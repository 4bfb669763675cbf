//! Tasks and the vectorised environment: observations, commands, randomisation, reset, accounting.
//!
//! ```text
//! Assets::find ─> assets.task(name) ─> Task::load (TOML + robot + rhai, checked) ─┐
//!                          Reward (pavlov-reward, checked against task.scene()) ──┴─> Env::new ─> Vec<EnvBlock>
//! ```
//! A block is 64 worlds that step together on one thread: action mapping, physics, sensing, reward, termination, observation,
//! automatic reset. Worlds are independent, and every random number is a function of (seed, world, episode, step), so results
//! do not depend on threads or on how many worlds there are besides.

mod action;
mod assets;
mod bench;
mod block;
mod command;
mod cycle;
mod env;
mod error;
pub mod gpu;
mod observe;
mod parse;
mod randomize;
mod record;
mod reset;
pub mod rng;
mod save;
pub mod schema;
mod scripts;
mod sense;
mod spec;
mod stats;
mod task;
mod watch;
mod worlds;

pub use assets::{Assets, RewardEntry, TaskEntry};
pub use bench::{BenchKind, BenchOptions, BenchResult, bench};
pub use block::EnvBlock;
pub use env::Env;
pub use error::EnvError;
pub use record::Recording;
pub use spec::{BLOCK_WORLDS, BackendKind, EnvOptions, ObsTerm, Profile, StepOut};
pub use stats::{BadValue, Episode, EpisodeLog, StepStats};
pub use task::Task;
