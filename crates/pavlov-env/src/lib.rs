//! pavlov-env
