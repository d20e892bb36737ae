//! Recording: many ops into one compute pass, in an encoder of our own or the caller's. A pass per op costs more than a small
//! kernel, so the pass stays open until something else needs the encoder.

use super::Gpu;
use crate::error::Result;
use crate::kernel::Dispatch;

/// Records ops; nothing runs before the encoder is submitted.
///
/// With an encoder of its own ([`Gpu::recorder`]), [`Recorder::submit`] submits it. On the caller's encoder ([`Recorder::on`]),
/// dropping the recorder (or [`Recorder::submit`], which then only ends the pass) leaves the encoder to the caller.
pub struct Recorder<'e> {
    gpu: Gpu,
    // Before the encoder: fields drop in order, and the pass must end first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Encoder<'e>,
    timestamps: Option<(wgpu::QuerySet, u32)>,
}

enum Encoder<'e> {
    Owned(wgpu::CommandEncoder),
    Borrowed(&'e mut wgpu::CommandEncoder),
}

impl Encoder<'_> {
    fn get(&mut self) -> &mut wgpu::CommandEncoder {
        match self {
            Encoder::Owned(encoder) => encoder,
            Encoder::Borrowed(encoder) => encoder,
        }
    }
}

impl Recorder<'static> {
    pub(crate) fn new(gpu: &Gpu) -> Self {
        let encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("wgconv recorder") });
        Self { gpu: gpu.clone(), pass: None, encoder: Encoder::Owned(encoder), timestamps: None }
    }

    /// A recorder whose pass writes timestamps `2 slot` and `2 slot + 1` at its ends.
    pub(crate) fn timed(gpu: &Gpu, queries: &wgpu::QuerySet, slot: u32) -> Self {
        Self { timestamps: Some((queries.clone(), slot)), ..Self::new(gpu) }
    }
}

impl<'e> Recorder<'e> {
    /// Records into the caller's encoder, between the caller's own passes.
    pub fn on(gpu: &Gpu, encoder: &'e mut wgpu::CommandEncoder) -> Self {
        Self { gpu: gpu.clone(), pass: None, encoder: Encoder::Borrowed(encoder), timestamps: None }
    }

    /// The device this records for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(crate) fn dispatch(&mut self, dispatch: &Dispatch) {
        let timestamps = &self.timestamps;
        let encoder = &mut self.encoder;
        let pass = self.pass.get_or_insert_with(|| {
            let writes = timestamps.as_ref().map(|(query_set, slot)| wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(2 * slot),
                end_of_pass_write_index: Some(2 * slot + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("wgconv"), timestamp_writes: writes };
            encoder.get().begin_compute_pass(&descriptor).forget_lifetime()
        });
        let [x, y, z] = dispatch.workgroups;
        pass.set_pipeline(&dispatch.kernel.pipeline);
        pass.set_bind_group(0, &dispatch.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }

    /// Submits an encoder of our own; on the caller's encoder only ends the open pass. Does not wait.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`]; [`crate::Error::Internal`] where wgpu rejects what was recorded.
    pub fn submit(self) -> Result<()> {
        self.submit_indexed().map(|_| ())
    }

    pub(crate) fn submit_indexed(mut self) -> Result<Option<wgpu::SubmissionIndex>> {
        drop(self.pass.take());
        match self.encoder {
            Encoder::Owned(encoder) => self.gpu.scoped("submit", || Ok(Some(self.gpu.queue().submit([encoder.finish()])))),
            Encoder::Borrowed(_) => Ok(None),
        }
    }
}
