//! Raters: who or what says which behaviour is better. A person answers in the studio; here are the scripted teachers.
//!
//! B-Pref (Lee et al. 2021) has six: oracle, stochastic, mistakes, skips, ties, short-sighted. With per-step rewards
//! `r` of a truth that only the teacher knows and steps to the end `H - t`, the value of a segment is
//! `V = sum_t gamma^(H - t) r_t` and `P(left better) = sigmoid(beta (V_left - V_right) / spread)`. The spread, the
//! standard deviation of `V` over segments like those shown, makes `beta` mean the same on every task. Thresholds of
//! skips and ties are quantiles of the same sample, so that their shares are what is asked for.
//!
//! A seventh has no values at all: the `cyclic` teacher likes each term of the truth better than the next one, and the
//! last better than the first. With shares `a`, `b` of the terms' sums,
//! `P(left better) = 1/2 + 1/2 sum_k (a_k b_(k+1) - a_(k+1) b_k)`. It stands for a crowd whose majorities go round
//! (Condorcet 1785), which no reward can follow.

use crate::error::PrefsError;
use crate::label::{Answer, Choice, Segment};
use crate::rng::Rng;
use crate::segments::Pool;
use pavlov_common::stats::moments;
use pavlov_reward::Reward;
use pavlov_script::Scene;

/// Someone or something that answers queries.
pub trait Rater {
    /// How its labels are signed.
    fn name(&self) -> &str;

    /// Which of two segments is better, in the order shown: a comparison or a skip.
    ///
    /// # Errors
    /// When the segments cannot be seen or judged.
    fn compare(&mut self, pool: &Pool, left: &Segment, right: &Segment) -> Result<Answer, PrefsError>;

    /// Best and worst of some.
    ///
    /// # Errors
    /// As [`Self::compare`].
    fn best_worst(&mut self, pool: &Pool, segments: &[&Segment]) -> Result<Answer, PrefsError>;
}

/// How a scripted teacher errs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Teacher {
    /// Rationality, per spread of the segments' values; infinite: never errs by closeness.
    pub beta: f64,
    /// Discount towards the past: below 1 the end of a segment counts most.
    pub gamma: f64,
    /// Share of answers that are flipped.
    pub mistakes: f64,
    /// Share of queries that are skipped because neither segment is worth a look.
    pub skips: f64,
    /// Share of queries answered with a tie because the values are too close.
    pub ties: f64,
    /// Goes round: each term beats the next, whatever the rest is.
    pub cyclic: bool,
}

/// Names and settings of B-Pref's six teachers, and of the one who goes round.
pub const TEACHERS: [(&str, Teacher); 7] = [
    ("oracle", ORACLE),
    ("stochastic", Teacher { beta: 1.0, ..ORACLE }),
    ("mistake", Teacher { mistakes: 0.1, ..ORACLE }),
    ("skip", Teacher { skips: 0.1, ..ORACLE }),
    ("equal", Teacher { ties: 0.1, ..ORACLE }),
    ("myopic", Teacher { gamma: 0.9, ..ORACLE }),
    ("cyclic", Teacher { cyclic: true, ..ORACLE }),
];

const ORACLE: Teacher =
    Teacher { beta: f64::INFINITY, gamma: 1.0, mistakes: 0.0, skips: 0.0, ties: 0.0, cyclic: false };

/// How likely the cyclic teacher is to prefer the first of two segments with these sums of terms, none below 0 (what
/// is, counts as 0).
pub fn cyclic_chance(a: &[f64], b: &[f64]) -> f64 {
    let share = |x: &[f64]| -> Vec<f64> {
        let sum: f64 = x.iter().map(|x| x.max(0.0)).sum();
        let even = 1.0 / x.len() as f64;
        x.iter().map(|x| if sum > 0.0 { x.max(0.0) / sum } else { even }).collect()
    };
    let (a, b) = (share(a), share(b));
    let n = a.len();
    let lead: f64 = (0..n).map(|k| a[k] * b[(k + 1) % n] - a[(k + 1) % n] * b[k]).sum();
    0.5 + 0.5 * lead
}

