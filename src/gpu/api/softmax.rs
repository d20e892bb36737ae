//! Softmax on tensors.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use crate::types::Result;

impl Recorder<'_> {
    /// Records the softmax along `axis` (negative: from the end).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.softmax(x, -1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`SoftmaxProblem::new`]; a tensor of another device.
    pub fn softmax(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        self.op1(&problem(x, axis, false)?, &[x])
    }

    /// Records the logarithm of the softmax along `axis`.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// let y = gpu.run(|r| r.log_softmax(x, -1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn log_softmax(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        self.op1(&problem(x, axis, true)?, &[x])
    }

    /// Records x = softmax(x) along `axis`.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// gpu.run(|r| r.softmax_in_place(x, -1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn softmax_in_place(&mut self, x: &Tensor, axis: isize) -> Result<()> {
        self.in_place(problem(x, axis, false)?, x)
    }

    /// Records x = logarithm of softmax(x) along `axis`.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// gpu.run(|r| r.log_softmax_in_place(x, -1))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn log_softmax_in_place(&mut self, x: &Tensor, axis: isize) -> Result<()> {
        self.in_place(problem(x, axis, true)?, x)
    }

    fn in_place(&mut self, problem: SoftmaxProblem, x: &Tensor) -> Result<()> {
        self.op_into(problem.in_place(), &[], &[x])
    }
}

fn problem(x: &Tensor, axis: isize, logarithm: bool) -> Result<SoftmaxProblem> {
    SoftmaxProblem::new(&x.tensor_type(), &SoftmaxDescriptor { axis, logarithm })
}
