//! What a device has been asked to do so far: the difference of two readings says what a call cost.

use crate::gpu::Gpu;
use std::sync::atomic::{AtomicU64, Ordering};

/// Running totals, each added to where the thing is done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub plans: AtomicU64,
    pub buffers: AtomicU64,
    pub buffer_bytes: AtomicU64,
    pub bind_groups: AtomicU64,
    pub submits: AtomicU64,
    pub threads: AtomicU64,
}

/// Adds to a total.
pub(crate) fn add(total: &AtomicU64, n: u64) {
    total.fetch_add(n, Ordering::Relaxed);
}

/// What [`Gpu::counters`] reads: totals since the device was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Ops that were planned.
    pub plans: u64,
    /// Pipelines that were compiled.
    pub pipelines: u64,
    /// Buffers that were made, staging buffers included.
    pub buffers: u64,
    /// Their bytes.
    pub buffer_bytes: u64,
    /// Bind groups that were made.
    pub bind_groups: u64,
    /// Submits to the queue, uploads and downloads included.
    pub submits: u64,
    /// Threads that futures started to wait, to prepare or to compile on.
    pub threads: u64,
}

impl std::ops::Sub for Counters {
    type Output = Counters;

    /// What was done between two readings, the later first.
    fn sub(self, earlier: Counters) -> Counters {
        Counters {
            plans: self.plans.saturating_sub(earlier.plans),
            pipelines: self.pipelines.saturating_sub(earlier.pipelines),
            buffers: self.buffers.saturating_sub(earlier.buffers),
            buffer_bytes: self.buffer_bytes.saturating_sub(earlier.buffer_bytes),
            bind_groups: self.bind_groups.saturating_sub(earlier.bind_groups),
            submits: self.submits.saturating_sub(earlier.submits),
            threads: self.threads.saturating_sub(earlier.threads),
        }
    }
}

impl Gpu {
    /// How many plans, pipelines, buffers, bind groups, submits and threads this device has had. What the caller does on its own device by wgpu is not
    /// counted.
    pub fn counters(&self) -> Counters {
        let counts = self.counts();
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Counters {
            plans: read(&counts.plans),
            pipelines: self.compiled().pipelines as u64,
            buffers: read(&counts.buffers),
            buffer_bytes: read(&counts.buffer_bytes),
            bind_groups: read(&counts.bind_groups),
            submits: read(&counts.submits),
            threads: read(&counts.threads),
        }
    }

    /// Submits an encoder, within an error scope of the caller.
    pub(crate) fn submit(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        let _span = crate::gpu::trace::span(crate::gpu::trace::Stage::Submit, "");
        add(&self.counts().submits, 1);
        self.queue().submit([encoder.finish()])
    }
}
