//! `<mujoco>`: the order in which sections are read, and what they share.
//!
//! Anything that carries physics and is not honoured is an error; what is accepted without effect (lights, cameras,
//! textures, display settings) is listed here.

use crate::attrs::Attrs;
use crate::defaults::Defaults;
use crate::error::{ModelError, did_you_mean};
use crate::model::*;
use crate::rotation::Angles;
use crate::xml::{Element, parse_text, read_file};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Most bodies, geoms, sites, joints, actuators, tendons, sensors or keyframes.
const MAX_OF_A_KIND: usize = 10_000;

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
    pub(crate) clamp_ctrl: bool,
    pub(crate) total_mass: f64,
    /// Names in use, by kind.
    names: HashSet<(&'static str, String)>,
    /// Where each geom stands: file and line.
    pub(crate) geom_places: Vec<(Arc<str>, usize)>,
    /// Which sites are spheres.
    pub(crate) round_sites: Vec<bool>,
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
    warn_of_text(root, &mut r.model.warnings);
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
        r.defaults.read(e)?;
    }
    for material in sections("asset").flat_map(|e| &e.children).filter(|e| e.tag == "material") {
        let a = Attrs::classed(material, &r.defaults, None)?;
        let rgba = a.array::<4>("rgba")?.unwrap_or([1.0; 4]);
        if !a.name().is_empty() {
            r.materials.insert(a.name(), rgba.map(|v| v as f32));
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

/// Says where text stands that MuJoCo passes over, and so does this reader: often the rest of a comment or of a tag.
fn warn_of_text(element: &Element, warnings: &mut Vec<String>) {
    const MOST: usize = 10;
    if let Some(text) = element.stray.as_ref().filter(|_| warnings.len() < MOST) {
        let Element { file, line, tag, .. } = element;
        warnings.push(format!("{file}:{line}: text between the elements of <{tag}> is passed over: `{text}`"));
    }
    element.children.iter().for_each(|child| warn_of_text(child, warnings));
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
            names: HashSet::new(),
            geom_places: vec![],
            round_sites: vec![],
        }
    }

    /// Takes note of one more element of a kind: refuses a name that is taken, and more than [`MAX_OF_A_KIND`].
    pub(crate) fn count(&mut self, kind: &'static str, e: &Element, so_far: usize) -> Result<(), ModelError> {
        if so_far >= MAX_OF_A_KIND {
            return Err(e.error(format!("more than {MAX_OF_A_KIND} elements of kind {kind}")));
        }
        match e.raw("name") {
            Some(n) if !n.is_empty() && !self.names.insert((kind, n.to_string())) => {
                Err(e.attribute_error("name", format!("there is already a {kind} called `{n}`")))
            }
            _ => Ok(()),
        }
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
        self.count("keyframe", e, self.model.keyframes.len())?;
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
    pub(crate) fn find<'n>(
        e: &Element,
        attribute: &str,
        kind: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<usize, ModelError> {
        let wanted = e.raw(attribute).ok_or_else(|| e.error(format!("needs a `{attribute}`")))?;
        let mut named = names.clone().enumerate().filter(|(_, n)| !n.is_empty());
        named.find(|(_, n)| *n == wanted).map(|(i, _)| i).ok_or_else(|| {
            let error = e.attribute_error(attribute, format!("there is no {kind} called `{wanted}`"));
            error.with_hint(did_you_mean(wanted, names))
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

    /// A world of `bodies`, each with `inside`.
    fn crowd(bodies: usize, inside: &str) -> Result<Model, ModelError> {
        let body = format!("<body>{inside}</body>\n");
        parse_mjcf(&format!("<mujoco><worldbody>\n{}</worldbody></mujoco>", body.repeat(bodies)), "crowd.xml")
    }

    #[test]
    fn crowds_are_errors_that_name_the_bound() {
        for (bodies, inside, words, line) in [
            (100_000, "<geom size='1'/>", "more than 10000 elements of kind body", 10_001),
            (2, &"<geom size='1'/>".repeat(40_000), "more than 10000 elements of kind geom", 2),
            (200, "<freejoint/><geom size='1'/>", "more than 500 degrees of freedom", 85),
            (150, "<joint/><geom size='1'/>", "more than 10000 pairs of geoms may touch", 105),
        ] {
            let e = crowd(bodies, inside).unwrap_err();
            assert!(e.message.contains(words) && e.hint.as_ref().is_none_or(|h| !h.is_empty()), "{e}");
            assert_eq!((e.file.as_str(), e.line), ("crowd.xml", line), "{e}");
        }
        // what cannot touch costs nothing
        let m = crowd(9000, "<geom size='1' contype='0' conaffinity='0'/>").unwrap();
        assert_eq!((m.bodies.len(), m.pairs.len()), (9001, 0));
    }

    #[test]
    fn sizes_asked_for_reserve_nothing() {
        for size in ["nconmax", "njmax", "nstack", "memory", "nuserdata"] {
            let head = format!("<mujoco><size {size}='99999999999999999999'/>");
            let m = parse_mjcf(&ARM.replacen("<mujoco model=\"arm\">", &head, 1), "arm.xml").unwrap();
            assert_eq!(m.pairs.len(), 2);
        }
        for (from, to) in [
            ("size=\".1\"", "size='.1' group='99999999999999999999'"),
            ("<worldbody>", "<option iterations='1e9'/><worldbody>"),
        ] {
            assert!(parse_mjcf(&ARM.replacen(from, to, 1), "arm.xml").is_err(), "{to}");
        }
    }

    #[test]
    fn default_classes_share_what_they_inherit() {
        let value = "1 ".repeat(30_000);
        let nested = format!(
            "<default class='a'><geom user='{value}'/>{}</default>",
            "<default class='X'/><default class='Y'/><default class='Z'/>"
        );
        let text = format!(
            "<mujoco><default>{nested}</default><worldbody><body><geom class='X' size='1'/></body></worldbody></mujoco>"
        );
        assert!(parse_mjcf(&text, "classes.xml").is_ok());
        let many: String = (0..2000).map(|i| format!("<default class='c{i}'/>")).collect();
        let text = format!("<mujoco><default>{many}</default><worldbody/></mujoco>");
        assert!(parse_mjcf(&text, "classes.xml").unwrap_err().message.contains("more than 1000 default classes"));
        let text = "<mujoco><default><muscle/></default><worldbody/></mujoco>";
        assert!(parse_mjcf(text, "classes.xml").unwrap_err().message.contains("not supported"));
    }

    #[test]
    fn shapes_that_cannot_touch_are_reported_where_they_stand() {
        let text = ARM.replacen("<geom size=\".1\"/>", "<geom name='can' type='cylinder' size='.1 .1'/>", 1);
        let e = parse_mjcf(&text, "arm.xml").unwrap_err();
        assert_eq!((e.file.as_str(), e.line, e.element.as_str()), ("arm.xml", 9, "geom"));
        assert!(e.message.contains("`floor` (Plane) and `can` (Cylinder)") && e.hint.is_some(), "{e}");
        let pair = "<contact>\n<pair geom1='can' geom2='floor'/></contact></mujoco>";
        let text = text.replacen("'.1 .1'", "'.1 .1' contype='0' conaffinity='0'", 1).replacen("</mujoco>", pair, 1);
        let e = parse_mjcf(&text, "arm.xml").unwrap_err();
        assert_eq!((e.line, e.element.as_str()), (14, "pair"), "{e}");
    }

    #[test]
    fn a_touch_sensor_needs_a_round_site() {
        let site = |kind: &str| {
            let site = format!("<site name='s' type='{kind}' size='.1 .1 .1'/><body name=\"tip\"");
            let text = ARM.replacen("<body name=\"tip\"", &site, 1);
            text.replacen("</mujoco>", "<sensor><touch site='s'/></sensor></mujoco>", 1)
        };
        assert_eq!(parse_mjcf(&site("sphere"), "arm.xml").unwrap().sensors[0].kind, SensorKind::Touch);
        let e = parse_mjcf(&site("box"), "arm.xml").unwrap_err();
        assert_eq!((e.line, e.element.as_str(), e.attribute.as_deref()), (13, "touch", Some("site")), "{e}");
    }

    #[test]
    fn text_between_elements_is_passed_over_with_a_warning() {
        let text = format!("\u{feff}\nhello\n{}", ARM.replacen("<body name=\"tip\"", "-->\n<body name=\"tip\"", 1));
        let m = parse_mjcf(&text, "arm.xml").unwrap();
        assert_eq!(m.bodies, parse_mjcf(ARM, "arm.xml").unwrap().bodies);
        assert_eq!(m.warnings, ["arm.xml:8: text between the elements of <body> is passed over: `-->`"]);
    }

    #[test]
    fn an_empty_name_is_no_name() {
        let e = parse_mjcf(&ARM.replacen("joint=\"hinge\"", "joint=\"\"", 1), "arm.xml").unwrap_err();
        assert_eq!((e.line, e.attribute.as_deref()), (12, Some("joint")), "{e}");
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

        /// Numbers far out of scale give an error or a model whose masses are finite.
        #[test]
        fn huge_numbers_never_make_a_mass_that_is_none(exponent in -320i32..=308, which in 0usize..8) {
            let (from, to) = [
                ("size=\".1\"", "size=\"#\""),
                ("size=\"0.05\"", "size=\"#\""),
                ("0 0 0.5\" size", "0 0 #\" size"),
                ("pos=\"0 0 1\"", "pos=\"0 # 1\""),
                ("density=\"5000\"", "density=\"#\""),
                ("size=\".1\"", "size=\".1\" mass=\"#\""),
                ("size=\".1\"", "size=\".1\" pos=\"# 1 0\""),
                ("size=\".1\"", "type=\"box\" size=\"# # 1\""),
            ][which];
            let text = ARM.replacen(from, &to.replace('#', &format!("1e{exponent}")), 1);
            prop_assert!(text != ARM);
            if let Ok(model) = parse_mjcf(&text, "arm.xml") {
                for b in &model.bodies {
                    let numbers = b.inertia.into_iter().chain(b.ipos).chain(b.iquat).chain([b.mass]);
                    prop_assert!(numbers.into_iter().all(f64::is_finite), "{:?}", b);
                }
            }
        }
    }
}
