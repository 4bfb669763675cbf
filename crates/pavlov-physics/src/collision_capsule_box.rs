//! Contact points of a capsule with a box: where the capsule's segment comes nearest, and where it leaves the box.
//!
//! A capsule is a segment with a radius, so each contact is a sphere on the segment against the box. Everything is in
//! the box's frame; a place on the segment is a number in [-1, 1] (`center + x axis`), as is a place on an edge.
//! 1. nearest: the two ends against the faces, then the segment against the twelve edges; the smallest distance wins;
//! 2. second: from there along the segment to the last place above the face or edge it lies along, if there is one.
//!
//! Which way and how far the second step goes depends on what was nearest (an end over a face, the inside of an edge, a
//! corner) and on the signs of the segment's direction. Source: `mjraw_CapsuleBox` (semantics), whose quirks are kept:
//! a segment that crosses the box is nearest to an edge, however deep it is.

use crate::collision_box::sphere_box_touch;
use crate::data::Data;
use crate::math::*;
use crate::params::Params;
use crate::real::{Mask, Real};
use crate::touch::Touches;

/// Capsule's segment and box, in the box's frame.
struct Scene<R> {
    /// Middle of the segment.
    center: V3<R>,
    /// Unit direction of the segment.
    axis: V3<R>,
    /// Half of the segment.
    half: V3<R>,
    /// Half extents of the box.
    size: V3<R>,
    /// Half length of the segment.
    length: R,
}

/// The part of the box that is nearest to the segment, and the place on the segment.
struct Nearest<R: Real> {
    /// Squared distance.
    dist2: R,
    /// Place on the segment.
    place: R,
    /// Something was nearer than the bound.
    found: R::Mask,
    /// It is an end of the segment over a face (or inside the box), not an edge.
    over_face: R::Mask,
    /// Axis of that face; none when the end is inside the box.
    face: [R::Mask; 3],
    /// Axis of the edge.
    edge: [R::Mask; 3],
    /// The nearest place is inside the edge, not one of its corners.
    inside_edge: R::Mask,
    /// Place on the edge.
    edge_place: R,
    /// Which sides the corner is on (the lower corner of an edge, when inside it): true for the positive one.
    corner: [R::Mask; 3],
}

/// Picks one of two masks per world.
#[inline(always)]
fn choose<M: Mask>(mask: M, yes: M, no: M) -> M {
    (mask & yes) | (!mask & no)
}

#[inline(always)]
fn differ<M: Mask>(a: M, b: M) -> M {
    (a & !b) | (!a & b)
}

/// Up to two points; normal from the capsule to the box.
pub(crate) fn capsule_box<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let (origin, rot, size) = (d.geom_xpos[g2], &d.geom_xmat[g2], params.geom_size[g2]);
    let [radius, length, _] = params.geom_size[g1];
    let axis = mul_mtv(rot, column(&d.geom_xmat[g1], 2));
    let center = mul_mtv(rot, sub(d.geom_xpos[g1], origin));
    let scene = Scene { center, axis, half: scale(axis, length), size, length };
    let bound = reach + (radius + length + size[0] + size[1] + size[2]) * R::splat(2.0);
    let mut near = nearest_face(&scene, bound);
    nearest_edge(&scene, &mut near);
    let (step, second) = second_step(&scene, &near);

    let mut t = Touches::none();
    let at = |place: R| sphere_box_touch(add_scaled(center, scene.half, place), radius, origin, rot, size, reach);
    let mut first = at(near.place);
    first.found = first.found & near.found;
    t.push(first);
    let second = second & near.found;
    if second.any() {
        let mut other = at(near.place + R::select(second, step, R::ZERO));
        other.found = other.found & second;
        t.push(other);
    }
    t
}

