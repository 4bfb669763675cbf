//! Collision stage: contact points of the candidate pairs.
//!
//! Every pair has a bounding-sphere test for all worlds at once; the shapes are looked at only when some world passes
//! it. A contact is kept when at least one world has it; `detected` and `active` say which. Order within a pair is
//! MuJoCo's. Source: `engine_collision_driver.c`, `engine_collision_primitive.c` (semantics).

use crate::collision_box::{plane_box, sphere_box};
use crate::collision_capsule_box::capsule_box;
use crate::data::{Contact, Data};
use crate::kinematics::geom_axis;
use crate::math::*;
use crate::params::Params;
use crate::real::{Mask, Real};
use crate::topology::Topology;
use crate::touch::{Touch, Touches};
use pavlov_model::{GeomKind, Model};

/// Fills `d.contacts` with pose and distance; the constraint stage adds the rest.
pub(crate) fn collide<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    d.contacts.clear();
    if !model.opt.contact {
        return;
    }
    for (p, pair) in model.pairs.iter().enumerate() {
        let (g1, g2) = (pair.geom1, pair.geom2);
        let reach = R::splat(pair.margin + pair.gap);
        let k1 = model.geoms[g1].kind;
        let (c1, c2) = (d.geom_xpos[g1], d.geom_xpos[g2]);
        let (r1, r2) = (R::splat(model.geoms[g1].rbound), R::splat(model.geoms[g2].rbound));
        let near = match k1 {
            GeomKind::Plane => near_plane(c1, column(&d.geom_xmat[g1], 2), c2, r2, reach),
            _ => near_sphere(c1, r1, c2, r2, reach),
        };
        if !near.any() {
            continue;
        }
        let Some(touches) = touches(model, params, d, g1, g2, reach) else { continue };
        for touch in &touches.points[..touches.len] {
            let detected = touch.found & near;
            if !detected.any() {
                continue;
            }
            d.contacts.push(Contact {
                pair: p,
                dim: usize::from(pair.condim),
                detected,
                active: detected & touch.dist.lt(R::splat(pair.margin)),
                dist: touch.dist,
                pos: touch.pos,
                frame: make_frame(touch.normal, touches.hint),
                mu: params.pair_friction[p],
                aref: [R::ZERO; 6],
                d: [R::ZERO; 6],
                mu_reg: R::ZERO,
                force: [R::ZERO; 6],
                jac: 0,
                row: 0,
                z: [R::ZERO; 6],
                dz: [R::ZERO; 6],
            });
        }
        debug_assert!(d.contacts.len() <= topo.max_contacts, "contact buffer sized from the model");
    }
}

/// Is the bounding sphere of a geom within reach of a plane with normal `n`?
pub(crate) fn near_plane<R: Real>(plane: V3<R>, n: V3<R>, center: V3<R>, radius: R, reach: R) -> R::Mask {
    dot(n, sub(center, plane)).lt(reach + radius)
}

/// Are two bounding spheres within reach of each other?
pub(crate) fn near_sphere<R: Real>(c1: V3<R>, r1: R, c2: V3<R>, r2: R, reach: R) -> R::Mask {
    let (gap, bound) = (sub(c2, c1), reach + (r1 + r2));
    dot(gap, gap).lt(bound * bound)
}

/// The points where two geoms touch, by their kinds; none for kinds that the model compiler refuses.
pub(crate) fn touches<R: Real>(
    model: &Model,
    params: &Params<R>,
    d: &Data<R>,
    g1: usize,
    g2: usize,
    reach: R,
) -> Option<Touches<R>> {
    Some(match (model.geoms[g1].kind, model.geoms[g2].kind) {
        (GeomKind::Plane, GeomKind::Sphere) => plane_sphere(params, d, g1, g2, reach),
        (GeomKind::Plane, GeomKind::Capsule) => plane_capsule(params, d, g1, g2, reach),
        (GeomKind::Plane, GeomKind::Box) => plane_box(params, d, g1, g2, reach),
        (GeomKind::Sphere, GeomKind::Sphere) => spheres(model, params, d, g1, g2, reach),
        (GeomKind::Sphere, GeomKind::Capsule) => sphere_capsule(model, params, d, g1, g2, reach),
        (GeomKind::Capsule, GeomKind::Capsule) => capsules(model, params, d, g1, g2, reach),
        (GeomKind::Sphere, GeomKind::Box) => sphere_box(params, d, g1, g2, reach),
        (GeomKind::Capsule, GeomKind::Box) => capsule_box(params, d, g1, g2, reach),
        _ => return None,
    })
}

