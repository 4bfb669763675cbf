//! Rounds of learning from a rater: train, look, ask, learn, and train on with what was learnt.
//!
//! ```text
//! round 0: train on the reward to begin with ─ ask ─ learn ─ reward-1
//! round k: train on reward-k, from the policy of round k - 1 ─ ask ─ learn ─ reward-(k + 1)
//! the end: train on the last reward
//! ```
//! Where labels determine nothing, or `admit` refuses what was learnt, there is no `reward-(k + 1)`: the next training
//! is on the newest reward that there is. (Christiano et al. 2017; with siblings from states of the newest policy.) The
//! budget of labels is spent in equal parts. Fitness is measured and logged; nothing learns from it.
//!
//! Everything is in the folder `<runs>/<name>`: `rounds.jsonl` (a line a round that is finished), the rewards and
//! `since` (the last label before it); the runs stand beside it as `<name>-0`, `<name>-1`, … A loop that was stopped or
//! killed continues with the same command: finished rounds are not done again, a run that was begun is resumed, and
//! labels that were given count.

use crate::dataset::{Dataset, Quality};
use crate::error::PrefsError;
use crate::fit::{Fit, FitOptions};
use crate::folder::Combine;
use crate::label::Label;
use crate::segments::Pool;
use crate::store::LabelStore;
use pavlov_common::own;
use pavlov_env::{Assets, Task};
use pavlov_reward::Reward;
use pavlov_run::{BranchOptions, Overrides, ResumeOptions, RunConfig, RunFolder, Trainer, load_reward};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What the folder of a loop is made as.
const LOOP: &str = "a loop of preferences";

/// A loop.
#[derive(Debug, Clone)]
pub struct RoundsOptions {
    /// Task.
    pub task: String,
    /// Reward to begin with, whose terms a linear model weighs; the task's own when omitted.
    pub reward: Option<String>,
    /// Name of the loop.
    pub name: String,
    /// Labels in all.
    pub budget: usize,
    /// Times that the rater is asked.
    pub rounds: usize,
    /// What every training is made with; its seed is the loop's.
    pub overrides: Overrides,
    /// How labels are learnt from.
    pub fit: FitOptions,
    /// How members of an ensemble become one reward.
    pub combine: String,
    /// Its `lambda`.
    pub lambda: f64,
    /// States that siblings branch from in each round; 0: none.
    pub branch: BranchOptions,
    /// A person answers, who is shown pairs of all runs of the task: every label since the loop began counts, not only
    /// those about its own runs.
    pub person: bool,
}

/// A finished round, as in `rounds.jsonl`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Round {
    /// From 0; the last one asks nothing.
    pub round: usize,
    /// Name of its run.
    pub run: String,
    /// Reward it was trained on.
    pub reward: String,
    /// Fitness of its policy, and share of successes.
    pub fitness: f64,
    /// See [`Self::fitness`].
    pub success: f64,
    /// Labels so far.
    pub labels: usize,
    /// Model that was learnt; empty in the last round.
    pub model: String,
    /// Pairs held out, share of them told right, their log loss.
    pub held_out: usize,
    /// See [`Self::held_out`].
    pub accuracy: f64,
    /// See [`Self::held_out`].
    pub log_loss: f64,
    /// Why the next training is on the reward before, not on one that was learnt in this round; empty where it is not.
    pub kept: String,
    /// Environment steps and updates of its training.
    pub env_steps: u64,
    /// See [`Self::env_steps`].
    pub updates: u64,
}

/// A loop that is being done.
#[derive(Debug)]
pub struct Rounds {
    options: RoundsOptions,
    runs: PathBuf,
    task: Task,
    done: Vec<Round>,
    warnings: Vec<String>,
}

/// What a loop asks for: at least `missing` labels about segments of the pool (of the run), appended to the store.
pub type Ask<'a> = dyn FnMut(&Pool, &RunFolder, &mut LabelStore, usize) -> Result<(), PrefsError> + 'a;

/// Is a reward that was learnt fit to be trained on? Says why not.
pub type Admit<'a> = dyn FnMut(&Reward) -> Result<Option<String>, PrefsError> + 'a;

