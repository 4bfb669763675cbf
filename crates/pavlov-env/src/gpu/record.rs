//! The stages of a control step, recorded: each runs once on numbers that write down what is done to them.

use crate::columns::layout::{Column, Entry};
use crate::columns::ledger::Sum;
use crate::plan::observation::Source;
use crate::plan::randomization::Itself;
use crate::plan::sensed::{Sensed, Touch};
use crate::plan::whole::{Origin, Plan};
use crate::rng::{Purpose, Recorded};
use crate::stages::{Moment, Stepped, Worlds, account, begin, finish, observe, push, score, sense};
use crate::task::schema::Sensing;
use pavlov_physics::record::{Function, Place, Rec, RecMask, Space};
use pavlov_physics::{EnvKernel, Real};
use std::cell::RefCell;
use std::collections::HashMap;

/// Column `index` of a buffer.
pub(super) fn column(name: &'static str, index: usize) -> Place {
    place(Space::Column(name), index)
}

fn private(name: &'static str, index: usize) -> Place {
    place(Space::Private(name), index)
}

pub(super) fn place(space: Space, index: usize) -> Place {
    Place { space, index: index as u32 }
}

/// What a control step leaves of each world.
pub(super) const RESULTS: Space = Space::Sliced("results");

/// What a device keeps of each world for the length of a rollout: first columns in the `env` buffer, after what is kept.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    /// Sums over the rollout, in the order of [`Sum::all`].
    pub sums: usize,
    /// Truncations in this rollout.
    pub cuts: usize,
    /// The first node that was not finite (from 1), the step, the value.
    pub bad: usize,
    /// All columns of the buffer.
    pub columns: usize,
    /// Columns of a step in the `results` buffer: reward, how it ended, then the numbers of the episode that ended.
    pub results: usize,
}

impl Tail {
    pub fn new(plan: &Plan) -> Self {
        let sums = plan.layout.columns();
        let cuts = sums + Sum::all(plan.nodes(), plan.metrics()).count();
        Self { sums, cuts, bad: cuts + 1, columns: cuts + 4, results: 2 + finish::numbers(plan) }
    }
}

/// A world of a kernel while a function is recorded.
pub(super) struct World<'a> {
    recorder: &'a Recorder<'a>,
    /// Columns of `env` that were written: what is read of them afterwards is what was written.
    written: RefCell<HashMap<usize, Rec>>,
    /// What scripts put out, by entry function.
    outputs: [Vec<Rec>; 6],
}

impl World<'_> {
    fn read(&self, index: usize) -> Rec {
        let written = self.written.borrow().get(&index).copied();
        written.unwrap_or_else(|| Rec::load(column("env", index)))
    }

    fn write(&self, index: usize, value: Rec) {
        self.written.borrow_mut().insert(index, value);
        value.store(column("env", index));
    }
}

impl Worlds for World<'_> {
    type N = Rec;
    type Stream = Recorded;
    fn get(&self, column: Column) -> Rec {
        self.read(self.recorder.plan.layout.flat(column))
    }
    fn set(&mut self, column: Column, value: Rec) {
        self.write(self.recorder.plan.layout.flat(column), value);
    }
    fn stream(&self, purpose: Purpose, moment: Moment) -> Recorded {
        let l = &self.recorder.plan.layout;
        let whole = |n: u32| Rec::splat(f64::from(n));
        let (episode, step) = moment.counters(self.get(l.episode.one()), self.get(l.step.one()), whole);
        Recorded { purpose, episode, step, index: 0 }
    }
}

