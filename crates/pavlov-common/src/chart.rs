//! Small line charts as SVG. Colours come from the page's style sheet, so that they follow its light or dark theme.

use crate::page::short;
use crate::stats;
use maud::{Markup, html};

/// A line of a chart.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points in order.
    pub points: Vec<(f64, f64)>,
    /// Lowest and highest value about each point; empty for none.
    pub band: Vec<(f64, f64)>,
}

impl Series {
    /// A line without a band.
    pub fn line(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect(), band: Vec::new() }
    }
}

/// Size of a chart and of the room around its plot, in its own units.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 38.0;
/// Points a line is thinned to: more than there are pixels for.
const MAX_POINTS: usize = 400;
/// Colours that the style sheet has for lines, `c0` and on.
const COLOURS: usize = 8;

/// Where the plot's corners are in the data.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    /// Of all series: x from 0 to the furthest point, y with some room above and below.
    fn of(series: &[Series]) -> Self {
        let furthest = series.iter().flat_map(|s| &s.points).fold(0.0f64, |most, p| most.max(p.0));
        let lines = series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
        let bands = series.iter().flat_map(|s| s.band.iter().flat_map(|b| [b.0, b.1]));
        Self { x: (0.0, if furthest > 0.0 { furthest } else { 1.0 }), y: roomy(lines.chain(bands)) }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// A list of points as SVG wants it.
    fn points(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        points.map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y))).collect::<Vec<_>>().join(" ")
    }
}

/// Round values about `count` apart that cover `low..high`.
fn ticks((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let raw = (high - low) / count as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last.min(first + 50)).map(|k| k as f64 * step).collect()
}

/// A point and its band.
type Banded = ((f64, f64), (f64, f64));

/// Means over neighbouring points, so that a long line keeps its shape.
fn thin(series: &Series) -> Series {
    let finite = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let banded = series.band.len() == series.points.len();
    let all: Vec<Banded> = series
        .points
        .iter()
        .enumerate()
        .map(|(i, p)| (*p, if banded { series.band[i] } else { (p.1, p.1) }))
        .filter(|(p, b)| finite(p) && finite(b))
        .collect();
    let size = all.len().div_ceil(MAX_POINTS).max(1);
    let mut out = Series::line(series.name.clone(), []);
    for chunk in all.chunks(size) {
        let mean = |f: fn(&Banded) -> f64| stats::mean(chunk.iter().map(f)).unwrap_or_default();
        out.points.push((mean(|c| c.0.0), mean(|c| c.0.1)));
        if banded {
            out.band.push((mean(|c| c.1.0), mean(|c| c.1.1)));
        }
    }
    out
}

/// Smallest and largest, with some room; never empty.
fn roomy(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let Some((low, high)) = stats::range(values) else { return (0.0, 1.0) };
    let room = 0.04 * (high - low);
    if room > 1e-9 * high.abs().max(low.abs()) {
        (low - room, high + room)
    } else {
        (low - 0.5 * low.abs().max(1.0), high + 0.5 * high.abs().max(1.0))
    }
}

/// A chart with axes, ticks and a legend when there is more than one line.
pub fn chart(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> Markup {
    let series: Vec<Series> = series.iter().map(thin).collect();
    let scale = Scale::of(&series);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(title) {
            text.title x=(LEFT) y="16" { (title) }
            (axes(&scale, x_label, y_label))
            @if series.iter().all(|s| s.points.is_empty()) {
                text.label x=((LEFT + WIDTH - RIGHT) / 2.0) y=((TOP + HEIGHT - BOTTOM) / 2.0) text-anchor="middle" {
                    "no data yet"
                }
            }
            @for (i, s) in series.iter().enumerate() { (line(&scale, s, i % COLOURS)) }
        }
        @if series.len() > 1 {
            p.legend {
                @for (i, s) in series.iter().enumerate() {
                    span { i class={ "c" (i % COLOURS) } {} (s.name) } " "
                }
            }
        }
    }
}

