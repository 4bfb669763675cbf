//! Parameters as sliders. A move changes a number of the running program, nothing is compiled; it is written into the
//! buffer of `reward.toml` and logged.

use super::history::{append, rows};
use super::{Editor, EditorError, popup};
use crate::theme::{self, Theme};
use egui::{RichText, Ui};
use pavlov_common::{plain, plain_lines};
use pavlov_reward::Param;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A line of `changes.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamChange {
    /// When, UTC.
    pub time: String,
    /// The reward.
    pub reward: String,
    /// The parameter.
    pub name: String,
    /// Value before.
    pub old: f64,
    /// Value after.
    pub new: f64,
}

/// A move ends when nothing was moved for this long.
const SETTLED: Duration = Duration::from_millis(500);

/// Changes of parameters: a drag is one.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    path: PathBuf,
    /// Of this reward, oldest first.
    pub rows: Vec<ParamChange>,
    moving: Option<(String, f64, f64, Instant)>,
}

impl ChangeLog {
    pub fn open(state: &Path, reward: &str) -> Result<Self, EditorError> {
        let path = state.join("changes.jsonl");
        let mut rows: Vec<ParamChange> = rows(&path)?;
        rows.retain(|r| r.reward == reward);
        Ok(Self { path, rows, moving: None })
    }

    /// Notes a changed value; changes of one move are taken together.
    pub fn moved(&mut self, reward: &str, name: &str, old: f64, new: f64) -> Result<(), EditorError> {
        if self.moving.as_ref().is_some_and(|(n, ..)| n != name) {
            self.close(reward)?;
        }
        let from = self.moving.as_ref().map_or(old, |(_, from, ..)| *from);
        self.moving = Some((name.into(), from, new, Instant::now()));
        Ok(())
    }

    /// Writes a move that has come to rest. Returns how long a running one still needs.
    pub fn settle(&mut self, reward: &str, held: bool) -> Result<Option<Duration>, EditorError> {
        match &self.moving {
            None => Ok(None),
            Some((.., at)) if held || at.elapsed() < SETTLED => Ok(Some(SETTLED.saturating_sub(at.elapsed()))),
            Some(_) => self.close(reward).map(|()| None),
        }
    }

    /// Writes the open move now.
    pub fn close(&mut self, reward: &str) -> Result<(), EditorError> {
        if let Some((name, old, new, _)) = self.moving.take()
            && old != new
        {
            let row = ParamChange { time: pavlov_run::clock::now_utc(), reward: reward.into(), name, old, new };
            append(&self.path, &row)?;
            self.rows.push(row);
        }
        Ok(())
    }
}

/// Range of a slider, and whether it is logarithmic: where the range spans two decades or more, or the value is far
/// down in it.
fn range(p: &Param, value: f64) -> (f64, f64, bool) {
    let reach = value.abs().max(p.value.abs());
    let guess = if reach == 0.0 { 1.0 } else { 4.0 * reach };
    let low = p.min.unwrap_or(if value < 0.0 || p.value < 0.0 { -guess } else { 0.0f64.min(p.max.unwrap_or(0.0)) });
    let high = p.max.unwrap_or_else(|| guess.max(low + guess));
    let log = if low > 0.0 { high / low >= 100.0 } else { low == 0.0 && p.value > 0.0 && high / p.value >= 40.0 };
    (low, high, log)
}

impl Editor {
    /// The sliders, then the log of changes. What is moved is handed out by [`Editor::take_change`] in the same frame.
    pub fn parameters_ui(&mut self, ui: &mut Ui, theme: Theme) {
        if !self.has_manifest() {
            ui.label("A lone .rhai file has no parameters. Put it into a folder as reward.rhai, beside a reward.toml.");
            return;
        }
        if self.params.is_empty() {
            ui.label("No parameters yet. Add one to reward.toml and read it in the script as p.name:");
            ui.code(
                "[params.forward]\nvalue = 1.0\nmin = 0.0\nmax = 5.0\nunit = \"s/m\"\nabout = \"weight of the speed\"",
            );
            return;
        }
        if self.manifest_broken() {
            let words = "reward.toml has an error: the sliders rest until it is gone.";
            ui.label(RichText::new(words).color(theme::warning(theme)));
        }
        egui::ScrollArea::vertical().id_salt("parameters").auto_shrink([false, false]).show(ui, |ui| {
            let mut changes: Vec<(String, f64)> = Vec::new();
            ui.add_enabled_ui(!self.manifest_broken(), |ui| {
                let list: Vec<(String, Param)> = self.params.iter().map(|(n, p)| (n.clone(), p.clone())).collect();
                // One column for the names, as wide as the longest.
                let font = egui::TextStyle::Body.resolve(ui.style());
                let measure =
                    |n: &str| ui.painter().layout_no_wrap(n.into(), font.clone(), egui::Color32::GRAY).size().x;
                let column = list.iter().map(|(n, _)| measure(n)).fold(0.0, f32::max);
                for (name, p) in &list {
                    let default = self.saved_params.get(name).map_or(p.value, |s| s.value);
                    if let Some(x) = slider(ui, theme, (name, column), p, default) {
                        changes.push((name.clone(), x));
                    }
                }
            });
            for (name, x) in changes {
                self.set_parameter(&name, x);
            }
            ui.add_space(6.0);
            self.log_ui(ui);
        });
    }

    fn log_ui(&mut self, ui: &mut Ui) {
        let mut back = None;
        egui::CollapsingHeader::new(format!("Changes ({})", self.log.rows.len())).id_salt("changes").show(ui, |ui| {
            if self.log.rows.is_empty() {
                ui.label("Nothing was changed yet.");
            }
            for (i, row) in self.log.rows.iter().enumerate().rev() {
                ui.horizontal_wrapped(|ui| {
                    ui.label(RichText::new(&row.time).weak().monospace().small());
                    ui.label(format!("{}: {} to {}", plain(&row.name), row.old as f32, row.new as f32));
                    let known = self.params.get(&row.name).is_some_and(|p| p.value as f32 != row.old as f32);
                    let button = ui.add_enabled(known, egui::Button::new("Set back").small());
                    if button.on_hover_text(format!("{} = {}", row.name, row.old as f32)).clicked() {
                        back = Some(i);
                    }
                });
            }
        });
        if let Some(i) = back {
            let (name, x) = (self.log.rows[i].name.clone(), self.log.rows[i].old);
            self.set_parameter(&name, x);
        }
    }
}

/// Draws one parameter; returns a new value.
fn slider(ui: &mut Ui, theme: Theme, (name, column): (&str, f32), p: &Param, default: f64) -> Option<f64> {
    let mut x = p.value;
    let (low, high, log) = range(p, x);
    let mut new_value = None;
    let changed = x as f32 != default as f32;
    ui.horizontal(|ui| {
        let mut text = RichText::new(plain(name));
        if changed {
            text = text.strong();
        }
        let start = ui.cursor().left();
        let label = ui.label(text).on_hover_ui(|ui| {
            ui.label(plain_lines(&p.about));
            let unit = if p.unit.is_empty() { String::new() } else { format!(" {}", plain(&p.unit)) };
            ui.label(format!("{low} to {high}{unit}; saved: {default}. Double-click the slider to set it back."));
        });
        ui.add_space((start + column - label.rect.right()).max(0.0));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let reset = ui.add_enabled(changed, egui::Button::new("↺").small().frame(false));
            reset.widget_info(|| {
                egui::WidgetInfo::labeled(egui::WidgetType::Button, changed, format!("Set {name} back to {default}"))
            });
            if reset.on_hover_text(format!("Back to {default}, the saved value")).clicked() {
                new_value = Some(default);
            }
            let unit = if p.unit.is_empty() { " ".into() } else { plain(&p.unit) };
            let unit = RichText::new(unit).weak().small();
            ui.add_sized([34.0, 14.0], egui::Label::new(unit).truncate());
            let value = ui.add_sized(
                [64.0, ui.spacing().interact_size.y],
                egui::DragValue::new(&mut x).range(low..=high).speed((high - low) / 400.0).max_decimals(6),
            );
            value.widget_info(|| {
                let mut info = egui::WidgetInfo::drag_value(true, x);
                info.label = Some(format!("{name} value"));
                info
            });
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).clamp(40.0, 170.0);
            let bar = egui::Slider::new(&mut x, low..=high).show_value(false).logarithmic(log);
            let bar = ui.add(bar.smallest_positive(if log { (p.value.abs() / 100.0).max(1e-9) } else { 1e-9 }));
            let bar = bar.labelled_by(label.id);
            let double = ui.input(|i| i.pointer.button_double_clicked(egui::PointerButton::Primary));
            let to_default = double && bar.hovered();
            bar.on_hover_ui(|ui| {
                let entry = popup::line(&super::names::parameter(name, p));
                ui.set_max_width(300.0);
                ui.label(entry);
            });
            if to_default {
                new_value = Some(default);
            } else if x != p.value {
                new_value = Some(x);
            }
        });
    });
    if p.min.is_some_and(|m| p.value < m) || p.max.is_some_and(|m| p.value > m) {
        ui.label(RichText::new("outside of its range").color(theme::warning(theme)));
    }
    new_value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(value: f64, min: Option<f64>, max: Option<f64>) -> Param {
        Param { value, min, max, unit: String::new(), about: String::new() }
    }

    #[test]
    fn ranges_that_span_decades_are_logarithmic() {
        assert_eq!(range(&param(1.0, Some(0.0), Some(5.0)), 1.0), (0.0, 5.0, false));
        assert_eq!(range(&param(0.0002, Some(0.0), Some(0.01)), 0.0002), (0.0, 0.01, true));
        assert_eq!(range(&param(0.1, Some(0.001), Some(10.0)), 0.1), (0.001, 10.0, true));
        assert_eq!(range(&param(2.0, None, None), 2.0), (0.0, 8.0, false));
        assert_eq!(range(&param(-2.0, None, None), -2.0), (-8.0, 8.0, false));
        assert_eq!(range(&param(0.0, None, None), 0.0), (0.0, 1.0, false));
    }

    #[test]
    fn a_drag_is_one_line_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = ChangeLog::open(dir.path(), "r").unwrap();
        log.moved("r", "w", 1.0, 1.5).unwrap();
        log.moved("r", "w", 1.5, 2.0).unwrap();
        assert!(log.settle("r", true).unwrap().is_some() && log.rows.is_empty());
        log.moved("r", "v", 0.0, 1.0).unwrap();
        log.close("r").unwrap();
        log.moved("r", "v", 1.0, 1.0).unwrap();
        log.close("r").unwrap();
        let rows = ChangeLog::open(dir.path(), "r").unwrap().rows;
        let values: Vec<(&str, f64, f64)> = rows.iter().map(|r| (r.name.as_str(), r.old, r.new)).collect();
        assert_eq!(values, [("w", 1.0, 2.0), ("v", 0.0, 1.0)]);
        assert!(ChangeLog::open(dir.path(), "other").unwrap().rows.is_empty());
    }
}
