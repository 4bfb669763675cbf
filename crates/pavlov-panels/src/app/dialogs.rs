//! Messages, the list of keys, and the question before the window closes.

use crate::app::Studio;
use crate::keys;
use egui::{Align2, Context, Window};
use pavlov_common::plain_lines;

/// What is shown in front of everything else.
#[derive(Debug, Default)]
pub(super) struct Dialogs {
    /// What the person should read; each goes when it is clicked away.
    pub messages: Vec<String>,
    /// The list of keys.
    pub help: bool,
    /// The question before closing.
    pub closing: bool,
}

impl Dialogs {
    /// Adds a message once.
    pub fn say(&mut self, text: String) {
        if !self.messages.contains(&text) {
            self.messages.push(text);
        }
    }
}

impl Studio {
    pub(super) fn dialogs_ui(&mut self, ctx: &Context) {
        let dialogs = &mut self.dialogs;
        if !dialogs.messages.is_empty() {
            Window::new("Message").anchor(Align2::CENTER_TOP, [0.0, 50.0]).collapsible(false).resizable(false).show(
                ctx,
                |ui| {
                    ui.set_max_width(520.0);
                    for text in &dialogs.messages {
                        ui.label(plain_lines(text));
                    }
                    if ui.button("OK").clicked() {
                        dialogs.messages.clear();
                    }
                },
            );
        }
        Window::new("Keys").open(&mut dialogs.help).anchor(Align2::CENTER_CENTER, [0.0, 0.0]).show(ctx, |ui| {
            egui::ScrollArea::vertical().max_height(420.0).show(ui, |ui| {
                egui::Grid::new("keys").num_columns(2).striped(true).show(ui, |ui| {
                    for row in keys::TABLE {
                        ui.strong(ctx.format_shortcut(&row.shortcut));
                        ui.label(row.label);
                        ui.end_row();
                    }
                })
            });
            ui.separator();
            ui.label(
                "Mouse: drag the ground to turn, a robot to push it; right or middle button to move; wheel to zoom;",
            );
            ui.label("click to select; double click to follow.");
        });
        if dialogs.closing {
            Window::new("A policy is being trained").anchor(Align2::CENTER_CENTER, [0.0, 0.0]).collapsible(false).show(
                ctx,
                |ui| {
                    ui.label(
                        "Closing ends it after the present update. Its checkpoint stays: `pavlov resume` goes on.",
                    );
                    ui.horizontal(|ui| {
                        if ui.button("Close").clicked() || ui.input(|i| i.key_pressed(egui::Key::Enter)) {
                            self.quit = true;
                        }
                        if ui.button("Stay").clicked() || ui.input(|i| i.key_pressed(egui::Key::Escape)) {
                            dialogs.closing = false;
                        }
                    });
                },
            );
        }
    }
}
