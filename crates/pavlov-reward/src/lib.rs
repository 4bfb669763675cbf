//! pavlov-reward
