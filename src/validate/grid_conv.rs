//! The convolutions that every algorithm is forced over. Shapes walk the edges on purpose: tails of every tile size, odd and
//! prime extents, height and width never alike, four different pads, every mode, layout, activation and rank.

use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::problem::{ConvInputs, ConvProblem};
use crate::types::{Activation, ElementType, Layout, Padding, PaddingMode, Result, TensorType};
use crate::validate::grid_conv_blocks::{fourier, full_windows, long_windows, pools, winograd, winograd_backwards, winograd_of_5, winograd_pairs};
use crate::validate::grid_conv_phases::phases;

/// What a problem adds to its descriptor and shapes.
#[derive(Clone, Copy)]
pub(crate) struct Extra {
    pub bias: bool,
    pub x_layout: Layout,
    pub y_layout: Layout,
    pub element: ElementType,
}

pub(crate) const PLAIN: Extra = Extra { bias: false, x_layout: Layout::ChannelsFirst, y_layout: Layout::ChannelsFirst, element: ElementType::F32 };

pub(crate) const BIAS: Extra = Extra { bias: true, ..PLAIN };

pub(crate) const LAYOUTS: [(Layout, Layout); 4] = [
    (Layout::ChannelsFirst, Layout::ChannelsFirst),
    (Layout::ChannelsLast, Layout::ChannelsLast),
    (Layout::ChannelsFirst, Layout::ChannelsLast),
    (Layout::ChannelsLast, Layout::ChannelsFirst),
];

/// Collects problems; a problem that does not resolve is a mistake of the grid and ends the run with its error.
pub(crate) struct Grid {
    pub problems: Vec<ConvProblem>,
}

impl Grid {
    /// x is N C and spatial extents; the filter's spatial extents follow `filters`.
    pub fn forward<const N: usize>(
        &mut self,
        descriptor: ConvDescriptor<N>,
        x: &[usize],
        filters: usize,
        window: [usize; N],
        extra: Extra,
    ) -> Result<()> {
        let filter: Vec<usize> = [filters, x[1] / descriptor.groups].into_iter().chain(window).collect();
        self.add(x, &filter, filters, extra, |inputs| ConvProblem::forward(inputs, &descriptor))
    }

    pub fn transposed<const N: usize>(
        &mut self,
        descriptor: ConvTransposeDescriptor<N>,
        x: &[usize],
        filters: usize,
        window: [usize; N],
        extra: Extra,
    ) -> Result<()> {
        let filter: Vec<usize> = [x[1], filters / descriptor.groups].into_iter().chain(window).collect();
        self.add(x, &filter, filters, extra, |inputs| ConvProblem::transposed(inputs, &descriptor))
    }

