//! `report.html` of a search: the end, the graph of candidates, curves, distances, and every candidate with its gate and difference.

use crate::error::SearchError;
use crate::lineage::{At, Candidate, Lineage, Outcome, Status};
use crate::search::{End, Settings};
use crate::snapshot::Snapshot;
use crate::versus::{Sample, versus};
use crate::{Audit, search};
use pavlov_env::Task;
use pavlov_reward::Reward;
use pavlov_run::svg::{STYLE, Series, chart, escape, short};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Curves shown.
const CURVES: usize = 8;
/// Candidates whose distances are told.
const COMPARED: usize = 8;

/// Writes the report beside the lineage. With task and audit set it has the distances between the best candidates.
///
/// # Errors
/// When the lineage cannot be read or the page not written.
pub fn write_report(
    folder: &Path,
    lineage: &Lineage,
    with: Option<(&Task, &Audit, &rayon::ThreadPool)>,
) -> Result<PathBuf, SearchError> {
    let page = Snapshot::of(lineage)?;
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>Search {}</title><style>{STYLE}{OWN}</style></head><body>\n",
        escape(&page.settings.task)
    );
    let _ = writeln!(out, "<h1>Search for a reward: {}</h1>", escape(&page.settings.task));
    out += &head(&page, &lineage.times()?);
    out += "<h2>Candidates</h2>\n<p>A row an iteration. Lines go from parents to children; colour is fitness, from worst (pale) to best; hollow ones were refused at the gate and cost no training; the ring is the winner.</p>\n";
    out += &graph(&page);
    out += "<h2>Curves of the fittest</h2>\n<div class=\"charts\">\n";
    for c in curves(&page) {
        let _ = writeln!(out, "<figure>{c}</figure>");
    }
    out += "</div>\n";
    if let Some((task, audit, pool)) = with {
        out += &distances(&page, task, audit, pool);
    }
    out += "<h2>Every candidate</h2>\n";
    for c in &page.candidates {
        out += &one(&page, c);
    }
    out += "</body></html>\n";
    let path = folder.join("report.html");
    std::fs::write(&path, out).map_err(|e| SearchError::file("write", &path, e))?;
    Ok(path)
}

const OWN: &str = "details{margin:.3em 0}summary{cursor:pointer}.node{stroke:var(--fg);stroke-width:1}.edge{stroke:var(--dim);stroke-width:.7;fill:none;opacity:.6}.ring{fill:none;stroke:var(--c4);stroke-width:2.5}";

fn row(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
}

fn head(page: &Snapshot, times: &[(String, f64)]) -> String {
    let mut out = String::from("<table>\n");
    let s = &page.settings;
    row(&mut out, "mode", s.mode.name());
    row(&mut out, "generator", s.generator.name());
    row(
        &mut out,
        "asked for",
        &format!("{} iterations of {} candidates, {} steps each, seed {}", s.iterations, s.candidates, s.steps, s.seed),
    );
    row(&mut out, "reflection", if s.reflection { "on" } else { "off" });
    if let Some(e) = &page.end {
        let winner = e.winner.map_or("none".into(), |w| w.to_string());
        row(&mut out, "winner", &winner);
        let interval = |i: &crate::stats::Interval| {
            format!(
                "{} ({} to {}; {} seeds, {} to {})",
                short(i.iqm),
                short(i.low),
                short(i.high),
                i.n,
                short(i.min),
                short(i.max)
            )
        };
        row(&mut out, "fitness found, IQM (95% interval)", &interval(&e.found));
        row(&mut out, "fitness of the human reward", &interval(&e.human));
        let guarded = if e.guarded { " (denominator guarded)" } else { "" };
        row(&mut out, "human-normalised score", &format!("{:.2}{guarded}", e.human_normalised));
        row(&mut out, "success found, human", &format!("{:.0}%, {:.0}%", 100.0 * e.success[0], 100.0 * e.success[1]));
        row(&mut out, "candidates proposed, admitted", &format!("{}, {}", e.candidates[0], e.candidates[1]));
        let [a, b, c] = e.env_steps.map(|n| short(n as f64));
        row(&mut out, "environment steps", &format!("search {a}, finalists {b}, last training {c}"));
        if e.spent.requests > 0 {
            let s = e.spent;
            row(
                &mut out,
                "model",
                &format!("{} requests, {} + {} tokens, {:.4} money", s.requests, s.tokens_in, s.tokens_out, s.money),
            );
        }
        if e.comparisons > 0 {
            row(&mut out, "comparisons by the rater", &e.comparisons.to_string());
        }
    }
    for (what, seconds) in times {
        row(&mut out, &format!("clock time, {what}"), &format!("{seconds:.0} s"));
    }
    out + "</table>\n"
}

