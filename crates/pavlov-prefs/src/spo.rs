//! The reward source `spo`: self-play preference optimisation (Swamy et al. 2024), which needs no model of a reward.
//!
//! ```text
//! r_t = (1/N) sum_j P(x_t > x_j)      x_t: the last L steps of a world, up to t
//!                                     x_j: the newest N pieces of L steps of this block's episodes
//! ```
//! The paper compares whole trajectories of a batch and spreads the share of those beaten over their steps. Here every
//! step is paid the share that the piece which ends with it beats, so that each step is part of L pieces and the pay is
//! dense. The pieces to beat come from the robot's own recent past, so preferences that go round are not chased for
//! ever: the mean of the policies approaches the one that nothing beats for certain (the minimax winner). Without a
//! past the share is one half.
//!
//! `P` is a scripted rater's, who judges by the sums of a script's terms, or that of a model learnt from comparisons (a
//! General Preference Model holds cycles). Pieces at the beginning of an episode are shorter; what is compared are
//! means over their steps.

use crate::member::{Kind, lead};
use crate::nets::Nets;
use crate::rater::cyclic_chance;
use crate::source::{Rows, loaded};
use pavlov_common::stats::moments;
use pavlov_reward::{Reward, RewardSource, SourceSetup, SourceStep};
use pavlov_script::{Input, Scratch};

/// Numbers that all worlds of a block keep at most: a quarter of a gigabyte.
const MOST_NUMBERS: usize = 1 << 26;

/// Who says which of two pieces is better.
#[derive(Debug)]
enum Judge {
    /// The larger sum of a reward, by `beta` per deviation where it is given.
    Sum { script: Box<Scripted>, beta: Option<f64> },
    /// Terms go round.
    Cyclic(Box<Scripted>),
    /// Nets, by the mean of their leads.
    Nets(Box<Nets>),
}

/// A reward's program, run over the worlds of a block.
#[derive(Debug)]
struct Scripted {
    reward: Reward,
    scratch: Scratch,
    memory: Vec<f32>,
    stride: usize,
    inputs: Vec<f32>,
    out: Vec<f32>,
}

impl Scripted {
    fn run(&mut self, step: &SourceStep<'_>) -> Result<(), String> {
        let program = self.reward.program();
        for (k, into) in self.inputs.chunks_exact_mut(self.stride).enumerate() {
            into[..step.worlds].copy_from_slice(step.column(k));
        }
        let (values, width) = (self.reward.values(), step.worlds);
        let (memory, scratch) = (&mut self.memory, &mut self.scratch);
        let ran = program.run(width, self.stride, &self.inputs, values, memory, scratch, &mut self.out);
        ran.map_err(|e| e.to_string())
    }

    fn term(&self, term: usize, world: usize) -> f32 {
        self.out[term * self.stride + world]
    }
}

#[derive(Debug)]
struct Spo {
    judge: Judge,
    rows: Rows,
    /// Numbers that describe a step.
    width: usize,
    segment: usize,
    queue: usize,
    /// The last steps of each world, a ring `[world][segment][width]`; steps of the episode so far; their sums
    /// `[world][width]`.
    ring: Vec<f32>,
    age: Vec<u32>,
    sums: Vec<f64>,
    /// Means of the pieces to beat, the oldest first, one after another.
    past: Vec<f64>,
    mean: f64,
}

fn number(options: &toml::Table, key: &str) -> Result<Option<f64>, String> {
    let Some(value) = options.get(key) else { return Ok(None) };
    let found = value.as_float().or(value.as_integer().map(|i| i as f64));
    found.map(Some).ok_or_else(|| format!("`{key}` is {value}: expected a number (parameters cannot stand here)"))
}

