//! Mass matrix (composite rigid bodies) and its `LᵀDL` factorisation from the leaves to the root.
//!
//! Matrices are the lower triangle of a dense row-major `nv x nv`. With ancestor lists the factorisation has no
//! fill-in; the dense variant serves Hessians that couple branches. Source: Featherstone, RBDA ch. 6; `mj_crb`,
//! `mj_factorI`.

use crate::data::Data;
use crate::math::{dot6, mul_inert};
use crate::params::Params;
use crate::real::Real;
use crate::topology::Topology;
use pavlov_model::Model;

/// `qm` = mass matrix with armature.
pub(crate) fn crb<R: Real>(model: &Model, topo: &Topology, params: &Params<R>, d: &mut Data<R>) {
    let nv = topo.nv;
    d.crb.copy_from_slice(&d.cinert);
    for b in (1..model.bodies.len()).rev() {
        let parent = model.bodies[b].parent;
        if parent > 0 {
            let inertia = d.crb[b];
            for (sum, v) in d.crb[parent].iter_mut().zip(inertia) {
                *sum += v;
            }
        }
    }
    for i in 0..nv {
        let force = mul_inert(&d.crb[model.dofs[i].body], &d.cdof[i]);
        d.qm[i * nv + i] = params.dof_armature[i] + dot6(&d.cdof[i], &force);
        for &j in &topo.dof_ancestors[i] {
            d.qm[i * nv + j] = dot6(&d.cdof[j], &force);
        }
    }
}

/// In-place `LᵀDL` of `m` along ancestor lists; `dinv` = 1/D. Strictly lower entries become L.
pub(crate) fn factor_tree<R: Real>(topo: &Topology, m: &mut [R], dinv: &mut [R]) {
    let nv = topo.nv;
    for k in (0..nv).rev() {
        let (above, row) = m.split_at_mut(k * nv);
        let row = &mut row[..=k];
        let inv = R::ONE / row[k];
        dinv[k] = inv;
        let ancestors = &topo.dof_ancestors[k][..];
        for (n, &i) in ancestors.iter().enumerate() {
            let l = row[i] * inv;
            let target = &mut above[i * nv..i * nv + i + 1];
            for &j in &ancestors[n..] {
                target[j] = l.neg_mul_add(row[j], target[j]);
            }
        }
        for &i in ancestors {
            row[i] *= inv;
        }
    }
}

/// In-place dense `LᵀDL` of the lower triangle.
pub(crate) fn factor_dense<R: Real>(nv: usize, m: &mut [R], dinv: &mut [R]) {
    for k in (0..nv).rev() {
        let (above, row) = m.split_at_mut(k * nv);
        let row = &mut row[..=k];
        let inv = R::ONE / row[k];
        dinv[k] = inv;
        for i in 0..k {
            let l = row[i] * inv;
            let target = &mut above[i * nv..i * nv + i + 1];
            for (t, &r) in target.iter_mut().zip(&row[..=i]) {
                *t = l.neg_mul_add(r, *t);
            }
        }
        for v in &mut row[..k] {
            *v *= inv;
        }
    }
}

/// x ← M⁻¹ x with a factor of [`factor_tree`].
pub(crate) fn solve_tree<R: Real>(topo: &Topology, l: &[R], dinv: &[R], x: &mut [R]) {
    let nv = topo.nv;
    for i in (0..nv).rev() {
        let xi = x[i];
        let row = &l[i * nv..i * nv + i + 1];
        for &j in &topo.dof_ancestors[i] {
            x[j] = row[j].neg_mul_add(xi, x[j]);
        }
    }
    for i in 0..nv {
        let row = &l[i * nv..i * nv + i + 1];
        let mut xi = x[i] * dinv[i];
        for &j in &topo.dof_ancestors[i] {
            xi = row[j].neg_mul_add(x[j], xi);
        }
        x[i] = xi;
    }
}

/// x ← M⁻¹ x with a factor of [`factor_dense`].
pub(crate) fn solve_dense<R: Real>(nv: usize, l: &[R], dinv: &[R], x: &mut [R]) {
    for i in (0..nv).rev() {
        let (head, tail) = x.split_at_mut(i);
        let xi = tail[0];
        for (xj, &lj) in head.iter_mut().zip(&l[i * nv..i * nv + i]) {
            *xj = lj.neg_mul_add(xi, *xj);
        }
    }
    for i in 0..nv {
        let mut xi = x[i] * dinv[i];
        // nearest first, as along ancestor lists: the same bits where the factors are the same
        for (&xj, &lj) in x[..i].iter().zip(&l[i * nv..i * nv + i]).rev() {
            xi = lj.neg_mul_add(xj, xi);
        }
        x[i] = xi;
    }
}

/// y = M x for the symmetric `m` stored along ancestor lists.
pub(crate) fn mul_tree<R: Real>(topo: &Topology, m: &[R], x: &[R], y: &mut [R]) {
    let nv = topo.nv;
    for i in 0..nv {
        let row = &m[i * nv..i * nv + i + 1];
        let xi = x[i];
        let mut yi = row[i] * xi;
        for &j in &topo.dof_ancestors[i] {
            yi = row[j].mul_add(x[j], yi);
            y[j] = row[j].mul_add(xi, y[j]);
        }
        y[i] = yi;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of five dofs: 0-1 root chain, branches 2-3 and 4.
    fn topo() -> Topology {
        let ancestors = vec![vec![], vec![0], vec![1, 0], vec![2, 1, 0], vec![1, 0]];
        Topology {
            nv: 5,
            body_dofs: vec![],
            dof_ancestors: ancestors,
            pairs: vec![],
            friction_dofs: vec![],
            limited_joints: vec![],
            geom_needs_mat: vec![],
            geom_collides: vec![],
            body_unrotated: vec![],
            floating: vec![],
            sliders: vec![],
            max_contacts: 0,
            max_jacobian: 0,
            max_rows: 0,
        }
    }

    #[test]
    fn tree_and_dense_factors_solve_the_same_system() {
        let topo = topo();
        let nv = 5;
        let mut m = vec![0.0f64; 25];
        for i in 0..nv {
            m[i * nv + i] = 4.0 + i as f64;
            for &j in &topo.dof_ancestors[i] {
                m[i * nv + j] = 0.3 + 0.1 * (i + 2 * j) as f64;
            }
        }
        let x = [1.0, -2.0, 0.5, 3.0, -1.0];
        let mut b = vec![0.0; nv];
        mul_tree(&topo, &m, &x, &mut b);
        for dense in [false, true] {
            let (mut l, mut dinv, mut y) = (m.clone(), vec![0.0; nv], b.clone());
            if dense {
                factor_dense(nv, &mut l, &mut dinv);
                solve_dense(nv, &l, &dinv, &mut y);
            } else {
                factor_tree(&topo, &mut l, &mut dinv);
                solve_tree(&topo, &l, &dinv, &mut y);
            }
            for k in 0..nv {
                assert!((y[k] - x[k]).abs() < 1e-12, "dense {dense}: {y:?}");
            }
        }
    }
}
