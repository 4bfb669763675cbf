//! What a kernel keeps of a world, and the bridge between those arrays and the stages' own structures.
//!
//! Private arrays (one per thread, a thread is a world) hold what one stage leaves for the next; their names are in
//! [`Array`].

use crate::constraint;
use crate::data::{Data, FrictionRow, Limit};
use crate::math::V3;
use crate::params::{Field, Params};
use crate::physics::Physics;
use crate::real::Real;
use crate::record::{Function, Place, Rec, Space};
use std::cell::RefCell;

/// Columns of `work` with the pose of a geom: position, then matrix.
pub(crate) const POSE: usize = 12;
/// Where the matrix begins among them.
pub(crate) const POSE_MATRIX: usize = 3;

/// A private array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array {
    pub name: &'static str,
    pub len: usize,
}

/// Shape of a limit row, known from the model.
#[derive(Debug, Clone)]
struct LimitShape {
    joint: usize,
    dof: usize,
    n: usize,
    /// Constant parts of the Jacobian.
    coef: [Option<f64>; 3],
}

/// Everything static about a kernel's arrays.
#[derive(Debug)]
pub(crate) struct Spaces<'a> {
    pub physics: &'a Physics,
    /// Fields of the parameters that differ between worlds, and where each begins in the `par` columns.
    pub varied: Vec<(Field, usize)>,
    limits: Vec<LimitShape>,
    frictions: Vec<usize>,
}

/// Number `index` of a private array.
pub(crate) fn private(name: &'static str, index: usize) -> Place {
    Place { space: Space::Private(name), index: index as u32 }
}

/// Column `index` of a buffer.
pub(crate) fn column(name: &'static str, index: usize) -> Place {
    Place { space: Space::Column(name), index: index as u32 }
}

pub(crate) fn load_all(name: &'static str, to: &mut [Rec]) {
    for (i, x) in to.iter_mut().enumerate() {
        *x = Rec::load(private(name, i));
    }
}

pub(crate) fn store_all(name: &'static str, from: &[Rec]) {
    for (i, x) in from.iter().enumerate() {
        x.store(private(name, i));
    }
}

/// Element `index` of the function's argument.
pub(crate) fn argument(index: usize) -> Rec {
    Rec::load(Place { space: Space::Argument, index: index as u32 })
}

pub(crate) fn argument3(index: usize) -> V3<Rec> {
    [argument(index), argument(index + 1), argument(index + 2)]
}

/// Returns numbers from the function that is recorded.
pub(crate) fn results(values: &[Rec]) {
    for (i, x) in values.iter().enumerate() {
        x.store(Place { space: Space::Result, index: i as u32 });
    }
}

