//! Scripts of a block: the columns they read, the programs that run over them, and their results.
//!
//! All programs of a block share one set of present columns `[input][64]`. What physics knows is written lane group by lane group
//! while the group's data is in the cache; what the block keeps (time, actions, commands) is read where it is kept.

use crate::columns::layout::Entry;
use crate::columns::store::{Columns, column_of, column_of_mut, lane_of, store};
use crate::columns::tape::Tape;
use crate::error::EnvError;
use crate::options::BLOCK_WORLDS;
use crate::plan::whole::{Origin, Plan, Shared};
use crate::stages::score;
use pavlov_physics::{LANES, Lane};
use pavlov_reward::{Reward, RewardSource, SourceSetup, SourceStep};
use pavlov_script::{Input, Program, Scratch, ScriptError};
use std::sync::{Arc, LazyLock};

/// Where a program's input comes from: its origin, and its place among the present columns.
type From = (Origin, usize);

/// One program's inputs and results.
#[derive(Debug)]
struct Runner {
    from: Vec<From>,
    /// Inputs in the program's order, gathered before a run.
    inputs: Vec<f32>,
    scratch: Scratch,
    out: Vec<f32>,
}

/// A source of the reward that is outside of its program.
#[derive(Debug)]
struct Outside {
    name: String,
    source: Box<dyn RewardSource>,
    from: Vec<From>,
    inputs: Vec<f32>,
    out: Vec<f32>,
}

/// The scripts of one block.
#[derive(Debug)]
pub(crate) struct Programs {
    plan: Arc<Plan>,
    /// Present columns, by place in the plan's inputs.
    present: Vec<f32>,
    /// By entry function.
    runners: [Option<Runner>; 6],
    sources: Vec<Outside>,
    /// Parameters of the reward and what the trainer sets between updates.
    values: Vec<f32>,
    /// Rewards of the last step.
    total: [f32; BLOCK_WORLDS],
    /// What the observation's script remembered before it ran last.
    before: Vec<f32>,
    worlds: usize,
    error: Option<ScriptError>,
}

fn inputs_from(plan: &Plan, inputs: &[Input]) -> Vec<From> {
    let from = |input: &Input| match input.prev {
        true => (Origin::Kept(plan.layout.previous.at(plan.previous_place(input.channel))), 0),
        false => (plan.origin(input.channel), plan.place(input.channel)),
    };
    inputs.iter().map(from).collect()
}

/// Copies an input's column.
pub(super) fn gather(plan: &Plan, kept: &Columns, present: &[f32], (origin, place): From, to: &mut [f32]) {
    match origin {
        Origin::Kept(column) => kept.copy(column, to),
        Origin::Time => {
            let step = plan.layout.step.one();
            to.iter_mut().enumerate().for_each(|(w, x)| *x = plan.seconds(kept.get(step, w)) as f32);
        }
        _ => to.copy_from_slice(column_of(present, place)),
    }
}

impl Programs {
    /// For worlds `first..first + worlds`, with the plan that the reward's sources make of the shared one.
    pub fn new(shared: &Arc<Shared>, reward: &Arc<Reward>, first: usize, worlds: usize) -> Result<Self, EnvError> {
        let setup = source_setup(shared, reward, first, worlds);
        let sources = reward.sources(&setup).map_err(|e| EnvError::Reward { message: e.to_string() })?;
        let wanted: Vec<Input> = sources.iter().flat_map(|s| s.inputs()).collect();
        let plan = Arc::new(Plan::new(shared.clone(), reward.clone(), &wanted));
        let runner = |program: &Program| Runner {
            from: inputs_from(&plan, program.inputs()),
            inputs: vec![0.0; program.inputs().len() * BLOCK_WORLDS],
            scratch: program.scratch(),
            out: vec![0.0; program.outputs().len() * BLOCK_WORLDS],
        };
        let specs = reward.graph().map_or(&[][..], |g| &g.sources);
        let outside = sources.into_iter().zip(specs).map(|(source, spec)| Outside {
            name: spec.name.clone(),
            from: inputs_from(&plan, &source.inputs()),
            inputs: vec![0.0; source.inputs().len() * BLOCK_WORLDS],
            out: vec![0.0; BLOCK_WORLDS],
            source,
        });
        Ok(Self {
            sources: outside.collect(),
            runners: Entry::ALL.map(|entry| plan.program(entry).map(runner)),
            present: vec![0.0; plan.inputs.len() * BLOCK_WORLDS],
            values: reward.values().to_vec(),
            total: [0.0; BLOCK_WORLDS],
            before: vec![0.0; plan.layout.memory_of(Entry::Observation).len * BLOCK_WORLDS],
            worlds,
            error: None,
            plan,
        })
    }

    /// The plan that the programs read by.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// A present column that physics knows, for the worlds of a lane group whose bit is set.
    #[inline]
    pub fn sensed(&mut self, place: usize, group: usize, lanes: u8, value: Lane) {
        store(column_of_mut(&mut self.present, place), group, lanes, value);
    }

