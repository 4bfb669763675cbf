//! Worlds that run while a person watches, on a separate thread.
//!
//! ```text
//! Command ──> thread: LiveWorlds::step at the pace of the clock ──> frames, status; then `wake`
//! ```
//! Every step gives a [`Frame`]; they wait in a queue until [`Live::frames`] takes them. A reader that does not look
//! for [`QUEUE`] steps loses the oldest, which are counted.

mod driver;
mod frame;
mod touch;
mod worlds;

pub use driver::Driver;
pub use frame::{ContactShown, Frame, Names};
pub use worlds::{LiveError, LiveOptions, LiveWorlds};

use pavlov_reward::Reward;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most frames that wait.
pub const QUEUE: usize = 512;
/// Lag behind the clock, s, beyond which the worlds stop catching up.
const SLIP_S: f64 = 0.1;

/// A command for the worlds.
#[derive(Debug)]
pub enum Command {
    /// Run or stand.
    Play(bool),
    /// One control step, running or not.
    Step,
    /// Simulated seconds per second: 1 is real time.
    Speed(f64),
    /// New episodes everywhere.
    Reset,
    /// Another reward, with its version.
    Reward(Arc<Reward>, u64),
    /// Other parameters of it, with their version.
    Values(Vec<f32>, u64),
    /// Who acts.
    Driver(Driver),
    /// A force on a body of a world (world, body, N), or none any more.
    Force(usize, usize, Option<[f32; 3]>),
    /// Contacts in frames, or not.
    Contacts(bool),
    /// The selected world.
    Select(Option<usize>),
}

/// State of the worlds.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Do they run?
    pub playing: bool,
    /// Speed that was asked for.
    pub speed: f64,
    /// Speed over the last second or so.
    pub achieved: f64,
    /// Who acts.
    pub driver: &'static str,
    /// The last thing that went wrong.
    pub error: Option<String>,
    /// Frames that nobody took.
    pub lost: u64,
}

