//! Attributes of an element with the defaults of its class, read by type; whatever is left unread is refused.

use crate::defaults::{Defaults, Given, Table};
use crate::error::{ModelError, did_you_mean};
use crate::schema::{self, Form};
use crate::xml::Element;

/// Typed view of an element's attributes.
pub(crate) struct Attrs<'a> {
    pub(crate) element: &'a Element,
    defaults: Table,
}

impl<'a> Attrs<'a> {
    /// Attributes without class defaults.
    pub(crate) fn plain(element: &'a Element) -> Result<Self, ModelError> {
        schema::check(element)?;
        Ok(Self { element, defaults: Table::default() })
    }

    /// Attributes with the defaults of the element's class, else of `childclass`, else of the main class.
    pub(crate) fn classed(
        element: &'a Element,
        defaults: &Defaults,
        childclass: Option<&str>,
    ) -> Result<Self, ModelError> {
        schema::check(element)?;
        Ok(Self { element, defaults: defaults.table(element, childclass)? })
    }

    /// What the element itself says; blank numbers say nothing.
    pub(crate) fn own(&self, name: &str) -> Option<&str> {
        let wordy = || matches!(schema::form(&self.element.tag, name), Some(Form::Text | Form::Words(_)) | None);
        self.element.raw(name).filter(|text| !text.trim().is_empty() || wordy())
    }

    /// What the defaults say.
    fn inherited(&self, name: &str) -> Option<&Given> {
        self.defaults.get(name)
    }

    /// The text of an attribute.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.own(name).or_else(|| self.inherited(name).map(|given| &*given.text))
    }

    /// Is it there, by itself or by default?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// Name, or empty.
    pub(crate) fn name(&self) -> String {
        self.element.raw("name").unwrap_or("").to_string()
    }

    /// An error about an attribute; says where the default stands if the value comes from one.
    pub(crate) fn error(&self, name: &str, message: impl Into<String>) -> ModelError {
        let mut error = self.element.attribute_error(name, message);
        if let (None, Some(given)) = (self.own(name), self.inherited(name)) {
            error.message += &format!(" (the default in {}:{} says `{}`)", given.file, given.line, given.text);
        }
        error
    }

    /// Refuses an attribute unless it says what one of `harmless` says.
    pub(crate) fn refuse(&self, name: &str, harmless: &[&str], why: &str) -> Result<(), ModelError> {
        match self.text(name) {
            Some(v) if !harmless.iter().any(|h| same(v, h)) => {
                Err(self.error(name, format!("`{v}` is not supported: {why}")))
            }
            _ => Ok(()),
        }
    }

    /// All numbers of an attribute; at most `max`.
    pub(crate) fn numbers(&self, name: &str, max: usize) -> Result<Option<Vec<f64>>, ModelError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let numbers = schema::numbers(self.element, name, text, max)?;
        if numbers.is_empty() {
            return Err(self.error(name, "expected at least one number"));
        }
        Ok(Some(numbers))
    }

    /// Exactly `N` numbers.
    pub(crate) fn array<const N: usize>(&self, name: &str) -> Result<Option<[f64; N]>, ModelError> {
        let Some(v) = self.numbers(name, N)? else { return Ok(None) };
        let n = v.len();
        v.try_into().map(Some).map_err(|_| self.error(name, format!("expected {N} numbers, found {n}")))
    }

    /// Up to `N` numbers over those of the defaults, and these over `default`.
    pub(crate) fn partial<const N: usize>(&self, name: &str, default: [f64; N]) -> Result<[f64; N], ModelError> {
        let mut out = default;
        for text in [self.inherited(name).map(|given| &*given.text), self.own(name)].into_iter().flatten() {
            let numbers = schema::numbers(self.element, name, text, N)?;
            out[..numbers.len()].copy_from_slice(&numbers);
        }
        Ok(out)
    }

    /// The first of the coefficients of a polynomial whose others must be zero.
    pub(crate) fn linear(&self, name: &str) -> Result<f64, ModelError> {
        let [first, second, third] = self.partial(name, [0.0; 3])?;
        if second != 0.0 || third != 0.0 {
            return Err(self.error(name, "only the first number may be other than 0: polynomials are not supported"));
        }
        Ok(first)
    }

    /// One number.
    pub(crate) fn number(&self, name: &str, default: f64) -> Result<f64, ModelError> {
        Ok(self.array::<1>(name)?.map_or(default, |v| v[0]))
    }

    /// One whole number in a range.
    pub(crate) fn integer(
        &self,
        name: &str,
        default: i64,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, ModelError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let value = schema::whole(self.element, name, text)?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(self.error(name, format!("{value} is outside {} to {}", range.start(), range.end())))
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.text(name).map(str::trim) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(v) => Err(self.error(name, format!("expected `true` or `false`, found `{v}`"))),
        }
    }

    /// `true`, `false`, or `auto`: then whether a `range` of other than no width is given, if `autolimits`.
    pub(crate) fn limited(&self, name: &str, range: &str, autolimits: bool) -> Result<bool, ModelError> {
        match self.text(name).map(str::trim) {
            None | Some("auto") => {
                let given = self.array::<2>(range)?.is_some_and(|[low, high]| low != high);
                if given && !autolimits {
                    let message = format!("`{range}` is given but autolimits is off: add `{name}`");
                    return Err(self.error(range, message));
                }
                Ok(given)
            }
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(v) => Err(self.error(name, format!("expected `true`, `false` or `auto`, found `{v}`"))),
        }
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(&self, name: &str, default: T, table: &[(&str, T)]) -> Result<T, ModelError> {
        let Some(text) = self.text(name).map(str::trim) else { return Ok(default) };
        table.iter().find(|(w, _)| *w == text).map(|(_, v)| *v).ok_or_else(|| {
            let words: Vec<&str> = table.iter().map(|(w, _)| *w).collect();
            let e = self.error(name, format!("`{text}` is not supported: expected one of {}", words.join(", ")));
            e.with_hint(did_you_mean(text, words))
        })
    }
}

/// Do two texts say the same, as numbers or word by word?
fn same(a: &str, b: &str) -> bool {
    let alike =
        |(x, y): (&str, &str)| x == y || matches!((x.parse::<f64>(), y.parse::<f64>()), (Ok(x), Ok(y)) if x == y);
    a.split_whitespace().count() == b.split_whitespace().count()
        && a.split_whitespace().zip(b.split_whitespace()).all(alike)
}
