//! VAL canonicalisation of what was recorded: a value function estimated from trajectories, and how sure it is.
//!
//! VAL subtracts the value of a fixed policy (`starc.rs`). Here that policy is whoever made the trajectories, seen
//! through the features: V(s) is what is still to be had from s on, on average. Of a model that is known in full the
//! Bellman equation gives it exactly ([`super::Canon`]). Of recorded steps that equation (LSTD) can be all but
//! singular, because the recorded states are not those that the policy would stay among. Then one direction of the
//! features gets a huge value and drowns every reward: they all look alike. So:
//!
//! - Values start from the potential F that leaves least (the minimal canonicalisation), and a ridge draws them to it:
//!   V = F + v, `(A + ridge) v = b - A F`. Whatever the ridge, potential shaping within the span of the features
//!   changes F alone, and is removed exactly.
//! - The equations are those of one step, or of all steps to the end of the trajectory (Monte-Carlo returns, with the
//!   value of the state in which the record breaks off): `V(s_t) = sum g^k r_(t+k) + g^(T-t) V(s_T)`.
//! - Which equations and how much ridge is chosen on trajectories that were held out: by how much of what F leaves of
//!   the returns there the values explain (`score`). A pair of rewards shares the choice, as their distance needs one
//!   canonicalisation for both.
//! - The distance has a standard error: the jackknife over groups of trajectories. Where no values explain anything of
//!   held-out returns, there are fewer than five transitions a feature, or the error is above [`TOO_UNSURE`], the
//!   distance is that of the minimal canonicalisation, and says so.
//!
//! Boyan, "Technical update: least-squares temporal difference learning" (2002), for both sets of equations (lambda 0
//! and 1); Efron and Stein, "The jackknife estimate of variance" (1981).

use super::starc::{
    Canon, CanonKind, CompareError, Groups, Transitions, distance, finite, normalised, orthonormal, size,
};
use nalgebra::{DMatrix, DVector, Dyn, LU};
use serde::{Deserialize, Serialize};

/// Groups of trajectories that are held out in turn.
const FOLDS: usize = 5;
/// Ridges, in units of the features' mean square, that are tried with the equations of one step.
const ONE_STEP: [f64; 4] = [0.0, 0.01, 0.03, 0.1];
/// The same for the equations of whole trajectories.
const RETURNS: [f64; 6] = [0.0, 0.01, 0.03, 0.1, 0.3, 1.0];
/// Transitions there must be for each feature: of fewer no value function is told.
const EACH: usize = 5;
/// Standard error of a distance above which it is not given.
pub const TOO_UNSURE: f64 = 0.15;

/// The trajectories that transitions were picked from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectories {
    /// Steps of each, one trajectory after another.
    pub steps: Vec<usize>,
    /// Features of the state in which each ends or breaks off, `[trajectories, width]`.
    pub last: Vec<f64>,
    /// Did it end for good there? A time limit is no end.
    pub ended: Vec<bool>,
    /// Step of each transition, counted from 0 over all trajectories.
    pub at: Vec<usize>,
}

/// A STARC distance and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// In [0, 1].
    pub value: f64,
    /// Its standard error; none with a single trajectory.
    pub error: Option<f64>,
    /// The canonicalisation it is of.
    pub canonicalisation: CanonKind,
}

/// Everything of a fit that does not depend on the reward.
#[derive(Debug)]
pub struct ValueFit {
    gamma: f64,
    trajectories: Trajectories,
    minimal: Canon,
    groups: Groups,
    weight: DVector<f64>,
    /// Trajectory of each transition.
    of: Vec<usize>,
    folds: usize,
    /// Features of s, of s less the discounted ones of s', and of s less the discounted ones of the trajectory's last
    /// state.
    state: DMatrix<f64>,
    change: DMatrix<f64>,
    ahead: DMatrix<f64>,
    shaping: LeastSquares,
    /// Of all folds but one, and of all: the least-squares problem of the potential, and each estimator's equations.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    /// `change^T W change`; of all folds [`ValueFit::shaping`] does it better.
    gram: LU<f64, Dyn, Dyn>,
    one_step: DMatrix<f64>,
    returns: DMatrix<f64>,
    systems: Vec<LU<f64, Dyn, Dyn>>,
}

