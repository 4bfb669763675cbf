//! Rollouts: whole episodes with every channel that scripts can read, so that any reward can be evaluated on them
//! afterwards.
//!
//! A file is a safetensors file. Tensors are `f32 [rows]`, named as scripts write the channel (`body("torso").pos.x`).
//! Columns that do not change are `[1]`; of equal columns one is there and the others are listed under `same`. Episodes
//! stand one after another, each with a row for the state after the reset and one for each step. Metadata
//! `pavlov_rollouts`: JSON of [`RolloutInfo`]. Columns are read when they are asked for, so that scoring a large file
//! touches what the reward reads and no more.

use crate::error::RunError;
use pavlov_reward::{Columns, Span};
use pavlov_script::{Channel, Scene};
use safetensors::{Dtype, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Version of this layout.
const FORMAT: u32 = 1;
/// Key of the metadata.
const KEY: &str = "pavlov_rollouts";
/// A header longer than this is none of ours.
const MAX_HEADER: u64 = 64 << 20;
/// Columns that are stored as one number are written out when they are read. They take at most so many bytes for each
/// byte of the file, and these besides.
const MOST_PER_BYTE: u64 = 32;
const MOST_ANYWAY: u64 = 32 << 20;

/// An episode of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RolloutEpisode {
    /// What was played, where that has a name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Row of the state after the reset.
    pub first: usize,
    /// Control steps: the rows behind it.
    pub steps: usize,
    /// Sum of rewards when it was played.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// Fitness, as the task defines it.
    pub fitness: f64,
    /// Success.
    pub success: bool,
    /// Ended by the task's termination rather than by the time limit.
    pub terminated: bool,
}

impl RolloutEpisode {
    /// Its rows.
    pub fn span(&self) -> Span {
        Span { first: self.first, steps: self.steps }
    }
}

/// What a file is of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutInfo {
    /// Version of this layout.
    pub format: u32,
    /// Task.
    pub task: String,
    /// Reward the returns are of.
    pub reward: String,
    /// Seed of the worlds.
    pub seed: u64,
    /// Solver profile.
    pub profile: String,
    /// Updates of the policy that played.
    pub update: u64,
    /// Environment steps it had been trained for.
    pub env_steps: u64,
    /// Seconds between rows.
    pub dt: f64,
    /// Rows of a column.
    pub rows: usize,
    /// So many episodes, one after another, began in the same state; 0 or 1: each in its own.
    #[serde(skip_serializing_if = "is_alone")]
    pub siblings: u32,
    /// Episodes.
    pub episodes: Vec<RolloutEpisode>,
    /// Columns that are equal to another one, by their names.
    pub same: BTreeMap<String, String>,
}

fn is_alone(siblings: &u32) -> bool {
    *siblings < 2
}

/// Columns in memory, to be written or scored.
#[derive(Debug, Clone, Default)]
pub struct Rollouts {
    /// What they are of.
    pub info: RolloutInfo,
    columns: HashMap<Channel, Vec<f32>>,
}

impl Columns for Rollouts {
    fn column(&self, channel: Channel) -> Option<&[f32]> {
        self.columns.get(&channel).map(Vec::as_slice)
    }
}

/// Name of the file with the episodes of the policy after an update.
pub(crate) fn file_name(update: u64) -> String {
    format!("{update:09}.safetensors")
}

/// The update whose policy a file in the folder of rollouts is of, where it has the name of one.
pub(crate) fn update_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".safetensors")?;
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

impl Rollouts {
    /// From columns of `info.rows` numbers.
    pub fn new(info: RolloutInfo, columns: HashMap<Channel, Vec<f32>>) -> Self {
        debug_assert!(columns.values().all(|c| c.len() == info.rows));
        Self { info: RolloutInfo { format: FORMAT, ..info }, columns }
    }

    /// Rows of each episode.
    pub fn spans(&self) -> Vec<Span> {
        self.info.episodes.iter().map(RolloutEpisode::span).collect()
    }

    /// Control steps of all episodes.
    pub fn steps(&self) -> usize {
        self.info.episodes.iter().map(|e| e.steps).sum()
    }

