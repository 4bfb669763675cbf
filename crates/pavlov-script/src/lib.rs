//! pavlov-script
