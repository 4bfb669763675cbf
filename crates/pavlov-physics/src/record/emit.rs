//! From a tape to WGSL text. Operations are written in the order in which they were recorded, which keeps the
//! operations of a stage together; those that no result needs are left out.

use super::tape::{Binary, Compare, Id, Node, Place, Space, Tape, Unary};
use std::fmt::Write;

/// Functions that recorded text calls: elementary functions with errors of a few units in the last place (WGSL's own
/// may be off by 2^-11 in absolute terms), and the counter-based random numbers.
pub const LIBRARY: &str = include_str!("library.wgsl");

/// A recorded function.
#[derive(Debug, Clone)]
pub struct Function {
    name: String,
    arguments: usize,
    results: usize,
    body: String,
    operations: usize,
}

/// The shortest text of a number as an `f32` literal, in parentheses where it is negative.
pub fn float(value: f64) -> String {
    let value = (value as f32).clamp(f32::MIN, f32::MAX);
    let text = format!("{value:e}f").replace("e0f", "f");
    if value < 0.0 { format!("({text})") } else { text }
}

impl Function {
    /// Records what `f` does with [`super::Rec`].
    pub fn record(name: &str, f: impl FnOnce()) -> Self {
        Tape::take();
        f();
        Self::from_tape(name, &Tape::take())
    }

    fn from_tape(name: &str, tape: &Tape) -> Self {
        let needed = needed(tape);
        let mut writer = Writer { tape, text: String::new(), operations: 0, philox: Vec::new() };
        // loads of places that are overwritten come before every store
        let overwritten: std::collections::HashSet<Place> = tape.stores.iter().map(|(p, _)| *p).collect();
        let early = |node: &Node| matches!(node, Node::Load(place) if overwritten.contains(place));
        for (id, node) in tape.nodes.iter().enumerate() {
            if needed[id] && early(node) {
                writer.define(id as Id);
            }
        }
        // a store goes to the first place at which its number is known
        let mut stores: Vec<(Place, Id)> =
            tape.stores.iter().copied().filter(|(p, _)| p.space != Space::Result).collect();
        stores.sort_by_key(|s| s.1);
        let mut next = 0;
        for (id, node) in tape.nodes.iter().enumerate() {
            if needed[id] && !early(node) {
                writer.define(id as Id);
            }
            while next < stores.len() && stores[next].1 as usize <= id {
                let (place, from) = stores[next];
                let line = format!("{} = {};", place_text(place), writer.name(from));
                writer.line(&line);
                next += 1;
            }
        }
        let mut results: Vec<(Place, Id)> =
            tape.stores.iter().copied().filter(|(p, _)| p.space == Space::Result).collect();
        results.sort_by_key(|(p, _)| p.index);
        if !results.is_empty() {
            let values: Vec<String> = results.iter().map(|(_, id)| writer.name(*id)).collect();
            let line = format!("return array<f32, {}>({});", results.len(), values.join(", "));
            writer.line(&line);
        }
        let arguments = tape.nodes.iter().filter_map(|n| match n {
            Node::Load(Place { space: Space::Argument, index }) => Some(*index as usize + 1),
            _ => None,
        });
        Self {
            name: name.into(),
            arguments: arguments.max().unwrap_or(0),
            results: results.len(),
            operations: writer.operations,
            body: writer.text,
        }
    }

    /// The same, taking an array of at least `n` numbers.
    pub fn with_arguments(mut self, n: usize) -> Self {
        self.arguments = self.arguments.max(n);
        self
    }

    /// Lines between the braces.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Operations in it.
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// The whole function. It takes and returns an array where it has arguments and results.
    pub fn text(&self) -> String {
        let argument = if self.arguments > 0 { format!("a: array<f32, {}>", self.arguments) } else { String::new() };
        let result = if self.results > 0 { format!(" -> array<f32, {}>", self.results) } else { String::new() };
        format!("fn {}({argument}){result} {{\n{}}}\n", self.name, self.body)
    }
}

/// The nodes that the stores need.
fn needed(tape: &Tape) -> Vec<bool> {
    let mut needed = vec![false; tape.nodes.len()];
    for &(_, id) in &tape.stores {
        needed[id as usize] = true;
    }
    for id in (0..tape.nodes.len()).rev() {
        if needed[id] {
            Tape::operands(&tape.nodes[id], |o| needed[o as usize] = true);
        }
    }
    needed
}

