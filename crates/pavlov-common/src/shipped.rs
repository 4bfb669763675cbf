//! What came with Pavlov, which is never written over, and where a person's own rewards go.
//!
//! `rewards/shipped.txt` of a source tree or an installation lists the rewards that came with it. They, the modules in
//! `rewards/lib` and everything in `tasks` and `assets` of such a tree are shipped; a reward that is not in the list is
//! the person's own, also when it lies in that tree.

use crate::assets::Assets;
use std::path::{Path, PathBuf};

/// The list, in the folder of rewards.
const LIST: &str = "shipped.txt";

/// Characters that a part of a reward's name may have.
const LONGEST: usize = 64;

/// Did this file or folder come with Pavlov? Links are followed, so that a link to what is shipped is shipped, too.
pub fn is_shipped(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let tree_of = |tree: &Path| {
        let relative = path.strip_prefix(tree).ok()?.to_path_buf();
        tree.join("rewards").join(LIST).is_file().then(|| (tree.to_path_buf(), relative))
    };
    path.ancestors().skip(1).find_map(tree_of).is_some_and(|(tree, relative)| is_of_tree(&tree, &relative))
}

/// The same for a path below the root of a tree that has a list.
fn is_of_tree(tree: &Path, relative: &Path) -> bool {
    if relative.starts_with("tasks") || relative.starts_with("assets") {
        return true;
    }
    let Ok(inside) = relative.strip_prefix("rewards") else { return false };
    // A list that cannot be read protects everything it may have named.
    let Ok(list) = crate::text::read(&tree.join("rewards").join(LIST)) else { return true };
    let names = list.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    inside.starts_with("lib") || names.map(Path::new).any(|name| inside.starts_with(name))
}

/// Can a reward be called `TASK/NAME` like this? Every part has letters, digits, `_` and `-`.
///
/// # Errors
/// In words, with what is expected.
pub fn check_reward_name(name: &str) -> Result<(), String> {
    let expected = "expected TASK/NAME of letters, digits, _ and -, for example ant_run/mine";
    let shown = crate::plain::plain(name);
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_good = |part: &str| !part.is_empty() && part.chars().all(is_letter);
    if !name.contains('/') || !name.split('/').all(is_good) {
        return Err(format!("`{shown}`: {expected}"));
    }
    if name.split('/').any(|part| part.len() > LONGEST) {
        return Err(format!("`{shown}`: a part of it is longer than {LONGEST} characters"));
    }
    if name.split('/').any(crate::names::is_device) {
        return Err(format!("`{shown}`: Windows keeps this name for a device; take another"));
    }
    if name.starts_with("lib/") {
        return Err(format!("`{shown}`: lib is the folder of modules; {expected}"));
    }
    Ok(())
}

/// A part of a name made of any text: what else it has becomes `-`, and it is never empty.
pub fn name_part(text: &str) -> String {
    let part: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let part = part.trim_matches('-').chars().take(LONGEST - 8).collect::<String>();
    if part.is_empty() { "mine".into() } else { part }
}

impl Assets {
    /// Where a person's own rewards go: the first root that has tasks or rewards and did not come with Pavlov, a
    /// project of theirs; else the user's folder. None when there is neither.
    pub fn own_rewards(&self) -> Option<PathBuf> {
        let is_own = |root: &&PathBuf| {
            let rewards = root.join("rewards");
            !rewards.join(LIST).exists() && (rewards.is_dir() || root.join("tasks").is_dir())
        };
        let folders = self.reward_folders();
        let project = self.roots().iter().find(is_own).map(|root| root.join("rewards"));
        // After those of the roots comes the user's, where there is one.
        project.or_else(|| folders.get(self.roots().len()).cloned())
    }

