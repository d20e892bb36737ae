//! Tensors: a shape, an element type, a memory layout and a range of a GPU buffer. Upload from any ndarray view, download to an
//! owned array, adopt a buffer, hand it back.

use crate::gpu::Gpu;
use crate::gpu::buffer::{Buffer, reusable_size};
use crate::gpu::later::Later;
use crate::gpu::pipelines::Binding;
use crate::types::{Element, ElementType, Error, Layout, Result, TensorShape, TensorType};
use ndarray::{Array, ArrayBase, ArrayD, Data, Dimension, IxDyn};
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(target_arch = "wasm32"))]
use std::time::Duration;

/// A tensor on a device. Cheap to clone: clones share the buffer.
#[must_use = "a tensor that is dropped takes its content with it"]
#[derive(Clone)]
pub struct Tensor {
    gpu: Gpu,
    buffer: Buffer,
    byte_offset: u64,
    shape: TensorShape,
    element: ElementType,
    layout: Layout,
    /// Bytes past the tensor that its binding also covers, so that a stray write of a kernel under check lands in guard words
    /// instead of being dropped by the driver.
    slack: u64,
    /// Which call made or adopted it: the same in its clones and views.
    origin: u64,
}

/// A number that no other tensor of this process has.
pub(crate) fn new_origin() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({} {} {})", self.shape, self.element, self.layout.name())
    }
}

/// How a tensor's buffer may be used: by kernels, and copied both ways.
fn usages() -> wgpu::BufferUsages {
    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST
}

/// Buffer sizes are multiples of 16 bytes: copies need 4, and a vec4 load of the last elements must stay inside.
fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(16)
}

impl Gpu {
    /// Uploads an array of rank 0 to 5 as a channels-first tensor. Any view will do, contiguous or not.
    ///
    /// # Errors
    /// Rank above 5, an extent of 0, sizes past the device's limits, f16 on a device without it, out of memory.
    pub fn upload<T: Element, S: Data<Elem = T>, D: Dimension>(&self, array: &ArrayBase<S, D>) -> Result<Tensor> {
        self.upload_as(array, Layout::ChannelsFirst)
    }

    /// Uploads an array whose axes are N C \[D\] \[H\] W and stores it in `layout`. An N H W C array in memory is the same view with its
    /// axes permuted, and costs no more than a copy.
    ///
    /// # Errors
    /// As [`Gpu::upload`].
    pub fn upload_as<T: Element, S: Data<Elem = T>, D: Dimension>(&self, array: &ArrayBase<S, D>, layout: Layout) -> Result<Tensor> {
        let tensor = self.empty(array.shape(), T::TYPE, layout, 0)?;
        in_memory_order(array, layout, |bytes| self.upload_bytes("upload", &tensor.buffer, tensor.byte_offset, bytes))?;
        Ok(tensor)
    }

