//! Can a prompt be trusted as a reward? Prompts against rollouts, scores against labels, and how both move with alpha,
//! camera and ground.
//!
//! Each run brings the prompt of its reward (or one that is given) and frames of its rollouts. Labels of a frame are
//! what the task's own `success(s)` says of it; of an episode, whether it was a success. A good prompt scores its own
//! rollouts above those of the others (the matrix is diagonal-heavy) and frames with the label above those without
//! (AUROC near 1, EPIC distance near 0).

use crate::measure::{auroc, epic};
use crate::{Eyes, Goal, Sight, VisionError, VisionModel};
use pavlov_common::stats::mean;
use pavlov_env::Task;
use pavlov_render::{CAMERAS, Picture, SURFACES};
use pavlov_reward::{Columns, Reward, score};
use pavlov_run::{RunConfig, RunError, RunFolder, load_inputs, rollout_files};
use pavlov_script::Channel;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is audited, and how.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Run folders.
    pub runs: Vec<PathBuf>,
    /// Prompts in place of those of the runs' rewards, one a run.
    pub prompts: Vec<String>,
    /// Baseline in place of that of the runs' rewards.
    pub baseline: Option<String>,
    /// Strength of the baseline.
    pub alpha: f64,
    /// Model folder.
    pub model: PathBuf,
    /// Camera, ground, light.
    pub sight: [String; 3],
    /// Frames of each run.
    pub frames: usize,
    /// Graphics adapter.
    pub adapter: usize,
}

/// A run's prompt on its own frames.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Name of the run.
    pub run: String,
    /// Its task.
    pub task: String,
    /// Its prompt.
    pub prompt: String,
    /// Its baseline.
    pub baseline: Option<String>,
    /// Frames looked at, of them with the label.
    pub frames: usize,
    /// Frames that the task's `success` holds for.
    pub labelled: usize,
    /// EPIC distance to the labels.
    pub epic: Option<f64>,
    /// AUROC of frames against labels.
    pub auroc: Option<f64>,
    /// AUROC of episodes (mean score of the second half) against success.
    pub episode_auroc: Option<f64>,
    /// Share of rollouts of other runs that this prompt scores lower than its own (mean over frames).
    pub own_above: f64,
}

/// One setting of a sweep, means over runs.
#[derive(Debug, Clone, Serialize)]
pub struct Swept {
    /// What was set.
    pub name: String,
    /// EPIC distance.
    pub epic: Option<f64>,
    /// AUROC of frames.
    pub auroc: Option<f64>,
    /// Share of right comparisons in the matrix.
    pub diagonal: f64,
}

/// An audit.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Model.
    pub model: String,
    /// What ran it.
    pub runtime: String,
    /// Strength of the baseline.
    pub alpha: f64,
    /// Each run.
    pub runs: Vec<Judged>,
    /// Mean score `[prompt][rollout]`.
    pub matrix: Vec<Vec<f64>>,
    /// Share of right comparisons: own rollout above another one for the prompt, own prompt above another one for the
    /// rollout.
    pub diagonal: f64,
    /// Over alpha.
    pub alphas: Vec<Swept>,
    /// Over cameras.
    pub cameras: Vec<Swept>,
    /// Over grounds.
    pub grounds: Vec<Swept>,
    /// Pictures of each run with score and label, best and worst.
    #[serde(skip)]
    pub pictures: Vec<Vec<(Picture, f64, bool)>>,
}

/// Frames of a run.
struct Frames {
    judged: Judged,
    task: Task,
    states: Vec<Vec<f32>>,
    labels: Vec<bool>,
    /// Episode of each frame, whether in its second half, and success of episodes.
    episode: Vec<(usize, bool)>,
    success: Vec<bool>,
}

