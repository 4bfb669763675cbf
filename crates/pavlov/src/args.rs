//! The command line: every command, option and example. `--help`, errors and completions all come from here; the
//! arguments of `bench`, `prefs`, `search`, `vision` and the commands about rewards are in files of their own.

use crate::arg_values::{Engine, count, positive, size, threads};
use crate::bench_args::Bench;
use crate::prefs_args::Prefs;
use crate::reward_args::{Check, Compare, Diagnose, Rescore, Rewards, Tune};
use crate::search_args::Search;
use crate::vision_args::Vision;
use clap::{Args, Parser, Subcommand};
use pavlov_env::{BackendKind, Profile};
use pavlov_run::{Device, Which};
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "pavlov",
    version,
    about = "A workbench for robot reward design: train, evaluate, check and measure without a window",
    after_help = "Examples:\n  pavlov train cartpole_balance\n  \
                  pavlov train ant_run --minutes 5 --set learning_rate=1e-3 --set reward.forward=2\n  pavlov runs\n  \
                  pavlov eval last --episodes 50\n  pavlov check my_reward.rhai --task ant_run --parity 1000\n  \
                  pavlov bench env --task gym/ant --profile accurate\n\n\
                  Exit codes: 0 done, 1 failed while running, 2 wrong use or bad input.",
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Folder searched first for tasks, rewards and robots.
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Folder that task, reward and robot files may name files in, beside their own and the project around them; can be
    /// given several times.
    #[arg(long, global = true, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// Folder of runs.
    #[arg(long, global = true, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tasks.
    Tasks,
    /// List the rewards, make or check them, or print what they may use.
    #[command(after_help = "Examples:\n  pavlov rewards list --task ant_run\n  \
          pavlov rewards new ant_run/mine --from ant_run/default\n  pavlov rewards check\n  \
          pavlov rewards doc\n\n\
          Rewards are folders in `rewards/` of the workspace and in ~/.config/pavlov/rewards.")]
    Rewards(Rewards),
    /// List the robots.
    Robots,
    /// List the runs.
    Runs,
    /// List the devices that can compute: the processor and the GPU adapters.
    Devices,
    /// Train a policy on a task.
    #[command(after_help = "Examples:\n  pavlov train cartpole_balance\n  \
          pavlov train ant_run --reward my_reward.rhai --seed 3 --steps 5M\n  \
          pavlov train ant_run --minutes 10 --set worlds=512 --set reward.forward=2 --out runs/fast\n  \
          pavlov train ant_run --device gpu --worlds 4096\n\n\
          Any setting of the learner can be set by name (`--set learning_rate=1e-3`), so can the run's own:\n\
          checkpoint_every, keep_checkpoints, eval_every, eval_episodes, target_fitness.\n\
          The same seed gives the same bits for any number of threads; a limit in minutes does not repeat.")]
    Train(Train),
    /// Continue a run from its newest checkpoint.
    #[command(
        after_help = "Examples:\n  pavlov resume last\n  pavlov resume runs/ant_run-20261103-142501-0 --steps 20M"
    )]
    Resume(Resume),
    /// Show the state of a run.
    Show(OneRun),
    /// Write policy.onnx and policy.json of a run.
    Export(Export),
    /// Play the deterministic policy of a run, on the processor, and report how well it does.
    #[command(after_help = "Examples:\n  pavlov eval last --episodes 50\n  \
          pavlov eval runs/x --checkpoint best --seed 7 --json")]
    Eval(Eval),
    /// Check a reward before it costs a run: the script, its values, and what it pays good and bad behaviours.
    #[command(after_help = "Examples:\n  pavlov check ant_run/default\n  \
          pavlov check my_reward.rhai --task ant_run --parity 5000 --json\n  \
          pavlov check --explain idle-pay\n\nThe exit code is 2 when a finding is an error.")]
    Check(Check),
    /// Evaluate another reward on what a run has kept: per term, in total, and which rollouts change places.
    #[command(after_help = "Examples:\n  pavlov rescore last --reward my_reward.rhai\n  \
          pavlov rescore last --reward ant_run/default --list --json")]
    Rescore(Rescore),
    /// Compare rewards without training: STARC and EPIC distances, rank correlations, what they disagree about.
    #[command(after_help = "Examples:\n  pavlov compare ant_run/default my_reward.rhai\n  \
          pavlov compare a.rhai b.rhai c.rhai --task ant_run --on last --json")]
    Compare(Compare),
    /// Look at a finished run: is fitness still following the reward, and what does the robot do for it?
    #[command(after_help = "Examples:\n  pavlov diagnose last\n  pavlov diagnose last --second\n  \
          pavlov diagnose last --second --set gamma=0.95 --steps 2M")]
    Diagnose(Diagnose),
    /// Search the parameters of a reward for the best fitness: variants are trained side by side.
    #[command(
        after_help = "Examples:\n  pavlov tune ant_run --param forward --param alive --variants 8 --generations 6\n  \
                            pavlov tune hopper_hop --method halving --variants 16 --steps 500k --write tuned"
    )]
    Tune(Tune),
    /// Search for a reward: by the embedded grammar, by a language model, or with a person who chooses.
    #[command(after_help = "Examples:\n  pavlov search cartpole_swingup\n  \
          pavlov search ant_run --base-url http://127.0.0.1:8080/v1 --model NAME --record ant.jsonl\n  \
          pavlov search ant_run --replay ant.jsonl\n  pavlov search hopper_hop --mode icpl\n  \
          pavlov search ant_run --mode drop-in --scripts mine.rhai other.rhai\n  \
          pavlov search show runs/search-ant_run-0\n  \
          pavlov search promote runs/search-ant_run-0 --name found\n\n\
          The key of an endpoint is read from PAVLOV_API_KEY or the system's keyring (service pavlov, \
          user api-key).")]
    Search(Box<Search>),
    /// Draw what a run recorded as a picture, a film strip or a film.
    #[command(after_help = "Examples:\n  pavlov render last --gif gait.gif\n  \
          pavlov render last --mp4 gait.mp4 --camera side --size 1280x720 --speed 0.5\n  \
          pavlov render last --png strip.png --frames 6 --size 224x224\n  \
          pavlov render last --png top.png --camera top --time 2.5\n\n\
          Needs a Vulkan, Metal or DX12 adapter; one in software is enough.")]
    Render(Render),
    /// Score pictures by a vision-language model, audit prompts, list models.
    #[command(after_help = "Examples:\n  \
          pavlov vision score last --goal \"a humanoid robot kneeling\" \
          --baseline \"a humanoid robot\"\n  \
          pavlov vision score pictures/ --goal \"a red cube on a table\" --model models/clip-vit-b32\n  \
          pavlov vision audit runs/a runs/b --out audit\n  pavlov vision models\n\n\
          Models are folders with a vision.toml; \
          the README of crates/pavlov-vision has the steps for CLIP, OpenCLIP and SigLIP.\n\
          ONNX files run by the library in ORT_DYLIB_PATH, an installed onnxruntime package, \
          or the built-in rten.")]
    Vision(Vision),
    /// Learn from people: label pairs of segments, train models on the labels.
    #[command(after_help = crate::prefs_args::EXAMPLES)]
    Prefs(Box<Prefs>),
    /// Describe a robot file.
    Inspect(Inspect),
    /// Physical quantities of a robot in given states.
    #[command(after_help = "Each input line: {\"qpos\":[...],\"qvel\":[...],\"ctrl\":[...]}; \
          qvel and ctrl may be left out (zero).\n\
          Each output line: qM, qfrc_bias, qacc_smooth, contacts, qacc, qpos_next, qvel_next.\n\n\
          Example:\n  echo '{\"qpos\":[0.1,0.2]}' | pavlov probe cartpole --states -")]
    Probe(Probe),
    /// Measure how fast this machine is.
    #[command(after_help = "Examples:\n  pavlov bench physics --robot humanoid --profile accurate\n  \
          pavlov bench env --task gym/ant --json\n  pavlov bench script --task ant_run\n  \
          pavlov bench learn --task ant_run\n  pavlov bench env --task gym/ant --device gpu --worlds 4096")]
    Bench(Bench),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  pavlov completions bash > ~/.local/share/bash-completion/completions/pavlov")]
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
}

