//! Pictures of any world: the list of shapes that is drawn, and a renderer on plain wgpu that needs no window.
//!
//! ```text
//! Model ─> Look (shapes with colours) ─┐
//! qpos ──> Poser (geom poses) ─────────┴─> Scene (instances, ground, light) ─┬─> Renderer: pictures ─> PNG, APNG, GIF, MP4
//!                                          Camera ─> Eye ────────────────────┘   the studio's scene
//! ```
//! `Stage` and `Film` put that together for a model and for a recorded clip.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod bench;
mod camera;
mod error;
mod film;
mod gif_film;
mod look;
mod mesh;
mod movie;
#[cfg(feature = "mp4")]
mod mp4_film;
mod picture_file;
mod pipelines;
mod pose;
mod renderer;
mod scene;
mod solid;

pub use bench::{RenderBench, bench};
pub use camera::{CAMERAS, Camera, Extent, Eye};
pub use error::RenderError;
pub use film::{Film, Shot, Stage, views};
pub use look::{Look, Part, Shape, link_colour};
pub use movie::{FilmSpec, Format, Movie};
pub use picture_file::write_png;
pub use pose::{Pose, Poser};
pub use renderer::{Picture, Renderer, View};
pub use scene::{Instance, LIGHTS, Light, SURFACES, Scene, Style, Surface, Texture};
pub use solid::{Solid, solid};
