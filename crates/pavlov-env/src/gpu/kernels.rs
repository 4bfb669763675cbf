//! The kernels around the physics: actions in, scripts and accounting, observations out, new episodes.
//!
//! Their order in a control step (buffers bound to each are in [`BUFFERS`]):
//! 1. `act`: clips and maps the actions, kicks what is due;
//! 2. the physics' `control_step` in mode 0;
//! 3. `evaluate`: scripts, sums, end of episodes; the observation; where an episode ended, its numbers, and the state of the next one;
//! 4. `redraw`, where parameters are drawn anew in every episode;
//! 5. `control_step` in mode 1: worlds that begin an episode are evaluated where they are;
//! 6. `look`: their first observation.
//!
//! `begin` stands in for 1 to 3 where all worlds start anew, with `redraw_all`.

use super::layout::Layout;
use super::record::Recorder;
use pavlov_physics::gpu::Access;
use pavlov_physics::record::{Function, LIBRARY};
use std::fmt::Write;

/// Buffers of these kernels, in binding order.
pub(crate) const BUFFERS: [(&str, Access); 10] = [
    ("run", Access::Uniform),
    ("state", Access::Write),
    ("control", Access::Write),
    ("par", Access::Write),
    ("out", Access::Read),
    ("env", Access::Write),
    ("obs", Access::Write),
    ("actions", Access::Read),
    ("results", Access::Write),
    ("values", Access::Read),
];

/// Worlds in a workgroup.
pub(crate) const GROUP: u32 = 32;

/// The text of the kernels, one for each entry point, so that an edit of the reward compiles only what it touches.
pub(crate) struct Texts {
    pub act: String,
    pub evaluate: String,
    pub look: String,
    pub begin: String,
    pub redraw: Option<String>,
    pub redraw_all: Option<String>,
}

pub(crate) fn texts(r: &Recorder<'_>, slots: usize) -> Texts {
    let l = r.layout;
    let row = r.shared.task.obs_dim();
    let pushes = r.shared.task.push.is_some() && r.shared.options.disturb;
    let sized = |n: usize| n.max(1);
    let arrays = format!(
        "var<private> seen: array<f32, {}>;\nvar<private> looked: array<f32, {}>;\nvar<private> verdict: array<f32, 1>;\n",
        sized(r.channels.len()),
        sized(r.looked.len())
    );
    let push = if pushes {
        format!("if ({} >= {}) {{ push_base(); }}", column("env", l.step), column("env", l.next_push))
    } else {
        String::new()
    };
    let mut functions = vec![r.act()];
    if pushes {
        functions.push(r.push());
    }
    let act = kernel(l, "", &functions, "act_all", &format!("act();\n{push}"));
    let commands = r.shared.task.command.len() > 0;
    let redraw_command = if commands {
        format!(
            "if (ended == 0f && {} >= {}) {{ draw_command(); }}",
            column("env", l.step),
            column("env", l.next_command)
        )
    } else {
        String::new()
    };
    let evaluate = format!(
        "{step} += 1f;
sense();
score();
let ended = verdict[0];
{redraw_command}
observe();
if (ended > 0f) {{
finish();
if (ended > 1.5f) {{
let slot = u32({cuts});
if (slot < {slots}u) {{
for (var i = 0u; i < {row}u; i++) {{
obs[((run.horizon + 1u + slot) * {row}u + i) * worlds + world] = obs[(obs_at + i) * worlds + world];
}}
}}
{cuts} += 1f;
}}
begin_episode();
}}",
        step = column("env", l.step),
        cuts = column("env", l.cuts),
    );
    let mut functions =
        vec![r.sense("sense", false), r.score(), r.observe(), r.finish(), r.begin("begin_episode", false)];
    if commands {
        functions.push(r.command());
    }
    let evaluate = kernel(l, &arrays, &functions, "evaluate_all", &evaluate);
    let begins = column("state", r.kernel.begins);
    let look = format!("if ({begins} == 0f) {{ return; }}\nsense();\nobserve();\nstart_episode();");
    let look = kernel(l, &arrays, &[r.sense("sense", true), r.observe(), r.start()], "look_all", &look);
    let begin = kernel(l, "", &[r.begin("begin_episode", true)], "begin_all", "begin_episode();");
    let varied = !r.kernel.varied.is_empty();
    let redraw = |name: &str, first: bool| {
        let body = format!("if ({begins} == 0f) {{ return; }}\nredraw();");
        kernel(l, "", &[r.redraw("redraw", first)], name, &body)
    };
    Texts {
        act,
        evaluate,
        look,
        begin,
        redraw: (varied && r.shared.task.random.per_episode).then(|| redraw("redraw_some", false)),
        redraw_all: varied.then(|| redraw("redraw_all", true)),
    }
}

fn column(name: &str, index: usize) -> String {
    format!("{name}[{index}u * worlds + world]")
}

fn kernel(l: &Layout, arrays: &str, functions: &[Function], entry: &str, body: &str) -> String {
    let mut text = String::from(
        "struct Run { worlds: u32, slice: u32, horizon: u32, row: u32, act: u32, results: u32, seed_low: u32, seed_high: u32 }\n",
    );
    for (i, (name, access)) in BUFFERS.iter().enumerate() {
        let _ = match access {
            Access::Uniform => writeln!(text, "@group(0) @binding({i}) var<uniform> {name}: Run;"),
            Access::Read => writeln!(text, "@group(0) @binding({i}) var<storage, read> {name}: array<f32>;"),
            Access::Write => writeln!(text, "@group(0) @binding({i}) var<storage, read_write> {name}: array<f32>;"),
        };
    }
    text.push_str(
        "var<private> world: u32;
var<private> worlds: u32;
var<private> obs_at: u32;
var<private> actions_at: u32;
var<private> results_at: u32;
var<private> key: vec2<u32>;
fn world_key() -> vec2<u32> { return key; }
",
    );
    text.push_str(arrays);
    text.push_str(LIBRARY);
    for f in functions {
        text.push_str(&f.text());
    }
    let _ = l;
    // slice 0 of the observations is what the first step acts on; step t writes slice t + 1
    let _ = write!(
        text,
        "
@compute @workgroup_size({GROUP})
fn {entry}(@builtin(global_invocation_id) id: vec3<u32>) {{
world = id.x; worlds = run.worlds;
if (world >= worlds) {{ return; }}
obs_at = run.slice * run.row;
actions_at = (max(run.slice, 1u) - 1u) * run.act;
results_at = (max(run.slice, 1u) - 1u) * run.results;
key = philox(vec4<u32>(run.seed_low, run.seed_high, world, 0u), vec2<u32>(0x5041564Cu, 0x4F562121u)).xy;
{body}
}}
"
    );
    text
}
