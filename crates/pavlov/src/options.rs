//! Options that a command takes but could not heed in the mode it is in: refused with a sentence, never passed over.
//!
//! A rule names options of a command and what must hold for it to speak; the first rule that does refuses. The test
//! walks every option of every command: each must be listed as read, and each rule must refuse. That what is listed is
//! read somewhere is the compiler's to say: a field of the arguments that nobody reads is an error.

use crate::Usage;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// What must hold of the other options.
#[derive(Debug, Clone, Copy)]
enum When {
    /// The option has one of these values, given or not.
    Is(&'static str, &'static [&'static str]),
    /// The option has none of these values, given or not.
    IsNot(&'static str, &'static [&'static str]),
    /// The option was given.
    Given(&'static str),
    /// The option was not given.
    Absent(&'static str),
    /// This command within the command was given.
    Within(&'static str),
}

/// Options that are refused when all of this holds.
#[derive(Debug)]
struct Rule {
    /// The command, with the one within it: `prefs label`.
    command: &'static str,
    /// Names of the fields of its arguments.
    options: &'static [&'static str],
    when: &'static [When],
    why: &'static str,
}

use When::{Absent, Given, Is, IsNot, Within};

/// What only a language model reads.
const OF_A_MODEL: &[&str] = &[
    "base_url",
    "replay",
    "record",
    "model",
    "temperature",
    "max_tokens",
    "repairs",
    "timeout",
    "tries",
    "budget_tokens",
    "budget_money",
    "price_in",
    "price_out",
    "prompts",
    "wish",
    "feedback",
    "ask",
];
/// Which pictures a vision model is shown.
const SIGHT: &[&str] =
    &["goal", "baseline", "alpha", "frames", "model", "onnxruntime", "camera", "ground", "light", "adapter"];

const RULES: &[Rule] = &[
    Rule {
        command: "search",
        options: &["generator", "candidates", "iterations", "patience", "islands", "no_reflection"],
        when: &[Is("mode", &["drop-in"])],
        why: "mode drop-in judges and trains the scripts you bring, once; nothing else is written",
    },
    Rule {
        command: "search",
        options: OF_A_MODEL,
        when: &[Is("mode", &["drop-in"])],
        why: "mode drop-in judges and trains the scripts you bring, once; nothing else is written",
    },
    Rule {
        command: "search",
        options: &["scripts"],
        when: &[IsNot("mode", &["drop-in"])],
        why: "scripts are for --mode drop-in; --from REWARD starts from a reward",
    },
    Rule {
        command: "search",
        options: OF_A_MODEL,
        when: &[Is("generator", &["embedded"])],
        why: "the embedded generator asks no language model and reads no words; --generator llm does, with --base-url \
              or --replay",
    },
    Rule {
        command: "search",
        options: OF_A_MODEL,
        when: &[Absent("generator"), Absent("base_url"), Absent("replay")],
        why: "the embedded generator, which is used without --base-url URL and --replay FILE, asks no language model \
              and reads no words",
    },
    Rule {
        command: "search",
        options: &["patience", "finalists", "finalist_seeds", "feedback", "ask"],
        when: &[Is("mode", &["icpl"])],
        why: "in mode icpl a rater is asked after every iteration, and the last champion is the winner",
    },
    Rule {
        command: "search",
        options: &["islands"],
        when: &[Is("mode", &["icpl"]), Given("base_url")],
        why: "in mode icpl a model always goes on from the champion: there are no groups",
    },
    Rule {
        command: "search",
        options: &["islands"],
        when: &[Is("mode", &["icpl"]), Given("replay")],
        why: "in mode icpl a model always goes on from the champion: there are no groups",
    },
    Rule {
        command: "search",
        options: &["islands"],
        when: &[Is("mode", &["text2reward"])],
        why: "mode text2reward always goes on from the last reward: there are no groups",
    },
    Rule {
        command: "search",
        options: &["rater"],
        when: &[IsNot("mode", &["icpl"])],
        why: "a rater is asked in mode icpl only; in the others fitness judges",
    },
    Rule {
        command: "search",
        options: &["minutes_per_candidate"],
        when: &[Is("executor", &["slurm"])],
        why: "jobs of a cluster train for --steps; --sbatch=--time=MINUTES bounds their time",
    },
    Rule {
        command: "search",
        options: &["ask"],
        when: &[Is("executor", &["slurm"])],
        why: "jobs of a cluster record no clips that you could watch; --feedback TEXT says words beforehand",
    },
    Rule {
        command: "search",
        options: &["executor"],
        when: &[Is("executor", &["slurm"]), Is("mode", &["icpl"]), Is("rater", &["ask"])],
        why: "jobs of a cluster record no clips that you could choose from: --rater scripted, or --executor local",
    },
    Rule {
        command: "search",
        options: &["sbatch"],
        when: &[Is("executor", &["local"])],
        why: "there is no sbatch on this machine's own threads: --executor slurm",
    },
    Rule {
        command: "search",
        options: &["record"],
        when: &[Absent("base_url")],
        why: "there is nothing to record: give the endpoint with --base-url",
    },
    Rule {
        command: "check",
        options: &["task", "parity", "no_audit"],
        when: &[Given("explain")],
        why: "--explain says what a rule is about and checks nothing",
    },
    Rule {
        command: "rewards",
        options: &["task"],
        when: &[Within("doc")],
        why: "the names that scripts may use are those of every task",
    },
    Rule {
        command: "rewards",
        options: &["task"],
        when: &[Within("new")],
        why: "the name of a new reward begins with its task",
    },
    Rule {
        command: "tune",
        options: &["generations"],
        when: &[Is("method", &["halving"])],
        why: "halving ends when one variant is left",
    },
    Rule { command: "compare", options: &["task"], when: &[Given("on")], why: "the task is that of the run" },
    Rule {
        command: "diagnose",
        options: &["threads"],
        when: &[Absent("second")],
        why: "nothing is trained without --second",
    },
    Rule {
        command: "render",
        options: &["time", "frames"],
        when: &[Absent("png")],
        why: "a film has a length, not a time: it is for --png",
    },
    Rule {
        command: "render",
        options: &["fps", "speed"],
        when: &[Given("png"), Absent("gif"), Absent("apng"), Absent("mp4")],
        why: "a picture does not move: it is for --gif, --apng and --mp4",
    },
    Rule {
        command: "render",
        options: &["start", "seconds"],
        when: &[Given("png"), Absent("frames"), Absent("gif"), Absent("apng"), Absent("mp4")],
        why: "one picture is at --time; --frames N makes a strip",
    },
    Rule {
        command: "bench",
        options: &["reward", "profile", "worlds", "threads", "backend"],
        when: &[Is("kind", &["render"])],
        why: "pictures are drawn of given states: nothing is simulated",
    },
    Rule {
        command: "bench",
        options: &["size", "batch", "samples"],
        when: &[IsNot("kind", &["render"])],
        why: "it is of pictures: `bench render`",
    },
    Rule {
        command: "bench",
        options: &["worlds", "threads"],
        when: &[Is("kind", &["script"])],
        why: "a script is measured on one core",
    },
    Rule {
        command: "bench",
        options: &["profile", "backend"],
        when: &[Is("kind", &["learn"]), Is("device", &["cpu"])],
        why: "the learner is measured on samples made up: nothing is simulated",
    },
    Rule {
        command: "prefs label",
        options: &["beta", "mistakes"],
        when: &[Is("rater", &["vision"])],
        why: "a vision model is no scripted teacher",
    },
    Rule {
        command: "prefs label",
        options: SIGHT,
        when: &[IsNot("rater", &["vision"])],
        why: "a scripted teacher looks at no pictures: --rater vision does",
    },
    Rule {
        command: "prefs loop",
        options: &[
            "rater",
            "beta",
            "mistakes",
            "truth",
            "batch",
            "strategy",
            "any_reset",
            "siblings",
            "goal",
            "baseline",
            "alpha",
            "frames",
            "model",
            "onnxruntime",
            "camera",
            "ground",
            "light",
            "adapter",
        ],
        when: &[Given("studio")],
        why: "with --studio you answer, about the pairs that the studio shows",
    },
    Rule {
        command: "prefs loop",
        options: &["beta", "mistakes"],
        when: &[Is("rater", &["vision"])],
        why: "a vision model is no scripted teacher",
    },
    Rule {
        command: "prefs loop",
        options: SIGHT,
        when: &[IsNot("rater", &["vision"])],
        why: "a scripted teacher looks at no pictures: --rater vision does",
    },
    Rule {
        command: "prefs loop",
        options: &["lambda", "members", "combine"],
        when: &[Is("learn", &["linear"])],
        why: "a linear model is one reward: --learn mlp, gpm or auto makes an ensemble",
    },
    Rule {
        command: "prefs loop",
        options: &["lambda"],
        when: &[Is("combine", &["mean", "wco"])],
        why: "neither mean nor wco has a weight: --combine uwo or brme",
    },
    Rule {
        command: "prefs train",
        options: &["lambda", "members", "combine"],
        when: &[Is("learn", &["linear"])],
        why: "a linear model is one reward: --learn mlp, gpm or auto makes an ensemble",
    },
    Rule {
        command: "prefs train",
        options: &["lambda"],
        when: &[Is("combine", &["mean", "wco"])],
        why: "neither mean nor wco has a weight: --combine uwo or brme",
    },
    Rule {
        command: "prefs train",
        options: &["combine", "lambda"],
        when: &[Absent("out")],
        why: "without --out no reward is written that could combine members",
    },
    Rule { command: "completions", options: &["json"], when: &[], why: "a completion script is for a shell" },
];

/// Was it given on the command line?
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    // Not every command has every option.
    matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn has_value(matches: &ArgMatches, id: &str, values: &[&str]) -> bool {
    let given = matches.try_get_raw(id).ok().flatten();
    given.is_some_and(|mut given| given.any(|value| values.iter().any(|v| value == *v)))
}

fn holds(matches: &ArgMatches, when: When) -> bool {
    match when {
        Is(id, values) => has_value(matches, id, values),
        IsNot(id, values) => !has_value(matches, id, values),
        Given(id) => is_given(matches, id),
        Absent(id) => !is_given(matches, id),
        Within(name) => matches.subcommand_name() == Some(name),
    }
}

/// Refuses what the command could not heed.
///
/// # Errors
/// With the option and why.
pub fn refuse(matches: &ArgMatches) -> Result<(), Usage> {
    let (mut at, mut command) = (matches, String::new());
    while let Some((name, within)) = at.subcommand() {
        at = within;
        command = format!("{command} {name}").trim_start().to_string();
        for rule in RULES.iter().filter(|rule| rule.command == command) {
            if let Some(option) = rule.options.iter().find(|option| is_given(at, option))
                && rule.when.iter().all(|when| holds(at, *when))
            {
                return Err(Usage(format!("--{}: {}", option.replace('_', "-"), rule.why)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::{Arg, ArgAction, Command, CommandFactory};
    use std::collections::BTreeSet;

    /// Every option of every command: read by its code, in every mode or in those that no rule names.
    const READ: &[(&str, &str)] = &[
        ("", "json root runs"),
        ("tasks", ""),
        ("rewards", "task"),
        ("rewards list", ""),
        ("rewards doc", ""),
        ("rewards new", "from user"),
        ("rewards check", ""),
        ("robots", ""),
        ("runs", ""),
        ("devices", ""),
        ("train", "reward seed worlds steps minutes profile threads calibrate from set out device backend"),
        ("resume", "steps minutes threads device"),
        ("show", ""),
        ("export", "checkpoint compact"),
        ("eval", "episodes seed checkpoint profile backend threads list"),
        ("check", "task parity no_audit explain"),
        ("rescore", "reward threads list"),
        ("compare", "task on threads"),
        ("diagnose", "second set steps threads"),
        (
            "tune",
            "reward params method variants generations steps worlds seed profile threads set confirm write force log",
        ),
        (
            "search",
            "task_option mode generator candidates iterations seed steps minutes_per_candidate seeds no_halving \
             finalists finalist_seeds final_steps final_seeds patience islands no_reflection from human scripts \
             wish feedback rater ask base_url model temperature max_tokens repairs timeout tries budget_tokens \
             budget_money price_in price_out record replay prompts executor sbatch worlds profile threads set \
             out",
        ),
        ("search show", "lineage"),
        ("search resume", "base_url replay budget_tokens budget_money threads"),
        ("search promote", "name candidate to"),
        ("search job", "threads"),
        ("render", "png gif apng mp4 clip camera size fps speed start seconds time frames ground light device"),
        ("vision", ""),
        ("vision score", "goal baseline alpha frames model onnxruntime camera ground light adapter"),
        ("vision audit", "prompts baseline alpha frames out model onnxruntime camera ground light adapter"),
        ("vision models", ""),
        ("vision bench", "task seconds batch model onnxruntime camera ground light adapter"),
        ("prefs", ""),
        (
            "prefs label",
            "reward run count seed rater beta mistakes truth batch strategy length any_reset siblings goal \
             baseline alpha frames model onnxruntime camera ground light adapter",
        ),
        ("prefs branch", "states branches noise length seed"),
        (
            "prefs loop",
            "reward budget rounds steps studio name profile set seed rater beta mistakes truth batch strategy \
             length any_reset siblings goal baseline alpha frames model onnxruntime camera ground light adapter \
             learn loss members combine lambda states branches noise",
        ),
        ("prefs train", "reward rater out force seed learn loss members combine lambda"),
        ("prefs stats", "task"),
        ("prefs export", ""),
        ("prefs import", ""),
        ("inspect", ""),
        ("probe", "states lanes gpu rapier"),
        ("bench", "robot task reward profile worlds threads size batch samples seconds device backend"),
        ("completions", ""),
    ];

    fn walk(command: &Command, path: &str, each: &mut dyn FnMut(&str, &Command)) {
        each(path, command);
        for within in command.get_subcommands().filter(|c| c.get_name() != "help") {
            walk(within, format!("{path} {}", within.get_name()).trim_start(), each);
        }
    }

    fn is_option(arg: &&Arg) -> bool {
        !arg.is_positional() && !matches!(arg.get_id().as_str(), "help" | "version")
    }

    #[test]
    fn every_option_of_every_command_is_accounted_for() {
        let mut seen = 0;
        walk(&Cli::command(), "", &mut |path, command| {
            let own = command.get_arguments().filter(is_option);
            let there: BTreeSet<&str> = own.map(|arg| arg.get_id().as_str()).collect();
            let listed =
                READ.iter().find(|(name, _)| *name == path).unwrap_or_else(|| panic!("`{path}` is not listed"));
            let listed: BTreeSet<&str> = listed.1.split_whitespace().collect();
            assert_eq!(there, listed, "options of `{path}`");
            seen += 1;
        });
        assert_eq!(seen, READ.len());
    }

    fn find(path: &str) -> Command {
        path.split(' ').fold(Cli::command(), |command, name| command.find_subcommand(name).unwrap().clone())
    }

    /// Words that give an option: with a value that it takes.
    fn sample(command: &Command, id: &str, value: Option<&str>) -> Vec<String> {
        let cli = Cli::command();
        let arg = command.get_arguments().chain(cli.get_arguments()).find(|arg| arg.get_id() == id);
        let arg = arg.unwrap_or_else(|| panic!("no option {id}"));
        let name = arg.get_long().map(|long| format!("--{long}"));
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            return name.into_iter().collect();
        }
        let possible = arg.get_possible_values();
        let usual = match id {
            "size" => "64x64",
            "frames" => "2",
            "executor" => "slurm",
            "profile" => "fast",
            "backend" => "batch",
            _ => possible.last().map_or("1", |value| value.get_name()),
        };
        let value = value.unwrap_or(usual).to_string();
        match name {
            Some(name) => vec![format!("{name}={value}")],
            None => vec![value],
        }
    }

    #[test]
    fn every_rule_refuses_each_of_its_options() {
        for rule in RULES {
            let command = find(rule.command);
            for option in rule.options {
                let mut words: Vec<String> = vec!["pavlov".into()];
                words.extend(rule.command.split(' ').map(String::from));
                let mut within = None;
                let mut has: BTreeSet<&str> = [*option].into();
                // The option is part of its own condition.
                let mut value = None;
                for when in rule.when {
                    match *when {
                        Is(id, values) if id == *option => value = Some(values[0]),
                        Is(id, values) => {
                            words.extend(sample(&command, id, Some(values[0])));
                            has.insert(id);
                        }
                        Given(id) => {
                            words.extend(sample(&command, id, None));
                            has.insert(id);
                        }
                        Within(name) => within = Some(name),
                        IsNot(..) | Absent(_) => {}
                    }
                }
                // An endpoint cannot be absent and given.
                if rule.when.iter().any(|when| matches!(when, Absent(id) if id == option)) {
                    continue;
                }
                let missing =
                    |arg: &&Arg| arg.is_positional() && arg.is_required_set() && !has.contains(arg.get_id().as_str());
                let positional = match rule.command {
                    "bench" => vec!["env"],
                    "compare" => vec!["a", "b"],
                    "completions" => vec!["bash"],
                    "search" => vec!["t"],
                    _ => command.get_arguments().filter(missing).map(|_| "x").collect(),
                };
                if rule.command != "bench" || !has.contains("kind") {
                    words.extend(positional.into_iter().map(String::from));
                }
                words.extend(sample(&command, option, value));
                words.extend(within.map(String::from));
                words.extend((within == Some("new")).then(|| "t/x".to_string()));
                let matches = Cli::command().try_get_matches_from(&words);
                let matches = matches.unwrap_or_else(|e| panic!("{words:?}: {e}"));
                let refused = refuse(&matches).expect_err(&format!("{words:?} is accepted")).0;
                assert!(refused.starts_with(&format!("--{}: ", option.replace('_', "-"))), "{words:?}: {refused}");
            }
        }
    }

    #[test]
    fn what_is_heeded_is_not_refused() {
        for line in [
            "search t",
            "search t --no-halving --executor slurm --sbatch --partition=x",
            "search t --base-url http://h/v1 --model m --wish w --feedback f --record c --patience 2 --islands 2",
            "search t --replay c --model m --tries 3 --timeout 10 --max-tokens 9 --repairs 0",
            "search t --mode icpl --rater scripted --executor slurm",
            "search t --mode icpl --islands 2",
            "search --mode drop-in --scripts a b --task t.toml",
            "search t --generator llm --base-url http://h/v1",
            "search show s --lineage",
            "search resume s --replay c",
            "render last --png a.png --time 2.5",
            "render last --png a.png --frames 3 --gif a.gif --start 1",
            "bench render --size 64x64 --device gpu",
            "bench learn --device gpu --profile fast",
            "prefs label t --rater vision --goal g --alpha 0.1",
            "prefs loop t --learn mlp --combine uwo --lambda 1",
            "check r --task t --parity 3",
        ] {
            let words = std::iter::once("pavlov").chain(line.split(' '));
            let matches = Cli::command().try_get_matches_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
            if let Err(e) = refuse(&matches) {
                panic!("{line}: {e}");
            }
        }
    }
}
