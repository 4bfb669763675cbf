//! Segments of a run that was really trained: pairs begin alike, states are those of the rollouts, terms are those of
//! the reward.

use pavlov_env::{Assets, Task};
use pavlov_prefs::{
    Answer, Choice, Entry, LabelStore, PairOptions, PairSampler, Pool, Rater, Scripted, Segment, Teacher,
};
use pavlov_reward::{Columns, Reward};
use pavlov_run::{Overrides, RolloutFile, RunConfig, RunFolder, Trainer, load_inputs};
use pavlov_script::Channel;
use std::path::Path;
use std::sync::atomic::AtomicBool;

const SETTINGS: [&str; 7] = [
    "worlds=64",
    "horizon=16",
    "minibatches=2",
    "actor_hidden=[16]",
    "critic_hidden=[16]",
    "total_steps=2048",
    "eval_episodes=6",
];

fn trained(runs: &Path) -> (RunFolder, Task, Reward) {
    let assets = Assets::from_roots([Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()]);
    let set = SETTINGS.iter().map(|s| s.to_string()).collect();
    let asked = Overrides { threads: Some(1), seed: Some(3), set, ..Overrides::default() };
    let mut trainer = Trainer::create(&assets, "cartpole_balance", None, &asked, runs, None).unwrap();
    let stop = trainer.run(&AtomicBool::new(false), |_, _| {}).unwrap();
    trainer.finish(stop).unwrap();
    let folder = trainer.folder().clone();
    let (task, reward) = load_inputs(&folder, &RunConfig::read(&folder.config()).unwrap()).unwrap();
    (folder, task, reward)
}

#[test]
fn segments_of_a_run() {
    let runs = tempfile::tempdir().unwrap();
    let (folder, task, reward) = trained(runs.path());
    let pool = Pool::open([&folder]).unwrap();
    assert_eq!(pool.task(), "cartpole_balance");
    assert!(pool.files().len() > 1);

    let options = PairOptions { length: 5, ..PairOptions::default() };
    let mut sampler = PairSampler::new(&pool, options, 1).unwrap();
    let pairs = sampler.candidates(&pool, 100);
    assert_eq!(pairs.len(), 100);
    for pair in &pairs {
        let (l, r) = (&pair.left, &pair.right);
        assert_eq!((l.reset_seed, l.length, r.length), (r.reset_seed, 5, 5));
        assert_ne!((&l.rollout, l.episode), (&r.rollout, r.episode));
    }
    // The first states of a pair that begins with its episodes are the same: that is what a reset seed says.
    let [a, b] = [0, 1].map(|file| pool.states(&pool.segment(file, 0, 0, 5), task.scene()).unwrap());
    assert_eq!((&a.qpos[0], &a.qvel[0], a.qpos.len()), (&b.qpos[0], &b.qvel[0], 6));
    assert_ne!(a.qpos[5], b.qpos[5]);
    let mut any = PairSampler::new(&pool, PairOptions { any_reset: true, ..options }, 1).unwrap();
    assert!(any.candidates(&pool, 100).iter().any(|p| p.left.reset_seed != p.right.reset_seed));
    let too_long = PairSampler::new(&pool, PairOptions { length: 100_000, ..options }, 1).unwrap_err();
    assert!(too_long.is_bad_input() && too_long.to_string().contains("the longest episode has"), "{too_long}");

    // States and terms are those of the file, from the segment's first step on.
    let s = pool.segment(1, 2, 3, 5);
    let path = folder.rollouts().join(format!("{}.safetensors", s.rollout));
    let file = RolloutFile::open(&path).unwrap();
    let columns = file.read(task.scene(), [Channel::Qpos(1)]).unwrap();
    let row = file.info.episodes[2].first + 3;
    let states = pool.states(&s, task.scene()).unwrap();
    let found: Vec<f32> = states.qpos.iter().map(|q| q[1]).collect();
    assert_eq!(found, columns.column(Channel::Qpos(1)).unwrap()[row..row + 6]);
    let whole = pool.segment(1, 2, 0, file.info.episodes[2].steps as u32);
    let scored = pool.score(&reward, task.scene(), &[&whole, &s], true).unwrap();
    assert!((scored[0].total - file.info.episodes[2].episode_return).abs() < 1e-6);
    let part: f64 = scored[0].step_totals[3..8].iter().map(|&x| f64::from(x)).sum();
    assert!((scored[1].total - part).abs() < 1e-6);

    // Labelled, stored beside the run, found again; a repeat comes in the other order, but not at once.
    let mut store = LabelStore::open(&LabelStore::path_in(runs.path())).unwrap();
    let pair = sampler.uniform(&pool);
    let entry = Entry::comparison(pool.task(), "ada", pair.left.clone(), pair.right.clone(), Choice::Left);
    store.append(&entry).unwrap();
    let labels = store.labels().unwrap();
    let again = Pool::of_segments(runs.path(), labels.iter().flat_map(|l| l.entry.segments.iter().map(|s| &**s)));
    assert_eq!(again.unwrap().states(&pair.left, task.scene()).unwrap().qpos.len(), 6);
    let mut repeats = PairSampler::new(&pool, PairOptions { repeats: 1.0, ..options }, 2).unwrap();
    assert!(!repeats.next(&pool, &labels, "ada").repeat);
    let newer = sampler.uniform(&pool);
    store.append(&Entry::comparison(pool.task(), "ada", newer.left, newer.right, Choice::Left)).unwrap();
    let labels = store.labels().unwrap();
    let repeat = repeats.next(&pool, &labels, "ada");
    assert_eq!((&repeat.left, &repeat.right, repeat.repeat), (&pair.right, &pair.left, true));
    assert!(!repeats.next(&pool, &labels, "grace").repeat);

    let gone = pavlov_prefs::Segment { first: 100_000, ..pair.left };
    assert!(pool.states(&gone, task.scene()).unwrap_err().to_string().contains("the file has changed"));
}

