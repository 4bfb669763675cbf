//! Cargo heeds dependencies of a build script only where there is one.

fn main() {}
