//! Labels as JSON lines: one record a line, as [`Label`] is named, retractions included. What is exported and imported
//! into an empty store is exported again byte for byte.

use crate::error::PrefsError;
use crate::label::Label;
use std::io::{BufRead, Write};
use std::path::Path;

/// Writes records.
///
/// # Errors
/// When they cannot be written; `path` is named then.
pub fn export(records: &[Label], mut out: impl Write, path: &Path) -> Result<(), PrefsError> {
    let failed = |e: std::io::Error| PrefsError::io("write", path, e);
    for record in records {
        serde_json::to_writer(&mut out, record).map_err(|e| failed(e.into()))?;
        out.write_all(b"\n").map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// Reads records. Empty lines are left out.
///
/// # Errors
/// When a line is no record; file and line are named.
pub fn import(text: impl BufRead, path: &Path) -> Result<Vec<Label>, PrefsError> {
    let mut records = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.map_err(|e| PrefsError::io("read", path, e))?;
        let line = if i == 0 { pavlov_common::text::unmarked(&line) } else { &line };
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |e: String| PrefsError::damaged(path, format!("line {}: {e}", i + 1));
        let record: Label = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        record.entry.check().map_err(|e| wrong(e.to_string()))?;
        records.push(record);
    }
    Ok(records)
}
