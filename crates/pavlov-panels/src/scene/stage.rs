//! The robots of a scene: one model many times, each in its place of a grid, posed by its `qpos`.

use egui::Color32;
use pavlov_model::{JointKind, Model};
use pavlov_physics::PhysicsError;
use pavlov_render::{Look, Pose, Poser, Shape};
use std::sync::Arc;

/// Colour over a whole robot, for heat and selection; the opacity says how much of it.
pub type Tint = Option<Color32>;

/// One robot.
#[derive(Debug, Clone, Default)]
pub struct Robot {
    /// Pose of each geom of the model, in its place.
    pub poses: Vec<Pose>,
    /// Colour over it.
    pub tint: Tint,
    /// Where it stands in the grid, m.
    pub place: [f32; 2],
    /// Its first moving body, in its place, m.
    pub root: [f32; 3],
    /// Centre of mass of the robot, in its place, m.
    pub com: [f32; 3],
    /// Anchor and axis of each joint, in its place; free and ball joints have none.
    pub axes: Vec<([f32; 3], [f32; 3])>,
}

/// Robots of one model.
#[derive(Debug)]
pub struct Stage {
    model: Arc<Model>,
    look: Look,
    poser: Poser,
    size: f32,
    /// The robots, in the order of worlds.
    pub robots: Vec<Robot>,
}

impl Stage {
    /// An empty stage for a model.
    ///
    /// # Errors
    /// When the model cannot be simulated.
    pub fn new(model: &Arc<Model>) -> Result<Self, PhysicsError> {
        let mut poser = Poser::new(model)?;
        let look = Look::new(model);
        let home: Vec<f32> = model.qpos0.iter().map(|&q| q as f32).collect();
        poser.set(&home);
        let mut poses = Vec::new();
        poser.geoms(&mut poses);
        let size = size_of(&look, &poses);
        Ok(Self { model: model.clone(), look, poser, size, robots: Vec::new() })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What is drawn of it.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// Largest extent of the robot in its home pose, m.
    pub fn size(&self) -> f32 {
        self.size
    }

    /// Distance between places of the grid, m.
    pub fn spacing(&self) -> f32 {
        (1.7 * self.size).max(1.0)
    }

    /// Poses `worlds` robots by `qpos` `[worlds, nq]`, in the places of a square grid.
    ///
    /// # Panics
    /// When `qpos` is shorter than that.
    pub fn set(&mut self, qpos: &[f32], worlds: usize) {
        let spacing = self.spacing();
        self.set_in(qpos, worlds, |world| grid(world, worlds, spacing));
    }

    /// The same, each robot where `place` says.
    ///
    /// # Panics
    /// When `qpos` is shorter than `[worlds, nq]`.
    pub fn set_in(&mut self, qpos: &[f32], worlds: usize, place: impl Fn(usize) -> [f32; 2]) {
        let nq = self.model.nq();
        self.robots.resize_with(worlds, Robot::default);
        let root = self.model.joints.first().map_or(1, |j| j.body);
        for (world, robot) in self.robots.iter_mut().enumerate() {
            robot.place = place(world);
            let [x, y] = robot.place;
            self.poser.set(&qpos[world * nq..(world + 1) * nq]);
            self.poser.geoms(&mut robot.poses);
            for pose in &mut robot.poses {
                pose.position[0] += x;
                pose.position[1] += y;
            }
            let d = self.poser.data();
            let moved = |p: [f64; 3]| [p[0] as f32 + x, p[1] as f32 + y, p[2] as f32];
            robot.root = moved(d.xpos[root]);
            robot.com = moved(d.subtree_com[self.model.bodies[root].root]);
            robot.axes.clear();
            for (j, joint) in self.model.joints.iter().enumerate() {
                if matches!(joint.kind, JointKind::Hinge | JointKind::Slide) {
                    robot.axes.push((moved(d.xanchor[j]), d.xaxis[j].map(|v| v as f32)));
                }
            }
        }
    }
}

/// Place of a world in a square grid about the origin.
fn grid(world: usize, worlds: usize, spacing: f32) -> [f32; 2] {
    let side = (worlds as f32).sqrt().ceil().max(1.0);
    let (row, column) = ((world as f32 / side).floor(), world as f32 % side);
    let rows = (worlds as f32 / side).ceil();
    [spacing * (row - 0.5 * (rows - 1.0)), spacing * (column - 0.5 * (side - 1.0))]
}

/// Largest extent of what moves, with its shapes.
fn size_of(look: &Look, poses: &[Pose]) -> f32 {
    let (mut low, mut high) = ([f32::MAX; 3], [f32::MIN; 3]);
    for part in look.parts.iter().filter(|p| p.body > 0) {
        let reach = match part.shape {
            Shape::Plane => continue,
            Shape::Sphere { radius } => radius,
            Shape::Capsule { radius, half } => radius + half,
            Shape::Cylinder { radius, half } => radius.hypot(half),
            Shape::Box { half } => half.iter().map(|h| h * h).sum::<f32>().sqrt(),
        };
        for k in 0..3 {
            low[k] = low[k].min(poses[part.geom].position[k] - reach);
            high[k] = high[k].max(poses[part.geom].position[k] + reach);
        }
    }
    (0..3).map(|k| high[k] - low[k]).fold(0.1, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::{Assets, Task};

    fn stage(task: &str) -> Stage {
        Stage::new(Task::load(&Assets::find(None), task).unwrap().model()).unwrap()
    }

    #[test]
    fn robots_stand_apart_in_a_grid() {
        let mut stage = stage("ant_run");
        let home: Vec<f32> = stage.model().qpos0.iter().map(|&q| q as f32).collect();
        stage.set(&home.repeat(10), 10);
        for a in 0..10 {
            for b in 0..a {
                let (p, q) = (stage.robots[a].place, stage.robots[b].place);
                assert!((p[0] - q[0]).hypot(p[1] - q[1]) >= stage.size(), "{a} and {b}");
            }
        }
        let middle: f32 = stage.robots.iter().map(|r| r.place[1]).sum();
        assert!(middle.abs() < 10.0 * stage.spacing());
    }

    #[test]
    fn sizes_are_those_of_the_robots() {
        for (task, low, high) in [("ant_run", 1.0, 3.0), ("humanoid_run", 1.2, 2.2), ("go1_velocity", 0.4, 1.2)] {
            let size = stage(task).size();
            assert!((low..high).contains(&size), "{task}: {size}");
        }
    }
}
