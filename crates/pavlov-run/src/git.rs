//! The git revision of a folder, read from the repository's files: no `git` program is needed.

use pavlov_common::text;
use std::path::{Path, PathBuf};

/// Commit that the repository around `folder` is at, when there is one.
pub(crate) fn revision(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let dot_git = folder.ancestors().map(|d| d.join(".git")).find(|p| p.exists())?;
    let git = if dot_git.is_file() { linked(&dot_git)? } else { dot_git };
    // Branches of a linked work tree are in the main one.
    let common = text::read(&git.join("commondir"));
    let common = common.map_or_else(|_| git.clone(), |text| git.join(text.trim()));
    let head = text::read(&git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return commit(&head) };
    if let Ok(text) = text::read(&common.join(name)) {
        return commit(&text);
    }
    let packed = text::read(&common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| line.split_once(' ').filter(|(_, n)| *n == name)).and_then(|(hash, _)| commit(hash))
}

/// Folder that a `.git` file points to.
fn linked(file: &Path) -> Option<PathBuf> {
    let text = text::read(file).ok()?;
    Some(file.parent()?.join(text.trim().strip_prefix("gitdir: ")?))
}

fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_packed_detached_and_absent() {
        let dir = tempfile::tempdir().unwrap();
        let (git, hash) = (dir.path().join(".git"), "0123456789abcdef0123456789abcdef01234567");
        let inner = dir.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::write(git.join("HEAD"), format!("{hash}\n")).unwrap();
        assert_eq!(revision(&inner).as_deref(), Some(hash));
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(revision(&inner), None);
        std::fs::write(git.join("packed-refs"), format!("# pack\n{hash} refs/heads/main\n")).unwrap();
        assert_eq!(revision(&inner).as_deref(), Some(hash));
        std::fs::write(git.join("refs/heads/main"), "not a hash").unwrap();
        assert_eq!(revision(&inner), None);
    }
}
