//! What was learnt, as a reward folder like any other: a copy with other weights, or a model that pays by itself.

use crate::error::PrefsError;
use crate::nets::Nets;
use crate::write_back::{Change, rewrite};
use pavlov_reward::Reward;
use pavlov_script::Scene;
use std::path::Path;
use std::sync::Arc;

/// How the members of an ensemble become one reward.
#[derive(Debug, Clone, Copy)]
pub struct Combine<'a> {
    /// A combiner of reward graphs: `mean`, `wco`, `uwo`, `brme`.
    pub kind: &'a str,
    /// Its `lambda`, where it has one.
    pub lambda: f64,
}

/// What a folder of a learnt reward is made as, and the files that may be in it.
pub(crate) const MADE_AS: &str = "a learnt reward";
pub(crate) const FILES: [&str; 3] = ["reward.rhai", "reward.toml", "model.safetensors"];

/// A script has at least one term; this one is logged and pays nothing.
const SCRIPT: &str = "fn reward(s, p) {\n    #{ effort: s.action.norm2() }\n}\n";

/// Copies a reward with changed weights to a new folder.
///
/// # Errors
/// When there is a reward already, a file cannot be read or written, or what came out is none.
pub fn write_linear(folder: &Path, reward: &Reward, changes: &[Change]) -> Result<(), PrefsError> {
    let read = |path: &Path| pavlov_common::text::read(path).map_err(|e| PrefsError::io("read", path, e));
    let (script, manifest) = if reward.path().is_dir() {
        let manifest = reward.path().join("reward.toml");
        let text = if manifest.is_file() { read(&manifest)? } else { String::new() };
        (read(&reward.path().join("reward.rhai"))?, text)
    } else {
        (read(reward.path())?, String::new())
    };
    begin(folder)?;
    put(&folder.join("reward.rhai"), &script)?;
    put(&folder.join("reward.toml"), &rewrite(&manifest, changes)?)?;
    load(folder, reward.scene())
}

/// Writes a reward that is an ensemble's, a source a member.
///
/// # Errors
/// As [`write_linear`].
pub fn write_nets(
    folder: &Path,
    nets: &Nets,
    combine: Combine<'_>,
    task: &str,
    scene: &Arc<Scene>,
) -> Result<(), PrefsError> {
    begin(folder)?;
    nets.save(&folder.join("model.safetensors"), task)?;
    put(&folder.join("reward.rhai"), SCRIPT)?;
    let n = nets.members.len();
    let mut text = format!("about = \"Learnt from comparisons, {n} nets\"\n");
    let names: Vec<String> = (0..n).map(|m| format!("liked_{m}")).collect();
    for (m, name) in names.iter().enumerate() {
        text += &format!("\n[sources.{name}]\nkind = \"preference\"\nmodel = \"model.safetensors\"\nmember = {m}\n");
    }
    let Combine { kind, lambda } = combine;
    text += &format!("\n[combine]\nkind = \"{kind}\"\nof = {names:?}\n");
    if matches!(kind, "uwo" | "brme") {
        text += &format!("lambda = {lambda:?}\n");
    }
    let surest = (0..nets.uncertainty.len()).min_by(|&a, &b| nets.uncertainty[a].total_cmp(&nets.uncertainty[b]));
    if let (Some(nominal), "brme") = (surest, kind) {
        // The member of least predictive uncertainty (Yan et al. 2024).
        text += &format!("nominal = {:?}\n", names[nominal]);
    }
    put(&folder.join("reward.toml"), &text)?;
    load(folder, scene)
}

fn begin(folder: &Path) -> Result<(), PrefsError> {
    if folder.join("reward.toml").exists() || folder.join("reward.rhai").exists() {
        let folder = folder.display();
        return Err(PrefsError::Usage(format!("{folder}: there is a reward already; give another folder")));
    }
    Ok(pavlov_common::own::take(folder, MADE_AS, &[])?)
}

fn put(path: &Path, text: &str) -> Result<(), PrefsError> {
    pavlov_common::atomic::write(path, text.as_bytes()).map_err(|e| PrefsError::io("write", path, e.source))
}

/// What was written must be a reward.
fn load(folder: &Path, scene: &Arc<Scene>) -> Result<(), PrefsError> {
    let checked = Reward::load(folder, &folder.display().to_string(), scene);
    checked.map(drop).map_err(|e| PrefsError::Failed(e.to_string()))
}
