//! A file as it is edited: colours, line numbers, marks under problems, completion, hover.
//!
//! Places in the text are bytes here; egui's cursors count characters.

use super::check::Problem;
use super::find::Find;
use super::names::{Completion, Entry, Names};
use super::popup::{self, Asked};
use super::tokens::{Kind, Language, Token, coloured, tokens};
use crate::keys::{self, Action};
use crate::theme::{self, Theme};
use egui::text::{CCursor, CCursorRange, LayoutJob};
use egui::{
    Color32, EventFilter, FontId, Id, Key, Modifiers, Pos2, Rect, Sense, Shape, Stroke, TextEdit, Ui, pos2, vec2,
};
use std::ops::Range;
use std::sync::Arc;

/// Spaces that the Tab key puts in.
const INDENT: &str = "    ";

/// Completion that is shown.
#[derive(Debug)]
struct Shown {
    completion: Completion,
    chosen: usize,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Code {
    pub text: String,
    language: Language,
    /// What screen readers call it.
    label: &'static str,
    /// Place to go to, with the keyboard.
    jump: Option<Range<usize>>,
    /// Place to show.
    found: Option<Range<usize>>,
    /// Place of the cursor.
    caret: usize,
    shown: Option<Shown>,
    job: Option<(u64, Arc<LayoutJob>)>,
}

/// Byte of a character.
fn byte(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

/// Character at a byte.
fn index(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(i, _)| *i < at).count()
}

/// Bytes of the line (from 1), without its end.
pub(crate) fn line_range(text: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (i, piece) in text.split('\n').enumerate() {
        if i + 1 == line.max(1) {
            return start..start + piece.len();
        }
        start += piece.len() + 1;
    }
    text.len()..text.len()
}

/// The part of the text that a problem is drawn under: the name that its message gives in backticks, when its line has
/// it from its place on; else the token at its place. At least one character, where the line has one.
pub(crate) fn problem_range(language: Language, text: &str, problem: &Problem) -> Range<usize> {
    let whole = line_range(text, problem.line);
    let row = &text[whole.clone()];
    let at = whole.start + byte(row, problem.column.saturating_sub(1));
    if at >= whole.end {
        // Past the end, as in a script that ends too soon: the last character of the line.
        let trimmed = row.trim_end();
        let start = trimmed.char_indices().next_back().map_or(0, |(i, _)| i);
        return whole.start + start..whole.start + trimmed.len().max(start);
    }
    let list = tokens(language, text);
    let from = list.iter().position(|t| t.at.start <= at && at < t.at.end).unwrap_or(list.len());
    let named = problem.message.split('`').nth(1).filter(|name| !name.is_empty());
    let on_line = list[from..].iter().take_while(|t| t.at.start < whole.end);
    let same = |t: &&Token| named.is_some_and(|name| text[t.at.clone()].trim_matches('"') == name);
    if let Some(token) = on_line.clone().find(same) {
        return token.at.clone();
    }
    let here = list.get(from).filter(|t| t.kind != Kind::Space);
    here.map_or(at..whole.end, |t| t.at.start.max(whole.start)..t.at.end.min(whole.end))
}

impl Code {
    pub fn new(text: String, language: Language, label: &'static str) -> Self {
        Self { text, language, label, jump: None, found: None, caret: 0, shown: None, job: None }
    }

    /// Puts in another text as an edit: undo in the text field gives back the one that was there, drawn before or not.
    pub fn put(&mut self, ctx: Option<&egui::Context>, text: &str) {
        if self.text == text {
            return;
        }
        let old = std::mem::replace(&mut self.text, text.into());
        self.caret = 0;
        self.shown = None;
        if let Some(ctx) = ctx {
            let mut state = TextEdit::load_state(ctx, self.id()).unwrap_or_default();
            let start = CCursorRange::one(CCursor::new(0));
            let was = state.cursor.char_range().unwrap_or(start);
            let mut undoer = state.undoer();
            undoer.add_undo(&(was, old));
            state.set_undoer(undoer);
            state.cursor.set_char_range(Some(start));
            TextEdit::store_state(ctx, self.id(), state);
        }
    }

    /// Goes to a place and takes the keyboard.
    pub fn go_to(&mut self, place: Range<usize>) {
        self.jump = Some(place);
        self.shown = None;
    }

