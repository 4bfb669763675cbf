//! Functions of one pair of shapes or one contact, called from the kernel's loops: recorded from what the processor
//! runs.

use super::pairs::{Contacts, Softness};
use super::spaces::{Spaces, argument, argument3, packed, private, results, store_all};
use crate::collision::{make_frame, near_plane, near_sphere, touches};
use crate::cone;
use crate::constraint::{jacobian, soften};
use crate::cost;
use crate::data::Contact;
use crate::math::sub;
use crate::real::{Mask, Real};
use crate::record::{Function, Rec, RecMask};
use crate::topology::PairDof;
use pavlov_model::{Cone, GeomKind};

/// Numbers that describe a pair of solids: reach, then position, orientation and size of each.
pub(crate) const SOLIDS: usize = 31;

/// Where the numbers of a possible contact point are in what [`touch`] returns of it.
pub(crate) mod point {
    /// 1 where the point is there.
    pub const FOUND: usize = 0;
    /// Distance.
    pub const DIST: usize = 1;
    /// Position, 3 numbers.
    pub const POS: usize = 2;
    /// Contact frame, 9 numbers.
    pub const FRAME: usize = 5;
    /// Numbers of a point.
    pub const LEN: usize = 14;
}

/// Numbers of a contact's frame and position, in this order.
const GEOMETRY: usize = 12;

/// Name of the function that finds where two kinds touch.
pub(crate) fn touch_name(kinds: (GeomKind, GeomKind)) -> String {
    format!("touch_{:?}_{:?}", kinds.0, kinds.1).to_lowercase()
}

/// The function, and how many points it returns. `pair` is any pair of these kinds.
pub(crate) fn touch(spaces: &Spaces<'_>, pair: usize) -> (Function, usize) {
    let (physics, model) = (spaces.physics, spaces.physics.model());
    let (g1, g2) = (model.pairs[pair].geom1, model.pairs[pair].geom2);
    let kinds = (model.geoms[g1].kind, model.geoms[g2].kind);
    let mut points = 0;
    let function = Function::record(&touch_name(kinds), || {
        let (mut params, mut d) = (physics.params::<Rec>(), physics.data::<Rec>());
        for (g, at) in [(g1, 1), (g2, 16)] {
            d.geom_xpos[g] = argument3(at);
            d.geom_xmat[g] = [argument3(at + 3), argument3(at + 6), argument3(at + 9)];
            params.geom_size[g] = argument3(at + 12);
            // where a test asks for the world z axis of a round geom, that is the last column
            params.geom_quat[g] = [Rec::ONE, Rec::ZERO, Rec::ZERO, Rec::ZERO];
            d.xmat[model.geoms[g].body] = d.geom_xmat[g];
        }
        if let Some(found) = touches(model, &params, &d, g1, g2, argument(0)) {
            points = found.len;
            let mut numbers = vec![Rec::ZERO; point::LEN * points];
            for (t, row) in found.points.iter().zip(numbers.chunks_exact_mut(point::LEN)) {
                row[point::FOUND] = t.found.number();
                row[point::DIST] = t.dist;
                row[point::POS..][..3].copy_from_slice(&t.pos);
                row[point::FRAME..][..9].copy_from_slice(make_frame(t.normal, found.hint).as_flattened());
            }
            results(&numbers);
        }
    });
    (function.with_arguments(SOLIDS), points)
}

/// The bounding tests: they take the arguments of the processor's tests, with vectors spread out.
pub(crate) fn bounds() -> [Function; 2] {
    [
        Function::record("near_plane", || {
            let plane = near_plane(argument3(0), argument3(3), argument3(6), argument(9), argument(10));
            results(&[plane.number()]);
        }),
        Function::record("near_sphere", || {
            let sphere = near_sphere(argument3(0), argument(3), argument3(4), argument(7), argument(8));
            results(&[sphere.number()]);
        }),
    ]
}

