//! The program as a user meets it: commands and their JSON, runs that repeat and resume bit for bit, bad input.

use pavlov_common::testing::{NO_ADAPTER, skipped};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The program, in a folder of its own, with the repository's tasks.
fn pavlov(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov"));
    command.current_dir(folder).arg("--root").arg(root()).args(args);
    command
}

fn output(folder: &Path, args: &[&str]) -> Output {
    pavlov(folder, args).output().unwrap()
}

/// Runs a command that must succeed; every line of its output is JSON.
fn json(folder: &Path, args: &[&str]) -> Vec<Value> {
    let out = output(folder, &[args, &["--json"]].concat());
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{args:?}: {e}: {l}"))).collect()
}

/// `metrics.jsonl` without what depends on the clock.
fn metrics(run: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let strip = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        assert!(value.as_object_mut().unwrap().remove("timing").is_some(), "{line}");
        value.to_string()
    };
    text.lines().map(strip).collect()
}

const SMALL: &[&str] =
    &["--set", "worlds=64", "--set", "minibatches=2", "--set", "epochs=2", "--set", "eval_episodes=2"];

fn train(folder: &Path, task: &str, out: &str, more: &[&str]) {
    let args = [&["train", task, "--out", out, "--seed", "5"], SMALL, more].concat();
    let out = output(folder, &args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn every_listing_gives_json() {
    let dir = tempfile::tempdir().unwrap();
    let tasks = json(dir.path(), &["tasks"]);
    assert!(tasks.iter().any(|t| t["task"] == "ant_run" || t["name"] == "ant_run"), "{tasks:?}");
    for command in ["rewards", "robots", "devices"] {
        assert!(!json(dir.path(), &[command]).is_empty(), "{command}");
    }
    assert!(json(dir.path(), &["runs"]).is_empty());
    let doc = output(dir.path(), &["rewards", "doc"]);
    assert!(String::from_utf8(doc.stdout).unwrap().contains("body.linvel"));
    let check = json(dir.path(), &["check", "ant_run/default", "--parity", "100"]);
    assert_eq!((&check[0]["ok"], &check[0]["lowered"]), (&Value::Bool(true), &Value::Bool(true)), "{check:?}");
    assert!(check[0]["parity_max_abs"].as_f64().unwrap() < 1e-5);
}

#[test]
#[cfg(target_os = "linux")] // where Vulkan's loader can be told of no driver
fn training_goes_on_with_the_processor_where_there_is_no_driver_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let args = [&["train", "cartpole_balance", "--device", "gpu", "--steps", "2k", "--out", "run"], SMALL].concat();
    let out =
        pavlov(dir.path(), &args).env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none").output().unwrap();
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && message.contains("no GPU adapter was found"), "{message}");
}

#[test]
fn the_gpu_trains_and_is_measured_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let devices = json(dir.path(), &["devices"]);
    assert_eq!(devices[0]["device"], "cpu");
    if devices.len() == 1 {
        return skipped(NO_ADAPTER);
    }
    refused(dir.path(), &["train", "cartpole_balance", "--device", "gpu:77"], &["no GPU adapter 77", "pavlov devices"]);
    train(dir.path(), "cartpole_balance", "run", &["--device", "gpu", "--steps", "4k"]);
    let config = std::fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    assert!(config.contains("device = \"gpu:0\""), "{config}");
    for kind in ["physics", "env", "learn"] {
        let args =
            ["bench", kind, "--task", "cartpole_balance", "--device", "gpu", "--worlds", "64", "--seconds", "0.2"];
        let line = &json(dir.path(), &args)[0];
        let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}: {line}"));
        assert!(number("env_steps_per_s") > 0.0 && number("bandwidth") > 0.0, "{line}");
        if devices[1]["timestamps"] == true {
            let kernels = line["kernels"].as_array().unwrap();
            assert!(kernels.iter().any(|k| k["kernel"] == "physics"), "{line}");
        }
    }
}