/// Teachers of recorded segments answer by the sums that the pool gives.
#[test]
fn teachers_judge_recorded_segments() {
    let runs = tempfile::tempdir().unwrap();
    let (folder, task, own) = trained(runs.path());
    let script = runs.path().join("three.rhai");
    std::fs::write(
        &script,
        "fn reward(s) { #{ slow: exp(-s.qvel[0] * s.qvel[0]), at: abs(s.qpos[0]), still: exp(-s.qvel[1] * s.qvel[1]) } }",
    )
    .unwrap();
    let three = Reward::load(&script, "three", task.scene()).unwrap();
    let pool = Pool::open([&folder]).unwrap();
    let options = PairOptions { length: 5, ..PairOptions::default() };
    let pairs = PairSampler::new(&pool, options, 1).unwrap().candidates(&pool, 60);
    let sample: Vec<[&Segment; 2]> = pairs.iter().map(|p| [&p.left, &p.right]).collect();
    let oracle = Teacher::named("oracle").unwrap();
    let cyclic = Teacher::named("cyclic").unwrap();
    let rater = |teacher, reward| Scripted::new("t", teacher, (reward, task.scene()), &pool, &sample, 3).unwrap();
    let choice = |rater: &mut Scripted<'_>, pair: &[&Segment; 2]| match rater.compare(&pool, pair[0], pair[1]) {
        Ok(Answer::Comparison { choice, .. }) => choice,
        other => panic!("{other:?}"),
    };
    let sums = |reward: &Reward, pair: &[&Segment]| pool.score(reward, task.scene(), pair, false).unwrap();
    let mut always_wrong = rater(Teacher { mistakes: 1.0, ..oracle }, &own);
    let mut right = rater(oracle, &own);
    let (mut round, mut round_wrong) = (rater(cyclic, &three), rater(Teacher { mistakes: 1.0, ..cyclic }, &three));
    let mut lefts = [0, 0];
    for pair in &sample {
        let scored = sums(&own, pair);
        let better = if scored[0].total > scored[1].total { Choice::Left } else { Choice::Right };
        assert_eq!(choice(&mut right, pair), better);
        assert_ne!(choice(&mut always_wrong, pair), better);
        // The cyclic one draws, as often as it says; a wrong one says the opposite.
        lefts[0] += usize::from(choice(&mut round, pair) == Choice::Left);
        lefts[1] += usize::from(choice(&mut round_wrong, pair) == Choice::Right);
        assert_eq!(choice(&mut round, &[pair[0], pair[0]]), Choice::Equal);
    }
    let chances = sample.iter().map(|pair| {
        let scored = sums(&three, pair);
        pavlov_prefs::cyclic_chance(&scored[0].terms, &scored[1].terms)
    });
    let expected: f64 = chances.sum();
    assert!(lefts.iter().all(|&n| (n as f64 - expected).abs() < 12.0) && expected > 5.0, "{lefts:?} {expected}");
    // Of several, the largest and the least; of one that is always wrong, exchanged.
    let some: Vec<&Segment> = pairs.iter().take(5).map(|p| &p.left).collect();
    let totals: Vec<f64> = sums(&own, &some).iter().map(|s| s.total).collect();
    let known = pavlov_prefs::best_and_worst(&totals);
    let Answer::BestWorst { best, worst } = known else { panic!("{known:?}") };
    assert!(totals.iter().all(|t| *t <= totals[best as usize] && *t >= totals[worst as usize]), "{totals:?}");
    assert_eq!(right.best_worst(&pool, &some).unwrap(), known);
    assert_eq!(always_wrong.best_worst(&pool, &some).unwrap(), Answer::BestWorst { best: worst, worst: best });
    let error = Scripted::new("t", cyclic, (&own, task.scene()), &pool, &sample, 3).map(drop);
    if own.term_names().len() < 3 {
        assert!(error.unwrap_err().to_string().contains("goes round three terms"));
    }
}
