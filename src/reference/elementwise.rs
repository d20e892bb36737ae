//! Elementwise ops straight from their definitions.

use crate::numeric::bound::{UNDERFLOW, activation_error, logarithm_error, power_error};
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::elementwise::unary::UnaryProblem;
use crate::reference::{Bounded, Referenced};
use crate::types::{Activation, ElementType};

/// activation(x); the error is the activation's own.
pub fn unary(activation: Activation, x: &[f64]) -> Bounded {
    let value: Vec<f64> = x.iter().map(|&x| activation.apply(x)).collect();
    let error = x.iter().zip(&value).map(|(&x, &y)| activation.own_error(x, y)).collect();
    Bounded { value, error }
}

/// activation(a op b), broadcast.
///
/// WGSL rounds sums, differences and products correctly (u |y|) and allows a quotient 2.5 units in the last place, each at most
/// 2 u |y|; results below the smallest normal number may be flushed to zero.
pub fn binary(problem: &BinaryProblem, a: &[f64], b: &[f64]) -> Bounded {
    let u = ElementType::F32.unit_roundoff();
    let count = problem.y.iter().product();
    let (mut value, mut error) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for index in 0..count {
        let at = |extents: &[usize]| -> usize {
            // Row-major index of the operand's element: axes are aligned at the last, and an extent of 1 does not step.
            let (mut rest, mut offset, mut step) = (index, 0, 1);
            for (place, extent) in problem.y.iter().enumerate().rev() {
                let coordinate = rest % extent;
                rest /= extent;
                if let Some(own) = (place + extents.len()).checked_sub(problem.y.len()).map(|i| extents[i]) {
                    offset += if own == 1 { 0 } else { coordinate * step };
                    step *= own;
                }
            }
            offset
        };
        let (a, b) = (a[at(&problem.a)], b[at(&problem.b)]);
        if problem.op == BinaryOp::ActivationGradient {
            value.push(problem.activation.gradient(a, b));
            error.push(problem.activation.gradient_error(a, b));
            continue;
        }
        let result = problem.op.apply(a, b);
        let rounding = match problem.op {
            BinaryOp::Min | BinaryOp::Max => 0.0,
            // Numbers that a device takes for zero may compare otherwise.
            BinaryOp::Exceeds if a != b && (a - b).abs() < UNDERFLOW => 1.0,
            BinaryOp::Exceeds => 0.0,
            BinaryOp::Power => power_error(a, b) * result.abs() + UNDERFLOW,
            // A power of a rounded exponent, times b.
            BinaryOp::PowerByBase => {
                let of_exponent = (u * (b - 1.0).abs() * if a > 0.0 && a.is_finite() { a.ln().abs() } else { 0.0 }).exp_m1();
                (power_error(a, b - 1.0) * (1.0 + of_exponent) + of_exponent + u) * result.abs() + UNDERFLOW * (1.0 + b.abs())
            }
            BinaryOp::PowerByExponent if !(a > 0.0 && a.is_finite()) => 0.0,
            BinaryOp::PowerByExponent => {
                let (power, error) = (a.powf(b), power_error(a, b));
                power * (error * a.ln().abs() + (1.0 + error) * logarithm_error(a)) + u * result.abs() + UNDERFLOW * (1.0 + a.ln().abs())
            }
            BinaryOp::Div => 5.0 * u * result.abs() + UNDERFLOW,
            _ => u * result.abs() + UNDERFLOW,
        };
        let y = problem.activation.apply(result);
        value.push(y);
        error.push(activation_error(problem.activation, rounding, result, y));
    }
    Bounded { value, error }
}

impl Referenced for BinaryProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![binary(self, inputs[0], inputs[1])]
    }
}

impl Referenced for UnaryProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![unary(self.activation, inputs[0])]
    }
}
