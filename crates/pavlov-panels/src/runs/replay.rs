//! A run's recorded episode, to be watched and scrubbed: its terms under the timeline, and how another reward would
//! have scored it.

use super::difference::{peaks, standardised};
use super::job::Job;
use super::recording::{Loaded, Recording};
use super::text::{number, signed};
use crate::keys::{self, Action};
use crate::scene::Stage;
use crate::theme::{self, Theme};
use egui::{ComboBox, Context, Grid, ScrollArea, Slider, Ui};
use egui_plot::{Legend, Line, Plot, PlotPoints, VLine};
use pavlov_common::{plain, plain_lines};
use pavlov_reward::Reward;
use pavlov_reward::compare::kendall;
use std::path::Path;
use std::sync::Arc;

/// Peaks of disagreement are at least this many steps apart.
const APART: usize = 15;

/// A replay of one run.
#[derive(Debug)]
pub struct Replay {
    opening: Option<Job<Recording>>,
    recording: Option<Arc<Recording>>,
    loading: Option<Job<Loaded>>,
    loaded: Option<Loaded>,
    stage: Option<Stage>,
    problem: Option<String>,
    episode: usize,
    /// Frame, with a fraction.
    at: f64,
    playing: bool,
    speed: f64,
    repeat: bool,
    compare: bool,
    /// The reward that the loaded episode was compared with.
    compared: Option<Arc<Reward>>,
    term: String,
    disagreement: Vec<f32>,
    peaks: Vec<usize>,
}

impl Replay {
    /// Opens a run on a thread of its own.
    pub fn open(run: &Path, ctx: &Context) -> Self {
        let run = run.to_path_buf();
        Self {
            opening: Some(Job::start(ctx, "open run", move || Recording::open(&run))),
            recording: None,
            loading: None,
            loaded: None,
            stage: None,
            problem: None,
            episode: 0,
            at: 0.0,
            playing: true,
            speed: 1.0,
            repeat: true,
            compare: false,
            compared: None,
            term: "total".into(),
            disagreement: Vec::new(),
            peaks: Vec::new(),
        }
    }

    /// The robot at the present frame, once it is there.
    pub fn stage(&self) -> Option<&Stage> {
        self.stage.as_ref()
    }

    /// What is played.
    pub fn recording(&self) -> Option<&Arc<Recording>> {
        self.recording.as_ref()
    }

    /// The present frame and how many there are.
    pub fn frame(&self) -> (usize, usize) {
        let frames = self.loaded.as_ref().map_or(0, |l| l.frames);
        ((self.at as usize).min(frames.saturating_sub(1)), frames)
    }

    /// Returns of the episode under the run's reward and the other one.
    pub fn totals(&self) -> Option<(f64, Option<f64>)> {
        let l = self.loaded.as_ref()?;
        Some((l.original.total, l.other.as_ref().and_then(|o| o.as_ref().ok()).map(|s| s.total)))
    }

