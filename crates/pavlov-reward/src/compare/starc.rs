//! STARC distances: canonicalise, normalise, measure.
//!
//! Skalse, Farnik, Motwani, Jenner, Gleave, Abate, "STARC: a general framework for quantifying differences between
//! reward functions" (2023). With `c` a canonicalisation, `n` the L2 norm over the transitions and their weights: `s(R)
//! = c(R) / n(c(R))`, `d(R1, R2) = n(s(R1) - s(R2)) / 2`, in [0, 1].
//!
//! - VAL: `c(R)(s, a) = E[R(s, a, S') - V(s) + g V(S')]`, V the value of the policy that made the transitions, by the
//!   Bellman equation: for transitions that are all there is. From recorded trajectories `value.rs` estimates it;
//! - minimal: `c(R)(s, a) = E[R(s, a, S') - F(s) + g F(S')]` with the potential F that makes `n(c(R))` smallest.
//!
//! V and F are linear in the features of states and 0 where the episode has ended for good, so potential shaping within
//! their span is removed exactly. With one feature per state (a finite MDP) that is every potential. Rows of equal
//! `group` are the same (s, a) with other s': their expectation is taken first, which removes redistribution over next
//! states.

use nalgebra::{DMatrix, DVector, Dyn, LU};
use serde::{Deserialize, Serialize};

/// Why rewards cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// Lengths that do not belong together.
    #[error("{array} has {found} numbers, expected {expected}")]
    Shape {
        /// Array.
        array: &'static str,
        /// Its length.
        found: usize,
        /// What it should be.
        expected: usize,
    },
    /// A number that is not finite, or out of range.
    #[error("{array}[{at}] is {value}: expected {expected}")]
    Value {
        /// Array.
        array: &'static str,
        /// Index.
        at: usize,
        /// Value.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// The value function cannot be fitted.
    #[error("the value function cannot be fitted: these transitions do not determine it (discount {gamma})")]
    Singular {
        /// Discount.
        gamma: f64,
    },
}

/// Which canonicalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanonKind {
    /// Subtract the value of the policy that made the transitions (LSTD).
    Val,
    /// Subtract the potential that leaves the least (least squares).
    Minimal,
}

impl CanonKind {
    /// `val` or `minimal`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Val => "val",
            Self::Minimal => "minimal",
        }
    }
}

/// Transitions (s, a, s') seen through features of the states. All arrays have a row per transition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transitions {
    /// Features of a state.
    pub width: usize,
    /// Features of s, `[n, width]` row-major. A constant feature is worth having.
    pub state: Vec<f64>,
    /// Features of s', `[n, width]`.
    pub next: Vec<f64>,
    /// Did the episode end for good in s'? Potentials and values are 0 there. A time limit is no end. `[n]`
    pub terminal: Vec<bool>,
    /// Weight of each transition, for example its probability; empty for equal weights.
    pub weight: Vec<f64>,
    /// Number of each transition's (s, a); empty when each has its own.
    pub group: Vec<usize>,
}

impl Transitions {
    /// Number of transitions.
    pub fn len(&self) -> usize {
        self.terminal.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.terminal.is_empty()
    }

    fn check(&self) -> Result<(), CompareError> {
        let n = self.len();
        let cells = n.saturating_mul(self.width);
        let either = |len: usize| if len == 0 { 0 } else { n };
        for (array, found, expected) in [
            ("state", self.state.len(), cells),
            ("next", self.next.len(), cells),
            ("weight", self.weight.len(), either(self.weight.len())),
            ("group", self.group.len(), either(self.group.len())),
        ] {
            if found != expected {
                return Err(CompareError::Shape { array, found, expected });
            }
        }
        finite("state", &self.state)?;
        finite("next", &self.next)?;
        finite("weight", &self.weight)?;
        match self.weight.iter().position(|w| *w < 0.0) {
            Some(at) => Err(CompareError::Value { array: "weight", at, value: self.weight[at], expected: "0 or more" }),
            None => Ok(()),
        }
    }
}

pub(super) fn finite(array: &'static str, values: &[f64]) -> Result<(), CompareError> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(CompareError::Value { array, at, value: values[at], expected: "a finite number" }),
        None => Ok(()),
    }
}

