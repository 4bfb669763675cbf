//! Adapters and the device: found, chosen, opened with the limits that are needed, and watched for loss.
//!
//! Any Vulkan, Metal or DX12 adapter serves, a software one too. The program builds and starts without a driver: the
//! list of adapters is then empty.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Why the GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// There is none.
    #[error(
        "no GPU adapter was found: install a Vulkan driver (on Debian `mesa-vulkan-drivers` has one in software), \
         or use `--device cpu`"
    )]
    NoAdapter,
    /// There is none with this index.
    #[error("there is no GPU adapter {index}: `pavlov devices` lists {found} (numbers from 0)")]
    NoSuchAdapter {
        /// Index asked for.
        index: usize,
        /// Adapters found.
        found: usize,
    },
    /// A buffer or a workgroup would be too large.
    #[error("{adapter}: {resource} needs {needs}, and the limit is {limit}: {hint}")]
    Limit {
        /// Adapter.
        adapter: String,
        /// What is too large.
        resource: String,
        /// Its size.
        needs: u64,
        /// The adapter's limit.
        limit: u64,
        /// What to lower.
        hint: String,
    },
    /// The adapter does not give a device.
    #[error("{adapter}: cannot be opened: {message}")]
    Open {
        /// Adapter.
        adapter: String,
        /// Why.
        message: String,
    },
    /// A kernel was refused.
    #[error("{adapter}: the kernel `{kernel}` was refused: {message}")]
    Kernel {
        /// Adapter.
        adapter: String,
        /// Kernel.
        kernel: String,
        /// Why.
        message: String,
    },
    /// The device went away, or a command failed.
    #[error("{adapter}: the device was lost: {message}. The last checkpoint is good: `pavlov resume` goes on from it")]
    Lost {
        /// Adapter.
        adapter: String,
        /// Why.
        message: String,
    },
}

