//! State and scratch of one world or one lane of worlds, named as in MuJoCo's `mjData`.
//!
//! All buffers are sized from the model once; a step allocates nothing. Layout is `field[index]`, one [`Real`] (all
//! worlds of the lane) per element.

use crate::math::{M3, V3, V6};
use crate::real::{Mask, Real};
use crate::topology::Topology;
use pavlov_model::{JointKind, Model};

/// What a simulation carries from step to step; everything else in [`Data`] is recomputed.
#[derive(Debug, Clone)]
pub struct State<R> {
    /// Coordinates.
    pub qpos: Vec<R>,
    /// Velocities.
    pub qvel: Vec<R>,
    /// Where the constraint solver starts.
    pub qacc_warmstart: Vec<R>,
    /// Seconds since the reset.
    pub time: R,
}

impl<R: Real> State<R> {
    /// Every world at `qpos0`, at rest.
    pub fn new(model: &Model) -> Self {
        Self {
            qpos: model.qpos0.iter().map(|&v| R::splat(v)).collect(),
            qvel: vec![R::ZERO; model.nv()],
            qacc_warmstart: vec![R::ZERO; model.nv()],
            time: R::ZERO,
        }
    }

    /// Sets world `lane` to the given coordinates and velocities at time 0, with a cold solver.
    pub fn reset_world(&mut self, lane: usize, qpos: &[f64], qvel: &[f64]) {
        for (column, &v) in self.qpos.iter_mut().zip(qpos) {
            column.set(lane, v);
        }
        for (column, &v) in self.qvel.iter_mut().zip(qvel) {
            column.set(lane, v);
        }
        for column in &mut self.qacc_warmstart {
            column.set(lane, 0.0);
        }
        self.time.set(lane, 0.0);
    }
}

/// A contact point that at least one world of the lane has.
#[derive(Debug, Clone, Copy)]
pub struct Contact<R: Real> {
    /// Index into `model.pairs`.
    pub pair: usize,
    /// Contact dimension: 1, 3, 4 or 6.
    pub dim: usize,
    /// Worlds in which the shapes are within `margin + gap`.
    pub detected: R::Mask,
    /// Worlds in which it is a constraint (`dist < margin`).
    pub active: R::Mask,
    /// Distance, negative when penetrating, m.
    pub dist: R,
    /// Midpoint, world, m.
    pub pos: V3<R>,
    /// Rows: normal (geom1 to geom2), two tangents.
    pub frame: M3<R>,
    /// Friction coefficients: slide, slide, torsion, roll, roll.
    pub mu: [R; 5],
    /// Reference acceleration of each frame direction.
    pub aref: [R; 6],
    /// Inverse regulariser: pyramidal, `d[0]` for every edge; elliptic, one per direction. Zero where inactive.
    pub d: [R; 6],
    /// Friction of the regularised cone (elliptic).
    pub mu_reg: R,
    /// Constraint force in the contact frame (force, then torque), N and N m, on body 2.
    pub force: [R; 6],
    /// Start of its block in `efc_j`: `[pair dof][dim]`.
    pub jac: usize,
    /// Start of its edges among the one-sided rows (pyramidal and frictionless).
    pub row: usize,
    /// Residual `J a - aref` per direction.
    pub z: [R; 6],
    /// Its change along the search direction.
    pub dz: [R; 6],
}

/// A joint limit that at least one world of the lane has reached.
#[derive(Debug, Clone, Copy)]
pub struct Limit<R> {
    /// Joint.
    pub joint: usize,
    /// First dof.
    pub dof: usize,
    /// 1, or 3 for a ball joint.
    pub n: usize,
    /// Jacobian.
    pub coef: V3<R>,
    /// Its one-sided row.
    pub row: usize,
    /// Reference acceleration.
    pub aref: R,
}

/// A dry-friction row.
#[derive(Debug, Clone, Copy)]
pub struct FrictionRow<R> {
    /// Dof.
    pub dof: usize,
    /// Inverse regulariser.
    pub d: R,
    /// Reference acceleration.
    pub aref: R,
    /// Largest force.
    pub loss: R,
    /// Residual.
    pub z: R,
    /// Its change along the search direction.
    pub dz: R,
}

/// One-sided quadratic rows (limits, pyramid edges, frictionless contacts): cost D z²/2 where z < 0.
#[derive(Debug, Clone, Default)]
pub struct Rows<R> {
    /// Residual.
    pub z: Vec<R>,
    /// Its change along the search direction.
    pub dz: Vec<R>,
    /// Inverse regulariser; zero in worlds that do not have the row.
    pub d: Vec<R>,
}