#[test]
fn a_reward_is_made_checked_and_tuned() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    // A root of its own, so that nothing is written to the repository; the user's folder is one of its own too.
    for place in ["tasks", "assets/robots", "rewards/cartpole_balance/default", "rewards/lib"] {
        std::fs::create_dir_all(folder.join(place)).unwrap();
        for entry in std::fs::read_dir(root().join(place)).unwrap().flatten().filter(|e| e.path().is_file()) {
            std::fs::copy(entry.path(), folder.join(place).join(entry.file_name())).unwrap();
        }
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov"));
        command.current_dir(folder).env("XDG_CONFIG_HOME", folder.join("config")).arg("--root").arg(folder).args(args);
        let out = command.output().unwrap();
        let (text, errors) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
        (out.status.code(), text, errors)
    };
    let created = run(&["rewards", "new", "cartpole_balance/mine"]);
    assert!(created.0 == Some(0) && created.1.contains("pavlov train cartpole_balance"), "{created:?}");
    assert_eq!(run(&["rewards", "new", "cartpole_balance/mine"]).0, Some(2), "it is there already");
    assert!(run(&["rewards", "new", "mine"]).2.contains("TASK/NAME"));
    let from = ["rewards", "new", "cartpole_balance/copy", "--from", "default", "--user"];
    assert_eq!(run(&from).0, Some(0));
    let copy = folder.join("config/pavlov/rewards/cartpole_balance/copy");
    assert!(std::fs::read_to_string(copy.join("reward.toml")).unwrap().contains("parent = \"default\""));
    let listed = run(&["rewards", "--task", "cartpole_balance"]).1;
    assert!(["default", "mine", "copy"].iter().all(|n| listed.contains(&format!("cartpole_balance/{n}"))), "{listed}");
    let names = ["cartpole_balance/mine", "cartpole_balance/copy", "cartpole_balance/default"];
    assert_eq!(run(&[&["rewards", "check"], &names[..]].concat()).0, Some(0));

    // Slips in the manifest are reported with their place, and so are cases that do not hold.
    let toml = copy.join("reward.toml");
    let good = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, format!("{good}\n[terms.upright]\ntransform = [\n  {{ clip = {{ mx = 1.0 }} }},\n]\n"))
        .unwrap();
    let (code, text, _) = run(&["rewards", "check", "cartpole_balance/copy"]);
    let line = good.lines().count() + 4;
    let place = format!("reward.toml:{line}:14: `clip` has no option `mx`");
    assert!(code == Some(2) && text.contains(&place), "{place}\n{text}");
    std::fs::write(&toml, &good).unwrap();
    let case = "[[case]]\nname = \"fallen\"\nqpos = [0.0, 3.1]\n[case.expect]\nupright = { at_least = 0.5 }\n";
    std::fs::write(copy.join("tests.toml"), case).unwrap();
    let (code, text, _) = run(&["rewards", "check", "cartpole_balance/copy"]);
    assert!(code == Some(2) && text.contains("case `fallen`: `upright` is -"), "{text}");

    let doc = run(&["rewards", "doc"]).1;
    assert!(["body.linvel", "`log_sigmoid`", "`lagrangian`", "lib/feet"].iter().all(|w| doc.contains(w)));

    let tune = ["tune", "cartpole_balance", "--reward", "mine", "--param", "effort", "--method", "halving"];
    let more =
        ["--variants", "2", "--steps", "4k", "--worlds", "16", "--set", "minibatches=2", "--write", "tuned", "--json"];
    // One seed cannot be sure: nothing is written, and scripts are told.
    let (code, text, errors) = run(&[&tune[..], &more[..], &["--confirm", "1"]].concat());
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(code == Some(1) && end["sure"] == false && end["path"].is_null(), "{text}{errors}");
    assert!(end["confirmed"]["before"][0].is_number() && end["confirmed"]["interval"].is_null(), "{text}");
    assert!(!folder.join("rewards/cartpole_balance/tuned").exists());
    let (code, text, errors) = run(&[&tune[..], &more[..], &["--confirm", "2", "--force"]].concat());
    assert!(code == Some(0) && text.lines().count() == 4, "{text}{errors}");
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let best = end["best"]["params"][0][1].as_f64().unwrap();
    let tuned = std::fs::read_to_string(folder.join("rewards/cartpole_balance/tuned/reward.toml")).unwrap();
    let written: toml::Table = tuned.parse().unwrap();
    assert_eq!(written["params"]["effort"]["value"].as_float().unwrap() as f32, best as f32);
    assert_eq!(written["parent"].as_str(), Some("cartpole_balance/mine"));
    assert_eq!(run(&["rewards", "check", "cartpole_balance/tuned"]).0, Some(0));
}

