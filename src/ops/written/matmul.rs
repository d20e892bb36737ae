//! The written form of products.

use crate::numeric::Accuracy;
use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem, Product};
use crate::types::{ElementType, Error, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum MatMul {
    #[serde(rename = "mat_mul")]
    Plain {
        a: Vec<usize>,
        b: Vec<usize>,
        residual: bool,
        element: ElementType,
        accuracy: Accuracy,
    },
    Gemm {
        a: Vec<usize>,
        b: Vec<usize>,
        c: Option<Vec<usize>>,
        residual: bool,
        element: ElementType,
        descriptor: GemmDescriptor,
    },
    Linear {
        x: Vec<usize>,
        w: Vec<usize>,
        bias: bool,
        residual: bool,
        element: ElementType,
        descriptor: LinearDescriptor,
    },
}

impl From<MatMulProblem> for MatMul {
    fn from(p: MatMulProblem) -> Self {
        let MatMulProblem { alpha, beta, activation, accuracy, element, has_residual: residual, .. } = p;
        let (first, second) = ([p.a.outer, p.a.depth], [p.b.depth, p.b.outer]);
        let (a, b) = (p.a.extents, p.b.extents);
        match p.product {
            Product::MatMul => MatMul::Plain { a, b, residual, element, accuracy },
            Product::Linear => {
                let descriptor = LinearDescriptor { activation, accuracy };
                MatMul::Linear { x: a, w: b, bias: p.addend.is_some(), residual, element, descriptor }
            }
            Product::Gemm => {
                // As it stands, an operand has its extents in this order, its rows are an extent apart, and its columns lie side by side.
                let stands = |strides: [u64; 2], extents: &[usize], rows: u64, columns: u64| {
                    *extents == [rows as usize, columns as usize] && strides == [columns, 1]
                };
                let (trans_a, trans_b) = (!stands(first, &a, p.m, p.k), !stands(second, &b, p.k, p.n));
                let descriptor = GemmDescriptor { alpha, beta, trans_a, trans_b, activation, accuracy };
                MatMul::Gemm { a, b, c: p.addend.map(|addend| addend.extents), residual, element, descriptor }
            }
        }
    }
}

impl TryFrom<MatMul> for MatMulProblem {
    type Error = Error;

    fn try_from(written: MatMul) -> Result<Self> {
        Ok(match &written {
            MatMul::Plain { a, b, residual, element, accuracy } => {
                MatMulProblem::matmul(a, b, *element)?.with_residual(*residual).with_accuracy(*accuracy)
            }
            MatMul::Gemm { a, b, c, residual, element, descriptor } => {
                MatMulProblem::gemm(&MatMulInputs { a, b, addend: c.as_deref(), element: *element }, descriptor)?.with_residual(*residual)
            }
            MatMul::Linear { x, w, bias, residual, element, descriptor } => {
                let addend = if *bias { w.get(..1) } else { None };
                MatMulProblem::linear(&MatMulInputs { a: x, b: w, addend, element: *element }, descriptor)?.with_residual(*residual)
            }
        })
    }
}