/// `pavlov train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Task: a name (see `pavlov tasks`) or a TOML file.
    pub task: String,
    /// Reward: a name, a folder or a .rhai file; the task's own when omitted.
    #[arg(long, value_name = "NAME|PATH")]
    pub reward: Option<String>,
    /// Seed of worlds, nets and actions.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Worlds stepped at the same time.
    #[arg(long, value_name = "N")]
    pub worlds: Option<usize>,
    /// Environment steps to train for (1M, 5e6, 20000).
    #[arg(long, value_name = "N", value_parser = count)]
    pub steps: Option<u64>,
    /// Minutes to train for; without --steps in place of the task's own number of steps.
    #[arg(long, value_name = "M", value_parser = positive)]
    pub minutes: Option<f64>,
    /// Solver profile: accurate (the default) or fast.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,
    /// Threads; all cores when omitted. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Find each `quantile` of the reward with the policy of this run (folder, name or `last`) instead of random
    /// actions.
    #[arg(long, value_name = "RUN")]
    pub calibrate: Option<PathBuf>,
    /// Begin with the newest policy and critic of this run (folder, name or `last`): the same robot, another reward or
    /// more of the same.
    #[arg(long, value_name = "RUN")]
    pub from: Option<PathBuf>,
    /// A setting by name; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of this run, instead of one with a name of its own in the folder of runs.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What computes.
    #[command(flatten)]
    pub engine: Engine,
}

/// `pavlov resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// Folder of the run, its name, or `last`.
    pub run: PathBuf,
    /// Environment steps in all, instead of the run's own limit.
    #[arg(long, value_name = "N", value_parser = count)]
    pub steps: Option<u64>,
    /// Minutes in all, instead of the run's own limit.
    #[arg(long, value_name = "M", value_parser = positive)]
    pub minutes: Option<f64>,
    /// Threads; all cores when omitted.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Another device: cpu, gpu or gpu:INDEX. Worlds do not carry over between processor and GPU: new episodes begin.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Device>,
}

