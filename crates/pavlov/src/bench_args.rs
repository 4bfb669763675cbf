//! Arguments of `pavlov bench`.

use crate::arg_values::{Engine, positive, size, threads};
use clap::{Args, ValueEnum};
use pavlov_env::Profile;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Physics steps alone.
    Physics,
    /// The whole environment: physics, sensing, reward, observation, resets.
    Env,
    /// The reward: lowered against interpreted.
    Script,
    /// The learner on made-up samples.
    Learn,
    /// Pictures: many small ones drawn together, one robot each.
    Render,
}

/// `pavlov bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured.
    pub kind: BenchKind,
    /// Robot: a task with this robot is taken.
    #[arg(long, value_name = "ROBOT", conflicts_with = "task")]
    pub robot: Option<String>,
    /// Task; gym/ant when omitted.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Reward; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Solver profile: accurate (as in training) or fast.
    #[arg(long, value_name = "PROFILE", default_value = "accurate")]
    pub profile: Profile,
    /// Worlds; a few blocks for each thread when omitted.
    #[arg(long, value_name = "N")]
    pub worlds: Option<usize>,
    /// Threads; all cores when omitted.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Pixels of a picture (`bench render`).
    #[arg(long, default_value = "224x224", value_name = "WxH", value_parser = size)]
    pub size: (u32, u32),
    /// Pictures drawn together (`bench render`).
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub batch: u32,
    /// Samples of a pixel, 1 or 4 (`bench render`).
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub samples: u32,
    /// Seconds measured.
    #[arg(long, default_value_t = 3.0, value_name = "S", value_parser = positive)]
    pub seconds: f64,
    /// What computes.
    #[command(flatten)]
    pub engine: Engine,
}
