//! Rapier behind [`Backend`].

use super::layout::Layout;
use super::scene::{Robot, Scene, Stage};
use crate::backend::{Backend, BackendError, Evaluation, WorldState};
use crate::physics::Physics;

/// Worlds in rapier, stepped one after the other.
pub struct RapierBackend {
    robot: Robot,
    scene: Scene,
    stage: Stage,
    states: Vec<WorldState>,
    ctrl: Vec<Vec<f64>>,
    found: Vec<Evaluation>,
}

impl RapierBackend {
    /// `worlds` worlds at `qpos0`, at rest.
    pub fn new(physics: Physics, worlds: usize) -> Self {
        let layout = Layout::new(physics.model());
        let robot = Robot { physics, layout };
        let scene = Scene::new(&robot, robot.physics.params());
        let model = robot.physics.model();
        let state = WorldState {
            qpos: model.qpos0.clone(),
            qvel: vec![0.0; model.nv()],
            qacc_warmstart: vec![0.0; model.nv()],
            time: 0.0,
        };
        Self {
            states: vec![state; worlds],
            ctrl: vec![vec![0.0; model.nu()]; worlds],
            found: vec![Evaluation::default(); worlds],
            stage: Stage::new(&robot),
            robot,
            scene,
        }
    }
}

impl Backend for RapierBackend {
    fn name(&self) -> String {
        "rapier, f64".to_string()
    }

    fn physics(&self) -> &Physics {
        &self.robot.physics
    }

    fn num_worlds(&self) -> usize {
        self.states.len()
    }

    fn set_state(&mut self, world: usize, from: &WorldState) {
        let state = &mut self.states[world];
        state.qpos.copy_from_slice(&from.qpos);
        state.qvel.copy_from_slice(&from.qvel);
        state.time = from.time;
    }

    fn state(&mut self, world: usize) -> Result<WorldState, BackendError> {
        Ok(self.states[world].clone())
    }

    fn set_ctrl(&mut self, world: usize, ctrl: &[f64]) {
        self.ctrl[world].copy_from_slice(ctrl);
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        let h = self.robot.physics.model().opt.timestep;
        for ((state, ctrl), found) in self.states.iter().zip(&self.ctrl).zip(&mut self.found) {
            let (mut qpos, mut qvel) = (state.qpos.clone(), state.qvel.clone());
            self.stage.step(&self.robot, &self.scene, &mut qpos, &mut qvel, ctrl);
            found.qm = self.stage.mass_matrix(&self.robot, &self.scene, &state.qpos);
            found.qacc = qvel.iter().zip(&state.qvel).map(|(after, before)| (after - before) / h).collect();
            found.contacts = self.stage.contacts.iter().map(|c| c.point.clone()).collect();
        }
        Ok(())
    }

    fn evaluation(&mut self, world: usize) -> Result<Evaluation, BackendError> {
        Ok(self.found[world].clone())
    }

    fn step(&mut self, count: usize) -> Result<(), BackendError> {
        let h = self.robot.physics.model().opt.timestep;
        for (state, ctrl) in self.states.iter_mut().zip(&self.ctrl) {
            for _ in 0..count {
                self.stage.step(&self.robot, &self.scene, &mut state.qpos, &mut state.qvel, ctrl);
                state.time += h;
            }
        }
        Ok(())
    }
}
