//! Whose the reward in the editor is. What came with Pavlov, what a run or a search keeps, and what is write-protected
//! is never written over: it is saved as a copy, under a name of its own.

use pavlov_common::shipped::{is_shipped, name_part};
use std::path::{Path, PathBuf};

/// Why a reward is not written over, and what a copy of it would be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// What the editor calls it.
    pub title: String,
    /// For the person: whose it is.
    pub why: String,
    /// Last part of a name for the copy.
    pub proposal: String,
    /// The reward that the copy is made from, for its `parent`.
    pub parent: Option<String>,
    /// Is the text not that of a reward that can be trained by its name?
    pub detached: bool,
    /// Folder whose other files belong to it, and are copied with it.
    pub beside: Option<PathBuf>,
}

impl Foreign {
    /// A text from elsewhere: it is saved under a name of its own.
    pub fn text(title: &str, why: &str, proposal: &str) -> Self {
        Self {
            title: title.into(),
            why: why.into(),
            proposal: name_part(proposal),
            parent: None,
            detached: true,
            beside: None,
        }
    }
}

/// The run whose own copy a path is in: `<run>/inputs/...`.
pub(super) fn run_of(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let inputs = path.ancestors().find(|a| a.file_name().is_some_and(|n| n == "inputs"))?;
    inputs.parent().filter(|run| run.join("config.toml").is_file()).map(Path::to_path_buf)
}

/// Whose the reward at `path` is; none for the person's own. `files` are those that saving writes.
pub(super) fn of(path: &Path, name: &str, state: &Path, files: &[&Path]) -> Option<Foreign> {
    let last = |path: &Path| path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let beside = path.is_dir().then(|| path.to_path_buf());
    if let Some(run) = run_of(path) {
        let run = last(&run);
        let (title, why) = (format!("{name} of {run}"), format!("this is the copy that run {run} keeps of its reward"));
        return Some(Foreign { beside, ..Foreign::text(&title, &why, &run) });
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if let Some(search) = real.ancestors().find(|a| a.join(pavlov_search::lineage::FILE).is_file()) {
        let search = last(search);
        let why = format!("this belongs to the search {search}");
        return Some(Foreign { beside, ..Foreign::text(name, &why, &search) });
    }
    let part = match name.rsplit('/').next().unwrap_or_default() {
        "default" | "" => "mine".to_string(),
        other => format!("{}-mine", name_part(other)),
    };
    let foreign = |why: String| {
        let parent = Some(name.to_string());
        Some(Foreign { parent, detached: false, beside, ..Foreign::text(name, &why, &part) })
    };
    let every = || std::iter::once(path).chain(files.iter().copied());
    if every().any(is_shipped) {
        return foreign(format!("{name} came with Pavlov"));
    }
    if state.canonicalize().is_ok_and(|state| real.starts_with(state)) {
        return foreign(format!("{name} is a version that the history keeps"));
    }
    if files.iter().any(|f| f.metadata().is_ok_and(|m| m.permissions().readonly())) {
        return foreign(format!("{name} is write-protected"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_others_is_known_by_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (root, state) = (dir.path(), dir.path().join("state"));
        let place = |folder: &str| {
            let path = root.join(folder);
            std::fs::create_dir_all(&path).unwrap();
            let script = path.join("reward.rhai");
            if !script.exists() {
                std::fs::write(&script, "").unwrap();
            }
            of(&path, "walk/default", &state, &[&script])
        };
        assert_eq!(place("rewards/walk/default"), None);
        // A folder called `inputs` is a run's only beside its configuration.
        assert_eq!(place("inputs/reward"), None);
        std::fs::create_dir_all(root.join("runs/walk-1")).unwrap();
        std::fs::write(root.join("runs/walk-1/config.toml"), "").unwrap();
        let run = place("runs/walk-1/inputs/reward").unwrap();
        assert!(run.why.contains("walk-1") && run.detached && run.proposal == "walk-1", "{run:?}");
        std::fs::create_dir_all(root.join("runs/search-walk-0")).unwrap();
        std::fs::write(root.join("runs/search-walk-0").join(pavlov_search::lineage::FILE), "").unwrap();
        assert!(place("runs/search-walk-0/human").is_some_and(|f| f.why.contains("search-walk-0")));
        assert!(place("state/history/walk/abc").is_some_and(|f| f.why.contains("history")));
        std::fs::write(root.join("rewards/shipped.txt"), "walk/default\n").unwrap();
        let shipped = place("rewards/walk/default").unwrap();
        assert!(shipped.why.contains("came with Pavlov") && !shipped.detached && shipped.proposal == "mine");
        assert_eq!(place("rewards/walk/mine"), None);
        #[cfg(unix)]
        {
            // A folder of one's own whose script is a link to what is shipped.
            std::fs::create_dir_all(root.join("rewards/walk/linked")).unwrap();
            let script = root.join("rewards/walk/linked/reward.rhai");
            std::os::unix::fs::symlink(root.join("rewards/walk/default/reward.rhai"), script).unwrap();
            assert!(place("rewards/walk/linked").is_some());
        }
        let mut permissions = std::fs::metadata(root.join("rewards/walk/mine/reward.rhai")).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(root.join("rewards/walk/mine/reward.rhai"), permissions).unwrap();
        assert!(place("rewards/walk/mine").is_some_and(|f| f.why.contains("write-protected")));
    }
}
