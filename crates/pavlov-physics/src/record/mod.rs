//! A number that records the operations on it: the stages of the physics, run once with [`Rec`], become the text of a
//! GPU kernel.
//!
//! ```text
//! stage::<Rec>(model, ..., Data<Rec>) ─> Tape (a graph: equal nodes shared, constants folded in f64) ─> emit ─> WGSL
//! ```
//! Loops over the model's structure unroll, with the robot's constants folded; loops over what differs from world to
//! world (contacts, solver iterations) are written around recorded functions by the kernels. A mask cannot say whether
//! *any* world has a value while it is recorded, so [`Mask::any`] is true unless it is known to be false, and both
//! sides of a choice are recorded.
//!
//! Recording is per thread and cannot be nested: [`Function::record`] begins with an empty tape.

mod emit;
mod tape;

pub use emit::{Function, LIBRARY, float};
pub use tape::{Place, Space};

use crate::real::{Mask, Real};
use std::ops::{Add, AddAssign, BitAnd, BitOr, Div, Mul, MulAssign, Neg, Not, Sub, SubAssign};
use tape::{Binary, Compare, Id, Node, Unary, with};

/// A recorded number: a node of the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rec(pub(crate) Id);

/// A recorded truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecMask(pub(crate) Id);

impl Rec {
    /// The number stored at a place when the function begins.
    pub fn load(place: Place) -> Self {
        with(|t| Self(t.node(Node::Load(place))))
    }

    /// Stores the number when the function ends.
    pub fn store(self, place: Place) {
        with(|t| t.store(place, self.0));
    }

    /// A uniform number in `[0, 1)` of the counter-based generator, in the world's stream of `purpose`; `episode` and
    /// `step` hold whole numbers.
    pub fn unit(purpose: u32, episode: Self, step: Self, index: u32) -> Self {
        with(|t| Self(t.node(Node::Unit { purpose, episode: episode.0, step: step.0, index })))
    }

    /// One of the functions of one number that scripts know besides those of [`Real`]; `name` is that of a WGSL
    /// function.
    pub fn call(self, name: &'static str) -> Self {
        with(|t| Self(t.node(Node::Call(name, self.0, None))))
    }

    /// One of the functions of two numbers.
    pub fn call2(self, name: &'static str, other: Self) -> Self {
        with(|t| Self(t.node(Node::Call(name, self.0, Some(other.0)))))
    }

    /// The number, if it is known while recording.
    pub fn constant(self) -> Option<f64> {
        with(|t| t.constant(self.0))
    }

    fn unary(self, op: Unary) -> Self {
        Self(with(|t| t.unary(op, self.0)))
    }

    fn binary(self, op: Binary, other: Self) -> Self {
        Self(with(|t| t.binary(op, self.0, other.0)))
    }

    fn compare(self, op: Compare, other: Self) -> RecMask {
        RecMask(with(|t| t.compare(op, self.0, other.0)))
    }
}

impl RecMask {
    /// 1 where it is true, else 0.
    pub fn number(self) -> Rec {
        Rec::select(self, Rec::ONE, Rec::ZERO)
    }
}

impl BitAnd for RecMask {
    type Output = Self;
    fn bitand(self, rhs: Self) -> Self {
        Self(with(|t| t.both(self.0, rhs.0)))
    }
}
impl BitOr for RecMask {
    type Output = Self;
    fn bitor(self, rhs: Self) -> Self {
        Self(with(|t| t.either(self.0, rhs.0)))
    }
}
impl Not for RecMask {
    type Output = Self;
    fn not(self) -> Self {
        Self(with(|t| t.not(self.0)))
    }
}
impl Mask for RecMask {
    fn splat(value: bool) -> Self {
        Self(with(|t| t.truth(value)))
    }
    fn any(self) -> bool {
        with(|t| t.known(self.0)) != Some(false)
    }
    fn all(self) -> bool {
        with(|t| t.known(self.0)) == Some(true)
    }
    fn get(self, _: usize) -> bool {
        self.any()
    }
}

impl Add for Rec {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        self.binary(Binary::Add, rhs)
    }
}
impl Sub for Rec {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        self.binary(Binary::Sub, rhs)
    }
}
impl Mul for Rec {
    type Output = Self;
    fn mul(self, rhs: Self) -> Self {
        self.binary(Binary::Mul, rhs)
    }
}
impl Div for Rec {
    type Output = Self;
    fn div(self, rhs: Self) -> Self {
        self.binary(Binary::Div, rhs)
    }
}
impl Neg for Rec {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}
impl AddAssign for Rec {
    fn add_assign(&mut self, rhs: Self) {
        *self = *self + rhs;
    }
}
impl SubAssign for Rec {
    fn sub_assign(&mut self, rhs: Self) {
        *self = *self - rhs;
    }
}
impl MulAssign for Rec {
    fn mul_assign(&mut self, rhs: Self) {
        *self = *self * rhs;
    }
}

