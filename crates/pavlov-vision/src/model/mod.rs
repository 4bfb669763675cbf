//! A two-tower model: pictures and texts to unit vectors of one space.
//!
//! A folder holds `vision.toml` (see [`Manifest`]), the ONNX files and `tokenizer.json`. Vectors of texts are computed
//! once and kept in the user's cache folder under the hash of model and text, so that a second start needs the image
//! tower only.

mod builtin;
mod cache;
mod library;
mod manifest;
mod pixels;
mod runtime;
mod tower;
mod weights;

pub use manifest::{Embedding, Fit, ImageTower, Manifest, TextTower};
pub use runtime::{Choice, Runtime, choose_runtime, runtime, tell_libraries};

use crate::VisionError;
use pavlov_common::file;
use pavlov_render::Picture;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tower::{Element, Input, Numbers, OnnxFile};

/// Pictures that go through the tower together at most, and the numbers that they may have then.
const TOGETHER: usize = 32;
const NUMBERS_TOGETHER: usize = 1 << 23;

/// Vectors of unlike pictures or texts that differ by less than this are the same: what rounding leaves.
const SAME: f32 = 1e-6;
/// Texts that no tower can take for each other.
const UNLIKE: [&str; 2] = ["a robot lying on the ground", "night"];

/// A loaded model.
#[derive(Debug)]
pub struct VisionModel {
    folder: PathBuf,
    manifest: Manifest,
    hash: String,
    image: OnnxFile,
    image_names: (String, String),
    text: Option<TextSide>,
    /// Inputs of a file with both towers, when only one is wanted.
    same_file: bool,
    known: HashMap<String, Vec<f32>>,
    cache: Option<PathBuf>,
    threads: usize,
}

#[derive(Debug)]
struct TextSide {
    /// None: the image tower's file has both.
    file: Option<OnnxFile>,
    input: (String, Element),
    mask: Option<(String, Element)>,
    output: String,
    /// The file would take a later token for the first one of the same number.
    finds_last: bool,
    tokenizer: tokenizers::Tokenizer,
}

