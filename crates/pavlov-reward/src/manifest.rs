//! `reward.toml`: what a reward is about, its parameters, and how its terms become one number.

use crate::read::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file, key by key. Unknown keys are errors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// One line for listings.
    pub about: String,
    /// Who wrote it.
    pub author: String,
    /// Tasks it is for, besides the one whose folder it is in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Reward it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Anything else worth knowing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// `[sources.name]`: terms besides those of the script.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, toml::Table>,
    /// `[terms.name]`: what is done to terms.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, TermTable>,
    /// `[groups.name]`: terms combined before the total.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, toml::Table>,
    /// How terms become the reward.
    pub combine: Combine,
    /// Parameters by name, as scripts read them (`p.name`).
    pub params: BTreeMap<String, Param>,
}

/// One parameter: a slider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Value unless another is given.
    pub value: f64,
    /// Smallest sensible value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest sensible value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Unit.
    #[serde(default)]
    pub unit: String,
    /// What it does.
    #[serde(default)]
    pub about: String,
}

/// `[terms.name]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TermTable {
    /// Transforms, in order; see [`crate::TRANSFORMS`].
    pub transform: Vec<toml::Value>,
}

/// `[combine]`: total = scale * clip(sum of terms), or of another combiner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Combine {
    /// Factor on the total; `dt` of the task is not applied by itself.
    pub scale: f64,
    /// The sum is not let below this (before the factor), as legged_gym's `only_positive_rewards` does with 0.
    pub min: Option<f64>,
    /// The sum is not let above this.
    pub max: Option<f64>,
    /// Combiner; see [`crate::COMBINERS`]. `sum` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is combined; everything that nothing else uses when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Vec<String>>,
    /// Options of the combiner.
    #[serde(flatten)]
    pub options: toml::Table,
}

impl Default for Combine {
    fn default() -> Self {
        Self { scale: 1.0, min: None, max: None, kind: None, of: None, options: toml::Table::new() }
    }
}

impl Manifest {
    /// Is there more than terms that are summed?
    pub fn has_graph(&self) -> bool {
        let c = &self.combine;
        let tables = !(self.sources.is_empty() && self.terms.is_empty() && self.groups.is_empty());
        tables || c.kind.is_some() || c.of.is_some()
    }
}

impl Combine {
    /// The total of one world's terms.
    #[inline]
    pub fn total(&self, terms: impl IntoIterator<Item = f32>) -> f32 {
        let mut sum = terms.into_iter().fold(0.0, |a, b| a + b);
        // Not `max` and `min`, which would turn a NaN into a number.
        if self.min.is_some_and(|low| f64::from(sum) < low) {
            sum = self.min.unwrap_or_default() as f32;
        }
        if self.max.is_some_and(|high| f64::from(sum) > high) {
            sum = self.max.unwrap_or_default() as f32;
        }
        sum * self.scale as f32
    }
}

/// What is wrong with the values of a manifest; none when they are good.
pub(crate) fn problem(manifest: &Manifest) -> Option<Fault> {
    let fault = |path: &[&str], message: String| {
        Some(Fault { path: path.iter().map(|key| key.to_string()).collect(), message })
    };
    let c = &manifest.combine;
    if !c.scale.is_finite() || [c.min, c.max].into_iter().flatten().any(|x| !x.is_finite()) {
        return fault(&["combine"], "[combine]: numbers must be finite".into());
    }
    if let (Some(low), Some(high)) = (c.min, c.max)
        && low > high
    {
        return fault(&["combine", "min"], format!("[combine]: min {low} is above max {high}"));
    }
    for (name, p) in &manifest.params {
        let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !word || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
            let message = format!("[params.{name}]: a script cannot write `p.{name}`: use letters, digits and _");
            return fault(&["params", name], message);
        }
        let at = ["params", name, "value"];
        if !p.value.is_finite() {
            return fault(&at, format!("[params.{name}]: value is {}: expected a finite number", p.value));
        }
        if p.min.is_some_and(|m| p.value < m) || p.max.is_some_and(|m| p.value > m) {
            return fault(&at, format!("[params.{name}]: value {} is outside of min and max", p.value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_clipped_then_scaled_and_nan_stays() {
        let c = Combine { scale: 0.5, min: Some(0.0), max: Some(4.0), ..Combine::default() };
        assert_eq!(c.total([1.0, 2.0]), 1.5);
        assert_eq!(c.total([-1.0, -2.0]), 0.0);
        assert_eq!(c.total([10.0]), 2.0);
        assert!(c.total([f32::NAN]).is_nan());
    }

    #[test]
    fn wrong_values_are_told() {
        let read = |text: &str| toml::from_str::<Manifest>(text).unwrap();
        assert!(problem(&read("[params.w]\nvalue = 2.0\nmax = 1.0")).unwrap().message.contains("outside"));
        assert!(problem(&read("[params.\"a b\"]\nvalue = 2.0")).unwrap().message.contains("letters"));
        assert!(problem(&read("[combine]\nmin = 2.0\nmax = 1.0")).unwrap().message.contains("above max"));
        for (text, words) in [
            ("[combine]\nscale = inf", "finite"),
            ("[combine]\nmax = nan", "finite"),
            ("[params.w]\nvalue = inf", "finite"),
            ("[params.w]\nvalue = 0.5\nmin = 1.0", "outside"),
            ("[params.1w]\nvalue = 0.5", "letters"),
            ("[params.\"\"]\nvalue = 0.5", "letters"),
        ] {
            assert!(problem(&read(text)).unwrap().message.contains(words), "{text}");
        }
        // Bounds may be met.
        for text in ["[combine]\nmin = 1.0\nmax = 1.0", "[params.w_2]\nvalue = 1.0\nmin = 1.0\nmax = 1.0"] {
            assert!(problem(&read(text)).is_none(), "{text}");
        }
        assert!(problem(&read("about = \"x\"\n[params.w]\nvalue = 1.0")).is_none());
        assert!(toml::from_str::<Manifest>("abuot = \"x\"").is_err());
    }
}
