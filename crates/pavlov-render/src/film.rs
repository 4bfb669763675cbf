//! From a model, or a recorded clip of it, to scenes: what is seen at a time, where the eye is, and how large what it
//! looks at is.

use crate::camera::{Camera, Extent, Eye};
use crate::look::{Look, Shape};
use crate::pose::{Pose, Poser};
use crate::scene::{Scene, Style};
use crate::{RenderError, View};
use pavlov_model::{JointKind, Model};
use std::sync::Arc;

/// A robot that can be posed and looked at.
#[derive(Debug)]
pub struct Stage {
    model: Arc<Model>,
    look: Look,
    poser: Poser,
    /// The robot's box in its reference pose, x and y from the centre of mass.
    extent: Extent,
    /// Its centre of mass in that pose.
    home: [f32; 3],
}

/// What is seen of one state.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// Poses of all geoms in the model's order.
    pub poses: Vec<Pose>,
    /// Centre of mass of what moves, m.
    pub com: [f32; 3],
}

impl Stage {
    /// Of a model that can be simulated.
    ///
    /// # Errors
    /// When it cannot.
    pub fn new(model: &Arc<Model>) -> Result<Self, RenderError> {
        let poser = Poser::new(model)?;
        let mut stage =
            Self { model: model.clone(), look: Look::new(model), poser, extent: Extent::NONE, home: [0.0; 3] };
        let rest: Vec<f32> = model.qpos0.iter().map(|&x| x as f32).collect();
        let shot = stage_shot(&mut stage.poser, model, &rest);
        let mut extent = stage.robot(&shot);
        // What can turn all the way round (a pole on a cart) is seen all the way round.
        let root = model.joints.first().map_or(0, |j| j.body);
        for joint in model.joints.iter().filter(|j| j.kind == JointKind::Hinge && j.body != root && !j.limited) {
            for quarter in 1..4 {
                let mut qpos = rest.clone();
                qpos[joint.qposadr] += quarter as f32 * std::f32::consts::FRAC_PI_2;
                let turned = stage_shot(&mut stage.poser, model, &qpos);
                extent.join(&stage.robot(&turned));
            }
        }
        (stage.extent, stage.home) = (extent, shot.com);
        Ok(stage)
    }

    /// What is drawn of the model.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// The robot's box in its reference pose; x and y from its centre of mass.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Poses of a state `qpos` `[nq]`.
    ///
    /// # Errors
    /// When the number of coordinates is another.
    pub fn shot(&mut self, qpos: &[f32]) -> Result<Shot, RenderError> {
        if qpos.len() != self.model.nq() {
            let (name, nq) = (&self.model.name, self.model.nq());
            return Err(RenderError::Usage(format!("a state of {} coordinates; `{name}` has {nq}", qpos.len())));
        }
        Ok(stage_shot(&mut self.poser, &self.model, qpos))
    }

    /// The scene of a shot alone.
    pub fn scene(&self, shot: &Shot, style: &Style) -> Scene {
        let mut scene = Scene::new(*style, self.size());
        scene.add(&self.look, &shot.poses, [0.0; 3], false);
        scene
    }

    /// About how large the robot is, m: its box's largest half side, twice.
    pub fn size(&self) -> f32 {
        2.0 * self.extent.half().into_iter().fold(0.0, f32::max)
    }

    /// The eye of a camera that sees the robot of this shot as large as in its reference pose. Nothing depends on the
    /// pose but the place, so that pictures of different states can be compared.
    pub fn eye(&self, shot: &Shot, camera: &Camera, aspect: f32) -> Eye {
        let [x, y, z] = if camera.follow { shot.com } else { self.home };
        // It goes along upward only when the robot leaves the picture.
        let half = self.extent.half()[2];
        let rise = (z - self.extent.high[2] - 0.2 * half).max(0.0);
        camera.eye(&self.extent.moved([x, y, rise]), aspect)
    }

    /// `n` states in which every joint is somewhere between its limits and the robot moves ahead: something to draw
    /// where nothing was recorded.
    pub fn varied(&self, n: usize) -> Vec<Vec<f32>> {
        let root = self.model.joints.first().map_or(0, |j| j.body);
        let state = |i: usize| {
            let mut qpos: Vec<f32> = self.model.qpos0.iter().map(|&x| x as f32).collect();
            for (k, joint) in self.model.joints.iter().enumerate() {
                let wave = (0.37 * i as f32 + 1.7 * k as f32).sin();
                let q = &mut qpos[joint.qposadr];
                match joint.kind {
                    JointKind::Free => *q += 0.05 * i as f32,
                    JointKind::Slide if joint.limited => *q += 0.3 * wave * (joint.range[1] - joint.range[0]) as f32,
                    JointKind::Slide if joint.axis[0] > 0.9 => *q += 0.05 * i as f32,
                    JointKind::Hinge if joint.body == root => *q += 0.15 * wave,
                    JointKind::Hinge if joint.limited => {
                        let [low, high] = joint.range.map(|x| x as f32);
                        let reach = 0.25 * (high - low);
                        *q = (*q + reach * wave).clamp(low, high);
                    }
                    JointKind::Hinge => *q += 0.6 * wave,
                    _ => {}
                }
            }
            qpos
        };
        (0..n).map(state).collect()
    }

