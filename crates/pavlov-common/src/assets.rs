//! Where robots, tasks and rewards are found.
//!
//! A *root* is a folder that holds `tasks/`, `rewards/` or `assets/robots/`. They are searched in this order:
//! an explicit one, the working directory, the workspace around it (the nearest folder above with both `tasks/` and
//! `assets/`), `$PAVLOV_HOME`, and last the source tree this program was built from. A user's own `tasks/mine.toml` in the
//! working directory is thus found beside the tasks that are shipped. Rewards, and modules for scripts (`rewards/lib/`), are also
//! found in `~/.config/pavlov/rewards`, after all of these.

use crate::names::hint;
use std::path::{Path, PathBuf};

/// A task, reward or robot that is in none of the places searched.
#[derive(Debug, thiserror::Error)]
#[error("no {kind} `{name}`{hint}\n  searched: {searched}")]
pub struct NotFound {
    /// `task`, `robot`, `reward`.
    kind: &'static str,
    /// Name asked for.
    name: String,
    /// ` (did you mean ...?)`, or empty.
    hint: String,
    /// Folders searched, comma separated.
    searched: String,
}

/// The roots, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    roots: Vec<PathBuf>,
    /// The user's own rewards, after those of the roots.
    user_rewards: Option<PathBuf>,
}

/// `$XDG_CONFIG_HOME/pavlov/rewards`, or `~/.config/pavlov/rewards`.
fn user_rewards() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let config = config.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(config.join("pavlov/rewards"))
}

/// A task that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntry {
    /// Name as used on the command line: `ant_run`, `gym/ant`.
    pub name: String,
    /// The TOML file.
    pub path: PathBuf,
}

/// A reward folder that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardEntry {
    /// `<task>/<name>`, for example `ant_run/default`, `gym/ant/default`.
    pub name: String,
    /// The task it was written for: `ant_run`, `gym/ant`.
    pub task: String,
    /// The folder with `reward.toml` and `reward.rhai`.
    pub path: PathBuf,
}

/// Folders are nested this deep at most (`gym/ant/default`); deeper ones are not looked into.
const MAX_DEPTH: usize = 4;

