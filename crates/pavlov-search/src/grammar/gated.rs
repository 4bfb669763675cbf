//! Conditions: quantities that count only while another is above or below a bound, as in
//! `if cos(s.qpos[2]) > 0.31 { s.qvel[0] } else { 0.0 }`.
//!
//! Of all pairs of a quantity that goes with fitness and one that could open or shut it, those are kept that go with
//! fitness more than the quantity alone does: on an audit set that shows an exploit (sliding on the back), that
//! is the condition that tells the exploit from the task.

use super::quantity::{Measured, Quantity, Series};

/// Quantities that are tried with conditions, and conditioned ones that are kept.
const CORES: usize = 16;
const KEPT: usize = 8;
/// Most conditioned ones of one quantity.
const EACH: usize = 2;
/// A bound that so many values lie on (within a thousandth of the deviation) is no bound: rounding would decide.
const ON_BOUND: f64 = 0.05;
/// Quantiles of the condition's quantity at which it may turn.
const TURNS: [f64; 7] = [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9];
/// Depth of the deepest quantities that make a condition.
const DEPTH: u32 = 4;

/// The conditioned quantities that are worth having, measured.
pub(super) fn gated(measured: &[Measured], series: &Series<'_>) -> Vec<Measured> {
    let mut cores: Vec<&Measured> = measured.iter().filter(|m| m.quantity.with_fitness > 0.0).collect();
    cores.sort_by(|a, b| b.quantity.evidence().total_cmp(&a.quantity.evidence()));
    cores.truncate(CORES);
    let gates = measured.iter().filter(|m| m.quantity.depth <= DEPTH && m.quantity.module.is_none());
    let mut found: Vec<Measured> = Vec::new();
    for gate in gates {
        let mut sorted: Vec<f32> = gate.steps.iter().flatten().copied().collect();
        sorted.sort_by(f32::total_cmp);
        for core in cores.iter().filter(|c| c.quantity.text != gate.quantity.text) {
            let mut best: Option<Measured> = None;
            for (turn, above) in TURNS.iter().flat_map(|t| [(*t, true), (*t, false)]) {
                let bound = super::genome::rounded(f64::from(sorted[(turn * (sorted.len() - 1) as f64) as usize]));
                let near = |g: &&f32| (f64::from(**g) - bound).abs() < 1e-3 * gate.quantity.std;
                if sorted.iter().filter(near).count() as f64 > ON_BOUND * sorted.len() as f64 {
                    continue;
                }
                let open = |g: f32| (f64::from(g) > bound) == above;
                let while_open = |(x, g): (&Vec<f32>, &Vec<f32>)| {
                    x.iter().zip(g).map(|(x, g)| if open(*g) { *x } else { 0.0 }).collect::<Vec<f32>>()
                };
                let steps: Vec<Vec<f32>> = core.steps.iter().zip(&gate.steps).map(while_open).collect();
                let (c, g) = (&core.quantity, &gate.quantity);
                let sign = if above { ">" } else { "<" };
                let quantity = Quantity {
                    text: format!("(if {} {sign} {bound:?} {{ {} }} else {{ 0.0 }})", g.text, c.text),
                    name: format!("{}_while_{}", c.name, g.name),
                    // A condition is one step more than what it opens, whatever it took to write the condition.
                    depth: c.depth + 1,
                    ..c.clone()
                };
                let m = series.measure(quantity, steps);
                if best.as_ref().is_none_or(|b| m.quantity.evidence() > b.quantity.evidence()) {
                    best = Some(m);
                }
            }
            found.extend(best.filter(|b| b.quantity.evidence() > 1.1 * core.quantity.evidence()));
        }
    }
    found.sort_by(|a, b| b.quantity.evidence().total_cmp(&a.quantity.evidence()));
    // The same thing is written in several ways: the first of them is enough.
    let core = |q: &Quantity| q.text.split_once('{').map(|(_, x)| x.to_string());
    let same = |a: &Quantity, b: &Quantity| {
        (a.with_fitness - b.with_fitness).abs() < 1e-5 && (a.mean - b.mean).abs() < 1e-4 * a.std
    };
    let mut kept: Vec<Measured> = Vec::new();
    for m in found {
        if kept.len() < KEPT
            && !kept.iter().any(|o| same(&o.quantity, &m.quantity))
            && kept.iter().filter(|o| core(&o.quantity) == core(&m.quantity)).count() < EACH
        {
            kept.push(m);
        }
    }
    kept
}
