//! Matrix products by the `gemm` crate, bias and activation while a block of rows is warm.

use crate::cpu::Computed;
use crate::cpu::epilogue::{add_and_activate, finish};
use crate::cpu::product::{Cores, Operand, product};
use crate::ops::matmul::MatMulProblem;
use crate::types::Activation;
use rayon::prelude::*;

/// y = activation(alpha a b + beta addend + residual).
pub(crate) fn matmul(problem: &MatMulProblem, inputs: &[&[f32]], y: &mut [f32]) {
    let (m, n, k) = (problem.m as usize, problem.n as usize, problem.k as usize);
    let [_, e1, e2] = problem.batch.map(|e| e as usize);
    for (number, y) in y.chunks_exact_mut(m * n).enumerate() {
        let at = [number / (e1 * e2), number / e2 % e1, number % e2];
        let start = |strides: &[u64; 3]| -> usize { at.iter().zip(strides).map(|(c, s)| c * *s as usize).sum() };
        let (a, b) = (&inputs[0][start(&problem.a.batch)..], &inputs[1][start(&problem.b.batch)..]);
        let a = Operand { elements: a, row: problem.a.outer as usize, column: problem.a.depth as usize };
        let b = Operand { elements: b, row: problem.b.depth as usize, column: problem.b.outer as usize };
        product([m, n, k], problem.alpha, a, b, y, n, Cores::All);
        let addend = problem.addend.as_ref().filter(|_| problem.reads_addend());
        let activation = if problem.has_residual { Activation::None } else { problem.activation };
        if addend.is_some() || activation != Activation::None {
            y.par_chunks_mut(n).enumerate().for_each(|(row, y)| {
                if let Some(c) = addend {
                    let c_row = &inputs[2][start(&c.batch) + row * c.rows as usize..];
                    y.iter_mut().enumerate().for_each(|(column, y)| *y += problem.beta * c_row[column * c.columns as usize]);
                }
                finish(y, 0.0, activation);
            });
        }
    }
    if problem.has_residual {
        add_and_activate(y, inputs[inputs.len() - 1], problem.activation);
    }
}

impl Computed for MatMulProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        matmul(self, inputs, y);
        Some(())
    }
}
