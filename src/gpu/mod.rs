//! The device: choosing an adapter, opening it or adopting the caller's, and what is shared by everything that runs on it.
//!
//! [`Gpu`] is cheap to clone, Send and Sync. Errors of wgpu are caught in error scopes; a lost device and exhausted memory come back as
//! errors of their own (`fault`), and data reach the device in pieces (`transfer`).

pub(crate) mod adapter;
pub(crate) mod allocated;
pub(crate) mod api;
pub(crate) mod bind_groups;
pub(crate) mod buffer;
pub(crate) mod burn;
pub(crate) mod counters;
pub(crate) mod disk;
pub(crate) mod driver_cache;
pub(crate) mod eager;
pub(crate) mod fault;
pub(crate) mod later;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod peak;
pub(crate) mod pipelines;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod polling;
pub(crate) mod prepared;
pub(crate) mod record_op;
pub(crate) mod recorder;
pub(crate) mod sharing;
pub(crate) mod tensor;
pub(crate) mod timing;
pub(crate) mod trace;
pub(crate) mod transfer;

pub use crate::plan::profile::{CoopMatrix, DeviceProfile};
#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters;
pub use adapter::{AdapterReport, adapters_async, driver_hint, instance};
pub use buffer::Memory;
pub use counters::Counters;
#[cfg(not(target_arch = "wasm32"))]
pub use peak::{Peak, measure_peak};
pub use pipelines::Compiled;
#[cfg(not(target_arch = "wasm32"))]
pub use polling::Polling;
pub use recorder::Recorder;
pub use timing::{Clock, StepTiming, Timing};

use crate::gpu::buffer::{Buffer, Pool};
use crate::gpu::burn::Burner;
use crate::gpu::counters::{Counts, add};
use crate::gpu::driver_cache::DriverCache;
use crate::gpu::eager::SeenOps;
use crate::gpu::fault::Loss;
use crate::gpu::pipelines::PipelineCache;
use crate::gpu::transfer::Staging;
use crate::ops::{Op, Problem};
use crate::plan::Planned;
use crate::plan::profile;
use crate::plan::step::Plan;
use crate::types::{Error, Result};
use std::any::Any;
use std::sync::{Arc, Mutex};

/// Environment variable that names the adapter of [`Gpu::new`], by number or part of its name.
pub const ADAPTER_VARIABLE: &str = "WGCONV_ADAPTER";

/// A change to the text of a kernel before it is compiled: label and text in, text out. For tests that damage a kernel on purpose
/// and expect to be told.
#[doc(hidden)]
#[derive(Clone)]
pub struct SourcePatch(pub Arc<PatchFn>);

#[doc(hidden)]
pub type PatchFn = dyn Fn(&str, String) -> String + Send + Sync;

impl std::fmt::Debug for SourcePatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SourcePatch")
    }
}

/// How to open a device.
#[derive(Debug, Clone, Default)]
pub struct GpuDescriptor {
    /// Adapter by number or part of its name; `None`: `WGCONV_ADAPTER` if it is set, else the best one.
    pub adapter: Option<String>,
    /// Compiles every kernel with wgpu's run-time checks on. Slower; for tests.
    pub checked_shaders: bool,
    /// Limits to ask for in place of the adapter's own, such as [`wgpu::Limits::default`], what every browser gives.
    pub limits: Option<wgpu::Limits>,
    #[doc(hidden)]
    pub source_patch: Option<SourcePatch>,
}

/// Chooses among the plans of an op. Layers above know more than a device does: which plans were checked here, and timed.
pub(crate) trait Chooser: Send + Sync {
    /// The plan of `op` on `gpu`.
    fn plan(&self, gpu: &Gpu, op: &Op) -> Result<Plan>;

    /// For the layer that the chooser is of.
    fn as_any(&self) -> &dyn Any;
}

/// A device that computes: one wgpu device and queue, its pipelines and limits. Cheap to clone.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    report: AdapterReport,
    profile: DeviceProfile,
    uniform_alignment: u64,
    lost: Arc<Loss>,
    counts: Counts,
    pool: Arc<Pool>,
    seen: SeenOps,
    staging: Staging,
    kernels: PipelineCache,
    driver_cache: DriverCache,
    checked_shaders: bool,
    source_patch: Option<SourcePatch>,
    chooser: Box<dyn Chooser>,
    burner: Mutex<Option<Burner>>,
    #[cfg(not(target_arch = "wasm32"))]
    waiting: polling::Waiting,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.inner.report)
    }
}

