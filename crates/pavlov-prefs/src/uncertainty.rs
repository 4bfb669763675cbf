//! How unsure a net is of the rewards that it gives: Laplace's approximation of its last layer (MacKay 1992; Kristiadi
//! et al. 2020).
//!
//! The reward of a step is linear in what the last hidden layer says of it, `h`. Pairs learnt from give the precision
//! `I / v + sum p (1 - p) dh dh'`, `dh` the difference of the sums of `h` over the two segments, `v` the mean square of
//! the last layer's weights. The predictive deviation of a step is
//! `scale sqrt((h - mean h)' precision^-1 (h - mean h))` in units of the member's reward, which has unit deviation; that
//! of the member is the mean over the steps. BRME's nominal member is the one with the least.

use crate::dataset::{Dataset, Split};
use crate::math::sigmoid;
use crate::member::{Kind, Member, lead, summary};
use nalgebra::{DMatrix, DVector};
use pavlov_common::stats::mean;
use pavlov_learn::{Activation, Mlp};

/// Mean predictive deviation of a member's rewards over the steps it learnt from; infinite where it cannot be told.
pub fn predictive_deviation(kind: Kind, member: &mut Member, data: &Dataset, rows: &[Vec<f32>], split: &Split) -> f64 {
    let Some((last, before)) = member.net.hidden().to_vec().split_last().map(|(l, b)| (*l, b.to_vec())) else {
        return f64::INFINITY;
    };
    let (inputs, outputs) = (member.net.inputs(), member.net.outputs());
    let weights = member.net.weights();
    // The net without its last layer.
    let mut body = Mlp::new(inputs, &before, last, Activation::Tanh, (0, 0), 1.0);
    let head = last * outputs + outputs;
    let Some(of_body) = weights.len().checked_sub(head) else { return f64::INFINITY };
    if !body.set_weights(&weights[..of_body]) {
        return f64::INFINITY;
    }
    let mut hidden = |rows: &[f32]| -> Vec<f64> { body.forward(rows).iter().map(|x| f64::from(*x).tanh()).collect() };
    let variance = mean(weights[of_body..of_body + last * outputs].iter().map(|w| f64::from(*w).powi(2)));
    let mut precision = DMatrix::identity(last, last) / variance.unwrap_or(1.0).max(1e-12);
    let mut learnt: Vec<usize> = Vec::new();
    for &i in split.train.iter().chain(&split.stop) {
        let pair = data.pairs[i];
        learnt.extend([pair.left, pair.right]);
        let [a, b] = [pair.left, pair.right].map(|s| summary(kind, &mut member.net, &rows[s]));
        let p = sigmoid(lead(kind, &a, &b));
        let [a, b] = [pair.left, pair.right].map(|s| {
            let h = hidden(&rows[s]);
            DVector::from_fn(last, |k, _| h.iter().skip(k).step_by(last).sum::<f64>())
        });
        let apart = a - b;
        precision += &apart * apart.transpose() * (p * (1.0 - p));
    }
    learnt.sort_unstable();
    learnt.dedup();
    let Some(cholesky) = precision.cholesky() else { return f64::INFINITY };
    let steps: Vec<f64> = learnt.iter().flat_map(|&s| hidden(&rows[s])).collect();
    let middle = DVector::from_fn(last, |k, _| mean(steps.iter().skip(k).step_by(last).copied()).unwrap_or_default());
    let deviation = |h: &[f64]| {
        let away = DVector::from_column_slice(h) - &middle;
        away.dot(&cholesky.solve(&away)).max(0.0).sqrt()
    };
    mean(steps.chunks_exact(last).map(deviation)).map_or(f64::INFINITY, |d| d * f64::from(member.scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Pair;
    use crate::features::Features;
    use crate::label::tests::segment;
    use crate::nets::{NetOptions, Nets};
    use crate::rng::Rng;

    /// Members that saw more pairs are surer, and every member has an uncertainty of its own.
    #[test]
    fn more_pairs_make_a_member_surer() {
        let mut rng = Rng::new(5);
        let rows: Vec<Vec<f32>> = (0..400).map(|_| (0..6).map(|_| rng.normal() as f32).collect()).collect();
        let value = |s: usize| rows[s].chunks(2).map(|x| x[0] - 0.5 * x[1]).sum::<f32>();
        let pair = |i: usize| {
            let (left, right) = (2 * i, 2 * i + 1);
            Pair { left, right, target: f64::from(u8::from(value(left) > value(right))), strength: 0 }
        };
        let channels = (0..2).map(pavlov_script::Channel::Qpos).collect();
        let features = Features { robot: Vec::new(), channels, mean: vec![0.0; 2], inv_std: vec![1.0; 2] };
        let of = |pairs: usize| {
            let data = Dataset { segments: (0..400).map(segment).collect(), pairs: (0..pairs).map(pair).collect() };
            let options = NetOptions { members: 2, held_out: 0.0, epochs: 20, ..NetOptions::default() };
            Nets::fit(&features, &data, &rows, &options).unwrap().0.uncertainty
        };
        let (few, many) = (of(20), of(200));
        assert!(many[0] < 0.8 * few[0] && many[1] < 0.8 * few[1], "{few:?} {many:?}");
        assert!(few[0] != few[1] && few.iter().all(|d| d.is_finite() && *d > 0.0));
    }
}
