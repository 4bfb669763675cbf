//! `<default>`: classes of attributes that elements start from, each class from the one around it.
//!
//! A vector that gives fewer numbers than its default has lays them over the first ones. An orientation takes the place
//! of one that was said in another way. What the shortcuts of actuators write is in `gains.rs`; their other attributes are
//! shared by all of them. Source: MuJoCo 4.0.0.

use crate::error::{ModelError, did_you_mean};
use crate::gains::{Gains, Shortcut, WRITTEN};
use crate::schema::{self, Form, ORIENTATIONS, says};
use crate::xml::Element;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const MAX_CLASSES: usize = 1000;

/// What is wrong with a servo that has both.
pub(crate) const BOTH_RANGES: &str = "`ctrlrange` is given too: give one of them";

/// The outermost class; it cannot be renamed.
const MAIN: &str = "main";

/// A value that a default gives, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) text: Arc<str>,
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

/// Attribute → value of one class and element kind; shared by the classes within, and by the elements that use it.
pub(crate) type Table = Arc<BTreeMap<String, Given>>;

#[derive(Debug, Clone, Default)]
struct Class {
    /// The class around it.
    outer: Option<usize>,
    /// By kind of element.
    tables: HashMap<&'static str, Table>,
    gains: Gains,
}

/// Default classes; the first is the outermost.
#[derive(Debug)]
pub(crate) struct Defaults {
    classes: Vec<Class>,
    names: HashMap<String, usize>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { classes: vec![Class::default()], names: HashMap::from([(MAIN.to_string(), 0)]) }
    }
}

/// The kind of element whose defaults an element takes; `None` where there are none.
fn kind_of(tag: &str) -> Option<&'static str> {
    Some(match tag {
        "joint" => "joint",
        "geom" => "geom",
        "site" => "site",
        "pair" => "pair",
        "tendon" | "fixed" | "spatial" => "tendon",
        "material" => "material",
        tag if Shortcut::of(tag).is_some() => "actuator",
        _ => return None,
    })
}

/// Is every number of a text 0?
fn is_zero(text: &str) -> bool {
    text.split_ascii_whitespace().all(|word| word.parse() == Ok(0.0))
}

impl Defaults {
    /// Reads a `<default>` of the file, with those within it.
    pub(crate) fn read(&mut self, element: &Element) -> Result<(), ModelError> {
        match element.raw("class") {
            None | Some("" | MAIN) => self.read_class(element, 0),
            Some(name) => {
                let message = format!("the outermost default class is called `{MAIN}` and cannot be renamed `{name}`");
                Err(element.attribute_error("class", message).with_hint(format!(
                    "leave out `class` for what all elements take, or put <default class=\"{name}\"> within <default>"
                )))
            }
        }
    }

    fn read_class(&mut self, element: &Element, class: usize) -> Result<(), ModelError> {
        if let Some((name, _)) = element.attributes.iter().find(|(name, _)| name != "class") {
            return Err(element.attribute_error(name, "unknown attribute: a default has only a `class`"));
        }
        let mut seen = HashMap::new();
        for child in element.children.iter().filter(|c| c.tag != "default") {
            schema::check_default(child)?;
            if let Some(before) = seen.insert(child.tag.as_str(), child.line) {
                let message = format!("has two <{}>, in lines {before} and {}: make them one", child.tag, child.line);
                return Err(element.error(message));
            }
            if let Some(inner) = child.children.iter().find(|inner| (&*child.tag, &*inner.tag) != ("material", "layer"))
            {
                return Err(inner.error(format!("cannot stand in a <{}> of <default>", child.tag)));
            }
            self.lay(child, class)?;
        }
        for child in element.children.iter().filter(|c| c.tag == "default") {
            let inner = self.add(child, class)?;
            self.read_class(child, inner)?;
        }
        Ok(())
    }

    /// A class that starts from `outer`.
    fn add(&mut self, element: &Element, outer: usize) -> Result<usize, ModelError> {
        let Some(name) = element.raw("class").filter(|name| !name.is_empty()) else {
            return Err(element.error("a nested default needs a `class`"));
        };
        if self.classes.len() >= MAX_CLASSES {
            return Err(element.error(format!("more than {MAX_CLASSES} default classes")));
        }
        let index = self.classes.len();
        if self.names.contains_key(name) {
            return Err(element.attribute_error("class", format!("there is already a default class `{name}`")));
        }
        self.names.insert(name.to_string(), index);
        self.classes.push(Class { outer: Some(outer), ..self.classes[outer].clone() });
        Ok(index)
    }