/// Columns whose part outside of the columns before is smaller than this share of their length count as combinations of
/// them.
const RANK_TOLERANCE: f64 = 1e-9;

/// Which transitions are of one (s, a), and what they weigh.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    /// Group of each transition, numbered without gaps.
    group: Vec<usize>,
    /// Weight of each transition within its group; they sum to 1 in each.
    share: Vec<f64>,
    /// Weight of each group; they sum to 1.
    pub mass: Vec<f64>,
}

impl Groups {
    /// Groups and weights of transitions; the weights sum to 1.
    pub fn of(transitions: &Transitions) -> (Self, DVector<f64>) {
        let n = transitions.len();
        let mut weight = DVector::from_element(n, 1.0);
        if !transitions.weight.is_empty() {
            weight.copy_from_slice(&transitions.weight);
        }
        let total = weight.sum();
        if total > 0.0 {
            weight /= total;
        }
        let (group, groups) = renumber(&transitions.group, n);
        let all = Self { group, share: Vec::new(), mass: vec![0.0; groups] };
        (all.part(&weight, |_| true), weight)
    }

    /// The same with some of the transitions only.
    pub fn part(&self, weight: &DVector<f64>, keep: impl Fn(usize) -> bool) -> Self {
        let kept = |i: usize| if keep(i) { weight[i] } else { 0.0 };
        let mut mass = vec![0.0; self.mass.len()];
        self.group.iter().enumerate().for_each(|(i, &g)| mass[g] += kept(i));
        let within = |(i, &g): (usize, &usize)| if mass[g] > 0.0 { kept(i) / mass[g] } else { 0.0 };
        let share = self.group.iter().enumerate().map(within).collect();
        let total: f64 = mass.iter().sum();
        if total > 0.0 {
            mass.iter_mut().for_each(|m| *m /= total);
        }
        Self { group: self.group.clone(), share, mass }
    }

    /// Expectation over s' of a number of each transition.
    pub fn expect(&self, values: &DVector<f64>) -> DVector<f64> {
        let mut out = DVector::zeros(self.mass.len());
        for (i, &g) in self.group.iter().enumerate() {
            out[g] += self.share[i] * values[i];
        }
        out
    }

    /// The same of the rows of a matrix.
    pub fn expect_rows(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        let mut out = DMatrix::zeros(self.mass.len(), rows.ncols());
        for (i, &g) in self.group.iter().enumerate() {
            let row = out.row(g) + self.share[i] * rows.row(i);
            out.set_row(g, &row);
        }
        out
    }

    /// Rows of groups times the root of their weight.
    pub fn root(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        let mut out = rows.clone();
        for (g, m) in self.mass.iter().enumerate() {
            out.row_mut(g).scale_mut(m.sqrt());
        }
        out
    }

    /// A number of each group times the root of its weight.
    pub fn root_of(&self, values: &DVector<f64>) -> DVector<f64> {
        DVector::from_iterator(values.len(), values.iter().zip(&self.mass).map(|(x, m)| x * m.sqrt()))
    }
}

/// A canonicalisation made ready for given transitions; used for one reward after another.
#[derive(Debug)]
pub struct Canon {
    groups: Groups,
    kind: Fit,
}

#[derive(Debug)]
enum Fit {
    /// Orthonormal columns that span the shaping rewards, rows scaled by the root of their weight.
    Minimal(DMatrix<f64>),
    Val {
        /// Features of s that are kept, orthonormal as columns.
        state: DMatrix<f64>,
        /// Those of s less the discounted ones of s'.
        change: DMatrix<f64>,
        weight: DVector<f64>,
        system: LU<f64, Dyn, Dyn>,
    },
}