    /// Selects a place and shows it; the keyboard stays where it is.
    pub fn show(&mut self, place: Range<usize>) {
        self.found = Some(place);
    }

    /// Goes to a line and column, from 1.
    pub fn go_to_line(&mut self, line: usize, column: usize) {
        let whole = line_range(&self.text, line);
        let at = whole.start + byte(&self.text[whole.clone()], column.saturating_sub(1));
        self.go_to(at..at);
    }

    /// Where the cursor is, in bytes.
    pub fn caret(&self) -> usize {
        self.caret.min(self.text.len())
    }

    fn id(&self) -> Id {
        Id::new("reward editor").with(self.label)
    }

    fn selection(&self, ui: &Ui) -> Range<usize> {
        let state = TextEdit::load_state(ui.ctx(), self.id());
        let range = state.and_then(|s| s.cursor.char_range()).map(|r| r.as_sorted_char_range());
        range.map_or(self.caret..self.caret, |r| byte(&self.text, r.start.0)..byte(&self.text, r.end.0))
    }

    fn select(&self, ui: &Ui, place: &Range<usize>) {
        let mut state = TextEdit::load_state(ui.ctx(), self.id()).unwrap_or_default();
        let at = |b: usize| CCursor::new(index(&self.text, b));
        state.cursor.set_char_range(Some(CCursorRange::two(at(place.start), at(place.end))));
        TextEdit::store_state(ui.ctx(), self.id(), state);
    }

    fn replace(&mut self, ui: &Ui, place: Range<usize>, with: &str) {
        self.text.replace_range(place.clone(), with);
        self.caret = place.start + with.len();
        let caret = self.caret;
        self.select(ui, &(caret..caret));
    }

    /// Puts an entry of the completion into the text.
    fn accept(&mut self, ui: &Ui, entry: &Entry, place: Range<usize>) {
        let end = place.end.min(self.text.len());
        self.replace(ui, place.start.min(end)..end, &entry.insert);
        self.shown = None;
    }

    /// Handles keys that are not the text field's, before the field sees them.
    fn keys(&mut self, ui: &Ui, names: &Names) {
        let key = |modifiers, key| ui.input_mut(|i| i.consume_key(modifiers, key));
        if let Some(shown) = &mut self.shown {
            let n = shown.completion.entries.len();
            if key(Modifiers::NONE, Key::ArrowDown) {
                shown.chosen = (shown.chosen + 1) % n;
            }
            if key(Modifiers::NONE, Key::ArrowUp) {
                shown.chosen = (shown.chosen + n - 1) % n;
            }
            if key(Modifiers::NONE, Key::Escape) {
                self.shown = None;
            } else if key(Modifiers::NONE, Key::Tab) || key(Modifiers::NONE, Key::Enter) {
                let entry = shown.completion.entries[shown.chosen].clone();
                let place = shown.completion.replaces.clone();
                self.accept(ui, &entry, place);
                return;
            }
        }
        if keys::pressed(ui.ctx(), Action::Complete) {
            self.open(names, true);
        }
        if keys::pressed(ui.ctx(), Action::Comment) {
            self.toggle_comment(ui);
        }
        let selection = self.selection(ui);
        if selection.is_empty() && key(Modifiers::NONE, Key::Tab) {
            self.replace(ui, selection, INDENT);
        } else if key(Modifiers::NONE, Key::Enter) {
            let before = &self.text[..selection.start];
            let line = before.rsplit('\n').next().unwrap_or_default();
            let indent: String = line.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
            let deeper = if line.trim_end().ends_with(['{', '(', '[']) { INDENT } else { "" };
            self.replace(ui, selection, &format!("\n{indent}{deeper}"));
        }
    }

