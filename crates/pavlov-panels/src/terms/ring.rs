//! The last minutes of frames: per node the spread over the worlds; every world's values as far back as there is room.

use crate::live::{Frame, Names};
use std::collections::VecDeque;
use std::sync::Arc;

/// Seconds that are kept.
pub(crate) const KEPT: f64 = 120.0;
/// Frames that are kept, whatever their time.
const MAX_FRAMES: usize = 12_000;
/// Bytes for the values of every world.
const WORLD_BYTES: usize = 48 << 20;

/// A node over the worlds in one frame. Values that are not finite are counted and left out of the rest; all are 0 when
/// none is finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub mean: f32,
    pub std: f32,
    pub min: f32,
    pub max: f32,
    pub bad: u32,
    pub good: u32,
}

fn spread(values: impl Iterator<Item = f32> + Clone) -> Spread {
    let finite = values.clone().filter(|x| x.is_finite());
    let (mut sum, mut square, mut good) = (0.0f64, 0.0f64, 0u32);
    let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
    for x in finite {
        sum += f64::from(x);
        square += f64::from(x) * f64::from(x);
        good += 1;
        min = min.min(x);
        max = max.max(x);
    }
    let bad = values.count() as u32 - good;
    if good == 0 {
        return Spread { mean: 0.0, std: 0.0, min: 0.0, max: 0.0, bad, good };
    }
    let mean = sum / f64::from(good);
    let std = (square / f64::from(good) - mean * mean).max(0.0).sqrt();
    Spread { mean: mean as f32, std: std as f32, min, max, bad, good }
}

/// One frame.
#[derive(Debug)]
pub(crate) struct Record {
    pub time: f64,
    pub names: Arc<Names>,
    /// One for each node.
    pub nodes: Vec<Spread>,
    pub fitness: Spread,
    /// Share of worlds in success.
    pub success: f32,
    pub success_of: Vec<bool>,
    pub fitness_of: Vec<f32>,
    /// `[worlds, nodes]`, while there is room.
    pub worlds: Vec<f32>,
}

impl Record {
    /// Value of a node in a world; none when it is not kept, or not finite.
    pub fn of_world(&self, node: usize, world: usize) -> Option<f32> {
        let at = world * self.nodes.len() + node;
        self.worlds.get(at).copied().filter(|x| x.is_finite())
    }
}

/// A node over all frames that are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name.
    pub name: String,
    /// Is it a term that enters the total? Else it is something that the graph makes, or the total.
    pub term: bool,
    /// Mean of the finite values.
    pub mean: f64,
    /// Standard deviation over worlds and steps.
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// `|mean|` as a share of the sum over terms; 0 for nodes that are no terms. All shares together are 1, unless
    /// every mean is 0.
    pub share: f64,
    /// How many values were not finite.
    pub bad: u64,
    /// How many were.
    pub good: u64,
}

/// The frames.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub records: VecDeque<Record>,
    /// When the reward changed, and to which version.
    pub marks: VecDeque<(f64, u64)>,
    version: Option<u64>,
    bytes: usize,
    /// Records from the front whose worlds were dropped.
    bare: usize,
}

impl Ring {
    /// Takes a frame; true when it began anew.
    pub fn push(&mut self, frame: &Frame) -> bool {
        let anew = self.records.back().is_some_and(|r| frame.time < r.time);
        if anew {
            *self = Self::default();
        }
        if self.version.is_some_and(|v| v != frame.reward_version) {
            // A slider that is dragged is one change: its mark moves along.
            match self.marks.back_mut() {
                Some(last) if frame.time - last.0 < 0.4 => *last = (last.0, frame.reward_version),
                _ => self.marks.push_back((frame.time, frame.reward_version)),
            }
        }
        self.version = Some(frame.reward_version);
        let n = frame.names.nodes.len();
        let node = |k: usize| spread((0..frame.worlds).map(move |w| frame.nodes[w * n + k]));
        let success = frame.success.iter().filter(|s| **s).count() as f32 / frame.worlds.max(1) as f32;
        self.bytes += frame.nodes.len() * 4;
        self.records.push_back(Record {
            time: frame.time,
            names: frame.names.clone(),
            nodes: (0..n).map(node).collect(),
            fitness: spread(frame.fitness.iter().copied()),
            success,
            success_of: frame.success.clone(),
            fitness_of: frame.fitness.clone(),
            worlds: frame.nodes.clone(),
        });
        while self.records.len() > MAX_FRAMES || self.records.front().is_some_and(|r| frame.time - r.time > KEPT) {
            if let Some(old) = self.records.pop_front() {
                self.bytes -= old.worlds.len() * 4;
                self.bare = self.bare.saturating_sub(1);
            }
        }
        while self.bytes > WORLD_BYTES && self.bare + 1 < self.records.len() {
            let old = &mut self.records[self.bare];
            self.bytes -= old.worlds.len() * 4;
            old.worlds = Vec::new();
            self.bare += 1;
        }
        let first = self.records.front().map_or(0.0, |r| r.time);
        while self.marks.front().is_some_and(|m| m.0 < first) {
            self.marks.pop_front();
        }
        anew
    }

