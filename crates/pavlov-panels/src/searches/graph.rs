//! The graph of candidates as it is drawn: a row an iteration, lines from parents to children, colour by fitness. The
//! graph as a whole takes the keyboard; arrow keys go to neighbours, to the first parent and to the first child.

use crate::runs::text::number;
use crate::terms::{scale, viridis};
use crate::theme::{self, Theme};
use egui::epaint::CubicBezierShape;
use egui::{
    Align2, Color32, EventFilter, FontId, Key, Modifiers, Pos2, Rect, Sense, Stroke, StrokeKind, Ui, WidgetInfo,
    WidgetType, pos2, vec2,
};
use pavlov_search::lineage::{At, Candidate, Status};
use pavlov_search::{Node, Snapshot};
use std::collections::HashMap;

/// From a candidate to the next in a row: what there is room for, within these.
const ACROSS: [f32; 2] = [50.0, 90.0];
/// From a row to the next.
const DOWN: f32 = 96.0;
/// Room of a candidate above and below its centre: mark, number, fitness.
const ABOVE: f32 = 31.0;
const BELOW: f32 = 42.0;
/// Room at the left for the iterations, and above.
const MARGIN: egui::Vec2 = vec2(34.0, 10.0);
const RADIUS: f32 = 11.0;

/// A candidate in a few words: for the pointer and for screen readers.
pub(super) fn describe(s: &Snapshot, c: &Candidate) -> String {
    let fitness = s.fitness(c.at).map_or(String::new(), |f| format!(", fitness {}", number(Some(f))));
    let winner = if s.winner() == Some(c.at) { ", winner" } else { "" };
    format!("Candidate {} {} {}{fitness}{winner}", c.at, c.operator, c.status.name())
}

/// What colours and marks say.
pub(super) fn legend(ui: &mut Ui, s: &Snapshot) {
    ui.horizontal_wrapped(|ui| {
        if let Some(range) = s.range() {
            ui.weak("Fitness");
            scale(ui, range, &format!("Fitness from {:.4} to {:.4}", range[0], range[1]), "Dark is least.");
        }
        ui.weak(
            "A row an iteration. Crossed: refused at the gate. Hollow: not trained yet. Small: given up half-way. \
             Arrow keys go from one to the next.",
        );
    });
}

/// Where candidates stand.
struct Places<'a> {
    snapshot: &'a Snapshot,
    /// Number of the node by iteration and place.
    by_place: HashMap<(u32, u32), usize>,
    origin: Pos2,
    across: f32,
}

impl<'a> Places<'a> {
    fn new(snapshot: &'a Snapshot, origin: Pos2, across: f32) -> Self {
        let place = |(i, n): (usize, &Node)| {
            let at = snapshot.candidates[n.candidate].at;
            ((at.iteration, at.place), i)
        };
        Self { snapshot, by_place: snapshot.nodes().iter().enumerate().map(place).collect(), origin, across }
    }

    /// The node at whose place this attempt is.
    fn node(&self, at: At) -> Option<usize> {
        self.by_place.get(&(at.iteration, at.place)).copied()
    }

    fn candidate(&self, node: usize) -> &'a Candidate {
        &self.snapshot.candidates[self.snapshot.nodes()[node].candidate]
    }

    fn centre(&self, node: usize) -> Pos2 {
        let n = &self.snapshot.nodes()[node];
        self.origin + MARGIN + vec2((n.column as f32 + 0.5) * self.across, n.row as f32 * DOWN + ABOVE)
    }

    /// Parents at other places. The parent of a repaired candidate is the refused attempt at its own.
    fn parents(&self, node: usize) -> impl Iterator<Item = usize> {
        self.candidate(node).parents.iter().filter_map(|p| self.node(*p)).filter(move |p| *p != node)
    }

    /// Where an arrow key leads.
    fn step(&self, from: usize, key: Key) -> Option<usize> {
        let nodes = self.snapshot.nodes();
        let here = nodes[from];
        // The nearest in another row, when there is no parent or child to go to.
        let nearest = |row: Option<usize>| {
            let row = row?;
            let same = (0..nodes.len()).filter(|&i| nodes[i].row == row);
            same.min_by_key(|&i| nodes[i].column.abs_diff(here.column))
        };
        match key {
            Key::ArrowLeft => from.checked_sub(1).filter(|&i| nodes[i].row == here.row),
            Key::ArrowRight => Some(from + 1).filter(|&i| nodes.get(i).is_some_and(|n| n.row == here.row)),
            Key::ArrowUp => self.parents(from).next().or_else(|| nearest(here.row.checked_sub(1))),
            Key::ArrowDown => {
                let child = (0..nodes.len()).find(|&i| self.parents(i).any(|p| p == from));
                child.or_else(|| nearest(Some(here.row + 1)))
            }
            _ => None,
        }
    }
}

