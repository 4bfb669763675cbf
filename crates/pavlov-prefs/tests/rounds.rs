//! Rounds of training and asking: the whole loop with a teacher, stopped and gone on with; siblings in the pool;
//! cloning.

use pavlov_env::{Assets, Profile, Task};
use pavlov_prefs::{
    Asking, FitOptions, LabelStore, Model, PairOptions, PairSampler, Pool, PrefsError, Round, Rounds, RoundsOptions,
    Scripted, Strategy, Teacher, Versions, ask,
};
use pavlov_reward::Reward;
use pavlov_run::{BranchOptions, Overrides, RunFolder, Trainer, load_reward};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn assets() -> Assets {
    Assets::from_roots([Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()])
}

fn options(name: &str, reward: Option<&Path>) -> RoundsOptions {
    let overrides =
        Overrides { seed: Some(2), steps: Some(20_000), profile: Some(Profile::Fast), ..Overrides::default() };
    RoundsOptions {
        task: "cartpole_balance".into(),
        reward: reward.map(|r| r.display().to_string()),
        name: name.into(),
        budget: 30,
        rounds: 2,
        overrides,
        fit: FitOptions { model: Model::Linear, ..FitOptions::default() },
        combine: "mean".into(),
        lambda: 0.5,
        branch: BranchOptions { states: 8, siblings: 4, length: 20, ..BranchOptions::default() },
        person: false,
    }
}

/// An oracle; asks at most `limit` and then fails, as one who is killed does.
fn teacher(
    task: &Task,
    limit: usize,
) -> impl FnMut(&Pool, &RunFolder, &mut LabelStore, usize) -> Result<(), PrefsError> {
    let truth = load_reward(&assets(), task, None).unwrap();
    move |pool, _, store, missing| {
        let pairs = PairOptions { length: 20, ..PairOptions::default() };
        let sample = PairSampler::new(pool, pairs, 9)?.candidates(pool, 50);
        let sample: Vec<_> = sample.iter().map(|p| [&p.left, &p.right]).collect();
        let oracle = Teacher::named("oracle")?;
        let mut rater = Scripted::new("oracle", oracle, (&truth, truth.scene()), pool, &sample, 1)?;
        let asking = Asking { count: missing.min(limit), batch: 1, strategy: Strategy::Uniform, pairs, seed: 4 };
        ask(pool, &truth, &mut rater, &asking, &Arc::new(Versions::default()), |e| store.append(e).map(drop))?;
        if missing > limit { Err(PrefsError::Failed("killed".into())) } else { Ok(()) }
    }
}

/// The task's own reward with a weight that the teacher, who judges by the own one, does not share.
fn wrong(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let own = assets().reward("cartpole_balance", "default").unwrap();
    std::fs::copy(own.join("reward.rhai"), folder.join("reward.rhai")).unwrap();
    let manifest = std::fs::read_to_string(own.join("reward.toml")).unwrap();
    let manifest = manifest.replace("[params.upright]\nvalue = 1.0", "[params.upright]\nvalue = 0.02");
    std::fs::write(folder.join("reward.toml"), manifest.replace("value = 0.2\n", "value = 2.0\n")).unwrap();
}

