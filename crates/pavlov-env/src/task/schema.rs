//! What a task file may say: the TOML of `tasks/<name>.toml`, key by key. The README documents it with examples.
//!
//! Tables with a plan of their own (actions, observations, commands, resets, randomisation, pushes) stand in the plan's file, beside
//! what is made of them. Every table denies unknown keys. Values that name something (a body, a joint, a keyframe) keep
//! their place in the file, so that a wrong one is reported with line and column once the robot is known
//! ([`crate::Task`] does that).

use crate::error::{EnvError, hint};
pub use crate::plan::action::{Action, ActionKind, OneOrMany};
pub use crate::plan::command::{CommandTable, CommandValue};
pub use crate::plan::observation::{Observation, Term};
pub use crate::plan::push::Push;
pub use crate::plan::randomization::{Every, Quantity, Randomize};
pub use crate::plan::reset::{Noise, NoiseKind, Reset, ResetRange};
use crate::task::text::TaskText;
use serde::Deserialize;
use toml::Spanned;

/// A task file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// One line for listings.
    #[serde(default)]
    pub about: String,
    /// Robot file: beside the task, or in `assets/robots`.
    pub robot: Spanned<String>,
    /// Task script; when omitted, `<task>.rhai` beside the task file if there is one.
    pub script: Option<Spanned<String>>,
    /// Name of the reward trained on unless another is asked for.
    #[serde(default = "default_reward")]
    pub reward: String,
    /// Feet of the robot (geoms), in the order in which scripts see them as `s.feet`.
    #[serde(default)]
    pub feet: Vec<Spanned<String>>,
    /// Step lengths.
    pub timing: Timing,
    /// Solver settings and when the state is read.
    #[serde(default)]
    pub physics: PhysicsTable,
    /// How an action becomes control.
    #[serde(default)]
    pub action: Action,
    /// What the policy sees, in order.
    pub observation: Vec<Observation>,
    /// What the policy is told to do.
    pub command: Option<CommandTable>,
    /// Where an episode starts.
    #[serde(default)]
    pub reset: Reset,
    /// Physical parameters drawn per world.
    #[serde(default)]
    pub randomize: Vec<Randomize>,
    /// Kicks.
    pub push: Option<Push>,
    /// How the per-step fitness of the script becomes the fitness of an episode.
    #[serde(default)]
    pub fitness: Fitness,
    /// When an episode counts as a success.
    #[serde(default)]
    pub success: Success,
    /// Learner settings, read by the learner.
    pub learner: Option<toml::Table>,
}

fn default_reward() -> String {
    "default".to_string()
}

/// `[timing]`: step lengths. The control step is `frame_skip * timestep`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Physics steps per control step.
    pub frame_skip: Spanned<u32>,
    /// Physics step, s; the robot file's when omitted.
    pub timestep: Option<Spanned<f64>>,
    /// Control steps after which an episode is cut (truncation, not termination).
    pub episode_steps: Spanned<u32>,
}

/// `[physics]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhysicsTable {
    /// When derived quantities are read.
    #[serde(default)]
    pub sensing: Sensing,
    /// Overrides under `--profile accurate`.
    #[serde(default)]
    pub accurate: SolverTable,
    /// Overrides under `--profile fast`.
    #[serde(default)]
    pub fast: SolverTable,
}

/// When positions, velocities and forces derived from the state are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensing {
    /// Kinematics and velocities are evaluated once more after the last physics step: scripts see the state after the step.
    #[default]
    Fresh,
    /// As Gymnasium does: `xpos`, `cvel`, `cinert`, `qfrc_actuator`, `cfrc_ext` are those of the last forward evaluation
    /// inside the step (before its integration), while `qpos` and `qvel` are after it.
    Stale,
}

/// `[physics.accurate]` and `[physics.fast]`: what the profile changes of the robot file's `<option>`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolverTable {
    /// Physics steps per control step, when other than `[timing]`'s (with `timestep`, the control step must stay the same).
    pub frame_skip: Option<Spanned<u32>>,
    /// Physics step, s.
    pub timestep: Option<Spanned<f64>>,
    /// Time integration.
    pub integrator: Option<IntegratorName>,
    /// Newton iterations, at most.
    pub iterations: Option<Spanned<u32>>,
    /// Line-search evaluations, at most.
    pub ls_iterations: Option<Spanned<u32>>,
    /// Solver tolerance.
    pub tolerance: Option<Spanned<f64>>,
}

/// Names of integrators, as in MJCF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum IntegratorName {
    /// Semi-implicit Euler.
    Euler,
    /// Runge-Kutta of fourth order.
    RK4,
    /// Implicit in joint damping and actuator gains.
    #[serde(rename = "implicitfast")]
    ImplicitFast,
}