/// The prompt and baseline of a run's reward, where it has a vision source.
fn prompt_of(reward: &Reward) -> Option<(String, Option<String>)> {
    let text = |t: &toml::Table, key: &str| t.get(key).and_then(toml::Value::as_str).map(str::to_string);
    reward.manifest().sources.values().find_map(|t| {
        let is = matches!(text(t, "kind").as_deref(), Some("vision" | "vlm"));
        let goal = text(t, "goal").or_else(|| {
            let list = t.get("goals").and_then(toml::Value::as_array)?;
            list.first().and_then(toml::Value::as_str).map(str::to_string)
        });
        is.then(|| goal.map(|g| (g, text(t, "baseline")))).flatten()
    })
}

/// What the task's own `success` says of every row of the rollouts.
fn labels(task: &Task, rollouts: &pavlov_run::Rollouts) -> Result<Vec<bool>, VisionError> {
    let [_, _, script] = task.inputs.as_slice() else {
        return Err(VisionError::Usage(format!("task {} has no script", task.name)));
    };
    let text = pavlov_common::text::read(script).map_err(|e| VisionError::io(script, e))?;
    let text = format!("{text}\nfn reward(s, p) {{ #{{ label: if success(s) {{ 1.0 }} else {{ 0.0 }} }} }}\n");
    let failed =
        |e: &dyn std::fmt::Display| VisionError::file(script, format!("its `success` cannot label frames: {e}"));
    let reward = Reward::from_texts(script, "label", &text, None, task.scene()).map_err(|e| failed(&e))?;
    let mut all = vec![false; rollouts.info.rows];
    let scored = score(&reward, task.scene(), rollouts, &rollouts.spans(), true).map_err(|e| failed(&e))?;
    for (scored, span) in scored.iter().zip(rollouts.spans()) {
        // The first row of an episode is before any step.
        for (k, &r) in scored.step_totals.iter().enumerate() {
            all[span.first + 1 + k] = r > 0.5;
        }
    }
    Ok(all)
}

fn frames(path: &Path, options: &AuditOptions, index: usize) -> Result<Frames, VisionError> {
    let folder = RunFolder::open(path)?;
    let config = RunConfig::read(&folder.config())?;
    let (task, reward) = load_inputs(&folder, &config)?;
    let prompted = prompt_of(&reward);
    let given = options.prompts.get(index).cloned();
    let (prompt, baseline) = match (given, prompted) {
        (Some(p), prompted) => (p, prompted.and_then(|o| o.1)),
        (None, Some(prompted)) => prompted,
        (None, None) => {
            let name = folder.name();
            return Err(VisionError::Usage(format!(
                "run {name} was not trained on a vision source, so that it has no prompt: give one for each run with \
                 --prompt"
            )));
        }
    };
    let baseline = options.baseline.clone().or(baseline);
    let nq = task.model().nq();
    let files = rollout_files(&folder)?;
    let (mut states, mut marks, mut episode, mut success) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (_, file) in &files {
        let rollouts = file.read(task.scene(), task.scene().recorded())?;
        let label = labels(&task, &rollouts)?;
        let columns: Option<Vec<&[f32]>> = (0..nq).map(|i| rollouts.column(Channel::Qpos(i as u16))).collect();
        let Some(columns) = columns else {
            return Err(VisionError::Usage(format!("run {}: its rollouts have no qpos", folder.name())));
        };
        for e in &rollouts.info.episodes {
            for row in e.first + 1..=e.first + e.steps {
                states.push(columns.iter().map(|c| if c.len() == 1 { c[0] } else { c[row] }).collect::<Vec<f32>>());
                marks.push(label[row]);
                episode.push((success.len(), 2 * (row - e.first) > e.steps));
            }
            success.push(e.success);
        }
    }
    let step = (states.len() as f64 / options.frames.max(1) as f64).max(1.0);
    let chosen: Vec<usize> = (0..).map(|k| (f64::from(k) * step) as usize).take_while(|&i| i < states.len()).collect();
    let pick = |i: &usize| states[*i].clone();
    let labels: Vec<bool> = chosen.iter().map(|&i| marks[i]).collect();
    let judged = Judged {
        run: folder.name(),
        task: task.name.clone(),
        prompt,
        baseline,
        frames: chosen.len(),
        labelled: labels.iter().filter(|l| **l).count(),
        epic: None,
        auroc: None,
        episode_auroc: None,
        own_above: 0.0,
    };
    Ok(Frames {
        states: chosen.iter().map(pick).collect(),
        episode: chosen.iter().map(|&i| episode[i]).collect(),
        labels,
        judged,
        task,
        success,
    })
}

