//! Saving under another name: a reward folder of the person's own, which the editor then works on.

use super::check::{Checker, File};
use super::code::Code;
use super::files::{Files, write_whole};
use super::history::History;
use super::params::ChangeLog;
use super::tokens::Language;
use super::{Editor, EditorError, Subject};
use pavlov_common::folders::copy_files;
use pavlov_common::shipped::{check_reward_name, name_part};
use std::path::Path;

impl Editor {
    /// Why saving asks for a name, and a proposal for one; none when what is here is the person's own.
    pub fn asks_name(&self) -> Option<(&str, String)> {
        let foreign = self.foreign.as_ref()?;
        Some((&foreign.why, self.assets.free_reward_name(&self.own_task(), &foreign.proposal)))
    }

    /// Is the text that of no reward that can be trained by its name?
    pub fn is_detached(&self) -> bool {
        self.foreign.as_ref().is_some_and(|f| f.detached)
    }

    /// The task as the first part of a reward's name.
    fn own_task(&self) -> String {
        self.task.split('/').map(name_part).collect::<Vec<_>>().join("/")
    }

    /// Writes a copy called `name` (`TASK/NAME`) where the person's own rewards are, and works on it from now on. What
    /// the reward had beside its two files comes along. What was copied from is not touched.
    ///
    /// # Errors
    /// When there is no such place, the name cannot be taken, or a file cannot be read or written; nothing is then
    /// left.
    pub fn save_as(&mut self, name: &str) -> Result<(), EditorError> {
        let task = self.own_task();
        let refuse = |why: String| Err(EditorError::Name(why));
        if let Err(why) = check_reward_name(name) {
            return refuse(why);
        }
        if name.rsplit_once('/').is_none_or(|(of, _)| of != task) {
            return refuse(format!("`{name}`: a reward of this task is called {task}/NAME"));
        }
        if self.assets.rewards().iter().any(|r| r.name.eq_ignore_ascii_case(name)) {
            return refuse(format!("there is a reward {name} already: take another name"));
        }
        let Some(base) = self.assets.own_rewards() else {
            return refuse(
                "there is no folder for rewards of your own: give a project of yours with --assets DIR".into(),
            );
        };
        let folder = base.join(name);
        let fail = |path: &Path, source| EditorError::Write { path: path.into(), source };
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).map_err(|e| fail(parent, e))?;
        }
        // Fails when it is there: what is somebody's is not written over.
        std::fs::create_dir(&folder).map_err(|e| fail(&folder, e))?;
        let moved = self.fill(&folder).and_then(|()| self.move_to(&folder, name));
        if moved.is_err() {
            // It was made above and holds nothing but copies.
            let _ = std::fs::remove_dir_all(&folder);
        }
        moved
    }

    fn fill(&self, folder: &Path) -> Result<(), EditorError> {
        if let Some(beside) = self.foreign.as_ref().and_then(|f| f.beside.as_deref()) {
            copy_files(beside, folder, &["reward.rhai", "reward.toml"])?;
        }
        let texts = self.texts();
        write_whole(&folder.join("reward.rhai"), &texts.script)?;
        let parent = self.foreign.as_ref().and_then(|f| f.parent.as_deref());
        let manifest = with_parent(texts.manifest.as_deref().unwrap_or_default(), parent);
        write_whole(&folder.join("reward.toml"), &manifest)
    }

    /// The editor's reward is the one in this folder from now on.
    fn move_to(&mut self, folder: &Path, name: &str) -> Result<(), EditorError> {
        let files = Files::open(folder)?;
        let subject = Subject { path: folder.to_path_buf(), name: name.into(), scene: self.subject.scene.clone() };
        let log = ChangeLog::open(&self.state, name)?;
        let mut history = History::open(&self.state, name)?;
        history.store(&files.saved, "saved")?;
        let checker = Checker::start(subject.clone(), self.waker()).map_err(EditorError::Thread)?;
        let old_name = self.subject.name.clone();
        self.log.close(&old_name)?;
        (self.files, self.subject, self.log, self.history, self.checker) = (files, subject, log, history, checker);
        (self.foreign, self.brought, self.outside, self.notice) = (None, None, None, None);
        let saved = self.files.saved.clone();
        if self.manifest.is_none() {
            self.manifest = saved.manifest.clone().map(|text| Code::new(text, Language::Toml, "Manifest"));
            self.tab = File::Script;
        }
        self.set_texts(&saved);
        self.saved_params = super::params_of(saved.manifest.as_deref()).unwrap_or_default();
        self.draft.clear();
        // The new checker has the text to look at: messages name the new file.
        (self.checking, self.edited) = (false, Some(std::time::Instant::now()));
        Ok(())
    }
}

/// The manifest with the name of the reward that it was made from.
fn with_parent(text: &str, parent: Option<&str>) -> String {
    let Some(parent) = parent else { return text.to_string() };
    let Ok(table) = toml::de::DeTable::parse(text) else { return text.to_string() };
    let quoted = toml::Value::String(parent.into());
    match table.get_ref().get("parent") {
        Some(value) => {
            let mut out = text.to_string();
            out.replace_range(value.span(), &quoted.to_string());
            out
        }
        None => format!("parent = {quoted}\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_named_once_and_nothing_else_changes() {
        assert_eq!(with_parent("about = \"x\"\n", Some("a/b")), "parent = \"a/b\"\nabout = \"x\"\n");
        let text = "notes = \"\"\"\nparent = 1\n\"\"\"\nparent = \"old\" # kept\n[params.parent]\nvalue = 1.0\n";
        assert_eq!(with_parent(text, Some("a/b")), text.replace("\"old\"", "\"a/b\""));
        assert_eq!(with_parent("not toml [", Some("a/b")), "not toml [");
        assert_eq!(with_parent("about = \"x\"\n", None), "about = \"x\"\n");
    }
}
