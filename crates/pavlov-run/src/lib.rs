//! A training run put together: environment, reward, learner; and what it leaves in its folder.
//!
//! ```text
//! Overrides ─ RunConfig::resolve ─ Trainer::create ─> update, update, ... ─ finish ─> summary, policy, clip, report
//!                                  Trainer::resume ──┘        └ logs, checkpoint
//! evaluate, record, export, report and list read what is there.
//! ```
//! The README documents the format of every file.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod adapter;
mod arm;
mod baseline;
mod bench;
mod branch;
mod calibrate;
mod cases;
mod checkpoint;
mod clips;
pub mod clock;
mod config;
mod confirm;
mod device;
mod device_bench;
mod diagnose;
mod diagnosis_html;
mod error;
mod evaluate;
mod export;
mod finish;
mod folder;
mod generation;
mod git;
mod inputs;
mod list;
mod logs;
mod onnx;
mod play;
mod report;
mod rescore;
mod rollouts;
mod seal;
mod settings;
mod slots;
mod strip;
mod tensorboard;
#[cfg(test)]
mod testing;
mod train;
mod tune;
mod variants;

pub use adapter::Block;
pub use baseline::register_sources;
pub use bench::{BenchKind, BenchOptions, BenchResult, bench};
pub use branch::{BranchOptions, branch};
pub use calibrate::calibrate;
pub use cases::{CaseResult, cases};
pub use checkpoint::{Best, Loaded, LoopState, Which, find as find_checkpoint, read as read_checkpoint};
pub use clips::{Clip, ClipFrame, ClipHeader, record};
pub use config::{InputFile, Machine, Overrides, RunConfig};
pub use confirm::{Confirmed, confirm};
pub use device::Device;
pub use device_bench::{DeviceBench, DeviceBenchKind, KernelTime, bench_device};
pub use diagnose::{Curve, Diagnosis, Motion, Second, StopAdvice, Symptom, diagnose, second, write_diagnosis};
pub use error::RunError;
pub use evaluate::{EpisodeResult, EvalOptions, Evaluation, SEED_OFFSET, Stat, evaluate};
pub use export::{Exported, export};
pub use finish::{Stop, Summary};
pub use folder::{RUN_FOLDER, RunFolder};
pub use inputs::{copy_reward, load as load_inputs, sha256};
pub use list::{RunEntry, RunState, list_runs};
pub use logs::{MetricsLine, Named, NodeStats, TermStats, TermsLine, Timing, read_lines};
pub use play::{PlayOptions, Player, PolicyPlayer, play_rollouts};
pub use report::write_report;
pub use rescore::{
    Rescored, RescoredEpisode, Swap, branch_files, channels_of, readable_rollouts, rescore, rollout_files, score_all,
};
pub use rollouts::{RolloutEpisode, RolloutFile, RolloutInfo, Rollouts};
pub use settings::{RunSettings, own_steps};
pub use train::{ResumeOptions, Trainer, Update, find_reward, load_reward, thread_pool};
pub use tune::{Method, Trial, TuneOptions, Tuned, tune};
pub use variants::{VariantUpdate, Variants};
