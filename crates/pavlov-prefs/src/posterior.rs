//! What labels say about the weights that a reward has: a posterior around them, and which of them the labels change.
//!
//! ```text
//! P(left better) = sigmoid(beta sum_k f_k x_k),   x_k = (phi_k(left) - phi_k(right)) / S
//! f_k ~ N(1, tau^2), tau one of 1, 3, 10;         ln beta ~ N(ln 2, 1.5^2)
//! ```
//! `phi_k` is the sum of term `k` over a segment as the reward pays it now, so `f_k` is a factor on its present weight:
//! 1 is the weight as it is. `S` is what all terms together do to a pair (the root of the sum of their mean squares).
//! The prior thus is in units of what each term does to a return: a term that does little may do twice that or nothing,
//! and labels must insist (a larger `tau`, by the evidence) before it does more. `beta` is the temperature of Bradley
//! and Terry. For each `beta` and `tau` the posterior of `beta f` is log-concave and near normal (Laplace); the
//! posterior is the mixture of all of them, weighed by prior and evidence.
//!
//! Labels know no scale: where all factors are free, or those that are held do hardly anything, those of each draw are
//! multiplied so that all terms together do to pairs what they do now. A weight changes only where the 95% interval of
//! its factor leaves out 0.9 to 1.1. The rest stays exactly as it is, and those that change are fitted again with the
//! others held, as factors relative to those; of those whose interval then holds 1, the likeliest to be right goes back
//! until none is left. A sign changes only where the interval is beyond zero.

use crate::dataset::{Dataset, Loss};
use crate::differences::Differences;
use crate::error::PrefsError;
use crate::logistic::{Answers, Mode, Prior};
use crate::math::sigmoid;
use crate::rng::Rng;
use nalgebra::{DMatrix, DVector};
use pavlov_common::stats::{mean, quantile};
use serde::Serialize;

/// Temperatures that are tried, and the middle and the deviation of their logarithm's prior. The stochastic teacher has
/// about 1.4; one who never errs has as much as the data allow.
const BETAS: [f64; 10] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const BETA_MIDDLE: f64 = 2.0;
const LN_BETA_DEVIATION: f64 = 1.5;
/// Deviations of the factors that are tried, and how likely each is before there are labels.
const TAUS: [(f64, f64); 3] = [(1.0, 0.7), (3.0, 0.2), (10.0, 0.1)];
/// Draws from the mixture that intervals are of.
const DRAWS: usize = 1000;
/// Draws that the evidence of a part is of.
const EVIDENCE_DRAWS: usize = 200;
/// Parts whose evidence by Laplace's approximation is this much less than the best one's are left out, in nats.
const FAR_BEHIND: f64 = 40.0;
/// Deviations of the normal that stands for a posterior are widened by this, so that it covers the tails.
const WIDER: f64 = 1.2;
/// How often the sampler learns that normal from its own steps, how many steps that takes, and steps between draws.
const ROUNDS: usize = 5;
const STEPS: usize = 60;
const BETWEEN: usize = 2;
/// Terms hardly do anything to pairs whose mean squares are together this share of all, or less.
const HARDLY: f64 = 0.01;
/// A tenth more or less is the weight as it is.
const AS_IT_IS: f64 = 0.1;
/// Labels determine a factor whose interval holds 1 where it is narrower than this: half of the narrowest prior's.
const NEAR: f64 = 1.96;
/// A term that labels would rather have gone keeps this share of its weight: with none it could not be learnt again.
const LEAST_FACTOR: f64 = 0.05;

/// Posterior of the factors on a reward's weights.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Terms that are free, by their numbers; the others have the factor 1.
    free: Vec<usize>,
    /// What each term does to a pair.
    scale: Vec<f64>,
    /// What all terms do to a pair together.
    size: f64,
    /// Temperature and factors of all terms.
    draws: Vec<Draw>,
}

/// A temperature, and the factor of each term.
pub type Draw = (f64, Vec<f64>);

