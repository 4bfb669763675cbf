//! The human reward that a search compares with: a copy of its own in `human/`, so that it is the same to the end,
//! whatever becomes of the file meanwhile.

use crate::error::SearchError;
use pavlov_env::{Assets, Task};
use pavlov_reward::Reward;
use std::path::Path;

/// The copy, in the search's folder.
pub(super) const COPY: &str = "human";

/// The human reward of a task; where there is none, what can be done about it.
pub(super) fn find(assets: &Assets, task: &Task, name: &str) -> Result<Reward, SearchError> {
    pavlov_run::find_reward(assets, task, Some(name)).map_err(|e| {
        SearchError::Usage(format!(
            "task {} has no reward `{name}` to compare with ({e}): give one with --human REWARD (a name, a folder or a \
             .rhai file), or begin one with `pavlov rewards new {}/{name}`",
            task.name, task.name
        ))
    })?;
    Ok(pavlov_run::load_reward(assets, task, Some(name))?)
}

/// The search's own copy, made when it begins.
pub(super) fn own_copy(assets: &Assets, task: &Task, name: &str, folder: &Path) -> Result<Reward, SearchError> {
    let copy = folder.join(COPY);
    if !copy.is_dir() {
        let reward = find(assets, task, name)?;
        pavlov_run::copy_reward(assets, &reward, &copy)?;
    }
    let called = pavlov_run::find_reward(assets, task, Some(name)).map_or_else(|_| name.to_string(), |found| found.1);
    Ok(Reward::load(&copy, &called, task.scene()).map_err(pavlov_run::RunError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_stays_when_the_file_changes_or_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let assets = Assets::from_roots([dir.path().to_path_buf(), root.to_path_buf()]);
        let task = Task::load(&assets, "cartpole_balance").unwrap();
        let search = dir.path().join("search");
        std::fs::create_dir_all(search.join(".human.part")).unwrap();
        let script = |text: &str| std::fs::write(dir.path().join("lone.rhai"), text).unwrap();
        script("fn reward(s) { #{ alive: 1.0 } }");
        let name = dir.path().join("lone.rhai").display().to_string();
        let terms = |r: &Reward| r.term_names().to_vec();
        let first = own_copy(&assets, &task, &name, &search).unwrap();
        script("fn reward(s) { #{ other: 1.0 } }");
        let again = own_copy(&assets, &task, &name, &search).unwrap();
        assert_eq!((terms(&first), first.name()), (vec!["alive".to_string()], "lone"));
        assert_eq!((terms(&again), again.name()), (terms(&first), "lone"));
        std::fs::remove_file(dir.path().join("lone.rhai")).unwrap();
        assert_eq!(terms(&own_copy(&assets, &task, &name, &search).unwrap()), terms(&first));
        // A folder comes with its manifest.
        let other = own_copy(&assets, &task, "default", &dir.path().join("other")).unwrap();
        assert_eq!(other.name(), "cartpole_balance/default");
        let manifest = std::fs::read(dir.path().join("other/human/reward.toml")).unwrap();
        assert_eq!(manifest, std::fs::read(root.join("rewards/cartpole_balance/default/reward.toml")).unwrap());
        // What it names elsewhere in its project comes along, and the copy names the copy.
        let own = dir.path().join("rewards/cartpole_balance/judged");
        let judge = dir.path().join("rewards/judges/one");
        for folder in [&own, &judge] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(judge.join("reward.rhai"), "fn reward(s) { s.qpos[0] }").unwrap();
        std::fs::write(own.join("reward.rhai"), "fn reward(s) { #{ alive: 1.0 } }").unwrap();
        let manifest = "[sources.duel]\nkind = \"spo\"\njudge = \"../../judges/one\"\n\n[combine]\nof = [\"duel\"]\n";
        std::fs::write(own.join("reward.toml"), manifest).unwrap();
        pavlov_prefs::register_sources();
        let judged = own_copy(&assets, &task, "judged", &dir.path().join("third")).unwrap();
        let named = judged.manifest().sources["duel"]["judge"].as_str().unwrap();
        assert!(judged.path().join(named).join("reward.rhai").is_file(), "{named}");
    }
}
