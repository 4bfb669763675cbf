//! What follows a script: arithmetic on its outputs that becomes part of the same program.
//!
//! A [`Tail`] is recorded once against the outputs of an entry function (terms), then attached to its program
//! ([`crate::Program::extend`]): lowered programs take its operations into their graph, interpreted ones evaluate it in
//! `f64` after the interpreter. It may remember numbers per world (memory slots, which start anew with each episode),
//! read columns of the state, and take numbers that the host changes between updates (host parameters).

use crate::graph::{Graph, Id, Node};
use crate::scene::{Channel, Input, Scene};
use crate::value::{Bin, Builder, Un};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A number of a [`Tail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Num(Id);

/// A slot of memory of a [`Tail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// Why a tail cannot follow a script: the value of a term before the step cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its value before the step is needed, but it {reason}")]
pub struct TailError {
    /// Index of the term.
    pub term: usize,
    /// What it reads that belongs to more than one state.
    pub reason: String,
}

/// Operations that follow a script. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Tail {
    g: Graph,
    terms: usize,
    script_params: usize,
    host: Vec<(String, f64)>,
    /// Start value, and what is remembered at the end of a step.
    memory: Vec<(f64, Id)>,
    outputs: Vec<(String, Id)>,
    before: BTreeSet<u16>,
}

impl Tail {
    /// An empty tail of a script with `terms` outputs and `params` parameters.
    pub fn new(scene: &Arc<Scene>, terms: usize, params: usize) -> Self {
        Self {
            g: Graph::new(scene.clone()),
            terms,
            script_params: params,
            host: Vec::new(),
            memory: Vec::new(),
            outputs: Vec::new(),
            before: BTreeSet::new(),
        }
    }

    /// Number of outputs of the script.
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// Output `i` of the script.
    ///
    /// # Panics
    /// When the script has no such output.
    pub fn term(&mut self, i: usize) -> Num {
        assert!(i < self.terms, "term {i} of {}", self.terms);
        Num(self.g.node(Node::Term(i as u16)))
    }

    /// Output `i` of the script in the state before the step; [`crate::Program::extend`] refuses it for outputs that
    /// read `s.prev` or memory.
    ///
    /// # Panics
    /// When the script has no such output.
    pub fn term_before(&mut self, i: usize) -> Num {
        assert!(i < self.terms, "term {i} of {}", self.terms);
        self.before.insert(i as u16);
        Num(self.g.node(Node::Before(i as u16)))
    }

    /// A column of the state after the step.
    pub fn column(&mut self, channel: Channel) -> Num {
        Num(self.g.node(Node::Input(Input::now(channel))))
    }

    /// Parameter `i` of the script.
    ///
    /// # Panics
    /// When the script has no such parameter.
    pub fn param(&mut self, i: usize) -> Num {
        assert!(i < self.script_params, "parameter {i} of {}", self.script_params);
        Num(self.g.node(Node::Param(i as u16)))
    }

    /// A new number that the host sets between updates: an index among the host's numbers, which stand after the
    /// parameters of the script in what [`crate::Program::run`] takes.
    pub fn host(&mut self, name: impl Into<String>, start: f64) -> (usize, Num) {
        self.host.push((name.into(), start));
        let index = self.host.len() - 1;
        (index, Num(self.g.node(Node::Param((self.script_params + index) as u16))))
    }

    /// A new slot of memory: its value before the step. [`Tail::remember`] sets its value after the step.
    pub fn slot(&mut self, start: f64) -> (Slot, Num) {
        let index = self.memory.len();
        let id = self.g.node(Node::Memory(index as u16));
        self.memory.push((start, id));
        (Slot(index), Num(id))
    }

    /// Sets a slot's value after the step.
    pub fn remember(&mut self, slot: Slot, value: Num) {
        self.memory[slot.0].1 = value.0;
    }

    /// Names a number that comes out. Outputs stand after those of the script.
    pub fn output(&mut self, name: impl Into<String>, value: Num) {
        self.outputs.push((name.into(), value.0));
    }

    /// A constant.
    pub fn lit(&mut self, x: f64) -> Num {
        Num(self.g.lit(x))
    }

    /// An operation on one number.
    pub fn un(&mut self, op: Un, x: Num) -> Num {
        Num(self.g.un(op, x.0))
    }

    /// An operation on two numbers.
    pub fn bin(&mut self, op: Bin, a: Num, b: Num) -> Num {
        Num(self.g.bin(op, a.0, b.0))
    }

    /// `a` where `c` is true, else `b`.
    pub fn select(&mut self, c: Num, a: Num, b: Num) -> Num {
        Num(self.g.sel(c.0, a.0, b.0))
    }