impl Real for Rec {
    type Mask = RecMask;
    // one world of many: code that tests for 1 means the f64 reference
    const LANES: usize = 32;
    const MIN_TOLERANCE: f64 = 1e-7;
    const ZERO: Self = Self(tape::ZERO);
    const ONE: Self = Self(tape::ONE);
    fn splat(value: f64) -> Self {
        Self(with(|t| t.literal(value)))
    }
    /// The value, if it is known while recording; NaN otherwise.
    fn get(self, _: usize) -> f64 {
        self.constant().unwrap_or(f64::NAN)
    }
    fn set(&mut self, _: usize, value: f64) {
        *self = Self::splat(value);
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(with(|t| t.fma(self.0, a.0, b.0)))
    }
    fn neg_mul_add(self, a: Self, b: Self) -> Self {
        (-self).mul_add(a, b)
    }
    fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt)
    }
    fn abs(self) -> Self {
        self.unary(Unary::Abs)
    }
    fn min(self, other: Self) -> Self {
        self.binary(Binary::Min, other)
    }
    fn max(self, other: Self) -> Self {
        self.binary(Binary::Max, other)
    }
    fn sin_cos(self) -> (Self, Self) {
        (self.unary(Unary::Sin), self.unary(Unary::Cos))
    }
    fn atan2(self, x: Self) -> Self {
        self.binary(Binary::Atan2, x)
    }
    fn powf(self, exponent: f64) -> Self {
        self.binary(Binary::Pow, Self::splat(exponent))
    }
    fn lt(self, other: Self) -> RecMask {
        self.compare(Compare::Lt, other)
    }
    fn le(self, other: Self) -> RecMask {
        self.compare(Compare::Le, other)
    }
    fn gt(self, other: Self) -> RecMask {
        other.compare(Compare::Lt, self)
    }
    fn ge(self, other: Self) -> RecMask {
        other.compare(Compare::Le, self)
    }
    fn select(mask: RecMask, yes: Self, no: Self) -> Self {
        Self(with(|t| t.select(mask.0, yes.0, no.0)))
    }
    fn floor(self) -> Self {
        self.call("floor")
    }
    fn same(self, other: Self) -> RecMask {
        self.compare(Compare::Eq, other)
    }
    fn is_finite(self) -> RecMask {
        RecMask(with(|t| t.node(Node::Finite(self.0))))
    }
    fn within(self, bound: f64) -> RecMask {
        RecMask(with(|t| t.node(Node::Within(self.0, (bound as f32).to_bits()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(index: u32) -> Place {
        Place { space: Space::Private("x"), index }
    }

    fn text(f: impl FnOnce()) -> String {
        Function::record("f", f).body().to_string()
    }

    #[test]
    fn constants_are_folded_and_equal_nodes_shared() {
        let body = text(|| {
            let (x, two) = (Rec::load(place(0)), Rec::splat(2.0));
            let a = (x * Rec::ONE + Rec::ZERO) * two * Rec::ZERO;
            let b = x * two + two * two;
            let c = x * two;
            (a + b + c).store(place(1));
            Rec::select(RecMask::splat(false) & x.lt(two), x, b).store(place(2));
        });
        assert_eq!(body.matches("x[0]").count(), 1, "{body}");
        assert_eq!(body.matches(" * ").count(), 1, "{body}");
        assert!(body.contains("4f") && !body.contains("select"), "{body}");
    }

    #[test]
    fn what_is_stored_over_is_loaded_first() {
        let body = text(|| {
            let (x, y) = (Rec::load(place(0)), Rec::load(place(1)));
            y.store(place(0));
            x.store(place(1));
        });
        let (first_store, last_load) = (body.find("x[0] =").unwrap(), body.rfind("= x[").unwrap());
        assert!(last_load < first_store, "{body}");
    }

    #[test]
    fn what_nobody_needs_is_not_written() {
        let body = text(|| {
            let x = Rec::load(place(3));
            let _ = Real::sqrt(x);
            (-x).store(place(4));
        });
        assert!(!body.contains("sqrt") && body.contains("-(") && body.contains("x[4]"), "{body}");
    }
}