    /// Takes what threads have read, and moves on by `dt` s of the clock. `edited` is the reward that is being edited.
    pub fn advance(&mut self, ctx: &Context, dt: f64, edited: Option<&Arc<Reward>>) {
        if let Some(result) = self.opening.as_ref().and_then(Job::take) {
            self.opening = None;
            match result {
                Ok(recording) => match Stage::new(recording.task.model()) {
                    Ok(stage) => {
                        self.stage = Some(stage);
                        self.recording = Some(Arc::new(recording));
                        self.load(ctx, None);
                    }
                    Err(e) => self.problem = Some(e.to_string()),
                },
                Err(e) => self.problem = Some(e),
            }
        }
        let wanted = edited.filter(|_| self.compare);
        let same = match (wanted, &self.compared) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if !same && self.loading.is_none() && self.recording.is_some() {
            self.load(ctx, wanted.cloned());
        }
        if let Some(result) = self.loading.as_ref().and_then(Job::take) {
            self.loading = None;
            match result {
                Ok(loaded) => {
                    let other = loaded.other.as_ref().and_then(|o| o.as_ref().ok());
                    self.disagreement =
                        other.map_or_else(Vec::new, |o| standardised(&loaded.original.step_totals, &o.step_totals));
                    self.peaks = peaks(&self.disagreement, APART);
                    self.loaded = Some(loaded);
                    self.problem = None;
                }
                Err(e) => self.problem = Some(e),
            }
        }
        if let Some(loaded) = &self.loaded {
            let last = loaded.frames.saturating_sub(1) as f64;
            if self.playing {
                self.at += dt * self.speed / loaded.dt.max(1e-6);
                if self.at > last {
                    (self.at, self.playing) = if self.repeat { (0.0, true) } else { (last, false) };
                }
                ctx.request_repaint();
            }
            let frame = (self.at as usize).min(loaded.frames.saturating_sub(1));
            if let Some(stage) = &mut self.stage
                && loaded.frames > 0
            {
                let nq = stage.model().nq();
                stage.set_in(&loaded.qpos[frame * nq..(frame + 1) * nq], 1, |_| [0.0, 0.0]);
            }
        }
    }

    fn load(&mut self, ctx: &Context, other: Option<Arc<Reward>>) {
        let Some(recording) = self.recording.clone() else { return };
        self.compared.clone_from(&other);
        let episode = self.episode;
        self.loading = Some(Job::start(ctx, "read episode", move || recording.load(episode, other.as_deref())));
    }

    fn keys(&mut self, ctx: &Context) {
        let (frame, frames) = self.frame();
        if keys::pressed(ctx, Action::PlayPause) {
            self.playing = !self.playing;
        }
        let to = [
            (Action::Step, (frame + 1).min(frames.saturating_sub(1))),
            (Action::StepBack, frame.saturating_sub(1)),
            (Action::ToStart, 0),
            (Action::ToEnd, frames.saturating_sub(1)),
        ];
        for (action, to) in to {
            if keys::pressed(ctx, action) {
                self.go(to);
            }
        }
        if keys::pressed(ctx, Action::WorstDisagreement) {
            self.worst();
        }
        if keys::pressed(ctx, Action::NextDisagreement)
            && let Some(&p) = self.peaks.iter().find(|&&p| p + 1 > frame)
        {
            self.go(p + 1);
        }
        if keys::pressed(ctx, Action::PreviousDisagreement)
            && let Some(&p) = self.peaks.iter().rev().find(|&&p| p + 1 < frame)
        {
            self.go(p + 1);
        }
    }

    fn go(&mut self, frame: usize) {
        (self.at, self.playing) = (frame as f64, false);
    }

    /// Goes to the frame where the two rewards disagree most.
    fn worst(&mut self) {
        let most = self.disagreement.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        if let Some((step, _)) = most {
            self.go(step + 1);
        }
    }

    /// Draws the controls, the timeline and the terms. Is it to be closed?
    pub fn ui(&mut self, ui: &mut Ui, theme: Theme) -> bool {
        self.keys(ui.ctx());
        let mut close = false;
        ui.horizontal_wrapped(|ui| {
            close = ui.button("Close").clicked();
            let Some(recording) = self.recording.clone() else {
                if self.problem.is_none() {
                    ui.spinner();
                    ui.label("Reading the run ...");
                }
                return;
            };
            ui.strong(plain(&recording.run));
            for problem in &recording.unreadable {
                ui.colored_label(theme::warning(theme), pavlov_common::plain(problem));
            }
            let shown = recording.episodes.get(self.episode).map_or("", |e| e.label.as_str());
            let before = self.episode;
            ComboBox::from_id_salt("episode").selected_text(shown).width(330.0).show_ui(ui, |ui| {
                for (i, e) in recording.episodes.iter().enumerate() {
                    ui.selectable_value(&mut self.episode, i, &e.label);
                }
            });
            if self.episode != before {
                self.at = 0.0;
                self.load(ui.ctx(), self.compared.clone());
            }
            ui.checkbox(&mut self.compare, "Compare with the edited reward")
                .on_hover_text("Scores this episode, and ranks all of them, under the script in the editor");
        });
        if let Some(problem) = &self.problem {
            ui.colored_label(theme::error(theme), plain_lines(problem));
        }
        if self.loaded.is_none() {
            return close;
        }
        self.transport(ui);
        if let Some(Err(why)) = self.loaded.as_ref().and_then(|l| l.other.as_ref()) {
            ui.colored_label(
                theme::warning(theme),
                format!("The edited reward cannot score this run: {}", plain_lines(why)),
            );
        }
        ui.horizontal_top(|ui| {
            let width = (ui.available_width() - 330.0).max(240.0);
            ui.allocate_ui([width, 150.0].into(), |ui| self.plot(ui, theme, width));
            ui.vertical(|ui| self.numbers(ui, theme));
        });
        close
    }

