//! The scene list: shapes with poses and colours, the ground with its texture, the light, the sky. Plain data: a reward
//! model sweeps over it, the studio shows it, the renderer draws it. Lengths in m, colours sRGB 0..1.

use crate::RenderError;
use crate::look::{Look, Shape};
use crate::pose::Pose;
use std::str::FromStr;

/// A shape in the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance {
    /// Its shape.
    pub shape: Shape,
    /// Where it is.
    pub pose: Pose,
    /// sRGB and opacity; shapes are drawn opaque.
    pub colour: [f32; 4],
}

/// Pattern of the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Texture {
    /// Squares of two colours.
    Checker,
    /// Thin lines of the second colour on the first.
    Grid,
    /// Stripes across the x axis.
    Stripes,
    /// Grains of both colours, as asphalt or sand.
    Grain,
    /// The first colour alone. Nothing on it shows motion.
    Plain,
}

/// The ground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surface {
    /// Pattern.
    pub texture: Texture,
    /// First and second colour.
    pub colours: [[f32; 3]; 2],
    /// Side of a square of the pattern, m; from the size of the robot when `None`.
    pub cell: Option<f32>,
}

/// The light: a sun, and what comes from everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Light {
    /// Direction the sun shines in; z below 0. Need not be of unit length.
    pub direction: [f32; 3],
    /// Colour and strength of the sun, linear.
    pub sun: [f32; 3],
    /// Light from above, linear.
    pub sky: [f32; 3],
    /// Light from below, linear.
    pub ground: [f32; 3],
    /// How much of the sun a shadow takes away, 0 (no shadow) to 1.
    pub shadow: f32,
    /// Colour of the background at the horizon and overhead.
    pub background: [[f32; 3]; 2],
}

/// What surrounds a robot: ground and light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// Ground.
    pub surface: Surface,
    /// Light.
    pub light: Light,
}

/// Grounds by name.
pub const SURFACES: &[(&str, Texture, [[f32; 3]; 2])] = &[
    ("checker", Texture::Checker, [[0.80, 0.83, 0.86], [0.63, 0.68, 0.73]]),
    ("dark", Texture::Checker, [[0.26, 0.30, 0.35], [0.36, 0.41, 0.47]]),
    ("grid", Texture::Grid, [[0.82, 0.84, 0.86], [0.45, 0.52, 0.60]]),
    ("stripes", Texture::Stripes, [[0.84, 0.82, 0.76], [0.66, 0.62, 0.54]]),
    ("sand", Texture::Grain, [[0.83, 0.75, 0.60], [0.70, 0.60, 0.45]]),
    ("asphalt", Texture::Grain, [[0.42, 0.43, 0.45], [0.52, 0.53, 0.55]]),
    ("grass", Texture::Grain, [[0.42, 0.58, 0.31], [0.33, 0.49, 0.25]]),
    ("plain", Texture::Plain, [[0.78, 0.80, 0.82], [0.78, 0.80, 0.82]]),
];

/// Lights by name.
pub const LIGHTS: &[(&str, Light)] = &[
    (
        "day",
        Light {
            direction: [0.50, 0.50, -1.0],
            sun: [1.10, 1.05, 0.96],
            sky: [0.32, 0.36, 0.42],
            ground: [0.30, 0.28, 0.26],
            shadow: 1.0,
            background: [[0.86, 0.91, 0.96], [0.55, 0.70, 0.88]],
        },
    ),
    (
        "evening",
        Light {
            direction: [0.95, 0.5, -0.75],
            sun: [1.25, 0.82, 0.48],
            sky: [0.30, 0.32, 0.44],
            ground: [0.20, 0.16, 0.14],
            shadow: 1.0,
            background: [[0.97, 0.80, 0.62], [0.45, 0.50, 0.72]],
        },
    ),
    (
        "overcast",
        Light {
            direction: [-0.15, 0.2, -1.0],
            sun: [0.42, 0.43, 0.45],
            sky: [0.66, 0.68, 0.70],
            ground: [0.34, 0.34, 0.34],
            shadow: 0.8,
            background: [[0.83, 0.84, 0.86], [0.74, 0.76, 0.79]],
        },
    ),
    (
        "night",
        Light {
            direction: [0.3, 0.45, -1.0],
            sun: [0.42, 0.50, 0.72],
            sky: [0.12, 0.14, 0.22],
            ground: [0.07, 0.07, 0.10],
            shadow: 1.0,
            background: [[0.16, 0.19, 0.28], [0.06, 0.07, 0.13]],
        },
    ),
    (
        "right",
        Light {
            direction: [-0.6, 0.35, -1.0],
            sun: [1.02, 0.99, 0.94],
            sky: [0.38, 0.40, 0.44],
            ground: [0.22, 0.21, 0.20],
            shadow: 1.0,
            background: [[0.92, 0.92, 0.92], [0.80, 0.82, 0.84]],
        },
    ),
];

