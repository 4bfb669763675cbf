//! A vision model as judge, through the program: prompts are audited against rollouts, and pairs are labelled by what
//! it sees. The rollouts are those of the audit sets, in which a humanoid lies on its back, or sits, as its task wants.

use pavlov_common::testing::{NO_ADAPTER, skipped};
use pavlov_env::{Assets, Task};
use pavlov_run::{RolloutInfo, RunFolder, rollout_files};
use pavlov_search::AuditSet;
use pavlov_vision::{Eyes, Goal, Sight, VisionModel};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Frames of each run that are looked at.
const FRAMES: usize = 12;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The program with the words of a line, in a folder.
fn output(folder: &Path, line: &str) -> Output {
    // Words with spaces are written with underscores.
    let words = line.split(' ').map(|word| word.strip_prefix('~').map_or(word.into(), |text| text.replace('_', " ")));
    let mut program = Command::new(env!("CARGO_BIN_EXE_pavlov"));
    program.current_dir(folder).args(["--json", "--root"]).arg(root()).args(words);
    program.env("PAVLOV_CACHE", folder.join("cache"));
    program.output().unwrap()
}

/// What it says when it refuses.
fn refused(folder: &Path, line: &str) -> String {
    let out = output(folder, line);
    assert_eq!(out.status.code(), Some(2), "{line}: {out:?}");
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// What it prints, line by line.
fn pavlov(folder: &Path, line: &str) -> Vec<Value> {
    let out = output(folder, line);
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn can_draw() -> bool {
    let can = !pavlov_physics::gpu::adapters().is_empty();
    if !can {
        skipped(NO_ADAPTER);
    }
    can
}

/// A run of a posture's task, trained for an update on what pictures say, with the audit set's rollouts of the
/// behaviours whose names `keep` says yes to in place of its own.
fn run(folder: &Path, posture: &str, keep: impl Fn(&str) -> bool) -> PathBuf {
    let name = format!("humanoid_pose/{posture}");
    let small = "--worlds 8 --set horizon=8 --set minibatches=1 --set epochs=1 --set eval_episodes=1 --steps 64";
    pavlov(folder, &format!("train {name} --reward vision {small} --out {posture}"));
    let path = folder.join(posture);
    let assets = Assets::from_roots([root()]);
    let task = Task::load(&assets, &name).unwrap();
    let audit = AuditSet::load(&assets, &task).unwrap().play(&task, &pavlov_run::thread_pool(2).unwrap()).unwrap();
    let kept = |e: &usize| keep(&audit.behaviour_of(*e).name);
    let all = &audit.rollouts.info.episodes;
    let episodes = (0..all.len()).filter(kept).map(|e| all[e].clone()).collect();
    let folder = RunFolder::open(&path).unwrap();
    let own = rollout_files(&folder).unwrap();
    let info = RolloutInfo { episodes, rows: audit.rollouts.info.rows, ..own[0].1.info.clone() };
    std::fs::remove_dir_all(folder.rollouts()).unwrap();
    let mut rollouts = audit.rollouts.clone();
    rollouts.info = info;
    rollouts.write(&folder.rollouts().join("0.safetensors"), task.scene()).unwrap();
    path
}

#[test]
fn prompts_are_audited_against_what_the_runs_do() {
    if !can_draw() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let good = |name: &str| name == "good";
    let runs = ["on_back", "sitting"].map(|posture| run(dir.path(), posture, good));
    let audit = &pavlov(dir.path(), &format!("vision audit on_back sitting --frames {FRAMES} --out audit"))[0];
    // The prompts are those of the runs' rewards.
    let prompts = ["a humanoid robot lying on its back", "a humanoid robot sitting"];
    let text = |k: usize, key: &str| audit["runs"][k][key].as_str().unwrap().to_string();
    assert_eq!([0, 1].map(|k| text(k, "prompt")), prompts);
    // Each number of the matrix is the mean score of one run's frames under one prompt, looked at by hand.
    let model = || VisionModel::load_with(&root().join("assets/vision/embedded"), 2, None).unwrap();
    let mut words = model();
    let baseline = words.text(&text(0, "baseline")).unwrap();
    let goals = prompts.map(|p| Goal::new(&words.text(p).unwrap(), Some(&baseline), 0.5));
    let sight = Sight::named("track", "checker", "day").unwrap();
    let matrix = |prompt: usize, rollout: usize| audit["matrix"][prompt][rollout].as_f64().unwrap();
    for (k, path) in runs.iter().enumerate() {
        let (_, file) = &rollout_files(&RunFolder::open(path).unwrap()).unwrap()[0];
        let task = Task::load(&Assets::from_roots([root()]), &file.info.task).unwrap();
        let scene = task.scene();
        let rollouts = file.read(scene, scene.recorded()).unwrap();
        let row_of = |row: usize| -> Vec<f32> {
            let qpos =
                |i: u16| pavlov_reward::Columns::column(&rollouts, pavlov_script::Channel::Qpos(i)).unwrap()[row];
            (0..task.model().nq() as u16).map(qpos).collect()
        };
        let rows: Vec<usize> = file.info.episodes.iter().flat_map(|e| e.first + 1..=e.first + e.steps).collect();
        let every = rows.len() as f64 / FRAMES as f64;
        let frames: Vec<Vec<f32>> = (0..FRAMES).map(|i| row_of(rows[(i as f64 * every) as usize])).collect();
        let mut eyes = Eyes::new(task.model(), model(), 0).unwrap();
        let states: Vec<&[f32]> = frames.iter().map(Vec::as_slice).collect();
        let vectors = eyes.look(&states, &sight).unwrap().0;
        for (prompt, goal) in goals.iter().enumerate() {
            let mean = vectors.iter().map(|v| goal.score(v)).sum::<f64>() / FRAMES as f64;
            assert!((mean - matrix(prompt, k)).abs() < 1e-6, "{prompt} {k}: {mean} {audit}");
        }
    }
    // Each prompt scores its own run above the other one, and each run is scored highest by its own prompt.
    assert!(matrix(0, 0) > matrix(0, 1) && matrix(1, 1) > matrix(1, 0), "{}", audit["matrix"]);
    assert_eq!((audit["diagonal"].as_f64(), audit["runs"][0]["own_above"].as_f64()), (Some(1.0), Some(1.0)));
    // The good behaviours of both sets succeed by the tasks' own predicate, though not from the first frame on.
    for k in [0, 1] {
        let labelled = audit["runs"][k]["labelled"].as_u64().unwrap();
        assert!(labelled as usize > FRAMES / 2, "{}", audit["runs"][k]);
    }
    let page = std::fs::read_to_string(dir.path().join("audit/report.html")).unwrap();
    assert!(prompts.iter().all(|p| page.contains(p)));
    // Prompts given the other way round are found out.
    let [on_back, sitting] = prompts.map(|p| format!("--prompt ~{}", p.replace(' ', "_")));
    let line = format!("vision audit on_back sitting {sitting} {on_back} --frames {FRAMES} --out swapped");
    assert_eq!(pavlov(dir.path(), &line)[0]["diagonal"].as_f64(), Some(0.0));
}

#[test]
fn a_vision_model_labels_pairs_by_what_it_sees() {
    if !can_draw() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "on_back", |_| true);
    let goal = "--goal ~a_humanoid_robot_lying_on_its_back --baseline ~a_humanoid_robot_standing";
    let pairs = "--run on_back --runs . --count 100 --length 20 --any-reset --seed 3";
    let label = |rater: &str| pavlov(dir.path(), &format!("prefs label humanoid_pose/on_back {pairs} --rater {rater}"));
    assert_eq!(label("oracle")[0]["labels"], 100);
    assert_eq!(label(&format!("vision {goal}"))[0]["labels"], 100);
    // Both are asked about the same pairs, in which the robot lies on its back, on its face or on a side, or kneels.
    let stats = &pavlov(dir.path(), "prefs stats --runs .")[0];
    assert_eq!(stats["raters"].as_object().unwrap().len(), 2, "{stats}");
    let (shared, agreement) = (stats["shared_pairs"].as_u64().unwrap(), stats["agreement"].as_f64().unwrap());
    println!("agrees with the task's own reward on {:.0}% of {shared} pairs", 100.0 * agreement);
    assert!(shared >= 90 && agreement >= 0.65, "{stats}");
    // Without a goal there is nothing to look for.
    let error = refused(dir.path(), &format!("prefs label humanoid_pose/on_back {pairs} --rater vision"));
    assert!(error.contains("--goal TEXT"), "{error}");
}
