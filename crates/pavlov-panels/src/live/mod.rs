//! Worlds that run while one watches.

mod frame;

pub use frame::{ContactShown, Frame, Names};
