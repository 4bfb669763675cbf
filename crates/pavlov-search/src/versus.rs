//! Comparing versions of a reward on recorded states: STARC (VAL and minimal), EPIC, rank correlations, and the
//! behaviours they disagree about.
//!
//! The distribution is stated with the result: the transitions of an audit set, or of what a run has kept, thinned
//! evenly. Features of a state are 1, `qpos`, `qvel` and every channel of the state that one of the rewards reads,
//! brought to mean 0 and deviation 1, and the squares of them while there are few. Potential shaping within their span
//! counts as nothing.

use crate::audit::Audit;
use crate::error::SearchError;
use pavlov_env::Task;
use pavlov_reward::compare::{
    Canon, CanonKind, CompareError, EpicSamples, Transitions, distance, epic, epic_canonical, kendall, normalised,
    spearman,
};
use pavlov_reward::{Columns, Reward};
use pavlov_run::{Rollouts, Stat, score_all};
use pavlov_script::{Channel, ScriptError};
use serde::Serialize;

/// Transitions that rewards are compared on, at most.
const TRANSITIONS: usize = 2048;
/// The same where only one row of distances is wanted.
const FEW: usize = 768;
/// Up to this many columns, their squares are features too.
const SQUARES: usize = 60;
/// Coverage and expectation samples of EPIC.
const EPIC: usize = 256;
/// Behaviours named for each pair of rewards.
const NAMED: usize = 3;

/// What rewards are compared on.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    rollouts: &'a Rollouts,
    what: &'static str,
}

impl<'a> Sample<'a> {
    /// The audit set of a task.
    pub fn of_audit(audit: &'a Audit) -> Self {
        Self { rollouts: &audit.rollouts, what: "audit set" }
    }

    /// What a run has kept.
    pub fn of_rollouts(rollouts: &'a Rollouts) -> Self {
        Self { rollouts, what: "rollouts of a run" }
    }
}

/// A number for each pair of rewards.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Matrix<T>(pub Vec<Vec<T>>);

impl<T> Matrix<T> {
    fn of(n: usize, f: impl Fn(usize, usize) -> T) -> Self {
        Self((0..n).map(|i| (0..n).map(|j| f(i, j)).collect()).collect())
    }
}

/// A behaviour that two rewards value differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// The reward that values it more.
    pub likes: String,
    /// The other reward.
    pub dislikes: String,
    /// Behaviour, or number of the episode.
    pub behaviour: String,
    /// Return under the first, in standard deviations from its mean over all behaviours.
    pub high: f64,
    /// Under the second.
    pub low: f64,
    /// Fitness of the behaviour.
    pub fitness: f64,
}

/// Result of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Versus {
    /// Rewards, in the order of rows and columns.
    pub rewards: Vec<String>,
    /// Task.
    pub task: String,
    /// What they were compared on.
    pub distribution: String,
    /// Discount.
    pub gamma: f64,
    /// STARC distances with VAL canonicalisation; minimal where the sample determines no value function (`distribution`
    /// says so).
    pub val: Matrix<f64>,
    /// STARC distances with minimal canonicalisation.
    pub minimal: Matrix<f64>,
    /// EPIC distances; none where a reward is not finite in some state and action that EPIC puts together.
    pub epic: Matrix<Option<f64>>,
    /// Kendall's tau-b of the returns of behaviours; none where one does not vary.
    pub kendall: Matrix<Option<f64>>,
    /// Spearman's rho.
    pub spearman: Matrix<Option<f64>>,
    /// Kendall's tau-b of each reward's returns with fitness.
    pub fitness_kendall: Vec<Option<f64>>,
    /// What pairs of rewards disagree about most.
    pub disagreements: Vec<Disagreement>,
}

