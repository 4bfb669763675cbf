//! The reward editor: script, manifest, parameters, history, while the reward runs.
//!
//! ```text
//! keys ─> buffers ─(30 ms after the last key)─> checker (own thread) ─> problems shown; a good reward is handed out
//! slider ─> values of the running reward, handed out in the same frame; nothing is compiled
//! files on disk ─(looked at each 0.5 s)─> buffers, or a bar that offers the choice
//! ```
//! How to use it, each frame: [`Editor::poll`], then any of [`Editor::ui`], [`Editor::parameters_ui`],
//! [`Editor::history_ui`], then [`Editor::take_change`] until it gives none. The first change is the reward as it was
//! opened, if it is good: [`Editor::reward`] has it at once. While there are errors the last good reward keeps running,
//! and the panel says which version that is. Versions count what was handed out, rewards and values alike: what
//! `Frame::reward_version` says.
//!
//! In the state folder: `history/<reward>/` ([`Version`]) and `changes.jsonl` ([`ParamChange`]).

mod bring;
mod check;
mod code;
mod files;
mod find;
mod history;
mod history_view;
mod infer;
mod names;
mod params;
mod popup;
mod tokens;
mod view;

pub use check::{File, Problem};
pub use history::Version;
pub use names::{Completion, Entry, Names};
pub use params::ParamChange;

pub(crate) use history_view::line as difference_line;
pub(crate) use tokens::{Language, coloured};

use bring::Brought;
use check::{Checker, Subject, Texts};
use code::Code;
use files::Files;
use find::Find;
use history::History;
use history_view::HistoryView;
use params::ChangeLog;
use pavlov_env::{Assets, EnvError, Task};
use pavlov_reward::{Manifest, Param, Reward, with_values};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A text is checked when nothing was typed for this long.
const QUIET: Duration = Duration::from_millis(30);
/// Files on disk are looked at this often.
const LOOK: Duration = Duration::from_millis(500);
/// A version that runs this long is kept in the history.
const KEPT_AFTER: Duration = Duration::from_secs(5);

/// Why the editor cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EditorError {
    /// There is no such reward.
    #[error(transparent)]
    Find(#[from] EnvError),
    /// A file that cannot be read.
    #[error("{path}: cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("{path}: cannot be written: {source}; \
             to work on a copy of your own: pavlov rewards new --help", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the history or of the log of changes that cannot be read.
    #[error("{path}:{line}: not a row of this file: {message}; \
             move the file away to begin a new one", path = .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A reward without a manifest cannot take another's parameters.
    #[error("{title} has parameters, and this reward is a lone script without a manifest: \
             open a reward that is a folder. {path}", path = .path.display())]
    NoManifest {
        /// What was to be put in.
        title: String,
        /// The script.
        path: PathBuf,
    },
    /// The system cannot start a thread.
    #[error("cannot start the checker: {0}")]
    Thread(std::io::Error),
}

/// A change for the running worlds.
#[derive(Debug, Clone)]
pub enum Change {
    /// Another reward, checked.
    Reward {
        /// The reward, with the values that the sliders show.
        reward: Arc<Reward>,
        /// Counts up with every change.
        version: u64,
    },
    /// The same reward with other values of its parameters, as `EnvBlock::set_reward_values` takes them.
    Values {
        /// [`Reward::values`].
        values: Vec<f32>,
        /// Counts up with every change.
        version: u64,
    },
}

impl Change {
    /// The version it begins.
    pub fn version(&self) -> u64 {
        match self {
            Self::Reward { version, .. } | Self::Values { version, .. } => *version,
        }
    }
}

/// The reward that runs.
#[derive(Debug)]
struct Running {
    reward: Arc<Reward>,
    texts: Texts,
    since: Instant,
    kept: bool,
}

