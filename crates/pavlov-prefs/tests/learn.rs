//! From runs to labels to a learnt reward that trains: the whole way, and, by name, how good what is learnt is.

use pavlov_env::{Assets, Task};
use pavlov_prefs::{
    Asking, Combine, Dataset, Label, Linear, Loss, NetOptions, PairOptions, PairSampler, Pool, Scripted, Strategy,
    Teacher, Versions, ask, changes, fit_linear, fit_nets, own_params, write_linear, write_nets,
};
use pavlov_reward::Reward;
use pavlov_run::{Overrides, ResumeOptions, RunFolder, Summary, Trainer, load_reward};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().into()
}

fn assets() -> Assets {
    Assets::from_roots([root()])
}

fn train(task: &str, reward: Option<&str>, runs: &Path, name: &str, seed: u64, steps: u64) -> (RunFolder, Summary) {
    let asked = Overrides {
        seed: Some(seed),
        steps: Some(steps),
        profile: Some(pavlov_env::Profile::Fast),
        ..Overrides::default()
    };
    let mut trainer = Trainer::create(&assets(), task, reward, &asked, runs, Some(&runs.join(name))).unwrap();
    let stop = trainer.run(&AtomicBool::new(false), |_, _| ()).unwrap();
    let folder = RunFolder::open(trainer.folder().root()).unwrap();
    (folder, trainer.finish(stop).unwrap())
}

/// Labels by a teacher who judges by `truth`.
fn labels(pool: &Pool, truth: &Reward, teacher: Teacher, count: usize, strategy: Strategy, seed: u64) -> Vec<Label> {
    let pairs = PairOptions { any_reset: true, ..PairOptions::default() };
    let sample = PairSampler::new(pool, pairs, seed + 1000).unwrap().candidates(pool, 100);
    let sample: Vec<_> = sample.iter().map(|p| [&p.left, &p.right]).collect();
    let mut rater = Scripted::new("oracle", teacher, (truth, truth.scene()), pool, &sample, seed).unwrap();
    let asking = Asking { count, batch: 1, strategy, pairs, seed };
    ask(pool, truth, &mut rater, &asking, &Arc::new(Versions::default()), |_| Ok(())).unwrap()
}

fn learnt(pool: &Pool, reward: &Reward, data: &Dataset) -> (Linear, Vec<pavlov_prefs::Change>, f64) {
    let fit = fit_linear(pool, reward, data, Loss::Plain, 0).unwrap();
    let (file, group) = pool.by_file(&data.segments.iter().collect::<Vec<_>>()).unwrap().swap_remove(0);
    let rollouts = file.read(reward.scene(), pavlov_run::channels_of([reward])).unwrap();
    let spans: Vec<_> = group.iter().map(|g| g.1).collect();
    let params = own_params(reward, &rollouts, &spans).unwrap();
    let changes = changes(&fit.model, reward, &params, &fit.phi);
    (fit.model, changes, fit.quality.accuracy)
}

