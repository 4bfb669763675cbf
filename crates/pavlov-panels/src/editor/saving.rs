//! The editor and its files: saving, and what others write meanwhile.

use super::check::Texts;
use super::{Editor, EditorError, params_of};
use std::time::Instant;

impl Editor {
    /// Writes both files, and keeps the version if it is good. What others have written meanwhile is kept in the
    /// history.
    ///
    /// # Errors
    /// When a file cannot be written, or what is here is not the person's own: see [`Editor::save_as`].
    pub fn save(&mut self) -> Result<(), EditorError> {
        if let Some(foreign) = &self.foreign {
            return Err(EditorError::Foreign { why: foreign.why.clone() });
        }
        let texts = self.texts();
        self.log.close(&self.subject.name)?;
        let changed = self.files.changed();
        // Files that are gone or cannot be read are written anew.
        let whole = changed.is_err();
        if let Some(theirs) = changed.ok().flatten().or_else(|| self.outside.clone()).filter(|t| *t != texts) {
            self.history.store(&theirs, "on disk before saving")?;
            self.files.saved = theirs;
        }
        self.files.save(&texts, whole)?;
        self.outside = None;
        if let Some(params) = params_of(texts.manifest.as_deref()) {
            self.saved_params = params;
        }
        self.draft.clear();
        self.notice = None;
        self.history.store(&texts, "saved")
    }

    /// Saves, or asks for a name where one is needed.
    pub(super) fn save_or_ask(&mut self) {
        if self.foreign.is_none() {
            let saved = self.save();
            self.report(saved);
        } else if self.is_dirty() || self.is_detached() {
            self.wants_name = true;
        }
    }

    /// Looks for changes that others made on disk.
    pub(super) fn look(&mut self) {
        let was_dirty = self.is_dirty();
        let changed = self.files.changed();
        if let Some(Some(texts)) = self.report(changed) {
            if was_dirty && texts != self.texts() {
                self.outside = Some(texts);
            } else {
                self.load_outside(&texts);
            }
        }
        if self.files.modules_changed() {
            self.names.read_modules();
            self.edited = Some(Instant::now());
        }
    }

    /// Takes over what others wrote.
    pub(super) fn load_outside(&mut self, texts: &Texts) {
        self.outside = None;
        self.files.saved = texts.clone();
        if let Some(params) = params_of(texts.manifest.as_deref()) {
            self.saved_params = params;
        }
        self.set_texts(texts);
    }
}