/// What labels say of one term's weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// What the weight becomes, times what it is; 1: exactly as it is.
    pub factor: f64,
    /// 95% interval of the factor; none where the term never differs.
    pub interval: Option<[f64; 2]>,
    /// Do labels determine it: does its interval leave out what is about 1 (it changes), or is it half of the prior's
    /// or less (it stays)?
    pub determined: bool,
}

impl Verdict {
    /// Of a term that labels say nothing about.
    const UNKNOWN: Self = Self { factor: 1.0, interval: None, determined: false };

    /// Is the weight another one?
    pub fn changes(&self) -> bool {
        self.factor != 1.0
    }
}

impl Posterior {
    /// So many draws, with all terms free that differ between the segments of some pair. `phi` is `[segment][term]`.
    ///
    /// # Errors
    /// When there is nothing to learn from, or a sum is not finite.
    pub fn fit(
        terms: &[String],
        data: &Dataset,
        phi: &[Vec<f64>],
        loss: Loss,
        draws: usize,
    ) -> Result<Self, PrefsError> {
        data.check()?;
        let differences = Differences::of(terms, data, phi)?;
        let free: Vec<usize> = (0..terms.len()).filter(|&k| differences.scale[k] > 0.0).collect();
        Ok(Self::of_free(&differences, data, loss, free, draws))
    }

    /// With all weights as they are: only the temperature is learnt.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn of_temperature(terms: &[String], data: &Dataset, phi: &[Vec<f64>], loss: Loss) -> Result<Self, PrefsError> {
        data.check()?;
        Ok(Self::of_free(&Differences::of(terms, data, phi)?, data, loss, Vec::new(), DRAWS))
    }

    /// With those terms free, the others as they are.
    fn of_free(differences: &Differences, data: &Dataset, loss: Loss, free: Vec<usize>, draws: usize) -> Self {
        let Differences { rows, scale } = differences;
        let sum: f64 = scale.iter().map(|s| s * s).sum();
        let size = if sum > 0.0 { sum.sqrt() } else { 1.0 };
        let x = DMatrix::from_fn(rows.len(), free.len(), |i, k| rows[i][free[k]] / size);
        let is_free = |k: &usize| free.contains(k);
        let held = |r: &Vec<f64>| (0..r.len()).filter(|k| !is_free(k) && scale[*k] > 0.0).map(|k| r[k]).sum::<f64>();
        let of_held: Vec<f64> = rows.iter().map(|r| held(r) / size).collect();
        let targets: Vec<f64> = data.pairs.iter().map(|p| p.target).collect();
        let plain = data.terms_of(loss);
        // What is held shifts the difference that the free terms have to explain.
        let shifted = |beta: f64| -> Vec<(f64, f64)> {
            plain.iter().zip(&of_held).map(|((weight, shift), held)| (*weight, shift - beta * held)).collect()
        };
        let shifts = BETAS.map(shifted);
        let mut rng = Rng::new(DRAWS as u64);
        let mut parts = Vec::new();
        for (beta, parts_of) in BETAS.iter().zip(&shifts) {
            let answers = Answers { x: &x, targets: &targets, parts: parts_of };
            // Without a free term all widths are the same.
            let taus = if free.is_empty() { &TAUS[..1] } else { &TAUS[..] };
            for (tau, chance) in taus {
                let ln_prior = -0.5 * ((beta / BETA_MIDDLE).ln() / LN_BETA_DEVIATION).powi(2) + chance.ln();
                parts.push(Part::new(answers.clone(), *beta, *tau, ln_prior));
            }
        }
        let best = |parts: &[Part<'_>]| parts.iter().map(|p| p.evidence).fold(f64::NEG_INFINITY, f64::max);
        let least = best(&parts) - FAR_BEHIND;
        parts.retain(|p| p.evidence >= least);
        let tries = EVIDENCE_DRAWS.min(draws);
        parts.iter_mut().for_each(|p| p.weigh(tries, &mut rng));
        let best = best(&parts);
        let shares: Vec<f64> = parts.iter().map(|p| (p.evidence - best).exp()).collect();
        let total: f64 = shares.iter().sum();
        let mut out = Vec::with_capacity(draws);
        let mut owed = 0.0;
        for (part, share) in parts.iter_mut().zip(shares) {
            owed += share / total * draws as f64;
            let count = (owed - out.len() as f64).round().max(0.0) as usize;
            let beta = part.beta;
            out.extend(part.draws(count, &mut rng).into_iter().map(|weights| {
                let mut factors = vec![1.0; scale.len()];
                free.iter().zip(weights.iter()).for_each(|(&k, w)| factors[k] = w / beta);
                (beta, factors)
            }));
        }
        Self { free, scale: scale.clone(), size, draws: out }
    }

    /// Probability that left is better, the posterior averaged over.
    pub fn probability(&self, left: &[f64], right: &[f64]) -> f64 {
        mean(self.draws.iter().map(|draw| sigmoid(self.lead(draw, left, right)))).unwrap_or(0.5)
    }

    /// All draws.
    pub fn draws(&self) -> &[Draw] {
        &self.draws
    }

    /// The lead of one segment over another, in units of the logit, with drawn factors.
    pub fn lead(&self, (beta, factors): &Draw, left: &[f64], right: &[f64]) -> f64 {
        let share = |((f, a), b): ((&f64, &f64), &f64)| f * (a - b);
        beta * factors.iter().zip(left).zip(right).map(share).sum::<f64>() / self.size
    }

    /// Median and 95% interval of the factors of the free terms, in their order.
    fn factors(&self) -> Vec<(f64, [f64; 2])> {
        let mut draws = self.draws.clone();
        let of_free: f64 = self.free.iter().map(|&k| self.scale[k].powi(2)).sum();
        if of_free > (1.0 - HARDLY) * self.size.powi(2) {
            for (_, factors) in &mut draws {
                let square: f64 = factors.iter().zip(&self.scale).map(|(f, s)| (f * s / self.size).powi(2)).sum();
                factors.iter_mut().for_each(|f| *f /= square.sqrt().max(1e-12));
            }
        }
        let of_term = |&k: &usize| {
            let mut values: Vec<f64> = draws.iter().map(|d| d.1[k]).collect();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| quantile(&values, share).unwrap_or(1.0);
            (at(0.5), [at(0.025), at(0.975)])
        };
        self.free.iter().map(of_term).collect()
    }
}

