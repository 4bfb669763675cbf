//! The panel of training: settings, start, pause, stop, progress, and the curves as they grow.

use super::{Job, Point, State, Training, threads};
use crate::theme::{self, Theme};
use egui::{Button, DragValue, ProgressBar, RichText, Ui};
use egui_plot::{Legend, Line, Plot, PlotPoints};
use pavlov_common::{plain, plain_lines};
use pavlov_env::{Assets, Profile, Task};
use pavlov_learn::Policy;
use pavlov_run::Overrides;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a person asked for that the panel cannot do by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainRequest {
    /// Train the reward that is being edited.
    Start,
    /// Show the run.
    Open(PathBuf),
}

/// What the person chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Millions of environment steps; 0: as the task says.
    pub million_steps: f64,
    /// Worlds; 0: as the task says.
    pub worlds: usize,
    /// Seed.
    pub seed: u64,
    /// `fast` in place of `accurate`.
    pub fast: bool,
    /// Threads.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { million_steps: 0.0, worlds: 0, seed: 0, fast: true, threads: threads() }
    }
}

/// Training and its panel.
#[derive(Default)]
pub struct TrainPanel {
    /// What the person chose.
    pub settings: Settings,
    training: Option<Training>,
    warnings: Vec<String>,
    smooth: bool,
}

impl TrainPanel {
    /// Nothing is trained yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The run that is being trained, or was the last.
    pub fn training(&mut self) -> Option<&mut Training> {
        self.training.as_mut()
    }

    /// Is a run being trained or paused?
    pub fn is_active(&self) -> bool {
        self.training.as_ref().is_some_and(Training::is_active)
    }

    /// The newest policy, once each.
    pub fn take_policy(&mut self) -> Option<Policy> {
        self.training.as_ref()?.take_policy()
    }

    /// Starts a run of `task` with `reward` (name or path).
    pub fn start(
        &mut self,
        assets: &Assets,
        task: &Task,
        reward: &str,
        runs: &Path,
        wake: impl Fn() + Send + Sync + 'static,
    ) {
        let s = &self.settings;
        let overrides = Overrides {
            seed: Some(s.seed),
            worlds: (s.worlds > 0).then_some(s.worlds),
            steps: (s.million_steps > 0.0).then_some((s.million_steps * 1e6) as u64),
            threads: Some(s.threads.max(1)),
            profile: Some(if s.fast { Profile::Fast } else { Profile::Accurate }),
            ..Overrides::default()
        };
        let job = Job::Create {
            assets: assets.clone(),
            task: task.name.clone(),
            reward: reward.to_string(),
            overrides: Box::new(overrides),
            runs: runs.to_path_buf(),
        };
        self.go(job, wake);
    }

