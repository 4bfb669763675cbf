//! Asking and learning as `prefs` and `prefs loop` share it.

use crate::Usage;
use crate::prefs_args::{Answering, Learning};
use anyhow::Result;
use pavlov_env::{Assets, Task};
use pavlov_prefs::{
    Asking, FitOptions, Known, LabelStore, Loss, Model, PairOptions, PairSampler, Pool, Rater, Scripted, Strategy,
    Teacher, Versions,
};
use pavlov_reward::Reward;
use pavlov_run::load_reward;
use pavlov_vision::{Eyes, Goal, Onlooker};
use std::sync::Arc;

/// Pairs from which a teacher takes its spread and thresholds.
const SAMPLE: usize = 200;

/// Who answers which question, made once for any number of pools.
pub struct Desk<'a> {
    assets: &'a Assets,
    task: &'a Task,
    args: &'a Answering,
    /// Reward a teacher judges by; one whose terms the learner sees.
    truth: Reward,
    terms: Reward,
    seed: u64,
}

impl<'a> Desk<'a> {
    /// From the command line; `terms` is the reward whose terms the learner sees, the truth's when omitted.
    pub fn new(
        assets: &'a Assets,
        task: &'a Task,
        args: &'a Answering,
        terms: Option<&str>,
        seed: u64,
    ) -> Result<Self> {
        let truth = load_reward(assets, task, args.truth.as_deref())?;
        let terms = match terms {
            Some(name) => load_reward(assets, task, Some(name))?,
            None => truth.clone(),
        };
        Ok(Self { assets, task, args, truth, terms, seed })
    }

    /// Asks about segments of a pool; every answer is in the store before the next question. `usual` is the strategy
    /// where none was asked for; what this rater has answered before counts.
    pub fn ask(
        &self,
        pool: &Pool,
        store: &mut LabelStore,
        count: usize,
        usual: Strategy,
    ) -> Result<Vec<pavlov_prefs::Label>> {
        let args = self.args;
        let pairs = PairOptions {
            length: args.length,
            any_reset: args.any_reset,
            siblings: args.siblings,
            ..PairOptions::default()
        };
        let asking = Asking {
            count,
            batch: args.batch as usize,
            strategy: args.strategy.as_deref().map_or(Ok(usual), Strategy::named)?,
            pairs,
            seed: self.seed,
        };
        let truth = &self.truth;
        let script: Vec<u8> = truth.inputs().iter().filter_map(|p| std::fs::read(p).ok()).flatten().collect();
        let versions = Arc::new(Versions::of(truth.name(), pavlov_run::sha256(&script)));
        let sample = PairSampler::new(pool, pairs, self.seed ^ 0x5A)?.candidates(pool, SAMPLE);
        let sample: Vec<_> = sample.iter().map(|p| [&p.left, &p.right]).collect();
        let mut rater: Box<dyn Rater + '_> = if args.rater == Onlooker::NAME {
            Box::new(self.onlooker()?)
        } else {
            let teacher = self.teacher()?;
            Box::new(Scripted::new(&args.rater, teacher, (truth, self.task.scene()), pool, &sample, self.seed)?)
        };
        let known = match (asking.strategy, store.path().parent()) {
            (Strategy::Uniform, _) | (_, None) => Known::default(),
            (_, Some(runs)) => {
                let mut labels = store.labels()?;
                labels.retain(|l| *l.entry.rater == *args.rater);
                Known::of(runs, &self.terms, &labels, pool.task())?
            }
        };
        let keep = |entry: &pavlov_prefs::Entry| store.append(entry).map(drop);
        Ok(pavlov_prefs::ask_knowing(known, pool, &self.terms, rater.as_mut(), &asking, &versions, keep)?)
    }

    fn teacher(&self) -> Result<Teacher> {
        let args = self.args;
        let mut teacher = Teacher::named(&args.rater)?;
        teacher.beta = args.beta.unwrap_or(teacher.beta);
        teacher.mistakes = args.mistakes.unwrap_or(teacher.mistakes);
        if !(0.0..=1.0).contains(&teacher.mistakes) || teacher.beta.is_nan() || teacher.beta <= 0.0 {
            return Err(Usage(format!(
                "--beta {} --mistakes {}: expected above 0, and 0 to 1",
                teacher.beta, teacher.mistakes
            ))
            .into());
        }
        Ok(teacher)
    }

    /// A vision-language model that looks at segments.
    fn onlooker(&self) -> Result<Onlooker> {
        let Answering { goal, baseline, alpha, frames, sighted, .. } = self.args;
        let Some(goal) = goal else {
            return Err(Usage("--rater vision: give what it should see with --goal TEXT".into()).into());
        };
        let mut model = crate::vision::load(self.assets, sighted)?;
        let goal = model.text(goal)?;
        let baseline = baseline.as_ref().map(|b| model.text(b)).transpose()?;
        let goal = Goal::new(&goal, baseline.as_deref(), *alpha);
        let eyes = Eyes::new(self.task.model(), model, sighted.adapter)?;
        let sight = crate::vision::sight(sighted)?;
        Ok(Onlooker::new(eyes, goal, sight, self.task.scene().clone(), *frames as usize))
    }
}

/// How to learn, from the command line.
pub fn fit_options(args: &Learning, seed: u64) -> Result<FitOptions> {
    let loss = match args.loss.as_str() {
        "margin" => Loss::Margin(1.0),
        "scaled" => Loss::Scaled,
        _ => Loss::Plain,
    };
    Ok(FitOptions { model: Model::named(&args.learn)?, loss, members: args.members as usize, seed })
}
