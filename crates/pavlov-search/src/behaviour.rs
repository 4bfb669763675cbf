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

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::Assets;

    fn behaviour(text: &str) -> Behaviour {
        toml::from_str(&format!("name = \"b\"\n{text}")).unwrap()
    }

    /// Actions of one world in a step of an Ant that is made to behave so.
    fn acts(text: &str, first: usize, step: usize) -> Vec<f32> {
        let task = Task::load(&Assets::find(None), "ant_run").unwrap();
        let ready = Ready { behaviour: behaviour(text), policy: None };
        let mut player = AuditPlayer::new(&task, vec![&ready], first, &[]);
        let mut actions = vec![9.0; task.act_dim()];
        player.act(&vec![0.0; task.obs_dim()], step, &mut actions).unwrap();
        actions
    }

    #[test]
    fn actions_are_shares_of_their_range() {
        let task = Task::load(&Assets::find(None), "ant_run").unwrap();
        let (low, high) = task.action_range();
        let at = |share: f32| -> Vec<f32> {
            low.iter().zip(&high).map(|(l, h)| 0.5 * (l + h) + 0.5 * (h - l) * share).collect()
        };
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6) && a.len() == b.len();
        assert!(close(&acts("play = \"hold\"\nvalue = 0.5", 0, 3), &at(0.5)));
        assert_eq!(acts("play = \"hold\"", 0, 3), vec![0.0; low.len()]);
        assert!(close(&acts("play = \"shake\"", 0, 2), &at(1.0)) && close(&acts("play = \"shake\"", 0, 3), &at(-1.0)));
        let split = acts("play = \"hold\"\nvalue = 0.5\nsplit = true", 0, 3);
        let sides: Vec<f32> = (0..split.len()).map(|i| if i % 2 == 0 { at(0.5)[i] } else { at(-0.5)[i] }).collect();
        assert!(close(&split, &sides), "{split:?}");
        // A quarter of a wave of 2.5 Hz is a tenth of a second.
        let quarter = (0.1 / task.control_dt()).round() as usize;
        assert!((quarter as f64 * task.control_dt() - 0.1).abs() < 1e-9, "the Ant's step divides a tenth of a second");
        assert!(close(&acts("play = \"wave\"\nhz = 2.5", 0, quarter), &at(1.0)));
        assert!(close(&acts("play = \"wave\"\nhz = 2.5", 0, 3 * quarter), &at(-1.0)));
    }

    #[test]
    fn what_is_random_goes_by_world_and_step_and_fills_the_range() {
        let random = "play = \"random\"";
        assert_eq!(acts(random, 3, 5), acts(random, 3, 5));
        assert!(acts(random, 3, 5) != acts(random, 4, 5) && acts(random, 3, 5) != acts(random, 3, 6));
        let all: Vec<f32> = (0..300).flat_map(|step| acts(random, 0, step)).collect();
        let largest = all.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.98 && largest <= 1.0 && all.iter().any(|x| *x < -0.9), "{largest}");
    }

    #[test]
    fn a_policy_is_scaled_made_noisy_and_ended() {
        let task = Task::load(&Assets::find(None), "ant_run").unwrap();
        let steps = task.episode_steps();
        // Without a policy its mean is 0: what is left is the noise, of 1.7 times its share of half the range at most.
        let noisy: Vec<f32> = (0..200).flat_map(|step| acts("play = \"policy\"\nnoise = 0.1", 0, step)).collect();
        let largest = noisy.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.16 && largest <= 0.17 + 1e-6, "{largest}");
        let ended = "play = \"policy\"\nnoise = 0.1\nuntil = 0.5";
        assert!(acts(ended, 0, steps / 2 - 1).iter().any(|x| *x != 0.0));
        assert_eq!(acts(ended, 0, steps / 2), vec![0.0; task.act_dim()]);
    }

    #[test]
    fn impossible_numbers_are_named() {
        for (text, wrong) in [
            ("play = \"hold\"\nvalue = nan", "finite numbers"),
            ("play = \"policy\"\nnoise = -0.1", "noise of 0 or more"),
            ("play = \"policy\"\nuntil = 1.5", "until from 0 to 1"),
            ("play = \"wave\"", "hz is 0"),
            ("play = \"wave\"\nhz = 1001.0", "hz is 1001"),
            ("play = \"hold\"\nfile = \"x\"", "`file` is for"),
        ] {
            let problem = behaviour(text).problem().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(problem.contains(wrong) && problem.contains("`b`"), "{problem}");
        }
        for good in ["play = \"wave\"\nhz = 1000.0", "play = \"policy\"\nfile = \"x\"\nuntil = 0.0", "play = \"hold\""]
        {
            assert_eq!(behaviour(good).problem(), None);
        }
        assert!(Behaviour { name: String::new(), ..behaviour("play = \"hold\"") }.problem().is_some());
    }
}