/// State, inputs, outputs and scratch of a step.
#[derive(Debug, Clone)]
pub struct Data<R: Real> {
    /// Coordinates, velocities, warm start and time.
    pub state: State<R>,
    /// Control inputs.
    pub ctrl: Vec<R>,
    /// Extra generalised force.
    pub qfrc_applied: Vec<R>,
    /// Extra force on each body at its centre of mass: force then torque, world axes (MuJoCo's order).
    pub xfrc_applied: Vec<V6<R>>,
    /// Set when some `xfrc_applied` is not zero, so that the others cost nothing.
    pub has_xfrc: bool,
    /// Body origin, world.
    pub xpos: Vec<V3<R>>,
    /// Body orientation.
    pub xquat: Vec<[R; 4]>,
    /// Body orientation, columns are its axes.
    pub xmat: Vec<M3<R>>,
    /// Centre of mass of each body.
    pub xipos: Vec<V3<R>>,
    /// Joint anchors, world.
    pub xanchor: Vec<V3<R>>,
    /// Joint axes, world.
    pub xaxis: Vec<V3<R>>,
    /// Geom centres (of geoms that collide), world.
    pub geom_xpos: Vec<V3<R>>,
    /// Geom orientation; of capsules only the last column (local z) is filled, of spheres nothing.
    pub geom_xmat: Vec<M3<R>>,
    /// Mass of each subtree.
    pub subtree_mass: Vec<R>,
    /// Centre of mass of each subtree.
    pub subtree_com: Vec<V3<R>>,
    /// Spatial inertia about the tree's centre of mass: Ixx Iyy Izz Ixy Ixz Iyz, m·offset, m.
    pub cinert: Vec<[R; 10]>,
    /// Composite spatial inertia.
    pub crb: Vec<[R; 10]>,
    /// Motion axis of each dof about the tree's centre of mass (rotation; translation).
    pub cdof: Vec<V6<R>>,
    /// Its time derivative.
    pub cdof_dot: Vec<V6<R>>,
    /// Spatial velocity of each body about the tree's centre of mass (rotation; translation).
    pub cvel: Vec<V6<R>>,
    /// Spatial acceleration (scratch of the bias pass, or with constraints after `rne_post_constraint`).
    pub cacc: Vec<V6<R>>,
    /// Spatial force scratch.
    pub cfrc: Vec<V6<R>>,
    /// External force on each body about the tree's centre of mass (torque; force); after `rne_post_constraint`.
    pub cfrc_ext: Vec<V6<R>>,
    /// Mass matrix, lower triangle of a dense `nv x nv`; only entries of ancestors are kept up to date.
    pub qm: Vec<R>,
    /// `LᵀDL` factor of `qm`, same layout.
    pub qld: Vec<R>,
    /// Inverse of `D`.
    pub qld_dinv: Vec<R>,
    /// Coriolis, centrifugal and gravity force.
    pub qfrc_bias: Vec<R>,
    /// Springs and dampers.
    pub qfrc_passive: Vec<R>,
    /// Force of each actuator.
    pub actuator_force: Vec<R>,
    /// Actuator force on each dof.
    pub qfrc_actuator: Vec<R>,
    /// Sum of all forces but constraints.
    pub qfrc_smooth: Vec<R>,
    /// Acceleration without constraints.
    pub qacc_smooth: Vec<R>,
    /// Acceleration.
    pub qacc: Vec<R>,
    /// Constraint force.
    pub qfrc_constraint: Vec<R>,
    /// Contacts of the last forward evaluation, in the order of `model.pairs`.
    pub contacts: Vec<Contact<R>>,
    /// Limits in force.
    pub limits: Vec<Limit<R>>,
    /// Dry friction rows.
    pub frictions: Vec<FrictionRow<R>>,
    /// One-sided rows.
    pub rows: Rows<R>,
    /// Contact Jacobian blocks `[pair dof][dim]`.
    pub efc_j: Vec<R>,
    /// Newton iterations of the last solve.
    pub solver_niter: usize,
    /// Sensor values, in file order.
    pub sensordata: Vec<R>,
    /// Worlds whose state is finite and below 1e10 after the last step.
    pub finite: R::Mask,
    pub(crate) solve: SolveScratch<R>,
    pub(crate) rk: RkScratch<R>,
}

/// Vectors of the Newton solver.
#[derive(Debug, Clone)]
pub(crate) struct SolveScratch<R> {
    pub h: Vec<R>,
    pub h_dinv: Vec<R>,
    pub ma: Vec<R>,
    pub mv: Vec<R>,
    pub grad: Vec<R>,
    pub search: Vec<R>,
}

