//! The studio loses nothing: what is edited survives quitting, opening something else and `kill -9`; what is not the
//! person's own is never written over. A studio that is killed is one that is dropped in the middle of a frame's work:
//! nothing of it runs any more.

mod common;

use common::{copy, options, root};
use egui::accesskit::Role;
use egui::{Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use pavlov_env::Assets;
use pavlov_panels::app::{Flow, Options, Studio};
use pavlov_panels::editor::{Draft, Editor};
use pavlov_run::{Overrides, Trainer};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const TASK: &str = "cartpole_balance";

struct Seen {
    studio: Studio,
    flow: Flow,
}

type Hands = Harness<'static, Seen>;

fn start(options: Options) -> Hands {
    let seen = Seen { studio: Studio::open(options).unwrap(), flow: Flow::Go };
    let mut hands = Harness::builder()
        .with_size([1280.0, 720.0])
        .build_ui_state(|ui, seen: &mut Seen| seen.flow = seen.studio.frame(ui), seen);
    hands.run_steps(3);
    hands
}

fn open(folder: &Path, task: Option<&str>) -> Hands {
    start(options(folder, task, 2))
}

#[track_caller]
fn wait(hands: &mut Hands, label: &str, done: impl Fn(&Hands) -> bool) {
    common::wait(hands, label, done);
    hands.run_steps(2);
}

fn editor(hands: &Hands) -> &Editor {
    hands.state().studio.editor().unwrap()
}

/// Types into the script: at its beginning, or behind what was typed before.
fn type_in(hands: &mut Hands, text: &str) {
    hands.key_press(Key::F4);
    hands.run_steps(3);
    hands.event(Event::Text(text.into()));
    hands.run_steps(2);
    assert!(editor(hands).script().contains(text), "{}", editor(hands).script());
}

fn drafts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("state/drafts")) else { return Vec::new() };
    entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "json")).collect()
}

/// Waits until the draft holds what is in the editor; how long it took.
#[track_caller]
fn drafted(hands: &mut Hands, folder: &Path, text: &str) -> Duration {
    let began = Instant::now();
    let holds = |p: &PathBuf| std::fs::read_to_string(p).is_ok_and(|t| t.contains(text));
    wait(hands, "the draft", |_| drafts(folder).iter().any(holds));
    began.elapsed()
}

fn has(hands: &Hands, label: &str) -> bool {
    hands.query_all_by_label_contains(label).next().is_some()
}

#[track_caller]
fn press(hands: &mut Hands, button: &str) {
    // A dialog is in front of the panels, which may have a button of the same name.
    hands.get_all_by_role_and_label(Role::Button, button).last().expect("a button").click();
    hands.run_steps(3);
}

fn quit(hands: &mut Hands) {
    hands.key_press_modifiers(Modifiers::COMMAND, Key::Q);
    hands.run_steps(2);
}

/// Writes a name into the field of the dialog, in place of the proposal.
fn name(hands: &mut Hands, text: &str) {
    hands.get_by_role_and_label(Role::TextInput, "Name").focus();
    hands.run_steps(1);
    hands.key_press_modifiers(Modifiers::COMMAND, Key::A);
    hands.run_steps(1);
    hands.event(Event::Text(text.into()));
    hands.run_steps(2);
    press(hands, "Save the copy");
}

fn shipped() -> String {
    std::fs::read_to_string(root().join("rewards").join(TASK).join("default/reward.rhai")).unwrap()
}

/// A project of the person's own with a reward `mine`, and the options to open it.
fn own_project(folder: &Path) -> (PathBuf, Options) {
    let project = folder.join("project");
    let mine = project.join("rewards").join(TASK).join("mine");
    copy(&root().join("rewards").join(TASK).join("default"), &mine);
    let mut options = options(folder, Some(TASK), 2);
    options.assets = Assets::from_roots([project, root()]);
    options.reward = Some(format!("{TASK}/mine"));
    (mine.join("reward.rhai"), options)
}

