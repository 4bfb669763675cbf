//! The search loop: propose, judge, train, ask; then the finalists, the last training, and the end.
//!
//! ```text
//! per iteration   propose ─ gate ─┬─ refused: back once with the errors (model), drawn again (generator)
//!                                 └─ admitted ─ train side by side, halving ─ fitness, statistics ─┐
//!                 next iteration <─ reflection / a person's best, worst and words ─────────────────┘
//! end             finalists again, longer ─ the best under fresh seeds, beside the human reward ─ intervals, report
//! ```
//! Every step looks up in the lineage what is decided already, decides the rest, and writes it down before going on.
//! Nothing depends on clocks (unless a limit in minutes is asked for), so a killed search ends as one that was not.

mod end;
mod human;
mod judge;
mod lock;
mod mode;
mod person;
mod propose;
mod settings;
mod slurm;
mod train;

pub use end::End;
pub use judge::{Judge, load, trusted};
pub use lock::LOCK;
pub use mode::{Basis, DropIn, Eureka, Icpl, JudgedBy, MODES, Mode, Text2reward, mode_named};
pub use person::{Nobody, Person, Scripted, Shown, comparisons};
pub use settings::{Floor, Generator, Given, Settings};
pub use slurm::{JobFile, Slurm, run_job};
pub use train::{Job, Progress, Trained, Training, train};

use crate::audit::{Audit, AuditSet};
use crate::client::Model;
use crate::error::SearchError;
use crate::grammar::{Genome, Parent, Quantity, Ways, measure};
use crate::lineage::{Answer, At, Candidate, Lineage, Outcome, Point, Status};
use crate::prompt::Prompts;
use lock::Lock;
use pavlov_common::file;
use pavlov_env::{Assets, Task};
use pavlov_reward::Reward;
use pavlov_run::Overrides;
use rayon::ThreadPool;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a search needs besides its settings. Nothing of it changes what is decided.
pub struct Means<'a> {
    /// Where tasks and rewards are.
    pub assets: &'a Assets,
    /// Model, for the generator `llm`.
    pub model: Option<Model>,
    /// Prompts.
    pub prompts: Prompts,
    /// Who watches.
    pub person: Box<dyn Person + 'a>,
    /// Threads.
    pub threads: usize,
    /// Trains on a cluster when given.
    pub slurm: Option<Slurm>,
    /// Set to end early.
    pub stop: &'a AtomicBool,
    /// Hears of what happens.
    pub on_event: Box<dyn FnMut(&Event<'_>) + 'a>,
}

