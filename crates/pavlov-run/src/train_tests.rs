//! Tests of whole runs: the same bits for any number of threads and after a kill, limits, what is left behind, damage.

use super::*;
use crate::finish::Summary;
use crate::testing;
use proptest::prelude::*;
use std::path::PathBuf;

const LEARNER: &str = "worlds = 80\nhorizon = 16\nminibatches = 2\nepochs = 2\nactor_hidden = [16]\n\
    critic_hidden = [16]\n\
                       total_steps = 10240\neval_episodes = 4";

fn asked(threads: usize, set: &[&str]) -> Overrides {
    let set = set.iter().map(|s| s.to_string()).collect();
    Overrides { threads: Some(threads), seed: Some(3), set, ..Overrides::default() }
}

fn create(assets: &Assets, dir: &Path, name: &str, asked: &Overrides) -> Trainer {
    Trainer::create(assets, "cartpole_balance", None, asked, dir, Some(&dir.join(name))).unwrap()
}

fn train(mut trainer: Trainer) -> (RunFolder, Summary) {
    let stop = trainer.run(&AtomicBool::new(false), |_, _| {}).unwrap();
    let summary = trainer.finish(stop).unwrap();
    (trainer.folder().clone(), summary)
}

/// The log with what depends on the clock taken out.
fn repeatable(folder: &RunFolder) -> String {
    let text = std::fs::read_to_string(folder.metrics()).unwrap();
    let cut = |line: &str| line.split(",\"timing\":").next().unwrap().to_string() + "\n";
    text.lines().map(cut).collect::<String>() + std::fs::read_to_string(folder.terms()).unwrap().as_str()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn newest(folder: &RunFolder) -> PathBuf {
    let folders =
        std::fs::read_dir(folder.checkpoints()).unwrap().flatten().map(|e| e.path()).filter(|p| !p.ends_with("recent"));
    folders.max().unwrap()
}

#[test]
fn the_same_bits_for_any_threads_and_after_a_kill() {
    let (dir, assets) = testing::assets(LEARNER);
    let dir = dir.path();
    let mut first = create(&assets, dir, "one", &asked(1, &["eval_every=4"]));
    for _ in 0..3 {
        first.update().unwrap();
    }
    // What a kill leaves: lines of an update whose checkpoint was not written, one of them cut.
    let killed = RunFolder::open(first.folder().root()).unwrap();
    copy(killed.root(), &dir.join("killed"));
    let killed = RunFolder::open(&dir.join("killed")).unwrap();
    let append = |path: PathBuf, text: &str| {
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, old + text).unwrap();
    };
    append(killed.metrics(), "{\"update\":4,\"env_steps\":5120}\n{\"update\":5,");
    append(killed.terms(), "{\"update\":4,\"env_");
    std::fs::create_dir(killed.checkpoints().join(".part-000000004")).unwrap();
    let (whole, summary) = train(first);
    assert_eq!((summary.stop, summary.updates, summary.env_steps), (Some(Stop::Steps), 8, 10_240));

    let (three, _) = train(create(&assets, dir, "three", &asked(3, &["eval_every=4"])));
    assert!(repeatable(&whole) == repeatable(&three), "threads change the run");
    let (resumed, again) = train(Trainer::resume(killed.root(), &ResumeOptions::default()).unwrap());
    assert!(repeatable(&whole) == repeatable(&resumed), "a kill changes the run");
    assert_eq!(summary.evaluation, again.evaluation);
    assert!(std::fs::read(whole.policy_onnx()).unwrap() == std::fs::read(resumed.policy_onnx()).unwrap());
    let learner = |f: &RunFolder| std::fs::read(newest(f).join("learner.safetensors")).unwrap();
    assert!(learner(&whole) == learner(&resumed));
}