    pub fn last_time(&self) -> f64 {
        self.records.back().map_or(0.0, |r| r.time)
    }

    /// Since when the values of every world are kept.
    pub fn worlds_since(&self) -> f64 {
        self.records.get(self.bare).map_or(0.0, |r| r.time)
    }

    /// Records of a span of time.
    pub fn range(&self, from: f64, to: f64) -> impl ExactSizeIterator<Item = &Record> + Clone {
        let a = self.records.partition_point(|r| r.time < from);
        let b = self.records.partition_point(|r| r.time <= to).max(a);
        self.records.range(a..b)
    }

    /// Names of the newest record of a span, or of the newest there is.
    pub fn names(&self, to: f64) -> Option<Arc<Names>> {
        let at = self.records.partition_point(|r| r.time <= to);
        self.records.get(at.saturating_sub(1)).map(|r| r.names.clone())
    }

    /// Numbers of each node of the newest reward; earlier steps count where they have a node of that name.
    pub fn summary(&self, from: f64, to: f64, world: Option<usize>) -> Vec<Summary> {
        let Some(names) = self.names(to) else { return Vec::new() };
        let mut places = Places::default();
        let empty = Sum { min: f64::INFINITY, max: f64::NEG_INFINITY, ..Sum::default() };
        let mut sums = vec![empty; names.nodes.len()];
        for record in self.range(from, to) {
            let at = places.find(&names, record);
            for (sum, k) in sums.iter_mut().zip(at) {
                let Some(k) = *k else { continue };
                match world {
                    None => sum.spread(&record.nodes[k]),
                    Some(w) if !record.worlds.is_empty() => sum.value(record.worlds.get(w * record.nodes.len() + k)),
                    Some(_) => {}
                }
            }
        }
        let total: f64 = sums[..names.terms].iter().map(|s| s.mean().abs()).sum();
        let row = |(i, (name, s)): (usize, (&String, &Sum))| {
            let term = i < names.terms;
            let share = if term && total > 0.0 { s.mean().abs() / total } else { 0.0 };
            let known = s.good > 0;
            Summary {
                name: name.clone(),
                term,
                mean: s.mean(),
                std: s.std(),
                min: if known { s.min } else { 0.0 },
                max: if known { s.max } else { 0.0 },
                share,
                bad: s.bad,
                good: s.good,
            }
        };
        names.nodes.iter().zip(&sums).enumerate().map(row).collect()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: f64,
    square: f64,
    good: u64,
    bad: u64,
    min: f64,
    max: f64,
}

impl Sum {
    fn spread(&mut self, s: &Spread) {
        let (n, mean, std) = (f64::from(s.good), f64::from(s.mean), f64::from(s.std));
        self.sum += n * mean;
        self.square += n * (std * std + mean * mean);
        self.good += u64::from(s.good);
        self.bad += u64::from(s.bad);
        if s.good > 0 {
            self.min = self.min.min(f64::from(s.min));
            self.max = self.max.max(f64::from(s.max));
        }
    }

    fn value(&mut self, x: Option<&f32>) {
        match x {
            Some(x) if x.is_finite() => {
                let x = f64::from(*x);
                self.sum += x;
                self.square += x * x;
                self.good += 1;
                self.min = self.min.min(x);
                self.max = self.max.max(x);
            }
            Some(_) => self.bad += 1,
            None => {}
        }
    }

