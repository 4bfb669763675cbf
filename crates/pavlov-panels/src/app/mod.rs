//! The whole studio but for its window: what is open, what passes between the panels, and the layout.
//!
//! ```text
//! frame(ctx): poll threads ─> panels (top, left, right, bottom) ─> picture in the middle ─> dialogs
//! picture():  the stage and the views that the window's renderer draws under the middle
//! ```

mod admission;
mod chooser;
mod design;
mod dialogs;
mod leave;
mod look_back;
mod searches;
mod session;
mod state;
mod viewport;

pub use session::{Session, Wake};
pub use state::{Mode, Remembered, Sheet, Side};

use crate::keys::{self, Action};
use crate::prefs::Labelling;
use crate::runs::{Replay, Runs};
use crate::scene::{Orbit, Stage, View};
use crate::searches::Searches;
use crate::theme::{self, Theme};
use crate::train::TrainPanel;
use anyhow::{Context as _, Result};
use egui::{Context, Panel, Ui};
use pavlov_common::errors::told;
use pavlov_common::plain;
use pavlov_env::{Assets, Task};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use viewport::Viewport;

/// Most live worlds.
pub const MAX_WORLDS: usize = 256;

/// What the studio is opened with.
#[derive(Clone)]
pub struct Options {
    /// Where tasks, rewards and robots are.
    pub assets: Assets,
    /// Folder of runs.
    pub runs: PathBuf,
    /// Folder of the remembered state.
    pub state: PathBuf,
    /// Task to open.
    pub task: Option<String>,
    /// Reward to open.
    pub reward: Option<String>,
    /// Live worlds.
    pub worlds: Option<usize>,
    /// Wakes the window.
    pub wake: Wake,
    /// What the person should read at the start.
    pub troubles: Vec<String>,
}

/// An action as a menu shows it, with its key.
const MODES: [(Mode, &str, Action); 4] = [
    (Mode::Design, "Design", Action::Design),
    (Mode::Runs, "Runs", Action::Runs),
    (Mode::Label, "Compare", Action::Label),
    (Mode::Searches, "Searches", Action::Searches),
];

/// Does the window stay open?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    Go,
    /// The person has left.
    Quit,
}

/// Where the studio remembers things, unless told otherwise: in the user's configuration folder.
pub fn state_folder() -> Option<PathBuf> {
    dirs::config_dir().map(|c| c.join("pavlov").join("studio"))
}

/// The studio.
pub struct Studio {
    options: Options,
    remembered: Remembered,
    session: Option<Session>,
    train: TrainPanel,
    runs: Runs,
    replay: Option<Replay>,
    searches: Searches,
    /// The task of the session, and the result of opening it.
    labelling: Option<(String, Result<Labelling, String>)>,
    chooser: chooser::Chooser,
    dialogs: dialogs::Dialogs,
    questions: leave::Questions,
    admission: admission::Admission,
    hands: Vec<Viewport>,
    views: Vec<View>,
    adapter: (String, bool),
    window: [f32; 2],
    /// What `studio.toml` was last written with.
    stored: Option<Remembered>,
    /// It could not be written, which was said.
    unsaved_state: bool,
    last: Instant,
    saved: Instant,
    quit: bool,
    notes: Vec<String>,
    was_training: bool,
    /// Another number of robots was asked for.
    new_worlds: bool,
}

impl Studio {
    /// Reads what is remembered and opens the task; without one the chooser is shown.
    ///
    /// # Errors
    /// When a task or reward that was asked for cannot be opened. One that is only remembered is dropped with a
    /// message.
    pub fn open(options: Options) -> Result<Self> {
        let (mut remembered, messages) = Remembered::load(&options.state);
        if let Some(worlds) = options.worlds {
            remembered.worlds = worlds.clamp(1, MAX_WORLDS);
        }
        let task_given = options.task.is_some();
        if task_given && options.task != remembered.task {
            remembered.reward = None;
        }
        remembered.task = options.task.clone().or(remembered.task);
        remembered.reward = options.reward.clone().or(remembered.reward);
        let (drafts, unread) = crate::editor::Draft::left_behind(&options.state);
        let offered = (!drafts.is_empty()).then(|| format!("{} drafts are offered", drafts.len()));
        let now = Instant::now();
        let mut studio = Self {
            train: TrainPanel::new(remembered.training.clone()),
            runs: Runs::new(&options.runs),
            replay: None,
            searches: Searches::new(&options.runs),
            labelling: None,
            chooser: chooser::Chooser::new(&options.assets),
            dialogs: dialogs::Dialogs::default(),
            questions: leave::Questions::new(drafts),
            admission: admission::Admission::default(),
            session: None,
            hands: Vec::new(),
            views: Vec::new(),
            adapter: (String::new(), false),
            window: remembered.window,
            stored: None,
            unsaved_state: false,
            last: now,
            saved: now,
            quit: false,
            notes: offered.into_iter().collect(),
            was_training: false,
            new_worlds: false,
            remembered,
            options,
        };
        studio.dialogs.messages.extend(messages.into_iter().chain(unread));
        studio.dialogs.messages.extend(studio.options.troubles.iter().cloned());
        if let Some(task) = studio.remembered.task.clone() {
            let reward = studio.remembered.reward.clone();
            match studio.open_task(&task, reward.as_deref()) {
                Ok(()) => {}
                Err(error) if task_given => return Err(error),
                Err(error) => {
                    studio.dialogs.messages.push(told(error.as_ref()));
                    studio.remembered.task = None;
                }
            }
        }
        Ok(studio)
    }

