//! The panel: controls, plot, a legend that wraps, and the task's own measure apart.

use super::{Aggregate, Shown, Terms, plots, shares};
use crate::theme::{self, Theme};
use egui::{Frame, RichText, Ui, vec2};

/// Windows that can be chosen, s.
const WINDOWS: [f64; 5] = [2.0, 5.0, 10.0, 30.0, 120.0];

/// Least height of the plot, points.
const MIN_PLOT: f32 = 150.0;

pub(crate) fn panel(terms: &mut Terms, ui: &mut Ui, theme: Theme, selected: Option<usize>) {
    if terms.ring.records.is_empty() {
        ui.label("No steps yet. Press play, and every term of the reward is plotted here.");
        return;
    }
    if matches!(terms.shown, Shown::Shares | Shown::Table) {
        controls(terms, ui, theme, selected);
        measure(terms, ui, theme, selected);
        match terms.world(ui, selected) {
            Err(()) => {}
            Ok(world) if terms.shown == Shown::Shares => shares::bars(terms, ui, theme, world),
            Ok(world) => shares::table(terms, ui, theme, world),
        }
        return;
    }
    // The legend takes the room it needs; where the plot then has too little, all of it scrolls.
    let bottom = ui.max_rect().bottom();
    egui::ScrollArea::vertical().id_salt("terms").auto_shrink([false, false]).show(ui, |ui| {
        let top = ui.cursor().top();
        let room = bottom - top;
        controls(terms, ui, theme, selected);
        measure(terms, ui, theme, selected);
        let Ok(world) = terms.world(ui, selected) else { return };
        if let Some(w) = world
            && terms.ring.worlds_since() > terms.span().0 + 0.1
            && terms.ring.worlds_since() > terms.ring.records.front().map_or(0.0, |r| r.time)
        {
            let kept = terms.ring.last_time() - terms.ring.worlds_since();
            ui.label(RichText::new(format!("World {w}: the last {kept:.0} s are kept.")).weak().small());
        }
        legend(terms, ui, theme);
        let used = ui.cursor().top() - top;
        plots::plot(terms, ui, theme, world, (room - used - 4.0).max(MIN_PLOT));
    });
}

impl Terms {
    /// The world that is plotted, if one is; an error when it must first be selected, which is then shown.
    fn world(&self, ui: &mut Ui, selected: Option<usize>) -> Result<Option<usize>, ()> {
        match (self.aggregate, selected) {
            (Aggregate::World, None) => {
                ui.label("Click a robot to see the terms of its world.");
                Err(())
            }
            (Aggregate::World, world) => Ok(world),
            _ => Ok(None),
        }
    }
}

fn controls(terms: &mut Terms, ui: &mut Ui, theme: Theme, selected: Option<usize>) {
    ui.horizontal_wrapped(|ui| {
        for (shown, name) in
            [(Shown::Lines, "Lines"), (Shown::Stack, "Stack"), (Shown::Shares, "Shares"), (Shown::Table, "Table")]
        {
            ui.selectable_value(&mut terms.shown, shown, name);
        }
        ui.separator();
        let world = selected.map_or_else(|| "World".into(), |w| format!("World {w}"));
        for (aggregate, name, hint) in [
            (Aggregate::World, world.as_str(), "The selected robot alone"),
            (Aggregate::Mean, "Mean", "Mean over the robots"),
            (Aggregate::Spread, "Spread", "Mean and one standard deviation over the robots"),
        ] {
            ui.selectable_value(&mut terms.aggregate, aggregate, name).on_hover_text(hint);
        }
        ui.separator();
        let menu = ui.menu_button(format!("{} s ⏷", terms.window), |ui| {
            for w in WINDOWS {
                if ui.selectable_label(terms.window == w, format!("{w} s")).clicked() {
                    terms.window = w;
                    ui.close();
                }
            }
        });
        menu.response.on_hover_text("Seconds that are shown and counted");
        let paused = terms.paused.is_some();
        let button = ui.selectable_label(paused, if paused { "Go on" } else { "Hold" });
        if button.on_hover_text("Hold the plot still to read it, drag and zoom; the robots go on").clicked() {
            terms.paused = if paused { None } else { Some(terms.ring.last_time()) };
        }
    });
    let (from, to) = terms.span();
    let bad: u64 = terms.ring.range(from, to).flat_map(|r| &r.nodes).map(|s| u64::from(s.bad)).sum();
    if bad > 0 {
        let words = format!("{bad} values were not a number in this window: see the table.");
        ui.label(RichText::new(words).color(theme::error(theme)));
    }
}

/// Fitness and success, in a box of their own.
fn measure(terms: &Terms, ui: &mut Ui, theme: Theme, selected: Option<usize>) {
    let frame = Frame::group(ui.style()).stroke(egui::Stroke::new(1.5, theme::fitness(theme).gamma_multiply(0.6)));
    frame.inner_margin(5).show(ui, |ui| {
        ui.set_width(ui.available_width());
        let Some(last) = terms.ring.range(f64::NEG_INFINITY, terms.span().1).last() else { return };
        let world = selected.filter(|w| terms.aggregate == Aggregate::World && *w < last.fitness_of.len());
        ui.horizontal_wrapped(|ui| {
            let title = RichText::new("The task's measure").strong().color(theme::fitness(theme));
            ui.label(title).on_hover_text(
                "Fitness and success are the task's. They are no part of the reward, and no reward changes them.",
            );
            ui.label(RichText::new("not part of the reward").weak().italics());
            ui.separator();
            match world {
                Some(w) => {
                    ui.label(format!("fitness {:.3}", last.fitness_of[w]));
                    ui.label(format!("success {}", if last.success_of[w] { "yes" } else { "no" }));
                }
                None => {
                    ui.label(format!("fitness {:.3} ± {:.3}", last.fitness.mean, last.fitness.std));
                    ui.label(format!("success {:.0} %", 100.0 * last.success));
                }
            }
            if last.fitness.bad > 0 {
                let words = format!("{} not a number", last.fitness.bad);
                ui.label(RichText::new(words).color(theme::error(theme)));
            }
        });
        if matches!(terms.shown, Shown::Lines | Shown::Stack) {
            plots::fitness(terms, ui, theme, selected);
        }
    });
}

/// Every term with its colour; a click makes one stand out. It wraps.
fn legend(terms: &mut Terms, ui: &mut Ui, theme: Theme) {
    let Some(names) = terms.ring.names(terms.span().1) else { return };
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 2.0);
        ui.horizontal_wrapped(|ui| {
            let shown = names.nodes[..names.terms].iter().map(String::as_str).chain([pavlov_reward::TOTAL]);
            for name in shown {
                let total = name == pavlov_reward::TOTAL;
                let colour = if total { ui.visuals().text_color() } else { terms.colour(theme, name) };
                let picked = terms.picked.as_deref() == Some(name);
                let square = egui::RichText::new("■").color(colour);
                let button = ui.add(egui::Button::selectable(picked, (square, name)).small());
                button
                    .widget_info(|| egui::WidgetInfo::selected(egui::WidgetType::SelectableLabel, true, picked, name));
                if button.clicked() {
                    terms.picked = if picked { None } else { Some(name.to_string()) };
                }
            }
        });
    });
}
