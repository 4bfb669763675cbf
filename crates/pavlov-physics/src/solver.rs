//! Newton's method for the constrained acceleration, all worlds of a lane in step.
//!
//! Minimises ½ (a - a0)ᵀ M (a - a0) + s(J a - aref). The cost is piecewise quadratic but for sliding elliptic contacts:
//! a full Newton step that changes no row's state lands on the optimum, and the loop ends there. Worlds that are done
//! take steps of length zero while the others go on. Source: MuJoCo's "Computation", `engine_solver.c` (semantics).

use crate::cone;
use crate::data::{Contact, Data, Rows};
use crate::inertia::{factor_dense, factor_tree, mul_tree, solve_dense, solve_tree};
use crate::params::Params;
use crate::physics::SolverOptions;
use crate::real::{Mask, Real};
use crate::topology::{PairDof, Topology};
use pavlov_model::{Cone, Model};

/// `dst = Σ J x` of a contact, per direction.
#[inline(always)]
fn project<R: Real, const D: usize>(jac: &[R], dofs: &[PairDof], x: &[R]) -> [R; 6] {
    let mut sum = [R::ZERO; D];
    for (j, pd) in jac.chunks_exact(D).zip(dofs) {
        let xi = x[pd.dof];
        for k in 0..D {
            sum[k] = j[k].mul_add(xi, sum[k]);
        }
    }
    let mut out = [R::ZERO; 6];
    out[..D].copy_from_slice(&sum);
    out
}

/// `y += sign Jᵀ f`.
#[inline(always)]
fn spread<R: Real, const D: usize>(jac: &[R], dofs: &[PairDof], f: &[R; 6], y: &mut [R]) {
    for (j, pd) in jac.chunks_exact(D).zip(dofs) {
        let mut s = y[pd.dof];
        for k in 0..D {
            s = j[k].mul_add(f[k], s);
        }
        y[pd.dof] = s;
    }
}

/// `h += Jᵀ C J` in the lower triangle.
#[inline(always)]
fn add_block<R: Real, const D: usize>(jac: &[R], dofs: &[PairDof], c: &[[R; 6]; 6], h: &mut [R], nv: usize) {
    for (n, (jn, pn)) in jac.chunks_exact(D).zip(dofs).enumerate() {
        let mut t = [R::ZERO; D];
        for k in 0..D {
            t[k] = c[k][0] * jn[0];
            for l in 1..D {
                t[k] = c[k][l].mul_add(jn[l], t[k]);
            }
        }
        let row = &mut h[pn.dof * nv..pn.dof * nv + pn.dof + 1];
        for (jm, pm) in jac.chunks_exact(D).zip(&dofs[..=n]) {
            let mut s = row[pm.dof];
            for k in 0..D {
                s = t[k].mul_add(jm[k], s);
            }
            row[pm.dof] = s;
        }
    }
}

macro_rules! by_dim {
    ($dim:expr, $f:ident($($arg:expr),*)) => {
        match $dim {
            1 => $f::<R, 1>($($arg),*),
            3 => $f::<R, 3>($($arg),*),
            4 => $f::<R, 4>($($arg),*),
            _ => $f::<R, 6>($($arg),*),
        }
    };
}

/// The Jacobian block of a contact.
#[inline(always)]
fn block<'a, R: Real>(c: &Contact<R>, topo: &'a Topology, efc_j: &'a [R]) -> (&'a [R], &'a [PairDof]) {
    let dofs = &topo.pairs[c.pair].dofs[..];
    (&efc_j[c.jac..c.jac + dofs.len() * c.dim], dofs)
}

/// Writes one value per pyramid edge (or the single row of a frictionless contact).
#[inline(always)]
fn edges<R: Real>(c: &Contact<R>, z: &[R; 6], rows: &mut [R]) {
    if c.dim == 1 {
        rows[c.row] = z[0];
        return;
    }
    for k in 1..c.dim {
        let t = c.mu[k - 1] * z[k];
        rows[c.row + 2 * k - 2] = z[0] + t;
        rows[c.row + 2 * k - 1] = z[0] - t;
    }
}

/// Residuals of every row at acceleration `x`.
fn residuals<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
    let Data { contacts, limits, frictions, rows, efc_j, qacc: x, .. } = d;
    for f in frictions.iter_mut() {
        f.z = x[f.dof] - f.aref;
    }
    for l in limits.iter() {
        let mut z = -l.aref;
        for k in 0..l.n {
            z = l.coef[k].mul_add(x[l.dof + k], z);
        }
        rows.z[l.row] = z;
    }
    for c in contacts.iter_mut().filter(|c| c.active.any()) {
        let (jac, dofs) = block(c, topo, efc_j);
        c.z = by_dim!(c.dim, project(jac, dofs, x));
        for k in 0..c.dim {
            c.z[k] -= c.aref[k];
        }
        if c.dim == 1 || model.opt.cone == Cone::Pyramidal {
            edges(c, &c.z, &mut rows.z);
        }
    }
}

