//! Worlds of an environment on a device: the buffers that a control step works on, and its launches.

use super::cache::{Access, Pipeline};
use super::device::{Gpu, GpuError};
use crate::kernel::EnvKernel;
use crate::physics::Physics;
use std::sync::Arc;

/// A kernel with the buffers bound to it.
#[derive(Debug)]
pub struct Launch {
    pipeline: Arc<Pipeline>,
    /// One for each slice where the settings differ, else one.
    groups: Vec<wgpu::BindGroup>,
    workgroups: u32,
}

impl Launch {
    /// A launch of `pipeline` over `workgroups` workgroups; `bound` are the buffers of each slice.
    pub fn new<'a>(
        gpu: &Gpu,
        pipeline: Arc<Pipeline>,
        workgroups: u32,
        bound: impl IntoIterator<Item = Vec<&'a wgpu::Buffer>>,
    ) -> Self {
        let groups = bound.into_iter().map(|buffers| gpu.bind(&pipeline, &buffers)).collect();
        Self { pipeline, groups, workgroups }
    }

    /// Adds the launch for a slice; the last one's buffers serve for those beyond.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, slice: usize) {
        let group = &self.groups[slice.min(self.groups.len() - 1)];
        self.pipeline.dispatch(encoder, group, [self.workgroups, 1, 1]);
    }
}

/// Bindings of the kernels that step a robot: settings, `state`, `control`, `par`, `out`, `work`, `tab`, `num`.
pub(super) const BINDINGS: [Access; 8] = [
    Access::Uniform,
    Access::Write,
    Access::Read,
    Access::Read,
    Access::Write,
    Access::Write,
    Access::Read,
    Access::Read,
];

/// Worlds on a device. Everything is `[column][world]`.
#[derive(Debug)]
pub struct GpuWorlds {
    /// The kernel, which says what the columns are.
    pub kernel: EnvKernel,
    /// Coordinates, velocities and what else lasts.
    pub state: wgpu::Buffer,
    /// Control signals.
    pub control: wgpu::Buffer,
    /// Parameters that differ between worlds.
    pub par: wgpu::Buffer,
    /// What is read off after a control step.
    pub out: wgpu::Buffer,
    /// Seconds that the kernel took from text to pipeline.
    pub compile_s: f64,
    step: Launch,
    settle: Launch,
    /// Launches that the physics steps of a control step are spread over.
    launches: usize,
}

impl GpuWorlds {
    /// `worlds` worlds with the model's own parameters; their states are not set. `hint` says what to lower where memory is short.
    ///
    /// # Errors
    /// When the kernel is refused or the buffers do not fit.
    pub fn new(
        gpu: &Gpu,
        physics: &Physics,
        kernel: EnvKernel,
        worlds: usize,
        frame_skip: usize,
        hint: &str,
    ) -> Result<Self, GpuError> {
        let columns = |what: &str, n: usize| gpu.buffer(what, n.saturating_mul(worlds), hint);
        let state = columns("state", kernel.state_columns)?;
        let control = columns("control", physics.model().nu())?;
        let par = columns("parameters", kernel.param_columns)?;
        let out = columns("what is read off", kernel.read.columns)?;
        let work = columns("contacts", kernel.work_columns)?;
        let tab = gpu.buffer("pairs", kernel.words.len(), hint)?;
        let num = gpu.buffer("pair numbers", kernel.numbers.len(), hint)?;
        gpu.write(&tab, 0, &kernel.words);
        gpu.write(&num, 0, &kernel.numbers);
        // parameters that do not differ by draw still have their own values
        let mut nominal = physics.params::<f64>();
        for &(field, begin) in &kernel.varied {
            let numbers: Vec<f32> = nominal.numbers_mut(field).iter().map(|x| **x as f32).collect();
            for (i, x) in numbers.iter().enumerate() {
                gpu.write(&par, (begin + i) * worlds, &vec![*x; worlds]);
            }
        }
        let together = gpu.steps_per_launch().unwrap_or(frame_skip).min(frame_skip);
        // what does not divide goes step by step
        let together = if frame_skip.is_multiple_of(together) { together } else { 1 };
        let name = format!("physics of {}", physics.model().name);
        let pipeline = Arc::new(gpu.pipeline(&name, &kernel.text, "control_step", &BINDINGS)?);
        let workgroups = (worlds as u32).div_ceil(kernel.group);
        let launch = |mode: u32| {
            let run = gpu.uniform(&[worlds as u32, together as u32, mode, 0]);
            let bound = vec![&run, &state, &control, &par, &out, &work, &tab, &num];
            Launch::new(gpu, pipeline.clone(), workgroups, [bound])
        };
        let (step, settle) = (launch(0), launch(1));
        let launches = frame_skip / together;
        Ok(Self { compile_s: pipeline.compile_s, kernel, state, control, par, out, step, settle, launches })
    }

    /// Adds the physics steps of a control step.
    pub fn encode_step(&self, encoder: &mut wgpu::CommandEncoder) {
        (0..self.launches).for_each(|_| self.step.encode(encoder, 0));
    }

    /// Adds the evaluation, where they are, of worlds whose `begins` is not 0.
    pub fn encode_settle(&self, encoder: &mut wgpu::CommandEncoder) {
        self.settle.encode(encoder, 0);
    }
}