/// `min |columns x - y|` by QR with column pivoting.
#[derive(Debug)]
struct LeastSquares {
    q: DMatrix<f64>,
    r: DMatrix<f64>,
    columns: usize,
    order: nalgebra::PermutationSequence<Dyn>,
}

impl LeastSquares {
    fn of(columns: DMatrix<f64>) -> Self {
        let width = columns.ncols();
        let qr = columns.col_piv_qr();
        let (r, first) = (qr.r(), qr.r().get((0, 0)).copied().unwrap_or_default().abs());
        let rank = (0..r.nrows().min(width)).take_while(|&i| r[(i, i)].abs() > 1e-10 * first).count();
        Self {
            q: qr.q().columns(0, rank).into_owned(),
            r: r.view((0, 0), (rank, rank)).into_owned(),
            columns: width,
            order: qr.p().clone(),
        }
    }

    fn solve(&self, y: &DVector<f64>) -> DVector<f64> {
        let mut x = DVector::zeros(self.columns);
        let within = self.r.solve_upper_triangular(&(self.q.transpose() * y));
        x.rows_mut(0, self.r.nrows()).copy_from(&within.unwrap_or_else(|| DVector::zeros(self.r.nrows())));
        self.order.inv_permute_rows(&mut x);
        x
    }
}

/// An estimator: equations of one step or of returns, and its ridge.
fn estimators() -> impl Iterator<Item = (bool, f64)> {
    ONE_STEP.into_iter().map(|ridge| (false, ridge)).chain(RETURNS.into_iter().map(|ridge| (true, ridge)))
}

/// A reward on the transitions, with its values by each estimator.
#[derive(Debug, Clone)]
pub struct Valued {
    /// Reward of each transition.
    step: DVector<f64>,
    /// All steps, as [`ValueFit::reward`] was given them: what the minimal canonicalisation is of.
    size: f64,
    /// Coefficients of V for each estimator: the potential alone first. Of all folds but one, then of all.
    values: Vec<Vec<DVector<f64>>>,
    /// Share of what the potential leaves of held-out returns that the values of each estimator explain.
    scores: Vec<f64>,
}

impl ValueFit {
    /// Prepares a fit.
    ///
    /// # Errors
    /// On arrays that do not fit, numbers that are not finite or a discount outside of [0, 1].
    pub fn new(gamma: f64, transitions: &Transitions, trajectories: &Trajectories) -> Result<Self, CompareError> {
        let minimal = Canon::new(CanonKind::Minimal, gamma, transitions)?;
        let (n, width) = (transitions.len(), transitions.width);
        let (count, steps) = (trajectories.steps.len(), trajectories.steps.iter().sum::<usize>());
        for (array, found, expected) in [
            ("last", trajectories.last.len(), count * width),
            ("ended", trajectories.ended.len(), count),
            ("at", trajectories.at.len(), n),
        ] {
            if found != expected {
                return Err(CompareError::Shape { array, found, expected });
            }
        }
        finite("last", &trajectories.last)?;
        if let Some(at) = trajectories.at.iter().position(|t| *t >= steps) {
            let value = trajectories.at[at] as f64;
            return Err(CompareError::Value { array: "at", at, value, expected: "a step of the trajectories" });
        }
        let ends: Vec<usize> = trajectories
            .steps
            .iter()
            .scan(0, |end, n| {
                Some({
                    *end += n;
                    *end
                })
            })
            .collect();
        let of: Vec<usize> = trajectories.at.iter().map(|t| ends.partition_point(|end| end <= t)).collect();
        let (groups, weight) = Groups::of(transitions);
        // One basis for every state there is, so that a potential in the span of the features stays in it.
        let mut every = DMatrix::zeros(2 * n + count, width);
        every.rows_mut(0, n).copy_from(&DMatrix::from_row_slice(n, width, &transitions.state));
        every.rows_mut(n, n).copy_from(&DMatrix::from_row_slice(n, width, &transitions.next));
        every.rows_mut(2 * n, count).copy_from(&DMatrix::from_row_slice(count, width, &trajectories.last));
        let (basis, _) = orthonormal(&every);
        let basis = basis * (2.0 * n.max(1) as f64).sqrt();
        let state = basis.rows(0, n).into_owned();
        let (mut change, mut ahead) = (state.clone(), state.clone());
        for i in 0..n {
            if !transitions.terminal[i] {
                let mut row = change.row_mut(i);
                row -= gamma * basis.row(n + i);
            }
            if !trajectories.ended[of[i]] {
                let left = ends[of[i]] - trajectories.at[i];
                let mut row = ahead.row_mut(i);
                row -= gamma.powi(i32::try_from(left).unwrap_or(i32::MAX)) * basis.row(2 * n + of[i]);
            }
        }
        let folds = FOLDS.min(count);
        let shaping = LeastSquares::of(groups.root(&groups.expect_rows(&change)));
        let mut fit = Self {
            gamma,
            trajectories: trajectories.clone(),
            minimal,
            groups,
            weight,
            of,
            folds,
            state,
            change,
            ahead,
            shaping,
            parts: Vec::new(),
        };
        fit.parts = (0..=folds).map(|held_out| fit.part(held_out)).collect();
        Ok(fit)
    }

