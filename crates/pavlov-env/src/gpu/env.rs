//! An environment whose worlds live on the GPU: a whole control step is a handful of launches, and nothing crosses the bus but once a rollout.

use super::kernels::{BUFFERS, GROUP, texts};
use super::layout::Layout;
use super::plan::{needs, refuse, varied};
use super::record::Recorder;
use crate::block::Shared;
use crate::env::Env;
use crate::error::EnvError;
use crate::spec::EnvOptions;
use crate::stats::{BadValue, EpisodeLog, StepStats};
use crate::task::Task;
use pavlov_physics::gpu::{Access, Gpu, GpuError, Pipeline, Timing};
use pavlov_physics::{EnvKernel, env_kernel};
use pavlov_reward::Reward;
use std::sync::Arc;

/// A launch: a kernel and the buffers bound to it.
#[derive(Debug)]
struct Launch {
    pipeline: Arc<Pipeline>,
    /// One for each slice where the settings differ, else one.
    groups: Vec<wgpu::BindGroup>,
}

/// What a rollout left, read back at once. Everything is `[column][world]`.
#[derive(Debug, Clone, Default)]
pub struct GpuRollout {
    /// Observations `[horizon + 1][row][worlds]`.
    pub obs: Vec<f32>,
    /// Rewards `[horizon][worlds]`.
    pub reward: Vec<f32>,
    /// How each step ended `[horizon][worlds]`: 0 it did not, 1 terminated, 2 truncated.
    pub ended: Vec<f32>,
    /// Last observations of truncated episodes `[slots][row][worlds]`: the k-th truncation of a world is in slot k.
    pub final_obs: Vec<f32>,
    /// Slots.
    pub slots: usize,
}

/// Worlds of a task on a GPU.
#[derive(Debug)]
pub struct GpuEnv {
    gpu: Arc<Gpu>,
    pub(super) shared: Arc<Shared>,
    pub(super) reward: Arc<Reward>,
    pub(super) layout: Layout,
    kernel: EnvKernel,
    pub(super) worlds: usize,
    pub(super) horizon: usize,
    slots: usize,
    act: Launch,
    step: Launch,
    evaluate: Launch,
    redraw: Option<Launch>,
    redraw_all: Option<Launch>,
    settle: Launch,
    look: Launch,
    begin: Launch,
    state: wgpu::Buffer,
    par: wgpu::Buffer,
    env: wgpu::Buffer,
    obs: wgpu::Buffer,
    actions: wgpu::Buffer,
    results: wgpu::Buffer,
    values: wgpu::Buffer,
    pub(super) log: EpisodeLog,
    pub(super) stats: StepStats,
    pub(super) bad: Option<BadValue>,
    compile_s: f64,
    /// Launches that the physics steps of a control step are spread over.
    launches: usize,
}

const HINT: &str = "lower `--worlds` or `--set horizon`";

fn wrong(e: GpuError) -> EnvError {
    EnvError::Gpu { message: e.to_string() }
}

