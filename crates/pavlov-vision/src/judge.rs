//! What a picture's vector is worth by the options of a source: score, classifier or stages; several goals combined.

use crate::options::{Join, Mode, Options};
use crate::stages::Stages;
use crate::{Eyes, Goal, Sight, VisionError};
use pavlov_common::file;
use pavlov_render::Picture;
use pavlov_reward::Reward;
use std::path::Path;

/// Turns vectors of pictures into numbers.
#[derive(Debug, Clone)]
pub struct Judge {
    mode: Mode,
    join: Join,
    goals: Vec<Goal>,
    /// Baseline and other contrasting texts, for the classifier.
    against: Vec<Goal>,
    scale: f64,
    bias: Option<f64>,
    threshold: f64,
    stages: Option<Stages>,
}

impl Judge {
    /// With the vectors of the texts, and the stages of the demonstration where there is one.
    ///
    /// # Errors
    /// When a text or the demonstration cannot be embedded.
    pub fn new(options: &Options, eyes: &mut Eyes, sight: &Sight, reward: &Reward) -> Result<Self, VisionError> {
        let stages = match (&options.demo, options.mode) {
            (Some(demo), Mode::Staged) => Some(demonstration(
                &reward.file(demo).map_err(|e| VisionError::Usage(e.to_string()))?,
                options.stages,
                eyes,
                sight,
            )?),
            _ => None,
        };
        let embedding = &eyes.model().manifest().embedding;
        let (scale, bias) = (f64::from(embedding.logit_scale), embedding.logit_bias.map(f64::from));
        let model = eyes.model();
        let baseline = options.baseline.as_ref().map(|b| model.text(b)).transpose()?;
        let mut goals = Vec::new();
        for goal in &options.goals {
            goals.push(Goal::new(&model.text(goal)?, baseline.as_deref(), options.alpha));
        }
        let mut against = Vec::new();
        for text in options.baseline.iter().chain(&options.against) {
            against.push(Goal::new(&model.text(text)?, None, 0.0));
        }
        let (mode, join, threshold) = (options.mode, options.join, options.threshold);
        Ok(Self { mode, join, goals, against, scale, bias, threshold, stages })
    }

    /// The number of a picture.
    pub fn value(&self, v: &[f32]) -> f32 {
        if let Some(stages) = &self.stages {
            return stages.score(v) as f32;
        }
        let each = self.goals.iter().map(|goal| match self.mode {
            Mode::Classifier => f64::from(u8::from(self.probability(goal, v) > self.threshold)),
            _ => goal.score(v),
        });
        let joined = match self.join {
            Join::Mean => each.sum::<f64>() / self.goals.len().max(1) as f64,
            Join::Min => each.fold(f64::INFINITY, f64::min),
            Join::Max => each.fold(f64::NEG_INFINITY, f64::max),
        };
        joined as f32
    }

    /// Softmax over the goal and what it is held against; without those, as the model says.
    fn probability(&self, goal: &Goal, v: &[f32]) -> f64 {
        let cosine = goal.cosine(v);
        if self.against.is_empty() {
            return crate::probability(cosine, None, self.scale, self.bias);
        }
        let others: f64 = self.against.iter().map(|a| (self.scale * (a.cosine(v) - cosine)).exp()).sum();
        1.0 / (1.0 + others)
    }
}

/// A demonstration's stages: a clip of a run, or a folder of pictures in the order of their names.
fn demonstration(path: &Path, count: usize, eyes: &mut Eyes, sight: &Sight) -> Result<Stages, VisionError> {
    let rows = if path.is_dir() {
        let pictures = read_pictures(path)?.into_iter().map(|(_, p)| p).collect::<Vec<_>>();
        eyes.model().images(&pictures)?
    } else {
        let clip = pavlov_run::Clip::read(path)?;
        let states: Vec<&[f32]> = clip.frames.iter().map(|f| f.qpos.as_slice()).filter(|q| !q.is_empty()).collect();
        // A hundred pictures tell the stages of any demonstration.
        let step = states.len().div_ceil(100).max(1);
        eyes.look(&states.into_iter().step_by(step).collect::<Vec<_>>(), sight)?.0
    };
    Stages::find(&rows, count).map_err(|m| VisionError::file(path, m))
}

/// Pictures of a folder (PNG, JPEG, GIF's first), sorted by name; or of one file.
///
/// # Errors
/// When there are none, or one cannot be read.
pub fn read_pictures(path: &Path) -> Result<Vec<(String, Picture)>, VisionError> {
    let mut files = Vec::new();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| VisionError::io(path, e))?;
        let known = |p: &Path| {
            let ext = p.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
            ext.is_some_and(|e| ["png", "jpg", "jpeg", "gif"].contains(&e.as_str()))
        };
        files.extend(entries.flatten().map(|e| e.path()).filter(|p| known(p)));
        files.sort();
        if files.is_empty() {
            return Err(VisionError::file(path, "there is no picture in it: expected .png, .jpg or .gif files"));
        }
    } else {
        files.push(path.to_path_buf());
    }
    let read = |path: &std::path::PathBuf| {
        let bytes = file::read(path, file::NUMBERS).map_err(|e| VisionError::io(path, e))?;
        let picture = Picture::decode(&bytes).map_err(|e| {
            VisionError::file(path, format!("no picture that can be read: {e}; expected PNG, JPEG or GIF"))
        })?;
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok((name, picture))
    };
    files.iter().map(read).collect()
}
