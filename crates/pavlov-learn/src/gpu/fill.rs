//! Turns what the device left into the samples of training: transposed, observations normalised, episodes counted.
//!
//! Worlds are taken in chunks of a fixed size and statistics merged in their order, so that nothing depends on threads.

use super::DeviceRollout;
use crate::error::LearnError;
use crate::net::Workspace;
use crate::normal::Gather;
use crate::ppo::same;
use crate::rollout::{Carried, Gathered, Part, Rollout, Shared, parts};
use rayon::prelude::*;

/// Worlds of a chunk.
const CHUNK: usize = 64;

/// All that was read back, `[...][worlds]`.
#[derive(Debug)]
pub struct ReadBack {
    /// Of the environment.
    pub env: DeviceRollout,
    /// `[horizon][act][worlds]`.
    pub action: Vec<f32>,
    /// `[horizon][act][worlds]`.
    pub mean: Vec<f32>,
    /// `[horizon][worlds]`.
    pub log_prob: Vec<f32>,
    /// `[horizon + 1][worlds]`.
    pub value: Vec<f32>,
}

/// Fills rollout and carried numbers.
pub fn fill(
    read: &ReadBack,
    shared: &Shared<'_>,
    carried: &mut Carried,
    rollout: &mut Rollout,
) -> Result<Vec<Gathered>, LearnError> {
    let worlds = carried.discounted.len();
    let (horizon, row, act) = (shared.horizon, shared.row, shared.model.act);
    let samples = horizon * worlds;
    let env = &read.env;
    same("the length of the observations of a device", env.obs.len(), (samples + worlds) * row)?;
    same("the length of the rewards of a device", env.reward.len(), samples)?;
    same("the length of the ends of episodes of a device", env.ended.len(), samples)?;
    same("the length of the final observations of a device", env.final_obs.len(), env.slots * row * worlds)?;
    for (found, expected) in [
        (read.action.len(), samples * act),
        (read.mean.len(), samples * act),
        (read.log_prob.len(), samples),
        (read.value.len(), samples + worlds),
    ] {
        same("the length of what the nets of a device gave", found, expected)?;
    }
    let chunks = (0..worlds).step_by(CHUNK).map(|first| ((), CHUNK.min(worlds - first)));
    let parts = parts(chunks, shared, carried, rollout);
    parts.into_par_iter().map(|part| part.fill(shared, read, worlds)).collect()
}

impl Part<'_, ()> {
    fn fill(mut self, shared: &Shared<'_>, read: &ReadBack, all_worlds: usize) -> Result<Gathered, LearnError> {
        let (row, act, horizon) = (shared.row, shared.model.act, shared.horizon);
        let (worlds, first) = (self.last_value.len(), self.first_world);
        let mut work = Workspace::default();
        let mut raw = vec![0.0f32; worlds * row];
        let mut x = vec![0.0f32; worlds * row];
        let mut seen_obs = Gather::new(row);
        // Ends by a time limit so far: the slots of final observations.
        let mut slots = vec![0usize; worlds];
        let mut cut = Vec::with_capacity(worlds);
        // Rows `[worlds, columns]` of what lies as `[..][columns][all]`, from slice `at` on.
        let rows = |from: &[f32], at: usize, columns: usize, to: &mut [f32]| {
            for c in 0..columns {
                let column = &from[(at * columns + c) * all_worlds + first..][..worlds];
                column.iter().enumerate().for_each(|(w, &v)| to[w * columns + c] = v);
            }
        };
        let mut actions = vec![0.0f32; 2 * worlds * act];
        for t in 0..horizon {
            rows(&read.env.obs, t, row, &mut raw);
            let (action, mean) = actions.split_at_mut(worlds * act);
            rows(&read.action, t, act, action);
            rows(&read.mean, t, act, mean);
            cut.clear();
            for w in 0..worlds {
                let (sample, at) = (w * horizon + t, t * all_worlds + first + w);
                let raw = &raw[w * row..][..row];
                seen_obs.add(raw);
                shared.frozen.apply(raw, &mut self.obs[sample * row..][..row]);
                self.action[sample * act..][..act].copy_from_slice(&action[w * act..][..act]);
                self.mean[sample * act..][..act].copy_from_slice(&mean[w * act..][..act]);
                (self.log_prob[sample], self.value[sample]) = (read.log_prob[at], read.value[at]);
                let (reward, ended) = (read.env.reward[at], read.env.ended[at]);
                (self.reward[sample], self.done[sample], self.after[sample]) = (reward, ended != 0.0, 0.0);
                self.tally.step(w, f64::from(reward), ended != 0.0);
                if ended == 2.0 {
                    if slots[w] >= read.env.slots {
                        let size = "the number of time limits of a world in a rollout";
                        return Err(LearnError::Shape { size, found: slots[w] + 1, expected: read.env.slots });
                    }
                    let at = slots[w] * row * all_worlds + first + w;
                    slots[w] += 1;
                    let to = &mut x[cut.len() * row..][..row];
                    let last: Vec<f32> = (0..row).map(|c| read.env.final_obs[at + c * all_worlds]).collect();
                    shared.frozen.apply(&last, to);
                    cut.push(w);
                }
            }
            if !cut.is_empty() {
                for (&w, value) in cut.iter().zip(shared.values(&x, cut.len(), &mut work)) {
                    self.after[w * horizon + t] = value;
                }
            }
        }
        rows(&read.env.obs, horizon, row, self.current);
        self.last_value.copy_from_slice(&read.value[horizon * all_worlds + first..][..worlds]);
        Ok(self.tally.finish(&seen_obs))
    }
}
