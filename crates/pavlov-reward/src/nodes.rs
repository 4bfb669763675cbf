//! What a reward graph is made of, as others see it: nodes, numbers that the host sets, constraints, sources outside of
//! the program.

use toml::Table;

/// Name of the reward itself among the nodes.
pub const TOTAL: &str = "total";

/// A source that is outside of the program: its column is computed by a [`crate::RewardSource`].
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    /// Name of the term it gives.
    pub name: String,
    /// Name that [`crate::register_source`] knows it by.
    pub plugin: String,
    /// Options from the manifest.
    pub options: Table,
}

/// What a number that the host sets between updates is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HostKind {
    /// The learner's discount.
    Discount,
    /// Running mean of a node.
    Mean {
        /// The node.
        node: usize,
    },
    /// One over the running deviation of a node.
    InverseStd {
        /// The node.
        node: usize,
    },
    /// A quantile of a node under a base policy.
    Reference {
        /// The node.
        node: usize,
        /// The quantile, 0 to 1.
        quantile: f64,
    },
    /// 1 for the member of least deviation of its ensemble, else 0.
    Nominal {
        /// The member.
        node: usize,
        /// Numbers with the same ensemble belong together.
        ensemble: usize,
    },
    /// Multiplier of a constraint.
    Multiplier {
        /// Index in [`RewardGraph::constraints`].
        constraint: usize,
    },
}

/// A number that the host sets between updates.
#[derive(Debug, Clone, PartialEq)]
pub struct HostNumber {
    /// Name in logs.
    pub name: String,
    /// What it is.
    pub kind: HostKind,
    /// Its value at the start.
    pub start: f64,
}

/// On which side of its threshold a mean must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Not below.
    AtLeast,
    /// Not above.
    AtMost,
    /// On it.
    Equal,
}

/// A threshold on the mean of a node per step.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    /// Name of the node.
    pub name: String,
    /// The node.
    pub node: usize,
    /// Side.
    pub side: Side,
    /// Threshold.
    pub threshold: f64,
    /// Step of the multiplier.
    pub rate: f64,
    /// Largest multiplier.
    pub limit: f64,
    /// Updates at the limit before it is reported.
    pub patience: f64,
}

/// A part of the reward that has a critic of its own: the objectives together, or one constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriticPart {
    /// Node whose value is its reward.
    pub node: usize,
    /// Index in [`RewardGraph::constraints`]; none for the objectives.
    pub constraint: Option<usize>,
}

/// The graph of a reward: which outputs of its program are what.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardGraph {
    /// Names of all nodes: terms of the script, sources, transforms, groups, total. Outputs of the program stand in
    /// this order.
    pub nodes: Vec<String>,
    /// How many of them are terms before any transform: of the script and of the sources.
    pub terms: usize,
    /// Output (after the nodes) with what a step adds to the reward of the step before it; see [`crate::Reward::late`].
    pub late: Option<usize>,
    /// Numbers that the host sets.
    pub host: Vec<HostNumber>,
    /// Thresholds.
    pub constraints: Vec<Constraint>,
    /// Parts of the reward with a critic each, the objectives first; none when there is one critic for the total.
    pub critics: Vec<CriticPart>,
    /// Sources outside of the program; column `k` is [`Channel::Source`]`(k)`.
    pub sources: Vec<SourceSpec>,
    /// Terms that reach neither the total nor another node.
    pub unused: Vec<String>,
}
