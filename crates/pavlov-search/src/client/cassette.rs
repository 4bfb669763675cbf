//! Cassettes: recorded exchanges as JSON lines, so that a search repeats without a model.
//!
//! `{"at":"0.3","hash":"<SHA-256 of the request>","reply":"...","tokens_in":812,"tokens_out":240}`. `at` is iteration,
//! place and, after a slash, the attempt. A line with a hash answers only that request; one without (written by hand)
//! answers whatever is asked there. `"ending":"tokens"` says that the reply was cut at the limit of tokens. A byte
//! order mark in front, as editors of Windows leave it, is passed over.

use super::{Ending, Reply, Request, estimate};
use crate::error::SearchError;
use crate::lineage::At;
use pavlov_common::file;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A line of a cassette.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Where it was asked.
    pub at: String,
    /// Of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The reply.
    pub reply: String,
    /// Tokens; estimated when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_in: Option<u64>,
    /// Tokens; estimated when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_out: Option<u64>,
    /// How the reply ended, where not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// Recorded exchanges.
#[derive(Debug, Clone, Default)]
pub struct Cassette {
    path: PathBuf,
    lines: Vec<(At, Line)>,
}

impl Cassette {
    /// Reads a cassette.
    ///
    /// # Errors
    /// When it cannot be read; the line is named.
    pub fn read(path: &Path) -> Result<Self, SearchError> {
        let text =
            pavlov_common::text::read_up_to(path, file::NUMBERS).map_err(|e| SearchError::file("read", path, e))?;
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let wrong =
                |e: &dyn std::fmt::Display| SearchError::Usage(format!("{}, line {}: {e}", path.display(), number + 1));
            let line: Line = serde_json::from_str(line).map_err(|e| wrong(&e))?;
            lines.push((line.at.parse().map_err(|e: String| wrong(&e))?, line));
        }
        Ok(Self { path: path.to_path_buf(), lines })
    }

    /// Adds an exchange to a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(path: &Path, at: At, request: &Request, reply: &Reply) -> Result<(), SearchError> {
        let line = Line {
            at: at.to_string(),
            hash: Some(request.hash()),
            reply: reply.text.clone(),
            tokens_in: Some(reply.tokens_in),
            tokens_out: Some(reply.tokens_out),
            ending: reply.ending,
        };
        let text = serde_json::to_string(&line).map_err(|e| SearchError::Usage(e.to_string()))?;
        let written = open(path).and_then(|mut file| {
            // A last line that was written by hand may have no end.
            let start = if ends_with_a_line(&mut file)? { "" } else { "\n" };
            file.write_all(format!("{start}{text}\n").as_bytes())
        });
        written.map_err(|e| SearchError::file("write", path, e))
    }

    /// Makes sure that exchanges can be added to a file, before any is paid for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(path: &Path) -> Result<(), SearchError> {
        open(path).map(drop).map_err(|e| SearchError::file("write", path, e))
    }

    /// The recorded reply to a request.
    ///
    /// # Errors
    /// When there is none for that place, or it was recorded for another request.
    pub fn reply(&self, at: At, request: &Request) -> Result<Reply, SearchError> {
        let hash = request.hash();
        let here = |(a, _): &&(At, Line)| *a == at;
        let fits = |(_, l): &&(At, Line)| l.hash.as_ref().is_none_or(|h| *h == hash);
        // The latest recording of a place counts.
        let found = self.lines.iter().rev().filter(here).find(fits);
        let found = found.or_else(|| self.lines.iter().find(|(_, l)| l.hash.as_ref() == Some(&hash)));
        let Some((_, line)) = found else {
            let path = self.path.display();
            return Err(SearchError::Usage(match self.lines.iter().find(here) {
                Some((_, line)) => format!(
                    "{path}: the reply at {at} was recorded for request {}, asked is {}: task, prompts, settings or \
                     training differ from the recording",
                    line.hash.as_deref().map_or("", |h| &h[..h.len().min(12)]),
                    &hash[..12]
                ),
                None => format!(
                    "{path}: no reply at {at}; it has {}",
                    self.lines.iter().map(|(a, _)| a.to_string()).collect::<Vec<_>>().join(", ")
                ),
            }));
        };
        let estimated = request.messages.iter().map(|m| estimate(&m.content)).sum();
        Ok(Reply {
            tokens_in: line.tokens_in.unwrap_or(estimated),
            tokens_out: line.tokens_out.unwrap_or_else(|| estimate(&line.reply)),
            text: line.reply.clone(),
            ending: line.ending,
        })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    file::append(path)
}

/// Is a file empty, or is its last line ended?
fn ends_with_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Message;

    #[test]
    fn what_was_recorded_is_replayed_and_what_was_not_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.jsonl");
        let request = |text: &str| Request {
            model: "m".into(),
            messages: vec![Message::user(text)],
            temperature: 1.0,
            max_tokens: 5,
            seed: 1,
        };
        let reply = Reply { text: "fn".into(), tokens_in: 7, tokens_out: 9, ending: Some(Ending::Tokens) };
        Cassette::append(&path, At::new(0, 1), &request("a"), &reply).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":\"1.0\",\"reply\":\"by hand\"}\n").unwrap();
        let cassette = Cassette::read(&path).unwrap();
        assert_eq!(cassette.reply(At::new(0, 1), &request("a")).unwrap(), reply);
        assert_eq!(cassette.reply(At::new(1, 0), &request("anything")).unwrap().text, "by hand");
        let other = cassette.reply(At::new(0, 1), &request("b")).unwrap_err().to_string();
        assert!(other.contains("at 0.1 was recorded for request"), "{other}");
        let none = cassette.reply(At::new(2, 2), &request("b")).unwrap_err().to_string();
        assert!(none.contains("no reply at 2.2; it has 0.1, 1.0"), "{none}");
        std::fs::write(&path, "\u{feff}{\"at\":\"0.0\",\"reply\":\"no line end\"}").unwrap();
        Cassette::append(&path, At::new(0, 1), &request("a"), &reply).unwrap();
        let marked = Cassette::read(&path).unwrap();
        assert_eq!(marked.reply(At::new(0, 0), &request("x")).unwrap().text, "no line end");
        assert_eq!(marked.reply(At::new(0, 1), &request("a")).unwrap(), reply);
        std::fs::write(&path, "\n{\"at\":\"x\",\"reply\":\"\"}").unwrap();
        assert!(Cassette::read(&path).unwrap_err().to_string().contains("line 2"));
    }
}
