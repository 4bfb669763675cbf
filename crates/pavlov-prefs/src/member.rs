//! One net: what its output means, and what it says of a step, of a segment and of two of them.

use pavlov_learn::Mlp;
use serde::{Deserialize, Serialize};

/// What a net's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A reward a step.
    BradleyTerry,
    /// An embedding of this many pairs of numbers.
    Gpm(usize),
}

impl Kind {
    /// Numbers of an output.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Self::BradleyTerry => 1,
            Self::Gpm(pairs) => 2 * pairs,
        }
    }
}

/// One net.
#[derive(Debug, Clone)]
pub struct Member {
    /// The net.
    pub net: Mlp,
    /// Rewards of a step are the raw ones less this, times [`Self::scale`].
    pub center: f32,
    /// See [`Self::center`].
    pub scale: f32,
    /// GPM: mean embedding of the segments learnt from.
    pub usual: Vec<f32>,
}

/// Reward of a step, before it is centred and scaled.
pub(crate) fn raw(kind: Kind, f: &[f32], usual: &[f32]) -> f32 {
    match kind {
        Kind::BradleyTerry => f[0],
        Kind::Gpm(_) => f.chunks_exact(2).zip(usual.chunks_exact(2)).map(|(f, v)| f[0] * v[1] - f[1] * v[0]).sum(),
    }
}

/// Sum of rewards, or mean embedding.
pub(crate) fn summary(kind: Kind, net: &mut Mlp, rows: &[f32]) -> Vec<f64> {
    let width = net.outputs();
    let y = net.forward(rows);
    let steps = (y.len() / width).max(1) as f64;
    let over = if kind == Kind::BradleyTerry { 1.0 } else { steps };
    (0..width).map(|k| y.iter().skip(k).step_by(width).map(|&x| f64::from(x)).sum::<f64>() / over).collect()
}

/// How much a segment with summary `a` is thought of over one with `b`.
pub(crate) fn lead(kind: Kind, a: &[f64], b: &[f64]) -> f64 {
    match kind {
        Kind::BradleyTerry => a[0] - b[0],
        Kind::Gpm(_) => a.chunks_exact(2).zip(b.chunks_exact(2)).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum(),
    }
}
