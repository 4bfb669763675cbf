//! The source `baseline`: what a fixed policy gets at the same time, from the same reset (PIT). Its column is minus
//! that, so that the reward sums to the gap between the two.
//!
//! Every random number of an environment is a function of seed, world and episode; so a second block of worlds with the
//! same numbers meets the same resets, commands, noise and pushes. It is stepped beside the first one with the actions
//! of the baseline's deterministic policy, and rewarded by the same reward without this source. Where the baseline's
//! episode is over it gets nothing more. Where the learner's episode is ended by the task while the baseline goes on,
//! what the baseline would still get (its mean a step so far, for the steps to the time limit) is subtracted at once:
//! otherwise ending early would be a way out of the comparison. It costs the physics of the second block.
//!
//! A run keeps a copy of the other run's configuration, inputs and best checkpoint among its own inputs, so that it
//! goes on when the other one is gone.

use crate::checkpoint::{Which, find};
use crate::config::RunConfig;
use crate::evaluate::fits;
use crate::folder::RunFolder;
use pavlov_env::{BackendKind, Env, EnvBlock, EnvOptions, Profile, StepOut, Task};
use pavlov_learn::Policy;
use pavlov_reward::{HostKind, RewardSource, SourceSetup, SourceStep, register_source};
use std::sync::Arc;

/// Registers the sources of this crate: `baseline`. A program calls it once, before it loads rewards.
pub fn register_sources() {
    register_source("baseline", |setup| Ok(Box::new(Baseline::new(setup)?)));
}

/// The second block and what it got so far.
#[derive(Debug)]
struct Baseline {
    block: EnvBlock,
    task: Arc<Task>,
    policy: Policy,
    obs: Vec<f32>,
    actions: Vec<f32>,
    reward: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
    final_obs: Vec<f32>,
    /// Is the baseline's episode over?
    over: Vec<bool>,
    /// What it got in this episode, and in how many steps.
    sum: Vec<f64>,
    steps: Vec<u32>,
    episode_steps: usize,
    /// Worlds were put to new states since the observations were written.
    stale: bool,
}

impl Baseline {
    fn new(setup: &SourceSetup<'_>) -> Result<Self, String> {
        let run = setup.options.get("run").and_then(|r| r.as_str()).unwrap_or_default();
        let wrong = |e: &dyn std::fmt::Display| format!("run `{run}`: {e}");
        let folder = RunFolder::open(&setup.reward.file(run).map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
        let config = RunConfig::read(&folder.config()).map_err(|e| wrong(&e))?;
        let (task, _) = crate::inputs::load(&folder, &config).map_err(|e| wrong(&e))?;
        let here = pavlov_script::Scene { lib: task.scene().lib.clone(), ..(**setup.scene).clone() };
        if **task.scene() != here || task.episode_steps() != setup.episode_steps {
            return Err(wrong(&format!(
                "it is of task `{}`, which is another one than this reward is used in",
                config.task
            )));
        }
        let (loaded, _) = find(&folder, Which::Best).map_err(|e| wrong(&e))?;
        let policy = loaded.ppo.policy();
        fits(&task, &policy).map_err(|e| wrong(&e))?;
        let reward = setup.reward.without_sources("baseline").map_err(|e| e.to_string())?;
        let moving = |k: &HostKind| !matches!(k, HostKind::Discount);
        if reward.graph().is_some_and(|g| g.host.iter().any(|h| moving(&h.kind))) {
            let hint =
                "use fixed numbers in place of `normalize`, `quantile`, multipliers and a nominal member that is found";
            return Err(format!("a baseline cannot be had for a reward that changes between updates: {hint}"));
        }
        let profile: Profile = setup.profile.parse()?;
        let options = EnvOptions {
            worlds: setup.worlds,
            seed: setup.seed,
            profile,
            stagger: false,
            disturb: setup.disturb,
            backend: BackendKind::Batch,
            siblings: setup.siblings,
        };
        let task = Arc::new(task);
        let block = Env::block(&task, &Arc::new(reward), &options, setup.first_world).map_err(|e| e.to_string())?;
        let (n, row, act) = (setup.worlds, task.obs_dim(), task.act_dim());
        let mut baseline = Self {
            obs: vec![0.0; n * row],
            actions: vec![0.0; n * act],
            reward: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            final_obs: vec![0.0; n * row],
            over: vec![false; n],
            sum: vec![0.0; n],
            steps: vec![0; n],
            episode_steps: setup.episode_steps,
            stale: true,
            block,
            task,
            policy,
        };
        baseline.block.reset(&mut baseline.obs);
        Ok(baseline)
    }
}

impl RewardSource for Baseline {
    fn reset(&mut self, world: usize, episode: u32) {
        self.block.start_episode(world, episode);
        (self.over[world], self.sum[world], self.steps[world]) = (false, 0.0, 0);
        self.stale = true;
    }

    fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
        if std::mem::take(&mut self.stale) {
            self.block.observe(&mut self.obs);
        }
        self.policy.act(&self.obs, self.task.obs_dim(), &mut self.actions).map_err(|e| e.to_string())?;
        let Self { block, obs, actions, reward, terminated, truncated, final_obs, .. } = self;
        block.step(actions, StepOut { obs, reward, terminated, truncated, final_obs });
        if let Some(e) = self.block.script_error() {
            return Err(e.to_string());
        }
        for (world, out) in out.iter_mut().enumerate() {
            let mut got = 0.0;
            if !self.over[world] {
                got = f64::from(self.reward[world]);
                if let Some(late) = self.block.late().filter(|_| self.steps[world] > 0) {
                    got += f64::from(late[world]);
                }
                self.sum[world] += got;
                self.steps[world] += 1;
                self.over[world] = self.terminated[world] || self.truncated[world];
            }
            if step.terminated[world] && !self.over[world] {
                let left = self.episode_steps.saturating_sub(step.step[world] as usize);
                got += self.sum[world] / f64::from(self.steps[world].max(1)) * left as f64;
            }
            *out = -got as f32;
        }
        self.block.clear_log();
        Ok(())
    }

    fn save(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for world in 0..self.over.len() {
            bytes.push(u8::from(self.over[world]));
            bytes.extend_from_slice(&self.sum[world].to_le_bytes());
            bytes.extend_from_slice(&self.steps[world].to_le_bytes());
        }
        bytes.extend_from_slice(&self.block.save());
        bytes
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        const SIZE: usize = 1 + 8 + 4;
        let (worlds, block) =
            bytes.split_at_checked(SIZE * self.over.len()).ok_or_else(|| "the data end".to_string())?;
        for (world, part) in worlds.chunks_exact(SIZE).enumerate() {
            self.over[world] = part[0] != 0;
            self.sum[world] = f64::from_le_bytes(part[1..9].try_into().map_err(|_| "the data end".to_string())?);
            self.steps[world] = u32::from_le_bytes(part[9..].try_into().map_err(|_| "the data end".to_string())?);
        }
        self.stale = true;
        self.block.restore(block).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::evaluate::{EvalOptions, evaluate};
    use crate::testing;
    use crate::train::{Trainer, thread_pool};
    use std::sync::atomic::AtomicBool;

    const LEARNER: &str = "worlds = 20\nhorizon = 32\ntotal_steps = 6400\neval_episodes = 4\ncheckpoint_every = 4\n\
        learning_rate = 3e-3\n";

    #[test]
    fn the_baseline_against_itself_is_zero_in_every_step_and_a_run_against_it_resumes() {
        register_sources();
        let (dir, assets) = testing::assets(LEARNER);
        let out = |name: &str| dir.path().join(name);
        let asked = Overrides { threads: Some(2), ..Overrides::default() };
        let make = |reward: Option<&str>, name: &str| {
            Trainer::create(&assets, "cartpole_balance", reward, &asked, dir.path(), Some(&out(name))).unwrap()
        };
        let mut first = make(None, "first");
        let stop = first.run(&AtomicBool::new(false), |_, _| {}).unwrap();
        first.finish(stop).unwrap();

        let folder = dir.path().join("rewards/cartpole_balance/gap");
        std::fs::create_dir_all(&folder).unwrap();
        let copy = |file: &str| {
            std::fs::copy(dir.path().join("rewards/cartpole_balance/default").join(file), folder.join(file)).unwrap()
        };
        copy("reward.rhai");
        copy("reward.toml");
        let toml = std::fs::read_to_string(folder.join("reward.toml")).unwrap();
        let source = format!("\n[sources.gap]\nkind = \"baseline\"\nrun = {:?}\n", out("first").display().to_string());
        std::fs::write(folder.join("reward.toml"), format!("{toml}{source}")).unwrap();

        let task = Arc::new(Task::load(&assets, "cartpole_balance").unwrap());
        let reward = Arc::new(crate::load_reward(&assets, &task, Some("gap")).unwrap());
        let policy = find(&RunFolder::open(&out("first")).unwrap(), Which::Best).unwrap().0.ppo.policy();
        let options = EvalOptions { episodes: 70, seed: 3, profile: Profile::Accurate, backend: BackendKind::Batch };
        let same = evaluate(&task, &reward, &policy, options, &thread_pool(2).unwrap()).unwrap();
        let worst = same.list.iter().map(|e| e.episode_return.abs()).fold(0.0, f64::max);
        assert!(worst < 1e-3 && same.terms.get("upright").unwrap().abs() > 1.0, "{worst} {same:?}");

        // A learner from scratch is behind it; and a run against a baseline resumes to the same bits.
        let trained = |mut run: Trainer| {
            while run.limit().is_none() {
                run.update().unwrap();
            }
            run.checkpoint(true, true).unwrap();
            (run.state().clone(), std::fs::read(run.folder().terms()).unwrap())
        };
        let mut cut = make(Some("gap"), "cut");
        (0..3).for_each(|_| drop(cut.update().unwrap()));
        drop(cut);
        // The run has what it needs of the other one.
        let whole = trained(make(Some("gap"), "whole"));
        std::fs::remove_dir_all(out("first")).unwrap();
        let resumed = Trainer::resume(&out("cut"), &crate::ResumeOptions::default()).unwrap();
        let (a, b) = (whole, trained(resumed));
        assert!(a.1 == b.1 && a.0.update == 10);
        let first: crate::TermsLine = serde_json::from_slice(a.1.split(|b| *b == b'\n').next().unwrap()).unwrap();
        assert!(first.nodes.get("total").unwrap().mean < 0.0, "{first:?}");
    }
}