#[test]
fn a_run_leaves_what_it_promises() {
    let (dir, assets) = testing::assets(LEARNER);
    let (folder, summary) =
        train(create(&assets, dir.path(), "run", &asked(2, &["reward.upright=2", "checkpoint_every=1"])));
    for path in
        [folder.config(), folder.summary(), folder.policy_json(), folder.report(), folder.clips().join("final.jsonl")]
    {
        assert!(path.is_file(), "{}", path.display());
    }
    assert_eq!(summary.evaluation.as_ref().unwrap().episodes, 4);
    let lines: Vec<MetricsLine> = crate::read_lines(&folder.metrics()).unwrap();
    assert_eq!(lines.len(), 8);
    assert!(lines.iter().map(|l| l.ended.episodes).sum::<u64>() > 0 && lines[7].recent_fitness.is_some());
    // A mean over episodes lies among the means of updates.
    let seen = || lines.iter().filter_map(|l| l.fitness);
    let (low, high) = (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max));
    assert!(
        lines.iter().filter_map(|l| l.recent_fitness).all(|x| (low - 1e-9..=high + 1e-9).contains(&x)),
        "{low} {high}"
    );
    let kept = std::fs::read_dir(folder.checkpoints()).unwrap().flatten().filter(|e| e.file_name() != "recent").count();
    assert!((3..=5).contains(&kept), "{kept} checkpoints");
    let entry = &crate::list_runs(dir.path())[0];
    assert_eq!((entry.state, entry.updates, entry.task.as_str()), (crate::RunState::Done, 8, "cartpole_balance"));
    let (loaded, warnings) = checkpoint::find(&folder, Which::Best).unwrap();
    assert!(warnings.is_empty() && loaded.state.best.is_some());
    // Done already; more steps go on from there.
    let mut more =
        Trainer::resume(folder.root(), &ResumeOptions { steps: Some(11_520), ..Default::default() }).unwrap();
    assert!(
        Trainer::resume(folder.root(), &ResumeOptions::default()).unwrap_err().to_string().contains("another process")
    );
    assert_eq!(more.run(&AtomicBool::new(false), |_, _| {}).unwrap(), Stop::Steps);
    assert_eq!(more.state().update, 9);
}

#[test]
fn limits_end_a_run() {
    let (dir, assets) = testing::assets(LEARNER);
    let mut run = create(&assets, dir.path(), "a", &Overrides { minutes: Some(1e-9), ..asked(1, &[]) });
    assert_eq!(run.run(&AtomicBool::new(false), |_, _| {}).unwrap(), Stop::Minutes);
    let mut run = create(&assets, dir.path(), "b", &asked(1, &["target_fitness=-1"]));
    assert_eq!(run.run(&AtomicBool::new(false), |_, _| {}).unwrap(), Stop::Fitness);
    let mut run = create(&assets, dir.path(), "c", &asked(1, &[]));
    let stop = AtomicBool::new(false);
    let reason = run.run(&stop, |_, _| stop.store(true, Ordering::Relaxed)).unwrap();
    assert_eq!((reason, run.state().update), (Stop::Interrupted, 1));
    run.finish(reason).unwrap();
    drop(run);
    assert_eq!(crate::list_runs(dir.path()).iter().find(|r| r.run == "c").unwrap().state, crate::RunState::Interrupted);
}

#[test]
fn a_refused_request_leaves_no_folder() {
    let (dir, assets) = testing::assets(LEARNER);
    let out = dir.path().join("x");
    for asked in [asked(1, &["horizn=3"]), asked(1, &["worlds=0"]), asked(1, &["reward.none=1"])] {
        let error = Trainer::create(&assets, "cartpole_balance", None, &asked, dir.path(), Some(&out)).unwrap_err();
        assert!(error.is_bad_input() && !out.exists(), "{error}");
    }
}

#[test]
fn damage_is_passed_over_or_told() {
    let (dir, assets) = testing::assets(LEARNER);
    let (folder, _) = train(create(&assets, dir.path(), "run", &asked(1, &[])));
    std::fs::write(newest(&folder).join("worlds.safetensors"), b"cut").unwrap();
    let (loaded, warnings) = checkpoint::find(&folder, Which::Last).unwrap();
    assert_eq!((loaded.state.update, warnings.len()), (8, 1), "the slot has the same update");
    assert!(warnings[0].contains("checksum"), "{}", warnings[0]);
    std::fs::write(folder.checkpoints().join("recent/0"), b"PVLSLOT1 cut").unwrap();
    let (loaded, warnings) = checkpoint::find(&folder, Which::Last).unwrap();
    assert_eq!((loaded.state.update, warnings.len()), (7, 2), "the other slot has the one before");
    assert!(checkpoint::find(&folder, Which::Update(8)).unwrap_err().is_bad_input());
    assert!(checkpoint::find(&folder, Which::Update(77)).unwrap_err().to_string().contains("there are"));
    std::fs::remove_dir_all(folder.checkpoints()).unwrap();
    assert!(Trainer::resume(folder.root(), &ResumeOptions::default()).unwrap_err().is_bad_input());
}

