//! The list of searches: the state of each, what to do when there is none, and a field for one that is elsewhere.

use super::Searches;
use super::watch::{Brief, Entry};
use crate::runs::text::number;
use crate::theme::{self, Theme};
use egui::text::LayoutJob;
use egui::{Color32, TextFormat, TextStyle, Ui};
use pavlov_common::{plain, plain_lines};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

impl Searches {
    /// Draws the list. `poll` before.
    pub fn list_ui(&mut self, ui: &mut Ui, theme: Theme) {
        if let Some(problem) = &self.problem {
            ui.colored_label(theme::error(theme), plain_lines(problem));
        }
        if !self.listed {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label("Reading the search folders ...");
            });
            return;
        }
        if self.list.is_empty() {
            empty(ui, &self.folder);
            self.other_ui(ui);
            return;
        }
        let mut chosen = None;
        let height = (ui.available_height() - 70.0).max(120.0);
        egui::ScrollArea::vertical().id_salt("searches").max_height(height).auto_shrink([false, true]).show(ui, |ui| {
            for entry in &self.list {
                let on = self.selected.as_ref() == Some(&entry.path);
                let button = egui::Button::selectable(on, row_text(ui, theme, entry))
                    .wrap_mode(egui::TextWrapMode::Wrap)
                    .min_size(egui::vec2(ui.available_width(), 0.0));
                let response = ui.add(button.right_text(""));
                let name = format!("{} {}", name(&entry.path), state(entry));
                response.widget_info(|| egui::WidgetInfo::selected(egui::WidgetType::SelectableLabel, true, on, &name));
                if response.on_hover_text(entry.path.display().to_string()).clicked() {
                    chosen = Some(entry.path.clone());
                }
            }
        });
        if let Some(path) = chosen {
            self.select(&path);
        }
        ui.separator();
        self.other_ui(ui);
    }

    /// A search that is not in the folder of runs.
    fn other_ui(&mut self, ui: &mut Ui) {
        let label = ui.label("Another search folder");
        ui.horizontal(|ui| {
            let room = (ui.available_width() - 60.0).max(80.0);
            let field = egui::TextEdit::singleline(&mut self.other).hint_text("path").desired_width(room);
            let field = ui.add(field).labelled_by(label.id);
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let path = PathBuf::from(self.other.trim());
            let pressed = ui.add_enabled(!path.as_os_str().is_empty(), egui::Button::new("Open")).clicked();
            if (entered || pressed) && !path.as_os_str().is_empty() {
                self.open_folder(&path);
                self.other.clear();
            }
        });
    }
}

fn name(path: &Path) -> String {
    plain(&path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned()))
}

/// The state of a search, in a word or two. Whether a process works on it is not known; when it wrote last is.
fn state(entry: &Entry) -> &'static str {
    match &entry.brief {
        Err(_) => "cannot be read",
        Ok(Brief { ended: true, .. }) => "ended",
        Ok(_) => "not ended",
    }
}

/// `3 s ago`.
fn ago(time: Option<SystemTime>) -> String {
    let Some(age) = time.and_then(|t| t.elapsed().ok()) else { return "just now".into() };
    match age.as_secs() {
        s @ 0..100 => format!("{s} s ago"),
        s @ 100..6000 => format!("{} min ago", s / 60),
        s @ 6000..172_800 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

/// Two lines: what it is, and its state.
fn row_text(ui: &Ui, theme: Theme, entry: &Entry) -> LayoutJob {
    let body = TextStyle::Body.resolve(ui.style());
    let small = TextStyle::Small.resolve(ui.style());
    let mut job = LayoutJob::default();
    let mut add = |text: &str, font: &egui::FontId, colour: Color32| {
        job.append(text, 0.0, TextFormat { font_id: font.clone(), color: colour, ..TextFormat::default() });
    };
    let (strong, weak) = (ui.visuals().strong_text_color(), ui.visuals().text_color());
    let colour = match &entry.brief {
        Err(_) => theme::error(theme),
        Ok(Brief { ended: true, .. }) => theme::good(theme),
        Ok(_) => theme::warning(theme),
    };
    add("⏺ ", &small, colour);
    add(&name(&entry.path), &body, strong);
    add("\n", &small, weak);
    add(state(entry), &small, colour);
    if let Ok(brief) = &entry.brief {
        let best = match brief.best {
            Some((at, fitness)) => {
                format!("  {} {at} ({})", if brief.ended { "winner" } else { "best" }, number(fitness))
            }
            None => String::new(),
        };
        add(
            &format!("  {}  {}, {} candidates{best}", plain(&brief.task), plain(&brief.how), brief.proposed),
            &small,
            weak,
        );
    }
    add(&format!("  {}", ago(entry.written)), &small, weak);
    job
}

/// What to do when there are no searches.
fn empty(ui: &mut Ui, folder: &Path) {
    ui.add_space(16.0);
    ui.heading("No searches yet");
    ui.label(
        "A search proposes rewards, stops bad ones at a gate, trains the others and goes on from the best. \
         It appears here as soon as it begins, with the graph of its candidates.",
    );
    ui.add_space(6.0);
    ui.label("Type in a terminal:");
    ui.monospace("pavlov search <task>");
    ui.add_space(6.0);
    ui.weak(format!("Folder: {}", folder.display()));
    ui.add_space(12.0);
}
