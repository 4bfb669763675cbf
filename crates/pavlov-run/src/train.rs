//! The training loop: update, log, checkpoint; and how a run begins and goes on.
//!
//! The order within an update is rollout and training, log lines, checkpoint. So a checkpoint's logs are always there
//! when it is, and a resume cuts the logs back to it: what then follows is what an uninterrupted run would have
//! written, timings apart.

use crate::arm::{Arm, Outcome};
use crate::checkpoint::{self, Best, Checkpoints, LoopState, Which};
use crate::config::{Overrides, RunConfig};
use crate::device::{Device, Worlds};
use crate::error::RunError;
use crate::evaluate::{Evaluation, SEED_OFFSET};
use crate::finish::Stop;
use crate::folder::{Lock, RunFolder};
use crate::inputs;
use crate::logs::{Logs, MetricsLine, Named, TermsLine};
use crate::play::{PlayOptions, PolicyPlayer, play_rollouts};
use pavlov_env::{Assets, EnvError, Task};
use pavlov_learn::Policy;
use pavlov_reward::{Adaptive, Reward};
use rayon::ThreadPool;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// `recent_fitness` is of at least this many episodes, once there are so many.
const RECENT_EPISODES: u64 = 100;
/// Fewer episodes than this say nothing about which checkpoint is best.
const BEST_EPISODES: u64 = 20;
/// Episodes recorded before and while training.
const ROLLOUT_EPISODES: usize = 4;

/// What one update gave.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The line of `metrics.jsonl`.
    pub metrics: MetricsLine,
    /// The line of `terms.jsonl`.
    pub terms: TermsLine,
    /// What the user should know, each thing once.
    pub warnings: Vec<String>,
}

/// What a resume may change.
#[derive(Debug, Clone, Default)]
pub struct ResumeOptions {
    /// Steps in all, instead of the run's own limit. Schedules still end where they did.
    pub steps: Option<u64>,
    /// Minutes in all, instead of the run's own limit.
    pub minutes: Option<f64>,
    /// Threads.
    pub threads: Option<usize>,
    /// Another device. Between processor and GPU worlds do not go over: new episodes begin.
    pub device: Option<Device>,
}

/// A run being trained.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) folder: RunFolder,
    pub(crate) config: RunConfig,
    pub(crate) task: Arc<Task>,
    pub(crate) arm: Arm,
    pub(crate) pool: ThreadPool,
    logs: Logs,
    checkpoints: Checkpoints,
    pub(crate) state: LoopState,
    /// Begin of this process's part, and the seconds trained before it.
    began: Instant,
    before_s: f64,
    last: Instant,
    checkpoint_s: f64,
    warnings: Vec<String>,
    _lock: Lock,
}

/// Finds a reward for a task, by name, by path, or the task's own: its folder or lone file, and what listings call it.
///
/// # Errors
/// When there is none.
pub fn find_reward(assets: &Assets, task: &Task, asked: Option<&str>) -> Result<(PathBuf, String), EnvError> {
    let path = assets.reward(&task.name, asked.unwrap_or(task.default_reward()))?;
    let known = assets.rewards().into_iter().find(|r| r.path == path).map(|r| r.name);
    let stem = || path.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let name = known.unwrap_or_else(stem);
    Ok((path, name))
}

/// Finds and loads a reward for a task: by name, by path, or the task's own.
///
/// # Errors
/// When there is none, or it is refused.
pub fn load_reward(assets: &Assets, task: &Task, asked: Option<&str>) -> Result<Reward, RunError> {
    let (path, name) = find_reward(assets, task, asked)?;
    Ok(Reward::load(&path, &name, task.scene())?)
}

/// A pool of that many threads.
///
/// # Errors
/// When the system does not give them.
pub fn thread_pool(threads: usize) -> Result<ThreadPool, RunError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
    pool.map_err(|e| RunError::Failed(format!("cannot start {threads} threads: {e}")))
}