#[test]
fn edits_survive_a_kill_and_are_saved_as_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let mut hands = open(folder.path(), Some(TASK));
    type_in(&mut hands, "// not lost\n");
    let took = drafted(&mut hands, folder.path(), "// not lost");
    println!("a draft is on the disk {took:?} after its key");
    assert!(took < Duration::from_millis(500), "{took:?}");
    // A second edit while the first is there already, and a slider: the same file.
    type_in(&mut hands, "// nor this\n");
    drafted(&mut hands, folder.path(), "// nor this");
    assert_eq!(drafts(folder.path()).len(), 1);
    assert_eq!(Draft::left_behind(&folder.path().join("state")).0, [], "a studio that runs writes it");
    drop(hands);

    // Another start, of another task: it is offered, and opens its own.
    let mut hands = open(folder.path(), Some("cartpole_swingup"));
    assert!(has(&hands, "edits that were not saved"));
    common::picture::save(&hands, "offered-dark");
    press(&mut hands, "Restore");
    wait(&mut hands, "the script", |h| editor(h).script().starts_with("// not lost\n// nor this\n"));
    assert_eq!(editor(&hands).name(), "cartpole_balance/default");
    assert!(editor(&hands).is_dirty() && !has(&hands, "An earlier studio"));
    // Killed again before anything else: still there.
    drop(hands);
    let mut hands = open(folder.path(), None);
    press(&mut hands, "Restore");
    wait(&mut hands, "the script", |h| editor(h).script().starts_with("// not lost\n// nor this"));

    // What came with Pavlov is not written over: a name is asked for.
    hands.key_press_modifiers(Modifiers::COMMAND, Key::S);
    hands.run_steps(2);
    assert!(has(&hands, "came with Pavlov"));
    for (bad, why) in [("cartpole_balance/../../up", "letters"), ("mine", "letters"), ("ant_run/mine", "is called")] {
        name(&mut hands, bad);
        assert!(has(&hands, why), "{bad}");
    }
    name(&mut hands, "cartpole_balance/default");
    assert!(has(&hands, "already"));
    common::picture::save(&hands, "named-dark");
    name(&mut hands, "cartpole_balance/kept");
    assert_eq!(editor(&hands).name(), "cartpole_balance/kept");
    assert!(!editor(&hands).is_dirty() && drafts(folder.path()).is_empty());
    let copy = folder.path().join("own/cartpole_balance/kept");
    assert!(std::fs::read_to_string(copy.join("reward.rhai")).unwrap().starts_with("// not lost\n// nor this"));
    let manifest = std::fs::read_to_string(copy.join("reward.toml")).unwrap();
    assert!(manifest.starts_with("parent = \"cartpole_balance/default\"\n"), "{manifest}");
    assert!(!shipped().contains("not lost"));

    // It is the person's own now: saving asks nothing, and the next start opens it.
    type_in(&mut hands, "// more\n");
    hands.key_press_modifiers(Modifiers::COMMAND, Key::S);
    hands.run_steps(2);
    assert!(std::fs::read_to_string(copy.join("reward.rhai")).unwrap().contains("// more"));
    quit(&mut hands);
    assert_eq!(hands.state().flow, Flow::Quit);
    drop(hands);
    let hands = open(folder.path(), None);
    assert_eq!(editor(&hands).name(), "cartpole_balance/kept");
    assert!(!has(&hands, "An earlier studio"));
}

