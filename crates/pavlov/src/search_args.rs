//! Arguments of `pavlov search`. What a mode could not heed is refused: `options.rs`.

use crate::arg_values::{count, not_negative, positive, seconds, temperature, threads};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use pavlov_env::Profile;
use pavlov_search::search::{MODES, Mode, Settings, mode_named};
use std::path::PathBuf;

/// Values of `--mode`: the rows of the table of modes.
fn modes() -> impl TypedValueParser<Value = &'static dyn Mode> {
    let value = |mode: &dyn Mode| PossibleValue::new(mode.name()).help(mode.about());
    PossibleValuesParser::new(MODES.map(value))
        .try_map(|name| mode_named(&name).ok_or_else(|| format!("no mode is called {name}")))
}

/// Help of an option, with the number that is usual and the modes in which another one is.
fn with_usual(about: &str, number: fn(&Settings) -> u32) -> String {
    let usual = number(&Settings::usual());
    let others = MODES.into_iter().filter_map(|mode| {
        let here = number(&mode.usual(Settings::usual()));
        (here != usual).then(|| format!("; {} {here}", mode.name()))
    });
    format!("{about} [default: {usual}{}]", others.collect::<String>())
}

/// `pavlov search`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Search {
    /// Work on an existing search.
    #[command(subcommand)]
    pub action: Option<SearchAction>,
    /// Task: a name (see `pavlov tasks`) or a TOML file.
    #[arg(required_unless_present = "task_option")]
    pub task: Option<String>,
    /// The task as an option, as other commands take it.
    #[arg(long = "task", value_name = "TASK", conflicts_with = "task")]
    pub task_option: Option<String>,
    /// How rewards are proposed and judged.
    #[arg(long, value_parser = modes(), default_value = "eureka")]
    pub mode: &'static dyn Mode,
    /// Who writes the rewards: the embedded grammar (no network), or a language model. A model when --base-url or
    /// --replay is given.
    #[arg(long, value_enum)]
    pub generator: Option<SearchGenerator>,
    /// Candidates per iteration.
    #[arg(long, short = 'k', value_name = "K", help = with_usual("Candidates per iteration", |s| s.candidates))]
    pub candidates: Option<u32>,
    /// Iterations.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 5)]
    pub iterations: u32,
    /// Seed; the same one repeats the search.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: u64,
    /// Environment steps per candidate [default: two fifths of the task's, at most a million, at least a tenth].
    #[arg(long, value_parser = count)]
    pub steps: Option<u64>,
    /// Minutes per candidate at most, however many steps are left; such a search cannot be repeated exactly.
    #[arg(long, value_name = "M", value_parser = positive)]
    pub minutes_per_candidate: Option<f64>,
    /// Seeds of each candidate.
    #[arg(long, help = with_usual("Seeds of each candidate", |s| s.seeds))]
    pub seeds: Option<u32>,
    /// Train every candidate to the end.
    #[arg(long)]
    pub no_halving: bool,
    /// Candidates trained again before the best is named [default: 8].
    #[arg(long)]
    pub finalists: Option<u32>,
    /// Seeds of that second training [default: 5].
    #[arg(long)]
    pub finalist_seeds: Option<u32>,
    /// Environment steps of finalists and of the last training [default: as --steps].
    #[arg(long, value_parser = count)]
    pub final_steps: Option<u64>,
    /// Seeds of the last training.
    #[arg(long, default_value_t = 5)]
    pub final_seeds: u32,
    /// Environment steps of the human reward in the last training, with the learner's settings of its task file [default:
    /// all of the task's; as the winner where --steps or --final-steps is given].
    #[arg(long, value_parser = count)]
    pub human_steps: Option<u64>,
    /// Whose fitness is 0 in the human-normalised score.
    #[arg(long, value_enum, default_value = "idle")]
    pub floor: SearchFloor,
    /// End after so many iterations without a better candidate; 0: never early.
    #[arg(long, default_value_t = 0)]
    pub patience: u32,
    /// Groups of candidates that seldom mix.
    #[arg(long, default_value_t = 1)]
    pub islands: u32,
    /// Do not use the statistics of training.
    #[arg(long)]
    pub no_reflection: bool,
    /// Start from this reward.
    #[arg(long, value_name = "REWARD")]
    pub from: Option<String>,
    /// Human reward to compare with.
    #[arg(long, value_name = "REWARD", default_value = "default")]
    pub human: String,
    /// Scripts of mode drop-in: files, folders of rewards, or - for standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub scripts: Vec<PathBuf>,
    /// What is wanted, in words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub wish: String,
    /// Your words after an iteration; give it once for each.
    #[arg(long, value_name = "TEXT")]
    pub feedback: Vec<String>,
    /// Who chooses in mode icpl.
    #[arg(long, value_enum, default_value = "ask")]
    pub rater: SearchRater,
    /// Ask for words after every iteration.
    #[arg(long)]
    pub ask: bool,
    /// OpenAI-compatible endpoint, for example http://127.0.0.1:8080/v1. The key is read from PAVLOV_API_KEY or the
    /// keyring.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Model.
    #[arg(long, default_value = "")]
    pub model: String,
    /// Sampling temperature of the model.
    #[arg(long, default_value_t = 1.0, value_parser = temperature)]
    pub temperature: f32,
    /// Most tokens of a reply, thoughts included.
    #[arg(long, default_value_t = Settings::usual().max_tokens, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// How often a refused reply goes back with its errors.
    #[arg(long, help = with_usual("How often a refused reply goes back with its errors", |s| s.repairs))]
    pub repairs: Option<u32>,
    /// Seconds after which a request without a whole answer has failed.
    #[arg(long, default_value_t = 600.0, value_parser = seconds)]
    pub timeout: f64,
    /// How often a request is tried.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub tries: u32,
    /// Tokens in all; once they are spent, no more requests are made.
    #[arg(long, value_name = "N", value_parser = count)]
    pub budget_tokens: Option<u64>,
    /// Money in all, in the unit of the prices.
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub budget_money: Option<f64>,
    /// Price of a million tokens of requests.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
    pub price_in: f64,
    /// Price of a million tokens of replies.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
    pub price_out: f64,
    /// Add every exchange to this cassette.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Take replies from this cassette.
    #[arg(long, value_name = "FILE", conflicts_with = "base_url")]
    pub replay: Option<PathBuf>,
    /// Folder of prompts.
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
    /// Where candidates are trained.
    #[arg(long, value_enum, default_value = "local")]
    pub executor: SearchExecutor,
    /// Option for sbatch; give it once for each.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
    /// Worlds per candidate: fewer worlds mean more updates for the same steps [default: 32].
    #[arg(long)]
    pub worlds: Option<usize>,
    /// Solver profile.
    #[arg(long)]
    pub profile: Option<Profile>,
    /// Threads.
    #[arg(long, value_parser = threads)]
    pub threads: Option<usize>,
    /// Setting of the learner; eval_episodes is 10 unless set.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the search [default: RUNS/search-TASK-SEED].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Commands on an existing search.