    fn add(
        &mut self,
        x: &[usize],
        filter: &[usize],
        filters: usize,
        extra: Extra,
        resolve: impl FnOnce(&ConvInputs<'_>) -> Result<ConvProblem>,
    ) -> Result<()> {
        let bias = [filters];
        let x = TensorType::new(x, extra.element, extra.x_layout);
        let inputs = ConvInputs { x, filter, bias: extra.bias.then_some(&bias[..]), y_layout: extra.y_layout };
        // Whatever admits it is forced over it; how exact a caller wants it is no matter of the check.
        self.problems.push(resolve(&inputs)?.with_accuracy(Accuracy::Reduced));
        Ok(())
    }
}

pub(crate) fn pads<const N: usize>(begin: [usize; N], end: [usize; N]) -> Padding<N> {
    Padding::Explicit { begin, end }
}

/// The convolutions, forward and transposed.
pub(crate) fn problems(full: bool) -> Result<Vec<ConvProblem>> {
    let mut grid = Grid { problems: Vec::new() };
    tile_tails(&mut grid, full)?;
    windows(&mut grid, full)?;
    padding(&mut grid, full)?;
    groups(&mut grid, full)?;
    epilogues(&mut grid, full)?;
    ranks(&mut grid)?;
    transposed(&mut grid, full)?;
    phases(&mut grid, full)?;
    halves(&mut grid)?;
    winograd(&mut grid, full)?;
    winograd_pairs(&mut grid, full)?;
    winograd_of_5(&mut grid, full)?;
    winograd_backwards(&mut grid, full)?;
    fourier(&mut grid, full)?;
    long_windows(&mut grid)?;
    pools(&mut grid, full)?;
    full_windows(&mut grid, full)?;
    residuals(&mut grid);
    Ok(grid.problems)
}

/// Rows that fill the tallest tile of the register core and that leave one to spare; depths of a group that every count of steps divides
/// and that none does; planes in whole vec4s and not.
pub(crate) fn tiled(full: bool) -> Result<Vec<ConvProblem>> {
    let mut grid = Grid { problems: Vec::new() };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), ..Default::default() };
    // Each tile is a kernel of its own, which takes a driver up to a second to compile: the quick grid has few.
    let shapes: &[(usize, usize, usize)] = if full { &[(32, 8, 16), (24, 7, 13), (53, 3, 21), (32, 4, 21)] } else { &[(32, 8, 16), (53, 7, 21)] };
    for &(filters, channels, width) in shapes {
        grid.forward::<2>(same, &[2, channels, 9, width], filters, [3, 3], BIAS)?;
        if full {
            grid.forward::<2>(ConvDescriptor::default(), &[2, channels, 9, width + 15], filters, [1, 1], PLAIN)?;
            grid.forward::<2>(ConvDescriptor::default(), &[2, channels, 4, 9], filters, [1, 1], Extra { element: ElementType::F16, ..BIAS })?;
        }
    }
    grid.forward::<2>(ConvDescriptor::default(), &[2, 5, 7, 36], 23, [1, 1], PLAIN)?;
    grid.forward::<2>(ConvDescriptor::default(), &[3, 7, 5, 4], 70, [5, 4], BIAS)?; // a dense layer of 3 x 140 x 70
    if full {
        residuals(&mut grid);
    }
    Ok(grid.problems)
}

/// Problems that leave a rest of every tile of the workgroup core, of its slabs and of the splits of its depth: outer K steps that are whole
/// vec4s, that are none, and that are shorter than one; with groups, images, layouts, f16, a residual and transposed.
pub(crate) fn workgroup_tiled() -> Result<Vec<ConvProblem>> {
    let mut grid = Grid { problems: Vec::new() };
    let last = Extra { x_layout: Layout::ChannelsLast, y_layout: Layout::ChannelsLast, ..BIAS };
    let same = ConvDescriptor { padding: pads([1, 1], [1, 1]), activation: Activation::Clip { min: -40.0, max: 90.0 }, ..Default::default() };
    grid.forward::<2>(ConvDescriptor { groups: 2, ..same }, &[2, 10, 9, 17], 134, [3, 3], BIAS)?;
    grid.forward::<2>(same, &[3, 24, 7, 11], 130, [3, 2], Extra { element: ElementType::F16, ..last })?;
    grid.forward::<2>(ConvDescriptor { groups: 3, ..same }, &[2, 60, 6, 10], 36, [3, 3], last)?;
    grid.forward::<2>(ConvDescriptor { stride: [2, 1], ..same }, &[1, 3, 23, 12], 33, [7, 5], Extra { x_layout: Layout::ChannelsLast, ..PLAIN })?;
    let transposed = ConvTransposeDescriptor { stride: [2, 1], groups: 2, ..Default::default() };
    grid.transposed::<2>(transposed, &[2, 16, 5, 7], 72, [3, 2], Extra { y_layout: Layout::ChannelsLast, ..BIAS })?;
    // Phases of one tap, two and four, and phases of four tiles' whole slabs each.
    let phases = ConvTransposeDescriptor { stride: [2, 2], padding: pads([1, 1], [1, 1]), ..Default::default() };
    grid.transposed::<2>(phases, &[2, 20, 6, 7], 70, [3, 3], BIAS)?;
    grid.transposed::<2>(phases, &[2, 32, 6, 7], 70, [4, 4], last)?;
    grid.forward::<2>(ConvDescriptor::default(), &[2, 37, 7, 9], 130, [1, 1], last)?;
    grid.forward::<2>(ConvDescriptor::default(), &[2, 44, 8, 10], 70, [1, 1], BIAS)?;
    grid.forward::<2>(ConvDescriptor { groups: 2, ..Default::default() }, &[2, 88, 9, 7], 66, [1, 1], Extra { element: ElementType::F16, ..last })?;
    let more: Vec<ConvProblem> = grid.problems.iter().step_by(2).map(|p| p.clone().with_residual(true)).collect();
    grid.problems.extend(more);
    Ok(grid.problems)
}

