//! What the log tells: the over-optimisation curve (proxy against fitness), when to stop, terms that dominate, episodes
//! that end early.
//!
//! Gao, Schulman, Hilton, "Scaling laws for reward model overoptimization" (2022): the proxy keeps rising where the
//! gold measure has turned. Curves are means over windows of a fortieth of the run, weighted by episodes; their spread
//! within a window is the noise.

use super::Symptom;
use crate::logs::{MetricsLine, TermsLine};
use pavlov_common::stats;
use serde::{Deserialize, Serialize};

/// Windows of the curve.
const WINDOWS: usize = 40;
/// Fitness must fall by this share of its range after its peak, and the proxy rise by this one, to be over-optimised.
const FALL: f64 = 0.1;
const RISE: f64 = 0.02;
/// A run that had this share of its best fitness before this share of its steps could have been shorter.
const ENOUGH: f64 = 0.98;
const EARLY: f64 = 0.5;
/// A term above this share of the reward dominates.
const DOMINATES: f64 = 0.9;

/// Means over windows of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Curve {
    /// Environment steps.
    pub env_steps: Vec<u64>,
    /// Return: the proxy.
    pub proxy: Vec<f64>,
    /// Fitness.
    pub fitness: Vec<f64>,
    /// Sum of the divergences of all updates so far (nats): how far the policy has gone, step by step.
    pub kl: Vec<f64>,
}

/// When to stop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StopAdvice {
    /// Environment steps at the peak of fitness.
    pub env_steps: u64,
    /// Fitness there.
    pub fitness: f64,
    /// Fitness at the end.
    pub last_fitness: f64,
    /// Return there and at the end.
    pub proxy: [f64; 2],
    /// Has the proxy gone on rising while fitness fell?
    pub over_optimised: bool,
}

/// Curve, advice and symptoms.
pub(crate) fn look(metrics: &[MetricsLine], terms: &[TermsLine]) -> (Curve, Option<StopAdvice>, Vec<Symptom>) {
    let (curve, noise) = windows(metrics);
    let mut symptoms = Vec::new();
    let stop = advice(&curve, noise);
    if let Some(stop) = &stop {
        let (peak_steps, last) = (stop.env_steps, curve.env_steps.last().copied().unwrap_or(0));
        if stop.over_optimised {
            let message = format!(
                "fitness was {:.3} at {peak_steps} steps and is {:.3} at the end, while the return went from {:.1} to \
                 {:.1}",
                stop.fitness, stop.last_fitness, stop.proxy[0], stop.proxy[1]
            );
            let fix = "the reward pays for what the task does not ask for: stop there (checkpoint `best`), and look \
                at the terms that rose since";
            symptoms.push(Symptom::warning("over-optimised", message, fix).term(&risen(metrics, peak_steps)));
        }
        let low = curve.fitness.iter().copied().fold(f64::INFINITY, f64::min);
        let wanted = low + ENOUGH * (stop.fitness - low);
        let enough = curve.fitness.iter().position(|f| *f >= wanted).map_or(peak_steps, |i| curve.env_steps[i]);
        if !stop.over_optimised && stop.fitness > low && (enough as f64) < EARLY * last as f64 {
            let message = format!("{:.0}% of the best fitness was reached at {enough} of {last} steps", 100.0 * ENOUGH);
            symptoms.push(Symptom::note("late-stop", message, "as many steps are enough for the next version"));
        }
    }
    symptoms.extend(early_end(metrics));
    symptoms.extend(dominates(terms));
    (curve, stop, symptoms)
}

/// A line with its return, its fitness, and the divergences so far.
type Point<'a> = (&'a MetricsLine, f64, f64, f64);

