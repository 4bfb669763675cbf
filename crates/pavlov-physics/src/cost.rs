//! The cost of constraints, s(J a - aref): residuals, forces, second derivative, derivatives along a line.
//!
//! Rows of dry friction cost a Huber function, limits and pyramid edges D z²/2 where z < 0, elliptic contacts see
//! `cone.rs`. Source: MuJoCo's "Computation", `mj_constraintUpdate` (semantics).

use crate::cone;
use crate::data::{Contact, Data, Rows};
use crate::real::{Mask, Real};
use crate::topology::{PairDof, Topology};
use pavlov_model::{Cone, Model};

/// `dst = Σ J x` of a contact, per direction.
#[inline(always)]
pub(crate) fn project<R: Real, const D: usize>(jac: &[R], dofs: &[PairDof], x: &[R]) -> [R; 6] {
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
pub(crate) fn spread<R: Real, const D: usize>(jac: &[R], dofs: &[PairDof], f: &[R; 6], y: &mut [R]) {
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
pub(crate) fn add_block<R: Real, const D: usize>(jac: &[R], dofs: &[PairDof], c: &[[R; 6]; 6], h: &mut [R], nv: usize) {
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
pub(crate) fn block<'a, R: Real>(c: &Contact<R>, topo: &'a Topology, efc_j: &'a [R]) -> (&'a [R], &'a [PairDof]) {
    let dofs = &topo.pairs[c.pair].dofs[..];
    (&efc_j[c.jac..c.jac + dofs.len() * c.dim], dofs)
}

/// Writes one value per pyramid edge (or the single row of a frictionless contact).
#[inline(always)]
pub(crate) fn edges<R: Real>(c: &Contact<R>, z: &[R; 6], rows: &mut [R]) {
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
pub(crate) fn residuals<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
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
pub(crate) fn slopes<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
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
pub(crate) fn is_cone<R: Real>(model: &Model, c: &Contact<R>) -> bool {
    c.dim > 1 && model.opt.cone == Cone::Elliptic && c.active.any()
}

/// Forces of all rows at the current residuals; `qfrc_constraint = Jᵀ f`.
pub(crate) fn forces<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) {
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
pub(crate) fn edge_forces<R: Real>(c: &Contact<R>, rows: &Rows<R>) -> [R; 6] {
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
pub(crate) fn edge_hessian<R: Real>(c: &Contact<R>, rows: &Rows<R>) -> [[R; 6]; 6] {
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
pub(crate) fn hessian<R: Real>(model: &Model, topo: &Topology, d: &mut Data<R>) -> bool {
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
pub(crate) fn derivatives<R: Real>(model: &Model, d: &Data<R>, quad: [R; 2], alpha: R) -> [R; 2] {
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
pub(crate) fn unchanged_by_full_step<R: Real>(model: &Model, d: &Data<R>) -> R::Mask {
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

/// Worlds that have at least one constraint.
pub(crate) fn constrained<R: Real>(d: &Data<R>) -> R::Mask {
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
pub(crate) fn take_step<R: Real>(d: &mut Data<R>, alpha: R) {
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
