//! A lowered script: straight-line operations over columns of worlds.
//!
//! Registers hold 64 worlds. Worlds are taken 64 at a time through all operations, so a run works in the first-level
//! cache. Constants have registers of their own that are filled once.

use crate::graph::{Graph, Id, Node};
use crate::scene::Input;
use crate::value::{Bin, Un};
use wide::f32x8;

/// Worlds in a register.
const CHUNK: usize = 64;
const LANES: usize = 8;
type Reg = [f32x8; CHUNK / LANES];

#[derive(Clone, Copy, Debug)]
enum Code {
    Un(Un),
    Bin(Bin),
    Sel,
}

#[derive(Clone, Copy, Debug)]
struct Instr {
    code: Code,
    dst: u32,
    args: [u32; 3],
}

/// Operations, where they read, and where they leave their results.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lowered {
    instrs: Vec<Instr>,
    /// Registers of constants.
    constants: Vec<(u32, f32)>,
    /// Register of each input in the order of `inputs`.
    loads: Vec<u32>,
    /// Register and parameter.
    params: Vec<(u32, u16)>,
    /// Register and memory slot.
    memory_in: Vec<(u32, u16)>,
    memory_out: Vec<u32>,
    outputs: Vec<u32>,
    registers: usize,
    pub inputs: Vec<Input>,
}

/// A kind of number that a lowered program can be replayed on, for example the text of another language. Truth values
/// are numbers: 0 is false, everything else true; comparisons give 1 or 0.
pub trait Machine {
    /// The number.
    type N: Copy;
    /// A constant.
    fn literal(&mut self, x: f32) -> Self::N;
    /// An operation on one number.
    fn un(&mut self, op: Un, x: Self::N) -> Self::N;
    /// An operation on two.
    fn bin(&mut self, op: Bin, a: Self::N, b: Self::N) -> Self::N;
    /// `a` where `condition` is true, else `b`.
    fn select(&mut self, condition: Self::N, a: Self::N, b: Self::N) -> Self::N;
}

/// Working memory of a lowered program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registers(Vec<Reg>);

impl Lowered {
    /// Keeps what the outputs and the memory need, and gives every value a register, free again once the value's last
    /// reader has run.
    pub fn new(graph: &Graph, outputs: &[Id], memory: &[Id]) -> Self {
        let n = graph.nodes.len();
        let mut last_use = vec![0usize; n];
        let mut needed = vec![false; n];
        for &o in outputs.iter().chain(memory) {
            needed[o as usize] = true;
            last_use[o as usize] = usize::MAX;
        }
        let operands = |node: &Node| -> ([Id; 3], usize) {
            match *node {
                Node::Un(_, a) => ([a, 0, 0], 1),
                Node::Bin(_, a, b) => ([a, b, 0], 2),
                Node::Sel(c, a, b) => ([c, a, b], 3),
                _ => ([0; 3], 0),
            }
        };
        for id in (0..n).rev() {
            if needed[id] {
                let (args, k) = operands(&graph.nodes[id]);
                for &a in &args[..k] {
                    needed[a as usize] = true;
                    if last_use[a as usize] == 0 {
                        last_use[a as usize] = id;
                    }
                }
            }
        }
        let mut out = Self::default();
        let mut register = vec![u32::MAX; n];
        let mut free: Vec<u32> = Vec::new();
        let mut fresh = 0u32;
        let mut new_register = |free: &mut Vec<u32>| {
            free.pop().unwrap_or_else(|| {
                fresh += 1;
                fresh - 1
            })
        };
        // What is there before the first operation keeps its register: constants for good, the others for the run.
        for id in (0..n).filter(|&id| needed[id]) {
            let r = match graph.nodes[id] {
                Node::Lit(bits) => {
                    let r = new_register(&mut free);
                    out.constants.push((r, f64::from_bits(bits) as f32));
                    r
                }
                Node::Input(input) => {
                    let r = new_register(&mut free);
                    out.inputs.push(input);
                    out.loads.push(r);
                    r
                }
                Node::Param(p) => {
                    let r = new_register(&mut free);
                    out.params.push((r, p));
                    r
                }
                Node::Memory(m) => {
                    let r = new_register(&mut free);
                    out.memory_in.push((r, m));
                    r
                }
                _ => continue,
            };
            register[id] = r;
        }
        for id in (0..n).filter(|&id| needed[id]) {
            let node = &graph.nodes[id];
            let code = match *node {
                Node::Un(op, _) => Code::Un(op),
                Node::Bin(op, ..) => Code::Bin(op),
                Node::Sel(..) => Code::Sel,
                _ => continue,
            };
            let (args, k) = operands(node);
            let mut regs = [0u32; 3];
            for i in 0..k {
                regs[i] = register[args[i] as usize];
            }
            for i in 0..k {
                let a = args[i] as usize;
                let reusable = matches!(graph.nodes[a], Node::Un(..) | Node::Bin(..) | Node::Sel(..));
                if reusable && last_use[a] == id && !args[..i].contains(&args[i]) {
                    free.push(register[a]);
                }
            }
            register[id] = new_register(&mut free);
            out.instrs.push(Instr { code, dst: register[id], args: regs });
        }
        out.outputs = outputs.iter().map(|&o| register[o as usize]).collect();
        out.memory_out = memory.iter().map(|&o| register[o as usize]).collect();
        out.registers = fresh as usize;
        out
    }

