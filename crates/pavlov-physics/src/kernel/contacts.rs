//! Contacts in a kernel: tables of candidate pairs, and loops over the contacts a world has, around recorded functions.
//!
//! What a world keeps of its contacts, and where its geoms are, is in columns of `work`; a contact is a record of some 25 numbers
//! ([`Offsets`]). Private arrays are indexed by constants only: drivers keep such arrays in registers, and some write a ladder of
//! comparisons for every other access. So a contact's Jacobian is made anew from the motion axes of all dofs, times 0 or ±1 each.

use super::env::ReadOff;
use super::leaves;
use super::spaces::Spaces;
use crate::params::Field;
use pavlov_model::{Cone, GeomKind};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Numbers of a pair in the table, before its sizes.
const PAIR_NUMBERS: usize = 10;

/// Pairs that are equally soft: one recorded function each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Softness {
    pub dim: usize,
    /// A pair of this class.
    pub pair: usize,
    class: usize,
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
    max_dim: usize,
    pub elliptic: bool,
    pub max_contacts: usize,
    classes: Vec<Softness>,
    class_of: Vec<usize>,
    /// Are all contacts within one kinematic chain?
    pub chains_only: bool,
    /// Columns of `work` that hold the geoms' poses.
    geom_columns: usize,
    /// Words of a mask of dofs.
    mask_words: usize,
    /// Geoms whose forces are read off.
    feet: Vec<usize>,
    dofs: usize,
}

/// Where a contact's numbers begin in its record; the pair is number 0.
struct Offsets {
    z: usize,
    dz: usize,
    inverse: usize,
    mu: usize,
    mu_reg: usize,
    aref: usize,
    frame: usize,
    pos: usize,
    dist: usize,
    len: usize,
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
            geom_columns: 12 * model.geoms.len(),
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