    fn transport(&mut self, ui: &mut Ui) {
        let (frame, frames) = self.frame();
        ui.horizontal(|ui| {
            let name = if self.playing { "⏸ Pause" } else { "▶ Play" };
            if ui.button(name).on_hover_text(keys::text(ui.ctx(), Action::PlayPause)).clicked() {
                self.playing = !self.playing;
            }
            if ui.button("⏮").on_hover_text("Frame before").clicked() {
                self.go(frame.saturating_sub(1));
            }
            if ui.button("⏭").on_hover_text("Next frame").clicked() {
                self.go((frame + 1).min(frames.saturating_sub(1)));
            }
            let mut at = frame;
            ui.spacing_mut().slider_width = (ui.available_width() - 430.0).max(100.0);
            let label = ui.label("Frame");
            if ui.add(Slider::new(&mut at, 0..=frames.saturating_sub(1))).labelled_by(label.id).changed() {
                self.go(at);
            }
            let dt = self.loaded.as_ref().map_or(0.0, |l| l.dt);
            ui.weak(format!("{:.2} s", frame as f64 * dt));
            let label = ui.label("Speed");
            ui.add(egui::DragValue::new(&mut self.speed).range(0.05..=8.0).speed(0.02).suffix("x"))
                .labelled_by(label.id);
            ui.checkbox(&mut self.repeat, "Repeat");
            if !self.disagreement.is_empty() {
                let most = ui.button("Most disagreement");
                if most.on_hover_text(keys::text(ui.ctx(), Action::WorstDisagreement)).clicked() {
                    self.worst();
                }
            }
        });
    }

