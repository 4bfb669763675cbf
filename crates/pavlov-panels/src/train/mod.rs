//! Training inside the window: a run on a separate thread, with the newest policy handed out after every update.
//!
//! The run is the one `pavlov train` makes: the same folder, checkpoints and report, and `pavlov resume` goes on with
//! it. One core is left to the window. Pausing waits between two updates; stopping finishes the update, evaluates and
//! writes everything; dropping the handle stops after the present update and leaves its checkpoint.

mod panel;

pub use panel::{Settings, TrainPanel, TrainRequest};

use pavlov_env::Assets;
use pavlov_learn::Policy;
use pavlov_run::{Named, Overrides, ResumeOptions, RunError, Stop, Summary, Trainer, Update};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What is trained.
#[derive(Debug, Clone)]
pub enum Job {
    /// A new run.
    Create {
        /// Where tasks and rewards are.
        assets: Assets,
        /// Task.
        task: String,
        /// Reward, by name or path.
        reward: String,
        /// Settings.
        overrides: Box<Overrides>,
        /// Folder of runs.
        runs: PathBuf,
    },
    /// An existing run.
    Resume {
        /// Its folder.
        run: PathBuf,
        /// Threads.
        threads: usize,
    },
}

/// State of training.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Task, reward and worlds are being made.
    Starting,
    /// Updates are being made.
    Running,
    /// It holds between two updates.
    Paused,
    /// The final evaluation is being made and files are being written.
    Ending,
    /// It is over.
    Done(Box<Summary>),
    /// It failed: why.
    Failed(String),
}

/// One point of the curves.
#[derive(Debug, Clone, Default)]
pub struct Point {
    /// Environment steps.
    pub env_steps: u64,
    /// Mean over the episodes that ended in the update.
    pub episode_return: Option<f64>,
    /// The same; the task's measure.
    pub fitness: Option<f64>,
    /// Share of them.
    pub success: Option<f64>,
    /// Mean of each term over steps.
    pub terms: Named<Option<f64>>,
}

/// What the thread has sent.
#[derive(Debug, Default)]
struct News {
    state: Option<State>,
    points: Vec<Point>,
    policy: Option<Policy>,
    progress: f64,
    steps_per_s: f64,
    elapsed_s: f64,
    folder: Option<PathBuf>,
    warnings: Vec<String>,
}

struct Shared {
    news: Mutex<News>,
    stop: AtomicBool,
    leave: AtomicBool,
    paused: Mutex<bool>,
    resumed: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// A run being trained.
pub struct Training {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    points: Vec<Point>,
}

/// Threads for training: one core is the window's.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1))
}

impl Training {
    /// Starts a run. `wake` is called after every update and change of state.
    pub fn start(job: Job, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let news = News { state: Some(State::Starting), ..News::default() };
        let shared = Arc::new(Shared {
            news: Mutex::new(news),
            stop: AtomicBool::new(false),
            leave: AtomicBool::new(false),
            paused: Mutex::new(false),
            resumed: Condvar::new(),
            wake: Box::new(wake),
        });
        let of_thread = shared.clone();
        let spawned = std::thread::Builder::new().name("training".into()).spawn(move || work(&of_thread, job));
        let thread = match spawned {
            Ok(thread) => Some(thread),
            Err(error) => {
                shared.say(State::Failed(format!("cannot start a thread for training: {error}")));
                None
            }
        };
        Self { shared, thread, points: Vec::new() }
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.shared.news().state.clone().unwrap_or(State::Starting)
    }

    /// Is there still work being done, or waiting to go on?
    pub fn is_active(&self) -> bool {
        !matches!(self.state(), State::Done(_) | State::Failed(_))
    }

    /// The curves so far.
    pub fn points(&mut self) -> &[Point] {
        self.points.append(&mut self.shared.news().points);
        &self.points
    }

    /// The newest policy, once each.
    pub fn take_policy(&self) -> Option<Policy> {
        self.shared.news().policy.take()
    }

