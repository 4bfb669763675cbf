//! What the rollouts tell: pay for standing still, jerky or costly motion, states and terms beyond what the reward was
//! seen with.

use super::Symptom;
use crate::error::RunError;
use crate::folder::RunFolder;
use crate::rescore::{channels_of, readable_rollouts, score_all};
use crate::rollouts::Rollouts;
use pavlov_common::stats::mean;
use pavlov_env::Task;
use pavlov_reward::{Columns, Reward, Scored};
use pavlov_script::{Channel, Scene};
use serde::{Deserialize, Serialize};

/// A step is still when the speed is below this share of the usual one.
const STILL: f64 = 0.1;
/// Standing still is paid when it is this share of the time and earns this share of a usual step.
const STILL_SHARE: f64 = 0.3;
const STILL_PAY: f64 = 0.9;
/// Mean change of an action from step to step, over its range, that is bang-bang.
const JERK: f64 = 0.35;
/// Growth of jerk or energy over the run that is told when fitness has not grown.
const GROWTH: f64 = 3.0;
/// Share of steps with a term outside of what earlier policies gave.
const NEW: f64 = 0.3;

/// How the robot moved under one policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Motion {
    /// Environment steps the policy had been trained for.
    pub env_steps: u64,
    /// Mean fitness of the episodes.
    pub fitness: f64,
    /// Mean reward of a step.
    pub reward: f64,
    /// Mean |change of an action| from step to step over its range.
    pub jerk: f64,
    /// Mean mechanical power of the joints, sum of |torque * speed| (W).
    pub power: f64,
    /// Share of the steps in which the robot is still.
    pub still: f64,
    /// Mean reward of a still step; none when there are none.
    pub still_reward: Option<f64>,
    /// Share of the steps in which some term is outside of what it was under the policies before.
    pub new: f64,
    /// The term that is so most often.
    pub new_term: String,
}

/// Every file of rollouts, and what is wrong in the last one.
pub(crate) fn look(folder: &RunFolder, task: &Task, reward: &Reward) -> Result<(Vec<Motion>, Vec<Symptom>), RunError> {
    let (files, problems) = readable_rollouts(folder);
    let mut unreadable: Vec<Symptom> = problems.iter().map(cannot_read).collect();
    let scene = task.scene();
    let pool = crate::train::thread_pool(1)?;
    let mut channels = channels_of([reward]);
    channels.extend((0..scene.nv as u16).map(Channel::Qvel));
    channels.extend((0..scene.action_dim as u16).map(Channel::Action));
    for (j, _) in scene.joints.iter().enumerate().filter(|(_, j)| j.scalar) {
        channels.extend([Channel::JointTorque(j as u16), Channel::JointVel(j as u16)]);
    }
    let mut parts = Vec::new();
    for (_, file) in &files {
        let rollouts = match file.read(scene, channels.iter().copied()) {
            Ok(rollouts) => rollouts,
            Err(e) => {
                unreadable.push(cannot_read(&e));
                continue;
            }
        };
        let scored = score_all(reward, scene, &rollouts, true, &pool)?;
        parts.push((rollouts, scored));
    }
    // What is usual goes by all policies: one that stands still from beginning to end has no speed of its own.
    let mut speeds: Vec<f64> = parts.iter().flat_map(|(r, _)| speeds(scene, r)).collect();
    speeds.sort_by(f64::total_cmp);
    let usual = speeds.get(speeds.len() * 9 / 10).copied().unwrap_or(0.0);
    let mut seen: Vec<(f32, f32)> = vec![(f32::INFINITY, f32::NEG_INFINITY); reward.term_names().len()];
    let mut all = Vec::new();
    for (rollouts, scored) in &parts {
        all.push(motion(task, reward, rollouts, scored, usual, &mut seen));
    }
    let symptoms = unreadable.into_iter().chain(symptoms(&all)).collect();
    Ok((all, symptoms))
}

