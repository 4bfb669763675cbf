//! Velocity stage: spatial velocities, bias forces (recursive Newton-Euler), springs and dampers, actuators.
//!
//! Forces are generalised: N on slides, N m on hinges. Sources: `mj_comVel`, `mj_rne`, `mj_passive`, `mj_fwdActuation`.

use crate::data::Data;
use crate::math::*;
use crate::params::Params;
use crate::real::Real;
use crate::topology::Topology;
use pavlov_model::{JointKind, Model};

/// Spatial velocity of every body and the time derivative of every motion axis.
pub(crate) fn com_vel<R: Real>(model: &Model, d: &mut Data<R>) {
    d.cvel[0] = [R::ZERO; 6];
    for b in 1..model.bodies.len() {
        let body = &model.bodies[b];
        let mut v = d.cvel[body.parent];
        for j in body.joints.clone() {
            let joint = &model.joints[j];
            let mut i = joint.dofadr;
            match joint.kind {
                JointKind::Hinge | JointKind::Slide => {
                    d.cdof_dot[i] = cross_motion(&v, &d.cdof[i]);
                    accumulate(&mut v, &d.cdof[i], d.state.qvel[i]);
                }
                JointKind::Ball | JointKind::Free => {
                    if joint.kind == JointKind::Free {
                        for k in i..i + 3 {
                            d.cdof_dot[k] = [R::ZERO; 6];
                            accumulate(&mut v, &d.cdof[k], d.state.qvel[k]);
                        }
                        i += 3;
                    }
                    // all three axes turn with the velocity before any of them was added
                    for k in i..i + 3 {
                        d.cdof_dot[k] = cross_motion(&v, &d.cdof[k]);
                    }
                    for k in i..i + 3 {
                        accumulate(&mut v, &d.cdof[k], d.state.qvel[k]);
                    }
                }
            }
        }
        d.cvel[b] = v;
    }
}

#[inline(always)]
fn accumulate<R: Real>(sum: &mut V6<R>, axis: &V6<R>, speed: R) {
    for k in 0..6 {
        sum[k] = axis[k].mul_add(speed, sum[k]);
    }
}

/// `qfrc_bias`: the force that gives zero acceleration.
pub(crate) fn rne_bias<R: Real>(model: &Model, params: &Params<R>, d: &mut Data<R>) {
    let nbody = model.bodies.len();
    let g = params.gravity;
    d.cacc[0] = [R::ZERO, R::ZERO, R::ZERO, -g[0], -g[1], -g[2]];
    for b in 1..nbody {
        let body = &model.bodies[b];
        let mut a = d.cacc[body.parent];
        for i in body.dofs.clone() {
            accumulate(&mut a, &d.cdof_dot[i], d.state.qvel[i]);
        }
        d.cacc[b] = a;
        let momentum = mul_inert(&d.cinert[b], &d.cvel[b]);
        let gyro = cross_force(&d.cvel[b], &momentum);
        let inertial = mul_inert(&d.cinert[b], &a);
        for k in 0..6 {
            d.cfrc[b][k] = inertial[k] + gyro[k];
        }
    }
    for b in (1..nbody).rev() {
        let f = d.cfrc[b];
        for i in model.bodies[b].dofs.clone() {
            d.qfrc_bias[i] = dot6(&d.cdof[i], &f);
        }
        let parent = model.bodies[b].parent;
        if parent > 0 {
            for k in 0..6 {
                d.cfrc[parent][k] += f[k];
            }
        }
    }
}

