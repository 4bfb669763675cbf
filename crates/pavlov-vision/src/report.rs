//! `report.html` of an audit: one file, pictures inside, no scripts.

use crate::{Audit, Swept, VisionError};
use base64::Engine;
use maud::{Markup, html};
use pavlov_common::atomic;
use pavlov_common::chart::{Series, chart};
use pavlov_common::page::{gallery, page};
use pavlov_common::stats::range;
use pavlov_render::Picture;
use std::path::Path;

fn png(picture: &Picture) -> String {
    // A picture that was drawn or read has pixels, and writing to memory cannot fail.
    base64::engine::general_purpose::STANDARD.encode(picture.png().unwrap_or_default())
}

fn number(x: Option<f64>) -> String {
    x.map_or_else(|| "-".into(), |x| format!("{x:.3}"))
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

fn sweep(title: &str, rows: &[Swept]) -> Markup {
    html! {
        h2 { (title) }
        table {
            tr { th {} th { "EPIC" } th { "AUROC" } th { "right comparisons" } }
            @for s in rows {
                tr {
                    th { (s.name) }
                    td { (number(s.epic)) }
                    td { (number(s.auroc)) }
                    td { (percent(s.diagonal)) }
                }
            }
        }
    }
}

/// Each run's prompt on the run's own rollouts.
fn prompts(audit: &Audit) -> Markup {
    const HEADS: [&str; 9] =
        ["run", "prompt", "baseline", "frames", "labelled", "EPIC", "AUROC", "AUROC, episodes", "own above others"];
    html! {
        h2 { "Prompts on their own rollouts" }
        table {
            tr { @for head in HEADS { th { (head) } } }
            @for r in &audit.runs {
                tr {
                    th { (r.run) }
                    td { (r.prompt) }
                    td { (r.baseline.as_deref().unwrap_or("-")) }
                    td { (r.frames) }
                    td { (r.labelled) }
                    td { (number(r.epic)) }
                    td { (number(r.auroc)) }
                    td { (number(r.episode_auroc)) }
                    td { (percent(r.own_above)) }
                }
            }
        }
    }
}

/// Mean scores of every prompt on every run's rollouts, darker where higher.
fn matrix(audit: &Audit) -> Markup {
    let (low, high) = range(audit.matrix.iter().flatten().copied()).unwrap_or_default();
    let shade = |x: f64| format!("background:rgba(60,140,220,{:.2})", 0.6 * (x - low) / (high - low).max(1e-9));
    html! {
        h2 { "Prompt by rollout" }
        p {
            "Mean scores. " (percent(audit.diagonal))
            " of comparisons are right: own rollout above another, own prompt above another."
        }
        table {
            tr { th {} @for r in &audit.runs { th { (r.run) } } }
            @for (row, r) in audit.matrix.iter().zip(&audit.runs) {
                tr {
                    th { (r.prompt) }
                    @for x in row { td style=(shade(*x)) { (format!("{x:.3}")) } }
                }
            }
        }
    }
}

fn frames(audit: &Audit) -> Markup {
    html! {
        h2 { "Best and worst frames" }
        @for (r, pictures) in audit.runs.iter().zip(&audit.pictures) {
            h3 { (r.run) ": " (r.prompt) }
            p {
                @for (picture, score, label) in pictures {
                    span.frame {
                        img alt="frame" width="160" src={ "data:image/png;base64," (png(picture)) };
                        br;
                        (format!("{score:.3}")) @if *label { ", success" }
                    }
                }
            }
        }
    }
}

/// Writes the report of an audit.
///
/// # Errors
/// When the file cannot be written.
pub fn write_audit(audit: &Audit, file: &Path) -> Result<(), VisionError> {
    let over_alpha = |name: &str, number: fn(&Swept) -> Option<f64>| {
        Series::line(name, audit.alphas.iter().filter_map(|s| Some((s.name.parse().ok()?, number(s)?))))
    };
    let lines = [
        over_alpha("AUROC", |s| s.auroc),
        over_alpha("EPIC", |s| s.epic),
        over_alpha("right comparisons", |s| Some(s.diagonal)),
    ];
    let body = html! {
        h1 { "Vision audit" }
        p {
            "Model " b { (audit.model) } " by " (audit.runtime) "; alpha " (audit.alpha)
            ". Labels of frames are what each task's own " code { "success" } " says."
        }
        (prompts(audit))
        (matrix(audit))
        h2 { "Strength of the baseline" }
        (gallery([chart("alpha", "alpha", "", &lines)]))
        (sweep("Cameras", &audit.cameras))
        (sweep("Grounds", &audit.grounds))
        (frames(audit))
    };
    atomic::write(file, page("Vision audit", &body).as_bytes())
        .map_err(|e| VisionError::Io { path: e.path, source: e.source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Judged;

    #[test]
    fn what_others_wrote_is_text_in_the_page() {
        let odd = "a<b> & \"c\"'</svg></style><script>alert(1)</script>";
        let judged = Judged {
            run: odd.into(),
            task: odd.into(),
            prompt: odd.into(),
            baseline: Some(odd.into()),
            frames: 2,
            labelled: 1,
            epic: Some(0.5),
            auroc: None,
            episode_auroc: None,
            own_above: 1.0,
        };
        let swept = |name: &str| Swept { name: name.into(), epic: Some(0.5), auroc: Some(f64::NAN), diagonal: 0.5 };
        let picture = Picture { width: 1, height: 1, rgba: vec![1, 2, 3, 255] };
        let audit = Audit {
            model: odd.into(),
            runtime: odd.into(),
            alpha: 0.5,
            runs: vec![judged],
            matrix: vec![vec![0.5]],
            diagonal: 1.0,
            alphas: vec![swept("0"), swept("1")],
            cameras: vec![swept(odd)],
            grounds: vec![swept(odd)],
            pictures: vec![vec![(picture, 0.5, true)]],
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report.html");
        write_audit(&audit, &file).unwrap();
        let html = std::fs::read_to_string(file).unwrap();
        assert!(html.contains("a&lt;b&gt; &amp; ") && !html.contains("<script"), "{html}");
    }
}
