//! The real program where it cannot start: a sentence that says what to do, exit code 2, no panic. What needs a
//! display is skipped, with a line, where Xvfb is not installed.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs it with these variables; its exit code and what it says. It is ended after half a minute.
fn run(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("folder");
    let said = folder.path().join("said");
    let out = std::fs::File::create(&said).expect("file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov-studio"));
    command.args(args).arg("--state").arg(folder.path().join("state")).arg("--runs").arg(folder.path().join("runs"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").envs(variables.iter().copied());
    // Drivers would say on the same stream that it is missing.
    command.env("XDG_RUNTIME_DIR", folder.path());
    command.stdout(Stdio::null()).stderr(out).current_dir(folder.path());
    let mut child = command.spawn().expect("the studio starts");
    let end = Instant::now() + Duration::from_secs(30);
    let code = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status.code();
        }
        if Instant::now() > end {
            child.kill().expect("ended");
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let text = std::fs::read(&said).map(|b| String::from_utf8_lossy(&b).into_owned()).expect("what was said");
    (code, text)
}

fn assert_sentence((code, text): (Option<i32>, String), wanted: &[&str]) {
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("pavlov-studio: ") && !text.contains("panicked") && !text.contains('\u{1b}'), "{text}");
    assert!(wanted.iter().all(|w| text.contains(w)), "{text}");
}

/// A display without a screen, ended when it is dropped.
struct Xvfb(std::process::Child, String);

impl Xvfb {
    fn start() -> Option<Self> {
        use std::io::BufRead;
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
        Some(Self(child, format!(":{}", line.trim())))
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        // Gone already when it could not start.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_display_it_says_what_to_do() {
    assert_sentence(run(&[], &[]), &["DISPLAY is not set", "xvfb-run"]);
    assert_sentence(run(&[], &[("DISPLAY", "")]), &["DISPLAY is not set"]);
    assert_sentence(run(&[], &[("WAYLAND_DISPLAY", "wayland-0")]), &["Xwayland"]);
    for name in [":4711", "nowhere.invalid:0", "\u{1b}[2J", ":x"] {
        assert_sentence(run(&[], &[("DISPLAY", name)]), &["does not answer"]);
    }
}

#[test]
fn without_a_driver_or_with_wrong_arguments_it_says_what_to_do() {
    let Some(display) = Xvfb::start() else {
        println!("skipped: Xvfb cannot be started; on Debian: apt-get install xvfb");
        return;
    };
    let display = ("DISPLAY", display.1.as_str());
    let none = Path::new("/nonexistent/driver.json").display().to_string();
    let no_driver = [display, ("VK_ICD_FILENAMES", none.as_str()), ("VK_DRIVER_FILES", none.as_str())];
    assert_sentence(run(&[], &no_driver), &["no graphics driver", "mesa-vulkan-drivers"]);
    assert_sentence(run(&["--size", "wide"], &[display]), &["--size wide"]);
    if pavlov_physics::gpu::adapters().is_empty() {
        println!("the rest is skipped: there is no Vulkan driver (on Debian: apt-get install mesa-vulkan-drivers)");
        return;
    }
    assert_sentence(run(&["ant_rum"], &[display]), &["ant_rum", "ant_run"]);
    assert_sentence(run(&["--assets", "/nonexistent"], &[display]), &["--assets /nonexistent"]);
    // winit panics on this, after everything was checked. Bevy's log stands before the sentence.
    let (code, text) = run(&["cartpole_balance"], &[display, ("WINIT_X11_SCALE_FACTOR", "-1")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("\npavlov-studio: the window cannot be opened: ") && !text.contains("panicked"), "{text}");
}
