//! `<compiler>`, `<option>` and its flags: the settings that shape the reading and the simulation.
//!
//! Settings without an effect here are listed; those that would change the physics but are not honoured are refused.

use crate::attrs::Attrs;
use crate::error::{ModelError, did_you_mean};
use crate::model::*;
use crate::reader::{InertiaFromGeom, Reader};
use crate::xml::Element;

impl Reader {
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

    /// Reads a `<compiler>`.
    pub(crate) fn compiler(&mut self, e: &Element) -> Result<(), ModelError> {
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

    /// Reads an `<option>`.
    pub(crate) fn option(&mut self, e: &Element) -> Result<(), ModelError> {
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
        let switch = |name: &str, default: bool| a.choice(name, default, &[("enable", true), ("disable", false)]);
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
}