    /// Is the transition in the part that holds out this fold?
    fn is_in(&self, row: usize, held_out: usize) -> bool {
        self.of[row] % self.folds.max(1) != held_out
    }

    /// `rows^T W columns` over a part.
    fn product(&self, rows: &DMatrix<f64>, columns: &DMatrix<f64>, held_out: usize) -> DMatrix<f64> {
        let mut weighted = columns.clone();
        for (i, w) in self.weight.iter().enumerate() {
            weighted.row_mut(i).scale_mut(if self.is_in(i, held_out) { *w } else { 0.0 });
        }
        rows.tr_mul(&weighted)
    }

    fn part(&self, held_out: usize) -> Part {
        let gram = self.product(&self.change, &self.change, held_out);
        // What is left of directions that do not change is rounding.
        let floor = 1e-12 * gram.diagonal().iter().copied().fold(0.0, f64::max);
        let identity = DMatrix::identity(gram.nrows(), gram.ncols());
        let one_step = self.product(&self.state, &self.change, held_out);
        let returns = self.product(&self.state, &self.ahead, held_out);
        let system = |(all, ridge): (bool, f64)| {
            let equations = if all { &returns } else { &one_step };
            (equations + &identity * ridge).lu()
        };
        Part { gram: (gram + &identity * floor).lu(), systems: estimators().map(system).collect(), one_step, returns }
    }

    /// A reward by its value at every step of the trajectories.
    ///
    /// # Errors
    /// When there is not a number for each step, or one is not finite.
    pub fn reward(&self, steps: &[f64]) -> Result<Valued, CompareError> {
        let expected = self.trajectories.steps.iter().sum();
        if steps.len() != expected {
            return Err(CompareError::Shape { array: "rewards", found: steps.len(), expected });
        }
        finite("rewards", steps)?;
        let mut returns = steps.to_vec();
        let mut first = 0;
        for n in &self.trajectories.steps {
            for t in (first..(first + n).saturating_sub(1)).rev() {
                returns[t] += self.gamma * returns[t + 1];
            }
            first += n;
        }
        let at =
            |values: &[f64]| DVector::from_iterator(self.of.len(), self.trajectories.at.iter().map(|t| values[*t]));
        let (step, sum) = (at(steps), at(&returns));
        let values: Vec<Vec<DVector<f64>>> = (0..=self.folds).map(|part| self.solve(part, &step, &sum)).collect();
        let scores = self.scores(&values, &sum);
        Ok(Valued { size: size(step.as_slice()), step, values, scores })
    }

    /// Values by each estimator from a part, the potential first.
    fn solve(&self, held_out: usize, step: &DVector<f64>, sum: &DVector<f64>) -> Vec<DVector<f64>> {
        let part = &self.parts[held_out];
        let masked = |values: &DVector<f64>| {
            let kept = |(i, x): (usize, &f64)| if self.is_in(i, held_out) { x * self.weight[i] } else { 0.0 };
            DVector::from_iterator(values.len(), values.iter().enumerate().map(kept))
        };
        let (step_seen, sum_seen) = (masked(step), masked(sum));
        let all = self.shaping.solve(&self.groups.root_of(&self.groups.expect(step)));
        let potential =
            if held_out == self.folds { all } else { part.gram.solve(&self.change.tr_mul(&step_seen)).unwrap_or(all) };
        let (one_step, returns) = (
            self.state.tr_mul(&step_seen) - &part.one_step * &potential,
            self.state.tr_mul(&sum_seen) - &part.returns * &potential,
        );
        let value = |((all, _), system): ((bool, f64), &LU<f64, Dyn, Dyn>)| {
            let right = if all { &returns } else { &one_step };
            // Without a solution every score of it is nothing, and it is not chosen.
            system.solve(right).map_or_else(|| right.map(|_| f64::NAN), |v| &potential + v)
        };
        let values: Vec<DVector<f64>> = estimators().zip(&part.systems).map(value).collect();
        [potential].into_iter().chain(values).collect()
    }

