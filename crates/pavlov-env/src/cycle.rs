//! The stages of a control step of a block; [`EnvBlock::step`] calls them in order.

use crate::block::EnvBlock;
use crate::observe::{Source, physical};
use crate::randomize::LaneAt;
use crate::rng::Purpose;
use crate::schema::{Reduce, Sensing};
use crate::scripts::{Scripts, SenseContext};
use crate::spec::BLOCK_WORLDS;
use crate::stats::{BadValue, Episode};
use pavlov_physics::{Data, LANES, Lane, Mask, Real};

impl EnvBlock {
    /// Clips the actions, keeps the previous ones, and moves the queue of delayed ones.
    pub(crate) fn take_actions(&mut self, actions: &[f32]) {
        let task = &self.shared.task;
        let (nu, delay) = (task.act_dim(), task.action.delay);
        let w = &mut self.w;
        std::mem::swap(&mut w.action, &mut w.prev_action);
        for world in 0..self.worlds {
            for i in 0..nu {
                w.action.set(i, world, task.action.clip(i, actions[world * nu + i]));
            }
        }
        for i in 0..nu {
            let applied = if delay == 0 { w.action.column(i) } else { w.queue.column(w.queue_head * nu + i) };
            for (ctrl, &a) in self.ctrl.column_mut(i).iter_mut().zip(applied) {
                *ctrl = task.action.ctrl(i, a);
            }
            if delay > 0 {
                w.queue.column_mut(w.queue_head * nu + i).copy_from_slice(w.action.column(i));
            }
        }
        if delay > 0 {
            w.queue_head = (w.queue_head + 1) % delay;
        }
    }

    /// Kicks the free joint of worlds whose push is due.
    fn push_due(&mut self, group: usize) {
        let shared = self.shared.clone();
        let Some(plan) = &shared.task.push else { return };
        for lane in 0..LANES {
            let world = group * LANES + lane;
            let (rng, episode, step) = (self.w.rng[world], self.w.episode[world], self.w.step[world]);
            if step < self.w.next_push[world] {
                continue;
            }
            let kick = plan.kick(|p| rng.stream(p, episode, step));
            for (k, v) in kick.iter().enumerate() {
                let column = &mut self.states[group].qvel[plan.dof + k];
                column.set(lane, column.get(lane) + v);
            }
            self.w.push.set(0, world, kick[0] as f32);
            self.w.push.set(1, world, kick[1] as f32);
            self.w.next_push[world] = plan.next(|p| rng.stream(p, episode, step), f64::from(step)) as u32;
        }
    }

    /// Physics of one lane group, then what is read off it.
    pub(crate) fn step_group(&mut self, group: usize, finite: &mut [bool; BLOCK_WORLDS]) {
        self.push_due(group);
        self.integrate(group, finite);
        let shared = &*self.shared;
        let physics = &shared.physics;
        let params = &self.params[group.min(self.params.len() - 1)];
        let data = &mut self.data;
        if self.needs.cfrc_ext {
            physics.rne_post_constraint(params, data);
        }
        if self.needs.sensors {
            physics.sensors(params, data);
        }
        if shared.task.file.physics.sensing == Sensing::Fresh {
            physics.refresh(params, data);
        }
        self.read_off(group, u8::MAX);
    }

    /// The physics steps of a control step of one lane group; its data stay behind.
    fn integrate(&mut self, group: usize, finite: &mut [bool; BLOCK_WORLDS]) {
        let shared = &*self.shared;
        let physics = &shared.physics;
        let params = &self.params[group.min(self.params.len() - 1)];
        let data = &mut self.data;
        data.load(&self.states[group]);
        for (i, ctrl) in data.ctrl.iter_mut().enumerate() {
            *ctrl = lane_of(self.ctrl.column(i), group);
        }
        self.hand.press(group, data);
        let mut note = |data: &Data<Lane>| {
            for lane in 0..LANES {
                finite[group * LANES + lane] &= data.finite.get(lane);
            }
        };
        if let Some(rapier) = &mut self.rapier {
            rapier.step(group * LANES, params, data, shared.frame_skip);
            note(data);
        } else {
            for _ in 0..shared.frame_skip {
                physics.step(params, data);
                note(data);
            }
        }
        data.save(&mut self.states[group]);
    }

