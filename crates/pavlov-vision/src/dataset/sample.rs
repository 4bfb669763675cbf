//! States of the shipped robots: near a named posture, between two, or anything; half of them go on moving in the
//! simulation for a while. Angles in rad, lengths in m.

use super::Dice;
use super::posture::{Posture, Robot, judge};
use pavlov_model::{JointKind, Model};
use pavlov_physics::{Data, Params, Physics, PhysicsError};
use pavlov_render::{Look, Pose, Shape};
use std::f32::consts::PI;
use std::sync::Arc;

/// How often a posture is tried before another state is taken.
const TRIES: usize = 300;

/// One state and what it is.
#[derive(Debug, Clone)]
pub struct State {
    /// Coordinates.
    pub qpos: Vec<f32>,
    /// The posture, if it is a clear one.
    pub posture: Option<Posture>,
    /// World z of the trunk's own z axis.
    pub up: f32,
    /// Height of the trunk over what it is when standing.
    pub height: f32,
}

/// Draws states of one robot.
#[derive(Debug)]
pub struct Sampler {
    robot: Robot,
    model: Arc<Model>,
    physics: Physics,
    params: Params<f64>,
    data: Data<f64>,
    look: Look,
    rest: Vec<f32>,
    tall: f32,
}

impl Sampler {
    /// For a robot; `model` is of its file.
    ///
    /// # Errors
    /// When the model cannot be simulated.
    pub fn new(robot: Robot, model: &Arc<Model>) -> Result<Self, PhysicsError> {
        let physics = Physics::new(model.clone())?;
        let mut rest: Vec<f32> = model.qpos0.iter().map(|&x| x as f32).collect();
        if robot == Robot::Go1 {
            for leg in 0..4 {
                (rest[8 + 3 * leg], rest[9 + 3 * leg]) = (0.9, -1.8);
            }
        }
        let mut sampler = Self {
            params: physics.params(),
            data: physics.data(),
            look: Look::new(model),
            robot,
            model: model.clone(),
            physics,
            rest: rest.clone(),
            tall: 1.0,
        };
        sampler.grounded(&mut rest, 0.0);
        sampler.tall = sampler.data.xpos[1][2] as f32;
        Ok(sampler)
    }

    /// A state near this posture (near any where it is none); what it is in the end is judged anew.
    pub fn draw(&mut self, wanted: Option<Posture>, moving: bool, dice: &mut Dice) -> State {
        let mut qpos = self.rest.clone();
        let mut found = false;
        for _ in 0..TRIES {
            qpos = match wanted {
                Some(posture) => self.template(posture, dice),
                None if dice.chance(0.5) => {
                    let list = self.robot.postures();
                    let (a, b) = (dice.one(list), dice.one(list));
                    let (a, b) = (self.template(a, dice), self.template(b, dice));
                    self.mixed(&a, &b, dice.unit())
                }
                None => self.anything(dice),
            };
            let lift = match wanted {
                Some(Posture::Jumping) => dice.between(0.3, 0.7),
                Some(_) => dice.between(-0.01, 0.02),
                None => {
                    if dice.chance(0.5) {
                        0.0
                    } else {
                        dice.between(0.0, 0.5)
                    }
                }
            };
            self.grounded(&mut qpos, lift);
            if wanted.is_none() || self.judged() == wanted {
                found = true;
                break;
            }
        }
        if moving || !found {
            self.move_on(&mut qpos, dice);
        }
        self.place(&qpos);
        State {
            posture: self.judged(),
            up: self.data.xmat[1][2][2] as f32,
            height: self.data.xpos[1][2] as f32 / self.tall.max(1e-3),
            qpos,
        }
    }

    /// Writes the state and computes where everything is.
    fn place(&mut self, qpos: &[f32]) {
        for (to, &from) in self.data.state.qpos.iter_mut().zip(qpos) {
            *to = f64::from(from);
        }
        self.physics.refresh(&self.params, &mut self.data);
    }

    fn judged(&self) -> Option<Posture> {
        judge(self.robot, &self.model, &self.data, self.lowest())
    }

