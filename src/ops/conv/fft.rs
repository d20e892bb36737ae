//! Convolution by the discrete Fourier transform as data: the tiles that a plane is cut into, what they cost, and how much rounding errors grow.
//!
//! y = F^-1 [sum over channels of F(x) conj(F(w))] over tiles of the input that overlap by the reach of the window (overlap-save: Oppenheim and
//! Schafer, Discrete-Time Signal Processing, section 8.7.3). Two tiles are transformed at once, one as the real part and one as the imaginary part:
//! the filter is real, so that they come out as they went in.

use crate::numeric::Accuracy;
use crate::numeric::bound::{fourier_error, gamma};
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use crate::types::{ElementType, Error, Result};
use std::ops::RangeInclusive;

/// The lengths of lines that one workgroup transforms.
pub(crate) const ON_GPU: RangeInclusive<u64> = 4..=512;

/// Columns of a product come in panels of so many, by the cores of most tiles.
const PANEL: u64 = 16;

/// Height and width of the tiles: powers of two; 1 along an axis whose window has one tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FourierTile {
    extents: [u64; 2],
}

/// Elements that a window reaches past its first.
pub(crate) fn reach(axis: &WindowAxis) -> u64 {
    (axis.filter - 1) * axis.dilation
}

impl FourierTile {
    /// The tile that `text` names, such as `64x64`, if it is one for `problem`, on an engine that transforms lines as long.
    pub fn parse(text: &str, problem: &ConvProblem) -> Option<Self> {
        let (height, width) = text.split_once('x')?;
        let tile = Self { extents: [height.parse().ok()?, width.parse().ok()?] };
        let fits = |length: u64, axis: &WindowAxis| match axis.filter {
            1 => length == 1,
            _ => length.is_power_of_two() && reach(axis) < length && length >= 4,
        };
        let is_one = fits(tile.extents[0], &problem.axes[1]) && fits(tile.extents[1], &problem.axes[2]);
        (supports(problem, u64::MAX).is_ok() && is_one && tile.to_string() == text && tile.is_accurate(problem)).then_some(tile)
    }

    /// Whether its error bound is one that the problem's accuracy admits.
    fn is_accurate(self, problem: &ConvProblem) -> bool {
        problem.accuracy == Accuracy::Reduced || self.relative_error(problem) <= 1.0
    }

    /// Height and width.
    pub fn extents(self) -> [u64; 2] {
        self.extents
    }

    /// Complex numbers of a transformed tile.
    pub fn count(self) -> u64 {
        self.extents[0] * self.extents[1]
    }

    /// Outputs of a tile along either axis: where the window does not reach round its end.
    pub fn outputs(self, problem: &ConvProblem) -> [u64; 2] {
        [self.extents[0] - reach(&problem.axes[1]), self.extents[1] - reach(&problem.axes[2])]
    }

    /// Tiles of an image along either axis.
    pub fn tiles(self, problem: &ConvProblem) -> [u64; 2] {
        let [rows, columns] = self.outputs(problem);
        [problem.axes[1].output.div_ceil(rows), problem.axes[2].output.div_ceil(columns)]
    }

    /// Pairs of tiles of an image: images are not paired, so that a NaN stays in its own.
    pub fn pairs_per_image(self, problem: &ConvProblem) -> u64 {
        let [rows, columns] = self.tiles(problem);
        (rows * columns).div_ceil(2)
    }

    /// Pairs of tiles that are computed: where products sum over channels, whole panels.
    fn pairs(self, problem: &ConvProblem) -> f64 {
        let multiple = if problem.channels_per_group() == 1 { 1 } else { PANEL };
        (problem.batch * self.pairs_per_image(problem)).next_multiple_of(multiple) as f64
    }

    /// Multiply-adds in all: three for each of a line's halvings and number (a complex product and a sum of two numbers), four for the product with a
    /// filter.
    pub fn multiply_adds(self, problem: &ConvProblem) -> f64 {
        let pairs = self.pairs(problem);
        let transforms = 3.0 * f64::from(self.count().ilog2()) * (problem.in_channels + problem.out_channels) as f64;
        pairs * self.count() as f64 * (transforms + 4.0 * (problem.out_channels * problem.channels_per_group()) as f64)
    }

