//! What is drawn over the picture: contacts and their forces, joint axes, centre of mass, trails, commands, names. Each
//! can be switched.

use crate::live::ContactShown;
use crate::scene::camera::Eye;
use crate::scene::stage::{Robot, Stage};
use egui::{Color32, Pos2, Rect, Shape, Stroke, Ui};
use glam::Vec3;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overlays {
    /// Points where shapes touch.
    pub contacts: bool,
    /// Their forces, as arrows.
    pub forces: bool,
    /// Axes of hinges and slides.
    pub axes: bool,
    /// Centre of mass.
    pub com: bool,
    /// The path of the root over the last seconds.
    pub trails: bool,
    /// Velocity that is asked for, as an arrow.
    pub commands: bool,
}

impl Default for Overlays {
    fn default() -> Self {
        Self { contacts: false, forces: false, axes: false, com: false, trails: true, commands: true }
    }
}

impl Overlays {
    /// Switches, for a menu.
    pub fn ui(&mut self, ui: &mut Ui) -> bool {
        let before = *self;
        for (on, name) in [
            (&mut self.contacts, "Contact points"),
            (&mut self.forces, "Contact forces"),
            (&mut self.axes, "Joint axes"),
            (&mut self.com, "Centre of mass"),
            (&mut self.trails, "Trails"),
            (&mut self.commands, "Commands"),
        ] {
            ui.checkbox(on, name);
        }
        *self != before
    }
}

const CONTACT: Color32 = Color32::from_rgb(255, 200, 40);
const FORCE: Color32 = Color32::from_rgb(255, 90, 60);
const AXIS: Color32 = Color32::from_rgb(90, 200, 255);
const COM: Color32 = Color32::from_rgb(240, 80, 220);
const TRAIL: Color32 = Color32::from_rgba_premultiplied(120, 170, 120, 160);
const COMMAND: Color32 = Color32::from_rgb(80, 220, 110);

/// The data of the overlay of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Over<'a> {
    /// Which robots.
    pub stage: &'a Stage,
    /// First and last plus one of them.
    pub robots: (usize, usize),
    /// Contacts of all worlds, not yet in their places.
    pub contacts: &'a [ContactShown],
    /// Root positions of each world, oldest first, not yet in their places.
    pub trails: &'a [VecDeque<[f32; 3]>],
    /// Commands `[worlds, n]` and `n`; the first two are a velocity in the robot's frame when there are two or more.
    pub command: (&'a [f32], usize),
    /// The selected world.
    pub selected: Option<usize>,
}

/// Draws over the picture at `rect`.
pub fn paint(ui: &Ui, rect: Rect, eye: &Eye, on: &Overlays, over: &Over<'_>) {
    let painter = ui.painter().with_clip_rect(rect);
    let at = |p: Vec3| eye.project(rect, p);
    let line = |a: Vec3, b: Vec3, stroke: Stroke| {
        if let (Some(a), Some(b)) = (at(a), at(b)) {
            painter.line_segment([a, b], stroke);
        }
    };
    let (first, last) = (over.robots.0, over.robots.1.min(over.stage.robots.len()));
    let size = over.stage.size();
    for world in first..last {
        let robot = &over.stage.robots[world];
        let chosen = over.selected == Some(world);
        if on.trails
            && let Some(trail) = over.trails.get(world)
        {
            let points: Vec<Pos2> = trail.iter().filter_map(|p| at(Vec3::from(placed(robot, *p)))).collect();
            painter.add(Shape::line(points, Stroke::new(if chosen { 2.5 } else { 1.0 }, TRAIL)));
        }
        // In a crowd only the selected robot has its insides drawn.
        if !chosen && over.selected.is_some() && last - first > 4 {
            continue;
        }
        if on.axes {
            for (anchor, axis) in &robot.axes {
                let (p, half) = (Vec3::from(*anchor), 0.07 * size * Vec3::from(*axis));
                line(p - half, p + half, Stroke::new(2.0, AXIS));
            }
        }
        if on.com
            && let Some(p) = at(Vec3::from(robot.com))
        {
            painter.circle(p, 5.0, COM, Stroke::new(1.5, Color32::BLACK));
        }
        let (commands, n) = over.command;
        if on.commands
            && n >= 2
            && let Some(c) = commands.get(world * n..world * n + 2)
        {
            let from = Vec3::from(robot.root) + Vec3::new(0.0, 0.0, 0.25 * size);
            arrow(&painter, at(from), at(from + Vec3::from(heading(over.stage, robot, c[0], c[1]))), COMMAND);
        }
    }
    let weight = over.stage.model().bodies.iter().map(|b| b.mass).sum::<f64>() as f32 * 9.81;
    for c in over.contacts.iter().filter(|c| (first..last).contains(&c.world)) {
        let robot = &over.stage.robots[c.world];
        let p = Vec3::from(placed(robot, c.position));
        if on.contacts
            && let Some(p) = at(p)
        {
            painter.circle_filled(p, 3.0, CONTACT);
        }
        if on.forces {
            // The robot's weight is an arrow of its own size.
            let force = Vec3::from(c.force) * (size / weight.max(1e-3));
            let up = if force.z < 0.0 { -force } else { force };
            arrow(&painter, at(p), at(p + up), FORCE);
        }
    }
}

fn placed(robot: &Robot, p: [f32; 3]) -> [f32; 3] {
    [p[0] + robot.place[0], p[1] + robot.place[1], p[2]]
}

/// A velocity in the frame of the robot's trunk, turned into the world about the vertical.
fn heading(stage: &Stage, robot: &Robot, x: f32, y: f32) -> [f32; 3] {
    let trunk = stage.look().parts.iter().find(|p| p.body == stage.model().joints.first().map_or(1, |j| j.body));
    let yaw = trunk.map_or(0.0, |part| {
        let g = &stage.model().geoms[part.geom];
        let [w, i, j, k] = robot.poses[part.geom].rotation;
        let [a, b, c, d] = g.quat.map(|v| v as f32);
        // The body's rotation is the geom's times the inverse of the geom's in its body.
        let q = glam::Quat::from_xyzw(i, j, k, w) * glam::Quat::from_xyzw(b, c, d, a).inverse();
        let forward = q * Vec3::X;
        forward.y.atan2(forward.x)
    });
    [x * yaw.cos() - y * yaw.sin(), x * yaw.sin() + y * yaw.cos(), 0.0]
}

fn arrow(painter: &egui::Painter, from: Option<Pos2>, to: Option<Pos2>, colour: Color32) {
    if let (Some(a), Some(b)) = (from, to)
        && (b - a).length() > 2.0
    {
        painter.arrow(a, b - a, Stroke::new(2.0, colour));
    }
}
