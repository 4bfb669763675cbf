//! The stages in `f64`, one world at a time: what lanes and kernels are held against.

use crate::columns::layout::{Column, Entry};
use crate::columns::ledger::{StepStats, Sum};
use crate::env::Env;
use crate::options::EnvOptions;
use crate::plan::observation::Source;
use crate::plan::randomization::At;
use crate::plan::sensed::{Sensed, Touch};
use crate::plan::whole::{Origin, Plan};
use crate::rng::{Purpose, Stream, WorldRng};
use crate::stages::account::Outcome;
use crate::stages::{Moment, Stepped, Worlds, account, act, begin, command, observe, push, score, sense};
use crate::task::load::Task;
use crate::task::schema::Sensing;
use pavlov_physics::{Data, Params};
use pavlov_reward::Reward;
use std::sync::Arc;

/// What is kept of the world, and what its scripts found.
struct World {
    plan: Arc<Plan>,
    rng: WorldRng,
    kept: Vec<f64>,
    outputs: [Vec<f64>; 6],
    finite: bool,
    stats: StepStats,
}

impl Worlds for World {
    type N = f64;
    type Stream = Stream;
    fn get(&self, column: Column) -> f64 {
        self.kept[self.plan.layout.flat(column)]
    }
    fn set(&mut self, column: Column, value: f64) {
        let at = self.plan.layout.flat(column);
        self.kept[at] = value;
    }
    fn stream(&self, purpose: Purpose, moment: Moment) -> Stream {
        let l = &self.plan.layout;
        let [episode, step] = [l.episode, l.step].map(|span| self.get(span.one()) as u32);
        let (episode, step) = moment.counters(episode, step, |n| n);
        self.rng.stream(purpose, episode, step)
    }
}

impl Stepped for World {
    fn alive(&self) -> bool {
        self.finite
    }
    fn output(&self, entry: Entry, k: usize) -> f64 {
        self.outputs[entry as usize].get(k).copied().unwrap_or(0.0)
    }
    fn total(&self) -> f64 {
        score::total(&self.plan.reward, |k| self.output(Entry::Reward, k))
    }
    fn tally(&mut self, sum: Sum, value: f64) {
        self.stats.tally(sum, value);
    }
    fn note_bad(&mut self, _: usize, _: f64, _: bool) {}
}

/// A parameter of the only world.
#[derive(Clone, Copy)]
struct Only;

impl At<f64> for Only {
    type Column = f64;
    fn get(self, column: f64) -> f64 {
        column
    }
    fn set(self, column: &mut f64, value: f64) {
        *column = value;
    }
}

/// World `world` of an environment.
pub(crate) struct Reference {
    world: World,
    params: Params<f64>,
    data: Data<f64>,
    /// By place in the plan's inputs, and by column of the observation.
    present: Vec<f64>,
    looked: Vec<f64>,
}

impl Reference {
    pub fn new(task: &Arc<Task>, reward: &Arc<Reward>, options: &EnvOptions, world: usize) -> Self {
        let shared = Env::shared(task, options).unwrap();
        let (params, data) = (shared.physics.params(), shared.physics.data());
        let plan = Arc::new(Plan::new(shared, reward.clone(), &[]));
        let world = World {
            rng: WorldRng::new(options.seed, world as u64),
            kept: vec![0.0; plan.layout.columns()],
            outputs: Default::default(),
            finite: true,
            stats: StepStats::new(plan.nodes(), plan.metrics()),
            plan: plan.clone(),
        };
        Self { world, params, data, present: vec![0.0; plan.inputs.len()], looked: vec![0.0; plan.task().obs_dim()] }
    }

    /// Begins the episode whose number is kept; its first observation.
    pub fn reset(&mut self) -> Vec<f64> {
        let plan = self.world.plan.clone();
        let physics = &plan.shared.physics;
        begin::stagger(&plan, &mut self.world);
        let state = &mut self.data.state;
        begin::begin(&plan, &mut self.world, &mut state.qpos, &mut state.qvel);
        state.qacc_warmstart.fill(0.0);
        state.time = 0.0;
        if plan.shared.randomised() {
            begin::randomize(&plan, &self.world, Only, &mut self.params);
            plan.task().random.finish(true, physics, &mut self.params);
        }
        self.data.ctrl.fill(0.0);
        physics.forward(&self.params, &mut self.data);
        self.data.cfrc_ext.fill([0.0; 6]);
        if plan.needs.sensors {
            physics.sensors(&self.params, &mut self.data);
        }
        self.sense();
        self.keep();
        begin::remember(&plan, &mut self.world, |place| self.present[place]);
        self.observe()
    }

