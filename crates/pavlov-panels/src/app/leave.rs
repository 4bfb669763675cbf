//! What must not get lost: every way out of the reward in the editor asks first, a copy gets its name, and what an
//! earlier studio left unsaved is offered.
//!
//! ```text
//! quit, another task, a candidate, a run's reward, a draft ─> ask ─> Save ─(name)─┐
//!                                                              └──> Discard ──────┴─> go
//! ```

use crate::app::{Mode, Sheet, Studio};
use crate::editor::{Draft, Foreign};
use crate::searches::OpenCandidate;
use anyhow::Result;
use egui::{Align2, Context, Key, Ui, Window};
use pavlov_common::{plain, plain_lines};

/// What is done once nothing unsaved stands in its way.
#[derive(Debug)]
pub(super) enum Then {
    /// Nothing more: the text was to be saved.
    Stay,
    /// The window closes.
    Quit,
    /// The reward is trained.
    Train,
    /// A task, with a reward by name or path, else its own.
    Open { task: String, reward: Option<String> },
    /// A candidate of a search.
    Candidate(OpenCandidate),
    /// Unsaved edits of an earlier studio.
    Restore(Box<Draft>),
}

impl Then {
    /// As the question says it.
    fn words(&self) -> &'static str {
        match self {
            Self::Stay | Self::Train => "going on",
            Self::Quit => "leaving",
            Self::Open { .. } | Self::Candidate(_) | Self::Restore(_) => "another reward is opened",
        }
    }
}

/// A name that is being asked for.
#[derive(Debug)]
pub(super) struct Naming {
    name: String,
    why: String,
    wrong: Option<String>,
    then: Then,
    fresh: bool,
}

/// The questions.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Asked for in this frame.
    pub asked: Option<Then>,
    unsaved: Option<Then>,
    naming: Option<Naming>,
    /// What earlier studios left.
    drafts: Vec<Draft>,
}

impl Questions {
    /// With the drafts that are offered.
    pub fn new(drafts: Vec<Draft>) -> Self {
        Self { drafts, ..Self::default() }
    }
}

impl Studio {
    /// Does something, after a question when the editor has unsaved edits.
    pub(super) fn ask(&mut self, then: Then) {
        self.questions.asked = Some(then);
    }

    /// Saves, under a name that is asked for where the text is not the person's own, and goes on.
    pub(super) fn save_then(&mut self, ctx: &Context, then: Then) {
        let Some(session) = &mut self.session else { return self.go(ctx, then) };
        if let Some((why, name)) = session.editor.asks_name() {
            let why = why.to_string();
            self.questions.naming = Some(Naming { name, why, wrong: None, then, fresh: true });
            return;
        }
        match session.editor.save() {
            Ok(()) => self.go(ctx, then),
            Err(error) => self.dialogs.say(format!("The reward cannot be saved: {error}")),
        }
    }

    /// Does it, whatever is unsaved.
    fn go(&mut self, ctx: &Context, then: Then) {
        let done = match then {
            Then::Stay => Ok(()),
            Then::Quit => {
                self.close_now();
                Ok(())
            }
            Then::Train => {
                self.ask_gate(ctx);
                Ok(())
            }
            Then::Open { task, reward } => {
                let opened = self.open_task(&task, reward.as_deref());
                self.chooser.open &= opened.is_err();
                opened
            }
            Then::Candidate(candidate) => self.bring_candidate(ctx, &candidate),
            Then::Restore(draft) => self.restore(ctx, &draft),
        };
        if let Err(error) = done {
            self.dialogs.say(format!("{error:#}"));
        }
    }

