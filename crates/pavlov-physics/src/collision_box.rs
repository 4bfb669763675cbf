//! Contact points of boxes with planes and spheres, in MuJoCo's closed forms. For capsules: `collision_capsule_box.rs`.
//!
//! Source: `mjc_PlaneBox`, `mjraw_SphereBox` (semantics).

use crate::data::Data;
use crate::math::*;
use crate::params::Params;
use crate::real::{Mask, Real};
use crate::touch::{Touch, Touches, assign};

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
            let mask = open & !*taken;
            assign(slot, &corner, mask);
            *taken = *taken | mask;
            open = open & !mask;
        }
    }
    t
}

/// Touch of a sphere at `local` in the box's frame with the box, normal from the sphere to the box.
pub(crate) fn sphere_box_touch<R: Real>(
    local: V3<R>,
    radius: R,
    center: V3<R>,
    rot: &M3<R>,
    size: V3<R>,
    reach: R,
) -> Touch<R> {
    let clamped = [0, 1, 2].map(|k| local[k].clamp(-size[k], size[k]));
    let away = sub(clamped, local);
    let len = norm(away);
    let outside = len.gt(R::splat(1e-15));
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
        face = R::select(nearer, R::select(local[k].le(R::ZERO), -R::ONE, R::ONE), face);
        for (n, value) in axis.iter_mut().enumerate() {
            *value = R::select(nearer, if n == k { R::ONE } else { R::ZERO }, *value);
        }
    }
    // the box must move against the outward face normal, so the normal (sphere to box) points inwards
    let in_normal = scale(axis, -face);
    let in_dist = -(depth + radius);
    let dist = R::select(outside, out_dist, in_dist);
    let normal_local = [0, 1, 2].map(|k| R::select(outside, out_normal[k], in_normal[k]));
    let pos = add(mul_mv(rot, add_scaled(local, normal_local, radius + dist * R::splat(0.5))), center);
    Touch { found: dist.le(reach), dist, pos, normal: mul_mv(rot, normal_local) }
}

/// One point.
pub(crate) fn sphere_box<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let mut t = Touches::none();
    let (center, rot, size) = (d.geom_xpos[g2], &d.geom_xmat[g2], params.geom_size[g2]);
    let local = mul_mtv(rot, sub(d.geom_xpos[g1], center));
    t.push(sphere_box_touch(local, params.geom_size[g1][0], center, rot, size, reach));
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, placed, scene};

    const EYE: M3<f64> = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

    #[test]
    fn a_box_stands_on_its_four_lower_corners() {
        let physics = scene(
            "",
            "<geom type='plane' size='1 1 1'/><body><freejoint/><geom type='box' size='0.3 0.2 0.1'/></body>",
        );
        let mut d = placed::<f64>(&physics, &[0.0, 0.0, 0.09, 1.0, 0.0, 0.0, 0.0], &[0.0; 6]);
        physics.forward(&physics.params(), &mut d);
        assert_eq!(d.contacts.len(), 4);
        for c in &d.contacts {
            close(c.dist, -0.01, 1e-15);
            close(c.pos[0].abs(), 0.3, 1e-15);
            close(c.pos[1].abs(), 0.2, 1e-15);
            close(c.pos[2], -0.005, 1e-15);
        }
    }

    #[test]
    fn a_sphere_leaves_a_box_by_the_nearest_way() {
        let size = [0.3, 0.2, 0.1];
        let touch = |c| sphere_box_touch::<f64>(c, 0.05, [0.0; 3], &EYE, size, 0.0);
        // over a face, at a corner, inside
        let face = touch([0.1, 0.1, 0.14]);
        assert!(face.found);
        close(face.dist, -0.01, 1e-15);
        close(face.normal[2], -1.0, 1e-15);
        let corner = touch([0.32, 0.22, 0.12]);
        close(corner.dist, 0.02 * 3f64.sqrt() - 0.05, 1e-15);
        close(corner.normal[0], -1.0 / 3f64.sqrt(), 1e-12);
        let inside = touch([0.0, -0.19, 0.05]);
        close(inside.dist, -0.06, 1e-15);
        assert_eq!(inside.normal, [0.0, 1.0, 0.0]);
        assert!(!touch([0.0, 0.0, 0.16]).found);
    }
}
