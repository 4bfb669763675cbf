//! Training on a cluster: each candidate is a job described by a file, all of them one job array.
//!
//! `jobs/<iteration>/<n>.json` says what to train, `<n>.result.json` what came of it, `array.sh` is what `sbatch` runs.
//! A job is done by `pavlov search job FILE` and depends on nothing but its file and the assets. Results that exist are
//! not computed again. Candidates are independent, so there is no halving between them.

use super::judge::load;
use super::train::{Job, Trained, Training, train};
use crate::error::SearchError;
use crate::lineage::{At, Outcome, Status};
use pavlov_common::{file, text};
use pavlov_env::{Assets, Task};
use pavlov_run::Overrides;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a job is to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// Folders of tasks and rewards.
    pub roots: Vec<PathBuf>,
    /// Task: a name, or the path of its file.
    pub task: String,
    /// Candidate; none for the human reward.
    pub at: Option<At>,
    /// Script.
    pub script: String,
    /// Manifest.
    pub manifest: String,
    /// Environment steps.
    pub steps: Option<u64>,
    /// Worlds.
    pub worlds: Option<usize>,
    /// Solver profile.
    pub profile: Option<String>,
    /// Settings of the learner.
    pub set: Vec<String>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// What it is for.
    pub stage: String,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
struct ResultFile {
    status: Status,
    outcomes: Vec<Outcome>,
}

/// How to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slurm {
    /// The program that does a job.
    pub program: PathBuf,
    /// Options for `sbatch`, for example `--partition=long`.
    pub options: Vec<String>,
    /// Threads of a job.
    pub threads: usize,
}

fn result_path(job: &Path) -> PathBuf {
    job.with_extension("result.json")
}

fn write(path: &Path, text: &str) -> Result<(), SearchError> {
    // Beside it and renamed: a reader never sees half of it.
    pavlov_common::atomic::write_in(path.parent().unwrap_or(path), path, text.as_bytes())
        .map_err(|e| SearchError::file("write", &e.path, e.source))
}

fn stage(name: &str) -> &'static str {
    ["search", "again", "final"].into_iter().find(|s| *s == name).unwrap_or("search")
}

