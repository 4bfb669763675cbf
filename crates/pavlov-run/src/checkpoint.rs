//! Checkpoints. After every update one goes to a slot, two files written over in turn, which takes microseconds; now
//! and then one gets a folder of its own, written beside and renamed into place. A kill spoils at most the slot being
//! written; the other one has the update before.
//!
//! ```text
//! checkpoints/000000120/learner.safetensors   nets, optimiser, statistics (format: pavlov-learn)
//!                       worlds.safetensors    `block.<n>`: each block of worlds as bytes (format: pavlov-env);
//!                                             `device`: of all worlds on a GPU
//!                       state.json            what the training loop carries, and checksums of the two and of itself
//!             recent/0, recent/1              the same three in one file (see `slots`)
//! ```
//! Against a power failure one folder in about half a minute is forced to the disk, and stays until a newer one is.

use crate::device::{SavedWorlds, Worlds};
use crate::error::RunError;
use crate::folder::RunFolder;
use crate::seal;
use crate::slots::{Parts, Slots};
use pavlov_common::file;
use pavlov_learn::Ppo;
use pavlov_reward::Adaptive;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FORMAT: u32 = 1;
/// Files of a checkpoint's folder.
const FILES: [&str; 3] = ["learner.safetensors", "worlds.safetensors", "state.json"];
/// What the name of a folder that is being written begins with.
const PART: &str = ".part-";
/// Time between checkpoints that are forced to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(30);

/// The best checkpoint so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After this update.
    pub update: u64,
    /// Mean fitness of recent episodes then.
    pub fitness: f64,
}

/// What the training loop carries from update to update.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopState {
    /// Updates done.
    pub update: u64,
    /// Environment steps done.
    pub env_steps: u64,
    /// Seconds trained so far.
    pub elapsed_s: f64,
    /// Sum of fitness and number of episodes of recent updates, oldest first.
    pub recent: Vec<(f64, u64)>,
    /// Best checkpoint so far.
    pub best: Option<Best>,
    /// What changes between updates in the reward, for rewards with a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Adaptive>,
}

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    format: u32,
    learner_crc32c: u32,
    worlds_crc32c: u32,
    state: LoopState,
}

/// The checkpoints of a run.
#[derive(Debug)]
pub struct Checkpoints {
    /// The run's folder.
    root: PathBuf,
    folder: PathBuf,
    keep: usize,
    slots: Slots,
    /// Update of the newest one that is known to be on the disk.
    synced: Option<(u64, Instant)>,
}

/// A checkpoint read into memory and checked, environments not yet restored.
#[derive(Debug)]
pub struct Loaded {
    /// Where it was.
    pub path: PathBuf,
    /// The learner.
    pub ppo: Ppo,
    /// What the loop carries.
    pub state: LoopState,
    worlds: SavedWorlds,
}

impl Loaded {
    /// Puts worlds to the saved states; false when these are of the other kind of device, and nothing was done.
    ///
    /// # Errors
    /// When they are not of this task, reward, seed and number of worlds.
    pub(crate) fn restore(&self, worlds: &mut Worlds) -> Result<bool, RunError> {
        worlds.restore(&self.worlds).map_err(|e| RunError::damaged(&self.path, e))
    }
}

