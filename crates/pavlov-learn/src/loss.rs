//! Loss and gradient of a minibatch: the clipped surrogate of Schulman et al., "Proximal policy optimization
//! algorithms" (2017).
//!
//! With `n` samples, `r = exp(log_prob - old log_prob)` and advantage `A`:
//!
//! ```text
//! - 1/n sum min(r A, clip(r, 1 ± clip) A)  +  value_coef / (2 n) sum (v - target)^2  -  entropy_coef * entropy
//! ```
//! With `elite_of` the first term is the negative log likelihood of what was chosen to be cloned, whose advantage is 1
//! over its share, others' 0: `- 1/n sum A log_prob`.
//!
//! The value's part is the mean over the critics where there are several. With `value_clip` the squared error is the
//! larger one of `v` and of `v` kept within `± value_clip` of the rollout's value. Derivatives of a Gaussian's log
//! density: `(a - m) / s^2` by the mean, `z^2 - 1` by `ln s`.
//!
//! A minibatch is cut in chunks of 256 rows; at most 32 slots take neighbouring chunks and sum their gradients, and the
//! slots are summed in order. Chunks and slots depend on the size of the minibatch only: the same bits for any number
//! of threads.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::adam::sum_in_order;
use crate::config::PpoConfig;
use crate::model::{Gaussian, Model};
use crate::net::Workspace;
use crate::normal::Moments;
use crate::rollout::Rollout;

/// Rows that go through the nets together.
pub const CHUNK: usize = 256;
/// Most partial sums of a minibatch's gradient.
pub const SLOTS: usize = 32;

/// The buffers a thread works in.
#[derive(Debug, Default)]
pub struct Desk {
    work: Workspace,
    x: Vec<f32>,
    z: Vec<f32>,
    log_std: Vec<f32>,
}

/// Sums or means over samples.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// Clipped policy loss.
    pub policy: f64,
    /// Value loss.
    pub value: f64,
    /// KL divergence.
    pub kl: f64,
    /// Ratios outside the clip range.
    pub clipped: f64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.policy += other.policy;
        self.value += other.value;
        self.kl += other.kl;
        self.clipped += other.clipped;
    }
}

/// How values are normalised for their loss: `(v - mean) * inv_std`.
#[derive(Debug, Clone, Copy)]
pub struct ValueScale {
    /// Subtracted.
    pub mean: f32,
    /// Multiplied by.
    pub inv_std: f32,
}

/// What the chunks of a minibatch share.
pub struct Batch<'a> {
    /// Settings.
    pub config: &'a PpoConfig,
    /// Parameters.
    pub model: &'a Model,
    /// Samples.
    pub data: &'a Rollout,
    /// Columns of an observation.
    pub row: usize,
    /// How values are normalised, of each critic.
    pub scale: &'a [ValueScale],
    /// The policy's deviation now.
    pub gaussian: Gaussian,
    /// Part of the KL divergence that all samples share.
    pub kl_of_std: f64,
    /// Subtracted from advantages.
    pub advantage_mean: f32,
    /// Then multiplied by.
    pub advantage_scale: f32,
    /// Samples of the minibatch.
    pub indices: &'a [u32],
    /// Transposed weights of the actor.
    pub actor_t: &'a [f32],
    /// Transposed weights of the critic.
    pub critic_t: &'a [f32],
}

