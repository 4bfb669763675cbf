//! Rules about single states: operations, units, finite, constant.
//!
//! Random states: each column on its own, uniform over twice the range it has in the audit set. Extreme states: all
//! columns at 0, at plus or minus a hundred times their largest recorded value, and one column after the other there
//! while the rest is at a recorded state. Quaternions stay unit quaternions, contacts 0 or 1, times from 0 on.

use super::GateFinding;
use crate::audit::Audit;
use crate::error::SearchError;
use pavlov_common::stats::{extent, first_not_finite};
use pavlov_env::Task;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_reward::{Columns, Reward, Scored};
use pavlov_script::{Channel, ScriptError};

/// Most operations of a lowered program.
const MAX_OPERATIONS: usize = 20_000;
/// Most operations of a step by the interpreter, as rhai counts them: about half a millisecond.
const MAX_INTERPRETED: u64 = 10_000;
/// Number of random states.
const RANDOM: usize = 1024;
/// Extreme states are at this many times the largest recorded value.
const EXTREME: f32 = 100.0;

/// Is it too slow to be run in every step?
pub fn operations(reward: &Reward, task: &Task, audit: &Audit) -> Result<Option<GateFinding>, SearchError> {
    let program = reward.program();
    let hint = "it is run in every step of every world: leave out loops over what does not change";
    if program.is_lowered() {
        let n = program.operations();
        let message = format!("{n} operations a step, more than the limit of {MAX_OPERATIONS}");
        return Ok((n > MAX_OPERATIONS).then(|| GateFinding::error("operations", message, hint).value(n as f64)));
    }
    let span = pavlov_reward::Span { first: 0, steps: audit.rollouts.info.episodes[0].steps.min(16) };
    let n = match pavlov_reward::score(reward, task.scene(), &audit.rollouts, &[span], false) {
        Ok(scored) => scored.iter().map(|s| s.operations).max().unwrap_or(0),
        Err(e) => {
            return Ok(Some(GateFinding::error("run", e.to_string(), "guard what the script does in this state")));
        }
    };
    let message = format!("{n} operations a step by the interpreter, more than the limit of {MAX_INTERPRETED}");
    Ok((n > MAX_INTERPRETED).then(|| GateFinding::error("operations", message, hint).value(n as f64)))
}

/// Parameters declared in units that scripts do not work in.
pub fn units(reward: &Reward) -> Vec<GateFinding> {
    let mut out = Vec::new();
    for (name, value, param) in reward.params() {
        let words: Vec<String> = param.unit.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
        let slip = [
            (&["deg", "degree", "degrees", "rpm"][..], "rad", "rad = deg * PI() / 180"),
            (&["cm", "mm", "km", "inch", "in", "ft"][..], "m", "give it in metres"),
            (&["ms", "min", "h"][..], "s", "give it in seconds"),
            (&["g", "lb"][..], "kg", "give it in kilograms"),
        ];
        for (wrong, right, how) in slip {
            if let Some(unit) = words.iter().find(|w| wrong.contains(&w.as_str())) {
                let message = format!("parameter `{name}` is {value} {unit}: scripts work in {right}");
                out.push(GateFinding::error("unit", message, how).value(f64::from(value)));
            }
        }
    }
    out
}

/// Every term in recorded, random and extreme states.
pub fn finite(reward: &Reward, audit: &Audit, scored: &[Scored], played: &Played) -> Vec<GateFinding> {
    let hint = "keep logarithms, roots, quotients and powers away from their poles: max(x, 1e-6), clamp(x, low, high)";
    let names = reward.term_names();
    let mut out: Vec<GateFinding> = Vec::new();
    for (world, scored) in scored.iter().enumerate() {
        if let Some((term, step, value)) = scored.bad
            && !out.iter().any(|f| f.term == names[term])
        {
            let behaviour = &audit.behaviour_of(world).name;
            let message = format!("term `{}` is {value} in step {step} of `{behaviour}` (world {world})", names[term]);
            let finding = GateFinding::error("finite", message, hint).term(&names[term]);
            out.push(finding.at(behaviour, world, step).value(f64::from(value)));
        }
    }
    for (kind, InStates { rows, terms }) in [("random", &played.random), ("extreme", &played.extreme)] {
        let (values, width) = match terms {
            Ok((values, width)) => (values, *width),
            Err(e) => {
                out.push(GateFinding::error("run", e.to_string(), "guard what the script does in this state"));
                continue;
            }
        };
        for (term, name) in names.iter().enumerate() {
            let bad = first_not_finite(&values[term * width..][..rows.len()]);
            if let Some(row) = bad.filter(|_| !out.iter().any(|f| f.term == *name)) {
                let value = values[term * width + row];
                let state = played.unseen.describe(reward, &rows[row]);
                let message = format!("term `{name}` is {value} in {kind} state {row}: {state}");
                out.push(GateFinding {
                    world: Some(row),
                    ..GateFinding::error("finite", message, hint).term(name).value(f64::from(value))
                });
            }
        }
    }
    out
}