#[derive(Debug, Subcommand)]
pub enum SearchAction {
    /// Show the state of a search, and write its report.html.
    Show {
        /// Folder of the search.
        search: PathBuf,
        /// Print the lineage as JSON lines.
        #[arg(long)]
        lineage: bool,
    },
    /// Continue a search.
    Resume(Box<SearchResume>),
    /// Write a candidate to rewards/TASK/NAME; the winner unless another is named.
    Promote {
        /// Folder of the search.
        search: PathBuf,
        /// Name of the new reward.
        #[arg(long, default_value = "found")]
        name: String,
        /// Candidate, for example 2.7.
        #[arg(long, value_name = "ITERATION.PLACE")]
        candidate: Option<String>,
        /// Folder of rewards to write to [default: rewards of the first root].
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Do one job of a search on a cluster.
    #[command(hide = true)]
    Job {
        /// The job's file.
        file: PathBuf,
        /// Threads.
        #[arg(long, value_parser = threads)]
        threads: Option<usize>,
    },
}

/// `pavlov search resume`: the folder, and the options that may change.
#[derive(Debug, Args)]
pub struct SearchResume {
    /// Folder of the search.
    pub search: PathBuf,
    /// Endpoint.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Cassette to take replies from.
    #[arg(long, value_name = "FILE", conflicts_with = "base_url")]
    pub replay: Option<PathBuf>,
    /// Tokens in all.
    #[arg(long, value_name = "N", value_parser = count)]
    pub budget_tokens: Option<u64>,
    /// Money in all.
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub budget_money: Option<f64>,
    /// Threads.
    #[arg(long, value_parser = threads)]
    pub threads: Option<usize>,
}

/// Generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchGenerator {
    /// The typed grammar.
    Embedded,
    /// A language model.
    Llm,
}

/// Floors of the human-normalised score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchFloor {
    /// The audit set's idle behaviour.
    Idle,
    /// A policy trained on the task's fitness itself, as in Eureka.
    Sparse,
}

/// Raters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchRater {
    /// You.
    Ask,
    /// A script: the fitness of what the clip shows.
    Scripted,
}

/// Executors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchExecutor {
    /// This machine.
    Local,
    /// A job array of Slurm.
    Slurm,
}
