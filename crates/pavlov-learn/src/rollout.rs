//! Rollout: every block runs the whole horizon on one thread, the nets running between its steps.
//!
//! Samples are stored by world, then by step: sample `world * horizon + t`, a row of columns per sample. Observations
//! are stored normalised (with the statistics frozen at the start), values in the units of scaled rewards, rewards as
//! the task gave them. With several critics values, rewards and what is made of them are stored by world, then critic,
//! then step: number `(world * critics + critic) * horizon + t`. A block writes its own part only and draws random
//! numbers by the world's place in the whole, so results depend neither on threads nor on the order of blocks.
//! Statistics are gathered per block and merged by the caller in the order of blocks.

use rayon::prelude::*;

use crate::env_block::{EnvBlock, StepOut};
use crate::model::{Gaussian, Model};
use crate::net::Workspace;
use crate::normal::{Frozen, Gather, Moments};
use crate::rng::Rng;

/// Samples of a rollout.
#[derive(Debug, Default)]
pub struct Rollout {
    /// Normalised observations `[samples, row]`.
    pub obs: Vec<f32>,
    /// Actions `[samples, act]`.
    pub action: Vec<f32>,
    /// Means they were drawn about `[samples, act]`.
    pub mean: Vec<f32>,
    /// Log densities of the actions.
    pub log_prob: Vec<f32>,
    /// Values of the observations `[worlds, critics, horizon]`.
    pub value: Vec<f32>,
    /// Rewards `[worlds, critics, horizon]`; scaled by the caller.
    pub reward: Vec<f32>,
    /// Did the episode end with this step?
    pub done: Vec<bool>,
    /// Value of the final observation where a time limit cut the episode, else 0 `[worlds, critics, horizon]`.
    pub after: Vec<f32>,
    /// Value of each world's observation after the last step `[worlds, critics]`.
    pub last_value: Vec<f32>,
    /// Advantages that the policy learns from; with several critics the mix of theirs.
    pub advantage: Vec<f32>,
    /// Advantages of each of several critics `[worlds, critics, horizon]`; empty with one.
    pub of_critics: Vec<f32>,
    /// Targets of the value `[worlds, critics, horizon]`.
    pub returns: Vec<f32>,
}

impl Rollout {
    /// Makes room for `worlds * horizon` samples.
    pub fn fit(&mut self, worlds: usize, horizon: usize, row: usize, act: usize, critics: usize) {
        let samples = worlds * horizon;
        self.obs.resize(samples * row, 0.0);
        self.action.resize(samples * act, 0.0);
        self.mean.resize(samples * act, 0.0);
        [&mut self.log_prob, &mut self.advantage].into_iter().for_each(|v| v.resize(samples, 0.0));
        let of_critics = [&mut self.value, &mut self.reward, &mut self.after, &mut self.returns];
        of_critics.into_iter().for_each(|v| v.resize(samples * critics, 0.0));
        self.of_critics.resize(if critics > 1 { samples * critics } else { 0 }, 0.0);
        self.done.resize(samples, false);
        self.last_value.resize(worlds * critics, 0.0);
    }
}

/// What every world carries from one rollout to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Carried {
    /// Current observations as the environment gave them `[worlds, row]`.
    pub obs: Vec<f32>,
    /// Undiscounted return of the running episodes.
    pub episode_return: Vec<f64>,
    /// Their lengths so far, control steps.
    pub episode_length: Vec<u64>,
    /// Discounted sum of rewards so far, which scales rewards `[worlds, critics]`.
    pub discounted: Vec<f64>,
}

impl Carried {
    /// All zero.
    pub fn new(worlds: usize, row: usize, critics: usize) -> Self {
        Self {
            obs: vec![0.0; worlds * row],
            episode_return: vec![0.0; worlds],
            episode_length: vec![0; worlds],
            discounted: vec![0.0; worlds * critics],
        }
    }

    /// No episode is running.
    pub fn forget(&mut self) {
        self.episode_return.fill(0.0);
        self.episode_length.fill(0);
        self.discounted.fill(0.0);
    }
}