/// Does the total change at all, and each term where it could?
pub fn constant(reward: &Reward, audit: &Audit, scored: &[Scored], played: &Played) -> Vec<GateFinding> {
    let joined = |ranges: &mut dyn Iterator<Item = (f32, f32)>| {
        ranges.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), (low, high)| (l.min(low), h.max(high)))
    };
    let still = |(low, high): (f32, f32)| high - low <= 1e-6 * low.abs().max(high.abs()).max(1e-20);
    let total = joined(&mut scored.iter().map(|s| extent(&s.step_totals)));
    if still(total) {
        let n = audit.rollouts.steps();
        let message =
            format!("the reward is {} in all {n} recorded steps of {} behaviours", total.0, audit.behaviours.len());
        let hint = "let it depend on what the task wants; a constant teaches nothing but to stay alive";
        return vec![GateFinding::error("constant", message, hint).value(f64::from(total.0))];
    }
    let mut out = Vec::new();
    for (term, name) in reward.term_names().iter().enumerate() {
        let recorded = joined(&mut scored.iter().map(|s| extent(&s.step_terms[term])));
        let varies = |states: &InStates| {
            let term_range = |(v, w): &(Vec<f32>, usize)| extent(&v[term * w..(term + 1) * w]);
            states.terms.as_ref().is_ok_and(|values| !still(term_range(values)))
        };
        if still(recorded) && !varies(&played.random) && varies(&played.extreme) {
            let message = format!(
                "term `{name}` is {} in every recorded and random state, and changes only far beyond what the robot does: a \
                 threshold in other units?",
                recorded.0
            );
            let hint = "angles are in rad, lengths in m, speeds in m/s and rad/s, forces in N: rad = deg * PI() / 180";
            out.push(GateFinding::error("unit", message, hint).term(name).value(f64::from(recorded.0)));
        }
    }
    out
}

/// A reward's terms in states that nobody has seen.
pub struct Played {
    unseen: Unseen,
    random: InStates,
    extreme: InStates,
}

/// States, a row each, and the terms in them, `[term][width]`.
struct InStates {
    rows: Vec<Vec<f32>>,
    terms: Result<(Vec<f32>, usize), ScriptError>,
}

impl Played {
    /// Runs the reward in random and in extreme states.
    pub fn new(reward: &Reward, audit: &Audit) -> Self {
        let unseen = Unseen::new(reward, audit);
        let in_states = |rows: Vec<Vec<f32>>| InStates { terms: unseen.run(reward, &rows), rows };
        let (random, extreme) = (in_states(unseen.random()), in_states(unseen.extreme()));
        Self { unseen, random, extreme }
    }
}

/// States that nobody has seen, for the inputs of one reward: a row has a number per input.
struct Unseen {
    channels: Vec<Channel>,
    /// Range of each input in the audit set.
    range: Vec<(f32, f32)>,
    /// A recorded state.
    seen: Vec<f32>,
}

impl Unseen {
    fn new(reward: &Reward, audit: &Audit) -> Self {
        let inputs = reward.program().inputs();
        let column = |c: Channel| audit.rollouts.column(c).unwrap_or(&[]);
        let range = |i: &pavlov_script::Input| extent(column(i.channel));
        Self {
            channels: inputs.iter().map(|i| i.channel).collect(),
            range: inputs.iter().map(range).map(|(l, h)| if l <= h { (l, h) } else { (0.0, 0.0) }).collect(),
            seen: inputs.iter().map(|i| column(i.channel).get(1).copied().unwrap_or(0.0)).collect(),
        }
    }

    fn random(&self) -> Vec<Vec<f32>> {
        let row = |k: usize| {
            let mut stream = WorldRng::new(1, k as u64).stream(Purpose::Action, 0, 0);
            let drawn = |(&(low, high), &c): (&(f32, f32), &Channel)| {
                let unit = stream.uniform(-1.0, 1.0);
                let (middle, half) = (0.5 * (low + high), (high - low).max(0.01 * high.abs()).max(1e-3));
                possible(c, middle + half * unit)
            };
            self.range.iter().zip(&self.channels).map(drawn).collect()
        };
        (0..RANDOM).map(row).map(|row: Vec<f32>| self.unit_quaternions(row)).collect()
    }