/// Change of every row along the search direction.
fn slopes<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
    let Data { contacts, limits, frictions, rows, efc_j, solve, .. } = d;
    let x = &solve.search;
    for f in frictions.iter_mut() {
        f.dz = x[f.dof];
    }
    for l in limits.iter() {
        let mut z = R::ZERO;
        for k in 0..l.n {
            z = l.coef[k].mul_add(x[l.dof + k], z);
        }
        rows.dz[l.row] = z;
    }
    for c in contacts.iter_mut().filter(|c| c.active.any()) {
        let (jac, dofs) = block(c, topo, efc_j);
        c.dz = by_dim!(c.dim, project(jac, dofs, x));
        if c.dim == 1 || model.opt.cone == Cone::Pyramidal {
            edges(c, &c.dz, &mut rows.dz);
        }
    }
}

/// Is this contact a cone block rather than one-sided rows?
#[inline(always)]
fn is_cone<R: Real>(model: &Model, c: &Contact<R>) -> bool {
    c.dim > 1 && model.opt.cone == Cone::Elliptic && c.active.any()
}

/// Forces of all rows at the current residuals; `qfrc_constraint = Jᵀ f`.
fn forces<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
    let Data { contacts, limits, frictions, rows, efc_j, qfrc_constraint: out, .. } = d;
    out.fill(R::ZERO);
    for f in frictions.iter() {
        out[f.dof] += (-f.d * f.z).clamp(-f.loss, f.loss);
    }
    for l in limits.iter() {
        let force = rows.d[l.row] * (-rows.z[l.row]).max(R::ZERO);
        for k in 0..l.n {
            out[l.dof + k] = l.coef[k].mul_add(force, out[l.dof + k]);
        }
    }
    for c in contacts.iter_mut() {
        if !c.active.any() {
            c.force = [R::ZERO; 6];
            continue;
        }
        c.force = if is_cone(model, c) {
            let f = cone::force(c, &c.z).force;
            f.map(|v| v.masked(c.active))
        } else {
            edge_forces(c, rows)
        };
        let (jac, dofs) = block(c, topo, efc_j);
        by_dim!(c.dim, spread(jac, dofs, &c.force, out));
    }
}

/// Contact-frame force of a pyramid or a frictionless contact.
#[inline(always)]
fn edge_forces<R: Real>(c: &Contact<R>, rows: &Rows<R>) -> [R; 6] {
    let push = |r: usize| rows.d[r] * (-rows.z[r]).max(R::ZERO);
    let mut f = [R::ZERO; 6];
    if c.dim == 1 {
        f[0] = push(c.row);
        return f;
    }
    for k in 1..c.dim {
        let (plus, minus) = (push(c.row + 2 * k - 2), push(c.row + 2 * k - 1));
        f[0] += plus + minus;
        f[k] = c.mu[k - 1] * (plus - minus);
    }
    f
}

/// Hessian of the cost with respect to a pyramid's frame directions.
#[inline(always)]
fn edge_hessian<R: Real>(c: &Contact<R>, rows: &Rows<R>) -> [[R; 6]; 6] {
    let weight = |r: usize| rows.d[r].masked(rows.z[r].lt(R::ZERO));
    let mut h = [[R::ZERO; 6]; 6];
    if c.dim == 1 {
        h[0][0] = weight(c.row);
        return h;
    }
    for k in 1..c.dim {
        let (plus, minus) = (weight(c.row + 2 * k - 2), weight(c.row + 2 * k - 1));
        let mu = c.mu[k - 1];
        h[0][0] += plus + minus;
        h[0][k] = mu * (plus - minus);
        h[k][0] = h[0][k];
        h[k][k] = mu * mu * (plus + minus);
    }
    h
}

