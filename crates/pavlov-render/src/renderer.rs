//! Draws scenes: many small pictures in one pass over one texture, read back once. Plain wgpu, no window.
//!
//! Per view: the shapes as instanced meshes, then the same shapes flattened onto the ground along the light (their
//! colour is that of the ground in shadow, so that overlaps do not darken twice), then the ground, then the sky; each
//! only where nothing is yet. Pixels are RGBA8 sRGB, rows from the top. The same views give the same bytes on one
//! adapter; drawn alone, a view differs in a few pixels of its edges (places are rounded).

use crate::RenderError;
use crate::camera::{Eye, dot};
use crate::look::Shape;
use crate::mesh::{BOX, CAPSULE, CYLINDER, KINDS, Meshes, SPHERE, Vertex};
use crate::pipelines::Pipelines;
use crate::scene::{Instance, Scene, Texture};
use pavlov_physics::gpu::Gpu;
use std::ops::Range;
use std::sync::Arc;

/// Largest side of the shared texture, pixels.
const ATLAS: u32 = 2048;
/// Bytes between the settings of two views.
const STRIDE: u64 = 512;
/// Pictures higher than this get finer meshes.
const SMALL: u32 = 320;

/// A picture to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What it shows.
    pub scene: &'a Scene,
    /// From where.
    pub eye: Eye,
}

/// A picture: RGBA8, sRGB, rows from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[height][width][4]`.
    pub rgba: Vec<u8>,
}

impl Picture {
    /// The pixel in column `x` of row `y`.
    ///
    /// # Panics
    /// Outside of the picture.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 4] {
        let at = 4 * (y * self.width + x) as usize;
        std::array::from_fn(|k| self.rgba[at + k])
    }

    /// The pixels without opacity, `[height][width][3]`.
    pub fn rgb(&self) -> Vec<u8> {
        self.rgba.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect()
    }

    /// Pictures of one size in a row.
    pub fn strip(pictures: &[Self]) -> Option<Self> {
        let (width, height) = pictures.first().map(|p| (p.width, p.height))?;
        let mut rgba = Vec::with_capacity(pictures.len() * pictures[0].rgba.len());
        let row = 4 * width as usize;
        for y in 0..height as usize {
            pictures.iter().for_each(|p| rgba.extend_from_slice(&p.rgba[y * row..(y + 1) * row]));
        }
        Some(Self { width: width * pictures.len() as u32, height, rgba })
    }
}

/// The textures of one size of atlas.
#[derive(Debug)]
struct Target {
    size: (u32, u32),
    colour: wgpu::Texture,
    many: Option<wgpu::TextureView>,
    depth: wgpu::TextureView,
    staging: wgpu::Buffer,
}

/// Bytes of an instance in the vertex buffer.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Raw {
    place: [f32; 4],
    turn: [f32; 4],
    scale: [f32; 4],
    colour: [f32; 4],
}

/// The renderer: pipelines and meshes on an opened adapter.
#[derive(Debug)]
pub struct Renderer {
    gpu: Arc<Gpu>,
    pipelines: Pipelines,
    samples: u32,
    /// Coarse, fine: vertices, indices, ranges.
    meshes: [(wgpu::Buffer, wgpu::Buffer, [Range<u32>; KINDS]); 2],
    target: Option<Target>,
    instances: Option<wgpu::Buffer>,
    settings: Option<(wgpu::Buffer, wgpu::BindGroup)>,
}

impl Renderer {
    /// On adapter `index` of `pavlov devices` (from 0).
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn new(index: usize) -> Result<Self, RenderError> {
        Self::on(Gpu::open(index)?, 4)
    }

