//! Arguments of the commands about rewards: `rewards`, `check`, `compare`, `rescore`, `diagnose`, `tune`.

use crate::arg_values::{count, threads};
use clap::{Args, Subcommand, ValueEnum};
use pavlov_env::Profile;
use std::path::PathBuf;

/// `pavlov rewards`.
#[derive(Debug, Args)]
pub struct Rewards {
    /// Only those of this task.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub action: Option<RewardsAction>,
}

/// Commands of `pavlov rewards`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum RewardsAction {
    /// List them.
    List,
    /// Print every name that scripts and manifests may use, as Markdown.
    Doc,
    /// Make a folder with a working reward to start from.
    New {
        /// Name: TASK/NAME, for example ant_run/mine.
        name: String,
        /// Reward to start from; a plain one when omitted.
        #[arg(long, value_name = "REWARD")]
        from: Option<String>,
        /// In ~/.config/pavlov/rewards instead of the workspace.
        #[arg(long)]
        user: bool,
    },
    /// Check rewards, all when none is named: manifest, script, both ways of running it, and the cases in their
    /// tests.toml.
    Check {
        /// Names; all there are when omitted.
        names: Vec<String>,
    },
}

/// `pavlov tune`.
#[derive(Debug, Args)]
pub struct Tune {
    /// Task: a name (see `pavlov tasks`) or a TOML file.
    pub task: String,
    /// Reward: a name, a folder or a .rhai file; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Parameter to search, may be given again; all that have a range when omitted.
    #[arg(long = "param", value_name = "NAME")]
    pub params: Vec<String>,
    /// How: cma-es, or halving.
    #[arg(long, default_value = "cma-es", value_enum)]
    pub method: TuneMethod,
    /// Variants trained side by side.
    #[arg(long, default_value_t = 8, value_name = "K")]
    pub variants: usize,
    /// Generations of CMA-ES; halving ends when one variant is left.
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub generations: usize,
    /// Environment steps per variant (halving: in the first round); a tenth of the task's own number when omitted.
    #[arg(long, value_name = "N", value_parser = count)]
    pub steps: Option<u64>,
    /// Worlds of each variant; the task's own number when omitted.
    #[arg(long, value_name = "N")]
    pub worlds: Option<usize>,
    /// Seed of worlds, nets, actions and search.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Solver profile: accurate (the default) or fast.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,
    /// Threads; all cores when omitted. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// A setting by name; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seeds with which the values found and the present ones are trained at last, for as many steps as the best; 0
    /// leaves it out, and nothing is recommended.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000))]
    pub confirm: u32,
    /// Write the reward with the values found to a new folder beside the one it is from, where it is sure that they are
    /// better. Otherwise the exit code is 1.
    #[arg(long, value_name = "NAME")]
    pub write: Option<String>,
    /// Write it all the same.
    #[arg(long, requires = "write")]
    pub force: bool,
    /// File for every trial, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// How `pavlov tune` searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TuneMethod {
    /// Covariance matrix adaptation, a generation side by side.
    CmaEs,
    /// Successive halving of random variants.
    Halving,
}

/// `pavlov check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Reward: a name, a folder or a .rhai file.
    #[arg(required_unless_present = "explain")]
    pub reward: Option<String>,
    /// Task to check it against; known for rewards in `rewards/<task>/`.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Random states in which both ways of running it are compared; 0 = not at all. Left out: 1000, fewer for a
    /// reward of more than four hundred operations.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=10_000_000))]
    pub parity: Option<u64>,
    /// Leave out the checks that play the task's audit set.
    #[arg(long)]
    pub no_audit: bool,
    /// Say what a rule checks, why, and what to do; `all` for every rule.
    #[arg(long, value_name = "RULE", conflicts_with = "reward")]
    pub explain: Option<String>,
}

/// `pavlov rescore`.
#[derive(Debug, Args)]
pub struct Rescore {
    /// Folder of the run, its name, or `last`.
    pub run: PathBuf,
    /// The other reward: a name, a folder or a .rhai file.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: String,
    /// Threads; all cores when omitted.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Print every episode, not only the widest changes.
    #[arg(long)]
    pub list: bool,
}

/// `pavlov compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Rewards: names, folders or .rhai files.
    #[arg(required = true, num_args = 2.., value_name = "REWARD")]
    pub rewards: Vec<String>,
    /// Task they are for; known for rewards in `rewards/<task>/`.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Compare on the rollouts of this run, instead of the task's audit set.
    #[arg(long, value_name = "RUN")]
    pub on: Option<PathBuf>,
    /// Threads; all cores when omitted.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
}

/// `pavlov diagnose`.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// Folder of the run, its name, or `last`.
    pub run: PathBuf,
    /// Train the same reward once more with another learner setting, and compare.
    #[arg(long)]
    pub second: bool,
    /// A setting of the second learner; another discount, rate and net when omitted. May be given again.
    #[arg(long, value_name = "KEY=VALUE", requires = "second")]
    pub set: Vec<String>,
    /// Environment steps of the second run; as many as the run's when omitted.
    #[arg(long, value_name = "N", value_parser = count, requires = "second")]
    pub steps: Option<u64>,
    /// Threads; all cores when omitted.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
}
