//! Runs, replay and labelling in the whole studio, over a real run that each test trains.

mod common;

use common::{open, wait};
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use pavlov_env::Assets;
use pavlov_panels::app::Studio;
use pavlov_prefs::{Answer, Choice, LabelStore};
use pavlov_run::{Overrides, Trainer};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A finished run of a few updates.
fn train(runs: &Path, seed: u64) -> PathBuf {
    let overrides = Overrides {
        worlds: Some(16),
        steps: Some(4096),
        seed: Some(seed),
        threads: Some(1),
        set: vec!["eval_episodes=4".into()],
        ..Overrides::default()
    };
    let assets = Assets::find(None);
    let mut trainer = Trainer::create(&assets, "cartpole_balance", None, &overrides, runs, None).unwrap();
    let stop = trainer.run(&AtomicBool::new(false), |_, _| {}).unwrap();
    trainer.finish(stop).unwrap();
    trainer.folder().root().to_path_buf()
}

fn mode(harness: &mut Harness<'static, Studio>, key: egui::Key) {
    harness.key_press_modifiers(egui::Modifiers::COMMAND, key);
    harness.run_steps(2);
}

#[test]
fn a_run_is_found_replayed_and_rescored() {
    let folder = tempfile::tempdir().unwrap();
    train(&folder.path().join("runs"), 1);
    let mut harness = open(folder.path(), "cartpole_balance");
    mode(&mut harness, egui::Key::Num2);
    wait(&mut harness, "the list", |h| h.query_by_label_contains("-1 done").is_some());
    harness.get_by_label_contains("-1 done").click();
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::Button, "Replay").click();
    wait(&mut harness, "the replay", |h| h.state().replay().is_some_and(|r| r.totals().is_some()));
    let (original, none) = harness.state().replay().unwrap().totals().unwrap();
    assert!(original > 0.0 && none.is_none());
    assert!(harness.state().picture().is_some_and(|(stage, views)| stage.robots.len() == 1 && views.len() == 1));

    // One step by key, then the edited reward, which is the same: the same total.
    harness.key_press(egui::Key::Home);
    harness.run_steps(1);
    harness.key_press(egui::Key::Period);
    harness.run_steps(1);
    assert_eq!(harness.state().replay().unwrap().frame().0, 1);
    harness.get_by_label("Compare with the edited reward").click();
    wait(&mut harness, "the second score", |h| h.state().replay().unwrap().totals().is_some_and(|t| t.1.is_some()));
    let (original, other) = harness.state().replay().unwrap().totals().unwrap();
    assert!((original - other.unwrap()).abs() < 1e-6 * original.abs(), "{original} {other:?}");
}

#[test]
fn five_labels_by_keys_are_in_the_store_and_the_last_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    train(&runs, 1);
    let mut harness = open(folder.path(), "cartpole_balance");
    mode(&mut harness, egui::Key::Num3);
    assert!(harness.state().picture().is_some_and(|(stage, views)| stage.robots.len() == 2 && views.len() == 2));
    let labels = || LabelStore::open(&LabelStore::path_in(&runs)).unwrap().labels().unwrap();
    harness.key_press(egui::Key::Num2);
    harness.run_steps(1);
    for (k, key) in [egui::Key::ArrowLeft, egui::Key::ArrowRight, egui::Key::E, egui::Key::C, egui::Key::ArrowLeft]
        .into_iter()
        .enumerate()
    {
        harness.key_press(key);
        harness.run_steps(1);
        // It is on the disk in the frame in which the key was pressed.
        assert_eq!(labels().len(), k + 1);
    }
    let answered = labels();
    assert_eq!(answered[0].entry.answer, Answer::Comparison { choice: Choice::Left, strength: Some(2) });
    assert_eq!(answered[1].entry.answer, Answer::Comparison { choice: Choice::Right, strength: None });
    assert_eq!(answered[2].entry.answer, Answer::Comparison { choice: Choice::Equal, strength: None });
    assert_eq!(answered[3].entry.answer, Answer::Skip);
    for label in &answered {
        let [a, b] = &label.entry.segments[..] else { panic!("{label:?}") };
        assert_eq!(a.reset_seed, b.reset_seed, "segments that began differently were compared");
    }
    harness.key_press(egui::Key::S);
    harness.run_steps(1);
    assert_eq!(labels().len(), 5, "another pair is no label");
    harness.key_press(egui::Key::Backspace);
    harness.run_steps(1);
    assert_eq!(labels().len(), 4);
    let store = LabelStore::open(&LabelStore::path_in(&runs)).unwrap();
    assert_eq!(store.records().unwrap().len(), 6, "taking back is a further record");
}

#[test]
fn without_runs_both_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(folder.path(), "cartpole_balance");
    mode(&mut harness, egui::Key::Num3);
    assert!(harness.query_by_label("Nothing to compare yet").is_some());
    assert!(harness.query_by_label_contains("pavlov train cartpole_balance").is_some());
    mode(&mut harness, egui::Key::Num2);
    wait(&mut harness, "the empty list", |h| h.query_by_label("No runs yet").is_some());
}

#[test]
fn pieces_of_one_run_alone_can_be_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    train(&runs, 1);
    let newest = train(&runs, 2).file_name().unwrap().to_string_lossy().into_owned();
    let mut harness = open(folder.path(), "cartpole_balance");
    mode(&mut harness, egui::Key::Num3);
    harness.get_by_value("All runs").click();
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::Button, &newest).click();
    harness.run_steps(2);
    for _ in 0..8 {
        harness.key_press(egui::Key::ArrowLeft);
        harness.run_steps(1);
    }
    let labels = LabelStore::open(&LabelStore::path_in(&runs)).unwrap().labels().unwrap();
    assert_eq!(labels.len(), 8);
    let from = |run: &String| *run == newest;
    assert!(labels.iter().flat_map(|l| &l.entry.segments).map(|s| &s.run).all(from), "{labels:?}");
}
