//! Batched articulated-body dynamics with MuJoCo's semantics and names.
//!
//! Every stage is one function generic over a [`Real`]: `f64` is one world (the scalar reference), [`Lane`] is eight
//! worlds in `f32`. [`Physics`] holds what is static, [`Params`] the physical parameters (a column each, so that any
//! can differ per world), [`Data`] state and results. Units are SI; quaternions are `[w, x, y, z]`; a free joint's
//! `qvel` is linear velocity in world axes, then angular velocity in body axes.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod backend;
mod collision;
mod collision_box;
mod collision_capsule_box;
mod cone;
mod constraint;
mod cost;
mod data;
pub mod gpu;
mod inertia;
mod integrate;
mod kernel;
mod kinematics;
pub mod math;
mod params;
mod philox;
mod physics;
pub mod random;
mod rapier;
mod real;
pub mod record;
mod sensor;
mod setconst;
mod solver;
#[cfg(test)]
mod testing;
mod topology;
mod touch;
mod velocity;

pub use backend::{Backend, BackendError, ContactPoint, CpuBackend, Evaluation, WorldState};
pub use data::{Contact, Data, FrictionRow, Limit, Rows, State, integrate_pos};
pub use gpu::GpuBackend;
pub use kernel::{EnvKernel, ReadOff, env_kernel};
pub use params::{Field, Params};
pub use philox::philox4x32_10;
pub use physics::{Physics, PhysicsError, Profile};
pub use rapier::{RapierBackend, RapierWorlds};
pub use real::{LANES, Lane, LaneMask, Mask, Real};
pub use sensor::{body_velocity, contact_wrench, point_velocity};
pub use solver::SolverOptions;
pub use topology::{PairDof, PairTopology, Topology};