    /// On an opened adapter; `samples` per pixel: 1, or 4 for smooth edges.
    ///
    /// # Errors
    /// When the adapter refuses a pipeline.
    pub fn on(gpu: Arc<Gpu>, samples: u32) -> Result<Self, RenderError> {
        if !matches!(samples, 1 | 4) {
            return Err(RenderError::Usage(format!("{samples} samples a pixel: expected 1 or 4")));
        }
        let pipelines = Pipelines::new(&gpu, samples)?;
        let meshes = [20, 48].map(|around| {
            let m = Meshes::new(around);
            let vertices = filled(&gpu, "vertices", bytemuck::cast_slice(&m.vertices), wgpu::BufferUsages::VERTEX);
            let indices = filled(&gpu, "indices", bytemuck::cast_slice(&m.indices), wgpu::BufferUsages::INDEX);
            (vertices, indices, m.ranges)
        });
        Ok(Self { gpu, pipelines, samples, meshes, target: None, instances: None, settings: None })
    }

    /// Name of the adapter.
    pub fn adapter(&self) -> &str {
        &self.gpu.info().name
    }

    /// Draws pictures of `width` x `height` pixels, in the order of the views.
    ///
    /// # Errors
    /// When the size is 0 or larger than the adapter's textures, or the device is lost.
    pub fn render(&mut self, views: &[View<'_>], width: u32, height: u32) -> Result<Vec<Picture>, RenderError> {
        let limit = self.gpu.device().limits().max_texture_dimension_2d.min(8192);
        if width == 0 || height == 0 || width > limit || height > limit {
            return Err(RenderError::Usage(format!(
                "a picture of {width}x{height}: each side may be 1 to {limit} pixels"
            )));
        }
        let (most_across, most_down) = ((ATLAS / width).max(1), (ATLAS / height).max(1));
        let mut out = Vec::with_capacity(views.len());
        for batch in views.chunks((most_across * most_down) as usize) {
            let across = (batch.len() as u32).min(most_across);
            let down = (batch.len() as u32).div_ceil(across);
            self.batch(batch, (width, height), (across, down), &mut out)?;
        }
        Ok(out)
    }

    fn batch(
        &mut self,
        views: &[View<'_>],
        (width, height): (u32, u32),
        (across, down): (u32, u32),
        out: &mut Vec<Picture>,
    ) -> Result<(), RenderError> {
        let size = (across * width, down * height);
        self.prepare(size, views.len());
        let (mut raw, mut ranges): (Vec<Raw>, Vec<[Range<u32>; KINDS]>) = (Vec::new(), Vec::new());
        let mut settings = vec![0u8; STRIDE as usize * views.len()];
        for (i, view) in views.iter().enumerate() {
            let corner = (i as u32 % across * width, i as u32 / across * height);
            let numbers = numbers(view, corner, (width, height));
            settings[i * STRIDE as usize..][..4 * numbers.len()].copy_from_slice(bytemuck::cast_slice(&numbers));
            ranges.push(std::array::from_fn(|kind| {
                let first = raw.len() as u32;
                raw.extend(view.scene.instances.iter().filter_map(|s| instance(s, kind)));
                first..raw.len() as u32
            }));
        }
        let bytes: &[u8] = bytemuck::cast_slice(&raw);
        if self.instances.as_ref().is_none_or(|b| b.size() < bytes.len() as u64) {
            self.instances = Some(filled(&self.gpu, "instances", bytes, wgpu::BufferUsages::VERTEX));
        } else if let Some(buffer) = &self.instances {
            self.gpu.queue().write_buffer(buffer, 0, bytes);
        }
        let (Some(target), Some((buffer, group)), Some(instances)) = (&self.target, &self.settings, &self.instances)
        else {
            return Err(RenderError::Usage("no pictures were asked for".into()));
        };
        self.gpu.queue().write_buffer(buffer, 0, &settings);
        let mut encoder = self.gpu.encoder();
        {
            let mut pass = begin(&mut encoder, target);
            let (vertices, indices, meshes) = &self.meshes[usize::from(height > SMALL)];
            pass.set_vertex_buffer(0, vertices.slice(..));
            pass.set_vertex_buffer(1, instances.slice(..));
            pass.set_index_buffer(indices.slice(..), wgpu::IndexFormat::Uint16);
            for (i, view) in views.iter().enumerate() {
                let (x, y) = (i as u32 % across * width, i as u32 / across * height);
                pass.set_viewport(x as f32, y as f32, width as f32, height as f32, 0.0, 1.0);
                pass.set_scissor_rect(x, y, width, height);
                pass.set_bind_group(0, group, &[(i as u64 * STRIDE) as u32]);
                let shapes = |pass: &mut wgpu::RenderPass<'_>| {
                    for (mesh, range) in meshes.iter().zip(&ranges[i]).filter(|(_, r)| !r.is_empty()) {
                        pass.draw_indexed(mesh.clone(), 0, range.clone());
                    }
                };
                pass.set_pipeline(&self.pipelines.solid);
                shapes(&mut pass);
                if view.scene.ground.is_some() {
                    if view.scene.style.light.shadow > 0.0 {
                        pass.set_pipeline(&self.pipelines.shadow);
                        shapes(&mut pass);
                    }
                    pass.set_pipeline(&self.pipelines.ground);
                    pass.draw(0..4, 0..1);
                }
                pass.set_pipeline(&self.pipelines.sky);
                pass.draw(0..3, 0..1);
            }
        }
        let row = padded(size.0);
        encoder.copy_texture_to_buffer(
            target.colour.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: &target.staging,
                layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None },
            },
            wgpu::Extent3d { width: size.0, height: size.1, depth_or_array_layers: 1 },
        );
        self.gpu.submit(encoder)?;
        self.gpu.read_mapped(&target.staging, |bytes| {
            for i in 0..views.len() as u32 {
                let (x, y) = (i % across * width, i / across * height);
                let mut rgba = Vec::with_capacity((4 * width * height) as usize);
                for line in y..y + height {
                    let at = (line * row + 4 * x) as usize;
                    rgba.extend_from_slice(&bytes[at..at + 4 * width as usize]);
                }
                out.push(Picture { width, height, rgba });
            }
        })?;
        Ok(())
    }

    /// Makes what the last batch has not left: textures of this size, room for the settings of so many views.
    fn prepare(&mut self, size: (u32, u32), views: usize) {
        let device = self.gpu.device();
        if self.target.as_ref().is_none_or(|t| t.size != size) {
            let texture = |format, samples, usage| {
                device.create_texture(&wgpu::TextureDescriptor {
                    label: Some("atlas"),
                    size: wgpu::Extent3d { width: size.0, height: size.1, depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: samples,
                    dimension: wgpu::TextureDimension::D2,
                    format,
                    usage,
                    view_formats: &[],
                })
            };
            let attachment = wgpu::TextureUsages::RENDER_ATTACHMENT;
            let colour = texture(Pipelines::COLOUR, 1, attachment | wgpu::TextureUsages::COPY_SRC);
            let many = (self.samples > 1).then(|| texture(Pipelines::COLOUR, self.samples, attachment));
            let depth = texture(Pipelines::DEPTH, self.samples, attachment).create_view(&Default::default());
            let staging = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("pictures"),
                size: u64::from(padded(size.0)) * u64::from(size.1),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let many = many.map(|t| t.create_view(&Default::default()));
            self.target = Some(Target { size, colour, many, depth, staging });
        }
        let needs = STRIDE * views as u64;
        if self.settings.as_ref().is_none_or(|(b, _)| b.size() < needs) {
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            let desc = wgpu::BufferDescriptor { label: Some("views"), size: needs, usage, mapped_at_creation: false };
            let buffer = device.create_buffer(&desc);
            let group = self.pipelines.group(device, &buffer);
            self.settings = Some((buffer, group));
        }
    }
}

