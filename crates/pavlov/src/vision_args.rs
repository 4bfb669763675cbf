//! Arguments of `pavlov vision`.

use crate::arg_values::{positive, share};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `pavlov vision`.
#[derive(Debug, Args)]
pub struct Vision {
    /// The command.
    #[command(subcommand)]
    pub command: VisionCommand,
}

/// Commands of `pavlov vision`.
#[derive(Debug, Subcommand)]
pub enum VisionCommand {
    /// Score pictures, or the frames of a run's clip, against a goal.
    Score(VisionScore),
    /// Audit prompts against rollouts and labels, over alpha, cameras and grounds; writes a report with pictures.
    Audit(VisionAudit),
    /// List the models, and what would run them.
    Models,
    /// Measure pictures a second, from states to vectors.
    Bench(VisionBench),
}

/// How pictures are seen.
#[derive(Debug, Args)]
pub struct Sighted {
    /// Folder of the model, or a name in assets/vision.
    #[arg(long, default_value = "embedded", value_name = "DIR|NAME")]
    pub model: String,
    /// Library that runs ONNX files: a path, `built-in`, or `auto`.
    #[arg(long, default_value = "auto", value_name = "PATH")]
    pub onnxruntime: String,
    /// Camera, as `pavlov render` takes it.
    #[arg(long, default_value = "track", value_name = "CAMERA", allow_hyphen_values = true)]
    pub camera: String,
    /// Ground.
    #[arg(long, default_value = "checker", value_name = "GROUND")]
    pub ground: String,
    /// Light.
    #[arg(long, default_value = "day", value_name = "LIGHT")]
    pub light: String,
    /// Graphics adapter, as `pavlov devices` numbers them.
    #[arg(long, default_value_t = 0, value_name = "INDEX")]
    pub adapter: usize,
}

/// `pavlov vision score`.
#[derive(Debug, Args)]
pub struct VisionScore {
    /// A picture, a folder of pictures, a run, or a clip (.jsonl).
    pub input: PathBuf,
    /// What it should show.
    #[arg(long, value_name = "TEXT")]
    pub goal: String,
    /// What it shows anyway (the baseline).
    #[arg(long, value_name = "TEXT")]
    pub baseline: Option<String>,
    /// Strength of the baseline, 0 to 1; 0 is the cosine.
    #[arg(long, default_value_t = 0.5, value_name = "A", value_parser = share)]
    pub alpha: f64,
    /// Frames of a run or clip.
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: u32,
    /// How it is seen.
    #[command(flatten)]
    pub sighted: Sighted,
}

/// `pavlov vision audit`.
#[derive(Debug, Args)]
pub struct VisionAudit {
    /// Runs: folders, names, or `last`.
    #[arg(required = true)]
    pub audited: Vec<PathBuf>,
    /// Prompts in place of those of the runs' rewards, one a run in the same order.
    #[arg(long = "prompt", value_name = "TEXT")]
    pub prompts: Vec<String>,
    /// Baseline in place of that of the runs' rewards.
    #[arg(long, value_name = "TEXT")]
    pub baseline: Option<String>,
    /// Strength of the baseline, 0 to 1.
    #[arg(long, default_value_t = 0.5, value_name = "A", value_parser = share)]
    pub alpha: f64,
    /// Frames of each run.
    #[arg(long, default_value_t = 96, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub frames: u32,
    /// Folder for report.html and audit.json.
    #[arg(long, default_value = "vision-audit", value_name = "DIR")]
    pub out: PathBuf,
    /// How it is seen.
    #[command(flatten)]
    pub sighted: Sighted,
}

/// `pavlov vision bench`.
#[derive(Debug, Args)]
pub struct VisionBench {
    /// Task whose robot is drawn.
    #[arg(long, default_value = "humanoid_run", value_name = "TASK")]
    pub task: String,
    /// How long to measure, s.
    #[arg(long, default_value_t = 5.0, value_name = "S", value_parser = positive)]
    pub seconds: f64,
    /// Pictures drawn and embedded together.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// How it is seen.
    #[command(flatten)]
    pub sighted: Sighted,
}