/// H = M + Jᵀ (second derivative of the cost) J; returns true when it couples branches (dense factor needed).
fn hessian<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) -> bool {
    let Data { contacts, limits, frictions, rows, efc_j, solve, qm, .. } = d;
    let (h, nv) = (&mut solve.h, topo.nv);
    h.copy_from_slice(qm);
    for f in frictions.iter() {
        h[f.dof * nv + f.dof] += f.d.masked((f.d * f.z).abs().lt(f.loss));
    }
    for l in limits.iter() {
        let w = rows.d[l.row].masked(rows.z[l.row].lt(R::ZERO));
        for i in 0..l.n {
            for j in 0..=i {
                h[(l.dof + i) * nv + l.dof + j] += w * l.coef[i] * l.coef[j];
            }
        }
    }
    let mut dense = false;
    for c in contacts.iter().filter(|c| c.active.any()) {
        let local = if is_cone(model, c) {
            cone::hessian(c, &c.z).map(|r| r.map(|v| v.masked(c.active)))
        } else {
            edge_hessian(c, rows)
        };
        let (jac, dofs) = block(c, topo, efc_j);
        by_dim!(c.dim, add_block(jac, dofs, &local, h, nv));
        dense |= !topo.pairs[c.pair].chain;
    }
    dense
}

/// First and second derivative of the cost along the search direction at `alpha`.
fn derivatives<R: Real>(model: &Model, d: &Data<R>, quad: [R; 2], alpha: R) -> [R; 2] {
    // quad: slope of the Gauss term at 0, and its curvature
    let mut d1 = quad[1].mul_add(alpha, quad[0]);
    let mut d2 = quad[1];
    for ((&z, &dz), &w) in d.rows.z.iter().zip(&d.rows.dz).zip(&d.rows.d) {
        let t = alpha.mul_add(dz, z);
        let g = (w * dz).masked(t.lt(R::ZERO));
        d1 = t.mul_add(g, d1);
        d2 = dz.mul_add(g, d2);
    }
    for f in &d.frictions {
        let t = f.d * alpha.mul_add(f.dz, f.z);
        let inside = t.abs().lt(f.loss);
        d1 = t.clamp(-f.loss, f.loss).mul_add(f.dz, d1);
        d2 += (f.d * f.dz * f.dz).masked(inside);
    }
    if model.opt.cone == Cone::Elliptic {
        for c in d.contacts.iter().filter(|c| is_cone(model, c)) {
            let mut z = c.z;
            for k in 0..c.dim {
                z[k] = alpha.mul_add(c.dz[k], z[k]);
            }
            let (force, h) = (cone::force(c, &z).force, cone::hessian(c, &z));
            let (mut s1, mut s2) = (R::ZERO, R::ZERO);
            for k in 0..c.dim {
                s1 = force[k].neg_mul_add(c.dz[k], s1);
                for l in 0..c.dim {
                    s2 = (h[k][l] * c.dz[k]).mul_add(c.dz[l], s2);
                }
            }
            d1 += s1.masked(c.active);
            d2 += s2.masked(c.active);
        }
    }
    [d1, d2]
}

/// Worlds in which a step of length 1 changes the state of no row, so that it lands on the optimum.
fn unchanged_by_full_step<R: Real>(model: &Model, d: &Data<R>) -> R::Mask {
    let mut same = R::Mask::splat(true);
    let sign = |z: R| z.lt(R::ZERO);
    for ((&z, &dz), &w) in d.rows.z.iter().zip(&d.rows.dz).zip(&d.rows.d) {
        let (was, is) = (sign(z), sign(z + dz));
        same = same & ((was & is) | (!was & !is) | w.le(R::ZERO));
    }
    for f in &d.frictions {
        let zone = |z: R| {
            let t = f.d * z;
            R::select(t.ge(f.loss), R::ONE, R::select(t.le(-f.loss), -R::ONE, R::ZERO))
        };
        same = same & (zone(f.z) - zone(f.z + f.dz)).abs().lt(R::splat(0.5));
    }
    if model.opt.cone == Cone::Elliptic {
        for c in d.contacts.iter().filter(|c| is_cone(model, c)) {
            let mut z = c.z;
            for k in 0..c.dim {
                z[k] += c.dz[k];
            }
            let (was, is) = (cone::force(c, &c.z).zone, cone::force(c, &z).zone);
            let flat = (was - is).abs().lt(R::splat(0.5)) & was.lt(R::splat(1.5));
            same = same & (flat | !c.active);
        }
    }
    same
}

