//! What a run has recorded, read and scored: its rollouts, or its clips where it has no rollouts. No drawing here.

use crate::runs::text::grouped;
use pavlov_common::plain;
use pavlov_env::Task;
use pavlov_reward::{Columns, Reward, Scored, Span, score};
use pavlov_run::{Clip, RolloutFile, RunConfig, RunFolder, channels_of, load_inputs, readable_rollouts};
use pavlov_script::Channel;
use std::path::Path;
use std::sync::Arc;

/// An episode that can be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Playable {
    /// For the list: file, number, how it went.
    pub label: String,
    /// Fitness, where it is known.
    pub fitness: Option<f64>,
    /// Return when it was played.
    pub episode_return: f64,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Rollout { file: usize, episode: usize },
    Clip(usize),
}

/// Everything a run has recorded.
#[derive(Debug)]
pub struct Recording {
    /// Name of the run.
    pub run: String,
    /// Its task, as it was.
    pub task: Arc<Task>,
    /// Its reward, as it was.
    pub reward: Arc<Reward>,
    /// What can be played; the newest policy first.
    pub episodes: Vec<Playable>,
    /// What is wrong with files of rollouts that cannot be read.
    pub unreadable: Vec<String>,
    files: Vec<RolloutFile>,
    clips: Vec<Clip>,
}

/// An episode in memory.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Seconds between frames.
    pub dt: f64,
    /// Coordinates `[frames, nq]`.
    pub qpos: Vec<f32>,
    /// Number of frames: one more than steps.
    pub frames: usize,
    /// Under the run's own reward.
    pub original: Scored,
    /// Under another one, if there is one and it can be scored.
    pub other: Option<Result<Scored, String>>,
    /// Totals of all rollouts under both, for ranking: fitness, own, other.
    pub ranking: Vec<(f64, f64, f64)>,
}

impl Recording {
    /// Reads what there is of a run; no columns yet.
    ///
    /// # Errors
    /// In words: when the run cannot be read or has recorded nothing.
    pub fn open(run: &Path) -> Result<Self, String> {
        let folder = RunFolder::open(run).map_err(|e| e.to_string())?;
        let config = RunConfig::read(&folder.config()).map_err(|e| e.to_string())?;
        let (task, reward) = load_inputs(&folder, &config).map_err(|e| e.to_string())?;
        let mut episodes = Vec::new();
        let (files, problems) = readable_rollouts(&folder);
        let mut opened = Vec::new();
        for (_, file) in files {
            for (i, e) in file.info.episodes.iter().enumerate() {
                let steps = grouped(file.info.env_steps);
                episodes.push(Playable {
                    label: format!(
                        "{steps} steps, episode {i}: fitness {:.3}, return {:.1}",
                        e.fitness, e.episode_return
                    ),
                    fitness: Some(e.fitness),
                    episode_return: e.episode_return,
                    source: Source::Rollout { file: opened.len(), episode: i },
                });
            }
            opened.push(file);
        }
        // The newest policy comes first.
        episodes.reverse();
        let mut clips = Vec::new();
        let mut paths: Vec<_> = std::fs::read_dir(folder.clips())
            .map(|d| d.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect())
            .unwrap_or_default();
        paths.sort();
        for path in paths {
            let clip = Clip::read(&path).map_err(|e| e.to_string())?;
            let total: f64 = clip.frames.iter().map(|f| f64::from(f.reward)).sum();
            let name = path.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            episodes.push(Playable {
                label: format!("clip {}: return {total:.1}", plain(&name)),
                fitness: None,
                episode_return: total,
                source: Source::Clip(clips.len()),
            });
            clips.push(clip);
        }
        if episodes.is_empty() {
            if let Some(problem) = problems.first() {
                return Err(problem.to_string());
            }
            return Err(format!(
                "run {} has recorded nothing yet: rollouts come at the start, \
                 after each third and at the end of training",
                folder.name()
            ));
        }
        let (task, reward) = (Arc::new(task), Arc::new(reward));
        let unreadable = problems.iter().map(ToString::to_string).collect();
        Ok(Self { run: folder.name(), task, reward, episodes, unreadable, files: opened, clips })
    }

