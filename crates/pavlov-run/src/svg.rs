//! Small line charts as SVG text. Colours come from the page's style sheet, so that they follow its light or dark theme.

use std::fmt::Write;

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

/// Size of a chart and of the room around its plot, in its own units.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 38.0;
/// Points a line is thinned to: more than there are pixels for.
const MAX_POINTS: usize = 400;
/// The style sheet the charts' colours come from.
pub const STYLE: &str = include_str!("report.css");
/// Colours the style sheet has.
pub(crate) const COLOURS: usize = 8;

/// Text that may stand in HTML and SVG.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Characters that XML does not allow.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}')
            }
            _ => out.push(c),
        }
    }
    out
}

/// A number as short as a reader wants it: 0.00123, 12.3, 1.5k, 2.5M.
pub fn short(x: f64) -> String {
    let a = x.abs();
    let trim = |text: String| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    };
    match a {
        _ if !x.is_finite() => "–".into(),
        0.0 => "0".into(),
        1e9.. => trim(format!("{:.2}", x / 1e9)) + "G",
        1e6.. => trim(format!("{:.2}", x / 1e6)) + "M",
        1e4.. => trim(format!("{:.1}", x / 1e3)) + "k",
        100.0.. => trim(format!("{x:.1}")),
        1.0.. => trim(format!("{x:.2}")),
        1e-3.. => trim(format!("{x:.4}")),
        _ => format!("{x:.1e}"),
    }
}

/// Round values about `count` apart that cover `low..high`.
fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
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
    let mut out = Series { name: series.name.clone(), ..Series::default() };
    for chunk in all.chunks(size) {
        let n = chunk.len() as f64;
        let mean = |f: fn(&Banded) -> f64| chunk.iter().map(f).sum::<f64>() / n;
        out.points.push((mean(|c| c.0.0), mean(|c| c.0.1)));
        if banded {
            out.band.push((mean(|c| c.1.0), mean(|c| c.1.1)));
        }
    }
    out
}

/// Smallest and largest, with some room; never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let room = 0.04 * (high - low);
    if room > 1e-9 * high.abs().max(low.abs()) {
        (low - room, high + room)
    } else {
        (low - 0.5 * low.abs().max(1.0), high + 0.5 * high.abs().max(1.0))
    }
}

/// A chart with axes, ticks and a legend when there is more than one line.
pub fn chart(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> String {
    let series: Vec<Series> = series.iter().map(thin).collect();
    let xs = || series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
    let x_high = xs().fold(0.0f64, f64::max);
    let (x0, x1) = (0.0, if x_high > 0.0 { x_high } else { 1.0 });
    let lines = series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
    let bands = series.iter().flat_map(|s| s.band.iter().flat_map(|b| [b.0, b.1]));
    let (y0, y1) = range(lines.chain(bands));
    let x = |v: f64| LEFT + (v - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
    let y = |v: f64| HEIGHT - BOTTOM - (v - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{t}\"><text class=\"title\" x=\"{LEFT}\" y=\"16\">{t}</text>\n",
        t = escape(title)
    );
    // Writing to a string cannot fail.
    for v in ticks(y0, y1, 5) {
        let (at, end) = (y(v), WIDTH - RIGHT);
        let _ = write!(out, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{end}\"/>");
        let _ = writeln!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 5.0,
            at + 3.5,
            short(v)
        );
    }
    let bottom = HEIGHT - BOTTOM;
    for v in ticks(x0, x1, 6) {
        let at = x(v);
        let _ = write!(out, "<path class=\"axis\" d=\"M{at:.1} {bottom}v4\"/>");
        let _ = writeln!(
            out,
            "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            short(v)
        );
    }
    let _ = writeln!(out, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{}\"/>", WIDTH - RIGHT);
    let _ = writeln!(
        out,
        "<text class=\"label\" x=\"{}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 6.0,
        escape(x_label)
    );
    let middle = (TOP + bottom) / 2.0;
    let _ = writeln!(
        out,
        "<text class=\"label\" x=\"12\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 12 {middle:.1})\">{}</text>",
        escape(y_label)
    );
    if series.iter().all(|s| s.points.is_empty()) {
        let _ = writeln!(
            out,
            "<text class=\"label\" x=\"{}\" y=\"{middle:.1}\" text-anchor=\"middle\">no data yet</text>",
            (LEFT + WIDTH - RIGHT) / 2.0
        );
    }
    for (i, s) in series.iter().enumerate() {
        let colour = i % COLOURS;
        if !s.band.is_empty() {
            let upper = s.points.iter().zip(&s.band).map(|(p, b)| format!("{:.1},{:.1}", x(p.0), y(b.1)));
            let lower = s.points.iter().zip(&s.band).rev().map(|(p, b)| format!("{:.1},{:.1}", x(p.0), y(b.0)));
            let points: Vec<String> = upper.chain(lower).collect();
            let _ = writeln!(out, "<polygon class=\"band c{colour}\" points=\"{}\"/>", points.join(" "));
        }
        let points: Vec<String> = s.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        match points.as_slice() {
            [] => {}
            [_] => {
                let _ = writeln!(
                    out,
                    "<circle class=\"dot c{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                    x(s.points[0].0),
                    y(s.points[0].1)
                );
            }
            _ => {
                let _ = writeln!(
                    out,
                    "<polyline class=\"line c{colour}\" points=\"{}\"><title>{}</title></polyline>",
                    points.join(" "),
                    escape(&s.name)
                );
            }
        }
    }
    out.push_str("</svg>\n");
    if series.len() > 1 {
        out.push_str("<p class=\"legend\">");
        for (i, s) in series.iter().enumerate() {
            let _ = write!(out, "<span><i class=\"c{}\"></i>{}</span> ", i % COLOURS, escape(&s.name));
        }
        out.push_str("</p>\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert!(ticks(-0.013, 0.029, 5).iter().all(|t| (-0.013..=0.029).contains(t)));
        assert!(ticks(1e300, 1.1e300, 5).len() < 60);
    }

    #[test]
    fn charts_are_sound_whatever_the_numbers() {
        let odd =
            [vec![], vec![(1.0, 5.0)], vec![(1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 1.0)], vec![(1.0, 2.0); 3]];
        for points in odd {
            let series = Series { name: "<a & \"b\">\u{1}".into(), points, band: Vec::new() };
            let svg = chart("t & t", "x", "<y>", std::slice::from_ref(&series));
            roxmltree::Document::parse(&svg).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn long_lines_are_thinned() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 1.0)).collect();
        let band = points.iter().map(|_| (0.0, 2.0)).collect();
        let thinned = thin(&Series { name: String::new(), points, band });
        assert!(thinned.points.len() <= MAX_POINTS && thinned.band.len() == thinned.points.len());
    }

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0"), (1.5e6, "1.5M"), (12_345.0, "12.3k"), (250.0, "250"), (3.456, "3.46"), (0.0125, "0.0125")];
        for (x, text) in cases {
            assert_eq!(short(x), text);
        }
        assert_eq!(short(-0.00001), "-1.0e-5");
    }
}
