//! A task that was read, checked against its robot and made ready: what [`crate::Env`] is built from.

use crate::error::{EnvError, hint};
use crate::options::{ObsTerm, Profile};
use crate::plan::action::ActionMap;
use crate::plan::command::CommandPlan;
use crate::plan::observation::{ObsPlan, Sizes};
use crate::plan::push::PushPlan;
use crate::plan::randomization::RandomPlan;
use crate::plan::reset::ResetPlan;
use crate::plan::scripts::TaskScript;
use crate::task::schema::{IntegratorName, SolverTable, TaskFile};
use crate::task::text::{TaskText, checked, keyframe};
use pavlov_common::assets::{Assets, TaskEntry};
use pavlov_model::{Integrator, JointKind, Model};
use pavlov_physics::Physics;
use pavlov_script::{Finding, JointInfo, Scene, SensorInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;

/// A checked task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Name as used on the command line: `ant_run`, `gym/ant`.
    pub name: String,
    /// The TOML file.
    pub path: PathBuf,
    /// What the file says.
    pub file: TaskFile,
    /// Settings for the learner (`[learner]`), as they stand in the file.
    pub learner: toml::Table,
    /// Files the task is made of (TOML, robot, script): their hashes identify it.
    pub inputs: Vec<PathBuf>,
    pub(crate) model: Arc<Model>,
    pub(crate) scene: Arc<Scene>,
    pub(crate) script: Arc<TaskScript>,
    pub(crate) metric_names: Vec<String>,
    pub(crate) feet: Vec<usize>,
    pub(crate) action: ActionMap,
    pub(crate) obs: ObsPlan,
    pub(crate) command: CommandPlan,
    pub(crate) reset: ResetPlan,
    pub(crate) random: RandomPlan,
    pub(crate) push: Option<PushPlan>,
    pub(crate) control_dt: f64,
    pub(crate) episode_steps: u32,
}

impl Task {
    /// Name and file of every module that the task's script imports.
    pub fn modules(&self) -> Vec<(String, PathBuf)> {
        self.script.modules()
    }

    /// Reads and checks a task given by name (`ant_run`) or by path (`./mine.toml`).
    pub fn load(assets: &Assets, name: &str) -> Result<Self, EnvError> {
        let TaskEntry { name, path } = assets.task(name)?;
        let source = TaskText::read(&path)?;
        let file = TaskFile::parse(&source)?;
        let robot = assets
            .robot(file.robot.get_ref(), path.parent())
            .map_err(|e| source.error(file.robot.span(), e.to_string()))?;
        if !assets.has_robot(&robot) {
            let base = path.parent().unwrap_or(Path::new("."));
            pavlov_common::fence::check(base, file.robot.get_ref(), &robot)
                .map_err(|e| source.error(file.robot.span(), e.to_string()))?;
        }
        let model = pavlov_model::load_mjcf(&robot)
            .map_err(|e| EnvError::Robot { path: robot.clone(), message: e.to_string() })?;
        let script_path = match &file.script {
            Some(script) => source.path.with_file_name(script.get_ref()),
            None => source.path.with_extension("rhai"),
        };
        if let Some(script) = &file.script {
            let base = path.parent().unwrap_or(Path::new("."));
            pavlov_common::fence::check(base, script.get_ref(), &script_path)
                .map_err(|e| source.error(script.span(), e.to_string()))?;
        }
        let text = pavlov_common::text::read(&script_path).map_err(|e| match &file.script {
            Some(script) => source.error(script.span(), format!("script `{}`: {e}", script_path.display())),
            None => EnvError::io(&script_path, e),
        })?;
        let mut task =
            Self::new(name, file, model, &source, (&script_path.display().to_string(), &text), assets.lib())?;
        task.inputs.extend([robot, script_path]);
        Ok(task)
    }

