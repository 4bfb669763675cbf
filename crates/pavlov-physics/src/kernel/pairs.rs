//! How a robot's contacts are laid out for its kernel: the tables of candidate pairs, and the record of a contact.
//!
//! What a world keeps of its contacts, and where its geoms are, is in columns of `work`; a contact is a record of some
//! 25 numbers ([`Offsets`]). All pairs share the tables `tab` (words, [`PairWords`]) and `num` (numbers, [`number`]).

use super::spaces::{POSE, Spaces};
use pavlov_model::{Cone, GeomKind};
use std::collections::BTreeSet;

/// Where the numbers of a pair are in its row of `num`. After all pairs come the sizes of all geoms, then their bodies.
pub(crate) mod number {
    use pavlov_model::Model;

    /// Distance below which points are looked for: margin and gap.
    pub const REACH: usize = 0;
    /// Distance below which a point is a contact.
    pub const MARGIN: usize = 1;
    /// Bounding radius of the first geom.
    pub const RADIUS1: usize = 2;
    /// Bounding radius of the second geom.
    pub const RADIUS2: usize = 3;
    /// Sum of both bodies' translational inverse weights.
    pub const WEIGHT: usize = 4;
    /// Five friction coefficients.
    pub const FRICTION: usize = 5;
    /// Numbers of a pair.
    pub const LEN: usize = 10;

    /// Where the geoms' sizes begin, 3 numbers each.
    pub fn sizes(model: &Model) -> usize {
        LEN * model.pairs.len()
    }

    /// Where the geoms' bodies begin.
    pub fn bodies(model: &Model) -> usize {
        sizes(model) + 3 * model.geoms.len()
    }
}

/// Where the words of a pair are in its row of `tab`.
pub(crate) struct PairWords {
    pub geom1: usize,
    pub geom2: usize,
    /// Index in [`Contacts::kinds`].
    pub kind: usize,
    /// Dimension of its contacts.
    pub dim: usize,
    /// Class of softness.
    pub class: usize,
    /// 1 where it couples branches.
    pub couples: usize,
    /// The dofs that move the second body, as bits.
    pub plus: usize,
    /// The dofs that move the first body, as bits.
    pub minus: usize,
    /// Both bodies.
    pub bodies: usize,
    /// Both geoms' numbers among the feet, from 1; 0 for others.
    pub feet: usize,
    /// Words of a pair.
    pub len: usize,
}

/// WGSL: word `at` of the pair whose words begin at `w`.
pub(crate) fn pair_word(at: usize) -> String {
    if at == 0 { "tab[w]".into() } else { format!("tab[w + {at}u]") }
}

/// WGSL: number `at` of the pair whose numbers begin at `start`.
pub(crate) fn pair_number(start: &str, at: usize) -> String {
    if at == 0 { format!("num[{start}]") } else { format!("num[{start} + {at}u]") }
}

/// Pairs that are equally soft: one recorded function each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Softness {
    pub dim: usize,
    /// A pair of this class.
    pub pair: usize,
    pub class: usize,
}

impl Softness {
    pub fn name(&self) -> String {
        format!("soften_{}", self.class)
    }
}

/// How contacts are laid out for a robot.
#[derive(Debug)]
pub(crate) struct Contacts {
    /// Dimensions that contacts have.
    pub dims: Vec<usize>,
    pub max_dim: usize,
    pub elliptic: bool,
    pub max_contacts: usize,
    pub classes: Vec<Softness>,
    /// Class of each pair.
    class_of: Vec<usize>,
    /// Are all contacts within one kinematic chain?
    pub chains_only: bool,
    /// Columns of `work` that hold the geoms' poses.
    pub geom_columns: usize,
    /// Words of a mask of dofs.
    pub mask_words: usize,
    /// Geoms whose forces are read off.
    pub feet: Vec<usize>,
    pub dofs: usize,
}

/// Where a contact's numbers begin in its record; the pair is number 0.
pub(crate) struct Offsets {
    pub z: usize,
    pub dz: usize,
    pub inverse: usize,
    pub mu: usize,
    pub mu_reg: usize,
    pub aref: usize,
    pub frame: usize,
    pub pos: usize,
    pub dist: usize,
    pub len: usize,
}

impl Contacts {
    pub fn new(spaces: &Spaces<'_>) -> Self {
        let (model, topo) = (spaces.physics.model(), spaces.physics.topology());
        let on = model.opt.contact && !model.pairs.is_empty();
        let dims: BTreeSet<usize> = model.pairs.iter().map(|p| usize::from(p.condim)).filter(|_| on).collect();
        let (mut classes, mut class_of): (Vec<Softness>, Vec<usize>) = (Vec::new(), Vec::new());
        for (i, p) in model.pairs.iter().enumerate() {
            let same = |c: &Softness| {
                let q = &model.pairs[c.pair];
                (q.solref, q.solimp, q.margin, q.condim) == (p.solref, p.solimp, p.margin, p.condim)
            };
            let at = classes.iter().position(same).unwrap_or_else(|| {
                classes.push(Softness { dim: usize::from(p.condim), pair: i, class: classes.len() });
                classes.len() - 1
            });
            class_of.push(at);
        }
        Self {
            max_dim: dims.last().copied().unwrap_or(1),
            dims: dims.into_iter().collect(),
            elliptic: model.opt.cone == Cone::Elliptic,
            max_contacts: if on { topo.max_contacts } else { 0 },
            classes,
            class_of,
            chains_only: topo.pairs.iter().all(|p| p.chain),
            geom_columns: POSE * model.geoms.len(),
            mask_words: topo.nv.div_ceil(32),
            feet: Vec::new(),
            dofs: topo.nv,
        }
    }

