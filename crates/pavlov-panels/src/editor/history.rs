//! Versions of a reward as they were saved or ran: `history/<reward>/` in the state folder.
//!
//! ```text
//! <hash>/reward.rhai, reward.toml   a version, named by the SHA-256 of its texts (16 digits); itself a reward folder
//! versions.jsonl                    when, hash, what changed, why it was kept; one line each, only appended to
//! ```

use super::EditorError;
use super::check::Texts;
use super::files::write_state;
use pavlov_reward::Manifest;
use serde::{Deserialize, Serialize};
use similar::{ChangeTag, TextDiff};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// When it was kept, UTC.
    pub time: String,
    /// Names its folder.
    pub hash: String,
    /// What changed against the version before.
    pub summary: String,
    /// Why it was kept: `opened`, `saved`, `ran 5 s`, `restored`.
    pub why: String,
}

/// The list, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    folder: PathBuf,
    pub versions: Vec<Version>,
}

/// A name as one part of a path: other characters than letters and digits become `_`, and a hash keeps different names
/// apart.
pub(crate) fn folder_name(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect();
    format!("{}-{}", safe.trim_matches('.'), &pavlov_run::sha256(name.as_bytes())[..8])
}

/// Appends one line of JSON.
pub(crate) fn append(path: &Path, row: &impl Serialize) -> Result<(), EditorError> {
    let fail = |source: std::io::Error| EditorError::State { path: path.into(), source };
    let mut line = serde_json::to_string(row).map_err(|e| fail(e.into()))?;
    line.push('\n');
    let file = pavlov_common::file::append(path);
    file.and_then(|mut f| f.write_all(line.as_bytes())).map_err(fail)
}

/// Rows of a file of JSON lines. A last line that was cut off is passed over, and closed so that the next row starts
/// anew.
pub(crate) fn rows<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>, EditorError> {
    let text = match pavlov_common::text::read_up_to(path, pavlov_common::file::NUMBERS) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(EditorError::Read { path: path.into(), source }),
    };
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let last = i + 1 == text.lines().count() && !text.ends_with('\n');
        match serde_json::from_str(line) {
            Ok(row) => out.push(row),
            Err(_) if last => {}
            Err(e) => return Err(EditorError::Row { path: path.into(), line: i + 1, message: e.to_string() }),
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        // The cut line is dropped, so that what follows can be read.
        let kept = text.rfind('\n').map_or("", |at| &text[..=at]);
        let whole = text.lines().last().is_some_and(|l| serde_json::from_str::<T>(l).is_ok());
        let closed = if whole { format!("{text}\n") } else { kept.to_string() };
        write_state(path, &closed)?;
    }
    Ok(out)
}

impl History {
    /// The history of the reward called `name` in a state folder.
    pub fn open(state: &Path, name: &str) -> Result<Self, EditorError> {
        let folder = state.join("history").join(folder_name(name));
        std::fs::create_dir_all(&folder).map_err(|source| EditorError::State { path: folder.clone(), source })?;
        let versions = rows(&folder.join("versions.jsonl"))?;
        Ok(Self { folder, versions })
    }

    fn hash(texts: &Texts) -> String {
        // The length in front keeps (script, manifest) apart from another cut of the same bytes.
        let manifest = texts.manifest.as_deref().unwrap_or("");
        let text = format!("{}\n{}{manifest}", texts.script.len(), texts.script);
        pavlov_run::sha256(text.as_bytes())[..16].to_string()
    }

    /// Keeps a version, if it differs from the newest one.
    pub fn store(&mut self, texts: &Texts, why: &str) -> Result<(), EditorError> {
        let hash = Self::hash(texts);
        if self.versions.last().is_some_and(|v| v.hash == hash) {
            return Ok(());
        }
        let folder = self.folder.join(&hash);
        std::fs::create_dir_all(&folder).map_err(|source| EditorError::State { path: folder.clone(), source })?;
        write_state(&folder.join("reward.rhai"), &texts.script)?;
        if let Some(manifest) = &texts.manifest {
            write_state(&folder.join("reward.toml"), manifest)?;
        }
        let summary = match self.versions.last().map(|v| self.texts(v)) {
            Some(old) => summary(&old?, texts),
            None => "first version".into(),
        };
        let row = Version { time: pavlov_run::clock::now_utc(), hash, summary, why: why.into() };
        append(&self.folder.join("versions.jsonl"), &row)?;
        self.versions.push(row);
        Ok(())
    }

