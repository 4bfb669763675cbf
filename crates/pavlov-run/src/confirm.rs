//! Are the values that a search found better than those that were there? Both are trained for as many steps as the best
//! trial, with the same seeds, none of which is the search's: the best of many trials owes its fitness to luck as well,
//! and would not have it again. The interval of the mean paired difference is Student's (1908).

use crate::config::{Overrides, RunConfig};
use crate::error::RunError;
use crate::train::thread_pool;
use crate::tune::Trial;
use crate::variants::Variants;
use pavlov_common::stats::{mean, mean_and_error};
use pavlov_env::Task;
use pavlov_reward::Reward;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Fitness of both, seed by seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Fitness with the values that were there.
    pub before: Vec<f64>,
    /// Fitness with the values found.
    pub found: Vec<f64>,
    /// Environment steps of each training.
    pub env_steps: u64,
    /// Mean of what the found values have more.
    pub difference: f64,
    /// 95% interval of it; none for fewer than two seeds.
    pub interval: Option<[f64; 2]>,
}

impl Confirmed {
    /// Is the whole interval above zero?
    pub fn is_sure(&self) -> bool {
        self.interval.is_some_and(|[low, _]| low > 0.0)
    }

    /// Means of both.
    pub fn means(&self) -> [f64; 2] {
        [&self.before, &self.found].map(|all| mean(all.iter().copied()).unwrap_or(f64::NAN))
    }

    fn of(seeds: Vec<u64>, before: Vec<f64>, found: Vec<f64>, env_steps: u64) -> Self {
        let differences: Vec<f64> = found.iter().zip(&before).map(|(f, b)| f - b).collect();
        let interval = mean_and_error(&differences).map(|(mean, error)| {
            let half = student(differences.len() - 1) * error;
            [mean - half, mean + half]
        });
        let difference = mean(differences).unwrap_or_default();
        Self { seeds, before, found, env_steps, difference, interval }
    }
}

/// The 97.5% point of Student's distribution.
fn student(freedom: usize) -> f64 {
    const POINTS: [f64; 15] =
        [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131];
    // Beyond the table by the first terms of its expansion around the normal distribution.
    let n = freedom as f64;
    let normal = 1.959_964_f64;
    let far = normal + (normal.powi(3) + normal) / (4.0 * n);
    freedom.checked_sub(1).and_then(|i| POINTS.get(i).copied()).unwrap_or(far)
}

/// Trains both with `seeds` seeds; with `stop` set it ends with those that are done.
///
/// # Errors
/// On wrong settings, or when a training cannot be made or judged.
pub fn confirm(
    task: &Arc<Task>,
    reward: &Reward,
    best: &Trial,
    (overrides, seeds): (&Overrides, usize),
    stop: &AtomicBool,
) -> Result<Confirmed, RunError> {
    let mut before = reward.clone();
    let mut config = RunConfig::resolve(task, &mut before, overrides)?;
    let mut found = before.clone();
    for (name, value) in &best.params {
        found.set_param(name, *value)?;
    }
    let pool = Arc::new(thread_pool(config.machine.threads)?);
    let rewards = [Arc::new(before), Arc::new(found)];
    let first = config.seed;
    let (mut used, mut fitness) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut env_steps = 0;
    for seed in (1..=seeds as u64).map(|k| first.wrapping_add(k)) {
        config.seed = seed;
        let mut variants = Variants::new(task, &rewards, &config, pool.clone())?;
        let mut failed = [false; 2];
        while variants.env_steps() < best.env_steps && failed.iter().any(|f| !f) {
            if stop.load(Ordering::Relaxed) {
                let [before, found] = fitness;
                return Ok(Confirmed::of(used, before, found, env_steps));
            }
            for (failed, update) in failed.iter_mut().zip(variants.update()) {
                *failed |= update.is_err();
            }
        }
        env_steps = variants.env_steps();
        let evaluations = variants.evaluate()?;
        if let Some(which) = failed.iter().position(|f| *f) {
            let whose = ["the present values", "the values found"][which];
            return Err(RunError::Failed(format!(
                "training with {whose} and seed {seed} met numbers that are not finite"
            )));
        }
        used.push(seed);
        fitness.iter_mut().zip(evaluations).for_each(|(all, e)| all.push(e.fitness.mean));
    }
    let [before, found] = fitness;
    Ok(Confirmed::of(used, before, found, env_steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn sure_is_what_every_seed_shows_and_not_what_one_does() {
        let of =
            |found: &[f64]| Confirmed::of((1..).take(found.len()).collect(), vec![1.0; found.len()], found.into(), 9);
        assert!(of(&[1.9, 2.1, 2.0, 2.05, 1.95]).is_sure());
        let lucky = of(&[1.0, 1.0, 9.0, 1.0, 1.0]);
        assert!(!lucky.is_sure() && (lucky.difference - 1.6).abs() < 1e-12, "{lucky:?}");
        assert!(
            !of(&[5.0]).is_sure() && !of(&[]).is_sure() && !of(&[1.0, 1.0, 1.0]).is_sure(),
            "no more is not better"
        );
        // Two seeds: mean 1, error 0.1, 12.706 errors.
        let [low, high] = of(&[1.9, 2.1]).interval.unwrap();
        assert!((low + 0.2706).abs() < 1e-9 && (high - 2.2706).abs() < 1e-9, "{low} {high}");
        assert!((student(30) - 2.042).abs() < 5e-3 && (student(15) - 2.131).abs() < 1e-9);
    }

    #[test]
    fn a_harmful_weight_is_surely_worse_and_the_same_values_are_not() {
        let learner =
            "worlds = 32\nhorizon = 32\nepochs = 4\nminibatches = 2\nlearning_rate = 3e-3\neval_episodes = 6\n";
        let (dir, assets) = testing::assets(learner);
        let folder = dir.path().join("rewards/cartpole_balance/bad");
        std::fs::create_dir_all(&folder).unwrap();
        let script = "fn reward(s, p) { #{ up: p.up * s.body(\"pole\").up.z } }";
        std::fs::write(folder.join("reward.rhai"), script).unwrap();
        std::fs::write(folder.join("reward.toml"), "[params.up]\nvalue = -1.0\nmin = -1.0\nmax = 1.0\n").unwrap();
        let (task, _) = testing::load(&assets);
        let reward = crate::load_reward(&assets, &task, Some("bad")).unwrap();
        let task = Arc::new(task);
        let overrides = Overrides { seed: Some(1), ..Overrides::default() };
        let at = |up: f64| {
            let best = Trial { params: vec![("up".into(), up)], env_steps: 30_000, ..Trial::default() };
            confirm(&task, &reward, &best, (&overrides, 5), &AtomicBool::new(false)).unwrap()
        };
        let better = at(1.0);
        assert!(better.is_sure() && better.seeds == [2, 3, 4, 5, 6] && better.env_steps >= 30_000, "{better:?}");
        let same = at(-1.0);
        assert!(same.before == same.found && !same.is_sure(), "{same:?}");
        let stopped = AtomicBool::new(true);
        let none = confirm(&task, &reward, &Trial { env_steps: 1, ..Trial::default() }, (&overrides, 3), &stopped);
        assert!(none.unwrap().seeds.is_empty());
    }
}
