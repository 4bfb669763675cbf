//! Segments to look at: what the rollouts of runs hold, and the states and terms of a piece of them.

use crate::error::PrefsError;
use crate::label::{Segment, reset_seed};
use pavlov_reward::{Columns, Reward, Span, score};
use pavlov_run::{RolloutEpisode, RolloutFile, RolloutInfo, RunFolder, branch_files, channels_of};
use pavlov_script::{Channel, Scene};
use std::path::Path;

/// A file of rollouts and whose it is.
#[derive(Debug)]
pub struct PoolFile {
    /// Name of the run's folder.
    pub run: String,
    /// Name of the file without its ending.
    pub rollout: String,
    /// The file.
    pub file: RolloutFile,
}

/// The rollouts of some runs of one task.
#[derive(Debug)]
pub struct Pool {
    files: Vec<PoolFile>,
}

/// A file of rollouts, and the numbers and rows of the segments that are of it.
pub type OfFile<'a> = (&'a RolloutFile, Vec<(usize, Span)>);

/// The states of a segment, to be shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct States {
    /// Seconds between states.
    pub dt: f64,
    /// Coordinates: a row before the first step and one after each; `[length + 1][nq]`.
    pub qpos: Vec<Vec<f32>>,
    /// Velocities, likewise `[length + 1][nv]`.
    pub qvel: Vec<Vec<f32>>,
}

/// What a reward says of a segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SegmentScore {
    /// Sum of each term over the steps, in the order of its term names.
    pub terms: Vec<f64>,
    /// Sum of the reward.
    pub total: f64,
    /// Each term of each step, `[term][step]`; empty unless asked for.
    pub step_terms: Vec<Vec<f32>>,
    /// Reward of each step.
    pub step_totals: Vec<f32>,
}

/// Siblings share one.
fn seed_of(info: &RolloutInfo, episode: u32) -> u64 {
    reset_seed(info.seed, episode / info.siblings.max(1))
}

