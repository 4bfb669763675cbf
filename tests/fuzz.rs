//! Fuzzing scripts and manifests: the shipped ones, damaged and crossed with pieces that should not be there.
//!
//! A script must give an error or run: no panic, at most 100 ms for a step of a world, at most 64 MiB more memory than
//! before, and (on Linux, by the kernel's counters of the thread) not a single read or write. The short version runs
//! with all tests; ten minutes:
//!
//! ```sh
//! cargo test --release -p pavlov-tests --test fuzz -- --ignored --nocapture
//! ```

use pavlov_env::{Assets, Task};
use pavlov_reward::{Manifest, Reward};
use pavlov_script::Scene;
use pavlov_tests::root;
use peak_alloc::PeakAlloc;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes more than before a case.
const MAX_BYTES: usize = 64 << 20;
/// A step of one world.
const MAX_STEP: Duration = Duration::from_millis(100);
/// Longest time that checking a script may take.
const MAX_CHECK: Duration = Duration::from_secs(5);

/// Pieces that are put anywhere: valid ones, and what an attacker would try.
const PIECES: &[&str] = &[
    "s",
    "p",
    "m",
    ".",
    "[0]",
    "(",
    ")",
    "{",
    "}",
    "#{",
    "]",
    "[",
    ";",
    ",",
    ":",
    "|x|",
    "=>",
    "..",
    "\"",
    "'",
    "`",
    "${",
    "//",
    "/*",
    "\u{0}",
    "é",
    "-",
    "!",
    "&&",
    "||",
    "**",
    "%",
    "/ 0.0",
    "/ 0",
    "<<",
    ">>",
    "1e308",
    "-1e-320",
    "9223372036854775807",
    "0x7fffffff",
    "1.0.0",
    "NaN",
    "if ",
    "else ",
    "for i in 0..1000000000 { ",
    "while true { } ",
    "loop { } ",
    "let x = ",
    "return ",
    "break ",
    "fn f(x) { f(x) + f(x) } ",
    "f(1)",
    "import \"canary\" as c; ",
    "eval(\"1\")",
    "print(s)",
    "debug(s)",
    "sleep(10)",
    "open_file(\"/etc/passwd\")",
    "Fn(\"f\").call(1)",
    "this",
    "throw 1; ",
    "try { } catch { } ",
    "switch x { 1 => 2, _ => 3 } ",
    "const C = 1; ",
    "private fn ",
    "s.body(\"torso\")",
    "s.qpos",
    "s.qvel.map(|v| v * v)",
    "s.prev",
    "s.action",
    "s.feet",
    "s.joints.map(|j| j.pos)",
    ".norm2()",
    ".sum()",
    "sum(",
    "exp_kernel(",
    "tolerance(",
    "clamp(",
    "ln(",
    "sqrt(",
    "vec3(",
    "[0.0, 0.0]",
    "let a = []; for i in 0..20000 { a.push(i); } ",
    "let t = \"a\"; for i in 0..30 { t += t; } ",
    "((((((((((((((((((((((((((((((((",
    "))))))))))))))))))))))))))))))))",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "------------------------------",
    "#{a:#{a:#{a:#{a:#{a:",
];

/// Scripts that run by the interpreter, and that remember: what they do is not known beforehand.
const EXTRA: &[&str] = &[
    "fn reward(s) { let n = 0.0; while n < 5.0 + s.time { n += 1.0; } #{ n: n, t: s.time } }",
    "fn memory() { #{ a: [0.0, 0.0], n: 0.0 } } fn reward(s, p, m) { m.n += 1.0; m.a[1] = m.n * 0.5; \
     #{ n: m.n, a: m.a[1] } }",
    "fn reward(s) { let k = 0; let t = 0.0; for v in s.qvel { k += 1; if v > 1.0 { t += v * k; } } \
     switch k { 1 => #{ t: t }, _ => #{ t: -t } } }",
    "fn g(x, n) { if n <= 0 { x } else { g(x * 0.5, n - 1) } } fn reward(s) { let a = s.qpos.map(|q| g(q, 5)); \
     #{ a: a.sum(), b: a.norm2() } }",
];

