//! Which files may be named within files. What a task, a reward or a robot names lies in the folder of the file that
//! names it, in the project around that, or in a folder that the person allowed on the command line: neither `..`, nor
//! an absolute path, nor a link leads anywhere else.
//!
//! The project around a file is the nearest root it stands in: the folder whose `tasks/`, `rewards/` or `assets/` it is
//! below. The copies that a run keeps are such a root of their own.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// Folders that the person allowed, as they are without links.
static ALLOWED: RwLock<Vec<PathBuf>> = RwLock::new(Vec::new());
/// Folders of a root that hold what files name and are named by.
const PARTS: [&str; 3] = ["tasks", "rewards", "assets"];

/// A file names something outside of where it may.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{named}` leads out of {}, to {}: copy it there, or allow its folder with --allow-path {}",
    .project.display(),
    .found.display(),
    .folder.display()
)]
pub struct Outside {
    /// As it is named.
    named: String,
    /// The folder it should be in.
    project: PathBuf,
    /// What it is.
    found: PathBuf,
    /// The folder that would have to be allowed.
    folder: PathBuf,
}

/// Allows everything below a folder for the rest of the process: the person named it.
///
/// # Errors
/// When there is no such folder.
pub fn allow(folder: &Path) -> std::io::Result<()> {
    let real = folder.canonicalize()?;
    if !real.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    ALLOWED.write().unwrap_or_else(PoisonError::into_inner).push(real);
    Ok(())
}

/// The project around a folder that has no links in its path; the folder itself where there is none.
fn project(folder: &Path) -> &Path {
    let mut below: Option<&Path> = None;
    for place in folder.ancestors() {
        let part = below.and_then(Path::file_name);
        if part.is_some_and(|part| PARTS.iter().any(|name| part == *name)) {
            return place;
        }
        below = Some(place);
    }
    folder
}

/// Checks that `found`, which a file in the folder `base` names as `named`, is where it may be. What is not there leads
/// nowhere: that it is missing is told by whoever reads it.
///
/// # Errors
/// When it is outside.
pub fn check(base: &Path, named: &str, found: &Path) -> Result<(), Outside> {
    let (Ok(base), Ok(real)) = (base.canonicalize(), found.canonicalize()) else { return Ok(()) };
    let project = project(&base);
    let allowed = ALLOWED.read().unwrap_or_else(PoisonError::into_inner);
    if real.starts_with(project) || allowed.iter().any(|folder| real.starts_with(folder)) {
        return Ok(());
    }
    let folder = if real.is_dir() { real.clone() } else { real.parent().unwrap_or(&real).to_path_buf() };
    Err(Outside { named: named.into(), project: project.to_path_buf(), found: real, folder })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_stay_in_the_folder_or_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for file in ["p/tasks/a/t.toml", "p/robots/r.xml", "p/rewards/x/y/reward.toml", "lone/reward.toml", "secret"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        let inside = |base: &str, named: &str| {
            let base = root.join(base);
            check(&base, named, &base.join(named))
        };
        assert!(inside("p/tasks/a", "../../robots/r.xml").is_ok());
        assert!(inside("p/rewards/x/y", "../../../robots/r.xml").is_ok());
        assert!(inside("lone", "reward.toml").is_ok() && inside("lone", "../nothing").is_ok());
        let secret = root.join("secret").display().to_string();
        for (base, named) in
            [("p/tasks/a", "../../../secret"), ("lone", "../secret"), ("lone", &*secret), ("p/robots", "../tasks/a")]
        {
            let text = inside(base, named).unwrap_err().to_string();
            assert!(text.contains(named) && text.contains("--allow-path"), "{text}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("secret"), root.join("lone/link")).unwrap();
            assert!(inside("lone", "link").is_err());
        }
        allow(&root.join("p/tasks")).unwrap();
        assert!(inside("p/robots", "../tasks/a").is_ok());
        assert!(allow(&root.join("secret")).is_err() && allow(&root.join("none")).is_err());
    }
}
