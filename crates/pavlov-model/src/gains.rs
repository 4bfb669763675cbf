//! What the shortcuts of actuators (`<position kp="..">` and the like) write: gain, bias and the kind of dynamics.
//!
//! Every default class holds one set of gains, with the shortcut that wrote it last. A shortcut writes all of it anew.
//! What it is not given it takes from the nearest class, outwards, whose gains were written by the same shortcut, or by
//! `<general>` with the kind of gain that the shortcut has; where there is none, from MuJoCo's own defaults. Only
//! `<general>` changes what it names and keeps the rest, whoever wrote it. So attributes of the same name do not leak
//! from one shortcut to another. Source: MuJoCo 4.0.0, compared on random trees of classes (`tests/mujoco/defaults.py`).

use crate::error::ModelError;
use crate::schema::{self, BIAS_TYPES, DYN_TYPES, Form, GAIN_TYPES, says};
use crate::xml::Element;
use std::f64::consts::PI;

/// An element that writes gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortcut {
    Motor,
    Position,
    Velocity,
    General,
    IntVelocity,
    Damper,
    Cylinder,
    Adhesion,
}

impl Shortcut {
    /// The shortcut an element is; `None` where its gains are not read.
    pub(crate) fn of(tag: &str) -> Option<Self> {
        Some(match tag {
            "motor" => Self::Motor,
            "position" => Self::Position,
            "velocity" => Self::Velocity,
            "general" => Self::General,
            "intvelocity" => Self::IntVelocity,
            "damper" => Self::Damper,
            "cylinder" => Self::Cylinder,
            "adhesion" => Self::Adhesion,
            _ => return None,
        })
    }
}

/// Attributes that are written into gains; all others of an actuator are shared by name.
pub(crate) const WRITTEN: [&str; 15] = [
    "kp",
    "kv",
    "dampratio",
    "timeconst",
    "inheritrange",
    "area",
    "diameter",
    "bias",
    "gain",
    "gaintype",
    "biastype",
    "dyntype",
    "gainprm",
    "biasprm",
    "dynprm",
];

/// The gains of an actuator or of a default class.
#[derive(Debug, Clone)]
pub(crate) struct Gains {
    /// Who wrote it last; `None` before anybody did.
    writer: Option<Shortcut>,
    pub(crate) gain: [f64; 10],
    /// Of a servo, `bias[2]` above 0 is a ratio of damping that becomes a coefficient once inertia is known.
    pub(crate) bias: [f64; 10],
    pub(crate) gain_type: &'static str,
    pub(crate) bias_type: &'static str,
    pub(crate) dyn_type: &'static str,
    /// Part of the joint's range that becomes the range of the control.
    pub(crate) inherit_range: f64,
}

impl Default for Gains {
    fn default() -> Self {
        let mut gain = [0.0; 10];
        gain[0] = 1.0;
        Self {
            writer: None,
            gain,
            bias: [0.0; 10],
            gain_type: "fixed",
            bias_type: "none",
            dyn_type: "none",
            inherit_range: 0.0,
        }
    }
}

impl Gains {
    /// Does the bias pull to the control, as that of a position servo does?
    pub(crate) fn is_servo(&self) -> bool {
        self.gain[0] == -self.bias[1]
    }

    /// Can `shortcut` take from here what it is not given?
    fn suits(&self, shortcut: Shortcut) -> bool {
        let wanted = if shortcut == Shortcut::Damper { "affine" } else { "fixed" };
        self.writer == Some(shortcut) || (self.writer == Some(Shortcut::General) && self.gain_type == wanted)
    }

