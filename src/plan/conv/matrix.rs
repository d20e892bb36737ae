//! Convolution on matrix units: the loaders of [`super::implicit_gemm`] with the core that multiplies f16. f32 operands are scaled into
//! f16's range and rounded, or split in two; where a convolution's numbers cannot be scaled by one number (an infinity, a NaN, a mask, one
//! image much larger than another), which is known only when it runs, a plain kernel computes it instead: both are recorded, and one of them leaves at once.

use crate::numeric::Operands;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::implicit_gemm::{count, in_quads, kernel};
use crate::plan::conv::{Choice, Companion, pointwise};
use crate::plan::gemm::magnitudes::Lines;
use crate::plan::gemm::matrix::{MatrixTile, check_accuracy};
use crate::plan::gemm::tile_workgroup::Tile;
use crate::plan::profile::DeviceProfile;
use crate::plan::window::plane_strides;
use crate::reference::conv::matrix_roundings;
use crate::shader::source_gemm::{
    CONV_IMPLICIT_GEMM_FALLBACK, CONV_IMPLICIT_GEMM_MATRIX, CONV_POINTWISE_FALLBACK, CONV_POINTWISE_MATRIX, CONV_POINTWISE_QUADS_FALLBACK,
    CONV_POINTWISE_QUADS_MATRIX,
};
use crate::types::{ElementType, Error, Result};

pub(crate) fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let Some(operands) = algorithm.operands() else { return Ok(()) };
    if matches!(algorithm, Algorithm::PointwiseMatrix | Algorithm::PointwiseSplit) {
        pointwise::supports(algorithm, problem)?;
    }
    if operands == Operands::Split && profile.matrix.is_some_and(|units| !units.splits) {
        return Err(Error::Unsupported {
            algorithm: algorithm.name().into(),
            reason: "this backend cannot add matrices of sums, or its units were found wanting".into(),
        });
    }
    check_accuracy(algorithm.name(), operands, problem.element, problem.accuracy, problem.reduction_depth(), matrix_roundings(problem))?;
    tile(algorithm, operands, problem, None, profile).map(|_| ())
}

fn tile(algorithm: Algorithm, operands: Operands, problem: &ConvProblem, wanted: Option<&str>, profile: &DeviceProfile) -> Result<MatrixTile> {
    let columns = problem.batch * problem.output_positions();
    MatrixTile::choose(algorithm.name(), operands, [problem.filters_per_group(), columns], wanted, profile)
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

pub(crate) fn choice(
    algorithm: Algorithm,
    operands: Operands,
    problem: &ConvProblem,
    wanted: Option<&str>,
    profile: &DeviceProfile,
) -> Result<Choice> {
    let tile = tile(algorithm, operands, problem, wanted, profile)?;
    let quads = in_quads(problem.x_layout, problem.input_positions());
    let [units, plain] = match algorithm {
        Algorithm::ImplicitGemmMatrix | Algorithm::ImplicitGemmSplit => [&CONV_IMPLICIT_GEMM_MATRIX, &CONV_IMPLICIT_GEMM_FALLBACK],
        _ if quads => [&CONV_POINTWISE_QUADS_MATRIX, &CONV_POINTWISE_QUADS_FALLBACK],
        _ => [&CONV_POINTWISE_MATRIX, &CONV_POINTWISE_FALLBACK],
    };
    let counted = |tile_m: u32, tile_n: u32| -> Box<crate::plan::conv::Count> {
        Box::new(move |problem, batch, params| count(problem, batch, params, [tile_m, tile_n, 1].map(u64::from)))
    };
    // Both read the filter as it is packed for tiles of so many rows.
    let plain_tile = Tile::of_rows(tile.m);
    let companion = match problem.element {
        ElementType::F32 => Companion::Ranged(
            kernel(plain, problem, profile, plain_tile.consts(problem.taps(), problem.channels_per_group(), profile)),
            counted(plain_tile.m, plain_tile.n),
        ),
        _ => Companion::Unranged,
    };
    Ok(Choice {
        kernel: kernel(units, problem, profile, tile.consts(operands, profile)),
        tile: tile.to_string(),
        packed_multiple: Some(u64::from(tile.m)),
        count: counted(tile.m, tile.n),
        companion,
    })
}
