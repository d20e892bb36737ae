//! Comparisons, and what is made of their results: bool is 1 and 0 in the graph.

use super::elementwise::of_two;
use super::math::{self, Compare};
use super::Made;
use crate::host::arithmetic::{self, Two};
use crate::host::broadcast;
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::Element;
use wgconv::elementwise::BinaryOp;
use wgconv::graph::ValueId;

fn known<'m>(c: &mut Context<'_, 'm>, op: Two) -> Result<Option<Vec<Value<'m>>>, Fault> {
    match c.all_known().as_deref() {
        Some([a, b]) => {
            let y = arithmetic::two(op, &a.tensor, &b.tensor, &mut c.importer.budget)?;
            Ok(Some(vec![c.made(y)]))
        }
        _ => Ok(None),
    }
}

/// Both operands under the extents that they are broadcast to, which are the result's.
fn operands(c: &mut Context<'_, '_>) -> Result<[Running; 2], Fault> {
    let (a, b) = (c.running(0)?, c.running(1)?);
    Ok([a, b])
}

pub(super) fn compare<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (host, graph) = match c.node.op.as_str() {
        "Equal" => (Two::Equal, Compare::Equal),
        "Less" => (Two::Less, Compare::Less),
        "LessOrEqual" => (Two::LessOrEqual, Compare::LessOrEqual),
        "Greater" => (Two::Greater, Compare::Greater),
        _ => (Two::GreaterOrEqual, Compare::GreaterOrEqual),
    };
    if let Some(made) = known(c, host)? {
        return Ok(made);
    }
    let [a, b] = operands(c)?;
    let y = math::compare(c, graph, a.id, b.id)?;
    Ok(vec![Value::Running(Running::new(y, broadcast(&a.dims, &b.dims)?, Element::Bool))])
}

/// Of 1 and 0: the product, the maximum, and the sum less twice the product.
pub(super) fn combine<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let host = match c.node.op.as_str() {
        "And" => Two::And,
        "Or" => Two::Or,
        _ => Two::Xor,
    };
    if let Some(made) = known(c, host)? {
        return Ok(made);
    }
    let [a, b] = operands(c)?;
    let y = match host {
        Two::And => of_two(c, BinaryOp::Mul, &a, &b)?,
        Two::Or => of_two(c, BinaryOp::Max, &a, &b)?,
        _ => {
            let difference = of_two(c, BinaryOp::Sub, &a, &b)?;
            math::unary(c, math::Math::Abs, difference)?
        }
    };
    Ok(vec![Value::Running(Running::new(y, broadcast(&a.dims, &b.dims)?, Element::Bool))])
}

/// 1 less x, of an x that is 1 or 0.
pub(super) fn negated(c: &mut Context<'_, '_>, x: ValueId) -> Result<ValueId, Fault> {
    let one = c.scalar(1.0)?;
    c.emit(BinaryOp::Sub, &[one, x])
}

pub(super) fn not<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    if let Some([x]) = c.all_known().as_deref() {
        let y = arithmetic::each(&x.tensor, Some(|v| i64::from(v == 0)), |v| v, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.carrier(0)?;
    let y = negated(c, x.id)?;
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
