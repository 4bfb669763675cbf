//! Copies of what a run is made from, so that it can be understood and resumed when the originals have changed.
//!
//! ```text
//! inputs/tasks/<task>.toml, <task>.rhai     inputs/assets/robots/<robot>     inputs/reward/reward.{rhai,toml}
//! inputs/rewards/lib/<module>.rhai          inputs/reward/baselines/<source>/: of the run that a `baseline` names
//! inputs/reward/files/<source>-<option>: files and folders that a source names
//! ```
//! The folder is a root for [`Assets`], so that task and robot are found in it by the names they had. Where the task
//! names its robot or script by a path, or the reward the run of a baseline, the copy names the copied file instead.

use crate::config::{InputFile, RunConfig};
use crate::error::RunError;
use crate::folder::{RunFolder, read_text};
use pavlov_common::file;
use pavlov_env::{Assets, Task};
use pavlov_reward::{Adaptive, Reward};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Files of one robot; more than this is no robot.
const MAX_FILES: usize = 64;

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A copier into one run folder.
struct Copier<'a> {
    folder: &'a RunFolder,
    copied: Vec<InputFile>,
}

impl Copier<'_> {
    fn put(&mut self, role: &str, relative: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.folder.root().join(relative);
        if let Some(parent) = path.parent() {
            file::make_folder_in(self.folder.root(), parent).map_err(|e| RunError::io("create", parent, e))?;
        }
        self.folder.write(&path, bytes)?;
        self.copied.push(InputFile { role: role.into(), path: relative.into(), sha256: sha256(bytes) });
        Ok(())
    }

    fn copy(&mut self, role: &str, relative: &str, from: &Path) -> Result<(), RunError> {
        let bytes = file::read(from, file::NUMBERS).map_err(|e| RunError::io("read", from, e))?;
        self.put(role, relative, &bytes)
    }
}

/// Copies everything and says what was copied.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy(folder: &RunFolder, task: &Task, reward: &Reward) -> Result<Vec<InputFile>, RunError> {
    let mut to = Copier { folder, copied: Vec::new() };
    let [toml_path, robot_path, script_path] = task.inputs.as_slice() else {
        return Err(RunError::Failed(format!("task {}: expected a task file, a robot and a script", task.name)));
    };
    let name = safe(&task.name);
    let base = format!("inputs/tasks/{name}");
    let mut text = read_text(toml_path)?;
    let robot_file = file_name(robot_path);
    // Later places first, so that earlier ones stay where they are.
    let mut changes: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let robot = &task.file.robot;
    if *robot.get_ref() != robot_file && format!("{}.xml", robot.get_ref()) != robot_file {
        changes.push((robot.span(), robot_file.clone()));
    }
    if let Some(script) = &task.file.script {
        let script_name = format!("{}.rhai", name.rsplit('/').next().unwrap_or(&name));
        changes.push((script.span(), script_name));
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    for (span, value) in changes {
        if text.get(span.clone()).is_some() {
            text.replace_range(span, &format!("{value:?}"));
        }
    }
    to.put("task", &format!("{base}.toml"), text.as_bytes())?;
    to.copy("script", &format!("{base}.rhai"), script_path)?;
    for (relative, path) in robot_files(robot_path) {
        to.copy("robot", &format!("inputs/assets/robots/{relative}"), &path)?;
    }
    for path in reward.inputs() {
        if path.extension().is_some_and(|e| e == "toml") {
            let text = of_sources(&mut to, reward, read_text(path)?)?;
            to.put("reward", "inputs/reward/reward.toml", text.as_bytes())?;
        } else {
            to.copy("reward", "inputs/reward/reward.rhai", path)?;
        }
    }
    let reward_modules = reward.program().modules().map(|(name, path)| (name.to_string(), path.to_path_buf()));
    for (name, path) in task.modules().into_iter().chain(reward_modules) {
        let relative = format!("inputs/rewards/{name}.rhai");
        if !to.copied.iter().any(|c| c.path == relative) {
            to.copy("module", &relative, &path)?;
        }
    }
    Ok(to.copied)
}