/// What is known about an adapter before it is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterInfo {
    /// Name of the hardware.
    pub name: String,
    /// `Vulkan`, `Metal` or `Dx12`.
    pub api: String,
    /// Name and version of the driver.
    pub driver: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu` or `Cpu`.
    pub kind: String,
    /// Largest storage buffer that can be bound, bytes.
    pub max_binding: u64,
    /// Largest buffer, bytes.
    pub max_buffer: u64,
    /// Can the time of kernels be measured?
    pub timestamps: bool,
}

fn instance() -> wgpu::Instance {
    let mut desc = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    desc.backends &= wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    wgpu::Instance::new(desc)
}

/// All adapters, hardware before software.
fn sorted_adapters() -> Vec<wgpu::Adapter> {
    let mut found = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::PRIMARY));
    let rank = |a: &wgpu::Adapter| match a.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    found.sort_by_key(rank);
    found
}

fn describe(adapter: &wgpu::Adapter) -> AdapterInfo {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    AdapterInfo {
        name: info.name,
        api: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        kind: format!("{:?}", info.device_type),
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
    }
}

/// How long after its commands are done the report of a read-back may take.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// What `pavlov devices` lists, in the order in which `gpu:i` counts.
pub fn adapters() -> Vec<AdapterInfo> {
    sorted_adapters().iter().map(describe).collect()
}

/// Where kernels are kept; none where the system has no cache folder.
fn kernel_folder() -> Option<PathBuf> {
    let base = std::env::var_os("PAVLOV_CACHE").map(PathBuf::from).or_else(|| Some(dirs::cache_dir()?.join("pavlov")));
    base.map(|b| b.join("kernels"))
}

/// An opened device.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    info: AdapterInfo,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) cache_key: Option<String>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// Opens adapter `index` of [`adapters`], with the largest limits it has.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(index: usize) -> Result<Arc<Self>, GpuError> {
        let mut adapters = sorted_adapters();
        if adapters.is_empty() {
            return Err(GpuError::NoAdapter);
        }
        if index >= adapters.len() {
            return Err(GpuError::NoSuchAdapter { index, found: adapters.len() });
        }
        let adapter = adapters.swap_remove(index);
        let info = describe(&adapter);
        let features = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE;
        let desc = wgpu::DeviceDescriptor {
            label: Some("pavlov"),
            required_features: adapter.features() & features,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let opened = pollster::block_on(adapter.request_device(&desc));
        let (device, queue) =
            opened.map_err(|e| GpuError::Open { adapter: info.name.clone(), message: e.to_string() })?;
        let failure = Arc::new(Mutex::new(None));
        let note = |failure: &Arc<Mutex<Option<String>>>| {
            let failure = failure.clone();
            move |message: String| {
                if let Ok(mut slot) = failure.lock() {
                    slot.get_or_insert(message);
                }
            }
        };
        let lost = note(&failure);
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost(message);
            }
        });
        let wrong = note(&failure);
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| wrong(e.to_string())));
        let cache_key = wgpu::util::pipeline_cache_key(&adapter.get_info());
        Ok(Arc::new(Self { device, queue, info, cache: kernel_folder(), cache_key, failure }))
    }

    /// The device, for passes that are not kernels.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// Physics steps that one launch may make, if there is a limit. Mesa's software driver silently leaves every loop
    /// of a kernel after 65,535 rounds of all its loops together; a single step never takes that many.
    pub fn steps_per_launch(&self) -> Option<usize> {
        (self.info.kind == "Cpu").then_some(1)
    }

    /// Has anything gone wrong since the device was opened?
    ///
    /// # Errors
    /// [`GpuError::Lost`] if so.
    pub fn check(&self) -> Result<(), GpuError> {
        let failed = self.failure.lock().map_or(None, |slot| slot.clone());
        failed.map_or(Ok(()), |message| Err(self.lost(message)))
    }

    pub(crate) fn lost(&self, message: String) -> GpuError {
        GpuError::Lost { adapter: self.info.name.clone(), message }
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn wait(&self) -> Result<(), GpuError> {
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| self.lost(e.to_string()))?;
        self.check()
    }

    /// A storage buffer of `len` 32-bit numbers, zeroed; `hint` says what to lower where it is too large.
    ///
    /// # Errors
    /// [`GpuError::Limit`].
    pub fn buffer(&self, label: &str, len: usize, hint: &str) -> Result<wgpu::Buffer, GpuError> {
        let needs = 4 * len.max(4) as u64;
        let limit = self.info.max_binding.min(self.info.max_buffer);
        if needs > limit {
            let adapter = self.info.name.clone();
            let resource = format!("buffer `{label}`");
            return Err(GpuError::Limit { adapter, resource, needs, limit, hint: hint.into() });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        Ok(self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: needs,
            usage,
            mapped_at_creation: false,
        }))
    }

    /// A small buffer of settings that kernels read.
    pub fn uniform(&self, words: &[u32]) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let size = (4 * words.len().max(4)) as u64;
        let desc = wgpu::BufferDescriptor { label: Some("settings"), size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&desc);
        self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        buffer
    }

    /// Writes numbers into a buffer from number `at` on.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &wgpu::Buffer, at: usize, values: &[T]) {
        self.queue.write_buffer(buffer, 4 * at as u64, bytemuck::cast_slice(values));
    }

    /// A list of commands to fill.
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    /// Hands commands to the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`] when something went wrong before.
    pub fn submit(&self, encoder: wgpu::CommandEncoder) -> Result<(), GpuError> {
        self.queue.submit([encoder.finish()]);
        self.check()
    }

    /// Reads the first numbers of several buffers in one go: one wait for all.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(&self, parts: &[(&wgpu::Buffer, usize)]) -> Result<Vec<Vec<f32>>, GpuError> {
        let parts: Vec<_> = parts.iter().map(|&(buffer, n)| (buffer, 0, n)).collect();
        self.read_parts(&parts)
    }

    /// Reads parts of several buffers (first number, how many) in one go: one wait for all.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read_parts(&self, parts: &[(&wgpu::Buffer, usize, usize)]) -> Result<Vec<Vec<f32>>, GpuError> {
        let total: u64 = parts.iter().map(|(_, _, n)| 4 * *n as u64).sum();
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: total.max(16),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut at = 0;
        for (buffer, first, n) in parts {
            encoder.copy_buffer_to_buffer(buffer, 4 * *first as u64, &staging, at, 4 * *n as u64);
            at += 4 * *n as u64;
        }
        self.queue.submit([encoder.finish()]);
        self.read_mapped(&staging, |bytes| {
            let mut rest: &[f32] = bytemuck::cast_slice(bytes);
            let part = |(_, _, n): &(&wgpu::Buffer, usize, usize)| {
                let (head, tail) = rest.split_at(*n);
                rest = tail;
                head.to_vec()
            };
            parts.iter().map(part).collect()
        })
    }

    /// The content of a buffer made to be read (`MAP_READ`), once everything submitted is done.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read_mapped<T>(&self, staging: &wgpu::Buffer, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T, GpuError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        // The receiver is gone only if the wait below has failed.
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| drop(sender.send(result)));
        self.wait()?;
        // Another thread that waits for the same device may have taken over the call and not have made it yet.
        match receiver.recv_timeout(CALL_LIMIT) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(self.lost(e.to_string())),
            Err(_) => return Err(self.lost("a read-back did not finish".into())),
        }
        let bytes = staging.slice(..).get_mapped_range();
        let out = use_bytes(&bytes);
        drop(bytes);
        staging.unmap();
        Ok(out)
    }
}
