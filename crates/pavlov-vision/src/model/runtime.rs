//! Which program runs the ONNX files: the library that was asked for or `ORT_DYLIB_PATH`, else the one in the
//! `onnxruntime` package of a Python that the person activated (`VIRTUAL_ENV`, `CONDA_PREFIX`), else rten, which is
//! built in. A library is code: only absolute paths are taken, so that none comes from the folder that the program
//! happens to run in, and none is looked for where nobody said.
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
    /// rten, and why.
    BuiltIn(&'static str),
}

impl std::fmt::Display for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Library(path, how) => write!(f, "ONNX Runtime, {} ({how})", path.display()),
            Self::BuiltIn(why) => write!(f, "rten, built in ({why})"),
        }
    }
}

/// The environment that sessions are made in.
pub(crate) struct Started {
    pub runtime: Runtime,
    /// None: the built-in one.
    pub env: Option<Environment>,
}

static STARTED: OnceLock<Started> = OnceLock::new();
static TELL: OnceLock<fn(&str)> = OnceLock::new();
static ASKED: Mutex<Option<Choice>> = Mutex::new(None);

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Look for a library, else the built-in one.
    Search,
    /// This library.
    Library(PathBuf),
    /// The built-in one.
    BuiltIn,
}

/// What the built-in one is called in settings.
const BUILT_IN: &str = "built-in";

impl std::str::FromStr for Choice {
    type Err = VisionError;
    fn from_str(text: &str) -> Result<Self, VisionError> {
        Ok(match text {
            "" | "auto" => Self::Search,
            BUILT_IN => Self::BuiltIn,
            path => Self::Library(PathBuf::from(path)),
        })
    }
}

/// Takes what tells the person which library is loaded, before it is.
pub fn tell_libraries(tell: fn(&str)) {
    let _ = TELL.set(tell);
}

/// Says what is to run the models, before the first one is loaded.
///
/// # Errors
/// When another runtime is at work already.
pub fn choose_runtime(choice: Choice) -> Result<(), VisionError> {
    if let Some(started) = STARTED.get() {
        let same = match (&choice, &started.runtime) {
            (Choice::Search, _) | (Choice::BuiltIn, Runtime::BuiltIn(_)) => true,
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

/// Folders of packages of these Pythons, in the order they are looked through.
fn python_folders(activated: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for base in activated.into_iter().filter(|base| base.is_absolute()) {
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
    if !path.is_absolute() {
        return Err(format!("{}: expected an absolute path to a library ({how})", path.display()));
    }
    pavlov_common::file::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("{}: there is no such file ({how})", path.display()),
        _ => format!("{}: {e} ({how})", path.display()),
    })?;
    if let Some(tell) = TELL.get() {
        tell(&format!("loading the library {} ({how})", path.display()));
    }
    let builder = ort::init_from(path).map_err(|e| format!("{}: {e} ({how})", path.display()))?;
    let env =
        builder.with_name("pavlov").with_telemetry(false).build().map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Started { runtime: Runtime::Library(path.to_path_buf(), how), env: Some(env) })
}

fn built_in(why: &'static str) -> Started {
    Started { runtime: Runtime::BuiltIn(why), env: None }
}

/// Starts what was asked for; `from_env` is what `ORT_DYLIB_PATH` says, `found` looks for an installed library.
fn start(
    asked: Choice,
    from_env: Option<String>,
    found: impl FnOnce() -> Option<PathBuf>,
) -> Result<Started, VisionError> {
    let started = match (asked, from_env) {
        (Choice::BuiltIn, _) => Ok(built_in("asked for")),
        (Choice::Library(path), _) => by_library(&path, "asked for"),
        (Choice::Search, Some(name)) if name == BUILT_IN => Ok(built_in("ORT_DYLIB_PATH")),
        (Choice::Search, Some(path)) => by_library(Path::new(&path), "ORT_DYLIB_PATH"),
        (Choice::Search, None) => match found() {
            Some(path) => by_library(&path, "of the activated Python"),
            None => Ok(built_in("no activated Python has an onnxruntime")),
        },
    };
    started.map_err(|m| {
        VisionError::Runtime(format!(
            "{m}; set ORT_DYLIB_PATH to a libonnxruntime of 1.22 or later, or to `{BUILT_IN}` for the one in this \
             program"
        ))
    })
}

/// The runtime; chosen and started at the first call.
pub(crate) fn started() -> Result<&'static Started, VisionError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _held = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(started) = STARTED.get() {
        return Ok(started);
    }
    let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(Choice::Search);
    let from_env = std::env::var("ORT_DYLIB_PATH").ok().filter(|p| !p.is_empty());
    let started = start(asked, from_env, || {
        let activated = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        python_folders(activated).iter().find_map(|f| library_in(f))
    })?;
    Ok(STARTED.get_or_init(|| started))
}

/// The runtime that runs models in this process; starts it where none does yet.
///
/// # Errors
/// When the library that was asked for cannot be used.
pub fn runtime() -> Result<Runtime, VisionError> {
    started().map(|s| s.runtime.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime_of(asked: &str, from_env: Option<&str>) -> Result<Runtime, String> {
        let asked: Choice = asked.parse().map_err(|e: VisionError| e.to_string())?;
        start(asked, from_env.map(String::from), || None).map(|s| s.runtime).map_err(|e| e.to_string())
    }

    #[test]
    fn the_built_in_one_stands_in_or_is_asked_for_by_name() {
        let why = |asked, from_env| runtime_of(asked, from_env).unwrap().to_string();
        assert_eq!(why("auto", None), "rten, built in (no activated Python has an onnxruntime)");
        assert_eq!(why("built-in", Some("/no/such/libonnxruntime.so")), "rten, built in (asked for)");
        assert_eq!(why("auto", Some("built-in")), "rten, built in (ORT_DYLIB_PATH)");
    }

    #[test]
    fn a_library_that_is_not_there_is_refused_with_what_to_set() {
        // `tract` is what the built-in one was called when it was another.
        for (asked, from_env, why) in [
            ("auto", Some("tract"), "expected an absolute path to a library"),
            ("tract", None, "expected an absolute path to a library"),
            ("./libonnxruntime.so", None, "expected an absolute path to a library"),
            ("auto", Some("/no/such/lib.so"), "there is no such file"),
        ] {
            let message = runtime_of(asked, from_env).unwrap_err();
            let name = from_env.unwrap_or(asked);
            assert!(message.starts_with(&format!("{name}: {why} (")), "{message}");
            assert!(message.contains("to `built-in` for the one in this program"), "{message}");
        }
    }

    #[test]
    fn libraries_are_looked_for_only_in_a_python_that_was_activated_by_its_full_path() {
        let dir = tempfile::tempdir().unwrap();
        let capi = dir.path().join("lib/python3.12/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::write(capi.join("libonnxruntime.so.1.22.0"), "").unwrap();
        let found = |base: &Path| python_folders([base.to_path_buf()]).iter().find_map(|f| library_in(f));
        assert_eq!(found(dir.path()), Some(capi.join("libonnxruntime.so.1.22.0")));
        assert_eq!(found(Path::new("lib/..")), None, "a folder below the one that the program runs in");
        assert!(python_folders([]).is_empty(), "nothing was activated");
    }
}
