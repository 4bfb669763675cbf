//! States to pictures to vectors: a robot posed, drawn off screen at the model's size, and embedded.

use crate::{VisionError, VisionModel};
use pavlov_model::Model;
use pavlov_render::{Camera, Picture, Renderer, Stage, Style, views};
use std::sync::Arc;

/// Pictures drawn together.
const TOGETHER: usize = 64;

/// What is seen from where.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Camera.
    pub camera: Camera,
    /// Ground and light.
    pub style: Style,
}

impl Sight {
    /// From names, as `pavlov render` takes them.
    ///
    /// # Errors
    /// When there is no such camera, ground or light; it lists those there are.
    pub fn named(camera: &str, ground: &str, light: &str) -> Result<Self, VisionError> {
        Ok(Self { camera: camera.parse()?, style: Style { surface: ground.parse()?, light: light.parse()? } })
    }
}

/// Draws and embeds states of one robot.
#[derive(Debug)]
pub struct Eyes {
    stage: Stage,
    renderer: Renderer,
    model: VisionModel,
}

impl Eyes {
    /// For a robot, by a loaded model, on the adapter with this number.
    ///
    /// # Errors
    /// When there is nothing to draw with, or the robot cannot be posed.
    pub fn new(robot: &Arc<Model>, model: VisionModel, adapter: usize) -> Result<Self, VisionError> {
        Ok(Self { stage: Stage::new(robot)?, renderer: Renderer::new(adapter)?, model })
    }

    /// The model.
    pub fn model(&mut self) -> &mut VisionModel {
        &mut self.model
    }

    /// Pictures of states at the model's size.
    ///
    /// # Errors
    /// When a state does not fit the robot, or drawing fails.
    pub fn draw(&mut self, states: &[&[f32]], sight: &Sight) -> Result<Vec<Picture>, VisionError> {
        let [height, width] = self.model.size();
        self.draw_sized(states, sight, width, height)
    }

    /// Pictures of another size.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn draw_sized(
        &mut self,
        states: &[&[f32]],
        sight: &Sight,
        width: u32,
        height: u32,
    ) -> Result<Vec<Picture>, VisionError> {
        let mut out = Vec::with_capacity(states.len());
        for part in states.chunks(TOGETHER) {
            let mut scenes = Vec::with_capacity(part.len());
            for state in part {
                let shot = self.stage.shot(state)?;
                let eye = self.stage.eye(&shot, &sight.camera, width as f32 / height as f32);
                scenes.push((self.stage.scene(&shot, &sight.style), eye));
            }
            out.extend(self.renderer.render(&views(&scenes), width, height)?);
        }
        Ok(out)
    }

    /// Vectors of states, and the pictures they are of.
    ///
    /// # Errors
    /// As [`Self::draw`] and [`VisionModel::images`].
    pub fn look(&mut self, states: &[&[f32]], sight: &Sight) -> Result<(Vec<Vec<f32>>, Vec<Picture>), VisionError> {
        let pictures = self.draw(states, sight)?;
        Ok((self.model.images(&pictures)?, pictures))
    }
}

/// How far two pictures differ: mean of |a - b| / 255 over pixels and colours.
pub fn difference(a: &Picture, b: &Picture) -> f32 {
    let pairs = a.rgba.chunks_exact(4).zip(b.rgba.chunks_exact(4));
    let sum: u64 = pairs.map(|(p, q)| (0..3).map(|c| u64::from(p[c].abs_diff(q[c]))).sum::<u64>()).sum();
    sum as f32 / (255.0 * 3.0 * (a.rgba.len() / 4).max(1) as f32)
}