fn unknown<'a>(what: &str, asked: &str, names: impl Iterator<Item = &'a str> + Clone) -> RenderError {
    let list: Vec<&str> = names.clone().collect();
    let hint = pavlov_model::did_you_mean(asked, names);
    RenderError::Usage(format!("no {what} `{asked}`: {hint}; there are {}", list.join(", ")))
}

impl FromStr for Surface {
    type Err = RenderError;
    /// A name of [`SURFACES`].
    fn from_str(text: &str) -> Result<Self, RenderError> {
        let found = SURFACES.iter().find(|s| s.0 == text);
        let make = |s: &(&str, Texture, [[f32; 3]; 2])| Self { texture: s.1, colours: s.2, cell: None };
        found.map(make).ok_or_else(|| unknown("ground", text, SURFACES.iter().map(|s| s.0)))
    }
}

impl FromStr for Light {
    type Err = RenderError;
    /// A name of [`LIGHTS`].
    fn from_str(text: &str) -> Result<Self, RenderError> {
        let found = LIGHTS.iter().find(|l| l.0 == text);
        found.map(|l| l.1).ok_or_else(|| unknown("light", text, LIGHTS.iter().map(|l| l.0)))
    }
}

impl Default for Style {
    fn default() -> Self {
        let (_, texture, colours) = SURFACES[0];
        Self { surface: Surface { texture, colours, cell: None }, light: LIGHTS[0].1 }
    }
}

/// All that one picture shows, but for where the eye is.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Shapes but for the ground.
    pub instances: Vec<Instance>,
    /// The plane shadows fall on and the pattern lies on; none where a model has no plane.
    pub ground: Option<Pose>,
    /// Ground and light.
    pub style: Style,
    /// Side of a square where the style has none, m.
    pub cell: f32,
}

impl Scene {
    /// Nothing yet; `size`: about how large what is to be seen is, m (sets the pattern's squares).
    pub fn new(style: Style, size: f32) -> Self {
        const CELLS: [f32; 8] = [0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0];
        let wanted = 0.45 * size.max(0.02);
        let cell = CELLS.into_iter().rev().find(|c| *c <= wanted).unwrap_or(CELLS[0]);
        Self { instances: Vec::new(), ground: None, style, cell }
    }

    /// Adds a model: its shapes at these poses (the model's geoms in order), all moved by `offset`. The first plane
    /// becomes the ground; others are left out, since only one plane is drawn. `robot_only` leaves out what is fixed to
    /// the world: for the second robot of a scene.
    pub fn add(&mut self, look: &Look, poses: &[Pose], offset: [f32; 3], robot_only: bool) {
        for part in &look.parts {
            let mut pose = poses[part.geom];
            (0..3).for_each(|k| pose.position[k] += offset[k]);
            match part.shape {
                Shape::Plane => {
                    self.ground.get_or_insert(pose);
                }
                _ if robot_only && part.body == 0 => {}
                shape => self.instances.push(Instance { shape, pose, colour: part.colour }),
            }
        }
    }
}