    /// Opens a task with a reward; its own when none is given.
    ///
    /// # Errors
    /// When either cannot be read or run.
    pub fn open_task(&mut self, name: &str, reward: Option<&str>) -> Result<()> {
        let assets = &self.options.assets;
        let task = Arc::new(Task::load(assets, name).with_context(|| format!("cannot open task {name}"))?);
        let reward = reward.unwrap_or(task.default_reward()).to_string();
        let (state, worlds) = (&self.options.state, self.remembered.worlds);
        let mut session = Session::open(assets, task, &reward, state, worlds, &self.options.wake)?;
        session.terms.set_heat(self.remembered.heat.as_deref());
        session.live.send(crate::live::Command::Speed(self.remembered.speed));
        let size = session.stage.size();
        if self.remembered.task.as_deref() != Some(name) || self.remembered.camera == Orbit::default() {
            self.remembered.camera = Orbit::around([0.0, 0.0, 0.4 * size], 1.6 * size);
        }
        self.session = Some(session);
        self.remembered.task = Some(name.to_string());
        self.remembered.reward = Some(reward);
        self.remembered.mode = Mode::Design;
        Ok(())
    }

    /// What the window's renderer draws: robots and views, in points of the window.
    pub fn picture(&self) -> Option<(&Stage, &[View])> {
        let stage = match self.remembered.mode {
            Mode::Design => &self.session.as_ref()?.stage,
            Mode::Runs => self.replay.as_ref()?.stage()?,
            Mode::Label => self.labelling.as_ref()?.1.as_ref().ok()?.stage(),
            Mode::Searches => return None,
        };
        // A view of robots that are gone by now is not drawn.
        let whole = self.views.iter().all(|v| v.robots.end <= stage.robots.len());
        whole.then_some((stage, &self.views))
    }

    /// The selected world and link.
    pub fn selected(&self) -> Option<(usize, Option<usize>)> {
        self.session.as_ref()?.selected
    }

    /// The searches.
    pub fn searches(&self) -> &Searches {
        &self.searches
    }

    /// The reward in the editor.
    pub fn editor(&self) -> Option<&crate::editor::Editor> {
        self.session.as_ref().map(|s| &s.editor)
    }

    /// The comparison of behaviours that is open.
    pub fn labelling(&self) -> Option<&Labelling> {
        self.labelling.as_ref()?.1.as_ref().ok()
    }

    /// The replay that is open.
    pub fn replay(&self) -> Option<&Replay> {
        self.replay.as_ref()
    }

    /// Light or dark.
    pub fn theme(&self) -> Theme {
        self.remembered.theme
    }

    /// Scale of everything.
    pub fn zoom(&self) -> f32 {
        self.remembered.zoom
    }

    /// Size of the window at the last end, points.
    pub fn window_size(&self) -> [f32; 2] {
        self.remembered.window
    }

    /// Size of the window now.
    pub fn set_window_size(&mut self, size: [f32; 2]) {
        self.window = size;
    }

    /// The adapter that draws, and whether it needs cheaper pictures.
    pub fn set_adapter(&mut self, name: &str, low: bool) {
        self.adapter = (name.to_string(), low);
    }

    /// The window is to be closed: asks first when something is unsaved or running.
    pub fn ask_to_close(&mut self) {
        self.ask(leave::Then::Quit);
        (self.options.wake)();
    }

    /// Closes; asks first when something is running.
    fn close_now(&mut self) {
        if self.train.is_active() {
            self.dialogs.closing = true;
        } else {
            self.quit = true;
        }
    }

    /// One frame in a ui as large as the window: everything but the picture itself.
    pub fn frame(&mut self, ui: &mut Ui) -> Flow {
        let ctx = &ui.ctx().clone();
        let now = Instant::now();
        let dt = now.duration_since(self.last).as_secs_f32().min(0.5);
        self.last = now;
        theme::apply(ctx, self.remembered.theme, self.remembered.zoom);
        self.poll(ctx, dt);
        self.keys(ctx);
        self.top_ui(ui);
        if self.session.is_none() || self.chooser.open {
            self.choose_ui(ui);
        } else {
            match self.remembered.mode {
                Mode::Design => self.design_ui(ui),
                Mode::Runs => self.runs_ui(ui, dt),
                Mode::Label => self.label_ui(ui, dt),
                Mode::Searches => self.searches_ui(ui),
            }
        }
        if std::mem::take(&mut self.new_worlds)
            && let Some(session) = &mut self.session
        {
            match session.set_worlds(self.remembered.worlds, &self.options.wake) {
                Ok(()) => session.live.send(crate::live::Command::Speed(self.remembered.speed)),
                Err(error) => self.dialogs.say(told(error.as_ref())),
            }
        }
        self.questions_ui(ctx);
        self.refused_ui(ctx);
        self.dialogs_ui(ctx);
        self.remember();
        if self.quit { Flow::Quit } else { Flow::Go }
    }

