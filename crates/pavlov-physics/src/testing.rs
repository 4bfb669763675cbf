//! What the unit tests share: scenes from text, and worlds in a state.

use crate::data::Data;
use crate::physics::Physics;
use crate::real::Real;
use std::sync::Arc;

/// A scene from `<option …/>` and the content of the world.
pub(crate) fn scene(option: &str, world: &str) -> Physics {
    let text = format!("<mujoco><compiler angle='radian'/><option {option}/><worldbody>{world}</worldbody></mujoco>");
    text_scene(&text)
}

/// A scene from a whole file.
pub(crate) fn text_scene(text: &str) -> Physics {
    let model = pavlov_model::parse_mjcf(text, "test.xml").unwrap_or_else(|e| panic!("{e}"));
    let mut physics = Physics::new(Arc::new(model)).unwrap();
    physics.solver.tolerance = 1e-14;
    physics
}

/// Data with every world at the given coordinates and velocities.
pub(crate) fn placed<R: Real>(physics: &Physics, qpos: &[f64], qvel: &[f64]) -> Data<R> {
    let mut d = physics.data::<R>();
    for lane in 0..R::LANES {
        d.state.reset_world(lane, qpos, qvel);
    }
    d
}

/// Two links of length 1 in the xz plane, hanging from the origin, each with its mass in its end; hinges about -y, so
/// that angles count from straight down towards +x.
pub(crate) const ARM: &str = "
  <body name='upper'>
    <joint axis='0 -1 0'/><geom name='elbow' size='1e-5' pos='0 0 -1' mass='2'/>
    <body name='lower' pos='0 0 -1'>
      <joint axis='0 -1 0'/><geom name='hand' size='1e-5' pos='0 0 -1' mass='3'/>
    </body>
  </body>";

/// Asserts that two numbers agree to `tolerance`.
#[track_caller]
pub(crate) fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "found {found}, expected {expected}");
}
