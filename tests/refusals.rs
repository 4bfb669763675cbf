//! Commands that cannot do what they are asked: each ends with the exit code of its cause and one sentence that names
//! what is wrong, said once; and what is not ours stays as it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn output(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavlov"));
    command.current_dir(folder).arg("--root").arg(root()).args(args).output().unwrap()
}

/// Is a part of a text, of three words or more, said twice in a row, as "not found: not found"?
fn doubled(text: &str) -> bool {
    let parts: Vec<&str> = text.split(": ").map(str::trim).collect();
    parts.windows(2).any(|pair| pair[0] == pair[1] && pair[0].split(' ').count() > 2)
        || text.matches("(os error").count() > 1
}

/// A folder with files and folders that are none of what commands expect.
fn somewhere() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["empty", "notrun", "badrun", "badreward"] {
        std::fs::create_dir(at(folder)).unwrap();
    }
    let files: [(&str, &[u8]); 9] = [
        ("file", b"x"),
        ("notrun/thesis.tex", b"a year"),
        ("bad.toml", b"not = [toml"),
        ("badrun/config.toml", b"format = 1"),
        ("badreward/reward.rhai", b"fn reward(s, p) { #{ a: s.qpos[0] } }"),
        ("badreward/reward.toml", b"[params.x"),
        ("bad.xml", b"<mujoco><worldbody>"),
        ("bad.jsonl", b"{\"a\":"),
        ("binary", b"\xff\xfe\0\x1b[2J"),
    ];
    files.iter().for_each(|(name, bytes)| std::fs::write(at(name), bytes).unwrap());
    dir
}

/// Commands, and what the sentence must name.
const REFUSED: &[(&str, &str)] = &[
    ("train nope", "`nope`"),
    ("train ./none.toml", "none.toml"),
    ("train bad.toml", "bad.toml:1"),
    ("train empty", "`empty`"),
    ("train ant_run --reward none.rhai", "none.rhai"),
    ("train ant_run --reward badreward", "badreward/reward.toml:1"),
    ("train ant_run --reward empty", "`empty`"),
    ("train ant_run --out notrun", "notrun is not empty"),
    ("train ant_run --out file", "file"),
    ("train ant_run --out file/x", "file/x"),
    ("train ant_run --runs file", "--runs file"),
    ("train ant_run --from notrun", "`notrun`"),
    ("train ant_run --set foo=1", "`foo`"),
    ("train ant_run --set foo", "`--set foo`"),
    ("train ant_run --steps x", "'x'"),
    ("train ant_run --backend foo", "'foo'"),
    ("train ant_run --calibrate none", "`none`"),
    ("train ant_run --allow-path none", "none"),
    ("tasks --allow-path file", "file"),
    ("resume none", "`none`"),
    ("resume notrun", "`notrun`"),
    ("resume file", "`file`"),
    ("resume badrun", "badrun/config.toml"),
    ("resume last", "no runs in runs"),
    ("show badrun", "badrun/config.toml"),
    ("export badrun", "badrun/config.toml"),
    ("eval badrun", "badrun/config.toml"),
    ("eval empty", "`empty`"),
    ("check none.rhai --task ant_run", "none.rhai"),
    ("check file --task ant_run", "`file`"),
    ("check empty --task ant_run", "`empty`"),
    ("check badreward", "--task"),
    ("check binary --task ant_run", "`binary`"),
    ("check --explain nope", "`nope`"),
    ("rescore badrun --reward ant_run/default", "badrun/config.toml"),
    ("compare ant_run/default none.rhai", "none.rhai"),
    ("diagnose notrun", "`notrun`"),
    ("tune nope --param x", "`nope`"),
    ("tune ant_run --param nope", "`nope`"),
    ("tune ant_run --param forward --log empty", "empty"),
    ("tune ant_run --param forward --log none/x.jsonl", "none/x.jsonl"),
    ("tune ant_run --param forward --log bad.toml", "bad.toml"),
    ("tune ant_run --param forward --write ../x", "../x"),
    ("search nope", "`nope`"),
    ("search cartpole_balance --out file", "file"),
    ("search cartpole_balance --out notrun", "notrun"),
    ("search ant_run --replay none.jsonl", "none.jsonl"),
    ("search ant_run --replay bad.jsonl --model m", "bad.jsonl, line 1"),
    ("search ant_run --mode drop-in --scripts none.rhai", "none.rhai"),
    ("search show notrun", "notrun"),
    ("search resume file", "file"),
    ("search promote notrun --name x", "notrun"),
    ("search job none.json", "none.json"),
    ("search ant_run --base-url foo --model m", "--base-url foo"),
    ("prefs stats", "runs/labels.sqlite"),
    ("prefs label ant_run", "`ant_run`"),
    ("prefs import none.jsonl", "none.jsonl"),
    ("prefs import bad.jsonl", "bad.jsonl: line 1"),
    ("prefs import empty", "empty"),
    ("prefs import binary", "binary"),
    ("prefs loop ant_run --name ../x", "`../x`"),
    ("prefs loop ant_run --name CON", "`CON`"),
    ("prefs branch none", "`none`"),
    ("render notrun --png a.png", "`notrun`"),
    ("render bad.jsonl --png a.png", "bad.jsonl: line 1"),
    ("vision score empty --goal x", "empty"),
    ("vision score file --goal x --model none", "`none`"),
    ("vision audit badrun", "badrun/config.toml"),
    ("inspect none", "`none`"),
    ("inspect bad.xml", "bad.xml:1"),
    ("inspect binary", "binary"),
    ("inspect empty", "`empty`"),
    ("probe none --states bad.jsonl", "`none`"),
    ("probe ant --states none", "none"),
    ("probe ant --states bad.jsonl", "bad.jsonl:1"),
    ("probe ant --states empty", "empty"),
    ("bench env --task nope", "`nope`"),
    ("rewards new ant_run/../x", "`ant_run/../x`"),
    ("rewards new ant_run/mine --from none", "`none`"),
    ("rewards check none", "`none`"),
    ("foo", "'foo'"),
];