    /// Writes the columns that come from physics, for the worlds of a lane group whose bit is set.
    fn read_off(&mut self, group: usize, lanes: u8) {
        let model = self.shared.physics.model();
        let params = &self.params[group.min(self.params.len() - 1)];
        for &(i, source) in &self.physical {
            let value = match source {
                Source::FootContact(foot) => Scripts::foot_contact(&self.shared, &self.data, foot),
                _ => match physical(source, model, params, &self.data) {
                    Some(value) => value,
                    None => continue,
                },
            };
            store(self.obs.column_mut(i), group, lanes, value);
        }
        let context = SenseContext { shared: &self.shared, params, data: &self.data };
        self.scripts.sense(&context, group, lanes);
        if let Some(recording) = &mut self.recording {
            recording.sense(&context, group, lanes);
        }
    }

    /// Starts new episodes in the worlds of a lane group whose bit is set.
    pub(crate) fn reset_group(&mut self, group: usize, lanes: u8) {
        let shared = self.shared.clone();
        let task = &*shared.task;
        let disturb = shared.options.disturb;
        let (mut redraw, mut start) = (false, false);
        for lane in (0..LANES).filter(|l| lanes >> l & 1 == 1) {
            let world = group * LANES + lane;
            let (rng, episode) = (self.w.rng[world], self.w.episode[world]);
            task.reset.draw(|p| rng.stream(p, episode, 0), &mut self.qpos, &mut self.qvel);
            self.states[group].reset_world(lane, &self.qpos, &self.qvel);
            self.w.begin(task, world, disturb);
            self.scripts.reset_world(world, episode);
            // What is drawn once per world was drawn at the first reset.
            if shared.randomised() && (task.random.per_episode || episode == 0) {
                let open = |every, i| rng.stream(Purpose::Randomize, if every { episode } else { 0 }, i);
                task.random.apply(open, LaneAt(lane), &shared.nominal, &mut self.params[group]);
                redraw = true;
                start |= episode == 0;
            }
        }
        if redraw {
            task.random.finish(start, &shared.physics, &mut self.params[group]);
            self.tell_rapier(group, lanes);
        }
        self.evaluate_reset(group, lanes);
    }

    /// Draws the physical parameters of every world as they are in its present episode.
    pub(crate) fn redraw_parameters(&mut self) {
        let shared = self.shared.clone();
        if !shared.randomised() {
            return;
        }
        for group in 0..self.groups {
            for lane in 0..LANES {
                let world = group * LANES + lane;
                let (rng, episode) = (self.w.rng[world], self.w.episode[world]);
                let open = |every, i| rng.stream(Purpose::Randomize, if every { episode } else { 0 }, i);
                shared.task.random.apply(open, LaneAt(lane), &shared.nominal, &mut self.params[group]);
            }
            shared.task.random.finish(true, &shared.physics, &mut self.params[group]);
            self.tell_rapier(group, u8::MAX);
        }
    }

    /// Hands the parameters of worlds whose bit is set to rapier, if it steps them.
    fn tell_rapier(&mut self, group: usize, lanes: u8) {
        if let Some(rapier) = &mut self.rapier {
            for lane in (0..LANES).filter(|l| lanes >> l & 1 == 1) {
                rapier.set_params(group * LANES + lane, &self.params[group], lane);
            }
        }
    }