impl PartialEq for Gpu {
    /// Two handles are equal if they are clones of one device.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Gpu {
    /// See [`Gpu::with_descriptor`].
    pub(crate) async fn open(descriptor: &GpuDescriptor, chooser: Box<dyn Chooser>) -> Result<Self> {
        if let Some(limits) = &descriptor.limits {
            profile::check_limits(limits)?;
        }
        let from_environment = std::env::var(ADAPTER_VARIABLE).ok().filter(|v| !v.is_empty());
        let wanted = descriptor.adapter.clone().or(from_environment);
        let (index, adapter) = adapter::choose(wanted.as_deref()).await?;
        let features = adapter::WANTED_FEATURES.iter().fold(wgpu::Features::empty(), |all, (f, _)| all | (*f & adapter.features()));
        let report = AdapterReport::new(index, &adapter);
        let wanted = wgpu::DeviceDescriptor {
            label: Some("wgconv"),
            required_features: features,
            required_limits: descriptor.limits.clone().unwrap_or_else(|| adapter.limits()),
            // SAFETY: cooperative matrices are wgpu's one experimental feature asked for, and only kernels written for them use it.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..Default::default()
        };
        let (device, queue) =
            adapter.request_device(&wanted).await.map_err(|e| Error::NoDevice { adapter: report.name.clone(), message: e.to_string() })?;
        let gpu = Self::adopt(report, &adapter, device, queue, descriptor, chooser);
        let lost = gpu.inner.lost.clone();
        gpu.inner.device.set_device_lost_callback(move |reason, message| lost.note(format!("{reason:?}: {message}")));
        Ok(gpu)
    }

    /// See [`Gpu::from_wgpu`].
    pub(crate) fn open_on(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue, chooser: Box<dyn Chooser>) -> Result<Self> {
        profile::check_limits(&device.limits())?;
        let gpu = Self::adopt(AdapterReport::new(0, adapter), adapter, device, queue, &GpuDescriptor::default(), chooser);
        gpu.check_not_lost()?;
        Ok(gpu)
    }

    fn adopt(
        report: AdapterReport,
        adapter: &wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
        descriptor: &GpuDescriptor,
        chooser: Box<dyn Chooser>,
    ) -> Self {
        let profile = DeviceProfile::new(&device, adapter);
        let uniform_alignment = u64::from(device.limits().min_uniform_buffer_offset_alignment).max(16);
        let driver_cache = DriverCache::new(&device);
        Self {
            inner: Arc::new(Inner {
                device,
                queue,
                report,
                profile,
                uniform_alignment,
                lost: Arc::default(),
                counts: Counts::default(),
                pool: Arc::default(),
                seen: SeenOps::default(),
                staging: Staging::default(),
                kernels: PipelineCache::default(),
                driver_cache,
                checked_shaders: descriptor.checked_shaders,
                source_patch: descriptor.source_patch.clone(),
                chooser,
                burner: Mutex::new(None),
                #[cfg(not(target_arch = "wasm32"))]
                waiting: polling::Waiting::default(),
            }),
        }
    }

    /// What chooses among the plans of an op here.
    pub(crate) fn chooser(&self) -> &dyn Chooser {
        self.inner.chooser.as_ref()
    }

    /// The plan of `op` on this device, by its [`Tuning`](crate::Tuning). The first plan for cooperative matrices has them verified and timed first
    /// ([`doubt_coop_matrix`](crate::tune::doubt_coop_matrix)). While another thread tunes the same op, and where tuning it verifies nothing, that is the
    /// planner's own.
    ///
    /// # Errors
    /// As [`Planned::plan`]; loss of the device.
    pub fn plan(&self, op: impl Into<Op>) -> Result<Plan> {
        let op = op.into();
        add(&self.inner.counts.plans, 1);
        let plan = self.chooser().plan(self, &op)?;
        log::debug!("{} {op}: {}, {} dispatches", op.name(), plan.label, plan.steps.len());
        if log::log_enabled!(log::Level::Trace) {
            op.not_chosen(self.profile()).iter().for_each(|(name, why)| log::trace!("{} {op}: not {name}: {why}", op.name()));
        }
        Ok(plan)
    }

