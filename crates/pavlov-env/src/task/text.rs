//! A task file's text: every complaint about it is placed at file:line:column.

use crate::error::{EnvError, hint};
use pavlov_model::{Keyframe, Model};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Task files are a few kB; what is larger than this is refused before it is parsed.
pub const MAX_TASK_BYTES: u64 = 1 << 20;

/// A task file's text with its path: places errors.
#[derive(Debug, Clone)]
pub struct TaskText {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl TaskText {
    /// Reads the file, at most [`MAX_TASK_BYTES`].
    pub fn read(path: &Path) -> Result<Self, EnvError> {
        let size = std::fs::metadata(path).map_err(|e| EnvError::io(path, e))?.len();
        if size > MAX_TASK_BYTES {
            return Err(EnvError::Task {
                path: path.to_path_buf(),
                line: 1,
                column: 1,
                message: format!("a task file of {size} bytes: expected at most {MAX_TASK_BYTES}"),
            });
        }
        let text = pavlov_common::text::read(path).map_err(|e| EnvError::io(path, e))?;
        Ok(Self { path: path.to_path_buf(), text })
    }

    /// An error at a byte range of the text.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> EnvError {
        let at = span.start.min(self.text.len());
        // A span may start inside a character of a hostile file; go back to its beginning.
        let at = (0..=at).rev().find(|&i| self.text.is_char_boundary(i)).unwrap_or(0);
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        EnvError::Task { path: self.path.clone(), line, column, message: message.into() }
    }
}

/// The value if it is what was expected, else an error at its place.
pub(crate) fn checked<T: Copy + std::fmt::Display>(
    value: &Spanned<T>,
    text: &TaskText,
    key: &str,
    good: impl Fn(T) -> bool,
    expected: &str,
) -> Result<T, EnvError> {
    let v = *value.get_ref();
    if good(v) { Ok(v) } else { Err(text.error(value.span(), format!("`{key}` is {v}: expected {expected}"))) }
}

/// A range `[low, high]` of finite numbers.
pub(crate) fn checked_range(value: &Spanned<[f64; 2]>, text: &TaskText, what: &str) -> Result<[f64; 2], EnvError> {
    let [low, high] = *value.get_ref();
    if low.is_finite() && high.is_finite() && low <= high {
        return Ok([low, high]);
    }
    Err(text.error(value.span(), format!("{what} of [{low}, {high}]: expected two finite numbers, the smaller first")))
}

/// The keyframe of that name.
pub(crate) fn keyframe<'m>(
    model: &'m Model,
    name: &Spanned<String>,
    text: &TaskText,
) -> Result<&'m Keyframe, EnvError> {
    let wanted = name.get_ref();
    let found = model.keyframes.iter().find(|k| k.name == *wanted);
    let fits = |k: &&Keyframe| k.qpos.len() == model.nq() && k.qvel.len() == model.nv();
    found.filter(fits).ok_or_else(|| {
        let close = hint(wanted, model.keyframes.iter().map(|k| k.name.as_str()));
        text.error(name.span(), format!("no keyframe `{wanted}` in the robot file{close}"))
    })
}
