//! `<worldbody>`: bodies, joints, geoms, sites.

use crate::attrs::Attrs;
use crate::error::ModelError;
use crate::inertia::{Piece, assemble, piece, principal};
use crate::model::*;
use crate::reader::{InertiaFromGeom, Reader};
use crate::rotation::{IDENTITY, difference, from_z, norm, orientation, scaled, sum};
use crate::xml::Element;

pub(crate) const DEFAULT_SOLREF: [f64; 2] = [0.02, 1.0];
pub(crate) const DEFAULT_SOLIMP: [f64; 5] = [0.9, 0.95, 0.001, 0.5, 2.0];

/// Most degrees of freedom.
const MAX_DOFS: usize = 500;

/// Elements without physics that may stand among bodies.
const IGNORED: [&str; 2] = ["camera", "light"];

impl Reader {
    /// Reads a body (or the world) with everything below it.
    pub(crate) fn body(
        &mut self,
        element: &Element,
        parent: usize,
        childclass: Option<&str>,
    ) -> Result<(), ModelError> {
        let a = Attrs::plain(element)?;
        let world = element.tag == "worldbody";
        if a.flag("mocap", false)? {
            return Err(a.error("mocap", "mocap bodies are not supported"));
        }
        a.refuse("sleep", &["auto", "allowed", "init"], "bodies do not sleep here")?;
        let index = self.model.bodies.len();
        let childclass = element.raw("childclass").or(childclass);
        if let Some(class) = element.raw("childclass") {
            self.defaults.class(element, "childclass", class)?;
        }
        let joints: Vec<&Element> =
            element.children.iter().filter(|c| c.tag == "joint" || c.tag == "freejoint").collect();
        if world && !joints.is_empty() {
            return Err(joints[0].error("the world cannot have joints"));
        }
        let (joint0, dof0, geom0) = (self.model.joints.len(), self.model.dofs.len(), self.model.geoms.len());
        let moving = !joints.is_empty();
        let (weld, root) = match (world, moving, parent) {
            (true, _, _) => (0, 0),
            (_, true, 0) => (index, index),
            (_, true, p) => (index, if self.model.bodies[p].root == 0 { index } else { self.model.bodies[p].root }),
            (_, false, 0) => (0, index),
            (_, false, p) => (self.model.bodies[p].weld, self.model.bodies[p].root),
        };
        self.count("body", element, self.model.bodies.len())?;
        self.model.bodies.push(Body {
            name: if world { "world".into() } else { a.name() },
            parent,
            weld,
            root,
            pos: a.array("pos")?.unwrap_or([0.0; 3]),
            quat: orientation(&a, self.angles)?,
            mass: 0.0,
            ipos: [0.0; 3],
            iquat: IDENTITY,
            inertia: [0.0; 3],
            gravcomp: a.number("gravcomp", 0.0)?,
            joints: 0..0,
            dofs: 0..0,
            geoms: 0..0,
        });
        for joint in joints {
            self.joint(joint, index, parent, dof0, childclass)?;
        }
        let mut pieces = Vec::new();
        let mut inertial = None;
        for child in &element.children {
            match child.tag.as_str() {
                "geom" => pieces.push(self.geom(child, index, childclass)?),
                "site" => self.site(child, index, childclass)?,
                "inertial" if !world => inertial = Some(self.inertial(child)?),
                "body" | "joint" | "freejoint" => {}
                // only drawn, but read as far as the attributes
                tag if IGNORED.contains(&tag) => drop(Attrs::classed(child, &self.defaults, childclass)?),
                _ => {
                    return Err(child
                        .error("this element is not supported here")
                        .with_hint("supported: body, joint, freejoint, geom, site, inertial, camera, light"));
                }
            }
        }
        let body = &mut self.model.bodies[index];
        body.joints = joint0..self.model.joints.len();
        body.dofs = dof0..self.model.dofs.len();
        body.geoms = geom0..self.model.geoms.len();
        if !world {
            match (inertial, self.inertia_from_geom) {
                (Some(p), InertiaFromGeom::Auto | InertiaFromGeom::Never) => {
                    (body.mass, body.ipos, body.iquat, body.inertia) = (p.mass, p.pos, p.quat, p.inertia);
                }
                (None, InertiaFromGeom::Never) => {}
                (_, _) => assemble(body, &pieces),
            }
            self.bound_inertia(index, element)?;
        }
        for child in element.children.iter().filter(|c| c.tag == "body") {
            self.body(child, index, childclass)?;
        }
        Ok(())
    }