impl Checkpoints {
    /// The checkpoints in a run's folder; leftovers of a killed write are removed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(run: &RunFolder, keep: usize) -> Result<Self, RunError> {
        let folder = run.checkpoints();
        file::make_folder_in(run.root(), &folder).map_err(|e| RunError::io("create", &folder, e))?;
        for entry in fs::read_dir(&folder).map_err(|e| RunError::io("read", &folder, e))?.flatten() {
            let name = entry.file_name();
            if name.to_str().and_then(|n| n.strip_prefix(PART)).is_some_and(|n| number(n).is_some()) {
                remove(&entry.path());
            }
        }
        Ok(Self { root: run.root().into(), slots: Slots::open(run.root(), &folder)?, folder, keep, synced: None })
    }

    fn path(&self, update: u64) -> PathBuf {
        self.folder.join(format!("{update:09}"))
    }

    /// Writes a checkpoint to a slot; with `full` also to a folder of its own, then removing those that are no longer
    /// kept; with `force_sync` that folder is on the disk afterwards.
    ///
    /// # Errors
    /// When it cannot be written; the older ones are then still there.
    pub(crate) fn save(
        &mut self,
        ppo: &Ppo,
        worlds: &mut Worlds,
        state: &LoopState,
        full: bool,
        force_sync: bool,
    ) -> Result<(), RunError> {
        let learner = ppo.to_bytes()?;
        let worlds = pack(&worlds.save()?)?;
        let file = StateFile {
            format: FORMAT,
            learner_crc32c: crc32c::crc32c(&learner),
            worlds_crc32c: crc32c::crc32c(&worlds),
            state: state.clone(),
        };
        let json = serde_json::to_vec_pretty(&file).map_err(|e| RunError::Failed(format!("state.json: {e}")))?;
        let json = seal::seal(json);
        let parts = Parts { state: json, learner, worlds };
        self.slots.write(state.update, &parts)?;
        if !full {
            return Ok(());
        }
        let sync = force_sync || self.synced.is_none_or(|(_, when)| when.elapsed() >= SYNC_EVERY);
        let (part, path) = (self.folder.join(format!("{PART}{:09}", state.update)), self.path(state.update));
        let write = || -> std::io::Result<()> {
            file::make_folder_in(&self.root, &part)?;
            let Parts { state, learner, worlds } = &parts;
            for (name, bytes) in FILES.into_iter().zip([learner, worlds, state]) {
                let to = part.join(name);
                let mut written = file::create_in(&self.root, &to)?;
                written.write_all(bytes)?;
                if sync {
                    written.sync_all()?;
                }
            }
            remove(&path);
            if path.exists() {
                // Somebody keeps something beside the files of an earlier one.
                FILES.iter().try_for_each(|name| fs::rename(part.join(name), path.join(name)))?;
                remove(&part);
            } else {
                fs::rename(&part, &path)?;
            }
            if sync {
                file::sync_folder(&self.folder);
            }
            Ok(())
        };
        write().map_err(|e| {
            remove(&part);
            RunError::io("write", &path, e)
        })?;
        if sync {
            self.synced = Some((state.update, Instant::now()));
        }
        self.prune(state);
        Ok(())
    }

    /// Updates of the checkpoints there are, oldest first.
    pub fn list(&self) -> Vec<u64> {
        list(&self.folder)
    }

    /// Removes what is neither among the newest, nor the best, nor the one that is safe on the disk.
    fn prune(&self, state: &LoopState) {
        let all = self.list();
        let old = all.len().saturating_sub(self.keep);
        let kept = [state.best.map(|b| b.update), self.synced.map(|(u, _)| u)];
        for &update in all[..old].iter().filter(|&&u| !kept.contains(&Some(u))) {
            remove(&self.path(update));
        }
    }

    /// Removes checkpoints behind `update`: they are of a future that is computed again.
    pub fn drop_after(&self, update: u64) {
        for later in self.list().into_iter().filter(|&u| u > update) {
            remove(&self.path(later));
        }
    }
}

fn list(folder: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut updates: Vec<u64> = entries.flatten().filter_map(|e| number(e.file_name().to_str()?)).collect();
    updates.sort_unstable();
    updates
}

/// The update of a checkpoint's folder.
fn number(name: &str) -> Option<u64> {
    if name.len() == 9 && name.bytes().all(|b| b.is_ascii_digit()) { name.parse().ok() } else { None }
}

/// Removes a checkpoint's own files and its folder; what somebody else put there stays, and the folder with it. What
/// cannot be removed costs space, not correctness.
fn remove(checkpoint: &Path) {
    if fs::symlink_metadata(checkpoint).is_ok_and(|found| found.is_dir()) {
        for name in FILES {
            let _ = fs::remove_file(checkpoint.join(name));
        }
        let _ = fs::remove_dir(checkpoint);
    }
}

/// Name of the tensor of worlds on a GPU.
const ON_DEVICE: &str = "device";

fn pack(states: &SavedWorlds) -> Result<Vec<u8>, RunError> {
    let failed = |e: safetensors::SafeTensorError| RunError::Failed(format!("worlds.safetensors: {e}"));
    let named: Vec<(String, &Vec<u8>)> = match states {
        SavedWorlds::Blocks(blocks) => blocks.iter().enumerate().map(|(i, b)| (format!("block.{i}"), b)).collect(),
        SavedWorlds::Device(bytes) => vec![(ON_DEVICE.into(), bytes)],
    };
    let views = named
        .iter()
        .map(|(name, bytes)| Ok((name, TensorView::new(Dtype::U8, vec![bytes.len()], bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    safetensors::serialize(views, None).map_err(failed)
}

fn unpack(bytes: &[u8]) -> Result<SavedWorlds, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| format!("not a readable safetensors file: {e}"))?;
    let tensor = |name: &str| {
        let tensor = tensors.tensor(name).map_err(|_| format!("`{name}` is missing"))?;
        if tensor.dtype() == Dtype::U8 { Ok(tensor.data().to_vec()) } else { Err(format!("`{name}` is not bytes")) }
    };
    if tensors.names() == [ON_DEVICE] {
        return Ok(SavedWorlds::Device(tensor(ON_DEVICE)?));
    }
    (0..tensors.len()).map(|i| tensor(&format!("block.{i}"))).collect::<Result<_, _>>().map(SavedWorlds::Blocks)
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    #[default]
    Last,
    /// The one with the best fitness of recent episodes.
    Best,
    /// That after so many updates.
    Update(u64),
}

impl std::str::FromStr for Which {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            "best" => Ok(Self::Best),
            _ => text
                .parse()
                .map(Self::Update)
                .map_err(|_| format!("`{text}`: expected last, best or a number of updates")),
        }
    }
}

