//! Evaluating a reward on recorded states: columns of channels, a row per state, episodes one after another.
//!
//! An episode of `steps` steps has `steps + 1` rows: the state after the reset, then the state after each step. What a
//! step's script reads as `s` is its row, as `s.prev` the row before. A reward without memory is run over the rows of
//! an episode as if they were worlds; one with memory (the script's, or that of a transform) step by step over up to 64
//! episodes side by side. Sources outside of the program are not recorded; a reward that has some cannot be scored.

use crate::reward::Reward;
use pavlov_script::{Channel, Input, Scene, Scratch, ScriptError};

/// Recorded columns.
pub trait Columns: Sync {
    /// The column of a channel, a number per row; none when it was not recorded.
    fn column(&self, channel: Channel) -> Option<&[f32]>;
}

/// Rows of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Row of the state after the reset.
    pub first: usize,
    /// Steps: the rows `first + 1 ..= first + steps`.
    pub steps: usize,
}

/// An episode under a reward.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    /// Sum of the total over the steps.
    pub total: f64,
    /// Sum of each term over the steps.
    pub terms: Vec<f64>,
    /// Total of each step.
    pub step_totals: Vec<f32>,
    /// Each term of each step, `[term][step]`; empty unless asked for.
    pub step_terms: Vec<Vec<f32>>,
    /// The first term that was not finite: (term, step from 1, value). As in training it counts as 0.
    pub bad: Option<(usize, usize, f32)>,
    /// Most operations that the script took in a step of the rows it was run with, as rhai counts them; 0 where it is
    /// lowered.
    pub operations: u64,
}

/// Why recorded states cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// A channel that was not recorded.
    #[error("reward `{reward}` reads `{channel}`, which was not recorded")]
    Missing {
        /// Reward.
        reward: String,
        /// What it reads, as scripts write it.
        channel: String,
    },
    /// An episode that leaves the columns.
    #[error("rows {first} to {last} of an episode: the columns have {rows} rows")]
    Rows {
        /// First row.
        first: usize,
        /// Last row.
        last: usize,
        /// Rows there are.
        rows: usize,
    },
    /// The script failed (only interpreted ones can).
    #[error(transparent)]
    Script(#[from] ScriptError),
}

/// Rows run at once where there is no memory: as many as have their inputs in the second-level cache.
const CHUNK: usize = 512;
/// Episodes side by side where there is memory.
const SIDE: usize = 64;

/// Scores episodes. `keep_terms` keeps each term of each step.
///
/// # Errors
/// When a channel was not recorded, an episode leaves the columns, or the script fails.
pub fn score(
    reward: &Reward,
    scene: &Scene,
    columns: &dyn Columns,
    spans: &[Span],
    keep_terms: bool,
) -> Result<Vec<Scored>, ScoreError> {
    let program = reward.program();
    let missing = |input: &Input| ScoreError::Missing { reward: reward.name().into(), channel: input.describe(scene) };
    let read: Vec<(&[f32], bool)> = program
        .inputs()
        .iter()
        .map(|i| Ok((columns.column(i.channel).ok_or_else(|| missing(i))?, i.prev)))
        .collect::<Result<_, ScoreError>>()?;
    for &Span { first, steps } in spans {
        let last = first.saturating_add(steps);
        if let Some(rows) = read.iter().map(|(c, _)| c.len()).find(|&rows| last >= rows) {
            return Err(ScoreError::Rows { first, last, rows });
        }
    }
    let terms = reward.term_names().len();
    let mut run = Run { reward, read, scratch: program.scratch(), inputs: Vec::new(), out: Vec::new() };
    let fresh = |span: &Span| Scored {
        terms: vec![0.0; terms],
        step_totals: Vec::with_capacity(span.steps),
        step_terms: if keep_terms { vec![Vec::with_capacity(span.steps); terms] } else { Vec::new() },
        ..Scored::default()
    };
    let mut scored: Vec<Scored> = spans.iter().map(fresh).collect();
    if program.memory_init().is_empty() {
        for (span, scored) in spans.iter().zip(&mut scored) {
            run.rows(span, scored)?;
        }
    } else {
        for (spans, scored) in spans.chunks(SIDE).zip(scored.chunks_mut(SIDE)) {
            run.side_by_side(spans, scored)?;
        }
    }
    Ok(scored)
}

