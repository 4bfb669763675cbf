//! Quaternions `[w, x, y, z]` at compile time, and the ways a file can say an orientation.

use crate::attrs::Attrs;
use crate::error::ModelError;
use crate::model::{Quat, Vec3};
use crate::schema::ORIENTATIONS;

pub(crate) const IDENTITY: Quat = [1.0, 0.0, 0.0, 0.0];

pub(crate) fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn norm(a: Vec3) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn scaled(a: Vec3, s: f64) -> Vec3 {
    a.map(|v| v * s)
}

pub(crate) fn sum(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn difference(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn multiply(a: Quat, b: Quat) -> Quat {
    [
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    ]
}

pub(crate) fn unit(q: Quat) -> Quat {
    let n = q.iter().map(|v| v * v).sum::<f64>().sqrt();
    q.map(|v| v / n)
}

/// Rotation matrix, rows first.
pub(crate) fn matrix(q: Quat) -> [Vec3; 3] {
    let [w, x, y, z] = q;
    [
        [w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
}

/// Unit quaternion of a rotation matrix (Shepperd's method: the largest of four squares is the divisor).
pub(crate) fn from_matrix(m: [Vec3; 3]) -> Quat {
    let trace = m[0][0] + m[1][1] + m[2][2];
    let squares = [trace, m[0][0], m[1][1], m[2][2]];
    let largest = (0..4).max_by(|&a, &b| squares[a].total_cmp(&squares[b])).unwrap_or(0);
    let q = match largest {
        0 => [1.0 + trace, m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]],
        1 => [m[2][1] - m[1][2], 1.0 + m[0][0] - m[1][1] - m[2][2], m[0][1] + m[1][0], m[0][2] + m[2][0]],
        2 => [m[0][2] - m[2][0], m[0][1] + m[1][0], 1.0 - m[0][0] + m[1][1] - m[2][2], m[1][2] + m[2][1]],
        _ => [m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], 1.0 - m[0][0] - m[1][1] + m[2][2]],
    };
    unit(q)
}

pub(crate) fn axis_angle(axis: Vec3, angle: f64) -> Quat {
    let (s, c) = (0.5 * angle).sin_cos();
    [c, axis[0] * s, axis[1] * s, axis[2] * s]
}

/// Shortest rotation that takes +z to `v`; half a turn about +x when `v` points down (`mjuu_z2quat`).
pub(crate) fn from_z(v: Vec3) -> Quat {
    let v = scaled(v, 1.0 / norm(v));
    let axis = cross([0.0, 0.0, 1.0], v);
    let s = norm(axis);
    let axis = if s < 1e-10 { [1.0, 0.0, 0.0] } else { scaled(axis, 1.0 / s) };
    axis_angle(axis, s.atan2(v[2]))
}

/// How a file writes angles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Angles {
    /// Radians per unit.
    pub(crate) unit: f64,
    /// Axes of `euler`; upper case turns about fixed axes.
    pub(crate) sequence: [char; 3],
}

/// The orientation an element gives, by whichever attribute. It takes the place of that of the defaults, whichever way
/// they say it.
pub(crate) fn orientation(a: &Attrs<'_>, angles: Angles) -> Result<Quat, ModelError> {
    let own = ORIENTATIONS.into_iter().find(|way| a.own(way).is_some());
    let Some(way) = own.or_else(|| ORIENTATIONS.into_iter().find(|way| a.has(way))) else { return Ok(IDENTITY) };
    let zero = |name: &str| a.error(name, "has length zero");
    match way {
        "quat" => {
            let q: Quat = a.array("quat")?.unwrap_or(IDENTITY);
            if q.iter().map(|v| v * v).sum::<f64>().sqrt() < 1e-15 {
                return Err(zero("quat"));
            }
            Ok(unit(q))
        }
        "axisangle" => {
            let [x, y, z, angle] = a.array("axisangle")?.unwrap_or([0.0; 4]);
            let n = norm([x, y, z]);
            if n < 1e-15 {
                return Err(zero("axisangle"));
            }
            Ok(axis_angle(scaled([x, y, z], 1.0 / n), angle * angles.unit))
        }
        "euler" => {
            let e: Vec3 = a.array("euler")?.unwrap_or([0.0; 3]);
            let mut q = IDENTITY;
            for (k, axis) in angles.sequence.into_iter().enumerate() {
                let mut v = [0.0; 3];
                v["xyz".find(axis.to_ascii_lowercase()).unwrap_or(0)] = 1.0;
                let turn = axis_angle(v, e[k] * angles.unit);
                q = if axis.is_ascii_lowercase() { multiply(q, turn) } else { multiply(turn, q) };
            }
            Ok(unit(q))
        }
        "xyaxes" => {
            let v: [f64; 6] = a.array("xyaxes")?.unwrap_or([0.0; 6]);
            let (x, y) = ([v[0], v[1], v[2]], [v[3], v[4], v[5]]);
            if norm(x) < 1e-15 {
                return Err(zero("xyaxes"));
            }
            let x = scaled(x, 1.0 / norm(x));
            let y = difference(y, scaled(x, dot(x, y)));
            if norm(y) < 1e-15 {
                return Err(a.error("xyaxes", "the two axes are parallel"));
            }
            let y = scaled(y, 1.0 / norm(y));
            let z = cross(x, y);
            Ok(from_matrix([[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]]))
        }
        _ => {
            let z: Vec3 = a.array("zaxis")?.unwrap_or([0.0; 3]);
            if norm(z) < 1e-15 {
                return Err(zero("zaxis"));
            }
            Ok(from_z(z))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_axis_rotation_reaches_its_target_even_straight_down() {
        for v in [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.3, -0.4, 0.2], [1.0, 0.0, 0.0]] {
            let m = matrix(from_z(v));
            let n = norm(v);
            for k in 0..3 {
                assert!((m[k][2] - v[k] / n).abs() < 1e-12, "{v:?}");
            }
        }
    }

    #[test]
    fn matrix_and_quaternion_are_inverse() {
        for q in [[0.1, 0.9, -0.2, 0.3], [0.7, 0.1, 0.2, -0.6], [0.0, 0.0, 1.0, 0.0], [0.0, 0.1, 0.2, 0.97]] {
            let q = unit(q);
            let r = from_matrix(matrix(q));
            let same = q.iter().zip(r).map(|(a, b)| a * b).sum::<f64>().abs();
            assert!((same - 1.0).abs() < 1e-12);
        }
    }
}
