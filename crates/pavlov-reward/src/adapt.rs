//! Numbers of a reward graph that change between updates: running means and deviations, multipliers, nominal members.
//!
//! Within an update they are constants of the program, so a rollout is of one reward. After it [`Adaptive::update`]
//! takes the sums of every node over the rollout. All of it is saved with a checkpoint.
//!
//! Multipliers follow Constrained RLHF: `u <- u + rate * (threshold - mean) / std` (the sign by the side), squashed to
//! `limit * sigmoid(u)`, or `limit * tanh(u)` for `equal`. The deviation makes the step free of the term's unit. A
//! constraint whose multiplier stays at its limit while it is not met is reported: the set cannot be met, at least not
//! together.

use crate::nodes::{HostKind, RewardGraph, Side};
use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared distances from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: f64,
    mean: f64,
    m2: f64,
}

impl Moments {
    /// Adds a batch given by its number, sum and sum of squares (Chan et al.).
    fn merge(&mut self, n: f64, sum: f64, squares: f64) {
        if n <= 0.0 || !(sum.is_finite() && squares.is_finite()) {
            return;
        }
        let mean = sum / n;
        let m2 = (squares - n * mean * mean).max(0.0);
        let count = self.count + n;
        let off = mean - self.mean;
        self.m2 += m2 + off * off * self.count * n / count;
        self.mean += off * n / count;
        self.count = count;
    }

    fn std(&self) -> f64 {
        if self.count > 0.0 { (self.m2 / self.count).sqrt() } else { 0.0 }
    }
}

/// How a constraint stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConstraintState {
    /// Name of the node.
    pub name: String,
    /// Its mean per step in the last update.
    pub mean: f64,
    /// Its threshold.
    pub threshold: f64,
    /// Multiplier from now on.
    pub multiplier: f64,
    /// Is it met?
    pub met: bool,
    /// Has its multiplier been at the limit for so long that it probably cannot be met?
    pub infeasible: bool,
}

/// The numbers, and what they are made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// Value of each of [`RewardGraph::host`].
    pub values: Vec<f64>,
    moments: Vec<Moments>,
    /// Multipliers before they are squashed.
    raw: Vec<f64>,
    /// Updates at the limit without being met.
    stuck: Vec<u32>,
}

/// Where a multiplier starts, before it is squashed: near 0.
pub(crate) fn start(side: Side) -> f64 {
    if side == Side::Equal { 0.0 } else { -3.0 }
}

/// The multiplier, from its value before it is squashed.
pub(crate) fn multiplier(side: Side, limit: f64, raw: f64) -> f64 {
    if side == Side::Equal { limit * raw.tanh() } else { limit / (1.0 + (-raw).exp()) }
}

/// A multiplier beyond this share of its limit is at the limit.
const AT_LIMIT: f64 = 0.95;
/// Unsquashed multipliers stay within this: beyond it the squash is flat, and they would take long to come back.
const RAW_LIMIT: f64 = 6.0;
/// A deviation below this share of the mean is rounding, not spread.
const LEAST_STD: f64 = 1e-6;

impl Adaptive {
    /// The numbers at the start of training. `discount` is the learner's.
    pub fn new(graph: &RewardGraph, discount: f64) -> Self {
        let value = |h: &crate::nodes::HostNumber| if h.kind == HostKind::Discount { discount } else { h.start };
        Self {
            values: graph.host.iter().map(value).collect(),
            moments: vec![Moments::default(); graph.nodes.len()],
            raw: graph.constraints.iter().map(|c| start(c.side)).collect(),
            stuck: vec![0; graph.constraints.len()],
        }
    }

    /// Do the sizes fit the graph? A state that was read from a file may be of another reward.
    pub fn fits(&self, graph: &RewardGraph) -> bool {
        self.values.len() == graph.host.len()
            && self.moments.len() == graph.nodes.len()
            && [self.raw.len(), self.stuck.len()] == [graph.constraints.len(); 2]
    }

