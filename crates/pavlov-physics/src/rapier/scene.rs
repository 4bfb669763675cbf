//! One world in rapier: from a state and controls to the state one timestep later.
//!
//! Every step starts from a copy of the scene as it was built, put to (qpos, qvel): nothing else is remembered, so a
//! state is exactly its coordinates and velocities, and a run can be taken up from them to the bit. The price is a cold
//! contact solver in each step; rapier's substeps warm-start each other within it.
//!
//! Rapier's substeps are semi-implicit Euler: v' = v + h a(q), q' = q + h v'. Given coordinates that are half a substep
//! ahead, q + h/2 v, and read back half a substep earlier, the same arithmetic is the drift-kick-drift form of
//! leapfrog, whose error is of second order. Forces from here are found in the middle of the step for the same reason.

use super::build::{Built, Sets, build, rotation};
use super::contacts::{PairContact, Pairs, read};
use super::coriolis::correct;
use super::forces::{BallStop, Drive, Wrenches};
use super::layout::{Layout, dofs};
use crate::data::integrate_pos;
use crate::params::Params;
use crate::physics::Physics;
use pavlov_model::{Joint, JointKind, Model};
use rapier3d::na;
use rapier3d::prelude::*;

/// Rapier's substeps of a timestep.
pub(crate) const SUBSTEPS: usize = 4;

/// What is static about a robot.
#[derive(Debug, Clone)]
pub(crate) struct Robot {
    pub physics: Physics,
    pub layout: Layout,
}

/// Iterations of rapier's solver in a substep, with bias and without. One of each is rapier's default; a chain that
/// stands on the ground needs more, the more so as every step starts cold.
const ITERATIONS: usize = 4;

/// One set of parameters and the scene built from it.
pub(crate) struct Scene {
    params: Params<f64>,
    built: Built,
    stops: Vec<BallStop>,
}

/// Where scenes are stepped, one after the other.
pub(crate) struct Stage {
    pipeline: PhysicsPipeline,
    options: IntegrationParameters,
    /// Coordinates in the middle of the step.
    middle: Vec<f64>,
    velocities: Vec<f64>,
    links: Vec<Pose>,
    frame1: Vec<Pose>,
    wrenches: Wrenches,
    /// Forces of the last step.
    pub drive: Drive,
    /// Contacts of the last step.
    pub contacts: Vec<PairContact>,
}

impl Scene {
    pub fn new(robot: &Robot, params: Params<f64>) -> Self {
        let model = &**robot.physics.model();
        let mut built = build(model, robot.physics.topology(), &robot.layout, &params);
        // A step of no time makes islands, broad phase and pairs, so that copies have them.
        let options = IntegrationParameters { dt: 0.0, ..options(0.0) };
        let pairs = Pairs { layout: &robot.layout, model, friction: &params.pair_friction };
        run(&mut built.sets, &mut PhysicsPipeline::new(), Vector::ZERO, &options, &pairs);
        let qpos0 = params.qpos0.clone();
        let mut scene = Self { params, built, stops: Vec::new() };
        let limited = |j: &Joint| j.kind == JointKind::Ball && j.limited;
        if model.joints.iter().any(limited) {
            let matrix = Stage::new(robot).mass_matrix(robot, &scene, &qpos0);
            scene.stops = BallStop::all(model, &matrix);
        }
        scene
    }
}

fn options(timestep: f64) -> IntegrationParameters {
    IntegrationParameters {
        dt: timestep,
        num_solver_iterations: SUBSTEPS,
        num_internal_pgs_iterations: ITERATIONS,
        num_internal_stabilization_iterations: ITERATIONS,
        max_ccd_substeps: 0,
        contact_clustering: false,
        contact_recycling: false,
        normalized_max_linear_velocity: f64::MAX,
        friction_model: FrictionModel::Coulomb,
        ..IntegrationParameters::default()
    }
}

impl Stage {
    pub fn new(robot: &Robot) -> Self {
        let model = &**robot.physics.model();
        Self {
            pipeline: PhysicsPipeline::new(),
            options: options(model.opt.timestep),
            middle: vec![0.0; model.nq()],
            velocities: vec![0.0; model.nv()],
            links: Vec::with_capacity(robot.layout.links.len()),
            frame1: Vec::with_capacity(robot.layout.links.len()),
            wrenches: Wrenches::default(),
            drive: Drive::new(model),
            contacts: Vec::new(),
        }
    }