/// Draws it. Returns the candidate that was chosen. `follow` shows the selected one, `focus` takes the keyboard.
pub(super) fn ui(
    ui: &mut Ui,
    theme: Theme,
    s: &Snapshot,
    selected: Option<At>,
    follow: bool,
    focus: bool,
) -> Option<At> {
    let columns = s.nodes().iter().map(|n| n.column + 1).max().unwrap_or(1);
    let rows = s.nodes().iter().map(|n| n.row + 1).max().unwrap_or(1);
    let across = ((ui.available_width() - MARGIN.x - 16.0) / columns as f32).clamp(ACROSS[0], ACROSS[1]);
    let size = MARGIN + vec2(columns as f32 * across + 8.0, rows as f32 * DOWN + 8.0);
    let id = ui.make_persistent_id("graph of candidates");
    let mut chosen = None;
    let frame = ui.available_rect_before_wrap();
    egui::ScrollArea::both().id_salt("graph").auto_shrink([false, false]).show(ui, |ui| {
        let (area, _) = ui.allocate_exact_size(size, Sense::hover());
        let places = Places::new(s, area.min, across);
        let here = selected.and_then(|at| places.node(at));
        let graph = ui.interact(area, id, Sense::focusable_noninteractive());
        let words = selected.and_then(|at| s.candidate(at)).map_or(String::new(), |c| format!(": {}", describe(s, c)));
        graph.widget_info(|| WidgetInfo::labeled(WidgetType::Other, true, format!("Graph of candidates{words}")));
        if focus {
            graph.request_focus();
        }
        edges(ui, &places, here);
        for i in 0..s.nodes().len() {
            if node(ui, theme, &places, i, here == Some(i)) {
                chosen = Some(places.candidate(i).at);
                graph.request_focus();
            }
        }
        rows_ui(ui, &places, area);
        if graph.has_focus() {
            let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|m| m.set_focus_lock_filter(id, filter));
            for key in [Key::ArrowLeft, Key::ArrowRight, Key::ArrowUp, Key::ArrowDown] {
                if ui.input_mut(|i| i.consume_key(Modifiers::NONE, key)) {
                    let to = here.map_or(Some(0), |from| places.step(from, key));
                    chosen = to.map(|i| places.candidate(i).at).or(chosen);
                }
            }
        }
        if follow && let Some(i) = here {
            ui.scroll_to_rect(Rect::from_center_size(places.centre(i), vec2(1.2 * across, DOWN)), None);
        }
    });
    if ui.memory(|m| m.has_focus(id)) {
        let stroke = Stroke::new(1.0, ui.visuals().selection.stroke.color);
        ui.painter().rect_stroke(frame, 3.0, stroke, StrokeKind::Inside);
    }
    chosen
}

/// The iterations at the left.
fn rows_ui(ui: &Ui, places: &Places<'_>, area: Rect) {
    let mut row = None;
    for (i, n) in places.snapshot.nodes().iter().enumerate() {
        if row != Some(n.row) {
            row = Some(n.row);
            let at = pos2(area.left() + 6.0, places.centre(i).y);
            let text = format!("{}", places.candidate(i).at.iteration);
            let colour = ui.visuals().weak_text_color();
            ui.painter().text(at, Align2::LEFT_CENTER, text, FontId::proportional(15.0), colour);
        }
    }
}

/// Where lines end above a candidate: its mark is not crossed.
fn top(places: &Places<'_>, i: usize) -> f32 {
    if places.snapshot.winner() == Some(places.candidate(i).at) { ABOVE } else { RADIUS + 1.0 }
}

/// Lines from parents to children; those of the selected candidate stand out.
fn edges(ui: &Ui, places: &Places<'_>, here: Option<usize>) {
    let clip = ui.clip_rect();
    let (weak, strong) = (ui.visuals().weak_text_color().gamma_multiply(0.45), ui.visuals().strong_text_color());
    for of_selected in [false, true] {
        for child in 0..places.snapshot.nodes().len() {
            for parent in places.parents(child) {
                if (here == Some(child) || here == Some(parent)) != of_selected {
                    continue;
                }
                let (a, b) =
                    (places.centre(parent) + vec2(0.0, BELOW), places.centre(child) - vec2(0.0, top(places, child)));
                if !Rect::from_two_pos(a, b).expand(2.0).intersects(clip) {
                    continue;
                }
                let middle = 0.5 * (a.y + b.y);
                let points = [a, pos2(a.x, middle), pos2(b.x, middle), b];
                let stroke = if of_selected { Stroke::new(1.8, strong) } else { Stroke::new(1.0, weak) };
                ui.painter().add(CubicBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, stroke));
            }
        }
    }
}

