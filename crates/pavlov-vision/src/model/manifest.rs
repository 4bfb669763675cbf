//! `vision.toml`: what a model folder holds.
//!
//! ```toml
//! name = "clip-vit-b32"
//! about = "OpenAI CLIP ViT-B/32"
//! [image]
//! file = "vision_model.onnx"        # may be the same file as the text tower's
//! input = "pixel_values"            # f32 [n, 3, height, width]; left out: the file's only input
//! output = "image_embeds"           # f32 [n, width]
//! size = [224, 224]                 # height, width
//! mean = [0.48145466, 0.4578275, 0.40821073]
//! std = [0.26862954, 0.26130258, 0.27577711]
//! fit = "crop"                      # stretch; crop: shorter side to size, middle kept; pad: longer side to size, bars
//! [text]
//! file = "text_model.onnx"
//! input = "input_ids"               # i64 or i32 [n, context]
//! mask = "attention_mask"           # where the file wants one
//! output = "text_embeds"
//! tokenizer = "tokenizer.json"
//! context = 77
//! pad = 0                           # what fills up to the context
//! end = 49407                       # last token of a text that was cut; left out: what the tokenizer ends with
//! lowercase = false                 # for tokenizers that expect it (SigLIP)
//! [embedding]
//! width = 512
//! logit_scale = 100.0               # 1 / temperature: probability = softmax(logit_scale * cosine)
//! logit_bias = -12.9                # SigLIP: probability = sigmoid(logit_scale * cosine + logit_bias)
//! ```

use crate::VisionError;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// How a picture is brought to the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Both sides to the size; the aspect may change.
    Stretch,
    /// The shorter side to the size, the middle cut out (CLIP).
    #[default]
    Crop,
    /// The longer side to the size, grey bars beside it.
    Pad,
}

/// The image tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTower {
    /// ONNX file in the folder.
    pub file: String,
    /// Input with the pixels.
    #[serde(default)]
    pub input: Option<String>,
    /// Output with the embedding.
    #[serde(default)]
    pub output: Option<String>,
    /// Height and width.
    pub size: [u32; 2],
    /// Mean of each channel, of values from 0 to 1.
    pub mean: [f32; 3],
    /// Deviation of each channel.
    pub std: [f32; 3],
    /// How pictures of other sizes are made to fit.
    #[serde(default)]
    pub fit: Fit,
}

/// The text tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTower {
    /// ONNX file in the folder.
    pub file: String,
    /// Input with the tokens.
    #[serde(default)]
    pub input: Option<String>,
    /// Input that is 1 for tokens and 0 for padding, where there is one.
    #[serde(default)]
    pub mask: Option<String>,
    /// Output with the embedding.
    #[serde(default)]
    pub output: Option<String>,
    /// Tokenizer file in the folder.
    pub tokenizer: String,
    /// Tokens of a text.
    pub context: usize,
    /// Token that fills up to the context.
    #[serde(default)]
    pub pad: i64,
    /// Token that must stand last where a text is cut.
    #[serde(default)]
    pub end: Option<i64>,
    /// Turn texts to lower case first.
    #[serde(default)]
    pub lowercase: bool,
}

/// What both towers give.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Numbers of an embedding.
    pub width: usize,
    /// 1 / temperature.
    #[serde(default = "hundred")]
    pub logit_scale: f32,
    /// SigLIP's bias.
    #[serde(default)]
    pub logit_bias: Option<f32>,
}

fn hundred() -> f32 {
    100.0
}

/// A model folder's manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Short name.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub about: String,
    /// Image tower.
    pub image: ImageTower,
    /// Text tower.
    pub text: TextTower,
    /// What both give.
    pub embedding: Embedding,
}

/// Largest side of pictures and longest texts that are believed.
const MAX_SIDE: u32 = 1024;
const MAX_CONTEXT: usize = 8192;

impl Manifest {
    /// Reads and checks `vision.toml` of a folder.
    ///
    /// # Errors
    /// [`VisionError`] with file, place and what was expected.
    pub fn read(folder: &Path) -> Result<Self, VisionError> {
        let path = folder.join("vision.toml");
        if !folder.is_dir() {
            let message = "no such model folder; it holds vision.toml, the ONNX files it names and a tokenizer.json";
            return Err(VisionError::file(folder, message));
        }
        let text = pavlov_common::text::read(&path).map_err(|e| VisionError::io(&path, e))?;
        let manifest: Self = toml::from_str(&text).map_err(|e| VisionError::file(&path, e.to_string().trim_end()))?;
        manifest.check().map_err(|m| VisionError::file(&path, m))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let [h, w] = self.image.size;
        if !(1..=MAX_SIDE).contains(&h) || !(1..=MAX_SIDE).contains(&w) {
            return Err(format!("image.size = [{h}, {w}]: expected 1 to {MAX_SIDE}"));
        }
        if let Some(bad) = self.image.std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(format!("image.std has {bad}: expected numbers above 0"));
        }
        if let Some(bad) = self.image.mean.iter().find(|m| !m.is_finite()) {
            return Err(format!("image.mean has {bad}: expected finite numbers"));
        }
        if !(1..=MAX_CONTEXT).contains(&self.text.context) {
            return Err(format!("text.context = {}: expected 1 to {MAX_CONTEXT}", self.text.context));
        }
        if !(1..=65_536).contains(&self.embedding.width) {
            return Err(format!("embedding.width = {}: expected 1 to 65536", self.embedding.width));
        }
        let scale = self.embedding.logit_scale;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(format!("embedding.logit_scale = {scale}: expected a number above 0 (1 / temperature)"));
        }
        for file in [&self.image.file, &self.text.file, &self.text.tokenizer] {
            let plain = Path::new(file).components().all(|c| matches!(c, std::path::Component::Normal(_)));
            if !plain || file.is_empty() {
                return Err(format!("file `{file}`: expected a name within the model's folder"));
            }
        }
        Ok(())
    }

    /// Every file of the model, the manifest first.
    pub fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut all = vec![folder.join("vision.toml"), folder.join(&self.image.file)];
        for file in [&self.text.file, &self.text.tokenizer] {
            let path = folder.join(file);
            if !all.contains(&path) {
                all.push(path);
            }
        }
        all
    }
}
