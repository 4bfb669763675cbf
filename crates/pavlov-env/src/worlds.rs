//! What a block remembers of each of its worlds besides the physical state, column by column (`[index][world of the block]`).
//!
//! Everything here is saved with a checkpoint.

use crate::rng::WorldRng;
use crate::spec::{BLOCK_WORLDS, EnvOptions};
use crate::task::Task;

/// `[index][64]` columns of f32.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns(pub Vec<f32>);

impl Columns {
    pub fn new(n: usize) -> Self {
        Self(vec![0.0; n * BLOCK_WORLDS])
    }
    #[inline]
    pub fn get(&self, index: usize, world: usize) -> f32 {
        self.0[index * BLOCK_WORLDS + world]
    }
    #[inline]
    pub fn set(&mut self, index: usize, world: usize, value: f32) {
        self.0[index * BLOCK_WORLDS + world] = value;
    }
    #[inline]
    pub fn column(&self, index: usize) -> &[f32] {
        &self.0[index * BLOCK_WORLDS..(index + 1) * BLOCK_WORLDS]
    }
    #[inline]
    pub fn column_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.0[index * BLOCK_WORLDS..(index + 1) * BLOCK_WORLDS]
    }
    /// Sets one world's value in every column.
    pub fn fill_world(&mut self, world: usize, value: f32) {
        self.0.iter_mut().skip(world).step_by(BLOCK_WORLDS).for_each(|v| *v = value);
    }
}

/// Counters, commands, actions and running sums of the worlds of a block.
#[derive(Debug, Clone)]
pub(crate) struct Worlds {
    pub rng: Vec<WorldRng>,
    /// Episodes begun before this one.
    pub episode: Vec<u32>,
    /// Control steps of this episode so far.
    pub step: Vec<u32>,
    /// Control steps by which the time limit of this episode is shortened (staggered starts).
    pub head_start: Vec<u32>,
    pub next_command: Vec<u32>,
    pub next_push: Vec<u32>,
    pub command: Columns,
    /// Velocity of the last push, world x and y.
    pub push: Columns,
    /// Clipped actions: this step's and the one before.
    pub action: Columns,
    pub prev_action: Columns,
    /// Actions on their way when `delay` > 0: `[delay][nu]` columns, a ring that starts at `queue_head`.
    pub queue: Columns,
    pub queue_head: usize,
    /// Sums over the episode.
    pub reward: Vec<f64>,
    pub fitness: Vec<f64>,
    pub success: Vec<u32>,
    /// `[term][64]` and `[metric][64]`.
    pub terms: Vec<f64>,
    pub metrics: Vec<f64>,
}

impl Worlds {
    /// Worlds `first..first + 64` of an environment with those options, before their first reset.
    pub fn new(task: &Task, options: &EnvOptions, first: usize, terms: usize, metrics: usize) -> Self {
        let nu = task.act_dim();
        let n = BLOCK_WORLDS;
        Self {
            rng: (0..n).map(|w| WorldRng::new(options.seed, ((first + w) / options.siblings) as u64)).collect(),
            episode: vec![0; n],
            step: vec![0; n],
            head_start: vec![0; n],
            next_command: vec![u32::MAX; n],
            next_push: vec![u32::MAX; n],
            command: Columns::new(task.command.len()),
            push: Columns::new(2),
            action: Columns::new(nu),
            prev_action: Columns::new(nu),
            queue: Columns::new(nu * task.action.delay),
            queue_head: 0,
            reward: vec![0.0; n],
            fitness: vec![0.0; n],
            success: vec![0; n],
            terms: vec![0.0; n * terms],
            metrics: vec![0.0; n * metrics],
        }
    }

    /// Zeroes what belongs to an episode and draws its command and first push.
    pub fn begin(&mut self, task: &Task, world: usize, disturb: bool) {
        self.step[world] = 0;
        self.reward[world] = 0.0;
        self.fitness[world] = 0.0;
        self.success[world] = 0;
        for sums in [&mut self.terms, &mut self.metrics] {
            sums.iter_mut().skip(world).step_by(BLOCK_WORLDS).for_each(|v| *v = 0.0);
        }
        self.push.fill_world(world, 0.0);
        for i in 0..task.act_dim() {
            let zero = task.action.clip(i, 0.0);
            self.action.set(i, world, zero);
            self.prev_action.set(i, world, zero);
            for late in 0..task.action.delay {
                self.queue.set(late * task.act_dim() + i, world, zero);
            }
        }
        self.draw_command(task, world);
        self.next_push[world] = match &task.push {
            Some(push) if disturb => {
                let (rng, episode) = (self.rng[world], self.episode[world]);
                push.next(|p| rng.stream(p, episode, 0), 0.0) as u32
            }
            _ => u32::MAX,
        };
    }

    /// New command values for a world.
    pub fn draw_command(&mut self, task: &Task, world: usize) {
        // Commands are few: a fixed buffer keeps the draw apart from the columns.
        let mut values = [0.0; crate::command::MAX_VALUES];
        let n = task.command.len();
        if n == 0 {
            return;
        }
        let (episode, step) = (self.episode[world], self.step[world]);
        let rng = self.rng[world];
        let open = |p| rng.stream(p, episode, step);
        self.next_command[world] = task.command.draw(open, f64::from(step), &mut values[..n]) as u32;
        for i in 0..n {
            self.command.set(i, world, values[i] as f32);
        }
    }
}
