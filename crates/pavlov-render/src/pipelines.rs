//! The four pipelines of a picture: shapes, their shadows, ground, sky. All share one uniform, found by a moving
//! offset.

use crate::RenderError;
use crate::mesh::Vertex;
use pavlov_physics::gpu::{Gpu, GpuError};

#[derive(Debug)]
pub(crate) struct Pipelines {
    pub solid: wgpu::RenderPipeline,
    pub shadow: wgpu::RenderPipeline,
    pub ground: wgpu::RenderPipeline,
    pub sky: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
}

impl Pipelines {
    pub const COLOUR: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;
    pub const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;
    /// Bytes of the shader's `View`.
    const VIEW: u64 = 64 + 16 * 16;

    pub fn new(gpu: &Gpu, samples: u32) -> Result<Self, RenderError> {
        let device = gpu.device();
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let source = wgpu::ShaderSource::Wgsl(include_str!("shader.wgsl").into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("pictures"), source });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("view"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: std::num::NonZeroU64::new(Self::VIEW),
                },
                count: None,
            }],
        });
        let whole = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("pictures"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let per_vertex = wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32, 2 => Float32x3];
        let per_instance = wgpu::vertex_attr_array![3 => Float32x4, 4 => Float32x4, 5 => Float32x4, 6 => Float32x4];
        let buffers = [
            wgpu::VertexBufferLayout {
                array_stride: size_of::<Vertex>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &per_vertex,
            },
            wgpu::VertexBufferLayout {
                array_stride: 64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &per_instance,
            },
        ];
        let make = |name: &str, meshes: bool| {
            let strip = name == "ground";
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(name),
                layout: Some(&whole),
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: Some(&format!("{name}_vertex")),
                    compilation_options: Default::default(),
                    buffers: if meshes { &buffers } else { &[] },
                },
                primitive: wgpu::PrimitiveState {
                    topology: if strip {
                        wgpu::PrimitiveTopology::TriangleStrip
                    } else {
                        wgpu::PrimitiveTopology::TriangleList
                    },
                    // Flattened shapes turn over where the light meets them from behind; a plane is seen from above
                    // only.
                    cull_mode: matches!(name, "solid" | "ground").then_some(wgpu::Face::Back),
                    ..Default::default()
                },
                depth_stencil: Some(wgpu::DepthStencilState {
                    format: Self::DEPTH,
                    depth_write_enabled: Some(name != "sky"),
                    depth_compare: Some(wgpu::CompareFunction::LessEqual),
                    stencil: Default::default(),
                    bias: Default::default(),
                }),
                multisample: wgpu::MultisampleState { count: samples, ..Default::default() },
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: Some(&format!("{name}_fragment")),
                    compilation_options: Default::default(),
                    targets: &[Some(Self::COLOUR.into())],
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let (solid, shadow) = (make("solid", true), make("shadow", true));
        let (ground, sky) = (make("ground", false), make("sky", false));
        if let Some(error) = pollster::block_on(scope.pop()) {
            let adapter = gpu.info().name.clone();
            let message = error.to_string();
            return Err(GpuError::Kernel { adapter, kernel: "pictures".into(), message }.into());
        }
        Ok(Self { solid, shadow, ground, sky, layout })
    }

    /// The uniform, of which each view has its own part of `buffer`.
    pub fn group(&self, device: &wgpu::Device, buffer: &wgpu::Buffer) -> wgpu::BindGroup {
        let size = std::num::NonZeroU64::new(Self::VIEW);
        let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size });
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("view"),
            layout: &self.layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource }],
        })
    }
}