    /// `boundmass`, `boundinertia`, the triangle inequality.
    fn bound_inertia(&mut self, index: usize, element: &Element) -> Result<(), ModelError> {
        let body = &mut self.model.bodies[index];
        body.mass = body.mass.max(self.bound_mass);
        body.inertia = body.inertia.map(|v| v.max(self.bound_inertia));
        if !body.ipos.iter().chain(&body.iquat).chain(&body.inertia).chain([&body.mass]).all(|v| v.is_finite()) {
            return Err(element.error("mass or inertia is not a finite number: check sizes, positions and density"));
        }
        let [a, b, c] = body.inertia;
        let bad = a + b < c * (1.0 - 1e-9) || a + c < b * (1.0 - 1e-9) || b + c < a * (1.0 - 1e-9);
        if bad && self.balance_inertia {
            body.inertia = [(a + b + c) / 3.0; 3];
        } else if bad {
            let message =
                format!("moments of inertia {a}, {b}, {c} break the triangle inequality: no body has such moments");
            return Err(element
                .error(message)
                .with_hint("correct the inertia, or set <compiler balanceinertia=\"true\"/>"));
        }
        Ok(())
    }

    fn inertial(&self, element: &Element) -> Result<Piece, ModelError> {
        let a = Attrs::plain(element)?;
        let Some([mass]) = a.array::<1>("mass")? else { return Err(element.error("needs a `mass`")) };
        let Some(pos) = a.array("pos")? else { return Err(element.error("needs a `pos`")) };
        if mass < 0.0 {
            return Err(a.error("mass", format!("{mass} is negative")));
        }
        let mut quat = orientation(&a, self.angles)?;
        let inertia = match (a.array::<3>("diaginertia")?, a.array::<6>("fullinertia")?) {
            (Some(d), None) => d,
            (None, Some([xx, yy, zz, xy, xz, yz])) => {
                let (d, q) = principal([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]);
                quat = crate::rotation::multiply(quat, q);
                d
            }
            _ => return Err(element.error("needs either `diaginertia` or `fullinertia`")),
        };
        if inertia.iter().any(|&v| v < 0.0) {
            return Err(element.error("a moment of inertia is negative"));
        }
        Ok(Piece { mass, pos, quat, inertia })
    }

