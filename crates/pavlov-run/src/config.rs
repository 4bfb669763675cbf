//! `config.toml`: everything a run was started with, resolved.
//!
//! Order of precedence, the last wins: defaults, the task's `[learner]` table, `--set key=value`, the command line's
//! own options.

use crate::device::Device;
use crate::error::RunError;
use crate::settings::{Layers, RunSettings};
use pavlov_env::{BackendKind, Profile, Task};
use pavlov_learn::PpoConfig;
use pavlov_reward::Reward;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the layout of `config.toml`.
const FORMAT: u32 = 1;

/// What the command line (or a program) asks for on top of the task. Nothing given means: as the task says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Seed of worlds, nets and actions.
    pub seed: Option<u64>,
    /// Worlds stepped at the same time.
    pub worlds: Option<usize>,
    /// Environment steps to train for.
    pub steps: Option<u64>,
    /// Minutes to train for. Given without `steps`, it takes the place of the task's number of steps.
    pub minutes: Option<f64>,
    /// Threads; all cores when omitted. Results do not depend on it.
    pub threads: Option<usize>,
    /// Solver profile.
    pub profile: Option<Profile>,
    /// What steps the worlds.
    pub backend: Option<BackendKind>,
    /// What computes rollouts.
    pub device: Option<Device>,
    /// Run whose policy finds the reward's quantiles, in place of random actions.
    pub calibrate: Option<PathBuf>,
    /// Run whose newest policy and critic this one begins with.
    pub from: Option<PathBuf>,
    /// `key=value` settings, in order.
    pub set: Vec<String>,
}

/// One file the run was made from, as copied into the run folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// `task`, `robot`, `script`, `reward`.
    pub role: String,
    /// Path within the run folder.
    pub path: String,
    /// SHA-256 of its contents, hexadecimal.
    pub sha256: String,
}

/// The machine a run was started on. Nothing in it changes results, except the last digits that another kind of
/// processor may give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Threads used.
    pub threads: usize,
    /// Cores there are.
    pub cores: usize,
    /// `linux`, `macos`, `windows`.
    pub os: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
}

/// The resolved configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of this layout.
    pub format: u32,
    /// Version of the program that started the run.
    pub version: String,
    /// Git revision of the folder the task is in, when it is in a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it was started, UTC.
    pub created: String,
    /// Task.
    pub task: String,
    /// Reward, as it was asked for.
    pub reward: String,
    /// Seed of worlds, nets and actions.
    pub seed: u64,
    /// Solver profile.
    pub profile: String,
    /// What steps the worlds: `batch` or `rapier`.
    #[serde(default = "batch")]
    pub backend: String,
    /// What computes rollouts: `cpu` or `gpu:INDEX`.
    #[serde(default = "cpu")]
    pub device: String,
    /// Training ends after this many environment steps; none when only time limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Training ends after this many minutes. Such a run does not give the same result again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
    /// Parameters of the reward.
    #[serde(default)]
    pub reward_params: BTreeMap<String, f64>,
    /// Run whose policy found `references`; none when it was random actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrate: Option<String>,
    /// Run whose policy and critic this one began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Reference values of the reward that were given as a quantile, as found before training.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, f64>,
    /// Settings of the run.
    pub run: RunSettings,
    /// Settings of the learner.
    pub learner: PpoConfig,
    /// Where it was started.
    pub machine: Machine,
    /// What it was made from.
    #[serde(default)]
    pub inputs: Vec<InputFile>,
}

