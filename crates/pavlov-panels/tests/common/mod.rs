//! What the tests of panels share: a person at the keyboard, and pictures to look at.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod picture;

use egui_kittest::Harness;
use pavlov_env::Assets;
use pavlov_panels::app::{Flow, Options, Studio};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The source tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A studio over a workspace of its own.
pub fn options(folder: &Path, task: Option<&str>, worlds: usize) -> Options {
    Options {
        assets: Assets::find(None).with_user_rewards(folder.join("own")),
        runs: folder.join("runs"),
        state: folder.join("state"),
        task: task.map(String::from),
        reward: None,
        worlds: Some(worlds),
        wake: Arc::new(|| {}),
        troubles: Vec::new(),
    }
}

/// That studio, with a task and two worlds.
pub fn open(folder: &Path, task: &str) -> Harness<'static, Studio> {
    let studio = Studio::open(options(folder, Some(task), 2)).unwrap();
    let mut harness = Harness::builder()
        .with_size([1280.0, 720.0])
        .build_ui_state(|ui, studio: &mut Studio| assert_eq!(studio.frame(ui), Flow::Go), studio);
    harness.run_steps(3);
    harness
}

/// Steps until `done`, at most twenty seconds of real time.
#[track_caller]
pub fn wait<'a, S>(harness: &mut Harness<'a, S>, label: &str, done: impl Fn(&Harness<'a, S>) -> bool) {
    let began = Instant::now();
    while !done(harness) {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain for: {label}");
        std::thread::sleep(Duration::from_millis(3));
        harness.step();
    }
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
