//! The history as it is drawn: the list, the differences, and the way back.

use super::Editor;
use super::check::Texts;
use crate::theme::{self, Theme};
use egui::{Color32, RichText, Ui};
use similar::{ChangeTag, DiffOp, TextDiff};

/// What is chosen in the list.
#[derive(Debug, Default)]
pub(crate) struct HistoryView {
    chosen: Option<usize>,
    /// Against the version before; else against what is in the editor.
    against_previous: bool,
    side_by_side: bool,
}

impl Editor {
    /// The versions, newest first, and the difference of the chosen one.
    pub fn history_ui(&mut self, ui: &mut Ui, theme: Theme) {
        if self.history.versions.is_empty() {
            ui.label("No versions yet. One is kept when you save, and when a version has run for 5 seconds.");
            return;
        }
        let n = self.history.versions.len();
        let chosen = self.view.chosen.unwrap_or(n - 1).min(n - 1);
        let list = egui::ScrollArea::vertical().id_salt("versions").max_height((ui.available_height() * 0.4).max(80.0));
        list.auto_shrink([false, true]).show(ui, |ui| {
            for (i, v) in self.history.versions.iter().enumerate().rev() {
                let text = format!("{}  {} ({})", v.time.replace('T', " ").trim_end_matches('Z'), v.summary, v.why);
                if ui.add(egui::Button::selectable(i == chosen, text).wrap()).clicked() {
                    self.view.chosen = Some(i);
                }
            }
        });
        ui.separator();
        let mut restore = false;
        ui.horizontal_wrapped(|ui| {
            restore =
                ui.button("Restore").on_hover_text("Put this version into the editor; it can be undone.").clicked();
            ui.selectable_value(&mut self.view.against_previous, false, "against the editor");
            ui.selectable_value(&mut self.view.against_previous, true, "against the version before");
            ui.checkbox(&mut self.view.side_by_side, "side by side");
        });
        if restore {
            let restored = self.restore(chosen);
            self.report(restored);
        }
        let this = self.history.texts(&self.history.versions[chosen]);
        let Some(this) = self.report(this) else { return };
        let other = match (self.view.against_previous, chosen.checked_sub(1)) {
            (true, Some(before)) => self.history.texts(&self.history.versions[before]),
            (true, None) => Ok(Texts { script: String::new(), manifest: None }),
            (false, _) => Ok(self.texts()),
        };
        let Some(other) = self.report(other) else { return };
        // From old to new: the version before comes first, what is in the editor comes last.
        let (old, new) = if self.view.against_previous { (&other, &this) } else { (&this, &other) };
        egui::ScrollArea::both().id_salt("diff").auto_shrink([false, false]).show(ui, |ui| {
            let empty = String::new();
            let files = [
                ("reward.rhai", &old.script, &new.script),
                ("reward.toml", old.manifest.as_ref().unwrap_or(&empty), new.manifest.as_ref().unwrap_or(&empty)),
            ];
            let mut same = true;
            for (name, old, new) in files {
                if old != new {
                    same = false;
                    ui.label(RichText::new(name).strong());
                    diff(ui, theme, old, new, self.view.side_by_side);
                }
            }
            if same {
                ui.label("No difference.");
            }
        });
    }
}

fn ground(theme: Theme, tag: ChangeTag) -> Color32 {
    match tag {
        ChangeTag::Insert => theme::good(theme).gamma_multiply(0.22),
        ChangeTag::Delete => theme::error(theme).gamma_multiply(0.22),
        ChangeTag::Equal => Color32::TRANSPARENT,
    }
}

/// A line of a difference.
pub(crate) fn line(ui: &mut Ui, theme: Theme, tag: ChangeTag, text: &str) {
    let sign = match tag {
        ChangeTag::Insert => '+',
        ChangeTag::Delete => '-',
        ChangeTag::Equal => ' ',
    };
    let text = RichText::new(format!("{sign} {}", text.trim_end_matches('\n'))).monospace();
    let text = if tag == ChangeTag::Equal { text.weak() } else { text.background_color(ground(theme, tag)) };
    ui.add(egui::Label::new(text).extend());
}

/// The difference with three lines around each change.
fn diff(ui: &mut Ui, theme: Theme, old: &str, new: &str, side_by_side: bool) {
    let diff = TextDiff::from_lines(old, new);
    for (g, group) in diff.grouped_ops(3).iter().enumerate() {
        if g > 0 {
            ui.label(RichText::new("...").weak());
        }
        if side_by_side {
            egui::Grid::new(("diff", g, old.len(), new.len())).num_columns(2).spacing([12.0, 0.0]).show(ui, |ui| {
                for op in group {
                    pairs(ui, theme, &diff, op);
                }
            });
        } else {
            ui.spacing_mut().item_spacing.y = 0.0;
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                line(ui, theme, change.tag(), change.value());
            }
        }
    }
}

/// Rows of two columns: old and new.
fn pairs<'a>(ui: &mut Ui, theme: Theme, diff: &TextDiff<'a, 'a, 'a, str>, op: &DiffOp) {
    let changes: Vec<_> = diff.iter_changes(op).collect();
    let lines_of = |tag| changes.iter().filter(move |c| c.tag() == tag).map(|c| c.value()).collect::<Vec<&str>>();
    let (equal, gone, came) = (lines_of(ChangeTag::Equal), lines_of(ChangeTag::Delete), lines_of(ChangeTag::Insert));
    for text in equal {
        line(ui, theme, ChangeTag::Equal, text);
        line(ui, theme, ChangeTag::Equal, text);
        ui.end_row();
    }
    for i in 0..gone.len().max(came.len()) {
        for (tag, list) in [(ChangeTag::Delete, &gone), (ChangeTag::Insert, &came)] {
            match list.get(i) {
                Some(text) => line(ui, theme, tag, text),
                None => {
                    ui.label("");
                }
            }
        }
        ui.end_row();
    }
}
