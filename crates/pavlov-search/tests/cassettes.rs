//! Whole searches from replies written by hand, without a model: the same lineage twice, byte by byte, also after a stop.

mod common;

use pavlov_env::Assets;
use pavlov_search::client::{Budget, Cassette, Model};
use pavlov_search::lineage::{At, Lineage, Status};
use pavlov_search::search::{End, Generator, Icpl, Nobody, Person, Scripted, Settings};
use pavlov_search::{SearchError, promote};
use std::collections::BTreeSet;
use std::path::Path;

fn settings(task: &str) -> Settings {
    Settings {
        task: task.into(),
        generator: Generator::Llm,
        candidates: 3,
        iterations: 2,
        steps: 8_192,
        final_steps: 8_192,
        final_seeds: 2,
        finalists: 2,
        finalist_seeds: 2,
        model: "by-hand".into(),
        max_tokens: 2048,
        worlds: Some(32),
        set: vec!["eval_episodes=4".into()],
        ..Settings::default()
    }
}

fn replay(task: &str, budget: Budget) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{task}.jsonl"));
    Model::replay(Cassette::read(&path).unwrap(), budget)
}

fn run(
    settings: &Settings,
    folder: &Path,
    model: Option<Model>,
    person: Box<dyn Person>,
    stop_after: Option<usize>,
) -> Result<(End, String), SearchError> {
    common::run(settings, folder, model, person, stop_after, |s| s.lineage().export())
}

fn twice(task: &str) -> (End, String) {
    let once = || {
        let dir = tempfile::tempdir().unwrap();
        run(&settings(task), dir.path(), Some(replay(task, Budget::default())), Box::new(Nobody), None).unwrap()
    };
    let (a, b) = (once(), once());
    assert!(a.1 == b.1, "two runs of {task} differ");
    println!("{task}: {} lines, {} bytes of lineage, twice the same", a.1.lines().count(), a.1.len());
    a
}

/// The end of a search of two finalists and two last seeds, told again from the outcomes that it kept.
fn is_told_by_its_outcomes(end: &End, folder: &Path) {
    let all = Lineage::existing(folder).unwrap().outcomes().unwrap();
    let of = |stage: &str, at: Option<At>| -> Vec<f64> {
        all.iter().filter(|o| o.stage == stage && o.at == at).map(|o| o.fitness).collect()
    };
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let finalists: BTreeSet<At> = all.iter().filter(|o| o.stage == "again").filter_map(|o| o.at).collect();
    let [a, b] = finalists.into_iter().collect::<Vec<_>>()[..] else { panic!("two finalists: {all:?}") };
    let [of_a, of_b] = [a, b].map(|at| of("again", Some(at)));
    assert!(of_a.len() == 2 && of_b.len() == 2 && of_a != of_b, "{all:?}");
    assert_eq!(end.winner, Some(if mean(&of_a) >= mean(&of_b) { a } else { b }));
    let (found, human) = (of("final", end.winner), of("final", None));
    assert_eq!((found.len(), human.len()), (2, 2), "{all:?}");
    assert!((end.found.mean - mean(&found)).abs() < 1e-12 && (end.human.mean - mean(&human)).abs() < 1e-12, "{end:?}");
    assert_eq!(end.at_least_human, end.found.iqm >= end.human.iqm);
    assert!(end.floor_of.starts_with("the audit set's `"), "{end:?}");
    let steps = |stage: &str| all.iter().filter(|o| o.stage == stage).map(|o| o.env_steps).sum::<u64>();
    assert_eq!(end.env_steps, ["search", "again", "final"].map(steps));
    for o in &all {
        assert_eq!(o.curve.last().map(|point| point.env_steps), Some(o.env_steps), "{o:?}");
    }
}

#[test]
fn replies_by_hand_drive_a_search_on_cartpole_swingup_the_same_twice() {
    let (end, text) = twice("cartpole_swingup");
    // Three replies were refused and came back mended: a wrong name, no code, a constant.
    for rule in ["reply-no-code", "\"constant\""] {
        assert!(text.contains(rule), "{rule}");
    }
    assert_eq!(end.candidates, [9, 6]);
    assert!(end.winner.is_some() && end.found.n == 2 && end.human.n == 2, "{end:?}");
}

#[test]
fn replies_by_hand_drive_a_search_on_ant_run_the_same_twice() {
    let (end, _) = twice("ant_run");
    assert_eq!(end.candidates, [7, 6]);
    assert!(end.winner.is_some(), "{end:?}");
}

#[test]
fn a_search_that_was_stopped_goes_on_to_the_same_end() {
    let whole = tempfile::tempdir().unwrap();
    let model = || Some(replay("cartpole_swingup", Budget::default()));
    let settings = Settings { human_steps: 8_192, ..settings("cartpole_swingup") };
    let (end, expected) = run(&settings, whole.path(), model(), Box::new(Nobody), None).unwrap();
    is_told_by_its_outcomes(&end, whole.path());
    let cut = tempfile::tempdir().unwrap();
    for n in [1, 2, 5] {
        let stopped = run(&settings, cut.path(), model(), Box::new(Nobody), Some(n));
        assert!(matches!(stopped, Err(SearchError::Stopped)), "{stopped:?}");
    }
    let (_, text) = run(&settings, cut.path(), model(), Box::new(Nobody), None).unwrap();
    assert!(text == expected);
    let other = Settings { seed: 1, ..settings };
    let error = run(&other, cut.path(), model(), Box::new(Nobody), None).unwrap_err().to_string();
    assert!(error.contains("other settings"), "{error}");
}

