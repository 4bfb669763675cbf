//! The list of runs: search, order, state, what can be done with one; and the curves of the ticked ones.

use super::curves::{self, CurvesView, RunCurves, Shown};
use super::replay::Replay;
use super::table::{Column, rows};
use super::text::{grouped, number, percent};
use super::watch::{News, Watch};
use crate::theme::{self, Theme};
use egui::text::LayoutJob;
use egui::{Color32, Context, FontId, RichText, TextFormat, TextStyle, Ui};
use pavlov_common::plain_lines;
use pavlov_run::{RunEntry, RunFolder, RunState};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a person asked for in the list.
#[derive(Debug)]
pub enum RunsRequest {
    /// Show what the run has recorded.
    OpenReplay(Box<Replay>),
    /// Go on training the run in this folder.
    ResumeTraining(PathBuf),
    /// Edit the reward a run was trained with, as it was.
    OpenReward {
        /// Task of the run.
        task: String,
        /// The run's own copy of the reward.
        copy: PathBuf,
    },
}

/// What is chosen in the panel, kept from one start to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunsView {
    /// Words that must be found.
    pub search: String,
    /// Order.
    pub sort: Column,
    /// Largest or newest first.
    pub descending: bool,
    /// Choices of the plot.
    pub curves: CurvesView,
}

impl Default for RunsView {
    fn default() -> Self {
        Self { search: String::new(), sort: Column::Started, descending: true, curves: CurvesView::default() }
    }
}

/// The runs of a folder.
#[derive(Debug)]
pub struct Runs {
    /// What is chosen.
    pub view: RunsView,
    folder: PathBuf,
    watch: Result<Watch, String>,
    runs: Vec<RunEntry>,
    listed: bool,
    /// Runs whose curves are shown; the place is the colour.
    ticked: Vec<Option<PathBuf>>,
    curves: HashMap<PathBuf, Result<Arc<RunCurves>, String>>,
    selected: Option<PathBuf>,
}

impl Runs {
    /// The runs of the folder that `pavlov runs` lists; it need not exist.
    pub fn new(runs_dir: &Path) -> Self {
        let watch = Watch::new(runs_dir).map_err(|e| format!("cannot start the thread that lists runs: {e}"));
        Self {
            view: RunsView::default(),
            folder: runs_dir.to_path_buf(),
            watch,
            runs: Vec::new(),
            listed: false,
            ticked: Vec::new(),
            curves: HashMap::new(),
            selected: None,
        }
    }

    /// Takes what was read meanwhile and asks for more. Call once a frame while the panel is shown.
    pub fn poll(&mut self, ctx: &Context) {
        let wanted: Vec<PathBuf> = self.ticked.iter().flatten().cloned().collect();
        let Ok(watch) = &mut self.watch else { return };
        if let Some(News { runs, curves }) = watch.poll(ctx, &wanted) {
            (self.runs, self.listed) = (runs, true);
            self.curves.extend(curves);
            let gone = |path: &PathBuf| !self.runs.iter().any(|r| r.path == *path);
            self.ticked.iter_mut().filter(|t| t.as_ref().is_some_and(gone)).for_each(|t| *t = None);
        }
        self.curves.retain(|path, _| wanted.contains(path));
    }

    /// All runs, oldest first, as last listed.
    pub fn entries(&self) -> &[RunEntry] {
        &self.runs
    }

    /// Has the folder been read at least once?
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// The run that is selected.
    pub fn selected(&self) -> Option<&RunEntry> {
        self.runs.iter().find(|r| Some(&r.path) == self.selected.as_ref())
    }

    /// Selects a run, as a click does.
    pub fn select(&mut self, run: &Path) {
        self.selected = Some(run.to_path_buf());
    }

    /// Shows or hides the curves of a run.
    pub fn tick(&mut self, run: &Path, on: bool) {
        let place = self.ticked.iter().position(|t| t.as_deref() == Some(run));
        match (place, on) {
            (Some(place), false) => self.ticked[place] = None,
            (None, true) => match self.ticked.iter().position(Option::is_none) {
                Some(free) => self.ticked[free] = Some(run.to_path_buf()),
                None => self.ticked.push(Some(run.to_path_buf())),
            },
            _ => {}
        }
    }

    /// A replay of a run; reads it on a thread of its own.
    pub fn open(&self, run: &Path, ctx: &Context) -> Replay {
        Replay::open(run, ctx)
    }