    /// The same, reading off the forces on these geoms too.
    pub fn with_feet(self, feet: &[usize]) -> Self {
        Self { feet: feet.to_vec(), ..self }
    }

    /// A pair whose contacts have this dimension.
    pub fn pair_of_dim(&self, spaces: &Spaces<'_>, dim: usize) -> usize {
        let pairs = &spaces.physics.model().pairs;
        pairs.iter().position(|p| usize::from(p.condim) == dim).unwrap_or_default()
    }

    /// Inverse regularisers kept for a contact of this dimension.
    pub fn inverse(&self, dim: usize) -> usize {
        if self.elliptic { dim } else { 1 }
    }

    pub fn offsets(&self) -> Offsets {
        let mut at = 1;
        let mut next = |n: usize| {
            at += n;
            at - n
        };
        let d = self.max_dim;
        let (z, dz, inverse, mu) = (next(d), next(d), next(self.inverse(d)), next(d - 1));
        let (mu_reg, aref) = (next(usize::from(self.elliptic)), next(d));
        let (frame, pos, dist) = (next(9), next(3), next(1));
        Offsets { z, dz, inverse, mu, mu_reg, aref, frame, pos, dist, len: next(0) }
    }

    /// Columns of the `work` buffer.
    pub fn work_columns(&self) -> usize {
        self.geom_columns + self.max_contacts * self.offsets().len
    }

    /// Where the words of a pair are in the table.
    pub fn words(&self) -> PairWords {
        let mut at = 0;
        let mut next = |n: usize| {
            at += n;
            at - n
        };
        PairWords {
            geom1: next(1),
            geom2: next(1),
            kind: next(1),
            dim: next(1),
            class: next(1),
            couples: next(1),
            plus: next(self.mask_words),
            minus: next(self.mask_words),
            bodies: next(2),
            feet: next(2),
            len: next(0),
        }
    }

    /// The tables of words ([`PairWords`] of each pair) and of numbers ([`number`]).
    pub fn tables(&self, spaces: &Spaces<'_>) -> (Vec<u32>, Vec<f32>) {
        let (model, topo) = (spaces.physics.model(), spaces.physics.topology());
        let base = spaces.physics.params::<f64>();
        let kinds = self.kinds(spaces);
        let at = self.words();
        let mut words = vec![0u32; at.len * model.pairs.len()];
        let mut numbers = vec![0.0; number::LEN * model.pairs.len()];
        let foot = |g: usize| self.feet.iter().position(|&f| f == g).map_or(0, |f| f as u32 + 1);
        let rows = words.chunks_exact_mut(at.len).zip(numbers.chunks_exact_mut(number::LEN));
        for (i, (word, num)) in rows.enumerate() {
            let (p, pt) = (&model.pairs[i], &topo.pairs[i]);
            word[at.geom1] = p.geom1 as u32;
            word[at.geom2] = p.geom2 as u32;
            word[at.kind] = kinds.iter().position(|k| k.0 == kind_of(spaces, i)).unwrap_or_default() as u32;
            word[at.dim] = u32::from(p.condim);
            word[at.class] = self.class_of[i] as u32;
            word[at.couples] = u32::from(!pt.chain);
            for d in &pt.dofs {
                word[if d.minus { at.minus } else { at.plus } + d.dof / 32] |= 1 << (d.dof % 32);
            }
            word[at.bodies..][..2].copy_from_slice(&[pt.body1 as u32, pt.body2 as u32]);
            word[at.feet..][..2].copy_from_slice(&[foot(p.geom1), foot(p.geom2)]);
            num[number::REACH] = p.margin + p.gap;
            num[number::MARGIN] = p.margin;
            num[number::RADIUS1] = model.geoms[p.geom1].rbound;
            num[number::RADIUS2] = model.geoms[p.geom2].rbound;
            num[number::WEIGHT] = base.body_invweight0[pt.body1][0] + base.body_invweight0[pt.body2][0];
            num[number::FRICTION..][..5].copy_from_slice(&base.pair_friction[i]);
        }
        numbers.extend(base.geom_size.iter().flatten());
        numbers.extend(model.geoms.iter().map(|g| g.body as f64));
        let numbers = numbers.into_iter().map(|x: f64| x.clamp(-3e38, 3e38) as f32).collect();
        (words, numbers)
    }

    /// The kinds of pairs, with a pair of each.
    pub fn kinds(&self, spaces: &Spaces<'_>) -> Vec<((GeomKind, GeomKind), usize)> {
        let mut kinds: Vec<((GeomKind, GeomKind), usize)> = Vec::new();
        for i in 0..spaces.physics.model().pairs.len() {
            if !kinds.iter().any(|k| k.0 == kind_of(spaces, i)) {
                kinds.push((kind_of(spaces, i), i));
            }
        }
        kinds
    }
}

fn kind_of(spaces: &Spaces<'_>, pair: usize) -> (GeomKind, GeomKind) {
    let model = spaces.physics.model();
    (model.geoms[model.pairs[pair].geom1].kind, model.geoms[model.pairs[pair].geom2].kind)
}
