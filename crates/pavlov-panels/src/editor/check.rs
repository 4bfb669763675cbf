//! Checking on a separate thread: what is typed becomes a reward, or a list of its problems.
//!
//! Only the newest text is checked; texts that were asked for while a check ran are passed over.

use pavlov_common::plain;
use pavlov_reward::{Reward, RewardError};
use pavlov_script::{Finding, Scene, Severity};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Which of a reward's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum File {
    /// `reward.rhai`, or the lone script.
    Script,
    /// `reward.toml`.
    Manifest,
}

/// Something wrong, or not as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file it is in; none for a module or when it has no place.
    pub file: Option<File>,
    /// Line from 1; 0 without a place.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Does the reward run with it?
    pub error: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    /// Place and message in one line: `line 7: no body ...`.
    pub fn text(&self) -> String {
        let place = match (self.file, self.line) {
            (_, 0) => String::new(),
            (Some(File::Manifest), line) => format!("reward.toml, line {line}: "),
            (_, line) => format!("line {line}: "),
        };
        let hint = if self.hint.is_empty() { String::new() } else { format!(" ({})", self.hint) };
        format!("{place}{}{hint}", self.message)
    }
}

/// What is to be checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Texts {
    pub script: String,
    /// None for a lone `.rhai`.
    pub manifest: Option<String>,
}

/// What a check found.
#[derive(Debug)]
pub(crate) struct Checked {
    pub texts: Arc<Texts>,
    pub reward: Option<Arc<Reward>>,
    pub problems: Vec<Problem>,
}

/// Where a reward is and what it is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Folder, or lone `.rhai` file.
    pub path: PathBuf,
    pub name: String,
    pub scene: Arc<Scene>,
}

impl Subject {
    /// Checks on the calling thread.
    pub fn check(&self, texts: &Texts) -> (Option<Reward>, Vec<Problem>) {
        let (reward, mut problems) = self.judge(texts);
        for p in &mut problems {
            (p.message, p.hint) = (plain(&p.message), plain(&p.hint));
        }
        (reward, problems)
    }

    fn judge(&self, texts: &Texts) -> (Option<Reward>, Vec<Problem>) {
        let built = Reward::from_texts(&self.path, &self.name, &texts.script, texts.manifest.as_deref(), &self.scene);
        match built {
            Ok(reward) => {
                let problems = reward.findings().iter().map(|f| self.finding(f)).collect();
                (Some(reward), problems)
            }
            Err(RewardError::Script(found)) => (None, found.findings.iter().map(|f| self.finding(f)).collect()),
            Err(RewardError::Graph { line, column, message, .. }) => {
                let file = Some(File::Manifest);
                (None, vec![Problem { file, line, column, error: true, message, hint: String::new() }])
            }
            Err(other) => {
                let message = other.to_string();
                (None, vec![Problem { file: None, line: 0, column: 0, error: true, message, hint: String::new() }])
            }
        }
    }

    fn finding(&self, f: &Finding) -> Problem {
        let script = if self.path.extension().is_some_and(|e| e == "rhai") {
            self.path.clone()
        } else {
            self.path.join("reward.rhai")
        };
        let in_script = Path::new(&f.file) == script;
        let (file, mut message) = match (in_script, f.rule.as_str()) {
            (true, _) => (Some(File::Script), f.message.clone()),
            // The graph's own warnings carry the manifest's name.
            (false, "unused-term") => (Some(File::Manifest), f.message.clone()),
            (false, _) => (None, format!("{}:{}: {}", f.file, f.line, f.message)),
        };
        if !f.term.is_empty() && !message.contains(&format!("`{}`", f.term)) {
            message = format!("term `{}`: {message}", f.term);
        }
        let line = if file.is_some() { f.line } else { 0 };
        let error = f.severity == Severity::Error;
        Problem { file, line, column: f.column, error, message, hint: f.hint.clone() }
    }
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Checker {
    to: Sender<Arc<Texts>>,
    from: Receiver<Checked>,
}

impl Checker {
    /// Starts it; `wake` is called when a result is there.
    pub fn start(subject: Subject, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (to, jobs) = channel::<Arc<Texts>>();
        let (results, from) = channel();
        std::thread::Builder::new().name("reward-check".into()).spawn(move || {
            while let Ok(mut job) = jobs.recv() {
                while let Ok(newer) = jobs.try_recv() {
                    job = newer;
                }
                let (reward, problems) = subject.check(&job);
                let reward = reward.map(Arc::new);
                if results.send(Checked { texts: job, reward, problems }).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(Self { to, from })
    }

    /// Asks for a check. The thread lives as long as the editor.
    pub fn ask(&self, texts: Texts) {
        // It can only be gone after a panic in the checker, which `result` reports.
        let _ = self.to.send(Arc::new(texts));
    }

    /// A result, when there is one.
    pub fn result(&self) -> Result<Option<Checked>, CheckerGone> {
        match self.from.try_recv() {
            Ok(checked) => Ok(Some(checked)),
            Err(std::sync::mpsc::TryRecvError::Empty) => Ok(None),
            Err(std::sync::mpsc::TryRecvError::Disconnected) => Err(CheckerGone),
        }
    }
}

/// The checking thread ended, which only a fault in the checker does.
#[derive(Debug)]
pub(crate) struct CheckerGone;
