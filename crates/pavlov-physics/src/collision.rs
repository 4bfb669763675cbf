//! Collision stage: contact points of the candidate pairs.
//!
//! Every pair has a bounding-sphere test for all worlds at once; the shapes are looked at only when some world passes
//! it. A contact is kept when at least one world has it; `detected` and `active` say which. Order within a pair is
//! MuJoCo's. Source: `engine_collision_driver.c`, `engine_collision_primitive.c` (semantics).

use crate::collision_box::{capsule_box, plane_box, sphere_box};
use crate::data::{Contact, Data};
use crate::math::*;
use crate::params::Params;
use crate::real::{Mask, Real};
use crate::topology::Topology;
use pavlov_model::{GeomKind, Model};

/// What a shape test found.
#[derive(Clone, Copy)]
pub(crate) struct Touch<R: Real> {
    /// Worlds that have this point.
    pub(crate) found: R::Mask,
    pub(crate) dist: R,
    pub(crate) pos: V3<R>,
    /// From geom1 to geom2.
    pub(crate) normal: V3<R>,
}

/// Up to four points with the direction the first tangent should take, if the shapes have one.
pub(crate) struct Touches<R: Real> {
    pub(crate) points: [Touch<R>; 4],
    pub(crate) len: usize,
    pub(crate) hint: Option<V3<R>>,
}

impl<R: Real> Touches<R> {
    pub(crate) fn none() -> Self {
        let empty = Touch { found: R::Mask::splat(false), dist: R::ZERO, pos: [R::ZERO; 3], normal: [R::ZERO; 3] };
        Self { points: [empty; 4], len: 0, hint: None }
    }
    pub(crate) fn push(&mut self, touch: Touch<R>) {
        self.points[self.len] = touch;
        self.len += 1;
    }
}

/// Fills `d.contacts` with pose and distance; the constraint stage adds the rest.
pub(crate) fn collide<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    d.contacts.clear();
    if !model.opt.contact {
        return;
    }
    for (p, pair) in model.pairs.iter().enumerate() {
        let (g1, g2) = (pair.geom1, pair.geom2);
        let reach = R::splat(pair.margin + pair.gap);
        let (k1, k2) = (model.geoms[g1].kind, model.geoms[g2].kind);
        let near = match k1 {
            GeomKind::Plane => {
                let n = column(&d.geom_xmat[g1], 2);
                let height = dot(n, sub(d.geom_xpos[g2], d.geom_xpos[g1]));
                height.lt(reach + R::splat(model.geoms[g2].rbound))
            }
            _ => {
                let gap = sub(d.geom_xpos[g2], d.geom_xpos[g1]);
                let bound = reach + R::splat(model.geoms[g1].rbound + model.geoms[g2].rbound);
                dot(gap, gap).lt(bound * bound)
            }
        };
        if !near.any() {
            continue;
        }
        let touches = match (k1, k2) {
            (GeomKind::Plane, GeomKind::Sphere) => plane_sphere(params, d, g1, g2, reach),
            (GeomKind::Plane, GeomKind::Capsule) => plane_capsule(params, d, g1, g2, reach),
            (GeomKind::Plane, GeomKind::Box) => plane_box(params, d, g1, g2, reach),
            (GeomKind::Sphere, GeomKind::Sphere) => spheres(params, d, g1, g2, reach),
            (GeomKind::Sphere, GeomKind::Capsule) => sphere_capsule(params, d, g1, g2, reach),
            (GeomKind::Capsule, GeomKind::Capsule) => capsules(params, d, g1, g2, reach),
            (GeomKind::Sphere, GeomKind::Box) => sphere_box(params, d, g1, g2, reach),
            (GeomKind::Capsule, GeomKind::Box) => capsule_box(params, d, g1, g2, reach),
            // the model compiler refuses every other pair
            _ => continue,
        };
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

/// Column `k` of a matrix: an axis of the frame.
#[inline(always)]
pub(crate) fn column<R: Real>(m: &M3<R>, k: usize) -> V3<R> {
    [m[0][k], m[1][k], m[2][k]]
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

/// Two spheres; also the last step of every capsule test.
pub(crate) fn sphere_pair<R: Real>(c1: V3<R>, r1: R, c2: V3<R>, r2: R, reach: R) -> Touch<R> {
    let (normal, len) = normalize(sub(c2, c1));
    let dist = len - r1 - r2;
    let pos = add_scaled(c1, normal, r1 + dist * R::splat(0.5));
    Touch { found: dist.le(reach), dist, pos, normal }
}

fn spheres<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let mut t = Touches::none();
    let (r1, r2) = (params.geom_size[g1][0], params.geom_size[g2][0]);
    t.push(sphere_pair(d.geom_xpos[g1], r1, d.geom_xpos[g2], r2, reach));
    t
}

fn sphere_capsule<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let axis = column(&d.geom_xmat[g2], 2);
    let [r2, half, _] = params.geom_size[g2];
    let along = dot(axis, sub(d.geom_xpos[g1], d.geom_xpos[g2])).clamp(-half, half);
    let nearest = add_scaled(d.geom_xpos[g2], axis, along);
    let mut t = Touches::none();
    t.push(sphere_pair(d.geom_xpos[g1], params.geom_size[g1][0], nearest, r2, reach));
    t
}

