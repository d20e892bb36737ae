//! Reductions over axes: sum, mean, max ([`ReduceProblem`]) and argmax ([`ArgmaxProblem`]). Always the same tree, so always the same bits.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceProblem};
use crate::types::Result;

impl Recorder<'_> {
    /// Records a reduction over axes. y has x's layout where the rank stays, and is channels-first otherwise.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor) -> Result<()> {
    /// use wgconv::reduce::ReduceDescriptor;
    /// let total = gpu.run(|r| r.reduce(x, &ReduceDescriptor::sum(&[])))?; // a scalar
    /// let means = gpu.run(|r| r.reduce(x, &ReduceDescriptor::mean(&[-2, -1]).with_keepdims(true)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ReduceProblem::new`]; a tensor of another device.
    pub fn reduce(&mut self, x: &Tensor, descriptor: &ReduceDescriptor) -> Result<Tensor> {
        self.op1(ReduceProblem::new(&x.tensor_type(), descriptor)?, &[x])
    }

    /// Records where the largest element along an axis stands, or in the flat tensor: a u32 tensor. NaN wins; of equal elements the first, or
    /// with `select_last` the last.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, scores: &Tensor) -> Result<()> {
    /// use wgconv::reduce::ArgmaxDescriptor;
    /// let classes = gpu.run(|r| r.argmax(scores, &ArgmaxDescriptor { axis: Some(-1), ..Default::default() }))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ArgmaxProblem::new`]; a tensor of another device.
    pub fn argmax(&mut self, x: &Tensor, descriptor: &ArgmaxDescriptor) -> Result<Tensor> {
        self.op1(ArgmaxProblem::new(&x.tensor_type(), descriptor)?, &[x])
    }
}
