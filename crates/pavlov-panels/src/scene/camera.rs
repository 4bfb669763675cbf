//! A camera that orbits a point: angles and distance from the hand, position and rays for everything else. z up, m,
//! rad.

use egui::{Pos2, Rect, Vec2};
use glam::{Mat4, Vec3, Vec4};

/// The viewpoint of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eye {
    /// Where the camera is, m.
    pub position: Vec3,
    /// What it looks at, m.
    pub target: Vec3,
    /// Vertical angle of view, rad.
    pub fov_y: f32,
}

/// Nearest distance that is drawn, m.
pub const NEAR: f32 = 0.02;
/// See [`NEAR`].
pub const FAR: f32 = 400.0;

impl Eye {
    /// World to clip space of a picture of this shape; depth 0 to 1.
    pub fn clip_from_world(&self, aspect: f32) -> Mat4 {
        let view = Mat4::look_at_rh(self.position, self.target, Vec3::Z);
        Mat4::perspective_rh(self.fov_y, aspect.max(1e-3), NEAR, FAR) * view
    }

    /// Where a point of the world is in a picture at `rect`; none behind the camera.
    pub fn project(&self, rect: Rect, point: Vec3) -> Option<Pos2> {
        let clip: Vec4 = self.clip_from_world(rect.aspect_ratio()) * point.extend(1.0);
        (clip.w > NEAR).then(|| {
            let (x, y) = (clip.x / clip.w, clip.y / clip.w);
            Pos2::new(rect.center().x + 0.5 * x * rect.width(), rect.center().y - 0.5 * y * rect.height())
        })
    }

    /// The ray through a place in a picture at `rect`: origin and unit direction.
    pub fn ray(&self, rect: Rect, at: Pos2) -> (Vec3, Vec3) {
        let (forward, right, up) = self.axes();
        let half = (0.5 * self.fov_y).tan();
        let v = (at - rect.center()) / (0.5 * rect.height().max(1.0));
        (self.position, (forward + half * (v.x * right - v.y * up)).normalize())
    }

    /// Forward, right and up.
    pub fn axes(&self) -> (Vec3, Vec3, Vec3) {
        let forward = (self.target - self.position).normalize_or(Vec3::X);
        let right = forward.cross(Vec3::Z).normalize_or(Vec3::Y);
        (forward, right, right.cross(forward))
    }

    /// Width in metres of a point of the window at a distance along the view.
    pub fn metres_per_point(&self, rect: Rect, distance: f32) -> f32 {
        2.0 * distance * (0.5 * self.fov_y).tan() / rect.height().max(1.0)
    }
}

/// A camera in a person's hand.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Orbit {
    /// What it turns about, m.
    pub target: [f32; 3],
    /// Direction from the target to the camera, from x towards y.
    pub yaw: f32,
    /// Its angle above the ground.
    pub pitch: f32,
    /// m.
    pub distance: f32,
    /// Does the target follow the selected robot?
    pub follow: bool,
}

impl Default for Orbit {
    fn default() -> Self {
        Self { target: [0.0, 0.0, 0.4], yaw: -2.1, pitch: 0.42, distance: 5.0, follow: true }
    }
}

/// Vertical angle of view.
const FOV_Y: f32 = 0.75;

impl Orbit {
    /// A view of something that is `size` m large at `centre`.
    pub fn around(centre: [f32; 3], size: f32) -> Self {
        Self { target: centre, distance: (2.6 * size).clamp(0.8, 100.0), ..Self::default() }
    }

    /// Is it a view of anything?
    pub fn is_finite(&self) -> bool {
        let Self { target, yaw, pitch, distance, .. } = self;
        target.iter().chain([yaw, pitch, distance]).all(|x| x.is_finite())
    }

