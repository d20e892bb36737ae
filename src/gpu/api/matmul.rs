//! Matrix products: [`Recorder::matmul`] with numpy's broadcasting, [`Recorder::gemm`] with transposes and a broadcast c, and
//! [`Recorder::linear`], the dense layer. All three resolve to a [`MatMulProblem`]; the tile cores are convolution's.

use crate::gpu::api::Addends;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulDescriptor, MatMulInputs, MatMulProblem};
use crate::types::{Error, Result};

impl Recorder<'_> {
    /// Records a b by numpy's rules: operands of rank 1 are a row and a column, axes before the last two broadcast.
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<()> {
    /// use wgconv::matmul::MatMulDescriptor;
    /// let y = gpu.run(|r| r.matmul(a, b, &MatMulDescriptor::default()))?; // [.., M, K] and [.., K, N] give [.., M, N]
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`MatMulProblem::matmul`]; element types that differ, a channels-last operand of rank 3 or more, a tensor of another device.
    pub fn matmul(&mut self, a: &Tensor, b: &Tensor, descriptor: &MatMulDescriptor) -> Result<Tensor> {
        check_elements("b", b, a)?;
        let problem = MatMulProblem::matmul(a.shape().extents(), b.shape().extents(), a.element())?;
        self.op1(problem.with_accuracy(descriptor.accuracy), &[a, b])
    }

    /// Records activation(alpha op(a) op(b) + beta c).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, a: &Tensor, b: &Tensor, c: &Tensor) -> Result<()> {
    /// use wgconv::matmul::GemmDescriptor;
    /// let transposed = GemmDescriptor { trans_b: true, ..Default::default() };
    /// let y = gpu.run(|r| r.gemm(a, b, Some(c), &transposed))?; // a b^T + c
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`MatMulProblem::gemm`]; element types that differ, a tensor of another device.
    pub fn gemm(&mut self, a: &Tensor, b: &Tensor, c: Option<&Tensor>, descriptor: &GemmDescriptor) -> Result<Tensor> {
        check_elements("b", b, a)?;
        let problem = MatMulProblem::gemm(&inputs(a, b, c), descriptor)?;
        self.op1(&problem, &[a, b].into_iter().chain(c).collect::<Vec<_>>())
    }

    /// Records a dense layer, activation(x w^T + bias): x \[..., I\], w \[O, I\], bias \[O\].
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<()> {
    /// use wgconv::matmul::LinearDescriptor;
    /// let layer = LinearDescriptor { activation: Activation::Relu, ..Default::default() };
    /// let y = gpu.run(|r| r.linear(x, w, Some(bias), &layer))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`MatMulProblem::linear`]; element types that differ, a tensor of another device.
    pub fn linear(&mut self, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, descriptor: &LinearDescriptor) -> Result<Tensor> {
        let problem = MatMulProblem::linear(&inputs(x, w, bias), descriptor)?;
        self.op1(&problem, &[x, w].into_iter().chain(bias).collect::<Vec<_>>())
    }

    /// Records activation(x w^T + bias + residual).
    ///
    /// ```no_run
    /// # use wgconv::{Activation, Gpu, Layout, Recorder, Result, Tensor};
    /// # fn example(gpu: &Gpu, x: &Tensor, w: &Tensor, residual: &Tensor) -> Result<()> {
    /// use wgconv::{matmul::LinearDescriptor, op::Addends};
    /// let y = gpu.run(|r| r.linear_residual(x, w, Addends { bias: None, residual }, &LinearDescriptor::default()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::linear`]; a residual of another shape than the output's.
    pub fn linear_residual(&mut self, x: &Tensor, w: &Tensor, addends: Addends<'_>, descriptor: &LinearDescriptor) -> Result<Tensor> {
        let problem = MatMulProblem::linear(&inputs(x, w, addends.bias), descriptor)?.with_residual(true);
        self.op1(&problem, &[x, w].into_iter().chain(addends.tensors()).collect::<Vec<_>>())
    }
}

fn inputs<'a>(a: &'a Tensor, b: &'a Tensor, addend: Option<&'a Tensor>) -> MatMulInputs<'a> {
    MatMulInputs { a: a.shape().extents(), b: b.shape().extents(), addend: addend.map(|c| c.shape().extents()), element: a.element() }
}

fn check_elements(name: &str, tensor: &Tensor, first: &Tensor) -> Result<()> {
    if tensor.element() == first.element() {
        return Ok(());
    }
    Err(Error::invalid(name, tensor.element(), format!("operands have one element type, and the first holds {}", first.element())))
}
