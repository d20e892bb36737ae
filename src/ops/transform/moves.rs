//! Ops that only move elements: each is a list of strided copies into its one output.

use crate::ops::Problem;
use crate::ops::spec::TensorSpec;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::DepthToSpace;
use crate::ops::transform::slice::Slice;
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::TensorType;
use crate::types::strided::StridedCopy;

/// An op of copies.
pub(crate) trait Moves {
    fn op_name(&self) -> &'static str;

    /// Its inputs.
    fn kinds(&self) -> Vec<TensorType>;

    /// Its output.
    fn kind(&self) -> TensorType;

    /// The copies, for inputs and an output of these strides.
    fn copies(&self, x: &[Vec<i64>], y: &[i64]) -> Vec<StridedCopy>;

    /// The copies between the tensors as they lie in memory.
    fn stored_copies(&self) -> Vec<StridedCopy> {
        let strides: Vec<Vec<i64>> = self.kinds().iter().map(TensorType::strides).collect();
        self.copies(&strides, &self.kind().strides())
    }

    /// The copies between the tensors in logical order.
    fn logical_copies(&self) -> Vec<StridedCopy> {
        let strides: Vec<Vec<i64>> = self.kinds().iter().map(TensorType::logical_strides).collect();
        self.copies(&strides, &self.kind().logical_strides())
    }
}

macro_rules! moves {
    ($($problem:ident),*) => {
        $(impl Problem for $problem {
            fn name(&self) -> &'static str {
                self.op_name()
            }

            fn inputs(&self) -> Vec<TensorSpec> {
                let kinds = self.kinds();
                let name = |i: usize| if kinds.len() == 1 { "x".to_string() } else { format!("x{i}") };
                kinds.iter().enumerate().map(|(i, kind)| TensorSpec::of(name(i), kind)).collect()
            }

            fn outputs(&self) -> Vec<TensorSpec> {
                vec![TensorSpec::of("y", &self.kind())]
            }

            fn is_exact(&self) -> bool {
                true
            }

            fn flops(&self) -> f64 {
                0.0
            }
        })*
    };
}

moves!(Slice, Concat, Transpose, ToLayout, DepthToSpace);
