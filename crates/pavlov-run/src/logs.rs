//! `metrics.jsonl` and `terms.jsonl`: a line per update, appended whole, cut back to the checkpoint on resume.
//!
//! What depends on the wall clock stands under `timing`; all else is the same for any number of threads.

use crate::error::RunError;
use crate::tensorboard::EventFile;
use pavlov_common::file;
use pavlov_learn::{EpisodeStats, LearnerStats, UpdateStats};
use pavlov_reward::ConstraintState;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Values by name, in the order of the script.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Named<T> {
    /// Pairs names with values.
    pub fn new(names: &[String], values: impl IntoIterator<Item = T>) -> Self {
        Self(names.iter().cloned().zip(values).collect())
    }

    /// Is there nothing?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(n, v)| (n, v)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Pairs<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("values by name")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Named(pairs))
            }
        }
        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

/// What depends on the wall clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Rollout, s.
    pub rollout_s: f64,
    /// Training, s.
    pub train_s: f64,
    /// Checkpoint of the update before, s.
    pub checkpoint_s: f64,
    /// Since the run began, without the time between an interruption and its resume, s.
    pub elapsed_s: f64,
    /// Environment steps of this update over the time since the update before.
    pub env_steps_per_s: f64,
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsLine {
    /// Updates done, this one included.
    pub update: u64,
    /// Environment steps done, over all worlds.
    pub env_steps: u64,
    /// Episodes that ended in this update's rollout; the three after them are of these too.
    #[serde(flatten)]
    pub ended: EpisodeStats,
    /// Mean fitness, as the task defines it.
    pub fitness: Option<f64>,
    /// Share of episodes with success, as the task defines it.
    pub success: Option<f64>,
    /// Share that ended by the task's termination.
    pub terminated: Option<f64>,
    /// Mean fitness of the last 100 episodes or so: what `best` and `target_fitness` go by.
    pub recent_fitness: Option<f64>,
    /// Mean reward of a step.
    pub reward_mean: f64,
    /// Mean of each reward term over steps.
    pub terms: Named<Option<f64>>,
    /// Mean of what the reward graph makes of them, and of the total, over steps.
    pub nodes: Named<Option<f64>>,
    /// Numbers of the reward that change between updates, as they are after this one.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub host: Named<f64>,
    /// Numbers that the reward's sources report about themselves, as `source.number`; for a vision source its agreement
    /// with the labeller.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub sources: Named<f64>,
    /// How the constraints of the reward stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintState>,
    /// Mean of each of the task's metrics over steps.
    pub metrics: Named<Option<f64>>,
    /// Worlds that became non-finite and were reset.
    pub nonfinite: u64,
    /// Reward terms that were not finite and counted as 0.
    pub bad_terms: u64,
    /// What training did.
    #[serde(flatten)]
    pub learner: LearnerStats,
    /// Evaluation after this update, when one was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval: Option<crate::evaluate::Evaluation>,
    /// Times.
    pub timing: Timing,
}

impl MetricsLine {
    /// What the learner says; the environment's part is filled by the trainer.
    pub(crate) fn from_stats(stats: UpdateStats) -> Self {
        let UpdateStats { update, env_steps, ended, reward_mean, learner, rollout_s, train_s } = stats;
        let timing = Timing { rollout_s, train_s, ..Timing::default() };
        Self { update, env_steps, ended, reward_mean, learner, timing, ..Self::default() }
    }