/// What happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// A candidate was judged.
    Judged(&'a Candidate),
    /// A candidate was trained, to this fitness; none where a rater judges, who is not told.
    Trained(&'a Candidate, Option<f64>),
    /// Someone answered.
    Answered(&'a Answer),
    /// Training goes on.
    Training(&'a Progress),
    /// The final training of a seed: found, human.
    Final(&'a Outcome),
    /// Anything else worth knowing.
    Note(&'a str),
}

/// A search under way. Its folder is locked as long as it is there.
pub struct Search<'a> {
    _lock: Lock,
    settings: Settings,
    folder: PathBuf,
    lineage: Lineage,
    means: Means<'a>,
    task: Arc<Task>,
    audit: Audit,
    pool: Arc<ThreadPool>,
    human: Arc<Reward>,
    catalogue: Vec<Quantity>,
    mortal: bool,
    candidates: Vec<Candidate>,
    outcomes: Vec<Outcome>,
    answers: Vec<Answer>,
}

impl<'a> Search<'a> {
    /// Starts a search in a folder, or goes on with the one that is there when its settings are the same.
    ///
    /// # Errors
    /// When settings are impossible, the folder has another search or another process is at it, or task, reward or
    /// audit set cannot be used.
    pub fn open(settings: &Settings, folder: &Path, mut means: Means<'a>) -> Result<Self, SearchError> {
        settings.check()?;
        let task = Task::load(means.assets, &settings.task)?;
        if !folder.join(human::COPY).is_dir() {
            human::find(means.assets, &task, &settings.human)?;
        }
        if settings.generator == Generator::Llm && settings.mode.generates() && means.model.is_none() {
            return Err(SearchError::Usage(
                "generator llm: give --base-url URL and --model NAME, or --replay FILE".into(),
            ));
        }
        let lock = Lock::take(folder)?;
        let lineage = Lineage::open(folder)?;
        match lineage.get::<Settings>("settings")? {
            Some(known) if known != *settings => {
                let message = format!(
                    "{} has a search with other settings: `pavlov search resume` goes on with it, --out names another \
                     folder",
                    folder.display()
                );
                return Err(SearchError::Usage(message));
            }
            Some(_) => {}
            None => lineage.set("settings", settings)?,
        }
        let human = human::own_copy(means.assets, &task, &settings.human, folder)?;
        keep_hashes(&lineage, &task, &human, folder)?;
        let pool = Arc::new(pavlov_run::thread_pool(means.threads)?);
        let audit = AuditSet::load(means.assets, &task)?.play(&task, &pool)?;
        let judged = settings.mode.judged_by() == JudgedBy::Fitness;
        let uses_grammar = settings.generator == Generator::Embedded && settings.mode.generates();
        let catalogue = if uses_grammar { measure(&task, &audit, judged, &pool)? } else { Vec::new() };
        let mortal = audit.rollouts.info.episodes.iter().any(|e| e.terminated);
        let mut search = Self {
            _lock: lock,
            settings: settings.clone(),
            folder: folder.to_path_buf(),
            candidates: lineage.candidates()?,
            outcomes: lineage.outcomes()?,
            answers: lineage.answers()?,
            lineage,
            task: Arc::new(task),
            audit,
            pool,
            human: Arc::new(human),
            catalogue,
            mortal,
            means: {
                if let Some(model) = &mut means.model {
                    model.budget.spent = crate::client::Spent::default();
                }
                means
            },
        };
        search.recount()?;
        Ok(search)
    }

    /// What was spent before a resume counts.
    fn recount(&mut self) -> Result<(), SearchError> {
        if let Some(model) = &mut self.means.model {
            for e in self.lineage.exchanges()? {
                let (tokens_in, tokens_out) = (e.tokens_in, e.tokens_out);
                model.budget.spend(&crate::client::Reply { tokens_in, tokens_out, ..crate::client::Reply::default() });
            }
        }
        Ok(())
    }

    /// The lineage.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Does all of it, or what is left of it.
    ///
    /// # Errors
    /// When something fails, or it was asked to stop: then it can be resumed.
    pub fn run(&mut self) -> Result<End, SearchError> {
        if let Some(end) = self.lineage.get::<End>("end")? {
            return Ok(end);
        }
        for iteration in 0..self.settings.rounds() {
            if self.is_over(iteration)? {
                break;
            }
            let clock = Instant::now();
            let cut = self.propose(iteration)?;
            self.lineage.took("propose", clock.elapsed().as_secs_f64())?;
            self.halt()?;
            self.train(iteration)?;
            self.ask(iteration)?;
            if cut {
                break;
            }
        }
        self.finish()
    }

    fn halt(&self) -> Result<(), SearchError> {
        if self.means.stop.load(Ordering::Relaxed) { Err(SearchError::Stopped) } else { Ok(()) }
    }

    fn note(&mut self, text: &str) {
        (self.means.on_event)(&Event::Note(text));
    }

    /// Has a budget ended the search before this iteration, or has fitness stopped improving?
    fn is_over(&mut self, iteration: u32) -> Result<bool, SearchError> {
        if let Some(cut) = self.lineage.get::<u32>("cut")?
            && iteration > cut
        {
            return Ok(true);
        }
        let patience = self.settings.patience;
        if patience == 0 || iteration <= patience || self.settings.mode.judged_by() == JudgedBy::Rater {
            return Ok(false);
        }
        let best_until = |until: u32| {
            let before = self.candidates.iter().filter(|c| c.at.iteration < until);
            before.filter_map(|c| self.fitness(c.at)).fold(f64::NEG_INFINITY, f64::max)
        };
        let over = best_until(iteration) <= best_until(iteration - patience);
        if over {
            self.note(&format!("no better candidate in {patience} iterations: the search ends"));
        }
        Ok(over)
    }

    /// Mean fitness of a candidate over the seeds of the search.
    pub fn fitness(&self, at: At) -> Option<f64> {
        let fitness: Vec<f64> = self.search_outcomes(at).map(|o| o.fitness).collect();
        (!fitness.is_empty()).then(|| fitness.iter().sum::<f64>() / fitness.len() as f64)
    }

    fn search_outcomes(&self, at: At) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(move |o| o.at == Some(at) && o.stage == "search" && o.error.is_none())
    }

    fn candidate(&self, at: At) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.at == at)
    }

    fn put(&mut self, c: Candidate) -> Result<(), SearchError> {
        self.lineage.put(&c)?;
        (self.means.on_event)(&Event::Judged(&c));
        self.candidates.retain(|o| o.at != c.at);
        self.candidates.push(c);
        self.candidates.sort_by_key(|c| c.at);
        Ok(())
    }

    /// Candidates with which something can be made, of iterations before this one, with what they are worth.
    fn parents(&self, iteration: u32) -> Vec<Parent> {
        let episode_steps = self.task.episode_steps();
        let parent = |c: &Candidate| {
            let outcome = self.search_outcomes(c.at).next()?;
            Some(Parent {
                at: c.at,
                genome: Genome::from_json(&c.genes)?,
                merit: self.settings.mode.merit(self, c.at, iteration)?,
                curve: self.told(&outcome.curve),
                episode_steps,
            })
        };
        self.candidates.iter().filter(|c| c.at.iteration < iteration).filter_map(parent).collect()
    }

    /// A learning curve as the generator is told of it: without fitness where a rater judges.
    fn told(&self, curve: &[Point]) -> Vec<Point> {
        let blind = |p: &Point| Point { fitness: None, success: None, ..p.clone() };
        match self.settings.mode.judged_by() {
            JudgedBy::Fitness => curve.to_vec(),
            JudgedBy::Rater => curve.iter().map(blind).collect(),
        }
    }

    fn ways(&self) -> Ways {
        Ways { reflection: self.settings.reflection, islands: self.settings.islands, mortal: self.mortal }
    }

    fn overrides(&self, steps: u64) -> Result<Overrides, SearchError> {
        let s = &self.settings;
        let profile = s.profile.as_deref().map(str::parse).transpose().map_err(SearchError::Usage)?;
        Ok(Overrides {
            worlds: s.worlds,
            steps: Some(steps),
            threads: Some(self.means.threads),
            profile,
            set: s.set.clone(),
            ..Overrides::default()
        })
    }

    /// How the human reward is trained in the end: as its task file says, but for how fitness is measured.
    fn overrides_of_human(&self) -> Result<Overrides, SearchError> {
        let s = &self.settings;
        if s.human_steps == 0 {
            return self.overrides(s.final_steps);
        }
        let set = s.set.iter().filter(|setting| setting.trim_start().starts_with("eval_")).cloned().collect();
        Ok(Overrides { worlds: None, set, ..self.overrides(s.human_steps)? })
    }

    fn seeds(&self, offset: u64, count: u32) -> Vec<u64> {
        // Apart from each other by more than anyone counts.
        (0..u64::from(count)).map(|k| self.settings.seed + offset + k).collect()
    }

    /// Trains these candidates here or on the cluster.
    fn train_jobs(&mut self, jobs: &[Job], training: &Training, name: &str) -> Result<Vec<Trained>, SearchError> {
        let clock = Instant::now();
        let trained = match &self.means.slurm {
            Some(slurm) => slurm.train(
                self.means.assets,
                &self.settings.task,
                jobs,
                training,
                &self.folder.join("jobs").join(name),
                self.means.stop,
            )?,
            None => {
                let on_event = &mut self.means.on_event;
                let mut on_update = |p: &Progress| on_event(&Event::Training(p));
                train(&self.task, jobs, training, &self.pool, self.means.stop, &mut on_update)?
            }
        };
        self.lineage.took(training.stage, clock.elapsed().as_secs_f64())?;
        Ok(trained)
    }

    fn job(&self, c: &Candidate) -> Result<Job, SearchError> {
        let reward = load(&self.task, &c.at.to_string(), &c.script, &c.manifest)?;
        Ok(Job { at: Some(c.at), reward: Arc::new(reward) })
    }

    /// Trains what was admitted in an iteration.
    fn train(&mut self, iteration: u32) -> Result<(), SearchError> {
        let due: Vec<Candidate> = self
            .candidates
            .iter()
            .filter(|c| c.at.iteration == iteration && c.status == Status::Admitted)
            .cloned()
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let jobs = due.iter().map(|c| self.job(c)).collect::<Result<Vec<_>, _>>()?;
        let minutes = self.settings.minutes.map(|m| m * jobs.len() as f64);
        let training = Training {
            overrides: self.overrides(self.settings.steps)?,
            seeds: self.seeds(0, self.settings.seeds),
            // A rater compares what was trained alike.
            halving: self.settings.halving && self.settings.mode.judged_by() == JudgedBy::Fitness,
            stage: "search",
            limit: minutes.map(|m| Duration::from_secs_f64(60.0 * m)),
        };
        let trained = self.train_jobs(&jobs, &training, &iteration.to_string())?;
        self.clips(&jobs, &trained)?;
        let with_status = |(c, t): (Candidate, &Trained)| Candidate { status: t.status, ..c };
        let candidates: Vec<Candidate> = due.into_iter().zip(&trained).map(with_status).collect();
        let outcomes: Vec<Outcome> = trained.into_iter().flat_map(|t| t.outcomes).collect();
        self.lineage.put_outcomes(&outcomes, &candidates)?;
        self.outcomes.extend(outcomes);
        for c in candidates {
            let is_told = self.settings.mode.judged_by() == JudgedBy::Fitness;
            let fitness = is_told.then(|| self.fitness(c.at).unwrap_or(f64::NAN));
            (self.means.on_event)(&Event::Trained(&c, fitness));
            if let Some(known) = self.candidates.iter_mut().find(|known| known.at == c.at) {
                *known = c;
            }
        }
        Ok(())
    }

    /// Clips of what the policies do, for people to watch.
    fn clips(&self, jobs: &[Job], trained: &[Trained]) -> Result<(), SearchError> {
        let folder = self.folder.join("clips");
        file::make_folder_in(&self.folder, &folder).map_err(|e| SearchError::file("create", &folder, e))?;
        let profile = self.overrides(1)?.profile.unwrap_or_default();
        for (job, t) in jobs.iter().zip(trained).filter(|(_, t)| t.status == Status::Trained) {
            if let (Some(at), Some(policy), Some(seed)) =
                (job.at, t.policies.first(), t.outcomes.first().map(|o| o.seed))
            {
                let seed = seed.wrapping_add(pavlov_run::SEED_OFFSET);
                let backend = pavlov_env::BackendKind::Batch;
                let clip = pavlov_run::record(&self.task, &job.reward, policy, seed, profile, backend)?;
                let path = clip_path(&self.folder, at);
                file::no_links(&self.folder, &path).map_err(|e| SearchError::file("write", &path, e))?;
                clip.write(&path)?;
            }
        }
        Ok(())
    }

    /// Candidates as a person is shown them.
    fn views(&self, list: &[At]) -> Vec<Shown> {
        let view = |(place, at): (usize, &At)| {
            let clip = clip_path(&self.folder, *at);
            let fitness = self.search_outcomes(*at).next().map_or(f64::NEG_INFINITY, |o| o.shown);
            Shown { at: *at, place: place as u32, clip: clip.is_file().then_some(clip), fitness }
        };
        list.iter().enumerate().map(view).collect()
    }

    /// Asks whoever watches, once an iteration.
    fn ask(&mut self, iteration: u32) -> Result<(), SearchError> {
        if self.answers.iter().any(|a| a.iteration == iteration) {
            return Ok(());
        }
        let mode = self.settings.mode;
        if let Some(answer) = mode.ask(self, iteration)? {
            self.lineage.put_answer(&answer)?;
            (self.means.on_event)(&Event::Answered(&answer));
            self.answers.push(answer);
        }
        Ok(())
    }

    /// Words about the best so far: those known beforehand, else a person's.
    fn ask_for_words(&mut self, iteration: u32) -> Result<Option<Answer>, SearchError> {
        let given = self.settings.words.get(iteration as usize).filter(|w| !w.trim().is_empty()).cloned();
        let best = self.settings.mode.base(self, iteration + 1, 0);
        let text = match (given, self.views(best.as_slice()).first()) {
            (Some(text), _) => Some(text),
            (None, Some(best)) => self.means.person.words(iteration, best)?,
            (None, None) => None,
        };
        Ok(text.map(|text| Answer { iteration, rater: "person".into(), text, ..Answer::default() }))
    }

    /// The fittest candidate of the iterations before this one, of the place's island.
    fn fittest(&self, iteration: u32, place: u32) -> Option<At> {
        let islands = self.settings.islands.max(1);
        let is_near = |c: &&Candidate| c.at.iteration < iteration && c.at.place % islands == place % islands;
        let scored = |c: &Candidate| Some((self.fitness(c.at)?, c.at));
        let all = self.candidates.iter().filter(is_near).filter_map(scored);
        all.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, at)| at)
    }

    /// Rewards by candidate, loaded once.
    fn rewards(&self, candidates: &[At]) -> HashMap<At, Reward> {
        let loaded = |at: &At| {
            let c = self.candidate(*at)?;
            Some((*at, load(&self.task, &at.to_string(), &c.script, &c.manifest).ok()?))
        };
        candidates.iter().filter_map(loaded).collect()
    }
}