#[test]
fn a_budget_ends_the_search_with_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let task = "cartpole_swingup";
    // Room for the first three requests and little more.
    let request = 12_000;
    let budget = Budget { tokens: Some(4 * request), ..Budget::default() };
    let (end, _) = run(&settings(task), dir.path(), Some(replay(task, budget)), Box::new(Nobody), None).unwrap();
    let used = end.spent.tokens_in + end.spent.tokens_out;
    assert!(used <= 4 * request && end.spent.requests < 9 && end.winner.is_some(), "{end:?}");
}

#[test]
fn the_generator_builds_on_what_was_fittest() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        generator: Generator::Embedded,
        candidates: 8,
        steps: 4_096,
        final_steps: 4_096,
        final_seeds: 1,
        finalists: 1,
        ..settings("cartpole_swingup")
    };
    run(&settings, dir.path(), None, Box::new(Nobody), None).unwrap();
    let lineage = Lineage::existing(dir.path()).unwrap();
    let all = lineage.candidates().unwrap();
    let children: Vec<_> = all.iter().filter(|c| c.at.iteration == 1 && c.at.attempt == 0).collect();
    let built_on = children.iter().flat_map(|c| &c.parents);
    assert!(children.iter().filter(|c| !c.parents.is_empty()).count() >= 6, "{children:?}");
    // Those that lead count most: of two that are drawn the fitter one is a parent.
    let outcomes = lineage.outcomes().unwrap();
    let mut fitness: Vec<(f64, At)> =
        outcomes.iter().filter(|o| o.stage == "search").filter_map(|o| Some((o.fitness, o.at?))).collect();
    fitness.retain(|(_, at)| at.iteration == 0);
    fitness.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rank = |at: &At| fitness.iter().position(|f| f.1 == *at).unwrap() as f64;
    let ranks: Vec<f64> = built_on.map(rank).collect();
    let mean = ranks.iter().sum::<f64>() / ranks.len() as f64;
    assert!(mean < 0.5 * (fitness.len() - 1) as f64, "{mean} of {}", fitness.len());
}

#[test]
fn a_rater_drives_the_generator_and_the_winner_can_be_promoted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        mode: &Icpl,
        generator: Generator::Embedded,
        candidates: 4,
        iterations: 3,
        final_seeds: 1,
        ..settings("cartpole_swingup")
    };
    let (end, text) = run(&settings, dir.path(), None, Box::new(Scripted), None).unwrap();
    let winner: At = end.winner.unwrap();
    assert_eq!(text.lines().filter(|l| l.starts_with("{\"answer\"")).count(), 3);
    assert!(dir.path().join("clips").join(format!("{winner}.jsonl")).is_file());
    let lineage = Lineage::existing(dir.path()).unwrap();
    let children = lineage.candidates().unwrap();
    assert!(children.iter().any(|c| c.at.iteration == 2 && !c.parents.is_empty() && c.status == Status::Trained));
    // Nothing is trained twice.
    let mut trained: Vec<_> =
        children.iter().filter(|c| c.status == Status::Trained).map(|c| (&c.script, &c.manifest)).collect();
    let count = trained.len();
    trained.sort();
    trained.dedup();
    assert_eq!(trained.len(), count);
    let rewards = dir.path().join("rewards");
    let folder = promote(&lineage, None, &rewards, "found").unwrap();
    let assets = Assets::find(None);
    let task = pavlov_env::Task::load(&assets, "cartpole_swingup").unwrap();
    assert!(pavlov_reward::Reward::load(&folder, "found", task.scene()).is_ok());
    assert!(promote(&lineage, None, &rewards, "found").unwrap_err().to_string().contains("exists already"));
}

#[test]
fn a_model_is_told_nothing_of_fitness_where_a_rater_judges() {
    let asked = |settings: &Settings, person: Box<dyn Person>| -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let model = Some(replay("cartpole_swingup", Budget::default()));
        let take = |search: &pavlov_search::search::Search<'_>| search.lineage().exchanges();
        let exchanges = common::run(settings, dir.path(), model, person, None, take).unwrap().1;
        let texts =
            |e: pavlov_search::lineage::Exchange| e.messages().into_iter().map(|(_, text)| text.to_string()).collect();
        exchanges.into_iter().map(texts).map(|texts: Vec<String>| texts.join("\n")).collect()
    };
    let settings = Settings { iterations: 2, final_seeds: 1, ..settings("cartpole_swingup") };
    let told = |text: &String| ["fn fitness", "\nfitness: ", "\nsuccess: "].iter().any(|t| text.contains(t));
    let blind = asked(&Settings { mode: &Icpl, ..settings.clone() }, Box::new(Scripted));
    assert!(blind.len() >= 5 && blind.iter().any(|text| text.contains("They liked this one best")), "{blind:?}");
    assert_eq!(blind.iter().find(|text| told(text)), None);
    // A search that goes by fitness tells of it in every request.
    assert!(asked(&settings, Box::new(Nobody)).iter().all(told));
}
