//! `report.html`: one file with everything about a run that one looks at afterwards. No scripts, nothing from elsewhere.

use crate::config::RunConfig;
use crate::error::RunError;
use crate::evaluate::Stat;
use crate::finish::{Stop, Summary};
use crate::folder::{RunFolder, read_text, write_atomic};
use crate::list::read_summary;
use crate::logs::{MetricsLine, TermsLine, read_lines};
use crate::svg::{STYLE, Series, chart, escape, short};
use std::fmt::Write;

/// Writes the report from what is in the run's folder.
///
/// # Errors
/// When the configuration or the logs cannot be read, or the report cannot be written.
pub fn write_report(folder: &RunFolder) -> Result<(), RunError> {
    let config = RunConfig::read(&folder.config())?;
    let metrics: Vec<MetricsLine> = read_lines(&folder.metrics())?;
    let terms: Vec<TermsLine> = read_lines(&folder.terms())?;
    let summary = read_summary(folder);
    let sources: Vec<(String, String)> = config
        .inputs
        .iter()
        .filter(|i| i.role == "reward" || i.role == "script")
        .filter_map(|i| Some((i.path.clone(), read_text(&folder.root().join(&i.path)).ok()?)))
        .collect();
    let picture = read_text(&folder.clips().join("final.svg")).ok();
    // A run whose rollouts are damaged still has a report; `pavlov diagnose` says what is wrong with them.
    let diagnosis = crate::diagnose::write_diagnosis(folder).unwrap_or_default();
    let seen = crate::diagnosis_html::section(&diagnosis, summary.as_ref());
    let html = render(&folder.name(), &config, &metrics, &terms, summary.as_ref(), &sources, picture.as_deref(), &seen);
    write_atomic(&folder.report(), html.as_bytes())
}

fn render(
    name: &str,
    config: &RunConfig,
    metrics: &[MetricsLine],
    terms: &[TermsLine],
    summary: Option<&Summary>,
    sources: &[(String, String)],
    picture: Option<&str>,
    diagnosis: &str,
) -> String {
    let title = escape(name);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    out += &head(config, metrics, summary);
    out += &evaluation(summary);
    out += diagnosis;
    if let Some(svg) = picture {
        let _ = write!(out, "<h2>What it does</h2>\n<figure>{svg}</figure>\n");
    }
    out += "<h2>Learning</h2>\n<div class=\"charts\">\n";
    for chart in learning(metrics) {
        out += &format!("<figure>{chart}</figure>\n");
    }
    out += "</div>\n<h2>Reward terms</h2>\n<div class=\"charts\">\n";
    for chart in term_charts(terms, metrics) {
        out += &format!("<figure>{chart}</figure>\n");
    }
    out += "</div>\n<h2>Learner</h2>\n<div class=\"charts\">\n";
    for chart in learner(metrics) {
        out += &format!("<figure>{chart}</figure>\n");
    }
    out += "</div>\n<h2>Scripts</h2>\n";
    for (path, text) in sources {
        // Writing to a string cannot fail.
        let _ = write!(out, "<h3>{}</h3>\n<pre>{}</pre>\n", escape(path), escape(text));
    }
    out += "<h2>Settings</h2>\n";
    out += &settings(config);
    out += "</body></html>\n";
    out
}

fn row(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
}

fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        3600.. => format!("{} h {:02} min", s / 3600, s / 60 % 60),
        60.. => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{seconds:.1} s"),
    }
}

fn head(config: &RunConfig, metrics: &[MetricsLine], summary: Option<&Summary>) -> String {
    let mut out = String::from("<table>\n");
    row(&mut out, "task", &config.task);
    row(&mut out, "reward", &config.reward);
    row(&mut out, "seed", &config.seed.to_string());
    row(&mut out, "started", &config.created);
    let ended = match summary {
        Some(Summary { error: Some(error), .. }) => format!("failed: {error}"),
        Some(Summary { stop, finished, .. }) => match stop {
            Some(Stop::Interrupted) => format!("interrupted at {finished}; `pavlov resume` goes on"),
            Some(Stop::Fitness) => format!("{finished}, target fitness reached"),
            Some(Stop::Minutes) => format!("{finished}, time over"),
            _ => finished.clone(),
        },
        None => "not yet".into(),
    };
    row(&mut out, "ended", &ended);
    if let Some(last) = metrics.last() {
        let steps = format!("{} in {} updates", last.env_steps, last.update);
        row(&mut out, "environment steps", &steps);
        row(&mut out, "training time", &duration(last.timing.elapsed_s));
        let rate = last.env_steps as f64 / last.timing.elapsed_s.max(1e-9);
        let machine = &config.machine;
        row(
            &mut out,
            "throughput",
            &format!(
                "{} environment steps/s, all in ({} worlds, {} backend, {} profile, {} threads, {} {})",
                short(rate),
                config.learner.worlds,
                config.backend,
                config.profile,
                machine.threads,
                machine.os,
                machine.arch
            ),
        );
        let bad: u64 = metrics.iter().map(|m| m.bad_terms).sum();
        let lost: u64 = metrics.iter().map(|m| m.nonfinite).sum();
        if bad + lost > 0 {
            let text = format!("{lost} worlds became non-finite and were reset; {bad} reward terms were not finite");
            row(&mut out, "numbers", &text);
        }
    }
    if let Some(best) = summary.and_then(|s| s.best) {
        row(&mut out, "best checkpoint", &format!("update {}, fitness {}", best.update, short(best.fitness)));
    }
    out + "</table>\n"
}

