//! Whose folders and files are: nothing is removed, cleared or written over that this program did not make.
//!
//! A folder that may have to be cleared again gets a marker, a file [`MARKER`] that says what it was made as and under
//! which name, before anything else is put into it. Only a folder with its marker is taken again or removed; one that
//! was copied or moved to another name is somebody's own. What a person named to be written is new, empty, or of the
//! kind that is written.

use crate::errors::is_of_the_path;
use crate::file;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Name of the marker within a folder.
pub const MARKER: &str = ".pavlov";
/// A marker is no longer than this.
const MAX_MARKER: u64 = 4096;
/// Bytes at the beginning of a file that tell its kind.
const HEAD: usize = 16;

/// Why a folder or file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// It is somebody's own.
    #[error("{path}: {message}", path = .path.display())]
    Foreign {
        /// Folder or file.
        path: PathBuf,
        /// What it is, and what to do.
        message: String,
    },
    /// It cannot be read, made or removed.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// `read`, `create`, `remove`.
        action: &'static str,
        /// Folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OwnError {
    /// Is it the path that was given which cannot be used, rather than the system that fails?
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Foreign { .. } => true,
            Self::Io { action, source, .. } => *action == "read" || is_of_the_path(source.kind()),
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> OwnError {
    OwnError::Io { action, path: path.to_path_buf(), source }
}

fn foreign(path: &Path, message: String) -> OwnError {
    OwnError::Foreign { path: path.to_path_buf(), message }
}

/// What the marker of a folder says that was made as `what`.
fn marker(folder: &Path, what: &str) -> String {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let name = real.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    format!("made by Pavlov\nas {what}\nnamed {name}\n")
}

/// Was this folder, itself and not what a link leads to, made as `what`?
pub fn is_ours(folder: &Path, what: &str) -> bool {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    let path = folder.join(MARKER);
    if !is_folder(folder) || !is_file(&path) {
        return false;
    }
    let mut text = String::new();
    let read = file::open(&path).and_then(|marker| marker.take(MAX_MARKER).read_to_string(&mut text));
    // A kill may have cut it: then nothing else is in the folder yet.
    read.is_ok() && (text == marker(folder, what) || (text.is_empty() && is_empty(folder).unwrap_or(false)))
}

/// Is nothing in the folder but, perhaps, its marker?
fn is_empty(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.file_name() != MARKER {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes a folder as `what`, or takes one that is empty, was made as `what` before, or holds one of the files `known`,
/// which older versions left without a marker.
///
/// # Errors
/// When something else is in it, it is no folder, or it cannot be made.
pub fn take(folder: &Path, what: &str, known: &[&str]) -> Result<(), OwnError> {
    match is_empty(folder) {
        Ok(true) => {}
        Ok(false) if is_ours(folder, what) || known.iter().any(|file| folder.join(file).is_file()) => return Ok(()),
        Ok(false) => {
            let message = format!("the folder is not empty, and was not made as {what}: name another one");
            return Err(foreign(folder, message));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(|e| failed("create", folder, e))?;
        }
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            return Err(foreign(folder, "a file, where a folder is to be made: name another one".into()));
        }
        Err(e) => return Err(failed("read", folder, e)),
    }
    let path = folder.join(MARKER);
    let mut file = file::create_in(folder, &path).map_err(|e| failed("create", &path, e))?;
    file.write_all(marker(folder, what).as_bytes()).map_err(|e| failed("create", &path, e))
}

/// Removes a folder that was made as `what`, with all that is in it. One that is not there is removed already.
///
/// # Errors
/// When it was not made as `what`, or cannot be removed.
pub fn remove(folder: &Path, what: &str) -> Result<(), OwnError> {
    may_remove(folder, what)?;
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("remove", folder, e)),
        _ => Ok(()),
    }
}

/// Removes a folder that was made as `what` with these files of it; other files stay, and the folder with them.
///
/// # Errors
/// As [`remove`]; when something else is in it.
pub fn remove_only(folder: &Path, what: &str, files: &[&str]) -> Result<(), OwnError> {
    may_remove(folder, what)?;
    let others = || -> io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = entries.collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter(|name| name != MARKER && !files.contains(&name.as_str())).collect())
    };
    match others() {
        Ok(names) if names.is_empty() => remove(folder, what),
        Ok(names) => {
            let message = format!("`{}` was put into it by somebody else: move it away first", names[0]);
            Err(foreign(folder, message))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed("read", folder, e)),
    }
}

