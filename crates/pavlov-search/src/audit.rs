//! Audit sets: one good behaviour of a task and at least nine bad ones.
//!
//! `assets/audit/<task>.toml` names the good policy and behaviours of this task; `assets/audit/common.toml` those of
//! all tasks. Playing is deterministic: the nominal robot, fixed seeds, the fast profile. Each behaviour plays in a few
//! worlds, so that a lucky start or command does not count.

use crate::behaviour::{AUDIT_SEED, AuditPlayer, Behaviour, Ready};
use crate::error::SearchError;
use pavlov_common::file;
use pavlov_env::{Assets, BackendKind, Profile, Task};
use pavlov_learn::Policy;
use pavlov_reward::{Manifest, Reward};
use pavlov_run::{PlayOptions, Rollouts, play_rollouts};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Control steps of all worlds of a behaviour together: every one is kept with all its channels.
const MOST_STEPS: usize = 200_000;

/// The file, key by key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AuditFile {
    /// Control steps of an episode.
    steps: usize,
    /// Worlds of each behaviour.
    worlds: usize,
    /// Add the behaviours of `common.toml`?
    common: bool,
    /// The good behaviour.
    good: Option<Behaviour>,
    /// Bad ones.
    bad: Vec<Behaviour>,
}

impl Default for AuditFile {
    fn default() -> Self {
        Self { steps: 300, worlds: 2, common: true, good: None, bad: Vec::new() }
    }
}

/// An audit set made ready for a task.
#[derive(Debug, Clone)]
pub struct AuditSet {
    ready: Vec<Ready>,
    policies: Vec<Policy>,
    steps: usize,
    worlds: usize,
    has_good: bool,
}

/// Played: episodes of behaviour 0 first, `worlds` of each.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Every channel of every step.
    pub rollouts: Rollouts,
    /// The behaviours; the good one is the first when there is one.
    pub behaviours: Vec<Behaviour>,
    /// Is the first one good?
    pub has_good: bool,
    /// Worlds of each behaviour.
    pub worlds: usize,
    /// Control steps of an episode that is lived through.
    pub steps: usize,
    /// Mean fitness of each behaviour over its worlds.
    pub fitness: Vec<f64>,
}

impl Audit {
    /// Behaviour of an episode.
    pub fn behaviour_of(&self, episode: usize) -> &Behaviour {
        &self.behaviours[episode / self.worlds]
    }

    /// Mean over the worlds of each behaviour of a number per episode.
    pub fn means(&self, per_episode: &[f64]) -> Vec<f64> {
        per_episode.chunks(self.worlds).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect()
    }

    /// Is the behaviour worse than the good one by the task's fitness, by a tenth of the range of fitness or more?
    pub fn is_bad(&self, behaviour: usize) -> bool {
        let low = self.fitness.iter().copied().fold(f64::INFINITY, f64::min);
        self.has_good
            && behaviour > 0
            && self.fitness[behaviour] < self.fitness[0] - 0.1 * (self.fitness[0] - low).max(1e-9)
    }
}

fn read(path: &Path) -> Result<AuditFile, SearchError> {
    let wrong = |message: String| SearchError::Audit { path: path.to_path_buf(), message };
    let text = pavlov_common::text::read(path).map_err(|e| wrong(e.to_string()))?;
    let file: AuditFile = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if !(1..=100_000).contains(&file.steps) || !(1..=64).contains(&file.worlds) {
        return Err(wrong(format!("steps {}, worlds {}: expected 1 to 100000 and 1 to 64", file.steps, file.worlds)));
    }
    if file.steps * file.worlds > MOST_STEPS {
        let (steps, worlds) = (file.steps, file.worlds);
        return Err(wrong(format!("steps {steps} in {worlds} worlds: expected at most {MOST_STEPS} in all")));
    }
    match file.good.iter().chain(&file.bad).find_map(Behaviour::problem) {
        Some(message) => Err(wrong(message)),
        None => Ok(file),
    }
}

