//! A script: parsing it, and what its entry functions must return. Compiling them: `compile.rs`.

use crate::builtins::Fault;
use crate::diag::{Diagnostics, Severity, Sink, place};
use crate::engine::engine;
use crate::foreign::{division_by_a_comment, foreign};
use crate::library::Modules;
use crate::lint::Lint;
use crate::scene::Scene;
use crate::tokens::{minus_before_power, tokens};
use crate::value::Value;
use rhai::{AST, ParseError, ParseErrorType};
use std::collections::HashMap;
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
    /// Where each name stands first before a colon: terms have the order of the text.
    places: Arc<HashMap<String, usize>>,
}

/// A longer script is refused.
const MAX_TEXT: usize = 1 << 20;

/// Where each name stands first before a colon, as a key of a map does.
fn places(text: &str) -> HashMap<String, usize> {
    let mut out = HashMap::new();
    for (colon, _) in text.match_indices(':') {
        let before = text[..colon].trim_end();
        let (from, to) = match before.strip_suffix('"') {
            Some(quoted) => (quoted.rfind('"').map_or(quoted.len(), |open| open + 1), quoted.len()),
            None => (before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len(), before.len()),
        };
        if from < to {
            out.entry(text[from..to].to_string()).or_insert(from);
        }
    }
    out
}

/// What is wrong with a text that is not rhai: the words of other languages in it, else what rhai says.
fn refuse(sink: &mut Sink<'_>, text: &str, e: &ParseError) {
    let at = place(e.1);
    let mut words = foreign(text);
    words.extend(division_by_a_comment(text));
    // A word is the cause of an error on its line, or of one on the line that follows.
    let explained = words.iter().any(|w| w.at.0 == at.0 || w.at.0 + 1 == at.0);
    if !explained {
        let hint = match &*e.0 {
            ParseErrorType::MissingToken(token, _) if token == ";" => "a statement ends with `;`",
            ParseErrorType::MissingToken(token, _) if token == "}" => {
                "a block or map that is opened by `{` or `#{` is not closed"
            }
            ParseErrorType::MissingToken(token, _) if token == ")" => "a parenthesis is not closed",
            ParseErrorType::DuplicatedProperty(_) => "each term has one name",
            _ => "",
        };
        sink.add(Severity::Error, "syntax", at, e.0.to_string(), hint.into());
    }
    for word in words {
        sink.add(Severity::Error, "syntax", word.at, word.message, word.hint);
    }
    for lint in minus_before_power(text, &tokens(text)) {
        sink.add(Severity::Error, lint.rule, lint.at, lint.message, lint.hint);
    }
}

/// What is said of a text whatever its functions are compiled for: a power behind a minus is refused, as it pays with
/// the other sign.
pub(crate) fn lint_text(text: &str) -> (Vec<Lint>, Vec<Lint>) {
    let errors = minus_before_power(text, &tokens(text));
    let comments = division_by_a_comment(text).into_iter();
    let warnings = comments.map(|f| Lint { at: f.at, rule: "whole-division", message: f.message, hint: f.hint });
    (errors, warnings.collect())
}

impl Script {
    /// Parses `text`; `file` is what findings call it.
    ///
    /// # Errors
    /// When the text is not rhai: what is wrong, and where.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostics> {
        let text = pavlov_common::text::unmarked(text);
        let mut sink = Sink::new(file, text);
        if text.len() > MAX_TEXT {
            let message = format!("the script has {} bytes, more than the limit of {MAX_TEXT}", text.len());
            sink.add(Severity::Error, "limit", (0, 0), message, String::new());
            return Err(Diagnostics { findings: sink.sorted() });
        }
        match engine().compile(text) {
            Ok(ast) => Ok(Self { file: file.into(), text: text.into(), ast, places: Arc::new(places(text)) }),
            Err(e) => {
                refuse(&mut sink, text, &e);
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
                out.sort_by_key(|(name, _)| self.places.get(name).copied().unwrap_or(usize::MAX));
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
    pub above: Vec<Constant>,
}

/// What stands above the functions: `const W = 2.0;`.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub name: String,
    pub value: Value<f64>,
    /// Declared by `const`: only such are `global::W` too.
    pub constant: bool,
}