/// Rows, columns and depths just below, at and above the tiles of the GEMM cores (4 to 16 and 32, 64; 4, 32, 64, 256; 16).
fn tile_tails(grid: &mut Grid, full: bool) -> Result<()> {
    let rows: &[usize] =
        if full { &[1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 129] } else { &[1, 3, 5, 8, 13, 17, 33, 65] };
    for (i, &filters) in rows.iter().enumerate() {
        let channels = 1 + i % 17;
        let extra = if i % 2 == 0 { PLAIN } else { BIAS };
        grid.forward::<2>(ConvDescriptor { padding: pads([1, 0], [0, 1]), ..Default::default() }, &[1, channels, 6, 9], filters, [3, 2], extra)?;
        grid.forward::<2>(ConvDescriptor::default(), &[1, channels, 5, 11], filters, [1, 1], extra)?;
    }
    let planes: &[(usize, usize)] = if full {
        &[(1, 1), (1, 3), (1, 4), (5, 1), (3, 5), (31, 1), (8, 4), (3, 11), (7, 9), (8, 8), (5, 13), (15, 17), (16, 16), (257, 1), (19, 27)]
    } else {
        &[(1, 1), (1, 5), (7, 9), (5, 13), (257, 1)]
    };
    for (i, &(height, width)) in planes.iter().enumerate() {
        let batch = 1 + i % 3;
        grid.forward::<2>(ConvDescriptor::default(), &[batch, 5, height + 1, width + 2], 6, [2, 3], PLAIN)?;
        grid.forward::<2>(ConvDescriptor::default(), &[batch, 18, height, width], 34, [1, 1], BIAS)?;
    }
    let channels: &[usize] =
        if full { &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 32, 33, 130] } else { &[1, 2, 7, 15, 16, 17, 33] };
    for &channels in channels {
        grid.forward::<2>(ConvDescriptor::default(), &[2, channels, 4, 7], 9, [1, 1], BIAS)?;
        grid.forward::<2>(ConvDescriptor::default(), &[1, channels, 4, 7], 9, [1, 3], PLAIN)?;
    }
    Ok(())
}

