//! Which program runs the ONNX files: the path that was asked for or `ORT_DYLIB_PATH`, else the library inside an installed
//! `onnxruntime` Python package, else tract, which is built in.
//!
//! It is chosen once for the whole process, as `ort` keeps one set of functions.

use crate::VisionError;
use ort::environment::Environment;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What runs the models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// ONNX Runtime from this library, and how it was found.
    Library(PathBuf, &'static str),
    /// The built-in one.
    Tract,
}

impl std::fmt::Display for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Library(path, how) => write!(f, "ONNX Runtime, {} ({how})", path.display()),
            Self::Tract => f.write_str("tract (built in; no onnxruntime library was found)"),
        }
    }
}

/// The environment that sessions are made in.
pub(crate) struct Started {
    pub runtime: Runtime,
    pub env: Environment,
}

static STARTED: OnceLock<Started> = OnceLock::new();
static ASKED: Mutex<Option<Choice>> = Mutex::new(None);

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Look for a library, else tract.
    Search,
    /// This library.
    Library(PathBuf),
    /// The built-in one.
    Tract,
}

impl std::str::FromStr for Choice {
    type Err = VisionError;
    fn from_str(text: &str) -> Result<Self, VisionError> {
        Ok(match text {
            "" | "auto" => Self::Search,
            "tract" => Self::Tract,
            path => Self::Library(PathBuf::from(path)),
        })
    }
}

/// Says what is to run the models, before the first one is loaded.
///
/// # Errors
/// When another runtime is at work already.
pub fn choose_runtime(choice: Choice) -> Result<(), VisionError> {
    if let Some(started) = STARTED.get() {
        let same = match (&choice, &started.runtime) {
            (Choice::Search, _) | (Choice::Tract, Runtime::Tract) => true,
            (Choice::Library(a), Runtime::Library(b, _)) => a == b,
            _ => false,
        };
        if !same {
            let message = format!(
                "this program already runs models by {}; another runtime needs another process",
                started.runtime
            );
            return Err(VisionError::Runtime(message));
        }
        return Ok(());
    }
    *ASKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(choice);
    Ok(())
}

/// Folders in which Python packages may be installed, in the order they are looked through.
fn python_folders() -> Vec<PathBuf> {
    let mut bases: Vec<PathBuf> = Vec::new();
    for var in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        bases.extend(std::env::var_os(var).map(PathBuf::from));
    }
    if let Some(home) = dirs::home_dir() {
        bases.push(home.join(".local"));
    }
    bases.extend(["/usr/local", "/usr", "/opt/homebrew"].map(PathBuf::from));
    let mut out = Vec::new();
    for base in bases {
        // On Windows packages are right below Lib.
        out.push(base.join("Lib/site-packages"));
        let mut versions: Vec<PathBuf> =
            std::fs::read_dir(base.join("lib")).into_iter().flatten().flatten().map(|e| e.path()).collect();
        versions.sort();
        let python = |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("python3"));
        for version in versions.into_iter().rev().filter(python) {
            out.push(version.join("site-packages"));
            out.push(version.join("dist-packages"));
        }
    }
    out
}

/// The library in an `onnxruntime` package below this folder of packages.
fn library_in(packages: &Path) -> Option<PathBuf> {
    let capi = packages.join("onnxruntime/capi");
    let mut found: Vec<PathBuf> = std::fs::read_dir(capi).ok()?.flatten().map(|e| e.path()).collect();
    found.sort();
    found.into_iter().find(|p| {
        let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        (name.starts_with("libonnxruntime.so") || name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
            || name == "onnxruntime.dll"
    })
}

fn by_library(path: &Path, how: &'static str) -> Result<Started, String> {
    if !path.is_file() {
        return Err(format!("{}: there is no such file ({how})", path.display()));
    }
    let builder = ort::init_from(path).map_err(|e| format!("{}: {e} ({how})", path.display()))?;
    let env =
        builder.with_name("pavlov").with_telemetry(false).build().map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Started { runtime: Runtime::Library(path.to_path_buf(), how), env })
}

fn by_tract() -> Result<Started, String> {
    ort::set_api(ort_tract::api());
    let env = ort::init().with_name("pavlov").build().map_err(|e| format!("tract: {e}"))?;
    Ok(Started { runtime: Runtime::Tract, env })
}

/// The runtime; chosen and started at the first call.
pub(crate) fn started() -> Result<&'static Started, VisionError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(started) = STARTED.get() {
        return Ok(started);
    }
    let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(Choice::Search);
    let from_env = std::env::var("ORT_DYLIB_PATH").ok().filter(|p| !p.is_empty());
    let made = match (asked, from_env) {
        (Choice::Tract, _) => by_tract(),
        (Choice::Library(path), _) => by_library(&path, "asked for"),
        (Choice::Search, Some(path)) if path == "tract" => by_tract(),
        (Choice::Search, Some(path)) => by_library(Path::new(&path), "ORT_DYLIB_PATH"),
        (Choice::Search, None) => match python_folders().iter().find_map(|f| library_in(f)) {
            Some(path) => by_library(&path, "of an installed Python package"),
            None => by_tract(),
        },
    };
    let made = made.map_err(|m| {
        VisionError::Runtime(format!(
            "{m}; set ORT_DYLIB_PATH to a libonnxruntime of 1.22 or later, or to `tract` for the built-in one"
        ))
    })?;
    Ok(STARTED.get_or_init(|| made))
}

/// The runtime that runs models in this process; starts it where none does yet.
///
/// # Errors
/// When the library that was asked for cannot be used.
pub fn runtime() -> Result<Runtime, VisionError> {
    started().map(|s| s.runtime.clone())
}