#[test]
fn every_refusal_has_the_exit_code_of_its_cause_and_one_sentence() {
    let dir = somewhere();
    let mut wrong = Vec::new();
    for (line, named) in REFUSED {
        let args: Vec<&str> = line.split(' ').collect();
        let out = output(dir.path(), &args);
        let told = String::from_utf8_lossy(&out.stderr);
        let errors = told.lines().filter(|l| l.starts_with("error")).count();
        let raw = told.chars().any(|c| c.is_control() && c != '\n');
        let good = out.status.code() == Some(2) && told.contains(named) && errors == 1 && !doubled(&told) && !raw;
        if !good || told.contains("panicked") {
            wrong.push(format!("pavlov {line}: {:?}, expected {named}: {told}", out.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(std::fs::read(dir.path().join("notrun/thesis.tex")).unwrap(), b"a year");
    assert_eq!(std::fs::read(dir.path().join("bad.toml")).unwrap(), b"not = [toml");
    for folder in ["empty", "badreward"] {
        let hidden = std::fs::read_dir(dir.path().join(folder)).unwrap().flatten().map(|e| e.file_name());
        assert!(hidden.into_iter().all(|name| !name.to_string_lossy().starts_with('.')), "{folder}");
    }
    // What a server does wrong is no wrong use.
    let ask = "search cartpole_balance --base-url http://127.0.0.1:9/v1 --model m --tries 1 --out asked";
    assert_eq!(output(dir.path(), &ask.split(' ').collect::<Vec<_>>()).status.code(), Some(1));
    // A finding of the gate is told by exit code 2 as well, with the finding on standard output.
    let out = output(dir.path(), &["check", "badreward", "--task", "ant_run"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stdout).contains("badreward/reward.toml:1"));
}

#[test]
fn a_loop_of_preferences_leaves_folders_of_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let short =
        ["prefs", "loop", "cartpole_balance", "--name", "mine", "--rounds", "1", "--budget", "4", "--steps", "6000"];
    let go = |more: &[&str]| {
        let out = output(dir.path(), &[&short, more].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    // In the place of its folder, of its first run, and of the reward that it writes.
    for place in ["runs/mine", "runs/mine-0"] {
        let thesis = dir.path().join(place).join("thesis.tex");
        std::fs::create_dir_all(thesis.parent().unwrap()).unwrap();
        std::fs::write(&thesis, "a year").unwrap();
        let (code, told) = go(&[]);
        assert!(code == Some(2) && told.contains(place) && told.contains("--name"), "{code:?}: {told}");
        assert_eq!(std::fs::read_to_string(&thesis).unwrap(), "a year");
        std::fs::remove_dir_all(thesis.parent().unwrap()).unwrap();
    }
    let reward = dir.path().join("runs/mine/reward-1");
    std::fs::create_dir_all(&reward).unwrap();
    std::fs::write(dir.path().join("runs/mine/since"), "0\n").unwrap();
    std::fs::write(reward.join("reward.rhai"), "fn reward(s) { 1.0 }").unwrap();
    let (code, told) = go(&[]);
    assert!(code == Some(2) && told.contains("reward-1") && told.contains("move it away"), "{code:?}: {told}");
    assert_eq!(std::fs::read_to_string(reward.join("reward.rhai")).unwrap(), "fn reward(s) { 1.0 }");
    std::fs::remove_dir_all(&reward).unwrap();
    let (code, told) = go(&[]);
    assert_eq!(code, Some(0), "{told}");
    // Four labels determine nothing: the round says so, and leaves no reward.
    let rounds = std::fs::read_to_string(dir.path().join("runs/mine/rounds.jsonl")).unwrap();
    assert!(rounds.contains("\"kept\":\"") && !reward.exists(), "{rounds}");
}

#[test]
fn labelling_twice_stores_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let out = output(dir.path(), &args.split(' ').collect::<Vec<_>>());
        assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    run("train cartpole_balance --out runs/a --steps 6000");
    let label = "prefs label cartpole_balance --count 30 --length 20";
    assert!(run(label).starts_with("30 labels by "));
    let again = run(label);
    assert!(again.starts_with("0 labels by ") && again.contains("30 answers were there already"), "{again}");
    let more = run("prefs label cartpole_balance --count 40 --length 20 --json");
    let more: serde_json::Value = serde_json::from_str(&more).unwrap();
    assert_eq!(more["labels"].as_u64().unwrap() + more["known"].as_u64().unwrap(), 40);
    let stats: serde_json::Value = serde_json::from_str(&run("prefs stats --json")).unwrap();
    assert_eq!(stats["all"]["labels"].as_u64().unwrap(), 30 + more["labels"].as_u64().unwrap());
}

#[test]
fn what_files_name_stays_in_the_project() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    std::fs::create_dir_all(project.join("tasks")).unwrap();
    std::fs::create_dir_all(dir.path().join("elsewhere")).unwrap();
    let copy = |from: &str, to: PathBuf| std::fs::copy(root().join(from), to).unwrap();
    copy("tasks/cartpole_balance.rhai", project.join("tasks/mine.rhai"));
    copy("assets/robots/cartpole.xml", dir.path().join("elsewhere/cart.xml"));
    let text = std::fs::read_to_string(root().join("tasks/cartpole_balance.toml")).unwrap();
    let absolute = dir.path().join("elsewhere/cart.xml").display().to_string();
    let train = |more: &[&str]| {
        let args = ["train", "tasks/mine.toml", "--reward", "cartpole_balance/default", "--steps", "2000"];
        output(&project, &[&args, more].concat())
    };
    for (n, named) in ["../../elsewhere/cart.xml", absolute.as_str()].into_iter().enumerate() {
        std::fs::write(project.join("tasks/mine.toml"), text.replace("cartpole.xml", named)).unwrap();
        let out = train(&["--out", &format!("run{n}")]);
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(2) && told.contains(named) && told.contains("--allow-path"), "{told}");
        assert!(!project.join(format!("run{n}")).exists());
        let out = train(&["--out", &format!("run{n}"), "--allow-path", "../elsewhere"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    // The run has all it needs: the originals may go.
    std::fs::remove_dir_all(dir.path().join("elsewhere")).unwrap();
    std::fs::remove_dir_all(project.join("tasks")).unwrap();
    for args in ["eval run1 --episodes 2", "export run1", "show run1", "diagnose run1", "resume run1 --steps 6000"] {
        let out = output(&project, &args.split(' ').collect::<Vec<_>>());
        assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
