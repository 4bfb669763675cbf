//! The graph of a recorded function: nodes in an order in which operands come first.

use std::cell::RefCell;
use std::collections::HashMap;

/// Number of a node.
pub(crate) type Id = u32;

/// Nodes every tape begins with, so that they can be constants of [`super::Rec`].
pub(crate) const ZERO: Id = 0;
/// See [`ZERO`].
pub(crate) const ONE: Id = 1;

/// Where numbers are kept in a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// A private array: `name[index]`.
    Private(&'static str),
    /// A buffer with a column of worlds per number: `name[index * worlds + world]`.
    Column(&'static str),
    /// A buffer with such columns for each of many slices, the first of which `name_at` gives: `name[(name_at + index)
    /// * worlds + world]`.
    Sliced(&'static str),
    /// A buffer of numbers that all worlds share: `name[index]`.
    Shared(&'static str),
    /// Element of the function's argument, an array.
    Argument,
    /// Element of what the function returns, an array.
    Result,
}

/// One number in a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where.
    pub space: Space,
    /// Which.
    pub index: u32,
}

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    Neg,
    Abs,
    Sqrt,
    Sin,
    Cos,
}

/// Functions of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Atan2,
    Pow,
}

/// Comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Compare {
    Lt,
    Le,
    Eq,
}

/// A number or a truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Literal(u64),
    Truth(bool),
    Load(Place),
    Unit {
        purpose: u32,
        episode: Id,
        step: Id,
        index: u32,
    },
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Fma(Id, Id, Id),
    Call(&'static str, Id, Option<Id>),
    Compare(Compare, Id, Id),
    Finite(Id),
    /// Magnitude below a bound (bits of an `f32`), by its bits: false for NaN whatever a compiler assumes.
    Within(Id, u32),
    And(Id, Id),
    Or(Id, Id),
    Not(Id),
    Select(Id, Id, Id),
}

/// The operations recorded so far.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub nodes: Vec<Node>,
    known: HashMap<Node, Id>,
    /// In the order in which they were asked for.
    pub stores: Vec<(Place, Id)>,
}

thread_local! {
    static TAPE: RefCell<Tape> = RefCell::new(Tape::new());
}

/// The tape of this thread.
pub(crate) fn with<T>(f: impl FnOnce(&mut Tape) -> T) -> T {
    TAPE.with_borrow_mut(f)
}

impl Tape {
    pub fn new() -> Self {
        let mut tape = Self::default();
        tape.literal(0.0);
        tape.literal(1.0);
        tape
    }

    /// Takes out the recorded operations and begins anew.
    pub fn take() -> Self {
        with(|t| std::mem::replace(t, Self::new()))
    }

    pub fn node(&mut self, node: Node) -> Id {
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        self.known.insert(node, id);
        id
    }

    pub fn store(&mut self, place: Place, id: Id) {
        self.stores.retain(|(p, _)| *p != place);
        self.stores.push((place, id));
    }

    pub fn literal(&mut self, value: f64) -> Id {
        // one zero is enough: nothing in the stages depends on its sign
        let value = if value == 0.0 { 0.0 } else { value };
        self.node(Node::Literal(value.to_bits()))
    }

    pub fn truth(&mut self, value: bool) -> Id {
        self.node(Node::Truth(value))
    }

