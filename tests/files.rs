//! Files as a disk, a slip or an attacker leaves them: pipes and devices in place of files, links out of a run's folder,
//! byte order marks, small files that ask for much, changed and cut bytes.
//!
//! Memory is counted in this process; what is held against the bar is the peak while one file is read.

use pavlov_common::file;
use pavlov_env::{Assets, Task};
use pavlov_learn::{Activation, Mlp, Policy, Ppo, PpoConfig};
use pavlov_prefs::{Features, Kind, LabelStore, Member, Nets};
use pavlov_render::Picture;
use pavlov_run::{Clip, RolloutFile, RunConfig};
use peak_alloc::PeakAlloc;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that reading a small file may take at most.
const MOST: usize = 64 << 20;
/// No command on a small run takes so long.
const LONGEST: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The program's exit code and what it said on standard error; a program that hangs is ended and fails the test.
fn pavlov(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov"));
    command.current_dir(folder).arg("--root").arg(root()).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LONGEST {
            child.kill().unwrap();
            panic!("{args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    let code = status.code().unwrap_or_else(|| panic!("{args:?} was ended by a signal: {said}"));
    assert!(code != 101 && !said.contains("panicked"), "{args:?}: {said}");
    (code, said)
}

const SMALL: [&str; 10] =
    ["--set", "worlds=16", "--set", "minibatches=2", "--set", "epochs=1", "--set", "eval_episodes=1", "--seed", "5"];

/// A finished run, made once.
fn trained() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let args = [&["train", "cartpole_balance", "--out", "run", "--steps", "2k"], &SMALL[..]].concat();
        let (code, said) = pavlov(dir.path(), &args);
        assert_eq!(code, 0, "{said}");
        let run = dir.path().join("run");
        (dir, run)
    });
    run
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the run in a folder of its own.
fn run() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("run");
    copy(trained(), &to);
    (dir, to)
}

/// Every file of a run, below it, in order.
fn files(run: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (Vec::new(), vec![run.to_path_buf()]);
    while let Some(folder) = next.pop() {
        for path in std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()) {
            if path.is_dir() { next.push(path) } else { found.push(path.strip_prefix(run).unwrap().to_path_buf()) }
        }
    }
    found.sort();
    found
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn pipes_and_devices_in_a_run_neither_hang_nor_fill_memory() {
    let (dir, run) = run();
    let commands: [&[&str]; 5] = [
        &["show", "run"],
        &["diagnose", "run"],
        &["rescore", "run", "--reward", "default"],
        &["eval", "run", "--episodes", "1"],
        &["resume", "run", "--steps", "3k"],
    ];
    let all = files(&run);
    // One file of a kind stands for the others: every checkpoint is read the same way.
    let chosen: Vec<&PathBuf> =
        all.iter().filter(|p| !p.ends_with("report.html") && !p.ends_with("final.svg")).collect();
    assert!(chosen.len() > 12, "{all:?}");
    for (i, relative) in chosen.iter().enumerate() {
        let path = run.join(relative);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if i % 2 == 0 {
            pipe(&path)
        } else {
            symlink("/dev/zero", &path).unwrap()
        }
        // Two of the commands on each, so that all meet all kinds.
        for args in [commands[i % 5], commands[(i + 2) % 5]] {
            let (code, said) = pavlov(dir.path(), args);
            assert!(code == 0 || !said.is_empty(), "{args:?} on {}", relative.display());
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, kept).unwrap();
    }
}

