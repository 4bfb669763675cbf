//! `report.html` of a search: the end, the graph of candidates, curves, distances, and every candidate with its gate
//! and difference.

use crate::error::SearchError;
use crate::lineage::{At, Candidate, Lineage, Outcome, Status};
use crate::sample::Sample;
use crate::search::{End, Settings};
use crate::snapshot::Snapshot;
use crate::versus::{versus, written};
use crate::{Audit, search};
use maud::{Markup, html};
use pavlov_common::atomic;
use pavlov_common::chart::{Series, chart};
use pavlov_common::page::{facts, gallery, page, short};
use pavlov_env::Task;
use pavlov_reward::Reward;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Curves shown.
const CURVES: usize = 8;
/// Candidates whose distances are told.
const COMPARED: usize = 8;
/// Characters shown of a text.
const LONGEST: usize = 20_000;

/// Writes the report beside the lineage. With task and audit set it has the distances between the best candidates.
///
/// # Errors
/// When the lineage cannot be read or the page not written.
pub fn write_report(
    folder: &Path,
    lineage: &Lineage,
    with: Option<(&Task, &Audit, &rayon::ThreadPool)>,
) -> Result<PathBuf, SearchError> {
    let snapshot = Snapshot::of(lineage)?;
    let times = lineage.times()?;
    let body = html! {
        h1 { "Search for a reward: " (snapshot.settings.task_name()) }
        (facts(head(&snapshot, &times)))
        h2 { "Candidates" }
        p {
            "A row an iteration. Lines go from parents to children; colour is fitness, from worst (pale) to best; hollow \
             ones were refused at the gate and cost no training; the ring is the winner."
        }
        (graph(&snapshot))
        h2 { "Curves of the fittest" }
        (gallery(curves(&snapshot)))
        @if let Some((task, audit, pool)) = with { (distances(&snapshot, task, audit, pool)) }
        h2 { "Every candidate" }
        @for candidate in &snapshot.candidates { (details(&snapshot, candidate)) }
    };
    let path = folder.join("report.html");
    let html = page(&format!("Search {}", snapshot.settings.task_name()), &body);
    atomic::write_in(folder, &path, html.as_bytes()).map_err(|e| SearchError::file("write", &e.path, e.source))?;
    Ok(path)
}

fn head(page: &Snapshot, times: &[(String, f64)]) -> Vec<(String, String)> {
    let s = &page.settings;
    let steps =
        format!("{} iterations of {} candidates, {} steps each, seed {}", s.iterations, s.candidates, s.steps, s.seed);
    let mut rows: Vec<(String, String)> = vec![
        ("mode".into(), s.mode.name().into()),
        ("generator".into(), s.generator.name().into()),
        ("asked for".into(), steps),
        ("reflection".into(), if s.reflection { "on" } else { "off" }.into()),
    ];
    rows.extend(page.end.as_ref().map(outcome).into_iter().flatten().map(|(name, value)| (name.into(), value)));
    rows.extend(times.iter().map(|(stage, seconds)| (format!("clock time, {stage}"), format!("{seconds:.0} s"))));
    rows
}

/// What came of the search.
fn outcome(end: &End) -> Vec<(&'static str, String)> {
    let interval = |i: &crate::stats::Interval| {
        let [iqm, low, high, min, max] = [i.iqm, i.low, i.high, i.min, i.max].map(short);
        format!("{iqm} ({low} to {high}; {} seeds, {min} to {max})", i.n)
    };
    let guarded = if end.guarded { " (denominator guarded)" } else { "" };
    let [search, finalists, last] = end.env_steps.map(|n| short(n as f64));
    let mut rows = vec![
        ("winner", end.winner.map_or("none".into(), |w| w.to_string())),
        ("fitness found, IQM (95% interval)", interval(&end.found)),
        ("fitness of the human reward", interval(&end.human)),
        ("human-normalised score", format!("{:.2}{guarded}", end.human_normalised)),
        ("its floor", end.floor_text()),
        ("success found, human", format!("{:.0}%, {:.0}%", 100.0 * end.success[0], 100.0 * end.success[1])),
        ("candidates proposed, admitted", format!("{}, {}", end.candidates[0], end.candidates[1])),
        ("environment steps", format!("search {search}, finalists {finalists}, last training {last}")),
    ];
    if end.spent.requests > 0 {
        let s = end.spent;
        let spent = format!("{} requests, {} + {} tokens, {:.4} money", s.requests, s.tokens_in, s.tokens_out, s.money);
        rows.push(("model", spent));
    }
    if end.comparisons > 0 {
        rows.push(("comparisons by the rater", end.comparisons.to_string()));
    }
    rows
}