    /// Lays the attributes of an element within `<default>` over those of a class.
    fn lay(&mut self, element: &Element, class: usize) -> Result<(), ModelError> {
        let Some(kind) = kind_of(&element.tag) else { return Ok(()) };
        let gains = match Shortcut::of(&element.tag) {
            Some(shortcut) => Some(Gains::written(element, shortcut, self.gains_from(class))?),
            None => None,
        };
        let class = &mut self.classes[class];
        let table = Arc::make_mut(class.tables.entry(kind).or_default());
        let given = |text: &str| Given { text: text.into(), file: element.file.clone(), line: element.line };
        if ORIENTATIONS.iter().any(|way| says(element, way)) {
            ORIENTATIONS.iter().for_each(|way| drop(table.remove(*way)));
        }
        for (name, text) in &element.attributes {
            let form = schema::form(&element.tag, name);
            if gains.is_some() && WRITTEN.contains(&name.as_str()) {
                continue;
            }
            match form {
                Some(Form::Text | Form::Words(_) | Form::Numbers) | None => {
                    drop(table.insert(name.clone(), given(text)))
                }
                Some(_) if text.trim().is_empty() => {}
                Some(_) => {
                    let rest = table.get(name).map(|old| old.text.clone()).unwrap_or_default();
                    let laid = text.split_ascii_whitespace().count();
                    let numbers = text.split_ascii_whitespace().chain(rest.split_ascii_whitespace().skip(laid));
                    table.insert(name.clone(), given(&numbers.collect::<Vec<_>>().join(" ")));
                }
            }
        }
        if let Some(gains) = gains {
            match Shortcut::of(&element.tag) {
                Some(Shortcut::Damper | Shortcut::Adhesion) => {
                    let negative =
                        |given: &Given| given.text.split_ascii_whitespace().any(|w| w.starts_with('-') && !is_zero(w));
                    if table.get("ctrlrange").is_some_and(negative) {
                        return Err(
                            element.attribute_error("ctrlrange", "must not be below 0 for this kind of actuator")
                        );
                    }
                    table.insert("ctrllimited".into(), given("true"));
                }
                // the joint's range takes the place of one that was inherited
                Some(Shortcut::Position) if gains.inherit_range > 0.0 => {
                    if says(element, "inheritrange") && !says(element, "ctrlrange") {
                        table.remove("ctrlrange");
                    } else if table.get("ctrlrange").is_some_and(|given| !is_zero(&given.text)) {
                        return Err(element.attribute_error("inheritrange", BOTH_RANGES));
                    }
                }
                _ => {}
            }
            class.gains = gains;
        }
        Ok(())
    }

    /// Gains of a class and of those around it, outwards.
    fn gains_from(&self, class: usize) -> impl Iterator<Item = &Gains> + Clone {
        std::iter::successors(Some(class), |&class| self.classes[class].outer).map(|class| &self.classes[class].gains)
    }

    /// The class an element takes its defaults from: its own, else `childclass`, else the outermost.
    fn class_of(&self, element: &Element, childclass: Option<&str>) -> Result<usize, ModelError> {
        let class = element.raw("class").or(childclass).unwrap_or(MAIN);
        self.class(element, "class", class)
    }

    /// The class called `name`, which `attribute` of `element` asks for.
    pub(crate) fn class(&self, element: &Element, attribute: &str, name: &str) -> Result<usize, ModelError> {
        self.names.get(name).copied().ok_or_else(|| {
            let error = element.attribute_error(attribute, format!("no default class `{name}`"));
            error.with_hint(did_you_mean(name, self.names.keys().map(String::as_str)))
        })
    }

    /// The defaults of an element.
    pub(crate) fn table(&self, element: &Element, childclass: Option<&str>) -> Result<Table, ModelError> {
        let class = self.class_of(element, childclass)?;
        let kind = kind_of(&element.tag);
        Ok(kind.and_then(|kind| self.classes[class].tables.get(kind)).cloned().unwrap_or_default())
    }

    /// What an actuator makes of the gains of its class.
    pub(crate) fn gains(&self, element: &Element, shortcut: Shortcut) -> Result<Gains, ModelError> {
        let class = self.class_of(element, None)?;
        Gains::written(element, shortcut, self.gains_from(class))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Model, ModelError, parse_mjcf};

