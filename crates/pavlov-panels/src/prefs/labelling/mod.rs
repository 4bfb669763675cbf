//! A session of labelling: what is asked, what is stored, and the clips that the scene shows for it.

mod panel;

use super::query::{Mode, Query, draw};
use super::source::{pool, sampler};
use super::waiting::Queue;
use crate::keys::{self, Action};
use crate::scene::Stage;
use egui::{Context, Key};
use pavlov_env::Task;
use pavlov_prefs::{
    Answer, Choice, Entry, Label, LabelStore, PairSampler, Pool, PrefsError, RaterStats, Segment, Versions, stats,
};
use pavlov_reward::Reward;
use pavlov_run::sha256;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Draws that try to find another pair than those that wait.
const DRAWS: usize = 50;

/// A labelling session of one task.
pub struct Labelling {
    task: Arc<Task>,
    runs: PathBuf,
    pool: Pool,
    /// Runs that have recorded something.
    known: Vec<String>,
    /// The one whose pieces are shown; all when none.
    only: Option<String>,
    sampler: PairSampler,
    store: LabelStore,
    labels: Vec<Label>,
    /// Who labels.
    pub rater: String,
    mode: Mode,
    length: u32,
    any_reset: bool,
    budget: usize,
    done: usize,
    stage: Stage,
    query: Query,
    waiting: Queue,
    shown: Instant,
    at: f64,
    playing: bool,
    speed: f64,
    strength: Option<u8>,
    best: Option<usize>,
    mark_from: Option<usize>,
    mark_of: usize,
    mark: String,
    note: String,
    message: String,
    versions: Arc<Versions>,
    reward: Option<Arc<Reward>>,
    /// What has happened, for whoever watches from outside.
    pub notes: Vec<String>,
}

impl Labelling {
    /// A session over all runs of a task that have recorded something. `reward`, with its script, marks where clips
    /// differ and stands under the labels.
    ///
    /// # Errors
    /// In words, with what to do: when there are no runs, nothing to compare, or the store cannot be opened.
    pub fn open(
        runs: &Path,
        task: &Arc<Task>,
        rater: &str,
        reward: Option<(&Arc<Reward>, &str)>,
    ) -> Result<Self, String> {
        let length = 50.min(task.episode_steps() as u32 / 2).max(2);
        let (pool, known) = pool(runs, task, None)?;
        let sampler =
            sampler(&pool, length, false).or_else(|_| sampler(&pool, 10, false)).map_err(|e| e.to_string())?;
        let store = LabelStore::open(&LabelStore::path_in(runs)).map_err(|e| e.to_string())?;
        let labels = store.labels().map_err(|e| e.to_string())?;
        let mut labelling = Self {
            stage: Stage::new(task.model()).map_err(|e| e.to_string())?,
            task: task.clone(),
            runs: runs.to_path_buf(),
            pool,
            known,
            only: None,
            sampler,
            store,
            labels,
            rater: if rater.is_empty() { default_rater() } else { rater.into() },
            mode: Mode::Pair,
            length,
            any_reset: false,
            budget: 50,
            done: 0,
            query: Query::default(),
            waiting: Queue::default(),
            shown: Instant::now(),
            at: 0.0,
            playing: true,
            speed: 1.0,
            strength: None,
            best: None,
            mark_from: None,
            mark_of: 0,
            mark: "good".into(),
            note: String::new(),
            message: String::new(),
            versions: versions(reward),
            reward: reward.map(|r| r.0.clone()),
            notes: vec!["labelling".into()],
        };
        labelling.ask().map_err(|e| e.to_string())?;
        Ok(labelling)
    }

    /// From now on the clips are shown under this reward, with its script.
    pub fn set_reward(&mut self, reward: Option<(&Arc<Reward>, &str)>) {
        let is_same = match (&self.reward, reward) {
            (Some(old), Some((new, _))) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.versions = versions(reward);
            self.reward = reward.map(|r| r.0.clone());
        }
    }

    /// The clips at the present frame, side by side: robot `i` is clip `i`.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Number of clips.
    pub fn clips(&self) -> usize {
        self.query.segments.len()
    }

    /// The question.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Statistics of this rater.
    pub fn stats(&self) -> RaterStats {
        stats(&self.labels).raters.remove(&self.rater).unwrap_or_default()
    }

    /// Title of a clip, and whether the person has chosen it.
    pub fn title(&self, clip: usize) -> String {
        match (self.mode, self.best) {
            (Mode::Pair, _) => if clip == 0 { "Left" } else { "Right" }.into(),
            (Mode::BestWorst(_), Some(best)) if best == clip => format!("{}: best", clip + 1),
            _ => format!("{}", clip + 1),
        }
    }

