//! Which attributes each kind of element has, and what may stand in them: how many numbers, or which words.
//!
//! Elements are checked where they stand, those of `<default>` too, so an error names the line that is wrong even when
//! nothing uses it. Source: MuJoCo 4.0.0, asked what it accepts (`tests/mujoco/defaults.py` asks it again). A kind that
//! is not here is not checked.

use crate::error::{ModelError, did_you_mean};
use crate::xml::Element;

/// What may stand in an attribute. Blank numbers are as if the attribute were not there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// Anything: a name, a file.
    Text,
    /// So many numbers.
    Exactly(usize),
    /// So many numbers or fewer; those left out keep the value they have by default.
    UpTo(usize),
    /// Numbers, as many as there are.
    Numbers,
    /// One whole number.
    Whole,
    /// One of these words.
    Words(&'static [&'static str]),
}
use Form::{Exactly, Numbers, Text, UpTo, Whole, Words};

type Attributes = &'static [(&'static str, Form)];

const FLAG: Form = Words(&["false", "true"]);
const AUTO: Form = Words(&["false", "true", "auto"]);
const SHAPE: Form = Words(&["plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh", "sdf"]);
/// Kinds of gain of an actuator.
pub(crate) const GAIN_TYPES: &[&str] = &["fixed", "affine", "muscle", "dcmotor", "so3", "pid", "user"];
/// Kinds of bias of an actuator.
pub(crate) const BIAS_TYPES: &[&str] = &["none", "affine", "muscle", "dcmotor", "so3", "user"];
/// Kinds of activation of an actuator.
pub(crate) const DYN_TYPES: &[&str] =
    &["none", "integrator", "filter", "filterexact", "muscle", "dcmotor", "pid", "user"];

/// Ways to say an orientation; the last one said wins, and an element says at most one.
pub(crate) const ORIENTATIONS: [&str; 5] = ["quat", "axisangle", "euler", "xyaxes", "zaxis"];

/// What refers to one thing in the model, and so has no default.
const NO_DEFAULT: [&str; 15] = [
    "name",
    "class",
    "geom1",
    "geom2",
    "joint",
    "jointinparent",
    "tendon",
    "site",
    "refsite",
    "body",
    "cranksite",
    "slidersite",
    "lengthrange",
    "target",
    "align",
];

