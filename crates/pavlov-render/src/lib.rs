//! Pictures of any world: the list of shapes that is drawn, and a renderer on plain wgpu that needs no window.
//!
//! ```text
//! Model ─> Look (shapes with colours) ─┐
//! qpos ──> Poser (geom poses) ─────────┴─> instances ─> the studio's scene
//! ```

mod look;
mod mesh;
mod pose;
mod solid;

pub use look::{Look, Part, Shape, link_colour};
pub use pose::{Pose, Poser};
pub use solid::{Solid, solid};