    /// Shows warnings about what is being trained.
    pub fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        self.warnings.extend(warnings);
    }

    /// Continues an existing run.
    pub fn resume(&mut self, run: PathBuf, wake: impl Fn() + Send + Sync + 'static) {
        self.go(Job::Resume { run, threads: self.settings.threads.max(1) }, wake);
    }

    fn go(&mut self, job: Job, wake: impl Fn() + Send + Sync + 'static) {
        self.warnings.clear();
        self.training = Some(Training::start(job, wake));
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, theme: Theme) -> Option<TrainRequest> {
        let mut request = None;
        match self.training.as_ref().map(Training::state) {
            None => request = self.settings_ui(ui).then_some(TrainRequest::Start),
            Some(State::Done(summary)) => {
                ui.colored_label(theme::good(theme), "Done");
                if let Some(e) = &summary.evaluation {
                    let (f, s) = (&e.fitness, &e.success);
                    ui.label(format!("fitness {:.3} ± {:.3}, success {:.0}%", f.mean, f.std, 100.0 * s.mean));
                }
                request = self.again_ui(ui);
            }
            Some(State::Failed(why)) => {
                ui.colored_label(theme::error(theme), format!("Training failed: {}", plain_lines(&why)));
                request = self.again_ui(ui);
            }
            Some(state) => self.progress_ui(ui, &state),
        }
        if let Some(training) = &self.training {
            self.warnings.extend(training.take_warnings());
        }
        for warning in &self.warnings {
            ui.colored_label(theme::warning(theme), plain_lines(warning));
        }
        self.curves_ui(ui, theme);
        request
    }

    fn settings_ui(&mut self, ui: &mut Ui) -> bool {
        let s = &mut self.settings;
        egui::Grid::new("training settings").num_columns(2).show(ui, |ui| {
            let label = ui.label("Steps");
            let steps = DragValue::new(&mut s.million_steps).range(0.0..=100_000.0).speed(0.1);
            let shown =
                steps.custom_formatter(|v, _| if v > 0.0 { format!("{v} M") } else { "as the task says".into() });
            ui.add(shown.custom_parser(|t| t.trim().trim_end_matches(['M', 'm']).trim().parse().ok()))
                .labelled_by(label.id);
            ui.end_row();
            let label = ui.label("Worlds");
            let worlds = DragValue::new(&mut s.worlds).range(0..=65_536);
            let shown =
                worlds.custom_formatter(|v, _| if v > 0.0 { format!("{v}") } else { "as the task says".into() });
            ui.add(shown).labelled_by(label.id);
            ui.end_row();
            let label = ui.label("Seed");
            ui.add(DragValue::new(&mut s.seed)).labelled_by(label.id);
            ui.end_row();
            let label = ui.label("Threads");
            ui.add(DragValue::new(&mut s.threads).range(1..=1024)).labelled_by(label.id);
            ui.end_row();
        });
        ui.checkbox(&mut s.fast, "Fast solver profile").on_hover_text(
            "Euler and at most four Newton iterations; the last evaluation also judges with the accurate one",
        );
        ui.horizontal(|ui| {
            let start = ui.add(Button::new(RichText::new("▶ Train").strong()));
            start.on_hover_text("Saves the reward, asks the gate and trains it in a new run folder").clicked()
        })
        .inner
    }

    fn again_ui(&mut self, ui: &mut Ui) -> Option<TrainRequest> {
        ui.horizontal(|ui| {
            let folder = self.training.as_ref().and_then(Training::folder);
            let open = folder.filter(|_| ui.button("Show the run").clicked()).map(TrainRequest::Open);
            if ui.button("New training").clicked() {
                self.training = None;
                self.warnings.clear();
            }
            open
        })
        .inner
    }

    fn progress_ui(&mut self, ui: &mut Ui, state: &State) {
        let Some(training) = &self.training else { return };
        let (done, elapsed, speed) = training.progress();
        let left = if done > 0.0 { elapsed * (1.0 - done) / done } else { f64::NAN };
        ui.add(ProgressBar::new(done as f32).text(format!("{:.0}%", 100.0 * done)));
        ui.horizontal(|ui| {
            match state {
                State::Paused => {
                    if ui.button("▶ Go on").clicked() {
                        training.pause(false);
                    }
                }
                State::Running => {
                    if ui.button("⏸ Pause").clicked() {
                        training.pause(true);
                    }
                }
                _ => {
                    ui.spinner();
                }
            }
            let ending = *state == State::Ending;
            if ui.add_enabled(!ending, Button::new("⏹ Stop")).on_hover_text("Evaluates and writes the report").clicked()
            {
                training.stop();
            }
            ui.label(match state {
                State::Starting => "starting".into(),
                State::Ending => "evaluating the policy, writing the report".into(),
                State::Paused => format!("paused after {}", clock(elapsed)),
                _ if left.is_finite() => {
                    format!("{:.0}k steps/s, {} of about {}", speed / 1e3, clock(elapsed), clock(elapsed + left))
                }
                _ => format!("{:.0}k steps/s, {}", speed / 1e3, clock(elapsed)),
            });
        });
    }

    fn curves_ui(&mut self, ui: &mut Ui, theme: Theme) {
        let Some(training) = &mut self.training else {
            ui.weak("Fitness, success and terms appear here while a policy learns.");
            return;
        };
        ui.checkbox(&mut self.smooth, "Smooth");
        let smooth = if self.smooth { 0.9 } else { 0.0 };
        let points = training.points();
        let curve = |value_of: &dyn Fn(&Point) -> Option<f64>| series(points, smooth, value_of);
        ui.label("Fitness and success: the task's measure, not part of the reward");
        plot("fitness").show(ui, |plot| {
            plot.line(Line::new("fitness", curve(&|p| p.fitness)).color(theme::fitness(theme)).width(2.0));
            plot.line(Line::new("success", curve(&|p| p.success)).color(theme::good(theme)));
        });
        ui.label("Return of an episode");
        plot("return").show(ui, |plot| {
            plot.line(Line::new("return", curve(&|p| p.episode_return)).color(theme::series(theme, 0)));
        });
        ui.label("Terms, mean of a step");
        let names: Vec<String> =
            points.last().map(|p| p.terms.0.iter().map(|t| t.0.clone()).collect()).unwrap_or_default();
        plot("terms").legend(Legend::default()).show(ui, |plot| {
            for (i, name) in names.iter().enumerate() {
                let values = curve(&|p| p.terms.get(name).copied().flatten());
                plot.line(Line::new(plain(name), values).color(theme::series(theme, i)));
            }
        });
    }
}

fn plot(name: &str) -> Plot<'_> {
    Plot::new(name).height(120.0).allow_scroll(false).allow_zoom(false).allow_drag(false).show_axes([true, true])
}

/// A curve over millions of steps, exponentially smoothed; updates in which no episode ended are left out.
fn series<'a>(points: &[Point], smooth: f64, value_of: &dyn Fn(&Point) -> Option<f64>) -> PlotPoints<'a> {
    let mut last = f64::NAN;
    let mut out = Vec::with_capacity(points.len());
    for p in points {
        if let Some(v) = value_of(p).filter(|v| v.is_finite()) {
            last = if last.is_nan() { v } else { smooth * last + (1.0 - smooth) * v };
            out.push([p.env_steps as f64 / 1e6, last]);
        }
    }
    // A plot is a few hundred pixels wide: more points than that only cost time.
    let every = out.len().div_ceil(800).max(1);
    PlotPoints::from(out.into_iter().step_by(every).collect::<Vec<_>>())
}

fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}