/// `[fitness]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitness {
    /// How steps become an episode's value.
    #[serde(default)]
    pub reduce: Reduce,
    /// Unit for display.
    #[serde(default)]
    pub unit: String,
    /// One line: what it measures.
    #[serde(default)]
    pub about: String,
}

/// Reduction of a per-step value over an episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// Sum divided by the time limit in steps: what is not lived through counts as 0.
    #[default]
    MeanOverLimit,
    /// Mean over the steps that were lived.
    Mean,
    /// Sum.
    Sum,
    /// Value at the last step.
    Last,
    /// Largest value.
    Max,
}

/// `[success]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// Share of the time limit's steps in which the script's `success(s)` must hold.
    pub hold: Spanned<f64>,
    /// One line: what counts.
    #[serde(default)]
    pub about: String,
}

impl Default for Success {
    fn default() -> Self {
        Self { hold: Spanned::new(0..0, 0.5), about: String::new() }
    }
}
impl TaskFile {
    /// Parses a task file.
    ///
    /// # Errors
    /// [`EnvError::Task`] at the place of a wrong key or value.
    pub fn parse(source: &TaskText) -> Result<Self, EnvError> {
        toml::from_str(&source.text).map_err(|e| source.error(e.span().unwrap_or(0..0), explain(e.message())))
    }
}

/// serde's "unknown field `x`, expected one of `a`, `b`" with a did-you-mean.
fn explain(message: &str) -> String {
    let message = message.trim();
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !(message.starts_with("unknown field") || message.starts_with("unknown variant")) {
        return message.to_string();
    }
    match quoted.next() {
        Some(found) => {
            let known: Vec<&str> = quoted.collect();
            format!("{message}{}", hint(found, known))
        }
        None => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"
about = "a test"
robot = "ant.xml"
feet = ["a", "b"]
[timing]
frame_skip = 5
episode_steps = 1000
[physics]
sensing = "stale"
fast = { iterations = 3, ls_iterations = 5, integrator = "Euler" }
[action]
kind = "joint_offset"
scale = [0.5, 0.25]
[[observation]]
term = "qpos"
from = 2
[[observation]]
term = "qvel"
clip = 10.0
noise = 0.1
[command]
values = [{ name = "vx", range = [-1.0, 1.0] }]
[reset]
qpos_noise = { kind = "uniform", scale = 0.1 }
ranges = [{ joint = "*", qpos = [-0.1, 0.1] }]
[[randomize]]
what = "friction"
scale = [0.5, 1.5]
[push]
interval_s = [5.0, 10.0]
speed = 0.5
[success]
hold = 0.5
[learner]
horizon = 16
"#;

    fn parse(text: &str) -> Result<TaskFile, String> {
        let source = TaskText { path: "t.toml".into(), text: text.to_string() };
        TaskFile::parse(&source).map_err(|e| e.to_string())
    }

    #[test]
    fn reads_every_table() {
        let task = parse(GOOD).unwrap();
        assert_eq!(task.observation.len(), 2);
        assert_eq!(task.learner.unwrap()["horizon"].as_integer(), Some(16));
        assert_eq!(*task.physics.fast.iterations.unwrap().get_ref(), 3);
    }

    #[test]
    fn slips_are_placed_and_explained() {
        let error = parse(&GOOD.replace("frame_skip", "frame_skp")).unwrap_err();
        assert!(error.starts_with("t.toml:6:1: ") && error.contains("did you mean `frame_skip`?"), "{error}");
        let error = parse(&GOOD.replace("\"qvel\"", "\"qvell\"")).unwrap_err();
        assert!(error.starts_with("t.toml:18:8: ") && error.contains("did you mean `qvel`?"), "{error}");
        let error = parse("robot = 3").unwrap_err();
        assert!(error.starts_with("t.toml:1:9: "), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// Damaged files are refused or read, never a panic, and the place named is within the file.
        #[test]
        fn mutated_files_never_panic(at in 0usize..700, cut in 0usize..40, put in "\\PC{0,12}") {
            let chars: Vec<char> = GOOD.chars().collect();
            let at = at.min(chars.len());
            let end = (at + cut).min(chars.len());
            let text: String = chars[..at].iter().copied().chain(put.chars()).chain(chars[end..].iter().copied()).collect();
            let source = TaskText { path: "t.toml".into(), text };
            if let Err(EnvError::Task { line, column, .. }) = TaskFile::parse(&source) {
                prop_assert!(line >= 1 && line <= source.text.lines().count() + 1 && column >= 1);
            }
        }
    }
}