struct Shared {
    frames: Mutex<VecDeque<Arc<Frame>>>,
    status: Mutex<Status>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The content is consistent after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running worlds. Dropping it ends them.
pub struct Live {
    commands: Option<Sender<Command>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts the worlds, running in real time. `wake` is called after every step.
    pub fn start(mut worlds: LiveWorlds, wake: impl Fn() + Send + 'static) -> Self {
        let status =
            Status { playing: true, speed: 1.0, achieved: 0.0, driver: worlds.driver().name(), error: None, lost: 0 };
        let first = Arc::new(worlds.frame());
        let shared = Arc::new(Shared { frames: Mutex::new(VecDeque::from([first])), status: Mutex::new(status) });
        let (commands, inbox) = channel();
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("live worlds".into()).spawn(move || {
            Runner { dt: worlds.task().control_dt(), worlds, shared: of_thread, wake: Box::new(wake) }.run(&inbox);
        });
        // Without a thread nothing moves; the status says why.
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                lock(&shared.status).error = Some(format!("cannot start the thread of the worlds: {error}"));
                None
            }
        };
        Self { commands: Some(commands), shared, thread }
    }

    /// Sends the worlds a command.
    pub fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // A thread that has ended has left its reason in the status.
            let _ = commands.send(command);
        }
    }

    /// The frames since the last call, oldest first.
    pub fn frames(&self) -> Vec<Arc<Frame>> {
        lock(&self.shared.frames).drain(..).collect()
    }

    /// How the worlds are.
    pub fn status(&self) -> Status {
        lock(&self.shared.status).clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

struct Runner {
    worlds: LiveWorlds,
    shared: Arc<Shared>,
    wake: Box<dyn Fn() + Send>,
    dt: f64,
}

impl Runner {
    fn run(mut self, inbox: &Receiver<Command>) {
        let mut next = Instant::now();
        let mut pace = Pace::new();
        loop {
            let (playing, speed) = {
                let status = lock(&self.shared.status);
                (status.playing, status.speed)
            };
            let received = if playing {
                let now = Instant::now();
                if now >= next {
                    self.step();
                    let late = now.duration_since(next).as_secs_f64();
                    next = if late > SLIP_S { now } else { next } + Duration::from_secs_f64(self.dt / speed);
                    lock(&self.shared.status).achieved = pace.add(self.dt);
                }
                inbox.recv_timeout(next.saturating_duration_since(Instant::now()))
            } else {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match received {
                Ok(command) => {
                    if matches!(command, Command::Play(true) | Command::Speed(_)) {
                        next = Instant::now();
                        pace = Pace::new();
                    }
                    self.obey(command);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn step(&mut self) {
        match self.worlds.step() {
            Ok(frame) => self.publish(frame),
            Err(error) => self.fail(&error),
        }
    }

    fn publish(&mut self, frame: Frame) {
        let mut frames = lock(&self.shared.frames);
        if frames.len() >= QUEUE {
            frames.pop_front();
            lock(&self.shared.status).lost += 1;
        }
        frames.push_back(Arc::new(frame));
        drop(frames);
        (self.wake)();
    }

    fn fail(&self, error: &LiveError) {
        let mut status = lock(&self.shared.status);
        status.error = Some(error.to_string());
        drop(status);
        (self.wake)();
    }

    fn obey(&mut self, command: Command) {
        let mut done = Ok(());
        match command {
            Command::Play(on) => lock(&self.shared.status).playing = on,
            Command::Speed(speed) => lock(&self.shared.status).speed = speed.clamp(0.01, 100.0),
            Command::Step => self.step(),
            Command::Reset => {
                self.worlds.reset();
                let frame = self.worlds.frame();
                self.publish(frame);
            }
            Command::Reward(reward, version) => done = self.worlds.set_reward(&reward, version),
            Command::Values(values, version) => self.worlds.set_values(&values, version),
            Command::Driver(driver) => {
                done = self.worlds.set_driver(driver);
                lock(&self.shared.status).driver = self.worlds.driver().name();
            }
            Command::Force(world, body, force) => done = self.worlds.set_force(world, body, force),
            Command::Contacts(on) => self.worlds.contacts = on,
            Command::Select(world) => self.worlds.selected = world,
        }
        match done {
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
    }
}

/// Simulated time per time over the last second.
struct Pace {
    steps: VecDeque<(Instant, f64)>,
}

impl Pace {
    fn new() -> Self {
        Self { steps: VecDeque::new() }
    }

    fn add(&mut self, dt: f64) -> f64 {
        let now = Instant::now();
        self.steps.push_back((now, dt));
        while self.steps.front().is_some_and(|(t, _)| now.duration_since(*t).as_secs_f64() > 1.0) {
            self.steps.pop_front();
        }
        let first = self.steps.front().map_or(now, |s| s.0);
        let simulated: f64 = self.steps.iter().skip(1).map(|s| s.1).sum();
        simulated / now.duration_since(first).as_secs_f64().max(1e-3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::{Assets, Task};
    use pavlov_reward::Manifest;

    fn wait(mut done: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if done() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }

    fn reward(task: &Task, text: &str) -> Arc<Reward> {
        Arc::new(Reward::from_text("t", "t.rhai", text, Manifest::default(), task.scene()).unwrap())
    }

    fn start() -> (Arc<Task>, Live) {
        let task = Arc::new(Task::load(&Assets::find(None), "cartpole_balance").unwrap());
        let worlds = LiveWorlds::new(&task, &reward(&task, "fn reward(s) { #{ a: 1.0 } }"), 1, &LiveOptions::default());
        (task, Live::start(worlds.unwrap(), || {}))
    }

    #[test]
    fn paused_worlds_stand_and_take_single_steps() {
        let (_, live) = start();
        live.send(Command::Play(false));
        assert!(wait(|| !live.status().playing));
        live.frames();
        let before = live.status();
        live.send(Command::Step);
        let mut frames = Vec::new();
        assert!(wait(|| {
            frames.extend(live.frames());
            !frames.is_empty()
        }));
        std::thread::sleep(Duration::from_millis(60));
        frames.extend(live.frames());
        assert_eq!(frames.len(), 1);
        assert!(!before.playing);
    }

    /// The studio's limit for a weight is 200 ms from the key to the plot; this is the worlds' part of it.
    #[test]
    fn a_new_reward_is_in_the_frames_within_a_few_steps() {
        let (task, live) = start();
        live.send(Command::Reward(reward(&task, "fn reward(s) { #{ b: 2.0 } }"), 7));
        let start = Instant::now();
        assert!(wait(|| live.frames().iter().any(|f| f.reward_version == 7 && f.total[0] == 2.0)));
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        assert_eq!(live.status().error, None);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let (_, live) = start();
        live.send(Command::Force(99, 1, Some([1.0, 0.0, 0.0])));
        assert!(wait(|| live.status().error.is_some_and(|e| e.contains("world 99"))), "{:?}", live.status());
    }
}
