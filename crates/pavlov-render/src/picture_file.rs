//! Pictures from and to files: PNG, JPEG and GIF are read as 8 bits a channel with opacity; PNG is written.
//!
//! Of a moving picture the first frame is read. Colour profiles and the turning that a camera notes in EXIF are not applied.

use crate::{Picture, RenderError};
use std::io::{BufReader, Cursor, Write};
use std::path::Path;

/// Pixels that a picture read from a file may have: 64 million, a quarter of a gigabyte.
const MOST_PIXELS: usize = 64 << 20;
/// Pixels that a byte can tell at most. PNG: deflate makes 1,032 bytes of one (zlib's documentation), and eight pixels
/// of one bit fit into a byte. JPEG: a block of 64 pixels takes a bit or more. GIF: a code of 12 bits stands for at most
/// 4,096 pixels.
const PNG_PIXELS: usize = 8 * 1_032;
const JPEG_PIXELS: usize = 8 * 64;
const GIF_PIXELS: usize = 4_096 * 8 / 12;

impl Picture {
    /// Reads a picture from the bytes of a PNG, JPEG or GIF file; which it is, they say themselves.
    ///
    /// # Errors
    /// A sentence: what is wrong with the bytes, or that they are none of these or hold more than 64 million pixels.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.starts_with(b"\x89PNG") {
            decode_png(bytes).map_err(|e| e.to_string())?
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            decode_jpeg(bytes).map_err(|e| e.to_string())?
        } else if bytes.starts_with(b"GIF8") {
            decode_gif(bytes).map_err(|e| e.to_string())?
        } else {
            Err("the bytes are those of no PNG, JPEG or GIF".to_string())
        }
    }

    /// The picture without its opacity, as PNG.
    ///
    /// # Errors
    /// When the picture has no pixels.
    pub fn png(&self) -> Result<Vec<u8>, RenderError> {
        let mut bytes = Vec::new();
        encode_png(&mut bytes, self).map_err(|e| RenderError::Usage(e.to_string()))?;
        Ok(bytes)
    }
}

/// Refuses sizes that no picture has, and more pixels than the bytes of its file can tell, before memory is taken.
fn checked(width: usize, height: usize, bytes: usize, per_byte: usize) -> Result<usize, String> {
    match width.checked_mul(height) {
        Some(pixels) if pixels > bytes.saturating_mul(per_byte) => {
            Err(format!("{width}x{height} pixels in {bytes} bytes: the file was cut, or says more than it holds"))
        }
        Some(pixels) if pixels <= MOST_PIXELS => Ok(pixels),
        _ => Err(format!("{width}x{height} pixels: expected at most {MOST_PIXELS} in all")),
    }
}

fn decode_png(bytes: &[u8]) -> Result<Result<Picture, String>, png::DecodingError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info()?;
    let (width, height) = (reader.info().width, reader.info().height);
    let pixels = match checked(width as usize, height as usize, bytes.len(), PNG_PIXELS) {
        Ok(pixels) => pixels,
        Err(message) => return Ok(Err(message)),
    };
    let mut samples = vec![0; reader.output_buffer_size().unwrap_or(4 * pixels)];
    let frame = reader.next_frame(&mut samples)?;
    samples.truncate(frame.buffer_size());
    let rgba = if frame.color_type == png::ColorType::GrayscaleAlpha {
        samples.as_chunks::<2>().0.iter().flat_map(|&[grey, opacity]| [grey, grey, grey, opacity]).collect()
    } else {
        samples
    };
    Ok(Ok(Picture { width, height, rgba }))
}

fn decode_jpeg(bytes: &[u8]) -> Result<Result<Picture, String>, zune_jpeg::errors::DecodeErrors> {
    use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    if let Err(message) = checked(width, height, bytes.len(), JPEG_PIXELS) {
        return Ok(Err(message));
    }
    let rgb = decoder.decode()?;
    let rgba = rgb.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    Ok(Ok(Picture { width: width as u32, height: height as u32, rgba }))
}

fn decode_gif(bytes: &[u8]) -> Result<Result<Picture, String>, gif::DecodingError> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(BufReader::new(bytes))?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let pixels = match checked(width, height, bytes.len(), GIF_PIXELS) {
        Ok(pixels) => pixels,
        Err(message) => return Ok(Err(message)),
    };
    let Some(frame) = decoder.read_next_frame()? else {
        return Ok(Err("there is no frame in it".to_string()));
    };
    // A frame may cover a part of the screen; the rest stays transparent.
    let mut rgba = vec![0; 4 * pixels];
    let (left, top, across) = (usize::from(frame.left), usize::from(frame.top), usize::from(frame.width));
    let shown = across.min(width.saturating_sub(left));
    if shown > 0 {
        for (y, row) in frame.buffer.chunks_exact(4 * across).enumerate().take(height.saturating_sub(top)) {
            rgba[4 * ((top + y) * width + left)..][..4 * shown].copy_from_slice(&row[..4 * shown]);
        }
    }
    Ok(Ok(Picture { width: width as u32, height: height as u32, rgba }))
}

