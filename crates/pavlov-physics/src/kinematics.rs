//! Position stage: poses of bodies, joints and geoms, centres of mass, spatial inertias and motion axes.
//!
//! m, rad, world axes. Parents before children (`mj_kinematics`, `mj_comPos`).

use crate::data::Data;
use crate::math::*;
use crate::params::Params;
use crate::real::Real;
use crate::topology::Topology;
use pavlov_model::{GeomKind, JointKind, Model};

/// Poses of bodies, joint anchors and axes, centres of mass of bodies, geoms that collide.
pub(crate) fn kinematics<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    for b in 1..model.bodies.len() {
        let body = &model.bodies[b];
        let parent = body.parent;
        let free = body.joints.len() == 1 && model.joints[body.joints.start].kind == JointKind::Free;
        let (mut pos, mut quat);
        if free {
            let j = body.joints.start;
            let q = &d.state.qpos[model.joints[j].qposadr..];
            pos = [q[0], q[1], q[2]];
            quat = quat_normalize([q[3], q[4], q[5], q[6]]);
            d.xanchor[j] = pos;
            d.xaxis[j] = [R::ZERO, R::ZERO, R::ONE];
        } else {
            pos = if parent == 0 {
                params.body_pos[b]
            } else {
                add(d.xpos[parent], mul_mv(&d.xmat[parent], params.body_pos[b]))
            };
            quat = match (parent == 0, topo.body_unrotated[b]) {
                (true, _) => params.body_quat[b],
                (false, true) => d.xquat[parent],
                (false, false) => quat_mul(d.xquat[parent], params.body_quat[b]),
            };
            for j in body.joints.clone() {
                let joint = &model.joints[j];
                let axis = quat_rotate(quat, params.jnt_axis[j]);
                let anchor = add(pos, quat_rotate(quat, params.jnt_pos[j]));
                d.xaxis[j] = axis;
                d.xanchor[j] = anchor;
                let q = joint.qposadr;
                match joint.kind {
                    JointKind::Slide => {
                        pos = add_scaled(pos, axis, d.state.qpos[q] - params.qpos0[q]);
                        continue;
                    }
                    JointKind::Hinge => {
                        let turn = axis_angle(params.jnt_axis[j], d.state.qpos[q] - params.qpos0[q]);
                        quat = quat_mul(quat, turn);
                    }
                    JointKind::Ball | JointKind::Free => {
                        let s = &d.state.qpos;
                        quat = quat_mul(quat, quat_normalize([s[q], s[q + 1], s[q + 2], s[q + 3]]));
                    }
                }
                // the joint turns about its anchor, not about the body's origin
                if joint.pos != [0.0; 3] {
                    pos = sub(anchor, quat_rotate(quat, params.jnt_pos[j]));
                }
            }
            if !body.joints.is_empty() || !topo.body_unrotated[b] {
                quat = quat_normalize(quat);
            }
        }
        let mat = quat_to_mat(quat);
        d.xpos[b] = pos;
        d.xquat[b] = quat;
        d.xmat[b] = mat;
        d.xipos[b] = add(pos, mul_mv(&mat, params.body_ipos[b]));
    }
    for g in 0..model.geoms.len() {
        if topo.geom_collides[g] {
            geom_pose(model, topo, params, d, g);
        }
    }
}

/// World pose of one geom.
fn geom_pose<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>, g: usize) {
    let b = model.geoms[g].body;
    let mat = &d.xmat[b];
    d.geom_xpos[g] = add(d.xpos[b], mul_mv(mat, params.geom_pos[g]));
    if topo.geom_needs_mat[g] {
        d.geom_xmat[g] = mul_mm(mat, &quat_to_mat(params.geom_quat[g]));
    } else if model.geoms[g].kind == GeomKind::Capsule {
        let axis = mul_mv(mat, geom_axis(params.geom_quat[g]));
        for k in 0..3 {
            d.geom_xmat[g][k][2] = axis[k];
        }
    }
}

/// Local z axis of a frame.
#[inline(always)]
pub(crate) fn geom_axis<R: Real>(q: Q4<R>) -> V3<R> {
    let two = R::splat(2.0);
    [
        two * (q[1] * q[3] + q[0] * q[2]),
        two * (q[2] * q[3] - q[0] * q[1]),
        q[0] * q[0] - q[1] * q[1] - q[2] * q[2] + q[3] * q[3],
    ]
}