/// Where entry (i, j), j <= i, of a packed lower triangle is.
pub(crate) fn packed(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

impl<'a> Spaces<'a> {
    pub fn new(physics: &'a Physics, varied: &[Field]) -> Self {
        let mut at = 0;
        let model = physics.model();
        let mut base = physics.params::<f64>();
        let varied = varied
            .iter()
            .map(|&field| {
                let begin = at;
                at += base.numbers_mut(field).len();
                (field, begin)
            })
            .collect();
        let shapes = RefCell::new((Vec::new(), Vec::new()));
        // the rows that are always there; their text is not used here
        Function::record("shape", || {
            let (params, mut d) = (physics.params::<Rec>(), physics.data::<Rec>());
            load_all("qpos", &mut d.state.qpos);
            load_all("qvel", &mut d.state.qvel);
            constraint::make(model, physics.topology(), &params, &mut d);
            let limit =
                |l: &Limit<Rec>| LimitShape { joint: l.joint, dof: l.dof, n: l.n, coef: l.coef.map(Rec::constant) };
            shapes.replace((d.limits.iter().map(limit).collect(), d.frictions.iter().map(|f| f.dof).collect()));
        });
        let (limits, frictions) = shapes.into_inner();
        Self { physics, varied, limits, frictions }
    }

    /// Columns of the parameters that differ.
    pub fn param_columns(&self) -> usize {
        let mut base = self.physics.params::<f64>();
        self.varied.iter().map(|(f, _)| base.numbers_mut(*f).len()).sum()
    }

    /// Where a field begins in `par`, if it differs between worlds.
    pub fn varied_at(&self, field: Field) -> Option<usize> {
        self.varied.iter().find(|v| v.0 == field).map(|v| v.1)
    }

    /// All private arrays.
    pub fn arrays(&self) -> Vec<Array> {
        let (model, nv) = (self.physics.model(), self.physics.topology().nv);
        let (nl, nf) = (self.limits.len(), self.frictions.len());
        [
            ("qpos", model.nq()),
            ("qvel", nv),
            ("warm", nv),
            ("time", 1),
            ("ctrl", model.nu()),
            ("sign", nv),
            ("cdof", 6 * nv),
            ("com", 3 * model.bodies.len()),
            ("qm", nv * (nv + 1) / 2),
            ("bias", nv),
            ("act", model.nu()),
            ("qact", nv),
            ("qfrc", nv),
            ("smooth_acc", nv),
            ("qacc", nv),
            ("qcon", nv),
            ("ma", nv),
            ("mv", nv),
            ("grad", nv),
            ("search", nv),
            ("hess", nv * (nv + 1) / 2),
            ("lim_z", nl),
            ("lim_dz", nl),
            ("lim_d", nl),
            ("lim_aref", nl),
            ("lim_coef", 3 * nl),
            ("fri_z", nf),
            ("fri_dz", nf),
            ("fri_d", nf),
            ("fri_aref", nf),
            ("floating", 25 * self.physics.topology().floating.len()),
            ("rk_qpos", model.nq()),
            ("rk_qvel", nv),
            ("rk_vsum", nv),
            ("rk_asum", nv),
            ("rk_v", nv),
            ("rk_time", 1),
            ("seen_qpos", model.nq()),
            ("seen_qvel", nv),
        ]
        .into_iter()
        .map(|(name, len)| Array { name, len: len.max(1) })
        .collect()
    }

    /// The parameters: constants of the robot, or columns where worlds differ.
    pub fn params(&self) -> Params<Rec> {
        let mut params = self.physics.params::<Rec>();
        for &(field, begin) in &self.varied {
            for (i, x) in params.numbers_mut(field).into_iter().enumerate() {
                *x = Rec::load(column("par", begin + i));
            }
        }
        params
    }

    /// The stages' data, with every array loaded.
    pub fn data(&self) -> Data<Rec> {
        let (model, topo) = (self.physics.model(), self.physics.topology());
        let mut d = self.physics.data::<Rec>();
        load_all("qpos", &mut d.state.qpos);
        load_all("qvel", &mut d.state.qvel);
        load_all("warm", &mut d.state.qacc_warmstart);
        d.state.time = Rec::load(private("time", 0));
        load_all("ctrl", &mut d.ctrl);
        load_all("act", &mut d.actuator_force);
        load_all("qact", &mut d.qfrc_actuator);
        load_all("qfrc", &mut d.qfrc_smooth);
        load_all("smooth_acc", &mut d.qacc_smooth);
        load_all("qacc", &mut d.qacc);
        load_all("qcon", &mut d.qfrc_constraint);
        load_all("ma", &mut d.solve.ma);
        load_all("mv", &mut d.solve.mv);
        load_all("grad", &mut d.solve.grad);
        load_all("search", &mut d.solve.search);
        load_all("rk_qpos", &mut d.rk.qpos0);
        load_all("rk_qvel", &mut d.rk.qvel0);
        load_all("rk_vsum", &mut d.rk.v_sum);
        load_all("rk_asum", &mut d.rk.a_sum);
        load_all("rk_v", &mut d.rk.v);
        d.rk.time0 = Rec::load(private("rk_time", 0));
        for i in 0..topo.nv {
            load_all6("cdof", i, &mut d.cdof[i]);
        }
        for (b, com) in d.subtree_com.iter_mut().enumerate() {
            *com = [0, 1, 2].map(|k| Rec::load(private("com", 3 * b + k)));
        }
        self.each_mass(|i, j| d.qm[i * topo.nv + j] = Rec::load(private("qm", packed(i, j))));
        for i in 0..topo.nv {
            for j in 0..=i {
                d.solve.h[i * topo.nv + j] = Rec::load(private("hess", packed(i, j)));
            }
        }
        for (n, &b) in topo.floating.iter().enumerate() {
            let mut at = 25 * n;
            let mut next = || {
                at += 1;
                Rec::load(private("floating", at - 1))
            };
            d.xmat[b].as_flattened_mut().iter_mut().for_each(|x| *x = next());
            d.crb[b].iter_mut().for_each(|x| *x = next());
            d.xpos[b].iter_mut().for_each(|x| *x = next());
            d.subtree_com[model.bodies[b].root].iter_mut().for_each(|x| *x = next());
        }
        let params = self.params();
        d.limits.clear();
        for (row, l) in self.limits.iter().enumerate() {
            let coef = [0, 1, 2].map(|k| match l.coef[k] {
                Some(value) => Rec::splat(value),
                None => Rec::load(private("lim_coef", 3 * row + k)),
            });
            let aref = Rec::load(private("lim_aref", row));
            d.limits.push(Limit { joint: l.joint, dof: l.dof, n: l.n, coef, row, aref });
            d.rows.d.push(Rec::load(private("lim_d", row)));
            d.rows.z.push(Rec::load(private("lim_z", row)));
            d.rows.dz.push(Rec::load(private("lim_dz", row)));
        }
        for (row, &dof) in self.frictions.iter().enumerate() {
            let row_of = |name| Rec::load(private(name, row));
            let loss = params.dof_frictionloss[dof];
            let (d_, aref, z, dz) = (row_of("fri_d"), row_of("fri_aref"), row_of("fri_z"), row_of("fri_dz"));
            d.frictions.push(FrictionRow { dof, d: d_, aref, loss, z, dz });
        }
        d
    }

    /// Entries of the mass matrix that are not zero.
    pub fn each_mass(&self, mut f: impl FnMut(usize, usize)) {
        let topo = self.physics.topology();
        for i in 0..topo.nv {
            f(i, i);
            for &j in &topo.dof_ancestors[i] {
                f(i, j);
            }
        }
    }

    /// Stores what the floating bodies' integration needs.
    pub fn store_floating(&self, d: &Data<Rec>) {
        for (n, &b) in self.physics.topology().floating.iter().enumerate() {
            let com = d.subtree_com[self.physics.model().bodies[b].root];
            let numbers = d.xmat[b].as_flattened().iter().chain(&d.crb[b]).chain(&d.xpos[b]).chain(&com);
            for (k, x) in numbers.enumerate() {
                x.store(private("floating", 25 * n + k));
            }
        }
    }

    /// Stores the rows that `constraint::make` built.
    pub fn store_rows(&self, d: &Data<Rec>) {
        for (row, l) in d.limits.iter().enumerate() {
            l.aref.store(private("lim_aref", row));
            d.rows.d[row].store(private("lim_d", row));
            for k in 0..3 {
                if self.limits[row].coef[k].is_none() {
                    l.coef[k].store(private("lim_coef", 3 * row + k));
                }
            }
        }
        for (row, f) in d.frictions.iter().enumerate() {
            f.d.store(private("fri_d", row));
            f.aref.store(private("fri_aref", row));
        }
    }
}

pub(crate) fn load_all6(name: &'static str, i: usize, to: &mut [Rec; 6]) {
    for (k, x) in to.iter_mut().enumerate() {
        *x = Rec::load(private(name, 6 * i + k));
    }
}
