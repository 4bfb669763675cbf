//! One ONNX file: its session, its names checked against what the manifest says, and runs of batches.

use super::runtime::started;
use crate::VisionError;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A loaded file.
#[derive(Debug)]
pub(crate) struct OnnxFile {
    session: Session,
    path: PathBuf,
    /// Rows of a batch, where the file fixes them.
    pub fixed_rows: Option<usize>,
}

/// `[n, 3, 224, 224]`, with `?` for what the file leaves open.
fn shape_text(shape: &[i64]) -> String {
    let parts: Vec<String> = shape.iter().map(|&d| if d < 0 { "?".into() } else { d.to_string() }).collect();
    format!("[{}]", parts.join(", "))
}

fn outlet<'a>(
    list: &'a [Outlet],
    wanted: Option<&str>,
    what: &str,
    path: &Path,
    guess: &[&str],
) -> Result<&'a Outlet, VisionError> {
    let names: Vec<&str> = list.iter().map(Outlet::name).collect();
    let found = match wanted {
        Some(name) => list.iter().find(|o| o.name() == name),
        None if list.len() == 1 => list.first(),
        None => guess.iter().find_map(|g| list.iter().find(|o| o.name() == *g)),
    };
    found.ok_or_else(|| {
        let asked =
            wanted.map_or_else(|| format!("which {what} is meant is not clear"), |w| format!("no {what} `{w}`"));
        VisionError::file(path, format!("{asked}: it has {}; name it in vision.toml", names.join(", ")))
    })
}

impl OnnxFile {
    /// Opens a file on so many threads.
    pub fn open(path: &Path, threads: usize) -> Result<Self, VisionError> {
        let size = std::fs::metadata(path).map_err(|e| VisionError::io(path, e))?.len();
        let started = started()?;
        let short = |e: &dyn std::fmt::Display| {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default().to_string();
            let message = format!(
                "{size} bytes that {} cannot load as an ONNX model: {first}; the file may be cut off, of another kind, or have its weights in a second file that is missing: export it again",
                started.runtime
            );
            VisionError::file(path, message)
        };
        let builder = Session::builder(&started.env).map_err(|e| VisionError::Runtime(e.to_string()))?;
        // tract has one thread and knows no such option.
        let mut builder = match builder.with_intra_threads(threads) {
            Ok(builder) => builder,
            Err(e) => e.recover(),
        };
        let session = builder.commit_from_file(path).map_err(|e| short(&e))?;
        Ok(Self { session, path: path.to_path_buf(), fixed_rows: None })
    }

    /// Checks an input's element type and shape; `None` is any size. Gives its name and its element type.
    pub fn input(
        &mut self,
        wanted: Option<&str>,
        types: &[TensorElementType],
        shape: &[Option<i64>],
        guess: &[&str],
    ) -> Result<(String, TensorElementType), VisionError> {
        let found = outlet(self.session.inputs(), wanted, "input", &self.path, guess)?;
        let name = found.name().to_string();
        let (ty, has) = (found.dtype().tensor_type(), found.dtype().tensor_shape().map(|s| s.to_vec()));
        let (Some(ty), Some(has)) = (ty, has) else {
            return Err(VisionError::file(&self.path, format!("input `{name}` is no tensor")));
        };
        if !types.contains(&ty) {
            let want: Vec<String> = types.iter().map(ToString::to_string).collect();
            return Err(VisionError::file(
                &self.path,
                format!("input `{name}` is of {ty}: expected {}", want.join(" or ")),
            ));
        }
        self.fits("input", &name, &has, shape)?;
        if let Some(&rows) = has.first().filter(|r| **r > 0) {
            self.fixed_rows = Some(rows as usize);
        }
        Ok((name, ty))
    }

    /// Checks an output's shape and gives its name.
    pub fn output(&self, wanted: Option<&str>, shape: &[Option<i64>], guess: &[&str]) -> Result<String, VisionError> {
        let found = outlet(self.session.outputs(), wanted, "output", &self.path, guess)?;
        let name = found.name().to_string();
        if let Some(has) = found.dtype().tensor_shape().filter(|s| !s.is_empty()) {
            self.fits("output", &name, has, shape)?;
        }
        Ok(name)
    }

    fn fits(&self, what: &str, name: &str, has: &[i64], wanted: &[Option<i64>]) -> Result<(), VisionError> {
        let same =
            has.len() == wanted.len() && has.iter().zip(wanted).all(|(h, w)| w.is_none_or(|w| *h < 0 || *h == w));
        if same {
            return Ok(());
        }
        let want: Vec<String> = wanted.iter().map(|w| w.map_or_else(|| "n".into(), |w| w.to_string())).collect();
        let message =
            format!("{what} `{name}` has the shape {}: expected [{}] by vision.toml", shape_text(has), want.join(", "));
        Err(VisionError::file(&self.path, message))
    }

    /// Names of inputs other than these.
    pub fn other_inputs(&self, known: &[&str]) -> Vec<String> {
        self.session.inputs().iter().map(|i| i.name().to_string()).filter(|n| !known.contains(&n.as_str())).collect()
    }

    /// Runs a batch; gives `rows * width` numbers of the output.
    pub fn run(
        &mut self,
        inputs: Vec<(String, ort::value::DynValue)>,
        output: &str,
        rows: usize,
        width: usize,
    ) -> Result<Vec<f32>, VisionError> {
        let path = self.path.clone();
        let inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> =
            inputs.into_iter().map(|(name, value)| (Cow::Owned(name), SessionInputValue::from(value))).collect();
        let outputs =
            self.session.run(inputs).map_err(|e| VisionError::file(&path, format!("running it failed: {e}")))?;
        let value =
            outputs.get(output).ok_or_else(|| VisionError::file(&path, format!("gave no output `{output}`")))?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|e| VisionError::file(&path, format!("output `{output}` is no f32 tensor: {e}")))?;
        if **shape != [rows as i64, width as i64] {
            let message = format!(
                "output `{output}` came out as {}: expected [{rows}, {width}] (embedding.width in vision.toml)",
                shape_text(shape)
            );
            return Err(VisionError::file(&path, message));
        }
        if let Some(bad) = data.iter().find(|x| !x.is_finite()) {
            return Err(VisionError::file(&path, format!("output `{output}` has {bad}: expected finite numbers")));
        }
        Ok(data.to_vec())
    }
}

/// A tensor as an input.
pub(crate) fn tensor<T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
    shape: Vec<usize>,
    data: Vec<T>,
) -> Result<ort::value::DynValue, VisionError> {
    let shape: Vec<i64> = shape.into_iter().map(|d| d as i64).collect();
    let made = Tensor::from_array((shape, data)).map_err(|e| VisionError::Runtime(e.to_string()))?;
    Ok(made.into_dyn())
}
