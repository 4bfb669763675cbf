//! Vectors, quaternions `[w, x, y, z]` and rotation matrices (row-major `[[R; 3]; 3]`) over any [`Real`].

use crate::real::Real;

/// 3-vector.
pub type V3<R> = [R; 3];
/// Quaternion `[w, x, y, z]`.
pub type Q4<R> = [R; 4];
/// 3x3 matrix, rows first; for a rotation, columns are the axes of the frame.
pub type M3<R> = [[R; 3]; 3];
/// Spatial vector: rotational part, then translational part.
pub type V6<R> = [R; 6];

/// The same constant vector in every world.
#[inline(always)]
pub fn splat3<R: Real>(v: [f64; 3]) -> V3<R> {
    v.map(R::splat)
}
/// The same constant quaternion in every world.
#[inline(always)]
pub fn splat4<R: Real>(v: [f64; 4]) -> Q4<R> {
    v.map(R::splat)
}
/// a + b
#[inline(always)]
pub fn add<R: Real>(a: V3<R>, b: V3<R>) -> V3<R> {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}
/// a - b
#[inline(always)]
pub fn sub<R: Real>(a: V3<R>, b: V3<R>) -> V3<R> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}
/// s a
#[inline(always)]
pub fn scale<R: Real>(a: V3<R>, s: R) -> V3<R> {
    [a[0] * s, a[1] * s, a[2] * s]
}
/// a + s b
#[inline(always)]
pub fn add_scaled<R: Real>(a: V3<R>, b: V3<R>, s: R) -> V3<R> {
    [b[0].mul_add(s, a[0]), b[1].mul_add(s, a[1]), b[2].mul_add(s, a[2])]
}
/// a · b
#[inline(always)]
pub fn dot<R: Real>(a: V3<R>, b: V3<R>) -> R {
    a[2].mul_add(b[2], a[1].mul_add(b[1], a[0] * b[0]))
}
/// a × b
#[inline(always)]
pub fn cross<R: Real>(a: V3<R>, b: V3<R>) -> V3<R> {
    [a[2].neg_mul_add(b[1], a[1] * b[2]), a[0].neg_mul_add(b[2], a[2] * b[0]), a[1].neg_mul_add(b[0], a[0] * b[1])]
}
/// Euclidean length.
#[inline(always)]
pub fn norm<R: Real>(a: V3<R>) -> R {
    dot(a, a).sqrt()
}
/// a · b over 6 components.
#[inline(always)]
pub fn dot6<R: Real>(a: &V6<R>, b: &V6<R>) -> R {
    let mut s = a[0] * b[0];
    for k in 1..6 {
        s = a[k].mul_add(b[k], s);
    }
    s
}
/// Unit vector along `a` and its length; +x where the length is below 1e-15 (MuJoCo's `mju_normalize3`).
#[inline(always)]
pub fn normalize<R: Real>(a: V3<R>) -> (V3<R>, R) {
    let n = norm(a);
    let tiny = n.lt(R::splat(1e-15));
    let s = R::ONE / R::select(tiny, R::ONE, n);
    let u = scale(a, s);
    ([R::select(tiny, R::ONE, u[0]), R::select(tiny, R::ZERO, u[1]), R::select(tiny, R::ZERO, u[2])], n)
}
/// Hamilton product.
#[inline(always)]
pub fn quat_mul<R: Real>(a: Q4<R>, b: Q4<R>) -> Q4<R> {
    [
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    ]
}
/// Inverse of a unit quaternion.
#[inline(always)]
pub fn quat_conj<R: Real>(q: Q4<R>) -> Q4<R> {
    [q[0], -q[1], -q[2], -q[3]]
}
/// Unit quaternion along `q`; identity where the length is below 1e-15.
#[inline(always)]
pub fn quat_normalize<R: Real>(q: Q4<R>) -> Q4<R> {
    let n = (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]).sqrt();
    let tiny = n.lt(R::splat(1e-15));
    let s = R::ONE / R::select(tiny, R::ONE, n);
    [
        R::select(tiny, R::ONE, q[0] * s),
        R::select(tiny, R::ZERO, q[1] * s),
        R::select(tiny, R::ZERO, q[2] * s),
        R::select(tiny, R::ZERO, q[3] * s),
    ]
}
/// Rotation by `angle` about the unit vector `axis`.
#[inline(always)]
pub fn axis_angle<R: Real>(axis: V3<R>, angle: R) -> Q4<R> {
    let (s, c) = (angle * R::splat(0.5)).sin_cos();
    [c, axis[0] * s, axis[1] * s, axis[2] * s]
}
/// Rotation matrix of a unit quaternion.
#[inline(always)]
pub fn quat_to_mat<R: Real>(q: Q4<R>) -> M3<R> {
    let two = R::splat(2.0);
    let (w, x, y, z) = (q[0], q[1], q[2], q[3]);
    let (ww, xx, yy, zz) = (w * w, x * x, y * y, z * z);
    [
        [ww + xx - yy - zz, two * (x * y - w * z), two * (x * z + w * y)],
        [two * (x * y + w * z), ww - xx + yy - zz, two * (y * z - w * x)],
        [two * (x * z - w * y), two * (y * z + w * x), ww - xx - yy + zz],
    ]
}
/// Column `k` of a matrix: an axis of the frame.
#[inline(always)]
pub(crate) fn column<R: Real>(m: &M3<R>, k: usize) -> V3<R> {
    [m[0][k], m[1][k], m[2][k]]
}

