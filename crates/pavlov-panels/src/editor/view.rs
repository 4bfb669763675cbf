//! The editor as it is drawn: tabs, bars, the text, its problems, what runs.

use super::check::File;
use super::{Editor, Problem, popup};
use crate::keys::{self, Action};
use crate::theme::{self, Theme};
use egui::{Button, Frame, Key, Modifiers, Panel, RichText, Ui};
use pavlov_common::{plain, plain_lines};

impl Editor {
    /// Draws the script part, to be given all the room there is.
    pub fn ui(&mut self, ui: &mut Ui, theme: Theme) {
        self.shortcuts(ui);
        self.head(ui, theme);
        self.bars(ui, theme);
        let foot = Panel::bottom("editor foot").frame(Frame::new().inner_margin(egui::Margin::symmetric(0, 3)));
        foot.show_separator_line(false).show(ui, |ui| self.foot(ui, theme));
        let find = self.find.open.then(|| {
            let text = match (self.tab, &self.manifest) {
                (File::Manifest, Some(manifest)) => &manifest.text,
                _ => &self.script.text,
            };
            self.find.search(text);
            self.find.clone()
        });
        let problems: Vec<&Problem> = self.problems.iter().filter(|p| p.file == Some(self.tab) && p.line > 0).collect();
        let code = match (self.tab, &mut self.manifest) {
            (File::Manifest, Some(manifest)) => manifest,
            _ => &mut self.script,
        };
        code.ui(ui, theme, &self.names, &problems, find.as_ref());
    }

    fn shortcuts(&mut self, ui: &Ui) {
        if keys::pressed(ui.ctx(), Action::Save) {
            self.save_or_ask();
        }
        if keys::pressed(ui.ctx(), Action::Find) {
            self.find.start();
        }
        if keys::pressed(ui.ctx(), Action::NextProblem) && !self.problems.is_empty() {
            let next = self.problem_at % self.problems.len();
            self.go_to_problem(next);
            self.problem_at = next + 1;
        }
    }

    /// Shows a line of the script and gives it the keyboard.
    pub fn go_to_line(&mut self, line: usize, column: usize) {
        self.tab = File::Script;
        self.script.go_to_line(line, column);
    }

    fn go_to_problem(&mut self, at: usize) {
        let Some(problem) = self.problems.get(at) else { return };
        let (line, column) = (problem.line, problem.column);
        if let (Some(file), true) = (problem.file, line > 0) {
            self.tab = file;
            match (file, &mut self.manifest) {
                (File::Manifest, Some(manifest)) => manifest.go_to_line(line, column),
                _ => self.script.go_to_line(line, column),
            }
        }
        self.problem_at = at + 1;
    }

    /// Tabs and buttons.
    fn head(&mut self, ui: &mut Ui, theme: Theme) {
        ui.horizontal_wrapped(|ui| {
            let script = self.files.script.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            let errors = |file| self.problems.iter().any(|p| p.error && p.file == Some(file));
            let tab = |name: &str, dirty: bool, bad: bool| {
                let text = RichText::new(format!("{name}{}", if dirty { " •" } else { "" }));
                if bad { text.color(theme::error(theme)) } else { text }
            };
            let dirty = self.script.text != self.files.saved.script;
            let mut chosen = self.tab;
            ui.selectable_value(&mut chosen, File::Script, tab(&script, dirty, errors(File::Script)));
            if let Some(manifest) = &self.manifest {
                let dirty = Some(&manifest.text) != self.files.saved.manifest.as_ref();
                ui.selectable_value(&mut chosen, File::Manifest, tab("reward.toml", dirty, errors(File::Manifest)));
            }
            self.tab = chosen;
            ui.separator();
            let save = ui.add_enabled(self.is_dirty() || self.is_detached(), Button::new("Save"));
            if save.on_hover_text(keys::text(ui.ctx(), Action::Save)).clicked() {
                self.save_or_ask();
            }
            if ui.button("Find").on_hover_text(keys::text(ui.ctx(), Action::Find)).clicked() {
                self.find.start();
            }
            let title = plain(self.title());
            let name = ui.label(RichText::new(title).weak());
            name.on_hover_ui(|ui| {
                ui.label(plain(&self.subject.path.display().to_string()));
                if let Some(foreign) = &self.foreign {
                    ui.label(format!("{}: saving makes a copy of your own.", plain(&foreign.why)));
                }
            });
        });
    }