/// Threads of a tower when not told otherwise: what the machine has.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl VisionModel {
    /// The model in this folder.
    ///
    /// # Errors
    /// [`VisionError`] with file, and expected and found shapes.
    pub fn load(folder: &Path) -> Result<Self, VisionError> {
        Self::load_with(folder, default_threads(), cache::folder())
    }

    /// As [`Self::load`], on so many threads.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_on(folder: &Path, threads: usize) -> Result<Self, VisionError> {
        Self::load_with(folder, threads, cache::folder())
    }

    /// As [`Self::load`], on so many threads, with text vectors kept in this folder (nowhere, where it is none).
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(folder: &Path, threads: usize, cache: Option<PathBuf>) -> Result<Self, VisionError> {
        let manifest = Manifest::read(folder)?;
        let files = manifest.files(folder);
        if let Some(missing) = files.iter().find(|f| !f.is_file()) {
            let message = "is missing: vision.toml names it as part of the model";
            return Err(VisionError::file(missing, message));
        }
        for file in &files {
            let named = file.strip_prefix(folder).unwrap_or(file).display().to_string();
            pavlov_common::fence::check(folder, &named, file).map_err(|e| VisionError::file(file, e))?;
        }
        let hash = cache::hash_files(&files)?;
        let mut image = OnnxFile::open(&folder.join(&manifest.image.file), threads)?;
        let [h, w] = manifest.image.size.map(i64::from);
        let shape = [None, Some(3), Some(h), Some(w)];
        let guess = ["pixel_values", "image", "images", "input"];
        let (input, _) = image.input(manifest.image.input.as_deref(), &[Element::F32], &shape, &guess)?;
        let wide = [None, Some(manifest.embedding.width as i64)];
        let guess = ["image_embeds", "image_features", "image_embedding", "pooler_output"];
        let output = image.output(manifest.image.output.as_deref(), &wide, &guess)?;
        let same_file = manifest.image.file == manifest.text.file;
        let mut model = Self {
            folder: folder.to_path_buf(),
            image_names: (input, output),
            image,
            text: None,
            same_file,
            manifest,
            hash,
            known: HashMap::new(),
            cache,
            threads,
        };
        model.check_that_it_sees()?;
        Ok(model)
    }

    /// Do unlike pictures have unlike vectors? A net with a broken weight may give the same numbers whatever it is
    /// shown; every score would then be the same.
    fn check_that_it_sees(&mut self) -> Result<(), VisionError> {
        let [h, w] = self.manifest.image.size;
        let vectors = self.images(&[0, 1, 2].map(|kind| pixels::test_picture(w, h, kind)))?;
        if vectors.iter().all(|v| cosine(v, &vectors[0]) > 1.0 - SAME) {
            let message = "gives the same vector for every picture: its weights are broken, or it is no image tower";
            return Err(VisionError::file(&self.folder.join(&self.manifest.image.file), message));
        }
        Ok(())
    }

    /// What the folder says of it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Hash of all its files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Height and width of pictures that need no change of size.
    pub fn size(&self) -> [u32; 2] {
        self.manifest.image.size
    }

    /// Unit vectors of pictures.
    ///
    /// # Errors
    /// When the tower fails or gives something else than the manifest says.
    pub fn images(&mut self, pictures: &[Picture]) -> Result<Vec<Vec<f32>>, VisionError> {
        let refs: Vec<&Picture> = pictures.iter().collect();
        self.images_of(&refs)
    }

    /// As [`Self::images`].
    ///
    /// # Errors
    /// As [`Self::images`].
    pub fn images_of(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<f32>>, VisionError> {
        let [h, w] = self.manifest.image.size.map(|s| s as usize);
        let width = self.manifest.embedding.width;
        let mut out = Vec::with_capacity(pictures.len());
        let batch = self.image.fixed_rows.unwrap_or_else(|| TOGETHER.min(NUMBERS_TOGETHER / (3 * h * w)));
        for part in pictures.chunks(batch.max(1)) {
            // A file of fixed rows gets copies of nothing behind the last picture.
            let rows = self.image.fixed_rows.unwrap_or(part.len());
            let mut pixels = vec![0.0f32; rows * 3 * h * w];
            for (picture, into) in part.iter().zip(pixels.chunks_exact_mut(3 * h * w)) {
                pixels::write(picture, &self.manifest.image, into);
            }
            let mut inputs = vec![self.pixels(rows, pixels)];
            if self.same_file {
                self.load_text()?;
                inputs.extend(self.empty_text(rows));
            }
            let data = self.image.run(inputs, &self.image_names.1, rows, width)?;
            for row in data.chunks_exact(width).take(part.len()) {
                out.push(self.directed(row, &self.manifest.image.file)?);
            }
        }
        Ok(out)
    }

    /// The image tower's input.
    fn pixels(&self, rows: usize, data: Vec<f32>) -> Input {
        let [h, w] = self.manifest.image.size.map(|s| s as usize);
        Input { name: self.image_names.0.clone(), shape: vec![rows, 3, h, w], data: Numbers::F32(data) }
    }

    /// Text inputs for a file that wants both, when only pictures count.
    fn empty_text(&self, rows: usize) -> Vec<Input> {
        let context = self.manifest.text.context;
        let Some(side) = &self.text else { return Vec::new() };
        let mut inputs = vec![whole(&side.input, rows, context, vec![self.manifest.text.pad; rows * context])];
        if let Some(mask) = &side.mask {
            inputs.push(whole(mask, rows, context, vec![1; rows * context]));
        }
        inputs
    }

    /// Unit vector of a text; from the cache where it is known.
    ///
    /// # Errors
    /// When tokenizer or tower cannot be loaded, or fail.
    pub fn text(&mut self, text: &str) -> Result<Vec<f32>, VisionError> {
        if let Some(v) = self.known.get(text) {
            return Ok(v.clone());
        }
        let width = self.manifest.embedding.width;
        let key = cache::key(&self.hash, text);
        if let Some(v) = self.cache.as_deref().and_then(|folder| cache::read(folder, &key, width)) {
            self.known.insert(text.into(), v.clone());
            return Ok(v);
        }
        let v = self.text_anew(text)?;
        if let Some(folder) = &self.cache {
            cache::write(folder, &key, &v);
        }
        self.known.insert(text.into(), v.clone());
        Ok(v)
    }

    /// Tokens of a text, cut and filled up to the context.
    ///
    /// # Errors
    /// When the tokenizer cannot be loaded or refuses the text.
    pub fn tokens(&mut self, text: &str) -> Result<Vec<i64>, VisionError> {
        self.load_text()?;
        let tower = &self.manifest.text;
        let Some(side) = &self.text else { return Ok(Vec::new()) };
        let text = if tower.lowercase { text.to_lowercase() } else { text.to_string() };
        let path = self.folder.join(&tower.tokenizer);
        let encoding = side.tokenizer.encode(text.as_str(), true).map_err(|e| VisionError::file(&path, e))?;
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if ids.len() > tower.context {
            let end = tower.end.unwrap_or(ids[ids.len() - 1]);
            ids.truncate(tower.context);
            if let Some(last) = ids.last_mut() {
                *last = end;
            }
        }
        Ok(ids)
    }

    fn text_anew(&mut self, text: &str) -> Result<Vec<f32>, VisionError> {
        let mut ids = self.tokens(text)?;
        let (context, width, pad) = (self.manifest.text.context, self.manifest.embedding.width, self.manifest.text.pad);
        let mut mask: Vec<i64> = vec![1; ids.len()];
        ids.resize(context, pad);
        mask.resize(context, 0);
        let pixels = 3 * (self.manifest.image.size[0] * self.manifest.image.size[1]) as usize;
        let Some(side) = &mut self.text else {
            return Err(VisionError::Runtime("the text tower is not loaded".into()));
        };
        if side.finds_last {
            keep_first_largest(&mut ids);
        }
        let rows = side.file.as_ref().map_or(self.image.fixed_rows, |f| f.fixed_rows).unwrap_or(1);
        let repeated = |row: &[i64]| row.repeat(rows);
        let mut inputs = vec![whole(&side.input, rows, context, repeated(&ids))];
        if let Some(input) = &side.mask {
            inputs.push(whole(input, rows, context, repeated(&mask)));
        }
        let output = side.output.clone();
        let data = match &mut side.file {
            Some(file) => file.run(inputs, &output, rows, width)?,
            None => {
                inputs.push(self.pixels(rows, vec![0.0; rows * pixels]));
                self.image.run(inputs, &output, rows, width)?
            }
        };
        self.directed(&data[..width], &self.manifest.text.file)
    }

    /// A vector of a tower's file, divided by its length, which must not be nothing.
    fn directed(&self, v: &[f32], file: &str) -> Result<Vec<f32>, VisionError> {
        if v.iter().all(|x| x.abs() < 1e-12) {
            let message = "gives a vector of zeros, which points nowhere: its weights are broken";
            return Err(VisionError::file(&self.folder.join(file), message));
        }
        Ok(unit(v))
    }

    /// Opens text tower and tokenizer, once.
    fn load_text(&mut self) -> Result<(), VisionError> {
        if self.text.is_some() {
            return Ok(());
        }
        let tower = self.manifest.text.clone();
        let path = self.folder.join(&tower.tokenizer);
        let bytes = file::read(&path, file::NUMBERS).map_err(|e| VisionError::io(&path, e))?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| {
            let message = format!(
                "no tokenizer.json that can be read: {e}; expected the file of the `tokenizers` library (BPE, Unigram, \
                 WordPiece or WordLevel)"
            );
            VisionError::file(&path, message)
        })?;
        let mut tokenizer = tokenizer;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| VisionError::file(&path, e))?;
        let mut separate = match self.same_file {
            true => None,
            false => Some(OnnxFile::open(&self.folder.join(&tower.file), self.threads)?),
        };
        let file = separate.as_mut().unwrap_or(&mut self.image);
        let whole = [Element::I64, Element::I32];
        let shape = [None, Some(tower.context as i64)];
        let input = file.input(tower.input.as_deref(), &whole, &shape, &["input_ids", "text", "tokens"])?;
        let wants_mask =
            tower.mask.clone().or_else(|| file.other_inputs(&[&input.0]).into_iter().find(|n| n == "attention_mask"));
        let mask = match wants_mask {
            Some(name) => Some(file.input(Some(&name), &whole, &shape, &[])?),
            None => None,
        };
        let wide = [None, Some(self.manifest.embedding.width as i64)];
        let guess = ["text_embeds", "text_features", "text_embedding", "pooler_output"];
        let output = file.output(tower.output.as_deref(), &wide, &guess)?;
        let known: Vec<&str> = [input.0.as_str(), self.image_names.0.as_str()]
            .into_iter()
            .chain(mask.as_ref().map(|m| m.0.as_str()))
            .collect();
        let other = file.other_inputs(&known);
        if !other.is_empty() {
            let message = format!(
                "it also wants {}, which is not known here; expected tokens and an attention mask",
                other.join(", ")
            );
            return Err(VisionError::file(&self.folder.join(&tower.file), message));
        }
        let finds_last = file.finds_last_of_equals()?;
        self.text = Some(TextSide { file: separate, input, mask, output, finds_last, tokenizer });
        let found = UNLIKE.map(|text| self.text_anew(text));
        let same = matches!(&found, [Ok(a), Ok(b)] if cosine(a, b) > 1.0 - SAME);
        if same || found.iter().any(Result::is_err) {
            // It is looked at again when it is asked for again.
            self.text = None;
        }
        found.into_iter().collect::<Result<Vec<_>, _>>()?;
        if same {
            let message = "gives the same vector for every text: its weights are broken, or it is no text tower";
            return Err(VisionError::file(&self.folder.join(&tower.file), message));
        }
        Ok(())
    }
}

