//! A control step of a block, and its resets: which stage runs when, for which worlds.
//!
//! 1. Actions are clipped and mapped; pushes that are due kick the base.
//! 2. Lane group by lane group (eight worlds): `frame_skip` physics steps, then what observation and scripts use is read off,
//!    while the group's data is in the cache.
//! 3. Scripts run over the columns of all 64 worlds; each world's numbers go into the sums.
//! 4. Commands that are due change, and the observation is written; where an episode ended it is kept as final observation, the
//!    world is reset, and its first observation takes its place.

use super::block::EnvBlock;
use super::worlds::{Group, Scored, Single};
use crate::columns::store::{column_of, column_of_mut, lane_of, store};
use crate::options::{BLOCK_WORLDS, StepOut};
use crate::plan::observation::Source;
use crate::plan::randomization::LaneAt;
use crate::plan::sensed::Sensed;
use crate::stages::{account, act, begin, command, finish, observe, push, sense};
use crate::task::schema::Sensing;
use pavlov_physics::{Data, LANES, Lane, Mask, Real};

/// Every world of a lane group.
const ALL: u8 = u8::MAX;

/// Where the row of a world goes.
#[derive(Clone, Copy, PartialEq)]
enum Row {
    Nowhere,
    Next,
    Final,
}

fn lanes_in(lanes: u8) -> impl Iterator<Item = usize> {
    (0..LANES).filter(move |l| lanes >> l & 1 == 1)
}

impl EnvBlock {
    /// Starts a new episode in every world and writes the observations `[worlds, obs_dim]`.
    ///
    /// # Panics
    /// When `obs` is not of that size.
    pub fn reset(&mut self, obs: &mut [f32]) {
        let plan = self.plan.clone();
        let l = &plan.layout;
        if plan.shared.options.siblings > 1 {
            // Some may have ended more episodes than their siblings, and nobody begins the same one twice.
            let most = |span| (0..BLOCK_WORLDS).map(|w| self.kept.count(span, w)).max().unwrap_or(0);
            let next = most(l.episode) + u32::from(most(l.step) > 0);
            (0..BLOCK_WORLDS).for_each(|w| self.kept.set(l.episode.one(), w, f64::from(next)));
        }
        for group in 0..self.groups {
            begin::stagger(&plan, &mut self.group(group, ALL).0);
            self.reset_group(group, ALL);
        }
        self.observe_script(false);
        self.recorded_reset();
        self.observe(obs);
    }

    /// The observations of the present state once more (the same numbers, noise included), for example after [`EnvBlock::restore`].
    ///
    /// # Panics
    /// When `obs` is not `[worlds, obs_dim]`.
    pub fn observe(&mut self, obs: &mut [f32]) {
        assert_eq!(obs.len(), self.worlds * self.plan.task().obs_dim(), "obs must be [worlds, obs_dim]");
        (0..self.groups).for_each(|group| self.write_rows(group, [Row::Next; LANES], obs, &mut []));
    }