    /// Replays the operations on another kind of number and returns the outputs; `memory` is taken from before the step
    /// to after it.
    pub fn replay<M: Machine>(&self, m: &mut M, inputs: &[M::N], params: &[M::N], memory: &mut [M::N]) -> Vec<M::N> {
        let zero = m.literal(0.0);
        let mut regs = vec![zero; self.registers];
        for &(r, x) in &self.constants {
            regs[r as usize] = m.literal(x);
        }
        for (&r, &x) in self.loads.iter().zip(inputs) {
            regs[r as usize] = x;
        }
        for &(r, p) in &self.params {
            regs[r as usize] = params[usize::from(p)];
        }
        for &(r, slot) in &self.memory_in {
            regs[r as usize] = memory[usize::from(slot)];
        }
        for i in &self.instrs {
            let [a, b, c] = i.args.map(|r| regs[r as usize]);
            regs[i.dst as usize] = match i.code {
                Code::Un(op) => m.un(op, a),
                Code::Bin(op) => m.bin(op, a, b),
                Code::Sel => m.select(a, b, c),
            };
        }
        for (slot, &r) in memory.iter_mut().zip(&self.memory_out) {
            *slot = regs[r as usize];
        }
        self.outputs.iter().map(|&r| regs[r as usize]).collect()
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.instrs.len()
    }

    pub fn registers(&self) -> Registers {
        let mut regs = vec![[f32x8::ZERO; CHUNK / LANES]; self.registers];
        for &(r, x) in &self.constants {
            regs[r as usize] = [f32x8::splat(x); CHUNK / LANES];
        }
        Registers(regs)
    }

    /// Runs over `width` worlds of columns `[column][stride]`; `stride` is a multiple of 8.
    pub fn run(
        &self,
        width: usize,
        stride: usize,
        inputs: &[f32],
        params: &[f32],
        memory: &mut [f32],
        regs: &mut Registers,
        out: &mut [f32],
    ) {
        let regs = &mut regs.0;
        for &(r, p) in &self.params {
            regs[r as usize] = [f32x8::splat(params[usize::from(p)]); CHUNK / LANES];
        }
        let mut base = 0;
        while base < width {
            let n = (width - base).div_ceil(LANES).min(CHUNK / LANES) * LANES;
            for (k, &r) in self.loads.iter().enumerate() {
                load(&mut regs[r as usize], &inputs[k * stride + base..][..n]);
            }
            for &(r, m) in &self.memory_in {
                load(&mut regs[r as usize], &memory[usize::from(m) * stride + base..][..n]);
            }
            for instr in &self.instrs {
                step(regs, instr);
            }
            for (k, &r) in self.outputs.iter().enumerate() {
                store(&regs[r as usize], &mut out[k * stride + base..][..n]);
            }
            for (k, &r) in self.memory_out.iter().enumerate() {
                store(&regs[r as usize], &mut memory[k * stride + base..][..n]);
            }
            base += CHUNK;
        }
    }
}

#[inline]
fn load(reg: &mut Reg, column: &[f32]) {
    for (lane, chunk) in reg.iter_mut().zip(column.chunks_exact(LANES)) {
        let mut eight = [0.0; LANES];
        eight.copy_from_slice(chunk);
        *lane = f32x8::from(eight);
    }
}

#[inline]
fn store(reg: &Reg, column: &mut [f32]) {
    for (lane, chunk) in reg.iter().zip(column.chunks_exact_mut(LANES)) {
        chunk.copy_from_slice(&lane.to_array());
    }
}

