//! A block of 64 worlds that step together on one thread.
//!
//! Order within a control step:
//! 1. actions are clipped and mapped; pushes that are due kick the base;
//! 2. lane group by lane group (eight worlds): `frame_skip` physics steps, then the columns that observation and scripts use are
//!    read off, while the group's data is in the cache;
//! 3. reward, termination, fitness, success and metrics run over the columns of all 64 worlds;
//! 4. commands that are due change, and the observation is written; where an episode ended it is kept as final observation, the
//!    world is reset, and its first observation takes its place.
//!
//! One `Data` serves all groups of a block; what must last from step to step is in [`State`] and [`Worlds`]. A step allocates nothing
//! (but for the log of finished episodes, which the caller empties).

use crate::error::EnvError;
use crate::observe::Source;
use crate::record::Recording;
use crate::rng::Purpose;
use crate::scripts::Scripts;
use crate::spec::{BLOCK_WORLDS, BackendKind, EnvOptions, StepOut};
use crate::stats::{BadValue, EpisodeLog, StepStats};
use crate::task::Task;
use crate::watch::Hand;
use crate::worlds::{Columns, Worlds};
use pavlov_physics::{Data, LANES, Lane, Params, Physics, RapierWorlds, Real, State};
use pavlov_reward::{Reward, SourceSetup};
use std::sync::{Arc, LazyLock};

/// Every world of a lane group.
const ALL: u8 = u8::MAX;

/// What all blocks of an environment share.
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

/// What must be evaluated besides the physics step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needs {
    /// `cfrc_ext`.
    pub cfrc_ext: bool,
    /// `sensordata`.
    pub sensors: bool,
}

/// Up to 64 worlds.
#[derive(Debug)]
pub struct EnvBlock {
    pub(crate) shared: Arc<Shared>,
    pub(crate) first: usize,
    pub(crate) worlds: usize,
    pub(crate) groups: usize,
    pub(crate) states: Vec<State<Lane>>,
    /// One for each group when randomised, else one for all.
    pub(crate) params: Vec<Params<Lane>>,
    pub(crate) data: Data<Lane>,
    /// The worlds' scenes, when rapier steps them.
    pub(crate) rapier: Option<RapierWorlds>,
    pub(crate) w: Worlds,
    /// Control signals `[actuator][64]`.
    pub(crate) ctrl: Columns,
    pub(crate) scripts: Scripts,
    pub(crate) recording: Option<Recording>,
    pub(crate) hand: Hand,
    /// Sources of the observation columns, before noise, clip and scale.
    pub(crate) obs: Columns,
    /// Columns of the observation that come from physics.
    pub(crate) physical: Vec<(usize, Source)>,
    /// Columns with noise.
    pub(crate) noisy: Vec<usize>,
    pub(crate) needs: Needs,
    /// What the last step adds to the reward of the step before it.
    pub(crate) late: Vec<f32>,
    /// Rewards of the parts with a critic each `[64, parts]`; empty when the reward has one critic.
    pub(crate) of_critics: Vec<f32>,
    pub(crate) ended: Vec<bool>,
    pub(crate) log: EpisodeLog,
    pub(crate) stats: StepStats,
    pub(crate) bad: Option<BadValue>,
    pub(crate) qpos: Vec<f64>,
    pub(crate) qvel: Vec<f64>,
}

