//! The three materials of the scene over one shader: shapes lit per corner with the colour in the mesh's tag, their
//! shadows flattened onto the ground, and the ground. No prepass, no shadow maps, no tone mapping: a software adapter
//! draws them at tens of pictures a second.

use bevy::mesh::{Mesh, MeshVertexBufferLayoutRef};
use bevy::pbr::{Material, MaterialPipeline, MaterialPipelineKey};
use bevy::prelude::*;
use bevy::render::render_resource::{AsBindGroup, RenderPipelineDescriptor, ShaderType, SpecializedMeshPipelineError};
use bevy::shader::ShaderRef;

const SHADER: &str = "embedded://pavlov_studio/scene.wgsl";

/// Light and ground; see `scene.wgsl`.
#[derive(Debug, Clone, Copy, ShaderType)]
pub struct Look {
    pub to_light: Vec4,
    pub sun: Vec4,
    pub sky: Vec4,
    pub below: Vec4,
    pub first: Vec4,
    pub second: Vec4,
    pub horizon: Vec4,
    pub ground: Vec4,
}

macro_rules! material {
    ($(#[$doc:meta])* $name:ident, $vertex:literal, $fragment:literal) => {
        $(#[$doc])*
        #[derive(Asset, TypePath, AsBindGroup, Debug, Clone)]
        pub struct $name {
            #[uniform(0)]
            pub look: Look,
        }

        impl Material for $name {
            fn vertex_shader() -> ShaderRef {
                SHADER.into()
            }
            fn fragment_shader() -> ShaderRef {
                SHADER.into()
            }
            fn enable_prepass() -> bool {
                false
            }
            fn enable_shadows() -> bool {
                false
            }
            fn specialize(
                _: &MaterialPipeline,
                descriptor: &mut RenderPipelineDescriptor,
                layout: &MeshVertexBufferLayoutRef,
                _: MaterialPipelineKey<Self>,
            ) -> Result<(), SpecializedMeshPipelineError> {
                specialize(descriptor, layout, $vertex, $fragment)
            }
        }
    };
}

material!(
    /// Shapes of robots.
    ShapeMaterial,
    "shape_vertex",
    "shape_fragment"
);
material!(
    /// Their shadows.
    ShadowMaterial,
    "shadow_vertex",
    "shadow_fragment"
);
material!(
    /// The ground.
    GroundMaterial,
    "ground_vertex",
    "ground_fragment"
);

fn specialize(
    descriptor: &mut RenderPipelineDescriptor,
    layout: &MeshVertexBufferLayoutRef,
    vertex: &'static str,
    fragment: &'static str,
) -> Result<(), SpecializedMeshPipelineError> {
    let attributes = [Mesh::ATTRIBUTE_POSITION.at_shader_location(0), Mesh::ATTRIBUTE_NORMAL.at_shader_location(1)];
    descriptor.vertex.buffers = vec![layout.0.get_layout(&attributes)?];
    descriptor.vertex.entry_point = Some(vertex.into());
    if let Some(stage) = &mut descriptor.fragment {
        stage.entry_point = Some(fragment.into());
    }
    Ok(())
}
