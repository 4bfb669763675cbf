//! Re-scoring: another reward on the rollouts a run has kept, term by term, and which rollouts it ranks differently.

use crate::error::RunError;
use crate::folder::RunFolder;
use crate::logs::Named;
use crate::rollouts::{RolloutEpisode, RolloutFile, Rollouts};
use pavlov_reward::compare::{kendall, spearman};
use pavlov_reward::{Reward, ScoreError, Scored, score};
use pavlov_script::{Channel, Scene};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Scores all episodes on the threads of `pool`.
///
/// # Errors
/// As [`pavlov_reward::score`].
pub fn score_all(
    reward: &Reward,
    scene: &Scene,
    rollouts: &Rollouts,
    keep_terms: bool,
    pool: &rayon::ThreadPool,
) -> Result<Vec<Scored>, RunError> {
    let spans = rollouts.spans();
    // A reward with memory is run over 64 episodes side by side; fewer than that at once would waste it.
    let part = if reward.program().memory_init().is_empty() { 1 } else { 64 };
    let score_part = |spans: &[pavlov_reward::Span]| score(reward, scene, rollouts, spans, keep_terms);
    let parts: Result<Vec<Vec<Scored>>, ScoreError> = pool.install(|| spans.par_chunks(part).map(score_part).collect());
    Ok(parts.map_err(|e| RunError::Failed(e.to_string()))?.into_iter().flatten().collect())
}

/// Every channel that some of these rewards read.
pub fn channels_of<'a>(rewards: impl IntoIterator<Item = &'a Reward>) -> Vec<Channel> {
    let mut all: Vec<Channel> =
        rewards.into_iter().flat_map(|r| r.program().inputs().iter().map(|i| i.channel)).collect();
    all.sort();
    all.dedup();
    all
}

/// An episode under both rewards.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RescoredEpisode {
    /// File and number within it: `000000120#3`.
    pub episode: String,
    /// Environment steps the policy had been trained for.
    pub env_steps: u64,
    /// Control steps.
    pub steps: usize,
    /// Fitness.
    pub fitness: f64,
    /// Return under the run's reward.
    pub before: f64,
    /// Return under the other one.
    pub after: f64,
    /// Rank under each, 1 is best.
    pub ranks: [usize; 2],
}

/// Two episodes that the rewards order differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Swap {
    /// Better before.
    pub down: String,
    /// Better after.
    pub up: String,
    /// Return of `down` less that of `up`, before, in standard deviations of all returns.
    pub before: f64,
    /// The same after.
    pub after: f64,
    /// Fitness of `down` and `up`.
    pub fitness: [f64; 2],
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rescored {
    /// Reward of the run.
    pub before: String,
    /// The other reward.
    pub after: String,
    /// Control steps scored.
    pub steps: usize,
    /// Seconds for reading and scoring, under both rewards.
    pub seconds: f64,
    /// Mean per step of each term of the run's reward.
    pub terms_before: Named<f64>,
    /// Mean per step of each term of the other.
    pub terms_after: Named<f64>,
    /// Mean total per step, under each.
    pub mean: [f64; 2],
    /// Rank correlation of the returns: Kendall's tau-b; none when one does not vary.
    pub kendall: Option<f64>,
    /// Spearman's.
    pub spearman: Option<f64>,
    /// Kendall's tau-b of fitness with the returns under each.
    pub fitness_kendall: [Option<f64>; 2],
    /// Pairs of episodes, and how many of them are ordered differently.
    pub pairs: usize,
    /// Pairs ordered differently.
    pub swapped: usize,
    /// The widest of them.
    pub swaps: Vec<Swap>,
    /// First term that was not finite under the other reward, if any: (term, episode, step, value).
    pub bad: Option<(String, String, usize, f32)>,
    /// Every episode.
    pub episodes: Vec<RescoredEpisode>,
}

/// Swaps that are listed.
const LISTED: usize = 10;

/// The files of rollouts a run has kept, oldest policy first.
///
/// # Errors
/// When there are none, or one cannot be read.
pub fn rollout_files(folder: &RunFolder) -> Result<Vec<(String, RolloutFile)>, RunError> {
    let root = folder.rollouts();
    let files = files_in(&root)?;
    if files.is_empty() {
        let (root, name) = (root.display(), folder.name());
        return Err(RunError::Usage(format!(
            "{root}: run {name} has kept no rollouts (setting `rollout_mb` is 0, or it was made by an older version)"
        )));
    }
    Ok(files)
}

/// The files of branches a run has, in the order they were made; often none.
///
/// # Errors
/// When one cannot be read.
pub fn branch_files(folder: &RunFolder) -> Result<Vec<(String, RolloutFile)>, RunError> {
    files_in(&folder.branches())
}

