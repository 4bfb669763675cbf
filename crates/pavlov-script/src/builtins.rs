//! What every row of the table does, written once for the interpreter and the lowering.

use crate::scene::{Channel, Input, Scene};
use crate::table::{BUILTINS, Builtin, Form, Op, Ty, rows};
use crate::value::{Bin, Builder, Handle, Kind, Un, Value};

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub rule: &'static str,
    pub message: String,
    pub hint: String,
}

pub(crate) fn fault(rule: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault { rule, message: message.into(), hint: hint.into() }
}

/// Does `value` fit `ty`?
pub(crate) fn fits<N: Copy>(value: &Value<N>, ty: Ty) -> bool {
    match (value, ty) {
        (Value::Num(_) | Value::Int(_), Ty::Num)
        | (Value::Bool(_), Ty::Bool)
        | (Value::Str(_), Ty::Str)
        | (Value::Vec2(_), Ty::Vec2)
        | (Value::Vec3(_), Ty::Vec3)
        | (Value::Quat(_), Ty::Quat)
        | (Value::Array(_), Ty::Array)
        | (Value::Map(_), Ty::Map) => true,
        (Value::Handle(h), Ty::Handle(kind)) => h.kind == kind,
        _ => false,
    }
}

/// The row of that name and form which takes these arguments.
pub(crate) fn find<N: Copy>(name: &str, form: Form, args: &[Value<N>]) -> Option<&'static Builtin> {
    rows(name, form).find(|b| takes(b, args))
}

/// Does the row take these arguments?
pub(crate) fn takes<N: Copy>(row: &Builtin, args: &[Value<N>]) -> bool {
    row.args.len() == args.len() && args.iter().zip(row.args).all(|(a, t)| fits(a, *t))
}

/// Names of the properties of a value of this type.
pub(crate) fn properties<N: Copy>(value: &Value<N>) -> Vec<&'static str> {
    let fits = |b: &&Builtin| b.form == Form::Property && fits(value, b.args[0]);
    BUILTINS.iter().filter(fits).map(|b| b.name).collect()
}

type Result<N> = std::result::Result<Value<N>, Fault>;

