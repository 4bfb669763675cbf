//! What may be typed after `pavlov prefs`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
    /// Ask a scripted teacher about pairs of segments of runs, and keep its answers.
    Label(Label),
    /// Learn a reward from labels; write it as a reward folder.
    Train(Train),
    /// Labels a rater, time a label, how far raters agree with themselves and each other.
    Stats {
        /// Only those of this task.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Write all records as JSON lines.
    Export {
        /// File; `-` is standard output.
        #[arg(default_value = "-", value_name = "FILE")]
        file: PathBuf,
    },
    /// Add records from JSON lines; those that are there already are left out.
    Import {
        /// File.
        file: PathBuf,
    },
}

/// `pavlov prefs label`.
#[derive(Debug, Args)]
pub struct Label {
    /// Task.
    pub task: String,
    /// Teacher: oracle, stochastic, mistake, skip, equal, myopic.
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
    /// Reward whose terms the learner sees (for the strategy); the truth's when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Runs to take segments from; all finished runs of the task when omitted.
    #[arg(long = "run", value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Labels to give.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub count: usize,
    /// Labels between two looks at what was learnt so far.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Which pairs are asked: uniform, disagreement, entropy, k-centre, optimistic.
    #[arg(long, default_value = "uniform", value_name = "NAME")]
    pub strategy: String,
    /// Control steps of a segment.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub length: u32,
    /// Also compare segments of episodes that began differently.
    #[arg(long)]
    pub any_reset: bool,
    /// Seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
}

/// `pavlov prefs train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Task.
    pub task: String,
    /// linear: weights of the reward's terms; mlp: a net of states and actions; gpm: one that can hold cycles; auto: linear, or mlp where it is better on held-out pairs.
    #[arg(long, default_value = "linear", value_name = "KIND", value_parser = ["auto", "linear", "mlp", "gpm"])]
    pub model: String,
    /// Reward whose terms are weighed; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Only labels of this rater.
    #[arg(long, value_name = "NAME")]
    pub rater: Option<String>,
    /// What strengths do: plain (nothing), margin, scaled.
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
    /// Folder of the reward to write; nothing is written when omitted.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
}
