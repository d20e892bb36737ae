//! The device: choosing an adapter, opening it or adopting the caller's, and what is shared by everything that runs on it.
//!
//! [`Gpu`] is cheap to clone, Send and Sync. Errors of wgpu are caught in error scopes; a lost device and exhausted memory come back as
//! errors of their own (`fault`), and data reach the device in pieces (`transfer`).

mod adapter;
mod driver_cache;
mod fault;
mod peak;
mod profile;
mod recorder;
mod timing;
mod transfer;

pub use crate::kernel::Compiled;
pub use adapter::{AdapterReport, adapters, driver_hint, instance};
pub use peak::{Peak, measure_peak};
pub use profile::{DeviceProfile, MatrixUnits};
pub use recorder::Recorder;
pub use timing::{Clock, Timing};

use crate::kernel::PipelineCache;
use crate::tune::cache::Tuner;
use crate::types::{Error, Result};
use driver_cache::DriverCache;
use fault::Loss;
use std::sync::Arc;
use transfer::Staging;

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
    lost: Arc<Loss>,
    staging: Staging,
    kernels: PipelineCache,
    driver_cache: DriverCache,
    checked_shaders: bool,
    source_patch: Option<SourcePatch>,
    tuner: Tuner,
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
    /// Opens the best adapter (discrete, integrated, virtual, CPU), or the one that `WGCONV_ADAPTER` names.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what was found and what to install; [`Error::NoDevice`] with the driver's words.
    pub fn new() -> Result<Self> {
        Self::with_descriptor(&GpuDescriptor::default())
    }

    /// Opens an adapter as `descriptor` says, with every feature this crate uses that it has.
    ///
    /// # Errors
    /// As [`Gpu::new`]; [`Error::TooLarge`] where the wanted limits are below what every kernel needs, by the limit's name.
    pub fn with_descriptor(descriptor: &GpuDescriptor) -> Result<Self> {
        if let Some(limits) = &descriptor.limits {
            profile::check_limits(limits)?;
        }
        let from_environment = std::env::var(ADAPTER_VARIABLE).ok().filter(|v| !v.is_empty());
        let wanted = descriptor.adapter.clone().or(from_environment);
        let (index, adapter) = adapter::choose(wanted.as_deref())?;
        let features = adapter::WANTED_FEATURES.iter().fold(wgpu::Features::empty(), |all, (f, _)| all | (*f & adapter.features()));
        let report = AdapterReport::new(index, &adapter);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("wgconv"),
            required_features: features,
            required_limits: descriptor.limits.clone().unwrap_or_else(|| adapter.limits()),
            // SAFETY: cooperative matrices are wgpu's one experimental feature asked for, and only kernels written for them use it.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..Default::default()
        }))
        .map_err(|e| Error::NoDevice { adapter: report.name.clone(), message: e.to_string() })?;
        let gpu = Self::adopt(report, &adapter, device, queue, descriptor);
        let lost = gpu.inner.lost.clone();
        gpu.inner.device.set_device_lost_callback(move |reason, message| lost.note(format!("{reason:?}: {message}")));
        Ok(gpu)
    }

    /// Adopts a device that the caller owns. Nothing of it is changed: no callback is set, no feature is asked for.
    ///
    /// The device's own limits and features decide what plans may use; open it with the adapter's limits to get the most of it, and with
    /// those of these features that the adapter has: `SHADER_F16` for f16 tensors; it, `SUBGROUP` and `EXPERIMENTAL_COOPERATIVE_MATRIX` for
    /// matrix units; `SHADER_INT64` and `SUBGROUP` on software drivers, whose convolutions take up to twice as long without them.
    /// Four storage buffers a stage, as `Limits::downlevel_defaults` has them, do for all but what names five tensors: a convolution or product with
    /// bias and residual (but by Winograd or with a split depth), a batch norm with scale and bias, norms that give their statistics.
    /// wgpu keeps one device-lost callback per device, and it stays the caller's. A loss is noticed without it, by the next call; hand its
    /// message to [`Gpu::note_device_lost`] to have the driver's words in [`Error::DeviceLost`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a device with limits below what every kernel needs, by the limit's name; a device that is lost already.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        profile::check_limits(&device.limits())?;
        let gpu = Self::adopt(AdapterReport::new(0, adapter), adapter, device, queue, &GpuDescriptor::default());
        gpu.check_not_lost()?;
        Ok(gpu)
    }

    fn adopt(report: AdapterReport, adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue, descriptor: &GpuDescriptor) -> Self {
        let profile = DeviceProfile::new(&device, adapter);
        let driver_cache = DriverCache::new(&device);
        Self {
            inner: Arc::new(Inner {
                device,
                queue,
                report,
                profile,
                lost: Arc::default(),
                staging: Staging::default(),
                kernels: PipelineCache::default(),
                driver_cache,
                checked_shaders: descriptor.checked_shaders,
                source_patch: descriptor.source_patch.clone(),
                tuner: Tuner::default(),
            }),
        }
    }

    pub(crate) fn tuner(&self) -> &Tuner {
        &self.inner.tuner
    }

    /// The adapter behind the device.
    pub fn report(&self) -> &AdapterReport {
        &self.inner.report
    }

    /// What plans may use of the device.
    pub fn profile(&self) -> &DeviceProfile {
        &self.inner.profile
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
    pub(crate) fn create_buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let limit = self.inner.profile.max_buffer_bytes;
        if bytes > limit {
            return Err(Error::TooLarge { argument: label.to_string(), needed: bytes.into(), unit: "bytes", limit_name: "max_buffer_size", limit });
        }
        self.make_buffer(wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false })
    }

    /// A buffer that is mapped for writing, to be copied from.
    fn create_mapped(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        self.make_buffer(wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: true })
    }

    fn make_buffer(&self, descriptor: wgpu::BufferDescriptor<'_>) -> Result<wgpu::Buffer> {
        let (label, bytes) = (descriptor.label.unwrap_or_default(), descriptor.size);
        self.scoped(label, || Ok(self.inner.device.create_buffer(&descriptor))).map_err(|error| match error {
            Error::OutOfMemory { what, .. } => Error::OutOfMemory { what, bytes },
            other => other,
        })
    }

    /// A buffer that only kernels read and write.
    pub(crate) fn storage(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer> {
        self.create_buffer(label, bytes.next_multiple_of(16), wgpu::BufferUsages::STORAGE)
    }

    /// A uniform buffer with these bytes.
    pub(crate) fn uniform(&self, label: &str, bytes: &[u8]) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.create_buffer(label, bytes.len() as u64, usage)?;
        self.write_small(label, &buffer, bytes)?;
        Ok(buffer)
    }

    /// A storage buffer with these bytes, which kernels only read.
    pub(crate) fn table(&self, label: &str, bytes: &[u8]) -> Result<wgpu::Buffer> {
        let buffer = self.create_buffer(label, bytes.len() as u64, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST)?;
        self.write_small(label, &buffer, bytes)?;
        Ok(buffer)
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
