//! What an environment is made with and what it looks like from outside.

pub use pavlov_common::StepOut;

/// Worlds in a block: eight lane groups. Fixed, so that sums are added in the same order whatever the machine.
pub const BLOCK_WORLDS: usize = 64;

/// Solver profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Tolerance-driven; matches MuJoCo.
    #[default]
    Accurate,
    /// Few iterations, Euler in place of RK4, and what the task's `[physics.fast]` says.
    Fast,
}

impl Profile {
    /// `accurate` or `fast`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accurate => "accurate",
            Self::Fast => "fast",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "accurate" => Ok(Self::Accurate),
            "fast" => Ok(Self::Fast),
            _ => Err(format!("no solver profile `{text}`: expected `accurate` or `fast`")),
        }
    }
}

/// What steps the worlds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// The batch engine: MuJoCo's semantics, eight worlds in a lane.
    #[default]
    Batch,
    /// rapier's multibodies, one world at a time.
    Rapier,
}

impl BackendKind {
    /// `batch` or `rapier`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Rapier => "rapier",
        }
    }
}

impl std::str::FromStr for BackendKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "batch" => Ok(Self::Batch),
            "rapier" => Ok(Self::Rapier),
            _ => Err(format!("no backend `{text}`: expected `batch` or `rapier`")),
        }
    }
}

/// How many worlds, of what seed, solved how.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvOptions {
    /// Number of worlds; rounded up to full lanes inside, never outside.
    pub worlds: usize,
    /// Seed of every random number of every world.
    pub seed: u64,
    /// Solver profile.
    pub profile: Profile,
    /// What steps the worlds.
    pub backend: BackendKind,
    /// Start each world's first episode as if it were already some steps old, so that time limits do not strike all worlds at once.
    /// For training; evaluation leaves it off.
    pub stagger: bool,
    /// Observation noise, pushes and randomisation as the task says; off gives the nominal robot.
    pub disturb: bool,
    /// So many worlds, one after another, share their random numbers: they begin each episode alike and meet the same commands and pushes, so
    /// that what differs between them is what they do. 1: each has its own. A divisor of [`BLOCK_WORLDS`].
    pub siblings: usize,
}

impl Default for EnvOptions {
    fn default() -> Self {
        Self {
            worlds: BLOCK_WORLDS,
            seed: 0,
            profile: Profile::Accurate,
            backend: BackendKind::Batch,
            stagger: false,
            disturb: true,
            siblings: 1,
        }
    }
}

/// One named term of the observation and its columns in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObsTerm {
    /// Name.
    pub name: String,
    /// Columns of the row.
    pub columns: std::ops::Range<usize>,
    /// Is it seen by the critic only?
    pub critic: bool,
}