#[test]
fn a_loop_learns_and_goes_on_where_it_was_stopped() {
    pavlov_prefs::register_sources();
    let dir = tempfile::tempdir().unwrap();
    let start = dir.path().join("wrong");
    wrong(&start);
    let options = |name: &str| options(name, Some(&start));
    let task = Task::load(&assets(), "cartpole_balance").unwrap();
    let never = AtomicBool::new(false);
    let mut rounds = Rounds::open(&assets(), dir.path(), options("loop")).unwrap();
    let mut first = teacher(&task, 1000);
    let mut any = |_: &Reward| Ok(None);
    let zero = rounds.next(&assets(), &mut first, &mut any, &never).unwrap().unwrap();
    assert_eq!((zero.round, zero.labels, zero.model.as_str()), (0, 15, "linear"));
    let run = RunFolder::open(&dir.path().join("loop-0")).unwrap();
    assert_eq!(std::fs::read_dir(run.branches()).unwrap().count(), 1, "siblings for its questions");
    let trained: pavlov_run::Summary = serde_json::from_str(&std::fs::read_to_string(run.summary()).unwrap()).unwrap();
    let evaluation = trained.evaluation.unwrap();
    assert_eq!((zero.run.as_str(), &zero.reward), ("loop-0", &trained.reward));
    assert_eq!((zero.fitness, zero.success), (evaluation.fitness.mean, evaluation.success.mean));
    assert_eq!((zero.env_steps, zero.updates), (trained.env_steps, trained.updates));
    assert!(zero.fitness > 0.0 && zero.env_steps >= 20_000 && zero.updates > 0, "{zero:?}");
    // Round 1 is killed after five of its fifteen labels.
    let mut killed = teacher(&task, 5);
    assert!(rounds.next(&assets(), &mut killed, &mut any, &never).is_err());
    drop(rounds);
    let mut rounds = Rounds::open(&assets(), dir.path(), options("loop")).unwrap();
    assert_eq!(rounds.done(), [zero]);
    let all: Vec<Round> =
        std::iter::from_fn(|| rounds.next(&assets(), &mut first, &mut any, &never).unwrap()).collect();
    assert_eq!(all.iter().map(|r| (r.round, r.labels)).collect::<Vec<_>>(), [(1, 30), (2, 30)]);
    assert!(all[0].kept.is_empty(), "{all:?}");
    assert!(all[1].reward.contains("reward-2") && all[1].model.is_empty(), "{all:?}");
    let store = LabelStore::open_existing(&LabelStore::path_in(dir.path())).unwrap();
    assert_eq!(store.labels().unwrap().len(), 30, "what was given before the kill counts");
    // The policy of a round goes on in the next.
    let config = pavlov_run::RunConfig::read(&RunFolder::open(&dir.path().join("loop-2")).unwrap().config()).unwrap();
    assert!(config.from.unwrap().contains("loop-1"));
    let mut few = options("few");
    few.budget = 1;
    assert!(Rounds::open(&assets(), dir.path(), few).unwrap_err().to_string().contains("1 labels in 2 rounds"));
}

/// A teacher who judges by the very reward has nothing to teach, and a refused reward is not trained on.
#[test]
fn a_round_that_determines_nothing_trains_on_with_the_reward_before() {
    pavlov_prefs::register_sources();
    let dir = tempfile::tempdir().unwrap();
    let start = dir.path().join("wrong");
    wrong(&start);
    let task = Task::load(&assets(), "cartpole_balance").unwrap();
    let never = AtomicBool::new(false);
    for (name, reward, said) in [("right", None, "nothing is changed"), ("gate", Some(start.as_path()), "too steep")] {
        let mut options = options(name, reward);
        (options.budget, options.rounds) = (30, 1);
        let mut rounds = Rounds::open(&assets(), dir.path(), options).unwrap();
        let mut oracle = teacher(&task, 1000);
        let mut refuse = |_: &Reward| Ok(Some("too steep".to_string()));
        let all: Vec<Round> =
            std::iter::from_fn(|| rounds.next(&assets(), &mut oracle, &mut refuse, &never).unwrap()).collect();
        assert!(all[0].kept.contains(said), "{all:?}");
        assert_eq!((all.len(), &all[0].reward), (2, &all[1].reward));
        assert!(!rounds.folder().join("reward-1").exists());
    }
}