/// Where the clip of a candidate is.
pub fn clip_path(folder: &Path, at: At) -> PathBuf {
    folder.join("clips").join(format!("{}.jsonl", at.to_string().replace('/', "-")))
}

/// Notes the hash of every file that the search is made from, or refuses to go on when one has changed: what was found
/// before would be compared with what is found in another task.
fn keep_hashes(lineage: &Lineage, task: &Task, human: &Reward, folder: &Path) -> Result<(), SearchError> {
    let modules = task.modules().into_iter().map(|(_, path)| path);
    let mut hashes: BTreeMap<String, String> = BTreeMap::new();
    for path in task.inputs.iter().chain(human.inputs()).cloned().chain(modules) {
        let bytes = pavlov_common::file::read(&path, pavlov_common::file::NUMBERS)
            .map_err(|e| SearchError::file("read", &path, e))?;
        // The same file in another folder is the same file.
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        hashes.insert(name, pavlov_run::sha256(&bytes));
    }
    match lineage.get::<BTreeMap<String, String>>("inputs")? {
        None => lineage.set("inputs", &hashes),
        Some(known) => match hashes.iter().find(|(name, hash)| known.get(*name).is_some_and(|k| k != *hash)) {
            None => Ok(()),
            Some((name, _)) => Err(SearchError::Usage(format!(
                "{name} was changed since the search in {} began: put it back as it was, or begin another search with \
                 --out",
                folder.display()
            ))),
        },
    }
}