    /// Height of the lowest point of the robot.
    fn lowest(&self) -> f64 {
        let mut low = f64::MAX;
        for part in self.look.parts.iter().filter(|p| p.body > 0) {
            let g = &self.model.geoms[part.geom];
            let pose = pose_of(&self.data, g);
            let [w, x, y, z] = pose.rotation;
            let row = [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)];
            let reach = match part.shape {
                Shape::Plane => continue,
                Shape::Sphere { radius } => radius,
                Shape::Capsule { radius, half } => radius + half * row[2].abs(),
                Shape::Cylinder { radius, half } => radius * row[0].hypot(row[1]) + half * row[2].abs(),
                Shape::Box { half } => (0..3).map(|k| half[k] * row[k].abs()).sum(),
            };
            low = low.min(f64::from(pose.position[2] - reach));
        }
        low
    }

    /// Moves the robot so that its lowest point is at this height.
    fn grounded(&mut self, qpos: &mut [f32], height: f32) {
        self.place(qpos);
        if self.robot == Robot::Cartpole {
            return;
        }
        let by = height - self.lowest() as f32;
        qpos[self.height_index()] += by;
        self.place(qpos);
    }

    fn height_index(&self) -> usize {
        if self.model.joints[0].kind == JointKind::Free { 2 } else { 1 }
    }

    /// Lets the simulation go on with random controls for up to a second.
    fn move_on(&mut self, qpos: &mut Vec<f32>, dice: &mut Dice) {
        self.data = self.physics.data();
        self.place(qpos);
        let strength = dice.unit() * dice.unit();
        let steps = (dice.unit() * 1.0 / self.model.opt.timestep as f32) as usize;
        for step in 0..steps {
            if step % 15 == 0 {
                for (u, a) in self.data.ctrl.iter_mut().zip(&self.model.actuators) {
                    let [low, high] = a.ctrlrange.unwrap_or([-1.0, 1.0]).map(|x| x as f32);
                    *u = f64::from(0.5 * (low + high) + strength * dice.between(-0.5, 0.5) * (high - low));
                }
            }
            self.physics.step(&self.params, &mut self.data);
            if self.data.state.qpos.iter().any(|x| !x.is_finite()) {
                self.data = self.physics.data();
                return;
            }
        }
        qpos.clear();
        qpos.extend(self.data.state.qpos.iter().map(|&x| x as f32));
    }

    fn mixed(&self, a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
        let mut out: Vec<f32> = a.iter().zip(b).map(|(x, y)| x + t * (y - x)).collect();
        if self.model.joints[0].kind == JointKind::Free {
            let dot: f32 = (3..7).map(|k| a[k] * b[k]).sum();
            let sign = dot.signum();
            (3..7).for_each(|k| out[k] = a[k] + t * (sign * b[k] - a[k]));
            normalise(&mut out);
        }
        out
    }

    fn anything(&self, dice: &mut Dice) -> Vec<f32> {
        let mut q = self.rest.clone();
        for joint in &self.model.joints {
            let at = joint.qposadr;
            match joint.kind {
                JointKind::Free => {
                    (3..7).for_each(|k| q[at + k] = dice.normal());
                    normalise(&mut q);
                }
                JointKind::Hinge if joint.limited => {
                    q[at] = dice.between(joint.range[0] as f32, joint.range[1] as f32);
                }
                JointKind::Hinge => q[at] = dice.between(-PI, PI),
                JointKind::Slide if joint.limited => {
                    q[at] = 0.6 * dice.between(joint.range[0] as f32, joint.range[1] as f32);
                }
                _ => {}
            }
        }
        q
    }

    /// Joint angles and orientation near a posture, not yet on the ground.
    fn template(&self, posture: Posture, dice: &mut Dice) -> Vec<f32> {
        let mut q = Draft { model: &self.model, q: self.rest.clone(), dice };
        match self.robot {
            Robot::Humanoid => humanoid(&mut q, posture),
            Robot::Ant => ant(&mut q, posture),
            Robot::Go1 => go1(&mut q, posture),
            Robot::Cheetah => cheetah(&mut q, posture),
            Robot::Hopper => hopper(&mut q, posture),
            Robot::Walker => walker(&mut q, posture),
            Robot::Cartpole => cartpole(&mut q, posture),
        }
        q.q
    }
}

