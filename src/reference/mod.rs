//! The CPU twins: every op straight from its definition, plain loops, f64 sums, nothing clever. What the checks compare kernels
//! with, and what a reader who wants to know what an op computes should read.

pub(crate) mod adjoint;
pub(crate) mod conv;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod fft;
pub(crate) mod filter_gradient;
pub(crate) mod grid_sample;
pub(crate) mod image;
pub(crate) mod indexed;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod softmax;
pub(crate) mod streaming;
pub(crate) mod top_k;
pub(crate) mod transform;
pub(crate) mod winograd;

pub use conv::{ConvReference, conv, conv_allowed, conv_error};
pub use dropout::dropout;
pub use elementwise::{binary, unary, where_cond};
pub use matmul::matmul;
pub use norm::{batch_norm, lrn, norm};
pub use pool::pool;
pub use reduce::{argmax, reduce};
pub use softmax::softmax;
pub use streaming::streaming;

use crate::numeric::bound::storage_rounding;
use crate::ops::spec::TensorSpec;
use crate::ops::{Op, Problem};
use crate::types::{ElementType, Result};

/// Computes all outputs of any op in f64, with the error that a correct f32 kernel may make. Operands are the in-out tensors of in-place
/// ops, then the inputs.
///
/// # Errors
/// Slices of another number or length than the op's tensors; an index that is no whole number or lies past its range.
pub fn compute(op: impl Into<Op>, operands: &[&[f64]]) -> Result<Vec<Bounded>> {
    let op = op.into();
    let specs: Vec<TensorSpec> = op.outputs().into_iter().filter(|spec| spec.in_out).chain(op.inputs()).collect();
    crate::ops::spec::check_lengths(&specs, &operands.iter().map(|slice| slice.len()).collect::<Vec<_>>())?;
    crate::ops::spec::check_indices(&specs, operands)?;
    Ok(op.reference(operands))
}

/// Expected values, and how far a correct f32 kernel may be from each before its result is rounded to the stored type.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded {
    /// The values, in logical order, row-major.
    pub value: Vec<f64>,
    /// The allowed differences.
    pub error: Vec<f64>,
}

impl Bounded {
    /// Values that a correct kernel meets exactly: it only moves, chooses or counts.
    pub fn exact(value: Vec<f64>) -> Self {
        let error = vec![0.0; value.len()];
        Self { value, error }
    }

    /// The difference that element `i` may have once it is stored as `element`.
    pub fn allowed(&self, i: usize, element: ElementType) -> f64 {
        self.error[i] + storage_rounding(element, self.value[i].abs() + self.error[i])
    }
}

/// A problem with a reference.
pub trait Referenced: Problem {
    /// The CPU twin: plain loops in f64 over operands in logical order (in-out tensors first, then inputs), with the error that a
    /// correct f32 kernel may make. Slices have the lengths of the specs; [`compute`] checks that first.
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded>;

    /// Sets the errors of `outputs`, which [`Referenced::reference`] gave for these inputs, to those that this algorithm may make: one that transforms
    /// its operands may have bounds of its own.
    fn bound_for(&self, _algorithm: &str, _inputs: &[&[f64]], _outputs: &mut [Bounded]) {}

    /// As [`Referenced::reference`], with the errors that this algorithm may make.
    fn reference_for(&self, algorithm: &str, inputs: &[&[f64]]) -> Vec<Bounded> {
        let mut outputs = self.reference(inputs);
        self.bound_for(algorithm, inputs, &mut outputs);
        outputs
    }
}

/// The reference of each problem.
fn referenced(op: &Op) -> &dyn Referenced {
    match op {
        Op::Conv(problem) => problem,
        Op::MatMul(problem) => problem,
        Op::Pool(problem) => problem,
        Op::MaxUnpool(problem) => problem,
        Op::Binary(problem) => problem,
        Op::Unary(problem) => problem,
        Op::Cast(problem) => problem,
        Op::Where(problem) => problem,
        Op::Dropout(problem) => problem,
        Op::Image(problem) => problem,
        Op::Softmax(problem) => problem,
        Op::Norm(problem) => problem,
        Op::BatchNorm(problem) => problem,
        Op::Lrn(problem) => problem,
        Op::Reduce(problem) => problem,
        Op::Argmax(problem) => problem,
        Op::TopK(problem) => problem,
        Op::Gather(problem) => problem,
        Op::Scatter(problem) => problem,
        Op::Resize(problem) => problem,
        Op::GridSample(problem) => problem,
        Op::Pad(problem) => problem,
        Op::Slice(problem) => problem,
        Op::Concat(problem) => problem,
        Op::Transpose(problem) => problem,
        Op::ToLayout(problem) => problem,
        Op::DepthToSpace(problem) => problem,
        Op::Adjoint(problem) => problem,
        Op::MaxUnpoolGradient(problem) => problem,
        Op::FilterGradient(problem) => problem,
        Op::Optimizer(problem) => problem,
    }
}

impl Referenced for Op {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        referenced(self).reference(inputs)
    }

    fn bound_for(&self, algorithm: &str, inputs: &[&[f64]], outputs: &mut [Bounded]) {
        referenced(self).bound_for(algorithm, inputs, outputs);
    }
}
