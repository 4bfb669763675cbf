//! Mass properties: of shapes, and of bodies put together from shapes.
//!
//! kg, m, kg m². Capsule: a cylinder and two half spheres share the mass by volume.

use crate::model::{Body, Geom, GeomKind, Quat, Vec3};
use crate::rotation::{IDENTITY, difference, from_matrix, matrix, sum};
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
                let own: f64 = (0..3).map(|k| r[i][k] * p.inertia[k] * r[j][k]).sum();
                let parallel = if i == j { o2 } else { 0.0 } - o[i] * o[j];
                tensor[i][j] += own + p.mass * parallel;
            }
        }
    }
    body.ipos = com;
    (body.inertia, body.iquat) = principal(tensor);
}

/// Eigenvalues (descending) and frame of a symmetric tensor, by Jacobi rotations.
pub(crate) fn principal(mut a: [[f64; 3]; 3]) -> (Vec3, Quat) {
    let mut v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..50 {
        let off = a[0][1].abs() + a[0][2].abs() + a[1][2].abs();
        if off <= 1e-18 * (a[0][0].abs() + a[1][1].abs() + a[2][2].abs()) {
            break;
        }
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] == 0.0 {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let t = if theta == 0.0 { 1.0 } else { t };
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            for k in 0..3 {
                let (x, y) = (a[k][p], a[k][q]);
                (a[k][p], a[k][q]) = (c * x - s * y, s * x + c * y);
            }
            for k in 0..3 {
                let (x, y) = (a[p][k], a[q][k]);
                (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
                let (x, y) = (v[k][p], v[k][q]);
                (v[k][p], v[k][q]) = (c * x - s * y, s * x + c * y);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    let mut frame = [[0.0; 3]; 3];
    for (column, &k) in order.iter().enumerate() {
        for row in 0..3 {
            frame[row][column] = v[row][k];
        }
    }
    // a reflection is not a rotation
    let det = frame[0][0] * (frame[1][1] * frame[2][2] - frame[1][2] * frame[2][1])
        - frame[0][1] * (frame[1][0] * frame[2][2] - frame[1][2] * frame[2][0])
        + frame[0][2] * (frame[1][0] * frame[2][1] - frame[1][1] * frame[2][0]);
    if det < 0.0 {
        for row in &mut frame {
            row[2] = -row[2];
        }
    }
    (order.map(|k| a[k][k]), from_matrix(frame))
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
