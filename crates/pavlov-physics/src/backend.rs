//! Batches of worlds of one robot, whatever they run on: the trait that every backend implements, and the two backends
//! of the processor.
//!
//! A backend holds its worlds. States go in and come out as `f64` rows with MuJoCo's names and units; between, a
//! backend keeps them as it likes. One suite of tests runs on all of them (`tests/backends.rs`).

use crate::data::{Contact, Data, State};
use crate::params::Params;
use crate::physics::Physics;
use crate::real::{Mask, Real};

/// Why a backend cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The robot needs something that the backend lacks.
    #[error("{backend}: {message}")]
    Unsupported {
        /// The backend.
        backend: String,
        /// What is missing, and what to do.
        message: String,
    },
    /// The device failed.
    #[error("{backend}: {message}")]
    Device {
        /// The backend.
        backend: String,
        /// What happened, and what to do.
        message: String,
    },
}

/// The state of a world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorldState {
    /// Coordinates.
    pub qpos: Vec<f64>,
    /// Velocities.
    pub qvel: Vec<f64>,
    /// Where the constraint solver starts (zeros where a backend has none).
    pub qacc_warmstart: Vec<f64>,
    /// Seconds since the reset.
    pub time: f64,
}

/// A contact point as a backend found it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactPoint {
    /// Index into `model.geoms`.
    pub geom1: usize,
    /// Index into `model.geoms`.
    pub geom2: usize,
    /// Distance, negative when penetrating, m.
    pub dist: f64,
    /// Midpoint, world, m.
    pub pos: [f64; 3],
    /// Unit normal from geom1 to geom2.
    pub normal: [f64; 3],
    /// Force on geom2's body in world axes, N.
    pub force: [f64; 3],
}

/// What forward dynamics found in a world. A backend that does not have a quantity leaves it empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// Mass matrix, dense and symmetric, row-major `nv x nv`.
    pub qm: Vec<f64>,
    /// Coriolis, centrifugal and gravity force.
    pub qfrc_bias: Vec<f64>,
    /// Acceleration without constraints.
    pub qacc_smooth: Vec<f64>,
    /// Acceleration.
    pub qacc: Vec<f64>,
    /// Contact points with `dist < margin`.
    pub contacts: Vec<ContactPoint>,
}

/// Worlds of one robot that step together.
pub trait Backend {
    /// What it runs on, for tables and messages.
    fn name(&self) -> String;

    /// The robot and its solver.
    fn physics(&self) -> &Physics;

    /// Number of worlds.
    fn num_worlds(&self) -> usize;

    /// Sets a world's state, time and warm start included.
    ///
    /// # Panics
    /// When there is no such world, or a slice has the wrong length.
    fn set_state(&mut self, world: usize, state: &WorldState);

    /// The state of a world.
    ///
    /// # Errors
    /// When the device fails.
    fn state(&mut self, world: usize) -> Result<WorldState, BackendError>;

    /// Controls of a world, kept until they are set again.
    ///
    /// # Panics
    /// When there is no such world, or the slice has the wrong length.
    fn set_ctrl(&mut self, world: usize, ctrl: &[f64]);

    /// Evaluates every world in its present state.
    ///
    /// # Errors
    /// When the device fails.
    fn forward(&mut self) -> Result<(), BackendError>;

    /// What the last [`Backend::forward`] found in a world.
    ///
    /// # Errors
    /// When the device fails.
    fn evaluation(&mut self, world: usize) -> Result<Evaluation, BackendError>;

    /// `count` steps of `opt.timestep` in every world.
    ///
    /// # Errors
    /// When the device fails.
    fn step(&mut self, count: usize) -> Result<(), BackendError>;

    /// Sets a world's coordinates and velocities at time 0, with a cold solver: a reset.
    ///
    /// # Panics
    /// As [`Backend::set_state`].
    fn reset_world(&mut self, world: usize, qpos: &[f64], qvel: &[f64]) {
        let state =
            WorldState { qpos: qpos.to_vec(), qvel: qvel.to_vec(), qacc_warmstart: vec![0.0; qvel.len()], time: 0.0 };
        self.set_state(world, &state);
    }

    /// Every world's state.
    ///
    /// # Errors
    /// When the device fails.
    fn snapshot(&mut self) -> Result<Vec<WorldState>, BackendError> {
        (0..self.num_worlds()).map(|w| self.state(w)).collect()
    }

    /// Puts every world back into its state of the snapshot.
    ///
    /// # Panics
    /// When the snapshot is of another number of worlds.
    fn restore(&mut self, snapshot: &[WorldState]) {
        assert_eq!(snapshot.len(), self.num_worlds(), "a snapshot of another number of worlds");
        for (world, state) in snapshot.iter().enumerate() {
            self.set_state(world, state);
        }
    }
}

