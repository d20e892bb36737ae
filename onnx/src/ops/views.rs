//! The same elements under other extents or in another order.

use super::Made;
use crate::host::{axis_of, broadcast, moves};
use crate::import::{Context, Fault, Known, Running, Value};
use crate::tensor::{Element, Tensor, count, dims, product};
use std::rc::Rc;
use wgconv::elementwise::BinaryOp;
use wgconv::graph::{Recipe, ValueId};
use wgconv::shape::MAX_RANK;

pub(super) fn identity<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    Ok(vec![c.value(0)?.clone()])
}

/// In inference it does nothing; its mask is all true.
pub(super) fn dropout<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    c.ignore(&["seed", "ratio", "is_test"]);
    if c.has(2) && c.integers(2, "training_mode")?.first().is_some_and(|&v| v != 0) {
        let ratio = if c.has(1) { c.number(1, "ratio")? } else { 0.5 };
        if ratio != 0.0 {
            return Err(Fault::new("training_mode: a network that learns is not imported"));
        }
    }
    let mut outputs = vec![c.value(0)?.clone()];
    if c.wants(1) {
        // Before opset 10 the mask had x's type.
        let element = if c.opset() < 10 { c.element(0)? } else { Element::Bool };
        let dims = c.dims(0)?;
        let one = if element.is_float() {
            crate::host::arithmetic::floats(element, vec![], std::iter::once(1.0))
        } else {
            Tensor::integers(element, &[], vec![1])?
        };
        let mask = moves::expand(&one, &dims, &mut c.importer.budget)?;
        outputs.push(c.made(mask));
    }
    Ok(outputs)
}

/// The input under other extents.
fn viewed<'m>(c: &mut Context<'_, 'm>, to: Vec<usize>) -> Made<'m> {
    let from = c.dims(0)?;
    if count(&from) != count(&to) {
        return Err(Fault::new(format!("{from:?} cannot become {to:?}: the counts differ")));
    }
    Ok(vec![match c.value(0)? {
        Value::Known(known) => Value::Known(Rc::new(Known { tensor: known.tensor.with_dims(to), name: known.name })),
        Value::Running(running) => Value::Running(running.viewed(to)),
        Value::Refused => Value::Refused,
    }])
}

pub(super) fn reshape<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let from = c.dims(0)?;
    let shape = c.list("shape", 1)?.ok_or_else(|| Fault::new("shape: it is missing"))?;
    let keeps_zero = c.flag("allowzero", false)?;
    let mut to = Vec::with_capacity(shape.len());
    let mut open = None;
    for (axis, &extent) in shape.iter().enumerate() {
        to.push(match extent {
            0 if !keeps_zero => {
                *from.get(axis).ok_or_else(|| Fault::new(format!("shape: 0 at {axis} keeps an extent, and x has the rank {}", from.len())))?
            }
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            -1 => return Err(Fault::new("shape: two extents are -1")),
            extent => usize::try_from(extent).map_err(|_| Fault::new(format!("shape: an extent is {extent}")))?,
        });
    }
    if let Some(axis) = open {
        let (all, others) = (count(&from).unwrap_or(0), count(&to).ok_or_else(|| Fault::new(format!("shape: {shape:?} is past counting")))?);
        if others == 0 || !all.is_multiple_of(others) {
            return Err(Fault::new(format!("shape: the {all} elements of {from:?} cannot become {shape:?}")));
        }
        to[axis] = all / others;
    }
    viewed(c, to)
}

pub(super) fn flatten<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let from = c.dims(0)?;
    let axis = c.int_or("axis", 1)?;
    let axis = if axis == from.len() as i64 { from.len() } else { axis_of(axis, from.len())? };
    viewed(c, vec![product(&from[..axis]), product(&from[axis..])])
}

pub(super) fn squeeze<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let from = c.dims(0)?;
    let gone: Vec<usize> = match c.list("axes", 1)? {
        Some(axes) => axes.into_iter().map(|axis| axis_of(axis, from.len())).collect::<Result<_, _>>()?,
        None => (0..from.len()).filter(|&axis| from[axis] == 1).collect(),
    };
    if let Some(axis) = gone.iter().find(|&&axis| from[axis] != 1) {
        return Err(Fault::new(format!("axes: the extent of axis {axis} is {}, and only 1 can go", from[*axis])));
    }
    viewed(c, (0..from.len()).filter(|axis| !gone.contains(axis)).map(|axis| from[axis]).collect())
}

pub(super) fn unsqueeze<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let from = c.dims(0)?;
    let axes = c.list("axes", 1)?.ok_or_else(|| Fault::new("axes: they are missing"))?;
    let rank = from.len() + axes.len();
    let mut is_new = vec![false; rank];
    for axis in axes {
        if std::mem::replace(&mut is_new[axis_of(axis, rank)?], true) {
            return Err(Fault::new(format!("axes: {axis} stands there twice")));
        }
    }
    let mut old = from.into_iter();
    viewed(c, is_new.into_iter().map(|new| if new { 1 } else { old.next().unwrap_or(1) }).collect())
}

/// Axes of extent 1 left out, and those joined that stay neighbours: an order of few axes that moves the same elements.
fn simplified(dims: &[usize], perm: &[usize]) -> (Vec<usize>, Vec<usize>) {
    // Runs of axes that are neighbours before and after, in their order after.
    let mut runs: Vec<(usize, usize)> = vec![];
    for &axis in perm.iter().filter(|&&axis| dims[axis] != 1) {
        match runs.last_mut() {
            Some((_, last)) if (*last + 1..axis).all(|between| dims[between] == 1) && axis > *last => *last = axis,
            _ => runs.push((axis, axis)),
        }
    }
    let mut before: Vec<usize> = (0..runs.len()).collect();
    before.sort_by_key(|&run| runs[run].0);
    let extents = before.iter().map(|&run| product(&dims[runs[run].0..=runs[run].1])).collect();
    let order = (0..runs.len()).map(|run| before.iter().position(|&other| other == run).unwrap_or(run)).collect();
    (extents, order)
}

