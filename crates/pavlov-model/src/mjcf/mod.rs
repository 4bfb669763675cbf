//! MJCF: reading the XML, then compiling it to a [`Model`](crate::Model) with MuJoCo's semantics.

mod source;

use std::path::Path;

use crate::{Model, ModelError};

/// Reads and compiles the MJCF file at `path`; `<include>`s are looked for beside it.
///
/// # Errors
/// [`ModelError`] when the file cannot be read, is not MJCF, or asks for something that cannot be honoured.
pub fn load_mjcf(path: &Path) -> Result<Model, ModelError> {
    let name = path.display().to_string();
    let text = source::read_file(path)?;
    parse_mjcf(&text, &name)
}

/// Compiles MJCF text. `file_name` appears in errors, and `<include>`s are looked for in its folder.
///
/// # Errors
/// As [`load_mjcf`].
pub fn parse_mjcf(text: &str, file_name: &str) -> Result<Model, ModelError> {
    let root = source::read_tree(text, file_name)?;
    Err(root.error(crate::ProblemKind::Unsupported, "the compiler is not written yet"))
}