    fn extreme(&self) -> Vec<Vec<f32>> {
        let far = |sign: f32| -> Vec<f32> {
            let extreme = |(&(low, high), &c): (&(f32, f32), &Channel)| {
                possible(c, sign * EXTREME * low.abs().max(high.abs()).max(1.0))
            };
            self.range.iter().zip(&self.channels).map(extreme).collect()
        };
        let (up, down) = (far(1.0), far(-1.0));
        let mut rows = vec![vec![0.0; self.range.len()], up.clone(), down.clone()];
        for i in 0..self.range.len() {
            for to in [up[i], down[i], 0.0] {
                let mut row = self.seen.clone();
                row[i] = to;
                rows.push(row);
            }
        }
        rows.into_iter().map(|row| self.unit_quaternions(row)).collect()
    }

    /// Components of a quaternion stand together among the inputs, as far as they are read.
    fn unit_quaternions(&self, mut row: Vec<f32>) -> Vec<f32> {
        let mut done = Vec::new();
        for i in 0..row.len() {
            let Channel::BodyQuat { body, .. } = self.channels[i] else { continue };
            if done.contains(&body) {
                continue;
            }
            done.push(body);
            let components: Vec<usize> = (0..row.len())
                .filter(|&k| matches!(self.channels[k], Channel::BodyQuat { body: b, .. } if b == body))
                .collect();
            let norm = components.iter().map(|&k| row[k] * row[k]).sum::<f32>().sqrt();
            for &k in &components {
                row[k] = if norm > 1e-6 { row[k] / norm } else { f32::from(u8::from(k == components[0])) };
            }
        }
        row
    }

    /// Terms `[term][width]` of rows; memory is as at the start of an episode.
    fn run(&self, reward: &Reward, rows: &[Vec<f32>]) -> Result<(Vec<f32>, usize), ScriptError> {
        let program = reward.program();
        let width = rows.len().next_multiple_of(8).max(8);
        let mut inputs = vec![0.0; program.inputs().len() * width];
        for (k, column) in inputs.chunks_exact_mut(width).enumerate() {
            let last = rows.last().map_or(0.0, |r| r[k]);
            column.iter_mut().enumerate().for_each(|(i, x)| *x = rows.get(i).map_or(last, |r| r[k]));
        }
        let mut memory = vec![0.0; program.memory_init().len() * width];
        (0..width).for_each(|w| program.reset_memory(w, width, &mut memory));
        let mut out = vec![0.0; program.outputs().len() * width];
        program.run(width, width, &inputs, reward.values(), &mut memory, &mut program.scratch(), &mut out)?;
        Ok((out, width))
    }

    /// The inputs that are furthest from what was recorded.
    fn describe(&self, reward: &Reward, row: &[f32]) -> String {
        let mut far: Vec<(f32, usize)> = (0..row.len()).map(|i| ((row[i] - self.seen[i]).abs(), i)).collect();
        far.sort_by(|a, b| b.0.total_cmp(&a.0));
        let scene = reward.program().scene();
        let name = |&(_, i): &(f32, usize)| format!("{} = {}", reward.program().inputs()[i].describe(scene), row[i]);
        far.iter().take(3).map(name).collect::<Vec<_>>().join(", ")
    }
}

