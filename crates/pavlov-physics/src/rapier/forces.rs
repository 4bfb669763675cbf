//! Forces that MuJoCo knows per joint and rapier does not: actuators, springs, gravity compensation, limits of ball
//! joints.
//!
//! They are found as generalised forces and put on the links as equal and opposite forces and torques, which is what a
//! motor does. Damping, armature, dry friction and the limits of hinges and slides are rapier's own.

use super::build::{Built, vector};
use super::layout::Layout;
use crate::math::{quat_conj, quat_mul, quat_normalize, quat_to_rotvec};
use crate::params::Params;
use pavlov_model::{Joint, JointKind, Model};
use rapier3d::na;
use rapier3d::prelude::*;

/// Generalised forces of one world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drive {
    /// Force of each actuator.
    pub actuator_force: Vec<f64>,
    /// Actuator force on each dof.
    pub qfrc_actuator: Vec<f64>,
    /// What the links are to feel, per dof; without what `damping` accounts for.
    pub tau: Vec<f64>,
    /// Damping of actuators whose force is not clamped, for rapier to treat implicitly, per dof.
    pub damping: Vec<f64>,
    /// Stiffness of springs and of servos whose force is not clamped, per dof: how `tau` of a hinge or slide changes
    /// from substep to substep.
    pub stiffness: Vec<f64>,
}

impl Drive {
    pub fn new(model: &Model) -> Self {
        let zeros = |n: usize| vec![0.0; n];
        let (nu, nv) = (model.nu(), model.nv());
        Self {
            actuator_force: zeros(nu),
            qfrc_actuator: zeros(nv),
            tau: zeros(nv),
            damping: zeros(nv),
            stiffness: zeros(nv),
        }
    }

    /// Everything, at coordinates `qpos` and velocities `qvel`.
    pub fn evaluate(
        &mut self,
        model: &Model,
        params: &Params<f64>,
        stops: &[BallStop],
        qpos: &[f64],
        qvel: &[f64],
        ctrl: &[f64],
    ) {
        self.tau.fill(0.0);
        self.damping.fill(0.0);
        self.stiffness.fill(0.0);
        self.actuators(model, params, qpos, qvel, ctrl);
        self.springs(model, params, qpos);
        self.ball_limits(model, params, stops, qpos, qvel);
    }

    fn actuators(&mut self, model: &Model, params: &Params<f64>, qpos: &[f64], qvel: &[f64], ctrl: &[f64]) {
        self.qfrc_actuator.fill(0.0);
        let inside = |x: f64, range: Option<[f64; 2]>| range.is_none_or(|[lo, hi]| lo < x && x < hi);
        let clamp = |x: f64, range: Option<[f64; 2]>| range.map_or(x, |[lo, hi]| x.clamp(lo, hi));
        for (u, actuator) in model.actuators.iter().enumerate() {
            let joint = &model.joints[actuator.joint];
            let gear = params.actuator_gear[u];
            let [b0, b1, b2] = params.actuator_bias[u];
            let mut force = params.actuator_gain[u] * clamp(ctrl[u], actuator.ctrlrange);
            force += b0 + gear * (b1 * qpos[joint.qposadr] + b2 * qvel[joint.dofadr]);
            if inside(force, actuator.forcerange) {
                self.damping[joint.dofadr] -= b2.min(0.0) * gear * gear;
                self.stiffness[joint.dofadr] -= b1.min(0.0) * gear * gear;
            }
            self.actuator_force[u] = clamp(force, actuator.forcerange);
            self.qfrc_actuator[joint.dofadr] += gear * self.actuator_force[u];
        }
        for joint in &model.joints {
            if !matches!(joint.kind, JointKind::Hinge | JointKind::Slide) {
                continue;
            }
            let i = joint.dofadr;
            if !inside(self.qfrc_actuator[i], joint.actfrcrange) {
                (self.damping[i], self.stiffness[i]) = (0.0, 0.0);
            }
            self.qfrc_actuator[i] = clamp(self.qfrc_actuator[i], joint.actfrcrange);
            self.tau[i] = self.qfrc_actuator[i] + self.damping[i] * qvel[i];
        }
    }

    fn springs(&mut self, model: &Model, params: &Params<f64>, qpos: &[f64]) {
        for (j, joint) in model.joints.iter().enumerate() {
            let k = params.jnt_stiffness[j];
            if k == 0.0 {
                continue;
            }
            let (q, v) = (joint.qposadr, joint.dofadr);
            let linear = match joint.kind {
                JointKind::Ball => 0,
                JointKind::Hinge | JointKind::Slide => 1,
                JointKind::Free => 3,
            };
            if matches!(joint.kind, JointKind::Hinge | JointKind::Slide) {
                self.stiffness[v] += k;
            }
            for n in 0..linear {
                self.tau[v + n] -= k * (qpos[q + n] - params.qpos_spring[q + n]);
            }
            if matches!(joint.kind, JointKind::Ball | JointKind::Free) {
                let turn = quat_to_rotvec(quat_mul(
                    quat_conj(four(&params.qpos_spring[q + linear..])),
                    four(&qpos[q + linear..]),
                ));
                for n in 0..3 {
                    self.tau[v + linear + n] -= k * turn[n];
                }
            }
        }
    }

