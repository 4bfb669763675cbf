//! Curves of training runs: read from `metrics.jsonl` and `terms.jsonl`, smoothed, several runs over each other.

use crate::theme::{self, Theme};
use egui_plot::{Legend, Line, Plot, PlotPoints};
use pavlov_run::{MetricsLine, RunFolder, TermsLine, read_lines};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What the horizontal axis is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Along {
    /// Environment steps.
    #[default]
    Steps,
    /// Seconds of training.
    Seconds,
}

/// The curves of one run. A value that an update does not have is NaN.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunCurves {
    /// Environment steps at each update.
    pub steps: Vec<f64>,
    /// Seconds trained at each update.
    pub seconds: Vec<f64>,
    /// `[curve][update]` with the curves' names: `fitness`, `term forward`, ...
    pub series: Vec<(String, Vec<f64>)>,
}

impl RunCurves {
    /// Reads what a run has logged so far.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(run: &Path) -> Result<Self, String> {
        let folder = RunFolder::open(run).map_err(|e| e.to_string())?;
        let metrics: Vec<MetricsLine> = read_lines(&folder.metrics()).map_err(|e| e.to_string())?;
        let terms: Vec<TermsLine> = read_lines(&folder.terms()).map_err(|e| e.to_string())?;
        Ok(Self::new(&metrics, &terms))
    }

    fn new(metrics: &[MetricsLine], terms: &[TermsLine]) -> Self {
        let mut series: Vec<(String, Vec<f64>)> = Vec::new();
        type Read = fn(&MetricsLine) -> Option<f64>;
        let plain: [(&str, Read); 9] = [
            ("fitness", |l| l.fitness.or(l.recent_fitness)),
            ("return", |l| l.ended.episode_return),
            ("success", |l| l.success),
            ("episode length", |l| l.ended.episode_length),
            ("reward per step", |l| Some(l.reward_mean)),
            ("entropy", |l| Some(l.learner.entropy)),
            ("kl", |l| Some(l.learner.kl)),
            ("explained variance", |l| Some(l.learner.explained_variance)),
            ("steps per second", |l| Some(l.timing.env_steps_per_s)),
        ];
        for (name, value_of) in plain {
            series.push((name.into(), metrics.iter().map(|l| value_of(l).unwrap_or(f64::NAN)).collect()));
        }
        let n = metrics.len();
        let mut put = |name: String, update: usize, value: f64| {
            let name = pavlov_common::plain(&name);
            let known = series.iter().position(|(n, _)| *n == name);
            let place = known.unwrap_or_else(|| {
                series.push((name, vec![f64::NAN; n]));
                series.len() - 1
            });
            series[place].1[update] = value;
        };
        let mut lines = terms.iter().peekable();
        for (i, line) in metrics.iter().enumerate() {
            while lines.next_if(|t| t.update < line.update).is_some() {}
            if let Some(terms) = lines.next_if(|t| t.update == line.update) {
                for (name, stats) in &terms.terms.0 {
                    put(format!("term {name}"), i, stats.mean);
                    put(format!("share of {name}"), i, stats.share);
                }
                terms.nodes.0.iter().for_each(|(name, stats)| put(format!("node {name}"), i, stats.mean));
            }
            for (name, value) in &line.metrics.0 {
                put(format!("metric {name}"), i, value.unwrap_or(f64::NAN));
            }
        }
        let column = |value_of: fn(&MetricsLine) -> f64| metrics.iter().map(value_of).collect();
        Self { steps: column(|l| l.env_steps as f64), seconds: column(|l| l.timing.elapsed_s), series }
    }

    /// Points of a curve, without what is missing.
    pub fn points(&self, name: &str, along: Along) -> Vec<[f64; 2]> {
        let x = match along {
            Along::Steps => &self.steps,
            Along::Seconds => &self.seconds,
        };
        let Some((_, y)) = self.series.iter().find(|(n, _)| n == name) else { return Vec::new() };
        x.iter().zip(y).filter(|(_, y)| y.is_finite()).map(|(&x, &y)| [x, y]).collect()
    }
}

/// Exponential moving average with weight `w` in [0, 1) on what came before, freed of its bias to zero as TensorBoard
/// does it.
pub fn smooth(points: &[[f64; 2]], w: f64) -> Vec<[f64; 2]> {
    let (mut mean, mut weight) = (0.0, 0.0);
    points
        .iter()
        .map(|&[x, y]| {
            mean = w * mean + (1.0 - w) * y;
            weight = w * weight + (1.0 - w);
            [x, mean / weight]
        })
        .collect()
}

/// One run as it is drawn.
pub(crate) struct Shown<'a> {
    pub name: String,
    pub colour: egui::Color32,
    pub curves: &'a Arc<RunCurves>,
}

/// What is chosen for the plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurvesView {
    /// Name of the curve.
    pub measure: String,
    /// Horizontal axis.
    pub along: Along,
    /// Weight on what came before, 0 to 0.99.
    pub smoothing: f64,
}

impl Default for CurvesView {
    fn default() -> Self {
        Self { measure: "fitness".into(), along: Along::Steps, smoothing: 0.6 }
    }
}

