//! The reward of a run as the run had it: the texts of its own copy, with the parameters of its configuration. A file
//! of the same name may have changed since; then this is said.

use super::check::Texts;
use super::files::Files;
use super::params_of;
use super::place::run_of;
use pavlov_common::file;
use pavlov_env::{Assets, Task};
use pavlov_reward::with_values;
use pavlov_run::{RunConfig, RunFolder, sha256};
use similar::{ChangeTag, TextDiff};
use std::path::Path;

/// Name of the reward that a run keeps a copy of at `path`; none for what is no run's copy.
pub(super) fn name(path: &Path) -> Option<String> {
    let run = RunFolder::open(&run_of(path)?).ok()?;
    RunConfig::read(&run.config()).ok().map(|config| config.reward)
}

/// Puts a run's parameters into the texts of its copy at `path`, and says how it differs from today's reward of its
/// name. Nothing for a reward that is no run's copy.
pub(super) fn as_it_was(path: &Path, texts: &mut Texts, assets: &Assets, task: &Task) -> Option<String> {
    let run = RunFolder::open(&run_of(path)?).ok()?;
    let config = match RunConfig::read(&run.config()) {
        Ok(config) => config,
        Err(e) => return Some(format!("The parameters of the run cannot be read: {e}")),
    };
    let read = |path: &Path| Files::open(path).map(|f| f.saved);
    let mut words = vec![format!("This is {} as {} had it.", config.reward, run.name())];
    if let Some(name) = changed_input(&run, &config) {
        words.push(format!("{name} was changed since the run began: this may not be what it was trained with."));
    }
    if let Some(manifest) = &mut texts.manifest {
        *manifest = with_values(manifest, &differing(manifest, &config));
    }
    // The copy stands in `inputs/reward`, so a name that only its folder has would find it again.
    match assets.reward(&task.name, &config.reward).map(|path| read(&path)) {
        Ok(Ok(today)) => {
            words.extend(difference(texts, &today).map(|d| format!("Today's {} differs: {d}.", config.reward)))
        }
        _ => words.push(format!("There is no reward {} today.", config.reward)),
    }
    let modules = changed_modules(&run, &config, assets);
    if !modules.is_empty() {
        words.push(format!("Modules it imports have changed since: {}; here today's are used.", modules.join(", ")));
    }
    (words.len() > 1).then(|| words.join(" "))
}

/// Parameters of the run that the manifest has other values for, compared as rewards keep them.
fn differing(manifest: &str, config: &RunConfig) -> Vec<(String, f64)> {
    let params = params_of(Some(manifest)).unwrap_or_default();
    let other = |(name, x): &(&String, &f64)| params.get(*name).is_some_and(|p| p.value as f32 != **x as f32);
    config.reward_params.iter().filter(other).map(|(name, x)| (name.clone(), *x)).collect()
}

/// Script or manifest of the copy that no longer has the hash that the run noted.
fn changed_input(run: &RunFolder, config: &RunConfig) -> Option<String> {
    let is_changed =
        |path: &Path, hash: &str| file::read(path, file::NUMBERS).is_ok_and(|bytes| sha256(&bytes) != hash);
    let mut of_reward = config.inputs.iter().filter(|i| i.role == "reward");
    let changed = |i: &&pavlov_run::InputFile| is_changed(&run.inputs().join("reward").join(last(&i.path)), &i.sha256);
    of_reward.find(changed).map(|i| last(&i.path).to_string())
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Modules whose text today is another than the run's.
fn changed_modules(run: &RunFolder, config: &RunConfig, assets: &Assets) -> Vec<String> {
    let module = |i: &pavlov_run::InputFile| i.path.strip_prefix("inputs/rewards/").map(String::from);
    let of_modules = config.inputs.iter().filter(|i| i.role == "module").filter_map(|i| Some((module(i)?, &i.sha256)));
    let today = |name: &str| assets.reward_folders().into_iter().map(|f| f.join(name)).find(|p| p.is_file());
    let is_same = |(name, hash): &(String, &String)| {
        today(name).and_then(|p| file::read(&p, file::NUMBERS).ok()).is_some_and(|bytes| sha256(&bytes) == **hash)
    };
    let is_there = |(name, _): &(String, &String)| run.inputs().join("rewards").join(name).is_file();
    of_modules.filter(is_there).filter(|m| !is_same(m)).map(|(name, _)| name).collect()
}

/// What differs, in a few words; none when nothing does.
fn difference(run: &Texts, today: &Texts) -> Option<String> {
    let mut parts = Vec::new();
    let lines = |name: &str, old: &str, new: &str| {
        let diff = TextDiff::from_lines(old, new);
        let count = |tag| diff.iter_all_changes().filter(|c| c.tag() == tag).count();
        let (came, gone) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        (came + gone > 0).then(|| format!("{name} has {came} other lines in place of {gone}"))
    };
    parts.extend(lines("the script", &run.script, &today.script));
    let [old, new] = [run, today].map(|t| params_of(t.manifest.as_deref()));
    match (old, new) {
        (Some(old), Some(new)) => {
            let moved = old.iter().filter_map(|(name, p)| {
                let now = new.get(name)?.value;
                (now as f32 != p.value as f32).then(|| format!("{name} {} (today {})", p.value as f32, now as f32))
            });
            let moved: Vec<String> = moved.collect();
            let values: Vec<(String, f64)> = old.iter().map(|(name, p)| (name.clone(), p.value)).collect();
            // With the same values what is left is more than values.
            let rest = |t: &Texts| with_values(t.manifest.as_deref().unwrap_or_default(), &values);
            if !moved.is_empty() {
                parts.push(format!("parameters {}", moved.join(", ")));
            }
            parts.extend(lines("reward.toml", &rest(run), &rest(today)));
        }
        _ => parts.extend(lines(
            "reward.toml",
            run.manifest.as_deref().unwrap_or_default(),
            today.manifest.as_deref().unwrap_or_default(),
        )),
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_said_in_words() {
        let texts = |script: &str, value: f64, about: &str| Texts {
            script: script.into(),
            manifest: Some(format!("about = \"{about}\"\n[params.w]\nvalue = {value:?}\n")),
        };
        let old = texts("a\nb\n", 1.0, "x");
        assert_eq!(difference(&old, &old), None);
        assert_eq!(
            difference(&old, &texts("a\nc\nd\n", 1.0, "x")).unwrap(),
            "the script has 2 other lines in place of 1"
        );
        assert_eq!(difference(&old, &texts("a\nb\n", 2.0, "x")).unwrap(), "parameters w 1 (today 2)");
        assert_eq!(
            difference(&old, &texts("a\nb\n", 1.0, "y")).unwrap(),
            "reward.toml has 1 other lines in place of 1"
        );
        assert!(difference(&old, &Texts { script: "a\nb\n".into(), manifest: None }).unwrap().contains("reward.toml"));
    }
}