    /// Opens what a draft was made of, and puts it there; where that is gone, into the task's own reward.
    fn restore(&mut self, ctx: &Context, draft: &Draft) -> Result<()> {
        let path = draft.path.display().to_string();
        // By its name, as it was opened; when that is another one here, by its path.
        let is_there = |studio: &Self| studio.session.as_ref().is_some_and(|s| s.editor.is_at(&draft.path));
        let by_name = self.open_task(&draft.task, Some(&draft.reward)).is_ok() && is_there(self);
        if !by_name && self.open_task(&draft.task, Some(&path)).is_err() {
            self.open_task(&draft.task, None)?;
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        session.editor.restore_draft(ctx, draft)?;
        session.editor.focus();
        self.remembered.sheet = Sheet::Script;
        self.questions.drafts.retain(|d| d != draft);
        self.chooser.open = false;
        self.notes.push(format!("unsaved edits of {} are restored", draft.title));
        Ok(())
    }

    /// Puts a candidate into the editor, under a name of its own; shown over the reward that is open, or over the
    /// search's human reward when another task is.
    fn bring_candidate(&mut self, ctx: &Context, candidate: &OpenCandidate) -> Result<()> {
        let OpenCandidate { task, reward, title, name, script, manifest } = candidate;
        let fits = |s: &super::Session| s.task.name == *task && s.editor.has_manifest();
        if !self.session.as_ref().is_some_and(fits) {
            let opened = self.open_task(task, Some(reward)).or_else(|_| self.open_task(task, None));
            opened.map_err(|e| e.context(format!("{title} cannot be opened")))?;
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        let why = format!("{title} has no name of its own yet");
        session.editor.bring(ctx, (script, manifest), Foreign::text(title, &why, name))?;
        session.editor.focus();
        self.remembered.mode = Mode::Design;
        self.remembered.sheet = Sheet::Script;
        self.notes.push(format!("{title} is in the editor"));
        Ok(())
    }

    /// Takes what was asked for in this frame, and draws the questions.
    pub(super) fn questions_ui(&mut self, ctx: &Context) {
        if self.session.as_mut().is_some_and(|s| s.editor.take_name_request()) {
            self.save_then(ctx, Then::Stay);
        }
        if let Some(then) = self.questions.asked.take() {
            let has_edits = self.session.as_ref().is_some_and(|s| s.editor.has_edits());
            if has_edits && !matches!(then, Then::Stay | Then::Train) {
                self.questions.unsaved = Some(then);
            } else {
                self.go(ctx, then);
            }
        }
        self.unsaved_ui(ctx);
        self.naming_ui(ctx);
        self.drafts_ui(ctx);
    }

    fn unsaved_ui(&mut self, ctx: &Context) {
        let Some(then) = self.questions.unsaved.take() else { return };
        let title = self.session.as_ref().map_or_else(String::new, |s| plain(s.editor.title()));
        let (mut save, mut discard, mut cancel) = (false, false, false);
        let shown = |ui: &mut Ui| {
            ui.set_max_width(420.0);
            ui.label(format!("{title} has edits that are not saved. What becomes of them before {}?", then.words()));
            ui.horizontal(|ui| {
                save = ui.button("Save").clicked();
                discard = ui.button("Discard").on_hover_text("They stay in the history of the reward").clicked();
                cancel = ui.button("Cancel").clicked() || ui.input(|i| i.key_pressed(Key::Escape));
            });
        };
        Window::new("Unsaved edits").anchor(Align2::CENTER_CENTER, [0.0, 0.0]).collapsible(false).show(ctx, shown);
        if save {
            self.save_then(ctx, then);
        } else if discard {
            let discarded = self.session.as_mut().map_or(Ok(()), |s| s.editor.discard());
            match discarded {
                Ok(()) => self.go(ctx, then),
                Err(error) => self.dialogs.say(error.to_string()),
            }
        } else if !cancel {
            self.questions.unsaved = Some(then);
        }
    }

    fn naming_ui(&mut self, ctx: &Context) {
        let Some(mut naming) = self.questions.naming.take() else { return };
        let (mut save, mut cancel) = (false, false);
        let shown = |ui: &mut Ui| {
            ui.set_max_width(460.0);
            ui.label(format!("{}. It is saved as a copy of your own:", plain(&naming.why)));
            ui.horizontal(|ui| {
                let label = ui.label("Name");
                let field = egui::TextEdit::singleline(&mut naming.name).char_limit(200).desired_width(320.0);
                let field = ui.add(field).labelled_by(label.id);
                if std::mem::take(&mut naming.fresh) {
                    field.request_focus();
                }
                save = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            });
            if let Some(wrong) = &naming.wrong {
                ui.colored_label(crate::theme::error(self.remembered.theme), plain_lines(wrong));
            }
            ui.horizontal(|ui| {
                save |= ui.button("Save the copy").clicked();
                cancel = ui.button("Cancel").clicked() || ui.input(|i| i.key_pressed(Key::Escape));
            });
        };
        Window::new("A name for the copy")
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .collapsible(false)
            .show(ctx, shown);
        if cancel {
            return;
        }
        if save && let Some(session) = &mut self.session {
            let name = naming.name.trim().to_string();
            match session.editor.save_as(&name) {
                Ok(()) => {
                    self.notes.push(format!("saved as {name}"));
                    self.remembered.reward = Some(name);
                    return self.go(ctx, naming.then);
                }
                Err(error) => naming.wrong = Some(error.to_string()),
            }
        }
        self.questions.naming = Some(naming);
    }

    fn drafts_ui(&mut self, ctx: &Context) {
        if self.questions.drafts.is_empty() || self.questions.unsaved.is_some() || self.questions.naming.is_some() {
            return;
        }
        let (mut restore, mut discard, mut later) = (None, None, false);
        let shown = |ui: &mut Ui| {
            ui.set_max_width(520.0);
            ui.label("An earlier studio ended with edits that were not saved:");
            egui::ScrollArea::vertical().max_height(260.0).show(ui, |ui| {
                for (i, draft) in self.questions.drafts.iter().enumerate() {
                    ui.horizontal_wrapped(|ui| {
                        ui.label(format!("{} ({}), {}", plain(&draft.title), plain(&draft.task), plain(&draft.time)))
                            .on_hover_text(plain(&draft.path.display().to_string()));
                        if ui.button("Restore").clicked() {
                            restore = Some(i);
                        }
                        if ui.button("Discard").clicked() {
                            discard = Some(i);
                        }
                    });
                }
            });
            later = ui.button("Later").on_hover_text("They are offered at the next start again").clicked();
        };
        Window::new("Unsaved edits of an earlier studio")
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .collapsible(false)
            .show(ctx, shown);
        if let Some(i) = discard {
            self.questions.drafts.remove(i).remove();
        } else if let Some(draft) = restore.and_then(|i| self.questions.drafts.get(i)) {
            self.ask(Then::Restore(Box::new(draft.clone())));
        } else if later {
            self.questions.drafts.clear();
        }
    }
}