    /// A control step of physics alone, for measurements: no scripts, no observation. Worlds that end by their time limit or become
    /// non-finite are reset.
    pub(crate) fn step_physics(&mut self, actions: &[f32]) {
        self.take_actions(actions);
        let mut finite = [true; BLOCK_WORLDS];
        for group in 0..self.groups {
            self.integrate(group, &mut finite);
        }
        let limit = self.shared.task.episode_steps;
        for world in 0..self.worlds {
            self.w.step[world] += 1;
            self.ended[world] = !finite[world] || self.w.step[world] >= limit;
            self.stats.nonfinite += u64::from(!finite[world]);
        }
        self.reset_ended();
    }

    /// Evaluates worlds that were put to a new state and reads them off. The others of the group keep their columns.
    pub(crate) fn evaluate_reset(&mut self, group: usize, lanes: u8) {
        let params = &self.params[group.min(self.params.len() - 1)];
        let data = &mut self.data;
        data.load(&self.states[group]);
        data.ctrl.fill(Lane::ZERO);
        data.has_xfrc = false;
        match &mut self.rapier {
            Some(rapier) => rapier.forward(group * LANES, params, data),
            None => self.shared.physics.forward(params, data),
        }
        // As after Gymnasium's reset: no step has been made, so there is no external force yet.
        data.cfrc_ext.fill([Lane::ZERO; 6]);
        if self.needs.sensors {
            self.shared.physics.sensors(params, data);
        }
        self.read_off(group, lanes);
        self.scripts.start(&self.w, group, lanes);
    }

    /// Resets every world marked as ended.
    pub(crate) fn reset_ended(&mut self) {
        for group in 0..self.groups {
            let mut lanes = 0u8;
            for lane in 0..LANES {
                lanes |= u8::from(self.ended[group * LANES + lane]) << lane;
            }
            if lanes != 0 {
                for lane in (0..LANES).filter(|l| lanes >> l & 1 == 1) {
                    let world = group * LANES + lane;
                    self.w.episode[world] += 1;
                    self.w.head_start[world] = 0;
                }
                self.reset_group(group, lanes);
            }
        }
    }

    /// Adds a step to the sums; the reward, and whether the task ends here.
    pub(crate) fn account(&mut self, world: usize, finite: bool) -> (f32, bool) {
        self.late[world] = 0.0;
        let parts = self.of_critics.len() / BLOCK_WORLDS;
        let of_critics = &mut self.of_critics[world * parts..][..parts];
        of_critics.fill(0.0);
        if !finite {
            self.stats.nonfinite += 1;
            return (0.0, true);
        }
        let (scripts, w, stats) = (&self.scripts, &mut self.w, &mut self.stats);
        let mut bad = 0;
        for term in 0..scripts.num_nodes() {
            let value = scripts.node(term, world);
            if value.is_finite() {
                let value = f64::from(value);
                w.terms[term * BLOCK_WORLDS + world] += value;
                stats.terms[term] += value;
                stats.terms_squared[term] += value * value;
            } else {
                // What is made of a bad term is bad too: it counts once.
                bad += u64::from(term < scripts.num_terms() || bad == 0);
                if self.bad.is_none() {
                    let name = scripts.node_name(term).to_string();
                    self.bad = Some(BadValue { term: name, world: self.first + world, step: w.step[world], value });
                }
            }
        }
        stats.bad_terms += bad;
        let total = scripts.total(world);
        let reward = if total.is_finite() { total } else { 0.0 };
        if total.is_finite() && parts > 0 {
            scripts.critic_rewards(world, of_critics);
        }
        let late = scripts.late().map_or(0.0, |l| l[world]);
        self.late[world] = if late.is_finite() { late } else { 0.0 };
        let arrived = f64::from(reward) + if w.step[world] > 1 { f64::from(self.late[world]) } else { 0.0 };
        stats.reward += arrived;
        w.reward[world] += arrived;
        let fitness = f64::from(scripts.fitness(world));
        match self.shared.task.file.fitness.reduce {
            Reduce::Last => w.fitness[world] = fitness,
            Reduce::Max if w.step[world] > 1 => w.fitness[world] = w.fitness[world].max(fitness),
            Reduce::Max => w.fitness[world] = fitness,
            Reduce::MeanOverLimit | Reduce::Mean | Reduce::Sum => w.fitness[world] += fitness,
        }
        w.success[world] += u32::from(scripts.success(world));
        for metric in 0..scripts.num_metrics() {
            let value = f64::from(scripts.metric(metric, world));
            w.metrics[metric * BLOCK_WORLDS + world] += value;
            stats.metrics[metric] += value;
        }
        (reward, scripts.terminated(world))
    }