/// The nearer of those ends that are over a face or inside the box.
fn nearest_face<R: Real>(s: &Scene<R>, bound: R) -> Nearest<R> {
    let none = R::Mask::splat(false);
    let mut near = Nearest {
        dist2: bound,
        place: R::ZERO,
        found: none,
        over_face: none,
        face: [none; 3],
        edge: [none; 3],
        inside_edge: none,
        edge_place: R::ZERO,
        corner: [none; 3],
    };
    for end in [-R::ONE, R::ONE] {
        let point = add_scaled(s.center, s.half, end);
        let out = [0, 1, 2].map(|k| point[k].abs().gt(s.size[k]));
        let several = (out[0] & out[1]) | (out[0] & out[2]) | (out[1] & out[2]);
        let away = [0, 1, 2].map(|k| point[k] - point[k].clamp(-s.size[k], s.size[k]));
        let dist2 = dot(away, away);
        let better = !several & dist2.lt(near.dist2);
        near.dist2 = R::select(better, dist2, near.dist2);
        near.place = R::select(better, end, near.place);
        near.found = near.found | better;
        near.over_face = near.found;
        near.face = [0, 1, 2].map(|k| choose(better, out[k], near.face[k]));
    }
    near
}

/// The twelve edges, along x, then y, then z; each replaces what is known when it is nearer.
fn nearest_edge<R: Real>(s: &Scene<R>, near: &mut Nearest<R>) {
    let mc = s.length * s.length;
    for j in 0..3 {
        let ma = s.size[j] * s.size[j];
        let mb = -s.size[j] * s.half[j];
        let det = ma * mc - mb * mb;
        let skew = !det.abs().lt(parallel_bound(ma, mc));
        if !skew.any() {
            continue;
        }
        let inv = R::ONE / R::select(skew, det, R::ONE);
        for i in (0..8).filter(|i| i & (1 << j) == 0) {
            let positive = [i & 1 != 0, i & 2 != 0, i & 4 != 0];
            let mut middle = [0, 1, 2].map(|k| if positive[k] { s.size[k] } else { -s.size[k] });
            middle[j] = R::ZERO;
            let gap = sub(middle, s.center);
            let (u, v) = (-s.size[j] * gap[j], dot(s.half, gap));
            // closest places x1 on the edge, x2 on the segment; the order of the clamps is MuJoCo's
            let x1 = (mc * u - mb * v) * inv;
            let x2 = (ma * v - mb * u) * inv;
            let (mut upper, mut lower) = (x1.gt(R::ONE), x1.lt(-R::ONE));
            let x2 = R::select(upper, (v - mb) / mc, R::select(lower, (v + mb) / mc, x2));
            let x1 = x1.clamp(-R::ONE, R::ONE);
            let past = x2.abs().gt(R::ONE);
            let again = (u - R::select(x2.gt(R::ONE), mb, -mb)) / ma;
            let (above, below) = (past & again.gt(R::ONE), past & again.lt(-R::ONE));
            upper = (upper & !below) | above;
            lower = (lower & !above) | below;
            let x1 = R::select(past, again.clamp(-R::ONE, R::ONE), x1);
            let x2 = x2.clamp(-R::ONE, R::ONE);
            let mut away = add_scaled(gap, s.half, -x2);
            away[j] = s.size[j].mul_add(x1, away[j]);
            let dist2 = dot(away, away);
            // a tie goes to what was found before
            let better = skew & dist2.lt(near.dist2 - tie(near.dist2));
            near.dist2 = R::select(better, dist2, near.dist2);
            near.place = R::select(better, x2, near.place);
            near.edge_place = R::select(better, x1, near.edge_place);
            near.found = near.found | better;
            near.over_face = near.over_face & !better;
            near.inside_edge = choose(better, !upper & !lower, near.inside_edge);
            for k in 0..3 {
                let side = if k == j { upper } else { R::Mask::splat(positive[k]) };
                near.corner[k] = choose(better, side, near.corner[k]);
                near.edge[k] = choose(better, R::Mask::splat(k == j), near.edge[k]);
            }
        }
    }
}

/// MuJoCo calls axes parallel below an absolute 1e-15; in f32 the bound is relative.
fn parallel_bound<R: Real>(ma: R, mc: R) -> R {
    if R::LANES == 1 { R::splat(1e-15) } else { ma * mc * R::splat(1e-6) }
}

/// Differences of squared distances below this are rounding.
#[inline(always)]
fn tie<R: Real>(dist2: R) -> R {
    if R::LANES == 1 { R::splat(1e-15) } else { dist2 * R::splat(1e-5) }
}