/// What blocks share during a rollout.
#[derive(Debug)]
pub struct Shared<'a> {
    /// Parameters.
    pub model: &'a Model,
    /// Frozen normaliser of observations.
    pub frozen: &'a Frozen,
    /// Value = `value_std * output + value_mean`, of each critic.
    pub value_mean: Vec<f32>,
    /// See `value_mean`.
    pub value_std: Vec<f32>,
    /// Random numbers of actions.
    pub rng: Rng,
    /// Steps of a rollout.
    pub horizon: usize,
    /// Columns of a row.
    pub row: usize,
    /// Discount of the sums that scale rewards.
    pub gamma: f64,
}

/// Statistics that a block gathered.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Of observations acted on.
    pub obs: Moments,
    /// Of discounted sums of rewards.
    pub discounted: Moments,
    /// Sum of all rewards.
    pub reward_sum: f64,
    /// Episodes finished, sum of their returns, sum of their lengths.
    pub episodes: u64,
    /// Sum of their returns.
    pub return_sum: f64,
    /// Lowest return.
    pub return_min: f64,
    /// Highest return.
    pub return_max: f64,
    /// Sum of their lengths, control steps.
    pub length_sum: u64,
}

/// Some worlds (a block of them) with their part of everything.
pub(crate) struct Part<'a, B> {
    pub block: B,
    pub first_world: usize,
    pub obs: &'a mut [f32],
    pub action: &'a mut [f32],
    pub mean: &'a mut [f32],
    pub log_prob: &'a mut [f32],
    pub value: &'a mut [f32],
    pub reward: &'a mut [f32],
    pub done: &'a mut [bool],
    pub after: &'a mut [f32],
    pub last_value: &'a mut [f32],
    pub current: &'a mut [f32],
    pub tally: Tally<'a>,
}

/// The running episodes of some worlds, and the statistics of those that end.
pub(crate) struct Tally<'a> {
    episode_return: &'a mut [f64],
    episode_length: &'a mut [u64],
    discounted: &'a mut [f64],
    /// One row of discounted sums.
    seen: Vec<f32>,
    gamma: f64,
    seen_sum: Gather,
    out: Gathered,
}

impl Tally<'_> {
    /// Takes in a step's reward; `done` ends the episode.
    pub fn step(&mut self, w: usize, reward: f64, done: bool) {
        self.step_each(w, reward, [reward], done);
    }

    /// As [`Tally::step`], with the rewards of all critics.
    pub fn step_each(&mut self, w: usize, reward: f64, of_critics: impl IntoIterator<Item = f64>, done: bool) {
        let out = &mut self.out;
        out.reward_sum += reward;
        self.episode_return[w] += reward;
        self.episode_length[w] = self.episode_length[w].saturating_add(1);
        let discounted = &mut self.discounted[w * self.seen.len()..][..self.seen.len()];
        for ((sum, seen), reward) in discounted.iter_mut().zip(&mut self.seen).zip(of_critics) {
            *sum = self.gamma * *sum + reward;
            *seen = *sum as f32;
        }
        self.seen_sum.add(&self.seen);
        if done {
            out.episodes += 1;
            out.return_sum += self.episode_return[w];
            out.return_min = out.return_min.min(self.episode_return[w]);
            out.return_max = out.return_max.max(self.episode_return[w]);
            out.length_sum = out.length_sum.saturating_add(self.episode_length[w]);
            self.episode_return[w] = 0.0;
            self.episode_length[w] = 0;
            discounted.fill(0.0);
        }
    }

    /// All that was gathered, with the statistics of observations.
    pub fn finish(self, obs: &Gather) -> Gathered {
        Gathered { obs: obs.moments(), discounted: self.seen_sum.moments(), ..self.out }
    }
}

/// Cuts the first `n` off a slice.
fn take<'a, T>(rest: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(rest).split_at_mut(n);
    *rest = tail;
    head
}