    /// The next question: one that waits and is due, else another than those that wait.
    fn ask(&mut self) -> Result<(), PrefsError> {
        if let Some(due) = self.waiting.take() {
            // Its run may be gone by now.
            if self.show(due.segments, due.repeat).is_ok() {
                return Ok(());
            }
        }
        let mut draw = || draw(&mut self.sampler, &self.pool, self.mode, &self.labels, &self.rater);
        let (mut segments, mut repeat) = draw();
        // Where there are few pairs, one that waits is asked all the same.
        for _ in 0..DRAWS {
            if !self.waiting.holds(&segments) {
                break;
            }
            (segments, repeat) = draw();
        }
        self.show(segments, repeat)
    }

    /// Shows these segments.
    fn show(&mut self, segments: Vec<Segment>, repeat: bool) -> Result<(), PrefsError> {
        self.query = Query::new(&self.pool, &self.task, segments, repeat, self.reward.as_deref())?;
        self.at = 0.0;
        self.playing = true;
        self.best = None;
        self.mark_from = None;
        self.mark_of = 0;
        self.strength = None;
        self.shown = Instant::now();
        self.pose();
        Ok(())
    }

    fn pose(&mut self) {
        let nq = self.stage.model().nq();
        let frame = self.frame();
        let poses: Vec<f32> =
            self.query.qpos.iter().flat_map(|q| q[frame * nq..(frame + 1) * nq].iter().copied()).collect();
        let n = self.query.qpos.len();
        self.stage.set_in(&poses, n, |_| [0.0, 0.0]);
    }

    fn frame(&self) -> usize {
        (self.at as usize).min(self.query.frames.saturating_sub(1))
    }

    /// Moves the clips on by `dt` s of the clock; they begin again at their end.
    pub fn advance(&mut self, ctx: &Context, dt: f64) {
        if self.playing && self.query.frames > 1 {
            self.at += dt * self.speed / self.query.dt.max(1e-6);
            // The last frame stays for a moment, so that the end is seen.
            if self.at > self.query.frames as f64 + 0.4 / self.query.dt.max(1e-6) {
                self.at = 0.0;
            }
            ctx.request_repaint();
        }
        self.pose();
    }

    fn entry(&self, answer: Answer) -> Entry {
        let is_mark = matches!(answer, Answer::Mark { .. });
        let shared = |s: &Segment| Arc::new(s.clone());
        let segments = if is_mark {
            self.query.segments.iter().skip(self.mark_of).take(1).map(shared).collect()
        } else {
            self.query.segments.iter().map(shared).collect()
        };
        Entry {
            task: self.task.name.as_str().into(),
            rater: self.rater.as_str().into(),
            segments,
            answer,
            took_ms: u32::try_from(self.shown.elapsed().as_millis()).unwrap_or(u32::MAX),
            versions: self.versions.clone(),
        }
    }

    /// Stores an answer; it is on the disk before the next question is shown.
    fn answer(&mut self, answer: Answer, next: bool) {
        let kind = answer.kind();
        let entry = self.entry(answer);
        let stored = self.store.append(&entry).and_then(|id| {
            self.labels = self.store.labels()?;
            Ok(id)
        });
        match stored {
            Ok(id) => {
                if next {
                    self.done += 1;
                    self.notes.push(format!("label {} is stored", self.done));
                }
                self.message = match kind {
                    "skip" => format!("stored as {id}: cannot be told. Nothing is learnt from it"),
                    _ => format!("{kind} stored as {id}"),
                };
            }
            Err(error) => {
                self.message = error.to_string();
                return;
            }
        }
        if next {
            self.next();
        }
    }

    fn next(&mut self) {
        if let Err(error) = self.ask() {
            self.message = error.to_string();
        }
    }

    /// Another question; this one is asked again later. Nothing is stored.
    fn pass_over(&mut self) {
        self.waiting.later(self.query.segments.clone(), self.query.repeat);
        self.next();
    }

    /// Takes the rater's last label of this task back, by a further record, and shows what it was about.
    fn undo(&mut self) {
        let undone = self.store.labels().and_then(|labels| {
            let mine = |l: &&Label| *l.entry.task == *self.task.name && *l.entry.rater == *self.rater;
            let Some(last) = labels.into_iter().rev().find(|l| mine(&l)) else { return Ok(None) };
            self.store.retract(last.id, &self.rater)?;
            self.labels = self.store.labels()?;
            Ok(Some(last))
        });
        self.message = match undone {
            Ok(Some(label)) => {
                self.notes.push("the last label is taken back".into());
                let shown = self.show_again(&label);
                format!("label {} is taken back{}", label.id, if shown { "" } else { "; its clips are gone" })
            }
            Ok(None) => "there is no label of yours to take back".into(),
            Err(error) => error.to_string(),
        };
    }