    /// Appends the episodes of another one with the same channels.
    pub fn append(&mut self, other: Self) {
        let rows = self.info.rows;
        self.info
            .episodes
            .extend(other.info.episodes.into_iter().map(|e| RolloutEpisode { first: e.first + rows, ..e }));
        self.info.rows += other.info.rows;
        for (channel, column) in other.columns {
            self.columns.entry(channel).or_default().extend(column);
        }
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, scene: &Scene) -> Result<(), RunError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| RunError::io("create", parent, e))?;
        }
        Ok(pavlov_common::atomic::write(path, &self.to_bytes(path, scene)?)?)
    }

    /// What [`Rollouts::write`] puts into a file.
    ///
    /// # Errors
    /// When columns are too large for one.
    pub(crate) fn to_bytes(&self, path: &Path, scene: &Scene) -> Result<Vec<u8>, RunError> {
        let mut info = self.info.clone();
        let mut stored: Vec<(String, Vec<u8>)> = Vec::new();
        let mut known: HashMap<Vec<u8>, String> = HashMap::new();
        for channel in scene.recorded() {
            let Some(column) = self.columns.get(&channel) else { continue };
            let name = channel.describe(scene);
            let still = column.iter().all(|x| x.to_bits() == column[0].to_bits());
            let kept = if still { &column[..column.len().min(1)] } else { &column[..] };
            let bytes: Vec<u8> = kept.iter().flat_map(|x| x.to_le_bytes()).collect();
            match known.get(&bytes) {
                Some(same) => {
                    info.same.insert(name, same.clone());
                }
                None => {
                    known.insert(bytes.clone(), name.clone());
                    stored.push((name, bytes));
                }
            }
        }
        let failed = |e: String| RunError::io("write", path, std::io::Error::other(e));
        let views: Vec<(&str, TensorView<'_>)> = stored
            .iter()
            .map(|(name, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| failed(e.to_string()))?;
        let text = serde_json::to_string(&info).map_err(|e| failed(e.to_string()))?;
        let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)])));
        bytes.map_err(|e| failed(e.to_string()))
    }
}

/// A file whose columns are read when they are needed.
#[derive(Debug)]
pub struct RolloutFile {
    /// What it is of.
    pub info: RolloutInfo,
    path: PathBuf,
    file: File,
    /// First byte and number of numbers of each stored column.
    places: HashMap<String, (u64, usize)>,
    /// Most bytes that columns read at a time may have.
    limit: u64,
}

