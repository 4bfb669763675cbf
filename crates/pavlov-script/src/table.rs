//! The one table of names: what scripts may call and read, with types, units and documentation.
//!
//! Registration in the interpreter, the checker, the lowering, the documentation page and completion all read it. A new
//! built-in is one row here and one arm in `builtins.rs`.

use crate::value::Kind;
use Kind::{Actuator, Body, Com, Foot, Joint, Site, State};
use Ty::{Array, Bool, Handle, Num, Quat, Str, Vec2, Vec3};

/// Type of an argument or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// A number; where one is expected, an int is taken too.
    Num,
    /// True or false.
    Bool,
    /// Text.
    Str,
    /// Two numbers.
    Vec2,
    /// Three numbers.
    Vec3,
    /// Unit quaternion `w, x, y, z`, body to world.
    Quat,
    /// A list of fixed length.
    Array,
    /// Named values.
    Map,
    /// A thing of the scene.
    #[allow(private_interfaces, reason = "which kinds there are is told by `name`")]
    Handle(Kind),
}

impl Ty {
    /// Name in messages and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Num => "number",
            Bool => "bool",
            Str => "string",
            Vec2 => "vec2",
            Vec3 => "vec3",
            Quat => "quat",
            Array => "array",
            Ty::Map => "map",
            Handle(k) => k.name(),
        }
    }
}

/// How a name is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `x.name`
    Property,
    /// `name(x, y)` or `x.name(y)`
    Function,
    /// `x name y`
    Operator,
}

/// What a row does; `builtins.rs` has the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as the rows that use them")]
pub(crate) enum Op {
    Time,
    Step,
    Dt,
    Qpos,
    Qvel,
    Action,
    PrevAction,
    Command,
    Prev,
    CfrcExt,
    Joints,
    Actuators,
    Feet,
    CenterOfMass,
    Named(Kind),
    Sensor,
    Pos,
    Orientation,
    LinVel,
    AngVel,
    LocalLinVel,
    LocalAngVel,
    Axis(u8),
    Height,
    Gravity,
    Force,
    Contact,
    Roll,
    Pitch,
    Yaw,
    JointPos,
    JointVel,
    JointTorque,
    JointAcc,
    JointLower,
    JointUpper,
    JointDefault,
    Ctrl,
    Component(u8),
    Xy,
    Norm,
    Norm2,
    Dot,
    Cross,
    Unit,
    Plus,
    Minus,
    Scale,
    ScaleLeft,
    Shrink,
    Negate,
    Hamilton,
    Inverse,
    Rotate,
    RotateBack,
    Make,
    Sum,
    Mean,
    Lowest,
    Highest,
    Any,
    All,
    Diff2,
    Un(crate::value::Un),
    Bin(crate::value::Bin),
    Clamp,
    Lerp,
    Wrap,
    ExpKernel,
    Tolerance,
    Smoothstep,
    Pi,
    ToNumber,
    ToInt,
    Len,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// Name as written in a script.
    pub name: &'static str,
    /// How it is used.
    pub form: Form,
    /// Arguments, the receiver first.
    pub args: &'static [Ty],
    /// Result.
    pub ret: Ty,
    /// Unit of the result; empty when it has none or follows from the arguments.
    pub unit: &'static str,
    /// What it is.
    pub doc: &'static str,
    pub(crate) op: Op,
}

const fn prop(
    on: &'static [Ty],
    name: &'static str,
    ret: Ty,
    unit: &'static str,
    op: Op,
    doc: &'static str,
) -> Builtin {
    Builtin { name, form: Form::Property, args: on, ret, unit, doc, op }
}

const fn func(
    name: &'static str,
    args: &'static [Ty],
    ret: Ty,
    unit: &'static str,
    op: Op,
    doc: &'static str,
) -> Builtin {
    Builtin { name, form: Form::Function, args, ret, unit, doc, op }
}

const fn oper(name: &'static str, args: &'static [Ty], ret: Ty, op: Op) -> Builtin {
    Builtin { name, form: Form::Operator, args, ret, unit: "", doc: "element by element", op }
}

