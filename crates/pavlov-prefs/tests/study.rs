//! Two claims, measured: where preferences go round, SPO is not exploited and Bradley-Terry is; with a quarter of the
//! answers flipped, cautious ensembles train better policies than a single net. Both take minutes and are run by name.

use pavlov_common::stats;
use pavlov_env::{Assets, Profile, Task};
use pavlov_prefs::{
    Asking, Combine, Dataset, NetFit, NetOptions, PairOptions, PairSampler, Pool, Scripted, Strategy, Teacher,
    Versions, ask, cyclic_chance, fit_nets, write_nets,
};
use pavlov_reward::Reward;
use pavlov_run::{
    BranchOptions, Overrides, PlayOptions, Player, PolicyPlayer, RunError, RunFolder, Trainer, load_reward,
    play_rollouts,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn assets() -> Assets {
    Assets::from_roots([Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()])
}

fn create(task: &str, reward: Option<&Path>, runs: &Path, name: &str, seed: u64, steps: u64, set: &[&str]) -> Trainer {
    let asked = Overrides {
        seed: Some(seed),
        steps: Some(steps),
        profile: Some(Profile::Fast),
        set: set.iter().map(|s| s.to_string()).collect(),
        ..Overrides::default()
    };
    let reward = reward.map(|r| r.display().to_string());
    Trainer::create(&assets(), task, reward.as_deref(), &asked, runs, Some(&runs.join(name))).unwrap()
}

fn train(mut trainer: Trainer) -> (RunFolder, f64) {
    let stop = trainer.run(&AtomicBool::new(false), |_, _| ()).unwrap();
    let summary = trainer.finish(stop).unwrap();
    (trainer.folder().clone(), summary.evaluation.unwrap().fitness.mean)
}

fn labels(pool: &Pool, truth: &Reward, teacher: Teacher, count: usize, seed: u64) -> Dataset {
    let pairs = PairOptions { any_reset: true, ..PairOptions::default() };
    let sample = PairSampler::new(pool, pairs, seed + 1000).unwrap().candidates(pool, 100);
    let sample: Vec<_> = sample.iter().map(|p| [&p.left, &p.right]).collect();
    let mut rater = Scripted::new("teacher", teacher, (truth, truth.scene()), pool, &sample, seed).unwrap();
    let asking = Asking { count, batch: 1, strategy: Strategy::Uniform, pairs, seed };
    let all = ask(pool, truth, &mut rater, &asking, &Arc::new(Versions::default()), |_| Ok(())).unwrap();
    Dataset::of(&all, pool.task(), None)
}

/// Three ways to push the cart: back beats not at all, not at all beats forward, forward beats back.
const PUSHES: &str = "fn reward(s) {\n    let a = s.action[0];\n    #{ back: if a < -0.3 { 1.0 } else { 0.0 }, \
                      none: if abs(a) <= 0.3 { 1.0 } else { 0.0 }, forward: if a > 0.3 { 1.0 } else { 0.0 } }\n}\n";

/// A policy as training plays it: its answer to a circle is a mix, which its mean action does not show.
struct Mixed {
    mean: PolicyPlayer,
    deviation: Vec<f32>,
    rng: pavlov_prefs::Rng,
}

impl Player for Mixed {
    fn act(&mut self, obs: &[f32], step: usize, actions: &mut [f32]) -> Result<(), RunError> {
        self.mean.act(obs, step, actions)?;
        for (i, a) in actions.iter_mut().enumerate() {
            *a += self.deviation[i % self.deviation.len()] * self.rng.normal() as f32;
        }
        Ok(())
    }
}

/// Shares of ways in pieces of 50 steps of what the policies of the second half of a training do, each policy counting
/// alike.
fn behaviour(mut trainer: Trainer, judge: &Reward) -> Vec<Vec<f64>> {
    let pool = pavlov_run::thread_pool(2).unwrap();
    let (task, reward) = (trainer.task().clone(), Arc::new(judge.clone()));
    let channels = pavlov_run::channels_of([judge]);
    let mut pieces = Vec::new();
    let mut last = 0.5;
    while trainer.limit().is_none() {
        trainer.update().unwrap();
        if trainer.progress() < last {
            continue;
        }
        last += 0.02;
        let policy = trainer.policy();
        let options = PlayOptions {
            episodes: 4,
            seed: 77,
            profile: Profile::Fast,
            disturb: true,
            backend: pavlov_env::BackendKind::Batch,
        };
        let player = |first: usize, _: usize| {
            let rng = pavlov_prefs::Rng::new(first as u64);
            Ok(Mixed { mean: PolicyPlayer::new(&task, &policy)?, deviation: policy.std(), rng })
        };
        let played = play_rollouts(&task, &reward, &options, &channels, player, &pool).unwrap();
        let spans: Vec<_> = played
            .spans()
            .into_iter()
            .flat_map(|s| (0..s.steps / 50).map(move |k| pavlov_reward::Span { first: s.first + 50 * k, steps: 50 }))
            .collect();
        let scored = pavlov_reward::score(judge, task.scene(), &played, &spans, false).unwrap();
        pieces.extend(scored.into_iter().map(|s| s.terms));
    }
    pieces
}

/// How often the pieces win against each pure way.
fn against_pure(pieces: &[Vec<f64>]) -> [f64; 3] {
    [0, 1, 2].map(|k| {
        let mut pure = [0.0; 3];
        pure[k] = 1.0;
        stats::mean(pieces.iter().map(|p| cyclic_chance(p, &pure))).unwrap_or_default()
    })
}

#[test]
#[ignore = "minutes; run by name with --release -- --ignored --nocapture"]
fn spo_is_not_exploited_where_preferences_go_round() {
    pavlov_prefs::register_sources();
    let dir = tempfile::tempdir().unwrap();
    let task = Task::load(&assets(), "cartpole_swingup").unwrap();
    let script = dir.path().join("pushes.rhai");
    std::fs::write(&script, PUSHES).unwrap();
    let judge = Reward::load(&script, "pushes", task.scene()).unwrap();
    let steps = 800_000;
    // The pieces that are compared are of policies that go for each of the ways, so that there is something to learn
    // from.
    let mut runs = Vec::new();
    for way in ["back", "none", "forward"] {
        let folder = dir.path().join(way);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("reward.rhai"), PUSHES).unwrap();
        std::fs::write(folder.join("reward.toml"), format!("[combine]\nkind = \"sum\"\nof = [\"{way}\"]\n")).unwrap();
        let name = format!("for-{way}");
        runs.push(train(create("cartpole_swingup", Some(&folder), dir.path(), &name, 1, 300_000, &[])).0);
    }
    let pool = Pool::open(&runs).unwrap();
    let (mut spo, mut gpm, mut bt) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..5u64 {
        let data = labels(&pool, &judge, Teacher::named("cyclic").unwrap(), 500, seed);
        let learnt = |kind, name: &str| {
            let options = NetOptions { kind, members: 1, seed, ..NetOptions::default() };
            let NetFit { nets, quality, .. } = fit_nets(&pool, &judge, &data, &options).unwrap();
            let folder = dir.path().join(format!("{name}{seed}"));
            let mean = Combine { kind: "mean", lambda: 0.5 };
            write_nets(&folder, &nets, mean, "cartpole_swingup", task.scene()).unwrap();
            (folder, quality.accuracy)
        };
        let (bt_folder, bt_right) = learnt(pavlov_prefs::Kind::BradleyTerry, "bt");
        let (gpm_folder, gpm_right) = learnt(pavlov_prefs::Kind::Gpm(2), "gpm");
        let spo_by = |name: &str, source: String| {
            let folder = dir.path().join(format!("{name}{seed}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("reward.rhai"), "fn reward(s) { #{ effort: s.action.norm2() } }\n").unwrap();
            let text = format!(
                "[sources.win]\nkind = \"spo\"\n{source}\nsegment = 50\nqueue = 512\n\n[combine]\nkind = \"sum\"\nof = [\"win\"]\n"
            );
            std::fs::write(folder.join("reward.toml"), text).unwrap();
            folder
        };
        let by_rater = spo_by("spo", format!("judge = {:?}\nrater = \"cyclic\"", script.display().to_string()));
        let by_gpm =
            spo_by("by-gpm", format!("model = {:?}", gpm_folder.join("model.safetensors").display().to_string()));
        let run = |folder: &Path, name: &str| {
            // A policy without noise would not find the way that beats its own.
            let name = format!("{name}-run{seed}");
            behaviour(
                create("cartpole_swingup", Some(folder), dir.path(), &name, seed, steps, &["min_std=0.4"]),
                &judge,
            )
        };
        let worst = |pieces: &[Vec<f64>]| against_pure(pieces).into_iter().fold(1.0, f64::min);
        let (a, b, c) = (run(&by_rater, "spo"), run(&by_gpm, "by-gpm"), run(&bt_folder, "bt"));
        println!(
            "seed {seed}: held out BT {bt_right:.2}, GPM {gpm_right:.2}; wins against back, none, forward: SPO {:.2?}, SPO on GPM {:.2?}, BT {:.2?}",
            against_pure(&a),
            against_pure(&b),
            against_pure(&c)
        );
        spo.push(worst(&a));
        gpm.push(worst(&b));
        bt.push(worst(&c));
    }
    println!(
        "worst of the three, mean of 5 seeds: SPO {:.3}, SPO on a GPM {:.3}, BT {:.3}",
        mean(&spo),
        mean(&gpm),
        mean(&bt)
    );
    assert!(spo.iter().zip(&bt).all(|(s, b)| s > b), "{spo:?} {bt:?}");
    assert!(mean(&spo) > 0.4, "{spo:?}");
}

/// Mean of some values; 0 without any.
fn mean(values: &[f64]) -> f64 {
    stats::mean(values.iter().copied()).unwrap_or_default()
}

/// Bootstrap interval (95%) of a mean.
fn interval(values: &[f64]) -> [f64; 2] {
    let mut rng = pavlov_prefs::Rng::new(1);
    stats::bootstrap_interval(values, 4000, |n| rng.below(n), mean).unwrap()
}

/// A policy that is there (as in RLHF) is trained on with what 400 comparisons taught, a quarter of them flipped. The
/// single net is followed to where it is wrong; ensembles that count their disagreement are followed less far.
#[test]
#[ignore = "minutes; run by name with --release -- --ignored --nocapture"]
fn cautious_ensembles_hold_with_a_quarter_of_answers_flipped() {
    pavlov_prefs::register_sources();
    let name = "half_cheetah_run";
    let dir = tempfile::tempdir().unwrap();
    let task = Task::load(&assets(), name).unwrap();
    let truth = load_reward(&assets(), &task, None).unwrap();
    // Four gaits, none to nearly finished, and what could be done instead. The first is the one that is trained on.
    let branches = BranchOptions { states: 32, siblings: 4, noise: 2.0, ..BranchOptions::default() };
    let threads = pavlov_run::thread_pool(2).unwrap();
    let runs: Vec<RunFolder> = (1..5)
        .map(|seed| {
            let (run, fitness) = train(create(name, None, dir.path(), &format!("base{seed}"), seed, 600_000, &[]));
            pavlov_run::branch(&run, &branches, &threads).unwrap();
            println!("gait {seed}: fitness {fitness:.3}");
            run
        })
        .collect();
    let (base, pool) = (&runs[0], Pool::open(&runs).unwrap());
    let teacher = Teacher { mistakes: 0.25, ..Teacher::named("oracle").unwrap() };
    let kinds = [("single", "mean", 1), ("wco", "wco", 5), ("uwo", "uwo", 5)];
    let mut all = vec![Vec::new(); kinds.len()];
    for seed in 10..15u64 {
        let data = labels(&pool, &truth, teacher, 400, seed);
        for (k, (kind, combine, members)) in kinds.iter().enumerate() {
            let options = NetOptions { members: *members, seed, ..NetOptions::default() };
            let NetFit { nets, quality, .. } = fit_nets(&pool, &truth, &data, &options).unwrap();
            let folder = dir.path().join(format!("{kind}{seed}"));
            write_nets(&folder, &nets, Combine { kind: combine, lambda: 0.5 }, name, task.scene()).unwrap();
            let policies: Vec<f64> = (5..7)
                .map(|policy| {
                    let asked = Overrides {
                        seed: Some(policy),
                        steps: Some(1_000_000),
                        profile: Some(Profile::Fast),
                        from: Some(base.root().to_path_buf()),
                        ..Overrides::default()
                    };
                    let out = dir.path().join(format!("{kind}{seed}-{policy}"));
                    let reward = folder.display().to_string();
                    train(Trainer::create(&assets(), name, Some(&reward), &asked, dir.path(), Some(&out)).unwrap()).1
                })
                .collect();
            println!("seed {seed}, {kind}: held-out accuracy {:.3}, fitness {policies:.2?}", quality.accuracy);
            all[k].push(mean(&policies));
        }
    }
    for ((kind, ..), values) in kinds.iter().zip(&all) {
        println!("{kind}: mean fitness {:.3}, 95% {:.3?}, {values:.2?}", mean(values), interval(values));
    }
    for k in 1..3 {
        let gains: Vec<f64> = all[k].iter().zip(&all[0]).map(|(a, b)| a - b).collect();
        println!("{} less single, paired: {:.3}, 95% {:.3?}", kinds[k].0, mean(&gains), interval(&gains));
    }
    assert!(mean(&all[1]).max(mean(&all[2])) > mean(&all[0]), "{all:?}");
}