#[test]
fn what_is_no_file_is_refused_by_name_wherever_a_file_is_named() {
    let (dir, run) = run();
    let here = dir.path();
    pipe(&here.join("pipe"));
    symlink("/dev/zero", here.join("zero")).unwrap();
    for (name, what) in [("pipe", "a named pipe"), ("zero", "a device")] {
        let named = here.join(name);
        let place = |suffix: &str| {
            let link = here.join(format!("{name}{suffix}"));
            symlink(&named, &link).unwrap();
            link.display().to_string()
        };
        let (task, script, robot, clip) = (place(".toml"), place(".rhai"), place(".xml"), place(".jsonl"));
        let folder = here.join(format!("reward-{name}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("reward.toml"), "").unwrap();
        symlink(&named, folder.join("reward.rhai")).unwrap();
        let reward = folder.display().to_string();
        for args in [
            &["probe", "cartpole", "--states", name][..],
            &["prefs", "import", name],
            &["train", &task, "--steps", "1k"],
            &["check", &script, "--task", "cartpole_balance"],
            &["train", "cartpole_balance", "--reward", &reward, "--steps", "1k"],
            &["inspect", &robot],
            &["render", &clip],
        ] {
            let (code, said) = pavlov(here, args);
            // A pipe that nobody can mistake for a file is not found by name, which is an answer too.
            let told = said.contains(what) || said.contains("no ") || said.contains("not ");
            assert!(code == 2 && told, "{args:?}: {code}: {said}");
        }
    }
    let labels = run.parent().unwrap().join("labels.sqlite");
    symlink("/dev/zero", &labels).unwrap();
    let (code, said) = pavlov(here, &["--runs", ".", "prefs", "export", "x.jsonl"]);
    assert!(code == 2 && said.contains("labels.sqlite"), "{code}: {said}");
}

#[test]
fn nothing_is_written_through_links_inside_a_run() {
    let (dir, run) = run();
    let outside = dir.path().join("outside");
    for relative in files(&run).iter().filter(|p| !p.starts_with("inputs")) {
        let (path, target) = (run.join(relative), outside.join(relative));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, &target).unwrap();
        let before = std::fs::read(&target).unwrap();
        std::fs::remove_file(&path).unwrap();
        symlink(&target, &path).unwrap();
        let (_, said) = pavlov(dir.path(), &["resume", "run", "--steps", "3k"]);
        assert!(std::fs::read(&target).unwrap() == before, "{} was written through", relative.display());
        std::fs::remove_dir_all(&run).unwrap();
        copy(trained(), &run);
        if ["metrics.jsonl", "terms.jsonl", "summary.json"].iter().any(|f| relative.ends_with(f)) {
            assert!(
                said.contains("is a symbolic link") && said.contains("remove it"),
                "{}: {said}",
                relative.display()
            );
        }
    }
    for folder in ["checkpoints", "rollouts", "clips", "checkpoints/recent"] {
        let target = dir.path().join("elsewhere");
        std::fs::rename(run.join(folder), &target).unwrap();
        symlink(&target, run.join(folder)).unwrap();
        let before = files(&target);
        let (code, said) = pavlov(dir.path(), &["resume", "run", "--steps", "3k"]);
        assert!(code != 0 && said.contains("is a symbolic link"), "{folder}: {said}");
        assert_eq!(files(&target), before, "{folder}");
        std::fs::remove_dir_all(&target).unwrap();
        std::fs::remove_dir_all(&run).unwrap();
        copy(trained(), &run);
    }
    // The run itself may be reached by a link.
    symlink("run", dir.path().join("link")).unwrap();
    let (code, said) = pavlov(dir.path(), &["resume", "link", "--steps", "3k"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_states_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let state = "{\"qpos\":[0.1,0.2],\"qvel\":[0.0,0.0],\"ctrl\":[0.5]}\n";
    for (name, text) in [("plain", state.to_string()), ("marked", format!("\u{feff}{state}"))] {
        std::fs::write(dir.path().join(name), text).unwrap();
        let (code, said) = pavlov(dir.path(), &["probe", "cartpole", "--states", name]);
        assert_eq!(code, 0, "{name}: {said}");
    }
    let label = "\u{feff}{\"id\":1,\"at_ms\":5,\"task\":\"t\",\"rater\":\"ann\",\"segments\":[{\"run\":\"a\",\"rollout\":\"0\",\
        \"episode\":0,\"first\":0,\"length\":9,\"reset_seed\":1}],\"answer\":{\"rating\":{\"value\":1,\"of\":3}},\
        \"took_ms\":0,\"versions\":{}}\n";
    std::fs::write(dir.path().join("labels.jsonl"), label).unwrap();
    let (code, said) = pavlov(dir.path(), &["--runs", ".", "prefs", "import", "labels.jsonl"]);
    assert_eq!(code, 0, "{said}");
    let stored = LabelStore::open_existing(&dir.path().join("labels.sqlite")).unwrap().labels().unwrap();
    assert_eq!(&*stored[0].entry.rater, "ann");
}

/// A safetensors file with one piece of metadata.
fn tensors(key: &str, text: &str, columns: &[(&str, &[f32])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = columns.iter().map(|c| c.1.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views =
        columns.iter().zip(&bytes).map(|(c, b)| (c.0, TensorView::new(Dtype::F32, vec![b.len() / 4], b).unwrap()));
    safetensors::serialize(views, Some(HashMap::from([(key.to_string(), text.to_string())]))).unwrap()
}

/// Reads a file of this process; says what came of it.
type Reads = fn(&Path) -> Result<(), String>;

fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|e| e.to_string())
}

fn task() -> &'static Task {
    static TASK: OnceLock<Task> = OnceLock::new();
    TASK.get_or_init(|| Task::load(&Assets::from_roots([root()]), "cartpole_balance").unwrap())
}

fn nets(path: &Path) -> Result<(), String> {
    said(Nets::load(path))
}

fn rollouts(path: &Path) -> Result<(), String> {
    let file = RolloutFile::open(path).map_err(|e| e.to_string())?;
    said(file.read(task().scene(), task().scene().recorded()))
}

fn picture(path: &Path) -> Result<(), String> {
    said(file::read(path, file::NUMBERS).map_err(|e| e.to_string()).and_then(|b| Picture::decode(&b)))
}

fn policy(path: &Path) -> Result<(), String> {
    said(
        file::read(path, file::NUMBERS)
            .map_err(|e| e.to_string())
            .and_then(|b| Policy::from_compact(&b).map_err(|e| e.to_string())),
    )
}

fn learner(path: &Path) -> Result<(), String> {
    said(Ppo::load(path))
}

fn labels(path: &Path) -> Result<(), String> {
    let opened = file::open(path).map_err(|e| e.to_string())?;
    said(pavlov_prefs::jsonl::import(std::io::BufReader::new(opened), path))
}

fn store(path: &Path) -> Result<(), String> {
    said(LabelStore::open_existing(path).and_then(|s| s.labels()))
}

fn clip(path: &Path) -> Result<(), String> {
    said(Clip::read(path))
}

fn config(path: &Path) -> Result<(), String> {
    said(RunConfig::read(path))
}

fn reward(path: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::copy(path, folder.path().join("reward.toml")).map_err(|e| e.to_string())?;
    std::fs::write(folder.path().join("reward.rhai"), "fn reward(s) { #{ a: s.qpos[0] } }")
        .map_err(|e| e.to_string())?;
    said(pavlov_reward::Reward::load(folder.path(), "x", task().scene()))
}

fn robot(path: &Path) -> Result<(), String> {
    said(pavlov_model::load_mjcf(path))
}

/// Peak of memory beyond what was there; no panic.
fn peak(name: &str, read: Reads, path: &Path) -> Result<(), String> {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = catch_unwind(AssertUnwindSafe(|| read(path)));
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < MOST, "{name}: {} MB", taken >> 20);
    result.unwrap_or_else(|_| panic!("{name} panicked"))
}

/// A picture's first bytes, with these sizes.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Picture { width: 1, height: 1, rgba: vec![0; 4] }.png().unwrap();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = 0xffff_ffffu32;
    for &byte in &bytes[12..29] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[test]
fn small_files_that_ask_for_much_are_refused_with_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile");
    let model = |kind: &str, hidden: &str, rest: &str| {
        let text = format!(
            "{{\"format\":1,\"task\":\"t\",\"kind\":{kind},\"hidden\":{hidden},\"features\":{{\"robot\":[],\"channels\":[],\
             \"mean\":[],\"inv_std\":[]}},{rest}}}"
        );
        tensors("pavlov_preference", &text, &[("member.0", &[0.0])])
    };
    let of_one = "\"center\":[0.0],\"scale\":[1.0],\"usual\":[[]]";
    let rows = |rows: u64, episodes: &str| {
        let text = format!("{{\"format\":1,\"rows\":{rows},\"episodes\":[{episodes}]}}");
        tensors("pavlov_rollouts", &text, &[("qpos[0]", &[0.0]), ("qpos[1]", &[0.0])])
    };
    let learner_config = |line: &str| {
        let text = std::fs::read_to_string(trained().join("config.toml")).unwrap();
        let key = line.split(' ').next().unwrap();
        let kept: Vec<&str> = text.lines().map(|l| if l.starts_with(&format!("{key} =")) { line } else { l }).collect();
        kept.join("\n").into_bytes()
    };
    let jpeg = [
        &b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"[..],
        b"\xff\xc0\x00\x0b\x08\x1f\xff\x1f\xff\x01\x01\x11\x00\xff\xd9",
    ]
    .concat();
    let mut header = u64::MAX.to_le_bytes().to_vec();
    header.extend_from_slice(b"{}");
    let manifest = |text: &str| text.as_bytes().to_vec();
    let spo = |segment: &str, queue: &str| {
        manifest(&format!(
            "[sources.x]\nkind = \"spo\"\njudge = \"reward.rhai\"\nsegment = {segment}\nqueue = {queue}\n"
        ))
    };
    let cases: Vec<(&str, Reads, Vec<u8>)> = vec![
        ("net of huge layers", nets, model("\"bradley_terry\"", "[16384, 16384, 16384]", of_one)),
        ("net of endless layers", nets, model("\"bradley_terry\"", &format!("{:?}", vec![16384; 5000]), of_one)),
        ("net of one huge layer", nets, model("\"bradley_terry\"", "[1000000000]", of_one)),
        ("net of huge outputs", nets, model("{\"gpm\":9223372036854775808}", "[8]", of_one)),
        ("net header", nets, header.clone()),
        ("rollouts of many rows", rollouts, rows(1_000_000_000_000, "")),
        ("rollouts of most rows", rollouts, rows(u64::MAX, "")),
        ("rollouts of a long episode", rollouts, rows(20_000_000, "{\"first\":0,\"steps\":18446744073709551615}")),
        ("rollouts header", rollouts, header.clone()),
        ("learner header", learner, header.clone()),
        ("policy header", policy, header),
        ("wide png", picture, png(8192, 8192)),
        ("wider png", picture, png(u32::MAX >> 1, u32::MAX >> 1)),
        (
            "wide gif",
            picture,
            b"GIF89a\xff\xff\xff\xff\x00\x00\x00\x2c\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x01\x00\x3b".to_vec(),
        ),
        ("wide jpeg", picture, jpeg),
        ("config of wide nets", config, learner_config("actor_hidden = [1000000000]")),
        ("config of many worlds", config, learner_config("worlds = 1000000000000")),
        ("reward of long segments", reward, spo("1e12", "256")),
        ("reward of a long queue", reward, spo("50", "1e12")),
        (
            "label of an endless segment",
            labels,
            manifest(
                "{\"id\":1,\"at_ms\":5,\"task\":\"t\",\"rater\":\"r\",\"segments\":[{\"run\":\"a\",\"rollout\":\"0\",\"episode\":0,\
             \"first\":4294967295,\"length\":4294967295,\"reset_seed\":1}],\"answer\":\"skip\",\"took_ms\":0,\"versions\":{}}",
            ),
        ),
        ("config of nets that are all wide", config, learner_config("critic_hidden = [4096, 4096, 4096, 4096]")),
        ("config in brackets", config, format!("a = {}", "[".repeat(200_000)).into_bytes()),
        ("reward in brackets", reward, format!("a = {}", "[".repeat(200_000)).into_bytes()),
        ("label in brackets", labels, format!("{{\"id\":{}", "[".repeat(200_000)).into_bytes()),
        ("clip in brackets", clip, "[".repeat(200_000).into_bytes()),
        ("robot in brackets", robot, "<mujoco>".repeat(100_000).into_bytes()),
        ("rollouts in brackets", rollouts, tensors("pavlov_rollouts", &"[".repeat(100_000), &[])),
        (
            "clip of an odd step",
            clip,
            manifest("{\"task\":\"t\",\"reward\":\"r\",\"seed\":0,\"dt\":1e-320,\"nq\":9e99}\n"),
        ),
    ];
    for (name, read, bytes) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let told = peak(name, read, &path).expect_err(name);
        // The program shows what libraries quote only in part.
        let shown = pavlov_common::plain_lines(&told);
        assert!(!shown.is_empty() && shown.len() < 10_000, "{name}: {shown}");
    }
}

