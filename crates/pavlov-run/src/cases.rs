//! Cases of a reward: `tests.toml` in its folder says what terms must be in given states.
//!
//! ```toml
//! [[case]]
//! name = "standing still earns nothing for speed"
//! qpos = [0.0, 0.0, 0.75, 1.0, 0.0, 0.0, 0.0]   # the task's reset without noise when left out
//! qvel = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]         # zero when left out
//! action = [0.0]                                # zero when left out
//! steps = 1                                     # control steps made before terms are read
//! [case.expect]
//! forward = { at_most = 0.1 }                   # at_least, at_most
//! alive = 1.0                                   # within 1e-4, relative where above 1
//! ```

use crate::error::RunError;
use crate::evaluate::{Buffers, script_failure};
use pavlov_env::{Env, EnvOptions, Profile, StepOut, Task};
use pavlov_reward::Reward;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A case and what was not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// What was found where something else was expected; empty when all is well.
    pub faults: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    qpos: Option<Vec<f64>>,
    qvel: Option<Vec<f64>>,
    action: Option<Vec<f32>>,
    steps: Option<u32>,
    expect: BTreeMap<String, Expect>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Expect {
    Value(f64),
    Bound(Bound),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    at_least: Option<f64>,
    at_most: Option<f64>,
}

const TOLERANCE: f64 = 1e-4;
const MAX_STEPS: u32 = 10_000;

/// Runs the cases in the reward's folder; none when it has no `tests.toml`.
///
/// # Errors
/// When the file cannot be read or names what is not there, or the environment cannot be made.
pub fn cases(task: &Arc<Task>, reward: &Arc<Reward>) -> Result<Vec<CaseResult>, RunError> {
    let path = reward.path().join("tests.toml");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = crate::folder::read_text(&path)?;
    let file: File = toml::from_str(&text).map_err(|e| RunError::Usage(format!("{}: {e}", path.display())))?;
    let options =
        EnvOptions { worlds: 1, seed: 0, profile: Profile::Accurate, disturb: false, ..EnvOptions::default() };
    let mut env = Env::new(task.clone(), reward.clone(), &options)?;
    let block = env.blocks.first_mut().ok_or_else(|| RunError::Failed("an environment without worlds".into()))?;
    let mut buffers = Buffers::new(1, task);
    let (nq, nv) = (task.model().nq(), task.model().nv());
    let mut results = Vec::new();
    for case in file.case {
        let wrong = |field: &str, found: usize, expected: usize| {
            let text =
                format!("{}: case `{}`: `{field}` has {found} numbers, expected {expected}", path.display(), case.name);
            RunError::Usage(text)
        };
        block.reset(&mut buffers.obs);
        if case.qpos.is_some() || case.qvel.is_some() {
            let (mut q, mut v) = (vec![0.0f32; nq], vec![0.0f32; nv]);
            block.world_state(0, &mut q, &mut v);
            let widen = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
            let qpos = case.qpos.clone().unwrap_or_else(|| widen(&q));
            let qvel = case.qvel.clone().unwrap_or_else(|| vec![0.0; nv]);
            if qpos.len() != nq {
                return Err(wrong("qpos", qpos.len(), nq));
            }
            if qvel.len() != nv {
                return Err(wrong("qvel", qvel.len(), nv));
            }
            block.set_world_state(0, &qpos, &qvel);
        }
        let action = case.action.clone().unwrap_or_else(|| vec![0.0; task.act_dim()]);
        if action.len() != task.act_dim() {
            return Err(wrong("action", action.len(), task.act_dim()));
        }
        for _ in 0..case.steps.unwrap_or(1).clamp(1, MAX_STEPS) {
            let Buffers { obs, reward, terminated, truncated, final_obs, .. } = &mut buffers;
            block.step(&action, StepOut { obs, reward, terminated, truncated, final_obs });
            script_failure(block)?;
        }
        let names = reward.node_names();
        let mut faults = Vec::new();
        for (name, expect) in &case.expect {
            let Some(node) = names.iter().position(|n| n == name) else {
                let hint = pavlov_model::did_you_mean(name, names.iter().map(String::as_str));
                let text = format!("{}: case `{}`: no term or node `{name}`: {hint}", path.display(), case.name);
                return Err(RunError::Usage(text));
            };
            let found = f64::from(block.reward_node(node, 0));
            let mut tell = |good: bool, expected: String| {
                if !good {
                    faults.push(format!("`{name}` is {found}: expected {expected}"));
                }
            };
            match *expect {
                Expect::Value(x) => tell((found - x).abs() <= TOLERANCE * x.abs().max(1.0), x.to_string()),
                Expect::Bound(Bound { at_least, at_most }) => {
                    if let Some(x) = at_least {
                        tell(found >= x, format!("at least {x}"));
                    }
                    if let Some(x) = at_most {
                        tell(found <= x, format!("at most {x}"));
                    }
                }
            }
        }
        results.push(CaseResult { name: case.name, faults });
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn cases_hold_or_say_what_was_found() {
        let (dir, assets) = testing::assets("");
        let path = dir.path().join("rewards/cartpole_balance/default/tests.toml");
        let run = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let (task, reward) = testing::load(&assets);
            cases(&Arc::new(task), &Arc::new(reward))
        };
        let (task, reward) = testing::load(&assets);
        assert!(cases(&Arc::new(task), &Arc::new(reward)).unwrap().is_empty());
        let good = "[[case]]\nname = \"upright\"\nqpos = [0.0, 0.0]\n[case.expect]\nupright = { at_least = 0.9 }\n\
            [[case]]\nname = \"hanging\"\nqpos = [0.0, 3.1]\n[case.expect]\nupright = { at_most = -0.9 }\n";
        let results = run(good).unwrap();
        assert!(results.len() == 2 && results.iter().all(|r| r.faults.is_empty()), "{results:?}");
        let results = run(&good.replace("at_least = 0.9", "at_most = 0.9")).unwrap();
        assert!(results[0].faults[0].contains("expected at most 0.9"), "{results:?}");
        assert!(
            run(&good.replace("qpos = [0.0, 0.0]", "qpos = [0.0]")).unwrap_err().to_string().contains("expected 2")
        );
        assert!(run(&good.replace("upright = {", "uprigt = {")).unwrap_err().to_string().contains("`upright`"));
        assert!(run("[[case]]\nnam = 1").unwrap_err().is_bad_input());
    }
}
