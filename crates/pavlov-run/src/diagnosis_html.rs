//! The report's section on the diagnosis: symptoms, the over-optimisation curve, motion, the second learner.

use crate::diagnose::{Diagnosis, Motion, Second};
use crate::finish::Summary;
use maud::{Markup, html};
use pavlov_common::chart::{Series, chart};
use pavlov_common::page::{gallery, short};
use pavlov_common::stats::range;

const STEPS: &str = "environment steps";

/// The section; empty when nothing is known.
pub(crate) fn section(diagnosis: &Diagnosis, summary: Option<&Summary>) -> Markup {
    let Diagnosis { symptoms, curve, motion, .. } = diagnosis;
    if curve.env_steps.is_empty() && motion.is_empty() && symptoms.is_empty() {
        return Markup::default();
    }
    html! {
        h2 { "Diagnosis" }
        @if symptoms.is_empty() {
            p { "Nothing suspicious: fitness follows the return, no term dominates, the robot moves smoothly." }
        } @else {
            table {
                tr { th {} th { "what was seen" } th { "what to do" } }
                @for s in symptoms { tr { th { (s.severity) " " (s.name) } td { (s.message) } td { (s.fix) } } }
            }
        }
        (gallery(optimisation_charts(diagnosis).into_iter().chain(motion_charts(motion))))
        @if let Some(probe) = summary.and_then(|s| s.probe.as_ref()) {
            p {
                "In worlds solved with the " (probe.profile) " profile: return " (short(probe.episode_return.mean))
                ", fitness " (short(probe.fitness.mean)) ", success " (short(probe.success.mean)) "."
            }
        }
        @if let Some(second) = &diagnosis.second { (second_learner(second)) }
    }
}

/// Values brought to 0 to 1.
fn unit(values: &[f64]) -> Vec<f64> {
    let (low, high) = range(values.iter().copied()).unwrap_or_default();
    values.iter().map(|x| if high > low { (x - low) / (high - low) } else { 0.5 }).collect()
}

/// Return and fitness over steps, and over how far the policy has gone.
fn optimisation_charts(diagnosis: &Diagnosis) -> Vec<Markup> {
    let curve = &diagnosis.curve;
    if curve.env_steps.len() < 2 {
        return Vec::new();
    }
    let (proxy, fitness) = (unit(&curve.proxy), unit(&curve.fitness));
    let lines = |x: &[f64], mark: Option<(&str, f64)>| {
        let against = |name: &str, y: &[f64]| Series::line(name, x.iter().copied().zip(y.iter().copied()));
        let upright = mark.map(|(name, x)| Series::line(name, [(x, 0.0), (x, 1.0)]));
        [against("return (proxy)", &proxy), against("fitness", &fitness)].into_iter().chain(upright).collect::<Vec<_>>()
    };
    let steps: Vec<f64> = curve.env_steps.iter().map(|&s| s as f64).collect();
    let stop = diagnosis.stop.as_ref();
    let stop_mark = stop.map(|s| (if s.over_optimised { "stop here" } else { "best fitness" }, s.env_steps as f64));
    let best = stop.and_then(|s| curve.env_steps.iter().position(|steps| *steps == s.env_steps));
    let best_mark = best.map(|window| ("best fitness", curve.kl[window]));
    let share = "share of its own range";
    vec![
        chart("Over-optimisation: proxy against fitness", STEPS, share, &lines(&steps, stop_mark)),
        chart(
            "The same over how far the policy has gone",
            "sum of the updates' KL, nats",
            share,
            &lines(&curve.kl, best_mark),
        ),
    ]
}

fn motion_charts(motion: &[Motion]) -> Vec<Markup> {
    if motion.len() < 2 {
        return Vec::new();
    }
    let line = |name: &str, number: fn(&Motion) -> Option<f64>| {
        Series::line(name, motion.iter().filter_map(|m| Some((m.env_steps as f64, number(m)?))))
    };
    let still = [line("still", |m| Some(m.still)), line("terms beyond what was seen before", |m| Some(m.new))];
    let pay = [line("every step", |m| Some(m.reward)), line("still steps", |m| m.still_reward)];
    vec![
        chart("Change of actions from step to step", STEPS, "share of the range", &[line("jerk", |m| Some(m.jerk))]),
        chart("Power of the joints", STEPS, "W", &[line("power", |m| Some(m.power))]),
        chart("Standing still, and new states", STEPS, "share of steps", &still),
        chart("Reward of a step", STEPS, "reward per step", &pay),
    ]
}

fn second_learner(second: &Second) -> Markup {
    let known = |x: Option<f64>| x.map_or_else(|| "–".into(), short);
    html! {
        h3 { "Another learner" }
        table {
            tr { th {} th { "fitness" } th { "return" } }
            tr { th { "the run's" } td { (known(second.first_fitness)) } td { (known(second.returns[0])) } }
            tr {
                th { (second.settings.join(" ")) }
                td { (known(second.second_fitness)) }
                td { (known(second.returns[1])) }
            }
        }
        p {
            "Training episodes after " (second.env_steps) " steps; the second policy's evaluation: fitness "
            (short(second.evaluation.mean)) " ± " (short(second.evaluation.std)) "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Curve, StopAdvice, Symptom};

    #[test]
    fn the_section_is_well_formed() {
        let symptom = Symptom { name: "a<b".into(), message: "x & y".into(), ..Symptom::default() };
        let curve = Curve { env_steps: vec![1, 2], proxy: vec![1.0, 2.0], fitness: vec![1.0, 1.0], kl: vec![0.1, 0.2] };
        let motion = Motion { still_reward: Some(f64::NAN), ..Motion::default() };
        let d = Diagnosis {
            symptoms: vec![symptom],
            curve,
            stop: Some(StopAdvice { env_steps: 2, over_optimised: true, ..StopAdvice::default() }),
            motion: vec![motion.clone(), motion],
            second: Some(Second { settings: vec!["gamma<1".into()], ..Second::default() }),
        };
        let html = format!("<body>{}</body>", section(&d, None).into_string());
        let page = roxmltree::Document::parse(&html).unwrap();
        assert_eq!(page.descendants().filter(|n| n.has_tag_name("svg")).count(), 6);
        assert!(html.contains("stop here") && html.contains("a&lt;b"));
        assert_eq!(section(&Diagnosis::default(), None).into_string(), "");
    }
}