/// Applies a row to arguments that fit it.
pub(crate) fn apply<B: Builder>(b: &mut B, row: &Builtin, args: &[Value<B::N>]) -> Result<B::N> {
    if let Some(Value::Handle(h)) = args.first() {
        return of_scene(b, row.op, *h, args);
    }
    let numbers: Vec<B::N> = args.iter().filter_map(Value::num).collect();
    let of_elements = |args: &[Value<B::N>]| -> std::result::Result<Vec<Vec<B::N>>, Fault> {
        args.iter().filter_map(|a| elements(a).transpose()).collect()
    };
    Ok(match row.op {
        Op::Un(op) => Value::Num(b.un(op, numbers[0])),
        Op::Bin(op) => Value::Num(b.bin(op, numbers[0], numbers[1])),
        Op::Pi => Value::Num(b.lit(std::f64::consts::PI)),
        Op::ToNumber => Value::Num(numbers[0]),
        Op::ToInt => Value::Int(b.un(Un::Trunc, numbers[0])),
        Op::Make => vector(&numbers),
        Op::Clamp => {
            let low = b.bin(Bin::Max, numbers[0], numbers[1]);
            Value::Num(b.bin(Bin::Min, low, numbers[2]))
        }
        Op::Lerp => {
            let span = b.sub(numbers[1], numbers[0]);
            let part = b.mul(span, numbers[2]);
            Value::Num(b.add(numbers[0], part))
        }
        Op::Wrap => {
            // x - 2 pi round(x / 2 pi)
            let turn = b.lit(std::f64::consts::TAU);
            let turns = b.bin(Bin::Div, numbers[0], turn);
            let whole = b.un(Un::Round, turns);
            let off = b.mul(whole, turn);
            Value::Num(b.sub(numbers[0], off))
        }
        Op::ExpKernel => {
            let s2 = b.mul(numbers[1], numbers[1]);
            let ratio = b.bin(Bin::Div, numbers[0], s2);
            let power = b.un(Un::Neg, ratio);
            Value::Num(b.un(Un::Exp, power))
        }
        Op::Tolerance => {
            // Distance outside [lo, hi] in units of margin; gaussian with value 0.1 at 1. Without margin: 1 inside, 0
            // outside.
            let (x, lo, hi, margin) = (numbers[0], numbers[1], numbers[2], numbers[3]);
            let below = b.sub(lo, x);
            let above = b.sub(x, hi);
            let out = b.bin(Bin::Max, below, above);
            let zero = b.lit(0.0);
            let distance = b.bin(Bin::Max, out, zero);
            let inside = b.bin(Bin::Le, distance, zero);
            let soft = b.bin(Bin::Lt, zero, margin);
            let one = b.lit(1.0);
            let safe = b.sel(soft, margin, one);
            let d = b.bin(Bin::Div, distance, safe);
            let d2 = b.mul(d, d);
            let log = b.lit(0.1f64.ln());
            let power = b.mul(log, d2);
            let fall = b.un(Un::Exp, power);
            let outside = b.sel(soft, fall, zero);
            Value::Num(b.sel(inside, one, outside))
        }
        Op::Smoothstep => {
            let (lo, hi, x) = (numbers[0], numbers[1], numbers[2]);
            let num = b.sub(x, lo);
            let den = b.sub(hi, lo);
            let ratio = b.bin(Bin::Div, num, den);
            let (zero, one, two, three) = (b.lit(0.0), b.lit(1.0), b.lit(2.0), b.lit(3.0));
            let low = b.bin(Bin::Max, ratio, zero);
            let t = b.bin(Bin::Min, low, one);
            let t2 = b.mul(t, t);
            let twice = b.mul(two, t);
            let rest = b.sub(three, twice);
            Value::Num(b.mul(t2, rest))
        }
        Op::Component(i) => {
            let v = elements(&args[0])?.unwrap_or_default();
            Value::Num(v[usize::from(i)])
        }
        Op::Xy => {
            let v = elements(&args[0])?.unwrap_or_default();
            Value::Vec2([v[0], v[1]])
        }
        Op::Len => {
            let Value::Array(a) = &args[0] else { unreachable!("checked by `fits`") };
            Value::Int(b.lit(a.len() as f64))
        }
        Op::Rotate | Op::RotateBack => {
            let (Value::Quat(q), Value::Vec3(v)) = (&args[0], &args[1]) else { unreachable!("checked by `fits`") };
            let q = if row.op == Op::Rotate { *q } else { b.conj(*q) };
            Value::Vec3(b.rotate(q, *v))
        }
        Op::Inverse => {
            let Value::Quat(q) = args[0] else { unreachable!("checked by `fits`") };
            Value::Quat(b.conj(q))
        }
        Op::Hamilton => {
            let (Value::Quat(p), Value::Quat(q)) = (&args[0], &args[1]) else { unreachable!("checked by `fits`") };
            let w = b.mul(p[0], q[0]);
            let d = b.dot(&p[1..], &q[1..]);
            let c = b.cross([p[1], p[2], p[3]], [q[1], q[2], q[3]]);
            let mut out = [b.sub(w, d); 4];
            for i in 0..3 {
                let x = b.mul(p[0], q[i + 1]);
                let y = b.mul(q[0], p[i + 1]);
                let xy = b.add(x, y);
                out[i + 1] = b.add(xy, c[i]);
            }
            Value::Quat(out)
        }
        Op::Cross => {
            let (Value::Vec3(x), Value::Vec3(y)) = (&args[0], &args[1]) else { unreachable!("checked by `fits`") };
            Value::Vec3(b.cross(*x, *y))
        }
        _ => return on_elements(b, row.op, &of_elements(args)?, &numbers, args),
    })
}

