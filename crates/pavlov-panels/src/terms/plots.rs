//! Lines and stacks over time, drawn with as many points as can be seen.

use super::ring::{Places, Record};
use super::{Aggregate, Shown, Terms};
use crate::theme::{self, Theme};
use egui::{Color32, Stroke, Ui};
use egui_plot::{FilledArea, Line, Plot, PlotPoint, PlotPoints, VLine};

/// Most points of a line; more are taken together, the least and the most of each bucket.
const POINTS: usize = 300;

/// Times and values of one node, with gaps where it is not known.
type Curve = Vec<(f64, Option<f32>)>;

/// The pieces of a curve that have no gap, thinned.
fn pieces(curve: &Curve) -> Vec<Vec<PlotPoint>> {
    let bucket = curve.len().div_ceil(POINTS / 2).max(1);
    let mut out = vec![Vec::new()];
    for part in curve.chunks(bucket) {
        if bucket == 1 {
            match part[0] {
                (t, Some(x)) => out.last_mut().expect("never empty").push(PlotPoint::new(t, f64::from(x))),
                (_, None) => out.push(Vec::new()),
            }
            continue;
        }
        let known = part.iter().filter_map(|(t, x)| x.map(|x| (*t, x)));
        let low = known.clone().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = known.max_by(|a, b| a.1.total_cmp(&b.1));
        let (Some(mut a), Some(mut b)) = (low, high) else {
            out.push(Vec::new());
            continue;
        };
        if a.0 > b.0 {
            std::mem::swap(&mut a, &mut b);
        }
        let last = out.last_mut().expect("never empty");
        last.push(PlotPoint::new(a.0, f64::from(a.1)));
        if b.0 > a.0 {
            last.push(PlotPoint::new(b.0, f64::from(b.1)));
        }
    }
    out.retain(|p| !p.is_empty());
    out
}

/// A bucket while it fills: its time, sum and number of each column, records so far.
type Filling = (f64, Vec<(f32, u32)>, u32);

/// Means of buckets of records: what a stack and a band are drawn from. `None` where nothing is known.
fn buckets<'a>(
    records: impl ExactSizeIterator<Item = &'a Record>,
    mut value: impl FnMut(&'a Record) -> Vec<Option<f32>>,
) -> Vec<(f64, Vec<Option<f32>>)> {
    let size = records.len().div_ceil(POINTS).max(1);
    let mut out: Vec<Filling> = Vec::new();
    for record in records {
        let values = value(record);
        match out.last_mut() {
            Some((_, sums, n)) if (*n as usize) < size => {
                for (sum, x) in sums.iter_mut().zip(values) {
                    if let Some(x) = x {
                        *sum = (sum.0 + x, sum.1 + 1);
                    }
                }
                *n += 1;
            }
            _ => {
                let first = values.into_iter().map(|x| x.map_or((0.0, 0), |x| (x, 1))).collect();
                out.push((record.time, first, 1));
            }
        }
    }
    let mean = |(sum, n): (f32, u32)| (n > 0).then(|| sum / n as f32);
    out.into_iter().map(|(t, sums, _)| (t, sums.into_iter().map(mean).collect())).collect()
}

/// Emphasis: the picked term stands out, the others step back.
fn emphasis(terms: &Terms, name: &str, colour: Color32) -> (Color32, f32) {
    match &terms.picked {
        Some(picked) if picked == name => (colour, 2.6),
        Some(_) => (colour.gamma_multiply(0.3), 1.0),
        None => (colour, 1.5),
    }
}

/// Value of a node in a record, by what is plotted.
fn value(aggregate: Aggregate, record: &Record, k: usize, world: Option<usize>) -> Option<f32> {
    match (aggregate, world) {
        (Aggregate::World, Some(w)) => record.of_world(k, w),
        (Aggregate::World, None) => None,
        (Aggregate::Mean | Aggregate::Spread, _) => Some(record.nodes[k]).filter(|s| s.good > 0).map(|s| s.mean),
    }
}