fn pose_of(data: &Data<f64>, g: &pavlov_model::Geom) -> Pose {
    use pavlov_physics::math::{add, mul_mv, quat_mul, splat3, splat4};
    let position = add(data.xpos[g.body], mul_mv(&data.xmat[g.body], splat3(g.pos)));
    let rotation = quat_mul(data.xquat[g.body], splat4(g.quat));
    Pose { position: position.map(|v| v as f32), rotation: rotation.map(|v| v as f32) }
}

fn normalise(q: &mut [f32]) {
    let norm = q[3..7].iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    q[3..7].iter_mut().for_each(|x| *x /= norm);
}

/// A state in the making.
struct Draft<'a> {
    model: &'a Model,
    q: Vec<f32>,
    dice: &'a mut Dice,
}

impl Draft<'_> {
    /// Sets a joint, with a spread, within its range.
    fn set(&mut self, joint: &str, value: f32, spread: f32) {
        let Some(j) = self.model.joint(joint) else { return };
        let j = &self.model.joints[j];
        let mut x = value + spread * self.dice.normal();
        if j.limited {
            x = x.clamp(j.range[0] as f32, j.range[1] as f32);
        }
        self.q[j.qposadr] = x;
    }

    /// A joint anywhere in its range.
    fn free(&mut self, joint: &str) {
        let Some(j) = self.model.joint(joint) else { return };
        let j = &self.model.joints[j];
        let [low, high] = j.range.map(|x| x as f32);
        self.q[j.qposadr] = self.dice.between(low, high);
    }

    /// Orientation of a free body: heading, then pitch (nose down), then roll, with a spread.
    fn turn(&mut self, pitch: f32, roll: f32, spread: f32) {
        let yaw = self.dice.between(-PI, PI);
        let (pitch, roll) = (pitch + spread * self.dice.normal(), roll + spread * self.dice.normal());
        let half = |a: f32| (0.5 * a).sin_cos();
        let ((sy, cy), (sp, cp), (sr, cr)) = (half(yaw), half(pitch), half(roll));
        let quat = [
            cy * cp * cr + sy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
        ];
        self.q[3..7].copy_from_slice(&quat);
    }
}

fn humanoid(q: &mut Draft<'_>, posture: Posture) {
    use Posture::*;
    for joint in ["abdomen_z", "abdomen_y", "abdomen_x"] {
        q.set(joint, 0.0, 0.12);
    }
    for side in ["right", "left"] {
        q.set(&format!("{side}_hip_x"), -0.05, 0.1);
        q.set(&format!("{side}_hip_z"), 0.0, 0.15);
        q.set(&format!("{side}_hip_y"), -0.05, 0.12);
        q.set(&format!("{side}_knee"), -0.1, 0.12);
        let loose = matches!(posture, ArmsRaised | AllFours | OnBack | FaceDown | OnSide | UpsideDown | Bowing);
        for joint in ["shoulder1", "shoulder2", "elbow"] {
            let joint = format!("{side}_{joint}");
            if loose || q.dice.chance(0.4) { q.free(&joint) } else { q.set(&joint, 0.0, 0.4) }
        }
    }
    let legs = |q: &mut Draft<'_>, hip: f32, knee: f32, spread: f32| {
        for side in ["right", "left"] {
            q.set(&format!("{side}_hip_y"), hip, spread);
            q.set(&format!("{side}_knee"), knee, spread);
        }
    };
    match posture {
        OneLeg => {
            q.turn(0.0, 0.0, 0.08);
            let side = q.dice.one(&["right", "left"]);
            let (hip, knee) = (q.dice.between(-1.9, -0.6), q.dice.between(-2.0, -0.3));
            q.set(&format!("{side}_hip_y"), hip, 0.0);
            q.set(&format!("{side}_knee"), knee, 0.0);
        }
        Bowing => {
            let lean = q.dice.between(0.6, 1.6);
            q.turn(lean, 0.0, 0.08);
            legs(q, -lean, -0.1, 0.12);
        }
        Crouching => {
            let lean = q.dice.between(-0.1, 0.7);
            q.turn(lean, 0.0, 0.08);
            let bend = q.dice.between(0.8, 1.2);
            legs(q, -bend - lean, -2.0 * bend, 0.12);
        }
        Kneeling => {
            q.turn(0.0, 0.0, 0.15);
            let sit = q.dice.between(-0.1, 1.0);
            legs(q, -sit, -1.5 - sit, 0.12);
        }
        Sitting => {
            let lean = q.dice.between(-0.35, 0.25);
            q.turn(lean, 0.0, 0.1);
            legs(q, -1.6, -0.25, 0.25);
        }
        AllFours => {
            q.turn(1.35, 0.0, 0.15);
            legs(q, -1.4, -1.5, 0.2);
        }
        OnBack => {
            q.turn(-PI / 2.0, 0.0, 0.15);
            let hip = q.dice.between(-0.6, 0.2);
            legs(q, hip, hip.min(0.0) * 1.5 - 0.1, 0.15);
        }
        FaceDown => {
            q.turn(PI / 2.0, 0.0, 0.15);
            legs(q, 0.0, -0.2, 0.2);
        }
        OnSide => {
            let roll = q.dice.one(&[-PI / 2.0, PI / 2.0]);
            q.turn(0.0, roll, 0.15);
            let hip = q.dice.between(-1.2, 0.2);
            legs(q, hip, hip.min(0.0) - 0.1, 0.2);
        }
        UpsideDown => {
            q.turn(PI, 0.0, 0.2);
            legs(q, -0.3, -0.4, 0.4);
        }
        _ => q.turn(0.0, 0.0, 0.07),
    }
}