    /// Takes in the sums and sums of squares of every node over `steps` world-steps.
    pub fn update(&mut self, graph: &RewardGraph, steps: u64, sums: &[f64], squares: &[f64]) -> Vec<ConstraintState> {
        let n = steps as f64;
        for ((m, sum), square) in self.moments.iter_mut().zip(sums).zip(squares) {
            m.merge(n, *sum, *square);
        }
        let states: Vec<ConstraintState> =
            (0..graph.constraints.len()).map(|i| self.constrain(graph, i, n, sums)).collect();
        for (i, host) in graph.host.iter().enumerate() {
            let moments = |node: usize| self.moments[node];
            let floor = |m: Moments| m.std().max(LEAST_STD * m.mean.abs()).max(1e-12);
            self.values[i] = match host.kind {
                HostKind::Discount | HostKind::Reference { .. } => continue,
                HostKind::Mean { node } => moments(node).mean,
                HostKind::InverseStd { node } if moments(node).std() > 0.0 => 1.0 / floor(moments(node)),
                HostKind::InverseStd { .. } => 1.0,
                HostKind::Nominal { node, ensemble } => {
                    let members = graph.host.iter().filter_map(|h| match h.kind {
                        HostKind::Nominal { node, ensemble: e } if e == ensemble => Some(node),
                        _ => None,
                    });
                    let best = members.min_by(|a, b| moments(*a).std().total_cmp(&moments(*b).std()));
                    f64::from(u8::from(best == Some(node)))
                }
                HostKind::Multiplier { constraint } => states[constraint].multiplier,
            };
        }
        states
    }

    /// Weights of the parts with a critic each, in the order of [`RewardGraph::critics`]: 1 for the objectives, the
    /// multiplier of a constraint, negative where its mean must be below.
    pub fn mix(&self, graph: &RewardGraph) -> Vec<f64> {
        let weight = |constraint: usize| {
            let is_multiplier = |h: &crate::nodes::HostNumber| h.kind == HostKind::Multiplier { constraint };
            let m = graph.host.iter().position(is_multiplier).map_or(0.0, |i| self.values[i]);
            if graph.constraints[constraint].side == Side::AtMost { -m } else { m }
        };
        graph.critics.iter().map(|part| part.constraint.map_or(1.0, weight)).collect()
    }

    fn constrain(&mut self, graph: &RewardGraph, i: usize, n: f64, sums: &[f64]) -> ConstraintState {
        let c = &graph.constraints[i];
        let mean = sums[c.node] / n.max(1.0);
        let std = self.moments[c.node].std().max(LEAST_STD * c.threshold.abs()).max(1e-9);
        let short = match c.side {
            Side::AtLeast | Side::Equal => c.threshold - mean,
            Side::AtMost => mean - c.threshold,
        };
        // One update moves a multiplier by at most a few steps, however far the mean is off.
        let step = if short.is_finite() { c.rate * (short / std).clamp(-3.0, 3.0) } else { 0.0 };
        self.raw[i] = (self.raw[i] + step).clamp(-RAW_LIMIT, RAW_LIMIT);
        let multiplier = multiplier(c.side, c.limit, self.raw[i]);
        // A threshold counts as met when the mean is within its own noise of it.
        let slack = 0.02 * std;
        let met =
            if c.side == Side::Equal { short.abs() <= slack.max(0.02 * c.threshold.abs()) } else { short <= slack };
        let stuck = !met && multiplier.abs() >= AT_LIMIT * c.limit;
        self.stuck[i] = if stuck { self.stuck[i].saturating_add(1) } else { 0 };
        ConstraintState {
            name: c.name.clone(),
            mean,
            threshold: c.threshold,
            multiplier,
            met,
            infeasible: f64::from(self.stuck[i]) >= c.patience,
        }
    }
}
