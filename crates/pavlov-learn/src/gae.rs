//! Generalised advantage estimates (Schulman, Moritz, Levine, Jordan, Abbeel 2016), with terminations and time limits
//! told apart.
//!
//! `delta_t = r_t + gamma V' - V_t` with `V' = V_{t+1}` inside an episode, `V(final observation)` where a time limit
//! cut it and 0 where it terminated; `A_t = delta_t + gamma lambda A_{t+1}`, the sum ending with the episode. `return_t
//! = A_t + V_t`.

/// One world's steps, oldest first; all slices have a number per step.
#[derive(Debug, Clone, Copy)]
pub struct Track<'a> {
    /// Rewards in the units of the values.
    pub reward: &'a [f32],
    /// Values of the observations acted on.
    pub value: &'a [f32],
    /// Did the episode end with this step?
    pub done: &'a [bool],
    /// Where it did: value of what would have followed (0 after a termination). Ignored elsewhere.
    pub after: &'a [f32],
    /// Value of the observation after the last step.
    pub last_value: f32,
}

/// Writes advantages and returns.
pub fn gae(track: Track<'_>, gamma: f64, lambda: f64, advantage: &mut [f32], returns: &mut [f32]) {
    let mut sum = 0.0;
    let mut next = f64::from(track.last_value);
    for t in (0..track.reward.len()).rev() {
        let value = f64::from(track.value[t]);
        let (follows, carried) = if track.done[t] { (f64::from(track.after[t]), 0.0) } else { (next, sum) };
        sum = f64::from(track.reward[t]) + gamma * follows - value + gamma * lambda * carried;
        advantage[t] = sum as f32;
        returns[t] = (sum + value) as f32;
        next = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(done: &[bool], after: &[f32], gamma: f64, lambda: f64) -> (Vec<f32>, Vec<f32>) {
        let track = Track { reward: &[1.0, 2.0, 3.0, 4.0], value: &[0.5, 1.0, 1.5, 2.0], done, after, last_value: 2.5 };
        let (mut advantage, mut returns) = (vec![0.0; 4], vec![0.0; 4]);
        gae(track, gamma, lambda, &mut advantage, &mut returns);
        (advantage, returns)
    }

    #[test]
    fn known_answer_without_ends() {
        // gamma = lambda = 1/2. delta = [1 + .5 - .5, 2 + .75 - 1, 3 + 1 - 1.5, 4 + 1.25 - 2] = [1, 1.75, 2.5, 3.25].
        let (advantage, returns) = run(&[false; 4], &[0.0; 4], 0.5, 0.5);
        assert_eq!(advantage, [1.644_531_3, 2.578_125, 3.312_5, 3.25]);
        assert_eq!(returns, [2.144_531_3, 3.578_125, 4.812_5, 5.25]);
    }

    #[test]
    fn known_answer_with_a_termination_and_a_time_limit() {
        // Step 1 ends: delta_1 = 2 + gamma * after - 1, nothing is carried over it.
        let ends = [false, true, false, false];
        let (terminated, _) = run(&ends, &[9.0, 0.0, 9.0, 9.0], 0.5, 0.5);
        assert_eq!(terminated, [1.25, 1.0, 3.312_5, 3.25]);
        let (truncated, _) = run(&ends, &[9.0, 8.0, 9.0, 9.0], 0.5, 0.5);
        assert_eq!(truncated, [2.25, 5.0, 3.312_5, 3.25]);
    }

    #[test]
    fn lambda_one_gives_discounted_returns_and_zero_one_step_targets() {
        let (_, returns) = run(&[false; 4], &[0.0; 4], 1.0, 1.0);
        assert_eq!(returns, [12.5, 11.5, 9.5, 6.5]);
        let (_, targets) = run(&[false; 4], &[0.0; 4], 1.0, 0.0);
        assert_eq!(targets, [2.0, 3.5, 5.0, 6.5]);
    }
}