/// Strides, dilations and window extents, different along each axis.
fn windows(grid: &mut Grid, full: bool) -> Result<()> {
    let strides: &[[usize; 2]] = if full { &[[1, 1], [1, 2], [2, 1], [2, 2], [2, 3], [3, 1], [4, 5]] } else { &[[1, 2], [2, 1], [2, 3]] };
    let dilations: &[[usize; 2]] = if full { &[[1, 1], [1, 2], [2, 1], [3, 2]] } else { &[[1, 2], [3, 1]] };
    let extents: &[[usize; 2]] = if full { &[[12, 13], [13, 12], [17, 11]] } else { &[[12, 13]] };
    for &stride in strides {
        for &dilation in dilations {
            for (i, &[height, width]) in extents.iter().enumerate() {
                let window = [[3, 2], [2, 4], [4, 3]][i];
                let descriptor = ConvDescriptor { stride, dilation, padding: pads([1, 2], [0, 3]), ..Default::default() };
                grid.forward::<2>(descriptor, &[2, 3, height, width], 7, window, BIAS)?;
                grid.forward::<2>(ConvDescriptor { groups: 3, ..descriptor }, &[1, 3, height, width], 6, window, PLAIN)?;
            }
        }
    }
    grid.forward::<2>(ConvDescriptor { stride: [7, 9], ..Default::default() }, &[1, 2, 15, 19], 3, [1, 1], PLAIN)?; // stride beyond the window
    grid.forward::<2>(ConvDescriptor::default(), &[1, 3, 11, 13], 4, [11, 13], BIAS)?; // the window is the whole input
    grid.forward::<2>(ConvDescriptor { padding: Padding::Same, ..Default::default() }, &[1, 2, 14, 9], 3, [7, 5], PLAIN)
}

/// Pads of every kind: SAME both ways, one-sided, larger than the input, every mode.
fn padding(grid: &mut Grid, full: bool) -> Result<()> {
    for padding in [Padding::Same, Padding::SameLower] {
        for stride in [[1, 1], [2, 1], [2, 3]] {
            grid.forward::<2>(ConvDescriptor { padding, stride, ..Default::default() }, &[1, 3, 8, 11], 5, [4, 2], PLAIN)?;
            if full {
                grid.forward::<2>(ConvDescriptor { padding, stride, dilation: [2, 3], ..Default::default() }, &[2, 3, 9, 10], 5, [3, 4], BIAS)?;
            }
        }
    }
    for (begin, end) in [([2, 0], [0, 0]), ([0, 3], [0, 0]), ([0, 0], [2, 0]), ([0, 0], [0, 3]), ([6, 5], [7, 9])] {
        grid.forward::<2>(ConvDescriptor { padding: pads(begin, end), ..Default::default() }, &[1, 2, 4, 5], 3, [3, 4], BIAS)?;
    }
    // The window is larger than the unpadded input.
    grid.forward::<2>(ConvDescriptor { padding: pads([2, 3], [1, 2]), ..Default::default() }, &[1, 3, 2, 3], 4, [5, 7], PLAIN)?;
    for padding_mode in PaddingMode::ALL {
        let descriptor = ConvDescriptor { padding: pads([2, 4], [3, 1]), padding_mode, ..Default::default() };
        grid.forward::<2>(descriptor, &[2, 4, 5, 7], 6, [3, 4], PLAIN)?;
        grid.forward::<2>(ConvDescriptor { groups: 4, stride: [2, 1], ..descriptor }, &[1, 4, 5, 7], 8, [2, 3], BIAS)?;
        grid.forward::<2>(ConvDescriptor { dilation: [2, 3], ..descriptor }, &[1, 4, 5, 7], 3, [3, 2], PLAIN)?;
        grid.forward::<1>(ConvDescriptor { padding: pads([3], [2]), padding_mode, ..Default::default() }, &[2, 3, 4], 5, [4], PLAIN)?;
        grid.forward::<3>(
            ConvDescriptor { padding: pads([1, 0, 2], [0, 2, 1]), padding_mode, ..Default::default() },
            &[1, 2, 2, 3, 4],
            3,
            [2, 2, 3],
            PLAIN,
        )?;
    }
    Ok(())
}

