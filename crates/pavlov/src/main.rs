//! The `pavlov` command: a thin layer over the library crates. One file per group of commands; `args` is the whole
//! grammar.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))] // files are opened in pavlov-common: see clippy.toml

mod arg_values;
mod args;
mod bench;
mod bench_args;
mod check;
mod compare;
mod diagnose;
mod find;
mod lists;
mod options;
mod out;
mod prefs;
mod prefs_args;
mod prefs_desk;
mod prefs_loop;
mod prefs_train;
mod probe;
mod progress;
mod render;
mod rescore;
mod reward_args;
mod rewards;
mod runs;
mod search;
mod search_args;
mod search_progress;
mod train;
mod tune;
mod vision;
mod vision_args;

use anyhow::Error;
use args::{Cli, Command};
use clap::{CommandFactory, FromArgMatches};
use out::{Closed, Out, say};
use pavlov_common::assets::NotFound;
use pavlov_common::errors::{is_of_the_path, told};
use pavlov_common::own::OwnError;
use pavlov_env::{Assets, EnvError};
use pavlov_model::ModelError;
use pavlov_prefs::PrefsError;
use pavlov_render::RenderError;
use pavlov_reward::RewardError;
use pavlov_run::RunError;
use pavlov_search::SearchError;
use pavlov_vision::VisionError;
use std::process::ExitCode;

/// Wrong use or bad input that no library error stands for.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The command has said what is wrong; only the exit code is left.
#[derive(Debug)]
pub struct Told(pub u8);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended with {}", self.0)
    }
}

impl std::error::Error for Told {}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    match options::refuse(&matches).map_err(Error::from).and_then(|()| run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(report(&error)),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    pavlov_run::register_sources();
    pavlov_prefs::register_sources();
    let out = Out { json: cli.json };
    for folder in cli.allow_path.iter().chain(&cli.root) {
        let wrong = |e| Usage(format!("{}: {e}: expected a folder", folder.display()));
        pavlov_common::fence::allow(folder).map_err(wrong)?;
    }
    if cli.runs.exists() && !cli.runs.is_dir() {
        return Err(Usage(format!("--runs {}: a file, expected a folder", cli.runs.display())).into());
    }
    let assets = Assets::find(cli.root.as_deref());
    pavlov_vision::tell_libraries(out::say);
    pavlov_vision::register_sources(assets.roots());
    match cli.command {
        Command::Tasks => lists::tasks(out, &assets),
        Command::Rewards(args) => rewards::rewards(out, &assets, &args),
        Command::Robots => lists::robots(out, &assets),
        Command::Runs => lists::runs(out, &cli.runs),
        Command::Devices => lists::devices(out),
        Command::Train(args) => train::train(out, &assets, &cli.runs, &args),
        Command::Resume(args) => train::resume(out, &cli.runs, &args),
        Command::Show(args) => runs::show(out, &cli.runs, &args),
        Command::Export(args) => runs::export(out, &cli.runs, &args),
        Command::Eval(args) => runs::eval(out, &cli.runs, &args),
        Command::Check(args) => check::check(out, &assets, &args),
        Command::Rescore(args) => rescore::rescore(out, &assets, &cli.runs, &args),
        Command::Compare(args) => compare::compare(out, &assets, &cli.runs, &args),
        Command::Diagnose(args) => diagnose::diagnose(out, &cli.runs, &args),
        Command::Tune(args) => tune::tune(out, &assets, &args),
        Command::Search(args) => search::search(out, &assets, &cli.runs, &args),
        Command::Prefs(args) => prefs::prefs(out, &assets, &cli.runs, &args),
        Command::Render(args) => render::render(out, &assets, &cli.runs, &args),
        Command::Vision(args) => vision::vision(out, &assets, &cli.runs, &args),
        Command::Inspect(args) => check::inspect(out, &assets, &args),
        Command::Probe(args) => probe::probe(out, &assets, &args),
        Command::Bench(args) => bench::bench(out, &assets, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pavlov", &mut script);
            out.text(&String::from_utf8_lossy(&script))
        }
    }
}

/// Says what went wrong, unless the command did or the reader is gone, and gives the exit code.
fn report(error: &Error) -> u8 {
    if !error.is::<Closed>() && !error.is::<Told>() {
        // The script checker's findings bring their own `error[rule]:`.
        let text = told(error.as_ref());
        if text.starts_with("error[") { say(&text) } else { say(&format!("error: {text}")) }
    }
    exit_code(error)
}

/// 0 done, 1 failed while running, 2 wrong use or bad input.
fn exit_code(error: &Error) -> u8 {
    let bad_input = error.is::<Usage>()
        || error.is::<pavlov_common::assets::NotFound>()
        || error.is::<EnvError>()
        || error.is::<RewardError>()
        || error.is::<ModelError>()
        || error.is::<NotFound>()
        || error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|e| is_of_the_path(e.kind())))
        || error.downcast_ref::<OwnError>().is_some_and(OwnError::is_bad_input)
        || error.downcast_ref::<RunError>().is_some_and(RunError::is_bad_input)
        || error.downcast_ref::<RenderError>().is_some_and(RenderError::is_bad_input)
        || error.downcast_ref::<PrefsError>().is_some_and(PrefsError::is_bad_input)
        || error.downcast_ref::<VisionError>().is_some_and(VisionError::is_bad_input)
        || error.downcast_ref::<SearchError>().is_some_and(SearchError::is_bad_input);
    match error.downcast_ref::<Told>() {
        Some(Told(code)) => *code,
        None if error.is::<Closed>() => 0,
        None => 1 + u8::from(bad_input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_cause() {
        assert_eq!(exit_code(&Closed.into()), 0);
        assert_eq!(exit_code(&Told(2).into()), 2);
        assert_eq!(exit_code(&Usage("x".into()).into()), 2);
        assert_eq!(exit_code(&RunError::Failed("x".into()).into()), 1);
        assert_eq!(exit_code(&RunError::Usage("x".into()).into()), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("disk full")), 1);
        assert_eq!(exit_code(&Error::from(RunError::Usage("x".into())).context("while training")), 2);
    }

    #[test]
    fn causes_are_told_once() {
        let file = |source| pavlov_common::atomic::WriteError { path: "a".into(), source };
        let error = Error::from(file(std::io::Error::other("disk full")));
        assert_eq!(told(error.as_ref()), "cannot write a: disk full");
        assert_eq!(told(error.context("while training").as_ref()), "while training: cannot write a: disk full");
        assert_eq!(told(Error::from(std::io::Error::other("x")).context("y").as_ref()), "y: x");
    }
}
