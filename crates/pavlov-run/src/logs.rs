//! `metrics.jsonl` and `terms.jsonl`: a line per update, appended whole, cut back to the checkpoint on resume.
//!
//! What depends on the wall clock stands under `timing`; all else is the same for any number of threads.

use crate::error::RunError;
use crate::tensorboard::EventFile;
use pavlov_common::{atomic, file};
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

/// A line as it stands in a file.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// First byte, and number of bytes with the line's end.
    start: u64,
    size: usize,
    /// Its update; none when it is no JSON with one.
    update: Option<u64>,
    /// Does it have an end? The last one has none when a kill met it while it was written.
    whole: bool,
}

/// What is to become of a line when a run goes on after an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// Of an update that is computed again.
    Future,
    /// The last one, cut short.
    Torn,
    Damaged,
}

/// Every line of a log.
fn scan(file: &File, path: &Path) -> Result<Vec<Line>, RunError> {
    let mut reader = BufReader::new(file);
    let (mut lines, mut bytes, mut start) = (Vec::new(), Vec::new(), 0);
    loop {
        bytes.clear();
        let size = reader.read_until(b'\n', &mut bytes).map_err(|e| RunError::io("read", path, e))?;
        if size == 0 {
            return Ok(lines);
        }
        let update = serde_json::from_slice::<Numbered>(&bytes).ok().map(|n| n.update);
        lines.push(Line { start, size, update, whole: bytes.last() == Some(&b'\n') });
        start += size as u64;
    }
}

/// The lines of updates up to `last` are kept where each is later than the one before; so damage of one, a number that
/// was changed included, leaves the others.
fn fates(lines: &[Line], last: u64) -> Vec<Fate> {
    let mut before = 0;
    let mut fates = vec![Fate::Damaged; lines.len()];
    for (i, line) in lines.iter().enumerate() {
        let next = lines[i + 1..].iter().find_map(|later| later.update);
        let jumps_ahead = |update: u64| next.is_some_and(|next| next > before && next <= update);
        match line.update {
            Some(update) if line.whole && update > before && update <= last && !jumps_ahead(update) => {
                (before, fates[i]) = (update, Fate::Kept);
            }
            _ if !line.whole => fates[i] = Fate::Torn,
            _ => {}
        }
    }
    let behind = fates.iter().rposition(|fate| *fate == Fate::Kept).map_or(0, |i| i + 1);
    for (line, fate) in lines.iter().zip(&mut fates).skip(behind) {
        if *fate == Fate::Damaged && (before == last || line.update.is_some_and(|update| update > last)) {
            *fate = Fate::Future;
        }
    }
    fates
}

/// The number of the last update that a log has; 0 when there is no log.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn last_update(path: &Path) -> Result<u64, RunError> {
    match file::open_up_to(path, file::LINES) {
        Ok((file, _)) => Ok(scan(&file, path)?.iter().filter_map(|l| l.update).max().unwrap_or(0)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        Err(e) => Err(RunError::io("read", path, e)),
    }
}