impl Trainer {
    /// Starts a run: resolves the configuration, makes the folder and writes what the run is made of into it.
    /// A request that cannot be honoured leaves no folder.
    ///
    /// # Errors
    /// On anything wrong with task, reward, settings or folder.
    pub fn create(
        assets: &Assets,
        task: &str,
        reward: Option<&str>,
        asked: &Overrides,
        runs: &Path,
        out: Option<&Path>,
    ) -> Result<Self, RunError> {
        let task = Task::load(assets, task)?;
        let mut reward = load_reward(assets, &task, reward)?;
        let mut config = RunConfig::resolve(&task, &mut reward, asked)?;
        config.revision = crate::git::revision(task.folder());
        let (device, warning) = config.device()?.or_cpu();
        config.device = device.to_string();
        let (task, reward) = (Arc::new(task), Arc::new(reward));
        let mut ppo = crate::arm::learner(&config, &task, &reward)?;
        let from = match &asked.from {
            Some(from) => Some(checkpoint::find(&RunFolder::open(from)?, Which::Last)?.0.ppo),
            None => None,
        };
        if let (Some(other), Some(from)) = (&from, &asked.from) {
            let refused = |e| RunError::Usage(format!("cannot begin with the policy of {}: {e}", from.display()));
            ppo.begin_with(other).map_err(refused)?;
        }
        let worlds = Worlds::new(&config, &task, &reward, &ppo)?;
        let pool = thread_pool(config.machine.threads)?;
        let adaptive = crate::calibrate::start(&task, &reward, &mut config)?;
        let folder = RunFolder::create(runs, out, &task.name, config.seed)?;
        let lock = folder.lock()?;
        if folder.config().exists() {
            let path = folder.root().display();
            return Err(RunError::Usage(format!("{path}: another process has just begun a run there")));
        }
        config.inputs = inputs::copy(&folder, assets, &task, &reward)?;
        if let Some(from) = &from {
            config.inputs.push(inputs::keep_start(&folder, from)?);
        }
        folder.write(&folder.config(), config.to_toml()?.as_bytes())?;
        let arm = Arm::new(ppo, worlds, reward, adaptive)?;
        let mut trainer = Self::new(folder, config, task, arm, pool, LoopState::default(), lock)?;
        trainer.warnings.extend(warning);
        Ok(trainer)
    }

