//! What a task file may say: the TOML of `tasks/<name>.toml`, key by key. The README documents it with examples.
//!
//! Every table denies unknown keys. Values that name something (a body, a joint, a keyframe) keep their place in the file,
//! so that a wrong one is reported with line and column once the robot is known ([`crate::Task`] does that).

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

/// `[action]`: how an action becomes control.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Mapping.
    #[serde(default)]
    pub kind: ActionKind,
    /// `joint_offset`: rad (or m) of target per unit of action; one number, or one per actuator.
    pub scale: Option<Spanned<OneOrMany>>,
    /// `joint_offset`: actions are clipped to ±clip first.
    pub clip: Option<Spanned<f64>>,
    /// `joint_offset`: keyframe whose joint positions a zero action asks for; `qpos0` when omitted.
    pub home: Option<Spanned<String>>,
    /// Control steps by which every action is late (0: none).
    #[serde(default)]
    pub delay: Option<Spanned<u32>>,
}

/// A number for all, or one for each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// The same for all.
    One(f64),
    /// One for each.
    Many(Vec<f64>),
}

/// Action mappings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// The action in [-1, 1] spans each actuator's `ctrlrange`.
    #[default]
    Unit,
    /// The action is `ctrl`, clipped to `ctrlrange` (Gymnasium).
    Ctrl,
    /// `ctrl = home + scale * action`: targets of position actuators.
    JointOffset,
}

/// `[[observation]]`: one named term.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// What is observed.
    pub term: Spanned<Term>,
    /// Name in listings and in `policy.json`; the term's own when omitted.
    pub name: Option<String>,
    /// Body (`gravity`, `linvel`, `angvel`, `body_pos`, `height`): the first moving body when omitted. A sensor's name for `sensor`.
    pub of: Option<Spanned<String>>,
    /// First element of the slice (from 0).
    pub from: Option<Spanned<usize>>,
    /// One past the last element of the slice.
    pub to: Option<Spanned<usize>>,
    /// Factor.
    #[serde(default = "one")]
    pub scale: f64,
    /// Clip to ±this, before the factor and after the noise.
    pub clip: Option<Spanned<f64>>,
    /// Uniform noise of ±this, in the term's own unit.
    #[serde(default)]
    pub noise: f64,
    /// Seen by the critic only (privileged).
    #[serde(default)]
    pub critic: bool,
}

fn one() -> f64 {
    1.0
}

/// Observation terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// Coordinates.
    Qpos,
    /// Velocities.
    Qvel,
    /// Positions of the actuated joints less the home pose, in actuator order.
    JointPos,
    /// Velocities of the actuated joints, in actuator order.
    JointVel,
    /// Sine and cosine of the hinge coordinate `from`.. `to` of qpos.
    SinCos,
    /// Direction of gravity in the axes of the body `of`.
    Gravity,
    /// Linear velocity of the body's origin in its own axes, m/s.
    Linvel,
    /// Angular velocity of the body in its own axes, rad/s.
    Angvel,
    /// Position of the body's origin, world, m.
    BodyPos,
    /// Height of the body's origin, m.
    Height,
    /// The last action as it was given.
    Action,
    /// The action before the last.
    PrevAction,
    /// Command values.
    Command,
    /// 1 for a foot in contact, else 0.
    FootContact,
    /// A sensor of the robot file.
    Sensor,
    /// `cinert` of every body but the world (10 each), Gymnasium's Humanoid.
    Cinert,
    /// `cvel` of every body but the world (6 each).
    Cvel,
    /// Actuator force on each dof.
    QfrcActuator,
    /// `cfrc_ext` of every body but the world (6 each).
    CfrcExt,
    /// Mass of every body but the world, as randomised (privileged).
    BodyMass,
    /// Sliding friction of each foot against the ground, as randomised (privileged).
    FootFriction,
    /// Linear velocity given by the last push, world x and y, m/s (privileged).
    Push,
    /// What the task script's `observation(s)` returns.
    Script,
}

