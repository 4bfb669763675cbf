//! `report.html`: one file with everything about a run that one looks at afterwards. No scripts, nothing from
//! elsewhere.

use crate::clips::Clip;
use crate::config::RunConfig;
use crate::error::RunError;
use crate::evaluate::Evaluation;
use crate::finish::{Stop, Summary};
use crate::folder::{RunFolder, read_text};
use crate::list::read_summary;
use crate::logs::{MetricsLine, NodeStats, TermStats, TermsLine, read_lines};
use maud::{Markup, PreEscaped, html};
use pavlov_common::chart::{Series, chart};
use pavlov_common::page::{facts, gallery, page, short};
use pavlov_reward::ConstraintState;
use std::path::{Component, Path};

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
        .filter(|i| Path::new(&i.path).components().all(|c| matches!(c, Component::Normal(_))))
        .filter_map(|i| Some((i.path.clone(), read_text(&folder.root().join(&i.path)).ok()?)))
        .collect();
    let picture = picture(folder, &config);
    // A run that cannot be looked at closely still has a report, which says so.
    let diagnosis = crate::diagnose::write_diagnosis(folder).unwrap_or_else(|e| crate::diagnose::Diagnosis::none(&e));
    let seen = crate::diagnosis_html::section(&diagnosis, summary.as_ref());
    let html = render(&folder.name(), &config, &metrics, &terms, summary.as_ref(), &sources, picture.as_deref(), &seen);
    folder.write(&folder.report(), html.as_bytes())
}

/// The strip of the final clip, drawn anew: what others may have put into `clips/final.svg` is not ours to show.
fn picture(folder: &RunFolder, config: &RunConfig) -> Option<String> {
    let clip = Clip::read(&folder.clips().join("final.jsonl")).ok()?;
    let (task, _) = crate::inputs::load(folder, config).ok()?;
    crate::strip::strip(task.model(), &clip.poses())
}

/// The page. `picture` is SVG of ours, `sources` are names and texts of scripts.
fn render(
    name: &str,
    config: &RunConfig,
    metrics: &[MetricsLine],
    terms: &[TermsLine],
    summary: Option<&Summary>,
    sources: &[(String, String)],
    picture: Option<&str>,
    diagnosis: &Markup,
) -> String {
    let body = html! {
        h1 { (name) }
        (facts(head(config, metrics, summary)))
        @if let Some(found) = summary.and_then(|s| s.evaluation.as_ref()) { (evaluation(found)) }
        (diagnosis)
        @if let Some(svg) = picture { h2 { "What it does" } figure { (PreEscaped(svg)) } }
        h2 { "Learning" } (gallery(learning(metrics)))
        h2 { "Reward terms" } (gallery(term_charts(terms, metrics)))
        h2 { "Learner" } (gallery(learner(metrics)))
        h2 { "Scripts" }
        @for (path, text) in sources { h3 { (path) } pre { (text) } }
        h2 { "Settings" } (facts(settings(config)))
    };
    page(name, &body)
}

fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        3600.. => format!("{} h {:02} min", s / 3600, s / 60 % 60),
        60.. => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{seconds:.1} s"),
    }
}

fn head(config: &RunConfig, metrics: &[MetricsLine], summary: Option<&Summary>) -> Vec<(&'static str, String)> {
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
    let mut rows = vec![
        ("task", config.task.clone()),
        ("reward", config.reward.clone()),
        ("seed", config.seed.to_string()),
        ("started", config.created.clone()),
        ("ended", ended),
    ];
    if let Some(last) = metrics.last() {
        let rate = last.env_steps as f64 / last.timing.elapsed_s.max(1e-9);
        let machine = &config.machine;
        rows.push(("environment steps", format!("{} in {} updates", last.env_steps, last.update)));
        rows.push(("training time", duration(last.timing.elapsed_s)));
        rows.push((
            "throughput",
            format!(
                "{} environment steps/s, all in ({} worlds, {} backend, {} profile, {} threads, {} {})",
                short(rate),
                config.learner.worlds,
                config.backend,
                config.profile,
                machine.threads,
                machine.os,
                machine.arch
            ),
        ));
        let bad: u64 = metrics.iter().map(|m| m.bad_terms).sum();
        let lost: u64 = metrics.iter().map(|m| m.nonfinite).sum();
        if bad + lost > 0 {
            let text = format!("{lost} worlds became non-finite and were reset; {bad} reward terms were not finite");
            rows.push(("numbers", text));
        }
    }
    if let Some(best) = summary.and_then(|s| s.best) {
        rows.push(("best checkpoint", format!("update {}, fitness {}", best.update, short(best.fitness))));
    }
    rows
}