    /// One timestep from (`qpos`, `qvel`), in place. False when the state was not finite, or is not after it (MuJoCo's
    /// bound of 1e10 included); it is then left as it is, or what came out.
    pub fn step(&mut self, robot: &Robot, scene: &Scene, qpos: &mut [f64], qvel: &mut [f64], ctrl: &[f64]) -> bool {
        let model = &**robot.physics.model();
        self.contacts.clear();
        if !bounded(qpos, qvel) || !ctrl.iter().all(|c| c.is_finite()) {
            self.drive.actuator_force.fill(0.0);
            self.drive.qfrc_actuator.fill(0.0);
            return false;
        }
        let (built, params) = (&scene.built, &scene.params);
        let mut now = built.sets.clone();
        let h = model.opt.timestep;
        self.middle.copy_from_slice(qpos);
        integrate_pos(model, &mut self.middle, qvel, 0.5 * h);
        self.drive.evaluate(model, params, &scene.stops, &self.middle, qvel, ctrl);
        self.split_damping(model, params, qvel);
        let ahead = 0.5 * h / SUBSTEPS as f64;
        self.place(robot, scene, &mut now, qpos, qvel, 0.5 * h);
        let tau = &self.drive.tau;
        self.wrenches.evaluate(model, &robot.layout, params, built, tau, &self.links, &self.frame1);
        self.place(robot, scene, &mut now, qpos, qvel, ahead);
        self.apply(robot, scene, &mut now);
        let pairs = Pairs { layout: &robot.layout, model, friction: &params.pair_friction };
        run(&mut now, &mut self.pipeline, super::build::vector(params.gravity), &self.options, &pairs);
        read(&pairs, built, &now.narrow_phase, &now.colliders, &self.links, h, &mut self.contacts);
        if self.contacts.iter().all(|c| c.point.force == [0.0; 3]) {
            correct(model, &robot.layout, built, &mut now.multibodies, &self.velocities, h);
        }
        take(robot, scene, &now, qpos, qvel, -ahead);
        bounded(qpos, qvel) && self.pipeline.quarantine().is_empty()
    }

    /// The mass matrix at `qpos`, armature included, dense and row-major, in MuJoCo's coordinates. Empty when a
    /// coordinate is not finite.
    pub fn mass_matrix(&mut self, robot: &Robot, scene: &Scene, qpos: &[f64]) -> Vec<f64> {
        let model = &**robot.physics.model();
        let nv = model.nv();
        let still = vec![0.0; nv];
        if !bounded(qpos, &still) {
            return Vec::new();
        }
        let mut now = scene.built.sets.clone();
        self.drive.stiffness.fill(0.0);
        self.place(robot, scene, &mut now, qpos, &still, 0.0);
        for (place, pose) in scene.built.places.iter().zip(&self.links) {
            if let Some(body) = now.bodies.get_mut(place.body) {
                body.set_position(*pose, true);
            }
        }
        // rapier's dof, multibody and turn into MuJoCo's axes of each of our dofs
        let mut dof = vec![(0, MultibodyIndex(Default::default())); nv];
        let mut turn = na::DMatrix::<f64>::identity(nv, nv);
        for (l, link) in robot.layout.links.iter().enumerate() {
            let (place, joint) = (&scene.built.places[l], &model.joints[link.joint]);
            let n = dofs(joint.kind);
            for k in 0..n {
                dof[joint.dofadr + k] = (place.dof + k, place.multibody);
            }
            if matches!(joint.kind, JointKind::Ball | JointKind::Free) {
                let (q, v) = (joint.qposadr + n - 3, joint.dofadr + n - 3);
                let orientation = rotation([qpos[q], qpos[q + 1], qpos[q + 2], qpos[q + 3]]);
                for (k, axis) in [Vector::X, Vector::Y, Vector::Z].into_iter().enumerate() {
                    for (m, x) in (orientation * axis).to_array().into_iter().enumerate() {
                        turn[(v + m, v + k)] = x;
                    }
                }
            }
        }
        let mut found = na::DMatrix::<f64>::zeros(nv, nv);
        for link in robot.layout.links.iter().enumerate().filter(|(_, l)| l.parent.is_none()) {
            let index = scene.built.places[link.0].multibody;
            let Some(multibody) = now.multibodies.get_multibody_mut(index) else { continue };
            // assembles and factors the matrix, without damping
            multibody.dof_inverse_inertia(&now.bodies);
            let factors = multibody.inv_augmented_mass();
            let mut matrix = factors.l() * factors.u();
            factors.p().inv_permute_rows(&mut matrix);
            for i in (0..nv).filter(|&i| dof[i].1 == index) {
                for j in (0..nv).filter(|&j| dof[j].1 == index) {
                    found[(i, j)] = matrix[(dof[i].0, dof[j].0)];
                }
            }
        }
        (turn.transpose() * found * turn).transpose().as_slice().to_vec()
    }

