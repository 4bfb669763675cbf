//! `policy.onnx` and `policy.json`: what is needed to run the policy elsewhere. The ONNX file is checked by running it.

use crate::config::RunConfig;
use crate::error::RunError;
use crate::folder::RunFolder;
use crate::onnx;
use pavlov_env::Task;
use pavlov_learn::Policy;
use serde::Serialize;
use std::path::PathBuf;

/// Rows of random observations the exported model is run on.
const CHECK_ROWS: usize = 64;
/// Largest difference allowed between the model's `f64` and the policy's `f32` arithmetic, in units of actions of size
/// 1.
const CHECK_TOLERANCE: f64 = 1e-4;

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// The model.
    pub onnx: PathBuf,
    /// Its description.
    pub json: PathBuf,
    /// Observation columns.
    pub obs_dim: usize,
    /// Action columns.
    pub act_dim: usize,
    /// Largest difference between the exported model and the policy on random observations.
    pub max_error: f64,
}

/// One term of the observation.
#[derive(Debug, Serialize)]
struct ObsColumn {
    name: String,
    from: usize,
    to: usize,
}

/// One action.
#[derive(Debug, Serialize)]
struct ActionColumn {
    name: String,
    /// `ctrl = offset + gain * action`, after clipping the action.
    offset: f32,
    gain: f32,
    /// None where the action has no bound.
    low: Option<f32>,
    high: Option<f32>,
}

/// A joint and where it is in `qpos` and `qvel`.
#[derive(Debug, Serialize)]
struct JointColumn {
    name: String,
    kind: String,
    qpos: usize,
    qvel: usize,
    default: f64,
}

/// `policy.json`.
#[derive(Debug, Serialize)]
struct Contract {
    format: u32,
    version: &'static str,
    task: String,
    reward: String,
    robot: String,
    profile: String,
    backend: String,
    seed: u64,
    obs_dim: usize,
    act_dim: usize,
    control_dt: f64,
    observation: Vec<ObsColumn>,
    actions: Vec<ActionColumn>,
    joints: Vec<JointColumn>,
    normaliser: &'static str,
    input: &'static str,
    output: &'static str,
}

/// Exports a policy of a run into its folder.
///
/// # Errors
/// When a file cannot be written, or the exported model does not do what the policy does.
pub fn write(folder: &RunFolder, config: &RunConfig, task: &Task, policy: &Policy) -> Result<Exported, RunError> {
    let (low, high) = task.action_range();
    let bytes = policy.to_onnx(Some((&low, &high)))?;
    let max_error = check(&bytes, policy, (&low, &high))?;
    let finite = |x: &f32| Some(*x).filter(|x| x.is_finite() && x.abs() < 1e30);
    let (offset, gain) = task.action_affine();
    let model = task.model();
    let contract = Contract {
        format: 1,
        version: env!("CARGO_PKG_VERSION"),
        task: config.task.clone(),
        reward: config.reward.clone(),
        robot: model.name.clone(),
        profile: config.profile.clone(),
        backend: config.backend.clone(),
        seed: config.seed,
        obs_dim: policy.obs_dim(),
        act_dim: policy.act_dim(),
        control_dt: task.control_dt(),
        observation: task
            .obs_terms()
            .iter()
            .filter(|t| !t.critic)
            .map(|t| ObsColumn { name: t.name.clone(), from: t.columns.start, to: t.columns.end })
            .collect(),
        actions: task
            .action_names()
            .into_iter()
            .enumerate()
            .map(|(i, name)| ActionColumn {
                name,
                offset: offset[i],
                gain: gain[i],
                low: finite(&low[i]),
                high: finite(&high[i]),
            })
            .collect(),
        joints: model
            .joints
            .iter()
            .map(|j| JointColumn {
                name: j.name.clone(),
                kind: format!("{:?}", j.kind).to_lowercase(),
                qpos: j.qposadr,
                qvel: j.dofadr,
                default: model.qpos0[j.qposadr],
            })
            .collect(),
        normaliser: "inside policy.onnx: give observations as the environment does",
        input: "obs [n, obs_dim] f32",
        output: "action [n, act_dim] f32, deterministic, clipped to low and high",
    };
    let (onnx, json) = (folder.policy_onnx(), folder.policy_json());
    let text = serde_json::to_string_pretty(&contract).map_err(|e| RunError::Failed(format!("policy.json: {e}")))?;
    folder.write(&onnx, &bytes)?;
    folder.write(&json, text.as_bytes())?;
    Ok(Exported { onnx, json, obs_dim: policy.obs_dim(), act_dim: policy.act_dim(), max_error })
}

/// Exports the chosen checkpoint of a run.
///
/// # Errors
/// As [`crate::find_checkpoint`], and when a file cannot be written.
pub fn export(folder: &RunFolder, which: crate::Which) -> Result<(Exported, Vec<String>), RunError> {
    let config = RunConfig::read(&folder.config())?;
    let (task, _) = crate::inputs::load(folder, &config)?;
    let (loaded, warnings) = crate::checkpoint::find(folder, which)?;
    let policy = loaded.ppo.policy();
    crate::evaluate::fits(&task, &policy)?;
    Ok((write(folder, &config, &task, &policy)?, warnings))
}

/// Runs the model on random observations and compares it with the policy.
fn check(bytes: &[u8], policy: &Policy, (low, high): (&[f32], &[f32])) -> Result<f64, RunError> {
    let (obs, act) = (policy.obs_dim(), policy.act_dim());
    // A fixed sequence of numbers of all sizes (splitmix64).
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * 3.0
    };
    let rows: Vec<f32> = (0..CHECK_ROWS * obs).map(|_| next()).collect();
    let mut actions = vec![0.0; CHECK_ROWS * act];
    policy.clone().act(&rows, obs, &mut actions)?;
    let found = onnx::run(bytes, &rows, obs).map_err(|e| RunError::Failed(format!("exported policy: {e}")))?;
    if found.len() != actions.len() {
        let message = format!("exported policy: {} numbers, expected {}", found.len(), actions.len());
        return Err(RunError::Failed(message));
    }
    let mut worst = 0.0f64;
    for (i, (&action, found)) in actions.iter().zip(found).enumerate() {
        let expected = f64::from(action.max(low[i % act]).min(high[i % act]));
        let error = (expected - found).abs() / expected.abs().max(1.0);
        worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
    }
    if worst > CHECK_TOLERANCE {
        return Err(RunError::Failed(format!("exported policy: differs from the trained one by {worst:e}")));
    }
    Ok(worst)
}
