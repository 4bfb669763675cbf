//! The layout of looking at searches.

use crate::app::Studio;
use crate::app::leave::Then;
use crate::keys::{self, Action};
use egui::{CentralPanel, Panel, Ui};

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
            (Some(candidate), _) | (None, Some(Ok(candidate))) => self.ask(Then::Candidate(candidate)),
            (None, Some(Err(why))) => self.dialogs.say(why),
            (None, None) => {}
        }
    }
}