/// The graph as SVG: x is the place, y the iteration.
fn graph(page: &Snapshot) -> String {
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
    let [low, high] = page.range().unwrap_or_default();
    let (width, height) = (60.0 + dx * columns, 80.0 + dy * (rows - 1.0));
    let mut out = format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" xmlns=\"http://www.w3.org/2000/svg\">\n");
    for c in &shown {
        let Some((x, y)) = place(c.at) else { continue };
        for p in &c.parents {
            // A repaired candidate's parent is the refused attempt at the same place.
            if (p.iteration, p.place) != (c.at.iteration, c.at.place)
                && let Some((px, py)) = place(*p)
            {
                let m = 0.5 * (y + py);
                let _ = writeln!(
                    out,
                    "<path class=\"edge\" d=\"M{px:.1} {py:.1} C{px:.1} {m:.1} {x:.1} {m:.1} {x:.1} {y:.1}\"/>"
                );
            }
        }
    }
    for c in &shown {
        let Some((x, y)) = place(c.at) else { continue };
        let fitness = page.fitness(c.at);
        let share = fitness.map(|f| if high > low { (f - low) / (high - low) } else { 1.0 });
        let fill = share
            .map_or("none".into(), |s| format!("color-mix(in srgb, var(--c2) {:.0}%, var(--bg))", 10.0 + 90.0 * s));
        let title = format!(
            "{} {} {}{}",
            c.at,
            c.operator,
            c.status.name(),
            fitness.map_or(String::new(), |f| format!(" fitness {}", short(f)))
        );
        let _ = writeln!(
            out,
            "<a href=\"#c{}\"><circle class=\"node\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\" style=\"fill:{fill}\"><title>{}</title></circle></a>",
            anchor(c.at),
            escape(&title)
        );
        if page.winner() == Some(c.at) {
            let _ = writeln!(out, "<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"13\"/>");
        }
        let text = fitness.map_or_else(|| c.status.name().to_string(), short);
        let _ = writeln!(
            out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y + 24.0,
            escape(&text)
        );
    }
    out + "</svg>\n"
}

fn anchor(at: At) -> String {
    at.to_string().replace(['.', '/'], "-")
}

fn series(name: &str, o: &Outcome, f: impl Fn(&crate::lineage::Point) -> Option<f64>) -> Series {
    let points = o.curve.iter().filter_map(|p| Some((p.env_steps as f64, f(p)?))).collect();
    Series { name: name.into(), points, band: Vec::new() }
}

fn curves(page: &Snapshot) -> Vec<String> {
    let best: Vec<(String, &Outcome)> = page
        .ranked()
        .into_iter()
        .take(CURVES)
        .filter_map(|(_, c)| {
            Some((c.at.to_string(), page.outcomes.iter().find(|o| o.at == Some(c.at) && o.stage == "search")?))
        })
        .collect();
    let of = |title: &str, unit: &str, f: &dyn Fn(&crate::lineage::Point) -> Option<f64>| {
        let all: Vec<Series> = best.iter().map(|(name, o)| series(name, o, f)).collect();
        chart(title, "environment steps", unit, &all)
    };
    let mut charts = vec![
        of("Fitness of training episodes", "fitness", &|p| p.fitness),
        of("Success of training episodes", "share", &|p| p.success),
        of("Episode length", "control steps", &|p| p.length),
    ];
    let finals = |at: Option<At>| page.outcomes.iter().filter(move |o| o.stage == "final" && o.at == at);
    if let Some(winner) = page.winner() {
        let own = |at: Option<At>, name: &str| -> Vec<Series> {
            finals(at).map(|o| series(&format!("{name} {}", o.seed), o, |p| p.fitness)).collect()
        };
        let mut all = own(Some(winner), "found");
        all.extend(own(None, "human"));
        charts.push(chart("Last training, a line a seed", "environment steps", "fitness", &all));
    }
    charts
}