/// Stages of RK4.
#[derive(Debug, Clone)]
pub(crate) struct RkScratch<R> {
    pub qpos0: Vec<R>,
    pub qvel0: Vec<R>,
    pub v_sum: Vec<R>,
    pub a_sum: Vec<R>,
    pub v: Vec<R>,
    pub time0: R,
}

impl<R: Real> Data<R> {
    /// Buffers for `model`, at `qpos0` and at rest.
    pub(crate) fn sized(model: &Model, topo: &Topology) -> Self {
        let (nv, nbody, ngeom) = (model.nv(), model.bodies.len(), model.geoms.len());
        let eye = [[R::ONE, R::ZERO, R::ZERO], [R::ZERO, R::ONE, R::ZERO], [R::ZERO, R::ZERO, R::ONE]];
        let zeros = |n: usize| vec![R::ZERO; n];
        let v3 = |n: usize| vec![[R::ZERO; 3]; n];
        let v6 = |n: usize| vec![[R::ZERO; 6]; n];
        Self {
            state: State::new(model),
            ctrl: zeros(model.nu()),
            qfrc_applied: zeros(nv),
            xfrc_applied: v6(nbody),
            has_xfrc: false,
            xpos: v3(nbody),
            xquat: vec![[R::ONE, R::ZERO, R::ZERO, R::ZERO]; nbody],
            xmat: vec![eye; nbody],
            xipos: v3(nbody),
            xanchor: v3(model.joints.len()),
            xaxis: v3(model.joints.len()),
            geom_xpos: v3(ngeom),
            geom_xmat: vec![eye; ngeom],
            subtree_mass: zeros(nbody),
            subtree_com: v3(nbody),
            cinert: vec![[R::ZERO; 10]; nbody],
            crb: vec![[R::ZERO; 10]; nbody],
            cdof: v6(nv),
            cdof_dot: v6(nv),
            cvel: v6(nbody),
            cacc: v6(nbody),
            cfrc: v6(nbody),
            cfrc_ext: v6(nbody),
            qm: zeros(nv * nv),
            qld: zeros(nv * nv),
            qld_dinv: zeros(nv),
            qfrc_bias: zeros(nv),
            qfrc_passive: zeros(nv),
            actuator_force: zeros(model.nu()),
            qfrc_actuator: zeros(nv),
            qfrc_smooth: zeros(nv),
            qacc_smooth: zeros(nv),
            qacc: zeros(nv),
            qfrc_constraint: zeros(nv),
            contacts: Vec::with_capacity(topo.max_contacts),
            limits: Vec::with_capacity(2 * topo.limited_joints.len()),
            frictions: Vec::with_capacity(nv),
            rows: Rows {
                z: Vec::with_capacity(topo.max_rows),
                dz: Vec::with_capacity(topo.max_rows),
                d: Vec::with_capacity(topo.max_rows),
            },
            efc_j: Vec::with_capacity(topo.max_jacobian),
            solver_niter: 0,
            sensordata: zeros(model.sensors.iter().map(|s| s.dim).sum()),
            finite: R::Mask::splat(true),
            solve: SolveScratch {
                h: zeros(nv * nv),
                h_dinv: zeros(nv),
                ma: zeros(nv),
                mv: zeros(nv),
                grad: zeros(nv),
                search: zeros(nv),
            },
            rk: RkScratch {
                qpos0: zeros(model.nq()),
                qvel0: zeros(nv),
                v_sum: zeros(nv),
                a_sum: zeros(nv),
                v: zeros(nv),
                time0: R::ZERO,
            },
        }
    }

    /// Takes over a stored state.
    pub fn load(&mut self, state: &State<R>) {
        copy_state(state, &mut self.state);
    }

    /// Stores the state.
    pub fn save(&self, state: &mut State<R>) {
        copy_state(&self.state, state);
    }

    /// Which worlds have finite coordinates, velocities and accelerations below 1e10 (MuJoCo's bad-state check).
    pub(crate) fn check_finite(&self) -> R::Mask {
        let mut ok = R::Mask::splat(true);
        for column in self.state.qpos.iter().chain(&self.state.qvel).chain(&self.qacc) {
            ok = ok & column.within(1e10);
        }
        ok
    }
}

fn copy_state<R: Copy>(from: &State<R>, to: &mut State<R>) {
    to.qpos.copy_from_slice(&from.qpos);
    to.qvel.copy_from_slice(&from.qvel);
    to.qacc_warmstart.copy_from_slice(&from.qacc_warmstart);
    to.time = from.time;
}