impl RunConfig {
    /// Puts the layers together and sets the reward's parameters. `inputs` and `revision` are filled by the run folder.
    ///
    /// # Errors
    /// On unknown settings, values out of range, or an unknown parameter of the reward.
    pub fn resolve(task: &Task, reward: &mut Reward, asked: &Overrides) -> Result<Self, RunError> {
        let mut layers = Layers::new()?;
        layers.table(&task.learner, &task.path.display().to_string())?;
        for text in &asked.set {
            layers.argument(text)?;
        }
        if let Some(worlds) = asked.worlds {
            layers.set("worlds", toml::Value::Integer(i64::try_from(worlds).unwrap_or(i64::MAX)), "")?;
        }
        if let Some(steps) = asked.steps {
            layers.set("total_steps", toml::Value::Integer(i64::try_from(steps).unwrap_or(i64::MAX)), "")?;
        }
        if let Some(minutes) = asked.minutes
            && !(minutes.is_finite() && minutes > 0.0)
        {
            return Err(RunError::Usage(format!("{minutes} minutes: expected a number above 0")));
        }
        let seed = asked.seed.unwrap_or(0);
        if i64::try_from(seed).is_err() {
            return Err(RunError::Usage(format!("seed {seed}: expected at most {}", i64::MAX)));
        }
        let (backend, device) = (asked.backend.unwrap_or_default(), asked.device.unwrap_or_default());
        check_device(device, backend)?;
        let (learner, run) = layers.finish()?;
        for (name, value) in &layers.reward {
            reward.set_param(name, *value)?;
        }
        // A limit in minutes alone replaces the task's own number of steps, one that was asked for stays.
        let asked_steps = asked.steps.is_some() || asked.set.iter().any(|s| s.trim_start().starts_with("total_steps"));
        let steps = (asked.minutes.is_none() || asked_steps).then_some(learner.total_steps);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_string(),
            revision: None,
            created: crate::clock::now_utc(),
            task: task.name.clone(),
            reward: reward.name().to_string(),
            seed,
            profile: asked.profile.unwrap_or_default().name().to_string(),
            backend: backend.name().to_string(),
            device: device.to_string(),
            steps,
            minutes: asked.minutes,
            // As given: the reward keeps f32.
            reward_params: reward
                .params()
                .map(|(name, value, param)| {
                    let given = layers.reward.iter().rev().find(|(n, _)| n == name).map(|(_, x)| *x);
                    let unchanged = if value == param.value as f32 { param.value } else { f64::from(value) };
                    (name.to_string(), given.unwrap_or(unchanged))
                })
                .collect(),
            calibrate: asked.calibrate.as_ref().map(|p| p.display().to_string()),
            from: asked.from.as_ref().map(|p| p.display().to_string()),
            references: BTreeMap::new(),
            run,
            learner,
            machine: Machine {
                threads: asked.threads.unwrap_or(cores).clamp(1, 1024),
                cores,
                os: std::env::consts::OS.to_string(),
                arch: std::env::consts::ARCH.to_string(),
            },
            inputs: Vec::new(),
        })
    }

    /// Solver profile.
    ///
    /// # Errors
    /// When the file names one that does not exist.
    pub fn profile(&self) -> Result<Profile, RunError> {
        self.profile.parse().map_err(RunError::Usage)
    }

    /// What steps the worlds.
    ///
    /// # Errors
    /// When the file names one that does not exist.
    pub fn backend(&self) -> Result<BackendKind, RunError> {
        self.backend.parse().map_err(RunError::Usage)
    }

    /// What computes rollouts.
    ///
    /// # Errors
    /// When the file names one that cannot be.
    pub fn device(&self) -> Result<Device, RunError> {
        let device = self.device.parse().map_err(RunError::Usage)?;
        check_device(device, self.backend()?)?;
        Ok(device)
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a number does not fit TOML.
    pub fn to_toml(&self) -> Result<String, RunError> {
        toml::to_string(self).map_err(|e| RunError::Failed(format!("config.toml: {e}")))
    }

    /// The settings of the learner and the parameters of the reward as `key=value`: what makes another run with the
    /// same ones.
    pub(crate) fn overrides(&self) -> Vec<String> {
        let learner = toml::Table::try_from(&self.learner).unwrap_or_default();
        let params = self.reward_params.iter().map(|(name, value)| format!("reward.{name}={value}"));
        learner.iter().map(|(name, value)| format!("{name}={value}")).chain(params).collect()
    }

    /// Reads `config.toml`.
    ///
    /// # Errors
    /// When it cannot be read, or is not of this version.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let text = crate::folder::read_text(path)?;
        let config: Self = toml::from_str(&text).map_err(|e| RunError::damaged(path, e.to_string().trim_end()))?;
        if config.format != FORMAT {
            let message = format!("layout version {}, this program reads {FORMAT}", config.format);
            return Err(RunError::damaged(path, message));
        }
        config.learner.validate().map_err(|e| RunError::damaged(path, e))?;
        config.profile().map_err(|e| RunError::damaged(path, e))?;
        config.backend().map_err(|e| RunError::damaged(path, e))?;
        config.device().map_err(|e| RunError::damaged(path, e))?;
        Ok(config)
    }
}