    /// What needs an answer, above the text.
    fn bars(&mut self, ui: &mut Ui, theme: Theme) {
        let bar = |ui: &mut Ui, colour, add: &mut dyn FnMut(&mut Ui)| {
            let frame = Frame::group(ui.style()).stroke(egui::Stroke::new(1.0, colour)).inner_margin(4);
            frame.show(ui, |ui| ui.horizontal_wrapped(|ui| add(ui)));
        };
        if let Some(words) = self.trouble.clone() {
            bar(ui, theme::error(theme), &mut |ui| {
                ui.label(RichText::new(plain_lines(&words)).color(theme::error(theme)));
                if ui.button("Close").clicked() {
                    self.trouble = None;
                }
            });
        }
        if let Some(title) = self.brought().map(String::from) {
            bar(ui, theme::good(theme), &mut |ui| {
                ui.label(format!("{} is in the editor, not saved.", plain(&title)));
                let back = ui.button("Take back");
                if back.on_hover_text("Script and manifest as they were; they are in the history, too.").clicked() {
                    self.take_back();
                }
                if ui.button("Keep").on_hover_text("Goes on with it. Saving asks for a name of its own.").clicked() {
                    self.brought = None;
                }
            });
        }
        if let Some(words) = self.notice.clone() {
            bar(ui, theme::warning(theme), &mut |ui| {
                ui.label(plain_lines(&words));
                if ui.button("Close").clicked() {
                    self.notice = None;
                }
            });
        }
        if let Some(texts) = self.outside.clone() {
            bar(ui, theme::warning(theme), &mut |ui| {
                ui.label("The files were changed outside, and there are unsaved changes here.");
                if ui.button("Load theirs").on_hover_text("What is here is kept in the history.").clicked() {
                    let kept = self.history.store(&self.texts(), "before loading");
                    if self.report(kept).is_some() {
                        self.load_outside(&texts);
                    }
                }
                if ui.button("Keep mine").on_hover_text("Saving writes over what is on disk.").clicked() {
                    self.files.saved = texts.clone();
                    self.outside = None;
                }
            });
        }
        if self.find.open {
            ui.horizontal_wrapped(|ui| self.find_bar(ui));
        }
    }

    fn find_bar(&mut self, ui: &mut Ui) {
        let id = ui.make_persistent_id("find field");
        let mut go = None;
        if ui.memory(|m| m.has_focus(id)) {
            if ui.input_mut(|i| i.consume_key(Modifiers::SHIFT, Key::Enter)) {
                go = Some(true);
            } else if ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Enter)) {
                go = Some(false);
            }
        }
        let field = egui::TextEdit::singleline(&mut self.find.query).id(id).hint_text("find").desired_width(150.0);
        let response = ui.add(field);
        ui.ctx().accesskit_node_builder(id, |node| node.set_label("Find in the text"));
        if std::mem::take(&mut self.find.focus) {
            response.request_focus();
        }
        if response.changed() {
            self.find.current = 0;
        }
        ui.label(self.find.count());
        if ui.button("Previous").on_hover_text("Shift+Enter").clicked() {
            go = Some(true);
        }
        if ui.button("Next").on_hover_text("Enter").clicked() {
            go = Some(false);
        }
        let left = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Escape));
        if ui.button("Close").on_hover_text("Esc").clicked() || left {
            self.find.open = false;
        }
        if let Some(place) = go.and_then(|back| self.find.go(back)) {
            match (self.tab, &mut self.manifest) {
                (File::Manifest, Some(manifest)) => manifest.show(place),
                _ => self.script.show(place),
            }
        }
    }

    /// What runs, the problems, and the name at the cursor.
    fn foot(&mut self, ui: &mut Ui, theme: Theme) {
        let version = match self.version {
            0 => "Nothing runs yet".to_string(),
            n => format!("Running version {n}"),
        };
        let mut go = None;
        let hint = format!("Go there ({})", keys::text(ui.ctx(), Action::NextProblem));
        let problem_label = |ui: &mut Ui, words: String, colour| {
            let text = RichText::new(words).color(colour);
            ui.add(Button::new(text).frame_when_inactive(false).wrap()).on_hover_text(&hint).clicked()
        };
        // Errors come first.
        let errors = self.has_errors();
        if errors {
            if problem_label(ui, format!("{version}; {}", self.problems[0].text()), theme::error(theme)) {
                go = Some(0);
            }
        } else {
            let saved = if self.is_dirty() { ", not saved" } else { "" };
            ui.label(RichText::new(format!("{version}{saved}")).color(theme::good(theme)));
        }
        let rest = self.problems.iter().enumerate().skip(usize::from(errors));
        if rest.len() > 0 {
            egui::ScrollArea::vertical().id_salt("problems").max_height(96.0).auto_shrink([false, true]).show(
                ui,
                |ui| {
                    for (i, p) in rest {
                        let (mark, colour) =
                            if p.error { ("error", theme::error(theme)) } else { ("warning", theme::warning(theme)) };
                        if problem_label(ui, format!("{mark}: {}", p.text()), colour) {
                            go = Some(i);
                        }
                    }
                },
            );
        }
        if let Some(i) = go {
            self.go_to_problem(i);
        }
        if self.tab == File::Script {
            let text = &self.script.text;
            let at = self.script.caret();
            let before = text[..at].char_indices().next_back().map_or(at, |(i, _)| i);
            let found = self.names.explain(text, at).or_else(|| self.names.explain(text, before));
            let words = found.map_or_else(String::new, |(_, e)| popup::line(&e[0]));
            ui.add(egui::Label::new(RichText::new(words).weak().small()).truncate());
        }
    }
}