    /// Checks a parsed task file against its robot.
    pub(crate) fn new(
        name: String,
        file: TaskFile,
        model: Model,
        source: &TaskText,
        (script_file, script_text): (&str, &str),
        lib: Vec<PathBuf>,
    ) -> Result<Self, EnvError> {
        let frame_skip =
            checked(&file.timing.frame_skip, source, "frame_skip", |v| (1..=1000).contains(&v), "1 to 1000")?;
        let timestep = timestep(file.timing.timestep.as_ref(), model.opt.timestep, source)?;
        let control_dt = f64::from(frame_skip) * timestep;
        let episode_steps = checked(
            &file.timing.episode_steps,
            source,
            "episode_steps",
            |v| (1..=100_000_000).contains(&v),
            "1 to 100000000",
        )?;
        checked(&file.success.hold, source, "hold", |v| v > 0.0 && v <= 1.0, "a share above 0, at most 1")?;
        let mut feet = Vec::new();
        for foot in &file.feet {
            let geom = model.geom(foot.get_ref()).ok_or_else(|| {
                let close = hint(foot.get_ref(), model.geoms.iter().map(|g| g.name.as_str()));
                source.error(foot.span(), format!("no geom `{}`{close}", foot.get_ref()))
            })?;
            feet.push(geom);
        }
        let command =
            file.command.as_ref().map(|c| CommandPlan::new(c, control_dt, source)).transpose()?.unwrap_or_default();
        let home = match &file.action.home {
            Some(name) => keyframe(&model, name, source)?.qpos.clone(),
            None => model.qpos0.clone(),
        };
        let scene = Arc::new(Scene { lib, ..scene(&model, &file, &home, control_dt) });
        let script = TaskScript::new(script_file, script_text, &scene)?;
        let script_outputs = script.observation.as_ref().map_or(0, |p| p.outputs().len());
        let sizes = Sizes { feet: &feet, commands: command.len(), script_outputs, home: &home };
        let obs = ObsPlan::new(&file.observation, &model, sizes, source)?;
        Ok(Self {
            action: ActionMap::new(&file.action, &model, source)?,
            reset: ResetPlan::new(&file.reset, &model, source)?,
            random: RandomPlan::new(&file.randomize, &model, source)?,
            push: file.push.as_ref().map(|p| PushPlan::new(p, &model, control_dt, source)).transpose()?,
            name,
            path: source.path.clone(),
            learner: file.learner.clone().unwrap_or_default(),
            inputs: vec![source.path.clone()],
            file,
            model: Arc::new(model),
            metric_names: script.metrics.as_ref().map_or(Vec::new(), |p| p.outputs().to_vec()),
            scene,
            script: Arc::new(script),
            feet,
            obs,
            command,
            control_dt,
            episode_steps,
        })
    }

    /// What the task is about, one line.
    pub fn about(&self) -> &str {
        &self.file.about
    }

    /// The robot.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What scripts may name.
    pub fn scene(&self) -> &Arc<Scene> {
        &self.scene
    }

    /// Names of the diagnostic metrics of the task script.
    pub fn metric_names(&self) -> &[String] {
        &self.metric_names
    }

    /// Warnings about the task script.
    pub fn findings(&self) -> Vec<Finding> {
        self.script.findings()
    }

    /// Compares the lowered functions of the task script with the interpreter over random states: (function, result).
    ///
    /// # Errors
    /// When the interpreter fails.
    pub fn script_parity(&self, states: usize, seed: u64) -> Result<Vec<(String, pavlov_script::Parity)>, EnvError> {
        self.script.parity(states, seed)
    }

    /// The terms of an observation row, policy terms first.
    pub fn obs_terms(&self) -> &[ObsTerm] {
        &self.obs.terms
    }

    /// Columns of an observation row, those for the critic only included.
    pub fn obs_dim(&self) -> usize {
        self.obs.columns.len()
    }

    /// Columns the policy sees: the first of the row.
    pub fn policy_obs_dim(&self) -> usize {
        self.obs.policy_dim
    }

    /// Number of actions, one per actuator.
    pub fn act_dim(&self) -> usize {
        self.model.nu()
    }

    /// Names of the actions: the actuators', or their joints' where they have none.
    pub fn action_names(&self) -> Vec<String> {
        let name = |a: &pavlov_model::Actuator| {
            if a.name.is_empty() { self.model.joints[a.joint].name.clone() } else { a.name.clone() }
        };
        self.model.actuators.iter().map(name).collect()
    }

    /// Lower and upper bounds of each action; what is outside is clipped.
    pub fn action_range(&self) -> (Vec<f32>, Vec<f32>) {
        self.action.channels.iter().map(|c| (c.low, c.high)).unzip()
    }

    /// `ctrl = offset + gain * action` of each actuator, for a deployed policy.
    pub fn action_affine(&self) -> (Vec<f32>, Vec<f32>) {
        self.action.channels.iter().map(|c| (c.offset, c.gain)).unzip()
    }

    /// Seconds per control step.
    pub fn control_dt(&self) -> f64 {
        self.control_dt
    }

    /// Control steps after which an episode is cut.
    pub fn episode_steps(&self) -> usize {
        self.episode_steps as usize
    }

