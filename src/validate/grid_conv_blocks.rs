//! Convolutions that only some algorithms are made for: blocks of outputs (Winograd's tiles, the pairs of them, the pools that are fused behind
//! them), windows that cover the whole input, and batches that no binding holds whole.

use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::types::{Activation, ElementType, Layout, Padding, PaddingMode, Result};
use crate::validate::elsewhere::Elsewhere;
use crate::validate::grid_conv::{BIAS, Extra, Grid, LAYOUTS, PLAIN, pads};

/// Windows of 3 at stride 1: outputs about the edges of Winograd's tiles (2 and 4) either way, along both axes and one, with everything
/// that may come with them.
pub(crate) fn winograd(grid: &mut Grid, full: bool) -> Result<()> {
    let planes: &[(usize, usize)] = if full {
        &[(1, 1), (1, 4), (2, 3), (3, 6), (4, 2), (5, 5), (6, 8), (7, 9), (8, 1), (9, 7), (4, 13)]
    } else {
        &[(1, 1), (2, 5), (9, 4), (7, 13)]
    };
    for (i, &(height, width)) in planes.iter().enumerate() {
        let (batch, channels, filters) = (1 + i % 3, [3, 1, 5, 18][i % 4], [5, 17, 2, 4][i % 4]);
        let descriptor = ConvDescriptor { padding: pads([1, 0], [0, 1]), ..Default::default() };
        grid.forward::<2>(descriptor, &[batch, channels, height + 1, width + 1], filters, [3, 3], if i % 2 == 0 { PLAIN } else { BIAS })?;
        grid.forward::<2>(ConvDescriptor::default(), &[batch, channels, height, width + 2], filters, [1, 3], BIAS)?;
        grid.forward::<1>(ConvDescriptor { padding: pads([2], [1]), ..Default::default() }, &[batch, channels, width], filters, [3], PLAIN)?;
    }
    // A column of taps, with zeros added along the axis that has one.
    grid.forward::<2>(ConvDescriptor { padding: pads([1, 2], [0, 1]), ..Default::default() }, &[2, 6, 8, 5], 7, [3, 1], BIAS)?;
    for padding_mode in PaddingMode::ALL {
        let descriptor = ConvDescriptor { padding: pads([2, 1], [3, 0]), padding_mode, groups: 2, ..Default::default() };
        grid.forward::<2>(descriptor, &[2, 4, 5, 7], 6, [3, 3], PLAIN)?;
    }
    for (i, (x_layout, y_layout)) in LAYOUTS.into_iter().enumerate() {
        let activation = [Activation::Relu, Activation::None, Activation::Gelu, Activation::Silu][i];
        let descriptor = ConvDescriptor { padding: Padding::Same, activation, groups: 1 + i % 2, ..Default::default() };
        grid.forward::<2>(descriptor, &[2, 6, 7, 6], 8, [3, 3], Extra { x_layout, y_layout, ..BIAS })?;
    }
    // Deep enough that the transforms' roundings are few beside the sum's.
    grid.forward::<2>(ConvDescriptor { padding: Padding::Same, ..Default::default() }, &[1, 67, 6, 10], 20, [3, 3], BIAS)
}

