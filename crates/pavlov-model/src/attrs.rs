//! Attributes of an element with the defaults of its class, read by type; whatever is left unread is refused.

use crate::error::{ModelError, did_you_mean};
use crate::xml::Element;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const MAX_CLASSES: usize = 1000;

/// Attribute → value of one class and element kind; shared by the classes within, and by the elements that use it.
type Table = Arc<BTreeMap<String, Arc<str>>>;

/// Default attributes: class → element kind → attribute → value.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    classes: HashMap<String, HashMap<String, Table>>,
}

/// Actuator shortcuts share one set of defaults, as in MuJoCo.
fn kind_of(tag: &str) -> &str {
    match tag {
        "motor" | "position" | "velocity" | "general" | "intvelocity" | "damper" | "cylinder" | "muscle"
        | "adhesion" => "general",
        other => other,
    }
}

impl Defaults {
    /// Reads a `<default>` element and those within it.
    pub(crate) fn read(&mut self, element: &Element, parent: Option<&str>) -> Result<(), ModelError> {
        let name = match (element.raw("class"), parent) {
            (Some(name), _) => name.to_string(),
            (None, None) => "main".to_string(),
            (None, Some(_)) => return Err(element.error("a nested default needs a `class`")),
        };
        if self.classes.len() >= MAX_CLASSES {
            return Err(element.error(format!("more than {MAX_CLASSES} default classes")));
        }
        let mut table = parent.and_then(|p| self.classes.get(p)).cloned().unwrap_or_default();
        if parent.is_none() {
            table.extend(self.classes.remove(&name).unwrap_or_default());
        }
        for child in element.children.iter().filter(|c| c.tag != "default") {
            default_known(child)?;
            if names_of(&child.tag).is_none() {
                continue;
            }
            let slot = table.entry(kind_of(&child.tag).to_string()).or_default();
            for (k, v) in &child.attributes {
                Arc::make_mut(slot).insert(k.clone(), v.as_str().into());
            }
        }
        self.classes.insert(name.clone(), table);
        for child in element.children.iter().filter(|c| c.tag == "default") {
            self.read(child, Some(&name))?;
        }
        Ok(())
    }

    fn table(&self, class: &str, tag: &str) -> Option<&Table> {
        self.classes.get(class)?.get(kind_of(tag))
    }

    fn has(&self, class: &str) -> bool {
        class == "main" || self.classes.contains_key(class)
    }
}

/// Attributes that are known for an element kind; the reader refuses those it cannot honour.
fn names_of(tag: &str) -> Option<&'static [&'static str]> {
    Some(match tag {
        "joint" => &[
            "name",
            "class",
            "type",
            "group",
            "pos",
            "axis",
            "springdamper",
            "limited",
            "actuatorfrclimited",
            "actuatorfrcrange",
            "actuatorgravcomp",
            "solreflimit",
            "solimplimit",
            "solreffriction",
            "solimpfriction",
            "stiffness",
            "range",
            "margin",
            "ref",
            "springref",
            "armature",
            "damping",
            "frictionloss",
            "user",
        ],
        "freejoint" => &["name", "class", "group", "align"],
        "geom" => &[
            "name",
            "class",
            "type",
            "contype",
            "conaffinity",
            "condim",
            "group",
            "priority",
            "size",
            "material",
            "friction",
            "mass",
            "density",
            "shellinertia",
            "solmix",
            "solref",
            "solimp",
            "margin",
            "gap",
            "fromto",
            "pos",
            "quat",
            "axisangle",
            "euler",
            "xyaxes",
            "zaxis",
            "hfield",
            "mesh",
            "fitscale",
            "rgba",
            "fluidshape",
            "fluidcoef",
            "user",
        ],
        "site" => &[
            "name",
            "class",
            "type",
            "group",
            "material",
            "size",
            "fromto",
            "pos",
            "quat",
            "axisangle",
            "euler",
            "xyaxes",
            "zaxis",
            "rgba",
            "user",
        ],
        "body" | "worldbody" => &[
            "name",
            "childclass",
            "pos",
            "quat",
            "axisangle",
            "euler",
            "xyaxes",
            "zaxis",
            "mocap",
            "gravcomp",
            "user",
            "sleep",
        ],
        "inertial" => &["pos", "quat", "axisangle", "euler", "xyaxes", "zaxis", "mass", "diaginertia", "fullinertia"],
        "motor" | "position" | "velocity" | "general" => &[
            "name",
            "class",
            "group",
            "ctrllimited",
            "forcelimited",
            "actlimited",
            "ctrlrange",
            "forcerange",
            "actrange",
            "lengthrange",
            "gear",
            "cranklength",
            "joint",
            "jointinparent",
            "tendon",
            "site",
            "refsite",
            "body",
            "cranksite",
            "slidersite",
            "user",
            "kp",
            "kv",
            "dampratio",
            "timeconst",
            "inheritrange",
            "dyntype",
            "gaintype",
            "biastype",
            "dynprm",
            "gainprm",
            "biasprm",
            "actdim",
            "actearly",
            "delay",
            "nsample",
        ],
        "pair" => &[
            "name",
            "class",
            "geom1",
            "geom2",
            "condim",
            "friction",
            "solref",
            "solreffriction",
            "solimp",
            "gap",
            "margin",
        ],
        "fixed" | "tendon" => &[
            "name",
            "class",
            "group",
            "limited",
            "actuatorfrclimited",
            "range",
            "actuatorfrcrange",
            "solreflimit",
            "solimplimit",
            "solreffriction",
            "solimpfriction",
            "margin",
            "frictionloss",
            "springlength",
            "width",
            "material",
            "rgba",
            "stiffness",
            "damping",
            "armature",
            "user",
        ],
        "key" => &["name", "time", "qpos", "qvel", "act", "ctrl", "mpos", "mquat"],
        "exclude" => &["name", "body1", "body2"],
        _ => return None,
    })
}

