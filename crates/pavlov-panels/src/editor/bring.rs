//! Texts that come from elsewhere (the history, a search), put into the editor as an edit: checked and run as if they
//! were typed. They are taken back by undo, or by a button that gives back script and manifest together.

use super::check::{File, Texts};
use super::place::Foreign;
use super::{Editor, EditorError};

/// What was put in, and what was there.
#[derive(Debug, Clone)]
pub(super) struct Brought {
    pub before: Texts,
    pub foreign: Option<Foreign>,
    /// What was put in, where it is kept elsewhere: unchanged, it is no edit of the person's.
    pub kept: Option<Texts>,
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

    /// Puts the texts of another reward (script, manifest) into the editor. They are not saved, and saving asks for a
    /// name of their own; what was here is kept in the history, and comes back by undo or by the bar over the text.
    /// `from` says where they come from.
    ///
    /// # Errors
    /// When this reward has no manifest to take the other's, or the history cannot be written. Then nothing has
    /// changed.
    pub fn bring(
        &mut self,
        ctx: &egui::Context,
        (script, manifest): (&str, &str),
        from: Foreign,
    ) -> Result<(), EditorError> {
        if self.manifest.is_none() && !manifest.trim().is_empty() {
            return Err(EditorError::NoManifest { title: from.title, path: self.files.script.clone() });
        }
        self.keep(&format!("before {}", from.title))?;
        // Undo needs it, and the editor may not have been drawn yet.
        let _ = self.wake.set(ctx.clone());
        let before = self.texts();
        self.set_texts(&Texts { script: script.into(), manifest: Some(manifest.into()) });
        self.tab = File::Script;
        self.brought = Some(Brought { before, foreign: self.foreign.replace(from), kept: Some(self.texts()) });
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
        self.brought.as_ref().map(|_| self.title())
    }

    /// Gives back what was there before. What is here now stays in the history.
    pub fn take_back(&mut self) {
        let kept = self.keep("before taking back");
        if self.report(kept).is_some()
            && let Some(brought) = self.brought.take()
        {
            self.foreign = brought.foreign;
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
