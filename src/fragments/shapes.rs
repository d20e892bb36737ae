//! Gradients of shape ops: each is another's adjoint, or gathers by axis.

use super::{Builder, Of};
use crate::ops::Problem;
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::DepthToSpace;
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::ops::transform::resize::Resize;
use crate::ops::transform::slice::{Slice, SliceDescriptor, SliceRange};
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::{Result, TensorType};

pub(super) fn resize(b: &mut Builder<'_>, problem: &Resize) -> Result<()> {
    let dx = b.op(AdjointProblem::new(AdjointOf::Resize(problem.clone()))?, &[Of::Upstream]);
    b.give(0, dx);
    Ok(())
}

pub(super) fn pad(b: &mut Builder<'_>, problem: &Pad) -> Result<()> {
    let dx = pad_of(b, problem, Of::Upstream)?;
    b.give(0, dx);
    Ok(())
}

/// The gradient of what was padded: a slice of `gradient` where a constant stands, else gathered, along three axes at a time.
pub(super) fn pad_of(b: &mut Builder<'_>, problem: &Pad, gradient: Of) -> Result<Of> {
    let rank = problem.x.rank();
    if let PadMode::Constant(_) = problem.mode {
        let starts = problem.begin.iter().map(|&begin| begin as isize).collect();
        let ends = problem.begin.iter().zip(&problem.x.extents).map(|(&begin, &extent)| (begin + extent) as isize).collect();
        let slice = Slice::new(&b.of(gradient), &SliceDescriptor { starts, ends, ..Default::default() })?;
        return Ok(b.op(slice, &[gradient]));
    }
    // A pad of some axes after a pad of the others, undone in the other order.
    let padded: Vec<usize> = (0..rank).filter(|&axis| problem.begin[axis] + problem.end[axis] > 0).collect();
    let mut steps = vec![];
    let mut x = problem.x.clone();
    for axes in padded.chunks(crate::ops::adjoint::MOST_AXES) {
        let only = |pads: &[usize]| (0..rank).map(|axis| if axes.contains(&axis) { pads[axis] } else { 0 }).collect::<Vec<_>>();
        let descriptor = PadDescriptor { pads: [only(&problem.begin), only(&problem.end)].concat(), mode: problem.mode };
        let step = Pad::new(&x, &descriptor)?;
        x = step.kind();
        steps.push(step);
    }
    let mut gradient = gradient;
    for step in steps.into_iter().rev() {
        gradient = b.op(AdjointProblem::new(AdjointOf::Pad(step))?, &[gradient]);
    }
    Ok(gradient)
}

pub(super) fn slice(b: &mut Builder<'_>, problem: &Slice) -> Result<()> {
    let (x, ranges) = (&problem.x, &problem.ranges);
    let dx = if ranges.iter().all(|range| range.step == 1) {
        let ends = ranges.iter().zip(&x.extents).map(|(range, extent)| extent - range.first - range.count);
        let pads = ranges.iter().map(|range| range.first).chain(ends).collect();
        let pad = Pad::new(&problem.output(), &PadDescriptor { pads, mode: PadMode::Constant(0.0) })?;
        b.op(pad, &[Of::Upstream])
    } else {
        let cut: Vec<usize> = (0..x.rank()).filter(|&axis| ranges[axis].count != x.extents[axis] || ranges[axis].step != 1).collect();
        let (mut steps, mut from) = (vec![], x.clone());
        for axes in cut.chunks(crate::ops::adjoint::MOST_AXES) {
            let whole = |axis: usize| SliceRange { first: 0, step: 1, count: from.extents[axis] };
            let ranges = (0..from.rank()).map(|axis| if axes.contains(&axis) { ranges[axis] } else { whole(axis) }).collect();
            let step = Slice { x: from.clone(), ranges };
            from = step.output();
            steps.push(step);
        }
        let mut gradient = Of::Upstream;
        for step in steps.into_iter().rev() {
            gradient = b.op(AdjointProblem::new(AdjointOf::Slice(step))?, &[gradient]);
        }
        gradient
    };
    b.give(0, dx);
    Ok(())
}

/// Each input's gradient is its part.
pub(super) fn concat(b: &mut Builder<'_>, problem: &Concat) -> Result<()> {
    let mut start = 0;
    for (input, x) in problem.inputs.iter().enumerate() {
        let end = start + x.extents[problem.axis];
        if b.wants(input) {
            let descriptor =
                SliceDescriptor { starts: vec![start as isize], ends: vec![end as isize], axes: vec![problem.axis as isize], steps: vec![] };
            let part = b.op(Slice::new(&b.of(Of::Upstream), &descriptor)?, &[Of::Upstream]);
            let part = b.in_layout(part, x.layout)?;
            b.give(input, part);
        }
        start = end;
    }
    Ok(())
}

pub(super) fn transpose(b: &mut Builder<'_>, problem: &Transpose) -> Result<()> {
    let mut inverse = vec![0; problem.perm.len()];
    problem.perm.iter().enumerate().for_each(|(i, &axis)| inverse[axis] = i);
    let dx = b.transpose(Of::Upstream, &inverse)?;
    let dx = b.in_layout(dx, problem.x.layout)?;
    b.give(0, dx);
    Ok(())
}

pub(super) fn to_layout(b: &mut Builder<'_>, problem: &ToLayout) -> Result<()> {
    let dx = b.in_layout(Of::Upstream, problem.x.layout)?;
    b.give(0, dx);
    Ok(())
}

pub(super) fn depth_to_space(b: &mut Builder<'_>, problem: &DepthToSpace) -> Result<()> {
    let inverse = problem.inverse_of()?;
    let dx = b.op(inverse, &[Of::Upstream]);
    b.give(0, dx);
    Ok(())
}

impl Slice {
    /// What it gives.
    fn output(&self) -> TensorType {
        self.outputs().swap_remove(0).tensor
    }
}
