//! In-context preference learning against Bradley-Terry with the same 49 answers of a rater who goes by fitness.
//!
//! ICPL: 7 rounds of 6 clips, best and worst, 7 comparisons each at most; rewards from the embedded generator, which
//! knows nothing of fitness in this mode. Bradley-Terry: 7 rounds of 7 comparisons of segments (50 steps) of the
//! policies so far, those of 2,000 candidate pairs on which 64 draws from the posterior disagree most; a linear model on
//! the sums of the quantities that ICPL's first six rewards are made of; and as many environment steps in all as ICPL's
//! candidates get. Both end with five fresh seeds.
//! By name: `cargo test --release -p pavlov-search --test icpl -- --ignored --nocapture`.

mod common;

use pavlov_env::{Assets, BackendKind, Profile, Task};
use pavlov_learn::Policy;
use pavlov_prefs::{Dataset, Linear, Loss, Pair, Rng, Seen, Segment, Strategy, select};
use pavlov_reward::{Manifest, Reward, score};
use pavlov_run::{Overrides, PlayOptions, Player, PolicyPlayer, RunError, play_rollouts, thread_pool};
use pavlov_search::AuditSet;
use pavlov_search::grammar::{Draw, Quantity, Ways, measure, propose};
use pavlov_search::lineage::At;
use pavlov_search::search::{Icpl, Job, Scripted, Settings, Training, train};
use pavlov_search::stats::interval;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const ANSWERS: u32 = 49;
const ROUNDS: u32 = 7;
/// A clip shows what the whole training comes to, for both.
const STEPS: u64 = 800_000;
const LAST: u64 = 800_000;
const WORLDS: usize = 32;
const SEGMENT: usize = 50;
/// Candidates of ICPL's first round, and of the others beside the champion.
const SHOWN: u32 = 6;
/// Steps of a round of Bradley-Terry: ICPL's in all, over as many rounds.
const ROUND_STEPS: u64 = STEPS * (SHOWN + (ROUNDS - 1) * (SHOWN - 1)) as u64 / ROUNDS as u64;
/// Pairs that the questions of a round are chosen from, and draws from the posterior.
const PAIRS: usize = 2000;
const DRAWS: usize = 64;

/// A piece of behaviour: the sums of the quantities in it, and of fitness, which the rater goes by.
struct Piece {
    segment: Segment,
    sums: Vec<f64>,
    worth: f64,
}

/// A policy with noise, as training plays it.
struct Noisy(PolicyPlayer, Draw);

impl Player for Noisy {
    fn act(&mut self, obs: &[f32], step: usize, actions: &mut [f32]) -> Result<(), RunError> {
        self.0.act(obs, step, actions)?;
        actions.iter_mut().for_each(|a| *a += 0.3 * self.1.normal() as f32);
        Ok(())
    }
}

fn sum_of(quantities: &[Quantity], weights: &[f64]) -> String {
    let mut modules: Vec<&str> = quantities.iter().filter_map(|q| q.module.as_deref()).collect();
    modules.sort_unstable();
    modules.dedup();
    let mut out = String::new();
    for m in modules {
        writeln!(out, "import \"{m}\" as {};", m.rsplit('/').next().unwrap()).unwrap();
    }
    let terms: Vec<String> =
        quantities.iter().zip(weights).map(|(q, w)| format!("{}: {w:?} * {}", q.name, q.text)).collect();
    write!(out, "fn reward(s, p) {{ #{{ {} }} }}", terms.join(", ")).unwrap();
    out
}

fn reward(task: &Task, name: &str, text: &str) -> Arc<Reward> {
    Arc::new(Reward::from_text(name, "r.rhai", text, Manifest::default(), task.scene()).unwrap())
}

fn training(stage: &'static str, steps: u64, seeds: Vec<u64>) -> Training {
    let overrides = Overrides {
        worlds: Some(WORLDS),
        steps: Some(steps),
        threads: Some(2),
        set: vec!["eval_episodes=10".into()],
        ..Overrides::default()
    };
    Training { overrides, seeds, halving: false, stage, limit: None }
}