fn ant(q: &mut Draft<'_>, posture: Posture) {
    let legs = [(1, 1.0), (2, -1.0), (3, -1.0), (4, 1.0)];
    let bend = match posture {
        // Ankles go from 0.52 (leg stretched out) to 1.22 rad (foot under the knee).
        Posture::Standing => 1.15,
        Posture::Crouching => 0.56,
        _ => q.dice.between(0.55, 1.2),
    };
    for (leg, sign) in legs {
        q.set(&format!("hip_{leg}"), 0.0, 0.2);
        q.set(&format!("ankle_{leg}"), sign * bend, 0.06);
    }
    match posture {
        Posture::LegRaised => {
            q.turn(0.0, 0.0, 0.06);
            let (leg, sign) = q.dice.one(&legs);
            let k = q.model.joint(&format!("ankle_{leg}")).map(|j| q.model.joints[j].qposadr);
            if let Some(k) = k {
                q.q[k] = -sign * q.dice.between(0.2, 0.9);
            }
        }
        Posture::Tilted => {
            let (a, b) = (q.dice.between(-PI, PI), q.dice.between(0.5, 1.0));
            q.turn(b * a.cos(), b * a.sin(), 0.05);
        }
        Posture::OnSide => {
            let (a, b) = (q.dice.one(&[0.0, PI]), PI / 2.0);
            if q.dice.chance(0.5) { q.turn(b * a.cos(), 0.0, 0.1) } else { q.turn(0.0, b * a.cos(), 0.1) }
        }
        Posture::UpsideDown => q.turn(PI, 0.0, 0.2),
        _ => q.turn(0.0, 0.0, 0.06),
    }
}

