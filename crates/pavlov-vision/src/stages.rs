//! Stages of a demonstration, found in the vectors of its pictures.
//!
//! After "Unsupervised Perceptual Rewards for Imitation Learning" (Sermanet, Xu, Levine 2016): the demonstration is cut
//! so that the deviation of the vectors within a stage is smallest, stage after stage in two; for each stage the
//! features are kept that separate it best from the rest (difference of means over deviation), and a picture's share in
//! a stage is a Gaussian of those features, `R_i = exp(-mean((x - mean)^2 / var) / 2)`.
//! Score: `sum_{i >= 2} 2^(i-1) R_i / sum_{i >= 2} 2^(i-1)`.

/// Features a stage is known by.
const KEPT: usize = 12;
/// Deviations below this share of the largest are taken as this.
const FLOOR: f64 = 0.05;

#[derive(Debug, Clone, PartialEq)]
struct Stage {
    /// Feature, mean, variance.
    features: Vec<(usize, f64, f64)>,
}

/// A demonstration cut into stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Stages {
    stages: Vec<Stage>,
    /// First picture of each stage after the first.
    pub cuts: Vec<usize>,
}

/// Sum over features of the squared distance from the mean.
fn spread(rows: &[Vec<f32>]) -> f64 {
    let n = rows.len() as f64;
    let Some(first) = rows.first() else { return 0.0 };
    (0..first.len())
        .map(|k| {
            let (sum, square) = rows.iter().fold((0.0, 0.0), |(s, q), r| {
                let x = f64::from(r[k]);
                (s + x, q + x * x)
            });
            square - sum * sum / n
        })
        .sum()
}

fn mean_var(rows: &[Vec<f32>], k: usize) -> (f64, f64) {
    let n = rows.len().max(1) as f64;
    let mean = rows.iter().map(|r| f64::from(r[k])).sum::<f64>() / n;
    (mean, rows.iter().map(|r| (f64::from(r[k]) - mean).powi(2)).sum::<f64>() / n)
}

impl Stages {
    /// Cuts a demonstration, vectors in order of time, into so many stages.
    ///
    /// # Errors
    /// When it is too short.
    pub fn find(rows: &[Vec<f32>], count: usize) -> Result<Self, String> {
        if count < 2 {
            return Err(format!("`stages` is {count}: expected at least 2"));
        }
        if rows.len() < 2 * count {
            return Err(format!(
                "the demonstration has {} pictures: expected at least {} for {count} stages",
                rows.len(),
                2 * count
            ));
        }
        let mut cuts: Vec<usize> = vec![0, rows.len()];
        while cuts.len() < count + 1 {
            // The cut that takes most away from the spread within stages; stages have two pictures at least.
            let mut best: Option<(f64, usize)> = None;
            for pair in cuts.windows(2) {
                let whole = spread(&rows[pair[0]..pair[1]]);
                for at in pair[0] + 2..(pair[1] + 1).saturating_sub(2) {
                    let gain = whole - spread(&rows[pair[0]..at]) - spread(&rows[at..pair[1]]);
                    if best.is_none_or(|(g, _)| gain > g) {
                        best = Some((gain, at));
                    }
                }
            }
            let Some((_, at)) = best else {
                return Err(format!("the demonstration cannot be cut into {count} stages; use fewer"));
            };
            cuts.push(at);
            cuts.sort_unstable();
        }
        let width = rows[0].len();
        let all: Vec<f64> = (0..width).map(|k| mean_var(rows, k).1).collect();
        let floor = FLOOR * all.iter().copied().fold(1e-12, f64::max);
        let stages = cuts.windows(2).map(|pair| {
            let inside = &rows[pair[0]..pair[1]];
            let rest: Vec<Vec<f32>> = rows[..pair[0]].iter().chain(&rows[pair[1]..]).cloned().collect();
            let mut ranked: Vec<(f64, usize, f64, f64)> = (0..width)
                .map(|k| {
                    let (mean, var) = mean_var(inside, k);
                    let (other, wide) = mean_var(&rest, k);
                    let var = var.max(floor);
                    ((mean - other).abs() / (var.sqrt() + wide.sqrt()).max(1e-9), k, mean, var)
                })
                .collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            Stage {
                features: ranked.into_iter().take(KEPT.min(width)).map(|(_, k, mean, var)| (k, mean, var)).collect(),
            }
        });
        let stages = stages.collect();
        Ok(Self { stages, cuts: cuts[1..cuts.len() - 1].to_vec() })
    }

    /// Share of a picture in a stage, from 0 to 1.
    pub fn share(&self, stage: usize, v: &[f32]) -> f64 {
        let f = &self.stages[stage].features;
        let sum: f64 = f.iter().map(|&(k, mean, var)| (f64::from(v[k]) - mean).powi(2) / var).sum();
        (-0.5 * sum / f.len().max(1) as f64).exp()
    }

    /// Score of a picture, from 0 to 1: later stages weigh more.
    pub fn score(&self, v: &[f32]) -> f64 {
        let (mut sum, mut all) = (0.0, 0.0);
        for stage in 1..self.stages.len() {
            let weight = f64::from(2u32.pow(stage.min(30) as u32));
            sum += weight * self.share(stage, v);
            all += weight;
        }
        sum / all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_a_made_up_demonstration_are_found_and_later_ones_pay_more() {
        let mut dice = crate::dataset::Dice::new(5, 0);
        let centres: Vec<Vec<f32>> = (0..3).map(|_| (0..32).map(|_| dice.normal()).collect()).collect();
        let demo: Vec<Vec<f32>> = [12, 9, 15]
            .iter()
            .zip(&centres)
            .flat_map(|(&n, c)| (0..n).map(|_| c.iter().map(|x| x + 0.1 * dice.normal()).collect()).collect::<Vec<_>>())
            .collect();
        let stages = Stages::find(&demo, 3).unwrap();
        assert_eq!(stages.cuts, [12, 21]);
        let score = |c: usize| stages.score(&centres[c]);
        assert!(
            score(0) < 0.1 && score(1) > 0.25 && score(2) > 0.55 && score(2) > score(1),
            "{:?}",
            [score(0), score(1), score(2)]
        );
        assert!(Stages::find(&demo[..5], 3).unwrap_err().contains("at least 6"));
    }
}
