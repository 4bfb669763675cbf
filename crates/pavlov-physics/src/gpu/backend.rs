//! Worlds on the GPU, behind the trait of all backends. One kernel launch evaluates all of them, or makes any number of
//! steps.

use super::cache::Pipeline;
use super::device::{Gpu, GpuError};
use super::worlds::BINDINGS;
use crate::backend::{Backend, BackendError, ContactPoint, Evaluation, WorldState, symmetric};
use crate::kernel::{GROUP, Kernel, dumped, probe_kernel};
use crate::physics::Physics;
use std::sync::Arc;

/// Worlds of one robot on a GPU, in `f32`, a thread each.
#[derive(Debug)]
pub struct GpuBackend {
    gpu: Arc<Gpu>,
    physics: Physics,
    kernel: Kernel,
    pipeline: Pipeline,
    group: wgpu::BindGroup,
    run: wgpu::Buffer,
    state: wgpu::Buffer,
    control: wgpu::Buffer,
    out: wgpu::Buffer,
    worlds: usize,
    /// What is on the device, column by column; stale while `moved`.
    states: Vec<f32>,
    controls: Vec<f32>,
    evaluated: Vec<f32>,
    dirty: bool,
    moved: bool,
}

const HINT: &str = "lower `--worlds`";

impl GpuBackend {
    /// `worlds` worlds at `qpos0`, at rest. Compiles the robot's kernel, or takes it from the cache.
    ///
    /// # Errors
    /// When the kernel is refused or the buffers do not fit.
    pub fn new(gpu: Arc<Gpu>, physics: Physics, worlds: usize) -> Result<Self, GpuError> {
        let kernel = probe_kernel(&physics, &[]);
        let pipeline =
            gpu.pipeline(&format!("physics of {}", physics.model().name), &kernel.text, "probe", &BINDINGS)?;
        let run = gpu.uniform(&[worlds as u32, 0, 0, 0]);
        let columns = |label: &str, n: usize| gpu.buffer(label, n * worlds, HINT);
        let state = columns("state", kernel.state_columns)?;
        let control = columns("control", physics.model().nu())?;
        let par = columns("parameters", kernel.param_columns)?;
        let out = columns("results", kernel.probe.columns)?;
        let work = columns("contacts", kernel.work_columns)?;
        let tab = gpu.buffer("pairs", kernel.words.len(), "")?;
        let num = gpu.buffer("pair numbers", kernel.numbers.len(), "")?;
        gpu.write(&tab, 0, &kernel.words);
        gpu.write(&num, 0, &kernel.numbers);
        let group = gpu.bind(&pipeline, &[&run, &state, &control, &par, &out, &work, &tab, &num]);
        let mut out = Self {
            states: vec![0.0; kernel.state_columns * worlds],
            controls: vec![0.0; physics.model().nu() * worlds],
            evaluated: Vec::new(),
            dirty: true,
            moved: false,
            gpu,
            kernel,
            pipeline,
            group,
            run,
            state,
            control,
            out,
            worlds,
            physics,
        };
        let qpos0 = out.physics.model().qpos0.clone();
        let rest = vec![0.0; out.physics.topology().nv];
        for world in 0..worlds {
            out.reset_world(world, &qpos0, &rest);
        }
        Ok(out)
    }

    /// Seconds that the kernel took to compile, and whether it came from the cache.
    pub fn compile(&self) -> (f64, bool) {
        (self.pipeline.compile_s, self.pipeline.cached)
    }

    /// Worlds whose state went bad since they were last set.
    ///
    /// # Errors
    /// When the device fails.
    pub fn bad_worlds(&mut self) -> Result<Vec<usize>, GpuError> {
        self.fetch()?;
        let at = (self.kernel.state_columns - 1) * self.worlds;
        Ok((0..self.worlds).filter(|w| self.states[at + w] == 0.0).collect())
    }

    /// Makes steps as [`Backend::step`] and waits for them; the seconds that the kernel took, where the adapter has
    /// timestamps.
    ///
    /// # Errors
    /// When the device fails.
    pub fn timed_step(&mut self, count: usize) -> Result<Option<f64>, GpuError> {
        self.fetch()?;
        self.prepare(count);
        self.moved = true;
        let mut encoder = self.gpu.encoder();
        let Some(mut timing) = self.gpu.timing(2) else {
            self.encode(&mut encoder);
            self.gpu.submit(encoder)?;
            self.gpu.wait()?;
            return Ok(None);
        };
        timing.mark(&mut encoder, "physics");
        self.encode(&mut encoder);
        timing.mark(&mut encoder, "");
        Ok(timing.finish(&self.gpu, encoder)?.first().map(|t| t.1))
    }

