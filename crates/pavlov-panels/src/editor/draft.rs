//! Drafts: what is not saved, as it stands after every edit, so that it survives a closed window, a lost battery and
//! `kill -9`.
//!
//! ```text
//! drafts/<reward>.<unique>.json    a draft, replaced whole at every edit
//! drafts/<reward>.<unique>.lock    held by the studio that writes it; whoever can take it knows that nobody does
//! ```
//! They lie in the state folder, beside the history, and not beside the reward: what is edited may have come with
//! Pavlov, belong to a run or a search, or be write-protected, and two projects may each have a reward of the same
//! name. A draft is removed when its text is saved or discarded, and only then.

use super::check::Texts;
use super::history::folder_name;
use super::place::Foreign;
use super::{Editor, EditorError};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two writes of a draft, at least. An edit is on the disk after this at the latest.
const PAUSE: Duration = Duration::from_millis(90);
/// After a failure the next one is tried.
const AGAIN: Duration = Duration::from_secs(2);
/// Layout of the file.
const FORMAT: u32 = 1;
/// Largest draft that is read: both texts, written as JSON.
const LARGEST: u64 = 8 << 20;

/// Unsaved texts of a reward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    format: u32,
    /// When it was written last, UTC.
    pub time: String,
    /// The task.
    pub task: String,
    /// What the editor called it: the reward's name, or what was put in from elsewhere.
    pub title: String,
    /// Name of the reward in which it was edited.
    pub reward: String,
    /// Folder or lone file of that reward.
    pub path: PathBuf,
    /// SHA-256 of what was on the disk.
    base: String,
    script: String,
    manifest: Option<String>,
    /// Set when the text came from elsewhere: why it is not written over, and a proposal for a name.
    brought: Option<(String, String)>,
    /// Its own file.
    #[serde(skip)]
    file: PathBuf,
}

impl Draft {
    /// Drafts in a state folder that no running studio writes, oldest first, and in words what cannot be read. Damaged
    /// ones stay where they are.
    pub fn left_behind(state: &Path) -> (Vec<Self>, Vec<String>) {
        let Ok(entries) = std::fs::read_dir(folder(state)) else { return (Vec::new(), Vec::new()) };
        let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        files.retain(|p| p.extension().is_some_and(|e| e == "json"));
        files.sort();
        let (mut drafts, mut troubles) = (Vec::new(), Vec::new());
        for file in files.into_iter().filter(|f| !is_held(&f.with_extension("lock"))) {
            match Self::read(&file) {
                Ok(draft) => drafts.push(draft),
                Err(why) => {
                    let why = pavlov_common::plain(&why);
                    troubles.push(format!("unsaved edits in {} cannot be read: {why}", file.display()));
                }
            }
        }
        drafts.sort_by(|a, b| a.time.cmp(&b.time));
        (drafts, troubles)
    }

    fn read(file: &Path) -> Result<Self, String> {
        let text = pavlov_common::text::read_up_to(file, LARGEST).map_err(|e| e.to_string())?;
        let draft: Self = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        if draft.format != FORMAT {
            return Err(format!("layout version {}, this program reads {FORMAT}", draft.format));
        }
        Ok(Self { file: file.to_path_buf(), ..draft })
    }

    /// Removes it: its text is saved, restored or not wanted.
    pub fn remove(&self) {
        remove(&self.file);
    }

