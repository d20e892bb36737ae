//! Bytes on their way to the device, through staging buffers of this crate's own.
//!
//! wgpu's `write_buffer` and `mapped_at_creation` make a staging copy of the whole, keep it until the next submit, and give the device up
//! where there is no memory for it. Here data go in pieces, each submitted at once, a few of them under way at a time; a piece for which
//! there is no memory is an error like any other.

use crate::gpu::Gpu;
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::buffer::Buffer;
use crate::types::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a piece.
const PIECE: usize = 4 << 20;

/// Bytes of staging buffers at most that may be under way at once.
const UNDER_WAY: u64 = 4 * PIECE as u64;

/// What a smaller one counts as, so that not too many of them are.
const LEAST: u64 = 64 << 10;

/// Staging buffers that the device may still read from, oldest first: which submission reads them, and their bytes.
#[derive(Default)]
pub(crate) struct Staging(Mutex<VecDeque<(wgpu::SubmissionIndex, u64)>>);

impl Staging {
    fn pieces(&self) -> MutexGuard<'_, VecDeque<(wgpu::SubmissionIndex, u64)>> {
        // Entries are put in and taken out whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest piece, where more than `most` bytes are under way.
    fn beyond(&self, most: u64) -> Option<wgpu::SubmissionIndex> {
        let mut pieces = self.pieces();
        let total: u64 = pieces.iter().map(|(_, bytes)| bytes).sum();
        if total > most { pieces.pop_front().map(|(index, _)| index) } else { None }
    }
}

impl Gpu {
    /// Copies `bytes` to `offset` of `buffer` before whatever is submitted later; rounded up to whole words, with zeros. A large copy may wait for
    /// work submitted before it.
    pub(crate) fn upload_bytes(&self, what: &str, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        #[cfg(target_arch = "wasm32")]
        return self.scoped(what, || {
            // A browser has its own staging, and cannot wait for ours.
            let whole = bytes.len() / 4 * 4;
            let mut last = [0; 4];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            self.queue().write_buffer(buffer, offset, &bytes[..whole]);
            if whole < bytes.len() {
                self.queue().write_buffer(buffer, offset + whole as u64, &last);
            }
            Ok(())
        });
        #[cfg(not(target_arch = "wasm32"))]
        self.upload_pieces(what, buffer, offset, bytes)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn upload_pieces(&self, what: &str, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            let staging = self.staging(what, piece.len().next_multiple_of(4) as u64)?;
            self.scoped(what, || {
                let mut view = staging.get_mapped_range_mut(..).map_err(|e| Error::Internal { label: what.into(), message: e.to_string() })?;
                view.slice(..piece.len()).copy_from_slice(piece);
                drop(view);
                staging.unmap();
                let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("wgconv upload") });
                encoder.copy_buffer_to_buffer(&staging, 0, buffer, at, staging.size());
                let index = self.submit(encoder);
                self.inner.staging.pieces().push_back((index, staging.size().max(LEAST)));
                Ok(())
            })?;
            at += staging.size();
        }
        Ok(())
    }

    /// A mapped buffer, once not too many others are under way. Where there is no memory for it, the others are waited for first.
    #[cfg(not(target_arch = "wasm32"))]
    fn staging(&self, what: &str, bytes: u64) -> Result<Buffer> {
        self.drain(UNDER_WAY - bytes)?;
        let make = || self.create_mapped("wgconv staging", bytes);
        let made = make().or_else(|error| match error {
            Error::OutOfMemory { .. } => self.drain(0).and_then(|()| make()),
            other => Err(other),
        });
        made.map_err(|error| match error {
            Error::OutOfMemory { bytes, .. } => Error::OutOfMemory { what: format!("the copy of {what}"), bytes },
            other => other,
        })
    }

    /// Waits until at most `most` bytes of staging buffers are under way.
    #[cfg(not(target_arch = "wasm32"))]
    fn drain(&self, most: u64) -> Result<()> {
        while let Some(index) = self.inner.staging.beyond(most) {
            self.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None })?;
        }
        Ok(())
    }

    /// Small data that a kernel reads, such as a uniform struct, before whatever is submitted later. wgpu gathers such writes until the next
    /// submit, which costs less than a submit for each.
    pub(crate) fn write_small(&self, label: &str, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
        if bytes.len() > PIECE {
            return self.upload_bytes(label, buffer, 0, bytes);
        }
        self.scoped(label, || {
            self.queue().write_buffer(buffer, 0, bytes);
            Ok(())
        })
    }
}
