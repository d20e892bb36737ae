//! Convolution as a matrix product of the packed filter and the windows of the input, which are read in place.
//!
//! gemm_m = filters per group, gemm_n = batch x output positions, gemm_k = taps x channels per group. Two tile cores: workgroup
//! memory for GPUs, registers only for CPU-like drivers.

use super::descriptor::Algorithm;
use super::plan::{Choice, Fallback, overrides};
use super::problem::ConvProblem;
use crate::error::Result;
use crate::gpu::DeviceProfile;
use crate::kernel::{KernelSource, KernelSpec};
use crate::op::{RegisterTile, Tile};
use crate::shape::Layout;

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
        consts.push(("STORE_QUADS", 1));
    }
    KernelSpec { source, element: problem.element, consts, overrides: overrides(problem) }
}

/// Fills in the tiles of a slice and counts its workgroups.
pub(crate) fn count(problem: &ConvProblem, batch: u64, params: &mut super::params::ConvParams, tile_m: u64, tile_n: u64) -> u64 {
    let columns = batch * problem.output_positions();
    let tiles_m = problem.filters_per_group().div_ceil(tile_m);
    let tiles_n = columns.div_ceil(tile_n);
    let items = tiles_m * tiles_n * problem.groups;
    params.columns = columns as u32;
    params.tiles_m = tiles_m as u32;
    params.tiles_n = tiles_n as u32;
    params.items = items as u32;
    items
}

/// The workgroup-memory core: the largest tile that the problem fills and the device holds.
pub(crate) fn workgroup(source: &'static KernelSource, problem: &ConvProblem, profile: &DeviceProfile) -> Choice {
    let columns = problem.batch * problem.output_positions();
    let tile = Tile::choose(problem.filters_per_group(), columns, profile);
    let (tile_m, tile_n) = (u64::from(tile.m), u64::from(tile.n));
    Choice {
        kernel: kernel(source, problem, profile, tile.consts()),
        tile: tile.to_string(),
        packed_multiple: Some(tile_m),
        count: Box::new(move |problem, batch, params| count(problem, batch, params, tile_m, tile_n)),
        fallback: Fallback::None,
    }
}

/// The register core.
pub(crate) fn register(source: &'static KernelSource, problem: &ConvProblem, profile: &DeviceProfile, tile: &RegisterTile) -> Choice {
    let columns = problem.batch * problem.output_positions();
    let (tile_m, tile_n) = (u64::from(tile.rows), tile.width(columns, problem.reduction_depth()));
    Choice {
        kernel: kernel(source, problem, profile, tile.consts(columns, problem.reduction_depth(), problem.channels_per_group())),
        tile: tile.to_string(),
        packed_multiple: Some(tile_m),
        count: Box::new(move |problem, batch, params| count(problem, batch, params, tile_m, tile_n)),
        fallback: Fallback::None,
    }
}
