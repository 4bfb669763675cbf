//! From runs to labels to a learnt reward that trains: the whole way, and, by name, how good what is learnt is.

use pavlov_env::{Assets, Task};
use pavlov_prefs::{
    Asking, Combine, Dataset, Fit, FitOptions, Kind, Label, Learnt, Linear, Loss, Model, NetFit, NetOptions,
    PairOptions, PairSampler, Pool, Scripted, Strategy, Teacher, Versions, ask, fit_nets, sums_of_terms, write_linear,
    write_nets,
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

/// Labels by a teacher who judges by `truth`; the learner sees the terms of `terms`.
fn labels(
    pool: &Pool,
    (truth, terms): (&Reward, &Reward),
    teacher: Teacher,
    count: usize,
    strategy: Strategy,
    seed: u64,
) -> Vec<Label> {
    let pairs = PairOptions { any_reset: true, ..PairOptions::default() };
    let sample = PairSampler::new(pool, pairs, seed + 1000).unwrap().candidates(pool, 100);
    let sample: Vec<_> = sample.iter().map(|p| [&p.left, &p.right]).collect();
    let mut rater = Scripted::new("oracle", teacher, (truth, truth.scene()), pool, &sample, seed).unwrap();
    let asking = Asking { count, batch: 1, strategy, pairs, seed };
    ask(pool, terms, &mut rater, &asking, &Arc::new(Versions::default()), |_| Ok(())).unwrap()
}

/// What the labels make of the weights of `reward`.
fn learnt(pool: &Pool, reward: &Reward, data: &Dataset) -> (Vec<pavlov_prefs::Change>, f64) {
    let fit = Fit::of(pool, reward, data, &FitOptions::default()).unwrap();
    match fit.learnt {
        Learnt::Linear(_, changes) => (changes, fit.quality.accuracy),
        Learnt::Nets(..) => panic!("asked for a linear model"),
    }
}

/// The same reward with its parameters times these factors, in turn.
fn other_weights(reward: &Reward, factors: &[f64]) -> Reward {
    let mut out = reward.clone();
    let params: Vec<(String, f32)> = reward.params().map(|(n, v, _)| (n.to_string(), v)).collect();
    for ((name, value), factor) in params.iter().zip(factors.iter().cycle()) {
        out.set_param(name, f64::from(*value) * factor).unwrap();
    }
    out
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
    let all = labels(&pool, (&truth, &truth), oracle, 60, Strategy::Disagreement, 3);
    assert_eq!(all.len(), 60);
    let again = labels(&pool, (&truth, &truth), oracle, 60, Strategy::Disagreement, 3);
    assert_eq!(all, again, "the same seed asks the same");
    let data = Dataset::of(&all, "cartpole_balance", None);

    // Who judges by the very weights teaches nothing about them.
    let (same, accuracy) = learnt(&pool, &truth, &data);
    assert!(accuracy > 0.85, "{accuracy}");
    assert!(same.iter().all(|c| c.values.is_none_or(|[was, becomes]| was == becomes)), "{same:?}");
    // From other weights, those that matter are found.
    let other = other_weights(&truth, &[0.1, 5.0, 1.0]);
    let (changes, accuracy) = learnt(&pool, &other, &data);
    assert!(accuracy > 0.85, "{accuracy}");
    assert!(changes.iter().any(|c| c.verdict.changes()), "{changes:?}");
    let linear = dir.path().join("linear");
    write_linear(&linear, &other, &changes).unwrap();
    let written = Reward::load(&linear, "linear", task.scene()).unwrap();
    for change in &changes {
        let (Some(param), Some([_, after])) = (&change.param, change.values) else { continue };
        if !change.verdict.changes() {
            continue;
        }
        let found = written.params().find(|p| p.0 == param).unwrap().1;
        assert!((f64::from(found) - after).abs() <= 1e-4 * after.abs() + 1e-6, "{param}: {found}, learnt {after}");
    }
    assert!(write_linear(&linear, &other, &changes).unwrap_err().to_string().contains("there is a reward already"));

    let options = NetOptions { members: 2, epochs: 8, ..NetOptions::default() };
    let NetFit { nets, split, .. } = fit_nets(&pool, &truth, &data, &options).unwrap();
    assert!(!split.judge.is_empty() && !split.stop.is_empty() && nets.members.len() == 2);
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
    // BRME's nominal member is the one that is surest of what it says.
    let surest = if nets.uncertainty[0] < nets.uncertainty[1] { "liked_0" } else { "liked_1" };
    let brme = dir.path().join("brme");
    write_nets(&brme, &nets, Combine { kind: "brme", lambda: 0.5 }, "cartpole_balance", task.scene()).unwrap();
    let manifest = std::fs::read_to_string(brme.join("reward.toml")).unwrap();
    assert!(manifest.contains(&format!("nominal = \"{surest}\"")), "{manifest}");
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

/// What a fit was asked for is what it does; a bigger model is taken where it earns its place.
#[test]
fn a_fit_is_of_its_options_and_nets_have_to_earn_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let (run, _) = train("cartpole_balance", None, dir.path(), "first", 1, 30_000);
    let pool = Pool::open([&run]).unwrap();
    let task = Task::load(&assets(), "cartpole_balance").unwrap();
    let own = load_reward(&assets(), &task, None).unwrap();
    // The judge wants the cart to be slow, to either side: no weights of the learner's terms say so.
    let [two_sided, speed] = [
        ("slow.rhai", "fn reward(s) { #{ slow: -abs(s.qvel[0]) } }"),
        ("speed.rhai", "fn reward(s) { #{ speed: s.qvel[0], turn: s.qvel[1] } }"),
    ]
    .map(|(file, text)| {
        std::fs::write(dir.path().join(file), text).unwrap();
        Reward::load(&dir.path().join(file), file, task.scene()).unwrap()
    });
    let oracle = Teacher::named("oracle").unwrap();
    let data = |truth: &Reward, count| {
        Dataset::of(&labels(&pool, (truth, truth), oracle, count, Strategy::Uniform, 3), "cartpole_balance", None)
    };
    let few = data(&own, 30);
    for (model, kind, name) in [(Model::Mlp, Kind::BradleyTerry, "mlp"), (Model::Gpm, Kind::Gpm(2), "gpm")] {
        let options = FitOptions { model, loss: Loss::Scaled, members: 2, seed: 5 };
        let fit = Fit::of(&pool, &own, &few, &options).unwrap();
        assert_eq!((fit.name(), fit.advantage), (name, None));
        let Learnt::Nets(nets, _) = fit.learnt else { panic!("asked for nets") };
        let asked = NetOptions { kind, members: 2, loss: Loss::Scaled, seed: 5, ..NetOptions::default() };
        let known = fit_nets(&pool, &own, &few, &asked).unwrap().nets;
        let weights = |nets: &pavlov_prefs::Nets| nets.members.iter().map(|m| m.net.weights()).collect::<Vec<_>>();
        assert_eq!(weights(&nets), weights(&known));
        assert!(weights(&nets).len() == 2 && nets.kind == kind);
    }
    let auto = FitOptions { model: Model::Auto, members: 1, ..FitOptions::default() };
    let fit = Fit::of(&pool, &speed, &data(&two_sided, 400), &auto).unwrap();
    let (gain, error) = fit.advantage.unwrap();
    assert!(gain > 2.0 * error && fit.name() == "mlp", "{gain} {error}");
    assert!(fit.doubt().is_none(), "{:?}", fit.doubt());
    let fit = Fit::of(&pool, &own, &data(&own, 60), &auto).unwrap();
    let (gain, error) = fit.advantage.unwrap();
    assert!(gain <= 2.0 * error && fit.name() == "linear", "{gain} {error}");
    assert!(fit.doubt().unwrap().contains("nothing is changed"));
}

/// Runs of the ant to take segments from: untrained to good.
fn ants(runs: &Path) -> Pool {
    let folders: Vec<RunFolder> =
        (1..=2).map(|seed| train("ant_run", None, runs, &format!("ant{seed}"), seed, 2_000_000).0).collect();
    Pool::open(&folders).unwrap()
}

/// Terms that labels say something about, and have a parameter: rank correlation of true and learnt weights.
fn correlation(weights: impl Iterator<Item = [f64; 2]>) -> f64 {
    let (want, got): (Vec<f64>, Vec<f64>) = weights.map(|[want, got]| (want, got)).unzip();
    pavlov_reward::compare::spearman(&want, &got).unwrap()
}

/// How far weights are from the true ones, pairs of a true and another weight: the mean magnitude of their ratios'
/// logarithms, relative to the first pair's. A rank would not do: of two wrong weights one that is mended may pass one
/// that labels say nothing of.
fn off(pairs: Vec<[f64; 2]>) -> f64 {
    let ratio = |[truth, found]: &[f64; 2]| (found / truth).ln();
    let unit = ratio(&pairs[0]);
    pairs.iter().map(|p| (ratio(p) - unit).abs()).sum::<f64>() / pairs.len() as f64
}

#[test]
#[ignore = "minutes: trains ants; run by name with --release -- --ignored --nocapture"]
fn weights_of_the_ant_come_back_from_200_comparisons() {
    let dir = tempfile::tempdir().unwrap();
    let pool = ants(dir.path());
    let task = Task::load(&assets(), "ant_run").unwrap();
    let truth = load_reward(&assets(), &task, None).unwrap();
    let oracle = Teacher::named("oracle").unwrap();
    // The weights that the learner begins with: the teacher's; or others, up to four times and a quarter.
    let other = other_weights(&truth, &[0.25, 1.0, 4.0, 2.0, 4.0, 0.5, 3.0, 0.25, 2.0, 0.5]);
    let mut first = None;
    for strategy in [Strategy::Uniform, Strategy::Disagreement, Strategy::Information] {
        let [mut alone, mut from_truth, mut from_other, mut before] = [const { Vec::new() }; 4];
        for seed in 0..5 {
            // What comparisons alone say, without weights to begin with.
            let all = labels(&pool, (&truth, &truth), oracle, 200, strategy, seed);
            let data = Dataset::of(&all, "ant_run", None);
            let (changes, accuracy) = learnt(&pool, &truth, &data);
            let phi = sums_of_terms(&pool, &truth, &data.segments.iter().collect::<Vec<_>>()).unwrap();
            let model = Linear::fit(truth.term_names(), &data, &phi, Loss::Plain).unwrap();
            let was = |k: usize| changes[k].values.map(|v| v[0]);
            let each = (0..changes.len()).filter_map(|k| Some([was(k)?, was(k)? * model.weight(k)?]));
            alone.push(correlation(each));
            let known = |c: &&pavlov_prefs::Change| c.verdict.interval.is_some();
            from_truth.push(correlation(changes.iter().filter(known).filter_map(|c| c.values)));
            first = first.or_else(|| (strategy == Strategy::Disagreement).then(|| changes.clone()));
            // From the other weights, asked about those.
            let all = labels(&pool, (&truth, &other), oracle, 200, strategy, seed);
            let (of_other, accuracy_of_other) = learnt(&pool, &other, &Dataset::of(&all, "ant_run", None));
            let of = |at: usize| {
                let pair =
                    move |(c, t): (&pavlov_prefs::Change, &pavlov_prefs::Change)| Some([t.values?[0], c.values?[at]]);
                off(of_other.iter().zip(&changes).filter(|(c, _)| known(c)).filter_map(pair).collect())
            };
            before.push(of(0));
            from_other.push(of(1));
            println!(
                "{strategy:?} seed {seed}: rank correlation alone {:.3}, from true weights {:.3}; others off by {:.3} \
                 (before {:.3}); held-out accuracy {accuracy:.3}, {accuracy_of_other:.3}",
                alone[seed as usize], from_truth[seed as usize], from_other[seed as usize], before[seed as usize]
            );
            of_other.iter().for_each(|c| println!("    {}: {:?} {:?}", c.term, c.values, c.verdict));
        }
        let mean = |x: &[f64]| pavlov_common::stats::mean(x.iter().copied()).unwrap();
        println!(
            "{strategy:?}: mean rank correlation alone {:.3}, from true weights {:.3}; others off by {:.3} (before {:.3})",
            mean(&alone),
            mean(&from_truth),
            mean(&from_other),
            mean(&before)
        );
        assert!(mean(&from_truth) > 0.95, "{from_truth:?}");
        assert!(mean(&from_other) < mean(&before), "{before:?} {from_other:?}");
        if strategy == Strategy::Disagreement {
            assert!(mean(&alone) > 0.95, "{alone:?}");
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
