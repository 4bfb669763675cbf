//! Tasks and the vectorised environment: observations, commands, randomisation, reset, accounting.
//!
//! ```text
//! Assets::find ─> assets.task(name) ─> Task::load (TOML + robot + rhai, checked) ─┐
//!                          Reward (pavlov-reward, checked against task.scene()) ──┴─> Env::new ─> Vec<EnvBlock>
//! ```
//! A block is 64 worlds that step together on one thread: action mapping, physics, sensing, reward, termination, observation,
//! automatic reset. Worlds are independent, and every random number is a function of (seed, world, episode, step), so results
//! do not depend on threads or on how many worlds there are besides.

mod assets;
mod error;
mod parse;
pub mod rng;
pub mod schema;
mod spec;
mod stats;

pub use assets::{Assets, RewardEntry, TaskEntry};
pub use error::{EnvError, nearest};
pub use spec::{BLOCK_WORLDS, EnvOptions, ObsTerm, Profile, StepOut};
pub use stats::{BadValue, Episode, EpisodeLog, StepStats};

/// Planned shape of the rest (being filled in):
///
/// ```text
/// impl Task {
///     pub fn load(assets: &Assets, name_or_path: &str) -> Result<Task, EnvError>;
///     pub name: String; pub about: String; pub path: PathBuf;           // of the TOML
///     pub file: schema::TaskFile;  pub learner: toml::Table;            // [learner], raw (empty when absent)
///     pub inputs: Vec<PathBuf>                                          // TOML, rhai, robot: hash these into config.toml
///     pub fn model(&self) -> &Arc<Model>;  pub fn scene(&self) -> &Arc<pavlov_script::Scene>;
///     pub fn obs_terms(&self) -> &[ObsTerm]; pub fn obs_dim / policy_obs_dim / act_dim(&self) -> usize;
///     pub fn action_names(&self) -> Vec<String>; pub fn action_range(&self) -> (Vec<f32>, Vec<f32>);
///     pub fn control_dt(&self) -> f64; pub fn episode_steps(&self) -> usize; pub fn default_reward(&self) -> &str;
///     pub fn metric_names(&self) -> &[String];
/// }
/// Env::new(task: Arc<Task>, reward: Arc<pavlov_reward::Reward>, options: &EnvOptions) -> Result<Env, EnvError>
/// impl Env { pub blocks: Vec<EnvBlock>; num_worlds, obs_dim, policy_obs_dim, act_dim, term_names, warnings }
/// impl EnvBlock (Send) {
///     fn num_worlds(&self) -> usize;
///     fn reset(&mut self, obs: &mut [f32]);
///     fn step(&mut self, actions: &[f32], out: StepOut<'_>);
///     fn log(&self) -> &EpisodeLog; fn clear_log(&mut self); fn stats(&self) -> &StepStats; fn clear_stats(&mut self);
///     fn bad_value(&self) -> Option<&BadValue>;
///     fn save(&self) -> Vec<u8>;  fn restore(&mut self, bytes: &[u8]) -> Result<(), EnvError>;   // exact, includes open episodes
///     fn world_state(&self, world: usize, qpos: &mut [f32], qvel: &mut [f32]);                   // for clips
///     fn set_reward(&mut self, reward: Arc<Reward>)                                              // hot reload
/// }
/// Observation rows are [policy columns | critic-only columns]: the policy sees the first policy_obs_dim columns.
/// bench(&BenchOptions) -> Result<BenchResult, EnvError>
/// ```
pub mod plan {}
