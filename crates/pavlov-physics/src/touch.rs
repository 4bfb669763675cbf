//! Points where two shapes touch, as the shape tests hand them to the collision stage. m, world axes.

use crate::math::V3;
use crate::real::{Mask, Real};

/// What a shape test found.
#[derive(Clone, Copy)]
pub(crate) struct Touch<R: Real> {
    /// Worlds that have this point.
    pub(crate) found: R::Mask,
    pub(crate) dist: R,
    pub(crate) pos: V3<R>,
    /// From geom1 to geom2.
    pub(crate) normal: V3<R>,
}

/// Up to four points with the direction the first tangent should take, if the shapes have one.
pub(crate) struct Touches<R: Real> {
    pub(crate) points: [Touch<R>; 4],
    pub(crate) len: usize,
    pub(crate) hint: Option<V3<R>>,
}

impl<R: Real> Touches<R> {
    pub(crate) fn none() -> Self {
        let empty = Touch { found: R::Mask::splat(false), dist: R::ZERO, pos: [R::ZERO; 3], normal: [R::ZERO; 3] };
        Self { points: [empty; 4], len: 0, hint: None }
    }
    pub(crate) fn push(&mut self, touch: Touch<R>) {
        self.points[self.len] = touch;
        self.len += 1;
    }
}

/// Where `mask`, `to` becomes `from`.
pub(crate) fn assign<R: Real>(to: &mut Touch<R>, from: &Touch<R>, mask: R::Mask) {
    to.found = to.found | mask;
    to.dist = R::select(mask, from.dist, to.dist);
    for k in 0..3 {
        to.pos[k] = R::select(mask, from.pos[k], to.pos[k]);
        to.normal[k] = R::select(mask, from.normal[k], to.normal[k]);
    }
}
