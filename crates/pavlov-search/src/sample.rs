//! What rewards are compared on: steps of an audit set or of what a run has kept, seen through features of the states.
//!
//! Steps are thinned evenly; the ends of episodes stay. Features are 1, `qpos`, `qvel` and every channel of the state
//! that one of the rewards reads, with sine and cosine in place of an angle that may turn round, brought to mean 0 and
//! deviation 1; the products of two of them while they are few, the squares while there are not too many. Potential
//! shaping within their span counts as nothing.

use crate::audit::Audit;
use pavlov_env::Task;
use pavlov_model::JointKind;
use pavlov_reward::compare::{Trajectories, Transitions};
use pavlov_reward::{Columns, Reward};
use pavlov_run::{Rollouts, Stat};
use pavlov_script::Channel;

/// Up to this many columns, their squares are features too.
const SQUARES: usize = 60;
/// Up to this many, the products of two of them as well: the value of a quadratic reward in a linear system is one.
const PRODUCTS: usize = 8;

/// What rewards are compared on.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    pub(crate) rollouts: &'a Rollouts,
    pub(crate) what: &'static str,
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

/// A step of the sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picked {
    /// Step, counted over all episodes.
    pub at: usize,
    /// Row of the state after it.
    pub row: usize,
    /// Did the episode end for good there?
    pub terminal: bool,
}

/// Steps at even distances.
pub(crate) fn pick(rollouts: &Rollouts, most: usize) -> Vec<Picked> {
    let stride = rollouts.steps().div_ceil(most).max(1);
    let steps = rollouts
        .info
        .episodes
        .iter()
        .flat_map(|e| (0..e.steps).map(|step| (e.first + step + 1, e.terminated && step + 1 == e.steps)));
    // The ends of episodes are few and say much.
    let steps = steps.enumerate().filter(|(i, (_, terminal))| i % stride == 0 || *terminal);
    steps.map(|(at, (row, terminal))| Picked { at, row, terminal }).collect()
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

/// A column of features, by the value of a channel.
struct Column<'a> {
    values: &'a [f32],
    of: fn(f64) -> f64,
    mean: f64,
    std: f64,
}

impl Column<'_> {
    fn at(&self, row: usize) -> f64 {
        ((self.of)(f64::from(self.values[row])) - self.mean) / self.std
    }
}

/// The features of every state of the rollouts.
struct Features<'a> {
    columns: Vec<Column<'a>>,
}

impl<'a> Features<'a> {
    fn new(rewards: &[&Reward], task: &Task, rollouts: &'a Rollouts, picked: &[Picked]) -> Self {
        let scene = task.scene();
        let mut channels: Vec<Channel> =
            (0..scene.nq as u16).map(Channel::Qpos).chain((0..scene.nv as u16).map(Channel::Qvel)).collect();
        channels.extend(rewards.iter().flat_map(|r| r.program().inputs()).map(|i| i.channel).filter(|c| of_state(*c)));
        channels.sort();
        channels.dedup();
        let turns = |channel: &Channel| match channel {
            Channel::Qpos(i) => task
                .model()
                .joints
                .iter()
                .any(|j| j.kind == JointKind::Hinge && !j.limited && j.qposadr == usize::from(*i)),
            _ => false,
        };
        let plain: &[fn(f64) -> f64] = &[|x| x];
        let of_angle: &[fn(f64) -> f64] = &[f64::sin, f64::cos];
        // A column that a joint's own one repeats adds nothing, and the factorisation drops what is left of such.
        let column = |(values, of): (&'a [f32], fn(f64) -> f64)| {
            let stat = Stat::of(picked.iter().map(|p| of(f64::from(values[p.row]))));
            Column { values, of, mean: stat.mean, std: stat.std }
        };
        let columns = channels
            .iter()
            .filter_map(|c| Some((rollouts.column(*c)?, turns(c))))
            .flat_map(|(values, turns)| (if turns { of_angle } else { plain }).iter().map(move |of| (values, *of)));
        Self { columns: columns.map(column).filter(|c| c.std > 1e-9).collect() }
    }

    fn write(&self, row: usize, out: &mut Vec<f64>) {
        let (first, count) = (out.len() + 1, self.columns.len());
        out.push(1.0);
        out.extend(self.columns.iter().map(|c| c.at(row)));
        for i in 0..count {
            let partners = if count <= PRODUCTS {
                i..count
            } else if count <= SQUARES {
                i..i + 1
            } else {
                i..i
            };
            for j in partners {
                out.push(out[first + i] * out[first + j]);
            }
        }
    }
}

/// Features of the transitions that were picked, and of where their episodes end.
pub(crate) fn transitions(
    rewards: &[&Reward],
    task: &Task,
    rollouts: &Rollouts,
    picked: &[Picked],
) -> (Transitions, Trajectories) {
    let features = Features::new(rewards, task, rollouts, picked);
    let mut t = Transitions::default();
    for p in picked {
        features.write(p.row - 1, &mut t.state);
        features.write(p.row, &mut t.next);
        t.terminal.push(p.terminal);
    }
    t.width = t.state.len() / picked.len().max(1);
    let mut all = Trajectories { at: picked.iter().map(|p| p.at).collect(), ..Trajectories::default() };
    for e in &rollouts.info.episodes {
        features.write(e.first + e.steps, &mut all.last);
        all.steps.push(e.steps);
        all.ended.push(e.terminated);
    }
    (t, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::six;

    #[test]
    fn a_states_features_are_its_columns_and_their_products() {
        let (task, audit) = six([1.0, 0.0, 0.2, 0.3, 0.4, 0.95]);
        let picked = pick(&audit.rollouts, usize::MAX);
        let features = Features::new(&[], &task, &audit.rollouts, &picked);
        let n = features.columns.len();
        // The slider's place, sine and cosine of the pole's angle, both speeds.
        assert!(n == 5 && n <= PRODUCTS, "{n}");
        let mut out = vec![7.0; 3];
        features.write(picked[4].row, &mut out);
        let row = &out[3..];
        let x: Vec<f64> = features.columns.iter().map(|c| c.at(picked[4].row)).collect();
        let products = (0..n).flat_map(|i| (i..n).map(move |j| (i, j))).map(|(i, j)| x[i] * x[j]);
        let expected: Vec<f64> = std::iter::once(1.0).chain(x.iter().copied()).chain(products).collect();
        assert_eq!(row, expected);
        // In units of their deviations about their means.
        for c in &features.columns {
            let stat = Stat::of(picked.iter().map(|p| c.at(p.row)));
            assert!(stat.mean.abs() < 1e-9 && (stat.std - 1.0).abs() < 1e-9, "{stat:?}");
        }
    }

    #[test]
    fn what_a_step_does_is_no_part_of_its_state() {
        for step in [Channel::Action(0), Channel::PrevAction(1), Channel::ActuatorForce(0), Channel::JointAcc(2)] {
            assert!(!of_state(step), "{step:?}");
        }
        for state in [Channel::Qpos(0), Channel::Qvel(1), Channel::Time, Channel::FootContact(0)] {
            assert!(of_state(state), "{state:?}");
        }
    }
}
