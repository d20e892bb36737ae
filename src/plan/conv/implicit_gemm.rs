//! Convolution as a matrix product of the packed filter and the windows of the input, which are read in place.
//!
//! gemm_m = filters per group, gemm_n = batch x output positions, gemm_k = taps x channels per group. Three tile cores: workgroup
//! memory for GPUs, registers only for CPU-like drivers, cooperative matrices for f16. A transposed convolution with a stride is such a product for each phase,
//! over its taps alone; all of them are one dispatch.

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::ConvProblem;
use crate::plan::conv::matrix::Halves;
use crate::plan::conv::steps::overrides;
use crate::plan::gemm::method::{Method, Store, Work};
use crate::plan::gemm::tile::{Core, GemmShape, Tile, Tiling};
use crate::plan::profile::DeviceProfile;
use crate::shader::KernelSpec;
use crate::shader::source::KernelSource;
use crate::shader::source_gemm::{
    CONV_IMPLICIT_GEMM_COOP, CONV_IMPLICIT_GEMM_FALLBACK, CONV_IMPLICIT_GEMM_REGISTER, CONV_IMPLICIT_GEMM_WORKGROUP, CONV_POINTWISE_COOP,
    CONV_POINTWISE_FALLBACK, CONV_POINTWISE_REGISTER, CONV_POINTWISE_VEC4_FALLBACK, CONV_POINTWISE_VEC4_REGISTER, CONV_POINTWISE_VEC4_WORKGROUP,
    CONV_POINTWISE_WORKGROUP, CONV_SUM, FOUR_CHANNELS, TWO_CHANNELS,
};
use crate::types::{Layout, Result};

/// The core that an algorithm runs on, if it reads windows in place.
pub(crate) fn core(algorithm: Algorithm) -> Option<Core> {
    match algorithm {
        Algorithm::ImplicitGemmWorkgroup | Algorithm::PointwiseWorkgroup => Some(Core::Workgroup),
        Algorithm::ImplicitGemmRegister | Algorithm::PointwiseRegister => Some(Core::Register),
        _ => algorithm.operands().map(Core::Matrix),
    }
}

/// The kernel of an algorithm: its loader with each core, and with the one that computes what cooperative matrices cannot.
fn sources(algorithm: Algorithm, core: Core, problem: &ConvProblem) -> [&'static KernelSource; 2] {
    let implicit = matches!(
        algorithm,
        Algorithm::ImplicitGemmWorkgroup | Algorithm::ImplicitGemmRegister | Algorithm::ImplicitGemmCoop | Algorithm::ImplicitGemmF16x2
    );
    let [workgroup, register, matrix, fallback] = if implicit {
        [&CONV_IMPLICIT_GEMM_WORKGROUP, &CONV_IMPLICIT_GEMM_REGISTER, &CONV_IMPLICIT_GEMM_COOP, &CONV_IMPLICIT_GEMM_FALLBACK]
    } else if in_vec4(problem.x_layout, problem.input_positions()) {
        [&CONV_POINTWISE_VEC4_WORKGROUP, &CONV_POINTWISE_VEC4_REGISTER, &CONV_POINTWISE_COOP, &CONV_POINTWISE_VEC4_FALLBACK]
    } else {
        [&CONV_POINTWISE_WORKGROUP, &CONV_POINTWISE_REGISTER, &CONV_POINTWISE_COOP, &CONV_POINTWISE_FALLBACK]
    };
    match core {
        Core::Workgroup => [workgroup, fallback],
        Core::Register => [register, fallback],
        Core::Matrix(_) => [matrix, fallback],
    }
}

/// Whether four neighbouring columns are four neighbouring elements of a plane, in every plane of every image.
fn in_vec4(layout: Layout, positions: u64) -> bool {
    layout == Layout::ChannelsFirst && positions.is_multiple_of(4)
}

/// Whether so many neighbouring channels of a group lie together.
fn in_channels(layout: Layout, channels: u64, many: u64) -> bool {
    layout == Layout::ChannelsLast && channels.is_multiple_of(many)
}

/// The products that so many images make: for each group, and each phase of a stride.
pub(crate) fn shape(problem: &ConvProblem, images: u64) -> GemmShape {
    let phases: u64 = problem.phases().iter().product();
    GemmShape {
        columns: images * problem.phase_positions(),
        products: problem.groups * phases,
        uneven: problem.has_uneven_phases(),
        ..outputs_shape(problem, images)
    }
}

/// All outputs of so many images as columns, whatever their phase: for kernels without tiles.
pub(crate) fn outputs_shape(problem: &ConvProblem, images: u64) -> GemmShape {
    GemmShape {
        rows: problem.filters_per_group(),
        columns: images * problem.output_positions(),
        depth: problem.reduction_depth(),
        length: problem.channels_per_group(),
        products: problem.groups,
        uneven: false,
        streams: false,
    }
}

/// How a kernel of the core stores what is finished. Outputs of a phase are no neighbours.
fn store(core: Core, problem: &ConvProblem) -> Store {
    if in_vec4(problem.y_layout, problem.output_positions()) && problem.phases() == [1; 3] {
        Store::Columns
    } else if core != Core::Register && in_channels(problem.y_layout, problem.filters_per_group(), 4) {
        Store::Filters
    } else {
        Store::Scalars
    }
}

/// The kernels of an algorithm whose core this is.
pub(crate) fn method(algorithm: Algorithm, core: Core, problem: &ConvProblem, profile: &DeviceProfile, named: Option<&str>) -> Result<Method> {
    let shape = shape(problem, problem.batch);
    let tiling = Tiling { tile: Tile::new(core, algorithm.name(), named, &shape, profile)?, shape };
    tiling.check_iterations(algorithm.name(), profile)?;
    let [source, fallback] = sources(algorithm, core, problem);
    let mut method = Method::tiled(tiling, source, fallback, None, problem.element);
    let is_split = method.memory.splits > 1;
    let store = if is_split { Store::Partials } else { store(core, problem) };
    for call in &mut method.calls {
        if let Tile::Workgroup(tile) = tiling.tile {
            let steps = tile.steps();
            if steps > 1 && in_channels(problem.x_layout, problem.channels_per_group(), steps.into()) {
                call.consts.push(("ALONG_CHANNELS", if steps == 4 { FOUR_CHANNELS } else { TWO_CHANNELS }));
            }
        }
        if let Work::Tiles(Tiling { tile: Tile::Matrix(tile), .. }) = call.work {
            call.consts.extend(tile.consts(Halves::new(problem, tile.operands.parts(), tile.along_k).columns(), profile));
        }
        call.consts.extend(store.consts(problem.element, profile));
        call.overrides = overrides(problem);
        if is_split {
            call.overrides.retain(is_of_windows); // the epilogue is the sum's
        }
    }
    Ok(method)
}

/// The kernel that adds up the partial sums of a depth that is split, and finishes them.
pub(crate) fn sum(problem: &ConvProblem, splits: u64, profile: &DeviceProfile) -> KernelSpec {
    let mut consts = vec![("SPLITS", splits as u32)];
    consts.extend(store(Core::Workgroup, problem).consts(problem.element, profile));
    let mut overrides = overrides(problem);
    overrides.retain(|flag| flag.0 == "TRANSPOSED" || !is_of_windows(flag)); // which outputs columns are
    KernelSpec { source: &CONV_SUM, element: problem.element, consts, overrides }
}

/// Whether an override is of the loader and not of the epilogue.
fn is_of_windows((name, _): &(&'static str, u32)) -> bool {
    matches!(*name, "PADDING_MODE" | "TRANSPOSED")
}
