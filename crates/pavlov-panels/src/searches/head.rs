//! The head over the graph: what a search was asked for, how far it is, or why it cannot be read and what to do.

use crate::runs::text::number;
use crate::theme::{self, Theme};
use egui::{RichText, Ui};
use pavlov_common::{plain, plain_lines};
use pavlov_search::Snapshot;

/// What was asked for, and how far it is.
pub(super) fn ui(ui: &mut Ui, theme: Theme, s: &Snapshot) {
    let set = &s.settings;
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(format!("Search for a reward: {}", plain(&set.task))).strong());
        ui.weak(format!(
            "{}, {} generator, {} iterations of {}, {} steps each, seed {}",
            set.mode.name(),
            set.generator.name(),
            set.rounds(),
            set.places(0),
            crate::runs::short_axis(set.steps as f64),
            set.seed
        ));
    });
    let [proposed, admitted, trained] = s.counts();
    let done = format!("{proposed} proposed, {admitted} admitted, {trained} trained");
    match &s.end {
        Some(e) => {
            let interval = |i: &pavlov_search::stats::Interval| {
                format!("{} ({} to {})", number(Some(i.iqm)), number(Some(i.low)), number(Some(i.high)))
            };
            let words = match e.winner {
                Some(at) => format!(
                    "Ended. {done}. Winner {at}: fitness {} under {} fresh seeds; human reward {}; \
                     human-normalised {:.2}{}",
                    interval(&e.found),
                    e.found.n,
                    interval(&e.human),
                    e.human_normalised,
                    if e.guarded { " (denominator guarded)" } else { "" },
                ),
                None => format!("Ended. {done}. No candidate could be trained."),
            };
            let colour = if e.at_least_human { theme::good(theme) } else { ui.visuals().text_color() };
            ui.colored_label(colour, words);
        }
        None => {
            let best = s
                .ranked()
                .first()
                .map_or(String::new(), |(f, c)| format!("; fittest so far {}: {}", c.at, number(Some(*f))));
            let iteration = s.candidates.last().map_or(0, |c| c.at.iteration.saturating_add(1));
            ui.label(format!("Iteration {iteration} of {}. {done}{best}", set.rounds()));
        }
    }
}

/// What cannot be read, and what to do.
pub(super) fn damaged(ui: &mut Ui, theme: Theme, problem: &str) {
    ui.heading("This search cannot be read");
    ui.colored_label(theme::error(theme), plain_lines(problem));
    ui.add_space(6.0);
    ui.label(
        "What to do: if the search is just beginning, wait. If it was copied, \
         copy lineage.sqlite and lineage.sqlite-wal together, while no search runs. \
         Else move the folder away and search again; report.html beside it, where there is one, \
         still says what was found.",
    );
}