    /// Eight worlds of a present column.
    pub fn present(&self, place: usize, group: usize) -> Lane {
        lane_of(column_of(&self.present, place), group)
    }

    /// The sources begin a new episode too.
    pub fn begin(&mut self, world: usize, episode: u32) {
        for outside in self.sources.iter_mut().filter(|_| world < self.worlds) {
            outside.source.reset(world, episode);
        }
    }

    /// Takes over what is kept of inputs that will be asked for as of before the step.
    pub fn keep(&mut self, kept: &Columns) {
        let Self { plan, present, .. } = self;
        for &place in &plan.previous {
            let origin = plan.origin(plan.inputs[place]);
            if matches!(origin, Origin::Kept(_) | Origin::Time) {
                gather(plan, kept, &[], (origin, place), column_of_mut(present, place));
            }
        }
    }

    /// Runs the scripts of a step.
    pub fn evaluate(&mut self, kept: &mut Columns) {
        self.keep(kept);
        for entry in score::ORDER {
            if entry == Entry::Reward {
                self.derive(kept);
            }
            self.run(entry, kept);
        }
        if let Some(r) = &self.runners[Entry::Reward as usize] {
            for group in 0..BLOCK_WORLDS / LANES {
                let total = score::total(&self.plan.reward, |k| lane_of(column_of(&r.out, k), group));
                store(&mut self.total, group, u8::MAX, total);
            }
        }
    }

    fn run(&mut self, entry: Entry, kept: &mut Columns) {
        let plan = &self.plan;
        let (Some(program), Some(r)) = (plan.program(entry), &mut self.runners[entry as usize]) else { return };
        for (into, &from) in r.inputs.chunks_exact_mut(BLOCK_WORLDS).zip(&r.from) {
            gather(plan, kept, &self.present, from, into);
        }
        let params = if entry == Entry::Reward { &self.values[..] } else { &[] };
        let memory = kept.span_mut(plan.layout.memory_of(entry));
        let ran = program.run(self.worlds, BLOCK_WORLDS, &r.inputs, params, memory, &mut r.scratch, &mut r.out);
        if let Err(e) = ran {
            self.error.get_or_insert(e);
        }
    }

    /// Fills the columns that the reward reads of the task's own scripts and of sources outside of its program.
    fn derive(&mut self, kept: &Columns) {
        let Self { plan, present, runners, sources, worlds: n, error, .. } = self;
        let n = *n;
        let mut terminated = [false; BLOCK_WORLDS];
        if let Some(r) = &runners[Entry::Terminated as usize] {
            terminated.iter_mut().zip(&r.out).for_each(|(t, &x)| *t = x != 0.0);
        }
        for outside in sources.iter_mut() {
            let step: [u32; BLOCK_WORLDS] = std::array::from_fn(|w| kept.count(plan.layout.step, w));
            for (into, &from) in outside.inputs.chunks_exact_mut(BLOCK_WORLDS).zip(&outside.from) {
                gather(plan, kept, present, from, into);
            }
            let columns = &outside.inputs;
            let step =
                SourceStep { worlds: n, stride: BLOCK_WORLDS, columns, terminated: &terminated[..n], step: &step[..n] };
            if let Err(message) = outside.source.evaluate(&step, &mut outside.out[..n]) {
                let file = format!("reward `{}`", plan.reward.name());
                let entry = format!("source {}", outside.name);
                error.get_or_insert(ScriptError { file, line: 0, entry, world: 0, message });
            }
        }
        for (place, &channel) in plan.inputs.iter().enumerate() {
            let column = column_of_mut(present, place);
            match plan.origin(channel) {
                Origin::Terminated => {
                    column.iter_mut().zip(terminated).for_each(|(c, t)| *c = f32::from(u8::from(t)));
                }
                Origin::Success => {
                    let success = runners[Entry::Success as usize].as_ref().map_or(&[][..], |r| &r.out);
                    column.iter_mut().zip(success).for_each(|(c, &x)| *c = x);
                }
                Origin::Outside(k) => column.copy_from_slice(&sources[k].out),
                _ => {}
            }
        }
    }

    /// Runs the observation of the task script, and writes its numbers to the columns `seen` of an observation.
    pub fn observe(&mut self, kept: &mut Columns, mut seen: impl FnMut(usize, &[f32])) {
        let memory = self.plan.layout.memory_of(Entry::Observation);
        self.before.copy_from_slice(kept.span(memory));
        self.run(Entry::Observation, kept);
        if let Some(r) = &self.runners[Entry::Observation as usize] {
            r.out.chunks_exact(BLOCK_WORLDS).enumerate().for_each(|(k, column)| seen(k, column));
        }
    }

    /// As [`Programs::observe`], of worlds marked in `which` alone: what the script remembers of others stays as it is.
    pub fn observe_some(&mut self, which: &[bool], kept: &mut Columns, seen: impl FnMut(usize, &[f32])) {
        self.observe(kept, seen);
        let memory = kept.span_mut(self.plan.layout.memory_of(Entry::Observation));
        for (slot, before) in memory.chunks_exact_mut(BLOCK_WORLDS).zip(self.before.chunks_exact(BLOCK_WORLDS)) {
            (0..BLOCK_WORLDS).filter(|&w| !which[w]).for_each(|w| slot[w] = before[w]);
        }
    }