    /// Sum.
    pub fn add(&mut self, a: Num, b: Num) -> Num {
        self.bin(Bin::Add, a, b)
    }

    /// Difference.
    pub fn sub(&mut self, a: Num, b: Num) -> Num {
        self.bin(Bin::Sub, a, b)
    }

    /// Product.
    pub fn mul(&mut self, a: Num, b: Num) -> Num {
        self.bin(Bin::Mul, a, b)
    }

    /// Quotient.
    pub fn div(&mut self, a: Num, b: Num) -> Num {
        self.bin(Bin::Div, a, b)
    }

    /// Names and start values of the host's numbers.
    pub fn host_params(&self) -> &[(String, f64)] {
        &self.host
    }

    pub(crate) fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn memory_init(&self) -> impl Iterator<Item = f64> {
        self.memory.iter().map(|(start, _)| *start)
    }

    pub(crate) fn needs_before(&self) -> bool {
        !self.before.is_empty()
    }

    pub(crate) fn first_before(&self) -> usize {
        self.before.first().map_or(0, |&t| usize::from(t))
    }

    /// Columns it reads.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = Input> {
        self.g.nodes.iter().filter_map(|n| if let Node::Input(i) = n { Some(*i) } else { None })
    }

    /// Adds the tail's operations to the graph of a script with `outputs` and `slots` slots of memory. Returns the
    /// tail's own outputs and its memory after the step.
    pub(crate) fn attach(&self, g: &mut Graph, outputs: &[Id], slots: usize) -> Result<(Vec<Id>, Vec<Id>), TailError> {
        let mut earlier: HashMap<Id, Id> = HashMap::new();
        let mut map: Vec<Id> = Vec::with_capacity(self.g.nodes.len());
        for node in &self.g.nodes {
            let at = |id: &Id| map[*id as usize];
            let id = match node {
                Node::Term(i) => outputs[usize::from(*i)],
                Node::Before(i) => {
                    let term = usize::from(*i);
                    before(g, outputs[term], &mut earlier).map_err(|reason| TailError { term, reason })?
                }
                Node::Memory(m) => g.node(Node::Memory(m + slots as u16)),
                Node::Un(op, a) => g.un(*op, at(a)),
                Node::Bin(op, a, b) => g.bin(*op, at(a), at(b)),
                Node::Sel(c, a, b) => g.sel(at(c), at(a), at(b)),
                other => g.node(*other),
            };
            map.push(id);
        }
        let ids = self.outputs.iter().map(|(_, id)| map[*id as usize]).collect();
        let memory = self.memory.iter().map(|(_, id)| map[*id as usize]).collect();
        Ok((ids, memory))
    }

    /// Evaluates the tail in `f64` for one world: its outputs, and the memory after the step. `before` is empty when it
    /// is not needed.
    pub(crate) fn eval(
        &self,
        terms: &[f64],
        before: &[f64],
        column: impl Fn(Input) -> f64,
        params: &[f32],
        memory: &[f64],
    ) -> (Vec<f64>, Vec<f64>) {
        let mut values: Vec<f64> = Vec::with_capacity(self.g.nodes.len());
        for node in &self.g.nodes {
            let at = |id: Id| values[id as usize];
            let x = match *node {
                Node::Lit(bits) => f64::from_bits(bits),
                Node::Input(input) => column(input),
                Node::Param(p) => f64::from(params[usize::from(p)]),
                Node::Memory(m) => memory[usize::from(m)],
                Node::Term(i) => terms[usize::from(i)],
                Node::Before(i) => before[usize::from(i)],
                Node::Un(op, a) => op.apply(at(a)),
                Node::Bin(op, a, b) => op.apply(at(a), at(b)),
                Node::Sel(c, a, b) => {
                    if at(c) != 0.0 {
                        at(a)
                    } else {
                        at(b)
                    }
                }
            };
            values.push(x);
        }
        let value = |id: Id| values[id as usize];
        (
            self.outputs.iter().map(|(_, id)| value(*id)).collect(),
            self.memory.iter().map(|(_, id)| value(*id)).collect(),
        )
    }
}