/// Those files of rollouts that can be read, and what is wrong with the others; both are empty when a run has kept none.
pub fn readable_rollouts(folder: &RunFolder) -> (Vec<(String, RolloutFile)>, Vec<RunError>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for (name, opened) in opened_in(&folder.rollouts()) {
        match opened {
            Ok(file) => files.push((name, file)),
            Err(e) => problems.push(e),
        }
    }
    (files, problems)
}

fn files_in(root: &Path) -> Result<Vec<(String, RolloutFile)>, RunError> {
    opened_in(root).map(|(name, opened)| Ok((name, opened?))).collect()
}

fn opened_in(root: &Path) -> impl Iterator<Item = (String, Result<RolloutFile, RunError>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root)
        .map(|d| d.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")).collect())
        .unwrap_or_default();
    paths.sort();
    let name = |p: &PathBuf| p.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    paths.into_iter().map(move |p| (name(&p), RolloutFile::open(&p)))
}

/// Scores what a run has kept under its own reward and another one.
///
/// # Errors
/// When there are no rollouts, the reward reads what was not recorded, or its script fails.
pub fn rescore(
    files: &[(String, RolloutFile)],
    scene: &Scene,
    before: &Reward,
    after: &Reward,
    pool: &rayon::ThreadPool,
) -> Result<Rescored, RunError> {
    let clock = Instant::now();
    let channels = channels_of([before, after]);
    let (mut episodes, mut steps) = (Vec::new(), 0);
    let mut sums = [vec![0.0; before.term_names().len()], vec![0.0; after.term_names().len()]];
    let mut totals = [0.0; 2];
    let mut bad = None;
    for (name, file) in files {
        let rollouts = file.read(scene, channels.iter().copied())?;
        steps += rollouts.steps();
        let old = score_all(before, scene, &rollouts, false, pool)?;
        let new = score_all(after, scene, &rollouts, false, pool)?;
        for (i, ((episode, a), b)) in rollouts.info.episodes.iter().zip(&old).zip(&new).enumerate() {
            let RolloutEpisode { steps, fitness, .. } = *episode;
            let label = format!("{name}#{i}");
            for (k, scored) in [a, b].into_iter().enumerate() {
                sums[k].iter_mut().zip(&scored.terms).for_each(|(s, t)| *s += t);
                totals[k] += scored.total;
            }
            if let (None, Some((term, step, value))) = (&bad, b.bad) {
                bad = Some((after.term_names()[term].clone(), label.clone(), step, value));
            }
            let env_steps = file.info.env_steps;
            let (before, after) = (a.total, b.total);
            episodes.push(RescoredEpisode { episode: label, env_steps, steps, fitness, before, after, ranks: [0; 2] });
        }
    }
    let seconds = clock.elapsed().as_secs_f64();
    let returns =
        [0, 1].map(|k| episodes.iter().map(|e| if k == 0 { e.before } else { e.after }).collect::<Vec<f64>>());
    let fitness: Vec<f64> = episodes.iter().map(|e| e.fitness).collect();
    for (k, returns) in returns.iter().enumerate() {
        let mut order: Vec<usize> = (0..returns.len()).collect();
        order.sort_by(|&i, &j| returns[j].total_cmp(&returns[i]));
        order.iter().enumerate().for_each(|(rank, &i)| episodes[i].ranks[k] = rank + 1);
    }
    let (pairs, swapped, swaps) = swaps(&episodes, &returns);
    let n = steps.max(1) as f64;
    let means = |names: &[String], sums: &[f64]| Named::new(names, sums.iter().map(|s| s / n));
    Ok(Rescored {
        before: before.name().into(),
        after: after.name().into(),
        steps,
        seconds,
        terms_before: means(before.term_names(), &sums[0]),
        terms_after: means(after.term_names(), &sums[1]),
        mean: totals.map(|t| t / n),
        kendall: kendall(&returns[0], &returns[1]),
        spearman: spearman(&returns[0], &returns[1]),
        fitness_kendall: [0, 1].map(|k| kendall(&fitness, &returns[k])),
        pairs,
        swapped,
        swaps,
        bad,
        episodes,
    })
}

