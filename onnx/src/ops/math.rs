//! Elementary functions and comparisons of values of the graph: made of the ops that it has, or refused.

use crate::import::{Context, Fault};
use wgconv::Activation;
use wgconv::elementwise::{BinaryDescriptor, BinaryOp};
use wgconv::graph::{Recipe, ValueId};

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Abs,
    Neg,
    Sqrt,
    Reciprocal,
    Exp,
    Log,
    Round,
}

pub(super) fn unary(c: &mut Context<'_, '_>, op: Math, x: ValueId) -> Result<ValueId, Fault> {
    match op {
        // x where x >= 0, else -x: of a NaN a NaN.
        Math::Abs => c.emit(Recipe::Activation(Activation::LeakyRelu { alpha: -1.0 }), &[x]),
        Math::Neg => scaled(c, x, -1.0),
        Math::Sqrt => power(c, x, 0.5),
        Math::Reciprocal => {
            let one = c.scalar(1.0)?;
            c.emit(BinaryOp::Div, &[one, x])
        }
        Math::Exp | Math::Log | Math::Round => Err(Fault::new(format!("the graph has no op {op:?}"))),
    }
}

/// Unary ops by their names in ONNX.
pub(super) fn named(op: &str) -> Option<Math> {
    Some(match op {
        "Abs" => Math::Abs,
        "Neg" => Math::Neg,
        "Sqrt" => Math::Sqrt,
        "Reciprocal" => Math::Reciprocal,
        "Exp" => Math::Exp,
        "Log" => Math::Log,
        "Round" => Math::Round,
        _ => return None,
    })
}

/// x times a number.
pub(super) fn scaled(c: &mut Context<'_, '_>, x: ValueId, factor: f32) -> Result<ValueId, Fault> {
    let factor = c.scalar(factor)?;
    c.emit(BinaryOp::Mul, &[x, factor])
}

/// x plus a number.
pub(super) fn shifted(c: &mut Context<'_, '_>, x: ValueId, number: f32) -> Result<ValueId, Fault> {
    let number = c.scalar(number)?;
    c.emit(BinaryOp::Add, &[x, number])
}

/// x to the power of a number, of an x that is not negative.
pub(super) fn power(c: &mut Context<'_, '_>, x: ValueId, exponent: f32) -> Result<ValueId, Fault> {
    let exponent = c.scalar(exponent)?;
    c.emit(BinaryOp::Power, &[x, exponent])
}

/// Comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// 1 where it holds, else 0; of a NaN 0.
pub(super) fn compare(c: &mut Context<'_, '_>, op: Compare, a: ValueId, b: ValueId) -> Result<ValueId, Fault> {
    // Exceeds gives 1, 1/2 where both are equal, else 0.
    let step = |alpha, beta| Activation::HardSigmoid { alpha, beta };
    let (above, from) = (step(2.0, -1.0), step(2.0, 0.0));
    let exceeds = |activation| BinaryDescriptor { op: BinaryOp::Exceeds, activation };
    match op {
        Compare::Greater => c.emit(Recipe::Binary(exceeds(above)), &[a, b]),
        Compare::Less => c.emit(Recipe::Binary(exceeds(above)), &[b, a]),
        Compare::GreaterOrEqual => c.emit(Recipe::Binary(exceeds(from)), &[a, b]),
        Compare::LessOrEqual => c.emit(Recipe::Binary(exceeds(from)), &[b, a]),
        Compare::Equal => {
            let sides = [c.emit(Recipe::Binary(exceeds(from)), &[a, b])?, c.emit(Recipe::Binary(exceeds(from)), &[b, a])?];
            c.emit(BinaryOp::Mul, &sides)
        }
    }
}

/// a where the condition is not 0, else b.
pub(super) fn choose(_c: &mut Context<'_, '_>, _condition: ValueId, _a: ValueId, _b: ValueId) -> Result<ValueId, Fault> {
    Err(Fault::new("the graph has no op Where"))
}
