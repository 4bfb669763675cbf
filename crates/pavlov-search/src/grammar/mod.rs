//! The embedded generator: rewards by a typed grammar over the table of names, without a model and without a network.
//!
//! ```text
//! table of names + scene + rewards/lib ─ quantity ─ audit set ─> catalogue (scale, correlation with fitness)
//!                                                       + conditions that tell more
//!                                                       catalogue ─ evolve ─> genome ─ render ─> script, manifest
//! ```

mod draw;
mod evolve;
mod gated;
mod genome;
mod quantity;
mod reflect;

pub use draw::Draw;
pub use evolve::{Parent, Proposal, Ways, propose};
pub use genome::{Gene, Genome, SHAPES, Shape};
pub use quantity::{Quantity, enumerate, measure};
pub use reflect::credit;