/// The curve, and the noise of its fitness: deviation of the window's mean.
fn windows(metrics: &[MetricsLine]) -> (Curve, f64) {
    let mut kl = 0.0;
    let lines: Vec<Point<'_>> = metrics
        .iter()
        .filter_map(|m| {
            kl += if m.learner.kl.is_finite() { m.learner.kl.max(0.0) } else { 0.0 };
            Some((m, m.ended.episode_return?, m.fitness?, kl))
        })
        .filter(|(_, r, f, _)| r.is_finite() && f.is_finite())
        .collect();
    let size = lines.len().div_ceil(WINDOWS).max(1);
    let mut curve = Curve::default();
    let mut noise = Vec::new();
    for window in lines.chunks(size) {
        let weight = |m: &MetricsLine| m.ended.episodes.max(1) as f64;
        let total: f64 = window.iter().map(|(m, ..)| weight(m)).sum();
        let mean = |f: &dyn Fn(&Point<'_>) -> f64| window.iter().map(|w| weight(w.0) * f(w)).sum::<f64>() / total;
        let fitness = mean(&|w| w.2);
        let spread = mean(&|w| (w.2 - fitness).powi(2)).sqrt() / (window.len() as f64).sqrt();
        noise.push(spread);
        // The chunk is not empty.
        let last = window[window.len() - 1];
        curve.env_steps.push(last.0.env_steps);
        curve.proxy.push(mean(&|w| w.1));
        curve.fitness.push(fitness);
        curve.kl.push(last.3);
    }
    noise.sort_by(f64::total_cmp);
    let noise = noise.get(noise.len() / 2).copied().unwrap_or(0.0);
    (curve, noise)
}

fn advice(curve: &Curve, noise: f64) -> Option<StopAdvice> {
    let n = curve.fitness.len();
    if n < 5 {
        return None;
    }
    let peak = (0..n).max_by(|&a, &b| curve.fitness[a].total_cmp(&curve.fitness[b]))?;
    let range = |v: &[f64]| stats::range(v.iter().copied()).map_or(0.0, |(low, high)| high - low);
    // The end is the last tenth, so that one bad window is no verdict.
    let tail = (n / 10).max(1);
    let last = |v: &[f64]| stats::mean(v[n - tail..].iter().copied()).unwrap_or_default();
    let fall = curve.fitness[peak] - last(&curve.fitness);
    let rise = last(&curve.proxy) - curve.proxy[peak];
    let over_optimised = fall > FALL * range(&curve.fitness) && fall > 3.0 * noise && rise > RISE * range(&curve.proxy);
    Some(StopAdvice {
        env_steps: curve.env_steps[peak],
        fitness: curve.fitness[peak],
        last_fitness: last(&curve.fitness),
        proxy: [curve.proxy[peak], last(&curve.proxy)],
        over_optimised,
    })
}

/// The term whose mean rose most since then.
fn risen(metrics: &[MetricsLine], since: u64) -> String {
    let (before, after): (Vec<&MetricsLine>, Vec<&MetricsLine>) = metrics.iter().partition(|m| m.env_steps <= since);
    let tail = |lines: &[&MetricsLine], name: &str| {
        let values = lines.iter().rev().take(10).filter_map(|m| m.terms.get(name).copied().flatten());
        stats::mean(values).unwrap_or_default()
    };
    let names =
        metrics.last().map(|m| m.terms.0.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>()).unwrap_or_default();
    let rise = |n: &String| tail(&after, n) - tail(&before, n);
    names.into_iter().max_by(|a, b| rise(a).total_cmp(&rise(b))).unwrap_or_default()
}

/// More and more episodes end early, and it pays.
fn early_end(metrics: &[MetricsLine]) -> Option<Symptom> {
    let lines: Vec<&MetricsLine> = metrics.iter().filter(|m| m.ended.episodes > 0).collect();
    let part = lines.len() / 4;
    if part < 2 {
        return None;
    }
    let mean = |lines: &[&MetricsLine], number: fn(&MetricsLine) -> Option<f64>| {
        stats::mean(lines.iter().filter_map(|m| number(m))).unwrap_or_default()
    };
    let (first, last) = (&lines[..part], &lines[lines.len() - part..]);
    let longest = lines.windows(part).map(|w| mean(w, |m| m.ended.episode_length)).fold(0.0, f64::max);
    let (ended, length) = (mean(last, |m| m.terminated), mean(last, |m| m.ended.episode_length));
    let (from, to) = (mean(first, |m| m.ended.episode_return), mean(last, |m| m.ended.episode_return));
    (ended > 0.5 && length < 0.7 * longest && to > from).then(|| {
        let message = format!(
            "{:.0}% of the last episodes ended early, after {length:.0} steps where {longest:.0} were lived before, \
             while the return rose from {from:.1} to {to:.1}",
            100.0 * ended
        );
        let fix = "living costs more than it gives: add a bonus for being alive, or make penalties smaller";
        Symptom::warning("early-end", message, fix)
    })
}

fn dominates(terms: &[TermsLine]) -> Option<Symptom> {
    let tail = &terms[terms.len() - terms.len() / 4..];
    let names: Vec<&String> = tail.last()?.terms.0.iter().map(|(n, _)| n).collect();
    let share = |n: &&String| {
        let shares = tail.iter().filter_map(|l| l.terms.get(n)).map(|t| t.share);
        stats::mean(shares.filter(|share| share.is_finite())).unwrap_or_default()
    };
    let largest = names.iter().copied().max_by(|a, b| share(a).total_cmp(&share(b)))?;
    let part = share(&largest);
    (names.len() > 1 && part > DOMINATES).then(|| {
        let message = format!("term `{largest}` was {:.0}% of the reward in the last quarter of the run", 100.0 * part);
        Symptom::note("term-dominates", message, "the others hardly count: scale them up if they are meant")
            .term(largest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Named, TermStats};
    use pavlov_learn::EpisodeStats;

    fn run(f: impl Fn(f64) -> (f64, f64, f64, f64)) -> Vec<MetricsLine> {
        (1..=200)
            .map(|i| {
                let (proxy, fitness, length, terminated) = f(f64::from(i) / 200.0);
                let some = |x: f64| Some(x + 0.01 * f64::from(i % 3));
                let ended = EpisodeStats {
                    episodes: 4,
                    episode_return: some(proxy),
                    episode_length: Some(length),
                    ..EpisodeStats::default()
                };
                MetricsLine {
                    update: i as u64,
                    env_steps: 1000 * i as u64,
                    ended,
                    fitness: some(fitness),
                    terminated: Some(terminated),
                    terms: Named(vec![("good".into(), Some(fitness)), ("hack".into(), Some(proxy))]),
                    ..MetricsLine::default()
                }
            })
            .collect()
    }

    fn names(metrics: &[MetricsLine]) -> Vec<String> {
        look(metrics, &[]).2.into_iter().map(|s| s.name).collect()
    }

    #[test]
    fn a_proxy_that_rises_while_fitness_falls_is_told_with_the_place_to_stop() {
        let hacked = run(|t| (10.0 * t, 4.0 * t * (1.2 - t), 100.0, 0.0));
        let (curve, stop, symptoms) = look(&hacked, &[]);
        let stop = stop.unwrap();
        assert!(stop.over_optimised && (110_000..130_000).contains(&stop.env_steps), "{stop:?}");
        assert_eq!((symptoms[0].name.as_str(), symptoms[0].term.as_str()), ("over-optimised", "hack"));
        assert_eq!(curve.env_steps.len(), WINDOWS);
        let good = run(|t| (10.0 * t, 4.0 * t, 100.0, 0.0));
        assert_eq!(names(&good), Vec::<String>::new());
        // Both fall: that is an unstable learner, not a reward that is exploited.
        assert!(names(&run(|t| (10.0 * t * (1.2 - t), 4.0 * t * (1.2 - t), 100.0, 0.0))).is_empty());
        assert_eq!(names(&run(|t| ((20.0 * t).min(3.0), (20.0 * t).min(3.0), 100.0, 0.0))), ["late-stop"]);
        assert_eq!(look(&good[..3], &[]).1, None);
        assert_eq!(look(&[], &[]), (Curve::default(), None, Vec::new()));
    }

    #[test]
    fn dying_for_reward_and_single_terms_are_told() {
        let dying = run(|t| (-100.0 + 90.0 * t, 0.1, 300.0 - 280.0 * t, t));
        assert!(names(&dying).contains(&"early-end".to_string()));
        let learning = run(|t| (t, 0.1, 10.0 + 280.0 * t, 1.0 - t));
        assert!(!names(&learning).contains(&"early-end".to_string()));
        let share = |share| TermStats { mean: 1.0, std: 0.0, share };
        let line = TermsLine {
            terms: Named(vec![("a".into(), share(0.97)), ("b".into(), share(0.03))]),
            ..TermsLine::default()
        };
        let symptoms = look(&[], &vec![line; 8]).2;
        assert_eq!((symptoms[0].name.as_str(), symptoms[0].term.as_str()), ("term-dominates", "a"));
    }
}