    /// Takes what threads have sent.
    fn poll(&mut self, ctx: &Context, dt: f32) {
        if let Some(policy) = self.train.take_policy()
            && let Some(session) = &mut self.session
        {
            session.act(crate::live::Driver::Policy(Box::new(policy)), "the policy in training");
        }
        self.poll_gate();
        if self.train.is_active() != self.was_training {
            self.was_training = !self.was_training;
            self.notes.push(if self.was_training { "training runs" } else { "training ended" }.into());
        }
        let Some(session) = &mut self.session else { return };
        session.poll(ctx);
        session.tint();
        self.remembered.heat = session.terms.heat_choice().map(String::from);
        let camera = &mut self.remembered.camera;
        if camera.follow
            && self.remembered.mode == Mode::Design
            && let Some([x, y, z]) = session.followed()
        {
            camera.track([x, y, z.max(0.1)], dt);
        }
    }

    fn keys(&mut self, ctx: &Context) {
        if keys::pressed(ctx, Action::Quit) {
            self.ask_to_close();
        }
        if keys::pressed(ctx, Action::Help) {
            self.dialogs.help = !self.dialogs.help;
        }
        if keys::pressed(ctx, Action::Theme) {
            self.switch_theme();
        }
        if keys::pressed(ctx, Action::Larger) {
            self.remembered.zoom = (self.remembered.zoom * 1.1).min(3.0);
        }
        if keys::pressed(ctx, Action::Smaller) {
            self.remembered.zoom = (self.remembered.zoom / 1.1).max(0.5);
        }
        if keys::pressed(ctx, Action::Open) {
            self.chooser.open = true;
        }
        for (mode, _, action) in MODES {
            if keys::pressed(ctx, action) {
                self.go_to(mode);
                self.chooser.open = false;
            }
        }
        if self.remembered.mode == Mode::Design {
            self.design_keys(ctx);
        }
    }

    /// What has happened since the last call, in words: for `--stats`, and for tests that watch from outside.
    pub fn take_notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        if let Some(session) = &mut self.session {
            notes.append(&mut session.notes);
        }
        notes
    }

    fn go_to(&mut self, mode: Mode) {
        self.remembered.mode = mode;
        if mode == Mode::Searches {
            self.searches.focus();
        }
    }

    fn switch_theme(&mut self) {
        self.remembered.theme = match self.remembered.theme {
            Theme::Light => Theme::Dark,
            Theme::Dark => Theme::Light,
        };
    }

    fn top_ui(&mut self, ui: &mut Ui) {
        Panel::top("top").show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.menu_button("Task", |ui| {
                    if ui.button("Open ...").clicked() {
                        self.chooser.open = true;
                    }
                    if ui.button("Quit").clicked() {
                        self.ask_to_close();
                    }
                });
                ui.menu_button("View", |ui| {
                    self.remembered.overlays.ui(ui);
                    ui.separator();
                    ui.checkbox(&mut self.remembered.camera.follow, "Follow the robot");
                    if ui.button("Light or dark").clicked() {
                        self.switch_theme();
                    }
                    ui.add(egui::Slider::new(&mut self.remembered.zoom, 0.5..=3.0).text("Size of text"));
                });
                if ui.button("Help").clicked() {
                    self.dialogs.help = true;
                }
                ui.separator();
                for (mode, name, action) in MODES {
                    let on = self.remembered.mode == mode;
                    if ui.selectable_label(on, name).on_hover_text(keys::text(ui.ctx(), action)).clicked() {
                        self.go_to(mode);
                    }
                }
                ui.separator();
                if let Some(session) = &self.session {
                    ui.strong(plain(&session.task.name));
                    ui.weak(plain(&session.task.file.about));
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.weak(&self.adapter.0);
                });
            });
        });
    }

    /// Writes what is remembered when it has changed, at most once a second, and at the end.
    fn remember(&mut self) {
        self.remembered.window = self.window;
        self.remembered.training = self.train.settings.clone();
        let is_due = self.quit || self.saved.elapsed().as_secs_f32() > 1.0;
        if is_due && self.stored.as_ref() != Some(&self.remembered) {
            self.saved = Instant::now();
            // What cannot be written is tried again when there is something new, and said once.
            self.stored = Some(self.remembered.clone());
            if let Err(error) = self.remembered.save(&self.options.state)
                && !std::mem::replace(&mut self.unsaved_state, true)
            {
                self.dialogs.say(error);
            }
        }
    }
}
