//! The live worlds themselves, one step at a time, without a thread or a clock.

use crate::live::driver::{Actor, Driver};
use crate::live::frame::{ContactShown, Frame, Names};
use crate::live::touch::Touch;
use pavlov_common::plain;
use pavlov_env::{BLOCK_WORLDS, Env, EnvError, EnvOptions, Profile, StepOut, Task};
use pavlov_reward::Reward;
use std::sync::Arc;

/// Contacts are shown for this many worlds at most; they are computed one world at a time.
const CONTACT_WORLDS: usize = 16;

/// Why worlds cannot run.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The environment refuses.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The policy is of another task.
    #[error(
        "the policy maps {found_obs} numbers to {found_act} actions, but task {task} needs {wanted_obs} to {wanted_act}"
    )]
    Policy {
        /// The task that runs.
        task: String,
        /// Of the policy.
        found_obs: usize,
        /// Of the policy.
        found_act: usize,
        /// Of the task.
        wanted_obs: usize,
        /// Of the task.
        wanted_act: usize,
    },
}

/// How the worlds are made.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOptions {
    /// Number of worlds.
    pub worlds: usize,
    /// Seed.
    pub seed: u64,
    /// Solver profile.
    pub profile: Profile,
    /// Noise, pushes and randomisation as the task says.
    pub disturb: bool,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { worlds: 16, seed: 0, profile: Profile::Accurate, disturb: true }
    }
}

/// Worlds of a task with the reward that is being edited.
#[derive(Debug)]
pub struct LiveWorlds {
    env: Env,
    options: LiveOptions,
    actor: Actor,
    names: Arc<Names>,
    version: u64,
    serial: u64,
    obs: Vec<f32>,
    actions: Vec<f32>,
    reward: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
    last_obs: Vec<f32>,
    touch: Touch,
    /// Are contacts wanted, and of which world besides the first ones?
    pub contacts: bool,
    /// The world that is selected.
    pub selected: Option<usize>,
    trouble: Option<String>,
}

impl LiveWorlds {
    /// Worlds at the beginning of their first episodes.
    ///
    /// # Errors
    /// When the environment cannot be made.
    pub fn new(task: &Arc<Task>, reward: &Arc<Reward>, version: u64, options: &LiveOptions) -> Result<Self, LiveError> {
        let env_options = EnvOptions {
            worlds: options.worlds,
            seed: options.seed,
            profile: options.profile,
            disturb: options.disturb,
            ..EnvOptions::default()
        };
        let env = Env::new(task.clone(), reward.clone(), &env_options)?;
        let n = options.worlds;
        let mut worlds = Self {
            actor: Actor::new(task, n),
            names: names(reward),
            version,
            serial: 0,
            obs: vec![0.0; n * task.obs_dim()],
            last_obs: vec![0.0; n * task.obs_dim()],
            actions: vec![0.0; n * task.act_dim()],
            reward: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            touch: Touch::new(task, options.profile)?,
            contacts: false,
            selected: None,
            trouble: None,
            options: options.clone(),
            env,
        };
        worlds.reset();
        Ok(worlds)
    }

    /// The task.
    pub fn task(&self) -> &Arc<Task> {
        self.env.task()
    }

    /// How they were made.
    pub fn options(&self) -> &LiveOptions {
        &self.options
    }

    /// Who acts.
    pub fn driver(&self) -> &Driver {
        &self.actor.driver
    }

    /// New episodes everywhere.
    pub fn reset(&mut self) {
        let dim = self.env.obs_dim();
        for (block, obs) in self.env.blocks.iter_mut().zip(self.obs.chunks_mut(BLOCK_WORLDS * dim)) {
            block.reset(obs);
        }
        self.terminated.fill(false);
        self.truncated.fill(false);
        self.reward.fill(0.0);
    }

    /// Who acts from now on.
    ///
    /// # Errors
    /// When a policy is of another task.
    pub fn set_driver(&mut self, driver: Driver) -> Result<(), LiveError> {
        if let Driver::Policy(p) = &driver {
            let task = self.env.task();
            let found = (p.obs_dim(), p.act_dim());
            let wanted = (task.policy_obs_dim(), task.act_dim());
            if found != wanted {
                return Err(LiveError::Policy {
                    task: task.name.clone(),
                    found_obs: found.0,
                    found_act: found.1,
                    wanted_obs: wanted.0,
                    wanted_act: wanted.1,
                });
            }
        }
        self.actor.driver = driver;
        Ok(())
    }

