//! The program as a graph of single-number operations: constants folded in `f64`, equal nodes shared.

use crate::scene::{Channel, Input, Scene};
use crate::value::{Bin, Builder, Un};
use std::collections::HashMap;
use std::sync::Arc;

/// A node: a number of the program.
pub(crate) type Id = u32;

/// What a node is. Constants are kept as bits, so that equal ones are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Lit(u64),
    Input(Input),
    Param(u16),
    /// A slot of the memory, as it was before the step.
    Memory(u16),
    /// In a [`Tail`](crate::Tail) only: output of the script it will follow.
    Term(u16),
    /// In a [`Tail`](crate::Tail) only: that output in the state before the step.
    Before(u16),
    Un(Un, Id),
    Bin(Bin, Id, Id),
    Sel(Id, Id, Id),
}

/// Nodes in an order in which operands come first.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    known: HashMap<Node, Id>,
    scene: Arc<Scene>,
    /// More nodes than allowed were asked for.
    pub full: bool,
}

/// A reward of a hundred terms has some thousand operations; this stops a script that unrolls into millions.
const MAX_NODES: usize = 200_000;

impl Graph {
    pub fn new(scene: Arc<Scene>) -> Self {
        Self { nodes: Vec::new(), known: HashMap::new(), scene, full: false }
    }

    pub fn node(&mut self, node: Node) -> Id {
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        if self.nodes.len() >= MAX_NODES {
            self.full = true;
            return 0;
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        self.known.insert(node, id);
        id
    }

    /// The value of a constant node.
    pub fn constant(&self, id: Id) -> Option<f64> {
        match self.nodes[id as usize] {
            Node::Lit(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Does the node vary without steps? What is counted, commanded, chosen among constants, or remembered does not.
    pub fn is_continuous(&self, id: Id) -> bool {
        let mut seen = vec![false; id as usize + 1];
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            match self.nodes[id as usize] {
                Node::Input(i) => match i.channel {
                    Channel::BodyContact(_) | Channel::FootContact(_) | Channel::EpisodeStep | Channel::Command(_) => {}
                    Channel::Terminated | Channel::Success => {}
                    _ => return true,
                },
                Node::Un(Un::Floor | Un::Ceil | Un::Round | Un::Trunc | Un::Sign | Un::Not, _) => {}
                Node::Un(_, a) => open.push(a),
                Node::Bin(Bin::Lt | Bin::Le | Bin::Eq | Bin::Ne | Bin::And | Bin::Or, ..) => {}
                Node::Bin(_, a, b) | Node::Sel(_, a, b) => open.extend([a, b]),
                Node::Lit(_) | Node::Param(_) | Node::Memory(_) | Node::Term(_) | Node::Before(_) => {}
            }
        }
        false
    }

    /// Is the node surely 0 or 1?
    fn is_truth(&self, id: Id) -> bool {
        matches!(
            self.nodes[id as usize],
            Node::Bin(Bin::Lt | Bin::Le | Bin::Eq | Bin::Ne | Bin::And | Bin::Or, ..) | Node::Un(Un::Not, _)
        )
    }
}

impl Builder for Graph {
    type N = Id;

    fn scene(&self) -> &Scene {
        &self.scene
    }

    fn lit(&mut self, x: f64) -> Id {
        self.node(Node::Lit(x.to_bits()))
    }

    fn un(&mut self, op: Un, x: Id) -> Id {
        match self.constant(x) {
            Some(v) => self.lit(op.apply(v)),
            None => self.node(Node::Un(op, x)),
        }
    }

    fn bin(&mut self, op: Bin, a: Id, b: Id) -> Id {
        let (ca, cb) = (self.constant(a), self.constant(b));
        if let (Some(x), Some(y)) = (ca, cb) {
            return self.lit(op.apply(x, y));
        }
        // Only what is exact in floating point: nothing is lost to NaN or to the sign of zero.
        match (op, ca, cb) {
            (Bin::Mul, Some(1.0), _) => b,
            (Bin::Mul | Bin::Div, _, Some(1.0)) => a,
            (Bin::Sub, _, Some(0.0)) => a,
            (Bin::And, Some(0.0), _) | (Bin::And, _, Some(0.0)) => self.lit(0.0),
            (Bin::And, Some(_), _) if self.is_truth(b) => b,
            (Bin::And, _, Some(_)) if self.is_truth(a) => a,
            (Bin::And, ..) if a == b && self.is_truth(a) => a,
            (Bin::Or, Some(0.0), _) if self.is_truth(b) => b,
            (Bin::Or, _, Some(0.0)) if self.is_truth(a) => a,
            (Bin::Or, ..) if a == b && self.is_truth(a) => a,
            _ => self.node(Node::Bin(op, a, b)),
        }
    }

    fn sel(&mut self, c: Id, a: Id, b: Id) -> Id {
        match self.constant(c) {
            Some(0.0) => b,
            Some(_) => a,
            None if a == b => a,
            None => self.node(Node::Sel(c, a, b)),
        }
    }

    fn input(&mut self, input: Input) -> Id {
        self.node(Node::Input(input))
    }
}
