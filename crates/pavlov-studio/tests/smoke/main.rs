//! The real program on a display without a screen, driven by keys and pointer: starts, edits a reward, trains, labels,
//! closes; then what it left is read. Pictures are kept in `target/studio/`. Needs Xvfb and a Vulkan driver
//! (`mesa-vulkan-drivers` has one in software); where one is missing the test says so in a line and is skipped.

mod display;

use display::{Display, sym};
use pavlov_common::testing::{NO_ADAPTER, skipped};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The studio under test, and what it has printed.
struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    started: Instant,
}

impl Program {
    fn start(display: &Display, args: &[&str], state: &Path, runs: &Path, assets: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pavlov-studio"))
            .args(args)
            .arg("--stats")
            .args([Path::new("--state"), state, Path::new("--runs"), runs, Path::new("--assets"), assets])
            .env("DISPLAY", &display.name)
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the studio starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sink, out) = (lines.clone(), child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                println!("studio: {line}");
                sink.lock().expect("lines").push(line);
            }
        });
        Self { child, lines, started: Instant::now() }
    }

    /// Waits for a line that has `text` in it.
    fn wait(&mut self, text: &str, limit: Duration) -> String {
        self.wait_from(0, text, limit)
    }

    /// The same, of the lines from number `from` on.
    fn wait_from(&mut self, from: usize, text: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            let found = self.lines.lock().expect("lines").iter().skip(from).find(|l| l.contains(text)).cloned();
            if let Some(line) = found {
                return line;
            }
            if let Some(status) = self.child.try_wait().expect("waited") {
                panic!("the studio ended with {status} before it said `{text}`");
            }
            assert!(Instant::now() < end, "`{text}` did not come within {limit:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Pictures a second of the lines so far from `from` on.
    fn rates(&self, from: usize) -> Vec<f64> {
        let lines = self.lines.lock().expect("lines");
        lines.iter().skip(from).filter_map(|l| l.split(" pictures/s").next()?.parse().ok()).collect()
    }

    fn printed(&self) -> usize {
        self.lines.lock().expect("lines").len()
    }

    /// Waits until it has ended by itself.
    fn end(&mut self) {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("waited") {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the studio did not close");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gone already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One window at a time: what is timed here would otherwise be the other test.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    // A test that failed has left nothing behind that the next one meets.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn display() -> Option<Display> {
    if pavlov_physics::gpu::adapters().is_empty() {
        skipped(NO_ADAPTER);
        return None;
    }
    match Display::start(1280, 720) {
        Ok(display) => Some(display),
        Err(why) => {
            skipped(&why);
            None
        }
    }
}

/// A workspace of its own, so that what is saved stays out of the project.
fn workspace(to: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for part in ["tasks", "rewards", "assets/robots", "assets/audit"] {
        copy(&root.join(part), &to.join(part));
    }
    // What came with Pavlov is not written over; here it is a person's own.
    std::fs::remove_file(to.join("rewards/shipped.txt")).expect("removed");
    to.to_path_buf()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &to) } else { std::fs::copy(&path, &to).map(drop).expect("copied") }
    }
}

fn artefact(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../studio").join(name)
}

/// Starts to a moving robot in 10 s; a script that is wrong is said at its line while the last good one runs on; trains
/// for 20 s; five labels by keys; closes; the run, the reward and the labels are there.
#[test]
fn a_session_from_start_to_close() {
    let _alone = alone();
    let Some(display) = display() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let (state, runs) = (folder.path().join("state"), folder.path().join("runs"));
    let assets = workspace(&folder.path().join("workspace"));
    // A training that does not end by itself within the test.
    std::fs::create_dir_all(&state).expect("folder");
    std::fs::write(state.join("studio.toml"), "[training]\nmillion_steps = 1000.0\n").expect("settings");
    let mut studio = Program::start(&display, &["cartpole_balance", "--worlds", "16"], &state, &runs, &assets);

    let moving = studio.wait("robots move", Duration::from_secs(60));
    println!("{moving}, {:.1} s after the process began", studio.started.elapsed().as_secs_f64());
    std::thread::sleep(Duration::from_secs(1));
    display.focus();
    let first = compare(&display, "start");
    assert!(colours(&first) > 40, "the window is empty: see {}", artefact("start.png").display());

    // A weight: the first slider, and how long it takes to the plot.
    display.drag((101, 517), (150, 517), Duration::from_millis(200));
    let plotted = studio.wait("the new value is plotted after", Duration::from_secs(5));
    println!("{plotted}");

    // The script: a wrong word is underlined and the old one runs on; then a good one.
    display.key(sym::F1 + 3, false);
    display.key('a' as u32, true);
    display.text("fn reward(s, p) { #{ upright: cos(s.joint(\"hinge\").posi) } }");
    studio.wait("error at line 1", Duration::from_secs(5));
    compare(&display, "error");
    let from = studio.printed();
    display.key('a' as u32, true);
    display.text("fn reward(s, p) { #{ upright: cos(s.joint(\"hinge\").pos), still: -0.1 * s.action.norm2() } }");
    studio.wait_from(from, "the new reward runs", Duration::from_secs(5));
    std::thread::sleep(Duration::from_secs(1));
    display.keep(&artefact("edited.png"));

    // Training, for 20 s, while the window goes on.
    let from = studio.printed();
    display.key(sym::F1 + 4, false);
    studio.wait("training runs", Duration::from_secs(10));
    std::thread::sleep(Duration::from_secs(20));
    display.keep(&artefact("training.png"));
    let rates = studio.rates(from);
    println!("while training: {rates:?} pictures/s");
    assert!(rates.iter().any(|&r| r > 3.0), "the window stands while a policy is trained: {rates:?}");
    display.key(sym::F1 + 4, false);
    studio.wait("training ended", Duration::from_secs(60));

    // Labels, by keys.
    display.key('3' as u32, true);
    studio.wait("labelling", Duration::from_secs(20));
    std::thread::sleep(Duration::from_secs(1));
    compare(&display, "label");
    for k in 1..=5 {
        display.key(if k % 2 == 0 { sym::LEFT } else { sym::RIGHT }, false);
        studio.wait(&format!("label {k} is stored"), Duration::from_secs(10));
    }
    display.key('2' as u32, true);
    std::thread::sleep(Duration::from_secs(3));
    compare(&display, "runs");

    display.key('q' as u32, true);
    studio.end();

    let entries = pavlov_run::list_runs(&runs);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0].path.join("report.html").is_file());
    let saved = std::fs::read_to_string(assets.join("rewards/cartpole_balance/default/reward.rhai")).expect("saved");
    assert!(saved.contains("still:"), "{saved}");
    let store = pavlov_prefs::LabelStore::open(&pavlov_prefs::LabelStore::path_in(&runs)).expect("store");
    assert_eq!(store.labels().expect("labels").len(), 5);
}

