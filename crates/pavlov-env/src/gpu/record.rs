//! The stages of a control step, recorded: each runs the plans and scripts of the task on recorded numbers.

use super::layout::{EPISODE, Layout};
use crate::block::{Needs, Shared};
use crate::observe::{Source, physical};
use crate::randomize::At;
use crate::rng::{Draw, Purpose};
use crate::schema::{Reduce, Sensing};
use crate::scripts::{SenseContext, columns_of};
use crate::sense::read;
use pavlov_model::SensorKind;
use pavlov_physics::record::{Function, Place, Rec, RecMask, Space};
use pavlov_physics::{Data, EnvKernel, Params, Real};
use pavlov_reward::Reward;
use pavlov_script::{Bin, Channel, Input, Machine, Program, Un};

fn place(space: Space, index: usize) -> Place {
    Place { space, index: index as u32 }
}

fn column(name: &'static str, index: usize) -> Place {
    place(Space::Column(name), index)
}

fn env(index: usize) -> Rec {
    Rec::load(column("env", index))
}

fn private(name: &'static str, index: usize) -> Place {
    place(Space::Private(name), index)
}

/// Draws that become calls of the generator.
struct Recorded {
    purpose: u32,
    episode: Rec,
    step: Rec,
    index: u32,
}

impl Draw for Recorded {
    type N = Rec;
    fn unit(&mut self) -> Rec {
        self.index += 1;
        Rec::unit(self.purpose, self.episode, self.step, self.index - 1)
    }
    fn uniform(&mut self, low: f32, high: f32) -> Rec {
        let (low, span) = (f64::from(low), f64::from(high - low));
        Rec::splat(low) + Rec::splat(span) * self.unit()
    }
    fn normal(&mut self) -> Rec {
        let radius = (Rec::splat(-2.0) * (Rec::ONE - self.unit()).call("logarithm")).sqrt();
        let angle = Rec::splat(std::f64::consts::TAU) * self.unit();
        radius * angle.sin_cos().1
    }
    fn whole(x: Rec) -> Rec {
        (x + Rec::splat(0.5)).call("floor")
    }
}

/// A recorded parameter is its own value.
#[derive(Clone, Copy)]
struct Itself;

impl At<Rec> for Itself {
    type Column = Rec;
    fn get(self, column: Rec) -> Rec {
        column
    }
    fn set(self, column: &mut Rec, value: Rec) {
        *column = value;
    }
}

/// Replays scripts on recorded numbers.
struct Replay;

fn truth(x: Rec) -> RecMask {
    !x.same(Rec::ZERO)
}

impl Machine for Replay {
    type N = Rec;
    fn literal(&mut self, x: f32) -> Rec {
        Rec::splat(f64::from(x))
    }
    fn un(&mut self, op: Un, x: Rec) -> Rec {
        match op {
            Un::Neg => -x,
            Un::Abs => x.abs(),
            Un::Sqrt => x.sqrt(),
            Un::Exp => x.call("exponential"),
            Un::Ln => x.call("logarithm"),
            Un::Sin => x.sin_cos().0,
            Un::Cos => x.sin_cos().1,
            Un::Tan => x.call("tangent"),
            Un::Asin => x.call("arcsin"),
            Un::Acos => x.call("arccos"),
            Un::Atan => x.call("arctan"),
            Un::Tanh => x.call("hyperbolic_tangent"),
            Un::Floor => x.call("floor"),
            Un::Ceil => x.call("ceil"),
            Un::Round => x.call("round_away"),
            Un::Trunc => x.call("trunc"),
            Un::Sign => x.call("sign"),
            Un::Not => x.same(Rec::ZERO).number(),
        }
    }
    fn bin(&mut self, op: Bin, a: Rec, b: Rec) -> Rec {
        match op {
            Bin::Add => a + b,
            Bin::Sub => a - b,
            Bin::Mul => a * b,
            Bin::Div => a / b,
            Bin::Rem => a.call2("remainder", b),
            Bin::Pow => a.call2("power", b),
            Bin::Min => Real::min(a, b),
            Bin::Max => Real::max(a, b),
            Bin::Atan2 => Real::atan2(a, b),
            Bin::Lt => a.lt(b).number(),
            Bin::Le => a.le(b).number(),
            Bin::Eq => a.same(b).number(),
            Bin::Ne => (!a.same(b)).number(),
            Bin::And => (truth(a) & truth(b)).number(),
            Bin::Or => (truth(a) | truth(b)).number(),
        }
    }
    fn select(&mut self, condition: Rec, a: Rec, b: Rec) -> Rec {
        Rec::select(truth(condition), a, b)
    }
}

