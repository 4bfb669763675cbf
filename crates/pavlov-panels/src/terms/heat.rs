//! Colours for the worlds by the total or one node: viridis, which reads the same for most kinds of colour blindness
//! and in grey.

use super::Terms;
use crate::theme::Theme;
use egui::{Color32, Rect, RichText, Sense, Ui, pos2, vec2};

/// Seconds over which the ends of the scale are taken, so that colours do not flicker.
const RANGE_S: f64 = 5.0;

/// Viridis at equal steps (S. van der Walt and N. Smith, matplotlib).
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// The colour of NaN.
const BAD: Color32 = Color32::from_rgb(255, 0, 140);

/// Colour of a share from 0 to 1.
pub(crate) fn colour(x: f32) -> Color32 {
    if x.is_nan() {
        return BAD;
    }
    let at = x.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let i = (at as usize).min(VIRIDIS.len() - 2);
    let mix = |k: usize| {
        let (a, b) = (f32::from(VIRIDIS[i][k]), f32::from(VIRIDIS[i + 1][k]));
        (a + (b - a) * (at - i as f32)).round() as u8
    };
    Color32::from_rgb(mix(0), mix(1), mix(2))
}

/// The scale of the colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Legend {
    /// The node.
    pub name: String,
    /// Value of the dark end.
    pub min: f32,
    /// Value of the bright end.
    pub max: f32,
}

impl Terms {
    /// Node that the robots are coloured by, when they are: what is chosen in [`Terms::heat_ui`].
    pub fn heat_choice(&self) -> Option<&str> {
        self.heat.as_deref()
    }

    /// Chooses it.
    pub fn set_heat(&mut self, node: Option<&str>) {
        self.heat = node.map(str::to_string);
    }

    /// Ends of the scale of a node: least and most of any world in the last seconds. None without a frame that has the
    /// node.
    pub fn heat_legend(&self, node: &str) -> Option<Legend> {
        let end = self.ring.last_time();
        let newest = self.ring.records.back()?;
        let at = newest.names.nodes.iter().position(|n| n == node)?;
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        for record in self.ring.range(end - RANGE_S, end) {
            let same = std::sync::Arc::ptr_eq(&record.names, &newest.names);
            let k = if same { Some(at) } else { record.names.nodes.iter().position(|n| n == node) };
            if let Some(s) = k.map(|k| record.nodes[k]).filter(|s| s.good > 0) {
                min = min.min(s.min);
                max = max.max(s.max);
            }
        }
        (min <= max).then(|| Legend { name: node.into(), min, max })
    }

    /// A colour for each world of the newest frame by a node (`total`, a term): dark is least, bright is most, magenta
    /// is not a number. Empty when there is no such node.
    pub fn heat(&self, node: &str) -> Vec<Color32> {
        let (Some(newest), legend) = (self.ring.records.back(), self.heat_legend(node)) else { return Vec::new() };
        let Some(k) = newest.names.nodes.iter().position(|n| n == node) else { return Vec::new() };
        let (min, max) = legend.map_or((0.0, 1.0), |l| (l.min, l.max));
        let n = newest.nodes.len();
        let share = |x: f32| match (x.is_finite(), max > min) {
            (false, _) => f32::NAN,
            (true, true) => (x - min) / (max - min),
            (true, false) => 0.5,
        };
        newest.worlds.chunks(n).map(|row| colour(share(row[k]))).collect()
    }

    /// What robots are coloured by, and the scale.
    pub fn heat_ui(&mut self, ui: &mut Ui, theme: Theme) {
        ui.horizontal_wrapped(|ui| {
            let names = self.ring.names(f64::INFINITY);
            let shown = self.heat.clone().unwrap_or_else(|| "nothing".into());
            let label = ui.label("Colour robots by");
            let menu = ui.menu_button(format!("{shown} ⏷"), |ui| {
                egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                    // The total comes first.
                    let nodes = names.iter().flat_map(|n| n.nodes.iter().rev()).map(|n| Some(n.clone()));
                    for choice in [None].into_iter().chain(nodes) {
                        let text = choice.as_deref().unwrap_or("nothing");
                        if ui.selectable_label(self.heat == choice, text).clicked() {
                            self.heat.clone_from(&choice);
                            ui.close();
                        }
                    }
                });
            });
            menu.response.labelled_by(label.id);
            if let Some(name) = self.heat.clone() {
                match self.heat_legend(&name) {
                    Some(legend) => {
                        let (min, max) = (f64::from(legend.min), f64::from(legend.max));
                        let words = format!("{} from {min:.4} to {max:.4} in the last {RANGE_S} s", legend.name);
                        scale(ui, [min, max], &words, "Magenta: not a number.");
                    }
                    None => {
                        let words = format!("`{name}` is no part of this reward, or has no number yet");
                        ui.label(RichText::new(words).color(crate::theme::warning(theme)));
                    }
                }
            }
        });
    }
}

/// Draws the colour map from its dark to its bright end, with the numbers there.
pub(crate) fn scale(ui: &mut Ui, [min, max]: [f64; 2], words: &str, more: &str) {
    ui.horizontal(|ui| {
        ui.monospace(format!("{min:.3}"));
        let (rect, response) = ui.allocate_exact_size(vec2(90.0, 12.0), Sense::hover());
        let steps = 45;
        for i in 0..steps {
            let x = |i: usize| rect.left() + rect.width() * i as f32 / steps as f32;
            let piece = Rect::from_min_max(pos2(x(i), rect.top()), pos2(x(i + 1), rect.bottom()));
            ui.painter().rect_filled(piece, 0.0, colour((i as f32 + 0.5) / steps as f32));
        }
        response.widget_info(|| egui::WidgetInfo::labeled(egui::WidgetType::Image, true, words));
        response.on_hover_text(format!("{words}. {more}"));
        ui.monospace(format!("{max:.3}"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_runs_from_dark_to_bright() {
        let light = |c: Color32| 0.2126 * f32::from(c.r()) + 0.7152 * f32::from(c.g()) + 0.0722 * f32::from(c.b());
        let steps: Vec<f32> = (0..=100).map(|i| light(colour(i as f32 / 100.0))).collect();
        assert!(steps.windows(2).all(|w| w[1] >= w[0] - 0.5), "{steps:?}");
        assert_eq!((colour(f32::NAN), colour(-1.0), colour(2.0)), (BAD, colour(0.0), colour(1.0)));
    }
}