/// The same of windows of 5, whose transforms are others: outputs about the edges of tiles, along both axes and one, pairs of tiles, a pool.
pub(crate) fn winograd_of_5(grid: &mut Grid, full: bool) -> Result<()> {
    let planes: &[(usize, usize)] =
        if full { &[(1, 1), (1, 4), (2, 3), (3, 6), (4, 2), (5, 5), (6, 8), (7, 9), (8, 1), (9, 7)] } else { &[(1, 1), (2, 5), (9, 7)] };
    for (i, &(height, width)) in planes.iter().enumerate() {
        let (batch, channels, filters) = (1 + i % 3, [3, 1, 5, 18][i % 4], [5, 17, 2, 4][i % 4]);
        let descriptor = ConvDescriptor { padding: pads([2, 1], [0, 3]), padding_mode: PaddingMode::Zeros, ..Default::default() };
        grid.forward::<2>(descriptor, &[batch, channels, height + 2, width], filters, [5, 5], if i % 2 == 0 { PLAIN } else { BIAS })?;
        grid.forward::<2>(ConvDescriptor::default(), &[batch, channels, height, width + 4], filters, [1, 5], BIAS)?;
    }
    grid.forward::<2>(ConvDescriptor { padding: pads([1, 2], [3, 1]), ..Default::default() }, &[2, 6, 8, 5], 7, [5, 1], BIAS)?;
    grid.forward::<1>(ConvDescriptor { padding: pads([2], [1]), ..Default::default() }, &[2, 3, 14], 5, [5], PLAIN)?;
    let modes = if full { &PaddingMode::ALL[..] } else { &[PaddingMode::Reflect] };
    for (i, &padding_mode) in modes.iter().enumerate() {
        let (x_layout, y_layout) = LAYOUTS[(i + 1) % 4];
        let descriptor =
            ConvDescriptor { padding: pads([2, 1], [3, 2]), padding_mode, groups: 2, activation: Activation::Relu, ..Default::default() };
        grid.forward::<2>(descriptor, &[2, 4, 5, 7], 6, [5, 5], Extra { x_layout, y_layout, ..BIAS })?;
    }
    // Pairs of tiles, 2 and 4 wide, that begin at an even element and at an odd one; with a residual; behind a pool.
    let same = ConvDescriptor { padding: pads([2, 2], [2, 2]), ..Default::default() };
    grid.forward::<2>(same, &[2, 3, 5, 8], 5, [5, 5], BIAS)?;
    let residual = grid.problems.last().map(|p| p.clone().with_residual(true));
    grid.problems.extend(residual);
    grid.forward::<2>(ConvDescriptor { padding: pads([0, 1], [4, 3]), ..same }, &[1, 4, 6, 16], 17, [5, 5], PLAIN)?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Max), ..same }, &[2, 5, 9, 7], 6, [5, 5], BIAS)?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Average), ..same }, &[1, 5, 6, 11], 4, [5, 5], PLAIN)?;
    // Deep enough that the transforms' roundings are few beside the sum's.
    grid.forward::<2>(same, &[1, 67, 6, 10], 20, [5, 5], BIAS)
}