    /// As a camera.
    pub fn eye(&self) -> Eye {
        let target = Vec3::from(self.target);
        let (cp, sp) = (self.pitch.cos(), self.pitch.sin());
        let out = Vec3::new(cp * self.yaw.cos(), cp * self.yaw.sin(), sp);
        Eye { position: target + self.distance * out, target, fov_y: FOV_Y }
    }

    /// Turns about the target by a drag of so many points. Never below the ground's plane by more than a little, never
    /// over the top.
    pub fn orbit(&mut self, drag: Vec2) {
        self.yaw -= 0.008 * drag.x;
        self.pitch = (self.pitch + 0.008 * drag.y).clamp(-0.15, 1.5);
    }

    /// Moves the target in the plane of the picture, so that what is under the pointer stays under it.
    pub fn pan(&mut self, drag: Vec2, rect: Rect) {
        let eye = self.eye();
        let (_, right, up) = eye.axes();
        let metres = eye.metres_per_point(rect, self.distance);
        let target = Vec3::from(self.target) + metres * (drag.y * up - drag.x * right);
        self.target = [target.x, target.y, target.z.max(0.0)];
        self.follow = false;
    }

    /// Nearer (above 1) or farther.
    pub fn zoom(&mut self, factor: f32) {
        self.distance = (self.distance / factor.max(1e-3)).clamp(0.2, 150.0);
    }

    /// Moves the target towards a point: most of the way in a fifth of a second, so that the picture does not shake
    /// with the robot.
    pub fn track(&mut self, point: [f32; 3], dt: f32) {
        let share = 1.0 - (-dt / 0.12).exp();
        for (t, p) in self.target.iter_mut().zip(point) {
            // A target far away comes from a reset: jump.
            *t = if (p - *t).abs() > 5.0 { p } else { *t + share * (p - *t) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect() -> Rect {
        Rect::from_min_size(Pos2::new(100.0, 50.0), Vec2::new(800.0, 600.0))
    }

    #[test]
    fn a_ray_goes_through_what_is_projected_there() {
        let eye = Orbit { yaw: 0.7, pitch: 0.5, ..Orbit::default() }.eye();
        for point in [Vec3::new(0.3, -0.4, 1.2), Vec3::new(-1.0, 0.8, 0.0)] {
            let at = eye.project(rect(), point).unwrap();
            let (origin, direction) = eye.ray(rect(), at);
            let along = (point - origin).dot(direction);
            assert!((origin + along * direction - point).length() < 1e-3, "{point}");
        }
        assert!(eye.project(rect(), eye.position + (eye.position - eye.target)).is_none(), "behind the camera");
    }

    #[test]
    fn panning_keeps_the_target_under_the_pointer() {
        let mut orbit = Orbit::default();
        let point = Vec3::from(orbit.target);
        let before = orbit.eye().project(rect(), point).unwrap();
        orbit.pan(Vec2::new(40.0, 0.0), rect());
        let after = orbit.eye().project(rect(), point).unwrap();
        assert!((after - before - Vec2::new(40.0, 0.0)).length() < 0.5, "{before} {after}");
        assert!(!orbit.follow);
    }

    #[test]
    fn zoom_and_orbit_have_ends() {
        let mut orbit = Orbit::default();
        (0..200).for_each(|_| orbit.zoom(1.2));
        assert_eq!(orbit.distance, 0.2);
        (0..200).for_each(|_| orbit.orbit(Vec2::new(0.0, 30.0)));
        assert_eq!(orbit.pitch, 1.5);
    }

    #[test]
    fn following_reaches_the_robot_and_jumps_after_a_reset() {
        let mut orbit = Orbit { target: [0.0; 3], ..Orbit::default() };
        (0..60).for_each(|_| orbit.track([1.0, 0.0, 0.5], 1.0 / 60.0));
        assert!((orbit.target[0] - 1.0).abs() < 0.01);
        orbit.track([20.0, 0.0, 0.5], 1.0 / 60.0);
        assert_eq!(orbit.target[0], 20.0);
    }
}
