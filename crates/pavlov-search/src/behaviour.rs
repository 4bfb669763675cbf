//! Behaviours: what a robot is made to do in one world of an audit set.
//!
//! Actions are given as shares of their range: -1 is the low end, 1 the high end, 0 the middle; where a range is open
//! it is taken as -1 to 1.

use pavlov_env::Task;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_learn::Policy;
use pavlov_run::{Player, RunError};
use serde::Deserialize;

/// How actions come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Play {
    /// A policy: `file`, or the good one; scaled by `scale`, with noise of deviation `noise`, and no action after
    /// the share `until` of the episode.
    Policy,
    /// Every action stays at `value`.
    Hold,
    /// Every action is drawn anew in every step.
    Random,
    /// Every action goes from one end to the other in every step.
    Shake,
    /// A sine of `hz`.
    Wave,
}

/// `[[bad]]` or `[good]` of an audit file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Name, for findings.
    pub name: String,
    /// What it does, in one line.
    #[serde(default)]
    pub about: String,
    /// How actions come about.
    pub play: Play,
    /// Policy beside the audit file; the good one when omitted.
    #[serde(default)]
    pub file: Option<String>,
    /// Factor on the policy's actions.
    #[serde(default = "full")]
    pub scale: f32,
    /// Noise on the policy's actions, as a share of their range.
    #[serde(default)]
    pub noise: f32,
    /// Share of the episode after which actions are zero.
    #[serde(default = "full")]
    pub until: f32,
    /// Where actions are held.
    #[serde(default)]
    pub value: f32,
    /// Frequency, Hz.
    #[serde(default)]
    pub hz: f32,
    /// Every second actuator the other way round.
    #[serde(default)]
    pub split: bool,
    /// Does it do nothing of what the task asks, at its ease? For the finding about rewards that pay for idling.
    #[serde(default)]
    pub idle: bool,
    /// A known exploit of rewards for this task: what it is.
    #[serde(default)]
    pub exploit: Option<String>,
}

fn full() -> f32 {
    1.0
}

impl Behaviour {
    /// What is wrong with the numbers; none when they are good.
    pub(crate) fn problem(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() {
            return Some("a behaviour without a name".into());
        }
        let all = [self.scale, self.noise, self.until, self.value, self.hz];
        if all.iter().any(|x| !x.is_finite()) || self.noise < 0.0 || !(0.0..=1.0).contains(&self.until) {
            return Some(format!("`{name}`: expected finite numbers, noise of 0 or more, until from 0 to 1"));
        }
        if self.play == Play::Wave && !(self.hz > 0.0 && self.hz <= 1000.0) {
            return Some(format!("`{name}`: hz is {}: expected above 0, at most 1000", self.hz));
        }
        if self.play != Play::Policy && self.file.is_some() {
            return Some(format!("`{name}`: `file` is for play = \"policy\""));
        }
        None
    }
}

/// One behaviour made ready.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub behaviour: Behaviour,
    /// Index of its policy.
    pub policy: Option<usize>,
}

/// Plays one behaviour in each world of a block.
pub(crate) struct AuditPlayer<'a> {
    task: &'a Task,
    /// Behaviour of each world.
    worlds: Vec<&'a Ready>,
    /// First world of the block in the environment: what is random goes by the world.
    first: usize,
    policies: Vec<Policy>,
    /// Mean actions of each policy for all worlds.
    means: Vec<Vec<f32>>,
    /// Middle and half width of each action's range; zero action of the task.
    range: Vec<(f32, f32)>,
    steps: usize,
}

impl<'a> AuditPlayer<'a> {
    pub fn new(task: &'a Task, worlds: Vec<&'a Ready>, first: usize, policies: &[Policy]) -> Self {
        let (low, high) = task.action_range();
        let wide = |x: f32, open: f32| if x.is_finite() && x.abs() < 50.0 { x } else { open };
        let range = low.iter().zip(&high).map(|(&l, &h)| {
            let (l, h) = (wide(l, -1.0), wide(h, 1.0));
            (0.5 * (l + h), 0.5 * (h - l))
        });
        let means = vec![vec![0.0; worlds.len() * task.act_dim()]; policies.len()];
        let range = range.collect();
        Self { task, first, policies: policies.to_vec(), means, range, steps: task.episode_steps(), worlds }
    }
}

impl Player for AuditPlayer<'_> {
    fn act(&mut self, obs: &[f32], step: usize, actions: &mut [f32]) -> Result<(), RunError> {
        for (policy, means) in self.policies.iter_mut().zip(&mut self.means) {
            policy.act(obs, self.task.obs_dim(), means)?;
        }
        let (nu, dt) = (self.task.act_dim(), self.task.control_dt() as f32);
        for (world, (ready, actions)) in self.worlds.iter().zip(actions.chunks_exact_mut(nu)).enumerate() {
            let b = &ready.behaviour;
            let over = step as f32 >= b.until * self.steps as f32;
            let mut random =
                WorldRng::new(AUDIT_SEED, (self.first + world) as u64).stream(Purpose::Action, 0, step as u32);
            for (i, (action, &(middle, half))) in actions.iter_mut().zip(&self.range).enumerate() {
                let side = if b.split && i % 2 == 1 { -1.0 } else { 1.0 };
                let share = match b.play {
                    Play::Policy => {
                        let mean = ready.policy.map_or(0.0, |p| self.means[p][world * nu + i]);
                        // Zero of the task's action, not the middle of its range.
                        *action = if over { 0.0 } else { b.scale * mean };
                        if b.noise > 0.0 && !over {
                            *action += b.noise * half * random.uniform(-1.7, 1.7);
                        }
                        continue;
                    }
                    Play::Hold if b.value == 0.0 => {
                        *action = 0.0;
                        continue;
                    }
                    Play::Hold => side * b.value,
                    Play::Random => random.uniform(-1.0, 1.0),
                    Play::Shake => side * if step.is_multiple_of(2) { 1.0 } else { -1.0 },
                    Play::Wave => side * (std::f32::consts::TAU * b.hz * step as f32 * dt).sin(),
                };
                *action = middle + half * share;
            }
        }
        Ok(())
    }
}

/// Seed of what is random in behaviours and of the worlds they play in.
pub(crate) const AUDIT_SEED: u64 = 20_261_125;
