//! What no binding holds and no band makes smaller, in parts ([`crate::plan::parts`]): filters of convolutions, tensors read and written where numbers say,
//! lines beside each other, planes.

use crate::ops::Op;
use crate::ops::adjoint::{AdjointOf, AdjointProblem};
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::ConvProblem;
use crate::ops::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormProblem};
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::{MaxUnpoolGradient, MaxUnpoolProblem};
use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use crate::ops::top_k::{TopKDescriptor, TopKOrder, TopKProblem};
use crate::ops::transform::grid_sample::{GridSample, GridSampleDescriptor};
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::ops::transform::resize::{Resize, ResizeDescriptor, ResizeMode};
use crate::ops::transform::slice::{Slice, SliceDescriptor};
use crate::types::ElementType::{F16, F32, U32};
use crate::types::Layout::{ChannelsFirst, ChannelsLast};
use crate::types::{Activation, ElementType, Layout, PaddingMode, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;
use crate::validate::grid_conv::{BIAS, Extra, Grid, PLAIN, pads};

/// Bytes of a binding, and of one that holds so many packed channels of every tile.
const SMALL: u64 = 4096;

const LARGE: u64 = 64 << 10;

const LAST: Extra = Extra { x_layout: ChannelsLast, y_layout: ChannelsLast, ..BIAS };

/// Convolutions of either direction whose filters are cut by groups, by output channels, inside every input channel; with a pool, a residual, bands too.
pub(crate) fn convolutions() -> Result<Vec<(ConvProblem, Elsewhere)>> {
    let mut grid = Grid { problems: Vec::new() };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), activation: Activation::Clip { min: -9.0, max: 30.0 }, ..Default::default() };
    grid.forward::<2>(same, &[2, 24, 7, 5], 101, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { groups: 5, ..same }, &[1, 65, 5, 4], 175, [3, 3], LAST)?;
    grid.forward::<2>(ConvDescriptor { padding_mode: PaddingMode::Circular, ..same }, &[1, 18, 4, 6], 210, [3, 3], Extra { element: F16, ..PLAIN })?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Max), ..same }, &[1, 20, 62, 30], 93, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor::default(), &[1, 230, 2, 3], 90, [1, 1], BIAS)?;
    let transposed = ConvTransposeDescriptor { stride: [3, 2], padding: pads([1, 0], [2, 1]), ..Default::default() };
    grid.transposed::<2>(transposed, &[1, 20, 4, 5], 110, [3, 3], BIAS)?;
    grid.transposed::<2>(ConvTransposeDescriptor { groups: 3, ..transposed }, &[2, 36, 3, 4], 171, [3, 3], LAST)?;
    let residual: Vec<ConvProblem> = grid.problems.iter().step_by(2).filter(|p| p.pool.is_none()).map(|p| p.clone().with_residual(true)).collect();
    Ok(grid.problems.into_iter().chain(residual).map(|problem| (problem, Elsewhere::Binding(LARGE))).collect())
}

/// Every other op.
pub(crate) fn others() -> Result<Vec<(Op, Elsewhere)>> {
    let mut all = lines()?;
    all.extend(indexed()?);
    all.extend(planes()?);
    Ok(all.into_iter().map(|op| (op, Elsewhere::Binding(SMALL))).collect())
}

fn tensor(extents: &[usize], element: ElementType, layout: Layout) -> TensorType {
    TensorType::new(extents, element, layout)
}