#[test]
fn tampering_is_an_error_not_a_panic() {
    let (dir, assets) = testing::assets(LEARNER);
    let (folder, _) = train(create(&assets, dir.path(), "run", &asked(1, &["total_steps=1280"])));
    let config = RunConfig::read(&folder.config()).unwrap();
    let (task, reward) = inputs::load(&folder, &config).unwrap();
    let (task, reward) = (Arc::new(task), Arc::new(reward));
    let source = newest(&folder);
    let files = ["learner.safetensors", "worlds.safetensors", "state.json"];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(120));
    let cases = (0usize..3, any::<prop::sample::Index>(), any::<u8>(), any::<bool>(), any::<bool>());
    runner
        .run(&cases, |(file, at, byte, cut, mend)| {
            let path = dir.path().join("tampered");
            copy(&source, &path);
            let mut bytes = std::fs::read(path.join(files[file])).unwrap();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at)
            } else {
                bytes[at] = byte
            }
            std::fs::write(path.join(files[file]), &bytes).unwrap();
            if mend && file < 2 {
                // As if someone had changed the checksum as well.
                let state: serde_json::Value =
                    serde_json::from_slice(&std::fs::read(path.join("state.json")).unwrap()).unwrap();
                let mut state = state;
                // Files of versions before had no checksum of their own.
                state.as_object_mut().unwrap().remove("crc32c");
                state[["learner_crc32c", "worlds_crc32c"][file]] = crc32c::crc32c(&bytes).into();
                std::fs::write(path.join("state.json"), state.to_string()).unwrap();
            }
            if let Ok(loaded) = checkpoint::read(&path)
                && *loaded.ppo.config() == config.learner
            {
                let mut worlds = Worlds::new(&config, &task, &reward, &loaded.ppo).unwrap();
                let _ = loaded.restore(&mut worlds);
            }
            Ok(())
        })
        .unwrap();
}

/// A graph with everything that lasts: memory of worlds, running statistics, a quantile, multipliers, a delta.
const GRAPH: &str = "[sources.held]\nkind = \"success\"\n\
    [terms.upright]\ntransform = [{ ema = 0.1 }, \"normalize\"]\n\
    [terms.center]\ntransform = [{ log_sigmoid = { quantile = 0.85 } }]\n\
    [terms.effort]\ntransform = [\"potential\"]\n\
    [groups.pose]\nkind = \"lagrangian\"\nof = [\"upright\", \"center\"]\n\
    constraints = { center = { at_least = 90.0 } }\nlimit = 2.0\nrate = 5.0\npatience = 2\n";

#[test]
fn a_graph_is_logged_node_by_node_and_resumes_to_the_same_bits() {
    let (dir, assets) = testing::assets(LEARNER);
    let folder = dir.path().join("rewards/cartpole_balance/default");
    let toml = std::fs::read_to_string(folder.join("reward.toml")).unwrap();
    std::fs::write(folder.join("reward.toml"), format!("{toml}\n{GRAPH}")).unwrap();
    let mut whole = create(&assets, dir.path(), "whole", &asked(1, &[]));
    let mut warnings = Vec::new();
    while whole.limit().is_none() {
        warnings.extend(whole.update().unwrap().warnings);
    }
    whole.checkpoint(true, true).unwrap();
    let mut cut = create(&assets, dir.path(), "cut", &asked(3, &[]));
    (0..3).for_each(|_| drop(cut.update().unwrap()));
    drop(cut);
    let mut resumed = Trainer::resume(&dir.path().join("cut"), &ResumeOptions::default()).unwrap();
    while resumed.limit().is_none() {
        resumed.update().unwrap();
    }
    let terms = |t: &Trainer| std::fs::read(t.folder().terms()).unwrap();
    assert!(terms(&whole) == terms(&resumed), "a kill changes the run");
    assert_eq!(whole.state().adaptive, resumed.state().adaptive);
    resumed.finish(Stop::Steps).unwrap();

    let lines: Vec<MetricsLine> = crate::read_lines(&whole.folder().metrics()).unwrap();
    let last = &lines[7];
    let names: Vec<&str> = last.terms.0.iter().chain(&last.nodes.0).map(|(n, _)| n.as_str()).collect();
    let expected = [
        "upright",
        "center",
        "effort",
        "held",
        "center.log_sigmoid",
        "effort.potential",
        "upright.ema",
        "upright.ema.normalize",
        "pose",
        "total",
    ];
    assert_eq!(names, expected);
    assert!(last.host.get("center.log_sigmoid.reference").unwrap() < &0.0);
    assert!((last.host.get("discount").unwrap() - whole.config().learner.gamma).abs() < 1e-12);
    // Nothing is above 90: its multiplier ends at its limit and says so.
    let constraint = &last.constraints[0];
    assert!(constraint.multiplier > 1.9 && !constraint.met && constraint.infeasible, "{constraint:?}");
    assert!(warnings.iter().any(|w| w.contains("`center` is") && w.contains("cannot all be met")), "{warnings:?}");
    assert_eq!(warnings.len(), 1);
    // The normalised node has mean 0 and deviation 1 once its statistics are of many steps.
    let stats: Vec<TermsLine> = crate::read_lines(&whole.folder().terms()).unwrap();
    let normal = stats[7].nodes.get("upright.ema.normalize").unwrap();
    assert!(normal.mean.abs() < 1.0 && (0.3..3.0).contains(&normal.std), "{normal:?}");
}