impl Batch<'_> {
    /// Loss sums of one chunk; its gradient is added to `grad`.
    fn chunk(&self, indices: &[u32], desk: &mut Desk, grad: &mut [f32]) -> Sums {
        let (rows, row, act) = (indices.len(), self.row, self.model.act);
        let (data, model) = (self.data, self.model);
        let at = model.ranges();
        let share = 1.0 / self.indices.len() as f32;
        let mut sums = Sums::default();
        desk.x.resize(CHUNK * row, 0.0);
        desk.z.resize(act, 0.0);
        desk.log_std.clear();
        desk.log_std.resize(act, 0.0);
        for (to, &i) in desk.x.chunks_exact_mut(row).zip(indices) {
            to.copy_from_slice(&data.obs[i as usize * row..][..row]);
        }

        model.actor.forward(model.actor_params(), &desk.x, row, rows, &mut desk.work);
        let width = model.actor.out_width();
        let (means, slopes) = desk.work.head(&model.actor, rows);
        let clones = self.config.elite_of > 0;
        let (low, high) = ((1.0 - self.config.clip) as f32, (1.0 + self.config.clip) as f32);
        for ((mean, slope), &i) in means.chunks_exact(width).zip(slopes.chunks_exact_mut(width)).zip(indices) {
            let i = i as usize;
            let (mean, action) = (&mean[..act], &data.action[i * act..][..act]);
            let log_prob = self.gaussian.log_prob(mean, action, &mut desk.z);
            let ratio = (log_prob - data.log_prob[i]).exp();
            let advantage = (data.advantage[i] - self.advantage_mean) * self.advantage_scale;
            let (free, clipped) = match clones {
                true => (advantage, advantage),
                false => (ratio * advantage, ratio.clamp(low, high) * advantage),
            };
            let objective = if clones { advantage * log_prob } else { free.min(clipped) };
            sums.policy -= f64::from(objective);
            sums.clipped += f64::from(u8::from(!(low..=high).contains(&ratio)));
            sums.kl += f64::from(self.gaussian.kl_of_mean(&data.mean[i * act..][..act], mean));
            // Where the clipped term is the smaller one, it is constant.
            let by_log_prob = if clipped < free { 0.0 } else { -free * share };
            slope[act..].fill(0.0);
            for j in 0..act {
                slope[j] = by_log_prob * desk.z[j] * self.gaussian.inv_std[j];
                desk.log_std[j] += by_log_prob * (desk.z[j] * desk.z[j] - 1.0);
            }
        }
        grad[at.log_std].iter_mut().zip(&desk.log_std).for_each(|(g, d)| *g += d);
        model.actor.backward(self.actor_t, &desk.x, row, rows, &mut desk.work, &mut grad[at.actor]);

        model.critic.forward(model.critic_params(), &desk.x, row, rows, &mut desk.work);
        let width = model.critic.out_width();
        let (values, slopes) = desk.work.head(&model.critic, rows);
        let (critics, horizon) = (self.scale.len(), self.config.horizon);
        let (coef, clip) = (self.config.value_coef as f32 * share / critics as f32, self.config.value_clip as f32);
        let part = 1.0 / critics as f64;
        for ((value, slope), &i) in values.chunks_exact(width).zip(slopes.chunks_exact_mut(width)).zip(indices) {
            let (world, t) = (i as usize / horizon, i as usize % horizon);
            slope.fill(0.0);
            for (critic, scale) in self.scale.iter().enumerate() {
                let i = (world * critics + critic) * horizon + t;
                let value = value[critic];
                let target = (data.returns[i] - scale.mean) * scale.inv_std;
                let mut error = value - target;
                let mut by_value = coef * error;
                if clip > 0.0 {
                    let old = (data.value[i] - scale.mean) * scale.inv_std;
                    let moved = value - old;
                    let clipped = old + moved.clamp(-clip, clip) - target;
                    if clipped * clipped > error * error {
                        error = clipped;
                        by_value = if moved.abs() <= clip { coef * clipped } else { 0.0 };
                    }
                }
                sums.value += part * f64::from(0.5 * error * error);
                slope[critic] = by_value;
            }
        }
        model.critic.backward(self.critic_t, &desk.x, row, rows, &mut desk.work, &mut grad[at.critic]);
        sums
    }

    /// Mean losses of the minibatch; the gradient of the whole loss is left in `total`.
    pub fn gradient(&self, desks: &[Mutex<Desk>], grads: &mut [Vec<f32>], total: &mut [f32]) -> Sums {
        let chunks = self.indices.len().div_ceil(CHUNK);
        let slots = chunks.min(SLOTS);
        let run = |(slot, grad): (usize, &mut Vec<f32>)| {
            let desk = &desks[rayon::current_thread_index().unwrap_or(0) % desks.len()];
            let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
            grad.clear();
            grad.resize(self.model.params.len(), 0.0);
            let mut sums = Sums::default();
            for chunk in slot * chunks / slots..(slot + 1) * chunks / slots {
                let indices = &self.indices[chunk * CHUNK..self.indices.len().min((chunk + 1) * CHUNK)];
                sums.add(&self.chunk(indices, &mut desk, grad));
            }
            sums
        };
        let parts: Vec<Sums> = grads[..slots].par_iter_mut().with_max_len(1).enumerate().map(run).collect();
        let mut sums = Sums::default();
        parts.iter().for_each(|part| sums.add(part));
        let slices: Vec<&[f32]> = grads[..slots].iter().map(Vec::as_slice).collect();
        sum_in_order(&slices, total);
        let entropy = self.config.entropy_coef as f32;
        total[self.model.ranges().log_std].iter_mut().for_each(|g| *g -= entropy);
        let n = self.indices.len() as f64;
        Sums {
            policy: sums.policy / n,
            value: sums.value / n,
            kl: sums.kl / n + self.kl_of_std,
            clipped: sums.clipped / n,
        }
    }
}