/// A file of rollouts that is left out of everything here.
fn cannot_read(problem: &RunError) -> Symptom {
    let fix = "nothing here speaks of these episodes: bring the file back from a copy, or remove it";
    Symptom::warning("unreadable-rollouts", format!("{problem}"), fix)
}

/// Root mean square of `qvel` in each step.
fn speeds(scene: &Scene, rollouts: &Rollouts) -> Vec<f64> {
    let columns: Vec<&[f32]> = (0..scene.nv as u16).filter_map(|i| rollouts.column(Channel::Qvel(i))).collect();
    let speed = |row: usize| mean(columns.iter().map(|c| f64::from(c[row]).powi(2))).unwrap_or_default().sqrt();
    rows(rollouts).map(speed).collect()
}

/// Rows of states after a step.
fn rows(rollouts: &Rollouts) -> impl Iterator<Item = usize> + '_ {
    rollouts.info.episodes.iter().flat_map(|e| e.first + 1..=e.first + e.steps)
}

fn motion(
    task: &Task,
    reward: &Reward,
    rollouts: &Rollouts,
    scored: &[Scored],
    usual: f64,
    seen: &mut [(f32, f32)],
) -> Motion {
    let scene = task.scene();
    let totals: Vec<f64> = scored.iter().flat_map(|s| s.step_totals.iter().map(|&x| f64::from(x))).collect();
    let n = totals.len().max(1) as f64;
    let (low, high) = task.action_range();
    let width = |i: usize| f64::from(high[i] - low[i]);
    let width = |i: usize| if width(i).is_finite() && width(i) < 100.0 { width(i) } else { 2.0 };
    let (mut jerk, mut jumps) = (0.0, 0usize);
    for (i, column) in (0..scene.action_dim).filter_map(|i| Some((i, rollouts.column(Channel::Action(i as u16))?))) {
        for e in &rollouts.info.episodes {
            // The first action has none before it.
            for row in e.first + 2..=e.first + e.steps {
                jerk += f64::from((column[row] - column[row - 1]).abs()) / width(i);
                jumps += 1;
            }
        }
    }
    let mut power = 0.0;
    for j in 0..scene.joints.len() as u16 {
        if let (Some(t), Some(v)) = (rollouts.column(Channel::JointTorque(j)), rollouts.column(Channel::JointVel(j))) {
            power += rows(rollouts).map(|r| f64::from((t[r] * v[r]).abs())).sum::<f64>();
        }
    }
    let still: Vec<f64> = speeds(scene, rollouts)
        .into_iter()
        .zip(&totals)
        .filter(|(speed, _)| *speed < STILL * usual)
        .map(|(_, total)| *total)
        .collect();
    let first = seen.first().is_none_or(|(l, h)| l > h);
    let mut outside = vec![0usize; seen.len()];
    let mut new = 0usize;
    if !first {
        for s in scored {
            for step in 0..s.step_totals.len() {
                let mut any = false;
                for (term, &(l, h)) in seen.iter().enumerate() {
                    let margin = 0.05 * (h - l);
                    let x = s.step_terms[term][step];
                    if x < l - margin || x > h + margin {
                        outside[term] += 1;
                        any = true;
                    }
                }
                new += usize::from(any);
            }
        }
    }
    for s in scored {
        for (range, values) in seen.iter_mut().zip(&s.step_terms) {
            let finite = values.iter().filter(|x| x.is_finite());
            *range = finite.fold(*range, |(l, h), &x| (l.min(x), h.max(x)));
        }
    }
    let most = (0..outside.len()).max_by_key(|&t| outside[t]).filter(|&t| outside[t] > 0);
    let episodes = rollouts.info.episodes.len().max(1) as f64;
    Motion {
        env_steps: rollouts.info.env_steps,
        fitness: rollouts.info.episodes.iter().map(|e| e.fitness).sum::<f64>() / episodes,
        reward: totals.iter().sum::<f64>() / n,
        jerk: jerk / jumps.max(1) as f64,
        power: power / n,
        still: still.len() as f64 / n,
        still_reward: mean(still.iter().copied()),
        new: new as f64 / n,
        new_term: most.map_or(String::new(), |t| reward.term_names()[t].clone()),
    }
}