/// Refuses what cannot stand in a `<default>`.
fn default_known(element: &Element) -> Result<(), ModelError> {
    const WITHOUT_EFFECT: [&str; 6] = ["mesh", "material", "camera", "light", "equality", "skin"];
    let tag = element.tag.as_str();
    if names_of(tag).is_none() && !WITHOUT_EFFECT.contains(&tag) {
        return Err(element.error("defaults for this kind of element are not supported"));
    }
    known(element)
}

/// Refuses attributes that do not exist for this element kind.
pub(crate) fn known(element: &Element) -> Result<(), ModelError> {
    let Some(names) = names_of(&element.tag) else { return Ok(()) };
    for (name, _) in &element.attributes {
        if !names.contains(&name.as_str()) {
            let e = element.attribute_error(name, "unknown attribute");
            return Err(e.with_hint(did_you_mean(name, names.iter().copied())));
        }
    }
    Ok(())
}

/// Typed view of an element's attributes.
pub(crate) struct Attrs<'a> {
    pub(crate) element: &'a Element,
    defaults: Table,
}

impl<'a> Attrs<'a> {
    /// Attributes without class defaults.
    pub(crate) fn plain(element: &'a Element) -> Result<Self, ModelError> {
        known(element)?;
        Ok(Self { element, defaults: Table::default() })
    }

    /// Attributes with the defaults of the element's class, else of `childclass`, else of the main class.
    pub(crate) fn classed(
        element: &'a Element,
        defaults: &Defaults,
        childclass: Option<&str>,
    ) -> Result<Self, ModelError> {
        known(element)?;
        let class = element.raw("class").or(childclass).unwrap_or("main");
        if !defaults.has(class) {
            let e = element.attribute_error("class", format!("no default class `{class}`"));
            let names: Vec<&str> = defaults.classes.keys().map(String::as_str).collect();
            return Err(e.with_hint(did_you_mean(class, names)));
        }
        let defaults = defaults.table(class, &element.tag).cloned().unwrap_or_default();
        Ok(Self { element, defaults })
    }

    /// The text of an attribute.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.element.raw(name).or_else(|| self.defaults.get(name).map(AsRef::as_ref))
    }

    /// Is it there, by itself or by default?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// Name, or empty.
    pub(crate) fn name(&self) -> String {
        self.element.raw("name").unwrap_or("").to_string()
    }

    /// An error about an attribute.
    pub(crate) fn error(&self, name: &str, message: impl Into<String>) -> ModelError {
        self.element.attribute_error(name, message)
    }

    /// Refuses an attribute unless its text is one of `harmless`.
    pub(crate) fn refuse(&self, name: &str, harmless: &[&str], why: &str) -> Result<(), ModelError> {
        match self.text(name) {
            Some(v) if !harmless.contains(&v.trim()) => Err(self.error(name, format!("`{v}` is not supported: {why}"))),
            _ => Ok(()),
        }
    }

    /// All numbers of an attribute; at most `max`.
    pub(crate) fn numbers(&self, name: &str, max: usize) -> Result<Option<Vec<f64>>, ModelError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let mut out = Vec::new();
        for word in text.split_ascii_whitespace() {
            let value: f64 = word.parse().map_err(|_| self.error(name, format!("`{word}` is not a number")))?;
            if !value.is_finite() {
                return Err(self.error(name, format!("`{word}` is not a finite number")));
            }
            if out.len() == max {
                return Err(self.error(name, format!("more than {max} numbers in `{text}`")));
            }
            out.push(value);
        }
        if out.is_empty() {
            return Err(self.error(name, "expected at least one number"));
        }
        Ok(Some(out))
    }

    /// Exactly `N` numbers.
    pub(crate) fn array<const N: usize>(&self, name: &str) -> Result<Option<[f64; N]>, ModelError> {
        let Some(v) = self.numbers(name, N)? else { return Ok(None) };
        let n = v.len();
        v.try_into().map(Some).map_err(|_| self.error(name, format!("expected {N} numbers, found {n}")))
    }

    /// Up to `N` numbers over a default (MuJoCo fills the rest).
    pub(crate) fn partial<const N: usize>(&self, name: &str, default: [f64; N]) -> Result<[f64; N], ModelError> {
        let mut out = default;
        if let Some(v) = self.numbers(name, N)? {
            out[..v.len()].copy_from_slice(&v);
        }
        Ok(out)
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
        let value: i64 =
            text.trim().parse().map_err(|_| self.error(name, format!("`{text}` is not a whole number")))?;
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

    /// `true`, `false`, or `auto`: then whether `range` is given, if `autolimits`.
    pub(crate) fn limited(&self, name: &str, range: &str, autolimits: bool) -> Result<bool, ModelError> {
        match self.text(name).map(str::trim) {
            None | Some("auto") => {
                if self.has(range) && !autolimits {
                    let message = format!("`{range}` is given but autolimits is off: add `{name}`");
                    return Err(self.error(range, message));
                }
                Ok(self.has(range))
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