    /// Warnings of the run, each once.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.news().warnings)
    }

    /// Folder of the run, once there is one.
    pub fn folder(&self) -> Option<PathBuf> {
        self.shared.news().folder.clone()
    }

    /// Share of the run that is done, seconds trained, environment steps per second.
    pub fn progress(&self) -> (f64, f64, f64) {
        let news = self.shared.news();
        (news.progress, news.elapsed_s, news.steps_per_s)
    }

    /// Holds after the present update, or goes on.
    pub fn pause(&self, on: bool) {
        *self.shared.paused.lock().unwrap_or_else(PoisonError::into_inner) = on;
        self.shared.resumed.notify_all();
    }

    /// Ends the run after the present update: evaluation, policy, clip, report.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.pause(false);
    }

    /// Leaves after the present update without the evaluation; its checkpoint stays, `resume` goes on from it.
    pub fn leave(&self) {
        self.shared.leave.store(true, Ordering::Relaxed);
        self.stop();
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn news(&self) -> std::sync::MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, state: State) {
        self.news().state = Some(state);
        (self.wake)();
    }

    /// Waits while it is paused.
    fn hold(&self) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if *paused && !self.stop.load(Ordering::Relaxed) {
            self.say(State::Paused);
            while *paused && !self.stop.load(Ordering::Relaxed) {
                paused = self.resumed.wait(paused).unwrap_or_else(PoisonError::into_inner);
            }
            self.say(State::Running);
        }
    }

    fn add(&self, trainer: &Trainer, update: &Update) {
        let line = &update.metrics;
        let mut news = self.news();
        news.points.push(Point {
            env_steps: line.env_steps,
            episode_return: line.ended.episode_return,
            fitness: line.fitness,
            success: line.success,
            terms: line.terms.clone(),
        });
        news.policy = Some(trainer.policy());
        news.progress = trainer.progress();
        news.elapsed_s = line.timing.elapsed_s;
        news.steps_per_s = line.timing.env_steps_per_s;
        news.warnings.extend(update.warnings.iter().cloned());
        drop(news);
        (self.wake)();
    }
}

fn open(job: Job) -> Result<Trainer, RunError> {
    match job {
        Job::Create { assets, task, reward, overrides, runs } => {
            Trainer::create(&assets, &task, Some(&reward), &overrides, &runs, None)
        }
        Job::Resume { run, threads } => {
            Trainer::resume(&run, &ResumeOptions { threads: Some(threads), ..ResumeOptions::default() })
        }
    }
}

fn work(shared: &Shared, job: Job) {
    let mut trainer = match open(job) {
        Ok(trainer) => trainer,
        Err(error) => return shared.say(State::Failed(error.to_string())),
    };
    {
        let mut news = shared.news();
        news.folder = Some(trainer.folder().root().to_path_buf());
        news.warnings = trainer.take_warnings();
        news.policy = Some(trainer.policy());
    }
    shared.say(State::Running);
    let result = trainer.run(&shared.stop, |trainer, update| {
        shared.add(trainer, update);
        shared.hold();
    });
    let left = shared.leave.load(Ordering::Relaxed);
    let ended = match result {
        Ok(Stop::Interrupted) if left => return,
        Ok(reason) => {
            shared.say(State::Ending);
            trainer.finish(reason)
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(summary) => shared.say(State::Done(Box::new(summary))),
        Err(error) => {
            trainer.fail(&error);
            shared.say(State::Failed(error.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn wait(mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < end, "waited for a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn job(runs: &std::path::Path, steps: u64) -> Job {
        let overrides = Overrides { worlds: Some(16), steps: Some(steps), threads: Some(1), ..Overrides::default() };
        Job::Create {
            assets: Assets::find(None),
            task: "cartpole_balance".into(),
            reward: "default".into(),
            overrides: Box::new(overrides),
            runs: runs.to_path_buf(),
        }
    }

    #[test]
    fn a_run_is_paused_goes_on_and_ends_with_everything_written() {
        let runs = tempfile::tempdir().unwrap();
        let mut training = Training::start(job(runs.path(), 1 << 40), || {});
        wait(|| training.points().len() >= 2);
        assert!(training.take_policy().is_some_and(|p| p.act_dim() == 1));
        training.pause(true);
        wait(|| training.state() == State::Paused);
        let held = training.points().len();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(training.points().len(), held);
        training.pause(false);
        wait(|| training.points().len() > held);
        training.stop();
        wait(|| !training.is_active());
        let State::Done(summary) = training.state() else { panic!("{:?}", training.state()) };
        assert_eq!(summary.stop, Some(Stop::Interrupted));
        assert!(training.folder().unwrap().join("report.html").is_file());
    }

    #[test]
    fn leaving_keeps_a_checkpoint_that_can_be_resumed() {
        let runs = tempfile::tempdir().unwrap();
        let mut training = Training::start(job(runs.path(), 1 << 40), || {});
        wait(|| training.points().len() >= 3);
        let folder = training.folder().unwrap();
        let seen = training.points().last().unwrap().env_steps;
        drop(training);
        let trainer = Trainer::resume(&folder, &ResumeOptions::default()).unwrap();
        assert!(trainer.state().env_steps >= seen, "{} {seen}", trainer.state().env_steps);
    }

    #[test]
    fn a_reward_that_is_not_there_is_a_failure_in_words() {
        let runs = tempfile::tempdir().unwrap();
        let mut wrong = job(runs.path(), 1);
        if let Job::Create { reward, .. } = &mut wrong {
            *reward = "nosuch".into();
        }
        let training = Training::start(wrong, || {});
        wait(|| !training.is_active());
        assert!(matches!(training.state(), State::Failed(why) if why.contains("nosuch")));
    }
}
