//! Tensors cut, joined and padded, and channels as blocks of positions.

use super::Made;
use crate::host::arithmetic::{floats, integers};
use crate::host::axis_of;
use crate::host::moves::{self, Range};
use crate::import::{Context, Fault, Running, Value};
use wgconv::graph::{Recipe, ValueId};
use wgconv::transform::{DepthToSpaceDescriptor, DepthToSpaceMode, PadDescriptor, PadMode, SliceDescriptor};

/// Most slices that an op is made of.
const MAX_PIECES: usize = 1024;

pub(super) fn concat<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let rank = c.dims(0)?.len();
    let axis = axis_of(c.int_or("axis", 1)?, rank)?;
    if let Some(known) = c.all_known() {
        let tensors: Vec<_> = known.iter().map(|known| &known.tensor).collect();
        let y = moves::concat(&tensors, axis, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    let (mut parts, element) = (vec![], c.element(0)?);
    for input in 0..c.count() {
        if c.element(input)? != element {
            return Err(Fault::new(format!("its inputs are of {element} and {}, and they must be of one type", c.element(input)?)));
        }
        // Nothing joins as nothing.
        if !c.dims(input)?.contains(&0) {
            parts.push(c.running(input)?);
        }
    }
    if let [one] = &parts[..] {
        return Ok(vec![Value::Running(one.clone())]);
    }
    let ids: Vec<ValueId> = parts.iter().map(|part| part.id).collect();
    let y = c.emit(Recipe::Concat { axis: axis as isize }, &ids)?;
    Ok(vec![c.out(y, element)])
}

/// A range of one axis of a value of the graph.
pub(super) fn cut(c: &mut Context<'_, '_>, x: ValueId, axis: usize, range: Range) -> Result<ValueId, Fault> {
    let first = range.first as i64;
    let end = first.saturating_add((range.count as i64).saturating_mul(range.step));
    // Backwards past the front there is no negative place: that would count from the end.
    let end = if end < 0 { isize::MIN } else { end as isize };
    let descriptor = SliceDescriptor { starts: vec![first as isize], ends: vec![end], axes: vec![axis as isize], steps: vec![range.step as isize] };
    c.emit(Recipe::Slice(descriptor), &[x])
}

/// What has no elements is known.
fn nothing<'m>(c: &Context<'_, 'm>, dims: &[usize], axis: usize) -> Result<Value<'m>, Fault> {
    let element = c.element(0)?;
    let dims: Vec<usize> = dims.iter().enumerate().map(|(i, &extent)| if i == axis { 0 } else { extent }).collect();
    Ok(c.made(if element.is_float() { floats(element, dims, std::iter::empty()) } else { integers(element, dims, std::iter::empty()) }))
}

/// The parts of an axis, of these extents one after another.
fn parts<'m>(c: &mut Context<'_, 'm>, axis: usize, extents: &[usize]) -> Made<'m> {
    if extents.len() > MAX_PIECES {
        return Err(Fault::new(format!("it has {} parts, and at most {MAX_PIECES} are made", extents.len())));
    }
    let dims = c.dims(0)?;
    let mut made = Vec::with_capacity(extents.len());
    let mut first = 0;
    for (output, &count) in extents.iter().enumerate() {
        let range = Range { first, count, step: 1 };
        first += count;
        if let Some(known) = c.known(0) {
            let mut ranges: Vec<Range> = dims.iter().map(|&count| Range { first: 0, count, step: 1 }).collect();
            ranges[axis] = range;
            let part = moves::slice(&known.tensor, &ranges, &mut c.importer.budget)?;
            made.push(c.made(part));
        } else if !c.wants(output) {
            made.push(Value::Refused);
        } else if count == 0 {
            let empty = nothing(c, &dims, axis)?;
            made.push(empty);
        } else {
            let x = c.running(0)?;
            let part = cut(c, x.id, axis, range)?;
            made.push(c.out(part, x.element));
        }
    }
    Ok(made)
}

pub(super) fn split<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let axis = axis_of(c.int_or("axis", 0)?, dims.len())?;
    let extent = dims[axis];
    let extents: Vec<usize> = match (c.list("split", 1)?, c.int("num_outputs")?) {
        (Some(list), _) => crate::tensor::dims(&list).map_err(Fault::new)?,
        (None, number) => {
            let outputs = c.node.outputs.len();
            let number = number.map_or(Ok(outputs), |n| usize::try_from(n).map_err(|_| Fault::new(format!("attribute num_outputs: it is {n}"))))?;
            if number == 0 || number > MAX_PIECES {
                return Err(Fault::new(format!("it has {number} parts, and 1 to {MAX_PIECES} are made")));
            }
            // Parts of one extent, the last of what is left.
            let each = extent.div_ceil(number);
            (0..number).map(|i| each.min(extent.saturating_sub(i * each))).collect()
        }
    };
    let sum = extents.iter().try_fold(0usize, |sum, &extent| sum.checked_add(extent));
    if sum != Some(extent) {
        return Err(Fault::new(format!("split: {extents:?} does not make the extent {extent} of axis {axis}")));
    }
    parts(c, axis, &extents)
}