/// A node of the script as it is in the state before the step; the reason, if it belongs to more than one state.
fn before(g: &mut Graph, id: Id, known: &mut HashMap<Id, Id>) -> Result<Id, String> {
    // Operands come before their readers: the nodes that are needed are taken in that order, without recursion.
    let mut needed = vec![false; id as usize + 1];
    needed[id as usize] = true;
    for i in (0..=id as usize).rev().filter(|i| !known.contains_key(&(*i as Id))) {
        if needed[i] {
            match g.nodes[i] {
                Node::Un(_, a) => needed[a as usize] = true,
                Node::Bin(_, a, b) => [a, b].into_iter().for_each(|x| needed[x as usize] = true),
                Node::Sel(c, a, b) => [c, a, b].into_iter().for_each(|x| needed[x as usize] = true),
                _ => {}
            }
        }
    }
    for i in (0..=id).filter(|i| needed[*i as usize]) {
        if known.contains_key(&i) {
            continue;
        }
        let at = |x: Id| known[&x];
        let earlier = match g.nodes[i as usize] {
            Node::Input(input) if input.prev => {
                return Err(format!("reads {}", input.describe(&g.scene().clone())));
            }
            Node::Input(input) => g.node(Node::Input(Input::prev(input.channel))),
            Node::Memory(_) => return Err("reads what the script remembers".into()),
            Node::Un(op, a) => {
                let a = at(a);
                g.un(op, a)
            }
            Node::Bin(op, a, b) => {
                let (a, b) = (at(a), at(b));
                g.bin(op, a, b)
            }
            Node::Sel(c, a, b) => {
                let (c, a, b) = (at(c), at(a), at(b));
                g.sel(c, a, b)
            }
            _ => i,
        };
        known.insert(i, earlier);
    }
    Ok(known[&id])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::example;
    use crate::{EntryKind, Program, Script};

    fn program(text: &str, tail: impl Fn(&mut Tail)) -> Result<Program, TailError> {
        let scene = Arc::new(example());
        let params = [("w".to_string(), 0.7)];
        let program =
            Script::parse("r.rhai", text).unwrap().compile("reward", EntryKind::Terms, &scene, &params).unwrap();
        let mut t = Tail::new(&scene, program.outputs().len(), 1);
        tail(&mut t);
        program.extend(t)
    }

    /// Sum of the terms so far in the episode, the first term's change, and a host's factor.
    fn record(t: &mut Tail) {
        let x = t.term(0);
        let (slot, sum) = t.slot(0.0);
        let sum = t.add(sum, x);
        t.remember(slot, sum);
        let old = t.term_before(0);
        let change = t.sub(x, old);
        let ended = t.column(Channel::Terminated);
        let (_, k) = t.host("k", 2.0);
        let scaled = t.mul(k, change);
        let out = t.select(ended, x, scaled);
        t.output("sum", sum);
        t.output("change", out);
    }

    const PURE: &str = "fn reward(s, p) { #{ a: p.w * s.qpos[2] * s.qpos[2] + s.body(\"torso\").up.z, b: 1.0 } }";

    #[test]
    fn a_tail_is_lowered_with_the_script_and_agrees_with_the_interpreter() {
        let lowered = program(PURE, record).unwrap();
        assert!(lowered.is_lowered());
        assert_eq!(lowered.outputs(), ["a", "b", "sum", "change"]);
        assert_eq!(lowered.params()[1], ("k".to_string(), 2.0));
        assert_eq!(lowered.memory_init(), [0.0]);
        let parity = lowered.parity(300, 5).unwrap();
        assert!(parity.max_error < 1e-5, "{parity:?}");
        // The same by the interpreter alone: a loop over what differs between worlds is not lowered.
        let text = PURE.replace("#{ a", "let n = 0; while n < s.time { n += 1; if n > 5 { break; } } #{ a");
        let interpreted = program(&text, record).unwrap();
        assert!(!interpreted.is_lowered());
        let n = interpreted.inputs().len();
        let columns: Vec<f32> = (0..n * 8).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let picked: Vec<f32> = lowered
            .inputs()
            .iter()
            .flat_map(|i| {
                let k = interpreted.inputs().iter().position(|j| j == i).unwrap();
                columns[k * 8..(k + 1) * 8].to_vec()
            })
            .collect();
        let (mut a, mut b) = (vec![0.0; 4 * 8], vec![0.0; 4 * 8]);
        let (mut ma, mut mb) = (vec![0.5; 8], vec![0.5; 8]);
        lowered.run(8, 8, &picked, &[0.7, 3.0], &mut ma, &mut lowered.scratch(), &mut a).unwrap();
        interpreted.run(8, 8, &columns, &[0.7, 3.0], &mut mb, &mut interpreted.scratch(), &mut b).unwrap();
        let close = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-5);
        assert!(close(&a, &b) && close(&ma, &mb), "{a:?} {b:?} {ma:?} {mb:?}");
    }

    #[test]
    fn the_value_before_the_step_is_refused_where_it_is_not_of_one_state() {
        for (text, word) in [
            ("fn reward(s) { #{ a: s.prev.qpos[2] } }", "s.prev.qpos[2]"),
            ("fn memory() { #{ n: 0.0 } } fn reward(s, p, m) { m.n += 1.0; #{ a: m.n } }", "remembers"),
        ] {
            let error = program(text, record).unwrap_err();
            assert_eq!(error.term, 0);
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
