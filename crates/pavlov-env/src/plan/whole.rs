//! The whole plan of an environment: task, reward, robot and options, and what follows from them. Immutable; every stage reads it.

use super::observation::Source;
use super::scripts::TaskScript;
use super::sensed::Needs;
use crate::columns::layout::{Column, Counts, Entry, Layout};
use crate::options::EnvOptions;
use crate::task::load::Task;
use pavlov_physics::{Params, Physics, Real};
use pavlov_reward::Reward;
use pavlov_script::{Channel, Input, Program};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What all worlds of an environment share, whatever pays them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub task: Arc<Task>,
    pub physics: Physics,
    pub frame_skip: usize,
    pub nominal: Params<f64>,
    pub options: EnvOptions,
}

impl Shared {
    /// Do worlds have parameters of their own?
    pub fn randomised(&self) -> bool {
        self.options.disturb && !self.task.random.is_empty()
    }
}

/// Who knows the present value of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is kept.
    Kept(Column),
    /// The step counter times the control step, s.
    Time,
    /// The task's own scripts: known only when they have run.
    Terminated,
    Success,
    /// A source of the reward outside of its program.
    Outside(usize),
    /// Physics.
    Physics,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Plan {
    pub shared: Arc<Shared>,
    pub reward: Arc<Reward>,
    /// Where the kept numbers stand.
    pub layout: Layout,
    /// Everything that scripts read of the present state, sorted.
    pub inputs: Vec<Channel>,
    /// Those that physics knows, with their places in `inputs`.
    pub sensed: Vec<(usize, Channel)>,
    /// What they read of the state before the step, as places in `inputs`.
    pub previous: Vec<usize>,
    /// Columns of the observation that physics knows.
    pub looked: Vec<(usize, Source)>,
    pub needs: Needs,
}

impl Plan {
    /// `outside` is what the reward's sources read that are not part of its program.
    pub fn new(shared: Arc<Shared>, reward: Arc<Reward>, outside: &[Input]) -> Self {
        let task = &*shared.task;
        let programs = task.script.all().chain([reward.program()]);
        let read: BTreeSet<Input> = programs.flat_map(|p| p.inputs()).chain(outside).copied().collect();
        let inputs: BTreeSet<Channel> = read.iter().map(|i| i.channel).collect();
        let inputs: Vec<Channel> = inputs.into_iter().collect();
        let place = |channel| inputs.partition_point(|c| *c < channel);
        let previous: Vec<usize> = read.iter().filter(|i| i.prev).map(|i| place(i.channel)).collect();
        let sources = task.obs.columns.iter().map(|c| c.source);
        let needs = Needs::of_channels(&inputs).or(needs_of(sources.clone()));
        let counts = Counts {
            commands: task.command.len(),
            actions: task.act_dim(),
            delay: task.action.delay,
            previous: previous.len(),
            memory: Entry::ALL.map(|entry| program(&task.script, &reward, entry).map_or(0, |p| p.memory_init().len())),
            nodes: reward.node_names().len(),
            metrics: task.metric_names().len(),
        };
        let looked = sources.enumerate().filter(|(_, s)| s.is_physical()).collect();
        let sensed = Vec::new();
        let mut plan = Self { layout: Layout::new(&counts), inputs, sensed, previous, looked, needs, reward, shared };
        let physical = |(_, channel): &(usize, Channel)| plan.origin(*channel) == Origin::Physics;
        plan.sensed = plan.inputs.iter().copied().enumerate().filter(physical).collect();
        plan
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.shared.task
    }

    /// Nodes of the reward: its terms, what is made of them, the total.
    pub fn nodes(&self) -> usize {
        self.layout.nodes.len
    }

    /// Diagnostic metrics of the task.
    pub fn metrics(&self) -> usize {
        self.layout.metrics.len
    }

    /// The program of an entry function, if there is one.
    pub fn program(&self, entry: Entry) -> Option<&Program> {
        program(&self.shared.task.script, &self.reward, entry)
    }

    /// Time after so many control steps, s.
    pub fn seconds<R: Real>(&self, step: R) -> R {
        step * R::splat(self.shared.task.control_dt)
    }

    /// Where a present channel stands among the inputs.
    pub fn place(&self, channel: Channel) -> usize {
        self.inputs.partition_point(|c| *c < channel)
    }

    /// Where a channel before the step stands among the kept ones.
    pub fn previous_place(&self, channel: Channel) -> usize {
        let place = self.place(channel);
        self.previous.partition_point(|p| *p < place)
    }

    /// Who knows a channel.
    pub fn origin(&self, channel: Channel) -> Origin {
        let l = &self.layout;
        match channel {
            Channel::Time => Origin::Time,
            Channel::EpisodeStep => Origin::Kept(l.step.one()),
            Channel::Action(k) => Origin::Kept(l.action.at(usize::from(k))),
            Channel::PrevAction(k) => Origin::Kept(l.prev_action.at(usize::from(k))),
            Channel::Command(k) => Origin::Kept(l.command.at(usize::from(k))),
            Channel::Terminated => Origin::Terminated,
            Channel::Success => Origin::Success,
            Channel::Source(k) => Origin::Outside(usize::from(k)),
            _ => Origin::Physics,
        }
    }
}

/// What an observation of these columns asks for.
fn needs_of(sources: impl Iterator<Item = Source> + Clone) -> Needs {
    let any = |wanted: fn(Source) -> bool| sources.clone().any(wanted);
    Needs {
        cfrc_ext: any(|s| matches!(s, Source::CfrcExt(..))),
        sensors: any(|s| matches!(s, Source::Sensor(_))),
        feet: any(|s| matches!(s, Source::FootContact(_) | Source::FootForce(..))),
        ..Needs::default()
    }
}

fn program<'a>(script: &'a TaskScript, reward: &'a Reward, entry: Entry) -> Option<&'a Program> {
    match entry {
        Entry::Reward => Some(reward.program()),
        Entry::Fitness => Some(&script.fitness),
        Entry::Success => Some(&script.success),
        Entry::Terminated => script.terminated.as_ref(),
        Entry::Metrics => script.metrics.as_ref(),
        Entry::Observation => script.observation.as_ref(),
    }
}