/// The first root that has this file.
fn find(assets: &Assets, name: &str) -> Option<PathBuf> {
    assets.roots().iter().map(|r| r.join("assets/audit").join(format!("{name}.toml"))).find(|p| p.is_file())
}

impl AuditSet {
    /// Reads the audit set of a task. A task without one has the common behaviours and no good one.
    ///
    /// # Errors
    /// When a file cannot be read or says something impossible, or a policy does not fit the task.
    pub fn load(assets: &Assets, task: &Task) -> Result<Self, SearchError> {
        let path = find(assets, &task.name);
        let file = path.as_deref().map(read).transpose()?.unwrap_or_default();
        let mut all: Vec<(Behaviour, Option<PathBuf>)> = Vec::new();
        let with_path = |b: Behaviour| (b, path.clone());
        let has_good = file.good.is_some();
        all.extend(file.good.clone().map(with_path));
        all.extend(file.bad.into_iter().map(with_path));
        if let (true, Some(common)) = (file.common, find(assets, "common")) {
            all.extend(read(&common)?.bad.into_iter().map(|b| (b, Some(common.clone()))));
        }
        let (mut ready, mut policies): (Vec<Ready>, Vec<Policy>) = (Vec::new(), Vec::new());
        for (behaviour, path) in all {
            let mut policy = None;
            if behaviour.play == crate::behaviour::Play::Policy {
                match (&behaviour.file, &path) {
                    (Some(name), Some(path)) => {
                        let (base, file) = (path.parent().unwrap_or(Path::new(".")), path.with_file_name(name));
                        pavlov_common::fence::check(base, name, &file)
                            .map_err(|e| SearchError::Audit { path: path.clone(), message: e.to_string() })?;
                        policies.push(policy_file(&file, task)?);
                        policy = Some(policies.len() - 1);
                    }
                    // The good one's; without it there is nothing to vary.
                    _ if has_good && !ready.is_empty() => policy = ready[0].policy,
                    _ => continue,
                }
            }
            ready.push(Ready { behaviour, policy });
        }
        let steps = file.steps.min(task.episode_steps());
        Ok(Self { ready, policies, steps, worlds: file.worlds, has_good })
    }

    /// The policy that does what the task asks, where the set has one.
    pub fn good_policy(&self) -> Option<&Policy> {
        self.ready.first().filter(|_| self.has_good)?.policy.map(|p| &self.policies[p])
    }

    /// Number of behaviours.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Plays every behaviour.
    ///
    /// # Errors
    /// When the environment cannot be made or a script of the task fails.
    pub fn play(&self, task: &Task, pool: &rayon::ThreadPool) -> Result<Audit, SearchError> {
        if self.ready.is_empty() {
            return Err(SearchError::Usage(format!("no behaviours to judge rewards of task {} by", task.name)));
        }
        let short = Arc::new(task.with_episode_steps(self.steps));
        // The columns are what counts: they are scored later.
        let nothing =
            Reward::from_text("none", "none.rhai", "fn reward(s) { 0.0 }", Manifest::default(), task.scene())?;
        let options = PlayOptions {
            episodes: self.ready.len() * self.worlds,
            seed: AUDIT_SEED,
            profile: Profile::Fast,
            disturb: false,
            backend: BackendKind::Batch,
        };
        let player = |first: usize, n: usize| {
            let worlds = (first..first + n).map(|w| &self.ready[w / self.worlds]).collect();
            Ok(AuditPlayer::new(&short, worlds, first, &self.policies))
        };
        let channels = task.scene().recorded();
        let mut rollouts = play_rollouts(&short, &Arc::new(nothing), &options, &channels, player, pool)?;
        for (i, episode) in rollouts.info.episodes.iter_mut().enumerate() {
            episode.name = self.ready[i / self.worlds].behaviour.name.clone();
        }
        let mut audit = Audit {
            behaviours: self.ready.iter().map(|r| r.behaviour.clone()).collect(),
            has_good: self.has_good,
            worlds: self.worlds,
            steps: self.steps,
            fitness: Vec::new(),
            rollouts,
        };
        audit.fitness = audit.means(&audit.rollouts.info.episodes.iter().map(|e| e.fitness).collect::<Vec<_>>());
        Ok(audit)
    }
}