    /// A control step: the observation it leads to (of the episode that ended, where it did), and how it came out.
    pub fn step(&mut self, action: &[f64]) -> (Vec<f64>, Outcome<f64>) {
        let plan = self.world.plan.clone();
        let physics = &plan.shared.physics;
        let ctrl = &mut self.data.ctrl;
        act::act(&plan, &mut self.world, |i| action[i], |i, x| ctrl[i] = x);
        if let Some(pushes) = push::planned(&plan).filter(|_| push::due(&plan, &self.world)) {
            let kick = push::push(&plan, pushes, &mut self.world);
            kick.iter().enumerate().for_each(|(k, v)| self.data.state.qvel[pushes.dof + k] += v);
        }
        for _ in 0..plan.shared.frame_skip {
            physics.step(&self.params, &mut self.data);
            self.world.finite &= self.data.finite;
        }
        if plan.needs.cfrc_ext {
            physics.rne_post_constraint(&self.params, &mut self.data);
        }
        if plan.needs.sensors {
            physics.sensors(&self.params, &mut self.data);
        }
        if plan.task().file.physics.sensing == Sensing::Fresh {
            physics.refresh(&self.params, &mut self.data);
        }
        self.sense();
        account::count(&plan, &mut self.world);
        score::ORDER.into_iter().for_each(|entry| self.run(entry));
        self.keep();
        let outcome = account::account(&plan, &mut self.world);
        if outcome.ended == 0.0 && command::due(&plan, &self.world) {
            command::command(&plan, &mut self.world);
        }
        let row = self.observe();
        begin::remember(&plan, &mut self.world, |place| self.present[place]);
        (row, outcome)
    }

    fn sense(&mut self) {
        let plan = self.world.plan.clone();
        let (physics, feet) = (&plan.shared.physics, &plan.task().feet[..]);
        let mut touch = Touch::new(plan.task().model.bodies.len(), feet.len());
        touch.read(plan.needs, physics, feet, &self.data);
        let sensed = Sensed { physics, feet, params: &self.params, data: &self.data, touch: &touch };
        let Self { present, looked, .. } = self;
        sense::sense(&plan, &sensed, |place, x| present[place] = x, |i, x| looked[i] = x);
    }

    fn keep(&mut self) {
        for (place, &channel) in self.world.plan.inputs.iter().enumerate() {
            if let Origin::Kept(_) | Origin::Time = self.world.plan.origin(channel) {
                self.present[place] = score::kept(&self.world.plan, &self.world, channel).unwrap();
            }
        }
    }

    fn run(&mut self, entry: Entry) {
        let (plan, outputs) = (self.world.plan.clone(), self.world.outputs.clone());
        let values: Vec<f64> = plan.reward.values().iter().map(|&x| f64::from(x)).collect();
        let params = if entry == Entry::Reward { &values[..] } else { &[] };
        let found = |entry: Entry| outputs[entry as usize].first().copied();
        let put_out = score::run(&plan, &mut self.world, entry, params, |place| self.present[place], found);
        self.world.outputs[entry as usize] = put_out;
    }

    fn observe(&mut self) -> Vec<f64> {
        self.run(Entry::Observation);
        let plan = self.world.plan.clone();
        let mut row = vec![0.0; plan.task().obs_dim()];
        let seen = |i: usize, source| match source {
            Source::Script(k) => self.world.output(Entry::Observation, k),
            _ => self.looked[i],
        };
        observe::observe(&plan, &self.world, seen, |i, x| row[i] = x);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assets, EnvBlock, StepOut};

    const WORLDS: usize = 10;

    fn load(assets: &Assets, name: &str, reward: &str) -> (Arc<Task>, Arc<Reward>) {
        let task = Task::load(assets, name).unwrap_or_else(|e| panic!("{e}"));
        let path = assets.reward(reward, "default").or_else(|_| assets.reward(reward, task.default_reward())).unwrap();
        let reward = Reward::load(&path, "own", task.scene()).unwrap();
        (Arc::new(task), Arc::new(reward))
    }

