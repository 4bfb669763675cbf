//! Files that are replaced whole or not at all: the bytes go to a temporary file in the same folder, which is then
//! renamed.
//!
//! A reader sees the old contents or the new ones, never a part of them, and a process that is killed leaves the old
//! file as it was.

use crate::file;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that could not be written. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}", path = .path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Replaces a file whole or not at all. Otherwise as [`std::fs::write`]: links are followed, a file that is there keeps
/// its permissions, and a new one gets those that the process's umask leaves.
///
/// # Errors
/// When the folder is missing or cannot be written to, or the disk is full.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    written(path, replace(&followed(path), bytes, false))
}

/// As [`write()`] for a file below a folder of ours: nothing below `root` is written through a symbolic link.
///
/// # Errors
/// As [`write()`] and [`file::no_links`].
pub fn write_in(root: &Path, path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    written(path, file::no_links(root, path).and_then(|()| replace(path, bytes, false)))
}

/// As [`write()`], and the contents are on the disk before the name points to them: a power failure leaves the old file
/// or the new one.
///
/// # Errors
/// As [`write()`].
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    written(path, replace(&followed(path), bytes, true))
}

/// A link is written through, not replaced. A file that is not there yet has no canonical path.
fn followed(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn written(path: &Path, result: io::Result<()>) -> Result<(), WriteError> {
    result.map_err(|source| WriteError { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8], flush: bool) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // Temporary files are for their owner alone unless told otherwise; the umask applies to this mode.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut part = builder.tempfile_in(folder)?;
    part.write_all(bytes)?;
    if let Ok(existing) = fs::metadata(path) {
        part.as_file().set_permissions(existing.permissions())?;
    }
    if flush {
        part.as_file().sync_all()?;
    }
    part.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write(&path, b"first").unwrap();
        write_durably(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn errors_name_the_file_and_leave_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing/a.txt");
        let error = write(&missing, b"x").unwrap_err();
        assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        let folder = dir.path().join("folder");
        fs::create_dir_all(folder.join("kept")).unwrap();
        assert!(write(&folder, b"x").is_err(), "a folder is no file");
        assert!(write(Path::new("/"), b"x").is_err());
        assert_eq!(names(dir.path()), ["folder"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_as_those_of_a_plain_write() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        fs::write(dir.path().join("plain"), "").unwrap();
        write(&dir.path().join("new"), b"").unwrap();
        assert_eq!(mode("new"), mode("plain"));
        fs::set_permissions(dir.path().join("plain"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("plain", dir.path().join("link")).unwrap();
        write(&dir.path().join("link"), b"through").unwrap();
        assert_eq!((mode("plain"), fs::read(dir.path().join("plain")).unwrap()), (0o640, b"through".to_vec()));
        assert!(fs::symlink_metadata(dir.path().join("link")).unwrap().is_symlink());
    }
}