    /// A tensor whose buffer may have been that of others that are gone, and may be that of others when this is.
    pub(crate) fn reusable(&self, tensor: &TensorType) -> Result<Tensor> {
        let TensorType { extents, element, layout } = tensor;
        let shape = TensorShape::new(extents)?;
        check_element(self, *element, "a tensor")?;
        let bytes = tensor_bytes(&shape, *element)?;
        let size = reusable_size(padded(bytes)).min(self.profile().max_buffer_bytes.max(padded(bytes)));
        let buffer = match self.pool().reuse(size) {
            Some(buffer) => buffer,
            None => self.create_reusable("wgconv tensor", size, usages())?,
        };
        Ok(Tensor {
            gpu: self.clone(),
            buffer,
            byte_offset: 0,
            shape,
            element: *element,
            layout: *layout,
            slack: padded(bytes) - bytes,
            origin: new_origin(),
        })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// As [`Gpu::upload`].
    pub fn zeros(&self, extents: &[usize], element: ElementType, layout: Layout) -> Result<Tensor> {
        self.empty(extents, element, layout, 0) // wgpu clears new buffers before their first use
    }

    fn empty(&self, extents: &[usize], element: ElementType, layout: Layout, guard_bytes: u64) -> Result<Tensor> {
        let shape = TensorShape::new(extents)?;
        check_element(self, element, "a tensor")?;
        let bytes = tensor_bytes(&shape, element)?;
        let buffer = self.create_buffer("wgconv tensor", padded(bytes) + 2 * guard_bytes, usages())?;
        let slack = guard_bytes + padded(bytes) - bytes;
        Ok(Tensor { gpu: self.clone(), buffer, byte_offset: guard_bytes, shape, element, layout, slack, origin: new_origin() })
    }
}

/// Calls `f` with the bytes of an array in the memory order of `layout`.
pub(crate) fn in_memory_order<T: Element, S: Data<Elem = T>, D: Dimension, R>(
    array: &ArrayBase<S, D>,
    layout: Layout,
    f: impl FnOnce(&[u8]) -> Result<R>,
) -> Result<R> {
    let order = layout.memory_order(array.ndim());
    let view = array.view().into_dyn().permuted_axes(order);
    let standard = view.as_standard_layout();
    // A standard-layout array of non-zero extents is one slice.
    let Some(elements) = standard.as_slice() else {
        return Err(Error::Internal { label: "upload".into(), message: "a standard-layout array is not contiguous".into() });
    };
    f(bytemuck::cast_slice(elements))
}

fn check_element(gpu: &Gpu, element: ElementType, what: &str) -> Result<()> {
    if element == ElementType::F16 && !gpu.profile().has_f16 {
        return Err(Error::MissingFeature { feature: "shader-f16", needed_for: format!("{what} of f16"), adapter: gpu.report().name.clone() });
    }
    Ok(())
}

/// wgpu looks at the device of a buffer before all else, also where nothing is written.
fn check_own(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<()> {
    let write = gpu.scoped("buffer", || {
        gpu.queue().write_buffer(buffer, 0, &[]);
        Ok(())
    });
    match write {
        Err(Error::OtherDevice { .. }) => Err(Error::OtherDevice { argument: "buffer".into() }),
        // It cannot be written to, which is for its owner to know: kernels and downloads may only read it.
        Err(Error::Internal { .. }) => Ok(()),
        other => other,
    }
}

fn tensor_bytes(shape: &TensorShape, element: ElementType) -> Result<u64> {
    shape.element_count().checked_mul(element.bytes()).ok_or_else(|| Error::TooLarge {
        argument: format!("a tensor of shape {shape}"),
        needed: u128::from(shape.element_count()) * u128::from(element.bytes()),
        unit: "bytes",
        limit_name: "the largest 64-bit count",
        limit: u64::MAX,
    })
}

impl Tensor {
    /// Adopts a range of a buffer of `gpu`'s device, from `byte_offset` on, without a copy.
    ///
    /// The buffer needs the usage STORAGE for kernels, COPY_SRC to be downloaded. Its content must be `element`s in `layout`. It must live as
    /// long as the tensor: what is done with a buffer that was destroyed is refused as [`Error::Invalid`].
    ///
    /// wgpu cannot tell a buffer of another *instance*: it is taken for whatever has its number in the instance of `gpu`, or wgpu panics
    /// for want of such a number. All devices of [`Gpu::new`] share one ([`crate::gpu::adapter::instance`]); a buffer of another device of the same instance
    /// is refused.
    ///
    /// # Errors
    /// An offset that is no multiple of the device's `min_storage_buffer_offset_alignment`, a range past the buffer's end, a buffer
    /// without STORAGE; [`Error::OtherDevice`] for a buffer of another device of the same instance; loss of the device.
    pub fn from_buffer(gpu: &Gpu, buffer: wgpu::Buffer, byte_offset: u64, extents: &[usize], element: ElementType, layout: Layout) -> Result<Tensor> {
        let shape = TensorShape::new(extents)?;
        check_element(gpu, element, "a tensor")?;
        let alignment = gpu.profile().storage_alignment;
        if !byte_offset.is_multiple_of(alignment) {
            return Err(Error::invalid(
                "byte_offset",
                byte_offset,
                format!("it must be a multiple of min_storage_buffer_offset_alignment, {alignment}"),
            ));
        }
        let bytes = tensor_bytes(&shape, element)?;
        if byte_offset.checked_add(bytes.next_multiple_of(4)).is_none_or(|end| end > buffer.size()) {
            return Err(Error::invalid(
                "byte_offset",
                byte_offset,
                format!(
                    "the tensor's {bytes} bytes (rounded up to a multiple of 4) from there on must fit into the buffer of {} bytes",
                    buffer.size()
                ),
            ));
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::invalid("buffer", format!("{:?}", buffer.usage()), "its usage must contain STORAGE"));
        }
        check_own(gpu, &buffer)?;
        Ok(Tensor { gpu: gpu.clone(), buffer: Buffer::adopted(buffer), byte_offset, shape, element, layout, slack: 0, origin: new_origin() })
    }

    /// The device it lives on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Its extents, N C \[D\] \[H\] W whatever the layout.
    pub fn shape(&self) -> &TensorShape {
        &self.shape
    }

    /// Its element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Its memory layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Extents, element type and layout together, as problems take them.
    pub fn tensor_type(&self) -> TensorType {
        TensorType::new(self.shape.extents(), self.element, self.layout)
    }

    /// The buffer; the tensor begins at [`Tensor::byte_offset`]. Where the caller writes it is not told of, so that [`Gpu::run`] packs it anew in every call that
    /// takes it for a filter.
    pub fn buffer(&self) -> &wgpu::Buffer {
        self.buffer.keep();
        self.buffer.note_volatile();
        &self.buffer
    }

    /// The buffer, for this crate.
    pub(crate) fn raw(&self) -> &Buffer {
        &self.buffer
    }

    /// A tensor in the buffer of this one, from a byte of the buffer on; it keeps the buffer alive.
    pub(crate) fn within(&self, byte_offset: u64, extents: &[usize], element: ElementType, layout: Layout) -> Result<Tensor> {
        let shape = TensorShape::new(extents)?;
        let end = byte_offset.checked_add(tensor_bytes(&shape, element)?.next_multiple_of(4));
        if end.is_none_or(|end| end > self.buffer.size()) || !byte_offset.is_multiple_of(self.gpu.profile().storage_alignment) {
            return Err(Error::Internal { label: "a tensor".into(), message: format!("{shape} from byte {byte_offset} on is no range to bind") });
        }
        Ok(Tensor { buffer: self.buffer.clone(), byte_offset, shape, element, layout, slack: 0, origin: new_origin(), gpu: self.gpu.clone() })
    }

    /// First byte of the tensor in its buffer.
    pub fn byte_offset(&self) -> u64 {
        self.byte_offset
    }

    /// Bytes of its elements.
    pub fn byte_size(&self) -> u64 {
        self.shape.element_count() * self.element.bytes() // checked when the tensor was made
    }

    /// Whether no byte of one is a byte of the other, where both lie in one buffer.
    pub(crate) fn is_apart_from(&self, other: &Tensor) -> bool {
        let end = |tensor: &Tensor| tensor.byte_offset + tensor.byte_size();
        end(self) <= other.byte_offset || end(other) <= self.byte_offset
    }

    /// The same in all tensors that share its elements, but for those that adopted one buffer twice.
    pub(crate) fn origin(&self) -> u64 {
        self.origin
    }

    /// The same tensor, taken for one that had its elements before.
    pub(crate) fn with_origin(self, origin: u64) -> Tensor {
        Tensor { origin, ..self }
    }

    /// The same elements under another shape of the same count; the caller knows that the memory order allows it.
    pub(crate) fn with_view(&self, shape: TensorShape, layout: Layout) -> Tensor {
        Tensor { shape, layout, ..self.clone() }
    }

    /// The bytes `first ..` of the tensor, `length` of them, as a binding.
    pub(crate) fn binding(&self, first: u64, length: u64) -> Binding {
        // wgpu wants multiples of 4; a tensor's own buffer is padded, an adopted range was checked for it.
        let own = length.next_multiple_of(4);
        // What lies behind is for the guard words alone, which need not be bound where the tensor fills the binding.
        let most = self.gpu.profile().max_binding_bytes.max(own);
        let size = (own + self.slack / 4 * 4).min(self.buffer.size() - self.byte_offset - first).min(most);
        Binding { buffer: self.buffer.clone(), offset: self.byte_offset + first, size }
    }

    /// Writes an array with axes N C \[D\] \[H\] W over the tensor's content, before whatever is submitted later. In an adopted buffer, f16 tensors of an odd
    /// number of elements also clear the two bytes behind them.
    ///
    /// # Errors
    /// An array of another element type or shape than the tensor's; loss of the device, out of memory.
    pub fn write<T: Element, S: Data<Elem = T>, D: Dimension>(&self, array: &ArrayBase<S, D>) -> Result<()> {
        if T::TYPE != self.element {
            return Err(Error::invalid("the element type of the array", T::TYPE, format!("the tensor holds {}", self.element)));
        }
        if array.shape() != self.shape.extents() {
            return Err(Error::invalid("the shape of the array", format!("{:?}", array.shape()), format!("the tensor has shape {}", self.shape)));
        }
        let written = in_memory_order(array, self.layout, |bytes| self.gpu.upload_bytes("write", &self.buffer, self.byte_offset, bytes));
        // Behind the write: who reads the number before may find the old content.
        self.buffer.note_write();
        written
    }

    /// Copies the tensor into an owned array with axes N C \[D\] \[H\] W. Waits for the work submitted before this call and for the copy,
    /// not for anything submitted later.
    ///
    /// # Errors
    /// `T` or the rank of `D` other than the tensor's, loss of the device, out of memory.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download<T: Element, D: Dimension>(&self) -> Result<Array<T, D>> {
        self.check_download::<T, D>()?;
        let bytes = read_buffer(&self.gpu, &self.buffer, self.byte_offset, self.byte_size())?;
        self.array_of(&bytes)
    }