/// Whole numbers as an input of this name and element type.
fn whole(input: &(String, Element), rows: usize, context: usize, data: Vec<i64>) -> Input {
    let data = match input.1 {
        Element::I32 => Numbers::I32(data.into_iter().map(|x| x as i32).collect()),
        _ => Numbers::I64(data),
    };
    Input { name: input.0.clone(), shape: vec![rows, context], data }
}

/// Sets the tokens to 0 that equal the largest one and stand behind it: padding by the end token. A tower that looks for
/// the end token is causal, so that its vector does not depend on what stands behind.
fn keep_first_largest(ids: &mut [i64]) {
    let largest = ids.iter().max().copied();
    ids.iter_mut().filter(|id| Some(**id) == largest).skip(1).for_each(|id| *id = 0);
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Divided by its length.
pub(crate) fn unit(v: &[f32]) -> Vec<f32> {
    let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    v.iter().map(|x| x / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_by_the_end_token_does_not_hide_the_first_one() {
        let mut ids = [49406, 320, 49407, 49407, 49407];
        keep_first_largest(&mut ids);
        assert_eq!(ids, [49406, 320, 49407, 0, 0]);
    }

    /// A copy of the embedded model, of which one file's weights are changed.
    fn changed(file: &str, change: impl Fn(&mut [u8])) -> Result<VisionModel, VisionError> {
        let dir = tempfile::tempdir().unwrap();
        let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/vision/embedded");
        for entry in std::fs::read_dir(embedded).unwrap().flatten().filter(|e| e.path().is_file()) {
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let path = dir.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let places = weights::tests::places(&bytes);
        assert!(!places.is_empty(), "{file}");
        for place in places {
            change(&mut bytes[place]);
        }
        std::fs::write(&path, bytes).unwrap();
        let mut model = VisionModel::load_with(dir.path(), 1, None)?;
        model.text("a robot standing")?;
        Ok(model)
    }

    #[test]
    fn a_net_with_broken_weights_is_told() {
        assert!(changed("image.onnx", |_| {}).is_ok());
        for file in ["image.onnx", "text.onnx"] {
            for bad in [f32::NAN, f32::INFINITY] {
                let told = changed(file, |w| w[..4].copy_from_slice(&bad.to_le_bytes())).unwrap_err().to_string();
                assert!(told.contains(file) && told.contains("expected finite numbers"), "{told}");
            }
            let told = changed(file, |w| w.fill(0)).unwrap_err().to_string();
            assert!(told.contains(file) && told.contains("weights are broken"), "{told}");
        }
    }
}
