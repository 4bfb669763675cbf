//! The run folder: names of everything in it, and how it comes to be. The README of this crate documents the formats.

use crate::error::RunError;
use pavlov_common::file;
use pavlov_common::names::as_file_name;
use pavlov_common::own::{self, OwnError};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A folder that holds one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

/// What a run's folder is made as.
pub const RUN_FOLDER: &str = "a run";

impl RunFolder {
    /// The folder with this path, whatever is in it.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// A new folder: `out`, or `<runs>/<task>-<time>-<seed>`; or `out` as a run left it that was ended while it was made.
    ///
    /// # Errors
    /// When `out` exists and something is in it, or a folder cannot be made.
    pub fn create(runs: &Path, out: Option<&Path>, task: &str, seed: u64) -> Result<Self, RunError> {
        let make = |root: &Path| fs::create_dir_all(root).map_err(|e| RunError::io("create", root, e));
        if let Some(root) = out {
            let folder = Self::at(root);
            match own::take(root, RUN_FOLDER, &[]) {
                Ok(()) if folder.is_only_begun()? => return Ok(folder),
                Err(e) if matches!(e, OwnError::Io { .. }) || !root.is_dir() => return Err(e.into()),
                _ => {}
            }
            let path = root.display();
            return Err(RunError::Usage(format!(
                "{path} is not empty: give another --out, or go on with `pavlov resume {path}`"
            )));
        }
        make(runs)?;
        let name = format!("{}-{}-{seed}", as_file_name(task), crate::clock::stamp());
        for attempt in 1..1000 {
            let root = runs.join(if attempt == 1 { name.clone() } else { format!("{name}-{attempt}") });
            match fs::create_dir(&root) {
                Ok(()) => {
                    own::take(&root, RUN_FOLDER, &[])?;
                    return Ok(Self { root });
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(RunError::io("create", &root, e)),
            }
        }
        Err(RunError::Failed(format!("{}: a thousand runs of this name within a second", runs.join(name).display())))
    }

    /// Is nothing in the folder but what making a run puts there before its configuration?
    fn is_only_begun(&self) -> Result<bool, RunError> {
        for entry in fs::read_dir(&self.root).map_err(|e| RunError::io("read", &self.root, e))? {
            let name = entry.map_err(|e| RunError::io("read", &self.root, e))?.file_name();
            let name = name.to_string_lossy();
            // The configuration is written beside its name first.
            if ![own::MARKER, ".lock", "inputs"].contains(&&*name) && !name.starts_with(".config.toml.") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A folder that already holds a run.
    ///
    /// # Errors
    /// When there is no `config.toml` in it.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        let folder = Self::at(root);
        if folder.config().is_file() {
            return Ok(folder);
        }
        let path = root.display();
        if own::is_ours(root, RUN_FOLDER) {
            return Err(RunError::Usage(format!(
                "{path}: the run was ended while its folder was made, nothing was trained; start it again with the same \
                 `pavlov train ... --out {path}` (it has no config.toml yet)"
            )));
        }
        let why = match () {
            () if root.is_dir() => "the folder has no config.toml",
            () if root.exists() => "it is a file",
            () => "the folder does not exist",
        };
        Err(RunError::Usage(format!("{path}: no run there, {why} (`pavlov runs` lists them)")))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Name for listings.
    pub fn name(&self) -> String {
        let absolute = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        absolute.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    /// Resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Copies of task, robot, script and reward.
    pub fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// A line per update.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// A line per update about each reward term.
    pub fn terms(&self) -> PathBuf {
        self.root.join("terms.jsonl")
    }

    /// Checkpoints, a folder each.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// How it ended, and the final evaluation.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// The policy for deployment.
    pub fn policy_onnx(&self) -> PathBuf {
        self.root.join("policy.onnx")
    }

    /// What the policy's inputs and outputs mean.
    pub fn policy_json(&self) -> PathBuf {
        self.root.join("policy.json")
    }

    /// Recorded episodes.
    pub fn clips(&self) -> PathBuf {
        self.root.join("clips")
    }

    /// Episodes with everything scripts can read.
    pub fn rollouts(&self) -> PathBuf {
        self.root.join("rollouts")
    }

    /// Pieces of episodes that branch from one state, to be compared.
    pub fn branches(&self) -> PathBuf {
        self.root.join("branches")
    }

    /// What the run looks like afterwards: symptoms, curves.
    pub fn diagnosis(&self) -> PathBuf {
        self.root.join("diagnosis.json")
    }

    /// The same reward under another learner, when that was tried.
    pub fn second(&self) -> PathBuf {
        self.root.join("second.json")
    }

    /// The report.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// A path in the folder that may be written to: nothing below the folder on the way to it is a symbolic link.
    ///
    /// # Errors
    /// When something is, naming it.
    pub fn writable(&self, path: PathBuf) -> Result<PathBuf, RunError> {
        file::no_links(&self.root, &path).map_err(|e| RunError::io("write", &path, e))?;
        Ok(path)
    }

    /// Writes a file of the folder whole or not at all, never through a symbolic link below the folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RunError> {
        Ok(pavlov_common::atomic::write_in(&self.root, path, bytes)?)
    }

    /// Takes the run for this process until the guard is dropped.
    ///
    /// # Errors
    /// When another process trains it.
    pub fn lock(&self) -> Result<Lock, RunError> {
        let path = self.root.join(".lock");
        let file = file::create_in(&self.root, &path).map_err(|e| RunError::io("create", &path, e))?;
        match file.try_lock() {
            // Some network file systems cannot lock; that must not keep anyone from training.
            Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(Lock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => {
                let path = self.root.display();
                Err(RunError::Usage(format!("{path}: another process is training this run")))
            }
        }
    }

    /// Is some process training this run now?
    pub fn is_running(&self) -> bool {
        let file = file::open(&self.root.join(".lock"));
        file.is_ok_and(|f| matches!(f.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }
}

/// Keeps other processes from training the same run.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Reads a text file of sensible size.
pub(crate) fn read_text(path: &Path) -> Result<String, RunError> {
    pavlov_common::text::read(path).map_err(|e| RunError::io("read", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_never_shared() {
        let dir = tempfile::tempdir().unwrap();
        let a = RunFolder::create(dir.path(), None, "gym/ant", 3).unwrap();
        let b = RunFolder::create(dir.path(), None, "gym/ant", 3).unwrap();
        assert_ne!(a, b);
        assert!(a.name().starts_with("gym_ant-20") && a.name().ends_with("-3"), "{}", a.name());
        assert!(RunFolder::open(a.root()).unwrap_err().to_string().contains("config.toml"));
    }

    #[test]
    fn a_folder_with_something_in_it_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(RunFolder::create(dir.path(), Some(dir.path()), "t", 0).is_ok());
        std::fs::write(dir.path().join("x"), "").unwrap();
        let error = RunFolder::create(dir.path(), Some(dir.path()), "t", 0).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("resume"), "{error}");
    }

    #[test]
    fn only_one_process_trains() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder { root: dir.path().into() };
        assert!(!folder.is_running());
        let lock = folder.lock().unwrap();
        assert!(folder.is_running() && folder.lock().is_err());
        drop(lock);
        assert!(!folder.is_running() && folder.lock().is_ok());
    }
}