    /// The adapter behind the device.
    pub fn report(&self) -> &AdapterReport {
        &self.inner.report
    }

    /// What plans may use of the device.
    pub fn profile(&self) -> &DeviceProfile {
        &self.inner.profile
    }

    /// Where a uniform may begin in a buffer of several.
    pub(crate) fn uniform_alignment(&self) -> u64 {
        self.inner.uniform_alignment
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// A recorder with an encoder of its own: many ops, one submit, no waiting.
    pub fn recorder(&self) -> Recorder<'static> {
        Recorder::new(self)
    }

    /// A new buffer, or the reason why there is none.
    pub(crate) fn create_buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let limit = self.inner.profile.max_buffer_bytes;
        if bytes > limit {
            return Err(Error::TooLarge { argument: label.to_string(), needed: bytes.into(), unit: "bytes", limit_name: "max_buffer_size", limit });
        }
        self.make_buffer(wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false })
    }

    /// As [`Gpu::create_buffer`], to be reused when it is gone.
    pub(crate) fn create_reusable(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let buffer = self.create_buffer(label, bytes, usage)?;
        buffer.reuse_later();
        Ok(buffer)
    }

    /// A buffer that is mapped for writing, to be copied from.
    pub(crate) fn create_mapped(&self, label: &str, bytes: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        self.make_buffer(wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: true })
    }

    fn make_buffer(&self, descriptor: wgpu::BufferDescriptor<'_>) -> Result<Buffer> {
        let (label, bytes) = (descriptor.label.unwrap_or_default(), descriptor.size);
        add(&self.inner.counts.buffers, 1);
        add(&self.inner.counts.buffer_bytes, bytes);
        let make = || self.scoped(label, || Ok(self.inner.device.create_buffer(&descriptor)));
        let made = make().or_else(|error| match error {
            // What is kept for reuse may have been the room for it.
            Error::OutOfMemory { .. } if self.inner.pool.clear() => make(),
            other => Err(other),
        });
        made.map(|buffer| self.inner.pool.count(buffer)).map_err(|error| match error {
            Error::OutOfMemory { what, .. } => Error::OutOfMemory { what, bytes },
            other => other,
        })
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.inner.pool
    }

    /// Ops of [`Gpu::run`] that were seen before.
    pub(crate) fn seen(&self) -> &SeenOps {
        &self.inner.seen
    }

    /// A buffer that only kernels read and write.
    pub(crate) fn storage(&self, label: &str, bytes: u64) -> Result<Buffer> {
        self.create_buffer(label, bytes.next_multiple_of(16), wgpu::BufferUsages::STORAGE)
    }

    /// A uniform buffer with these bytes.
    pub(crate) fn uniform(&self, label: &str, bytes: &[u8]) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.create_buffer(label, bytes.len() as u64, usage)?;
        self.write_small(label, &buffer, bytes)?;
        Ok(buffer)
    }

    /// A storage buffer with these bytes, which kernels only read.
    pub(crate) fn table(&self, label: &str, bytes: &[u8]) -> Result<Buffer> {
        let buffer = self.create_buffer(label, bytes.len() as u64, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST)?;
        self.write_small(label, &buffer, bytes)?;
        Ok(buffer)
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    /// What brings the clock up (`burn`), once it was wanted.
    pub(crate) fn burner(&self) -> &Mutex<Option<Burner>> {
        &self.inner.burner
    }

    /// Futures that wait for polls of the program.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn waiting(&self) -> &polling::Waiting {
        &self.inner.waiting
    }

    pub(crate) fn kernels(&self) -> &PipelineCache {
        &self.inner.kernels
    }

    pub(crate) fn driver_cache(&self) -> Option<wgpu::PipelineCache> {
        self.inner.driver_cache.get()
    }

    pub(crate) fn checked_shaders(&self) -> bool {
        self.inner.checked_shaders
    }

    pub(crate) fn source_patch(&self) -> Option<&SourcePatch> {
        self.inner.source_patch.as_ref()
    }
}