/// One candidate. Was it clicked?
fn node(ui: &Ui, theme: Theme, places: &Places<'_>, i: usize, selected: bool) -> bool {
    let (s, c, centre) = (places.snapshot, places.candidate(i), places.centre(i));
    let wide = 0.47 * places.across;
    let rect = Rect::from_min_max(centre - vec2(wide, ABOVE), centre + vec2(wide, BELOW));
    if !ui.is_rect_visible(rect) {
        return false;
    }
    let response = ui.interact(rect, ui.id().with(("candidate", c.at)), Sense::CLICK);
    let words = describe(s, c);
    response.widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, selected, &words));
    let painter = ui.painter();
    let visuals = ui.visuals();
    if selected {
        painter.rect_filled(rect, 5.0, visuals.selection.bg_fill.gamma_multiply(0.45));
        painter.rect_stroke(rect, 5.0, Stroke::new(1.5, visuals.selection.stroke.color), StrokeKind::Inside);
    } else if response.hovered() {
        painter.rect_filled(rect, 5.0, visuals.widgets.hovered.weak_bg_fill);
    }
    let fitness = s.fitness(c.at);
    let radius = if c.status == Status::Halved { 0.7 * RADIUS } else { RADIUS };
    let line = Stroke::new(1.0, visuals.text_color());
    match (c.status, fitness) {
        (Status::Refused | Status::Failed, _) => {
            let colour = super::status_colour(ui, theme, c.status);
            painter.circle(centre, radius, visuals.panel_fill, Stroke::new(1.5, colour));
            let d = 0.45 * radius;
            for d in [vec2(d, d), vec2(d, -d)] {
                painter.line_segment([centre - d, centre + d], Stroke::new(1.5, colour));
            }
        }
        (_, Some(f)) => {
            let [low, high] = s.range().unwrap_or([f, f]);
            let share = if high > low { (f - low) / (high - low) } else { 1.0 };
            painter.circle(centre, radius, viridis(share as f32), line);
        }
        (_, None) => {
            painter.circle(centre, radius, visuals.panel_fill, line);
        }
    }
    let write = |at: Pos2, align: Align2, text: &str, size: f32, colour: Color32| {
        painter.text(at, align, text, FontId::proportional(size), colour);
    };
    if s.winner() == Some(c.at) {
        let colour = theme::series(theme, 1);
        painter.circle_stroke(centre, RADIUS + 3.5, Stroke::new(2.5, colour));
        write(centre - vec2(0.0, 17.0), Align2::CENTER_BOTTOM, "winner", 9.5, colour);
    }
    let earlier = places.snapshot.nodes()[i].earlier;
    if earlier > 0 {
        // Number of refused attempts at the place before.
        let at = centre + vec2(RADIUS + 5.0, -8.0);
        write(at, Align2::LEFT_CENTER, &format!("+{earlier}"), 9.5, theme::error(theme));
    }
    let below = fitness.map_or_else(|| c.status.name().into(), |f| number(Some(f)));
    write(centre + vec2(0.0, 14.0), Align2::CENTER_TOP, &c.at.to_string(), 11.0, visuals.text_color());
    write(centre + vec2(0.0, 26.0), Align2::CENTER_TOP, &below, 12.0, visuals.strong_text_color());
    let clicked = response.clicked();
    let detail = if c.detail.is_empty() { words } else { format!("{words}\n{}", c.detail) };
    response.on_hover_text(detail);
    clicked
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_search::lineage::Lineage;

    #[test]
    fn arrow_keys_go_to_neighbours_parents_and_children() {
        let dir = tempfile::tempdir().unwrap();
        let lineage = Lineage::open(dir.path()).unwrap();
        let put = |iteration, place, parents: &[At]| {
            let at = At::new(iteration, place);
            lineage.put(&Candidate { at, parents: parents.to_vec(), ..Candidate::default() }).unwrap();
        };
        (0..3).for_each(|place| put(0, place, &[]));
        put(1, 0, &[At::new(0, 2), At::new(0, 0)]);
        put(1, 1, &[]);
        let s = Snapshot::open(dir.path()).unwrap();
        let places = Places::new(&s, Pos2::ZERO, 60.0);
        let step = |from: usize, key| places.step(from, key);
        assert_eq!(
            (step(0, Key::ArrowLeft), step(0, Key::ArrowRight), step(2, Key::ArrowRight)),
            (None, Some(1), None)
        );
        assert_eq!((step(3, Key::ArrowLeft), step(3, Key::ArrowUp)), (None, Some(2)), "the first parent");
        assert_eq!((step(0, Key::ArrowDown), step(2, Key::ArrowDown)), (Some(3), Some(3)), "a child");
        assert_eq!(
            (step(4, Key::ArrowUp), step(1, Key::ArrowDown)),
            (Some(1), Some(4)),
            "the nearest where there is none"
        );
        assert_eq!((step(0, Key::ArrowUp), step(4, Key::ArrowDown)), (None, None));
    }
}
