//! Candidate contact pairs: MuJoCo's static filters, mixing rules, explicit pairs and exclusions.
//!
//! Since MuJoCo 3.5 margin and gap of two geoms add up. Pairs are tested one by one in every step, and buffers are
//! sized for all of them to touch at once, so their number is bounded.

use crate::attrs::Attrs;
use crate::body::{DEFAULT_SOLIMP, DEFAULT_SOLREF};
use crate::error::ModelError;
use crate::model::*;
use crate::reader::Reader;
use crate::schema;
use crate::xml::Element;
use std::collections::HashSet;

const MIN_FRICTION: f64 = 1e-5;
const MINVAL: f64 = 1e-15;
const MAX_PAIRS: usize = 10_000;
/// slide, slide, torsion, roll, roll of a `<pair>` that does not say.
const PAIR_FRICTION: [f64; 5] = [1.0, 1.0, 0.005, 0.0001, 0.0001];

/// Contact points two shapes can have; `None` when the pair is not supported.
fn max_contacts(a: GeomKind, b: GeomKind) -> Option<usize> {
    use GeomKind::*;
    Some(match (a, b) {
        (Plane, Plane) => 0,
        (Plane, Sphere) | (Sphere, Sphere) | (Sphere, Capsule) | (Sphere, Box) => 1,
        (Plane, Capsule) | (Capsule, Capsule) | (Capsule, Box) => 2,
        (Plane, Box) => 4,
        _ => return None,
    })
}

