//! An open task: its live worlds, their newest frame, and the scene made of it.

use crate::app::state::Heat;
use crate::live::{Command, Driver, Frame, Live, LiveOptions, LiveWorlds, Status};
use crate::scene::{Stage, Tint};
use crate::theme;
use anyhow::{Context, Result};
use egui::Color32;
use pavlov_env::{Assets, Profile, Task};
use pavlov_reward::Reward;
use pavlov_search::AuditSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// Steps that a trail is long.
const TRAIL: usize = 160;

/// What wakes the window.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A task with worlds that run.
pub struct Session {
    /// The task.
    pub task: Arc<Task>,
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
}

impl Session {
    /// Opens a task with a reward and starts its worlds. They are moved by the policy of the task's audit set where there is one, else by
    /// random actions.
    ///
    /// # Errors
    /// When the environment cannot be made.
    pub fn open(
        assets: &Assets,
        task: Arc<Task>,
        reward: &Arc<Reward>,
        version: u64,
        worlds: usize,
        wake: &Wake,
    ) -> Result<Self> {
        let options = LiveOptions { worlds, seed: 0, profile: Profile::Fast, disturb: true };
        let live = LiveWorlds::new(&task, reward, version, &options)
            .with_context(|| format!("cannot run task {}", task.name))?;
        let good = AuditSet::load(assets, &task).ok().and_then(|set| set.good_policy().cloned());
        let stage = Stage::new(task.model())?;
        let wake = wake.clone();
        let mut session = Self {
            live: Live::start(live, move || wake()),
            stage,
            frame: None,
            trails: Vec::new(),
            selected: None,
            acting: String::new(),
            good,
            contacts: false,
            task,
        };
        session.act_well();
        Ok(session)
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

    /// Who acts from now on, and what it is called.
    pub fn act(&mut self, driver: Driver, name: &str) {
        self.live.send(Command::Driver(driver));
        self.acting = name.to_string();
    }

    /// Takes the frames that have come, shows the newest, and hands each to `each`.
    pub fn poll(&mut self, mut each: impl FnMut(&Frame)) -> bool {
        let frames = self.live.frames();
        let Some(last) = frames.last().cloned() else { return false };
        let nq = self.task.model().nq();
        self.trails.resize_with(last.worlds, VecDeque::new);
        for frame in &frames {
            each(frame);
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
        self.selected = self.selected.filter(|s| s.0 < last.worlds);
        self.frame = Some(last);
        true
    }

    /// How the worlds are.
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

    /// Name of the selected world and link, and how it fares, in a corner of the picture.
    pub fn named_ui(&self, ui: &egui::Ui, rect: egui::Rect) {
        let (Some((world, body)), Some(frame)) = (self.selected, &self.frame) else { return };
        let link = body.map_or("", |b| self.task.model().bodies[b].name.as_str());
        let text = format!(
            "world {world}  {link}\nstep {}\nreward {:.3}\nfitness {:.3}{}",
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

    /// Values by which the robots are coloured, and their least and greatest.
    pub fn heat(&self, heat: &Heat) -> Option<(Vec<f32>, f32, f32)> {
        let frame = self.frame.as_ref()?;
        let values: Vec<f32> = match heat {
            Heat::Off => return None,
            Heat::Total => frame.total.clone(),
            Heat::Node(name) => {
                let node = frame.names.nodes.iter().position(|n| n == name)?;
                (0..frame.worlds).map(|w| frame.node(w, node)).collect()
            }
        };
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let (low, high) = (finite().fold(f32::MAX, f32::min), finite().fold(f32::MIN, f32::max));
        (low <= high).then_some((values, low, high))
    }

    /// Colours the robots; the selected one is lighter.
    pub fn tint(&mut self, heat: &Heat) {
        let values = self.heat(heat);
        for (world, robot) in self.stage.robots.iter_mut().enumerate() {
            let of_heat: Tint = values.as_ref().map(|(values, low, high)| {
                let share = (values[world] - low) / (high - low).max(1e-9);
                let [r, g, b, _] = theme::heat(share).to_array();
                Color32::from_rgba_unmultiplied(r, g, b, 200)
            });
            let chosen = self.selected.is_some_and(|s| s.0 == world);
            robot.tint = of_heat.or(chosen.then(|| Color32::from_rgba_unmultiplied(255, 255, 255, 70)));
        }
    }
}
