//! What plans and scripts run on while they are recorded: draws, parameters, the operations of programs.

use super::record::{column, place};
use crate::randomize::At;
use crate::rng::{Draw, Purpose};
use pavlov_physics::Real;
use pavlov_physics::record::{Function, LIBRARY, Rec, RecMask, Space};
use pavlov_script::{Bin, Machine, Program, Un};

/// Draws that become calls of the generator.
pub(super) struct Recorded {
    purpose: u32,
    episode: Rec,
    step: Rec,
    index: u32,
}

impl Recorded {
    /// The stream of a purpose, from its beginning.
    pub fn new(purpose: Purpose, episode: Rec, step: Rec) -> Self {
        Self { purpose: purpose as u32, episode, step, index: 0 }
    }
}

impl Draw for Recorded {
    type N = Rec;
    fn unit(&mut self) -> Rec {
        self.index += 1;
        Rec::unit(self.purpose, self.episode, self.step, self.index - 1)
    }
    fn uniform(&mut self, low: f32, high: f32) -> Rec {
        let (low, span) = (f64::from(low), f64::from(high - low));
        Rec::splat(low) + Rec::splat(span) * self.unit()
    }
    fn normal(&mut self) -> Rec {
        let radius = (Rec::splat(-2.0) * (Rec::ONE - self.unit()).call("logarithm")).sqrt();
        let angle = Rec::splat(std::f64::consts::TAU) * self.unit();
        radius * angle.sin_cos().1
    }
    fn whole(x: Rec) -> Rec {
        (x + Rec::splat(0.5)).call("floor")
    }
}

/// A recorded parameter is its own value.
#[derive(Clone, Copy)]
pub(super) struct Itself;

impl At<Rec> for Itself {
    type Column = Rec;
    fn get(self, column: Rec) -> Rec {
        column
    }
    fn set(self, column: &mut Rec, value: Rec) {
        *column = value;
    }
}

/// Replays scripts on recorded numbers.
pub(super) struct Replay;

/// Where a number of a script is true.
pub(super) fn truth(x: Rec) -> RecMask {
    !x.same(Rec::ZERO)
}

impl Machine for Replay {
    type N = Rec;
    fn literal(&mut self, x: f32) -> Rec {
        Rec::splat(f64::from(x))
    }
    fn un(&mut self, op: Un, x: Rec) -> Rec {
        match op {
            Un::Neg => -x,
            Un::Abs => x.abs(),
            Un::Sqrt => x.sqrt(),
            Un::Exp => x.call("exponential"),
            Un::Ln => x.call("logarithm"),
            Un::Sin => x.sin_cos().0,
            Un::Cos => x.sin_cos().1,
            Un::Tan => x.call("tangent"),
            Un::Asin => x.call("arcsin"),
            Un::Acos => x.call("arccos"),
            Un::Atan => x.call("arctan"),
            Un::Tanh => x.call("hyperbolic_tangent"),
            Un::Floor => x.call("floor"),
            Un::Ceil => x.call("ceil"),
            Un::Round => x.call("round_away"),
            Un::Trunc => x.call("trunc"),
            Un::Sign => x.call("sign"),
            Un::Not => x.same(Rec::ZERO).number(),
        }
    }
    fn bin(&mut self, op: Bin, a: Rec, b: Rec) -> Rec {
        match op {
            Bin::Add => a + b,
            Bin::Sub => a - b,
            Bin::Mul => a * b,
            Bin::Div => a / b,
            Bin::Rem => a.call2("remainder", b),
            Bin::Pow => a.call2("power", b),
            Bin::Min => Real::min(a, b),
            Bin::Max => Real::max(a, b),
            Bin::Atan2 => Real::atan2(a, b),
            Bin::Lt => a.lt(b).number(),
            Bin::Le => a.le(b).number(),
            Bin::Eq => a.same(b).number(),
            Bin::Ne => (!a.same(b)).number(),
            Bin::And => (truth(a) & truth(b)).number(),
            Bin::Or => (truth(a) | truth(b)).number(),
        }
    }
    fn select(&mut self, condition: Rec, a: Rec, b: Rec) -> Rec {
        Rec::select(truth(condition), a, b)
    }
}

/// The text of a kernel that runs a program alone: settings (worlds), `inputs`, `params` (shared), `memory`, `outputs`; entry point
/// `run_script`, 32 worlds a workgroup. None when the program is interpreted.
pub fn script_kernel(program: &Program) -> Option<String> {
    if !program.is_lowered() {
        return None;
    }
    let function = Function::record("script", || {
        let inputs: Vec<Rec> = (0..program.inputs().len()).map(|i| Rec::load(column("inputs", i))).collect();
        let params: Vec<Rec> =
            (0..program.params().len()).map(|i| Rec::load(place(Space::Shared("params"), i))).collect();
        let mut memory: Vec<Rec> = (0..program.memory_init().len()).map(|i| Rec::load(column("memory", i))).collect();
        let outputs = program.replay(&mut Replay, &inputs, &params, &mut memory).unwrap_or_default();
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
