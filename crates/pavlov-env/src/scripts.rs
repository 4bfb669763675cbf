//! Scripts of a block: the columns they read, the programs that run over them, and their results.
//!
//! All programs of a block share one set of columns `[input][64]`. What physics knows is written lane group by lane group
//! ([`Scripts::sense`]) while the group's data is in the cache; what the block keeps (time, actions, commands) is copied before
//! the programs run. The column of `s.prev` is a copy of the column before the step.

use crate::block::{Needs, Shared};
use crate::cycle::store;
use crate::error::EnvError;
use crate::save::Tape;
use crate::sense::{foot_force, read};
use crate::spec::BLOCK_WORLDS;
use crate::task::Task;
use crate::worlds::Worlds;
use pavlov_physics::{Data, Lane, Params, Real};
use pavlov_reward::{Reward, RewardSource, SourceSetup, SourceStep};
use pavlov_script::{Channel, EntryKind, Finding, Input, Program, Scene, Scratch, Script, ScriptError};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The compiled entry functions of a task script.
#[derive(Debug)]
pub(crate) struct TaskScript {
    pub fitness: Program,
    pub success: Program,
    pub terminated: Option<Program>,
    pub metrics: Option<Program>,
    pub observation: Option<Program>,
}

impl TaskScript {
    /// Checks a task script against the scene.
    pub fn new(file: &str, text: &str, scene: &Arc<Scene>) -> Result<Self, EnvError> {
        let refused = |e: pavlov_script::Diagnostics| EnvError::Script { message: e.to_string() };
        let script = Script::parse(file, text).map_err(refused)?;
        let known = ["fitness", "success", "terminated", "metrics", "observation", "memory"];
        let must = |entry, kind| script.compile(entry, kind, scene, &[]).map_err(refused);
        let may = |entry, kind| script.has(entry).then(|| must(entry, kind)).transpose();
        let out = Self {
            fitness: must("fitness", EntryKind::Scalar)?,
            success: must("success", EntryKind::Bool)?,
            terminated: may("terminated", EntryKind::Bool)?,
            metrics: may("metrics", EntryKind::Terms)?,
            observation: may("observation", EntryKind::Vector)?,
        };
        // A function whose name is a slip of an optional one would silently do nothing.
        for name in script.functions() {
            if let Some(meant) = pavlov_model::nearest(&name, known)
                && meant != name
                && !script.has(meant)
            {
                let message = format!("{file}: function `{name}` is never called: did you mean `{meant}`?");
                return Err(EnvError::Script { message });
            }
        }
        Ok(out)
    }

    /// Warnings of the checker.
    pub fn findings(&self) -> Vec<Finding> {
        self.programs().flat_map(|p| p.findings().iter().cloned()).collect()
    }

    /// Lowered against interpreted, function by function.
    pub fn parity(&self, states: usize, seed: u64) -> Result<Vec<(String, pavlov_script::Parity)>, EnvError> {
        let of = |p: &Program| match p.parity(states, seed) {
            Ok(parity) => Ok((p.entry().to_string(), parity)),
            Err(e) => Err(EnvError::Script { message: e.to_string() }),
        };
        self.programs().map(of).collect()
    }

    /// Name and file of every module that the script imports.
    pub fn modules(&self) -> Vec<(String, PathBuf)> {
        let mut all: Vec<(String, PathBuf)> = Vec::new();
        for (name, path) in self.programs().flat_map(Program::modules) {
            if !all.iter().any(|(n, _)| n == name) {
                all.push((name.into(), path.into()));
            }
        }
        all
    }

    /// Every compiled function.
    pub fn all(&self) -> impl Iterator<Item = &Program> {
        self.programs()
    }

    fn programs(&self) -> impl Iterator<Item = &Program> {
        let optional = [&self.terminated, &self.metrics, &self.observation];
        [&self.fitness, &self.success].into_iter().chain(optional.into_iter().flatten())
    }
}

/// Every input that some script reads, and the present one of each previous one; sorted.
pub(crate) fn columns_of(task: &Task, reward: &Reward) -> Vec<Input> {
    let mut all = BTreeSet::new();
    for program in task.script.programs().chain([reward.program()]) {
        all.extend(program.inputs().iter().copied());
    }
    let present: Vec<Input> = all.iter().filter(|i| i.prev).map(|i| Input::now(i.channel)).collect();
    all.extend(present);
    all.into_iter().collect()
}

/// One program's place among the columns, and its results.
#[derive(Debug)]
struct Runner {
    /// Column of each input.
    columns: Vec<usize>,
    /// Inputs in the program's order, gathered before a run.
    inputs: Vec<f32>,
    memory: Vec<f32>,
    scratch: Scratch,
    out: Vec<f32>,
}

