//! Weights found by search: the parameters of a reward, judged by fitness, which is never the reward.
//!
//! Two ways. CMA-ES (`generation.rs`) draws a generation of variants, trains them side by side for the same number of
//! steps, and moves its distribution towards the fitter ones. Successive halving draws all variants at once, trains
//! them, keeps the fitter half, trains these for twice as long, and so on. Both search the ranges that the manifest
//! gives, in a logarithmic scale where a range spans two decades or more; the first variant of halving is the reward as
//! it is.

use crate::config::{Overrides, RunConfig};
use crate::error::RunError;
use crate::evaluate::Evaluation;
use crate::generation::Generation;
use crate::train::thread_pool;
use crate::variants::Variants;
use pavlov_env::Task;
use pavlov_env::rng::{Purpose, WorldRng};
use pavlov_reward::Reward;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Covariance matrix adaptation.
    CmaEs,
    /// Successive halving of random variants.
    Halving,
}

/// What to search, and how much.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    /// Parameters to search; all that have a range when empty.
    pub params: Vec<String>,
    /// How.
    pub method: Method,
    /// Variants trained side by side.
    pub variants: usize,
    /// Generations of CMA-ES. Halving ends when one variant is left.
    pub generations: usize,
    /// Seed, worlds a variant, environment steps a variant (halving: in the first round) and settings.
    pub overrides: Overrides,
}

/// One variant and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Generation, or round of halving, from 0.
    pub generation: usize,
    /// Variant: place in its generation; for halving the same number in every round.
    pub variant: usize,
    /// Values of the parameters searched.
    pub params: Vec<(String, f64)>,
    /// Mean fitness of the evaluation.
    pub fitness: f64,
    /// Share of its episodes with success.
    pub success: f64,
    /// Mean return under the variant's own reward: not comparable.
    pub episode_return: f64,
    /// Environment steps it was trained for.
    pub env_steps: u64,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The fittest trial of the last round (halving) or of all (CMA-ES).
    pub best: Trial,
    /// Every trial.
    pub trials: Vec<Trial>,
}

/// One parameter's range, as numbers from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    name: String,
    low: f64,
    high: f64,
    log: bool,
    start: f64,
}

/// A range that spans this factor is searched by its logarithm.
const DECADES: f64 = 100.0;
/// First deviation of CMA-ES in units of a range.
const SIGMA: f64 = 0.25;

impl Axis {
    fn value(&self, unit: f64) -> f64 {
        // Beyond its ends a range is mirrored, so that no weight of the distribution gathers on them.
        let turn = unit.rem_euclid(2.0);
        let unit = if turn > 1.0 { 2.0 - turn } else { turn };
        let (a, b) = if self.log { (self.low.ln(), self.high.ln()) } else { (self.low, self.high) };
        let x = a + unit * (b - a);
        // What is trained is an f32: the same number is given out.
        f64::from((if self.log { x.exp() } else { x }) as f32)
    }

    fn unit(&self, value: f64) -> f64 {
        let scaled = |x: f64| if self.log { x.ln() } else { x };
        ((scaled(value) - scaled(self.low)) / (scaled(self.high) - scaled(self.low))).clamp(0.0, 1.0)
    }
}

fn axes(reward: &Reward, wanted: &[String]) -> Result<Vec<Axis>, RunError> {
    let usage = |message: String| RunError::Usage(message);
    let known: Vec<&str> = reward.params().map(|p| p.0).collect();
    if let Some(name) = wanted.iter().find(|w| !known.contains(&w.as_str())) {
        let hint = pavlov_model::did_you_mean(name, known.iter().copied());
        return Err(usage(format!("reward `{}` has no parameter `{name}`: {hint}", reward.name())));
    }
    let mut all = Vec::new();
    for (name, value, param) in reward.params() {
        let asked = wanted.iter().any(|w| w == name);
        if !wanted.is_empty() && !asked {
            continue;
        }
        match (param.min, param.max) {
            (Some(low), Some(high)) if low < high => {
                let log = low > 0.0 && high / low >= DECADES;
                all.push(Axis { name: name.into(), low, high, log, start: f64::from(value) });
            }
            _ if asked => {
                let message = format!("parameter `{name}` has no range: give it `min` and `max` in reward.toml");
                return Err(usage(message));
            }
            _ => {}
        }
    }
    if all.is_empty() {
        let message = format!("reward `{}` has no parameter with `min` and `max` to search", reward.name());
        return Err(usage(message));
    }
    Ok(all)
}

