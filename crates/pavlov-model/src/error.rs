//! What went wrong while reading or compiling a robot file, and where; and the helper that guesses what a wrong name
//! meant.

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

/// The candidate closest to `name`, if it is close enough to be a slip of the finger.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing is quadratic in length, and nobody mistypes a page of text.
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|c| !c.is_empty() && c.len() <= 64)
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (lower.len().max(c.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `did you mean ...?`, or the list of what there is.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(best) = nearest(name, candidates.clone()) {
        return format!("did you mean `{best}`?");
    }
    let names: Vec<&str> = candidates.into_iter().filter(|c| !c.is_empty()).collect();
    if names.is_empty() {
        return "there are none".into();
    }
    let shown = names.iter().take(12).map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 12 {
        format!("there are {shown} and {} more", names.len() - 12)
    } else {
        format!("there is {shown}")
    }
}

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

    #[test]
    fn only_what_is_close_is_suggested() {
        assert_eq!(nearest("torsp", ["torso", "thigh"]), Some("torso"));
        assert_eq!(nearest("forwrad", ["forward", "up"]), Some("forward"));
        assert_eq!(nearest("wheel", ["torso", "thigh"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["torso"]), None);
        assert_eq!(did_you_mean("q", ["leg", ""]), "there is `leg`");
    }
}
