//! Gradients of operations on one tensor and on two, and of activations.

use super::{Builder, Of};
use crate::ops::dropout::DropoutProblem;
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::unary::{UnaryOp, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::types::{Activation, Result};

/// The gradient of an activation's argument, which is `x`; of relu, what it gave says as much, and x need not be kept.
pub(super) fn through(b: &mut Builder<'_>, activation: Activation, x: Of, gradient: Of) -> Result<Of> {
    match activation {
        Activation::None => Ok(gradient),
        _ => b.binary(BinaryDescriptor { op: BinaryOp::ActivationGradient, activation }, x, gradient),
    }
}

pub(super) fn unary(b: &mut Builder<'_>, problem: &UnaryProblem) -> Result<()> {
    let (op, activation, x) = (problem.op, problem.activation, Of::Input(0));
    // What the operation gave.
    let y = match (op, activation) {
        (UnaryOp::Identity, _) => x,
        (_, Activation::None) => Of::Output(0),
        _ => b.unary(op, x)?,
    };
    let g = through(b, activation, if activation == Activation::Relu { Of::Output(0) } else { y }, Of::Upstream)?;
    let dx = match op {
        UnaryOp::Identity => g,
        // Zero almost everywhere.
        UnaryOp::Sign | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round => return Ok(()),
        UnaryOp::Abs => {
            let sign = b.unary(UnaryOp::Sign, x)?;
            b.mul(g, sign)?
        }
        UnaryOp::Neg => b.unary(UnaryOp::Neg, g)?,
        UnaryOp::Exp => b.mul(g, y)?,
        UnaryOp::Log => b.binary(BinaryOp::Div, g, x)?,
        // dy / (2 y)
        UnaryOp::Sqrt => {
            let quotient = b.binary(BinaryOp::Div, g, y)?;
            b.mul(quotient, Of::Constant(0.5))?
        }
        // -dy y y
        UnaryOp::Reciprocal => {
            let product = b.mul(g, y)?;
            let product = b.mul(product, y)?;
            b.unary(UnaryOp::Neg, product)?
        }
        // dy 2 / sqrt(pi) e^(-x x)
        UnaryOp::Erf => {
            let square = b.mul(x, x)?;
            let negative = b.unary(UnaryOp::Neg, square)?;
            let bell = b.unary(UnaryOp::Exp, negative)?;
            let product = b.mul(g, bell)?;
            b.mul(product, Of::Constant(std::f32::consts::FRAC_2_SQRT_PI))?
        }
        UnaryOp::Sin => {
            let cosine = b.unary(UnaryOp::Cos, x)?;
            b.mul(g, cosine)?
        }
        UnaryOp::Cos => {
            let sine = b.unary(UnaryOp::Sin, x)?;
            let product = b.mul(g, sine)?;
            b.unary(UnaryOp::Neg, product)?
        }
    };
    b.give(0, dx);
    Ok(())
}

/// dy where a was taken, and where b was; the condition has no gradient.
pub(super) fn where_cond(b: &mut Builder<'_>, _: &WhereProblem) -> Result<()> {
    let (condition, zero) = (Of::Input(0), Of::Constant(0.0));
    for (input, [taken, other]) in [(1, [Of::Upstream, zero]), (2, [zero, Of::Upstream])] {
        if b.wants(input) {
            let problem = WhereProblem::new(&b.of(condition), &b.of(taken), &b.of(other))?;
            let gradient = b.op(problem, &[condition, taken, other]);
            let own = b.unbroadcast(gradient, input)?;
            b.give(input, own);
        }
    }
    Ok(())
}

/// The same dropout of dy with the same key; the key has no gradient.
pub(super) fn dropout(b: &mut Builder<'_>, problem: &DropoutProblem) -> Result<()> {
    let dx = b.op(problem.clone(), &[Of::Upstream, Of::Input(1)]);
    b.give(0, dx);
    Ok(())
}

pub(super) fn binary(b: &mut Builder<'_>, problem: &BinaryProblem) -> Result<()> {
    let (x, y) = (Of::Input(0), Of::Input(1));
    let g = match (problem.op, problem.activation) {
        (BinaryOp::ActivationGradient, activation) if b.wants(0) && !activation.has_constant_slopes() => {
            return Err(b.refuse("second derivatives of activations are not computed"));
        }
        // Zero almost everywhere.
        (BinaryOp::Exceeds, _) => return Ok(()),
        (op, _) if op.is_comparison() => return Ok(()),
        (BinaryOp::ActivationGradient, activation) => through(b, activation, x, Of::Upstream)?,
        (_, Activation::None) => Of::Upstream,
        (_, Activation::Relu) => through(b, Activation::Relu, Of::Output(0), Of::Upstream)?,
        (op, activation) => {
            let before = b.binary(op, x, y)?;
            through(b, activation, before, Of::Upstream)?
        }
    };
    let (wants_x, wants_y) = (b.wants(0), b.wants(1));
    let (mut of_x, mut of_y) = (None, None);
    match problem.op {
        BinaryOp::Add => (of_x, of_y) = (Some(g), Some(g)),
        BinaryOp::Sub => {
            of_x = Some(g);
            of_y = if wants_y { Some(b.mul(g, Of::Constant(-1.0))?) } else { None };
        }
        BinaryOp::Mul => {
            of_x = if wants_x { Some(b.mul(g, y)?) } else { None };
            of_y = if wants_y { Some(b.mul(g, x)?) } else { None };
        }
        BinaryOp::Div => {
            let quotient = b.binary(BinaryOp::Div, g, y)?;
            of_x = Some(quotient);
            if wants_y {
                // -(g / y) (x / y)
                let ratio = b.binary(BinaryOp::Div, x, y)?;
                let product = b.mul(quotient, ratio)?;
                of_y = Some(b.mul(product, Of::Constant(-1.0))?);
            }
        }
        BinaryOp::Max | BinaryOp::Min => {
            let (more, less) = if problem.op == BinaryOp::Max { (x, y) } else { (y, x) };
            for (input, [a, c]) in [[more, less], [less, more]].into_iter().enumerate().filter(|(input, _)| b.wants(*input)).collect::<Vec<_>>() {
                let share = b.binary(BinaryOp::Exceeds, a, c)?;
                let own = Some(b.mul(g, share)?);
                if input == 0 { of_x = own } else { of_y = own }
            }
        }
        BinaryOp::Prelu => {
            // What is not positive takes the slope, at 0 too, as PyTorch has it.
            let negative = Activation::Clip { min: f32::NEG_INFINITY, max: 0.0 };
            if wants_x {
                let [positive, rest] = [through(b, Activation::Relu, x, g)?, through(b, negative, x, g)?];
                let sloped = b.mul(rest, y)?;
                of_x = Some(b.binary(BinaryOp::Add, positive, sloped)?);
            }
            if wants_y {
                let below = b.unary(negative, x)?;
                of_y = Some(b.mul(g, below)?);
            }
        }
        BinaryOp::Power | BinaryOp::PowerByBase | BinaryOp::PowerByExponent => {
            if wants_x {
                let slope = power_slope(b, problem.op, 0)?;
                of_x = Some(b.mul(g, slope)?);
            }
            if wants_y {
                let slope = power_slope(b, problem.op, 1)?;
                of_y = Some(b.mul(g, slope)?);
            }
        }
        // Linear in dy.
        BinaryOp::ActivationGradient => of_y = Some(g),
        BinaryOp::Exceeds
        | BinaryOp::Equal
        | BinaryOp::NotEqual
        | BinaryOp::Less
        | BinaryOp::LessOrEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterOrEqual => {}
    }
    for (input, gradient) in [of_x, of_y].into_iter().enumerate() {
        if let Some(gradient) = gradient.filter(|_| b.wants(input)) {
            let own = b.unbroadcast(gradient, input)?;
            b.give(input, own);
        }
    }
    Ok(())
}

/// The derivative by operand `of` of x^y, of y x^(y - 1) or of x^y ln x.
fn power_slope(b: &mut Builder<'_>, op: BinaryOp, of: usize) -> Result<Of> {
    let (x, y) = (Of::Input(0), Of::Input(1));
    match (op, of) {
        (BinaryOp::Power, 0) => return b.binary(BinaryOp::PowerByBase, x, y),
        (BinaryOp::Power, _) => return b.binary(BinaryOp::PowerByExponent, x, y),
        // x^y ln x ln x, and x^0 ln x is ln x.
        (BinaryOp::PowerByExponent, 1) => {
            let (slope, logarithm) = (b.binary(op, x, y)?, b.binary(op, x, Of::Constant(0.0))?);
            return b.mul(slope, logarithm);
        }
        _ => {}
    }
    let less = b.sub(y, Of::Constant(1.0))?;
    if (op, of) == (BinaryOp::PowerByBase, 0) {
        // y (y - 1) x^(y - 2)
        let slope = b.binary(op, x, less)?;
        return b.mul(slope, y);
    }
    // y x^(y - 1) ln x + x^(y - 1), of either by the other operand.
    let slope = b.binary(BinaryOp::PowerByExponent, x, less)?;
    let (scaled, power) = (b.mul(slope, y)?, b.binary(BinaryOp::Power, x, less)?);
    b.binary(BinaryOp::Add, scaled, power)
}