impl Spo {
    fn new(setup: &SourceSetup<'_>) -> Result<Self, String> {
        let options = setup.options;
        let text = |key: &str| options.get(key).and_then(|v| v.as_str());
        let whole = |key: &str, default: usize| -> Result<usize, String> {
            match number(options, key)? {
                None => Ok(default),
                Some(x) if x >= 1.0 && x.fract() == 0.0 => Ok(x as usize),
                Some(x) => Err(format!("`{key}` is {x}: expected a whole number from 1")),
            }
        };
        let beta = number(options, "beta")?;
        let judge = match (text("judge"), text("model")) {
            (Some(judge), None) => {
                let path = setup.reward.file(judge).map_err(|e| e.to_string())?;
                let reward = Reward::load(&path, judge, setup.scene).map_err(|e| e.to_string())?;
                if reward.graph().is_some_and(|g| !g.sources.is_empty()) {
                    return Err(format!(
                        "judge {}: it has sources outside of its script; give a plain one",
                        path.display()
                    ));
                }
                let program = reward.program();
                // Programs run over eight worlds at a time.
                let stride = setup.worlds.next_multiple_of(8);
                let mut memory = vec![0.0; program.memory_init().len() * stride];
                (0..stride).for_each(|w| program.reset_memory(w, stride, &mut memory));
                let script = Box::new(Scripted {
                    scratch: program.scratch(),
                    inputs: vec![0.0; program.inputs().len() * stride],
                    out: vec![0.0; program.outputs().len() * stride],
                    memory,
                    stride,
                    reward,
                });
                let terms = script.reward.term_names().len();
                match text("rater").unwrap_or("oracle") {
                    "oracle" => Judge::Sum { script, beta },
                    "cyclic" if terms < 3 => {
                        return Err(format!("a cyclic rater goes round three terms or more; `{judge}` has {terms}"));
                    }
                    "cyclic" => Judge::Cyclic(script),
                    other => return Err(format!("`rater` is `{other}`: expected oracle or cyclic")),
                }
            }
            (None, Some(_)) => Judge::Nets(Box::new(loaded(setup)?)),
            _ => return Err("expected either `judge` (a reward) or `model` (learnt from comparisons)".into()),
        };
        let width = match &judge {
            Judge::Sum { .. } => 1,
            Judge::Cyclic(script) => script.reward.term_names().len(),
            Judge::Nets(nets) => nets.members.iter().map(|m| m.net.outputs()).sum(),
        };
        let (segment, queue) = (whole("segment", 50)?, whole("queue", 256)?);
        let n = setup.worlds;
        let numbers = segment.checked_mul(n).and_then(|x| x.checked_add(queue)).and_then(|x| x.checked_mul(width));
        if numbers.is_none_or(|numbers| numbers > MOST_NUMBERS) {
            return Err(format!(
                "segment = {segment} and queue = {queue} of {width} numbers each, for {n} worlds: expected at most \
                 {MOST_NUMBERS} numbers in all"
            ));
        }
        Ok(Self {
            judge,
            rows: Rows::default(),
            ring: vec![0.0; n * segment * width],
            age: vec![0; n],
            sums: vec![0.0; n * width],
            past: Vec::with_capacity(queue * width),
            mean: 0.5,
            width,
            segment,
            queue,
        })
    }

    /// Puts what describes this step of each world into `step_of` `[world][width]`.
    fn describe(&mut self, step: &SourceStep<'_>, described: &mut [f32]) -> Result<(), String> {
        match &mut self.judge {
            Judge::Sum { script, .. } => {
                script.run(step)?;
                let outputs = script.reward.program().outputs().len();
                for (world, x) in described.iter_mut().enumerate() {
                    *x = script.reward.total((0..outputs).map(|k| script.term(k, world)));
                }
            }
            Judge::Cyclic(script) => {
                script.run(step)?;
                for (world, x) in described.chunks_exact_mut(self.width).enumerate() {
                    x.iter_mut().enumerate().for_each(|(k, x)| *x = script.term(k, world));
                }
            }
            Judge::Nets(nets) => {
                let rows = self.rows.of(step, &nets.features);
                let mut first = 0;
                for member in &mut nets.members {
                    let outputs = member.net.outputs();
                    for (y, x) in
                        member.net.forward(rows).chunks_exact(outputs).zip(described.chunks_exact_mut(self.width))
                    {
                        x[first..first + outputs].copy_from_slice(y);
                    }
                    first += outputs;
                }
            }
        }
        Ok(())
    }

    /// Share of the past that a piece with these means beats.
    fn share(&self, mine: &[f64], spread: f64) -> f64 {
        let (width, length) = (self.width, self.segment as f64);
        if self.past.is_empty() {
            return 0.5;
        }
        let (mut won, mut n) = (0.0, 0.0);
        for other in self.past.chunks_exact(width) {
            won += match &self.judge {
                Judge::Sum { beta: Some(beta), .. } => crate::math::sigmoid(beta * (mine[0] - other[0]) / spread),
                Judge::Sum { .. } if mine[0] == other[0] => 0.5,
                Judge::Sum { .. } => f64::from(u8::from(mine[0] > other[0])),
                Judge::Cyclic(_) => cyclic_chance(mine, other),
                Judge::Nets(nets) => {
                    // Bradley-Terry compares sums, GPM means.
                    let scale = if nets.kind == Kind::BradleyTerry { length } else { 1.0 };
                    let each = width / nets.members.len();
                    let lead: f64 = mine
                        .chunks_exact(each)
                        .zip(other.chunks_exact(each))
                        .map(|(a, b)| scale * lead(nets.kind, a, b))
                        .sum();
                    crate::math::sigmoid(lead / nets.members.len() as f64)
                }
            };
            n += 1.0;
        }
        won / n
    }

