//! Convolution as a matrix product of the packed filter and the windows of the input, which are read in place.
//!
//! gemm_m = filters per group, gemm_n = batch x output positions, gemm_k = taps x channels per group. Two tile cores: workgroup
//! memory for GPUs, registers only for CPU-like drivers.

use super::descriptor::Algorithm;
use super::plan::{Choice, overrides};
use super::problem::ConvProblem;
use crate::error::{Error, Result};
use crate::gpu::DeviceProfile;
use crate::kernel::{KernelSource, KernelSpec};

/// A tile of the workgroup-memory core.
struct Tile {
    m: u32,
    n: u32,
    k: u32,
    thread_m: u32,
    thread_n: u32,
}

impl Tile {
    fn invocations(&self) -> u32 {
        self.m * self.n / (self.thread_m * self.thread_n)
    }

    /// Bytes of workgroup memory: both operands' slices in f32.
    fn memory(&self) -> u32 {
        self.k * (self.m + self.n) * 4
    }
}

/// Tiles of the workgroup-memory core, the largest first.
const TILES: [Tile; 3] = [
    Tile { m: 64, n: 64, k: 16, thread_m: 4, thread_n: 4 },
    Tile { m: 32, n: 64, k: 16, thread_m: 4, thread_n: 4 },
    Tile { m: 32, n: 32, k: 16, thread_m: 4, thread_n: 4 },
];

/// The smallest tile must fit the device; wgpu's own minimum limits hold all of them.
pub(crate) fn supports_workgroup(algorithm: Algorithm, profile: &DeviceProfile) -> Result<()> {
    let tile = &TILES[TILES.len() - 1];
    if tile.invocations() > profile.max_workgroup_invocations || tile.memory() > profile.max_workgroup_memory {
        return Err(Error::Unsupported {
            algorithm: algorithm.name().into(),
            reason: format!(
                "its smallest tile needs {} invocations and {} bytes of workgroup memory; the device has {} and {}",
                tile.invocations(),
                tile.memory(),
                profile.max_workgroup_invocations,
                profile.max_workgroup_memory
            ),
        });
    }
    Ok(())
}

fn fits(tile: &Tile, profile: &DeviceProfile) -> bool {
    tile.invocations() <= profile.max_workgroup_invocations && tile.memory() <= profile.max_workgroup_memory
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
    let tile = TILES
        .iter()
        .filter(|t| fits(t, profile))
        .find(|t| problem.filters_per_group() > u64::from(t.m) / 2 && columns > u64::from(t.n) / 2)
        .unwrap_or(&TILES[TILES.len() - 1]);
    let consts = vec![
        ("TILE_M", tile.m),
        ("TILE_N", tile.n),
        ("TILE_K", tile.k),
        ("THREAD_M", tile.thread_m),
        ("THREAD_N", tile.thread_n),
        ("WG_SIZE", tile.invocations()),
    ];
    Choice {
        kernel: KernelSpec { source, element: problem.element, consts, overrides: overrides(problem) },
        packed_multiple: Some(u64::from(tile.m)),
        count: |choice, problem, batch, params| count(problem, batch, params, constant(choice, "TILE_M"), constant(choice, "TILE_N")),
    }
}

/// Columns of one workgroup of the register core: 64 invocations of 4.
const REGISTER_COLUMNS: u64 = 256;

/// The register core: as many rows per invocation as the filters fill, up to 16.
pub(crate) fn register(source: &'static KernelSource, problem: &ConvProblem) -> Choice {
    let thread_m = match problem.filters_per_group() {
        0..=4 => 4,
        5..=8 => 8,
        9..=12 => 12,
        _ => 16,
    };
    Choice {
        kernel: KernelSpec { source, element: problem.element, consts: vec![("THREAD_M", thread_m)], overrides: overrides(problem) },
        packed_multiple: Some(u64::from(thread_m)),
        count: |choice, problem, batch, params| count(problem, batch, params, constant(choice, "THREAD_M"), REGISTER_COLUMNS),
    }
}
