//! What no binding holds: images of convolutions and pools in bands, moves of elements in parts.

use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::ConvProblem;
use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem};
use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use crate::ops::pool::descriptor::{PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::transform::concat::Concat;
use crate::ops::transform::depth_to_space::{DepthToSpace, DepthToSpaceDescriptor, DepthToSpaceMode};
use crate::ops::transform::pad::{Pad, PadDescriptor, PadMode};
use crate::ops::transform::resize::{NearestMode, Resize, ResizeDescriptor, ResizeMode};
use crate::ops::transform::slice::{Slice, SliceDescriptor};
use crate::ops::transform::transpose::{ToLayout, Transpose};
use crate::types::{Activation, ElementType, Layout, Padding, PaddingMode, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;
use crate::validate::grid_conv::{BIAS, Extra, Grid, PLAIN, pads};

/// Bytes of a binding that holds some rows of each image here, and of one that holds the filters of transformed tiles too.
const SMALL: u64 = 4096;

const LARGE: u64 = 16 << 10;

const LAST: Extra = Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS };

/// Convolutions of every direction, padding, rank, layout and element type; with a residual, with a pool.
pub(crate) fn convolutions() -> Result<Vec<(ConvProblem, Elsewhere)>> {
    let mut grid = Grid { problems: Vec::new() };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    let half = Extra { element: ElementType::F16, ..BIAS };
    grid.forward::<2>(ConvDescriptor { activation: Activation::Clip { min: -9.0, max: 30.0 }, ..same }, &[2, 3, 41, 25], 4, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { stride: [2, 1], dilation: [3, 1], padding: pads([5, 0], [3, 0]), ..same }, &[1, 3, 57, 25], 2, [3, 2], LAST)?;
    grid.forward::<2>(ConvDescriptor { groups: 3, ..same }, &[1, 3, 51, 26], 6, [5, 3], half)?;
    for padding_mode in [PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular] {
        grid.forward::<2>(ConvDescriptor { padding_mode, padding: pads([3, 1], [2, 2]), ..same }, &[1, 2, 33, 33], 2, [4, 3], PLAIN)?;
    }
    // No binding holds the rows of one row of windows, nor do windows reach all columns; and more outputs than inputs.
    grid.forward::<2>(ConvDescriptor { stride: [9, 9], ..Default::default() }, &[1, 3, 60, 40], 3, [9, 1], BIAS)?;
    grid.forward::<2>(same, &[1, 1, 30, 31], 9, [3, 3], LAST)?;
    grid.forward::<1>(ConvDescriptor { padding: pads([4], [2]), ..Default::default() }, &[2, 2, 1501], 3, [7], BIAS)?;
    grid.forward::<3>(ConvDescriptor { padding: pads([1, 0, 1], [1, 1, 0]), ..Default::default() }, &[1, 2, 9, 13, 17], 2, [3, 2, 2], LAST)?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Max), ..same }, &[1, 2, 41, 34], 3, [3, 3], BIAS)?;
    let transposed = ConvTransposeDescriptor { stride: [3, 2], padding: pads([1, 0], [2, 1]), ..Default::default() };
    grid.transposed::<2>(transposed, &[1, 3, 21, 17], 2, [3, 3], BIAS)?;
    grid.transposed::<2>(ConvTransposeDescriptor { output_padding: [2, 1], ..transposed }, &[2, 2, 19, 15], 3, [2, 1], LAST)?;
    grid.transposed::<1>(ConvTransposeDescriptor { stride: [4], dilation: [3], ..Default::default() }, &[1, 3, 400], 2, [3], half)?;
    let residual: Vec<ConvProblem> = grid.problems.iter().step_by(2).filter(|p| p.pool.is_none()).map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(residual);
    let mut all: Vec<(ConvProblem, Elsewhere)> = grid.problems.drain(..).map(|problem| (problem, Elsewhere::Binding(SMALL))).collect();

    let reduced = ConvDescriptor { accuracy: Accuracy::Reduced, ..same };
    grid.forward::<2>(reduced, &[1, 3, 61, 40], 4, [3, 3], BIAS)?;
    all.extend(grid.problems.drain(..).map(|problem| (problem, Elsewhere::Binding(LARGE))));
    grid.forward::<2>(ConvDescriptor { groups: 2, ..reduced }, &[1, 2, 90, 70], 2, [9, 5], LAST)?;
    all.extend(grid.problems.into_iter().map(|problem| (problem, Elsewhere::Binding(2 * LARGE))));
    Ok(all)
}