    /// The box of the robot in a shot, x and y from its centre of mass.
    fn robot(&self, shot: &Shot) -> Extent {
        let mut extent = Extent::NONE;
        for part in self.look.parts.iter().filter(|p| p.body > 0) {
            let pose = shot.poses[part.geom];
            let [w, x, y, z] = pose.rotation;
            let rows = [
                [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
                [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
                [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
            ];
            let reach: [f32; 3] = std::array::from_fn(|k| match part.shape {
                Shape::Plane => 0.0,
                Shape::Sphere { radius } => radius,
                Shape::Capsule { radius, half } => radius + half * rows[k][2].abs(),
                Shape::Cylinder { radius, half } => radius * rows[k][0].hypot(rows[k][1]) + half * rows[k][2].abs(),
                Shape::Box { half } => (0..3).map(|c| half[c] * rows[k][c].abs()).sum(),
            });
            let from = [shot.com[0], shot.com[1], 0.0];
            extent.hold(std::array::from_fn(|k| pose.position[k] - from[k] - reach[k]));
            extent.hold(std::array::from_fn(|k| pose.position[k] - from[k] + reach[k]));
        }
        if extent.low[0] > extent.high[0] {
            extent = Extent { low: [-0.5; 3], high: [0.5; 3] };
        }
        extent
    }
}

fn stage_shot(poser: &mut Poser, model: &Model, qpos: &[f32]) -> Shot {
    poser.set(qpos);
    let mut poses = Vec::with_capacity(model.geoms.len());
    poser.geoms(&mut poses);
    let (mut com, mut mass) = ([0.0f64; 3], 0.0);
    for (b, body) in model.bodies.iter().enumerate().skip(1).filter(|(_, body)| body.weld != 0) {
        (0..3).for_each(|k| com[k] += body.mass * poser.data().xipos[b][k]);
        mass += body.mass;
    }
    Shot { poses, com: com.map(|c| if mass > 0.0 { (c / mass) as f32 } else { 0.0 }) }
}

/// A clip made ready to be drawn at any time.
#[derive(Debug)]
pub struct Film {
    stage: Stage,
    shots: Vec<Shot>,
    /// Seconds between shots.
    dt: f64,
    /// Boxes of the whole clip: along with the robot, and in the world.
    seen: [Extent; 2],
}

impl Film {
    /// States `dt` seconds apart.
    ///
    /// # Errors
    /// When there is none, one has another number of coordinates, or a number that is not finite.
    pub fn new<'a>(
        model: &Arc<Model>,
        dt: f64,
        states: impl IntoIterator<Item = &'a [f32]>,
    ) -> Result<Self, RenderError> {
        let mut stage = Stage::new(model)?;
        let mut shots = Vec::new();
        let mut seen = [stage.extent, Extent::NONE];
        for qpos in states {
            if let Some(i) = qpos.iter().position(|x| !x.is_finite()) {
                let message = format!("state {} has {} as coordinate {i}", shots.len(), qpos[i]);
                return Err(RenderError::Usage(message));
            }
            let shot = stage.shot(qpos)?;
            let robot = stage.robot(&shot);
            seen[0].join(&robot);
            seen[1].join(&robot.moved([shot.com[0], shot.com[1], 0.0]));
            shots.push(shot);
        }
        if shots.is_empty() {
            return Err(RenderError::Usage("there is no state to draw".into()));
        }
        if !(dt.is_finite() && dt > 0.0) {
            return Err(RenderError::Usage(format!("{dt} s between states: expected a number above 0")));
        }
        Ok(Self { stage, shots, dt, seen })
    }

    /// The robot.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Time of the last state, s.
    pub fn duration(&self) -> f64 {
        (self.shots.len() - 1) as f64 * self.dt
    }

    /// What is seen at a time, between states in between.
    pub fn at(&self, time: f64) -> Shot {
        let place = (time / self.dt).clamp(0.0, (self.shots.len() - 1) as f64);
        let i = (place.floor() as usize).min(self.shots.len() - 1);
        let (a, b) = (&self.shots[i], &self.shots[(i + 1).min(self.shots.len() - 1)]);
        let t = (place - i as f64) as f32;
        let mix = |a: [f32; 3], b: [f32; 3]| std::array::from_fn(|k| a[k] + t * (b[k] - a[k]));
        let poses = a.poses.iter().zip(&b.poses).map(|(p, q)| {
            let sign = p.rotation.iter().zip(q.rotation).map(|(x, y)| x * y).sum::<f32>().signum();
            let r: [f32; 4] = std::array::from_fn(|k| p.rotation[k] + t * (sign * q.rotation[k] - p.rotation[k]));
            let norm = r.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
            Pose { position: mix(p.position, q.position), rotation: r.map(|x| x / norm) }
        });
        Shot { poses: poses.collect(), com: mix(a.com, b.com) }
    }

    /// Scene and eye at a time. The camera holds all that the robot does in the clip.
    pub fn scene(&self, time: f64, style: &Style, camera: &Camera, aspect: f32) -> (Scene, Eye) {
        let shot = self.at(time);
        let extent = match camera.follow {
            true => self.seen[0].moved([shot.com[0], shot.com[1], 0.0]),
            false => self.seen[1],
        };
        (self.stage.scene(&shot, style), camera.eye(&extent, aspect))
    }

    /// Times of the pictures of a film of `fps` pictures a second at `speed` times real time, from `start` to `end` s
    /// of the clip.
    pub fn times(&self, fps: f64, speed: f64, start: f64, end: f64) -> Vec<f64> {
        let n = ((end - start) / speed * fps + 1e-6).floor() as usize + 1;
        (0..n).map(|i| start + i as f64 * speed / fps).collect()
    }
}

/// Views of scenes and their eyes.
pub fn views(scenes: &[(Scene, Eye)]) -> Vec<View<'_>> {
    scenes.iter().map(|(scene, eye)| View { scene, eye: *eye }).collect()
}