/// Does the backend run there?
fn check_device(device: Device, backend: BackendKind) -> Result<(), RunError> {
    if device != Device::Cpu && backend != BackendKind::Batch {
        return Err(RunError::Usage(format!(
            "the {} backend has no GPU version: use `--device cpu`, or `--backend batch` with `--device {device}`",
            backend.name()
        )));
    }
    Ok(())
}

/// The device of runs from before there was a choice.
fn cpu() -> String {
    Device::Cpu.to_string()
}

/// The backend of runs from before there was a choice.
fn batch() -> String {
    BackendKind::Batch.name().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn precedence_is_defaults_task_set_options() {
        let (_dir, assets) = testing::assets("horizon = 16\nworlds = 32\ntotal_steps = 4096");
        let (task, mut reward) = testing::load(&assets);
        let asked = Overrides {
            worlds: Some(8),
            set: vec!["worlds=24".into(), "epochs=2".into(), "reward.upright=3".into()],
            ..Overrides::default()
        };
        let config = RunConfig::resolve(&task, &mut reward, &asked).unwrap();
        let learner = &config.learner;
        assert_eq!((learner.worlds, learner.horizon, learner.epochs, learner.minibatches), (8, 16, 2, 4));
        assert_eq!((config.steps, config.reward_params["upright"]), (Some(4096), 3.0));
        let again: RunConfig = toml::from_str(&config.to_toml().unwrap()).unwrap();
        assert_eq!(again, config);
        assert_eq!(config.backend().unwrap(), BackendKind::Batch);
        let older = config.to_toml().unwrap().replace("backend = \"batch\"\ndevice = \"cpu\"\n", "");
        assert!(!older.contains("device"));
        assert_eq!(toml::from_str::<RunConfig>(&older).unwrap(), config);
        let asked = Overrides { minutes: Some(0.5), backend: Some(BackendKind::Rapier), ..Overrides::default() };
        assert_eq!(RunConfig::resolve(&task, &mut reward, &asked).unwrap().backend, "rapier");
        assert_eq!(RunConfig::resolve(&task, &mut reward, &asked).unwrap().steps, None);
        let asked = Overrides { minutes: Some(0.5), steps: Some(9), ..Overrides::default() };
        assert_eq!(RunConfig::resolve(&task, &mut reward, &asked).unwrap().steps, Some(9));
    }

    #[test]
    fn rapier_stays_on_the_processor() {
        let (_dir, assets) = testing::assets("");
        let (task, mut reward) = testing::load(&assets);
        let gpu = Some(Device::Gpu(1));
        let asked = Overrides { device: gpu, backend: Some(BackendKind::Rapier), ..Overrides::default() };
        let error = RunConfig::resolve(&task, &mut reward, &asked).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("rapier backend has no GPU version"), "{error}");
        let asked = Overrides { device: gpu, ..Overrides::default() };
        let mut config = RunConfig::resolve(&task, &mut reward, &asked).unwrap();
        assert_eq!((config.device.as_str(), config.device().unwrap()), ("gpu:1", Device::Gpu(1)));
        config.device = "gpu:x".into();
        assert!(config.device().is_err());
    }

    #[test]
    fn unknown_names_are_errors() {
        let (_dir, assets) = testing::assets("");
        let (task, mut reward) = testing::load(&assets);
        for (set, word) in [("reward.uprigt=1", "`upright`"), ("hrizon=1", "`horizon`")] {
            let asked = Overrides { set: vec![set.into()], ..Overrides::default() };
            let error = RunConfig::resolve(&task, &mut reward, &asked).unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains(word), "{error}");
        }
        let asked = Overrides { seed: Some(u64::MAX), ..Overrides::default() };
        assert!(RunConfig::resolve(&task, &mut reward, &asked).is_err());
    }
}
