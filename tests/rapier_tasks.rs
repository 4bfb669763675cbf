//! The environment on rapier: every shipped task, resets, snapshots, randomised parameters, the whole of a step's
//! readings.

use pavlov_env::{Assets, BackendKind, Env, EnvBlock, EnvOptions, StepOut, Task};
use pavlov_reward::Reward;
use pavlov_tests::root;
use std::sync::Arc;

fn load(name: &str) -> (Arc<Task>, Arc<Reward>) {
    let assets = Assets::from_roots([root()]);
    let task = Task::load(&assets, name).unwrap_or_else(|e| panic!("{e}"));
    let path = assets.reward(name, task.default_reward()).unwrap();
    let reward = Reward::load(&path, name, task.scene()).unwrap_or_else(|e| panic!("{e}"));
    (Arc::new(task), Arc::new(reward))
}

fn env(name: &str, worlds: usize, backend: BackendKind, disturb: bool) -> (Arc<Task>, Env) {
    let (task, reward) = load(name);
    let options = EnvOptions { worlds, backend, disturb, ..EnvOptions::default() };
    (task.clone(), Env::new(task, reward, &options).unwrap_or_else(|e| panic!("{e}")))
}

struct Rows {
    obs: Vec<f32>,
    final_obs: Vec<f32>,
    reward: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

impl Rows {
    fn new(block: &EnvBlock, task: &Task) -> Self {
        let n = block.num_worlds();
        let wide = vec![0.0; n * task.obs_dim()];
        Self {
            obs: wide.clone(),
            final_obs: wide,
            reward: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
        }
    }

    fn step(&mut self, block: &mut EnvBlock, task: &Task, step: usize) {
        let action = |i: usize| ((i * 7919 + step * 104_729) % 2001) as f32 / 1000.0 - 1.0;
        let actions: Vec<f32> = (0..block.num_worlds() * task.act_dim()).map(action).collect();
        let Self { obs, final_obs, reward, terminated, truncated } = self;
        block.step(&actions, StepOut { obs, reward, terminated, truncated, final_obs });
    }

    fn bits(&self) -> Vec<u32> {
        self.obs.iter().chain(&self.reward).map(|x| x.to_bits()).collect()
    }
}

#[test]
fn every_task_runs_on_rapier() {
    let names: Vec<String> = Assets::from_roots([root()]).tasks().into_iter().map(|t| t.name).collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in &names {
        let (task, mut env) = env(name, 3, BackendKind::Rapier, true);
        let block = &mut env.blocks[0];
        let mut rows = Rows::new(block, &task);
        block.reset(&mut rows.obs);
        let start = rows.obs.clone();
        for step in 0..40 {
            rows.step(block, &task, step);
            assert!(rows.obs.iter().chain(&rows.reward).all(|x| x.is_finite()), "{name} step {step}");
        }
        assert!(block.script_error().is_none() && block.bad_value().is_none(), "{name}");
        assert_eq!(block.stats().nonfinite, 0, "{name}");
        assert_ne!(rows.obs, start, "{name}: nothing moved");
    }
}

/// A saved block goes on to the bit, in a new environment as in its own, randomised parameters and contacts included.
#[test]
fn a_restored_block_goes_on_to_the_bit() {
    for name in ["go1_velocity", "hopper_hop"] {
        let (task, mut first) = env(name, 3, BackendKind::Rapier, true);
        let block = &mut first.blocks[0];
        let mut rows = Rows::new(block, &task);
        block.reset(&mut rows.obs);
        (0..12).for_each(|step| rows.step(block, &task, step));
        let saved = block.save();
        let mut ahead = Vec::new();
        for step in 12..24 {
            rows.step(block, &task, step);
            ahead.push(rows.bits());
        }
        block.restore(&saved).unwrap();
        for step in 12..24 {
            rows.step(block, &task, step);
            assert!(rows.bits() == ahead[step - 12], "{name} step {step}: the same block");
        }
        let (_, mut second) = env(name, 3, BackendKind::Rapier, true);
        let block = &mut second.blocks[0];
        let mut rows = Rows::new(block, &task);
        block.reset(&mut rows.obs);
        block.restore(&saved).unwrap();
        for step in 12..24 {
            rows.step(block, &task, step);
            assert!(rows.bits() == ahead[step - 12], "{name} step {step}: another block");
        }
    }
}

/// What both engines read off the same start: the same first observation, and much the same after a control step in the
/// air.
#[test]
fn both_engines_are_read_off_alike() {
    for name in ["gym/ant", "go1_velocity", "humanoid_run"] {
        let (task, mut batch) = env(name, 2, BackendKind::Batch, false);
        let (_, mut rapier) = env(name, 2, BackendKind::Rapier, false);
        let model = task.model();
        let mut qpos = model.qpos0.clone();
        qpos[2] += 2.0;
        for joint in model.joints.iter().filter(|j| j.limited) {
            qpos[joint.qposadr] = 0.5 * (joint.range[0] + joint.range[1]);
        }
        let qvel: Vec<f64> = (0..model.nv()).map(|i| 0.3 * (i as f64).sin()).collect();
        let mut seen = Vec::new();
        for env in [&mut batch, &mut rapier] {
            let block = &mut env.blocks[0];
            let mut rows = Rows::new(block, &task);
            block.reset(&mut rows.obs);
            (0..2).for_each(|world| block.set_world_state(world, &qpos, &qvel));
            block.observe(&mut rows.obs);
            let start = rows.obs.clone();
            rows.step(block, &task, 0);
            seen.push((start, rows.obs.clone()));
        }
        let dim = task.obs_dim();
        for (term, columns) in task.obs_terms().iter().map(|t| (&t.name, t.columns.clone())) {
            for world in 0..2 {
                for i in columns.clone() {
                    let at = world * dim + i;
                    let (start, after) = ((seen[0].0[at], seen[1].0[at]), (seen[0].1[at], seen[1].1[at]));
                    // accelerations of a first step, and their sensors, differ by the integrators' errors
                    let loose = if term.contains("acc") { 0.5 } else { 0.15 };
                    let near = |(a, b): (f32, f32), tolerance: f32| (a - b).abs() <= tolerance * a.abs().max(1.0);
                    assert!(
                        near(start, if term.contains("acc") { 0.5 } else { 1e-3 }),
                        "{name} {term} column {i} at the start: {start:?}"
                    );
                    assert!(near(after, loose), "{name} {term} column {i} after a step: {after:?}");
                }
            }
        }
    }
}
