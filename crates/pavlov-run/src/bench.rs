//! How fast physics and environment run: random actions, resets as the task asks, whole blocks on each thread.

use pavlov_env::{Env, EnvBlock, EnvError, EnvOptions, RandomActions, StepOut, Task};
use pavlov_reward::Reward;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchKind {
    /// Physics steps alone, with random controls. Worlds are reset by the time limit only: no script runs, so a robot that fell stays
    /// on the ground, with its contacts.
    Physics,
    /// The whole environment: actions, physics, sensing, reward, termination, observation, reset.
    Env,
}

/// What to measure, and how long.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// What is measured.
    pub kind: BenchKind,
    /// Worlds, seed, profile.
    pub env: EnvOptions,
    /// Threads; each has its own blocks.
    pub threads: usize,
    /// Shortest time measured after the warm-up, s.
    pub seconds: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchResult {
    /// Control steps of one world, per second of wall clock.
    pub env_steps_per_s: f64,
    /// Physics steps of one world, per second of wall clock.
    pub physics_steps_per_s: f64,
    /// Physics steps per control step.
    pub frame_skip: usize,
    /// Physics step, s.
    pub timestep: f64,
    /// Worlds.
    pub worlds: usize,
    /// Threads.
    pub threads: usize,
    /// Episodes that ended while measured.
    pub episodes: usize,
    /// Worlds that became non-finite while measured.
    pub nonfinite: u64,
    /// Seconds measured.
    pub seconds: f64,
}

/// Random actions of one block, written anew each step; cheap beside the step itself.
struct Driver {
    block: EnvBlock,
    random: RandomActions,
    actions: Vec<f32>,
    obs: Vec<f32>,
    final_obs: Vec<f32>,
    reward: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

impl Driver {
    fn new(block: EnvBlock, task: &Task, seed: u64) -> Self {
        let (n, dim) = (block.num_worlds(), task.obs_dim());
        let mut driver = Self {
            random: RandomActions::new(task, seed, block.first_world(), n),
            actions: vec![0.0; n * task.act_dim()],
            obs: vec![0.0; n * dim],
            final_obs: vec![0.0; n * dim],
            reward: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            block,
        };
        driver.block.reset(&mut driver.obs);
        driver
    }

    fn step(&mut self, kind: BenchKind) {
        self.random.draw(&mut self.actions);
        let Self { block, actions, obs, final_obs, reward, terminated, truncated, .. } = self;
        match kind {
            BenchKind::Env => block.step(actions, StepOut { obs, reward, terminated, truncated, final_obs }),
            BenchKind::Physics => block.step_physics(actions),
        }
    }
}

/// Runs for `seconds` after a warm-up of a fifth of it.
///
/// # Errors
/// As [`Env::new`], and when threads is 0.
pub fn bench(task: &Arc<Task>, reward: &Arc<Reward>, options: &BenchOptions) -> Result<BenchResult, EnvError> {
    if options.threads == 0 || !(options.seconds.is_finite() && options.seconds > 0.0) {
        return Err(EnvError::Usage("bench: expected at least one thread and a positive time".to_string()));
    }
    let env = Env::new(task.clone(), reward.clone(), &options.env)?;
    let threads = options.threads.min(env.blocks.len());
    let (physics, frame_skip) = task.physics(options.env.profile)?;
    let mut parts: Vec<Vec<Driver>> = (0..threads).map(|_| Vec::new()).collect();
    for (i, block) in env.blocks.into_iter().enumerate() {
        parts[i % threads].push(Driver::new(block, task, options.env.seed));
    }
    run_for(&mut parts, options.kind, Duration::from_secs_f64(0.2 * options.seconds));
    for driver in parts.iter_mut().flatten() {
        driver.block.clear_log();
        driver.block.clear_stats();
    }
    let start = Instant::now();
    let steps = run_for(&mut parts, options.kind, Duration::from_secs_f64(options.seconds));
    let seconds = start.elapsed().as_secs_f64();
    let drivers = || parts.iter().flatten();
    Ok(BenchResult {
        env_steps_per_s: steps as f64 / seconds,
        physics_steps_per_s: (steps * frame_skip as u64) as f64 / seconds,
        frame_skip,
        timestep: physics.model().opt.timestep,
        worlds: options.env.worlds,
        threads,
        episodes: drivers().map(|d| d.block.log().episodes.len()).sum(),
        nonfinite: drivers().map(|d| d.block.stats().nonfinite).sum(),
        seconds,
    })
}

/// Steps every part on its own thread until the time is over; world-steps made.
fn run_for(parts: &mut [Vec<Driver>], kind: BenchKind, time: Duration) -> u64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let handles: Vec<_> = parts
            .iter_mut()
            .map(|drivers| {
                scope.spawn(move || {
                    let mut steps = 0u64;
                    while start.elapsed() < time {
                        for driver in drivers.iter_mut() {
                            driver.step(kind);
                            steps += driver.block.num_worlds() as u64;
                        }
                    }
                    steps
                })
            })
            .collect();
        // A panic of a worker is a bug of ours: let it go on.
        handles.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).sum()
    })
}
