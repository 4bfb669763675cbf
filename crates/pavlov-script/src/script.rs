//! A script: parsing it, and what its entry functions must return. Compiling them: `compile.rs`.

use crate::builtins::Fault;
use crate::diag::{Diagnostics, Severity, Sink};
use crate::engine::engine;
use crate::library::Modules;
use crate::scene::Scene;
use crate::value::Value;
use rhai::{AST, Position};
use std::sync::Arc;

/// What an entry function must return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A map of named numbers, or one number.
    Terms,
    /// A number.
    Scalar,
    /// True or false.
    Bool,
    /// An array of numbers.
    Vector,
}

/// A script that could be parsed.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) ast: AST,
}

/// A longer script is refused.
const MAX_TEXT: usize = 1 << 20;

/// Line and column of a position, 0 without one.
pub(crate) fn place(pos: Position) -> (usize, usize) {
    (pos.line().unwrap_or(0), pos.position().unwrap_or(if pos.line().is_some() { 1 } else { 0 }))
}

impl Script {
    /// Parses `text`; `file` is what findings call it.
    ///
    /// # Errors
    /// When the text is not rhai: what is wrong, and where.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostics> {
        let mut sink = Sink::new(file, text);
        if text.len() > MAX_TEXT {
            let message = format!("the script has {} bytes, more than the limit of {MAX_TEXT}", text.len());
            sink.add(Severity::Error, "limit", (0, 0), message, String::new());
            return Err(Diagnostics { findings: sink.sorted() });
        }
        match engine().compile(text) {
            Ok(ast) => Ok(Self { file: file.into(), text: text.into(), ast }),
            Err(e) => {
                sink.add(Severity::Error, "syntax", place(e.1), e.0.to_string(), String::new());
                Err(Diagnostics { findings: sink.sorted() })
            }
        }
    }

    /// The file given to [`Script::parse`].
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Is there a function of that name?
    pub fn has(&self, entry: &str) -> bool {
        self.ast.iter_functions().any(|f| f.name == entry)
    }

    /// Names of all functions, sorted.
    pub fn functions(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.ast.iter_functions().filter(|f| !f.name.starts_with("anon$")).map(|f| f.name.to_string()).collect();
        names.sort();
        names
    }

    /// The numbers of a result, with their names. Terms stand in the order of the text.
    pub(crate) fn outputs<N: Copy>(&self, parts: &Parts<'_>, value: &Value<N>) -> Result<Vec<(String, N)>, Fault> {
        let (entry, kind) = (parts.entry, parts.kind);
        let wrong = |expected: &str, hint: &str| {
            let message = format!("`{entry}` must return {expected}, this returns a {}", value.type_name());
            crate::builtins::fault("type", message, hint)
        };
        match (kind, value) {
            (EntryKind::Terms, Value::Map(map)) => {
                if map.is_empty() {
                    return Err(crate::builtins::fault("shape", format!("`{entry}` returns no term"), ""));
                }
                let mut out = Vec::new();
                for (name, v) in map {
                    let n = v.num().ok_or_else(|| {
                        let message = format!("term `{name}` is a {}, not a number", v.type_name());
                        let hint = if matches!(v, Value::Bool(_)) { "write `if c { 1.0 } else { 0.0 }`" } else { "" };
                        crate::builtins::fault("type", message, hint)
                    })?;
                    out.push((name.clone(), n));
                }
                let at = |name: &str| {
                    let found = self.text.match_indices(name).find(|(i, _)| {
                        let rest = self.text[i + name.len()..].trim_start_matches('"').trim_start();
                        let before = self.text[..*i].chars().next_back();
                        rest.starts_with(':') && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
                    });
                    found.map_or(usize::MAX, |(i, _)| i)
                };
                out.sort_by_key(|(name, _)| at(name));
                Ok(out)
            }
            (EntryKind::Terms, Value::Num(n) | Value::Int(n)) => Ok(vec![(entry.to_string(), *n)]),
            (EntryKind::Terms, _) => Err(wrong("a map of named numbers", "#{ name: 1.0 }")),
            (EntryKind::Scalar, Value::Num(n) | Value::Int(n)) => Ok(vec![(entry.to_string(), *n)]),
            (EntryKind::Scalar, _) => Err(wrong("a number", "")),
            (EntryKind::Bool, Value::Bool(n)) => Ok(vec![(entry.to_string(), *n)]),
            (EntryKind::Bool, _) => Err(wrong("true or false", "compare: `x < 0.3`")),
            (EntryKind::Vector, Value::Array(a)) => {
                let number = |(i, v): (usize, &Value<N>)| {
                    let n = v.num().ok_or_else(|| wrong("an array of numbers", ""))?;
                    Ok((format!("{entry}[{i}]"), n))
                };
                a.iter().enumerate().map(number).collect()
            }
            (EntryKind::Vector, _) => Err(wrong("an array of numbers", "")),
        }
    }
}

/// What a program is made from.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    pub entry: &'a str,
    pub kind: EntryKind,
    pub args: usize,
    pub scene: &'a Arc<Scene>,
    pub modules: &'a Arc<Modules>,
    pub params: &'a [(String, f64)],
    pub memory: Option<Value<f64>>,
    pub start: Vec<f64>,
}