    /// Numbers that the reward's sources tell of themselves, as `source.number`.
    pub fn source_numbers(&self) -> Vec<(String, f64)> {
        let named = |o: &Outside| -> Vec<_> {
            o.source.numbers().into_iter().map(|(n, x)| (format!("{}.{n}", o.name), x)).collect()
        };
        self.sources.iter().flat_map(named).collect()
    }

    /// The first failure of an interpreted script.
    pub fn error(&self) -> Option<&ScriptError> {
        self.error.as_ref()
    }

    /// Output `k` of a script in a world; 0 where the task has no such script.
    #[inline]
    pub fn output(&self, entry: Entry, k: usize, world: usize) -> f32 {
        self.runners[entry as usize].as_ref().map_or(0.0, |r| r.out[k * BLOCK_WORLDS + world])
    }

    /// A node of the reward; the last one is the total.
    pub fn node(&self, node: usize, world: usize) -> f32 {
        // without a graph the total is no output of the program
        let outputs = self.plan.reward.program().outputs().len();
        if node < outputs { self.output(Entry::Reward, node, world) } else { self.total(world) }
    }

    /// The reward of the last step in a world.
    #[inline]
    pub fn total(&self, world: usize) -> f32 {
        self.total[world]
    }

    /// Rewards of the parts with a critic each in a world, scaled as the total is.
    pub fn critic_rewards(&self, world: usize, out: &mut [f32]) {
        let parts = self.plan.reward.graph().map_or(&[][..], |g| &g.critics);
        let scale = self.plan.reward.manifest().combine.scale as f32;
        for (out, part) in out.iter_mut().zip(parts) {
            *out = scale * self.node(part.node, world);
        }
    }

    /// Other parameters of the same reward.
    pub fn set_values(&mut self, values: &[f32]) {
        self.values.copy_from_slice(values);
    }

    /// What lasts besides what is kept: the present columns, and the sources' own.
    pub fn visit(&mut self, tape: &mut Tape<'_>) -> Result<(), EnvError> {
        tape.array("script columns", &mut self.present)?;
        for outside in &mut self.sources {
            let mut bytes = outside.source.save();
            tape.bytes("source", &mut bytes)?;
            if matches!(tape, Tape::Read(_)) {
                let wrong = |e: String| EnvError::State(format!("source `{}`: {e}", outside.name));
                outside.source.restore(&bytes).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Another reward, from the next step on. Its memory starts anew; previous values start as the present ones.
    pub fn set_reward(&mut self, reward: &Arc<Reward>, first: usize, kept: &mut Columns) -> Result<(), EnvError> {
        let mut new = Self::new(&self.plan.shared, reward, first, self.worlds)?;
        let (old, plan) = (&*self.plan, new.plan.clone());
        let mut carried = kept.carry(&old.layout, &plan.layout);
        for (place, channel) in plan.inputs.iter().enumerate() {
            if let Ok(known) = old.inputs.binary_search(channel) {
                column_of_mut(&mut new.present, place).copy_from_slice(column_of(&self.present, known));
            }
        }
        for (to, &place) in plan.layout.previous.columns().zip(&plan.previous) {
            let known = old.inputs.binary_search(&plan.inputs[place]);
            let known = known.ok().and_then(|p| old.previous.binary_search(&p).ok());
            let from = known.map_or(column_of(&new.present, place), |i| column_of(kept.span(old.layout.previous), i));
            let to = column_of_mut(&mut carried.single, to.index);
            to.copy_from_slice(from);
        }
        for entry in Entry::ALL {
            let (from, to) = (old.layout.memory_of(entry), plan.layout.memory_of(entry));
            if entry != Entry::Reward {
                carried.span_mut(to).copy_from_slice(kept.span(from));
            } else if let Some(program) = plan.program(entry) {
                for (column, &x) in to.columns().zip(program.memory_init()) {
                    column_of_mut(&mut carried.single, column.index).fill(x);
                }
            }
        }
        let sums = [plan.layout.nodes, plan.layout.reward];
        for column in sums.into_iter().flat_map(|span| span.columns()) {
            carried.exact[column.index * BLOCK_WORLDS..][..BLOCK_WORLDS].fill(0.0);
        }
        *kept = carried;
        *self = new;
        Ok(())
    }
}

/// What sources of the reward are made for.
fn source_setup<'a>(shared: &'a Shared, reward: &'a Reward, first_world: usize, worlds: usize) -> SourceSetup<'a> {
    static NONE: LazyLock<toml::Table> = LazyLock::new(toml::Table::new);
    SourceSetup {
        scene: &shared.task.scene,
        model: &shared.task.model,
        options: &NONE,
        reward,
        profile: shared.options.profile.name(),
        seed: shared.options.seed,
        first_world,
        worlds,
        episode_steps: shared.task.episode_steps as usize,
        disturb: shared.options.disturb,
        siblings: shared.options.siblings,
    }
}
