//! The pipeline: forward dynamics and integration of one step, in MuJoCo's order of stages.

use crate::collision::collide;
use crate::constraint;
use crate::data::{Data, integrate_pos};
use crate::inertia::{crb, factor_tree, solve_tree};
use crate::kinematics::{com_pos, kinematics};
use crate::math::{dexp_inverse, scale};
use crate::params::Params;
use crate::real::Real;
use crate::solver::solve;
use crate::topology::Topology;
use crate::velocity::{actuation, com_vel, passive, rne_bias, smooth_force};
use pavlov_model::{Integrator, JointKind, Model};
use std::sync::Arc;

/// How hard the constraint solver and the integrator work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The file's integrator; Newton until converged. Matches MuJoCo.
    Accurate,
    /// Semi-implicit Euler in place of RK4; two Newton iterations with four line-search points.
    Fast,
}

/// Limits of the Newton solver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SolverOptions {
    /// Newton iterations, at most.
    pub iterations: usize,
    /// Line-search points, at most.
    pub ls_iterations: usize,
    /// Scaled gradient norm or decrement below which a world is done.
    pub tolerance: f64,
    /// Slope at which the line search stops, relative to the initial slope.
    pub ls_tolerance: f64,
}

/// Why a model cannot be simulated.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PhysicsError {
    /// Nothing moves.
    #[error("model `{0}` has no degrees of freedom: give at least one body a joint")]
    NoDofs(String),
    /// The mass matrix is singular.
    #[error("dof {dof} (joint `{joint}`) has no inertia at qpos0: give its body mass or the joint armature")]
    NoInertia {
        /// Dof.
        dof: usize,
        /// Name of its joint.
        joint: String,
    },
}

/// A model ready to be stepped: static tables and options. Shared by all worlds.
#[derive(Debug, Clone)]
pub struct Physics {
    model: Arc<Model>,
    topo: Topology,
    base: Params<f64>,
    /// Solver limits.
    pub solver: SolverOptions,
    /// Time integration.
    pub integrator: Integrator,
}

impl Physics {
    /// Prepares a model with the `accurate` profile.
    pub fn new(model: Arc<Model>) -> Result<Self, PhysicsError> {
        if model.nv() == 0 {
            return Err(PhysicsError::NoDofs(model.name.clone()));
        }
        let topo = Topology::new(&model);
        let solver = SolverOptions {
            iterations: model.opt.iterations.max(1),
            ls_iterations: model.opt.ls_iterations.max(1),
            tolerance: model.opt.tolerance,
            ls_tolerance: model.opt.ls_tolerance,
        };
        let base = Params::underived(&model);
        let integrator = model.opt.integrator;
        let mut physics = Self { model, topo, base, solver, integrator };
        let mut base = physics.base.clone();
        physics.set0(&mut base);
        if let Some(dof) = base.dof_invweight0.iter().position(|w| !w.is_finite() || *w <= 0.0 || *w > 1e14) {
            let joint = physics.model.joints[physics.model.dofs[dof].joint].name.clone();
            return Err(PhysicsError::NoInertia { dof, joint });
        }
        physics.base = base;
        Ok(physics)
    }