#[test]
fn probe_gives_the_same_quantities_scalar_and_in_lanes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.jsonl"), "{\"qpos\":[0.1,0.2],\"qvel\":[0.3,-0.4],\"ctrl\":[0.5]}\n").unwrap();
    let scalar = json(dir.path(), &["probe", "cartpole", "--states", "s.jsonl"]);
    let lanes = json(dir.path(), &["probe", "cartpole", "--states", "s.jsonl", "--lanes"]);
    for key in ["qM", "qfrc_bias", "qacc_smooth", "contacts", "qacc", "qpos_next", "qvel_next"] {
        assert!(scalar[0].get(key).is_some(), "{key}");
    }
    let (a, b) = (scalar[0]["qacc"][1].as_f64().unwrap(), lanes[0]["qacc"][1].as_f64().unwrap());
    assert!((a - b).abs() < 1e-4 * a.abs() && a != 0.0, "{a} {b}");
}

#[test]
fn the_same_seed_gives_the_same_metrics_with_one_and_two_threads() {
    let dir = tempfile::tempdir().unwrap();
    for task in ["ant_run", "go1_velocity"] {
        // Four blocks of worlds, so that two threads do share the work.
        let more = ["--steps", "8192", "--set", "worlds=256", "--set", "horizon=8"];
        train(dir.path(), task, "one", &[&more[..], &["--threads", "1"]].concat());
        train(dir.path(), task, "two", &[&more[..], &["--threads", "2"]].concat());
        let (single, double) = (metrics(&dir.path().join("one")), metrics(&dir.path().join("two")));
        assert!(single.len() >= 4, "{}", single.len());
        assert_eq!(single, double, "{task}");
        for name in ["one", "two"] {
            std::fs::remove_dir_all(dir.path().join(name)).unwrap();
        }
    }
}

