//! A model in words: what `pavlov inspect` prints.

use crate::model::{JointKind, Model};
use serde::Serialize;
use std::fmt;

/// One body of the tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BodyRow {
    /// Name, or empty.
    pub name: String,
    /// Distance from the world.
    pub depth: usize,
    /// kg.
    pub mass: f64,
    /// Joints as `name: kind [range]`.
    pub joints: Vec<String>,
    /// Geoms as `name: kind`.
    pub geoms: Vec<String>,
}

/// Summary of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Name of the model.
    pub name: String,
    /// Numbers of coordinates, dofs and actuators.
    pub nq: usize,
    /// Degrees of freedom.
    pub nv: usize,
    /// Actuators.
    pub nu: usize,
    /// kg.
    pub total_mass: f64,
    /// s.
    pub timestep: f64,
    /// Integrator.
    pub integrator: String,
    /// Friction cone.
    pub cone: String,
    /// The tree, depth first.
    pub bodies: Vec<BodyRow>,
    /// Actuators as `name: kind -> joint, gear, range`.
    pub actuators: Vec<String>,
    /// Sensors as `name: kind`.
    pub sensors: Vec<String>,
    /// Candidate contact pairs as `geom - geom (condim)`.
    pub contact_pairs: Vec<String>,
    /// Warnings of the reader.
    pub warnings: Vec<String>,
}

fn or_number(name: &str, kind: &str, index: usize) -> String {
    if name.is_empty() { format!("{kind}{index}") } else { name.to_string() }
}

/// Summarises a model.
pub fn describe(model: &Model) -> Description {
    let mut depths = vec![0; model.bodies.len()];
    let bodies = model
        .bodies
        .iter()
        .enumerate()
        .map(|(i, b)| {
            depths[i] = if i == 0 { 0 } else { depths[b.parent] + 1 };
            let joints = model.joints[b.joints.clone()].iter().zip(b.joints.clone()).map(|(j, n)| {
                let unit = if j.kind == JointKind::Slide { "m" } else { "rad" };
                let range =
                    if j.limited { format!(" [{:.3}, {:.3}] {unit}", j.range[0], j.range[1]) } else { String::new() };
                format!("{}: {:?}{range}", or_number(&j.name, "joint", n), j.kind).to_string()
            });
            let geoms = model.geoms[b.geoms.clone()].iter().zip(b.geoms.clone());
            BodyRow {
                name: or_number(&b.name, "body", i),
                depth: depths[i],
                mass: b.mass,
                joints: joints.collect(),
                geoms: geoms.map(|(g, n)| format!("{}: {:?}", or_number(&g.name, "geom", n), g.kind)).collect(),
            }
        })
        .collect();
    let geom = |i: usize| or_number(&model.geoms[i].name, "geom", i);
    Description {
        name: model.name.clone(),
        nq: model.nq(),
        nv: model.nv(),
        nu: model.nu(),
        total_mass: model.bodies.iter().map(|b| b.mass).sum(),
        timestep: model.opt.timestep,
        integrator: format!("{:?}", model.opt.integrator),
        cone: format!("{:?}", model.opt.cone),
        bodies,
        actuators: model
            .actuators
            .iter()
            .enumerate()
            .map(|(i, a)| {
                let joint = or_number(&model.joints[a.joint].name, "joint", a.joint);
                let range = a.ctrlrange.map(|[l, h]| format!(", ctrl [{l}, {h}]")).unwrap_or_default();
                format!("{}: {:?} -> {joint}, gear {}{range}", or_number(&a.name, "actuator", i), a.kind, a.gear)
            })
            .collect(),
        sensors: model
            .sensors
            .iter()
            .enumerate()
            .map(|(i, s)| format!("{}: {:?}", or_number(&s.name, "sensor", i), s.kind))
            .collect(),
        contact_pairs: model
            .pairs
            .iter()
            .map(|p| format!("{} - {} (condim {})", geom(p.geom1), geom(p.geom2), p.condim))
            .collect(),
        warnings: model.warnings.clone(),
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: nq {}, nv {}, nu {}, {:.3} kg; step {} s, {}, {} cone",
            self.name, self.nq, self.nv, self.nu, self.total_mass, self.timestep, self.integrator, self.cone
        )?;
        for b in &self.bodies {
            write!(f, "{:indent$}{}", "", b.name, indent = 2 * b.depth)?;
            if b.mass > 0.0 {
                write!(f, "  {:.4} kg", b.mass)?;
            }
            if !b.joints.is_empty() {
                write!(f, "  | {}", b.joints.join(", "))?;
            }
            if !b.geoms.is_empty() {
                write!(f, "  | {}", b.geoms.join(", "))?;
            }
            writeln!(f)?;
        }
        for (title, rows) in [
            ("actuators", &self.actuators),
            ("sensors", &self.sensors),
            ("contact pairs", &self.contact_pairs),
            ("warnings", &self.warnings),
        ] {
            if !rows.is_empty() {
                writeln!(f, "{title} ({}):", rows.len())?;
                for row in rows {
                    writeln!(f, "  {row}")?;
                }
            }
        }
        Ok(())
    }
}
