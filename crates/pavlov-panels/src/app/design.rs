//! The layout of designing: script at the left, plots and training at the right, the worlds' clock below, the picture
//! in the middle.

use crate::app::leave::Then;
use crate::app::state::{Sheet, Side};
use crate::app::viewport::{Hand, Viewport};
use crate::app::{MAX_WORLDS, Studio};
use crate::keys::{self, Action};
use crate::live::{Command, Driver};
use crate::scene::{Over, View, paint};
use crate::theme;
use crate::train::TrainRequest;
use egui::{Context, DragValue, Panel, Sense, Ui};
use pavlov_common::plain_lines;

impl Studio {
    /// All panels of this mode, then the picture in what is left.
    pub(super) fn design_ui(&mut self, ui: &mut Ui) {
        Panel::bottom("clock").show(ui, |ui| self.clock_ui(ui));
        Panel::left("left").default_size(400.0).size_range(280.0..=700.0).show(ui, |ui| self.left_ui(ui));
        Panel::right("right").default_size(360.0).size_range(280.0..=640.0).show(ui, |ui| self.right_ui(ui));
        self.picture_ui(ui);
    }

    pub(super) fn design_keys(&mut self, ctx: &Context) {
        let Some(session) = &mut self.session else { return };
        let status = session.status();
        if keys::pressed(ctx, Action::Script) {
            self.remembered.sheet = Sheet::Script;
            session.editor.focus();
        }
        if keys::pressed(ctx, Action::PlayPause) {
            session.live.send(Command::Play(!status.playing));
        }
        if keys::pressed(ctx, Action::Step) {
            session.live.send(Command::Play(false));
            session.live.send(Command::Step);
        }
        if keys::pressed(ctx, Action::Reset) {
            session.live.send(Command::Reset);
        }
        if keys::pressed(ctx, Action::Follow) {
            self.remembered.camera.follow = !self.remembered.camera.follow;
        }
        if keys::pressed(ctx, Action::Train) {
            self.start_training(ctx);
        }
    }

    /// Play, step, speed, reset, who acts, how many.
    fn clock_ui(&mut self, ui: &mut Ui) {
        let Some(session) = &mut self.session else { return };
        let status = session.status();
        ui.horizontal_wrapped(|ui| {
            let name = if status.playing { "⏸ Pause" } else { "▶ Play" };
            if ui.button(name).on_hover_text(keys::text(ui.ctx(), Action::PlayPause)).clicked() {
                session.live.send(Command::Play(!status.playing));
            }
            if ui.button("⏭ Step").on_hover_text(keys::text(ui.ctx(), Action::Step)).clicked() {
                session.live.send(Command::Play(false));
                session.live.send(Command::Step);
            }
            if ui.button("⟲ Reset").on_hover_text(keys::text(ui.ctx(), Action::Reset)).clicked() {
                session.live.send(Command::Reset);
            }
            ui.separator();
            let label = ui.label("Speed");
            let speed = DragValue::new(&mut self.remembered.speed).range(0.05..=8.0).speed(0.01).suffix("x");
            if ui.add(speed).labelled_by(label.id).changed() {
                session.live.send(Command::Speed(self.remembered.speed));
            }
            if status.playing {
                ui.weak(format!("{:.2}x", status.achieved));
            }
            ui.separator();
            let mut worlds = self.remembered.worlds;
            let label = ui.label("Robots");
            let many = ui.add(DragValue::new(&mut worlds).range(1..=MAX_WORLDS)).labelled_by(label.id);
            if many.drag_stopped() || many.lost_focus() || (many.changed() && !many.dragged() && !many.has_focus()) {
                self.new_worlds = worlds != session.stage.robots.len();
            }
            self.remembered.worlds = worlds;
            ui.separator();
            ui.menu_button(format!("Moved by {}", session.acting), |ui| {
                if session.has_example() && ui.button("Example policy").clicked() {
                    session.act_well();
                }
                if ui.button("Random actions").clicked() {
                    session.act(Driver::Random, "random actions");
                }
                if ui.button("Nobody").clicked() {
                    session.act(Driver::Still, "nobody");
                }
            });
            if let Some(frame) = &session.frame {
                ui.weak(format!("{:.1} s", frame.time));
            }
        });
        let theme = self.remembered.theme;
        if let Some(error) = &status.error {
            ui.colored_label(theme::error(theme), plain_lines(error));
        }
        if let Some(trouble) = session.frame.as_ref().and_then(|f| f.trouble.as_ref()) {
            ui.colored_label(theme::warning(theme), plain_lines(trouble));
        }
    }

