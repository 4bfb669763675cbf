//! The report's section on the diagnosis: symptoms, the over-optimisation curve, motion, the second learner.

use crate::diagnose::{Diagnosis, Motion, Second};
use crate::finish::Summary;
use crate::svg::{Series, chart, escape, short};
use std::fmt::Write;

const STEPS: &str = "environment steps";

/// The section; empty when nothing is known.
pub(crate) fn section(d: &Diagnosis, summary: Option<&Summary>) -> String {
    if d.curve.env_steps.is_empty() && d.motion.is_empty() && d.symptoms.is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>Diagnosis</h2>\n");
    if d.symptoms.is_empty() {
        out += "<p>Nothing suspicious: fitness follows the return, no term dominates, the robot moves smoothly.</p>\n";
    } else {
        out += "<table>\n<tr><th></th><th>what was seen</th><th>what to do</th></tr>\n";
        for s in &d.symptoms {
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "<tr><th>{} {}</th><td>{}</td><td>{}</td></tr>",
                escape(&s.severity),
                escape(&s.name),
                escape(&s.message),
                escape(&s.fix)
            );
        }
        out += "</table>\n";
    }
    out += "<div class=\"charts\">\n";
    for chart in charts(d) {
        let _ = writeln!(out, "<figure>{chart}</figure>");
    }
    out += "</div>\n";
    if let Some(probe) = summary.and_then(|s| s.probe.as_ref()) {
        let _ = writeln!(
            out,
            "<p>In worlds solved with the {} profile: return {}, fitness {}, success {}.</p>",
            escape(&probe.profile),
            short(probe.episode_return.mean),
            short(probe.fitness.mean),
            short(probe.success.mean)
        );
    }
    out += &second(d.second.as_ref());
    out
}

/// Values brought to 0 to 1.
fn unit(values: &[f64]) -> Vec<f64> {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    values.iter().map(|x| if high > low { (x - low) / (high - low) } else { 0.5 }).collect()
}

fn charts(d: &Diagnosis) -> Vec<String> {
    let mut out = Vec::new();
    let c = &d.curve;
    let over = |x: &[f64], y: &[f64]| x.iter().copied().zip(y.iter().copied()).collect::<Vec<_>>();
    if c.env_steps.len() > 1 {
        let steps: Vec<f64> = c.env_steps.iter().map(|&s| s as f64).collect();
        let of = |name: &str, points| Series { name: name.into(), points, band: Vec::new() };
        let (proxy, fitness) = (unit(&c.proxy), unit(&c.fitness));
        let mark = |x: f64| vec![(x, 0.0), (x, 1.0)];
        let mut lines = vec![of("return (proxy)", over(&steps, &proxy)), of("fitness", over(&steps, &fitness))];
        let stop = d.stop.as_ref();
        if let Some(stop) = stop {
            let what = if stop.over_optimised { "stop here" } else { "best fitness" };
            lines.push(of(what, mark(stop.env_steps as f64)));
        }
        out.push(chart("Over-optimisation: proxy against fitness", STEPS, "share of its own range", &lines));
        let mut lines = vec![of("return (proxy)", over(&c.kl, &proxy)), of("fitness", over(&c.kl, &fitness))];
        let at = stop.and_then(|s| c.env_steps.iter().position(|x| *x == s.env_steps));
        if let Some(i) = at {
            lines.push(of("best fitness", mark(c.kl[i])));
        }
        out.push(chart(
            "The same over how far the policy has gone",
            "sum of the updates' KL, nats",
            "share of its own range",
            &lines,
        ));
    }
    if d.motion.len() > 1 {
        let line = |name: &str, f: &dyn Fn(&Motion) -> Option<f64>| Series {
            name: name.into(),
            points: d.motion.iter().filter_map(|m| Some((m.env_steps as f64, f(m)?))).collect(),
            band: Vec::new(),
        };
        out.push(chart(
            "Change of actions from step to step",
            STEPS,
            "share of the range",
            &[line("jerk", &|m| Some(m.jerk))],
        ));
        out.push(chart("Power of the joints", STEPS, "W", &[line("power", &|m| Some(m.power))]));
        let still = [line("still", &|m| Some(m.still)), line("terms beyond what was seen before", &|m| Some(m.new))];
        out.push(chart("Standing still, and new states", STEPS, "share of steps", &still));
        let pay = [line("every step", &|m| Some(m.reward)), line("still steps", &|m| m.still_reward)];
        out.push(chart("Reward of a step", STEPS, "reward per step", &pay));
    }
    out
}

fn second(second: Option<&Second>) -> String {
    let Some(s) = second else { return String::new() };
    let some = |x: Option<f64>| x.map_or_else(|| "–".into(), short);
    format!(
        "<h3>Another learner</h3>\n<table>\n<tr><th></th><th>fitness</th><th>return</th></tr>\n\
         <tr><th>the run's</th><td>{}</td><td>{}</td></tr>\n<tr><th>{}</th><td>{}</td><td>{}</td></tr>\n</table>\n\
         <p>Training episodes after {} steps; the second policy's evaluation: fitness {} ± {}.</p>\n",
        some(s.first_fitness),
        some(s.returns[0]),
        escape(&s.settings.join(" ")),
        some(s.second_fitness),
        some(s.returns[1]),
        s.env_steps,
        short(s.evaluation.mean),
        short(s.evaluation.std)
    )
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
        let html = format!("<body>{}</body>", section(&d, None));
        let page = roxmltree::Document::parse(&html).unwrap();
        assert_eq!(page.descendants().filter(|n| n.has_tag_name("svg")).count(), 6);
        assert!(html.contains("stop here") && html.contains("a&lt;b"));
        assert_eq!(section(&Diagnosis::default(), None), "");
    }
}