fn begin<'a>(encoder: &'a mut wgpu::CommandEncoder, target: &Target) -> wgpu::RenderPass<'a> {
    let single = target.colour.create_view(&Default::default());
    let (view, resolve_target, store) = match &target.many {
        Some(many) => (many, Some(&single), wgpu::StoreOp::Discard),
        None => (&single, None, wgpu::StoreOp::Store),
    };
    encoder
        .begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("pictures"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store },
            })],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &target.depth,
                depth_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(1.0), store: wgpu::StoreOp::Discard }),
                stencil_ops: None,
            }),
            ..Default::default()
        })
        .forget_lifetime()
}

fn filled(gpu: &Gpu, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let usage = usage | wgpu::BufferUsages::COPY_DST;
    let size = (bytes.len() as u64).next_multiple_of(4).max(64);
    let desc = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
    let buffer = gpu.device().create_buffer(&desc);
    gpu.queue().write_buffer(&buffer, 0, bytes);
    buffer
}

/// Bytes of a row of pixels in a read-back.
fn padded(width: u32) -> u32 {
    (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT)
}

/// sRGB to linear.
fn linear(c: f32) -> f32 {
    if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}

/// The instance for the vertex buffer, if it is of this kind of mesh.
fn instance(s: &Instance, kind: usize) -> Option<Raw> {
    let (found, scale, half) = match s.shape {
        Shape::Plane => return None,
        Shape::Sphere { radius } => (SPHERE, [radius; 3], 0.0),
        Shape::Capsule { radius, half } => (CAPSULE, [radius; 3], half),
        Shape::Cylinder { radius, half } => (CYLINDER, [radius; 3], half),
        Shape::Box { half } => (BOX, half, 0.0),
    };
    let ([x, y, z], [qw, qx, qy, qz]) = (s.pose.position, s.pose.rotation);
    let [r, g, b, a] = s.colour;
    let colour = [linear(r), linear(g), linear(b), a];
    let scale = [scale[0], scale[1], scale[2], 0.0];
    (found == kind).then_some(Raw { place: [x, y, z, half], turn: [qx, qy, qz, qw], scale, colour })
}