    /// Compares for so few steps that rounding has not grown: a robot on its feet is chaotic.
    fn compare(name: &str, (task, reward): (Arc<Task>, Arc<Reward>), steps: usize, tolerance: f64) {
        if reward.graph().is_some_and(|graph| !graph.sources.is_empty()) {
            return;
        }
        let options = EnvOptions { worlds: WORLDS, seed: 5, stagger: true, ..EnvOptions::default() };
        let mut block: EnvBlock = Env::block(&task, &reward, &options, 0).unwrap();
        let mut worlds: Vec<Reference> =
            (0..WORLDS).map(|world| Reference::new(&task, &reward, &options, world)).collect();
        let (dim, nu) = (task.obs_dim(), task.act_dim());
        let mut obs = vec![0.0; WORLDS * dim];
        let (mut last, mut paid) = (obs.clone(), [0.0; WORLDS]);
        let (mut terminated, mut truncated) = ([false; WORLDS], [false; WORLDS]);
        block.reset(&mut obs);
        let near = |found: f32, expected: f64, where_: &str| {
            let off = (f64::from(found) - expected).abs() / expected.abs().max(1.0);
            assert!(off <= tolerance, "{name}, {where_}: {found} in lanes, {expected} in f64");
        };
        for (w, world) in worlds.iter_mut().enumerate() {
            let row = world.reset();
            (0..dim).for_each(|i| near(obs[w * dim + i], row[i], &format!("reset, column {i}")));
        }
        let mut over = [false; WORLDS];
        for step in 0..steps {
            let actions: Vec<f32> = (0..WORLDS * nu).map(|i| 0.6 * ((i * 3 + step) as f32 * 0.37).sin()).collect();
            let out = StepOut {
                obs: &mut obs,
                reward: &mut paid,
                terminated: &mut terminated,
                truncated: &mut truncated,
                final_obs: &mut last,
            };
            block.step(&actions, out);
            for (w, world) in worlds.iter_mut().enumerate() {
                if over[w] {
                    continue;
                }
                let action: Vec<f64> = actions[w * nu..(w + 1) * nu].iter().map(|&a| f64::from(a)).collect();
                let (row, outcome) = world.step(&action);
                near(paid[w], outcome.reward, &format!("step {step}, reward"));
                assert_eq!((terminated[w], truncated[w]), (outcome.ended == 1.0, outcome.ended == 2.0), "{name}");
                over[w] = outcome.ended > 0.0;
                let seen = if over[w] { &last } else { &obs };
                (0..dim).for_each(|i| near(seen[w * dim + i], row[i], &format!("step {step}, column {i}")));
            }
        }
    }

    #[test]
    fn lanes_agree_with_the_reference_on_every_task() {
        let assets = Assets::find(None);
        for task in assets.tasks() {
            compare(&task.name, load(&assets, &task.name, &task.name), 5, 5e-3);
        }
    }

    /// What no shipped task uses: forces on the feet, tilted starts, inertias of their own.
    #[test]
    fn lanes_agree_with_the_reference_on_what_no_task_uses() {
        let assets = Assets::find(None);
        let shipped = assets.task("go1_velocity").unwrap().path;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        let text = std::fs::read_to_string(&shipped).unwrap().replace("yaw = [", "tilt = [0.2, 0.4]\nyaw = [");
        let more = "\n[[observation]]\nterm = \"foot_force\"\nscale = 1e-2\ncritic = true\n\
                    [[randomize]]\nwhat = \"inertia\"\nscale = [0.5, 1.5]\n";
        std::fs::write(&path, text + more).unwrap();
        std::fs::copy(shipped.with_extension("rhai"), path.with_extension("rhai")).unwrap();
        let mine = load(&assets, path.to_str().unwrap(), "go1_velocity");
        let options = EnvOptions { worlds: 1, seed: 5, ..EnvOptions::default() };
        let mut world = Reference::new(&mine.0, &mine.1, &options, 0);
        world.reset();
        let down = world.data.xmat[1][2][2];
        assert!((0.4f64.cos()..=0.2f64.cos()).contains(&down), "tilted by {} rad", down.acos());
        compare("mine", mine, 5, 5e-3);
    }
}
