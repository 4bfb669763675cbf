//! Recording: the columns scripts could read, kept after every step, so that any reward can be evaluated on them later.
//!
//! Columns are `[channel][64]`, as scripts see them. A world whose episode ends is reset within the step; so there are two sets: the
//! state the step led to ([`Recording::after`]), and the state the world is in now ([`Recording::now`]), which differ where an episode
//! ended.

use super::programs::{Programs, gather};
use crate::columns::layout::Entry;
use crate::columns::store::{Columns, store};
use crate::options::BLOCK_WORLDS;
use crate::plan::sensed::{Needs, Sensed};
use crate::plan::whole::{Origin, Plan};
use crate::stages::sense;
use pavlov_physics::Lane;
use pavlov_script::Channel;

/// Channels being recorded in one block, and their values.
#[derive(Debug)]
pub struct Recording {
    channels: Vec<Channel>,
    now: Vec<f32>,
    after: Vec<f32>,
}

impl Recording {
    /// Of these channels; all zero before the first step.
    pub(crate) fn new(channels: &[Channel]) -> Self {
        let zeros = vec![0.0; channels.len() * BLOCK_WORLDS];
        Self { channels: channels.to_vec(), now: zeros.clone(), after: zeros }
    }

    /// What is recorded, in the order of the columns.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The states the last step led to, `[channel][64]`, before worlds that ended were reset.
    pub fn after(&self) -> &[f32] {
        &self.after
    }

    /// The states the worlds are in, `[channel][64]`; of a new episode where one ended in the last step.
    pub fn now(&self) -> &[f32] {
        &self.now
    }

    /// What must be evaluated for it.
    pub(crate) fn needs(&self) -> Needs {
        Needs::of_channels(&self.channels)
    }

    /// Reads what physics knows, for the worlds of a lane group whose bit is set.
    pub(crate) fn sense(&mut self, plan: &Plan, sensed: &Sensed<'_, Lane>, group: usize, lanes: u8) {
        for (&channel, column) in self.channels.iter().zip(self.now.chunks_exact_mut(BLOCK_WORLDS)) {
            if plan.origin(channel) == Origin::Physics {
                store(column, group, lanes, sense::read(sensed, channel));
            }
        }
    }

    /// Copies what the block keeps.
    pub(crate) fn keep(&mut self, plan: &Plan, kept: &Columns) {
        for (&channel, column) in self.channels.iter().zip(self.now.chunks_exact_mut(BLOCK_WORLDS)) {
            let origin = plan.origin(channel);
            if matches!(origin, Origin::Kept(_) | Origin::Time) {
                gather(plan, kept, &[], (origin, 0), column);
            }
        }
    }

    /// The states of now are those the step led to.
    pub(crate) fn stepped(&mut self, plan: &Plan, kept: &Columns, programs: &Programs) {
        self.keep(plan, kept);
        self.after.copy_from_slice(&self.now);
        // what follows from the task's script belongs to the step, not to the state that a new episode starts from
        for (&channel, column) in self.channels.iter().zip(self.after.chunks_exact_mut(BLOCK_WORLDS)) {
            let entry = match plan.origin(channel) {
                Origin::Terminated => Entry::Terminated,
                Origin::Success => Entry::Success,
                _ => continue,
            };
            let is_true = |world| programs.output(entry, 0, world) != 0.0;
            column.iter_mut().enumerate().for_each(|(w, x)| *x = f32::from(u8::from(is_true(w))));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Assets, Env, EnvOptions, StepOut, Task};
    use pavlov_reward::{Manifest, Reward};
    use pavlov_script::{Channel, Input};
    use std::sync::Arc;

    fn out<'a>(
        obs: &'a mut [f32],
        reward: &'a mut [f32],
        ends: &'a mut [Vec<bool>; 2],
        last: &'a mut [f32],
    ) -> StepOut<'a> {
        let [terminated, truncated] = ends;
        StepOut { obs, reward, terminated, truncated, final_obs: last }
    }

    /// Every term is a channel now or before the step; the recording must say the same, resets included.
    #[test]
    fn the_recording_is_what_scripts_see() {
        let task = Arc::new(Task::load(&Assets::find(None), "go1_velocity").unwrap());
        let text =
            "fn reward(s) { #{ a: s.body(\"trunk\").linvel.x, b: s.prev.body(\"trunk\").pos.z, c: s.feet[1].force.z,
            d: s.prev.action[3], e: s.action[3], f: s.command.vx, g: s.prev.time, h: s.time, i: s.joints[2].torque,
            j: s.prev.command.vx, k: s.body(\"trunk\").force.z } }";
        let reward = Arc::new(Reward::from_text("t", "t.rhai", text, Manifest::default(), task.scene()).unwrap());
        let options = EnvOptions { worlds: 16, seed: 4, stagger: true, ..EnvOptions::default() };
        let mut env = Env::new(task.clone(), reward.clone(), &options).unwrap();
        let mut plain = Env::new(task.clone(), reward.clone(), &options).unwrap();
        let channels = task.scene().recorded();
        let block = &mut env.blocks[0];
        block.record(&channels);
        let (rows, n) = (task.obs_dim() * 16, 16);
        let mut obs = vec![0.0; rows];
        let (mut other, mut final_obs) = (obs.clone(), obs.clone());
        block.reset(&mut obs);
        plain.blocks[0].reset(&mut other);
        let (mut total, mut ended) = (vec![0.0; n], [vec![false; n], vec![false; n]]);
        let place = |c: Channel| channels.iter().position(|k| *k == c).unwrap();
        let mut ends = 0;
        for step in 0..120 {
            let before = block.recording().unwrap().now().to_vec();
            let actions: Vec<f32> = (0..n * task.act_dim()).map(|i| ((i * 7 + step * 3) % 11) as f32 - 5.0).collect();
            plain.blocks[0].step(&actions, out(&mut other, &mut total, &mut ended, &mut final_obs));
            block.step(&actions, out(&mut obs, &mut total, &mut ended, &mut final_obs));
            assert_eq!(obs, other, "recording changes the run");
            ends += (0..n).filter(|&w| ended[0][w] || ended[1][w]).count();
            let after = block.recording().unwrap().after();
            let program = reward.program();
            let inputs: Vec<f32> = program
                .inputs()
                .iter()
                .flat_map(|&Input { channel, prev }| {
                    let from = if prev { &before[..] } else { after };
                    from[place(channel) * 64..place(channel) * 64 + 16].to_vec()
                })
                .collect();
            let mut terms = vec![0.0; program.outputs().len() * 16];
            program.run(16, 16, &inputs, &[], &mut [], &mut program.scratch(), &mut terms).unwrap();
            for world in 0..n {
                let sum = reward.total((0..program.outputs().len()).map(|t| terms[t * 16 + world]));
                assert_eq!(sum, total[world], "step {step}, world {world}");
            }
        }
        assert!(ends > 3, "{ends} episodes ended");
    }
}
