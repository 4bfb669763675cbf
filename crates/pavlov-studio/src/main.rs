//! `pavlov-studio`: a window in which a reward is designed while one watches what it does.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod material;
mod picture;
mod ready;
mod window;

use clap::Parser;
use pavlov_common::plain_lines;
use std::path::PathBuf;
use std::process::ExitCode;

/// Design a reward while watching what it does.
#[derive(Debug, Parser)]
#[command(name = "pavlov-studio", version, max_term_width = 100)]
struct Args {
    /// Task to open (see `pavlov tasks`); the last one when omitted.
    task: Option<String>,
    /// Reward to open: a name or a path; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    reward: Option<String>,
    /// Live worlds.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    worlds: Option<u16>,
    /// Folder with `tasks`, `rewards` and `assets`.
    #[arg(long, value_name = "DIR")]
    assets: Option<PathBuf>,
    /// Folder of runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Folder of what the studio remembers; in the user's configuration folder when omitted.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Size of the window, points.
    #[arg(long, value_name = "WxH")]
    size: Option<String>,
    /// `low` is chosen by itself on an adapter in software.
    #[arg(long, value_enum, default_value_t)]
    quality: Quality,
    /// Print how many pictures were drawn, once a second, and how long keys take to show.
    #[arg(long)]
    stats: bool,
}

/// How much is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Quality {
    /// By the adapter.
    #[default]
    Auto,
    /// Few corners, no gloss, no smoothing of edges; at most 20 pictures a second.
    Low,
    /// Everything, as often as the screen shows it.
    High,
}

fn main() -> ExitCode {
    match window::run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pavlov-studio: {}", plain_lines(&format!("{error:#}")));
            ExitCode::from(ready::CANNOT_START)
        }
    }
}