impl Teacher {
    /// The teacher of a name in [`TEACHERS`].
    ///
    /// # Errors
    /// Says which there are.
    pub fn named(name: &str) -> Result<Self, PrefsError> {
        let found = TEACHERS.iter().find(|t| t.0 == name).map(|t| t.1);
        found.ok_or_else(|| {
            let names = TEACHERS.map(|t| t.0);
            let hint = pavlov_model::did_you_mean(name, names);
            PrefsError::Usage(format!("no teacher `{name}`: {hint}; there are {}", names.join(", ")))
        })
    }

    /// Value of a segment with these rewards a step.
    pub fn value(&self, rewards: &[f32]) -> f64 {
        rewards.iter().fold(0.0, |sum, &r| self.gamma * sum + f64::from(r))
    }
}

/// What a teacher must know of the segments it will see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Standard deviation of values.
    pub spread: f64,
    /// Skipped when both values are below.
    pub skip: f64,
    /// A tie when values are nearer than this.
    pub tie: f64,
}

impl Thresholds {
    /// From pairs of values like those that will be shown.
    ///
    /// # Errors
    /// When there are none, or all values are the same.
    pub fn of(teacher: &Teacher, pairs: &[[f64; 2]]) -> Result<Self, PrefsError> {
        let (_, variance) = moments(pairs.iter().flatten().copied()).unwrap_or_default();
        let spread = variance.sqrt();
        if !(spread.is_finite() && spread > 0.0) {
            return Err(PrefsError::Usage(format!(
                "the teacher's reward gives {} segments the same value, or one that is not a number: it cannot tell \
                 any two apart",
                2 * pairs.len()
            )));
        }
        let below = |mut values: Vec<f64>, share: f64| {
            values.sort_by(f64::total_cmp);
            let count = (share * values.len() as f64).round() as usize;
            if count == 0 { f64::NEG_INFINITY } else { values[count.min(values.len() - 1)] }
        };
        let skip = below(pairs.iter().map(|p| p[0].max(p[1])).collect(), teacher.skips);
        // Ties are a share of what is not skipped.
        let seen = pairs.iter().filter(|p| p[0].max(p[1]) >= skip);
        let tie = below(seen.map(|p| (p[0] - p[1]).abs()).collect(), teacher.ties);
        Ok(Self { spread, skip, tie })
    }
}

/// A scripted teacher: judges by a reward that learners do not see.
#[derive(Debug)]
pub struct Scripted<'a> {
    name: String,
    teacher: Teacher,
    reward: &'a Reward,
    scene: &'a Scene,
    thresholds: Thresholds,
    rng: Rng,
}

impl<'a> Scripted<'a> {
    /// A teacher who judges by `reward` and has seen the pairs of `sample`.
    ///
    /// # Errors
    /// When they cannot be scored, or the reward tells none apart.
    pub fn new(
        name: &str,
        teacher: Teacher,
        (reward, scene): (&'a Reward, &'a Scene),
        pool: &Pool,
        sample: &[[&Segment; 2]],
        seed: u64,
    ) -> Result<Self, PrefsError> {
        let both: Vec<&Segment> = sample.iter().flatten().copied().collect();
        let terms = reward.term_names().len();
        if teacher.cyclic && terms < 3 {
            return Err(PrefsError::Usage(format!(
                "the cyclic teacher goes round three terms or more; the script of `{}` has {terms}",
                reward.name()
            )));
        }
        let scores = pool.score(reward, scene, &both, false)?;
        let values: Vec<f64> = scores.iter().map(|s| teacher.value(&s.step_totals)).collect();
        let pairs: Vec<[f64; 2]> = values.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
        // Values mean nothing to one who goes round.
        let none = Thresholds { spread: 1.0, skip: f64::NEG_INFINITY, tie: f64::NEG_INFINITY };
        let thresholds = if teacher.cyclic { none } else { Thresholds::of(&teacher, &pairs)? };
        Ok(Self { name: name.into(), teacher, reward, scene, thresholds, rng: Rng::new(seed) })
    }