    /// Every number of the line as `group/name`, for TensorBoard.
    fn scalars(&self) -> Vec<(String, f64)> {
        let mut all: Vec<(String, f64)> = Vec::new();
        let mut add = |name: &str, value: Option<f64>| all.extend(value.map(|v| (name.to_string(), v)));
        add("episode/return", self.ended.episode_return);
        add("episode/length", self.ended.episode_length);
        add("episode/fitness", self.fitness);
        add("episode/success", self.success);
        add("episode/terminated", self.terminated);
        add("train/reward_mean", Some(self.reward_mean));
        add("train/nonfinite", Some(self.nonfinite as f64));
        add("train/bad_terms", Some(self.bad_terms as f64));
        add("learner/policy_loss", Some(self.learner.policy_loss));
        add("learner/value_loss", Some(self.learner.value_loss));
        add("learner/entropy", Some(self.learner.entropy));
        add("learner/kl", Some(self.learner.kl));
        add("learner/clip_fraction", Some(self.learner.clip_fraction));
        add("learner/explained_variance", Some(self.learner.explained_variance));
        add("learner/learning_rate", Some(self.learner.learning_rate));
        add("learner/grad_norm", Some(self.learner.grad_norm));
        add("learner/log_std", Some(self.learner.log_std));
        add("timing/env_steps_per_s", Some(self.timing.env_steps_per_s));
        add("timing/env_steps", Some(self.env_steps as f64));
        for (group, values) in [("terms", &self.terms), ("nodes", &self.nodes), ("metrics", &self.metrics)] {
            all.extend(values.0.iter().filter_map(|(n, v)| v.map(|v| (format!("{group}/{n}"), v))));
        }
        all.extend(self.host.0.iter().map(|(n, v)| (format!("host/{n}"), *v)));
        if let Some(eval) = &self.eval {
            all.push(("eval/return".into(), eval.episode_return.mean));
            all.push(("eval/fitness".into(), eval.fitness.mean));
            all.push(("eval/success".into(), eval.success.mean));
        }
        all
    }
}

/// Statistics of one reward term over the steps of an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TermStats {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over worlds and steps.
    pub std: f64,
    /// |mean| over the sum of all terms' |mean|: how much of the reward this term is.
    pub share: f64,
}

/// Statistics of one node of the reward graph over the steps of an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStats {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over worlds and steps.
    pub std: f64,
}

/// A line of `terms.jsonl`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TermsLine {
    /// Updates done.
    pub update: u64,
    /// Environment steps done.
    pub env_steps: u64,
    /// Statistics by term.
    pub terms: Named<TermStats>,
    /// Statistics of what the reward graph makes of them, and of the total.
    #[serde(default)]
    pub nodes: Named<NodeStats>,
}

impl TermsLine {
    /// From sums over `steps` world-steps of every node; the first `terms` of them are terms.
    pub(crate) fn new(
        (update, env_steps): (u64, u64),
        names: &[String],
        terms: usize,
        sums: &[f64],
        squares: &[f64],
        steps: u64,
    ) -> Self {
        let n = steps.max(1) as f64;
        let total: f64 = sums.iter().take(terms).map(|s| (s / n).abs()).sum();
        let mut stats = sums.iter().zip(squares).map(|(sum, square)| {
            let mean = sum / n;
            NodeStats { mean, std: (square / n - mean * mean).max(0.0).sqrt() }
        });
        let term_stats = stats.by_ref().take(terms).map(|NodeStats { mean, std }| {
            let share = if total > 0.0 { mean.abs() / total } else { 0.0 };
            TermStats { mean, std, share }
        });
        let terms_by_name = Named::new(&names[..terms], term_stats);
        Self { update, env_steps, terms: terms_by_name, nodes: Named::new(&names[terms..], stats) }
    }
}

/// A file of JSON lines being appended to.
#[derive(Debug)]
struct Lines {
    file: File,
    path: PathBuf,
}

/// Only what is looked at when a file is cut back.
#[derive(Deserialize)]
struct Numbered {
    update: u64,
}

impl Lines {
    /// Opens for appending, after dropping everything behind `last_update` and everything from the first damaged line
    /// on.
    fn open(path: PathBuf, last_update: u64) -> Result<Self, RunError> {
        let write = |e| RunError::io("write", &path, e);
        let mut file = file::update_in(path.parent().unwrap_or(&path), &path).map_err(write)?;
        let (mut keep, mut line, mut before) = (0, Vec::new(), 0);
        let mut reader = BufReader::new(&file);
        loop {
            line.clear();
            let size = reader.read_until(b'\n', &mut line).map_err(|e| RunError::io("read", &path, e))?;
            let whole = line.last() == Some(&b'\n');
            match serde_json::from_slice::<Numbered>(&line) {
                Ok(Numbered { update }) if whole && update <= last_update && update > before => before = update,
                _ => break,
            }
            keep += size as u64;
        }
        file.set_len(keep).map_err(write)?;
        file.seek(SeekFrom::End(0)).map_err(write)?;
        Ok(Self { file, path })
    }

    /// Appends a line in one write, so that a kill leaves at most one cut line.
    fn push(&mut self, value: &impl Serialize) -> Result<(), RunError> {
        let failed = |e: std::io::Error| RunError::io("write", &self.path, e);
        let mut bytes = serde_json::to_vec(value).map_err(|e| failed(e.into()))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(failed)
    }
}

