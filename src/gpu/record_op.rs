//! Any op in a recording: planned and prepared there, or found among those that were seen before.

use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::sharing::Sharing;
use crate::gpu::tensor::Tensor;
use crate::ops::{Op, Problem};
use crate::types::{Error, Result};

impl Recorder<'_> {
    /// Prepares and records an op with the planner's choice, and returns its outputs. `inputs` are all of them, constants too, in order.
    ///
    /// # Errors
    /// As [`Prepared::new`] and [`Prepared::record`].
    pub fn op(&mut self, op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.noted(|recorder| recorder.record_op(&op.into(), inputs, None))
    }

    /// Records an op as [`Recorder::op`] does, over outputs that are there, such as ranges of a host's own buffers; of an op in place, what it changes.
    ///
    /// An output may lie in the buffer of an input or of another output where no byte of one is a byte of the other, as tensors do that a host cut out of one
    /// large buffer. Kernels then bind for writing what they read there; an op has a plan and pipelines of its own for each combination of tensors that share.
    ///
    /// ```no_run
    /// # use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
    /// # use wgconv::{ElementType, Gpu, Layout, Result, Tensor, wgpu};
    /// # fn example(gpu: &Gpu, arena: &wgpu::Buffer, filter: &Tensor) -> Result<()> {
    /// let cut = |first, extents: &[usize]| Tensor::from_buffer(gpu, arena.clone(), first, extents, ElementType::F32, Layout::ChannelsFirst);
    /// let (x, y) = (cut(0, &[1, 3, 64, 64])?, cut(1 << 20, &[1, 8, 62, 62])?);
    /// let conv = ConvProblem::forward(&ConvInputs::of(&x, filter, None), &Conv2dDescriptor::default())?; // 8 x 3 x 3 x 3
    /// gpu.run(|r| r.op_into(conv, &[&x, filter], &[&y]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::op`]; outputs of another number, shape, element type, layout or device than the op's; an output that overlaps another tensor;
    /// inputs that overlap in the buffer of an output.
    pub fn op_into(&mut self, op: impl Into<Op>, inputs: &[&Tensor], outputs: &[&Tensor]) -> Result<()> {
        self.noted(|recorder| recorder.record_op(&op.into(), inputs, Some(outputs))).map(|_| ())
    }

    fn noted<T>(&mut self, record: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let recorded = record(self);
        if recorded.is_err() {
            self.note_failure();
        }
        recorded
    }

    fn record_op(&mut self, op: &Op, inputs: &[&Tensor], outputs: Option<&[&Tensor]>) -> Result<Vec<Tensor>> {
        if self.eager().is_some() {
            return self.eager_op(op, inputs, outputs);
        }
        let plan = Sharing::of(op, inputs, outputs.unwrap_or_default())?.plan(self.gpu(), op)?;
        if inputs.len() != plan.inputs.len() {
            return Err(Error::invalid("inputs", inputs.len(), format!("this {} takes {}", plan.op, plan.inputs.len())));
        }
        let part =
            |constant| -> Vec<&Tensor> { plan.inputs.iter().zip(inputs).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| *t).collect() };
        let (constants, given) = (part(true), part(false));
        let prepared = Prepared::recorded(self, plan, &constants)?;
        let outputs = match outputs {
            Some(outputs) => outputs.iter().map(|&tensor| tensor.clone()).collect(),
            None => prepared.outputs()?,
        };
        prepared.record(self, &given, &outputs.iter().collect::<Vec<_>>())?;
        Ok(outputs)
    }

    /// As [`Recorder::op`], for an op of one output.
    pub(crate) fn op1(&mut self, op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Tensor> {
        let op = op.into();
        let mut outputs = self.op(&op, inputs)?;
        match outputs.pop() {
            Some(output) if outputs.is_empty() => Ok(output),
            _ => Err(Error::Internal { label: op.name().into(), message: "an op of one output gave another number".into() }),
        }
    }
}
