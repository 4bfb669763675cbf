//! Runs, replay and labelling in the whole studio, over a real run that each test trains.

mod common;

use common::{open, wait};
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use pavlov_env::Assets;
use pavlov_panels::app::Studio;
use pavlov_prefs::{Answer, Choice, Entry, LabelStore, Segment};
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

/// The pair on screen, in the order shown.
fn pair(harness: &Harness<'static, Studio>) -> Vec<Segment> {
    harness.state().labelling().unwrap().query().segments.clone()
}

fn press(harness: &mut Harness<'static, Studio>, key: egui::Key) {
    harness.key_press(key);
    harness.run_steps(1);
}

#[test]
fn labels_carry_the_hash_of_the_script_they_were_shown_under() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    train(&runs, 1);
    let script = folder.path().join("own.rhai");
    std::fs::write(&script, "fn reward(s) { #{ alive: 1.0 } }\n").unwrap();
    let mut harness = open(folder.path(), "cartpole_balance");
    harness.state_mut().open_task("cartpole_balance", Some(&script.display().to_string())).unwrap();
    mode(&mut harness, egui::Key::Num3);
    press(&mut harness, egui::Key::ArrowLeft);
    // The script is another one from now on, and so is the hash.
    std::fs::write(&script, "fn reward(s) { #{ alive: 2.0 } }\n").unwrap();
    mode(&mut harness, egui::Key::Num1);
    wait(&mut harness, "the new script", |h| h.state().editor().unwrap().version() == 2);
    mode(&mut harness, egui::Key::Num3);
    press(&mut harness, egui::Key::ArrowLeft);
    press(&mut harness, egui::Key::C);
    let labels = LabelStore::open(&LabelStore::path_in(&runs)).unwrap().labels().unwrap();
    let scripts: Vec<&str> = labels.iter().map(|l| l.entry.versions.script.as_str()).collect();
    // As `sha256sum` gives them.
    let (one, two) = (
        "acc63888e73eda68e98009bb3c4ff01c099ab5624a63b690c150e66ef5fa17dd",
        "8aadb17ebb233fafb9c10a63ba84c09fadecb0b4315d76383424116298dba8c0",
    );
    assert_eq!(scripts, [one, two, two]);
    assert!(labels.iter().all(|l| l.entry.versions.reward == "own" && l.entry.versions.known_script().is_some()));
}

#[test]
fn undo_brings_the_pair_back_and_what_is_skipped_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    train(&runs, 1);
    let mut harness = open(folder.path(), "cartpole_balance");
    mode(&mut harness, egui::Key::Num3);
    let labels = || LabelStore::open(&LabelStore::path_in(&runs)).unwrap().labels().unwrap();
    // A label of another task, given later, is none of this task's.
    let first = pair(&harness);
    press(&mut harness, egui::Key::ArrowLeft);
    let second = pair(&harness);
    let mut store = LabelStore::open(&LabelStore::path_in(&runs)).unwrap();
    let rater = labels()[0].entry.rater.to_string();
    let other = Entry::comparison("ant_run", &rater, first[0].clone(), first[1].clone(), Choice::Left);
    store.append(&other).unwrap();
    press(&mut harness, egui::Key::Backspace);
    assert_eq!(pair(&harness), first, "the pair is on screen again");
    assert_eq!(labels().len(), 1, "the other task's label stands");
    press(&mut harness, egui::Key::ArrowRight);
    assert_eq!(pair(&harness), second, "what was on screen comes next");
    // Cannot tell is stored as such, and taken back like any other.
    press(&mut harness, egui::Key::C);
    assert_eq!(labels().last().unwrap().entry.answer, Answer::Skip);
    press(&mut harness, egui::Key::Backspace);
    assert_eq!((pair(&harness), labels().len()), (second.clone(), 2));
    // Nothing is left to take back but the first, which comes on screen before the present one.
    press(&mut harness, egui::Key::Backspace);
    assert_eq!((pair(&harness), labels().len()), (first, 1));
    press(&mut harness, egui::Key::Backspace);
    assert!(harness.query_by_label_contains("no label of yours").is_some());
    press(&mut harness, egui::Key::ArrowLeft);
    assert_eq!(pair(&harness), second);
    // A pair that is on screen the other way round comes back in the order it was labelled in.
    let exchanged = vec![second[1].clone(), second[0].clone()];
    let entry = Entry::comparison("cartpole_balance", &rater, exchanged[0].clone(), exchanged[1].clone(), Choice::Left);
    store.append(&entry).unwrap();
    press(&mut harness, egui::Key::Backspace);
    assert_eq!(pair(&harness), exchanged);
    press(&mut harness, egui::Key::ArrowLeft);
    assert_eq!(pair(&harness), second);
    // Skipping stores nothing; the pair comes again, once, after some others.
    let stored = labels().len();
    press(&mut harness, egui::Key::S);
    assert_eq!(labels().len(), stored);
    let mut later = 0;
    while pair(&harness) != second {
        later += 1;
        assert!(later < 20, "it does not come again");
        press(&mut harness, egui::Key::ArrowLeft);
    }
    assert!(later >= 3, "after {later} others");
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
