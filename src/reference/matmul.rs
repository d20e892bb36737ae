//! Matrix products straight from their definition.

use crate::numeric::bound::{activation_error, gamma};
use crate::numeric::{MatrixError, Operands};
use crate::ops::matmul::{MatMulProblem, operands_of};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;
use rayon::prelude::*;

/// Roundings after the product: alpha, beta, two sums.
pub(crate) const MORE: u64 = 4;

pub(crate) fn error(operands: Operands, problem: &MatMulProblem) -> MatrixError {
    MatrixError::new(operands, problem.element, problem.k, MORE)
}

/// The largest error over operands of magnitude 1, relative to that of plain f32 sums.
pub(crate) fn relative_error(operands: Operands, problem: &MatMulProblem) -> f64 {
    error(operands, problem).relative_to_plain(problem.k, MORE)
}

/// activation(alpha a b + beta addend + residual).
///
/// The sum of k products errs by gamma_k times the sum of the absolute products; alpha and beta are one rounding each, and so is each of
/// the two additions: gamma_(k + 4) of the absolute values of all terms holds for any order (Higham, section 3.1).
pub fn matmul(problem: &MatMulProblem, inputs: &[&[f64]]) -> Bounded {
    let gamma = gamma(problem.k + 4, ElementType::F32.unit_roundoff());
    products(problem, inputs, |sums| gamma * sums.magnitude)
}

/// The same with the error that cooperative matrices may make.
pub(crate) fn matmul_on_coop_matrix(problem: &MatMulProblem, units: &MatrixError, inputs: &[&[f64]]) -> Bounded {
    let alpha = f64::from(problem.alpha).abs();
    products(problem, inputs, |sums| {
        let [a, b] = sums.largest;
        units.bound(sums.magnitude, [alpha * a * sums.b, alpha * sums.a * b], alpha * problem.k as f64 * a * b)
    })
}

/// Sums of absolute values that belong to one output.
struct Sums {
    /// Of all its terms.
    magnitude: f64,
    /// Of the numbers of either operand.
    a: f64,
    b: f64,
    /// The largest of those.
    largest: [f64; 2],
}

/// Every output, its error given by `bound` from the sums of absolute values before the activation.
fn products(problem: &MatMulProblem, inputs: &[&[f64]], bound: impl Fn(&Sums) -> f64 + Sync) -> Bounded {
    let (m, n, k) = (problem.m as usize, problem.n as usize, problem.k as usize);
    let (a, b) = (inputs[0], inputs[1]);
    let addend = problem.addend.as_ref().filter(|_| problem.reads_addend()).map(|c| (c, inputs[2]));
    let residual = problem.has_residual.then(|| inputs[inputs.len() - 1]);
    let (alpha, beta) = (f64::from(problem.alpha), f64::from(problem.beta));
    let line = |line: usize| -> Vec<(f64, f64)> {
        let (number, row) = (line / m, line % m);
        let start = |strides: &[u64; 3]| -> usize {
            let [_, e1, e2] = problem.batch.map(|e| e as usize);
            let at = [number / (e1 * e2), number / e2 % e1, number % e2];
            at.iter().zip(strides).map(|(c, s)| c * *s as usize).sum()
        };
        let (at_a, at_b) = (start(&problem.a.batch) + row * problem.a.outer as usize, start(&problem.b.batch));
        (0..n)
            .map(|column| {
                let (mut sum, mut sums) = (0.0, Sums { magnitude: 0.0, a: 0.0, b: 0.0, largest: [0.0; 2] });
                for step in 0..k {
                    let left = a[at_a + step * problem.a.depth as usize];
                    let right = b[at_b + column * problem.b.outer as usize + step * problem.b.depth as usize];
                    sum += left * right;
                    sums.magnitude += (left * right).abs();
                    sums.a += left.abs();
                    sums.b += right.abs();
                    sums.largest = [sums.largest[0].max(left.abs()), sums.largest[1].max(right.abs())];
                }
                let c = addend.map_or(0.0, |(c, values)| values[start(&c.batch) + row * c.rows as usize + column * c.columns as usize]);
                let r = residual.map_or(0.0, |r| r[line * n + column]);
                let total = alpha * sum + beta * c + r;
                sums.magnitude = alpha.abs() * sums.magnitude + (beta * c).abs() + r.abs();
                let y = problem.activation.apply(total);
                (y, activation_error(problem.activation, bound(&sums), total, y))
            })
            .collect()
    };
    let (value, error) = (0..problem.batches() as usize * m).into_par_iter().flat_map_iter(line).unzip();
    Bounded { value, error }
}

impl Referenced for MatMulProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![matmul(self, inputs)]
    }

    fn bound_for(&self, algorithm: &str, inputs: &[&[f64]], outputs: &mut [Bounded]) {
        if let Some(operands) = operands_of(algorithm) {
            outputs[0] = matmul_on_coop_matrix(self, &error(operands, self), inputs);
        }
    }
}