impl GpuEnv {
    /// Worlds of `task` rewarded by `reward`, for rollouts of `horizon` steps; not yet reset. Compiles the kernels, or takes them from the cache.
    ///
    /// # Errors
    /// When the physics refuses the robot, a script is not lowered, something of the task cannot run on a GPU, or the device refuses.
    pub fn new(
        gpu: Arc<Gpu>,
        task: Arc<Task>,
        reward: Arc<Reward>,
        options: &EnvOptions,
        horizon: usize,
    ) -> Result<Self, EnvError> {
        refuse(&task, &reward, options)?;
        let shared = Env::shared(&task, options)?;
        let (worlds, layout) = (options.worlds, Layout::new(&shared, &reward));
        let kernel = env_kernel(&shared.physics, &varied(&shared), &task.feet);
        let needs = needs(&task, &reward);
        let recorder = Recorder::new(&shared, &reward, &layout, &kernel, needs);
        if let Some(sensor) = recorder.unsupported() {
            let message =
                format!("sensor `{sensor}` is a touch sensor, which the GPU does not read: use `--device cpu`");
            return Err(EnvError::Gpu { message });
        }
        let slots = 2 + horizon / task.episode_steps.max(1) as usize;
        let texts = texts(&recorder, slots);
        let (row, nu) = (task.obs_dim(), task.act_dim());
        let buffer = |what: &str, n: usize| gpu.buffer(what, n, HINT).map_err(wrong);
        let columns = |what: &str, n: usize| buffer(what, n.saturating_mul(worlds));
        let state = columns("state", kernel.state_columns)?;
        let control = columns("control", nu)?;
        let par = columns("parameters", kernel.param_columns)?;
        let out = columns("what is read off", kernel.read.columns)?;
        let work = columns("contacts", kernel.work_columns)?;
        let env = columns("environment", layout.columns)?;
        let obs = columns("observations", (horizon + 1 + slots) * row)?;
        let actions = columns("actions", horizon * nu)?;
        let results = columns("results", horizon * layout.result_columns())?;
        let values = buffer("reward parameters", reward.values().len())?;
        let (tab, num) = (buffer("pairs", kernel.words.len())?, buffer("pair numbers", kernel.numbers.len())?);
        gpu.write(&tab, 0, &kernel.words);
        gpu.write(&num, 0, &kernel.numbers);
        gpu.write(&values, 0, reward.values());
        let access: Vec<Access> = BUFFERS.iter().map(|b| b.1).collect();
        let seed = options.seed;
        let settings: Vec<wgpu::Buffer> = (0..=horizon)
            .map(|slice| {
                let sizes = [worlds, slice, horizon, row, nu, layout.result_columns()].map(|n| n as u32);
                gpu.uniform(&[&sizes[..], &[seed as u32, (seed >> 32) as u32]].concat())
            })
            .collect();
        let mut compile_s = 0.0;
        let mut made = |name: &str, text: &str, entry: &str, access: &[Access]| {
            let pipeline = gpu.pipeline(&format!("{name} of {}", task.name), text, entry, access).map_err(wrong)?;
            compile_s += pipeline.compile_s;
            Ok::<_, EnvError>(Arc::new(pipeline))
        };
        let launch = |pipeline: Arc<Pipeline>, slices: &[wgpu::Buffer]| Launch {
            groups: slices
                .iter()
                .map(|run| {
                    let all = [run, &state, &control, &par, &out, &env, &obs, &actions, &results, &values];
                    gpu.bind(&pipeline, &all)
                })
                .collect(),
            pipeline,
        };
        let physics_access = [
            Access::Uniform,
            Access::Write,
            Access::Read,
            Access::Read,
            Access::Write,
            Access::Write,
            Access::Read,
            Access::Read,
        ];
        let together = gpu.steps_per_launch().unwrap_or(shared.frame_skip).min(shared.frame_skip);
        // what does not divide goes step by step
        let together = if shared.frame_skip.is_multiple_of(together) { together } else { 1 };
        let launches = shared.frame_skip / together;
        let physics = |pipeline: Arc<Pipeline>, mode: u32| {
            let run = gpu.uniform(&[worlds as u32, together as u32, mode, 0]);
            let groups = vec![gpu.bind(&pipeline, &[&run, &state, &control, &par, &out, &work, &tab, &num])];
            Launch { pipeline, groups }
        };
        let act = launch(made("act", &texts.act, "act_all", &access)?, &settings[1..]);
        let pipeline = made("physics", &kernel.text, "control_step", &physics_access)?;
        let (step, settle) = (physics(pipeline.clone(), 0), physics(pipeline, 1));
        let evaluate = launch(made("scripts", &texts.evaluate, "evaluate_all", &access)?, &settings[1..]);
        let look = launch(made("observation", &texts.look, "look_all", &access)?, &settings);
        let begin = launch(made("reset", &texts.begin, "begin_all", &access)?, &settings[..1]);
        let mut optional = |text: Option<&String>, entry: &str| {
            let made = text.map(|t| made("randomisation", t, entry, &access)).transpose()?;
            Ok::<_, EnvError>(made.map(|p| launch(p, &settings[..1])))
        };
        let redraw = optional(texts.redraw.as_ref(), "redraw_some")?;
        let redraw_all = optional(texts.redraw_all.as_ref(), "redraw_all")?;
        let stats = StepStats {
            terms: vec![0.0; layout.num_nodes],
            terms_squared: vec![0.0; layout.num_nodes],
            metrics: vec![0.0; layout.num_metrics],
            ..StepStats::default()
        };
        // parameters that do not differ by draw still have their own values
        let mut nominal = shared.physics.params::<f64>();
        for &(field, begin) in &kernel.varied {
            let numbers: Vec<f32> = nominal.numbers_mut(field).iter().map(|x| **x as f32).collect();
            for (i, x) in numbers.iter().enumerate() {
                gpu.write(&par, (begin + i) * worlds, &vec![*x; worlds]);
            }
        }
        Ok(Self {
            act,
            step,
            evaluate,
            redraw,
            redraw_all,
            settle,
            look,
            begin,
            state,
            par,
            env,
            obs,
            actions,
            results,
            values,
            log: EpisodeLog::default(),
            stats,
            bad: None,
            compile_s,
            launches,
            gpu,
            shared,
            reward,
            layout,
            kernel,
            worlds,
            horizon,
            slots,
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The task.
    pub fn task(&self) -> &Arc<Task> {
        &self.shared.task
    }

    /// Number of worlds.
    pub fn num_worlds(&self) -> usize {
        self.worlds
    }

    /// Columns of an observation row.
    pub fn obs_dim(&self) -> usize {
        self.shared.task.obs_dim()
    }

    /// Columns of it that the policy sees.
    pub fn policy_obs_dim(&self) -> usize {
        self.shared.task.policy_obs_dim()
    }

    /// Number of actions.
    pub fn act_dim(&self) -> usize {
        self.shared.task.act_dim()
    }

    /// Steps of a rollout.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// Physics steps of a control step.
    pub fn frame_skip(&self) -> usize {
        self.shared.frame_skip
    }

    /// Seconds that the kernels took from text to pipeline. (Software Vulkan compiles the rest at the first launch.)
    pub fn compile_s(&self) -> f64 {
        self.compile_s
    }

    /// Observations `[horizon + 1 + slots][row][worlds]`, as the task gives them; slice 0 is what the first step of a rollout acts on.
    pub fn observations(&self) -> &wgpu::Buffer {
        &self.obs
    }

    /// Actions `[horizon][act][worlds]`.
    pub fn actions(&self) -> &wgpu::Buffer {
        &self.actions
    }

    /// Numbers per world that a control step reads and writes at least: state, controls, what is read off, the environment's own, observation,
    /// action, results. For a figure of bandwidth.
    pub fn columns_per_step(&self) -> usize {
        let k = &self.kernel;
        2 * (k.state_columns + self.act_dim() + k.read.columns + self.layout.columns)
            + k.param_columns
            + self.obs_dim()
            + self.act_dim()
            + self.layout.result_columns()
    }

    fn dispatch(&self, encoder: &mut wgpu::CommandEncoder, launch: &Launch, slice: usize) {
        let group = &launch.groups[slice.min(launch.groups.len() - 1)];
        launch.pipeline.dispatch(encoder, group, [(self.worlds as u32).div_ceil(GROUP), 1, 1]);
    }

    /// Starts new episodes everywhere; the observations are slice 0.
    ///
    /// # Errors
    /// When the device fails.
    pub fn reset(&mut self) -> Result<(), EnvError> {
        let mut encoder = self.gpu.encoder();
        self.dispatch(&mut encoder, &self.begin, 0);
        if let Some(all) = &self.redraw_all {
            self.dispatch(&mut encoder, all, 0);
        }
        self.dispatch(&mut encoder, &self.settle, 0);
        self.dispatch(&mut encoder, &self.look, 0);
        self.gpu.submit(encoder).map_err(wrong)?;
        self.gpu.write(
            &self.env,
            self.layout.stats * self.worlds,
            &vec![0f32; (self.layout.stats_len + 4) * self.worlds],
        );
        Ok(())
    }

    /// Control step `t` of a rollout: reads slice `t` of the actions, writes slice `t + 1` of the observations.
    ///
    /// # Panics
    /// When `t` is not below the horizon.
    pub fn encode_step(&self, encoder: &mut wgpu::CommandEncoder, t: usize) {
        self.encode_step_timed(encoder, t, None);
    }

    /// As [`GpuEnv::encode_step`], with a mark before each kernel.
    ///
    /// # Panics
    /// When `t` is not below the horizon.
    pub fn encode_step_timed(&self, encoder: &mut wgpu::CommandEncoder, t: usize, mut timing: Option<&mut Timing>) {
        assert!(t < self.horizon, "step {t} of a rollout of {}", self.horizon);
        let launches = [
            ("act", Some(&self.act), t),
            ("physics", Some(&self.step), 0),
            ("scripts and resets", Some(&self.evaluate), t),
            ("randomisation", self.redraw.as_ref(), 0),
            ("forward after resets", Some(&self.settle), 0),
            ("observation", Some(&self.look), t + 1),
        ];
        for (name, launch, slice) in launches {
            let Some(launch) = launch else { continue };
            if let Some(timing) = timing.as_deref_mut() {
                timing.mark(encoder, name);
            }
            let repeats = if name == "physics" { self.launches } else { 1 };
            (0..repeats).for_each(|_| self.dispatch(encoder, launch, slice));
        }
    }

    /// After the steps of a rollout were submitted: reads everything back in one wait, fills the log and the sums, and makes the last
    /// observations the first of the next rollout.
    ///
    /// # Errors
    /// When the device fails.
    pub fn finish_rollout(&mut self) -> Result<GpuRollout, EnvError> {
        Ok(self.finish_rollout_with(&[])?.0)
    }

    /// As [`GpuEnv::finish_rollout`]; the same wait brings the first numbers of the buffers in `also`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn finish_rollout_with(
        &mut self,
        also: &[(&wgpu::Buffer, usize)],
    ) -> Result<(GpuRollout, Vec<Vec<f32>>), EnvError> {
        let (w, row, rc) = (self.worlds, self.obs_dim(), self.layout.result_columns());
        let tail = self.layout.stats_len + 4;
        let wanted = [
            (&self.obs, 0, (self.horizon + 1 + self.slots) * row * w),
            (&self.results, 0, self.horizon * rc * w),
            (&self.env, self.layout.stats * w, tail * w),
            (&self.env, self.layout.episode * w, w),
        ];
        let also = also.iter().map(|&(buffer, n)| (buffer, 0, n));
        let wanted: Vec<_> = wanted.into_iter().chain(also).collect();
        let mut read = self.gpu.read_parts(&wanted).map_err(wrong)?.into_iter();
        let mut take = || read.next().unwrap_or_default();
        let (mut obs, results, tail_values, episode) = (take(), take(), take(), take());
        let rest = read.collect();
        let final_obs = obs.split_off((self.horizon + 1) * row * w);
        let of = |column: usize| -> Vec<f32> {
            (0..self.horizon).flat_map(|t| results[(t * rc + column) * w..][..w].iter().copied()).collect()
        };
        let rollout = GpuRollout { reward: of(0), ended: of(1), obs, final_obs, slots: self.slots };
        self.account(&rollout, &results, &tail_values, &episode);
        let mut encoder = self.gpu.encoder();
        let slice = 4 * (row * w) as u64;
        // through a copy of its own: a buffer cannot be copied onto itself
        let spare = self.gpu.buffer("last observations", row * w, HINT).map_err(wrong)?;
        encoder.copy_buffer_to_buffer(&self.obs, self.horizon as u64 * slice, &spare, 0, slice);
        encoder.copy_buffer_to_buffer(&spare, 0, &self.obs, 0, slice);
        self.gpu.submit(encoder).map_err(wrong)?;
        self.gpu.write(&self.env, self.layout.stats * w, &vec![0f32; tail * w]);
        Ok((rollout, rest))
    }

    /// Finished episodes since [`GpuEnv::clear_log`], in the order of their steps.
    pub fn log(&self) -> &EpisodeLog {
        &self.log
    }

    /// Forgets the finished episodes.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Sums over steps since [`GpuEnv::clear_stats`].
    pub fn stats(&self) -> &StepStats {
        &self.stats
    }

    /// Sets the sums to zero.
    pub fn clear_stats(&mut self) {
        self.stats.clear();
    }

    /// The first node of the reward that was not finite, if one ever was.
    pub fn bad_value(&self) -> Option<&BadValue> {
        self.bad.as_ref()
    }

    /// Other values of the reward's parameters, from the next step on.
    ///
    /// # Panics
    /// When they are not as many as the reward has.
    pub fn set_reward_values(&mut self, values: &[f32]) {
        assert_eq!(values.len(), self.reward.values().len(), "numbers of the reward");
        self.gpu.write(&self.values, 0, values);
    }

    /// Everything that a later [`GpuEnv::restore`] needs to go on as if nothing had happened.
    ///
    /// # Errors
    /// When the device fails.
    pub fn save(&mut self) -> Result<Vec<f32>, EnvError> {
        let wanted = self.parts().map(|(buffer, n)| (buffer, 0, n));
        Ok(self.gpu.read_parts(&wanted).map_err(wrong)?.concat())
    }

    /// Takes back what [`GpuEnv::save`] gave.
    ///
    /// # Errors
    /// When it is of another environment.
    pub fn restore(&mut self, saved: &[f32]) -> Result<(), EnvError> {
        let expected: usize = self.parts().iter().map(|p| p.1).sum();
        if saved.len() != expected {
            let message = format!("a state of {} numbers: expected {expected}", saved.len());
            return Err(EnvError::State(message));
        }
        let mut rest = saved;
        for (buffer, n) in self.parts() {
            let (head, tail) = rest.split_at(n);
            self.gpu.write(buffer, 0, head);
            rest = tail;
        }
        Ok(())
    }

    fn parts(&self) -> [(&wgpu::Buffer, usize); 4] {
        let w = self.worlds;
        [
            (&self.state, self.kernel.state_columns * w),
            (&self.par, self.kernel.param_columns * w),
            (&self.env, self.layout.columns * w),
            (&self.obs, self.obs_dim() * w),
        ]
    }

    /// Coordinates of all worlds `[nq][worlds]`, then velocities `[nv][worlds]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn world_states(&mut self) -> Result<Vec<f32>, EnvError> {
        let model = self.shared.physics.model();
        let n = (model.nq() + model.nv()) * self.worlds;
        Ok(self.gpu.read_parts(&[(&self.state, 0, n)]).map_err(wrong)?.concat())
    }
}
