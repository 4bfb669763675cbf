//! The worlds of a block as the stages see them: one in `f64`, or eight side by side.
//!
//! What is drawn and what is summed up is done in `f64`, world by world, so that the digits of a run do not depend on the width of lanes.

use super::programs::Programs;
use crate::columns::layout::{Column, Entry};
use crate::columns::ledger::{BadValue, Ledger, Sum};
use crate::columns::store::Columns;
use crate::plan::whole::Plan;
use crate::rng::{Purpose, Stream, Streams, WorldRng};
use crate::stages::{Moment, Stepped, Worlds};
use pavlov_physics::{LANES, Lane};

/// One world.
pub(super) struct Single<'a> {
    pub plan: &'a Plan,
    pub kept: &'a mut Columns,
    pub rng: WorldRng,
    pub world: usize,
}

/// Eight worlds, of which those whose bit is set are changed.
pub(super) struct Group<'a> {
    pub plan: &'a Plan,
    pub kept: &'a mut Columns,
    /// Of all worlds of the block.
    pub rng: &'a [WorldRng],
    pub group: usize,
    pub lanes: u8,
}

fn stream(plan: &Plan, kept: &Columns, rng: WorldRng, world: usize, purpose: Purpose, moment: Moment) -> Stream {
    let (episode, step) = (kept.count(plan.layout.episode, world), kept.count(plan.layout.step, world));
    let (episode, step) = moment.counters(episode, step, |n| n);
    rng.stream(purpose, episode, step)
}

impl Worlds for Single<'_> {
    type N = f64;
    type Stream = Stream;
    #[inline]
    fn get(&self, column: Column) -> f64 {
        self.kept.get(column, self.world)
    }
    #[inline]
    fn set(&mut self, column: Column, value: f64) {
        self.kept.set(column, self.world, value);
    }
    fn stream(&self, purpose: Purpose, moment: Moment) -> Stream {
        stream(self.plan, self.kept, self.rng, self.world, purpose, moment)
    }
}

impl Worlds for Group<'_> {
    type N = Lane;
    type Stream = Streams;
    #[inline]
    fn get(&self, column: Column) -> Lane {
        self.kept.lane(column, self.group)
    }
    #[inline]
    fn set(&mut self, column: Column, value: Lane) {
        self.kept.store(column, self.group, self.lanes, value);
    }
    fn stream(&self, purpose: Purpose, moment: Moment) -> Streams {
        Streams(std::array::from_fn(|lane| {
            let world = self.group * LANES + lane;
            stream(self.plan, self.kept, self.rng[world], world, purpose, moment)
        }))
    }
}

/// One world after a step.
pub(super) struct Scored<'a> {
    pub single: Single<'a>,
    pub programs: &'a Programs,
    pub ledger: &'a mut Ledger,
    /// The block's first world in the environment.
    pub first: usize,
    pub finite: bool,
}

impl Worlds for Scored<'_> {
    type N = f64;
    type Stream = Stream;
    #[inline]
    fn get(&self, column: Column) -> f64 {
        self.single.get(column)
    }
    #[inline]
    fn set(&mut self, column: Column, value: f64) {
        self.single.set(column, value);
    }
    fn stream(&self, purpose: Purpose, moment: Moment) -> Stream {
        self.single.stream(purpose, moment)
    }
}

impl Stepped for Scored<'_> {
    #[inline]
    fn alive(&self) -> bool {
        self.finite
    }
    #[inline]
    fn output(&self, entry: Entry, k: usize) -> f64 {
        f64::from(self.programs.output(entry, k, self.single.world))
    }
    fn total(&self) -> f64 {
        f64::from(self.programs.total(self.single.world))
    }
    #[inline]
    fn tally(&mut self, sum: Sum, value: f64) {
        self.ledger.stats.tally(sum, value);
    }
    fn note_bad(&mut self, node: usize, value: f64, bad: bool) {
        if bad && self.ledger.bad.is_none() {
            let (plan, world) = (self.single.plan, self.single.world);
            self.ledger.bad = Some(BadValue {
                term: plan.reward.node_names()[node].clone(),
                world: self.first + world,
                step: self.single.kept.count(plan.layout.step, world),
                value: value as f32,
            });
        }
    }
}
