//! Comparing versions of a reward on recorded states: STARC (VAL and minimal), EPIC, rank correlations, and the
//! behaviours they disagree about.
//!
//! The distribution is stated with the result: the transitions of an audit set, or of what a run has kept (`sample.rs`).
//! VAL's value function is that of the behaviours played, estimated from their returns; each distance has its standard
//! error and says which canonicalisation it is of, minimal where the sample tells too little of values.

use crate::error::SearchError;
use crate::product::epic_forms;
use crate::sample::{Sample, pick, transitions};
use pavlov_env::Task;
use pavlov_reward::Reward;
use pavlov_reward::compare::{
    Canon, CanonKind, Distance, ValueFit, Valued, distance, epic, kendall, normalised, spearman,
};
use pavlov_run::{Stat, score_all};
use serde::{Deserialize, Serialize};

/// Transitions that rewards are compared on, at most.
const TRANSITIONS: usize = 2048;
/// The same where only one row of distances is wanted.
const FEW: usize = 768;
/// Behaviours named for each pair of rewards.
const NAMED: usize = 3;

/// A number for each pair of rewards.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Matrix<T>(pub Vec<Vec<T>>);

impl<T> Matrix<T> {
    pub(crate) fn of(n: usize, f: impl Fn(usize, usize) -> T) -> Self {
        Self((0..n).map(|i| (0..n).map(|j| f(i, j)).collect()).collect())
    }
}

/// How far another reward is, by STARC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct Neighbour {
    /// Name of the other reward.
    pub reward: String,
    /// Distance, error and canonicalisation.
    #[serde(flatten)]
    pub distance: Distance,
}

/// A neighbour as lineages have it: earlier ones have no more than a name and a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Whole {
        reward: String,
        #[serde(flatten)]
        distance: Distance,
    },
    Pair(String, f64),
}

impl From<Kept> for Neighbour {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Whole { reward, distance } => Self { reward, distance },
            Kept::Pair(reward, value) => {
                Self { reward, distance: Distance { value, error: None, canonicalisation: CanonKind::Val } }
            }
        }
    }
}

impl std::fmt::Display for Neighbour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.reward, written(&self.distance))
    }
}

