//! No code. Cargo compiles a crate once for each set of features in which it is wanted, and all that uses it as often.
//! Here are the features that the studio or the tests want of crates that `pavlov` has too, so that all three want the
//! same. `.ci/features` checks it.
