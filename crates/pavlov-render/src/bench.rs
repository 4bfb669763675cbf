//! How many pictures a second: whole frames, from `qpos` to pixels in memory.

use crate::{Camera, RenderError, Renderer, Stage, Style, views};
use std::time::Instant;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderBench {
    /// Pictures a second: kinematics, scene, drawing, read-back.
    pub images_per_s: f64,
    /// Of a frame, the part before drawing: kinematics and scenes.
    pub scene_share: f64,
    /// Pictures drawn.
    pub images: usize,
    /// Seconds.
    pub seconds: f64,
    /// Pictures drawn together.
    pub batch: usize,
}

/// Draws `batch` views of states at a time, one robot each, for `seconds` after one round to warm up. States:
/// `[n][nq]`, taken in turn.
///
/// # Errors
/// As [`Renderer::render`].
pub fn bench(
    renderer: &mut Renderer,
    stage: &mut Stage,
    states: &[Vec<f32>],
    (camera, style): (&Camera, &Style),
    (width, height): (u32, u32),
    (batch, seconds): (usize, f64),
) -> Result<RenderBench, RenderError> {
    if states.is_empty() || batch == 0 {
        return Err(RenderError::Usage("a measurement needs at least one state and one picture at a time".into()));
    }
    let aspect = width as f32 / height as f32;
    let (mut images, mut scenes_s, mut next) = (0, 0.0, 0);
    let mut begin = Instant::now();
    for round in 0.. {
        if round == 1 {
            (begin, images, scenes_s) = (Instant::now(), 0, 0.0);
        }
        let start = Instant::now();
        let mut scenes = Vec::with_capacity(batch);
        for _ in 0..batch {
            let shot = stage.shot(&states[next % states.len()])?;
            scenes.push((stage.scene(&shot, style), stage.eye(&shot, camera, aspect)));
            next += 1;
        }
        scenes_s += start.elapsed().as_secs_f64();
        images += renderer.render(&views(&scenes), width, height)?.len();
        if round > 0 && begin.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(RenderBench { images_per_s: images as f64 / seconds, scene_share: scenes_s / seconds, images, seconds, batch })
}