    fn joint(
        &mut self,
        element: &Element,
        body: usize,
        parent: usize,
        dof0: usize,
        childclass: Option<&str>,
    ) -> Result<(), ModelError> {
        let free_element = element.tag == "freejoint";
        let a =
            if free_element { Attrs::plain(element)? } else { Attrs::classed(element, &self.defaults, childclass)? };
        let kinds = [
            ("free", JointKind::Free),
            ("ball", JointKind::Ball),
            ("slide", JointKind::Slide),
            ("hinge", JointKind::Hinge),
        ];
        let kind = if free_element { JointKind::Free } else { a.choice("type", JointKind::Hinge, &kinds)? };
        self.count("joint", element, self.model.joints.len())?;
        if kind == JointKind::Free && parent != 0 {
            return Err(element.error("a free joint belongs to a child of the world"));
        }
        let others = self.model.dofs.len() - dof0;
        let has_free = self.model.joints.iter().any(|j| j.body == body && j.kind == JointKind::Free);
        if has_free || (kind == JointKind::Free && others > 0) {
            return Err(element.error("a free joint must be the only joint of its body"));
        }
        a.refuse("springdamper", &["0 0"], "give stiffness and damping instead")?;
        a.refuse("actuatorgravcomp", &["false"], "gravity compensation through actuators is not there")?;
        if free_element {
            a.refuse("align", &["false", "auto"], "the free frame stays where the body frame is")?;
        }
        let angle = if matches!(kind, JointKind::Hinge | JointKind::Ball) { self.angles.unit } else { 1.0 };
        let axis: Vec3 = a.array("axis")?.unwrap_or([0.0, 0.0, 1.0]);
        let directed = matches!(kind, JointKind::Hinge | JointKind::Slide);
        if directed && norm(axis) < 1e-15 {
            return Err(a.error("axis", "has length zero"));
        }
        let limited = kind != JointKind::Free && a.limited("limited", "range", self.autolimits)?;
        // a range that is not enforced stays in the file's unit, as in MuJoCo
        let range = a.array::<2>("range")?.unwrap_or([0.0; 2]).map(|v| if limited { v * angle } else { v });
        if limited && kind == JointKind::Ball && range[0] != 0.0 {
            return Err(a.error("range", "of a ball joint must start at 0"));
        }
        // a ball may be held where it is
        let held = kind == JointKind::Ball && range[1] == 0.0;
        if limited && range[0] >= range[1] && !held {
            return Err(a.error("range", "the lower limit must be below the upper"));
        }
        let clamped = a.limited("actuatorfrclimited", "actuatorfrcrange", self.autolimits)?;
        let actfrcrange = a.array::<2>("actuatorfrcrange")?.unwrap_or([0.0; 2]);
        if clamped && directed && actfrcrange[0] >= actfrcrange[1] {
            return Err(a.error("actuatorfrcrange", "the lower limit must be below the upper"));
        }
        let reference = a.number("ref", 0.0)? * angle;
        let spring = a.number("springref", 0.0)? * angle;
        let joint = self.model.joints.len();
        let (qposadr, dofadr) = (self.model.qpos0.len(), self.model.dofs.len());
        let unit_axis = if directed { scaled(axis, 1.0 / norm(axis)) } else { [0.0, 0.0, 1.0] };
        let (stiffness, damping) = (a.linear("stiffness")?, a.linear("damping")?);
        for (name, value) in [
            ("stiffness", stiffness),
            ("damping", damping),
            ("armature", a.number("armature", 0.0)?),
            ("frictionloss", a.number("frictionloss", 0.0)?),
        ] {
            if value < 0.0 {
                return Err(a.error(name, format!("{value} is negative")));
            }
        }
        self.model.joints.push(Joint {
            name: a.name(),
            kind,
            body,
            qposadr,
            dofadr,
            pos: if kind == JointKind::Free { [0.0; 3] } else { a.array("pos")?.unwrap_or([0.0; 3]) },
            axis: unit_axis,
            limited,
            range,
            margin: a.number("margin", 0.0)?,
            solref_limit: a.partial("solreflimit", DEFAULT_SOLREF)?,
            solimp_limit: a.partial("solimplimit", DEFAULT_SOLIMP)?,
            stiffness,
            actfrcrange: (clamped && directed).then_some(actfrcrange),
        });
        let b = &self.model.bodies[body];
        match kind {
            JointKind::Free => {
                let pose: Vec<f64> = b.pos.into_iter().chain(b.quat).collect();
                self.model.qpos0.extend(&pose);
                self.model.qpos_spring.extend(&pose);
            }
            JointKind::Ball => {
                self.model.qpos0.extend(IDENTITY);
                self.model.qpos_spring.extend(IDENTITY);
            }
            JointKind::Slide | JointKind::Hinge => {
                self.model.qpos0.push(reference);
                self.model.qpos_spring.push(spring);
            }
        }
        let count = match kind {
            JointKind::Free => 6,
            JointKind::Ball => 3,
            _ => 1,
        };
        if self.model.dofs.len() + count > MAX_DOFS {
            return Err(element.error(format!("more than {MAX_DOFS} degrees of freedom: the mass matrix is dense")));
        }
        for _ in 0..count {
            let dof = self.model.dofs.len();
            let parent_dof = if dof > dof0 { Some(dof - 1) } else { self.last_dof(parent) };
            self.model.dofs.push(Dof {
                body,
                joint,
                parent: parent_dof,
                armature: a.number("armature", 0.0)?,
                damping,
                frictionloss: a.number("frictionloss", 0.0)?,
                solref_friction: a.partial("solreffriction", DEFAULT_SOLREF)?,
                solimp_friction: a.partial("solimpfriction", DEFAULT_SOLIMP)?,
            });
        }
        Ok(())
    }