impl EnvBlock {
    /// Worlds `first..first + worlds` of an environment; not yet reset.
    pub(crate) fn new(
        shared: Arc<Shared>,
        reward: &Arc<Reward>,
        first: usize,
        worlds: usize,
    ) -> Result<Self, EnvError> {
        let task = shared.task.clone();
        let scripts = Scripts::new(&task, reward, &source_setup(&shared, reward, first, worlds))?;
        let groups = worlds.div_ceil(LANES);
        let randomised = shared.randomised();
        let (terms, metrics) = (scripts.num_nodes(), scripts.num_metrics());
        let is_physical = |s: Source| {
            !matches!(
                s,
                Source::Action(_) | Source::PrevAction(_) | Source::Command(_) | Source::Push(_) | Source::Script(_)
            )
        };
        let columns = task.obs.columns.iter().enumerate();
        let mut needs = scripts.needs();
        needs.cfrc_ext |= task.obs.needs_cfrc_ext;
        needs.sensors |= task.obs.columns.iter().any(|c| matches!(c.source, Source::Sensor(_)));
        let stats = StepStats {
            terms: vec![0.0; terms],
            terms_squared: vec![0.0; terms],
            metrics: vec![0.0; metrics],
            ..StepStats::default()
        };
        let mut log = EpisodeLog::default();
        log.episodes.reserve(4 * worlds);
        log.term_sums.reserve(4 * worlds * terms);
        log.metrics.reserve(4 * worlds * metrics);
        Ok(Self {
            first,
            worlds,
            groups,
            states: (0..groups).map(|_| State::new(&task.model)).collect(),
            params: (0..if randomised { groups } else { 1 }).map(|_| shared.physics.params()).collect(),
            data: shared.physics.data(),
            rapier: (shared.options.backend == BackendKind::Rapier)
                .then(|| RapierWorlds::new(&shared.physics, worlds, randomised)),
            w: Worlds::new(&task, &shared.options, first, terms, metrics),
            ctrl: Columns::new(task.act_dim()),
            obs: Columns::new(task.obs_dim()),
            physical: columns.clone().filter(|(_, c)| is_physical(c.source)).map(|(i, c)| (i, c.source)).collect(),
            noisy: columns.filter(|(_, c)| shared.options.disturb && c.noise > 0.0).map(|(i, _)| i).collect(),
            needs,
            late: vec![0.0; BLOCK_WORLDS],
            of_critics: room_for_critics(reward),
            ended: vec![false; BLOCK_WORLDS],
            log,
            stats,
            bad: None,
            qpos: vec![0.0; task.model.nq()],
            qvel: vec![0.0; task.model.nv()],
            scripts,
            recording: None,
            hand: Hand::default(),
            shared,
        })
    }

    /// Number of worlds, at most [`BLOCK_WORLDS`].
    pub fn num_worlds(&self) -> usize {
        self.worlds
    }

    /// Index of this block's first world in the environment.
    pub fn first_world(&self) -> usize {
        self.first
    }

    /// Starts a new episode in every world and writes the observations `[worlds, obs_dim]`.
    ///
    /// # Panics
    /// When `obs` is not of that size.
    pub fn reset(&mut self, obs: &mut [f32]) {
        let task = self.shared.task.clone();
        if self.shared.options.siblings > 1 {
            // Some may have ended more episodes than their siblings, and nobody begins the same one twice.
            let (begun, steps) = (self.w.episode.iter().max(), self.w.step.iter().max());
            let next = begun.map_or(0, |&e| e + u32::from(steps.is_some_and(|&s| s > 0)));
            self.w.episode.fill(next);
        }
        for world in 0..self.groups * LANES {
            self.w.head_start[world] = 0;
            if self.shared.options.stagger {
                let unit = self.w.rng[world].stream(Purpose::Stagger, 0, 0).unit();
                self.w.head_start[world] = (unit * task.episode_steps as f32) as u32;
            }
        }
        for group in 0..self.groups {
            self.reset_group(group, ALL);
        }
        self.scripts.observe(&self.w);
        self.recorded_reset();
        self.observe(obs);
    }

    /// The observations of the present state once more (the same numbers, noise included), for example after [`EnvBlock::restore`].
    ///
    /// # Panics
    /// When `obs` is not `[worlds, obs_dim]`.
    pub fn observe(&mut self, obs: &mut [f32]) {
        let dim = self.shared.task.obs_dim();
        assert_eq!(obs.len(), self.worlds * dim, "obs must be [worlds, obs_dim]");
        for world in 0..self.worlds {
            self.write_obs(world, &mut obs[world * dim..(world + 1) * dim]);
        }
    }

