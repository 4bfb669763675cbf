//! An open task: its live worlds, their newest frame, and the scene made of it.

use crate::editor::{Change, Editor};
use crate::live::{Command, Driver, Frame, Live, LiveOptions, LiveWorlds, Status};
use crate::scene::Stage;
use crate::terms::Terms;
use anyhow::{Context, Result};
use egui::Color32;
use pavlov_common::plain;
use pavlov_env::{Assets, Profile, Task};
use pavlov_reward::{Manifest, Reward};
use pavlov_search::AuditSet;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Length of a trail, steps.
const TRAIL: usize = 160;

/// What wakes the window.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A task with worlds that run.
pub struct Session {
    /// The task.
    pub task: Arc<Task>,
    /// Its reward.
    pub editor: Editor,
    /// Plots of the reward's terms.
    pub terms: Terms,
    /// The worlds.
    pub live: Live,
    /// The scene.
    pub stage: Stage,
    /// The newest frame.
    pub frame: Option<Arc<Frame>>,
    /// Roots of each world over the last steps.
    pub trails: Vec<VecDeque<[f32; 3]>>,
    /// The selected world and link.
    pub selected: Option<(usize, Option<usize>)>,
    /// Where the present policy comes from, in words.
    pub acting: String,
    good: Option<pavlov_learn::Policy>,
    contacts: bool,
    /// When a change went to the worlds that no frame has shown yet: its version, and what it was.
    sent: Option<(u64, Instant, bool)>,
    /// What has happened, for those who watch the studio from outside.
    pub notes: Vec<String>,
    moved: bool,
    had_errors: bool,
}

/// The reward that runs in the editor; one that pays nothing while none does.
fn running(editor: &Editor, task: &Task) -> Result<Arc<Reward>> {
    match editor.reward() {
        Some(reward) => Ok(reward.clone()),
        None => {
            let text = "fn reward(s) { 0.0 }";
            Ok(Arc::new(Reward::from_text("none", "none.rhai", text, Manifest::default(), task.scene())?))
        }
    }
}

/// Starts worlds that wake the window at every step.
fn start(task: &Arc<Task>, reward: &Arc<Reward>, version: u64, worlds: usize, wake: &Wake) -> Result<Live> {
    let options = LiveOptions { worlds, seed: 0, profile: Profile::Fast, disturb: true };
    let live = LiveWorlds::new(task, reward, version, &options);
    let live = live.with_context(|| format!("cannot run task {}", task.name))?;
    let wake = wake.clone();
    Ok(Live::start(live, move || wake()))
}

impl Session {
    /// Opens a task with a reward (by name or path) and starts its worlds. They are moved by the policy of the task's
    /// audit set where there is one, else by random actions. While a reward has errors and none runs yet, the worlds
    /// pay nothing.
    ///
    /// # Errors
    /// When the reward is not there or the environment cannot be made.
    pub fn open(
        assets: &Assets,
        task: Arc<Task>,
        reward: &str,
        state: &Path,
        worlds: usize,
        wake: &Wake,
    ) -> Result<Self> {
        let editor = Editor::open(assets, &task, reward, state)?;
        let live = start(&task, &running(&editor, &task)?, editor.version(), worlds, wake)?;
        let good = AuditSet::load(assets, &task).ok().and_then(|set| set.good_policy().cloned());
        let stage = Stage::new(task.model())?;
        let mut session = Self {
            live,
            editor,
            terms: Terms::default(),
            stage,
            frame: None,
            trails: Vec::new(),
            selected: None,
            acting: String::new(),
            good,
            contacts: false,
            sent: None,
            notes: Vec::new(),
            moved: false,
            had_errors: false,
            task,
        };
        session.act_well();
        Ok(session)
    }

    /// The same with another number of worlds; what is in the editor stays.
    ///
    /// # Errors
    /// When they cannot be made; then those that run go on.
    pub fn set_worlds(&mut self, worlds: usize, wake: &Wake) -> Result<()> {
        let first = running(&self.editor, &self.task)?;
        self.live = start(&self.task, &first, self.editor.version(), worlds, wake)?;
        let heat = self.terms.heat_choice().map(String::from);
        self.terms = Terms::default();
        self.terms.set_heat(heat.as_deref());
        (self.frame, self.selected, self.sent) = (None, None, None);
        self.trails.clear();
        if std::mem::take(&mut self.contacts) {
            self.set_contacts(true);
        }
        self.act_well();
        Ok(())
    }

    /// The task's example policy acts, or random actions where it has none.
    pub fn act_well(&mut self) {
        match self.good.clone() {
            Some(policy) => self.act(Driver::Policy(Box::new(policy)), "example policy"),
            None => self.act(Driver::Random, "random actions"),
        }
    }