    /// Bytes that a launch reads and writes at least, however many steps it makes: state, controls, parameters,
    /// contacts.
    pub fn bytes_per_launch(&self) -> u64 {
        let (k, nu) = (&self.kernel, self.physics.model().nu());
        4 * (self.worlds * (2 * k.state_columns + nu + k.param_columns + 2 * k.work_columns)) as u64
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Writes the inputs of the next launch.
    fn prepare(&mut self, steps: usize) {
        if self.dirty {
            self.gpu.write(&self.state, 0, &self.states);
            self.gpu.write(&self.control, 0, &self.controls);
            self.dirty = false;
        }
        self.gpu.write(&self.run, 0, &[self.worlds as u32, steps as u32, 0, 0]);
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.pipeline.dispatch(encoder, &self.group, [(self.worlds as u32).div_ceil(GROUP), 1, 1]);
    }

    fn launch(&mut self, steps: usize) -> Result<(), GpuError> {
        self.prepare(steps);
        self.gpu.launch(&self.pipeline, &self.group, (self.worlds as u32).div_ceil(GROUP))
    }

    fn fetch(&mut self) -> Result<(), GpuError> {
        if self.moved {
            self.states = self.gpu.read(&[(&self.state, self.states.len())])?.remove(0);
            self.moved = false;
        }
        Ok(())
    }

    fn failed(&self, e: GpuError) -> BackendError {
        BackendError::Device { backend: self.name(), message: e.to_string() }
    }

    fn blocks(&self) -> [usize; 4] {
        let (nq, nv) = (self.physics.model().nq(), self.physics.topology().nv);
        [nq, nv, nv, 1]
    }
}

impl Backend for GpuBackend {
    fn name(&self) -> String {
        let info = self.gpu.info();
        format!("gpu, {} ({})", info.name, info.api)
    }

    fn physics(&self) -> &Physics {
        &self.physics
    }

    fn num_worlds(&self) -> usize {
        self.worlds
    }

    fn set_state(&mut self, world: usize, from: &WorldState) {
        assert!(world < self.worlds, "world {world} of {}", self.worlds);
        // the other worlds' states on the device must not be lost; a device that fails reports it at the next launch
        if self.fetch().is_err() {
            return;
        }
        let mut at = 0;
        let time = [from.time];
        for (n, values) in self.blocks().into_iter().zip([&from.qpos[..], &from.qvel, &from.qacc_warmstart, &time]) {
            assert_eq!(n, values.len(), "a row of the wrong length");
            for &v in values {
                self.states[at * self.worlds + world] = v as f32;
                at += 1;
            }
        }
        self.states[at * self.worlds + world] = 1.0;
        self.dirty = true;
    }

    fn state(&mut self, world: usize) -> Result<WorldState, BackendError> {
        self.fetch().map_err(|e| self.failed(e))?;
        let mut at = 0;
        let mut rows = self.blocks().map(|n| {
            at += n;
            (at - n..at).map(|c| f64::from(self.states[c * self.worlds + world])).collect::<Vec<f64>>()
        });
        let [qpos, qvel, qacc_warmstart, time] = &mut rows;
        let take = std::mem::take::<Vec<f64>>;
        Ok(WorldState { qpos: take(qpos), qvel: take(qvel), qacc_warmstart: take(qacc_warmstart), time: time[0] })
    }

    fn set_ctrl(&mut self, world: usize, ctrl: &[f64]) {
        assert!(world < self.worlds && ctrl.len() == self.physics.model().nu(), "a row of the wrong length");
        if self.fetch().is_err() {
            return;
        }
        for (u, &v) in ctrl.iter().enumerate() {
            self.controls[u * self.worlds + world] = v as f32;
        }
        self.dirty = true;
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        self.fetch().and_then(|()| self.launch(0)).map_err(|e| self.failed(e))?;
        let n = self.kernel.probe.columns * self.worlds;
        self.evaluated = self.gpu.read(&[(&self.out, n)]).map_err(|e| self.failed(e))?.remove(0);
        Ok(())
    }

    fn evaluation(&mut self, world: usize) -> Result<Evaluation, BackendError> {
        if self.evaluated.is_empty() {
            self.forward()?;
        }
        let at = |column: usize| f64::from(self.evaluated[column * self.worlds + world]);
        let (p, nv) = (self.kernel.probe, self.physics.topology().nv);
        let row = |from: usize| (from..from + nv).map(at).collect::<Vec<f64>>();
        let pairs = &self.physics.model().pairs;
        let contacts = (0..at(p.contacts) as usize)
            .map(|i| {
                let c = p.contacts + 1 + i * dumped::LEN;
                let pair = &pairs[at(c + dumped::PAIR) as usize];
                let three = |k: usize| [at(c + k), at(c + k + 1), at(c + k + 2)];
                ContactPoint {
                    geom1: pair.geom1,
                    geom2: pair.geom2,
                    dist: at(c + dumped::DIST),
                    pos: three(dumped::POS),
                    normal: three(dumped::NORMAL),
                    force: three(dumped::FORCE),
                }
            })
            .collect();
        Ok(Evaluation {
            qm: symmetric(&self.physics, |i, j| at(p.qm + i * (i + 1) / 2 + j)),
            qfrc_bias: row(p.bias),
            qacc_smooth: row(p.qacc_smooth),
            qacc: row(p.qacc),
            contacts,
        })
    }

    fn step(&mut self, count: usize) -> Result<(), BackendError> {
        if count > 0 {
            self.fetch().map_err(|e| self.failed(e))?;
            let most = self.gpu.steps_per_launch().unwrap_or(count);
            for begin in (0..count).step_by(most) {
                self.launch(most.min(count - begin)).map_err(|e| self.failed(e))?;
            }
            self.moved = true;
        }
        Ok(())
    }
}