impl Canon {
    /// Prepares a canonicalisation.
    ///
    /// # Errors
    /// On arrays that do not fit, numbers that are not finite, a discount outside of [0, 1], or (VAL) transitions that
    /// do not determine the value function.
    pub fn new(kind: CanonKind, gamma: f64, transitions: &Transitions) -> Result<Self, CompareError> {
        transitions.check()?;
        if !(0.0..=1.0).contains(&gamma) {
            return Err(CompareError::Value { array: "gamma", at: 0, value: gamma, expected: "0 to 1" });
        }
        let n = transitions.len();
        let (groups, weight) = Groups::of(transitions);
        let state = DMatrix::from_row_slice(n, transitions.width, &transitions.state);
        let mut next = DMatrix::from_row_slice(n, transitions.width, &transitions.next);
        for (i, _) in transitions.terminal.iter().enumerate().filter(|(_, end)| **end) {
            next.row_mut(i).fill(0.0);
        }
        let kind = match kind {
            CanonKind::Minimal => {
                let change = &state - gamma * &next;
                let (basis, _) = orthonormal(&groups.root(&groups.expect_rows(&change)));
                Fit::Minimal(basis)
            }
            CanonKind::Val => {
                // One basis for s and s', so that a potential in the span of the features stays in it.
                let mut both = DMatrix::zeros(2 * n, transitions.width);
                both.rows_mut(0, n).copy_from(&state);
                both.rows_mut(n, n).copy_from(&next);
                let (basis, _) = orthonormal(&both);
                let scale = (n.max(1) as f64).sqrt();
                let state = basis.rows(0, n) * scale;
                let change = &state - basis.rows(n, n) * (scale * gamma);
                let mut weighted = change.clone();
                for (i, w) in weight.iter().enumerate() {
                    weighted.row_mut(i).scale_mut(*w);
                }
                let system = (state.transpose() * weighted).lu();
                let pivots = system.u().diagonal().map(f64::abs);
                if pivots.iter().any(|p| p.is_nan() || *p <= 1e-13 * pivots.max()) || pivots.max() <= 1e-13 {
                    return Err(CompareError::Singular { gamma });
                }
                Fit::Val { state, change, weight, system }
            }
        };
        Ok(Self { groups, kind })
    }

    /// Number of groups: (s, a) pairs.
    pub fn groups(&self) -> usize {
        self.groups.mass.len()
    }

    /// Weight of each group; they sum to 1.
    pub fn mass(&self) -> &[f64] {
        &self.groups.mass
    }

    /// The canonical form of a reward given by its value on each transition: a value per group.
    ///
    /// # Errors
    /// When the rewards are not as many as transitions, or one is not finite.
    pub fn canonical(&self, rewards: &[f64]) -> Result<Vec<f64>, CompareError> {
        let (groups, expected) = (&self.groups, self.groups.group.len());
        if rewards.len() != expected {
            return Err(CompareError::Shape { array: "rewards", found: rewards.len(), expected });
        }
        finite("rewards", rewards)?;
        let rewards = DVector::from_column_slice(rewards);
        Ok(match &self.kind {
            Fit::Minimal(basis) => {
                let mut left = groups.root_of(&groups.expect(&rewards));
                // Twice is enough for the part within the span to be gone to rounding.
                for _ in 0..2 {
                    let within = basis.transpose() * &left;
                    left -= basis * within;
                }
                left.iter().zip(&groups.mass).map(|(x, m)| if *m > 0.0 { x / m.sqrt() } else { 0.0 }).collect()
            }
            Fit::Val { state, change, weight, system } => {
                let right = state.transpose() * rewards.component_mul(weight);
                // `new` has refused a system without a solution.
                let values = system.solve(&right).unwrap_or_else(|| DVector::zeros(right.len()));
                groups.expect(&(rewards - change * values)).iter().copied().collect()
            }
        })
    }

    /// STARC distance of two rewards given by their values on each transition.
    ///
    /// # Errors
    /// As [`Canon::canonical`].
    pub fn distance(&self, a: &[f64], b: &[f64]) -> Result<f64, CompareError> {
        let forms = [a, b].map(|r| Ok(normalised(&self.canonical(r)?, self.mass(), size(r))));
        let [a, b] = forms;
        Ok(distance(&a?, &b?, self.mass()))
    }
}

/// Largest magnitude: the scale against which a remainder counts as nothing.
pub(super) fn size(rewards: &[f64]) -> f64 {
    rewards.iter().fold(0.0, |m: f64, r| m.max(r.abs()))
}