    /// Is there an example policy?
    pub fn has_example(&self) -> bool {
        self.good.is_some()
    }

    /// Sets who acts from now on, and its name.
    pub fn act(&mut self, driver: Driver, name: &str) {
        self.live.send(Command::Driver(driver));
        self.acting = name.to_string();
    }

    /// Hands what was edited to the worlds, takes the frames that have come, and shows the newest.
    pub fn poll(&mut self, ctx: &egui::Context) -> bool {
        self.editor.poll(ctx);
        while let Some(change) = self.editor.take_change() {
            let version = change.version();
            let scripts = matches!(change, Change::Reward { .. });
            self.live.send(match change {
                Change::Reward { reward, version } => Command::Reward(reward, version),
                Change::Values { values, version } => Command::Values(values, version),
            });
            self.sent = Some((version, Instant::now(), scripts));
        }
        if self.editor.has_errors() != self.had_errors {
            self.had_errors = !self.had_errors;
            if let Some(p) = self.editor.problems().first().filter(|_| self.had_errors) {
                self.notes.push(format!("error at line {}: {}", p.line, plain(&p.message)));
            }
        }
        let frames = self.live.frames();
        let Some(last) = frames.last().cloned() else { return false };
        let nq = self.task.model().nq();
        self.trails.resize_with(last.worlds, VecDeque::new);
        for frame in &frames {
            self.terms.push(frame);
        }
        self.stage.set(&last.qpos[..last.worlds * nq], last.worlds);
        for (world, trail) in self.trails.iter_mut().enumerate() {
            let robot = &self.stage.robots[world];
            if last.ended[world] || last.episode_step[world] == 0 {
                trail.clear();
            }
            trail.push_back([robot.root[0] - robot.place[0], robot.root[1] - robot.place[1], robot.root[2]]);
            while trail.len() > TRAIL {
                trail.pop_front();
            }
        }
        if let Some((version, at, scripts)) = self.sent
            && last.reward_version >= version
        {
            let effect = if scripts { "the new reward runs" } else { "the new value is plotted" };
            self.notes.push(format!("{effect} after {:.0} ms", 1e3 * at.elapsed().as_secs_f64()));
            self.sent = None;
        }
        if !self.moved && last.serial > 2 {
            self.moved = true;
            self.notes.push("robots move".into());
        }
        self.selected = self.selected.filter(|s| s.0 < last.worlds);
        self.frame = Some(last);
        true
    }

    /// State of the worlds.
    pub fn status(&self) -> Status {
        self.live.status()
    }

    /// What the camera follows: the selected robot, else the first.
    pub fn followed(&self) -> Option<[f32; 3]> {
        let world = self.selected.map_or(0, |s| s.0);
        self.stage.robots.get(world).map(|r| r.root)
    }

    /// Are contacts needed?
    pub fn set_contacts(&mut self, on: bool) {
        if self.contacts != on {
            self.contacts = on;
            self.live.send(Command::Contacts(on));
        }
    }

    /// Name and state of the selected world and link, in a corner of the picture.
    pub fn named_ui(&self, ui: &egui::Ui, rect: egui::Rect) {
        let (Some((world, body)), Some(frame)) = (self.selected, &self.frame) else { return };
        let link = body.map_or("", |b| self.task.model().bodies[b].name.as_str());
        let text = format!(
            "world {world}  {}\nstep {}\nreward {:.3}\nfitness {:.3}{}",
            plain(link),
            frame.episode_step[world],
            frame.total[world],
            frame.fitness[world],
            if frame.success[world] { "  success" } else { "" }
        );
        let font = egui::FontId::monospace(13.0);
        let galley = ui.painter().layout_no_wrap(text, font, ui.visuals().strong_text_color());
        let at = rect.left_top() + egui::vec2(10.0, 10.0);
        let ground = egui::Rect::from_min_size(at, galley.size()).expand(6.0);
        ui.painter().rect_filled(ground, 4.0, ui.visuals().panel_fill.gamma_multiply(0.85));
        ui.painter().galley(at, galley, ui.visuals().strong_text_color());
    }

    /// Colours the robots; the selected one is lighter.
    pub fn tint(&mut self) {
        let heat = self.terms.heat_choice().map(|node| self.terms.heat(node)).unwrap_or_default();
        for (world, robot) in self.stage.robots.iter_mut().enumerate() {
            let of_heat = heat.get(world).map(|c| {
                let [r, g, b, _] = c.to_array();
                Color32::from_rgba_unmultiplied(r, g, b, 210)
            });
            let chosen = self.selected.is_some_and(|s| s.0 == world);
            robot.tint = of_heat.or(chosen.then(|| Color32::from_rgba_unmultiplied(255, 255, 255, 70)));
        }
    }
}