/// A run.
#[derive(Debug, Args)]
pub struct OneRun {
    /// Folder of the run, its name, or `last`.
    pub run: PathBuf,
}

/// `pavlov export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Folder of the run, its name, or `last`.
    pub run: PathBuf,
    /// last, best, or a number of updates.
    #[arg(long, default_value = "last", value_name = "WHICH")]
    pub checkpoint: Which,
    /// Write only a small file with the policy, for audit sets (`assets/audit`).
    #[arg(long, value_name = "FILE")]
    pub compact: Option<PathBuf>,
}

/// `pavlov eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// Folder of the run, its name, or `last`.
    pub run: PathBuf,
    /// Episodes, each in a world of its own.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub episodes: u64,
    /// Seed of the worlds; one that training does not use when omitted.
    #[arg(long)]
    pub seed: Option<u64>,
    /// last, best, or a number of updates.
    #[arg(long, default_value = "last", value_name = "WHICH")]
    pub checkpoint: Which,
    /// Another solver profile than the run's.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,
    /// Other physics than the run's: batch, or rapier.
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<BackendKind>,
    /// Threads; all cores when omitted.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Print every episode, not only means.
    #[arg(long)]
    pub list: bool,
}

/// `pavlov render`.
#[derive(Debug, Args)]
pub struct Render {
    /// Folder of the run, its name, or `last`; or a clip (a .jsonl file).
    pub run: PathBuf,
    /// A picture at --time, or with --frames a strip of several.
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// A film in 256 colours. Without any file asked for: a GIF beside the clip.
    #[arg(long, value_name = "FILE")]
    pub gif: Option<PathBuf>,
    /// A film as animated PNG.
    #[arg(long, value_name = "FILE")]
    pub apng: Option<PathBuf>,
    /// A film in H.264.
    #[arg(long, value_name = "FILE")]
    pub mp4: Option<PathBuf>,
    /// Clip of the run: a name in its clips/ (`final`), or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub clip: Option<PathBuf>,
    /// track, side, front, back, top, fixed, or AZIMUTH,ELEVATION[,ZOOM] in degrees.
    #[arg(long, default_value = "track", value_name = "CAMERA", allow_hyphen_values = true)]
    pub camera: String,
    /// Pixels of a picture, of each one in a strip.
    #[arg(long, default_value = "480x360", value_name = "WxH", value_parser = size)]
    pub size: (u32, u32),
    /// Pictures a second of a film.
    #[arg(long, default_value_t = 25.0, value_name = "N", value_parser = positive)]
    pub fps: f64,
    /// How fast the clip plays; 0.5 is slow motion.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = positive)]
    pub speed: f64,
    /// Where the film or strip begins, seconds into the clip.
    #[arg(long, default_value_t = 0.0, value_name = "S")]
    pub start: f64,
    /// Seconds of the clip in the film or strip; 10 at most when omitted.
    #[arg(long, value_name = "S", value_parser = positive)]
    pub seconds: Option<f64>,
    /// Time of the picture, seconds into the clip; its middle when omitted.
    #[arg(long, value_name = "S", conflicts_with = "frames")]
    pub time: Option<f64>,
    /// Pictures in a row, evenly over the time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=64))]
    pub frames: Option<u32>,
    /// Ground: checker, dark, grid, stripes, sand, asphalt, grass, plain.
    #[arg(long, default_value = "checker", value_name = "GROUND")]
    pub ground: String,
    /// Light: day, evening, overcast, night, right.
    #[arg(long, default_value = "day", value_name = "LIGHT")]
    pub light: String,
    /// gpu or gpu:INDEX (see `pavlov devices`).
    #[arg(long, default_value = "gpu", value_name = "DEVICE")]
    pub device: Device,
}

/// `pavlov inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Robot file, or a name in `assets/robots`.
    pub robot: String,
}

/// `pavlov probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// Robot file, or a name in `assets/robots`.
    pub robot: String,
    /// JSON lines of states; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub states: PathBuf,
    /// In f32 lanes, eight states at a time, instead of f64.
    #[arg(long, conflicts_with_all = ["gpu", "rapier"])]
    pub lanes: bool,
    /// On the GPU.
    #[arg(long, conflicts_with = "rapier")]
    pub gpu: bool,
    /// By rapier.
    #[arg(long)]
    pub rapier: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_does_not_exist_says_so() {
        for (arguments, word) in [
            (["pavlov", "train", "x", "--backend", "bullet"], "expected"),
            (["pavlov", "train", "x", "--device", "gpu:x"], "expected"),
            (["pavlov", "train", "x", "--profile", "fats"], "expected"),
        ] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(word), "{error}");
        }
        assert!(Cli::try_parse_from(["pavlov", "eval", "last", "--checkpoint", "best", "--json"]).unwrap().json);
    }
}