impl Reader {
    /// Fills `model.pairs` from the `<contact>` sections and the geoms' bit masks.
    pub(crate) fn pairs<'a>(&mut self, sections: impl Iterator<Item = &'a Element>) -> Result<(), ModelError> {
        let mut excluded = HashSet::new();
        let mut pairs = Vec::new();
        for e in sections.flat_map(|s| &s.children) {
            match e.tag.as_str() {
                "exclude" => {
                    schema::check(e)?;
                    let bodies = self.model.bodies.iter().map(|b| b.name.as_str());
                    let a = Self::find(e, "body1", "body", bodies.clone())?;
                    let b = Self::find(e, "body2", "body", bodies)?;
                    excluded.insert((a.min(b), a.max(b)));
                }
                "pair" => pairs.push(self.explicit_pair(e)?),
                _ => return Err(e.error("only <pair> and <exclude> may stand in <contact>")),
            }
            self.bound_pairs(&pairs)?;
        }
        let bodies = |p: &Pair| [p.geom1, p.geom2].map(|g| self.model.geoms[g].body);
        pairs.sort_by_key(|p| (bodies(p).into_iter().min(), bodies(p).into_iter().max()));
        let explicit: HashSet<(usize, usize)> = pairs.iter().map(|p: &Pair| (p.geom1, p.geom2)).collect();
        let m = &self.model;
        let touching =
            |b: usize| m.bodies[b].geoms.clone().filter(|&g| m.geoms[g].contype | m.geoms[g].conaffinity != 0);
        let bodies: Vec<usize> = (0..m.bodies.len()).filter(|&b| touching(b).next().is_some()).collect();
        for (n, &b1) in bodies.iter().enumerate() {
            for &b2 in &bodies[n + 1..] {
                if !self.may_touch(b1, b2) || excluded.contains(&(b1, b2)) {
                    continue;
                }
                for g1 in touching(b1) {
                    for g2 in touching(b2) {
                        let (x, y) = (&m.geoms[g1], &m.geoms[g2]);
                        if x.contype & y.conaffinity == 0 && y.contype & x.conaffinity == 0 {
                            continue;
                        }
                        let (a, b) = if x.kind <= y.kind { (g1, g2) } else { (g2, g1) };
                        if explicit.contains(&(a, b)) {
                            continue;
                        }
                        let pair = self.mixed(a, b)?;
                        if pair.max_contacts > 0 {
                            pairs.push(pair);
                            self.bound_pairs(&pairs)?;
                        }
                    }
                }
            }
        }
        self.model.pairs = pairs;
        Ok(())
    }

    /// Refuses more than [`MAX_PAIRS`].
    fn bound_pairs(&self, pairs: &[Pair]) -> Result<(), ModelError> {
        match pairs.last() {
            Some(last) if pairs.len() > MAX_PAIRS => {
                let (file, line) = &self.geom_places[last.geom2];
                let message = format!("more than {MAX_PAIRS} pairs of geoms may touch");
                Err(ModelError::at(file, *line, "geom", message)
                    .with_hint("mask those that never meet with contype/conaffinity or <exclude>"))
            }
            _ => Ok(()),
        }
    }

    /// Static body filters.
    fn may_touch(&self, b1: usize, b2: usize) -> bool {
        let m = &self.model;
        let (w1, w2) = (m.bodies[b1].weld, m.bodies[b2].weld);
        if w1 == w2 {
            return false;
        }
        let parent = |w: usize| m.bodies[m.bodies[w].parent].weld;
        !(self.filter_parent && w1 != 0 && w2 != 0 && (parent(w1) == w2 || parent(w2) == w1))
    }

    /// A pair with the parameters two geoms give it.
    fn mixed(&self, a: usize, b: usize) -> Result<Pair, ModelError> {
        let max_contacts = self.room(a, b, None)?;
        let (x, y) = (&self.model.geoms[a], &self.model.geoms[b]);
        let max3 = |p: Vec3, q: Vec3| [p[0].max(q[0]), p[1].max(q[1]), p[2].max(q[2])];
        let (friction_from, friction, solref, solimp, condim) = match x.priority.cmp(&y.priority) {
            std::cmp::Ordering::Greater => (FrictionFrom::Geom1, x.friction, x.solref, x.solimp, x.condim),
            std::cmp::Ordering::Less => (FrictionFrom::Geom2, y.friction, y.solref, y.solimp, y.condim),
            std::cmp::Ordering::Equal => {
                let w = mix_weight(x.solmix, y.solmix);
                let blend = |p: f64, q: f64| w * p + (1.0 - w) * q;
                let standard = x.solref[0] > 0.0 && y.solref[0] > 0.0;
                let solref = std::array::from_fn(|k| {
                    if standard { blend(x.solref[k], y.solref[k]) } else { x.solref[k].min(y.solref[k]) }
                });
                let solimp = std::array::from_fn(|k| blend(x.solimp[k], y.solimp[k]));
                (FrictionFrom::Max, max3(x.friction, y.friction), solref, solimp, x.condim.max(y.condim))
            }
        };
        let f = friction.map(|v| v.max(MIN_FRICTION));
        Ok(Pair {
            geom1: a,
            geom2: b,
            condim,
            margin: x.margin + y.margin,
            gap: x.gap + y.gap,
            friction: [f[0], f[0], f[1], f[2], f[2]],
            solref,
            solimp,
            friction_from,
            max_contacts,
        })
    }

    /// Contact points of two geoms, or an error, placed at `element`, else at the geom that is not supported.
    fn room(&self, a: usize, b: usize, element: Option<&Element>) -> Result<usize, ModelError> {
        let (x, y) = (&self.model.geoms[a], &self.model.geoms[b]);
        max_contacts(x.kind, y.kind).ok_or_else(|| {
            let name =
                |g: &Geom, i: usize| if g.name.is_empty() { format!("number {i}") } else { format!("`{}`", g.name) };
            let message = format!(
                "geoms {} ({:?}) and {} ({:?}) may touch, and contact of these shapes is not supported",
                name(x, a),
                x.kind,
                name(y, b),
                y.kind
            );
            let culprit = if x.kind == GeomKind::Cylinder { a } else { b };
            let error = match element {
                Some(e) => e.error(message),
                None => ModelError::at(&self.geom_places[culprit].0, self.geom_places[culprit].1, "geom", message),
            };
            error.with_hint(
                "make one of them a sphere or capsule, or mask the pair with contype/conaffinity or <exclude>",
            )
        })
    }

    /// `<pair>`: no filter applies. What neither it nor its class says is that of every pair, whatever its geoms say.
    fn explicit_pair(&self, e: &Element) -> Result<Pair, ModelError> {
        let a = Attrs::classed(e, &self.defaults, None)?;
        if a.partial("solreffriction", [0.0; 2])? != [0.0; 2] {
            return Err(a.error("solreffriction", "is not supported: friction rows use solref; set it to 0 0"));
        }
        let names = self.model.geoms.iter().map(|g| g.name.as_str());
        let g1 = Self::find(e, "geom1", "geom", names.clone())?;
        let g2 = Self::find(e, "geom2", "geom", names)?;
        let order = |g: usize| (self.model.geoms[g].kind, g);
        let (geom1, geom2) = if order(g1) > order(g2) { (g2, g1) } else { (g1, g2) };
        let condim = a.integer("condim", 3, 1..=6)?;
        if ![1, 3, 4, 6].contains(&condim) {
            return Err(a.error("condim", format!("{condim} is not 1, 3, 4 or 6")));
        }
        Ok(Pair {
            geom1,
            geom2,
            condim: condim as u8,
            margin: a.number("margin", 0.0)?,
            gap: a.number("gap", 0.0)?,
            friction: a.partial("friction", PAIR_FRICTION)?.map(|v| v.max(MIN_FRICTION)),
            solref: a.partial("solref", DEFAULT_SOLREF)?,
            solimp: a.partial("solimp", DEFAULT_SOLIMP)?,
            friction_from: FrictionFrom::Explicit,
            max_contacts: self.room(geom1, geom2, Some(e))?,
        })
    }
}

/// Weight of the first geom (`mj_contactParam`).
fn mix_weight(a: f64, b: f64) -> f64 {
    match (a >= MINVAL, b >= MINVAL) {
        (true, true) => a / (a + b),
        (false, false) => 0.5,
        (true, false) => 1.0,
        (false, true) => 0.0,
    }
}
