//! Results on standard output: aligned tables for people, JSON lines for programs. A reader that went away is not an
//! error.
//!
//! Everything goes through [`pavlov_common::visible`] or the like: what others wrote moves no cursor here.

use anyhow::{Context, Result};
use pavlov_common::{plain, plain_lines, stats, visible, visible_json};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// JSON, one object a line?
    pub json: bool,
}

/// The reader of standard output went away; there is nothing more to do.
#[derive(Debug)]
pub struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

impl Out {
    /// Writes text of any length.
    ///
    /// # Errors
    /// [`Closed`] when nobody reads any more.
    pub fn text(self, text: &str) -> Result<()> {
        Self::write(&visible(text))
    }

    /// Writes JSON of any length, one object or several lines.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn json(self, text: &str) -> Result<()> {
        Self::write(&visible_json(text))
    }

    fn write(text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
            other => other.context("cannot write to standard output"),
        }
    }

    /// Writes a line, or a message of several; lines without end are cut.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn line(self, text: &str) -> Result<()> {
        Self::write(&format!("{}\n", plain_lines(text)))
    }

    /// Writes an object as a line of JSON.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn object(self, value: &impl Serialize) -> Result<()> {
        self.json(&format!("{}\n", serde_json::to_string(value)?))
    }
}

/// Rows under a header, columns aligned; the last column is not padded.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(|t| (*t).to_string()).collect()] }
    }

    /// Appends a row. A cell is of one line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Are there only titles?
    pub fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| self.rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        // Columns of numbers are set to the right.
        let numeric = |c: usize| {
            let mut cells =
                self.rows[1..].iter().filter_map(|r| r.get(c)).filter(|t| !t.is_empty() && *t != "-").peekable();
            cells.peek().is_some()
                && cells.all(|t| t.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)) && !t.contains('/'))
        };
        let right: Vec<bool> = (0..columns).map(|c| self.rows.len() > 1 && numeric(c)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[c] - cell.chars().count());
                line += &if right[c] { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
                line += "  ";
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A whole number in groups of three.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A number with about four digits: 0.0123, 1.234, 123.4, 12.3k, 1.23M.
pub fn number(x: f64) -> String {
    match x.abs() {
        _ if !x.is_finite() => "-".into(),
        1e9.. => format!("{:.2}G", x / 1e9),
        1e6.. => format!("{:.2}M", x / 1e6),
        1e4.. => format!("{:.1}k", x / 1e3),
        100.0.. => format!("{x:.1}"),
        1.0.. => format!("{x:.3}"),
        1e-3.. => format!("{x:.4}"),
        0.0 => "0".into(),
        _ => format!("{x:.1e}"),
    }
}

/// As [`number`], a dash for nothing.
pub fn maybe(x: Option<f64>) -> String {
    x.map_or_else(|| "-".into(), number)
}

/// Seconds as `4.2 s`, `3:07`, `1:02:03`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "-".into();
    }
    if seconds < 59.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let s = seconds.round() as u64;
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// A line on standard error. That nobody reads it must not end the program.
pub fn say(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", plain_lines(message));
}

/// Warns on standard error.
pub fn warn(message: &str) {
    say(&format!("warning: {message}"));
}

/// A line of small bars from the lowest to the highest value, with both.
pub fn spark(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const WIDTH: usize = 40;
    let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let Some((low, high)) = stats::range(values.iter().copied()) else {
        return "-".into();
    };
    let size = values.len().div_ceil(WIDTH).max(1);
    let bars = values.chunks(size).map(|c| {
        let mean = stats::mean(c.iter().copied()).unwrap_or_default();
        let share = if high > low { (mean - low) / (high - low) } else { 0.0 };
        BARS[((share * 7.0).round() as usize).min(7)]
    });
    format!("{}  {} to {}", bars.collect::<String>(), number(low), number(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(&["name", "n", "about"]);
        table.row(["ünicode".into(), "7".into(), "x y".into()]);
        table.row(["a".into(), "123".into(), String::new()]);
        assert_eq!(table.to_string(), "name       n  about\nünicode    7  x y\na        123\n");
        table.row(["b".into(), "-".into(), "two\nlines\u{1b}[2J".into()]);
        assert!(table.to_string().ends_with("b          -  two\\nlines\\u{1b}[2J\n"), "{table}");
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!((number(12_345.0), number(-0.5), number(0.0)), ("12.3k".into(), "-0.5000".into(), "0".into()));
        assert_eq!(
            (duration(59.94), duration(187.0), duration(3723.0)),
            ("59.9 s".into(), "3:07".into(), "1:02:03".into())
        );
    }

    #[test]
    fn sparks_span_their_range() {
        assert_eq!(spark(&[0.0, 1.0]), "▁█  0 to 1.000");
        assert_eq!(spark(&[]), "-");
        assert!(spark(&[f64::NAN; 3]) == "-" && spark(&[2.0; 500]).starts_with("▁▁▁"));
    }
}
