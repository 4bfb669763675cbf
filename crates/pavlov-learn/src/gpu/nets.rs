//! Actor, critic and the drawing of actions on the device: buffers, kernels, and the launches of a control step.

use super::DeviceEnv;
use super::text::{self, GROUP, Role};
use crate::error::LearnError;
use crate::kernels::{LANES, padded};
use crate::model::Model;
use crate::net::Shape;
use crate::normal::Frozen;
use pavlov_physics::gpu::{Access, Gpu, GpuError, Pipeline, Timing};
use std::sync::Arc;

/// A kernel with what it is bound to.
#[derive(Debug)]
struct Launch {
    name: String,
    pipeline: Pipeline,
    /// One for each step, or one for all.
    groups: Vec<wgpu::BindGroup>,
    panels: u32,
    /// Is it needed where only values are?
    critic: bool,
    /// Numbers per world that it reads and writes, and numbers of parameters.
    columns: usize,
    params: usize,
}

/// The nets of a learner on a device, bound to an environment's buffers.
#[derive(Debug)]
pub struct DeviceNets {
    gpu: Arc<Gpu>,
    launches: Vec<Launch>,
    run: wgpu::Buffer,
    params: wgpu::Buffer,
    stat: wgpu::Buffer,
    pub(super) mean: wgpu::Buffer,
    pub(super) log_prob: wgpu::Buffer,
    pub(super) value: wgpu::Buffer,
    pub(super) worlds: usize,
    pub(super) horizon: usize,
    /// Control steps handed to the device at once: few enough that its driver does not take it for hung.
    pub(super) batch: usize,
}

const HINT: &str = "lower `--worlds` or `--set horizon`";

/// Stands in for the normaliser's limit where it has none.
fn finite(limit: f32) -> f32 {
    limit.min(f32::MAX)
}

/// What the launches of a net are built from.
struct Builder<'a> {
    gpu: &'a Gpu,
    run: &'a wgpu::Buffer,
    steps: &'a [wgpu::Buffer],
    params: &'a wgpu::Buffer,
    stat: &'a wgpu::Buffer,
    worlds: usize,
    row: usize,
    launches: Vec<Launch>,
}

impl Builder<'_> {
    /// Adds a net from `obs` to `out`.
    fn net(
        &mut self,
        name: &str,
        shape: &Shape,
        begin: usize,
        obs: &wgpu::Buffer,
        out: (&wgpu::Buffer, Role),
    ) -> Result<(), GpuError> {
        let access = [Access::Uniform, Access::Uniform, Access::Read, Access::Read, Access::Read, Access::Write];
        let critic = out.1 == Role::Values;
        let mut before: Option<wgpu::Buffer> = None;
        for (at, layer) in shape.layers.iter().enumerate() {
            let last = at + 1 == shape.layers.len();
            let hidden = if last {
                None
            } else {
                Some(self.gpu.buffer(&format!("layer {at} of the {name}"), layer.outputs * self.worlds, HINT)?)
            };
            let role = if last { out.1 } else { Role::Hidden };
            let name = format!("{name}, layer {at}");
            let pipeline =
                self.gpu.pipeline(&name, &text::layer(shape, at, begin, self.row, role), "layer", &access)?;
            let (from, to) = (before.as_ref().unwrap_or(obs), hidden.as_ref().unwrap_or(out.0));
            // Hidden layers are the same in every step; the critic also looks at what comes after the last one.
            let steps = match at == 0 || last {
                true => &self.steps[..self.steps.len() - usize::from(!critic)],
                false => &self.steps[..1],
            };
            let groups = steps
                .iter()
                .map(|step| self.gpu.bind(&pipeline, &[self.run, step, self.params, self.stat, from, to]))
                .collect();
            let panels = layer.outputs.div_ceil(LANES) as u32;
            let columns = layer.inputs + layer.outputs;
            let params = (layer.inputs + 1) * padded(layer.outputs);
            self.launches.push(Launch { name, pipeline, groups, panels, critic, columns, params });
            before = hidden;
        }
        Ok(())
    }
}