/// Rows over the elements of vectors and arrays.
fn on_elements<B: Builder>(b: &mut B, op: Op, e: &[Vec<B::N>], numbers: &[B::N], args: &[Value<B::N>]) -> Result<B::N> {
    if let [x, y, ..] = e
        && x.len() != y.len()
    {
        let message = format!("arrays of {} and {} elements", x.len(), y.len());
        return Err(fault("shape", message, "both must have the same length"));
    }
    let x = &e[0];
    let zip = |b: &mut B, op: Bin| -> Vec<B::N> { x.iter().zip(&e[1]).map(|(&p, &q)| b.bin(op, p, q)).collect() };
    let fold = |b: &mut B, op: Bin| -> Option<B::N> { x.iter().copied().reduce(|p, q| b.bin(op, p, q)) };
    Ok(match op {
        Op::Norm2 => Value::Num(b.dot(x, x)),
        Op::Norm => {
            let n2 = b.dot(x, x);
            Value::Num(b.un(Un::Sqrt, n2))
        }
        Op::Dot => Value::Num(b.dot(x, &e[1])),
        Op::Diff2 => {
            let d = zip(b, Bin::Sub);
            Value::Num(b.dot(&d, &d))
        }
        Op::Unit => {
            let n2 = b.dot(x, x);
            let n = b.un(Un::Sqrt, n2);
            let zero = b.lit(0.0);
            let positive = b.bin(Bin::Lt, zero, n);
            let one = b.lit(1.0);
            let safe = b.sel(positive, n, one);
            let out: Vec<B::N> = x.iter().map(|&p| b.bin(Bin::Div, p, safe)).collect();
            vector(&out)
        }
        Op::Plus => vector(&zip(b, Bin::Add)),
        Op::Minus => vector(&zip(b, Bin::Sub)),
        Op::Negate => vector(&x.iter().map(|&p| b.un(Un::Neg, p)).collect::<Vec<_>>()),
        Op::Scale | Op::ScaleLeft => vector(&x.iter().map(|&p| b.mul(p, numbers[0])).collect::<Vec<_>>()),
        Op::Shrink => vector(&x.iter().map(|&p| b.bin(Bin::Div, p, numbers[0])).collect::<Vec<_>>()),
        Op::Sum | Op::Mean => {
            let sum = fold(b, Bin::Add);
            if op == Op::Sum {
                Value::Num(sum.unwrap_or_else(|| b.lit(0.0)))
            } else {
                let sum = sum.ok_or_else(|| fault("shape", "mean of an empty array", ""))?;
                let n = b.lit(x.len() as f64);
                Value::Num(b.bin(Bin::Div, sum, n))
            }
        }
        Op::Lowest | Op::Highest => {
            let which = if op == Op::Lowest { Bin::Min } else { Bin::Max };
            Value::Num(fold(b, which).ok_or_else(|| fault("shape", "smallest or largest of an empty array", ""))?)
        }
        Op::Any => {
            bools(&args[0])?;
            Value::Bool(fold(b, Bin::Or).unwrap_or_else(|| b.lit(0.0)))
        }
        Op::All => {
            bools(&args[0])?;
            Value::Bool(fold(b, Bin::And).unwrap_or_else(|| b.lit(1.0)))
        }
        _ => unreachable!("{op:?} is not over elements"),
    })
}

fn bools<N: Copy>(value: &Value<N>) -> std::result::Result<(), Fault> {
    match value {
        Value::Array(a) if a.iter().all(|v| matches!(v, Value::Bool(_))) => Ok(()),
        _ => Err(fault("type", "`any` and `all` take an array of booleans", "compare first: `a.map(|x| x > 0.0)`")),
    }
}

/// The numbers of a vector or array; `None` for plain numbers.
fn elements<N: Copy>(value: &Value<N>) -> std::result::Result<Option<Vec<N>>, Fault> {
    Ok(match value {
        Value::Vec2(v) => Some(v.to_vec()),
        Value::Vec3(v) => Some(v.to_vec()),
        Value::Quat(v) => Some(v.to_vec()),
        Value::Array(a) => {
            let number = |v: &Value<N>| match v {
                Value::Num(n) | Value::Int(n) | Value::Bool(n) => Ok(*n),
                other => {
                    let message = format!("an array of numbers is needed, but an element is a {}", other.type_name());
                    Err(fault("type", message, "use `.map(|x| ...)` to get numbers"))
                }
            };
            Some(a.iter().map(number).collect::<std::result::Result<_, _>>()?)
        }
        _ => None,
    })
}

fn vector<N: Copy>(n: &[N]) -> Value<N> {
    match *n {
        [x, y] => Value::Vec2([x, y]),
        [x, y, z] => Value::Vec3([x, y, z]),
        [w, x, y, z] => Value::Quat([w, x, y, z]),
        _ => unreachable!("vectors have 2 to 4 numbers"),
    }
}

