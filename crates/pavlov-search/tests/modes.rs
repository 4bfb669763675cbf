//! The other ways to search, each driven to its end: Text2Reward, scripts that a person brings, islands. (Eureka's and
//! ICPL's are driven in `cassettes.rs`.) Trainings are of a few thousand control steps: what is tested is who is asked
//! for what, not how good it gets.

mod common;

use common::run;
use pavlov_search::client::{Budget, Cassette, Line, Model};
use pavlov_search::lineage::{At, Candidate, Exchange, Status};
use pavlov_search::search::{DropIn, Generator, Given, Mode, Nobody, Settings, Text2reward};
use pavlov_search::{SearchError, search::End};
use std::path::Path;

const TASK: &str = "cartpole_swingup";

fn settings() -> Settings {
    Settings {
        task: TASK.into(),
        generator: Generator::Llm,
        iterations: 2,
        steps: 4_096,
        final_steps: 4_096,
        final_seeds: 1,
        finalists: 2,
        finalist_seeds: 1,
        model: "by-hand".into(),
        worlds: Some(32),
        set: vec!["eval_episodes=2".into()],
        ..Settings::default()
    }
}

/// A reward that pays for a high pole, with its weight.
fn good(weight: f64) -> String {
    format!("fn reward(s, p) {{ #{{ up: {weight:.2} * cos(s.joint(\"hinge\").pos) }} }}")
}

fn reply(script: &str) -> String {
    format!("A reward:\n\n```rhai\n{script}\n```\n")
}

/// A model that gives these replies at these places.
fn model(folder: &Path, replies: &[(&str, String)]) -> Model {
    let line = |(at, reply): &(&str, String)| {
        let line = Line {
            at: (*at).into(),
            hash: None,
            reply: reply.clone(),
            tokens_in: None,
            tokens_out: None,
            ending: None,
        };
        serde_json::to_string(&line).unwrap() + "\n"
    };
    let path = folder.join("replies.jsonl");
    std::fs::write(&path, replies.iter().map(line).collect::<String>()).unwrap();
    Model::replay(Cassette::read(&path).unwrap(), Budget::default())
}

/// What a search came to: its end, its candidates, its exchanges.
type Found = (End, Vec<Candidate>, Vec<Exchange>);

fn search(settings: &Settings, folder: &Path, model: Option<Model>) -> Result<Found, SearchError> {
    let take = |s: &pavlov_search::search::Search<'_>| Ok((s.lineage().candidates()?, s.lineage().exchanges()?));
    let (end, (candidates, exchanges)) = run(settings, &folder.join("search"), model, Box::new(Nobody), None, take)?;
    Ok((end, candidates, exchanges))
}

/// All that was said in a request.
fn said(exchanges: &[Exchange], at: &str) -> String {
    let at: At = at.parse().unwrap();
    let exchange = exchanges.iter().find(|e| e.at == at).unwrap_or_else(|| panic!("nothing was asked at {at}"));
    exchange.messages().iter().map(|(_, text)| format!("{text}\n")).collect()
}

fn ats(list: &[&str]) -> Vec<At> {
    list.iter().map(|at| at.parse().unwrap()).collect()
}

#[test]
fn text2reward_repairs_one_reward_and_changes_it_as_a_person_says() {
    let dir = tempfile::tempdir().unwrap();
    let misspelt = good(1.0).replace(".pos", ".position");
    let replies = [
        ("0.0", reply(&misspelt)),
        ("0.0/1", reply(&good(1.0))),
        ("1.0", "I would rather not.".into()),
        ("1.0/1", reply("fn reward(s) { #{ one: 1.0 } }")),
        ("1.0/2", "No.".into()),
        ("1.0/3", "No.".into()),
        ("2.0", reply(&good(2.0))),
        ("3.0", reply(&good(3.0))),
    ];
    let settings = Text2reward.usual(Settings {
        mode: &Text2reward,
        iterations: 4,
        words: vec![String::new(), "it swings wildly, calm it".into(), String::new()],
        ..settings()
    });
    let (end, candidates, exchanges) = search(&settings, dir.path(), Some(model(dir.path(), &replies))).unwrap();
    // One reward an iteration; three repairs, and the one that stays refused costs no training.
    let places: Vec<At> = candidates.iter().map(|c| c.at).collect();
    assert_eq!(places, ats(&["0.0", "0.0/1", "1.0", "1.0/1", "1.0/2", "1.0/3", "2.0", "3.0"]));
    let trained: Vec<At> = candidates.iter().filter(|c| c.status == Status::Trained).map(|c| c.at).collect();
    assert_eq!(trained, ats(&["0.0/1", "2.0", "3.0"]));
    let operator = |at: &str| candidates.iter().find(|c| c.at.to_string() == at).unwrap().operator.as_str();
    assert_eq!(["0.0", "0.0/1", "1.0/3", "2.0"].map(operator), ["model", "repair", "repair", "model"]);
    // The repair is told the checker's error, with the name that was meant.
    let repair = said(&exchanges, "0.0/1");
    assert!(repair.contains(&misspelt) && repair.contains("position") && repair.contains("`pos`"), "{repair}");
    // After the iteration that gave nothing the last trained reward is changed, as the person said. Words stand in
    // place of fitness, and without words it is told.
    let parents = |at: &str| candidates.iter().find(|c| c.at.to_string() == at).unwrap().parents.clone();
    assert_eq!((parents("2.0"), parents("3.0")), (ats(&["0.0/1"]), ats(&["2.0"])));
    let (with_words, without) = (said(&exchanges, "2.0"), said(&exchanges, "3.0"));
    let words = "A person who watched the robot says: it swings wildly, calm it";
    assert!(with_words.contains(&good(1.0)) && with_words.contains(words), "{with_words}");
    assert!(!with_words.contains("Fitness of the policy"), "{with_words}");
    assert!(without.contains(&good(2.0)) && without.contains("Fitness of the policy"), "{without}");
    assert!(!without.contains("A person who watched"), "{without}");
    assert!(trained.contains(&end.winner.unwrap()) && end.candidates == [8, 3], "{end:?}");
}

