//! Actor, critic and the deviation of the policy in one flat vector of parameters.
//!
//! Order: actor, log standard deviations `[act]` padded to 8, critic. One vector makes Adam, the norm of the gradient
//! and the sum over chunks plain loops. The policy is `N(actor(x), diag(exp(log_std))^2)`, the deviation not depending
//! on the observation. The actor sees the first `obs` columns of a row, the critic all of them.

use std::ops::Range;

use crate::config::PpoConfig;
use crate::kernels::padded;
use crate::net::Shape;

/// Half of `ln(2 pi)`.
pub const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// The parameters with the shapes of the nets they belong to.
#[derive(Debug, Clone)]
pub struct Model {
    /// Net from the policy's columns to mean actions.
    pub actor: Shape,
    /// Net from all columns to a value of each critic.
    pub critic: Shape,
    /// Columns of an action.
    pub act: usize,
    /// All parameters.
    pub params: Vec<f32>,
}

/// Where the parts lie in [`Model::params`] and in every vector like it.
#[derive(Debug, Clone)]
pub struct Ranges {
    /// Actor.
    pub actor: Range<usize>,
    /// Log standard deviations, without padding.
    pub log_std: Range<usize>,
    /// Critic.
    pub critic: Range<usize>,
}

impl Model {
    /// All parameters zero. `row` is the number of columns the critic sees.
    pub fn zeros(config: &PpoConfig, obs: usize, row: usize, act: usize, critics: usize) -> Self {
        let actor = Shape::new(obs, &config.actor_hidden, act, config.activation);
        let critic = Shape::new(row, &config.critic_hidden, critics, config.activation);
        let len = actor.len + padded(act) + critic.len;
        Self { actor, critic, act, params: vec![0.0; len] }
    }

    /// Orthogonal start: gain 0.01 in the policy's head, 1 in the value's; deviation `init_std`.
    pub fn init(&mut self, config: &PpoConfig, seed: u64) {
        let at = self.ranges();
        self.actor.init(&mut self.params[at.actor], seed, 0, 0.01);
        self.params[at.log_std].fill(config.init_std.ln() as f32);
        self.critic.init(&mut self.params[at.critic], seed, 1, 1.0);
    }

    /// Number of values that the critic gives.
    pub fn critics(&self) -> usize {
        self.critic.outputs()
    }

    /// Where the parts lie.
    pub fn ranges(&self) -> Ranges {
        let log_std = self.actor.len;
        let critic = log_std + padded(self.act);
        Ranges { actor: 0..log_std, log_std: log_std..log_std + self.act, critic: critic..critic + self.critic.len }
    }

    /// Parameters of the actor.
    pub fn actor_params(&self) -> &[f32] {
        &self.params[..self.actor.len]
    }

    /// Parameters of the critic.
    pub fn critic_params(&self) -> &[f32] {
        &self.params[self.ranges().critic]
    }

    /// The policy's distribution about its mean.
    pub fn gaussian(&self) -> Gaussian {
        Gaussian::new(&self.params[self.ranges().log_std])
    }

    /// Raises deviations below `min_std` to it.
    pub fn keep_std_above(&mut self, min_std: f64) {
        let low = min_std.ln() as f32;
        let range = self.ranges().log_std;
        self.params[range].iter_mut().for_each(|x| *x = x.max(low));
    }
}

/// Diagonal Gaussian about a mean that comes with each call.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// Log standard deviations.
    pub log_std: Vec<f32>,
    /// Standard deviations.
    pub std: Vec<f32>,
    /// Their inverses.
    pub inv_std: Vec<f32>,
    /// Log density at the mean.
    peak: f32,
}

impl Gaussian {
    /// From log standard deviations.
    pub fn new(log_std: &[f32]) -> Self {
        let peak = log_std.iter().map(|&s| -f64::from(s) - HALF_LN_TAU).sum::<f64>() as f32;
        Self {
            log_std: log_std.to_vec(),
            std: log_std.iter().map(|s| s.exp()).collect(),
            inv_std: log_std.iter().map(|s| (-s).exp()).collect(),
            peak,
        }
    }

    /// Log density at the mean.
    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// Log density of an action; also writes `z = (action - mean) / std`.
    pub fn log_prob(&self, mean: &[f32], action: &[f32], z: &mut [f32]) -> f32 {
        let mut square = 0.0;
        for (((z, &a), &m), &inv) in z.iter_mut().zip(action).zip(mean).zip(&self.inv_std) {
            *z = (a - m) * inv;
            square += *z * *z;
        }
        self.peak - 0.5 * square
    }

    /// Entropy, nats.
    pub fn entropy(&self) -> f64 {
        self.log_std.iter().map(|&s| f64::from(s) + HALF_LN_TAU + 0.5).sum()
    }

    /// The part of `KL(old || self)` that does not depend on the means: `sum ln(s/s0) + s0^2 / (2 s^2) - 1/2`.
    pub fn kl_of_std(&self, old: &Self) -> f64 {
        let pairs = self.log_std.iter().zip(&old.log_std);
        pairs
            .map(|(&new, &old)| (f64::from(new) - f64::from(old), f64::from(old) - f64::from(new)))
            .fold(0.0, |sum, (rise, fall)| sum + rise + 0.5 * (2.0 * fall).exp() - 0.5)
    }

    /// The part that does: `sum (m0 - m)^2 / (2 s^2)`.
    pub fn kl_of_mean(&self, old: &[f32], new: &[f32]) -> f32 {
        let mut sum = 0.0;
        for ((&old, &new), &inv) in old.iter().zip(new).zip(&self.inv_std) {
            let gap = (old - new) * inv;
            sum += gap * gap;
        }
        0.5 * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussian_known_answers() {
        let new = Gaussian::new(&[0.0, 2.0f32.ln()]);
        let mut z = [0.0; 2];
        // Standard normal at 1: -1.418938...; N(1, 2) at 3: z = 1, density lower by ln 2.
        let log_prob = f64::from(new.log_prob(&[0.0, 1.0], &[1.0, 3.0], &mut z));
        assert!((log_prob - (-2.0 * 1.418_938_533 - 2.0f64.ln())).abs() < 1e-6, "{log_prob}");
        assert!((z[0] - 1.0).abs() < 1e-6 && (z[1] - 1.0).abs() < 1e-6, "{z:?}");
        assert!((new.entropy() - (2.0 * 1.418_938_533 + 2.0f64.ln())).abs() < 1e-6);
        // KL(N(0,1) || N(1,2)) = ln 2 + (1 + 1) / 8 - 1/2.
        let (old, new) = (Gaussian::new(&[0.0]), Gaussian::new(&[2.0f32.ln()]));
        let kl = new.kl_of_std(&old) + f64::from(new.kl_of_mean(&[0.0], &[1.0]));
        assert!((kl - (2.0f64.ln() + 0.25 - 0.5)).abs() < 1e-6, "{kl}");
    }
}
