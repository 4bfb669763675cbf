//! What is under the pointer: the nearest robot part that a ray meets (parry3d's ray casts).

use crate::scene::stage::Stage;
use glam::Vec3;
use pavlov_render::Shape;
use rapier3d::glamx::{DQuat, DVec3};
use rapier3d::parry::math::Pose3;
use rapier3d::parry::query::{Ray, RayCast};
use rapier3d::parry::shape::{Ball, Capsule, Cuboid, Cylinder};

/// A part of a robot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// World of the robot.
    pub world: usize,
    /// Body of the model.
    pub body: usize,
    /// Distance along the ray, m.
    pub distance: f32,
}

/// The nearest part of the robots that a ray from `origin` along the unit vector `direction` meets. Surroundings are
/// not picked.
pub fn pick(stage: &Stage, robots: std::ops::Range<usize>, origin: Vec3, direction: Vec3) -> Option<Hit> {
    let wide = |v: Vec3| DVec3::new(f64::from(v.x), f64::from(v.y), f64::from(v.z));
    let ray = Ray::new(wide(origin), wide(direction));
    let mut nearest: Option<Hit> = None;
    for world in robots {
        let robot = &stage.robots[world];
        for part in stage.look().parts.iter().filter(|p| p.body > 0) {
            let pose = &robot.poses[part.geom];
            let p = pose.position.map(f64::from);
            let [w, x, y, z] = pose.rotation.map(f64::from);
            let at = Pose3::from_parts(DVec3::from(p), DQuat::from_xyzw(x, y, z, w));
            // parry's cylinders and capsules lie along y where ours lie along z.
            let y_to_z = Pose3::from_parts(DVec3::ZERO, DQuat::from_rotation_x(std::f64::consts::FRAC_PI_2));
            let far = nearest.map_or(f64::MAX, |h| f64::from(h.distance));
            let time = match part.shape {
                Shape::Plane => None,
                Shape::Sphere { radius } => Ball::new(f64::from(radius)).cast_ray(&at, &ray, far, true),
                Shape::Capsule { radius, half } => {
                    Capsule::new_z(f64::from(half), f64::from(radius)).cast_ray(&at, &ray, far, true)
                }
                Shape::Cylinder { radius, half } => {
                    Cylinder::new(f64::from(half), f64::from(radius)).cast_ray(&(at * y_to_z), &ray, far, true)
                }
                Shape::Box { half } => Cuboid::new(DVec3::from(half.map(f64::from))).cast_ray(&at, &ray, far, true),
            };
            if let Some(time) = time.filter(|&t| t < far) {
                nearest = Some(Hit { world, body: part.body, distance: time as f32 });
            }
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::{Assets, Task};

    #[test]
    fn the_robot_in_front_is_picked_and_the_ground_is_not() {
        let task = Task::load(&Assets::find(None), "ant_run").unwrap();
        let mut stage = Stage::new(task.model()).unwrap();
        let home: Vec<f32> = task.model().qpos0.iter().map(|&q| q as f32).collect();
        stage.set(&home.repeat(4), 4);
        let torso = task.model().body("torso").unwrap();
        for world in 0..4 {
            let root = Vec3::from(stage.robots[world].root);
            let origin = root + Vec3::new(0.0, 0.0, 3.0);
            let hit = pick(&stage, 0..4, origin, -Vec3::Z).unwrap();
            assert_eq!((hit.world, hit.body), (world, torso));
            // The torso is a sphere of 0.25 m.
            assert!((hit.distance - 2.75).abs() < 1e-3, "{hit:?}");
        }
        let beside = Vec3::new(100.0, 0.0, 3.0);
        assert_eq!(pick(&stage, 0..4, beside, -Vec3::Z), None);
    }
}
