//! Matrix products: [`Recorder::matmul`] with numpy's broadcasting, [`Recorder::gemm`] with transposes and a broadcast c, and
//! [`Recorder::linear`], the dense layer. All three resolve to a [`MatMulProblem`]; the tile cores are convolution's.

mod matrix;
mod packing;
mod params;
mod plan;
mod problem;
mod slices;
mod steps;

pub(crate) use packing::PackedBatch;
pub(crate) use params::{MatMulParams, PackOperandParams};
pub(crate) use plan::MOST_SHORT;
pub use problem::{Addend, GemmDescriptor, MatMulProblem, Operand, Product};

use crate::gpu::{DeviceProfile, Recorder};
use crate::numeric::bound;
use crate::op::{Op, Plan, TensorSpec};
use crate::reference::Bounded;
use crate::tensor::Tensor;
use crate::types::activation::Activation;
use crate::types::element::ElementType;
use crate::types::shape::Layout;
use crate::types::{Error, Result};

/// Whether the algorithm or plan of this label needs matrix units.
pub(crate) fn on_matrix_units(label: &str) -> bool {
    matrix::operands_of(label).is_some()
}

impl Op for MatMulProblem {
    fn name(&self) -> &'static str {
        match self.product {
            Product::MatMul => "matmul",
            Product::Gemm => "gemm",
            Product::Linear => "linear",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let names = match self.product {
            Product::Linear => ["x", "w", "bias"],
            _ => ["a", "b", "c"],
        };
        let spec = |name: &'static str, extents: &[usize], weight: bool| {
            if weight && self.fixed() {
                TensorSpec::fixed(name, extents, self.element)
            } else {
                TensorSpec::new(name, extents, self.element, Layout::ChannelsFirst)
            }
        };
        let mut inputs = vec![spec(names[0], &self.a.extents, false), spec(names[1], &self.b.extents, true)];
        if let Some(addend) = &self.addend {
            inputs.push(spec(names[2], &addend.extents, true));
        }
        if self.has_residual {
            inputs.push(spec("residual", &self.y, false));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y, self.element, Layout::ChannelsFirst)]
    }

    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        plan::algorithms(self, profile)
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        plan::candidates(self, profile)
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        plan::plan(self, profile, algorithm)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![crate::reference::matmul(self, inputs)]
    }

    fn reference_for(&self, algorithm: &str, inputs: &[&[f64]]) -> Vec<Bounded> {
        match matrix::operands_of(algorithm) {
            Some(operands) => vec![crate::reference::matmul_on_matrix_units(self, &matrix::error(operands, self), inputs)],
            None => self.reference(inputs),
        }
    }

    fn is_exact(&self) -> bool {
        self.activation.is_exact() && [self.alpha, self.beta].iter().all(|v| v.fract() == 0.0 && v.abs() <= 4.0)
    }

    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        crate::cpu::matmul(self, inputs, y);
        Some(())
    }

    fn largest_error(&self, algorithm: &str) -> Option<f64> {
        let plain = self.activation.is_exact() && self.element == ElementType::F32 && self.alpha == 1.0 && self.beta.abs() <= 1.0;
        plain.then(|| self.error_ratio(algorithm).max(1.0) * (self.k + 2) as f64 * bound::gamma(self.k + 5, ElementType::F32.unit_roundoff()))
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        matrix::operands_of(algorithm).map_or(1.0, |operands| matrix::relative_error(operands, self))
    }

    fn tuning_key(&self) -> String {
        format!("{}/{self}/{}", self.name(), self.accuracy.name())
    }

    fn flops(&self) -> f64 {
        2.0 * self.output_count() as f64 * self.k as f64
    }

    fn depth(&self) -> u64 {
        self.k
    }
}

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

fn linear(activation: Activation, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<MatMulProblem> {
    MatMulProblem::linear(activation, x.shape().extents(), w.shape().extents(), bias.map(|b| b.shape().extents()), x.element())
}

fn check_elements(name: &str, tensor: &Tensor, first: &Tensor) -> Result<()> {
    if tensor.element() == first.element() {
        return Ok(());
    }
    Err(Error::invalid(name, tensor.element(), format!("operands have one element type, and the first holds {}", first.element())))
}

crate::op::eager! {
    fn matmul(a: &Tensor, b: &Tensor) -> Tensor;
    fn gemm(descriptor: &GemmDescriptor, a: &Tensor, b: &Tensor, c: Option<&Tensor>) -> Tensor;
    fn linear(activation: Activation, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor;
    fn linear_residual(activation: Activation, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, residual: &Tensor) -> Tensor;
}