    /// Last dof of the nearest body at or above `body` that has any.
    fn last_dof(&self, mut body: usize) -> Option<usize> {
        while body != 0 {
            if let Some(last) = self.model.bodies[body].dofs.clone().last() {
                return Some(last);
            }
            body = self.model.bodies[body].parent;
        }
        None
    }

    fn geom(&mut self, element: &Element, body: usize, childclass: Option<&str>) -> Result<Piece, ModelError> {
        let a = Attrs::classed(element, &self.defaults, childclass)?;
        let kinds = [
            ("plane", GeomKind::Plane),
            ("sphere", GeomKind::Sphere),
            ("capsule", GeomKind::Capsule),
            ("cylinder", GeomKind::Cylinder),
            ("box", GeomKind::Box),
        ];
        let kind = a.choice("type", GeomKind::Sphere, &kinds)?;
        self.count("geom", element, self.model.geoms.len())?;
        a.refuse("mesh", &[], "meshes are not read yet; use capsules, spheres and boxes")?;
        a.refuse("hfield", &[], "height fields are not read yet")?;
        a.refuse("shellinertia", &["false"], "inertia is that of the solid")?;
        a.refuse("fluidshape", &["none"], "there are no fluid forces")?;
        let mut size: Vec3 = a.partial("size", [0.0; 3])?;
        let (mut pos, mut quat) = (a.array("pos")?.unwrap_or([0.0; 3]), orientation(&a, self.angles)?);
        if let Some([x0, y0, z0, x1, y1, z1]) = a.array::<6>("fromto")? {
            let (from, to) = ([x0, y0, z0], [x1, y1, z1]);
            let span = difference(from, to);
            if !matches!(kind, GeomKind::Capsule | GeomKind::Cylinder | GeomKind::Box) {
                return Err(a.error("fromto", "only capsules, cylinders and boxes can be given by two ends"));
            }
            if norm(span) < 1e-15 {
                return Err(a.error("fromto", "the two ends are the same point"));
            }
            not_placed(&a, pos)?;
            let half = 0.5 * norm(span);
            match kind {
                GeomKind::Box => size = [size[0], size[0], half],
                _ => size[1] = half,
            }
            pos = scaled(sum(from, to), 0.5);
            quat = from_z(span);
        }
        let needed = match kind {
            GeomKind::Plane => 0,
            GeomKind::Sphere => 1,
            GeomKind::Capsule | GeomKind::Cylinder => 2,
            GeomKind::Box => 3,
        };
        for (k, v) in size.iter().enumerate().take(needed) {
            if *v <= 0.0 {
                return Err(a.error("size", format!("number {} must be positive, found {v}", k + 1)));
            }
        }
        if kind == GeomKind::Plane && body != 0 && self.model.bodies[body].weld != 0 {
            return Err(element.error("a plane must be fixed to the world"));
        }
        let condim = a.integer("condim", 3, 1..=6)?;
        if ![1, 3, 4, 6].contains(&condim) {
            return Err(a.error("condim", format!("{condim} is not 1, 3, 4 or 6")));
        }
        let rbound = match kind {
            GeomKind::Plane => 0.0,
            GeomKind::Sphere => size[0],
            GeomKind::Capsule => size[0] + size[1],
            GeomKind::Cylinder => size[0].hypot(size[1]),
            GeomKind::Box => norm(size),
        };
        let material = a.text("material").and_then(|m| self.materials.get(m)).copied();
        let geom = Geom {
            name: a.name(),
            kind,
            body,
            pos,
            quat,
            size,
            contype: a.integer("contype", 1, 0..=i64::from(u32::MAX))? as u32,
            conaffinity: a.integer("conaffinity", 1, 0..=i64::from(u32::MAX))? as u32,
            condim: condim as u8,
            priority: a.integer("priority", 0, -1_000_000..=1_000_000)? as i32,
            friction: a.partial("friction", [1.0, 0.005, 0.0001])?,
            solmix: a.number("solmix", 1.0)?,
            solref: a.partial("solref", DEFAULT_SOLREF)?,
            solimp: a.partial("solimp", DEFAULT_SOLIMP)?,
            margin: a.number("margin", 0.0)?,
            gap: a.number("gap", 0.0)?,
            group: a.integer("group", 0, -1000..=1000)? as i32,
            rgba: match (a.array::<4>("rgba")?, material) {
                (Some(c), _) => c.map(|v| v as f32),
                (None, Some(c)) => c,
                (None, None) => [0.5, 0.5, 0.5, 1.0],
            },
            rbound,
        };
        let mass = a.array::<1>("mass")?.map(|v| v[0]);
        let density = a.number("density", 1000.0)?;
        for (name, value) in [("mass", mass.unwrap_or(0.0)), ("density", density)] {
            if value < 0.0 {
                return Err(a.error(name, format!("{value} is negative")));
            }
        }
        let piece = piece(&geom, if kind == GeomKind::Plane { Some(0.0) } else { mass }, density);
        self.model.geoms.push(geom);
        self.geom_places.push((element.file.clone(), element.line));
        Ok(piece)
    }