    /// Rapier takes the damping force at the end of each substep, late by half of one. Of N substeps' damping a share
    /// of 1/(N + 1) is taken at the velocity before the step instead: on average the force is then on time.
    fn split_damping(&mut self, model: &Model, params: &Params<f64>, qvel: &[f64]) {
        let late = 1.0 / (SUBSTEPS as f64 + 1.0);
        for i in 0..model.nv() {
            let damping = params.dof_damping[i] + self.drive.damping[i];
            self.drive.tau[i] -= late * damping * qvel[i];
            self.drive.damping[i] = (1.0 - late) * damping;
            // Rapier takes a spring's force at the end of the substep. Less damping puts that back to its beginning,
            // which, with coordinates half a substep ahead, is its middle.
            self.drive.damping[i] -= self.drive.stiffness[i] * model.opt.timestep / SUBSTEPS as f64;
        }
    }

    /// Puts the joints to the coordinates, moved on by `ahead` seconds of the velocities, and finds the links' poses.
    fn place(&mut self, robot: &Robot, scene: &Scene, now: &mut Sets, qpos: &[f64], qvel: &[f64], ahead: f64) {
        let model = &**robot.physics.model();
        self.links.clear();
        self.frame1.clear();
        for (l, link) in robot.layout.links.iter().enumerate() {
            let place = &scene.built.places[l];
            let joint = &model.joints[link.joint];
            let (q, v) = (&qpos[joint.qposadr..], &qvel[joint.dofadr..]);
            let mut moved = scene.built.joints[l];
            // coordinates and velocities of rapier's joint: rotations and their velocities in the first frame's axes
            let (mut shift, mut speed) = ([0.0; 6], [0.0; 6]);
            let n = dofs(joint.kind);
            match joint.kind {
                JointKind::Hinge | JointKind::Slide => {
                    shift[0] = q[0] - scene.params.qpos0[joint.qposadr];
                    speed[0] = v[0];
                }
                JointKind::Ball | JointKind::Free => {
                    let linear = n - 3;
                    shift[..linear].copy_from_slice(&q[..linear]);
                    speed[..linear].copy_from_slice(&v[..linear]);
                    let turn = rotation([q[linear], q[linear + 1], q[linear + 2], q[linear + 3]]);
                    shift[linear..linear + 3].copy_from_slice(&turn.to_scaled_axis().to_array());
                    let spin = turn * Vector::new(v[linear], v[linear + 1], v[linear + 2]);
                    speed[linear..linear + 3].copy_from_slice(&spin.to_array());
                }
            }
            if n == 1 {
                let axis = if joint.kind == JointKind::Hinge { 3 } else { 0 };
                let rest = self.middle[joint.qposadr] - scene.params.qpos0[joint.qposadr];
                moved.set_spring(axis, self.drive.stiffness[joint.dofadr], rest);
            }
            moved.apply_displacement(&shift[..n]);
            moved.integrate(ahead, &speed[..n]);
            self.velocities[joint.dofadr..joint.dofadr + n].copy_from_slice(&speed[..n]);
            let parent = link.parent.map_or(Pose::IDENTITY, |p| self.links[p]);
            self.frame1.push(parent * moved.data.local_frame1);
            self.links.push(parent * moved.body_to_parent());
            if let Some(own) = now.multibodies.get_multibody_mut(place.multibody).and_then(|m| m.link_mut(place.link)) {
                own.joint = moved;
            }
        }
    }

