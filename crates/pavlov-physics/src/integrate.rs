//! Time integration: semi-implicit Euler, `implicitfast`, Runge-Kutta.
//!
//! Both implicit schemes solve `(M - h D) v' = f` with `f` all forces and `D = df/dv`: Euler takes joint damping into
//! D, `implicitfast` also the velocity gains of actuators, and the gyroscopic terms of bodies that float on their own.
//! Sources: `mj_Euler`, `mj_implicit`, `mj_RungeKutta` (semantics).

use crate::data::{Data, integrate_pos};
use crate::inertia::{factor_tree, solve_tree};
use crate::math::*;
use crate::params::Params;
use crate::physics::Physics;
use crate::real::Real;
use pavlov_model::{JointKind, Model};

/// Where each stage after the first is evaluated, in steps, and its weight in sixths.
pub(crate) const RK4_STAGES: [(f64, f64); 3] = [(0.5, 2.0), (0.5, 2.0), (1.0, 1.0)];

impl Physics {
    /// Semi-implicit Euler, implicit in joint damping unless the file switches that off.
    pub(crate) fn euler<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let model = self.model();
        if model.opt.eulerdamp && model.dofs.iter().any(|x| x.damping > 0.0) {
            self.damped_mass(params, d);
            self.implicit_acceleration(d);
            advance(model, d, true);
        } else {
            advance(model, d, false);
        }
    }

    /// Implicit in joint damping, actuators' velocity gains and the spin of bodies that float on their own.
    pub(crate) fn implicit_fast<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        self.damped_mass(params, d);
        self.add_actuator_damping(params, d);
        self.implicit_acceleration(d);
        for &b in &self.topology().floating {
            self.floating_acceleration(params, d, b);
        }
        advance(self.model(), d, true);
    }

    /// `solve.h` ← M + h diag(damping).
    fn damped_mass<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let nv = self.topology().nv;
        let h = R::splat(self.model().opt.timestep);
        d.solve.h.copy_from_slice(&d.qm);
        for i in 0..nv {
            d.solve.h[i * nv + i] = h.mul_add(params.dof_damping[i], d.solve.h[i * nv + i]);
        }
    }

    /// `solve.search` ← `solve.h`⁻¹ (all forces).
    fn implicit_acceleration<R: Real>(&self, d: &mut Data<R>) {
        let s = &mut d.solve;
        factor_tree(self.topology(), &mut s.h, &mut s.h_dinv);
        for (i, x) in s.search.iter_mut().enumerate() {
            *x = d.qfrc_smooth[i] + d.qfrc_constraint[i];
        }
        solve_tree(self.topology(), &s.h, &s.h_dinv, &mut s.search);
    }

    /// h · gear² · kv on the diagonal. A force at its clamp has no derivative, be it the actuator's own clamp or that
    /// of the joint on the sum of its actuators.
    fn add_actuator_damping<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        let (model, nv) = (self.model(), self.topology().nv);
        let h = R::splat(model.opt.timestep);
        for (u, actuator) in model.actuators.iter().enumerate() {
            if actuator.bias[2] == 0.0 {
                continue;
            }
            let joint = &model.joints[actuator.joint];
            let i = joint.dofadr;
            let gear = params.actuator_gear[u];
            let mut kv = -params.actuator_bias[u][2] * gear * gear * h;
            let clamps = [(actuator.forcerange, d.actuator_force[u]), (joint.actfrcrange, d.qfrc_actuator[i])];
            for (range, force) in clamps {
                if let Some([lo, hi]) = range {
                    kv = kv.masked(force.gt(R::splat(lo)) & force.lt(R::splat(hi)));
                }
            }
            d.solve.h[i * nv + i] += kv;
        }
    }

    /// `solve.search` of a floating body: with D the derivative of its bias force, the 6x6 system of its free joint is
    /// not symmetric. Translation (diagonal) is eliminated, rotation solved by Cramer's rule.
    ///
    /// At angular velocity w, with r from the joint to the centre of mass: the bias force is f = m w×(w×r), the bias
    /// torque about the joint w×(I w) + r×f; their derivatives along each body axis e are the columns below.
    fn floating_acceleration<R: Real>(&self, params: &Params<R>, d: &mut Data<R>, b: usize) {
        let model = self.model();
        let nv = self.topology().nv;
        let h = R::splat(model.opt.timestep);
        let v = model.bodies[b].dofs.start;
        let (rot, inertia) = (&d.xmat[b], &d.crb[b]);
        let mass = inertia[9];
        let spin = mul_mv(rot, [d.state.qvel[v + 3], d.state.qvel[v + 4], d.state.qvel[v + 5]]);
        let r = sub(d.subtree_com[model.bodies[b].root], d.xpos[b]);
        let turn = |w: V3<R>| -> V3<R> {
            let i = inertia;
            mul_mv(&[[i[0], i[3], i[4]], [i[3], i[1], i[5]], [i[4], i[5], i[2]]], w)
        };
        let momentum = turn(spin);
        // columns of the system: force and torque per unit of angular acceleration about body axis k
        let (mut push, mut twist) = ([[R::ZERO; 3]; 3], [[R::ZERO; 3]; 3]);
        for k in 0..3 {
            let e = [rot[0][k], rot[1][k], rot[2][k]];
            let mut force = scale(e, dot(spin, r));
            force = add_scaled(force, spin, dot(e, r));
            force = scale(add_scaled(force, r, R::splat(-2.0) * dot(spin, e)), mass);
            let torque = add(add(cross(e, momentum), cross(spin, turn(e))), cross(r, force));
            let torque = mul_mtv(rot, torque);
            for n in 0..3 {
                push[k][n] = h.mul_add(force[n], d.qm[(v + 3 + k) * nv + v + n]);
                let (row, column) = (n.max(k), n.min(k));
                twist[k][n] = h.mul_add(torque[n], d.qm[(v + 3 + row) * nv + v + 3 + column]);
            }
            twist[k][k] = h.mul_add(params.dof_damping[v + 3 + k], twist[k][k]);
        }
        let force = |i: usize| d.qfrc_smooth[i] + d.qfrc_constraint[i];
        let mut right = [force(v + 3), force(v + 4), force(v + 5)];
        let mut inv = [R::ZERO; 3];
        for n in 0..3 {
            inv[n] = R::ONE / h.mul_add(params.dof_damping[v + n], d.qm[(v + n) * nv + v + n]);
            let lever = [0, 1, 2].map(|k| d.qm[(v + 3 + k) * nv + v + n] * inv[n]);
            right = add_scaled(right, lever, -force(v + n));
            for column in 0..3 {
                twist[column] = add_scaled(twist[column], lever, -push[column][n]);
            }
        }
        let [x, y, z] = twist;
        let scaled = scale(right, R::ONE / dot(x, cross(y, z)));
        let turning = [dot(scaled, cross(y, z)), dot(scaled, cross(z, x)), dot(scaled, cross(x, y))];
        for n in 0..3 {
            let coupled = push[0][n] * turning[0] + push[1][n] * turning[1] + push[2][n] * turning[2];
            d.solve.search[v + n] = (force(v + n) - coupled) * inv[n];
            d.solve.search[v + 3 + n] = turning[n];
        }
    }

    /// Classic Runge-Kutta; every stage is a full forward evaluation. Rotations are combined in the tangent space of
    /// the starting pose (Runge-Kutta-Munthe-Kaas): a stage's angular velocity is pulled back by the inverse
    /// differential of the exponential, as MuJoCo 4 does.
    pub(crate) fn rk4<R: Real>(&self, params: &Params<R>, d: &mut Data<R>) {
        self.rk4_begin(d);
        for (a, b) in RK4_STAGES {
            let step = R::splat(self.model().opt.timestep) * R::splat(a);
            self.rk4_move(d, step);
            self.forward(params, d);
            self.rk4_add(d, step, R::splat(b));
        }
        self.rk4_end(d);
    }

    /// Keeps the state at the start of the step, with the first stage's slopes.
    pub(crate) fn rk4_begin<R: Real>(&self, d: &mut Data<R>) {
        d.rk.qpos0.copy_from_slice(&d.state.qpos);
        d.rk.qvel0.copy_from_slice(&d.state.qvel);
        d.rk.time0 = d.state.time;
        d.rk.v.copy_from_slice(&d.state.qvel);
        d.rk.v_sum.copy_from_slice(&d.state.qvel);
        d.rk.a_sum.copy_from_slice(&d.qacc);
    }

    /// Goes `step` along the last stage's slopes.
    pub(crate) fn rk4_move<R: Real>(&self, d: &mut Data<R>, step: R) {
        for i in 0..self.topology().nv {
            d.state.qvel[i] = step.mul_add(d.qacc[i], d.rk.qvel0[i]);
        }
        d.state.qpos.copy_from_slice(&d.rk.qpos0);
        integrate_pos(self.model(), &mut d.state.qpos, &d.rk.v, step);
        d.state.time = d.rk.time0 + step;
    }

    /// Adds a stage's slopes with weight `b`.
    pub(crate) fn rk4_add<R: Real>(&self, d: &mut Data<R>, step: R, b: R) {
        self.pull_back(d, step);
        for i in 0..self.topology().nv {
            d.rk.v_sum[i] = b.mul_add(d.rk.v[i], d.rk.v_sum[i]);
            d.rk.a_sum[i] = b.mul_add(d.qacc[i], d.rk.a_sum[i]);
        }
    }

    /// Goes the whole step along the mean of the slopes.
    pub(crate) fn rk4_end<R: Real>(&self, d: &mut Data<R>) {
        let (h, sixth) = (R::splat(self.model().opt.timestep), R::splat(1.0 / 6.0));
        for i in 0..self.topology().nv {
            d.rk.v[i] = d.rk.v_sum[i] * sixth;
            d.state.qvel[i] = (h * sixth).mul_add(d.rk.a_sum[i], d.rk.qvel0[i]);
        }
        d.state.qpos.copy_from_slice(&d.rk.qpos0);
        integrate_pos(self.model(), &mut d.state.qpos, &d.rk.v, h);
        d.state.time = d.rk.time0 + h;
    }

    /// `rk.v` ← the stage's velocity, rotations seen from the starting pose; `rk.v · step` was the turn so far.
    fn pull_back<R: Real>(&self, d: &mut Data<R>, step: R) {
        for joint in &self.model().joints {
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

/// Velocities by one step of the implicit (`solve.search`) or plain acceleration, then positions by the new velocities.
fn advance<R: Real>(model: &Model, d: &mut Data<R>, implicit: bool) {
    let h = R::splat(model.opt.timestep);
    let acceleration = if implicit { &d.solve.search } else { &d.qacc };
    for (v, &a) in d.state.qvel.iter_mut().zip(acceleration) {
        *v = h.mul_add(a, *v);
    }
    integrate_pos(model, &mut d.state.qpos, &d.state.qvel, h);
    d.state.time += h;
}

#[cfg(test)]
mod tests {
    use crate::real::Lane;
    use crate::testing::{ARM, close, placed, scene};

    const SPINNER: &str = "<body><joint type='free' damping='0.1' armature='0.02'/>
      <geom type='box' size='0.1 0.2 0.3' pos='0.1 -0.2 0.15' euler='0.3 0.2 0.1'/>
      <body pos='0.3 0 0'><geom size='0.1'/></body></body>";
    const SPIN: [f64; 6] = [0.5, -1.0, 0.3, 3.0, 5.0, -4.0];

    fn kinetic(option: &str, steps: usize) -> f64 {
        let physics = scene(
            &format!("gravity='0 0 0' {option}"),
            "<body><freejoint/><geom type='box' size='0.1 0.2 0.3'/></body>",
        );
        let (params, mut d) = (physics.params::<f64>(), placed::<f64>(&physics, &physics.model().qpos0.clone(), &SPIN));
        for _ in 0..steps {
            physics.step(&params, &mut d);
        }
        physics.forward(&params, &mut d);
        let v = &d.state.qvel;
        (0..6).map(|i| 0.5 * d.qm[7 * i] * v[i] * v[i]).sum()
    }

    #[test]
    fn free_fall_is_exact_under_every_integrator() {
        for (integrator, per_step) in [("Euler", 1.0), ("implicitfast", 1.0), ("RK4", 0.0)] {
            let physics = scene(
                &format!("integrator='{integrator}' timestep='0.01'"),
                "<body><freejoint/><geom size='0.1'/></body>",
            );
            let mut d = placed::<f64>(&physics, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 3.0, 0.0, 0.0, 0.0]);
            for _ in 0..100 {
                physics.step(&physics.params(), &mut d);
            }
            // semi-implicit Euler falls a half step further each step
            close(d.state.qpos[2], 3.0 - 0.5 * 9.81 * (1.0 + 0.01 * per_step), 1e-12);
            close(d.state.qvel[2], 3.0 - 9.81, 1e-12);
            close(d.state.time, 1.0, 1e-12);
        }
    }

    #[test]
    fn a_floating_body_is_solved_with_the_derivative_of_its_bias_force() {
        let physics = scene("integrator='implicitfast' timestep='0.01'", SPINNER);
        let params = physics.params::<f64>();
        let qpos = [0.0, 0.0, 0.0, 0.8, 0.2, -0.4, 0.4];
        let mut d = placed::<f64>(&physics, &qpos, &SPIN);
        physics.forward(&params, &mut d);
        let (start, h) = (d.clone(), 0.01);
        physics.step(&params, &mut d);
        // (M + h damping + h dbias/dv) (v' - v) = h f, with the derivative by differences
        let mut left = [0.0; 6];
        let change: Vec<f64> = (0..6).map(|i| d.state.qvel[i] - start.state.qvel[i]).collect();
        for j in 0..6 {
            let bias = |e: f64| {
                let mut moved = start.clone();
                moved.state.qvel[j] += e;
                physics.forward(&params, &mut moved);
                moved.qfrc_bias.clone()
            };
            let (up, down) = (bias(1e-4), bias(-1e-4));
            for i in 0..6 {
                let mass = start.qm[6 * i.max(j) + i.min(j)] + if i == j { h * 0.1 } else { 0.0 };
                left[i] += (mass + h * (up[i] - down[i]) / 2e-4) * change[j];
            }
        }
        for i in 0..6 {
            close(left[i], h * start.qfrc_smooth[i], 1e-9);
        }
        let (mut lanes, lane_params) = (placed::<Lane>(&physics, &qpos, &SPIN), physics.params::<Lane>());
        physics.step(&lane_params, &mut lanes);
        for i in 0..6 {
            close(crate::Real::get(lanes.state.qvel[i], 4), d.state.qvel[i], 1e-5);
        }
    }

    #[test]
    fn a_tumbling_body_gains_no_energy_under_implicitfast() {
        let start = kinetic("", 0);
        let fast = kinetic("integrator='implicitfast' timestep='0.01'", 300);
        assert!(fast < start && fast > 0.5 * start, "{fast} of {start}");
        assert!(kinetic("integrator='Euler' timestep='0.01'", 300) > start);
        close(kinetic("integrator='RK4' timestep='0.01'", 300), start, 1e-3 * start);
    }

    /// Halving the step divides the error by 16, rotations included.
    #[test]
    fn runge_kutta_is_of_fourth_order() {
        let end = |steps: usize| {
            let option = format!("integrator='RK4' timestep='{}'", 0.2 / steps as f64);
            let physics = scene(&option, &format!("{SPINNER}{ARM}"));
            let mut qpos = physics.model().qpos0.clone();
            qpos[7..].copy_from_slice(&[0.5, 1.0]);
            let (params, mut d) =
                (physics.params::<f64>(), placed::<f64>(&physics, &qpos, &[&SPIN[..], &[2.0, -3.0]].concat()));
            for _ in 0..steps {
                physics.step(&params, &mut d);
            }
            [d.state.qpos.clone(), d.state.qvel.clone()].concat()
        };
        let (coarse, fine, exact) = (end(10), end(20), end(320));
        let error = |x: &[f64]| x.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let ratio = error(&coarse) / error(&fine);
        assert!((12.0..20.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn velocity_gains_count_until_a_force_is_clamped() {
        let arm = |clamp: &str| {
            crate::testing::text_scene(&format!(
                "<mujoco><option integrator='implicitfast' timestep='0.01' gravity='0 0 0'/><worldbody><body>
                   <joint name='j' type='slide' {clamp}/><geom size='0.1' mass='2'/></body></worldbody>
                 <actuator><velocity joint='j' kv='6' gear='0.5'/></actuator></mujoco>"
            ))
        };
        for (clamp, force, damping) in [("", -6.0 * 0.25 * 4.0, 1.5), ("actuatorfrcrange='-5 5'", -5.0, 0.0)] {
            let physics = arm(clamp);
            let mut d = placed::<f64>(&physics, &[0.0], &[4.0]);
            physics.step(&physics.params(), &mut d);
            close(d.state.qvel[0], 4.0 + 0.01 * force / (2.0 + 0.01 * damping), 1e-14);
        }
    }
}