/// Killed in its first round's questions, and while a line was written.
#[test]
fn the_first_round_is_gone_on_with_and_a_cut_line_is_told() {
    pavlov_prefs::register_sources();
    let dir = tempfile::tempdir().unwrap();
    let start = dir.path().join("wrong");
    wrong(&start);
    let mut short = options("loop", Some(&start));
    (short.budget, short.rounds, short.overrides.steps) = (8, 1, Some(4_000));
    let task = Task::load(&assets(), "cartpole_balance").unwrap();
    let never = AtomicBool::new(false);
    let mut any = |_: &Reward| Ok(None);
    let open = || Rounds::open(&assets(), dir.path(), short.clone()).unwrap();
    assert!(open().next(&assets(), &mut teacher(&task, 3), &mut any, &never).is_err());
    let mut rounds = open();
    let zero = rounds.next(&assets(), &mut teacher(&task, 1000), &mut any, &never).unwrap().unwrap();
    assert_eq!((zero.round, zero.labels), (0, 8));
    assert!(rounds.take_warnings().is_empty());
    let log = rounds.folder().join("rounds.jsonl");
    let whole = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, format!("{whole}{{\"round\": 1, \"ru")).unwrap();
    let mut rounds = open();
    assert_eq!(rounds.done(), [zero]);
    let warnings = rounds.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("rounds.jsonl:2: the last line was cut short"), "{warnings:?}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), whole);
}

#[test]
fn siblings_are_compared_with_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Overrides { seed: Some(1), steps: Some(10_000), profile: Some(Profile::Fast), ..Overrides::default() };
    let mut trainer =
        Trainer::create(&assets(), "cartpole_balance", None, &asked, dir.path(), Some(&dir.path().join("a"))).unwrap();
    let stop = trainer.run(&AtomicBool::new(false), |_, _| ()).unwrap();
    trainer.finish(stop).unwrap();
    let run = trainer.folder().clone();
    let only = PairOptions { length: 20, siblings: true, ..PairOptions::default() };
    let pool = Pool::open([&run]).unwrap();
    let none = PairSampler::new(&pool, only, 1).unwrap_err().to_string();
    assert!(none.contains("prefs branch"), "{none}");
    let options = BranchOptions { states: 8, siblings: 4, length: 20, noise: 1.0, seed: 0 };
    let threads = pavlov_run::thread_pool(2).unwrap();
    let (_, states) = pavlov_run::branch(&run, &options, &threads).unwrap();
    let pool = Pool::open([&run]).unwrap();
    let mut sampler = PairSampler::new(&pool, only, 1).unwrap();
    let mut seeds = std::collections::HashSet::new();
    for _ in 0..200 {
        let pair = sampler.uniform(&pool);
        assert_eq!(pair.left.reset_seed, pair.right.reset_seed);
        assert!(pair.left.rollout.starts_with("branch") && pair.left.episode / 4 == pair.right.episode / 4);
        seeds.insert(pair.left.reset_seed);
    }
    assert_eq!(seeds.len(), states);
}

/// RAFT on a task: from an untrained policy, with PPO's steps and none of its critic.
#[test]
#[ignore = "minutes: run by name with --release -- --ignored --nocapture"]
fn cloning_the_elite_learns_the_cart_pole() {
    let dir = tempfile::tempdir().unwrap();
    let set = ["elite_of=16", "worlds=512", "horizon=200", "epochs=4", "learning_rate=0.001", "min_std=0.1"];
    let train = |steps: u64, name: &str| {
        let asked = Overrides {
            seed: Some(1),
            steps: Some(steps),
            profile: Some(Profile::Fast),
            set: set.iter().map(|s| s.to_string()).collect(),
            ..Overrides::default()
        };
        let out = dir.path().join(name);
        let mut trainer = Trainer::create(&assets(), "cartpole_balance", None, &asked, dir.path(), Some(&out)).unwrap();
        let stop = trainer.run(&AtomicBool::new(false), |_, _| ()).unwrap();
        trainer.finish(stop).unwrap().evaluation.unwrap().fitness.mean
    };
    let (before, after) = (train(1, "before"), train(6_000_000, "after"));
    println!("fitness of the first round {before:.3}, after 6M steps of cloning {after:.3}");
    assert!(after > before + 0.2, "{before} {after}");
}
