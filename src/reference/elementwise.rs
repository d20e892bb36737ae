//! Elementwise ops straight from their definitions.

use crate::numeric::bound::{UNDERFLOW, activation_error, logarithm_error, power_error};
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// activation(op(x)); the errors are the operation's own, as the activation carries it on, and the activation's.
pub fn unary(descriptor: impl Into<UnaryDescriptor>, x: &[f64]) -> Bounded {
    let UnaryDescriptor { op, activation } = descriptor.into();
    let one = |&x: &f64| {
        let result = op.apply(x);
        let y = activation.apply(result);
        (y, activation_error(activation, op.own_error(x, result), result, y))
    };
    let (value, error) = x.iter().map(one).unzip();
    Bounded { value, error }
}

/// Row-major index of the element of an operand of `extents` that is broadcast to element `index` of y: axes are aligned at the last, and an extent of 1 does
/// not step.
fn element_at(index: usize, y: &[usize], extents: &[usize]) -> usize {
    let (mut rest, mut offset, mut step) = (index, 0, 1);
    for (place, extent) in y.iter().enumerate().rev() {
        let coordinate = rest % extent;
        rest /= extent;
        if let Some(own) = (place + extents.len()).checked_sub(y.len()).map(|i| extents[i]) {
            offset += if own == 1 { 0 } else { coordinate * step };
            step *= own;
        }
    }
    offset
}

/// a where the condition is not 0, else b, broadcast; exact.
pub fn where_cond(problem: &WhereProblem, [condition, a, b]: [&[f64]; 3]) -> Vec<f64> {
    let [of_condition, of_a, of_b] = &problem.operands;
    let at = |index: usize, extents: &[usize]| element_at(index, &problem.y, extents);
    let one = |index: usize| if condition[at(index, of_condition)] != 0.0 { a[at(index, of_a)] } else { b[at(index, of_b)] };
    (0..problem.y.iter().product()).map(one).collect()
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
        let (a, b) = (a[element_at(index, &problem.y, &problem.a)], b[element_at(index, &problem.y, &problem.b)]);
        if problem.op == BinaryOp::ActivationGradient {
            value.push(problem.activation.gradient(a, b));
            error.push(problem.activation.gradient_error(a, b));
            continue;
        }
        let result = problem.op.apply(a, b);
        let rounding = match problem.op {
            BinaryOp::Min | BinaryOp::Max => 0.0,
            op if op.is_comparison() => 0.0,
            // Numbers that a device takes for zero may compare otherwise.
            BinaryOp::Exceeds if a != b && (a - b).abs() < UNDERFLOW => 1.0,
            BinaryOp::Exceeds => 0.0,
            BinaryOp::Power => power_error(a.abs(), b) * result.abs() + UNDERFLOW,
            // A power of a rounded exponent, times b.
            BinaryOp::PowerByBase => {
                let of_exponent = (u * (b - 1.0).abs() * if a != 0.0 && a.is_finite() { a.abs().ln().abs() } else { 0.0 }).exp_m1();
                (power_error(a.abs(), b - 1.0) * (1.0 + of_exponent) + of_exponent + u) * result.abs() + UNDERFLOW * (1.0 + b.abs())
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

impl Referenced for WhereProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![Bounded::exact(where_cond(self, [inputs[0], inputs[1], inputs[2]]))]
    }
}

/// x itself: what f16 cannot hold is a matter of how results are stored ([`Bounded::allowed`]).
impl Referenced for CastProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![Bounded::exact(inputs[0].to_vec())]
    }
}

impl Referenced for UnaryProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![unary(UnaryDescriptor { op: self.op, activation: self.activation }, inputs[0])]
    }
}
