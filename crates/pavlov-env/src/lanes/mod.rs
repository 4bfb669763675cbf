//! Environments on the processor: blocks of 64 worlds that step together on one thread.

pub(crate) mod block;
mod hand;
pub(crate) mod programs;
pub(crate) mod recording;
mod save;
mod step;
mod watch;
mod worlds;
