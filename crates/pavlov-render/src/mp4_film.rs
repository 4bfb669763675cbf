//! MP4: H.264 by OpenH264, compiled from the source its crate brings, in a [`Container`]. Colours are BT.709.

use crate::movie::{FilmSpec, Sink};
use crate::mp4_container::{Container, Track};
use crate::renderer::Picture;
use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, FrameRate, RateControlMode, UsageType, VuiConfig};
use openh264::formats::{RgbaSliceU8, YUVBuffer};
use std::fs::File;
use std::io::BufWriter;

/// Ticks of a picture's time.
const TICKS: u32 = 1000;

pub(crate) struct Mp4 {
    encoder: Encoder,
    file: Option<BufWriter<File>>,
    container: Option<Container<BufWriter<File>>>,
    spec: FilmSpec,
    pushed: u64,
}

impl Mp4 {
    pub fn new(file: BufWriter<File>, spec: &FilmSpec) -> Result<Self, String> {
        let config = EncoderConfig::new()
            .max_frame_rate(FrameRate::from_hz(spec.fps as f32))
            .rate_control_mode(RateControlMode::Off)
            .usage_type(UsageType::ScreenContentRealTime)
            .skip_frames(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| e.to_string())?;
        Ok(Self { encoder, file: Some(file), container: None, spec: *spec, pushed: 0 })
    }

    /// The container begins with what the first picture's stream says of itself.
    fn begin(&mut self, sps: Vec<u8>, pps: Vec<u8>) -> Result<Container<BufWriter<File>>, String> {
        let timescale = (self.spec.fps * f64::from(TICKS)).round() as u32;
        let (width, height) = (self.spec.width as u16, self.spec.height as u16);
        let file = self.file.take().ok_or("the file was begun already")?;
        Container::new(file, Track { width, height, timescale, ticks: TICKS, sps, pps }).map_err(|e| e.to_string())
    }
}

/// Units of a byte stream with start codes (H.264 annex B), without them.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<(usize, usize)> = Vec::new();
    let mut i = 0;
    while i + 3 <= stream.len() {
        if stream[i..i + 3] == [0, 0, 1] {
            let code = if i > 0 && stream[i - 1] == 0 { i - 1 } else { i };
            starts.push((code, i + 3));
            i += 3;
        } else {
            i += 1;
        }
    }
    let end = |k: usize| starts.get(k + 1).map_or(stream.len(), |s| s.0);
    (0..starts.len()).map(|k| &stream[starts[k].1..end(k)]).collect()
}

impl Sink for Mp4 {
    fn push(&mut self, picture: &Picture) -> Result<(), String> {
        let size = (picture.width as usize, picture.height as usize);
        let yuv = YUVBuffer::from_rgba8_source(RgbaSliceU8::new(&picture.rgba, size));
        let stream = self.encoder.encode(&yuv).map_err(|e| e.to_string())?.to_vec();
        let (mut sps, mut pps, mut bytes, mut is_sync) = (Vec::new(), Vec::new(), Vec::new(), false);
        for unit in units(&stream) {
            match unit.first().map_or(0, |b| b & 31) {
                7 => sps = unit.to_vec(),
                8 => pps = unit.to_vec(),
                kind => {
                    is_sync |= kind == 5;
                    bytes.extend_from_slice(&(unit.len() as u32).to_be_bytes());
                    bytes.extend_from_slice(unit);
                }
            }
        }
        if bytes.is_empty() {
            return Err(format!("the encoder gave nothing for picture {}", self.pushed));
        }
        let mut container = match self.container.take() {
            Some(container) => container,
            None => self.begin(sps, pps)?,
        };
        container.push(&bytes, is_sync).map_err(|e| e.to_string())?;
        self.container = Some(container);
        self.pushed += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        let container = self.container.ok_or("a film without pictures")?;
        container.finish().map_err(|e| e.to_string())
    }
}