impl Assets {
    /// The usual roots; `explicit` is searched first when given.
    pub fn find(explicit: Option<&Path>) -> Self {
        let mut roots: Vec<PathBuf> = Vec::new();
        let mut add = |root: PathBuf| {
            let known =
                |r: &PathBuf| r == &root || matches!((r.canonicalize(), root.canonicalize()), (Ok(a), Ok(b)) if a == b);
            if root.is_dir() && !roots.iter().any(known) {
                roots.push(root);
            }
        };
        if let Some(root) = explicit {
            add(root.to_path_buf());
        }
        if let Ok(here) = std::env::current_dir() {
            add(here.clone());
            if let Some(root) = here.ancestors().find(|d| d.join("tasks").is_dir() && d.join("assets").is_dir()) {
                add(root.to_path_buf());
            }
        }
        if let Some(home) = std::env::var_os("PAVLOV_HOME") {
            add(PathBuf::from(home));
        }
        // Last resort: a program run where it was built.
        if let Some(source) = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2) {
            add(source.to_path_buf());
        }
        Self { roots, user_rewards: user_rewards() }
    }

    /// Only these roots.
    pub fn from_roots(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { roots: roots.into_iter().collect(), user_rewards: None }
    }

    /// With a user's folder of rewards.
    #[must_use]
    pub fn with_user_rewards(self, folder: PathBuf) -> Self {
        Self { user_rewards: Some(folder), ..self }
    }

    /// Folders of rewards: of the roots, then the user's.
    pub fn reward_folders(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|r| r.join("rewards")).chain(self.user_rewards.clone()).collect()
    }

    /// Folders in which scripts find what they import as `lib/...`.
    pub fn lib(&self) -> Vec<PathBuf> {
        self.reward_folders().into_iter().map(|f| f.join("lib")).filter(|f| f.is_dir()).collect()
    }

    /// The roots searched.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Every task, sorted by name; the first root that has a name wins.
    pub fn tasks(&self) -> Vec<TaskEntry> {
        let mut found: Vec<TaskEntry> = Vec::new();
        for root in &self.roots {
            let base = root.join("tasks");
            walk(&base, MAX_DEPTH, &mut |path| {
                if path.extension().is_some_and(|e| e == "toml")
                    && let Some(name) = relative_name(&base, &path.with_extension(""))
                    && !found.iter().any(|t| t.name == name)
                {
                    found.push(TaskEntry { name, path: path.to_path_buf() });
                }
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Every reward folder, sorted by name; the first root that has a name wins.
    pub fn rewards(&self) -> Vec<RewardEntry> {
        let mut found: Vec<RewardEntry> = Vec::new();
        for base in self.reward_folders() {
            walk(&base, MAX_DEPTH, &mut |path| {
                if path.file_name().is_some_and(|f| f == "reward.toml")
                    && let Some(folder) = path.parent()
                    && let Some(name) = relative_name(&base, folder)
                    && let Some((task, _)) = name.rsplit_once('/')
                    && !found.iter().any(|r| r.name == name)
                {
                    found.push(RewardEntry { task: task.to_string(), path: folder.to_path_buf(), name });
                }
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Every robot file (`assets/robots/**.xml`) as (name, path), sorted.
    pub fn robots(&self) -> Vec<(String, PathBuf)> {
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        for root in &self.roots {
            let base = root.join("assets/robots");
            walk(&base, MAX_DEPTH, &mut |path| {
                if path.extension().is_some_and(|e| e == "xml")
                    && let Some(name) = relative_name(&base, &path.with_extension(""))
                    && !found.iter().any(|r| r.0 == name)
                {
                    found.push((name, path.to_path_buf()));
                }
            });
        }
        found.sort();
        found
    }

    /// The TOML file of a task given by name (`ant_run`) or by path (`./mine.toml`).
    ///
    /// # Errors
    /// When there is none.
    pub fn task(&self, name: &str) -> Result<TaskEntry, NotFound> {
        if name.ends_with(".toml") {
            let path = PathBuf::from(name);
            if is_no_folder(&path) {
                let stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
                // A file inside a known `tasks/` keeps its full name, so that its rewards are found.
                let same =
                    |t: &TaskEntry| matches!((t.path.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
                let known = self.tasks().into_iter().find(same).map(|t| t.name);
                return Ok(TaskEntry { name: known.unwrap_or(stem), path });
            }
        }
        let tasks = self.tasks();
        match tasks.iter().find(|t| t.name == name) {
            Some(task) => Ok(task.clone()),
            None => Err(self.not_found("task", name, tasks.iter().map(|t| t.name.as_str()), "tasks")),
        }
    }

    /// The folder or lone `.rhai` file of a reward: a path, `<task>/<name>`, or `<name>` within `task`.
    ///
    /// # Errors
    /// When there is none.
    pub fn reward(&self, task: &str, name: &str) -> Result<PathBuf, NotFound> {
        let rewards = self.rewards();
        let full = format!("{task}/{name}");
        if let Some(reward) =
            rewards.iter().find(|r| r.name == full).or_else(|| rewards.iter().find(|r| r.name == name))
        {
            return Ok(reward.path.clone());
        }
        let path = PathBuf::from(name);
        if path.join("reward.toml").is_file()
            || path.join("reward.rhai").is_file()
            || (is_no_folder(&path) && name.ends_with(".rhai"))
        {
            return Ok(path);
        }
        Err(self.not_found("reward", name, rewards.iter().map(|r| r.name.as_str()).chain(["default"]), "rewards"))
    }

    /// A robot file: an absolute path, a path beside the file that names it, or a name in `assets/robots` (with or without `.xml`).
    ///
    /// # Errors
    /// When there is none.
    pub fn robot(&self, name: &str, beside: Option<&Path>) -> Result<PathBuf, NotFound> {
        let mut places: Vec<PathBuf> = Vec::new();
        if Path::new(name).is_absolute() {
            places.push(PathBuf::from(name));
        } else {
            places.extend(beside.map(|folder| folder.join(name)));
            for root in &self.roots {
                let base = root.join("assets/robots");
                places.push(base.join(name));
                places.push(base.join(format!("{name}.xml")));
                let stem = name.strip_suffix(".xml").unwrap_or(name);
                places.push(base.join(stem).join(format!("{stem}.xml")));
            }
            places.push(PathBuf::from(name));
        }
        match places.into_iter().find(|p| is_no_folder(p)) {
            Some(path) => Ok(path),
            None => Err(self.not_found("robot", name, self.robots().iter().map(|r| r.0.as_str()), "assets/robots")),
        }
    }

    /// Is this file, itself and not by a link, one of the robots of the roots?
    pub fn has_robot(&self, file: &Path) -> bool {
        let folders = self.roots.iter().map(|root| root.join("assets/robots"));
        let Ok(file) = file.canonicalize() else { return false };
        folders.filter_map(|folder| folder.canonicalize().ok()).any(|folder| file.starts_with(folder))
    }

    fn not_found<'a>(
        &self,
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
        folder: &str,
    ) -> NotFound {
        let user = self.user_rewards.iter().filter(|_| folder == "rewards");
        let places = self.roots.iter().map(|r| r.join(folder)).chain(user.cloned());
        let searched: Vec<String> = places.map(|p| p.display().to_string()).collect();
        NotFound { kind, name: name.to_string(), hint: hint(name, known), searched: searched.join(", ") }
    }
}

/// Is something there that reading says more about: a file, or what only looks like one?
fn is_no_folder(path: &Path) -> bool {
    path.exists() && !path.is_dir()
}

/// Path of `path` below `base` with forward slashes; none when it is not UTF-8.
fn relative_name(base: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(base).ok()?.iter().map(|p| p.to_str()).collect();
    Some(parts?.join("/"))
}

/// Calls `visit` for every file below `folder`, in sorted order. Folders that cannot be read are as good as absent.
fn walk(folder: &Path, depth: usize, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, visit);
            }
        } else {
            visit(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn finds_by_name_and_prefers_the_first_root() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for f in ["a/tasks/walk.toml", "b/tasks/walk.toml", "b/tasks/gym/ant.toml", "b/assets/robots/ant.xml"] {
            touch(&dir.path().join(f));
        }
        for f in ["b/rewards/gym/ant/default/reward.toml", "b/rewards/walk/default/reward.toml"] {
            touch(&dir.path().join(f));
        }
        let assets = Assets::from_roots([a.clone(), b.clone()]);
        let names: Vec<String> = assets.tasks().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["gym/ant", "walk"]);
        assert_eq!(assets.task("walk").unwrap().path, a.join("tasks/walk.toml"));
        assert_eq!(assets.reward("gym/ant", "default").unwrap(), b.join("rewards/gym/ant/default"));
        assert_eq!(assets.reward("gym/ant", "walk/default").unwrap(), b.join("rewards/walk/default"));
        assert_eq!(assets.robot("ant.xml", None).unwrap(), b.join("assets/robots/ant.xml"));
        assert_eq!(assets.robot("ant", None).unwrap(), b.join("assets/robots/ant.xml"));
        // The user's own rewards come last, and their modules too.
        touch(&dir.path().join("own/walk/mine/reward.toml"));
        touch(&dir.path().join("own/walk/default/reward.toml"));
        touch(&dir.path().join("own/lib/gait.rhai"));
        let assets = assets.with_user_rewards(dir.path().join("own"));
        assert_eq!(assets.reward("walk", "mine").unwrap(), dir.path().join("own/walk/mine"));
        assert_eq!(assets.reward("walk", "default").unwrap(), b.join("rewards/walk/default"));
        assert_eq!(assets.lib(), [dir.path().join("own/lib")]);
    }

    #[test]
    fn a_slip_gets_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        touch(&dir.path().join("tasks/ant_run.toml"));
        let error = Assets::from_roots([dir.path().to_path_buf()]).task("ant_rum").unwrap_err().to_string();
        assert!(error.contains("did you mean `ant_run`?"), "{error}");
    }
}
