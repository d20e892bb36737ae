//! Convolution on cooperative matrices: the loaders of [`super::implicit_gemm`] with the core that multiplies f16. f32 operands are scaled into
//! f16's range and rounded, or split in two; where a convolution's numbers cannot be scaled by one number (an infinity, a NaN, a mask, one
//! image much larger than another), which is known only when it runs, a plain kernel computes it instead: both are recorded, and one of them leaves at once.

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::implicit_gemm::shape;
use crate::plan::conv::pointwise;
use crate::plan::gemm::magnitudes::Lines;
use crate::plan::gemm::matrix::check;
use crate::plan::profile::DeviceProfile;
use crate::plan::window::plane_strides;
use crate::reference::conv::matrix_roundings;
use crate::types::Result;

pub(crate) fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let Some(operands) = algorithm.operands() else { return Ok(()) };
    if matches!(algorithm, Algorithm::PointwiseCoop | Algorithm::PointwiseF16x2) {
        pointwise::supports(algorithm, problem)?;
    }
    let (shape, more) = (shape(problem, problem.batch), matrix_roundings(problem));
    check(algorithm.name(), operands, &shape, problem.element, problem.accuracy, more, profile)
}

/// The lines of the filter whose ranges count: the channels of one tap of an output channel, since an output at a border reads some taps alone.
pub(crate) fn filter_lines(problem: &ConvProblem) -> Lines {
    let (taps, channels, filters) = (problem.taps(), problem.channels_per_group(), problem.filters_per_group());
    let [batch, lines, elements] = match problem.direction {
        Direction::Forward => [[problem.out_channels, channels * taps], [taps, 1], [channels, taps]],
        Direction::Transposed => [[problem.in_channels / channels, channels * filters * taps], [filters * taps, 1], [channels, filters * taps]],
    };
    Lines { batch: [[1, 0], [1, 0], batch], base: 0, lines, elements }
}

/// Those of so many images of x: the channels of a group at one pixel. A window reads several, of which each is within the range.
pub(crate) fn pixel_lines(problem: &ConvProblem, images: u64, base: u32) -> Lines {
    let [n, c, p] = plane_strides(problem.x_layout, problem.in_channels, problem.input_positions()).map(u64::from);
    let channels = problem.channels_per_group();
    let batch = [[1, 0], [images, n], [problem.in_channels / channels, channels * c]];
    Lines { batch, base, lines: [problem.input_positions(), p], elements: [channels, c] }
}
