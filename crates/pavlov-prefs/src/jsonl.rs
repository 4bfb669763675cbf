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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::tests::every_kind;

    #[test]
    fn lines_are_read_as_they_were_written_and_faults_name_theirs() {
        let records: Vec<Label> =
            every_kind().into_iter().zip(1..).map(|(entry, id)| Label { id, at_ms: 7, entry }).collect();
        let mut bytes = Vec::new();
        let path = Path::new("labels.jsonl");
        export(&records, &mut bytes, path).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), records.len());
        let read = |text: &str| import(text.as_bytes(), path);
        assert_eq!(read(&text).unwrap(), records);
        // A mark of byte order and empty lines are nothing, in their places.
        assert_eq!(read(&format!("\u{feff}{}", text.replace('\n', "\n\n"))).unwrap(), records);
        let second = text.replacen('\n', "\n\u{feff}", 1);
        assert!(read(&second).unwrap_err().to_string().contains("labels.jsonl: line 2: "));
        assert!(
            read(&format!("{text}{{}}\n")).unwrap_err().to_string().contains(&format!("line {}: ", records.len() + 1))
        );
    }
}