/// How far the second point is from the first along the segment, and the worlds that have one.
fn second_step<R: Real>(s: &Scene<R>, near: &Nearest<R>) -> (R, R::Mask) {
    let rising = s.half.map(|h| h.gt(R::ZERO));
    // signs in which the segment's direction and the corner differ
    let turned = [0, 1, 2].map(|k| differ(rising[k], near.corner[k]));
    let over_face = near.found & near.over_face;
    let at_edge = near.found & !near.over_face & near.inside_edge;
    let at_corner = near.found & !near.over_face & !near.inside_edge;
    let (mut step, mut exists) = (R::ZERO, R::Mask::splat(false));
    let mut put = |mask: R::Mask, value: R| {
        step = R::select(mask, value, step);
        exists = exists | mask;
    };
    if over_face.any() {
        let outside = near.face[0] | near.face[1] | near.face[2];
        put(over_face & outside, step_over_face(s, near));
    }
    for k in 0..3 {
        let (a, b) = ((k + 1) % 3, (k + 2) % 3);
        let mask = at_edge & near.edge[k] & differ(turned[a], turned[b]);
        if mask.any() {
            put(mask, step_along_edge(s, near, &rising, &turned, k));
        }
        // the odd one out of three: neither pointing into the corner nor out of it
        let mask = at_corner & differ(turned[k], turned[a]) & differ(turned[k], turned[b]);
        if mask.any() {
            put(mask, step_from_corner(s, near, turned[k], k));
        }
    }
    (step, exists)
}

/// From an end over a face towards the other end, until the segment leaves the face sideways.
fn step_over_face<R: Real>(s: &Scene<R>, near: &Nearest<R>) -> R {
    let direction = -near.place;
    let end = add_scaled(s.center, s.half, near.place);
    let mut step = R::splat(2.0);
    for k in 0..3 {
        for border in [s.size[k], -s.size[k]] {
            let far = (border - end[k]) / s.half[k] * direction;
            step = R::select(!near.face[k] & far.gt(R::ZERO) & far.lt(step), far, step);
        }
    }
    step * direction
}

/// From inside edge `k` across that of its two faces which the segment is closer to lying in.
fn step_along_edge<R: Real>(
    s: &Scene<R>,
    near: &Nearest<R>,
    rising: &[R::Mask; 3],
    turned: &[R::Mask; 3],
    k: usize,
) -> R {
    let (a, b) = ((k + 1) % 3, (k + 2) % 3);
    let along_a = s.axis[a].abs().gt(s.axis[b].abs());
    let forward = choose(along_a, turned[a], turned[b]);
    let direction = R::select(forward, R::ONE, -R::ONE);
    let across = R::select(along_a, s.size[a] / s.half[a].abs(), s.size[b] / s.half[b].abs());
    // to the segment's end, the opposite edge of the face, or the end of this edge, whichever comes first
    let to_end = R::ONE - direction * near.place;
    let to_corner = R::select(differ(rising[k], forward), R::ONE + near.edge_place, R::ONE - near.edge_place);
    let sideways = s.size[k] * to_corner / s.half[k].abs();
    smaller(smaller(to_end, across * R::splat(2.0)), sideways) * direction
}

/// From a corner: along edge `k` when the segment lies along it, else back over the face normal to `k`.
fn step_from_corner<R: Real>(s: &Scene<R>, near: &Nearest<R>, turned: R::Mask, k: usize) -> R {
    let (a, b) = ((k + 1) % 3, (k + 2) % 3);
    let direction = R::select(turned, R::ONE, -R::ONE);
    let two = R::splat(2.0);
    let width = |k: usize| two * s.size[k] / s.half[k].abs();
    let along = smaller(R::ONE - direction * near.place, width(k));
    let back = smaller(smaller(R::ONE + direction * near.place, width(a)), width(b));
    let lies_along = (s.axis[k] * s.axis[k]).gt(R::splat(0.5));
    R::select(lies_along, along * direction, -back * direction)
}

/// `b` where it is less than `a`, so that a NaN in `b` is passed over.
#[inline(always)]
fn smaller<R: Real>(a: R, b: R) -> R {
    R::select(b.lt(a), b, a)
}

#[cfg(test)]
mod tests {
    use crate::data::Contact;
    use crate::testing::{close, placed, scene};

