//! The state as the small model sees it: what a picture by a following camera depends on.
//!
//! Per world: height, orientation (a rotation matrix) of a free base or the coordinates of a planar one, joint angles
//! (sine and cosine where a joint has no limits), bodies relative to the first one (m); velocities too where motion
//! counts.

use pavlov_model::{JointKind, Model};
use pavlov_reward::SourceStep;
use pavlov_script::{Channel, Input};

/// What a feature is made of.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// An input as it is.
    Plain(usize),
    Sine(usize),
    Cosine(usize),
    /// Entry of the rotation matrix of the quaternion that begins at this input.
    Turn(usize, usize, usize),
    /// Input minus another input.
    Apart(usize, usize),
    /// An input times this.
    Scaled(usize, f32),
}

/// The features of a robot.
#[derive(Debug, Clone)]
pub struct Features {
    parts: Vec<Part>,
    inputs: Vec<Input>,
    nq: usize,
}

impl Features {
    /// For a robot; `moving` adds velocities.
    pub fn new(model: &Model, moving: bool) -> Self {
        let nq = model.nq();
        let mut inputs: Vec<Input> = (0..nq).map(|i| Input::now(Channel::Qpos(i as u16))).collect();
        let mut parts = Vec::new();
        for joint in &model.joints {
            let q = joint.qposadr;
            match joint.kind {
                JointKind::Free => {
                    parts.push(Part::Plain(q + 2));
                    parts.extend((0..9).map(|k| Part::Turn(q + 3, k / 3, k % 3)));
                }
                JointKind::Ball => parts.extend((0..9).map(|k| Part::Turn(q, k / 3, k % 3))),
                JointKind::Hinge if joint.limited => parts.push(Part::Plain(q)),
                JointKind::Hinge => parts.extend([Part::Sine(q), Part::Cosine(q)]),
                // Where a planar robot is along the ground, a following camera does not see.
                JointKind::Slide if !joint.limited && joint.axis[2].abs() < 0.5 => {}
                JointKind::Slide => parts.push(Part::Plain(q)),
            }
        }
        let place = inputs.len();
        let bodies = model.bodies.len();
        for body in 1..bodies {
            inputs.extend((0..3).map(|axis| Input::now(Channel::BodyPos { body: body as u16, axis })));
        }
        for body in 2..bodies {
            parts.extend((0..3).map(|axis| Part::Apart(place + 3 * (body - 1) + axis, place + axis)));
            parts.push(Part::Plain(place + 3 * (body - 1) + 2));
        }
        if moving {
            let at = inputs.len();
            inputs.extend((0..model.nv()).map(|i| Input::now(Channel::Qvel(i as u16))));
            parts.extend((0..model.nv()).map(|i| Part::Scaled(at + i, 0.2)));
        }
        Self { parts, inputs, nq }
    }

    /// Columns they are made from; the first ones are `qpos`.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Numbers of a world.
    pub fn width(&self) -> usize {
        self.parts.len()
    }

    /// Coordinates of a world.
    pub fn qpos(&self, step: &SourceStep<'_>, world: usize) -> Vec<f32> {
        (0..self.nq).map(|i| step.column(i)[world]).collect()
    }

    /// Writes the features of all worlds, `[worlds][width]`.
    pub fn write(&self, step: &SourceStep<'_>, out: &mut Vec<f32>) {
        out.clear();
        for world in 0..step.worlds {
            let x = |i: usize| step.columns[i * step.stride + world];
            out.extend(self.parts.iter().map(|part| match *part {
                Part::Plain(i) => x(i),
                Part::Sine(i) => x(i).sin(),
                Part::Cosine(i) => x(i).cos(),
                Part::Turn(q, row, column) => turn([x(q), x(q + 1), x(q + 2), x(q + 3)], row, column),
                Part::Apart(i, j) => x(i) - x(j),
                Part::Scaled(i, by) => by * x(i),
            }));
        }
    }
}

/// Entry of the rotation matrix of a quaternion `[w, x, y, z]`.
fn turn([w, x, y, z]: [f32; 4], row: usize, column: usize) -> f32 {
    match (row, column) {
        (0, 0) => 1.0 - 2.0 * (y * y + z * z),
        (1, 1) => 1.0 - 2.0 * (x * x + z * z),
        (2, 2) => 1.0 - 2.0 * (x * x + y * y),
        (0, 1) => 2.0 * (x * y - w * z),
        (1, 0) => 2.0 * (x * y + w * z),
        (0, 2) => 2.0 * (x * z + w * y),
        (2, 0) => 2.0 * (x * z - w * y),
        (1, 2) => 2.0 * (y * z - w * x),
        _ => 2.0 * (y * z + w * x),
    }
}
