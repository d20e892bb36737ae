//! Elementary functions, comparisons and choices of values of the graph, by their names in ONNX.

use crate::import::{Context, Fault};
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::graph::{Recipe, ValueId};

/// A function of one number.
pub(super) fn unary(c: &mut Context<'_, '_>, op: UnaryOp, x: ValueId) -> Result<ValueId, Fault> {
    c.emit(Recipe::Unary(op.into()), &[x])
}

/// Unary ops by their names in ONNX.
pub(super) fn named(op: &str) -> Option<UnaryOp> {
    Some(match op {
        "Abs" => UnaryOp::Abs,
        "Neg" => UnaryOp::Neg,
        "Sign" => UnaryOp::Sign,
        "Floor" => UnaryOp::Floor,
        "Ceil" => UnaryOp::Ceil,
        "Round" => UnaryOp::Round,
        "Sqrt" => UnaryOp::Sqrt,
        "Reciprocal" => UnaryOp::Reciprocal,
        "Exp" => UnaryOp::Exp,
        "Log" => UnaryOp::Log,
        "Erf" => UnaryOp::Erf,
        "Sin" => UnaryOp::Sin,
        "Cos" => UnaryOp::Cos,
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

/// x to the power of a number.
pub(super) fn power(c: &mut Context<'_, '_>, x: ValueId, exponent: f32) -> Result<ValueId, Fault> {
    let exponent = c.scalar(exponent)?;
    c.emit(BinaryOp::Power, &[x, exponent])
}

/// a where the condition is not 0, else b.
pub(super) fn choose(c: &mut Context<'_, '_>, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId, Fault> {
    c.emit(Recipe::Where, &[condition, a, b])
}