/// Mean and inverse deviation that normalise advantages with these moments of a column.
pub fn advantage_norm(moments: &Moments, column: usize) -> (f32, f32) {
    (moments.mean[column] as f32, (1.0 / (moments.variance(column).sqrt() + 1e-8)) as f32)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Activation;
    use crate::net::{Layer, Shape};
    use crate::normal::moments_of;
    use crate::rng::{Purpose, Rng};

    const OBS: usize = 5;
    pub const ROW: usize = 7;
    pub const ACT: usize = 3;
    pub const SCALE: [ValueScale; 3] = [
        ValueScale { mean: 0.3, inv_std: 0.7 },
        ValueScale { mean: -0.2, inv_std: 1.1 },
        ValueScale { mean: 0.1, inv_std: 0.5 },
    ];

    pub fn setup(config: &PpoConfig, critics: usize) -> (Model, Rollout) {
        let mut model = Model::zeros(config, OBS, ROW, ACT, critics);
        model.init(config, 5);
        let (actor, critic) = (model.ranges().actor, model.ranges().critic);
        let rng = Rng::new(2, Purpose::Bench, 0);
        // Only numbers in use: padding stays zero.
        for range in [actor, critic] {
            let mut noise = vec![0.0; range.len()];
            rng.normals(9, range.start as u32, &mut noise);
            let net = &mut model.params[range];
            net.iter_mut().zip(&noise).filter(|(p, _)| **p != 0.0).for_each(|(p, n)| *p += 0.2 * n);
        }
        let mut data = Rollout::default();
        data.fit(config.worlds, config.horizon, ROW, ACT, critics);
        rng.normals(0, 0, &mut data.obs);
        rng.normals(0, 1, &mut data.action);
        rng.normals(0, 2, &mut data.advantage);
        rng.normals(0, 3, &mut data.returns);
        rng.normals(0, 4, &mut data.value);
        rng.normals(0, 5, &mut data.mean);
        rng.normals(0, 6, &mut data.log_prob);
        data.mean.iter_mut().for_each(|m| *m *= 0.2);
        let gaussian = model.gaussian();
        for i in 0..data.log_prob.len() {
            let at = i * ACT..(i + 1) * ACT;
            let exact = gaussian.log_prob(&data.mean[at.clone()], &data.action[at], &mut [0.0; ACT]);
            data.log_prob[i] = exact + 0.2 * data.log_prob[i];
        }
        (model, data)
    }

    fn reference_net(shape: &Shape, params: &[f64], x: &[f64]) -> Vec<f64> {
        let place = |layer: &Layer, at: usize, i: usize, j: usize| at + (j / 8 * layer.inputs + i) * 8 + j % 8;
        let (mut at, mut h) = (0, x.to_vec());
        for (l, layer) in shape.layers.iter().enumerate() {
            let bias = at + layer.inputs * layer.outputs.div_ceil(8) * 8;
            let sum = |j: usize| (0..layer.inputs).map(|i| h[i] * params[place(layer, at, i, j)]).sum::<f64>();
            let mut next: Vec<f64> = (0..layer.outputs).map(|j| params[bias + j] + sum(j)).collect();
            if l + 1 < shape.layers.len() {
                next.iter_mut().for_each(|y| {
                    *y = match shape.activation {
                        Activation::Tanh => y.tanh(),
                        Activation::Elu => {
                            if *y > 0.0 {
                                *y
                            } else {
                                y.exp_m1()
                            }
                        }
                        Activation::Relu => y.max(0.0),
                    }
                });
            }
            at = bias + layer.outputs.div_ceil(8) * 8;
            h = next;
        }
        h
    }

    /// The whole loss as the module's comment states it, in f64 and without this crate's kernels.
    fn reference_loss(config: &PpoConfig, model: &Model, params: &[f64], data: &Rollout, norm: (f32, f32)) -> f64 {
        let at = model.ranges();
        let log_std = &params[at.log_std.clone()];
        let n = data.log_prob.len();
        let mut loss = 0.0;
        for i in 0..n {
            let x: Vec<f64> = data.obs[i * ROW..(i + 1) * ROW].iter().map(|&x| f64::from(x)).collect();
            let mean = reference_net(&model.actor, &params[at.actor.clone()], &x[..OBS]);
            let log_prob: f64 = (0..ACT)
                .map(|j| {
                    let z = (f64::from(data.action[i * ACT + j]) - mean[j]) / log_std[j].exp();
                    -0.5 * z * z - log_std[j] - 0.5 * std::f64::consts::TAU.ln()
                })
                .sum();
            let ratio = (log_prob - f64::from(data.log_prob[i])).exp();
            let advantage = f64::from((data.advantage[i] - norm.0) * norm.1);
            loss -= (ratio * advantage).min(ratio.clamp(1.0 - config.clip, 1.0 + config.clip) * advantage);
            let values = reference_net(&model.critic, &params[at.critic.clone()], &x);
            for (critic, (value, scale)) in values.iter().zip(&SCALE).enumerate() {
                let scaled = |v: f32| (f64::from(v) - f64::from(scale.mean)) * f64::from(scale.inv_std);
                let (world, t) = (i / config.horizon, i % config.horizon);
                let at = (world * values.len() + critic) * config.horizon + t;
                let (target, old) = (scaled(data.returns[at]), scaled(data.value[at]));
                let mut square = (value - target).powi(2);
                if config.value_clip > 0.0 {
                    let clipped = old + (value - old).clamp(-config.value_clip, config.value_clip);
                    square = square.max((clipped - target).powi(2));
                }
                loss += 0.5 * config.value_coef * square / values.len() as f64;
            }
        }
        let entropy: f64 = log_std.iter().map(|s| s + 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln()).sum();
        loss / n as f64 - config.entropy_coef * entropy
    }

    #[test]
    fn gradient_of_the_whole_loss_agrees_with_differences() {
        for (activation, value_clip, critics) in [
            (Activation::Tanh, 0.0, 1),
            (Activation::Elu, 0.4, 1),
            (Activation::Relu, 0.0, 1),
            (Activation::Tanh, 0.4, 3),
        ] {
            let config = PpoConfig {
                worlds: 50,
                horizon: 11,
                activation,
                value_clip,
                entropy_coef: 0.03,
                init_std: 0.8,
                actor_hidden: vec![12, 9],
                critic_hidden: vec![10],
                ..PpoConfig::default()
            };
            let (model, data) = setup(&config, critics);
            let indices: Vec<u32> = (0..data.log_prob.len() as u32).collect();
            let norm = advantage_norm(&moments_of(&data.advantage), 0);
            let (mut actor_t, mut critic_t) = (Vec::new(), Vec::new());
            model.actor.transpose(model.actor_params(), &mut actor_t);
            model.critic.transpose(model.critic_params(), &mut critic_t);
            let batch = Batch {
                config: &config,
                model: &model,
                data: &data,
                row: ROW,
                scale: &SCALE[..critics],
                gaussian: model.gaussian(),
                kl_of_std: 0.0,
                advantage_mean: norm.0,
                advantage_scale: norm.1,
                indices: &indices,
                actor_t: &actor_t,
                critic_t: &critic_t,
            };
            let mut total = vec![0.0; model.params.len()];
            let sums = batch.gradient(&[Mutex::default()], &mut vec![Vec::new(); SLOTS], &mut total);
            assert!(sums.clipped > 0.05 && sums.clipped < 0.95, "clipping is not exercised: {}", sums.clipped);

            let params: Vec<f64> = model.params.iter().map(|&p| f64::from(p)).collect();
            let loss = |params: &[f64]| reference_loss(&config, &model, params, &data, norm);
            let found = sums.policy + config.value_coef * sums.value - config.entropy_coef * model.gaussian().entropy();
            assert!((found - loss(&params)).abs() < 1e-5, "loss {found} {}", loss(&params));
            let largest = total.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let mut compared = 0;
            for i in 0..params.len() {
                let shifted = |h: f64| {
                    let mut moved = params.clone();
                    moved[i] += h;
                    loss(&moved)
                };
                // Kinks (ReLU, clipping) may lie within a step: such a parameter shows by its one-sided slopes.
                let (up, down) = (shifted(1e-6) - loss(&params), loss(&params) - shifted(-1e-6));
                if (up - down).abs() > 1e-9 * f64::from(largest) + 1e-10 {
                    continue;
                }
                compared += 1;
                let expected = (up + down) / 2e-6;
                let gap = (f64::from(total[i]) - expected).abs();
                assert!(gap < 1e-4 * f64::from(largest), "{activation:?} parameter {i}: {} {expected}", total[i]);
            }
            assert!(compared * 10 > params.len() * 7, "{compared} of {} compared", params.len());
        }
    }
}
