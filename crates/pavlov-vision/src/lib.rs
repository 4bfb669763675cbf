//! Vision-language rewards.

pub mod dataset;
