//! Pictures to files: PNG, and films as GIF, APNG and MP4, one picture at a time.
//!
//! A film's pictures are `1 / fps` s apart; GIF counts in hundredths of a second, so its delays differ by one now and
//! then and add up.

use crate::renderer::Picture;
use crate::{RenderError, gif_film};
use pavlov_common::own::{OwnError, may_write};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Kinds of films.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 256 colours, shown everywhere.
    Gif,
    /// All colours, shown by browsers.
    Apng,
    /// H.264, small.
    Mp4,
}

impl Format {
    /// Name, as that of the option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gif => "gif",
            Self::Apng => "apng",
            Self::Mp4 => "mp4",
        }
    }
}

/// How a film is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilmSpec {
    /// Kind.
    pub format: Format,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pictures a second.
    pub fps: f64,
    /// Pictures in all.
    pub count: usize,
}

/// A film being written.
pub(crate) trait Sink {
    fn push(&mut self, picture: &Picture) -> Result<(), String>;
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// A film being written.
pub struct Movie {
    sink: Box<dyn Sink>,
    path: std::path::PathBuf,
    spec: FilmSpec,
    pushed: usize,
}

impl std::fmt::Debug for Movie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Movie").field("path", &self.path).field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// Does a file begin as PNG, GIF or MP4 do?
fn is_picture(head: &[u8]) -> bool {
    head.starts_with(b"\x89PNG") || head.starts_with(b"GIF8") || head.get(4..8) == Some(b"ftyp")
}

/// Creates a file to write, with an error that names it; no other file than a picture or a film is written over.
pub(crate) fn create(path: &Path) -> Result<BufWriter<File>, RenderError> {
    may_write(path, "a picture or a film", is_picture).map_err(|e| match e {
        OwnError::Foreign { .. } => RenderError::Usage(e.to_string()),
        OwnError::Io { source, .. } => RenderError::write(path, source),
    })?;
    pavlov_common::file::create(path).map(BufWriter::new).map_err(|e| RenderError::write(path, e))
}

impl Movie {
    /// Begins a film; `sample`: a few of its pictures, from which GIF takes its colours.
    ///
    /// # Errors
    /// When the file cannot be written, or size or rate are not the format's.
    pub fn create(path: &Path, spec: FilmSpec, sample: &[Picture]) -> Result<Self, RenderError> {
        let (name, fps) = (spec.format.name(), spec.fps);
        let most = if spec.format == Format::Gif { 50.0 } else { 120.0 };
        if !(0.1..=most).contains(&fps) {
            return Err(RenderError::Usage(format!("{fps} pictures a second: {name} may have 0.1 to {most}")));
        }
        if spec.count == 0 || spec.count > u32::MAX as usize {
            return Err(RenderError::Usage(format!("a film of {} pictures", spec.count)));
        }
        let sink: Box<dyn Sink> = match spec.format {
            Format::Gif => {
                Box::new(gif_film::Gif::new(create(path)?, &spec, sample).map_err(|e| RenderError::write(path, e))?)
            }
            Format::Apng => Box::new(Apng::new(create(path)?, &spec).map_err(|e| RenderError::write(path, e))?),
            Format::Mp4 => mp4(path, &spec)?,
        };
        Ok(Self { sink, path: path.to_path_buf(), spec, pushed: 0 })
    }

    /// Adds the next picture.
    ///
    /// # Errors
    /// When it has another size, is one too many, or cannot be written.
    pub fn push(&mut self, picture: &Picture) -> Result<(), RenderError> {
        let (w, h) = (self.spec.width, self.spec.height);
        if (picture.width, picture.height) != (w, h) || self.pushed == self.spec.count {
            let n = self.spec.count;
            let message =
                format!("picture {} of {n}, {}x{} in a film of {w}x{h}", self.pushed, picture.width, picture.height);
            return Err(RenderError::Usage(message));
        }
        self.pushed += 1;
        self.sink.push(picture).map_err(|e| RenderError::write(&self.path, e))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When pictures are missing or it cannot be written.
    pub fn finish(self) -> Result<(), RenderError> {
        if self.pushed != self.spec.count {
            let message = format!("{}: {} of {} pictures", self.path.display(), self.pushed, self.spec.count);
            return Err(RenderError::Usage(message));
        }
        self.sink.finish().map_err(|e| RenderError::write(&self.path, e))
    }
}

#[cfg(feature = "mp4")]
fn mp4(path: &Path, spec: &FilmSpec) -> Result<Box<dyn Sink>, RenderError> {
    if spec.width % 2 == 1 || spec.height % 2 == 1 || spec.width > 3840 || spec.height > 2160 {
        let message = format!("{}x{}: MP4 needs even sides, up to 3840x2160", spec.width, spec.height);
        return Err(RenderError::Usage(message));
    }
    let sink = crate::mp4_film::Mp4::new(create(path)?, spec).map_err(|e| RenderError::write(path, e))?;
    Ok(Box::new(sink))
}

#[cfg(not(feature = "mp4"))]
fn mp4(_: &Path, _: &FilmSpec) -> Result<Box<dyn Sink>, RenderError> {
    Err(RenderError::Usage(
        "this program was built without the feature `mp4`: use GIF or APNG, or build with it".into(),
    ))
}

struct Apng {
    writer: png::Writer<BufWriter<File>>,
}

impl Apng {
    fn new(file: BufWriter<File>, spec: &FilmSpec) -> Result<Self, png::EncodingError> {
        let mut encoder = png::Encoder::new(file, spec.width, spec.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_animated(spec.count as u32, 0)?;
        encoder.set_frame_delay(100, (100.0 * spec.fps).round() as u16)?;
        Ok(Self { writer: encoder.write_header()? })
    }
}

impl Sink for Apng {
    fn push(&mut self, picture: &Picture) -> Result<(), String> {
        self.writer.write_image_data(&picture.rgb()).map_err(|e| e.to_string())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.writer.finish().map_err(|e| e.to_string())
    }
}