/// Compares rewards. `full` adds the minimal canonicalisation and EPIC.
///
/// # Errors
/// When a reward reads what was not recorded, fails, or is not finite on the sample.
pub fn versus(
    rewards: &[&Reward],
    task: &Task,
    sample: &Sample<'_>,
    full: bool,
    pool: &rayon::ThreadPool,
) -> Result<Versus, SearchError> {
    let rollouts = sample.rollouts;
    let episodes = &rollouts.info.episodes;
    let picked = pick(rollouts, if full { TRANSITIONS } else { FEW });
    if picked.is_empty() {
        return Err(SearchError::Usage("no recorded steps to compare rewards on".into()));
    }
    let mut values: Vec<Vec<f64>> = Vec::new();
    let mut returns: Vec<Vec<f64>> = Vec::new();
    for reward in rewards {
        let scored = score_all(reward, task.scene(), rollouts, false, pool)?;
        values.push(picked.iter().map(|p| f64::from(scored[p.episode].step_totals[p.step])).collect());
        returns.push(scored.iter().map(|s| s.total).collect());
    }
    let gamma =
        task.learner.get("gamma").and_then(toml::Value::as_float).unwrap_or(pavlov_learn::PpoConfig::default().gamma);
    let transitions = transitions(rewards, task, rollouts, &picked);
    let starc = |kind| -> Result<Matrix<f64>, SearchError> {
        let canon = Canon::new(kind, gamma, &transitions)?;
        let size = |r: &[f64]| r.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let forms: Vec<Vec<f64>> = values
            .iter()
            .map(|r| Ok(normalised(&canon.canonical(r)?, canon.mass(), size(r))))
            .collect::<Result<_, SearchError>>()?;
        Ok(Matrix::of(rewards.len(), |i, j| distance(&forms[i], &forms[j], canon.mass())))
    };
    // Episodes of the same behaviour count as one: their mean.
    let mut names: Vec<String> = Vec::new();
    let label = |i: usize| if episodes[i].name.is_empty() { format!("episode {i}") } else { episodes[i].name.clone() };
    let behaviour_of: Vec<usize> = (0..episodes.len())
        .map(|i| {
            let name = label(i);
            names.iter().position(|n| *n == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        })
        .collect();
    let means = |per_episode: &[f64]| -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); names.len()];
        behaviour_of.iter().zip(per_episode).for_each(|(&k, x)| sums[k] = (sums[k].0 + x, sums[k].1 + 1.0));
        sums.iter().map(|(s, n)| s / n).collect()
    };
    let returns: Vec<Vec<f64>> = returns.iter().map(|r| means(r)).collect();
    let fitness = means(&episodes.iter().map(|e| e.fitness).collect::<Vec<_>>());
    let n = rewards.len();
    let mut distribution = format!(
        "{}: {} of {} steps in {} episodes, {} behaviours",
        sample.what,
        picked.len(),
        rollouts.steps(),
        episodes.len(),
        names.len()
    );
    let val = match starc(CanonKind::Val) {
        // Few steps or many features: no value function is told by them. The potential that leaves least always is.
        Err(SearchError::Compare(CompareError::Singular { .. })) => {
            distribution += "; these determine no value function: VAL is the minimal canonicalisation";
            starc(CanonKind::Minimal)?
        }
        other => other?,
    };
    Ok(Versus {
        rewards: rewards.iter().map(|r| r.name().to_string()).collect(),
        task: task.name.clone(),
        distribution,
        gamma,
        val,
        minimal: if full { starc(CanonKind::Minimal)? } else { Matrix::default() },
        epic: if full { epics(rewards, rollouts, &picked, gamma) } else { Matrix::default() },
        kendall: Matrix::of(n, |i, j| kendall(&returns[i], &returns[j])),
        spearman: Matrix::of(n, |i, j| spearman(&returns[i], &returns[j])),
        fitness_kendall: returns.iter().map(|r| kendall(r, &fitness)).collect(),
        disagreements: disagreements(rewards, &names, &returns, &fitness),
    })
}