fn axes(scale: &Scale, x_label: &str, y_label: &str) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let middle = (TOP + bottom) / 2.0;
    html! {
        @for (value, y) in ticks(scale.y, 5).into_iter().map(|v| (v, scale.y(v))) {
            path.grid d=(format!("M{LEFT} {y:.1}H{right}")) {}
            text.tick x=(LEFT - 5.0) y=(format!("{:.1}", y + 3.5)) text-anchor="end" { (short(value)) }
        }
        @for (value, x) in ticks(scale.x, 6).into_iter().map(|v| (v, scale.x(v))) {
            path.axis d=(format!("M{x:.1} {bottom}v4")) {}
            text.tick x=(format!("{x:.1}")) y=(bottom + 16.0) text-anchor="middle" { (short(value)) }
        }
        path.axis d=(format!("M{LEFT} {TOP}V{bottom}H{right}")) {}
        text.label x=((LEFT + right) / 2.0) y=(HEIGHT - 6.0) text-anchor="middle" { (x_label) }
        text.label x="12" y=(middle) text-anchor="middle" transform={ "rotate(-90 12 " (middle) ")" } { (y_label) }
    }
}

fn line(scale: &Scale, series: &Series, colour: usize) -> Markup {
    let ends = |upper: bool| {
        let end = move |(p, b): (&(f64, f64), &(f64, f64))| (p.0, if upper { b.1 } else { b.0 });
        series.points.iter().zip(&series.band).map(end)
    };
    html! {
        @if !series.band.is_empty() {
            polygon class={ "band c" (colour) } points=(scale.points(ends(true).chain(ends(false).rev()))) {}
        }
        @match series.points.as_slice() {
            [] => {}
            [(x, y)] => {
                @let (x, y) = (format!("{:.1}", scale.x(*x)), format!("{:.1}", scale.y(*y)));
                circle class={ "dot c" (colour) } cx=(x) cy=(y) r="3" {}
            }
            points => {
                @let points = scale.points(points.iter().copied());
                polyline class={ "line c" (colour) } points=(points) { title { (series.name) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks((0.0, 10.0), 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert!(ticks((-0.013, 0.029), 5).iter().all(|t| (-0.013..=0.029).contains(t)));
        assert!(ticks((1e300, 1.1e300), 5).len() < 60);
    }

    #[test]
    fn charts_are_sound_whatever_the_numbers() {
        let odd =
            [vec![], vec![(1.0, 5.0)], vec![(1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 1.0)], vec![(1.0, 2.0); 3]];
        for points in odd {
            let series = Series::line("<a & \"b\">\u{1}", points);
            let html = crate::page::page("t", &chart("t & t", "x", "<y>", std::slice::from_ref(&series)));
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
            roxmltree::Document::parse_with_options(&html, options).unwrap();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        }
    }

    #[test]
    fn a_band_goes_along_its_line_and_back_below_it() {
        let points = vec![(0.0, 1.0), (1.0, 1.0)];
        let series = Series { name: "a".into(), points, band: vec![(0.0, 2.0), (0.0, 2.0)] };
        let scale = Scale::of(std::slice::from_ref(&series));
        let svg = line(&scale, &series, 0).into_string();
        let corners = scale.points([(0.0, 2.0), (1.0, 2.0), (1.0, 0.0), (0.0, 0.0)].into_iter());
        assert!(svg.contains(&format!("<polygon class=\"band c0\" points=\"{corners}\">")), "{svg}");
    }

    #[test]
    fn long_lines_are_thinned() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 1.0)).collect();
        let band = points.iter().map(|_| (0.0, 2.0)).collect();
        let thinned = thin(&Series { name: String::new(), points, band });
        assert!(thinned.points.len() <= MAX_POINTS && thinned.band.len() == thinned.points.len());
    }
}