impl Lines {
    /// Opens for appending, after taking away everything behind `last_update` and a last line that was cut short.
    /// Damaged lines go to a file beside it. What was not as it should be is told in sentences.
    fn open(path: PathBuf, last_update: u64) -> Result<(Self, Vec<String>), RunError> {
        let write = |e| RunError::io("write", &path, e);
        let root = path.parent().unwrap_or(&path);
        let open = || file::update_in(root, &path);
        let mut file = open().map_err(write)?;
        let lines = scan(&file, &path)?;
        let fates = fates(&lines, last_update);
        let (mut warnings, mut kept, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (line, fate)) in (1..).zip(lines.iter().zip(fates)) {
            match fate {
                Fate::Kept => kept.push(*line),
                Fate::Future => {}
                Fate::Torn => warnings.push(format!(
                    "{}:{number}: the last line was cut short when the run was ended, and is taken away",
                    path.display()
                )),
                Fate::Damaged => damaged.push((number, *line)),
            }
        }
        if damaged.is_empty() {
            file.set_len(kept.iter().map(|line| line.size as u64).sum()).map_err(write)?;
        } else {
            let bytes = file::read(&path, file::LINES).map_err(|e| RunError::io("read", &path, e))?;
            let of = |line: &Line| bytes.get(line.start as usize..line.start as usize + line.size).unwrap_or_default();
            let aside = path.with_extension("damaged.jsonl");
            let mut taken: Vec<u8> = match file::read(&aside, file::LINES) {
                Ok(earlier) => earlier,
                Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
                Err(e) => return Err(RunError::io("read", &aside, e)),
            };
            for (number, line) in &damaged {
                warnings.push(format!(
                    "{}:{number}: the line is damaged: it is moved to {}; the {} good lines stay",
                    path.display(),
                    aside.display(),
                    kept.len()
                ));
                taken.extend_from_slice(of(line));
            }
            atomic::write_in(root, &aside, &taken)?;
            atomic::write_in(root, &path, &kept.iter().flat_map(of).copied().collect::<Vec<u8>>())?;
            file = open().map_err(write)?;
        }
        file.seek(SeekFrom::End(0)).map_err(write)?;
        Ok((Self { file, path }, warnings))
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
    /// Opens the logs, cut back to `last_update` (0 for a new run); with what was not as it should be.
    pub fn open(folder: &crate::folder::RunFolder, last_update: u64) -> Result<(Self, Vec<String>), RunError> {
        let (metrics, mut warnings) = Lines::open(folder.metrics(), last_update)?;
        let (terms, of_terms) = Lines::open(folder.terms(), last_update)?;
        let (events, of_events) = EventFile::open(folder.root(), last_update)?;
        warnings.extend(of_terms.into_iter().chain(of_events));
        Ok((Self { metrics, terms, events }, warnings))
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
    Ok(read_log(path)?.0)
}

/// As [`read_lines`], with the numbers of the lines that were left out, from 1; a last line without an end is none of
/// them: a run may just be writing it.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read_log<T: de::DeserializeOwned>(path: &Path) -> Result<(Vec<T>, Vec<usize>), RunError> {
    let file = match file::open_up_to(path, file::LINES) {
        Ok((file, _)) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(e) => return Err(RunError::io("read", path, e)),
    };
    let mut reader = BufReader::new(file);
    let (mut lines, mut left_out, mut line) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|e| RunError::io("read", path, e))? == 0 {
            break;
        }
        match serde_json::from_slice::<T>(&line) {
            Ok(read) => lines.push(read),
            Err(_) if line.last() == Some(&b'\n') => left_out.push(number),
            Err(_) => {}
        }
    }
    Ok((lines, left_out))
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
        let (mut lines, told) = Lines::open(path.clone(), 0).unwrap();
        assert!(told.is_empty());
        (1..=4).for_each(|u| lines.push(&line(u)).unwrap());
        let uninterrupted = std::fs::read(&path).unwrap();
        lines.file.write_all(b"{\"update\":5,\"kl").unwrap();
        drop(lines);
        let (mut lines, told) = Lines::open(path.clone(), 2).unwrap();
        assert!(told.len() == 1 && told[0].contains("metrics.jsonl:5: the last line was cut short"), "{told:?}");
        (3..=4).for_each(|u| lines.push(&line(u)).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), uninterrupted);
        let read: Vec<MetricsLine> = read_lines(&path).unwrap();
        assert_eq!(read, (1..=4).map(line).collect::<Vec<_>>());
        assert!(read_lines::<MetricsLine>(&dir.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn one_damaged_byte_costs_one_line_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let text: Vec<String> = (1..=40).map(|u| serde_json::to_string(&line(u)).unwrap() + "\n").collect();
        let replaced = |n: usize, by: &str| [&text[..n - 1], &[by.to_string()], &text[n..]].concat().concat();
        let changed = |n: usize, from: &str, to: &str| replaced(n, &text[n - 1].replacen(from, to, 1));
        let cases = [
            (3, changed(3, "{", "(")),
            (7, changed(7, "\"update\":7", "\"update\":9")),
            (8, changed(8, "\"update\":8", "\"update\":800")),
            (9, changed(9, "\"update\":9", "\"update\":1")),
            (12, changed(12, "\"kl\":", "\"kl\":x")),
            (1, changed(1, "null", "nule")),
            (40, changed(40, "}", ")")),
            (20, replaced(20, "\u{0}\n")),
        ];
        for (n, damaged) in cases {
            std::fs::write(&path, damaged).unwrap();
            let _ = std::fs::remove_file(dir.path().join("metrics.damaged.jsonl"));
            let (_, told) = Lines::open(path.clone(), 40).unwrap();
            assert!(told.len() == 1 && told[0].contains(&format!("metrics.jsonl:{n}: ")), "{n}: {told:?}");
            let kept: Vec<u64> = read_lines::<MetricsLine>(&path).unwrap().iter().map(|m| m.update).collect();
            assert_eq!(kept, (1..=40).filter(|u| *u != n as u64).collect::<Vec<_>>());
            assert!(!std::fs::read(dir.path().join("metrics.damaged.jsonl")).unwrap().is_empty());
            // Once moved away it is told no more.
            assert!(Lines::open(path.clone(), 40).unwrap().1.is_empty());
        }
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
        fn damaged_logs_keep_what_is_in_order(at in 0usize..400, junk in prop::collection::vec(any::<u8>(), 0..9)) {
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