/// Everything the stages are recorded from.
pub(crate) struct Recorder<'a> {
    pub shared: &'a Shared,
    pub reward: &'a Reward,
    pub layout: &'a Layout,
    pub kernel: &'a EnvKernel,
    pub needs: Needs,
    /// Present inputs of all scripts that physics knows, in the order of the private array `seen`.
    pub channels: Vec<Channel>,
    /// Columns of the observation that physics knows, in the order of `looked`.
    pub looked: Vec<usize>,
}

/// Is the channel kept by the environment?
fn kept(channel: Channel) -> bool {
    matches!(
        channel,
        Channel::Time | Channel::EpisodeStep | Channel::Action(_) | Channel::PrevAction(_) | Channel::Command(_)
    )
}

impl<'a> Recorder<'a> {
    pub fn new(
        shared: &'a Shared,
        reward: &'a Reward,
        layout: &'a Layout,
        kernel: &'a EnvKernel,
        needs: Needs,
    ) -> Self {
        let physical = |c: &Channel| !kept(*c) && !c.is_derived();
        let mut channels: Vec<Channel> =
            columns_of(&shared.task, reward).into_iter().map(|i| i.channel).filter(physical).collect();
        channels.dedup();
        channels.sort();
        channels.dedup();
        let own = |s: Source| {
            matches!(
                s,
                Source::Action(_) | Source::PrevAction(_) | Source::Command(_) | Source::Push(_) | Source::Script(_)
            )
        };
        let columns = shared.task.obs.columns.iter().enumerate();
        let looked = columns.filter(|(_, c)| !own(c.source)).map(|(i, _)| i).collect();
        Self { shared, reward, layout, kernel, needs, channels, looked }
    }

    fn stream(&self, purpose: Purpose, episode: Rec, step: Rec) -> Recorded {
        Recorded { purpose: purpose as u32, episode, step, index: 0 }
    }

    /// A world's parameters.
    fn params(&self) -> Params<Rec> {
        let mut params = self.shared.physics.params::<Rec>();
        for &(field, begin) in &self.kernel.varied {
            for (i, x) in params.numbers_mut(field).into_iter().enumerate() {
                *x = Rec::load(column("par", begin + i));
            }
        }
        params
    }

    /// Clips the action, keeps the one before, and maps it, late if the task says so, to `control`.
    pub fn act(&self) -> Function {
        let (task, l) = (&self.shared.task, self.layout);
        let (nu, delay) = (task.act_dim(), task.action.delay);
        Function::record("act", || {
            let head = env(l.queue_head);
            for (i, c) in task.action.channels.iter().enumerate() {
                let splat = |v: f32| Rec::splat(f64::from(v));
                let asked = Rec::load(place(Space::Sliced("actions"), i));
                // not a number: neither finite nor on any side of zero
                let none = !(asked.is_finite() | asked.lt(Rec::ZERO) | asked.gt(Rec::ZERO));
                let clipped =
                    Rec::select(none, splat(0.5 * (c.low + c.high)), asked.clamp(splat(c.low), splat(c.high)));
                env(l.action + i).store(column("env", l.prev_action + i));
                clipped.store(column("env", l.action + i));
                let mut applied = clipped;
                for late in 0..delay {
                    let here = head.same(Rec::splat(late as f64));
                    let slot = l.queue + late * nu + i;
                    let waiting = env(slot);
                    applied = Rec::select(here, waiting, applied);
                    Rec::select(here, clipped, waiting).store(column("env", slot));
                }
                splat(c.gain).mul_add(applied, splat(c.offset)).store(column("control", i));
            }
            if delay > 0 {
                let next = head + Rec::ONE;
                let wrapped = Rec::select(next.lt(Rec::splat(delay as f64)), next, Rec::ZERO);
                wrapped.store(column("env", l.queue_head));
            }
        })
    }

    /// Kicks the free joint.
    pub fn push(&self) -> Function {
        let l = self.layout;
        Function::record("push_base", || {
            let Some(plan) = &self.shared.task.push else { return };
            let (episode, step) = (env(l.episode), env(l.step));
            let kick = plan.kick(|p| self.stream(p, episode, step));
            let nq = self.shared.physics.model().nq();
            for (k, v) in kick.iter().enumerate() {
                let at = column("state", nq + plan.dof + k);
                (Rec::load(at) + *v).store(at);
            }
            kick[0].store(column("env", l.push));
            kick[1].store(column("env", l.push + 1));
            plan.next(|p| self.stream(p, episode, step), step).store(column("env", l.next_push));
        })
    }

