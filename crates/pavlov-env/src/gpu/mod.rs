//! Environments on the GPU: the plans and scripts of a task, recorded into kernels around the physics' own.

mod env;
mod kernels;
mod layout;
mod record;

pub use env::{GpuEnv, GpuRollout};
pub use record::script_kernel;
