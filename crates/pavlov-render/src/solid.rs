//! One shape as triangles of its own size: for renderers that have no instances of unit meshes, such as the studio's.
//! m; long axis z; counter-clockwise seen from outside.

use crate::look::Shape;
use crate::mesh::{BOX, CAPSULE, CYLINDER, Meshes, SPHERE};

/// Triangles with a normal at each corner.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Solid {
    /// m.
    pub positions: Vec<[f32; 3]>,
    /// Outward, unit length.
    pub normals: Vec<[f32; 3]>,
    /// Three a triangle.
    pub indices: Vec<u16>,
}

/// The triangles of a shape with `around` corners in a circle (a multiple of 4); none of a plane.
pub fn solid(shape: &Shape, around: u16) -> Solid {
    let (kind, scale, half) = match *shape {
        Shape::Plane => return Solid::default(),
        Shape::Sphere { radius } => (SPHERE, [radius; 3], 0.0),
        Shape::Capsule { radius, half } => (CAPSULE, [radius; 3], half),
        Shape::Cylinder { radius, half } => (CYLINDER, [radius, radius, 1.0], half),
        Shape::Box { half } => (BOX, half, 0.0),
    };
    let all = Meshes::new(around.next_multiple_of(4).max(4));
    let range = all.ranges[kind].start as usize..all.ranges[kind].end as usize;
    let used = &all.indices[range];
    let (first, last) = used.iter().fold((u16::MAX, 0), |(a, b), &i| (a.min(i), b.max(i)));
    let vertices = &all.vertices[usize::from(first)..=usize::from(last)];
    let place =
        |v: &crate::mesh::Vertex| [v.unit[0] * scale[0], v.unit[1] * scale[1], v.unit[2] * scale[2] + v.axial * half];
    Solid {
        positions: vertices.iter().map(place).collect(),
        normals: vertices.iter().map(|v| v.normal).collect(),
        indices: used.iter().map(|i| i - first).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_reach_as_far_as_they_say() {
        for (shape, reach) in [
            (Shape::Sphere { radius: 0.3 }, [0.3, 0.3, 0.3]),
            (Shape::Capsule { radius: 0.1, half: 0.4 }, [0.1, 0.1, 0.5]),
            (Shape::Cylinder { radius: 0.2, half: 0.6 }, [0.2, 0.2, 0.6]),
            (Shape::Box { half: [0.1, 0.2, 0.3] }, [0.1, 0.2, 0.3]),
        ] {
            let s = solid(&shape, 16);
            for k in 0..3 {
                let most = s.positions.iter().map(|p| p[k]).fold(0.0, f32::max);
                assert!((most - reach[k]).abs() < 1e-6, "{shape:?}: {most}");
            }
            assert!(s.indices.iter().all(|&i| usize::from(i) < s.positions.len()));
        }
        assert_eq!(solid(&Shape::Plane, 16), Solid::default());
    }
}
