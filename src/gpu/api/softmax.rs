//! Softmax on tensors.

use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::softmax::SoftmaxProblem;
use crate::types::Result;

impl Recorder<'_> {
    /// Records the softmax along `axis` (negative: from the end).
    ///
    /// # Errors
    /// As [`SoftmaxProblem::new`]; a tensor of another device.
    pub fn softmax(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        self.op1(&problem(false, x, axis)?, &[x])
    }

    /// Records the logarithm of the softmax along `axis`.
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn log_softmax(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        self.op1(&problem(true, x, axis)?, &[x])
    }

    /// Records x = softmax(x) along `axis`.
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn softmax_in_place(&mut self, x: &Tensor, axis: isize) -> Result<()> {
        self.in_place(problem(false, x, axis)?, x)
    }

    /// Records x = logarithm of softmax(x) along `axis`.
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn log_softmax_in_place(&mut self, x: &Tensor, axis: isize) -> Result<()> {
        self.in_place(problem(true, x, axis)?, x)
    }

    fn in_place(&mut self, problem: SoftmaxProblem, x: &Tensor) -> Result<()> {
        let plan = self.gpu().plan(problem.in_place())?;
        Prepared::recorded(self, plan, &[])?.record(self, &[], &[x])
    }
}

pub(crate) fn problem(logarithm: bool, x: &Tensor, axis: isize) -> Result<SoftmaxProblem> {
    SoftmaxProblem::new(logarithm, x.shape().extents(), axis, x.element(), x.layout())
}