/// A step of the sample.
#[derive(Debug, Clone, Copy)]
struct Picked {
    episode: usize,
    /// From 0.
    step: usize,
    /// Row of the state after it.
    row: usize,
    terminal: bool,
}

/// Steps at even distances.
fn pick(rollouts: &Rollouts, most: usize) -> Vec<Picked> {
    let stride = rollouts.steps().div_ceil(most).max(1);
    let steps = rollouts.info.episodes.iter().enumerate().flat_map(|(episode, e)| {
        (0..e.steps).map(move |step| {
            let terminal = e.terminated && step + 1 == e.steps;
            Picked { episode, step, row: e.first + step + 1, terminal }
        })
    });
    // The ends of episodes are few and say much.
    steps.enumerate().filter(|(i, p)| i % stride == 0 || p.terminal).map(|(_, p)| p).collect()
}

/// Is it part of the state, rather than of the step?
fn of_state(channel: Channel) -> bool {
    !matches!(
        channel,
        Channel::Action(_)
            | Channel::PrevAction(_)
            | Channel::ActuatorCtrl(_)
            | Channel::ActuatorForce(_)
            | Channel::JointTorque(_)
            | Channel::JointAcc(_)
    )
}

fn transitions(rewards: &[&Reward], task: &Task, rollouts: &Rollouts, picked: &[Picked]) -> Transitions {
    let scene = task.scene();
    let mut channels: Vec<Channel> =
        (0..scene.nq as u16).map(Channel::Qpos).chain((0..scene.nv as u16).map(Channel::Qvel)).collect();
    channels.extend(rewards.iter().flat_map(|r| r.program().inputs()).map(|i| i.channel).filter(|c| of_state(*c)));
    channels.sort();
    channels.dedup();
    // A column that a joint's own one repeats adds nothing, and the factorisation drops what is left of such.
    let columns: Vec<(&[f32], f64, f64)> = channels
        .iter()
        .filter_map(|c| rollouts.column(*c))
        .map(|column| {
            let stat = Stat::of(picked.iter().map(|p| f64::from(column[p.row])));
            (column, stat.mean, stat.std)
        })
        .filter(|(_, _, std)| *std > 1e-9)
        .collect();
    let squares = columns.len() <= SQUARES;
    let features = |row: usize, out: &mut Vec<f64>| {
        out.push(1.0);
        for (column, mean, std) in &columns {
            let x = (f64::from(column[row]) - mean) / std;
            out.push(x);
            if squares {
                out.push(x * x);
            }
        }
    };
    let mut t = Transitions::default();
    for p in picked {
        features(p.row - 1, &mut t.state);
        features(p.row, &mut t.next);
        t.terminal.push(p.terminal);
    }
    t.width = t.state.len() / picked.len().max(1);
    t
}

/// EPIC distances over states, actions and next states of the sample, put together freely.
fn epics(rewards: &[&Reward], rollouts: &Rollouts, picked: &[Picked], gamma: f64) -> Matrix<Option<f64>> {
    let stride = picked.len().div_ceil(EPIC).max(1);
    let rows: Vec<usize> = picked.iter().step_by(stride).map(|p| p.row).collect();
    let n = rows.len();
    // Three orders that have nothing to do with each other stand for independent draws.
    let turned = |by: usize| (0..n).map(|i| rows[(i * 7 + by * n / 3) % n]).collect::<Vec<_>>();
    let before = |rows: Vec<usize>| rows.into_iter().map(|r| r - 1).collect::<Vec<_>>();
    let samples = EpicSamples {
        state: before(rows.clone()),
        action: rows.clone(),
        next: rows.clone(),
        weight: Vec::new(),
        mean_state: before(turned(0)),
        mean_action: turned(1),
        mean_next: turned(2),
    };
    let form = |reward: &&Reward| {
        let evaluate =
            |s: &[usize], a: &[usize], n: &[usize], out: &mut [f64]| anywhere(reward, rollouts, s, a, n, out);
        epic_canonical(gamma, &samples, evaluate).ok()
    };
    let forms: Vec<Option<Vec<f64>>> = rewards.iter().map(form).collect();
    Matrix::of(rewards.len(), |i, j| Some(epic(forms[i].as_ref()?, forms[j].as_ref()?, &[])))
}