    /// As `download`, without blocking the calling thread: a thread of its own waits for the copy, so any executor will do; none where the program polls
    /// ([`Gpu::set_polling`]). In a browser, which cannot block, this is the one form.
    ///
    /// # Errors
    /// As `download`.
    pub async fn download_async<T: Element, D: Dimension>(&self) -> Result<Array<T, D>> {
        self.check_download::<T, D>()?;
        let bytes = read_buffer_async(&self.gpu, &self.buffer, self.byte_offset, self.byte_size()).await?;
        self.array_of(&bytes)
    }

    fn check_download<T: Element, D: Dimension>(&self) -> Result<()> {
        if T::TYPE != self.element {
            return Err(Error::invalid("the element type of the array", T::TYPE, format!("the tensor holds {}", self.element)));
        }
        if let Some(rank) = D::NDIM
            && rank != self.shape.rank()
        {
            return Err(Error::invalid("the rank of the array", rank, format!("the tensor has shape {}", self.shape)));
        }
        Ok(())
    }

    /// An array of elements from their bytes in memory order.
    pub(crate) fn array_of<T: Element, D: Dimension>(&self, bytes: &[u8]) -> Result<Array<T, D>> {
        let elements: Vec<T> = bytemuck::pod_collect_to_vec(bytes);
        let order = self.layout.memory_order(self.shape.rank());
        let extents: Vec<usize> = order.iter().map(|&axis| self.shape.extents()[axis]).collect();
        let stored = ArrayD::from_shape_vec(IxDyn(&extents), elements).map_err(|e| internal(e.to_string()))?;
        let mut inverse = vec![0; order.len()];
        for (place, &axis) in order.iter().enumerate() {
            inverse[axis] = place;
        }
        stored.permuted_axes(inverse).into_dimensionality::<D>().map_err(|e| internal(e.to_string()))
    }
}