fn unit_clamp<R: Real>(x: R) -> R {
    x.clamp(-R::ONE, R::ONE)
}

fn capsules<R: Real>(params: &Params<R>, d: &Data<R>, g1: usize, g2: usize, reach: R) -> Touches<R> {
    let [r1, h1, _] = params.geom_size[g1];
    let [r2, h2, _] = params.geom_size[g2];
    let a1 = scale(column(&d.geom_xmat[g1], 2), h1);
    let a2 = scale(column(&d.geom_xmat[g2], 2), h2);
    let (c1, c2) = (d.geom_xpos[g1], d.geom_xpos[g2]);
    let dif = sub(c1, c2);
    // closest points c1 + x1 a1, c2 + x2 a2 of two segments, x in [-1, 1]
    let (ma, mb, mc) = (dot(a1, a1), -dot(a1, a2), dot(a2, a2));
    let (u, v) = (-dot(a1, dif), dot(a2, dif));
    let det = ma * mc - mb * mb;
    let parallel = det.abs().lt(parallel_bound(ma, mc));
    let skew = !parallel;
    let mut t = Touches::none();
    let none = R::Mask::splat(false);
    let empty = Touch { found: none, dist: R::ZERO, pos: [R::ZERO; 3], normal: [R::ZERO; 3] };
    let (mut first, mut second) = (empty, empty);
    if skew.any() {
        let inv = R::ONE / R::select(parallel, R::ONE, det);
        let x1 = (mc * u - mb * v) * inv;
        let x2 = (ma * v - mb * u) * inv;
        let x2 = R::select(x1.gt(R::ONE), (v - mb) / mc, R::select(x1.lt(-R::ONE), (v + mb) / mc, x2));
        let x1 = unit_clamp(x1);
        let redo1 = R::select(x2.gt(R::ONE), (u - mb) / ma, (u + mb) / ma);
        let x1 = R::select(x2.abs().gt(R::ONE), unit_clamp(redo1), x1);
        let x2 = unit_clamp(x2);
        first = sphere_pair(add_scaled(c1, a1, x1), r1, add_scaled(c2, a2, x2), r2, reach);
        first.found = first.found & skew;
    }
    if parallel.any() {
        // each end of either segment against the other segment; the first two that touch count
        let (mut has1, mut has2) = (first.found, none);
        for k in 0..4 {
            let sign = if k % 2 == 0 { R::ONE } else { -R::ONE };
            let (x1, x2) = if k < 2 {
                (sign, unit_clamp((v - sign * mb) / mc))
            } else {
                (unit_clamp((u - sign * mb) / ma), sign)
            };
            let mut touch = sphere_pair(add_scaled(c1, a1, x1), r1, add_scaled(c2, a2, x2), r2, reach);
            touch.found = touch.found & parallel;
            let (to1, to2) = (touch.found & !has1, touch.found & has1 & !has2);
            assign(&mut first, &touch, to1);
            assign(&mut second, &touch, to2);
            has1 = has1 | to1;
            has2 = has2 | to2;
        }
    }
    t.push(first);
    t.push(second);
    t
}

/// MuJoCo calls axes parallel below an absolute 1e-15; in f32 the bound is relative.
fn parallel_bound<R: Real>(ma: R, mc: R) -> R {
    if R::LANES == 1 { R::splat(R::PARALLEL) } else { ma * mc * R::splat(R::PARALLEL) }
}

/// Where `mask`, `to` becomes `from`.
pub(crate) fn assign<R: Real>(to: &mut Touch<R>, from: &Touch<R>, mask: R::Mask) {
    to.found = to.found | mask;
    to.dist = R::select(mask, from.dist, to.dist);
    for k in 0..3 {
        to.pos[k] = R::select(mask, from.pos[k], to.pos[k]);
        to.normal[k] = R::select(mask, from.normal[k], to.normal[k]);
    }
}
