//! Unit meshes of all shapes in one vertex and one index buffer. An instance scales `unit` by its size and moves it
//! along z by `axial` half lengths, so that one capsule serves every radius and length.

use std::f32::consts::{PI, TAU};
use std::ops::Range;

/// A corner of a unit mesh.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Vertex {
    /// Scaled by the instance's size.
    pub unit: [f32; 3],
    /// Times the instance's half length is added to z.
    pub axial: f32,
    /// Outward.
    pub normal: [f32; 3],
}

/// Kinds of meshes, in the order of [`Meshes::ranges`].
pub(crate) const KINDS: usize = 4;
pub(crate) const SPHERE: usize = 0;
pub(crate) const CAPSULE: usize = 1;
pub(crate) const CYLINDER: usize = 2;
pub(crate) const BOX: usize = 3;

/// All meshes of one fineness; counter-clockwise seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Meshes {
    pub vertices: Vec<Vertex>,
    pub indices: Vec<u16>,
    /// Indices of each kind.
    pub ranges: [Range<u32>; KINDS],
}

impl Meshes {
    /// `around` corners in a circle, a multiple of 4.
    pub fn new(around: u16) -> Self {
        let mut m = Self::default();
        let rings = around / 4;
        let quarter = |i: u16| 0.5 * PI * f32::from(i) / f32::from(rings);
        let cap = |up: f32, axial: f32| {
            move |i: u16| {
                let a = if up > 0.0 { 0.5 * PI - quarter(i) } else { -quarter(i) };
                (a.cos().max(0.0), a.sin(), axial * up, a.cos().max(0.0), a.sin())
            }
        };
        // A sphere is a capsule without length; its caps share the equator's place.
        for (kind, axial) in [(SPHERE, 0.0), (CAPSULE, 1.0)] {
            let first = m.begin();
            let (top, bottom) = (cap(1.0, axial), cap(-1.0, axial));
            let profile: Vec<_> = (0..=rings).map(top).chain((0..=rings).map(bottom)).collect();
            m.turn(&profile, around);
            m.end(kind, first);
        }
        let first = m.begin();
        let side = [(1.0, 0.0, 1.0, 1.0, 0.0), (1.0, 0.0, -1.0, 1.0, 0.0)];
        m.turn(&side, around);
        m.turn(&[(0.0, 0.0, 1.0, 0.0, 1.0), (1.0, 0.0, 1.0, 0.0, 1.0)], around);
        m.turn(&[(1.0, 0.0, -1.0, 0.0, -1.0), (0.0, 0.0, -1.0, 0.0, -1.0)], around);
        m.end(CYLINDER, first);
        let first = m.begin();
        for axis in 0..3 {
            for sign in [-1.0f32, 1.0] {
                m.face(axis, sign);
            }
        }
        m.end(BOX, first);
        m
    }

    fn begin(&self) -> u32 {
        self.indices.len() as u32
    }

    fn end(&mut self, kind: usize, first: u32) {
        self.ranges[kind] = first..self.indices.len() as u32;
    }

    /// A surface of revolution about z; profile from top to bottom: radius, z, axial, and the normal's radial and axial
    /// part.
    fn turn(&mut self, profile: &[(f32, f32, f32, f32, f32)], around: u16) {
        let base = self.vertices.len() as u16;
        for &(radius, z, axial, out, up) in profile {
            for k in 0..=around {
                let (s, c) = (TAU * f32::from(k) / f32::from(around)).sin_cos();
                let vertex = Vertex { unit: [radius * c, radius * s, z], axial, normal: [out * c, out * s, up] };
                self.vertices.push(vertex);
            }
        }
        for ring in 0..profile.len() as u16 - 1 {
            for k in 0..around {
                let a = base + ring * (around + 1) + k;
                let b = a + around + 1;
                // At a pole one of the two triangles has no area.
                if profile[usize::from(ring)].0 > 1e-6 {
                    self.indices.extend([a, b, a + 1]);
                }
                if profile[usize::from(ring) + 1].0 > 1e-6 {
                    self.indices.extend([a + 1, b, b + 1]);
                }
            }
        }
    }

    fn face(&mut self, axis: usize, sign: f32) {
        let base = self.vertices.len() as u16;
        let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
        for (a, b) in [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)] {
            let (mut unit, mut normal) = ([0.0; 3], [0.0; 3]);
            (unit[axis], unit[u], unit[v]) = (sign, a, b);
            normal[axis] = sign;
            self.vertices.push(Vertex { unit, axial: 0.0, normal });
        }
        let order = if sign > 0.0 { [0, 1, 2, 0, 2, 3] } else { [0, 2, 1, 0, 3, 2] };
        self.indices.extend(order.map(|i| base + i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triangles_look_outward_and_close_the_shape() {
        let m = Meshes::new(16);
        for (kind, volume) in
            [(SPHERE, 4.0 / 3.0 * PI), (CAPSULE, 4.0 / 3.0 * PI + 2.0 * PI), (CYLINDER, 2.0 * PI), (BOX, 8.0)]
        {
            // Six times the volume is the sum of the triangles' triple products.
            let mut sum = 0.0;
            for t in m.indices[m.ranges[kind].start as usize..m.ranges[kind].end as usize].chunks(3) {
                let p: Vec<[f32; 3]> = t
                    .iter()
                    .map(|&i| {
                        let v = m.vertices[usize::from(i)];
                        [v.unit[0], v.unit[1], v.unit[2] + v.axial]
                    })
                    .collect();
                let cross = |a: [f32; 3], b: [f32; 3]| {
                    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
                };
                sum += cross(p[0], p[1]).iter().zip(p[2]).map(|(a, b)| a * b).sum::<f32>();
            }
            let found = sum / 6.0;
            assert!(found > 0.9 * volume && found <= 1.0001 * volume, "kind {kind}: {found} of {volume}");
        }
    }
}
