//! Which run a command is about.

use crate::Usage;
use anyhow::Result;
use pavlov_run::list_runs;
use std::path::{Path, PathBuf};

/// Folder of a run given by path, by name within the folder of runs, or as `last`.
pub fn find(runs: &Path, run: &Path) -> Result<PathBuf> {
    if run.join("config.toml").is_file() {
        return Ok(run.to_path_buf());
    }
    // A folder whose making was interrupted: what can be done about it is told.
    for begun in [run.to_path_buf(), runs.join(run)] {
        if pavlov_common::own::is_ours(&begun, pavlov_run::RUN_FOLDER) && !begun.join("config.toml").is_file() {
            pavlov_run::RunFolder::open(&begun)?;
        }
    }
    let entries = list_runs(runs);
    if run == Path::new("last") {
        let last = entries.into_iter().next_back();
        return last.map(|e| e.path).ok_or_else(|| Usage(format!("no runs in {} (see --runs)", runs.display())).into());
    }
    let name = run.to_string_lossy();
    if let Some(entry) = entries.iter().find(|e| e.run == *name) {
        return Ok(entry.path.clone());
    }
    let hint = pavlov_model::did_you_mean(&name, entries.iter().map(|e| e.run.as_str()));
    Err(Usage(format!("no run `{name}`, neither there nor in {}: {hint}", runs.display())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_by_path_only_when_they_are_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(dir.path(), Path::new("last")).unwrap_err().is::<Usage>());
        let run = dir.path().join("abc");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join("config.toml"), "").unwrap();
        for given in [run.as_path(), Path::new("abc"), Path::new("last")] {
            assert_eq!(find(dir.path(), given).unwrap(), run);
        }
        let begun = dir.path().join("begun");
        pavlov_common::own::take(&begun, pavlov_run::RUN_FOLDER, &[]).unwrap();
        for given in [begun.as_path(), Path::new("begun")] {
            assert!(find(dir.path(), given).unwrap_err().to_string().contains("start it again"));
        }
        assert!(find(dir.path(), Path::new("abd")).unwrap_err().to_string().contains("`abc`"));
    }
}