fn distances(page: &Snapshot, task: &Task, audit: &Audit, pool: &rayon::ThreadPool) -> String {
    let load = |(_, c): (f64, &Candidate)| search::load(task, &c.at.to_string(), &c.script, &c.manifest).ok();
    let rewards: Vec<Reward> = page.ranked().into_iter().take(COMPARED).filter_map(load).collect();
    if rewards.len() < 2 {
        return String::new();
    }
    let refs: Vec<&Reward> = rewards.iter().collect();
    let mut out = String::from("<h2>STARC distances of the fittest (VAL, on the audit set)</h2>\n");
    match versus(&refs, task, &Sample::of_audit(audit), false, pool) {
        Ok(v) => {
            out += "<table>\n<tr><th></th>";
            v.rewards.iter().for_each(|n| out += &format!("<th>{}</th>", escape(n)));
            out += "</tr>\n";
            for (name, line) in v.rewards.iter().zip(&v.val.0) {
                let _ = write!(out, "<tr><th>{}</th>", escape(name));
                line.iter().for_each(|x| out += &format!("<td>{x:.2}</td>"));
                out += "</tr>\n";
            }
            out + "</table>\n"
        }
        Err(e) => out + format!("<p>They cannot be told: {}</p>\n", escape(&e.to_string())).as_str(),
    }
}

fn one(page: &Snapshot, c: &Candidate) -> String {
    let fitness = page.fitness(c.at).map_or(String::new(), |f| format!(", fitness {}", short(f)));
    let mut out = format!(
        "<details id=\"c{}\"><summary>{} {}: {}{fitness}</summary>\n",
        anchor(c.at),
        c.at,
        escape(&c.operator),
        c.status.name()
    );
    let parents: Vec<String> = c.parents.iter().map(|p| format!("<a href=\"#c{}\">{p}</a>", anchor(*p))).collect();
    if !parents.is_empty() {
        let _ = writeln!(out, "<p>from {}</p>", parents.join(", "));
    }
    if !c.detail.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&c.detail));
    }
    if let Some(hash) = &c.prompt {
        let _ = writeln!(out, "<p>request {}</p>", escape(hash));
    }
    if c.status != Status::Refused {
        let distances: Vec<String> = c.verdict.distances.iter().map(|(n, d)| format!("{} {d:.2}", escape(n))).collect();
        let rank = c.verdict.good_rank.map_or("-".into(), |r| r.to_string());
        let kendall = c.verdict.fitness_kendall.map_or("-".into(), |k| format!("{k:.2}"));
        let _ = writeln!(
            out,
            "<p>gate: admitted; the good behaviour is number {rank}, rank correlation with fitness {kendall}; STARC distance {}</p>",
            distances.join(", ")
        );
    }
    for (kind, list) in [("error", &c.verdict.errors), ("warning", &c.verdict.warnings)] {
        for r in list {
            let _ = writeln!(out, "<p>{kind}: {}</p>", escape(&r.to_string()));
        }
    }
    for text in [&c.script, &c.manifest, &c.diff] {
        if !text.trim().is_empty() {
            let cut: String = text.chars().take(20_000).collect();
            let _ = writeln!(out, "<pre>{}</pre>", escape(&cut));
        }
    }
    out + "</details>\n"
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
    let folder = rewards.join(&settings.task).join(name);
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
        std::fs::write(&path, text).map_err(|e| SearchError::file("write", &path, e))?;
    }
    Ok(folder)
}