fn go1(q: &mut Draft<'_>, posture: Posture) {
    let (thigh, calf) = match posture {
        Posture::Crouching => (1.25, -2.6),
        _ => (0.9, -1.8),
    };
    for leg in ["FR", "FL", "RR", "RL"] {
        q.set(&format!("{leg}_hip_joint"), 0.0, 0.12);
        q.set(&format!("{leg}_thigh_joint"), thigh, 0.12);
        q.set(&format!("{leg}_calf_joint"), calf, 0.12);
    }
    match posture {
        Posture::LegRaised => {
            q.turn(0.0, 0.0, 0.06);
            let leg = q.dice.one(&["FR", "FL", "RR", "RL"]);
            let (thigh, calf) = (q.dice.between(-0.6, 1.0), q.dice.between(-2.8, -1.8));
            q.set(&format!("{leg}_thigh_joint"), thigh, 0.0);
            q.set(&format!("{leg}_calf_joint"), calf, 0.0);
        }
        Posture::Sitting => {
            let up = q.dice.between(0.35, 0.8);
            q.turn(-up, 0.0, 0.04);
            for leg in ["RR", "RL"] {
                q.set(&format!("{leg}_thigh_joint"), 1.6 + up, 0.12);
                q.set(&format!("{leg}_calf_joint"), -2.7, 0.08);
            }
            for leg in ["FR", "FL"] {
                q.set(&format!("{leg}_thigh_joint"), 0.5 + up, 0.15);
                q.set(&format!("{leg}_calf_joint"), -1.0, 0.1);
            }
        }
        Posture::Rearing => {
            q.turn(-1.35, 0.0, 0.15);
            for leg in ["RR", "RL"] {
                q.set(&format!("{leg}_thigh_joint"), 2.2, 0.2);
            }
        }
        Posture::OnSide => {
            let roll = q.dice.one(&[-PI / 2.0, PI / 2.0]);
            q.turn(0.0, roll, 0.15);
        }
        Posture::UpsideDown => q.turn(0.0, PI, 0.2),
        _ => q.turn(0.0, 0.0, 0.06),
    }
}

fn plane(q: &mut Draft<'_>, pitch: f32, spread: f32) {
    q.set("rooty", pitch, spread);
}

fn cheetah(q: &mut Draft<'_>, posture: Posture) {
    for joint in ["bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"] {
        q.set(joint, 0.0, 0.3);
    }
    // The pitch counts nose down.
    match posture {
        Posture::UpsideDown => plane(q, PI, 0.25),
        Posture::NoseUp => plane(q, -1.3, 0.25),
        Posture::NoseDown => plane(q, 1.3, 0.25),
        _ => plane(q, 0.0, 0.1),
    }
}

fn hopper(q: &mut Draft<'_>, posture: Posture) {
    let bend = match posture {
        Posture::Crouching => q.dice.between(0.8, 1.3),
        _ => q.dice.between(0.0, 0.3),
    };
    q.set("thigh_joint", -bend, 0.05);
    q.set("leg_joint", -2.0 * bend, 0.05);
    q.set("foot_joint", if posture == Posture::Crouching { 0.6 } else { 0.0 }, 0.15);
    upright(q, posture);
}

fn upright(q: &mut Draft<'_>, posture: Posture) {
    match posture {
        Posture::Tilted => {
            let lean = q.dice.one(&[-0.75, 0.75]);
            plane(q, lean, 0.1);
        }
        Posture::LyingFlat => {
            let lean = q.dice.one(&[-PI / 2.0, PI / 2.0]);
            plane(q, lean, 0.12);
        }
        _ => plane(q, 0.0, 0.08),
    }
}

fn walker(q: &mut Draft<'_>, posture: Posture) {
    let bend = match posture {
        Posture::Crouching => q.dice.between(0.8, 1.3),
        _ => q.dice.between(0.0, 0.3),
    };
    for side in ["", "_left"] {
        q.set(&format!("thigh{side}_joint"), -bend, 0.06);
        q.set(&format!("leg{side}_joint"), -2.0 * bend, 0.06);
        q.set(&format!("foot{side}_joint"), if posture == Posture::Crouching { 0.6 } else { 0.0 }, 0.15);
    }
    if posture == Posture::OneLeg {
        let side = q.dice.one(&["", "_left"]);
        let (thigh, leg) = (q.dice.between(-1.6, -0.3), q.dice.between(-2.2, -1.0));
        q.set(&format!("thigh{side}_joint"), thigh, 0.0);
        q.set(&format!("leg{side}_joint"), leg, 0.0);
    }
    upright(q, posture);
}

fn cartpole(q: &mut Draft<'_>, posture: Posture) {
    let at = q.dice.between(-1.0, 1.0);
    q.set("slider", at, 0.0);
    let sign = q.dice.one(&[-1.0, 1.0]);
    match posture {
        Posture::PoleDown => q.set("hinge", PI, 0.2),
        Posture::PoleLevel => q.set("hinge", sign * PI / 2.0, 0.1),
        Posture::PoleTilted => q.set("hinge", sign * 0.8, 0.1),
        _ => q.set("hinge", 0.0, 0.12),
    }
}