    const ARM: &str = r#"<mujoco>
<default>
  <joint damping="1"/>
  #
</default>
<worldbody>
  <geom name="floor" type="plane" size="1 1 1" friction=".3 .02 .002" solref=".03 .9" margin=".005"/>
  <body>
    <joint name="a" range="-60 60"/>
    <geom name="ball" size=".1" condim="6" priority="1"/>
  </body>
</worldbody>
<contact><pair geom1="ball" geom2="floor"/></contact>
<tendon>
  <fixed><joint joint="a" coef="1"/></fixed>
</tendon>
<actuator>
  <general joint="a"/>
</actuator>
</mujoco>"#;

    fn arm(default: &str) -> Result<Model, ModelError> {
        parse_mjcf(&ARM.replace('#', default), "arm.xml")
    }

    #[test]
    fn a_pair_is_not_mixed_from_its_geoms() {
        let pair = &arm("").unwrap().pairs[0];
        assert_eq!((pair.condim, pair.friction, pair.margin), (3, [1.0, 1.0, 0.005, 0.0001, 0.0001], 0.0));
        assert_eq!((pair.solref, pair.solimp), ([0.02, 1.0], [0.9, 0.95, 0.001, 0.5, 2.0]));
        let pair = &arm("<pair friction='.7 .6' condim='6' solimp='.5'/>").unwrap().pairs[0];
        assert_eq!((pair.condim, pair.friction), (6, [0.7, 0.6, 0.005, 0.0001, 0.0001]));
        assert_eq!((pair.solref, pair.solimp), ([0.02, 1.0], [0.5, 0.95, 0.001, 0.5, 2.0]));
    }

    #[test]
    fn an_error_about_an_inherited_value_names_both_places() {
        let e = arm("<tendon stiffness='40'/>").unwrap_err();
        assert_eq!((e.line, e.element.as_str(), e.attribute.as_deref()), (15, "fixed", Some("stiffness")), "{e}");
        assert!(e.message.contains("the default in arm.xml:4 says `40`"), "{e}");
        let e = arm("<position timeconst='.1'/>").unwrap_err();
        assert_eq!((e.line, e.attribute.as_deref()), (18, Some("dyntype")), "{e}");
    }

    #[test]
    fn a_default_that_nothing_uses_is_checked_where_it_stands() {
        for (default, words) in [
            ("<site pos='1 2'/>", "expected 3 numbers, found 2"),
            ("<light dir='0 0 0 1'/>", "more than 3 numbers"),
            ("<equality solref='x'/>", "not a number"),
            ("<motor kp='3'/>", "unknown attribute"),
            ("<velocity joint='a'/>", "has no default"),
            ("<geom type='boxx'/>", "did you mean `box`"),
            ("<muscle/>", "not supported"),
            ("<default class='x'><joint axis='1'/></default>", "expected 3 numbers, found 1"),
        ] {
            let e = arm(default).unwrap_err();
            assert!(e.line == 4 && e.to_string().contains(words), "{default}: {e}");
        }
        let e =
            parse_mjcf(&ARM.replace("<default>", "<default class='robot'>").replace('#', ""), "arm.xml").unwrap_err();
        assert_eq!((e.line, e.attribute.as_deref()), (2, Some("class")), "{e}");
        let e = arm("<joint armature='1'/>").unwrap_err();
        assert!(e.line == 2 && e.message.contains("in lines 3 and 4"), "{e}");
    }

    #[test]
    fn a_shortcut_takes_nothing_from_another() {
        let gains = |default: &str, element: &str| {
            let text = ARM.replace('#', default).replace("<general joint", &format!("<{element} joint"));
            let m = parse_mjcf(&text, "arm.xml").unwrap();
            (m.actuators[0].gain, m.actuators[0].bias)
        };
        let position = "<position kp='30' kv='2'/>";
        assert_eq!(gains(position, "velocity"), (1.0, [0.0, 0.0, -1.0]));
        assert_eq!(gains(position, "general"), (30.0, [0.0, -30.0, -2.0]));
        assert_eq!(gains(position, "motor"), (1.0, [0.0; 3]));
        assert_eq!(gains("<velocity kv='3'/>", "position"), (1.0, [0.0, -1.0, 0.0]));
        let general = "<general gainprm='50' biastype='affine' biasprm='0 -50 -1.5'/>";
        assert_eq!(gains(general, "position"), (50.0, [0.0, -50.0, -1.5]));
        assert_eq!(gains(general, "velocity"), (50.0, [0.0, 0.0, -50.0]));
        assert_eq!(gains("<position inheritrange='.5'/>", "velocity"), (1.0, [0.0, 0.0, -1.0]));
    }
}