    /// Chance of each segment to be preferred to another of them, in the mean.
    fn wins(&self, pool: &Pool, segments: &[&Segment]) -> Result<Vec<f64>, PrefsError> {
        let scores = pool.score(self.reward, self.scene, segments, false)?;
        let others = |i: usize| (0..scores.len()).filter(move |&j| j != i);
        let against = |i: usize| others(i).map(|j| cyclic_chance(&scores[i].terms, &scores[j].terms)).sum::<f64>();
        Ok((0..scores.len()).map(|i| against(i) / (scores.len().max(2) - 1) as f64).collect())
    }

    fn values(&self, pool: &Pool, segments: &[&Segment]) -> Result<Vec<f64>, PrefsError> {
        let scores = pool.score(self.reward, self.scene, segments, false)?;
        Ok(scores.iter().map(|s| self.teacher.value(&s.step_totals)).collect())
    }
}

/// What a teacher says of two values.
pub fn verdict(teacher: &Teacher, thresholds: &Thresholds, left: f64, right: f64, rng: &mut Rng) -> Answer {
    if left.max(right) < thresholds.skip {
        return Answer::Skip;
    }
    let choice = if (left - right).abs() < thresholds.tie {
        Choice::Equal
    } else {
        let better = if teacher.beta.is_finite() {
            rng.unit() < crate::math::sigmoid(teacher.beta * (left - right) / thresholds.spread)
        } else if left == right {
            rng.unit() < 0.5
        } else {
            left > right
        };
        said(teacher, better, rng)
    };
    Answer::Comparison { choice, strength: None }
}

/// What a teacher who finds left better, or not, says: now and then by mistake the other one.
fn said(teacher: &Teacher, left_is_better: bool, rng: &mut Rng) -> Choice {
    let flipped = teacher.mistakes > 0.0 && rng.unit() < teacher.mistakes;
    if left_is_better == flipped { Choice::Right } else { Choice::Left }
}

/// Adds Gumbel noise in units of `unit`: the largest is then drawn by exp(value / unit), as in Luce's choice.
fn add_gumbel(values: &mut [f64], unit: f64, rng: &mut Rng) {
    values.iter_mut().for_each(|v| *v -= unit * (-(1.0 - rng.unit()).ln()).max(1e-300).ln());
}

/// The answer that names the largest and the least of some values; a skip where there are not two.
pub fn best_and_worst(values: &[f64]) -> Answer {
    let by_value = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
    let best = (0..values.len()).max_by(by_value).unwrap_or(0);
    match (0..values.len()).filter(|&i| i != best).min_by(by_value) {
        Some(worst) => Answer::BestWorst { best: best as u16, worst: worst as u16 },
        None => Answer::Skip,
    }
}

