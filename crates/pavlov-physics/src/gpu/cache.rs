//! Compiled kernels, kept on the disk by the hash of their text, so that the second start need not compile.
//!
//! The folder is `pavlov/kernels` in the user's cache folder (`PAVLOV_CACHE` names another). A file is what the driver
//! gives for its own use; a driver that gives nothing keeps its own cache (Mesa's software driver does).

use super::device::{Gpu, GpuError};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Instant;

/// How a kernel sees a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Small settings.
    Uniform,
    /// Storage it reads.
    Read,
    /// Storage it writes.
    Write,
}

/// A compiled kernel.
#[derive(Debug)]
pub struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    /// Seconds from text to pipeline.
    pub compile_s: f64,
    /// Was it in the cache?
    pub cached: bool,
}

impl Pipeline {
    /// Makes a pass run this kernel on the buffers bound by [`Gpu::bind`].
    pub fn bind(&self, pass: &mut wgpu::ComputePass<'_>, group: &wgpu::BindGroup) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, group, &[]);
    }
}

impl Gpu {
    /// Compiles a kernel whose buffers are bound in the order of `access`, entry point `entry`.
    ///
    /// # Errors
    /// [`GpuError::Kernel`] when it is refused.
    pub fn pipeline(&self, name: &str, text: &str, entry: &str, access: &[Access]) -> Result<Pipeline, GpuError> {
        let begin = Instant::now();
        let refused =
            |message: String| GpuError::Kernel { adapter: self.info().name.clone(), kernel: name.into(), message };
        let entries: Vec<wgpu::BindGroupLayoutEntry> = access
            .iter()
            .enumerate()
            .map(|(i, a)| wgpu::BindGroupLayoutEntry {
                binding: i as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match a {
                        Access::Uniform => wgpu::BufferBindingType::Uniform,
                        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let desc = wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries };
        let layout = self.device.create_bind_group_layout(&desc);
        let source = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
        #[expect(unsafe_code, reason = "bounds checks around every access would double the kernels' work")]
        // SAFETY: the text is our own: every index is below the length of its array by construction (tables are made
        // from the model, loops bounded by counts from it, worlds checked against `run.worlds` first), and every loop
        // ends.
        let module =
            unsafe { self.device.create_shader_module_trusted(source, wgpu::ShaderRuntimeChecks::unchecked()) };
        let file = self.cache_file(text);
        let data = file.as_ref().and_then(|path| pavlov_common::file::read(path, pavlov_common::file::NUMBERS).ok());
        let cached = data.is_some();
        let cache = file.as_ref().map(|_| {
            let desc = wgpu::PipelineCacheDescriptor { label: Some(name), data: data.as_deref(), fallback: true };
            #[expect(unsafe_code, reason = "the driver reads its own file back")]
            // SAFETY: the file holds what `get_data` of this adapter and driver gave (both are in its name) and was
            // renamed into place whole.
            unsafe {
                self.device.create_pipeline_cache(&desc)
            }
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: cache.as_ref(),
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(refused(e.to_string()));
        }
        if let (Some(path), Some(data)) = (file.filter(|_| !cached), cache.and_then(|c| c.get_data())) {
            keep(&path, &data);
        }
        self.check()?;
        Ok(Pipeline { pipeline, layout, compile_s: begin.elapsed().as_secs_f64(), cached })
    }

    /// The file of a kernel.
    fn cache_file(&self, text: &str) -> Option<PathBuf> {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let (folder, key) = (self.cache.as_ref()?, self.cache_key.as_ref()?);
        let hash = Sha256::digest([key, &self.info().driver, text].join("\n"));
        let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(folder.join(name))
    }

    /// Binds buffers to a kernel.
    pub fn bind(&self, pipeline: &Pipeline, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .iter()
            .enumerate()
            .map(|(i, b)| wgpu::BindGroupEntry { binding: i as u32, resource: b.as_entire_binding() })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.layout,
            entries: &entries,
        })
    }
}

/// Writes a file whole or not at all. A cache that cannot be written costs time only, so that is no error.
fn keep(path: &std::path::Path, data: &[u8]) {
    let Some(folder) = path.parent() else { return };
    let _ = std::fs::create_dir_all(folder).map(|()| pavlov_common::atomic::write(path, data));
}
