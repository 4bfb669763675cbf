//! Contacts in a kernel: loops over candidate pairs and over the contacts a world has, around recorded functions.
//!
//! Private arrays are indexed by constants only: drivers keep such arrays in registers, and some write a ladder of
//! comparisons for every other access. So a contact's Jacobian is made anew from the motion axes of all dofs, times 0
//! or ±1 each.

use super::leaves::{self, point};
use super::pairs::{Contacts, number, pair_number, pair_word};
use super::spaces::{POSE, POSE_MATRIX, Spaces};
use crate::params::Field;
use pavlov_model::GeomKind;
use std::fmt::Write;

impl Contacts {
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
        let word = self.words();
        for m in 0..self.mask_words {
            let (plus, minus) = (pair_word(word.plus + m), pair_word(word.minus + m));
            let _ = writeln!(text, "let p{m} = {plus}; let m{m} = {minus};");
        }
        for i in 0..self.dofs {
            let (m, bit) = (i / 32, i % 32);
            let _ = writeln!(text, "sign[{i}] = f32((p{m} >> {bit}u) & 1u) - f32((m{m} >> {bit}u) & 1u);");
        }
        text + "}\n"
    }

    /// A loop over the world's contacts; `body(dimension)` is the text inside, which can use `c` (the record) and `w`
    /// (the pair's words). With `signs` it can also use which dofs move the contact.
    pub(super) fn each(&self, signs: bool, body: impl Fn(usize) -> String) -> String {
        if self.max_contacts == 0 {
            return String::new();
        }
        let inner = match self.dims[..] {
            [dim] => body(dim),
            _ => {
                let cases: String = self.dims.iter().map(|&d| format!("case {d}u: {{ {} }}\n", body(d))).collect();
                format!("switch ({}) {{\n{cases}default: {{}}\n}}", pair_word(self.words().dim))
            }
        };
        format!(
            "for (var i = 0u; i < ncon; i++) {{
let c = i * {len}u; let w = u32(con(c)) * {words}u;
{signs}{inner}
}}\n",
            len = self.offsets().len,
            words = self.words().len,
            signs = if signs { "set_signs(w);\n" } else { "" },
        )
    }

    pub(super) fn run(&self, from: usize, n: usize) -> impl Iterator<Item = String> {
        (from..from + n).map(|k| format!("con(c + {k}u)"))
    }

    /// Frame and position, as the recorded functions take them.
    fn geometry(&self) -> Vec<String> {
        let o = self.offsets();
        self.run(o.frame, 9).chain(self.run(o.pos, 3)).collect()
    }

    /// Residuals, their change (`with_dz`), inverse regularisers, friction, friction of the cone: `z, dz, d, mu,
    /// mu_reg`.
    pub(super) fn state(&self, dim: usize, with_dz: bool) -> Vec<String> {
        let o = self.offsets();
        let reg = usize::from(self.elliptic && dim > 1);
        let dz = if with_dz { dim } else { 0 };
        let soft = self.run(o.inverse, self.inverse(dim)).chain(self.run(o.mu, dim - 1)).chain(self.run(o.mu_reg, reg));
        self.run(o.z, dim).chain(self.run(o.dz, dz)).chain(soft).collect()
    }

    pub(super) fn call(name: &str, dim: usize, arguments: &[String]) -> String {
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
            let arguments = [self.geometry(), self.state(dim, false)].concat();
            format!("{};", Self::call("push", dim, &arguments))
        })
    }

    /// Adds to `hess`.
    pub fn hessian(&self) -> String {
        self.each(true, |dim| {
            let arguments = [self.geometry(), self.state(dim, false)].concat();
            format!("{};", Self::call("stiffen", dim, &arguments))
        })
    }

    /// Adds slope and curvature at `alpha` to `sum`.
    pub fn derivatives(&self) -> String {
        self.each(false, |dim| {
            let mut arguments = self.state(dim, true);
            arguments.push("alpha".into());
            format!("let g = {}; sum += vec2<f32>(g[0], g[1]);", Self::call("derivatives", dim, &arguments))
        })
    }

    /// Returns false where a full step changes a contact's state.
    pub fn unchanged(&self) -> String {
        self.each(false, |dim| {
            format!("if ({}[0] < 0.5f) {{ return false; }}", Self::call("unchanged", dim, &self.state(dim, true)))
        })
    }

    /// Residuals after a step of length `alpha`.
    pub fn advance(&self) -> String {
        let o = self.offsets();
        self.each(false, |dim| {
            let move_row = |k: usize| {
                let (z, dz) = (o.z + k, o.dz + k);
                format!("set_con(c + {z}u, fma(alpha, con(c + {dz}u), con(c + {z}u))); ")
            };
            (0..dim).map(move_row).collect()
        })
    }

    /// Completes a contact's record: friction, reference accelerations, regularisers.
    fn take(&self, spaces: &Spaces<'_>, dim: usize) -> String {
        let o = self.offsets();
        let of_pair = |at: usize| pair_number(&format!("p * {}u", number::LEN), at);
        // from the table of pairs, or from a column where worlds differ
        let friction = |k: usize| match spaces.varied_at(Field::PairFriction) {
            Some(at) => format!("par[({at}u + p * 5u + {k}u) * worlds + world]"),
            None => of_pair(number::FRICTION + k),
        };
        let weight = match spaces.varied_at(Field::BodyInvweight0) {
            Some(at) => {
                let (bodies, word) = (number::bodies(spaces.physics.model()), self.words());
                let of_geom = |geom: usize| {
                    format!("par[({at}u + 2u * u32(num[{bodies}u + {}])) * worlds + world]", pair_word(geom))
                };
                format!("{} + {}", of_geom(word.geom1), of_geom(word.geom2))
            }
            None => of_pair(number::WEIGHT),
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
        let results = dim + inverse + reg;
        let place = |k: usize| match k {
            k if k < dim => o.aref + k,
            k if k < dim + inverse => o.inverse + k - dim,
            _ => o.mu_reg,
        };
        let store: String = (0..results).map(|k| format!("set_con(c + {}u, r[{k}]); ", place(k))).collect();
        format!(
            "fn take_{dim}(c: u32, p: u32, w: u32, dist: f32, s: array<f32, {dim}>) {{
{load}
{keep}
let weight = {weight};
var r: array<f32, {results}>;
switch ({class}) {{
{cases}default: {{}}
}}
{store}
}}\n",
            class = pair_word(self.words().class),
        )
    }

    /// Takes a possible contact point into the world's list.
    fn take_point(&self) -> String {
        let o = self.offsets();
        let word = self.words();
        let (frame, pos) = (point::FRAME..point::FRAME + 9, point::POS..point::POS + 3);
        let geometry: Vec<String> = frame.chain(pos).map(|k| format!("points[t + {k}u]")).collect();
        let store = |to: usize, from: usize, n: usize| -> String {
            (0..n).map(|k| format!("set_con(c + {}u, g{}); ", to + k, from + k)).collect()
        };
        let load: String = geometry.iter().enumerate().map(|(k, g)| format!("let g{k} = {g}; ")).collect();
        let arguments: Vec<String> = (0..geometry.len()).map(|k| format!("g{k}")).collect();
        let case = |dim: usize| format!("take_{dim}(c, p, w, dist, {});", Self::call("speed", dim, &arguments));
        let cases: String = self.dims.iter().map(|&dim| format!("case {dim}u: {{ {} }}\n", case(dim))).collect();
        format!(
            "fn take_point(p: u32, t: u32) {{
let dist = points[t + {found_dist}u];
if (points[t] < 0.5f || dist >= {margin}) {{ return; }}
let c = ncon * {len}u; let w = p * {words}u;
ncon += 1u;
{load}
set_con(c, f32(p)); set_con(c + {dist}u, dist); {frame}{pos}
coupled = coupled || {couples} == 1u;
set_signs(w);
switch ({dim}) {{
{cases}default: {{}}
}}
}}\n",
            len = o.len,
            words = word.len,
            dist = o.dist,
            found_dist = point::DIST,
            margin = pair_number(&format!("p * {}u", number::LEN), number::MARGIN),
            couples = pair_word(word.couples),
            dim = pair_word(word.dim),
            frame = store(o.frame, 0, 9),
            pos = store(o.pos, 9, 3),
        )
    }

    /// The loop over candidate pairs.
    fn collide(&self, spaces: &Spaces<'_>) -> String {
        let (model, word) = (spaces.physics.model(), self.words());
        let (mut text, mut cases) = (String::new(), String::new());
        let (mut planes, mut most) = (Vec::new(), 1);
        for (n, ((k1, k2), pair)) in self.kinds(spaces).into_iter().enumerate() {
            let (function, points) = leaves::touch(spaces, pair);
            text.push_str(&function.text());
            if k1 == GeomKind::Plane {
                planes.push(format!("kind == {n}u"));
            }
            let keep: String = (0..points * point::LEN).map(|k| format!("points[{k}] = t[{k}]; ")).collect();
            most = most.max(points);
            let name = leaves::touch_name((k1, k2));
            let reach = pair_number("n", number::REACH);
            let _ =
                writeln!(cases, "case {n}u: {{ let t = {name}(solids(g1, g2, {reach}));\nfound = {points}u; {keep}}}");
        }
        let geom = |g: &str, k: usize| format!("geom({g} * {POSE}u + {k}u)");
        let solid = |g: &str| {
            let pose = (0..POSE).map(|k| geom(g, k));
            let size = (0..3).map(|k| format!("num[{}u + {g} * 3u]", number::sizes(model) + k));
            pose.chain(size).collect::<Vec<_>>().join(", ")
        };
        let position = |g: &str| (0..3).map(|k| geom(g, k)).collect::<Vec<_>>().join(", ");
        let normal = [2, 5, 8].map(|k| geom("g1", POSE_MATRIX + k)).join(", ");
        let is_plane = if planes.is_empty() { "false".to_string() } else { planes.join(" || ") };
        let _ = writeln!(
            text,
            "var<private> points: array<f32, {numbers}>;
fn solids(g1: u32, g2: u32, reach: f32) -> array<f32, {s}> {{ return array<f32, {s}>(reach, {}, {}); }}
fn collide() {{
ncon = 0u; coupled = false;
for (var p = 0u; p < {pairs}u; p++) {{
let w = p * {words}u; let g1 = {g1}; let g2 = {g2}; let kind = {kind}; let n = p * {numbers_len}u;
var near: f32;
if ({is_plane}) {{
near = near_plane(array<f32, 11>({p1}, {normal}, {p2}, {radius2}, {reach}))[0];
}} else {{
near = near_sphere(array<f32, 9>({p1}, {radius1}, {p2}, {radius2}, {reach}))[0];
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
            pairs = model.pairs.len(),
            words = word.len,
            numbers_len = number::LEN,
            g1 = pair_word(word.geom1),
            g2 = pair_word(word.geom2),
            kind = pair_word(word.kind),
            reach = pair_number("n", number::REACH),
            radius1 = pair_number("n", number::RADIUS1),
            radius2 = pair_number("n", number::RADIUS2),
            p1 = position("g1"),
            p2 = position("g2"),
            point = point::LEN,
            numbers = most * point::LEN,
        );
        text
    }
}
