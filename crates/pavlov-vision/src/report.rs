//! `report.html` of an audit: one file, pictures inside, no scripts.

use crate::{Audit, Swept, VisionError};
use base64::Engine;
use pavlov_render::Picture;
use pavlov_run::svg::{STYLE, Series, chart, escape};
use std::fmt::Write;
use std::path::Path;

fn png(picture: &Picture) -> String {
    let mut bytes = Vec::new();
    let image = image::RgbaImage::from_raw(picture.width, picture.height, picture.rgba.clone());
    if let Some(image) = image {
        // Writing to memory cannot fail.
        let _ = image.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png);
    }
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn number(x: Option<f64>) -> String {
    x.map_or_else(|| "-".into(), |x| format!("{x:.3}"))
}

fn sweep(out: &mut String, title: &str, rows: &[Swept]) {
    let _ = write!(
        out,
        "<h2>{title}</h2>\n<table>\n<tr><th></th><th>EPIC</th><th>AUROC</th><th>right comparisons</th></tr>\n"
    );
    for s in rows {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{:.0}%</td></tr>",
            escape(&s.name),
            number(s.epic),
            number(s.auroc),
            100.0 * s.diagonal
        );
    }
    out.push_str("</table>\n");
}

/// Writes the report of an audit.
///
/// # Errors
/// When the file cannot be written.
pub fn write_audit(audit: &Audit, file: &Path) -> Result<(), VisionError> {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>Vision audit</title><style>{STYLE}</style></head><body>\n<h1>Vision audit</h1>\n"
    );
    let _ = writeln!(
        out,
        "<p>Model <b>{}</b> by {}; alpha {}. Labels of frames are what each task's own <code>success</code> says.</p>",
        escape(&audit.model),
        escape(&audit.runtime),
        audit.alpha
    );
    out += "<h2>Prompts on their own rollouts</h2>\n<table>\n<tr><th>run</th><th>prompt</th><th>baseline</th><th>frames</th><th>labelled</th><th>EPIC</th><th>AUROC</th><th>AUROC, episodes</th><th>own above others</th></tr>\n";
    for r in &audit.runs {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0}%</td></tr>",
            escape(&r.run),
            escape(&r.prompt),
            escape(r.baseline.as_deref().unwrap_or("-")),
            r.frames,
            r.labelled,
            number(r.epic),
            number(r.auroc),
            number(r.episode_auroc),
            100.0 * r.own_above
        );
    }
    let _ = write!(
        out,
        "</table>\n<h2>Prompt by rollout</h2>\n<p>Mean scores. {:.0}% of comparisons are right: own rollout above another, own prompt above another.</p>\n<table>\n<tr><th></th>",
        100.0 * audit.diagonal
    );
    for r in &audit.runs {
        let _ = write!(out, "<th>{}</th>", escape(&r.run));
    }
    out += "</tr>\n";
    let flat = || audit.matrix.iter().flatten().copied();
    let (low, high) = (flat().fold(f64::INFINITY, f64::min), flat().fold(f64::NEG_INFINITY, f64::max));
    for (row, r) in audit.matrix.iter().zip(&audit.runs) {
        let _ = write!(out, "<tr><th>{}</th>", escape(&r.prompt));
        for x in row {
            let shade = (x - low) / (high - low).max(1e-9);
            let _ = write!(out, "<td style=\"background:rgba(60,140,220,{:.2})\">{x:.3}</td>", 0.6 * shade);
        }
        out += "</tr>\n";
    }
    out += "</table>\n<h2>Strength of the baseline</h2>\n<div class=\"charts\">\n";
    let line = |name: &str, f: fn(&Swept) -> Option<f64>| Series {
        name: name.into(),
        points: audit.alphas.iter().filter_map(|s| Some((s.name.parse().ok()?, f(s)?))).collect(),
        band: Vec::new(),
    };
    let lines = [line("AUROC", |s| s.auroc), line("EPIC", |s| s.epic), line("right comparisons", |s| Some(s.diagonal))];
    let _ = write!(out, "<figure>{}</figure>\n</div>\n", chart("alpha", "alpha", "", &lines));
    sweep(&mut out, "Cameras", &audit.cameras);
    sweep(&mut out, "Grounds", &audit.grounds);
    out += "<h2>Best and worst frames</h2>\n";
    for (r, pictures) in audit.runs.iter().zip(&audit.pictures) {
        let _ = write!(out, "<h3>{}: {}</h3>\n<p>", escape(&r.run), escape(&r.prompt));
        for (picture, score, label) in pictures {
            let _ = writeln!(
                out,
                "<span style=\"display:inline-block;margin:4px\"><img alt=\"frame\" width=\"160\" src=\"data:image/png;base64,{}\"/><br/>{score:.3}{}</span>",
                png(picture),
                if *label { ", success" } else { "" }
            );
        }
        out += "</p>\n";
    }
    out += "</body></html>\n";
    std::fs::write(file, out).map_err(|e| VisionError::Io { path: file.to_path_buf(), source: e })
}
