//! The layouts of looking at runs and of comparing behaviours.

use crate::app::leave::Then;
use crate::app::viewport::Viewport;
use crate::app::{Mode, Studio};
use crate::prefs::Labelling;
use crate::runs::{Replay, RunsRequest};
use crate::scene::View;
use egui::{Align2, FontId, Panel, Rect, Sense, Ui, pos2};
use pavlov_common::plain_lines;

impl Studio {
    /// The list of runs at the left, curves at the right, a replay below its picture.
    pub(super) fn runs_ui(&mut self, ui: &mut Ui, dt: f32) {
        let theme = self.remembered.theme;
        self.runs.poll(ui.ctx());
        let edited = self.session.as_ref().and_then(|s| s.editor.reward()).cloned();
        if let Some(replay) = &mut self.replay {
            replay.advance(ui.ctx(), f64::from(dt), edited.as_ref());
            if let Some(robot) = replay.stage().and_then(|s| s.robots.first())
                && self.remembered.camera.follow
            {
                let [x, y, z] = robot.root;
                self.remembered.camera.track([x, y, z.max(0.1)], dt);
            }
        }
        let request = Panel::left("runs").exact_size(370.0).show(ui, |ui| self.runs.browser_ui(ui, theme)).inner;
        let mut close = false;
        if let Some(replay) = &mut self.replay {
            Panel::bottom("replay").show(ui, |ui| close = replay.ui(ui, theme));
        }
        Panel::right("curves").exact_size(350.0).show(ui, |ui| self.runs.curves_ui(ui, theme));
        if close {
            self.replay = None;
        }
        match request {
            Some(RunsRequest::OpenReplay(replay)) => self.open_replay(*replay),
            Some(RunsRequest::ResumeTraining(run)) => {
                let wake = self.options.wake.clone();
                self.train.resume(run, move || wake());
                self.remembered.mode = Mode::Design;
                self.remembered.side = crate::app::Side::Training;
            }
            Some(RunsRequest::OpenReward { task, copy }) => {
                self.ask(Then::Open { task, reward: Some(copy.display().to_string()) });
            }
            None => {}
        }
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        self.views.clear();
        let Some(stage) = self.replay.as_ref().and_then(Replay::stage).filter(|s| !s.robots.is_empty()) else {
            let text = "Select a run and press Replay to watch what it recorded";
            ui.painter().text(
                rect.center(),
                Align2::CENTER_CENTER,
                text,
                FontId::proportional(15.0),
                ui.visuals().weak_text_color(),
            );
            return;
        };
        self.hands.resize(1, Viewport::default());
        self.hands[0].ui(ui, rect, &mut self.remembered.camera, stage, 0..1, false);
        self.views.push(View { rect, eye: self.remembered.camera.eye(), robots: 0..1 });
    }

    /// Shows a replay.
    pub(super) fn open_replay(&mut self, replay: Replay) {
        self.replay = Some(replay);
        self.remembered.mode = Mode::Runs;
        self.remembered.camera.follow = true;
        self.notes.push("a replay is opened".into());
    }

    /// Clips side by side, the answers below.
    pub(super) fn label_ui(&mut self, ui: &mut Ui, dt: f32) {
        let theme = self.remembered.theme;
        self.views.clear();
        let Some(session) = &self.session else { return };
        let other_task = self.labelling.as_ref().is_some_and(|l| l.0 != session.task.name);
        if self.labelling.is_none() || other_task {
            let opened =
                Labelling::open(&self.options.runs, &session.task, &self.remembered.rater, session.editor.running());
            self.labelling = Some((session.task.name.clone(), opened));
        }
        let Some((_, opened)) = &mut self.labelling else { return };
        let labelling = match opened {
            Ok(labelling) => labelling,
            Err(why) => {
                let mut again = false;
                egui::CentralPanel::default().show(ui, |ui| {
                    ui.add_space(40.0);
                    ui.vertical_centered(|ui| {
                        ui.heading("Nothing to compare yet");
                        ui.label(plain_lines(why));
                        again = ui.button("Look again").clicked();
                    });
                });
                if again {
                    self.labelling = None;
                }
                return;
            }
        };
        labelling.set_reward(session.editor.running());
        labelling.advance(ui.ctx(), f64::from(dt));
        Panel::bottom("labelling").show(ui, |ui| labelling.ui(ui, theme));
        self.notes.append(&mut labelling.notes);
        self.remembered.rater.clone_from(&labelling.rater);
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        let n = labelling.clips();
        self.hands.resize(n, Viewport::default());
        let stage = labelling.stage();
        for (i, cell) in cells(rect, n).into_iter().enumerate() {
            // One camera for all; each picture looks at its own robot.
            let mut camera = self.remembered.camera;
            if let Some(robot) = stage.robots.get(i) {
                camera.target = [robot.root[0], robot.root[1], robot.root[2].max(0.1)];
            }
            self.hands[i].ui(ui, cell, &mut camera, stage, i..i + 1, false);
            let kept = self.remembered.camera.target;
            self.remembered.camera = crate::scene::Orbit { target: kept, follow: true, ..camera };
            let at = pos2(cell.left() + 10.0, cell.top() + 8.0);
            ui.painter().text(
                at,
                Align2::LEFT_TOP,
                labelling.title(i),
                FontId::proportional(18.0),
                ui.visuals().strong_text_color(),
            );
            self.views.push(View { rect: cell, eye: camera.eye(), robots: i..i + 1 });
        }
    }
}

/// Places of `n` pictures in a rectangle: up to three in a row.
fn cells(rect: Rect, n: usize) -> Vec<Rect> {
    let columns = if n == 4 { 2 } else { n.clamp(1, 3) };
    let rows = n.div_ceil(columns).max(1);
    let size = egui::vec2(rect.width() / columns as f32, rect.height() / rows as f32);
    let gap = 1.0;
    (0..n)
        .map(|i| {
            let at = rect.min + egui::vec2((i % columns) as f32 * size.x, (i / columns) as f32 * size.y);
            Rect::from_min_size(at, size).shrink(gap)
        })
        .collect()
}