/// The same of transposed convolutions with stride 1, whose filters are read backwards and with channels exchanged: outputs about the edges of tiles, pads that
/// cut off more than a window reaches and pads that add extent, pairs of tiles, groups, layouts, a residual, both windows.
pub(crate) fn winograd_backwards(grid: &mut Grid, full: bool) -> Result<()> {
    let planes: &[(usize, usize)] = if full { &[(1, 1), (1, 4), (2, 3), (4, 2), (5, 5), (6, 8), (9, 7)] } else { &[(1, 2), (5, 4), (6, 8)] };
    for (i, &(height, width)) in planes.iter().enumerate() {
        let (batch, channels, filters) = (1 + i % 3, [3, 1, 5, 18][i % 4], [5, 17, 2, 4][i % 4]);
        let extra = if i % 2 == 0 { PLAIN } else { BIAS };
        for (window, cut) in [(3, pads([0, 1], [1, 0])), (5, pads([2, 1], [1, 2]))] {
            let descriptor = ConvTransposeDescriptor { padding: cut, ..Default::default() };
            grid.transposed::<2>(descriptor, &[batch, channels, height, width], filters, [window; 2], extra)?;
        }
        grid.transposed::<2>(ConvTransposeDescriptor::default(), &[batch, channels, height, width], filters, [1, 3], BIAS)?;
    }
    grid.transposed::<2>(ConvTransposeDescriptor { padding: pads([1, 0], [1, 0]), ..Default::default() }, &[2, 6, 8, 5], 7, [3, 1], BIAS)?;
    grid.transposed::<1>(ConvTransposeDescriptor { padding: pads([2], [1]), ..Default::default() }, &[2, 3, 14], 5, [3], PLAIN)?;
    grid.transposed::<1>(ConvTransposeDescriptor { padding: pads([2], [2]), ..Default::default() }, &[2, 3, 14], 5, [5], BIAS)?;
    // More is cut off than a window reaches, and extent is added that holds the bias alone.
    let same = ConvTransposeDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    grid.transposed::<2>(ConvTransposeDescriptor { padding: pads([3, 4], [4, 3]), ..same }, &[2, 3, 9, 10], 5, [3, 3], BIAS)?;
    let wider = ConvTransposeDescriptor { output_shape: Some([12, 9]), ..Default::default() };
    grid.transposed::<2>(wider, &[1, 3, 6, 4], 5, [3, 3], BIAS)?;
    for (i, (x_layout, y_layout)) in LAYOUTS.into_iter().enumerate() {
        let activation = [Activation::Relu, Activation::None, Activation::Gelu, Activation::Silu][i];
        let descriptor = ConvTransposeDescriptor { activation, groups: 1 + i % 2, ..same };
        grid.transposed::<2>(descriptor, &[2, 6, 7, 6], 8, [3, 3], Extra { x_layout, y_layout, ..BIAS })?;
        let residual = grid.problems.last().map(|p| p.clone().with_residual(true));
        grid.problems.extend(residual);
    }
    // Pairs of tiles, from a padding that is even and one that is odd.
    grid.transposed::<2>(same, &[2, 3, 5, 8], 5, [3, 3], BIAS)?;
    grid.transposed::<2>(ConvTransposeDescriptor { padding: pads([0, 2], [1, 0]), ..same }, &[1, 18, 6, 16], 17, [3, 3], PLAIN)?;
    // Deep enough that the transforms' roundings are few beside the sum's.
    grid.transposed::<2>(same, &[1, 67, 6, 10], 20, [3, 3], BIAS)?;
    grid.transposed::<2>(ConvTransposeDescriptor { padding: pads([2, 2], [2, 2]), ..same }, &[1, 67, 6, 10], 20, [5, 5], BIAS)
}

/// Planes whose rows are pairs of whole tiles (outputs 4, 8, 12 or 16 wide over an even input), which kernels of their own take two at a
/// time where 64-bit loads pay: windows that begin between two halves of a row and not, heights with a tile left over, several images, more
/// tiles than a panel, and planes one element off that they must leave alone.
pub(crate) fn winograd_pairs(grid: &mut Grid, full: bool) -> Result<()> {
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    let shapes: &[(usize, usize, usize, usize)] =
        if full { &[(2, 3, 5, 8), (1, 5, 7, 4), (3, 18, 9, 16), (1, 2, 4, 12), (2, 4, 3, 10)] } else { &[(2, 3, 5, 8), (1, 5, 6, 12)] };
    for (i, &(batch, channels, height, width)) in shapes.iter().enumerate() {
        let filters = [5, 17, 34][i % 3];
        grid.forward::<2>(same, &[batch, channels, height, width], filters, [3, 3], BIAS)?;
        let activation = [Activation::Clip { min: -9.0, max: 30.0 }, Activation::Silu][i % 2];
        let wider = ConvDescriptor { padding: pads([0, 2], [1, 2]), activation, ..Default::default() };
        grid.forward::<2>(wider, &[batch, channels, height, width - 2], filters, [3, 3], PLAIN)?;
        grid.forward::<2>(ConvDescriptor { groups: 2, ..Default::default() }, &[batch, 6, height, width + 2], 8, [1, 3], BIAS)?;
    }
    grid.forward::<1>(ConvDescriptor { padding: pads([1], [1]), ..Default::default() }, &[2, 3, 16], 5, [3], PLAIN)?;
    // Depthwise blocks are four wide, at strides 1 and 2.
    for (i, (stride, pad, width)) in [(1, 1, 8), (2, 1, 16), (1, 2, 4), (2, 0, 10), (1, 1, 12)].into_iter().enumerate() {
        let descriptor = ConvDescriptor { padding: pads([1, pad], [1, pad]), stride: [1 + i % 2, stride], groups: 3, ..Default::default() };
        let window = [3, if pad == 2 { 5 } else { 3 }];
        grid.forward::<2>(descriptor, &[2, 3, 7, width], 6, window, if i % 2 == 0 { BIAS } else { PLAIN })?;
        let residual = grid.problems.last().map(|p| p.clone().with_residual(true));
        grid.problems.extend(residual);
    }
    // The right width, and a first half that begins with a column of padding alone; then an odd input under an even output.
    grid.forward::<2>(ConvDescriptor { padding: pads([1, 3], [1, 1]), ..Default::default() }, &[2, 3, 5, 6], 5, [3, 3], PLAIN)?;
    grid.forward::<2>(ConvDescriptor { padding: pads([1, 1], [1, 2]), ..Default::default() }, &[2, 3, 5, 7], 5, [3, 3], BIAS)?;
    grid.forward::<2>(same, &[2, 3, 7, 8], 6, [3, 3], BIAS)?;
    let residual = grid.problems.last().map(|p| p.clone().with_residual(true));
    grid.problems.extend(residual);
    Ok(())
}

