//! From TOML text to a checked [`TaskFile`], with every complaint placed at file:line:column.

use crate::error::{EnvError, hint};
use crate::schema::TaskFile;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Task files are a few kB; what is larger than this is refused before it is parsed.
pub const MAX_TASK_BYTES: u64 = 1 << 20;

/// A task file's text with its path: places errors.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Source {
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
        let text = std::fs::read_to_string(path).map_err(|e| EnvError::io(path, e))?;
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

    /// Parses the text.
    pub fn parse(&self) -> Result<TaskFile, EnvError> {
        toml::from_str::<TaskFile>(&self.text).map_err(|e| self.error(e.span().unwrap_or(0..0), explain(e.message())))
    }
}

/// serde's "unknown field `x`, expected one of `a`, `b`" with a did-you-mean.
fn explain(message: &str) -> String {
    let message = message.trim();
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !(message.starts_with("unknown field") || message.starts_with("unknown variant")) {
        return message.to_string();
    }
    match quoted.next() {
        Some(found) => {
            let known: Vec<&str> = quoted.collect();
            format!("{message}{}", hint(found, known))
        }
        None => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"
about = "a test"
robot = "ant.xml"
feet = ["a", "b"]
[timing]
frame_skip = 5
episode_steps = 1000
[physics]
sensing = "stale"
fast = { iterations = 3, ls_iterations = 5, integrator = "Euler" }
[action]
kind = "joint_offset"
scale = [0.5, 0.25]
[[observation]]
term = "qpos"
from = 2
[[observation]]
term = "qvel"
clip = 10.0
noise = 0.1
[command]
values = [{ name = "vx", range = [-1.0, 1.0] }]
[reset]
qpos_noise = { kind = "uniform", scale = 0.1 }
ranges = [{ joint = "*", qpos = [-0.1, 0.1] }]
[[randomize]]
what = "friction"
scale = [0.5, 1.5]
[push]
interval_s = [5.0, 10.0]
speed = 0.5
[success]
hold = 0.5
[learner]
horizon = 16
"#;

    fn parse(text: &str) -> Result<TaskFile, String> {
        let source = Source { path: "t.toml".into(), text: text.to_string() };
        source.parse().map_err(|e| e.to_string())
    }

    #[test]
    fn reads_every_table() {
        let task = parse(GOOD).unwrap();
        assert_eq!(task.observation.len(), 2);
        assert_eq!(task.learner.unwrap()["horizon"].as_integer(), Some(16));
        assert_eq!(*task.physics.fast.iterations.unwrap().get_ref(), 3);
    }

    #[test]
    fn slips_are_placed_and_explained() {
        let error = parse(&GOOD.replace("frame_skip", "frame_skp")).unwrap_err();
        assert!(error.starts_with("t.toml:6:1: ") && error.contains("did you mean `frame_skip`?"), "{error}");
        let error = parse(&GOOD.replace("\"qvel\"", "\"qvell\"")).unwrap_err();
        assert!(error.starts_with("t.toml:18:8: ") && error.contains("did you mean `qvel`?"), "{error}");
        let error = parse("robot = 3").unwrap_err();
        assert!(error.starts_with("t.toml:1:9: "), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// Damaged files are refused or read, never a panic, and the place named is within the file.
        #[test]
        fn mutated_files_never_panic(at in 0usize..700, cut in 0usize..40, put in "\\PC{0,12}") {
            let chars: Vec<char> = GOOD.chars().collect();
            let at = at.min(chars.len());
            let end = (at + cut).min(chars.len());
            let text: String = chars[..at].iter().copied().chain(put.chars()).chain(chars[end..].iter().copied()).collect();
            let source = Source { path: "t.toml".into(), text };
            if let Err(EnvError::Task { line, column, .. }) = source.parse() {
                prop_assert!(line >= 1 && line <= source.text.lines().count() + 1 && column >= 1);
            }
        }
    }
}