#[test]
fn labels_become_rewards_that_train_and_resume() {
    pavlov_prefs::register_sources();
    let dir = tempfile::tempdir().unwrap();
    let (run, _) = train("cartpole_balance", None, dir.path(), "first", 1, 60_000);
    let pool = Pool::open([&run]).unwrap();
    let task = Task::load(&assets(), "cartpole_balance").unwrap();
    let truth = load_reward(&assets(), &task, None).unwrap();
    let oracle = Teacher::named("oracle").unwrap();
    let all = labels(&pool, &truth, oracle, 60, Strategy::Disagreement, 3);
    assert_eq!(all.len(), 60);
    let again = labels(&pool, &truth, oracle, 60, Strategy::Disagreement, 3);
    assert_eq!(all, again, "the same seed asks the same");
    let data = Dataset::of(&all, "cartpole_balance", None);

    let (_, changes, accuracy) = learnt(&pool, &truth, &data);
    assert!(accuracy > 0.85, "{accuracy}");
    let linear = dir.path().join("linear");
    write_linear(&linear, &truth, &changes).unwrap();
    let written = Reward::load(&linear, "linear", task.scene()).unwrap();
    for change in &changes {
        let (Some(param), Some([_, after])) = (&change.param, change.values) else { continue };
        let found = written.params().find(|p| p.0 == param).unwrap().1;
        assert!((f64::from(found) - after).abs() <= 1e-4 * after.abs() + 1e-6, "{param}: {found}, learnt {after}");
    }
    assert!(write_linear(&linear, &truth, &changes).unwrap_err().to_string().contains("there is a reward already"));

    let options = NetOptions { members: 2, epochs: 8, ..NetOptions::default() };
    let (nets, _, held) = fit_nets(&pool, &truth, &data, &options).unwrap();
    assert!(!held.is_empty() && nets.members.len() == 2);
    let folder = dir.path().join("nets");
    let uwo = Combine { kind: "uwo", lambda: 0.5 };
    write_nets(&folder, &nets, uwo, "cartpole_balance", task.scene()).unwrap();
    let (run, summary) = train("cartpole_balance", Some(folder.to_str().unwrap()), dir.path(), "second", 1, 20_000);
    assert!(summary.env_steps >= 20_000);
    // The run has its own copy of the model.
    std::fs::remove_dir_all(&folder).unwrap();
    let more = ResumeOptions { steps: Some(30_000), ..ResumeOptions::default() };
    let mut trainer = Trainer::resume(run.root(), &more).unwrap();
    trainer.update().unwrap();
    let names = trainer.reward().node_names();
    assert!(names.iter().any(|n| n == "liked_1"), "{names:?}");
    // A model of another robot is told as such.
    let other = Task::load(&assets(), "hopper_hop").unwrap();
    let pool_folder = dir.path().join("other");
    write_nets(&pool_folder, &nets, uwo, "cartpole_balance", other.scene()).unwrap();
    let asked = Overrides { steps: Some(10_000), ..Overrides::default() };
    let refused =
        Trainer::create(&assets(), "hopper_hop", pool_folder.to_str(), &asked, dir.path(), Some(&dir.path().join("x")));
    let message = refused.map(drop).unwrap_err().to_string();
    assert!(message.contains("model.safetensors") && message.contains("cartpole_balance"), "{message}");
}

/// Runs of the ant to take segments from: untrained to good.
fn ants(runs: &Path) -> Pool {
    let folders: Vec<RunFolder> =
        (1..=2).map(|seed| train("ant_run", None, runs, &format!("ant{seed}"), seed, 2_000_000).0).collect();
    Pool::open(&folders).unwrap()
}

#[test]
#[ignore = "minutes: trains ants; run by name with --release -- --ignored --nocapture"]
fn weights_of_the_ant_come_back_from_200_comparisons() {
    let dir = tempfile::tempdir().unwrap();
    let pool = ants(dir.path());
    let task = Task::load(&assets(), "ant_run").unwrap();
    let truth = load_reward(&assets(), &task, None).unwrap();
    let oracle = Teacher::named("oracle").unwrap();
    let mut first = None;
    for strategy in [Strategy::Uniform, Strategy::Disagreement] {
        let mut correlations = Vec::new();
        for seed in 0..5 {
            let all = labels(&pool, &truth, oracle, 200, strategy, seed);
            let data = Dataset::of(&all, "ant_run", None);
            let (_, changes, accuracy) = learnt(&pool, &truth, &data);
            // Terms that labels say something about, and have a parameter: true weight and what was learnt.
            let known = changes.iter().filter(|c| c.deviation.is_some()).filter_map(|c| c.values);
            let (want, got): (Vec<f64>, Vec<f64>) = known.map(|v| (v[0], v[1])).unzip();
            let rho = pavlov_reward::compare::spearman(&want, &got).unwrap();
            println!(
                "{strategy:?} seed {seed}: {} terms, rank correlation {rho:.3}, held-out accuracy {accuracy:.3}",
                want.len()
            );
            if rho < 0.95 {
                changes.iter().for_each(|c| println!("    {}: {:?} ± {:?}", c.term, c.values, c.deviation));
            }
            correlations.push(rho);
            if strategy == Strategy::Disagreement && first.is_none() {
                first = Some(changes);
            }
        }
        let mean = pavlov_common::stats::mean(correlations.iter().copied()).unwrap();
        println!("{strategy:?}: mean rank correlation {mean:.3}");
        if strategy == Strategy::Disagreement {
            assert!(mean > 0.95, "{correlations:?}");
        }
    }
    let folder = dir.path().join("learnt");
    write_linear(&folder, &truth, &first.unwrap()).unwrap();
    let fitness = |reward: Option<&str>, name: &str| {
        train("ant_run", reward, dir.path(), name, 7, 3_000_000).1.evaluation.unwrap().fitness.mean
    };
    let (learnt_fitness, true_fitness) = (fitness(folder.to_str(), "learnt-run"), fitness(None, "true-run"));
    println!("fitness: learnt {learnt_fitness:.3}, true {true_fitness:.3}");
    assert!(learnt_fitness >= 0.9 * true_fitness, "{learnt_fitness} {true_fitness}");
}
