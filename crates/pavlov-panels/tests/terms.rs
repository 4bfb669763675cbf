//! The plots of terms, with frames as live worlds send them.

mod common;

use common::picture;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use pavlov_panels::live::{Frame, Names};
use pavlov_panels::terms::{Aggregate, Shown, Terms};
use pavlov_panels::theme::Theme;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn names(terms: usize) -> Arc<Names> {
    let words =
        ["forward", "alive", "upright", "heading", "effort", "smooth", "spin", "bounce", "limits", "joint_speed"];
    let name = |i: usize| match i / words.len() {
        0 => words[i].to_string(),
        n => format!("{}_{n}", words[i % words.len()]),
    };
    let nodes = (0..terms).map(name).chain(["total".to_string()]).collect();
    Arc::new(Names { nodes, terms })
}

/// Step `i` of worlds whose terms swing, each in its own way.
fn frame(names: &Arc<Names>, i: u64, worlds: usize, version: u64) -> Frame {
    let t = i as f64 * 0.02;
    let mut nodes = Vec::new();
    for w in 0..worlds {
        let term = |k: usize| {
            let sign = if k % 3 == 2 { -1.0 } else { 1.0 };
            sign * (1.0 + (t * (1.0 + 0.1 * k as f64) + w as f64 * 0.2).sin()) as f32 / (1.0 + k as f32)
        };
        let row: Vec<f32> = (0..names.terms).map(term).collect();
        nodes.extend(&row);
        nodes.push(row.iter().sum());
    }
    Frame {
        serial: i,
        time: t,
        reward_version: version,
        names: names.clone(),
        worlds,
        total: nodes.chunks(names.nodes.len()).map(|r| r[names.terms]).collect(),
        nodes,
        fitness: (0..worlds).map(|w| (t * 0.3 + w as f64 * 0.1).sin() as f32).collect(),
        success: (0..worlds).map(|w| w % 4 == 0).collect(),
        ..Frame::default()
    }
}

struct App {
    terms: Terms,
    theme: Theme,
    selected: Option<usize>,
}

fn harness(terms: Terms) -> Harness<'static, App> {
    let app = App { terms, theme: Theme::Dark, selected: Some(3) };
    let builder = Harness::builder().with_size([420.0, 560.0]);
    let mut h = builder.build_ui_state(
        |ui, app: &mut App| {
            egui::Frame::central_panel(ui.style()).show(ui, |ui| {
                app.terms.heat_ui(ui, app.theme);
                app.terms.ui(ui, app.theme, app.selected);
            });
        },
        app,
    );
    h.run_steps(3);
    h
}

fn filled(terms: usize, steps: u64, worlds: usize) -> Terms {
    let names = names(terms);
    let mut terms = Terms::default();
    (0..steps).for_each(|i| terms.push(&frame(&names, i, worlds, 1 + i / 300)));
    terms
}

#[test]
fn thirty_terms_are_all_there_in_every_view() {
    let mut h = harness(filled(30, 200, 8));
    let names = names(30);
    for (shown, label) in [(Shown::Lines, ""), (Shown::Stack, ""), (Shown::Shares, ": "), (Shown::Table, "")] {
        h.state_mut().terms.show(shown, Aggregate::Mean);
        h.run_steps(3);
        for name in &names.nodes[..30] {
            let found = match label {
                "" => h.query_all_by_label(name).count(),
                _ => h.query_all_by_label_contains(&format!("{name}{label}")).count(),
            };
            assert!(found >= 1, "{shown:?} hides {name}");
        }
        picture::save(&h, &format!("terms-30-{shown:?}").to_lowercase());
    }
}

