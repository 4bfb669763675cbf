//! A reward's files on disk: read, saved whole, and watched for changes that others make.

use super::EditorError;
use super::check::Texts;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Modification time and length: differ when a file was written, but for a write of the same length within the clock's
/// grain.
type Stamp = Option<(SystemTime, u64)>;

/// The files and what they held when they were last read or written.
#[derive(Debug)]
pub(crate) struct Files {
    pub script: PathBuf,
    /// None for a lone `.rhai`.
    pub manifest: Option<PathBuf>,
    pub saved: Texts,
    stamps: [Stamp; 2],
    /// Modules that the script imports, with their stamps.
    modules: Vec<(PathBuf, Stamp)>,
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Largest text that is edited.
const LARGEST: u64 = 2 << 20;

fn read(path: &Path) -> Result<String, EditorError> {
    pavlov_common::text::read_up_to(path, LARGEST).map_err(|source| EditorError::Read { path: path.into(), source })
}

/// Replaces the text of a file: a reader sees the old text or the new one.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), EditorError> {
    pavlov_common::atomic::write(path, text.as_bytes())
        .map_err(|e| EditorError::Write { path: e.path, source: e.source })
}

/// The same for a file of the state folder.
pub(crate) fn write_state(path: &Path, text: &str) -> Result<(), EditorError> {
    pavlov_common::atomic::write(path, text.as_bytes())
        .map_err(|e| EditorError::State { path: e.path, source: e.source })
}

impl Files {
    /// Reads the folder or lone file.
    pub fn open(path: &Path) -> Result<Self, EditorError> {
        let folder = path.is_dir();
        let script = if folder { path.join("reward.rhai") } else { path.to_path_buf() };
        let manifest = folder.then(|| path.join("reward.toml"));
        let mut files = Self {
            saved: Texts { script: String::new(), manifest: None },
            stamps: [None; 2],
            script,
            manifest,
            modules: Vec::new(),
        };
        files.saved = files.load()?;
        Ok(files)
    }

    /// Reads both files and takes note of when they were written.
    fn load(&mut self) -> Result<Texts, EditorError> {
        // The stamps first: what is written in between is noticed at the next look.
        self.stamps = self.now();
        let manifest = match &self.manifest {
            // A folder may do without one: it is then an empty text, and is made when it is given one.
            Some(path) if !path.exists() => Some(String::new()),
            Some(path) => Some(read(path)?),
            None => None,
        };
        Ok(Texts { script: read(&self.script)?, manifest })
    }

    fn now(&self) -> [Stamp; 2] {
        [stamp(&self.script), self.manifest.as_deref().and_then(stamp)]
    }

    /// What is on disk, when others changed it since it was last read or written.
    pub fn changed(&mut self) -> Result<Option<Texts>, EditorError> {
        if self.now() == self.stamps {
            return Ok(None);
        }
        let texts = self.load()?;
        Ok((texts != self.saved).then_some(texts))
    }

    /// Writes what differs from what is saved; all of it when `whole`.
    pub fn save(&mut self, texts: &Texts, whole: bool) -> Result<(), EditorError> {
        if whole || texts.script != self.saved.script {
            write_whole(&self.script, &texts.script)?;
        }
        if let (Some(path), Some(text)) = (&self.manifest, &texts.manifest)
            && (whole || self.saved.manifest.as_ref() != Some(text))
        {
            write_whole(path, text)?;
        }
        self.stamps = self.now();
        self.saved = texts.clone();
        Ok(())
    }

    /// Sets the modules to watch from now on.
    pub fn watch_modules(&mut self, paths: impl Iterator<Item = PathBuf>) {
        self.modules = paths.map(|p| (p.clone(), stamp(&p))).collect();
    }

    /// Was a module written since?
    pub fn modules_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, old) in &mut self.modules {
            let now = stamp(path);
            changed |= now != *old;
            *old = now;
        }
        changed
    }
}