fn evaluation(summary: Option<&Summary>) -> String {
    let Some(e) = summary.and_then(|s| s.evaluation.as_ref()) else { return String::new() };
    let mut out = format!(
        "<h2>Final evaluation</h2>\n<p>{} episodes of the deterministic policy, seed {}, {} profile.</p>\n<table>\n<tr><th></th><th>mean</th><th>std</th><th>min</th><th>max</th></tr>\n",
        e.episodes,
        e.seed,
        escape(&e.profile)
    );
    for (name, Stat { mean, std, min, max }) in
        [("return", e.episode_return), ("fitness", e.fitness), ("success", e.success), ("length", e.length)]
    {
        let [mean, std, min, max] = [mean, std, min, max].map(short);
        let _ = writeln!(out, "<tr><th>{name}</th><td>{mean}</td><td>{std}</td><td>{min}</td><td>{max}</td></tr>");
    }
    for (kind, values) in [("term", &e.terms), ("metric", &e.metrics)] {
        for (name, value) in &values.0 {
            let _ = writeln!(
                out,
                "<tr><th>{kind} {}</th><td>{}</td><td></td><td></td><td></td></tr>",
                escape(name),
                short(*value)
            );
        }
    }
    out + "</table>\n"
}

/// One line over environment steps.
fn line(name: &str, metrics: &[MetricsLine], f: impl Fn(&MetricsLine) -> Option<f64>) -> Series {
    let points = metrics.iter().filter_map(|m| Some((m.env_steps as f64, f(m)?))).collect();
    Series { name: name.into(), points, band: Vec::new() }
}

const STEPS: &str = "environment steps";

fn learning(metrics: &[MetricsLine]) -> Vec<String> {
    let mut returns = line("return", metrics, |m| m.episode_return);
    returns.band = metrics
        .iter()
        .filter(|m| m.episode_return.is_some())
        .map(|m| (m.episode_return_min.unwrap_or(f64::NAN), m.episode_return_max.unwrap_or(f64::NAN)))
        .collect();
    let one = |title: &str, unit: &str, series: Series| chart(title, STEPS, unit, &[series]);
    let mut fitness =
        vec![line("per update", metrics, |m| m.fitness), line("recent episodes", metrics, |m| m.recent_fitness)];
    let evaluated = line("evaluation", metrics, |m| m.eval.as_ref().map(|e| e.fitness.mean));
    fitness.extend((!evaluated.points.is_empty()).then_some(evaluated));
    vec![
        one("Return of training episodes (band: min to max)", "return", returns),
        chart("Fitness of training episodes", STEPS, "fitness", &fitness),
        one("Success of training episodes", "share", line("success", metrics, |m| m.success)),
        one("Episode length", "control steps", line("length", metrics, |m| m.episode_length)),
    ]
}

