//! Generations of CMA-ES, one after the other: points are given out all at once, and their fitness is taken back all at
//! once.
//!
//! The mathematics is the `basin` crate's (Hansen, "The CMA Evolution Strategy: A Tutorial", 2016, with negative
//! weights). Its solver evaluates a point at a time while a generation must be trained side by side; so it is given an
//! objective that knows nothing, and the true values are put into its state before it goes on.

use crate::error::RunError;
use basin::{CmaEs, CostFunction, DenseMatrix, PopulationProgress, Problem, Solver};
use std::convert::Infallible;

/// The objective the solver is given: a generation's points are not known yet when it asks.
struct NotKnownYet;

impl CostFunction for NotKnownYet {
    type Param = Vec<f64>;
    type Output = f64;
    type Error = Infallible;

    fn cost(&self, _: &Vec<f64>) -> Result<f64, Infallible> {
        Ok(0.0)
    }
}

/// A generation, and what the search knows from those before it.
pub(crate) struct Generation {
    solver: CmaEs<Vec<f64>, DenseMatrix>,
    problem: Problem<NotKnownYet>,
    state: PopulationProgress<Vec<f64>>,
}

impl Generation {
    /// The first `count` points (at least 4), with deviation `sigma` about `start`.
    ///
    /// # Errors
    /// When there is nothing to search, too few points, or no deviation.
    pub fn first(start: Vec<f64>, sigma: f64, count: usize, seed: u64) -> Result<Self, RunError> {
        if start.is_empty() || count < 4 || !(sigma.is_finite() && sigma > 0.0) {
            let dims = start.len();
            return Err(RunError::Usage(format!(
                "CMA-ES: {dims} parameters, {count} variants, deviation {sigma}: expected 1 or more, 4 or more, above 0"
            )));
        }
        let mut solver = CmaEs::new(seed, sigma).with_lambda(count);
        let mut problem = Problem::new(NotKnownYet);
        let Ok(state) = solver.init(&mut problem, PopulationProgress::from_point(start));
        Ok(Self { solver, problem, state })
    }

    /// Its points.
    pub fn points(&self) -> &[Vec<f64>] {
        self.state.candidates()
    }

    /// The generation that follows when the points have this fitness; more is better.
    ///
    /// # Errors
    /// When the numbers cannot be used.
    pub fn next(mut self, fitness: &[f64]) -> Result<Self, RunError> {
        let mut order: Vec<usize> = (0..fitness.len().min(self.points().len())).collect();
        order.sort_by(|&a, &b| fitness[b].total_cmp(&fitness[a]));
        let points = order.iter().map(|&i| self.points()[i].clone()).collect();
        let costs = order.iter().map(|&i| -fitness[i]).collect();
        let refused = |e: &dyn std::fmt::Display| RunError::Failed(format!("CMA-ES: {e}"));
        self.state.replace(points, costs).map_err(|e| refused(&e))?;
        let Ok(step) = self.solver.next_iter(&mut self.problem, self.state);
        match step.termination {
            None => Ok(Self { state: step.state, ..self }),
            Some(_) => Err(refused(&"its covariance is no longer positive; search fewer parameters at once")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lowest cost that a search of so many generations of `count` points finds.
    fn lowest(cost: impl Fn(&[f64]) -> f64, start: &[f64], count: usize, generations: usize, seed: u64) -> f64 {
        let mut search = Generation::first(start.to_vec(), 0.25, count, seed).unwrap();
        let mut lowest = f64::INFINITY;
        for _ in 0..generations {
            let costs: Vec<f64> = search.points().iter().map(|x| cost(x)).collect();
            assert_eq!(costs.len(), count);
            lowest = costs.iter().copied().fold(lowest, f64::min);
            search = search.next(&costs.iter().map(|c| -c).collect::<Vec<_>>()).unwrap();
        }
        lowest
    }

    #[test]
    fn known_minima_are_found() {
        let sphere = |x: &[f64]| x.iter().map(|x| (x - 0.8) * (x - 0.8)).sum::<f64>();
        let rosenbrock =
            |x: &[f64]| x.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2)).sum::<f64>();
        // Axes a thousand times as long as others, turned by 45 degrees in each plane.
        let ellipsoid = |x: &[f64]| {
            let half = std::f64::consts::FRAC_1_SQRT_2;
            let (a, b) = ([half * (x[0] + x[1]), half * (x[2] + x[3])], [half * (x[0] - x[1]), half * (x[2] - x[3])]);
            a[0] * a[0] + 1e2 * b[0] * b[0] + 1e4 * a[1] * a[1] + 1e6 * b[1] * b[1]
        };
        for seed in 0..3 {
            assert!(lowest(sphere, &[0.5; 5], 8, 120, seed) < 1e-10);
            assert!(lowest(rosenbrock, &[0.0; 3], 10, 300, seed) < 1e-10);
            assert!(lowest(ellipsoid, &[0.5; 4], 8, 250, seed) < 1e-10);
        }
    }

    #[test]
    fn a_short_search_comes_close_and_a_seed_repeats_it() {
        let bowl = |x: &[f64]| (x[0] - 0.8).powi(2) + (x[1] - 0.3).powi(2);
        let found = lowest(bowl, &[0.5; 2], 8, 25, 3);
        assert!(found < 1e-3, "{found}");
        assert_eq!(found, lowest(bowl, &[0.5; 2], 8, 25, 3));
        assert_ne!(found, lowest(bowl, &[0.5; 2], 8, 25, 4));
    }

    #[test]
    fn variants_that_failed_do_not_end_a_search() {
        let search = Generation::first(vec![0.5; 2], 0.25, 4, 1).unwrap();
        let next = search.next(&[f64::MIN, 1.0, f64::MIN, 0.5]).unwrap();
        assert!(next.points().iter().flatten().all(|x| x.is_finite()));
        assert!(
            Generation::first(Vec::new(), 0.25, 4, 1).is_err() && Generation::first(vec![0.5], 0.25, 3, 1).is_err()
        );
    }
}