const NAMED: Attributes = &[("name", Text), ("class", Text)];
const PLACED: Attributes = &[("pos", Exactly(3))];
const TURNED: Attributes = &[
    ("quat", Exactly(4)),
    ("axisangle", Exactly(4)),
    ("euler", Exactly(3)),
    ("xyaxes", Exactly(6)),
    ("zaxis", Exactly(3)),
];
const JOINT: Attributes = &[
    ("type", Words(&["free", "ball", "slide", "hinge"])),
    ("group", Whole),
    ("axis", Exactly(3)),
    ("springdamper", Exactly(2)),
    ("limited", AUTO),
    ("actuatorfrclimited", AUTO),
    ("actuatorfrcrange", Exactly(2)),
    ("actuatorgravcomp", FLAG),
    ("solreflimit", UpTo(2)),
    ("solimplimit", UpTo(5)),
    ("solreffriction", UpTo(2)),
    ("solimpfriction", UpTo(5)),
    ("stiffness", UpTo(3)),
    ("range", Exactly(2)),
    ("margin", Exactly(1)),
    ("ref", Exactly(1)),
    ("springref", Exactly(1)),
    ("armature", Exactly(1)),
    ("damping", UpTo(3)),
    ("frictionloss", Exactly(1)),
    ("user", Numbers),
];
const GEOM: Attributes = &[
    ("type", SHAPE),
    ("contype", Whole),
    ("conaffinity", Whole),
    ("condim", Whole),
    ("group", Whole),
    ("priority", Whole),
    ("size", UpTo(3)),
    ("material", Text),
    ("friction", UpTo(3)),
    ("mass", Exactly(1)),
    ("density", Exactly(1)),
    ("shellinertia", FLAG),
    ("solmix", Exactly(1)),
    ("solref", UpTo(2)),
    ("solimp", UpTo(5)),
    ("margin", Exactly(1)),
    ("gap", Exactly(1)),
    ("fromto", Exactly(6)),
    ("hfield", Text),
    ("mesh", Text),
    ("fitscale", Exactly(1)),
    ("rgba", Exactly(4)),
    ("fluidshape", Words(&["none", "ellipsoid"])),
    ("fluidcoef", UpTo(5)),
    ("castshadow", FLAG),
    ("user", Numbers),
];
const SITE: Attributes = &[
    ("type", SHAPE),
    ("group", Whole),
    ("material", Text),
    ("mesh", Text),
    ("size", UpTo(3)),
    ("fromto", Exactly(6)),
    ("rgba", Exactly(4)),
    ("user", Numbers),
];
const BODY: Attributes = &[
    ("name", Text),
    ("childclass", Text),
    ("mocap", FLAG),
    ("gravcomp", Exactly(1)),
    ("user", Numbers),
    ("sleep", Text),
];
const INERTIAL: Attributes = &[("mass", Exactly(1)), ("diaginertia", Exactly(3)), ("fullinertia", Exactly(6))];
const PAIR: Attributes = &[
    ("geom1", Text),
    ("geom2", Text),
    ("condim", Whole),
    ("friction", UpTo(5)),
    ("solref", UpTo(2)),
    ("solreffriction", UpTo(2)),
    ("solimp", UpTo(5)),
    ("gap", Exactly(1)),
    ("margin", Exactly(1)),
];
const TENDON: Attributes = &[
    ("group", Whole),
    ("limited", AUTO),
    ("actuatorfrclimited", AUTO),
    ("range", Exactly(2)),
    ("actuatorfrcrange", Exactly(2)),
    ("solreflimit", UpTo(2)),
    ("solimplimit", UpTo(5)),
    ("solreffriction", UpTo(2)),
    ("solimpfriction", UpTo(5)),
    ("margin", Exactly(1)),
    ("frictionloss", Exactly(1)),
    ("springlength", UpTo(2)),
    ("stiffness", UpTo(3)),
    ("damping", UpTo(3)),
    ("armature", Exactly(1)),
    ("user", Numbers),
];
/// What a tendon through sites is drawn with.
const ROPE: Attributes = &[("width", Exactly(1)), ("material", Text), ("rgba", Exactly(4))];
/// What every kind of actuator has ...
const DRIVE: Attributes = &[
    ("group", Whole),
    ("ctrlrange", Exactly(2)),
    ("forcelimited", AUTO),
    ("forcerange", Exactly(2)),
    ("delay", Exactly(1)),
    ("nsample", Whole),
    ("body", Text),
    ("user", Numbers),
];
/// ... all but adhesion ...
const GEARED: Attributes = &[
    ("lengthrange", Exactly(2)),
    ("gear", UpTo(6)),
    ("cranklength", Exactly(1)),
    ("joint", Text),
    ("jointinparent", Text),
    ("tendon", Text),
    ("site", Text),
    ("refsite", Text),
    ("cranksite", Text),
    ("slidersite", Text),
];
/// ... and all but those that are always limited.
const LIMITED: Attributes = &[("ctrllimited", AUTO)];
const ACTIVATED: Attributes = &[("actlimited", AUTO), ("actrange", Exactly(2))];
const SERVO: Attributes =
    &[("kp", Exactly(1)), ("kv", Exactly(1)), ("dampratio", Exactly(1)), ("inheritrange", Exactly(1))];
const GENERAL: Attributes = &[
    ("inheritrange", Exactly(1)),
    ("dyntype", Words(DYN_TYPES)),
    ("gaintype", Words(GAIN_TYPES)),
    ("biastype", Words(BIAS_TYPES)),
    ("dynprm", UpTo(10)),
    ("gainprm", UpTo(10)),
    ("biasprm", UpTo(10)),
    ("actdim", Whole),
    ("actearly", FLAG),
];
const CYLINDER: Attributes =
    &[("timeconst", Exactly(1)), ("area", Exactly(1)), ("diameter", Exactly(1)), ("bias", Exactly(3))];
