//! Static tables of a model that every stage walks: which dofs move which bodies, and which must be solved together.
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
    /// Bodies with a free joint and no other dof in their tree.
    pub floating: Vec<usize>,
    /// Bodies that only slide along their own axes, hang from a fixed body, carry nothing, and have their centre of
    /// mass at the origin (MuJoCo's `body_simple == 2`).
    pub sliders: Vec<bool>,
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
        let dof_ancestors: Vec<Vec<usize>> =
            (0..nv).map(|i| std::iter::successors(model.dofs[i].parent, |&d| model.dofs[d].parent).collect()).collect();
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
        let mut above = vec![false; nv * nv];
        for (i, ancestors) in dof_ancestors.iter().enumerate() {
            for &j in ancestors {
                above[i * nv + j] = true;
            }
        }
        let pairs: Vec<PairTopology> = model
            .pairs
            .iter()
            .map(|pair| {
                let (body1, body2) = (model.geoms[pair.geom1].body, model.geoms[pair.geom2].body);
                let dofs = relative_dofs(&body_dofs[body1], &body_dofs[body2]);
                let last = dofs.last().map_or(0, |d| d.dof);
                let chain = dofs.iter().all(|d| d.dof == last || above[last * nv + d.dof]);
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
            floating: (1..model.bodies.len()).filter(|&b| is_floating(model, b)).collect(),
            sliders: (0..model.bodies.len()).map(|b| is_slider(model, b)).collect(),
            max_contacts,
            max_jacobian,
            max_rows,
        }
    }
}

/// Merges two ascending lists; dofs that are in both move both bodies alike and are left out.
fn relative_dofs(of1: &[usize], of2: &[usize]) -> Vec<PairDof> {
    let mut dofs = Vec::new();
    let (mut a, mut b) = (of1.iter().peekable(), of2.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x == y => {
                a.next();
                b.next();
            }
            (Some(&&dof), other) if other.is_none_or(|&&y| dof < y) => {
                dofs.push(PairDof { dof, minus: true });
                a.next();
            }
            (_, Some(&&dof)) => {
                dofs.push(PairDof { dof, minus: false });
                b.next();
            }
            _ => return dofs,
        }
    }
}

fn is_floating(model: &Model, b: usize) -> bool {
    // depth-first order: what follows a body's dofs belongs to its tree or to the next
    let (joints, end) = (&model.joints[model.bodies[b].joints.clone()], model.bodies[b].dofs.end);
    joints.iter().any(|j| j.kind == JointKind::Free)
        && model.dofs.get(end).is_none_or(|next| model.bodies[next.body].root != b)
}

fn is_slider(model: &Model, b: usize) -> bool {
    // the bound below which MuJoCo's compiler takes a number for zero
    const EPS: f64 = 1e-14;
    let body = &model.bodies[b];
    let zero = |v: &[f64]| v.iter().all(|x| x.abs() < EPS);
    let along_own_axis = |axis: &[f64; 3]| axis.iter().filter(|x| x.abs() > EPS).count() == 1;
    !body.joints.is_empty()
        && model.bodies[body.parent].weld == 0
        && model.bodies.get(b + 1).is_none_or(|next| next.parent != b)
        && zero(&body.ipos)
        && zero(&body.iquat[1..])
        && model.joints[body.joints.clone()]
            .iter()
            .all(|j| j.kind == JointKind::Slide && zero(&j.pos) && along_own_axis(&j.axis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::{Physics, PhysicsError};
    use crate::testing::{ARM, scene};
    use std::sync::Arc;

    #[test]
    fn dofs_that_move_both_bodies_cancel() {
        let dofs = |a: &[usize], b: &[usize]| -> Vec<(usize, bool)> {
            relative_dofs(a, b).into_iter().map(|d| (d.dof, d.minus)).collect()
        };
        assert_eq!(dofs(&[0, 1, 4, 5], &[0, 1, 2, 3, 6]), [(2, false), (3, false), (4, true), (5, true), (6, false)]);
        assert_eq!(dofs(&[], &[3]), [(3, false)]);
        assert_eq!(dofs(&[0, 2], &[0, 2]), []);
    }

    #[test]
    fn chains_and_branches_are_told_apart() {
        let leg = |x: f64| format!("<body pos='{x} 0 0'><joint/><geom size='0.1' pos='0 0 -1'/></body>");
        let world = format!(
            "<geom type='plane' size='1 1 1'/><body><freejoint/><geom size='0.1'/>{}{}</body>",
            leg(1.0),
            leg(-1.0)
        );
        let physics = scene("", &world);
        let chains: Vec<(usize, bool)> = physics.topology().pairs.iter().map(|p| (p.dofs.len(), p.chain)).collect();
        // floor against trunk and legs, then the legs against each other
        assert_eq!(chains, [(6, true), (7, true), (7, true), (2, false)]);
        assert_eq!(physics.topology().dof_ancestors[7], [5, 4, 3, 2, 1, 0]);
        assert_eq!(physics.topology().max_contacts, 4);
    }

    #[test]
    fn floating_and_sliding_bodies_are_found() {
        let world = "<body><freejoint/><geom size='1'/><body><geom size='1'/></body></body>
            <body><freejoint/><geom size='1'/><body><joint/><geom size='1'/></body></body>
            <body><joint type='slide' axis='0 -3 0'/><geom size='1'/></body>
            <body><joint type='slide' axis='0 1 0' pos='0.1 0 0'/><geom size='1'/></body>
            <body><geom size='1'/><body><joint type='slide'/><geom size='1'/></body></body>";
        let t = scene("", world).topology().clone();
        assert_eq!(t.floating, [1]);
        assert_eq!((0..t.sliders.len()).filter(|&b| t.sliders[b]).collect::<Vec<_>>(), [5, 8]);
        assert!(scene("", ARM).topology().floating.is_empty());
    }

    #[test]
    fn a_model_whose_buffers_would_not_fit_is_refused() {
        let limb = |n: usize| {
            "<body><joint/><joint axis='0 1 0'/><joint axis='1 0 0'/><geom type='capsule' size='1 1' condim='6'/>"
                .repeat(n)
                + &"</body>".repeat(n)
        };
        let text = format!("<mujoco><worldbody>{}{}</worldbody></mujoco>", limb(60), limb(60));
        let model = pavlov_model::parse_mjcf(&text, "limbs.xml");
        let model = model.unwrap_or_else(|e| panic!("{e}"));
        let e = Physics::new(Arc::new(model)).unwrap_err();
        assert!(matches!(e, PhysicsError::TooLarge { .. }), "{e}");
        assert!(e.to_string().contains("limbs.xml"), "{e}");
    }
}
