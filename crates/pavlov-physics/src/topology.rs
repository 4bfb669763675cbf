//! Static tables of a model that every stage walks: which dofs move what, what must be solved with what.
//!
//! Dofs are numbered parents first, so "the dofs that move a body" is an ascending list and every factorisation runs
//! from the leaves (last) to the root (first) without fill-in.

use pavlov_model::{GeomKind, JointKind, Model};

/// A dof that a contact pair pushes, and on which side.
#[derive(Debug, Clone, Copy)]
pub struct PairDof {
    /// Dof.
    pub dof: usize,
    /// True when it moves geom1's body (the Jacobian enters with a minus sign).
    pub minus: bool,
}

/// What is static about a candidate contact pair.
#[derive(Debug, Clone)]
pub struct PairTopology {
    /// Dofs that change the relative motion of the two bodies, ascending. Dofs that move both cancel and are left out.
    pub dofs: Vec<PairDof>,
    /// Body of geom1.
    pub body1: usize,
    /// Body of geom2.
    pub body2: usize,
    /// Its Hessian block lies within the sparsity of the mass matrix (one kinematic chain).
    pub chain: bool,
}

/// Static tables, made once per model.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Number of dofs.
    pub nv: usize,
    /// Dofs that move body `b`, ascending.
    pub body_dofs: Vec<Vec<usize>>,
    /// Ancestors of dof `i` without itself, nearest first (descending numbers).
    pub dof_ancestors: Vec<Vec<usize>>,
    /// Tables of `model.pairs`.
    pub pairs: Vec<PairTopology>,
    /// Dofs with friction loss in the file.
    pub friction_dofs: Vec<usize>,
    /// Joints with limits.
    pub limited_joints: Vec<usize>,
    /// Geoms whose full orientation is needed (planes and boxes); of capsules only the axis is.
    pub geom_needs_mat: Vec<bool>,
    /// Geoms that appear in a pair.
    pub geom_collides: Vec<bool>,
    /// Body frame has the parent's orientation: one quaternion product less.
    pub body_unrotated: Vec<bool>,
    /// Worst-case number of contacts.
    pub max_contacts: usize,
    /// Worst-case length of the contact Jacobian buffer, numbers.
    pub max_jacobian: usize,
    /// Worst-case number of one-sided rows (limits, pyramid edges, frictionless contacts).
    pub max_rows: usize,
}

impl Topology {
    /// Derives the tables of a model.
    pub fn new(model: &Model) -> Self {
        let nv = model.nv();
        let dof_ancestors: Vec<Vec<usize>> = (0..nv)
            .map(|i| std::iter::successors(model.dofs[i].parent, |&d| model.dofs[d].parent).collect())
            .collect();
        let body_dofs: Vec<Vec<usize>> = (0..model.bodies.len())
            .map(|b| {
                let moving = &model.bodies[model.bodies[b].weld];
                let mut dofs: Vec<usize> = Vec::new();
                if let Some(last) = moving.dofs.clone().last() {
                    dofs.push(last);
                    dofs.extend(&dof_ancestors[last]);
                    dofs.reverse();
                }
                dofs
            })
            .collect();
        let pairs: Vec<PairTopology> = model
            .pairs
            .iter()
            .map(|pair| {
                let (body1, body2) = (model.geoms[pair.geom1].body, model.geoms[pair.geom2].body);
                let (d1, d2) = (&body_dofs[body1], &body_dofs[body2]);
                let mut dofs: Vec<PairDof> = d1
                    .iter()
                    .filter(|d| !d2.contains(d))
                    .map(|&dof| PairDof { dof, minus: true })
                    .chain(d2.iter().filter(|d| !d1.contains(d)).map(|&dof| PairDof { dof, minus: false }))
                    .collect();
                dofs.sort_by_key(|d| d.dof);
                let chain = dofs.windows(2).all(|w| dof_ancestors[w[1].dof].contains(&w[0].dof));
                PairTopology { dofs, body1, body2, chain }
            })
            .collect();
        let limited_joints: Vec<usize> = (0..model.joints.len()).filter(|&j| model.joints[j].limited).collect();
        let mut geom_collides = vec![false; model.geoms.len()];
        let (mut max_contacts, mut max_jacobian) = (0, 0);
        let mut max_rows: usize =
            limited_joints.iter().map(|&j| if model.joints[j].kind == JointKind::Ball { 1 } else { 2 }).sum();
        for (pair, topo) in model.pairs.iter().zip(&pairs) {
            geom_collides[pair.geom1] = true;
            geom_collides[pair.geom2] = true;
            max_contacts += pair.max_contacts;
            max_jacobian += pair.max_contacts * pair.condim as usize * topo.dofs.len();
            max_rows += pair.max_contacts * (2 * (pair.condim as usize - 1)).max(1);
        }
        Self {
            nv,
            body_dofs,
            dof_ancestors,
            pairs,
            friction_dofs: (0..nv).filter(|&i| model.dofs[i].frictionloss > 0.0).collect(),
            limited_joints,
            geom_needs_mat: model.geoms.iter().map(|g| matches!(g.kind, GeomKind::Plane | GeomKind::Box)).collect(),
            geom_collides,
            body_unrotated: model.bodies.iter().map(|b| b.quat == [1.0, 0.0, 0.0, 0.0]).collect(),
            max_contacts,
            max_jacobian,
            max_rows,
        }
    }
}