/// Depthwise windows that blocks take at once however long they are, and in parts, with and without a rest of rows and columns; the strides, layouts
/// and borders that blocks know, pairs of elements where rows allow them, a pool and several filters of a channel.
pub(crate) fn long_windows(grid: &mut Grid) -> Result<()> {
    use PaddingMode::Circular;
    use PaddingMode::Reflect;
    use PaddingMode::Replicate;
    use PaddingMode::Zeros;
    let last = Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS };
    for (i, (x, window, stride, padding_mode)) in [
        ([2, 3, 9, 12], [7, 7], [1, 1], Zeros),
        ([1, 2, 11, 5], [9, 1], [1, 1], Replicate),
        ([2, 2, 3, 16], [1, 9], [2, 1], Zeros),
        ([1, 3, 13, 14], [11, 11], [1, 1], Zeros),
        ([1, 2, 10, 20], [8, 16], [1, 1], Reflect),
        ([2, 1, 17, 24], [6, 9], [2, 2], Circular),
        ([1, 2, 14, 23], [5, 4], [3, 4], Zeros),
        ([1, 2, 21, 13], [16, 3], [4, 3], Zeros),
    ]
    .into_iter()
    .enumerate()
    {
        let [r, s] = window.map(|taps: usize| taps / 2);
        let descriptor = ConvDescriptor { padding: pads([r, s], [r, s]), padding_mode, stride, groups: x[1], ..Default::default() };
        let extra = [PLAIN, last, BIAS, Extra { element: ElementType::F16, ..BIAS }][i % 4];
        grid.forward::<2>(descriptor, &x, x[1] * (1 + i % 2), window, extra)?;
    }
    let line = ConvDescriptor { groups: 2, padding: pads([18], [19]), ..Default::default() };
    grid.forward::<1>(line, &[1, 2, 42], 2, [37], PLAIN)?;
    grid.forward::<1>(ConvDescriptor { groups: 2, stride: [2], ..Default::default() }, &[2, 2, 40], 4, [16], BIAS)?;
    let pool = Some(FusedPool::Max);
    grid.forward::<2>(ConvDescriptor { groups: 2, pool, ..Default::default() }, &[1, 2, 17, 18], 2, [12, 9], BIAS)
}