/// State of the editor.
#[derive(Debug)]
pub struct Editor {
    subject: Subject,
    files: Files,
    script: Code,
    manifest: Option<Code>,
    /// The tab that is shown.
    tab: File,
    /// Buffers as the checker last got them, or is about to get them.
    seen: Texts,
    edited: Option<Instant>,
    /// Last key of the text that is being checked.
    last_key: Instant,
    checking: bool,
    checker: Checker,
    wake: Arc<OnceLock<egui::Context>>,
    looked: Instant,
    problems: Vec<Problem>,
    /// Number of the problem that is gone to next.
    problem_at: usize,
    running: Option<Running>,
    version: u64,
    pending: Option<Change>,
    /// Sliders that were moved since the checker was asked.
    moved: BTreeMap<String, f64>,
    params: BTreeMap<String, Param>,
    saved_params: BTreeMap<String, Param>,
    manifest_bad: bool,
    names: Names,
    find: Find,
    /// What others wrote while there were unsaved changes.
    outside: Option<Texts>,
    /// What was put in from elsewhere, until it is kept or taken back.
    brought: Option<Brought>,
    /// Trouble with files, in words, until it is closed.
    trouble: Option<String>,
    log: ChangeLog,
    history: History,
    view: HistoryView,
    last_latency: Option<Duration>,
}

fn params_of(text: Option<&str>) -> Option<BTreeMap<String, Param>> {
    toml::from_str::<Manifest>(text.unwrap_or_default()).ok().map(|m| m.params)
}

impl Editor {
    /// Opens a reward of a task, by name or path as the command line takes it, and checks it. A reward with errors is
    /// opened too: there is then no [`Editor::reward`] until they are gone.
    ///
    /// # Errors
    /// When there is no such reward, its files cannot be read, or the state folder cannot be used.
    pub fn open(assets: &Assets, task: &Arc<Task>, reward: &str, state: &Path) -> Result<Self, EditorError> {
        let (path, name) = pavlov_run::find_reward(assets, task, Some(reward))?;
        let files = Files::open(&path)?;
        let subject = Subject { path, name, scene: task.scene().clone() };
        let wake: Arc<OnceLock<egui::Context>> = Arc::default();
        let woken = wake.clone();
        let checker = Checker::start(subject.clone(), move || {
            if let Some(ctx) = woken.get() {
                ctx.request_repaint();
            }
        });
        let texts = files.saved.clone();
        let params = params_of(texts.manifest.as_deref()).unwrap_or_default();
        let code = |text: &String| Code::new(text.clone(), Language::Toml, "Manifest");
        let mut editor = Self {
            script: Code::new(texts.script.clone(), Language::Rhai, "Reward script"),
            manifest: texts.manifest.as_ref().map(code),
            tab: File::Script,
            edited: None,
            last_key: Instant::now(),
            checking: false,
            checker: checker.map_err(EditorError::Thread)?,
            wake,
            looked: Instant::now(),
            problems: Vec::new(),
            problem_at: 0,
            running: None,
            version: 0,
            pending: None,
            moved: BTreeMap::new(),
            names: Names::new(subject.scene.clone(), params.clone()),
            saved_params: params.clone(),
            params,
            manifest_bad: false,
            find: Find::default(),
            outside: None,
            brought: None,
            trouble: None,
            log: ChangeLog::open(state, &subject.name)?,
            history: History::open(state, &subject.name)?,
            view: HistoryView::default(),
            last_latency: None,
            seen: texts.clone(),
            subject,
            files,
        };
        let (reward, problems) = editor.subject.check(&texts);
        editor.manifest_bad = params_of(texts.manifest.as_deref()).is_none();
        editor.take_result(&texts, reward.map(Arc::new), problems);
        if editor.running.is_some() {
            editor.history.store(&texts, "opened")?;
        }
        Ok(editor)
    }

    /// The keyboard goes to the script.
    pub fn focus(&mut self) {
        self.tab = File::Script;
        let caret = self.script.caret();
        self.script.go_to(caret..caret);
    }

    /// Name of the reward.
    pub fn name(&self) -> &str {
        &self.subject.name
    }

