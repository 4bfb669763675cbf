//! MP4: H.264 by OpenH264, compiled from the source its crate brings; the container by the `mp4` crate. Colours are BT.709.

use crate::movie::{FilmSpec, Sink};
use crate::renderer::Picture;
use mp4::{AvcConfig, MediaConfig, Mp4Config, Mp4Sample, Mp4Writer, TrackConfig, TrackType};
use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, FrameRate, RateControlMode, UsageType, VuiConfig};
use openh264::formats::{RgbaSliceU8, YUVBuffer};
use std::fs::File;
use std::io::{BufWriter, Write};

/// Ticks of a picture's time.
const TICKS: u32 = 1000;

pub(crate) struct Mp4 {
    encoder: Encoder,
    file: Option<BufWriter<File>>,
    writer: Option<Mp4Writer<BufWriter<File>>>,
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
        Ok(Self { encoder, file: Some(file), writer: None, spec: *spec, pushed: 0 })
    }

    /// The container begins with what the first picture's stream says of itself.
    fn begin(&mut self, sps: Vec<u8>, pps: Vec<u8>) -> Result<Mp4Writer<BufWriter<File>>, String> {
        let timescale = (self.spec.fps * f64::from(TICKS)).round() as u32;
        let brand = |b: &str| b.parse().map_err(|e: mp4::Error| e.to_string());
        let compatible_brands = ["isom", "iso2", "avc1", "mp41"].into_iter().map(brand).collect::<Result<_, _>>()?;
        let config = Mp4Config { major_brand: brand("isom")?, minor_version: 512, compatible_brands, timescale };
        let file = self.file.take().ok_or("the file was begun already")?;
        let mut writer = Mp4Writer::write_start(file, &config).map_err(|e| e.to_string())?;
        let (width, height) = (self.spec.width as u16, self.spec.height as u16);
        let avc = AvcConfig { width, height, seq_param_set: sps, pic_param_set: pps };
        let media_conf = MediaConfig::AvcConfig(avc);
        let track = TrackConfig { track_type: TrackType::Video, timescale, language: "und".into(), media_conf };
        writer.add_track(&track).map_err(|e| e.to_string())?;
        Ok(writer)
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
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin(sps, pps)?,
        };
        let start_time = self.pushed * u64::from(TICKS);
        let sample = Mp4Sample { start_time, duration: TICKS, rendering_offset: 0, is_sync, bytes: bytes.into() };
        writer.write_sample(1, &sample).map_err(|e| e.to_string())?;
        self.writer = Some(writer);
        self.pushed += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        let mut writer = self.writer.ok_or("a film without pictures")?;
        writer.write_end().map_err(|e| e.to_string())?;
        writer.into_writer().flush().map_err(|e| e.to_string())
    }
}