/// The graph as SVG: x is the place, y the iteration.
fn graph(page: &Snapshot) -> Markup {
    let shown: Vec<&Candidate> = page.nodes().iter().map(|n| &page.candidates[n.candidate]).collect();
    let columns = page.nodes().iter().map(|n| n.column + 1).max().unwrap_or(1) as f64;
    let rows = page.nodes().iter().map(|n| n.row + 1).max().unwrap_or(1) as f64;
    let (dx, dy) = ((1000.0 / columns).min(90.0), 80.0);
    let places: BTreeMap<(u32, u32), (f64, f64)> = (page.nodes().iter().zip(&shown))
        .map(|(n, c)| {
            let place = (30.0 + dx * (n.column as f64 + 0.5), 40.0 + dy * n.row as f64);
            ((c.at.iteration, c.at.place), place)
        })
        .collect();
    let place = |at: At| places.get(&(at.iteration, at.place)).copied();
    let (width, height) = (60.0 + dx * columns, 80.0 + dy * (rows - 1.0));
    html! {
        svg viewBox=(format!("0 0 {width:.0} {height:.0}")) xmlns="http://www.w3.org/2000/svg" {
            @for (c, (x, y)) in shown.iter().filter_map(|c| Some((c, place(c.at)?))) {
                // A repaired candidate's parent is the refused attempt at the same place.
                @let others = c.parents.iter().filter(|p| (p.iteration, p.place) != (c.at.iteration, c.at.place));
                @for (px, py) in others.filter_map(|p| place(*p)) {
                    @let m = 0.5 * (y + py);
                    path.edge d=(format!("M{px:.1} {py:.1} C{px:.1} {m:.1} {x:.1} {m:.1} {x:.1} {y:.1}")) {}
                }
            }
            @for (c, place) in shown.iter().filter_map(|c| Some((c, place(c.at)?))) { (node(page, c, place)) }
        }
    }
}

/// A candidate in the graph, with a link to its details.
fn node(page: &Snapshot, c: &Candidate, (x, y): (f64, f64)) -> Markup {
    let [low, high] = page.range().unwrap_or_default();
    let fitness = page.fitness(c.at);
    let share = fitness.map(|f| if high > low { (f - low) / (high - low) } else { 1.0 });
    let fill = share
        .map_or("var(--bg)".into(), |s| format!("color-mix(in srgb, var(--c2) {:.0}%, var(--bg))", 10.0 + 90.0 * s));
    let (cx, cy) = (format!("{x:.1}"), format!("{y:.1}"));
    html! {
        a href={ "#c" (anchor(c.at)) } {
            circle.node cx=(cx) cy=(cy) r="9" style={ "fill:" (fill) } {
                title {
                    (c.at.to_string()) " " (c.operator) " " (c.status.name())
                    @if let Some(f) = fitness { " fitness " (short(f)) }
                }
            }
        }
        @if page.winner() == Some(c.at) { circle.ring cx=(cx) cy=(cy) r="13" {} }
        text.tick text-anchor="middle" x=(cx) y=(format!("{:.1}", y + 24.0)) {
            (fitness.map_or_else(|| c.status.name().to_string(), short))
        }
    }
}

fn anchor(at: At) -> String {
    at.to_string().replace(['.', '/'], "-")
}

fn series(name: &str, o: &Outcome, number: impl Fn(&crate::lineage::Point) -> Option<f64>) -> Series {
    Series::line(name, o.curve.iter().filter_map(|p| Some((p.env_steps as f64, number(p)?))))
}