#[test]
fn a_killed_run_resumes_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["--steps", "120000", "--set", "horizon=16"];
    train(dir.path(), "hopper_hop", "whole", &more);
    let args = [&["train", "hopper_hop", "--out", "cut", "--seed", "5"], SMALL, &more[..]].concat();
    let mut child = pavlov(dir.path(), &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let cut = dir.path().join("cut/metrics.jsonl");
    let clock = Instant::now();
    let lines = || std::fs::read_to_string(&cut).map_or(0, |t| t.lines().count());
    while lines() < 10 {
        assert!(clock.elapsed() < Duration::from_secs(60), "no metrics");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let killed_at = lines();
    let out = output(dir.path(), &["resume", "cut"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (whole, resumed) = (metrics(&dir.path().join("whole")), metrics(&dir.path().join("cut")));
    assert!(killed_at < whole.len(), "it was killed only after its end");
    assert_eq!(whole, resumed);
    let policy = |run: &str| std::fs::read(dir.path().join(run).join("policy.onnx")).unwrap();
    assert!(policy("whole") == policy("cut"), "the policies differ");
}

/// The backend is the run's: training, its evaluation, resume and later evaluations are on it unless asked for
/// otherwise.
#[test]
fn a_run_on_rapier_stays_on_rapier_and_resumes_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["--backend", "rapier", "--set", "horizon=8", "--set", "schedule=constant"];
    train(dir.path(), "cartpole_balance", "whole", &[&more[..], &["--steps", "4096"]].concat());
    train(dir.path(), "cartpole_balance", "part", &[&more[..], &["--steps", "2048"]].concat());
    assert!(output(dir.path(), &["resume", "part", "--steps", "4096"]).status.success());
    assert_eq!(metrics(&dir.path().join("whole")), metrics(&dir.path().join("part")));
    let config = std::fs::read_to_string(dir.path().join("whole/config.toml")).unwrap();
    assert!(config.contains("backend = \"rapier\""), "{config}");
    let as_trained = &json(dir.path(), &["eval", "whole", "--episodes", "2"])[0];
    let other = &json(dir.path(), &["eval", "whole", "--episodes", "2", "--backend", "batch"])[0];
    assert_eq!((as_trained["backend"].as_str(), other["backend"].as_str()), (Some("rapier"), Some("batch")));
    let bench = &json(
        dir.path(),
        &["bench", "physics", "--task", "hopper_hop", "--backend", "rapier", "--seconds", "0.2", "--worlds", "8"],
    )[0];
    assert!(bench["backend"] == "rapier" && bench["physics_steps_per_s"].as_f64().unwrap() > 0.0, "{bench}");
}

#[test]
fn a_run_leaves_what_the_readme_says_and_its_commands_work() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "cartpole_balance", "runs/x", &["--steps", "8192"]);
    let run = dir.path().join("runs/x");
    for file in
        ["config.toml", "metrics.jsonl", "terms.jsonl", "policy.onnx", "policy.json", "report.html", "summary.json"]
    {
        assert!(run.join(file).is_file(), "{file}");
    }
    let policy: Value = serde_json::from_str(&std::fs::read_to_string(run.join("policy.json")).unwrap()).unwrap();
    assert_eq!(policy["task"], "cartpole_balance");
    let eval = json(dir.path(), &["eval", "runs/x", "--episodes", "3", "--seed", "7"]);
    assert_eq!(eval[0]["episodes"], 3);
    for key in ["return", "fitness", "success"] {
        assert!(eval[0][key]["mean"].is_f64() && eval[0][key]["std"].is_f64(), "{key}");
    }
    assert_eq!(eval, json(dir.path(), &["eval", "runs/x", "--episodes", "3", "--seed", "7", "--threads", "1"]));
    assert_eq!(json(dir.path(), &["runs"]).len(), 1);
    json(dir.path(), &["show", "last"]);
    let before = std::fs::read(run.join("policy.onnx")).unwrap();
    json(dir.path(), &["export", "last"]);
    assert!(before == std::fs::read(run.join("policy.onnx")).unwrap());
}

