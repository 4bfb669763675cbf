//! The kernel that makes a control step of whole environments: physics steps, then a read-off of what follows from the
//! contacts alone.
//!
//! What kinematics can give (poses, velocities, sensors) is not written: its readers evaluate the parts they need from
//! the coordinates.

use super::pairs::Contacts;
use super::read_off::ReadOff;
use super::spaces::{Spaces, column, load_all, store_all};
use super::{GROUP, LIBRARY, declarations, solver, stages, state_len, step};
use crate::params::Field;
use crate::physics::Physics;
use crate::record::{Function, Rec};
use std::fmt::Write;

/// The kernel's text, and what its buffers hold. They are bound in the order settings, `state`, `control`, `par`,
/// `out`, `work`, `tab`, `num`; the entry point is `control_step`. Settings are four words: worlds, physics steps,
/// mode, unused. In mode 0 every world makes its steps; in mode 1 worlds whose `begins` is not 0 are evaluated where
/// they are.
#[derive(Debug)]
pub struct EnvKernel {
    /// WGSL.
    pub text: String,
    /// Columns of `state`: qpos, qvel, qacc_warmstart, time, finite, begins.
    pub state_columns: usize,
    /// Column of `state` that is 0 once the world went bad.
    pub finite: usize,
    /// Column of `state` that is not 0 where an episode begins.
    pub begins: usize,
    /// Columns of `par`.
    pub param_columns: usize,
    /// Each field of the parameters that differs between worlds, with its first column in `par`.
    pub varied: Vec<(Field, usize)>,
    /// Columns of `work`.
    pub work_columns: usize,
    /// Content of `tab`.
    pub words: Vec<u32>,
    /// Content of `num`.
    pub numbers: Vec<f32>,
    /// Columns of `out`.
    pub read: ReadOff,
    /// Worlds in a workgroup.
    pub group: u32,
}

/// Makes the kernel for a robot. `varied` are the parameters that differ between worlds, `feet` the geoms whose contact
/// forces are read.
pub fn env_kernel(physics: &Physics, varied: &[Field], feet: &[usize]) -> EnvKernel {
    let spaces = Spaces::new(physics, varied);
    let contacts = Contacts::new(&spaces).with_feet(feet);
    let (model, nv) = (physics.model(), physics.topology().nv);
    let mut at = 0;
    let mut next = |n: usize| {
        at += n;
        at - n
    };
    let bodies = model.bodies.len();
    let read = ReadOff {
        qpos: next(model.nq()),
        qvel: next(nv),
        qacc: next(nv),
        wrench: next(6 * bodies),
        touch: next(bodies),
        foot_force: next(3 * feet.len()),
        foot_touch: next(feet.len()),
        columns: next(0),
    };
    let mut text = String::new();
    declarations(&mut text, &spaces);
    text.push_str(LIBRARY);
    for f in stages::record(&spaces, false) {
        text.push_str(&f.text());
    }
    text.push_str(
        &Function::record("keep_seen", || {
            let d = spaces.data();
            store_all("seen_qpos", &d.state.qpos);
            store_all("seen_qvel", &d.state.qvel);
        })
        .text(),
    );
    text.push_str(
        &Function::record("write_seen", || {
            for (name, n, to) in
                [("seen_qpos", model.nq(), read.qpos), ("seen_qvel", nv, read.qvel), ("qacc", nv, read.qacc)]
            {
                let mut values = vec![Rec(0); n];
                load_all(name, &mut values);
                values.iter().enumerate().for_each(|(i, x)| x.store(column("out", to + i)));
            }
        })
        .text(),
    );
    text.push_str(&contacts.text(&spaces));
    text.push_str(&solver::text(&spaces, &contacts));
    text.push_str(&step(physics, &contacts, "keep_seen();"));
    let finite = state_len(physics);
    let begins = finite + 1;
    let _ = write!(
        text,
        "
@compute @workgroup_size({GROUP})
fn control_step(@builtin(global_invocation_id) id: vec3<u32>) {{
world = id.x; worlds = run.worlds;
if (world >= worlds) {{ return; }}
if (run.mode == 1u && state[{begins}u * worlds + world] == 0f) {{ return; }}
load_state();
let good = make_steps(select(run.steps, 0u, run.mode == 1u));
if (run.mode == 0u) {{
store_state();
state[{finite}u * worlds + world] *= good;
}}
write_seen();
for (var i = {first}u; i < {last}u; i++) {{ out[i * worlds + world] = 0f; }}
{forces}
}}
",
        first = read.wrench,
        last = read.columns,
        forces = contacts.read_off(&read),
    );
    let (words, numbers) = contacts.tables(&spaces);
    EnvKernel {
        text,
        state_columns: begins + 1,
        finite,
        begins,
        param_columns: spaces.param_columns(),
        varied: spaces.varied.clone(),
        work_columns: contacts.work_columns(),
        words,
        numbers,
        read,
        group: GROUP,
    }
}
