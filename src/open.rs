//! Opening a device, or adopting the caller's, with what chooses among plans beside it: the tuner; without the feature `tune`, and
//! in a browser, where nothing can be measured without yielding, the planner's rules.

use crate::gpu::{Chooser, Gpu, GpuDescriptor};
use crate::types::Result;

#[cfg(all(feature = "tune", not(target_arch = "wasm32")))]
fn chooser() -> Box<dyn Chooser> {
    Box::new(crate::tune::cache::Tuner::default())
}

#[cfg(any(target_arch = "wasm32", not(feature = "tune")))]
fn chooser() -> Box<dyn Chooser> {
    Box::new(Rules)
}

#[cfg(any(target_arch = "wasm32", not(feature = "tune")))]
struct Rules;

#[cfg(any(target_arch = "wasm32", not(feature = "tune")))]
impl Chooser for Rules {
    fn plan(&self, gpu: &Gpu, op: &crate::ops::Op) -> Result<crate::plan::step::Plan> {
        // Cooperative matrices are used where they were checked, and nothing checks them here.
        let profile = crate::plan::profile::DeviceProfile { matrix: None, ..*gpu.profile() };
        crate::plan::Planned::plan(op, &profile, None)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Gpu {
    /// Opens the best adapter (discrete, integrated, virtual, CPU), or the one that `WGCONV_ADAPTER` names.
    ///
    /// # Errors
    /// [`Error::NoAdapter`](crate::Error::NoAdapter) with what was found and what to install; [`Error::NoDevice`](crate::Error::NoDevice) with the driver's words.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Result<Self> {
        Self::with_descriptor(&GpuDescriptor::default())
    }

    /// As `new`, without blocking the calling thread. In a browser, which cannot block, this is the one form; its `navigator.gpu` chooses the adapter.
    ///
    /// # Errors
    /// As `new`.
    pub async fn new_async() -> Result<Self> {
        Self::with_descriptor_async(&GpuDescriptor::default()).await
    }

    /// Opens an adapter as `descriptor` says, with every feature this crate uses that it has.
    ///
    /// # Errors
    /// As `new`; [`Error::TooLarge`](crate::Error::TooLarge) where the wanted limits are below what every kernel needs, by the limit's name.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_descriptor(descriptor: &GpuDescriptor) -> Result<Self> {
        pollster::block_on(Self::with_descriptor_async(descriptor))
    }

    /// As `with_descriptor`, without blocking the calling thread.
    ///
    /// # Errors
    /// As `with_descriptor`.
    pub async fn with_descriptor_async(descriptor: &GpuDescriptor) -> Result<Self> {
        Self::open(descriptor, chooser()).await
    }

    /// Adopts a device that the caller owns. Nothing of it is changed: no callback is set, no feature is asked for.
    ///
    /// The device's own limits and features decide what plans may use; open it with the adapter's limits to get the most of it, and with
    /// those of these features that the adapter has: `SHADER_F16` for f16 tensors; it, `SUBGROUP` and `EXPERIMENTAL_COOPERATIVE_MATRIX` for
    /// cooperative matrices; `SHADER_INT64` and `SUBGROUP` on software drivers, whose convolutions take up to twice as long without them.
    /// Four storage buffers a stage, as `Limits::downlevel_defaults` has them, do for all but what names five tensors: a convolution or product with
    /// bias and residual (but by Winograd or with a split depth), a batch norm with scale and bias, norms that give their statistics.
    /// wgpu keeps one device-lost callback per device, and it stays the caller's. A loss is noticed without it, by the next call; hand its
    /// message to [`Gpu::note_device_lost`] to have the driver's words in [`Error::DeviceLost`](crate::Error::DeviceLost).
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) for a device with limits below what every kernel needs, by the limit's name; a device that is lost already.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::open_on(adapter, device, queue, chooser())
    }
}
