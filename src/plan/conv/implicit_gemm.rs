//! Convolution as a matrix product of the packed filter and the windows of the input, which are read in place.
//!
//! gemm_m = filters per group, gemm_n = batch x output positions, gemm_k = taps x channels per group. Two tile cores: workgroup
//! memory for GPUs, registers only for CPU-like drivers.

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::ConvProblem;
use crate::plan::conv::{Choice, Companion, overrides};
use crate::plan::gemm::tile::RegisterTile;
use crate::plan::gemm::tile_workgroup::{GemmShape, Tile};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Place, Step};
use crate::shader::KernelSpec;
use crate::shader::source::KernelSource;
use crate::shader::source_gemm::{CONV_SUM, FOUR_CHANNELS, STORE_COLUMNS, STORE_FILTERS, STORE_PARTIALS, TWO_CHANNELS};
use crate::types::{Layout, Result};

/// The smallest tile must fit the device; wgpu's own minimum limits hold all of them.
pub(crate) fn supports_workgroup(algorithm: Algorithm, profile: &DeviceProfile) -> Result<()> {
    Tile::check(algorithm.name(), profile)
}

/// Whether four neighbouring columns are four neighbouring elements of a plane, in every plane of every image.
pub(crate) fn in_quads(layout: Layout, positions: u64) -> bool {
    layout == Layout::ChannelsFirst && positions.is_multiple_of(4)
}

/// The kernel of a tile core with the core's consts.
pub(crate) fn kernel(
    source: &'static KernelSource,
    problem: &ConvProblem,
    profile: &DeviceProfile,
    mut consts: Vec<(&'static str, u32)>,
) -> KernelSpec {
    consts.extend(profile.quad_consts(problem.element));
    if in_quads(problem.y_layout, problem.output_positions()) {
        consts.push(("STORE_QUADS", STORE_COLUMNS));
    }
    KernelSpec { source, element: problem.element, consts, overrides: overrides(problem) }
}

/// Fills in the tiles of a slice and counts its workgroups; each of `splits` takes part of the depth.
pub(crate) fn count(problem: &ConvProblem, batch: u64, params: &mut crate::shader::uniforms::ConvParams, [tile_m, tile_n, splits]: [u64; 3]) -> u64 {
    let columns = batch * problem.output_positions();
    let tiles_m = problem.filters_per_group().div_ceil(tile_m);
    let tiles_n = columns.div_ceil(tile_n);
    let items = tiles_m * tiles_n * problem.groups * splits;
    params.columns = columns as u32;
    params.tiles_m = tiles_m as u32;
    params.tiles_n = tiles_n as u32;
    params.items = items as u32;
    items
}

/// The product that the first `batch` images make.
pub(crate) fn shape(problem: &ConvProblem, batch: u64) -> GemmShape {
    GemmShape {
        rows: problem.filters_per_group(),
        columns: batch * problem.output_positions(),
        depth: problem.reduction_depth(),
        products: problem.groups,
    }
}

/// The workgroup-memory core.
pub(crate) fn workgroup(source: &'static KernelSource, problem: &ConvProblem, profile: &DeviceProfile, tile: Tile) -> Choice {
    let mut consts = tile.consts(problem.taps(), problem.channels_per_group(), profile);
    let last = |layout: Layout, channels: u64, many: u32| layout == Layout::ChannelsLast && channels.is_multiple_of(many.into());
    let steps = tile.steps();
    if steps > 1 && last(problem.x_layout, problem.channels_per_group(), steps) {
        consts.push(("ALONG_CHANNELS", if steps == 4 { FOUR_CHANNELS } else { TWO_CHANNELS }));
    }
    if last(problem.y_layout, problem.filters_per_group(), 4) {
        consts.push(("STORE_QUADS", STORE_FILTERS));
    }
    let mut kernel = kernel(source, problem, profile, consts);
    let companion = if tile.splits > 1 { Companion::Sum(sum(problem, &mut kernel, tile)) } else { Companion::None };
    let sizes = [tile.m, tile.n, tile.splits].map(u64::from);
    Choice {
        kernel,
        tile: tile.to_string(),
        packed_multiple: Some(sizes[0]),
        count: Box::new(move |problem, batch, params| count(problem, batch, params, sizes)),
        companion,
    }
}

/// What adds up the partial sums of a tile whose depth is split. `kernel` then stores them as they are, and the epilogue is the sum's.
fn sum(problem: &ConvProblem, kernel: &mut KernelSpec, tile: Tile) -> Sum {
    let mut consts = kernel.consts.clone();
    consts.retain(|(name, _)| matches!(*name, "SPLITS" | "STORE_QUADS" | "WIDE"));
    kernel.consts.retain(|(name, _)| *name != "STORE_QUADS");
    kernel.consts.push(("STORE_QUADS", STORE_PARTIALS));
    let (window, epilogue) = overrides(problem).into_iter().partition(|(name, _)| matches!(*name, "PADDING_MODE" | "TRANSPOSED"));
    kernel.overrides = window;
    Sum { kernel: KernelSpec { source: &CONV_SUM, element: problem.element, consts, overrides: epilogue }, tile }
}

/// The second kernel of a product whose depth is split.
pub(crate) struct Sum {
    kernel: KernelSpec,
    tile: Tile,
}

impl Sum {
    /// Bytes of the partial sums of so many images.
    ///
    /// # Errors
    /// More than one binding or 31 bits hold.
    pub fn scratch(&self, problem: &ConvProblem, batch: u64, profile: &DeviceProfile) -> Result<u64> {
        self.tile.scratch(&shape(problem, batch), profile)
    }

    /// Adds up what `params` describes; `places` are bias, residual, output and the partial sums.
    pub fn step(
        &self,
        problem: &ConvProblem,
        params: &crate::shader::uniforms::ConvParams,
        places: [Place; 4],
        profile: &DeviceProfile,
    ) -> Result<Step> {
        let items = problem.groups * problem.filters_per_group().div_ceil(4) * u64::from(params.columns).div_ceil(4);
        let params = crate::shader::uniforms::ConvParams { items: items as u32, ..*params };
        let places = places.into_iter().chain([Place::Nothing]).collect();
        Step::new(self.kernel.clone(), &params, places, items.div_ceil(64), profile)
    }
}

/// The register core.
pub(crate) fn register(source: &'static KernelSource, problem: &ConvProblem, profile: &DeviceProfile, tile: &RegisterTile) -> Choice {
    let columns = problem.batch * problem.output_positions();
    let (tile_m, tile_n) = (u64::from(tile.rows), tile.width(columns, problem.reduction_depth()));
    let consts = tile.consts(columns, problem.reduction_depth(), problem.channels_per_group(), problem.element, profile);
    Choice {
        kernel: kernel(source, problem, profile, consts),
        tile: tile.to_string(),
        packed_multiple: Some(tile_m),
        count: Box::new(move |problem, batch, params| count(problem, batch, params, [tile_m, tile_n, 1])),
        companion: Companion::None,
    }
}
