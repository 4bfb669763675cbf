//! One control step of all live worlds, as the scene and the plots show it. m, rad, s, N; `[world, k]` row-major.

use std::sync::Arc;

/// Names of the columns of [`Frame::nodes`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Nodes of the reward graph, in its order: the script's terms first, then what the graph makes of them; `total` is
    /// the last.
    pub nodes: Vec<String>,
    /// How many of them, from the first, are terms as they enter the total: what stacked plots and shares are made of.
    pub terms: usize,
}

/// Where two shapes touch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContactShown {
    /// World.
    pub world: usize,
    /// Point in the world, m.
    pub position: [f32; 3],
    /// Force on the second shape, world axes, N.
    pub force: [f32; 3],
}

/// What one control step led to.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Control steps since the worlds were made.
    pub serial: u64,
    /// The same in seconds of simulated time.
    pub time: f64,
    /// Which reward scored it: counts up with every change of script or parameters.
    pub reward_version: u64,
    /// Names of the nodes.
    pub names: Arc<Names>,
    /// Number of worlds.
    pub worlds: usize,
    /// `[worlds, nq]`, after the step and, where an episode ended, after the reset.
    pub qpos: Vec<f32>,
    /// `[worlds, nv]`.
    pub qvel: Vec<f32>,
    /// `[worlds, nodes]` of the step.
    pub nodes: Vec<f32>,
    /// Total reward of the step `[worlds]`.
    pub total: Vec<f32>,
    /// Fitness of the step `[worlds]`: the task's, not part of the reward.
    pub fitness: Vec<f32>,
    /// Success now `[worlds]`: the task's, not part of the reward.
    pub success: Vec<bool>,
    /// Did an episode end in this step? `[worlds]`
    pub ended: Vec<bool>,
    /// Control steps since the reset `[worlds]`.
    pub episode_step: Vec<u32>,
    /// Command `[worlds, commands]`.
    pub command: Vec<f32>,
    /// Contacts, when they were asked for.
    pub contacts: Vec<ContactShown>,
    /// The first failure of the reward in this step, in words: term, world, step, value.
    pub trouble: Option<String>,
}

impl Frame {
    /// Node `node` in a world.
    pub fn node(&self, world: usize, node: usize) -> f32 {
        self.nodes[world * self.names.nodes.len() + node]
    }

    /// Mean and standard deviation (of the population) of a node over the worlds.
    pub fn spread(&self, node: usize) -> (f32, f32) {
        let values = (0..self.worlds).map(|w| f64::from(self.node(w, node)));
        let (mean, variance) = pavlov_common::stats::moments(values).unwrap_or_default();
        (mean as f32, variance.sqrt() as f32)
    }
}