/// Pieces of manifests.
const TOML_PIECES: &[&str] = &[
    "[params.w]\nvalue = 1.0\n",
    "value = nan\n",
    "value = inf\n",
    "min = 2.0\n",
    "max = -1\n",
    "[combine]\nscale = 1e999\n",
    "unit = \"deg\"\n",
    "[[params]]\n",
    "= ",
    "\"",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "about = 3\n",
    "\u{0}",
    "é",
    "[params.\"a b\"]\n",
    "[params.9]\nvalue = 1\n",
    "a.b.c.d = 1\n",
    "9999999999999999999999",
    "-0",
    "[params.w]\n[params.w]\n",
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
        at
    }

    fn slice<'a>(&mut self, text: &'a str) -> &'a str {
        let (a, b) = (self.place(text), self.place(text));
        &text[a.min(b)..a.max(b)]
    }

    /// A few characters.
    fn short<'a>(&mut self, text: &'a str) -> &'a str {
        let from = self.place(text);
        let length = 1 + self.below(12);
        let to = text[from..].char_indices().nth(length).map_or(text.len(), |(i, _)| from + i);
        &text[from..to]
    }

    /// Some edits of a text: cut, repeat, insert a piece, take from another text, change a number.
    fn mutate(&mut self, text: &str, others: &[String], pieces: &[&str]) -> String {
        let mut text = text.to_string();
        for _ in 0..1 + self.below(3) {
            let at = self.place(&text);
            match self.below(9) {
                0 => {
                    let part = self.short(&text).to_string();
                    text = text.replacen(&part, "", 1);
                }
                1 => {
                    let part = self.slice(&text).to_string();
                    text.insert_str(at, &part);
                }
                2 | 3 => text.insert_str(at, pieces[self.below(pieces.len())]),
                4 => {
                    let other = &others[self.below(others.len())];
                    let part = self.slice(other).to_string();
                    text.insert_str(at, &part);
                }
                5 => {
                    let piece = pieces[self.below(pieces.len())].repeat(1 + self.below(200));
                    text.insert_str(at, &piece);
                }
                _ => {
                    let numbers = ["0", "-1", "1e30", "1000000", "0.5"];
                    let digits: Vec<usize> =
                        text.char_indices().filter(|c| c.1.is_ascii_digit()).map(|c| c.0).collect();
                    if let Some(&i) = digits.get(self.below(digits.len())) {
                        text.replace_range(i..=i, numbers[self.below(numbers.len())]);
                    }
                }
            }
            if text.len() > 200_000 {
                let at = (0..100_000).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
                text.truncate(at);
            }
        }
        text
    }
}

fn files(folder: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, out);
        } else if path.extension().is_some_and(|e| e == ending) {
            out.push(path);
        }
    }
}

fn texts(folders: &[&str], ending: &str) -> Vec<String> {
    let mut paths = Vec::new();
    folders.iter().for_each(|f| files(&root().join(f), ending, &mut paths));
    paths.sort();
    paths.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect()
}

/// Reads and writes this thread has made, where the kernel counts them.
fn accesses() -> Option<u64> {
    // One read each time, so that the cost of a reading stays the same.
    let mut bytes = [0; 1024];
    let n = std::fs::File::open("/proc/thread-self/io").ok()?.read(&mut bytes).ok()?;
    let text = std::str::from_utf8(&bytes[..n]).ok()?;
    let field = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse::<u64>().ok());
    Some(field("syscr:")? + field("syscw:")?)
}

/// What a reading of the counters costs by itself.
fn cost_of_asking() -> Option<u64> {
    let first = accesses()?;
    Some(accesses()? - first)
}

#[derive(Debug, Default)]
struct Tally {
    scripts: u64,
    ran: u64,
    interpreted: u64,
    manifests: u64,
    slowest_check: Duration,
    slowest_step: Duration,
    most_bytes: usize,
}

/// Checks a script and runs it for a few steps.
fn case(text: &str, manifest: &Manifest, scene: &Arc<Scene>, tally: &mut Tally) -> Result<(), String> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let clock = Instant::now();
    let loaded = Reward::from_text("fuzz", "fuzz.rhai", text, manifest.clone(), scene);
    let checked = clock.elapsed();
    tally.slowest_check = tally.slowest_check.max(checked);
    if checked > MAX_CHECK {
        return Err(format!("checking took {checked:?}"));
    }
    if let Ok(reward) = &loaded {
        let program = reward.program();
        let mut scratch = program.scratch();
        let inputs: Vec<f32> = (0..program.inputs().len() * 8).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.1).collect();
        let mut memory = vec![0.0; program.memory_init().len() * 8];
        let mut out = vec![0.0; program.outputs().len() * 8];
        // Other work on the machine is not the script's fault: the best of three counts.
        let step = (0..3)
            .map(|_| {
                program.reset_memory(0, 8, &mut memory);
                let clock = Instant::now();
                let _ = program.run(1, 8, &inputs, reward.values(), &mut memory, &mut scratch, &mut out);
                clock.elapsed()
            })
            .min()
            .unwrap_or_default();
        tally.ran += 1;
        tally.interpreted += u64::from(!program.is_lowered());
        tally.slowest_step = tally.slowest_step.max(step);
        if step > MAX_STEP {
            return Err(format!("a step took {step:?}"));
        }
        reward.total(out.iter().step_by(8).copied());
    }
    drop(loaded);
    let bytes = MEMORY.peak_usage().saturating_sub(before);
    tally.most_bytes = tally.most_bytes.max(bytes);
    if bytes > MAX_BYTES { Err(format!("{bytes} bytes of memory")) } else { Ok(()) }
}

