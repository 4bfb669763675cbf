//! Text files as people save them: a byte order mark at the front, which editors on Windows write, is no part of the
//! text.

use crate::file;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// What some editors put in front of UTF-8 text.
const MARK: char = '\u{feff}';
/// The same as bytes, for what is read line by line.
pub const MARK_BYTES: &[u8] = "\u{feff}".as_bytes();

/// The text without a byte order mark in front.
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Reads a text file that people write ([`file::TEXT`] bytes at most), without a byte order mark in front.
///
/// # Errors
/// As [`file::read`]; when it is not UTF-8; UTF-16, which some editors and shells write, is named.
pub fn read(path: &Path) -> Result<String> {
    read_up_to(path, file::TEXT)
}

/// As [`read`], with another limit.
///
/// # Errors
/// As [`read`].
pub fn read_up_to(path: &Path, limit: u64) -> Result<String> {
    from_bytes(file::read(path, limit)?)
}

/// The text of a file's bytes, without a byte order mark in front.
///
/// # Errors
/// When it is not UTF-8.
pub fn from_bytes(bytes: Vec<u8>) -> Result<String> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes[..] {
        let message = "the text is UTF-16: save it as UTF-8";
        return Err(Error::new(ErrorKind::InvalidData, message));
    }
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let message = format!("the text is not UTF-8 from byte {} on: save it as UTF-8", e.utf8_error().valid_up_to());
        Error::new(ErrorKind::InvalidData, message)
    })?;
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_in_front_is_taken_off_and_others_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        for (bytes, expected) in [
            ("\u{feff}a = 1\u{feff}", "a = 1\u{feff}"),
            ("a = 1", "a = 1"),
            ("\u{feff}", ""),
            ("", ""),
            (" \u{feff}", " \u{feff}"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap(), expected);
            assert_eq!(unmarked(bytes), expected);
        }
    }

    #[test]
    fn other_encodings_are_named() {
        let utf16 = [0xff, 0xfe, b'a', 0].to_vec();
        assert!(from_bytes(utf16).unwrap_err().to_string().contains("UTF-16"));
        assert!(from_bytes(vec![b'a', 0xe9]).unwrap_err().to_string().contains("from byte 1 on"));
    }
}