fn symptoms(all: &[Motion]) -> Vec<Symptom> {
    let Some(last) = all.last() else { return Vec::new() };
    let mut out = Vec::new();
    if let Some(pay) = last.still_reward
        && last.still > STILL_SHARE
        && last.reward > 0.0
        && pay >= STILL_PAY * last.reward
    {
        let message = format!(
            "the robot is still in {:.0}% of the steps, and such a step earns {pay:.3} where the mean is {:.3}",
            100.0 * last.still,
            last.reward
        );
        out.push(Symptom::warning(
            "idle-pay",
            message,
            "standing is paid: pay for progress instead of for being there",
        ));
    }
    // The policy in the middle is what the end is held against; the untrained one says little about motion.
    let middle = all.get(all.len() / 2).filter(|m| m.env_steps > 0 && m.env_steps < last.env_steps);
    let no_better = |m: &Motion| last.fitness <= m.fitness + 0.05 * m.fitness.abs();
    if last.jerk > JERK {
        let message = format!("actions change by {:.0}% of their range from step to step", 100.0 * last.jerk);
        let fix = "no motor follows that: penalise diff2(s.action, s.prev_action)";
        out.push(Symptom::warning("jerk", message, fix));
    } else if let Some(m) = middle.filter(|m| last.jerk > GROWTH * m.jerk && no_better(m)) {
        let message = format!(
            "actions change {:.1} times as much as at {} steps, for no more fitness",
            last.jerk / m.jerk,
            m.env_steps
        );
        out.push(Symptom::warning("jerk", message, "penalise diff2(s.action, s.prev_action)"));
    }
    if let Some(m) = middle.filter(|m| last.power > GROWTH * m.power && no_better(m)) {
        let message =
            format!("{:.0} W where {:.0} W gave the same fitness at {} steps", last.power, m.power, m.env_steps);
        out.push(Symptom::warning("energy", message, "penalise sum of |torque * speed|, or s.action.norm2()"));
    }
    if last.new > NEW && all.len() > 2 {
        let message = format!(
            "in {:.0}% of the steps a term is outside of all it was under the policies before, most often `{}`",
            100.0 * last.new,
            last.new_term
        );
        let fix = "look at what the robot does there (`pavlov rescore --list`): the reward was not made with these \
            states in mind";
        out.push(Symptom::note("new-states", message, fix).term(&last.new_term));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symptoms_follow_the_numbers() {
        let usual = Motion { env_steps: 500, fitness: 1.0, reward: 1.0, jerk: 0.05, power: 20.0, ..Motion::default() };
        let first = Motion { env_steps: 0, ..usual.clone() };
        let end = Motion { env_steps: 1000, ..usual.clone() };
        let names = |last: Motion| -> Vec<String> {
            symptoms(&[first.clone(), usual.clone(), last]).into_iter().map(|s| s.name).collect()
        };
        assert!(names(end.clone()).is_empty());
        assert_eq!(names(Motion { still: 0.8, still_reward: Some(1.1), ..end.clone() }), ["idle-pay"]);
        assert!(names(Motion { still: 0.8, still_reward: Some(0.2), ..end.clone() }).is_empty());
        assert_eq!(names(Motion { jerk: 0.5, ..end.clone() }), ["jerk"]);
        assert_eq!(names(Motion { jerk: 0.2, power: 90.0, ..end.clone() }), ["jerk", "energy"]);
        assert!(names(Motion { power: 90.0, fitness: 2.0, ..end.clone() }).is_empty());
        assert_eq!(names(Motion { new: 0.6, new_term: "spin".into(), ..end }), ["new-states"]);
        assert!(symptoms(&[]).is_empty());
    }
}