    /// Turns the lines that the selection touches into comments, or back into text.
    fn toggle_comment(&mut self, ui: &Ui) {
        let mark = if self.language == Language::Rhai { "//" } else { "#" };
        let selection = self.selection(ui);
        let start = self.text[..selection.start].rfind('\n').map_or(0, |i| i + 1);
        let end = self.text[selection.end..].find('\n').map_or(self.text.len(), |i| selection.end + i);
        let lines: Vec<&str> = self.text[start..end].split('\n').collect();
        let off = lines.iter().all(|l| l.trim().is_empty() || l.trim_start().starts_with(mark));
        let change = |line: &&str| -> String {
            let (space, rest) = line.split_at(line.len() - line.trim_start().len());
            match (off, rest.strip_prefix(mark)) {
                (true, Some(rest)) => format!("{space}{}", rest.strip_prefix(' ').unwrap_or(rest)),
                (false, _) if !rest.is_empty() => format!("{space}{mark} {rest}"),
                _ => (*line).to_string(),
            }
        };
        let new = lines.iter().map(change).collect::<Vec<_>>().join("\n");
        self.replace(ui, start..end, &new);
    }

    /// Shows what can be written at the cursor. By itself after a dot, a quote, or two letters of a name.
    fn open(&mut self, names: &Names, asked: bool) {
        self.shown = None;
        if self.language != Language::Rhai {
            return;
        }
        let found = names.complete(&self.text, self.caret());
        let enough = |c: &Completion| asked || c.eager || self.caret().saturating_sub(c.replaces.start) >= 2;
        self.shown = found.filter(enough).map(|completion| Shown { completion, chosen: 0 });
    }

