//! The hand in the picture: orbit, pan, zoom, follow; click to select; drag a robot to push it.
//!
//! Primary drag on empty ground orbits, on a robot it pulls the link like a spring (MuJoCo's perturbation); secondary
//! or middle drag pans; the wheel zooms; a double click follows. Arrow keys orbit and page keys zoom while the picture
//! has the keyboard.

use crate::scene::{Eye, Hit, Orbit, Stage, pick};
use egui::{Color32, Key, PointerButton, Rect, Sense, Stroke, Ui};
use glam::Vec3;

/// What the hand asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hand {
    /// A robot and a link of it, or nothing, was selected.
    Select(Option<Hit>),
    /// A force on a link of a world, N.
    Push {
        /// World.
        world: usize,
        /// Body.
        body: usize,
        /// N, world axes.
        force: [f32; 3],
    },
    /// The hand let go.
    Release {
        /// World.
        world: usize,
        /// Body.
        body: usize,
    },
}

/// A link in the hand.
#[derive(Debug, Clone, Copy)]
struct Grip {
    hit: Hit,
    /// Distance of the plane that the hand moves in.
    depth: f32,
    /// Where it was taken, relative to the body's first geom, m.
    offset: Vec3,
}

/// What the hand holds between frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct Viewport {
    grip: Option<Grip>,
    orbiting: bool,
}

impl Viewport {
    /// Takes the input over the picture at `rect` that shows the robots `robots` of the stage; `pushes` when forces can
    /// be applied.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        orbit: &mut Orbit,
        stage: &Stage,
        robots: std::ops::Range<usize>,
        pushes: bool,
    ) -> Vec<Hand> {
        let mut out = Vec::new();
        let id = ui.id().with(("picture", robots.start));
        let response = ui.interact(rect, id, Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::WidgetType::Image, true, "Scene"));
        let eye = orbit.eye();
        let hit = |at| {
            let (origin, direction) = eye.ray(rect, at);
            pick(stage, robots.clone(), origin, direction)
        };
        let pointer = response.interact_pointer_pos();
        if response.drag_started_by(PointerButton::Primary) {
            let at = ui.input(|i| i.pointer.press_origin()).or(pointer);
            let found = at.and_then(&hit).filter(|_| pushes);
            self.grip = found.and_then(|hit| grip(stage, &eye, rect, at?, hit));
            self.orbiting = self.grip.is_none();
            out.extend(found.map(|hit| Hand::Select(Some(hit))));
        }
        if let Some(grip) = self.grip {
            let (world, body) = (grip.hit.world, grip.hit.body);
            match pointer.filter(|_| response.dragged_by(PointerButton::Primary)) {
                Some(at) if world < stage.robots.len() => {
                    let (held, hand) = (held_at(stage, &grip), plane_point(&eye, rect, at, grip.depth));
                    let force = pull(stage, hand - held);
                    out.push(Hand::Push { world, body, force: force.to_array() });
                    if let (Some(a), Some(b)) = (eye.project(rect, held), eye.project(rect, hand)) {
                        let painter = ui.painter().with_clip_rect(rect);
                        painter.arrow(a, b - a, Stroke::new(3.0, Color32::from_rgb(255, 140, 0)));
                        let text = format!("{:.0} N", force.length());
                        painter.text(
                            b,
                            egui::Align2::LEFT_BOTTOM,
                            text,
                            egui::FontId::proportional(14.0),
                            ui.visuals().text_color(),
                        );
                    }
                }
                _ => {
                    self.grip = None;
                    out.push(Hand::Release { world, body });
                }
            }
        } else if response.dragged_by(PointerButton::Primary) && self.orbiting {
            orbit.orbit(response.drag_delta());
        } else if response.dragged_by(PointerButton::Secondary) || response.dragged_by(PointerButton::Middle) {
            orbit.pan(response.drag_delta(), rect);
        }
        if response.clicked() {
            response.request_focus();
            out.push(Hand::Select(pointer.and_then(&hit)));
        }
        if response.double_clicked() {
            orbit.follow = pointer.and_then(&hit).is_some();
        }
        if response.hovered() {
            let scroll = ui.input(|i| i.smooth_scroll_delta.y + 200.0 * (i.zoom_delta() - 1.0));
            if scroll != 0.0 {
                orbit.zoom((0.003 * scroll).exp());
            }
        }
        if response.has_focus() {
            self.keys(ui, orbit, rect);
        }
        out
    }

    fn keys(&self, ui: &Ui, orbit: &mut Orbit, rect: Rect) {
        let step = 0.05 * rect.height().min(400.0);
        ui.input(|i| {
            for (key, x, y) in [
                (Key::ArrowLeft, -1.0, 0.0),
                (Key::ArrowRight, 1.0, 0.0),
                (Key::ArrowUp, 0.0, 1.0),
                (Key::ArrowDown, 0.0, -1.0),
            ] {
                if i.key_pressed(key) {
                    orbit.orbit(step * egui::vec2(x, y));
                }
            }
            if i.key_pressed(Key::PageUp) {
                orbit.zoom(1.15);
            }
            if i.key_pressed(Key::PageDown) {
                orbit.zoom(1.0 / 1.15);
            }
        });
    }
}

fn first_geom(stage: &Stage, body: usize) -> Option<usize> {
    stage.look().parts.iter().find(|p| p.body == body).map(|p| p.geom)
}

fn geom_at(stage: &Stage, hit: &Hit) -> Option<Vec3> {
    Some(Vec3::from(stage.robots.get(hit.world)?.poses[first_geom(stage, hit.body)?].position))
}

fn grip(stage: &Stage, eye: &Eye, rect: Rect, at: egui::Pos2, hit: Hit) -> Option<Grip> {
    let (origin, direction) = eye.ray(rect, at);
    let point = origin + hit.distance * direction;
    let depth = (point - eye.position).dot(eye.axes().0);
    Some(Grip { hit, depth, offset: point - geom_at(stage, &hit)? })
}

fn held_at(stage: &Stage, grip: &Grip) -> Vec3 {
    geom_at(stage, &grip.hit).unwrap_or_default() + grip.offset
}

/// Where the ray through `at` meets the plane at `depth` before the camera.
fn plane_point(eye: &Eye, rect: Rect, at: egui::Pos2, depth: f32) -> Vec3 {
    let (origin, direction) = eye.ray(rect, at);
    origin + direction * (depth / direction.dot(eye.axes().0).max(1e-3))
}

/// Force of the hand: the robot's weight for half of its size, four times the weight at most.
fn pull(stage: &Stage, stretch: Vec3) -> Vec3 {
    let weight = stage.model().bodies.iter().map(|b| b.mass).sum::<f64>() as f32 * 9.81;
    (stretch * (2.0 * weight / stage.size())).clamp_length_max(4.0 * weight)
}
