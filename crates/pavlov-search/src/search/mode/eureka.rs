//! `eureka`: many candidates an iteration, judged by fitness; the fittest and the statistics of its training go into
//! the next requests. Source: Ma et al., "Eureka: Human-Level Reward Design via Coding Large Language Models", 2023.

use super::Mode;

/// Mode `eureka`.
#[derive(Debug, Clone, Copy)]
pub struct Eureka;

impl Mode for Eureka {
    fn name(&self) -> &'static str {
        "eureka"
    }

    fn about(&self) -> &'static str {
        "Many candidates, fitness, reflection"
    }
}