    /// One control step of every world. `actions` is `[worlds, act_dim]`, row-major.
    ///
    /// # Panics
    /// When a slice is not of the size that [`StepOut`] gives.
    pub fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        let plan = self.plan.clone();
        let (n, dim, nu) = (self.worlds, plan.task().obs_dim(), plan.task().act_dim());
        assert!(
            actions.len() == n * nu
                && out.obs.len() == n * dim
                && out.final_obs.len() == n * dim
                && out.reward.len() == n
                && out.terminated.len() == n
                && out.truncated.len() == n,
            "step: slices must be [worlds, act_dim], [worlds, obs_dim] and [worlds]"
        );
        self.take_actions(actions);
        let mut finite = [true; BLOCK_WORLDS];
        for group in 0..self.groups {
            self.push_due(group);
            self.integrate(group, &mut finite);
            self.sense_step(group);
        }
        (0..n).for_each(|world| account::count(&plan, &mut self.single(world)));
        self.programs.evaluate(&mut self.kept);
        if let Some(recording) = &mut self.recording {
            recording.stepped(&plan, &self.kept, &self.programs);
        }
        self.ledger.stats.world_steps += n as u64;
        let mut any_ended = false;
        for world in 0..n {
            let (reward, ended) = self.account(world, finite[world]);
            out.reward[world] = reward;
            out.terminated[world] = ended == 1.0;
            out.truncated[world] = ended == 2.0;
            self.ended[world] = ended > 0.0;
            any_ended |= self.ended[world];
            let mut single = self.single(world);
            if ended == 0.0 && command::due(&plan, &single) {
                command::command(&plan, &mut single);
            }
        }
        self.observe_script(false);
        for group in 0..self.groups {
            let rows = std::array::from_fn(|lane| match group * LANES + lane {
                world if !self.ended[world] => Row::Next,
                world if finite[world] => Row::Final,
                _ => Row::Nowhere,
            });
            self.write_rows(group, rows, out.obs, out.final_obs);
            let worlds = group * LANES..((group + 1) * LANES).min(n);
            // nothing sensible can be said about a state that is not finite
            worlds.filter(|&w| !finite[w]).for_each(|w| out.final_obs[w * dim..(w + 1) * dim].fill(0.0));
            self.remember(group, ALL);
        }
        if any_ended {
            self.reset_ended();
            self.observe_script(true);
            self.recorded_reset();
            for group in 0..self.groups {
                let ended = |lane| self.ended[group * LANES + lane];
                let rows = std::array::from_fn(|lane| if ended(lane) { Row::Next } else { Row::Nowhere });
                self.write_rows(group, rows, out.obs, &mut []);
            }
        }
    }

    /// Puts a world to the beginning of its episode number `episode`, from the reset that this episode has. The observation is then
    /// given by [`EnvBlock::observe`].
    ///
    /// # Panics
    /// When there is no such world.
    pub fn start_episode(&mut self, world: usize, episode: u32) {
        assert!(world < self.worlds, "world {world} of {}", self.worlds);
        let l = &self.plan.layout;
        self.kept.set(l.episode.one(), world, f64::from(episode));
        self.kept.set(l.head_start.one(), world, 0.0);
        self.reset_group(world / LANES, 1 << (world % LANES));
        self.observe_script(false);
    }

    /// Puts a world to a given state, as Gymnasium's `set_state` does after its reset: a new episode begins there.
    /// The observation is then given by [`EnvBlock::observe`].
    ///
    /// # Panics
    /// When the slices are not `nq` and `nv` long, or there is no such world.
    pub fn set_world_state(&mut self, world: usize, qpos: &[f64], qvel: &[f64]) {
        assert!(world < self.worlds && qpos.len() == self.qpos.len() && qvel.len() == self.qvel.len());
        self.begin(world);
        self.states[world / LANES].reset_world(world % LANES, qpos, qvel);
        self.evaluate_reset(world / LANES, 1 << (world % LANES));
        self.observe_script(false);
    }

    /// A control step of physics alone, for measurements: no scripts, no observation. Worlds that end by their time limit or become
    /// non-finite are reset.
    ///
    /// # Panics
    /// When `actions` is not `[worlds, act_dim]`.
    pub fn step_physics(&mut self, actions: &[f32]) {
        let plan = self.plan.clone();
        self.take_actions(actions);
        let mut finite = [true; BLOCK_WORLDS];
        (0..self.groups).for_each(|group| self.integrate(group, &mut finite));
        for world in 0..self.worlds {
            account::count(&plan, &mut self.single(world));
            let over = self.kept.count(plan.layout.step, world) >= plan.task().episode_steps;
            self.ended[world] = !finite[world] || over;
            self.ledger.stats.nonfinite += u64::from(!finite[world]);
        }
        self.reset_ended();
    }

    /// Draws the physical parameters of every world as they are in its present episode.
    pub(crate) fn redraw_parameters(&mut self) {
        let plan = self.plan.clone();
        if !plan.shared.randomised() {
            return;
        }
        for group in 0..self.groups {
            (0..LANES).for_each(|lane| self.randomize(group, lane));
            plan.task().random.finish(true, &plan.shared.physics, &mut self.params[group]);
            self.tell_rapier(group, ALL);
        }
    }

    fn single(&mut self, world: usize) -> Single<'_> {
        Single { plan: &self.plan, rng: self.rng[world], kept: &mut self.kept, world }
    }

    /// Eight worlds, and the columns of their scripts.
    fn group(&mut self, group: usize, lanes: u8) -> (Group<'_>, &super::programs::Programs) {
        let Self { plan, kept, rng, programs, .. } = self;
        (Group { plan, kept, rng, group, lanes }, programs)
    }

    fn take_actions(&mut self, actions: &[f32]) {
        let (plan, n) = (self.plan.clone(), self.worlds);
        let nu = plan.task().act_dim();
        let Self { kept, rng, ctrl, .. } = self;
        for group in 0..self.groups {
            let mut worlds = Group { plan: &plan, kept, rng, group, lanes: ALL };
            // worlds that fill up the last group do nothing
            let asked = |i: usize| {
                Lane::from(std::array::from_fn(|lane| match group * LANES + lane {
                    world if world < n => actions[world * nu + i],
                    _ => 0.0,
                }))
            };
            act::act(&plan, &mut worlds, asked, |i, signal| store(column_of_mut(ctrl, i), group, ALL, signal));
        }
    }

    /// Kicks the free joint of worlds whose push is due.
    fn push_due(&mut self, group: usize) {
        if push::planned(&self.plan).is_none() {
            return;
        }
        let plan = self.plan.clone();
        let Some(pushes) = push::planned(&plan) else { return };
        for lane in 0..LANES {
            let mut single = self.single(group * LANES + lane);
            if push::due(&plan, &single) {
                let kick = push::push(&plan, pushes, &mut single);
                for (k, v) in kick.iter().enumerate() {
                    let column = &mut self.states[group].qvel[pushes.dof + k];
                    column.set(lane, column.get(lane) + v);
                }
            }
        }
    }

    /// The physics steps of a control step of one lane group; its data stay behind.
    fn integrate(&mut self, group: usize, finite: &mut [bool; BLOCK_WORLDS]) {
        let shared = &*self.plan.shared;
        let params = &self.params[group.min(self.params.len() - 1)];
        let data = &mut self.data;
        data.load(&self.states[group]);
        for (i, ctrl) in data.ctrl.iter_mut().enumerate() {
            *ctrl = lane_of(column_of(&self.ctrl, i), group);
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
                shared.physics.step(params, data);
                note(data);
            }
        }
        data.save(&mut self.states[group]);
    }

    /// What is read off a lane group after its physics steps.
    fn sense_step(&mut self, group: usize) {
        let shared = &*self.plan.shared;
        let params = &self.params[group.min(self.params.len() - 1)];
        if self.needs.cfrc_ext {
            shared.physics.rne_post_constraint(params, &mut self.data);
        }
        if self.needs.sensors {
            shared.physics.sensors(params, &mut self.data);
        }
        if shared.task.file.physics.sensing == Sensing::Fresh {
            shared.physics.refresh(params, &mut self.data);
        }
        self.sense(group, ALL);
    }

    /// Writes the columns that come from physics, for the worlds of a lane group whose bit is set.
    fn sense(&mut self, group: usize, lanes: u8) {
        let Self { plan, data, touch, programs, seen, .. } = self;
        let (physics, feet) = (&plan.shared.physics, &plan.task().feet[..]);
        let params = &self.params[group.min(self.params.len() - 1)];
        touch.read(self.needs, physics, feet, data);
        let sensed = Sensed { physics, feet, params, data, touch };
        sense::sense(
            plan,
            &sensed,
            |place, value| programs.sensed(place, group, lanes, value),
            |i, value| store(column_of_mut(seen, i), group, lanes, value),
        );
        if let Some(recording) = &mut self.recording {
            recording.sense(plan, &sensed, group, lanes);
        }
    }

    /// Adds a step to the sums: the reward, and how the episode ended (0: it did not).
    fn account(&mut self, world: usize, finite: bool) -> (f32, f64) {
        let Self { plan, kept, rng, programs, ledger, .. } = self;
        let single = Single { plan, rng: rng[world], kept, world };
        let mut scored = Scored { single, programs, ledger, first: self.first, finite };
        let outcome = account::account(plan, &mut scored);
        self.late[world] = outcome.late as f32;
        if outcome.ended > 0.0 {
            let finished = &mut self.finished;
            finish::finish(plan, &scored, |i, x| finished[i] = x);
            let index = kept.count(plan.layout.episode, world);
            let ending = (self.first + world, index, outcome.ended == 1.0);
            finish::log(plan, &mut ledger.log, ending, |i| finished[i]);
        }
        let parts = self.of_critics.len() / BLOCK_WORLDS;
        let of_critics = &mut self.of_critics[world * parts..][..parts];
        of_critics.fill(0.0);
        if finite && parts > 0 && programs.total(world).is_finite() {
            programs.critic_rewards(world, of_critics);
        }
        (outcome.reward as f32, outcome.ended)
    }

    /// Runs the task script's observation: of all worlds, or of those that ended alone.
    fn observe_script(&mut self, ended_only: bool) {
        let Self { plan, programs, kept, seen, .. } = self;
        let columns = &plan.task().obs.columns;
        let write = |k: usize, column: &[f32]| {
            let shown = columns.iter().enumerate().filter(|(_, c)| c.source == Source::Script(k));
            shown.for_each(|(i, _)| column_of_mut(seen, i).copy_from_slice(column));
        };
        if ended_only {
            programs.observe_some(&self.ended, kept, write);
        } else {
            programs.observe(kept, write);
        }
    }

    /// Writes rows of the observation of a lane group.
    fn write_rows(&mut self, group: usize, rows: [Row; LANES], next: &mut [f32], last: &mut [f32]) {
        let Self { plan, kept, rng, seen, .. } = self;
        let (dim, n) = (plan.task().obs_dim(), self.worlds);
        if rows.iter().all(|row| *row == Row::Nowhere) {
            return;
        }
        let worlds = Group { plan, kept, rng, group, lanes: ALL };
        let shown = |i: usize, _| lane_of(column_of(seen, i), group);
        let lanes = (n - group * LANES).min(LANES);
        observe::observe(plan, &worlds, shown, |i, value| {
            let values = value.to_array();
            for (lane, row) in rows.iter().enumerate().take(lanes) {
                let at = (group * LANES + lane) * dim + i;
                match row {
                    Row::Next => next[at] = values[lane],
                    Row::Final => last[at] = values[lane],
                    Row::Nowhere => {}
                }
            }
        });
    }

    /// The present inputs of scripts become those of before the step.
    fn remember(&mut self, group: usize, lanes: u8) {
        let (mut worlds, programs) = self.group(group, lanes);
        begin::remember(worlds.plan, &mut worlds, |place| programs.present(place, group));
    }

    /// Begins the episode of a world whose number is kept; its initial state is left in `qpos` and `qvel`.
    fn begin(&mut self, world: usize) {
        let Self { plan, kept, rng, qpos, qvel, programs, .. } = self;
        begin::begin(plan, &mut Single { plan, rng: rng[world], kept, world }, qpos, qvel);
        programs.begin(world, kept.count(plan.layout.episode, world));
    }

    fn randomize(&mut self, group: usize, lane: usize) {
        let Self { plan, kept, rng, params, .. } = self;
        let world = group * LANES + lane;
        let single = Single { plan, rng: rng[world], kept, world };
        begin::randomize(plan, &single, LaneAt(lane), &mut params[group]);
    }

    /// Starts new episodes in the worlds of a lane group whose bit is set.
    fn reset_group(&mut self, group: usize, lanes: u8) {
        let plan = self.plan.clone();
        let random = &plan.task().random;
        let (mut redraw, mut first) = (false, false);
        for lane in lanes_in(lanes) {
            let world = group * LANES + lane;
            self.begin(world);
            self.states[group].reset_world(lane, &self.qpos, &self.qvel);
            // what is drawn once per world was drawn at the first reset
            let is_first = self.kept.count(plan.layout.episode, world) == 0;
            if plan.shared.randomised() && (random.per_episode || is_first) {
                self.randomize(group, lane);
                redraw = true;
                first |= is_first;
            }
        }
        if redraw {
            random.finish(first, &plan.shared.physics, &mut self.params[group]);
            self.tell_rapier(group, lanes);
        }
        self.evaluate_reset(group, lanes);
    }

    /// Hands the parameters of worlds whose bit is set to rapier, if it steps them.
    fn tell_rapier(&mut self, group: usize, lanes: u8) {
        if let Some(rapier) = &mut self.rapier {
            lanes_in(lanes).for_each(|lane| rapier.set_params(group * LANES + lane, &self.params[group], lane));
        }
    }

    /// Evaluates worlds that were put to a new state and reads them off. The others of the group keep their columns.
    fn evaluate_reset(&mut self, group: usize, lanes: u8) {
        let physics = &self.plan.shared.physics;
        let params = &self.params[group.min(self.params.len() - 1)];
        let data = &mut self.data;
        data.load(&self.states[group]);
        data.ctrl.fill(Lane::ZERO);
        data.has_xfrc = false;
        match &mut self.rapier {
            Some(rapier) => rapier.forward(group * LANES, params, data),
            None => physics.forward(params, data),
        }
        // As after Gymnasium's reset: no step has been made, so there is no external force yet.
        data.cfrc_ext.fill([Lane::ZERO; 6]);
        if self.needs.sensors {
            physics.sensors(params, data);
        }
        self.sense(group, lanes);
        self.programs.keep(&self.kept);
        self.remember(group, lanes);
    }

    /// Resets every world marked as ended.
    fn reset_ended(&mut self) {
        let plan = self.plan.clone();
        let l = &plan.layout;
        for group in 0..self.groups {
            let ended = |lane: &usize| self.ended[group * LANES + lane];
            let lanes = (0..LANES).filter(ended).fold(0u8, |lanes, lane| lanes | 1 << lane);
            for lane in lanes_in(lanes) {
                let world = group * LANES + lane;
                let episode = self.kept.count(l.episode, world) + 1;
                self.kept.set(l.episode.one(), world, f64::from(episode));
                self.kept.set(l.head_start.one(), world, 0.0);
            }
            if lanes != 0 {
                self.reset_group(group, lanes);
            }
        }
    }

    /// What the block keeps of worlds that were reset goes to the recording.
    fn recorded_reset(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.keep(&self.plan, &self.kept);
        }
    }
}