/// Reads one checkpoint, a folder or a slot, and checks everything in it.
///
/// # Errors
/// When something in it is missing, cut or changed.
pub fn read(path: &Path) -> Result<Loaded, RunError> {
    if path.is_file() {
        return decode(path, &crate::slots::read(path)?);
    }
    let bytes = |name: &str| {
        let place = path.join(name);
        file::read(&place, file::NUMBERS).map_err(|e| RunError::io("read", &place, e))
    };
    let (state, learner) = (bytes("state.json")?, bytes("learner.safetensors")?);
    decode(path, &Parts { state, learner, worlds: bytes("worlds.safetensors")? })
}

fn decode(path: &Path, parts: &Parts) -> Result<Loaded, RunError> {
    let damaged = |name: &str, message: String| RunError::damaged(path, format!("{name}: {message}"));
    let file: StateFile = seal::open(&parts.state).map_err(|e| damaged("state.json", e))?;
    if file.format != FORMAT {
        let message = format!("layout version {}, this program reads {FORMAT}", file.format);
        return Err(damaged("state.json", message));
    }
    for (name, data, sum) in [
        ("learner.safetensors", &parts.learner, file.learner_crc32c),
        ("worlds.safetensors", &parts.worlds, file.worlds_crc32c),
    ] {
        if crc32c::crc32c(data) != sum {
            return Err(damaged(name, "the checksum is not that of state.json: it was cut or changed".into()));
        }
    }
    let ppo = Ppo::from_bytes(&parts.learner).map_err(|e| damaged("learner.safetensors", e.to_string()))?;
    let worlds = unpack(&parts.worlds).map_err(|e| damaged("worlds.safetensors", e))?;
    let state = file.state;
    if (ppo.updates(), ppo.env_steps()) != (state.update, state.env_steps) {
        return Err(damaged("state.json", format!("update {}, the learner is at {}", state.update, ppo.updates())));
    }
    if !(state.elapsed_s.is_finite() && state.elapsed_s >= 0.0) {
        return Err(damaged("state.json", format!("elapsed_s is {}", state.elapsed_s)));
    }
    Ok(Loaded { path: path.to_path_buf(), ppo, state, worlds })
}

/// Has a run got as far as its first checkpoint? Not where there is neither a folder of one nor a sound slot, and its
/// log says no more than one update: a kill in the middle of the first checkpoint leaves so much.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn was_written(run: &RunFolder) -> Result<bool, RunError> {
    let folder = run.checkpoints();
    let sound = |path: &PathBuf| path.is_file() && crate::slots::update(path).is_ok();
    if !list(&folder).is_empty() || crate::slots::paths(&folder).iter().any(sound) {
        return Ok(true);
    }
    Ok(crate::logs::last_update(&run.metrics())? > 1)
}

/// Reads a checkpoint of a run. [`Which::Last`] falls back to older ones when the newest is damaged; what was passed
/// over comes back as warnings.
///
/// # Errors
/// When there is none that can be used.
pub fn find(run: &RunFolder, which: Which) -> Result<(Loaded, Vec<String>), RunError> {
    let folder = run.checkpoints();
    let full = list(&folder);
    let mut all: Vec<(u64, PathBuf)> = full.iter().map(|u| (*u, folder.join(format!("{u:09}")))).collect();
    let mut warnings = Vec::new();
    for path in crate::slots::paths(&folder).into_iter().filter(|p| p.is_file()) {
        match crate::slots::update(&path) {
            Ok(update) => all.push((update, path)),
            Err(e) => warnings.push(format!("passed over: {e}")),
        }
    }
    // A folder before a slot of the same update.
    all.sort_by_key(|(update, path)| (std::cmp::Reverse(*update), !path.is_dir()));
    let none = || {
        let message =
            "no checkpoint: the run was ended before its first update; `pavlov resume` starts it from its own copy";
        RunError::damaged(&folder, message)
    };
    let newest = |warnings: &mut Vec<String>| {
        let mut first_error = None;
        for (update, path) in &all {
            match read(path) {
                Ok(loaded) => return Ok(loaded),
                Err(e) => {
                    warnings.push(format!("checkpoint {update} is passed over: {e}"));
                    first_error.get_or_insert(e);
                }
            }
        }
        Err(first_error.unwrap_or_else(none))
    };
    let loaded = match which {
        Which::Last => newest(&mut warnings)?,
        Which::Update(wanted) => match all.iter().find(|(update, _)| *update == wanted) {
            Some((_, path)) => read(path)?,
            None => {
                let known = full.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                let path = run.root().display();
                return Err(RunError::Usage(format!("{path}: no checkpoint {wanted}: there are {known}")));
            }
        },
        Which::Best => {
            let last = newest(&mut warnings)?;
            match last.state.best {
                Some(best) if full.contains(&best.update) => read(&folder.join(format!("{:09}", best.update)))?,
                _ => {
                    let update = last.state.update;
                    warnings.push(format!("no best checkpoint yet: too few episodes; taking the last one, {update}"));
                    last
                }
            }
        }
    };
    Ok((loaded, warnings))
}
