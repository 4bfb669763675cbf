//! The chooser of tasks: what there is, with a picture of each, by name or with the keyboard.

use crate::app::{Studio, Wake};
use egui::{Key, RichText, Ui};
use pavlov_env::{Assets, Task};

/// One task to choose.
#[derive(Debug, Clone)]
struct Choice {
    name: String,
    about: String,
}

/// The chooser.
pub(super) struct Chooser {
    /// Is it shown though a task is open?
    pub open: bool,
    search: String,
    choices: Vec<Choice>,
    _wake: Wake,
}

impl Chooser {
    pub fn new(assets: &Assets, wake: Wake) -> Self {
        let about = |name: &str| Task::load(assets, name).map_or_else(|e| e.to_string(), |t| t.file.about.clone());
        let choices = assets.tasks().into_iter().map(|t| Choice { about: about(&t.name), name: t.name }).collect();
        Self { open: false, search: String::new(), choices, _wake: wake }
    }
}

impl Studio {
    pub(super) fn choose_ui(&mut self, ui: &mut Ui) {
        self.views.clear();
        let mut chosen = None;
        egui::CentralPanel::default().show(ui, |ui| {
            ui.heading("Choose a task");
            ui.label("A robot, what it senses, and how success is measured. The reward is what you design.");
            let search = ui.text_edit_singleline(&mut self.chooser.search);
            if self.session.is_none() && ui.memory(|m| m.focused().is_none()) {
                search.request_focus();
            }
            let enter = search.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            let wanted = self.chooser.search.to_lowercase();
            let found = |c: &&Choice| c.name.to_lowercase().contains(&wanted) || c.about.to_lowercase().contains(&wanted);
            egui::ScrollArea::vertical().show(ui, |ui| {
                if self.chooser.choices.is_empty() {
                    ui.label("There are no tasks here: start the studio in a folder with `tasks/`, or give one with --assets.");
                }
                for choice in self.chooser.choices.iter().filter(found) {
                    let text = RichText::new(&choice.name).strong();
                    if ui.button(text).clicked() || (enter && chosen.is_none()) {
                        chosen = Some(choice.name.clone());
                    }
                    ui.label(&choice.about);
                    ui.add_space(6.0);
                }
            });
            if self.session.is_some() && (ui.button("Back").clicked() || ui.input(|i| i.key_pressed(Key::Escape))) {
                self.chooser.open = false;
            }
        });
        if let Some(name) = chosen {
            match self.open_task(&name, None) {
                Ok(()) => self.chooser.open = false,
                Err(error) => self.dialogs.say(format!("{error:#}")),
            }
        }
    }
}