/// One temperature and one width of the prior: the posterior of `beta f`, and a normal that stands for it.
struct Part<'a> {
    answers: Answers<'a>,
    prior: Prior,
    beta: f64,
    centre: DVector<f64>,
    /// Lower root of the covariance.
    root: DMatrix<f64>,
    /// Where the sampler is.
    at: DVector<f64>,
    ln_prior: f64,
    /// Logarithm of evidence and prior.
    evidence: f64,
}

impl<'a> Part<'a> {
    fn new(answers: Answers<'a>, beta: f64, tau: f64, ln_prior: f64) -> Self {
        let prior = Prior { mean: beta, deviation: beta * tau };
        let Mode { weights, covariance, evidence } = answers.mode(prior);
        let d = weights.len();
        let wide = DMatrix::identity(d, d) * prior.deviation;
        let root = covariance.cholesky().map_or(wide, |c| c.unpack() * WIDER);
        Self {
            answers,
            prior,
            beta,
            at: weights.clone(),
            centre: weights,
            root,
            ln_prior,
            evidence: evidence + ln_prior,
        }
    }

    /// Logarithm of the posterior over the normal's density, but for a constant, at `z` of its deviations.
    fn ln_ratio(&self, z: &DVector<f64>) -> f64 {
        0.5 * z.norm_squared() - self.answers.loss(&(&self.centre + &self.root * z), self.prior)
    }

