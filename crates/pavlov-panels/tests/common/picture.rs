//! Pictures of panels, painted on the processor: no graphics adapter is needed, and the same panel is the same picture
//! everywhere.

use egui::epaint::{ClippedPrimitive, Primitive, Vertex};
use egui::{Color32, TextureId};
use egui_kittest::Harness;
use std::path::PathBuf;

/// A texture: width, height, premultiplied colours.
type Texture = (usize, usize, Vec<Color32>);

fn edge(a: &Vertex, b: &Vertex, x: f32, y: f32) -> f32 {
    (b.pos.x - a.pos.x) * (y - a.pos.y) - (b.pos.y - a.pos.y) * (x - a.pos.x)
}

fn mix(v: &[&Vertex; 3], w: [f32; 3], f: impl Fn(&Vertex) -> f32) -> f32 {
    f(v[0]) * w[0] + f(v[1]) * w[1] + f(v[2]) * w[2]
}

fn sample(texture: &Texture, u: f32, v: f32) -> [f32; 4] {
    let (w, h, pixels) = texture;
    let (x, y) = (u * *w as f32 - 0.5, v * *h as f32 - 0.5);
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let at = |dx: f32, dy: f32| {
        let px = ((x.floor() + dx).max(0.0) as usize).min(w - 1);
        let py = ((y.floor() + dy).max(0.0) as usize).min(h - 1);
        pixels[py * w + px].to_array().map(f32::from)
    };
    let (a, b, c, d) = (at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0), at(1.0, 1.0));
    std::array::from_fn(|k| {
        let (top, bottom) = (a[k] + (b[k] - a[k]) * fx, c[k] + (d[k] - c[k]) * fx);
        (top + (bottom - top) * fy) / 255.0
    })
}

fn paint(texture: &Texture, list: &[ClippedPrimitive], ppp: f32, w: usize, h: usize, ground: Color32) -> Vec<[f32; 4]> {
    let mut out = vec![ground.to_array().map(f32::from); w * h];
    for ClippedPrimitive { clip_rect, primitive } in list {
        let Primitive::Mesh(mesh) = primitive else { continue };
        if mesh.texture_id != TextureId::default() {
            continue;
        }
        let bound = |x: f32, most: usize| ((x * ppp).round().max(0.0) as usize).min(most);
        let (cx0, cx1) = (bound(clip_rect.min.x, w), bound(clip_rect.max.x, w));
        let (cy0, cy1) = (bound(clip_rect.min.y, h), bound(clip_rect.max.y, h));
        for t in mesh.indices.chunks_exact(3) {
            let v = [&mesh.vertices[t[0] as usize], &mesh.vertices[t[1] as usize], &mesh.vertices[t[2] as usize]];
            let area = edge(v[0], v[1], v[2].pos.x, v[2].pos.y);
            if area == 0.0 {
                continue;
            }
            let low = |f: fn(&Vertex) -> f32| v.iter().map(|v| f(v) * ppp).fold(f32::MAX, f32::min);
            let high = |f: fn(&Vertex) -> f32| v.iter().map(|v| f(v) * ppp).fold(f32::MIN, f32::max);
            let span = |a: f32, b: f32, lo: usize, hi: usize| {
                (a.floor().max(lo as f32) as usize)..((b.ceil().max(0.0) as usize).min(hi))
            };
            for y in span(low(|v| v.pos.y), high(|v| v.pos.y), cy0, cy1) {
                for x in span(low(|v| v.pos.x), high(|v| v.pos.x), cx0, cx1) {
                    let (px, py) = ((x as f32 + 0.5) / ppp, (y as f32 + 0.5) / ppp);
                    let a = edge(v[1], v[2], px, py) / area;
                    let b = edge(v[2], v[0], px, py) / area;
                    let weights = [a, b, 1.0 - a - b];
                    if weights.iter().any(|w| *w < 0.0) {
                        continue;
                    }
                    let texel = sample(texture, mix(&v, weights, |v| v.uv.x), mix(&v, weights, |v| v.uv.y));
                    let source: [f32; 4] =
                        std::array::from_fn(|k| mix(&v, weights, |v| f32::from(v.color.to_array()[k])) * texel[k]);
                    let to = &mut out[y * w + x];
                    let rest = 1.0 - source[3] / 255.0;
                    *to = std::array::from_fn(|k| source[k] + to[k] * rest);
                }
            }
        }
    }
    out
}

/// Writes what the harness shows to `target/pictures/<name>.png`.
pub fn save<S>(harness: &Harness<'_, S>, name: &str) -> PathBuf {
    let output = harness.output();
    let ppp = output.pixels_per_point;
    let rect = harness.ctx.content_rect();
    let (w, h) = ((rect.width() * ppp).round() as usize, (rect.height() * ppp).round() as usize);
    let list = harness.ctx.tessellate(output.shapes.clone(), ppp);
    let ground = harness.ctx.global_style().visuals.panel_fill;
    let atlas = harness.ctx.fonts(|f| f.image());
    let texture = (atlas.width(), atlas.height(), atlas.pixels);
    let pixels = paint(&texture, &list, ppp, w, h, ground);
    let bytes: Vec<u8> = pixels.iter().flat_map(|p| p[..3].iter().map(|c| c.round().clamp(0.0, 255.0) as u8)).collect();
    let folder = super::root().join("target/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.png"));
    image::RgbImage::from_raw(w as u32, h as u32, bytes).unwrap().save(&path).unwrap();
    path
}