impl Stepped for World<'_> {
    fn alive(&self) -> RecMask {
        Rec::load(column("state", self.recorder.kernel.finite)).gt(Rec::splat(0.5))
    }
    fn output(&self, entry: Entry, k: usize) -> Rec {
        self.outputs[entry as usize].get(k).copied().unwrap_or(Rec::ZERO)
    }
    fn total(&self) -> Rec {
        score::total(&self.recorder.plan.reward, |k| self.output(Entry::Reward, k))
    }
    fn tally(&mut self, sum: Sum, value: Rec) {
        let at = self.recorder.tail.sums + sum.place(self.recorder.plan.nodes());
        self.write(at, self.read(at) + value);
    }
    fn note_bad(&mut self, node: usize, value: Rec, bad: RecMask) {
        let at = self.recorder.tail.bad;
        let new = bad & self.read(at).lt(Rec::splat(0.5));
        let step = self.get(self.recorder.plan.layout.step.one());
        for (k, x) in [Rec::splat((node + 1) as f64), step, value].into_iter().enumerate() {
            self.write(at + k, Rec::select(new, x, self.read(at + k)));
        }
    }
}

/// Everything the stages are recorded from.
pub(super) struct Recorder<'a> {
    pub plan: &'a Plan,
    pub tail: &'a Tail,
    pub kernel: &'a EnvKernel,
}