fn curves(page: &Snapshot) -> Vec<Markup> {
    let best: Vec<(String, &Outcome)> = page
        .ranked()
        .into_iter()
        .take(CURVES)
        .filter_map(|(_, c)| {
            Some((c.at.to_string(), page.outcomes.iter().find(|o| o.at == Some(c.at) && o.stage == "search")?))
        })
        .collect();
    let over_steps = |title: &str, unit: &str, number: fn(&crate::lineage::Point) -> Option<f64>| {
        let all: Vec<Series> = best.iter().map(|(name, o)| series(name, o, number)).collect();
        chart(title, "environment steps", unit, &all)
    };
    let mut charts = vec![
        over_steps("Fitness of training episodes", "fitness", |p| p.fitness),
        over_steps("Success of training episodes", "share", |p| p.success),
        over_steps("Episode length", "control steps", |p| p.length),
    ];
    if let Some(winner) = page.winner() {
        let finals = |at: Option<At>, name: &str| -> Vec<Series> {
            let outcomes = page.outcomes.iter().filter(|o| o.stage == "final" && o.at == at);
            outcomes.map(|o| series(&format!("{name} {}", o.seed), o, |p| p.fitness)).collect()
        };
        let all = [finals(Some(winner), "found"), finals(None, "human")].concat();
        charts.push(chart("Last training, a line a seed", "environment steps", "fitness", &all));
    }
    charts
}

fn distances(page: &Snapshot, task: &Task, audit: &Audit, pool: &rayon::ThreadPool) -> Markup {
    let load = |(_, c): (f64, &Candidate)| search::load(task, &c.at.to_string(), &c.script, &c.manifest).ok();
    let rewards: Vec<Reward> = page.ranked().into_iter().take(COMPARED).filter_map(load).collect();
    if rewards.len() < 2 {
        return Markup::default();
    }
    let refs: Vec<&Reward> = rewards.iter().collect();
    html! {
        h2 { "STARC distances of the fittest (VAL, on the audit set)" }
        p {
            "0: the same order of policies; 1: the opposite. With the standard error; minimal where the audit set tells \
             too little of values."
        }
        @match versus(&refs, task, &Sample::of_audit(audit), false, pool) {
            Ok(found) => {
                table {
                    tr { th {} @for name in &found.rewards { th { (name) } } }
                    @for (i, name) in found.rewards.iter().enumerate() {
                        tr { th { (name) } @for j in 0..found.rewards.len() { td { (written(&found.starc(i, j))) } } }
                    }
                }
            }
            Err(e) => { p { "They cannot be told: " (e.to_string()) } }
        }
    }
}

/// A candidate with what the gate said of it and its texts, folded until it is clicked.
fn details(page: &Snapshot, c: &Candidate) -> Markup {
    html! {
        details id={ "c" (anchor(c.at)) } {
            summary {
                (c.at.to_string()) " " (c.operator) ": " (c.status.name())
                @if let Some(f) = page.fitness(c.at) { ", fitness " (short(f)) }
            }
            @if !c.parents.is_empty() {
                p {
                    "from "
                    @for (i, parent) in c.parents.iter().enumerate() {
                        @if i > 0 { ", " }
                        a href={ "#c" (anchor(*parent)) } { (parent.to_string()) }
                    }
                }
            }
            @if !c.detail.is_empty() { p { (c.detail) } }
            @if let Some(hash) = &c.prompt { p { "request " (hash) } }
            @if c.status != Status::Refused { p { (admission(c)) } }
            @for (kind, list) in [("error", &c.verdict.errors), ("warning", &c.verdict.warnings)] {
                @for finding in list { p { (kind) ": " (finding.to_string()) } }
            }
            @for text in [&c.script, &c.manifest, &c.diff] {
                @if !text.trim().is_empty() { pre { (text.chars().take(LONGEST).collect::<String>()) } }
            }
        }
    }
}

/// What the gate measured of a candidate that it let through.
fn admission(c: &Candidate) -> String {
    let distances: Vec<String> = c.verdict.distances.iter().map(ToString::to_string).collect();
    let rank = c.verdict.good_rank.map_or("-".into(), |r| r.to_string());
    let kendall = c.verdict.fitness_kendall.map_or("-".into(), |k| format!("{k:.2}"));
    format!(
        "gate: admitted; the good behaviour is number {rank}, rank correlation with fitness {kendall}; STARC distance \
         {}",
        distances.join(", ")
    )
}