#[test]
fn a_run_is_drawn_and_what_cannot_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    train(d, "cartpole_balance", "x", &["--steps", "2048"]);
    // Wrong use is reported before anything is drawn, with or without an adapter.
    refused(d, &["render", "x", "--camera", "sidee"], &["no camera `sidee`", "track, side, front, back, top, fixed"]);
    for size in ["big", "0x10", "640", "9999x9999"] {
        refused(d, &["render", "x", "--size", size], &["WIDTHxHEIGHT"]);
    }
    refused(d, &["render", "x", "--ground", "chequer"], &["no ground", "checker"]);
    refused(d, &["render", "x", "--clip", "best"], &["no clip `best`", "final"]);
    refused(d, &["render", "x", "--start", "99"], &["--start 99", "the clip lasts"]);
    refused(d, &["render", "x", "--device", "cpu"], &["pavlov devices"]);
    let without_gpu = pavlov(d, &["render", "x", "--png", "a.png"])
        .env("VK_DRIVER_FILES", "none")
        .env("VK_ICD_FILENAMES", "none")
        .output();
    let without_gpu = without_gpu.unwrap();
    if !without_gpu.status.success() {
        let message = String::from_utf8_lossy(&without_gpu.stderr);
        assert!(without_gpu.status.code() == Some(2) && message.contains("mesa-vulkan-drivers"), "{message}");
    }
    if json(d, &["devices"]).len() == 1 {
        skipped(NO_ADAPTER);
        return;
    }
    refused(d, &["render", "x", "--device", "gpu:77"], &["no GPU adapter 77"]);
    let unwritable = output(d, &["render", "x", "--png", "no/such/a.png", "--size", "32x32"]);
    let message = String::from_utf8_lossy(&unwritable.stderr);
    assert!(unwritable.status.code() == Some(1) && message.contains("no/such/a.png"), "{message}");

    let small = ["--size", "64x48", "--seconds", "0.5", "--fps", "20"];
    let arguments = ["--png", "a.png", "--frames", "3", "--gif", "a.gif", "--apng", "a.apng", "--camera", "side"];
    let lines = json(d, &[&["render", "x"], &small[..], &arguments[..]].concat());
    let formats: Vec<&str> = lines.iter().filter_map(|l| l["format"].as_str()).collect();
    assert_eq!(formats, ["png", "gif", "apng"]);
    assert!(lines[0]["width"] == 192 && lines[0]["height"] == 48 && lines[0]["frames"] == 3, "{lines:?}");
    // Half a second at 20 pictures a second: both ends are shown.
    assert!(lines[1]["frames"] == 11 && lines[1]["camera"] == "side", "{lines:?}");
    for (file, magic) in [("a.png", &b"\x89PNG"[..]), ("a.gif", b"GIF89a"), ("a.apng", b"\x89PNG")] {
        assert!(std::fs::read(d.join(file)).unwrap().starts_with(magic), "{file}");
    }
    // Nothing named: a GIF beside the clip. Slow motion has more pictures.
    let slow = json(d, &[&["render", "x/clips/final.jsonl", "--speed", "0.5"], &small[..]].concat());
    assert_eq!(slow[0]["frames"], 21);
    assert!(d.join("x/clips/final.gif").is_file());
    if cfg!(feature = "mp4") {
        let film = json(d, &[&["render", "x", "--mp4", "a.mp4"], &small[..]].concat());
        assert!(film[0]["frames"] == 11 && std::fs::read(d.join("a.mp4")).unwrap()[4..8] == *b"ftyp", "{film:?}");
    }
    let bench =
        &json(d, &["bench", "render", "--task", "ant_run", "--seconds", "0.2", "--size", "64x64", "--batch", "8"])[0];
    assert!(bench["images_per_s"].as_f64().unwrap() > 0.0 && bench["batch"] == 8, "{bench}");
}

/// Exit code 2 and a message with these words, soon.
fn refused(folder: &Path, args: &[&str], words: &[&str]) {
    let clock = Instant::now();
    let out = output(folder, args);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{args:?}: no `{word}` in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    assert!(clock.elapsed() < Duration::from_secs(5), "{args:?} took {:?}", clock.elapsed());
}

