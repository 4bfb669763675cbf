//! `<mujoco>`: compiler, options, defaults, and the order in which sections are read.
//!
//! Anything that carries physics and is not honoured is an error; what is accepted without effect (lights, cameras,
//! textures, display settings) is listed here.

use crate::attrs::{Attrs, Defaults};
use crate::error::{ModelError, did_you_mean};
use crate::model::*;
use crate::rotation::Angles;
use crate::xml::{Element, parse_text, read_file};
use std::collections::HashMap;
use std::path::Path;

/// Where a body's inertia comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InertiaFromGeom {
    Never,
    Always,
    Auto,
}

/// Reading state: the model so far and the settings that shape it.
pub(crate) struct Reader {
    pub(crate) model: Model,
    pub(crate) defaults: Defaults,
    pub(crate) angles: Angles,
    pub(crate) autolimits: bool,
    pub(crate) inertia_from_geom: InertiaFromGeom,
    pub(crate) bound_mass: f64,
    pub(crate) bound_inertia: f64,
    pub(crate) balance_inertia: bool,
    pub(crate) materials: HashMap<String, [f32; 4]>,
    pub(crate) filter_parent: bool,
    clamp_ctrl: bool,
    total_mass: f64,
}

/// Reads and compiles an MJCF file.
pub fn load_mjcf(path: &Path) -> Result<Model, ModelError> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    compile(&read_file(path)?, &stem)
}

/// Reads and compiles MJCF text; `file_name` is what errors call it. `<include>` needs [`load_mjcf`].
pub fn parse_mjcf(text: &str, file_name: &str) -> Result<Model, ModelError> {
    compile(&parse_text(text, file_name)?, file_name)
}

fn compile(root: &Element, stem: &str) -> Result<Model, ModelError> {
    if root.tag != "mujoco" {
        return Err(root.error("the outermost element must be <mujoco>"));
    }
    let mut r = Reader::new(root.raw("model").unwrap_or(stem));
    let sections = |tag: &'static str| root.children.iter().filter(move |c| c.tag == tag);
    for child in &root.children {
        section_known(child)?;
    }
    for e in sections("compiler") {
        r.compiler(e)?;
    }
    for e in sections("option") {
        r.option(e)?;
    }
    for e in sections("default") {
        r.defaults.read(e, None)?;
    }
    for material in sections("asset").flat_map(|e| &e.children).filter(|e| e.tag == "material") {
        let rgba: Vec<f32> =
            material.raw("rgba").unwrap_or("").split_whitespace().filter_map(|v| v.parse().ok()).collect();
        if let (Some(name), Ok(rgba)) = (material.raw("name"), rgba.try_into()) {
            r.materials.insert(name.to_string(), rgba);
        }
    }
    let worlds: Vec<&Element> = sections("worldbody").collect();
    match worlds[..] {
        [] => return Err(root.error("has no <worldbody>")),
        [world] => r.body(world, 0, None)?,
        [_, second, ..] => {
            return Err(second.error("a second <worldbody>: put all bodies into one"));
        }
    }
    r.scale_total_mass();
    for e in sections("tendon") {
        r.tendons(e)?;
    }
    for e in sections("actuator") {
        r.actuators(e)?;
    }
    r.pairs(sections("contact"))?;
    for e in sections("sensor") {
        r.sensors(e)?;
    }
    for key in sections("keyframe").flat_map(|e| &e.children) {
        r.key(key)?;
    }
    if !r.clamp_ctrl {
        r.model.actuators.iter_mut().for_each(|a| a.ctrlrange = None);
    }
    Ok(r.model)
}

