//! Every shipped task and reward: they load, are lowered, agree with the interpreter, and step without a non-finite
//! number. The Gymnasium tasks give Gymnasium's observations, rewards and terminations for the same states and actions.

use pavlov_env::{Assets, Env, EnvOptions, Profile, StepOut, Task};
use pavlov_reward::Reward;
use pavlov_tests::{Arrays, root};
use std::sync::Arc;

fn load(name: &str) -> (Arc<Task>, Arc<Reward>) {
    let assets = Assets::from_roots([root()]);
    let task = Task::load(&assets, name).unwrap_or_else(|e| panic!("{e}"));
    let path = assets.reward(name, task.default_reward()).unwrap();
    let reward = Reward::load(&path, name, task.scene()).unwrap_or_else(|e| panic!("{e}"));
    (Arc::new(task), Arc::new(reward))
}

struct Buffers {
    obs: Vec<f32>,
    final_obs: Vec<f32>,
    reward: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

impl Buffers {
    fn new(n: usize, dim: usize) -> Self {
        Self {
            obs: vec![0.0; n * dim],
            final_obs: vec![0.0; n * dim],
            reward: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
        }
    }
    fn out(&mut self) -> StepOut<'_> {
        let Self { obs, final_obs, reward, terminated, truncated } = self;
        StepOut { obs, reward, terminated, truncated, final_obs }
    }
}

#[test]
fn every_task_steps_and_every_script_is_lowered_and_agrees_with_the_interpreter() {
    let assets = Assets::from_roots([root()]);
    let names: Vec<String> = assets.tasks().into_iter().map(|t| t.name).collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in &names {
        let (task, reward) = load(name);
        assert!(task.findings().is_empty() && reward.findings().is_empty(), "{name}: not all scripts are lowered");
        let parity = reward.program().parity(10_000, 1).unwrap();
        println!("{name}: {} operations, parity {:.1e}", reward.program().operations(), parity.max_error);
        assert!(parity.max_error < 1e-5, "{name}: {parity:?}");
        for (entry, parity) in task.script_parity(10_000, 2).unwrap() {
            assert!(parity.max_error < 1e-5, "{name} {entry}: {parity:?}");
        }
        let mut env = Env::new(task.clone(), reward, &EnvOptions { worlds: 24, ..EnvOptions::default() }).unwrap();
        let block = &mut env.blocks[0];
        let (n, dim, nu) = (24, task.obs_dim(), task.act_dim());
        let mut b = Buffers::new(n, dim);
        block.reset(&mut b.obs);
        for step in 0..200 {
            let actions: Vec<f32> =
                (0..n * nu).map(|i| ((i * 7919 + step * 104_729) % 2001) as f32 / 1000.0 - 1.0).collect();
            block.step(&actions, b.out());
            assert!(b.obs.iter().chain(&b.reward).all(|x| x.is_finite()), "{name} step {step}");
        }
        assert!(block.script_error().is_none() && block.bad_value().is_none());
        assert_eq!(block.stats().nonfinite, 0, "{name}");
    }
}

#[test]
fn gymnasium_tasks_answer_as_gymnasium_does() {
    for name in ["ant", "half_cheetah", "hopper", "walker2d", "humanoid"] {
        let (task, reward) = load(&format!("gym/{name}"));
        let table = Arrays::read(&format!("gym_{name}"));
        let (dim, nu) = (task.obs_dim(), task.act_dim());
        let n = table.len("qpos");
        let steps = table.row("reward", 0).len();
        assert_eq!(table.row("obs", 0).len(), (steps + 1) * dim, "{name}: observation of {dim} columns");
        let options = EnvOptions { worlds: n, profile: Profile::Accurate, disturb: false, ..EnvOptions::default() };
        let mut env = Env::new(task.clone(), reward, &options).unwrap();
        assert_eq!(env.blocks.len(), 1, "{name}: {n} sequences fit a block");
        let block = &mut env.blocks[0];
        let mut b = Buffers::new(n, dim);
        block.reset(&mut b.obs);
        for w in 0..n {
            block.set_world_state(w, table.row("qpos", w), table.row("qvel", w));
        }
        block.observe(&mut b.obs);
        let (mut worst_obs, mut worst_reward, mut compared) = (0.0f64, 0.0f64, 0);
        let mut alive = vec![true; n];
        for step in 0..=steps {
            for w in (0..n).filter(|w| alive[*w]).collect::<Vec<_>>() {
                let expected = &table.row("obs", w)[step * dim..][..dim];
                let done = step > 0 && (b.terminated[w] || b.truncated[w]);
                let found = &(if done { &b.final_obs } else { &b.obs })[w * dim..][..dim];
                for (x, y) in found.iter().zip(expected) {
                    worst_obs = worst_obs.max((f64::from(*x) - y).abs() / y.abs().max(1.0));
                }
                if step > 0 {
                    let expected = table.row("reward", w)[step - 1];
                    worst_reward =
                        worst_reward.max((f64::from(b.reward[w]) - expected).abs() / expected.abs().max(1.0));
                    assert_eq!(
                        b.terminated[w],
                        table.row("terminated", w)[step - 1] != 0.0,
                        "{name} sequence {w} step {step}"
                    );
                    compared += 1;
                    alive[w] = !b.terminated[w];
                }
            }
            if step < steps {
                let row: Vec<f32> = (0..n)
                    .flat_map(|w| {
                        table.row("action", w)[step * nu..][..nu].iter().map(|x| *x as f32).collect::<Vec<_>>()
                    })
                    .collect();
                block.step(&row, b.out());
            }
        }
        println!("{name}: {compared} steps, observation {worst_obs:.1e}, reward {worst_reward:.1e}");
        assert!(compared > n, "{name}");
        assert!(
            worst_obs < 1e-2 && worst_reward < 1e-2,
            "{name}: observation {worst_obs:.1e}, reward {worst_reward:.1e}"
        );
    }
}