/// A search being run.
struct Search<'a> {
    task: &'a Arc<Task>,
    reward: &'a Reward,
    config: RunConfig,
    axes: Vec<Axis>,
    pool: Arc<rayon::ThreadPool>,
    stop: &'a AtomicBool,
    trials: Vec<Trial>,
}

/// Searches; `each` is called with every trial as it is known. With `stop` set it ends early with what it has.
///
/// # Errors
/// On wrong settings, or when no variant could be trained.
pub fn tune(
    task: &Arc<Task>,
    reward: &Reward,
    options: &TuneOptions,
    stop: &AtomicBool,
    mut each: impl FnMut(&Trial),
) -> Result<Tuned, RunError> {
    let mut reward = reward.clone();
    let config = RunConfig::resolve(task, &mut reward, &options.overrides)?;
    if !(2..=4096).contains(&options.variants) {
        return Err(RunError::Usage(format!("{} variants: expected 2 to 4096", options.variants)));
    }
    if options.method == Method::CmaEs && (options.generations == 0 || options.variants < 4) {
        return Err(RunError::Usage("CMA-ES needs at least 4 variants and 1 generation".into()));
    }
    let axes = axes(&reward, &options.params)?;
    let pool = Arc::new(thread_pool(config.machine.threads)?);
    let mut search = Search { task, reward: &reward, config, axes, pool, stop, trials: Vec::new() };
    match options.method {
        Method::CmaEs => search.cma_es(options, &mut each)?,
        Method::Halving => search.halving(options, &mut each)?,
    }
    let last = search.trials.iter().map(|t| t.generation).max().unwrap_or(0);
    let in_question = |t: &&Trial| options.method == Method::CmaEs || t.generation == last;
    let best = search.trials.iter().filter(in_question).max_by(|a, b| a.fitness.total_cmp(&b.fitness)).cloned();
    let best = best.ok_or_else(|| RunError::Failed("no variant was trained to the end".into()))?;
    Ok(Tuned { best, trials: search.trials })
}