fn evaluation(found: &Evaluation) -> Markup {
    let measures = [
        ("return", found.episode_return),
        ("fitness", found.fitness),
        ("success", found.success),
        ("length", found.length),
    ];
    html! {
        h2 { "Final evaluation" }
        p {
            (found.episodes) " episodes of the deterministic policy, seed " (found.seed) ", "
            (found.profile) " profile."
        }
        table {
            tr { th {} th { "mean" } th { "std" } th { "min" } th { "max" } }
            @for (name, stat) in measures {
                tr {
                    th { (name) }
                    @for value in [stat.mean, stat.std, stat.min, stat.max] { td { (short(value)) } }
                }
            }
            @for (kind, values) in [("term", &found.terms), ("metric", &found.metrics)] {
                @for (name, value) in &values.0 {
                    tr { th { (kind) " " (name) } td { (short(*value)) } td {} td {} td {} }
                }
            }
        }
    }
}

/// A number of each update over environment steps; updates that do not have it are left out.
fn line(name: &str, metrics: &[MetricsLine], number: impl Fn(&MetricsLine) -> Option<f64>) -> Series {
    Series::line(name, metrics.iter().filter_map(|m| Some((m.env_steps as f64, number(m)?))))
}

const STEPS: &str = "environment steps";

fn learning(metrics: &[MetricsLine]) -> Vec<Markup> {
    let mut returns = line("return", metrics, |m| m.ended.episode_return);
    returns.band = metrics
        .iter()
        .filter(|m| m.ended.episode_return.is_some())
        .map(|m| (m.ended.episode_return_min.unwrap_or(f64::NAN), m.ended.episode_return_max.unwrap_or(f64::NAN)))
        .collect();
    let single = |title: &str, unit: &str, series: Series| chart(title, STEPS, unit, &[series]);
    let mut fitness =
        vec![line("per update", metrics, |m| m.fitness), line("recent episodes", metrics, |m| m.recent_fitness)];
    let evaluated = line("evaluation", metrics, |m| m.eval.as_ref().map(|e| e.fitness.mean));
    fitness.extend((!evaluated.points.is_empty()).then_some(evaluated));
    vec![
        single("Return of training episodes (band: min to max)", "return", returns),
        chart("Fitness of training episodes", STEPS, "fitness", &fitness),
        single("Success of training episodes", "share", line("success", metrics, |m| m.success)),
        single("Episode length", "control steps", line("length", metrics, |m| m.ended.episode_length)),
    ]
}

fn term_charts(terms: &[TermsLine], metrics: &[MetricsLine]) -> Vec<Markup> {
    let Some(last) = terms.last() else { return Vec::new() };
    let term_line = |name: &String, number: fn(&TermStats) -> f64| {
        Series::line(name, terms.iter().filter_map(|l| Some((l.env_steps as f64, number(l.terms.get(name)?)))))
    };
    let term_lines = |number: fn(&TermStats) -> f64| -> Vec<Series> {
        last.terms.0.iter().map(|(name, _)| term_line(name, number)).collect()
    };
    let mut charts = vec![
        chart("Mean of each term per step", STEPS, "reward per step", &term_lines(|t| t.mean)),
        chart("Share of each term in the reward", STEPS, "share of |mean|", &term_lines(|t| t.share)),
    ];
    for series in term_lines(|t| t.mean) {
        let stats = terms.iter().filter_map(|l| l.terms.get(&series.name));
        let band = stats.map(|t| (t.mean - t.std, t.mean + t.std)).collect();
        let title = format!("{} (band: ± one deviation)", series.name);
        charts.push(chart(&title, STEPS, "reward per step", &[Series { band, ..series }]));
    }
    for (name, _) in &last.nodes.0 {
        let stats: Vec<(f64, &NodeStats)> =
            terms.iter().filter_map(|l| Some((l.env_steps as f64, l.nodes.get(name)?))).collect();
        let mut series = Series::line(name, stats.iter().map(|(steps, node)| (*steps, node.mean)));
        series.band = stats.iter().map(|(_, node)| (node.mean - node.std, node.mean + node.std)).collect();
        charts.push(chart(&format!("Node {name} (band: ± one deviation)"), STEPS, "per step", &[series]));
    }
    let constraints = metrics.last().map(|m| m.constraints.as_slice()).unwrap_or_default();
    for constraint in constraints {
        let constraint_line = |label: &str, number: fn(&ConstraintState) -> f64| {
            line(label, metrics, |m| Some(number(m.constraints.iter().find(|c| c.name == constraint.name)?)))
        };
        let lines = [
            constraint_line("mean", |c| c.mean),
            constraint_line("threshold", |c| c.threshold),
            constraint_line("multiplier", |c| c.multiplier),
        ];
        charts.push(chart(&format!("Constraint {}", constraint.name), STEPS, "per step", &lines));
    }
    for (name, _) in metrics.last().map(|m| m.metrics.0.as_slice()).unwrap_or_default() {
        let series = line(name, metrics, |m| m.metrics.get(name).copied().flatten());
        charts.push(chart(&format!("Metric {name}"), STEPS, "mean per step", &[series]));
    }
    charts
}

