//! Reading and writing at indices, known or not, and the first elements of an order.

use super::Made;
use super::gather::{picked_in_few, ranged};
use crate::host::axis_of;
use crate::host::moves::{self, Range};
use crate::import::{Context, Fault, Running, Value};
use crate::tensor::{Element, product};
use wgconv::graph::{Recipe, ValueId};
use wgconv::indexed::{Indexing, ScatterDescriptor, ScatterReduction};
use wgconv::reduce::{TopKDescriptor, TopKOrder};
use wgconv::shape::MAX_RANK;

/// Indices as a value of the graph: whole numbers in f32, or what an op gave as u32.
fn indices(c: &mut Context<'_, '_>, input: usize) -> Result<Running, Fault> {
    checked(c.running(input)?)
}

fn checked(indices: Running) -> Result<Running, Fault> {
    if indices.element.is_float() || indices.element == Element::Bool {
        return Err(Fault::new(format!("indices: they are integers, not {}", indices.element)));
    }
    if indices.in_plane {
        return Err(Fault::new("indices: those of a max pool over several planes count in each plane"));
    }
    Ok(indices)
}

pub(super) fn gather<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let axis = axis_of(c.int_or("axis", 0)?, dims.len())?;
    let to: Vec<usize> = dims[..axis].iter().chain(&c.dims(1)?).chain(&dims[axis + 1..]).copied().collect();
    if let Some(known) = c.known(1) {
        if let Some(x) = c.known(0) {
            let y = moves::gather(&x.tensor, &known.tensor, axis, &mut c.importer.budget)?;
            return Ok(vec![c.made(y)]);
        }
        let list = known.tensor.as_integers().ok_or_else(|| Fault::new("indices: they are integers"))?;
        let list = moves::front_indices(list, dims[axis])?;
        let x = c.running(0)?;
        if let Some(y) = picked_in_few(c, x.id, axis, &list)? {
            return Ok(vec![Value::Running(Running::new(y, to, x.element))]);
        }
    }
    if [&dims, &c.dims(1)?, &to].iter().any(|dims| dims.len() > MAX_RANK) {
        let (x, indices) = (c.carrier(0)?, flat(c, 1)?);
        let lines = [product(&dims[..axis]), dims[axis], product(&dims[axis + 1..])];
        let x = Running { id: c.reshape(x.id, &lines)?, ..x };
        let y = c.emit(Recipe::Gather(Indexing::Slices { axis: 1 }), &[x.id, indices])?;
        return Ok(vec![Value::Running(Running::new(y, to, x.element))]);
    }
    let (x, indices) = (c.running(0)?, indices(c, 1)?);
    let y = c.emit(Recipe::Gather(Indexing::Slices { axis: axis as isize }), &[x.id, indices.id])?;
    Ok(vec![c.out(y, x.element)])
}

/// Indices one after another.
fn flat(c: &mut Context<'_, '_>, input: usize) -> Result<ValueId, Fault> {
    let indices = checked(c.carrier(input)?)?;
    c.reshape(indices.id, &[product(&indices.dims)])
}

/// x cut to the extents of the indices along all other axes.
fn cut_to(c: &mut Context<'_, '_>, x: &Running, wanted: &[usize], axis: usize) -> Result<ValueId, Fault> {
    if wanted.len() != x.dims.len() || (0..wanted.len()).any(|i| i != axis && wanted[i] > x.dims[i]) {
        return Err(Fault::new(format!("indices: {wanted:?} does not go with {:?} along axis {axis}", x.dims)));
    }
    let count = |i: usize| if i == axis { x.dims[i] } else { wanted[i] };
    let ranges: Vec<Range> = (0..wanted.len()).map(|i| Range { first: 0, count: count(i), step: 1 }).collect();
    ranged(c, x, &ranges)
}

pub(super) fn gather_elements<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (dims, of) = (c.dims(0)?, c.dims(1)?);
    let axis = axis_of(c.int_or("axis", 0)?, dims.len())?;
    // Above the graph's rank, as lines: the other axes must be alike.
    if dims.len() > MAX_RANK && of.len() == dims.len() && (0..dims.len()).all(|i| i == axis || dims[i] == of[i]) {
        let (x, indices) = (c.carrier(0)?, checked(c.carrier(1)?)?);
        let lines = |count: usize| [product(&dims[..axis]), count, product(&dims[axis + 1..])];
        let (lines, to) = (c.reshape(x.id, &lines(dims[axis]))?, c.reshape(indices.id, &lines(of[axis]))?);
        let y = c.emit(Recipe::Gather(Indexing::Elements { axis: 1 }), &[lines, to])?;
        return Ok(vec![Value::Running(Running::new(y, of, x.element))]);
    }
    let (x, indices) = (c.running(0)?, indices(c, 1)?);
    let cut = cut_to(c, &x, &indices.dims, axis)?;
    let y = c.emit(Recipe::Gather(Indexing::Elements { axis: axis as isize }), &[cut, indices.id])?;
    Ok(vec![c.out(y, x.element)])
}

