//! A reward read from disk and checked against a scene.

use crate::graph;
use crate::manifest::{Manifest, Param, problem};
use crate::nodes::{RewardGraph, SourceSpec, TOTAL};
use crate::read::{Fault, line_column, place};
use crate::source::{RewardSource, SourceSetup, registered};
use pavlov_common::fence::Outside;
use pavlov_script::{Diagnostics, EntryKind, Finding, Program, Scene, Script, Severity};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a reward cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RewardError {
    /// A file that could not be read.
    #[error("{path}: cannot be read: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest says something that cannot be honoured.
    #[error("{path}: {message}", path = .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A place in the manifest says something that cannot be honoured.
    #[error("{path}:{line}:{column}: {message}", path = .path.display())]
    Graph {
        /// The manifest; the reward's name when it is in no file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A source outside of the program cannot be made.
    #[error("reward `{reward}`, source `{source_name}`: {message}")]
    Source {
        /// The reward.
        reward: String,
        /// The source.
        source_name: String,
        /// What is wrong.
        message: String,
    },
    /// The script is wrong: the checker's findings.
    #[error("{0}")]
    Script(Diagnostics),
    /// There is no such parameter.
    #[error("reward `{reward}` has no parameter `{name}`: {hint}")]
    Param {
        /// The reward.
        reward: String,
        /// Name asked for.
        name: String,
        /// What was meant, or what there is.
        hint: String,
    },
}

/// A reward bound to a scene. Cheap to clone, so that variants with other parameters share a program; each runner has
/// its own scratch.
#[derive(Debug, Clone)]
pub struct Reward {
    name: String,
    path: PathBuf,
    manifest: Manifest,
    inputs: Vec<PathBuf>,
    program: Arc<Program>,
    scene: Arc<Scene>,
    graph: Option<Arc<RewardGraph>>,
    terms: Vec<String>,
    nodes: Vec<String>,
    findings: Vec<Finding>,
    values: Vec<f32>,
}

/// A longer manifest is refused.
const MAX_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> Result<String, RewardError> {
    let io = |source| RewardError::Io { path: path.to_path_buf(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        let message = format!("{size} bytes, more than the limit of {MAX_BYTES}");
        return Err(RewardError::Manifest { path: path.to_path_buf(), message });
    }
    pavlov_common::text::read(path).map_err(io)
}

/// An error whose place in the manifest is not yet known.
enum Unplaced {
    Fault(Fault),
    Other(RewardError),
}

impl From<RewardError> for Unplaced {
    fn from(e: RewardError) -> Self {
        Self::Other(e)
    }
}

fn unused(file: &str, name: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        rule: "unused-term".into(),
        file: file.into(),
        line: 0,
        column: 0,
        message: format!("`{name}` is logged, but is no part of the reward"),
        hint: "name it in `of` of [combine] or of a group".into(),
        term: name.into(),
        source: String::new(),
    }
}

impl Reward {
    /// Reads the folder (or lone `.rhai` file) at `path` and checks it against `scene`. `name` is what listings call
    /// it.
    ///
    /// # Errors
    /// [`RewardError`] with file, place and hint.
    pub fn load(path: &Path, name: &str, scene: &Arc<Scene>) -> Result<Self, RewardError> {
        let folder = path.is_dir();
        let script_path = if folder { path.join("reward.rhai") } else { path.to_path_buf() };
        let manifest_path = path.join("reward.toml");
        let mut inputs = vec![script_path.clone()];
        let mut manifest = None;
        if folder && manifest_path.exists() {
            manifest = Some(read(&manifest_path)?);
            inputs.push(manifest_path);
        }
        let mut reward = Self::from_texts(path, name, &read(&script_path)?, manifest.as_deref(), scene)?;
        reward.inputs = inputs;
        Ok(reward)
    }

    /// What [`Reward::load`] would give if the files at `path`, a folder or a lone `.rhai` file, had these texts: an
    /// editor's buffers. The reward has no [`Reward::inputs`], since nothing was read.
    ///
    /// # Errors
    /// As [`Reward::load`].
    pub fn from_texts(
        path: &Path,
        name: &str,
        script: &str,
        manifest: Option<&str>,
        scene: &Arc<Scene>,
    ) -> Result<Self, RewardError> {
        let lone = path.extension().is_some_and(|e| e == "rhai");
        let file = if lone { path.to_path_buf() } else { path.join("reward.rhai") };
        let manifest_path = path.join("reward.toml");
        let text = pavlov_common::text::unmarked(manifest.unwrap_or_default());
        let placed = |Fault { path, message }| {
            let (line, column) = place(text, &path);
            RewardError::Graph { path: manifest_path.clone(), line, column, message }
        };
        let manifest: Manifest = toml::from_str(text).map_err(|e| {
            let (line, column) = line_column(text, e.span().map_or(0, |s| s.start));
            RewardError::Graph { path: manifest_path.clone(), line, column, message: e.message().to_string() }
        })?;
        if let Some(fault) = problem(&manifest) {
            return Err(placed(fault));
        }
        let built = Self::build(name, &file.display().to_string(), script, manifest, scene);
        let mut reward = built.map_err(|e| match e {
            Unplaced::Fault(fault) => placed(fault),
            Unplaced::Other(e) => e,
        })?;
        reward.path = path.to_path_buf();
        Ok(reward)
    }

    /// A reward from text that is in no file (an editor's buffer, a candidate); `file` is what findings call it.
    ///
    /// # Errors
    /// As [`Reward::load`].
    pub fn from_text(
        name: &str,
        file: &str,
        text: &str,
        manifest: Manifest,
        scene: &Arc<Scene>,
    ) -> Result<Self, RewardError> {
        Self::build(name, file, text, manifest, scene).map_err(|e| match e {
            // Without a file a place is the keys that lead there.
            Unplaced::Fault(Fault { path, message }) => {
                let message = format!("{}: {message}", path.join("."));
                RewardError::Manifest { path: PathBuf::from(name), message }
            }
            Unplaced::Other(e) => e,
        })
    }

    fn build(name: &str, file: &str, text: &str, manifest: Manifest, scene: &Arc<Scene>) -> Result<Self, Unplaced> {
        let script = Script::parse(file, text).map_err(RewardError::Script)?;
        let params: Vec<(String, f64)> = manifest.params.iter().map(|(n, p)| (n.clone(), p.value)).collect();
        let mut program = script.compile("reward", EntryKind::Terms, scene, &params).map_err(RewardError::Script)?;
        if let Some(fault) = graph::problem_of_combine(&manifest) {
            return Err(Unplaced::Fault(fault));
        }
        let mut findings = program.findings().to_vec();
        let (mut graph, mut terms) = (None, program.outputs().to_vec());
        let mut nodes = terms.clone();
        if manifest.has_graph() {
            let (tail, built) = graph::build(&manifest, scene, &terms).map_err(Unplaced::Fault)?;
            let names = terms.clone();
            program = program.extend(tail).map_err(|e| {
                let term = &names[e.term];
                let path = ["terms", term, "transform"].map(str::to_string).to_vec();
                Unplaced::Fault(Fault { path, message: format!("a potential is of one state, `{term}` is not: {e}") })
            })?;
            findings.extend(built.unused.iter().map(|name| unused(file, name)));
            nodes.clone_from(&built.nodes);
            terms = built.nodes[..built.terms].to_vec();
            graph = Some(Arc::new(built));
        } else if !nodes.iter().any(|n| n == TOTAL) {
            nodes.push(TOTAL.into());
        }
        Ok(Self {
            name: name.into(),
            path: PathBuf::new(),
            manifest,
            inputs: Vec::new(),
            values: program.params().iter().map(|(_, x)| *x as f32).collect(),
            program: Arc::new(program),
            scene: scene.clone(),
            graph,
            terms,
            nodes,
            findings,
        })
    }

    /// What listings call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder or file; empty for text that is in no file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder that the manifest names: in the reward's own folder (so are the copies that a run keeps), else
    /// from where the program was started.
    ///
    /// # Errors
    /// When it is outside of the reward's folder, of the project around it, and of what the person allowed.
    pub fn file(&self, name: &str) -> Result<PathBuf, Outside> {
        let in_folder = self.path.join(name);
        let file = if in_folder.exists() { in_folder } else { PathBuf::from(name) };
        let own = if self.path.is_dir() { Some(self.path.as_path()) } else { self.path.parent() };
        let base = own.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        pavlov_common::fence::check(base, name, &file)?;
        Ok(file)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Files it is made of: their hashes identify it.
    pub fn inputs(&self) -> &[PathBuf] {
        &self.inputs
    }

    /// The checked script.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Names of the terms before any transform: those of the script in its order, then those of other sources.
    pub fn term_names(&self) -> &[String] {
        &self.terms
    }

    /// Names of everything that is logged: the terms, what transforms and groups make of them, and the total.
    pub fn node_names(&self) -> &[String] {
        &self.nodes
    }

    /// The graph, when the manifest has one: which outputs are what, and what changes between updates.
    pub fn graph(&self) -> Option<&Arc<RewardGraph>> {
        self.graph.as_ref()
    }

    /// Warnings of the checker.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Sources outside of the program, for a block of worlds.
    ///
    /// # Errors
    /// When one is not registered or refuses its options.
    pub fn sources(&self, setup: &SourceSetup<'_>) -> Result<Vec<Box<dyn RewardSource>>, RewardError> {
        let specs = self.graph.as_ref().map_or(&[][..], |g| &g.sources);
        let make = |spec: &SourceSpec| {
            let source = registered(&spec.plugin).and_then(|f| f(&SourceSetup { options: &spec.options, ..*setup }));
            source.map_err(|message| RewardError::Source {
                reward: self.name.clone(),
                source_name: spec.name.clone(),
                message,
            })
        };
        specs.iter().map(make).collect()
    }

    /// The same reward without its sources of a kind and their transforms.
    ///
    /// # Errors
    /// When what is left is not a valid reward.
    pub fn without_sources(&self, kind: &str) -> Result<Self, RewardError> {
        let mut manifest = self.manifest.clone();
        let of_kind = |t: &toml::Table| t.get("kind").and_then(toml::Value::as_str) == Some(kind);
        let gone: Vec<String> = manifest.sources.iter().filter(|(_, t)| of_kind(t)).map(|(n, _)| n.clone()).collect();
        for name in &gone {
            manifest.sources.remove(name);
            manifest.terms.remove(name);
        }
        let drop_gone = |list: &mut Vec<String>| list.retain(|n| !gone.contains(n));
        manifest.combine.of.iter_mut().for_each(drop_gone);
        for group in manifest.groups.values_mut() {
            if let Some(toml::Value::Array(members)) = group.get_mut("of") {
                members.retain(|n| !n.as_str().is_some_and(|n| gone.iter().any(|g| g == n)));
            }
        }
        let script = self.program.script();
        let mut reward = Self::from_text(&self.name, script.file(), script.text(), manifest, &self.scene)?;
        let params = self.manifest.params.len();
        reward.values[..params].copy_from_slice(&self.values[..params]);
        Ok(reward)
    }

    /// The scene it was checked against.
    pub fn scene(&self) -> &Arc<Scene> {
        &self.scene
    }

    /// Parameters with their present values, sorted by name.
    pub fn params(&self) -> impl Iterator<Item = (&str, f32, &Param)> {
        self.manifest.params.iter().zip(&self.values).map(|((name, p), &x)| (name.as_str(), x, p))
    }

    /// Present values of the parameters, as the program takes them.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Sets the numbers that change between updates; see [`crate::Adaptive`].
    ///
    /// # Panics
    /// When they are not as many as the graph has.
    pub fn set_host(&mut self, values: &[f64]) {
        let params = self.manifest.params.len();
        assert_eq!(values.len(), self.values.len() - params, "numbers of the host");
        self.values[params..].iter_mut().zip(values).for_each(|(to, x)| *to = *x as f32);
    }

    /// Changes a parameter.
    ///
    /// # Errors
    /// When there is no such parameter, or the value is not finite.
    pub fn set_param(&mut self, name: &str, value: f64) -> Result<(), RewardError> {
        let at = self.manifest.params.keys().position(|n| n == name);
        match at {
            Some(i) if value.is_finite() => {
                self.values[i] = value as f32;
                Ok(())
            }
            Some(_) => {
                let message = format!("parameter `{name}` is {value}: expected a finite number");
                Err(RewardError::Manifest { path: self.path.clone(), message })
            }
            None => Err(RewardError::Param {
                reward: self.name.clone(),
                name: name.into(),
                hint: pavlov_model::did_you_mean(name, self.manifest.params.keys().map(String::as_str)),
            }),
        }
    }

    /// The total of one world, from the outputs of the program in their order.
    #[inline]
    pub fn total(&self, outputs: impl IntoIterator<Item = f32>) -> f32 {
        match &self.graph {
            None => self.manifest.combine.total(outputs),
            Some(_) => outputs.into_iter().nth(self.nodes.len() - 1).unwrap_or(f32::NAN),
        }
    }

    /// Number of its parts that have a critic each, 1 when it is the total; see [`RewardGraph::critics`].
    pub fn critics(&self) -> usize {
        self.graph.as_ref().map_or(1, |g| g.critics.len().max(1))
    }

    /// Output of the program that says what a step adds to the reward of the step before it, where some term is paid as
    /// the difference to the next step (`delta`). Where no next step is known (a time limit, the end of a rollout) it
    /// stands for what that one would add: the term is taken to stay as it is.
    pub fn late(&self) -> Option<usize> {
        self.graph.as_ref().and_then(|g| g.late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scene() -> Arc<Scene> {
        Arc::new(Scene { bodies: vec!["torso".into()], nq: 2, nv: 2, dt: 0.02, ..Scene::default() })
    }

    const TOML: &str = "about = \"run\"\n[params.w]\nvalue = 2.0\nmin = 0.0\nmax = 5.0\n";
    const RHAI: &str = "fn reward(s, p) { #{ run: p.w * s.qvel[0], alive: 1.0 } }";

    #[test]
    fn a_folder_is_read_checked_and_its_parameters_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("reward.toml"), TOML).unwrap();
        std::fs::write(dir.path().join("reward.rhai"), RHAI).unwrap();
        let mut reward = Reward::load(dir.path(), "t/default", &scene()).unwrap();
        assert_eq!(reward.term_names(), ["run", "alive"]);
        assert_eq!(reward.inputs(), ["reward.rhai", "reward.toml"].map(|f| dir.path().join(f)));
        assert_eq!((reward.name(), reward.path()), ("t/default", dir.path()));
        assert_eq!(reward.file("reward.toml").unwrap(), dir.path().join("reward.toml"));
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        assert!(reward.file(&elsewhere.path().display().to_string()).is_err());
        assert_eq!(reward.node_names(), ["run", "alive", "total"]);
        reward.set_param("w", 3.0).unwrap();
        assert_eq!(reward.values(), [3.0]);
        let error = reward.set_param("v", 1.0).unwrap_err().to_string();
        assert!(error.contains("`w`"), "{error}");
        let lone = dir.path().join("lone.rhai");
        std::fs::write(&lone, "fn reward(s) { s.qvel[1] }").unwrap();
        let reward = Reward::load(&lone, "lone", &scene()).unwrap();
        assert_eq!((reward.term_names(), reward.path()), (&["reward".to_string()][..], &*lone));
        // A script that sums its terms itself has one total.
        let own = Reward::from_text("t", "t", "fn reward(s) { #{ total: 1.0 } }", Manifest::default(), &scene());
        assert_eq!(own.unwrap().node_names(), ["total"]);
    }

    #[test]
    fn faults_of_a_manifest_are_told_with_file_and_place() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("reward.toml");
        let told = |text: &str| {
            std::fs::write(&manifest, text).unwrap();
            std::fs::write(dir.path().join("reward.rhai"), RHAI).unwrap();
            Reward::load(dir.path(), "t", &scene()).unwrap_err().to_string()
        };
        let place = |at: &str| format!("{}:{at}: ", manifest.display());
        assert!(told("about = \"run\"\nparams = 3\n").starts_with(&place("2:10")));
        assert!(told("[params.w]\nvalue = 2.0\nmax = 1.0\n").starts_with(&place("2:1")));
        let potential = "[params.w]\nvalue = 2.0\n[terms.run]\ntransform = [\"once\", \"potential\"]\n";
        assert!(told(potential).starts_with(&place("4:22")));
        // A comment as long as the limit, and one byte more.
        let long = format!("#{}\n[params.w]\nvalue = 2.0\n", "x".repeat(1 << 20));
        let cut = |n: usize| long[long.len() - n..].replacen('x', "#", 1);
        std::fs::write(&manifest, cut(1 << 20)).unwrap();
        assert!(Reward::load(dir.path(), "t", &scene()).is_ok());
        assert!(told(&cut((1 << 20) + 1)).contains("1048577 bytes, more than the limit of 1048576"));
    }

    #[test]
    fn sources_of_a_kind_go_with_all_that_names_them() {
        let text = "[params.w]\nvalue = 2.0\n[sources.goal]\nkind = \"success\"\n[sources.again]\nkind = \"success\"\n\
                    [sources.steps]\nkind = \"subgoals\"\nof = [\"run\"]\n[terms.goal]\n\
                    transform = [{ weight = 5.0 }]\n[groups.g]\nkind = \"min\"\nof = [\"goal\", \"alive\"]\n\
                    [combine]\nof = [\"run\", \"again\", \"steps\", \"g\"]";
        let manifest: Manifest = toml::from_str(text).unwrap();
        let mut reward = Reward::from_text("t", "reward.rhai", RHAI, manifest, &scene()).unwrap();
        reward.set_param("w", 3.0).unwrap();
        assert_eq!(reward.without_sources("vision").unwrap().node_names(), reward.node_names());
        let left = reward.without_sources("success").unwrap();
        assert_eq!(left.node_names(), ["run", "alive", "steps", "g", "total"]);
        assert_eq!(left.values()[0], 3.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_manifests_are_errors_not_panics(at in 0usize..TOML.len(), cut in 0usize..20, junk in "\\PC{0,8}") {
            let text: String = TOML.chars().take(at).chain(junk.chars()).chain(TOML.chars().skip(at + cut)).collect();
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("reward.toml"), text).unwrap();
            std::fs::write(dir.path().join("reward.rhai"), RHAI).unwrap();
            let _ = Reward::load(dir.path(), "t", &scene());
        }
    }
}
