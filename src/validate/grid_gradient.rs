//! The gradients that are ops of their own: adjoints of every pad, slice, resize and pool of the grid that has one, and the filter gradients of its
//! convolutions, forward and transposed; and the data gradients of a form that no constructor makes.

use crate::numeric::Accuracy;
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::filter_gradient::FilterGradient;
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::ops::optimizer::{OptimizerProblem, Rule};
use crate::ops::pool::descriptor::{IndexOrder, PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolGradient;
use crate::types::{ElementType, Layout, Padding, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;
use crate::validate::grid_transform;
use std::collections::HashSet;

/// Those of a list that have an adjoint: not of u32, along three axes at most.
fn of<T>(problems: Vec<T>, make: impl Fn(T) -> AdjointOf) -> impl Iterator<Item = AdjointProblem> {
    problems.into_iter().filter_map(move |problem| AdjointProblem::new(make(problem)).ok())
}

pub(crate) fn adjoints(full: bool) -> Result<Vec<AdjointProblem>> {
    let mut all: Vec<AdjointProblem> = of(grid_transform::pads(full)?, AdjointOf::Pad).collect();
    all.extend(of(grid_transform::slices(full)?, AdjointOf::Slice));
    all.extend(of(grid_transform::nearest(full)?, AdjointOf::Resize));
    all.extend(of(grid_transform::linear(full)?, AdjointOf::Resize));
    all.extend(of(super::grid_pool::pools(full)?, AdjointOf::Pool));
    all.extend(of(side_by_side()?, AdjointOf::Pool));
    all.extend(of(overlapping()?, AdjointOf::Pool));
    Ok(all)
}

/// Pools whose windows lie side by side: the last over the edge or into a pad, gaps between them, more behind the last than a stride leaves.
fn side_by_side() -> Result<Vec<PoolProblem>> {
    let padded = Padding::Explicit { begin: [0, 0], end: [1, 2] };
    let windows = [
        PoolDescriptor { ceil_mode: true, ..PoolDescriptor::<2>::window([2, 3]) },
        PoolDescriptor::<2>::window([2, 3]).with_stride([3, 4]).with_padding(padded),
        PoolDescriptor { ceil_mode: true, ..PoolDescriptor::<2>::window([1, 2]).with_stride([3, 5]) },
    ];
    of_every_kind(&windows, &[2, 20, 7, 11])
}

/// Pools of these windows, of every kind that has an adjoint, in both layouts and one in f16.
fn of_every_kind(windows: &[PoolDescriptor<2>], x: &[usize]) -> Result<Vec<PoolProblem>> {
    let maximum = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    let kinds = [PoolKind::AVERAGE, PoolKind::Average { count_include_pad: true }, PoolKind::Lp { p: 2.0 }, maximum];
    let mut all = vec![];
    for (i, window) in windows.iter().enumerate() {
        for (j, kind) in kinds.into_iter().enumerate() {
            let layout = [Layout::ChannelsFirst, Layout::ChannelsLast][(i + j) % 2];
            let element = if i + j == 2 { ElementType::F16 } else { ElementType::F32 };
            all.push(PoolProblem::new(&TensorType::new(x, element, layout), &window.with_kind(kind))?);
        }
    }
    Ok(all)
}

/// Pools whose windows overlap: one and two elements, one and two cells, from a pad before the first element, over the last; averages over all windows of one
/// size, and over some that are smaller at an edge.
fn overlapping() -> Result<Vec<PoolProblem>> {
    let padded = |begin, end| Padding::Explicit { begin, end };
    let windows = [
        PoolDescriptor { ceil_mode: true, ..PoolDescriptor::<2>::window([3, 3]).with_stride([2, 2]).with_padding(padded([1, 1], [1, 1])) },
        PoolDescriptor::<2>::window([2, 5]).with_stride([1, 2]).with_padding(padded([0, 2], [1, 1])),
        PoolDescriptor::<2>::window([3, 2]).with_stride([1, 4]),
        PoolDescriptor::<2>::window([4, 7]).with_stride([3, 3]),
    ];
    let mut all = of_every_kind(&windows, &[2, 5, 9, 13])?;
    let maximum = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    let pads = [0, 1, 1];
    let volume = PoolDescriptor::<3>::window([2, 3, 3]).with_stride([1, 2, 2]).with_padding(Padding::Explicit { begin: pads, end: pads });
    for kind in [PoolKind::Lp { p: 1.0 }, maximum] {
        all.push(PoolProblem::new(&TensorType::f32(&[1, 2, 4, 5, 7]), &volume.with_kind(kind))?);
    }
    let line = PoolDescriptor::<1>::window([5]).with_stride([2]).with_kind(maximum);
    all.push(PoolProblem::new(&TensorType::f32(&[2, 3, 17]), &line)?);
    Ok(all)
}

/// Batches that no binding holds whole.
pub(crate) fn sliced() -> Result<Vec<(AdjointProblem, Elsewhere)>> {
    let pools = super::grid_pool::sliced()?.into_iter().map(|(pool, elsewhere): (PoolProblem, Elsewhere)| (pool.with_indices(), elsewhere));
    Ok(pools.filter_map(|(pool, elsewhere)| Some((AdjointProblem::new(AdjointOf::Pool(pool)).ok()?, elsewhere))).collect())
}

/// Of every unpooling; random indices point at some outputs more than once.
pub(crate) fn unpools() -> Result<Vec<MaxUnpoolGradient>> {
    Ok(super::grid_pool::unpools()?.into_iter().map(MaxUnpoolGradient::new).collect())
}

/// Data gradients of transposed convolutions that add extent, whose pads are below 0: no constructor makes them. Rows and columns before and behind what
/// windows read, for the kernels of every window.
pub(crate) fn data() -> Result<Vec<ConvProblem>> {
    let mut all = vec![];
    for (x, filter, groups, output) in [
        ([2, 8, 4, 5], [8, 3, 3, 3], 1, [9, 8]),
        ([1, 6, 4, 5], [6, 5, 3, 1], 1, [7, 11]),
        ([2, 3, 4, 9], [3, 1, 3, 3], 3, [7, 16]),
        ([2, 5, 4, 6], [5, 7, 1, 1], 1, [5, 9]),
        ([1, 4, 3, 4], [4, 3, 2, 3], 2, [8, 8]),
    ] {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let tensors = ConvInputs { x: TensorType::new(&x, ElementType::F32, layout), filter: &filter, bias: None, y_layout: layout };
            let wanted = ConvTransposeDescriptor::<2> { output_shape: Some(output), groups, ..Default::default() };
            all.push(ConvProblem::transposed(&tensors, &wanted)?.data_gradient()?);
        }
        let gaps = ConvTransposeDescriptor::<2> { stride: [4, 5], padding: Padding::Same, groups, ..Default::default() };
        all.push(ConvProblem::transposed(&ConvInputs::new(&x, &filter, None), &gaps)?.data_gradient()?);
    }
    let dilated = ConvTransposeDescriptor::<1> { dilation: [4], output_padding: [3], ..Default::default() };
    all.push(ConvProblem::transposed(&ConvInputs::new(&[2, 3, 7], &[3, 4, 2], None), &dilated)?.data_gradient()?);
    Ok(all)
}

pub(crate) fn filters(full: bool) -> Result<Vec<FilterGradient>> {
    let mut seen = HashSet::new();
    let all = super::grid_conv::problems(full)?.into_iter().filter_map(|problem| FilterGradient::new(&problem).ok());
    let all: Vec<FilterGradient> = all.filter(|gradient| seen.insert(gradient.to_string())).collect();
    let every = if full { 1 } else { 3 };
    let mut all: Vec<FilterGradient> = all.into_iter().step_by(every).collect();
    // More images than a row has positions: the depth goes along the images.
    let inputs = |x, filter| ConvInputs { x: TensorType::f32(x), filter, bias: None, y_layout: Layout::ChannelsFirst };
    let strided = ConvDescriptor::<2> { stride: [2, 1], padding: Padding::uniform(1), groups: 2, ..Default::default() };
    all.push(FilterGradient::new(&ConvProblem::forward(&inputs(&[11, 8, 7, 5], &[10, 4, 3, 3]), &strided)?)?);
    let strided = ConvTransposeDescriptor::<2> { stride: [2, 1], groups: 2, ..Default::default() };
    all.push(FilterGradient::new(&ConvProblem::transposed(&inputs(&[9, 8, 4, 5], &[8, 5, 3, 2]), &strided)?)?);
    all.extend(transformed()?);
    Ok(all)
}

/// For Winograd's formula: tiles over the edges, several sums of which the last is short, groups, windows of every length that it knows along both axes and
/// along one, pads before, behind and none, channels that leave a panel half empty.
fn transformed() -> Result<Vec<FilterGradient>> {
    let same = ConvDescriptor::<2> { padding: Padding::Same, ..Default::default() };
    let reduced = ConvDescriptor::<2> { accuracy: Accuracy::Reduced, ..same };
    let grouped = ConvDescriptor::<2> { groups: 2, padding: Padding::Explicit { begin: [2, 0], end: [0, 1] }, ..Default::default() };
    let mut all = vec![
        of_conv(&[5, 3, 17, 19], &[6, 3, 3, 3], &same)?,
        of_conv(&[3, 8, 30, 25], &[10, 4, 3, 3], &grouped)?,
        of_conv(&[6, 3, 14, 13], &[5, 3, 5, 5], &same)?,
        of_conv(&[4, 2, 9, 40], &[3, 2, 1, 3], &same)?,
        of_conv(&[4, 2, 40, 9], &[3, 2, 3, 1], &same)?,
        of_conv(&[2, 40, 9, 7], &[35, 40, 3, 3], &reduced)?,
        // What the CPU engine takes too, by either.
        of_conv(&[4, 40, 12, 10], &[35, 40, 3, 3], &same)?,
        of_conv(&[8, 33, 16, 12], &[32, 33, 3, 3], &reduced)?,
        of_conv(&[1, 2, 13, 11], &[3, 2, 5, 5], &reduced)?,
        of_conv(&[2, 3, 11, 1], &[2, 3, 5, 1], &reduced)?,
    ];
    let transposed = ConvTransposeDescriptor::<2> { groups: 2, padding: Padding::uniform(1), ..Default::default() };
    all.push(FilterGradient::new(&ConvProblem::transposed(&ConvInputs::new(&[4, 6, 15, 12], &[6, 4, 3, 3], None), &transposed)?)?);
    let line = ConvDescriptor::<1> { padding: Padding::Same, ..Default::default() };
    all.push(FilterGradient::new(&ConvProblem::forward(&ConvInputs::new(&[7, 3, 50], &[4, 3, 3], None), &line)?)?);
    Ok(all)
}

fn of_conv(x: &[usize], filter: &[usize], descriptor: &ConvDescriptor<2>) -> Result<FilterGradient> {
    FilterGradient::new(&ConvProblem::forward(&ConvInputs::new(x, filter, None), descriptor)?)
}

/// Cut over images, and over the rows of an image, whose parts are added; and over the groups or the filters of a dw that no binding holds, with one part of
/// the positions and with several.
pub(crate) fn sliced_filters() -> Result<Vec<(FilterGradient, Elsewhere)>> {
    let all: Vec<FilterGradient> = filters(true)?.into_iter().filter(|gradient| gradient.conv.batch > 1).step_by(5).collect();
    let largest = |gradient: &FilterGradient| gradient.conv.input_count().max(gradient.conv.output_count()) * 4 / gradient.conv.batch;
    let fits = |gradient: &FilterGradient| largest(gradient) < 3500 && gradient.conv.filter_count() < 400;
    let mut all: Vec<FilterGradient> = all.into_iter().filter(fits).collect();
    all.push(of_conv(&[1, 5, 6, 6], &[70, 5, 3, 3], &ConvDescriptor { stride: [2, 2], ..Default::default() })?);
    all.push(of_conv(&[3, 40, 4, 5], &[33, 40, 1, 1], &ConvDescriptor::default())?);
    all.push(of_conv(&[2, 8, 5, 4], &[33, 8, 2, 2], &ConvDescriptor { padding: Padding::uniform(1), ..Default::default() })?);
    // Of many groups, of few, and of filters of one group.
    let padded = |groups: usize| ConvDescriptor { padding: Padding::uniform(1), groups, ..Default::default() };
    for (x, filter, groups) in [([1, 130, 2, 3], [130, 1, 3, 3], 130), ([2, 16, 4, 3], [32, 4, 3, 3], 4), ([3, 8, 4, 3], [64, 4, 3, 3], 2)] {
        all.push(of_conv(&x, &filter, &padded(groups))?);
    }
    let strided = ConvTransposeDescriptor::<2> { stride: [2, 1], ..Default::default() };
    all.push(FilterGradient::new(&ConvProblem::transposed(&ConvInputs::new(&[2, 66, 2, 3], &[66, 4, 3, 2], None), &strided)?)?);
    let grouped = ConvTransposeDescriptor { groups: 3, ..strided };
    all.push(FilterGradient::new(&ConvProblem::transposed(&ConvInputs::new(&[2, 24, 2, 2], &[24, 16, 2, 2], None), &grouped)?)?);
    let mut all: Vec<_> = all.into_iter().map(|gradient| (gradient, Elsewhere::Binding(4096))).collect();
    // Winograd's sums in parts, of images that no binding holds together.
    let (x, filter) = ([17, 4, 32, 32], [5, 4, 3, 3]);
    all.push((of_conv(&x, &filter, &ConvDescriptor { padding: Padding::Same, ..Default::default() })?, Elsewhere::Binding(1 << 18)));
    Ok(all)
}

/// Every rule, over counts about a workgroup's and a part's.
pub(crate) fn optimizers() -> Result<Vec<OptimizerProblem>> {
    let extents: [&[usize]; 4] = [&[3], &[6, 1, 5, 5], &[257], &[33, 64]];
    Rule::ALL.into_iter().flat_map(|rule| extents.map(|extents| OptimizerProblem::new(rule, extents))).collect()
}