/// What [`Tensor::read_guarded`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuardedRead {
    /// No guard word before or after the tensor was touched.
    pub untouched_guards: bool,
    /// Elements that still hold the fill pattern.
    pub unwritten: usize,
}

/// Bytes of guard words on each side of a guarded tensor: a multiple of every device's binding alignment.
const GUARD_BYTES: u64 = 1024;

/// Guard word: no kernel computes it.
const GUARD_WORD: u32 = 0x5AFE_C0DE;

/// Fill pattern of unwritten elements: a quiet NaN with a payload, as f32 and as two f16.
const FILL_F32: u32 = 0x7FC0_DEAD;

const FILL_F16: u16 = 0x7EAD;

impl Tensor {
    /// A tensor filled with a NaN pattern between guard words; its binding covers the guard words behind it.
    /// Where `content` is given (elements in memory order), the tensor holds that instead of the pattern.
    pub(crate) fn guarded(gpu: &Gpu, extents: &[usize], element: ElementType, layout: Layout, content: Option<&[u8]>) -> Result<Tensor> {
        let tensor = gpu.empty(extents, element, layout, GUARD_BYTES)?;
        let count = tensor.shape.element_count() as usize;
        let guard = vec![GUARD_WORD; (GUARD_BYTES / 4) as usize];
        let mut bytes: Vec<u8> = bytemuck::cast_slice(&guard).to_vec();
        match (content, element) {
            (Some(content), _) => bytes.extend_from_slice(content),
            (None, ElementType::F32 | ElementType::U32) => bytes.extend_from_slice(bytemuck::cast_slice(&vec![FILL_F32; count])),
            (None, ElementType::F16) => bytes.extend_from_slice(bytemuck::cast_slice(&vec![FILL_F16; count])),
        }
        // Guard bytes reach from the last element to the end of the buffer.
        let words = GUARD_WORD.to_ne_bytes();
        while (bytes.len() as u64) < tensor.buffer.size() {
            bytes.push(words[bytes.len() % 4]);
        }
        gpu.upload_bytes("guard words", &tensor.buffer, 0, &bytes)?;
        Ok(tensor)
    }

