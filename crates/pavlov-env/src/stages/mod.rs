//! The stages of a control step, each written once: functions of the plan and of worlds whose numbers are [`Real`].
//!
//! ```text
//! act ─> push ─> (physics) ─> sense ─> score ─> account ─> command ─> observe ─> finish ─> begin ─> (physics) ─> sense ─> observe
//! ```
//! Who runs them: `lanes` on the processor (eight worlds as a [`pavlov_physics::Lane`]; one after another in `f64` where numbers are
//! drawn or summed up), `gpu` (recorded as kernels), and in tests a reference (one world in `f64`).

pub(crate) mod account;
pub(crate) mod act;
pub(crate) mod begin;
pub(crate) mod command;
pub(crate) mod finish;
pub(crate) mod machine;
pub(crate) mod observe;
pub(crate) mod push;
pub(crate) mod score;
pub(crate) mod sense;

use crate::columns::layout::{Column, Entry};
use crate::columns::ledger::Sum;
use crate::rng::{Draw, Purpose};
use pavlov_physics::Real;

/// Which of a world's streams of random numbers is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// This step of this episode.
    Now,
    /// The beginning of this episode.
    Start,
    /// The beginning of the world's first episode.
    Once,
    /// Entry `entry` of the randomisation, drawn in `every` episode or once.
    Parameter { every: bool, entry: u32 },
}

impl Moment {
    /// Episode and step of the stream, from those of the world.
    pub fn counters<T>(self, episode: T, step: T, whole: impl Fn(u32) -> T) -> (T, T) {
        match self {
            Self::Now => (episode, step),
            Self::Start => (episode, whole(0)),
            Self::Once => (whole(0), whole(0)),
            Self::Parameter { every: true, entry } => (episode, whole(entry)),
            Self::Parameter { every: false, entry } => (whole(0), whole(entry)),
        }
    }
}

/// Worlds that a stage works on: one, eight side by side, or whichever a kernel will run for.
pub(crate) trait Worlds {
    /// A number of each.
    type N: Real;
    /// A stream of random numbers of each.
    type Stream: Draw<N = Self::N>;
    /// A kept number.
    fn get(&self, column: Column) -> Self::N;
    /// Keeps a number.
    fn set(&mut self, column: Column, value: Self::N);
    /// Opens a stream at its beginning.
    fn stream(&self, purpose: Purpose, moment: Moment) -> Self::Stream;
}

/// Worlds that have made a step and whose scripts have run.
pub(crate) trait Stepped: Worlds {
    /// Is the state finite?
    fn alive(&self) -> <Self::N as Real>::Mask;
    /// Output `k` of a script; 0 where the task has no such script.
    fn output(&self, entry: Entry, k: usize) -> Self::N;
    /// The reward, as its terms give it.
    fn total(&self) -> Self::N;
    /// Adds to a sum over all worlds.
    fn tally(&mut self, sum: Sum, value: Self::N);
    /// Keeps the first node of the reward that ever was not finite.
    fn note_bad(&mut self, node: usize, value: Self::N, bad: <Self::N as Real>::Mask);
}

/// Is a script's number true? A NaN is.
pub(crate) fn truth<R: Real>(x: R) -> R::Mask {
    !x.same(R::ZERO)
}
