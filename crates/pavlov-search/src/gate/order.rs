//! Rules about behaviours: share of the terms, price of living, the order of the audit set, distance to other rewards.

use super::{AuditRow, GateFinding, GateReport};
use crate::audit::Audit;
use crate::error::SearchError;
use crate::sample::Sample;
use crate::versus::{Neighbour, versus};
use pavlov_common::stats::sum_of_magnitudes;
use pavlov_env::Task;
use pavlov_reward::{Reward, Scored, compare::kendall};

/// Shares of a term above which a reward is stopped, and above which it is warned about.
const MAX_SHARE: f64 = 0.995;
const WARN_SHARE: f64 = 0.95;
/// Share of the good behaviour's return from which on idling is warned about.
const WARN_IDLE: f64 = 0.95;
/// A STARC distance below this counts as none.
const SAME: f64 = 1e-3;
/// Terms named as the cause of a wrong order.
const NAMED: usize = 2;

/// Share of each term: its mean |value| over the sum of those of all.
pub fn shares(reward: &Reward, scored: &[Scored]) -> (Option<GateFinding>, Vec<(String, f64)>) {
    let size = |t: usize| -> f64 { scored.iter().map(|s| sum_of_magnitudes(&s.step_terms[t])).sum() };
    let names = reward.term_names();
    let sizes: Vec<f64> = (0..names.len()).map(size).collect();
    let sum: f64 = sizes.iter().sum();
    let shares: Vec<(String, f64)> = names.iter().cloned().zip(sizes.iter().map(|s| s / sum.max(1e-300))).collect();
    let largest = shares.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let finding = largest.filter(|(_, share)| names.len() > 1 && *share > WARN_SHARE).map(|(name, share)| {
        let message =
            format!("term `{name}` is {:.1}% of the reward: the other {} hardly count", 100.0 * share, names.len() - 1);
        let hint = "scale it down or the others up; if that is meant, leave the others out";
        let found = if *share > MAX_SHARE {
            GateFinding::error("share", message, hint)
        } else {
            GateFinding::warning("share", message, hint)
        };
        found.term(name).value(*share)
    });
    (finding, shares)
}

/// Where falling ends the episode, living must not cost.
pub fn living(reward: &Reward, task: &Task, audit: &Audit, scored: &[Scored]) -> Option<GateFinding> {
    let ends = audit.rollouts.info.episodes.iter().any(|e| e.terminated);
    if !ends || !audit.has_good {
        return None;
    }
    let good = &scored[..audit.worlds];
    let steps: usize = good.iter().map(|s| s.step_totals.len()).sum();
    let mean = good.iter().map(|s| s.total).sum::<f64>() / steps.max(1) as f64;
    let name = &audit.behaviours[0].name;
    (mean < 0.0).then(|| {
        let sums = |t: usize| good.iter().map(|s| s.terms[t]).sum::<f64>();
        let worst = (0..good[0].terms.len()).min_by(|&a, &b| sums(a).total_cmp(&sums(b))).unwrap_or(0);
        let message = format!(
            "a step of `{name}` costs {mean:.4} on average, and task {} ends when the robot falls: ending at once is \
             the best there is",
            task.name
        );
        let hint = "add a bonus for being alive, or make penalties smaller, most of all that of the term named";
        GateFinding::error("living", message, hint)
            .term(&reward.term_names()[worst])
            .at(name, 0, steps / good.len().max(1))
            .value(mean)
    })
}