/// A file of every format, as we write it.
fn good(folder: &Path) -> Vec<(&'static str, Reads, Vec<u8>)> {
    let run = trained();
    let bytes = |relative: &str| std::fs::read(run.join(relative)).unwrap();
    let first = |folder: &str, end: &str| {
        let of_kind = |p: &&PathBuf| p.starts_with(folder) && p.extension().is_some_and(|e| e == end);
        let found = files(run).iter().find(of_kind).cloned();
        std::fs::read(run.join(found.unwrap())).unwrap()
    };
    let member = |i| Member {
        net: Mlp::new(3, &[8, 4], 2, Activation::Tanh, (3, i), 1.0),
        center: 0.25,
        scale: 2.0,
        usual: vec![0.5, i as f32],
    };
    let channels = (0..3).map(pavlov_script::Channel::Qvel).collect();
    let features = Features { robot: vec!["h".into()], channels, mean: vec![1.0; 3], inv_std: vec![1.0; 3] };
    let path = folder.join("nets");
    Nets { kind: Kind::Gpm(1), features, members: vec![member(0), member(1)], uncertainty: Vec::new() }
        .save(&path, "t")
        .unwrap();
    let small =
        PpoConfig { worlds: 4, horizon: 4, actor_hidden: vec![6], critic_hidden: vec![6], ..Default::default() };
    let ppo = Ppo::new(small, 3, 0, 1, 7).unwrap();
    let drawn = Picture { width: 5, height: 4, rgba: (0..80).collect() };
    let db = folder.join("labels.sqlite");
    let (left, right) = (segment(0), segment(1));
    let entry = pavlov_prefs::Entry::comparison("t", "ann", left, right, pavlov_prefs::Choice::Left);
    LabelStore::open(&db).unwrap().append(&entry).unwrap();
    vec![
        ("nets", nets, std::fs::read(&path).unwrap()),
        ("rollouts", rollouts, first("rollouts", "safetensors")),
        ("policy", policy, ppo.policy().to_compact().unwrap()),
        ("learner", learner, ppo.to_bytes().unwrap()),
        ("picture", picture, drawn.png().unwrap()),
        ("store", store, std::fs::read(&db).unwrap()),
        ("clip", clip, bytes("clips/final.jsonl")),
        ("config", config, bytes("config.toml")),
        ("robot", robot, std::fs::read(root().join("assets/robots/cartpole.xml")).unwrap()),
        (
            "reward",
            reward,
            b"[params.a]\nvalue = 1.0\nmin = 0.0\nmax = 2.0\n[terms.a]\ntransform = [{ scale = 2.0 }]\n".to_vec(),
        ),
    ]
}

fn segment(episode: u32) -> pavlov_prefs::Segment {
    let (run, rollout) = ("a".into(), "000000012".into());
    pavlov_prefs::Segment { run, rollout, episode, first: 5, length: 50, reset_seed: 7 }
}

#[test]
fn changed_and_cut_files_are_errors_with_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 0x5eed_u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for (name, read, bytes) in good(dir.path()) {
        let path = dir.path().join(format!("{name}.changed"));
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, &bytes).unwrap();
        peak(name, read, &path).unwrap_or_else(|e| panic!("{name}: {e}"));
        for round in 0..60 {
            let mut bad = bytes.clone();
            if round % 4 == 0 {
                bad.truncate(below(bytes.len()));
            } else {
                // Headers come first: half of the changes are among the first kilobyte.
                let place = if round % 2 == 0 { below(bytes.len()) } else { below(bytes.len().min(1_000)) };
                bad[place] = below(256) as u8;
            }
            for beside in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{beside}", path.display()));
            }
            std::fs::write(&path, &bad).unwrap();
            let _ = peak(name, read, &path);
        }
    }
}