fn policy_file(path: &Path, task: &Task) -> Result<Policy, SearchError> {
    let wrong = |message: String| SearchError::Audit { path: path.to_path_buf(), message };
    let bytes = file::read(path, file::NUMBERS).map_err(|e| wrong(e.to_string()))?;
    let policy = Policy::from_compact(&bytes).map_err(|e| wrong(e.to_string()))?;
    let (found, wanted) = ((policy.obs_dim(), policy.act_dim()), (task.policy_obs_dim(), task.act_dim()));
    if found != wanted {
        let message = format!(
            "maps {} numbers to {} actions, task {} needs {} to {}",
            found.0, found.1, task.name, wanted.0, wanted.1
        );
        return Err(wrong(message));
    }
    Ok(policy)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A good behaviour and five others, in two worlds each, for three steps; their fitness, and no ends but by the time
    /// limit.
    pub(crate) fn six(fitness: [f64; 6]) -> (Task, Audit) {
        let assets = Assets::find(None);
        let task = Task::load(&assets, "cartpole_swingup").unwrap().with_episode_steps(3);
        let pool = pavlov_run::thread_pool(1).unwrap();
        let mut audit = AuditSet::load(&assets, &task).unwrap().play(&task, &pool).unwrap();
        assert!(audit.has_good && audit.worlds == 2 && audit.behaviours.len() >= 6);
        audit.behaviours.truncate(6);
        for (k, behaviour) in audit.behaviours.iter_mut().enumerate() {
            (behaviour.name, behaviour.exploit, behaviour.idle) = (format!("b{k}"), None, false);
        }
        audit.fitness = fitness.to_vec();
        audit.rollouts.info.episodes.truncate(12);
        (task, audit)
    }

    #[test]
    fn bad_is_a_tenth_of_the_range_of_fitness_below_the_good_one() {
        let (_, mut audit) = six([8.0, 9.0, 7.1, 6.9, -2.0, 8.0]);
        let bad = |audit: &Audit| (0..6).filter(|&k| audit.is_bad(k)).collect::<Vec<_>>();
        assert_eq!(bad(&audit), [3, 4]);
        assert_eq!((0..12).map(|e| &*audit.behaviour_of(e).name).collect::<Vec<_>>()[1..4], ["b0", "b1", "b1"]);
        assert_eq!(audit.means(&[1.0, 2.0, 4.0, 8.0]), [1.5, 6.0]);
        audit.fitness = vec![5.0; 6];
        assert!(bad(&audit).is_empty(), "as fit as the good one");
        (audit.fitness, audit.has_good) = (vec![8.0, 9.0, 7.1, 6.9, -2.0, 8.0], false);
        assert!(bad(&audit).is_empty(), "worse than no good one");
    }

    #[test]
    fn sizes_of_an_audit_set_are_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).map(|f| (f.steps, f.worlds)).map_err(|e| e.to_string())
        };
        assert_eq!(said("steps = 100000\nworlds = 2"), Ok((100_000, 2)));
        assert_eq!(said("steps = 3125\nworlds = 64"), Ok((3125, 64)));
        for (text, why) in [
            ("steps = 0", "steps 0, worlds 2: expected 1 to 100000 and 1 to 64"),
            ("worlds = 65", "steps 300, worlds 65: expected 1 to 100000"),
            ("steps = 100000\nworlds = 3", "steps 100000 in 3 worlds: expected at most 200000 in all"),
        ] {
            let e = said(text).unwrap_err();
            assert!(e.contains(why) && e.contains("x.toml"), "{e}");
        }
    }
}
