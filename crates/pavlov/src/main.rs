//! The `pavlov` command.
fn main() {}
