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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::six;
    use pavlov_reward::Manifest;

    fn reward(task: &Task) -> Reward {
        let script = "fn reward(s) { #{ a: s.qpos[0], b: s.qpos[1], c: s.qvel[0] } }";
        Reward::from_text("r", "r.rhai", script, Manifest::default(), task.scene()).unwrap()
    }

    /// Episodes of so many steps, each with these terms a step; the two worlds of a behaviour half above and below.
    fn scored(behaviours: [([f64; 3], usize); 6]) -> Vec<Scored> {
        let episode = |([a, b, c], steps): ([f64; 3], usize), more: f64| {
            let each = [a + more, b, c];
            let total: f64 = each.iter().sum();
            Scored {
                total: total * steps as f64,
                terms: each.iter().map(|x| x * steps as f64).collect(),
                step_totals: vec![total as f32; steps],
                step_terms: each.iter().map(|x| vec![*x as f32; steps]).collect(),
                ..Scored::default()
            }
        };
        behaviours.into_iter().flat_map(|b| [episode(b, 0.5), episode(b, -0.5)]).collect()
    }

    const LIVED: usize = 10;

    #[test]
    fn a_term_that_is_nearly_all_is_told_with_its_share() {
        let (task, _) = six([0.0; 6]);
        let of = |c: f64| {
            let mut all = scored([([0.0, 0.0, c], LIVED); 6]);
            all.iter_mut().for_each(|s| s.step_terms[0].fill(-1.0));
            shares(&reward(&task), &all)
        };
        // 1 and 18 of 19, 1 and 19 of 20, 199 of 200.
        assert_eq!(of(18.0).0, None);
        assert_eq!(of(3.0).1, [("a".into(), 0.25), ("b".into(), 0.0), ("c".into(), 0.75)]);
        let warned = of(29.0).0.unwrap();
        assert_eq!((&*warned.rule, warned.severity, &*warned.term), ("share", "warning", "c"));
        assert!((warned.value.unwrap() - 29.0 / 30.0).abs() < 1e-12 && warned.message.contains("96.7%"), "{warned}");
        assert!(warned.message.contains("the other 2 hardly count"), "{warned}");
        assert_eq!((of(198.0).0.unwrap().severity, of(250.0).0.unwrap().severity), ("warning", "error"));
        // A term alone is all there is.
        let script = "fn reward(s) { #{ a: s.qpos[0] } }";
        let alone = Reward::from_text("r", "r.rhai", script, Manifest::default(), task.scene()).unwrap();
        let one = Scored { step_terms: vec![vec![2.0]], ..Scored::default() };
        assert_eq!(shares(&alone, &[one]), (None, vec![("a".into(), 1.0)]));
    }

    #[test]
    fn living_must_not_cost_where_episodes_end() {
        let (task, mut audit) = six([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let reward = reward(&task);
        let costs = scored([([0.2, -0.3, -0.9], LIVED); 6]);
        assert_eq!(living(&reward, &task, &audit, &costs), None, "no episode ends");
        audit.rollouts.info.episodes[3].terminated = true;
        let found = living(&reward, &task, &audit, &costs).unwrap();
        assert_eq!((&*found.rule, &*found.term, found.severity), ("living", "c", "error"));
        assert!((found.value.unwrap() + 1.0).abs() < 1e-6, "{found:?}");
        assert_eq!((found.behaviour.as_deref(), found.world, found.step), (Some("b0"), Some(0), Some(LIVED)));
        // Only the good behaviour counts, and nothing is nothing.
        let pays =
            scored([([0.0; 3], LIVED), ([-9.0; 3], 1), ([-9.0; 3], 1), ([-9.0; 3], 1), ([-9.0; 3], 1), ([-9.0; 3], 1)]);
        assert_eq!(living(&reward, &task, &audit, &pays), None);
        audit.has_good = false;
        assert_eq!(living(&reward, &task, &audit, &costs), None);
    }

    #[test]
    fn bad_behaviours_that_earn_more_are_told_by_what_they_are() {
        // b5 is nearly as fit as the good one: no bad behaviour.
        let (task, mut audit) = six([1.0, 0.0, 0.2, 0.3, 0.4, 0.95]);
        audit.behaviours[1].exploit = Some("slides".into());
        audit.behaviours[2].idle = true;
        let reward = reward(&task);
        let good = ([1.0, 0.0, 0.0], LIVED);
        let mut report = GateReport::default();
        // An exploit earns 30, idling 9.6 of 10, an early end 10 in 8 steps, another one 9, one that is fit 40.
        let all = [
            good,
            ([1.5, 0.5, 1.0], LIVED),
            ([0.96, 0.0, 0.0], LIVED),
            ([1.25, 0.0, 0.0], 8),
            ([0.9, 0.0, 0.0], LIVED),
            ([4.0, 0.0, 0.0], LIVED),
        ];
        let found = order(&reward, &audit, &scored(all), &mut report);
        let told: Vec<(&str, &str, &str)> =
            found.iter().map(|f| (&*f.rule, f.severity, f.behaviour.as_deref().unwrap())).collect();
        assert_eq!(told, [("exploit", "error", "b1"), ("early-end", "error", "b3"), ("idle-pay", "warning", "b2")]);
        let worst = &found[0];
        assert_eq!((&*worst.term, worst.value, worst.world, worst.step), ("c", Some(20.0), Some(2), Some(LIVED)));
        assert!(
            worst
                .message
                .starts_with("`b1` (slides) earns 30.000 with fitness 0.000, `b0` earns 10.000 with fitness 1.000: ")
                && worst.message.ends_with("`c` gives it +10.000, `a` gives it +5.000"),
            "{worst}"
        );
        assert_eq!((&*found[1].term, found[1].step), ("", Some(8)), "no term gives it more in all");
        // The audit set by return; the good one is third of those that are good or bad.
        let rows: Vec<(&str, f64, f64)> =
            report.audit.iter().map(|r| (&*r.behaviour, r.mean_return, r.steps)).collect();
        assert_eq!(rows[..2], [("b5", 40.0, 10.0), ("b1", 30.0, 10.0)]);
        assert_eq!((report.good_rank, report.audit.len()), (Some(3), 6));
        let flags: Vec<&str> = report.audit.iter().filter(|r| r.good || r.exploit).map(|r| &*r.behaviour).collect();
        assert!(flags.contains(&"b0") && flags.contains(&"b1") && flags.len() == 2, "{flags:?}");
        // Idling at less than 95%, an end that is not early (nine of ten steps), and in the right order: nothing.
        let all =
            [good, ([0.5; 3], 6), ([0.94, 0.0, 0.0], LIVED), ([1.0, 0.0, 0.0], 9), ([0.9, 0.0, 0.0], LIVED), good];
        assert_eq!(order(&reward, &audit, &scored(all), &mut report), []);
        assert_eq!(report.good_rank, Some(1));
        let all = [good, ([0.5; 3], 6), ([0.5; 3], LIVED), ([1.2, 0.0, 0.0], 9), ([0.9, 0.0, 0.0], LIVED), good];
        let found = order(&reward, &audit, &scored(all), &mut report);
        assert_eq!((found.len(), &*found[0].rule, &*found[0].behaviour.clone().unwrap()), (2, "idle-pay", "b2"));
        assert_eq!((&*found[1].rule, &*found[1].term), ("order", "a"));
        audit.has_good = false;
        assert_eq!(order(&reward, &audit, &scored(all), &mut GateReport::default()), []);
    }

    #[test]
    fn the_nearest_of_other_rewards_is_told_with_its_own_distance() {
        let (task, audit) = six([1.0, 0.0, 0.2, 0.3, 0.4, 0.95]);
        let pool = pavlov_run::thread_pool(1).unwrap();
        let named = |name: &str, script: &str| {
            Reward::from_text(name, "r.rhai", script, Manifest::default(), task.scene()).unwrap()
        };
        let own = named("own", "fn reward(s) { s.qvel[0] }");
        let other = named("other", "fn reward(s) { s.qvel[1] * s.qpos[0] - s.action.norm2() }");
        let twice = named("twice", "fn reward(s) { 2.0 * s.qvel[0] }");
        let (found, near) = distances(&own, &task, &audit, &[&other, &twice], &pool).unwrap();
        assert_eq!(near.iter().map(|n| &*n.reward).collect::<Vec<_>>(), ["twice", "other"]);
        assert!(near[0].distance.value < 1e-3 && near[1].distance.value > 0.1, "{near:?}");
        assert_eq!(found.len(), 1);
        assert!(found[0].rule == "duplicate" && found[0].message.contains("`twice`"), "{found:?}");
        assert!(distances(&own, &task, &audit, &[], &pool).unwrap().1.is_empty());
    }
}
