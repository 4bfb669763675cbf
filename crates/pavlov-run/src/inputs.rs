//! Copies of what a run is made from, so that it can be understood and resumed when the originals have changed.
//!
//! ```text
//! inputs/tasks/<task>.toml, <task>.rhai     inputs/assets/robots/<robot>     inputs/reward/reward.{rhai,toml}
//! inputs/rewards/lib/<module>.rhai          inputs/reward/baselines/<source>/: of the run that a `baseline` names
//! inputs/reward/files/<source>-<option>: files and folders that a source names
//! inputs/assets/vision/<model>: vision models by name      inputs/assets/robots/outside/: what a robot includes from there
//! inputs/from.safetensors: the learner that the run began with, where it began with another run's
//! ```
//! The folder is a root for [`Assets`], so that task and robot are found in it by the names they had. Where the task
//! names its robot or script by a path, or the reward the run of a baseline, the copy names the copied file instead.

use crate::config::{InputFile, RunConfig};
use crate::error::RunError;
use crate::folder::{RunFolder, read_text};
use pavlov_common::folders::files_below;
use pavlov_common::names::as_file_name;
use pavlov_common::{file, own};
use pavlov_env::{Assets, EnvError, Task};
use pavlov_learn::Ppo;
use pavlov_model::ModelError;
use pavlov_reward::{Adaptive, Reward};
use sha2::{Digest, Sha256};
use std::path::{Component, Path, PathBuf};

/// What the folder of copies is made as.
const MADE_AS: &str = "the inputs of a run";

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

    /// Copies a file, or all files below a folder.
    fn folder(&mut self, role: &str, from: &Path, relative: &str) -> Result<(), RunError> {
        if from.is_file() {
            return self.copy(role, relative, from);
        }
        let files = files_below(from).map_err(|e| RunError::io("read", &e.path, e.source))?;
        files.into_iter().try_for_each(|inside| {
            let (place, path) = (inside.to_string_lossy().replace('\\', "/"), from.join(&inside));
            // A link leads nowhere that the folder's own files may not.
            pavlov_common::fence::check(from, &place, &path).map_err(|e| RunError::Usage(e.to_string()))?;
            self.copy(role, &format!("{relative}/{place}"), &path)
        })
    }

    fn modules(&mut self, modules: Vec<(String, PathBuf)>) -> Result<(), RunError> {
        for (name, path) in modules {
            let relative = format!("inputs/rewards/{name}.rhai");
            if !self.copied.iter().any(|c| c.path == relative) {
                self.copy("module", &relative, &path)?;
            }
        }
        Ok(())
    }

    /// A place below `inputs/reward` that nothing was copied to: names of two sources may become one.
    fn free(&self, place: &str, ending: &str) -> String {
        let taken = |place: &String| {
            let place = format!("inputs/reward/{place}");
            self.copied.iter().any(|c| Path::new(&c.path).starts_with(&place))
        };
        let numbered = (1..).map(|n| if n == 1 { format!("{place}{ending}") } else { format!("{place}-{n}{ending}") });
        numbered.into_iter().find(|place| !taken(place)).unwrap_or_default()
    }
}

/// Copies everything and says what was copied.
///
/// # Errors
/// When a file cannot be read or written, or is outside of where files may be named.
pub fn copy(folder: &RunFolder, assets: &Assets, task: &Task, reward: &Reward) -> Result<Vec<InputFile>, RunError> {
    own::remove(&folder.inputs(), MADE_AS)?;
    own::take(&folder.inputs(), MADE_AS, &[])?;
    let mut to = Copier { folder, copied: Vec::new() };
    let [toml_path, robot_path, script_path] = task.inputs.as_slice() else {
        return Err(RunError::Failed(format!("task {}: expected a task file, a robot and a script", task.name)));
    };
    let name = safe(&task.name);
    let base = format!("inputs/tasks/{name}");
    let mut text = read_text(toml_path)?;
    let robot_file = file_name(robot_path);
    let mut changes: Vec<Change> = Vec::new();
    let robot = &task.file.robot;
    if *robot.get_ref() != robot_file && format!("{}.xml", robot.get_ref()) != robot_file {
        changes.push((robot.span(), format!("{robot_file:?}")));
    }
    if let Some(script) = &task.file.script {
        let script_name = format!("{}.rhai", name.rsplit('/').next().unwrap_or(&name));
        changes.push((script.span(), format!("{script_name:?}")));
    }
    replace(&mut text, changes);
    to.put("task", &format!("{base}.toml"), text.as_bytes())?;
    to.copy("script", &format!("{base}.rhai"), script_path)?;
    copy_robot(&mut to, robot_path)?;
    put_reward(&mut to, assets, reward)?;
    to.modules(task.modules())?;
    to.modules(modules(reward))?;
    Ok(to.copied)
}

