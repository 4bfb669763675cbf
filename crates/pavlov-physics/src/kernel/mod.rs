//! The text of the GPU kernel that steps a robot: one thread is one world.
//!
//! ```text
//! stages.rs    straight lines, recorded:   smooth_stage, static_rows, gradient, newton, integrate, ...
//! leaves.rs    one pair or one contact:    touch_plane_capsule, jacobian_3, force_3, curvature_3, ...
//! pairs.rs     tables of candidate pairs, and how contacts are laid out
//! contacts.rs  loops around the leaves:    collide, and over the contacts a world has
//! read_off.rs  what is written of contacts
//! solver.rs    the Newton loop             (the same order as `crate::solver::solve`)
//! mod.rs       the step, and what goes in and out
//! ```
//! Buffers (`[column][world]` unless said otherwise): `state` qpos, qvel, qacc_warmstart, time, finite (0 once the
//! world went bad); `control` ctrl; `par` the parameters that differ between worlds; `out` results; `work`
//! contacts that do not fit a thread; `tab` and `num` tables of pairs, shared by all.

mod after_step;
mod contacts;
mod env;
mod leaves;
mod pairs;
mod read_off;
mod solver;
mod spaces;
mod stages;

pub use env::{EnvKernel, env_kernel};
pub use read_off::ReadOff;

pub(crate) use read_off::dumped;

use crate::integrate::RK4_STAGES;
use crate::params::Field;
use crate::physics::Physics;
use crate::record::{LIBRARY, float};
use pairs::Contacts;
use pavlov_model::Integrator;
use spaces::Spaces;
use std::fmt::Write;

/// Worlds in a workgroup.
pub(crate) const GROUP: u32 = 32;

/// Where the blocks of `out` begin, in columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeLayout {
    pub qm: usize,
    pub bias: usize,
    pub qacc_smooth: usize,
    pub qacc: usize,
    pub contacts: usize,
    pub columns: usize,
}

/// A kernel: its text, and what its buffers hold.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub text: String,
    pub state_columns: usize,
    pub param_columns: usize,
    pub work_columns: usize,
    pub words: Vec<u32>,
    pub numbers: Vec<f32>,
    pub probe: ProbeLayout,
}

/// The kernel of [`crate::GpuBackend`]: evaluates, or makes steps.
pub(crate) fn probe_kernel(physics: &Physics, varied: &[Field]) -> Kernel {
    let spaces = Spaces::new(physics, varied);
    let contacts = Contacts::new(&spaces);
    let nv = physics.topology().nv;
    let qm = 0;
    let bias = nv * (nv + 1) / 2;
    let (qacc_smooth, qacc, at) = (bias + nv, bias + 2 * nv, bias + 3 * nv);
    let probe = ProbeLayout {
        qm,
        bias,
        qacc_smooth,
        qacc,
        contacts: at,
        columns: at + 1 + dumped::LEN * contacts.max_contacts,
    };
    let mut text = String::new();
    declarations(&mut text, &spaces);
    text.push_str(LIBRARY);
    for f in stages::record(&spaces, true) {
        text.push_str(&f.text());
    }
    text.push_str(&contacts.text(&spaces));
    text.push_str(&solver::text(&spaces, &contacts));
    text.push_str(&step(physics, &contacts, ""));
    let mut dump = String::new();
    for (name, from, to) in
        [("qm", qm, bias), ("bias", bias, qacc_smooth), ("smooth_acc", qacc_smooth, qacc), ("qacc", qacc, at)]
    {
        let n = to - from;
        let _ =
            writeln!(dump, "for (var i = 0u; i < {n}u; i++) {{ out[({from}u + i) * worlds + world] = {name}[i]; }}");
    }
    dump.push_str(&contacts.dump(at));
    let finite = state_len(physics);
    let _ = write!(
        text,
        "
@compute @workgroup_size({GROUP})
fn probe(@builtin(global_invocation_id) id: vec3<u32>) {{
world = id.x; worlds = run.worlds;
if (world >= worlds) {{ return; }}
load_state();
let good = make_steps(run.steps);
if (run.steps == 0u) {{
{dump}
return;
}}
store_state();
state[{finite}u * worlds + world] *= good;
}}
"
    );
    let (words, numbers) = contacts.tables(&spaces);
    Kernel {
        text,
        state_columns: finite + 1,
        param_columns: spaces.param_columns(),
        work_columns: contacts.work_columns(),
        words,
        numbers,
        probe,
    }
}

/// Columns of a state before `finite`.
pub(crate) fn state_len(physics: &Physics) -> usize {
    physics.model().nq() + 2 * physics.topology().nv + 1
}

fn declarations(text: &mut String, spaces: &Spaces<'_>) {
    text.push_str(
        "struct Run { worlds: u32, steps: u32, mode: u32, spare: u32 }
@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<storage, read> control: array<f32>;
@group(0) @binding(3) var<storage, read> par: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read_write> work: array<f32>;
@group(0) @binding(6) var<storage, read> tab: array<u32>;
@group(0) @binding(7) var<storage, read> num: array<f32>;
var<private> world: u32;
var<private> worlds: u32;
fn world_key() -> vec2<u32> { return vec2<u32>(0u, world); }
",
    );
    for a in spaces.arrays() {
        let _ = writeln!(text, "var<private> {}: array<f32, {}>;", a.name, a.len);
    }
}

/// Forward dynamics (with `after` at its end) and whole steps.
fn step(physics: &Physics, contacts: &Contacts, after: &str) -> String {
    let collide = if contacts.max_contacts > 0 { "collide();" } else { "ncon = 0u;" };
    let forward = format!(
        "fn forward() {{
smooth_stage();
{collide}
solve(static_rows()[0] > 0.5f);
{after}
}}\n"
    );
    let h = physics.model().opt.timestep;
    // only one place calls `forward`, as drivers copy its text into every place that does: a count of 0 evaluates and
    // moves nothing
    let steps = match physics.integrator {
        Integrator::Rk4 => {
            let select = |f: &dyn Fn(usize) -> f64| {
                format!("select(select({}, {}, k == 2u), {}, k == 1u)", float(f(2)), float(f(1)), float(f(0)))
            };
            format!(
                "fn make_steps(count: u32) -> f32 {{
var good = 1f;
let stages = select(4u * count, 1u, count == 0u);
for (var n = 0u; n < stages; n++) {{
let k = n % 4u;
let reach = {};
if (k > 0u) {{ rk4_move(array<f32, 1>(reach)); }}
forward();
if (count == 0u) {{ break; }}
if (k == 0u) {{ rk4_begin(); }} else {{ rk4_add(array<f32, 2>(reach, {})); }}
if (k == 3u) {{
integrate();
good *= is_finite()[0];
}}
}}
return good;
}}\n",
                select(&|i| h * RK4_STAGES[i].0),
                select(&|i| RK4_STAGES[i].1)
            )
        }
        Integrator::Euler | Integrator::ImplicitFast => "fn make_steps(count: u32) -> f32 {
var good = 1f;
for (var n = 0u; n < max(count, 1u); n++) {
forward();
if (count == 0u) { break; }
integrate();
good *= is_finite()[0];
}
return good;
}\n"
        .to_string(),
    };
    forward + &steps
}