/// The reward of transitions put together from three rows: the state before from one, the action from another, the
/// state after from a third.
fn anywhere(
    reward: &Reward,
    rollouts: &Rollouts,
    state: &[usize],
    action: &[usize],
    next: &[usize],
    out: &mut [f64],
) -> Result<(), ScriptError> {
    let program = reward.program();
    let width = out.len().next_multiple_of(8).max(8);
    let mut inputs = vec![0.0; program.inputs().len() * width];
    for (into, input) in inputs.chunks_exact_mut(width).zip(program.inputs()) {
        let Some(column) = rollouts.column(input.channel) else { continue };
        let is_action = matches!(input.channel, Channel::Action(_) | Channel::ActuatorCtrl(_));
        let from = match (input.prev, is_action, input.channel) {
            (true, ..) | (_, _, Channel::PrevAction(_)) => state,
            (_, true, _) => action,
            _ => next,
        };
        into.iter_mut().zip(from).for_each(|(x, &row)| *x = column[row]);
    }
    let mut memory = vec![0.0; program.memory_init().len() * width];
    (0..width).for_each(|w| program.reset_memory(w, width, &mut memory));
    let terms = program.outputs().len();
    let mut values = vec![0.0; terms * width];
    program.run(out.len(), width, &inputs, reward.values(), &mut memory, &mut program.scratch(), &mut values)?;
    for (i, out) in out.iter_mut().enumerate() {
        *out = f64::from(reward.total((0..terms).map(|t| values[t * width + i])));
    }
    Ok(())
}

fn disagreements(rewards: &[&Reward], names: &[String], returns: &[Vec<f64>], fitness: &[f64]) -> Vec<Disagreement> {
    let scores: Vec<Vec<f64>> = returns
        .iter()
        .map(|r| {
            let stat = Stat::of(r.iter().copied());
            r.iter().map(|x| (x - stat.mean) / stat.std.max(1e-12)).collect()
        })
        .collect();
    let mut out = Vec::new();
    for i in 0..rewards.len() {
        for j in 0..i {
            let mut order: Vec<usize> = (0..names.len()).collect();
            let apart = |k: usize| scores[i][k] - scores[j][k];
            order.sort_by(|&a, &b| apart(b).abs().total_cmp(&apart(a).abs()));
            // A tenth of a deviation is no disagreement.
            for &k in order.iter().take(NAMED).filter(|&&k| apart(k).abs() > 0.1) {
                let (a, b) = if apart(k) > 0.0 { (i, j) } else { (j, i) };
                out.push(Disagreement {
                    likes: rewards[a].name().into(),
                    dislikes: rewards[b].name().into(),
                    behaviour: names[k].clone(),
                    high: scores[a][k],
                    low: scores[b][k],
                    fitness: fitness[k],
                });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditSet;
    use pavlov_env::Assets;

    #[test]
    fn a_sample_that_determines_no_value_function_is_said_and_compared_on() {
        let assets = Assets::find(None);
        let pool = pavlov_run::thread_pool(2).unwrap();
        let task = Task::load(&assets, "half_cheetah_run").unwrap().with_episode_steps(1);
        let audit = AuditSet::load(&assets, &task).unwrap().play(&task, &pool).unwrap();
        let human = pavlov_run::load_reward(&assets, &task, None).unwrap();
        let v = versus(&[&human, &human], &task, &Sample::of_audit(&audit), true, &pool).unwrap();
        assert!(v.distribution.contains("no value function"), "{}", v.distribution);
        assert_eq!(v.val, v.minimal);
        assert!(v.val.0[0][1] < 1e-9);
    }
}