/// Starts new episodes in all worlds.
pub fn reset(blocks: &mut [&mut dyn EnvBlock], row: usize, carried: &mut Carried) {
    carried.forget();
    let mut rest = carried.obs.as_mut_slice();
    let parts: Vec<_> = blocks
        .iter_mut()
        .map(|block| {
            let obs = take(&mut rest, block.num_worlds() * row);
            (block, obs)
        })
        .collect();
    parts.into_par_iter().for_each(|(block, obs)| block.reset(obs));
}

/// Cuts everything into parts: `blocks` with the number of worlds of each.
pub(crate) fn parts<'a, B>(
    blocks: impl Iterator<Item = (B, usize)>,
    shared: &Shared<'_>,
    carried: &'a mut Carried,
    rollout: &'a mut Rollout,
) -> Vec<Part<'a, B>> {
    let (row, act, horizon, critics) = (shared.row, shared.model.act, shared.horizon, shared.model.critics());
    let (mut obs, mut action, mut mean) =
        (rollout.obs.as_mut_slice(), rollout.action.as_mut_slice(), rollout.mean.as_mut_slice());
    let (mut log_prob, mut value, mut reward) =
        (rollout.log_prob.as_mut_slice(), rollout.value.as_mut_slice(), rollout.reward.as_mut_slice());
    let (mut done, mut after, mut last_value) =
        (rollout.done.as_mut_slice(), rollout.after.as_mut_slice(), rollout.last_value.as_mut_slice());
    let (mut current, mut episode_return) = (carried.obs.as_mut_slice(), carried.episode_return.as_mut_slice());
    let (mut episode_length, mut discounted) =
        (carried.episode_length.as_mut_slice(), carried.discounted.as_mut_slice());
    let mut first_world = 0;
    blocks
        .map(|(block, worlds)| {
            let samples = worlds * horizon;
            first_world += worlds;
            Part {
                block,
                first_world: first_world - worlds,
                obs: take(&mut obs, samples * row),
                action: take(&mut action, samples * act),
                mean: take(&mut mean, samples * act),
                log_prob: take(&mut log_prob, samples),
                value: take(&mut value, samples * critics),
                reward: take(&mut reward, samples * critics),
                done: take(&mut done, samples),
                after: take(&mut after, samples * critics),
                last_value: take(&mut last_value, worlds * critics),
                current: take(&mut current, worlds * row),
                tally: Tally {
                    episode_return: take(&mut episode_return, worlds),
                    episode_length: take(&mut episode_length, worlds),
                    discounted: take(&mut discounted, worlds * critics),
                    seen: vec![0.0; critics],
                    gamma: shared.gamma,
                    seen_sum: Gather::new(critics),
                    out: Gathered {
                        obs: Moments::new(row),
                        discounted: Moments::new(critics),
                        reward_sum: 0.0,
                        episodes: 0,
                        return_sum: 0.0,
                        return_min: f64::INFINITY,
                        return_max: f64::NEG_INFINITY,
                        length_sum: 0,
                    },
                },
            }
        })
        .collect()
}

/// Runs all blocks for the horizon. Sizes have been checked: `rollout` and `carried` fit the blocks.
pub fn run(
    blocks: &mut [&mut dyn EnvBlock],
    shared: &Shared<'_>,
    carried: &mut Carried,
    rollout: &mut Rollout,
) -> Vec<Gathered> {
    let blocks = blocks.iter_mut().map(|block| {
        let worlds = block.num_worlds();
        (block, worlds)
    });
    let parts = parts(blocks, shared, carried, rollout);
    parts.into_par_iter().with_max_len(1).map(|part| part.run(shared)).collect()
}

impl Shared<'_> {
    /// Values `[rows, critics]` of normalised observations, in the units of scaled rewards.
    pub(crate) fn values<'w>(
        &'w self,
        x: &[f32],
        rows: usize,
        work: &'w mut Workspace,
    ) -> impl Iterator<Item = f32> + 'w {
        let critic = &self.model.critic;
        let outputs = critic.forward(self.model.critic_params(), x, self.row, rows, work);
        let units = || self.value_std.iter().zip(&self.value_mean);
        let rows = outputs.chunks_exact(critic.out_width());
        rows.flat_map(move |row| row.iter().zip(units()).map(|(output, (std, mean))| std * output + mean))
    }
}

