//! One process at a time works on a search folder: it holds a lock on `search.lock`, which ends with the process,
//! however that ends. Readers (`show`, the studio) need none.

use crate::error::SearchError;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Name of the file within a search folder. It stays: taking it away could let two in.
pub const LOCK: &str = "search.lock";

/// A search folder that is held.
#[derive(Debug)]
pub struct Lock {
    /// Unlocked when it is closed.
    _file: File,
}

impl Lock {
    /// Takes a search folder, which is made when it is not there.
    ///
    /// # Errors
    /// When another process has it, or the file cannot be written.
    pub fn take(folder: &Path) -> Result<Self, SearchError> {
        pavlov_common::own::take(folder, "a search", &[LOCK, crate::lineage::FILE])?;
        let path = folder.join(LOCK);
        let failed = |e: std::io::Error| SearchError::file("write", &path, e);
        let mut file = pavlov_common::file::update_in(folder, &path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = (&mut file).take(20).read_to_string(&mut holder);
                let holder: String = holder.chars().filter(char::is_ascii_digit).collect();
                let holder = if holder.is_empty() { holder } else { format!(" (process {holder})") };
                return Err(SearchError::Usage(format!(
                    "{} is worked on by another `pavlov search`{holder}: wait for its end or stop it, or name another \
                     folder with --out",
                    folder.display()
                )));
            }
            // Some file systems of networks have no locks.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => return Ok(Self { _file: file }),
            Err(TryLockError::Error(e)) => return Err(SearchError::file("lock", &path, e)),
        }
        // Who holds it is told to whoever is turned away.
        let told = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map(drop);
        told.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/search");
        let held = Lock::take(&folder).unwrap();
        let error = Lock::take(&folder).unwrap_err();
        let text = error.to_string();
        assert!(error.is_bad_input() && text.contains("is worked on by another `pavlov search`"), "{text}");
        assert!(text.contains(&format!("(process {})", std::process::id())) && text.contains("--out"), "{text}");
        drop(held);
        Lock::take(&folder).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Lock::take(&file).unwrap_err().is_bad_input(), "a file is no folder: --out was wrong");
    }
}