    fn mean(&self) -> f64 {
        if self.good == 0 { 0.0 } else { self.sum / self.good as f64 }
    }

    fn std(&self) -> f64 {
        if self.good == 0 { 0.0 } else { (self.square / self.good as f64 - self.mean().powi(2)).max(0.0).sqrt() }
    }
}

/// Where the nodes of one reward are in the records of another: looked up once per reward, not per record.
#[derive(Debug, Default)]
pub(crate) struct Places {
    records_of: Option<Arc<Names>>,
    at: Vec<Option<usize>>,
}

impl Places {
    pub fn find(&mut self, names: &Names, record: &Record) -> &[Option<usize>] {
        if !self.records_of.as_ref().is_some_and(|n| Arc::ptr_eq(n, &record.names)) {
            let find = |name: &String| record.names.nodes.iter().position(|n| n == name);
            self.at = names.nodes.iter().map(find).collect();
            self.records_of = Some(record.names.clone());
        }
        &self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(time: f64, version: u64, names: &[&str], nodes: Vec<f32>) -> Frame {
        let worlds = nodes.len() / names.len();
        Frame {
            time,
            reward_version: version,
            names: Arc::new(Names { nodes: names.iter().map(|n| n.to_string()).collect(), terms: names.len() - 1 }),
            worlds,
            nodes,
            fitness: vec![1.0; worlds],
            success: vec![true; worlds],
            ..Frame::default()
        }
    }

    #[test]
    fn summaries_go_by_name_and_what_is_no_number_is_counted() {
        let mut ring = Ring::default();
        ring.push(&frame(0.0, 1, &["a", "b", "total"], vec![1.0, -1.0, 0.0, 3.0, f32::NAN, 0.0]));
        ring.push(&frame(0.1, 2, &["b", "a", "c", "total"], vec![-1.0, 2.0, 0.0, 1.0, -1.0, 2.0, 0.0, 1.0]));
        let rows = ring.summary(-1.0, 1.0, None);
        let found: Vec<(&str, f64, u64, u64)> = rows.iter().map(|s| (s.name.as_str(), s.mean, s.bad, s.good)).collect();
        assert_eq!(found, [("b", -1.0, 1, 3), ("a", 2.0, 0, 4), ("c", 0.0, 0, 2), ("total", 0.5, 0, 4)]);
        assert!((rows.iter().map(|s| s.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((rows[1].std - 0.5f64.sqrt()).abs() < 1e-6 && (rows[1].min, rows[1].max) == (1.0, 3.0));
        let single = ring.summary(-1.0, 1.0, Some(1));
        assert_eq!((single[1].mean, single[0].bad, single[0].good), (2.5, 1, 1));
        assert_eq!(ring.marks, [(0.1, 2)]);
    }

    #[test]
    fn old_frames_go_and_worlds_that_were_made_again_begin_anew() {
        let mut ring = Ring::default();
        for i in 0..2000 {
            ring.push(&frame(f64::from(i) * 0.1, 1, &["a", "total"], vec![1.0, 1.0]));
        }
        assert!(ring.records.front().unwrap().time >= 199.9 - KEPT - 1e-9);
        assert!(ring.push(&frame(0.0, 1, &["a", "total"], vec![1.0, 1.0])));
        assert_eq!(ring.records.len(), 1);
    }

    #[test]
    fn every_world_is_kept_as_far_back_as_there_is_room() {
        let mut ring = Ring::default();
        let names: Vec<String> = (0..40).map(|i| format!("t{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for i in 0..1500 {
            ring.push(&frame(f64::from(i) * 0.02, 1, &names, vec![0.5; 256 * 40]));
        }
        assert!(ring.bytes <= WORLD_BYTES && ring.records.len() == 1500);
        assert!(ring.worlds_since() > 0.0 && ring.records.back().unwrap().of_world(3, 255) == Some(0.5));
        assert_eq!(ring.records.front().unwrap().of_world(3, 255), None);
        let bytes: usize = ring.records.iter().map(|r| r.worlds.len() * 4).sum();
        assert_eq!(bytes, ring.bytes);
    }
}
