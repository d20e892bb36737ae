//! Matrix products straight from their definition.

use crate::numeric::bound::{activation_error, gamma, underflow};
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
/// the two additions: gamma_(k + 4) of the absolute values of all terms holds for any order (Higham, section 3.1). Products and sums below the normal
/// numbers may be lost (see [`underflow`]).
pub fn matmul(problem: &MatMulProblem, inputs: &[&[f64]]) -> Bounded {
    let gamma = gamma(problem.k + 4, ElementType::F32.unit_roundoff());
    products(problem, inputs, |magnitude, _| gamma * magnitude + underflow(problem.k + 4, magnitude))
}

/// The same with the error that cooperative matrices may make.
pub(crate) fn matmul_on_coop_matrix(problem: &MatMulProblem, units: &MatrixError, inputs: &[&[f64]]) -> Bounded {
    let alpha = f64::from(problem.alpha).abs();
    products(problem, inputs, |magnitude, [a, b]| {
        let either = [alpha * a.largest * b.sum, alpha * a.sum * b.largest];
        units.bound(magnitude, either, alpha * problem.k as f64 * a.largest * b.largest)
    })
}

/// Of the absolute values of a row of a or a column of b.
#[derive(Default)]
struct Sums {
    sum: f64,
    largest: f64,
}

/// Every output, its error given by `bound` from what is known before the activation: the sum of the absolute values of all its terms, and what its row of
/// a and its column of b hold.
fn products(problem: &MatMulProblem, inputs: &[&[f64]], bound: impl Fn(f64, [&Sums; 2]) -> f64 + Sync) -> Bounded {
    let (m, n, k) = (problem.m as usize, problem.n as usize, problem.k as usize);
    let (a, b) = (inputs[0], inputs[1]);
    let addend = problem.addend.as_ref().filter(|_| problem.reads_addend()).map(|c| (c, inputs[2]));
    let residual = problem.has_residual.then(|| inputs[inputs.len() - 1]);
    let (alpha, beta) = (f64::from(problem.alpha), f64::from(problem.beta));
    let start = |number: usize, strides: &[u64; 3]| -> usize {
        let [_, e1, e2] = problem.batch.map(|e| e as usize);
        let at = [number / (e1 * e2), number / e2 % e1, number % e2];
        at.iter().zip(strides).map(|(c, s)| c * *s as usize).sum()
    };
    let [a_outer, a_depth, b_outer, b_depth] = [problem.a.outer, problem.a.depth, problem.b.outer, problem.b.depth].map(|stride| stride as usize);
    let columns: Vec<Sums> = (0..problem.batches() as usize * n)
        .into_par_iter()
        .map(|line| {
            let at = start(line / n, &problem.b.batch) + line % n * b_outer;
            let read = (0..k).map(|step| b[at + step * b_depth].abs());
            read.fold(Sums::default(), |sums, b| Sums { sum: sums.sum + b, largest: sums.largest.max(b) })
        })
        .collect();
    let line = |line: usize| -> Vec<(f64, f64)> {
        let (number, row) = (line / m, line % m);
        let (at_a, at_b) = (start(number, &problem.a.batch) + row * a_outer, start(number, &problem.b.batch));
        // Every sum adds its products in the order of the depth, whichever loop is the outer one: that which walks b as it lies.
        let (mut sums, mut magnitudes, mut left_sums) = (vec![0.0; n], vec![0.0; n], Sums::default());
        for step in 0..k {
            let left = a[at_a + step * a_depth];
            left_sums = Sums { sum: left_sums.sum + left.abs(), largest: left_sums.largest.max(left.abs()) };
            if b_outer == 1 {
                let row = &b[at_b + step * b_depth..][..n];
                for ((sum, magnitude), right) in sums.iter_mut().zip(&mut magnitudes).zip(row) {
                    *sum += left * right;
                    *magnitude += (left * right).abs();
                }
            }
        }
        if b_outer != 1 {
            for (column, (sum, magnitude)) in sums.iter_mut().zip(&mut magnitudes).enumerate() {
                for step in 0..k {
                    let product = a[at_a + step * a_depth] * b[at_b + column * b_outer + step * b_depth];
                    *sum += product;
                    *magnitude += product.abs();
                }
            }
        }
        (0..n)
            .map(|column| {
                let c = addend.map_or(0.0, |(c, values)| values[start(number, &c.batch) + row * c.rows as usize + column * c.columns as usize]);
                let r = residual.map_or(0.0, |r| r[line * n + column]);
                let total = alpha * sums[column] + beta * c + r;
                let magnitude = alpha.abs() * magnitudes[column] + (beta * c).abs() + r.abs();
                let y = problem.activation.apply(total);
                (y, activation_error(problem.activation, bound(magnitude, [&left_sums, &columns[number * n + column]]), total, y))
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
