//! What is known about one candidate: its origin, the gate's verdict, its training, its texts, and the exchange with a
//! model.

use super::status_colour;
use crate::editor::{Language, coloured, difference_line};
use crate::runs::short_axis;
use crate::runs::text::{grouped, number, percent};
use crate::theme::{self, Theme};
use egui::{Color32, RichText, ScrollArea, TextStyle, Ui};
use egui_plot::{Corner, Legend, Line, LineStyle, Plot, PlotPoints};
use pavlov_common::{plain, plain_lines, visible};
use pavlov_search::lineage::{At, Candidate, Outcome, Status, diff};
use pavlov_search::{Snapshot, written};
use similar::ChangeTag;
use std::borrow::Cow;
use std::path::Path;

/// Characters of a text that are shown: a refused reply can be a quarter of a megabyte.
const SHOWN: usize = 20_000;

/// What is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Sheet {
    /// Gate, distances, fitness, curve.
    #[default]
    Result,
    Script,
    Difference,
    Prompt,
}

/// What a person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Another candidate.
    Candidate(At),
    /// This one, in the editor.
    Open,
}

/// What is chosen, kept from candidate to candidate.
#[derive(Debug, Default)]
pub(super) struct Details {
    sheet: Sheet,
    /// Number of the parent that the difference is against.
    pub parent: usize,
    /// The difference of a candidate to a parent other than the first: that one is in the lineage.
    difference: Option<(At, At, String)>,
}

/// The part of a text that is shown, made fit for it, and whether it is cut.
fn cut(text: &str) -> (Cow<'_, str>, bool) {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => (visible(&text[..at]), true),
        None => (visible(text), false),
    }
}

fn cut_note(ui: &mut Ui, cut: bool) {
    if cut {
        ui.weak(format!("... cut after {} characters; Copy script has all of it.", grouped(SHOWN as u64)));
    }
}