    fn texts(&self) -> Texts {
        Texts { script: self.script.clone(), manifest: self.manifest.clone() }
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("drafts")
}

/// Does a running studio hold this lock? Where locks cannot be had, nobody is known to.
fn is_held(lock: &Path) -> bool {
    pavlov_common::file::open(lock).is_ok_and(|f| matches!(f.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn remove(draft: &Path) {
    // What cannot be removed is offered again, which harms nobody.
    let _ = std::fs::remove_file(draft);
    let _ = std::fs::remove_file(draft.with_extension("lock"));
}

/// The draft that an editor writes. Dropping it lets go of the lock and leaves the file.
#[derive(Debug)]
pub(super) struct Writer {
    state: PathBuf,
    task: String,
    file: Option<(PathBuf, File)>,
    written: Option<Texts>,
    last: Option<Instant>,
    failed: bool,
}

impl Writer {
    pub fn new(state: &Path, task: &str) -> Self {
        let (state, task) = (state.to_path_buf(), task.to_string());
        Self { state, task, file: None, written: None, last: None, failed: false }
    }

    /// How long the next write has to wait.
    fn wait(&self) -> Duration {
        let pause = if self.failed { AGAIN } else { PAUSE };
        self.last.map_or(Duration::ZERO, |at| pause.saturating_sub(at.elapsed()))
    }

    fn write(&mut self, draft: &Draft, name: &str) -> Result<(), EditorError> {
        self.last = Some(Instant::now());
        self.failed = true;
        let (path, _) = match &self.file {
            Some(file) => file,
            None => self.file.insert(begin(&folder(&self.state), name)?),
        };
        let fail = |source: std::io::Error| EditorError::State { path: path.clone(), source };
        let text = serde_json::to_string(draft).map_err(|e| fail(e.into()))?;
        super::files::write_state(path, &text)?;
        self.failed = false;
        self.written = Some(draft.texts());
        Ok(())
    }

    /// Removes the draft, if there is one.
    pub fn clear(&mut self) {
        if let Some((path, lock)) = self.file.take() {
            remove(&path);
            drop(lock);
        }
        self.written = None;
    }
}

/// A name that no other draft has, with its lock.
fn begin(folder: &Path, name: &str) -> Result<(PathBuf, File), EditorError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let fail = |path: &Path, source| EditorError::State { path: path.to_path_buf(), source };
    std::fs::create_dir_all(folder).map_err(|e| fail(folder, e))?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let unique = format!("{nanos:x}-{}-{count}", std::process::id());
    let lock_path = folder.join(format!("{}.{unique}.lock", folder_name(name)));
    let lock = pavlov_common::file::create_in(folder, &lock_path).map_err(|e| fail(&lock_path, e))?;
    // Some network file systems cannot lock: another studio may then offer this draft too.
    let _ = lock.try_lock();
    Ok((lock_path.with_extension("json"), lock))
}

impl Editor {
    /// Writes the draft when something was edited since, and removes it when nothing is unsaved. Returns how long an
    /// edit that was just made waits.
    pub(super) fn keep_draft(&mut self) -> Option<Duration> {
        if !self.has_edits() {
            self.draft.clear();
            return None;
        }
        let texts = self.texts();
        if self.draft.written.as_ref() == Some(&texts) {
            return None;
        }
        let wait = self.draft.wait();
        if !wait.is_zero() {
            return Some(wait);
        }
        let from_elsewhere = |f: &&Foreign| f.detached && f.beside.is_none();
        let brought = self.foreign.as_ref().filter(from_elsewhere).map(|f| (f.why.clone(), f.proposal.clone()));
        let draft = Draft {
            format: FORMAT,
            time: pavlov_run::clock::now_utc(),
            task: self.draft.task.clone(),
            title: self.title().to_string(),
            reward: self.subject.name.clone(),
            // Another start may be in another folder.
            path: std::path::absolute(&self.subject.path).unwrap_or_else(|_| self.subject.path.clone()),
            base: self.base(),
            script: texts.script,
            manifest: texts.manifest,
            brought,
            file: PathBuf::new(),
        };
        let name = self.subject.name.clone();
        let written = self.draft.write(&draft, &name);
        match self.report(written) {
            Some(()) => None,
            None => Some(AGAIN),
        }
    }

    /// SHA-256 of what is on the disk.
    fn base(&self) -> String {
        let Texts { script, manifest } = &self.files.saved;
        pavlov_run::sha256(format!("{script}\0{}", manifest.as_deref().unwrap_or_default()).as_bytes())
    }

    /// Puts a draft into the editor of its reward, as an edit that is not saved. The draft's file is removed once this
    /// editor has written its own.
    ///
    /// # Errors
    /// When this reward has no manifest to take the draft's, or this editor's draft cannot be written.
    pub fn restore_draft(&mut self, ctx: &egui::Context, draft: &Draft) -> Result<(), EditorError> {
        let manifest = draft.manifest.as_deref().unwrap_or_default();
        if draft.brought.is_some() || !self.is_at(&draft.path) {
            let (why, proposal) = draft
                .brought
                .clone()
                .unwrap_or_else(|| (format!("{} is no longer where it was", draft.title), "restored".to_string()));
            let foreign = Foreign::text(&draft.title, &why, &proposal);
            self.bring(ctx, (&draft.script, manifest), foreign)?;
            if let Some(brought) = &mut self.brought {
                brought.kept = None;
            }
        } else {
            self.keep("before restoring")?;
            // Undo needs it, and the editor may not have been drawn yet.
            let _ = self.wake.set(ctx.clone());
            self.set_texts(&draft.texts());
            if self.base() != draft.base {
                let words = "The files have changed since these edits were made: saving writes over what is there now, \
                             which the history keeps.";
                self.notice = Some(words.into());
            }
        }
        self.draft.last = None;
        self.keep_draft();
        if self.has_edits() && self.draft.written.is_none() {
            return Err(EditorError::Name("the restored edits cannot be written to the folder of drafts".into()));
        }
        draft.remove();
        Ok(())
    }

    /// Is it the reward at this path?
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_path_buf());
        real(&self.subject.path) == real(path)
    }

    /// Gives up what is not saved: the texts are those on the disk again. What was here stays in the history.
    ///
    /// # Errors
    /// When the history cannot be written; then nothing has changed.
    pub fn discard(&mut self) -> Result<(), EditorError> {
        self.keep("discarded")?;
        if let Some(brought) = self.brought.take() {
            self.foreign = brought.foreign;
        }
        let saved = self.files.saved.clone();
        self.set_texts(&saved);
        self.draft.clear();
        Ok(())
    }
}