    /// The data that scripts and observations read, as after a step on the processor.
    fn data(&self, params: &Params<Rec>) -> Data<Rec> {
        let physics = &self.shared.physics;
        let model = physics.model();
        let read = self.kernel.read;
        let out = |i: usize| Rec::load(column("out", i));
        let mut d = physics.data::<Rec>();
        d.state.qpos.iter_mut().enumerate().for_each(|(i, x)| *x = out(read.qpos + i));
        d.state.qvel.iter_mut().enumerate().for_each(|(i, x)| *x = out(read.qvel + i));
        d.qacc.iter_mut().enumerate().for_each(|(i, x)| *x = out(read.qacc + i));
        d.ctrl.iter_mut().enumerate().for_each(|(i, x)| *x = Rec::load(column("control", i)));
        physics.refresh(params, &mut d);
        physics.actuate(params, &mut d);
        if self.needs.cfrc_ext || self.needs.sensors {
            physics.rne_post_constraint(params, &mut d);
            for b in 1..model.bodies.len() {
                let at = read.wrench + 6 * b;
                let (torque, force) = ([0, 1, 2].map(|k| out(at + k)), [3, 4, 5].map(|k| out(at + k)));
                let com = d.subtree_com[model.bodies[b].root];
                // from the world's origin to the tree's centre of mass
                let moved = pavlov_physics::math::sub(torque, pavlov_physics::math::cross(com, force));
                d.cfrc_ext[b] = [moved[0], moved[1], moved[2], force[0], force[1], force[2]];
            }
        }
        if self.needs.sensors {
            physics.sensors(params, &mut d);
        }
        if self.shared.task.file.physics.sensing == Sensing::Fresh {
            let state = |i: usize| Rec::load(column("state", i));
            d.state.qpos.iter_mut().enumerate().for_each(|(i, x)| *x = state(i));
            d.state.qvel.iter_mut().enumerate().for_each(|(i, x)| *x = state(model.nq() + i));
            physics.refresh(params, &mut d);
        }
        d
    }

    /// Reads everything that scripts and observation need of physics. After a reset (`begin`) no step has been made: there is no
    /// external force.
    pub fn sense(&self, name: &str, begin: bool) -> Function {
        let task = &self.shared.task;
        let model = self.shared.physics.model().clone();
        let r = self.kernel.read;
        let out = |i: usize| Rec::load(column("out", i));
        Function::record(name, || {
            let params = self.params();
            let mut d = self.data(&params);
            if begin {
                d.cfrc_ext.iter_mut().for_each(|f| *f = [Rec::ZERO; 6]);
            }
            let forces: Vec<[Rec; 3]> =
                (0..model.bodies.len()).map(|b| [3, 4, 5].map(|k| out(r.wrench + 6 * b + k))).collect();
            let context = SenseContext { shared: self.shared, params: &params, data: &d };
            for (i, &channel) in self.channels.iter().enumerate() {
                let value = match channel {
                    Channel::BodyContact(b) => out(r.touch + usize::from(b)),
                    Channel::FootForce { foot, axis } => out(r.foot_force + 3 * usize::from(foot) + axis as usize),
                    Channel::FootContact(foot) => out(r.foot_touch + usize::from(foot)),
                    _ => read(&context, &forces, channel),
                };
                value.store(private("seen", i));
            }
            for (n, &i) in self.looked.iter().enumerate() {
                let value = match task.obs.columns[i].source {
                    Source::FootContact(foot) => out(r.foot_touch + foot),
                    source => physical(source, &model, &params, &d).unwrap_or(Rec::ZERO),
                };
                value.store(private("looked", n));
            }
        })
    }

    /// The present value of an input.
    fn present(&self, channel: Channel) -> Rec {
        let l = self.layout;
        match channel {
            Channel::Time => env(l.step) * Rec::splat(self.shared.task.control_dt),
            Channel::EpisodeStep => env(l.step),
            Channel::Action(k) => env(l.action + usize::from(k)),
            Channel::PrevAction(k) => env(l.prev_action + usize::from(k)),
            Channel::Command(k) => env(l.command + usize::from(k)),
            _ => {
                let at = self.channels.iter().position(|c| *c == channel).unwrap_or_default();
                Rec::load(private("seen", at))
            }
        }
    }