/// Rows that read the scene.
fn of_scene<B: Builder>(b: &mut B, op: Op, h: Handle, args: &[Value<B::N>]) -> Result<B::N> {
    let i = h.index;
    let prev = h.prev;
    let handle = |kind, index| Value::Handle(Handle { kind, index, prev });
    let number = |b: &mut B, channel| Value::Num(b.input(Input { channel, prev }));
    let three =
        |b: &mut B, make: &dyn Fn(u8) -> Channel| [0, 1, 2].map(|axis| b.input(Input { channel: make(axis), prev }));
    let quat =
        |b: &mut B| [0, 1, 2, 3].map(|axis| b.input(Input { channel: Channel::BodyQuat { body: i, axis }, prev }));
    let list = |b: &mut B, n: usize, make: &dyn Fn(u16) -> Channel| {
        Value::Array((0..n as u16).map(|k| Value::Num(b.input(Input { channel: make(k), prev }))).collect())
    };
    let handles = |kind, n: usize| Value::Array((0..n as u16).map(|k| handle(kind, k)).collect());
    Ok(match (op, h.kind) {
        (Op::Time, _) => number(b, Channel::Time),
        (Op::Step, _) => number(b, Channel::EpisodeStep),
        (Op::Dt, _) => {
            let dt = b.scene().dt;
            Value::Num(b.lit(dt))
        }
        (Op::Qpos, _) => {
            let n = b.scene().nq;
            list(b, n, &Channel::Qpos)
        }
        (Op::Qvel, _) => {
            let n = b.scene().nv;
            list(b, n, &Channel::Qvel)
        }
        (Op::Action, _) => {
            let n = b.scene().action_dim;
            list(b, n, &Channel::Action)
        }
        (Op::PrevAction, _) => {
            let n = b.scene().action_dim;
            list(b, n, &Channel::PrevAction)
        }
        (Op::CfrcExt, _) => {
            let n = 6 * b.scene().bodies.len();
            list(b, n, &Channel::CfrcExt)
        }
        (Op::Command, _) => {
            let names = b.scene().commands.clone();
            let value = |b: &mut B, k: usize| number(b, Channel::Command(k as u16));
            Value::Map(names.into_iter().enumerate().map(|(k, n)| (n, value(b, k))).collect())
        }
        (Op::Prev, _) => {
            if prev {
                return Err(fault(
                    "unknown-name",
                    "only one state before the present is kept",
                    "remember more in `memory`",
                ));
            }
            Value::Handle(Handle { prev: true, ..h })
        }
        (Op::Joints, _) => {
            let scalar = b.scene().joints.iter().enumerate().filter(|(_, j)| j.scalar);
            Value::Array(scalar.map(|(k, _)| handle(Kind::Joint, k as u16)).collect())
        }
        (Op::Actuators, _) => handles(Kind::Actuator, b.scene().actuators.len()),
        (Op::Feet, _) => handles(Kind::Foot, b.scene().feet.len()),
        (Op::CenterOfMass, _) => handle(Kind::Com, 0),
        (Op::Named(kind), _) => {
            let Value::Str(name) = &args[1] else { unreachable!("checked by `fits`") };
            handle(kind, named(b.scene(), kind, name)?)
        }
        (Op::Sensor, _) => {
            let Value::Str(name) = &args[1] else { unreachable!("checked by `fits`") };
            let names = || b.scene().sensors.iter().map(|s| s.name.as_str());
            let sensor = lookup("sensor", name, names())?;
            let dim = b.scene().sensors[usize::from(sensor)].dim;
            list(b, dim, &|k| Channel::Sensor { sensor, k })
        }
        (Op::Pos, Kind::Body) => Value::Vec3(three(b, &|axis| Channel::BodyPos { body: i, axis })),
        (Op::Pos, Kind::Foot) => Value::Vec3(three(b, &|axis| Channel::FootPos { foot: i, axis })),
        (Op::Pos, Kind::Site) => Value::Vec3(three(b, &|axis| Channel::SitePos { site: i, axis })),
        (Op::Pos, _) => Value::Vec3(three(b, &Channel::Com)),
        (Op::LinVel, Kind::Body) => Value::Vec3(three(b, &|axis| Channel::BodyLinVel { body: i, axis })),
        (Op::LinVel, Kind::Foot) => Value::Vec3(three(b, &|axis| Channel::FootVel { foot: i, axis })),
        (Op::LinVel, Kind::Site) => Value::Vec3(three(b, &|axis| Channel::SiteVel { site: i, axis })),
        (Op::LinVel, _) => Value::Vec3(three(b, &Channel::ComVel)),
        (Op::Force, Kind::Body) => Value::Vec3(three(b, &|axis| Channel::BodyForce { body: i, axis })),
        (Op::Force, Kind::Foot) => Value::Vec3(three(b, &|axis| Channel::FootForce { foot: i, axis })),
        (Op::Force, _) => number(b, Channel::ActuatorForce(i)),
        (Op::Contact, Kind::Body) => number(b, Channel::BodyContact(i)),
        (Op::Contact, _) => number(b, Channel::FootContact(i)),
        (Op::Height, Kind::Foot) => number(b, Channel::FootPos { foot: i, axis: 2 }),
        (Op::Height, _) => number(b, Channel::BodyPos { body: i, axis: 2 }),
        (Op::AngVel, _) => Value::Vec3(three(b, &|axis| Channel::BodyAngVel { body: i, axis })),
        (Op::Orientation, _) => Value::Quat(quat(b)),
        (Op::LocalLinVel | Op::LocalAngVel, _) => {
            let v = three(b, &|axis| match op {
                Op::LocalLinVel => Channel::BodyLinVel { body: i, axis },
                _ => Channel::BodyAngVel { body: i, axis },
            });
            let q = quat(b);
            let back = b.conj(q);
            Value::Vec3(b.rotate(back, v))
        }
        (Op::Axis(k), _) => {
            let q = quat(b);
            let m = matrix(b, q);
            Value::Vec3([m[0][usize::from(k)], m[1][usize::from(k)], m[2][usize::from(k)]])
        }
        (Op::Gravity, _) => {
            let q = quat(b);
            let m = matrix(b, q);
            Value::Vec3(m[2].map(|x| b.un(Un::Neg, x)))
        }
        (Op::Roll | Op::Pitch | Op::Yaw, _) => {
            let q = quat(b);
            let m = matrix(b, q);
            Value::Num(match op {
                Op::Roll => b.bin(Bin::Atan2, m[2][1], m[2][2]),
                Op::Yaw => b.bin(Bin::Atan2, m[1][0], m[0][0]),
                _ => {
                    let (lo, hi) = (b.lit(-1.0), b.lit(1.0));
                    let s = b.un(Un::Neg, m[2][0]);
                    let s = b.bin(Bin::Max, s, lo);
                    let s = b.bin(Bin::Min, s, hi);
                    b.un(Un::Asin, s)
                }
            })
        }
        (Op::JointPos, _) => number(b, Channel::JointPos(i)),
        (Op::JointVel, _) => number(b, Channel::JointVel(i)),
        (Op::JointTorque, _) => number(b, Channel::JointTorque(i)),
        (Op::JointAcc, _) => number(b, Channel::JointAcc(i)),
        (Op::JointLower | Op::JointUpper | Op::JointDefault, _) => {
            let joint = &b.scene().joints[usize::from(i)];
            let x = match op {
                Op::JointLower => joint.range.map_or(f64::NEG_INFINITY, |r| r[0]),
                Op::JointUpper => joint.range.map_or(f64::INFINITY, |r| r[1]),
                _ => joint.default,
            };
            Value::Num(b.lit(x))
        }
        (Op::Ctrl, _) => number(b, Channel::ActuatorCtrl(i)),
        _ => unreachable!("{op:?} is not of a {:?}", h.kind),
    })
}

