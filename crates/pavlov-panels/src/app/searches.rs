//! The layout of looking at searches, and how a candidate gets into the editor.

use crate::app::{Mode, Sheet, Studio};
use crate::keys::{self, Action};
use crate::searches::OpenCandidate;
use egui::{CentralPanel, Context, Panel, Ui};
use pavlov_common::errors::told;

impl Studio {
    /// The list at the left, the selected candidate at the right, the graph between them.
    pub(super) fn searches_ui(&mut self, ui: &mut Ui) {
        let theme = self.remembered.theme;
        self.views.clear();
        self.searches.poll(ui.ctx());
        if self.searches.is_empty() {
            CentralPanel::default().show(ui, |ui| self.searches.list_ui(ui, theme));
            return;
        }
        let by_key = keys::pressed(ui.ctx(), Action::OpenCandidate);
        Panel::left("searches").exact_size(290.0).show(ui, |ui| self.searches.list_ui(ui, theme));
        let details = Panel::right("candidate").default_size(420.0).size_range(320.0..=760.0);
        let request = details.show(ui, |ui| {
            // A panel is as wide as what is in it, which is little at first.
            ui.set_min_width(ui.available_width());
            self.searches.details_ui(ui, theme)
        });
        let request = request.inner;
        CentralPanel::default().show(ui, |ui| self.searches.graph_ui(ui, theme));
        match (request, by_key.then(|| self.searches.to_open())) {
            (Some(candidate), _) | (None, Some(Ok(candidate))) => self.open_candidate(ui.ctx(), &candidate),
            (None, Some(Err(why))) => self.dialogs.say(why),
            (None, None) => {}
        }
    }

    /// Puts a candidate into the editor, as an edit of the reward that is open; of the search's human reward when
    /// another task is.
    fn open_candidate(&mut self, ctx: &Context, candidate: &OpenCandidate) {
        let OpenCandidate { task, reward, title, script, manifest } = candidate;
        let fits = |s: &super::Session| s.task.name == *task && s.editor.has_manifest();
        if !self.session.as_ref().is_some_and(fits) {
            // Unsaved changes of the reward that is closed stay in its history.
            let kept =
                self.session.as_mut().filter(|s| s.editor.is_dirty()).map(|s| s.editor.keep("before another task"));
            if let Some(Err(error)) = kept {
                return self.dialogs.say(error.to_string());
            }
            let opened = self.open_task(task, Some(reward)).or_else(|_| self.open_task(task, None));
            if let Err(error) = opened {
                return self.dialogs.say(format!("{title} cannot be opened: {}", told(error.as_ref())));
            }
        }
        let Some(session) = &mut self.session else { return };
        if let Err(error) = session.editor.bring(ctx, title, script, manifest) {
            return self.dialogs.say(error.to_string());
        }
        session.editor.focus();
        self.remembered.mode = Mode::Design;
        self.remembered.sheet = Sheet::Script;
        self.notes.push(format!("{title} is in the editor"));
    }
}