/// Share of right comparisons in a matrix `[prompt][rollout]`; 1 for a single run.
fn diagonal(matrix: &[Vec<f64>]) -> f64 {
    let (mut right, mut all) = (0, 0);
    for i in 0..matrix.len() {
        for j in (0..matrix.len()).filter(|&j| j != i) {
            right += usize::from(matrix[i][i] > matrix[i][j]) + usize::from(matrix[i][i] > matrix[j][i]);
            all += 2;
        }
    }
    if all == 0 { 1.0 } else { f64::from(right as u32) / f64::from(all as u32) }
}

/// Vectors of all frames, and texts, at one sight.
struct Seen {
    vectors: Vec<Vec<Vec<f32>>>,
}

impl Seen {
    /// Scores `[prompt][run][frame]`.
    fn scores(&self, goals: &[Goal]) -> Vec<Vec<Vec<f64>>> {
        let by_goal =
            |goal: &Goal| self.vectors.iter().map(|run| run.iter().map(|v| goal.score(v)).collect()).collect();
        goals.iter().map(by_goal).collect()
    }

    fn swept(&self, name: String, goals: &[Goal], all: &[Frames]) -> Swept {
        let scores = self.scores(goals);
        let matrix: Vec<Vec<f64>> = means(&scores);
        let on_own_run = || all.iter().enumerate().map(|(i, f)| (&scores[i][i], f));
        Swept {
            name,
            epic: mean(on_own_run().filter_map(|(s, f)| epic(s, &numbers(&f.labels)))),
            auroc: mean(on_own_run().filter_map(|(s, f)| auroc(s, &f.labels))),
            diagonal: diagonal(&matrix),
        }
    }
}

/// Mean score `[prompt][run]` over frames.
fn means(scores: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let run_mean = |frames: &Vec<f64>| mean(frames.iter().copied()).unwrap_or_default();
    scores.iter().map(|runs| runs.iter().map(run_mean).collect()).collect()
}

fn numbers(labels: &[bool]) -> Vec<f64> {
    labels.iter().map(|&l| f64::from(u8::from(l))).collect()
}