impl Rater for Scripted<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn compare(&mut self, pool: &Pool, left: &Segment, right: &Segment) -> Result<Answer, PrefsError> {
        if self.teacher.cyclic {
            let chance = self.wins(pool, &[left, right])?[0];
            if (chance - 0.5).abs() < 1e-9 {
                return Ok(Answer::Comparison { choice: Choice::Equal, strength: None });
            }
            let better = self.rng.unit() < chance;
            return Ok(Answer::Comparison { choice: said(&self.teacher, better, &mut self.rng), strength: None });
        }
        let v = self.values(pool, &[left, right])?;
        Ok(verdict(&self.teacher, &self.thresholds, v[0], v[1], &mut self.rng))
    }

    fn best_worst(&mut self, pool: &Pool, segments: &[&Segment]) -> Result<Answer, PrefsError> {
        let mut values = match self.teacher.cyclic {
            true => self.wins(pool, segments)?,
            false => self.values(pool, segments)?,
        };
        if self.teacher.beta.is_finite() {
            // The best is drawn by exp(beta V).
            add_gumbel(&mut values, self.thresholds.spread / self.teacher.beta, &mut self.rng);
        }
        let mut answer = best_and_worst(&values);
        if let Answer::BestWorst { best, worst } = &mut answer
            && self.teacher.mistakes > 0.0
            && self.rng.unit() < self.teacher.mistakes
        {
            std::mem::swap(best, worst);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_drawn_as_luce_chooses() {
        let mut rng = Rng::new(5);
        let mut share = [0.0; 3];
        for _ in 0..20_000 {
            let mut values = [1.0, 3.0, 2.0];
            add_gumbel(&mut values, 2.0, &mut rng);
            let Answer::BestWorst { best, .. } = best_and_worst(&values) else { panic!("three values") };
            share[usize::from(best)] += 1.0 / 20_000.0;
        }
        let sum: f64 = [0.5f64, 1.5, 1.0].iter().map(|x| x.exp()).sum();
        for (share, x) in share.iter().zip([0.5f64, 1.5, 1.0]) {
            assert!((share - x.exp() / sum).abs() < 0.01, "{share} {}", x.exp() / sum);
        }
    }

    fn pairs(n: usize) -> Vec<[f64; 2]> {
        let mut rng = Rng::new(3);
        (0..n).map(|_| [0; 2].map(|_| 40.0 + 7.0 * rng.normal())).collect()
    }

    /// Shares of right, wrong, skipped and tied answers.
    fn shares(teacher: Teacher) -> [f64; 4] {
        let pairs = pairs(20_000);
        let thresholds = Thresholds::of(&teacher, &pairs).unwrap();
        let mut rng = Rng::new(9);
        let mut out = [0.0; 4];
        for p in &pairs {
            let i = match verdict(&teacher, &thresholds, p[0], p[1], &mut rng) {
                Answer::Skip => 2,
                Answer::Comparison { choice: Choice::Equal, .. } => 3,
                Answer::Comparison { choice, .. } => usize::from((choice == Choice::Left) != (p[0] > p[1])),
                other => panic!("{other:?}"),
            };
            out[i] += 1.0 / 20_000.0;
        }
        out
    }

    #[test]
    fn the_six_teachers_err_as_they_say() {
        let shares_of = |name| shares(Teacher::named(name).unwrap());
        assert_eq!(shares_of("oracle")[1..], [0.0; 3]);
        assert!((shares_of("mistake")[1] - 0.1).abs() < 0.01);
        assert!((shares_of("skip")[2] - 0.1).abs() < 0.01);
        assert!((shares_of("equal")[3] - 0.1).abs() < 0.01);
        let stochastic = shares_of("stochastic")[1];
        // Mean of sigmoid(-|d|), d normal with deviation sqrt 2, by a sum over a grid.
        let wanted: f64 = (0..4000)
            .map(|i| {
                let d = i as f64 * 0.0025;
                0.0025 * 2.0 * (-d * d / 4.0).exp() / (4.0 * std::f64::consts::PI).sqrt() / (1.0 + d.exp())
            })
            .sum();
        assert!((stochastic - wanted).abs() < 0.01, "{stochastic} {wanted}");
        let sharp = shares(Teacher { beta: 1e6, ..ORACLE });
        assert!(sharp[1] < 1e-4, "a large beta is the oracle: {sharp:?}");
    }

    #[test]
    fn scale_does_not_change_how_often_a_stochastic_teacher_errs() {
        let teacher = Teacher::named("stochastic").unwrap();
        let mut counts = Vec::new();
        for scale in [1e-3, 1.0, 1e3] {
            let pairs: Vec<[f64; 2]> = pairs(2000).iter().map(|p| p.map(|v| scale * v)).collect();
            let thresholds = Thresholds::of(&teacher, &pairs).unwrap();
            let mut rng = Rng::new(1);
            let left = |p: &&[f64; 2]| {
                let answer = verdict(&teacher, &thresholds, p[0], p[1], &mut rng);
                answer == Answer::Comparison { choice: Choice::Left, strength: None }
            };
            counts.push(pairs.iter().filter(left).count());
        }
        assert!(counts.iter().all(|c| c.abs_diff(counts[1]) <= 2), "{counts:?}");
    }

    #[test]
    fn the_short_sighted_one_sees_the_end() {
        let myopic = Teacher::named("myopic").unwrap();
        let (early, late) = ([10.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 8.0]);
        assert!(myopic.value(&early) < myopic.value(&late) && ORACLE.value(&early) > ORACLE.value(&late));
        assert!((myopic.value(&early) - 10.0 * 0.9f64.powi(3)).abs() < 1e-12);
    }

    #[test]
    fn one_goes_round() {
        let [stone, scissors, paper] = [[9.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 5.0]];
        for (a, b) in [(stone, scissors), (scissors, paper), (paper, stone)] {
            assert_eq!((cyclic_chance(&a, &b), cyclic_chance(&b, &a), cyclic_chance(&a, &a)), (1.0, 0.0, 0.5));
            assert_eq!(cyclic_chance(&[1.0; 3], &a), 0.5, "an even mix is beaten by none");
        }
        assert_eq!(cyclic_chance(&[0.0; 3], &stone), 0.5);
    }

    #[test]
    fn thresholds_are_values_of_the_sample() {
        let pairs = [[0.0, 1.0], [5.0, 3.0], [2.0, 2.5], [9.0, 5.0]];
        let of = |skips, ties| Thresholds::of(&Teacher { skips, ties, ..ORACLE }, &pairs).unwrap();
        assert_eq!((of(0.0, 0.0).skip, of(0.0, 0.0).tie), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        // The larger of each: 1, 2.5, 5, 9. Distances: 0.5, 1, 2, 4, and without what is skipped 0.5, 2, 4.
        assert_eq!((of(0.25, 0.0).skip, of(0.5, 0.0).skip, of(1.0, 0.0).skip), (2.5, 5.0, 9.0));
        assert_eq!((of(0.0, 0.25).tie, of(0.0, 1.0).tie, of(0.25, 0.34).tie), (1.0, 4.0, 2.0));
        // What is as good as the threshold is not skipped, what is as far apart no tie.
        let said = |teacher: Teacher, pair: [f64; 2]| {
            verdict(&teacher, &Thresholds::of(&teacher, &pairs).unwrap(), pair[0], pair[1], &mut Rng::new(1))
        };
        let left = Answer::Comparison { choice: Choice::Left, strength: None };
        let (skip, equal) = (Teacher { skips: 0.25, ..ORACLE }, Teacher { ties: 0.25, ..ORACLE });
        assert_eq!((said(skip, [2.5, 0.0]), said(skip, [2.4, 0.0])), (left.clone(), Answer::Skip));
        let tie = Answer::Comparison { choice: Choice::Equal, strength: None };
        assert_eq!((said(equal, [2.0, 1.0]), said(equal, [2.0, 1.1])), (left, tie));
        assert_eq!(best_and_worst(&[3.0, 9.0, 1.0]), Answer::BestWorst { best: 1, worst: 2 });
        assert_eq!((best_and_worst(&[3.0]), best_and_worst(&[])), (Answer::Skip, Answer::Skip));
    }

    #[test]
    fn names_and_values_that_say_nothing_are_errors() {
        assert!(Teacher::named("orcale").unwrap_err().to_string().contains("oracle"));
        assert!(Thresholds::of(&ORACLE, &[[1.0, 1.0]]).unwrap_err().to_string().contains("same value"));
    }
}
