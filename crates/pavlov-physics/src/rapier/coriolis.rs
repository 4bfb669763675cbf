//! Coriolis, centrifugal and gyroscopic forces on time.
//!
//! Rapier solves each substep with the derivative of these forces in its matrix, so that they act with the velocity the
//! substep ends with: half a substep late, which takes energy from what turns fast. (Its matrix is not quite the
//! derivative either: the angular velocity of the child stands where the parent's belongs, and the sliding velocity
//! counts three times for two.) After a step in free motion the difference to the forces at the velocity in the middle
//! is made up for, through rapier's own Jacobians and factored mass matrix.

use super::build::Built;
use super::layout::{Layout, dofs};
use super::scene::SUBSTEPS;
use pavlov_model::Model;
use rapier3d::na;
use rapier3d::prelude::*;

/// Velocity and velocity-dependent acceleration of a link at its centre of mass, world axes; and what rapier's matrix
/// makes of a change of velocity.
#[derive(Clone, Copy, Default)]
struct Motion {
    spin: Vector,
    linear: Vector,
    angular: Vector,
    change: Vector,
    matrix_linear: Vector,
    matrix_angular: Vector,
}

/// Force at the centre of mass and torque on each link: the inertial ones of generalised velocities `speeds` without
/// acceleration, and those that rapier's matrix adds for a change of velocities `changes`.
#[allow(clippy::type_complexity, reason = "two wrenches")]
fn wrenches(
    layout: &Layout,
    built: &Built,
    links: &[Pose],
    speeds: &[[f64; 6]],
    changes: &[[f64; 6]],
) -> Vec<[(Vector, Vector); 2]> {
    let mut motions: Vec<Motion> = Vec::with_capacity(links.len());
    let mut out = Vec::with_capacity(links.len());
    for (l, link) in layout.links.iter().enumerate() {
        let p = link.parent.map_or_else(Motion::default, |p| motions[p]);
        let parent_pose = link.parent.map_or(Pose::IDENTITY, |p| links[p]);
        let from = link.parent.map_or(Vector::ZERO, |p| links[p] * built.link_mass[p].local_com);
        let joint = &built.joints[l];
        let frame = parent_pose.rotation * joint.data.local_frame1.rotation;
        let (own, own_change) =
            (joint.jacobian_mul_coordinates(&speeds[l]), joint.jacobian_mul_coordinates(&changes[l]));
        let (slide, turn) = (frame * own.linvel, frame * own.angvel);
        let (slide_change, turn_change) = (frame * own_change.linvel, frame * own_change.angvel);
        let mass = &built.link_mass[l];
        let (anchor, com) = (links[l] * joint.data.local_frame2.translation, links[l] * mass.local_com);
        let (to_anchor, to_com) = (anchor - from, com - anchor);
        let spin = p.spin + turn;
        let angular = p.angular + p.spin.cross(turn);
        let linear = p.linear
            + p.spin.cross(slide) * 2.0
            + p.spin.cross(p.spin.cross(to_anchor))
            + p.angular.cross(to_anchor)
            + spin.cross(spin.cross(to_com))
            + angular.cross(to_com);
        // rapier's matrix, term by term; a root hangs from a link that does not move
        let change = p.change + turn_change;
        let matrix_angular = p.matrix_angular + p.change.cross(turn) + p.spin.cross(turn_change);
        let matrix_linear = p.matrix_linear
            + p.matrix_angular.cross(to_anchor)
            + p.change.cross(spin.cross(to_anchor) + slide * 3.0)
            + p.spin.cross(p.change.cross(to_anchor))
            + p.spin.cross(slide_change) * 2.0
            + matrix_angular.cross(to_com)
            + change.cross(spin.cross(to_com))
            + spin.cross(change.cross(to_com));
        let axes = links[l].rotation * mass.principal_inertia_local_frame;
        let inertia = |w: Vector| axes * (mass.principal_inertia() * (axes.inverse() * w));
        let gyro = spin.cross(inertia(change)) + change.cross(inertia(spin));
        out.push([
            (-linear * mass.mass(), -inertia(angular) - spin.cross(inertia(spin))),
            (-matrix_linear * mass.mass(), -inertia(matrix_angular) - gyro),
        ]);
        motions.push(Motion { spin, linear, angular, change, matrix_linear, matrix_angular });
    }
    out
}

/// Adds to the velocities of the multibodies what the step from `before` (rapier's velocities, in our order of dofs)
/// lost, and moves their joints along.
pub(crate) fn correct(
    model: &Model,
    layout: &Layout,
    built: &Built,
    multibodies: &mut MultibodyJointSet,
    before: &[f64],
    h: f64,
) {
    let count = layout.links.len();
    let (mut middle, mut early, mut changes) = (vec![[0.0; 6]; count], vec![[0.0; 6]; count], vec![[0.0; 6]; count]);
    let mut links = Vec::with_capacity(count);
    for (l, link) in layout.links.iter().enumerate() {
        let (place, joint) = (&built.places[l], &model.joints[link.joint]);
        let Some(multibody) = multibodies.get_multibody(place.multibody) else { return };
        let Some(own) = multibody.link(place.link) else { return };
        links.push(*own.local_to_world());
        for k in 0..dofs(joint.kind) {
            let (start, end) = (before[joint.dofadr + k], multibody.generalized_velocity()[place.dof + k]);
            middle[l][k] = 0.5 * (start + end);
            changes[l][k] = (end - start) / SUBSTEPS as f64;
            early[l][k] = middle[l][k] - 0.5 * changes[l][k];
        }
    }
    let on_time = wrenches(layout, built, &links, &middle, &changes);
    let found = wrenches(layout, built, &links, &early, &changes);
    for root in (0..count).filter(|&l| layout.links[l].parent.is_none()) {
        let index = built.places[root].multibody;
        let Some(multibody) = multibodies.get_multibody_mut(index) else { return };
        let mut change = na::DVector::<f64>::zeros(multibody.ndofs());
        for l in (0..count).filter(|&l| built.places[l].multibody == index) {
            let ([due, _], [start, added]) = (on_time[l], found[l]);
            let (force, torque) = (due.0 - start.0 - added.0, due.1 - start.1 - added.1);
            let wrench = na::Vector6::new(force.x, force.y, force.z, torque.x, torque.y, torque.z);
            change.gemv_tr(h, multibody.body_jacobian(built.places[l].link), &wrench, 1.0);
        }
        if !multibody.inv_augmented_mass().solve_mut(&mut change) || !change.iter().all(|x| x.is_finite()) {
            continue;
        }
        let mut velocity = multibody.generalized_velocity_mut();
        velocity += &change;
        let moved: Vec<f64> = change.iter().map(|dv| 0.5 * h * dv).collect();
        multibody.apply_displacements(&moved);
    }
}
