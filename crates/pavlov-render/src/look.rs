//! What of a model is drawn: one part per visible geom, in the geom's own frame. Lengths in m, colours sRGB,
//! 0..1.

use pavlov_model::{GeomKind, Model};

/// A shape about the origin of its geom's frame; long axis z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// The xy plane, drawn as far as the eye reaches.
    Plane,
    /// A sphere.
    Sphere {
        /// Radius, m.
        radius: f32,
    },
    /// A cylinder with half spheres at its ends.
    Capsule {
        /// Radius, m.
        radius: f32,
        /// Half of the length between the centres of the half spheres, m.
        half: f32,
    },
    /// A cylinder.
    Cylinder {
        /// Radius, m.
        radius: f32,
        /// Half of its length, m.
        half: f32,
    },
    /// A box.
    Box {
        /// Half extents, m.
        half: [f32; 3],
    },
}

/// One shape of a robot or of its surroundings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Geom of the model.
    pub geom: usize,
    /// Body it is fixed to; 0 is the world.
    pub body: usize,
    /// Its shape.
    pub shape: Shape,
    /// sRGB and opacity.
    pub colour: [f32; 4],
}

/// All that is drawn of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// In the order of the model's geoms.
    pub parts: Vec<Part>,
}

/// MuJoCo's colour of a geom that was given none.
const DEFAULT_RGBA: [f32; 4] = [0.5, 0.5, 0.5, 1.0];

impl Look {
    /// The visible geoms of a model. Geoms with MuJoCo's default grey get the colour of their link ([`link_colour`]).
    pub fn new(model: &Model) -> Self {
        let part = |(geom, g): (usize, &pavlov_model::Geom)| {
            let s = g.size.map(|v| v as f32);
            let shape = match g.kind {
                GeomKind::Plane => Shape::Plane,
                GeomKind::Sphere => Shape::Sphere { radius: s[0] },
                GeomKind::Capsule => Shape::Capsule { radius: s[0], half: s[1] },
                GeomKind::Cylinder => Shape::Cylinder { radius: s[0], half: s[1] },
                GeomKind::Box => Shape::Box { half: s },
            };
            let plain = g.rgba == DEFAULT_RGBA && g.kind != GeomKind::Plane;
            let colour = if plain { link_colour(g.body) } else { g.rgba };
            (colour[3] > 0.0).then_some(Part { geom, body: g.body, shape, colour })
        };
        Self { parts: model.geoms.iter().enumerate().filter_map(part).collect() }
    }
}

/// Colour of a link whose file gives none: light and warm for the trunk, then steps round the circle of hues, so that
/// neighbouring links can be told apart in a picture of 224 pixels.
pub fn link_colour(body: usize) -> [f32; 4] {
    const TRUNK: [f32; 4] = [0.93, 0.80, 0.62, 1.0];
    const LIMBS: [[f32; 4]; 6] = [
        [0.87, 0.47, 0.26, 1.0],
        [0.27, 0.55, 0.80, 1.0],
        [0.42, 0.68, 0.38, 1.0],
        [0.75, 0.42, 0.68, 1.0],
        [0.90, 0.70, 0.25, 1.0],
        [0.30, 0.66, 0.66, 1.0],
    ];
    if body <= 1 { TRUNK } else { LIMBS[(body - 2) % LIMBS.len()] }
}