/// Exact line search: safeguarded Newton on the slope, which increases with `alpha`. `full` worlds take 1.
fn line_search<R: Real>(model: &Model, d: &Data<R>, quad: [R; 2], opts: &SolverOptions, full: R::Mask) -> R {
    let start = derivatives(model, d, quad, R::ZERO);
    let target = start[0].abs() * R::splat(opts.ls_tolerance);
    let (mut lo, mut hi) = (R::ZERO, R::splat(1e30));
    let mut alpha = R::ONE;
    let mut done = full;
    for _ in 0..opts.ls_iterations {
        let [d1, d2] = derivatives(model, d, quad, alpha);
        done = done | d1.abs().le(target);
        if done.all() {
            break;
        }
        let short = d1.lt(R::ZERO);
        lo = R::select(short, alpha, lo);
        hi = R::select(short, hi, alpha);
        let newton = alpha - d1 / d2;
        let inside = newton.gt(lo) & newton.lt(hi);
        let next = R::select(inside, newton, (lo + hi) * R::splat(0.5));
        alpha = R::select(done, alpha, next);
    }
    alpha
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
        d.qacc.copy_from_slice(&d.qacc_smooth);
        d.qfrc_constraint.fill(R::ZERO);
        for c in &mut d.contacts {
            c.force = [R::ZERO; 6];
        }
        d.state.qacc_warmstart.copy_from_slice(&d.qacc);
        return;
    }
    let nv = topo.nv;
    let scale = R::ONE / (params.meaninertia * R::splat(nv.max(1) as f64));
    let tolerance = R::splat(opts.tolerance.max(R::MIN_TOLERANCE));
    d.qacc.copy_from_slice(if model.opt.warmstart { &d.state.qacc_warmstart } else { &d.qacc_smooth });
    // a world that went bad must not start from garbage; one without constraints is done, whatever its neighbours have
    for (x, &smooth) in d.qacc.iter_mut().zip(&d.qacc_smooth) {
        *x = R::select(constrained & x.abs().lt(R::splat(1e10)), *x, smooth);
    }
    mul_tree(topo, &d.qm, &d.qacc, &mut d.solve.ma);
    residuals(model, topo, d);
    forces(model, topo, d);
    let mut done = !constrained;
    for _ in 0..opts.iterations {
        let mut norm2 = R::ZERO;
        for i in 0..nv {
            let g = d.solve.ma[i] - d.qfrc_smooth[i] - d.qfrc_constraint[i];
            d.solve.grad[i] = g;
            norm2 = g.mul_add(g, norm2);
        }
        done = done | (scale * norm2.sqrt()).lt(tolerance);
        if done.all() {
            break;
        }
        d.solver_niter += 1;
        let dense = hessian(model, topo, d);
        let s = &mut d.solve;
        for (x, &g) in s.search.iter_mut().zip(&s.grad) {
            *x = -g;
        }
        if dense {
            factor_dense(nv, &mut s.h, &mut s.h_dinv);
            solve_dense(nv, &s.h, &s.h_dinv, &mut s.search);
        } else {
            factor_tree(topo, &mut s.h, &mut s.h_dinv);
            solve_tree(topo, &s.h, &s.h_dinv, &mut s.search);
        }
        mul_tree(topo, &d.qm, &d.solve.search, &mut d.solve.mv);
        let (mut slope, mut curve, mut decrement) = (R::ZERO, R::ZERO, R::ZERO);
        for i in 0..nv {
            let s = d.solve.search[i];
            slope = s.mul_add(d.solve.ma[i] - d.qfrc_smooth[i], slope);
            curve = s.mul_add(d.solve.mv[i], curve);
            decrement = s.neg_mul_add(d.solve.grad[i], decrement);
        }
        slopes(model, topo, d);
        let small = (scale * decrement * R::splat(0.5)).lt(tolerance);
        let last = unchanged_by_full_step(model, d) | small;
        let mut alpha =
            if (last | done).all() { R::ONE } else { line_search(model, d, [slope, curve], opts, last | done) };
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

/// Worlds that have at least one constraint.
fn constrained<R: Real>(d: &Data<R>) -> R::Mask {
    let mut any = R::Mask::splat(!d.frictions.is_empty());
    for l in &d.limits {
        any = any | d.rows.d[l.row].gt(R::ZERO);
    }
    for c in &d.contacts {
        any = any | c.active;
    }
    any
}

/// Moves acceleration, M a and all residuals by `alpha` along the search direction.
fn take_step<R: Real>(d: &mut Data<R>, alpha: R) {
    for i in 0..d.qacc.len() {
        d.qacc[i] = alpha.mul_add(d.solve.search[i], d.qacc[i]);
        d.solve.ma[i] = alpha.mul_add(d.solve.mv[i], d.solve.ma[i]);
    }
    for (z, &dz) in d.rows.z.iter_mut().zip(&d.rows.dz) {
        *z = alpha.mul_add(dz, *z);
    }
    for f in &mut d.frictions {
        f.z = alpha.mul_add(f.dz, f.z);
    }
    for c in &mut d.contacts {
        for k in 0..c.dim {
            c.z[k] = alpha.mul_add(c.dz[k], c.z[k]);
        }
    }
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