fn term_charts(terms: &[TermsLine], metrics: &[MetricsLine]) -> Vec<String> {
    let Some(last) = terms.last() else { return Vec::new() };
    let by_term = |f: fn(&crate::logs::TermStats) -> f64| -> Vec<Series> {
        let of = |name: &String| Series {
            name: name.clone(),
            points: terms.iter().filter_map(|l| Some((l.env_steps as f64, f(l.terms.get(name)?)))).collect(),
            band: Vec::new(),
        };
        last.terms.0.iter().map(|(name, _)| of(name)).collect()
    };
    let mut charts = vec![
        chart("Mean of each term per step", STEPS, "reward per step", &by_term(|t| t.mean)),
        chart("Share of each term in the reward", STEPS, "share of |mean|", &by_term(|t| t.share)),
    ];
    for series in by_term(|t| t.mean) {
        let band =
            terms.iter().filter_map(|l| l.terms.get(&series.name)).map(|t| (t.mean - t.std, t.mean + t.std)).collect();
        let title = format!("{} (band: ± one deviation)", series.name);
        charts.push(chart(&title, STEPS, "reward per step", &[Series { band, ..series }]));
    }
    let of_nodes = |f: fn(&crate::logs::NodeStats) -> (f64, f64, f64), name: &String| {
        let of = |l: &TermsLine| Some((l.env_steps as f64, f(l.nodes.get(name)?)));
        let (points, band) = terms.iter().filter_map(of).map(|(x, (y, a, b))| ((x, y), (a, b))).unzip();
        Series { name: name.clone(), points, band }
    };
    for (name, _) in &last.nodes.0 {
        let series = of_nodes(|n| (n.mean, n.mean - n.std, n.mean + n.std), name);
        charts.push(chart(&format!("Node {name} (band: ± one deviation)"), STEPS, "per step", &[series]));
    }
    if let Some(line) = metrics.last().filter(|m| !m.constraints.is_empty()) {
        let of = |name: &str, f: fn(&pavlov_reward::ConstraintState) -> f64| {
            let point = |m: &MetricsLine| Some((m.env_steps as f64, f(m.constraints.iter().find(|c| c.name == name)?)));
            metrics.iter().filter_map(point).collect()
        };
        for c in &line.constraints {
            let series = |label: &str, f| Series { name: label.into(), points: of(&c.name, f), band: Vec::new() };
            let all = [
                series("mean", |c| c.mean),
                series("threshold", |c| c.threshold),
                series("multiplier", |c| c.multiplier),
            ];
            charts.push(chart(&format!("Constraint {}", c.name), STEPS, "per step", &all));
        }
    }
    if let Some(names) = metrics.last().map(|m| &m.metrics.0) {
        for (name, _) in names {
            let series = line(name, metrics, |m| m.metrics.get(name).copied().flatten());
            charts.push(chart(&format!("Metric {name}"), STEPS, "mean per step", &[series]));
        }
    }
    charts
}

fn learner(metrics: &[MetricsLine]) -> Vec<String> {
    let one = |title: &str, unit: &str, f: fn(&MetricsLine) -> f64| {
        chart(title, STEPS, unit, &[line(title, metrics, |m| Some(f(m)))])
    };
    vec![
        one("Policy loss", "loss", |m| m.policy_loss),
        one("Value loss", "loss", |m| m.value_loss),
        one("KL divergence", "nats", |m| m.kl),
        one("Learning rate", "rate", |m| m.learning_rate),
        one("Entropy", "nats", |m| m.entropy),
        one("Explained variance", "share", |m| m.explained_variance),
        one("Clipped share", "share", |m| m.clip_fraction),
        one("Throughput", "steps/s", |m| m.timing.env_steps_per_s),
    ]
}

fn settings(config: &RunConfig) -> String {
    let mut out = String::from("<table>\n");
    for (name, value) in &config.reward_params {
        row(&mut out, &format!("reward.{name}"), &value.to_string());
    }
    let learner = toml::Table::try_from(&config.learner).unwrap_or_default();
    let run = toml::Table::try_from(&config.run).unwrap_or_default();
    for (name, value) in learner.iter().chain(&run) {
        row(&mut out, name, &value.to_string());
    }
    row(&mut out, "version", &config.version);
    if let Some(revision) = &config.revision {
        row(&mut out, "revision", revision);
    }
    for input in &config.inputs {
        row(&mut out, &input.path, &format!("sha256 {}", input.sha256));
    }
    out + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::logs::{Named, TermStats};
    use crate::testing;

    #[test]
    fn the_page_is_well_formed_with_and_without_data() {
        let (_dir, assets) = testing::assets("");
        let (task, mut reward) = testing::load(&assets);
        let config = RunConfig::resolve(&task, &mut reward, &Overrides::default()).unwrap();
        let odd = "a<b> & \"c\"\u{2}";
        let metrics: Vec<MetricsLine> = (1..=3)
            .map(|i| MetricsLine {
                update: i,
                env_steps: 100 * i,
                episode_return: (i > 1).then_some(i as f64),
                metrics: Named(vec![(odd.into(), None)]),
                ..MetricsLine::default()
            })
            .collect();
        let stats = TermStats { mean: f64::NAN, std: 1.0, share: 0.5 };
        let node = crate::logs::NodeStats { mean: 1.0, std: f64::NAN };
        let nodes = Named(vec![(odd.into(), node)]);
        let terms = [TermsLine { update: 1, env_steps: 100, terms: Named(vec![(odd.into(), stats)]), nodes }];
        let summary = Summary { evaluation: Some(crate::Evaluation::default()), ..Summary::default() };
        let sources = [("inputs/reward/reward.rhai".to_string(), "if a < b && c > d { }".to_string())];
        for (metrics, terms, summary) in [(&metrics[..], &terms[..], Some(&summary)), (&[], &[], None)] {
            let html = render(odd, &config, metrics, terms, summary, &sources, None, "");
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
            let page = roxmltree::Document::parse_with_options(&html, options).unwrap();
            let charts = page.descendants().filter(|n| n.has_tag_name("svg")).count();
            assert_eq!(charts, if terms.is_empty() { 12 } else { 17 });
            assert!(html.contains("if a &lt; b &amp;&amp; c"));
        }
    }
}