    /// Draws the list. `poll` before.
    pub fn browser_ui(&mut self, ui: &mut Ui, theme: Theme) -> Option<RunsRequest> {
        if let Err(problem) = &self.watch {
            ui.colored_label(theme::error(theme), problem);
            return None;
        }
        if !self.listed {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label("Reading the run folders ...");
            });
            return None;
        }
        if self.runs.is_empty() {
            empty(ui, &self.folder);
            return None;
        }
        self.search_ui(ui);
        let rows = rows(&self.runs, &self.view.search, self.view.sort, self.view.descending);
        if rows.is_empty() {
            ui.add_space(12.0);
            ui.label(format!("None of {} runs has all of these words.", self.runs.len()));
            if ui.button("Clear search").clicked() {
                self.view.search.clear();
            }
            return None;
        }
        let mut opened = None;
        let details = if self.selected().is_some() { 132.0 } else { 0.0 };
        let height = (ui.available_height() - details).max(160.0);
        let line = ui.text_style_height(&TextStyle::Body) + ui.text_style_height(&TextStyle::Small);
        let row_height = line + 2.0 * ui.spacing().button_padding.y + 2.0;
        egui::ScrollArea::vertical().id_salt("runs").max_height(height).auto_shrink([false, true]).show_rows(
            ui,
            row_height,
            rows.len(),
            |ui, shown| {
                for &row in &rows[shown] {
                    if self.row_ui(ui, theme, row, row_height) {
                        opened = Some(self.runs[row].path.clone());
                    }
                }
            },
        );
        if let Some(path) = opened {
            return Some(RunsRequest::OpenReplay(Box::new(self.open(&path, ui.ctx()))));
        }
        ui.separator();
        self.details_ui(ui, theme)
    }

    fn search_ui(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let label = ui.label("Search");
            let field = egui::TextEdit::singleline(&mut self.view.search).hint_text("task, reward, state, seed=3");
            ui.add_sized([ui.available_width() - 4.0, ui.spacing().interact_size.y], field).labelled_by(label.id);
        });
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 3.0;
            ui.weak("Sort");
            for column in Column::ALL {
                let chosen = self.view.sort == column;
                let arrow = match (chosen, self.view.descending) {
                    (false, _) => "",
                    (true, true) => " ⏷",
                    (true, false) => " ⏶",
                };
                if ui.selectable_label(chosen, format!("{}{arrow}", column.name())).clicked() {
                    self.view.descending = if chosen { !self.view.descending } else { column.descends() };
                    self.view.sort = column;
                }
            }
        });
    }

    /// One run. Was it asked to be opened?
    fn row_ui(&mut self, ui: &mut Ui, theme: Theme, row: usize, height: f32) -> bool {
        let run = &self.runs[row];
        let path = run.path.clone();
        let place = self.ticked.iter().position(|t| *t == Some(path.clone()));
        let text = row_text(ui, theme, run);
        let name = format!("{} {}", run.run, run.state.name());
        let mut on = place.is_some();
        let mut open = false;
        ui.horizontal(|ui| {
            ui.set_height(height);
            if let Some(place) = place {
                ui.visuals_mut().widgets.inactive.fg_stroke.color = theme::series(theme, place);
                ui.visuals_mut().widgets.hovered.fg_stroke.color = theme::series(theme, place);
            }
            let tick = ui.checkbox(&mut on, "").on_hover_text("Show its curves");
            let label = format!("Curves of {}", self.runs[row].run);
            tick.widget_info(|| egui::WidgetInfo::selected(egui::WidgetType::Checkbox, true, on, &label));
            if tick.changed() {
                self.tick(&path, on);
            }
            let chosen = self.selected.as_ref() == Some(&path);
            let button = egui::Button::selectable(chosen, text).wrap_mode(egui::TextWrapMode::Extend);
            let size = [ui.available_width(), height];
            let response = ui.add_sized(size, button.right_text(""));
            response.widget_info(|| egui::WidgetInfo::selected(egui::WidgetType::SelectableLabel, true, chosen, &name));
            if response.clicked() {
                self.selected = Some(path.clone());
            }
            open = response.double_clicked();
        });
        open
    }

    /// What is known about the selected run, and what can be done with it.
    fn details_ui(&self, ui: &mut Ui, theme: Theme) -> Option<RunsRequest> {
        let Some(run) = self.selected() else {
            ui.weak("Select a run to replay it, to go on training it or to see its reward.");
            return None;
        };
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(&run.run).strong());
            ui.colored_label(state_colour(theme, run.state), run.state.name());
        });
        if let Some(problem) = &run.problem {
            ui.colored_label(theme::error(theme), problem);
        }
        let out_of = run.steps.map_or(String::new(), |s| format!(" of {}", grouped(s)));
        ui.weak(format!(
            "{}{out_of} steps in {} updates, {:.0} s; return {}",
            grouped(run.env_steps),
            grouped(run.updates),
            run.elapsed_s,
            number(run.episode_return),
        ));
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            let sound = run.state != RunState::Damaged;
            if ui.add_enabled(sound, egui::Button::new("Replay")).on_hover_text("Watch what it has recorded").clicked()
            {
                request = Some(RunsRequest::OpenReplay(Box::new(self.open(&run.path, ui.ctx()))));
            }
            let resumable = matches!(run.state, RunState::Interrupted | RunState::Stopped);
            let resume = ui.add_enabled(resumable, egui::Button::new("Resume training"));
            let why = match run.state {
                RunState::Running => "A process is training it now",
                RunState::Done => "It has reached its limit",
                RunState::Failed => "It failed; see why above",
                _ => "Its files cannot be read",
            };
            if resume.on_hover_text("Go on from its last checkpoint").on_disabled_hover_text(why).clicked() {
                request = Some(RunsRequest::ResumeTraining(run.path.clone()));
            }
            let reward = ui.add_enabled(sound, egui::Button::new("Open its reward"));
            if reward.on_hover_text("The copy of the reward it was trained with").clicked() {
                let copy = RunFolder::open(&run.path).map(|f| f.inputs().join("reward")).unwrap_or_default();
                request = Some(RunsRequest::OpenReward { task: run.task.clone(), copy });
            }
            if ui.button("Copy path").clicked() {
                ui.ctx().copy_text(run.path.display().to_string());
            }
        });
        request
    }

    /// Draws the curves of the ticked runs. `poll` before.
    pub fn curves_ui(&mut self, ui: &mut Ui, theme: Theme) {
        let mut shown = Vec::new();
        let mut waiting = false;
        for (place, path) in self.ticked.iter().enumerate().filter_map(|(i, t)| Some((i, t.as_ref()?))) {
            let name = self.runs.iter().find(|r| r.path == *path).map(describe).unwrap_or_default();
            match self.curves.get(path) {
                Some(Ok(curves)) => shown.push(Shown { name, colour: theme::series(theme, place), curves }),
                Some(Err(problem)) => {
                    ui.colored_label(theme::error(theme), plain_lines(problem));
                }
                None => waiting = true,
            }
        }
        curves::ui(ui, theme, &mut self.view.curves, &shown, waiting);
    }
}