    /// Names that can be plotted: the total and the terms of both rewards.
    fn names(&self) -> Vec<String> {
        let mut names = vec!["total".to_string()];
        names.extend(self.recording.iter().flat_map(|r| r.reward.term_names().iter().cloned()));
        for name in self.compared.iter().flat_map(|r| r.term_names()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn plot(&mut self, ui: &mut Ui, theme: Theme, width: f32) {
        let names = self.names();
        ui.horizontal(|ui| {
            let label = ui.label("Per step");
            let combo = ComboBox::from_id_salt("replay term").selected_text(plain(&self.term)).show_ui(ui, |ui| {
                for name in &names {
                    ui.selectable_value(&mut self.term, name.clone(), plain(name));
                }
            });
            combo.response.labelled_by(label.id);
        });
        let (frame, _) = self.frame();
        let Some(loaded) = &self.loaded else { return };
        let series = |reward: Option<&Arc<Reward>>, scored: &pavlov_reward::Scored| -> Vec<[f64; 2]> {
            let points =
                |x: &[f32]| x.iter().enumerate().map(|(i, v)| [(i + 1) as f64 * loaded.dt, f64::from(*v)]).collect();
            if self.term == "total" {
                return points(&scored.step_totals);
            }
            let at = reward.and_then(|r| r.term_names().iter().position(|n| *n == self.term));
            at.and_then(|k| scored.step_terms.get(k)).map_or_else(Vec::new, |x| points(x))
        };
        let original = series(self.recording.as_ref().map(|r| &r.reward), &loaded.original);
        let other = loaded.other.as_ref().and_then(|o| o.as_ref().ok()).map(|s| series(self.compared.as_ref(), s));
        let plot =
            Plot::new("replay").width(width).height(120.0).allow_scroll(false).allow_drag(false).allow_zoom(false);
        let shown = plot.legend(Legend::default()).show(ui, |plot| {
            plot.line(Line::new("the run's reward", PlotPoints::from(thin(original))).color(theme::series(theme, 0)));
            if let Some(other) = other {
                plot.line(Line::new("edited", PlotPoints::from(thin(other))).color(theme::series(theme, 1)));
            }
            for &peak in &self.peaks {
                let at = (peak + 1) as f64 * loaded.dt;
                plot.vline(VLine::new("disagreement", at).color(theme::warning(theme).gamma_multiply(0.5)));
            }
            plot.vline(VLine::new("now", frame as f64 * loaded.dt).color(theme::fitness(theme)));
            plot.pointer_coordinate()
        });
        if (shown.response.clicked() || shown.response.dragged())
            && let Some(at) = shown.inner
        {
            let frame = (at.x / loaded.dt.max(1e-6)).round().clamp(0.0, loaded.frames.saturating_sub(1) as f64);
            self.go(frame as usize);
        }
    }

    /// Sums of each term under both, and how the ranking of episodes changes.
    fn numbers(&self, ui: &mut Ui, theme: Theme) {
        let Some(loaded) = &self.loaded else { return };
        let other = loaded.other.as_ref().and_then(|o| o.as_ref().ok());
        let sum_of =
            |reward: Option<&Arc<Reward>>, scored: Option<&pavlov_reward::Scored>, name: &str| -> Option<f64> {
                let scored = scored?;
                if name == "total" {
                    return Some(scored.total);
                }
                let at = reward?.term_names().iter().position(|n| n == name)?;
                scored.terms.get(at).copied()
            };
        ScrollArea::vertical().id_salt("replay numbers").max_height(110.0).show(ui, |ui| {
            Grid::new("replay sums").num_columns(4).striped(true).show(ui, |ui| {
                ui.strong("episode");
                ui.strong("run");
                if other.is_some() {
                    ui.strong("edited");
                    ui.strong("change");
                }
                ui.end_row();
                for name in self.names() {
                    let a = sum_of(self.recording.as_ref().map(|r| &r.reward), Some(&loaded.original), &name);
                    let b = sum_of(self.compared.as_ref(), other, &name);
                    ui.label(plain(&name));
                    ui.label(number(a));
                    if other.is_some() {
                        ui.label(number(b));
                        ui.label(a.zip(b).map_or_else(String::new, |(a, b)| signed(b - a)));
                    }
                    ui.end_row();
                }
            });
        });
        if loaded.ranking.len() > 1 {
            let column = |k: usize| -> Vec<f64> { loaded.ranking.iter().map(|r| [r.0, r.1, r.2][k]).collect() };
            let (fitness, original, new) = (column(0), column(1), column(2));
            let n = original.len();
            let swapped = (0..n)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .filter(|&(i, j)| (original[i] - original[j]) * (new[i] - new[j]) < 0.0)
                .count();
            let tau = |x: &[f64]| kendall(&fitness, x).map_or("-".into(), |t| format!("{t:.2}"));
            ui.label(format!("{swapped} of {} pairs of episodes change places", n * (n - 1) / 2));
            ui.label(format!("order by fitness (Kendall): {} before, {} after", tau(&original), tau(&new)));
        } else if self.compare && self.loading.is_some() {
            ui.spinner();
        } else if other.is_none() {
            ui.colored_label(
                theme::fitness(theme).gamma_multiply(0.6),
                "Tick \"Compare\" to see what the edited reward says.",
            );
        }
    }
}

/// At most about 600 points: more than a plot has pixels.
fn thin(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let every = points.len().div_ceil(600).max(1);
    points.into_iter().step_by(every).collect()
}