/// Windows as large as the input, which are dense layers over a few images: of every rank, with everything that may come with them; depths and
/// filters that fill a turn and a column of the cores and that do not; a single one of either.
pub(crate) fn full_windows(grid: &mut Grid, full: bool) -> Result<()> {
    let before = grid.problems.len();
    let activation = Activation::Clip { min: -40.0, max: 90.0 };
    let clipped = ConvDescriptor::<2> { activation, stride: [2, 3], ..Default::default() };
    grid.forward::<2>(clipped, &[3, 7, 5, 4], 70, [5, 4], BIAS)?;
    grid.forward::<2>(ConvDescriptor::default(), &[1, 16, 5, 5], 120, [5, 5], PLAIN)?;
    grid.forward::<2>(ConvDescriptor { dilation: [3, 1], ..Default::default() }, &[4, 9, 1, 3], 5, [1, 3], BIAS)?;
    grid.forward::<2>(
        ConvDescriptor::default(),
        &[2, 11, 3, 2],
        13,
        [3, 2],
        Extra { element: ElementType::F16, y_layout: Layout::ChannelsLast, ..BIAS },
    )?;
    grid.forward::<2>(ConvDescriptor::default(), &[2, 1, 1, 1], 3, [1, 1], BIAS)?;
    grid.forward::<2>(clipped, &[4, 96, 1, 1], 68, [1, 1], Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS })?;
    grid.forward::<1>(ConvDescriptor::default(), &[2, 5, 6], 9, [6], PLAIN)?;
    grid.forward::<3>(ConvDescriptor { activation: Activation::Tanh, ..Default::default() }, &[2, 3, 2, 4, 3], 33, [2, 4, 3], BIAS)?;
    if full {
        grid.forward::<2>(ConvDescriptor::default(), &[4, 33, 7, 7], 257, [7, 7], BIAS)?;
        grid.forward::<2>(ConvDescriptor::default(), &[1, 300, 1, 1], 1000, [1, 1], PLAIN)?;
    }
    let more: Vec<ConvProblem> = grid.problems[before..].iter().map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(more);
    Ok(())
}

