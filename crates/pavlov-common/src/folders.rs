//! Folders with what is in them: listed, copied.

use std::io;
use std::path::{Path, PathBuf};

/// Files of a folder at most.
const MOST_FILES: usize = 1_000;
/// Bytes that are copied at most.
const MOST_BYTES: u64 = 1 << 30;

/// A file or folder that could not be read or copied.
#[derive(Debug, thiserror::Error)]
#[error("cannot copy {path}: {source}", path = .path.display())]
pub struct CopyError {
    /// What was to be copied.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Files of a folder and of those in it, as paths below it, sorted. Links to files are files; folders that are links or
/// hidden are not entered; pipes and devices are passed over.
///
/// # Errors
/// When a folder cannot be read, or there are more files than belong to a model or a reward.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>, CopyError> {
    let (mut folders, mut files) = (vec![PathBuf::new()], Vec::new());
    while let Some(inside) = folders.pop() {
        let here = folder.join(&inside);
        let fail = |source| CopyError { path: here.clone(), source };
        for entry in std::fs::read_dir(&here).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let relative = inside.join(entry.file_name());
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
                folders.extend((!is_hidden).then_some(relative));
            } else if entry.path().is_file() {
                files.push(relative);
            }
        }
        if files.len() > MOST_FILES {
            let message = format!("more than {MOST_FILES} files: name the folder that is meant");
            return Err(CopyError {
                path: folder.into(),
                source: io::Error::new(io::ErrorKind::InvalidInput, message),
            });
        }
    }
    files.sort();
    Ok(files)
}

/// Copies the files of a folder ([`files_below`]) into another one that is there. `skip` names files of the folder itself
/// that are left out.
///
/// # Errors
/// When something cannot be read or written, or is more than what belongs to a reward.
pub fn copy_files(from: &Path, to: &Path, skip: &[&str]) -> Result<(), CopyError> {
    let fail = |path: &Path, source| CopyError { path: path.into(), source };
    let mut bytes = 0u64;
    for relative in files_below(from)? {
        if skip.iter().any(|name| relative == Path::new(name)) {
            continue;
        }
        let path = from.join(&relative);
        bytes = bytes.saturating_add(path.metadata().map_err(|e| fail(&path, e))?.len());
        if bytes > MOST_BYTES {
            return Err(fail(from, io::Error::other(format!("more than {} MiB", MOST_BYTES >> 20))));
        }
        let place = to.join(&relative);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent).map_err(|e| fail(parent, e))?;
        }
        let content = crate::file::read(&path, MOST_BYTES).map_err(|e| fail(&path, e))?;
        crate::atomic::write(&place, &content).map_err(|e| fail(&path, e.source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_along_and_links_to_folders_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("files/deep")).unwrap();
        std::fs::create_dir_all(from.join(".git")).unwrap();
        std::fs::create_dir_all(&to).unwrap();
        for file in ["reward.rhai", "tests.toml", "files/deep/model.bin", "files/reward.rhai", ".git/config"] {
            std::fs::write(from.join(file), file).unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path(), from.join("loop")).unwrap();
            std::os::unix::fs::symlink("tests.toml", from.join("linked.toml")).unwrap();
            std::os::unix::fs::symlink("/dev/zero", from.join("endless")).unwrap();
        }
        copy_files(&from, &to, &["reward.rhai"]).unwrap();
        for (file, there) in [
            ("tests.toml", true),
            ("files/deep/model.bin", true),
            ("files/reward.rhai", true),
            ("linked.toml", cfg!(unix)),
            ("reward.rhai", false),
            ("loop", false),
            ("endless", false),
            (".git", false),
        ] {
            assert_eq!(to.join(file).exists(), there, "{file}");
        }
        let error = copy_files(&dir.path().join("none"), &to, &[]).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        std::fs::File::create(from.join("large")).unwrap().set_len(MOST_BYTES).unwrap();
        assert!(copy_files(&from, &to, &[]).unwrap_err().to_string().contains("MiB"));
    }
}