impl Runner {
    fn new(program: &Program, columns: &[Input]) -> Self {
        let place =
            |input: &Input| columns.binary_search(input).unwrap_or_else(|_| unreachable!("every input has a column"));
        let mut memory = vec![0.0; program.memory_init().len() * BLOCK_WORLDS];
        for world in 0..BLOCK_WORLDS {
            program.reset_memory(world, BLOCK_WORLDS, &mut memory);
        }
        Self {
            columns: program.inputs().iter().map(place).collect(),
            inputs: vec![0.0; program.inputs().len() * BLOCK_WORLDS],
            memory,
            scratch: program.scratch(),
            out: vec![0.0; program.outputs().len() * BLOCK_WORLDS],
        }
    }

    fn run(&mut self, program: &Program, columns: &[f32], params: &[f32], worlds: usize) -> Result<(), ScriptError> {
        for (into, &from) in self.inputs.chunks_exact_mut(BLOCK_WORLDS).zip(&self.columns) {
            into.copy_from_slice(&columns[from * BLOCK_WORLDS..(from + 1) * BLOCK_WORLDS]);
        }
        program.run(worlds, BLOCK_WORLDS, &self.inputs, params, &mut self.memory, &mut self.scratch, &mut self.out)
    }

    fn get(&self, output: usize, world: usize) -> f32 {
        self.out[output * BLOCK_WORLDS + world]
    }
}

/// The scripts of one block.
#[derive(Debug)]
pub(crate) struct Scripts {
    task: Arc<Task>,
    reward: Arc<Reward>,
    /// Every column some program reads, and the present one of each previous one; sorted.
    columns: Vec<Input>,
    values: Vec<f32>,
    /// (previous, present).
    previous: Vec<(usize, usize)>,
    physical: Vec<(usize, Channel)>,
    kept: Vec<(usize, Channel)>,
    forces: Vec<[Lane; 3]>,
    /// Is the force on whole bodies read?
    body_forces: bool,
    terms: Runner,
    fitness: Runner,
    success: Runner,
    terminated: Option<Runner>,
    metrics: Option<Runner>,
    observation: Option<Runner>,
    /// Columns that are known only after the task's scripts have run.
    derived: Vec<(usize, Channel)>,
    /// Sources of the reward that are outside of its program.
    sources: Vec<Outside>,
    /// Parameters of the reward and what the trainer sets between updates.
    values_of_reward: Vec<f32>,
    worlds: usize,
    error: Option<ScriptError>,
}

/// A source of the reward that is outside of its program.
#[derive(Debug)]
struct Outside {
    name: String,
    source: Box<dyn RewardSource>,
    /// Columns it reads.
    columns: Vec<usize>,
    inputs: Vec<f32>,
    out: Vec<f32>,
}

/// What sensing reads.
pub(crate) struct SenseContext<'a, R: Real> {
    pub shared: &'a Shared,
    pub params: &'a Params<R>,
    pub data: &'a Data<R>,
}

/// Is it the block that knows this channel, rather than physics?
pub(crate) fn is_kept(channel: Channel) -> bool {
    matches!(
        channel,
        Channel::Time | Channel::EpisodeStep | Channel::Action(_) | Channel::PrevAction(_) | Channel::Command(_)
    )
}

/// Copies a channel that the block keeps to its column; leaves the columns of others.
pub(crate) fn kept(w: &Worlds, dt: f64, channel: Channel, column: &mut [f32]) {
    match channel {
        Channel::Time => column.iter_mut().zip(&w.step).for_each(|(c, &s)| *c = (f64::from(s) * dt) as f32),
        Channel::EpisodeStep => column.iter_mut().zip(&w.step).for_each(|(c, &s)| *c = s as f32),
        Channel::Action(k) => column.copy_from_slice(w.action.column(usize::from(k))),
        Channel::PrevAction(k) => column.copy_from_slice(w.prev_action.column(usize::from(k))),
        Channel::Command(k) => column.copy_from_slice(w.command.column(usize::from(k))),
        _ => {}
    }
}