#[test]
fn shares_sum_to_one_and_the_table_sorts() {
    let mut h = harness(filled(10, 500, 8));
    for world in [None, Some(3)] {
        let rows = h.state().terms.summary(world);
        let sum: f64 = rows.iter().map(|s| s.share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert_eq!(rows.len(), 11, "the total is in the table, without a share");
        assert_eq!(rows[10].share, 0.0);
        let total: f64 = rows[..10].iter().map(|s| s.mean).sum();
        assert!((total - rows[10].mean).abs() < 1e-4);
    }
    h.state_mut().terms.show(Shown::Table, Aggregate::Mean);
    h.run_steps(2);
    h.get_by_label("Sort by mean").click();
    h.run_steps(2);
    let top = |h: &Harness<'_, App>, name: &str| h.get_all_by_label(name).last().unwrap().rect().top();
    assert!(top(&h, "forward") < top(&h, "alive") && top(&h, "alive") < top(&h, "upright"), "largest first");
    h.get_by_label("Sort by mean").click();
    h.run_steps(2);
    assert!(top(&h, "upright") < top(&h, "forward"));
    picture::save(&h, "terms-table");
}

#[test]
fn a_new_version_is_marked_and_terms_of_the_same_name_go_on() {
    let (old, new) =
        (names(3), Arc::new(Names { nodes: ["alive", "extra", "total"].map(String::from).to_vec(), terms: 2 }));
    let mut terms = Terms::default();
    (0..100).for_each(|i| terms.push(&frame(&old, i, 4, 1)));
    let before = terms.summary(None).into_iter().find(|s| s.name == "alive").unwrap();
    (100..200).for_each(|i| terms.push(&frame(&new, i, 4, 2)));
    let rows = terms.summary(None);
    assert_eq!(rows.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["alive", "extra", "total"]);
    assert_eq!((before.good, rows[0].good, rows[1].good), (400, 800, 400), "alive goes on, extra begins");
    let mut h = harness(terms);
    h.run_steps(2);
    picture::save(&h, "terms-version-mark");
}

#[test]
fn robots_are_coloured_from_the_least_to_the_most_and_nan_stands_out() {
    let names = names(3);
    let mut terms = Terms::default();
    let mut last = frame(&names, 1, 8, 1);
    terms.push(&frame(&names, 0, 8, 1));
    last.nodes[5 * 4 + 1] = f32::NAN;
    terms.push(&last);
    let total = terms.heat("total");
    assert_eq!(total.len(), 8);
    let legend = terms.heat_legend("total").unwrap();
    assert!(last.total.iter().all(|x| (legend.min..=legend.max).contains(x)) && legend.min < legend.max);
    // Bright where the total is large: luminance goes with it.
    let light = |c: egui::Color32| 0.2126 * f32::from(c.r()) + 0.7152 * f32::from(c.g()) + 0.0722 * f32::from(c.b());
    let mut order: Vec<usize> = (0..8).collect();
    order.sort_by(|a, b| last.total[*a].total_cmp(&last.total[*b]));
    assert!(order.windows(2).all(|w| light(total[w[0]]) <= light(total[w[1]]) + 1.0));
    let term = terms.heat("alive");
    let bad = term[5];
    assert!(term.iter().enumerate().all(|(w, c)| (w == 5) == (*c == bad)), "only the world without a number");
    assert!(terms.heat("nothing").is_empty());
    terms.set_heat(Some("total"));
    let mut h = harness(terms);
    h.run_steps(2);
    assert!(
        h.query_by_label_contains("total from").is_some()
            && h.query_by_label_contains("1 values were not a number").is_some()
    );
    picture::save(&h, "terms-heat");
}

#[test]
fn the_plot_holds_still_while_frames_come() {
    let mut h = harness(filled(3, 300, 4));
    h.get_by_label("Hold").click();
    h.run_steps(2);
    let before = h.state().terms.summary(None);
    let names = names(3);
    (300..900).for_each(|i| h.state_mut().terms.push(&frame(&names, i, 4, 1)));
    h.run_steps(2);
    assert_eq!(h.state().terms.summary(None), before);
    h.get_by_label("Go on").click();
    h.run_steps(2);
    assert_ne!(h.state().terms.summary(None), before);
}

#[test]
fn the_task_s_measure_stands_apart() {
    let mut h = harness(filled(10, 600, 16));
    for shown in [Shown::Lines, Shown::Stack, Shown::Shares] {
        for aggregate in [Aggregate::Mean, Aggregate::Spread, Aggregate::World] {
            h.state_mut().terms.show(shown, aggregate);
            h.run_steps(2);
            assert!(
                h.query_by_label("The task's measure").is_some()
                    && h.query_by_label("not part of the reward").is_some()
            );
            assert!(h.query_by_label_contains("success ").is_some());
            picture::save(&h, &format!("terms-{shown:?}-{aggregate:?}").to_lowercase());
        }
    }
    h.ctx.set_theme(egui::Theme::Light);
    h.ctx.set_zoom_factor(1.5);
    h.state_mut().theme = Theme::Light;
    h.state_mut().terms.show(Shown::Lines, Aggregate::Spread);
    h.run_steps(4);
    picture::save(&h, "terms-light-zoomed");
}

/// Ten terms, 600 frames in the window, 16 worlds: frame by frame as the studio draws them, triangles included.
#[test]
fn drawing_is_cheap() {
    let mut terms = filled(10, 600, 16);
    let names = names(10);
    let ctx = egui::Context::default();
    let input = || egui::RawInput {
        screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(420.0, 400.0))),
        ..egui::RawInput::default()
    };
    for (shown, aggregate) in
        [(Shown::Lines, Aggregate::Mean), (Shown::Lines, Aggregate::Spread), (Shown::Stack, Aggregate::Mean)]
    {
        terms.show(shown, aggregate);
        terms.set_window(12.0);
        let mut times = Vec::new();
        for i in 0..60 {
            let frame = frame(&names, 600 + i, 16, 1);
            let began = Instant::now();
            terms.push(&frame);
            let out = ctx.run_ui(input(), |ui| terms.ui(ui, Theme::Dark, Some(0)));
            let _ = ctx.tessellate(out.shapes, 1.0);
            times.push(began.elapsed());
        }
        times.sort();
        println!("{shown:?} {aggregate:?}: median {:?}, worst {:?}", times[30], times[59]);
        assert!(times[30] < Duration::from_millis(12), "{shown:?} {aggregate:?}: {:?}", times[30]);
        terms.clear();
        (0..600).for_each(|i| terms.push(&self::frame(&names, i, 16, 1)));
    }
}
