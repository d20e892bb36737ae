//! Gradients of ops of indices: a gather's scatters its gradient as a sum, in a fixed order; a scatter's gathers.

use super::{Builder, Of};
use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use crate::ops::top_k::TopKProblem;
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::types::{Layout, Result};

/// Zeros of these extents.
fn zeros(b: &mut Builder<'_>, extents: &[usize]) -> Result<Of> {
    let one = b.view(Of::Constant(0.0), &vec![1; extents.len()])?;
    let pads = vec![0; extents.len()].into_iter().chain(extents.iter().map(|extent| extent - 1)).collect();
    let pad = Pad::new(&b.of(one), &PadDescriptor { pads, mode: PadMode::Constant(0.0) })?;
    Ok(b.op(pad, &[one]))
}

pub(super) fn gather(b: &mut Builder<'_>, problem: &GatherProblem) -> Result<()> {
    if b.wants(0) {
        let zeros = zeros(b, &problem.x.extents)?;
        let descriptor = ScatterDescriptor { indexing: problem.indexing, reduction: ScatterReduction::Add };
        let scatter = ScatterProblem::new(&b.of(zeros), &problem.indices, &b.of(Of::Upstream), &descriptor)?;
        let dx = b.op(scatter, &[zeros, Of::Input(1), Of::Upstream]);
        b.give(0, dx);
    }
    Ok(())
}

pub(super) fn scatter(b: &mut Builder<'_>, problem: &ScatterProblem) -> Result<()> {
    if problem.descriptor.reduction != ScatterReduction::Add {
        return Err(b.refuse("of scatters the gradient of a sum is computed"));
    }
    b.give(0, Of::Upstream);
    if b.wants(2) {
        let gather = GatherProblem::new(&problem.x, &problem.indices, problem.descriptor.indexing)?;
        let updates = b.op(gather, &[Of::Upstream, Of::Input(1)]);
        b.give(2, updates);
    }
    Ok(())
}

/// What was chosen has the gradient of its place, all else has none.
pub(super) fn top_k(b: &mut Builder<'_>, problem: &TopKProblem) -> Result<()> {
    let zeros = zeros(b, &problem.x.extents)?;
    let indices = b.in_layout(Of::Output(1), Layout::ChannelsFirst)?;
    let dy = b.in_layout(Of::Upstream, Layout::ChannelsFirst)?;
    let descriptor = ScatterDescriptor { indexing: Indexing::Elements { axis: problem.axis as isize }, reduction: ScatterReduction::Last };
    // Along the other axes the indices have x's extents.
    let scatter = ScatterProblem::new(&b.of(zeros), &b.of(indices), &b.of(dy), &descriptor)?;
    let dx = b.op(scatter, &[zeros, indices, dy]);
    let dx = b.in_layout(dx, problem.x.layout)?;
    b.give(0, dx);
    Ok(())
}
