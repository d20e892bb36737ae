//! Reductions over axes: sum, mean, max ([`ReduceProblem`]) and argmax ([`ArgmaxProblem`]). Always the same tree, so always the same bits.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::reduce::{ArgmaxProblem, ReduceKind, ReduceProblem};
use crate::types::Result;

impl Recorder<'_> {
    /// Records a reduction over `axes` (negative ones count from the end, none means all). y has x's layout where `keepdims` keeps the rank,
    /// and is channels-first otherwise.
    ///
    /// # Errors
    /// As [`ReduceProblem::new`]; a tensor of another device.
    pub fn reduce(&mut self, kind: ReduceKind, x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        let problem = ReduceProblem::new(kind, x.shape().extents(), axes, keepdims, x.element(), x.layout())?;
        self.op1(&problem, &[x])
    }

    /// Records the sum over `axes`.
    ///
    /// # Errors
    /// As [`Recorder::reduce`].
    pub fn reduce_sum(&mut self, x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(ReduceKind::Sum, x, axes, keepdims)
    }

    /// Records the mean over `axes`.
    ///
    /// # Errors
    /// As [`Recorder::reduce`].
    pub fn reduce_mean(&mut self, x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(ReduceKind::Mean, x, axes, keepdims)
    }

    /// Records the maximum over `axes`; NaN wins.
    ///
    /// # Errors
    /// As [`Recorder::reduce`].
    pub fn reduce_max(&mut self, x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(ReduceKind::Max, x, axes, keepdims)
    }

    /// Records where the largest element along `axis` stands, or in the flat tensor: a u32 tensor. NaN wins; of equal elements the first, or
    /// with `select_last` the last.
    ///
    /// # Errors
    /// As [`ArgmaxProblem::new`]; a tensor of another device.
    pub fn argmax(&mut self, x: &Tensor, axis: Option<isize>, keepdims: bool, select_last: bool) -> Result<Tensor> {
        let problem = ArgmaxProblem::new(x.shape().extents(), axis, keepdims, select_last, x.element(), x.layout())?;
        self.op1(&problem, &[x])
    }
}