    /// How much of what the potential leaves of held-out returns each estimator explains.
    fn scores(&self, values: &[Vec<DVector<f64>>], sum: &DVector<f64>) -> Vec<f64> {
        let mut left = vec![0.0; values.first().map_or(0, Vec::len)];
        if self.folds < 2 {
            return left;
        }
        for (held_out, values) in values.iter().enumerate().take(self.folds) {
            for (left, v) in left.iter_mut().zip(values) {
                let errors = sum - &self.ahead * v;
                let rows = (0..errors.len()).filter(|&i| !self.is_in(i, held_out));
                *left += rows.map(|i| self.weight[i] * errors[i] * errors[i]).sum::<f64>();
            }
        }
        let scale = self.weight.iter().zip(sum.iter()).map(|(w, g)| w * g * g).sum::<f64>();
        let potential = left[0];
        // What is nothing but shaping has nothing to be explained.
        let score = |left: f64| if potential > 1e-18 * scale { 1.0 - left / potential } else { 0.0 };
        left.into_iter().map(score).map(|s| if s.is_finite() { s } else { f64::NEG_INFINITY }).collect()
    }

    /// Values of the states before each transition, by the estimator that explains most, and the share it explains.
    /// None where none explains anything.
    pub fn values(&self, reward: &Valued) -> Option<(Vec<f64>, f64)> {
        let best = self.choose(&[reward])?;
        let all = reward.values.last()?;
        Some(((&self.state * &all[best]).iter().copied().collect(), reward.scores[best]))
    }

    /// The estimator that explains most of these rewards' returns, and something of each.
    fn choose(&self, rewards: &[&Valued]) -> Option<usize> {
        let sum = |e: usize| rewards.iter().map(|r| r.scores[e]).sum::<f64>();
        let explains = |e: &usize| rewards.iter().all(|r| r.scores[*e] >= 0.0) && sum(*e) > 0.0;
        if self.state.nrows() < EACH * self.state.ncols() {
            return None;
        }
        let count = rewards.first().map_or(0, |r| r.scores.len());
        (1..count).filter(explains).max_by(|a, b| sum(*a).total_cmp(&sum(*b)))
    }

    /// Distance of two rewards.
    pub fn distance(&self, a: &Valued, b: &Valued) -> Distance {
        if let Some(best) = self.choose(&[a, b]) {
            let found = self.between(a, b, best);
            if found.error.is_none_or(|e| e <= TOO_UNSURE) {
                return found;
            }
        }
        Distance { canonicalisation: CanonKind::Minimal, ..self.between(a, b, 0) }
    }

    /// Distance by an estimator, with its jackknife error.
    fn between(&self, a: &Valued, b: &Valued, estimator: usize) -> Distance {
        let at = |part: usize| {
            let keep = |i: usize| self.is_in(i, part);
            let groups = if part == self.folds { self.groups.clone() } else { self.groups.part(&self.weight, keep) };
            let form = |r: &Valued| {
                let canonical = &r.step - &self.change * &r.values[part][estimator];
                normalised(groups.expect(&canonical).as_slice(), &groups.mass, r.size)
            };
            distance(&form(a), &form(b), &groups.mass)
        };
        let minimal = estimator == 0;
        let value = if minimal {
            // The same form as where only that is asked for, to the last bit.
            let form = |r: &Valued| {
                let canonical = self.minimal.canonical(r.step.as_slice()).unwrap_or_default();
                normalised(&canonical, self.minimal.mass(), r.size)
            };
            distance(&form(a), &form(b), self.minimal.mass())
        } else {
            at(self.folds)
        };
        let error = (self.folds > 1).then(|| {
            let parts: Vec<f64> = (0..self.folds).map(at).collect();
            let n = self.folds as f64;
            let mean = parts.iter().sum::<f64>() / n;
            ((n - 1.0) / n * parts.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>()).sqrt()
        });
        Distance { value, error, canonicalisation: if minimal { CanonKind::Minimal } else { CanonKind::Val } }
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