    /// Steps of elliptical slice sampling (Murray et al. 2010) with the normal for the prior (Nishihara et al. 2014):
    /// the posterior is met exactly, whatever the normal is, but sooner with a better one.
    fn walk(&mut self, steps: usize, rng: &mut Rng) -> Vec<DVector<f64>> {
        let d = self.at.len();
        let mut z = self.root.solve_lower_triangular(&(&self.at - &self.centre)).unwrap_or_else(|| DVector::zeros(d));
        let mut now = self.ln_ratio(&z);
        let mut out = Vec::with_capacity(steps);
        for _ in 0..steps {
            let towards = normal(d, rng);
            let level = now + (1.0 - rng.unit()).ln();
            let mut angle = std::f64::consts::TAU * rng.unit();
            let (mut low, mut high) = (angle - std::f64::consts::TAU, angle);
            // The slice holds where it began; a hundred cuts are down to rounding.
            for _ in 0..100 {
                let next = &z * angle.cos() + &towards * angle.sin();
                let then = self.ln_ratio(&next);
                if then > level {
                    (z, now) = (next, then);
                    break;
                }
                *(if angle < 0.0 { &mut low } else { &mut high }) = angle;
                angle = low + (high - low) * rng.unit();
            }
            out.push(&self.centre + &self.root * &z);
        }
        self.at = out.last().unwrap_or(&self.at).clone();
        out
    }

    /// Learns the normal from the sampler's steps. Laplace's, at the mode, sees nothing of answers that are far from
    /// doubt there and rule out all the rest.
    fn adapt(&mut self, rng: &mut Rng) {
        let d = self.at.len();
        // So few steps say nothing of so many directions.
        let rounds = if 2 * d > STEPS { 0 } else { ROUNDS };
        for _ in 0..rounds {
            let steps = self.walk(STEPS, rng);
            let n = steps.len() as f64;
            let centre = steps.iter().fold(DVector::zeros(d), |sum, s| sum + s) / n;
            let spread = |sum: DMatrix<f64>, s: &DVector<f64>| sum + (s - &centre) * (s - &centre).transpose();
            let floor = DMatrix::identity(d, d) * (1e-12 * self.prior.deviation.powi(2));
            let covariance = steps.iter().fold(floor, spread) / n;
            let Some(cholesky) = covariance.cholesky() else { return };
            (self.centre, self.root) = (centre, cholesky.unpack() * WIDER);
        }
    }

    /// The evidence: the mean ratio of draws from the normal (importance sampling).
    fn weigh(&mut self, tries: usize, rng: &mut Rng) {
        let d = self.at.len();
        if d == 0 {
            return;
        }
        self.adapt(rng);
        let ratios: Vec<f64> = (0..tries).map(|_| self.ln_ratio(&normal(d, rng))).collect();
        let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ln_mean = most + mean(ratios.iter().map(|r| (r - most).exp())).unwrap_or_default().ln();
        let ln_volume = self.root.diagonal().map(f64::ln).sum() - d as f64 * self.prior.deviation.ln();
        let evidence = ln_mean + ln_volume + self.ln_prior;
        self.evidence = if evidence.is_finite() { evidence } else { f64::MIN };
    }

    fn draws(&mut self, count: usize, rng: &mut Rng) -> Vec<DVector<f64>> {
        if self.at.is_empty() {
            return vec![self.at.clone(); count];
        }
        self.walk(BETWEEN * count, rng).into_iter().skip(BETWEEN - 1).step_by(BETWEEN).collect()
    }
}

fn normal(d: usize, rng: &mut Rng) -> DVector<f64> {
    DVector::from_fn(d, |_, _| rng.normal())
}

