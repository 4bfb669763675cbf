//! What `prefs train` writes of few labels, what it refuses, and how scripts can tell.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Exit code, last line of JSON, and what was said on standard error.
fn pavlov(folder: &Path, args: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov"));
    let out = command.current_dir(folder).arg("--root").arg(root()).args(args).arg("--json").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let last = text.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap());
    (out.status.code(), last, String::from_utf8(out.stderr).unwrap())
}

/// One untrained and one trained policy to be asked about; `truth` is what the teacher likes.
fn label(folder: &Path, truth: &str, count: &str, strategy: &str) {
    if !folder.join("runs/a").exists() {
        let small = ["--set", "worlds=64", "--set", "minibatches=2", "--set", "eval_episodes=2"];
        let train = ["train", "cartpole_balance", "--out", "runs/a", "--seed", "5", "--steps", "60k"];
        let (code, _, errors) = pavlov(folder, &[&train[..], &small[..]].concat());
        assert_eq!(code, Some(0), "{errors}");
    }
    let _ = std::fs::remove_file(folder.join("runs/labels.sqlite"));
    let ask = ["prefs", "label", "cartpole_balance", "--truth", truth, "--reward", "default", "--any-reset"];
    let (code, _, errors) = pavlov(folder, &[&ask[..], &["--count", count, "--strategy", strategy]].concat());
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn what_labels_do_not_say_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let learn = ["prefs", "train", "cartpole_balance", "--out", "learnt"];
    let with = |more: &[&str]| pavlov(d, &[&learn[..], more].concat());

    // The teacher likes what the reward pays already.
    label(d, "default", "40", "information");
    let (code, told, errors) = with(&[]);
    assert_eq!((code, &told["out"]), (Some(1), &Value::Null), "{told}{errors}");
    assert!(told["doubt"].as_str().unwrap().contains("nothing is changed"), "{told}");
    assert!(told["changes"].as_array().unwrap().iter().all(|c| c["factor"] == 1.0), "{told}");
    assert!(!d.join("learnt").exists());
    let (code, told, _) = pavlov(d, &["prefs", "train", "cartpole_balance"]);
    assert_eq!((code, &told["out"]), (Some(0), &Value::Null), "nothing was to be written");

    // Twelve labels hold out none that could tell a net from a coin.
    label(d, "default", "12", "uniform");
    let (code, told, _) = with(&["--learn", "mlp"]);
    assert_eq!(code, Some(1));
    assert!(told["doubt"].as_str().unwrap().contains("too few") && told["coin"]["pairs"] == 0, "{told}");
    let (code, told, errors) = with(&["--learn", "mlp", "--force"]);
    assert!(code == Some(0) && told["out"] == "learnt" && errors.contains("--force"), "{told}{errors}");
    std::fs::remove_dir_all(d.join("learnt")).unwrap();

    // The teacher wants the pole to fall: its weight turns, and the gate does not let that pass.
    let fall = "fn reward(s, p) { #{ down: -cos(s.joint(\"hinge\").pos) } }";
    std::fs::write(d.join("fall.rhai"), fall).unwrap();
    label(d, "fall.rhai", "100", "information");
    let (code, told, errors) = with(&[]);
    let upright = &told["changes"][0];
    assert!(upright["term"] == "upright" && upright["factor"].as_f64().unwrap() < 0.0, "{told}{errors}");
    assert!(upright["interval"][1].as_f64().unwrap() < 0.0 && upright["determined"] == true, "{told}");
    let refused = told["findings"].as_array().unwrap().iter().any(|f| f["severity"] == "error");
    assert!(code == Some(2) && refused && !d.join("learnt").exists(), "{told}");
    let (code, told, errors) = with(&["--force"]);
    assert!(code == Some(0) && errors.contains("--force"), "{told}{errors}");
    let manifest = std::fs::read_to_string(d.join("learnt/reward.toml")).unwrap();
    let written: toml::Table = manifest.parse().unwrap();
    assert!(written["params"]["upright"]["value"].as_float().unwrap() < 0.0, "{manifest}");
    let (code, _, errors) = with(&["--force"]);
    assert!(code == Some(2) && errors.contains("there is a reward already"), "{errors}");
}