/// Does the job of a file and writes its result beside it.
///
/// # Errors
/// When the file cannot be used, or training cannot begin.
pub fn run_job(path: &Path, threads: usize, stop: &AtomicBool) -> Result<(), SearchError> {
    let text = text::read_up_to(path, file::NUMBERS).map_err(|e| SearchError::file("read", path, e))?;
    let job: JobFile =
        serde_json::from_str(&text).map_err(|e| SearchError::Usage(format!("{}: {e}", path.display())))?;
    let assets = Assets::from_roots(job.roots.clone());
    let task = Arc::new(Task::load(&assets, &job.task)?);
    let reward = load(&task, &job.at.map_or("human".into(), |a| a.to_string()), &job.script, &job.manifest)?;
    let profile = job.profile.as_deref().map(str::parse).transpose().map_err(SearchError::Usage)?;
    let training = Training {
        overrides: Overrides {
            worlds: job.worlds,
            steps: job.steps,
            threads: Some(threads),
            profile,
            set: job.set.clone(),
            ..Overrides::default()
        },
        seeds: job.seeds.clone(),
        halving: false,
        stage: stage(&job.stage),
        limit: None,
    };
    let pool = Arc::new(pavlov_run::thread_pool(threads)?);
    let jobs = [Job { at: job.at, reward: Arc::new(reward) }];
    let trained = train(&task, &jobs, &training, &pool, stop, &mut |_| ())?;
    let Some(Trained { outcomes, status, .. }) = trained.into_iter().next() else { return Ok(()) };
    let result = ResultFile { status, outcomes };
    let text = serde_json::to_string(&result).map_err(|e| SearchError::Usage(e.to_string()))?;
    write(&result_path(path), &text)
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl Slurm {
    /// Trains candidates as one job array and waits for it.
    ///
    /// # Errors
    /// When jobs cannot be written or submitted, or one left no result.
    pub fn train(
        &self,
        assets: &Assets,
        task: &str,
        jobs: &[Job],
        training: &Training,
        folder: &Path,
        stop: &AtomicBool,
    ) -> Result<Vec<Trained>, SearchError> {
        std::fs::create_dir_all(folder).map_err(|e| SearchError::file("create", folder, e))?;
        let folder = folder.canonicalize().map_err(|e| SearchError::file("read", folder, e))?;
        let absolute = |r: &PathBuf| r.canonicalize().unwrap_or_else(|_| r.clone());
        let roots: Vec<PathBuf> = assets.roots().iter().map(absolute).collect();
        let paths: Vec<PathBuf> = (0..jobs.len()).map(|n| folder.join(format!("{n}.json"))).collect();
        for (job, path) in jobs.iter().zip(&paths) {
            let o = &training.overrides;
            let manifest = toml::to_string(job.reward.manifest()).map_err(|e| SearchError::Usage(e.to_string()))?;
            let file = JobFile {
                roots: roots.clone(),
                task: task.to_string(),
                at: job.at,
                script: job.reward.program().script().text().to_string(),
                manifest,
                steps: o.steps,
                worlds: o.worlds,
                profile: o.profile.map(|p| p.name().to_string()),
                set: o.set.clone(),
                seeds: training.seeds.clone(),
                stage: training.stage.into(),
            };
            let text = serde_json::to_string_pretty(&file).map_err(|e| SearchError::Usage(e.to_string()))?;
            // A result is of a file: another file, another result.
            if text::read_up_to(path, file::NUMBERS).ok().as_deref() != Some(&text) {
                let _ = std::fs::remove_file(result_path(path));
                write(path, &text)?;
            }
        }
        let due: Vec<String> =
            (0..jobs.len()).filter(|&n| !result_path(&paths[n]).is_file()).map(|n| n.to_string()).collect();
        if !due.is_empty() {
            self.submit(&folder, &due)?;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(SearchError::Stopped);
        }
        let gather = |path: &PathBuf| {
            let result = result_path(path);
            let log = path.with_extension("log");
            let text = text::read_up_to(&result, file::NUMBERS).map_err(|_| {
                let log = text::read_up_to(&log, file::NUMBERS).unwrap_or_default();
                let last = log.lines().last().unwrap_or("no log").to_string();
                SearchError::Model(format!("{}: the job left no result: {last}", path.display()))
            })?;
            let r: ResultFile =
                serde_json::from_str(&text).map_err(|e| SearchError::Usage(format!("{}: {e}", result.display())))?;
            Ok(Trained { outcomes: r.outcomes, status: r.status, policies: Vec::new() })
        };
        paths.iter().map(gather).collect()
    }

    fn submit(&self, folder: &Path, due: &[String]) -> Result<(), SearchError> {
        let program = quoted(&self.program.display().to_string());
        let place = quoted(&folder.display().to_string());
        let script = format!(
            "#!/bin/sh\nexec {program} search job {place}/\"$SLURM_ARRAY_TASK_ID\".json --threads {}\n",
            self.threads
        );
        let path = folder.join("array.sh");
        write(&path, &script)?;
        let output = Command::new("sbatch")
            .args(["--wait", "--parsable", "--job-name=pavlov"])
            .arg(format!("--array={}", due.join(",")))
            .arg(format!("--cpus-per-task={}", self.threads))
            .arg(format!("--output={}", folder.join("%a.log").display()))
            .arg(format!("--chdir={}", folder.display()))
            .args(&self.options)
            .arg(&path)
            .output();
        let output = output.map_err(|e| {
            SearchError::Model(format!(
                "cannot run sbatch: {e}; --executor slurm needs Slurm's commands on this machine"
            ))
        })?;
        // With --wait its exit code is the worst of the jobs': which one failed is told when results are gathered.
        let nothing = output.stdout.is_empty();
        if nothing {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(SearchError::Model(format!("sbatch refused: {}", text.trim())));
        }
        Ok(())
    }
}