#[test]
fn quitting_asks_and_what_is_discarded_is_not_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let mut hands = start(options.clone());
    type_in(&mut hands, "// a\n");
    for way in ["key", "close button"] {
        match way {
            "key" => quit(&mut hands),
            _ => {
                hands.state_mut().studio.ask_to_close();
                hands.run_steps(2);
            }
        }
        assert!(has(&hands, "edits that are not saved"), "{way}");
        assert_eq!(hands.state().flow, Flow::Go);
        common::picture::save(&hands, "unsaved-dark");
        press(&mut hands, "Cancel");
        assert!(editor(&hands).script().starts_with("// a") && hands.state().flow == Flow::Go);
    }
    quit(&mut hands);
    press(&mut hands, "Discard");
    assert_eq!(hands.state().flow, Flow::Quit);
    assert_eq!(std::fs::read_to_string(&script).unwrap(), shipped());
    drop(hands);
    assert!(drafts(folder.path()).is_empty());

    let mut hands = start(options.clone());
    assert!(!has(&hands, "An earlier studio"));
    // Where it took so long that the version had run for a while, that is why it was kept.
    let kept = |why: &str| ["discarded", "ran 5 s"].contains(&why);
    assert!(editor(&hands).versions().iter().any(|v| kept(&v.why)), "the history has it");
    type_in(&mut hands, "// b\n");
    quit(&mut hands);
    press(&mut hands, "Save");
    assert_eq!(hands.state().flow, Flow::Quit);
    assert!(std::fs::read_to_string(&script).unwrap().starts_with("// b"));
    drop(hands);
    assert!(drafts(folder.path()).is_empty());

    // Killed, offered, discarded: gone for good. Put off: offered again.
    let mut hands = start(options.clone());
    type_in(&mut hands, "// c\n");
    drafted(&mut hands, folder.path(), "// c");
    drop(hands);
    let mut hands = start(options.clone());
    press(&mut hands, "Later");
    assert!(!has(&hands, "An earlier studio") && drafts(folder.path()).len() == 1);
    drop(hands);
    let mut hands = start(options.clone());
    press(&mut hands, "Discard");
    assert!(drafts(folder.path()).is_empty());
    drop(hands);
    assert!(!has(&start(options), "An earlier studio"));
}

#[test]
fn another_task_asks_and_another_number_of_robots_keeps_the_edits() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let mut hands = start(options);
    type_in(&mut hands, "// a\n");
    let robots = hands.get_by_role_and_label(Role::SpinButton, "Robots");
    robots.focus();
    hands.run_steps(1);
    hands.key_press_modifiers(Modifiers::COMMAND, Key::A);
    hands.event(Event::Text("3".into()));
    hands.run_steps(1);
    hands.key_press(Key::Enter);
    let count = |h: &Hands| h.state().studio.picture().map_or(0, |(stage, _)| stage.robots.len());
    wait(&mut hands, "a third robot", |h| count(h) == 3);
    assert!(editor(&hands).script().starts_with("// a"), "edits are kept");

    let choose = |hands: &mut Hands| {
        hands.key_press_modifiers(Modifiers::COMMAND, Key::O);
        hands.run_steps(2);
        hands.get_by_role_and_label(Role::Button, "cartpole_swingup").click();
        hands.run_steps(3);
    };
    choose(&mut hands);
    assert!(has(&hands, "before another reward is opened"));
    press(&mut hands, "Cancel");
    assert_eq!(editor(&hands).name(), "cartpole_balance/mine");
    choose(&mut hands);
    press(&mut hands, "Save");
    assert_eq!(editor(&hands).name(), "cartpole_swingup/default");
    assert!(std::fs::read_to_string(script).unwrap().starts_with("// a"));
}

#[test]
fn what_others_write_meanwhile_is_kept_in_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let mut hands = start(options);
    type_in(&mut hands, "// mine\n");
    std::fs::write(&script, format!("// theirs\n{}", shipped())).unwrap();
    hands.key_press_modifiers(Modifiers::COMMAND, Key::S);
    hands.run_steps(2);
    assert!(std::fs::read_to_string(&script).unwrap().contains("// mine"));
    assert!(editor(&hands).versions().iter().any(|v| v.why == "on disk before saving"));
    // Also when it is the other file that they wrote: what is saved is what was on screen.
    let manifest = script.with_file_name("reward.toml");
    let mine = std::fs::read_to_string(&manifest).unwrap();
    type_in(&mut hands, "// again\n");
    std::fs::write(&manifest, format!("# theirs\n{mine}")).unwrap();
    hands.key_press_modifiers(Modifiers::COMMAND, Key::S);
    hands.run_steps(2);
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), mine);
    // And when the folder was cleared meanwhile.
    type_in(&mut hands, "// last\n");
    std::fs::remove_file(&script).unwrap();
    hands.key_press_modifiers(Modifiers::COMMAND, Key::S);
    hands.run_steps(2);
    assert!(std::fs::read_to_string(&script).unwrap().contains("// last"));
}

