//! What a kernel writes of its contacts: forces on bodies and feet for environments, every point for a probe.

use super::pairs::{Contacts, pair_word};
use std::fmt::Write;

/// Where the numbers of a contact are in its block of `out` ([`Contacts::dump`]).
pub(crate) mod dumped {
    /// Index of the pair.
    pub const PAIR: usize = 0;
    /// Distance, m.
    pub const DIST: usize = 1;
    /// Position, 3 numbers, m.
    pub const POS: usize = 2;
    /// Normal, 3 numbers.
    pub const NORMAL: usize = 5;
    /// Force on the second body, 3 numbers, N.
    pub const FORCE: usize = 8;
    /// Numbers of a contact.
    pub const LEN: usize = 11;
}

/// Where the blocks of `out` begin, in columns.
#[derive(Debug, Clone, Copy)]
pub struct ReadOff {
    /// Coordinates of the last forward evaluation.
    pub qpos: usize,
    /// Velocities of the last forward evaluation.
    pub qvel: usize,
    /// Acceleration.
    pub qacc: usize,
    /// Of each body, the sum of its contacts' torques about the world's origin, then of their forces (6 numbers).
    pub wrench: usize,
    /// 1 for each body that touches something.
    pub touch: usize,
    /// Force on each foot (3 numbers).
    pub foot_force: usize,
    /// 1 for each foot that touches something.
    pub foot_touch: usize,
    /// All columns.
    pub columns: usize,
}

impl Contacts {
    /// Adds what contacts do to bodies and feet to the columns of `out`.
    pub fn read_off(&self, read: &ReadOff) -> String {
        let o = self.offsets();
        let frame: Vec<String> = self.run(o.frame, 9).collect();
        let word = self.words();
        let feet = |side: usize, sign: &str| {
            if self.feet.is_empty() {
                return String::new();
            }
            let add: String = (0..3).map(|k| format!("out[(f + {k}u) * worlds + world] += {sign}v[{k}];\n")).collect();
            format!(
                "let foot{side} = {};
if (foot{side} > 0u) {{
let f = {}u + 3u * foot{side} - 3u;
{add}out[({}u + foot{side} - 1u) * worlds + world] = 1f;
}}\n",
                pair_word(word.feet + side),
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
let body = {}; let b = {}u + 6u * body;
{torque}{push}out[({}u + body) * worlds + world] = 1f;
{feet}}}\n",
                    pair_word(word.bodies + n),
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
                Self::call("force", dim, &self.state(dim, false)),
                frame.join(", "),
                force.join(", "),
                self.run(o.pos, 3).collect::<Vec<_>>().join(", "),
                side(0, "-"),
                side(1, ""),
            )
        })
    }

    /// Writes what a world's contacts are into `out` from column `at` on: their number, then pair, distance, position,
    /// normal and force.
    pub fn dump(&self, at: usize) -> String {
        if self.max_contacts == 0 {
            return format!("out[{at}u * worlds + world] = 0f;\n");
        }
        let o = self.offsets();
        let pos = (0..3).map(|k| (dumped::POS + k, o.pos + k));
        let normal = (0..3).map(|k| (dumped::NORMAL + k, o.frame + k));
        let fields: Vec<(usize, usize)> =
            [(dumped::PAIR, 0), (dumped::DIST, o.dist)].into_iter().chain(pos).chain(normal).collect();
        let each = self.each(false, |dim| {
            let field =
                |(to, from): &(usize, usize)| format!("out[(e + {to}u) * worlds + world] = con(c + {from}u);\n");
            let mut lines: String = fields.iter().map(field).collect();
            let frame: Vec<String> = self.run(o.frame, 9).collect();
            let force: Vec<String> = (0..6).map(|k| if k < dim { format!("f[{k}]") } else { "0f".into() }).collect();
            let _ = write!(
                lines,
                "let f = {};\nlet v = world_wrench(array<f32, 15>({}, {}));\n",
                Self::call("force", dim, &self.state(dim, false)),
                frame.join(", "),
                force.join(", ")
            );
            for k in 0..3 {
                let _ = writeln!(lines, "out[(e + {}u) * worlds + world] = v[{k}];", dumped::FORCE + k);
            }
            format!("let e = {}u + i * {}u;\n{lines}", at + 1, dumped::LEN)
        });
        format!("out[{at}u * worlds + world] = f32(ncon);\n{each}")
    }
}