/// The rate of pictures with 16 robots at 1,280 by 720 on whatever draws here; then a robot is selected and pulled by
/// hand.
#[test]
fn sixteen_robots_are_drawn_at_ten_pictures_a_second() {
    let _alone = alone();
    let Some(display) = display() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let (state, runs) = (folder.path().join("state"), folder.path().join("runs"));
    let assets = workspace(&folder.path().join("workspace"));
    let mut studio = Program::start(&display, &["ant_run", "--worlds", "16"], &state, &runs, &assets);
    studio.wait("robots move", Duration::from_secs(60));
    let from = studio.printed();
    std::thread::sleep(Duration::from_secs(8));
    let mut rates = studio.rates(from);
    rates.sort_by(f64::total_cmp);
    let picture = compare(&display, "sixteen");
    assert!(colours(&picture) > 60, "see {}", artefact("sixteen.png").display());
    let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    println!("{median:.1} pictures/s with 16 ants at 1280x720 ({rates:?})");
    // The bar is 10 on an idle machine, release build; tests run beside each other and in the test profile.
    assert!(median > 2.0, "{rates:?}");
    display.focus();
    // The camera follows the first robot: it is in the middle of the picture. It stands still for the hand.
    display.key(' ' as u32, false);
    std::thread::sleep(Duration::from_millis(500));
    let middle = (660, 360);
    display.click(middle.0, middle.1);
    studio.wait("selected", Duration::from_secs(5));
    // Two presses close together are a double click, not a pull.
    std::thread::sleep(Duration::from_millis(700));
    display.drag(middle, (middle.0, middle.1 - 120), Duration::from_millis(1200));
    studio.wait("pulled", Duration::from_secs(10));
    display.keep(&artefact("pulled.png"));
    display.key('q' as u32, true);
    studio.end();
}

/// Different colours in a picture, coarsely: an empty window has few.
fn colours(picture: &image::RgbImage) -> usize {
    let coarse: std::collections::HashSet<[u8; 3]> = picture.pixels().map(|p| p.0.map(|c| c >> 3)).collect();
    coarse.len()
}

/// A picture must look like the one that is kept in `tests/smoke/reference`, seen from afar: eight by eight pixels are
/// averaged, and robots move, so that colours may differ by this much of 255 on the mean.
const TOLERANCE: f64 = 9.0;

/// Waits until the window looks like the reference, and keeps the picture.
fn compare(display: &Display, name: &str) -> image::RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smoke/reference").join(format!("{name}.png"));
    let kept = artefact(&format!("{name}.png"));
    if std::env::var_os("PAVLOV_WRITE_REFERENCE").is_some() {
        std::thread::sleep(Duration::from_secs(2));
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        small(&display.picture()).save(&path).expect("written");
    }
    let wanted = image::open(&path).map(|p| p.to_rgb8());
    let wanted = wanted.unwrap_or_else(|e| panic!("{}: {e}; write it with PAVLOV_WRITE_REFERENCE=1", path.display()));
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let picture = display.keep(&kept);
        let apart = wanted.iter().zip(small(&picture).iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        let mean = apart / wanted.len() as f64;
        if mean < TOLERANCE {
            println!("{name}: {mean:.2} of 255 from its reference");
            return picture;
        }
        assert!(Instant::now() < end, "{name} looks otherwise ({mean:.1} of 255): see {}", kept.display());
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn small(picture: &image::RgbImage) -> image::RgbImage {
    image::imageops::resize(picture, 160, 90, image::imageops::FilterType::Triangle)
}