impl Recorder<'_> {
    /// A function of the kernels.
    pub fn record(&self, name: &str, stage: impl FnOnce(&mut World<'_>)) -> Function {
        Function::record(name, || {
            stage(&mut World { recorder: self, written: RefCell::default(), outputs: Default::default() });
        })
    }

    /// A function that says whether something is due: one number, 0 or 1.
    pub fn question(&self, name: &str, answer: impl FnOnce(&mut World<'_>) -> RecMask) -> Function {
        self.record(name, |w| answer(w).number().store(place(Space::Result, 0)))
    }

    /// Kicks the free joint.
    pub fn push(&self) -> Function {
        let nq = self.plan.task().model.nq();
        self.record("push_base", |w| {
            let Some(pushes) = push::planned(self.plan) else { return };
            for (k, v) in push::push(self.plan, pushes, w).into_iter().enumerate() {
                let at = column("state", nq + pushes.dof + k);
                (Rec::load(at) + v).store(at);
            }
        })
    }

    /// Reads everything that scripts and observation need of physics. After a reset (`begin`) no step has been made: there is no
    /// external force.
    pub fn sense(&self, begin: bool) -> Function {
        let (shared, needs, kernel) = (&self.plan.shared, self.plan.needs, self.kernel);
        let (physics, feet) = (&shared.physics, &shared.task.feet[..]);
        let fresh = shared.task.file.physics.sensing == Sensing::Fresh;
        self.record("sense", |_| {
            let params = kernel.params(physics);
            let mut data = kernel.data(physics, &params, needs.cfrc_ext, needs.sensors, fresh);
            if begin {
                data.cfrc_ext.iter_mut().for_each(|f| *f = [Rec::ZERO; 6]);
            }
            let (bodies, num_feet) = (0..shared.task.model.bodies.len(), 0..feet.len());
            let touch = Touch {
                body_force: bodies.clone().map(|b| kernel.body_force(b)).collect(),
                body: bodies.map(|b| kernel.body_touch(b)).collect(),
                foot_force: num_feet.clone().map(|f| kernel.foot_force(f)).collect(),
                foot: num_feet.map(|f| kernel.foot_touch(f)).collect(),
            };
            let sensed = Sensed { physics, feet, params: &params, data: &data, touch: &touch };
            let input = |place, value: Rec| value.store(private("seen", place));
            sense::sense(self.plan, &sensed, input, |i, value| value.store(private("looked", i)));
        })
    }

    /// Runs a script and keeps what it puts out.
    fn run(&self, w: &mut World<'_>, entry: Entry) {
        let num_params = if entry == Entry::Reward { self.plan.reward.values().len() } else { 0 };
        let params: Vec<Rec> = (0..num_params).map(|i| Rec::load(place(Space::Shared("values"), i))).collect();
        let outputs = std::mem::take(&mut w.outputs);
        let found = |entry: Entry| outputs[entry as usize].first().copied();
        let put_out = score::run(self.plan, w, entry, &params, |place| Rec::load(private("seen", place)), found);
        w.outputs = outputs;
        w.outputs[entry as usize] = put_out;
    }

    /// Runs all scripts of a step and adds it to the sums. Leaves in `verdict` how the episode ended.
    pub fn score(&self) -> Function {
        self.record("score", |w| {
            score::ORDER.into_iter().for_each(|entry| self.run(w, entry));
            let outcome = account::account(self.plan, w);
            outcome.reward.store(place(RESULTS, 0));
            outcome.ended.store(place(RESULTS, 1));
            outcome.ended.store(private("verdict", 0));
            self.keep(w);
        })
    }

    /// Takes over what is kept of inputs that will be asked for as of before the step.
    fn keep(&self, w: &World<'_>) {
        for &place in &self.plan.previous {
            let channel = self.plan.inputs[place];
            let found = match self.plan.origin(channel) {
                Origin::Terminated => w.output(Entry::Terminated, 0),
                Origin::Success => w.output(Entry::Success, 0),
                _ => match score::kept(self.plan, w, channel) {
                    Some(kept) => kept,
                    None => continue,
                },
            };
            found.store(private("seen", place));
        }
    }

    /// Writes the observation.
    pub fn observe(&self) -> Function {
        self.record("observe", |w| {
            self.run(w, Entry::Observation);
            let seen = |i, source| match source {
                Source::Script(k) => w.output(Entry::Observation, k),
                _ => Rec::load(private("looked", i)),
            };
            observe::observe(self.plan, w, seen, |i, x| x.store(place(Space::Sliced("obs"), i)));
        })
    }

    /// The present inputs of scripts become those of before the step. After a reset (`begin`) they are those of the new state.
    pub fn remember(&self, begin: bool) -> Function {
        self.record("remember", |w| {
            if begin {
                Rec::ZERO.store(column("state", self.kernel.begins));
            }
            let present = |w: &World<'_>, place: usize| {
                let kept = score::kept(self.plan, w, self.plan.inputs[place]).filter(|_| begin);
                kept.unwrap_or_else(|| Rec::load(private("seen", place)))
            };
            let now: Vec<Rec> = (0..self.plan.inputs.len()).map(|place| present(w, place)).collect();
            begin::remember(self.plan, w, |place| now[place]);
        })
    }

    /// Begins an episode. `first` when it is the world's first, number 0.
    pub fn begin(&self, first: bool) -> Function {
        let (plan, model) = (self.plan, &self.plan.task().model);
        let (mut qpos, mut qvel) = (vec![Rec::ZERO; model.nq()], vec![Rec::ZERO; model.nv()]);
        self.record("begin_episode", |w| {
            let number = if first { Rec::ZERO } else { w.get(plan.layout.episode.one()) + Rec::ONE };
            w.set(plan.layout.episode.one(), number);
            if first {
                begin::stagger(plan, w);
            } else {
                w.set(plan.layout.head_start.one(), Rec::ZERO);
            }
            begin::begin(plan, w, &mut qpos, &mut qvel);
            (0..model.nu()).for_each(|i| Rec::ZERO.store(column("control", i)));
            // the solver's warm start, and time
            let rest = std::iter::repeat_n(Rec::ZERO, model.nv() + 1);
            qpos.iter().chain(&qvel).copied().chain(rest).enumerate().for_each(|(i, x)| x.store(column("state", i)));
            Rec::ONE.store(column("state", self.kernel.finite));
            Rec::ONE.store(column("state", self.kernel.begins));
        })
    }

    /// Draws the parameters of the world's episode; with `first` also what is drawn once.
    pub fn redraw(&self, first: bool) -> Function {
        self.record("redraw", |w| {
            let mut params = self.kernel.params(&self.plan.shared.physics);
            begin::randomize(self.plan, w, Itself, &mut params);
            self.plan.task().random.finish(first, &self.plan.shared.physics, &mut params);
            self.kernel.store_params(&mut params);
        })
    }
}