#[test]
fn bad_input_is_refused_with_place_and_hint() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let write = |name: &str, text: &str| std::fs::write(d.join(name), text).unwrap();
    refused(d, &["train", "ant_rum"], &["did you mean `ant_run`"]);
    refused(d, &["train", "ant_run", "--set", "learnin_rate=1"], &["learning_rate"]);
    refused(d, &["train", "ant_run", "--set", "gamma=2"], &["gamma"]);
    refused(d, &["train", "ant_run", "--set", "reward.forwrad=2"], &["forward"]);
    refused(d, &["train", "ant_run", "--device", "gpu", "--backend", "rapier"], &["rapier", "--device cpu"]);
    refused(d, &["eval", "nowhere"], &["nowhere"]);
    write("bad.rhai", "fn reward(s, p) {\n    #{ run: s.body(\"torsp\").linvel.x }\n}");
    refused(d, &["train", "ant_run", "--reward", "bad.rhai"], &["bad.rhai:2:", "did you mean `torso`"]);
    write("endless.rhai", "fn reward(s) { let x = 0.0; while true { x += 1.0; } x }");
    refused(d, &["train", "ant_run", "--reward", "endless.rhai"], &["endless.rhai"]);
    write("deep.rhai", "fn f(n) { f(n + 1) } fn reward(s) { f(0) }");
    refused(d, &["train", "ant_run", "--reward", "deep.rhai"], &["deep.rhai"]);
    write("large.rhai", "fn reward(s) { let a = []; for i in 0..100000 { a.push(i); } a.len() }");
    refused(d, &["train", "ant_run", "--reward", "large.rhai"], &["large.rhai"]);
    for (name, text) in [
        ("cut.xml", "<mujoco><worldbody><body>"),
        ("bomb.xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><mujoco>&b;</mujoco>"),
        ("deep.xml", &"<body>".repeat(100_000)),
        ("wrong.xml", "<mujoco><worldbody><body><geom size=\"-1\"/></body></worldbody></mujoco>"),
        ("binary.xml", "\u{0}\u{1}\u{2}"),
        ("empty.xml", ""),
    ] {
        write(name, text);
        refused(d, &["inspect", &format!("./{name}")], &[name]);
    }
    write("t.toml", "robot = \"ant.xml\"\n[timing]\nframe_skp = 5\nepisode_steps = 10\n");
    refused(d, &["train", "t.toml"], &["t.toml:3", "frame_skip"]);
    write("u.toml", "robot = \"ant.xml\"\n[timing\n");
    refused(d, &["train", "u.toml"], &["u.toml:2"]);
    write("s.jsonl", "{\"qpos\":[1,2,3]}\n");
    refused(d, &["probe", "cartpole", "--states", "s.jsonl"], &["qpos"]);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "cartpole_balance", "x", &["--steps", "4096"]);
    let before = metrics(&dir.path().join("x"));
    let checkpoints = dir.path().join("x/checkpoints");
    for entry in std::fs::read_dir(&checkpoints).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    refused(dir.path(), &["resume", "x", "--steps", "9000"], &["checkpoint"]);
    refused(dir.path(), &["eval", "x"], &["checkpoint"]);
    assert_eq!(before, metrics(&dir.path().join("x")));
}

/// The same task, reward, seed and steps on the processor and on the GPU.
#[test]
#[ignore = "trains for some minutes; needs an optimised program: cargo test --release -p pavlov --test cli -- \
            --ignored --nocapture trained_on_the_gpu"]
fn an_ant_trained_on_the_gpu_is_as_good_as_one_trained_on_the_processor() {
    let dir = tempfile::tempdir().unwrap();
    if json(dir.path(), &["devices"]).iter().all(|d| d["device"] == "cpu") {
        skipped(NO_ADAPTER);
        return;
    }
    let returns = ["cpu", "gpu"].map(|device| {
        let steps = ["--steps", "3000000", "--set", "total_steps=3000000"];
        let args = [
            &["train", "gym/ant", "--device", device, "--profile", "fast", "--seed", "1", "--out", device],
            &steps[..],
        ]
        .concat();
        let clock = Instant::now();
        let out = output(dir.path(), &args);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let seconds = clock.elapsed().as_secs_f64();
        let found = &json(dir.path(), &["eval", device, "--episodes", "50"])[0]["return"];
        println!("{device}: return {} in {seconds:.0} s", found["mean"]);
        found["mean"].as_f64().unwrap()
    });
    assert!(returns[1] > 0.9 * returns[0], "{returns:?}");
}

#[test]
#[ignore = "a measurement; needs an optimised program: cargo test --release -p pavlov --test cli -- --ignored \
            --nocapture"]
fn start_up_times() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    std::fs::write(d.join("bad.rhai"), "fn reward(s) { s.bdy }").unwrap();
    let clock = Instant::now();
    refused(d, &["train", "ant_run", "--reward", "bad.rhai"], &["bad.rhai"]);
    let error = clock.elapsed();
    let clock = Instant::now();
    let mut child = pavlov(d, &["train", "cartpole_balance", "--out", "x", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let metrics = d.join("x/metrics.jsonl");
    while std::fs::metadata(&metrics).map_or(0, |m| m.len()) == 0 {
        assert!(clock.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = clock.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    println!("script error after {error:?} (bar 0.2 s), first update after {first:?} (bar 1 s)");
    assert!(error < Duration::from_millis(200) && first < Duration::from_secs(1));
}