    /// Puts a finished episode into the log. A first episode that a staggered start cut short is left out: it says nothing about the
    /// task's own time limit.
    pub(crate) fn finish_episode(&mut self, world: usize, terminated: bool, nonfinite: bool) {
        let (task, w) = (&self.shared.task, &self.w);
        if !terminated && w.head_start[world] > 0 {
            return;
        }
        let length = w.step[world];
        let limit = f64::from(task.episode_steps);
        let lived = f64::from(length.max(1));
        let fitness = match task.file.fitness.reduce {
            Reduce::MeanOverLimit => w.fitness[world] / limit,
            Reduce::Mean => w.fitness[world] / lived,
            Reduce::Sum | Reduce::Last | Reduce::Max => w.fitness[world],
        };
        self.log.episodes.push(Episode {
            world: self.first + world,
            index: w.episode[world],
            length,
            reward: w.reward[world],
            fitness,
            success: f64::from(w.success[world]) >= *task.file.success.hold.get_ref() * limit,
            terminated,
            nonfinite,
        });
        let of_world = |sums: &[f64], i: usize| sums[i * BLOCK_WORLDS + world];
        self.log.term_sums.extend((0..self.scripts.num_nodes()).map(|t| of_world(&w.terms, t)));
        self.log.metrics.extend((0..self.scripts.num_metrics()).map(|m| of_world(&w.metrics, m) / lived));
    }

    /// One row: sources, noise, clip, scale.
    pub(crate) fn write_obs(&self, world: usize, row: &mut [f32]) {
        let columns = &self.shared.task.obs.columns;
        let w = &self.w;
        row.fill(0.0);
        if !self.noisy.is_empty() {
            let mut stream = w.rng[world].stream(Purpose::Noise, w.episode[world], w.step[world]);
            for &i in &self.noisy {
                row[i] = stream.uniform(-columns[i].noise, columns[i].noise);
            }
        }
        for (i, (out, column)) in row.iter_mut().zip(columns).enumerate() {
            let value = match column.source {
                Source::Action(k) => w.action.get(k, world),
                Source::PrevAction(k) => w.prev_action.get(k, world),
                Source::Command(k) => w.command.get(k, world),
                Source::Push(k) => w.push.get(k, world),
                Source::Script(k) => self.scripts.observation(k, world),
                _ => self.obs.get(i, world),
            };
            *out = column.scale * (value + *out).clamp(-column.clip, column.clip);
        }
    }
}

/// Eight worlds of a column.
#[inline]
pub(crate) fn lane_of(column: &[f32], group: usize) -> Lane {
    let mut eight = [0.0; LANES];
    eight.copy_from_slice(&column[group * LANES..(group + 1) * LANES]);
    Lane::from(eight)
}

/// Writes the worlds of a lane group whose bit is set.
#[inline]
pub(crate) fn store(column: &mut [f32], group: usize, lanes: u8, value: Lane) {
    let out = &mut column[group * LANES..(group + 1) * LANES];
    let values = value.to_array();
    if lanes == u8::MAX {
        out.copy_from_slice(&values);
    } else {
        for lane in (0..LANES).filter(|l| lanes >> l & 1 == 1) {
            out[lane] = values[lane];
        }
    }
}