/// Pools after the activation: outputs of one window, with an odd row and column left over, past a tile or a block either way; fused (windows
/// of 3 at stride 1, depthwise blocks) and by two kernels (every other algorithm, strips, one axis of Winograd).
pub(crate) fn pools(grid: &mut Grid, full: bool) -> Result<()> {
    use FusedPool::Average;
    use FusedPool::Max;
    let planes: &[(usize, usize)] =
        if full { &[(2, 2), (2, 3), (3, 2), (3, 3), (4, 6), (5, 4), (7, 9), (6, 11), (8, 8), (9, 5)] } else { &[(2, 2), (3, 3), (5, 4), (7, 9)] };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    for (i, &(height, width)) in planes.iter().enumerate() {
        for (pool, activation) in [(Max, Activation::Clip { min: -9.0, max: 30.0 }), (Average, Activation::Gelu)] {
            let (batch, channels, filters) = (1 + i % 2, [1, 5, 18][i % 3], [6, 3, 17][i % 3]);
            let extra = [BIAS, Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS }][i / 2 % 2];
            let descriptor = ConvDescriptor { pool: Some(pool), activation, ..same };
            grid.forward::<2>(descriptor, &[batch, channels, height, width], filters, [3, 3], extra)?;
            grid.forward::<2>(ConvDescriptor { groups: channels, ..descriptor }, &[batch, channels, height, width], 2 * channels, [3, 3], extra)?;
        }
    }
    for (i, (x_layout, y_layout)) in LAYOUTS.into_iter().enumerate() {
        let pool = Some([Max, Average][i % 2]);
        let plain = ConvDescriptor { pool, ..Default::default() };
        let extra = Extra { x_layout, y_layout, ..PLAIN };
        let half = Extra { element: ElementType::F16, ..extra };
        grid.forward::<2>(ConvDescriptor { groups: 2, ..plain }, &[2, 6, 9, 8], 8, [3, 3], extra)?;
        grid.forward::<2>(plain, &[2, 5, 7, 9], 9, [1, 1], half)?;
        grid.forward::<2>(ConvDescriptor { groups: 4, stride: [2, 1], ..plain }, &[2, 4, 11, 9], 4, [5, 3], half)?;
        let mode = PaddingMode::ALL[i];
        grid.forward::<2>(ConvDescriptor { padding: pads([2, 1], [1, 2]), padding_mode: mode, ..plain }, &[2, 4, 6, 7], 5, [3, 3], extra)?;
        grid.forward::<2>(ConvDescriptor { dilation: [1, 2], groups: 3, ..plain }, &[1, 3, 8, 9], 6, [3, 2], extra)?; // strips
    }
    for pool in [Some(Max), Some(Average)] {
        grid.forward::<1>(ConvDescriptor { pool, ..Default::default() }, &[2, 5, 23], 7, [3], BIAS)?;
        grid.forward::<1>(ConvDescriptor { pool, groups: 5, ..Default::default() }, &[2, 5, 24], 5, [3], BIAS)?;
        grid.forward::<2>(ConvDescriptor { pool, ..Default::default() }, &[2, 6, 6, 13], 7, [1, 3], BIAS)?;
        grid.forward::<3>(ConvDescriptor { pool, ..Default::default() }, &[1, 3, 5, 6, 8], 4, [2, 3, 3], BIAS)?;
        grid.forward::<2>(ConvDescriptor { pool, ..same }, &[1, 67, 6, 11], 20, [3, 3], BIAS)?;
        grid.forward::<2>(ConvDescriptor { pool, ..Default::default() }, &[2, 5, 7, 8], 9, [1, 1], BIAS)?;
        grid.forward::<2>(ConvDescriptor { pool, groups: 5, ..same }, &[2, 5, 7, 8], 5, [3, 3], BIAS)?;
        let several: Vec<ConvProblem> = grid.problems.iter().rev().take(3).map(|p| p.clone().with_residual(true)).collect();
        grid.problems.extend(several);
        let transposed = ConvTransposeDescriptor { stride: [2, 1], ..Default::default() };
        let inputs = ConvInputs::new(&[2, 4, 3, 5], &[4, 6, 3, 2], None);
        grid.problems.push(ConvProblem::transposed::<2>(&inputs, &transposed)?.with_pool(pool)?.with_accuracy(Accuracy::Reduced));
    }
    Ok(())
}