#[test]
fn text2reward_needs_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { mode: &Text2reward, generator: Generator::Embedded, ..settings() };
    let error = search(&settings, dir.path(), None).unwrap_err().to_string();
    assert!(error.contains("mode text2reward needs a language model"), "{error}");
}

#[test]
fn scripts_that_a_person_brings_are_judged_trained_and_compared_without_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let given = |name: &str, script: String| Given { name: name.into(), script, manifest: String::new() };
    let settings = Settings {
        mode: &DropIn,
        given: vec![
            given("high.rhai", good(1.0)),
            given("constant.rhai", "fn reward(s) { #{ one: 1.0 } }".into()),
            given("pasted reply", reply(&good(0.5))),
            given("prose", "Reward the height of the pole.".into()),
        ],
        ..settings()
    };
    let (end, candidates, exchanges) = search(&settings, dir.path(), None).unwrap();
    assert!(exchanges.is_empty());
    let seen: Vec<_> = candidates.iter().map(|c| (c.at, c.operator.as_str(), c.detail.as_str(), c.status)).collect();
    let expected = [
        (At::new(0, 0), "paste", "high.rhai", Status::Trained),
        (At::new(0, 1), "paste", "constant.rhai", Status::Refused),
        (At::new(0, 2), "paste", "pasted reply", Status::Trained),
        (At::new(0, 3), "paste", "prose", Status::Refused),
    ];
    assert_eq!(seen, expected);
    let why = |k: usize| candidates[k].verdict.errors.iter().map(|e| e.rule.as_str()).collect::<Vec<_>>();
    assert_eq!((why(1), why(3)), (vec!["constant"], vec!["reply-no-code"]));
    assert!(candidates[2].script.contains("0.50 * cos") && !candidates[2].script.contains("```"));
    assert!([At::new(0, 0), At::new(0, 2)].contains(&end.winner.unwrap()) && end.human.n == 1, "{end:?}");
    let nothing = Settings { given: Vec::new(), ..settings };
    let error = search(&nothing, &dir.path().join("other"), None).unwrap_err().to_string();
    assert!(error.contains("mode drop-in needs scripts"), "{error}");
}

#[test]
fn a_model_improves_the_best_of_each_island_and_joins_two_in_the_last_places() {
    let dir = tempfile::tempdir().unwrap();
    let places = ["0.0", "0.1", "0.2", "0.3", "1.0", "1.1", "1.2", "1.3"];
    let replies: Vec<(&str, String)> =
        places.iter().enumerate().map(|(k, at)| (*at, reply(&good(0.5 + 0.25 * k as f64)))).collect();
    let settings = Settings { candidates: 4, islands: 2, halving: false, ..settings() };
    let (_, candidates, exchanges) = search(&settings, dir.path(), Some(model(dir.path(), &replies))).unwrap();
    let second: Vec<&Candidate> = candidates.iter().filter(|c| c.at.iteration == 1).collect();
    assert_eq!(second.len(), 4);
    for c in second {
        let islands: Vec<u32> = c.parents.iter().map(|p| p.place % 2).collect();
        let own = c.at.place % 2;
        let request = said(&exchanges, &c.at.to_string());
        if c.at.place == 3 {
            assert_eq!(islands, [own, 1 - own], "{:?}", c.parents);
            assert!(request.contains("Another reward that did well") && request.contains("Combine the two."));
        } else {
            assert_eq!(islands, [own], "{:?}", c.parents);
            assert!(!request.contains("Combine the two."));
        }
    }
}