    /// Deviation of the past's values, for a rater with `beta`.
    fn spread(&self) -> f64 {
        let (_, variance) = moments(self.past.iter().copied()).unwrap_or_default();
        variance.sqrt().max(1e-12)
    }
}

impl RewardSource for Spo {
    fn inputs(&self) -> Vec<Input> {
        match &self.judge {
            Judge::Sum { script, .. } | Judge::Cyclic(script) => script.reward.program().inputs().to_vec(),
            Judge::Nets(nets) => nets.features.channels.iter().map(|&c| Input::now(c)).collect(),
        }
    }

    fn reset(&mut self, world: usize, _episode: u32) {
        self.age[world] = 0;
        self.sums[world * self.width..][..self.width].fill(0.0);
        if let Judge::Sum { script, .. } | Judge::Cyclic(script) = &mut self.judge {
            script.reward.program().reset_memory(world, script.stride, &mut script.memory);
        }
    }

    fn evaluate(&mut self, step: &SourceStep<'_>, out: &mut [f32]) -> Result<(), String> {
        let (n, width, segment) = (step.worlds, self.width, self.segment);
        let mut described = vec![0.0; n * width];
        self.describe(step, &mut described)?;
        let spread = if matches!(self.judge, Judge::Sum { beta: Some(_), .. }) { self.spread() } else { 1.0 };
        let mut ended: Vec<f64> = Vec::new();
        let (mut all, mut mine) = (0.0, vec![0.0; width]);
        for world in 0..n {
            let now = &described[world * width..][..width];
            if now.iter().any(|x| !x.is_finite()) {
                // Counted by the environment; the piece goes on without this step.
                out[world] = f32::NAN;
                continue;
            }
            let age = self.age[world] as usize;
            let slot = &mut self.ring[(world * segment + age % segment) * width..][..width];
            for ((old, &new), sum) in slot.iter_mut().zip(now).zip(&mut self.sums[world * width..]) {
                *sum += f64::from(new) - if age >= segment { f64::from(*old) } else { 0.0 };
                *old = new;
            }
            self.age[world] += 1;
            let steps = (age + 1).min(segment) as f64;
            mine.iter_mut().zip(&self.sums[world * width..]).for_each(|(m, s)| *m = s / steps);
            let share = self.share(&mine, spread);
            all += share;
            out[world] = share as f32;
            if (age + 1).is_multiple_of(segment) {
                ended.extend_from_slice(&mine);
            }
        }
        self.past.extend(ended);
        let old = self.past.len().saturating_sub(self.queue * width);
        self.past.drain(..old);
        self.mean = all / n.max(1) as f64;
        Ok(())
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("share", self.mean), ("queue", (self.past.len() / self.width) as f64)]
    }

    fn save(&mut self) -> Vec<u8> {
        let mut bytes: Vec<u8> = (self.past.len() as u64).to_le_bytes().into();
        bytes.extend(self.age.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend(self.ring.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend(self.sums.iter().chain(&self.past).flat_map(|x| x.to_le_bytes()));
        if let Judge::Sum { script, .. } | Judge::Cyclic(script) = &self.judge {
            bytes.extend(script.memory.iter().flat_map(|x| x.to_le_bytes()));
        }
        bytes
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        let mut take = |n: usize| -> Result<&[u8], String> {
            let wrong = || format!("{} bytes for a source `spo` of another shape", bytes.len());
            let (taken, after) = rest.split_at_checked(n).ok_or_else(wrong)?;
            rest = after;
            Ok(taken)
        };
        let long = u64::from_le_bytes(*take(8)?.as_array().ok_or("no length")?);
        let past = usize::try_from(long).unwrap_or(usize::MAX).min(self.queue * self.width);
        self.age = take(4 * self.age.len())?.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        self.ring = take(4 * self.ring.len())?.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        self.sums = take(8 * self.sums.len())?.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        self.past = take(8 * past)?.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        if let Judge::Sum { script, .. } | Judge::Cyclic(script) = &mut self.judge {
            let n = 4 * script.memory.len();
            script.memory = take(n)?.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        }
        if !rest.is_empty() {
            return Err(format!("{} bytes too many for a source `spo`", rest.len()));
        }
        Ok(())
    }
}

/// Makes the source.
pub fn spo(setup: &SourceSetup<'_>) -> Result<Box<dyn RewardSource>, String> {
    Ok(Box::new(Spo::new(setup)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_env::{Assets, Task};
    use std::path::Path;

    const PLACES: &str = "fn reward(s) {\n    let x = s.qpos[0];\n    #{ left: if x < -0.3 { 1.0 } else { 0.0 }, \
                          middle: if abs(x) <= 0.3 { 1.0 } else { 0.0 }, right: if x > 0.3 { 1.0 } else { 0.0 } }\n}\n";

    fn spo_source(task: &Task, folder: &Path, options: &str) -> Result<Spo, String> {
        let reward = Reward::load(&folder.join("place.rhai"), "t", task.scene()).unwrap();
        Spo::new(&SourceSetup {
            scene: task.scene(),
            model: task.model(),
            options: &options.parse().unwrap(),
            reward: &reward,
            profile: "fast",
            seed: 0,
            first_world: 0,
            worlds: 2,
            episode_steps: 100,
            disturb: false,
            siblings: 1,
        })
    }

    fn cartpole() -> (tempfile::TempDir, Task, String) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let task = Task::load(&Assets::from_roots([root.to_path_buf()]), "cartpole_balance").unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("place.rhai"), "fn reward(s) { s.qpos[0] }\n").unwrap();
        std::fs::write(dir.path().join("places.rhai"), PLACES).unwrap();
        let folder = dir.path().display().to_string();
        (dir, task, folder)
    }

    /// A step with the cart at these places.
    fn step(source: &mut Spo, x: [f32; 2]) -> [f32; 2] {
        let mut out = [0.0; 2];
        let step = SourceStep { worlds: 2, stride: 2, columns: &x, terminated: &[false; 2], step: &[1; 2] };
        source.evaluate(&step, &mut out).unwrap();
        out
    }

    #[test]
    fn shares_are_those_of_the_past_that_is_beaten() {
        let (dir, task, folder) = cartpole();
        let options = format!("judge = '{folder}/place.rhai'\nsegment = 2\nqueue = 3");
        let mut source = spo_source(&task, dir.path(), &options).unwrap();
        assert_eq!(step(&mut source, [1.0, 0.0]), [0.5; 2], "no past yet");
        assert_eq!(step(&mut source, [1.0, 0.0]), [0.5; 2]);
        // Now 1 and 0 are to be beaten.
        assert_eq!(step(&mut source, [1.0, 0.0]), [0.75, 0.25]);
        let saved = source.save();
        // The last two steps have means 3 and 1/2.
        let next = step(&mut source, [5.0, 1.0]);
        assert_eq!(next, [1.0, 0.5]);
        // The queue holds three: the oldest, 1, has gone, and 0, 3 and 1/2 are there. Means: 3 and 1.
        assert_eq!(step(&mut source, [1.0, 1.0]), [2.5 / 3.0, 2.0 / 3.0]);
        source.reset(0, 1);
        assert_eq!(step(&mut source, [0.25, 1.0])[0], 1.0 / 3.0, "a new episode, alone");
        let mut again = spo_source(&task, dir.path(), &options).unwrap();
        again.restore(&saved).unwrap();
        assert_eq!(step(&mut again, [5.0, 1.0]), next, "as before the checkpoint");
        assert!(again.restore(&saved[..saved.len() - 1]).is_err() && again.restore(&[]).is_err());
    }

    #[test]
    fn a_circle_pays_for_beating_the_past_not_for_a_place() {
        let (dir, task, folder) = cartpole();
        let options = format!("judge = '{folder}/places.rhai'\nrater = 'cyclic'\nsegment = 1\nqueue = 100");
        let mut source = spo_source(&task, dir.path(), &options).unwrap();
        step(&mut source, [0.0, 0.0]);
        // The past is in the middle: left beats it, right is beaten.
        assert_eq!(step(&mut source, [-1.0, 1.0]), [1.0, 0.0]);
        let spread = format!("judge = '{folder}/place.rhai'\nbeta = 1\nsegment = 1");
        let mut source = spo_source(&task, dir.path(), &spread).unwrap();
        step(&mut source, [2.0, -2.0]);
        // Deviation 2: the mean of sigmoid(0) and sigmoid(4 / 2).
        let wanted = 0.5 * (0.5 + 1.0 / (1.0 + (-2.0f64).exp()));
        assert!((f64::from(step(&mut source, [2.0, 0.0])[0]) - wanted).abs() < 1e-6);
        // The other's is 1/2 of what lies as far above as below it.
        assert_eq!(source.numbers(), [("share", (wanted + 0.5) / 2.0), ("queue", 4.0)]);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let (dir, task, folder) = cartpole();
        let fails = |options: &str| spo_source(&task, dir.path(), options).map(drop).unwrap_err();
        assert!(fails("segment = 5").contains("judge"));
        assert!(fails(&format!("judge = '{folder}/place.rhai'\nrater = 'cyclic'")).contains("three terms"));
        assert!(fails(&format!("judge = '{folder}/place.rhai'\nrater = 'crowd'")).contains("crowd"));
        assert!(fails(&format!("judge = '{folder}/place.rhai'\nsegment = 1.5")).contains("whole number"));
        assert!(fails("judge = 'nowhere.rhai'").contains("nowhere.rhai"));
        assert!(fails("model = 'nothing.safetensors'").contains("nothing.safetensors"));
    }
}
