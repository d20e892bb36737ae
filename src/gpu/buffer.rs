//! Buffers of a device and what they take: bytes in use, bytes kept for reuse, the most that there were.
//!
//! The output of an op of [`Gpu::run`] that nobody looked at as a wgpu buffer is reused once its last clone is gone. Recordings and bound ops have clones of
//! what they name until they are submitted or dropped, so that what is reused is written by later submits alone.

use crate::gpu::Gpu;
use crate::gpu::bind_groups::NamedBy;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A wgpu buffer that is counted while it lives. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Buffer(Arc<Owned>);

/// A wgpu buffer with the bind groups that name it, which go when it does: they would keep its memory. What is reused stays the same allocation.
#[derive(Debug)]
pub(crate) struct Allocation {
    buffer: wgpu::Buffer,
    number: u64,
    named_by: Mutex<Vec<NamedBy>>,
}

impl Allocation {
    fn new(buffer: wgpu::Buffer) -> Arc<Self> {
        Arc::new(Self { buffer, number: crate::gpu::tensor::new_origin(), named_by: Mutex::default() })
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        let number = self.number;
        self.named_by.get_mut().unwrap_or_else(PoisonError::into_inner).iter().for_each(|named_by| named_by.forget(number));
    }
}

#[derive(Debug)]
struct Owned {
    allocation: Arc<Allocation>,
    /// None of a buffer of the caller's.
    pool: Option<Arc<Pool>>,
    is_reusable: AtomicBool,
    /// A number that no other buffer of this process has.
    number: u64,
    /// Writes of the host.
    version: AtomicU64,
    /// Whether kernels write it, or the caller may.
    is_volatile: AtomicBool,
}

impl Deref for Buffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.0.allocation.buffer
    }
}

impl Buffer {
    fn new(allocation: Arc<Allocation>, pool: Option<Arc<Pool>>, is_reusable: bool) -> Self {
        let (number, is_volatile) = (crate::gpu::tensor::new_origin(), AtomicBool::new(pool.is_none()));
        Self(Arc::new(Owned { allocation, pool, is_reusable: AtomicBool::new(is_reusable), number, version: AtomicU64::new(0), is_volatile }))
    }

    /// A buffer of the caller's.
    pub fn adopted(buffer: wgpu::Buffer) -> Self {
        Self::new(Allocation::new(buffer), None, false)
    }

    /// A number of its memory, which it has in common with what the same memory is used for before and after it.
    pub fn memory(&self) -> u64 {
        self.0.allocation.number
    }

    /// Something keeps bind groups that name it.
    pub fn note_named(&self, named_by: NamedBy) {
        let mut all = self.0.allocation.named_by.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(NamedBy::is_there);
        if !all.iter().any(|own| own.is(&named_by)) {
            all.push(named_by);
        }
    }

    /// It is never reused from now on: the caller has it, or an encoder of which nobody here knows when it is submitted.
    pub fn keep(&self) {
        self.0.is_reusable.store(false, Ordering::Relaxed);
    }

    /// It is reused when it is gone: every part of it that is read later will have been written.
    pub fn reuse_later(&self) {
        self.0.is_reusable.store(true, Ordering::Relaxed);
    }

    pub fn is_reusable(&self) -> bool {
        self.0.is_reusable.load(Ordering::Relaxed)
    }

    /// The host wrote it: what was made of its content is out of date.
    pub fn note_write(&self) {
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Something writes it from now on that is not told of.
    pub fn note_volatile(&self) {
        self.0.is_volatile.store(true, Ordering::Release);
    }

    /// Its number and the version of its content; none where that may change without being told.
    pub fn content(&self) -> Option<[u64; 2]> {
        (!self.0.is_volatile.load(Ordering::Acquire)).then(|| [self.0.number, self.0.version.load(Ordering::Acquire)])
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.take_back(&self.allocation, *self.is_reusable.get_mut());
        }
    }
}

/// The buffers of a device.
#[derive(Debug)]
pub(crate) struct Pool(Mutex<State>);

#[derive(Debug)]
struct State {
    in_use: u64,
    peak: u64,
    /// Buffers to be reused, by their bytes, each with when it came.
    free: BTreeMap<u64, Vec<(u64, Arc<Allocation>)>>,
    pooled: u64,
    most: u64,
    /// Buffers that came back so far.
    clock: u64,
}

/// See [`Gpu::set_pool_limit`].
const MOST: u64 = 256 << 20;

impl Default for Pool {
    fn default() -> Self {
        Self(Mutex::new(State { in_use: 0, peak: 0, free: BTreeMap::new(), pooled: 0, most: MOST, clock: 0 }))
    }
}