    /// The same model under another profile.
    pub fn with_profile(mut self, profile: Profile) -> Self {
        if profile == Profile::Fast {
            self.solver = SolverOptions { iterations: 2, ls_iterations: 4, tolerance: 1e-6, ls_tolerance: 0.05 };
            if self.integrator == Integrator::Rk4 {
                self.integrator = Integrator::Euler;
            }
        }
        self
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Static tables.
    pub fn topology(&self) -> &Topology {
        &self.topo
    }

    /// The model's own parameters in every world, derived quantities included.
    pub fn params<R: Real>(&self) -> Params<R> {
        let mut p = Params::<R>::underived(&self.model);
        let b = &self.base;
        p.body_invweight0 = b.body_invweight0.iter().map(|w| w.map(R::splat)).collect();
        p.dof_invweight0 = b.dof_invweight0.iter().map(|&w| R::splat(w)).collect();
        p.meaninertia = R::splat(b.meaninertia);
        p
    }

    /// State and scratch for one world or lane, at `qpos0` and at rest.
    pub fn data<R: Real>(&self) -> Data<R> {
        Data::sized(&self.model, &self.topo)
    }

    /// Recomputes what MuJoCo derives from the mass matrix at `qpos0`: `dof_invweight0`, `body_invweight0`, `meaninertia`.
    pub fn set0<R: Real>(&self, params: &mut Params<R>) {
        let mut d = self.data::<R>();
        d.state.qpos.copy_from_slice(&params.qpos0);
        self.position(params, &mut d);
        crate::setconst::set0(&self.model, &self.topo, params, &mut d);
    }

    /// Poses, inertias, mass matrix and its factor.
    fn position<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        kinematics(&self.model, &self.topo, params, d);
        com_pos(&self.model, params, d);
        crb(&self.model, &self.topo, params, d);
        d.qld.copy_from_slice(&d.qm);
        factor_tree(&self.topo, &mut d.qld, &mut d.qld_dinv);
    }

