//! The kept numbers of up to 64 worlds on the processor, `[column][world]`: what [`super::layout`] lists.

use super::layout::{Column, Layout, Span};
use crate::options::BLOCK_WORLDS;
use pavlov_physics::{LANES, Lane};

/// Columns of a block.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Counters and sums.
    pub exact: Vec<f64>,
    /// Everything else.
    pub single: Vec<f32>,
}

impl Columns {
    /// All zero.
    pub fn new(layout: &Layout) -> Self {
        Self { exact: vec![0.0; layout.exact * BLOCK_WORLDS], single: vec![0.0; layout.single * BLOCK_WORLDS] }
    }

    #[inline]
    pub fn get(&self, column: Column, world: usize) -> f64 {
        let at = column.index * BLOCK_WORLDS + world;
        if column.exact { self.exact[at] } else { f64::from(self.single[at]) }
    }

    #[inline]
    pub fn set(&mut self, column: Column, world: usize, value: f64) {
        let at = column.index * BLOCK_WORLDS + world;
        if column.exact { self.exact[at] = value } else { self.single[at] = value as f32 }
    }

    /// Copies a column.
    pub fn copy(&self, column: Column, to: &mut [f32]) {
        let from = column.index * BLOCK_WORLDS..(column.index + 1) * BLOCK_WORLDS;
        if column.exact {
            to.iter_mut().zip(&self.exact[from]).for_each(|(x, &kept)| *x = kept as f32);
        } else {
            to.copy_from_slice(&self.single[from]);
        }
    }

    /// The columns of another layout that this one has too, as they are; the rest is zero.
    pub fn carry(&self, layout: &Layout, to: &Layout) -> Self {
        let mut carried = Self::new(to);
        for (old, new) in layout.spans().into_iter().zip(to.spans()).filter(|(old, new)| old.len == new.len) {
            for (old, new) in old.columns().zip(new.columns()) {
                (0..BLOCK_WORLDS).for_each(|world| carried.set(new, world, self.get(old, world)));
            }
        }
        carried
    }

    /// A whole number that is kept for a world.
    #[inline]
    pub fn count(&self, span: Span, world: usize) -> u32 {
        self.get(span.one(), world) as u32
    }

    /// Columns side by side, for numbers that are no counters or sums.
    pub fn span(&self, span: Span) -> &[f32] {
        let Some(first) = span.columns().next() else { return &[] };
        debug_assert!(!first.exact);
        &self.single[first.index * BLOCK_WORLDS..(first.index + span.len) * BLOCK_WORLDS]
    }

    /// The same, to be changed.
    pub fn span_mut(&mut self, span: Span) -> &mut [f32] {
        let Some(first) = span.columns().next() else { return &mut [] };
        debug_assert!(!first.exact);
        &mut self.single[first.index * BLOCK_WORLDS..(first.index + span.len) * BLOCK_WORLDS]
    }

    /// Eight worlds of a column.
    #[inline]
    pub fn lane(&self, column: Column, group: usize) -> Lane {
        let from = column.index * BLOCK_WORLDS;
        if column.exact {
            let eight = &self.exact[from + group * LANES..][..LANES];
            Lane::from(std::array::from_fn(|i| eight[i] as f32))
        } else {
            lane_of(&self.single[from..from + BLOCK_WORLDS], group)
        }
    }

    /// Writes the worlds of a group whose bit in `lanes` is set.
    #[inline]
    pub fn store(&mut self, column: Column, group: usize, lanes: u8, value: Lane) {
        let from = column.index * BLOCK_WORLDS;
        if column.exact {
            let eight = &mut self.exact[from + group * LANES..][..LANES];
            let values = value.to_array();
            (0..LANES).filter(|l| lanes >> l & 1 == 1).for_each(|l| eight[l] = f64::from(values[l]));
        } else {
            store(&mut self.single[from..from + BLOCK_WORLDS], group, lanes, value);
        }
    }
}

/// Eight worlds of a column.
#[inline]
pub(crate) fn lane_of(column: &[f32], group: usize) -> Lane {
    let mut eight = [0.0; LANES];
    eight.copy_from_slice(&column[group * LANES..(group + 1) * LANES]);
    Lane::from(eight)
}

/// Writes the worlds of a lane group whose bit is set.
#[inline]
pub(crate) fn store(column: &mut [f32], group: usize, lanes: u8, value: Lane) {
    let out = &mut column[group * LANES..(group + 1) * LANES];
    let values = value.to_array();
    if lanes == u8::MAX {
        out.copy_from_slice(&values);
    } else {
        for lane in (0..LANES).filter(|l| lanes >> l & 1 == 1) {
            out[lane] = values[lane];
        }
    }
}

/// Column `index` of `[column][64]`.
#[inline]
pub(crate) fn column_of(columns: &[f32], index: usize) -> &[f32] {
    &columns[index * BLOCK_WORLDS..(index + 1) * BLOCK_WORLDS]
}

/// The same, to be changed.
#[inline]
pub(crate) fn column_of_mut(columns: &mut [f32], index: usize) -> &mut [f32] {
    &mut columns[index * BLOCK_WORLDS..(index + 1) * BLOCK_WORLDS]
}