    /// A name for a new reward of a task that no reward has yet: `TASK/PART`, `TASK/PART-2`, ...
    pub fn free_reward_name(&self, task: &str, part: &str) -> String {
        let known: Vec<String> = self.rewards().into_iter().map(|r| r.name).collect();
        let folder = self.own_rewards();
        let is_free = |name: &String| {
            !known.contains(name) && folder.as_ref().is_none_or(|f| f.join(name).symlink_metadata().is_err())
        };
        let numbered = (2..).map(|n| format!("{task}/{part}-{n}"));
        std::iter::once(format!("{task}/{part}")).chain(numbered).find(is_free).unwrap_or_default()
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
    fn the_list_names_what_there_is() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let list = std::fs::read_to_string(tree.join("rewards").join(LIST)).unwrap();
        let names: Vec<&str> = list.lines().filter(|l| !l.starts_with('#')).collect();
        for name in &names {
            assert!(tree.join("rewards").join(name).join("reward.toml").is_file(), "{name}");
            assert!(is_shipped(&tree.join("rewards").join(name).join("reward.rhai")), "{name}");
        }
        // A task that comes with Pavlov has a reward that does.
        for task in Assets::from_roots([tree.to_path_buf()]).tasks() {
            let own = format!("{}/default", task.name);
            let is_there = tree.join("rewards").join(&own).is_dir();
            assert!(!is_there || names.contains(&own.as_str()), "{own} is not in rewards/{LIST}");
            assert!(is_shipped(&task.path));
        }
        assert!(is_shipped(&tree.join("rewards/lib/gait.rhai")));
        assert!(!is_shipped(&tree.join("README.md")) && !is_shipped(&tree.join("rewards/none/here")));
    }

    #[test]
    fn what_is_not_listed_is_ones_own_and_links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let rewards = dir.path().join("tree/rewards");
        for name in ["walk/default", "walk/mine", "walk/default-2"] {
            touch(&rewards.join(name).join("reward.toml"));
        }
        assert!(!is_shipped(&rewards.join("walk/default")));
        std::fs::write(rewards.join(LIST), "# these\nwalk/default\n").unwrap();
        assert!(is_shipped(&rewards.join("walk/default")) && is_shipped(&rewards.join("walk/default/reward.toml")));
        assert!(!is_shipped(&rewards.join("walk/mine")) && !is_shipped(&rewards.join("walk/default-2")));
        assert!(is_shipped(&rewards.join("walk/../walk/default")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(rewards.join("walk/default"), dir.path().join("link")).unwrap();
            assert!(is_shipped(&dir.path().join("link")));
        }
        std::fs::write(rewards.join(LIST), [0xff, 0xfe, 0]).unwrap();
        assert!(is_shipped(&rewards.join("walk/mine")), "a list that cannot be read protects all");
    }

    #[test]
    fn own_rewards_go_to_a_project_or_to_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, project, user) = (dir.path().join("tree"), dir.path().join("project"), dir.path().join("user"));
        touch(&tree.join("tasks/walk.toml"));
        touch(&tree.join("rewards").join(LIST));
        touch(&tree.join("rewards/walk/default/reward.toml"));
        std::fs::create_dir_all(&project).unwrap();
        let assets = Assets::from_roots([project.clone(), tree]);
        assert_eq!(assets.own_rewards(), None);
        let assets = assets.with_user_rewards(user.clone());
        assert_eq!(assets.own_rewards(), Some(user.clone()));
        touch(&project.join("tasks/mine.toml"));
        assert_eq!(assets.own_rewards(), Some(project.join("rewards")));
        assert_eq!(assets.free_reward_name("walk", "mine"), "walk/mine");
        assert_eq!(assets.free_reward_name("walk", "default"), "walk/default-2");
        touch(&project.join("rewards/walk/mine/notes.txt"));
        assert_eq!(assets.free_reward_name("walk", "mine"), "walk/mine-2");
    }

    #[test]
    fn names_are_names_and_no_paths() {
        for good in ["ant_run/mine", "gym/ant/a-1", "a/Con1", "a/common", "a/com10"] {
            assert_eq!(check_reward_name(good), Ok(()), "{good}");
        }
        let long = format!("a/{}", "b".repeat(65));
        for bad in [
            "",
            "mine",
            "a/",
            "/a",
            "a//b",
            "a/../b",
            "../a/b",
            "a/b.c",
            "a/b c",
            "a\\b/c",
            "a/ü",
            "a/b\n",
            "a/\u{1b}[2J",
            "a/nul",
            "a/COM1",
            "lib/a",
            &long,
        ] {
            let why = check_reward_name(bad).unwrap_err();
            assert!(!why.contains('\u{1b}') && !why.contains('\n'), "{why}");
        }
        let parts = ["", "a b/c", "--", "search-ant_run-0 1.2", "\u{1b}[31m"].map(name_part);
        assert_eq!(parts, ["mine", "a-b-c", "mine", "search-ant_run-0-1-2", "31m"]);
        assert!(parts.iter().all(|p| check_reward_name(&format!("t/{p}")).is_ok()));
    }
}
