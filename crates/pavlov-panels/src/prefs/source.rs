//! Where clips come from: runs of the task, all or one, and which of their pieces make a pair.

use pavlov_env::Task;
use pavlov_prefs::{PairOptions, PairSampler, Pool, PrefsError};
use pavlov_run::{RunFolder, RunState, list_runs};
use std::path::Path;

/// Share of pairs that come again, exchanged, to see how far a rater agrees with themselves.
const REPEATS: f64 = 0.12;

/// A sampler of another order each time.
pub(super) fn sampler(pool: &Pool, length: u32, any_reset: bool) -> Result<PairSampler, PrefsError> {
    // Another session asks other questions.
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    PairSampler::new(pool, PairOptions { length, any_reset, repeats: REPEATS, ..PairOptions::default() }, seed)
}

/// Rollouts of the task's runs that have some, or of that one alone; and the names of all of those runs.
pub(super) fn pool(runs: &Path, task: &Task, only: Option<&str>) -> Result<(Pool, Vec<String>), String> {
    let has = |root: &Path| std::fs::read_dir(root.join("rollouts")).is_ok_and(|d| d.flatten().next().is_some());
    let mut folders: Vec<RunFolder> = list_runs(runs)
        .into_iter()
        .filter(|r| r.task == task.name && r.state != RunState::Damaged && has(&r.path))
        .filter_map(|r| RunFolder::open(&r.path).ok())
        .collect();
    if folders.is_empty() {
        return Err(format!(
            "There is nothing to compare yet: no run of {} in {} has recorded episodes.\n\
             Train a policy first (F5, or `pavlov train {}`); then come back here.",
            task.name,
            runs.display(),
            task.name
        ));
    }
    let names = folders.iter().map(RunFolder::name).collect();
    if let Some(only) = only {
        folders.retain(|f| f.name() == only);
        if folders.is_empty() {
            return Err(format!("run {only} is no longer in {}", runs.display()));
        }
    }
    Ok((Pool::open(&folders).map_err(|e| e.to_string())?, names))
}