/// Worlds on the processor: one at a time in `f64`, or eight in a lane of `f32`.
#[derive(Debug)]
pub struct CpuBackend<R: Real> {
    physics: Physics,
    params: Params<R>,
    groups: Vec<Data<R>>,
    worlds: usize,
}

impl<R: Real> CpuBackend<R> {
    /// `worlds` worlds at `qpos0`, at rest.
    pub fn new(physics: Physics, worlds: usize) -> Self {
        let groups = (0..worlds.div_ceil(R::LANES)).map(|_| physics.data()).collect();
        Self { params: physics.params(), groups, worlds, physics }
    }

    fn place(&self, world: usize) -> (usize, usize) {
        assert!(world < self.worlds, "world {world} of {}", self.worlds);
        (world / R::LANES, world % R::LANES)
    }
}

/// Numbers of one world.
pub(crate) fn row<R: Real>(column: &[R], lane: usize) -> Vec<f64> {
    column.iter().map(|v| v.get(lane)).collect()
}

pub(crate) fn set_row<R: Real>(column: &mut [R], lane: usize, values: &[f64]) {
    assert_eq!(column.len(), values.len(), "a row of the wrong length");
    for (column, &v) in column.iter_mut().zip(values) {
        column.set(lane, v);
    }
}

/// State of one world of a lane.
pub(crate) fn world_state<R: Real>(state: &State<R>, lane: usize) -> WorldState {
    WorldState {
        qpos: row(&state.qpos, lane),
        qvel: row(&state.qvel, lane),
        qacc_warmstart: row(&state.qacc_warmstart, lane),
        time: state.time.get(lane),
    }
}

fn contact_point<R: Real>(physics: &Physics, c: &Contact<R>, lane: usize) -> ContactPoint {
    let pair = &physics.model().pairs[c.pair];
    let three = |v: [R; 3]| v.map(|x| x.get(lane));
    ContactPoint {
        geom1: pair.geom1,
        geom2: pair.geom2,
        dist: c.dist.get(lane),
        pos: three(c.pos),
        normal: three(c.frame[0]),
        force: three(crate::sensor::contact_wrench(c).0),
    }
}

/// A symmetric matrix from its lower triangle, of which only entries of ancestors are kept up.
pub(crate) fn symmetric(physics: &Physics, at: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let nv = physics.topology().nv;
    let mut m = vec![0.0; nv * nv];
    for i in 0..nv {
        m[i * nv + i] = at(i, i);
        for &j in &physics.topology().dof_ancestors[i] {
            m[i * nv + j] = at(i, j);
            m[j * nv + i] = at(i, j);
        }
    }
    m
}

impl<R: Real> Backend for CpuBackend<R> {
    fn name(&self) -> String {
        if R::LANES == 1 { "cpu, f64".into() } else { format!("cpu, {} lanes of f32", R::LANES) }
    }

    fn physics(&self) -> &Physics {
        &self.physics
    }

    fn num_worlds(&self) -> usize {
        self.worlds
    }

    fn set_state(&mut self, world: usize, from: &WorldState) {
        let (group, lane) = self.place(world);
        let state = &mut self.groups[group].state;
        set_row(&mut state.qpos, lane, &from.qpos);
        set_row(&mut state.qvel, lane, &from.qvel);
        set_row(&mut state.qacc_warmstart, lane, &from.qacc_warmstart);
        state.time.set(lane, from.time);
    }

    fn state(&mut self, world: usize) -> Result<WorldState, BackendError> {
        let (group, lane) = self.place(world);
        Ok(world_state(&self.groups[group].state, lane))
    }

    fn set_ctrl(&mut self, world: usize, ctrl: &[f64]) {
        let (group, lane) = self.place(world);
        set_row(&mut self.groups[group].ctrl, lane, ctrl);
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        for d in &mut self.groups {
            self.physics.forward(&self.params, d);
        }
        Ok(())
    }

    fn evaluation(&mut self, world: usize) -> Result<Evaluation, BackendError> {
        let (group, lane) = self.place(world);
        let (d, nv) = (&self.groups[group], self.physics.topology().nv);
        let active = d.contacts.iter().filter(|c| c.active.get(lane));
        Ok(Evaluation {
            qm: symmetric(&self.physics, |i, j| d.qm[i * nv + j].get(lane)),
            qfrc_bias: row(&d.qfrc_bias, lane),
            qacc_smooth: row(&d.qacc_smooth, lane),
            qacc: row(&d.qacc, lane),
            contacts: active.map(|c| contact_point(&self.physics, c, lane)).collect(),
        })
    }

    fn step(&mut self, count: usize) -> Result<(), BackendError> {
        for d in &mut self.groups {
            for _ in 0..count {
                self.physics.step(&self.params, d);
            }
        }
        Ok(())
    }
}
