//! Newton's method for the constrained acceleration, all worlds of a lane in step.
//!
//! Minimises ½ (a - a0)ᵀ M (a - a0) + s(J a - aref). The cost is piecewise quadratic but for sliding elliptic contacts:
//! a full Newton step that changes no row's state lands on the optimum, and the loop ends there. Worlds that are done
//! take steps of length zero while the others go on. Source: MuJoCo's "Computation", `engine_solver.c` (semantics).

use crate::cost::{constrained, derivatives, forces, hessian, residuals, slopes, take_step, unchanged_by_full_step};
use crate::data::Data;
use crate::inertia::{factor_dense, factor_tree, mul_tree, solve_dense, solve_tree};
use crate::params::Params;
use crate::real::{Mask, Real};
use crate::topology::Topology;
use pavlov_model::Model;

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

/// One point of the line search: safeguarded Newton on the slope `d1` (curvature `d2`) at `alpha`, between `lo` and
/// `hi`. Returns the new bracket and the next point.
pub(crate) fn bracket<R: Real>([d1, d2]: [R; 2], [lo, hi]: [R; 2], alpha: R) -> [R; 3] {
    let short = d1.lt(R::ZERO);
    let lo = R::select(short, alpha, lo);
    let hi = R::select(short, hi, alpha);
    let newton = alpha - d1 / d2;
    let inside = newton.gt(lo) & newton.lt(hi);
    [lo, hi, R::select(inside, newton, (lo + hi) * R::splat(0.5))]
}

/// Exact line search on the slope, which increases with `alpha`. `full` worlds take 1.
fn line_search<R: Real>(model: &Model, d: &Data<R>, quad: [R; 2], opts: &SolverOptions, full: R::Mask) -> R {
    let start = derivatives(model, d, quad, R::ZERO);
    let target = start[0].abs() * R::splat(opts.ls_tolerance);
    let (mut lo, mut hi) = (R::ZERO, R::splat(FAR));
    let mut alpha = R::ONE;
    let mut done = full;
    for _ in 0..opts.ls_iterations {
        let slopes = derivatives(model, d, quad, alpha);
        done = done | slopes[0].abs().le(target);
        if done.all() {
            break;
        }
        let next;
        [lo, hi, next] = bracket(slopes, [lo, hi], alpha);
        alpha = R::select(done, alpha, next);
    }
    alpha
}

/// The upper end of the bracket at which the line search begins.
pub(crate) const FAR: f64 = 1e30;

/// Without constraints: the free acceleration.
pub(crate) fn unconstrained<R: Real>(d: &mut Data<R>) {
    d.qacc.copy_from_slice(&d.qacc_smooth);
    d.qfrc_constraint.fill(R::ZERO);
    d.state.qacc_warmstart.copy_from_slice(&d.qacc);
}

/// Where the iterations begin. A world that went bad must not start from garbage; one without constraints is done,
/// whatever its neighbours have.
pub(crate) fn start<R: Real>(model: &Model, topo: &Topology, constrained: R::Mask, d: &mut Data<R>) {
    d.qacc.copy_from_slice(if model.opt.warmstart { &d.state.qacc_warmstart } else { &d.qacc_smooth });
    for (x, &smooth) in d.qacc.iter_mut().zip(&d.qacc_smooth) {
        *x = R::select(constrained & x.within(1e10), *x, smooth);
    }
    mul_tree(topo, &d.qm, &d.qacc, &mut d.solve.ma);
}

/// The factor that turns a norm of forces into MuJoCo's scaled one.
fn scale_of<R: Real>(topo: &Topology, params: &Params<R>) -> R {
    R::ONE / (params.meaninertia * R::splat(topo.nv.max(1) as f64))
}

/// Gradient of the cost; worlds where it is practically zero.
pub(crate) fn gradient<R: Real>(topo: &Topology, params: &Params<R>, tolerance: R, d: &mut Data<R>) -> R::Mask {
    let mut norm2 = R::ZERO;
    for i in 0..topo.nv {
        let g = d.solve.ma[i] - d.qfrc_smooth[i] - d.qfrc_constraint[i];
        d.solve.grad[i] = g;
        norm2 = g.mul_add(g, norm2);
    }
    (scale_of(topo, params) * norm2.sqrt()).lt(tolerance)
}

/// `search` ← -H⁻¹ grad.
pub(crate) fn newton_direction<R: Real>(topo: &Topology, dense: bool, d: &mut Data<R>) {
    let s = &mut d.solve;
    for (x, &g) in s.search.iter_mut().zip(&s.grad) {
        *x = -g;
    }
    if dense {
        factor_dense(topo.nv, &mut s.h, &mut s.h_dinv);
        solve_dense(topo.nv, &s.h, &s.h_dinv, &mut s.search);
    } else {
        factor_tree(topo, &mut s.h, &mut s.h_dinv);
        solve_tree(topo, &s.h, &s.h_dinv, &mut s.search);
    }
}

