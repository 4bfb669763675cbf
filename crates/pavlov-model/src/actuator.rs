//! `<actuator>` and `<tendon>`.

use crate::attrs::Attrs;
use crate::defaults::BOTH_RANGES;
use crate::error::ModelError;
use crate::gains::{Gains, Shortcut};
use crate::model::*;
use crate::reader::Reader;
use crate::schema;
use crate::xml::Element;

impl Reader {
    /// Reads the actuators of a section.
    pub(crate) fn actuators(&mut self, section: &Element) -> Result<(), ModelError> {
        for e in &section.children {
            let (kind, shortcut) = match e.tag.as_str() {
                "motor" => (ActuatorKind::Motor, Shortcut::Motor),
                "position" => (ActuatorKind::Position, Shortcut::Position),
                "velocity" => (ActuatorKind::Velocity, Shortcut::Velocity),
                "general" => (ActuatorKind::General, Shortcut::General),
                _ => {
                    let error = e.error("this kind of actuator is not supported");
                    return Err(error.with_hint("supported: motor, position, velocity, general"));
                }
            };
            self.count("actuator", e, self.model.actuators.len())?;
            let actuator = self.actuator(e, kind, shortcut)?;
            self.model.actuators.push(actuator);
        }
        Ok(())
    }

    fn actuator(&self, e: &Element, kind: ActuatorKind, shortcut: Shortcut) -> Result<Actuator, ModelError> {
        let a = Attrs::classed(e, &self.defaults, None)?;
        for name in ["jointinparent", "tendon", "site", "body", "cranksite", "slidersite", "refsite"] {
            if e.raw(name).is_some() {
                return Err(a.error(name, "only joint transmission is supported"));
            }
        }
        let joint = Self::find(e, "joint", "joint", self.model.joints.iter().map(|j| j.name.as_str()))?;
        if !matches!(self.model.joints[joint].kind, JointKind::Hinge | JointKind::Slide) {
            return Err(a.error("joint", "only hinges and slides can be driven"));
        }
        for name in ["delay", "nsample"] {
            a.refuse(name, &["0"], "actuators have no state of their own")?;
        }
        a.refuse("actdim", &["0", "-1"], "actuators have no state of their own")?;
        if a.limited("actlimited", "actrange", self.autolimits)? {
            return Err(a.error("actrange", "actuators have no state of their own that it could limit"));
        }
        let gear: [f64; 6] = a.partial("gear", [1.0, 0.0, 0.0, 0.0, 0.0, 0.0])?;
        if gear[1..].iter().any(|&v| v != 0.0) {
            return Err(a.error("gear", "a joint with one dof has one gear number"));
        }
        let gains = self.defaults.gains(e, shortcut)?;
        let (gain, bias) = supported(&a, kind, &gains)?;
        let inherits = gains.inherit_range > 0.0 && gains.bias_type == "affine" && gains.is_servo();
        let ctrlrange = match inherits {
            true => self.inherited_range(&a, kind, joint, gains.inherit_range)?,
            false => self.range(&a, "ctrllimited", "ctrlrange")?,
        };
        Ok(Actuator {
            name: a.name(),
            joint,
            gear: gear[0],
            gain,
            bias,
            ctrlrange,
            forcerange: self.range(&a, "forcelimited", "forcerange")?,
            kind,
        })
    }