    /// Shows what a label was about; what is on screen is asked next. Is it there?
    fn show_again(&mut self, label: &Label) -> bool {
        let segments: Vec<Segment> = label.entry.segments.iter().map(|s| (**s).clone()).collect();
        let is_answer = !matches!(label.entry.answer, Answer::Mark { .. } | Answer::Text { .. });
        self.done -= usize::from(is_answer && self.done > 0);
        // A mark or a note is about clips that are still there to be looked at. An answer belongs to an order: "left"
        // of a pair that is on screen exchanged, as a repeat, would be another one.
        let on_screen = &self.query.segments;
        if segments == *on_screen || (!is_answer && segments.iter().all(|s| on_screen.contains(s))) {
            return true;
        }
        let mode = match (&label.entry.answer, segments.len()) {
            (Answer::BestWorst { .. }, n) | (_, n @ 3..) => Mode::BestWorst(n),
            (_, 2) => Mode::Pair,
            _ => return true,
        };
        if !segments.iter().all(|s| self.pool.find(s).is_ok())
            && let Ok((all, known)) = pool(&self.runs, &self.task, None)
            && let Ok(sampler) = sampler(&all, self.length, self.any_reset)
        {
            (self.pool, self.known, self.sampler, self.only) = (all, known, sampler, None);
        }
        let (on_screen, repeat, was) = (self.query.segments.clone(), self.query.repeat, self.mode);
        self.mode = mode;
        if self.show(segments, false).is_err() {
            self.mode = was;
            return false;
        }
        if was == mode {
            self.waiting.next(on_screen, repeat);
        } else {
            self.waiting.retain(|_| false);
        }
        true
    }

    fn compare(&mut self, choice: Choice) {
        let strength = self.strength.filter(|_| choice != Choice::Equal);
        self.answer(Answer::Comparison { choice, strength }, true);
    }

    fn pick(&mut self, clip: usize) {
        match self.best {
            None => self.best = Some(clip),
            Some(best) if best == clip => self.best = None,
            Some(best) => self.answer(Answer::BestWorst { best: best as u16, worst: clip as u16 }, true),
        }
    }

    fn keys(&mut self, ctx: &Context) {
        if ctx.text_edit_focused() {
            return;
        }
        if self.mode == Mode::Pair {
            for (action, choice) in
                [(Action::Left, Choice::Left), (Action::Right, Choice::Right), (Action::Equal, Choice::Equal)]
            {
                if keys::pressed(ctx, action) {
                    self.compare(choice);
                }
            }
        }
        if keys::pressed(ctx, Action::CannotTell) {
            self.answer(Answer::Skip, true);
        }
        if keys::pressed(ctx, Action::Skip) {
            self.pass_over();
        }
        if keys::pressed(ctx, Action::Undo) {
            self.undo();
        }
        if keys::pressed(ctx, Action::PlayPause) {
            self.playing = !self.playing;
        }
        if keys::pressed(ctx, Action::Step) {
            (self.at, self.playing) = ((self.frame() + 1).min(self.query.frames.saturating_sub(1)) as f64, false);
        }
        if keys::pressed(ctx, Action::StepBack) {
            (self.at, self.playing) = (self.frame().saturating_sub(1) as f64, false);
        }
        if keys::pressed(ctx, Action::MarkIn) {
            self.mark_from = Some(self.frame());
        }
        if keys::pressed(ctx, Action::MarkOut) {
            self.mark_out();
        }
        const DIGITS: [Key; 6] = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6];
        for (i, key) in DIGITS.into_iter().enumerate() {
            if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, key)) {
                match self.mode {
                    Mode::Pair if i < 3 => self.strength = Some(i as u8 + 1),
                    Mode::BestWorst(_) if i < self.clips() => self.pick(i),
                    _ => {}
                }
            }
        }
    }

    fn mark_out(&mut self) {
        let to = self.frame();
        match self.mark_from.take() {
            Some(from) if to > from => {
                let (first, length) = (from as u32, (to - from) as u32);
                self.answer(Answer::Mark { first, length, mark: self.mark.clone() }, false);
            }
            _ => self.message = "a mark begins before it ends: press I, play on, then O".into(),
        }
    }

    /// Makes a new sampler after another choice; the old one stays when there is nothing to compare that way.
    fn again(&mut self) {
        match sampler(&self.pool, self.length, self.any_reset) {
            Ok(sampler) => {
                self.sampler = sampler;
                // Other kinds of questions are asked from now on.
                self.waiting.retain(|_| false);
                self.message.clear();
                self.next();
            }
            Err(error) => self.message = error.to_string(),
        }
    }
}

/// Versions that stand under labels given under this reward.
fn versions(reward: Option<(&Arc<Reward>, &str)>) -> Arc<Versions> {
    let of = |(reward, script): (&Arc<Reward>, &str)| Versions::of(reward.name(), sha256(script.as_bytes()));
    Arc::new(reward.map_or_else(|| Versions::of("", ""), of))
}

fn default_rater() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("USERNAME"))
        .ok()
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| "me".into())
}
