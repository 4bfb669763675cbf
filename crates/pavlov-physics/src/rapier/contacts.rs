//! Which geoms may touch and with what friction, told to rapier; contact points and forces, read back.

use super::build::Built;
use super::layout::Layout;
use crate::backend::ContactPoint;
use pavlov_model::Model;
use rapier3d::prelude::*;
use rapier3d::utils::OrthonormalBasis;

/// A contact point of a candidate pair.
#[derive(Debug, Clone)]
pub(crate) struct PairContact {
    /// Index into `model.pairs`.
    pub pair: usize,
    /// The point, with the mean force over the step.
    pub point: ContactPoint,
}

/// MuJoCo's candidate pairs and their friction.
pub(crate) struct Pairs<'a> {
    pub layout: &'a Layout,
    pub model: &'a Model,
    pub friction: &'a [[f64; 5]],
}

impl Pairs<'_> {
    fn pair(&self, colliders: &ColliderSet, a: ColliderHandle, b: ColliderHandle) -> Option<usize> {
        let geom = |h: ColliderHandle| colliders.get(h).map(|c| c.user_data as usize);
        self.layout.pair(geom(a)?, geom(b)?)
    }
}

impl PhysicsHooks for Pairs<'_> {
    fn filter_contact_pair(&self, context: &PairFilterContext<'_>) -> Option<SolverFlags> {
        let pair = self.pair(context.colliders, context.collider1, context.collider2);
        (pair.is_some() && self.model.opt.contact).then_some(SolverFlags::COMPUTE_RIGID_IMPULSES)
    }

    fn modify_solver_contacts(&self, context: &mut ContactModificationContext<'_>) {
        let Some(pair) = self.pair(context.colliders, context.collider1, context.collider2) else { return };
        let friction = if self.model.pairs[pair].condim == 1 { 0.0 } else { self.friction[pair][0] };
        if let Some(manifold) = context.rigid_mut() {
            *manifold.friction = friction;
        }
    }
}

/// Contact points that touched or pushed in the last step, sorted by pair. `links` are the poses the step started from.
pub(crate) fn read(
    pairs: &Pairs<'_>,
    built: &Built,
    narrow_phase: &NarrowPhase,
    colliders: &ColliderSet,
    links: &[Pose],
    h: f64,
    out: &mut Vec<PairContact>,
) {
    out.clear();
    let (model, layout) = (pairs.model, pairs.layout);
    let geom_pose = |g: usize| match layout.body_link[model.geoms[g].body] {
        Some(link) => links[link] * built.geom_pose[g],
        None => built.geom_pose[g],
    };
    for touching in narrow_phase.contact_pairs() {
        let geom = |h: ColliderHandle| colliders.get(h).map(|c| c.user_data as usize);
        let (Some(a), Some(b)) = (geom(touching.collider1), geom(touching.collider2)) else { continue };
        let Some(index) = layout.pair(a, b) else { continue };
        let pair = &model.pairs[index];
        let sign = if pair.geom1 == a { 1.0 } else { -1.0 };
        let (pose_a, pose_b) = (geom_pose(a), geom_pose(b));
        for manifold in touching.solver_manifolds() {
            let normal = manifold.data.normal;
            let along = (-normal).orthonormal_vector();
            let across = (-normal).cross(along);
            for p in &manifold.points {
                if p.dist >= pair.margin && p.data.impulse == 0.0 {
                    continue;
                }
                let friction = along * p.data.tangent_impulse.x + across * p.data.tangent_impulse.y;
                let force = (normal * p.data.impulse - friction) * (sign / h);
                let middle = (pose_a * p.local_p1 + pose_b * p.local_p2) * 0.5;
                let normal = normal * sign;
                let point = ContactPoint {
                    geom1: pair.geom1,
                    geom2: pair.geom2,
                    dist: p.dist,
                    pos: middle.into(),
                    normal: normal.into(),
                    force: force.into(),
                };
                out.push(PairContact { pair: index, point });
            }
        }
    }
    out.sort_by_key(|c| c.pair);
}