    /// Velocities, forces and damping into rapier.
    fn apply(&self, robot: &Robot, scene: &Scene, now: &mut Sets) {
        let model = &**robot.physics.model();
        for (l, link) in robot.layout.links.iter().enumerate() {
            let place = &scene.built.places[l];
            let joint = &model.joints[link.joint];
            let Some(multibody) = now.multibodies.get_multibody_mut(place.multibody) else { continue };
            for k in 0..dofs(joint.kind) {
                let i = joint.dofadr + k;
                multibody.generalized_velocity_mut()[place.dof + k] = self.velocities[i];
                multibody.damping_mut()[place.dof + k] = self.drive.damping[i];
            }
            let (force, torque) = self.wrenches.0[l];
            if let Some(body) = now.bodies.get_mut(place.body) {
                // Rapier moves multibody links itself, but colliders only follow a body that was set.
                body.set_position(self.links[l], true);
                body.add_force(force, true);
                body.add_torque(torque, true);
            }
        }
    }
}

/// Coordinates and velocities out of rapier, moved by `ahead` seconds.
fn take(robot: &Robot, scene: &Scene, now: &Sets, qpos: &mut [f64], qvel: &mut [f64], ahead: f64) {
    let model = &**robot.physics.model();
    for (l, link) in robot.layout.links.iter().enumerate() {
        let place = &scene.built.places[l];
        let joint = &model.joints[link.joint];
        let n = dofs(joint.kind);
        let Some(multibody) = now.multibodies.get_multibody(place.multibody) else { continue };
        let Some(own) = multibody.link(place.link) else { continue };
        let velocity = multibody.generalized_velocity();
        let mut speed = [0.0; 6];
        for k in 0..n {
            speed[k] = velocity[place.dof + k];
        }
        let mut moved = own.joint;
        moved.integrate(ahead, &speed[..n]);
        let coords = moved.coords();
        let (q, v) = (&mut qpos[joint.qposadr..], &mut qvel[joint.dofadr..]);
        match joint.kind {
            JointKind::Hinge => (q[0], v[0]) = (scene.params.qpos0[joint.qposadr] + coords[3], speed[0]),
            JointKind::Slide => (q[0], v[0]) = (scene.params.qpos0[joint.qposadr] + coords[0], speed[0]),
            JointKind::Ball | JointKind::Free => {
                let linear = n - 3;
                q[..linear].copy_from_slice(&coords[..linear]);
                v[..linear].copy_from_slice(&speed[..linear]);
                let turn = moved.joint_rot().normalize();
                let spin = turn.inverse() * Vector::new(speed[linear], speed[linear + 1], speed[linear + 2]);
                v[linear..linear + 3].copy_from_slice(&spin.to_array());
                let now = [turn.w, turn.x, turn.y, turn.z];
                // of the two quaternions of a rotation, the one next to where it was
                let along: f64 = now.iter().zip(&q[linear..]).map(|(a, b)| a * b).sum();
                for k in 0..4 {
                    q[linear + k] = if along < 0.0 { -now[k] } else { now[k] };
                }
            }
        }
    }
}

fn bounded(qpos: &[f64], qvel: &[f64]) -> bool {
    qpos.iter().chain(qvel).all(|x| x.abs() < 1e10)
}

fn run(
    sets: &mut Sets,
    pipeline: &mut PhysicsPipeline,
    gravity: Vector,
    options: &IntegrationParameters,
    pairs: &Pairs<'_>,
) {
    pipeline.step(
        gravity,
        options,
        &mut sets.islands,
        &mut sets.broad_phase,
        &mut sets.narrow_phase,
        &mut sets.bodies,
        &mut sets.colliders,
        &mut sets.impulse_joints,
        &mut sets.multibodies,
        &mut sets.soft,
        &mut sets.ccd,
        pairs,
        &(),
    );
}
