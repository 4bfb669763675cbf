//! The whole studio but for its window, driven by what a person sees: names of buttons and fields.

mod common;

use common::options;
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use pavlov_panels::app::{Flow, Options, Studio};
use std::time::{Duration, Instant};

/// A studio in a window of 1280 by 720 points. `flow` is what the last frame gave.
struct Seen {
    studio: Studio,
    flow: Flow,
}

fn open(options: Options) -> Harness<'static, Seen> {
    let seen = Seen { studio: Studio::open(options).unwrap(), flow: Flow::Go };
    let mut harness = Harness::builder()
        .with_size([1280.0, 720.0])
        .build_ui_state(|ui, seen: &mut Seen| seen.flow = seen.studio.frame(ui), seen);
    harness.run_steps(3);
    harness
}

/// Frames until something is so, or ten seconds are over.
fn until(harness: &mut Harness<'static, Seen>, mut done: impl FnMut(&Harness<'static, Seen>) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        harness.run_steps(1);
        if done(harness) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn the_first_start_offers_tasks_and_the_chosen_one_moves() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(options(folder.path(), None, 4));
    assert!(harness.query_by_label("Choose a task").is_some());
    harness.get_by_role_and_label(Role::Button, "cartpole_balance").click();
    assert!(until(&mut harness, |h| h
        .state()
        .studio
        .picture()
        .is_some_and(|(s, v)| s.robots.len() == 4 && v.len() == 1)));
    let place = |h: &Harness<'static, Seen>| h.state().studio.picture().map(|(s, _)| s.robots[0].poses.clone());
    let before = place(&harness);
    assert!(until(&mut harness, |h| place(h) != before), "the robots do not move");
}

#[test]
fn a_task_is_chosen_by_typing_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(options(folder.path(), None, 4));
    harness.event(egui::Event::Text("hopper_h".into()));
    harness.run_steps(2);
    assert!(harness.query_by_role_and_label(Role::Button, "cartpole_balance").is_none());
    harness.key_press(egui::Key::Enter);
    assert!(until(&mut harness, |h| h
        .state()
        .studio
        .picture()
        .is_some_and(|(s, _)| s.model().name.contains("hopper"))));
}

#[test]
fn a_task_that_is_not_there_ends_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = Studio::open(options(folder.path(), Some("ant_rum"), 4)).err().unwrap();
    assert!(format!("{error:#}").contains("ant_rum"), "{error:#}");
}

#[test]
fn what_was_open_is_open_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(options(folder.path(), Some("hopper_hop"), 4));
    harness.key_press(egui::Key::F2);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Q);
    harness.run_steps(2);
    assert_eq!(harness.state().flow, Flow::Quit);
    drop(harness);
    let again = Studio::open(options(folder.path(), None, 4)).unwrap();
    assert_eq!(again.theme(), pavlov_panels::theme::Theme::Light);
    assert!(again.picture().is_some_and(|(stage, _)| stage.model().name.contains("hopper")));
}

#[test]
fn keys_pause_and_step_the_worlds() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(options(folder.path(), Some("cartpole_balance"), 4));
    harness.key_press(egui::Key::Space);
    assert!(until(&mut harness, |h| h.query_by_label_contains("Play").is_some()), "it does not pause");
    let poses = |h: &Harness<'static, Seen>| h.state().studio.picture().map(|(s, _)| s.robots[0].poses.clone());
    harness.run_steps(5);
    let before = poses(&harness);
    harness.key_press(egui::Key::Period);
    assert!(until(&mut harness, |h| poses(h) != before), "a step moves nothing");
    let after = poses(&harness);
    std::thread::sleep(Duration::from_millis(60));
    harness.run_steps(5);
    assert_eq!(poses(&harness), after, "it goes on by itself");
}

#[test]
fn training_starts_by_key_and_closing_asks_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(options(folder.path(), Some("cartpole_balance"), 4));
    harness.key_press(egui::Key::F5);
    assert!(until(&mut harness, |h| h.query_by_label_contains("steps/s").is_some()), "nothing is trained");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Q);
    harness.run_steps(2);
    assert_eq!(harness.state().flow, Flow::Go);
    harness.get_by_role_and_label(Role::Button, "Close").click();
    harness.run_steps(2);
    assert_eq!(harness.state().flow, Flow::Quit);
    drop(harness);
    let runs: Vec<_> = std::fs::read_dir(folder.path().join("runs")).unwrap().flatten().collect();
    assert_eq!(runs.len(), 1);
    pavlov_run::Trainer::resume(&runs[0].path(), &pavlov_run::ResumeOptions::default())
        .expect("its checkpoint is good");
}

#[test]
fn a_click_on_a_robot_selects_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(options(folder.path(), Some("ant_run"), 4));
    harness.key_press(egui::Key::Space);
    assert!(until(&mut harness, |h| h.query_by_label_contains("Play").is_some()));
    let at = {
        let (stage, views) = harness.state().studio.picture().unwrap();
        let view = &views[0];
        view.eye.project(view.rect, stage.robots[0].root.into()).unwrap()
    };
    harness.drag_at(at);
    harness.run_steps(1);
    harness.drop_at(at);
    harness.run_steps(2);
    assert_eq!(harness.state().studio.selected().map(|s| s.0), Some(0));
}
