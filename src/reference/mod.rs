//! The CPU twins: every op straight from its definition, plain loops, f64 sums, nothing clever. What the proofs compare kernels
//! with, and what a reader who wants to know what an op computes should read.

pub(crate) mod conv;
mod elementwise;
mod matmul;
mod norm;
mod pool;
mod reduce;
mod softmax;
pub(crate) mod transform;
pub(crate) mod winograd;

pub(crate) use conv::check_lengths;
pub use conv::{ConvReference, conv, conv_allowed, conv_error};
pub use elementwise::{binary, unary};
pub use matmul::matmul;
pub(crate) use matmul::matmul_on_matrix_units;
pub use norm::{batch_norm, lrn, norm};
pub use pool::pool;
pub use reduce::{argmax, reduce};
pub use softmax::softmax;

use crate::numeric::bound::storage_rounding;
use crate::op::{Op, TensorSpec};
use crate::types::Result;
use crate::types::element::ElementType;

/// Computes all outputs of any op in f64, with the error that a correct f32 kernel may make. Operands are the updated outputs of in-place
/// ops, then the inputs.
///
/// # Errors
/// Slices of another number or length than the op's tensors; an index that is no whole number or lies past its range.
pub fn compute(op: &dyn Op, operands: &[&[f64]]) -> Result<Vec<Bounded>> {
    let specs: Vec<TensorSpec> = op.outputs().into_iter().filter(|spec| spec.updated).chain(op.inputs()).collect();
    crate::op::check_lengths(&specs, &operands.iter().map(|slice| slice.len()).collect::<Vec<_>>())?;
    crate::op::check_indices(&specs, operands)?;
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