fn batch_axes(c: &mut Context<'_, '_>) -> Result<usize, Fault> {
    let batch = c.int_or("batch_dims", 0)?;
    usize::try_from(batch).map_err(|_| Fault::new(format!("attribute batch_dims: it is {batch}")))
}

pub(super) fn gather_nd<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, indices, batch_axes) = (c.running(0)?, indices(c, 1)?, batch_axes(c)?);
    let y = c.emit(Recipe::Gather(Indexing::Places { batch_axes }), &[x.id, indices.id])?;
    Ok(vec![c.out(y, x.element)])
}

/// The reduction; what adds and multiplies is of floats.
fn reduction(c: &mut Context<'_, '_>, x: &Running) -> Result<ScatterReduction, Fault> {
    let reduction = match c.string_or("reduction", "none")? {
        "none" => ScatterReduction::Last,
        "add" => ScatterReduction::Add,
        "mul" => ScatterReduction::Mul,
        "max" => ScatterReduction::Max,
        "min" => ScatterReduction::Min,
        other => return Err(Fault::new(format!("attribute reduction: {other} is none of none, add, mul, max and min"))),
    };
    if matches!(reduction, ScatterReduction::Add | ScatterReduction::Mul) {
        c.check_float(0, x)?;
    }
    Ok(reduction)
}

pub(super) fn scatter_elements<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, indices, updates) = (c.running(0)?, indices(c, 1)?, c.running(2)?);
    let axis = axis_of(c.int_or("axis", 0)?, x.dims.len())?;
    let descriptor = ScatterDescriptor { indexing: Indexing::Elements { axis: axis as isize }, reduction: reduction(c, &x)? };
    let cut = cut_to(c, &x, &indices.dims, axis)?;
    let mut y = c.emit(Recipe::Scatter(descriptor), &[cut, indices.id, updates.id])?;
    // What was cut off stays as it is, axis after axis.
    let mut have: Vec<usize> = (0..x.dims.len()).map(|i| if i == axis { x.dims[i] } else { indices.dims[i] }).collect();
    for i in 0..have.len() {
        if have[i] < x.dims[i] {
            let of = |own: usize| Range {
                first: if own == i { have[i] } else { 0 },
                count: if own == i { x.dims[i] - have[i] } else { have[own] },
                step: 1,
            };
            let rest = ranged(c, &x, &(0..have.len()).map(of).collect::<Vec<_>>())?;
            y = c.emit(Recipe::Concat { axis: i as isize }, &[y, rest])?;
            have[i] = x.dims[i];
        }
    }
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn scatter_nd<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, indices, updates) = (c.running(0)?, indices(c, 1)?, c.running(2)?);
    let descriptor = ScatterDescriptor { indexing: Indexing::Places { batch_axes: 0 }, reduction: reduction(c, &x)? };
    let y = c.emit(Recipe::Scatter(descriptor), &[x.id, indices.id, updates.id])?;
    Ok(vec![c.out(y, x.element)])
}

/// In order, whether that is asked for or not. Integers are compared as the f32 numbers that they are.
pub(super) fn top_k<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.running(0)?;
    let k = match c.int("k")? {
        Some(k) => k,
        None => c.number(1, "K")? as i64,
    };
    let k = usize::try_from(k).map_err(|_| Fault::new(format!("K is {k}: it is not below 0")))?;
    let axis = axis_of(c.int_or("axis", -1)?, x.dims.len())?;
    let order = if c.flag("largest", true)? { TopKOrder::Largest } else { TopKOrder::Smallest };
    c.ignore(&["sorted"]);
    let made = c.emit_all(Recipe::TopK(TopKDescriptor { k, axis: axis as isize, order }), &[x.id])?;
    let [values, indices] = made[..] else { return Err(Fault::new("an op of two outputs gave another number")) };
    Ok(vec![c.out(values, x.element), c.out(indices, Element::I64)])
}
