//! What the scene shows and from where, without a renderer: robots and their places, the camera, picking, and
//! what is drawn over the picture. World frame of MuJoCo: z up, m, rad.

mod camera;
mod overlay;
mod pick;
mod stage;

pub use camera::{Eye, FAR, NEAR, Orbit};
pub use overlay::{Over, Overlays, paint};
pub use pick::{Hit, pick};
pub use stage::{Robot, Stage, Tint};

use egui::Rect;

/// One picture in the window: where, from where, and which robots.
#[derive(Debug, Clone)]
pub struct View {
    /// Where in the window, points.
    pub rect: Rect,
    /// From where.
    pub eye: Eye,
    /// First and last plus one of the stage's robots that it shows.
    pub robots: std::ops::Range<usize>,
}