    /// The last good reward, with the values that the sliders show.
    pub fn reward(&self) -> Option<&Arc<Reward>> {
        self.running.as_ref().map(|r| &r.reward)
    }

    /// The version that runs; 0 when none does.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The script as it stands in the editor.
    pub fn script(&self) -> &str {
        &self.script.text
    }

    /// Problems of the text, errors first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Are there errors, so that an older version runs?
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|p| p.error)
    }

    /// Is something not saved?
    pub fn is_dirty(&self) -> bool {
        self.script.text != self.files.saved.script
            || self.manifest.as_ref().map(|m| &m.text) != self.files.saved.manifest.as_ref()
    }

    /// Values of the parameters as the sliders show them.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, f64)> {
        self.params.iter().map(|(n, p)| (n.as_str(), p.value))
    }

    /// Changes of parameters so far, oldest first.
    pub fn changes(&self) -> &[ParamChange] {
        &self.log.rows
    }

    /// Versions that were kept, oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.history.versions
    }

    /// From the last key to the good reward being handed out, the last time.
    pub fn latency(&self) -> Option<Duration> {
        self.last_latency
    }

    /// The next change for the running worlds.
    pub fn take_change(&mut self) -> Option<Change> {
        self.pending.take()
    }

    fn texts(&self) -> Texts {
        Texts { script: self.script.text.clone(), manifest: self.manifest.as_ref().map(|m| m.text.clone()) }
    }

    fn manifest_broken(&self) -> bool {
        self.manifest_bad
    }

    /// Returns the value, or shows the error to the person.
    fn report<T>(&mut self, result: Result<T, EditorError>) -> Option<T> {
        result.map_err(|e| self.trouble = Some(e.to_string())).ok()
    }

    /// Once a frame: texts that were typed are checked, results taken, files on disk looked at.
    pub fn poll(&mut self, ctx: &egui::Context) {
        let _ = self.wake.set(ctx.clone());
        if self.script.text != self.seen.script
            || self.manifest.as_ref().map(|m| &m.text) != self.seen.manifest.as_ref()
        {
            self.edited = Some(Instant::now());
            self.seen = self.texts();
            let params = params_of(self.seen.manifest.as_deref());
            self.manifest_bad = params.is_none();
            if let Some(params) = params {
                self.params = params;
                self.names.set_params(&self.params);
            }
        }
        if let Some(at) = self.edited
            && !self.checking
        {
            let left = QUIET.saturating_sub(at.elapsed());
            if left.is_zero() {
                self.ask();
            } else {
                ctx.request_repaint_after(left);
            }
        }
        match self.checker.result() {
            Ok(Some(done)) => {
                self.checking = false;
                if self.edited.is_none() {
                    self.last_latency = done.reward.is_some().then(|| self.last_key.elapsed());
                    self.take_result(&done.texts, done.reward, done.problems);
                } else {
                    // Something was typed meanwhile: that is checked next.
                    ctx.request_repaint();
                }
            }
            Ok(None) => {}
            Err(check::CheckerGone) => {
                let message = "the checker stopped on this text: open the reward again, and report the script";
                self.problems = vec![Problem {
                    file: None,
                    line: 0,
                    column: 0,
                    error: true,
                    message: message.into(),
                    hint: String::new(),
                }];
            }
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.look();
        }
        ctx.request_repaint_after(LOOK);
        let held = ctx.input(|i| i.pointer.any_down());
        let name = self.subject.name.clone();
        let settled = self.log.settle(&name, held);
        if let Some(Some(left)) = self.report(settled) {
            ctx.request_repaint_after(left.max(Duration::from_millis(20)));
        }
        if let Some(running) = &mut self.running
            && !running.kept
            && running.since.elapsed() >= KEPT_AFTER
        {
            running.kept = true;
            let stored = self.history.store(&running.texts, "ran 5 s");
            self.report(stored);
        }
    }

    fn ask(&mut self) {
        self.last_key = self.edited.take().unwrap_or_else(Instant::now);
        self.checking = true;
        self.moved.clear();
        self.checker.ask(self.seen.clone());
    }

    /// Takes what a check found. A good reward is handed out with the values that the sliders show now.
    fn take_result(&mut self, texts: &Texts, reward: Option<Arc<Reward>>, problems: Vec<Problem>) {
        self.problems = problems;
        self.problems.sort_by_key(|p| !p.error);
        let Some(mut reward) = reward else { return };
        let mut texts = texts.clone();
        if !self.moved.is_empty() {
            let reward_mut = Arc::make_mut(&mut reward);
            for (name, x) in &self.moved {
                // A slider of a parameter that this text no longer has.
                let _ = reward_mut.set_param(name, *x);
            }
            let moved: Vec<(String, f64)> = std::mem::take(&mut self.moved).into_iter().collect();
            texts.manifest = texts.manifest.map(|m| with_values(&m, &moved));
        }
        self.files.watch_modules(reward.program().modules().map(|(_, path)| path.to_path_buf()));
        self.version += 1;
        self.pending = Some(Change::Reward { reward: reward.clone(), version: self.version });
        self.running = Some(Running { reward, texts, since: Instant::now(), kept: false });
    }

    /// Sets a parameter as its slider does.
    pub fn set_parameter(&mut self, name: &str, value: f64) {
        // A parameter is an f32: what is written, logged and handed out is one number.
        let value = format!("{:?}", value as f32).parse().unwrap_or(value);
        let (Some(p), Some(manifest)) = (self.params.get_mut(name), &mut self.manifest) else { return };
        let old = std::mem::replace(&mut p.value, value);
        if old == value {
            return;
        }
        manifest.text = with_values(&manifest.text, &[(name.to_string(), value)]);
        self.seen.manifest = Some(manifest.text.clone());
        self.names.set_params(&self.params);
        self.moved.insert(name.to_string(), value);
        let reward_name = self.subject.name.clone();
        let logged = self.log.moved(&reward_name, name, old, value);
        self.report(logged);
        let Some(running) = &mut self.running else { return };
        // A parameter that the running version does not know comes with the next one.
        if Arc::make_mut(&mut running.reward).set_param(name, value).is_ok() {
            running.texts.manifest =
                running.texts.manifest.take().map(|m| with_values(&m, &[(name.to_string(), value)]));
            running.since = Instant::now();
            running.kept = false;
            self.version += 1;
            let version = self.version;
            self.pending = Some(match self.pending.take() {
                Some(Change::Reward { .. }) => Change::Reward { reward: running.reward.clone(), version },
                _ => Change::Values { values: running.reward.values().to_vec(), version },
            });
        }
    }

    /// Writes both files, and keeps the version if it is good.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&mut self) -> Result<(), EditorError> {
        let texts = self.texts();
        self.log.close(&self.subject.name)?;
        self.files.save(&texts)?;
        self.outside = None;
        if let Some(params) = params_of(texts.manifest.as_deref()) {
            self.saved_params = params;
        }
        self.history.store(&texts, "saved")
    }

    /// Looks for changes that others made on disk.
    fn look(&mut self) {
        let was_dirty = self.is_dirty();
        let changed = self.files.changed();
        if let Some(Some(texts)) = self.report(changed) {
            if was_dirty && texts != self.texts() {
                self.outside = Some(texts);
            } else {
                self.load_outside(&texts);
            }
        }
        if self.files.modules_changed() {
            self.names.read_modules();
            self.edited = Some(Instant::now());
        }
    }

    /// Takes over what others wrote.
    fn load_outside(&mut self, texts: &Texts) {
        self.outside = None;
        self.files.saved = texts.clone();
        if let Some(params) = params_of(texts.manifest.as_deref()) {
            self.saved_params = params;
        }
        self.set_texts(texts);
    }
}