impl Details {
    /// Draws it. `closed` is why it cannot be opened in the editor.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        theme: Theme,
        s: &Snapshot,
        c: &Candidate,
        folder: &Path,
        closed: Option<&String>,
    ) -> Option<Asked> {
        let mut asked = None;
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format!("Candidate {}", c.at)).heading());
            ui.colored_label(status_colour(ui, theme, c.status), c.status.name());
            if let Some(f) = s.fitness(c.at) {
                ui.label(RichText::new(format!("fitness {}", number(Some(f)))).color(theme::fitness(theme)));
            }
            if s.winner() == Some(c.at) {
                ui.colored_label(theme::series(theme, 1), "winner");
            }
        });
        let detail = if c.detail.is_empty() { String::new() } else { format!(": {}", c.detail) };
        ui.add(egui::Label::new(RichText::new(plain_lines(&format!("{}{detail}", c.operator))).weak()).wrap());
        asked = relatives(ui, s, c).map(Asked::Candidate).or(asked);
        ui.horizontal_wrapped(|ui| {
            let open = ui.add_enabled(closed.is_none(), egui::Button::new("Open in the editor"));
            let keys = crate::keys::text(ui.ctx(), crate::keys::Action::OpenCandidate);
            let hint = format!("As an edit that can be undone; it runs at once ({keys})");
            let why = closed.map_or("", String::as_str);
            if open.on_hover_text(hint).on_disabled_hover_text(why).clicked() {
                asked = Some(Asked::Open);
            }
            if ui.button("Copy script").clicked() {
                ui.ctx().copy_text(c.script.clone());
            }
            let promote = format!("pavlov search promote {} --candidate {} --name NAME", folder.display(), c.at);
            let copy = ui.add_enabled(c.status != Status::Refused, egui::Button::new("Copy promote command"));
            if copy.on_hover_text(format!("Makes a reward of it: {promote}")).clicked() {
                ui.ctx().copy_text(promote);
            }
        });
        ui.horizontal(|ui| {
            for (sheet, name) in [
                (Sheet::Result, "Result"),
                (Sheet::Script, "Script"),
                (Sheet::Difference, "Difference"),
                (Sheet::Prompt, "Prompt"),
            ] {
                ui.selectable_value(&mut self.sheet, sheet, name);
            }
        });
        ui.separator();
        let salt = ("candidate", self.sheet as u8, c.at);
        match self.sheet {
            Sheet::Result => {
                ScrollArea::vertical().id_salt(salt).auto_shrink([false, false]).show(ui, |ui| result(ui, theme, s, c));
            }
            Sheet::Script => {
                ScrollArea::both().id_salt(salt).auto_shrink([false, false]).show(ui, |ui| script(ui, theme, c));
            }
            Sheet::Difference => self.difference(ui, theme, s, c),
            Sheet::Prompt => {
                ScrollArea::vertical().id_salt(salt).auto_shrink([false, false]).show(ui, |ui| prompt(ui, s, c));
            }
        }
        asked
    }

    /// Against a parent, the first one as the lineage has it.
    fn difference(&mut self, ui: &mut Ui, theme: Theme, s: &Snapshot, c: &Candidate) {
        if c.parents.is_empty() {
            ui.label(format!("It has no parent ({}): all of its script is new.", plain(&c.operator)));
            return;
        }
        self.parent = self.parent.min(c.parents.len() - 1);
        if c.parents.len() > 1 {
            ui.horizontal_wrapped(|ui| {
                ui.weak("against");
                for (i, parent) in c.parents.iter().enumerate() {
                    ui.selectable_value(&mut self.parent, i, parent.to_string());
                }
            });
        }
        let against = c.parents[self.parent];
        let text = if self.parent == 0 && !c.diff.is_empty() {
            c.diff.as_str()
        } else {
            let known = matches!(&self.difference, Some((a, b, _)) if (*a, *b) == (against, c.at));
            if !known {
                let Some(parent) = s.candidate(against) else {
                    ui.label(format!("Candidate {against} is not in this lineage."));
                    return;
                };
                let whole = |c: &Candidate| format!("{}\n{}", cut(&c.script).0.trim_end(), cut(&c.manifest).0.trim());
                let (old, new) = (against.to_string(), c.at.to_string());
                self.difference = Some((against, c.at, diff((&old, &whole(parent)), (&new, &whole(c)))));
            }
            self.difference.as_ref().map_or("", |m| m.2.as_str())
        };
        if text.trim().is_empty() {
            ui.label(format!("No difference to {against}."));
            return;
        }
        let salt = ("difference", c.at, self.parent);
        ScrollArea::both().id_salt(salt).auto_shrink([false, false]).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let (shown, is_cut) = cut(text);
            for line in shown.lines() {
                let show_line = |tag, rest: &str, ui: &mut Ui| difference_line(ui, theme, tag, rest);
                if line.starts_with("--- ") || line.starts_with("+++ ") || line.starts_with("@@") {
                    ui.add(egui::Label::new(RichText::new(line).monospace().weak()).extend());
                } else if let Some(rest) = line.strip_prefix('+') {
                    show_line(ChangeTag::Insert, rest, ui);
                } else if let Some(rest) = line.strip_prefix('-') {
                    show_line(ChangeTag::Delete, rest, ui);
                } else {
                    show_line(ChangeTag::Equal, line.strip_prefix(' ').unwrap_or(line), ui);
                }
            }
            cut_note(ui, is_cut);
        });
    }
}

/// Links to parents, children, and other attempts at the place.
fn relatives(ui: &mut Ui, s: &Snapshot, c: &Candidate) -> Option<At> {
    let mut asked = None;
    let children = s.candidates.iter().filter(|o| o.parents.contains(&c.at)).map(|o| o.at);
    let same = |o: &&Candidate| (o.at.iteration, o.at.place) == (c.at.iteration, c.at.place) && o.at != c.at;
    let attempts = s.candidates.iter().filter(same).map(|o| o.at);
    let groups: [(&str, Vec<At>); 3] =
        [("from", c.parents.clone()), ("to", children.collect()), ("other attempts", attempts.collect())];
    for (name, list) in groups.into_iter().filter(|(_, list)| !list.is_empty()) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 5.0;
            ui.weak(name);
            for at in list {
                let known = s.candidate(at).is_some();
                if ui.add_enabled(known, egui::Button::new(at.to_string()).small()).clicked() {
                    asked = Some(at);
                }
            }
        });
    }
    asked
}