/// Counts the steps of each world's episode by itself, and says how far the environment's own count is off.
#[derive(Debug)]
struct Counter {
    steps: Vec<f32>,
    weight: f32,
}

impl pavlov_reward::RewardSource for Counter {
    fn inputs(&self) -> Vec<pavlov_script::Input> {
        vec![pavlov_script::Input::now(pavlov_script::Channel::EpisodeStep)]
    }
    fn reset(&mut self, world: usize, _episode: u32) {
        self.steps[world] = 0.0;
    }
    fn evaluate(&mut self, step: &pavlov_reward::SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
        for (world, out) in out.iter_mut().enumerate() {
            self.steps[world] += 1.0;
            assert_eq!(self.steps[world], step.column(0)[world]);
            assert_eq!(step.step[world] as f32, self.steps[world]);
            *out = self.weight * self.steps[world];
        }
        Ok(())
    }
    fn save(&mut self) -> Vec<u8> {
        self.steps.iter().flat_map(|x| x.to_le_bytes()).collect()
    }
    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        for (x, raw) in self.steps.iter_mut().zip(bytes.chunks_exact(4)) {
            *x = f32::from_le_bytes(raw.try_into().map_err(|_| "cut".to_string())?);
        }
        Ok(())
    }
}

#[test]
fn a_native_source_is_a_term_like_any_other_and_is_saved() {
    pavlov_reward::register_source("counter", |setup| {
        let weight = setup.options.get("weight").and_then(toml::Value::as_float).ok_or("`weight` is missing")?;
        Ok(Box::new(Counter { steps: vec![0.0; setup.worlds], weight: weight as f32 }))
    });
    let (task, _) = load("cartpole_balance");
    let reward = |plugin: &str, options: &str| {
        let toml = format!(
            "[sources.count]\nkind = \"native\"\nplugin = \"{plugin}\"\noptions = {{ {options} }}\n[terms.count]\n\
             transform = [{{ clip = {{ max = 1.0 }} }}]"
        );
        let manifest = toml::from_str(&toml).unwrap();
        Arc::new(
            Reward::from_text("t", "r.rhai", "fn reward(s) { #{ zero: 0.0 * s.time } }", manifest, task.scene())
                .unwrap(),
        )
    };
    let options = EnvOptions { worlds: 5, ..EnvOptions::default() };
    let wrong = |r| Env::new(task.clone(), r, &options).unwrap_err().to_string();
    assert!(wrong(reward("cuonter", "weight = 0.5")).contains("did you mean `counter`"));
    assert!(wrong(reward("counter", "")).contains("`weight` is missing"));
    let good = reward("counter", "weight = 0.5");
    let mut block = Env::new(task.clone(), good.clone(), &options).unwrap().blocks.remove(0);
    let mut b = Buffers::new(5, task.obs_dim());
    block.reset(&mut b.obs);
    for expected in [0.5, 1.0, 1.0] {
        block.step(&[0.0; 5], b.out());
        assert_eq!(b.reward, [expected; 5]);
    }
    let saved = block.save();
    let mut other = Env::new(task.clone(), good.clone(), &options).unwrap().blocks.remove(0);
    other.restore(&saved).unwrap();
    other.step(&[0.0; 5], b.out());
    let node = good.node_names().iter().position(|n| n == "count").unwrap();
    assert_eq!((other.reward_node(node, 4), b.reward[4]), (2.0, 1.0));
    assert!(other.restore(&saved[..saved.len() - 3]).is_err());
}