impl DeviceNets {
    /// Kernels and buffers for a model in an environment.
    pub(crate) fn new(model: &Model, row: usize, env: &impl DeviceEnv) -> Result<Self, LearnError> {
        let gpu = env.gpu().clone();
        let (worlds, horizon, act) = (env.num_worlds(), env.horizon(), model.act);
        let groups = (worlds as u32).div_ceil(GROUP);
        gpu.check_launch("the nets", GROUP, groups, "lower `worlds`")?;
        let widest = model.actor.layers.iter().chain(&model.critic.layers).map(|l| l.outputs.div_ceil(LANES)).max();
        gpu.check_launch("the nets", GROUP, widest.unwrap_or(1) as u32, "lower `actor_hidden` or `critic_hidden`")?;
        let params =
            gpu.buffer("parameters of the nets", model.params.len(), "lower `actor_hidden` or `critic_hidden`")?;
        let stat = gpu.buffer("statistics of observations", 2 * row + 2 * act, "")?;
        let mean = gpu.buffer("means of actions", horizon * act * worlds, HINT)?;
        let log_prob = gpu.buffer("log densities of actions", horizon * worlds, HINT)?;
        let value = gpu.buffer("values", (horizon + 1) * worlds, HINT)?;
        let run = gpu.uniform(&[worlds as u32, 0, 0, 0, 0, 0, 0, 0]);
        let steps: Vec<wgpu::Buffer> = (0..=horizon as u32).map(|t| gpu.uniform(&[t, 0, 0, 0])).collect();
        let mut build = Builder {
            gpu: &gpu,
            run: &run,
            steps: &steps,
            params: &params,
            stat: &stat,
            worlds,
            row,
            launches: Vec::new(),
        };
        let at = model.ranges();
        build.net("critic", &model.critic, at.critic.start, env.observations(), (&value, Role::Values))?;
        build.net("actor", &model.actor, at.actor.start, env.observations(), (&mean, Role::Means))?;
        let mut launches = build.launches;
        let access = [Access::Uniform, Access::Uniform, Access::Read, Access::Read, Access::Write, Access::Write];
        let pipeline = gpu.pipeline("actions", &text::sample(act, 2 * row), "sample", &access)?;
        let bind = |step| gpu.bind(&pipeline, &[&run, step, &stat, &mean, env.actions(), &log_prob]);
        let groups = steps[..horizon].iter().map(bind).collect();
        let (name, columns) = ("actions".to_string(), 2 * act + 1);
        launches.push(Launch { name, pipeline, groups, panels: 1, critic: false, columns, params: 2 * act });
        Ok(Self { gpu, launches, run, params, stat, mean, log_prob, value, worlds, horizon, batch: 0 })
    }

    /// Writes what changes from update to update: parameters, the frozen statistics, the scale of values, seed and
    /// update.
    pub(crate) fn upload(&self, model: &Model, frozen: &Frozen, value: (f32, f32), seed: u64, update: u64) {
        let gaussian = model.gaussian();
        let stat = [&frozen.mean[..], &frozen.inv_std, &gaussian.std, &gaussian.inv_std].concat();
        self.gpu.write(&self.params, 0, &model.params);
        self.gpu.write(&self.stat, 0, &stat);
        let numbers = [finite(frozen.limit), value.0, value.1, gaussian.peak()].map(f32::to_bits);
        let words = [self.worlds as u32, update as u32, seed as u32, (seed >> 32) as u32];
        self.gpu.write(&self.run, 0, &[words, numbers].concat());
    }

    /// Adds the nets of control step `t`: values, means, actions. At `t = horizon` only values.
    pub(crate) fn encode(&self, encoder: &mut wgpu::CommandEncoder, t: usize, mut timing: Option<&mut Timing>) {
        let groups = (self.worlds as u32).div_ceil(GROUP);
        for launch in self.launches.iter().filter(|l| l.critic || t < self.horizon) {
            if let Some(timing) = timing.as_deref_mut() {
                timing.mark(encoder, &launch.name);
            }
            let group = launch.groups.get(t).unwrap_or(&launch.groups[0]);
            launch.pipeline.dispatch(encoder, group, [groups, launch.panels, 1]);
        }
    }

    /// Kernels of a control step.
    pub fn kernels(&self) -> usize {
        self.launches.len()
    }

    /// Seconds it took to compile the kernels.
    pub fn compile_s(&self) -> f64 {
        self.launches.iter().map(|l| l.pipeline.compile_s).sum()
    }

    /// Bytes that a control step reads and writes at least: for each kernel every column of every world once, and
    /// parameters once.
    pub fn bytes_per_step(&self) -> u64 {
        self.launches.iter().map(|l| 4 * (l.columns * self.worlds + l.params) as u64).sum()
    }
}
