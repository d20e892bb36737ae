//! Reductions over axes, and where the largest and smallest elements stand.

use super::{Made, math};
use crate::host::arithmetic::{self, Over};
use crate::host::axis_of;
use crate::import::{Context, Fault};
use crate::tensor::{Element, Tensor};
use wgconv::Activation;
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::graph::{Recipe, ValueId};
use wgconv::reduce::{ArgmaxDescriptor, ReduceDescriptor, ReduceKind};

/// What of a node's extents is reduced.
struct Axes {
    reduced: Vec<bool>,
    keepdims: bool,
}

impl Axes {
    fn reduce(&self, c: &mut Context<'_, '_>, kind: ReduceKind, x: ValueId) -> Result<ValueId, Fault> {
        let axes: Vec<isize> = (0..self.reduced.len()).filter(|&axis| self.reduced[axis]).map(|axis| axis as isize).collect();
        c.emit(Recipe::Reduce(ReduceDescriptor::new(kind, &axes).with_keepdims(self.keepdims)), &[x])
    }
}

/// None where nothing is reduced.
fn axes(c: &mut Context<'_, '_>, rank: usize) -> Result<Option<Axes>, Fault> {
    let keepdims = c.flag("keepdims", true)?;
    let noop = c.flag("noop_with_empty_axes", false)?;
    let list = c.list("axes", 1)?.unwrap_or_default();
    if rank == 0 || (list.is_empty() && noop) {
        return Ok(None);
    }
    let mut reduced = vec![list.is_empty(); rank];
    for axis in list {
        reduced[axis_of(axis, rank)?] = true;
    }
    Ok(Some(Axes { reduced, keepdims }))
}

/// A function of each element before the reduction, and one of each result.
fn on_host(c: &mut Context<'_, '_>, op: &str, x: &Tensor<'_>, axes: Option<&Axes>) -> Result<Tensor<'static>, Fault> {
    type Each = fn(f64) -> f64;
    let same: Each = |v| v;
    let (before, kind, behind): (Each, Over, Each) = match op {
        "ReduceSum" => (same, Over::Sum, same),
        "ReduceMean" => (same, Over::Mean, same),
        "ReduceMax" => (same, Over::Max, same),
        "ReduceMin" => (same, Over::Min, same),
        "ReduceProd" => (same, Over::Prod, same),
        "ReduceL1" => (f64::abs, Over::Sum, same),
        "ReduceL2" => (|v| v * v, Over::Sum, f64::sqrt),
        "ReduceSumSquare" => (|v| v * v, Over::Sum, same),
        "ReduceLogSum" => (same, Over::Sum, f64::ln),
        _ => (f64::exp, Over::Sum, f64::ln),
    };
    let budget = &mut c.importer.budget;
    let integer: Option<fn(i64) -> i64> = match op {
        "ReduceL1" => Some(i64::wrapping_abs),
        "ReduceSumSquare" => Some(|v| v.wrapping_mul(v)),
        "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" => None,
        _ => Some(|v| v),
    };
    let x = arithmetic::each(x, integer, before, budget)?;
    let sums = match axes {
        Some(axes) => arithmetic::reduce(kind, &x, &axes.reduced, axes.keepdims, budget)?,
        None => x,
    };
    arithmetic::each(&sums, Some(|v| v), behind, budget)
}

pub(super) fn reduce<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let op = c.node.op.as_str();
    let axes = axes(c, c.dims(0)?.len())?;
    if let Some(known) = c.known(0) {
        let y = on_host(c, op, &known.tensor, axes.as_ref())?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.running(0)?;
    // The maximum and minimum of what f32 holds exactly are exact too.
    if !matches!(op, "ReduceMax" | "ReduceMin") {
        c.check_float(0, &x)?;
    }
    let axes = axes.unwrap_or(Axes { reduced: vec![false; x.dims.len()], keepdims: true });
    let is_nothing = !axes.reduced.contains(&true);
    let over = |c: &mut Context<'_, 'm>, kind, x| if is_nothing { Ok(x) } else { axes.reduce(c, kind, x) };
    let y = match op {
        "ReduceSum" => over(c, ReduceKind::Sum, x.id)?,
        "ReduceMean" => over(c, ReduceKind::Mean, x.id)?,
        "ReduceMax" => over(c, ReduceKind::Max, x.id)?,
        "ReduceMin" => over(c, ReduceKind::Min, x.id)?,
        "ReduceProd" => over(c, ReduceKind::Prod, x.id)?,
        "ReduceL1" => {
            let absolute = math::unary(c, UnaryOp::Abs, x.id)?;
            over(c, ReduceKind::Sum, absolute)?
        }
        "ReduceL2" | "ReduceSumSquare" => {
            let square = c.emit(BinaryOp::Mul, &[x.id, x.id])?;
            let sum = over(c, ReduceKind::Sum, square)?;
            if op == "ReduceL2" { math::unary(c, UnaryOp::Sqrt, sum)? } else { sum }
        }
        "ReduceLogSum" => {
            let sum = over(c, ReduceKind::Sum, x.id)?;
            math::unary(c, UnaryOp::Log, sum)?
        }
        "ReduceLogSumExp" => {
            // Less the largest element no power leaves f32. An infinite one is not taken off: infinity less infinity is no number.
            let axes = Axes { reduced: axes.reduced.clone(), keepdims: true };
            let most = if is_nothing { x.id } else { axes.reduce(c, ReduceKind::Max, x.id)? };
            let most = c.emit(Recipe::Activation(Activation::Clip { min: f32::MIN, max: f32::MAX }), &[most])?;
            let rest = c.emit(BinaryOp::Sub, &[x.id, most])?;
            let powers = math::unary(c, UnaryOp::Exp, rest)?;
            let sum = over(c, ReduceKind::Sum, powers)?;
            let logarithm = math::unary(c, UnaryOp::Log, sum)?;
            let extents = c.extents(logarithm);
            let most = c.reshape(most, &extents)?;
            c.emit(BinaryOp::Add, &[logarithm, most])?
        }
        other => return Err(Fault::new(format!("the graph has no {other}"))),
    };
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn arg<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.running(0)?;
    let axis = axis_of(c.int_or("axis", 0)?, x.dims.len())?;
    let (keepdims, select_last) = (c.flag("keepdims", true)?, c.flag("select_last_index", false)?);
    let of = if c.node.op == "ArgMin" { math::unary(c, UnaryOp::Neg, x.id)? } else { x.id };
    let y = c.emit(Recipe::Argmax(ArgmaxDescriptor { axis: Some(axis as isize), keepdims, select_last }), &[of])?;
    Ok(vec![c.out(y, Element::I64)])
}