impl Scripts {
    /// For a block of `worlds` worlds; `setup` makes the reward's sources.
    pub fn new(task: &Arc<Task>, reward: &Arc<Reward>, setup: &SourceSetup<'_>) -> Result<Self, EnvError> {
        let script = &task.script;
        let worlds = setup.worlds;
        let sources = reward.sources(setup).map_err(|e| EnvError::Reward { message: e.to_string() })?;
        let mut all = BTreeSet::new();
        for program in script.programs().chain([reward.program()]) {
            all.extend(program.inputs().iter().copied());
        }
        for source in &sources {
            all.extend(source.inputs());
        }
        let present: Vec<Input> = all.iter().filter(|i| i.prev).map(|i| Input::now(i.channel)).collect();
        all.extend(present);
        let columns: Vec<Input> = all.into_iter().collect();
        let place = |input: Input| columns.binary_search(&input).unwrap_or_else(|_| unreachable!("added above"));
        let previous = columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.prev)
            .map(|(i, c)| (i, place(Input::now(c.channel))))
            .collect();
        let now = |of: fn(Channel) -> bool| {
            let of = columns.iter().enumerate().filter(move |(_, c)| !c.prev && of(c.channel));
            of.map(|(i, c)| (i, c.channel)).collect()
        };
        let specs = reward.graph().map_or(&[][..], |g| &g.sources);
        let outside = sources.into_iter().zip(specs).map(|(source, spec)| {
            let wanted = source.inputs();
            Outside {
                name: spec.name.clone(),
                columns: wanted.iter().map(|&i| place(i)).collect(),
                inputs: vec![0.0; wanted.len() * BLOCK_WORLDS],
                out: vec![0.0; BLOCK_WORLDS],
                source,
            }
        });
        let optional = |p: &Option<Program>| p.as_ref().map(|p| Runner::new(p, &columns));
        Ok(Self {
            derived: now(Channel::is_derived),
            sources: outside.collect(),
            values_of_reward: reward.values().to_vec(),
            values: vec![0.0; columns.len() * BLOCK_WORLDS],
            previous,
            physical: now(|c| !is_kept(c) && !c.is_derived()),
            kept: now(is_kept),
            body_forces: columns.iter().any(|c| matches!(c.channel, Channel::BodyForce { .. })),
            forces: vec![[Lane::ZERO; 3]; task.model.bodies.len()],
            terms: Runner::new(reward.program(), &columns),
            fitness: Runner::new(&script.fitness, &columns),
            success: Runner::new(&script.success, &columns),
            terminated: optional(&script.terminated),
            metrics: optional(&script.metrics),
            observation: optional(&script.observation),
            task: task.clone(),
            reward: reward.clone(),
            columns,
            worlds,
            error: None,
        })
    }

    /// What the programs need besides the physics step.
    pub fn needs(&self) -> Needs {
        let any = |f: fn(Channel) -> bool| self.physical.iter().any(|(_, c)| f(*c));
        Needs {
            cfrc_ext: any(|c| matches!(c, Channel::CfrcExt(_))),
            sensors: any(|c| matches!(c, Channel::Sensor { .. })),
        }
    }

    /// Nodes of the reward: its terms, what is made of them, the total.
    pub fn num_nodes(&self) -> usize {
        self.reward.node_names().len()
    }

    pub fn node_name(&self, node: usize) -> &str {
        &self.reward.node_names()[node]
    }

    /// Rewards of the parts with a critic each in a world, scaled as the total is.
    pub fn critic_rewards(&self, world: usize, out: &mut [f32]) {
        let parts = self.reward.graph().map_or(&[][..], |g| &g.critics);
        let scale = self.reward.manifest().combine.scale as f32;
        for (out, part) in out.iter_mut().zip(parts) {
            *out = scale * self.node(part.node, world);
        }
    }

    /// The first nodes are terms before any transform.
    pub fn num_terms(&self) -> usize {
        self.reward.term_names().len()
    }

    pub fn num_metrics(&self) -> usize {
        self.task.metric_names().len()
    }

    /// The present columns become the previous ones.
    pub fn advance(&mut self) {
        for &(to, from) in &self.previous {
            self.values.copy_within(from * BLOCK_WORLDS..(from + 1) * BLOCK_WORLDS, to * BLOCK_WORLDS);
        }
    }

    /// After a reset the state before the step is the state after the reset.
    pub fn start(&mut self, w: &Worlds, group: usize, lanes: u8) {
        let mut column = [0.0; BLOCK_WORLDS];
        for &(i, channel) in &self.kept {
            kept(w, self.task.control_dt, channel, &mut column);
            for world in
                (0..pavlov_physics::LANES).filter(|l| lanes >> l & 1 == 1).map(|l| group * pavlov_physics::LANES + l)
            {
                self.values[i * BLOCK_WORLDS + world] = column[world];
            }
        }
        for &(to, from) in &self.previous {
            for lane in (0..pavlov_physics::LANES).filter(|l| lanes >> l & 1 == 1) {
                let world = group * pavlov_physics::LANES + lane;
                self.values[to * BLOCK_WORLDS + world] = self.values[from * BLOCK_WORLDS + world];
            }
        }
    }

    /// A new episode: what scripts remember starts anew.
    pub fn reset_world(&mut self, world: usize, episode: u32) {
        for outside in self.sources.iter_mut().filter(|_| world < self.worlds) {
            outside.source.reset(world, episode);
        }
        let script = &self.task.script;
        let of = |r: &mut Runner, p: &Program| p.reset_memory(world, BLOCK_WORLDS, &mut r.memory);
        of(&mut self.terms, self.reward.program());
        of(&mut self.fitness, &script.fitness);
        of(&mut self.success, &script.success);
        let optional = [
            (&mut self.terminated, &script.terminated),
            (&mut self.metrics, &script.metrics),
            (&mut self.observation, &script.observation),
        ];
        for (runner, program) in optional {
            if let (Some(r), Some(p)) = (runner, program) {
                of(r, p);
            }
        }
    }

    /// Copies what the block keeps.
    fn keep(&mut self, w: &Worlds) {
        let dt = self.task.control_dt;
        for &(i, channel) in &self.kept {
            kept(w, dt, channel, &mut self.values[i * BLOCK_WORLDS..(i + 1) * BLOCK_WORLDS]);
        }
    }

    /// Runs reward, termination, fitness, success and metrics.
    pub fn evaluate(&mut self, w: &Worlds) {
        self.keep(w);
        let (script, n) = (&self.task.script, self.worlds);
        let mut failed = None;
        let mut run = |r: &mut Runner, p: &Program| {
            if let Err(e) = r.run(p, &self.values, &[], n) {
                failed.get_or_insert(e);
            }
        };
        run(&mut self.fitness, &script.fitness);
        run(&mut self.success, &script.success);
        for (runner, program) in [(&mut self.terminated, &script.terminated), (&mut self.metrics, &script.metrics)] {
            if let (Some(r), Some(p)) = (runner, program) {
                run(r, p);
            }
        }
        self.derive(w, &mut failed);
        if let Err(e) = self.terms.run(self.reward.program(), &self.values, &self.values_of_reward, n) {
            failed.get_or_insert(e);
        }
        if self.error.is_none() {
            self.error = failed;
        }
    }

    /// Fills the columns that the reward reads of the task's own scripts and of sources outside of its program.
    fn derive(&mut self, w: &Worlds, failed: &mut Option<ScriptError>) {
        if self.derived.is_empty() && self.sources.is_empty() {
            return;
        }
        let n = self.worlds;
        let mut terminated = [false; BLOCK_WORLDS];
        if let Some(r) = &self.terminated {
            terminated.iter_mut().zip(&r.out).for_each(|(t, &x)| *t = x != 0.0);
        }
        for outside in &mut self.sources {
            for (into, &from) in outside.inputs.chunks_exact_mut(BLOCK_WORLDS).zip(&outside.columns) {
                into.copy_from_slice(&self.values[from * BLOCK_WORLDS..(from + 1) * BLOCK_WORLDS]);
            }
            let step = SourceStep {
                worlds: n,
                stride: BLOCK_WORLDS,
                columns: &outside.inputs,
                terminated: &terminated[..n],
                step: &w.step[..n],
            };
            if let Err(message) = outside.source.evaluate(&step, &mut outside.out[..n]) {
                let file = format!("reward `{}`", self.reward.name());
                let entry = format!("source {}", outside.name);
                failed.get_or_insert(ScriptError { file, line: 0, entry, world: 0, message });
            }
        }
        for &(i, channel) in &self.derived {
            let column = &mut self.values[i * BLOCK_WORLDS..(i + 1) * BLOCK_WORLDS];
            match channel {
                Channel::Terminated => {
                    column.iter_mut().zip(terminated).for_each(|(c, t)| *c = f32::from(u8::from(t)));
                }
                Channel::Success => column.copy_from_slice(&self.success.out[..BLOCK_WORLDS]),
                Channel::Source(k) => column.copy_from_slice(&self.sources[usize::from(k)].out),
                _ => {}
            }
        }
    }

    /// Runs the observation of the task script.
    pub fn observe(&mut self, w: &Worlds) {
        if self.observation.is_none() {
            return;
        }
        self.keep(w);
        if let (Some(r), Some(p)) = (&mut self.observation, &self.task.script.observation)
            && let Err(e) = r.run(p, &self.values, &[], self.worlds)
        {
            self.error.get_or_insert(e);
        }
    }

    /// Numbers that the reward's sources tell of themselves, as `source.number`.
    pub fn source_numbers(&self) -> Vec<(String, f64)> {
        let of = |o: &Outside| {
            o.source.numbers().into_iter().map(|(n, x)| (format!("{}.{n}", o.name), x)).collect::<Vec<_>>()
        };
        self.sources.iter().flat_map(of).collect()
    }

    /// The first failure of an interpreted script.
    pub fn error(&self) -> Option<&ScriptError> {
        self.error.as_ref()
    }

    /// A node of the reward; the last one is the total.
    pub fn node(&self, node: usize, world: usize) -> f32 {
        // Without a graph the total is no output of the program.
        if node < self.reward.program().outputs().len() { self.terms.get(node, world) } else { self.total(world) }
    }

    pub fn total(&self, world: usize) -> f32 {
        self.reward.total((0..self.reward.program().outputs().len()).map(|t| self.terms.get(t, world)))
    }

    /// What the last step adds to the reward of the step before it; see [`Reward::late`].
    pub fn late(&self) -> Option<&[f32]> {
        self.reward.late().map(|i| &self.terms.out[i * BLOCK_WORLDS..][..self.worlds])
    }

    /// Other parameters of the same reward.
    pub fn set_values(&mut self, values: &[f32]) {
        self.values_of_reward.copy_from_slice(values);
    }

    pub fn fitness(&self, world: usize) -> f32 {
        self.fitness.get(0, world)
    }

    pub fn success(&self, world: usize) -> bool {
        self.success.get(0, world) != 0.0
    }

    pub fn terminated(&self, world: usize) -> bool {
        self.terminated.as_ref().is_some_and(|r| r.get(0, world) != 0.0)
    }

    pub fn metric(&self, metric: usize, world: usize) -> f32 {
        self.metrics.as_ref().map_or(0.0, |r| r.get(metric, world))
    }

    pub fn observation(&self, k: usize, world: usize) -> f32 {
        self.observation.as_ref().map_or(0.0, |r| r.get(k, world))
    }

    /// What lasts: the present columns (the next step's previous ones) and the memories.
    pub fn visit(&mut self, tape: &mut Tape<'_>) -> Result<(), EnvError> {
        tape.array("script columns", &mut self.values)?;
        let own = [&mut self.terms, &mut self.fitness, &mut self.success];
        let optional = [&mut self.terminated, &mut self.metrics, &mut self.observation];
        for runner in own.into_iter().chain(optional.into_iter().flatten()) {
            tape.array("script memory", &mut runner.memory)?;
        }
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
    pub fn set_reward(&mut self, reward: &Arc<Reward>, setup: &SourceSetup<'_>) -> Result<(), EnvError> {
        let mut new = Self::new(&self.task, reward, setup)?;
        for (i, input) in new.columns.iter().enumerate() {
            let old =
                self.columns.binary_search(input).or_else(|_| self.columns.binary_search(&Input::now(input.channel)));
            if let Ok(k) = old {
                new.values[i * BLOCK_WORLDS..(i + 1) * BLOCK_WORLDS]
                    .copy_from_slice(&self.values[k * BLOCK_WORLDS..(k + 1) * BLOCK_WORLDS]);
            }
        }
        for (to, from) in [
            (Some(&mut new.fitness), Some(&self.fitness)),
            (Some(&mut new.success), Some(&self.success)),
            (new.terminated.as_mut(), self.terminated.as_ref()),
            (new.metrics.as_mut(), self.metrics.as_ref()),
            (new.observation.as_mut(), self.observation.as_ref()),
        ] {
            if let (Some(to), Some(from)) = (to, from) {
                to.memory.copy_from_slice(&from.memory);
            }
        }
        *self = new;
        Ok(())
    }

    /// Is the foot in contact? Of geoms, in the worlds of the group now in `data`.
    pub fn foot_contact(shared: &Shared, data: &Data<Lane>, foot: usize) -> Lane {
        foot_force(shared, data, foot).1
    }

    /// Writes the columns that come from physics, for the worlds of a lane group whose bit is set.
    pub fn sense(&mut self, context: &SenseContext<'_, Lane>, group: usize, lanes: u8) {
        let SenseContext { shared, data, .. } = context;
        if self.body_forces {
            shared.physics.contact_forces(data, &mut self.forces);
        }
        for &(i, channel) in &self.physical {
            let value = read(context, &self.forces, channel);
            store(&mut self.values[i * BLOCK_WORLDS..(i + 1) * BLOCK_WORLDS], group, lanes, value);
        }
    }
}