    fn left_ui(&mut self, ui: &mut Ui) {
        let theme = self.remembered.theme;
        let Some(session) = &mut self.session else { return };
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.remembered.sheet, Sheet::Script, "Script");
            ui.selectable_value(&mut self.remembered.sheet, Sheet::Parameters, "Parameters");
            ui.selectable_value(&mut self.remembered.sheet, Sheet::History, "History");
        });
        ui.separator();
        match self.remembered.sheet {
            Sheet::Script => {
                // The sliders stay in reach of the script: what is edited most is a weight.
                Panel::bottom("sliders").resizable(true).default_size(190.0).show(ui, |ui| {
                    egui::ScrollArea::vertical().show(ui, |ui| session.editor.parameters_ui(ui, theme));
                });
                session.editor.ui(ui, theme);
            }
            Sheet::Parameters => {
                egui::ScrollArea::vertical().show(ui, |ui| session.editor.parameters_ui(ui, theme));
            }
            Sheet::History => session.editor.history_ui(ui, theme),
        }
    }

    fn right_ui(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.remembered.side, Side::Terms, "Terms");
            ui.selectable_value(&mut self.remembered.side, Side::Training, "Training");
        });
        ui.separator();
        let theme = self.remembered.theme;
        match self.remembered.side {
            Side::Terms => {
                let Some(session) = &mut self.session else { return };
                session.terms.heat_ui(ui, theme);
                session.terms.ui(ui, theme, session.selected.map(|s| s.0));
            }
            Side::Training => {
                if self.is_at_gate() {
                    ui.horizontal(|ui| {
                        ui.spinner();
                        ui.label("The gate looks at the reward ...");
                    });
                }
                let request = egui::ScrollArea::vertical().show(ui, |ui| self.train.ui(ui, theme)).inner;
                match request {
                    Some(TrainRequest::Start) => self.start_training(ui.ctx()),
                    Some(TrainRequest::Open(run)) => {
                        let replay = self.runs.open(&run, ui.ctx());
                        self.runs.select(&run);
                        self.open_replay(replay);
                    }
                    None => {}
                }
            }
        }
    }

    /// Saves the reward that is open, asks the gate and trains it; ends a run that is being trained.
    pub(super) fn start_training(&mut self, ctx: &Context) {
        self.remembered.side = Side::Training;
        if self.train.is_active() {
            if let Some(training) = self.train.training() {
                training.stop();
            }
            return;
        }
        if self.is_at_gate() {
            return;
        }
        let Some(session) = &self.session else { return };
        if session.editor.has_errors() {
            return self.dialogs.say("The reward has errors: mend them before training it.".into());
        }
        if session.editor.is_dirty() || session.editor.is_detached() {
            self.save_then(ctx, Then::Train);
        } else {
            self.ask_gate(ctx);
        }
    }

    /// Trains the reward that is open, as it is on the disk.
    pub(super) fn train_now(&mut self) {
        let reward = self.reward_to_train();
        let Some(session) = &self.session else { return };
        let wake = self.options.wake.clone();
        self.train.start(&self.options.assets, &session.task, &reward, &self.options.runs, move || wake());
    }

    /// The picture: the hand in it, and what is drawn over it.
    fn picture_ui(&mut self, ui: &mut Ui) {
        let Some(session) = &mut self.session else { return };
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        let robots = 0..session.stage.robots.len();
        self.hands.resize(1, Viewport::default());
        let camera = &mut self.remembered.camera;
        for hand in self.hands[0].ui(ui, rect, camera, &session.stage, robots.clone(), true) {
            match hand {
                Hand::Select(hit) => {
                    session.selected = hit.map(|h| (h.world, Some(h.body)));
                    session.live.send(Command::Select(hit.map(|h| h.world)));
                    if let Some(h) = hit {
                        session.notes.push(format!("world {} is selected", h.world));
                    }
                }
                Hand::Push { world, body, force } => session.live.send(Command::Force(world, body, Some(force))),
                Hand::Release { world, body } => {
                    session.live.send(Command::Force(world, body, None));
                    session.notes.push(format!("world {world} was pulled"));
                }
            }
        }
        let overlays = &self.remembered.overlays;
        session.set_contacts(overlays.contacts || overlays.forces);
        let eye = camera.eye();
        if let Some(frame) = &session.frame {
            let over = Over {
                stage: &session.stage,
                robots: (robots.start, robots.end),
                contacts: &frame.contacts,
                trails: &session.trails,
                command: (&frame.command, frame.command.len() / frame.worlds.max(1)),
                selected: session.selected.map(|s| s.0),
            };
            paint(ui, rect, &eye, overlays, &over);
        }
        session.named_ui(ui, rect);
        self.views = vec![View { rect, eye, robots }];
    }
}
