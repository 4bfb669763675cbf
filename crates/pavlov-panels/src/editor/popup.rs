//! The list of completions, and the description of a name.

use super::check::Problem;
use super::names::Entry;
use crate::theme::{self, Theme};
use egui::{Id, Rect, RichText, Ui, vec2};
use pavlov_common::{plain, plain_lines};

/// What the person did with the list.
pub(crate) enum Asked {
    Nothing,
    /// Put this entry into the text.
    Take(usize),
    /// Look at this entry.
    Choose(usize),
}

/// Height of the list, in rows.
const ROWS: f32 = 8.0;

/// Draws the list under the cursor, with what is known about the chosen entry.
pub(crate) fn list(ui: &Ui, id: Id, caret: Rect, entries: &[Entry], chosen: usize) -> Asked {
    let mut asked = Asked::Nothing;
    let area = egui::Area::new(id.with("completion"))
        .order(egui::Order::Foreground)
        .fixed_pos(caret.left_bottom() + vec2(0.0, 2.0))
        .constrain(true);
    area.show(ui.ctx(), |ui| {
        egui::Frame::popup(ui.style()).show(ui, |ui| {
            ui.set_width(300.0);
            ui.spacing_mut().item_spacing.y = 1.0;
            let row = ui.spacing().interact_size.y + 1.0;
            let scroll = egui::ScrollArea::vertical().max_height(row * ROWS).auto_shrink([false, true]);
            scroll.show(ui, |ui| {
                for (i, e) in entries.iter().enumerate() {
                    let name = RichText::new(&e.insert).monospace();
                    let button = egui::Button::selectable(i == chosen, name)
                        .right_text(RichText::new(plain(&e.gives)).weak().small());
                    let button = ui.add_sized(vec2(ui.available_width(), row - 1.0), button.truncate());
                    button.widget_info(|| {
                        egui::WidgetInfo::selected(egui::WidgetType::Button, true, i == chosen, e.insert.clone())
                    });
                    if i == chosen {
                        button.scroll_to_me(None);
                    }
                    if button.clicked() {
                        asked = Asked::Take(i);
                    } else if button.hovered() && ui.input(|i| i.pointer.delta() != egui::Vec2::ZERO) {
                        asked = Asked::Choose(i);
                    }
                }
            });
            if let Some(e) = entries.get(chosen) {
                ui.separator();
                describe(ui, e);
            }
        });
    });
    asked
}

/// An entry in full.
fn describe(ui: &mut Ui, e: &Entry) {
    ui.add(egui::Label::new(RichText::new(plain(&e.usage)).monospace().strong()).wrap());
    if !e.gives.is_empty() {
        ui.add(egui::Label::new(RichText::new(plain(&e.gives)).weak()).wrap());
    }
    if !e.doc.is_empty() {
        ui.add(egui::Label::new(plain_lines(&e.doc)).wrap());
    }
}

/// The description of a word under the pointer.
pub(crate) fn hover(ui: &mut Ui, theme: Theme, problems: &[&Problem], entries: &[Entry]) {
    ui.set_max_width(380.0);
    for p in problems {
        let colour = if p.error { theme::error(theme) } else { theme::warning(theme) };
        ui.label(RichText::new(&p.message).color(colour));
        if !p.hint.is_empty() {
            ui.label(&p.hint);
        }
    }
    if !problems.is_empty() && !entries.is_empty() {
        ui.separator();
    }
    for (i, e) in entries.iter().enumerate() {
        if i > 0 {
            ui.add_space(4.0);
        }
        describe(ui, e);
    }
}

/// An entry in one line, for the foot of the editor.
pub(crate) fn line(e: &Entry) -> String {
    let gives = if e.gives.is_empty() { String::new() } else { format!(" gives {}", e.gives) };
    let doc = if e.doc.is_empty() { String::new() } else { format!(": {}", e.doc) };
    plain(&format!("{}{gives}{doc}", e.usage))
}
