//! pavlov-physics
