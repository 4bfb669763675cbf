//! Findings about a script, printed as rustc prints its own: file, line, column, the source line, a caret, a hint.

use rhai::Position;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Line and column of a position, 0 without one.
pub(crate) fn place(pos: Position) -> (usize, usize) {
    (pos.line().unwrap_or(0), pos.position().unwrap_or(if pos.line().is_some() { 1 } else { 0 }))
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The script cannot run.
    Error,
    /// The script runs, but not as well or not as meant.
    Warning,
}

/// One finding. Lines and columns start at 1; 0 means that the finding has no place in the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Short stable name of the rule, such as `unknown-name` or `interpreted`.
    pub rule: String,
    /// Script file as given to the compiler.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, with names and values.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Reward term in whose expression it was found; empty when outside of one.
    pub term: String,
    /// The source line.
    pub source: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{level}[{}]: {}", self.rule, self.message)?;
        if self.line > 0 {
            let number = self.line.to_string();
            let pad = " ".repeat(number.len());
            writeln!(f, "{pad}--> {}:{}:{}", self.file, self.line, self.column)?;
            writeln!(f, "{pad} |")?;
            writeln!(f, "{number} | {}", self.source)?;
            // Tabs are kept, so that the caret stands under its character whatever width they are shown with.
            let lead: String = self
                .source
                .chars()
                .take(self.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "{pad} | {lead}^")?;
            if !self.hint.is_empty() {
                write!(f, " {}", self.hint)?;
            }
        } else {
            write!(f, " --> {}", self.file)?;
            if !self.hint.is_empty() {
                write!(f, "\n  = {}", self.hint)?;
            }
        }
        Ok(())
    }
}

/// The findings that made a compilation fail (at least one error), in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Diagnostics {
    /// Errors and warnings.
    pub findings: Vec<Finding>,
}

impl Diagnostics {
    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.severity == Severity::Error).count()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.findings.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

/// Collects findings about one file; drops repeats (an unrolled loop finds the same thing again and again).
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    pub findings: Vec<Finding>,
    /// Term being lowered.
    pub term: String,
}

/// Errors, or warnings, beyond this number say nothing new.
const MAX_FINDINGS: usize = 50;

impl<'a> Sink<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: text.lines().collect(), findings: Vec::new(), term: String::new() }
    }

    pub fn add(&mut self, severity: Severity, rule: &str, at: (usize, usize), message: String, hint: String) {
        let (line, column) = at;
        let repeat = |f: &Finding| f.line == line && f.column == column && f.rule == rule && f.message == message;
        // Warnings never keep an error out.
        let of_kind = self.findings.iter().filter(|f| f.severity == severity).count();
        if of_kind >= MAX_FINDINGS || self.findings.iter().any(repeat) {
            return;
        }
        let source = if line > 0 { self.lines.get(line - 1).copied().unwrap_or("") } else { "" };
        self.findings.push(Finding {
            severity,
            rule: rule.into(),
            file: self.file.into(),
            line,
            column,
            message,
            hint,
            term: self.term.clone(),
            source: source.chars().take(400).collect(),
        });
    }

    /// Findings added from here on are about this file.
    pub fn enter(&mut self, file: &'a str, text: &'a str) {
        self.file = file;
        self.lines = text.lines().collect();
    }

    pub fn failed(&self) -> bool {
        self.errors() > 0
    }

    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.severity == Severity::Error).count()
    }

    pub fn sorted(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|f| (f.severity, f.line, f.column));
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let mut sink = Sink::new("reward.rhai", "fn reward(s, p) {\n\tlet v = s.body(\"torsp\");\n}");
        sink.add(Severity::Error, "unknown-name", (2, 10), "no body `torsp`".into(), "did you mean `torso`?".into());
        sink.add(Severity::Error, "unknown-name", (2, 10), "no body `torsp`".into(), String::new());
        let findings = sink.sorted();
        assert_eq!(findings.len(), 1, "the repeat is dropped");
        let expected = "error[unknown-name]: no body `torsp`\n --> reward.rhai:2:10\n  |\n\
                        2 | \tlet v = s.body(\"torsp\");\n  | \t        ^ did you mean `torso`?";
        assert_eq!(findings[0].to_string(), expected);
    }
}
