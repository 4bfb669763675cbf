//! The device against the processor: nets, noise, whole rollouts, learning. Without an adapter each test says so and
//! ends.

use super::fill::{ReadBack, fill};
use super::*;
use crate::config::{Activation, PpoConfig};
use crate::model::Model;
use crate::net::Workspace;
use crate::normal::Frozen;
use crate::ppo::Ppo;
use crate::rng::{Purpose, Rng};
use crate::rollout::{Carried, Rollout, Shared};
use crate::toy::Mass;
use pavlov_common::testing::{NO_ADAPTER, skipped};
use pavlov_physics::gpu::{Access, GpuError, Pipeline};
use pavlov_physics::record::LIBRARY;

fn open() -> Option<Arc<Gpu>> {
    match Gpu::open(0) {
        Ok(gpu) => Some(gpu),
        Err(GpuError::NoAdapter) => {
            skipped(NO_ADAPTER);
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// The mass on a line of `crate::toy`, on the device: state `[x, v, age, episode, time limits in this
/// rollout][worlds]`.
const MASS: &str = "
struct Run { worlds: u32, limit: u32, horizon: u32, reset: u32 }
struct Step { t: u32 }
@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<uniform> step_of: Step;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<storage, read> action: array<f32>;
@group(0) @binding(4) var<storage, read_write> obs: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> last: array<f32>;
fn observe(slice: u32, w: u32, x: f32, v: f32, age: f32) {
    let n = run.worlds;
    obs[slice * 3u * n + w] = x;
    obs[(slice * 3u + 1u) * n + w] = v;
    obs[(slice * 3u + 2u) * n + w] = 1f - age / f32(run.limit);
}
@compute @workgroup_size(32)
fn mass(@builtin(global_invocation_id) id: vec3<u32>) {
    let w = id.x;
    let n = run.worlds;
    if (w >= n) { return; }
    var x = state[w];
    var v = state[n + w];
    var age = state[2u * n + w];
    var episode = state[3u * n + w];
    var cuts = select(state[4u * n + w], 0f, step_of.t == 0u);
    var over = run.reset == 1u;
    if (!over) {
        let force = clamp(action[step_of.t * n + w], -1f, 1f);
        v += 0.2f * force;
        x += 0.2f * v;
        age += 1f;
        out[step_of.t * n + w] = 1f - x * x - 0.01f * force * force;
        let cut = age >= f32(run.limit);
        let ended = select(select(0f, 2f, cut), 1f, abs(x) > 3f);
        out[(run.horizon + step_of.t) * n + w] = ended;
        if (ended == 2f) {
            let slot = u32(cuts) * 3u;
            last[slot * n + w] = x;
            last[(slot + 1u) * n + w] = v;
            last[(slot + 2u) * n + w] = 1f - age / f32(run.limit);
            cuts += 1f;
        }
        over = ended > 0f;
    }
    if (over) {
        episode += 1f;
        let words = philox(vec4<u32>(w, u32(episode), 0u, 0u), vec2<u32>(5u, 6u));
        x = 1.5f * (2f * unit(words.x) - 1f);
        v = 2f * unit(words.y) - 1f;
        age = 0f;
    }
    state[w] = x;
    state[n + w] = v;
    state[2u * n + w] = age;
    state[3u * n + w] = episode;
    state[4u * n + w] = cuts;
    observe(select(step_of.t + 1u, 0u, run.reset == 1u), w, x, v, age);
}
";

struct DeviceMass {
    gpu: Arc<Gpu>,
    worlds: usize,
    limit: usize,
    horizon: usize,
    pipeline: Pipeline,
    groups: Vec<wgpu::BindGroup>,
    run: wgpu::Buffer,
    state: wgpu::Buffer,
    action: wgpu::Buffer,
    obs: wgpu::Buffer,
    out: wgpu::Buffer,
    last: wgpu::Buffer,
}

impl DeviceMass {
    fn new(gpu: &Arc<Gpu>, worlds: usize, limit: usize, horizon: usize) -> Self {
        let access = [
            Access::Uniform,
            Access::Uniform,
            Access::Write,
            Access::Read,
            Access::Write,
            Access::Write,
            Access::Write,
        ];
        let pipeline = gpu.pipeline("mass", &format!("{LIBRARY}{MASS}"), "mass", &access).unwrap();
        let buffer = |columns: usize| gpu.buffer("test", columns * worlds, "").unwrap();
        let slots = horizon.div_ceil(limit) + 1;
        let (state, action, obs, out, last) =
            (buffer(5), buffer(horizon), buffer(3 * horizon + 3), buffer(2 * horizon), buffer(3 * slots));
        let run = gpu.uniform(&[worlds as u32, limit as u32, horizon as u32, 0]);
        let groups = (0..horizon)
            .map(|t| {
                let step = gpu.uniform(&[t as u32]);
                gpu.bind(&pipeline, &[&run, &step, &state, &action, &obs, &out, &last])
            })
            .collect();
        Self { gpu: gpu.clone(), worlds, limit, horizon, pipeline, groups, run, state, action, obs, out, last }
    }

    fn slots(&self) -> usize {
        self.horizon.div_ceil(self.limit) + 1
    }
}

impl DeviceEnv for DeviceMass {
    fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }
    fn num_worlds(&self) -> usize {
        self.worlds
    }
    fn obs_dim(&self) -> usize {
        2
    }
    fn critic_obs_dim(&self) -> usize {
        1
    }
    fn act_dim(&self) -> usize {
        1
    }
    fn horizon(&self) -> usize {
        self.horizon
    }
    fn observations(&self) -> &wgpu::Buffer {
        &self.obs
    }
    fn actions(&self) -> &wgpu::Buffer {
        &self.action
    }
    fn reset(&mut self) -> Result<(), LearnError> {
        self.gpu.write(&self.run, 0, &[self.worlds as u32, self.limit as u32, self.horizon as u32, 1]);
        let mut encoder = self.gpu.encoder();
        self.encode_step(&mut encoder, 0, None);
        self.gpu.submit(encoder)?;
        self.gpu.write(&self.run, 3, &[0u32]);
        Ok(())
    }
    fn encode_step(&self, encoder: &mut wgpu::CommandEncoder, t: usize, timing: Option<&mut Timing>) {
        if let Some(timing) = timing {
            timing.mark(encoder, "mass");
        }
        self.pipeline.dispatch(encoder, &self.groups[t], [(self.worlds as u32).div_ceil(32), 1, 1]);
    }
    fn finish_rollout(
        &mut self,
        also: &[(&wgpu::Buffer, usize)],
    ) -> Result<(DeviceRollout, Vec<Vec<f32>>), LearnError> {
        let (slots, n) = (self.slots(), self.horizon * self.worlds);
        let buffers = [(&self.obs, 3 * (n + self.worlds)), (&self.out, 2 * n), (&self.last, 3 * slots * self.worlds)];
        let mut read = self.gpu.read(&[&buffers[..], also].concat())?;
        let rest = read.split_off(3);
        let [obs, out, final_obs] = <[Vec<f32>; 3]>::try_from(read).unwrap();
        self.gpu.write(&self.obs, 0, &obs[3 * n..]);
        let (reward, ended) = out.split_at(n);
        let (reward, ended) = (reward.to_vec(), ended.to_vec());
        Ok((DeviceRollout { obs, reward, ended, final_obs, slots }, rest))
    }
}

fn close(label: &str, a: &[f32], b: &[f32], limit: f32) {
    assert_eq!(a.len(), b.len(), "{label}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= limit * b.abs().max(1.0), "{label} {i}: {a} on the device, {b} on the processor");
    }
}

/// An environment that never steps: observations as written.
struct Still {
    gpu: Arc<Gpu>,
    sizes: [usize; 5],
    obs: wgpu::Buffer,
    action: wgpu::Buffer,
}

impl DeviceEnv for Still {
    fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }
    fn num_worlds(&self) -> usize {
        self.sizes[0]
    }
    fn obs_dim(&self) -> usize {
        self.sizes[1]
    }
    fn critic_obs_dim(&self) -> usize {
        self.sizes[2]
    }
    fn act_dim(&self) -> usize {
        self.sizes[3]
    }
    fn horizon(&self) -> usize {
        self.sizes[4]
    }
    fn observations(&self) -> &wgpu::Buffer {
        &self.obs
    }
    fn actions(&self) -> &wgpu::Buffer {
        &self.action
    }
    fn reset(&mut self) -> Result<(), LearnError> {
        Ok(())
    }
    fn encode_step(&self, _: &mut wgpu::CommandEncoder, _: usize, _: Option<&mut Timing>) {}
    fn finish_rollout(&mut self, _: &[(&wgpu::Buffer, usize)]) -> Result<(DeviceRollout, Vec<Vec<f32>>), LearnError> {
        Ok(Default::default())
    }
}

#[test]
fn nets_and_noise_are_those_of_the_processor() {
    let Some(gpu) = open() else { return };
    let (worlds, obs, critic_obs, horizon) = (70, 27, 3, 3);
    let row = obs + critic_obs;
    let shapes: [(Activation, &[usize], &[usize], usize); 4] = [
        (Activation::Tanh, &[64, 64], &[64, 64], 8),
        (Activation::Elu, &[37, 20], &[16], 3),
        (Activation::Relu, &[24], &[40, 24, 16], 5),
        (Activation::Tanh, &[], &[], 1),
    ];
    for (activation, actor, critic, act) in shapes {
        let config = PpoConfig {
            activation,
            actor_hidden: actor.to_vec(),
            critic_hidden: critic.to_vec(),
            worlds,
            horizon,
            ..PpoConfig::default()
        };
        let mut model = Model::zeros(&config, obs, row, act, 1);
        model.init(&config, 3);
        // Heads and biases as after some training.
        let mut noise = vec![0.0; model.params.len()];
        Rng::new(8, Purpose::Bench, 0).normals(0, 0, &mut noise);
        model.params.iter_mut().zip(&noise).filter(|(p, _)| **p != 0.0).for_each(|(p, n)| *p += 0.05 * n);
        let at = model.ranges();
        model.params[at.log_std].iter_mut().zip(&noise).for_each(|(p, n)| *p = 0.3 * n);
        let frozen = Frozen {
            mean: noise[..row].to_vec(),
            inv_std: noise[..row].iter().map(|n| 0.5 + n.abs()).collect(),
            limit: 2.0,
        };
        let buffer = |columns: usize| gpu.buffer("test", columns * worlds, "").unwrap();
        let env = Still {
            sizes: [worlds, obs, critic_obs, act, horizon],
            obs: buffer((horizon + 1) * row),
            action: buffer(horizon * act),
            gpu: gpu.clone(),
        };
        let nets = DeviceNets::new(&model, row, &env).unwrap();
        nets.upload(&model, &frozen, (0.5, 3.0), 0x1234_5678_9abc, 7);
        let mut raw = vec![0.0; (horizon + 1) * row * worlds];
        Rng::new(9, Purpose::Bench, 0).normals(0, 0, &mut raw);
        gpu.write(&env.obs, 0, &raw);
        let mut encoder = gpu.encoder();
        (0..=horizon).for_each(|t| nets.encode(&mut encoder, t, None));
        gpu.submit(encoder).unwrap();
        let n = horizon * worlds;
        let read = gpu
            .read(&[(&env.action, n * act), (&nets.mean, n * act), (&nets.log_prob, n), (&nets.value, n + worlds)])
            .unwrap();

        let gaussian = model.gaussian();
        let rng = Rng::new(0x1234_5678_9abc, Purpose::Action, 7);
        let mut work = Workspace::default();
        for t in 0..=horizon {
            for w in 0..worlds {
                let observation: Vec<f32> = (0..row).map(|c| raw[(t * row + c) * worlds + w]).collect();
                let mut x = vec![0.0; row];
                frozen.apply(&observation, &mut x);
                let output = model.critic.forward(model.critic_params(), &x, row, 1, &mut work)[0];
                close("value", &[read[3][t * worlds + w]], &[3.0 * output + 0.5], 1e-5);
                if t == horizon {
                    continue;
                }
                let row_of =
                    |buffer: &[f32]| (0..act).map(|c| buffer[(t * act + c) * worlds + w]).collect::<Vec<f32>>();
                let (action, mean) = (row_of(&read[0]), row_of(&read[1]));
                let means = model.actor.forward(model.actor_params(), &x, row, 1, &mut work);
                close("mean", &mean, &means[..act], 1e-5);
                let mut normals = vec![0.0; act];
                rng.normals(t as u32, w as u32, &mut normals);
                let drawn: Vec<f32> = (0..act).map(|c| (action[c] - mean[c]) * gaussian.inv_std[c]).collect();
                close("normal", &drawn, &normals, 2e-6);
                let log_prob = gaussian.log_prob(&mean, &action, &mut vec![0.0; act]);
                close("log density", &[read[2][t * worlds + w]], &[log_prob], 1e-5);
            }
        }
    }
}

fn small(worlds: usize, horizon: usize) -> PpoConfig {
    PpoConfig {
        worlds,
        horizon,
        actor_hidden: vec![32, 32],
        critic_hidden: vec![32],
        normalize_value: true,
        learning_rate: 2e-3,
        epochs: 8,
        ..PpoConfig::default()
    }
}

#[test]
fn a_rollout_is_that_of_the_processor() {
    let Some(gpu) = open() else { return };
    let (worlds, horizon, limit) = (100, 30, 9);
    let pool = pool(2);
    let mut device = Ppo::new(small(worlds, horizon), 2, 1, 1, 4).unwrap();
    let mut processor = Ppo::new(small(worlds, horizon), 2, 1, 1, 4).unwrap();
    let mut env = DeviceMass::new(&gpu, worlds, limit, horizon);
    let mut nets = device.device_nets(&env).unwrap();
    let mut blocks = [Mass::new(0, 64, limit as u32), Mass::new(64, 36, limit as u32)];
    for update in 0..2 {
        let found = device.update_on_device(&mut env, &mut nets, &pool).unwrap();
        let expected = processor.update(&mut blocks, &pool).unwrap();
        // Training amplifies the last bits; before it everything is the same but for these.
        let limit = if update == 0 { 1e-4 } else { 1e-2 };
        let (a, b) = (&device.buffers.rollout, &processor.buffers.rollout);
        for (label, a, b) in [
            ("observation", &a.obs, &b.obs),
            ("action", &a.action, &b.action),
            ("mean", &a.mean, &b.mean),
            ("log density", &a.log_prob, &b.log_prob),
            ("value", &a.value, &b.value),
            ("reward", &a.reward, &b.reward),
            ("value after a time limit", &a.after, &b.after),
            ("last value", &a.last_value, &b.last_value),
            ("carried observation", &device.carried.obs, &processor.carried.obs),
        ] {
            close(label, a, b, limit);
        }
        assert_eq!(a.done, b.done);
        assert_eq!(device.carried.episode_length, processor.carried.episode_length);
        assert!(found.ended.episodes > 100 && a.after.iter().any(|&v| v != 0.0));
        assert_eq!(
            (found.ended.episodes, found.ended.episode_length),
            (expected.ended.episodes, expected.ended.episode_length)
        );
        let near = |a: f64, b: f64| (a - b).abs() < f64::from(limit) * b.abs().max(1.0);
        assert!(
            near(found.reward_mean, expected.reward_mean)
                && near(found.learner.value_loss, expected.learner.value_loss)
        );
        assert!(near(device.obs_moments.variance(1), processor.obs_moments.variance(1)));
    }
}

#[test]
fn learns_to_hold_the_mass_and_resumes_exactly() {
    let Some(gpu) = open() else { return };
    let (worlds, horizon, limit) = (64, 48, 60);
    let run = |threads: usize, resume: bool, updates: usize| {
        let pool = pool(threads);
        let mut env = DeviceMass::new(&gpu, worlds, limit, horizon);
        let mut ppo = Ppo::new(small(worlds, horizon), 2, 1, 1, 1).unwrap();
        let mut nets = ppo.device_nets(&env).unwrap();
        let mut returns = Vec::new();
        for update in 0..updates {
            if resume && update == 2 {
                ppo = Ppo::from_bytes(&ppo.to_bytes().unwrap()).unwrap();
                let state = gpu.read(&[(&env.state, 5 * worlds), (&env.obs, 3 * worlds)]).unwrap();
                env = DeviceMass::new(&gpu, worlds, limit, horizon);
                gpu.write(&env.state, 0, &state[0]);
                gpu.write(&env.obs, 0, &state[1]);
                nets = ppo.device_nets(&env).unwrap();
            }
            returns.push(ppo.update_on_device(&mut env, &mut nets, &pool).unwrap().ended.episode_return.unwrap());
        }
        (returns, ppo.to_bytes().unwrap(), nets.batch)
    };
    let (returns, _, batch) = run(2, false, 41);
    assert!(returns[0] < 20.0 && returns[40] > 50.0, "{returns:?}");
    assert_eq!(batch, horizon, "a small rollout is one submission in the end");
    let (single, parallel) = (run(1, false, 4), run(2, true, 4));
    assert_eq!((&single.0, &single.1), (&parallel.0, &parallel.1), "threads or a resume change the result");
}

#[test]
fn kernels_are_timed() {
    let Some(gpu) = open() else { return };
    let (worlds, horizon) = (256, 8);
    let mut env = DeviceMass::new(&gpu, worlds, 60, horizon);
    let mut ppo = Ppo::new(small(worlds, horizon), 2, 1, 1, 1).unwrap();
    let nets = ppo.device_nets(&env).unwrap();
    let Some(times) = ppo.time_on_device(&mut env, &nets, 4).unwrap() else {
        skipped("the adapter measures no time");
        return;
    };
    let names: Vec<&str> = times.iter().map(|(n, _)| n.as_str()).collect();
    let expected =
        ["critic, layer 0", "critic, layer 1", "actor, layer 0", "actor, layer 1", "actor, layer 2", "actions", "mass"];
    assert_eq!(names, expected);
    assert!(times.iter().all(|&(_, s)| (0.0..1.0).contains(&s)) && times.iter().any(|&(_, s)| s > 0.0), "{times:?}");
    // Inputs and outputs of the layers, mean, action and log density; then weights with biases, deviations and their
    // inverses.
    let columns = (3 + 32) + (32 + 1) + (2 + 32) + (32 + 32) + (32 + 1) + 3;
    let params = 4 * 32 + 33 * 8 + 3 * 32 + 33 * 32 + 33 * 8 + 2;
    assert_eq!(nets.bytes_per_step(), 4 * (columns * 256 + params));
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(gpu) = open() else { return };
    let env = DeviceMass::new(&gpu, 16, 9, 4);
    let error = Ppo::new(small(17, 4), 2, 1, 1, 1).unwrap().device_nets(&env).unwrap_err();
    assert!(matches!(error, LearnError::Shape { found: 16, expected: 17, .. }), "{error}");
    let error = Ppo::new(small(16, 4), 3, 0, 1, 1).unwrap().device_nets(&env).unwrap_err();
    assert!(error.to_string().contains("observation columns is 2"), "{error}");
    // More time limits in a rollout than slots.
    let config = small(1, 2);
    let mut model = Model::zeros(&config, 2, 3, 1, 1);
    model.init(&config, 1);
    let frozen = Frozen { mean: vec![0.0; 3], inv_std: vec![1.0; 3], limit: 9.0 };
    let rng = Rng::new(1, Purpose::Action, 0);
    let shared = Shared {
        model: &model,
        frozen: &frozen,
        value_mean: vec![0.0],
        value_std: vec![1.0],
        rng,
        horizon: 2,
        row: 3,
        gamma: 0.9,
    };
    let env = DeviceRollout {
        obs: vec![0.0; 9],
        reward: vec![0.0; 2],
        ended: vec![2.0; 2],
        final_obs: vec![0.0; 3],
        slots: 1,
    };
    let read = ReadBack { env, action: vec![0.0; 2], mean: vec![0.0; 2], log_prob: vec![0.0; 2], value: vec![0.0; 3] };
    let (mut carried, mut rollout) = (Carried::new(1, 3, 1), Rollout::default());
    rollout.fit(1, 2, 3, 1, 1);
    let error = fill(&read, &shared, &mut carried, &mut rollout).unwrap_err();
    assert!(matches!(error, LearnError::Shape { found: 2, expected: 1, .. }), "{error}");
}