/// Copies what the baselines of a reward need of their runs, and the files that sources name; the manifest's text with
/// the copies' names.
fn of_sources(to: &mut Copier<'_>, reward: &Reward, mut text: String) -> Result<String, RunError> {
    let mut changes: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for (source, options) in &reward.manifest().sources {
        let option = |key: &str| options.get(key).and_then(toml::Value::as_str);
        let (Some("baseline"), Some(run)) = (option("kind"), option("run")) else { continue };
        let other = RunFolder::open(&reward.file(run))?;
        let config = RunConfig::read(&other.config())?;
        let (best, _) = crate::checkpoint::find(&other, crate::checkpoint::Which::Best)?;
        let place = format!("baselines/{}", crate::folder::plain(source));
        let base = format!("inputs/reward/{place}");
        to.copy("baseline", &format!("{base}/config.toml"), &other.config())?;
        for input in &config.inputs {
            to.copy("baseline", &format!("{base}/{}", input.path), &other.root().join(&input.path))?;
        }
        let checkpoint = best.path.strip_prefix(other.root()).map_or_else(|_| best.path.clone(), Path::to_path_buf);
        for (relative, path) in files_of(&best.path, &checkpoint)? {
            to.copy("baseline", &format!("{base}/{relative}"), &path)?;
        }
        if let Some(span) = place_of(&text, source, "run") {
            changes.push((span, format!("{place:?}")));
        }
    }
    for (source, options) in &reward.manifest().sources {
        let option = |key: &str| options.get(key).and_then(toml::Value::as_str);
        for key in option("kind").into_iter().flat_map(pavlov_reward::file_options) {
            let Some(named) = option(key) else { continue };
            let from = reward.file(named);
            let ending = from.extension().filter(|_| from.is_file()).map(|e| format!(".{}", e.to_string_lossy()));
            let place = format!("files/{}-{key}{}", crate::folder::plain(source), ending.unwrap_or_default());
            for (relative, path) in files_of(&from, Path::new(&place))? {
                to.copy(key, &format!("inputs/reward/{relative}"), &path)?;
            }
            if let Some(span) = place_of(&text, source, key) {
                changes.push((span, format!("{place:?}")));
            }
        }
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    changes.into_iter().for_each(|(span, value)| text.replace_range(span, &value));
    Ok(text)
}

/// Where the manifest has an option of a source.
fn place_of(text: &str, source: &str, option: &str) -> Option<std::ops::Range<usize>> {
    use toml::de::{DeTable, DeValue};
    let table = DeTable::parse(text).ok()?;
    let mut inner = table.get_ref();
    for key in ["sources", source] {
        let DeValue::Table(table) = inner.get(key)?.get_ref() else { return None };
        inner = table;
    }
    inner.get(option).map(|value| value.span())
}

/// A checkpoint's files as (path below the run, file): of a folder, or a slot.
fn files_of(checkpoint: &Path, relative: &Path) -> Result<Vec<(String, PathBuf)>, RunError> {
    let name = |path: &Path| path.to_string_lossy().replace('\\', "/");
    if checkpoint.is_file() {
        return Ok(vec![(name(relative), checkpoint.to_path_buf())]);
    }
    let entries = fs::read_dir(checkpoint).map_err(|e| RunError::io("read", checkpoint, e))?;
    let mut files: Vec<_> =
        entries.flatten().map(|e| (name(&relative.join(e.file_name())), e.path())).filter(|f| f.1.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Loads task and reward of a run from their copies, which must be as they were when the run began.
///
/// # Errors
/// When a copy is missing, changed or no longer understood.
pub fn load(folder: &RunFolder, config: &RunConfig) -> Result<(Task, Reward), RunError> {
    for input in &config.inputs {
        let path = folder.root().join(&input.path);
        let inside = Path::new(&input.path).components().all(|c| matches!(c, Component::Normal(_)));
        if !inside {
            return Err(RunError::damaged(&folder.config(), format!("input `{}` is outside of the run", input.path)));
        }
        let bytes = file::read(&path, file::NUMBERS).map_err(|e| RunError::io("read", &path, e))?;
        if sha256(&bytes) != input.sha256 {
            return Err(RunError::damaged(&path, "was changed since the run began; start a new run with the new file"));
        }
    }
    let assets = Assets::from_roots([folder.inputs()]);
    let task = Task::load(&assets, &safe(&config.task))?;
    let mut reward = Reward::load(&folder.inputs().join("reward"), &config.reward, task.scene())?;
    for (name, value) in &config.reward_params {
        reward.set_param(name, *value)?;
    }
    if let Some(graph) = reward.graph().cloned() {
        let start = Adaptive::new(&graph, config.learner.gamma).values;
        let found = graph.host.iter().zip(start).map(|(h, x)| config.references.get(&h.name).copied().unwrap_or(x));
        reward.set_host(&found.collect::<Vec<_>>());
    }
    Ok((task, reward))
}

/// A task's name as a path below `tasks`: the names that listings give are left as they are.
pub(crate) fn safe(name: &str) -> String {
    let parts = name.split('/').filter(|p| !p.is_empty()).map(|p| crate::folder::plain(p).replace("..", "_"));
    parts.collect::<Vec<_>>().join("/")
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "robot.xml".into(), |n| n.to_string_lossy().into_owned())
}

/// The robot file and what it includes, as (path below `assets/robots`, file). Includes that leave the folder are not
/// followed: a robot of that kind cannot be resumed elsewhere, and loading it says which file is missing.
fn robot_files(robot: &Path) -> Vec<(String, PathBuf)> {
    let base = robot.parent().unwrap_or(Path::new("."));
    let mut files = vec![(file_name(robot), robot.to_path_buf())];
    let mut next = 0;
    while next < files.len() && files.len() < MAX_FILES {
        let text = pavlov_common::text::read(&files[next].1).unwrap_or_default();
        let folder = files[next].1.parent().unwrap_or(base).to_path_buf();
        next += 1;
        for part in text.split("<include").skip(1) {
            let tag = part.split('>').next().unwrap_or("");
            let Some(target) = tag.split("file=").nth(1).and_then(|v| v.split(['"', '\'']).nth(1)) else { continue };
            let path = folder.join(target);
            let Some(relative) = path.strip_prefix(base).ok().and_then(Path::to_str).map(str::to_string) else {
                continue;
            };
            let inside = Path::new(&relative).components().all(|c| matches!(c, Component::Normal(_)));
            if inside && path.is_file() && !files.iter().any(|(r, _)| *r == relative) {
                files.push((relative, path));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::testing;

    fn run(assets: &Assets, task: &str, dir: &Path) -> (RunFolder, RunConfig) {
        let task = Task::load(assets, task).unwrap();
        let path = assets.reward("cartpole_balance", "default").unwrap();
        let mut reward = Reward::load(&path, "default", task.scene()).unwrap();
        let mut config = RunConfig::resolve(&task, &mut reward, &Overrides::default()).unwrap();
        let folder = RunFolder::create(dir, Some(&dir.join("run")), &task.name, 0).unwrap();
        config.inputs = copy(&folder, &task, &reward).unwrap();
        (folder, config)
    }

    #[test]
    fn copies_load_and_changed_ones_are_refused() {
        let (dir, assets) = testing::assets("");
        let (folder, config) = run(&assets, "cartpole_balance", dir.path());
        assert_eq!(config.inputs.len(), 5);
        let (task, reward) = load(&folder, &config).unwrap();
        assert_eq!((task.name.as_str(), reward.term_names().len()), ("cartpole_balance", 3));
        let path = folder.inputs().join("reward/reward.rhai");
        std::fs::write(&path, "fn reward(s) { 1.0 }").unwrap();
        let error = load(&folder, &config).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn imported_modules_come_along() {
        let (dir, assets) = testing::assets("");
        let root = dir.path();
        std::fs::create_dir_all(root.join("rewards/lib")).unwrap();
        std::fs::write(root.join("rewards/lib/near.rhai"), "fn upright(x) { 1.0 - x * x }").unwrap();
        let prepend = |file: &str, from: &str, to: &str| {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let text = format!("import \"lib/near\" as near;\n{}", text.replacen(from, to, 1));
            std::fs::write(root.join(file), text).unwrap();
        };
        prepend("rewards/cartpole_balance/default/reward.rhai", "#{", "#{ near: near::upright(s.qpos[1]),");
        let script = "tasks/cartpole_balance.rhai";
        prepend(script, "fn success", "fn unused(s) { near::upright(s.qpos[1]) }\nfn success");
        let (folder, config) = run(&assets, "cartpole_balance", root);
        std::fs::remove_dir_all(root.join("rewards")).unwrap();
        let module = config.inputs.iter().find(|i| i.role == "module").unwrap();
        assert_eq!((module.path.as_str(), config.inputs.len()), ("inputs/rewards/lib/near.rhai", 6));
        assert!(load(&folder, &config).unwrap().1.term_names().contains(&"near".to_string()));
        std::fs::write(root.join("run").join(&module.path), "fn upright(x) { 2.0 }").unwrap();
        assert!(load(&folder, &config).unwrap_err().to_string().contains("changed"));
    }

    #[test]
    fn robots_and_scripts_named_by_a_path_come_along() {
        let (dir, assets) = testing::assets("");
        let root = dir.path();
        let text = std::fs::read_to_string(root.join("tasks/cartpole_balance.toml")).unwrap();
        let text = text.replace("\"cartpole.xml\"", "\"../bots/pole.xml\"\nscript = \"cartpole_balance.rhai\"");
        std::fs::create_dir_all(root.join("tasks/deep")).unwrap();
        std::fs::create_dir_all(root.join("bots/parts")).unwrap();
        std::fs::write(root.join("tasks/moved.toml"), text).unwrap();
        let robot = std::fs::read_to_string(root.join("assets/robots/cartpole.xml")).unwrap();
        std::fs::write(root.join("bots/parts/extra.xml"), "<mujoco><option gravity=\"0 0 -9\"/></mujoco>").unwrap();
        let included = robot.replacen("<worldbody>", "<include file='parts/extra.xml'/><worldbody>", 1);
        std::fs::write(root.join("bots/pole.xml"), included).unwrap();
        let (folder, config) = run(&assets, "moved", root);
        std::fs::remove_dir_all(root.join("bots")).unwrap();
        assert_eq!(config.inputs.len(), 6);
        assert_eq!(load(&folder, &config).unwrap().0.model().opt.gravity[2], -9.0);
    }
}