    /// One control step of every world. `actions` is `[worlds, act_dim]`, row-major.
    ///
    /// # Panics
    /// When a slice is not of the size that [`StepOut`] gives.
    pub fn step(&mut self, actions: &[f32], out: StepOut<'_>) {
        let shared = self.shared.clone();
        let task = &*shared.task;
        let (n, dim, nu) = (self.worlds, task.obs_dim(), task.act_dim());
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
        self.scripts.advance();
        let mut finite = [true; BLOCK_WORLDS];
        for group in 0..self.groups {
            self.step_group(group, &mut finite);
        }
        for world in 0..n {
            self.w.step[world] += 1;
        }
        self.scripts.evaluate(&self.w);
        if let Some(recording) = &mut self.recording {
            recording.stepped(&self.w, &self.scripts);
        }
        self.stats.world_steps += n as u64;
        let mut any_ended = false;
        for world in 0..n {
            let (reward, terminated) = self.account(world, finite[world]);
            let limit = task.episode_steps - self.w.head_start[world].min(task.episode_steps - 1);
            let truncated = !terminated && self.w.step[world] >= limit;
            out.reward[world] = reward;
            out.terminated[world] = terminated;
            out.truncated[world] = truncated;
            self.ended[world] = terminated || truncated;
            any_ended |= self.ended[world];
            if self.ended[world] {
                self.finish_episode(world, terminated, !finite[world]);
            } else if self.w.step[world] >= self.w.next_command[world] {
                self.w.draw_command(task, world);
            }
        }
        self.scripts.observe(&self.w);
        for world in 0..n {
            let row = world * dim..(world + 1) * dim;
            if !self.ended[world] {
                self.write_obs(world, &mut out.obs[row]);
            } else if finite[world] {
                self.write_obs(world, &mut out.final_obs[row]);
            } else {
                // Nothing sensible can be said about a state that is not finite.
                out.final_obs[row].fill(0.0);
            }
        }
        if any_ended {
            self.reset_ended();
            self.scripts.observe(&self.w);
            self.recorded_reset();
            for world in 0..n {
                if self.ended[world] {
                    self.write_obs(world, &mut out.obs[world * dim..(world + 1) * dim]);
                }
            }
        }
    }