/// A distance with its error, and its canonicalisation where that is not VAL: `0.68 ± 0.07`, `0.71 ± 0.02 minimal`.
pub fn written(d: &Distance) -> String {
    let error = d.error.map_or_else(String::new, |e| format!(" ± {e:.2}"));
    let kind = if d.canonicalisation == CanonKind::Val { "" } else { " minimal" };
    format!("{:.2}{error}{kind}", d.value)
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Versus {
    /// Rewards, in the order of rows and columns.
    pub rewards: Vec<String>,
    /// Task.
    pub task: String,
    /// What they were compared on.
    pub distribution: String,
    /// Discount.
    pub gamma: f64,
    /// STARC distances with VAL canonicalisation; minimal where the sample tells too little of values.
    pub val: Matrix<f64>,
    /// Standard error of each; none where there is one episode only.
    pub val_error: Matrix<Option<f64>>,
    /// Canonicalisation of each.
    pub val_canonicalisation: Matrix<CanonKind>,
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

impl Versus {
    /// STARC distance (VAL) of two of the rewards.
    pub fn starc(&self, i: usize, j: usize) -> Distance {
        let canonicalisation = self.val_canonicalisation.0[i][j];
        Distance { value: self.val.0[i][j], error: self.val_error.0[i][j], canonicalisation }
    }
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
    // Every step, one episode after another.
    let mut steps: Vec<Vec<f64>> = Vec::new();
    let mut returns: Vec<Vec<f64>> = Vec::new();
    for reward in rewards {
        let scored = score_all(reward, task.scene(), rollouts, false, pool)?;
        steps.push(scored.iter().flat_map(|s| s.step_totals.iter().map(|x| f64::from(*x))).collect());
        returns.push(scored.iter().map(|s| s.total).collect());
    }
    let gamma =
        task.learner.get("gamma").and_then(toml::Value::as_float).unwrap_or(pavlov_learn::PpoConfig::default().gamma);
    let (transitions, trajectories) = transitions(rewards, task, rollouts, &picked);
    let n = rewards.len();
    let fit = ValueFit::new(gamma, &transitions, &trajectories)?;
    let valued: Vec<Valued> = steps.iter().map(|r| fit.reward(r)).collect::<Result<_, _>>()?;
    let val = symmetric(n, |i, j| fit.distance(&valued[i], &valued[j]));
    let minimal = || -> Result<Matrix<f64>, SearchError> {
        let canon = Canon::new(CanonKind::Minimal, gamma, &transitions)?;
        let size = |r: &[f64]| r.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let form = |r: &Vec<f64>| -> Result<Vec<f64>, SearchError> {
            let values: Vec<f64> = picked.iter().map(|p| r[p.at]).collect();
            Ok(normalised(&canon.canonical(&values)?, canon.mass(), size(&values)))
        };
        let forms: Vec<Vec<f64>> = steps.iter().map(form).collect::<Result<_, _>>()?;
        Ok(Matrix::of(n, |i, j| distance(&forms[i], &forms[j], canon.mass())))
    };
    let epics = || {
        let forms = epic_forms(rewards, rollouts, &picked, gamma);
        Matrix::of(n, |i, j| Some(epic(forms[i].as_ref()?, forms[j].as_ref()?, &[])))
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
    let mut distribution = format!(
        "{}: {} of {} steps in {} episodes, {} behaviours",
        sample.what,
        picked.len(),
        rollouts.steps(),
        episodes.len(),
        names.len()
    );
    let pairs = n * n.saturating_sub(1) / 2;
    let fell_back = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    let fell_back = fell_back.filter(|&(i, j)| val.0[i][j].canonicalisation == CanonKind::Minimal).count();
    if fell_back > 0 {
        distribution += &format!(
            "; these tell no value function well enough for {fell_back} of {pairs} pairs, whose VAL is the minimal \
             canonicalisation"
        );
    }
    Ok(Versus {
        rewards: rewards.iter().map(|r| r.name().to_string()).collect(),
        task: task.name.clone(),
        distribution,
        gamma,
        val: Matrix::of(n, |i, j| val.0[i][j].value),
        val_error: Matrix::of(n, |i, j| val.0[i][j].error),
        val_canonicalisation: Matrix::of(n, |i, j| val.0[i][j].canonicalisation),
        minimal: if full { minimal()? } else { Matrix::default() },
        epic: if full { epics() } else { Matrix::default() },
        kendall: Matrix::of(n, |i, j| kendall(&returns[i], &returns[j])),
        spearman: Matrix::of(n, |i, j| spearman(&returns[i], &returns[j])),
        fitness_kendall: returns.iter().map(|r| kendall(r, &fitness)).collect(),
        disagreements: disagreements(rewards, &names, &returns, &fitness),
    })
}

/// A matrix that is the same on both sides of its diagonal.
fn symmetric<T: Clone>(n: usize, f: impl Fn(usize, usize) -> T) -> Matrix<T> {
    let half: Vec<Vec<T>> = (0..n).map(|i| (0..=i).map(|j| f(i, j)).collect()).collect();
    Matrix::of(n, |i, j| half[i.max(j)][i.min(j)].clone())
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
        assert!(v.distribution.contains("no value function well enough for 1 of 1 pairs"), "{}", v.distribution);
        assert_eq!(v.val_canonicalisation.0[0][1], CanonKind::Minimal);
        assert_eq!(v.val, v.minimal);
        assert!(v.val.0[0][1] < 1e-9);
    }

    fn reward(task: &Task, name: &str, term: &str) -> Reward {
        let script = format!("fn reward(s, p) {{ #{{ term: {term} }} }}");
        Reward::from_text(name, name, &script, pavlov_reward::Manifest::default(), task.scene()).unwrap()
    }

    #[test]
    fn a_disagreement_names_who_likes_what_and_how_much() {
        let task = Task::load(&Assets::find(None), "cartpole_swingup").unwrap();
        let [a, b] = ["a", "b"].map(|name| reward(&task, name, "s.qpos[0]"));
        let names: Vec<String> = ["falls", "spins", "stands", "rests"].map(String::from).to_vec();
        // Means 2 and 0, deviations 1 and 10: scores 1, 1, -1, -1 and 1, -1, 1, -1.
        let returns = [vec![3.0, 3.0, 1.0, 1.0], vec![10.0, -10.0, 10.0, -10.0]];
        let found = disagreements(&[&a, &b], &names, &returns, &[0.1, 0.2, 0.3, 0.4]);
        let told: Vec<(&str, &str, &str, f64)> =
            found.iter().map(|d| (&*d.likes, &*d.dislikes, &*d.behaviour, d.fitness)).collect();
        assert_eq!(told, [("a", "b", "spins", 0.2), ("b", "a", "stands", 0.3)]);
        assert!(found.iter().all(|d| d.high > 0.8 && d.low < -0.8 && d.high == -d.low), "{found:?}");
    }

    fn played(name: &str, pool: &rayon::ThreadPool) -> (Task, crate::audit::Audit) {
        let assets = Assets::find(None);
        let task = Task::load(&assets, name).unwrap();
        let audit = AuditSet::load(&assets, &task).unwrap().play(&task, pool).unwrap();
        (task, audit)
    }

    #[test]
    fn rewards_that_ask_for_different_things_are_apart_on_audit_sets() {
        let pool = pavlov_run::thread_pool(2).unwrap();
        let forward = "s.body(\"torso\").linvel.x";
        let cases = [
            ("ant_run", [forward, "-s.action.norm2()", "s.body(\"torso\").angvel.z"]),
            ("cartpole_swingup", ["cos(s.joint(\"hinge\").pos)", "-s.action.norm2()", "s.joint(\"slider\").vel"]),
        ];
        for (name, terms) in cases {
            let (task, audit) = played(name, &pool);
            let rewards = terms.map(|t| reward(&task, t, t));
            let sample = Sample::of_audit(&audit);
            let [all, few] =
                [true, false].map(|full| versus(&rewards.each_ref(), &task, &sample, full, &pool).unwrap());
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                let (found, again, minimal) = (all.starc(i, j), few.starc(i, j), all.minimal.0[i][j]);
                let [shown, shown_again] = [written(&found), written(&again)];
                println!(
                    "{name}, {} and {}: {shown}, of fewer steps {shown_again}, minimal {minimal:.2}",
                    terms[i], terms[j]
                );
                assert_eq!(found.canonicalisation, CanonKind::Val, "{found:?}");
                for d in [found, again] {
                    assert!((d.value - minimal).abs() < 0.2, "{name}: {d:?}, minimal {minimal}");
                    assert!(d.error.is_some_and(|e| e > 0.001 && e < 0.2), "{d:?}");
                }
            }
            let negated = reward(&task, "negated", &format!("-1.0 * ({})", terms[0]));
            let v = versus(&[&rewards[0], &negated], &task, &Sample::of_audit(&audit), false, &pool).unwrap();
            assert!((v.val.0[0][1] - 1.0).abs() < 1e-6, "{:?}", v.val);
        }
    }

    /// Values are fitted to the first half of what was played and held against what the policies got in the long run.
    #[test]
    fn values_are_those_of_longer_episodes_as_far_as_is_said() {
        let pool = pavlov_run::thread_pool(2).unwrap();
        for (name, term) in [
            ("ant_run", "s.body(\"torso\").linvel.x"),
            ("ant_run", "s.body(\"torso\").up.z"),
            ("cartpole_swingup", "cos(s.joint(\"hinge\").pos)"),
            ("half_cheetah_run", "s.qvel[0]"),
        ] {
            let (task, audit) = played(name, &pool);
            let (half, gamma) = (audit.steps / 2, 0.97);
            let mut short = audit.rollouts.clone();
            for e in &mut short.info.episodes {
                (e.terminated, e.steps) = (e.terminated && e.steps <= half, e.steps.min(half));
            }
            let reward = reward(&task, term, term);
            let per_step = |rollouts: &pavlov_run::Rollouts| -> Vec<Vec<f64>> {
                let scored = score_all(&reward, task.scene(), rollouts, false, &pool).unwrap();
                scored.iter().map(|s| s.step_totals.iter().map(|x| f64::from(*x)).collect()).collect()
            };
            let picked = pick(&short, 2048);
            let (t, all) = transitions(&[&reward], &task, &short, &picked);
            let fit = ValueFit::new(gamma, &t, &all).unwrap();
            let seen = fit.reward(&per_step(&short).concat()).unwrap();
            let (values, explained) = fit.values(&seen).unwrap();
            let long = per_step(&audit.rollouts);
            let (mut pairs, mut first) = (Vec::new(), 0);
            for (e, steps) in short.info.episodes.iter().enumerate().map(|(i, e)| (i, e.steps)) {
                for (p, v) in picked.iter().zip(&values).filter(|(p, _)| (first..first + steps).contains(&p.at)) {
                    let from = p.at - first;
                    let got = long[e][from..].iter().rev().fold(0.0, |sum, r| r + gamma * sum);
                    pairs.push((*v, got));
                }
                first += steps;
            }
            let n = pairs.len() as f64;
            let mean = pairs.iter().map(|p| p.1).sum::<f64>() / n;
            let left = pairs.iter().map(|(v, g)| (v - g).powi(2)).sum::<f64>();
            let told = 1.0 - left / pairs.iter().map(|(_, g)| (g - mean).powi(2)).sum::<f64>();
            println!(
                "{name}, {term}: {told:.3} of the returns' variance told, {explained:.3} claimed of held-out ones"
            );
            assert!(told > 0.4, "{name}, {term}: {told}");
        }
    }
}