    /// The text with colours; kept while nothing of it changes.
    fn job(&mut self, theme: Theme, font: &FontId) -> Arc<LayoutJob> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.text, theme == Theme::Dark, font.size.to_bits()).hash(&mut hasher);
        let key = hasher.finish();
        match &self.job {
            Some((k, job)) if *k == key => job.clone(),
            _ => {
                let job = Arc::new(coloured(self.language, &self.text, theme, font));
                self.job = Some((key, job.clone()));
                job
            }
        }
    }

    /// Draws it. Returns whether the text was changed by hand.
    pub fn ui(&mut self, ui: &mut Ui, theme: Theme, names: &Names, problems: &[&Problem], find: Option<&Find>) -> bool {
        let id = self.id();
        let before = self.text.clone();
        let focused = ui.memory(|m| m.has_focus(id));
        if focused {
            self.keys(ui, names);
        } else {
            self.shown = None;
        }
        let jump = self.jump.take();
        let wants_keyboard = jump.is_some();
        let scroll_to = jump.or_else(|| self.found.take()).inspect(|place| {
            self.select(ui, place);
            self.caret = place.end;
        });
        let font = egui::TextStyle::Monospace.resolve(ui.style());
        let job = self.job(theme, &font);
        let digits = self.text.split('\n').count().to_string().len().max(2);
        let letter = ui.fonts_mut(|f| f.glyph_width(&font, '0'));
        let gutter = (letter * (digits as f32 + 2.0)).ceil().min(100.0);
        let width = ui.fonts_mut(|f| f.layout_job((*job).clone())).size().x + gutter + 16.0;
        let ground = ui.visuals().text_edit_bg_color();
        let frame =
            egui::Frame::new().fill(ground).stroke(ui.visuals().widgets.noninteractive.bg_stroke).corner_radius(3);
        frame.show(ui, |ui| {
            let area = egui::ScrollArea::both().id_salt(self.label).auto_shrink([false, false]);
            area.show(ui, |ui| {
                let under = ui.painter().add(Shape::Noop);
                let mut layouter = |ui: &Ui, text: &dyn egui::TextBuffer, _wrap: f32| {
                    // While keys are handled the text differs from the one that was laid out before.
                    let job = if text.as_str() == job.text {
                        (*job).clone()
                    } else {
                        coloured(self.language, text.as_str(), theme, &font)
                    };
                    ui.fonts_mut(|f| f.layout_job(job))
                };
                let margin = egui::Margin { left: gutter as i8 + 4, right: 8, top: 4, bottom: 4 };
                let visible = ui.clip_rect();
                let out = TextEdit::multiline(&mut self.text)
                    .id(id)
                    .code_editor()
                    .frame(egui::Frame::new().inner_margin(margin))
                    .desired_width(width.max(visible.width()))
                    .min_size(vec2(0.0, visible.height() - 2.0))
                    .layouter(&mut layouter)
                    .show(ui);
                // After it was drawn: a click elsewhere in this frame has just taken the keyboard from it.
                if wants_keyboard {
                    ui.memory_mut(|m| m.request_focus(id));
                }
                let label = self.label;
                ui.ctx().accesskit_node_builder(id, |node| node.set_label(label));
                let typed = out.response.response.changed();
                let caret = out.cursor_range.map(|r| byte(&self.text, r.primary.index.0));
                let moved = caret.is_some_and(|c| c != self.caret);
                self.caret = caret.unwrap_or(self.caret);
                if typed {
                    self.open(names, false);
                } else if moved {
                    self.shown = None;
                }
                if ui.memory(|m| m.has_focus(id)) {
                    // With a list open, Escape closes it and stays in the text.
                    let escape = self.shown.is_some();
                    let filter = EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape };
                    ui.memory_mut(|m| m.set_focus_lock_filter(id, filter));
                }
                let view = View { galley: &out.galley, at: out.galley_pos, text: &self.text };
                let caret_rect = view.rect(&(self.caret()..self.caret()));
                let mut below = Vec::new();
                if focused {
                    let row = Rect::from_x_y_ranges(visible.x_range(), caret_rect.y_range());
                    below.push(Shape::rect_filled(row, 0.0, ui.visuals().faint_bg_color));
                }
                if let Some(find) = find {
                    for (i, place) in find.matches.iter().enumerate() {
                        let strong = if i == find.current { 0.55 } else { 0.25 };
                        let colour = theme::warning(theme).gamma_multiply(strong);
                        below.push(Shape::rect_filled(view.rect(place), 2.0, colour));
                    }
                }
                ui.painter().set(under, Shape::Vec(below));
                let places: Vec<Range<usize>> =
                    problems.iter().map(|p| problem_range(self.language, &self.text, p)).collect();
                for (problem, place) in problems.iter().zip(&places) {
                    wave(ui, view.rect(place), colour_of(problem, theme));
                }
                let clicked = self.gutter(ui, &view, gutter, theme, problems);
                if let Some(place) = &scroll_to {
                    ui.scroll_to_rect(view.rect(place).expand2(vec2(40.0, 60.0)), None);
                }
                let pointed = ui.input(|i| i.pointer.hover_pos()).filter(|_| out.response.response.hovered());
                if let Some(at) = pointed.and_then(|p| view.byte_at(p)) {
                    let found: Vec<&Problem> =
                        problems.iter().zip(&places).filter(|(_, r)| r.contains(&at)).map(|(p, _)| *p).collect();
                    let explained = names.explain(&self.text, at).filter(|_| self.language == Language::Rhai);
                    if !found.is_empty() || explained.is_some() {
                        let entries = explained.map_or(Vec::new(), |(_, e)| e);
                        out.response
                            .response
                            .clone()
                            .on_hover_ui_at_pointer(|ui| popup::hover(ui, theme, &found, &entries));
                    }
                }
                if let Some(line) = clicked {
                    self.go_to(line);
                }
                let shown = self.shown.as_ref().filter(|_| focused);
                let asked = shown.map(|s| popup::list(ui, id, caret_rect, &s.completion.entries, s.chosen));
                match asked {
                    Some(Asked::Take(i)) => {
                        if let Some(shown) = self.shown.take() {
                            self.accept(ui, &shown.completion.entries[i], shown.completion.replaces.clone());
                            ui.memory_mut(|m| m.request_focus(id));
                        }
                    }
                    Some(Asked::Choose(i)) => {
                        if let Some(shown) = &mut self.shown {
                            shown.chosen = i;
                        }
                    }
                    Some(Asked::Nothing) | None => {}
                }
            });
        });
        self.text != before
    }

    /// Numbers of the lines, over the text so that they stay when it is scrolled sideways; a click selects the line.
    fn gutter(
        &self,
        ui: &mut Ui,
        view: &View<'_>,
        width: f32,
        theme: Theme,
        problems: &[&Problem],
    ) -> Option<Range<usize>> {
        let visible = ui.clip_rect();
        let font = egui::TextStyle::Monospace.resolve(ui.style());
        let strip = Rect::from_min_max(visible.min, pos2(visible.left() + width, visible.bottom()));
        ui.painter().rect_filled(strip, 0.0, ui.visuals().text_edit_bg_color());
        let current = self.text[..self.caret()].matches('\n').count();
        for (i, row) in view.galley.rows.iter().enumerate() {
            let y = view.at.y + row.pos.y + row.size.y / 2.0;
            if y < visible.top() - 20.0 || y > visible.bottom() + 20.0 {
                continue;
            }
            let worst = problems.iter().filter(|p| p.line == i + 1).max_by_key(|p| p.error);
            let colour = match worst {
                Some(p) => colour_of(p, theme),
                None if i == current => ui.visuals().text_color(),
                None => ui.visuals().weak_text_color(),
            };
            if worst.is_some() {
                ui.painter().circle_filled(pos2(strip.left() + 5.0, y), 3.0, colour);
            }
            let at = pos2(strip.right() - 6.0, y);
            ui.painter().text(at, egui::Align2::RIGHT_CENTER, (i + 1).to_string(), font.clone(), colour);
        }
        let response = ui.interact(strip, self.id().with("gutter"), Sense::click());
        let p = response.interact_pointer_pos().filter(|_| response.clicked())?;
        let rows = &view.galley.rows;
        let line = rows.iter().position(|r| p.y < view.at.y + r.pos.y + r.size.y).unwrap_or(rows.len() - 1);
        Some(line_range(view.text, line + 1))
    }
}