fn result(ui: &mut Ui, theme: Theme, s: &Snapshot, c: &Candidate) {
    ui.label(RichText::new("Gate").strong());
    match c.status {
        Status::Refused => ui.colored_label(theme::error(theme), "Refused: it cost no training."),
        _ => ui.colored_label(theme::good(theme), "Admitted."),
    };
    let v = &c.verdict;
    for (list, mark, colour) in
        [(&v.errors, "error", theme::error(theme)), (&v.warnings, "warning", theme::warning(theme))]
    {
        for finding in list {
            ui.add(egui::Label::new(RichText::new(plain_lines(&format!("{mark}: {finding}"))).color(colour)).wrap());
        }
    }
    if let Some(rank) = v.good_rank {
        let kendall = v.fitness_kendall.map_or(String::new(), |k| format!("; rank correlation with fitness {k:.2}"));
        ui.label(format!("Of the audited behaviours the good one is number {rank}{kendall}."));
    }
    ui.add_space(6.0);
    ui.label(RichText::new("STARC distance").strong()).on_hover_text(
        "0: the same order of policies; 1: the opposite. With its standard error; minimal where the audit set tells too \
         little of values",
    );
    if v.distances.is_empty() {
        ui.weak("Not known: the gate stopped it before, or there was nothing to compare it with.");
    }
    egui::Grid::new("distances").num_columns(2).show(ui, |ui| {
        for neighbour in &v.distances {
            ui.label(format!("to {}", plain(&neighbour.reward)));
            ui.monospace(written(&neighbour.distance));
            ui.end_row();
        }
    });
    ui.add_space(6.0);
    let mut trainings: Vec<&Outcome> = s.trainings(Some(c.at)).collect();
    trainings.sort_by_key(|o| ["search", "again", "final"].iter().position(|stage| *stage == o.stage));
    ui.label(RichText::new("Fitness").strong())
        .on_hover_text("Of the policy without noise, in worlds that training does not use");
    if s.is_blind() {
        ui.weak("Not shown until the search has ended: someone chooses by what they see.");
        return;
    }
    if trainings.is_empty() {
        ui.weak(match c.status {
            Status::Admitted => "Not trained yet.",
            _ => "It was not trained.",
        });
        return;
    }
    egui::Grid::new("fitness").num_columns(5).striped(true).show(ui, |ui| {
        for name in ["training", "seed", "steps", "fitness", "success"] {
            ui.weak(name);
        }
        ui.end_row();
        for o in &trainings {
            ui.label(plain(stage(o)));
            ui.label(o.seed.to_string());
            ui.label(short_axis(o.env_steps as f64));
            match &o.error {
                Some(error) => ui.colored_label(theme::error(theme), plain_lines(error)),
                None => ui.label(number(Some(o.fitness))),
            };
            ui.label(percent(o.error.is_none().then_some(o.success)));
            ui.end_row();
        }
    });
    if let Some(e) = s.end.as_ref().filter(|e| e.winner == Some(c.at)) {
        let (low, high) = (number(Some(e.found.low)), number(Some(e.found.high)));
        ui.label(format!("Interquartile mean of the last training: {} ({low} to {high})", number(Some(e.found.iqm))));
    }
    ui.add_space(6.0);
    curves(ui, theme, s, c, &trainings);
}

/// A training in a word.
fn stage(o: &Outcome) -> &str {
    match o.stage.as_str() {
        "again" => "finalist",
        "final" => "last",
        other => other,
    }
}

