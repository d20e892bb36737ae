//! Comparisons, and what is made of their results: bool is 1 and 0 in the graph.

use super::elementwise::of_two;
use super::{Made, math};
use crate::host::arithmetic::{self, Two};
use crate::host::broadcast;
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::Element;
use wgconv::elementwise::{BinaryOp, UnaryOp};

fn known<'m>(c: &mut Context<'_, 'm>, op: Two) -> Result<Option<Vec<Value<'m>>>, Fault> {
    match c.all_known().as_deref() {
        Some([a, b]) => {
            let y = arithmetic::two(op, &a.tensor, &b.tensor, &mut c.importer.budget)?;
            Ok(Some(vec![c.made(y)]))
        }
        _ => Ok(None),
    }
}

pub(super) fn compare<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (host, graph) = match c.node.op.as_str() {
        "Equal" => (Two::Equal, BinaryOp::Equal),
        "Less" => (Two::Less, BinaryOp::Less),
        "LessOrEqual" => (Two::LessOrEqual, BinaryOp::LessOrEqual),
        "Greater" => (Two::Greater, BinaryOp::Greater),
        _ => (Two::GreaterOrEqual, BinaryOp::GreaterOrEqual),
    };
    if let Some(made) = known(c, host)? {
        return Ok(made);
    }
    let (a, b) = (c.carrier(0)?, c.carrier(1)?);
    let y = of_two(c, graph, &a, &b)?;
    Ok(vec![Value::Running(Running::new(y, broadcast(&a.dims, &b.dims)?, Element::Bool))])
}

/// Of 1 and 0: the product, the maximum, and whether they differ.
pub(super) fn combine<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (host, graph) = match c.node.op.as_str() {
        "And" => (Two::And, BinaryOp::Mul),
        "Or" => (Two::Or, BinaryOp::Max),
        _ => (Two::Xor, BinaryOp::NotEqual),
    };
    if let Some(made) = known(c, host)? {
        return Ok(made);
    }
    let (a, b) = (c.carrier(0)?, c.carrier(1)?);
    let y = of_two(c, graph, &a, &b)?;
    Ok(vec![Value::Running(Running::new(y, broadcast(&a.dims, &b.dims)?, Element::Bool))])
}

pub(super) fn not<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    if let Some([x]) = c.all_known().as_deref() {
        let y = arithmetic::each(&x.tensor, Some(|v| i64::from(v == 0)), |v| v, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.carrier(0)?;
    let zero = c.scalar(0.0)?;
    let y = c.emit(BinaryOp::Equal, &[x.id, zero])?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), Element::Bool))])
}

pub(super) fn choose<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    if let Some([condition, a, b]) = c.all_known().as_deref() {
        let y = arithmetic::choose(&condition.tensor, &a.tensor, &b.tensor, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let [condition, a, b] = [c.running(0)?, c.running(1)?, c.running(2)?];
    let dims = broadcast(&broadcast(&condition.dims, &a.dims)?, &b.dims)?;
    let y = math::choose(c, condition.id, a.id, b.id)?;
    Ok(vec![Value::Running(Running::new(y, dims, a.element))])
}

/// A NaN is what does not equal itself.
pub(super) fn is_nan<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.carrier(0)?;
    let y = c.emit(BinaryOp::NotEqual, &[x.id, x.id])?;
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), Element::Bool))])
}

pub(super) fn is_inf<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.carrier(0)?;
    let (positive, negative) = (c.flag("detect_positive", true)?, c.flag("detect_negative", true)?);
    let y = match (positive, negative) {
        (true, true) => {
            let absolute = math::unary(c, UnaryOp::Abs, x.id)?;
            let infinity = c.scalar(f32::INFINITY)?;
            c.emit(BinaryOp::Equal, &[absolute, infinity])?
        }
        (true, false) | (false, true) => {
            let infinity = c.scalar(if positive { f32::INFINITY } else { f32::NEG_INFINITY })?;
            c.emit(BinaryOp::Equal, &[x.id, infinity])?
        }
        // Nothing is less than itself.
        (false, false) => c.emit(BinaryOp::Less, &[x.id, x.id])?,
    };
    Ok(vec![Value::Running(Running::new(y, x.dims.clone(), Element::Bool))])
}
