//! What a task file says, and the task made of it.

pub(crate) mod load;
pub mod schema;
pub(crate) mod text;
