//! Matrix products: [`Recorder::matmul`] with numpy's broadcasting, [`Recorder::gemm`] with transposes and a broadcast c, and
//! [`Recorder::linear`], the dense layer. All three resolve to a [`MatMulProblem`]; the tile cores are convolution's.

use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::matmul::{GemmDescriptor, MatMulProblem};
use crate::types::{Activation, Error, Result};

impl Recorder<'_> {
    /// Records a b by numpy's rules: operands of rank 1 are a row and a column, axes before the last two broadcast.
    ///
    /// # Errors
    /// As [`MatMulProblem::matmul`]; element types that differ, a channels-last operand of rank 3 or more, a tensor of another device.
    pub fn matmul(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        check_elements("b", b, a)?;
        self.op1(&MatMulProblem::matmul(a.shape().extents(), b.shape().extents(), a.element())?, &[a, b])
    }

    /// Records activation(alpha op(a) op(b) + beta c).
    ///
    /// # Errors
    /// As [`MatMulProblem::gemm`]; element types that differ, a tensor of another device.
    pub fn gemm(&mut self, descriptor: &GemmDescriptor, a: &Tensor, b: &Tensor, c: Option<&Tensor>) -> Result<Tensor> {
        check_elements("b", b, a)?;
        let extents = c.map(|c| c.shape().extents());
        let problem = MatMulProblem::gemm(descriptor, a.shape().extents(), b.shape().extents(), extents, a.element())?;
        self.op1(&problem, &[a, b].into_iter().chain(c).collect::<Vec<_>>())
    }

    /// Records a dense layer, activation(x w^T + bias): x \[..., I\], w \[O, I\], bias \[O\].
    ///
    /// # Errors
    /// As [`MatMulProblem::linear`]; element types that differ, a tensor of another device.
    pub fn linear(&mut self, activation: Activation, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        self.op1(&linear(activation, x, w, bias)?, &[x, w].into_iter().chain(bias).collect::<Vec<_>>())
    }

    /// Records activation(x w^T + bias + residual).
    ///
    /// # Errors
    /// As [`Recorder::linear`]; a residual of another shape than the output's.
    pub fn linear_residual(&mut self, activation: Activation, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, residual: &Tensor) -> Result<Tensor> {
        let problem = linear(activation, x, w, bias)?.with_residual(true);
        self.op1(&problem, &[x, w].into_iter().chain(bias).chain([residual]).collect::<Vec<_>>())
    }
}

pub(crate) fn linear(activation: Activation, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<MatMulProblem> {
    MatMulProblem::linear(activation, x.shape().extents(), w.shape().extents(), bias.map(|b| b.shape().extents()), x.element())
}

fn check_elements(name: &str, tensor: &Tensor, first: &Tensor) -> Result<()> {
    if tensor.element() == first.element() {
        return Ok(());
    }
    Err(Error::invalid(name, tensor.element(), format!("operands have one element type, and the first holds {}", first.element())))
}