/// What labels say of each term's weight, and the posterior of those weights that they change, the others held.
///
/// # Errors
/// As [`Posterior::fit`].
pub fn verdicts(
    terms: &[String],
    data: &Dataset,
    phi: &[Vec<f64>],
    loss: Loss,
) -> Result<(Vec<Verdict>, Posterior), PrefsError> {
    let all = Posterior::fit(terms, data, phi, loss, DRAWS)?;
    let differences = Differences::of(terms, data, phi)?;
    let mut out = vec![Verdict::UNKNOWN; terms.len()];
    let leaves_out_one = |[low, high]: [f64; 2]| low > 1.0 + AS_IT_IS || high < 1.0 - AS_IT_IS;
    let mut changed = Vec::new();
    for (&k, (_, interval)) in all.free.iter().zip(all.factors()) {
        let determined = interval[1] - interval[0] < NEAR || leaves_out_one(interval);
        out[k] = Verdict { interval: Some(interval), determined, ..Verdict::UNKNOWN };
        if leaves_out_one(interval) {
            changed.push(k);
        }
    }
    loop {
        let posterior = Posterior::of_free(&differences, data, loss, changed.clone(), DRAWS);
        let fitted = posterior.factors();
        // How far from 1, in widths of the interval: what is least so goes back to what it was.
        let distance = |(median, [low, high]): &(f64, [f64; 2])| (median - 1.0).abs() / (high - low).max(1e-12);
        let holds_one = (0..changed.len()).filter(|&i| !leaves_out_one(fitted[i].1));
        match holds_one.min_by(|&a, &b| distance(&fitted[a]).total_cmp(&distance(&fitted[b]))) {
            Some(back) => {
                let [low, high] = fitted[back].1;
                let k = changed.remove(back);
                out[k] = Verdict { interval: Some([low, high]), determined: high - low < NEAR, ..out[k] };
            }
            None => {
                for (&k, (median, interval)) in changed.iter().zip(&fitted) {
                    out[k].factor = with_its_sign(*median, *interval);
                    out[k].interval = Some(*interval);
                }
                return Ok((out, posterior));
            }
        }
    }
}