#[derive(Deserialize)]
struct Place {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl RolloutFile {
    /// Opens a file and reads what it says about itself.
    ///
    /// # Errors
    /// When it cannot be read or is not such a file.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let io = |e| RunError::io("read", path, e);
        let wrong = |e: String| RunError::damaged(path, e);
        let mut file = pavlov_common::file::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length.checked_add(8).is_none_or(|begin| begin > size) {
            return Err(wrong(format!("a header of {length} bytes in a file of {size}")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let mut header: HashMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|e| wrong(format!("header: {e}")))?;
        let text = header.remove("__metadata__").and_then(|m| m.get(KEY).and_then(|t| t.as_str().map(str::to_string)));
        let text = text.ok_or_else(|| wrong(format!("no `{KEY}` in its metadata: not a file of rollouts")))?;
        let info: RolloutInfo = serde_json::from_str(&text).map_err(|e| wrong(format!("{KEY}: {e}")))?;
        if info.format != FORMAT {
            return Err(wrong(format!("layout {}, this program reads {FORMAT}", info.format)));
        }
        let begin = 8 + length;
        let mut places = HashMap::new();
        for (name, value) in header {
            let place: Place = serde_json::from_value(value).map_err(|e| wrong(format!("`{name}`: {e}")))?;
            let (from, to) = place.data_offsets;
            let [n] = place.shape[..] else { return Err(wrong(format!("`{name}`: shape {:?}", place.shape))) };
            let fits = n == info.rows || n == 1;
            let whole = (n as u64).checked_mul(4).is_some_and(|bytes| to.checked_sub(from) == Some(bytes));
            if place.dtype != "F32" || !fits || !whole || begin.checked_add(to).is_none_or(|end| end > size) {
                return Err(wrong(format!("`{name}` is not a column of {} rows", info.rows)));
            }
            places.insert(name, (begin + from, n));
        }
        let mut end = 0;
        for episode in &info.episodes {
            let rows = episode.steps.checked_add(1).and_then(|n| episode.first.checked_add(n));
            if episode.first < end || rows.is_none_or(|r| r > info.rows) {
                return Err(wrong(format!("an episode of {} steps from row {}", episode.steps, episode.first)));
            }
            end = episode.first + episode.steps + 1;
        }
        let limit = MOST_ANYWAY.saturating_add(size.saturating_mul(MOST_PER_BYTE));
        Ok(Self { info, path: path.to_path_buf(), file, places, limit })
    }

    /// Reads columns; those that were not recorded are left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, scene: &Scene, channels: impl IntoIterator<Item = Channel>) -> Result<Rollouts, RunError> {
        let io = |e| RunError::io("read", &self.path, e);
        let (mut columns, mut taken) = (HashMap::new(), 0u64);
        for channel in channels {
            if columns.contains_key(&channel) {
                continue;
            }
            let name = channel.describe(scene);
            let name = self.info.same.get(&name).unwrap_or(&name);
            let Some(&(from, n)) = self.places.get(name) else { continue };
            taken = taken.saturating_add((self.info.rows as u64).saturating_mul(4));
            if taken > self.limit {
                let (rows, limit) = (self.info.rows, self.limit);
                let message = format!(
                    "columns of {rows} rows take more than the {limit} bytes that a file of its size \
                     can hold: it was cut or changed"
                );
                return Err(RunError::damaged(&self.path, message));
            }
            let mut bytes = vec![0; 4 * n];
            (&self.file).seek(SeekFrom::Start(from)).map_err(io)?;
            (&self.file).read_exact(&mut bytes).map_err(io)?;
            let (words, _) = bytes.as_chunks();
            let mut column: Vec<f32> = words.iter().map(|&b| f32::from_le_bytes(b)).collect();
            if n == 1 {
                column = vec![column[0]; self.info.rows];
            }
            columns.insert(channel, column);
        }
        Ok(Rollouts { info: self.info.clone(), columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        Scene { nq: 2, nv: 1, dt: 0.1, ..Scene::default() }
    }

    fn some() -> Rollouts {
        let episode = |first, steps| RolloutEpisode { first, steps, fitness: 0.5, ..RolloutEpisode::default() };
        let info = RolloutInfo { rows: 7, episodes: vec![episode(0, 3), episode(4, 2)], ..RolloutInfo::default() };
        let columns = HashMap::from([
            (Channel::Qpos(0), (0..7).map(|i| i as f32).collect()),
            (Channel::Qpos(1), vec![2.5; 7]),
            (Channel::Qvel(0), (0..7).map(|i| i as f32).collect::<Vec<f32>>()),
        ]);
        Rollouts::new(info, columns)
    }

    #[test]
    fn a_file_gives_back_what_was_written_and_stores_equal_columns_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollouts/a.safetensors");
        let all = some();
        all.write(&path, &scene()).unwrap();
        let file = RolloutFile::open(&path).unwrap();
        assert_eq!((file.places.len(), file.info.same.len()), (2, 1));
        let read = file.read(&scene(), scene().recorded()).unwrap();
        assert_eq!(read.columns, all.columns);
        assert_eq!((read.info.episodes, read.info.rows), (all.info.episodes, 7));
        let some = file.read(&scene(), [Channel::Qvel(0), Channel::Time]).unwrap();
        assert!(some.column(Channel::Qpos(0)).is_none() && some.column(Channel::Time).is_none());
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 5, 20, bytes.len() - 4] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(RolloutFile::open(&path).unwrap_err().is_bad_input());
        }
        std::fs::write(&path, safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap()).unwrap();
        assert!(RolloutFile::open(&path).unwrap_err().to_string().contains("not a file of rollouts"));
    }

    #[test]
    fn appended_episodes_come_behind() {
        let mut all = some();
        all.append(some());
        assert_eq!((all.info.rows, all.info.episodes[2].first, all.steps()), (14, 7, 10));
        assert_eq!(all.column(Channel::Qpos(0)).unwrap()[7..9], [0.0, 1.0]);
    }
}
