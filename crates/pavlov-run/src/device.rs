//! What computes: the processor, or a GPU with all worlds and the nets on it; and the worlds of a learner on either.
//!
//! On the GPU rollouts run whole; training, evaluation and calibration stay on the processor.

use crate::adapter::Block;
use crate::config::RunConfig;
use crate::error::RunError;
use crate::evaluate::script_failure;
use pavlov_env::gpu::{GpuEnv, GpuRollout};
use pavlov_env::{BadValue, EnvError, EnvOptions, EpisodeLog, StepStats, Task};
use pavlov_learn::{DeviceEnv, DeviceNets, DeviceRollout, LearnError, Ppo, UpdateStats};
use pavlov_physics::gpu::{Gpu, GpuError, Timing};
use pavlov_reward::Reward;
use rayon::ThreadPool;
use std::sync::Arc;

/// What computes rollouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// All cores of the processor.
    #[default]
    Cpu,
    /// The adapter of this number in `pavlov devices`.
    Gpu(usize),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(index) => write!(f, "gpu:{index}"),
        }
    }
}

impl std::str::FromStr for Device {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no device `{text}`: expected cpu, gpu or gpu:INDEX (see `pavlov devices`)");
        match text.strip_prefix("gpu") {
            _ if text == "cpu" => Ok(Self::Cpu),
            Some("") => Ok(Self::Gpu(0)),
            Some(rest) => {
                let digits = rest.strip_prefix(':').filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
                digits.and_then(|d| d.parse().ok()).map(Self::Gpu).ok_or_else(wrong)
            }
            None => Err(wrong()),
        }
    }
}

impl Device {
    /// The device to use where this one is asked for: the processor, with a warning, where there is no adapter at all.
    pub fn or_cpu(self) -> (Self, Option<String>) {
        match self {
            Self::Gpu(_) if pavlov_physics::gpu::adapters().is_empty() => {
                let warning = format!("{}; going on with the processor", GpuError::NoAdapter);
                (Self::Cpu, Some(warning))
            }
            device => (device, None),
        }
    }
}

/// The worlds of a learner, wherever they are.
#[derive(Debug)]
pub(crate) enum Worlds {
    /// On the processor.
    Blocks(Vec<Block>),
    /// On a GPU.
    Device(Box<DeviceWorlds>),
}

/// The states of worlds, as in a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SavedWorlds {
    /// Of each block.
    Blocks(Vec<Vec<u8>>),
    /// Of a GPU, little-endian f32.
    Device(Vec<u8>),
}

/// All worlds and the nets on a GPU.
#[derive(Debug)]
pub(crate) struct DeviceWorlds {
    pub env: OnDevice,
    pub nets: DeviceNets,
}

/// The environment on the GPU as the learner wants it.
#[derive(Debug)]
pub(crate) struct OnDevice(pub GpuEnv);

/// How runs make their environments.
pub(crate) fn env_options(config: &RunConfig) -> Result<EnvOptions, RunError> {
    Ok(EnvOptions {
        worlds: config.learner.worlds,
        seed: config.seed,
        profile: config.profile()?,
        backend: config.backend()?,
        // Cloning compares whole episodes that begin alike.
        stagger: config.learner.elite_of == 0,
        siblings: config.learner.elite_of.max(1),
        disturb: true,
    })
}

/// The blocks of a run on the processor.
pub(crate) fn make_blocks(config: &RunConfig, task: &Arc<Task>, reward: &Arc<Reward>) -> Result<Vec<Block>, RunError> {
    Ok(Block::all(pavlov_env::Env::new(task.clone(), reward.clone(), &env_options(config)?)?))
}

impl Worlds {
    /// The worlds of a run, on the device it names.
    pub fn new(config: &RunConfig, task: &Arc<Task>, reward: &Arc<Reward>, ppo: &Ppo) -> Result<Self, RunError> {
        match config.device()? {
            Device::Cpu => Ok(Self::Blocks(make_blocks(config, task, reward)?)),
            Device::Gpu(index) => Ok(Self::Device(Box::new(DeviceWorlds::new(index, config, task, reward, ppo)?))),
        }
    }

    /// A rollout and the training on it.
    pub fn update(&mut self, ppo: &mut Ppo, pool: &ThreadPool) -> Result<UpdateStats, LearnError> {
        match self {
            Self::Blocks(blocks) => ppo.update(blocks, pool),
            Self::Device(d) => ppo.update_on_device(&mut d.env, &mut d.nets, pool),
        }
    }

    /// Puts the present numbers of the reward in.
    pub fn set_reward_values(&mut self, values: &[f32]) {
        match self {
            Self::Blocks(blocks) => blocks.iter_mut().for_each(|b| b.inner_mut().set_reward_values(values)),
            Self::Device(d) => d.env.0.set_reward_values(values),
        }
    }

    /// The error of a script that failed while running; on the GPU none can.
    pub fn script_failure(&self) -> Result<(), RunError> {
        match self {
            Self::Blocks(blocks) => blocks.iter().try_for_each(|b| script_failure(b.inner())),
            Self::Device(_) => Ok(()),
        }
    }

    /// Adds episodes and sums since the last [`Worlds::clear`].
    pub fn gather(&self, log: &mut EpisodeLog, sums: &mut StepStats) {
        match self {
            Self::Blocks(blocks) => {
                for block in blocks {
                    log.extend(block.inner().log());
                    sums.add(block.inner().stats());
                }
            }
            Self::Device(d) => {
                log.extend(&d.env.0.ledger.log);
                sums.add(&d.env.0.ledger.stats);
            }
        }
    }