/// `qfrc_passive`: joint springs, dampers and gravity compensation.
pub(crate) fn passive<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    for i in 0..model.nv() {
        d.qfrc_passive[i] = -params.dof_damping[i] * d.state.qvel[i];
    }
    for (j, joint) in model.joints.iter().enumerate() {
        if joint.stiffness == 0.0 {
            continue;
        }
        let k = params.jnt_stiffness[j];
        let (mut q, mut v) = (joint.qposadr, joint.dofadr);
        match joint.kind {
            JointKind::Hinge | JointKind::Slide => {
                d.qfrc_passive[v] -= k * (d.state.qpos[q] - params.qpos_spring[q]);
            }
            JointKind::Ball | JointKind::Free => {
                if joint.kind == JointKind::Free {
                    for n in 0..3 {
                        d.qfrc_passive[v + n] -= k * (d.state.qpos[q + n] - params.qpos_spring[q + n]);
                    }
                    q += 3;
                    v += 3;
                }
                let turned = [d.state.qpos[q], d.state.qpos[q + 1], d.state.qpos[q + 2], d.state.qpos[q + 3]];
                let s = &params.qpos_spring[q..q + 4];
                let difference = quat_mul(quat_conj([s[0], s[1], s[2], s[3]]), quat_normalize(turned));
                let turn = quat_to_rotvec(difference);
                for n in 0..3 {
                    d.qfrc_passive[v + n] -= k * turn[n];
                }
            }
        }
    }
    for (b, body) in model.bodies.iter().enumerate() {
        if body.gravcomp != 0.0 {
            let lift = scale(params.gravity, -params.body_mass[b] * R::splat(body.gravcomp));
            add_point_force(topo, d, b, d.xipos[b], d.subtree_com[body.root], lift, ForceSink::Passive);
        }
    }
}

/// Where a Cartesian force is added.
#[derive(Clone, Copy)]
pub(crate) enum ForceSink {
    Passive,
    Smooth,
}

/// Adds Jᵀ f of a force `f` at `point` on body `b`.
pub(crate) fn add_point_force<R: Real>(
    topo: &Topology,
    d: &mut Data<R>,
    b: usize,
    point: V3<R>,
    com: V3<R>,
    f: V3<R>,
    sink: ForceSink,
) {
    let torque = cross(sub(point, com), f);
    let wrench = [torque[0], torque[1], torque[2], f[0], f[1], f[2]];
    for &i in &topo.body_dofs[b] {
        let q = dot6(&d.cdof[i], &wrench);
        match sink {
            ForceSink::Passive => d.qfrc_passive[i] += q,
            ForceSink::Smooth => d.qfrc_smooth[i] += q,
        }
    }
}

/// `actuator_force` and `qfrc_actuator` from `ctrl`.
pub(crate) fn actuation<R: Real>(model: &Model, params: &Params<R>, d: &mut Data<R>) {
    d.qfrc_actuator.fill(R::ZERO);
    for (u, actuator) in model.actuators.iter().enumerate() {
        let joint = &model.joints[actuator.joint];
        let mut ctrl = d.ctrl[u];
        if let Some([lo, hi]) = actuator.ctrlrange {
            ctrl = ctrl.clamp(R::splat(lo), R::splat(hi));
        }
        let mut force = params.actuator_gain[u] * ctrl;
        let gear = params.actuator_gear[u];
        if actuator.bias != [0.0; 3] {
            let [b0, b1, b2] = params.actuator_bias[u];
            let length = gear * d.state.qpos[joint.qposadr];
            let velocity = gear * d.state.qvel[joint.dofadr];
            force += b2.mul_add(velocity, b1.mul_add(length, b0));
        }
        if let Some([lo, hi]) = actuator.forcerange {
            force = force.clamp(R::splat(lo), R::splat(hi));
        }
        d.actuator_force[u] = force;
        d.qfrc_actuator[joint.dofadr] = gear.mul_add(force, d.qfrc_actuator[joint.dofadr]);
    }
    for joint in &model.joints {
        if let (Some([lo, hi]), JointKind::Hinge | JointKind::Slide) = (joint.actfrcrange, joint.kind) {
            let force = &mut d.qfrc_actuator[joint.dofadr];
            *force = force.clamp(R::splat(lo), R::splat(hi));
        }
    }
}

