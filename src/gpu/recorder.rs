//! Recording: many ops into one compute pass, in an encoder of our own or the caller's. A pass per op costs more than a small
//! kernel, so the pass stays open until something else needs the encoder.

use crate::gpu::Gpu;
use crate::gpu::buffer::Buffer;
use crate::gpu::eager::Eager;
use crate::gpu::pipelines::Dispatch;
use crate::gpu::trace::{Stage, span};
use crate::types::{Error, Result};

/// Records ops; nothing runs before the encoder is submitted.
///
/// With an encoder of its own ([`Gpu::recorder`]), [`Recorder::submit`] submits it; dropped without that, what it recorded never runs, and
/// the log has a warning. On the caller's encoder ([`Recorder::on`]), dropping the recorder (or [`Recorder::submit`], which then only ends the
/// pass) leaves the encoder to the caller.
///
/// Work runs in the order of the submits, not of the calls: an op of [`Gpu::run`] or a download of a tensor that a recorder has recorded but not
/// submitted reads what the tensor held before, zeros in a new one.
#[must_use = "nothing that is recorded runs before it is submitted"]
pub struct Recorder<'e> {
    gpu: Gpu,
    // Before the encoder: fields drop in order, and the pass must end first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Encoder<'e>,
    timestamps: Option<(wgpu::QuerySet, u32)>,
    /// Buffers that must not be reused before this is submitted.
    held: Vec<Buffer>,
    /// Of [`Gpu::run`].
    eager: Option<Eager>,
    /// A call that recorded has failed, so its caller knows that something is missing.
    failed: bool,
}

enum Encoder<'e> {
    Owned(wgpu::CommandEncoder),
    Borrowed(&'e mut wgpu::CommandEncoder),
    /// None could be made.
    Missing(Error),
    Submitted,
}

impl Encoder<'_> {
    fn get(&mut self) -> Result<&mut wgpu::CommandEncoder> {
        match self {
            Encoder::Owned(encoder) => Ok(encoder),
            Encoder::Borrowed(encoder) => Ok(encoder),
            Encoder::Missing(error) => Err(error.clone()),
            Encoder::Submitted => Err(Error::Internal { label: "a recorder".into(), message: "it was submitted already".into() }),
        }
    }
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoder = match self.encoder {
            Encoder::Owned(_) => "its own encoder",
            Encoder::Borrowed(_) => "the caller's encoder",
            Encoder::Missing(_) => "no encoder",
            Encoder::Submitted => "an encoder that was submitted",
        };
        write!(f, "Recorder(on {encoder})")
    }
}

impl Recorder<'static> {
    pub(crate) fn new(gpu: &Gpu) -> Self {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("wgconv recorder") };
        // The first call that records says what is wrong.
        let encoder = match gpu.scoped("a recorder", || Ok(gpu.device().create_command_encoder(&descriptor))) {
            Ok(encoder) => Encoder::Owned(encoder),
            Err(error) => Encoder::Missing(error),
        };
        Self { gpu: gpu.clone(), pass: None, encoder, timestamps: None, held: vec![], eager: None, failed: false }
    }

    /// A recorder whose pass writes timestamps `2 slot` and `2 slot + 1` at its ends.
    pub(crate) fn timed(gpu: &Gpu, queries: &wgpu::QuerySet, slot: u32) -> Self {
        let mut recorder = Self::new(gpu);
        recorder.timestamps = Some((queries.clone(), slot));
        recorder
    }
}

impl Gpu {
    /// Runs what `record` records, at once: one recording, one submit, no waiting. Returns what `record` returns, such as the output of an op;
    /// [`Tensor::download`](crate::Tensor::download) waits for its values.
    ///
    /// ```no_run
    /// use wgconv::{Activation, Gpu};
    /// # fn main() -> wgconv::Result<()> {
    /// let gpu = Gpu::new()?;
    /// let x = gpu.upload(&ndarray::array![[1.0f32, -2.0, 3.0]])?;
    /// let positive = gpu.run(|r| r.activation(&x, Activation::Relu))?;
    /// let shares = gpu.run(|r| {
    ///     let doubled = r.add(&positive, &positive)?;
    ///     r.softmax(&doubled, -1)
    /// })?;
    /// let values: ndarray::Array2<f32> = shares.download()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An op that was seen before, with the shapes and the constants that it has, is neither planned nor compiled nor packed again, and its output may lie where
    /// another lay that is gone: a download within `record`, before the submit, reads anything. [`Gpu::set_pool_limit`] bounds what is kept for it.
    ///
    /// # Errors
    /// Those of `record`, and nothing is submitted then; as [`Recorder::submit`].
    pub fn run<T>(&self, record: impl FnOnce(&mut Recorder<'static>) -> Result<T>) -> Result<T> {
        let mut recorder = self.recorder();
        recorder.eager = Some(Eager::default());
        match record(&mut recorder) {
            Ok(output) => {
                let eager = recorder.eager.take().unwrap_or_default();
                eager.settle(self)?;
                recorder.submit()?;
                eager.keep(self);
                Ok(output)
            }
            Err(error) => {
                recorder.note_failure();
                Err(error)
            }
        }
    }
}

impl<'e> Recorder<'e> {
    /// Records into the caller's encoder, between the caller's own passes.
    ///
    /// The encoder must be of the device of `gpu`. wgpu tells an encoder of another device of the same instance only when the caller finishes
    /// it, as a validation error there; with one of another instance it panics, or records what has the same numbers in that instance.
    pub fn on(gpu: &Gpu, encoder: &'e mut wgpu::CommandEncoder) -> Self {
        Self { gpu: gpu.clone(), pass: None, encoder: Encoder::Borrowed(encoder), timestamps: None, held: vec![], eager: None, failed: false }
    }

