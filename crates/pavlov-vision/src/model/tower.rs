//! One ONNX file: loaded by the process's runtime, its names and shapes checked against what the manifest says, and
//! runs of batches.

use super::builtin::{BuiltInModel, has_arg_max};
use super::library::LibraryModel;
use super::runtime::started;
use crate::VisionError;
use std::path::{Path, PathBuf};

/// Type of a tensor's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    I32,
    I64,
    Other(String),
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Other(name) => name,
        })
    }
}

/// An input or output of a file. No element type: it is no tensor; a size below 0 is left open.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    pub name: String,
    pub element: Option<Element>,
    pub shape: Option<Vec<i64>>,
}

/// What goes into an input.
#[derive(Debug)]
pub(crate) struct Input {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Numbers,
}

/// Elements of an input.
#[derive(Debug)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

/// What came out of an output.
#[derive(Debug)]
pub(crate) struct Output {
    pub shape: Vec<i64>,
    pub data: Vec<f32>,
}

/// The file in the hands of the runtime.
#[derive(Debug)]
enum Loaded {
    Library(LibraryModel),
    BuiltIn(BuiltInModel),
}

/// A loaded file.
#[derive(Debug)]
pub(crate) struct OnnxFile {
    loaded: Loaded,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
    path: PathBuf,
    /// Rows of a batch, where the file fixes them.
    pub fixed_rows: Option<usize>,
}

/// A file that wants more rows at a time is none that was made for pictures and texts.
const MAX_ROWS: i64 = 256;

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
    let names: Vec<&str> = list.iter().map(|o| o.name.as_str()).collect();
    let found = match wanted {
        Some(name) => list.iter().find(|o| o.name == name),
        None if list.len() == 1 => list.first(),
        None => guess.iter().find_map(|g| list.iter().find(|o| o.name == *g)),
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
        let loaded = match &started.env {
            Some(env) => LibraryModel::open(env, path, threads).map(Loaded::Library),
            None => BuiltInModel::open(path, threads).map(Loaded::BuiltIn),
        };
        let loaded = loaded.map_err(|text| {
            let first = text.lines().next().unwrap_or_default();
            let message = format!(
                "{size} bytes that {} cannot load as an ONNX model: {first}; the file may be cut off, of another kind, \
                 or have its weights in a second file that is missing: export it again",
                started.runtime
            );
            VisionError::file(path, message)
        })?;
        let (inputs, outputs) = match &loaded {
            Loaded::Library(model) => (model.inputs(), model.outputs()),
            Loaded::BuiltIn(model) => (model.inputs(), model.outputs()),
        };
        Ok(Self { loaded, inputs, outputs, path: path.to_path_buf(), fixed_rows: None })
    }

    /// Checks an input's element type and shape; `None` is any size. Gives its name and its element type.
    pub fn input(
        &mut self,
        wanted: Option<&str>,
        types: &[Element],
        shape: &[Option<i64>],
        guess: &[&str],
    ) -> Result<(String, Element), VisionError> {
        let found = outlet(&self.inputs, wanted, "input", &self.path, guess)?;
        let (Some(element), Some(has)) = (&found.element, &found.shape) else {
            return Err(VisionError::file(&self.path, format!("input `{}` is no tensor", found.name)));
        };
        if !types.contains(element) {
            let want: Vec<String> = types.iter().map(ToString::to_string).collect();
            return Err(VisionError::file(
                &self.path,
                format!("input `{}` is of {element}: expected {}", found.name, want.join(" or ")),
            ));
        }
        self.fits("input", &found.name, has, shape)?;
        if let Some(&rows) = has.first().filter(|r| **r > 0) {
            if rows > MAX_ROWS {
                let message =
                    format!("input `{}` wants {rows} rows at a time: at most {MAX_ROWS} are given", found.name);
                return Err(VisionError::file(&self.path, message));
            }
            self.fixed_rows = Some(rows as usize);
        }
        Ok((found.name.clone(), element.clone()))
    }

    /// Checks an output's shape and gives its name.
    pub fn output(&self, wanted: Option<&str>, shape: &[Option<i64>], guess: &[&str]) -> Result<String, VisionError> {
        let found = outlet(&self.outputs, wanted, "output", &self.path, guess)?;
        if let Some(has) = found.shape.as_ref().filter(|s| !s.is_empty()) {
            self.fits("output", &found.name, has, shape)?;
        }
        Ok(found.name.clone())
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
        self.inputs.iter().map(|i| i.name.clone()).filter(|n| !known.contains(&n.as_str())).collect()
    }

    /// Does it find a largest number by an operator that gives the last of equal ones in place of the first?
    pub fn finds_last_of_equals(&self) -> Result<bool, VisionError> {
        match self.loaded {
            Loaded::Library(_) => Ok(false),
            Loaded::BuiltIn(_) => has_arg_max(&self.path).map_err(|e| VisionError::io(&self.path, e)),
        }
    }

    /// Runs a batch; gives `rows * width` numbers of the output.
    pub fn run(
        &mut self,
        inputs: Vec<Input>,
        output: &str,
        rows: usize,
        width: usize,
    ) -> Result<Vec<f32>, VisionError> {
        let result = match &mut self.loaded {
            Loaded::Library(model) => model.run(inputs, output),
            Loaded::BuiltIn(model) => model.run(inputs, output),
        };
        let Output { shape, data } = result.map_err(|m| VisionError::file(&self.path, m))?;
        if shape != [rows as i64, width as i64] {
            let message = format!(
                "output `{output}` came out as {}: expected [{rows}, {width}] (embedding.width in vision.toml)",
                shape_text(&shape)
            );
            return Err(VisionError::file(&self.path, message));
        }
        if let Some(bad) = data.iter().find(|x| !x.is_finite()) {
            return Err(VisionError::file(&self.path, format!("output `{output}` has {bad}: expected finite numbers")));
        }
        Ok(data)
    }
}