/// Audits runs.
///
/// # Errors
/// When a run, the model or a picture cannot be had.
pub fn audit(options: &AuditOptions) -> Result<Audit, VisionError> {
    if options.runs.is_empty() {
        return Err(VisionError::Usage("no run to audit".into()));
    }
    if !options.prompts.is_empty() && options.prompts.len() != options.runs.len() {
        let (p, r) = (options.prompts.len(), options.runs.len());
        return Err(VisionError::Usage(format!("{p} prompts for {r} runs: give one for each run, or none")));
    }
    let mut all = Vec::new();
    for (index, run) in options.runs.iter().enumerate() {
        all.push(frames(run, options, index)?);
    }
    let [camera, ground, light] = &options.sight;
    let mut model = VisionModel::load(&options.model)?;
    let mut texts = Vec::new();
    for f in &all {
        let baseline = f.judged.baseline.as_ref().map(|b| model.text(b)).transpose()?;
        texts.push((model.text(&f.judged.prompt)?, baseline));
    }
    let name = model.manifest().name.clone();
    let goals = |alpha: f64| -> Vec<Goal> { texts.iter().map(|(g, b)| Goal::new(g, b.as_deref(), alpha)).collect() };
    // One pair of eyes after another: runs may be of different robots, and the model is one.
    let mut eyes: Vec<Eyes> = Vec::new();
    for f in &all {
        let model = VisionModel::load(&options.model)?;
        eyes.push(Eyes::new(f.task.model(), model, options.adapter)?);
    }
    let mut look = |sight: &Sight| -> Result<Seen, VisionError> {
        let mut vectors = Vec::new();
        for (f, eyes) in all.iter().zip(&mut eyes) {
            let states: Vec<&[f32]> = f.states.iter().map(Vec::as_slice).collect();
            vectors.push(eyes.look(&states, sight)?.0);
        }
        Ok(Seen { vectors })
    };
    let sight = Sight::named(camera, ground, light)?;
    let seen = look(&sight)?;
    let at_alpha = goals(options.alpha);
    let scores = seen.scores(&at_alpha);
    let matrix: Vec<Vec<f64>> = means(&scores);
    let alphas: Vec<Swept> = (0..=10)
        .map(|k| {
            let alpha = f64::from(k) / 10.0;
            seen.swept(format!("{alpha:.1}"), &goals(alpha), &all)
        })
        .collect();
    let mut cameras = Vec::new();
    for (name, ..) in CAMERAS {
        cameras.push(look(&Sight::named(name, ground, light)?)?.swept((*name).into(), &at_alpha, &all));
    }
    let mut grounds = Vec::new();
    for (name, ..) in SURFACES {
        grounds.push(look(&Sight::named(camera, name, light)?)?.swept((*name).into(), &at_alpha, &all));
    }
    let mut runs = Vec::new();
    let mut pictures = Vec::new();
    for (i, (f, eyes)) in all.iter().zip(&mut eyes).enumerate() {
        let s = &scores[i][i];
        let mut judged = f.judged.clone();
        judged.epic = epic(s, &numbers(&f.labels));
        judged.auroc = auroc(s, &f.labels);
        judged.episode_auroc = by_episode(s, f);
        let others = matrix[i].iter().enumerate().filter(|(j, _)| *j != i);
        let (below, count) = others.fold((0, 0), |(b, n), (_, x)| (b + usize::from(*x < matrix[i][i]), n + 1));
        judged.own_above = if count == 0 { 1.0 } else { below as f64 / f64::from(count) };
        runs.push(judged);
        let mut order: Vec<usize> = (0..s.len()).collect();
        order.sort_by(|&a, &b| s[b].total_cmp(&s[a]));
        let shown: Vec<usize> = order.iter().take(4).chain(order.iter().rev().take(4).rev()).copied().collect();
        let states: Vec<&[f32]> = shown.iter().map(|&k| f.states[k].as_slice()).collect();
        let drawn = eyes.draw_sized(&states, &sight, 160, 160)?;
        pictures.push(drawn.into_iter().zip(&shown).map(|(p, &k)| (p, s[k], f.labels[k])).collect());
    }
    Ok(Audit {
        model: name,
        runtime: crate::runtime()?.to_string(),
        alpha: options.alpha,
        diagonal: diagonal(&matrix),
        runs,
        matrix,
        alphas,
        cameras,
        grounds,
        pictures,
    })
}

/// AUROC of episodes: mean score of their second half against success.
fn by_episode(scores: &[f64], f: &Frames) -> Option<f64> {
    let (mut sum, mut count) = (vec![0.0; f.success.len()], vec![0u32; f.success.len()]);
    for (s, &(e, late)) in scores.iter().zip(&f.episode) {
        if late {
            sum[e] += s;
            count[e] += 1;
        }
    }
    let seen: Vec<usize> = (0..sum.len()).filter(|&e| count[e] > 0).collect();
    let values: Vec<f64> = seen.iter().map(|&e| sum[e] / f64::from(count[e])).collect();
    let labels: Vec<bool> = seen.iter().map(|&e| f.success[e]).collect();
    auroc(&values, &labels)
}

impl From<pavlov_env::EnvError> for VisionError {
    fn from(e: pavlov_env::EnvError) -> Self {
        Self::Run(RunError::from(e))
    }
}