/// Sections that are read, that may be there without effect, and that are refused.
fn section_known(e: &Element) -> Result<(), ModelError> {
    const READ: [&str; 10] =
        ["compiler", "option", "default", "asset", "worldbody", "tendon", "actuator", "contact", "sensor", "keyframe"];
    const WITHOUT_EFFECT: [&str; 4] = ["custom", "size", "statistic", "visual"];
    const REFUSED: [(&str, &str); 4] = [
        ("equality", "equality constraints are not there yet"),
        ("deformable", "deformables are not there"),
        ("extension", "engine plugins are not there"),
        ("skin", "skins are not there"),
    ];
    let tag = e.tag.as_str();
    if READ.contains(&tag) || WITHOUT_EFFECT.contains(&tag) {
        return Ok(());
    }
    if let Some((_, why)) = REFUSED.iter().find(|(t, _)| *t == tag) {
        return if e.children.is_empty() { Ok(()) } else { Err(e.children[0].error(*why)) };
    }
    let error = e.error("unknown section");
    Err(error.with_hint(did_you_mean(tag, READ)))
}

impl Reader {
    fn new(name: &str) -> Self {
        let opt = Options {
            timestep: 0.002,
            gravity: [0.0, 0.0, -9.81],
            integrator: Integrator::Euler,
            cone: Cone::Pyramidal,
            solver: Solver::Newton,
            iterations: 100,
            ls_iterations: 50,
            tolerance: 1e-8,
            ls_tolerance: 0.01,
            impratio: 1.0,
            eulerdamp: true,
            refsafe: true,
            contact: true,
            limit: true,
            frictionloss: true,
            warmstart: true,
        };
        Self {
            model: Model {
                name: name.to_string(),
                opt,
                bodies: vec![],
                joints: vec![],
                dofs: vec![],
                geoms: vec![],
                sites: vec![],
                actuators: vec![],
                tendons: vec![],
                sensors: vec![],
                pairs: vec![],
                qpos0: vec![],
                qpos_spring: vec![],
                keyframes: vec![],
                warnings: vec![],
            },
            defaults: Defaults::default(),
            angles: Angles { unit: 1f64.to_radians(), sequence: ['x', 'y', 'z'] },
            autolimits: true,
            inertia_from_geom: InertiaFromGeom::Auto,
            bound_mass: 0.0,
            bound_inertia: 0.0,
            balance_inertia: false,
            materials: HashMap::new(),
            filter_parent: true,
            clamp_ctrl: true,
            total_mass: -1.0,
        }
    }

