//! Texts that come from elsewhere (the history, a search), put into the editor as an edit: checked and run as if they
//! were typed. They are taken back by undo, or by a button that gives back script and manifest together.

use super::check::{File, Texts};
use super::{Editor, EditorError};

/// What was put in, and what was there.
#[derive(Debug, Clone)]
pub(super) struct Brought {
    pub title: String,
    pub before: Texts,
}

impl Editor {
    /// Is there a manifest to edit? A lone script has none.
    pub fn has_manifest(&self) -> bool {
        self.manifest.is_some()
    }

    /// Keeps what is in the editor in the history, saved or not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, why: &str) -> Result<(), EditorError> {
        let texts = self.texts();
        self.history.store(&texts, why)
    }

    /// Puts the texts of another reward into the editor, as an edit of this one. It is not saved; what was here is kept
    /// in the history, and comes back by undo or by the bar over the text. `title` names it for the person.
    ///
    /// # Errors
    /// When this reward has no manifest to take the other's, or the history cannot be written. Then nothing has
    /// changed.
    pub fn bring(&mut self, ctx: &egui::Context, title: &str, script: &str, manifest: &str) -> Result<(), EditorError> {
        if self.manifest.is_none() && !manifest.trim().is_empty() {
            return Err(EditorError::NoManifest { title: title.into(), path: self.files.script.clone() });
        }
        self.keep(&format!("before {title}"))?;
        // Undo needs it, and the editor may not have been drawn yet.
        let _ = self.wake.set(ctx.clone());
        let before = self.texts();
        self.set_texts(&Texts { script: script.into(), manifest: Some(manifest.into()) });
        self.tab = File::Script;
        self.brought = Some(Brought { title: title.into(), before });
        Ok(())
    }

    /// Puts a version of the history into the editor. It can be undone, and is not saved yet.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn restore(&mut self, version: usize) -> Result<(), EditorError> {
        let Some(row) = self.history.versions.get(version) else { return Ok(()) };
        let texts = self.history.texts(row)?;
        let current = self.texts();
        self.history.store(&current, "before restoring")?;
        self.set_texts(&texts);
        Ok(())
    }

    /// What was put in from elsewhere and is neither kept nor taken back yet.
    pub fn brought(&self) -> Option<&str> {
        self.brought.as_ref().map(|b| b.title.as_str())
    }

    /// Gives back what was there before.
    pub fn take_back(&mut self) {
        if let Some(brought) = self.brought.take() {
            self.set_texts(&brought.before);
        }
    }

    /// Takes a text into the buffers, to be checked as if it were typed.
    pub(super) fn set_texts(&mut self, texts: &Texts) {
        let ctx = self.wake.get();
        self.script.put(ctx, &texts.script);
        if let (Some(code), Some(text)) = (&mut self.manifest, &texts.manifest) {
            code.put(ctx, text);
        }
    }
}