struct Run<'a> {
    reward: &'a Reward,
    /// Column of each input, and whether it is the one before the step.
    read: Vec<(&'a [f32], bool)>,
    scratch: Scratch,
    inputs: Vec<f32>,
    out: Vec<f32>,
}

impl Run<'_> {
    /// Without memory: chunks of rows at once.
    fn rows(&mut self, span: &Span, scored: &mut Scored) -> Result<(), ScoreError> {
        let program = self.reward.program();
        self.inputs.resize(self.read.len() * CHUNK, 0.0);
        self.out.resize(program.outputs().len() * CHUNK, 0.0);
        for start in (0..span.steps).step_by(CHUNK) {
            let width = CHUNK.min(span.steps - start);
            for (into, (column, prev)) in self.inputs.chunks_exact_mut(CHUNK).zip(&self.read) {
                let from = span.first + start + usize::from(!prev);
                into[..width].copy_from_slice(&column[from..from + width]);
            }
            program.run(width, CHUNK, &self.inputs, self.reward.values(), &mut [], &mut self.scratch, &mut self.out)?;
            scored.operations = scored.operations.max(self.scratch.operations());
            for term in 0..scored.terms.len() {
                add_column(&self.out[term * CHUNK..][..width], start, term, scored);
            }
            for row in 0..width {
                add_total(self.reward, &self.out, CHUNK, row, scored);
            }
        }
        Ok(())
    }

    /// With memory: step by step.
    fn side_by_side(&mut self, spans: &[Span], scored: &mut [Scored]) -> Result<(), ScoreError> {
        let program = self.reward.program();
        self.inputs.resize(self.read.len() * SIDE, 0.0);
        self.out.resize(program.outputs().len() * SIDE, 0.0);
        let mut memory = vec![0.0; program.memory_init().len() * SIDE];
        (0..SIDE).for_each(|k| program.reset_memory(k, SIDE, &mut memory));
        let longest = spans.iter().map(|s| s.steps).max().unwrap_or(0);
        for step in 0..longest {
            for (into, (column, prev)) in self.inputs.chunks_exact_mut(SIDE).zip(&self.read) {
                for (x, span) in into.iter_mut().zip(spans) {
                    // An episode that is over stays at its last row; what comes out is not looked at.
                    *x = column
                        [span.first + step.min(span.steps.saturating_sub(1)) + usize::from(!prev && span.steps > 0)];
                }
            }
            let (values, width) = (self.reward.values(), spans.len());
            program.run(width, SIDE, &self.inputs, values, &mut memory, &mut self.scratch, &mut self.out)?;
            for (k, scored) in scored.iter_mut().enumerate().filter(|(k, _)| step < spans[*k].steps) {
                add(self.reward, &self.out, SIDE, k, step, scored);
                scored.operations = scored.operations.max(self.scratch.operations());
            }
        }
        Ok(())
    }
}

/// Adds a step, as the environment accounts for it.
#[inline]
fn add(reward: &Reward, out: &[f32], stride: usize, at: usize, step: usize, scored: &mut Scored) {
    let output = |term: usize| out[term * stride + at];
    let terms = scored.terms.len();
    for term in 0..terms {
        let value = output(term);
        if value.is_finite() {
            scored.terms[term] += f64::from(value);
        } else if scored.bad.is_none() {
            scored.bad = Some((term, step + 1, value));
        }
        if let Some(steps) = scored.step_terms.get_mut(term) {
            steps.push(value);
        }
    }
    add_total(reward, out, stride, at, scored);
}

