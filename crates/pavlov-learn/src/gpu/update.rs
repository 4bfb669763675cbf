//! An update whose rollout runs on a device: all its control steps are handed over, then read back once.

use super::fill::{ReadBack, fill};
use super::{DeviceEnv, DeviceNets};
use crate::error::LearnError;
use crate::ppo::{Ppo, same};
use crate::stats::UpdateStats;
use rayon::ThreadPool;
use std::time::{Duration, Instant};

/// Control steps handed over in the first submission, whose time decides how many the next may have.
const FIRST_BATCH: usize = 2;
/// Longest time of a submission, s: desktop drivers take a device that is busy for about 2 s for hung.
const BATCH_TIME: Duration = Duration::from_millis(400);

impl Ppo {
    /// The nets on the device of `env`, bound to its buffers, for [`Ppo::update_on_device`].
    ///
    /// # Errors
    /// When the sizes differ, the device is too small, or it refuses a kernel.
    pub fn device_nets(&self, env: &impl DeviceEnv) -> Result<DeviceNets, LearnError> {
        self.check_device(env)?;
        DeviceNets::new(&self.model, self.sizes.row(), env)
    }

    fn check_device(&self, env: &impl DeviceEnv) -> Result<(), LearnError> {
        same("the number of worlds on the device", env.num_worlds(), self.config.worlds)?;
        same("the number of steps of a rollout on the device", env.horizon(), self.config.horizon)?;
        // One value of a row is what the kernels of the nets give.
        same("the number of critics, on a device,", self.sizes.critics, 1)?;
        self.sizes.check(env.obs_dim(), env.critic_obs_dim(), env.act_dim(), 1)
    }

    /// As [`Ppo::update`], the rollout on a device. Resets the environment on the first call and after
    /// [`Ppo::restart`].
    ///
    /// # Errors
    /// As [`Ppo::update`]; [`LearnError::Gpu`] or [`LearnError::Environment`] when the device fails, which leaves
    /// parameters and statistics as they were.
    pub fn update_on_device<E: DeviceEnv>(
        &mut self,
        env: &mut E,
        nets: &mut DeviceNets,
        pool: &ThreadPool,
    ) -> Result<UpdateStats, LearnError> {
        self.check_device(env)?;
        let start = Instant::now();
        if self.counters.restart {
            env.reset()?;
            self.carried.forget();
            self.counters.restart = false;
        }
        let frozen = self.frozen();
        self.upload(nets);
        nets.roll(env)?;
        let (horizon, worlds, act) = (nets.horizon, nets.worlds, self.sizes.act);
        // A handle, so that the environment can be changed meanwhile.
        let actions = env.actions().clone();
        let (rollout, mut buffers) = env.finish_rollout(&[
            (&actions, horizon * act * worlds),
            (&nets.mean, horizon * act * worlds),
            (&nets.log_prob, horizon * worlds),
            (&nets.value, (horizon + 1) * worlds),
        ])?;
        same("the number of buffers read back", buffers.len(), 4)?;
        let mut next = || std::mem::take(&mut buffers.remove(0));
        let read = ReadBack { env: rollout, action: next(), mean: next(), log_prob: next(), value: next() };
        let (shared, carried, rollout) = self.stage(&frozen);
        let gathered = pool.install(|| fill(&read, &shared, carried, rollout))?;
        drop(read);
        self.learn(&gathered, start, pool)
    }

    pub(crate) fn upload(&self, nets: &DeviceNets) {
        let value = (self.value_mean(0), self.value_std(0));
        nets.upload(&self.model, &self.frozen(), value, self.seed, self.counters.updates);
    }

    /// Seconds that each kernel takes in one control step: the mean of `steps` steps (at most a rollout's, or what the
    /// adapter's clock holds). None where the adapter has no timestamps. For measurements: the environment moves on,
    /// its rollout is dropped.
    ///
    /// # Errors
    /// As [`Ppo::update_on_device`].
    pub fn time_on_device<E: DeviceEnv>(
        &mut self,
        env: &mut E,
        nets: &DeviceNets,
        steps: usize,
    ) -> Result<Option<Vec<(String, f64)>>, LearnError> {
        self.check_device(env)?;
        let steps = steps.clamp(1, nets.horizon);
        // The environment's own step has a handful of kernels, too.
        let Some(mut timing) = env.gpu().timing(steps * (nets.kernels() + 16) + 1) else { return Ok(None) };
        if self.counters.restart {
            env.reset()?;
            self.carried.forget();
            self.counters.restart = false;
        }
        self.upload(nets);
        let mut encoder = env.gpu().encoder();
        for t in 0..steps {
            nets.encode(&mut encoder, t, Some(&mut timing));
            env.encode_step(&mut encoder, t, Some(&mut timing));
        }
        timing.mark(&mut encoder, "");
        let mut times = timing.finish(env.gpu(), encoder)?;
        times.iter_mut().for_each(|(_, s)| *s /= steps as f64);
        self.restart();
        Ok(Some(times))
    }
}

impl DeviceNets {
    /// Hands all steps of a rollout to the device, in as few submissions as its speed allows.
    fn roll<E: DeviceEnv>(&mut self, env: &E) -> Result<(), LearnError> {
        let gpu = env.gpu();
        let mut t = 0;
        while t < self.horizon {
            let batch = if self.batch == 0 { FIRST_BATCH } else { self.batch }.min(self.horizon);
            let (begin, end) = (Instant::now(), (t + batch).min(self.horizon));
            let mut encoder = gpu.encoder();
            for t in t..end {
                self.encode(&mut encoder, t, None);
                env.encode_step(&mut encoder, t, None);
            }
            if end == self.horizon {
                self.encode(&mut encoder, end, None);
            }
            gpu.submit(encoder)?;
            // One submission for all needs no wait but that of the read-back.
            if batch < self.horizon {
                gpu.wait()?;
                let share = BATCH_TIME.as_secs_f64() / begin.elapsed().as_secs_f64().max(1e-9);
                // Not in one leap: the first launches of a kernel are slow, and a measured time may have been a lucky
                // one.
                let most = (share * (end - t) as f64) as usize;
                self.batch = most.clamp(1, 4 * batch).min(self.horizon);
            }
            t = end;
        }
        Ok(())
    }
}