/// Keeps what cannot be otherwise: contacts, times, quaternions' components.
fn possible(channel: Channel, x: f32) -> f32 {
    match channel {
        Channel::FootContact(_) | Channel::BodyContact(_) => f32::from(u8::from(x > 0.5)),
        Channel::Time => x.abs(),
        Channel::EpisodeStep => x.abs().floor(),
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::Assets;

    fn unseen(list: &[(Channel, (f32, f32), f32)]) -> Unseen {
        Unseen {
            channels: list.iter().map(|x| x.0).collect(),
            range: list.iter().map(|x| x.1).collect(),
            seen: list.iter().map(|x| x.2).collect(),
        }
    }

    #[test]
    fn random_states_fill_twice_the_recorded_range() {
        let speed = (Channel::Qvel(0), (-1.0, 3.0), 0.5);
        let still = (Channel::Qpos(0), (100.0, 100.0), 100.0);
        let zero = (Channel::Qpos(1), (0.0, 0.0), 0.0);
        let rows = unseen(&[speed, still, zero]).random();
        assert_eq!(rows.len(), RANDOM);
        let range = |k: usize| {
            rows.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), row| (low.min(row[k]), high.max(row[k])))
        };
        // Twice the range about its middle; a hundredth of what never changed, a thousandth about 0.
        for (k, (low, high)) in [(-3.0, 5.0), (99.0, 101.0), (-1e-3, 1e-3)].into_iter().enumerate() {
            let (found, width) = (range(k), high - low);
            assert!(found.0 >= low && found.0 < low + 0.01 * width, "{k}: {found:?}");
            assert!(found.1 <= high && found.1 > high - 0.01 * width, "{k}: {found:?}");
        }
        // Each column on its own.
        assert!(rows.iter().any(|row| row[0] > 3.0 && row[1] < 99.5));
    }

    #[test]
    fn extreme_states_are_far_out_together_and_one_by_one() {
        let list = [
            (Channel::Qvel(0), (-2.0, 1.0), 0.5),
            (Channel::Qpos(0), (0.0, 0.25), 0.1),
            (Channel::FootContact(0), (0.0, 1.0), 1.0),
            (Channel::Time, (0.0, 10.0), 4.0),
        ];
        let rows = unseen(&list).extreme();
        let expected: [[f32; 4]; 5] = [
            [0.0, 0.0, 0.0, 0.0],
            [200.0, 100.0, 1.0, 1000.0],
            [-200.0, -100.0, 0.0, 1000.0],
            [200.0, 0.1, 1.0, 4.0],
            [-200.0, 0.1, 1.0, 4.0],
        ];
        assert_eq!(rows[..5], expected.map(|row| row.to_vec()));
        assert_eq!((rows.len(), &rows[5]), (3 + 3 * 4, &vec![0.0, 0.1, 1.0, 4.0]));
    }

    #[test]
    fn what_cannot_be_otherwise_is_kept() {
        let contact = |x| (possible(Channel::FootContact(0), x), possible(Channel::BodyContact(1), x));
        assert_eq!((contact(0.6), contact(0.5), contact(-3.0)), ((1.0, 1.0), (0.0, 0.0), (0.0, 0.0)));
        assert_eq!((possible(Channel::Time, -2.5), possible(Channel::EpisodeStep, -2.5)), (2.5, 2.0));
        assert_eq!(possible(Channel::Qpos(0), -2.5), -2.5);
    }

    #[test]
    fn quaternions_stay_unit_quaternions_body_by_body() {
        let quat = |body: u16, axis: u8| (Channel::BodyQuat { body, axis }, (-1.0, 1.0), 0.0);
        let list = [quat(1, 0), (Channel::Qpos(0), (0.0, 1.0), 0.0), quat(1, 1), quat(2, 0), quat(2, 3)];
        let kept = |row: &[f32]| unseen(&list).unit_quaternions(row.to_vec());
        assert_eq!(kept(&[3.0, 7.0, 4.0, 0.0, -2.0]), [0.6, 7.0, 0.8, 0.0, -1.0]);
        assert_eq!(kept(&[0.0; 5]), [1.0, 0.0, 0.0, 1.0, 0.0]);
    }

    fn reward(task: &Task, script: &str, manifest: &str) -> Reward {
        Reward::from_texts(std::path::Path::new("."), "r", script, Some(manifest), task.scene()).unwrap()
    }

    #[test]
    fn parameters_in_other_units_are_named_with_what_scripts_work_in() {
        let task = Task::load(&Assets::find(None), "cartpole_balance").unwrap();
        let units = [
            ("a", "deg"),
            ("b", "rad"),
            ("c", "cm/s"),
            ("d", "m/s"),
            ("e", "ms"),
            ("f", "kg m"),
            ("g", "lb"),
            ("h", "1/min"),
            ("i", ""),
        ];
        let params: String =
            units.iter().map(|(n, unit)| format!("[params.{n}]\nvalue = 2.0\nunit = \"{unit}\"\n")).collect();
        let sum: Vec<String> = units.iter().map(|(n, _)| format!("p.{n}")).collect();
        let script = format!("fn reward(s, p) {{ #{{ x: ({}) * s.qpos[0] }} }}", sum.join(" + "));
        let found = super::units(&reward(&task, &script, &params));
        let names: Vec<String> = found.iter().map(|f| f.message.chars().skip(11).take(1).collect()).collect();
        assert_eq!(names, ["a", "c", "e", "g", "h"]);
        assert!(found.iter().all(|f| f.rule == "unit" && f.severity == "error" && f.value == Some(2.0)));
        assert_eq!(found[0].message, "parameter `a` is 2 deg: scripts work in rad");
    }
}