/// Copies a reward and the files that its sources name to `inputs/reward`.
fn put_reward(to: &mut Copier<'_>, assets: &Assets, reward: &Reward) -> Result<(), RunError> {
    for path in reward.inputs() {
        if path.extension().is_some_and(|e| e == "toml") {
            let text = of_sources(to, assets, reward, read_text(path)?)?;
            to.put("reward", "inputs/reward/reward.toml", text.as_bytes())?;
        } else {
            to.copy("reward", "inputs/reward/reward.rhai", path)?;
        }
    }
    Ok(())
}

/// Copies a reward, and the files that its sources name, to a folder that is not there yet: whole or not at all. The
/// copy names the copies; modules and models that the original finds by name it finds as well.
///
/// # Errors
/// When a file cannot be read or written, or is outside of where files may be named.
pub fn copy_reward(assets: &Assets, reward: &Reward, folder: &Path) -> Result<(), RunError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let part = folder.with_file_name(format!(".{name}.part"));
    // What is left of a copy that was cut off is made anew.
    own::take(&part, MADE_AS, &[])?;
    own::remove(&part, MADE_AS)?;
    own::take(&part, MADE_AS, &[])?;
    let part_folder = RunFolder::at(&part);
    put_reward(&mut Copier { folder: &part_folder, copied: Vec::new() }, assets, reward)?;
    let whole = part_folder.inputs().join("reward");
    std::fs::rename(&whole, folder).map_err(|e| RunError::io("create", folder, e))?;
    Ok(own::remove(&part, MADE_AS)?)
}

/// Places in a text, and what is to stand there.
type Change = (std::ops::Range<usize>, String);

/// Makes the changes, later places first, so that earlier ones stay where they are.
fn replace(text: &mut String, mut changes: Vec<Change>) {
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    for (span, value) in changes {
        if text.get(span.clone()).is_some() {
            text.replace_range(span, &value);
        }
    }
}

/// Name and file of the modules that a reward's script imports.
fn modules(reward: &Reward) -> Vec<(String, PathBuf)> {
    reward.program().modules().map(|(name, path)| (name.to_string(), path.to_path_buf())).collect()
}

/// Copies a robot with every file that it includes: those in its folder keep their places, others stand in `outside/`,
/// and the copies name the copies.
fn copy_robot(to: &mut Copier<'_>, robot: &Path) -> Result<(), RunError> {
    let failed = |e: ModelError| RunError::Env(EnvError::Robot { path: robot.to_path_buf(), message: e.to_string() });
    let files = pavlov_model::robot_files(robot).map_err(failed)?;
    let base = robot.parent().unwrap_or(Path::new("."));
    let below = |path: &Path| -> Option<String> {
        let relative = path.strip_prefix(base).ok()?;
        let inside = relative.components().all(|c| matches!(c, Component::Normal(_)));
        relative.to_str().filter(|_| inside).map(|name| name.replace('\\', "/"))
    };
    let outside = |i: usize, path: &Path| format!("outside/{i}-{}", as_file_name(&file_name(path)));
    let places: Vec<String> =
        files.iter().enumerate().map(|(i, f)| below(&f.path).unwrap_or_else(|| outside(i, &f.path))).collect();
    for (file, place) in files.iter().zip(&places) {
        let mut text = file.text.clone();
        // As it is seen from the folder of the copy.
        let up = "../".repeat(place.matches('/').count());
        let seen = |target: &usize| format!("{up}{}", places[*target]);
        replace(&mut text, file.includes.iter().map(|(span, target)| (span.clone(), seen(target))).collect());
        to.put("robot", &format!("inputs/assets/robots/{place}"), text.as_bytes())?;
    }
    Ok(())
}