    /// Bytes of transformed tiles that are written and read again, in all.
    pub fn bytes(self, problem: &ConvProblem) -> f64 {
        let pairs = self.pairs(problem);
        let passes = if problem.channels_per_group() == 1 { 2.0 } else { 4.0 };
        pairs * self.count() as f64 * passes * 8.0 * (problem.in_channels + problem.out_channels) as f64
    }

    /// What the product of transformed channels and filters, and both transforms, may err by, relative to the sum over the channels of |x| |w|, the
    /// Euclidean norms of two tiles and of a filter plane ([`fourier_error`]).
    pub fn growth(self, problem: &ConvProblem) -> f64 {
        fourier_error(self.count().ilog2(), self.extents.map(products).iter().sum(), problem.channels_per_group())
    }

    /// The largest error of an output over all inputs and filters of magnitude 1, relative to that of plain f32 sums.
    pub fn relative_error(self, problem: &ConvProblem) -> f64 {
        let unit = ElementType::F32.unit_roundoff();
        let depth = problem.reduction_depth();
        let plain = depth as f64 * gamma(depth + 2 + u64::from(problem.has_residual), unit);
        let norms = ((2 * self.count() * problem.taps()) as f64).sqrt() * problem.channels_per_group() as f64;
        let own = norms * (self.growth(problem) + gamma(roundings_after(problem), unit));
        if plain.is_infinite() { 1.0 } else { own / plain }
    }
}

/// Halvings of a line that multiply by other roots than 1 and -i, which are exact: `shaders/conv/fft_line.wgsl` transforms up to 16 numbers in one step,
/// longer lines in two, with one such product between them. The CPU engine has fewer: one product for two halvings, but for the last, and one
/// between the halves of a long line.
pub(crate) fn products(length: u64) -> u32 {
    match length {
        0..=4 => 0,
        5..=16 => length.ilog2() - 2,
        _ => length.ilog2() - 3,
    }
}

/// Roundings of an output after the transform: bias, residual, and one to spare.
pub(crate) fn roundings_after(problem: &ConvProblem) -> u64 {
    2 + u64::from(problem.has_residual)
}

impl std::fmt::Display for FourierTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.extents[0], self.extents[1])
    }
}

/// Why a convolution is none that transforms of lines up to `most` numbers compute, whatever the tile.
///
/// # Errors
/// [`Error::Unsupported`] with the condition that does not hold.
pub(crate) fn supports(problem: &ConvProblem, most: u64) -> Result<()> {
    let refuse = |reason: String| Err(Error::Unsupported { algorithm: "fft".into(), reason });
    if problem.direction != Direction::Forward {
        return refuse("it does not compute transposed convolutions".into());
    }
    let [depth, height, width] = &problem.axes;
    if *depth != WindowAxis::UNIT {
        return refuse("it computes one or two spatial axes; there are three".into());
    }
    if height.stride != 1 || width.stride != 1 {
        return refuse(format!("it needs stride 1; along the height and the width they are {} and {}", height.stride, width.stride));
    }
    if height.filter == 1 && width.filter == 1 {
        return refuse("a window of one tap is a matrix product already".into());
    }
    if problem.accuracy == Accuracy::Exact {
        return refuse("accuracy exact admits plain products and sums alone".into());
    }
    let longest = reach(height).max(reach(width)) + 1;
    if longest > most / 2 {
        return refuse(format!("the window reaches over {longest} elements of an axis, and it transforms lines of {most}"));
    }
    Ok(())
}

