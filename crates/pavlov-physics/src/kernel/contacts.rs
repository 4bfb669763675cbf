//! Contacts in a kernel: tables of candidate pairs, and loops over the contacts a world has, around recorded functions.
//!
//! A world keeps its contacts in `con` (a record each) and their Jacobians in `jac` (`[pair dof][direction]`). Both are private arrays, or
//! columns of the `work` buffer for a robot with so many possible contacts that a thread's memory would not hold them.

use super::leaves;
use super::spaces::Spaces;
use crate::params::Field;
use pavlov_model::{Cone, GeomKind};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Numbers that a thread may keep of contacts before they go to a buffer.
const PRIVATE_NUMBERS: usize = 4096;
/// Words of a pair in the table.
const PAIR_WORDS: usize = 8;

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
    pub dims: Vec<usize>,
    max_dim: usize,
    pub elliptic: bool,
    pub max_contacts: usize,
    max_jacobian: usize,
    classes: Vec<Softness>,
    class_of: Vec<usize>,
    /// Are all contacts within one kinematic chain?
    pub chains_only: bool,
    buffered: bool,
}

/// Offsets within a contact's record.
struct Offsets {
    pos: usize,
    frame: usize,
    jac: usize,
    mu: usize,
    mu_reg: usize,
    aref: usize,
    inverse: usize,
    z: usize,
    dz: usize,
    force: usize,
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
        let max_dim = dims.last().copied().unwrap_or(1);
        let mut out = Self {
            dims: dims.into_iter().collect(),
            max_dim,
            elliptic: model.opt.cone == Cone::Elliptic,
            max_contacts: if on { topo.max_contacts } else { 0 },
            max_jacobian: topo.max_jacobian,
            classes,
            class_of,
            chains_only: topo.pairs.iter().all(|p| p.chain),
            buffered: false,
        };
        out.buffered = out.max_contacts * out.offsets().len + out.max_jacobian > PRIVATE_NUMBERS;
        out
    }

    /// Inverse regularisers kept for a contact of this dimension.
    pub fn inverse(&self, dim: usize) -> usize {
        if self.elliptic { dim } else { 1 }
    }

    fn offsets(&self) -> Offsets {
        let mut at = 2;
        let mut next = |n: usize| {
            at += n;
            at - n
        };
        let d = self.max_dim;
        let (pos, frame, jac, mu) = (next(3), next(9), next(1), next(d - 1));
        let mu_reg = next(usize::from(self.elliptic));
        let (aref, inverse, z, dz, force) = (next(d), next(self.inverse(d)), next(d), next(d), next(d));
        Offsets { pos, frame, jac, mu, mu_reg, aref, inverse, z, dz, force, len: next(0) }
    }

    /// Columns of the `work` buffer.
    pub fn work_columns(&self) -> usize {
        if self.buffered { self.max_contacts * self.offsets().len + self.max_jacobian } else { 0 }
    }

    /// The table of pairs and their dofs, and the table of numbers.
    ///
    /// Words of a pair: geoms, kind pair, dimension, softness class, first word and number of its dofs, 1 where it couples branches. A dof's word: dof, root body << 12, 1 << 31 where it moves the first body.
    /// Numbers of a pair: reach, margin, bounding radii, weight, 5 frictions; then sizes of all geoms.
    pub fn tables(&self, spaces: &Spaces<'_>) -> (Vec<u32>, Vec<f32>) {
        let (model, topo) = (spaces.physics.model(), spaces.physics.topology());
        let base = spaces.physics.params::<f64>();
        let kinds = self.kinds(spaces);
        let (mut words, mut dofs, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (p, pt)) in model.pairs.iter().zip(&topo.pairs).enumerate() {
            let kind = kinds.iter().position(|k| k.0 == kind_of(spaces, i)).unwrap_or_default();
            let first = PAIR_WORDS * model.pairs.len() + dofs.len();
            words.extend([p.geom1, p.geom2, kind, usize::from(p.condim), self.class_of[i], first, pt.dofs.len(), usize::from(!pt.chain)].map(|w| w as u32));
            dofs.extend(pt.dofs.iter().map(|d| {
                let root = model.bodies[model.dofs[d.dof].body].root;
                d.dof as u32 | (root as u32) << 12 | u32::from(d.minus) << 31
            }));
            let weight = base.body_invweight0[pt.body1][0] + base.body_invweight0[pt.body2][0];
            let radius = |g: usize| model.geoms[g].rbound;
            numbers.extend([p.margin + p.gap, p.margin, radius(p.geom1), radius(p.geom2), weight]);
            numbers.extend(base.pair_friction[i]);
        }
        words.extend(dofs);
        numbers.extend(base.geom_size.iter().flatten());
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
        let mut text = self.accessors();
        if self.max_contacts == 0 {
            text.push_str("fn collide() {}\n");
            return text;
        }
        for f in leaves::bounds() {
            text.push_str(&f.text());
        }
        text.push_str(&leaves::wrench().text());
        for class in &self.classes {
            text.push_str(&leaves::softness(spaces, self, class).text());
        }
        for &dim in &self.dims {
            for f in leaves::of_dim(spaces, self, dim) {
                text.push_str(&f.text());
            }
            text.push_str(&self.of_dim(dim));
        }
        text.push_str(&self.append(spaces));
        text.push_str(&self.collide(spaces));
        text
    }

    fn accessors(&self) -> String {
        let (contacts, jacobian) = (self.max_contacts * self.offsets().len, self.max_jacobian);
        let head = "var<private> ncon: u32;\nvar<private> njac: u32;\nvar<private> coupled: bool;\n";
        if self.buffered {
            format!(
                "{head}fn con(i: u32) -> f32 {{ return work[i * worlds + world]; }}
fn set_con(i: u32, x: f32) {{ work[i * worlds + world] = x; }}
fn jac(i: u32) -> f32 {{ return work[(i + {contacts}u) * worlds + world]; }}
fn set_jac(i: u32, x: f32) {{ work[(i + {contacts}u) * worlds + world] = x; }}\n"
            )
        } else {
            format!(
                "{head}var<private> con_: array<f32, {}>;\nvar<private> jac_: array<f32, {}>;
fn con(i: u32) -> f32 {{ return con_[i]; }}
fn set_con(i: u32, x: f32) {{ con_[i] = x; }}
fn jac(i: u32) -> f32 {{ return jac_[i]; }}
fn set_jac(i: u32, x: f32) {{ jac_[i] = x; }}\n",
                contacts.max(1),
                jacobian.max(1)
            )
        }
    }

    /// A loop over the world's contacts; `body` sees `c` (the record), `first` and `count` (the pair's dofs) and `$D` (the dimension).
    pub fn each(&self, body: &str) -> String {
        if self.max_contacts == 0 {
            return String::new();
        }
        let inner = match self.dims[..] {
            [dim] => body.replace("$D", &dim.to_string()),
            _ => {
                let case = |dim: &usize| format!("case {dim}u: {{ {} }}\n", body.replace("$D", &dim.to_string()));
                let cases: String = self.dims.iter().map(case).collect();
                format!("switch (tab[p + 3u]) {{\n{cases}default: {{}}\n}}")
            }
        };
        format!(
            "for (var i = 0u; i < ncon; i++) {{
let c = i * {len}u; let p = u32(con(c)) * {PAIR_WORDS}u; let first = tab[p + 5u]; let count = tab[p + 6u];
{inner}
}}\n",
            len = self.offsets().len
        )
    }

    /// `z, dz, d, mu, mu_reg` of the record at `c`, as the recorded functions take them.
    fn state_of(&self, dim: usize) -> String {
        let o = self.offsets();
        let run = |from: usize, n: usize| (from..from + n).map(|k| format!("con(c + {k}u)"));
        let mut all: Vec<String> = run(o.z, dim).chain(run(o.dz, dim)).chain(run(o.inverse, self.inverse(dim))).chain(run(o.mu, dim - 1)).collect();
        if self.elliptic && dim > 1 {
            all.extend(run(o.mu_reg, 1));
        }
        all.join(", ")
    }

    /// Loops over a contact's dofs.
    fn of_dim(&self, dim: usize) -> String {
        let o = self.offsets();
        let state = self.state_of(dim);
        let total = state.matches("con(").count();
        let each = |f: &dyn Fn(usize) -> String| (0..dim).map(f).collect::<Vec<_>>().join(" ");
        let zero = each(&|k| format!("var z{k} = 0f;"));
        let sum = each(&|k| format!("z{k} = fma(jac(j + {k}u), x, z{k});"));
        let project = |x: &str| {
            format!(
                "let j0 = u32(con(c + {}u));
{zero}
for (var n = 0u; n < count; n++) {{
let x = {x}[tab[first + n] & 0xfffu]; let j = j0 + n * {dim}u;
{sum}
}}",
                o.jac
            )
        };
        let to_z = each(&|k| format!("set_con(c + {}u, z{k} - con(c + {}u));", o.z + k, o.aref + k));
        let to_dz = each(&|k| format!("set_con(c + {}u, z{k});", o.dz + k));
        let keep = each(&|k| format!("set_con(c + {}u, f[{k}]);", o.force + k));
        let spread = each(&|k| format!("s = fma(jac(j + {k}u), f[{k}], s);"));
        let lower = |i: usize, j: usize| if i >= j { i * (i + 1) / 2 + j } else { j * (j + 1) / 2 + i };
        let load = each(&|k| format!("let a{k} = jac(j0 + n * {dim}u + {k}u);"));
        let turned = each(&|k| {
            let mut sum = format!("h[{}] * a0", lower(k, 0));
            for l in 1..dim {
                sum = format!("fma(h[{}], a{l}, {sum})", lower(k, l));
            }
            format!("let t{k} = {sum};")
        });
        let add = each(&|k| format!("s = fma(t{k}, jac(j + {k}u), s);"));
        let advance = each(&|k| format!("set_con(c + {z}u, fma(alpha, con(c + {dz}u), con(c + {z}u)));", z = o.z + k, dz = o.dz + k));
        format!(
            "fn residual_{dim}(c: u32, first: u32, count: u32) {{
{}
{to_z}
}}
fn slope_{dim}(c: u32, first: u32, count: u32) {{
{}
{to_dz}
}}
fn push_{dim}(c: u32, first: u32, count: u32) {{
let f = force_{dim}(array<f32, {total}>({state}));
{keep}
let j0 = u32(con(c + {}u));
for (var n = 0u; n < count; n++) {{
let d = tab[first + n] & 0xfffu; let j = j0 + n * {dim}u;
var s = qcon[d];
{spread}
qcon[d] = s;
}}
}}
fn stiffen_{dim}(c: u32, first: u32, count: u32) {{
let h = curvature_{dim}(array<f32, {total}>({state}));
let j0 = u32(con(c + {}u));
for (var n = 0u; n < count; n++) {{
{load}
{turned}
let d = tab[first + n] & 0xfffu;
let row = d * (d + 1u) / 2u;
for (var m = 0u; m <= n; m++) {{
let j = j0 + m * {dim}u; let e = row + (tab[first + m] & 0xfffu);
var s = hess[e];
{add}
hess[e] = s;
}}
}}
}}
fn along_{dim}(c: u32, alpha: f32) -> array<f32, 2> {{ return derivatives_{dim}(array<f32, {}>({state}, alpha)); }}
fn same_{dim}(c: u32) -> bool {{ return unchanged_{dim}(array<f32, {total}>({state}))[0] > 0.5f; }}
fn advance_{dim}(c: u32, alpha: f32) {{ {advance} }}
",
            project("qacc"),
            project("search"),
            o.jac,
            o.jac,
            total + 1,
        )
    }

    /// Takes a contact point into the world's list, with its Jacobian and softness.
    fn append(&self, spaces: &Spaces<'_>) -> String {
        let o = self.offsets();
        let pairs = spaces.physics.model().pairs.len();
        // one of each pair in the table, or a column where worlds differ
        let friction = |k: usize| match spaces.varied_at(Field::PairFriction) {
            Some(at) => format!("par[({at}u + p * 5u + {k}u) * worlds + world]"),
            None => format!("num[p * 10u + {}u]", 5 + k),
        };
        let weight = match spaces.varied_at(Field::BodyInvweight0) {
            Some(at) => format!(
                "par[({at}u + 2u * body_of[tab[w]]) * worlds + world] + par[({at}u + 2u * body_of[tab[w + 1u]]) * worlds + world]"
            ),
            None => "num[p * 10u + 4u]".to_string(),
        };
        let mut text = String::new();
        if spaces.varied_at(Field::BodyInvweight0).is_some() {
            let bodies: Vec<String> = spaces.physics.model().geoms.iter().map(|g| format!("{}u", g.body)).collect();
            let _ = writeln!(text, "var<private> body_of: array<u32, {}> = array<u32, {}>({});", bodies.len(), bodies.len(), bodies.join(", "));
        }
        let _ = writeln!(text, "// {pairs} pairs");
        let frame: Vec<String> = (0..9).map(|k| format!("con(c + {}u)", o.frame + k)).collect();
        let frame = frame.join(", ");
        let axis: Vec<String> = (0..6).map(|k| format!("cdof[d * 6u + {k}u]")).collect();
        let axis = axis.join(", ");
        for &dim in &self.dims {
            let each = |f: &dyn Fn(usize) -> String| (0..dim).map(f).collect::<Vec<_>>().join(" ");
            let speeds: Vec<String> = (0..dim).map(|k| format!("s{k}")).chain((0..dim - 1).map(friction)).collect();
            let n = 2 + speeds.len();
            let mut classes = String::new();
            for class in self.classes.iter().filter(|c| c.dim == dim) {
                let results = dim + self.inverse(dim) + usize::from(self.elliptic);
                let aref = each(&|k| format!("set_con(c + {}u, r[{k}]);", o.aref + k));
                let inverse: String =
                    (0..self.inverse(dim)).map(|k| format!("set_con(c + {}u, r[{}]);", o.inverse + k, dim + k)).collect();
                let reg = if self.elliptic {
                    format!("set_con(c + {}u, r[{}]);", o.mu_reg, results - 1)
                } else {
                    String::new()
                };
                let _ = writeln!(
                    classes,
                    "case {}u: {{ let r = {}(array<f32, {n}>(con(c + 1u), {weight}, {})); {aref} {inverse} {reg} }}",
                    class.class,
                    class.name(),
                    speeds.join(", ")
                );
            }
            let mu: String = (0..dim - 1).map(|k| format!("set_con(c + {}u, {});", o.mu + k, friction(k))).collect();
            let _ = writeln!(
                text,
                "fn finish_{dim}(c: u32, p: u32, w: u32) {{
{mu}
set_con(c + {jac}u, f32(njac));
{zero}
let first = tab[w + 5u]; let count = tab[w + 6u];
for (var n = 0u; n < count; n++) {{
let word = tab[first + n]; let d = word & 0xfffu; let root = 3u * ((word >> 12u) & 0xfffu);
let sign = select(1f, -1f, (word >> 31u) == 1u);
let j = jacobian_{dim}(array<f32, 18>({frame}, {axis}, con(c + {p0}u) - com[root], con(c + {p1}u) - com[root + 1u], con(c + {p2}u) - com[root + 2u]));
{put}
njac += {dim}u;
}}
switch (tab[w + 4u]) {{
{classes}default: {{}}
}}
}}",
                jac = o.jac,
                zero = each(&|k| format!("var s{k} = 0f;")),
                p0 = o.pos,
                p1 = o.pos + 1,
                p2 = o.pos + 2,
                put = each(&|k| format!("set_jac(njac + {k}u, sign * j[{k}]); s{k} = fma(sign * j[{k}], qvel[d], s{k});")),
            );
        }
        let cases: String =
            self.dims.iter().map(|dim| format!("case {dim}u: {{ finish_{dim}(c, p, w); }}\n")).collect();
        let keep: String = (0..12).map(|k| format!("set_con(c + {}u, t[{}]);", 2 + k, 2 + k)).collect();
        let _ = writeln!(
            text,
            "fn take_point(p: u32, t: array<f32, 14>) {{
if (t[0] < 0.5f || t[1] >= num[p * 10u + 1u]) {{ return; }}
let c = ncon * {len}u; let w = p * {PAIR_WORDS}u;
ncon += 1u;
set_con(c, f32(p)); set_con(c + 1u, t[1]); {keep}
coupled = coupled || tab[w + 7u] == 1u;
switch (tab[w + 3u]) {{
{cases}default: {{}}
}}
}}",
            len = o.len
        );
        text
    }

    /// The loop over candidate pairs.
    fn collide(&self, spaces: &Spaces<'_>) -> String {
        let pairs = spaces.physics.model().pairs.len();
        let (mut text, mut cases) = (String::new(), String::new());
        let mut planes = Vec::new();
        for (n, ((k1, k2), pair)) in self.kinds(spaces).into_iter().enumerate() {
            let (function, points) = leaves::touch(spaces, pair);
            text.push_str(&function.text());
            if k1 == GeomKind::Plane {
                planes.push(format!("kind == {n}u"));
            }
            let take: String = (0..points)
                .map(|i| {
                    let numbers: Vec<String> = (0..leaves::POINT).map(|k| format!("t[{}]", i * leaves::POINT + k)).collect();
                    format!("take_point(p, array<f32, {}>({}));\n", leaves::POINT, numbers.join(", "))
                })
                .collect();
            let name = leaves::touch_name((k1, k2));
            let _ = writeln!(cases, "case {n}u: {{ let t = {name}(solids(g1, g2, num[p * 10u]));\n{take}}}");
        }
        let solid = |g: &str| {
            let pose: Vec<String> = (0..12).map(|k| format!("geom[{g} * 12u + {k}u]")).collect();
            let size: Vec<String> =
                (0..3).map(|k| format!("num[{}u + {g} * 3u]", 10 * pairs + k)).collect();
            [pose, size].concat().join(", ")
        };
        let position = |g: &str| (0..3).map(|k| format!("geom[{g} * 12u + {k}u]")).collect::<Vec<_>>().join(", ");
        let normal = leaves::plane_normal("g1 * 12u").join(", ");
        let is_plane = if planes.is_empty() { "false".to_string() } else { planes.join(" || ") };
        let _ = writeln!(
            text,
            "fn solids(g1: u32, g2: u32, reach: f32) -> array<f32, {}> {{ return array<f32, {}>(reach, {}, {}); }}
fn collide() {{
ncon = 0u; njac = 0u; coupled = false;
for (var p = 0u; p < {pairs}u; p++) {{
let w = p * {PAIR_WORDS}u; let g1 = tab[w]; let g2 = tab[w + 1u]; let kind = tab[w + 2u];
var near: f32;
if ({is_plane}) {{
near = near_plane(array<f32, 11>({p1}, {normal}, {p2}, num[p * 10u + 3u], num[p * 10u]))[0];
}} else {{
near = near_sphere(array<f32, 9>({p1}, num[p * 10u + 2u], {p2}, num[p * 10u + 3u], num[p * 10u]))[0];
}}
if (near < 0.5f) {{ continue; }}
switch (kind) {{
{cases}default: {{}}
}}
}}
}}",
            leaves::SOLIDS,
            leaves::SOLIDS,
            solid("g1"),
            solid("g2"),
            p1 = position("g1"),
            p2 = position("g2"),
        );
        text
    }

    /// Writes what a world's contacts are into `out` from column `at` on: their number, then pair, distance, position, normal and force.
    pub fn dump(&self, at: usize) -> String {
        if self.max_contacts == 0 {
            return format!("out[{at}u * worlds + world] = 0f;\n");
        }
        let o = self.offsets();
        let frame: Vec<String> = (0..9).map(|k| format!("con(c + {}u)", o.frame + k)).collect();
        let force = |dim: usize| {
            let f: Vec<String> =
                (0..6).map(|k| if k < dim { format!("con(c + {}u)", o.force + k) } else { "0f".into() }).collect();
            f.join(", ")
        };
        let fields: String = (0..8).map(|k| format!("out[(e + {k}u) * worlds + world] = con(c + {k}u);\n")).collect();
        let pushes: String = (0..3).map(|k| format!("out[(e + {}u) * worlds + world] = f[{k}];\n", 8 + k)).collect();
        let of = |dim: usize| {
            format!("let f = world_wrench(array<f32, 15>({}, {}));\n{pushes}", frame.join(", "), force(dim))
        };
        let cases: String = self.dims.iter().map(|&dim| format!("case {dim}u: {{ {} }}\n", of(dim))).collect();
        format!(
            "out[{at}u * worlds + world] = f32(ncon);
for (var i = 0u; i < ncon; i++) {{
let c = i * {len}u; let p = u32(con(c)) * {PAIR_WORDS}u; let e = {}u + i * 11u;
{fields}
switch (tab[p + 3u]) {{
{cases}default: {{}}
}}
}}\n",
            at + 1,
            len = o.len
        )
    }
}

fn kind_of(spaces: &Spaces<'_>, pair: usize) -> (GeomKind, GeomKind) {
    let model = spaces.physics.model();
    (model.geoms[model.pairs[pair].geom1].kind, model.geoms[model.pairs[pair].geom2].kind)
}