/// Functions of a contact of dimension `dim`. Their argument begins with frame (9) and position (3) where they need the
/// Jacobian; then comes what [`Contacts`] keeps of the contact, in its order. Which dofs move it, and how, is in the
/// private array `sign`.
pub(crate) fn of_dim(spaces: &Spaces<'_>, contacts: &Contacts, dim: usize) -> Vec<Function> {
    let model = spaces.physics.model();
    let elliptic = model.opt.cone == Cone::Elliptic && dim > 1;
    let inverse = contacts.inverse(dim);
    let nv = spaces.physics.topology().nv;
    // every dof may move the contact: the Jacobian of those that do not is zero
    let mut topo = spaces.physics.topology().clone();
    let pair = contacts.pair_of_dim(spaces, dim);
    topo.pairs[pair].dofs = (0..nv).map(|dof| PairDof { dof, minus: false }).collect();
    let topo = &topo;
    // a world with this contact alone; reads frame and position at `geometry`, and from `at` on z, dz (if asked for),
    // d, mu, mu_reg
    let alone = |geometry: Option<usize>, at: Option<(usize, bool)>| {
        let mut c = blank(dim, pair);
        if let Some((mut at, with_dz)) = at {
            let mut next = |n: usize, to: &mut [Rec]| {
                to[..n].iter_mut().enumerate().for_each(|(k, x)| *x = argument(at + k));
                at += n;
            };
            next(dim, &mut c.z);
            if with_dz {
                next(dim, &mut c.dz);
            }
            next(inverse, &mut c.d);
            next(dim - 1, &mut c.mu);
            if elliptic {
                c.mu_reg = argument(at);
            }
        }
        let mut d = spaces.data();
        (d.limits, d.frictions) = (Vec::new(), Vec::new());
        (d.rows.z, d.rows.dz, d.rows.d) = (Vec::new(), Vec::new(), Vec::new());
        if !elliptic {
            let edges = (2 * (dim - 1)).max(1);
            d.rows.z = vec![Rec::ZERO; edges];
            d.rows.dz = vec![Rec::ZERO; edges];
            d.rows.d = vec![c.d[0]; edges];
            cost::edges(&c, &c.z, &mut d.rows.z);
            cost::edges(&c, &c.dz, &mut d.rows.dz);
        }
        if let Some(at) = geometry {
            c.frame = [argument3(at), argument3(at + 3), argument3(at + 6)];
            c.pos = argument3(at + 9);
            for i in 0..nv {
                let root = model.bodies[model.dofs[i].body].root;
                let arm = sub(c.pos, d.subtree_com[root]);
                let sign = Rec::load(private("sign", i));
                let along = jacobian(&c.frame, dim, &d.cdof[i], arm, false);
                d.efc_j.extend(along[..dim].iter().map(|&j| sign * j));
            }
        }
        d.contacts = vec![c];
        d
    };
    let name = |function: &str| format!("{function}_{dim}");
    let state = dim + inverse + dim - 1 + usize::from(elliptic);
    vec![
        Function::record(&name("speed"), || {
            let mut d = alone(Some(0), None);
            d.solve.search = d.state.qvel.clone();
            cost::slopes(model, topo, &mut d);
            results(&d.contacts[0].dz[..dim]);
        })
        .with_arguments(GEOMETRY),
        Function::record(&name("residual"), || {
            let mut d = alone(Some(0), None);
            for k in 0..dim {
                d.contacts[0].aref[k] = argument(GEOMETRY + k);
            }
            cost::residuals(model, topo, &mut d);
            results(&d.contacts[0].z[..dim]);
        })
        .with_arguments(GEOMETRY + dim),
        Function::record(&name("slope"), || {
            let mut d = alone(Some(0), None);
            cost::slopes(model, topo, &mut d);
            results(&d.contacts[0].dz[..dim]);
        })
        .with_arguments(GEOMETRY),
        Function::record(&name("push"), || {
            let mut d = alone(Some(0), Some((GEOMETRY, false)));
            let before = d.qfrc_constraint.clone();
            cost::forces(model, topo, &mut d);
            let sum: Vec<Rec> = before.iter().zip(&d.qfrc_constraint).map(|(&a, &b)| a + b).collect();
            store_all("qcon", &sum);
        })
        .with_arguments(GEOMETRY + state),
        Function::record(&name("stiffen"), || {
            let mut d = alone(Some(0), Some((GEOMETRY, false)));
            d.qm = d.solve.h.clone();
            cost::hessian(model, topo, &mut d);
            for i in 0..nv {
                for j in 0..=i {
                    d.solve.h[i * nv + j].store(private("hess", packed(i, j)));
                }
            }
        })
        .with_arguments(GEOMETRY + state),
        Function::record(&name("force"), || {
            let d = alone(None, Some((0, false)));
            let c = &d.contacts[0];
            let force = if elliptic { cone::force(c, &c.z).force } else { cost::edge_forces(c, &d.rows) };
            results(&force[..dim]);
        })
        .with_arguments(state),
        Function::record(&name("derivatives"), || {
            let d = alone(None, Some((0, true)));
            results(&cost::derivatives(model, &d, [Rec::ZERO; 2], argument(state + dim)));
        })
        .with_arguments(state + dim + 1),
        Function::record(&name("unchanged"), || {
            let d = alone(None, Some((0, true)));
            results(&[cost::unchanged_by_full_step(model, &d).number()]);
        })
        .with_arguments(state + dim),
    ]
}

fn blank(dim: usize, pair: usize) -> Contact<Rec> {
    Contact {
        pair,
        dim,
        detected: RecMask::splat(true),
        active: RecMask::splat(true),
        dist: Rec::ZERO,
        pos: [Rec::ZERO; 3],
        frame: [[Rec::ZERO; 3]; 3],
        mu: [Rec::ZERO; 5],
        aref: [Rec::ZERO; 6],
        d: [Rec::ZERO; 6],
        mu_reg: Rec::ZERO,
        force: [Rec::ZERO; 6],
        jac: 0,
        row: 0,
        z: [Rec::ZERO; 6],
        dz: [Rec::ZERO; 6],
    }
}

/// The function that gives a contact its reference accelerations and regularisers. Arguments: distance, weight, speeds,
/// frictions.
pub(crate) fn softness(spaces: &Spaces<'_>, contacts: &Contacts, class: &Softness) -> Function {
    let (model, dim) = (spaces.physics.model(), class.dim);
    Function::record(&class.name(), || {
        let mut c = blank(dim, class.pair);
        c.dist = argument(0);
        let mut speed = [Rec::ZERO; 6];
        for k in 0..dim {
            speed[k] = argument(2 + k);
        }
        for k in 0..dim - 1 {
            c.mu[k] = argument(2 + dim + k);
        }
        soften(model, &model.pairs[class.pair], argument(1), &speed, &mut c);
        let mut numbers = c.aref[..dim].to_vec();
        numbers.extend(&c.d[..contacts.inverse(dim)]);
        if contacts.elliptic {
            numbers.push(c.mu_reg);
        }
        results(&numbers);
    })
    .with_arguments(1 + dim + dim)
}

/// Turns a force in the contact frame into force and torque on the second body in world axes. Arguments: frame, force.
pub(crate) fn wrench() -> Function {
    Function::record("world_wrench", || {
        let mut c = blank(6, 0);
        c.frame = [argument3(0), argument3(3), argument3(6)];
        c.force = [9, 10, 11, 12, 13, 14].map(argument);
        let (force, torque) = crate::sensor::contact_wrench(&c);
        results(&[force, torque].concat());
    })
    .with_arguments(15)
}