pub(super) fn transpose<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let from = c.dims(0)?;
    let perm: Vec<usize> = match c.ints("perm")? {
        Some(perm) => perm.iter().map(|&axis| axis_of(axis, from.len())).collect::<Result<_, _>>()?,
        None => (0..from.len()).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..from.len()) {
        return Err(Fault::new(format!("attribute perm: {perm:?} is no order of {} axes", from.len())));
    }
    if let Some(known) = c.known(0) {
        let y = moves::transpose(&known.tensor, &perm, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.carrier(0)?;
    let to: Vec<usize> = perm.iter().map(|&axis| from[axis]).collect();
    let (extents, order) = simplified(&from, &perm);
    if order.is_sorted() {
        return Ok(vec![Value::Running(x.viewed(to))]);
    }
    if from.len() <= MAX_RANK {
        let id = c.importer.shaped(&x)?;
        let y = c.emit(Recipe::Transpose { perm }, &[id])?;
        return Ok(vec![c.out(y, x.element)]);
    }
    if order.len() > MAX_RANK {
        return Err(Fault::new(format!(
            "{from:?} in the order {perm:?} moves {} axes, and the graph's tensors have at most {MAX_RANK}",
            order.len()
        )));
    }
    let id = c.reshape(x.id, &extents)?;
    let y = c.emit(Recipe::Transpose { perm: order }, &[id])?;
    Ok(vec![Value::Running(Running { id: y, ..x.viewed(to) })])
}

/// x as \[outer, inner\], each row of it `times` after another: \[outer, times, inner\]. A product with 1 changes no number, not even a NaN's being one.
fn repeated(c: &mut Context<'_, '_>, x: ValueId, [outer, times, inner]: [usize; 3]) -> Result<ValueId, Fault> {
    c.importer.budget.spend(&[times])?;
    let rows = c.reshape(x, &[outer, 1, inner])?;
    let ones = c.constant(&[1, times, 1], &vec![1.0; times])?;
    c.emit(BinaryOp::Mul, &[rows, ones])
}

pub(super) fn expand<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let wanted = dims(&c.integers(1, "shape")?).map_err(Fault::new)?;
    let from = c.dims(0)?;
    let to = broadcast(&from, &wanted)?;
    if let Some(known) = c.known(0) {
        let y = moves::expand(&known.tensor, &to, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let x = c.carrier(0)?;
    let mut now = vec![1; to.len() - from.len()];
    now.extend(from);
    let mut id = x.id;
    for axis in 0..to.len() {
        if now[axis] != to[axis] {
            id = repeated(c, id, [product(&now[..axis]), to[axis], product(&now[axis + 1..])])?;
            now[axis] = to[axis];
        }
    }
    Ok(vec![Value::Running(Running { id, ..x.viewed(to) })])
}

pub(super) fn tile<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let from = c.dims(0)?;
    let repeats = dims(&c.integers(1, "repeats")?).map_err(Fault::new)?;
    if repeats.len() != from.len() {
        return Err(Fault::new(format!("repeats: it has {} entries, and x has the rank {}", repeats.len(), from.len())));
    }
    let times = |(&extent, &times): (&usize, &usize)| extent.checked_mul(times).ok_or_else(|| Fault::new("repeats: it is past counting"));
    let to: Vec<usize> = from.iter().zip(&repeats).map(times).collect::<Result<_, _>>()?;
    if let Some(known) = c.known(0) {
        // Each axis as two, the first of them repeated.
        let split = from.iter().flat_map(|&extent| [1, extent]).collect();
        let wide: Vec<usize> = repeats.iter().zip(&from).flat_map(|(&times, &extent)| [times, extent]).collect();
        let y = moves::expand(&known.tensor.with_dims(split), &wide, &mut c.importer.budget)?.with_dims(to);
        return Ok(vec![c.made(y)]);
    }
    if to.contains(&0) {
        return Err(Fault::new(format!("repeats: nothing is left of {from:?}")));
    }
    let x = c.carrier(0)?;
    let (mut now, mut id) = (from, x.id);
    for axis in 0..to.len() {
        if repeats[axis] > 1 {
            id = repeated(c, id, [product(&now[..axis]), repeats[axis], product(&now[axis..])])?;
            now[axis] = to[axis];
        }
    }
    Ok(vec![Value::Running(Running { id, ..x.viewed(to) })])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn orders_of_many_axes_become_orders_of_few() {
        assert_eq!(simplified(&[2, 3, 4], &[0, 1, 2]), (vec![24], vec![0]));
        assert_eq!(simplified(&[2, 1, 4], &[1, 0, 2]), (vec![8], vec![0]));
        // What exporters write for PixelShuffle: N C r r H W to N C H r W r.
        assert_eq!(simplified(&[1, 3, 2, 2, 5, 7], &[0, 1, 4, 2, 5, 3]), (vec![3, 2, 2, 5, 7], vec![0, 3, 1, 4, 2]));
        assert_eq!(simplified(&[2, 3, 2, 2, 5, 7], &[0, 1, 4, 2, 5, 3]), (vec![6, 2, 2, 5, 7], vec![0, 3, 1, 4, 2]));
        assert_eq!(simplified(&[2, 3, 4, 5], &[2, 3, 0, 1]), (vec![6, 20], vec![1, 0]));
        assert_eq!(simplified(&[1, 1], &[1, 0]), (vec![], vec![]));
    }
}