const MATERIAL: Attributes = &[
    ("texture", Text),
    ("texuniform", FLAG),
    ("texrepeat", Exactly(2)),
    ("emission", Exactly(1)),
    ("specular", Exactly(1)),
    ("shininess", Exactly(1)),
    ("reflectance", Exactly(1)),
    ("metallic", Exactly(1)),
    ("roughness", Exactly(1)),
    ("rgba", Exactly(4)),
];
const CAMERA: Attributes = &[
    ("target", Text),
    ("mode", Text),
    ("projection", Text),
    ("output", Text),
    ("fovy", Exactly(1)),
    ("ipd", Exactly(1)),
    ("resolution", Exactly(2)),
    ("focal", Exactly(2)),
    ("focalpixel", Exactly(2)),
    ("principal", Exactly(2)),
    ("principalpixel", Exactly(2)),
    ("sensorsize", Exactly(2)),
    ("user", Numbers),
];
const LIGHT: Attributes = &[
    ("target", Text),
    ("mode", Text),
    ("type", Text),
    ("texture", Text),
    ("active", FLAG),
    ("directional", FLAG),
    ("castshadow", FLAG),
    ("bulbradius", Exactly(1)),
    ("intensity", Exactly(1)),
    ("range", Exactly(1)),
    ("cutoff", Exactly(1)),
    ("exponent", Exactly(1)),
    ("softness", Exactly(1)),
    ("dir", Exactly(3)),
    ("attenuation", Exactly(3)),
    ("ambient", Exactly(3)),
    ("diffuse", Exactly(3)),
    ("specular", Exactly(3)),
];
const MESH_DEFAULT: Attributes = &[("inertia", Text), ("maxhullvert", Whole), ("scale", Exactly(3))];
const TEXTURE_DEFAULT: Attributes = &[
    ("type", Text),
    ("builtin", Text),
    ("colorspace", Text),
    ("embed", Text),
    ("mark", Text),
    ("gridlayout", Text),
    ("gridsize", Numbers),
    ("rgb1", Exactly(3)),
    ("rgb2", Exactly(3)),
    ("markrgb", Exactly(3)),
    ("random", Exactly(1)),
    ("width", Whole),
    ("height", Whole),
    ("nchannel", Whole),
    ("hflip", FLAG),
    ("vflip", FLAG),
];
const EQUALITY_DEFAULT: Attributes = &[("active", FLAG), ("solref", UpTo(2)), ("solimp", UpTo(5))];
const KEY: Attributes = &[
    ("name", Text),
    ("time", Exactly(1)),
    ("qpos", Numbers),
    ("qvel", Numbers),
    ("act", Numbers),
    ("ctrl", Numbers),
    ("mpos", Numbers),
    ("mquat", Numbers),
];

/// The attributes of a kind of element, in groups.
fn attributes(tag: &str) -> Option<&'static [Attributes]> {
    Some(match tag {
        "joint" => &[NAMED, PLACED, JOINT],
        "freejoint" => &[&[("name", Text), ("group", Whole), ("align", AUTO)]],
        "geom" => &[NAMED, PLACED, TURNED, GEOM],
        "site" => &[NAMED, PLACED, TURNED, SITE],
        "body" | "worldbody" => &[BODY, PLACED, TURNED],
        "inertial" => &[PLACED, TURNED, INERTIAL],
        "motor" => &[NAMED, DRIVE, GEARED, LIMITED],
        "position" => &[NAMED, DRIVE, GEARED, LIMITED, SERVO, &[("timeconst", Exactly(1))]],
        "velocity" => &[NAMED, DRIVE, GEARED, LIMITED, &[("kv", Exactly(1))]],
        "general" => &[NAMED, DRIVE, GEARED, LIMITED, ACTIVATED, GENERAL],
        "intvelocity" => &[NAMED, DRIVE, GEARED, LIMITED, ACTIVATED, SERVO],
        "damper" => &[NAMED, DRIVE, GEARED, &[("kv", Exactly(1))]],
        "cylinder" => &[NAMED, DRIVE, GEARED, LIMITED, CYLINDER],
        "adhesion" => &[NAMED, DRIVE, &[("gain", Exactly(1))]],
        "pair" => &[NAMED, PAIR],
        "fixed" => &[NAMED, TENDON],
        "spatial" | "tendon" => &[NAMED, TENDON, ROPE],
        "material" => &[NAMED, MATERIAL],
        "camera" => &[NAMED, PLACED, TURNED, CAMERA],
        "light" => &[NAMED, PLACED, LIGHT],
        "key" => &[KEY],
        "exclude" => &[&[("name", Text), ("body1", Text), ("body2", Text)]],
        _ => return None,
    })
}

