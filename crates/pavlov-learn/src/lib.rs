//! pavlov-learn