#[test]
fn a_draft_whose_reward_is_gone_or_changed_is_restored_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let mut hands = start(options.clone());
    type_in(&mut hands, "// a\n");
    drafted(&mut hands, folder.path(), "// a");
    drop(hands);
    // The file has changed since.
    std::fs::write(&script, format!("// theirs\n{}", shipped())).unwrap();
    let mut hands = start(options.clone());
    press(&mut hands, "Restore");
    assert!(editor(&hands).script().starts_with("// a") && has(&hands, "have changed since"));
    drop(hands);
    // The folder is gone.
    std::fs::remove_dir_all(script.parent().unwrap()).unwrap();
    let mut hands = start(Options { reward: None, ..options });
    press(&mut hands, "Restore");
    assert!(editor(&hands).script().starts_with("// a"));
    assert!(
        editor(&hands).asks_name().is_some_and(|(why, name)| why.contains("no longer") && name.ends_with("restored"))
    );
    assert_eq!(drafts(folder.path()).len(), 1);
}

#[test]
fn damaged_drafts_are_named_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state/drafts");
    std::fs::create_dir_all(place.join("folder.json")).unwrap();
    for (file, text) in [("a.json", "{\"format\":1"), ("b.json", "[]"), ("c.json", "\u{1b}[2J")] {
        std::fs::write(place.join(file), text).unwrap();
    }
    std::fs::write(place.join("d.json"), [0xff; 16]).unwrap();
    let large = std::fs::File::create(place.join("e.json")).unwrap();
    large.set_len(1 << 40).unwrap();
    let (found, troubles) = Draft::left_behind(&folder.path().join("state"));
    assert_eq!((found.len(), troubles.len()), (0, 6), "{troubles:?}");
    assert!(troubles.iter().all(|t| t.contains(".json") && !t.contains('\u{1b}')), "{troubles:?}");
    let hands = open(folder.path(), Some(TASK));
    assert!(has(&hands, "cannot be read") && place.join("a.json").is_file());
}

#[test]
fn drafts_that_cannot_be_written_are_said_and_editing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut hands = open(folder.path(), Some(TASK));
    std::fs::write(folder.path().join("state/drafts"), "in the way").unwrap();
    type_in(&mut hands, "// a\n");
    assert!(has(&hands, "--state names another folder"));
    // The way is free again: the edit is kept a little later.
    std::fs::remove_file(folder.path().join("state/drafts")).unwrap();
    drafted(&mut hands, folder.path(), "// a");
}

fn train(runs: &Path, assets: &Assets, reward: &str, set: &str) -> PathBuf {
    let overrides = Overrides {
        worlds: Some(16),
        steps: Some(2048),
        threads: Some(1),
        set: vec!["eval_episodes=2".into(), set.into()],
        ..Overrides::default()
    };
    let mut trainer = Trainer::create(assets, TASK, Some(reward), &overrides, runs, None).unwrap();
    let stop = trainer.run(&AtomicBool::new(false), |_, _| {}).unwrap();
    trainer.finish(stop).unwrap();
    trainer.folder().root().to_path_buf()
}