/// Groups, depthwise, depthwise with several filters a channel.
fn groups(grid: &mut Grid, full: bool) -> Result<()> {
    for (groups, channels, filters) in [(2, 6, 10), (3, 12, 9), (5, 5, 5), (7, 7, 14), (4, 4, 20), (2, 34, 66)] {
        let descriptor = ConvDescriptor { groups, padding: pads([1, 1], [1, 0]), ..Default::default() };
        grid.forward::<2>(descriptor, &[2, channels, 6, 9], filters, [3, 3], BIAS)?;
        grid.forward::<2>(ConvDescriptor { groups, ..Default::default() }, &[1, channels, 6, 9], filters, [1, 1], PLAIN)?;
        if full {
            grid.forward::<2>(ConvDescriptor { stride: [2, 2], ..descriptor }, &[1, channels, 9, 14], filters, [5, 5], PLAIN)?;
            grid.forward::<2>(ConvDescriptor { stride: [1, 3], dilation: [2, 1], ..descriptor }, &[1, channels, 9, 14], filters, [2, 5], BIAS)?;
        }
    }
    for width in if full { 1..=9 } else { 3..=6 } {
        grid.forward::<2>(ConvDescriptor { groups: 3, padding: Padding::Same, ..Default::default() }, &[1, 3, 3, width], 3, [3, 3], PLAIN)?;
    }
    Ok(())
}

/// Every activation with and without bias; every pair of layouts, on shapes that reach every algorithm.
fn epilogues(grid: &mut Grid, full: bool) -> Result<()> {
    let parametrised =
        [Activation::LeakyRelu { alpha: 0.25 }, Activation::Elu { alpha: 0.5 }, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }];
    for (i, activation) in Activation::ALL.into_iter().chain(parametrised).enumerate() {
        let extra = if i % 2 == 0 { BIAS } else { PLAIN };
        grid.forward::<2>(ConvDescriptor { activation, ..Default::default() }, &[1, 2, 5, 6], 5, [1, 1], extra)?;
        if full {
            grid.forward::<2>(ConvDescriptor { activation, ..Default::default() }, &[1, 3, 6, 5], 4, [3, 2], BIAS)?;
            grid.forward::<2>(ConvDescriptor { activation, groups: 4, ..Default::default() }, &[1, 4, 6, 5], 4, [3, 2], PLAIN)?;
            grid.transposed::<2>(ConvTransposeDescriptor { activation, stride: [2, 1], ..Default::default() }, &[1, 3, 3, 4], 4, [3, 2], BIAS)?;
        }
    }
    // Depthwise shares its epilogue with the rest; one rounding activation shows that it is applied there.
    grid.forward::<2>(ConvDescriptor { activation: Activation::Silu, groups: 4, ..Default::default() }, &[1, 4, 6, 5], 4, [3, 2], BIAS)?;
    for (x_layout, y_layout) in LAYOUTS {
        let extra = Extra { x_layout, y_layout, ..BIAS };
        let descriptor = ConvDescriptor { padding: pads([1, 0], [2, 1]), stride: [2, 1], ..Default::default() };
        grid.forward::<2>(descriptor, &[2, 6, 7, 9], 10, [3, 2], extra)?;
        grid.forward::<2>(ConvDescriptor { groups: 6, ..descriptor }, &[2, 6, 7, 9], 12, [3, 2], extra)?;
        grid.forward::<2>(ConvDescriptor { groups: 2, ..Default::default() }, &[2, 6, 7, 9], 10, [1, 1], extra)?;
        grid.forward::<1>(ConvDescriptor::default(), &[2, 5, 12], 3, [4], extra)?;
        grid.forward::<3>(ConvDescriptor::default(), &[2, 3, 4, 3, 5], 5, [2, 3, 2], extra)?;
        grid.transposed::<2>(ConvTransposeDescriptor { stride: [2, 3], groups: 2, ..Default::default() }, &[2, 4, 3, 5], 6, [3, 2], extra)?;
    }
    Ok(())
}

