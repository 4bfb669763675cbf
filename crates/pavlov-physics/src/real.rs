//! The number type every stage is generic over: one world (`f64`) or eight worlds side by side ([`Lane`]).
//!
//! A stage never branches on a value; it asks for a [`Real::Mask`] and selects, or asks whether *any* world needs a
//! block. Loops run over the model's structure, which all worlds share.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, BitAnd, BitOr, Div, Mul, MulAssign, Neg, Not, Sub, SubAssign};
use wide::f32x8;

/// Eight worlds, one `f32` each.
pub type Lane = f32x8;

/// Worlds in a [`Lane`].
pub const LANES: usize = 8;

/// A truth value per world.
pub trait Mask: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> + Debug + Send + Sync {
    /// The same value for every world.
    fn splat(value: bool) -> Self;
    /// Is it true for at least one world?
    fn any(self) -> bool;
    /// Is it true for every world?
    fn all(self) -> bool;
    /// The value of world `i`.
    fn get(self, i: usize) -> bool;
}

/// A real number per world.
pub trait Real:
    Copy
    + Debug
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// Result of comparisons.
    type Mask: Mask;
    /// Number of worlds.
    const LANES: usize;
    /// Smallest Newton tolerance that rounding lets this type reach.
    const MIN_TOLERANCE: f64;
    /// Zero in every world.
    const ZERO: Self;
    /// One in every world.
    const ONE: Self;
    /// The same value for every world.
    fn splat(value: f64) -> Self;
    /// The value of world `i`.
    fn get(self, i: usize) -> f64;
    /// Sets the value of world `i`.
    fn set(&mut self, i: usize, value: f64);
    /// `self * a + b`.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `b - self * a`.
    fn neg_mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Smaller of two numbers.
    fn min(self, other: Self) -> Self;
    /// Larger of two numbers.
    fn max(self, other: Self) -> Self;
    /// Sine and cosine.
    fn sin_cos(self) -> (Self, Self);
    /// Angle of the point (x, self).
    fn atan2(self, x: Self) -> Self;
    /// Power with a positive base.
    fn powf(self, exponent: f64) -> Self;
    /// `self < other`.
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other`.
    fn le(self, other: Self) -> Self::Mask;
    /// `self > other`.
    fn gt(self, other: Self) -> Self::Mask;
    /// `self >= other`.
    fn ge(self, other: Self) -> Self::Mask;
    /// `mask ? yes : no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `mask ? self : 0`.
    fn masked(self, mask: Self::Mask) -> Self {
        Self::select(mask, self, Self::ZERO)
    }
    /// Largest whole number not above it.
    fn floor(self) -> Self;
    /// `self == other`.
    fn same(self, other: Self) -> Self::Mask {
        self.le(other) & self.ge(other)
    }
    /// False for NaN and infinities.
    fn is_finite(self) -> Self::Mask;
    /// Is the magnitude below `bound`? False for NaN.
    fn within(self, bound: f64) -> Self::Mask {
        self.abs().lt(Self::splat(bound))
    }
    /// `self * self`.
    fn square(self) -> Self {
        self * self
    }
    /// Clamps to `[lo, hi]`; NaN stays NaN.
    fn clamp(self, lo: Self, hi: Self) -> Self {
        Self::select(self.lt(lo), lo, Self::select(self.gt(hi), hi, self))
    }
}

impl Mask for bool {
    fn splat(value: bool) -> Self {
        value
    }
    fn any(self) -> bool {
        self
    }
    fn all(self) -> bool {
        self
    }
    fn get(self, _: usize) -> bool {
        self
    }
}

impl Real for f64 {
    type Mask = bool;
    const LANES: usize = 1;
    const MIN_TOLERANCE: f64 = 0.0;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn splat(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn get(self, _: usize) -> f64 {
        self
    }
    #[inline(always)]
    fn set(&mut self, _: usize, value: f64) {
        *self = value;
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self, b: Self) -> Self {
        b - self * a
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        f64::min(self, other)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f64::max(self, other)
    }
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        f64::sin_cos(self)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        f64::atan2(self, x)
    }
    #[inline(always)]
    fn powf(self, exponent: f64) -> Self {
        f64::powf(self, exponent)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self < other
    }
    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self <= other
    }
    #[inline(always)]
    fn gt(self, other: Self) -> bool {
        self > other
    }
    #[inline(always)]
    fn ge(self, other: Self) -> bool {
        self >= other
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn floor(self) -> Self {
        f64::floor(self)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

/// Truth values of a [`Lane`]: all bits set or none.
#[derive(Clone, Copy, Debug)]
pub struct LaneMask(f32x8);

impl BitAnd for LaneMask {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, rhs: Self) -> Self {
        Self(self.0 & rhs.0)
    }
}
impl BitOr for LaneMask {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}
impl Not for LaneMask {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(!self.0)
    }
}
impl Mask for LaneMask {
    #[inline(always)]
    fn splat(value: bool) -> Self {
        Self(f32x8::splat(if value { f32::from_bits(u32::MAX) } else { 0.0 }))
    }
    #[inline(always)]
    fn any(self) -> bool {
        self.0.any()
    }
    #[inline(always)]
    fn all(self) -> bool {
        self.0.all()
    }
    #[inline(always)]
    fn get(self, i: usize) -> bool {
        self.0.to_bitmask() >> i & 1 == 1
    }
}