    /// Runs a program on the world's columns; `derived` are what only the task's own scripts know.
    fn run(&self, program: &Program, memory: usize, params: &[Rec], derived: [Rec; 2]) -> Vec<Rec> {
        let l = self.layout;
        let value = |input: &Input| match (input.prev, input.channel) {
            (true, _) => env(l.previous + l.inputs.iter().position(|i| i == input).unwrap_or_default()),
            (_, Channel::Terminated) => derived[0],
            (_, Channel::Success) => derived[1],
            (_, channel) => self.present(channel),
        };
        let inputs: Vec<Rec> = program.inputs().iter().map(value).collect();
        let mut kept: Vec<Rec> = (0..program.memory_init().len()).map(|i| env(memory + i)).collect();
        // programs that are not lowered have been refused before
        let outputs = program.replay(&mut Replay, &inputs, params, &mut kept).unwrap_or_default();
        kept.iter().enumerate().for_each(|(i, x)| x.store(column("env", memory + i)));
        outputs
    }

    /// Runs all scripts of a step and adds it to the sums. Leaves in `verdict`: reward, terminated.
    pub fn score(&self) -> Function {
        let (task, l) = (&self.shared.task, self.layout);
        let script = &task.script;
        Function::record("score", || {
            let none = [Rec::ZERO; 2];
            let first = |v: &[Rec]| v.first().copied().unwrap_or(Rec::ZERO);
            let fitness = first(&self.run(&script.fitness, l.memory[1], &[], none));
            let success = first(&self.run(&script.success, l.memory[2], &[], none));
            let success = truth(success).number();
            let terminated =
                script.terminated.as_ref().map_or(Rec::ZERO, |p| first(&self.run(p, l.memory[3], &[], none)));
            let terminated = truth(terminated).number();
            let metrics = script.metrics.as_ref().map_or_else(Vec::new, |p| self.run(p, l.memory[4], &[], none));
            let program = self.reward.program();
            let params: Vec<Rec> =
                (0..self.reward.values().len()).map(|i| Rec::load(place(Space::Shared("values"), i))).collect();
            let mut nodes = self.run(program, l.memory[0], &params, [terminated, success]);
            let total = self.total(&nodes);
            nodes.truncate(l.num_nodes);
            if nodes.len() < l.num_nodes {
                nodes.push(total);
            }
            let alive = Rec::load(column("state", self.kernel.finite)).gt(Rec::splat(0.5));
            let add = |at: usize, value: Rec, mask: RecMask| {
                Rec::select(mask, env(at) + value, env(at)).store(column("env", at));
            };
            let (mut bad, mut first_bad) = (Rec::ZERO, [env(l.bad), env(l.bad + 1), env(l.bad + 2)]);
            let terms = self.reward.term_names().len();
            for (n, &node) in nodes.iter().enumerate() {
                let good = node.is_finite() & alive;
                add(l.nodes + n, node, good);
                add(l.stats + 3 + n, node, good);
                add(l.stats + 3 + l.num_nodes + n, node * node, good);
                let wrong = alive & !node.is_finite();
                // what is made of a bad term is bad too: it counts once
                let counts = if n < terms { wrong } else { wrong & bad.lt(Rec::splat(0.5)) };
                bad = Rec::select(counts, bad + Rec::ONE, bad);
                let new = wrong & first_bad[0].lt(Rec::splat(0.5));
                for (to, value) in first_bad.iter_mut().zip([Rec::splat((n + 1) as f64), env(l.step), node]) {
                    *to = Rec::select(new, value, *to);
                }
            }
            first_bad.iter().enumerate().for_each(|(k, x)| x.store(column("env", l.bad + k)));
            let reward = Rec::select(alive & total.is_finite(), total, Rec::ZERO);
            add(l.stats, reward, alive);
            add(l.stats + 1, bad, alive);
            add(l.stats + 2, Rec::ONE, !alive);
            add(l.reward, reward, alive);
            let before = env(l.fitness);
            let now = match task.file.fitness.reduce {
                Reduce::Last => fitness,
                Reduce::Max => Rec::select(env(l.step).gt(Rec::ONE), Real::max(before, fitness), fitness),
                Reduce::MeanOverLimit | Reduce::Mean | Reduce::Sum => before + fitness,
            };
            Rec::select(alive, now, before).store(column("env", l.fitness));
            add(l.success, success, alive);
            for (m, &metric) in metrics.iter().enumerate().take(l.num_metrics) {
                add(l.metrics + m, metric, alive);
                add(l.stats + 3 + 2 * l.num_nodes + m, metric, alive);
            }
            let limit = Rec::splat(f64::from(task.episode_steps));
            let most = Rec::splat(f64::from(task.episode_steps - 1));
            let cut = env(l.step).ge(limit - Real::min(env(l.head_start), most));
            let over = !alive | truth(terminated);
            let ended = Rec::select(over, Rec::ONE, Rec::select(cut, Rec::splat(2.0), Rec::ZERO));
            reward.store(place(Space::Sliced("results"), 0));
            ended.store(place(Space::Sliced("results"), 1));
            ended.store(private("verdict", 0));
            for (i, input) in l.inputs.iter().enumerate() {
                self.present(input.channel).store(column("env", l.previous + i));
            }
        })
    }