    /// Another reward from the next step on; the robots go on where they are.
    ///
    /// # Errors
    /// When a source of it cannot be made; then the worlds have to be made anew.
    pub fn set_reward(&mut self, reward: &Arc<Reward>, version: u64) -> Result<(), LiveError> {
        for block in &mut self.env.blocks {
            block.set_reward(reward)?;
        }
        self.names = names(reward);
        self.version = version;
        self.trouble = None;
        Ok(())
    }

    /// Sets other parameters of the same reward from the next step on.
    pub fn set_values(&mut self, values: &[f32], version: u64) {
        for block in &mut self.env.blocks {
            block.set_reward_values(values);
        }
        self.version = version;
    }

    /// A force on a body of a world, N, at its centre of mass, until another or none is given.
    ///
    /// # Errors
    /// When there is no such body or world.
    pub fn set_force(&mut self, world: usize, body: usize, force: Option<[f32; 3]>) -> Result<(), LiveError> {
        let wrench = force.map(|f| [f[0], f[1], f[2], 0.0, 0.0, 0.0]);
        let block = world / BLOCK_WORLDS;
        let last = self.env.blocks.len() - 1;
        Ok(self.env.blocks[block.min(last)].set_force(world - block.min(last) * BLOCK_WORLDS, body, wrench)?)
    }

    /// One control step of every world.
    ///
    /// # Errors
    /// When the policy fails.
    pub fn step(&mut self) -> Result<Frame, LiveError> {
        let (dim, nu) = (self.env.obs_dim(), self.env.act_dim());
        let mut first = 0;
        for block in &mut self.env.blocks {
            let n = block.num_worlds();
            let (rows, acts, worlds) = (first * dim..(first + n) * dim, first * nu..(first + n) * nu, first..first + n);
            let acted = self.actor.act(&self.obs[rows.clone()], first, self.serial, &mut self.actions[acts.clone()]);
            if let Err(error) = acted {
                self.trouble = Some(error.to_string());
                self.actions[acts.clone()].fill(0.0);
            }
            block.step(
                &self.actions[acts],
                StepOut {
                    obs: &mut self.obs[rows.clone()],
                    reward: &mut self.reward[worlds.clone()],
                    terminated: &mut self.terminated[worlds.clone()],
                    truncated: &mut self.truncated[worlds],
                    final_obs: &mut self.last_obs[rows],
                },
            );
            if let Some(error) = block.script_error() {
                self.trouble = Some(error.to_string());
            } else if let Some(bad) = block.bad_value() {
                let (term, world, step, value) = (&bad.term, bad.world, bad.step, bad.value);
                self.trouble = Some(format!("term `{term}` was {value} in world {world}, step {step}: counted as 0"));
            }
            block.clear_log();
            block.clear_stats();
            first += n;
        }
        self.serial += 1;
        Ok(self.frame())
    }

    /// What the worlds look like now.
    pub fn frame(&mut self) -> Frame {
        let task = self.env.task().clone();
        let (nq, nv, nodes) = (task.model().nq(), task.model().nv(), self.names.nodes.len());
        let n = self.options.worlds;
        let mut f = Frame {
            serial: self.serial,
            time: self.serial as f64 * task.control_dt(),
            reward_version: self.version,
            names: self.names.clone(),
            worlds: n,
            qpos: vec![0.0; n * nq],
            qvel: vec![0.0; n * nv],
            nodes: Vec::with_capacity(n * nodes),
            total: self.reward.clone(),
            fitness: Vec::with_capacity(n),
            success: Vec::with_capacity(n),
            ended: self.terminated.iter().zip(&self.truncated).map(|(a, b)| a | b).collect(),
            episode_step: Vec::with_capacity(n),
            command: Vec::new(),
            contacts: Vec::new(),
            trouble: self.trouble.clone(),
        };
        let mut world = 0;
        for block in &self.env.blocks {
            for w in 0..block.num_worlds() {
                let (q, v) = (world * nq..(world + 1) * nq, world * nv..(world + 1) * nv);
                block.world_state(w, &mut f.qpos[q], &mut f.qvel[v]);
                // Before the first step there is no reward of a step.
                f.nodes.extend((0..nodes).map(|k| if self.serial > 0 { block.reward_node(k, w) } else { 0.0 }));
                f.fitness.push(if self.serial > 0 { block.step_fitness(w) } else { 0.0 });
                f.success.push(self.serial > 0 && block.step_success(w));
                f.episode_step.push(block.episode_step(w));
                f.command.extend(block.command(w));
                world += 1;
            }
        }
        if self.contacts {
            f.contacts = self.touching(&f);
        }
        f
    }