impl Pool {
    /// Opens the rollouts and branches of runs.
    ///
    /// # Errors
    /// When a run has none, they cannot be read, or they are not of one task.
    pub fn open<'a>(runs: impl IntoIterator<Item = &'a RunFolder>) -> Result<Self, PrefsError> {
        let mut files: Vec<PoolFile> = Vec::new();
        for run in runs {
            for (rollout, file) in pavlov_run::rollout_files(run)?.into_iter().chain(branch_files(run)?) {
                if let Some(first) = files.first()
                    && first.file.info.task != file.info.task
                {
                    return Err(PrefsError::Usage(format!(
                        "run {} is of task {}, run {} of {}: only segments of one task can be compared",
                        first.run,
                        first.file.info.task,
                        run.name(),
                        file.info.task
                    )));
                }
                files.push(PoolFile { run: run.name(), rollout, file });
            }
        }
        if files.is_empty() {
            return Err(PrefsError::Usage("no run to take segments from".into()));
        }
        Ok(Self { files })
    }

    /// Opens those rollouts that some labels are about, of runs in the folder `runs`.
    ///
    /// # Errors
    /// As [`Self::open`]; when a run is no longer there.
    pub fn of_segments<'a>(runs: &Path, segments: impl IntoIterator<Item = &'a Segment>) -> Result<Self, PrefsError> {
        let mut names: Vec<&str> = segments.into_iter().map(|s| s.run.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let open = |name: &str| -> Result<RunFolder, PrefsError> {
            pavlov_common::names::file_name(name).map_err(|e| PrefsError::Label(format!("its run: {e}")))?;
            Ok(RunFolder::open(&runs.join(name))?)
        };
        let folders: Result<Vec<RunFolder>, _> = names.into_iter().map(open).collect();
        Self::open(&folders?)
    }

    /// The task.
    pub fn task(&self) -> &str {
        &self.files[0].file.info.task
    }

    /// The files.
    pub fn files(&self) -> &[PoolFile] {
        &self.files
    }

    /// Episodes, each with the file's number in [`Self::files`].
    pub fn episodes(&self) -> impl Iterator<Item = (usize, u32, &RolloutEpisode)> {
        let episodes_of = |(f, file): (usize, &'_ PoolFile)| (f, file.file.info.episodes.len());
        let all = self.files.iter().enumerate().map(episodes_of).flat_map(|(f, n)| (0..n).map(move |e| (f, e)));
        all.map(|(f, e)| (f, e as u32, &self.files[f].file.info.episodes[e]))
    }

    /// The segment of an episode that begins with step `first`.
    pub fn segment(&self, file: usize, episode: u32, first: u32, length: u32) -> Segment {
        let PoolFile { run, rollout, file } = &self.files[file];
        let reset_seed = seed_of(&file.info, episode);
        Segment { run: run.clone(), rollout: rollout.clone(), episode, first, length, reset_seed }
    }

    /// File and rows of a segment.
    ///
    /// # Errors
    /// When it is not there.
    pub fn find(&self, s: &Segment) -> Result<(&RolloutFile, Span), PrefsError> {
        let missing = |why: String| PrefsError::Usage(format!("segment {s}: {why}"));
        let file = self.files.iter().find(|f| f.run == s.run && f.rollout == s.rollout);
        let file = &file.ok_or_else(|| missing(format!("run {} has no rollouts {}", s.run, s.rollout)))?.file;
        let n = file.info.episodes.len();
        let episode = file.info.episodes.get(s.episode as usize);
        let episode = episode.ok_or_else(|| missing(format!("the file has {n} episodes")))?;
        let end = s.first as usize + s.length as usize;
        if end > episode.steps || seed_of(&file.info, s.episode) != s.reset_seed {
            let steps = episode.steps;
            return Err(missing(format!("the file has changed: the episode has {steps} steps, or another seed")));
        }
        Ok((file, Span { first: episode.first + s.first as usize, steps: s.length as usize }))
    }

    /// The states of a segment.
    ///
    /// # Errors
    /// When it is not there, or its file cannot be read or lacks the coordinates.
    pub fn states(&self, s: &Segment, scene: &Scene) -> Result<States, PrefsError> {
        let (file, span) = self.find(s)?;
        let qpos: Vec<Channel> = (0..scene.nq).map(|i| Channel::Qpos(i as u16)).collect();
        let qvel: Vec<Channel> = (0..scene.nv).map(|i| Channel::Qvel(i as u16)).collect();
        let columns = file.read(scene, qpos.iter().chain(&qvel).copied())?;
        let rows = |channels: &[Channel]| -> Result<Vec<Vec<f32>>, PrefsError> {
            let column = |c: &Channel| {
                columns
                    .column(*c)
                    .ok_or_else(|| PrefsError::Usage(format!("segment {s}: `{}` was not recorded", c.describe(scene))))
            };
            let columns: Vec<&[f32]> = channels.iter().map(column).collect::<Result<_, _>>()?;
            let row = |r: usize| columns.iter().map(|c| c[r]).collect();
            Ok((span.first..=span.first + span.steps).map(row).collect())
        };
        Ok(States { dt: file.info.dt, qpos: rows(&qpos)?, qvel: rows(&qvel)? })
    }

    /// Segments file by file, so that each is read once: their numbers and rows.
    ///
    /// # Errors
    /// When one is not there.
    pub fn by_file(&self, segments: &[&Segment]) -> Result<Vec<OfFile<'_>>, PrefsError> {
        let mut order: Vec<usize> = (0..segments.len()).collect();
        order.sort_by_key(|&i| (&segments[i].run, &segments[i].rollout));
        let same = |&i: &usize, &j: &usize| {
            let (a, b) = (segments[i], segments[j]);
            (&a.run, &a.rollout) == (&b.run, &b.rollout)
        };
        let mut out = Vec::new();
        for group in order.chunk_by(same) {
            let found: Vec<(&RolloutFile, Span)> =
                group.iter().map(|&i| self.find(segments[i])).collect::<Result<_, _>>()?;
            out.push((found[0].0, group.iter().copied().zip(found.iter().map(|f| f.1)).collect()));
        }
        Ok(out)
    }

    /// What a reward says of segments. Memory of a reward begins anew with each segment.
    ///
    /// # Errors
    /// When a segment is not there, the reward reads what was not recorded, or its script fails.
    pub fn score(
        &self,
        reward: &Reward,
        scene: &Scene,
        segments: &[&Segment],
        keep_terms: bool,
    ) -> Result<Vec<SegmentScore>, PrefsError> {
        let mut out = vec![SegmentScore::default(); segments.len()];
        for (file, group) in self.by_file(segments)? {
            let rollouts = file.read(scene, channels_of([reward]))?;
            let spans: Vec<Span> = group.iter().map(|g| g.1).collect();
            let scored = score(reward, scene, &rollouts, &spans, keep_terms);
            let scored = scored.map_err(|e| PrefsError::Failed(e.to_string()))?;
            for (&(i, _), s) in group.iter().zip(scored) {
                out[i] = SegmentScore {
                    terms: s.terms,
                    total: s.total,
                    step_terms: s.step_terms,
                    step_totals: s.step_totals,
                };
            }
        }
        Ok(out)
    }
}