    /// Goes on from the newest checkpoint that can be read. The run continues as if it had never stopped; one that was
    /// ended before its first checkpoint begins again, from its copies and with its seed, as it began the first time.
    ///
    /// # Errors
    /// When the folder, its inputs or its checkpoints cannot be used.
    pub fn resume(root: &Path, options: &ResumeOptions) -> Result<Self, RunError> {
        let folder = RunFolder::open(root)?;
        let lock = folder.lock()?;
        let mut config = RunConfig::read(&folder.config())?;
        let (task, reward) = inputs::load(&folder, &config)?;
        let (task, reward) = (Arc::new(task), Arc::new(reward));
        if options.minutes.is_some_and(|m| !(m.is_finite() && m > 0.0)) {
            return Err(RunError::Usage("--minutes: expected a number above 0".into()));
        }
        if options.steps.is_some() || options.minutes.is_some() {
            (config.steps, config.minutes) = (options.steps, options.minutes);
        }
        if let Some(device) = options.device {
            config.device = device.to_string();
            config.device()?;
        }
        if options.steps.is_some() || options.minutes.is_some() || options.device.is_some() {
            folder.write(&folder.config(), config.to_toml()?.as_bytes())?;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        config.machine.threads = options.threads.unwrap_or(cores).clamp(1, 1024);
        let pool = thread_pool(config.machine.threads)?;
        if !checkpoint::was_written(&folder)? {
            return Self::begin_again(folder, config, task, reward, pool, lock);
        }
        let (mut loaded, mut warnings) = checkpoint::find(&folder, Which::Last)?;
        let same = loaded.ppo.seed() == config.seed && loaded.ppo.critics() == reward.critics();
        if *loaded.ppo.config() != config.learner || !same {
            return Err(RunError::damaged(&loaded.path, "made with other settings than config.toml says"));
        }
        let mut worlds = Worlds::new(&config, &task, &reward, &loaded.ppo)?;
        if !loaded.restore(&mut worlds)? {
            loaded.ppo.restart();
            warnings.push(format!(
                "the checkpoint's worlds are of the other kind of device than {}: new episodes begin",
                config.device
            ));
        }
        let state = loaded.state;
        if let (Some(graph), Some(adaptive)) = (reward.graph(), &state.adaptive)
            && !adaptive.fits(graph)
        {
            return Err(RunError::damaged(&loaded.path, "its running statistics are of another reward"));
        }
        let arm = Arm::new(loaded.ppo, worlds, reward, state.adaptive.clone())?;
        let mut trainer = Self::new(folder, config, task, arm, pool, state, lock)?;
        trainer.checkpoints.drop_after(trainer.state.update);
        trainer.warnings.splice(0..0, warnings);
        Ok(trainer)
    }

    /// The run as it began.
    fn begin_again(
        folder: RunFolder,
        config: RunConfig,
        task: Arc<Task>,
        reward: Arc<Reward>,
        pool: ThreadPool,
        lock: Lock,
    ) -> Result<Self, RunError> {
        let mut ppo = crate::arm::learner(&config, &task, &reward)?;
        if let Some(from) = inputs::start(&folder, &config)? {
            let refused = |e| RunError::damaged(&folder.config(), format!("the policy that it began with: {e}"));
            ppo.begin_with(&from).map_err(refused)?;
        }
        let worlds = Worlds::new(&config, &task, &reward, &ppo)?;
        let adaptive = reward.graph().map(|graph| {
            let mut adaptive = Adaptive::new(graph, config.learner.gamma);
            for (host, value) in graph.host.iter().zip(&mut adaptive.values) {
                *value = config.references.get(&host.name).copied().unwrap_or(*value);
            }
            adaptive
        });
        let arm = Arm::new(ppo, worlds, reward, adaptive)?;
        let mut trainer = Self::new(folder, config, task, arm, pool, LoopState::default(), lock)?;
        trainer
            .warnings
            .push("the run was ended before its first checkpoint: it begins again from its own copy".into());
        Ok(trainer)
    }

    fn new(
        folder: RunFolder,
        config: RunConfig,
        task: Arc<Task>,
        arm: Arm,
        pool: ThreadPool,
        state: LoopState,
        lock: Lock,
    ) -> Result<Self, RunError> {
        let now = Instant::now();
        let (logs, warnings) = Logs::open(&folder, state.update)?;
        Ok(Self {
            logs,
            checkpoints: Checkpoints::open(&folder, config.run.keep_checkpoints)?,
            before_s: state.elapsed_s,
            folder,
            config,
            task,
            arm,
            pool,
            state,
            began: now,
            last: now,
            checkpoint_s: 0.0,
            warnings,
            _lock: lock,
        })
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The resolved configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The task.
    pub fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// The reward.
    pub fn reward(&self) -> &Arc<Reward> {
        &self.arm.reward
    }

    /// What is to be said before the first update: it comes with that update's warnings otherwise.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// What the loop carries: updates, steps, best.
    pub fn state(&self) -> &LoopState {
        &self.state
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Policy {
        self.arm.ppo.policy()
    }

    /// Seconds trained, interruptions left out.
    pub fn elapsed_s(&self) -> f64 {
        self.before_s + self.began.elapsed().as_secs_f64()
    }

    /// Share of the run that is done, by whichever limit is nearer.
    pub fn progress(&self) -> f64 {
        let steps = self.config.steps.map_or(0.0, |s| self.state.env_steps as f64 / s.max(1) as f64);
        let minutes = self.config.minutes.map_or(0.0, |m| self.elapsed_s() / (60.0 * m));
        steps.max(minutes).min(1.0)
    }

    /// Is a limit reached?
    pub fn limit(&self) -> Option<Stop> {
        let fitness = recent(&self.state).filter(|_| episodes(&self.state) >= BEST_EPISODES);
        if self.config.steps.is_some_and(|s| self.state.env_steps >= s) {
            Some(Stop::Steps)
        } else if self.config.minutes.is_some_and(|m| self.elapsed_s() >= 60.0 * m) {
            Some(Stop::Minutes)
        } else if self.config.run.target_fitness.is_some_and(|target| fitness.is_some_and(|f| f >= target)) {
            Some(Stop::Fitness)
        } else {
            None
        }
    }

    /// Updates until a limit is reached or `stop` is set; calls `each` after every update.
    ///
    /// # Errors
    /// As [`Trainer::update`].
    pub fn run(&mut self, stop: &AtomicBool, mut each: impl FnMut(&Self, &Update)) -> Result<Stop, RunError> {
        loop {
            if let Some(reason) = self.limit() {
                return Ok(reason);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(Stop::Interrupted);
            }
            let update = self.update()?;
            each(self, &update);
        }
    }

    /// One update, its log lines and, when due, its evaluation and checkpoint.
    ///
    /// # Errors
    /// When a script fails, training meets numbers that are not finite again and again, or a file cannot be written.
    pub fn update(&mut self) -> Result<Update, RunError> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if self.state.update == 0 {
            self.keep_rollouts(false)?;
        }
        let third = |progress: f64| (3.0 * progress).floor();
        let before = third(self.progress());
        let mut outcome = self.arm.update(&self.pool)?;
        warnings.append(&mut outcome.warnings);
        self.state.adaptive.clone_from(&self.arm.adaptive);
        let mut line = MetricsLine::from_stats(std::mem::take(&mut outcome.stats));
        self.describe(&mut line, &outcome);
        let sums = &outcome.sums;
        let (nodes, count) = (self.arm.reward.node_names(), self.arm.reward.term_names().len());
        let terms = TermsLine::new(
            (line.update, line.env_steps),
            nodes,
            count,
            &sums.terms,
            &sums.terms_squared,
            sums.world_steps,
        );
        if self.config.run.eval_every > 0 && line.update.is_multiple_of(self.config.run.eval_every) {
            line.eval = Some(Evaluation { list: Vec::new(), ..self.evaluate()? });
        }
        if third(self.progress()) > before && self.progress() < 1.0 {
            self.keep_rollouts(false)?;
        }
        let now = Instant::now();
        let steps = (self.config.learner.worlds * self.config.learner.horizon) as f64;
        line.timing.checkpoint_s = self.checkpoint_s;
        line.timing.elapsed_s = self.elapsed_s();
        line.timing.env_steps_per_s = steps / now.duration_since(self.last).as_secs_f64().max(1e-9);
        self.last = now;
        self.state.elapsed_s = line.timing.elapsed_s;
        self.logs.push(&line, &terms)?;
        self.checkpoint_s = 0.0;
        self.checkpoint(line.update.is_multiple_of(self.config.run.checkpoint_every.max(1)), false)?;
        Ok(Update { metrics: line, terms, warnings })
    }

    /// The environment's part of the line, and the window of recent episodes.
    fn describe(&mut self, line: &mut MetricsLine, outcome: &Outcome) {
        let (log, sums) = (&outcome.log, &outcome.sums);
        let count = log.episodes.len();
        let share = |n: usize| (count > 0).then(|| n as f64 / count as f64);
        let fitness: f64 = log.episodes.iter().map(|e| e.fitness).sum();
        line.fitness = (count > 0).then(|| fitness / count as f64);
        line.success = share(log.episodes.iter().filter(|e| e.success).count());
        line.terminated = share(log.episodes.iter().filter(|e| e.terminated).count());
        (line.nonfinite, line.bad_terms) = (sums.nonfinite, sums.bad_terms);
        let steps = sums.world_steps.max(1) as f64;
        let mean = |sum: &f64| Some(sum / steps).filter(|m| m.is_finite());
        let (names, terms) = (self.arm.reward.node_names(), self.arm.reward.term_names().len());
        line.terms = Named::new(&names[..terms], sums.terms.iter().map(mean));
        line.nodes = Named::new(&names[terms..], sums.terms.iter().skip(terms).map(mean));
        line.constraints.clone_from(&outcome.constraints);
        line.sources = Named(self.arm.worlds.source_numbers());
        if let (Some(graph), Some(adaptive)) = (self.arm.reward.graph(), &self.arm.adaptive) {
            line.host = Named(graph.host.iter().map(|h| h.name.clone()).zip(adaptive.values.iter().copied()).collect());
        }
        line.metrics = Named::new(self.task.metric_names(), sums.metrics.iter().map(mean));

        let state = &mut self.state;
        (state.update, state.env_steps) = (line.update, line.env_steps);
        if count > 0 && fitness.is_finite() {
            state.recent.push((fitness, count as u64));
        }
        while episodes(state) - state.recent.first().map_or(0, |r| r.1) >= RECENT_EPISODES {
            state.recent.remove(0);
        }
        line.recent_fitness = recent(state);
    }

    /// Records some episodes of the policy as it is now, few while training and more at its end, within the run's
    /// limit.
    pub(crate) fn keep_rollouts(&self, last: bool) -> Result<(), RunError> {
        let limit = self.config.run.rollout_mb << 20;
        if limit == 0 {
            return Ok(());
        }
        let channels = self.task.scene().recorded();
        // Half of the room is for the end, an eighth for each of the others. Equal columns are stored once, so it takes
        // less.
        let room = limit / if last { 2 } else { 8 };
        let fit = room / (4 * channels.len() * (self.task.episode_steps() + 1)).max(1) as u64;
        let wanted = if last { self.config.run.eval_episodes } else { ROLLOUT_EPISODES };
        let options = PlayOptions {
            episodes: wanted.min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1),
            seed: self.config.seed.wrapping_add(SEED_OFFSET),
            profile: self.config.profile()?,
            disturb: true,
            backend: self.config.backend()?,
        };
        let policy = self.policy();
        let task = &self.task;
        let player = |_, _| PolicyPlayer::new(task, &policy);
        let mut played = play_rollouts(task, &self.arm.reward, &options, &channels, player, &self.pool)?;
        (played.info.update, played.info.env_steps) = (self.state.update, self.state.env_steps);
        let path = self.folder.rollouts().join(crate::rollouts::file_name(self.state.update));
        played.write(&self.folder.writable(path)?, self.task.scene())?;
        self.trim_rollouts(limit)
    }

    /// Runs that were interrupted and resumed have more files than planned: the oldest but the first go when there is
    /// no room.
    fn trim_rollouts(&self, limit: u64) -> Result<(), RunError> {
        let folder = self.folder.rollouts();
        let entries = std::fs::read_dir(&folder).map_err(|e| RunError::io("read", &folder, e))?;
        let ours = |path: &Path| crate::rollouts::update_of(path).is_some();
        let files = entries.flatten().filter(|e| ours(&e.path()));
        let mut files: Vec<_> = files.map(|e| (e.path(), e.metadata().map_or(0, |m| m.len()))).collect();
        files.sort();
        while files.len() > 2 && files.iter().map(|f| f.1).sum::<u64>() > limit {
            let (path, _) = files.remove(1);
            std::fs::remove_file(&path).map_err(|e| RunError::io("remove", &path, e))?;
        }
        Ok(())
    }

    /// Writes a checkpoint now: to a slot, with `full` to a folder that is kept, with `sync` safely to the disk.
    pub(crate) fn checkpoint(&mut self, full: bool, sync: bool) -> Result<(), RunError> {
        let start = Instant::now();
        let fitness = recent(&self.state);
        let state = &mut self.state;
        if full
            && let Some(fitness) = fitness
            && episodes(state) >= BEST_EPISODES
            && state.best.is_none_or(|b| fitness > b.fitness)
        {
            state.best = Some(Best { update: state.update, fitness });
        }
        self.checkpoints.save(&self.arm.ppo, &mut self.arm.worlds, &self.state, full, sync)?;
        self.checkpoint_s = start.elapsed().as_secs_f64();
        Ok(())
    }
}

fn episodes(state: &LoopState) -> u64 {
    state.recent.iter().map(|r| r.1).sum()
}

/// Mean fitness of recent episodes.
pub(crate) fn recent(state: &LoopState) -> Option<f64> {
    let count = episodes(state);
    (count > 0).then(|| state.recent.iter().map(|r| r.0).sum::<f64>() / count as f64)
}

#[cfg(test)]
#[path = "train_tests.rs"]
mod tests;