/// The good behaviour must earn more than every bad one.
pub fn order(reward: &Reward, audit: &Audit, scored: &[Scored], report: &mut GateReport) -> Vec<GateFinding> {
    let returns = audit.means(&scored.iter().map(|s| s.total).collect::<Vec<_>>());
    let lengths: Vec<f64> = scored.iter().map(|s| s.step_totals.len() as f64).collect();
    let lengths = audit.means(&lengths);
    let row = |k: usize| AuditRow {
        behaviour: audit.behaviours[k].name.clone(),
        good: audit.has_good && k == 0,
        exploit: audit.behaviours[k].exploit.is_some(),
        fitness: audit.fitness[k],
        mean_return: returns[k],
        steps: lengths[k],
    };
    report.audit = (0..returns.len()).map(row).collect();
    report.audit.sort_by(|a, b| b.mean_return.total_cmp(&a.mean_return));
    report.fitness_kendall = kendall(&audit.fitness, &returns);
    if !audit.has_good {
        return Vec::new();
    }
    let above = |k: &usize| audit.is_bad(*k) && returns[*k] >= returns[0];
    report.good_rank = Some(1 + (1..returns.len()).filter(above).count());
    let term_mean = |k: usize, t: usize| {
        let episodes = &scored[k * audit.worlds..(k + 1) * audit.worlds];
        episodes.iter().map(|s| s.terms[t]).sum::<f64>() / episodes.len() as f64
    };
    let names = reward.term_names();
    let mut out = Vec::new();
    for k in (1..returns.len()).filter(|&k| audit.is_bad(k)) {
        let b = &audit.behaviours[k];
        let early = lengths[k] < 0.9 * lengths[0];
        let idle_rate = b.idle && returns[0] > 0.0 && returns[k] >= WARN_IDLE * returns[0];
        if returns[k] < returns[0] && !idle_rate {
            continue;
        }
        let mut gains: Vec<(f64, usize)> = (0..names.len()).map(|t| (term_mean(k, t) - term_mean(0, t), t)).collect();
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        let why: Vec<String> = gains
            .iter()
            .filter(|g| g.0 > 0.0)
            .take(NAMED)
            .map(|&(gain, t)| format!("`{}` gives it {gain:+.3}", names[t]))
            .collect();
        let rule = match (b.exploit.is_some(), b.idle, early) {
            (true, ..) => "exploit",
            (_, true, false) => "idle-pay",
            (_, _, true) => "early-end",
            _ => "order",
        };
        let exploit = b.exploit.as_ref().map_or_else(String::new, |e| format!(" ({e})"));
        let message = format!(
            "`{}`{exploit} earns {:.3} with fitness {:.3}, `{}` earns {:.3} with fitness {:.3}{}{}",
            b.name,
            returns[k],
            audit.fitness[k],
            audit.behaviours[0].name,
            returns[0],
            audit.fitness[0],
            if why.is_empty() { "" } else { ": " },
            why.join(", ")
        );
        let term = gains.first().filter(|g| g.0 > 0.0).map_or("", |g| &names[g.1]);
        let finding = if returns[k] >= returns[0] {
            GateFinding::error(rule, message, super::rule(rule).map_or("", |r| r.fix))
        } else {
            GateFinding::warning(rule, message, "idling earns nearly as much: pay for progress")
        };
        let finding = finding.term(term).value(returns[k] - returns[0]);
        out.push(finding.at(&b.name, k * audit.worlds, lengths[k].round() as usize));
    }
    out.sort_by(|a, b| b.value.unwrap_or(0.0).total_cmp(&a.value.unwrap_or(0.0)));
    out
}

/// STARC distance to each of the others, and a warning for one that is the same.
pub fn distances(
    reward: &Reward,
    task: &Task,
    audit: &Audit,
    others: &[&Reward],
    pool: &rayon::ThreadPool,
) -> Result<(Vec<GateFinding>, Vec<Neighbour>), SearchError> {
    // Those with sources outside of their programs cannot be compared on recorded states.
    let others: Vec<&Reward> = others.iter().copied().filter(|r| super::outside(r).is_none()).collect();
    if others.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let rewards: Vec<&Reward> = [reward].into_iter().chain(others.iter().copied()).collect();
    let matrix = versus(&rewards, task, &Sample::of_audit(audit), false, pool)?;
    let neighbour =
        |(k, r): (usize, &&Reward)| Neighbour { reward: r.name().to_string(), distance: matrix.starc(0, k + 1) };
    let mut distances: Vec<Neighbour> = others.iter().enumerate().map(neighbour).collect();
    distances.sort_by(|a, b| a.distance.value.total_cmp(&b.distance.value));
    let near = distances.iter().filter(|n| n.distance.value < SAME).map(|n| {
        let (name, d) = (&n.reward, n.distance.value);
        let message = format!("the same as `{name}` up to scale and potential shaping: STARC distance {d:.1e}");
        GateFinding::warning("duplicate", message, "training it would give what is known already").value(d)
    });
    Ok((near.collect(), distances))
}
