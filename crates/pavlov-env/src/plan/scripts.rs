//! The task's script: its entry functions, checked and lowered.

use crate::error::EnvError;
use pavlov_script::{EntryKind, Finding, Program, Scene, Script};
use std::path::PathBuf;
use std::sync::Arc;

/// The compiled entry functions of a task script.
#[derive(Debug)]
pub(crate) struct TaskScript {
    pub fitness: Program,
    pub success: Program,
    pub terminated: Option<Program>,
    pub metrics: Option<Program>,
    pub observation: Option<Program>,
}

impl TaskScript {
    /// Checks a task script against the scene.
    pub fn new(file: &str, text: &str, scene: &Arc<Scene>) -> Result<Self, EnvError> {
        let refused = |e: pavlov_script::Diagnostics| EnvError::Script { message: e.to_string() };
        let script = Script::parse(file, text).map_err(refused)?;
        let known = ["fitness", "success", "terminated", "metrics", "observation", "memory"];
        let must = |entry, kind| script.compile(entry, kind, scene, &[]).map_err(refused);
        let may = |entry, kind| script.has(entry).then(|| must(entry, kind)).transpose();
        let out = Self {
            fitness: must("fitness", EntryKind::Scalar)?,
            success: must("success", EntryKind::Bool)?,
            terminated: may("terminated", EntryKind::Bool)?,
            metrics: may("metrics", EntryKind::Terms)?,
            observation: may("observation", EntryKind::Vector)?,
        };
        // A function whose name is a slip of an optional one would silently do nothing.
        for name in script.functions() {
            if let Some(meant) = pavlov_model::nearest(&name, known)
                && meant != name
                && !script.has(meant)
            {
                let message = format!("{file}: function `{name}` is never called: did you mean `{meant}`?");
                return Err(EnvError::Script { message });
            }
        }
        Ok(out)
    }

    /// Warnings of the checker.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        for finding in self.all().flat_map(|p| p.findings()) {
            // What is said of the whole script comes with each of its functions.
            if !found.contains(finding) {
                found.push(finding.clone());
            }
        }
        found
    }

    /// Lowered against interpreted, function by function.
    pub fn parity(&self, states: usize, seed: u64) -> Result<Vec<(String, pavlov_script::Parity)>, EnvError> {
        let compare = |p: &Program| match p.parity(states, seed) {
            Ok(parity) => Ok((p.entry().to_string(), parity)),
            Err(e) => Err(EnvError::Script { message: e.to_string() }),
        };
        self.all().map(compare).collect()
    }

    /// Name and file of every module that the script imports.
    pub fn modules(&self) -> Vec<(String, PathBuf)> {
        let mut all: Vec<(String, PathBuf)> = Vec::new();
        for (name, path) in self.all().flat_map(Program::modules) {
            if !all.iter().any(|(n, _)| n == name) {
                all.push((name.into(), path.into()));
            }
        }
        all
    }

    /// Every compiled function.
    pub fn all(&self) -> impl Iterator<Item = &Program> {
        let optional = [&self.terminated, &self.metrics, &self.observation];
        [&self.fitness, &self.success].into_iter().chain(optional.into_iter().flatten())
    }
}
