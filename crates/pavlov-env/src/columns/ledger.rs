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

/// A sum over steps of all worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    Reward,
    BadTerms,
    Nonfinite,
    Node(usize),
    /// Of a node's squares.
    Square(usize),
    Metric(usize),
}

impl Sum {
    /// Every sum, in the order in which a device keeps them.
    pub fn all(nodes: usize, metrics: usize) -> impl Iterator<Item = Self> {
        let single = [Self::Reward, Self::BadTerms, Self::Nonfinite].into_iter();
        let of_nodes = (0..nodes).map(Self::Node).chain((0..nodes).map(Self::Square));
        single.chain(of_nodes).chain((0..metrics).map(Self::Metric))
    }

    /// Its place in that order.
    pub fn place(self, nodes: usize) -> usize {
        match self {
            Self::Reward => 0,
            Self::BadTerms => 1,
            Self::Nonfinite => 2,
            Self::Node(n) => 3 + n,
            Self::Square(n) => 3 + nodes + n,
            Self::Metric(m) => 3 + 2 * nodes + m,
        }
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
    /// All sums at 0.
    pub(crate) fn new(nodes: usize, metrics: usize) -> Self {
        let zeros = |n| vec![0.0; n];
        Self { terms: zeros(nodes), terms_squared: zeros(nodes), metrics: zeros(metrics), ..Self::default() }
    }

    /// Adds a number to a sum.
    #[inline]
    pub(crate) fn tally(&mut self, sum: Sum, value: f64) {
        match sum {
            Sum::Reward => self.reward += value,
            Sum::BadTerms => self.bad_terms += value as u64,
            Sum::Nonfinite => self.nonfinite += value as u64,
            Sum::Node(n) => self.terms[n] += value,
            Sum::Square(n) => self.terms_squared[n] += value,
            Sum::Metric(m) => self.metrics[m] += value,
        }
    }

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

/// What an environment has to tell: finished episodes, sums over steps, and the first number that went wrong.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Finished episodes since they were last cleared.
    pub log: EpisodeLog,
    /// Sums over steps since they were last cleared.
    pub stats: StepStats,
    /// The first reward term that was not finite, if one ever was.
    pub bad: Option<BadValue>,
}
