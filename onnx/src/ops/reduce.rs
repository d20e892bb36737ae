//! Reductions over axes, and where the largest and smallest elements stand.

use super::math::{self, Math};
use super::Made;
use crate::host::arithmetic::{self, Over};
use crate::host::axis_of;
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::Element;
use wgconv::elementwise::BinaryOp;
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

pub(super) fn reduce<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let op = c.node.op.as_str();
    let axes = axes(c, c.dims(0)?.len())?;
    let on_host = match op {
        "ReduceSum" => Some(Over::Sum),
        "ReduceMean" => Some(Over::Mean),
        "ReduceMax" => Some(Over::Max),
        "ReduceMin" => Some(Over::Min),
        "ReduceProd" => Some(Over::Prod),
        _ => None,
    };
    if let (Some(known), Some(kind)) = (c.known(0), on_host) {
        let x = &known.tensor;
        let y = match &axes {
            Some(axes) => arithmetic::reduce(kind, x, &axes.reduced, axes.keepdims, &mut c.importer.budget)?,
            None => x.clone().into_owned(),
        };
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
        "ReduceMin" => {
            let negative = math::unary(c, Math::Neg, x.id)?;
            let most = over(c, ReduceKind::Max, negative)?;
            math::unary(c, Math::Neg, most)?
        }
        "ReduceL1" => {
            let absolute = math::unary(c, Math::Abs, x.id)?;
            over(c, ReduceKind::Sum, absolute)?
        }
        "ReduceL2" | "ReduceSumSquare" => {
            let square = c.emit(BinaryOp::Mul, &[x.id, x.id])?;
            let sum = over(c, ReduceKind::Sum, square)?;
            if op == "ReduceL2" { math::unary(c, Math::Sqrt, sum)? } else { sum }
        }
        "ReduceLogSum" => {
            let sum = over(c, ReduceKind::Sum, x.id)?;
            math::unary(c, Math::Log, sum)?
        }
        "ReduceLogSumExp" => {
            let power = math::unary(c, Math::Exp, x.id)?;
            let sum = over(c, ReduceKind::Sum, power)?;
            math::unary(c, Math::Log, sum)?
        }
        other => return Err(Fault::new(format!("the graph has no {other}"))),
    };
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn arg<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.running(0)?;
    let axis = axis_of(c.int_or("axis", 0)?, x.dims.len())?;
    let (keepdims, select_last) = (c.flag("keepdims", true)?, c.flag("select_last_index", false)?);
    let of = if c.node.op == "ArgMin" { math::unary(c, Math::Neg, x.id)? } else { x.id };
    let y = c.emit(Recipe::Argmax(ArgmaxDescriptor { axis: Some(axis as isize), keepdims, select_last }), &[of])?;
    Ok(vec![c.out(y, Element::I64)])
}

/// The first alone: its number and its place.
pub(super) fn top_k<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.floating(0)?;
    let k = match c.int("k")? {
        Some(k) => k,
        None => c.number(1, "K")? as i64,
    };
    let axis = axis_of(c.int_or("axis", -1)?, x.dims.len())?;
    let largest = c.flag("largest", true)?;
    c.ignore(&["sorted"]);
    if k != 1 {
        return Err(Fault::new(format!("K is {k}: the graph has no op that sorts, and only the first is found")));
    }
    let of = if largest { x.id } else { math::unary(c, Math::Neg, x.id)? };
    let most = c.emit(Recipe::Reduce(ReduceDescriptor::max(&[axis as isize]).with_keepdims(true)), &[of])?;
    let most = if largest { most } else { math::unary(c, Math::Neg, most)? };
    let place = c.emit(Recipe::Argmax(ArgmaxDescriptor { axis: Some(axis as isize), keepdims: true, select_last: false }), &[of])?;
    Ok(vec![c.out(most, x.element), Value::Running(Running::new(place, c.extents(place), Element::I64))])
}