    /// Contacts of a box (half extents 0.3, 0.2, 0.1) at the origin with a capsule (radius 0.05, half length 0.4).
    fn contacts(pos: [f64; 3], quat: [f64; 4]) -> Vec<Contact<f64>> {
        let physics = scene(
            "",
            "<geom type='box' size='0.3 0.2 0.1'/>
             <body><freejoint/><geom type='capsule' size='0.05 0.4' margin='0.02'/></body>",
        );
        let qpos: Vec<f64> = pos.into_iter().chain(quat).collect();
        let mut d = placed::<f64>(&physics, &qpos, &[0.0; 6]);
        physics.forward(&physics.params(), &mut d);
        d.contacts.into_iter().filter(|c| c.detected).collect()
    }

    const HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const ALONG_X: [f64; 4] = [HALF, 0.0, HALF, 0.0];
    const ALONG_Y: [f64; 4] = [HALF, HALF, 0.0, 0.0];

    #[test]
    fn a_capsule_that_lies_on_the_box_touches_where_face_or_capsule_end() {
        for (pos, quat, axis, mut ends) in [
            ([0.0, 0.0, 0.14], [HALF, 0.0, HALF, 1e-7], 0, [-0.3, 0.3]),
            ([0.5, 0.0, 0.14], ALONG_X, 0, [0.1, 0.3]),
            ([0.1, 0.0, 0.14], ALONG_Y, 1, [-0.2, 0.2]),
        ] {
            let mut found = contacts(pos, quat);
            assert_eq!(found.len(), 2, "{pos:?}");
            found.sort_by(|a, b| a.pos[axis].total_cmp(&b.pos[axis]));
            ends.sort_by(f64::total_cmp);
            for (c, end) in found.iter().zip(ends) {
                close(c.pos[axis], end, 1e-9);
                close(c.dist, -0.01, 1e-9);
                close(c.frame[0][2], -1.0, 1e-9);
            }
        }
    }

    #[test]
    fn a_capsule_that_stands_on_the_box_touches_once_with_its_lower_end() {
        let found = contacts([0.1, 0.1, 0.54], [1.0, 0.0, 0.0, 0.0]);
        close(found[0].dist, -0.01, 1e-15);
        close(found[0].pos[2], 0.095, 1e-15);
        assert!(found.iter().skip(1).all(|c| c.dist > found[0].dist), "{found:?}");
    }

    #[test]
    fn a_capsule_across_an_upright_edge_touches_once() {
        // through the plane z = 0, at right angles to the diagonal of the upright edge at (0.3, 0.2)
        let turn = [HALF, -0.5, -0.5, 0.0];
        let found = contacts([0.3 + 0.03, 0.2 + 0.03, 0.0], turn);
        assert_eq!(found.len(), 1, "{found:?}");
        close(found[0].dist, 0.03 * 2f64.sqrt() - 0.05, 1e-9);
    }

    /// The first point is the nearest one of all points of the segment while the segment is outside the box.
    #[test]
    fn the_first_point_is_the_nearest() {
        let mut compared = 0;
        for n in 0..400 {
            let wave = |k: usize| (n as f64 * [0.731, 1.337, 2.113, 0.417, 1.913, 2.719, 0.877][k]).sin();
            let mut quat = [wave(3), wave(4), wave(5), wave(6)];
            let norm = quat.iter().map(|q| q * q).sum::<f64>().sqrt();
            quat = quat.map(|q| q / norm);
            let center = [0.6 * wave(0), 0.5 * wave(1), 0.4 * wave(2)];
            let axis = [
                2.0 * (quat[1] * quat[3] + quat[0] * quat[2]),
                2.0 * (quat[2] * quat[3] - quat[0] * quat[1]),
                1.0 - 2.0 * (quat[1] * quat[1] + quat[2] * quat[2]),
            ];
            let distance = |x: f64| {
                let out = [0.3, 0.2, 0.1]
                    .iter()
                    .enumerate()
                    .map(|(k, s)| ((center[k] + 0.4 * x * axis[k]).abs() - s).max(0.0));
                out.map(|o| o * o).sum::<f64>().sqrt()
            };
            let nearest = (0..=20_000).map(|i| distance(f64::from(i) / 10_000.0 - 1.0)).fold(f64::INFINITY, f64::min);
            if nearest > 1e-3 {
                let found = contacts(center, quat);
                assert_eq!(found.is_empty(), nearest > 0.05 + 0.02, "{n}");
                if let Some(c) = found.first() {
                    close(c.dist, nearest - 0.05, 1e-6);
                    compared += 1;
                }
            }
        }
        assert!(compared > 30, "{compared}");
    }
}
