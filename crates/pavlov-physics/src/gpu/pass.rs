//! Launches, and how long kernels take where the adapter has timestamps.

use super::cache::Pipeline;
use super::device::{Gpu, GpuError};

/// Most timestamps that a query set of wgpu holds.
const MOST_MARKS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

impl Pipeline {
    /// Adds a launch of that many workgroups in x, y and z.
    pub fn dispatch(&self, encoder: &mut wgpu::CommandEncoder, group: &wgpu::BindGroup, [x, y, z]: [u32; 3]) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        self.bind(&mut pass, group);
        pass.dispatch_workgroups(x, y, z);
    }
}

impl Gpu {
    /// Launches a kernel on bound buffers.
    ///
    /// # Errors
    /// [`GpuError::Lost`] when something went wrong before.
    pub fn launch(&self, kernel: &Pipeline, group: &wgpu::BindGroup, groups: u32) -> Result<(), GpuError> {
        let mut encoder = self.encoder();
        kernel.dispatch(&mut encoder, group, [groups, 1, 1]);
        self.submit(encoder)
    }

    /// Destroys the device: from here on every use of it fails as if it had been lost.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Can workgroups of `threads` threads be launched, `groups` of them along an axis? `hint` says what to lower.
    ///
    /// # Errors
    /// [`GpuError::Limit`].
    pub fn check_launch(&self, resource: &str, threads: u32, groups: u32, hint: &str) -> Result<(), GpuError> {
        let limits = self.device.limits();
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let checks = [
            (format!("a workgroup of {resource}, in threads,"), threads, most),
            (format!("a launch of {resource}, in workgroups,"), groups, limits.max_compute_workgroups_per_dimension),
        ];
        for (resource, needs, limit) in checks {
            if needs > limit {
                let adapter = self.info().name.clone();
                let (needs, limit) = (u64::from(needs), u64::from(limit));
                return Err(GpuError::Limit { adapter, resource, needs, limit, hint: hint.into() });
            }
        }
        Ok(())
    }

    /// A clock of up to `marks` marks; none where the adapter has no timestamps.
    pub fn timing(&self, marks: usize) -> Option<Timing> {
        if !self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let most = marks.clamp(2, MOST_MARKS);
        let desc =
            wgpu::QuerySetDescriptor { label: Some("times"), ty: wgpu::QueryType::Timestamp, count: most as u32 };
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("times"),
            size: 8 * most as u64,
            usage,
            mapped_at_creation: false,
        });
        let set = self.device.create_query_set(&desc);
        Some(Timing {
            set,
            resolved,
            tick_s: 1e-9 * f64::from(self.queue.get_timestamp_period()),
            names: Vec::new(),
            most,
        })
    }
}

/// Times of kernels: marks among the commands, the time between two of them belonging to the first one's name.
#[derive(Debug)]
pub struct Timing {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    tick_s: f64,
    names: Vec<String>,
    most: usize,
}

impl Timing {
    /// Counts what follows, until the next mark, towards `name`. Marks beyond the number asked for are left out.
    pub fn mark(&mut self, encoder: &mut wgpu::CommandEncoder, name: &str) {
        if self.names.len() == self.most {
            return;
        }
        let at = Some(self.names.len() as u32);
        // A pass without launches only notes the time at which the commands before it are done.
        let _ = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(name),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.set,
                beginning_of_pass_write_index: at,
                end_of_pass_write_index: None,
            }),
        });
        self.names.push(name.to_string());
    }

    /// Submits the marked commands, waits, and gives the seconds of each name, in the order of first marks. The last
    /// mark's own time has no end, so it only closes the one before. The clock can then be used again.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn finish(&mut self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder) -> Result<Vec<(String, f64)>, GpuError> {
        let names = std::mem::take(&mut self.names);
        if names.is_empty() {
            gpu.submit(encoder)?;
            return Ok(Vec::new());
        }
        encoder.resolve_query_set(&self.set, 0..names.len() as u32, &self.resolved, 0);
        gpu.submit(encoder)?;
        let words = gpu.read(&[(&self.resolved, 2 * names.len())])?.remove(0);
        let ticks: Vec<u64> =
            words.chunks_exact(2).map(|w| u64::from(w[0].to_bits()) | u64::from(w[1].to_bits()) << 32).collect();
        let mut out: Vec<(String, f64)> = Vec::new();
        for (name, pair) in names.into_iter().zip(ticks.windows(2)) {
            let seconds = self.tick_s * pair[1].saturating_sub(pair[0]) as f64;
            match out.iter_mut().find(|(n, _)| *n == name) {
                Some((_, sum)) => *sum += seconds,
                None => out.push((name, seconds)),
            }
        }
        Ok(out)
    }
}