const S: &[Ty] = &[Handle(State)];
const B: &[Ty] = &[Handle(Body)];
const J: &[Ty] = &[Handle(Joint)];
const A: &[Ty] = &[Handle(Actuator)];
const F: &[Ty] = &[Handle(Foot)];
const SI: &[Ty] = &[Handle(Site)];
const C: &[Ty] = &[Handle(Com)];
const V2: &[Ty] = &[Vec2];
const V3: &[Ty] = &[Vec3];
const Q: &[Ty] = &[Quat];
const N1: &[Ty] = &[Num];
const N2: &[Ty] = &[Num, Num];
const N3: &[Ty] = &[Num, Num, Num];
const N4: &[Ty] = &[Num, Num, Num, Num];
const AR: &[Ty] = &[Array];
const AA: &[Ty] = &[Array, Array];

use crate::value::{Bin, Un};

/// Every built-in.
pub const BUILTINS: &[Builtin] = &[
    prop(S, "time", Num, "s", Op::Time, "time since the episode began"),
    prop(S, "step", Num, "", Op::Step, "control steps since the episode began"),
    prop(S, "dt", Num, "s", Op::Dt, "time between two control steps"),
    prop(S, "qpos", Array, "", Op::Qpos, "MuJoCo's generalised positions"),
    prop(S, "qvel", Array, "", Op::Qvel, "MuJoCo's generalised velocities"),
    prop(S, "action", Array, "", Op::Action, "the action that led to this state, clipped to its range"),
    prop(S, "prev_action", Array, "", Op::PrevAction, "the action before that; 0 at the start of an episode"),
    prop(S, "command", Ty::Map, "", Op::Command, "what the policy is told to do, by the names in the task"),
    prop(S, "prev", Handle(State), "", Op::Prev, "the state before the step"),
    prop(
        S,
        "cfrc_ext",
        Array,
        "N m, N",
        Op::CfrcExt,
        "MuJoCo's external force on each body: torque, force; six a body",
    ),
    prop(S, "joints", Array, "", Op::Joints, "the hinge and slide joints, in the robot's order"),
    prop(S, "actuators", Array, "", Op::Actuators, "the actuators, in the robot's order"),
    prop(S, "feet", Array, "", Op::Feet, "the feet, in the task's order"),
    prop(S, "com", Handle(Com), "", Op::CenterOfMass, "centre of mass of the robot"),
    func("body", &[Handle(State), Str], Handle(Body), "", Op::Named(Body), "the body of that name"),
    func("joint", &[Handle(State), Str], Handle(Joint), "", Op::Named(Joint), "the joint of that name"),
    func("actuator", &[Handle(State), Str], Handle(Actuator), "", Op::Named(Actuator), "the actuator of that name"),
    func("site", &[Handle(State), Str], Handle(Site), "", Op::Named(Site), "the site of that name"),
    func("foot", &[Handle(State), Str], Handle(Foot), "", Op::Named(Foot), "the foot of that name"),
    func("sensor", &[Handle(State), Str], Array, "", Op::Sensor, "the values of the sensor of that name"),
    prop(B, "pos", Vec3, "m", Op::Pos, "position of the body frame, world axes"),
    prop(B, "quat", Quat, "", Op::Orientation, "orientation: body axes to world axes"),
    prop(B, "linvel", Vec3, "m/s", Op::LinVel, "velocity of the body frame's origin, world axes"),
    prop(B, "angvel", Vec3, "rad/s", Op::AngVel, "angular velocity, world axes"),
    prop(B, "local_linvel", Vec3, "m/s", Op::LocalLinVel, "velocity of the body frame's origin, body axes"),
    prop(B, "local_angvel", Vec3, "rad/s", Op::LocalAngVel, "angular velocity, body axes"),
    prop(B, "forward", Vec3, "", Op::Axis(0), "the body's x axis in world axes"),
    prop(B, "left", Vec3, "", Op::Axis(1), "the body's y axis in world axes"),
    prop(B, "up", Vec3, "", Op::Axis(2), "the body's z axis in world axes"),
    prop(B, "height", Num, "m", Op::Height, "height of the body frame"),
    prop(B, "gravity", Vec3, "", Op::Gravity, "direction of gravity in body axes: (0, 0, -1) when upright"),
    prop(B, "roll", Num, "rad", Op::Roll, "rotation about the forward axis (z-y-x Euler angles)"),
    prop(B, "pitch", Num, "rad", Op::Pitch, "rotation about the left axis; nose down is positive"),
    prop(B, "yaw", Num, "rad", Op::Yaw, "heading"),
    prop(B, "force", Vec3, "N", Op::Force, "sum of the contact forces on the body, world axes"),
    prop(B, "contact", Num, "", Op::Contact, "1 while the body touches something, else 0"),
    prop(J, "pos", Num, "rad or m", Op::JointPos, "position"),
    prop(J, "vel", Num, "rad/s or m/s", Op::JointVel, "velocity"),
    prop(J, "torque", Num, "N m or N", Op::JointTorque, "force of the actuators on the joint"),
    prop(J, "acc", Num, "rad/s2 or m/s2", Op::JointAcc, "acceleration"),
    prop(J, "lower", Num, "rad or m", Op::JointLower, "lower limit; minus infinity without one"),
    prop(J, "upper", Num, "rad or m", Op::JointUpper, "upper limit; infinity without one"),
    prop(J, "home", Num, "rad or m", Op::JointDefault, "position in the default pose"),
    prop(A, "force", Num, "N m or N", Op::Force, "force of the actuator"),
    prop(A, "ctrl", Num, "", Op::Ctrl, "control signal"),
    prop(F, "pos", Vec3, "m", Op::Pos, "position, world axes"),
    prop(F, "vel", Vec3, "m/s", Op::LinVel, "velocity, world axes"),
    prop(F, "height", Num, "m", Op::Height, "height of the foot's centre"),
    prop(F, "force", Vec3, "N", Op::Force, "sum of the contact forces on the foot, world axes"),
    prop(F, "contact", Num, "", Op::Contact, "1 while the foot touches something, else 0"),
    prop(SI, "pos", Vec3, "m", Op::Pos, "position, world axes"),
    prop(SI, "linvel", Vec3, "m/s", Op::LinVel, "velocity, world axes"),
    prop(C, "pos", Vec3, "m", Op::Pos, "position, world axes"),
    prop(C, "linvel", Vec3, "m/s", Op::LinVel, "velocity, world axes"),
    func("vec2", N2, Vec2, "", Op::Make, "a vector of two numbers"),
    func("vec3", N3, Vec3, "", Op::Make, "a vector of three numbers"),
    func("quat", N4, Quat, "", Op::Make, "a quaternion w, x, y, z"),
    prop(V2, "x", Num, "", Op::Component(0), "first component"),
    prop(V2, "y", Num, "", Op::Component(1), "second component"),
    prop(V3, "x", Num, "", Op::Component(0), "first component"),
    prop(V3, "y", Num, "", Op::Component(1), "second component"),
    prop(V3, "z", Num, "", Op::Component(2), "third component"),
    prop(V3, "xy", Vec2, "", Op::Xy, "the first two components"),
    prop(Q, "w", Num, "", Op::Component(0), "scalar part"),
    prop(Q, "x", Num, "", Op::Component(1), "vector part, x"),
    prop(Q, "y", Num, "", Op::Component(2), "vector part, y"),
    prop(Q, "z", Num, "", Op::Component(3), "vector part, z"),
    func("norm", V2, Num, "", Op::Norm, "length"),
    func("norm", V3, Num, "", Op::Norm, "length"),
    func("norm", AR, Num, "", Op::Norm, "square root of the sum of squares"),
    func("norm2", V2, Num, "", Op::Norm2, "length squared"),
    func("norm2", V3, Num, "", Op::Norm2, "length squared"),
    func("norm2", AR, Num, "", Op::Norm2, "sum of squares"),
    func("dot", &[Vec2, Vec2], Num, "", Op::Dot, "scalar product"),
    func("dot", &[Vec3, Vec3], Num, "", Op::Dot, "scalar product"),
    func("dot", AA, Num, "", Op::Dot, "sum of products"),
    func("cross", &[Vec3, Vec3], Vec3, "", Op::Cross, "vector product"),
    func("unit", V2, Vec2, "", Op::Unit, "the vector divided by its length (0 stays 0)"),
    func("unit", V3, Vec3, "", Op::Unit, "the vector divided by its length (0 stays 0)"),
    func("diff2", AA, Num, "", Op::Diff2, "sum of squared differences of two arrays"),
    func("inv", Q, Quat, "", Op::Inverse, "the opposite rotation"),
    func("rotate", &[Quat, Vec3], Vec3, "", Op::Rotate, "a vector in body axes, turned into world axes"),
    func("rotate_inv", &[Quat, Vec3], Vec3, "", Op::RotateBack, "a vector in world axes, turned into body axes"),
    oper("+", &[Vec2, Vec2], Vec2, Op::Plus),
    oper("+", &[Vec3, Vec3], Vec3, Op::Plus),
    oper("-", &[Vec2, Vec2], Vec2, Op::Minus),
    oper("-", &[Vec3, Vec3], Vec3, Op::Minus),
    oper("-", V2, Vec2, Op::Negate),
    oper("-", V3, Vec3, Op::Negate),
    oper("*", &[Vec2, Num], Vec2, Op::Scale),
    oper("*", &[Vec3, Num], Vec3, Op::Scale),
    oper("*", &[Num, Vec2], Vec2, Op::ScaleLeft),
    oper("*", &[Num, Vec3], Vec3, Op::ScaleLeft),
    oper("/", &[Vec2, Num], Vec2, Op::Shrink),
    oper("/", &[Vec3, Num], Vec3, Op::Shrink),
    oper("*", &[Quat, Quat], Quat, Op::Hamilton),
    func("sum", AR, Num, "", Op::Sum, "sum; of an array of booleans, how many are true"),
    func("mean", AR, Num, "", Op::Mean, "mean"),
    func("min", AR, Num, "", Op::Lowest, "smallest"),
    func("max", AR, Num, "", Op::Highest, "largest"),
    func("any", AR, Bool, "", Op::Any, "is one of the booleans true?"),
    func("all", AR, Bool, "", Op::All, "are all booleans true?"),
    func("len", AR, Num, "", Op::Len, "number of elements"),
    func("abs", N1, Num, "", Op::Un(Un::Abs), "absolute value"),
    func("sqrt", N1, Num, "", Op::Un(Un::Sqrt), "square root"),
    func("exp", N1, Num, "", Op::Un(Un::Exp), "e to the power of x"),
    func("ln", N1, Num, "", Op::Un(Un::Ln), "natural logarithm"),
    func("log", N1, Num, "", Op::Un(Un::Ln), "natural logarithm"),
    func("sin", N1, Num, "", Op::Un(Un::Sin), "sine of an angle in radians"),
    func("cos", N1, Num, "", Op::Un(Un::Cos), "cosine of an angle in radians"),
    func("tan", N1, Num, "", Op::Un(Un::Tan), "tangent of an angle in radians"),
    func("asin", N1, Num, "rad", Op::Un(Un::Asin), "inverse sine"),
    func("acos", N1, Num, "rad", Op::Un(Un::Acos), "inverse cosine"),
    func("atan", N1, Num, "rad", Op::Un(Un::Atan), "inverse tangent"),
    func("atan2", N2, Num, "rad", Op::Bin(Bin::Atan2), "angle of the point (x, y): atan2(y, x)"),
    func("tanh", N1, Num, "", Op::Un(Un::Tanh), "hyperbolic tangent"),
    func("floor", N1, Num, "", Op::Un(Un::Floor), "largest whole number not above x"),
    func("ceil", N1, Num, "", Op::Un(Un::Ceil), "smallest whole number not below x"),
    func("round", N1, Num, "", Op::Un(Un::Round), "nearest whole number, halves away from 0"),
    func("sign", N1, Num, "", Op::Un(Un::Sign), "-1, 0 or 1"),
    func("min", N2, Num, "", Op::Bin(Bin::Min), "the smaller"),
    func("max", N2, Num, "", Op::Bin(Bin::Max), "the larger"),
    func("pow", N2, Num, "", Op::Bin(Bin::Pow), "x to the power of y"),
    func("clamp", N3, Num, "", Op::Clamp, "x, not below the second and not above the third"),
    func("lerp", N3, Num, "", Op::Lerp, "a + (b - a) t"),
    func("wrap_pi", N1, Num, "rad", Op::Wrap, "the same angle from -pi to pi"),
    func("smoothstep", N3, Num, "", Op::Smoothstep, "0 below lo, 1 above hi, smooth between: smoothstep(lo, hi, x)"),
    func("exp_kernel", N2, Num, "", Op::ExpKernel, "exp(-e2 / sigma^2) of a squared error: 1 at no error"),
    func(
        "tolerance",
        N4,
        Num,
        "",
        Op::Tolerance,
        "1 from lo to hi, falling to 0.1 at a distance of margin: tolerance(x, lo, hi, margin)",
    ),
    func("to_float", N1, Num, "", Op::ToNumber, "the number as a float"),
    func("to_int", N1, Num, "", Op::ToInt, "the number without its fraction"),
    func("PI", &[], Num, "rad", Op::Pi, "half a turn"),
];