    /// What `element` makes of the gains of `classes`, which are given from the innermost outwards.
    pub(crate) fn written<'a>(
        element: &Element,
        shortcut: Shortcut,
        classes: impl Iterator<Item = &'a Gains> + Clone,
    ) -> Result<Self, ModelError> {
        let unwritten = Self::default();
        let current = classes.clone().next().unwrap_or(&unwritten);
        if shortcut == Shortcut::General {
            return current.changed(element);
        }
        let from = classes.clone().find(|gains| gains.suits(shortcut)).unwrap_or(&unwritten);
        let given = |name: &str| one(element, name);
        let mut to = Self { writer: Some(shortcut), inherit_range: current.inherit_range, ..Self::default() };
        match shortcut {
            Shortcut::Motor | Shortcut::General => {}
            Shortcut::Position | Shortcut::IntVelocity => {
                let kp = given("kp")?.unwrap_or(from.gain[0]);
                let damping = match (given("kv")?, given("dampratio")?) {
                    (Some(_), Some(_)) => {
                        return Err(element.attribute_error("dampratio", "`kv` is given too: give one of them"));
                    }
                    (Some(kv), None) => -not_negative(element, "kv", kv)?,
                    (None, Some(ratio)) => not_negative(element, "dampratio", ratio)?,
                    (None, None) => from.bias[2],
                };
                to.gain[0] = kp;
                (to.bias[1], to.bias[2]) = (-kp, damping);
                to.bias_type = "affine";
                // a range of its own takes the place of the joint's, if that was inherited
                let own_range = shortcut == Shortcut::Position && says(element, "ctrlrange");
                let inherited = if own_range { 0.0 } else { from.inherit_range };
                to.inherit_range = given("inheritrange")?.unwrap_or(inherited);
                to.dyn_type = match given("timeconst")? {
                    _ if shortcut == Shortcut::IntVelocity => "integrator",
                    Some(time) if not_negative(element, "timeconst", time)? > 0.0 => "filterexact",
                    None if from.dyn_type == "filterexact" => "filterexact",
                    _ => "none",
                };
            }
            Shortcut::Velocity => {
                let kv = given("kv")?.unwrap_or(from.gain[0]);
                to.gain[0] = kv;
                to.bias[2] = -kv;
                to.bias_type = "affine";
            }
            Shortcut::Damper => {
                let kv = given("kv")?.unwrap_or(-from.gain[2]);
                to.gain = [0.0; 10];
                to.gain[2] = -not_negative(element, "kv", kv)?;
                to.gain_type = "affine";
            }
            Shortcut::Cylinder => {
                let area = given("diameter")?.filter(|d| *d >= 0.0).map(|d| 0.25 * PI * d * d);
                to.gain[0] = area.or(given("area")?).unwrap_or(from.gain[0]);
                to.bias[..3].copy_from_slice(&from.bias[..3]);
                lay(element, "bias", &mut to.bias)?;
                to.bias_type = "affine";
                to.dyn_type = "filter";
            }
            Shortcut::Adhesion => {
                to.gain[0] = not_negative(element, "gain", given("gain")?.unwrap_or(from.gain[0]))?;
            }
        }
        Ok(to)
    }

    /// What `<general>` makes of these gains.
    fn changed(&self, element: &Element) -> Result<Self, ModelError> {
        let mut to = Self { writer: Some(Shortcut::General), ..self.clone() };
        lay(element, "gainprm", &mut to.gain)?;
        lay(element, "biasprm", &mut to.bias)?;
        for (name, words, slot) in [
            ("gaintype", GAIN_TYPES, &mut to.gain_type),
            ("biastype", BIAS_TYPES, &mut to.bias_type),
            ("dyntype", DYN_TYPES, &mut to.dyn_type),
        ] {
            if let Some(word) = words.iter().find(|word| element.raw(name) == Some(**word)) {
                *slot = word;
            }
        }
        if let Some(part) = one(element, "inheritrange")? {
            to.inherit_range = part;
        }
        Ok(to)
    }
}

/// The number an attribute of the element itself gives.
fn one(element: &Element, name: &str) -> Result<Option<f64>, ModelError> {
    // a kind of actuator whose schema does not have the attribute was refused before
    let Some(Form::Exactly(1)) = schema::form(&element.tag, name) else { return Ok(None) };
    let Some(text) = element.raw(name) else { return Ok(None) };
    Ok(schema::numbers(element, name, text, 1)?.first().copied())
}

/// Lays the numbers of an attribute over the first ones of a vector.
fn lay(element: &Element, name: &str, onto: &mut [f64; 10]) -> Result<(), ModelError> {
    let Some(text) = element.raw(name) else { return Ok(()) };
    let numbers = schema::numbers(element, name, text, onto.len())?;
    onto[..numbers.len()].copy_from_slice(&numbers);
    Ok(())
}

fn not_negative(element: &Element, name: &str, value: f64) -> Result<f64, ModelError> {
    if value < 0.0 {
        return Err(element.attribute_error(name, format!("{value} is negative")));
    }
    Ok(value)
}