    /// The device this records for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Runs what makes and records kernel calls with wgpu's errors caught; `label` names them.
    pub(crate) fn scoped(&mut self, label: &str, record: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let _span = span(Stage::Record, label);
        let gpu = self.gpu.clone();
        let recorded = gpu.scoped(label, || record(self));
        self.failed |= recorded.is_err();
        recorded
    }

    /// Records kernel calls, within [`Recorder::scoped`].
    pub(crate) fn push(&mut self, dispatches: &[Dispatch]) -> Result<()> {
        dispatches.iter().for_each(|dispatch| self.hold(&dispatch.buffers));
        let pass = self.pass()?;
        for dispatch in dispatches {
            let [x, y, z] = dispatch.workgroups;
            pass.set_pipeline(&dispatch.kernel.pipeline);
            pass.set_bind_group(0, &dispatch.bind_group, &[]);
            pass.dispatch_workgroups(x, y, z);
        }
        Ok(())
    }

    /// Records a copy between buffers, whose ranges are whole words; it ends the open pass. Within [`Recorder::scoped`].
    pub(crate) fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) -> Result<()> {
        self.hold([from.0, to.0]);
        to.0.note_volatile();
        drop(self.pass.take());
        self.encoder.get()?.copy_buffer_to_buffer(from.0, from.1, to.0, to.1, bytes.next_multiple_of(4));
        Ok(())
    }

    /// Keeps buffers from being reused before this is submitted; on the caller's encoder, for good.
    fn hold<'b>(&mut self, buffers: impl IntoIterator<Item = &'b Buffer>) {
        let reusable = buffers.into_iter().filter(|buffer| buffer.is_reusable());
        match self.encoder {
            Encoder::Borrowed(_) => reusable.for_each(Buffer::keep),
            _ => self.held.extend(reusable.cloned()),
        }
    }

    /// What a recording of [`Gpu::run`] has recorded.
    pub(crate) fn eager(&mut self) -> Option<&mut Eager> {
        self.eager.as_mut()
    }

    /// Marks that the caller got an error for something recorded here.
    pub(crate) fn note_failure(&mut self) {
        self.failed = true;
    }

    /// The open pass.
    fn pass(&mut self) -> Result<&mut wgpu::ComputePass<'static>> {
        let pass = match self.pass.take() {
            Some(pass) => pass,
            None => {
                let writes = self.timestamps.as_ref().map(|(query_set, slot)| wgpu::ComputePassTimestampWrites {
                    query_set,
                    beginning_of_pass_write_index: Some(2 * slot),
                    end_of_pass_write_index: Some(2 * slot + 1),
                });
                let descriptor = wgpu::ComputePassDescriptor { label: Some("wgconv"), timestamp_writes: writes };
                self.encoder.get()?.begin_compute_pass(&descriptor).forget_lifetime()
            }
        };
        Ok(self.pass.insert(pass))
    }

    /// Submits an encoder of our own, without waiting. On the caller's encoder it submits nothing: it only ends the open pass, and what was recorded runs when
    /// the caller submits the encoder.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`]; [`crate::Error::Internal`] where wgpu rejects what was recorded.
    pub fn submit(self) -> Result<()> {
        self.submit_then(|_| Ok(()))
    }

    /// As [`Recorder::submit`], and calls `then` right after it with wgpu's errors caught; nothing was submitted of the caller's encoder.
    pub(crate) fn submit_then<T>(mut self, then: impl FnOnce(Option<wgpu::SubmissionIndex>) -> Result<T>) -> Result<T> {
        let (gpu, pass) = (self.gpu.clone(), self.pass.take());
        let encoder = std::mem::replace(&mut self.encoder, Encoder::Submitted);
        gpu.scoped("submit", || {
            drop(pass);
            match encoder {
                Encoder::Owned(encoder) => then(Some(gpu.submit(encoder))),
                Encoder::Missing(error) => Err(error),
                Encoder::Borrowed(_) | Encoder::Submitted => then(None),
            }
        })
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        // Ending a pass can fail too. On the caller's encoder, finishing it fails then.
        let ended = self.gpu.scoped("the end of a recording", || {
            drop(pass);
            Ok(())
        });
        match (&self.encoder, ended) {
            (Encoder::Borrowed(_), Err(error)) => log::warn!("{error}"),
            (Encoder::Owned(_), _) if !self.failed && !std::thread::panicking() => {
                log::warn!("a recorder was dropped without a submit: what it recorded never runs");
            }
            _ => {}
        }
    }
}
