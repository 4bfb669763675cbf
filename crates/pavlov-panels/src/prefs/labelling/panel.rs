//! The panel as it is drawn: answers, the clips' common time, marks and notes, progress, which questions are asked.

use super::{Labelling, default_rater};
use crate::keys::{self, Action};
use crate::prefs::query::Mode;
use crate::prefs::source::{pool, sampler};
use crate::theme::{self, Theme};
use egui::{Button, ComboBox, DragValue, Key, Sense, Slider, Ui, vec2};
use pavlov_common::plain;
use pavlov_prefs::{Answer, Choice};

impl Labelling {
    /// Draws the panel.
    pub fn ui(&mut self, ui: &mut Ui, theme: Theme) {
        self.keys(ui.ctx());
        ui.horizontal_wrapped(|ui| {
            self.answers_ui(ui);
            ui.separator();
            let button = |ui: &mut Ui, name: &str, action, about: &str| {
                ui.button(name).on_hover_text(format!("{about} ({})", keys::text(ui.ctx(), action))).clicked()
            };
            let about = "Stored as such: nothing is learnt from it, and the pair is not asked again";
            if button(ui, "Cannot tell", Action::CannotTell, about) {
                self.answer(Answer::Skip, true);
            }
            if button(ui, "Skip", Action::Skip, "Nothing is stored; the pair comes again later") {
                self.pass_over();
            }
            if button(ui, "Undo", Action::Undo, "Takes your last label back and shows its clips again") {
                self.undo();
            }
        });
        self.timeline_ui(ui, theme);
        ui.horizontal_wrapped(|ui| self.marks_ui(ui));
        ui.horizontal_wrapped(|ui| self.progress_ui(ui, theme));
    }

    fn answers_ui(&mut self, ui: &mut Ui) {
        match self.mode {
            Mode::Pair => {
                for (name, action, choice) in [
                    ("⬅ Left", Action::Left, Choice::Left),
                    ("Equal", Action::Equal, Choice::Equal),
                    ("Right ➡", Action::Right, Choice::Right),
                ] {
                    let button = ui.add(Button::new(egui::RichText::new(name).strong()).min_size(vec2(90.0, 28.0)));
                    if button.on_hover_text(keys::text(ui.ctx(), action)).clicked() {
                        self.compare(choice);
                    }
                }
                ui.separator();
                ui.label("by");
                for (value, name) in [(1, "a little"), (2, "clearly"), (3, "far")] {
                    let on = self.strength == Some(value);
                    if ui.selectable_label(on, name).on_hover_text(value.to_string()).clicked() {
                        self.strength = (!on).then_some(value);
                    }
                }
            }
            Mode::BestWorst(_) => {
                ui.label(if self.best.is_none() { "The best is" } else { "and the worst is" });
                for clip in 0..self.clips() {
                    if ui.add(Button::new(self.title(clip)).min_size(vec2(50.0, 28.0))).clicked() {
                        self.pick(clip);
                    }
                }
            }
        }
    }

    /// The clips' common time; the ground is as bright as they differ.
    fn timeline_ui(&mut self, ui: &mut Ui, theme: Theme) {
        ui.horizontal(|ui| {
            let name = if self.playing { "⏸ Pause" } else { "▶ Play" };
            if ui.button(name).clicked() {
                self.playing = !self.playing;
            }
            let mut at = self.frame();
            ui.spacing_mut().slider_width = (ui.available_width() - 520.0).max(120.0);
            let width = ui.spacing().slider_width;
            let label = ui.label("Frame");
            let last = self.query.frames.saturating_sub(1);
            ui.vertical(|ui| {
                if ui.add(Slider::new(&mut at, 0..=last)).labelled_by(label.id).changed() {
                    (self.at, self.playing) = (at as f64, false);
                }
                let (rect, _) = ui.allocate_exact_size(vec2(width, 6.0), Sense::hover());
                let n = self.query.difference.len().max(1) as f32;
                for (step, (d, _)) in self.query.difference.iter().enumerate() {
                    let x = rect.left() + rect.width() * step as f32 / n;
                    let bar = egui::Rect::from_min_size(
                        egui::pos2(x, rect.top()),
                        vec2(rect.width() / n + 0.5, rect.height()),
                    );
                    ui.painter().rect_filled(bar, 0.0, theme::warning(theme).gamma_multiply((0.3 * d).min(1.0)));
                }
            });
            let label = ui.label("Speed");
            ui.add(DragValue::new(&mut self.speed).range(0.05..=4.0).speed(0.02).suffix("x")).labelled_by(label.id);
            let step = self.frame().saturating_sub(1);
            if let Some((d, name)) = self.query.difference.get(step).filter(|d| d.0 > 1.0) {
                ui.colored_label(theme::warning(theme), format!("{name} differs ({d:.1} σ)"));
            }
            if let Some(&peak) = self.query.peaks.iter().find(|&&p| p + 1 > self.frame()).or(self.query.peaks.first())
                && ui.button("Next difference").clicked()
            {
                (self.at, self.playing) = ((peak + 1) as f64, false);
            }
        });
    }