#[test]
fn a_delta_is_paid_late_and_its_episodes_stay_small() {
    let (dir, assets) = testing::assets(LEARNER);
    let folder = dir.path().join("rewards/cartpole_balance/default");
    let toml = std::fs::read_to_string(folder.join("reward.toml")).unwrap();
    std::fs::write(
        folder.join("reward.toml"),
        format!("{toml}\n[terms.upright]\ntransform = [{{ delta = 1.0 }}]\n[combine]\nof = [\"upright\"]\n"),
    )
    .unwrap();
    let mut run = create(&assets, dir.path(), "delta", &asked(1, &[]));
    while run.limit().is_none() {
        run.update().unwrap();
    }
    let lines: Vec<MetricsLine> = crate::read_lines(&run.folder().metrics()).unwrap();
    // With gamma 1 all that arrives in an episode is its first value, at most 1, however long it is.
    let ended: Vec<&MetricsLine> = lines.iter().filter(|l| l.ended.episodes > 0).collect();
    assert!(!ended.is_empty());
    for line in ended {
        assert!(
            line.ended.episode_return_max.unwrap() < 1.0 + 1e-3 && line.ended.episode_length.unwrap() > 5.0,
            "{line:?}"
        );
    }
    let evaluation = run.evaluate().unwrap();
    assert!(evaluation.episode_return.max < 1.0 + 1e-3 && evaluation.length.max > 5.0, "{evaluation:?}");
}

#[test]
fn a_run_ended_before_its_first_checkpoint_begins_again() {
    let (dir, assets) = testing::assets(LEARNER);
    let root = dir.path();
    let manifest = root.join("rewards/cartpole_balance/default/reward.toml");
    let toml = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(manifest, format!("{toml}\n{GRAPH}")).unwrap();
    let (before, _) = train(create(&assets, root, "before", &asked(1, &["total_steps=1280"])));
    let asked = Overrides { from: Some(before.root().to_path_buf()), ..asked(2, &["reward.upright=2"]) };
    let mut first = create(&assets, root, "whole", &asked);
    copy(first.folder().root(), &root.join("at_once"));
    first.update().unwrap();
    copy(first.folder().root(), &root.join("later"));
    let (whole, _) = train(first);
    // A kill within the first checkpoint: its line is there, the slot is cut, the folder is not.
    let later = root.join("later/checkpoints");
    for entry in std::fs::read_dir(&later).unwrap().flatten().filter(|e| e.file_name() != "recent") {
        std::fs::remove_dir_all(entry.path()).unwrap();
    }
    std::fs::write(later.join("recent/1"), b"PVLSLOT1").unwrap();
    let text = create(&assets, root, "other", &asked).folder().root().display().to_string();
    let again = Trainer::create(&assets, "cartpole_balance", None, &asked, root, Some(Path::new(&text))).unwrap_err();
    assert!(again.is_bad_input() && again.to_string().contains(&format!("pavlov resume {text}")), "{again}");
    for name in ["tasks", "rewards", "assets", "before"] {
        std::fs::remove_dir_all(root.join(name)).unwrap();
    }
    for name in ["at_once", "later"] {
        let mut resumed = Trainer::resume(&root.join(name), &ResumeOptions::default()).unwrap();
        let told = resumed.take_warnings();
        assert!(told.iter().any(|w| w.contains("begins again from its own copy")), "{told:?}");
        let (resumed, _) = train(resumed);
        assert!(repeatable(&whole) == repeatable(&resumed), "{name}: another run");
        assert!(std::fs::read(whole.policy_onnx()).unwrap() == std::fs::read(resumed.policy_onnx()).unwrap());
    }
}