/// What a default may say of a kind of element.
fn default_attributes(tag: &str) -> Option<&'static [Attributes]> {
    match tag {
        "mesh" => Some(&[MESH_DEFAULT]),
        "texture" => Some(&[TEXTURE_DEFAULT]),
        "equality" => Some(&[EQUALITY_DEFAULT]),
        "joint" | "geom" | "site" | "pair" | "tendon" | "material" | "camera" | "light" => attributes(tag),
        "motor" | "position" | "velocity" | "general" | "intvelocity" | "damper" | "cylinder" | "adhesion" => {
            attributes(tag)
        }
        _ => None,
    }
}

/// What may stand in an attribute.
pub(crate) fn form(tag: &str, name: &str) -> Option<Form> {
    let groups = attributes(tag).or_else(|| default_attributes(tag))?;
    groups.iter().copied().flatten().find(|(known, _)| *known == name).map(|(_, form)| *form)
}

/// Refuses attributes that do not exist for this kind of element, and values of the wrong form.
pub(crate) fn check(element: &Element) -> Result<(), ModelError> {
    attributes(&element.tag).map_or(Ok(()), |groups| check_against(element, groups, &[]))
}

/// The same for an element within `<default>`.
pub(crate) fn check_default(element: &Element) -> Result<(), ModelError> {
    match default_attributes(&element.tag) {
        Some(groups) => check_against(element, groups, &NO_DEFAULT),
        None => Err(element.error("defaults for this kind of element are not supported")),
    }
}

fn check_against(element: &Element, groups: &[Attributes], left_out: &[&str]) -> Result<(), ModelError> {
    let known = groups.iter().copied().flatten().filter(|(name, _)| !left_out.contains(name));
    for (name, text) in &element.attributes {
        match known.clone().find(|(known, _)| known == name) {
            Some((_, form)) => check_value(element, name, text, *form)?,
            None if left_out.contains(&name.as_str()) => {
                return Err(element.attribute_error(name, "has no default: give it where the element is used"));
            }
            None => {
                let error = element.attribute_error(name, "unknown attribute");
                return Err(error.with_hint(did_you_mean(name, known.map(|(name, _)| *name))));
            }
        }
    }
    let mut ways = ORIENTATIONS.into_iter().filter(|way| says(element, way));
    match (ways.next(), ways.next()) {
        (Some(one), Some(two)) => {
            let message = format!("orientation is given twice, by `{one}` and `{two}`");
            Err(element.attribute_error(two, message))
        }
        _ => Ok(()),
    }
}

/// Does the element itself give numbers?
pub(crate) fn says(element: &Element, name: &str) -> bool {
    element.raw(name).is_some_and(|text| !text.trim().is_empty())
}

fn check_value(element: &Element, name: &str, text: &str, form: Form) -> Result<(), ModelError> {
    let (least, most) = match form {
        Text => return Ok(()),
        Words(words) if words.contains(&text) => return Ok(()),
        Words(words) => {
            let error = element.attribute_error(name, format!("`{text}` is none of {}", words.join(", ")));
            return Err(error.with_hint(did_you_mean(text, words.iter().copied())));
        }
        Whole if text.trim().is_empty() => return Ok(()),
        Whole => return whole(element, name, text).map(|_| ()),
        Exactly(n) => (n, n),
        UpTo(most) => (1, most),
        Numbers => (1, usize::MAX),
    };
    match numbers(element, name, text, most)?.len() {
        0 => Ok(()),
        found if found < least => {
            Err(element.attribute_error(name, format!("expected {least} numbers, found {found} in `{text}`")))
        }
        _ => Ok(()),
    }
}

/// The whole number that a text is.
pub(crate) fn whole(element: &Element, name: &str, text: &str) -> Result<i64, ModelError> {
    text.trim().parse().map_err(|_| element.attribute_error(name, format!("`{text}` is not a whole number")))
}

/// The numbers of a text, at most `most`.
pub(crate) fn numbers(element: &Element, name: &str, text: &str, most: usize) -> Result<Vec<f64>, ModelError> {
    let mut out = Vec::new();
    for word in text.split_ascii_whitespace() {
        let value: f64 =
            word.parse().map_err(|_| element.attribute_error(name, format!("`{word}` is not a number")))?;
        if !value.is_finite() {
            return Err(element.attribute_error(name, format!("`{word}` is not a finite number")));
        }
        if out.len() == most {
            return Err(element.attribute_error(name, format!("more than {most} numbers in `{text}`")));
        }
        out.push(value);
    }
    Ok(out)
}