/// `[command]`: values that the policy is to follow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTable {
    /// The values, in order.
    pub values: Vec<CommandValue>,
    /// Seconds between changes, drawn uniformly from this range. Omitted: once per episode.
    pub resample_s: Option<Spanned<[f64; 2]>>,
    /// Share of draws in which all values are 0 (stand still).
    #[serde(default)]
    pub zero_share: f64,
}

/// One value of a command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandValue {
    /// Name, as `s.command.<name>`.
    pub name: Spanned<String>,
    /// Drawn uniformly from here.
    pub range: Spanned<[f64; 2]>,
    /// Draws smaller than this in size become 0.
    #[serde(default)]
    pub deadband: f64,
}

/// `[reset]`: where an episode starts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Keyframe to start from; `qpos0` at rest when omitted.
    pub from: Option<Spanned<String>>,
    /// Noise added to every coordinate (as Gymnasium does: also to quaternions, which the engine normalises).
    pub qpos_noise: Option<Noise>,
    /// Noise added to every velocity.
    pub qvel_noise: Option<Noise>,
    /// Uniform additions to single coordinates.
    #[serde(default)]
    pub ranges: Vec<ResetRange>,
    /// Free joints are turned about the vertical by an angle from this range, rad.
    pub yaw: Option<Spanned<[f64; 2]>>,
}

/// Noise on all coordinates.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Distribution.
    pub kind: NoiseKind,
    /// Half width of the uniform, standard deviation of the normal.
    pub scale: f64,
}

/// Distribution of reset noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseKind {
    /// Uniform in ±scale.
    Uniform,
    /// Normal with standard deviation scale.
    Normal,
}

/// A uniform addition to one coordinate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetRange {
    /// Joint, or `*` for every hinge and slide joint.
    pub joint: Spanned<String>,
    /// Which coordinate of the joint (a free joint's 0, 1, 2 are x, y, z; of `qvel` 3, 4, 5 are its rotation).
    #[serde(default)]
    pub component: usize,
    /// Added to qpos.
    pub qpos: Option<Spanned<[f64; 2]>>,
    /// Added to qvel.
    pub qvel: Option<Spanned<[f64; 2]>>,
}

/// `[[randomize]]`: one physical parameter drawn per world: `value = model's * scale + add`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Randomize {
    /// Parameter.
    pub what: Quantity,
    /// Bodies, geoms, joints or actuators by name (as the parameter asks for); all of the robot when omitted.
    #[serde(default)]
    pub on: Vec<Spanned<String>>,
    /// Factor drawn from this range.
    pub scale: Option<Spanned<[f64; 2]>>,
    /// Addition drawn from this range, in the parameter's unit.
    pub add: Option<Spanned<[f64; 2]>>,
    /// One draw for all that `on` names, instead of one for each.
    #[serde(default)]
    pub shared: bool,
    /// When drawn.
    #[serde(default)]
    pub every: Every,
}

/// When a parameter is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Once, when the world is made.
    Start,
    /// Anew in each episode.
    #[default]
    Episode,
}

/// Physical parameters that can be randomised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Body mass, kg; the inertia is scaled with it.
    Mass,
    /// Centre of mass of a body, m; each axis drawn by itself (`add` only).
    Com,
    /// Sliding friction of a geom.
    Friction,
    /// Joint armature.
    Armature,
    /// Joint damping.
    Damping,
    /// Dry friction of a joint.
    Frictionloss,
    /// Gain of an actuator (of a position actuator also its stiffness bias).
    Kp,
    /// Velocity feedback of an actuator.
    Kd,
    /// Strength of an actuator (gear).
    Gear,
    /// Reference position of a joint (`qpos0`), rad or m (`add` only).
    JointOffset,
    /// Gravity; takes no `on`.
    Gravity,
}

/// `[push]`: kicks to the velocity of the free joint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Seconds between kicks, drawn uniformly from this range.
    pub interval_s: Spanned<[f64; 2]>,
    /// Horizontal speed added in a random direction, drawn from [0, this], m/s.
    pub speed: Spanned<f64>,
    /// Angular speed added about each axis, drawn from ±this, rad/s.
    #[serde(default)]
    pub spin: f64,
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