/// Fitness of the final policies of preference learning, a seed each.
fn bradley_terry(name: &str) -> Vec<f64> {
    let assets = Assets::find(None);
    let task = Arc::new(Task::load(&assets, name).unwrap());
    let pool = Arc::new(thread_pool(2).unwrap());
    let stop = AtomicBool::new(false);
    let audit = AuditSet::load(&assets, &task).unwrap().play(&task, &pool).unwrap();
    let catalogue = measure(&task, &audit, false, &pool).unwrap();
    let mortal = audit.rollouts.info.episodes.iter().any(|e| e.terminated);
    let ways = Ways { reflection: true, islands: 1, mortal };
    let first = (0..SHOWN).map(|place| propose(0, At::new(0, place), &catalogue, &[], ways).genome);
    let known: Vec<String> = first.flat_map(|genome| genome.genes).map(|gene| gene.quantity).collect();
    let quantities: Vec<Quantity> = catalogue.into_iter().filter(|q| known.contains(&q.text)).collect();
    let features = reward(&task, "features", &sum_of(&quantities, &vec![1.0; quantities.len()]));
    let text = std::fs::read_to_string(task.path.with_extension("rhai")).unwrap();
    let gold = reward(&task, "gold", &format!("{text}\nfn reward(s, p) {{ #{{ f: fitness(s) }} }}"));
    let nothing = reward(&task, "none", "fn reward(s, p) { 0.0 * s.time }");
    let start = train(
        &task,
        &[Job { at: None, reward: nothing.clone() }],
        &training("search", 1, vec![0]),
        &pool,
        &stop,
        &mut |_| (),
    )
    .unwrap();
    let mut policy: Policy = start[0].policies[0].clone();
    let (mut data, mut phi) = (Dataset::default(), Vec::new());
    let mut learnt = nothing;
    let mut model: Option<Linear> = None;
    for round in 0..ROUNDS {
        let options = PlayOptions {
            episodes: 16,
            seed: 500 + u64::from(round),
            profile: Profile::Fast,
            disturb: true,
            backend: BackendKind::Batch,
        };
        let player = |first: usize, _: usize| {
            Ok(Noisy(PolicyPlayer::new(&task, &policy)?, Draw::new(1, At::new(round, first as u32))))
        };
        let rollouts = play_rollouts(&task, &learnt, &options, &task.scene().recorded(), player, &pool).unwrap();
        let spans = rollouts.spans();
        let (scored, value) = (
            score(&features, task.scene(), &rollouts, &spans, true).unwrap(),
            score(&gold, task.scene(), &rollouts, &spans, true).unwrap(),
        );
        let mut draw = Draw::new(2, At::new(round, 0));
        let mut segment = || {
            let e = draw.below(spans.len());
            let length = SEGMENT.min(spans[e].steps);
            let first = draw.below(spans[e].steps - length + 1);
            let sum = |all: &[f32]| all[first..first + length].iter().map(|x| f64::from(*x)).sum::<f64>();
            let sums: Vec<f64> = scored[e].step_terms.iter().map(|t| sum(t)).collect();
            let (run, rollout) = (round.to_string(), "0".into());
            let (episode, first, length) = (e as u32, first as u32, length as u32);
            let segment = Segment { run, rollout, episode, first, length, reset_seed: 0 };
            Piece { segment, sums, worth: sum(&value[e].step_terms[0]) }
        };
        let pairs: Vec<_> = (0..PAIRS).map(|_| (segment(), segment())).collect();
        // Before anything is learnt every pair is as good.
        let asked = match &model {
            None => (0..(ANSWERS / ROUNDS) as usize).collect(),
            Some(model) => {
                let draws = model.draws(DRAWS, &mut Rng::new(u64::from(round)));
                let seen = |(left, right): &(Piece, Piece)| {
                    let of = |d: &Vec<f64>| [model.reward_drawn(d, &left.sums), model.reward_drawn(d, &right.sums)];
                    Seen { rewards: draws.iter().map(of).collect(), place: Vec::new() }
                };
                let candidates: Vec<Seen> = pairs.iter().map(seen).collect();
                select(Strategy::Disagreement, &candidates, (ANSWERS / ROUNDS) as usize)
            }
        };
        for pair in asked {
            let mut add = |piece: &Piece| {
                phi.push(piece.sums.clone());
                data.segments.push(piece.segment.clone());
                (data.segments.len() - 1, piece.worth)
            };
            let ((left, a), (right, b)) = (add(&pairs[pair].0), add(&pairs[pair].1));
            let target = if a == b { 0.5 } else { f64::from(u8::from(a > b)) };
            data.pairs.push(Pair { left, right, target, strength: 0 });
        }
        let fitted = Linear::fit(features.term_names(), &data, &phi, Loss::Plain).unwrap();
        let model = &*model.insert(fitted);
        let weights: Vec<f64> = (0..quantities.len()).map(|k| model.weight(k).unwrap_or(0.0)).collect();
        learnt = reward(&task, "learnt", &sum_of(&quantities, &weights));
        let trained = train(
            &task,
            &[Job { at: None, reward: learnt.clone() }],
            &training("search", ROUND_STEPS, vec![0]),
            &pool,
            &stop,
            &mut |_| (),
        )
        .unwrap();
        policy = trained[0].policies[0].clone();
        println!("{name}, Bradley-Terry, {} answers: fitness {:.3}", data.pairs.len(), trained[0].outcomes[0].fitness);
    }
    assert_eq!(data.pairs.len(), ANSWERS as usize);
    let seeds = (20_000..20_005).collect();
    let last =
        train(&task, &[Job { at: None, reward: learnt }], &training("final", LAST, seeds), &pool, &stop, &mut |_| ())
            .unwrap();
    last[0].outcomes.iter().map(|o| o.fitness).collect()
}

/// The same of in-context preference learning.
fn icpl(name: &str) -> Vec<f64> {
    let settings = Settings {
        task: name.into(),
        mode: &Icpl,
        candidates: SHOWN,
        iterations: ROUNDS,
        steps: STEPS,
        final_steps: LAST,
        worlds: Some(WORLDS),
        set: vec!["eval_episodes=10".into()],
        ..Settings::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let (end, outcomes) =
        common::run(&settings, dir.path(), None, Box::new(Scripted), None, |s| s.lineage().outcomes()).unwrap();
    assert!(end.comparisons <= ANSWERS, "{} comparisons", end.comparisons);
    println!("{name}, ICPL, {} comparisons: {:?}; human {:?}", end.comparisons, end.found, end.human);
    outcomes.iter().filter(|o| o.stage == "final" && o.at.is_some()).map(|o| o.fitness).collect()
}

#[test]
#[ignore = "takes an hour or more"]
fn choosing_rewards_beats_learning_them_with_49_answers() {
    let only = std::env::var("PAVLOV_TASK").ok();
    for name in ["hopper_hop", "ant_run"].into_iter().filter(|n| only.as_ref().is_none_or(|o| o == n)) {
        let (a, b) = (interval(&icpl(name)), interval(&bradley_terry(name)));
        println!(
            "{name}: ICPL {:.3} ({:.3} to {:.3}), Bradley-Terry {:.3} ({:.3} to {:.3})",
            a.iqm, a.low, a.high, b.iqm, b.low, b.high
        );
        assert!(a.iqm > b.iqm, "{name}");
    }
}