/// A run in a few words: its reward, seed and time of day, for legends.
pub(crate) fn describe(run: &RunEntry) -> String {
    let reward = run.reward.rsplit('/').next().unwrap_or(&run.reward);
    format!("{reward}, seed {}, {}", run.seed, when(&run.created))
}

/// `11-25 04:45` of `2026-11-25T04:45:01Z`.
fn when(created: &str) -> String {
    match (created.get(5..10), created.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time}"),
        _ => created.to_string(),
    }
}

fn state_colour(theme: Theme, state: RunState) -> Color32 {
    match state {
        RunState::Running => theme::series(theme, 0),
        RunState::Done => theme::good(theme),
        RunState::Interrupted | RunState::Stopped => theme::warning(theme),
        RunState::Failed | RunState::Damaged => theme::error(theme),
    }
}

/// Two lines: what it is, how it went.
fn row_text(ui: &Ui, theme: Theme, run: &RunEntry) -> LayoutJob {
    let body = TextStyle::Body.resolve(ui.style());
    let small = TextStyle::Small.resolve(ui.style());
    let mut job = LayoutJob::default();
    let mut add = |text: &str, font: &FontId, colour: Color32| {
        job.append(text, 0.0, TextFormat { font_id: font.clone(), color: colour, ..TextFormat::default() });
    };
    let (strong, weak) = (ui.visuals().strong_text_color(), ui.visuals().text_color());
    add("⏺ ", &small, state_colour(theme, run.state));
    let task = if run.task.is_empty() { &run.run } else { &run.task };
    add(task, &body, strong);
    let reward = run.reward.strip_prefix(&format!("{}/", run.task)).unwrap_or(&run.reward);
    if !reward.is_empty() {
        add(&format!("  {reward}"), &body, weak);
    }
    add("\n", &small, weak);
    add(run.state.name(), &small, state_colour(theme, run.state));
    let (fitness, success) = (number(run.fitness), percent(run.success));
    let (steps, when) = (curves::short_axis(run.env_steps as f64), when(&run.created));
    let second = format!("  fitness {fitness}  success {success}  {steps} steps  seed {}  {when}", run.seed);
    add(&second, &small, weak);
    job
}

/// What to do when there are no runs.
fn empty(ui: &mut Ui, folder: &Path) {
    ui.add_space(16.0);
    ui.heading("No runs yet");
    ui.label("A run appears here as soon as training starts, with its curves, its recorded episodes and its policy.");
    ui.add_space(6.0);
    ui.label("Press Train in the training panel, or type in a terminal:");
    ui.monospace("pavlov train <task>");
    ui.add_space(6.0);
    ui.weak(format!("Folder: {}", folder.display()));
}
