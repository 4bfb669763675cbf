//! What an environment tells about itself besides observation and reward.

/// One finished episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// World, counted over the whole environment.
    pub world: usize,
    /// How many episodes of this world ended before this one.
    pub index: u32,
    /// Control steps it took.
    pub length: u32,
    /// Sum of rewards.
    pub reward: f64,
    /// Fitness, reduced over the episode as the task says.
    pub fitness: f64,
    /// Did the task's success hold for the share of the time limit that the task asks for?
    pub success: bool,
    /// Ended by the task's termination (false: by the time limit).
    pub terminated: bool,
    /// The state became non-finite; the episode was cut there, and its last reward is 0.
    pub nonfinite: bool,
}

/// Finished episodes since they were last taken, with per-term sums stored flat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpisodeLog {
    /// The episodes, in the order in which they ended within a block (by step, then by world).
    pub episodes: Vec<Episode>,
    /// Sums of the nodes of the reward (terms first, the total last), `[episode][node]`.
    pub term_sums: Vec<f64>,
    /// Means over the steps of the task's diagnostic metrics, `[episode][metric]`.
    pub metrics: Vec<f64>,
}

impl EpisodeLog {
    /// Empties the log, keeping its memory.
    pub fn clear(&mut self) {
        self.episodes.clear();
        self.term_sums.clear();
        self.metrics.clear();
    }

    /// Appends another block's log.
    pub fn extend(&mut self, other: &EpisodeLog) {
        self.episodes.extend_from_slice(&other.episodes);
        self.term_sums.extend_from_slice(&other.term_sums);
        self.metrics.extend_from_slice(&other.metrics);
    }
}

/// Sums over world-steps since they were last taken. They are added in a fixed order, so they do not depend on threads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepStats {
    /// Steps summed over worlds.
    pub world_steps: u64,
    /// Sum of rewards.
    pub reward: f64,
    /// Sum of each node of the reward: terms first, the total last (`Reward::node_names`).
    pub terms: Vec<f64>,
    /// Sum of their squares (for their spread).
    pub terms_squared: Vec<f64>,
    /// Sum of each diagnostic metric.
    pub metrics: Vec<f64>,
    /// Worlds whose state became non-finite and were reset.
    pub nonfinite: u64,
    /// Reward terms that were not finite and counted as 0; see `EnvBlock::bad_value` for the first of them.
    pub bad_terms: u64,
}

impl StepStats {
    /// Adds another block's sums.
    pub fn add(&mut self, other: &StepStats) {
        fn sum(into: &mut Vec<f64>, from: &[f64]) {
            into.resize(into.len().max(from.len()), 0.0);
            for (a, b) in into.iter_mut().zip(from) {
                *a += b;
            }
        }
        self.world_steps += other.world_steps;
        self.reward += other.reward;
        sum(&mut self.terms, &other.terms);
        sum(&mut self.terms_squared, &other.terms_squared);
        sum(&mut self.metrics, &other.metrics);
        self.nonfinite += other.nonfinite;
        self.bad_terms += other.bad_terms;
    }

    /// Sets every sum to zero, keeping memory.
    pub fn clear(&mut self) {
        let Self { world_steps, reward, terms, terms_squared, metrics, nonfinite, bad_terms } = self;
        (*world_steps, *reward, *nonfinite, *bad_terms) = (0, 0.0, 0, 0);
        terms.fill(0.0);
        terms_squared.fill(0.0);
        metrics.fill(0.0);
    }
}

/// The first reward term that was not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct BadValue {
    /// Name of the term.
    pub term: String,
    /// World, counted over the whole environment.
    pub world: usize,
    /// Control step within the episode.
    pub step: u32,
    /// The value (NaN or an infinity).
    pub value: f32,
}