/// Windows at stride 1 and tiles of Fourier transforms: lines of every length, in one step and in two, one tile and several, an even and an odd number of
/// them, with everything that may come with them. The shortest lines are those of other windows.
pub(crate) fn fourier(grid: &mut Grid, full: bool) -> Result<()> {
    let reduced = ConvDescriptor { accuracy: Accuracy::Reduced, ..Default::default() };
    // Groups of one channel: 32, 64 and 128 numbers a line, and 16 with 4; images in odd numbers, so that one of a pair of tiles is of the next image.
    let wide = ConvDescriptor { padding: pads([9, 4], [8, 5]), groups: 3, activation: Activation::Silu, ..reduced };
    grid.forward::<2>(wide, &[3, 3, 19, 23], 6, [18, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { dilation: [3, 5], ..wide }, &[1, 3, 30, 60], 3, [9, 9], PLAIN)?;
    // Several channels: sums by either core, panels that are not full, groups.
    grid.forward::<2>(ConvDescriptor { padding: pads([3, 2], [3, 2]), groups: 2, ..reduced }, &[2, 10, 21, 17], 14, [7, 5], BIAS)?;
    let line = ConvDescriptor { accuracy: Accuracy::Reduced, ..Default::default() };
    grid.forward::<1>(ConvDescriptor { padding: pads([20], [3]), ..line }, &[2, 5, 90], 7, [21], BIAS)?;
    grid.forward::<2>(reduced, &[1, 2, 40, 3], 3, [17, 1], PLAIN)?;
    for padding_mode in PaddingMode::ALL {
        let descriptor = ConvDescriptor { padding: pads([4, 6], [5, 2]), padding_mode, groups: 2, ..reduced };
        grid.forward::<2>(descriptor, &[1, 2, 11, 19], 2, [9, 6], PLAIN)?;
    }
    if full {
        // 256 and 512 numbers a line.
        grid.forward::<2>(ConvDescriptor { groups: 2, ..reduced }, &[1, 2, 70, 150], 2, [66, 140], BIAS)?;
        grid.forward::<1>(ConvDescriptor { padding: pads([100], [99]), ..line }, &[1, 1, 1000], 2, [200], BIAS)?;
        for (x_layout, y_layout) in LAYOUTS {
            grid.forward::<2>(ConvDescriptor { groups: 4, ..reduced }, &[1, 4, 20, 21], 4, [11, 12], Extra { x_layout, y_layout, ..BIAS })?;
        }
    }
    Ok(())
}

/// Batches that no binding holds whole, as every algorithm computes them: slices begin inside their bindings, and each has its own bias, residual,
/// partial sums or pool. Then images whose transformed tiles fill several bindings, for Winograd: its parts begin and end inside a row of tiles,
/// inside an image and with the last one.
pub(crate) fn sliced() -> Result<Vec<(ConvProblem, Elsewhere)>> {
    let mut grid = Grid { problems: Vec::new() };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    let clipped = ConvDescriptor { activation: Activation::Clip { min: -9.0, max: 30.0 }, ..same };
    let last = Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS };
    let half = Extra { element: ElementType::F16, ..BIAS };
    grid.forward::<2>(clipped, &[7, 3, 9, 14], 5, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Max), ..same }, &[7, 3, 9, 14], 5, [3, 3], last)?;
    grid.forward::<2>(ConvDescriptor { stride: [2, 1], dilation: [1, 2], ..same }, &[7, 4, 9, 11], 6, [3, 2], half)?;
    grid.forward::<2>(ConvDescriptor { groups: 3, ..clipped }, &[7, 3, 9, 14], 6, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { groups: 3, stride: [2, 1], ..clipped }, &[7, 3, 9, 14], 6, [5, 2], last)?;
    grid.forward::<2>(ConvDescriptor::default(), &[6, 9, 5, 7], 17, [1, 1], BIAS)?;
    grid.forward::<2>(ConvDescriptor::default(), &[6, 8, 5, 7], 8, [1, 1], Extra { element: ElementType::F16, ..last })?;
    grid.transposed::<2>(ConvTransposeDescriptor { stride: [2, 2], ..Default::default() }, &[5, 3, 6, 5], 4, [3, 2], BIAS)?;
    let residual: Vec<ConvProblem> = grid.problems.iter().map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(residual);
    let mut all: Vec<(ConvProblem, Elsewhere)> = grid.problems.drain(..).map(|problem| (problem, Elsewhere::Binding(4096))).collect();

    grid.forward::<2>(clipped, &[2, 2, 37, 34], 3, [3, 3], BIAS)?;
    grid.forward::<2>(same, &[2, 3, 30, 40], 3, [3, 3], BIAS)?; // pairs of tiles
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Average), ..same }, &[2, 3, 36, 34], 2, [3, 3], last)?;
    grid.forward::<2>(ConvDescriptor { groups: 2, ..Default::default() }, &[1, 4, 35, 38], 2, [1, 3], BIAS)?;
    grid.forward::<1>(ConvDescriptor { padding: pads([1], [1]), ..Default::default() }, &[3, 5, 700], 7, [3], PLAIN)?;
    // Of Fourier transforms: pairs of tiles in several parts.
    let reduced = ConvDescriptor { accuracy: Accuracy::Reduced, groups: 2, ..Default::default() };
    grid.forward::<2>(reduced, &[3, 2, 29, 27], 2, [9, 8], BIAS)?;
    grid.forward::<2>(reduced, &[2, 4, 17, 29], 4, [2, 5], BIAS)?;
    let residual: Vec<ConvProblem> = grid.problems.iter().map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(residual);
    all.extend(grid.problems.into_iter().map(|problem| (problem, Elsewhere::Binding(32 << 10))));
    Ok(all)
}