fn learner(metrics: &[MetricsLine]) -> Vec<Markup> {
    let single = |title: &str, unit: &str, number: fn(&MetricsLine) -> f64| {
        chart(title, STEPS, unit, &[line(title, metrics, |m| Some(number(m)))])
    };
    vec![
        single("Policy loss", "loss", |m| m.learner.policy_loss),
        single("Value loss", "loss", |m| m.learner.value_loss),
        single("KL divergence", "nats", |m| m.learner.kl),
        single("Learning rate", "rate", |m| m.learner.learning_rate),
        single("Entropy", "nats", |m| m.learner.entropy),
        single("Explained variance", "share", |m| m.learner.explained_variance),
        single("Clipped share", "share", |m| m.learner.clip_fraction),
        single("Throughput", "steps/s", |m| m.timing.env_steps_per_s),
    ]
}

fn settings(config: &RunConfig) -> Vec<(String, String)> {
    let learner = toml::Table::try_from(&config.learner).unwrap_or_default();
    let run = toml::Table::try_from(&config.run).unwrap_or_default();
    let mut rows: Vec<(String, String)> =
        config.reward_params.iter().map(|(name, value)| (format!("reward.{name}"), value.to_string())).collect();
    rows.extend(learner.iter().chain(&run).map(|(name, value)| (name.clone(), value.to_string())));
    rows.push(("version".into(), config.version.clone()));
    rows.extend(config.revision.clone().map(|revision| ("revision".into(), revision)));
    rows.extend(config.inputs.iter().map(|input| (input.path.clone(), format!("sha256 {}", input.sha256))));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::diagnose::{Diagnosis, Symptom};
    use crate::logs::Named;
    use crate::testing;
    use pavlov_learn::EpisodeStats;

    #[test]
    fn the_page_is_well_formed_with_and_without_data() {
        let (_dir, assets) = testing::assets("");
        let (task, mut reward) = testing::load(&assets);
        let config = RunConfig::resolve(&task, &mut reward, &Overrides::default()).unwrap();
        let odd = "a<b> & \"c\"\u{2}'</svg></style><script>alert(1)</script>";
        let metrics: Vec<MetricsLine> = (1..=3)
            .map(|i| MetricsLine {
                update: i,
                env_steps: 100 * i,
                ended: EpisodeStats { episode_return: (i > 1).then_some(i as f64), ..EpisodeStats::default() },
                metrics: Named(vec![(odd.into(), None)]),
                ..MetricsLine::default()
            })
            .collect();
        let stats = TermStats { mean: f64::NAN, std: 1.0, share: 0.5 };
        let node = NodeStats { mean: 1.0, std: f64::NAN };
        let nodes = Named(vec![(odd.into(), node)]);
        let terms = [TermsLine { update: 1, env_steps: 100, terms: Named(vec![(odd.into(), stats)]), nodes }];
        let summary = Summary { evaluation: Some(crate::Evaluation::default()), ..Summary::default() };
        let sources = [("inputs/reward/reward.rhai".to_string(), "if a < b && c > d { }".to_string())];
        for (metrics, terms, summary) in [(&metrics[..], &terms[..], Some(&summary)), (&[], &[], None)] {
            let symptoms = vec![Symptom::warning(odd, odd.into(), odd).term(odd)];
            let motion = vec![crate::diagnose::Motion { new_term: odd.into(), ..Default::default() }];
            let seen = Diagnosis { symptoms, motion, ..Diagnosis::default() };
            let seen = crate::diagnosis_html::section(&seen, summary);
            let config = RunConfig { task: odd.into(), reward: odd.into(), ..config.clone() };
            let html = render(odd, &config, metrics, terms, summary, &sources, None, &seen);
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
            let page = roxmltree::Document::parse_with_options(&html, options).unwrap();
            let charts = page.descendants().filter(|n| n.has_tag_name("svg")).count();
            assert_eq!(charts, if terms.is_empty() { 12 } else { 17 });
            assert!(html.contains("if a &lt; b &amp;&amp; c"));
            assert!(!page.descendants().any(|n| n.has_tag_name("script")), "what others wrote is text");
        }
    }
}
