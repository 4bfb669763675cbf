//! Environments whose worlds live on a GPU: the stages are recorded as kernels, and a rollout runs without the processor.

mod env;
mod kernels;
mod record;

pub use crate::stages::machine::script_kernel;
pub use env::{GpuEnv, GpuRollout};