    /// The same task with another time limit, in control steps (at least 1); fitness and success go by it.
    pub fn with_episode_steps(&self, steps: usize) -> Self {
        Self { episode_steps: u32::try_from(steps).unwrap_or(u32::MAX).max(1), ..self.clone() }
    }

    /// Name of the reward trained on unless another is asked for.
    pub fn default_reward(&self) -> &str {
        &self.file.reward
    }

    /// The engine under a solver profile with the task's overrides, and the physics steps per control step.
    pub fn physics(&self, profile: Profile) -> Result<(Physics, usize), EnvError> {
        let source = TaskText::read(&self.path)?;
        let table = match profile {
            Profile::Accurate => &self.file.physics.accurate,
            Profile::Fast => &self.file.physics.fast,
        };
        let SolverTable { frame_skip, timestep: step, integrator, iterations, ls_iterations, tolerance } = table;
        let skip = frame_skip.as_ref().unwrap_or(&self.file.timing.frame_skip);
        let skip_steps = checked(skip, &source, "frame_skip", |v| (1..=1000).contains(&v), "1 to 1000")?;
        let own = timestep(self.file.timing.timestep.as_ref(), self.model.opt.timestep, &source)?;
        let h = timestep(step.as_ref(), own, &source)?;
        let dt = f64::from(skip_steps) * h;
        if (dt - self.control_dt).abs() > 1e-9 * self.control_dt {
            let message = format!(
                "{skip_steps} steps of {h} s make a control step of {dt} s: expected {} s as in [timing]",
                self.control_dt
            );
            return Err(source.error(skip.span(), message));
        }
        let mut model = (*self.model).clone();
        model.opt.timestep = h;
        let failed = |e: pavlov_physics::PhysicsError| EnvError::Physics {
            robot: self.model.name.clone(),
            message: e.to_string(),
        };
        let mut physics = Physics::new(Arc::new(model)).map_err(failed)?.with_profile(match profile {
            Profile::Accurate => pavlov_physics::Profile::Accurate,
            Profile::Fast => pavlov_physics::Profile::Fast,
        });
        if let Some(name) = integrator {
            physics.integrator = match name {
                IntegratorName::Euler => Integrator::Euler,
                IntegratorName::RK4 => Integrator::Rk4,
                IntegratorName::ImplicitFast => Integrator::ImplicitFast,
            };
        }
        if let Some(n) = iterations {
            physics.solver.iterations =
                checked(n, &source, "iterations", |v| (1..=1000).contains(&v), "1 to 1000")? as usize;
        }
        if let Some(n) = ls_iterations {
            physics.solver.ls_iterations =
                checked(n, &source, "ls_iterations", |v| (1..=1000).contains(&v), "1 to 1000")? as usize;
        }
        if let Some(t) = tolerance {
            physics.solver.tolerance = checked(t, &source, "tolerance", |v| v.is_finite() && v >= 0.0, "0 or more")?;
        }
        Ok((physics, skip_steps as usize))
    }

    /// Where a policy's zero action and its joint observations are measured from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

/// What scripts may name of a robot under a task.
fn scene(model: &Model, file: &TaskFile, home: &[f64], dt: f64) -> Scene {
    let joint = |j: &pavlov_model::Joint| JointInfo {
        name: j.name.clone(),
        scalar: matches!(j.kind, JointKind::Hinge | JointKind::Slide),
        range: j.limited.then_some(j.range),
        default: home[j.qposadr],
    };
    let sensor = |s: &pavlov_model::Sensor| SensorInfo { name: s.name.clone(), dim: s.dim };
    Scene {
        bodies: model.bodies.iter().map(|b| b.name.clone()).collect(),
        joints: model.joints.iter().map(joint).collect(),
        actuators: model.actuators.iter().map(|a| a.name.clone()).collect(),
        sites: model.sites.iter().map(|s| s.name.clone()).collect(),
        feet: file.feet.iter().map(|f| f.get_ref().clone()).collect(),
        sensors: model.sensors.iter().map(sensor).collect(),
        commands: file.command.iter().flat_map(|c| &c.values).map(|v| v.name.get_ref().clone()).collect(),
        action_dim: model.nu(),
        nq: model.nq(),
        nv: model.nv(),
        dt,
        lib: Vec::new(),
    }
}

/// The physics step: the table's, or `own`.
fn timestep(value: Option<&Spanned<f64>>, own: f64, source: &TaskText) -> Result<f64, EnvError> {
    match value {
        Some(h) => checked(h, source, "timestep", |v| v > 0.0 && v <= 1.0, "above 0, at most 1 s"),
        None => Ok(own),
    }
}
