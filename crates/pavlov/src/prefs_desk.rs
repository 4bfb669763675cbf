//! Asking and learning as `prefs` and `prefs loop` share it.

use crate::Usage;
use crate::prefs_args::{Answering, Learning};
use anyhow::Result;
use pavlov_common::file;
use pavlov_env::{Assets, Task};
use pavlov_prefs::{
    Answered, Asking, Before, Entry, FitOptions, Known, Label, LabelStore, Loss, Model, PairOptions, PairSampler, Pool,
    Rater, Scripted, Strategy, Teacher, Versions,
};
use pavlov_reward::Reward;
use pavlov_run::load_reward;
use pavlov_vision::{Eyes, Goal, Onlooker};
use std::sync::Arc;

/// Pairs from which a teacher takes its spread and thresholds.
const SAMPLE: usize = 200;

/// Times that more questions are drawn when some are answered already.
const SITTINGS: usize = 20;

/// What asking gave.
#[derive(Debug, Default)]
pub struct Asked {
    /// Labels that were added.
    pub labels: Vec<Entry>,
    /// Answers that were in the store already.
    pub known: usize,
    /// Labels that say something else than an earlier one by the same rater about the same segments.
    pub otherwise: usize,
}

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
    /// where none was asked for; what this rater has answered before counts. The same questions asked again add nothing
    /// where the answers are the same.
    pub fn ask(&self, pool: &Pool, store: &mut LabelStore, count: usize, usual: Strategy) -> Result<Asked> {
        self.ask_with(pool, store, count, usual, self.seed)
    }

    /// Asks until there are so many more labels, passing over what is known: a sitting that was broken off goes on with
    /// other questions.
    pub fn ask_more(&self, pool: &Pool, store: &mut LabelStore, count: usize, usual: Strategy) -> Result<()> {
        let runs: Vec<&str> = pool.files().iter().map(|file| file.run.as_str()).collect();
        let is_of_pool = |label: &Label| label.entry.segments.iter().any(|s| runs.contains(&s.run.as_str()));
        let mut missing = count;
        for _ in 0..SITTINGS {
            let before = store.labels()?.iter().filter(|label| is_of_pool(label)).count() as u64;
            let added = self.ask_with(pool, store, missing, usual, self.seed.wrapping_add(before))?.labels.len();
            missing = missing.saturating_sub(added);
            if missing == 0 {
                return Ok(());
            }
            if added == 0 {
                break;
            }
        }
        let text =
            format!("{missing} labels are missing: all pairs that were drawn from the newest run are answered already");
        Err(Usage(format!("{text}; give a smaller --budget, or a shorter --length")).into())
    }

    fn ask_with(&self, pool: &Pool, store: &mut LabelStore, count: usize, usual: Strategy, seed: u64) -> Result<Asked> {
        let args = self.args;
        let pairs = PairOptions {
            length: args.length,
            any_reset: args.any_reset,
            siblings: args.siblings,
            ..PairOptions::default()
        };
        let strategy = args.strategy.as_deref().map_or(Ok(usual), Strategy::named)?;
        let asking = Asking { count, batch: args.batch as usize, strategy, pairs, seed };
        let truth = &self.truth;
        let script = truth.inputs().iter().find(|p| p.extension().is_some_and(|e| e == "rhai"));
        let hash = script.and_then(|p| file::read(p, file::TEXT).ok()).map(|text| pavlov_run::sha256(&text));
        let versions = Arc::new(Versions::of(truth.name(), hash.unwrap_or_default()));
        let sample = PairSampler::new(pool, pairs, seed ^ 0x5A)?.candidates(pool, SAMPLE);
        let sample: Vec<_> = sample.iter().map(|p| [&p.left, &p.right]).collect();
        let mut rater: Box<dyn Rater + '_> = if args.rater == Onlooker::NAME {
            Box::new(self.onlooker()?)
        } else {
            let teacher = self.teacher()?;
            Box::new(Scripted::new(&args.rater, teacher, (truth, self.task.scene()), pool, &sample, seed)?)
        };
        let labels = store.labels()?;
        let answered = Answered::of(&labels);
        let known = match (asking.strategy, store.path().parent()) {
            (Strategy::Uniform, _) | (_, None) => Known::default(),
            (_, Some(runs)) => {
                let own: Vec<Label> = labels.into_iter().filter(|l| *l.entry.rater == *args.rater).collect();
                Known::of(runs, &self.terms, &own, pool.task())?
            }
        };
        let mut asked = Asked::default();
        let keep = |entry: &Entry| {
            match answered.before(entry) {
                Before::Same => {
                    asked.known += 1;
                    return Ok(());
                }
                Before::Otherwise => asked.otherwise += 1,
                Before::New => {}
            }
            store.append(entry)?;
            asked.labels.push(entry.clone());
            Ok(())
        };
        pavlov_prefs::ask_knowing(known, pool, &self.terms, rater.as_mut(), &asking, &versions, keep)?;
        Ok(asked)
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