/// Elements of one line lie further apart than a binding is long; more lines than a binding holds.
fn lines() -> Result<Vec<Op>> {
    let mut all: Vec<Op> = vec![];
    for (x, axis) in [
        (tensor(&[3, 1501], F32, ChannelsFirst), 0),
        (tensor(&[2, 5, 41, 19], F16, ChannelsFirst), 1),
        (tensor(&[3, 2, 37, 20], F32, ChannelsLast), 0),
    ] {
        let soft = SoftmaxProblem::new(&x, &SoftmaxDescriptor { axis, logarithm: axis == 1 })?;
        all.push(soft.clone().in_place().into());
        all.push(soft.into());
        for (i, keepdims) in [false, true].into_iter().enumerate() {
            let kind = [ReduceKind::Sum, ReduceKind::Max][i];
            all.push(ReduceProblem::new(&x, &ReduceDescriptor::new(kind, &[axis]).with_keepdims(keepdims))?.into());
            all.push(ArgmaxProblem::new(&x, &ArgmaxDescriptor { axis: Some(axis), keepdims, select_last: keepdims })?.into());
        }
        all.push(TopKProblem::new(&x, &TopKDescriptor { k: 2, axis, order: TopKOrder::Smallest })?.into());
    }
    all.push(TopKProblem::new(&tensor(&[7, 300], F16, ChannelsFirst), &TopKDescriptor { k: 77, axis: -1, order: TopKOrder::Largest })?.into());
    for (x, layout) in [([2, 5, 23, 11], ChannelsFirst), ([2, 3, 401, 1], ChannelsLast)] {
        all.push(LrnProblem::new(&tensor(&x, F32, layout), &LrnDescriptor::default())?.into());
    }
    // Rows that interleave.
    let channels = [10];
    let norm = |x: &[usize]| NormInputs { x: tensor(x, F32, ChannelsLast), scale: Some(&channels), bias: None };
    all.push(NormProblem::instance(&norm(&[1, 10, 13, 11]), &InstanceNormDescriptor { epsilon: 1e-5 })?.into());
    all.push(NormProblem::group(&norm(&[2, 10, 11, 13]), &GroupNormDescriptor { groups: 5, epsilon: 1e-5 })?.into());
    let bare = NormInputs { scale: None, ..norm(&[1, 9, 13, 11]) };
    all.push(NormProblem::layer(&bare, &LayerNormDescriptor { axis: 2, epsilon: 1e-5 })?.with_statistics(true).into());
    Ok(all)
}

/// Places, rows of indices and what lies beside them.
fn indexed() -> Result<Vec<Op>> {
    let mut all: Vec<Op> = vec![];
    let slices = Indexing::Slices { axis: 1 };
    for (i, (x, indices, indexing)) in [
        (&[3, 70, 25][..], &[6, 9][..], slices),
        (&[2, 11, 1400], &[5], slices),
        (&[2, 9, 5], &[30, 50], slices),
        (&[3, 7, 501], &[3, 5, 501], Indexing::Elements { axis: 1 }),
        (&[2000], &[700], Indexing::Elements { axis: 0 }),
        (&[3, 40, 50, 2], &[3, 60, 2], Indexing::Places { batch_axes: 1 }),
        (&[31, 4, 301], &[11, 1], Indexing::Places { batch_axes: 0 }),
    ]
    .into_iter()
    .enumerate()
    {
        let of = [F32, U32][i % 2];
        let (x, indices) = (tensor(x, [F32, F32, F16][i % 3], ChannelsFirst), tensor(indices, of, ChannelsFirst));
        let gather = GatherProblem::new(&x, &indices, indexing)?;
        if i != 2 {
            for reduction in [ScatterReduction::Last, [ScatterReduction::Add, ScatterReduction::Max][i % 2]] {
                let updates = tensor(gather.y(), x.element, ChannelsFirst);
                all.push(ScatterProblem::new(&x, &indices, &updates, &ScatterDescriptor { indexing, reduction })?.into());
            }
        }
        all.push(gather.into());
    }
    // Channels, and positions.
    for (x, grid, layout) in
        [([2, 9, 13, 17], [2, 5, 7, 2], ChannelsFirst), ([1, 3, 5, 6], [1, 41, 29, 2], ChannelsFirst), ([2, 7, 14, 15], [2, 33, 21, 2], ChannelsLast)]
    {
        all.push(GridSample::new(&tensor(&x, F32, layout), &tensor(&grid, F32, ChannelsFirst), &GridSampleDescriptor::default())?.into());
    }
    Ok(all)
}