/// Adds a term in steps that follow each other, from `start` on.
fn add_column(column: &[f32], start: usize, term: usize, scored: &mut Scored) {
    let sum = &mut scored.terms[term];
    for (row, &value) in column.iter().enumerate() {
        if value.is_finite() {
            *sum += f64::from(value);
        } else if scored.bad.is_none_or(|(other, step, _)| (start + row + 1, term) < (step, other)) {
            scored.bad = Some((term, start + row + 1, value));
        }
    }
    if let Some(steps) = scored.step_terms.get_mut(term) {
        steps.extend_from_slice(column);
    }
}

/// Adds the total of a step.
#[inline]
fn add_total(reward: &Reward, out: &[f32], stride: usize, at: usize, scored: &mut Scored) {
    let output = |term: usize| out[term * stride + at];
    let finite = |x: f32| if x.is_finite() { x } else { 0.0 };
    let total = finite(reward.total((0..out.len() / stride).map(output)));
    scored.total += f64::from(total);
    // A term that is paid as the difference to the next step arrives one step late.
    if let (Some(late), Some(before)) = (reward.late(), scored.step_totals.last_mut()) {
        let late = finite(output(late));
        *before += late;
        scored.total += f64::from(late);
    }
    scored.step_totals.push(total);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use std::sync::Arc;

    struct Two(Vec<f32>, Vec<f32>);

    impl Columns for Two {
        fn column(&self, channel: Channel) -> Option<&[f32]> {
            match channel {
                Channel::Qpos(0) => Some(&self.0),
                Channel::Qvel(0) | Channel::EpisodeStep => Some(&self.1),
                _ => None,
            }
        }
    }

    fn reward(text: &str) -> (Reward, Scene) {
        let scene = Scene { nq: 2, nv: 2, dt: 0.1, ..Scene::default() };
        (Reward::from_text("t", "t.rhai", text, Manifest::default(), &Arc::new(scene.clone())).unwrap(), scene)
    }

    #[test]
    fn rows_steps_and_memory() {
        let n = 2000;
        let columns = Two((0..n).map(|i| i as f32).collect(), (0..n).map(|i| (i % 7) as f32).collect());
        let spans = [Span { first: 0, steps: 1200 }, Span { first: 1201, steps: 1 }, Span { first: 1203, steps: 796 }];
        let (plain, scene) = reward("fn reward(s) { #{ d: s.qpos[0] - s.prev.qpos[0], v: s.qvel[0] } }");
        let scored = score(&plain, &scene, &columns, &spans, true).unwrap();
        for (span, scored) in spans.iter().zip(&scored) {
            let v: Vec<f32> = (span.first + 1..=span.first + span.steps).map(|i| (i % 7) as f32).collect();
            assert_eq!(scored.terms, [span.steps as f64, v.iter().map(|x| f64::from(*x)).sum()]);
            assert_eq!((scored.step_terms[1].clone(), scored.step_totals.len()), (v, span.steps));
        }
        let memory =
            "fn memory() { #{ n: 0.0 } } fn reward(s, p, m) { m.n += 1.0; #{ n: m.n, d: s.qpos[0] - s.prev.qpos[0] } }";
        let (counting, scene) = reward(memory);
        let scored = score(&counting, &scene, &columns, &spans, false).unwrap();
        for (span, scored) in spans.iter().zip(&scored) {
            assert_eq!(scored.terms, [(span.steps * (span.steps + 1) / 2) as f64, span.steps as f64]);
        }
        let (bad, scene) = reward("fn reward(s) { #{ a: 1.0, l: ln(s.qvel[0]) } }");
        let scored = score(&bad, &scene, &columns, &spans[..1], false).unwrap();
        assert_eq!(scored[0].bad, Some((1, 7, f32::NEG_INFINITY)));
        let (other, scene) = reward("fn reward(s) { s.qvel[1] }");
        let error = score(&other, &scene, &columns, &spans, false).unwrap_err().to_string();
        assert!(error.contains("s.qvel[1]"), "{error}");
        let outside = [Span { first: 1990, steps: 10 }];
        let rows = ScoreError::Rows { first: 1990, last: 2000, rows: 2000 };
        assert_eq!(score(&plain, &Scene::default(), &columns, &outside, false), Err(rows));
        let inside = [Span { first: 1989, steps: 10 }];
        assert!(score(&plain, &Scene::default(), &columns, &inside, false).is_ok());
    }

    #[test]
    fn the_first_term_that_is_not_finite_is_told_and_counts_as_nothing() {
        let columns = Two((0..20).map(|i| i as f32).collect(), (0..20).map(|i| (i % 7) as f32).collect());
        let spans = [Span { first: 0, steps: 8 }, Span { first: 0, steps: 0 }];
        let memory = "fn memory() { #{ n: 0.0 } } fn reward(s, p, m) { m.n += 1.0; ";
        for head in ["fn reward(s) { ", memory] {
            // Both at once: the first of them. The later term earlier: that one.
            for (body, bad, sums) in [
                ("#{ a: 1.0 / s.qvel[0], b: ln(s.qvel[0]) } }", (0, 7, f32::INFINITY), [3.45, 720f64.ln()]),
                ("#{ a: ln(s.qvel[0]), b: ln(s.qpos[0] - 3.0) } }", (1, 1, f32::NAN), [720f64.ln(), 120f64.ln()]),
            ] {
                let (reward, scene) = reward(&format!("{head}{body}"));
                let scored = score(&reward, &scene, &columns, &spans, true).unwrap();
                let (term, step, value) = scored[0].bad.unwrap();
                assert!((term, step) == (bad.0, bad.1) && (value == bad.2 || value.is_nan()), "{body}: {value}");
                for (sum, known) in scored[0].terms.iter().zip(sums) {
                    assert!((sum - known).abs() < 1e-5, "{body}: {sum} {known}");
                }
                assert_eq!((scored[0].step_terms[0].len(), scored[0].step_totals.len()), (8, 8));
                assert_eq!(scored[0].step_totals[6], 0.0);
                assert_eq!(scored[1], Scored { terms: vec![0.0; 2], step_terms: vec![vec![]; 2], ..Scored::default() });
            }
        }
    }

    #[test]
    fn many_episodes_with_memory_and_what_arrives_a_step_late() {
        let columns = Two((0..400).map(|i| i as f32).collect(), (0..400).map(|i| i as f32 - 9.0).collect());
        let (counting, scene) =
            reward("fn memory() { #{ n: 0.0 } } fn reward(s, p, m) { m.n += 1.0; #{ n: m.n + s.qpos[0] } }");
        let spans: Vec<Span> = (0..130).map(|k| Span { first: 3 * k, steps: k % 3 }).collect();
        for (k, scored) in score(&counting, &scene, &columns, &spans, false).unwrap().into_iter().enumerate() {
            let known: f64 = (1..=k % 3).map(|n| (n + 3 * k + n) as f64).sum();
            assert_eq!((scored.total, scored.terms, scored.step_terms), (known, vec![known], vec![]));
        }
        // x - 0.5 x', the last kept.
        let manifest = toml::from_str("[terms.x]\ntransform = [{ delta = 0.5 }]").unwrap();
        let text = "fn reward(s) { #{ x: s.qpos[0] } }";
        let delta = Reward::from_text("t", "t.rhai", text, manifest, &Arc::new(scene.clone())).unwrap();
        let scored = score(&delta, &scene, &columns, &[Span { first: 9, steps: 3 }], false).unwrap().remove(0);
        assert_eq!((scored.step_totals, scored.total), (vec![4.5, 5.0, 12.0], 21.5));
    }
}