/// Copies what the baselines of a reward need of their runs, and the files that sources name; the manifest's text with
/// the copies' names.
fn of_sources(to: &mut Copier<'_>, assets: &Assets, reward: &Reward, mut text: String) -> Result<String, RunError> {
    let mut changes: Vec<Change> = Vec::new();
    for (source, options) in &reward.manifest().sources {
        let option = |key: &str| options.get(key).and_then(toml::Value::as_str);
        let outside = |key: &str, e: &dyn std::fmt::Display| {
            RunError::Usage(format!("reward {}, source `{source}`, `{key}`: {e}", reward.name()))
        };
        let mut named = |key: &str, place: &str| match place_of(&text, source, key) {
            Some(span) => {
                changes.push((span, format!("{place:?}")));
                Ok(())
            }
            None => Err(outside(key, &"it is not found in reward.toml: write it as `[sources.NAME]`")),
        };
        let kind = option("kind").unwrap_or_default();
        if let (true, Some(run)) = (is_baseline(kind), option("run")) {
            let place = to.free(&format!("baselines/{}", as_file_name(source)), "");
            let run = reward.file(run).map_err(|e| outside("run", &e))?;
            copy_run(to, &RunFolder::open(&run)?, &format!("inputs/reward/{place}"))?;
            named("run", &place)?;
        }
        if let Some(model) = pavlov_reward::vision_model(options) {
            let known = assets.roots().iter().map(|r| r.join("assets/vision").join(model)).find(|f| f.is_dir());
            let own = reward.path().join(model);
            let plain = Path::new(model).components().all(|c| matches!(c, Component::Normal(_)));
            match known {
                Some(from) if plain && !own.is_dir() => {
                    to.folder("model", &from, &format!("inputs/assets/vision/{model}"))?;
                }
                _ => {
                    let from = reward.file(model).map_err(|e| outside("model", &e))?;
                    let place = to.free(&format!("files/{}-model", as_file_name(source)), "");
                    to.folder("model", &from, &format!("inputs/reward/{place}"))?;
                    named("model", &place)?;
                }
            }
        }
        for key in pavlov_reward::file_options(kind) {
            let Some(name) = option(key) else { continue };
            let from = reward.file(name).map_err(|e| outside(key, &e))?;
            let ending = from.extension().filter(|_| from.is_file()).map(|e| format!(".{}", e.to_string_lossy()));
            let place = to.free(&format!("files/{}-{key}", as_file_name(source)), &ending.unwrap_or_default());
            to.folder(key, &from, &format!("inputs/reward/{place}"))?;
            if from.join("reward.rhai").is_file() || from.extension().is_some_and(|e| e == "rhai") {
                // A reward that judges imports modules as others do.
                to.modules(modules(&Reward::load(&from, name, reward.scene())?))?;
            }
            named(key, &place)?;
        }
    }
    replace(&mut text, changes);
    Ok(text)
}

/// Is it the kind of source whose `run` is another run?
fn is_baseline(kind: &str) -> bool {
    matches!(kind, "baseline" | "paired_baseline")
}

