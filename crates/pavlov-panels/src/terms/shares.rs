//! How much each term counts: bars with their sign, and a table that can be sorted.

use super::{Summary, Terms};
use crate::theme::{self, Theme};
use egui::{Align2, Color32, RichText, Sense, TextStyle, Ui, pos2, vec2};

/// What the table is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Column {
    /// As the script has them.
    #[default]
    Order,
    Name,
    Mean,
    Std,
    Min,
    Max,
    Share,
    Bad,
}

/// Sorting of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sort {
    column: Column,
    downwards: bool,
}

/// Bars from the middle: to the right what pays, to the left what costs; largest first.
pub(crate) fn bars(terms: &mut Terms, ui: &mut Ui, theme: Theme, world: Option<usize>) {
    let mut rows: Vec<Summary> = terms.summary(world).into_iter().filter(|s| s.term).collect();
    rows.sort_by(|a, b| b.share.total_cmp(&a.share));
    let most = rows.iter().map(|s| s.share).fold(1e-9, f64::max);
    egui::ScrollArea::vertical().id_salt("shares").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        let font = TextStyle::Body.resolve(ui.style());
        let text =
            |ui: &Ui, s: &str| ui.painter().layout_no_wrap(s.into(), font.clone(), Color32::PLACEHOLDER).size().x;
        let names = rows.iter().map(|s| text(ui, &s.name)).fold(40.0, f32::max).min(ui.available_width() * 0.4) + 10.0;
        for s in &rows {
            let height = ui.text_style_height(&TextStyle::Body) + 4.0;
            let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
            let signed = format!("{}{:.1} %", if s.mean < 0.0 { "−" } else { "+" }, 100.0 * s.share);
            let words = format!("{}: {signed}", s.name);
            response.widget_info(|| egui::WidgetInfo::labeled(egui::WidgetType::Button, true, &words));
            let picked = terms.picked.as_deref() == Some(s.name.as_str());
            if picked || response.hovered() || response.has_focus() {
                ui.painter().rect_filled(rect, 3.0, ui.visuals().faint_bg_color);
            }
            let colour = terms.colour(theme, &s.name);
            let left = ui.painter().with_clip_rect(rect.with_max_x(rect.left() + names));
            let name_colour = if picked { ui.visuals().strong_text_color() } else { ui.visuals().text_color() };
            left.text(
                pos2(rect.left() + 4.0, rect.center().y),
                Align2::LEFT_CENTER,
                &s.name,
                font.clone(),
                name_colour,
            );
            let right = rect.right() - 64.0;
            let (start, end) = (rect.left() + names, right);
            let middle = (start + end) / 2.0;
            let long = (s.share / most) as f32 * (end - start) / 2.0;
            let to = if s.mean < 0.0 { middle - long } else { middle + long };
            let bar = egui::Rect::from_x_y_ranges(middle.min(to)..=middle.max(to), rect.shrink(3.0).y_range());
            ui.painter().rect_filled(bar, 2.0, colour);
            let axis = ui.visuals().widgets.noninteractive.bg_stroke;
            ui.painter().vline(middle, rect.y_range(), axis);
            let sum = pos2(rect.right() - 2.0, rect.center().y);
            ui.painter().text(sum, Align2::RIGHT_CENTER, signed, font.clone(), ui.visuals().text_color());
            if s.bad > 0 {
                let at = pos2(start, rect.center().y);
                let words = format!("{} not a number", s.bad);
                ui.painter().text(
                    at,
                    Align2::LEFT_CENTER,
                    words,
                    TextStyle::Small.resolve(ui.style()),
                    theme::error(theme),
                );
            }
            let response = response.on_hover_text(format!(
                "{words}\nmean {:.5}, std {:.5}\nfrom {:.5} to {:.5}",
                s.mean, s.std, s.min, s.max
            ));
            if response.clicked() {
                terms.picked = if picked { None } else { Some(s.name.clone()) };
            }
        }
    });
}

/// All nodes with their numbers.
pub(crate) fn table(terms: &mut Terms, ui: &mut Ui, theme: Theme, world: Option<usize>) {
    let mut rows = terms.summary(world);
    let sort = terms.sort;
    match sort.column {
        Column::Order => {}
        Column::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        Column::Mean => rows.sort_by(|a, b| a.mean.total_cmp(&b.mean)),
        Column::Std => rows.sort_by(|a, b| a.std.total_cmp(&b.std)),
        Column::Min => rows.sort_by(|a, b| a.min.total_cmp(&b.min)),
        Column::Max => rows.sort_by(|a, b| a.max.total_cmp(&b.max)),
        Column::Share => rows.sort_by(|a, b| a.share.total_cmp(&b.share)),
        Column::Bad => rows.sort_by_key(|s| s.bad),
    }
    if sort.downwards {
        rows.reverse();
    }
    egui::ScrollArea::both().id_salt("table").auto_shrink([false, false]).show(ui, |ui| {
        egui::Grid::new("terms table").striped(true).spacing([10.0, 3.0]).show(ui, |ui| {
            let columns = [
                ("term", Column::Name),
                ("mean", Column::Mean),
                ("std", Column::Std),
                ("min", Column::Min),
                ("max", Column::Max),
                ("share", Column::Share),
                ("NaN", Column::Bad),
            ];
            for (title, column) in columns {
                let arrow = match (sort.column == column, sort.downwards) {
                    (false, _) => "",
                    (true, true) => " ⏷",
                    (true, false) => " ⏶",
                };
                let button = ui.add(egui::Button::new(RichText::new(format!("{title}{arrow}")).strong()).frame(false));
                button.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::WidgetType::Button, true, format!("Sort by {title}"))
                });
                if button.clicked() {
                    // Numbers downwards first, then upwards, then as the script has them.
                    let first_down = column != Column::Name;
                    terms.sort = match (sort.column == column, sort.downwards == first_down) {
                        (false, _) => Sort { column, downwards: first_down },
                        (true, true) => Sort { column, downwards: !first_down },
                        (true, false) => Sort::default(),
                    };
                }
            }
            ui.end_row();
            for s in &rows {
                ui.horizontal(|ui| {
                    let (rect, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
                    let colour = if s.term { terms.colour(theme, &s.name) } else { Color32::TRANSPARENT };
                    ui.painter().rect_filled(rect, 2.0, colour);
                    let name = RichText::new(&s.name);
                    ui.label(if s.term { name } else { name.italics() });
                });
                for x in [s.mean, s.std, s.min, s.max] {
                    number(ui, &format!("{x:.4}"), None);
                }
                number(ui, &if s.term { format!("{:.1} %", 100.0 * s.share) } else { "".into() }, None);
                number(ui, &s.bad.to_string(), (s.bad > 0).then(|| theme::error(theme)));
                ui.end_row();
            }
        });
    });
}

fn number(ui: &mut Ui, text: &str, colour: Option<Color32>) {
    let text = RichText::new(text).monospace();
    let text = colour.map_or(text.clone(), |c| text.color(c));
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.label(text));
}