    /// Refuses a name that is taken.
    pub(crate) fn unique(&self, kind: &str, e: &Element, taken: &[&str]) -> Result<(), ModelError> {
        match e.raw("name") {
            Some(n) if !n.is_empty() && taken.contains(&n) => {
                Err(e.attribute_error("name", format!("there is already a {kind} called `{n}`")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses attributes outside a list.
    fn only(e: &Element, known: &[&str]) -> Result<(), ModelError> {
        for (name, _) in &e.attributes {
            if !known.contains(&name.as_str()) {
                let error = e.attribute_error(name, "unknown attribute");
                return Err(error.with_hint(did_you_mean(name, known.iter().copied())));
            }
        }
        Ok(())
    }

    fn compiler(&mut self, e: &Element) -> Result<(), ModelError> {
        Self::only(
            e,
            &[
                "angle",
                "coordinate",
                "inertiafromgeom",
                "settotalmass",
                "autolimits",
                "eulerseq",
                "balanceinertia",
                "boundmass",
                "boundinertia",
                "meshdir",
                "texturedir",
                "assetdir",
                "strippath",
                "discardvisual",
                "convexhull",
                "usethread",
                "fusestatic",
                "alignfree",
                "inertiagrouprange",
                "saveinertial",
                "fitaabb",
            ],
        )?;
        let a = Attrs::plain(e)?;
        a.refuse("coordinate", &["local"], "poses are relative to the parent")?;
        a.refuse("fusestatic", &["false"], "bodies stay as the file has them")?;
        a.refuse("alignfree", &["false"], "the free frame stays where the body frame is")?;
        a.refuse("inertiagrouprange", &["0 5"], "all geoms have mass")?;
        let unit = a.choice("angle", self.angles.unit, &[("degree", 1f64.to_radians()), ("radian", 1.0)])?;
        self.angles.unit = unit;
        if let Some(text) = a.text("eulerseq") {
            let letters: Vec<char> = text.chars().collect();
            if letters.len() != 3 || letters.iter().any(|c| !"xyzXYZ".contains(*c)) {
                return Err(a.error("eulerseq", format!("`{text}` is not three of x, y, z, X, Y, Z")));
            }
            self.angles.sequence = [letters[0], letters[1], letters[2]];
        }
        let ways =
            [("false", InertiaFromGeom::Never), ("true", InertiaFromGeom::Always), ("auto", InertiaFromGeom::Auto)];
        self.inertia_from_geom = a.choice("inertiafromgeom", self.inertia_from_geom, &ways)?;
        self.total_mass = a.number("settotalmass", self.total_mass)?;
        self.autolimits = a.flag("autolimits", self.autolimits)?;
        self.balance_inertia = a.flag("balanceinertia", self.balance_inertia)?;
        self.bound_mass = a.number("boundmass", self.bound_mass)?;
        self.bound_inertia = a.number("boundinertia", self.bound_inertia)?;
        Ok(())
    }

    fn option(&mut self, e: &Element) -> Result<(), ModelError> {
        const WITHOUT_EFFECT: [&str; 12] = [
            "apirate",
            "magnetic",
            "noslip_tolerance",
            "ccd_tolerance",
            "ccd_iterations",
            "sdf_iterations",
            "sdf_initpoints",
            "jacobian",
            "o_margin",
            "o_solref",
            "o_solimp",
            "o_friction",
        ];
        let mut names = vec![
            "timestep",
            "gravity",
            "integrator",
            "cone",
            "solver",
            "iterations",
            "ls_iterations",
            "tolerance",
            "ls_tolerance",
            "impratio",
            "wind",
            "density",
            "viscosity",
            "noslip_iterations",
            "actuatorgroupdisable",
            "sleep_tolerance",
        ];
        names.extend(WITHOUT_EFFECT);
        Self::only(e, &names)?;
        let a = Attrs::plain(e)?;
        for name in ["density", "viscosity"] {
            if a.number(name, 0.0)? != 0.0 {
                return Err(a.error(name, "there are no fluid forces; set it to 0"));
            }
        }
        a.refuse("noslip_iterations", &["0"], "there is no noslip pass")?;
        a.refuse("actuatorgroupdisable", &[""], "remove the actuators instead")?;
        let o = &mut self.model.opt;
        o.timestep = a.number("timestep", o.timestep)?;
        if o.timestep <= 0.0 || o.timestep > 1.0 {
            return Err(a.error("timestep", format!("{} s is not in (0, 1]", o.timestep)));
        }
        o.gravity = a.array("gravity")?.unwrap_or(o.gravity);
        let integrators =
            [("Euler", Integrator::Euler), ("RK4", Integrator::Rk4), ("implicitfast", Integrator::ImplicitFast)];
        o.integrator = a.choice("integrator", o.integrator, &integrators)?;
        o.cone = a.choice("cone", o.cone, &[("pyramidal", Cone::Pyramidal), ("elliptic", Cone::Elliptic)])?;
        o.solver =
            a.choice("solver", o.solver, &[("PGS", Solver::Pgs), ("CG", Solver::Cg), ("Newton", Solver::Newton)])?;
        o.iterations = a.integer("iterations", o.iterations as i64, 1..=100_000)? as usize;
        o.ls_iterations = a.integer("ls_iterations", o.ls_iterations as i64, 1..=100_000)? as usize;
        o.tolerance = a.number("tolerance", o.tolerance)?.max(0.0);
        o.ls_tolerance = a.number("ls_tolerance", o.ls_tolerance)?.max(0.0);
        o.impratio = a.number("impratio", o.impratio)?;
        if o.impratio <= 0.0 {
            return Err(a.error("impratio", "must be positive"));
        }
        if o.solver != Solver::Newton {
            let text = format!(
                "{}:{}: the file asks for the {:?} solver; Newton is used, which reaches the same optimum",
                e.file, e.line, o.solver
            );
            self.model.warnings.push(text);
        }
        for child in &e.children {
            if child.tag != "flag" {
                return Err(child.error("only <flag> may stand in <option>"));
            }
            self.flags(child)?;
        }
        Ok(())
    }

    fn flags(&mut self, e: &Element) -> Result<(), ModelError> {
        // flags whose either setting changes nothing here
        const WITHOUT_EFFECT: [&str; 10] = [
            "sensor",
            "midphase",
            "nativeccd",
            "island",
            "energy",
            "fwdinv",
            "invdiscrete",
            "multiccd",
            "equality",
            "autoreset",
        ];
        // flags that must keep their default
        const FIXED: [(&str, &str); 6] = [
            ("constraint", "enable"),
            ("passive", "enable"),
            ("spring", "enable"),
            ("damper", "enable"),
            ("actuation", "enable"),
            ("override", "disable"),
        ];
        const SWITCHES: [&str; 8] =
            ["frictionloss", "limit", "contact", "gravity", "clampctrl", "warmstart", "filterparent", "refsafe"];
        let mut names: Vec<&str> = WITHOUT_EFFECT.into_iter().chain(FIXED.map(|f| f.0)).chain(SWITCHES).collect();
        names.extend(["eulerdamp", "sleep"]);
        Self::only(e, &names)?;
        let a = Attrs::plain(e)?;
        for (name, default) in FIXED {
            a.refuse(name, &[default], "this stage cannot be switched off")?;
        }
        a.refuse("sleep", &["disable"], "bodies do not sleep here")?;
        let switch = |name: &str, now: bool| a.choice(name, now, &[("enable", true), ("disable", false)]);
        let o = &mut self.model.opt;
        o.frictionloss = switch("frictionloss", o.frictionloss)?;
        o.limit = switch("limit", o.limit)?;
        o.contact = switch("contact", o.contact)?;
        o.warmstart = switch("warmstart", o.warmstart)?;
        o.refsafe = switch("refsafe", o.refsafe)?;
        o.eulerdamp = switch("eulerdamp", o.eulerdamp)?;
        if !switch("gravity", true)? {
            o.gravity = [0.0; 3];
        }
        self.clamp_ctrl = switch("clampctrl", self.clamp_ctrl)?;
        self.filter_parent = switch("filterparent", self.filter_parent)?;
        Ok(())
    }

    /// `settotalmass`: all masses and inertias by one factor.
    fn scale_total_mass(&mut self) {
        let mass: f64 = self.model.bodies.iter().map(|b| b.mass).sum();
        if self.total_mass > 0.0 && mass > 0.0 {
            let factor = self.total_mass / mass;
            for body in &mut self.model.bodies {
                body.mass *= factor;
                body.inertia = body.inertia.map(|v| v * factor);
            }
        }
    }

    fn key(&mut self, e: &Element) -> Result<(), ModelError> {
        if e.tag != "key" {
            return Err(e.error("only <key> may stand in <keyframe>"));
        }
        let a = Attrs::plain(e)?;
        for name in ["act", "mpos", "mquat"] {
            a.refuse(name, &[], "the model has no such state")?;
        }
        let sized = |name: &str, n: usize, default: &[f64]| -> Result<Vec<f64>, ModelError> {
            match a.numbers(name, n)? {
                None => Ok(default.to_vec()),
                Some(v) if v.len() == n => Ok(v),
                Some(v) => Err(a.error(name, format!("expected {n} numbers, found {}", v.len()))),
            }
        };
        let m = &self.model;
        let (nq, nv, nu) = (m.nq(), m.nv(), m.nu());
        let key = Keyframe {
            name: a.name(),
            time: a.number("time", 0.0)?,
            qpos: sized("qpos", nq, &m.qpos0)?,
            qvel: sized("qvel", nv, &vec![0.0; nv])?,
            ctrl: sized("ctrl", nu, &vec![0.0; nu])?,
        };
        self.model.keyframes.push(key);
        Ok(())
    }

    /// Index of a named thing, or an error that names the nearest.
    pub(crate) fn find(e: &Element, attribute: &str, kind: &str, names: &[&str]) -> Result<usize, ModelError> {
        let wanted = e.raw(attribute).ok_or_else(|| e.error(format!("needs a `{attribute}`")))?;
        names.iter().position(|n| *n == wanted).ok_or_else(|| {
            let error = e.attribute_error(attribute, format!("there is no {kind} called `{wanted}`"));
            error.with_hint(did_you_mean(wanted, names.iter().copied().filter(|n| !n.is_empty())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARM: &str = r#"<mujoco model="arm">
  <compiler angle="radian"/>
  <default><joint damping="0.1"/><default class="heavy"><geom density="5000"/></default></default>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body name="link" pos="0 0 1">
      <joint name="hinge" axis="0 1 0" range="-1 1"/>
      <geom class="heavy" type="capsule" fromto="0 0 0 0 0 0.5" size="0.05"/>
      <body name="tip" pos="0 0 .5"><joint name="slide" type="slide" ref=".1"/><geom size=".1"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" gear="10" ctrlrange="-1 1"/></actuator>
</mujoco>"#;

    #[test]
    fn a_small_arm_compiles() {
        let m = parse_mjcf(ARM, "arm.xml").unwrap();
        assert_eq!((m.bodies.len(), m.nq(), m.nv(), m.nu()), (3, 2, 2, 1));
        assert_eq!(m.qpos0, [0.0, 0.1]);
        assert_eq!(m.dofs[1].parent, Some(0));
        assert!(m.joints[0].limited && !m.joints[1].limited);
        assert_eq!(m.dofs[0].damping, 0.1);
        let volume = std::f64::consts::PI * (0.05f64.powi(2) * 0.5 + 4.0 / 3.0 * 0.05f64.powi(3));
        assert!((m.bodies[1].mass - 5000.0 * volume).abs() < 1e-12);
        // floor against both bodies; parent and child never touch
        assert_eq!(m.pairs.len(), 2);
    }

    #[test]
    fn errors_name_file_line_element_attribute_and_the_nearest_name() {
        for (from, to, line, words) in [
            ("axis=", "axes=", 7, "did you mean `axis`"),
            ("joint=\"hinge\"", "joint=\"hingo\"", 12, "did you mean `hinge`"),
            ("class=\"heavy\" type", "class=\"heavi\" type", 8, "did you mean `heavy`"),
            ("size=\".1\"", "size=\"nan\"", 9, "not a finite number"),
            ("size=\".1\"", "size=\"-1\"", 9, "must be positive"),
            ("<actuator>", "<actuators>", 12, "mismatch"),
            ("type=\"slide\"", "type=\"slidey\"", 9, "did you mean `slide`"),
            ("range=\"-1 1\"", "range=\"1 -1\"", 7, "below the upper"),
        ] {
            let text = ARM.replacen(from, to, 1);
            assert_ne!(text, ARM, "{from}");
            let e = parse_mjcf(&text, "arm.xml").unwrap_err();
            let shown = e.to_string();
            if words != "mismatch" {
                assert_eq!(e.line, line, "{shown}");
                assert!(shown.contains(words), "{shown}");
            }
            assert!(shown.contains("arm.xml:"), "{shown}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damaged_files_are_errors_not_panics(at in 0usize..ARM.len(), cut in 0usize..40, junk in "[ -~]{0,8}") {
            let text: String = ARM.chars().take(at).chain(junk.chars()).chain(ARM.chars().skip(at + cut)).collect();
            let _ = parse_mjcf(&text, "arm.xml");
            let _ = parse_mjcf(&ARM[..at], "arm.xml");
        }

        #[test]
        fn any_text_is_an_error_not_a_panic(text in "\\PC{0,200}") {
            prop_assert!(parse_mjcf(&text, "any.xml").is_err());
        }

        #[test]
        fn any_number_is_accepted_or_refused(v in proptest::num::f64::ANY, which in 0usize..4) {
            let name = ["gear=\"10", "range=\"-1", "size=\"0.05", "density=\"5000"][which];
            let (key, _) = name.split_once('"').unwrap();
            let text = ARM.replacen(name, &format!("{key}\"{v:e}"), 1);
            let _ = parse_mjcf(&text, "arm.xml");
        }
    }
}