/// Convolutions on the tile cores that read and store vec4s, whole ones and not, and single numbers: with groups, a residual and a rest of
/// every tile's rows and steps.
pub(crate) fn on_other_processor() -> Result<Vec<(ConvProblem, Elsewhere)>> {
    let mut grid = Grid { problems: Vec::new() };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    grid.forward::<2>(same, &[2, 5, 9, 16], 37, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { groups: 2, stride: [2, 1], ..same }, &[2, 14, 9, 13], 18, [3, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor::default(), &[2, 21, 6, 10], 37, [1, 1], BIAS)?;
    grid.forward::<2>(ConvDescriptor::default(), &[1, 8, 5, 7], 8, [1, 1], PLAIN)?;
    let residual: Vec<ConvProblem> = grid.problems.iter().step_by(2).map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(residual);
    Ok(grid.problems.into_iter().map(|problem| (problem, Elsewhere::OtherProcessor)).collect())
}

/// Convolutions as the other kind of device computes them, with channels last: the transforms of Winograd take eight channels at once there, of which there
/// are whole ones and not, with groups, a residual and a pool. Depthwise blocks have their rows written out, or a loop over them.
pub(crate) fn on_other_kind() -> Result<Vec<(ConvProblem, Elsewhere)>> {
    let mut grid = Grid { problems: Vec::new() };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    let last = Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS };
    grid.forward::<2>(same, &[2, 19, 9, 14], 21, [3, 3], last)?;
    grid.forward::<2>(ConvDescriptor { groups: 2, ..same }, &[1, 24, 7, 9], 18, [3, 3], Extra { y_layout: Layout::ChannelsFirst, ..last })?;
    grid.forward::<2>(same, &[2, 9, 7, 6], 8, [3, 3], Extra { element: ElementType::F16, ..last })?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Average), ..same }, &[2, 9, 10, 13], 12, [3, 3], last)?;
    // The sums of Fourier transforms by the other core.
    let reduced = ConvDescriptor { accuracy: Accuracy::Reduced, padding: pads([3, 2], [3, 2]), groups: 2, ..Default::default() };
    grid.forward::<2>(reduced, &[1, 6, 18, 13], 10, [7, 5], BIAS)?;
    // Whole windows; parts with a rest of rows and of columns; lines; strides that end a block early; everything beside the sums.
    let depthwise = ConvDescriptor { padding: pads([2, 1], [1, 2]), groups: 3, ..Default::default() };
    grid.forward::<2>(depthwise, &[2, 3, 9, 11], 6, [4, 3], BIAS)?;
    grid.forward::<2>(ConvDescriptor { padding: pads([5, 4], [4, 5]), ..depthwise }, &[1, 3, 12, 15], 6, [11, 11], PLAIN)?;
    grid.forward::<2>(ConvDescriptor { stride: [2, 3], ..depthwise }, &[2, 3, 13, 20], 3, [5, 7], BIAS)?;
    grid.forward::<2>(ConvDescriptor { padding: pads([0, 15], [0, 15]), ..depthwise }, &[1, 3, 5, 33], 3, [1, 31], PLAIN)?;
    grid.forward::<2>(ConvDescriptor { padding: pads([8, 0], [8, 0]), ..depthwise }, &[1, 3, 19, 6], 3, [17, 1], BIAS)?;
    grid.forward::<2>(ConvDescriptor { pool: Some(FusedPool::Max), ..depthwise }, &[2, 3, 10, 9], 3, [3, 3], BIAS)?;
    grid.forward::<2>(depthwise, &[1, 3, 8, 10], 6, [5, 3], Extra { element: ElementType::F16, ..last })?;
    let residual: Vec<ConvProblem> = grid.problems.iter().take(1).map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(residual);
    Ok(grid.problems.into_iter().map(|problem| (problem, Elsewhere::OtherKind)).collect())
}
