//! What runs there are. Damaged ones are listed with what is wrong with them; other folders are left out.

use crate::config::RunConfig;
use crate::finish::{Stop, Summary};
use crate::folder::{RunFolder, read_text};
use crate::logs::MetricsLine;
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process is training it.
    Running,
    /// It reached its limit.
    Done,
    /// It was asked to stop; it can be resumed.
    Interrupted,
    /// It ended without a word (killed, power failure); it can be resumed.
    Stopped,
    /// It failed.
    Failed,
    /// Its files cannot be read.
    Damaged,
}

impl RunState {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Damaged => "damaged",
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunEntry {
    /// Name of its folder.
    pub run: String,
    /// Its folder.
    pub path: PathBuf,
    /// How it stands.
    pub state: RunState,
    /// What is wrong, or what it failed by.
    pub problem: Option<String>,
    /// Task.
    pub task: String,
    /// Reward.
    pub reward: String,
    /// Seed.
    pub seed: u64,
    /// When it was started, UTC.
    pub created: String,
    /// Updates done.
    pub updates: u64,
    /// Environment steps done.
    pub env_steps: u64,
    /// Environment steps asked for.
    pub steps: Option<u64>,
    /// Seconds trained.
    pub elapsed_s: f64,
    /// Mean return of the last update that had one within reach, or of the final evaluation.
    #[serde(rename = "return")]
    pub episode_return: Option<f64>,
    /// Mean fitness, likewise.
    pub fitness: Option<f64>,
    /// Share of successes, likewise.
    pub success: Option<f64>,
}

/// Bytes at the end of `metrics.jsonl` that are looked at.
const TAIL: u64 = 64 << 10;

/// The last whole line of a metrics file.
fn last_line(path: &Path) -> Option<MetricsLine> {
    let mut file = pavlov_common::file::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    bytes.split(|&b| b == b'\n').rev().find_map(|line| serde_json::from_slice(line).ok())
}

/// Reads `summary.json`, when there is a readable one.
pub(crate) fn read_summary(folder: &RunFolder) -> Option<Summary> {
    serde_json::from_str(&read_text(&folder.summary()).ok()?).ok()
}

/// One run's entry.
fn entry(folder: &RunFolder) -> RunEntry {
    let mut entry = RunEntry {
        run: folder.name(),
        path: folder.root().to_path_buf(),
        state: RunState::Damaged,
        problem: None,
        task: String::new(),
        reward: String::new(),
        seed: 0,
        created: String::new(),
        updates: 0,
        env_steps: 0,
        steps: None,
        elapsed_s: 0.0,
        episode_return: None,
        fitness: None,
        success: None,
    };
    match RunConfig::read(&folder.config()) {
        Ok(config) => {
            (entry.task, entry.reward, entry.seed) = (config.task, config.reward, config.seed);
            (entry.created, entry.steps) = (config.created, config.steps);
        }
        Err(e) => {
            entry.problem = Some(e.to_string());
            return entry;
        }
    }
    if let Some(line) = last_line(&folder.metrics()) {
        (entry.updates, entry.env_steps, entry.elapsed_s) = (line.update, line.env_steps, line.timing.elapsed_s);
        (entry.episode_return, entry.success) = (line.ended.episode_return, line.success);
        entry.fitness = line.recent_fitness;
    }
    // A summary of an earlier end says nothing about a run that went on and was killed.
    let summary = read_summary(folder).filter(|s| s.updates == entry.updates);
    entry.state = match &summary {
        _ if folder.is_running() => RunState::Running,
        None => RunState::Stopped,
        Some(Summary { error: Some(error), .. }) => {
            entry.problem = Some(error.clone());
            RunState::Failed
        }
        Some(Summary { stop: Some(Stop::Interrupted), .. }) => RunState::Interrupted,
        Some(_) => RunState::Done,
    };
    if let Some(evaluation) = summary.and_then(|s| s.evaluation) {
        entry.episode_return = Some(evaluation.episode_return.mean);
        entry.fitness = Some(evaluation.fitness.mean);
        entry.success = Some(evaluation.success.mean);
    }
    entry
}

/// The runs in a folder, oldest first. A folder that does not exist has none.
pub fn list_runs(runs: &Path) -> Vec<RunEntry> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let folders = entries.flatten().filter_map(|e| RunFolder::open(&e.path()).ok());
    let mut found: Vec<RunEntry> = folders.map(|folder| entry(&folder)).collect();
    found.sort_by(|a, b| (&a.created, &a.run).cmp(&(&b.created, &b.run)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn garbage_is_listed_or_left_out_but_never_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put("a file", b"x");
        put("empty/nothing.txt", b"");
        put("broken/config.toml", b"format = \"one\"");
        put("binary/config.toml", &[0xff, 0xfe, 0]);
        std::fs::create_dir_all(dir.path().join("folder/config.toml")).unwrap();
        let found = list_runs(dir.path());
        let names: Vec<_> = found.iter().map(|e| (e.run.as_str(), e.state)).collect();
        assert_eq!(names, [("binary", RunState::Damaged), ("broken", RunState::Damaged)]);
        assert!(found[1].problem.as_ref().unwrap().contains("config.toml"));
        assert!(list_runs(&dir.path().join("none")).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_bytes_in_a_run_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), file in 0usize..3) {
            let dir = tempfile::tempdir().unwrap();
            let run = dir.path().join("r");
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run.join("config.toml"), "").unwrap();
            std::fs::write(run.join(["config.toml", "metrics.jsonl", "summary.json"][file]), bytes).unwrap();
            prop_assert_eq!(list_runs(dir.path()).len(), 1);
        }
    }
}