/// The logs of a run.
#[derive(Debug)]
pub(crate) struct Logs {
    metrics: Lines,
    terms: Lines,
    events: EventFile,
}

impl Logs {
    /// Opens the logs, cut back to `last_update` (0 for a new run).
    pub fn open(folder: &crate::folder::RunFolder, last_update: u64) -> Result<Self, RunError> {
        Ok(Self {
            metrics: Lines::open(folder.metrics(), last_update)?,
            terms: Lines::open(folder.terms(), last_update)?,
            events: EventFile::open(folder.root(), last_update)?,
        })
    }

    /// Appends an update.
    pub fn push(&mut self, metrics: &MetricsLine, terms: &TermsLine) -> Result<(), RunError> {
        self.metrics.push(metrics)?;
        self.terms.push(terms)?;
        let mut scalars = metrics.scalars();
        scalars.extend(terms.terms.0.iter().map(|(n, s)| (format!("terms_std/{n}"), s.std)));
        scalars.extend(terms.nodes.0.iter().map(|(n, s)| (format!("nodes_std/{n}"), s.std)));
        self.events.scalars(metrics.update, scalars)
    }
}

/// Reads a file of JSON lines; a cut last line and lines of other programs are left out, a missing file is an empty
/// one.
///
/// # Errors
/// When the file cannot be read.
pub fn read_lines<T: de::DeserializeOwned>(path: &Path) -> Result<Vec<T>, RunError> {
    let file = match file::open_up_to(path, file::LINES) {
        Ok((file, _)) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(RunError::io("read", path, e)),
    };
    let mut reader = BufReader::new(file);
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|e| RunError::io("read", path, e))? == 0 {
            return Ok(lines);
        }
        lines.extend(serde_json::from_slice::<T>(&line).ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(update: u64) -> MetricsLine {
        let learner = LearnerStats { kl: 0.1 / update as f64, ..LearnerStats::default() };
        MetricsLine { update, learner, ..MetricsLine::default() }
    }

    #[test]
    fn lines_are_cut_back_to_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut lines = Lines::open(path.clone(), 0).unwrap();
        (1..=4).for_each(|u| lines.push(&line(u)).unwrap());
        let uninterrupted = std::fs::read(&path).unwrap();
        lines.file.write_all(b"{\"update\":5,\"kl").unwrap();
        drop(lines);
        let mut lines = Lines::open(path.clone(), 2).unwrap();
        (3..=4).for_each(|u| lines.push(&line(u)).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), uninterrupted);
        let read: Vec<MetricsLine> = read_lines(&path).unwrap();
        assert_eq!(read, (1..=4).map(line).collect::<Vec<_>>());
        assert!(read_lines::<MetricsLine>(&dir.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn terms_have_mean_spread_and_share() {
        let names = ["a".to_string(), "b".to_string(), "total".to_string()];
        let line = TermsLine::new((1, 4), &names, 2, &[4.0, -12.0, -8.0], &[4.0, 40.0, 32.0], 4);
        assert_eq!(line.nodes.0, [("total".to_string(), NodeStats { mean: -2.0, std: 2.0 })]);
        assert_eq!(line.terms.get("a"), Some(&TermStats { mean: 1.0, std: 0.0, share: 0.25 }));
        assert_eq!(line.terms.get("b"), Some(&TermStats { mean: -3.0, std: 1.0, share: 0.75 }));
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.find("\"a\"").unwrap() < text.find("\"b\"").unwrap());
        assert_eq!(serde_json::from_str::<TermsLine>(&text).unwrap(), line);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn damaged_logs_are_cut_at_the_damage(at in 0usize..400, junk in prop::collection::vec(any::<u8>(), 0..9)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("m.jsonl");
            let text = "{\"update\":1}\n{\"update\":2,\"terms\":{\"x\":1.0}}\n{\"update\":3}\n";
            let at = at % text.len();
            let bytes = [&text.as_bytes()[..at], &junk, &text.as_bytes()[at..]].concat();
            std::fs::write(&path, bytes).unwrap();
            read_lines::<MetricsLine>(&path).unwrap();
            drop(Lines::open(path.clone(), 9).unwrap());
            let kept: Vec<MetricsLine> = read_lines(&path).unwrap();
            prop_assert!(kept.windows(2).all(|w| w[0].update < w[1].update));
        }
    }
}