/// What the shader's `View` holds.
fn numbers(view: &View<'_>, corner: (u32, u32), (width, height): (u32, u32)) -> Vec<f32> {
    let (eye, style) = (&view.eye, &view.scene.style);
    let aspect = width as f32 / height as f32;
    let half_y = (0.5 * eye.fovy).tan();
    let four = |v: [f32; 3], w: f32| [v[0], v[1], v[2], w];
    let times = |v: [f32; 3], f: f32| v.map(|x| f * x);
    let unit = |v: [f32; 3]| times(v, 1.0 / dot(v, v).sqrt().max(1e-9));
    let colour = |c: [f32; 3]| four(c.map(linear), 0.0);
    let ground = view.scene.ground.unwrap_or(crate::Pose { position: [0.0; 3], rotation: [1.0, 0.0, 0.0, 0.0] });
    let axis = |k: usize| {
        let [w, x, y, z] = ground.rotation;
        match k {
            0 => [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)],
            1 => [2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)],
            _ => [2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)],
        }
    };
    let (u, v, n) = (axis(0), axis(1), axis(2));
    let light = style.light;
    let pattern = match style.surface.texture {
        Texture::Checker => 0.0,
        Texture::Grid => 1.0,
        Texture::Stripes => 2.0,
        Texture::Grain => 3.0,
        Texture::Plain => 4.0,
    };
    let cell = style.surface.cell.unwrap_or(view.scene.cell);
    let rows = [
        four(eye.position, 1.0 / (14.0 * eye.distance)),
        four(times(eye.right, half_y * aspect), corner.0 as f32),
        four(times(eye.up, half_y), corner.1 as f32),
        four(eye.forward, 2.0 / width as f32),
        [2.0 / height as f32, 60.0 * eye.distance, pattern, 1.0 / cell],
        four(n, dot(n, ground.position)),
        four(u, dot(u, ground.position)),
        four(v, dot(v, ground.position)),
        four(unit(times(light.direction, -1.0)), 1.0 - light.shadow),
        four(light.sun, 0.0),
        four(light.sky, 0.0),
        four(light.ground, 0.0),
        colour(style.surface.colours[0]),
        colour(style.surface.colours[1]),
        colour(light.background[0]),
        colour(light.background[1]),
    ];
    eye.view_projection(aspect).into_iter().chain(rows).flatten().collect()
}

const _: () = assert!(size_of::<Vertex>() == 28 && size_of::<Raw>() == 64);