/// The factor, of the sign that it has unless the interval is beyond zero.
fn with_its_sign(factor: f64, interval: [f64; 2]) -> f64 {
    if interval[1] >= 0.0 { factor.max(LEAST_FACTOR) } else { factor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Pair;
    use crate::label::tests::segment;
    use pavlov_common::stats::moments;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("t{i}")).collect()
    }

    /// `n` pairs of segments whose terms have these deviations (`mixed` moves every term along with the first),
    /// answered with true factors; at a temperature over the deviation of the true reward's differences, or always rightly.
    fn answers(
        (deviations, mixed): (&[f64], f64),
        factors: &[f64],
        n: usize,
        beta: Option<f64>,
        seed: u64,
    ) -> (Dataset, Vec<Vec<f64>>) {
        let mut rng = Rng::new(seed);
        let phi: Vec<Vec<f64>> = (0..2 * n)
            .map(|_| {
                let first = rng.normal();
                let of = |d: &f64, own: f64| d * (mixed * first + (1.0 - mixed * mixed).sqrt() * own);
                let rest: Vec<f64> = deviations[1..].iter().map(|d| of(d, rng.normal())).collect();
                std::iter::once(deviations[0] * first).chain(rest).collect()
            })
            .collect();
        let value = |p: &Vec<f64>| p.iter().zip(factors).map(|(a, b)| a * b).sum::<f64>();
        let leads: Vec<f64> = (0..n).map(|i| value(&phi[2 * i]) - value(&phi[2 * i + 1])).collect();
        let deviation = moments(leads.iter().copied()).unwrap().1.sqrt();
        let pair = |(i, lead): (usize, &f64)| {
            let left = match beta {
                Some(beta) => rng.unit() < sigmoid(beta * lead / deviation),
                None => *lead > 0.0,
            };
            Pair { left: 2 * i, right: 2 * i + 1, target: f64::from(u8::from(left)), strength: 0 }
        };
        let pairs = leads.iter().enumerate().map(pair).collect();
        (Dataset { segments: (0..2 * n as u32).map(segment).collect(), pairs }, phi)
    }

    /// Terms that looked changed while the others were free, and not with these held, among them.
    #[test]
    fn what_is_determined_is_told_by_its_own_interval() {
        let leaves_out_one = |[low, high]: [f64; 2]| low > 1.0 + AS_IT_IS || high < 1.0 - AS_IT_IS;
        let mut back = 0;
        for seed in 22..28 {
            let (data, phi) = answers((&[1.0, 1.0, 1.0], 0.8), &[1.0, 0.5, 0.4], 60, Some(1.4), seed);
            let first = Posterior::fit(&names(3), &data, &phi, Loss::Plain, DRAWS).unwrap();
            for (v, (_, before)) in learnt(&data, &phi).iter().zip(first.factors()) {
                let interval = v.interval.unwrap();
                let said = (v.determined, interval);
                assert_eq!(v.determined, interval[1] - interval[0] < NEAR || leaves_out_one(interval), "{said:?}");
                if leaves_out_one(before) && !leaves_out_one(interval) {
                    back += 1;
                    assert!(interval != before && !v.changes(), "{said:?}");
                }
            }
        }
        assert!(back > 0);
    }

    #[test]
    fn there_are_as_many_draws_as_are_asked_for() {
        let (data, phi) = answers((&[1.0, 1.0], 0.0), &[1.0, 0.2], 60, Some(1.4), 3);
        for draws in [7, 200] {
            let posterior = Posterior::fit(&names(2), &data, &phi, Loss::Plain, draws).unwrap();
            assert_eq!(posterior.draws.len(), draws);
        }
    }

    fn learnt(data: &Dataset, phi: &[Vec<f64>]) -> Vec<Verdict> {
        verdicts(&names(phi[0].len()), data, phi, Loss::Plain).unwrap().0
    }

    /// A term that hardly differs and goes with another: maximum likelihood gave it -535 times its weight.
    #[test]
    fn right_weights_stay_where_labels_cannot_tell_terms_apart() {
        for beta in [Some(1.4), None] {
            let (mut terms, mut changed, mut worst) = (0, 0, 1.0f64);
            for (seed, n) in (0..6).flat_map(|seed| [20, 60, 200].map(|n| (seed, n))) {
                let (data, phi) = answers((&[10.0, 0.02, 0.5, 1.0], 0.9), &[1.0; 4], n, beta, seed);
                for v in learnt(&data, &phi) {
                    (terms, changed) = (terms + 1, changed + usize::from(v.changes()));
                    worst = worst.max(v.factor.max(1.0 / v.factor.max(1e-9)));
                }
            }
            println!("{beta:?}: {changed} of {terms} right weights changed, by a factor of {worst:.2} at most");
            assert!(changed * 40 <= terms && worst < 4.0, "{beta:?}: {changed} of {terms}, {worst}");
        }
    }

    #[test]
    fn leads_are_differences_of_what_segments_are_worth() {
        let (data, phi) = answers((&[2.0, 1.0], 0.3), &[1.0, 5.0], 60, None, 3);
        let posterior = Posterior::fit(&names(2), &data, &phi, Loss::Plain, 9).unwrap();
        let [a, b, c] = [[1.0, 2.0], [-3.0, 0.5], [4.0, 4.0]];
        for draw in posterior.draws() {
            let lead = |x: &[f64], y: &[f64]| posterior.lead(draw, x, y);
            assert!((lead(&a, &b) + lead(&b, &c) - lead(&a, &c)).abs() < 1e-9);
            assert!((lead(&a, &b) + lead(&b, &a)).abs() < 1e-9 && lead(&a, &b) != 0.0);
            // The worth of one unit of each term: its factor, by the temperature over the size of all.
            let unit = [[1.0, 0.0], [0.0, 1.0]].map(|x| lead(&x, &[0.0, 0.0]) * posterior.size / draw.0);
            assert!(unit.iter().zip(&draw.1).all(|(u, f)| (u - f).abs() < 1e-9), "{unit:?} {draw:?}");
        }
        let (p, q) = (posterior.probability(&a, &b), posterior.probability(&b, &a));
        assert!((p + q - 1.0).abs() < 1e-9 && p > 0.9, "{p} {q}");
    }

    #[test]
    fn a_wrong_weight_is_found_and_a_wrong_sign() {
        let terms = (&[2.0, 1.0, 1.5, 0.01][..], 0.3);
        for beta in [Some(6.0), None] {
            let (data, phi) = answers(terms, &[1.0, 5.0, 1.0, 1.0], 200, beta, 3);
            let all = learnt(&data, &phi);
            // The scale is not known: what counts is one weight over the other.
            let over_first = |k: usize| all[k].factor / all[0].factor;
            assert!(all[1].determined && (3.0..8.0).contains(&over_first(1)), "{beta:?}: {all:?}");
            assert!((0.5..2.0).contains(&over_first(2)) && all[3].factor == 1.0, "{beta:?}: {all:?}");
            assert!(!all[3].determined, "a term that does nothing: {all:?}");
            let (data, phi) = answers(terms, &[1.0, -1.0, 1.0, 1.0], 200, beta, 4);
            let all = learnt(&data, &phi);
            assert!(all[1].factor < -0.3 && all[1].interval.unwrap()[1] < 0.0, "{beta:?}: {all:?}");
            // Five answers do not turn a sign.
            let (data, phi) = answers(terms, &[1.0, -1.0, 1.0, 1.0], 5, beta, 4);
            assert!(learnt(&data, &phi).iter().all(|v| v.factor > 0.0), "{beta:?}");
        }
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut rng = Rng::new(8);
        let (mut held, mut all) = (0, 0);
        for seed in 0..20 {
            let factors: Vec<f64> = (0..4).map(|_| 1.0 + rng.normal()).collect();
            let (data, phi) = answers((&[2.0, 1.0, 1.5, 0.3], 0.5), &factors, 100, Some(2.0), 500 + seed);
            let differences = Differences::of(&names(4), &data, &phi).unwrap();
            // What labels know of the factors: not their scale.
            let square: f64 = differences.scale.iter().map(|s| s * s).sum();
            let of_truth: f64 = differences.scale.iter().zip(&factors).map(|(s, f)| (s * f).powi(2)).sum();
            let size = (of_truth / square).sqrt();
            let all_free = Posterior::fit(&names(4), &data, &phi, Loss::Plain, DRAWS).unwrap();
            for ((_, [low, high]), truth) in all_free.factors().into_iter().zip(&factors) {
                let truth = truth / size;
                (held, all) = (held + usize::from(low <= truth && truth <= high), all + 1);
            }
        }
        let share = held as f64 / all as f64;
        println!("95% intervals hold {:.1}% of {all} true factors", 100.0 * share);
        assert!((0.88..=1.0).contains(&share), "{share}");
    }

    #[test]
    fn what_never_differs_is_unknown_and_odd_data_are_no_panic() {
        let (data, mut phi) = answers((&[1.0, 1.0], 0.0), &[1.0, 1.0], 30, None, 2);
        phi.iter_mut().for_each(|p| p[1] = 25.0);
        let all = learnt(&data, &phi);
        assert_eq!((all[1], all[0].interval.is_some()), (Verdict::UNKNOWN, true));
        phi.iter_mut().for_each(|p| p[0] = 3.0);
        assert!(learnt(&data, &phi).iter().all(|v| *v == Verdict::UNKNOWN), "no term differs");
        let ties = Dataset { pairs: data.pairs.iter().map(|p| Pair { target: 0.5, ..*p }).collect(), ..data.clone() };
        let (_, far) = answers((&[1e12, 1e-9], 0.0), &[1.0, 1.0], 30, None, 2);
        assert!(learnt(&ties, &far).iter().all(|v| v.factor.is_finite()));
        let one = data.with(|i| i == 0);
        assert!(learnt(&one, &far).iter().all(|v| !v.changes()), "one answer changes nothing");
        phi[0][0] = f64::NAN;
        assert!(verdicts(&names(2), &data, &phi, Loss::Plain).unwrap_err().to_string().contains("`t0`"));
        // The sign stays where the interval holds zero, the weight where labels would have none.
        let signs = [(-0.4, [-1.0, 0.5]), (-0.4, [-1.0, -0.1]), (3.0, [2.0, 4.0])];
        assert_eq!(signs.map(|(factor, interval)| with_its_sign(factor, interval)), [0.05, -0.4, 3.0]);
    }
}