/// Images whose planes fit, and planes that do not.
fn planes() -> Result<Vec<Op>> {
    let mut all: Vec<Op> = vec![];
    let window = PoolDescriptor::window([2, 3]);
    for (x, output_shape, layout, element) in
        [([2, 3, 13, 9], None, ChannelsFirst, F32), ([3, 2, 11, 12], Some([23, 36]), ChannelsFirst, F16), ([1, 4, 9, 11], None, ChannelsLast, F32)]
    {
        let unpool = MaxUnpoolProblem::new(&tensor(&x, element, layout), &x, &MaxUnpoolDescriptor { pool: window, output_shape })?;
        all.push(MaxUnpoolGradient::new(unpool.clone()).into());
        all.push(unpool.into());
    }
    for (x, layout) in [([2, 2, 21, 11], ChannelsFirst), ([1, 3, 17, 9], ChannelsLast)] {
        let unpool =
            MaxUnpoolProblem::new(&tensor(&x, F32, layout), &x, &MaxUnpoolDescriptor { pool: PoolDescriptor::window([4, 5]), output_shape: None })?;
        all.push(MaxUnpoolGradient::new(unpool.clone()).into());
        all.push(unpool.into());
    }
    // Windows and indices that depend on where they stand.
    let sides = [([2, 3, 53, 41], ChannelsFirst, F32), ([1, 2, 61, 47], ChannelsLast, F16)];
    for (i, (x, layout, element)) in sides.into_iter().enumerate() {
        let (x, order) = (tensor(&x, element, layout), [IndexOrder::RowMajor, IndexOrder::ColumnMajor][i]);
        let window = PoolDescriptor::window([5, 4]).with_stride([2, 3]).with_padding(crate::types::Padding::uniform(2));
        all.push(PoolProblem::new(&x, &window.with_kind(PoolKind::Max { indices: Some(order) }))?.into());
        for kind in [PoolKind::AVERAGE, PoolKind::Max { indices: Some(order) }] {
            all.push(PoolProblem::adaptive(&x, &AdaptivePoolDescriptor { kind, output: [17, 9] })?.into());
        }
    }
    let volume = tensor(&[1, 2, 14, 13, 12], F32, ChannelsFirst);
    for order in [IndexOrder::RowMajor, IndexOrder::ColumnMajor] {
        let kind = PoolKind::Max { indices: Some(order) };
        all.push(PoolProblem::adaptive(&volume, &AdaptivePoolDescriptor { kind, output: [3, 5, 4] })?.into());
    }
    let sliding = PoolDescriptor { ceil_mode: true, ..PoolDescriptor::window([3, 2]) }.with_stride([2, 1]);
    // Gradients of windows that lie side by side, plane by plane, and of planes that no binding holds, by rows: those of windows that overlap too.
    let beside = PoolDescriptor { ceil_mode: true, ..PoolDescriptor::window([2, 3]) };
    let apart = [([2, 9, 13, 17], ChannelsFirst, F32), ([1, 19, 14, 16], ChannelsLast, F16), ([1, 2, 43, 37], ChannelsFirst, F32)];
    for (x, layout, element) in apart {
        for kind in [PoolKind::AVERAGE, PoolKind::Max { indices: Some(IndexOrder::RowMajor) }] {
            let windows = [Some(beside), (x[2] == 43).then_some(sliding)];
            for window in windows.into_iter().flatten() {
                let pool = PoolProblem::new(&tensor(&x, element, layout), &window.with_kind(kind))?;
                all.push(AdjointProblem::new(AdjointOf::Pool(pool))?.into());
            }
        }
    }
    for (x, layout) in [(tensor(&[2, 5, 23, 25], F32, ChannelsFirst), ChannelsFirst), (tensor(&[1, 5, 21, 25], F16, ChannelsLast), ChannelsLast)] {
        for kind in [PoolKind::AVERAGE, PoolKind::Max { indices: Some(IndexOrder::RowMajor) }] {
            all.push(AdjointProblem::new(AdjointOf::Pool(PoolProblem::new(&x, &sliding.with_kind(kind))?))?.into());
        }
        let adaptive = AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [9, 10] };
        all.push(AdjointProblem::new(AdjointOf::Pool(PoolProblem::adaptive(&x, &adaptive)?))?.into());
        let resize = ResizeDescriptor { sizes: vec![12, 30], mode: ResizeMode::Linear, ..Default::default() };
        all.push(AdjointProblem::new(AdjointOf::Resize(Resize::new(&x, &resize)?))?.into());
        let pads = PadDescriptor { pads: vec![0, 0, 2, 0, 0, 0, 1, 3], mode: PadMode::Reflect };
        all.push(AdjointProblem::new(AdjointOf::Pad(Pad::new(&tensor(&[2, 5, 23, 21], F32, layout), &pads)?))?.into());
        let slice = SliceDescriptor { starts: vec![-1], ends: vec![2], axes: vec![2], steps: vec![-3] };
        all.push(AdjointProblem::new(AdjointOf::Slice(Slice::new(&x, &slice)?))?.into());
    }
    Ok(all)
}
