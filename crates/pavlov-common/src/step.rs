//! What a vectorised environment gives a learner for a step: Gymnasium's five, by reference.

/// Where a step of worlds side by side is written. All slices are row-major with a row per world; `row` counts the
/// columns of an observation, those for the policy before those that only a critic sees.
#[derive(Debug)]
pub struct StepOut<'a> {
    /// Next observation `[worlds, row]`; of the new episode where one ended.
    pub obs: &'a mut [f32],
    /// Reward `[worlds]`.
    pub reward: &'a mut [f32],
    /// Did the episode end by the task's own termination (or a state that is not finite)? `[worlds]` The value of what
    /// follows is then zero.
    pub terminated: &'a mut [bool],
    /// Was it cut by a time limit? `[worlds]` Never together with `terminated`; the value of `final_obs` then stands
    /// for what would have followed.
    pub truncated: &'a mut [bool],
    /// Last observation of an episode that ended in this step `[worlds, row]`; other rows may be left as they are.
    pub final_obs: &'a mut [f32],
}