    /// Forward dynamics: from state and control to `qacc` and everything on the way (`mj_forward` without sensors).
    pub fn forward<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let (model, topo) = (&*self.model, &self.topo);
        self.position(params, d);
        collide(model, topo, params, d);
        com_vel(model, d);
        rne_bias(model, params, d);
        passive(model, topo, params, d);
        actuation(model, params, d);
        smooth_force(model, topo, d);
        d.qacc_smooth.copy_from_slice(&d.qfrc_smooth);
        solve_tree(topo, &d.qld, &d.qld_dinv, &mut d.qacc_smooth);
        constraint::make(model, topo, params, d);
        solve(model, topo, params, &self.solver, d);
    }

    /// Poses and velocities of the current state, without forces: what sensors and scripts see after a step.
    pub fn refresh<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        kinematics(&self.model, &self.topo, params, d);
        com_pos(&self.model, params, d);
        com_vel(&self.model, d);
    }

    /// One step of `opt.timestep` (`mj_step`). Worlds that end non-finite are named by `d.finite`; nothing is reset here.
    pub fn step<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        self.forward(params, d);
        match self.integrator {
            Integrator::Euler => self.euler(params, d, self.model.opt.eulerdamp, false),
            Integrator::ImplicitFast => self.euler(params, d, true, true),
            Integrator::Rk4 => self.rk4(params, d),
        }
        d.finite = d.check_finite();
    }

    /// Semi-implicit Euler, implicit in damping (`mj_Euler`) and, for `implicitfast`, in actuator velocity gains.
    fn euler<R: Real>(&self, params: &Params<R>, d: &mut Data<R>, damp: bool, gains: bool) {
        let (model, nv) = (&*self.model, self.topo.nv);
        let h = R::splat(model.opt.timestep);
        let damped = damp && model.dofs.iter().any(|x| x.damping > 0.0);
        let velocity_gain = gains && model.actuators.iter().any(|a| a.bias[2] != 0.0);
        let v_dot = if damped || velocity_gain {
            d.solve.h.copy_from_slice(&d.qm);
            if damped {
                for i in 0..nv {
                    d.solve.h[i * nv + i] = h.mul_add(params.dof_damping[i], d.solve.h[i * nv + i]);
                }
            }
            if velocity_gain {
                self.add_actuator_damping(params, d, h);
            }
            let s = &mut d.solve;
            factor_tree(&self.topo, &mut s.h, &mut s.h_dinv);
            for i in 0..nv {
                s.search[i] = d.qfrc_smooth[i] + d.qfrc_constraint[i];
            }
            solve_tree(&self.topo, &s.h, &s.h_dinv, &mut s.search);
            &d.solve.search
        } else {
            &d.qacc
        };
        for i in 0..nv {
            d.state.qvel[i] = h.mul_add(v_dot[i], d.state.qvel[i]);
        }
        integrate_pos(model, &mut d.state.qpos, &d.state.qvel, h);
        d.state.time += h;
    }

    /// h · gear² · kv on the diagonal; a force at its clamp has no derivative.
    fn add_actuator_damping<R: Real>(&self, params: &Params<R>, d: &mut Data<R>, h: R) {
        let nv = self.topo.nv;
        for (u, actuator) in self.model.actuators.iter().enumerate() {
            let i = self.model.joints[actuator.joint].dofadr;
            let gear = params.actuator_gear[u];
            let mut kv = -params.actuator_bias[u][2] * gear * gear * h;
            if let Some([lo, hi]) = actuator.forcerange {
                let f = d.actuator_force[u];
                kv = kv.masked(f.gt(R::splat(lo)) & f.lt(R::splat(hi)));
            }
            d.solve.h[i * nv + i] += kv;
        }
    }

    /// Classic Runge-Kutta; every stage is a full forward evaluation. Rotations are combined in the tangent space of
    /// the starting pose (Runge-Kutta-Munthe-Kaas): a stage's angular velocity is pulled back by the inverse differential
    /// of the exponential, as MuJoCo 4 does.
    fn rk4<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let nv = self.topo.nv;
        let h = R::splat(self.model.opt.timestep);
        d.rk.qpos0.copy_from_slice(&d.state.qpos);
        d.rk.qvel0.copy_from_slice(&d.state.qvel);
        d.rk.time0 = d.state.time;
        d.rk.v.copy_from_slice(&d.state.qvel);
        for i in 0..nv {
            d.rk.v_sum[i] = d.state.qvel[i];
            d.rk.a_sum[i] = d.qacc[i];
        }
        for (a, b) in [(0.5, 2.0), (0.5, 2.0), (1.0, 1.0)] {
            let (step, b) = (h * R::splat(a), R::splat(b));
            for i in 0..nv {
                d.state.qvel[i] = step.mul_add(d.qacc[i], d.rk.qvel0[i]);
            }
            d.state.qpos.copy_from_slice(&d.rk.qpos0);
            integrate_pos(&self.model, &mut d.state.qpos, &d.rk.v, step);
            d.state.time = d.rk.time0 + step;
            self.forward(params, d);
            self.pull_back(d, step);
            for i in 0..nv {
                d.rk.v_sum[i] = b.mul_add(d.rk.v[i], d.rk.v_sum[i]);
                d.rk.a_sum[i] = b.mul_add(d.qacc[i], d.rk.a_sum[i]);
            }
        }
        let sixth = R::splat(1.0 / 6.0);
        for i in 0..nv {
            d.rk.v[i] = d.rk.v_sum[i] * sixth;
            d.state.qvel[i] = (h * sixth).mul_add(d.rk.a_sum[i], d.rk.qvel0[i]);
        }
        d.state.qpos.copy_from_slice(&d.rk.qpos0);
        integrate_pos(&self.model, &mut d.state.qpos, &d.rk.v, h);
        d.state.time = d.rk.time0 + h;
    }

    /// `rk.v` ← the stage's velocity, rotations seen from the starting pose; `rk.v · step` was the turn so far.
    fn pull_back<R: Real>(&self, d: &mut Data<R>, step: R) {
        for joint in &self.model.joints {
            let v = joint.dofadr;
            let (linear, turning) = match joint.kind {
                JointKind::Hinge | JointKind::Slide => (v..v + 1, None),
                JointKind::Ball => (v..v, Some(v)),
                JointKind::Free => (v..v + 3, Some(v + 3)),
            };
            if let Some(v) = turning {
                let turn = scale([d.rk.v[v], d.rk.v[v + 1], d.rk.v[v + 2]], step);
                let w = [d.state.qvel[v], d.state.qvel[v + 1], d.state.qvel[v + 2]];
                d.rk.v[v..v + 3].copy_from_slice(&dexp_inverse(turn, w));
            }
            d.rk.v[linear.clone()].copy_from_slice(&d.state.qvel[linear]);
        }
    }
}
