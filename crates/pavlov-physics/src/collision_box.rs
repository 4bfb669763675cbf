//! Contact points of boxes with planes, spheres and capsules.
//!
//! Plane-box and sphere-box follow MuJoCo's closed forms. Capsule-box takes the point of the capsule's segment that is
//! nearest to the box (a convex problem, solved by bisection on the slope of the distance) and, where the segment lies
//! along a face, the far end of the touching part as a second point; MuJoCo picks its second point by case analysis,
//! so second points may differ.

use crate::collision::{Touch, Touches, assign, column};
use crate::data::Data;
use crate::math::*;
use crate::params::Params;
use crate::real::{Mask, Real};

/// The first four corners below the plane's reach and below the box's centre.
pub(crate) fn plane_box<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let n = column(&d.geom_xmat[g1], 2);
    let (center, rot, size) = (d.geom_xpos[g2], d.geom_xmat[g2], params.geom_size[g2]);
    let height = dot(n, sub(center, d.geom_xpos[g1]));
    let mut t = Touches::none();
    for _ in 0..4 {
        let at = t.points[0];
        t.push(Touch { found: R::Mask::splat(false), ..at });
    }
    let mut taken = [R::Mask::splat(false); 4];
    for i in 0..8 {
        let signs = [i & 1, i >> 1 & 1, i >> 2 & 1].map(|s| if s == 1 { R::ONE } else { -R::ONE });
        let local = [signs[0] * size[0], signs[1] * size[1], signs[2] * size[2]];
        let arm = mul_mv(&rot, local);
        let below = dot(n, arm);
        let dist = height + below;
        let corner = Touch {
            found: dist.le(reach) & below.le(R::ZERO),
            dist,
            pos: add_scaled(add(center, arm), n, -dist * R::splat(0.5)),
            normal: n,
        };
        // into the first free slot of each world
        let mut open = corner.found;
        for (slot, taken) in t.points.iter_mut().zip(&mut taken) {
            let here = open & !*taken;
            assign(slot, &corner, here);
            *taken = *taken | here;
            open = open & !here;
        }
    }
    t
}

/// Touch of a sphere with a box, normal from the sphere to the box.
fn sphere_box_touch<R: Real>(c: V3<R>, radius: R, center: V3<R>, rot: &M3<R>, size: V3<R>, reach: R) -> Touch<R> {
    let local = mul_mtv(rot, sub(c, center));
    let clamped = [0, 1, 2].map(|k| local[k].clamp(-size[k], size[k]));
    let away = sub(clamped, local);
    let len = norm(away);
    let outside = len.gt(R::splat(1e-12));
    // outside: straight to the nearest point
    let inv = R::ONE / R::select(outside, len, R::ONE);
    let out_normal = scale(away, inv);
    let out_dist = len - radius;
    // inside: through the nearest face
    let mut face = R::ONE;
    let mut axis = [R::ONE, R::ZERO, R::ZERO];
    let mut depth = size[0] + R::ONE + size[1] + size[2];
    for k in 0..3 {
        let gap = size[k] - local[k].abs();
        let nearer = gap.lt(depth);
        depth = R::select(nearer, gap, depth);
        face = R::select(nearer, R::select(local[k].lt(R::ZERO), -R::ONE, R::ONE), face);
        for (n, value) in axis.iter_mut().enumerate() {
            *value = R::select(nearer, if n == k { R::ONE } else { R::ZERO }, *value);
        }
    }
    // the box must move against the outward face normal, so the normal (sphere to box) points inwards
    let in_normal = scale(axis, -face);
    let in_dist = -(depth + radius);
    let dist = R::select(outside, out_dist, in_dist);
    let normal_local = [0, 1, 2].map(|k| R::select(outside, out_normal[k], in_normal[k]));
    let normal = mul_mv(rot, normal_local);
    let pos = add_scaled(c, normal, radius + dist * R::splat(0.5));
    Touch { found: dist.le(reach), dist, pos, normal }
}

/// One point.
pub(crate) fn sphere_box<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let mut t = Touches::none();
    let (center, rot, size) = (d.geom_xpos[g2], &d.geom_xmat[g2], params.geom_size[g2]);
    t.push(sphere_box_touch(d.geom_xpos[g1], params.geom_size[g1][0], center, rot, size, reach));
    t
}

/// The nearest point of the segment and, along a face, the farther end of the touching part.
pub(crate) fn capsule_box<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let (center, rot, size) = (d.geom_xpos[g2], d.geom_xmat[g2], params.geom_size[g2]);
    let [radius, half, _] = params.geom_size[g1];
    let axis = column(&d.geom_xmat[g1], 2);
    let start = mul_mtv(&rot, sub(d.geom_xpos[g1], center));
    let along = mul_mtv(&rot, axis);
    // d/dx of half the squared distance from start + x along to the box is increasing in x
    let slope = |x: R| {
        let p = add_scaled(start, along, x);
        let out = [0, 1, 2].map(|k| p[k] - p[k].clamp(-size[k], size[k]));
        dot(out, along)
    };
    let (mut lo, mut hi) = (-half, half);
    for _ in 0..40 {
        let mid = (lo + hi) * R::splat(0.5);
        let rising = slope(mid).gt(R::ZERO);
        hi = R::select(rising, mid, hi);
        lo = R::select(rising, lo, mid);
    }
    let x = (lo + hi) * R::splat(0.5);
    let at = |x: R| sphere_box_touch(add_scaled(d.geom_xpos[g1], axis, x), radius, center, &rot, size, reach);
    let first = at(x);
    let far = R::select(x.gt(R::ZERO), -half, half);
    let mut second = at(far);
    // a second point only where both push the same way: the capsule lies along a face
    let same = dot(first.normal, second.normal).gt(R::splat(0.999));
    second.found = second.found & same & (far - x).abs().gt(half * R::splat(0.1));
    let mut t = Touches::none();
    t.push(first);
    t.push(second);
    t
}
