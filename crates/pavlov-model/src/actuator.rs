//! `<actuator>` and `<tendon>`.

use crate::attrs::Attrs;
use crate::error::ModelError;
use crate::model::*;
use crate::reader::Reader;
use crate::xml::Element;

impl Reader {
    /// Reads the actuators of a section.
    pub(crate) fn actuators(&mut self, section: &Element) -> Result<(), ModelError> {
        for e in &section.children {
            let kind = match e.tag.as_str() {
                "motor" => ActuatorKind::Motor,
                "position" => ActuatorKind::Position,
                "velocity" => ActuatorKind::Velocity,
                "general" => ActuatorKind::General,
                _ => {
                    let error = e.error("this kind of actuator is not supported");
                    return Err(error.with_hint("supported: motor, position, velocity, general"));
                }
            };
            self.count("actuator", e, self.model.actuators.len())?;
            let actuator = self.actuator(e, kind)?;
            self.model.actuators.push(actuator);
        }
        Ok(())
    }

    fn actuator(&self, e: &Element, kind: ActuatorKind) -> Result<Actuator, ModelError> {
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
        for name in ["timeconst", "delay", "nsample"] {
            a.refuse(name, &["0"], "actuators have no state of their own")?;
        }
        a.refuse("dyntype", &["none"], "actuators have no state of their own")?;
        a.refuse("actlimited", &["false", "auto"], "actuators have no state of their own")?;
        let gear: [f64; 6] = a.partial("gear", [1.0, 0.0, 0.0, 0.0, 0.0, 0.0])?;
        if gear[1..].iter().any(|&v| v != 0.0) {
            return Err(a.error("gear", "a joint with one dof has one gear number"));
        }
        let (gain, bias) = match kind {
            ActuatorKind::Motor => (1.0, [0.0; 3]),
            ActuatorKind::Position => {
                if a.has("dampratio") {
                    return Err(a.error("dampratio", "is not supported: give `kv`"));
                }
                let (kp, kv) = (a.number("kp", 1.0)?, a.number("kv", 0.0)?);
                (kp, [0.0, -kp, -kv])
            }
            ActuatorKind::Velocity => {
                let kv = a.number("kv", 1.0)?;
                (kv, [0.0, 0.0, -kv])
            }
            ActuatorKind::General => {
                a.refuse("gaintype", &["fixed"], "the gain must be fixed")?;
                let gain: [f64; 10] = a.partial("gainprm", [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])?;
                let affine = a.choice("biastype", false, &[("none", false), ("affine", true)])?;
                let bias: [f64; 10] = a.partial("biasprm", [0.0; 10])?;
                (gain[0], if affine { [bias[0], bias[1], bias[2]] } else { [0.0; 3] })
            }
        };
        let mut ctrlrange = self.range(&a, "ctrllimited", "ctrlrange")?;
        let inherit = a.number("inheritrange", 0.0)?;
        if inherit > 0.0 {
            let j = &self.model.joints[joint];
            if kind != ActuatorKind::Position || !j.limited {
                return Err(a.error("inheritrange", "needs a position actuator on a limited joint"));
            }
            let (mid, half) = (0.5 * (j.range[0] + j.range[1]), 0.5 * (j.range[1] - j.range[0]) * inherit);
            ctrlrange = Some([mid - half, mid + half]);
        }
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
                if a.number(name, 0.0)? != 0.0 {
                    return Err(a.error(name, "tendons that carry force are not supported; set it to 0"));
                }
            }
            let mut wraps = Vec::new();
            for child in &e.children {
                if child.tag != "joint" {
                    return Err(child.error("a fixed tendon is made of <joint joint=… coef=…/>"));
                }
                let joint = Self::find(child, "joint", "joint", self.model.joints.iter().map(|j| j.name.as_str()))?;
                let coef = child.raw("coef").and_then(|c| c.trim().parse::<f64>().ok()).filter(|c| c.is_finite());
                let Some(coef) = coef else { return Err(child.error("needs a number `coef`")) };
                wraps.push((joint, coef));
            }
            self.model.tendons.push(FixedTendon { name: a.name(), wraps });
        }
        Ok(())
    }
}
