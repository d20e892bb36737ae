//! Convolution as a matrix product of the packed filter and the windows of the input, which are read in place.
//!
//! gemm_m = filters per group, gemm_n = batch x output positions, gemm_k = taps x channels per group. Two tile cores: workgroup
//! memory for GPUs, registers only for CPU-like drivers.

use super::descriptor::Algorithm;
use super::plan::{Choice, overrides};
use super::problem::ConvProblem;
use crate::error::Result;
use crate::gpu::DeviceProfile;
use crate::kernel::{KernelSource, KernelSpec};
use crate::op::{REGISTER_COLUMNS, Tile, register_rows};

/// The smallest tile must fit the device; wgpu's own minimum limits hold all of them.
pub(crate) fn supports_workgroup(algorithm: Algorithm, profile: &DeviceProfile) -> Result<()> {
    Tile::check(algorithm.name(), profile)
}

/// Fills in the tiles of a slice and counts its workgroups.
fn count(problem: &ConvProblem, batch: u64, params: &mut super::params::ConvParams, tile_m: u64, tile_n: u64) -> u64 {
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

fn constant(choice: &Choice, name: &str) -> u64 {
    choice.kernel.consts.iter().find(|(n, _)| *n == name).map_or(1, |(_, value)| u64::from(*value))
}

/// The workgroup-memory core: the largest tile that the problem fills and the device holds.
pub(crate) fn workgroup(source: &'static KernelSource, problem: &ConvProblem, profile: &DeviceProfile) -> Choice {
    let columns = problem.batch * problem.output_positions();
    let tile = Tile::choose(problem.filters_per_group(), columns, profile);
    let consts = tile.consts();
    Choice {
        kernel: KernelSpec { source, element: problem.element, consts, overrides: overrides(problem) },
        packed_multiple: Some(u64::from(tile.m)),
        count: |choice, problem, batch, params| count(problem, batch, params, constant(choice, "TILE_M"), constant(choice, "TILE_N")),
    }
}

/// The register core: as many rows per invocation as the filters fill, up to 16.
pub(crate) fn register(source: &'static KernelSource, problem: &ConvProblem) -> Choice {
    let thread_m = register_rows(problem.filters_per_group());
    Choice {
        kernel: KernelSpec { source, element: problem.element, consts: vec![("THREAD_M", thread_m)], overrides: overrides(problem) },
        packed_multiple: Some(u64::from(thread_m)),
        count: |choice, problem, batch, params| count(problem, batch, params, constant(choice, "THREAD_M"), REGISTER_COLUMNS),
    }
}