    /// The first reward term that was not finite.
    pub fn bad_value(&self) -> Option<&BadValue> {
        match self {
            Self::Blocks(blocks) => blocks.iter().find_map(|b| b.inner().bad_value()),
            Self::Device(d) => d.env.0.ledger.bad.as_ref(),
        }
    }

    /// Numbers that the reward's sources tell of themselves.
    pub fn source_numbers(&self) -> Vec<(String, f64)> {
        match self {
            Self::Blocks(blocks) => blocks.first().map_or_else(Vec::new, |b| b.inner().source_numbers()),
            Self::Device(_) => Vec::new(),
        }
    }

    /// Forgets episodes and sums.
    pub fn clear(&mut self) {
        match self {
            Self::Blocks(blocks) => {
                for block in blocks {
                    block.inner_mut().clear_log();
                    block.inner_mut().clear_stats();
                }
            }
            Self::Device(d) => {
                d.env.0.ledger.log.clear();
                d.env.0.ledger.stats.clear();
            }
        }
    }

    /// The states of all worlds.
    pub fn save(&mut self) -> Result<SavedWorlds, RunError> {
        match self {
            Self::Blocks(blocks) => Ok(SavedWorlds::Blocks(blocks.iter_mut().map(|b| b.inner_mut().save()).collect())),
            Self::Device(d) => {
                let state = d.env.0.save().map_err(|e| failed(d.env.0.gpu(), e))?;
                Ok(SavedWorlds::Device(state.iter().flat_map(|x| x.to_le_bytes()).collect()))
            }
        }
    }

    /// Puts the worlds to saved states; false when those are of the other kind of device, and nothing was done.
    pub fn restore(&mut self, saved: &SavedWorlds) -> Result<bool, String> {
        match (self, saved) {
            (Self::Blocks(blocks), SavedWorlds::Blocks(saved)) => {
                if blocks.len() != saved.len() {
                    return Err(format!("{} blocks of worlds, expected {}", saved.len(), blocks.len()));
                }
                let mut pairs = blocks.iter_mut().zip(saved);
                pairs.try_for_each(|(b, bytes)| b.inner_mut().restore(bytes).map_err(|e| e.to_string()))?;
                Ok(true)
            }
            (Self::Device(d), SavedWorlds::Device(bytes)) => {
                let (words, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(format!("{} bytes of worlds are no whole number of f32", bytes.len()));
                }
                let state: Vec<f32> = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
                d.env.0.restore(&state).map_err(|e| e.to_string())?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl DeviceWorlds {
    /// Opens the adapter and makes the worlds of a run and its nets on it.
    pub fn new(
        index: usize,
        config: &RunConfig,
        task: &Arc<Task>,
        reward: &Arc<Reward>,
        ppo: &Ppo,
    ) -> Result<Self, RunError> {
        if reward.critics() > 1 {
            return Err(RunError::Usage(format!(
                "{}: `lagrangian` trains a critic for each of {} parts, which the GPU does not do: use `--device \
                 cpu`, or say `single_critic = true` in [combine]",
                reward.name(),
                reward.critics()
            )));
        }
        let gpu = Gpu::open(index)?;
        let env = GpuEnv::new(gpu, task.clone(), reward.clone(), &env_options(config)?, config.learner.horizon)?;
        let env = OnDevice(env);
        Ok(Self { nets: ppo.device_nets(&env)?, env })
    }
}

/// A lost device is told as that, whoever met it.
fn failed(gpu: &Gpu, e: EnvError) -> LearnError {
    gpu.check().map_or_else(LearnError::Gpu, |()| LearnError::Environment(e.to_string()))
}

impl DeviceEnv for OnDevice {
    fn gpu(&self) -> &Arc<Gpu> {
        self.0.gpu()
    }

    fn num_worlds(&self) -> usize {
        self.0.num_worlds()
    }

    fn obs_dim(&self) -> usize {
        self.0.task().policy_obs_dim()
    }

    fn critic_obs_dim(&self) -> usize {
        self.0.task().obs_dim() - self.0.task().policy_obs_dim()
    }

    fn act_dim(&self) -> usize {
        self.0.task().act_dim()
    }

    fn horizon(&self) -> usize {
        self.0.horizon()
    }

    fn observations(&self) -> &wgpu::Buffer {
        self.0.observations()
    }

    fn actions(&self) -> &wgpu::Buffer {
        self.0.actions()
    }

    fn reset(&mut self) -> Result<(), LearnError> {
        self.0.reset().map_err(|e| failed(self.0.gpu(), e))
    }

    fn encode_step(&self, encoder: &mut wgpu::CommandEncoder, t: usize, timing: Option<&mut Timing>) {
        self.0.encode_step(encoder, t, timing);
    }

    fn finish_rollout(
        &mut self,
        also: &[(&wgpu::Buffer, usize)],
    ) -> Result<(DeviceRollout, Vec<Vec<f32>>), LearnError> {
        let (rollout, rest) = self.0.finish_rollout(also).map_err(|e| failed(self.0.gpu(), e))?;
        let GpuRollout { obs, reward, ended, final_obs, slots } = rollout;
        Ok((DeviceRollout { obs, reward, ended, final_obs, slots }, rest))
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
