//! An environment whose worlds live on the GPU: a control step is a handful of launches, and nothing crosses the bus but once a rollout.

use super::kernels::{self, BUFFERS, ENTRY, GROUP};
use super::record::{Recorder, Tail};
use crate::columns::ledger::{BadValue, Ledger, StepStats, Sum};
use crate::env::Env;
use crate::error::EnvError;
use crate::options::EnvOptions;
use crate::plan::on_gpu::refuse;
use crate::plan::whole::Plan;
use crate::stages::finish;
use crate::task::load::Task;
use pavlov_physics::env_kernel;
use pavlov_physics::gpu::{Gpu, GpuError, GpuWorlds, Launch, Timing};
use pavlov_reward::Reward;
use std::sync::Arc;

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
    plan: Plan,
    tail: Tail,
    physics: GpuWorlds,
    worlds: usize,
    horizon: usize,
    slots: usize,
    act: Launch,
    evaluate: Launch,
    redraw: Option<Launch>,
    redraw_all: Option<Launch>,
    look: Launch,
    begin: Launch,
    env: wgpu::Buffer,
    obs: wgpu::Buffer,
    actions: wgpu::Buffer,
    results: wgpu::Buffer,
    values: wgpu::Buffer,
    /// Finished episodes, in the order of their steps, and sums over steps.
    pub ledger: Ledger,
    compile_s: f64,
}

const HINT: &str = "lower `--worlds` or `--set horizon`";

fn wrong(e: GpuError) -> EnvError {
    EnvError::Gpu { message: e.to_string() }
}

