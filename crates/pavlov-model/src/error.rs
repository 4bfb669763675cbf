//! What went wrong while reading or compiling a robot file, and where.

use std::fmt;
use std::ops::Deref;

/// An error in a robot file. Dereferences to [`Problem`], which holds the place and the parts of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ModelError(Box<Problem>);

/// Broad kind of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file cannot be read.
    Io,
    /// The text is not well-formed XML.
    Xml,
    /// A limit on size, depth or count is exceeded.
    TooLarge,
    /// An element or attribute that MJCF does not have here.
    Unknown,
    /// MJCF that is understood, but that Pavlov's physics cannot honour.
    Unsupported,
    /// A value that is malformed, out of range or contradicts another.
    Value,
    /// A name that is not defined, or defined twice.
    Name,
}

/// Place and parts of a [`ModelError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Broad kind.
    pub kind: ProblemKind,
    /// File as given by the caller (or as named by `<include>`).
    pub file: String,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Element, with its name attribute where it has one: `geom "floor"`.
    pub element: Option<String>,
    /// Attribute.
    pub attribute: Option<String>,
    /// Text of the attribute, shortened when long.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What was expected instead.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ModelError {
    /// An error about `file` as a whole.
    pub fn new(kind: ProblemKind, file: impl Into<String>, message: impl Into<String>) -> Self {
        ModelError(Box::new(Problem {
            kind,
            file: file.into(),
            line: None,
            element: None,
            attribute: None,
            value: None,
            message: message.into(),
            expected: None,
            hint: None,
        }))
    }
    pub(crate) fn line(mut self, line: u32) -> Self {
        self.0.line = Some(line);
        self
    }
    pub(crate) fn element(mut self, element: impl Into<String>) -> Self {
        self.0.element = Some(element.into());
        self
    }
    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.0.attribute = Some(name.to_string());
        self.0.value = Some(shorten(value));
        self
    }
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
    /// Adds `did you mean "x"?` when one of `candidates` is close to `word`.
    pub(crate) fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, candidates) {
            Some(best) => {
                let hint = format!("did you mean `{best}`?");
                self.hint(hint)
            }
            None => self,
        }
    }
}

impl Deref for ModelError {
    type Target = Problem;
    fn deref(&self) -> &Problem {
        &self.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": ")?;
        if let Some(element) = &self.element {
            write!(f, "<{element}>")?;
            if let Some(attribute) = &self.attribute {
                write!(f, " {attribute}=\"{}\"", self.value.as_deref().unwrap_or(""))?;
            }
            write!(f, ": ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// The candidate closest to `word`, if it is close enough to be a likely slip of the pen.
fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing is quadratic in length, and nobody mistypes a page of text.
    if word.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .filter(|c| !c.is_empty() && c.len() <= 64)
        .take(2000)
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (word.len().max(c.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// At most 60 characters of `value`, so that a hostile file cannot flood a terminal.
fn shorten(value: &str) -> String {
    let clean: String = value.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.chars().nth(60).is_some() { format!("{clean}...") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_place_value_expectation_and_hint() {
        let error = ModelError::new(ProblemKind::Value, "ant.xml", "not a number")
            .line(12)
            .element("geom \"floor\"")
            .attribute("size", "1 two 3")
            .expected("3 numbers")
            .hint("write it as 1 2 3");
        assert_eq!(
            error.to_string(),
            "ant.xml:12: <geom \"floor\"> size=\"1 two 3\": not a number; expected 3 numbers (write it as 1 2 3)"
        );
        assert_eq!(error.line, Some(12));
    }

    #[test]
    fn suggests_only_what_is_close() {
        assert_eq!(closest("torsp", ["torso", "thigh"]), Some("torso"));
        assert_eq!(closest("wheel", ["torso", "thigh"]), None);
        assert_eq!(closest(&"x".repeat(100_000), ["torso"]), None);
    }

    #[test]
    fn long_values_are_shortened() {
        assert_eq!(shorten(&"9".repeat(1000)).len(), 63);
        assert_eq!(shorten("a\nb"), "a b");
    }
}