    /// Texts of a version.
    pub fn texts(&self, version: &Version) -> Result<Texts, EditorError> {
        let folder = self.folder.join(&version.hash);
        let read = |name: &str| {
            let path = folder.join(name);
            pavlov_common::text::read(&path).map_err(|source| EditorError::Read { path, source })
        };
        let manifest = folder.join("reward.toml").exists().then(|| read("reward.toml")).transpose()?;
        Ok(Texts { script: read("reward.rhai")?, manifest })
    }
}

/// What changed, in a few words: parameters by name, lines of the script, other lines of the manifest.
fn summary(old: &Texts, new: &Texts) -> String {
    let mut parts = Vec::new();
    let count = |old: &str, new: &str| {
        let diff = TextDiff::from_lines(old, new);
        let count_of = |tag| diff.iter_all_changes().filter(|c| c.tag() == tag).count();
        (count_of(ChangeTag::Insert), count_of(ChangeTag::Delete))
    };
    let (more, less) = count(&old.script, &new.script);
    if more + less > 0 {
        parts.push(format!("script +{more} -{less}"));
    }
    let (old_text, new_text) = (old.manifest.as_deref().unwrap_or(""), new.manifest.as_deref().unwrap_or(""));
    let read = |text: &str| toml::from_str::<Manifest>(text).unwrap_or_default();
    let (old_m, new_m) = (read(old_text), read(new_text));
    for (name, p) in &new_m.params {
        match old_m.params.get(name) {
            None => parts.push(format!("{name} added")),
            Some(o) if o.value != p.value => parts.push(format!("{name} {} to {}", o.value, p.value)),
            _ => {}
        }
    }
    parts.extend(old_m.params.keys().filter(|n| !new_m.params.contains_key(*n)).map(|n| format!("{n} gone")));
    if old_text != new_text && old_m.params == new_m.params {
        let (more, less) = count(old_text, new_text);
        parts.push(format!("manifest +{more} -{less}"));
    }
    if parts.is_empty() { "as before".into() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str, w: f64) -> Texts {
        Texts { script: script.into(), manifest: Some(format!("[params.w]\nvalue = {w:?}\n")) }
    }

    #[test]
    fn versions_are_kept_once_described_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path(), "ant/default").unwrap();
        let (a, b) = (texts("fn reward(s) { 1.0 }\n", 1.0), texts("fn reward(s) {\n 2.0 }\n", 2.5));
        history.store(&a, "opened").unwrap();
        history.store(&a, "saved").unwrap();
        history.store(&b, "saved").unwrap();
        history.store(&a, "restored").unwrap();
        let again = History::open(dir.path(), "ant/default").unwrap();
        let summaries: Vec<&str> = again.versions.iter().map(|v| v.summary.as_str()).collect();
        assert_eq!(summaries, ["first version", "script +2 -1, w 1 to 2.5", "script +1 -2, w 2.5 to 1"]);
        assert_eq!(again.versions[0].hash, again.versions[2].hash);
        assert_eq!(again.texts(&again.versions[1]).unwrap(), b);
        assert!(History::open(dir.path(), "ant_default").unwrap().versions.is_empty(), "names stay apart");
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_hide_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path(), "r").unwrap();
        history.store(&texts("a", 1.0), "saved").unwrap();
        let path = history.folder.join("versions.jsonl");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"time\":\"20")).unwrap();
        let mut again = History::open(dir.path(), "r").unwrap();
        assert_eq!(again.versions.len(), 1);
        again.store(&texts("b", 1.0), "saved").unwrap();
        assert_eq!(History::open(dir.path(), "r").unwrap().versions.len(), 2);
        std::fs::write(&path, format!("nonsense\n{whole}")).unwrap();
        let error = History::open(dir.path(), "r").unwrap_err().to_string();
        assert!(error.contains("versions.jsonl:1"), "{error}");
    }
}