    fn site(&mut self, element: &Element, body: usize, childclass: Option<&str>) -> Result<(), ModelError> {
        let a = Attrs::classed(element, &self.defaults, childclass)?;
        self.count("site", element, self.model.sites.len())?;
        let kind = a.text("type").unwrap_or("sphere");
        let (mut pos, mut quat) = (a.array("pos")?.unwrap_or([0.0; 3]), orientation(&a, self.angles)?);
        let mut size = a.partial("size", [0.005; 3])?;
        if let Some([x0, y0, z0, x1, y1, z1]) = a.array::<6>("fromto")? {
            let (from, to) = ([x0, y0, z0], [x1, y1, z1]);
            let half = 0.5 * norm(difference(from, to));
            match kind {
                _ if half < 1e-15 => return Err(a.error("fromto", "the two ends are the same point")),
                "capsule" | "cylinder" => size[1] = half,
                "box" | "ellipsoid" => size = [size[0], size[0], half],
                _ => {
                    let message = "only capsules, cylinders, boxes and ellipsoids can be given by two ends";
                    return Err(a.error("fromto", message));
                }
            }
            not_placed(&a, pos)?;
            pos = scaled(sum(from, to), 0.5);
            quat = from_z(difference(from, to));
        }
        self.round_sites.push(kind == "sphere");
        self.model.sites.push(Site { name: a.name(), body, pos, quat, size });
        Ok(())
    }
}

/// Refuses a position beside two ends, which say where the shape is.
fn not_placed(a: &Attrs<'_>, pos: Vec3) -> Result<(), ModelError> {
    match pos == [0.0; 3] {
        true => Ok(()),
        false => Err(a.error("pos", "`fromto` is given too, and says where the shape is: give one of them")),
    }
}