/// Draws the plot of the terms, `height` points high.
pub(crate) fn plot(terms: &Terms, ui: &mut Ui, theme: Theme, world: Option<usize>, height: f32) {
    let (from, to) = terms.span();
    let Some(names) = terms.ring.names(to) else { return };
    let mut places = Places::default();
    let marks: Vec<(f64, u64)> = terms.ring.marks.iter().copied().filter(|m| m.0 >= from && m.0 <= to).collect();
    let mut areas: Vec<FilledArea> = Vec::new();
    let mut lines: Vec<Line<'static>> = Vec::new();
    let total = names.nodes.iter().position(|n| n == pavlov_reward::TOTAL);
    let faint = ui.visuals().text_color();
    let mut line = |name: &str, curve: &Curve, colour: Color32, width: f32| {
        for (i, piece) in pieces(curve).into_iter().enumerate() {
            let line = Line::new(name, PlotPoints::Owned(piece)).id(egui::Id::new((name, i)));
            lines.push(line.stroke(Stroke::new(width, colour)));
        }
    };
    let curve = |places: &mut Places, i: usize| -> Curve {
        let read = |r: &Record| (r.time, places.find(&names, r)[i].and_then(|k| value(terms.aggregate, r, k, world)));
        terms.ring.range(from, to).map(read).collect()
    };
    match terms.shown {
        Shown::Stack => {
            let read = |r| -> Vec<Option<f32>> {
                let at = places.find(&names, r);
                at[..names.terms].iter().map(|k| k.and_then(|k| value(terms.aggregate, r, k, world))).collect()
            };
            let columns = buckets(terms.ring.range(from, to), read);
            let xs: Vec<f64> = columns.iter().map(|c| c.0).collect();
            let (mut up, mut down) = (vec![0.0; xs.len()], vec![0.0; xs.len()]);
            for (i, name) in names.nodes[..names.terms].iter().enumerate() {
                let (colour, _) = emphasis(terms, name, terms.colour(theme, name));
                for (sign, base) in [(1.0, &mut up), (-1.0, &mut down)] {
                    let low = base.clone();
                    for (b, (_, column)) in base.iter_mut().zip(&columns) {
                        *b += sign * (sign * f64::from(column[i].unwrap_or(0.0))).max(0.0);
                    }
                    if low != *base {
                        let id = egui::Id::new((name, sign > 0.0));
                        areas.push(
                            FilledArea::new(name.as_str(), &xs, &low, base)
                                .id(id)
                                .fill_color(colour.gamma_multiply(0.85)),
                        );
                    }
                }
            }
        }
        _ => {
            for (i, name) in names.nodes[..names.terms].iter().enumerate() {
                let (colour, width) = emphasis(terms, name, terms.colour(theme, name));
                if terms.aggregate == Aggregate::Spread {
                    let read = |r| -> Vec<Option<f32>> {
                        let s = places.find(&names, r)[i].map(|k: usize| r.nodes[k]).filter(|s| s.good > 0);
                        vec![s.map(|s| s.mean - s.std), s.map(|s| s.mean + s.std)]
                    };
                    let known = |(t, v): (f64, Vec<Option<f32>>)| Some((t, f64::from(v[0]?), f64::from(v[1]?)));
                    let band: Vec<_> =
                        buckets(terms.ring.range(from, to), read).into_iter().filter_map(known).collect();
                    let column = |f: fn(&(f64, f64, f64)) -> f64| band.iter().map(f).collect::<Vec<f64>>();
                    let area = FilledArea::new(name.as_str(), &column(|b| b.0), &column(|b| b.1), &column(|b| b.2));
                    areas.push(area.id(egui::Id::new((name, "band"))).fill_color(colour.gamma_multiply(0.18)));
                }
                line(name, &curve(&mut places, i), colour, width);
            }
        }
    }
    if let Some(i) = total {
        line(pavlov_reward::TOTAL, &curve(&mut places, i), faint, 2.2);
    }
    let plot = Plot::new("terms plot")
        .height(height)
        .allow_scroll(false)
        .allow_drag(terms.paused.is_some())
        .allow_zoom(terms.paused.is_some())
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(true)
        .show_grid([true, true])
        .y_axis_min_width(36.0)
        .label_formatter(|at| {
            let (name, p) = match at {
                egui_plot::HoverPosition::NearDataPoint { plot_name, position, .. } => (*plot_name, position),
                egui_plot::HoverPosition::Elsewhere { position } => ("", position),
            };
            let name = if name.is_empty() { String::new() } else { format!("{name}\n") };
            Some(format!("{name}{:.4} at {:.2} s", p.y, p.x))
        });
    let following = terms.paused.is_none();
    plot.show(ui, |ui| {
        if following {
            ui.set_auto_bounds([false, true]);
            ui.set_plot_bounds_x(from..=to.max(from + 1e-3));
        }
        for area in areas {
            ui.add(area);
        }
        for line in lines {
            ui.line(line);
        }
        for (t, version) in marks {
            let mark = VLine::new(format!("version {version}"), t).id(egui::Id::new(("version", version)));
            let style = egui_plot::LineStyle::Dashed { length: 5.0 };
            ui.vline(mark.stroke(Stroke::new(1.2, theme::warning(theme))).style(style));
        }
    });
}

/// The task's own measure over time: a small plot of its own.
pub(crate) fn fitness(terms: &Terms, ui: &mut Ui, theme: Theme, world: Option<usize>) {
    let (from, to) = terms.span();
    let of_world = world.filter(|_| terms.aggregate == Aggregate::World);
    let read = |r: &Record| {
        let x = match of_world {
            Some(w) => r.fitness_of.get(w).copied().filter(|x| x.is_finite()),
            None => Some(r.fitness).filter(|s| s.good > 0).map(|s| s.mean),
        };
        (r.time, x)
    };
    let curve: Curve = terms.ring.range(from, to).map(read).collect();
    let plot = Plot::new("fitness plot").height(56.0).show_axes([false, true]).show_grid([false, true]);
    let plot =
        plot.allow_scroll(false).allow_drag(false).allow_zoom(false).allow_boxed_zoom(false).y_axis_min_width(36.0);
    plot.show(ui, |ui| {
        ui.set_auto_bounds([false, true]);
        ui.set_plot_bounds_x(from..=to.max(from + 1e-3));
        for (i, piece) in pieces(&curve).into_iter().enumerate() {
            let line = Line::new("fitness", PlotPoints::Owned(piece)).id(egui::Id::new(("fitness", i)));
            ui.line(line.stroke(Stroke::new(1.6, theme::fitness(theme))));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_extremes_and_the_gaps() {
        let mut curve: Curve = (0..6000).map(|i| (f64::from(i), Some((f64::from(i) * 0.01).sin() as f32))).collect();
        curve[1234].1 = Some(9.0);
        curve[4321].1 = Some(-9.0);
        let parts = pieces(&curve);
        assert_eq!(parts.len(), 1);
        assert!(parts[0].len() <= POINTS + 1 && parts[0].windows(2).all(|w| w[0].x < w[1].x));
        let ys = || parts[0].iter().map(|p| p.y);
        assert_eq!((ys().fold(0.0, f64::max), ys().fold(0.0, f64::min)), (9.0, -9.0));
        let gap: Curve = vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(1.0))];
        assert_eq!(pieces(&gap).len(), 2);
    }
}