/// `qfrc_smooth`: everything but constraints.
pub(crate) fn smooth_force<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
    for i in 0..model.nv() {
        d.qfrc_smooth[i] = d.qfrc_passive[i] - d.qfrc_bias[i] + d.qfrc_applied[i] + d.qfrc_actuator[i];
    }
    if d.has_xfrc {
        for b in 1..model.bodies.len() {
            let x = d.xfrc_applied[b];
            let (f, torque) = ([x[0], x[1], x[2]], [x[3], x[4], x[5]]);
            let com = d.subtree_com[model.bodies[b].root];
            add_point_force(topo, d, b, d.xipos[b], com, f, ForceSink::Smooth);
            for &i in &topo.body_dofs[b] {
                let axis = [d.cdof[i][0], d.cdof[i][1], d.cdof[i][2]];
                d.qfrc_smooth[i] += dot(axis, torque);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ARM, close, placed, scene, text_scene};

    #[test]
    fn bias_of_a_two_link_arm_is_the_textbook_one() {
        let physics = scene("", ARM);
        let (a, b, da, db, g) = (0.4f64, 0.9f64, 1.3, -0.8, 9.81);
        let mut d = placed::<f64>(&physics, &[a, b], &[da, db]);
        physics.forward(&physics.params(), &mut d);
        let turning = 3.0 * b.sin();
        let (at_elbow, at_hand) = (5.0 * g * a.sin(), 3.0 * g * (a + b).sin());
        close(d.qfrc_bias[0], -turning * (2.0 * da * db + db * db) + at_elbow + at_hand, 1e-9);
        close(d.qfrc_bias[1], turning * da * da + at_hand, 1e-9);
    }

    #[test]
    fn springs_dampers_and_clamps_give_their_forces() {
        let physics = text_scene(
            "<mujoco><option gravity='0 0 0'/><worldbody><body>
               <joint name='j' type='slide' stiffness='5' springref='0.2' damping='3' actuatorfrcrange='-4 4'/>
               <geom size='0.1'/></body></worldbody>
             <actuator>
               <position joint='j' kp='10' kv='2' gear='2' ctrlrange='-1 1'/><motor joint='j' forcerange='-0.5 0.5'/>
             </actuator></mujoco>",
        );
        let params = physics.params::<f64>();
        let mut d = placed::<f64>(&physics, &[0.5], &[0.1]);
        d.ctrl.copy_from_slice(&[9.0, -7.0]);
        physics.forward(&params, &mut d);
        close(d.qfrc_passive[0], -5.0 * 0.3 - 3.0 * 0.1, 1e-14);
        // ctrl 1; length 1, velocity 0.2
        close(d.actuator_force[0], 10.0 - 10.0 - 0.4, 1e-14);
        close(d.actuator_force[1], -0.5, 0.0);
        close(d.qfrc_actuator[0], -0.8 - 0.5, 1e-14);
        d.ctrl[0] = -1.0;
        physics.forward(&params, &mut d);
        close(d.qfrc_actuator[0], -4.0, 0.0);
    }

    #[test]
    fn gravity_compensation_carries_a_body() {
        let physics = scene("", "<body gravcomp='1'><freejoint/><geom size='0.1' pos='0.3 0 0'/></body>");
        let mut d = placed::<f64>(&physics, &physics.model().qpos0.clone(), &[0.0; 6]);
        physics.forward(&physics.params(), &mut d);
        for a in &d.qacc {
            close(*a, 0.0, 1e-12);
        }
    }

    #[test]
    fn a_force_on_a_body_acts_at_its_centre_of_mass() {
        let physics = scene("gravity='0 0 0'", "<body><freejoint/><geom size='0.1' pos='0.3 0 0' mass='2'/></body>");
        let mut d = placed::<f64>(&physics, &physics.model().qpos0.clone(), &[0.0; 6]);
        d.xfrc_applied[1] = [0.0, 4.0, 0.0, 0.0, 0.0, 0.0];
        d.has_xfrc = true;
        physics.forward(&physics.params(), &mut d);
        for (found, expected) in d.qacc.iter().zip([0.0, 2.0, 0.0, 0.0, 0.0, 0.0]) {
            close(*found, expected, 1e-12);
        }
    }
}
