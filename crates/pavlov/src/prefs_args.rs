//! Arguments of `pavlov prefs`.

use crate::arg_values::{count, positive, share};
use crate::vision_args::Sighted;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The examples at the end of its help.
pub const EXAMPLES: &str = "Examples:\n  \
                            pavlov prefs label ant_run --rater oracle --truth ant_run/default --count 200 \
                            --strategy disagreement\n  \
                            pavlov prefs train ant_run --reward mine --out rewards/ant_run/liked\n  \
                            pavlov prefs train ant_run --learn mlp --members 5 --combine uwo \
                            --out rewards/ant_run/liked\n  \
                            pavlov prefs loop ant_run --studio --budget 100\n  \
                            pavlov prefs branch last --states 64\n  pavlov prefs stats\n\n\
                            Labels are in runs/labels.sqlite, and are only ever added. People label in the studio, \
                            or here.";

/// `pavlov prefs`.
#[derive(Debug, Args)]
pub struct Prefs {
    /// What to do.
    #[command(subcommand)]
    pub command: PrefsCommand,
}

/// Commands of `pavlov prefs`.
#[derive(Debug, Subcommand)]
pub enum PrefsCommand {
    /// Ask a scripted teacher or a vision model about pairs of segments of runs, and keep its answers.
    Label(Label),
    /// Branch pieces of episodes from states of a run, to be compared.
    Branch(Branch),
    /// Train, ask, learn, and train on with what was learnt, until a budget of labels is spent.
    Loop(Loop),
    /// Learn a reward from labels; write it as a reward folder.
    Train(Train),
    /// Show labels per rater, time per label, and how far raters agree with themselves and each other.
    Stats {
        /// Only labels of this task.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Write all records as JSON lines.
    Export {
        /// File; `-` is standard output.
        #[arg(default_value = "-", value_name = "FILE")]
        file: PathBuf,
    },
    /// Add records from JSON lines; known ones are left out.
    Import {
        /// File.
        file: PathBuf,
    },
}

/// Who answers, and what is asked.
#[derive(Debug, Args)]
pub struct Answering {
    /// Who answers: a teacher (oracle, stochastic, mistake, skip, equal, myopic, cyclic), or vision: a model that looks
    /// at pictures.
    #[arg(long, default_value = "oracle", value_name = "NAME")]
    pub rater: String,
    /// Rationality in place of the teacher's, per deviation of the segments' values.
    #[arg(long, value_name = "B")]
    pub beta: Option<f64>,
    /// Share of flipped answers in place of the teacher's.
    #[arg(long, value_name = "SHARE")]
    pub mistakes: Option<f64>,
    /// Reward the teacher judges by; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub truth: Option<String>,
    /// Labels between two updates of what is learnt.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Which pairs to ask about: uniform, disagreement, entropy, k-centre, optimistic, information (those whose answers
    /// tell most about weights that are not determined yet). Uniform when omitted, in a loop information.
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Control steps of a segment.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub length: u32,
    /// Also compare segments of episodes that began differently.
    #[arg(long)]
    pub any_reset: bool,
    /// Only compare siblings, which branch from one state.
    #[arg(long, conflicts_with = "any_reset")]
    pub siblings: bool,
    /// What a vision model should see.
    #[arg(long, value_name = "TEXT")]
    pub goal: Option<String>,
    /// What the pictures show anyway (the baseline).
    #[arg(long, value_name = "TEXT")]
    pub baseline: Option<String>,
    /// Strength of the baseline, 0 to 1.
    #[arg(long, default_value_t = 0.5, value_name = "A", value_parser = share)]
    pub alpha: f64,
    /// Frames of a segment that a vision model looks at.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub frames: u32,
    /// How it is seen.
    #[command(flatten)]
    pub sighted: Sighted,
}

/// Siblings.
#[derive(Debug, Args)]
pub struct Branching {
    /// States to branch from, at most; in a loop, each round.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub states: u32,
    /// Siblings from each: a divisor of 64.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=64))]
    pub branches: u32,
    /// Noise of actions, in deviations of the policy.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = positive)]
    pub noise: f64,
}

/// What is learnt from labels.
#[derive(Debug, Args)]
pub struct Learning {
    /// linear: weights of the reward's terms; mlp: a net of states and actions; gpm: one that can hold cycles; auto:
    /// linear, or mlp where it is better on held-out pairs.
    #[arg(long, default_value = "linear", value_name = "KIND", value_parser = ["auto", "linear", "mlp", "gpm"])]
    pub learn: String,
    /// How strengths of preference count: plain (not at all), margin, scaled.
    #[arg(long, default_value = "plain", value_name = "NAME", value_parser = ["plain", "margin", "scaled"])]
    pub loss: String,
    /// Nets of the ensemble.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub members: u32,
    /// How members become one reward: mean, wco (the least), uwo (mean less variance), brme.
    #[arg(long, default_value = "mean", value_name = "NAME", value_parser = ["mean", "wco", "uwo", "brme"])]
    pub combine: String,
    /// Weight of the variance (uwo), or of the nominal member (brme).
    #[arg(long, default_value_t = 0.5, value_name = "L")]
    pub lambda: f64,
}

/// `pavlov prefs label`.
#[derive(Debug, Args)]
pub struct Label {
    /// Task.
    pub task: String,
    /// Reward whose terms the learner sees (for the strategy); the truth's when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Runs to take segments from; all finished runs of the task when omitted.
    #[arg(long, value_name = "RUN")]
    pub run: Vec<PathBuf>,
    /// Labels to give.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub count: usize,
    /// Who answers, and what is asked.
    #[command(flatten)]
    pub answering: Answering,
    /// Seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
}

/// `pavlov prefs branch`.
#[derive(Debug, Args)]
pub struct Branch {
    /// Run: folder, name, or `last`.
    pub run: PathBuf,
    /// Siblings.
    #[command(flatten)]
    pub branching: Branching,
    /// Control steps of a piece.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub length: u32,
    /// Seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
}

/// `pavlov prefs train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Task.
    pub task: String,
    /// Reward whose terms are weighted; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Only labels of this rater.
    #[arg(long, value_name = "NAME")]
    pub rater: Option<String>,
    /// What is learnt.
    #[command(flatten)]
    pub learning: Learning,
    /// Folder of the reward to write; nothing is written when omitted. Where labels determine nothing, or the checks of
    /// `pavlov check` find an error, nothing is written either, and the exit code is 1, or 2.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write it all the same.
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
}

/// `pavlov prefs loop`.
#[derive(Debug, Args)]
pub struct Loop {
    /// Task.
    pub task: String,
    /// Reward to begin with, whose terms a linear model weights; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Labels in all.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub budget: usize,
    /// Rounds of asking, for equal parts of the budget.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Environment steps of each training (1M, 5e6, 20000); the task's own number over the trainings when omitted.
    #[arg(long, value_name = "N", value_parser = count)]
    pub steps: Option<u64>,
    /// Let a person answer in the studio; waits for the labels of each round.
    #[arg(long)]
    pub studio: bool,
    /// Who answers, and what is asked.
    #[command(flatten)]
    pub answering: Answering,
    /// What is learnt.
    #[command(flatten)]
    pub learning: Learning,
    /// Siblings.
    #[command(flatten)]
    pub branching: Branching,
    /// Name of the loop: a folder among the runs. The same name goes on with it.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Solver profile: accurate (the default) or fast.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<pavlov_env::Profile>,
    /// A setting of the trainings by name; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed.
    #[arg(
        long, default_value_t = 0, value_name = "SEED",
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64)
    )]
    pub seed: u64,
}