impl Part<'_, &mut &mut dyn EnvBlock> {
    fn run(mut self, shared: &Shared<'_>) -> Gathered {
        let (row, act, horizon, critics) = (shared.row, shared.model.act, shared.horizon, shared.model.critics());
        let worlds = self.last_value.len() / critics;
        let model = shared.model;
        let actor = model.actor_params();
        let gaussian: Gaussian = model.gaussian();
        let mut work = Workspace::default();
        let mut x = vec![0.0f32; worlds * row];
        let mut next = vec![0.0f32; worlds * row];
        let mut final_obs = vec![0.0f32; worlds * row];
        let mut actions = vec![0.0f32; worlds * act];
        let mut reward = vec![0.0f32; worlds];
        let (mut terminated, mut truncated) = (vec![false; worlds], vec![false; worlds]);
        let mut of_critics = vec![0.0f32; if critics > 1 { worlds * critics } else { 0 }];
        let (mut held, mut arrived) = (vec![0.0f32; worlds], vec![0.0f32; worlds]);
        let mut cut = Vec::with_capacity(worlds);
        let mut z = vec![0.0f32; act];
        let mut seen_obs = Gather::new(row);
        for t in 0..horizon {
            for w in 0..worlds {
                let raw = &self.current[w * row..][..row];
                seen_obs.add(raw);
                shared.frozen.apply(raw, &mut x[w * row..][..row]);
                self.obs[(w * horizon + t) * row..][..row].copy_from_slice(&x[w * row..][..row]);
            }
            // Number `k` is of world `k / critics` and critic `k % critics`.
            for (k, value) in shared.values(&x, worlds, &mut work).enumerate() {
                self.value[k * horizon + t] = value;
            }
            let width = model.actor.out_width();
            let means = model.actor.forward(actor, &x, row, worlds, &mut work);
            for w in 0..worlds {
                let (sample, mean) = (w * horizon + t, &means[w * width..][..act]);
                let action = &mut actions[w * act..][..act];
                shared.rng.normals(t as u32, (self.first_world + w) as u32, action);
                action.iter_mut().zip(mean).zip(&gaussian.std).for_each(|((a, m), s)| *a = s.mul_add(*a, *m));
                self.log_prob[sample] = gaussian.log_prob(mean, action, &mut z);
                self.action[sample * act..][..act].copy_from_slice(action);
                self.mean[sample * act..][..act].copy_from_slice(mean);
            }
            self.block.step(
                &actions,
                StepOut {
                    obs: &mut next,
                    reward: &mut reward,
                    terminated: &mut terminated,
                    truncated: &mut truncated,
                    final_obs: &mut final_obs,
                },
            );
            if critics > 1 {
                self.block.critic_rewards(&mut of_critics);
            } else if let Some(late) = self.block.late() {
                for w in 0..worlds {
                    let sample = w * horizon + t;
                    // The step before gets the rest of its reward, if it is of the same episode and rollout.
                    if t > 0 && !self.done[sample - 1] {
                        self.reward[sample - 1] += late[w];
                    }
                    // Where no next step is known, this step's own rest stands for it.
                    let last = t + 1 == horizon && !(terminated[w] || truncated[w]);
                    if last || (truncated[w] && !terminated[w]) {
                        held[w] = late[w];
                    }
                    if self.tally.episode_length[w] > 0 {
                        arrived[w] = late[w];
                    }
                }
            }
            self.current.copy_from_slice(&next);
            cut.clear();
            for w in 0..worlds {
                let sample = w * horizon + t;
                self.done[sample] = terminated[w] || truncated[w];
                let done = self.done[sample];
                if critics > 1 {
                    let each = &of_critics[w * critics..][..critics];
                    for (k, &r) in (w * critics..).zip(each) {
                        (self.reward[k * horizon + t], self.after[k * horizon + t]) = (r, 0.0);
                    }
                    self.tally.step_each(w, f64::from(reward[w]), each.iter().map(|&r| f64::from(r)), done);
                } else {
                    let r = f64::from(reward[w]) + f64::from(arrived[w]);
                    arrived[w] = 0.0;
                    self.reward[sample] = reward[w] + held[w];
                    held[w] = 0.0;
                    self.after[sample] = 0.0;
                    self.tally.step(w, r, done);
                }
                if truncated[w] && !terminated[w] {
                    shared.frozen.apply(&final_obs[w * row..][..row], &mut x[cut.len() * row..][..row]);
                    cut.push(w);
                }
            }
            if !cut.is_empty() {
                for (k, value) in shared.values(&x, cut.len(), &mut work).enumerate() {
                    let number = cut[k / critics] * critics + k % critics;
                    self.after[number * horizon + t] = value;
                }
            }
        }
        for w in 0..worlds {
            shared.frozen.apply(&self.current[w * row..][..row], &mut x[w * row..][..row]);
        }
        for (to, value) in self.last_value.iter_mut().zip(shared.values(&x, worlds, &mut work)) {
            *to = value;
        }
        self.tally.finish(&seen_obs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PpoConfig;
    use crate::rng::Purpose;

    /// One world that never ends on its own: reward 1, 2, ...; each step takes half of it from the step before.
    struct Late {
        step: u32,
        late: Vec<f32>,
    }

    impl EnvBlock for Late {
        fn num_worlds(&self) -> usize {
            1
        }
        fn obs_dim(&self) -> usize {
            1
        }
        fn act_dim(&self) -> usize {
            1
        }
        fn reset(&mut self, obs: &mut [f32]) {
            obs.fill(0.0);
        }
        fn step(&mut self, _actions: &[f32], out: StepOut<'_>) {
            self.step += 1;
            let s = self.step;
            out.reward[0] = s as f32;
            self.late[0] = -0.5 * s as f32;
            out.terminated[0] = s == 3;
            out.truncated[0] = s == 5;
        }
        fn late(&self) -> Option<&[f32]> {
            Some(&self.late)
        }
    }

    #[test]
    fn what_a_step_adds_to_the_one_before_stays_within_its_episode() {
        let config = PpoConfig { worlds: 1, horizon: 7, ..PpoConfig::default() };
        let mut model = Model::zeros(&config, 1, 1, 1, 1);
        model.init(&config, 1);
        let frozen = Frozen { mean: vec![0.0], inv_std: vec![1.0], limit: 100.0 };
        let rng = Rng::new(1, Purpose::Action, 0);
        let shared = Shared {
            model: &model,
            frozen: &frozen,
            value_mean: vec![0.0],
            value_std: vec![1.0],
            rng,
            horizon: 7,
            row: 1,
            gamma: 0.5,
        };
        let (mut carried, mut rollout) = (Carried::new(1, 1, 1), Rollout::default());
        rollout.fit(1, 7, 1, 1, 1);
        let mut blocks = [Late { step: 0, late: vec![0.0] }];
        let mut blocks = blocks.each_mut().map(|block| block as &mut dyn EnvBlock);
        reset(&mut blocks, 1, &mut carried);
        let gathered = run(&mut blocks, &shared, &mut carried, &mut rollout);
        // Steps 1, 2, [3 terminates], 4, [5 is cut: holds its own], 6, [7 ends the rollout: holds its own].
        assert_eq!(rollout.reward, [1.0 - 1.0, 2.0 - 1.5, 3.0, 4.0 - 2.5, 5.0 - 2.5, 6.0 - 3.5, 7.0 - 3.5]);
        // Episodes by what arrived: 1 + (2 - 1) + (3 - 1.5), 4 + (5 - 2.5).
        assert_eq!((gathered[0].return_min, gathered[0].return_max), (3.5, 6.5));
    }

    /// World 0 is cut by its time limit every third step, world 1 terminates every second one, world 2 both at once
    /// every fourth.
    struct Ends {
        step: u32,
    }

    impl EnvBlock for Ends {
        fn num_worlds(&self) -> usize {
            3
        }
        fn obs_dim(&self) -> usize {
            1
        }
        fn act_dim(&self) -> usize {
            2
        }
        fn reset(&mut self, obs: &mut [f32]) {
            obs.fill(0.25);
        }
        fn step(&mut self, _actions: &[f32], out: StepOut<'_>) {
            self.step += 1;
            let s = self.step;
            out.truncated.copy_from_slice(&[s.is_multiple_of(3), false, s.is_multiple_of(4)]);
            out.terminated.copy_from_slice(&[false, s.is_multiple_of(2), s.is_multiple_of(4)]);
            for w in 0..3 {
                out.reward[w] = (w + 1) as f32;
                out.obs[w] = s as f32 * 0.1;
                out.final_obs[w] = -(s as f32) - w as f32;
            }
        }
    }

    #[test]
    fn time_limits_bootstrap_and_terminations_do_not() {
        let config = PpoConfig { worlds: 3, horizon: 8, ..PpoConfig::default() };
        let mut model = Model::zeros(&config, 1, 1, 2, 1);
        model.init(&config, 1);
        let frozen = Frozen { mean: vec![0.5], inv_std: vec![2.0], limit: 100.0 };
        let shared = Shared {
            model: &model,
            frozen: &frozen,
            value_mean: vec![0.5],
            value_std: vec![3.0],
            rng: Rng::new(1, Purpose::Action, 0),
            horizon: 8,
            row: 1,
            gamma: 0.5,
        };
        let (mut carried, mut rollout) = (Carried::new(3, 1, 1), Rollout::default());
        rollout.fit(3, 8, 1, 2, 1);
        let mut blocks = [Ends { step: 0 }];
        let mut blocks = blocks.each_mut().map(|block| block as &mut dyn EnvBlock);
        reset(&mut blocks, 1, &mut carried);
        let gathered = run(&mut blocks, &shared, &mut carried, &mut rollout);

        let value = |obs: f32| {
            let x = [(obs - 0.5) * 2.0];
            3.0 * model.critic.forward(model.critic_params(), &x, 1, 1, &mut Workspace::default())[0] + 0.5
        };
        for t in 0..8 {
            let s = t as u32 + 1;
            assert_eq!(rollout.done[t], s.is_multiple_of(3));
            let after = if s.is_multiple_of(3) { value(-(s as f32)) } else { 0.0 };
            assert_eq!(rollout.after[t], after, "time limit at step {t}");
            assert_eq!((rollout.done[8 + t], rollout.after[8 + t]), (s.is_multiple_of(2), 0.0), "termination");
            assert_eq!((rollout.done[16 + t], rollout.after[16 + t]), (s.is_multiple_of(4), 0.0), "both");
            let obs = if t == 0 { 0.25 } else { t as f32 * 0.1 };
            assert_eq!(rollout.obs[8 + t], (obs - 0.5) * 2.0);
            assert_eq!(rollout.value[t], value(obs));
        }
        assert_eq!(rollout.last_value[0], value(0.8));

        // Episodes: 2 of return 3, 4 of return 4, 2 of return 12; the third of world 0 is still running.
        let g = &gathered[0];
        assert_eq!((g.episodes, g.return_sum, g.length_sum), (8, 6.0 + 16.0 + 24.0, 6 + 8 + 8));
        assert_eq!((g.return_min, g.return_max, g.reward_sum), (3.0, 12.0, 48.0));
        assert_eq!((carried.episode_return[0], carried.episode_length[0], carried.discounted[0]), (2.0, 2, 1.5));
        // Discounted sums of world 0: 1, 1.5, 1.75, 1, 1.5, 1.75, 1, 1.5.
        assert_eq!(g.discounted.count, 24.0);

        // Log densities are those of the stored actions about the stored means.
        let gaussian = model.gaussian();
        for i in 0..24 {
            let at = i * 2..i * 2 + 2;
            let again = gaussian.log_prob(&rollout.mean[at.clone()], &rollout.action[at], &mut [0.0; 2]);
            assert_eq!(rollout.log_prob[i], again);
        }
    }
}
