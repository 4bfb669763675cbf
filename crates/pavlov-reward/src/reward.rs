//! A reward read from disk and checked against a scene.

use crate::manifest::{Manifest, Param, problem};
use pavlov_script::{Diagnostics, EntryKind, Finding, Program, Scene, Script};
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

/// A reward bound to a scene. Cheap to share in an `Arc`; each runner has its own scratch.
#[derive(Debug)]
pub struct Reward {
    name: String,
    path: PathBuf,
    manifest: Manifest,
    inputs: Vec<PathBuf>,
    program: Program,
    values: Vec<f32>,
}

/// A manifest longer than this is none.
const MAX_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> Result<String, RewardError> {
    let io = |source| RewardError::Io { path: path.to_path_buf(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        let message = format!("{size} bytes, more than the limit of {MAX_BYTES}");
        return Err(RewardError::Manifest { path: path.to_path_buf(), message });
    }
    std::fs::read_to_string(path).map_err(io)
}

impl Reward {
    /// Reads the folder (or lone `.rhai` file) at `path` and checks it against `scene`. `name` is what listings call it.
    ///
    /// # Errors
    /// [`RewardError`] with file, place and hint.
    pub fn load(path: &Path, name: &str, scene: &Arc<Scene>) -> Result<Self, RewardError> {
        let folder = path.is_dir();
        let script_path = if folder { path.join("reward.rhai") } else { path.to_path_buf() };
        let manifest_path = path.join("reward.toml");
        let mut inputs = vec![script_path.clone()];
        let mut manifest = Manifest::default();
        if folder && manifest_path.exists() {
            let bad = |message| RewardError::Manifest { path: manifest_path.clone(), message };
            manifest = toml::from_str(&read(&manifest_path)?).map_err(|e| bad(e.to_string()))?;
            if let Some(message) = problem(&manifest) {
                return Err(bad(message));
            }
            inputs.push(manifest_path);
        }
        let text = read(&script_path)?;
        let mut reward = Self::from_text(name, &script_path.display().to_string(), &text, manifest, scene)?;
        reward.path = path.to_path_buf();
        reward.inputs = inputs;
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
        let script = Script::parse(file, text).map_err(RewardError::Script)?;
        let params: Vec<(String, f64)> = manifest.params.iter().map(|(n, p)| (n.clone(), p.value)).collect();
        let program = script.compile("reward", EntryKind::Terms, scene, &params).map_err(RewardError::Script)?;
        let values = params.iter().map(|(_, x)| *x as f32).collect();
        Ok(Self { name: name.into(), path: PathBuf::new(), manifest, inputs: Vec::new(), program, values })
    }

    /// What listings call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder or file; empty for text that is in no file.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Names of the terms, in the order of the script.
    pub fn term_names(&self) -> &[String] {
        self.program.outputs()
    }

    /// Warnings of the checker.
    pub fn findings(&self) -> &[Finding] {
        self.program.findings()
    }

    /// Parameters with their present values, sorted by name.
    pub fn params(&self) -> impl Iterator<Item = (&str, f32, &Param)> {
        self.manifest.params.iter().zip(&self.values).map(|((name, p), &x)| (name.as_str(), x, p))
    }

    /// Present values of the parameters, as the program takes them.
    pub fn values(&self) -> &[f32] {
        &self.values
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

    /// The total of one world's terms.
    #[inline]
    pub fn total(&self, terms: impl IntoIterator<Item = f32>) -> f32 {
        self.manifest.combine.total(terms)
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
        assert_eq!(reward.inputs().len(), 2);
        reward.set_param("w", 3.0).unwrap();
        assert_eq!(reward.values(), [3.0]);
        let error = reward.set_param("v", 1.0).unwrap_err().to_string();
        assert!(error.contains("`w`"), "{error}");
        let lone = dir.path().join("lone.rhai");
        std::fs::write(&lone, "fn reward(s) { s.qvel[1] }").unwrap();
        assert_eq!(Reward::load(&lone, "lone", &scene()).unwrap().term_names(), ["reward"]);
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
