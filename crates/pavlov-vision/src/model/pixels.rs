//! Pictures to the image tower's input: brought to size, values / 255, minus mean, over deviation;
//! `[n][3][height][width]`.
//!
//! Sizes change by averaging where the picture shrinks and by two-way linear interpolation where it grows (a triangle
//! as wide as the step between pixels: what `antialias=True` means elsewhere).

use super::manifest::{Fit, ImageTower};
use pavlov_render::Picture;

/// Weights of the source pixels of each target pixel: first source pixel, weights that sum to 1.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f32 / to as f32;
    let reach = ratio.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f32 + 0.5) * ratio;
            let low = (centre - reach).floor().max(0.0) as usize;
            let high = ((centre + reach).ceil() as usize).min(from);
            let w: Vec<f32> = (low..high).map(|j| (1.0 - ((j as f32 + 0.5 - centre) / reach).abs()).max(0.0)).collect();
            let sum: f32 = w.iter().sum::<f32>().max(1e-12);
            (low, w.into_iter().map(|x| x / sum).collect())
        })
        .collect()
}

/// RGB from 0 to 255 in another size, rows from the top.
fn resized(picture: &Picture, width: usize, height: usize) -> Vec<[f32; 3]> {
    let (w, h) = (picture.width as usize, picture.height as usize);
    let at = |x: usize, y: usize| -> [f32; 3] { std::array::from_fn(|c| f32::from(picture.rgba[4 * (y * w + x) + c])) };
    if (w, h) == (width, height) {
        return (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| at(x, y)).collect();
    }
    let across = weights(w, width);
    let mut rows = Vec::with_capacity(h * width);
    for y in 0..h {
        for (first, ws) in &across {
            let mut sum = [0.0; 3];
            for (k, weight) in ws.iter().enumerate() {
                let p = at(first + k, y);
                (0..3).for_each(|c| sum[c] += weight * p[c]);
            }
            rows.push(sum);
        }
    }
    let mut out = Vec::with_capacity(width * height);
    for (first, ws) in weights(h, height) {
        for x in 0..width {
            let mut sum = [0.0; 3];
            for (k, weight) in ws.iter().enumerate() {
                let p = rows[(first + k) * width + x];
                (0..3).for_each(|c| sum[c] += weight * p[c]);
            }
            out.push(sum);
        }
    }
    out
}

/// Pictures that have nothing in common: bright beside dark, coloured noise, a gradient.
pub(crate) fn test_picture(width: u32, height: u32, kind: u32) -> Picture {
    let shade = |x: u32, y: u32| -> [u8; 3] {
        match kind {
            0 => [if 2 * x < width { 250 } else { 5 }; 3],
            1 => {
                let noise = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
                [noise as u8, (noise >> 8) as u8, (noise >> 16) as u8]
            }
            _ => [(255 * y / height) as u8, 128, (255 * x / width) as u8],
        }
    };
    let pixel = |i: u32| {
        let [r, g, b] = shade(i % width, i / width);
        [r, g, b, 255]
    };
    Picture { width, height, rgba: (0..width * height).flat_map(pixel).collect() }
}

/// Writes one picture into `out`, `[3][height][width]`.
pub(crate) fn write(picture: &Picture, tower: &ImageTower, out: &mut [f32]) {
    let [height, width] = tower.size.map(|s| s as usize);
    let (w, h) = (picture.width as f32, picture.height as f32);
    let (sx, sy) = (width as f32 / w, height as f32 / h);
    let (rw, rh) = match tower.fit {
        Fit::Stretch => (width, height),
        Fit::Crop => {
            let s = sx.max(sy);
            (((w * s).round() as usize).max(width), ((h * s).round() as usize).max(height))
        }
        Fit::Pad => {
            let s = sx.min(sy);
            (((w * s).round() as usize).clamp(1, width), ((h * s).round() as usize).clamp(1, height))
        }
    };
    let pixels = resized(picture, rw, rh);
    let (left, top) = ((rw as isize - width as isize) / 2, (rh as isize - height as isize) / 2);
    for y in 0..height {
        for x in 0..width {
            let (px, py) = (x as isize + left, y as isize + top);
            let inside = (0..rw as isize).contains(&px) && (0..rh as isize).contains(&py);
            let value = if inside { pixels[py as usize * rw + px as usize] } else { [127.5; 3] };
            for c in 0..3 {
                out[(c * height + y) * width + x] = (value[c] / 255.0 - tower.mean[c]) / tower.std[c];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tower(size: [u32; 2], fit: Fit) -> ImageTower {
        ImageTower { file: "x".into(), input: None, output: None, size, mean: [0.0; 3], std: [1.0 / 255.0; 3], fit }
    }

    fn ramp(width: u32, height: u32) -> Picture {
        let rgba = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 7, 255]).collect();
        Picture { width, height, rgba }
    }

    #[test]
    fn a_picture_of_the_right_size_is_taken_as_it_is() {
        let mut out = vec![0.0; 3 * 6 * 4];
        write(&ramp(4, 6), &tower([6, 4], Fit::Crop), &mut out);
        for y in 0..6 {
            for x in 0..4 {
                assert!((out[y * 4 + x] - x as f32).abs() < 1e-4 && (out[24 + y * 4 + x] - y as f32).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn halving_averages_and_cropping_takes_the_middle() {
        let mut out = vec![0.0; 3 * 4 * 4];
        write(&ramp(16, 8), &tower([4, 4], Fit::Crop), &mut out);
        // 16x8 becomes 8x4, of which columns 2 to 5 are kept; a ramp stays one, its middle at 7.5.
        let row: Vec<f32> = out[4..8].to_vec();
        assert!((row.iter().sum::<f32>() / 4.0 - 7.5).abs() < 1e-3 && (row[1] - row[0] - 2.0).abs() < 1e-3, "{row:?}");
        let mut padded = vec![0.0; 3 * 4 * 4];
        write(&ramp(16, 8), &tower([4, 4], Fit::Pad), &mut padded);
        assert!((padded[0] - 127.5).abs() < 1e-3 && (padded[32 + 5] - 7.0).abs() < 1e-3, "{padded:?}");
    }
}
