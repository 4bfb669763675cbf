//! The GPU: adapters, kernels, and the worlds of a robot on it.

mod backend;
mod cache;
mod device;
mod pass;
mod worlds;

pub use backend::GpuBackend;
pub use cache::{Access, Pipeline};
pub use device::{AdapterInfo, Gpu, GpuError, adapters};
pub use pass::Timing;
pub use worlds::{GpuWorlds, Launch};