/// Is it not there, or made as `what`?
///
/// # Errors
/// When it is somebody's own.
pub fn may_remove(folder: &Path, what: &str) -> Result<(), OwnError> {
    let is_there = fs::symlink_metadata(folder).is_ok();
    if is_there && !is_ours(folder, what) {
        let message = format!("it would have to be removed, but was not made as {what} here: move it away first");
        return Err(foreign(folder, message));
    }
    Ok(())
}

/// May a file that a person named be written, as one of `kind`? Yes when there is none, an empty one, or one that begins
/// as such files do.
///
/// # Errors
/// When it is another kind of file, or no file.
pub fn may_write(path: &Path, kind: &str, begins: impl Fn(&[u8]) -> bool) -> Result<(), OwnError> {
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("read", path, e)),
        Ok(found) if found.is_dir() => return Err(foreign(path, format!("a folder: name a file for {kind}"))),
        // `/dev/null`, `/dev/stdout` and pipes take anything.
        Ok(found) if !found.is_file() => return Ok(()),
        Ok(_) => {}
    }
    let mut head = Vec::new();
    let read = file::open(path).and_then(|found| found.take(HEAD as u64).read_to_end(&mut head));
    read.map_err(|e| failed("read", path, e))?;
    if head.is_empty() || begins(&head) {
        return Ok(());
    }
    let message = format!("a file that is not {kind} would be written over: name another one, or remove it first");
    Err(foreign(path, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_here_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        take(&own, "a run", &[]).unwrap();
        fs::write(own.join("data"), "x").unwrap();
        take(&own, "a run", &[]).unwrap();
        assert!(is_ours(&own, "a run") && !is_ours(&own, "a search"));
        assert!(remove(&own, "a search").is_err());
        // Under another name it is somebody's copy.
        fs::rename(&own, dir.path().join("kept")).unwrap();
        let text = remove(&dir.path().join("kept"), "a run").unwrap_err().to_string();
        assert!(text.contains("kept") && text.contains("was not made as a run here: move it away"), "{text}");
        fs::rename(dir.path().join("kept"), &own).unwrap();
        remove(&own, "a run").unwrap();
        assert!(!own.exists());
        remove(&own, "a run").unwrap();
    }

    #[test]
    fn what_others_made_stays() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = dir.path().join("thesis");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("chapter"), "x").unwrap();
        for refused in [take(&foreign, "a run", &[]), remove(&foreign, "a run"), remove_only(&foreign, "a run", &[])] {
            assert!(refused.unwrap_err().to_string().contains("was not made as a run"));
        }
        take(&foreign, "a run", &["chapter"]).unwrap();
        assert!(!foreign.join(MARKER).exists(), "what an older version made is used as it is");
        assert!(take(&foreign.join("chapter"), "a run", &[]).unwrap_err().to_string().contains("a file"));
        let own = dir.path().join("own");
        take(&own, "a run", &[]).unwrap();
        fs::write(own.join("ours"), "").unwrap();
        fs::write(own.join("notes"), "").unwrap();
        assert!(remove_only(&own, "a run", &["ours"]).unwrap_err().to_string().contains("`notes`"));
        assert!(own.join("ours").exists());
        fs::remove_file(own.join("notes")).unwrap();
        remove_only(&own, "a run", &["ours"]).unwrap();
        assert!(!own.exists() && foreign.join("chapter").exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        take(&own, "a run", &[]).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(!is_ours(&link, "a run") && remove(&link, "a run").is_err() && own.exists());
    }

    #[test]
    fn files_are_written_over_only_by_their_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let is_log = |head: &[u8]| head.starts_with(b"{");
        may_write(&path, "a log", is_log).unwrap();
        for (text, fits) in [("", true), ("{\"a\":1}", true), ("fn reward(s) {", false)] {
            fs::write(&path, text).unwrap();
            assert_eq!(may_write(&path, "a log", is_log).is_ok(), fits, "{text}");
        }
        assert!(may_write(dir.path(), "a log", is_log).unwrap_err().to_string().contains("a folder"));
    }
}
