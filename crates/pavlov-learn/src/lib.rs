//! The learner: proximal policy optimisation (Schulman et al. 2017) on all cores, without a tensor library.
//!
//! ```text
//! EnvBlock ─┐  rollout: a block runs the whole horizon on one thread
//! EnvBlock ─┼─> Ppo::update ─> UpdateStats        Ppo::policy ─> Policy ─> act, policy.onnx
//! EnvBlock ─┘  training: 256-row chunks over threads, gradients summed in chunk order
//! ```
//! Results are the same bits for any number of threads. With a [`DeviceEnv`] rollouts run on a GPU instead of in
//! blocks.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod adam;
mod bench;
mod checkpoint;
mod config;
mod elite;
mod env_block;
mod error;
mod gae;
mod gpu;
mod kernels;
mod loss;
mod mlp;
mod model;
mod net;
mod normal;
mod onnx;
mod policy;
mod policy_file;
mod ppo;
mod rng;
mod rollout;
mod stats;
#[cfg(test)]
mod toy;
mod train;

pub use bench::{LearnBench, bench};
pub use config::{Activation, AdvantageNorm, PpoConfig, Schedule};
pub use env_block::{EnvBlock, StepOut};
pub use error::LearnError;
pub use gpu::{DeviceEnv, DeviceNets, DeviceRollout};
pub use mlp::Mlp;
pub use policy::Policy;
pub use ppo::Ppo;
pub use stats::{EpisodeStats, LearnerStats, UpdateStats};