    fn offsets(&self) -> Offsets {
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

    /// Words of a pair: geoms, kind, dimension, softness class, 1 where it couples branches; then the dofs that move the second body, and those
    /// that move the first, as bits; then both bodies, and both geoms' numbers among the feet, from 1 (0 for others).
    fn pair_words(&self) -> usize {
        10 + 2 * self.mask_words
    }

    /// The table of pairs ([`Contacts::pair_words`]) and of numbers: reach, margin, bounding radii, weight and 5 frictions of each pair, then the
    /// sizes of all geoms, then their bodies.
    pub fn tables(&self, spaces: &Spaces<'_>) -> (Vec<u32>, Vec<f32>) {
        let (model, topo) = (spaces.physics.model(), spaces.physics.topology());
        let base = spaces.physics.params::<f64>();
        let kinds = self.kinds(spaces);
        let (mut words, mut numbers) = (Vec::new(), Vec::new());
        for (i, (p, pt)) in model.pairs.iter().zip(&topo.pairs).enumerate() {
            let kind = kinds.iter().position(|k| k.0 == kind_of(spaces, i)).unwrap_or_default();
            let all = [p.geom1, p.geom2, kind, usize::from(p.condim), self.class_of[i], usize::from(!pt.chain)];
            words.extend(all.map(|w| w as u32));
            for minus in [false, true] {
                let mut mask = vec![0u32; self.mask_words];
                for d in pt.dofs.iter().filter(|d| d.minus == minus) {
                    mask[d.dof / 32] |= 1 << (d.dof % 32);
                }
                words.extend(mask);
            }
            let foot = |g: usize| self.feet.iter().position(|&f| f == g).map_or(0, |f| f as u32 + 1);
            words.extend([pt.body1 as u32, pt.body2 as u32, foot(p.geom1), foot(p.geom2)]);
            let weight = base.body_invweight0[pt.body1][0] + base.body_invweight0[pt.body2][0];
            let radius = |g: usize| model.geoms[g].rbound;
            numbers.extend([p.margin + p.gap, p.margin, radius(p.geom1), radius(p.geom2), weight]);
            numbers.extend(base.pair_friction[i]);
        }
        numbers.extend(base.geom_size.iter().flatten());
        numbers.extend(model.geoms.iter().map(|g| g.body as f64));
        let numbers = numbers.into_iter().map(|x: f64| x.clamp(-3e38, 3e38) as f32).collect();
        (words, numbers)
    }

    /// The kinds of pairs, with a pair of each.
    fn kinds(&self, spaces: &Spaces<'_>) -> Vec<((GeomKind, GeomKind), usize)> {
        let mut kinds: Vec<((GeomKind, GeomKind), usize)> = Vec::new();
        for i in 0..spaces.physics.model().pairs.len() {
            if !kinds.iter().any(|k| k.0 == kind_of(spaces, i)) {
                kinds.push((kind_of(spaces, i), i));
            }
        }
        kinds
    }

    /// Declarations, recorded functions and loops.
    pub fn text(&self, spaces: &Spaces<'_>) -> String {
        let mut text = "var<private> ncon: u32;\nvar<private> coupled: bool;\n".to_string();
        if self.max_contacts == 0 {
            return text;
        }
        let at = self.geom_columns;
        let _ = writeln!(
            text,
            "fn con(i: u32) -> f32 {{ return work[({at}u + i) * worlds + world]; }}
fn set_con(i: u32, x: f32) {{ work[({at}u + i) * worlds + world] = x; }}
fn geom(i: u32) -> f32 {{ return work[i * worlds + world]; }}"
        );
        for f in leaves::bounds() {
            text.push_str(&f.text());
        }
        text.push_str(&leaves::wrench().text());
        for class in &self.classes {
            text.push_str(&leaves::softness(spaces, self, class).text());
        }
        text.push_str(&self.signs());
        for &dim in &self.dims {
            for f in leaves::of_dim(spaces, self, dim) {
                text.push_str(&f.text());
            }
            text.push_str(&self.take(spaces, dim));
        }
        text.push_str(&self.take_point());
        text.push_str(&self.collide(spaces));
        text
    }

    /// Sets `sign` for a pair.
    fn signs(&self) -> String {
        let mut text = "fn set_signs(w: u32) {\n".to_string();
        for m in 0..self.mask_words {
            let _ = writeln!(text, "let p{m} = tab[w + {}u]; let m{m} = tab[w + {}u];", 6 + m, 6 + self.mask_words + m);
        }
        for i in 0..self.dofs {
            let (m, bit) = (i / 32, i % 32);
            let _ = writeln!(text, "sign[{i}] = f32((p{m} >> {bit}u) & 1u) - f32((m{m} >> {bit}u) & 1u);");
        }
        text + "}\n"
    }

    /// A loop over the world's contacts; `body` sees `c` (the record) and `w` (the pair's words), and `$D` is the dimension. With `signs` it also
    /// knows which dofs move the contact.
    fn each(&self, signs: bool, body: impl Fn(usize) -> String) -> String {
        if self.max_contacts == 0 {
            return String::new();
        }
        let inner = match self.dims[..] {
            [dim] => body(dim),
            _ => {
                let cases: String = self.dims.iter().map(|&d| format!("case {d}u: {{ {} }}\n", body(d))).collect();
                format!("switch (tab[w + 3u]) {{\n{cases}default: {{}}\n}}")
            }
        };
        format!(
            "for (var i = 0u; i < ncon; i++) {{
let c = i * {len}u; let w = u32(con(c)) * {words}u;
{signs}{inner}
}}\n",
            len = self.offsets().len,
            words = self.pair_words(),
            signs = if signs { "set_signs(w);\n" } else { "" },
        )
    }

    fn run(&self, from: usize, n: usize) -> impl Iterator<Item = String> {
        (from..from + n).map(|k| format!("con(c + {k}u)"))
    }

    /// Frame and position, as the recorded functions take them.
    fn geometry(&self) -> Vec<String> {
        let o = self.offsets();
        self.run(o.frame, 9).chain(self.run(o.pos, 3)).collect()
    }

    /// `z, dz, d, mu, mu_reg`.
    fn kept(&self, dim: usize, with_dz: bool) -> Vec<String> {
        let o = self.offsets();
        let reg = usize::from(self.elliptic && dim > 1);
        let dz = if with_dz { dim } else { 0 };
        let own = self.run(o.inverse, self.inverse(dim)).chain(self.run(o.mu, dim - 1)).chain(self.run(o.mu_reg, reg));
        self.run(o.z, dim).chain(self.run(o.dz, dz)).chain(own).collect()
    }

    fn call(name: &str, dim: usize, arguments: &[String]) -> String {
        format!("{name}_{dim}(array<f32, {}>({}))", arguments.len(), arguments.join(", "))
    }

    /// Residuals at `qacc`.
    pub fn residuals(&self) -> String {
        let o = self.offsets();
        self.each(true, |dim| {
            let arguments: Vec<String> = self.geometry().into_iter().chain(self.run(o.aref, dim)).collect();
            let keep: String = (0..dim).map(|k| format!("set_con(c + {}u, r[{k}]); ", o.z + k)).collect();
            format!("let r = {}; {keep}", Self::call("residual", dim, &arguments))
        })
    }

    /// Change of the residuals along `search`.
    pub fn slopes(&self) -> String {
        let o = self.offsets();
        self.each(true, |dim| {
            let keep: String = (0..dim).map(|k| format!("set_con(c + {}u, r[{k}]); ", o.dz + k)).collect();
            format!("let r = {}; {keep}", Self::call("slope", dim, &self.geometry()))
        })
    }

    /// Adds forces to `qcon`.
    pub fn forces(&self) -> String {
        self.each(true, |dim| {
            let arguments = [self.geometry(), self.kept(dim, false)].concat();
            format!("{};", Self::call("push", dim, &arguments))
        })
    }

    /// Adds to `hess`.
    pub fn hessian(&self) -> String {
        self.each(true, |dim| {
            let arguments = [self.geometry(), self.kept(dim, false)].concat();
            format!("{};", Self::call("stiffen", dim, &arguments))
        })
    }

    /// Adds slope and curvature at `alpha` to `sum`.
    pub fn derivatives(&self) -> String {
        self.each(false, |dim| {
            let mut arguments = self.kept(dim, true);
            arguments.push("alpha".into());
            format!("let g = {}; sum += vec2<f32>(g[0], g[1]);", Self::call("derivatives", dim, &arguments))
        })
    }

    /// Returns false where a full step changes a contact's state.
    pub fn unchanged(&self) -> String {
        self.each(false, |dim| {
            format!("if ({}[0] < 0.5f) {{ return false; }}", Self::call("unchanged", dim, &self.kept(dim, true)))
        })
    }

    /// Residuals after a step of length `alpha`.
    pub fn advance(&self) -> String {
        let o = self.offsets();
        self.each(false, |dim| {
            let one = |k: usize| {
                let (z, dz) = (o.z + k, o.dz + k);
                format!("set_con(c + {z}u, fma(alpha, con(c + {dz}u), con(c + {z}u))); ")
            };
            (0..dim).map(one).collect()
        })
    }

    /// Completes a contact's record: friction, reference accelerations, regularisers.
    fn take(&self, spaces: &Spaces<'_>, dim: usize) -> String {
        let o = self.offsets();
        // one number of each pair in the table, or a column where worlds differ
        let friction = |k: usize| match spaces.varied_at(Field::PairFriction) {
            Some(at) => format!("par[({at}u + p * 5u + {k}u) * worlds + world]"),
            None => format!("num[p * {PAIR_NUMBERS}u + {}u]", 5 + k),
        };
        let weight = match spaces.varied_at(Field::BodyInvweight0) {
            Some(at) => {
                let model = spaces.physics.model();
                let bodies = PAIR_NUMBERS * model.pairs.len() + 3 * model.geoms.len();
                let of = |word: &str| format!("par[({at}u + 2u * u32(num[{bodies}u + {word}])) * worlds + world]");
                format!("{} + {}", of("tab[w]"), of("tab[w + 1u]"))
            }
            None => format!("num[p * {PAIR_NUMBERS}u + 4u]"),
        };
        let speeds: String = (0..dim).map(|k| format!(", s[{k}]")).collect();
        let mu: String = (0..dim - 1).map(|k| format!(", f{k}")).collect();
        let load: String = (0..dim - 1).map(|k| format!("let f{k} = {}; ", friction(k))).collect();
        let keep: String = (0..dim - 1).map(|k| format!("set_con(c + {}u, f{k}); ", o.mu + k)).collect();
        let inverse = self.inverse(dim);
        let reg = usize::from(self.elliptic);
        let n = 2 * dim + 1;
        let cases: String = self
            .classes
            .iter()
            .filter(|c| c.dim == dim)
            .map(|c| format!("case {}u: {{ r = {}(array<f32, {n}>(dist, weight{speeds}{mu})); }}\n", c.class, c.name()))
            .collect();
        let all = dim + inverse + reg;
        let place = |k: usize| match k {
            k if k < dim => o.aref + k,
            k if k < dim + inverse => o.inverse + k - dim,
            _ => o.mu_reg,
        };
        let store: String = (0..all).map(|k| format!("set_con(c + {}u, r[{k}]); ", place(k))).collect();
        format!(
            "fn take_{dim}(c: u32, p: u32, w: u32, dist: f32, s: array<f32, {dim}>) {{
{load}
{keep}
let weight = {weight};
var r: array<f32, {all}>;
switch (tab[w + 4u]) {{
{cases}default: {{}}
}}
{store}
}}\n"
        )
    }

    /// Takes a possible contact point into the world's list.
    fn take_point(&self) -> String {
        let o = self.offsets();
        let point: Vec<String> = (5..14).chain(2..5).map(|k| format!("points[t + {k}u]")).collect();
        let store = |to: usize, from: usize, n: usize| -> String {
            (0..n).map(|k| format!("set_con(c + {}u, g{}); ", to + k, from + k)).collect()
        };
        let geometry: String = (0..12).map(|k| format!("let g{k} = {}; ", point[k])).collect();
        let arguments: Vec<String> = (0..12).map(|k| format!("g{k}")).collect();
        let case = |dim: usize| format!("take_{dim}(c, p, w, dist, {});", Self::call("speed", dim, &arguments));
        let cases: String = self.dims.iter().map(|&dim| format!("case {dim}u: {{ {} }}\n", case(dim))).collect();
        format!(
            "fn take_point(p: u32, t: u32) {{
let dist = points[t + 1u];
if (points[t] < 0.5f || dist >= num[p * {PAIR_NUMBERS}u + 1u]) {{ return; }}
let c = ncon * {len}u; let w = p * {words}u;
ncon += 1u;
{geometry}
set_con(c, f32(p)); set_con(c + {dist}u, dist); {frame}{pos}
coupled = coupled || tab[w + 5u] == 1u;
set_signs(w);
switch (tab[w + 3u]) {{
{cases}default: {{}}
}}
}}\n",
            len = o.len,
            words = self.pair_words(),
            dist = o.dist,
            frame = store(o.frame, 0, 9),
            pos = store(o.pos, 9, 3),
        )
    }

    /// The loop over candidate pairs.
    fn collide(&self, spaces: &Spaces<'_>) -> String {
        let pairs = spaces.physics.model().pairs.len();
        let (mut text, mut cases) = (String::new(), String::new());
        let (mut planes, mut most) = (Vec::new(), 1);
        for (n, ((k1, k2), pair)) in self.kinds(spaces).into_iter().enumerate() {
            let (function, points) = leaves::touch(spaces, pair);
            text.push_str(&function.text());
            if k1 == GeomKind::Plane {
                planes.push(format!("kind == {n}u"));
            }
            let keep: String = (0..points * leaves::POINT).map(|k| format!("points[{k}] = t[{k}]; ")).collect();
            most = most.max(points);
            let name = leaves::touch_name((k1, k2));
            let _ =
                writeln!(cases, "case {n}u: {{ let t = {name}(solids(g1, g2, num[n]));\nfound = {points}u; {keep}}}");
        }
        let solid = |g: &str| {
            let pose = (0..12).map(|k| format!("geom({g} * 12u + {k}u)"));
            let size = (0..3).map(|k| format!("num[{}u + {g} * 3u]", PAIR_NUMBERS * pairs + k));
            pose.chain(size).collect::<Vec<_>>().join(", ")
        };
        let position = |g: &str| (0..3).map(|k| format!("geom({g} * 12u + {k}u)")).collect::<Vec<_>>().join(", ");
        let normal = [5, 8, 11].map(|k| format!("geom(g1 * 12u + {k}u)")).join(", ");
        let is_plane = if planes.is_empty() { "false".to_string() } else { planes.join(" || ") };
        let _ = writeln!(
            text,
            "var<private> points: array<f32, {numbers}>;
fn solids(g1: u32, g2: u32, reach: f32) -> array<f32, {s}> {{ return array<f32, {s}>(reach, {}, {}); }}
fn collide() {{
ncon = 0u; coupled = false;
for (var p = 0u; p < {pairs}u; p++) {{
let w = p * {words}u; let g1 = tab[w]; let g2 = tab[w + 1u]; let kind = tab[w + 2u]; let n = p * {PAIR_NUMBERS}u;
var near: f32;
if ({is_plane}) {{
near = near_plane(array<f32, 11>({p1}, {normal}, {p2}, num[n + 3u], num[n]))[0];
}} else {{
near = near_sphere(array<f32, 9>({p1}, num[n + 2u], {p2}, num[n + 3u], num[n]))[0];
}}
if (near < 0.5f) {{ continue; }}
var found = 0u;
switch (kind) {{
{cases}default: {{}}
}}
for (var i = 0u; i < found; i++) {{ take_point(p, i * {point}u); }}
}}
}}",
            solid("g1"),
            solid("g2"),
            s = leaves::SOLIDS,
            words = self.pair_words(),
            p1 = position("g1"),
            p2 = position("g2"),
            point = leaves::POINT,
            numbers = most * leaves::POINT,
        );
        text
    }

    /// Adds what contacts do to bodies and feet to the columns of `out`.
    pub fn read_off(&self, read: &ReadOff) -> String {
        let o = self.offsets();
        let frame: Vec<String> = self.run(o.frame, 9).collect();
        let tail = 6 + 2 * self.mask_words;
        let feet = |side: usize, sign: &str| {
            if self.feet.is_empty() {
                return String::new();
            }
            let add: String = (0..3).map(|k| format!("out[(f + {k}u) * worlds + world] += {sign}v[{k}];\n")).collect();
            format!(
                "let foot{side} = tab[w + {}u];
if (foot{side} > 0u) {{
let f = {}u + 3u * foot{side} - 3u;
{add}out[({}u + foot{side} - 1u) * worlds + world] = 1f;
}}\n",
                tail + 2 + side,
                read.foot_force,
                read.foot_touch
            )
        };
        self.each(false, |dim| {
            let force: Vec<String> = (0..6).map(|k| if k < dim { format!("f[{k}]") } else { "0f".into() }).collect();
            let side = |n: usize, sign: &str| {
                let torque: String =
                    (0..3).map(|k| format!("out[(b + {k}u) * worlds + world] += {sign}t[{k}];\n")).collect();
                let push: String =
                    (0..3).map(|k| format!("out[(b + {}u) * worlds + world] += {sign}v[{k}];\n", 3 + k)).collect();
                format!(
                    "{{
let body = tab[w + {}u]; let b = {}u + 6u * body;
{torque}{push}out[({}u + body) * worlds + world] = 1f;
{feet}}}\n",
                    tail + n,
                    read.wrench,
                    read.touch,
                    feet = feet(n, sign),
                )
            };
            format!(
                "let f = {};
let v = world_wrench(array<f32, 15>({}, {}));
let t = vec3<f32>(v[3], v[4], v[5]) + cross(vec3<f32>({}), vec3<f32>(v[0], v[1], v[2]));
{}{}",
                Self::call("force", dim, &self.kept(dim, false)),
                frame.join(", "),
                force.join(", "),
                self.run(o.pos, 3).collect::<Vec<_>>().join(", "),
                side(0, "-"),
                side(1, ""),
            )
        })
    }

    /// Writes what a world's contacts are into `out` from column `at` on: their number, then pair, distance, position, normal and force.
    pub fn dump(&self, at: usize) -> String {
        if self.max_contacts == 0 {
            return format!("out[{at}u * worlds + world] = 0f;\n");
        }
        let o = self.offsets();
        let fields: Vec<String> = [0, o.dist]
            .into_iter()
            .chain(o.pos..o.pos + 3)
            .chain(o.frame..o.frame + 3)
            .map(|k| format!("con(c + {k}u)"))
            .collect();
        let each = self.each(false, |dim| {
            let mut lines: String =
                fields.iter().enumerate().map(|(k, f)| format!("out[(e + {k}u) * worlds + world] = {f};\n")).collect();
            let frame: Vec<String> = self.run(o.frame, 9).collect();
            let force: Vec<String> = (0..6).map(|k| if k < dim { format!("f[{k}]") } else { "0f".into() }).collect();
            let _ = write!(
                lines,
                "let f = {};\nlet v = world_wrench(array<f32, 15>({}, {}));\n",
                Self::call("force", dim, &self.kept(dim, false)),
                frame.join(", "),
                force.join(", ")
            );
            for k in 0..3 {
                let _ = writeln!(lines, "out[(e + {}u) * worlds + world] = v[{k}];", 8 + k);
            }
            format!("let e = {}u + i * 11u;\n{lines}", at + 1)
        });
        format!("out[{at}u * worlds + world] = f32(ncon);\n{each}")
    }
}

fn kind_of(spaces: &Spaces<'_>, pair: usize) -> (GeomKind, GeomKind) {
    let model = spaces.physics.model();
    (model.geoms[model.pairs[pair].geom1].kind, model.geoms[model.pairs[pair].geom2].kind)
}
