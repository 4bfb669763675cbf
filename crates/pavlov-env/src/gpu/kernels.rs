//! The kernels around the physics: actions in, scripts and accounting, observations out, new episodes.
//!
//! Their order in a control step:
//! 1. `act`: clips and maps the actions, kicks what is due;
//! 2. the physics' `control_step` in mode 0;
//! 3. `evaluate`: scripts, sums, end of episodes; the observation; where an episode ended, its numbers, and the state of the next one;
//! 4. `redraw`, where parameters are drawn anew in every episode;
//! 5. `control_step` in mode 1: worlds that begin an episode are evaluated where they are;
//! 6. `look`: their first observation.
//!
//! `begin` stands in for 1 to 3 where all worlds start anew, with `redraw` of what is drawn once, too.

use super::record::{RESULTS, Recorder, column, place};
use crate::stages::{account, act, command, finish, push};
use pavlov_physics::gpu::Access;
use pavlov_physics::record::{Function, LIBRARY, Rec, Space};
use std::fmt::Write;

/// Buffers of these kernels, in binding order.
pub(super) const BUFFERS: [(&str, Access); 10] = [
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
pub(super) const GROUP: u32 = 32;

/// The entry point of every kernel.
pub(super) const ENTRY: &str = "for_a_world";

/// Clips and maps the actions, and kicks what is due.
pub(super) fn act(r: &Recorder<'_>) -> String {
    let asked = |i| Rec::load(place(Space::Sliced("actions"), i));
    let act = r.record("act", |w| act::act(r.plan, w, asked, |i, x| x.store(column("control", i))));
    if push::planned(r.plan).is_none() {
        return kernel(r, &[act], "act();");
    }
    let due = r.question("push_due", |w| push::due(r.plan, w));
    kernel(r, &[act, due, r.push()], "act();\nlet due = push_due();\nif (due[0] > 0f) { push_base(); }")
}

/// Everything after the physics steps. `slots` is room for last observations of truncated episodes.
pub(super) fn evaluate(r: &Recorder<'_>, slots: usize) -> String {
    let row = r.plan.task().obs_dim();
    let cuts = format!("env[{}u * worlds + world]", r.tail.cuts);
    let count = r.record("count", |w| account::count(r.plan, w));
    let finish = r.record("finish", |w| finish::finish(r.plan, w, |i, x| x.store(place(RESULTS, 2 + i))));
    let mut functions = vec![count, r.sense(false), r.score(), r.observe(), r.remember(false), finish, r.begin(false)];
    let mut redraw_command = "";
    if r.plan.task().command.len() > 0 {
        functions.push(r.question("command_due", |w| command::due(r.plan, w)));
        functions.push(r.record("draw_command", |w| command::command(r.plan, w)));
        redraw_command = "let due = command_due();\nif (ended == 0f && due[0] > 0f) { draw_command(); }";
    }
    let body = format!(
        "count();
sense();
score();
let ended = verdict[0];
{redraw_command}
observe();
remember();
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
}}"
    );
    kernel(r, &functions, &body)
}

/// The first observation of worlds that begin an episode.
pub(super) fn look(r: &Recorder<'_>) -> String {
    let body = format!("{}\nsense();\nobserve();\nremember();", if_begins(r));
    kernel(r, &[r.sense(true), r.observe(), r.remember(true)], &body)
}

/// The first episode of every world.
pub(super) fn begin(r: &Recorder<'_>) -> String {
    kernel(r, &[r.begin(true)], "begin_episode();")
}

/// Parameters of worlds that begin an episode; with `first` also what is drawn once.
pub(super) fn redraw(r: &Recorder<'_>, first: bool) -> String {
    kernel(r, &[r.redraw(first)], &format!("{}\nredraw();", if_begins(r)))
}

fn if_begins(r: &Recorder<'_>) -> String {
    format!("if (state[{}u * worlds + world] == 0f) {{ return; }}", r.kernel.begins)
}

fn kernel(r: &Recorder<'_>, functions: &[Function], body: &str) -> String {
    let mut text = String::from(
        "struct Run { worlds: u32, slice: u32, horizon: u32, row: u32, act: u32, results: u32, seed_low: u32, seed_high: u32 }\n",
    );
    for (i, (name, access)) in BUFFERS.iter().enumerate() {
        let (space, kind) = match access {
            Access::Uniform => ("uniform", "Run"),
            Access::Read => ("storage, read", "array<f32>"),
            Access::Write => ("storage, read_write", "array<f32>"),
        };
        let _ = writeln!(text, "@group(0) @binding({i}) var<{space}> {name}: {kind};");
    }
    for name in ["world", "worlds", "obs_at", "actions_at", "results_at"] {
        let _ = writeln!(text, "var<private> {name}: u32;");
    }
    for (name, n) in [("seen", r.plan.inputs.len()), ("looked", r.plan.task().obs_dim()), ("verdict", 1)] {
        let _ = writeln!(text, "var<private> {name}: array<f32, {}>;", n.max(1));
    }
    text.push_str("var<private> key: vec2<u32>;\nfn world_key() -> vec2<u32> { return key; }\n");
    text.push_str(LIBRARY);
    functions.iter().for_each(|f| text.push_str(&f.text()));
    // slice 0 of the observations is what the first step acts on; step t writes slice t + 1
    let _ = write!(
        text,
        "
@compute @workgroup_size({GROUP})
fn {ENTRY}(@builtin(global_invocation_id) id: vec3<u32>) {{
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