impl Builtin {
    /// How it is written: `body.linvel`, `tolerance(number, number, number, number)`.
    pub fn usage(&self) -> String {
        let names: Vec<&str> = self.args.iter().map(|t| t.name()).collect();
        match (self.form, names.as_slice()) {
            (Form::Property, [on, ..]) => format!("{on}.{}", self.name),
            (Form::Operator, [x]) => format!("{}{x}", self.name),
            (Form::Operator, [x, y, ..]) => format!("{x} {} {y}", self.name),
            (Form::Function, [on @ ("state" | "array" | "vec3" | "vec2" | "quat"), rest @ ..]) => {
                format!("{on}.{}({})", self.name, rest.join(", "))
            }
            (_, arguments) => format!("{}({})", self.name, arguments.join(", ")),
        }
    }
}

/// Rows of that name that are used as `form`.
pub(crate) fn rows(name: &str, form: Form) -> impl Iterator<Item = &'static Builtin> {
    BUILTINS.iter().filter(move |b| b.form == form && b.name == name)
}

/// What an array does with a closure. These are lowered with the syntax tree (`lower_expr.rs`): name, use, result, what
/// it is.
pub const CLOSURES: &[(&str, &str, &str, &str)] = &[
    ("map", "array.map(|x| ...)", "array", "what the closure makes of each element; `|x, i|` is given the index too"),
    ("all", "array.all(|x| ...)", "bool", "is the closure true for all elements?"),
    ("some", "array.some(|x| ...)", "bool", "is the closure true for one element at least?"),
    ("reduce", "array.reduce(|sum, x| ..., start)", "number", "the closure over all elements, one after the other"),
];

/// The whole table as a Markdown page.
pub fn documentation() -> String {
    use std::fmt::Write;
    let mut out = String::from("| write | gives | unit | what it is |\n| --- | --- | --- | --- |\n");
    for b in BUILTINS {
        let _ = writeln!(out, "| `{}` | {} | {} | {} |", b.usage(), b.ret.name(), b.unit, b.doc);
    }
    for (_, usage, ret, doc) in CLOSURES {
        let _ = writeln!(out, "| `{}` | {ret} |  | {doc} |", usage.replace('|', "\\|"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_stands_twice_and_every_row_is_documented() {
        for (i, a) in BUILTINS.iter().enumerate() {
            assert!(!a.doc.is_empty() && !a.name.is_empty());
            let twin = BUILTINS[..i].iter().find(|b| b.name == a.name && b.form == a.form && b.args == a.args);
            assert!(twin.is_none(), "{a:?}");
        }
        let page = documentation();
        assert!(page.contains("| `body.linvel` | vec3 | m/s |") && page.contains("`array.norm2()`"), "{page}");
    }
}