    /// What the block keeps of worlds that were reset goes to the recording.
    fn recorded_reset(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.keep(&self.w);
        }
    }

    /// What the last step adds to the reward of the step before it `[worlds]`, for rewards with terms that are paid as the difference
    /// to the next step; none for others. The episode's first step adds nothing: it has none before it. Where a time limit cuts an
    /// episode, or a rollout ends, the number stands for what the unknown next step would add to this one.
    pub fn late(&self) -> Option<&[f32]> {
        self.scripts.late().map(|_| &self.late[..self.worlds])
    }

    /// Number of parts of the reward that have a critic each; 1 when it is the reward itself.
    pub fn critics(&self) -> usize {
        (self.of_critics.len() / BLOCK_WORLDS).max(1)
    }

    /// Where there are several: the rewards of these parts in the last step `[worlds, critics]`, scaled as the total is; 0 for what is
    /// not finite.
    pub fn critic_rewards(&self) -> &[f32] {
        &self.of_critics[..(self.of_critics.len() / BLOCK_WORLDS) * self.worlds]
    }

    /// Node `node` of the reward in a world, in the last step; in the order of [`Reward::node_names`].
    ///
    /// # Panics
    /// When there is no such node or world.
    pub fn reward_node(&self, node: usize, world: usize) -> f32 {
        assert!(node < self.scripts.num_nodes() && world < self.worlds, "node {node}, world {world}");
        self.scripts.node(node, world)
    }

    /// Other values of the reward's parameters, and of what changes between updates, from the next step on: [`Reward::values`] of the
    /// same reward.
    ///
    /// # Panics
    /// When they are not as many as the reward has.
    pub fn set_reward_values(&mut self, values: &[f32]) {
        self.scripts.set_values(values);
    }

    /// Finished episodes since [`EnvBlock::clear_log`].
    pub fn log(&self) -> &EpisodeLog {
        &self.log
    }

    /// Forgets the finished episodes.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Sums over steps since [`EnvBlock::clear_stats`].
    pub fn stats(&self) -> &StepStats {
        &self.stats
    }

    /// Sets the sums to zero.
    pub fn clear_stats(&mut self) {
        self.stats.clear();
    }

    /// The first reward term that was not finite, if one ever was.
    pub fn bad_value(&self) -> Option<&BadValue> {
        self.bad.as_ref()
    }

    /// Copies the state of a world of this block, for clips and replays.
    ///
    /// # Panics
    /// When the slices are not `nq` and `nv` long.
    pub fn world_state(&self, world: usize, qpos: &mut [f32], qvel: &mut [f32]) {
        let state = &self.states[world / LANES];
        assert!(qpos.len() == state.qpos.len() && qvel.len() == state.qvel.len(), "slices must be nq and nv long");
        for (out, column) in qpos.iter_mut().zip(&state.qpos).chain(qvel.iter_mut().zip(&state.qvel)) {
            *out = column.get(world % LANES) as f32;
        }
    }

    /// Numbers that the reward's sources tell of themselves, as `source.number`.
    pub fn source_numbers(&self) -> Vec<(String, f64)> {
        self.scripts.source_numbers()
    }

    /// The first failure of an interpreted script, if there was one.
    pub fn script_error(&self) -> Option<&pavlov_script::ScriptError> {
        self.scripts.error()
    }

    /// Another reward, from the next step on (hot reload). Sums of open episodes start anew; what it remembers too.
    ///
    /// # Errors
    /// When a source of the reward cannot be made.
    pub fn set_reward(&mut self, reward: &Arc<Reward>) -> Result<(), EnvError> {
        let shared = self.shared.clone();
        self.scripts.set_reward(reward, &source_setup(&shared, reward, self.first, self.worlds))?;
        let terms = self.scripts.num_nodes();
        self.needs = self.scripts.needs();
        self.needs.cfrc_ext |= self.shared.task.obs.needs_cfrc_ext;
        self.needs.sensors |= self.shared.task.obs.columns.iter().any(|c| matches!(c.source, Source::Sensor(_)));
        if let Some(recording) = &self.recording {
            self.needs.cfrc_ext |= recording.needs_cfrc_ext();
            self.needs.sensors |= recording.needs_sensors();
        }
        self.w.terms = vec![0.0; terms * BLOCK_WORLDS];
        self.w.reward.fill(0.0);
        self.of_critics = room_for_critics(reward);
        self.stats.terms = vec![0.0; terms];
        self.stats.terms_squared = vec![0.0; terms];
        self.log.clear();
        self.bad = None;
        Ok(())
    }

    /// Puts a world to the beginning of its episode number `episode`, from the reset that this episode has. The observation is then
    /// given by [`EnvBlock::observe`].
    ///
    /// # Panics
    /// When there is no such world.
    pub fn start_episode(&mut self, world: usize, episode: u32) {
        assert!(world < self.worlds, "world {world} of {}", self.worlds);
        self.w.episode[world] = episode;
        self.w.head_start[world] = 0;
        self.reset_group(world / LANES, 1 << (world % LANES));
        self.scripts.observe(&self.w);
    }

    /// Puts a world to a given state, as Gymnasium's `set_state` does after its reset: a new episode begins there.
    /// The observation is then given by [`EnvBlock::observe`].
    ///
    /// # Panics
    /// When the slices are not `nq` and `nv` long, or there is no such world.
    pub fn set_world_state(&mut self, world: usize, qpos: &[f64], qvel: &[f64]) {
        assert!(world < self.worlds && qpos.len() == self.qpos.len() && qvel.len() == self.qvel.len());
        self.qpos.copy_from_slice(qpos);
        self.qvel.copy_from_slice(qvel);
        let task = self.shared.task.clone();
        self.w.begin(&task, world, self.shared.options.disturb);
        self.states[world / LANES].reset_world(world % LANES, qpos, qvel);
        self.scripts.reset_world(world, self.w.episode[world]);
        self.evaluate_reset(world / LANES, 1 << (world % LANES));
        self.scripts.observe(&self.w);
    }
}

fn room_for_critics(reward: &Reward) -> Vec<f32> {
    vec![0.0; if reward.critics() > 1 { reward.critics() * BLOCK_WORLDS } else { 0 }]
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
