//! Where every geom is: forward kinematics of one state. World frame, m, quaternions w x y z.

use pavlov_model::Model;
use pavlov_physics::math::{add, mul_mv, quat_mul, quat_rotate, splat3, splat4};
use pavlov_physics::{Data, Params, Physics, PhysicsError};
use std::sync::Arc;

/// Position and orientation in the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// m.
    pub position: [f32; 3],
    /// Unit quaternion, w first.
    pub rotation: [f32; 4],
}

/// Forward kinematics of a model, one state at a time.
#[derive(Debug)]
pub struct Poser {
    physics: Physics,
    params: Params<f64>,
    data: Data<f64>,
}

impl Poser {
    /// For a model that can be simulated.
    pub fn new(model: &Arc<Model>) -> Result<Self, PhysicsError> {
        let physics = Physics::new(model.clone())?;
        Ok(Self { params: physics.params(), data: physics.data(), physics })
    }

    /// Sets the state `qpos` `[nq]`.
    ///
    /// # Panics
    /// When `qpos` is shorter than `nq`.
    pub fn set(&mut self, qpos: &[f32]) {
        let nq = self.data.state.qpos.len();
        for (to, from) in self.data.state.qpos.iter_mut().zip(&qpos[..nq]) {
            *to = f64::from(*from);
        }
        self.physics.refresh(&self.params, &mut self.data);
    }

    /// Poses of all geoms in the model's order, of the state last set.
    pub fn geoms(&self, out: &mut Vec<Pose>) {
        out.clear();
        let d = &self.data;
        out.extend(self.physics.model().geoms.iter().map(|g| {
            let position = add(d.xpos[g.body], mul_mv(&d.xmat[g.body], splat3(g.pos)));
            let rotation = quat_mul(d.xquat[g.body], splat4(g.quat));
            Pose { position: position.map(|v| v as f32), rotation: rotation.map(|v| v as f32) }
        }));
    }

    /// Everything else kinematics knows: poses of bodies, joint anchors and axes, centres of mass (`f64`).
    pub fn data(&self) -> &Data<f64> {
        &self.data
    }

    /// World position of a point given in a body's frame.
    pub fn point(&self, body: usize, local: [f64; 3]) -> [f64; 3] {
        add(self.data.xpos[body], quat_rotate(self.data.xquat[body], local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geom_turns_and_moves_with_its_body() {
        let text = r#"<mujoco><worldbody><body pos="0 0 1"><freejoint/>
            <geom type="box" pos="1 0 0" size="0.1 0.1 0.1"/></body></worldbody></mujoco>"#;
        let model = Arc::new(pavlov_model::parse_mjcf(text, "box.xml").unwrap());
        let mut poser = Poser::new(&model).unwrap();
        // A quarter turn about z: the geom's offset along x now points along y.
        let h = 0.5f32.sqrt();
        poser.set(&[2.0, 3.0, 1.0, h, 0.0, 0.0, h]);
        let mut poses = Vec::new();
        poser.geoms(&mut poses);
        for (found, wanted) in poses[0].position.iter().zip([2.0, 4.0, 1.0]) {
            assert!((found - wanted).abs() < 1e-6, "{:?}", poses[0]);
        }
        assert!((poses[0].rotation[3] - h).abs() < 1e-6);
    }
}