#[test]
fn a_runs_reward_opens_as_the_run_had_it() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let runs = folder.path().join("runs");
    let text = std::fs::read_to_string(script.with_file_name("reward.toml")).unwrap();
    let params = toml_params(&text);
    let (param, value) = params.first().expect("it has a parameter").clone();
    let run = train(&runs, &options.assets, "mine", &format!("reward.{param}={}", value + 0.5));
    // Today's file of that name is another one.
    std::fs::write(&script, format!("// today\n{}", shipped())).unwrap();
    let copy = run.join("inputs/reward/reward.rhai");
    let before = std::fs::read(&copy).unwrap();

    let mut hands = start(options);
    type_in(&mut hands, "// unsaved\n");
    hands.key_press_modifiers(Modifiers::COMMAND, Key::Num2);
    wait(&mut hands, "the list", |h| has(h, " done"));
    hands.get_by_label_contains(" done").click();
    hands.run_steps(2);
    press(&mut hands, "Open its reward");
    assert!(has(&hands, "edits that are not saved"), "what is replaced is asked for first");
    press(&mut hands, "Discard");
    assert_eq!(editor(&hands).script(), shipped(), "the script of the run, not today's");
    let shown: Vec<(String, f64)> = editor(&hands).parameters().map(|(n, x)| (n.to_string(), x)).collect();
    assert!(shown.contains(&(param.clone(), value + 0.5)), "{shown:?}");
    common::picture::save(&hands, "as-the-run-had-it-dark");
    let notice = editor(&hands).notice().unwrap().to_string();
    assert!(notice.contains("the script has 1 other lines") && notice.contains(&format!("{param} ")), "{notice}");
    assert!(!editor(&hands).is_dirty());
    assert!(editor(&hands).title().starts_with("cartpole_balance/mine of cartpole_balance-"));

    // Saving makes a copy; the run's own stays as it is.
    type_in(&mut hands, "// edited\n");
    hands.key_press_modifiers(Modifiers::COMMAND, Key::S);
    hands.run_steps(2);
    assert!(has(&hands, "the copy that run"));
    name(&mut hands, "cartpole_balance/again");
    let saved = folder.path().join("project/rewards/cartpole_balance/again");
    assert!(std::fs::read_to_string(saved.join("reward.rhai")).unwrap().starts_with("// edited"));
    assert!(toml_params(&std::fs::read_to_string(saved.join("reward.toml")).unwrap()).contains(&(param, value + 0.5)));
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    Trainer::resume(&run, &pavlov_run::ResumeOptions::default()).expect("the run is as it was");
}

fn toml_params(text: &str) -> Vec<(String, f64)> {
    let manifest: pavlov_reward::Manifest = toml::from_str(text).unwrap();
    manifest.params.into_iter().map(|(name, p)| (name, p.value)).collect()
}

#[test]
fn what_the_gate_refuses_is_shown_and_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    std::fs::write(&script, "fn reward(s, p) {\n    #{ alive: 1.0,\n       same: 0.0 * s.qpos[0] }\n}\n").unwrap();
    let mut hands = start(options);
    hands.key_press(Key::F5);
    wait(&mut hands, "the gate", |h| has(h, "nothing is trained"));
    assert!(has(&hands, "error[") && !folder.path().join("runs").exists());
    common::picture::save(&hands, "refused-dark");
    press(&mut hands, "Back to the script");
    assert!(!has(&hands, "nothing is trained"));
    // With a good one it trains.
    std::fs::write(&script, shipped()).unwrap();
    wait(&mut hands, "the file", |h| editor(h).script() == shipped() && !editor(h).has_errors());
    std::thread::sleep(Duration::from_millis(200));
    hands.run_steps(2);
    hands.key_press(Key::F5);
    wait(&mut hands, "training", |h| has(h, "steps/s"));
    assert!(folder.path().join("runs").is_dir());
}

#[test]
fn nothing_that_others_wrote_is_shown_raw() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let long = "x".repeat(300_000);
    std::fs::write(&script, format!("fn reward(s, p) {{ throw \"a\u{1b}[31m{long}\"; }}\n")).unwrap();
    let mut hands = start(options);
    hands.run_steps(3);
    let problems = editor(&hands).problems();
    assert!(!problems.is_empty());
    for p in problems {
        assert!(!p.text().contains('\u{1b}') && p.text().len() < 10_000, "{}", p.text().len());
    }
    for note in hands.state_mut().studio.take_notes() {
        assert!(!note.contains('\u{1b}') && note.len() < 10_000);
    }
}

#[test]
fn what_is_write_protected_is_saved_as_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (script, options) = own_project(folder.path());
    let mut permissions = std::fs::metadata(&script).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&script, permissions).unwrap();
    let mut hands = start(options);
    type_in(&mut hands, "// a\n");
    quit(&mut hands);
    press(&mut hands, "Save");
    assert!(has(&hands, "write-protected"));
    // The proposal is taken with the Enter key.
    hands.key_press(Key::Enter);
    hands.run_steps(3);
    assert_eq!(hands.state().flow, Flow::Quit, "after the name it goes on to what was asked for");
    assert_eq!(std::fs::read_to_string(&script).unwrap(), shipped());
    let copy = folder.path().join("project/rewards/cartpole_balance/mine-mine/reward.rhai");
    assert!(std::fs::read_to_string(copy).unwrap().starts_with("// a"));
}