fn encode_png(to: impl Write, picture: &Picture) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(to, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.rgb())?;
    writer.finish()
}

/// Writes a picture as PNG, without its opacity.
///
/// # Errors
/// When the file cannot be written.
pub fn write_png(path: &Path, picture: &Picture) -> Result<(), RenderError> {
    encode_png(crate::movie::create(path)?, picture).map_err(|e| RenderError::write(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: u32, height: u32) -> Picture {
        let rgba = (0..width * height).flat_map(|i| [i as u8, (i * 7) as u8, (i * 31 / 5) as u8, 255]).collect();
        Picture { width, height, rgba }
    }

    #[test]
    fn png_comes_back_as_it_was_whatever_its_kind_of_pixels() {
        let picture = noise(7, 5);
        assert_eq!(Picture::decode(&picture.png().unwrap()).unwrap().rgba, picture.rgba);
        let kinds = [
            (png::ColorType::Grayscale, png::BitDepth::Eight, vec![10, 200], vec![10, 10, 10, 255, 200, 200, 200, 255]),
            (png::ColorType::Grayscale, png::BitDepth::One, vec![0b0100_0000], vec![0, 0, 0, 255, 255, 255, 255, 255]),
            (png::ColorType::GrayscaleAlpha, png::BitDepth::Eight, vec![9, 8, 7, 6], vec![9, 9, 9, 8, 7, 7, 7, 6]),
            (
                png::ColorType::Rgb,
                png::BitDepth::Sixteen,
                vec![1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0],
                vec![1, 2, 3, 255, 4, 5, 6, 255],
            ),
            (png::ColorType::Indexed, png::BitDepth::Eight, vec![1, 0], vec![4, 5, 6, 255, 1, 2, 3, 255]),
        ];
        for (kind, depth, samples, expected) in kinds {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
            encoder.set_color(kind);
            encoder.set_depth(depth);
            if kind == png::ColorType::Indexed {
                encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
            }
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&samples).unwrap();
            writer.finish().unwrap();
            assert_eq!(Picture::decode(&bytes).unwrap().rgba, expected, "{kind:?}");
        }
    }

    #[test]
    fn a_frame_of_a_gif_is_put_where_it_belongs() {
        let mut bytes = Vec::new();
        let mut encoder = gif::Encoder::new(&mut bytes, 3, 2, &[0, 0, 0, 250, 10, 20]).unwrap();
        let frame =
            gif::Frame { left: 1, top: 1, width: 2, height: 1, buffer: vec![1, 1].into(), ..gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
        drop(encoder);
        let picture = Picture::decode(&bytes).unwrap();
        assert_eq!((picture.width, picture.height), (3, 2));
        assert_eq!((picture.pixel(0, 1), picture.pixel(2, 1)), ([0; 4], [250, 10, 20, 255]));
    }

    /// A JPEG of 16x8 grey pixels (128), written out: one block of 8x8 twice, each with nothing but a first coefficient of 0.
    fn grey_jpeg() -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xdb\x00\x43\x00".to_vec();
        bytes.extend([1; 64]); // quantisation
        bytes.extend(b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x10\x01\x01\x11\x00"); // 8 rows of 16, one component
        for class in [0x00, 0x10] {
            bytes.extend(b"\xff\xc4\x00\x14"); // a Huffman table with one code of one bit, for 0
            bytes.push(class);
            bytes.push(1);
            bytes.extend([0; 15]);
            bytes.push(0);
        }
        bytes.extend(b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"); // the scan
        bytes.extend([0b0000_1111, 0xff, 0xd9]); // two bits a block, ones as filling, the end
        bytes
    }

    #[test]
    fn jpeg_is_read_and_what_is_no_picture_is_refused() {
        let picture = Picture::decode(&grey_jpeg()).unwrap();
        assert_eq!((picture.width, picture.height, picture.pixel(15, 7)), (16, 8, [128, 128, 128, 255]));
        assert!(Picture::decode(b"BM and so on").unwrap_err().contains("no PNG, JPEG or GIF"));
        let mut huge = grey_jpeg();
        let frame = huge.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        huge[frame + 5..frame + 9].fill(0xff);
        assert!(Picture::decode(&huge).unwrap_err().contains("65535x65535"));
        let whole = noise(64, 64).png().unwrap();
        assert!(Picture::decode(&whole[..whole.len() / 2]).is_err());
    }
}