/// Pools of planes, or images channels-last, that no binding holds.
pub(crate) fn pools() -> Result<Vec<(PoolProblem, Elsewhere)>> {
    let mut all = Vec::new();
    let ceil = PoolDescriptor { ceil_mode: true, ..PoolDescriptor::window([3, 3]) }.with_stride([2, 2]).with_padding(Padding::uniform(1));
    let kinds = [PoolKind::MAX, PoolKind::AVERAGE, PoolKind::Average { count_include_pad: true }, PoolKind::Lp { p: 2.0 }];
    for (i, kind) in kinds.into_iter().enumerate() {
        let element = [ElementType::F32, ElementType::F16][usize::from(i == 0)];
        all.push(PoolProblem::new(&TensorType::new(&[2, 2, 44, 52], element, Layout::ChannelsFirst), &ceil.with_kind(kind))?);
        all.push(PoolProblem::new(&TensorType::new(&[1, 5, 34, 21], ElementType::F32, Layout::ChannelsLast), &ceil.with_kind(kind))?);
    }
    all.push(PoolProblem::new(&TensorType::f32(&[1, 1, 12, 13, 14]), &PoolDescriptor::window([5, 2, 2]).with_stride([1, 1, 2]))?);
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Transposes.
pub(crate) fn transposes() -> Result<Vec<(Transpose, Elsewhere)>> {
    let of = |extents: &[usize], element, perm: &[usize]| Transpose::new(&TensorType::new(extents, element, Layout::ChannelsFirst), perm);
    let all = [
        of(&[70, 90], ElementType::F32, &[1, 0])?,
        of(&[5, 31, 37], ElementType::F16, &[2, 0, 1])?,
        of(&[3, 9, 7, 19], ElementType::U32, &[1, 3, 2, 0])?,
    ];
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Other moves.
pub(crate) fn slices() -> Result<Vec<(Slice, Elsewhere)>> {
    let backwards = SliceDescriptor { starts: vec![-1, 60], ends: vec![isize::MIN, 3], axes: vec![0, 1], steps: vec![-1, -2] };
    let few = SliceDescriptor { starts: vec![1], ends: vec![3000], axes: vec![0], steps: vec![7] };
    let all =
        [Slice::new(&TensorType::f32(&[41, 67]), &backwards)?, Slice::new(&TensorType::new(&[5001], ElementType::F16, Layout::ChannelsFirst), &few)?];
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Changes of the layout.
pub(crate) fn layouts() -> Result<Vec<(ToLayout, Elsewhere)>> {
    let all = [
        ToLayout::new(&TensorType::f32(&[2, 6, 27, 29]), Layout::ChannelsLast)?,
        ToLayout::new(&TensorType::new(&[1, 37, 11, 15], ElementType::F16, Layout::ChannelsLast), Layout::ChannelsFirst)?,
    ];
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Concatenations: of an axis inside, one of the inputs small.
pub(crate) fn concats() -> Result<Vec<(Concat, Elsewhere)>> {
    let inputs = [TensorType::f32(&[40, 31, 3]), TensorType::f32(&[40, 2, 3]), TensorType::f32(&[40, 17, 3])];
    Ok(vec![(Concat::new(&inputs, 1)?, Elsewhere::Binding(SMALL))])
}

/// Depth to space.
pub(crate) fn blocks() -> Result<Vec<(DepthToSpace, Elsewhere)>> {
    let descriptor = DepthToSpaceDescriptor { block: 2, mode: DepthToSpaceMode::Crd };
    Ok(vec![(DepthToSpace::new(&TensorType::f32(&[1, 12, 17, 21]), &descriptor)?, Elsewhere::Binding(SMALL))])
}

/// Pads that reach round the ends, and along the channels.
pub(crate) fn pads_of_elements() -> Result<Vec<(Pad, Elsewhere)>> {
    let of = |extents: &[usize], element, layout, mode, pads: &[usize]| {
        Pad::new(&TensorType::new(extents, element, layout), &PadDescriptor { pads: pads.to_vec(), mode })
    };
    let (first, last) = (Layout::ChannelsFirst, Layout::ChannelsLast);
    let all = [
        of(&[1, 3, 37, 31], ElementType::F32, first, PadMode::Reflect, &[0, 0, 5, 1, 0, 0, 9, 2])?,
        of(&[2, 3, 21, 31], ElementType::F32, last, PadMode::Circular, &[0, 0, 6, 1, 0, 0, 3, 4])?,
        of(&[2, 2, 41, 31], ElementType::F16, first, PadMode::Constant(-2.5), &[1, 0, 40, 0, 0, 1, 0, 2])?,
        of(&[1, 1, 61, 71], ElementType::F32, first, PadMode::Replicate, &[0, 0, 2, 3, 0, 0, 7, 1])?,
    ];
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Resizes up and down, by either mode.
pub(crate) fn resizes() -> Result<Vec<(Resize, Elsewhere)>> {
    let of = |extents: &[usize], element, layout, sizes: &[usize], mode| {
        Resize::new(&TensorType::new(extents, element, layout), &ResizeDescriptor { sizes: sizes.to_vec(), mode, ..Default::default() })
    };
    let (first, last) = (Layout::ChannelsFirst, Layout::ChannelsLast);
    let nearest = ResizeMode::Nearest(NearestMode::default());
    let all = [
        of(&[2, 3, 20, 31], ElementType::F32, first, &[40, 62], ResizeMode::Linear)?,
        of(&[1, 3, 60, 50], ElementType::F16, last, &[17, 13], ResizeMode::Linear)?,
        of(&[1, 1, 70, 50], ElementType::F32, first, &[35, 100], nearest)?,
        of(&[1, 5, 1001], ElementType::F32, last, &[1500], nearest)?,
    ];
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Normalisations of batches, and of planes of several images.
pub(crate) fn batch_norms() -> Result<Vec<(BatchNormProblem, Elsewhere)>> {
    let of = |extents: &[usize], element, layout| {
        let vector = &extents[1..2];
        let vectors = BatchNormVectors { scale: Some(vector), bias: Some(vector), mean: vector, variance: vector };
        BatchNormProblem::new(&TensorType::new(extents, element, layout), &vectors, &BatchNormDescriptor::default())
    };
    let all = [
        of(&[3, 5, 19, 17], ElementType::F32, Layout::ChannelsFirst)?,
        of(&[3, 7, 9, 17], ElementType::F32, Layout::ChannelsLast)?,
        of(&[7, 5, 17, 7], ElementType::F16, Layout::ChannelsFirst)?,
    ];
    let in_place: Vec<BatchNormProblem> = all.iter().map(|problem| problem.clone().in_place()).collect();
    Ok(all.into_iter().chain(in_place).map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}

/// Images whose tensor, or bytes, are too large; rows that end inside a word of four bytes.
pub(crate) fn images() -> Result<Vec<(ImageProblem, Elsewhere)>> {
    let descriptor = ImageDescriptor { scale: [255.0, 510.0, 127.5, 255.0], mean: [0.5, 0.25, 0.0, 1.0], ..Default::default() };
    let mut all = vec![];
    for (format, size, layout) in [
        (ImageFormat::Rgb8, [1, 31, 37], Layout::ChannelsFirst),
        (ImageFormat::Rgba8, [2, 21, 29], Layout::ChannelsLast),
        (ImageFormat::Gray8, [1, 41, 31], Layout::ChannelsFirst),
    ] {
        let channels = format.channels();
        let read = ImageProblem::read(format, size, &ImageDescriptor { channels, layout, ..descriptor })?;
        all.push(ImageProblem::write(format, read.tensor(), &descriptor)?);
        all.push(read);
    }
    Ok(all.into_iter().map(|problem| (problem, Elsewhere::Binding(SMALL))).collect())
}