/// Subtree centres of mass, spatial inertias and motion axes about the tree's centre of mass.
pub(crate) fn com_pos<R: Real>(model: &Model, params: &Params<R>, d: &mut Data<R>) {
    let nbody = model.bodies.len();
    for b in 0..nbody {
        d.subtree_mass[b] = params.body_mass[b];
        d.subtree_com[b] = scale(d.xipos[b], params.body_mass[b]);
    }
    for b in (1..nbody).rev() {
        let parent = model.bodies[b].parent;
        let (mass, moment) = (d.subtree_mass[b], d.subtree_com[b]);
        d.subtree_mass[parent] += mass;
        d.subtree_com[parent] = add(d.subtree_com[parent], moment);
    }
    for b in 0..nbody {
        // a massless subtree has its centre where its body is (MuJoCo: below mjMINVAL)
        let mass = d.subtree_mass[b];
        let massless = mass.lt(R::splat(1e-15));
        let inv = R::ONE / R::select(massless, R::ONE, mass);
        let com = scale(d.subtree_com[b], inv);
        for k in 0..3 {
            d.subtree_com[b][k] = R::select(massless, d.xipos[b][k], com[k]);
        }
    }
    for b in 1..nbody {
        let body = &model.bodies[b];
        let com = d.subtree_com[body.root];
        let offset = sub(d.xipos[b], com);
        d.cinert[b] = spatial_inertia(&params.body_inertia[b], &d.xmat[b], offset, params.body_mass[b]);
        for j in body.joints.clone() {
            let joint = &model.joints[j];
            let arm = sub(com, d.xanchor[j]);
            let v = joint.dofadr;
            let turning = |axis: V3<R>| {
                let lin = cross(axis, arm);
                [axis[0], axis[1], axis[2], lin[0], lin[1], lin[2]]
            };
            match joint.kind {
                JointKind::Slide => {
                    let a = d.xaxis[j];
                    d.cdof[v] = [R::ZERO, R::ZERO, R::ZERO, a[0], a[1], a[2]];
                }
                JointKind::Hinge => d.cdof[v] = turning(d.xaxis[j]),
                JointKind::Ball | JointKind::Free => {
                    let mut v = v;
                    if joint.kind == JointKind::Free {
                        for k in 0..3 {
                            d.cdof[v + k] = [R::ZERO; 6];
                            d.cdof[v + k][3 + k] = R::ONE;
                        }
                        v += 3;
                    }
                    for k in 0..3 {
                        let m = &d.xmat[b];
                        d.cdof[v + k] = turning([m[0][k], m[1][k], m[2][k]]);
                    }
                }
            }
        }
    }
}

/// 10-number spatial inertia of a body about a point, given the tensor in body axes and the offset of its centre of
/// mass from the point (`mju_inertCom`).
fn spatial_inertia<R: Real>(t: &[R; 6], rot: &M3<R>, o: V3<R>, m: R) -> [R; 10] {
    let tensor = [[t[0], t[3], t[4]], [t[3], t[1], t[5]], [t[4], t[5], t[2]]];
    // R T Rᵀ, upper triangle
    let rt = [mul_mv(&tensor, rot[0]), mul_mv(&tensor, rot[1]), mul_mv(&tensor, rot[2])];
    let mo = scale(o, m);
    let (xx, yy, zz) = (mo[0] * o[0], mo[1] * o[1], mo[2] * o[2]);
    [
        dot(rot[0], rt[0]) + (yy + zz),
        dot(rot[1], rt[1]) + (xx + zz),
        dot(rot[2], rt[2]) + (xx + yy),
        dot(rot[0], rt[1]) - mo[0] * o[1],
        dot(rot[0], rt[2]) - mo[0] * o[2],
        dot(rot[1], rt[2]) - mo[1] * o[2],
        mo[0],
        mo[1],
        mo[2],
        m,
    ]
}

#[cfg(test)]
mod tests {
    use crate::testing::{ARM, close, placed, scene};

    #[test]
    fn a_two_link_arm_is_where_trigonometry_says() {
        let physics = scene("", ARM);
        let params = physics.params::<f64>();
        for (a, b) in [(0.0, 0.0), (0.3, -1.1), (2.0, 0.7)] {
            let mut d = placed(&physics, &[a, b], &[0.0, 0.0]);
            physics.forward(&params, &mut d);
            let elbow = [a.sin(), 0.0, -a.cos()];
            let hand = [elbow[0] + (a + b).sin(), 0.0, elbow[2] - (a + b).cos()];
            for k in 0..3 {
                close(d.xpos[2][k], elbow[k], 1e-14);
                close(d.xipos[2][k], hand[k], 1e-14);
                close(d.subtree_com[1][k], (2.0 * elbow[k] + 3.0 * hand[k]) / 5.0, 1e-14);
            }
        }
    }

    #[test]
    fn a_hinge_turns_about_its_anchor() {
        let physics = scene("", "<body pos='1 0 0'><joint axis='0 0 1' pos='0.5 0 0'/><geom size='0.1'/></body>");
        let mut d = placed::<f64>(&physics, &[std::f64::consts::FRAC_PI_2], &[0.0]);
        physics.forward(&physics.params(), &mut d);
        close(d.xpos[1][0], 1.5, 1e-15);
        close(d.xpos[1][1], -0.5, 1e-15);
        assert_eq!(d.xanchor[0], [1.5, 0.0, 0.0]);
    }

    #[test]
    fn the_offset_of_a_slide_is_taken_from_its_reference() {
        let physics =
            scene("", "<body pos='0 0 1'><joint type='slide' axis='0 0 1' ref='0.4'/><geom size='0.1'/></body>");
        let mut d = placed::<f64>(&physics, &[0.6], &[0.0]);
        physics.forward(&physics.params(), &mut d);
        close(d.xpos[1][2], 1.2, 1e-15);
    }
}
