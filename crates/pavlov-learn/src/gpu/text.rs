//! The text of the kernels: one per layer, one that draws actions. Sizes and places of parameters are constants in it.
//!
//! A thread of a layer is a world (x) and a panel of 8 outputs (y), summed in two vectors of four in the order of the
//! inputs, as on the processor. Parameters are [`crate::model::Model::params`] as they are: a panel's weights are
//! consecutive, so a thread reads two vectors per input, the same ones in a whole workgroup.

use crate::config::Activation;
use crate::kernels::LANES;
use crate::net::{Layer, Shape};
use crate::rng::Purpose;
use pavlov_physics::record::LIBRARY;
use std::fmt::Write;

/// Threads of a workgroup.
pub const GROUP: u32 = 64;

/// Where a layer's input comes from and its output goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Output of the actor: means `[horizon][act][worlds]`.
    Means,
    /// Output of the critic: values `[horizon + 1][worlds]` in the units of scaled rewards.
    Values,
    /// Output of a hidden layer `[width][worlds]`.
    Hidden,
}

/// Settings that all kernels share: `Run` changes from update to update, `Step` is the number of the rollout's step.
const SETTINGS: &str = "
struct Run {
    worlds: u32, update: u32, key_low: u32, key_high: u32,
    limit: f32, value_mean: f32, value_std: f32, peak: f32,
}
struct Step { t: u32 }
@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<uniform> step_of: Step;
";

/// The kernel of layer `at` of a net whose parameters begin at number `begin`; `row` columns are observed.
pub fn layer(shape: &Shape, at: usize, begin: usize, row: usize, role: Role) -> String {
    let layer = &shape.layers[at];
    let Layer { inputs, outputs, .. } = layer;
    let (weight, bias) = (begin + layer.weight_range().start, begin + layer.bias_range().start);
    debug_assert!(weight % LANES == 0 && bias % LANES == 0, "panels lie on whole vectors");
    let mut text = format!(
        "{LIBRARY}{SETTINGS}
@group(0) @binding(2) var<storage, read> par: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> stat: array<f32>;
@group(0) @binding(4) var<storage, read> from_: array<f32>;
@group(0) @binding(5) var<storage, read_write> to_: array<f32>;
@compute @workgroup_size({GROUP})
fn layer(@builtin(global_invocation_id) id: vec3<u32>) {{
    let w = id.x;
    let panel = id.y;
    if (w >= run.worlds) {{ return; }}
    var low = par[{bias4}u + 2u * panel];
    var high = par[{bias4}u + 2u * panel + 1u];
    let weight = {weight4}u + panel * {panel_len}u;
",
        bias4 = bias / 4,
        weight4 = weight / 4,
        panel_len = 2 * inputs,
    );
    let source = if at == 0 { format!("step_of.t * {row}u * run.worlds + w") } else { "w".into() };
    let _ = write!(
        text,
        "    let source = {source};
    for (var i = 0u; i < {inputs}u; i++) {{
        var x = from_[source + i * run.worlds];
"
    );
    if at == 0 {
        let _ = writeln!(text, "        x = max(min((x - stat[i]) * stat[{row}u + i], run.limit), -run.limit);");
    }
    text += "        low = fma(vec4<f32>(x), par[weight + 2u * i], low);
        high = fma(vec4<f32>(x), par[weight + 2u * i + 1u], high);
    }
";
    let to = match role {
        Role::Means => format!("step_of.t * {outputs}u * run.worlds + w"),
        Role::Values => "step_of.t * run.worlds + w".into(),
        Role::Hidden => "w".into(),
    };
    let _ = writeln!(text, "    let to = {to};");
    for j in 0..LANES {
        let sum = format!("{}.{}", if j < 4 { "low" } else { "high" }, ["x", "y", "z", "w"][j % 4]);
        let value = match (role, shape.activation) {
            (Role::Means, _) => sum,
            (Role::Values, _) => format!("run.value_std * {sum} + run.value_mean"),
            (Role::Hidden, Activation::Tanh) => format!("hyperbolic_tangent({sum})"),
            (Role::Hidden, Activation::Elu) => format!("select({sum}, exponential({sum}) - 1f, {sum} < 0f)"),
            (Role::Hidden, Activation::Relu) => format!("max({sum}, 0f)"),
        };
        let store = format!("to_[to + (8u * panel + {j}u) * run.worlds] = {value};");
        // The last panel may be cut short.
        let _ = match outputs % LANES {
            0 => writeln!(text, "    {store}"),
            _ => writeln!(text, "    if (8u * panel + {j}u < {outputs}u) {{ {store} }}"),
        };
    }
    text + "}\n"
}

/// The kernel that draws actions about the means and writes their log densities. `stat` holds, from `std` on,
/// deviations and then their inverses.
pub fn sample(act: usize, std: usize) -> String {
    let purpose = (Purpose::Action as u32) << 24;
    let mut text = format!(
        "{LIBRARY}{SETTINGS}
@group(0) @binding(2) var<storage, read> stat: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> action: array<f32>;
@group(0) @binding(5) var<storage, read_write> log_prob: array<f32>;
// Box and Muller
fn two(words: vec2<u32>) -> vec2<f32> {{
    let radius = sqrt(-2f * logarithm(f32((words.x >> 8u) + 1u) * 5.9604645e-8f));
    let s = sin_cos(unit(words.y) * 6.2831855f);
    return vec2<f32>(radius * s.y, radius * s.x);
}}
@compute @workgroup_size({GROUP})
fn sample(@builtin(global_invocation_id) id: vec3<u32>) {{
    let w = id.x;
    if (w >= run.worlds) {{ return; }}
    let at = step_of.t * {act}u * run.worlds + w;
    let key = vec2<u32>(run.key_low, run.key_high);
    var square = 0f;
    for (var four = 0u; four < {fours}u; four++) {{
        let words = philox(vec4<u32>(w, step_of.t, run.update, {purpose}u | four), key);
        let normals = vec4<f32>(two(words.xy), two(words.zw));
",
        fours = act.div_ceil(4),
    );
    for (j, part) in ["x", "y", "z", "w"].iter().enumerate() {
        let draw = format!(
            "let c = 4u * four + {j}u; let m = mean[at + c * run.worlds]; let a = fma(stat[{std}u + c], \
             normals.{part}, m); action[at + c * run.worlds] = a; let z = (a - m) * stat[{inverse}u + c]; \
             square = square + z * z;",
            inverse = std + act
        );
        let _ = match act % 4 {
            0 => writeln!(text, "        {{ {draw} }}"),
            _ => writeln!(text, "        if (4u * four + {j}u < {act}u) {{ {draw} }}"),
        };
    }
    text + "    }
    log_prob[step_of.t * run.worlds + w] = run.peak - 0.5f * square;
}
"
}