/// `qpos` moved by velocities `qvel` for time `h` (MuJoCo's `mj_integratePos`): quaternions turn by the body-frame
/// angular velocity.
pub fn integrate_pos<R: Real>(model: &Model, qpos: &mut [R], qvel: &[R], h: R) {
    use crate::math::quat_integrate;
    for joint in &model.joints {
        let (mut q, mut v) = (joint.qposadr, joint.dofadr);
        match joint.kind {
            JointKind::Hinge | JointKind::Slide => qpos[q] = h.mul_add(qvel[v], qpos[q]),
            JointKind::Free | JointKind::Ball => {
                if joint.kind == JointKind::Free {
                    for k in 0..3 {
                        qpos[q + k] = h.mul_add(qvel[v + k], qpos[q + k]);
                    }
                    q += 3;
                    v += 3;
                }
                let quat = [qpos[q], qpos[q + 1], qpos[q + 2], qpos[q + 3]];
                let turned = quat_integrate(quat, [qvel[v], qvel[v + 1], qvel[v + 2]], h);
                qpos[q..q + 4].copy_from_slice(&turned);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::{LANES, Lane};
    use crate::testing::{close, placed, scene};

    const DROP: &str = "<geom type='plane' size='9 9 1'/>
      <body pos='0 0 0.3'><freejoint/><geom type='capsule' size='0.05 0.2' quat='0.8 0.6 0 0'/></body>";

    #[test]
    fn rotations_integrate_in_body_axes() {
        let model = scene("", "<body><freejoint/><geom size='1'/></body>").model().clone();
        // turned by a quarter about z, spinning about the body's x, which is the world's y
        let half = 0.5f64.sqrt();
        let mut qpos = vec![0.0, 0.0, 0.0, half, 0.0, 0.0, half];
        integrate_pos(&model, &mut qpos, &[1.0, 2.0, 3.0, std::f64::consts::PI, 0.0, 0.0], 0.5);
        for (found, expected) in qpos.iter().zip([0.5, 1.0, 1.5, 0.5, 0.5, 0.5, 0.5]) {
            close(*found, expected, 1e-15);
        }
    }

    /// Saved, run on, loaded, run again: the same bits.
    #[test]
    fn a_restored_lane_repeats_itself() {
        let physics = scene("", DROP);
        let (params, mut d) = (physics.params::<Lane>(), physics.data::<Lane>());
        for lane in 0..LANES {
            d.state.reset_world(lane, &physics.model().qpos0, &[0.1 * lane as f64, 0.0, -0.5, 1.0, 0.0, lane as f64]);
        }
        for _ in 0..100 {
            physics.step(&params, &mut d);
        }
        let mut saved = d.state.clone();
        d.save(&mut saved);
        let run = |d: &mut Data<Lane>| {
            (0..100).for_each(|_| physics.step(&params, d));
            (0..LANES).flat_map(|i| d.state.qpos.iter().map(move |q| q.get(i).to_bits())).collect::<Vec<_>>()
        };
        let first = run(&mut d);
        d.load(&saved);
        assert_eq!(run(&mut d), first);
    }

    #[test]
    fn resetting_one_world_leaves_its_neighbours_alone() {
        let physics = scene("", DROP);
        let params = physics.params::<Lane>();
        let mut d = placed::<Lane>(&physics, &physics.model().qpos0.clone(), &[0.3, 0.0, 0.0, 0.0, 2.0, 0.0]);
        let mut other = d.clone();
        for step in 0..200 {
            if step % 50 == 20 {
                other.state.reset_world(3, &physics.model().qpos0, &[0.0, 0.0, 0.5 * f64::from(step), 0.0, 0.0, 1.0]);
            }
            physics.step(&params, &mut d);
            physics.step(&params, &mut other);
        }
        for (q, o) in d.state.qpos.iter().zip(&other.state.qpos) {
            for i in (0..LANES).filter(|&i| i != 3) {
                assert_eq!(q.get(i).to_bits(), o.get(i).to_bits());
            }
        }
        close(other.state.time.get(3), 0.06, 1e-6);
        close(other.state.time.get(4), 0.4, 1e-5);
    }

    #[test]
    fn a_world_that_went_bad_is_named_and_stays_alone() {
        let physics = scene("", DROP);
        let params = physics.params::<Lane>();
        let mut d = placed::<Lane>(&physics, &physics.model().qpos0.clone(), &[0.0; 6]);
        d.state.qvel[0].set(5, f64::NAN);
        d.state.qvel[1].set(6, 1e12);
        physics.step(&params, &mut d);
        for i in 0..LANES {
            assert_eq!(d.finite.get(i), i != 5 && i != 6, "world {i}");
        }
    }
}