fn norm(values: &[f64], mass: &[f64]) -> f64 {
    values.iter().zip(mass).map(|(x, m)| m * x * x).sum::<f64>().sqrt()
}

/// `values / norm`; zeros when what is left of a reward of magnitude `size` is rounding, as of a shaping term or a
/// constant.
pub fn normalised(values: &[f64], mass: &[f64], size: f64) -> Vec<f64> {
    let n = norm(values, mass);
    if n <= 1e-10 * size { vec![0.0; values.len()] } else { values.iter().map(|x| x / n).collect() }
}

/// Half the distance of two normalised canonical rewards.
pub fn distance(a: &[f64], b: &[f64], mass: &[f64]) -> f64 {
    let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    0.5 * norm(&apart, mass)
}

/// Groups numbered in the order in which they appear.
fn renumber(group: &[usize], n: usize) -> (Vec<usize>, usize) {
    if group.is_empty() {
        return ((0..n).collect(), n);
    }
    let mut known = std::collections::HashMap::new();
    let numbers = group
        .iter()
        .map(|g| {
            let next = known.len();
            *known.entry(*g).or_insert(next)
        })
        .collect();
    (numbers, known.len())
}

/// Orthonormal columns with the span of the columns of `a`, and their number: Householder QR with column pivoting,
/// columns brought to length 1 before.
pub(super) fn orthonormal(a: &DMatrix<f64>) -> (DMatrix<f64>, usize) {
    let lengths: Vec<f64> = a.column_iter().map(|c| c.norm()).collect();
    let kept: Vec<usize> = (0..a.ncols()).filter(|&j| lengths[j] > 0.0).collect();
    let mut scaled = DMatrix::zeros(a.nrows(), kept.len());
    for (to, &from) in kept.iter().enumerate() {
        scaled.set_column(to, &(a.column(from) / lengths[from]));
    }
    if kept.is_empty() || a.nrows() == 0 {
        return (DMatrix::zeros(a.nrows(), 0), 0);
    }
    let qr = scaled.col_piv_qr();
    let r = qr.r();
    let rank = (0..r.nrows()).take_while(|&i| r[(i, i)].abs() > RANK_TOLERANCE).count();
    (qr.q().columns(0, rank).into_owned(), rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A finite MDP with one feature per state: every (s, a, s') with its probability under a uniform start and policy.
    fn mdp(states: usize, actions: usize, seed: u64, end: Option<usize>) -> (Transitions, Vec<(usize, usize, usize)>) {
        let mut x = seed | 1;
        let mut random = move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut t = Transitions { width: states, ..Transitions::default() };
        let mut triples = Vec::new();
        for s in (0..states).filter(|s| Some(*s) != end) {
            for a in 0..actions {
                let p: Vec<f64> = (0..states).map(|_| random()).collect();
                let sum: f64 = p.iter().sum();
                for (n, p) in p.iter().enumerate() {
                    let one_hot = |k: usize| (0..states).map(move |i| f64::from(u8::from(i == k)));
                    t.state.extend(one_hot(s));
                    t.next.extend(one_hot(n));
                    t.terminal.push(Some(n) == end);
                    t.weight.push(p / sum);
                    t.group.push(s * actions + a);
                    triples.push((s, a, n));
                }
            }
        }
        (t, triples)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn scaling_and_shaping_are_nothing_and_negation_is_all(
            seed in any::<u64>(), factor in 0.01f64..100.0, gamma in 0.0f64..0.999, ends in any::<bool>(),
            rewards in prop::collection::vec(-1.0f64..1.0, 5 * 3 * 5),
            potential in prop::collection::vec(-10.0f64..10.0, 5),
        ) {
            let end = ends.then_some(4);
            let (t, triples) = mdp(5, 3, seed, end);
            let r = &rewards[..triples.len()];
            let phi = |s: usize| if Some(s) == end { 0.0 } else { potential[s] };
            let shape = |(&(s, _, n), r): (&(usize, usize, usize), &f64)| factor * r + gamma * phi(n) - phi(s);
            let shaped: Vec<f64> = triples.iter().zip(r).map(shape).collect();
            let negated: Vec<f64> = shaped.iter().map(|r| -r).collect();
            for kind in [CanonKind::Val, CanonKind::Minimal] {
                let canon = Canon::new(kind, gamma, &t).unwrap();
                prop_assert!(canon.distance(r, &shaped).unwrap() < 1e-6);
                let apart = canon.distance(r, &negated).unwrap();
                prop_assert!((apart - 1.0).abs() < 1e-6, "{:?}: {}", kind, apart);
                let alone: Vec<f64> = triples.iter().map(|&(s, _, n)| gamma * phi(n) - phi(s)).collect();
                prop_assert!(canon.canonical(&alone).unwrap().iter().all(|x| x.abs() < 1e-7));
            }
        }

        #[test]
        fn redistribution_over_next_states_is_nothing_and_distances_are_a_metric(
            seed in any::<u64>(), rewards in prop::collection::vec(-1.0f64..1.0, 3 * 4 * 2 * 4),
        ) {
            let (t, triples) = mdp(4, 2, seed, None);
            let [a, b, c] = [0, 1, 2].map(|k| rewards[k * triples.len()..(k + 1) * triples.len()].to_vec());
            // The expectation over s' is kept, the values are not.
            let mut moved = a.clone();
            for group in 0..8 {
                let rows: Vec<usize> = (0..triples.len()).filter(|&i| t.group[i] == group).collect();
                moved[rows[0]] += 1.0 / t.weight[rows[0]].max(1e-3);
                moved[rows[1]] -= t.weight[rows[0]] / t.weight[rows[0]].max(1e-3) / t.weight[rows[1]];
            }
            for kind in [CanonKind::Val, CanonKind::Minimal] {
                let canon = Canon::new(kind, 0.9, &t).unwrap();
                let d = |x: &[f64], y: &[f64]| canon.distance(x, y).unwrap();
                prop_assert!(d(&a, &moved) < 1e-6, "{:?}", d(&a, &moved));
                prop_assert!((d(&a, &b) - d(&b, &a)).abs() < 1e-12 && d(&a, &a) == 0.0);
                prop_assert!(d(&a, &c) <= d(&a, &b) + d(&b, &c) + 1e-12);
                prop_assert!((0.0..=1.0 + 1e-12).contains(&d(&a, &b)));
            }
        }
    }

    #[test]
    fn potentials_outside_of_the_features_remain() {
        let n = 40;
        let x = |i: usize| i as f64 / n as f64;
        let t = Transitions {
            width: 2,
            state: (0..n).flat_map(|i| [1.0, x(i)]).collect(),
            next: (0..n).flat_map(|i| [1.0, x(i + 1)]).collect(),
            terminal: vec![false; n],
            ..Transitions::default()
        };
        let canon = Canon::new(CanonKind::Minimal, 0.9, &t).unwrap();
        let shaping = |phi: fn(f64) -> f64| -> Vec<f64> { (0..n).map(|i| 0.9 * phi(x(i + 1)) - phi(x(i))).collect() };
        assert!(size(&canon.canonical(&shaping(|x| 3.0 * x - 1.0)).unwrap()) < 1e-12);
        assert!(size(&canon.canonical(&shaping(|x| (9.0 * x).sin())).unwrap()) > 0.01);
    }

    #[test]
    fn columns_that_are_nothing_or_combinations_are_left_out() {
        let a = DMatrix::from_row_slice(3, 4, &[1.0, 0.0, 2.0, 3.0, 1.0, 0.0, 2.0, -3.0, 0.0, 0.0, 0.0, 4.0]);
        let (basis, rank) = orthonormal(&a);
        assert_eq!((rank, basis.shape()), (2, (3, 2)));
        assert!((basis.tr_mul(&basis) - DMatrix::identity(2, 2)).norm() < 1e-12);
        assert!((&a - &basis * basis.tr_mul(&a)).norm() < 1e-12);
        let sizes = DMatrix::from_row_slice(2, 2, &[1e-6, 0.0, 0.0, 1e6]);
        assert_eq!(orthonormal(&sizes).1, 2, "a unit is no reason to leave a column out");
        assert_eq!(orthonormal(&DMatrix::zeros(3, 2)).0.shape(), (3, 0));
        assert_eq!(orthonormal(&DMatrix::zeros(0, 2)).0.shape(), (0, 0));
    }

    #[test]
    fn weights_are_shares_of_their_sum() {
        // Three (s, a), the first of two rows, the last without weight; no features, so nothing is shaping.
        let t = Transitions {
            terminal: vec![false; 4],
            weight: vec![1.0, 3.0, 4.0, 0.0],
            group: vec![7, 7, 2, 5],
            ..Transitions::default()
        };
        let canon = Canon::new(CanonKind::Minimal, 0.9, &t).unwrap();
        assert_eq!((canon.groups(), canon.mass()), (3, &[0.5, 0.5, 0.0][..]));
        // (1 + 3 * 5) / 4 in the first.
        let form = canon.canonical(&[1.0, 5.0, 2.0, 9.0]).unwrap();
        assert!(form.iter().zip([4.0, 2.0, 0.0]).all(|(x, y)| (x - y).abs() < 1e-12), "{form:?}");
        // (4, 2) / sqrt(10) and (0, 1) / sqrt(1/2), each of half the weight: 2 - 2 cos, halved under the root.
        let cos = 2.0 / 20f64.sqrt();
        let apart = canon.distance(&[1.0, 5.0, 2.0, 9.0], &[0.0, 0.0, 3.0, -1.0]).unwrap();
        assert!((apart - 0.5 * (2.0 - 2.0 * cos).sqrt()).abs() < 1e-12, "{apart}");
        // Rows that are left out do not count.
        let (groups, weight) = Groups::of(&t);
        let part = groups.part(&weight, |i| i != 1);
        assert_eq!(part.mass, [0.2, 0.8, 0.0]);
        let sums = part.expect(&DVector::from_vec(vec![1.0, 5.0, 2.0, 9.0]));
        assert_eq!(sums.as_slice(), [1.0, 2.0, 0.0]);
        assert_eq!((CanonKind::Val.name(), CanonKind::Minimal.name()), ("val", "minimal"));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let t = Transitions {
            width: 1,
            state: vec![1.0],
            next: vec![1.0],
            terminal: vec![false],
            ..Transitions::default()
        };
        let canon = Canon::new(CanonKind::Val, 0.9, &t).unwrap();
        assert!(matches!(canon.canonical(&[1.0, 2.0]), Err(CompareError::Shape { .. })));
        assert!(matches!(canon.canonical(&[f64::NAN]), Err(CompareError::Value { .. })));
        assert_eq!(Canon::new(CanonKind::Val, 1.0, &t).err(), Some(CompareError::Singular { gamma: 1.0 }));
        assert!(Canon::new(CanonKind::Minimal, 1.5, &t).is_err());
        assert!(Canon::new(CanonKind::Minimal, 0.5, &Transitions { width: 2, ..t.clone() }).is_err());
        for (damaged, array) in [
            (Transitions { state: vec![], ..t.clone() }, "state has 0 numbers, expected 1"),
            (Transitions { next: vec![1.0; 2], ..t.clone() }, "next has 2 numbers, expected 1"),
            (Transitions { weight: vec![1.0; 2], ..t.clone() }, "weight has 2 numbers, expected 1"),
            (Transitions { group: vec![0; 2], ..t.clone() }, "group has 2 numbers, expected 1"),
            (Transitions { next: vec![f64::NAN], ..t.clone() }, "next[0] is NaN: expected a finite number"),
            (Transitions { weight: vec![-1.0], ..t.clone() }, "weight[0] is -1: expected 0 or more"),
        ] {
            assert_eq!(Canon::new(CanonKind::Minimal, 0.5, &damaged).unwrap_err().to_string(), array);
        }
        assert!(!t.is_empty() && Transitions::default().is_empty());
        assert!(Canon::new(CanonKind::Minimal, 0.5, &Transitions { weight: vec![-1.0], ..t }).is_err());
        assert!(
            Canon::new(CanonKind::Minimal, 0.5, &Transitions::default()).unwrap().canonical(&[]).unwrap().is_empty()
        );
    }
}