pub(super) fn slice<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let starts = c.list("starts", 1)?.ok_or_else(|| Fault::new("starts: they are missing"))?;
    let ends = c.list("ends", 2)?.ok_or_else(|| Fault::new("ends: they are missing"))?;
    let axes = c.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if c.has(4) { c.integers(4, "steps")? } else { vec![1; starts.len()] };
    if [&ends, &axes, &steps].iter().any(|list| list.len() != starts.len()) {
        return Err(Fault::new(format!(
            "starts, ends, axes and steps are of {}, {}, {} and {} entries",
            starts.len(),
            ends.len(),
            axes.len(),
            steps.len()
        )));
    }
    let mut ranges: Vec<Range> = dims.iter().map(|&count| Range { first: 0, count, step: 1 }).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, dims.len())?;
        ranges[axis] = Range::new(dims[axis], starts[i], ends[i], steps[i])?;
    }
    if let Some(known) = c.known(0) {
        let y = moves::slice(&known.tensor, &ranges, &mut c.importer.budget)?;
        return Ok(vec![c.made(y)]);
    }
    if let Some(axis) = ranges.iter().position(|range| range.count == 0) {
        let to: Vec<usize> = ranges.iter().map(|range| range.count).collect();
        return Ok(vec![nothing(c, &to, axis)?]);
    }
    let x = c.running(0)?;
    let y = ranged(c, &x, &ranges)?;
    Ok(vec![c.out(y, x.element)])
}

/// Ranges of all axes of a value of the graph.
pub(super) fn ranged(c: &mut Context<'_, '_>, x: &Running, ranges: &[Range]) -> Result<ValueId, Fault> {
    let is_whole = |(range, &extent): (&Range, &usize)| *range == (Range { first: 0, count: extent, step: 1 });
    if let Some(axis) = ranges.iter().position(|range| range.count == 0) {
        return Err(Fault::new(format!("nothing is left of axis {axis}, and a graph has no tensors without elements")));
    }
    if ranges.iter().zip(&x.dims).all(is_whole) {
        return Ok(x.id);
    }
    let mut descriptor = SliceDescriptor::default();
    for (axis, range) in ranges.iter().enumerate().filter(|&(axis, range)| !is_whole((range, &x.dims[axis]))) {
        let end = (range.first as i64).saturating_add((range.count as i64).saturating_mul(range.step));
        descriptor.starts.push(range.first as isize);
        descriptor.ends.push(if end < 0 { isize::MIN } else { end as isize });
        descriptor.axes.push(axis as isize);
        descriptor.steps.push(range.step as isize);
    }
    c.emit(Recipe::Slice(descriptor), &[x.id])
}

/// Runs of indices that a slice takes.
fn runs(indices: &[usize]) -> Vec<Range> {
    let mut runs: Vec<Range> = vec![];
    for &index in indices {
        match runs.last_mut() {
            Some(run) if run.count == 1 && index != run.first => *run = Range { count: 2, step: index as i64 - run.first as i64, ..*run },
            Some(run) if run.count > 1 && run.first as i64 + run.count as i64 * run.step == index as i64 => run.count += 1,
            _ => runs.push(Range { first: index, count: 1, step: 1 }),
        }
    }
    runs
}

/// Most slices that stand for a gather: each is a kernel, and one that reads at indices is no more than that.
const FEW_PIECES: usize = 16;

/// As [`picked`], where slices are few.
pub(super) fn picked_in_few(c: &mut Context<'_, '_>, x: ValueId, axis: usize, indices: &[usize]) -> Result<Option<ValueId>, Fault> {
    if runs(indices).len() > FEW_PIECES { Ok(None) } else { picked(c, x, axis, indices).map(Some) }
}

/// Parts of x at known indices along an axis, as slices one after another.
pub(super) fn picked(c: &mut Context<'_, '_>, x: ValueId, axis: usize, indices: &[usize]) -> Result<ValueId, Fault> {
    let runs = runs(indices);
    if runs.len() > MAX_PIECES {
        return Err(Fault::new(format!("its indices are {} runs, and at most {MAX_PIECES} are made", runs.len())));
    }
    let parts = runs.into_iter().map(|run| cut(c, x, axis, run)).collect::<Result<Vec<_>, _>>()?;
    match parts[..] {
        [] => Err(Fault::new("it takes nothing, and a graph has no tensors without elements")),
        [one] => Ok(one),
        _ => c.emit(Recipe::Concat { axis: axis as isize }, &parts),
    }
}