    /// Rapier limits single axes only, so a ball joint is stopped by a critically damped spring here. It is as stiff as
    /// MuJoCo's constraint is under a load (stiffness of `solref` times d/(1 - d)), as far as the timestep allows.
    fn ball_limits(&mut self, model: &Model, params: &Params<f64>, stops: &[BallStop], qpos: &[f64], qvel: &[f64]) {
        for stop in stops {
            let joint = &model.joints[stop.joint];
            let v = joint.dofadr;
            let turn = quat_to_rotvec(four(&qpos[joint.qposadr..]));
            let angle = crate::math::norm(turn);
            let over = angle - params.jnt_range[stop.joint][1];
            if over <= 0.0 {
                continue;
            }
            let d = joint.solimp_limit[1].clamp(0.01, 0.9999);
            let (stiffness, _) = super::build::reference(model, joint);
            let omega = (stiffness * d / (1.0 - d)).sqrt().min(0.5 / model.opt.timestep);
            let axis = na::Vector3::from(turn) / angle;
            let rate = axis.dot(&na::Vector3::new(qvel[v], qvel[v + 1], qvel[v + 2]));
            let mass = 1.0 / axis.dot(&(stop.inverse * axis));
            let push = mass * (omega * omega * over + 2.0 * omega * rate).max(0.0);
            for n in 0..3 {
                self.tau[v + n] -= push * axis[n];
            }
        }
    }
}

/// A ball joint with a limit.
#[derive(Debug, Clone)]
pub(crate) struct BallStop {
    pub joint: usize,
    /// Its block of the inverse mass matrix at `qpos0`, body axes.
    pub inverse: na::Matrix3<f64>,
}

impl BallStop {
    /// All of a model, from its dense mass matrix at `qpos0`.
    pub fn all(model: &Model, mass_matrix: &[f64]) -> Vec<Self> {
        let nv = model.nv();
        let Some(inverse) = na::DMatrix::from_row_slice(nv, nv, mass_matrix).try_inverse() else { return Vec::new() };
        let limited = |(_, j): &(usize, &Joint)| j.kind == JointKind::Ball && j.limited && model.opt.limit;
        let stop = |(joint, j): (usize, &Joint)| Self {
            joint,
            inverse: inverse.fixed_view::<3, 3>(j.dofadr, j.dofadr).into_owned(),
        };
        model.joints.iter().enumerate().filter(limited).map(stop).collect()
    }
}

fn four(q: &[f64]) -> [f64; 4] {
    quat_normalize([q[0], q[1], q[2], q[3]])
}

/// Forces and torques at the links' centres of mass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wrenches(pub Vec<(Vector, Vector)>);

impl Wrenches {
    /// Turns generalised forces into wrenches, at the given link poses. `frame1` is the pose of each joint's first
    /// frame.
    pub fn evaluate(
        &mut self,
        model: &Model,
        layout: &Layout,
        params: &Params<f64>,
        built: &Built,
        tau: &[f64],
        links: &[Pose],
        frame1: &[Pose],
    ) {
        self.0.clear();
        self.0.resize(links.len(), (Vector::ZERO, Vector::ZERO));
        let com = |l: usize| links[l] * built.link_mass[l].local_com;
        for (l, link) in layout.links.iter().enumerate() {
            let joint = &model.joints[link.joint];
            let t = &tau[joint.dofadr..];
            let anchor = links[l] * built.joints[l].data.local_frame2.translation;
            let (force, torque) = match joint.kind {
                JointKind::Hinge => (Vector::ZERO, frame1[l].rotation * Vector::X * t[0]),
                JointKind::Slide => (frame1[l].rotation * Vector::X * t[0], Vector::ZERO),
                JointKind::Ball => (Vector::ZERO, links[l].rotation * Vector::new(t[0], t[1], t[2])),
                JointKind::Free => (Vector::new(t[0], t[1], t[2]), links[l].rotation * Vector::new(t[3], t[4], t[5])),
            };
            if force == Vector::ZERO && torque == Vector::ZERO {
                continue;
            }
            self.push(l, force, torque, anchor, com(l));
            if let Some(parent) = link.parent {
                self.push(parent, -force, -torque, anchor, com(parent));
            }
        }
        for (b, body) in model.bodies.iter().enumerate() {
            if let (true, Some(l)) = (body.gravcomp != 0.0, layout.body_link[b]) {
                let lift = vector(params.gravity) * (-params.body_mass[b] * body.gravcomp);
                let at = links[l] * (built.body_pose[b] * vector(params.body_ipos[b]));
                self.push(l, lift, Vector::ZERO, at, com(l));
            }
        }
    }

    fn push(&mut self, link: usize, force: Vector, torque: Vector, at: Vector, com: Vector) {
        let (f, t) = &mut self.0[link];
        *f += force;
        *t += torque + (at - com).cross(force);
    }
}