fn colour_of(problem: &Problem, theme: Theme) -> Color32 {
    if problem.error { theme::error(theme) } else { theme::warning(theme) }
}

/// A text as it stands on the screen.
struct View<'a> {
    galley: &'a egui::Galley,
    at: Pos2,
    text: &'a str,
}

impl View<'_> {
    /// Rectangle of a piece of one line.
    fn rect(&self, place: &Range<usize>) -> Rect {
        let at = |b: usize| self.galley.pos_from_cursor(CCursor::new(index(self.text, b)));
        let (a, b) = (at(place.start), at(place.end));
        Rect::from_min_max(a.min, pos2(b.max.x.max(a.min.x), a.max.y)).translate(self.at.to_vec2())
    }

    /// Byte of the character under a point; none beside the text.
    fn byte_at(&self, p: Pos2) -> Option<usize> {
        let cursor = self.galley.cursor_from_pos(p - self.at);
        let at = byte(self.text, cursor.index.0);
        // The cursor is the nearest gap; the character is on one side of it.
        let before = self.text[..at].char_indices().next_back().map(|(i, _)| i);
        [Some(at), before].into_iter().flatten().find(|&b| {
            let len = self.text[b..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
            len > 0 && self.rect(&(b..b + len)).contains(p)
        })
    }
}

/// A wavy line under a rectangle.
fn wave(ui: &Ui, rect: Rect, colour: Color32) {
    let y = rect.bottom() - 1.0;
    let right = rect.right().max(rect.left() + 6.0);
    let steps = ((right - rect.left()) / 2.0).ceil() as usize;
    let point = |i: usize| pos2(rect.left() + 2.0 * i as f32, y + if i.is_multiple_of(2) { 1.0 } else { -1.0 });
    ui.painter().add(Shape::line((0..=steps).map(point).collect(), Stroke::new(1.4, colour)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_drawn_under_the_word_at_its_place() {
        let text = "let é = 1;\n  s.body(\"torsp\")\n\n}";
        let under = |line, column, message: &str| {
            let problem =
                Problem { file: None, line, column, error: true, message: message.into(), hint: String::new() };
            &text[problem_range(Language::Rhai, text, &problem)]
        };
        assert_eq!(under(1, 5, "no"), "é");
        assert_eq!(under(2, 5, "no"), "body");
        assert_eq!(under(2, 5, "no body `torsp`"), "\"torsp\"");
        assert_eq!(under(2, 5, "no `é`"), "body");
        assert_eq!(under(2, 99, "no"), ")");
        assert_eq!(under(3, 1, "no"), "");
        assert_eq!(under(4, 1, "no"), "}");
        assert_eq!(under(9, 1, "no"), "");
    }

    #[test]
    fn lines_and_characters_are_found() {
        assert_eq!(line_range("a\nbc\n", 2), 2..4);
        assert_eq!(line_range("a\nbc\n", 3), 5..5);
        assert_eq!((byte("éa", 1), index("éa", 2), byte("éa", 9)), (2, 1, 3));
    }
}
