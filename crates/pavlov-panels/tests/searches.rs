//! A real search, looked at in the whole studio: from its lineage to the editor, where the candidate runs, and back.

mod common;

use common::{open, picture, wait};
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use pavlov_env::Assets;
use pavlov_panels::app::Studio;
use pavlov_panels::editor::Editor;
use pavlov_search::prompt::Prompts;
use pavlov_search::search::{End, Means, Nobody, Search, Settings};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A whole search of the embedded generator, as small as one can be.
fn search(folder: &Path, task: &str) -> End {
    let settings = Settings {
        task: task.into(),
        candidates: 4,
        iterations: 3,
        steps: 4096,
        final_steps: 4096,
        final_seeds: 2,
        finalists: 2,
        finalist_seeds: 1,
        worlds: Some(16),
        set: vec!["eval_episodes=4".into()],
        ..Settings::default()
    };
    let assets = Assets::find(None);
    let means = Means {
        assets: &assets,
        model: None,
        prompts: Prompts::load(&assets, None).unwrap(),
        person: Box::new(Nobody),
        threads: 2,
        slurm: None,
        stop: &AtomicBool::new(false),
        on_event: Box::new(|_| ()),
    };
    Search::open(&settings, folder, means).unwrap().run().unwrap()
}

fn editor<'a>(harness: &'a Harness<'_, Studio>) -> &'a Editor {
    harness.state().editor().unwrap()
}

#[test]
fn a_candidate_of_a_real_search_runs_in_the_editor_and_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let end = search(&folder.path().join("runs/search-cartpole_balance-0"), "cartpole_balance");
    let winner = end.winner.expect("one could be trained");
    // Another task is open: the search's own is opened first.
    let mut harness = open(folder.path(), "cartpole_swingup");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    wait(&mut harness, "the graph", |h| h.query_all_by_label_contains("Graph of candidates").next().is_some());
    harness.run_steps(3);
    assert_eq!(harness.state().searches().candidate(), Some(winner), "the winner is shown first");
    let script = {
        let snapshot = harness.state().searches().snapshot().unwrap();
        assert_eq!(snapshot.end.as_ref(), Some(&end));
        snapshot.candidate(winner).unwrap().script.clone()
    };
    picture::save(&harness, "searches-dark");
    for sheet in ["Script", "Difference", "Result"] {
        harness.get_by_role_and_label(Role::Button, sheet).click();
        harness.run_steps(3);
        picture::save(&harness, &format!("searches-{}-dark", sheet.to_lowercase()));
    }
    harness.key_press(Key::F2);
    harness.run_steps(3);
    picture::save(&harness, "searches-light");

    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    harness.run_steps(2);
    assert_eq!(editor(&harness).name(), "cartpole_balance/default");
    assert_eq!(editor(&harness).script(), script);
    wait(&mut harness, "the candidate to run", |h| editor(h).version() >= 2 && !editor(h).has_errors());
    assert!(editor(&harness).is_dirty(), "nothing is written to the reward");
    // It has a name of its own, and saving asks for one. Unchanged, it is no edit that could be lost.
    assert_eq!(editor(&harness).title(), format!("Candidate {winner} of search-cartpole_balance-0"));
    assert!(!editor(&harness).has_edits());
    let (why, name) = editor(&harness).asks_name().unwrap();
    assert!(why.contains("no name of its own"), "{why}");
    let expected = format!("cartpole_balance/search-cartpole_balance-0-{}", winner.to_string().replace('.', "-"));
    assert_eq!(name, expected);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::S);
    harness.run_steps(2);
    assert!(harness.query_by_label_contains("no name of its own").is_some());
    harness.get_by_role_and_label(Role::Button, "Cancel").click();
    harness.run_steps(2);
    harness.key_press(Key::F4);
    harness.run_steps(2);
    picture::save(&harness, "searches-opened-light");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(2);
    let shipped = std::fs::read_to_string(common::root().join("rewards/cartpole_balance/default/reward.rhai")).unwrap();
    assert_eq!(editor(&harness).script(), shipped, "undo gives back the script");
    assert!(editor(&harness).is_dirty(), "the manifest is still the candidate's");
    harness.get_by_role_and_label(Role::Button, "Take back").click();
    harness.run_steps(2);
    assert!(!editor(&harness).is_dirty() && editor(&harness).brought().is_none());
    assert!(!editor(&harness).versions().is_empty(), "it is in the history");

    // Saved, it is a reward of the person's own; the search's human reward is as it was.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    harness.run_steps(3);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::S);
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::Button, "Save the copy").click();
    harness.run_steps(3);
    assert_eq!(editor(&harness).name(), expected);
    assert!(!editor(&harness).is_dirty() && editor(&harness).brought().is_none());
    let saved = std::fs::read_to_string(folder.path().join("own").join(&expected).join("reward.rhai")).unwrap();
    assert_eq!(saved, script);
    let human = std::fs::read_to_string(common::root().join("rewards/cartpole_balance/default/reward.rhai")).unwrap();
    assert_eq!(human, shipped);
}

#[test]
fn a_lone_script_takes_no_parameters_and_what_was_not_saved_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let search_folder = folder.path().join("runs/search-cartpole_balance-0");
    search(&search_folder, "cartpole_balance");
    let lone = folder.path().join("lone.rhai");
    std::fs::write(&lone, "fn reward(s) { #{ alive: 1.0 } }\n").unwrap();
    let mut harness = open(folder.path(), "cartpole_balance");
    harness.state_mut().open_task("cartpole_balance", Some(&lone.display().to_string())).unwrap();
    harness.run_steps(2);
    assert!(!editor(&harness).has_manifest());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    wait(&mut harness, "the graph", |h| h.query_all_by_label_contains("Graph of candidates").next().is_some());
    harness.get_by_role_and_label(Role::Button, "Open in the editor").click();
    harness.run_steps(2);
    assert_eq!(editor(&harness).name(), "cartpole_balance/default");
    assert!(editor(&harness).brought().is_some_and(|title| title.contains("search-cartpole_balance-0")));
    assert_eq!(std::fs::read_to_string(&lone).unwrap(), "fn reward(s) { #{ alive: 1.0 } }\n");
}

#[test]
fn without_searches_the_studio_says_how_to_begin_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(folder.path(), "cartpole_balance");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    wait(&mut harness, "the empty list", |h| h.query_by_label("No searches yet").is_some());
    assert!(harness.query_by_label("pavlov search <task>").is_some());
    // The key to open a candidate finds none, and says so.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    harness.run_steps(2);
    assert!(harness.state().picture().is_none());
}