/// Copies of a run what playing its best policy needs.
fn copy_run(to: &mut Copier<'_>, run: &RunFolder, base: &str) -> Result<(), RunError> {
    let config = RunConfig::read(&run.config())?;
    let (best, _) = crate::checkpoint::find(run, crate::checkpoint::Which::Best)?;
    to.copy("baseline", &format!("{base}/config.toml"), &run.config())?;
    for input in &config.inputs {
        let path = inside(run, input)?;
        to.copy("baseline", &format!("{base}/{}", input.path), &path)?;
    }
    let checkpoint = best.path.strip_prefix(run.root()).map_or_else(|_| best.path.clone(), Path::to_path_buf);
    to.folder("baseline", &best.path, &format!("{base}/{}", checkpoint.display()))
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

/// Where an input of a run is.
fn inside(folder: &RunFolder, input: &InputFile) -> Result<PathBuf, RunError> {
    if Path::new(&input.path).components().all(|c| matches!(c, Component::Normal(_))) {
        return Ok(folder.root().join(&input.path));
    }
    Err(RunError::damaged(&folder.config(), format!("input `{}` is outside of the run", input.path)))
}

/// Loads task and reward of a run from their copies, which must be as they were when the run began.
///
/// # Errors
/// When a copy is missing, changed or no longer understood.
pub fn load(folder: &RunFolder, config: &RunConfig) -> Result<(Task, Reward), RunError> {
    for input in &config.inputs {
        let path = inside(folder, input)?;
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

/// Where the learner is kept that a run began with.
const START: &str = "inputs/from.safetensors";

/// Keeps the learner that a run begins with.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn keep_start(folder: &RunFolder, from: &Ppo) -> Result<InputFile, RunError> {
    let mut to = Copier { folder, copied: Vec::new() };
    to.put("from", START, &from.to_bytes()?)?;
    to.copied.pop().ok_or_else(|| RunError::Failed(format!("{START} was not kept")))
}

/// The learner that a run began with, where it began with another run's.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn start(folder: &RunFolder, config: &RunConfig) -> Result<Option<Ppo>, RunError> {
    if config.from.is_none() {
        return Ok(None);
    }
    let path = folder.root().join(START);
    let bytes = file::read(&path, file::NUMBERS).map_err(|e| RunError::io("read", &path, e))?;
    Ppo::from_bytes(&bytes).map(Some).map_err(|e| RunError::damaged(&path, e))
}

/// A task's name as a path below `tasks`: the names that listings give are left as they are.
pub(crate) fn safe(name: &str) -> String {
    let parts = name.split('/').filter(|p| !p.is_empty()).map(as_file_name);
    parts.collect::<Vec<_>>().join("/")
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "robot.xml".into(), |n| n.to_string_lossy().into_owned())
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
        config.inputs = copy(&folder, assets, &task, &reward).unwrap();
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

    #[test]
    fn files_of_sources_come_along_each_to_a_place_of_its_own() {
        let (dir, assets) = testing::assets("");
        let root = dir.path();
        let folder = root.join("rewards/cartpole_balance/default");
        for place in ["judges/one", "judges/two", "lib"] {
            std::fs::create_dir_all(root.join("rewards").join(place)).unwrap();
        }
        std::fs::write(root.join("rewards/lib/near.rhai"), "fn upright(x) { 1.0 - x * x }").unwrap();
        let judge = "import \"lib/near\" as near;\nfn reward(s) { near::upright(s.qpos[1]) }";
        for name in ["one", "two"] {
            std::fs::write(root.join(format!("rewards/judges/{name}/reward.rhai")), judge).unwrap();
        }
        let manifest = std::fs::read_to_string(folder.join("reward.toml")).unwrap();
        // Names that are the same file name, and one that would lead out.
        let source = |name: &str, judge: &str| {
            format!("[sources.\"{name}\"]\nkind = \"spo\"\njudge = \"../../judges/{judge}\"\n")
        };
        let sources = [source("a b", "one"), source("a_b", "two"), source("../..", "one")].concat();
        std::fs::write(folder.join("reward.toml"), format!("{manifest}\n{sources}")).unwrap();
        let (run, config) = run(&assets, "cartpole_balance", root);
        let paths: Vec<&str> = config.inputs.iter().map(|i| i.path.as_str()).collect();
        for place in ["a_b-judge/reward.rhai", "a_b-judge-2/reward.rhai", "_._.._-judge/reward.rhai"] {
            assert!(paths.contains(&&*format!("inputs/reward/files/{place}")), "{place}: {paths:?}");
        }
        assert!(paths.contains(&"inputs/rewards/lib/near.rhai"), "the judges' module: {paths:?}");
        std::fs::remove_dir_all(root.join("rewards")).unwrap();
        let (_, reward) = load(&run, &config).unwrap();
        for options in reward.manifest().sources.values() {
            let judge = reward.file(options["judge"].as_str().unwrap()).unwrap();
            assert!(judge.starts_with(run.inputs()) && judge.join("reward.rhai").is_file(), "{}", judge.display());
        }
    }

    #[test]
    fn what_a_source_names_is_there_and_in_the_project_when_the_run_begins() {
        let (dir, assets) = testing::assets("");
        let root = dir.path();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.rhai"), "fn reward(s) { 1.0 }").unwrap();
        let secret = outside.path().join("secret.rhai").display().to_string();
        let path = root.join("rewards/cartpole_balance/default/reward.toml");
        let manifest = std::fs::read_to_string(&path).unwrap();
        for (named, told) in [("none.rhai", "none.rhai"), (&*secret, "--allow-path")] {
            let source = format!("\n[sources.x]\nkind = \"spo\"\njudge = {named:?}\n");
            std::fs::write(&path, format!("{manifest}{source}")).unwrap();
            let task = Task::load(&assets, "cartpole_balance").unwrap();
            let reward = Reward::load(path.parent().unwrap(), "default", task.scene()).unwrap();
            let folder = RunFolder::create(root, Some(&root.join("run")), &task.name, 0).unwrap();
            let error = copy(&folder, &assets, &task, &reward).unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn vision_models_come_along_under_their_names() {
        let (dir, assets) = testing::assets("");
        let root = dir.path();
        for file in ["assets/vision/tiny/vision.toml", "models/own/vision.toml", "models/own/towers/image.onnx"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "x").unwrap();
        }
        let path = root.join("rewards/cartpole_balance/default/reward.toml");
        let manifest = std::fs::read_to_string(&path).unwrap();
        let source = |name: &str, model: &str| {
            format!("\n[sources.{name}]\nkind = \"vlm\"\ngoal = \"a pole\"\nmodel = \"{model}\"\n")
        };
        let sources = [source("named", "tiny"), source("given", "../../../models/own")].concat();
        std::fs::write(path, format!("{manifest}{sources}")).unwrap();
        let (run, config) = run(&assets, "cartpole_balance", root);
        let paths: Vec<&str> = config.inputs.iter().map(|i| i.path.as_str()).collect();
        for place in ["assets/vision/tiny/vision.toml", "reward/files/given-model/towers/image.onnx"] {
            assert!(paths.contains(&&*format!("inputs/{place}")), "{place}: {paths:?}");
        }
        let copy = std::fs::read_to_string(run.inputs().join("reward/reward.toml")).unwrap();
        assert!(copy.contains("model = \"tiny\"") && copy.contains("model = \"files/given-model\""), "{copy}");
    }
}
