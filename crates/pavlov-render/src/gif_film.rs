//! GIF: one palette for the whole film, found by a neural quantiser in some of its pictures; later pictures hold only
//! what changed.

use crate::movie::{FilmSpec, Sink};
use crate::renderer::Picture;
use color_quant::NeuQuant;
use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};
use std::fs::File;
use std::io::BufWriter;

/// Colours of the palette; one more index stands for "as before".
const COLOURS: usize = 255;
const AS_BEFORE: u8 = 255;
/// Pixels the palette is found in, at most about.
const SAMPLE: usize = 600_000;

pub(crate) struct Gif {
    encoder: Encoder<BufWriter<File>>,
    quantiser: NeuQuant,
    /// Index of each colour at 6 bits a channel, found when first met.
    table: Vec<u16>,
    before: Vec<u8>,
    fps: f64,
    pushed: u32,
}

impl Gif {
    pub fn new(file: BufWriter<File>, spec: &FilmSpec, sample: &[Picture]) -> Result<Self, EncodingError> {
        let all: usize = sample.iter().map(|p| p.rgba.len() / 4).sum();
        let every = (all / SAMPLE).max(1);
        let pixels = sample.iter().flat_map(|p| p.rgba.as_chunks::<4>().0.iter());
        let mut pixels: Vec<u8> = pixels.step_by(every).flatten().copied().collect();
        // The quantiser wants a few hundred pixels at least.
        while pixels.len() < 4096 {
            pixels.extend_from_slice(&[128, 128, 128, 255]);
        }
        let quantiser = NeuQuant::new(3, COLOURS, &pixels);
        let mut palette = quantiser.color_map_rgb();
        palette.resize(3 * 256, 0);
        let mut encoder = Encoder::new(file, spec.width as u16, spec.height as u16, &palette)?;
        encoder.set_repeat(Repeat::Infinite)?;
        Ok(Self { encoder, quantiser, table: vec![u16::MAX; 1 << 18], before: Vec::new(), fps: spec.fps, pushed: 0 })
    }

    fn index(&mut self, [r, g, b, _]: [u8; 4]) -> u8 {
        let key = usize::from(r >> 2) << 12 | usize::from(g >> 2) << 6 | usize::from(b >> 2);
        if self.table[key] == u16::MAX {
            let middle = [r & !3 | 2, g & !3 | 2, b & !3 | 2, 255];
            self.table[key] = self.quantiser.index_of(&middle) as u16;
        }
        self.table[key] as u8
    }
}

impl Sink for Gif {
    fn push(&mut self, picture: &Picture) -> Result<(), String> {
        let now: Vec<u8> = picture.rgba.as_chunks::<4>().0.iter().map(|p| self.index(*p)).collect();
        let time = |i: u32| (f64::from(i) * 100.0 / self.fps).round() as u32;
        let delay = (time(self.pushed + 1) - time(self.pushed)).min(u32::from(u16::MAX)) as u16;
        self.pushed += 1;
        let (width, height) = (picture.width as usize, picture.height as usize);
        let mut frame =
            Frame { delay, dispose: DisposalMethod::Keep, transparent: Some(AS_BEFORE), ..Frame::default() };
        let (mut x, mut y) = (0..width, 0..height);
        let mut pixels = now.clone();
        if !self.before.is_empty() {
            for (p, old) in pixels.iter_mut().zip(&self.before).filter(|(p, old)| *p == *old) {
                debug_assert_eq!(p, old);
                *p = AS_BEFORE;
            }
            let changed = |at: usize| pixels[at] != AS_BEFORE;
            let row = |y: usize| (0..width).any(|x| changed(y * width + x));
            let column = |x: usize| (0..height).any(|y| changed(y * width + x));
            // A frame has at least one pixel.
            y = (0..height).find(|&y| row(y)).unwrap_or(0)..(0..height).rfind(|&y| row(y)).unwrap_or(0) + 1;
            x = (0..width).find(|&x| column(x)).unwrap_or(0)..(0..width).rfind(|&x| column(x)).unwrap_or(0) + 1;
        }
        (frame.left, frame.top) = (x.start as u16, y.start as u16);
        (frame.width, frame.height) = (x.len() as u16, y.len() as u16);
        let part: Vec<u8> = y.flat_map(|y| pixels[y * width + x.start..y * width + x.end].iter().copied()).collect();
        frame.buffer = part.into();
        self.before = now;
        self.encoder.write_frame(&frame).map_err(|e| e.to_string())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        let mut file = self.encoder.into_inner().map_err(|e| e.to_string())?;
        std::io::Write::flush(&mut file).map_err(|e| e.to_string())
    }
}