    /// Looks at the guard words and for elements that nothing wrote.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn read_guarded(&self) -> Result<GuardedRead> {
        let bytes = read_buffer(&self.gpu, &self.buffer, 0, self.buffer.size())?;
        let (first, last) = (self.byte_offset as usize, (self.byte_offset + self.byte_size()) as usize);
        let words = GUARD_WORD.to_ne_bytes();
        let untouched = |range: std::ops::Range<usize>| range.into_iter().all(|i| bytes[i] == words[i % 4]);
        let unwritten = match self.element {
            ElementType::F32 | ElementType::U32 => bytes[first..last].chunks_exact(4).filter(|b| *b == FILL_F32.to_ne_bytes()).count(),
            ElementType::F16 => bytes[first..last].chunks_exact(2).filter(|b| *b == FILL_F16.to_ne_bytes()).count(),
        };
        Ok(GuardedRead { untouched_guards: untouched(0..first) && untouched(last..bytes.len()), unwritten })
    }
}

/// Bytes on their way back from the device.
struct Read {
    gpu: Gpu,
    staging: Buffer,
    size: u64,
    #[cfg(not(target_arch = "wasm32"))]
    submission: wgpu::SubmissionIndex,
    mapped: Later<Result<()>>,
}

impl Read {
    /// Copies `size` bytes into a staging buffer, submits, and asks for the mapping.
    fn begin(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, size: u64) -> Result<Self> {
        if !buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            return Err(Error::invalid("buffer", format!("{:?}", buffer.usage()), "its usage must contain COPY_SRC to be downloaded"));
        }
        let copied = size.next_multiple_of(4);
        let staging = gpu.create_buffer("wgconv download", copied, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        let mapped = Later::default();
        let heard = mapped.clone();
        let _submission = gpu.scoped("download", || {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("wgconv download") });
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, copied);
            let submission = gpu.submit(encoder);
            staging.map_async(wgpu::MapMode::Read, .., move |mapped| heard.finish(mapped.map_err(|e| internal(e.to_string()))));
            Ok(submission)
        })?;
        Ok(Self {
            gpu: gpu.clone(),
            staging,
            size,
            #[cfg(not(target_arch = "wasm32"))]
            submission: _submission,
            mapped,
        })
    }

    fn finish(self, mapped: Result<()>) -> Result<Vec<u8>> {
        self.gpu.check_not_lost()?;
        mapped?;
        self.gpu.scoped("download", || {
            let view = self.staging.get_mapped_range(..).map_err(|e| internal(e.to_string()))?;
            let bytes = view[..self.size as usize].to_vec();
            drop(view);
            self.staging.unmap();
            Ok(bytes)
        })
    }
}

fn internal(message: String) -> Error {
    Error::Internal { label: "download".into(), message }
}

/// Polls until a mapping has its result, whatever becomes of the device.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn settle(gpu: &Gpu, submission: wgpu::SubmissionIndex, mapped: &Later<Result<()>>) {
    let mut how = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
    loop {
        if let Err(error) = gpu.poll(how) {
            return mapped.finish(Err(error));
        }
        // A poll of another thread may have taken the callback and be about to call it.
        if mapped.within(Duration::from_millis(5)) {
            return;
        }
        how = wgpu::PollType::Poll;
    }
}

/// Reads a range of a buffer, waiting for the submissions up to its own copy.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read_buffer(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, size: u64) -> Result<Vec<u8>> {
    let _span = crate::gpu::trace::span(crate::gpu::trace::Stage::Download, "");
    let read = Read::begin(gpu, buffer, offset, size)?;
    settle(gpu, read.submission.clone(), &read.mapped);
    let mapped = read.mapped.take().unwrap_or(Ok(()));
    read.finish(mapped)
}

/// As `read_buffer`, without blocking the calling thread.
pub(crate) async fn read_buffer_async(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, size: u64) -> Result<Vec<u8>> {
    let read = Read::begin(gpu, buffer, offset, size)?;
    // A browser polls by itself.
    #[cfg(not(target_arch = "wasm32"))]
    settle_off_thread(gpu, read.submission.clone(), &read.mapped);
    let mapped = read.mapped.arrived().await;
    read.finish(mapped)
}

/// As `settle`, on a thread of its own or by the polls of the program.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn settle_off_thread(gpu: &Gpu, submission: wgpu::SubmissionIndex, mapped: &Later<Result<()>>) {
    if gpu.is_polled_by_caller(mapped) {
        return;
    }
    crate::gpu::counters::add(&gpu.counts().threads, 1);
    let (poller, later, index) = (gpu.clone(), mapped.clone(), submission.clone());
    let started = std::thread::Builder::new().name("wgconv download".into()).spawn(move || settle(&poller, index, &later));
    if let Err(error) = started {
        log::warn!("no thread for a download ({error}): it blocks");
        settle(gpu, submission, mapped);
    }
}
