//! Values of scripts, generic over what a number is: an `f64` when interpreted, a node of the program when lowered.
//!
//! Built-ins are written once against [`Builder`], so they mean the same in both.

use crate::scene::{Input, Scene};
use std::collections::BTreeMap;

/// Operations on one number. Booleans are numbers: 0 is false, everything else true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Un {
    #[doc = "`-x`"]
    Neg,
    #[doc = "Absolute value."]
    Abs,
    #[doc = "Square root."]
    Sqrt,
    #[doc = "e to the power of x."]
    Exp,
    #[doc = "Natural logarithm."]
    Ln,
    #[doc = "Sine."]
    Sin,
    #[doc = "Cosine."]
    Cos,
    #[doc = "Tangent."]
    Tan,
    #[doc = "Inverse sine."]
    Asin,
    #[doc = "Inverse cosine."]
    Acos,
    #[doc = "Inverse tangent."]
    Atan,
    #[doc = "Hyperbolic tangent."]
    Tanh,
    #[doc = "Largest whole number not above x."]
    Floor,
    #[doc = "Smallest whole number not below x."]
    Ceil,
    #[doc = "Nearest whole number."]
    Round,
    #[doc = "x without its fraction."]
    Trunc,
    #[doc = "-1, 0 or 1."]
    Sign,
    #[doc = "1 where x is 0, else 0."]
    Not,
}

/// Operations on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bin {
    #[doc = "`a + b`"]
    Add,
    #[doc = "`a - b`"]
    Sub,
    #[doc = "`a b`"]
    Mul,
    #[doc = "`a / b`"]
    Div,
    #[doc = "Remainder."]
    Rem,
    #[doc = "a to the power of b."]
    Pow,
    #[doc = "The smaller."]
    Min,
    #[doc = "The larger."]
    Max,
    #[doc = "Angle of the point (b, a)."]
    Atan2,
    #[doc = "1 where `a < b`, else 0."]
    Lt,
    #[doc = "1 where `a <= b`, else 0."]
    Le,
    #[doc = "1 where `a == b`, else 0."]
    Eq,
    #[doc = "1 where `a != b`, else 0."]
    Ne,
    #[doc = "1 where both are true, else 0."]
    And,
    #[doc = "1 where one is true, else 0."]
    Or,
}

impl Un {
    /// The operation on `f64`: the reference.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Un::Neg => -x,
            Un::Abs => x.abs(),
            Un::Sqrt => x.sqrt(),
            Un::Exp => x.exp(),
            Un::Ln => x.ln(),
            Un::Sin => x.sin(),
            Un::Cos => x.cos(),
            Un::Tan => x.tan(),
            Un::Asin => x.asin(),
            Un::Acos => x.acos(),
            Un::Atan => x.atan(),
            Un::Tanh => x.tanh(),
            Un::Floor => x.floor(),
            Un::Ceil => x.ceil(),
            Un::Round => x.round(),
            Un::Trunc => x.trunc(),
            Un::Sign => f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
            Un::Not => f64::from(x == 0.0),
        }
    }
}

impl Bin {
    /// The operation on `f64`: the reference.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Bin::Add => a + b,
            Bin::Sub => a - b,
            Bin::Mul => a * b,
            Bin::Div => a / b,
            Bin::Rem => a % b,
            Bin::Pow => a.powf(b),
            Bin::Min => a.min(b),
            Bin::Max => a.max(b),
            Bin::Atan2 => a.atan2(b),
            Bin::Lt => f64::from(a < b),
            Bin::Le => f64::from(a <= b),
            Bin::Eq => f64::from(a == b),
            Bin::Ne => f64::from(a != b),
            Bin::And => f64::from(a != 0.0 && b != 0.0),
            Bin::Or => f64::from(a != 0.0 || b != 0.0),
        }
    }
}

