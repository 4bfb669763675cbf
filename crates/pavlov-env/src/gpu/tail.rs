//! What a device keeps of each world only for the length of a rollout, in columns after [`crate::columns::layout`]'s; and what it leaves
//! of each step.

use crate::columns::ledger::Sum;
use crate::plan::whole::Plan;
use crate::stages::finish;

/// First column of everything in the `env` buffer that is not kept.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    /// Sums over the rollout, in the order of [`Sum::all`].
    pub sums: usize,
    /// Truncations in this rollout.
    pub cuts: usize,
    /// The first node that was not finite (from 1), the step, the value.
    pub bad: usize,
    /// All columns of the buffer.
    pub columns: usize,
    /// Columns of a step in the `results` buffer: reward, how it ended, then the numbers of the episode that ended.
    pub results: usize,
}

impl Tail {
    pub fn new(plan: &Plan) -> Self {
        let sums = plan.layout.columns();
        let cuts = sums + Sum::all(plan.nodes(), plan.metrics()).count();
        Self { sums, cuts, bad: cuts + 1, columns: cuts + 4, results: 2 + finish::numbers(plan) }
    }
}