impl Rounds {
    /// A new loop, or one to go on with.
    ///
    /// # Errors
    /// When an option makes no sense, or what is there cannot be read.
    pub fn open(assets: &Assets, runs: &Path, options: RoundsOptions) -> Result<Self, PrefsError> {
        let RoundsOptions { budget, rounds, .. } = options;
        if rounds == 0 || budget < rounds {
            return Err(PrefsError::Usage(format!(
                "{budget} labels in {rounds} rounds: expected a round or more, and a label or more in each"
            )));
        }
        pavlov_common::names::file_name(&options.name).map_err(PrefsError::Usage)?;
        let task = Task::load(assets, &options.task).map_err(pavlov_run::RunError::from)?;
        let mut new = Self { options, runs: runs.into(), task, done: Vec::new(), warnings: Vec::new() };
        if let Err(e) = own::take(&new.folder(), LOOP, &["since", "rounds.jsonl"]) {
            return Err(if new.folder().is_dir() { new.is_not_own(&new.folder()) } else { e.into() });
        }
        let log = new.log();
        if log.is_file() {
            let text = pavlov_common::text::read(&log).map_err(|e| PrefsError::io("read", &log, e))?;
            for (i, line) in text.split_inclusive('\n').enumerate() {
                match serde_json::from_str::<Round>(line) {
                    Ok(round) if line.ends_with('\n') && round.round == i => new.done.push(round),
                    // A kill met it while it was written.
                    _ if !line.ends_with('\n') => {
                        let kept: String = text.split_inclusive('\n').take(i).collect();
                        pavlov_common::atomic::write(&log, kept.as_bytes())
                            .map_err(|e| PrefsError::io("write", &log, e.source))?;
                        new.warnings.push(format!(
                            "{}:{}: the last line was cut short when the loop was ended, and is taken away: its round is \
                             looked at again",
                            log.display(),
                            i + 1
                        ));
                    }
                    Ok(_) => return Err(PrefsError::damaged(&log, format!("line {}: not round {i}", i + 1))),
                    Err(e) => return Err(PrefsError::damaged(&log, format!("line {}: {e}", i + 1))),
                }
            }
        }
        // What cannot be written in the end is told before anything is trained.
        for k in new.done.len() + 1..=rounds {
            own::may_remove(&new.reward_folder(k), crate::folder::MADE_AS)?;
        }
        Ok(new)
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.runs.join(&self.options.name)
    }

    fn log(&self) -> PathBuf {
        self.folder().join("rounds.jsonl")
    }

    /// What is to be said before the next round: what was not as it should be.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Rounds that are finished.
    pub fn done(&self) -> &[Round] {
        &self.done
    }

    /// Does the next round; none when all are done, or `stop` was set.
    ///
    /// # Errors
    /// When training, asking or learning fails.
    pub fn next(
        &mut self,
        assets: &Assets,
        ask: &mut Ask<'_>,
        admit: &mut Admit<'_>,
        stop: &AtomicBool,
    ) -> Result<Option<Round>, PrefsError> {
        let k = self.done.len();
        let RoundsOptions { rounds, budget, .. } = self.options;
        if k > rounds {
            return Ok(None);
        }
        let last = k == rounds;
        let mut store = LabelStore::open(&LabelStore::path_in(&self.runs))?;
        self.since(&store)?;
        let Some((run, mut round)) = self.train(assets, k, stop)? else { return Ok(None) };
        if !last {
            let file = run.branches().join(format!("branch-{:09}-{k}.safetensors", round.updates));
            if self.options.branch.states > 0 && !file.is_file() {
                let pool = pavlov_run::thread_pool(std::thread::available_parallelism().map_or(1, usize::from))?;
                let branch = BranchOptions { seed: k as u64, ..self.options.branch };
                match pavlov_run::branch(&run, &branch, &pool) {
                    Ok(_) => {}
                    // A policy that does not live long enough has no siblings yet.
                    Err(pavlov_run::RunError::Usage(_)) if branch.length <= self.task.episode_steps() => {}
                    Err(e) => return Err(e.into()),
                }
            }
            let pool = Pool::open([&run])?;
            let wanted = budget * (k + 1) / rounds;
            let have = self.labels(&store)?.len();
            if wanted > have {
                ask(&pool, &run, &mut store, wanted - have)?;
            }
        }
        let labels = self.labels(&store)?;
        round.labels = labels.len();
        if !last {
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                return Ok(None);
            }
            let (fit, kept) = self.learn(assets, &labels, k + 1, admit)?;
            round.kept = kept.unwrap_or_default();
            let Quality { pairs, accuracy, log_loss, .. } = fit.quality;
            (round.held_out, round.accuracy, round.log_loss) = (pairs, accuracy, log_loss);
            round.model = fit.name().into();
        }
        let log = self.log();
        let wrong = |e| PrefsError::io("write", &log, e);
        std::fs::create_dir_all(self.folder()).map_err(wrong)?;
        let mut file = pavlov_common::file::append_in(&self.folder(), &log).map_err(wrong)?;
        let line = serde_json::to_string(&round).map_err(|e| PrefsError::Failed(e.to_string()))?;
        file.write_all((line + "\n").as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
        self.done.push(round.clone());
        Ok(Some(round))
    }

    fn run_name(&self, k: usize) -> String {
        format!("{}-{k}", self.options.name)
    }