/// Rows: normal, tangents. The first tangent follows `hint`, else world y, or world z where the normal is near y
/// (`mju_makeFrame`).
pub(crate) fn make_frame<R: Real>(normal: V3<R>, hint: Option<V3<R>>) -> M3<R> {
    let y = hint.unwrap_or_else(|| {
        let steep = normal[1].abs().lt(R::splat(0.5));
        [R::ZERO, R::select(steep, R::ONE, R::ZERO), R::select(steep, R::ZERO, R::ONE)]
    });
    let (y, _) = normalize(add_scaled(y, normal, -dot(normal, y)));
    [normal, y, cross(normal, y)]
}

fn plane_point<R: Real>(plane: V3<R>, n: V3<R>, center: V3<R>, radius: R, reach: R) -> Touch<R> {
    let dist = dot(n, sub(center, plane)) - radius;
    let half = dist * R::splat(0.5) + radius;
    Touch { found: dist.le(reach), dist, pos: add_scaled(center, n, -half), normal: n }
}

fn plane_sphere<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let n = column(&d.geom_xmat[g1], 2);
    let mut t = Touches::none();
    t.push(plane_point(d.geom_xpos[g1], n, d.geom_xpos[g2], params.geom_size[g2][0], reach));
    t
}

fn plane_capsule<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let n = column(&d.geom_xmat[g1], 2);
    let axis = column(&d.geom_xmat[g2], 2);
    let [radius, half, _] = params.geom_size[g2];
    let mut t = Touches::none();
    for end in [half, -half] {
        t.push(plane_point(d.geom_xpos[g1], n, add_scaled(d.geom_xpos[g2], axis, end), radius, reach));
    }
    t.hint = Some(axis);
    t
}

/// Two spheres; also the last step of the capsule tests. Where the centres coincide the normal is across both `axes`.
fn sphere_pair<R: Real>(c1: V3<R>, r1: R, c2: V3<R>, r2: R, reach: R, axes: impl Fn() -> [V3<R>; 2]) -> Touch<R> {
    let (mut normal, len) = normalize(sub(c2, c1));
    let coincident = len.lt(coincidence_bound(r1 + r2));
    if coincident.any() {
        let [a, b] = axes();
        let (across, _) = normalize(cross(a, b));
        normal = [0, 1, 2].map(|k| R::select(coincident, across[k], normal[k]));
    }
    let dist = len - r1 - r2;
    let pos = add_scaled(c1, normal, r1 + dist * R::splat(0.5));
    Touch { found: dist.le(reach), dist, pos, normal }
}

/// Below this distance two centres are one point: MuJoCo's 1e-15; in f32 what rounding leaves of zero.
fn coincidence_bound<R: Real>(radii: R) -> R {
    if R::LANES == 1 { R::splat(1e-15) } else { radii * R::splat(1e-4) }
}

/// World z axes of two round geoms.
fn z_axes<R: Real>(model: &Model, params: &Params<R>, d: &Data<R>, g1: usize, g2: usize) -> [V3<R>; 2] {
    [g1, g2].map(|g| mul_mv(&d.xmat[model.geoms[g].body], geom_axis(params.geom_quat[g])))
}

fn spheres<R: Real>(model: &Model, params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let axes = || z_axes(model, params, d, g1, g2);
    let mut t = Touches::none();
    let (r1, r2) = (params.geom_size[g1][0], params.geom_size[g2][0]);
    t.push(sphere_pair(d.geom_xpos[g1], r1, d.geom_xpos[g2], r2, reach, axes));
    t
}