fn swaps(episodes: &[RescoredEpisode], returns: &[Vec<f64>; 2]) -> (usize, usize, Vec<Swap>) {
    let spread = |r: &[f64]| crate::evaluate::Stat::of(r.iter().copied()).std.max(1e-12);
    let scale = [spread(&returns[0]), spread(&returns[1])];
    let (mut pairs, mut all) = (0, Vec::new());
    for i in 0..episodes.len() {
        for j in 0..i {
            pairs += 1;
            let apart = |k: usize| (returns[k][i] - returns[k][j]) / scale[k];
            if apart(0) * apart(1) < 0.0 {
                let (d, u) = if apart(0) > 0.0 { (i, j) } else { (j, i) };
                all.push(Swap {
                    down: episodes[d].episode.clone(),
                    up: episodes[u].episode.clone(),
                    before: apart(0).abs(),
                    after: -apart(1).abs(),
                    fitness: [episodes[d].fitness, episodes[u].fitness],
                });
            }
        }
    }
    all.sort_by(|a, b| (b.before.min(-b.after)).total_cmp(&a.before.min(-a.after)));
    let swapped = all.len();
    all.truncate(LISTED);
    (pairs, swapped, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::{PlayOptions, PolicyPlayer, play_rollouts};
    use crate::testing;
    use pavlov_env::Profile;
    use pavlov_reward::Manifest;
    use std::sync::Arc;

    #[test]
    fn rescoring_gives_the_returns_that_were_played_and_finds_what_changes() {
        let (dir, assets) = testing::assets("");
        let (task, reward) = testing::load(&assets);
        let (task, reward) = (Arc::new(task), Arc::new(reward));
        let config = pavlov_learn::PpoConfig::default();
        let policy = pavlov_learn::Ppo::new(config, task.policy_obs_dim(), 0, task.act_dim(), 1).unwrap().policy();
        let options =
            PlayOptions { episodes: 70, seed: 5, profile: Profile::Fast, disturb: true, backend: Default::default() };
        let pool = crate::train::thread_pool(2).unwrap();
        let channels = task.scene().recorded();
        let player = |_, _| PolicyPlayer::new(&task, &policy);
        let played = play_rollouts(&task, &reward, &options, &channels, player, &pool).unwrap();
        assert_eq!(played.info.episodes.len(), 70);
        let path = dir.path().join("r.safetensors");
        played.write(&path, task.scene()).unwrap();
        let files = [("000000001".to_string(), RolloutFile::open(&path).unwrap())];
        let text = "fn memory() { #{ t: 0.0 } } fn reward(s, p, m) { m.t += 1.0; #{ still: \
            -abs(s.joint(\"slider\").vel), late: -0.001 * m.t } }";
        let other = Reward::from_text("other", "o.rhai", text, Manifest::default(), task.scene()).unwrap();
        let out = rescore(&files, task.scene(), &reward, &other, &pool).unwrap();
        for (episode, played) in out.episodes.iter().zip(&played.info.episodes) {
            assert!((episode.before - played.episode_return).abs() < 1e-6, "{episode:?} {played:?}");
        }
        assert_eq!((out.pairs, out.terms_after.0.len()), (70 * 69 / 2, 2));
        assert!(out.swapped > 0 && out.swaps.len() == LISTED && out.kendall.unwrap() < 1.0);
        let same = rescore(&files, task.scene(), &reward, &reward, &pool).unwrap();
        assert_eq!((same.swapped, same.kendall, same.mean[0]), (0, Some(1.0), same.mean[1]));
    }

    #[test]
    #[ignore = "a measurement; run by name with --release -- --nocapture"]
    fn bench_a_million_steps_of_a_ten_term_reward() {
        let assets = pavlov_env::Assets::find(None);
        let task = Arc::new(pavlov_env::Task::load(&assets, "ant_run").unwrap());
        let reward = Arc::new(crate::train::load_reward(&assets, &task, None).unwrap());
        assert_eq!(reward.term_names().len(), 10);
        struct Wave(usize);
        impl crate::play::Player for Wave {
            fn act(&mut self, _: &[f32], step: usize, actions: &mut [f32]) -> Result<(), RunError> {
                actions.iter_mut().enumerate().for_each(|(i, a)| *a = (0.3 * (step + 7 * i + self.0) as f32).sin());
                Ok(())
            }
        }
        let pool = crate::train::thread_pool(2).unwrap();
        let options =
            PlayOptions { episodes: 128, seed: 5, profile: Profile::Fast, disturb: true, backend: Default::default() };
        let channels = task.scene().recorded();
        let player = |first, _| Ok(Wave(first));
        let played = play_rollouts(&task, &reward, &options, &channels, player, &pool).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        let mut steps = 0;
        while steps < 1_000_000 {
            let path = dir.path().join(format!("{steps}.safetensors"));
            played.write(&path, task.scene()).unwrap();
            files.push((steps.to_string(), RolloutFile::open(&path).unwrap()));
            steps += played.steps();
        }
        let bytes: u64 = std::fs::metadata(dir.path().join("0.safetensors")).unwrap().len();
        println!("{:.0} bytes a step ({} channels)", bytes as f64 / played.steps() as f64, channels.len());
        for _ in 0..3 {
            let clock = Instant::now();
            let mut sum = 0.0;
            for (_, file) in &files {
                let rollouts = file.read(task.scene(), channels_of([&*reward])).unwrap();
                sum += score_all(&reward, task.scene(), &rollouts, false, &pool)
                    .unwrap()
                    .iter()
                    .map(|s| s.total)
                    .sum::<f64>();
            }
            let s = clock.elapsed().as_secs_f64();
            println!(
                "{steps} steps read and scored in {s:.3} s on two threads: {:.2} M steps/s (sum {sum:.1})",
                steps as f64 / s / 1e6
            );
        }
    }
}
