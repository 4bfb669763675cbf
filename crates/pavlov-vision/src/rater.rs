//! A vision-language model as a rater of behaviours: of two segments it prefers the one whose pictures look more like
//! the goal.
//!
//! A segment's value is the mean goal score (see [`Goal`]) of some of its frames, evenly spaced. Each segment is looked
//! at once.

use crate::eyes::{Eyes, Sight};
use crate::score::Goal;
use pavlov_prefs::{Answer, Choice, Pool, PrefsError, Rater, Segment};
use pavlov_script::Scene;
use std::collections::HashMap;
use std::sync::Arc;

/// A model that looks at segments.
#[derive(Debug)]
pub struct Onlooker {
    eyes: Eyes,
    goal: Goal,
    sight: Sight,
    scene: Arc<Scene>,
    frames: usize,
    seen: HashMap<Segment, f64>,
}

impl Onlooker {
    /// How its labels are signed.
    pub const NAME: &str = "vision";

    /// Looks at `frames` frames of a segment, one or more, of a robot in `scene`.
    pub fn new(eyes: Eyes, goal: Goal, sight: Sight, scene: Arc<Scene>, frames: usize) -> Self {
        Self { eyes, goal, sight, scene, frames: frames.max(1), seen: HashMap::new() }
    }

    /// What it thinks of a segment.
    ///
    /// # Errors
    /// When the segment is not there or cannot be drawn.
    pub fn value(&mut self, pool: &Pool, segment: &Segment) -> Result<f64, PrefsError> {
        if let Some(&value) = self.seen.get(segment) {
            return Ok(value);
        }
        let states = pool.states(segment, &self.scene)?.qpos;
        let n = self.frames.min(states.len());
        // The middle of each of `n` equal parts.
        let chosen: Vec<&[f32]> = (0..n).map(|k| states[(2 * k + 1) * states.len() / (2 * n)].as_slice()).collect();
        let looked = self.eyes.look(&chosen, &self.sight);
        let (vectors, _) = looked.map_err(|e| PrefsError::Failed(e.to_string()))?;
        let value = vectors.iter().map(|v| self.goal.score(v)).sum::<f64>() / vectors.len().max(1) as f64;
        self.seen.insert(segment.clone(), value);
        Ok(value)
    }
}

impl Rater for Onlooker {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn compare(&mut self, pool: &Pool, left: &Segment, right: &Segment) -> Result<Answer, PrefsError> {
        let (a, b) = (self.value(pool, left)?, self.value(pool, right)?);
        let choice = match a.total_cmp(&b) {
            std::cmp::Ordering::Greater => Choice::Left,
            std::cmp::Ordering::Less => Choice::Right,
            std::cmp::Ordering::Equal => Choice::Equal,
        };
        Ok(Answer::Comparison { choice, strength: None })
    }

    fn best_worst(&mut self, pool: &Pool, segments: &[&Segment]) -> Result<Answer, PrefsError> {
        let values: Vec<f64> = segments.iter().map(|s| self.value(pool, s)).collect::<Result<_, _>>()?;
        Ok(pavlov_prefs::best_and_worst(&values))
    }
}