impl GpuEnv {
    /// Worlds of `task` rewarded by `reward`, for rollouts of `horizon` steps; not yet reset. Compiles the kernels, or takes them from
    /// the cache.
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
        let plan = Plan::new(Env::shared(&task, options)?, reward, &[]);
        refuse(&plan)?;
        let (shared, tail, worlds) = (&plan.shared, Tail::new(&plan), options.worlds);
        let varied = if shared.randomised() { task.random.fields() } else { Vec::new() };
        let kernel = env_kernel(&shared.physics, &varied, &task.feet);
        let physics = GpuWorlds::new(&gpu, &shared.physics, kernel, worlds, shared.frame_skip, HINT).map_err(wrong)?;
        let recorder = Recorder { plan: &plan, tail: &tail, kernel: &physics.kernel };
        let slots = 2 + horizon / task.episode_steps.max(1) as usize;
        let (row, nu) = (task.obs_dim(), task.act_dim());
        let columns = |what: &str, n: usize| gpu.buffer(what, n.saturating_mul(worlds), HINT).map_err(wrong);
        let env = columns("environment", tail.columns)?;
        let obs = columns("observations", (horizon + 1 + slots) * row)?;
        let actions = columns("actions", horizon * nu)?;
        let results = columns("results", horizon * tail.results)?;
        let values = gpu.buffer("reward parameters", plan.reward.values().len(), HINT).map_err(wrong)?;
        gpu.write(&values, 0, plan.reward.values());
        let access = BUFFERS.map(|(_, access)| access);
        let settings: Vec<wgpu::Buffer> = (0..=horizon)
            .map(|slice| {
                let sizes = [worlds, slice, horizon, row, nu, tail.results].map(|n| n as u32);
                gpu.uniform(&[&sizes[..], &[options.seed as u32, (options.seed >> 32) as u32]].concat())
            })
            .collect();
        let mut compile_s = physics.compile_s;
        let mut launch = |name: &str, text: String, slices: &[wgpu::Buffer]| {
            let pipeline = gpu.pipeline(&format!("{name} of {}", task.name), &text, ENTRY, &access).map_err(wrong)?;
            compile_s += pipeline.compile_s;
            let p = &physics;
            let bound = |run| vec![run, &p.state, &p.control, &p.par, &p.out, &env, &obs, &actions, &results, &values];
            let workgroups = (worlds as u32).div_ceil(GROUP);
            Ok::<_, EnvError>(Launch::new(&gpu, Arc::new(pipeline), workgroups, slices.iter().map(bound)))
        };
        let once = &settings[..1];
        let act = launch("act", kernels::act(&recorder), &settings[1..])?;
        let evaluate = launch("scripts", kernels::evaluate(&recorder, slots), &settings[1..])?;
        let look = launch("observation", kernels::look(&recorder), &settings)?;
        let begin = launch("reset", kernels::begin(&recorder), once)?;
        let mut redraw = |first: bool, wanted: bool| {
            wanted.then(|| launch("randomisation", kernels::redraw(&recorder, first), once)).transpose()
        };
        let redraw_all = redraw(true, !varied.is_empty())?;
        let redraw = redraw(false, !varied.is_empty() && task.random.per_episode)?;
        let ledger = Ledger { stats: StepStats::new(plan.nodes(), plan.metrics()), ..Ledger::default() };
        Ok(Self {
            gpu,
            tail,
            physics,
            worlds,
            horizon,
            slots,
            act,
            evaluate,
            redraw,
            redraw_all,
            look,
            begin,
            env,
            obs,
            actions,
            results,
            values,
            ledger,
            compile_s,
            plan,
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The task.
    pub fn task(&self) -> &Arc<Task> {
        &self.plan.shared.task
    }

    /// Number of worlds.
    pub fn num_worlds(&self) -> usize {
        self.worlds
    }

    /// Steps of a rollout.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// Physics steps of a control step.
    pub fn frame_skip(&self) -> usize {
        self.plan.shared.frame_skip
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

    /// Numbers per world that a control step reads and writes at least: state, controls, what is read off, the environment's own,
    /// observation, action, results. For a figure of bandwidth.
    pub fn columns_per_step(&self) -> usize {
        let (k, nu) = (&self.physics.kernel, self.task().act_dim());
        2 * (k.state_columns + nu + k.read.columns + self.tail.columns)
            + k.param_columns
            + self.task().obs_dim()
            + nu
            + self.tail.results
    }

    /// Starts new episodes everywhere; the observations are slice 0.
    ///
    /// # Errors
    /// When the device fails.
    pub fn reset(&mut self) -> Result<(), EnvError> {
        let mut encoder = self.gpu.encoder();
        self.begin.encode(&mut encoder, 0);
        self.redraw_all.iter().for_each(|redraw| redraw.encode(&mut encoder, 0));
        self.physics.encode_settle(&mut encoder);
        self.look.encode(&mut encoder, 0);
        self.gpu.submit(encoder).map_err(wrong)?;
        self.clear_tail();
        Ok(())
    }

    fn clear_tail(&self) {
        let (from, to) = (self.tail.sums, self.tail.columns);
        self.gpu.write(&self.env, from * self.worlds, &vec![0f32; (to - from) * self.worlds]);
    }

    /// Control step `t` of a rollout: reads slice `t` of the actions, writes slice `t + 1` of the observations. With `timing`, a mark
    /// before each kernel.
    ///
    /// # Panics
    /// When `t` is not below the horizon.
    pub fn encode_step(&self, encoder: &mut wgpu::CommandEncoder, t: usize, mut timing: Option<&mut Timing>) {
        assert!(t < self.horizon, "step {t} of a rollout of {}", self.horizon);
        let mut mark = |encoder: &mut _, name| timing.iter_mut().for_each(|timing| timing.mark(encoder, name));
        mark(encoder, "act");
        self.act.encode(encoder, t);
        mark(encoder, "physics");
        self.physics.encode_step(encoder);
        mark(encoder, "scripts and resets");
        self.evaluate.encode(encoder, t);
        if let Some(redraw) = &self.redraw {
            mark(encoder, "randomisation");
            redraw.encode(encoder, 0);
        }
        mark(encoder, "forward after resets");
        self.physics.encode_settle(encoder);
        mark(encoder, "observation");
        self.look.encode(encoder, t + 1);
    }

    /// After the steps of a rollout were submitted: reads everything back in one wait, fills the ledger, and makes the last observations
    /// the first of the next rollout. The same wait brings the first numbers of the buffers in `also`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn finish_rollout(&mut self, also: &[(&wgpu::Buffer, usize)]) -> Result<(GpuRollout, Vec<Vec<f32>>), EnvError> {
        let (w, row, columns) = (self.worlds, self.task().obs_dim(), self.tail.results);
        let episode = self.plan.layout.flat(self.plan.layout.episode.one());
        let wanted = [
            (&self.obs, 0, (self.horizon + 1 + self.slots) * row * w),
            (&self.results, 0, self.horizon * columns * w),
            (&self.env, self.tail.sums * w, (self.tail.columns - self.tail.sums) * w),
            (&self.env, episode * w, w),
        ];
        let also = also.iter().map(|&(buffer, n)| (buffer, 0, n));
        let wanted: Vec<_> = wanted.into_iter().chain(also).collect();
        let mut read = self.gpu.read_parts(&wanted).map_err(wrong)?.into_iter();
        let mut take = || read.next().unwrap_or_default();
        let (mut obs, results, tail, episode) = (take(), take(), take(), take());
        let rest = read.collect();
        let final_obs = obs.split_off((self.horizon + 1) * row * w);
        let result = |column: usize| -> Vec<f32> {
            (0..self.horizon).flat_map(|t| results[(t * columns + column) * w..][..w].iter().copied()).collect()
        };
        let rollout = GpuRollout { reward: result(0), ended: result(1), obs, final_obs, slots: self.slots };
        self.account(&rollout.ended, &results, &tail, &episode);
        let mut encoder = self.gpu.encoder();
        let slice = 4 * (row * w) as u64;
        // through a copy of its own: a buffer cannot be copied onto itself
        let spare = self.gpu.buffer("last observations", row * w, HINT).map_err(wrong)?;
        encoder.copy_buffer_to_buffer(&self.obs, self.horizon as u64 * slice, &spare, 0, slice);
        encoder.copy_buffer_to_buffer(&spare, 0, &self.obs, 0, slice);
        self.gpu.submit(encoder).map_err(wrong)?;
        self.clear_tail();
        Ok((rollout, rest))
    }

    /// Takes a rollout into the ledger.
    fn account(&mut self, ended: &[f32], results: &[f32], tail: &[f32], episode: &[f32]) {
        let (w, plan) = (self.worlds, &self.plan);
        // episodes that a world has ended since, to count back from the present one
        let mut later: Vec<u32> =
            (0..w).map(|world| ended.iter().skip(world).step_by(w).filter(|&&how| how > 0.0).count() as u32).collect();
        for (at, &how) in ended.iter().enumerate().filter(|(_, how)| **how > 0.0) {
            let (t, world) = (at / w, at % w);
            let index = (episode[world] as u32).saturating_sub(later[world]);
            later[world] -= 1;
            let number = |k: usize| f64::from(results[(t * self.tail.results + 2 + k) * w + world]);
            finish::log(plan, &mut self.ledger.log, (world, index, how < 1.5), number);
        }
        self.ledger.stats.world_steps += (w * self.horizon) as u64;
        for (sum, column) in Sum::all(plan.nodes(), plan.metrics()).zip(tail.chunks_exact(w)) {
            self.ledger.stats.tally(sum, column.iter().map(|&x| f64::from(x)).sum());
        }
        let bad = |k: usize| &tail[(self.tail.bad + k - self.tail.sums) * w..][..w];
        if let (None, Some(world)) = (&self.ledger.bad, bad(0).iter().position(|&node| node > 0.0)) {
            let term = plan.reward.node_names()[bad(0)[world] as usize - 1].clone();
            self.ledger.bad = Some(BadValue { term, world, step: bad(1)[world] as u32, value: bad(2)[world] });
        }
    }

    /// Other values of the reward's parameters, from the next step on.
    ///
    /// # Panics
    /// When they are not as many as the reward has.
    pub fn set_reward_values(&mut self, values: &[f32]) {
        assert_eq!(values.len(), self.plan.reward.values().len(), "numbers of the reward");
        self.gpu.write(&self.values, 0, values);
    }

    /// Everything that a later [`GpuEnv::restore`] needs to go on as if nothing had happened.
    ///
    /// # Errors
    /// When the device fails.
    pub fn save(&mut self) -> Result<Vec<f32>, EnvError> {
        let wanted = self.lasting().map(|(buffer, n)| (buffer, 0, n));
        Ok(self.gpu.read_parts(&wanted).map_err(wrong)?.concat())
    }

    /// Takes back what [`GpuEnv::save`] gave.
    ///
    /// # Errors
    /// When it is of another environment.
    pub fn restore(&mut self, saved: &[f32]) -> Result<(), EnvError> {
        let expected: usize = self.lasting().iter().map(|part| part.1).sum();
        if saved.len() != expected {
            return Err(EnvError::State(format!("a state of {} numbers: expected {expected}", saved.len())));
        }
        let mut rest = saved;
        for (buffer, n) in self.lasting() {
            let (head, tail) = rest.split_at(n);
            self.gpu.write(buffer, 0, head);
            rest = tail;
        }
        Ok(())
    }

    /// Buffers that last from rollout to rollout, and how many numbers of each.
    fn lasting(&self) -> [(&wgpu::Buffer, usize); 4] {
        let (p, w) = (&self.physics, self.worlds);
        [
            (&p.state, p.kernel.state_columns * w),
            (&p.par, p.kernel.param_columns * w),
            (&self.env, self.tail.columns * w),
            (&self.obs, self.task().obs_dim() * w),
        ]
    }

    /// Coordinates of all worlds `[nq][worlds]`, then velocities `[nv][worlds]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn world_states(&mut self) -> Result<Vec<f32>, EnvError> {
        let model = self.task().model();
        let n = (model.nq() + model.nv()) * self.worlds;
        Ok(self.gpu.read_parts(&[(&self.physics.state, 0, n)]).map_err(wrong)?.concat())
    }
}