    /// `part` of the joint's range as the clamp of a servo's control, unless it is said not to be limited.
    fn inherited_range(
        &self,
        a: &Attrs<'_>,
        kind: ActuatorKind,
        joint: usize,
        part: f64,
    ) -> Result<Option<[f64; 2]>, ModelError> {
        let replaces = a.own("inheritrange").is_some() && a.own("ctrlrange").is_none();
        if kind == ActuatorKind::Position && !replaces && a.array("ctrlrange")?.is_some_and(|r| r != [0.0; 2]) {
            return Err(a.error("inheritrange", BOTH_RANGES));
        }
        let [low, high] = self.model.joints[joint].range;
        if low == high {
            return Err(a.error("inheritrange", "needs a joint with a range"));
        }
        match a.text("ctrllimited") {
            Some("false") => return Ok(None),
            None | Some("auto") if !self.autolimits => {
                return Err(a.error("inheritrange", "is given but autolimits is off: add `ctrllimited`"));
            }
            _ => {}
        }
        let (mid, half) = (0.5 * (low + high), 0.5 * (high - low) * part);
        Ok(Some([mid - half, mid + half]))
    }

    /// A clamp, if limited.
    fn range(&self, a: &Attrs<'_>, limited: &str, range: &str) -> Result<Option<[f64; 2]>, ModelError> {
        if !a.limited(limited, range, self.autolimits)? {
            return Ok(None);
        }
        let Some([lo, hi]) = a.array::<2>(range)? else {
            return Err(a.error(limited, format!("is true, but there is no `{range}`")));
        };
        if lo >= hi {
            return Err(a.error(range, format!("the lower end {lo} must be below the upper {hi}")));
        }
        Ok(Some([lo, hi]))
    }

    /// Reads fixed tendons that carry no force.
    pub(crate) fn tendons(&mut self, section: &Element) -> Result<(), ModelError> {
        for e in &section.children {
            if e.tag != "fixed" {
                return Err(e.error("only fixed tendons without force or limit are supported"));
            }
            self.count("tendon", e, self.model.tendons.len())?;
            let a = Attrs::classed(e, &self.defaults, None)?;
            if a.limited("limited", "range", self.autolimits)? {
                return Err(a.error("range", "tendon limits are not supported"));
            }
            for name in ["stiffness", "damping", "frictionloss", "armature"] {
                if a.partial(name, [0.0; 3])? != [0.0; 3] {
                    return Err(a.error(name, "tendons that carry force are not supported; set it to 0"));
                }
            }
            let mut wraps = Vec::new();
            for child in &e.children {
                if child.tag != "joint" {
                    return Err(child.error("a fixed tendon is made of <joint joint=… coef=…/>"));
                }
                let joint = Self::find(child, "joint", "joint", self.model.joints.iter().map(|j| j.name.as_str()))?;
                let text = child.raw("coef").unwrap_or("");
                let [coef] = schema::numbers(child, "coef", text, 1)?[..] else {
                    return Err(child.error("needs a number `coef`"));
                };
                wraps.push((joint, coef));
            }
            self.model.tendons.push(FixedTendon { name: a.name(), wraps });
        }
        Ok(())
    }
}

/// Gain and bias, if they are of a kind that is honoured.
fn supported(a: &Attrs<'_>, kind: ActuatorKind, gains: &Gains) -> Result<(f64, [f64; 3]), ModelError> {
    let name = |general: &'static str, shortcut: &'static str| match kind {
        ActuatorKind::General => general,
        _ => shortcut,
    };
    if gains.dyn_type != "none" {
        let message = format!("dynamics `{}` are not supported: actuators have no state of their own", gains.dyn_type);
        return Err(a.error(name("dyntype", "timeconst"), message));
    }
    if gains.gain_type != "fixed" {
        return Err(a.error("gaintype", format!("`{}` is not supported: the gain must be fixed", gains.gain_type)));
    }
    let bias = match gains.bias_type {
        "none" => [0.0; 3],
        "affine" => [gains.bias[0], gains.bias[1], gains.bias[2]],
        other => return Err(a.error("biastype", format!("`{other}` is not supported: expected none or affine"))),
    };
    if gains.is_servo() && bias[2] > 0.0 {
        let message = format!("a ratio of damping, {} here, is not supported: give `kv`", bias[2]);
        return Err(a.error(name("biasprm", "dampratio"), message));
    }
    Ok((gains.gain[0], bias))
}