#[test]
fn a_folder_is_taken_again_only_when_a_run_was_begun_in_it() {
    let (dir, assets) = testing::assets(LEARNER);
    let root = dir.path();
    let out = root.join("run");
    drop(create(&assets, root, "run", &asked(1, &[])));
    // As a kill leaves it while it is made, before there are a configuration and logs, with what another reward had.
    for entry in std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap()) {
        let path = entry.path();
        match entry.file_name().to_str() {
            Some(".pavlov" | ".lock" | "inputs") => {}
            _ if path.is_dir() => std::fs::remove_dir_all(path).unwrap(),
            _ => std::fs::remove_file(path).unwrap(),
        }
    }
    std::fs::write(out.join("inputs/reward/left.toml"), "").unwrap();
    let error = RunFolder::open(&out).unwrap_err().to_string();
    assert!(error.contains("ended while its folder was made") && error.contains("pavlov train"), "{error}");
    let (folder, _) = train(create(&assets, root, "run", &asked(1, &[])));
    assert!(!folder.inputs().join("reward/left.toml").exists());
    // A copy of it under another name is somebody's own, and so is a folder with a file.
    for name in ["copied", "own"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
        std::fs::write(root.join(name).join("thesis.tex"), "a year").unwrap();
    }
    copy(folder.root(), &root.join("copied"));
    std::fs::remove_file(root.join("copied/config.toml")).unwrap();
    for name in ["copied", "own"] {
        let out = root.join(name);
        let asked = asked(1, &[]);
        let error = Trainer::create(&assets, "cartpole_balance", None, &asked, root, Some(&out)).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("is not empty"), "{error}");
        assert_eq!(std::fs::read_to_string(out.join("thesis.tex")).unwrap(), "a year");
    }
}

#[test]
fn a_damaged_line_of_a_log_is_named_and_the_others_stay() {
    let (dir, assets) = testing::assets(LEARNER);
    let (whole, _) = train(create(&assets, dir.path(), "whole", &asked(1, &[])));
    copy(whole.root(), &dir.path().join("run"));
    let run = RunFolder::open(&dir.path().join("run")).unwrap();
    let mut bytes = std::fs::read(run.metrics()).unwrap();
    let third = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0 + 1;
    bytes[third + 1] ^= 1;
    std::fs::write(run.metrics(), bytes).unwrap();
    let symptoms = crate::diagnose(&run).unwrap().symptoms;
    let told = symptoms.iter().find(|s| s.name == "damaged-log").map(|s| s.message.as_str());
    assert_eq!(told, Some("metrics.jsonl: line 3 cannot be read: what is shown is without it"));
    let mut resumed =
        Trainer::resume(run.root(), &ResumeOptions { steps: Some(11_520), ..Default::default() }).unwrap();
    let told = resumed.take_warnings();
    assert!(told.len() == 1 && told[0].contains("metrics.jsonl:3: the line is damaged"), "{told:?}");
    train(resumed);
    let lines: Vec<MetricsLine> = crate::read_lines(&run.metrics()).unwrap();
    assert_eq!(lines.iter().map(|m| m.update).collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn worlds_that_break_down_are_told() {
    let (dir, assets) = testing::assets(LEARNER);
    let robot = dir.path().join("assets/robots/cartpole.xml");
    let text = std::fs::read_to_string(&robot).unwrap();
    // A push that no time step can hold.
    let strong = text.replace("gear=\"10\"", "gear=\"1e200\"");
    assert_ne!(text, strong);
    std::fs::write(robot, strong).unwrap();
    let mut run = create(&assets, dir.path(), "run", &asked(1, &["total_steps=1280"]));
    let update = run.update().unwrap();
    assert!(update.metrics.nonfinite > 0);
    let told = update.warnings.iter().find(|w| w.contains("state was not finite"));
    assert!(told.is_some_and(|w| w.contains("% of steps") && w.contains("timestep")), "{:?}", update.warnings);
    let symptoms = crate::diagnose(run.folder()).unwrap().symptoms;
    let found = symptoms.iter().find(|s| s.name == "non-finite").unwrap();
    assert!(found.severity == "warning" && found.message.contains("1280 steps"), "{found:?}");
}