/// m v
#[inline(always)]
pub fn mul_mv<R: Real>(m: &M3<R>, v: V3<R>) -> V3<R> {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}
/// mᵀ v
#[inline(always)]
pub fn mul_mtv<R: Real>(m: &M3<R>, v: V3<R>) -> V3<R> {
    let mut r = scale(m[0], v[0]);
    r = add_scaled(r, m[1], v[1]);
    add_scaled(r, m[2], v[2])
}
/// a b
#[inline(always)]
pub fn mul_mm<R: Real>(a: &M3<R>, b: &M3<R>) -> M3<R> {
    [mul_mtv(b, a[0]), mul_mtv(b, a[1]), mul_mtv(b, a[2])]
}
/// v rotated by the unit quaternion q.
#[inline(always)]
pub fn quat_rotate<R: Real>(q: Q4<R>, v: V3<R>) -> V3<R> {
    // v + 2 w (u × v) + 2 u × (u × v)
    let u = [q[1], q[2], q[3]];
    let t = scale(cross(u, v), R::splat(2.0));
    add(add_scaled(v, t, q[0]), cross(u, t))
}
/// Spatial inertia (10 numbers: Ixx Iyy Izz Ixy Ixz Iyz, m·offset, m) times a motion vector (`mju_mulInertVec`).
#[inline(always)]
pub fn mul_inert<R: Real>(i: &[R; 10], v: &V6<R>) -> V6<R> {
    [
        i[0] * v[0] + i[3] * v[1] + i[4] * v[2] - i[8] * v[4] + i[7] * v[5],
        i[3] * v[0] + i[1] * v[1] + i[5] * v[2] + i[8] * v[3] - i[6] * v[5],
        i[4] * v[0] + i[5] * v[1] + i[2] * v[2] - i[7] * v[3] + i[6] * v[4],
        i[8] * v[1] - i[7] * v[2] + i[9] * v[3],
        i[6] * v[2] - i[8] * v[0] + i[9] * v[4],
        i[7] * v[0] - i[6] * v[1] + i[9] * v[5],
    ]
}
/// Motion cross product v × m.
#[inline(always)]
pub fn cross_motion<R: Real>(v: &V6<R>, m: &V6<R>) -> V6<R> {
    let (w, l) = ([v[0], v[1], v[2]], [v[3], v[4], v[5]]);
    let (mw, ml) = ([m[0], m[1], m[2]], [m[3], m[4], m[5]]);
    let a = cross(w, mw);
    let b = add(cross(w, ml), cross(l, mw));
    [a[0], a[1], a[2], b[0], b[1], b[2]]
}
/// Force cross product v ×* f.
#[inline(always)]
pub fn cross_force<R: Real>(v: &V6<R>, f: &V6<R>) -> V6<R> {
    let (w, l) = ([v[0], v[1], v[2]], [v[3], v[4], v[5]]);
    let (fw, fl) = ([f[0], f[1], f[2]], [f[3], f[4], f[5]]);
    let a = add(cross(w, fw), cross(l, fl));
    let b = cross(w, fl);
    [a[0], a[1], a[2], b[0], b[1], b[2]]
}
/// Rotation vector of a unit quaternion, angle in (-pi, pi] (MuJoCo's `mju_quat2Vel` with dt = 1).
#[inline(always)]
pub fn quat_to_rotvec<R: Real>(q: Q4<R>) -> V3<R> {
    let (axis, s) = normalize([q[1], q[2], q[3]]);
    let pi = R::splat(std::f64::consts::PI);
    let angle = R::splat(2.0) * s.atan2(q[0]);
    let angle = R::select(angle.gt(pi), angle - R::splat(2.0) * pi, angle);
    scale(axis, angle)
}
/// q ⊗ exp(h w / 2): `q` turned by the body-frame angular velocity `w` for `h` seconds.
#[inline(always)]
pub fn quat_integrate<R: Real>(q: Q4<R>, w: V3<R>, h: R) -> Q4<R> {
    let (axis, speed) = normalize(w);
    quat_normalize(quat_mul(q, axis_angle(axis, speed * h)))
}
/// Inverse differential of the exponential map: the rate of the rotation vector `u` when the body turns with `w`
/// (body axes): w + u×w/2 + c u×(u×w), c = (1 - θ/2 cot(θ/2))/θ², θ = |u|.
#[inline(always)]
pub fn dexp_inverse<R: Real>(u: V3<R>, w: V3<R>) -> V3<R> {
    let theta2 = dot(u, u);
    // Bernoulli series where the closed form would cancel
    let mut series = R::splat(1.0 / 1_307_674_368_000.0 * 691.0);
    for c in [1.0 / 47_900_160.0, 1.0 / 1_209_600.0, 1.0 / 30_240.0, 1.0 / 720.0, 1.0 / 12.0] {
        series = series.mul_add(theta2, R::splat(c));
    }
    let large = theta2.gt(R::splat(0.25));
    let theta2_safe = R::select(large, theta2, R::ONE);
    let half = theta2_safe.sqrt() * R::splat(0.5);
    let (s, c) = half.sin_cos();
    let closed = (R::ONE - half * c / s) / theta2_safe;
    let uw = cross(u, w);
    add_scaled(add_scaled(w, uw, R::splat(0.5)), cross(u, uw), R::select(large, closed, series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_by_quaternion_and_by_matrix_agree() {
        let q = quat_normalize([0.3, -0.5, 0.7, 0.2]);
        let v = [1.0, -2.0, 0.5];
        let (a, b) = (quat_rotate(q, v), mul_mv(&quat_to_mat(q), v));
        for k in 0..3 {
            assert!((a[k] - b[k]).abs() < 1e-14);
        }
    }

    #[test]
    fn rotvec_inverts_axis_angle() {
        let axis = normalize([1.0, 2.0, -0.5]).0;
        for angle in [-3.0, -0.1, 0.0, 0.4, 3.1] {
            let r = quat_to_rotvec(axis_angle(axis, angle));
            for k in 0..3 {
                assert!((r[k] - axis[k] * angle).abs() < 1e-12, "{angle}: {r:?}");
            }
        }
    }

    /// exp(u + du) = exp(u) exp(h w) with du = h dexp⁻¹(w), for small and large turns.
    #[test]
    fn dexp_inverse_turns_a_body_rate_into_a_rate_of_the_rotation_vector() {
        let (axis, w, h) = (normalize([0.3, -0.8, 0.5]).0, [0.7, 0.4, -1.1], 1e-6);
        let exp = |u: V3<f64>| quat_integrate([1.0, 0.0, 0.0, 0.0], u, 1.0);
        for angle in [1e-9, 0.1, 0.499, 0.501, 2.0, 3.0] {
            let u = scale(axis, angle);
            let moved = quat_to_rotvec(quat_mul(exp(u), exp(scale(w, h))));
            let rate = dexp_inverse(u, w);
            for k in 0..3 {
                assert!(((moved[k] - u[k]) / h - rate[k]).abs() < 1e-5, "{angle}: {rate:?}");
            }
        }
    }
}