    fn marks_ui(&mut self, ui: &mut Ui) {
        ui.label("Mark");
        let marked_clip = self.title(self.mark_of);
        ComboBox::from_id_salt("mark of").selected_text(marked_clip).width(70.0).show_ui(ui, |ui| {
            for clip in 0..self.clips() {
                let title = self.title(clip);
                ui.selectable_value(&mut self.mark_of, clip, title);
            }
        });
        let label = ui.label("as");
        ui.add(egui::TextEdit::singleline(&mut self.mark).desired_width(70.0)).labelled_by(label.id);
        match self.mark_from {
            None => {
                if ui.button("from here").on_hover_text(keys::text(ui.ctx(), Action::MarkIn)).clicked() {
                    self.mark_from = Some(self.frame());
                }
            }
            Some(from) => {
                if ui.button(format!("{from} to here")).on_hover_text(keys::text(ui.ctx(), Action::MarkOut)).clicked() {
                    self.mark_out();
                }
            }
        }
        ui.separator();
        let label = ui.label("Note");
        let note = ui.add(egui::TextEdit::singleline(&mut self.note).desired_width(260.0)).labelled_by(label.id);
        if note.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) && !self.note.trim().is_empty() {
            let text = std::mem::take(&mut self.note).trim().to_string();
            self.answer(Answer::Text { text }, false);
        }
        ui.weak(plain(&self.message));
    }

    fn progress_ui(&mut self, ui: &mut Ui, theme: Theme) {
        let label = ui.label("Rater");
        ui.add(egui::TextEdit::singleline(&mut self.rater).desired_width(90.0)).labelled_by(label.id);
        if self.rater.trim().is_empty() {
            self.rater = default_rater();
        }
        let label = ui.label("Budget");
        ui.add(DragValue::new(&mut self.budget).range(1..=100_000)).labelled_by(label.id);
        let text = format!("{} of {}", self.done, self.budget);
        ui.add(egui::ProgressBar::new(self.done as f32 / self.budget.max(1) as f32).desired_width(110.0).text(text));
        let stats = self.stats();
        if self.waiting.len() > 0 {
            ui.weak(format!("{} come again", self.waiting.len()));
        }
        ui.label(format!("{:.0} s this one", self.shown.elapsed().as_secs_f64()));
        if stats.labels > 0 {
            ui.label(format!("{:.1} s on average, {} labels in all", stats.seconds[1], stats.labels));
        }
        match stats.consistency.rate() {
            Some(rate) => {
                let colour = if rate < 0.7 { theme::warning(theme) } else { theme::good(theme) };
                let n = stats.consistency.repeats;
                ui.colored_label(colour, format!("agrees with itself in {:.0}% of {n} repeats", 100.0 * rate));
            }
            None => {
                ui.weak("some pairs come again, to see how sure you are");
            }
        }
        ui.separator();
        let before = (self.mode, self.length, self.any_reset);
        let name = match self.mode {
            Mode::Pair => "Pairs".to_string(),
            Mode::BestWorst(k) => format!("Best and worst of {k}"),
        };
        ComboBox::from_id_salt("labelling mode").selected_text(name).show_ui(ui, |ui| {
            ui.selectable_value(&mut self.mode, Mode::Pair, "Pairs");
            for k in 3..=6 {
                ui.selectable_value(&mut self.mode, Mode::BestWorst(k), format!("Best and worst of {k}"));
            }
        });
        let label = ui.label("Steps");
        ui.add(DragValue::new(&mut self.length).range(2..=self.task.episode_steps() as u32)).labelled_by(label.id);
        ui.checkbox(&mut self.any_reset, "Different beginnings")
            .on_hover_text("Also compare episodes that began differently: luck may then decide");
        if (self.mode, self.length, self.any_reset) != before {
            self.again();
        }
        self.runs_ui(ui);
    }

    /// Which runs the pieces are of.
    fn runs_ui(&mut self, ui: &mut Ui) {
        let (mut only, mut anew) = (self.only.clone(), false);
        let choice = ComboBox::from_id_salt("labelling run").selected_text(only.as_deref().unwrap_or("All runs"));
        let shown = choice.show_ui(ui, |ui| {
            ui.selectable_value(&mut only, None, "All runs");
            for name in &self.known {
                ui.selectable_value(&mut only, Some(name.clone()), plain(name));
            }
            ui.separator();
            anew = ui.button("Read runs anew").clicked();
        });
        shown
            .response
            .on_hover_text("Whose pieces are shown: in a loop of preferences, best those of the newest run alone");
        if !anew && only == self.only {
            return;
        }
        // The question stays when those runs have nothing to compare.
        let found = pool(&self.runs, &self.task, only.as_deref()).and_then(|(pool, known)| {
            let sampler = sampler(&pool, self.length, self.any_reset).map_err(|e| e.to_string())?;
            Ok((pool, known, sampler))
        });
        match found {
            Ok((pool, known, sampler)) => {
                (self.pool, self.known, self.sampler, self.only) = (pool, known, sampler, only);
                let pool = &self.pool;
                self.waiting.retain(|segments| segments.iter().all(|s| pool.find(s).is_ok()));
                self.message.clear();
                self.next();
            }
            Err(why) => self.message = why,
        }
    }
}
