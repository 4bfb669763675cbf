//! A block of 64 worlds that step together on one thread.
//!
//! One `Data` serves all lane groups of a block; what must last from step to step is in [`State`] and [`Columns`]. A step allocates
//! nothing (but for the log of finished episodes, which the caller empties). The order of a step is in `step`.

use super::hand::Hand;
use super::programs::Programs;
use super::recording::Recording;
use crate::columns::ledger::{BadValue, EpisodeLog, Ledger, StepStats};
use crate::columns::store::Columns;
use crate::error::EnvError;
use crate::options::{BLOCK_WORLDS, BackendKind};
use crate::plan::sensed::{Needs, Touch};
use crate::plan::whole::{Plan, Shared};
use crate::rng::WorldRng;
use crate::stages::finish;
use pavlov_physics::{Data, LANES, Lane, Params, RapierWorlds, Real, State};
use pavlov_reward::Reward;
use std::sync::Arc;

/// Up to 64 worlds.
#[derive(Debug)]
pub struct EnvBlock {
    pub(crate) plan: Arc<Plan>,
    pub(crate) first: usize,
    pub(crate) worlds: usize,
    pub(crate) groups: usize,
    pub(crate) states: Vec<State<Lane>>,
    /// One for each group when randomised, else one for all.
    pub(crate) params: Vec<Params<Lane>>,
    pub(crate) data: Data<Lane>,
    pub(crate) touch: Touch<Lane>,
    /// The worlds' scenes, when rapier steps them.
    pub(crate) rapier: Option<RapierWorlds>,
    pub(crate) rng: Vec<WorldRng>,
    pub(crate) kept: Columns,
    /// Control signals `[actuator][64]`.
    pub(crate) ctrl: Vec<f32>,
    pub(crate) programs: Programs,
    pub(crate) recording: Option<Recording>,
    pub(crate) hand: Hand,
    /// Columns of the observation that physics or the task's script know `[column][64]`, before noise, clip and scale.
    pub(crate) seen: Vec<f32>,
    /// Of the plan, and of the recording.
    pub(crate) needs: Needs,
    /// What the last step adds to the reward of the step before it.
    pub(crate) late: Vec<f32>,
    /// Rewards of the parts with a critic each `[64, parts]`; empty when the reward has one critic.
    pub(crate) of_critics: Vec<f32>,
    pub(crate) ended: Vec<bool>,
    pub(crate) ledger: Ledger,
    /// Numbers of an episode that ends.
    pub(crate) finished: Vec<f64>,
    pub(crate) qpos: Vec<f64>,
    pub(crate) qvel: Vec<f64>,
}

impl EnvBlock {
    /// Worlds `first..first + worlds` of an environment; not yet reset.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        reward: &Arc<Reward>,
        first: usize,
        worlds: usize,
    ) -> Result<Self, EnvError> {
        let (task, options) = (&shared.task, &shared.options);
        let programs = Programs::new(shared, reward, first, worlds)?;
        let plan = programs.plan().clone();
        let groups = worlds.div_ceil(LANES);
        let randomised = shared.randomised();
        let stats = StepStats::new(plan.nodes(), plan.metrics());
        let mut log = EpisodeLog::default();
        log.episodes.reserve(4 * worlds);
        log.term_sums.reserve(4 * worlds * plan.nodes());
        log.metrics.reserve(4 * worlds * plan.metrics());
        let rapier = options.backend == BackendKind::Rapier;
        Ok(Self {
            first,
            worlds,
            groups,
            states: (0..groups).map(|_| State::new(&task.model)).collect(),
            params: (0..if randomised { groups } else { 1 }).map(|_| shared.physics.params()).collect(),
            data: shared.physics.data(),
            touch: Touch::new(task.model.bodies.len(), task.feet.len()),
            rapier: rapier.then(|| RapierWorlds::new(&shared.physics, worlds, randomised)),
            rng: (0..BLOCK_WORLDS)
                .map(|w| WorldRng::new(options.seed, ((first + w) / options.siblings) as u64))
                .collect(),
            kept: Columns::new(&plan.layout),
            ctrl: vec![0.0; task.act_dim() * BLOCK_WORLDS],
            seen: vec![0.0; task.obs_dim() * BLOCK_WORLDS],
            needs: plan.needs,
            late: vec![0.0; BLOCK_WORLDS],
            of_critics: room_for_critics(reward),
            ended: vec![false; BLOCK_WORLDS],
            ledger: Ledger { log, stats, bad: None },
            finished: vec![0.0; finish::numbers(&plan)],
            qpos: vec![0.0; task.model.nq()],
            qvel: vec![0.0; task.model.nv()],
            programs,
            recording: None,
            hand: Hand::default(),
            plan,
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

    /// What the last step adds to the reward of the step before it `[worlds]`, for rewards with terms that are paid as the difference
    /// to the next step; none for others. The episode's first step adds nothing: it has none before it. Where a time limit cuts an
    /// episode, or a rollout ends, the number stands for what the unknown next step would add to this one.
    pub fn late(&self) -> Option<&[f32]> {
        self.plan.reward.late().map(|_| &self.late[..self.worlds])
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
        assert!(node < self.plan.nodes() && world < self.worlds, "node {node}, world {world}");
        self.programs.node(node, world)
    }

    /// Other values of the reward's parameters, and of what changes between updates, from the next step on: [`Reward::values`] of the
    /// same reward.
    ///
    /// # Panics
    /// When they are not as many as the reward has.
    pub fn set_reward_values(&mut self, values: &[f32]) {
        self.programs.set_values(values);
    }

    /// Finished episodes since [`EnvBlock::clear_log`].
    pub fn log(&self) -> &EpisodeLog {
        &self.ledger.log
    }

    /// Forgets the finished episodes.
    pub fn clear_log(&mut self) {
        self.ledger.log.clear();
    }

    /// Sums over steps since [`EnvBlock::clear_stats`].
    pub fn stats(&self) -> &StepStats {
        &self.ledger.stats
    }

    /// Sets the sums to zero.
    pub fn clear_stats(&mut self) {
        self.ledger.stats.clear();
    }

    /// The first reward term that was not finite, if one ever was.
    pub fn bad_value(&self) -> Option<&BadValue> {
        self.ledger.bad.as_ref()
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
        self.programs.source_numbers()
    }

    /// The first failure of an interpreted script, if there was one.
    pub fn script_error(&self) -> Option<&pavlov_script::ScriptError> {
        self.programs.error()
    }

    /// Another reward, from the next step on (hot reload). Sums of open episodes start anew; what it remembers too.
    ///
    /// # Errors
    /// When a source of the reward cannot be made.
    pub fn set_reward(&mut self, reward: &Arc<Reward>) -> Result<(), EnvError> {
        self.programs.set_reward(reward, self.first, &mut self.kept)?;
        self.plan = self.programs.plan().clone();
        let recorded = self.recording.as_ref().map(Recording::needs);
        self.needs = self.plan.needs.or(recorded.unwrap_or_default());
        self.of_critics = room_for_critics(reward);
        self.finished = vec![0.0; finish::numbers(&self.plan)];
        let zeros = vec![0.0; self.plan.nodes()];
        self.ledger.stats.terms.clone_from(&zeros);
        self.ledger.stats.terms_squared = zeros;
        self.ledger.log.clear();
        self.ledger.bad = None;
        Ok(())
    }
}

fn room_for_critics(reward: &Reward) -> Vec<f32> {
    vec![0.0; if reward.critics() > 1 { reward.critics() * BLOCK_WORLDS } else { 0 }]
}