    /// Contacts of the first worlds and of the selected one.
    fn touching(&mut self, f: &Frame) -> Vec<ContactShown> {
        let (nq, nv) = (self.env.task().model().nq(), self.env.task().model().nv());
        let shown = f.worlds.min(CONTACT_WORLDS);
        let mut out = Vec::new();
        for world in (0..shown).chain(self.selected.filter(|&w| w >= shown && w < f.worlds)) {
            let block = &self.env.blocks[world / BLOCK_WORLDS];
            let ctrl = block.ctrl(world % BLOCK_WORLDS);
            let (q, v) = (&f.qpos[world * nq..(world + 1) * nq], &f.qvel[world * nv..(world + 1) * nv]);
            self.touch.contacts(world, q, v, ctrl, &mut out);
        }
        out
    }
}

/// Names of a reward's nodes. What enters the total comes first in a reward without a graph; in one with a graph the
/// script's terms do.
fn names(reward: &Reward) -> Arc<Names> {
    Arc::new(Names { nodes: reward.node_names().iter().map(|n| plain(n)).collect(), terms: reward.term_names().len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::Assets;
    use pavlov_reward::Manifest;

    fn reward(task: &Task, text: &str) -> Arc<Reward> {
        Arc::new(Reward::from_text("t", "t.rhai", text, Manifest::default(), task.scene()).unwrap())
    }

    fn worlds(text: &str, n: usize) -> LiveWorlds {
        let task = Arc::new(Task::load(&Assets::find(None), "ant_run").unwrap());
        let options = LiveOptions { worlds: n, disturb: false, ..LiveOptions::default() };
        LiveWorlds::new(&task, &reward(&task, text), 1, &options).unwrap()
    }

    #[test]
    fn a_new_reward_scores_the_next_step_and_the_robots_stay_where_they_are() {
        let mut live = worlds("fn reward(s) { #{ a: 1.0, b: s.time } }", 70);
        live.set_driver(Driver::Random).unwrap();
        for _ in 0..20 {
            live.step().unwrap();
        }
        let before = live.step().unwrap();
        assert_eq!(before.names.nodes, ["a", "b", "total"]);
        assert!((before.total[69] - before.node(69, 1) - 1.0).abs() < 1e-6);
        let task = live.task().clone();
        live.set_reward(&reward(&task, "fn reward(s) { #{ c: 3.0 } }"), 2).unwrap();
        let mut other = worlds("fn reward(s) { #{ a: 1.0, b: s.time } }", 70);
        other.set_driver(Driver::Random).unwrap();
        for _ in 0..21 {
            other.step().unwrap();
        }
        let (after, same) = (live.step().unwrap(), other.step().unwrap());
        assert_eq!((after.reward_version, after.names.nodes.len(), after.total[3]), (2, 2, 3.0));
        assert_eq!(after.qpos, same.qpos, "the reward moved the robots");
    }

    #[test]
    fn a_bad_term_is_named() {
        let mut live = worlds("fn reward(s) { #{ good: 1.0, odd: 1.0 / (s.time - s.time) } }", 3);
        let frame = live.step().unwrap();
        assert!(frame.trouble.as_deref().is_some_and(|t| t.contains("term `odd`")), "{:?}", frame.trouble);
    }

    #[test]
    fn a_standing_ant_is_carried_by_its_contacts() {
        let mut live = worlds("fn reward(s) { #{ a: 1.0 } }", 2);
        live.contacts = true;
        let mut frame = live.step().unwrap();
        for _ in 0..100 {
            frame = live.step().unwrap();
        }
        let carried: f32 = frame.contacts.iter().filter(|c| c.world == 1).map(|c| c.force[2].abs()).sum();
        let weight: f64 = live.task().model().bodies.iter().map(|b| b.mass).sum::<f64>() * 9.81;
        assert!((f64::from(carried) - weight).abs() < 0.1 * weight, "{carried} N carry {weight} N");
    }

    #[test]
    fn a_policy_of_another_task_is_refused_with_both_sizes() {
        let assets = Assets::find(None);
        let hopper = Task::load(&assets, "hopper_hop").unwrap();
        let set = pavlov_search::AuditSet::load(&assets, &hopper).unwrap();
        let policy = set.good_policy().unwrap().clone();
        let error = worlds("fn reward(s) { 0.0 }", 1).set_driver(Driver::Policy(Box::new(policy))).unwrap_err();
        assert!(error.to_string().contains("ant_run needs"), "{error}");
    }
}