pub(super) fn pad<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.running(0)?;
    let rank = x.dims.len();
    let given = c.list("pads", 1)?.ok_or_else(|| Fault::new("pads: they are missing"))?;
    let axes: Vec<usize> = match c.has(3) {
        true => c.integers(3, "axes")?.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        false => (0..rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(Fault::new(format!("pads: it has {} entries, and it must have {}", given.len(), 2 * axes.len())));
    }
    let attribute = c.float_or("value", 0.0)?;
    let value = if c.has(2) { c.number(2, "constant_value")? as f32 } else { attribute };
    let mode = match c.string_or("mode", "constant")? {
        "constant" => PadMode::Constant(value),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Replicate,
        "wrap" => PadMode::Circular,
        other => return Err(Fault::new(format!("attribute mode: {other} is none of constant, reflect, edge and wrap"))),
    };
    let mut pads = vec![0i64; 2 * rank];
    for (i, &axis) in axes.iter().enumerate() {
        pads[axis] = given[i];
        pads[rank + axis] = given[axes.len() + i];
    }
    // Negative pads cut.
    let mut ranges = vec![];
    for axis in 0..rank {
        let [before, after] = [pads[axis], pads[rank + axis]].map(|pad| usize::try_from(pad.min(0).unsigned_abs()).unwrap_or(usize::MAX));
        let count = x.dims[axis].checked_sub(before).and_then(|left| left.checked_sub(after)).unwrap_or(0);
        ranges.push(Range { first: before, count, step: 1 });
    }
    let inner = ranged(c, &x, &ranges)?;
    let pads: Vec<usize> = pads.into_iter().map(|pad| usize::try_from(pad.max(0)).unwrap_or(usize::MAX)).collect();
    let y = if pads.iter().all(|&pad| pad == 0) { inner } else { c.emit(Recipe::Pad(PadDescriptor { pads, mode }), &[inner])? };
    Ok(vec![c.out(y, x.element)])
}

/// The middle of x, or x in the middle of zeros.
pub(super) fn center_crop_pad<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let x = c.running(0)?;
    let rank = x.dims.len();
    let axes: Vec<usize> = match c.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    let shape = crate::tensor::dims(&c.integers(1, "shape")?).map_err(Fault::new)?;
    if shape.len() != axes.len() {
        return Err(Fault::new(format!("shape: it has {} entries, and it must have {}", shape.len(), axes.len())));
    }
    let (mut ranges, mut pads): (Vec<Range>, _) = (x.dims.iter().map(|&count| Range { first: 0, count, step: 1 }).collect(), vec![0; 2 * rank]);
    for (&axis, &wanted) in axes.iter().zip(&shape) {
        let extent = x.dims[axis];
        if wanted <= extent {
            ranges[axis] = Range { first: (extent - wanted) / 2, count: wanted, step: 1 };
        } else {
            pads[axis] = (wanted - extent) / 2;
            pads[rank + axis] = wanted - extent - pads[axis];
        }
    }
    let inner = ranged(c, &x, &ranges)?;
    let y =
        if pads.iter().all(|&pad| pad == 0) { inner } else { c.emit(Recipe::Pad(PadDescriptor { pads, mode: PadMode::Constant(0.0) }), &[inner])? };
    Ok(vec![c.out(y, x.element)])
}

fn blocks(c: &mut Context<'_, '_>) -> Result<DepthToSpaceDescriptor, Fault> {
    let block =
        c.int("blocksize")?.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| Fault::new("attribute blocksize: it is a positive number"))?;
    let mode = match c.string_or("mode", "DCR")? {
        "DCR" => DepthToSpaceMode::Dcr,
        "CRD" => DepthToSpaceMode::Crd,
        other => return Err(Fault::new(format!("attribute mode: {other} is neither DCR nor CRD"))),
    };
    Ok(DepthToSpaceDescriptor { block, mode })
}

pub(super) fn depth_to_space<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, descriptor) = (c.running(0)?, blocks(c)?);
    let y = c.emit(Recipe::DepthToSpace(descriptor), &[x.id])?;
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn space_to_depth<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, descriptor) = (c.running(0)?, blocks(c)?);
    let y = c.emit(Recipe::SpaceToDepth(descriptor), &[x.id])?;
    Ok(vec![c.out(y, x.element)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_become_few_slices() {
        let triples = |indices: &[usize]| runs(indices).into_iter().map(|run| (run.first, run.count, run.step)).collect::<Vec<_>>();
        assert_eq!(triples(&[3]), [(3, 1, 1)]);
        assert_eq!(triples(&[0, 1, 2, 3]), [(0, 4, 1)]);
        assert_eq!(triples(&[6, 4, 2, 0]), [(6, 4, -2)]);
        assert_eq!(triples(&[1, 1, 2]), [(1, 1, 1), (1, 2, 1)]);
        assert_eq!(triples(&[0, 1, 5, 6]), [(0, 2, 1), (5, 2, 1)]);
    }
}
