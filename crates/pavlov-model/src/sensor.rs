//! `<sensor>`.

use crate::error::ModelError;
use crate::model::*;
use crate::reader::Reader;
use crate::xml::Element;

impl Reader {
    /// Reads the sensors of a section.
    pub(crate) fn sensors(&mut self, section: &Element) -> Result<(), ModelError> {
        for e in &section.children {
            for name in ["noise", "cutoff", "delay", "interval", "nsample"] {
                let idle = e.raw(name).is_none_or(|v| v.split_whitespace().all(|w| w.parse() == Ok(0.0)));
                if name != "noise" && !idle {
                    return Err(e.attribute_error(name, "is not supported; give noise and delay in the task"));
                }
            }
            if e.raw("reftype").is_some() || e.raw("refname").is_some() {
                return Err(
                    e.attribute_error("refname", "sensors measure in world axes; a reference frame is not supported")
                );
            }
            let (kind, object, dim) = self.sensor_kind(e)?;
            self.count("sensor", e, self.model.sensors.len())?;
            self.model.sensors.push(Sensor { name: e.raw("name").unwrap_or("").into(), kind, object, dim });
        }
        Ok(())
    }

    fn sensor_kind(&self, e: &Element) -> Result<(SensorKind, usize, usize), ModelError> {
        let m = &self.model;
        let sites = || m.sites.iter().map(|x| x.name.as_str());
        let bodies = || m.bodies.iter().map(|x| x.name.as_str());
        let joints = || m.joints.iter().map(|x| x.name.as_str());
        let geoms = || m.geoms.iter().map(|x| x.name.as_str());
        let actuators = || m.actuators.iter().map(|x| x.name.as_str());
        let site = |kind, dim| Self::find(e, "site", "site", sites()).map(|i| (kind, i, dim));
        let scalar_joint = |kind| {
            let j = Self::find(e, "joint", "joint", joints())?;
            match m.joints[j].kind {
                JointKind::Hinge | JointKind::Slide => Ok((kind, j, 1)),
                _ => Err(e.attribute_error("joint", "must be a hinge or a slide")),
            }
        };
        let frame = |kind: fn(FrameObject) -> SensorKind, dim| {
            let at = |object, index: Result<usize, ModelError>| index.map(|i| (kind(object), i, dim));
            match e.raw("objtype") {
                Some("body") => at(FrameObject::Body, Self::find(e, "objname", "body", bodies())),
                Some("xbody") => at(FrameObject::XBody, Self::find(e, "objname", "body", bodies())),
                Some("geom") => at(FrameObject::Geom, Self::find(e, "objname", "geom", geoms())),
                Some("site") => at(FrameObject::Site, Self::find(e, "objname", "site", sites())),
                _ => Err(e.attribute_error("objtype", "expected body, xbody, geom or site")),
            }
        };
        match e.tag.as_str() {
            "accelerometer" => site(SensorKind::Accelerometer, 3),
            "gyro" => site(SensorKind::Gyro, 3),
            "velocimeter" => site(SensorKind::Velocimeter, 3),
            "touch" => site(SensorKind::Touch, 1).and_then(|found| match self.round_sites[found.1] {
                true => Ok(found),
                false => {
                    Err(e.attribute_error("site", "touch is measured within a sphere: give the site type=\"sphere\""))
                }
            }),
            "jointpos" => scalar_joint(SensorKind::JointPos),
            "jointvel" => scalar_joint(SensorKind::JointVel),
            "actuatorfrc" => {
                Self::find(e, "actuator", "actuator", actuators()).map(|i| (SensorKind::ActuatorFrc, i, 1))
            }
            "framepos" => frame(SensorKind::FramePos, 3),
            "framequat" => frame(SensorKind::FrameQuat, 4),
            "framelinvel" => frame(SensorKind::FrameLinVel, 3),
            "frameangvel" => frame(SensorKind::FrameAngVel, 3),
            "framezaxis" => frame(SensorKind::FrameZAxis, 3),
            "subtreecom" => Self::find(e, "body", "body", bodies()).map(|i| (SensorKind::SubtreeCom, i, 3)),
            "subtreelinvel" => Self::find(e, "body", "body", bodies()).map(|i| (SensorKind::SubtreeLinVel, i, 3)),
            _ => Err(e.error("this kind of sensor is not supported").with_hint(
                "supported: accelerometer, gyro, velocimeter, touch, jointpos, jointvel, actuatorfrc, framepos, \
                 framequat, framelinvel, frameangvel, framezaxis, subtreecom, subtreelinvel",
            )),
        }
    }
}