/// Fitness over the steps of each training, beside the first parent's.
fn curves(ui: &mut Ui, theme: Theme, s: &Snapshot, c: &Candidate, trainings: &[&Outcome]) {
    ui.label(RichText::new("Learning curve").strong()).on_hover_text("Mean fitness of training episodes");
    let points = |o: &Outcome| -> Vec<[f64; 2]> {
        o.curve.iter().filter_map(|p| Some([p.env_steps as f64, p.fitness.filter(|f| f.is_finite())?])).collect()
    };
    if trainings.iter().all(|o| points(o).is_empty()) {
        ui.weak("No episode ended while it was trained.");
        return;
    }
    let beside = c.parents.first().and_then(|p| s.trainings(Some(*p)).find(|o| o.stage == "search"));
    Plot::new(("curve", c.at))
        .height(220.0)
        .legend(Legend::default().position(Corner::LeftTop).background_alpha(0.5))
        .x_axis_label("environment steps")
        .x_axis_formatter(|mark, _| short_axis(mark.value))
        .allow_scroll(false)
        .show(ui, |plot| {
            if let Some(o) = beside {
                let name = format!("parent {}", o.at.map_or(String::new(), |a| a.to_string()));
                let line = Line::new(name, PlotPoints::new(points(o))).color(Color32::GRAY);
                plot.line(line.style(LineStyle::dashed_loose()));
            }
            for (i, o) in trainings.iter().enumerate() {
                let name = format!("{}, seed {}", stage(o), o.seed);
                plot.line(Line::new(name, PlotPoints::new(points(o))).color(theme::series(theme, i)).width(1.8));
            }
        });
}

/// Script and manifest in the editor's colours.
fn script(ui: &mut Ui, theme: Theme, c: &Candidate) {
    let font = TextStyle::Monospace.resolve(ui.style());
    let files = [("reward.rhai", Language::Rhai, &c.script), ("reward.toml", Language::Toml, &c.manifest)];
    for (name, language, text) in files {
        if text.trim().is_empty() {
            continue;
        }
        ui.label(RichText::new(name).strong());
        let (text, is_cut) = cut(text);
        ui.add(egui::Label::new(coloured(language, &text, theme, &font)).extend());
        cut_note(ui, is_cut);
        ui.add_space(8.0);
    }
    if c.script.trim().is_empty() {
        ui.label("The reply had no script.");
    }
}

/// The exchange with a model; where there was none, how the generator made the candidate.
fn prompt(ui: &mut Ui, s: &Snapshot, c: &Candidate) {
    let before = c.at.iteration.checked_sub(1);
    for a in s.answers.iter().filter(|a| Some(a.iteration) == before) {
        let place = |name: &str, p: Option<u32>| p.map_or(String::new(), |p| format!(" {name} {p};"));
        let words = format!(
            "After iteration {} {} said:{}{} {}",
            a.iteration,
            a.rater,
            place("best", a.best),
            place("worst", a.worst),
            a.text
        );
        ui.add(egui::Label::new(plain_lines(words.trim_end_matches([' ', ';']))).wrap());
        ui.separator();
    }
    let text = |ui: &mut Ui, text: &str| {
        let (text, is_cut) = cut(text);
        ui.add(egui::Label::new(RichText::new(text).monospace()).wrap());
        cut_note(ui, is_cut);
    };
    let Some(e) = s.exchange(c.at) else {
        ui.label(format!("No model was asked. It was made by: {}.", plain(&c.operator)));
        if !c.detail.is_empty() {
            ui.add(egui::Label::new(plain_lines(&c.detail)).wrap());
        }
        if !c.genes.is_empty() {
            ui.collapsing("Genes", |ui| text(ui, &c.genes));
        }
        return;
    };
    ui.weak(format!(
        "{} tokens asked, {} answered; request {:.12}",
        grouped(e.tokens_in),
        grouped(e.tokens_out),
        e.hash
    ));
    let messages = e.messages();
    for (i, (role, content)) in messages.iter().enumerate() {
        let title = format!("{} ({} characters)", plain(role), grouped(content.chars().count() as u64));
        let last = i + 1 == messages.len();
        egui::CollapsingHeader::new(title)
            .id_salt(("message", c.at, i))
            .default_open(last)
            .show(ui, |ui| text(ui, content));
    }
    ui.label(RichText::new("Reply").strong());
    text(ui, &e.reply);
}
