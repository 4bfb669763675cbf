//! What went wrong while reading or compiling a robot file, and where.

pub use pavlov_common::names::{did_you_mean, nearest};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// An error in a robot file; its parts are read through [`Deref`]. Boxed, so that passing it on costs a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError(Box<ErrorParts>);

/// What a [`ModelError`] says. Line 0 and an empty element stand for the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// File as given by the caller, or as named by `<include>`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Element.
    pub element: String,
    /// Attribute.
    pub attribute: Option<String>,
    /// What is wrong, with the value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ModelError {
    /// An error about `file` as a whole.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        Self::at(file, 0, "", message)
    }

    /// An error about an element.
    pub(crate) fn at(file: &str, line: usize, element: &str, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            file: file.into(),
            line,
            element: element.into(),
            attribute: None,
            message: message.into(),
            hint: None,
        }))
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Deref for ModelError {
    type Target = ErrorParts;
    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl DerefMut for ModelError {
    fn deref_mut(&mut self) -> &mut ErrorParts {
        &mut self.0
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.element.is_empty() {
            write!(f, ": <{}>", self.element)?;
        }
        if let Some(attribute) = &self.attribute {
            write!(f, " {attribute}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ModelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_place_and_hint() {
        let mut error = ModelError::at("ant.xml", 12, "geom", "`1 two 3` is not a number");
        error.attribute = Some("size".into());
        error.hint = Some("write it as 1 2 3".into());
        assert_eq!(error.to_string(), "ant.xml:12: <geom> size: `1 two 3` is not a number (write it as 1 2 3)");
    }
}