/// One at a time: memory and accesses are the process's.
static ALONE: Mutex<()> = Mutex::new(());

fn fuzz(time: Duration, seed: u64) {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let assets = Assets::from_roots([root()]);
    // Each with the scene it was written for, so that many mutants still run.
    let mut scenes: Vec<Arc<Scene>> = Vec::new();
    let (mut scripts, mut scene_of) = (Vec::new(), Vec::new());
    for task in assets.tasks() {
        let name = task.name;
        let folders = [format!("rewards/{name}"), format!("tests/faulty/{name}")];
        let matching = folders.iter().filter(|f| root().join(f).is_dir()).flat_map(|f| texts(&[f], "rhai"));
        for text in matching.chain(EXTRA.iter().map(|t| (*t).to_string())) {
            scripts.push(text);
            scene_of.push(scenes.len());
        }
        scenes.push(Task::load(&assets, &name).unwrap().scene().clone());
    }
    let manifests = texts(&["rewards", "tests/faulty"], "toml");
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    std::fs::write(folder.path().join("canary.rhai"), "fn secret() { 1.0 }").unwrap();
    let mut random = Random(seed);
    let mut tally = Tally::default();
    // The C library looks once at /proc/sys/vm/overcommit_memory, when a thread gives memory back for the first time.
    drop((0..400_000).map(|i| vec![i as u8; 200]).collect::<Vec<_>>());
    let asking = cost_of_asking();
    let end = Instant::now() + time;
    std::panic::set_hook(Box::new(|_| {}));
    while Instant::now() < end {
        let seed = random.0;
        let base = random.below(scripts.len());
        let script = random.mutate(&scripts[base], &scripts, PIECES);
        let toml = manifests[random.below(manifests.len())].clone();
        let damaged = random.mutate(&toml, &manifests, TOML_PIECES);
        let manifest = toml::from_str(&damaged).or_else(|_| toml::from_str(&toml)).unwrap_or_default();
        let scene = &scenes[scene_of[base]];
        let first = accesses();
        let result = catch_unwind(AssertUnwindSafe(|| case(&script, &manifest, scene, &mut tally)));
        // Modules of `rewards/lib` are read where a script imports them; nothing else is.
        let allowed = script.contains("import \"lib/");
        let touched = accesses().zip(first).zip(asking).map_or(0, |((now, then), asking)| now - then - asking);
        tally.scripts += 1;
        let problem = match result {
            Ok(Ok(())) if touched == 0 || allowed => None,
            Ok(Ok(())) => Some(format!("{touched} reads or writes")),
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some("a panic".into()),
        };
        if problem.is_some() {
            let _ = std::panic::take_hook();
        }
        assert!(problem.is_none(), "seed {seed}: {}:\n{script}", problem.unwrap_or_default());
        // A folder is read from disk, manifest and all: errors, no panics.
        if tally.scripts.is_multiple_of(8) {
            std::fs::write("reward.toml", &damaged).unwrap();
            std::fs::write("reward.rhai", &script).unwrap();
            let loaded = catch_unwind(|| drop(Reward::load(folder.path(), "fuzz", scene)));
            tally.manifests += 1;
            assert!(loaded.is_ok(), "seed {seed}: a panic:\n{damaged}\n{script}");
        }
    }
    let _ = std::panic::take_hook();
    std::env::set_current_dir(root()).unwrap();
    println!("{tally:?}; accesses counted: {}", asking.is_some());
    assert!(tally.ran * 50 > tally.scripts, "most mutants are too broken to test anything: {tally:?}");
}

#[test]
fn a_few_seconds_of_fuzzing() {
    fuzz(Duration::from_secs(4), 1);
}

#[test]
#[ignore = "ten minutes; run by name with --release -- --ignored --nocapture"]
fn ten_minutes_of_fuzzing() {
    fuzz(Duration::from_secs(600), 2);
}