/// The tiles of lines of such lengths that a convolution admits by its extents and its accuracy, those that multiply least first.
pub(crate) fn candidates(problem: &ConvProblem, on: &RangeInclusive<u64>) -> Vec<FourierTile> {
    let (least, most) = (*on.start(), *on.end());
    if supports(problem, most).is_err() {
        return vec![];
    }
    let lengths = |axis: &WindowAxis| -> Vec<u64> {
        match axis.filter {
            1 => vec![1],
            // Half of a line at least is of use; a line that holds all of the axis is long enough.
            _ => {
                let fewest = (2 * reach(axis)).next_power_of_two().clamp(least, most);
                let enough = (axis.output + reach(axis)).next_power_of_two().clamp(fewest, most);
                std::iter::successors(Some(fewest), |length| Some(2 * length)).take_while(|length| *length <= enough).collect()
            }
        }
    };
    let (heights, widths) = (lengths(&problem.axes[1]), lengths(&problem.axes[2]));
    let tiles = heights.into_iter().flat_map(|height| widths.iter().map(move |width| FourierTile { extents: [height, *width] }));
    let mut tiles: Vec<FourierTile> = tiles.filter(|tile| tile.is_accurate(problem)).collect();
    tiles.sort_by(|a, b| (a.multiply_adds(problem) + a.bytes(problem)).total_cmp(&(b.multiply_adds(problem) + b.bytes(problem))));
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::problem::ConvInputs;

    fn conv(x: [usize; 4], filter: [usize; 4], descriptor: &ConvDescriptor<2>) -> ConvProblem {
        ConvProblem::forward(&ConvInputs::new(&x, &filter, None), descriptor).unwrap()
    }

    /// Of a window of 127 x 127 the bound is a fraction of that of plain sums; a depthwise 7 x 7 has none of that kind.
    #[test]
    fn the_bound_decides_where_plain_accuracy_admits_it() {
        let plain = ConvDescriptor::default();
        let large = conv([1, 1, 2048, 2048], [1, 1, 127, 127], &plain);
        let tile = candidates(&large, &ON_GPU)[0];
        assert!(tile.relative_error(&large) < 0.1, "{tile}: {}", tile.relative_error(&large));
        assert!(candidates(&conv([1, 1, 56, 56], [1, 1, 7, 7], &plain), &ON_GPU).is_empty());
        let reduced = ConvDescriptor { accuracy: Accuracy::Reduced, ..plain };
        assert!(!candidates(&conv([1, 1, 56, 56], [1, 1, 7, 7], &reduced), &ON_GPU).is_empty());
        assert!(!candidates(&conv([1, 64, 56, 56], [64, 64, 7, 7], &plain), &ON_GPU).is_empty(), "many channels add up many products");
    }

    #[test]
    fn tiles_hold_their_window_and_parse() {
        let problem = conv([1, 64, 100, 30], [8, 64, 9, 5], &ConvDescriptor { dilation: [3, 1], accuracy: Accuracy::Reduced, ..Default::default() });
        let tiles = candidates(&problem, &ON_GPU);
        assert!(tiles.len() > 3, "{tiles:?}");
        for tile in tiles {
            assert_eq!(FourierTile::parse(&tile.to_string(), &problem), Some(tile));
            let ([rows, columns], [down, across]) = (tile.outputs(&problem), tile.tiles(&problem));
            assert!(rows * down >= problem.axes[1].output && columns * across >= problem.axes[2].output);
        }
        for other in ["24x24", "64", "064x8", "1x8", "16x8", ""] {
            assert_eq!(FourierTile::parse(other, &problem), None, "{other}");
        }
    }

    #[test]
    fn what_it_does_not_compute_is_said() {
        let reason =
            |descriptor: &ConvDescriptor<2>, filter| supports(&conv([1, 2, 40, 40], filter, descriptor), *ON_GPU.end()).unwrap_err().to_string();
        let plain = ConvDescriptor::default();
        assert!(reason(&ConvDescriptor { stride: [2, 1], ..plain }, [2, 2, 5, 5]).contains("stride 1"));
        assert!(reason(&plain, [2, 2, 1, 1]).contains("one tap"));
        assert!(reason(&ConvDescriptor { accuracy: Accuracy::Exact, ..plain }, [2, 2, 5, 5]).contains("exact"));
    }
}