fn place_text(place: Place) -> String {
    let i = place.index;
    match place.space {
        Space::Private(name) | Space::Shared(name) => format!("{name}[{i}]"),
        Space::Column(name) => format!("{name}[{i}u * worlds + world]"),
        Space::Sliced(name) => format!("{name}[({name}_at + {i}u) * worlds + world]"),
        Space::Argument => format!("a[{i}]"),
        Space::Result => String::new(),
    }
}

/// How the text refers to a node.
fn name(tape: &Tape, id: Id) -> String {
    match tape.nodes[id as usize] {
        Node::Literal(bits) => float(f64::from_bits(bits)),
        Node::Truth(value) => value.to_string(),
        _ => format!("v{id}"),
    }
}

struct Writer<'a> {
    tape: &'a Tape,
    text: String,
    operations: usize,
    /// Blocks of four random words that already have a name.
    philox: Vec<(u32, Id, Id, u32)>,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str("    ");
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// How the text refers to a node.
    fn name(&self, id: Id) -> String {
        name(self.tape, id)
    }

    fn define(&mut self, id: Id) {
        let tape = self.tape;
        let n = |x: Id| name(tape, x);
        let value = match tape.nodes[id as usize] {
            Node::Literal(_) | Node::Truth(_) => return,
            Node::Load(place) => place_text(place),
            Node::Unit { purpose, episode, step, index } => {
                let block = (purpose, episode, step, index / 4);
                let at = match self.philox.iter().position(|b| *b == block) {
                    Some(at) => at,
                    None => {
                        let (at, sub) = (self.philox.len(), index / 4);
                        let counter = format!("{sub}u, u32({}), u32({}), {purpose}u", n(step), n(episode));
                        self.line(&format!("let r{at} = philox(vec4<u32>({counter}), world_key());"));
                        self.philox.push(block);
                        at
                    }
                };
                format!("unit(r{at}.{})", ["x", "y", "z", "w"][index as usize % 4])
            }
            Node::Unary(op, x) => match op {
                Unary::Neg => format!("-({})", n(x)),
                Unary::Abs => format!("abs({})", n(x)),
                Unary::Sqrt => format!("sqrt({})", n(x)),
                Unary::Sin => format!("sin_cos({}).x", n(x)),
                Unary::Cos => format!("sin_cos({}).y", n(x)),
            },
            Node::Binary(op, a, b) => {
                let (a, b) = (n(a), n(b));
                match op {
                    Binary::Add => format!("{a} + {b}"),
                    Binary::Sub => format!("{a} - {b}"),
                    Binary::Mul => format!("{a} * {b}"),
                    Binary::Div => format!("{a} / {b}"),
                    Binary::Min => format!("min({a}, {b})"),
                    Binary::Max => format!("max({a}, {b})"),
                    Binary::Atan2 => format!("arctan2({a}, {b})"),
                    Binary::Pow => format!("power({a}, {b})"),
                }
            }
            Node::Fma(a, b, c) => format!("fma({}, {}, {})", n(a), n(b), n(c)),
            Node::Call(name, a, None) => format!("{name}({})", n(a)),
            Node::Call(name, a, Some(b)) => format!("{name}({}, {})", n(a), n(b)),
            Node::Compare(op, a, b) => {
                let op = match op {
                    Compare::Lt => "<",
                    Compare::Le => "<=",
                    Compare::Eq => "==",
                };
                format!("{} {op} {}", n(a), n(b))
            }
            Node::Finite(x) => format!("(bitcast<u32>({}) & 0x7fffffffu) < 0x7f800000u", n(x)),
            Node::Within(x, bound) => format!("(bitcast<u32>({}) & 0x7fffffffu) < {bound:#x}u", n(x)),
            Node::And(a, b) => format!("{} && {}", n(a), n(b)),
            Node::Or(a, b) => format!("{} || {}", n(a), n(b)),
            Node::Not(a) => format!("!{}", n(a)),
            Node::Select(mask, yes, no) => format!("select({}, {}, {})", n(no), n(yes), n(mask)),
        };
        self.operations += 1;
        let _ = writeln!(self.text, "    let v{id} = {value};");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_read_back_as_the_same_f32() {
        for x in [0.0, 1.0, -2.5, 0.1, 1e-15, -1e30, 9.81, 123_456.79, f64::MAX] {
            let text = float(x);
            let digits = text.trim_matches(['(', ')']).trim_end_matches('f');
            assert_eq!(digits.parse::<f32>().unwrap(), (x as f32).clamp(f32::MIN, f32::MAX), "{text}");
            assert_eq!(text.starts_with('('), x < 0.0);
        }
    }
}