/// Writes a candidate to `rewards/<task>/<name>`; gives the folder.
///
/// # Errors
/// When there is no such candidate, it was refused, or the folder is there already.
pub fn promote(lineage: &Lineage, at: Option<At>, rewards: &Path, name: &str) -> Result<PathBuf, SearchError> {
    let settings: Settings = lineage.get("settings")?.unwrap_or_default();
    let end: Option<End> = lineage.get("end")?;
    let winner = || end.as_ref().and_then(|e| e.winner);
    let at = at.or_else(winner).ok_or_else(|| {
        SearchError::Usage("the search has no winner yet: name a candidate with --candidate, for example 2.7".into())
    })?;
    let all = lineage.candidates()?;
    let c = all.iter().find(|c| c.at == at);
    let c = c.ok_or_else(|| SearchError::Usage(format!("there is no candidate {at}")))?;
    if c.status == Status::Refused {
        let why = c.verdict.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(SearchError::Usage(format!("candidate {at} was refused: {why}")));
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(SearchError::Usage(format!("name `{name}`: expected letters, digits, _ and -")));
    }
    let folder = rewards.join(settings.task_name()).join(name);
    if folder.exists() {
        return Err(SearchError::Usage(format!("{} exists already: choose another --name", folder.display())));
    }
    std::fs::create_dir_all(&folder).map_err(|e| SearchError::file("create", &folder, e))?;
    let mut manifest: toml::Table =
        toml::from_str(&c.manifest).map_err(|e| SearchError::Usage(format!("manifest of {at}: {e}")))?;
    let note = match &end {
        Some(e) if e.winner == Some(at) => {
            format!("fitness {:.4} ({:.4} to {:.4}) over {} seeds", e.found.iqm, e.found.low, e.found.high, e.found.n)
        }
        _ => String::from("not trained to the end"),
    };
    manifest.insert("notes".into(), format!("candidate {at} of a search with seed {}: {note}", settings.seed).into());
    let text = toml::to_string(&manifest).map_err(|e| SearchError::Usage(e.to_string()))?;
    for (file, text) in [("reward.rhai", &c.script), ("reward.toml", &text)] {
        let path = folder.join(file);
        atomic::write(&path, text.as_bytes()).map_err(|e| SearchError::file("write", &e.path, e.source))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::{Answer, Exchange, Verdict};

    #[test]
    fn what_others_wrote_is_text_in_the_page() {
        let odd = String::from("a<b> & \"c\"'</svg></style><script>alert(1)</script>");
        let dir = tempfile::tempdir().unwrap();
        let lineage = Lineage::open(dir.path()).unwrap();
        lineage.set("settings", &Settings { task: odd.clone(), ..Settings::default() }).unwrap();
        for (place, status) in [(0, Status::Refused), (1, Status::Trained)] {
            let candidate = Candidate {
                at: At::new(0, place),
                operator: odd.clone(),
                detail: odd.clone(),
                script: odd.clone(),
                manifest: odd.clone(),
                diff: odd.clone(),
                prompt: Some(odd.clone()),
                verdict: Verdict {
                    distances: vec![serde_json::from_value(serde_json::json!([odd, 0.5])).unwrap()],
                    ..Verdict::default()
                },
                status,
                ..Candidate::default()
            };
            lineage.put(&candidate).unwrap();
        }
        lineage.took(&odd, 1.0).unwrap();
        lineage.put_exchange(&Exchange { at: At::new(0, 1), reply: odd.clone(), ..Exchange::default() }).unwrap();
        lineage.put_answer(&Answer { rater: odd.clone(), text: odd.clone(), ..Answer::default() }).unwrap();
        let path = write_report(dir.path(), &lineage, None).unwrap();
        let html = std::fs::read_to_string(path).unwrap();
        assert!(html.contains("a&lt;b&gt; &amp; ") && !html.contains("<script"), "{html}");
    }
}