    /// Reads an episode and scores it under the run's reward, and under another one if one is given; then all rollouts
    /// are scored, too.
    ///
    /// # Errors
    /// In words: when a file cannot be read or the run's own reward cannot be scored.
    pub fn load(&self, episode: usize, other: Option<&Reward>) -> Result<Loaded, String> {
        let playable = self.episodes.get(episode).ok_or("there is no such episode")?;
        match playable.source {
            Source::Clip(clip) => Ok(self.clip(&self.clips[clip])),
            Source::Rollout { file, episode } => self.rollout(file, episode, other),
        }
    }

    fn clip(&self, clip: &Clip) -> Loaded {
        let frames: Vec<_> = clip.frames.iter().filter(|f| !f.qpos.is_empty()).collect();
        let scored = &clip.frames[1.min(clip.frames.len())..];
        let terms = clip.header.terms.len();
        let original = Scored {
            total: scored.iter().map(|f| f64::from(f.reward)).sum(),
            terms: (0..terms).map(|k| scored.iter().map(|f| f.terms[k]).sum()).collect(),
            step_totals: scored.iter().map(|f| f.reward).collect(),
            step_terms: (0..terms).map(|k| scored.iter().map(|f| f.terms[k] as f32).collect()).collect(),
            bad: None,
            operations: 0,
        };
        Loaded {
            dt: clip.header.dt,
            qpos: frames.iter().flat_map(|f| f.qpos.iter().copied()).collect(),
            frames: frames.len(),
            original,
            ..Loaded::default()
        }
    }

    fn rollout(&self, file: usize, episode: usize, other: Option<&Reward>) -> Result<Loaded, String> {
        let scene = self.task.scene();
        let nq = self.task.model().nq();
        let at = |i: usize| Channel::Qpos(i as u16);
        let rollouts = &self.files[file];
        // A reward that was checked against another scene would read other channels.
        let other = other.map(|r| {
            if r.scene().recorded() == scene.recorded() {
                Ok(r)
            } else {
                Err("it is written for another robot or task".into())
            }
        });
        let second = other.as_ref().and_then(|o: &Result<&Reward, String>| o.as_ref().ok()).copied();
        let channels = channels_of(std::iter::once(&*self.reward).chain(second));
        let rows = rollouts.read(scene, (0..nq).map(at).chain(channels.iter().copied())).map_err(|e| e.to_string())?;
        let Span { first, steps } = rollouts.info.episodes[episode].span();
        let span = [Span { first, steps }];
        let scored_by = |r: &Reward| -> Result<Scored, String> {
            let mut scores = score(r, scene, &rows, &span, true).map_err(|e| e.to_string())?;
            scores.pop().ok_or_else(|| "nothing was scored".into())
        };
        let columns: Vec<&[f32]> =
            (0..nq).map(|i| rows.column(at(i)).ok_or("coordinates were not recorded")).collect::<Result<_, _>>()?;
        let frames = steps + 1;
        let qpos = (first..first + frames).flat_map(|r| columns.iter().map(move |c| c[r])).collect();
        let mut loaded =
            Loaded { dt: rollouts.info.dt, qpos, frames, original: scored_by(&self.reward)?, ..Loaded::default() };
        if let Some(other) = other {
            let scored = other.and_then(scored_by);
            if scored.is_ok()
                && let Some(r) = second
            {
                loaded.ranking = self.ranking(r, &channels)?;
            }
            loaded.other = Some(scored);
        }
        Ok(loaded)
    }

    /// Fitness and returns of all rollouts under both rewards.
    fn ranking(&self, other: &Reward, channels: &[Channel]) -> Result<Vec<(f64, f64, f64)>, String> {
        let scene = self.task.scene();
        let mut out = Vec::new();
        for file in &self.files {
            let rows = file.read(scene, channels.iter().copied()).map_err(|e| e.to_string())?;
            let spans = rows.spans();
            let original = score(&self.reward, scene, &rows, &spans, false).map_err(|e| e.to_string())?;
            let new = score(other, scene, &rows, &spans, false).map_err(|e| e.to_string())?;
            let fitness = file.info.episodes.iter().map(|e| e.fitness);
            out.extend(fitness.zip(original.iter().zip(&new)).map(|(f, (a, b))| (f, a.total, b.total)));
        }
        Ok(out)
    }
}