/// One and three spatial axes.
fn ranks(grid: &mut Grid) -> Result<()> {
    for (stride, dilation) in [(1, 1), (2, 1), (1, 3), (3, 2)] {
        let descriptor = ConvDescriptor { stride: [stride], dilation: [dilation], padding: pads([2], [1]), ..Default::default() };
        grid.forward::<1>(descriptor, &[2, 4, 23], 6, [5], BIAS)?;
        grid.forward::<1>(ConvDescriptor { groups: 4, ..descriptor }, &[1, 4, 23], 8, [3], PLAIN)?;
        let descriptor =
            ConvDescriptor { stride: [stride, 1, 2], dilation: [1, dilation, 1], padding: pads([1, 0, 2], [0, 3, 1]), ..Default::default() };
        grid.forward::<3>(descriptor, &[1, 3, 5, 7, 6], 5, [3, 2, 3], BIAS)?;
        grid.forward::<3>(ConvDescriptor { groups: 3, ..descriptor }, &[2, 3, 5, 7, 6], 3, [2, 3, 2], PLAIN)?;
    }
    grid.forward::<1>(ConvDescriptor::default(), &[3, 6, 17], 5, [1], BIAS)?;
    grid.forward::<3>(ConvDescriptor::default(), &[2, 6, 2, 3, 5], 5, [1, 1, 1], BIAS)
}

/// Transposed convolution: strides, dilations, pads both ways, output padding, wanted shapes, groups, ranks.
fn transposed(grid: &mut Grid, full: bool) -> Result<()> {
    let strides: &[[usize; 2]] = if full { &[[1, 1], [1, 2], [2, 1], [2, 2], [3, 2], [4, 5]] } else { &[[1, 1], [2, 1], [3, 2]] };
    for (i, &stride) in strides.iter().enumerate() {
        for dilation in [[1, 1], [2, 3]] {
            for groups in [1, 2, 4] {
                let descriptor = ConvTransposeDescriptor { stride, dilation, groups, padding: pads([1, 0], [0, 2]), ..Default::default() };
                let extra = if (i + groups) % 2 == 0 { BIAS } else { PLAIN };
                grid.transposed::<2>(descriptor, &[2, 4, 4, 5], 8, [3, 4], extra)?;
            }
        }
    }
    for padding in [Padding::Same, Padding::SameLower] {
        grid.transposed::<2>(ConvTransposeDescriptor { stride: [2, 3], padding, ..Default::default() }, &[1, 3, 4, 5], 5, [4, 2], BIAS)?;
        let wanted = ConvTransposeDescriptor { stride: [2, 2], padding, output_shape: Some([12, 9]), ..Default::default() };
        grid.transposed::<2>(wanted, &[1, 3, 4, 4], 5, [3, 3], BIAS)?; // a negative pad along the height
    }
    let padded = ConvTransposeDescriptor { stride: [3, 2], output_padding: [2, 1], padding: pads([1, 1], [1, 0]), ..Default::default() };
    grid.transposed::<2>(padded, &[1, 5, 3, 4], 7, [3, 3], PLAIN)?;
    grid.transposed::<2>(ConvTransposeDescriptor::default(), &[2, 7, 5, 6], 9, [1, 1], BIAS)?; // pointwise both ways
    grid.transposed::<1>(ConvTransposeDescriptor { stride: [3], dilation: [2], ..Default::default() }, &[2, 3, 7], 5, [4], BIAS)?;
    grid.transposed::<3>(
        ConvTransposeDescriptor { stride: [2, 1, 3], padding: pads([1, 0, 1], [0, 1, 2]), groups: 2, ..Default::default() },
        &[1, 4, 3, 2, 4],
        6,
        [3, 2, 3],
        BIAS,
    )
}

/// f16 storage with f32 sums, on every algorithm.
fn halves(grid: &mut Grid) -> Result<()> {
    let extra = Extra { element: ElementType::F16, ..BIAS };
    for (x_layout, y_layout) in LAYOUTS {
        let extra = Extra { x_layout, y_layout, ..extra };
        grid.forward::<2>(ConvDescriptor { padding: pads([1, 0], [2, 1]), ..Default::default() }, &[2, 5, 7, 9], 9, [3, 2], extra)?;
        grid.forward::<2>(ConvDescriptor { groups: 3, ..Default::default() }, &[1, 3, 7, 9], 6, [3, 3], extra)?;
        grid.forward::<2>(ConvDescriptor::default(), &[1, 21, 5, 7], 33, [1, 1], extra)?;
    }
    grid.forward::<2>(ConvDescriptor { activation: Activation::Gelu, ..Default::default() }, &[1, 4, 5, 7], 3, [2, 3], extra)?;
    grid.transposed::<2>(ConvTransposeDescriptor { stride: [2, 3], ..Default::default() }, &[1, 4, 3, 5], 6, [3, 2], extra)
}