#[inline]
fn truth(mask: f32x8) -> f32x8 {
    mask & f32x8::ONE
}

fn each(x: f32x8, f: impl Fn(f32) -> f32) -> f32x8 {
    f32x8::from(x.to_array().map(f))
}

fn each2(x: f32x8, y: f32x8, f: impl Fn(f32, f32) -> f32) -> f32x8 {
    let (x, y) = (x.to_array(), y.to_array());
    f32x8::from(std::array::from_fn(|i| f(x[i], y[i])))
}

fn step(regs: &mut [Reg], instr: &Instr) {
    let [a, b, c] = instr.args.map(|r| r as usize);
    let dst = instr.dst as usize;
    let unary = |regs: &mut [Reg], f: &dyn Fn(f32x8) -> f32x8| {
        let x = regs[a];
        regs[dst] = x.map(f);
    };
    /// Monomorphic loops, so that each operation is a loop of vector instructions.
    macro_rules! unary {
        ($x:ident, $e:expr) => {{
            let x = regs[a];
            let out = &mut regs[dst];
            for i in 0..CHUNK / LANES {
                let $x = x[i];
                out[i] = $e;
            }
        }};
    }
    macro_rules! binary {
        ($x:ident, $y:ident, $e:expr) => {{
            let (x, y) = (regs[a], regs[b]);
            let out = &mut regs[dst];
            for i in 0..CHUNK / LANES {
                let ($x, $y) = (x[i], y[i]);
                out[i] = $e;
            }
        }};
    }
    match instr.code {
        Code::Un(op) => match op {
            Un::Neg => unary!(x, -x),
            Un::Abs => unary!(x, x.abs()),
            Un::Sqrt => unary!(x, x.sqrt()),
            Un::Not => unary!(x, truth(x.simd_eq(f32x8::ZERO))),
            Un::Floor => unary!(x, x.floor()),
            Un::Ceil => unary!(x, x.ceil()),
            Un::Trunc => unary!(x, x.trunc()),
            // The library's own approximations are not used: these agree with the reference everywhere.
            Un::Exp => unary(regs, &|x| each(x, f32::exp)),
            Un::Ln => unary(regs, &|x| each(x, f32::ln)),
            Un::Sin => unary(regs, &|x| each(x, f32::sin)),
            Un::Cos => unary(regs, &|x| each(x, f32::cos)),
            Un::Tan => unary(regs, &|x| each(x, f32::tan)),
            Un::Asin => unary(regs, &|x| each(x, f32::asin)),
            Un::Acos => unary(regs, &|x| each(x, f32::acos)),
            Un::Atan => unary(regs, &|x| each(x, f32::atan)),
            Un::Tanh => unary(regs, &|x| each(x, f32::tanh)),
            Un::Round => unary(regs, &|x| each(x, f32::round)),
            Un::Sign => unary(regs, &|x| each(x, |x| f32::from(i8::from(x > 0.0) - i8::from(x < 0.0)))),
        },
        Code::Bin(op) => match op {
            Bin::Add => binary!(x, y, x + y),
            Bin::Sub => binary!(x, y, x - y),
            Bin::Mul => binary!(x, y, x * y),
            Bin::Div => binary!(x, y, x / y),
            Bin::Min => binary!(x, y, x.min(y)),
            Bin::Max => binary!(x, y, x.max(y)),
            Bin::Lt => binary!(x, y, truth(x.simd_lt(y))),
            Bin::Le => binary!(x, y, truth(x.simd_le(y))),
            Bin::Eq => binary!(x, y, truth(x.simd_eq(y))),
            Bin::Ne => binary!(x, y, truth(x.simd_ne(y))),
            Bin::And => binary!(x, y, truth(x.simd_ne(f32x8::ZERO) & y.simd_ne(f32x8::ZERO))),
            Bin::Or => binary!(x, y, truth(x.simd_ne(f32x8::ZERO) | y.simd_ne(f32x8::ZERO))),
            Bin::Rem => binary!(x, y, each2(x, y, |x, y| x % y)),
            Bin::Pow => binary!(x, y, each2(x, y, f32::powf)),
            Bin::Atan2 => binary!(x, y, each2(x, y, f32::atan2)),
        },
        Code::Sel => {
            let (k, x, y) = (regs[a], regs[b], regs[c]);
            let out = &mut regs[dst];
            for i in 0..CHUNK / LANES {
                out[i] = k[i].simd_ne(f32x8::ZERO).bitselect(x[i], y[i]);
            }
        }
    }
}
