//! Mass properties: of shapes, and of bodies put together from shapes.
//!
//! kg, m, kg m². Capsule: a cylinder and two half spheres share the mass by volume.

use crate::model::{Body, Geom, GeomKind, Quat, Vec3};
use crate::rotation::{IDENTITY, axis_angle, difference, matrix, multiply, sum, unit};
use std::f64::consts::PI;

/// Volume of a shape, m³.
pub(crate) fn volume(kind: GeomKind, size: Vec3) -> f64 {
    let [a, b, c] = size;
    match kind {
        GeomKind::Plane => 0.0,
        GeomKind::Sphere => 4.0 / 3.0 * PI * a.powi(3),
        GeomKind::Capsule => PI * (a * a * 2.0 * b + 4.0 / 3.0 * a.powi(3)),
        GeomKind::Cylinder => PI * a * a * 2.0 * b,
        GeomKind::Box => 8.0 * a * b * c,
    }
}

/// Principal moments of a shape of mass `m` about its centre.
pub(crate) fn moments(kind: GeomKind, size: Vec3, m: f64) -> Vec3 {
    let [a, b, c] = size;
    match kind {
        GeomKind::Plane => [0.0; 3],
        GeomKind::Sphere => [0.4 * m * a * a; 3],
        GeomKind::Capsule => {
            let h = 2.0 * b;
            let ms = m * 4.0 * a / (4.0 * a + 3.0 * h);
            let mc = m - ms;
            let side = mc * (3.0 * a * a + h * h) / 12.0 + 0.4 * ms * a * a + ms * h * (3.0 * a + 2.0 * h) / 8.0;
            [side, side, 0.5 * mc * a * a + 0.4 * ms * a * a]
        }
        GeomKind::Cylinder => {
            let h = 2.0 * b;
            let side = m * (3.0 * a * a + h * h) / 12.0;
            [side, side, 0.5 * m * a * a]
        }
        GeomKind::Box => [m * (b * b + c * c) / 3.0, m * (a * a + c * c) / 3.0, m * (a * a + b * b) / 3.0],
    }
}

/// A rigid piece: mass, centre, orientation of its principal axes, moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) mass: f64,
    pub(crate) pos: Vec3,
    pub(crate) quat: Quat,
    pub(crate) inertia: Vec3,
}

/// The piece a geom is, given its mass or density.
pub(crate) fn piece(geom: &Geom, mass: Option<f64>, density: f64) -> Piece {
    let mass = mass.unwrap_or_else(|| density * volume(geom.kind, geom.size));
    Piece { mass, pos: geom.pos, quat: geom.quat, inertia: moments(geom.kind, geom.size, mass) }
}

/// Sets a body's mass properties from pieces in its frame.
pub(crate) fn assemble(body: &mut Body, pieces: &[Piece]) {
    let pieces: Vec<&Piece> = pieces.iter().filter(|p| p.mass > 0.0).collect();
    body.mass = pieces.iter().map(|p| p.mass).sum();
    match pieces[..] {
        [] => {
            (body.ipos, body.iquat, body.inertia) = ([0.0; 3], IDENTITY, [0.0; 3]);
            return;
        }
        [p] => {
            (body.ipos, body.iquat, body.inertia) = (p.pos, p.quat, p.inertia);
            return;
        }
        _ => {}
    }
    let mut com = [0.0; 3];
    for p in &pieces {
        com = sum(com, p.pos.map(|v| v * p.mass / body.mass));
    }
    let mut tensor = [[0.0; 3]; 3];
    for p in &pieces {
        let (r, o) = (matrix(p.quat), difference(p.pos, com));
        let o2 = o.iter().map(|v| v * v).sum::<f64>();
        for i in 0..3 {
            for j in 0..3 {
                let rotated: f64 = (0..3).map(|k| r[i][k] * p.inertia[k] * r[j][k]).sum();
                let parallel = if i == j { o2 } else { 0.0 } - o[i] * o[j];
                tensor[i][j] += rotated + p.mass * parallel;
            }
        }
    }
    body.ipos = com;
    (body.inertia, body.iquat) = principal(tensor);
}

/// Moments that differ by less keep their order, kg m² (MuJoCo's).
const SAME_MOMENT: f64 = 1e-12;

/// Eigenvalues (descending) and frame of a symmetric tensor. Frames are not unique (axes may point either way), so the
/// rotations are MuJoCo's: Jacobi on the largest entry off the diagonal, then quarter turns that sort.
pub(crate) fn principal(a: [[f64; 3]; 3]) -> (Vec3, Quat) {
    let about = |axis: usize, angle: f64| {
        let mut direction = [0.0; 3];
        direction[axis] = 1.0;
        axis_angle(direction, angle)
    };
    let mut frame = IDENTITY;
    let mut values = [0.0; 3];
    for _ in 0..50 {
        let r = matrix(frame);
        let entry = |i: usize, j: usize| -> f64 {
            (0..3).map(|k| (0..3).map(|l| r[k][i] * a[k][l] * r[l][j]).sum::<f64>()).sum()
        };
        values = [entry(0, 0), entry(1, 1), entry(2, 2)];
        let (xy, xz, yz) = (entry(0, 1), entry(0, 2), entry(1, 2));
        let (p, q, off) = if xy.abs() > xz.abs() && xy.abs() > yz.abs() {
            (0, 1, xy)
        } else if xz.abs() > yz.abs() {
            (0, 2, xz)
        } else {
            (1, 2, yz)
        };
        let tau = (values[q] - values[p]) / (2.0 * off);
        let tangent = 1.0 / (tau.abs() + (1.0 + tau * tau).sqrt());
        // rounding is all that is left; NaN ends it too
        let least = 1e-17 * values.iter().map(|v| v.abs()).sum::<f64>();
        if off.abs() <= least || (off + least).is_nan() {
            break;
        }
        let angle = if tau >= 0.0 { -tangent.atan() } else { tangent.atan() };
        let axis = 3 - p - q;
        frame = unit(multiply(frame, about(axis, if axis == 1 { -angle } else { angle })));
    }
    for first in [0, 1, 0] {
        if values[first] + SAME_MOMENT < values[first + 1] {
            values.swap(first, first + 1);
            frame = unit(multiply(frame, about((first + 2) % 3, std::f64::consts::FRAC_PI_2)));
        }
    }
    (values, frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_axes_rebuild_the_tensor() {
        let t = [[3.0, 0.4, -0.2], [0.4, 2.0, 0.3], [-0.2, 0.3, 1.0]];
        let (d, q) = principal(t);
        let r = matrix(q);
        assert!(d[0] >= d[1] && d[1] >= d[2]);
        for i in 0..3 {
            for j in 0..3 {
                let v: f64 = (0..3).map(|k| r[i][k] * d[k] * r[j][k]).sum();
                assert!((v - t[i][j]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_long_capsule_is_nearly_a_cylinder_and_a_short_one_a_sphere() {
        let short = moments(GeomKind::Capsule, [0.1, 1e-9, 0.0], 2.0);
        assert!((short[0] - 0.4 * 2.0 * 0.01).abs() < 1e-9);
        let long = moments(GeomKind::Capsule, [1e-4, 1.0, 0.0], 2.0);
        assert!((long[0] - 2.0 * 4.0 / 12.0).abs() < 1e-3);
    }
}