impl Search<'_> {
    fn start(&self) -> Vec<f64> {
        self.axes.iter().map(|a| a.unit(a.start)).collect()
    }

    fn variants(&self, points: &[Vec<f64>]) -> Result<Variants, RunError> {
        let reward_at = |point: &Vec<f64>| -> Result<Arc<Reward>, RunError> {
            let mut reward = self.reward.clone();
            for (axis, unit) in self.axes.iter().zip(point) {
                reward.set_param(&axis.name, axis.value(*unit))?;
            }
            Ok(Arc::new(reward))
        };
        let rewards = points.iter().map(reward_at).collect::<Result<Vec<_>, _>>()?;
        Variants::new(self.task, &rewards, &self.config, self.pool.clone())
    }

    /// Trains up to that many steps a variant; false when it was stopped. A variant that fails is as unfit as can be.
    fn train(&self, variants: &mut Variants, steps: u64, failed: &mut [bool]) -> bool {
        while variants.env_steps() < steps {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            for (failed, update) in failed.iter_mut().zip(variants.update()) {
                *failed |= update.is_err();
            }
            if failed.iter().all(|f| *f) {
                return true;
            }
        }
        true
    }

    fn record(
        &mut self,
        generation: usize,
        numbers: &[usize],
        points: &[Vec<f64>],
        found: Vec<Evaluation>,
        failed: &[bool],
        env_steps: u64,
        each: &mut impl FnMut(&Trial),
    ) -> Vec<f64> {
        let mut fitness = Vec::new();
        for (i, e) in found.into_iter().enumerate() {
            let params = self.axes.iter().zip(&points[i]).map(|(a, &u)| (a.name.clone(), a.value(u))).collect();
            let value = if failed[i] || !e.fitness.mean.is_finite() { f64::MIN } else { e.fitness.mean };
            fitness.push(value);
            let trial = Trial {
                generation,
                variant: numbers[i],
                params,
                fitness: value,
                success: e.success.mean,
                episode_return: e.episode_return.mean,
                env_steps,
            };
            each(&trial);
            self.trials.push(trial);
        }
        fitness
    }

    fn cma_es(&mut self, options: &TuneOptions, each: &mut impl FnMut(&Trial)) -> Result<(), RunError> {
        let numbers: Vec<usize> = (0..options.variants).collect();
        let mut search = Generation::first(self.start(), SIGMA, options.variants, self.config.seed)?;
        for generation in 0..options.generations {
            let points = search.points().to_vec();
            let mut variants = self.variants(&points)?;
            let mut failed = vec![false; points.len()];
            if !self.train(&mut variants, self.config.learner.total_steps, &mut failed) {
                return Ok(());
            }
            let (found, steps) = (variants.evaluate()?, variants.env_steps());
            let fitness = self.record(generation, &numbers, &points, found, &failed, steps, each);
            if generation + 1 < options.generations {
                search = search.next(&fitness)?;
            }
        }
        Ok(())
    }

    fn halving(&mut self, options: &TuneOptions, each: &mut impl FnMut(&Trial)) -> Result<(), RunError> {
        let random = WorldRng::new(self.config.seed, 0);
        let drawn = |k: usize| -> Vec<f64> {
            let mut stream = random.stream(Purpose::Action, k as u32, 0);
            self.axes.iter().map(|_| f64::from(stream.unit())).collect()
        };
        let mut points: Vec<Vec<f64>> = (1..options.variants).map(drawn).collect();
        points.insert(0, self.start());
        let mut variants = self.variants(&points)?;
        let mut numbers: Vec<usize> = (0..points.len()).collect();
        let mut failed = vec![false; points.len()];
        let mut steps = self.config.learner.total_steps;
        for round in 0.. {
            if !self.train(&mut variants, steps, &mut failed) {
                return Ok(());
            }
            let (found, trained) = (variants.evaluate()?, variants.env_steps());
            let fitness = self.record(round, &numbers, &points, found, &failed, trained, each);
            if fitness.len() <= 1 {
                break;
            }
            let mut order: Vec<usize> = (0..fitness.len()).collect();
            order.sort_by(|a, b| fitness[*b].total_cmp(&fitness[*a]));
            order.truncate(fitness.len().div_ceil(2));
            variants.keep(&order);
            points = order.iter().map(|&i| points[i].clone()).collect();
            numbers = order.iter().map(|&i| numbers[i]).collect();
            failed = order.iter().map(|&i| failed[i]).collect();
            steps *= 2;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn ranges_are_searched_from_end_to_end() {
        let axis = |low, high, log| Axis { name: "w".into(), low, high, log, start: low };
        let (line, log) = (axis(-1.0, 3.0, false), axis(1e-3, 10.0, true));
        assert_eq!([line.value(0.0), line.value(0.5), line.value(1.0), line.value(1.25)], [-1.0, 1.0, 3.0, 2.0]);
        assert_eq!(line.value(-0.25), 0.0);
        assert!((log.value(0.5) - 0.1).abs() < 1e-6 && (log.unit(0.1) - 0.5).abs() < 1e-6);
    }

    /// Two terms: one for staying up, one that pays for not staying up. Only its weight decides what is learned.
    #[test]
    fn both_ways_turn_a_harmful_term_off() {
        let learner =
            "worlds = 32\nhorizon = 32\nepochs = 4\nminibatches = 2\nlearning_rate = 3e-3\neval_episodes = 6\n";
        let (dir, assets) = testing::assets(learner);
        let folder = dir.path().join("rewards/cartpole_balance/bad");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("reward.rhai"),
            "fn reward(s, p) { #{ up: s.body(\"pole\").up.z, down: -p.down * s.body(\"pole\").up.z } }",
        )
        .unwrap();
        std::fs::write(folder.join("reward.toml"), "[params.down]\nvalue = 1.4\nmin = 0.0\nmax = 4.0\n").unwrap();
        let (task, _) = testing::load(&assets);
        let reward = crate::load_reward(&assets, &task, Some("bad")).unwrap();
        let task = Arc::new(task);
        for (method, variants) in [(Method::Halving, 4), (Method::CmaEs, 6)] {
            let overrides = Overrides { steps: Some(20_000), seed: Some(1), ..Overrides::default() };
            let options = TuneOptions { params: Vec::new(), method, variants, generations: 3, overrides };
            let mut seen = 0;
            let tuned = tune(&task, &reward, &options, &AtomicBool::new(false), |_| seen += 1).unwrap();
            assert_eq!((seen, tuned.trials.len()), if method == Method::Halving { (7, 7) } else { (18, 18) });
            assert!(tuned.best.params[0].1 < 1.0, "{method:?}: {:?}", tuned.best);
            let worst = tuned.trials.iter().map(|t| t.fitness).fold(f64::INFINITY, f64::min);
            assert!(tuned.best.fitness > worst + 0.1, "{method:?}: {:?}", tuned.trials);
        }
        let wrong = TuneOptions {
            params: vec!["dwon".into()],
            method: Method::Halving,
            variants: 2,
            generations: 1,
            overrides: Overrides::default(),
        };
        let error = tune(&task, &reward, &wrong, &AtomicBool::new(false), |_| {}).unwrap_err().to_string();
        assert!(error.contains("did you mean `down`"), "{error}");
    }
}