    /// The reward of the outputs of its program.
    fn total(&self, outputs: &[Rec]) -> Rec {
        if self.reward.graph().is_some() {
            return outputs[self.layout.num_nodes - 1];
        }
        let c = &self.reward.manifest().combine;
        let mut sum = outputs.iter().fold(Rec::ZERO, |a, &b| a + b);
        // not `max` and `min`, which would turn a NaN into a number
        if let Some(low) = c.min {
            sum = Rec::select(sum.lt(Rec::splat(low)), Rec::splat(low), sum);
        }
        if let Some(high) = c.max {
            sum = Rec::select(sum.gt(Rec::splat(high)), Rec::splat(high), sum);
        }
        sum * Rec::splat(c.scale)
    }

    /// New command values.
    pub fn command(&self) -> Function {
        Function::record("draw_command", || self.draw_command(env(self.layout.episode), env(self.layout.step)))
    }

    fn draw_command(&self, episode: Rec, step: Rec) {
        let (task, l) = (&self.shared.task, self.layout);
        if task.command.len() == 0 {
            return;
        }
        let mut values = vec![Rec::ZERO; task.command.len()];
        let next = task.command.draw(|p| self.stream(p, episode, step), step, &mut values);
        next.store(column("env", l.next_command));
        values.iter().enumerate().for_each(|(i, x)| x.store(column("env", l.command + i)));
    }

    /// Writes the observation.
    pub fn observe(&self) -> Function {
        let (task, l) = (&self.shared.task, self.layout);
        Function::record("observe", || {
            let observation = task.script.observation.as_ref();
            let scripted = observation.map_or_else(Vec::new, |p| self.run(p, l.memory[5], &[], [Rec::ZERO; 2]));
            let mut noise = self.stream(Purpose::Noise, env(l.episode), env(l.step));
            for (i, c) in task.obs.columns.iter().enumerate() {
                let mut value = match c.source {
                    Source::Action(k) => env(l.action + k),
                    Source::PrevAction(k) => env(l.prev_action + k),
                    Source::Command(k) => env(l.command + k),
                    Source::Push(k) => env(l.push + k),
                    Source::Script(k) => scripted.get(k).copied().unwrap_or(Rec::ZERO),
                    _ => {
                        let at = self.looked.iter().position(|&n| n == i).unwrap_or_default();
                        Rec::load(private("looked", at))
                    }
                };
                if self.shared.options.disturb && c.noise > 0.0 {
                    value += noise.uniform(-c.noise, c.noise);
                }
                if c.clip.is_finite() {
                    let clip = Rec::splat(f64::from(c.clip));
                    value = value.clamp(-clip, clip);
                }
                (value * Rec::splat(f64::from(c.scale))).store(place(Space::Sliced("obs"), i));
            }
        })
    }

    /// Writes what is known of an episode that ended.
    pub fn finish(&self) -> Function {
        let l = self.layout;
        Function::record("finish", || {
            let alive = Rec::load(column("state", self.kernel.finite)).gt(Rec::splat(0.5));
            let numbers =
                [env(l.reward), env(l.fitness), env(l.success), env(l.step), env(l.head_start), (!alive).number()];
            let sums = (l.nodes..l.nodes + l.num_nodes).chain(l.metrics..l.metrics + l.num_metrics).map(env);
            for (i, x) in numbers.into_iter().chain(sums).enumerate() {
                x.store(place(Space::Sliced("results"), 2 + i));
            }
            let _ = EPISODE;
        })
    }