/// A residual before the activation, in every layout and element type that the grid has by now: every fifth problem once more.
fn residuals(grid: &mut Grid) {
    let again = grid.problems.iter().enumerate().filter(|(i, p)| i % 5 == 0 || p.element == ElementType::F16 || p.x_layout != p.y_layout);
    let more: Vec<ConvProblem> = again.map(|(_, p)| p.clone().with_residual(true)).collect();
    grid.problems.extend(more);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::Algorithm;
    use crate::ops::conv::fused::FusedPool;
    use crate::ops::conv::phases::tap_step;
    use crate::ops::conv::problem::Direction;
    use crate::plan::conv::supports;

    /// A feature and how a problem shows it.
    type Feature = (&'static str, fn(&ConvProblem) -> bool);

    const FEATURES: &[Feature] = &[
        ("bias", |p| p.has_bias),
        ("no bias", |p| !p.has_bias),
        ("a residual", |p| p.has_residual),
        ("a maximum after it", |p| p.pool == Some(FusedPool::Max)),
        ("a mean after it", |p| p.pool == Some(FusedPool::Average)),
        ("a pool and a residual", |p| p.pool.is_some() && p.has_residual),
        ("batch", |p| p.batch > 1),
        ("groups", |p| p.groups > 1),
        ("several filters a group", |p| p.groups > 1 && p.filters_per_group() > 1),
        ("an activation", |p| p.activation != Activation::None),
        ("channels-last in", |p| p.x_layout == Layout::ChannelsLast),
        ("channels-last out", |p| p.y_layout == Layout::ChannelsLast),
        ("f16", |p| p.element == ElementType::F16),
        ("1-D", |p| p.rank == 1),
        ("3-D", |p| p.rank == 3),
    ];

    const WINDOW_FEATURES: &[Feature] = &[
        ("different strides", |p| p.axes[1].stride != p.axes[2].stride),
        ("different dilations", |p| p.axes[1].dilation != p.axes[2].dilation),
        ("four different pads", |p| {
            let mut pads = [p.axes[1].pad_begin, p.axes[1].pad_end, p.axes[2].pad_begin, p.axes[2].pad_end];
            pads.sort_unstable();
            p.direction == Direction::Forward && pads.windows(2).all(|w| w[0] != w[1])
        }),
        ("reflect", |p| p.padding_mode == PaddingMode::Reflect),
        ("replicate", |p| p.padding_mode == PaddingMode::Replicate),
        ("circular", |p| p.padding_mode == PaddingMode::Circular),
        ("transposed with stride", |p| p.direction == Direction::Transposed && p.axes[2].stride > 1),
        ("transposed with dilation", |p| p.direction == Direction::Transposed && p.axes[2].dilation > 1),
        ("phases without taps", |p| p.phases()[2] > 1 && p.axes[2].filter < p.axes[2].stride),
        ("phases without taps for a common divisor", |p| p.phases()[2] > 1 && tap_step(&p.axes[2]) > 1 && tap_step(&p.axes[2]) < p.axes[2].stride),
        ("phases with as many taps", |p| p.phases()[2] > 1 && !p.has_uneven_phases()),
        ("fewer phases than the stride", |p| p.phases()[2] > 1 && p.phases()[2] < p.axes[2].stride),
    ];

    const PLAIN_WINDOW_FEATURES: &[Feature] = &[
        ("a negative pad", |p| p.axes[1].pad_begin < 0 || p.axes[1].pad_end < 0),
        ("pads beyond the input", |p| p.axes[1].pad_begin > p.axes[1].input as i64),
        ("a window beyond the input", |p| p.axes[1].filter > p.axes[1].input),
    ];

    fn uncovered(algorithm: Algorithm, problems: &[ConvProblem], features: &[Feature]) -> Vec<&'static str> {
        features
            .iter()
            .filter(|(_, shows)| !problems.iter().any(|p| supports(algorithm, p, &super::super::grid::rich()).is_ok() && shows(p)))
            .map(|(name, _)| *name)
            .collect()
    }

    #[test]
    fn every_fused_kernel_meets_both_pools_and_their_edges() {
        use crate::plan::conv::fused::is_fused;
        const FEATURES: &[Feature] = &[
            ("a maximum", |p| p.pool == Some(FusedPool::Max)),
            ("a mean", |p| p.pool == Some(FusedPool::Average)),
            ("one window", |p| p.rank == 2 && p.output_positions() == 1),
            ("odd extents", |p| p.axes[1].output > 1 && p.axes[1].output % 2 == 1 && p.axes[2].output % 2 == 1),
            ("several tiles", |p| p.axes[1].output > 4 && p.axes[2].output > 4),
            ("channels-last", |p| p.y_layout == Layout::ChannelsLast),
            ("batch", |p| p.batch > 1),
            ("an activation", |p| p.activation != Activation::None),
            ("1-D", |p| p.rank == 1),
        ];
        let problems = problems(false).unwrap();
        for algorithm in [Algorithm::Depthwise, Algorithm::WinogradF2, Algorithm::WinogradF4] {
            let fused: Vec<ConvProblem> = problems.iter().filter(|p| is_fused(algorithm, p)).cloned().collect();
            let uncovered = uncovered(algorithm, &fused, FEATURES);
            assert!(uncovered.is_empty(), "{algorithm}, fused, never meets {uncovered:?}");
        }
    }

    #[test]
    fn every_algorithm_meets_every_feature_it_claims() {
        for full in [false, true] {
            let problems = problems(full).unwrap();
            for algorithm in Algorithm::ALL {
                let mut features = FEATURES.to_vec();
                let pointwise = algorithm.name().starts_with("pointwise");
                if !pointwise {
                    features.extend(WINDOW_FEATURES);
                }
                if matches!(algorithm, Algorithm::Direct | Algorithm::ImplicitGemmRegister | Algorithm::ImplicitGemmWorkgroup) {
                    features.extend(PLAIN_WINDOW_FEATURES);
                }
                if algorithm == Algorithm::AsLinear {
                    const NONE: [&str; 5] = ["groups", "several filters a group", "a maximum after it", "a mean after it", "a pool and a residual"];
                    features.retain(|(name, _)| !NONE.contains(name) && !["pads", "transposed", "phases"].iter().any(|part| name.contains(part)));
                    features.retain(|(name, _)| !["reflect", "replicate", "circular"].contains(name));
                }
                if algorithm.name().ends_with("_f16x2") {
                    features.retain(|(name, _)| *name != "f16");
                }
                if algorithm == Algorithm::Fft {
                    features.retain(|(name, _)| {
                        !["3-D", "different strides"].contains(name) && !["transposed", "phases"].iter().any(|part| name.contains(part))
                    });
                }
                if matches!(algorithm, Algorithm::WinogradF2 | Algorithm::WinogradF4) {
                    let others = ["3-D", "f16", "different strides", "different dilations", "transposed with stride", "transposed with dilation"];
                    features.retain(|(name, _)| !others.contains(name) && !name.contains("phases"));
                }
                let uncovered = uncovered(algorithm, &problems, &features);
                assert!(uncovered.is_empty(), "{algorithm} (full: {full}) never meets {uncovered:?}");
            }
        }
    }
}
