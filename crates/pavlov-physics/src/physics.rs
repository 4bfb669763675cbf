//! The pipeline: forward dynamics and one step, in MuJoCo's order of stages. Integrators: `integrate.rs`.

use crate::collision::collide;
use crate::constraint;
use crate::data::Data;
use crate::inertia::{crb, factor_tree, solve_tree};
use crate::kinematics::{com_pos, kinematics};
use crate::params::Params;
use crate::real::Real;
use crate::solver::{SolverOptions, solve};
use crate::topology::Topology;
use crate::velocity::{actuation, com_vel, passive, rne_bias, smooth_force};
use pavlov_model::{Integrator, Model};
use std::sync::Arc;

/// How hard the constraint solver and the integrator work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The file's integrator; Newton until converged. Matches MuJoCo.
    Accurate,
    /// Semi-implicit Euler in place of RK4; at most four Newton iterations with six line-search points. (With two,
    /// policies learn to exploit the remaining error: Ant stays below a return of 1,000.)
    Fast,
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
    /// The buffers of a world would not fit.
    #[error(
        "model `{model}`: if all of its geoms touched at once, the contact Jacobian would have {found} numbers, \
         more than {MAX_JACOBIAN}: mask geoms that never meet with contype/conaffinity or <exclude>"
    )]
    TooLarge {
        /// Name of the model.
        model: String,
        /// Numbers in the Jacobian.
        found: usize,
    },
}