/// Slope and curvature of the Gauss term along the direction, and worlds where the cost cannot fall any more.
pub(crate) fn gauss_term<R: Real>(
    topo: &Topology,
    params: &Params<R>,
    tolerance: R,
    d: &mut Data<R>,
) -> ([R; 2], R::Mask) {
    mul_tree(topo, &d.qm, &d.solve.search, &mut d.solve.mv);
    let (mut slope, mut curve, mut decrement) = (R::ZERO, R::ZERO, R::ZERO);
    for i in 0..topo.nv {
        let s = d.solve.search[i];
        slope = s.mul_add(d.solve.ma[i] - d.qfrc_smooth[i], slope);
        curve = s.mul_add(d.solve.mv[i], curve);
        decrement = s.neg_mul_add(d.solve.grad[i], decrement);
    }
    ([slope, curve], (scale_of(topo, params) * decrement * R::splat(0.5)).lt(tolerance))
}

/// The tolerance that this number type can reach.
pub(crate) fn tolerance<R: Real>(opts: &SolverOptions) -> R {
    R::splat(opts.tolerance.max(R::MIN_TOLERANCE))
}

/// Solves for `qacc` and `qfrc_constraint`, starting from `qacc_warmstart`.
pub(crate) fn solve<R: Real>(
    model: &Model,
    topo: &Topology,
    params: &Params<R>,
    opts: &SolverOptions,
    d: &mut Data<R>,
) {
    d.solver_niter = 0;
    let constrained = constrained(d);
    if !constrained.any() {
        unconstrained(d);
        for c in &mut d.contacts {
            c.force = [R::ZERO; 6];
        }
        return;
    }
    let tolerance = tolerance(opts);
    start(model, topo, constrained, d);
    residuals(model, topo, d);
    forces(model, topo, d);
    let mut done = !constrained;
    for _ in 0..opts.iterations {
        done = done | gradient(topo, params, tolerance, d);
        if done.all() {
            break;
        }
        d.solver_niter += 1;
        let dense = hessian(model, topo, d);
        newton_direction(topo, dense, d);
        let (quad, small) = gauss_term(topo, params, tolerance, d);
        slopes(model, topo, d);
        let last = unchanged_by_full_step(model, d) | small;
        let mut alpha = if (last | done).all() { R::ONE } else { line_search(model, d, quad, opts, last | done) };
        alpha = R::select(done, R::ZERO, R::select(last, R::ONE, alpha));
        take_step(d, alpha);
        done = done | last;
        forces(model, topo, d);
        if done.all() {
            break;
        }
    }
    d.state.qacc_warmstart.copy_from_slice(&d.qacc);
}

#[cfg(test)]
mod tests {
    use crate::inertia::mul_tree;
    use crate::testing::{close, placed, scene};

    const TUMBLE: &str = "<geom type='plane' size='9 9 1'/>
      <body pos='0 0 0.15'><freejoint/><geom type='box' size='0.3 0.2 0.1' condim='CONDIM'/>
        <body pos='0.3 0 0.1'><joint axis='0 1 0' range='-0.2 0.2' limited='true' frictionloss='0.5'/>
          <geom type='capsule' fromto='0 0 0 0.3 0 0' size='0.05'/></body></body>";

    /// Where the gradient of the cost is zero, forces balance; one-sided forces push, friction stays in its cone.
    #[test]
    fn the_solution_balances_forces_and_respects_the_cone() {
        for cone in ["pyramidal", "elliptic"] {
            for condim in [1, 3, 4, 6] {
                let physics = scene(&format!("cone='{cone}'"), &TUMBLE.replace("CONDIM", &condim.to_string()));
                let qpos = [0.0, 0.0, 0.12, 0.98, 0.1, 0.15, 0.05, 0.35];
                let mut d = placed::<f64>(&physics, &qpos, &[1.0, -0.5, -1.0, 2.0, 1.0, -1.0, 0.5]);
                physics.forward(&physics.params(), &mut d);
                assert!(d.contacts.iter().any(|c| c.active && c.force[0] > 0.0) && d.limits.len() == 1);
                let mut ma = vec![0.0; 7];
                mul_tree(physics.topology(), &d.qm, &d.qacc, &mut ma);
                for i in 0..7 {
                    close(ma[i], d.qfrc_smooth[i] + d.qfrc_constraint[i], 1e-8 * (1.0 + ma[i].abs()));
                }
                for c in d.contacts.iter().filter(|c| c.active) {
                    assert!(c.force[0] >= 0.0);
                    let sides = (1..c.dim).map(|k| c.force[k] / c.mu[k - 1]);
                    let length: f64 = match cone {
                        "elliptic" => sides.map(|s| s * s).sum::<f64>().sqrt(),
                        _ => sides.map(f64::abs).sum(),
                    };
                    assert!(length <= c.force[0] * (1.0 + 1e-9) + 1e-12, "{cone} {condim}: {:?}", c.force);
                }
            }
        }
    }

    #[test]
    fn without_constraints_the_solution_is_the_free_acceleration() {
        let physics = scene("", "<body><freejoint/><geom size='0.1'/></body>");
        let mut d = placed::<f64>(&physics, &physics.model().qpos0.clone(), &[0.0; 6]);
        d.state.qacc_warmstart.fill(5.0);
        physics.forward(&physics.params(), &mut d);
        assert_eq!((d.qacc.clone(), d.solver_niter), (d.qacc_smooth.clone(), 0));
    }
}