impl State {
    fn add(&mut self, bytes: u64) {
        self.in_use += bytes;
        self.peak = self.peak.max(self.in_use + self.pooled);
    }

    /// Drops what came back the longest ago beyond the limit.
    fn evict(&mut self) {
        while self.pooled > self.most {
            let oldest = self.free.iter().filter_map(|(bytes, buffers)| Some((buffers.first()?.0, *bytes))).min();
            let Some((_, bytes)) = oldest else { return };
            if let Some(buffers) = self.free.get_mut(&bytes) {
                buffers.remove(0);
                self.pooled -= bytes;
                if buffers.is_empty() {
                    self.free.remove(&bytes);
                }
            }
        }
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        // What is changed is changed whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new buffer, counted.
    pub fn count(self: &Arc<Self>, buffer: wgpu::Buffer) -> Buffer {
        self.state().add(buffer.size());
        Buffer::new(Allocation::new(buffer), Some(self.clone()), false)
    }

    /// A buffer of this size that was used before, the one that came back last.
    pub fn reuse(self: &Arc<Self>, bytes: u64) -> Option<Buffer> {
        let mut state = self.state();
        let buffers = state.free.get_mut(&bytes)?;
        let (_, allocation) = buffers.pop()?;
        if buffers.is_empty() {
            state.free.remove(&bytes);
        }
        state.pooled -= bytes;
        state.add(bytes);
        Some(Buffer::new(allocation, Some(self.clone()), true))
    }

    fn take_back(&self, allocation: &Arc<Allocation>, is_reusable: bool) {
        let bytes = allocation.buffer.size();
        let mut state = self.state();
        state.in_use -= bytes;
        if is_reusable && bytes <= state.most {
            state.clock += 1;
            let clock = state.clock;
            state.free.entry(bytes).or_default().push((clock, allocation.clone()));
            state.pooled += bytes;
            state.evict();
        }
    }

    /// Drops all that is kept for reuse; true where there was something.
    pub fn clear(&self) -> bool {
        let mut state = self.state();
        state.pooled = 0;
        !std::mem::take(&mut state.free).is_empty()
    }
}

/// The size of a buffer that is to be reused: up to an eighth more, so that sizes which hardly differ share one.
pub(crate) fn reusable_size(bytes: u64) -> u64 {
    let step = (bytes.max(128).next_power_of_two() / 16).max(16);
    bytes.next_multiple_of(step)
}

/// What [`Gpu::memory`] reads: what a device has now, of what this crate made on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Bytes of buffers that something here has: tensors, scratch memory, uniforms, tables, staging. The caller's own are not counted.
    pub in_use: u64,
    /// Bytes of buffers that are kept for reuse.
    pub pooled: u64,
    /// The most bytes of both at once.
    pub peak: u64,
    /// Pipelines that are kept ([`Gpu::set_pipeline_limit`]).
    pub pipelines: usize,
    /// Prepared ops that [`Gpu::run`] keeps for calls alike.
    pub seen: usize,
}

impl Gpu {
    /// What this device has now.
    ///
    /// ```no_run
    /// # fn main() -> wgconv::Result<()> {
    /// let gpu = wgconv::Gpu::new()?;
    /// let x = gpu.zeros(&[1024, 1024], wgconv::ElementType::F32, Default::default())?;
    /// assert_eq!(gpu.memory().in_use, 4 << 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory(&self) -> Memory {
        let state = self.pool().state();
        Memory { in_use: state.in_use, pooled: state.pooled, peak: state.peak, pipelines: self.kernels().count(), seen: self.seen().count() }
    }

    /// Keeps at most so many bytes of buffers for reuse, those that were freed last; 256 MiB unless this is called. 0 keeps none. What [`Gpu::run`] keeps
    /// prepared for calls alike has the same limit. Clones share it.
    pub fn set_pool_limit(&self, bytes: u64) {
        let mut state = self.pool().state();
        state.most = bytes;
        state.evict();
        drop(state);
        self.seen().limit(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_by_an_eighth_at_most_and_sizes_alike_share_one() {
        for bytes in (16..5000).step_by(16).chain([1 << 20, (1 << 20) + 16, 3_000_000, 1 << 33]) {
            let size = reusable_size(bytes);
            assert!(size >= bytes && size.is_multiple_of(16) && (size - bytes) * 8 <= bytes.max(128), "{bytes}: {size}");
            assert_eq!(reusable_size(size), size, "{bytes}");
        }
        assert_eq!(reusable_size((1 << 20) - 4096), reusable_size(1 << 20));
    }
}