/// Controls and plot.
pub(crate) fn ui(ui: &mut egui::Ui, theme: Theme, view: &mut CurvesView, shown: &[Shown<'_>], waiting: bool) {
    let mut names: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in shown.iter().flat_map(|s| &s.curves.series) {
        if seen.insert(name.as_str()) {
            names.push(name);
        }
    }
    ui.horizontal_wrapped(|ui| {
        let label = ui.label("Curve");
        egui::ComboBox::from_id_salt("curve")
            .selected_text(&view.measure)
            .height(320.0)
            .width(150.0)
            .show_ui(ui, |ui| {
                for name in &names {
                    ui.selectable_value(&mut view.measure, (*name).to_string(), *name);
                }
            })
            .response
            .labelled_by(label.id);
        ui.selectable_value(&mut view.along, Along::Steps, "Steps").on_hover_text("Environment steps");
        ui.selectable_value(&mut view.along, Along::Seconds, "Seconds").on_hover_text("Seconds of training");
    });
    // On a line of its own: a slider with its text is not wrapped.
    ui.add(egui::Slider::new(&mut view.smoothing, 0.0..=0.99).fixed_decimals(2).text("Smoothing"));
    if shown.is_empty() {
        let text = if waiting { "Reading ..." } else { "Tick runs in the list to lay their curves over each other." };
        ui.weak(text);
        return;
    }
    let missing: Vec<&str> = shown
        .iter()
        .filter(|s| s.curves.points(&view.measure, view.along).is_empty())
        .map(|s| s.name.as_str())
        .collect();
    if !missing.is_empty() {
        ui.weak(format!("No \"{}\" yet in: {}", view.measure, missing.join(", ")));
    }
    let x = match view.along {
        Along::Steps => "environment steps",
        Along::Seconds => "seconds",
    };
    let height = ui.available_height().clamp(180.0, 420.0);
    Plot::new("curves")
        .height(height)
        .legend(Legend::default().background_alpha(0.7))
        .x_axis_label(x)
        .x_axis_formatter(|mark, _| short_axis(mark.value))
        .allow_scroll(false)
        .show(ui, |plot| {
            for run in shown {
                let raw = run.curves.points(&view.measure, view.along);
                let colour =
                    if view.measure == "fitness" && shown.len() == 1 { theme::fitness(theme) } else { run.colour };
                let smoothed = smooth(&raw, view.smoothing);
                if view.smoothing > 0.0 {
                    let faint = colour.gamma_multiply(0.3);
                    plot.line(Line::new("", PlotPoints::new(raw)).color(faint).width(1.0).allow_hover(false));
                }
                plot.line(Line::new(run.name.clone(), PlotPoints::new(smoothed)).color(colour).width(1.8));
            }
        });
}

/// `120 k`, `1.5 M`: marks of an axis of steps.
pub(crate) fn short_axis(x: f64) -> String {
    let size = x.abs();
    let (x, unit) = match size {
        _ if size >= 1e9 => (x / 1e9, " G"),
        _ if size >= 1e6 => (x / 1e6, " M"),
        _ if size >= 1e4 => (x / 1e3, " k"),
        _ => (x, ""),
    };
    let text = format!("{x:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavlov_run::{Named, TermStats, Timing};

    #[test]
    fn curves_stand_at_their_updates_and_gaps_are_left_out() {
        let line = |update: u64, fitness: Option<f64>| MetricsLine {
            update,
            env_steps: 10 * update,
            fitness,
            timing: Timing { elapsed_s: update as f64 / 2.0, ..Timing::default() },
            ..MetricsLine::default()
        };
        let terms = |update: u64, mean: f64| TermsLine {
            update,
            terms: Named(vec![("up".into(), TermStats { mean, ..TermStats::default() })]),
            ..TermsLine::default()
        };
        let curves =
            RunCurves::new(&[line(1, None), line(2, Some(0.5)), line(3, Some(0.7))], &[terms(1, 4.0), terms(3, 6.0)]);
        assert_eq!(curves.points("fitness", Along::Steps), [[20.0, 0.5], [30.0, 0.7]]);
        assert_eq!(curves.points("term up", Along::Seconds), [[0.5, 4.0], [1.5, 6.0]]);
        assert!(curves.points("term down", Along::Steps).is_empty());
    }

    #[test]
    fn smoothing_starts_at_the_first_value_and_keeps_a_constant() {
        let points: Vec<[f64; 2]> = (0..20).map(|i| [f64::from(i), if i == 0 { 5.0 } else { 1.0 }]).collect();
        let smoothed = smooth(&points, 0.9);
        assert_eq!(smoothed[0][1], 5.0);
        assert!((smoothed[1][1] - (0.1 * 0.9 * 5.0 + 0.1) / 0.19).abs() < 1e-12);
        assert_eq!(smooth(&points, 0.0), points);
    }

    #[test]
    fn axes_are_short() {
        assert_eq!([0.0, 500.0, 20_000.0, 1.5e6].map(short_axis), ["0", "500", "20 k", "1.5 M"]);
    }
}
