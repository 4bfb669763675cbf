//! From vectors to a number: VLM-RM's goal-baseline score, and a classifier's probability.
//!
//! With unit vectors s (picture), g (goal), b (baseline), d = g - b:
//! `r = 1 - |(s - g) P|^2 / 2`, `P = alpha d d^T / |d|^2 + (1 - alpha) I`.
//! alpha = 0 is the cosine of s and g; alpha = 1 depends on the coordinate of s along d only; s = g gives 1.
//! Rocamonde et al., "Vision-Language Models are Zero-Shot Reward Models for Reinforcement Learning" (2023).

/// A goal with its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    goal: Vec<f64>,
    /// d / |d|; empty where there is no baseline.
    along: Vec<f64>,
    alpha: f64,
}

fn unit(v: &[f32]) -> Vec<f64> {
    let norm = v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt().max(1e-12);
    v.iter().map(|&x| f64::from(x) / norm).collect()
}

impl Goal {
    /// From the vectors of the goal and of the baseline prompt. Without a baseline, or with one equal to the goal, it
    /// is the cosine.
    pub fn new(goal: &[f32], baseline: Option<&[f32]>, alpha: f64) -> Self {
        let goal = unit(goal);
        let mut along: Vec<f64> = match baseline {
            Some(b) => goal.iter().zip(unit(b)).map(|(g, b)| g - b).collect(),
            None => Vec::new(),
        };
        let norm = along.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm < 1e-9 {
            along.clear();
        }
        along.iter_mut().for_each(|x| *x /= norm);
        let alpha = if along.is_empty() { 0.0 } else { alpha };
        Self { goal, along, alpha }
    }

    /// The score of a picture's vector, at most 1.
    pub fn score(&self, image: &[f32]) -> f64 {
        let s = unit(image);
        let off: Vec<f64> = s.iter().zip(&self.goal).map(|(s, g)| s - g).collect();
        let part: f64 = off.iter().zip(&self.along).map(|(o, d)| o * d).sum();
        // |P o|^2 with P = a dd^T + (1 - a) I: what is along d keeps its length, the rest is shrunk by 1 - a.
        let all: f64 = off.iter().map(|x| x * x).sum();
        let across = (all - part * part).max(0.0);
        let keep = 1.0 - self.alpha;
        let along = if self.along.is_empty() { 0.0 } else { part * part };
        let across = if self.along.is_empty() { all } else { across };
        1.0 - 0.5 * (along + keep * keep * across)
    }

    /// Cosine of a picture's vector and the goal.
    pub fn cosine(&self, image: &[f32]) -> f64 {
        unit(image).iter().zip(&self.goal).map(|(s, g)| s * g).sum()
    }
}

/// Probability that a picture fits its goal rather than the baseline: `sigmoid(scale (cos goal - cos baseline))`; with
/// SigLIP's bias and no baseline `sigmoid(scale cos + bias)`.
pub fn probability(goal: f64, baseline: Option<f64>, scale: f64, bias: Option<f64>) -> f64 {
    let logit = match (baseline, bias) {
        (Some(b), _) => scale * (goal - b),
        (None, bias) => scale * goal + bias.unwrap_or(-0.5 * scale),
    };
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(seed: u32) -> Vec<f32> {
        let mut dice = crate::dataset::Dice::new(3, seed);
        (0..48).map(|_| dice.normal()).collect()
    }

    #[test]
    fn alpha_0_is_the_cosine_and_the_goal_itself_scores_1() {
        for k in 0..50 {
            let (s, g, b) = (vector(3 * k), vector(3 * k + 1), vector(3 * k + 2));
            let plain = Goal::new(&g, Some(&b), 0.0);
            assert!((plain.score(&s) - plain.cosine(&s)).abs() < 1e-6);
            for alpha in [0.0, 0.3, 1.0] {
                assert!((Goal::new(&g, Some(&b), alpha).score(&g) - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn alpha_1_depends_on_the_coordinate_along_goal_minus_baseline_only() {
        for k in 0..50 {
            let (s, g, b, r) = (vector(4 * k), vector(4 * k + 1), vector(4 * k + 2), vector(4 * k + 3));
            let goal = Goal::new(&g, Some(&b), 1.0);
            // Turn s about the axis d: within the space orthogonal to d its direction is exchanged, its length kept.
            let su = unit(&s);
            let along: f64 = su.iter().zip(&goal.along).map(|(a, d)| a * d).sum();
            let mut other = unit(&r);
            let c: f64 = other.iter().zip(&goal.along).map(|(a, d)| a * d).sum();
            other.iter_mut().zip(&goal.along).for_each(|(o, d)| *o -= c * d);
            let norm = other.iter().map(|x| x * x).sum::<f64>().sqrt();
            let side = (1.0 - along * along).sqrt();
            let turned: Vec<f32> =
                other.iter().zip(&goal.along).map(|(o, d)| (along * d + side * o / norm) as f32).collect();
            assert!((goal.score(&s) - goal.score(&turned)).abs() < 1e-6);
            assert!(
                (Goal::new(&g, Some(&b), 0.5).score(&s) - Goal::new(&g, Some(&b), 0.5).score(&turned)).abs() > 1e-4
            );
            // As the formula says, term by term.
            let off: f64 = su.iter().zip(&goal.goal).zip(&goal.along).map(|((s, g), d)| (s - g) * d).sum();
            assert!((goal.score(&s) - (1.0 - 0.5 * off * off)).abs() < 1e-9);
        }
    }

    #[test]
    fn probabilities_grow_with_the_goal_and_shrink_with_the_baseline() {
        assert!((probability(0.3, Some(0.3), 100.0, None) - 0.5).abs() < 1e-12);
        assert!(probability(0.32, Some(0.3), 100.0, None) > 0.85 && probability(0.1, None, 100.0, Some(-15.0)) < 0.01);
    }
}
