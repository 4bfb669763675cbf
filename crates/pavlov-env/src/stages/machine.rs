//! Scripts on the numbers of the stages: a lowered program is replayed operation by operation, by the reference and by kernels; and
//! a program as a kernel of its own.

use super::truth;
use pavlov_physics::Real;
use pavlov_physics::record::{Function, LIBRARY, Place, Rec, Space};
use pavlov_script::{Bin, Machine, Program, Un};
use std::marker::PhantomData;

/// Numbers with the functions that scripts know besides those of [`Real`].
pub(crate) trait Elementary: Real {
    /// A function of one number, by its operation.
    fn function(self, op: Un) -> Self;
    /// The remainder of a division, with the sign of `self`.
    fn remainder(self, by: Self) -> Self;
    /// Power.
    fn power(self, exponent: Self) -> Self;
}

/// A machine for programs over numbers `R`.
pub(crate) struct Scripted<R>(PhantomData<R>);

impl<R> Scripted<R> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Elementary> Machine for Scripted<R> {
    type N = R;
    fn literal(&mut self, x: f32) -> R {
        R::splat(f64::from(x))
    }
    fn un(&mut self, op: Un, x: R) -> R {
        match op {
            Un::Neg => -x,
            Un::Abs => x.abs(),
            Un::Sqrt => x.sqrt(),
            Un::Sin => x.sin_cos().0,
            Un::Cos => x.sin_cos().1,
            Un::Floor => x.floor(),
            Un::Not => R::ONE.masked(x.same(R::ZERO)),
            _ => x.function(op),
        }
    }
    fn bin(&mut self, op: Bin, a: R, b: R) -> R {
        let mask = match op {
            Bin::Add => return a + b,
            Bin::Sub => return a - b,
            Bin::Mul => return a * b,
            Bin::Div => return a / b,
            Bin::Rem => return a.remainder(b),
            Bin::Pow => return a.power(b),
            Bin::Min => return a.min(b),
            Bin::Max => return a.max(b),
            Bin::Atan2 => return a.atan2(b),
            Bin::Lt => a.lt(b),
            Bin::Le => a.le(b),
            Bin::Eq => a.same(b),
            Bin::Ne => !a.same(b),
            Bin::And => truth(a) & truth(b),
            Bin::Or => truth(a) | truth(b),
        };
        R::ONE.masked(mask)
    }
    fn select(&mut self, condition: R, a: R, b: R) -> R {
        R::select(truth(condition), a, b)
    }
}

#[cfg(test)]
impl Elementary for f64 {
    fn function(self, op: Un) -> f64 {
        match op {
            Un::Exp => self.exp(),
            Un::Ln => self.ln(),
            Un::Tan => self.tan(),
            Un::Asin => self.asin(),
            Un::Acos => self.acos(),
            Un::Atan => self.atan(),
            Un::Tanh => self.tanh(),
            Un::Ceil => self.ceil(),
            Un::Round => self.round(),
            Un::Trunc => self.trunc(),
            Un::Sign if self == 0.0 => 0.0,
            Un::Sign => self.signum(),
            Un::Neg | Un::Abs | Un::Sqrt | Un::Sin | Un::Cos | Un::Floor | Un::Not => {
                unreachable!("a function of Real")
            }
        }
    }
    fn remainder(self, by: f64) -> f64 {
        self % by
    }
    fn power(self, exponent: f64) -> f64 {
        self.powf(exponent)
    }
}

impl Elementary for Rec {
    fn function(self, op: Un) -> Rec {
        self.call(match op {
            Un::Exp => "exponential",
            Un::Ln => "logarithm",
            Un::Tan => "tangent",
            Un::Asin => "arcsin",
            Un::Acos => "arccos",
            Un::Atan => "arctan",
            Un::Tanh => "hyperbolic_tangent",
            Un::Ceil => "ceil",
            Un::Round => "round_away",
            Un::Trunc => "trunc",
            Un::Sign => "sign",
            Un::Neg | Un::Abs | Un::Sqrt | Un::Sin | Un::Cos | Un::Floor | Un::Not => {
                unreachable!("a function of Real")
            }
        })
    }
    fn remainder(self, by: Rec) -> Rec {
        self.call2("remainder", by)
    }
    fn power(self, exponent: Rec) -> Rec {
        self.call2("power", exponent)
    }
}

/// The text of a kernel that runs a program alone: settings (worlds), `inputs`, `params` (shared), `memory`, `outputs`; entry point
/// `run_script`, 32 worlds a workgroup. None when the program is interpreted.
pub fn script_kernel(program: &Program) -> Option<String> {
    if !program.is_lowered() {
        return None;
    }
    let function = Function::record("script", || {
        let column = |name, i: usize| Place { space: Space::Column(name), index: i as u32 };
        let load = |name, n| -> Vec<Rec> { (0..n).map(|i| Rec::load(column(name, i))).collect() };
        let shared = |i| Place { space: Space::Shared("params"), index: i as u32 };
        let params: Vec<Rec> = (0..program.params().len()).map(|i| Rec::load(shared(i))).collect();
        let (inputs, mut memory) =
            (load("inputs", program.inputs().len()), load("memory", program.memory_init().len()));
        let outputs = program.replay(&mut Scripted::new(), &inputs, &params, &mut memory).unwrap_or_default();
        outputs.into_iter().enumerate().for_each(|(i, x)| x.store(column("outputs", i)));
        memory.into_iter().enumerate().for_each(|(i, x)| x.store(column("memory", i)));
    });
    Some(format!(
        "struct Run {{ worlds: u32, a: u32, b: u32, c: u32 }}
@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<f32>;
@group(0) @binding(3) var<storage, read_write> memory: array<f32>;
@group(0) @binding(4) var<storage, read_write> outputs: array<f32>;
var<private> world: u32;
var<private> worlds: u32;
fn world_key() -> vec2<u32> {{ return vec2<u32>(0u, world); }}
{LIBRARY}
{}
@compute @workgroup_size(32)
fn run_script(@builtin(global_invocation_id) id: vec3<u32>) {{
world = id.x; worlds = run.worlds;
if (world < worlds) {{ script(); }}
}}
",
        function.text()
    ))
}