    /// Trains round `k`, or what is left of it.
    fn train(
        &mut self,
        assets: &Assets,
        k: usize,
        stop: &AtomicBool,
    ) -> Result<Option<(RunFolder, Round)>, PrefsError> {
        let name = self.run_name(k);
        let path = self.runs.join(&name);
        let mut trainer = if path.join("config.toml").exists() {
            self.check_own(&path, k)?;
            Trainer::resume(&path, &ResumeOptions::default())?
        } else {
            let is_taken = std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some());
            if is_taken && !own::is_ours(&path, pavlov_run::RUN_FOLDER) {
                return Err(self.is_not_own(&path));
            }
            let from = (k > 0).then(|| self.runs.join(self.run_name(k - 1)));
            let asked = Overrides { from, ..self.options.overrides.clone() };
            // A round that determined nothing has left no reward.
            let newest = (1..=k).rev().map(|j| self.reward_folder(j)).find(|folder| folder.is_dir());
            let reward = newest.map(|folder| folder.display().to_string()).or_else(|| self.options.reward.clone());
            Trainer::create(assets, &self.task.name, reward.as_deref(), &asked, &self.runs, Some(&path))?
        };
        self.warnings.extend(trainer.take_warnings());
        let reason = trainer.run(stop, |_, update| self.warnings.extend(update.warnings.iter().cloned()))?;
        if reason == pavlov_run::Stop::Interrupted {
            trainer.finish(reason)?;
            return Ok(None);
        }
        let summary = trainer.finish(reason)?;
        let (fitness, success) = summary.evaluation.as_ref().map_or((0.0, 0.0), |e| (e.fitness.mean, e.success.mean));
        let round = Round {
            round: k,
            run: name,
            reward: summary.reward.clone(),
            fitness,
            success,
            env_steps: summary.env_steps,
            updates: summary.updates,
            ..Round::default()
        };
        Ok(Some((trainer.folder().clone(), round)))
    }

    /// Refuses to go on with a run in the place of round `k` that is none of this loop.
    fn check_own(&self, path: &Path, k: usize) -> Result<(), PrefsError> {
        let config = RunConfig::read(&path.join("config.toml"))?;
        let seed = self.options.overrides.seed.unwrap_or(0);
        if config.task == self.task.name && config.seed == seed && config.from.is_some() == (k > 0) {
            return Ok(());
        }
        Err(self.is_not_own(path))
    }

    fn is_not_own(&self, path: &Path) -> PrefsError {
        PrefsError::Usage(format!(
            "{}: the loop would train a round there, and something else is in it, which stays as it is: move it away, \
             or give the loop another --name than {}",
            path.display(),
            self.options.name
        ))
    }

    fn reward_folder(&self, k: usize) -> PathBuf {
        self.folder().join(format!("reward-{k}"))
    }

    /// Labels of this loop.
    fn labels(&self, store: &LabelStore) -> Result<Vec<Label>, PrefsError> {
        let names: Vec<String> = (0..=self.options.rounds).map(|k| self.run_name(k)).collect();
        let since = self.since(store)?;
        let in_loop = |l: &Label| match self.options.person {
            true => l.id > since && *l.entry.task == *self.task.name,
            false => l.entry.segments.first().is_some_and(|s| names.contains(&s.run)),
        };
        Ok(store.labels()?.into_iter().filter(in_loop).collect())
    }

    /// Number of the last label before the loop.
    fn since(&self, store: &LabelStore) -> Result<u64, PrefsError> {
        let path = self.folder().join("since");
        if let Ok(text) = pavlov_common::text::read(&path) {
            let number = text.trim().parse();
            return number.map_err(|_| PrefsError::damaged(&path, format!("`{}`: expected a number", text.trim())));
        }
        let last = store.records()?.last().map_or(0, |l| l.id);
        let wrong = |e| PrefsError::io("write", &path, e);
        std::fs::create_dir_all(self.folder()).map_err(wrong)?;
        pavlov_common::atomic::write_in(&self.folder(), &path, format!("{last}\n").as_bytes())
            .map_err(|e| wrong(e.source))?;
        Ok(last)
    }

    /// Learns from all labels so far, and writes reward `k`, or says why there is none.
    fn learn(
        &self,
        assets: &Assets,
        labels: &[Label],
        k: usize,
        admit: &mut Admit<'_>,
    ) -> Result<(Fit, Option<String>), PrefsError> {
        let reward = load_reward(assets, &self.task, self.options.reward.as_deref())?;
        let data = Dataset::of(labels, &self.task.name, None);
        data.check()?;
        let pool = Pool::of_segments(&self.runs, &data.segments)?;
        let fit = Fit::of(&pool, &reward, &data, &self.options.fit)?;
        let folder = self.reward_folder(k);
        // Of a round that was not finished.
        let remove = || own::remove_only(&folder, crate::folder::MADE_AS, &crate::folder::FILES);
        remove()?;
        if let Some(doubt) = fit.doubt() {
            return Ok((fit, Some(doubt)));
        }
        let combine = Combine { kind: &self.options.combine, lambda: self.options.lambda };
        fit.write(&folder, &reward, &self.task.name, combine)?;
        let learnt = Reward::load(&folder, &folder.display().to_string(), self.task.scene());
        let refusal = admit(&learnt.map_err(|e| PrefsError::Failed(e.to_string()))?)?;
        if refusal.is_some() {
            remove()?;
        }
        Ok((fit, refusal))
    }
}