    pub fn constant(&self, id: Id) -> Option<f64> {
        match self.nodes[id as usize] {
            Node::Literal(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// The truth value, if it is known.
    pub fn known(&self, id: Id) -> Option<bool> {
        match self.nodes[id as usize] {
            Node::Truth(value) => Some(value),
            _ => None,
        }
    }

    pub fn unary(&mut self, op: Unary, x: Id) -> Id {
        if let Some(v) = self.constant(x) {
            return self.literal(match op {
                Unary::Neg => -v,
                Unary::Abs => v.abs(),
                Unary::Sqrt => v.sqrt(),
                Unary::Sin => v.sin(),
                Unary::Cos => v.cos(),
            });
        }
        match (op, self.nodes[x as usize]) {
            (Unary::Neg, Node::Unary(Unary::Neg, y)) => y,
            (Unary::Neg, Node::Binary(Binary::Sub, a, b)) => self.binary(Binary::Sub, b, a),
            (Unary::Abs, Node::Unary(Unary::Neg | Unary::Abs, y)) => self.unary(Unary::Abs, y),
            _ => self.node(Node::Unary(op, x)),
        }
    }

    pub fn binary(&mut self, op: Binary, a: Id, b: Id) -> Id {
        let (ca, cb) = (self.constant(a), self.constant(b));
        if let (Some(x), Some(y)) = (ca, cb) {
            return self.literal(match op {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                Binary::Min => x.min(y),
                Binary::Max => x.max(y),
                Binary::Atan2 => x.atan2(y),
                Binary::Pow => x.powf(y),
            });
        }
        match (op, ca, cb) {
            (Binary::Add, Some(0.0), _) => b,
            (Binary::Add | Binary::Sub, _, Some(0.0)) => a,
            (Binary::Sub, Some(0.0), _) => self.unary(Unary::Neg, b),
            (Binary::Mul, Some(0.0), _) | (Binary::Mul | Binary::Div, _, Some(0.0)) if op == Binary::Mul => ZERO,
            (Binary::Div, Some(0.0), _) => ZERO,
            (Binary::Mul, Some(1.0), _) => b,
            (Binary::Mul | Binary::Div, _, Some(1.0)) => a,
            (Binary::Mul, Some(-1.0), _) => self.unary(Unary::Neg, b),
            (Binary::Mul | Binary::Div, _, Some(-1.0)) => self.unary(Unary::Neg, a),
            (Binary::Min | Binary::Max, ..) if a == b => a,
            // numbers commute: one order, so that equal nodes meet
            (Binary::Add | Binary::Mul, ..) if a > b => self.node(Node::Binary(op, b, a)),
            (Binary::Add, ..) => match (self.negated(a), self.negated(b)) {
                (_, Some(y)) => self.binary(Binary::Sub, a, y),
                (Some(x), _) => self.binary(Binary::Sub, b, x),
                _ => self.node(Node::Binary(op, a, b)),
            },
            (Binary::Sub, ..) => match self.negated(b) {
                Some(y) => self.binary(Binary::Add, a, y),
                None => self.node(Node::Binary(op, a, b)),
            },
            _ => self.node(Node::Binary(op, a, b)),
        }
    }

    fn negated(&self, id: Id) -> Option<Id> {
        match self.nodes[id as usize] {
            Node::Unary(Unary::Neg, x) => Some(x),
            _ => None,
        }
    }

    /// `a * b + c`.
    pub fn fma(&mut self, a: Id, b: Id, c: Id) -> Id {
        let known = |t: &Self, id: Id| t.constant(id).filter(|v| [0.0, 1.0, -1.0].contains(v));
        let trivial = known(self, a).is_some() || known(self, b).is_some() || self.constant(c) == Some(0.0);
        if trivial || (self.constant(a).is_some() && self.constant(b).is_some()) {
            let product = self.binary(Binary::Mul, a, b);
            return self.binary(Binary::Add, product, c);
        }
        let (a, b) = if a > b { (b, a) } else { (a, b) };
        self.node(Node::Fma(a, b, c))
    }

    /// The mask of a number that is 1 where it is true and 0 elsewhere.
    fn mask_of(&self, id: Id) -> Option<Id> {
        match self.nodes[id as usize] {
            Node::Select(mask, ONE, ZERO) => Some(mask),
            _ => None,
        }
    }

    pub fn compare(&mut self, op: Compare, a: Id, b: Id) -> Id {
        if let (Compare::Eq, Some(mask), ZERO) = (op, self.mask_of(a), b) {
            return self.not(mask);
        }
        if let (Some(x), Some(y)) = (self.constant(a), self.constant(b)) {
            return self.truth(match op {
                Compare::Lt => x < y,
                Compare::Le => x <= y,
                Compare::Eq => x == y,
            });
        }
        self.node(Node::Compare(op, a, b))
    }

    pub fn both(&mut self, a: Id, b: Id) -> Id {
        match (self.known(a), self.known(b)) {
            (Some(true), _) => b,
            (_, Some(true)) => a,
            (Some(false), _) | (_, Some(false)) => self.truth(false),
            _ if a == b => a,
            _ => self.node(Node::And(a, b)),
        }
    }

    pub fn either(&mut self, a: Id, b: Id) -> Id {
        match (self.known(a), self.known(b)) {
            (Some(false), _) => b,
            (_, Some(false)) => a,
            (Some(true), _) | (_, Some(true)) => self.truth(true),
            _ if a == b => a,
            _ => self.node(Node::Or(a, b)),
        }
    }

    pub fn not(&mut self, a: Id) -> Id {
        match (self.known(a), self.nodes[a as usize]) {
            (Some(value), _) => self.truth(!value),
            (_, Node::Not(x)) => x,
            _ => self.node(Node::Not(a)),
        }
    }

    pub fn select(&mut self, mask: Id, yes: Id, no: Id) -> Id {
        match self.known(mask) {
            Some(true) => yes,
            Some(false) => no,
            None if yes == no => yes,
            None => self.node(Node::Select(mask, yes, no)),
        }
    }

    /// Operands of a node.
    pub fn operands(node: &Node, mut each: impl FnMut(Id)) {
        match *node {
            Node::Literal(_) | Node::Truth(_) | Node::Load(_) => {}
            Node::Unit { episode, step, .. } => [episode, step].into_iter().for_each(each),
            Node::Unary(_, a) | Node::Finite(a) | Node::Within(a, _) | Node::Not(a) => each(a),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) | Node::And(a, b) | Node::Or(a, b) => {
                [a, b].into_iter().for_each(each);
            }
            Node::Call(_, a, b) => [Some(a), b].into_iter().flatten().for_each(each),
            Node::Fma(a, b, c) | Node::Select(a, b, c) => [a, b, c].into_iter().for_each(each),
        }
    }
}