    /// Begins an episode: state, command, sums, memories. `first` when it is the world's first, number 0.
    pub fn begin(&self, name: &str, first: bool) -> Function {
        let (task, l) = (&self.shared.task, self.layout);
        let model = self.shared.physics.model();
        let (nq, nv) = (model.nq(), model.nv());
        Function::record(name, || {
            let episode = if first { Rec::ZERO } else { env(l.episode) + Rec::ONE };
            let keep = |at: usize, value: Rec| value.store(column("env", at));
            keep(l.episode, episode);
            let mut head = Rec::ZERO;
            if first && self.shared.options.stagger {
                let unit = self.stream(Purpose::Stagger, Rec::ZERO, Rec::ZERO).unit();
                head = (unit * Rec::splat(f64::from(task.episode_steps))).call("floor");
            }
            keep(l.head_start, head);
            for at in [l.step, l.push, l.push + 1, l.reward, l.fitness, l.success, l.queue_head] {
                keep(at, Rec::ZERO);
            }
            (l.nodes..l.nodes + l.num_nodes).for_each(|at| keep(at, Rec::ZERO));
            (l.metrics..l.metrics + l.num_metrics).for_each(|at| keep(at, Rec::ZERO));
            for i in 0..task.act_dim() {
                let zero = Rec::splat(f64::from(task.action.clip(i, 0.0)));
                keep(l.action + i, zero);
                keep(l.prev_action + i, zero);
                (0..task.action.delay).for_each(|late| keep(l.queue + late * task.act_dim() + i, zero));
                Rec::ZERO.store(column("control", i));
            }
            let script = &task.script;
            let programs = [
                Some(self.reward.program()),
                Some(&script.fitness),
                Some(&script.success),
                script.terminated.as_ref(),
                script.metrics.as_ref(),
                script.observation.as_ref(),
            ];
            for (program, at) in programs.into_iter().zip(l.memory) {
                let init = program.map_or(&[][..], Program::memory_init);
                init.iter().enumerate().for_each(|(i, &x)| keep(at + i, Rec::splat(f64::from(x))));
            }
            self.draw_command(episode, Rec::ZERO);
            let never = Rec::splat(crate::command::NEVER);
            let next = match &task.push {
                Some(push) if self.shared.options.disturb => {
                    push.next(|p| self.stream(p, episode, Rec::ZERO), Rec::ZERO)
                }
                _ => never,
            };
            next.store(column("env", l.next_push));
            if task.command.len() == 0 {
                never.store(column("env", l.next_command));
            }
            let (mut qpos, mut qvel) = (vec![Rec::ZERO; nq], vec![Rec::ZERO; nv]);
            task.reset.draw(|p| self.stream(p, episode, Rec::ZERO), &mut qpos, &mut qvel);
            let rest = std::iter::repeat_n(Rec::ZERO, nv + 1);
            for (i, x) in qpos.into_iter().chain(qvel).chain(rest).enumerate() {
                x.store(column("state", i));
            }
            Rec::ONE.store(column("state", self.kernel.finite));
            Rec::ONE.store(column("state", self.kernel.begins));
        })
    }

    /// After a reset the state before the step is the state after the reset.
    pub fn start(&self) -> Function {
        let l = self.layout;
        Function::record("start_episode", || {
            for (i, input) in l.inputs.iter().enumerate() {
                self.present(input.channel).store(column("env", l.previous + i));
            }
            Rec::ZERO.store(column("state", self.kernel.begins));
        })
    }

    /// Draws the parameters of the world's episode; with `first` also what is drawn once.
    pub fn redraw(&self, name: &str, first: bool) -> Function {
        let task = &self.shared.task;
        Function::record(name, || {
            let mut params = self.params();
            let episode = env(self.layout.episode);
            let open = |every: bool, i: u32| {
                let episode = if every { episode } else { Rec::ZERO };
                self.stream(Purpose::Randomize, episode, Rec::splat(f64::from(i)))
            };
            task.random.apply(open, Itself, &self.shared.nominal, &mut params);
            task.random.finish(first, &self.shared.physics, &mut params);
            for &(field, begin) in &self.kernel.varied {
                for (i, x) in params.numbers_mut(field).into_iter().enumerate() {
                    x.store(column("par", begin + i));
                }
            }
        })
    }

    /// Sensors that a kernel cannot read.
    pub fn unsupported(&self) -> Option<String> {
        let model = self.shared.physics.model();
        let touch = model.sensors.iter().find(|s| s.kind == SensorKind::Touch);
        touch.filter(|_| self.needs.sensors).map(|s| s.name.clone())
    }
}