/// Largest contact Jacobian, numbers: 256 MiB for the eight worlds of a lane.
const MAX_JACOBIAN: usize = 8 << 20;

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
        if topo.max_jacobian > MAX_JACOBIAN {
            return Err(PhysicsError::TooLarge { model: model.name.clone(), found: topo.max_jacobian });
        }
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
            self.solver = SolverOptions { iterations: 4, ls_iterations: 6, tolerance: 1e-6, ls_tolerance: 0.05 };
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

    /// Recomputes what MuJoCo derives from the mass matrix at `qpos0`: `dof_invweight0`, `body_invweight0`,
    /// `meaninertia`.
    pub fn set0<R: Real>(&self, params: &mut Params<R>) {
        let mut d = self.data::<R>();
        d.state.qpos.copy_from_slice(&params.qpos0);
        self.position(params, &mut d);
        crate::setconst::set0(&self.model, &self.topo, params, &mut d);
    }

    /// Poses, inertias, mass matrix and its factor.
    pub(crate) fn position<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
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

    /// `actuator_force` and `qfrc_actuator` of the current state and control.
    pub fn actuate<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        actuation(&self.model, params, d);
    }

    /// One step of `opt.timestep` (`mj_step`). Worlds that end non-finite are named by `d.finite`; nothing is reset
    /// here.
    pub fn step<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        self.forward(params, d);
        match self.integrator {
            Integrator::Euler => self.euler(params, d),
            Integrator::ImplicitFast => self.implicit_fast(params, d),
            Integrator::Rk4 => self.rk4(params, d),
        }
        d.finite = d.check_finite();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::{LANES, Lane};
    use crate::testing::{ARM, close, placed, scene};

    fn pendulum(option: &str) -> Physics {
        scene(option, "<body><joint axis='0 1 0'/><geom size='1e-6' pos='0 0 -1.5' mass='2'/></body>")
    }

    #[test]
    fn a_pendulum_keeps_its_period_and_its_energy() {
        let physics = pendulum("integrator='RK4' timestep='0.005'");
        let params = physics.params::<f64>();
        let mut d = placed::<f64>(&physics, &[1.0], &[0.0]);
        let energy =
            |d: &Data<f64>| 0.5 * 2.0 * 2.25 * d.state.qvel[0].powi(2) - 2.0 * 9.81 * 1.5 * d.state.qpos[0].cos();
        let (start, mut crossings, mut before) = (energy(&d), vec![], 1.0);
        while crossings.len() < 3 {
            physics.step(&params, &mut d);
            let angle = d.state.qpos[0];
            if before * angle < 0.0 {
                crossings.push(d.state.time - 0.005 * angle / (angle - before));
            }
            before = angle;
            close(energy(&d), start, 1e-8);
        }
        // pi over the arithmetic-geometric mean of 1 and cos(amplitude/2) gives the exact period
        let (mut a, mut g) = (1.0f64, 0.5f64.cos());
        for _ in 0..6 {
            (a, g) = (0.5 * (a + g), (a * g).sqrt());
        }
        let period = 2.0 * std::f64::consts::PI * (1.5f64 / 9.81).sqrt() / a;
        close(crossings[2] - crossings[0], period, 1e-5);
    }

    #[test]
    fn the_mass_matrix_of_a_two_link_arm_is_the_textbook_one() {
        let physics = scene("", ARM);
        let mut d = placed::<f64>(&physics, &[0.4, 0.9], &[0.0; 2]);
        physics.forward(&physics.params(), &mut d);
        let c = 0.9f64.cos();
        close(d.qm[0], 2.0 + 3.0 * (2.0 + 2.0 * c), 1e-8);
        close(d.qm[2], 3.0 * (1.0 + c), 1e-8);
        close(d.qm[3], 3.0, 1e-8);
    }

    /// A box on a slope of angle atan(slope), friction 0.5, let go for a second: its speed, less that of Coulomb
    /// friction.
    fn slide(cone: &str, slope: f64) -> f64 {
        let (s, c) = slope.atan().sin_cos();
        let physics = scene(
            &format!("cone='{cone}' impratio='10' timestep='0.002' gravity='{} 0 {}'", 9.81 * s, -9.81 * c),
            "<geom type='plane' size='9 9 1' friction='0.5 0 0'/>
             <body pos='0 0 0.05'><freejoint/><geom type='box' size='0.2 0.2 0.05' friction='0.5 0 0'/></body>",
        );
        let (params, mut d) = (physics.params::<f64>(), physics.data::<f64>());
        for _ in 0..500 {
            physics.step(&params, &mut d);
        }
        d.state.qvel[0] - 9.81 * (s - 0.5 * c).max(0.0)
    }

    #[test]
    fn a_box_on_a_slope_sticks_or_slides_as_friction_says() {
        for cone in ["pyramidal", "elliptic"] {
            // friction is soft, so what sticks creeps
            for slope in [0.1, 0.3, 0.45] {
                close(slide(cone, slope), 0.0, 5e-4);
            }
            // and what slides rocks on its contacts
            for slope in [0.6, 0.8, 1.2] {
                close(slide(cone, slope), 0.0, 0.1);
            }
        }
    }

    #[test]
    fn lanes_follow_the_scalar_pipeline() {
        let physics = scene("integrator='RK4'", ARM);
        let (params, lane_params) = (physics.params::<f64>(), physics.params::<Lane>());
        let mut lanes = physics.data::<Lane>();
        for lane in 0..LANES {
            lanes.state.reset_world(lane, &[0.1 * lane as f64, 0.4], &[1.0, -0.2 * lane as f64]);
        }
        let mut single = placed::<f64>(&physics, &[0.6, 0.4], &[1.0, -1.2]);
        for _ in 0..200 {
            physics.step(&lane_params, &mut lanes);
            physics.step(&params, &mut single);
        }
        for (l, s) in lanes.state.qpos.iter().zip(&single.state.qpos) {
            close(l.get(6), *s, 1e-4);
        }
    }

    #[test]
    fn profiles_choose_integrator_and_solver_limits() {
        let physics = pendulum("integrator='RK4' iterations='7'");
        assert_eq!((physics.solver.iterations, physics.integrator), (7, Integrator::Rk4));
        let fast = physics.with_profile(Profile::Fast);
        assert_eq!((fast.solver.iterations, fast.solver.ls_iterations, fast.integrator), (4, 6, Integrator::Euler));
    }

    #[test]
    fn what_cannot_move_or_has_no_inertia_is_refused() {
        let physics = |world: &str| {
            let text = format!("<mujoco model='m'><worldbody>{world}</worldbody></mujoco>");
            Physics::new(Arc::new(pavlov_model::parse_mjcf(&text, "m.xml").unwrap())).map(|_| ())
        };
        assert_eq!(physics("<geom size='1'/>"), Err(PhysicsError::NoDofs("m".into())));
        let massless = physics("<body><joint name='j'/><geom size='1' mass='0'/></body>");
        assert_eq!(massless, Err(PhysicsError::NoInertia { dof: 0, joint: "j".into() }));
    }
}
