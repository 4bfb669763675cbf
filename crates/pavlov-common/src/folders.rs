//! Folders copied with what is in them.

use std::io;
use std::path::{Path, PathBuf};

/// Files that are copied at most ...
const MOST_FILES: usize = 1_000;
/// ... and their bytes in all.
const MOST_BYTES: u64 = 1 << 30;

/// A file or folder that could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("cannot copy {path}: {source}", path = .path.display())]
pub struct CopyError {
    /// What was to be copied.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Copies the files of a folder, and of those in it, into another one that is there. `skip` names files of the folder
/// itself that are left out. Links to files are followed, folders that are links are not entered, and pipes and devices
/// are passed over.
///
/// # Errors
/// When something cannot be read or written, or is more than what belongs to a reward.
pub fn copy_files(from: &Path, to: &Path, skip: &[&str]) -> Result<(), CopyError> {
    let fail = |path: &Path, source| CopyError { path: path.into(), source };
    let (mut folders, mut files, mut bytes) = (vec![PathBuf::new()], 0, 0u64);
    while let Some(inside) = folders.pop() {
        let folder = from.join(&inside);
        for entry in std::fs::read_dir(&folder).map_err(|e| fail(&folder, e))? {
            let entry = entry.map_err(|e| fail(&folder, e))?;
            let (relative, path) = (inside.join(entry.file_name()), entry.path());
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                std::fs::create_dir_all(to.join(&relative)).map_err(|e| fail(&path, e))?;
                folders.push(relative);
                continue;
            }
            let Ok(meta) = path.metadata() else { continue };
            if !meta.is_file() || skip.iter().any(|name| relative == Path::new(name)) {
                continue;
            }
            (files, bytes) = (files + 1, bytes.saturating_add(meta.len()));
            if files > MOST_FILES || bytes > MOST_BYTES {
                let limit = format!("more than {MOST_FILES} files or {} MiB", MOST_BYTES >> 20);
                return Err(fail(from, io::Error::other(limit)));
            }
            let content = crate::file::read(&path, MOST_BYTES).map_err(|e| fail(&path, e))?;
            crate::atomic::write(&to.join(&relative), &content).map_err(|e| fail(&path, e.source))?;
        }
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
        std::fs::create_dir_all(&to).unwrap();
        for file in ["reward.rhai", "tests.toml", "files/deep/model.bin", "files/reward.rhai"] {
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
        ] {
            assert_eq!(to.join(file).exists(), there, "{file}");
        }
        let error = copy_files(&dir.path().join("none"), &to, &[]).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        std::fs::File::create(from.join("large")).unwrap().set_len(MOST_BYTES).unwrap();
        assert!(copy_files(&from, &to, &[]).unwrap_err().to_string().contains("MiB"));
    }
}