fn sphere_capsule<R: Real>(
    model: &Model,
    params: &Params<R>,
    d: &Data<R>,
    g1: usize,
    g2: usize,
    reach: R,
) -> Touches<R> {
    let axes = || z_axes(model, params, d, g1, g2);
    let axis = column(&d.geom_xmat[g2], 2);
    let [r2, half, _] = params.geom_size[g2];
    let along = dot(axis, sub(d.geom_xpos[g1], d.geom_xpos[g2])).clamp(-half, half);
    let nearest = add_scaled(d.geom_xpos[g2], axis, along);
    let mut t = Touches::none();
    t.push(sphere_pair(d.geom_xpos[g1], params.geom_size[g1][0], nearest, r2, reach, axes));
    t
}

/// Below this squared sine two axes are parallel: capsules then touch at both ends of the part where they overlap.
const PARALLEL: f64 = 1e-8;

/// Closest points of two segments, or the ends of their overlap; then two spheres. MuJoCo 4's formulas, which its notes
/// leave out: with w = u1 × u2 the unclamped places are `(u2 × d)·w / w²` and `(u1 × d)·w / w²`, d = c1 - c2, which
/// stay exact for nearly parallel axes.
fn capsules<R: Real>(model: &Model, params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let axes = || z_axes(model, params, d, g1, g2);
    let [r1, h1, _] = params.geom_size[g1];
    let [r2, h2, _] = params.geom_size[g2];
    let (u1, u2) = (column(&d.geom_xmat[g1], 2), column(&d.geom_xmat[g2], 2));
    let (c1, c2) = (d.geom_xpos[g1], d.geom_xpos[g2]);
    let dif = sub(c1, c2);
    let (across, cosine) = (cross(u1, u2), dot(u1, u2));
    // places of each centre on the other's axis
    let (e1, e2) = (-dot(u1, dif), dot(u2, dif));
    let sine2 = dot(across, across);
    let parallel = sine2.lt(R::splat(PARALLEL));
    let inv = R::ONE / R::select(parallel, R::ONE, sine2);
    let x1 = dot(cross(u2, dif), across) * inv;
    let x2 = dot(cross(u1, dif), across) * inv;
    // clamp the first place and find the second anew, then the other way round
    let x2 = R::select(x1.abs().gt(h1), cosine.mul_add(x1.clamp(-h1, h1), e2), x2);
    let x1 = R::select(x2.abs().gt(h2), cosine.mul_add(x2.clamp(-h2, h2), e1), x1);
    let closest = [x1.clamp(-h1, h1), x2.clamp(-h2, h2)];
    // the lower (or upper) end of the overlap along the first axis
    let overlap = |sign: R| {
        let end = R::select(cosine.gt(R::ZERO), sign, -sign) * h2;
        let place = cosine.mul_add(end, e1);
        let x1 = place.clamp(-h1, h1);
        [x1, R::select(place.abs().le(h1), end, cosine.mul_add(x1, e2).clamp(-h2, h2))]
    };
    let pair = |[x1, x2]: [R; 2]| sphere_pair(add_scaled(c1, u1, x1), r1, add_scaled(c2, u2, x2), r2, reach, axes);
    let mut t = Touches::none();
    if !parallel.any() {
        t.push(pair(closest));
        return t;
    }
    let lower = overlap(-R::ONE);
    t.push(pair([0, 1].map(|k| R::select(parallel, lower[k], closest[k]))));
    let mut upper = pair(overlap(R::ONE));
    upper.found = upper.found & parallel;
    t.push(upper);
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Lane;
    use crate::testing::{close, placed, scene};

    /// Contacts of two free bodies with the given geoms and poses, for one world and for lanes.
    fn contacts(geoms: [&str; 2], poses: [[f64; 7]; 2]) -> Vec<Contact<f64>> {
        let body = |g: &str| format!("<body><freejoint/><geom {g}/></body>");
        let physics = scene("", &(body(geoms[0]) + &body(geoms[1])));
        let mut d = placed::<f64>(&physics, &poses.concat(), &[0.0; 12]);
        physics.forward(&physics.params(), &mut d);
        let mut lanes = placed::<Lane>(&physics, &poses.concat(), &[0.0; 12]);
        physics.forward(&physics.params(), &mut lanes);
        let found: Vec<_> = d.contacts.into_iter().filter(|c| c.detected).collect();
        let in_lanes: Vec<_> = lanes.contacts.iter().filter(|c| c.detected.get(5)).collect();
        assert_eq!(found.len(), in_lanes.len());
        for (c, l) in found.iter().zip(in_lanes) {
            close(l.dist.get(5), c.dist, 1e-6);
            for k in 0..3 {
                close(l.frame[0][k].get(5), c.frame[0][k], 1e-4);
            }
        }
        found
    }

    const HERE: [f64; 7] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];

    fn at(pos: [f64; 3], quat: [f64; 4]) -> [f64; 7] {
        [pos[0], pos[1], pos[2], quat[0], quat[1], quat[2], quat[3]]
    }

    #[test]
    fn two_spheres_touch_between_their_centres() {
        let c = contacts(["size='0.5'", "size='0.7'"], [HERE, at([0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0])]);
        close(c[0].dist, -0.2, 1e-15);
        assert_eq!((c[0].frame[0], c.len()), ([0.0, 1.0, 0.0], 1));
        close(c[0].pos[1], 0.4, 1e-15);
    }

    #[test]
    fn coinciding_centres_part_across_both_z_axes() {
        let half = 0.5f64.sqrt();
        // the second one's z points along -y
        let turned = at([0.0; 3], [half, half, 0.0, 0.0]);
        let spheres = contacts(["size='0.5'", "size='0.5'"], [HERE, turned]);
        let capsules = contacts(["type='capsule' size='0.1 0.5'", "type='capsule' size='0.1 0.5'"], [HERE, turned]);
        for c in [&spheres, &capsules] {
            close(c[0].frame[0][0], 1.0, 1e-15);
        }
        close(capsules[0].dist, -0.2, 1e-15);
        let parallel = contacts(["size='0.5'", "size='0.5'"], [turned, turned]);
        assert_eq!(parallel[0].frame[0], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn parallel_capsules_touch_at_two_points() {
        let geom = "type='capsule' size='0.1 0.5'";
        let c = contacts([geom, geom], [HERE, at([0.15, 0.0, 0.3], [1.0, 0.0, 0.0, 0.0])]);
        assert_eq!(c.len(), 2);
        let mut heights = [c[0].pos[2], c[1].pos[2]];
        heights.sort_by(f64::total_cmp);
        close(heights[0], -0.2, 1e-15);
        close(heights[1], 0.5, 1e-15);
    }

    #[test]
    fn frames_are_right_handed_whatever_the_normal() {
        for normal in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [0.6, 0.0, -0.8]] {
            for hint in [None, Some([0.3, -0.4, 0.5])] {
                let [n, y, z] = make_frame::<f64>(normal, hint);
                close(norm(y), 1.0, 1e-15);
                close(dot(n, y), 0.0, 1e-15);
                close(dot(cross(n, y), z), 1.0, 1e-15);
            }
        }
    }

    #[test]
    fn a_gap_detects_without_pushing() {
        let physics = scene(
            "gravity='0 0 0'",
            "<geom type='plane' size='1 1 1'/><body><freejoint/><geom size='0.1' margin='0.01' gap='0.02'/></body>",
        );
        for (height, detected, active) in [(0.105, true, true), (0.12, true, false), (0.135, false, false)] {
            let mut d = placed::<f64>(&physics, &[0.0, 0.0, height, 1.0, 0.0, 0.0, 0.0], &[0.0; 6]);
            physics.forward(&physics.params(), &mut d);
            assert_eq!(d.contacts.iter().any(|c| c.detected), detected, "{height}");
            assert_eq!(d.contacts.iter().any(|c| c.active), active, "{height}");
        }
    }
}
