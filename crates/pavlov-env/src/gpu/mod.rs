//! Environments on the GPU: the plans and scripts of a task, recorded into kernels around the physics' own.

mod account;
mod env;
mod kernels;
mod layout;
mod plan;
mod record;
mod replay;

pub use env::{GpuEnv, GpuRollout};
pub use replay::script_kernel;