/// What computes with numbers.
pub(crate) trait Builder {
    /// A number.
    type N: Copy + PartialEq + std::fmt::Debug;
    fn scene(&self) -> &Scene;
    fn lit(&mut self, x: f64) -> Self::N;
    fn un(&mut self, op: Un, x: Self::N) -> Self::N;
    fn bin(&mut self, op: Bin, a: Self::N, b: Self::N) -> Self::N;
    /// `a` where `c` is true, else `b`.
    fn sel(&mut self, c: Self::N, a: Self::N, b: Self::N) -> Self::N;
    /// A column of the state.
    fn input(&mut self, input: Input) -> Self::N;

    fn add(&mut self, a: Self::N, b: Self::N) -> Self::N {
        self.bin(Bin::Add, a, b)
    }
    fn sub(&mut self, a: Self::N, b: Self::N) -> Self::N {
        self.bin(Bin::Sub, a, b)
    }
    fn mul(&mut self, a: Self::N, b: Self::N) -> Self::N {
        self.bin(Bin::Mul, a, b)
    }
    fn dot(&mut self, a: &[Self::N], b: &[Self::N]) -> Self::N {
        let mut sum = None;
        for (&x, &y) in a.iter().zip(b) {
            let p = self.mul(x, y);
            sum = Some(match sum {
                None => p,
                Some(s) => self.add(s, p),
            });
        }
        sum.unwrap_or_else(|| self.lit(0.0))
    }
    fn cross(&mut self, a: [Self::N; 3], b: [Self::N; 3]) -> [Self::N; 3] {
        let mut part = |i: usize, j: usize| {
            let x = self.mul(a[i], b[j]);
            let y = self.mul(a[j], b[i]);
            self.sub(x, y)
        };
        [part(1, 2), part(2, 0), part(0, 1)]
    }
    /// Body to world: `v + 2 w (u x v) + 2 u x (u x v)`, `q = (w, u)` of unit length.
    fn rotate(&mut self, q: [Self::N; 4], v: [Self::N; 3]) -> [Self::N; 3] {
        let u = [q[1], q[2], q[3]];
        let two = self.lit(2.0);
        let t = self.cross(u, v).map(|x| self.mul(two, x));
        let s = self.cross(u, t);
        let mut out = v;
        for i in 0..3 {
            let wt = self.mul(q[0], t[i]);
            let a = self.add(v[i], wt);
            out[i] = self.add(a, s[i]);
        }
        out
    }
    fn conj(&mut self, q: [Self::N; 4]) -> [Self::N; 4] {
        [q[0], self.un(Un::Neg, q[1]), self.un(Un::Neg, q[2]), self.un(Un::Neg, q[3])]
    }
}

/// Things of the scene that have properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    State,
    Body,
    Joint,
    Actuator,
    Foot,
    Site,
    Com,
}

/// One thing of the scene, now or before the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handle {
    pub kind: Kind,
    pub index: u16,
    pub prev: bool,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<N> {
    Unit,
    Bool(N),
    /// A whole number: division truncates, as rhai's does.
    Int(N),
    Num(N),
    Str(String),
    Vec2([N; 2]),
    Vec3([N; 3]),
    /// `w, x, y, z`.
    Quat([N; 4]),
    Array(Vec<Value<N>>),
    Map(BTreeMap<String, Value<N>>),
    Handle(Handle),
    /// A function by name, with values captured before its arguments.
    Fn(String, Vec<Value<N>>),
    /// Whole numbers from the first to before the second.
    Range(i64, i64),
}

impl<N: Copy> Value<N> {
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Unit => "()",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Num(_) => "number",
            Value::Str(_) => "string",
            Value::Vec2(_) => "vec2",
            Value::Vec3(_) => "vec3",
            Value::Quat(_) => "quat",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
            Value::Handle(h) => h.kind.name(),
            Value::Fn(..) => "function",
            Value::Range(..) => "range",
        }
    }

    /// The number, of an int or a float.
    pub fn num(&self) -> Option<N> {
        match self {
            Value::Num(n) | Value::Int(n) => Some(*n),
            _ => None,
        }
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::State => "state",
            Kind::Body => "body",
            Kind::Joint => "joint",
            Kind::Actuator => "actuator",
            Kind::Foot => "foot",
            Kind::Site => "site",
            Kind::Com => "com",
        }
    }
}