impl Real for f32x8 {
    type Mask = LaneMask;
    const LANES: usize = LANES;
    // the scaled decrement of a step lost in f32 rounding
    const MIN_TOLERANCE: f64 = 1e-7;
    const ZERO: Self = f32x8::ZERO;
    const ONE: Self = f32x8::ONE;
    #[inline(always)]
    fn splat(value: f64) -> Self {
        f32x8::splat(value as f32)
    }
    #[inline(always)]
    fn get(self, i: usize) -> f64 {
        f64::from(self.as_array()[i])
    }
    #[inline(always)]
    fn set(&mut self, i: usize, value: f64) {
        self.as_mut_array()[i] = value as f32;
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        f32x8::mul_add(self, a, b)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self, b: Self) -> Self {
        f32x8::mul_neg_add(self, a, b)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32x8::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32x8::abs(self)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.fast_min(other)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.fast_max(other)
    }
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        f32x8::sin_cos(self)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        f32x8::atan2(self, x)
    }
    #[inline(always)]
    fn powf(self, exponent: f64) -> Self {
        f32x8::powf_simd(self, f32x8::splat(exponent as f32))
    }
    #[inline(always)]
    fn lt(self, other: Self) -> LaneMask {
        LaneMask(self.simd_lt(other))
    }
    #[inline(always)]
    fn le(self, other: Self) -> LaneMask {
        LaneMask(self.simd_le(other))
    }
    #[inline(always)]
    fn gt(self, other: Self) -> LaneMask {
        LaneMask(self.simd_gt(other))
    }
    #[inline(always)]
    fn ge(self, other: Self) -> LaneMask {
        LaneMask(self.simd_ge(other))
    }
    #[inline(always)]
    fn select(mask: LaneMask, yes: Self, no: Self) -> Self {
        mask.0.select(yes, no)
    }
    #[inline(always)]
    fn masked(self, mask: LaneMask) -> Self {
        self & mask.0
    }
    #[inline(always)]
    fn floor(self) -> Self {
        f32x8::floor(self)
    }
    #[inline(always)]
    fn is_finite(self) -> LaneMask {
        LaneMask(self.abs().simd_lt(f32x8::splat(f32::INFINITY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(f: impl Fn(usize) -> f64) -> Lane {
        let mut out = Lane::ZERO;
        (0..LANES).for_each(|i| out.set(i, f(i)));
        out
    }

    #[test]
    fn lanes_calculate_like_single_numbers() {
        let (a, b) = (|i: usize| i as f64 - 3.5, |i: usize| 0.25 * i as f64 + 0.5);
        let (x, y) = (lane(a), lane(b));
        type Pair<R> = fn(R, R) -> R;
        let table: [(Pair<Lane>, Pair<f64>); 10] = [
            (|x, y| Real::floor(x * y).masked(!x.same(y)), |x, y| if x == y { 0.0 } else { (x * y).floor() }),
            (|x, y| x.mul_add(y, x), |x, y| x.mul_add(y, x)),
            (|x, y| x.neg_mul_add(y, x), |x, y| Real::neg_mul_add(x, y, x)),
            (|x, y| Real::min(x, y), |x, y| x.min(y)),
            (|x, y| Real::max(x, y), |x, y| x.max(y)),
            (|x, y| Real::clamp(x, -y, y), |x, y| x.clamp(-y, y)),
            (|x, y| Real::atan2(x, y), |x, y| x.atan2(y)),
            (|x, y| Real::sin_cos(x).0 * Real::sqrt(y), |x, y| x.sin() * y.sqrt()),
            (|x, y| <Lane as Real>::select(x.lt(y), x, y), |x, y| if x < y { x } else { y }),
            (|x, y| x.masked(x.ge(y) | !y.gt(Lane::ONE)), |x, y| if x >= y || y <= 1.0 { x } else { 0.0 }),
        ];
        for (n, (lane, scalar)) in table.into_iter().enumerate() {
            for i in 0..LANES {
                let (found, expected) = (lane(x, y).get(i), scalar(a(i), b(i)));
                assert!((found - expected).abs() < 1e-5, "{n} in world {i}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn masks_and_numbers_that_are_none() {
        let x = lane(|i| [1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -2.0, 1e38, 3.0][i]);
        let finite = Real::is_finite(x);
        assert_eq!(
            (0..LANES).map(|i| finite.get(i)).collect::<Vec<_>>(),
            [true, false, false, false, true, true, true, true]
        );
        assert!(finite.any() && !finite.all() && (finite | !finite).all());
        assert!(Real::clamp(x, -Lane::ONE, Lane::ONE).get(1).is_nan());
        assert!(LaneMask::splat(true).all() && !LaneMask::splat(false).any());
    }
}