/// Rows of the rotation matrix of a unit quaternion (physics.md 1).
fn matrix<B: Builder>(b: &mut B, q: [B::N; 4]) -> [[B::N; 3]; 3] {
    let two = b.lit(2.0);
    let one = b.lit(1.0);
    let [w, x, y, z] = q;
    let mut twice = |p: B::N, r: B::N| {
        let pr = b.mul(p, r);
        b.mul(two, pr)
    };
    let (xx, yy, zz) = (twice(x, x), twice(y, y), twice(z, z));
    let (xy, xz, yz) = (twice(x, y), twice(x, z), twice(y, z));
    let (wx, wy, wz) = (twice(w, x), twice(w, y), twice(w, z));
    let mut diagonal = |p: B::N, r: B::N| {
        let rest = b.sub(one, p);
        b.sub(rest, r)
    };
    let (a, e, i) = (diagonal(yy, zz), diagonal(xx, zz), diagonal(xx, yy));
    [[a, b.sub(xy, wz), b.add(xz, wy)], [b.add(xy, wz), e, b.sub(yz, wx)], [b.sub(xz, wy), b.add(yz, wx), i]]
}

fn lookup<'a>(kind: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> std::result::Result<u16, Fault> {
    match names.clone().position(|n| n == name) {
        Some(i) => Ok(i as u16),
        None => {
            let hint = pavlov_model::did_you_mean(name, names);
            Err(fault("unknown-name", format!("no {kind} `{name}`"), hint))
        }
    }
}

fn named(scene: &Scene, kind: Kind, name: &str) -> std::result::Result<u16, Fault> {
    let list = |names: &[String]| lookup(kind.name(), name, names.iter().map(String::as_str));
    match kind {
        Kind::Body => list(&scene.bodies),
        Kind::Actuator => list(&scene.actuators),
        Kind::Site => list(&scene.sites),
        Kind::Foot => list(&scene.feet),
        _ => {
            let j = lookup("joint", name, scene.joints.iter().map(|j| j.name.as_str()))?;
            if scene.joints[usize::from(j)].scalar {
                Ok(j)
            } else {
                let hint = "read the pose and velocity of its body instead: s.body(\"...\")";
                Err(fault("type", format!("joint `{name}` is a free or ball joint without a single position"), hint))
            }
        }
    }
}
