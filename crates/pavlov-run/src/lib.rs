//! pavlov-run
