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
//! What is not the person's own ([`Foreign`]) is saved as a copy under a name of its own: [`Editor::save_as`].
//!
//! In the state folder: `history/<reward>/` ([`Version`]), `changes.jsonl` ([`ParamChange`]) and `drafts/` ([`Draft`]).

mod bring;
mod check;
mod code;
mod draft;
mod error;
mod files;
mod find;
mod history;
mod history_view;
mod infer;
mod names;
mod of_run;
mod own_copy;
mod params;
mod place;
mod popup;
mod saving;
mod tokens;
mod view;

pub use check::{File, Problem};
pub use draft::Draft;
pub use error::EditorError;
pub use history::Version;
pub use names::{Completion, Entry, Names};
pub use params::ParamChange;
pub use place::Foreign;

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
use pavlov_env::{Assets, Task};
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
    assets: Assets,
    /// Name of the task.
    task: String,
    state: PathBuf,
    /// Whose the text is, when it is not the person's own.
    foreign: Option<Foreign>,
    draft: draft::Writer,
    /// Saving was asked for, and needs a name first.
    wants_name: bool,
    /// What the person should know about the text, until it is closed.
    notice: Option<String>,
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

/// Wakes the window, once there is one.
fn waker(wake: &Arc<OnceLock<egui::Context>>) -> impl Fn() + Send + 'static + use<> {
    let wake = wake.clone();
    move || {
        if let Some(ctx) = wake.get() {
            ctx.request_repaint();
        }
    }
}

impl Editor {
    /// Opens a reward of a task, by name or path as the command line takes it, and checks it. A reward with errors is
    /// opened too: there is then no [`Editor::reward`] until they are gone.
    ///
    /// # Errors
    /// When there is no such reward, its files cannot be read, or the state folder cannot be used.
    pub fn open(assets: &Assets, task: &Arc<Task>, reward: &str, state: &Path) -> Result<Self, EditorError> {
        let (path, name) = pavlov_run::find_reward(assets, task, Some(reward))?;
        let name = of_run::name(&path).unwrap_or(name);
        let mut files = Files::open(&path)?;
        let written = std::iter::once(files.script.as_path()).chain(files.manifest.as_deref());
        let foreign = place::of(&path, &name, state, &written.collect::<Vec<_>>());
        let notice = of_run::as_it_was(&path, &mut files.saved, assets, task);
        let subject = Subject { path, name, scene: task.scene().clone() };
        let wake: Arc<OnceLock<egui::Context>> = Arc::default();
        let checker = Checker::start(subject.clone(), waker(&wake));
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
            assets: assets.clone(),
            task: task.name.clone(),
            state: state.to_path_buf(),
            foreign,
            draft: draft::Writer::new(state, &task.name),
            wants_name: false,
            notice,
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

    /// What the text is: the reward's name, or what was put in from elsewhere.
    pub fn title(&self) -> &str {
        self.foreign.as_ref().map_or(&self.subject.name, |f| &f.title)
    }

    /// What the person should know about the text.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Was saving asked for, of a text that needs a name first? Once each.
    pub fn take_name_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_name)
    }

    /// The last good reward, with the values that the sliders show.
    pub fn reward(&self) -> Option<&Arc<Reward>> {
        self.running.as_ref().map(|r| &r.reward)
    }

    /// The version that runs; 0 when none does.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// [`Self::reward`] with its script.
    pub fn running(&self) -> Option<(&Arc<Reward>, &str)> {
        self.running.as_ref().map(|r| (&r.reward, r.texts.script.as_str()))
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

    /// Has the person edited something that is kept nowhere else? A candidate as the search has it is not saved, and
    /// yet nothing is lost with it.
    pub fn has_edits(&self) -> bool {
        let kept = self.brought.as_ref().and_then(|b| b.kept.as_ref());
        self.is_dirty() && kept.is_none_or(|kept| *kept != self.texts())
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
        if let Some(wait) = self.keep_draft() {
            ctx.request_repaint_after(wait);
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

    fn waker(&self) -> impl Fn() + Send + 'static + use<> {
        waker(&self.wake)
    }
}
